"""Whatever breaks a rule of a raw table is named by file, line, column, value, reason and remedy.

Each case edits one table of ``data/raw`` the way a person would and reads it again.
"""

import csv
import io
import re
import shutil

import pandas as pd
import pytest
from conftest import ROOT

from clusterpolicy import evidence, panel, sources
from clusterpolicy.checks import checking, plausibility, rules

# ---- Edits: each takes the rows of a table, header first, so that rows[n - 1] is line n ---------


def put(line, column, value):
    """Write `value` into one cell."""

    def edit(rows):
        rows[line - 1][rows[0].index(column)] = value

    return edit


def drop(line):
    return lambda rows: rows.pop(line - 1)


def repeat(line):
    return lambda rows: rows.append(rows[line - 1])


def rename(column, name):
    return lambda rows: rows[0].__setitem__(rows[0].index(column), name)


def drop_column(column):
    def edit(rows):
        position = rows[0].index(column)
        for row in rows:
            del row[position]

    return edit


def add_column(name):
    def edit(rows):
        for row, value in zip(rows, [name] + [""] * len(rows), strict=False):
            row.append(value)

    return edit


def swap_columns(one, other):
    def edit(rows):
        i, j = rows[0].index(one), rows[0].index(other)
        for row in rows:
            row[i], row[j] = row[j], row[i]

    return edit


def keep_header(rows):
    del rows[1:]


def keep_columns(number):
    def edit(rows):
        for row in rows:
            del row[number:]

    return edit


def edit_table(folder, table, *edits):
    path = folder / f"{table}.csv"
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    for edit in edits:
        edit(rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


@pytest.fixture
def check(short_raw, tmp_path):
    """Return a function that edits a copy of one raw table and checks it."""

    def edit_and_check(table, *edits):
        shutil.copy(short_raw / f"{table}.csv", tmp_path)
        edit_table(tmp_path, table, *edits)
        return rules.check_raw(sources.read_raw(table, tmp_path), table)

    return edit_and_check


def fault_of(action, *arguments):
    with pytest.raises(sources.DataFault) as fault:
        action(*arguments)
    return str(fault.value)


# ---- One table --------------------------------------------------------------------------------

WAGES = "prefecture_wages"
YEN = "cash_wages_million_yen"
CELLS = "cell_product_b2000"
PLAIN = "write plain digits without separators or letters"
SYMBOL = "neither a number nor a symbol: write plain digits, X for hidden or - for nil"
PREFECTURE = "not a prefecture code: write 01 to 47 with its leading zero"

BROKEN = {
    "the same prefecture and year twice": (
        (WAGES, repeat(3)),
        "prefecture_wages.csv:190: column pref_code+year: found '01, 2008': same pref_code, year "
        "as line 3: remove one of the two rows",
    ),
    "code without its zero": (
        (WAGES, put(2, "pref_code", "1")),
        f"prefecture_wages.csv:2: column pref_code: found '1': {PREFECTURE}",
    ),
    "no such prefecture": (
        (WAGES, put(2, "pref_code", "48")),
        f"prefecture_wages.csv:2: column pref_code: found '48': {PREFECTURE}",
    ),
    "row of a total": (
        (WAGES, put(2, "pref_code", "99")),
        f"prefecture_wages.csv:2: column pref_code: found '99': {PREFECTURE}",
    ),
    "code in full-width digits": (
        (WAGES, put(2, "pref_code", "０１")),
        f"prefecture_wages.csv:2: column pref_code: found '０１': {PREFECTURE}",
    ),
    "prefecture missing in one year": (
        (WAGES, drop(3)),
        "prefecture_wages.csv:6: column pref_code: found '01': prefectures missing in 2008: add "
        "their rows",
    ),
    "prefecture missing altogether": (
        ("prefectures", drop(48)),
        "prefectures.csv:2: column pref_code: found '47': prefectures missing: add their rows",
    ),
    "prefecture missing in one industry": (
        (CELLS, drop(2)),
        "cell_product_b2000.csv:3: column pref_code: found '01': prefectures missing in food: add "
        "their rows",
    ),
    "letter in a number": (
        (WAGES, put(4, YEN, "75O114")),
        f"prefecture_wages.csv:4: column {YEN}: found '75O114': not a number: {PLAIN}",
    ),
    "full-width digits": (
        (WAGES, put(4, YEN, "７５９")),
        f"prefecture_wages.csv:4: column {YEN}: found '７５９': not a number: {PLAIN}",
    ),
    "thousands separator": (
        (WAGES, put(4, YEN, "759,114")),
        f"prefecture_wages.csv:4: column {YEN}: found '759,114': not a number: {PLAIN}",
    ),
    "blank before a number": (
        (WAGES, put(4, YEN, " 759")),
        f"prefecture_wages.csv:4: column {YEN}: found ' 759': not a number: {PLAIN}",
    ),
    "power of ten": (
        (WAGES, put(4, YEN, "7.6E+05")),
        f"prefecture_wages.csv:4: column {YEN}: found '7.6E+05': not a number: {PLAIN}",
    ),
    "word for a missing number": (
        (WAGES, put(4, YEN, "NaN")),
        f"prefecture_wages.csv:4: column {YEN}: found 'NaN': not a number: {PLAIN}",
    ),
    "no number": (
        (WAGES, put(4, YEN, "")),
        f"prefecture_wages.csv:4: column {YEN}: found '': not a number: {PLAIN}",
    ),
    "symbol where none is allowed": (
        (WAGES, put(4, YEN, "X")),
        f"prefecture_wages.csv:4: column {YEN}: found 'X': not a number: {PLAIN}",
    ),
    "year of two digits": (
        (WAGES, put(2, "year", "01")),
        "prefecture_wages.csv:2: column year: found '01': not a year: write four digits, 1900 to "
        "2099",
    ),
    "no source": (
        (WAGES, put(2, "source", "")),
        "prefecture_wages.csv:2: column source: found '': not a list of source keys: write keys of "
        "sources.csv joined by ;",
    ),
    "Greek letter for a hidden cell": (
        (CELLS, put(2, "2005", "χ")),
        f"cell_product_b2000.csv:2: column 2005: found 'χ': {SYMBOL}",
    ),
    "full-width dash for nil": (
        (CELLS, put(2, "2005", "－")),
        f"cell_product_b2000.csv:2: column 2005: found '－': {SYMBOL}",
    ),
    "stars": (
        (CELLS, put(2, "2005", "***")),
        f"cell_product_b2000.csv:2: column 2005: found '***': {SYMBOL}",
    ),
    "dots for not collected": (
        (CELLS, put(2, "2005", "…")),
        f"cell_product_b2000.csv:2: column 2005: found '…': {SYMBOL}",
    ),
    "empty cell": (
        (CELLS, put(2, "2005", "")),
        f"cell_product_b2000.csv:2: column 2005: found '': {SYMBOL}",
    ),
    "text left out": (
        ("terms", put(2, "name_en", "  ")),
        "terms.csv:2: column name_en: found '  ': must not be empty: write it, or remove the row",
    ),
    "a fourth term": (
        ("terms", put(4, "term", "4")),
        "terms.csv:4: column term: found '4': not a policy term: write 1, 2 or 3",
    ),
    "half a firm": (
        ("projects", put(2, "firms", "85.5")),
        "projects.csv:2: column firms: found '85.5': not a whole number: write digits only, or "
        "leave it empty",
    ),
    "unknown prefecture in a list": (
        ("projects", put(2, "prefectures", "01;48")),
        "projects.csv:2: column prefectures: found '01;48': not a list of prefecture codes: write "
        "codes 01 to 47 joined by ;",
    ),
    "word outside a closed list": (
        ("projects", put(2, "in_official_count", "maybe")),
        "projects.csv:2: column in_official_count: found 'maybe': not an allowed value: choose one "
        "of yes, no, uncertain",
    ),
    "unknown base": (
        ("account_industries", put(2, "base", "b1990")),
        "account_industries.csv:2: column base: found 'b1990': not an allowed value: choose one of "
        "b1995, b2000, b2005, b2011",
    ),
    "line break within a value": (
        (WAGES, put(4, YEN, "75\n9")),
        f"prefecture_wages.csv:4: column {YEN}: found '75\\n9': not a number: {PLAIN}",
    ),
    "header changed": (
        (WAGES, rename("year", "fiscal_year")),
        "prefecture_wages.csv:1: columns: missing ['year'], not expected ['fiscal_year']: the "
        f"header must be pref_code,year,{YEN},source,flag",
    ),
    "columns in another order": (
        (WAGES, swap_columns("source", "flag")),
        "prefecture_wages.csv:1: columns: missing none, not expected none: the header must be "
        f"pref_code,year,{YEN},source,flag",
    ),
    "column too many": (
        (WAGES, add_column("remark")),
        "prefecture_wages.csv:1: columns: missing none, not expected ['remark']: the header must "
        f"be pref_code,year,{YEN},source,flag",
    ),
    "column too few": (
        (WAGES, drop_column("flag")),
        "prefecture_wages.csv:1: columns: missing ['flag'], not expected none: the header must be "
        f"pref_code,year,{YEN},source,flag",
    ),
    "column missing in a table that is wide by year": (
        (CELLS, drop_column("source")),
        "cell_product_b2000.csv:1: columns: missing ['source'], not expected none: the header must "
        "be pref_code,industry,source,<years>",
    ),
    "gap in the years": (
        ("cell_product_b2011", drop_column("2010")),
        "cell_product_b2011.csv:1: columns: found '2006,2007,2008,2009,2011,2012,2013,2014,2015,"
        "2016' after source: fiscal years must follow one another without a gap",
    ),
    "years out of order": (
        ("cell_product_b2011", swap_columns("2015", "2016")),
        "cell_product_b2011.csv:1: columns: found '2006,2007,2008,2009,2010,2011,2012,2013,2014,"
        "2016,2015' after source: fiscal years must follow one another without a gap",
    ),
    "word among the years": (
        ("cell_product_b2011", add_column("remark")),
        "cell_product_b2011.csv:1: columns: found '2006,2007,2008,2009,2010,2011,2012,2013,2014,"
        "2015,2016,remark' after source: fiscal years must follow one another without a gap",
    ),
    "no years": (
        (CELLS, keep_columns(3)),
        "cell_product_b2000.csv:1: columns: found '' after source: fiscal years must follow one "
        "another without a gap",
    ),
    "a term that ends before it starts": (
        ("terms", put(3, "planned_last_fy", "2005")),
        "terms.csv:3: column planned_last_fy: found '2005': before planned_first_fy: correct one "
        "of the two",
    ),
    "funding that ends before it starts": (
        ("terms", put(3, "funded_last_fy", "2005")),
        "terms.csv:3: column funded_last_fy: found '2005': before funded_first_fy: correct one of "
        "the two",
    ),
    "a project that ends before it starts": (
        ("projects", put(2, "last_fy", "2000")),
        "projects.csv:2: column last_fy: found '2000': before first_fy: correct one of the two",
    ),
    "an event that ends before it starts": (
        ("events", put(2, "last_year", "1990")),
        "events.csv:2: column last_year: found '1990': before first_year: correct one of the two",
    ),
    "a way to judge a phrase that does not exist": (
        ("phrases", put(2, "rule", "gains")),
        "phrases.csv:2: column rule: found 'gains': not an allowed value: choose one of gain, no "
        "loss, own count, indicator, facts, picked for strength, legal forms",
    ),
    "a rule of the other list": (
        ("phrases", put(2, "rule", "facts")),
        "phrases.csv:2: column rule: found 'facts': a rule of the other list: choose one of gain, "
        "no loss, own count, indicator",
    ),
    "an effect without outcomes": (
        ("phrases", put(2, "outcomes", "")),
        "phrases.csv:2: column outcomes: found '': rule 'gain' judges by outcomes: name them",
    ),
    "outcomes of what is not judged": (
        ("phrases", put(4, "outcomes", "product")),
        "phrases.csv:4: column outcomes: found 'product': rule 'indicator' judges by none",
    ),
    "a grade of how the policy was run": (
        ("phrases", put(8, "highest_grade", "1")),
        "phrases.csv:8: column highest_grade: found '1': how the policy was run has no grade: "
        "write 0",
    ),
    "a figure without a kind": (
        ("term_facts", put(23, "kind", "")),
        "term_facts.csv:23: column kind: found '': a figure in projects: write one of observed, "
        "forecast, target, derived",
    ),
    "a kind of what is no figure": (
        ("term_facts", put(2, "kind", "observed")),
        "term_facts.csv:2: column kind: found 'observed': kind of what is no magnitude: leave it "
        "empty",
    ),
    "a kind that does not exist": (
        ("term_facts", put(23, "kind", "guessed")),
        "term_facts.csv:23: column kind: found 'guessed': not an allowed value: choose one of , "
        "observed, forecast, target, derived",
    ),
    "a ministry that confirms itself": (
        ("run_facts", put(10, "verdict", "confirmed")),
        "run_facts.csv:10: column verdict: found 'confirmed': the ministry does not confirm "
        "itself: write stated by the ministry only",
    ),
    "a figure of what was only sought": (
        ("phrase_indicators", put(3, "figure", "40,000")),
        "phrase_indicators.csv:3: column figure: found '40,000': a figure of what was only "
        "sought: write described",
    ),
    "a figure in another unit": (
        (WAGES, put(3, YEN, "770000000000")),
        f"prefecture_wages.csv:3: column {YEN}: found '770000000000': 1,182,496 times what the "
        "years around it and the other prefectures lead one to expect: another unit, or a slip: "
        "correct it",
    ),
    "no rows": (
        (WAGES, keep_header),
        "prefecture_wages.csv:1: found a header and no rows: restore the file",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_one_line_with_reason_and_remedy(check, case):
    edited, message = BROKEN[case]
    assert fault_of(check, *edited) == message


def test_every_table_of_the_repository_has_rules_and_every_rule_a_table(root):
    files = {path.stem for path in (root / "data" / "raw").glob("*.csv")}
    assert files == set(rules.RULES)


@pytest.mark.parametrize("value", ["-120", "0", "12.50", "X", "-"])
def test_negative_products_zeros_and_symbols_of_the_publisher_are_no_faults(check, value):
    assert check(CELLS, put(2, "2005", value)).loc[2, "2005"] == value


def test_no_gap_between_published_figures_may_be_known(check):
    assert check("known_gaps", keep_header).empty


def test_the_first_fault_by_line_is_named_and_the_others_counted(check):
    edits = put(9, "pref_code", "1"), put(3, YEN, "1O"), put(7, "year", "01")
    message = fault_of(check, WAGES, *edits)
    assert message.startswith(f"prefecture_wages.csv:3: column {YEN}: found '1O'")
    assert message.endswith(" (2 more faults in this file)")


def test_one_other_fault_is_counted_in_the_singular(check):
    message = fault_of(check, WAGES, put(3, YEN, "1O"), put(7, "year", "01"))
    assert message.endswith(" (1 more fault in this file)")


def test_two_faults_of_one_line_are_named_by_column(check):
    message = fault_of(check, WAGES, put(3, "year", "8"), put(3, "pref_code", "8"))
    assert message.startswith("prefecture_wages.csv:3: column pref_code: found '8'")


def test_a_row_repeated_twice_is_two_faults_against_its_first_line(check):
    message = fault_of(check, WAGES, repeat(3), repeat(3))
    assert message == (
        "prefecture_wages.csv:190: column pref_code+year: found '01, 2008': same pref_code, year "
        "as line 3: remove one of the two rows (1 more fault in this file)"
    )


def test_a_whole_industry_in_another_unit_is_named_at_its_first_row(check):
    def in_thousands(rows):
        at = rows[0].index("2005")
        for row in rows[1:]:
            if row[1] == "food":
                row[at] = row[at] if row[at] in ("X", "-") else row[at] + "000"

    message = fault_of(check, CELLS, in_thousands)
    assert re.fullmatch(
        r"cell_product_b2000\.csv:2: column 2005: found '[0-9]+': the middle prefecture "
        r"has (9[0-9]{2}|1,0[0-9]{2}) times the figure of the year before: another unit, or a "
        r"slip: correct it \(1 more fault in this file\)",
        message,
    )


def test_ways_to_judge_a_phrase_are_those_that_there_are():
    assert set(rules.PHRASE_RULES) == set(evidence.RULES)


# ---- All that is wrong, at once ---------------------------------------------------------------


@pytest.fixture
def folder(short_raw, tmp_path):
    """Copy of the short raw tables that a test may edit."""
    return shutil.copytree(short_raw, tmp_path / "raw")


@pytest.fixture
def listing(folder, monkeypatch):
    """The folder stands in for ``data/raw``; returns where its faults are listed."""
    monkeypatch.setattr(sources, "RAW", folder)
    monkeypatch.setattr(sources, "BUILD", folder.parent / "build")
    return folder.parent / "build" / "faults.csv"


def test_all_faults_of_all_tables_are_listed_with_their_rows(folder, listing):
    edit_table(folder, WAGES, put(3, YEN, "1O"), put(7, "year", "01"))
    edit_table(folder, "terms", put(4, "term", "4"))
    (folder / "events.csv").write_text("event_id,kind\na\n", encoding="utf-8")
    message = fault_of(panel.read_raw)
    assert message == (
        "terms.csv:4: column term: found '4': not a policy term: write 1, 2 or 3 "
        "(3 more faults in 3 files: faults.csv)"
    )
    listed = pd.read_csv(listing, dtype=str, keep_default_na=False)
    assert listed[["severity", "file", "line", "column", "value"]].values.tolist() == [
        ["error", "terms.csv", "4", "term", "4"],
        ["error", "events.csv", "2", "", ""],
        ["error", "prefecture_wages.csv", "3", YEN, "1O"],
        ["error", "prefecture_wages.csv", "7", "year", "01"],
    ]
    assert listed["row"].tolist()[0].startswith("4,Industrial Cluster Autonomous Growth")
    assert listed["reason"].tolist()[1].startswith("found 1 fields where the header has 2")
    edit_table(folder, WAGES, put(3, YEN, "930000"), put(7, "year", "2008"))


def test_the_list_goes_with_the_last_fault(folder, listing):
    sound = (folder / "terms.csv").read_bytes()
    edit_table(folder, "terms", put(4, "term", "4"))
    fault_of(panel.read_raw)
    assert listing.exists()
    (folder / "terms.csv").write_bytes(sound)
    panel.read_raw()
    assert not listing.exists()


def test_a_long_list_is_cut_and_says_so(folder, listing, monkeypatch):
    monkeypatch.setattr(checking, "MOST_LISTED", 5)
    edit_table(folder, WAGES, lambda rows: [row.__setitem__(0, "0") for row in rows[1:]])
    message = fault_of(panel.read_raw)
    assert message.endswith("more faults in this file: the first 5 in faults.csv)")
    assert len(pd.read_csv(listing)) == 5


def test_a_list_that_cannot_be_written_does_not_hide_the_fault(folder, listing):
    listing.parent.write_text("in the way")
    edit_table(folder, "terms", put(4, "term", "4"), put(2, "name_en", ""))
    message = fault_of(panel.read_raw)
    assert message.startswith("terms.csv:2: column name_en: found ''")
    assert message.endswith(
        "(1 more fault in this file: faults.csv cannot be written (file exists))"
    )


# ---- Warnings ---------------------------------------------------------------------------------


def warnings_of(table, check, *edits):
    found = plausibility.find_warnings(check(table, *edits), rules.RULES[table])
    return [(each.line, each.column, each.value, each.reason) for each in found]


def test_what_is_odd_and_breaks_no_rule_is_a_warning(check):
    look = "look whether it is real, or a slip"
    assert warnings_of(WAGES, check) == []
    assert warnings_of(WAGES, check, put(5, YEN, "1500000")) == [
        (5, YEN, "1500000", f"2.6 times that of 2010: {look}"),
    ]
    assert warnings_of(CELLS, check, put(2, "2005", "0"))[0] == (
        *(2, "2005", "0"),
        "printed as 0 in a table that marks nil as -: it may be hidden",
    )
    assert warnings_of("glossary", check, put(2, "word", "cell ")) == [
        (2, "word", "cell ", "a blank at its start or end: remove it")
    ]
    (low,) = warnings_of("project_areas", check, put(2, "confidence", "low"))[:1]
    assert low == (2, "confidence", "low", "low confidence: find a source that says it")
    (background,) = warnings_of(WAGES, check, put(2, "source", "S08;BK"))
    assert background[:3] == (2, "source", "S08;BK")


def test_the_warnings_of_the_repository_are_those_that_were_looked_at(raw_tables):
    found = rules.find_warnings(raw_tables)
    assert set(found["severity"]) == {"warning"}
    jumps = found[found["reason"].str.contains("times that of")]
    # Kochi and Kagoshima 1987 (flagged in the source), materials of Okinawa over the missing 2015,
    # manufacturing and value added of Aomori 2006 (Rokkasho), Nagasaki 2015.
    places = jumps.apply(
        lambda each: (each["file"].split("prefecture_")[1][:-4], each["row"][:7]), axis=1
    )
    assert sorted(set(places)) == [
        ("employees", "39,1987"),
        ("employees", "39,1988"),
        ("materials", "47,2016"),
        ("product", "02,2006"),
        ("product", "42,2015"),
        ("shipments", "39,1987"),
        ("shipments", "39,1988"),
        ("shipments", "46,1987"),
        ("shipments", "46,1988"),
        ("value_added", "02,2006"),
    ]
    zeros = found[found["reason"].str.startswith("printed as 0")]
    assert sorted(set(zeros["row"].str[:10])) == ["47,iron_st", "47,nonferr"]
    assert len(zeros) == 10
    counts = plausibility.count_warnings(found).set_index("what")
    assert counts["warnings"].sum() == len(found)
    assert counts.loc["figures printed as 0 that may be hidden"].tolist() == [10, 1]


def test_a_wrong_code_is_not_reported_again_as_a_missing_prefecture(check):
    assert "more fault" not in fault_of(check, WAGES, put(2, "pref_code", "1"))


# ---- Keys that one table takes from another ---------------------------------------------------

UNKNOWN = {
    "source": (
        (WAGES, put(2, "source", "S08;S99")),
        "prefecture_wages.csv:2: column source: found 'S99': unknown code: correct it, or add it "
        "to sources.csv",
    ),
    "industry": (
        (CELLS, put(2, "industry", "foods")),
        "cell_product_b2000.csv:2: column industry: found 'foods': unknown code: correct it, or "
        "add it to account_industries.csv",
    ),
    "industry of another base": (
        (CELLS, put(2, "industry", "iron_steel")),
        "cell_product_b2000.csv:2: column industry: found 'iron_steel': unknown code: correct it, "
        "or add it to account_industries.csv",
    ),
    "field": (
        ("projects", put(2, "fields", "IT;biology")),
        "projects.csv:2: column fields: found 'biology': unknown code: correct it, or add it to "
        "field_industries.csv",
    ),
    "predecessor": (
        ("projects", put(39, "predecessors", "okinawa-t0")),
        "projects.csv:39: column predecessors: found 'okinawa-t0': unknown code: correct it, or "
        "add it to projects.csv",
    ),
    "bureau": (
        ("projects", put(2, "bureau", "Hokaido")),
        "projects.csv:2: column bureau: found 'Hokaido': unknown code: correct it, or add it to "
        "prefectures.csv",
    ),
    "project of an area": (
        ("project_areas", put(2, "projects", "kanto-regional-t1;tama")),
        "project_areas.csv:2: column projects: found 'tama': unknown code: correct it, or add it "
        "to projects.csv",
    ),
    "year of a published total": (
        ("official_totals", put(3, "year", "1979")),
        "official_totals.csv:3: column year: found '1979': unknown code: correct it, or add it to "
        "prefecture_shipments.csv",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_key_is_named_with_the_table_that_lists_the_known_ones(
    folder, monkeypatch, case
):
    # Rules of single tables are tested above; without them reading takes a tenth of the time.
    monkeypatch.setattr(rules, "check_raw", lambda table, name: table)
    (table, *edits), message = UNKNOWN[case]
    edit_table(folder, table, *edits)
    assert fault_of(panel.read_raw, folder) == message


def test_reading_the_whole_folder_applies_the_rules_of_each_table(folder):
    edit_table(folder, "fitness", put(2, "fitness", "perfect"))
    assert fault_of(panel.read_raw, folder) == (
        "fitness.csv:2: column fitness: found 'perfect': not an allowed value: choose one of fit, "
        "fit with care, not fit"
    )


def test_a_table_that_is_not_there_is_missing_input(folder):
    (folder / "terms.csv").unlink()
    with pytest.raises(sources.InputMissing) as fault:
        panel.read_raw(folder)
    assert str(fault.value) == (
        "terms.csv: no such file or directory: restore it with `git checkout -- terms.csv`"
    )


def test_every_table_is_described_in_the_data_dictionary():
    described = (ROOT / "data/README.md").read_text(encoding="utf-8")
    missing = [name for name in rules.RULES if f"`{name}`" not in described]
    assert missing == []
