"""Shares, quotients, bounds of hidden cells, shrinkage and growth: by hand, and on real figures."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clusterpolicy.cells import measures
from clusterpolicy.clusters import CELL
from clusterpolicy.estimation import shrinkage

BASES = ("b1995", "b2000", "b2005", "b2011")


def tables_of(rows, totals=None):
    """Cell panel and prefecture totals; a product of None is hidden, "nil" is nil."""
    panel = pd.DataFrame(rows, columns=["pref_code", "industry", "fy", "product_million_yen"])
    printed = panel["product_million_yen"]
    status = np.where(printed.isna(), "hidden", np.where(printed.eq("nil"), "nil", "observed"))
    panel["product_million_yen"] = pd.to_numeric(printed, errors="coerce")
    sums = panel.groupby(["pref_code", "fy"])["product_million_yen"].sum().reset_index()
    sums["manufacturing_million_yen"] = sums.pop("product_million_yen").astype(float)
    for (code, fy), total in (totals or {}).items():
        here = (sums["pref_code"] == code) & (sums["fy"] == fy)
        sums.loc[here, "manufacturing_million_yen"] = total
    return panel.assign(base="b2000", status=status), sums.assign(base="b2000")


def measured(rows, totals=None):
    cells = measures.bound_hidden(*tables_of(rows, totals), "b2000")
    return measures.add_quotients(cells).set_index(CELL)


YEAR = [("02", "food", 2000, 60), ("02", "textiles", 2000, 40)]
YEAR += [("03", "food", 2000, 20), ("03", "textiles", 2000, 80)]
# The textiles of Iwate are hidden; its total of 100 leaves 80 of them, give or take rounding.
HIDDEN = [*YEAR[:3], ("03", "textiles", 2000, None)]


def test_shares_and_quotients_by_hand():
    found = measured(YEAR)
    assert found["share"].tolist() == pytest.approx([0.6, 0.4, 0.2, 0.8])
    assert found["national_share"].tolist() == pytest.approx([60 / 80, 40 / 120, 20 / 80, 80 / 120])
    assert found["location_quotient"].tolist() == pytest.approx([1.5, 2 / 3, 0.5, 4 / 3])
    assert (found["lq_bound_low"] == found["lq_bound_high"]).all()


def test_a_hidden_cell_is_bounded_by_the_total_and_never_guessed():
    cell = measured(HIDDEN, {("03", 2000): 100}).loc[("03", "textiles")]
    slack = 0.5 * 3  # two parts and their total, each rounded
    assert cell[["product_low", "product_high"]].tolist() == [80 - slack, 80 + slack]
    assert np.isnan(cell["product_million_yen"])
    assert np.isnan(cell["location_quotient"])


def test_a_neighbour_in_the_column_carries_what_is_hidden():
    cell = measured(HIDDEN, {("03", 2000): 100}).loc[("02", "textiles")]
    assert cell["lq_bound_low"] == pytest.approx(40 / 100 * 200 / (40 + 81.5))
    assert cell["lq_bound_high"] == pytest.approx(40 / 100 * 200 / (40 + 78.5))


def test_two_hidden_cells_share_what_the_total_leaves():
    rows = [*YEAR[:2], ("03", "food", 2000, None), ("03", "textiles", 2000, None)]
    found = measured(rows, {("03", 2000): 100})
    assert found.loc["03", "product_low"].tolist() == [0, 0]
    assert found.loc["03", "product_high"].tolist() == [101.5, 101.5]


def test_a_hidden_cell_can_be_as_negative_as_printed_ones_of_its_industry():
    rows = [*HIDDEN, ("04", "textiles", 2000, -7), ("04", "food", 2000, 107)]
    rows[2] = ("03", "food", 2000, None)
    found = measured(rows, {("03", 2000): 100})
    assert found.loc[("03", "textiles"), "product_low"] == -7
    assert found.loc[("03", "food"), "product_high"] == 100 + 1.5 + 7


def test_a_nil_cell_is_zero_and_no_gap():
    found = measured([*YEAR, ("03", "steel", 2000, "nil"), ("02", "steel", 2000, 5)])
    cell = found.loc[("03", "steel")]
    assert cell[["product_low", "product_high", "share", "location_quotient"]].tolist() == [0] * 4


def test_a_total_that_leaves_too_little_is_refused():
    with pytest.raises(ValueError, match=r"prefecture 03 in FY2000 .* look at the totals"):
        measured(HIDDEN, {("03", 2000): 10})


def test_an_unknown_base_is_refused(real_study):
    with pytest.raises(ValueError, match="choose one of b1995"):
        measures.measure_cells(real_study, "b1900")


# ---- Shrinkage --------------------------------------------------------------------------------


def test_shrinkage_by_hand():
    # Equal noise of variance 1: spread = variance of (0, 3, 6) - 1 = 8, kept = 8 / 9, mean 3.
    values, errors = pd.Series([0.0, 3.0, 6.0]), pd.Series([1.0, 1.0, 1.0])
    shrunk, half = shrinkage.shrink(values, errors, [pd.Series(["a"] * 3)])
    assert shrunk.tolist() == pytest.approx([3 - 8 / 3, 3, 3 + 8 / 3])
    expected = stats.norm.ppf(0.975) * np.sqrt(8 / 9 + (1 / 9) ** 2 * 9 / 3)
    assert half.tolist() == pytest.approx([expected] * 3)


def test_the_noisier_value_is_drawn_further_to_the_mean():
    values, errors = pd.Series([-2.0, 2.0, 5.0, 5.0]), pd.Series([0.1, 0.1, 0.1, 3.0])
    shrunk, half = shrinkage.shrink(values, errors, [pd.Series(["a"] * 4)])
    assert shrunk[3] < shrunk[2] - 0.5
    assert half[3] > half[2]


def test_intervals_cover_the_strength_they_were_drawn_around():
    random = np.random.default_rng(1)
    errors = random.uniform(0.1, 1.5, 4000)
    strength = random.normal(1.0, 0.8, 4000)
    values = pd.Series(strength + random.normal(0, errors))
    shrunk, half = shrinkage.shrink(values, pd.Series(errors), [pd.Series(["a"] * 4000)])
    assert np.mean(np.abs(shrunk - strength) <= half) == pytest.approx(0.95, abs=0.012)
    assert np.mean((shrunk - strength) ** 2) < np.mean((values - strength) ** 2)


def test_noise_is_what_falls_back_in_the_next_year():
    random = np.random.default_rng(2)
    level = np.cumsum(random.normal(0, 0.3, (3000, 30)), axis=1)  # lasting changes
    noisy = pd.DataFrame(level + random.normal(0, 0.2, (3000, 30)))
    size = pd.Series(np.ones(3000))
    found = shrinkage.noise_variance(noisy.diff(axis=1), size)
    assert found.mean() == pytest.approx(0.2**2, rel=0.15)
    # Without noise hardly any is found, however large the lasting changes are.
    still = shrinkage.noise_variance(pd.DataFrame(level).diff(axis=1), size)
    assert still.mean() < 0.004


# ---- Growth -----------------------------------------------------------------------------------


def test_growth_and_growth_beyond_the_industry_elsewhere_by_hand():
    food = [("02", 100, 121), ("03", 100, 100), ("04", 300, 300)]
    rows = [
        (code, industry, fy, value)
        for code, start, end in food
        for industry in ("food", "textiles")
        for fy, value in ((2000, start), (2001, (start * end) ** 0.5), (2002, end))
    ]
    panel, totals = tables_of(rows)
    cells = measures.shrink_quotients(
        measures.add_quotients(measures.bound_hidden(panel, totals, "b2000"))
    )
    found = measures.measure_growth(cells, (2000, 2002)).set_index(CELL)
    assert found.loc[("02", "food"), "growth"] == pytest.approx(10)
    assert found.loc[("02", "food"), "growth_total"] == pytest.approx(21)
    assert found.loc[("02", "food"), "excess"] == pytest.approx(10)  # nothing grew elsewhere
    others = np.log((121 + 300) / 400) / 2
    assert found.loc[("03", "food"), "excess"] == pytest.approx(100 * np.expm1(-others))


@pytest.mark.parametrize("years", [(1999, 2009), (2009, 2000), (2000, 2030)])
def test_years_must_be_two_of_the_base(real_study, years):
    cells = measures.measure_cells(real_study, "b2005")
    with pytest.raises(ValueError, match="bases are not chained"):
        measures.measure_growth(cells, years)


# ---- On the real figures ----------------------------------------------------------------------


@pytest.fixture(scope="module", params=BASES)
def real_cells(request, real_study):
    return measures.measure_cells(real_study, request.param)


def test_shares_add_up_to_one(real_cells):
    is_hidden = real_cells["status"] == "hidden"
    by_prefecture = [real_cells["pref_code"], real_cells["fy"]]
    whole = ~is_hidden.groupby(by_prefecture).transform("any")
    sums = real_cells[whole].groupby(["pref_code", "fy"])["share"].sum()
    assert len(sums) > 400
    assert np.abs(sums - 1).max() < 1e-10
    by_industry = [real_cells["industry"], real_cells["fy"]]
    whole = ~is_hidden.groupby(by_industry).transform("any")
    sums = real_cells[whole].groupby(["industry", "fy"])["national_share"].sum()
    assert len(sums) > 90
    assert np.abs(sums - 1).max() < 1e-10


def test_quotients_are_one_on_average_of_the_nation(real_cells):
    """Weighted by the prefectures' shares in the nation, the quotients of an industry are one."""
    is_hidden = real_cells["status"] == "hidden"
    whole = ~is_hidden.groupby([real_cells["industry"], real_cells["fy"]]).transform("any")
    cells = real_cells[whole]
    weight = cells["prefecture_million_yen"] / cells["national_million_yen"]
    means = (weight * cells["location_quotient"]).groupby([cells["industry"], cells["fy"]]).sum()
    assert np.abs(means - 1).max() < 1e-10


def test_every_value_lies_in_its_interval_and_every_bound_is_in_order(real_cells):
    seen = real_cells[real_cells["lq_shrunk"].notna()]
    assert (seen["lq_low"] <= seen["lq_shrunk"]).all()
    assert (seen["lq_shrunk"] <= seen["lq_high"]).all()
    assert (real_cells["lq_bound_low"] <= real_cells["lq_bound_high"] + 1e-12).all()
    quotient = real_cells["location_quotient"].dropna()
    reach = 1e-12 * (1 + quotient.abs())
    assert (real_cells.loc[quotient.index, "lq_bound_low"] <= quotient + reach).all()
    assert (quotient <= real_cells.loc[quotient.index, "lq_bound_high"] + reach).all()
    hidden = real_cells[real_cells["status"] == "hidden"]
    assert hidden["location_quotient"].isna().all()
    assert np.isfinite(hidden[["product_low", "product_high"]]).all(axis=None)


def test_small_cells_have_wider_intervals(real_cells):
    width = np.log(real_cells["lq_high"] / real_cells["lq_low"])
    tenth = pd.qcut(real_cells["product_million_yen"], 10, labels=False)
    by_size = width.groupby(tenth).median()
    assert by_size[0] > 1.5 * by_size[9]


def test_specialisation_stays_in_its_range(real_cells):
    found = measures.prefecture_specialisation(real_cells)
    seen = found.dropna()
    assert seen["krugman"].between(0, 2).all()
    assert seen["herfindahl"].between(1 / real_cells["industry"].nunique(), 1).all()
    for name in ("krugman", "herfindahl"):
        assert (seen[f"{name}_low"] <= seen[name] + 1e-12).all()
        assert (seen[name] <= seen[f"{name}_high"] + 1e-12).all()
