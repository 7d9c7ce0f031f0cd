"""The carried tables are what the published files yield, byte for byte, quickly, in any order."""

import os
import shutil
import subprocess
import sys

import pytest
import real_files
from conftest import copy_repository
from test_finer import put

from clusterpolicy import sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import census, derive

SECONDS, MEGABYTES = 20, 1000
MEASURE_IT = """
import resource, sys, time
from pathlib import Path
from clusterpolicy.finerdata import derive, downloads
raw = derive.read_inputs()
began = time.process_time()
derive.derive(raw, downloads.read_registry(), Path(sys.argv[1]))
unit = 1 if sys.platform == "darwin" else 1024
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
"""
JOBS = "municipal_group_employees"
CARRIED = ("municipal_", "account_check", "prefecture_outlines")


@pytest.fixture(scope="module")
def tables(shared):
    return derive.derive(derive.read_inputs(), real_files.registry(), shared / "mirror")


@pytest.fixture(scope="module")
def derived(tables, tmp_path_factory):
    return derive.write(tables, tmp_path_factory.mktemp("clean") / "derived")


@pytest.fixture
def carried_copy(tmp_path):
    """What is carried, as if it had been derived: no published file is needed."""
    folder = tmp_path / "derived"
    folder.mkdir()
    for path in sources.RAW.glob("*.csv"):
        if path.stem.startswith(CARRIED):
            shutil.copy(path, folder)
    return folder


# --- derived == carried ------------------------------------------------------------------------


def test_what_is_derived_is_what_is_carried(derived, root):
    names = derive.compare(derived)
    carried = [name for name in rules.RULES if name.startswith(CARRIED)]
    assert sorted(names) == sorted(carried)
    for name in names:
        ours = (root / "data/raw" / f"{name}.csv").read_bytes()
        assert ours == (derived / f"{name}.csv").read_bytes()
        assert b"\r" not in ours


@pytest.mark.slow
def test_the_order_of_the_lines_of_a_file_changes_nothing(shared, tables, monkeypatch):
    read = census.read_census

    def shuffled(path, year):
        table = read(path, year)
        mixed = table.sample(frac=1, random_state=year).reset_index(drop=True)
        mixed.attrs = table.attrs
        return mixed

    monkeypatch.setattr(census, "read_census", shuffled)
    registry = real_files.registry().iloc[::-1].reset_index(drop=True)
    again = derive.derive(derive.read_inputs(), registry, shared / "mirror")
    assert {name for name in tables if not again[name].equals(tables[name])} == set()


def test_a_digit_that_differs_is_named_with_both_values_and_what_to_do(carried_copy, tmp_path):
    raw = shutil.copytree(carried_copy, tmp_path / "raw")
    assert len(derive.compare(carried_copy, raw)) == 14
    before = put(raw / f"{JOBS}.csv", 40, "2006", "77777")
    with pytest.raises(derive.NotReproduced) as fault:
        derive.compare(carried_copy, raw)
    assert str(fault.value) == (
        f"{JOBS}.csv:40: column 2006: found '77777', derived '{before}': restore it with "
        f"`git checkout -- {JOBS}.csv`, or look at {JOBS}.csv and take what was derived with "
        "`python -m clusterpolicy data --accept`"
    )
    assert isinstance(fault.value, sources.InputMissing)  # exit code 4
    put(raw / "municipal_units.csv", 2, "years_told", "3")
    with pytest.raises(derive.NotReproduced, match=r"\(1 more tables differ\)"):
        derive.compare(carried_copy, raw)


def cut_last_line(text):
    return text[: text.rstrip("\n").rindex("\n") + 1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (cut_last_line, "no such line"),
        (lambda text: text + "2013,1,1,1,1,1,1,1,S08\n", "a line too many"),
        (lambda text: text.replace("\n", "\r\n"), "line ends or quotes"),
        (lambda text: text.replace("listed", "areas"), ":1: column listed: found 'areas'"),
    ],
)
def test_lines_and_line_ends_that_differ_are_told(carried_copy, tmp_path, change, told):
    raw = shutil.copytree(carried_copy, tmp_path / "raw")
    path = raw / "municipal_areas.csv"
    path.write_bytes(change(path.read_text(encoding="utf-8")).encode())
    with pytest.raises(derive.NotReproduced) as fault:
        derive.compare(carried_copy, raw)
    assert told in str(fault.value)


def test_a_table_that_is_not_carried_is_told_and_can_be_accepted(carried_copy, tmp_path):
    raw = shutil.copytree(carried_copy, tmp_path / "raw")
    (raw / "municipal_areas.csv").unlink()
    put(raw / f"{JOBS}.csv", 40, "2006", "77777")
    with pytest.raises(derive.NotReproduced, match=r"municipal_areas\.csv: missing"):
        derive.compare(carried_copy, raw)
    assert derive.accept(carried_copy, raw) == ["municipal_areas", JOBS]
    assert len(derive.compare(carried_copy, raw)) == 14
    assert derive.accept(carried_copy, raw) == []


@pytest.mark.slow
def test_make_data_reproduces_refuses_and_accepts(shared, tmp_path):
    root = copy_repository(tmp_path / "study")
    path = root / "data/raw/municipal_shipments.csv"
    carried = path.read_bytes()

    def data(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "clusterpolicy", "data", *arguments],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root / "src"), "DATA_MIRROR": f"{shared}/mirror"},
            capture_output=True,
            text=True,
        )

    done = data()
    assert done.returncode == 0, done.stderr
    assert "data/raw: 14 tables reproduced from the published files, byte for byte" in done.stdout
    before = put(path, 2, "1980", "1")
    done = data()
    assert done.returncode == 4
    assert done.stderr.startswith(
        f"data/raw/municipal_shipments.csv:2: column 1980: found '1', derived '{before}'"
    )
    assert done.stderr.count("\n") == 1
    assert path.read_bytes() != carried  # never silently
    path.write_text("muni_code_2015\n", encoding="utf-8")  # breaks its rules too
    assert data().returncode == 3
    done = data("--accept")
    assert done.returncode == 0, done.stderr
    assert "data/raw/municipal_shipments.csv: taken from the published files" in done.stdout
    assert path.read_bytes() == carried


# --- what the published files must keep --------------------------------------------------------


def test_the_files_are_what_their_publishers_say(tables):
    areas = tables["municipal_areas"].set_index("year")
    assert (areas.loc["2001", "listed"], areas.loc["2012", "listed"]) == ("3354", "1897")
    assert (areas["without_successor"] == "0").all()
    check = tables["municipal_prefecture_check"]
    assert (check["equal"] == check["compared"]).all()
    jobs = check[check["measure"] == "employees"].set_index("year")
    assert (jobs.loc[["2005", "2008", "2012"], "equal"] == "47").all()
    accounts = tables["account_check"]
    assert (accounts["equal"] == accounts["cells"]).all()


def test_bounds_enclose_one_another_and_every_change_is_told(tables):
    bounds = tables["municipal_bounds"].astype({"low": float, "high": float})
    assert (bounds["high"] >= bounds["low"]).all()
    assert bounds["kind"].value_counts().to_dict() == {"prefecture": 47, "industry": 20}
    changes = tables["municipal_changes"]
    assert (changes["rows"].astype(int) > 0).all()
    told = " ".join(changes["rule"])
    for rule in ("mark to status", "gap to status", "10,000 yen", "2015 boundaries", "lost minus"):
        assert rule in told


def test_a_cell_that_differs_from_the_workbook_is_refused(shared, raw_tables):
    cells = raw_tables["cell_product_b2005"].copy()
    cells.attrs = raw_tables["cell_product_b2005"].attrs
    cells.loc[2, "2001"] = str(int(cells.loc[2, "2001"]) + 1)
    with pytest.raises(sources.DataFault) as raised:
        derive.check_accounts(
            {**raw_tables, "cell_product_b2005": cells}, real_files.registry(), shared / "mirror"
        )
    assert "data/raw/cell_product_b2005.csv: prefecture 01, food, fiscal year 2001" in str(
        raised.value
    )
    assert "(1 such cells)" in str(raised.value)


def test_a_conversion_to_the_wrong_municipalities_stops_everything(shared, raw_tables, monkeypatch):
    lines, _ = real_files.municipal_census(shared)
    right = real_files.converter(shared)
    # Everything is one line off, as when a column of codes slips against the other.
    wrong = right.assign(muni_code_2015=right["muni_code_2015"].shift(1).bfill())
    monkeypatch.setattr(derive.census, "read_all", lambda *_: lines)
    monkeypatch.setattr(derive.municipalities, "read_converter", lambda _: wrong)
    with pytest.raises(sources.DataFault, match="differ by more than 1 %, most of all"):
        derive.derive(raw_tables, real_files.registry(), shared / "mirror")


def test_a_file_that_is_not_the_registered_one_stops_everything(shared, raw_tables):
    registry = real_files.registry().assign(sha256="0" * 64)
    with pytest.raises(sources.InputMissing, match="expected 0000"):
        derive.derive(raw_tables, registry, shared / "mirror")


def test_all_of_it_takes_seconds_and_little_memory(shared, root):
    run = subprocess.run(
        [sys.executable, "-c", MEASURE_IT, str(shared / "mirror")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
    )
    seconds, megabytes = map(float, run.stdout.split())
    assert seconds < SECONDS
    assert megabytes < MEGABYTES
