"""Tables: what is printed, what is refused, what a spreadsheet gets."""

import csv
import dataclasses
import io
import math
import re
from html.parser import HTMLParser
from urllib.request import urlopen

import pandas as pd
import pytest
from sample_page import RECORD, table, wide_table

from clusterpolicy import results, tables
from clusterpolicy.page import printing
from clusterpolicy.tables import Column, Table


class Grid(HTMLParser):
    """Read a printed table back."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.scopes, self.text, self.links = [], [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
            self.scopes.append((tag, attributes.get("scope")))
        if tag == "a":
            self.links.append(attributes)

    def handle_data(self, data):
        self.text += data
        if self.rows:
            self.rows[-1][-1] += data


def read(item, caption="Plants by prefecture", name="plants"):
    return Grid(tables.to_html(item, caption, name))


def saved_csv(grid):
    link = next(link for link in grid.links if "download" in link)
    with urlopen(link["href"]) as saved:
        return list(csv.reader(io.StringIO(saved.read().decode("utf-8"))))


def test_numbers_align_and_missing_ones_show_their_symbol():
    grid = read(table())
    assert grid.rows[0] == ["Prefecture", "Name", "Change percent", "Plants"]
    assert grid.rows[1] == ["Hokkaido", "北海道", "+1,234.5", "8,394"]
    assert grid.rows[2] == ["Aomori", "青森県", "−0.3", "X"]
    assert grid.rows[3][2].startswith("…")
    assert grid.rows[3][3].startswith("20,115")


def test_every_header_cell_has_a_scope():
    scopes = read(table()).scopes
    assert scopes[:4] == [("th", "col")] * 4
    assert scopes[4:8] == [("th", "row"), ("td", None), ("td", None), ("td", None)]


def test_unit_key_source_and_counts_are_printed():
    text = read(table()).text
    assert "as headed; 2001" in text
    assert "X hidden by the publisher" in text
    assert "… not available" in text
    assert "Source: METI, Census of Manufactures." in text
    assert "3 rows, 4 columns." in text


def test_key_lists_only_what_is_printed():
    item = table(symbols=(("X", "hidden by the publisher"), ("-", "nil")))
    assert "nil" not in read(item).text


def test_years_are_not_quantities():
    data = pd.DataFrame({"what": ["start", "end"], "fy": [2001.0, None]})
    item = Table(data, (Column("what", "What"), Column("fy", "Year", kind="code")), "", "", "own")
    assert read(item).rows[1][1] == "2001"


def test_small_p_is_not_printed_as_zero():
    data = pd.DataFrame({"what": ["a", "b"], "p": [0.0001, 0.0496]})
    columns = (Column("what", "What"), Column("p", "p", kind="p", decimals=3))
    grid = read(Table(data, columns, "", "", "own"))
    assert grid.rows[1][1] == "<0.001"
    assert grid.rows[2][1].startswith("0.050")


@pytest.mark.parametrize(
    ("address", "live"),
    [
        ("https://www.meti.go.jp/a?b=1&c=2", True),
        ("javascript:alert(1)", False),
        ('https://x.org" onclick="alert(1)', False),
        ("data:text/html,x", False),
        ("https://x.org\n", False),
    ],
)
def test_only_web_addresses_become_links(address, live):
    data = pd.DataFrame({"key": ["S1"], "address": [address]})
    columns = (Column("key", "Key"), Column("address", "Address", kind="link"))
    links = read(Table(data, columns, "", "", "own")).links
    assert [link["href"] for link in links if "download" not in link] == [address] * live


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": (Column("nmae_en", "Prefecture"),)}, "no column"),
        ({"columns": ()}, "header of its own"),
        ({"columns": (Column("name_en", "A"), Column("name_ja", "A"))}, "header of its own"),
        ({"columns": (Column("name_en", " "),)}, "header of its own"),
        ({"stub": 0}, "stub is 0"),
        ({"stub": 5}, "stub is 5"),
        ({"source": " "}, "source is empty"),
        ({"symbols": ()}, "'X' is no number"),
        ({"columns": (Column("name_en", "A", kind="verdict"),)}, "is no verdict"),
        ({"columns": (Column("change", "A", kind="grade"),)}, "is no grade"),
        ({"columns": (Column("name_en", "A", kind="amount"),)}, "kind is 'amount'"),
    ],
)
def test_table_that_could_not_be_printed_truthfully_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        table(**changes)


def test_long_table_is_summarised_with_count_and_file():
    data = pd.DataFrame({"cell": [f"c{n}" for n in range(1112)], "value": range(1112)})
    grid = read(tables.plain_table(data, {"cell": "Cell", "value": "Value"}, "n", "own"))
    assert len(grid.rows) == 1 + printing.ROWS_OF_A_SUMMARY
    assert f"The first {printing.ROWS_OF_A_SUMMARY} of 1,112 rows, 2 columns." in grid.text
    assert len(saved_csv(grid)) == 1 + 1112


def test_table_of_two_hundred_rows_is_printed_whole():
    data = pd.DataFrame({"cell": [f"c{n}" for n in range(200)]})
    assert len(read(tables.plain_table(data, {"cell": "Cell"}, "", "own")).rows) == 201


def test_data_too_large_for_a_page_name_their_file():
    data = pd.DataFrame({"cell": ["x" * 100] * 2000})
    columns = (Column("cell", "Cell"),)
    with pytest.raises(ValueError, match=r"202,005 bytes of CSV.*name the file"):
        read(Table(data, columns, "", "", "own"))
    grid = read(Table(data, columns, "", "", "own", file="data/clean/cells.csv"))
    assert "All 2,000 rows: data/clean/cells.csv" in grid.text
    assert not grid.links


def test_empty_table_says_so():
    grid = read(tables.plain_table(pd.DataFrame({"a": []}), {"a": "A"}, "", "own"))
    assert grid.rows[1][0].startswith("No row meets this description.")
    assert "0 rows" in grid.text


def test_wide_table_goes_to_a_landscape_page_and_a_narrow_one_does_not():
    assert '<figure class="table dense wide"' in tables.to_html(wide_table(), "Years", "years")
    assert '<figure class="table short"' in tables.to_html(table(), "Plants", "plants")


def test_columns_of_long_text_get_more_room_than_short_ones():
    data = pd.DataFrame({"a": ["short"], "b": ["some words " * 6], "c": ["some words " * 30]})
    labels = {"a": "A", "b": "B", "c": "C"}
    html = tables.to_html(tables.plain_table(data, labels, "", "own"), "Words", "words")
    widths = [int(width) for width in re.findall(r'style="min-width:(\d+)ch"', html)]
    assert widths == [4, 15, 34]


def test_figures_are_embedded_in_the_shorter_coding():
    numbers = tables.csv_text(pd.DataFrame({"value": range(10**9, 10**9 + 50)}))
    japanese = tables.csv_text(pd.DataFrame({"name": ["北海道"] * 100}))
    links = [printing.csv_link(pd.read_csv(io.StringIO(text)), "x") for text in (numbers, japanese)]
    assert ["base64" in link for link in links] == [False, True]


def test_csv_holds_the_raw_values():
    rows = saved_csv(read(table()))
    assert rows[0] == ["name_en", "name_ja", "change", "plants"]
    assert rows[2] == ["Aomori", "青森県", "-0.25", "X"]
    assert rows[3] == ["Tokyo", "東京都", "", "20115"]


def test_csv_keeps_every_digit_of_a_number():
    values = [0.1 + 0.2, -1e-17, 123456789.123456789, math.pi]
    text = tables.csv_text(pd.DataFrame({"value": values}))
    assert [float(line) for line in text.splitlines()[1:]] == values


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠"])
def test_csv_text_cannot_become_a_formula(start):
    data = pd.DataFrame({f"{start}head": [f"{start}SUM(A1:A9)", "-", "-3.5", "+0.8", -3.5]})
    rows = list(csv.reader(io.StringIO(tables.csv_text(data), newline="")))
    assert rows[0] == [f"'{start}head"]
    assert rows[1] == [f"'{start}SUM(A1:A9)"]
    assert [row[0] for row in rows[2:]] == ["-", "-3.5", "+0.8", "-3.5"]


def test_csv_has_no_carriage_return_that_would_end_a_row():
    text = tables.csv_text(pd.DataFrame({"note": ["one\r\ntwo", "\r=1+1"]}))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["note"], ["one\ntwo"], ["'\n=1+1"]]


def test_csv_survives_every_character():
    values = ['a,"b"', "line\nbreak", "100 %", "#&?", "日本", "a'b"]
    data = pd.DataFrame({"key": range(len(values)), "text": values})
    rows = saved_csv(read(tables.plain_table(data, {"key": "Key", "text": "Text"}, "", "own")))
    assert [row[1] for row in rows[1:]] == values


def test_estimates_of_different_units_cannot_share_a_column():
    mixed = pd.DataFrame([RECORD, {**RECORD, "unit": "standard deviations"}])
    with pytest.raises(ValueError, match="one table holds estimates of one unit"):
        tables.estimates_table(mixed, "own")


def test_not_estimable_is_said_in_the_row():
    missing = {**RECORD, "sample": "without Tokyo", "status": "not estimable", "grade": 0}
    missing |= dict.fromkeys(("estimate", "low", "high", "p_value", "mde"), math.nan)
    item = tables.estimates_table(pd.DataFrame([RECORD, missing]), "own", by=("sample",))
    grid = read(item)
    assert grid.rows[1][:6] == ["all cells", "+0.8", "−2.6", "+4.3", "0.638", "4.8"]
    assert grid.rows[2][:5] == ["without Tokyo", "n.e.", "n.e.", "n.e.", "n.e."]
    assert "n.e. not estimable" in grid.text
    assert "2001-2005 against 1996-2000" in grid.text


def checked(**fields):
    """Return a record and a check in another base, both with `fields`."""
    other = {"result_id": "t1-funded-broad-b1995-all-cells", "base": "b1995"}
    return pd.DataFrame([{**RECORD, **fields}, {**RECORD, **fields, **other}])


def test_numbers_to_check_name_their_record_and_inputs():
    grid = read(tables.check_numbers_table(checked()))
    row = dict(zip(grid.rows[0], grid.rows[1], strict=True))
    assert row["Result"] == RECORD["result_id"]
    assert row["Base"] == "b2000"
    assert "inputs 0123456789ab" in grid.text
    assert "9,999 draws; " in grid.text
    assert "funded clock; broad reading of the fields; " in grid.text
    assert row["Standard error log points x 100"] == "1.90"
    assert [row[name] for name in ("Cells", "Targeted", "Blocks")] == ["563", "214", "105"]


def test_what_differs_between_records_has_a_column():
    rows = checked()
    rows.loc[1, ["clock", "fields_map", "draws"]] = "planned", "narrow", 99
    grid = read(tables.check_numbers_table(rows))
    row = dict(zip(grid.rows[0], grid.rows[2], strict=True))
    assert (row["Clock"], row["Reading"], row["Draws"]) == ("planned", "narrow", "99")
    assert "funded clock" not in grid.text


def test_every_field_of_a_record_can_be_reached_from_the_page():
    record = dataclasses.asdict(results.Estimate(**RECORD))
    saved = saved_csv(read(tables.check_numbers_table(pd.DataFrame([record]))))
    assert {*saved[0]} >= {*record}
    fields = {"band_low": -12.0, "band_high": 13.0, "adjusted_p": 0.7}
    grid = read(tables.check_numbers_table(checked(**fields)))
    row = dict(zip(grid.rows[0], grid.rows[1], strict=True))
    assert (row["Band from"], row["Band to"]) == ("−12.00", "+13.00")
    assert row["p adjusted for its family"] == "0.700"


def test_tests_are_listed_for_the_records_that_have_them():
    tested = {"pretrend_p": 0.165, "pretrend_detectable": 28.5, "breakdown": 0.5}
    tested |= {"honest_low": -math.inf, "honest_high": 148.7, "wild_p": None}
    tested |= {"block_low": -9.5, "block_high": 8.5, "block_p": 0.7, "effective_targeted": 9.94}
    bare = {**RECORD, **dict.fromkeys(tested), "result_id": "bare"}
    rows = pd.DataFrame([{**RECORD, **tested}, bare])
    grid = read(tables.check_tests_table(rows))
    assert len(grid.rows) == 2
    row = dict(zip(grid.rows[0], grid.rows[1], strict=True))
    assert row["p of the years before"] == "0.165"
    assert row["Difference it would find"] == "28.50"
    assert row["Breakdown, times the largest change before"] == "0.50"
    assert (row["Honest bounds from"], row["Honest bounds to"]) == ("−∞", "+148.70")
    assert (row["Interval by block from"], row["Interval by block to"]) == ("−9.50", "+8.50")
    assert row["p by block"] == "0.700"
    assert row["Effective targeted cells"] == "9.9"


def test_phrase_matrix_draws_its_figures_from_the_records():
    phrases = pd.DataFrame(
        [
            {
                "phrase": "enhance the competitiveness",
                "question": "Did they pull away?",
                "indicator": "product",
                "figure": "",
                "result_ids": RECORD["result_id"],
                "verdict": "cannot be judged here",
                "grade": 3,
                "change_mind": "members' records",
            }
        ]
    )
    grid = read(tables.phrases_table(phrases, pd.DataFrame([RECORD])))
    assert grid.rows[1][3] == "+0.8 percent (−2.6 to 4.3)"
    assert "cannot be judged here" in grid.rows[1][4]


def test_projects_print_prefectures_by_name_in_both_scripts():
    projects = pd.DataFrame(
        [
            {
                "name_en": "TAMA",
                "name_ja": "首都圏西部",
                "term": 1,
                "bureau": "Kanto",
                "first_fy": 2001,
                "funded_last_fy": 2005,
                "fields": "IT;bio",
                "prefectures": "13;14",
                "promotion_body": None,
                "confidence": "high",
            }
        ]
    )
    names = pd.DataFrame({"pref_code": ["13", "14"], "name_en": ["Tokyo", "Kanagawa"]})
    grid = read(tables.projects_table(projects, "own", names))
    assert "Tokyo, Kanagawa" in grid.rows[1]
    assert "首都圏西部" in grid.rows[1]
    assert "IT, bio" in grid.rows[1]
    assert "2001" in grid.rows[1]


def test_breaks_say_when_they_were():
    events = pd.DataFrame(
        {
            "kind": ["break", "break", "shock"],
            "name_en": ["Full count", "New base", "Crisis"],
            "name_ja": ["全数調査", "基準改定", "危機"],
            "first_year": [2003, 2001, 2008],
            "last_year": pd.array([None, 2009, 2009], dtype="Int64"),
            "calendar": ["calendar", "fiscal", "fiscal"],
            "applies_to": ["prefecture_employees;prefecture_wages", None, "all"],
            "note": ["more plants", "not chained", "fall"],
        }
    )
    grid = read(tables.events_table(events, "break"))
    assert [row[2] for row in grid.rows[1:]] == ["2003", "FY2001-09"]
    assert "prefecture_employees, prefecture_wages" in grid.rows[1]
    assert "no public table" in grid.text


def test_ledger_writes_figures_as_elsewhere_and_says_what_was_not_found():
    facts = pd.DataFrame(
        {
            "term": [1, 1, 2, 2, 2],
            "indicator": ["participating_firms", "budget_fy2001", "sales", "name", "start"],
            "value": ["9800", None, "-1234.50", "TAMA", "2006"],
            "unit": ["firms", "billion yen", "billion yen", "text", "year"],
            "period": ["2005", "FY2001", "FY2006", "", ""],
            "kind": ["observed", "", "forecast", "", ""],
            "source": ["P016;P017", "NF", "P018", "P001", "P001"],
            "confidence": ["medium", "low", "high", "high", "high"],
            "note": ["", "", "", "", ""],
        }
    )
    grid = read(tables.ledger_table(facts))
    assert [row[2] for row in grid.rows[1:]] == ["9,800", "not found", "−1,234.50", "2006"]
    assert grid.rows[1][0] == "participating firms"
    assert grid.rows[1][6] == "P016, P017"
    assert "forecast" in grid.rows[3]  # what was only expected says so beside its figure


@pytest.mark.parametrize(
    ("low", "high", "places"),
    [
        (-42.8, -0.048, 2),  # leaves out zero, and would print as 0.0
        (0.0004, 3.0, 4),
        (-42.8, -0.3, 1),
        (-42.8, 0.01, 1),  # holds zero: nothing to show
        (0.0, 3.0, 1),
        (float("nan"), float("nan"), 1),
        (float("-inf"), -0.01, 1),
    ],
)
def test_an_end_is_printed_with_as_many_decimals_as_keep_it_from_zero(low, high, places):
    assert tables.places_needed(low, high) == places


def test_an_estimate_in_words_shows_that_it_leaves_out_zero():
    record = {**RECORD, "estimate": -24.361, "low": -42.8, "high": -0.048}
    assert tables.estimate_in_words(record) == "−24.36 percent (−42.80 to −0.05)"
    assert tables.estimate_in_words({**record, "status": "not estimable"}) == "not estimable"


def test_how_the_policy_was_run_is_printed_without_a_grade():
    phrase = {
        "phrase": "18 projects",
        "question": "?",
        "indicator": "counts",
        "change_mind": "list",
    }
    phrase |= {"figure": "not found (sought: here)", "verdict": "not found", "grade": pd.NA}
    grid = read(tables.phrases_table(pd.DataFrame([phrase])))
    assert "Grade" not in grid.rows[0]
    assert grid.rows[1][3] == "not found (sought: here)"


def test_sources_that_differ_say_which_figure_was_only_expected():
    facts = pd.DataFrame(
        {
            "subject": ["sales", "sales"],
            "value": ["412.5", "385.2"],
            "unit": "billion yen",
            "period": "FY2010",
            "kind": ["forecast", "observed"],
            "source": "P034",
            "confidence": "high",
            "note": "",
        }
    )
    grid = read(tables.conflicts_table(facts))
    assert ["forecast" in row for row in grid.rows[1:]] == [True, False]
