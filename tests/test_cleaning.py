"""Raw text becomes numbers with a status beside them; hidden is never zero, negative is kept."""

import math

import pandas as pd

from clusterpolicy import cleaning


def raw_table(rows, columns):
    """Text as ``sources.read_raw`` returns it: all strings, indexed by line."""
    lines = pd.Index(range(2, 2 + len(rows)), name="line")
    table = pd.DataFrame(rows, columns=columns, index=lines, dtype=str)
    table.attrs["file"] = "table.csv"
    return table


def test_a_symbol_of_the_publisher_is_a_status_and_no_number():
    value, status = cleaning.split_status(pd.Series(["12.5", "X", "-", "0", "-7"]))
    assert status.tolist() == ["observed", "hidden", "nil", "observed", "observed"]
    assert value.dropna().tolist() == [12.5, 0, -7]
    assert value.isna().tolist() == [False, True, True, False, False]


def test_cells_become_one_row_per_fiscal_year_with_the_base_beside_them():
    raw = raw_table(
        [("01", "food", "S04", "10", "X"), ("02", "food", "S04", "-3", "-")],
        ["pref_code", "industry", "source", "1996", "1997"],
    )
    cells = cleaning.clean_cell_product(raw, "b2000")
    assert cells[["base", "pref_code", "industry", "fy", "status"]].values.tolist() == [
        ["b2000", "01", "food", 1996, "observed"],
        ["b2000", "01", "food", 1997, "hidden"],
        ["b2000", "02", "food", 1996, "observed"],
        ["b2000", "02", "food", 1997, "nil"],
    ]
    assert cells["product_million_yen"].fillna(math.inf).tolist() == [10, math.inf, -3, math.inf]
    assert cells["product_million_yen"].dtype == float


def test_a_series_keeps_unit_flag_and_source_of_every_figure():
    raw = raw_table(
        [("01", "2001", "8394", "S08", "derived;ratio")],
        ["pref_code", "year", "establishments", "source", "flag"],
    )
    cleaned = cleaning.clean_prefecture_series(raw, "establishments")
    assert cleaned.to_dict("records") == [
        {
            "indicator": "establishments",
            "pref_code": "01",
            "year": 2001,
            "value": 8394.0,
            "unit": "establishments",
            "status": "observed",
            "flag": "derived;ratio",
            "source": "S08",
        }
    ]


def test_series_of_two_concepts_are_two_indicators():
    raw = raw_table(
        [("01", "2010", "9", "census", "S21", ""), ("01", "2010", "8", "register", "S10", "")],
        ["pref_code", "year", "population", "series", "source", "flag"],
    )
    cleaned = cleaning.clean_prefecture_series(raw, "population")
    assert dict(zip(cleaned["indicator"], cleaned["value"], strict=True)) == {
        "population.census": 9,
        "population.register": 8,
    }


TERM_COLUMNS = [
    *("term", "name_en", "name_ja", "planned_first_fy", "planned_last_fy"),
    *("funded_first_fy", "funded_last_fy", "source", "note"),
]


def test_a_term_is_one_row_per_clock():
    raw = raw_table(
        [("2", "Growth", "成長期", "2006", "2010", "2006", "2009", "P1", "")], TERM_COLUMNS
    )
    terms = cleaning.clean_terms(raw)
    assert terms[["term", "clock", "first_year", "last_year"]].values.tolist() == [
        [2, "funded", 2006, 2009],
        [2, "planned", 2006, 2010],
    ]


def test_a_term_of_one_year_is_a_term():
    raw = raw_table(
        [("2", "Growth", "成長期", "2006", "2006", "2006", "2006", "P1", "")], TERM_COLUMNS
    )
    assert cleaning.clean_terms(raw)["last_year"].tolist() == [2006, 2006]


PROJECT_COLUMNS = ["project_id", "term", "first_fy", "last_fy", "funded_last_fy"]
COUNTS = ["firms", "universities"]


def test_an_unknown_count_of_firms_stays_missing():
    raw = raw_table(
        [("a", "1", "", "2005", "2005", "85", ""), ("b", "1", "2001", "2005", "2005", "", "3")],
        [*PROJECT_COLUMNS, *COUNTS],
    )
    projects = cleaning.clean_projects(raw)
    assert projects["firms"].tolist() == [85, pd.NA]
    assert projects["universities"].tolist() == [pd.NA, 3]
    assert projects["first_fy"].tolist() == [pd.NA, 2001]
    assert projects["term"].dtype == int


def test_an_event_may_be_open():
    columns = ["event_id", "first_year", "last_year"]
    events = cleaning.clean_events(
        raw_table([("act", "2007", ""), ("quake", "2010", "2011")], columns)
    )
    assert events["last_year"].tolist() == [pd.NA, 2011]


def test_prefectures_are_put_into_their_blocks():
    columns = ["pref_code", "name_en", "name_ja", "bureau", "region", "tile_row", "tile_col"]
    raw = raw_table(
        [
            ("02", "Aomori", "青森県", "North", "N", "2", "12"),
            ("03", "Iwate", "岩手県", "North", "N", "3", "12"),
        ],
        columns,
    )
    projects = pd.DataFrame(
        [("a", 1, "02;03", "bio"), ("b", 2, "03", "bio")],
        columns=["project_id", "term", "prefectures", "fields"],
    )
    prefectures = cleaning.clean_prefectures(raw, projects)
    assert prefectures.set_index("pref_code")["block"].to_dict() == {
        "02": "02",
        "03": "03",
    }
    assert prefectures["tile_row"].tolist() == [2, 3]
