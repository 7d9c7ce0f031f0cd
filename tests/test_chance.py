"""The path of a territory: by hand, and its band where neighbours share their shocks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clusterpolicy.cells import neighbours
from clusterpolicy.otherdesigns import bands
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


def test_the_band_of_connected_groups_covers_where_that_of_scattered_ones_does_not():
    """A map of 7 x 7 places; what befalls one befalls those around it too."""
    side, size, panels = 7, 5, 300
    place = {(x, y): f"{side * x + y:02d}" for x in range(side) for y in range(side)}
    pairs = [
        (place[x, y], place[x + dx, y + dy])
        for x, y in place
        for dx, dy in ((0, 1), (1, 0))
        if (x + dx, y + dy) in place
    ]
    pairs = pd.DataFrame(pairs, columns=["pref_code_a", "pref_code_b"])
    codes = sorted(place.values())
    where = np.array(sorted(place), dtype=float)
    reach = np.exp(-((where[:, None] - where) ** 2).sum(axis=2) / 4)  # of a shock over the map
    rng = np.random.default_rng(8)
    projects = neighbours.connected_groups(pairs, codes, size, draws=20)
    covered = {"connected": [], "scattered": []}
    for row in projects.members:
        own = tuple(np.array(codes)[row])
        others = [code for code in codes if code not in own]
        connected = neighbours.connected_groups(pairs, others, size, draws=199)
        apart = np.zeros_like(connected.members)
        for marks in apart:
            marks[rng.choice(len(others), size, replace=False)] = True
        for _ in range(panels // 20):
            end = 100 * np.exp(0.1 * reach @ rng.normal(size=len(codes)))
            index = pd.MultiIndex.from_product([codes, ["food"]], names=["pref_code", "industry"])
            wide = pd.DataFrame({2000: 100.0, 2001: end}, index=index)
            panel = chance.Territory(wide, own, 2000)
            gap = panel.gaps()[chance.ALL][1]
            for name, members in (("connected", connected.members), ("scattered", apart)):
                groups = replace(connected, members=members)
                band = bands.band_of(panel.placebo_gaps(groups)[chance.ALL])
                covered[name].append(not band.is_outside(np.array([0, gap]))[1])
    assert np.mean(covered["connected"]) > 0.9
    assert np.mean(covered["scattered"]) < 0.8


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
