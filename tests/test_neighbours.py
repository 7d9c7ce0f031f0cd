"""Moran's I by hand and as esda finds it, false discoveries, relatedness and stars."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clusterpolicy.cells import measures, neighbours, relatedness, stars

LINE = pd.DataFrame({"pref_code_a": ["01", "02", "03"], "pref_code_b": ["02", "03", "04"]})


def on_a_line(values):
    return pd.Series(values, index=["01", "02", "03", "04"], dtype=float)


# ---- Moran's I --------------------------------------------------------------------------------


def test_weights_of_a_line_by_hand():
    weights = neighbours.weigh_neighbours(LINE, ["01", "02", "03", "04", "47"])
    assert weights.codes == ("01", "02", "03", "04")
    assert weights.islands == ("47",)
    half = [[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 1, 0]]
    assert weights.matrix.tolist() == half


def test_moran_on_a_line_by_hand():
    weights = neighbours.weigh_neighbours(LINE, ["01", "02", "03", "04"])
    found = neighbours.moran(on_a_line([1, 2, 3, 4]), weights, draws=99)
    # z = -1.5, -.5, .5, 1.5; lags -.5, -.5, .5, .5; sum z lag = .75 + .25 + .25 + .75; z'z = 5.
    assert found.value == pytest.approx(4 / 4 * 2 / 5, abs=1e-12)
    assert found.expected == pytest.approx(-1 / 3)
    assert found.smallest_p == 0.01
    local = neighbours.local_moran(on_a_line([1, 2, 3, 4]), weights, draws=99)
    assert local["local_i"].tolist() == pytest.approx([0.6, 0.2, 0.2, 0.6], abs=1e-12)
    assert local["quadrant"].tolist() == ["low-low", "low-low", "high-high", "high-high"]
    assert local["local_i"].sum() == pytest.approx(4 * found.value)  # S0 I


# esda 2.9.0 with libpysal 4.14.1 on the same figures and pairs, row-standardised; over 41 maps of
# three bases the largest difference to ours was 8e-17 for I and 1.3e-15 for its local parts. esda
# divides local parts by z'z / (n - 1), Anselin (1995) and we by z'z / n.
ESDA = {
    ("b2000", 2009, "textiles"): (
        0.3895946223750229,
        {"01": 2.8903055925391032, "18": 3.0431629788816856},
    ),
    ("b2011", 2016, "electronic_components"): (0.3138417676297805, {"18": 0.1613520739317912}),
}


@pytest.mark.parametrize("case", ESDA)
def test_moran_agrees_with_esda_on_the_real_figures(real_study, case):
    base, fy, industry = case
    expected, local_expected = ESDA[case]
    cells = measures.measure_cells(real_study, base)
    cells = cells[(cells["fy"] == fy) & (cells["industry"] == industry)].set_index("pref_code")
    logs = np.log(cells["location_quotient"][cells["location_quotient"] > 0])
    weights = neighbours.weigh_neighbours(real_study.neighbours, list(logs.index))
    assert neighbours.moran(logs, weights, draws=9).value == pytest.approx(expected, abs=1e-10)
    local = neighbours.local_moran(logs, weights, draws=9).set_index("pref_code")["local_i"]
    for code, value in local_expected.items():
        n = len(weights.codes)
        assert local[code] * (n - 1) / n == pytest.approx(value, abs=1e-10)


def test_the_neighbours_are_those_of_the_rule(real_study):
    weights = neighbours.weigh_neighbours(
        real_study.neighbours, real_study.prefectures["pref_code"].tolist()
    )
    assert weights.islands == ("47",)
    assert len(weights.codes) == 46
    place = weights.codes.index
    assert weights.matrix[place("01")].nonzero()[0].tolist() == [place("02")]  # the tunnel
    assert weights.matrix.sum(axis=1) == pytest.approx(np.ones(46))
    assert ((weights.matrix > 0) == (weights.matrix > 0).T).all()


def test_under_chance_p_values_are_level(real_study):
    codes = real_study.prefectures["pref_code"].tolist()
    weights = neighbours.weigh_neighbours(real_study.neighbours, codes)
    random = np.random.default_rng(6)
    found = [
        neighbours.moran(pd.Series(random.normal(size=47), codes), weights, draws=199, seed=place)
        for place in range(300)
    ]
    p_values = np.array([each.p_value for each in found])
    assert np.mean(p_values <= 0.1) == pytest.approx(0.1, abs=0.055)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)


def test_a_planted_cluster_is_found_and_noise_is_not(real_study):
    codes = real_study.prefectures["pref_code"].tolist()
    weights = neighbours.weigh_neighbours(real_study.neighbours, codes)
    random = np.random.default_rng(7)
    values = pd.Series(random.normal(size=47), codes)
    tohoku = ["02", "03", "04", "05", "06", "07"]
    planted = values.where(~values.index.isin(tohoku), 4 + values / 10)
    local = neighbours.local_moran(planted, weights, draws=1999).set_index("pref_code")
    assert local.loc[["03", "04", "05", "06"], "is_cluster"].all()
    assert not neighbours.local_moran(values, weights, draws=1999)["is_cluster"].any()


def test_figures_must_be_there_and_differ():
    weights = neighbours.weigh_neighbours(LINE, ["01", "02", "03", "04"])
    with pytest.raises(ValueError, match="no figure for prefecture 03"):
        neighbours.moran(on_a_line([1, 2, np.nan, 4]), weights)
    with pytest.raises(ValueError, match="all figures are the same"):
        neighbours.moran(on_a_line([1, 1, 1, 1]), weights)
    with pytest.raises(ValueError, match="its own neighbour"):
        neighbours.weigh_neighbours(LINE.assign(pref_code_b=LINE["pref_code_a"]), ["01"])


def test_false_discoveries_by_hand_and_as_scipy_adjusts_them():
    p_values = np.array([0.01, 0.04, 0.03, 0.005, np.nan])
    found = neighbours.adjust_false_discoveries(p_values)
    assert found[:4].tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert np.isnan(found[4])
    drawn = np.random.default_rng(8).uniform(size=46) ** 2
    expected = stats.false_discovery_control(drawn)
    assert neighbours.adjust_false_discoveries(drawn) == pytest.approx(expected, abs=1e-12)


def test_a_prefecture_without_a_figure_is_left_out_and_counted(real_study):
    cells = measures.measure_cells(real_study, "b2011")
    found = neighbours.moran_by_industry(cells, real_study.neighbours, 2016, draws=99)
    own = found.set_index("industry")
    assert own.loc["food", "n_left_out"] == 1  # Okinawa
    assert own.loc["ict_equipment", "n_left_out"] > 1
    assert (found["q_value"] >= found["p_value"]).all()


# ---- Relatedness ------------------------------------------------------------------------------


def test_proximity_and_density_by_hand():
    # Strong: 01 in a and b, 02 in a, 03 in b and c, 04 in none.
    quotients = {"a": [2, 2, 0.5, 0.1], "b": [2, 0.5, 2, 0.1], "c": [0.5, 0.5, 2, 0.1]}
    rows = [
        {"pref_code": f"0{place + 1}", "industry": industry, "fy": 2000, "location_quotient": value}
        for industry, values in quotients.items()
        for place, value in enumerate(values)
    ]
    cells = pd.DataFrame(rows).assign(lq_bound_low=np.nan)
    near = relatedness.proximity(cells, 2000)
    # a and b meet once, each strong twice; b and c meet once, strong in two and one.
    assert near.loc["a", "b"] == 0.5
    assert near.loc["b", "c"] == 0.5
    assert near.loc["a", "c"] == 0
    found = relatedness.density(cells, 2000, draws=20).set_index(["pref_code", "industry"])
    assert found.loc[("02", "b"), "density"] == pytest.approx(0.5 / 1.0)
    assert found.loc[("01", "c"), "density"] == pytest.approx(1.0)
    assert found.loc[("04", "a"), "density"] == 0
    with pytest.raises(ValueError, match="no cell of FY1999"):
        relatedness.proximity(cells, 1999)


def test_proximity_is_symmetric_and_in_its_range_on_the_real_figures(real_study):
    near = relatedness.proximity(measures.measure_cells(real_study, "b2000"), 2009)
    assert (near == near.T).all(axis=None)
    assert (np.diag(near) == 1).all()
    assert near.min(axis=None) >= 0
    density = relatedness.density(measures.measure_cells(real_study, "b2000"), 2009, draws=99)
    assert density["density"].between(0, 1).all()
    assert (density["low"] <= density["high"]).all()


# ---- Stars ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def awarded(real_study):
    cells = measures.measure_cells(real_study, "b2000")
    growth = measures.measure_growth(cells, (2000, 2009))
    return cells, growth, stars.award(cells, growth, 2009)


def test_a_star_needs_the_whole_interval_at_or_above_the_threshold(awarded):
    _, _, found = awarded
    for name in ("size", "specialisation", "growth"):
        limit = getattr(stars.DEFAULT, name)
        star = found.set_index(f"{name}_star")
        assert (star.loc["yes", f"{name}_low"] >= limit).all()
        assert (star.loc["no", f"{name}_high"] < limit).all()
        uncertain = star.loc[["uncertain"]]
        assert (uncertain[f"{name}_low"] < limit).all()
        assert (uncertain[f"{name}_high"] >= limit).all()


def test_without_workers_by_cell_productivity_has_no_figure_and_no_star(awarded):
    _, _, found = awarded
    assert (found["productivity_star"] == "no figure").all()
    assert (found["stars_asked"] <= 3).all()
    assert (found["stars"] <= found["stars_possible"]).all()


def test_the_level_stays_when_others_overtake_but_the_rank_does_not(awarded):
    _, _, found = awarded
    food = found[found["industry"] == "food"].set_index("pref_code")
    assert sorted(food["specialisation_rank"])[:3] == [1, 2, 3]
    top = food["specialisation"].idxmax()
    assert food.loc[top, "specialisation_rank"] == 1
    assert food.loc[top, "specialisation"] > stars.DEFAULT.specialisation


def test_thresholds_are_settable_and_printed(awarded):
    cells, growth, found = awarded
    strict = stars.Thresholds(specialisation=3.0)
    fewer = stars.award(cells, growth, 2009, strict)
    count = (fewer["specialisation_star"] == "yes").sum()
    assert 0 < count < (found["specialisation_star"] == "yes").sum()
    assert "a location quotient of 3," in strict.in_words()
    with pytest.raises(ValueError, match="no cell of FY1950"):
        stars.award(cells, growth, 1950)


def test_productivity_earns_a_star_where_it_is_given(awarded):
    cells, growth, _ = awarded
    given = pd.DataFrame(
        {"pref_code": ["01"], "industry": ["food"], "productivity": 1.3, "low": 1.2, "high": 1.4}
    )
    found = stars.award(cells, growth, 2009, productivity=given).set_index("pref_code")
    own = found[found["industry"] == "food"]
    assert own.loc["01", "productivity_star"] == "yes"
    assert own.loc["02", "productivity_star"] == "no figure"


# ---- Groups that hang together ----------------------------------------------------------------

# A ring of four with a tail, an island, and a pair.
SMALL = pd.DataFrame(
    [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("d", "e"), ("y", "z")],
    columns=["pref_code_a", "pref_code_b"],
)
CODES = list("abcdeiyz")


def hangs_together(group, pairs):
    """Walk from one prefecture of a group to all others without leaving it."""
    links = list(zip(pairs["pref_code_a"], pairs["pref_code_b"], strict=True))
    reached = {min(group)}
    for _ in group:
        reached |= {one for pair in links for one in pair if set(pair) & reached} & set(group)
    return reached == set(group)


def as_sets(groups):
    return [
        frozenset(code for code, is_in in zip(groups.codes, row, strict=True) if is_in)
        for row in groups.members
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_every_connected_group_of_a_small_map_is_found_once(size):
    found = as_sets(neighbours.connected_groups(SMALL, CODES, size))
    every = [
        frozenset(group)
        for group in itertools.combinations(CODES, size)
        if hangs_together(group, SMALL)
    ]
    assert len(found) == len(every)
    assert set(found) == set(every)


def test_an_island_is_a_group_of_one_and_of_no_more():
    alone = as_sets(neighbours.connected_groups(SMALL, CODES, 1))
    assert frozenset("i") in alone
    assert not any("i" in group for group in as_sets(neighbours.connected_groups(SMALL, CODES, 2)))


def test_groups_keep_to_the_prefectures_that_may_be_drawn():
    found = as_sets(neighbours.connected_groups(SMALL, list("abde"), 3))  # c is the project's
    assert set(found) == {frozenset("abd"), frozenset("ade")}
    assert len(neighbours.connected_groups(SMALL, list("ac"), 2).members) == 0


def test_grown_groups_hang_together_and_depend_on_no_order(real_study):
    pairs = real_study.neighbours
    codes = [code for code in real_study.prefectures["pref_code"] if not code.startswith("0")]
    groups = neighbours.connected_groups(pairs, codes, 6, draws=60)
    moved = pairs.sample(frac=1, random_state=2)
    moved = moved.rename(columns={"pref_code_a": "pref_code_b", "pref_code_b": "pref_code_a"})
    again = neighbours.connected_groups(moved, codes[::-1], 6, draws=60)
    assert not groups.is_complete
    assert (groups.members == again.members).all()
    assert len(set(as_sets(groups))) == 60
    assert {len(group) for group in as_sets(groups)} == {6}
    assert all(hangs_together(group, pairs) for group in as_sets(groups))
    assert groups.members.any(axis=0).sum() > 30  # they are spread over the map


def test_on_a_ring_where_all_groups_are_alike_each_comes_up_about_as_often():
    """Chance grows only by the shape of the map: on a ring every prefecture has two neighbours."""
    ring = [f"{number:02d}" for number in range(12)]
    pairs = pd.DataFrame({"pref_code_a": ring, "pref_code_b": [*ring[1:], ring[0]]})
    first = [
        as_sets(neighbours.connected_groups(pairs, ring, 4, draws=1, seed=seed))[0]
        for seed in range(1_200)
    ]
    counts = pd.Series(first).value_counts()
    assert len(counts) == 12
    assert counts.between(60, 140).all()


def test_a_shock_is_felt_by_half_one_border_on_and_by_a_quarter_two():
    felt = neighbours.shared_shocks(LINE, ["04", "03", "02", "01", "47"])
    first = np.array([1, 0.5, 0.25, 0, 0])
    assert felt[0] == pytest.approx(first / np.linalg.norm(first))
    assert felt[4].tolist() == [0, 0, 0, 0, 1]
    assert np.linalg.norm(felt, axis=1) == pytest.approx(np.ones(5))
