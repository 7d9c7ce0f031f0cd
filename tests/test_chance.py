"""The path of a territory: by hand, and its band where neighbours share their shocks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clusterpolicy.cells import neighbours
from clusterpolicy.otherdesigns import synthetic
from clusterpolicy.projects import chance, profiles

YEARS = [2000, 2001]
# Product in two years; the project is prefecture 01.
CELLS = {
    ("01", "food"): [10.0, 20.0],
    ("01", "paper"): [30.0, 30.0],
    ("02", "food"): [10.0, 10.0],
    ("02", "paper"): [10.0, 20.0],
    ("03", "food"): [10.0, 30.0],
}


@pytest.fixture
def territory():
    index = pd.MultiIndex.from_tuples(list(CELLS), names=["pref_code", "industry"])
    wide = pd.DataFrame(list(CELLS.values()), index=index, columns=YEARS)
    return chance.Territory(wide, ("01",), 2000)


def test_the_gap_is_that_to_its_own_mix_had_each_industry_grown_as_elsewhere(territory):
    gaps = territory.gaps()
    assert gaps["food"] == pytest.approx([0, 0])  # doubled here, 20 to 40 elsewhere
    assert gaps["paper"] == pytest.approx([0, -50])
    assert gaps[chance.ALL] == pytest.approx([0, 100 * (50 / 80 - 1)])


def test_without_a_cell_the_rest_is_held_against_the_same_elsewhere(territory):
    assert territory.gaps(("01", "paper"))[chance.ALL] == pytest.approx([0, 0])
    assert territory.gaps(("01", "food"))[chance.ALL] == pytest.approx([0, -50])
    assert territory.leading_cell(2001) == ("01", "paper")


def test_a_placebo_is_held_against_what_is_neither_its_own_nor_the_projects(territory):
    members = np.eye(2, dtype=bool)
    gaps = territory.placebo_gaps(neighbours.Groups(("02", "03"), members, True))
    assert gaps["food"][:, 1] == pytest.approx([100 * (10 / 30 - 1), 200])
    assert np.isnan(gaps["paper"]).all()  # 02 has none elsewhere, 03 none of its own
    assert gaps[chance.ALL][:, 1] == pytest.approx(gaps["food"][:, 1])


def test_too_few_groups_have_no_band():
    assert chance.band_of(np.zeros((chance.MIN_GROUPS - 1, 3))) is None
    gaps = np.vstack([np.zeros((chance.MIN_GROUPS, 3)), np.full((9, 3), np.nan)])
    assert chance.band_of(gaps).n_paths == chance.MIN_GROUPS


def test_a_band_is_widened_around_the_middle_of_the_groups_in_logs():
    ratios = np.exp(np.linspace(-0.1, 0.3, 39))
    band = chance.band_of(100 * (ratios[:, None] - 1), factor=2.0)
    assert np.log1p([band.low[0] / 100, band.high[0] / 100]) == pytest.approx([-0.3, 0.5])


# ---- Where neighbours share their shocks ------------------------------------------------------

SIDE, SIZE = 7, 5
PLACES = {(x, y): f"{SIDE * x + y:02d}" for x in range(SIDE) for y in range(SIDE)}
CODES = sorted(PLACES.values())
SQUARES = pd.DataFrame(
    [
        (PLACES[x, y], PLACES[x + dx, y + dy])
        for x, y in PLACES
        for dx, dy in ((0, 1), (1, 0))
        if (x + dx, y + dy) in PLACES
    ],
    columns=["pref_code_a", "pref_code_b"],
)


@pytest.fixture(scope="module")
def coverage():
    """Share of panels whose project lies in each band: 7 x 7 places, shocks felt around them."""
    where = np.array(sorted(PLACES), dtype=float)
    felt = np.exp(-((where[:, None] - where) ** 2).sum(axis=2) / 3)
    rng = np.random.default_rng(8)
    index = pd.MultiIndex.from_product([CODES, ["food"]], names=["pref_code", "industry"])
    covered = {"scattered": [], "connected": [], "widened": []}
    for row in neighbours.connected_groups(SQUARES, CODES, SIZE, draws=12).members:
        own = tuple(np.array(CODES)[row])
        others = [code for code in CODES if code not in own]
        groups = neighbours.connected_groups(SQUARES, others, SIZE, draws=199)
        apart = np.zeros_like(groups.members)
        for marks in apart:
            marks[rng.choice(len(others), SIZE, replace=False)] = True
        flat = pd.DataFrame({2000: 100.0, 2001: 100.0}, index=index)
        factor = chance.Territory(flat, own, 2000).widenings(groups, SQUARES)["food"]
        for _ in range(25):
            end = 100 * np.exp(0.1 * felt @ rng.normal(size=len(CODES)))
            panel = chance.Territory(flat.mul([1, 0]).add(np.outer(end, [0, 1])), own, 2000)
            gap = panel.gaps()["food"]
            scattered = panel.placebo_gaps(replace(groups, members=apart))["food"]
            connected = panel.placebo_gaps(groups)["food"]
            for name, gaps, wider in (
                ("scattered", scattered, 1.0),
                ("connected", connected, 1.0),
                ("widened", connected, factor),
            ):
                covered[name].append(not chance.band_of(gaps, wider).is_outside(gap)[1])
    return {name: np.mean(each) for name, each in covered.items()}


def test_prefectures_from_all_over_the_map_make_a_band_that_holds_far_too_little(coverage):
    assert coverage["scattered"] < 0.8
    assert coverage["connected"] > coverage["scattered"] + 0.05


def test_connected_groups_overlap_and_hold_too_little_until_their_band_is_widened(coverage):
    assert coverage["connected"] < 0.92
    assert 0.92 < coverage["widened"] < 0.99


@pytest.mark.slow
@pytest.mark.parametrize("reach", ["itself", "neighbours", "two borders alike"])
def test_on_the_map_of_japan_widened_bands_hold_what_they_say(real_study, reach):
    """Every territory of term 2, for shocks that reach less far or further than assumed."""
    codes = sorted(real_study.prefectures["pref_code"])
    near = neighbours.shared_shocks(real_study.neighbours, codes) > 0
    felt = neighbours.shared_shocks(real_study.neighbours, codes)
    one = felt >= 0.4 * felt.diagonal()[:, None]
    felt = {"itself": np.eye(47), "neighbours": one * 1.0, "two borders alike": near * 1.0}[reach]
    felt = felt / np.linalg.norm(felt, axis=1, keepdims=True)
    shocks = 0.1 * np.random.default_rng(5).normal(size=(400, 47)) @ felt.T
    held = {"plain": [], "widened": [], "runs": []}
    territories = set(real_study.projects_of_term(2)["prefectures"])
    for own in sorted(tuple(each.split(";")) for each in territories):
        others = [code for code in codes if code not in own]
        groups = neighbours.connected_groups(real_study.neighbours, others, len(own))
        index = pd.MultiIndex.from_product([codes, ["food"]], names=["pref_code", "industry"])
        flat = pd.DataFrame({2000: 100.0, 2001: 100.0}, index=index)
        factor = chance.Territory(flat, own, 2000).widenings(groups, real_study.neighbours)["food"]
        wide = pd.DataFrame(100 * np.exp(shocks.T), index=index).assign(**{"400": 100.0})
        panel = chance.Territory(wide.set_axis(range(401), axis=1), own, 400)
        gap, gaps = panel.gaps()["food"], panel.placebo_gaps(groups)["food"]
        runs = np.array(synthetic._stand_ins(len(others), len(own)))
        runs = panel.placebo_gaps(replace(groups, members=runs))["food"]
        for name, paths, wider in (
            ("plain", gaps, 1.0),
            ("widened", gaps, factor),
            ("runs", runs, 1.0),
        ):
            held[name].append(1 - chance.band_of(paths, wider).is_outside(gap).mean())
    assert min(held["widened"]) > 0.9
    if reach != "itself":
        assert min(held["plain"]) < 0.8
        assert min(held["runs"]) < 0.85  # the counterpart's placebo sets overlap as well


def test_independent_prefectures_need_no_wider_band_than_their_number_says():
    alone = neighbours.connected_groups(SQUARES.iloc[:0], CODES[1:], 1)
    product = np.ones(len(CODES))
    factor = chance.widening(product[:1], product[1:], alone, np.eye(len(CODES)))
    assert factor == pytest.approx(1, abs=0.1)


# ---- On the study's own figures ---------------------------------------------------------------


@pytest.fixture(scope="module")
def tohoku(real_study):
    return profiles.profile(real_study, "tohoku-corridor-t2", "funded", "broad")


def test_a_territory_goes_the_way_of_the_paths_that_are_drawn(tohoku):
    keys = ["industry", "base", "fy"]
    both = tohoku.path_bands.merge(tohoku.paths, on=keys, validate="one_to_one")
    assert len(both) == len(tohoku.paths)
    assert both["gap"].to_numpy() == pytest.approx(100 * (both["own"] / both["elsewhere"] - 1))


def test_no_group_holds_a_cell_of_the_project(tohoku):
    assert not set(tohoku.groups.codes) & set(tohoku.prefectures)
    assert (tohoku.groups.members.sum(axis=1) == len(tohoku.prefectures)).all()
    assert len(tohoku.groups.members) == neighbours.GROUPS


def test_one_plant_carries_the_path_of_tohoku(tohoku):
    """The reprocessing plant at Rokkasho began its trial run in FY2006."""
    records = {each.result_id: each for each in profiles.path_records(tohoku)}
    name = "tohoku-corridor-t2-funded-path"
    whole, without = records[f"{name}-all-b2005-fy2009"], records[f"{name}-without-b2005-fy2009"]
    assert tohoku.leading_cell == ("02", "nonferrous_metals")
    assert without.sample == "tohoku-corridor-t2 without nonferrous_metals in 02"
    assert whole.estimate == pytest.approx(13.1, abs=0.05)
    assert without.estimate == pytest.approx(-1.6, abs=0.05)
    assert whole.low < 0 < without.n_targeted < whole.n_targeted
    assert whole.low < whole.estimate < whole.high
    assert np.isnan(without.low)  # chosen by what it does: no band fits it
    outside = records[f"{name}-years-outside"]
    years = [each for each in records.values() if each.design == profiles.PATH]
    later = [y for y in years if y.base == "b2005" and "-all-" in y.result_id and y.year > 2005]
    assert outside.estimate == sum(not y.low <= y.estimate <= y.high for y in later)
    assert outside.n_observations == len(later) == 9


def test_a_project_whose_cells_are_hidden_has_no_path_and_no_record(real_study):
    panel = real_study.cell_panel.copy()
    is_own = (panel["pref_code"] == "47") & panel["fy"].isin([2003, 2007])
    panel.loc[is_own, ["product_million_yen", "status"]] = [np.nan, "hidden"]
    hidden = replace(real_study, cell_panel=panel)
    okinawa = profiles.profile(hidden, "okinawa-t2", "funded", "broad")
    assert okinawa.path_bands.empty
    assert okinawa.leading_cell is None
    assert profiles.path_records(okinawa) == []
