"""What the further designs say: each sentence follows from its record, and none claims more."""

import pandas as pd
import pytest

from clusterpolicy.findings import designcharts, designtables, designwords
from clusterpolicy.otherdesigns import designs, synthetic, withdrawal
from clusterpolicy.tables import to_html as table_html
from clusterpolicy.wording import format_number

EQUIVALENCE = {
    "result_id": "t3",
    "design": "equivalence",
    "role": "main",
    "clock": "funded",
    "fields_map": "broad",
    "base": "b2005",
    "status": "estimated",
    "estimate": 1.0,
    "mde": 5.0,
    "unit": "percent",
    "level": 0.90,
    "p_value": 0.2,
    "p_loss": 0.2,
    "p_gain": 0.03,
    "draws": 1_999,
    "smallest_p": 0.00025,
    "baseline_years": "2006-2009",
    "term_years": "2010-2014",
}


def with_sides(*tests):
    """Return records as they are saved: each test and the record of each of its sides."""
    rows = []
    for row in tests:
        sides = {name: row[f"p_{name}"] for name in withdrawal.SIDES}
        both = {key: value for key, value in row.items() if not key.startswith("p_")}
        rows.append({**both, "p_value": max(sides.values())})
        for name, p_value in sides.items():
            own = {"design": withdrawal.ONE_SIDE, "result_id": f"{row['result_id']}-{name}"}
            rows.append({**both, **own, "p_value": p_value})
    return pd.DataFrame(rows)


NOTHING = pd.DataFrame([{**EQUIVALENCE, "design": "another"}])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-4.9, 4.9, "a change of 5 percent in either direction is ruled out"),
        (-4.9, 5.1, "a loss of 5 percent is ruled out, a gain of 5 percent is not"),
        (-5.1, 4.9, "a gain of 5 percent is ruled out, a loss of 5 percent is not"),
        (-5.1, 5.1, "neither a loss nor a gain of 5 percent is ruled out"),
        (-5.0, 5.0, "neither a loss nor a gain of 5 percent is ruled out"),
    ],
)
def test_what_is_ruled_out_follows_from_interval_and_margin(low, high, said):
    record = {**EQUIVALENCE, "low": low, "high": high}
    assert f": {said}." in designwords.equivalence_sentence(record)


MAIN = {**EQUIVALENCE, "low": -3.0, "high": 7.0, "p_loss": 0.014, "p_gain": 0.15}
OTHER_BASE = {
    **EQUIVALENCE,
    "result_id": "t3-b2011",
    "low": -8.0,
    "high": 3.0,
    "estimate": -2.7,
    "role": "check",
    "base": "b2011",
    "fields_map": "narrow",
    "p_loss": 0.24,
}


def test_each_side_has_its_own_p_and_where_a_loss_is_left_is_named():
    planned = {**MAIN, "result_id": "t3-planned", "clock": "planned"}
    records = with_sides(MAIN, OTHER_BASE, planned)
    said = designwords.withdrawal_sentence(records, "funded", "broad")
    assert "+1.0 percent" in said
    assert (
        "Against a loss of 5 percent or more p = 0.014, against a gain of 5 percent or more" in said
    )
    assert "or more p = 0.15: a loss of 5 percent is ruled out, a gain of 5 percent is not" in said
    assert "A loss of 5 percent is ruled out in 2 of 3 tests" in said
    assert "not ruled out on the funded clock, narrow reading, base 2011 (p = 0.24)." in said
    assert said.endswith(
        "1,999 reassignments here, fewer than in the main estimate: no p can be below 0.00025."
    )
    everywhere = designwords.withdrawal_sentence(with_sides(MAIN, planned), "funded", "broad")
    assert "ruled out in 2 of 2 tests, one for each clock, reading and base. Chance" in everywhere


def test_the_table_of_both_sides_holds_their_records():
    table = designtables.equivalence_table(with_sides(MAIN, OTHER_BASE), "somewhere")
    assert table.data["loss"].tolist() == [0.014, 0.24]
    assert table.data["gain"].tolist() == [0.15, 0.03]
    assert table.data["fields_map"].tolist() == ["broad", "narrow"]
    assert "p against a loss of 5 percent or more" in [column.label for column in table.columns]


def cohort(fields_map, status="estimated", draws=999, smallest_p=0.001):
    return {
        "design": "staggered",
        "clock": "funded",
        "fields_map": fields_map,
        "sample": "first targeted in FY2001",
        "status": status,
        "reason": "3 blocks where 4 are needed",
        "method": "imputation, targets permuted",
        "estimate": 1.0,
        "low": -2.0,
        "high": 4.0,
        "unit": "percent",
        "p_value": 0.3,
        "draws": draws,
        "smallest_p": smallest_p,
        "n_targeted": 14,
        "n_cells": 90,
        "n_blocks": 13,
    }


def test_cohorts_are_told_in_both_readings_with_their_draws():
    rows = pd.DataFrame([cohort("broad", "not estimable"), cohort("narrow")])
    said = designwords.cohorts_sentence(rows, "funded", "broad")
    assert said.startswith(
        "In the broad reading, cells first targeted in FY2001: not estimable: 3 "
    )
    assert "In the narrow reading, cells first targeted in FY2001: imputation +1.0 percent" in said
    assert said.endswith(
        "Chance stands on 999 reassignments here, fewer than in the main estimate: "
        "no p can be below 0.001."
    )


def test_draws_are_told_only_where_they_are_not_those_of_the_main_estimate():
    assert designwords.chance_sentence(pd.DataFrame([cohort("broad", draws=9_999)])) == ""
    assert designwords.chance_sentence(pd.DataFrame([cohort("broad", "not estimable", 0)])) == ""
    both = pd.DataFrame([cohort("broad"), cohort("broad", draws=499, smallest_p=0.002)])
    assert "on 499 and 999 reassignments" in designwords.chance_sentence(both)


def test_a_question_that_a_term_is_not_asked_is_said_to_be_so():
    assert "Not asked" in designwords.withdrawal_sentence(NOTHING, "funded", "broad")
    assert "Not asked" in designwords.cohorts_sentence(NOTHING, "funded", "broad")


def test_the_equivalence_figure_counts_what_lies_inside_the_margin():
    rows = [
        {**EQUIVALENCE, "low": -3.0, "high": 4.0, "row": "one"},
        {**EQUIVALENCE, "low": -3.0, "high": 7.0, "row": "two"},
        {**EQUIVALENCE, "low": -8.0, "high": 3.0, "row": "three"},
    ]
    chart = designcharts.plot_equivalence(pd.DataFrame(rows), "row")
    assert "Inside the margin: 1 of 3; above its lower end: 2." in chart.alt
    assert chart.data["margin"].tolist() == [5.0] * 3


def test_the_exposure_figure_tells_where_its_band_leaves_out_zero(real_study):
    years = [year for year in range(1995, 2006) if year != 2000]
    rows = pd.DataFrame(
        {
            "year": years,
            "estimate": [10.0 if year > 2003 else 1.0 for year in years],
            "unit": "percent",
            "baseline_years": "1996-2000",
            "term_years": "2001-2005",
        }
    )
    rows = rows.assign(band_low=rows["estimate"] - 5, band_high=rows["estimate"] + 500)
    chart = designcharts.plot_exposure(rows, real_study.events, source="somewhere")
    assert "before the term from 1.0 to 1.0 and in the term from 1.0 to 10.0" in chart.alt
    assert chart.alt.endswith("leaves out zero in 2004 and 2005.")


# ---- On the study's own figures ---------------------------------------------------------------


@pytest.fixture(scope="module")
def territories(real_study):
    records = synthetic.estimate_projects(real_study, 2)
    return designwords.label_territories(real_study, records)


def test_projects_of_the_same_prefectures_stand_in_one_row(territories):
    shipments = territories[territories["outcome"] == "shipments"].set_index("label")
    assert len(shipments) == 11
    assert "Fukui, Shiga and 5 more: 3 projects" in shipments.index
    assert "Okinawa: 1 project" in shipments.index


def test_the_table_of_territories_holds_the_records(territories):
    data = designtables.territories_table(territories, "somewhere").data.set_index("label")
    records = territories.set_index(["outcome", "label"])
    for label in data.index:
        for indicator in ("shipments", "employees"):
            for column in ("estimate", "low", "high", "p_value"):
                printed = data.at[label, f"{indicator}_{column}"]
                assert printed == pytest.approx(records.at[(indicator, label), column], abs=5e-7)


def test_a_number_is_rounded_once_so_that_two_pages_print_the_same(territories):
    """32 of 41 is 0.7805 to four digits and 0.780 to three: rounding twice printed 0.781."""
    table = designtables.territories_table(territories, "somewhere")
    printed = table.data["shipments_p_value"].map(lambda value: format_number(value, 3))
    records = territories[territories["outcome"] == "shipments"]
    assert printed.tolist() == [format_number(value, 3) for value in records["p_value"]]
    assert "0.780" in printed.tolist()


def test_an_interval_that_leaves_out_zero_never_ends_in_a_printed_zero(real_study, territories):
    table = designtables.territories_table(territories, "somewhere")
    page = table_html(table, "territories", "territories")
    okinawa = territories[territories["label"].str.startswith("Okinawa")].iloc[0]
    assert -0.05 < okinawa["high"] < 0
    assert "−0.05" in page
    said = " ".join(designwords.projects_sentences(territories, real_study))
    assert "Okinawa: 1 project: −24.36 percent (−42.76 to −0.05)" in said


def test_how_small_p_can_be_is_printed_with_what_the_years_hold(real_study, territories):
    said = designwords.projects_sentences(territories, real_study)
    estimated = territories[territories["status"] == "estimated"]
    least = estimated["smallest_p"].min()
    assert f"among {estimated['draws'].min()} to {estimated['draws'].max()} sets" in said[0]
    assert f"cannot be below {least:.3f}, nor below {11 * least:.2f} once multiplied" in said[0]
    assert "no territory could have been called different" in said[0]
    assert "since 2001, term 1 included" in said[1]
    assert len(said) == 2  # the earthquake came later


def test_numbers_of_the_third_term_hold_both_others_and_the_earthquake(real_study):
    records = synthetic.estimate_projects(real_study, 3)
    labelled = designwords.label_territories(real_study, records)
    years, earthquake = designwords.projects_sentences(labelled, real_study)[1:]
    assert "terms 1 and 2 included" in years
    assert "Iwate, Miyagi and Fukushima, so the numbers of Aomori, Iwate and 4 more" in earthquake
    first = designwords.label_territories(real_study, synthetic.estimate_projects(real_study, 1))
    assert len(designwords.projects_sentences(first, real_study)) == 1


def test_with_enough_stand_ins_an_adjusted_p_is_within_reach(real_study, territories):
    many = territories.assign(smallest_p=0.001, draws=999)
    said = designwords.projects_sentences(many, real_study)[0]
    assert "among 999 sets" in said
    assert "a difference could still have been found" in said


def test_the_sentence_counts_territories_and_allows_for_their_number(real_study, territories):
    said = designwords.projects_sentences(territories, real_study)[0]
    away = territories[(territories["low"] > 0) | (territories["high"] < 0)]
    employees = away[away["outcome"] == "employees"]
    assert f"in {len(employees)} of 11 territories" in said
    smallest = territories.loc[territories["outcome"] == "employees", "p_value"].min()
    assert f"multiplied by their number, is {min(1, 11 * smallest):.2f}. Each p" in said


def test_records_of_one_design_and_reading_are_picked():
    rows = pd.DataFrame([EQUIVALENCE, {**EQUIVALENCE, "clock": "planned"}])
    assert len(designs.choose_design(rows, "equivalence", "planned")) == 1
    assert designs.choose_design(rows, "equivalence", "planned", "narrow").empty
