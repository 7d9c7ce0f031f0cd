"""Records of a user's own become cells: each counted once, every fault named, in little memory."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from clusterpolicy import effects, panel, sources
from clusterpolicy.finerdata import collapse

_spec = importlib.util.spec_from_file_location(
    "bench_collapse", ROOT / "benchmarks" / "bench_collapse.py"
)
bench_collapse = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bench_collapse)
INDUSTRIES = sources.read_raw("account_industries")
MEASURES = ["employees", "sales"]
HEADER = "id,year,pref_code,jsic2_code,employees,sales\n"
ROWS = [
    "a,2001,01,09,10,100.5",
    "b,2001,01,10,20,",  # codes 09 and 10 are both food
    "c,2001,01,11,5,7",
    "d,2003,47,09,1,0",
]


@pytest.fixture
def collapsed(tmp_path):
    """Return a function that writes records and adds them up."""

    def write_and_collapse(rows, header=HEADER, measures=MEASURES, **more):
        path = tmp_path / "records.csv"
        content = rows if isinstance(rows, bytes) else (header + "\n".join(rows) + "\n").encode()
        path.write_bytes(content)
        return collapse.collapse_to_cells(path, measures, "b2005", INDUSTRIES, **more)

    return write_and_collapse


def cell(cells, pref_code, industry, year):
    keys = ["pref_code", "industry", "year"]
    return cells.set_index(keys).loc[(pref_code, industry, year)]


def test_records_are_added_up_and_gaps_never_pass_for_figures(collapsed):
    cells = collapsed(ROWS)
    assert sorted(set(cells["year"])) == [2001, 2003]
    assert len(cells) == 2 * 47 * (INDUSTRIES["base"] == "b2005").sum()
    food = cell(cells, "01", "food", 2001)
    assert food[["records", "employees", "employees_status"]].tolist() == [2, 30, "observed"]
    assert np.isnan(food["sales"])
    assert food[["sales_status", "sales_known", "sales_gaps"]].tolist() == ["unmarked", 100.5, 1]
    zero = cell(cells, "47", "food", 2003)
    assert zero[["sales", "sales_status"]].tolist() == [0, "observed"]
    none = cell(cells, "02", "food", 2001)
    assert none[["records", "sales_status", "sales_known"]].tolist() == [0, "nil", 0]
    assert np.isnan(none["sales"])


def test_many_records_in_many_pieces_are_those_of_pandas(tmp_path, monkeypatch):
    monkeypatch.setattr(collapse, "PIECE_BYTES", 1 << 14)
    monkeypatch.setattr(collapse, "PIECE_ROWS", 1 << 9)
    measures = ["employees", "shipments_million_yen"]
    found = {}
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"records.{suffix}"
        bench_collapse.write_records(path, 5_000)
        found[suffix] = collapse.collapse_to_cells(path, measures, "b2005", INDUSTRIES)
    pd.testing.assert_frame_equal(found["csv"], found["parquet"])
    records = pd.read_csv(tmp_path / "records.csv", dtype={"pref_code": str, "jsic2_code": str})
    code_of = {
        code: row.industry
        for row in INDUSTRIES[INDUSTRIES["base"] == "b2005"].itertuples()
        for code in row.jsic_rev12.split(";")
    }
    keys = ["pref_code", "industry", "year"]
    expected = records.assign(industry=records["jsic2_code"].map(code_of)).groupby(keys)[measures]
    told = found["csv"][found["csv"]["records"] > 0].set_index(keys)
    pd.testing.assert_frame_equal(
        told[measures].sort_index(), expected.sum().astype(float), check_like=True
    )
    assert (told["records"].sort_index() == expected.size()).all()


def test_a_byte_order_mark_and_quotes_in_the_header_do_no_harm(collapsed):
    header = "\ufeff" + ",".join(f'"{name}"' for name in HEADER.strip().split(",")) + "\n"
    pd.testing.assert_frame_equal(collapsed(ROWS, header), collapsed(ROWS))


PLAIN = "not a number: write plain digits, or leave it empty"
CODE = (
    "no industry of manufacturing in JSIC revision 12 that base b2005 tells: convert the code, or "
    "leave the record out"
)
PREFECTURE = "not a prefecture code: write 01 to 47 with its leading zero"
FAULTS = {
    "prefecture without its zero": (
        ["a,2001,1,09,1,1"],
        f"records.csv:2: column pref_code: found '1': {PREFECTURE}",
    ),
    "prefecture in full-width digits": (
        [ROWS[0], "a,2001,０１,09,1,1"],
        f"records.csv:3: column pref_code: found '０１': {PREFECTURE}",
    ),
    "no prefecture": (
        ["a,2001,,09,1,1"],
        f"records.csv:2: column pref_code: found '': {PREFECTURE}",
    ),
    "era year": (
        ["a,H13,01,09,1,1"],
        "records.csv:2: column year: found 'H13': not a year: write four digits, 1900 to 2099",
    ),
    "services": (["a,2001,01,39,1,1"], f"records.csv:2: column jsic2_code: found '39': {CODE}"),
    "code without its zero": (
        ["a,2001,01,9,1,1"],
        f"records.csv:2: column jsic2_code: found '9': {CODE}",
    ),
    "mark": (
        [*ROWS, "e,2001,01,09,X,1"],
        f"records.csv:6: column employees: found 'X': {PLAIN}",
    ),
    "thousands separator": (
        ['e,2001,01,09,"1,234",1'],
        f"records.csv:2: column employees: found '1,234': {PLAIN}",
    ),
    "full-width digits": (
        ["e,2001,01,09,１,1"],
        f"records.csv:2: column employees: found '１': {PLAIN}",
    ),
    "not a number": (
        ["e,2001,01,09,nan,1"],
        f"records.csv:2: column employees: found 'nan': {PLAIN}",
    ),
    "infinite": (["e,2001,01,09,1,inf"], f"records.csv:2: column sales: found 'inf': {PLAIN}"),
    "below zero": (
        ["e,2001,01,09,1,-3"],
        "records.csv:2: column sales: found '-3.0': below zero: correct it, or name the measure in "
        "`signed`",
    ),
    "several": (
        ["e,2001,01,09,X,1", "e,01,1,09,1,1"],
        f"records.csv:2: column employees: found 'X': {PLAIN} (2 more faults in this file)",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_named_by_line_and_the_others_counted(collapsed, case):
    rows, message = FAULTS[case]
    with pytest.raises(sources.DataFault) as fault:
        collapsed(rows)
    assert str(fault.value) == message


def test_the_first_thousand_faults_are_kept_as_rows(collapsed):
    with pytest.raises(sources.DataFault, match=r"\(2,499 more faults in this file\)") as fault:
        collapsed(["a,2001,1,09,1,1"] * 2500)
    assert [row["line"] for row in fault.value.rows] == list(range(2, 1002))


def test_a_measure_may_be_below_zero_where_it_is_said(collapsed):
    cells = collapsed(["e,2001,01,09,1,-3"], signed=["sales"])
    assert cell(cells, "01", "food", 2001)["sales"] == -3


DAMAGED = {
    "a column that is not there": (HEADER.replace("sales", "shipments"), "missing ['sales']"),
    "a column twice": (HEADER.replace("id", "sales"), "twice ['sales']"),
}


@pytest.mark.parametrize(("header", "message"), DAMAGED.values(), ids=DAMAGED)
def test_the_columns_must_be_there_once(collapsed, header, message):
    with pytest.raises(sources.DataFault) as fault:
        collapsed(ROWS, header)
    assert message in str(fault.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html></html>\n", HEADER.encode("utf-16"), (HEADER + "a,2001,01\n").encode()],
    ids=["empty", "web page", "UTF-16", "short row"],
)
def test_what_is_no_table_of_records_is_refused_by_name(collapsed, content):
    with pytest.raises(sources.DataFault, match=r"^records\.csv"):
        collapsed(content)


def test_a_file_that_is_not_there_or_of_another_kind_is_missing_input(tmp_path):
    for name, message in (
        ("nowhere.csv", r"^nowhere\.csv: no such file"),
        ("nowhere.parquet", r"^nowhere\.parquet: no such file"),
        ("records.sav", r"^records\.sav: neither \.csv nor \.parquet"),
    ):
        with pytest.raises(sources.InputMissing, match=message):
            collapse.collapse_to_cells(tmp_path / name, MEASURES, "b2005", INDUSTRIES)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(sources.DataFault, match=r"^bad\.parquet"):
        collapse.collapse_to_cells(tmp_path / "bad.parquet", MEASURES, "b2005", INDUSTRIES)
    with pytest.raises(ValueError, match="base 'b1990': choose one of b1995"):
        collapse.collapse_to_cells(tmp_path / "x.csv", MEASURES, "b1990", INDUSTRIES)


def test_cells_of_records_go_through_the_designs_of_the_study(real_study, tmp_path):
    """Records that add up to the accounts give the estimate of the accounts."""
    base = "b2000"
    carried = real_study.cell_panel[real_study.cell_panel["base"] == base]
    code_of = INDUSTRIES[INDUSTRIES["base"] == base].set_index("industry")["jsic_rev12"]
    records = carried[carried["status"] == "observed"].assign(
        year=lambda table: table["fy"],
        jsic2_code=lambda table: table["industry"].map(code_of).str[:2],
        product=lambda table: table["product_million_yen"],
    )
    path = tmp_path / "records.csv"
    records[["year", "pref_code", "jsic2_code", "product"]].to_csv(path, index=False)
    cells = collapse.collapse_to_cells(path, ["product"], base, INDUSTRIES, signed=["product"])
    own = collapse.to_cell_panel(cells, "product")
    study = panel.Study(**{**dict(real_study.items()), "cell_panel": own})
    design = effects.main_design(real_study, 1, "funded", "broad")
    ours, theirs = (effects.cell_sample(each, design) for each in (study, real_study))
    keys = ["pref_code", "industry", "fy"]
    one, other = (each.rows.sort_values(keys, ignore_index=True) for each in (ours, theirs))
    assert len(one) > 5000
    pd.testing.assert_frame_equal(one[list(other.columns)], other)
