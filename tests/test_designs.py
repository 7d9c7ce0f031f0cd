"""What the further designs say: each sentence follows from its record, and none claims more."""

import pandas as pd
import pytest

from clusterpolicy import designcharts, designs, designtables, designwords, synthetic

EQUIVALENCE = {
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
    "term_years": "2010-2014",
}
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


def test_the_other_base_is_told_beside_the_main_one():
    rows = [
        {**EQUIVALENCE, "low": -3.0, "high": 7.0},
        {
            **EQUIVALENCE,
            "low": -8.0,
            "high": 3.0,
            "estimate": -2.7,
            "role": "check",
            "base": "b2011",
        },
        {**EQUIVALENCE, "low": -1.0, "high": 1.0, "clock": "planned"},
    ]
    said = designwords.withdrawal_sentence(pd.DataFrame(rows), "funded", "broad")
    assert "+1.0 percent" in said
    assert "In base 2011 the change is −2.7 percent (−8.0 to 3.0)" in said
    assert said.count("loss of 5 percent") == 2


def test_a_question_that_a_term_is_not_asked_is_said_to_be_so():
    assert "Not asked" in designwords.withdrawal_sentence(NOTHING, "funded", "broad")
    assert "Not asked" in designwords.cohorts_sentence(NOTHING, "funded", "broad")


@pytest.mark.parametrize("sentence", ["exposure_sentence", "outcomes_sentence"])
def test_without_rung_2_the_page_says_how_to_get_it(sentence):
    said = getattr(designwords, sentence)(NOTHING, "funded", "broad")
    assert "rung 1" in said
    assert "`make data`" in said


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
                assert printed == pytest.approx(records.at[(indicator, label), column], abs=5e-5)


def test_the_sentence_counts_territories_and_allows_for_their_number(territories):
    said = designwords.projects_sentence(territories)
    away = territories[(territories["low"] > 0) | (territories["high"] < 0)]
    employees = away[away["outcome"] == "employees"]
    assert f"in {len(employees)} of 11 territories" in said
    smallest = territories.loc[territories["outcome"] == "employees", "p_value"].min()
    assert said.endswith(f"multiplied by their number, is {min(1, 11 * smallest):.2f}.")


def test_records_of_one_design_and_reading_are_picked():
    rows = pd.DataFrame([EQUIVALENCE, {**EQUIVALENCE, "clock": "planned"}])
    assert len(designs.choose_design(rows, "equivalence", "planned")) == 1
    assert designs.choose_design(rows, "equivalence", "planned", "narrow").empty
