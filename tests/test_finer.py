"""Rung 2 is loaded whole or not at all, and a report knows when it comes, changes and goes."""

import ast
import dataclasses
import shutil

import pandas as pd
import pytest
from small_study import SmallStudy

from clusterpolicy import sources
from clusterpolicy.findings import answers
from clusterpolicy.finerdata import finer

LOAD = """
from clusterpolicy.finerdata import finer
study = finer.load()
print("stands on rung 1" if study is None else f"stands on {len(study.units)} municipalities")
"""


def tables(municipalities, raw_folder=None):
    names = [field.name for field in dataclasses.fields(finer.FinerStudy)]
    made = {name: pd.DataFrame({"row": [1]}) for name in names}
    made["units"] = pd.DataFrame({"muni_code_2015": municipalities})
    made["made_with"] = finer.record_files(raw_folder)
    return finer.FinerStudy(**made)


@pytest.fixture
def folder(tmp_path):
    saved = tmp_path / "rung2"
    finer.save(tables(["01100"]), saved)
    return saved


def test_where_nothing_was_made_there_is_no_rung_2(tmp_path):
    assert finer.load(tmp_path / "rung2") is None


def test_what_was_saved_is_loaded_and_nothing_of_an_older_edition_stays(folder):
    (folder / "abolished.parquet").touch()
    finer.save(tables(["01100", "01202"]), folder)
    assert list(finer.load(folder).units["muni_code_2015"]) == ["01100", "01202"]
    assert not (folder / "abolished.parquet").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["rung2"]


def test_a_save_that_fails_leaves_the_old_tables(folder, monkeypatch):
    def fails(study, folder, with_csv):
        folder.mkdir()
        (folder / "units.parquet").write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(finer.panel, "save", fails)
    with pytest.raises(OSError, match="disk full"):
        finer.save(tables(["01100", "01202"]), folder)
    assert list(finer.load(folder).units["muni_code_2015"]) == ["01100"]


def test_a_table_that_is_missing_is_named(folder):
    (folder / "units.parquet").unlink()
    with pytest.raises(sources.InputMissing, match="rung2: tables missing: units: run `make data`"):
        finer.load(folder)


def test_a_damaged_table_is_named_when_it_is_used(folder):
    (folder / "units.parquet").write_bytes(b"not a table")
    study = finer.load(folder)
    with pytest.raises(sources.InputMissing, match=r"units.parquet: missing or damaged"):
        _ = study.units
    with pytest.raises(AttributeError, match="FinerStudy has no table 'towns'"):
        _ = study.towns


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "rung2").touch()
    with pytest.raises(sources.InputMissing, match="rung2: Not a directory"):
        finer.load(tmp_path / "rung2")


def test_tables_made_with_other_raw_tables_or_modules_are_refused(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    shutil.copytree(sources.RAW, raw)
    finer.save(tables(["01100"], raw), tmp_path / "rung2")
    assert len(finer.load(tmp_path / "rung2", raw).units) == 1
    with (raw / "industry_groups.csv").open("a") as groups:
        groups.write("g99,Toys,12,32,OWN,\n")
    with pytest.raises(sources.InputMissing, match=r"another data/raw/industry_groups\.csv"):
        finer.load(tmp_path / "rung2", raw)
    (raw / "industry_groups.csv").unlink()
    with pytest.raises(sources.InputMissing, match=r"industry_groups\.csv: no such file"):
        finer.load(tmp_path / "rung2", raw)
    monkeypatch.setattr(finer, "MODULES", (*finer.MODULES, "breaks"))
    with pytest.raises(
        sources.InputMissing, match=r"another src/clusterpolicy/finerdata/breaks\.py"
    ):
        finer.load(tmp_path / "rung2")


def test_every_module_that_makes_a_table_is_looked_at(root):
    tree = ast.parse((root / "src/clusterpolicy/finerdata/rung2.py").read_text(encoding="utf-8"))
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (root / "src" / node.module.replace(".", "/")).is_dir()
        for name in node.names
    }
    # These only read and check, or hand over the raw tables that are looked at themselves.
    assert imported - set(finer.MODULES) == {"cleaning", "downloads", "rules", "sources"}


def test_a_report_is_made_again_when_rung_2_comes_changes_and_goes(tmp_path):
    study = SmallStudy(tmp_path / "study")
    study.clean_with(LOAD)
    shutil.copytree(sources.RAW, study.root / "data/raw", dirs_exist_ok=True)
    folder = study.root / "data/clean/rung2"

    def page():
        done = study.report("data-quality")
        assert done.code == 0, done.err
        return study.pages()["data-quality.html"].decode(), done.out + done.err

    assert "stands on rung 1" in page()[0]
    assert "nothing to do" in page()[1]
    finer.save(tables(["01100"]), folder)
    assert "stands on 1 municipalities" in page()[0]
    finer.save(tables(["01100", "01202"]), folder)
    assert "stands on 2 municipalities" in page()[0]
    assert "nothing to do" in page()[1]
    shutil.rmtree(folder)
    assert "stands on rung 1" in page()[0]


def test_each_page_can_say_which_rung_it_stands_on(folder):
    alone = answers.rung_sentence(finer.load(folder.parent / "nowhere"))
    assert "stands on rung 1 of" in alone
    assert "the README says how to fetch it" in alone
    both = answers.rung_sentence(finer.load(folder))
    assert "stands on rungs 1 and 2 of" in both
    assert "1 municipalities" in both
