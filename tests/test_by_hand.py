"""An analyst runs the notebooks without the runner, from any folder, and nothing is published."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import copy_repository

PLACES = ("root", "notebooks", "elsewhere")
RUNS = [
    *(("1-clean-clusters", place) for place in PLACES),
    # The same first cells and the same ways to the data: one place will do.
    ("2-estimate-term", "elsewhere"),
    ("3-estimate-project", "elsewhere"),
    ("4-try-methods", "elsewhere"),
    ("5-measure-landscape", "elsewhere"),
    ("6-check-data", "elsewhere"),
    ("7-evaluate-term", "elsewhere"),
    ("8-profile-project", "elsewhere"),
    ("9-compare-terms", "elsewhere"),
    ("10-check-methods", "elsewhere"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the repository in a folder with a blank and Japanese letters in its name."""
    return copy_repository(tmp_path_factory.mktemp("by hand") / "手 で")


def execute(name, copy, folder):
    return subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", str(copy / "notebooks" / f"{name}.ipynb")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def terms(copy, built):
    """Clean tables and results of all terms and projects, which the overview reads."""
    for name in ("clean", "results"):
        shutil.copytree(built / "data" / name, copy / "data" / name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), RUNS)
def test_a_notebook_runs_from_any_folder_and_publishes_nothing(name, place, copy, terms, tmp_path):
    folder = {"root": copy, "notebooks": copy / "notebooks", "elsewhere": tmp_path}[place]
    source = copy / "notebooks" / f"{name}.ipynb"
    before = source.read_bytes()
    done = execute(name, copy, folder)
    assert done.returncode == 0, done.stderr
    assert not (copy / "reports").exists()
    assert source.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_notebook_whose_data_are_missing_says_what_to_run(copy, terms):
    table = copy / "data/clean/terms.parquet"
    content = table.read_bytes()
    table.unlink()
    try:
        done = execute("7-evaluate-term", copy, copy)
    finally:
        table.write_bytes(content)
    assert done.returncode != 0
    assert "data/clean/terms.parquet: missing" in done.stderr
    assert "make data" in done.stderr
