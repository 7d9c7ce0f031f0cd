"""Municipal tables come from data/raw, checked; what contradicts is named by file, line, column."""

import shutil

import pandas as pd
import pytest

from clusterpolicy import panel, sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import carried, finer

PLANTS, JOBS, SHIPMENTS = carried.GROUP_TABLES.values()


def put(path, line, column, text):
    """Write one cell of a table; return what stood there."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    header, fields = (lines[at].rstrip("\n").split(",") for at in (0, line - 1))
    at = header.index(column)
    before, fields[at] = fields[at], text
    lines[line - 1] = ",".join(fields) + "\n"
    path.write_text("".join(lines), encoding="utf-8", newline="")
    return before


def find(path, code, group):
    """Return the line of a municipality and group."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(at for at, line in enumerate(lines, 1) if line.startswith(f"{code},{group},"))


@pytest.fixture
def folder(short_raw, tmp_path):
    """A copy of the raw tables with the municipalities of one prefecture: Toyama."""
    return shutil.copytree(short_raw, tmp_path / "raw")


@pytest.fixture(scope="module")
def study(raw_tables):
    return finer.clean(raw_tables)


# --- what is read ------------------------------------------------------------------------------


def test_each_value_has_a_status_and_stands_only_where_one_was_seen(study):
    keys = {
        "municipal_totals": ["year", "muni_code_2015"],
        "municipal_groups": ["year", "muni_code_2015", "industry_group"],
        "municipal_shipments": ["muni_code_2015", "year"],
    }
    for name, key in keys.items():
        table = getattr(study, name)
        assert not table.duplicated(key).any(), name
        for column in carried.MEASURES:
            if column in table:
                is_seen = table[f"{column}_status"] == "observed"
                assert (table[column].notna() == is_seen).all(), f"{name}.{column}"
                assert table[column].dtype == float
                assert table[f"{column}_status"].cat.ordered


def test_suppressed_nil_and_untold_are_three_things(study, raw_tables):
    groups = study.municipal_groups
    counts = groups["shipments_million_yen_status"].value_counts()
    assert (counts["observed"], counts["hidden"]) == (100_623, 51_011)
    assert (groups["establishments_status"] == "observed").all()
    assert groups["employees"].min() > 0  # no hidden cell has become 0
    panel_status = study.municipal_shipments["shipments_million_yen_status"].value_counts()
    assert (panel_status["nil"], panel_status["unmarked"]) == (269, 1_498)
    plants = raw_tables[PLANTS].set_index(["muni_code_2015", "industry_group"])
    # Hakodate took towns in whose industries nobody was told before: not told is not nil.
    hakodate = plants.loc[("01202", "g15"), "2001":"2005"]
    assert hakodate.tolist() == ["1", "", "", "-", "-"]


def test_the_tables_have_the_columns_that_other_modules_build_on(study):
    measures = [name for each in carried.MEASURES for name in (each, f"{each}_status")]
    keys = ["year", "pref_code", "muni_code_2015"]
    assert list(study.municipal_groups) == [*keys, "industry_group", *measures]
    assert list(study.municipal_totals) == [*keys, *measures]
    assert list(study.units) == ["muni_code_2015", "years", "is_constant"]
    assert study.units["is_constant"].sum() == (study.units["years"] == 12).sum() == 383
    assert len(study.municipal_groups) == 151_634
    assert len(study.municipal_shipments) == 1_741 * 42


def test_numbers_of_industries_are_named_by_their_revision(study):
    numbers = study.industry_numbers.set_index(["jsic2_code", "year"])
    assert numbers.loc[("18", 2007), "group_name"] != numbers.loc[("18", 2008), "group_name"]
    plants = numbers.loc["18", "establishments"]
    assert round(100 * (plants[2008] / plants[2007] - 1)) == 1597


@pytest.mark.parametrize(
    ("text", "value", "status"),
    [("12.5", 12.5, "observed"), ("X", None, "hidden"), ("*", None, "not collected")],
)
def test_a_cell_is_a_figure_or_what_its_symbol_says(text, value, status):
    raw = pd.DataFrame({"muni_code_2015": ["01100"], "source": ["S08"], "2001": [text]})
    long = carried.lengthen(raw, "employees", ["muni_code_2015"])
    assert long["employees"].tolist() == [pytest.approx(value, nan_ok=True)] or value is None
    assert long["employees_status"].tolist() == [status]
    wide = carried.widen(long, "employees", ["muni_code_2015"], "S08")
    pd.testing.assert_frame_equal(wide, raw, check_names=False, check_dtype=False)


def test_a_status_without_a_symbol_is_not_written():
    status = pd.Series(["blocked"], dtype=carried.marks.STATUS)
    with pytest.raises(ValueError, match="No symbol for the status 'blocked'"):
        carried.print_cells(pd.Series([float("nan")]), status)


# --- what contradicts --------------------------------------------------------------------------

CODE = "16201"  # Toyama


def broken(folder, name, line, column, text):
    put(folder / f"{name}.csv", line, column, text)
    with pytest.raises(sources.DataFault) as fault:
        finer.clean(panel.read_raw(folder))
    assert str(fault.value).startswith(f"{name}.csv:"), fault.value
    return str(fault.value)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (PLANTS, "X", "not a number of establishments, which is never hidden"),
        (JOBS, "12.5", "neither a number of persons nor a symbol"),
        (SHIPMENTS, "1,5", "found 16 fields"),
        (SHIPMENTS, "１", "neither an amount nor a symbol"),
        (SHIPMENTS, "0.125", "two decimals at most"),
    ],
)
def test_a_broken_rule_names_file_line_and_column(folder, name, text, reason):
    told = broken(folder, name, 3, "2005", text)
    assert told.startswith(f"{name}.csv:3: ")
    assert "column 2005" in told or "fields" in told
    assert reason in told


def test_groups_add_up_to_their_municipality(folder):
    line = find(folder / f"{PLANTS}.csv", CODE, "all")
    before = put(folder / f"{PLANTS}.csv", line, "2008", "1")
    assert f"{PLANTS}.csv:{line}: column 2008: found '1': its groups add up to {before}" in broken(
        folder, PLANTS, line, "2008", "1"
    )


def test_jobs_that_are_all_told_add_up_exactly(folder, raw_tables):
    path = folder / f"{JOBS}.csv"
    line = find(path, CODE, "all")
    before = put(path, line, "2010", "9")  # in 2010 no jobs are hidden
    told = broken(folder, JOBS, line, "2010", str(int(before) + 1))
    assert told.startswith(f"{JOBS}.csv:{line}: column 2010: found '{int(before) + 1}'")
    assert f"its groups add up to {before}" in told


def test_a_hidden_cell_cannot_become_nil_nor_a_line_be_in_one_table_only(folder):
    path = folder / f"{SHIPMENTS}.csv"
    rows = path.read_text(encoding="utf-8").splitlines()
    line = next(at for at, row in enumerate(rows, 1) if row.startswith(CODE) and ",X" in row)
    year = rows[0].split(",")[rows[line - 1].split(",").index("X")]
    told = broken(folder, SHIPMENTS, line, year, "-")
    assert told.startswith(f"{SHIPMENTS}.csv:{line}: column {year}: found '-'")
    assert f"{PLANTS}.csv has " in told


def test_an_empty_cell_that_is_known_to_be_nil_is_refused(folder):
    rows = (folder / f"{PLANTS}.csv").read_text(encoding="utf-8").splitlines()
    line = next(at for at, row in enumerate(rows, 1) if ",-" in row)
    year = rows[0].split(",")[rows[line - 1].split(",").index("-")]
    told = broken(folder, PLANTS, line, year, "")
    assert told.startswith(f"{PLANTS}.csv:{line}: column {year}: found ''")
    assert "write -, or correct the sum" in told


def test_a_row_that_one_table_lacks_is_named(folder):
    path = folder / f"{JOBS}.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    gone = lines.pop(4).split(",")[:2]
    path.write_text("".join(lines), encoding="utf-8", newline="")
    with pytest.raises(sources.DataFault, match=f"found '{gone[0]}, {gone[1]}': no row for one"):
        finer.clean(panel.read_raw(folder))


def test_years_told_and_unknown_municipalities_and_groups_are_held_against_the_tables(folder):
    assert "told in full in 8 years" in broken(folder, "municipal_units", 2, "years_told", "12")
    put(folder / "municipal_units.csv", 2, "years_told", "8")
    put(folder / "municipal_shipments.csv", 2, "muni_code_2015", "16999")
    with pytest.raises(sources.DataFault, match=r"municipal_shipments\.csv:2: column muni_code"):
        panel.read_raw(folder)
    put(folder / "municipal_shipments.csv", 2, "muni_code_2015", CODE)
    put(folder / f"{PLANTS}.csv", 3, "industry_group", "g99")
    with pytest.raises(sources.DataFault, match=r"'g99': unknown code: correct it, or add it to"):
        panel.read_raw(folder)


def test_a_figure_of_the_panel_that_the_census_contradicts_is_named(folder):
    path = folder / "municipal_shipments.csv"
    put(path, 3, "2005", "1")
    told = broken(folder, "municipal_shipments", 2, "2006", "7")
    assert told.startswith("municipal_shipments.csv:")
    assert ": column 200" in told
    assert "2 of " in told


def test_shipments_that_the_other_panel_contradicts_are_refused():
    def check(gaps):
        census = pd.Series([100.0 * (1 + gap) for gap in gaps])
        return pd.DataFrame(
            {"muni_code_2015": "01100", "year": 2001, "census": census, "panel": 100.0}
        ).assign(gap=lambda table: table["census"] / table["panel"] - 1)

    finer.require_agreement(check([0.0] * 999 + [0.5]))
    with pytest.raises(sources.DataFault, match=r"2 of 1000 municipalities .* 150 against 100"):
        finer.require_agreement(check([0.0] * 998 + [0.5, 0.02]))
    with pytest.raises(sources.DataFault, match="found no municipality in both"):
        finer.require_agreement(check([]))


# --- saved and loaded --------------------------------------------------------------------------


def test_what_was_built_is_loaded_table_by_table(short_raw, tmp_path):
    built = finer.build(panel.read_raw(short_raw), tmp_path)
    loaded = finer.load(tmp_path)
    for name, table in built.items():
        pd.testing.assert_frame_equal(getattr(loaded, name), table, check_dtype=False)
    (tmp_path / "units.parquet").write_bytes(b"not a table")
    again = finer.load(tmp_path)
    assert len(again.areas) == 12  # what is not asked for is not read
    with pytest.raises(sources.InputMissing, match=r"units.parquet: missing or damaged"):
        _ = again.units
    with pytest.raises(AttributeError, match="FinerStudy has no table 'towns'"):
        _ = again.towns


def test_every_carried_table_has_rules_and_a_size_for_diffs(root):
    names = [
        name
        for name in rules.RULES
        if name.startswith(("municipal_", "account_check", "prefecture_outlines"))
    ]
    assert len(names) == 14
    size = sum((root / "data/raw" / f"{name}.csv").stat().st_size for name in names)
    assert size < 5_000_000
