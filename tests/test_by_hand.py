"""An analyst runs the notebooks without the runner, from any folder, and nothing is published."""

import os
import subprocess
import sys

import pytest
from conftest import copy_repository

NOTEBOOKS = ("1-clean-clusters", "2-evaluate-term", "4-compare-terms")


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
def terms(copy):
    """Results of all three terms, which the last notebook reads."""
    code = (
        "from clusterpolicy import panel, results\n"
        "study = panel.build()\n"
        "for term in (1, 2, 3):\n"
        "    results.save_results(results.estimate_term(study, term, draws=199), f'term-{term}')"
    )
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["root", "notebooks", "elsewhere"])
@pytest.mark.parametrize("name", NOTEBOOKS)
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
        done = execute("2-evaluate-term", copy, copy)
    finally:
        table.write_bytes(content)
    assert done.returncode != 0
    assert "data/clean/terms.parquet: missing" in done.stderr
    assert "make data" in done.stderr
