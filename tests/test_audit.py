"""What the municipal files hold and lose, on a census small enough to count by hand."""

import numpy as np
import pandas as pd
import pytest
from small_census import MONEY, change, lines, write

from clusterpolicy import sources
from clusterpolicy.finerdata import audit, census, marks

HIDDEN = dict.fromkeys(MONEY, np.nan)
SHIPMENTS = "shipments_million_yen"


@pytest.fixture
def clean(tmp_path):
    codes, prefectures = sources.read_raw("industry_codes"), sources.read_raw("prefectures")

    def write_and_clean(*tables):
        read = [census.read_census(write(t, tmp_path), int(t["year"].iloc[0])) for t in tables]
        cleaned = [census.clean_census(raw, codes, prefectures, marks.Log()) for raw in read]
        return pd.concat(cleaned, ignore_index=True)

    return write_and_clean


@pytest.fixture
def converter():
    """Every municipality stayed as it was."""
    codes = ["01100", "01202", *(f"{code:02d}201" for code in range(2, 48))]
    return pd.DataFrame({"muni_code": codes, "muni_code_2015": codes, "muni_name_2015": codes})


@pytest.fixture
def units(converter):
    """Only Sapporo is told in every year."""
    codes = converter["muni_code_2015"]
    return pd.DataFrame({"muni_code_2015": codes, "is_constant": codes == "01100"})


def of(table, **keys):
    for column, value in keys.items():
        table = table[table[column] == value]
    assert len(table) == 1, f"{keys}: {len(table)} rows"
    return table.iloc[0]


def test_hidden_cells_are_counted_beside_the_jobs_that_are_printed_for_them(clean):
    found = of(audit.count_hidden(clean(change(lines(), 1102, 10, **HIDDEN))), measure=SHIPMENTS)
    assert (found["cells"], found["hidden"], found["untold"]) == (5, 1, 0)
    assert found["jobs"] == 10
    assert found["jobs_percent"] == pytest.approx(100 * 10 / (20 + 40 + 40))


def test_jobs_that_are_hidden_too_are_what_the_area_leaves(clean):
    table = change(lines(), 1202, 9, **HIDDEN, emp=np.nan)
    table = change(table, 1202, 10, **HIDDEN, emp=np.nan)
    counts = audit.count_hidden(clean(table))
    assert of(counts, measure=SHIPMENTS)["jobs"] == 40
    assert of(counts, measure="employees")["hidden"] == 2
    assert of(counts, measure="establishments")["hidden"] == 0


def test_jobs_of_an_area_whose_total_is_hidden_cannot_be_told(clean):
    table = change(lines(), 1202, 9, **HIDDEN, emp=np.nan)
    table = change(table, 1202, 0, **HIDDEN, emp=np.nan)
    found = of(audit.count_hidden(clean(table)), measure=SHIPMENTS)
    assert (found["hidden"], found["untold"], found["jobs"]) == (1, 1, 0)


def test_a_blocked_year_is_not_taken_for_one_without_hidden_cells(clean):
    table = clean(lines())
    table = census.block_levels(
        pd.concat([table.assign(year=2007, value_added_million_yen=1e6), table]), marks.Log()
    )
    found = of(audit.count_hidden(table), measure="value_added_million_yen", year=2008)
    assert (found["hidden"], found["blocked"]) == (0, 5)


def test_each_rule_keeps_the_lines_one_counts_by_hand(clean, units, converter):
    loss = audit.count_row_loss(clean(change(lines(), 1101, 9, **HIDDEN)), units, converter)
    # 10 lines of Hokkaido and 2 of each other prefecture; 47 of prefectures; the one of Sapporo
    # itself; 49 of all industries; one hidden; two of Hakodate.
    assert list(loss["rows"]) == [102, 55, 54, 5, 4, 2]


def test_areas_are_counted_with_what_is_left_over_on_both_sides(clean, converter):
    known = converter[converter["muni_code"] != "02201"]
    new = pd.DataFrame({"muni_code": ["99999"], "muni_code_2015": ["99999"]})
    found = audit.count_areas(clean(lines()), pd.concat([known, new])).iloc[0]
    assert (found["listed"], found["parents"], found["wards"]) == (50, 1, 2)
    assert (found["municipalities"], found["without_successor"]) == (48, 1)
    assert (found["of_2015"], found["of_2015_without_line"]) == (47, 1)


def test_municipalities_are_held_against_their_prefecture(clean):
    table = change(lines(), 2000, 0, emp=11)
    table = change(table, 1202, 0, **HIDDEN)
    found = audit.compare_prefectures(clean(table))
    plants, jobs = of(found, measure="establishments"), of(found, measure="employees")
    assert (plants["compared"], plants["equal"], plants["hidden_lines"]) == (47, 47, 0)
    assert (jobs["compared"], jobs["equal"]) == (47, 46)
    money = of(found, measure=SHIPMENTS)
    assert (money["compared"], money["equal"], money["hidden_lines"]) == (46, 46, 1)
    # Sapporo counted with its wards: 6 plants too many beside 10 and 46.
    assert plants["double_percent"] == pytest.approx(100 * 6 / 56)


def test_one_number_stands_for_two_industries(clean, units, converter):
    groups = sources.read_raw("industry_groups")
    found = audit.sum_by_number(clean(lines(2001), lines(2008)), groups, units, converter)
    old, new = of(found, year=2001, jsic2_code="12"), of(found, year=2008, jsic2_code="09")
    assert old["industry_group"] == new["industry_group"] == "g01"
    assert old["group_name"] == "Food"
    assert (new["establishments"], new["constant_establishments"]) == (6, 5)


def test_one_rule_over_several_measures_is_one_row_whatever_the_order():
    log = pd.DataFrame(
        {
            "where": ["a", "b", "a"],
            "rule": ["employees: gap to status", "wages: gap to status", "lost minus sign"],
            "rows": [3, 4, 5],
            "before": ["", "", "7"],
            "after": ["hidden", "hidden", "blocked"],
        }
    )
    table = audit.count_changes(log)
    by_rule = table.set_index("rule")
    assert by_rule.loc["gap to status"].tolist() == [7, 2, "empty → hidden"]
    assert by_rule.loc["lost minus sign", "example"] == "7 → blocked"
    pd.testing.assert_frame_equal(audit.count_changes(log[::-1]), table)


def test_bounds_of_the_last_year_are_added_up_both_ways():
    groups = pd.DataFrame(
        [
            (2012, "01", "g09", 90.0, 100.0, 1),
            (2012, "13", "g09", 10.0, 100.0, 2),
            (2012, "13", "g10", 50.0, 50.0, 0),
            (2011, "13", "g10", 1.0, 99.0, 1),
        ],
        columns=["year", "pref_code", "industry_group", "low", "high", "hidden_cells"],
    )
    sums = audit.sum_bounds(groups).set_index(["kind", "code"])
    assert sums.loc[("industry", "g09")].tolist() == [2012, 100, 200, 3]
    assert sums.loc[("prefecture", "13")].tolist() == [2012, 60, 150, 2]
    assert len(sums) == 4
