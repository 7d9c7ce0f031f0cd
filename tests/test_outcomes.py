"""Further outcomes: which municipalities count, how they are added up, how p is adjusted."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clusterpolicy.otherdesigns import outcomes

YEARS = (2008, 2010)


@pytest.fixture
def tables():
    """Two municipalities told for all their area and one that is not; one figure is hidden."""
    rows = []
    for place, worth in (("01100", 10.0), ("01203", 20.0), ("01202", 400.0)):
        for year in range(2008, 2011):
            is_hidden = place == "01203" and year == 2009
            rows.append(
                {
                    "pref_code": "01",
                    "muni_code_2015": place,
                    "industry_group": "g01",
                    "year": year,
                    "establishments": 3.0,
                    "establishments_status": "observed",
                    "employees": 5.0,
                    "employees_status": "observed",
                    "shipments_million_yen": np.nan if is_hidden else worth,
                    "shipments_million_yen_status": "hidden" if is_hidden else "observed",
                }
            )
    units = pd.DataFrame(
        {"muni_code_2015": ["01100", "01203", "01202"], "is_constant": [True, True, False]}
    )
    return SimpleNamespace(municipal_groups=pd.DataFrame(rows), units=units)


def test_a_municipality_hidden_in_one_year_counts_in_none(tables):
    rows = outcomes.cell_rows(tables, "shipments", YEARS)
    assert np.exp(rows["log_outcome"]).tolist() == pytest.approx([10, 10, 10])


def test_establishments_are_never_hidden_so_all_told_in_full_count(tables):
    rows = outcomes.cell_rows(tables, "establishments", YEARS)
    assert np.exp(rows["log_outcome"]).tolist() == pytest.approx([6, 6, 6])


def test_shipments_per_employee_divides_sums_of_the_same_municipalities(tables):
    rows = outcomes.cell_rows(tables, "shipments_per_employee", YEARS)
    assert np.exp(rows["log_outcome"]).tolist() == pytest.approx([2, 2, 2])


def test_a_hidden_figure_outside_the_years_does_no_harm(tables):
    rows = outcomes.cell_rows(tables, "shipments", (2010, 2010))
    assert np.exp(rows["log_outcome"]).tolist() == pytest.approx([30])


def adjusted(p_values, families, **columns):
    records = pd.DataFrame(
        {"outcome": list("abcd"), "p_value": p_values, "clock": "funded", "fields_map": "broad"}
    )
    return outcomes.adjust_within_family(records.assign(**columns), pd.Series(families))[
        "adjusted_p"
    ].tolist()


def test_p_is_adjusted_within_the_family_by_holm():
    families = {"a": "x", "b": "x", "c": "x", "d": "y"}
    assert adjusted([0.04, 0.01, 0.03, 0.02], families) == pytest.approx([0.06, 0.03, 0.06, 0.02])


def test_clocks_and_readings_are_families_of_their_own():
    families = dict.fromkeys("abcd", "x")
    p_values, clocks = [0.04, 0.01, 0.03, 0.02], ["funded", "funded", "planned", "planned"]
    by_clock = adjusted(p_values, families, clock=clocks)
    assert by_clock == pytest.approx([0.04, 0.02, 0.04, 0.04])
    assert adjusted(p_values, families, fields_map=clocks) == pytest.approx(by_clock)


def test_an_outcome_without_an_estimate_takes_no_part_in_the_adjustment():
    families = dict.fromkeys("abcd", "x")
    found = adjusted([0.04, np.nan, np.nan, np.nan], families)
    assert found == pytest.approx([0.04, np.nan, np.nan, np.nan], nan_ok=True)


def test_every_further_outcome_is_declared_secondary_with_a_family(real_study):
    declared = real_study.outcomes.set_index("outcome")
    assert set(outcomes.MEASURES) <= set(declared.index)
    assert declared.loc[list(outcomes.MEASURES), "role"].eq("secondary").all()
    assert declared.loc[list(outcomes.MEASURES), "family"].nunique() == 1
    assert declared.index[declared["role"] == "primary"].tolist() == ["product"]
