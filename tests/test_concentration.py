"""Herfindahl, Gini and Ellison-Glaeser bounds: hand-solved cases, double sums, real figures."""

import numpy as np
import pytest
from test_measures import BASES, tables_of

from clusterpolicy.cells import concentration, measures


def double_sum_gini(product, weights):
    """Mean difference of location quotients, written as its definition reads."""
    shares, w = np.array(product) / sum(product), np.array(weights) / sum(weights)
    gaps = np.abs(np.subtract.outer(shares / w, shares / w))
    return (np.outer(w, w) * gaps).sum() / 2


def test_indices_by_hand():
    assert concentration.herfindahl([60, 20, 20]) == pytest.approx(0.44, abs=1e-12)
    # Sorted 1, 2, 3, 4: 2 (1 + 4 + 9 + 16) / (4 x 10) - 5 / 4.
    assert concentration.gini([4, 1, 3, 2]) == pytest.approx(0.25, abs=1e-12)
    # All in one of four places: (n - 1) / n.
    assert concentration.gini([0, 0, 0, 8]) == pytest.approx(0.75, abs=1e-12)
    assert concentration.gini([2, 1, 1], weights=[50, 25, 25]) == pytest.approx(0, abs=1e-12)
    assert concentration.raw_concentration([1, 1], [3, 1]) == pytest.approx(0.125, abs=1e-12)


def test_gini_is_the_double_sum_of_its_definition():
    random = np.random.default_rng(3)
    for _ in range(20):
        product, weights = random.lognormal(0, 1, 47), random.lognormal(0, 1, 47)
        found = concentration.gini(product, weights)
        assert found == pytest.approx(double_sum_gini(product, weights), abs=1e-12)
        assert concentration.gini(product) == pytest.approx(
            double_sum_gini(product, np.ones(47)), abs=1e-12
        )


def test_ellison_glaeser_by_hand_and_at_its_ends():
    # Two places of half each, all of the industry in one: G = 1/2, X = 1/2.
    assert concentration.ellison_glaeser(0.5, [1, 1], 0.0) == pytest.approx(1)
    # One plant in one place is what a single dart gives: G = (1 - X) H with H near 1.
    assert concentration.ellison_glaeser(0.2, [1, 1], 0.4) == pytest.approx(0)
    with pytest.raises(ValueError, match="0 to below 1"):
        concentration.ellison_glaeser(0.5, [1, 1], 1.0)


def test_chance_alone_gives_an_ellison_glaeser_index_of_zero():
    """Ellison and Glaeser's dartboard: plants fall on places in proportion to their weights."""
    random = np.random.default_rng(4)
    weights = np.array([0.5, 0.3, 0.2])
    sizes = random.lognormal(0, 1, 30)
    plants = concentration.herfindahl(sizes)
    found = []
    for _ in range(4000):
        places = random.choice(3, 30, p=weights)
        product = np.bincount(places, sizes, 3)
        raw = concentration.raw_concentration(product, weights)
        found.append(concentration.ellison_glaeser(raw, weights, plants))
    assert np.mean(found) == pytest.approx(0, abs=0.003)


def test_plant_sizes_drawn_at_random_lie_in_the_bounds_from_counts():
    random = np.random.default_rng(5)
    for _ in range(50):
        counts = random.integers(1, 9, 6)
        sizes = [random.lognormal(0, 2, count) for count in counts]
        least, most = concentration.plant_herfindahl_bounds([s.sum() for s in sizes], counts)
        assert least <= concentration.herfindahl(np.concatenate(sizes)) <= most
    with pytest.raises(ValueError, match="no plant is counted"):
        concentration.plant_herfindahl_bounds([1, 2], [0, 3])


@pytest.mark.parametrize("name", concentration.INDICES)
def test_bounds_are_those_of_a_fine_grid_over_what_is_hidden(name):
    index = concentration.INDICES[name]
    low = np.array([0.0, 2.0, 50.0, 30.0, 8.0])
    high = np.array([9.0, 40.0, 50.0, 30.0, 8.0])
    weights = np.array([10.0, 30.0, 20.0, 20.0, 20.0])
    grid = [
        index(np.array([first, second, *low[2:]]), weights)
        for first in np.linspace(0, 9, 61)
        for second in np.linspace(2, 40, 61)
    ]
    least, most = concentration.bound_index(index, low, high, weights)
    assert most == pytest.approx(max(grid), abs=1e-12)
    assert min(grid) - 1e-3 <= least <= min(grid) + 1e-9


def test_a_hidden_prefecture_leaves_bounds_and_no_value():
    rows = [("02", "food", 2000, 60), ("02", "textiles", 2000, 40)]
    rows += [("03", "food", 2000, None), ("03", "textiles", 2000, None)]
    panel, totals = tables_of(rows, {("03", 2000): 100})
    cells = measures.add_quotients(measures.bound_hidden(panel, totals, "b2000"))
    found = concentration.concentrate(cells).set_index("industry")
    assert np.isnan(found.loc["food", "herfindahl"])
    assert found.loc["food", "n_hidden"] == 1
    # Food of Iwate may be 0 (all in Aomori: 1) or 60 (half each: 1/2).
    assert found.loc["food", "herfindahl_high"] == pytest.approx(1)
    assert found.loc["food", "herfindahl_low"] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("base", BASES)
def test_indices_stay_in_their_ranges_on_the_real_figures(real_study, base):
    cells = measures.measure_cells(real_study, base)
    last = cells["fy"].max()
    found = concentration.concentrate(cells, [last])
    assert len(found) == cells["industry"].nunique()
    for name in concentration.INDICES:
        assert (found[f"{name}_low"] <= found[f"{name}_high"] + 1e-12).all()
        known = found[found["n_hidden"] == 0]
        assert (known[name] == known[f"{name}_low"]).all()
        assert (known[f"{name}_low"] == known[f"{name}_high"]).all()
    assert found["herfindahl_low"].min() >= 1 / 47
    assert (found["eg_low"] < found["eg_high"]).all()
    # As numpy adds it up, without any function of ours.
    one = cells[(cells["fy"] == last) & (cells["industry"] == "food")]["product_million_yen"]
    expected = ((one / one.sum()) ** 2).sum()
    assert found.set_index("industry").loc["food", "herfindahl"] == pytest.approx(
        expected, abs=1e-12
    )
