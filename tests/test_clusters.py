"""Location quotients, growth paths and the comparison at the baseline, by hand."""

import numpy as np
import pandas as pd
import pytest
from small_panels import small_sample

from clusterpolicy import clusters


def panel_of(rows):
    table = pd.DataFrame(rows, columns=["pref_code", "industry", "fy", "product_million_yen"])
    status = np.where(table["product_million_yen"].isna(), "hidden", "observed")
    return table.assign(base="b2000", status=status)


# Aomori: 60 of food, 40 of textiles. Iwate: 20 and 80. Food is 80 of 200, textiles 120 of 200.
YEAR = [("02", "food", 2000, 60), ("02", "textiles", 2000, 40)]
YEAR += [("03", "food", 2000, 20), ("03", "textiles", 2000, 80)]


def quotients(rows, fy=2000):
    found = clusters.location_quotients(panel_of(rows), "b2000", fy).set_index(clusters.CELL)
    return found["location_quotient"].to_dict()


def test_a_location_quotient_is_the_share_at_home_over_the_share_in_the_nation():
    assert quotients(YEAR) == pytest.approx(
        {
            ("02", "food"): 0.6 / 0.4,
            ("02", "textiles"): 0.4 / 0.6,
            ("03", "food"): 0.2 / 0.4,
            ("03", "textiles"): 0.8 / 0.6,
        }
    )


def test_only_the_year_and_base_asked_for_count():
    other_year = [(*row[:2], 1999, 1000) for row in YEAR[:1]]
    assert quotients(YEAR + other_year) == quotients(YEAR)
    other_base = panel_of(YEAR).assign(base="b1995", product_million_yen=1.0)
    both = pd.concat([panel_of(YEAR), other_base])
    found = clusters.location_quotients(both, "b2000", 2000)
    assert found["product_million_yen"].tolist() == [60, 40, 20, 80]


@pytest.mark.parametrize("product", [np.nan, 0, -5])
def test_a_cell_that_is_hidden_or_not_positive_enters_no_sum(product):
    rows = [*YEAR, ("03", "steel", 2000, product)]
    assert quotients(rows) == quotients(YEAR)


# ---- Were places picked for strength? ---------------------------------------------------------

# Food in two prefectures and textiles in two; the two cells of food are targeted.
BASELINE = [
    *[("02", "food", 1999, 10), ("02", "food", 2000, 20)],
    *[("03", "food", 1999, 10), ("03", "food", 2000, 80)],
    *[("02", "textiles", 1999, 10), ("02", "textiles", 2000, 20)],
    *[("03", "textiles", 1999, 10), ("03", "textiles", 2000, 5)],
]
CELLS = pd.DataFrame(
    [
        ("02", "food", True),
        ("03", "food", True),
        ("02", "textiles", False),
        ("03", "textiles", False),
    ],
    columns=["pref_code", "industry", "is_targeted"],
)


@pytest.fixture
def balance():
    found = clusters.compare_at_baseline(CELLS, panel_of(BASELINE), "b2000", (1999, 2000))
    return found.set_index("measure")


def test_growth_and_size_are_compared_in_logs(balance):
    assert balance.loc["growth", "targeted"] == pytest.approx((np.log(2) + np.log(8)) / 2)
    assert balance.loc["growth", "other"] == pytest.approx((np.log(2) + np.log(0.5)) / 2)
    assert balance.loc["size", "targeted"] == pytest.approx((np.log(20) + np.log(80)) / 2)
    assert balance.loc["size", "other"] == pytest.approx((np.log(20) + np.log(5)) / 2)


def test_the_difference_is_in_standard_deviations_of_both_groups(balance):
    # Growth: targeted log 2 and log 8, others log 2 and log 1/2; each group has variance v.
    v = np.var([np.log(2), np.log(8)], ddof=1)
    difference = np.log(4) / np.sqrt(v)
    assert balance.loc["growth", "value"] == pytest.approx(difference)
    half = 1.96 * np.sqrt(4 / 4 + difference**2 / 8)
    assert balance.loc["growth", "low"] == pytest.approx(difference - half)
    assert balance.loc["growth", "high"] == pytest.approx(difference + half)


def test_the_location_quotient_is_that_of_the_last_year_of_the_baseline(balance):
    assert balance.loc["location_quotient", "variable"] == "Location quotient, FY2000"
    food = 100 / 125
    expected = np.mean([np.log(20 / 40 / food), np.log(80 / 85 / food)])
    assert balance.loc["location_quotient", "targeted"] == pytest.approx(expected)
    assert balance[["n_targeted", "n_other"]].eq(2).all(axis=None)


def test_a_cell_seen_at_one_end_only_is_not_compared_in_growth():
    hidden = [row if row[:3] != ("03", "food", 1999) else (*row[:3], np.nan) for row in BASELINE]
    found = clusters.compare_at_baseline(CELLS, panel_of(hidden), "b2000", (1999, 2000))
    assert found.set_index("measure")["n_targeted"].to_dict() == {
        "location_quotient": 2,
        "size": 2,
        "growth": 1,
    }


# ---- Growth paths -----------------------------------------------------------------------------


def test_a_path_is_the_mean_growth_of_its_cells_since_the_base_year():
    sample = small_sample(
        {
            "A food": {1999: 1.0, 2000: 1.0, 2001: 1.2},
            "B food": {1999: 2.1, 2000: 2.0, 2001: 2.4},
            "A textiles": {1999: 5.0, 2000: 5.0, 2001: 4.9},
            "B textiles": {1999: 5.0, 2000: 5.0, 2001: 5.1},
        },
        targeted=["A food", "B food"],
        first_term_year=2001,
    )
    paths = sample.growth_paths()
    assert paths["fy"].tolist() == [1999, 2000, 2001] * 2
    assert paths["group"].tolist() == ["targeted"] * 3 + ["other"] * 3
    assert paths["value"].tolist() == pytest.approx([5, 0, 30, 0, 0, 0])
    # Growth of 20 and 40: standard deviation sqrt(200), over the root of two cells.
    assert paths.loc[2, ["low", "high"]].tolist() == pytest.approx([30 - 19.6, 30 + 19.6])


def test_a_cell_with_a_hidden_year_is_on_no_path():
    sample = small_sample(
        {
            "A food": {2000: 1.0, 2001: 1.2},
            "B food": {2000: 2.0, 2001: 2.0},
            "A textiles": {2000: 5.0, 2001: 5.0},
            "B textiles": {2000: 5.0, 2001: np.nan},
        },
        targeted=["A food", "B food"],
        first_term_year=2001,
    )
    paths = clusters.growth_paths(sample.rows, 2000)
    assert paths.groupby("group")["n_cells"].first().to_dict() == {"other": 1, "targeted": 2}
    assert paths.loc[paths["group"] == "other", "low"].isna().all()  # no spread of one cell
