"""What every test file may use: the repository's root, and the published files where there are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Set before any test imports matplotlib: a test never opens a window, whatever the machine offers.
os.environ["MPLBACKEND"] = "agg"
# Matrices here are small: threads that wait for one another cost six times what they save.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


def copy_repository(folder):
    """Copy the repository as git knows it, files not yet added included; return `folder`."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT).decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


SOURCES = ("src", "notebooks", "data/raw", "pyproject.toml", "requirements.lock")


def copy_study(root, folder, with_pages=True):
    """Copy all that a build reads, and what it made as its manifest tells: nothing left behind."""
    from clusterpolicy.run import publishing

    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in SOURCES:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(root / name, folder / name)
    there = publishing.Workspace(root)
    made = {there.short(there.manifest)} if with_pages else set()
    for name, entry in publishing.read_manifest(there).items() if with_pages else ():
        kept = there.build / "notebooks" / f"{name}.ipynb"
        made |= {there.short(there.page(name)), there.short(kept), *entry["written"]}
    for name in made:
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    return folder


def outside(study, **changes):
    """Environment of a command that is to know nothing of this checkout, only of `study`."""
    ours = ("CLUSTERPOLICY_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(study / "src"), **changes}


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A copy of the study in which every page is up to date: read it, or alter a copy of it.

    What this checkout has built is copied along, and the runner makes what is no longer as it
    should be: nothing after `make report`, everything where nothing was built.
    """
    folder = copy_study(ROOT, tmp_path_factory.mktemp("built") / "産業 クラスター")
    command = [sys.executable, "-m", "clusterpolicy", "report"]
    done = subprocess.run(
        command, cwd=folder, env=outside(folder), capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "run again" not in done.stdout
    return folder


@pytest.fixture(scope="session")
def root():
    """Root of the repository that these tests belong to."""
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """Folder of published files that are too large, or not ours, to be carried in the repository.

    The tests that read it compare our tables with the files they were compiled from. It is named by
    ``CLUSTERPOLICY_SHARED`` or lies beside the repository; where it is missing they are skipped.
    """
    named = os.environ.get("CLUSTERPOLICY_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not folder.is_dir():
        # Named and not there is a mistake of the caller, not a machine without the files.
        assert not named, f"CLUSTERPOLICY_SHARED={named}: there is no such folder: correct the path"
        pytest.skip(f"the published files are not at {folder}: name them in CLUSTERPOLICY_SHARED")
    return folder


# Years that the published totals of prefecture_shipments need, and one of each base of accounts.
SHORT_YEARS = ("2001", "2008", "2010", "2012")
SHORT_PREFECTURE = "16"


@pytest.fixture(scope="session")
def short_raw(tmp_path_factory):
    """Copy of ``data/raw`` with parts of the long tables: read in no time.

    Four years, two industries, one prefecture of the municipalities.

    Every rule of a raw table and every reference between tables still has something to hold.
    """
    folder = tmp_path_factory.mktemp("short") / "raw"
    folder.mkdir()
    for path in sorted((ROOT / "data" / "raw").glob("*.csv")):
        header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if path.stem.startswith("cell_product"):
            lines = [line for line in lines if line.split(",")[1] in ("food", "textiles")]
        elif header.startswith("muni_code_2015,"):
            lines = [line for line in lines if line.startswith(SHORT_PREFECTURE)]
        elif path.stem.startswith("prefecture_") and header.split(",")[1] in ("year", "fy"):
            years = {line.split(",")[1] for line in lines}
            kept = years.intersection(SHORT_YEARS) or {max(years)}
            lines = [line for line in lines if line.split(",")[1] in kept]
        (folder / path.name).write_text("".join([header, *lines]), encoding="utf-8", newline="")
    return folder


@pytest.fixture(scope="session")
def raw_tables():
    """Checked raw tables of the repository by name; a test that changes one copies it first."""
    from clusterpolicy import panel

    return panel.read_raw()


@pytest.fixture(scope="session")
def real_study(raw_tables):
    """Clean tables of the study, made from ``data/raw`` and never from a build that lies about."""
    from clusterpolicy import panel

    return panel.clean_all(raw_tables)
