"""Targets are reassigned as declared; years, bands and pre-trends are tests of one family."""

import re
from dataclasses import replace
from math import comb

import numpy as np
import pandas as pd
import pytest
from small_panels import random_sample, small_sample

from clusterpolicy import effects, inference

# ---- Reassigning targets ----------------------------------------------------------------------

# Two industries, four blocks of two prefectures; food is targeted in one block, steel in two.
CELLS = pd.DataFrame(
    [
        (f"{block}{half}", industry, block, block in targeted)
        for industry, targeted in (("food", "A"), ("steel", "AB"))
        for block in "ABCD"
        for half in "12"
    ],
    columns=["pref_code", "industry", "block", "is_targeted"],
)


def test_assignments_are_counted_industry_by_industry():
    counts = inference.count_assignments(CELLS)
    assert counts.n_units == 8
    assert counts.n_targeted_units == 3
    assert counts.n_distinct == comb(4, 1) * comb(4, 2)
    assert counts.actual.tolist() == CELLS["is_targeted"].tolist()
    assert counts.draws.shape == (0, 16)


def test_a_draw_moves_whole_blocks_and_keeps_their_number_in_each_industry():
    draws = inference.permute_targets(CELLS, draws=200).draws
    assert set(np.unique(draws)) == {0, 1}
    by_block = draws.reshape(200, 2, 4, 2)  # industry, block, prefecture
    assert (by_block[..., 0] == by_block[..., 1]).all()
    assert (by_block[..., 0].sum(axis=2) == [1, 2]).all()


def test_every_assignment_comes_up_about_as_often_as_any_other():
    draws = inference.permute_targets(CELLS, draws=2400).draws
    _, counts = np.unique(draws, axis=0, return_counts=True)
    assert len(counts) == 24
    # 100 expected of each: four standard deviations of a count are 39.
    assert counts.min() > 60
    assert counts.max() < 140


def test_the_order_of_the_cells_does_not_change_who_is_drawn():
    shuffled = CELLS.sample(frac=1, random_state=3)
    plain = inference.permute_targets(CELLS, draws=50).draws
    moved = inference.permute_targets(shuffled, draws=50).draws
    assert (plain[:, shuffled.index] == moved).all()


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    first, again, other = (
        inference.permute_targets(CELLS, draws=50, seed=seed).draws for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_block_targeted_in_part_is_refused():
    mixed = CELLS.assign(is_targeted=CELLS["is_targeted"] & (CELLS["pref_code"] != "A2"))
    with pytest.raises(ValueError, match=re.escape("block and industry ('food', 'A') are only")):
        inference.permute_targets(mixed, draws=1)


@pytest.mark.parametrize(("draws", "smallest"), [(9, 1 / 10), (9_999, 1 / 24)])
def test_the_smallest_p_is_set_by_the_draws_or_by_the_number_of_assignments(draws, smallest):
    assert inference.permute_targets(CELLS, draws).smallest_p == smallest


# ---- The test and its numbers -----------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """Noise with a known effect; 10^5 assignments, of which 199 are drawn."""
    years = range(1998, 2004)
    sample = random_sample(np.random.default_rng(3), 5, 5, years, effect=0.7)
    return sample, inference.permute_targets(sample.cells, draws=199)


@pytest.fixture(scope="module")
def tested(small):
    sample, assignments = small
    return inference.permutation_test(effects.cell_changes(sample), assignments)


def test_the_summary_is_that_of_the_test(small, tested):
    sample, assignments = small
    test = inference.score_test(effects.cell_changes(sample), assignments)
    assert (tested.low, tested.high) == test.interval()
    assert (tested.estimate, tested.p_value) == (test.estimate, test.p_value)
    assert tested.draws == 199


def test_a_lower_level_gives_a_narrower_interval(small, tested):
    changes = effects.cell_changes(small[0])
    half = inference.permutation_test(changes, small[1], level=0.5)
    assert tested.low < half.low < tested.estimate < half.high < tested.high
    assert (half.p_value, half.estimate) == (tested.p_value, tested.estimate)


def test_the_spread_is_that_of_a_normal_estimate_with_the_same_interval(small, tested):
    assert tested.low + 2 * 1.959964 * tested.spread == pytest.approx(tested.high, rel=1e-6)
    half = inference.permutation_test(effects.cell_changes(small[0]), small[1], 0.5)
    assert half.low + 2 * 0.674490 * half.spread == pytest.approx(half.high, rel=1e-6)


def test_cells_left_out_keep_the_reassignments_of_the_others(small):
    _, assignments = small
    kept = np.arange(len(assignments.actual)) % 3 > 0
    fewer = assignments.of_cells(kept)
    assert (fewer.draws == assignments.draws[:, kept]).all()
    assert (fewer.actual == assignments.actual[kept]).all()
    assert (assignments.of_cells(np.flatnonzero(kept)).draws == fewer.draws).all()


def test_the_smallest_detectable_effect_is_two_point_eight_spreads():
    assert inference.smallest_detectable(1.0) == pytest.approx(1.9600 + 0.8416, abs=1e-4)
    assert inference.smallest_detectable(0.02, level=0.9, power=0.5) == pytest.approx(
        0.02 * 1.6449, abs=1e-6
    )


# ---- What is not estimable --------------------------------------------------------------------

# What CELLS holds, and the constant that asks for it.
COUNTS = {
    "MIN_TARGETED_CELLS": (6, "6 targeted cells where 7 are needed"),
    "MIN_OTHER_CELLS": (10, "10 other cells where 11 are needed"),
    "MIN_TARGETED_UNITS": (3, "3 targeted blocks x industries where 4 are needed"),
    "MIN_ASSIGNMENTS": (24, "24 distinct assignments where 25 are needed"),
}


@pytest.fixture
def counted(monkeypatch):
    """Sample of CELLS, with minima that it just meets."""
    for name, (found, _) in COUNTS.items():
        monkeypatch.setattr(inference, name, found)
    names = CELLS["pref_code"] + " " + CELLS["industry"]
    values = pd.DataFrame(0.0, names, [2000, 2001])
    blocks = {code: code[0] for code in CELLS["pref_code"]}
    return small_sample(values, names[CELLS["is_targeted"]], 2001, blocks)


def test_a_design_that_just_meets_every_minimum_is_estimable(counted):
    assert inference.why_not_estimable(counted) == ""


@pytest.mark.parametrize("minimum", COUNTS)
def test_a_design_one_short_of_a_minimum_says_which(counted, monkeypatch, minimum):
    found, reason = COUNTS[minimum]
    monkeypatch.setattr(inference, minimum, found + 1)
    assert inference.why_not_estimable(counted) == reason


def test_every_minimum_that_is_missed_is_named(counted, monkeypatch):
    monkeypatch.setattr(inference, "MIN_TARGETED_CELLS", 7)
    monkeypatch.setattr(inference, "MIN_ASSIGNMENTS", 1_000)
    assert inference.why_not_estimable(counted) == (
        "6 targeted cells where 7 are needed; 24 distinct assignments where 1,000 are needed"
    )


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (lambda rows: rows[rows["is_targeted"]], "6 targeted and 0 other cells"),
        (lambda rows: rows[~rows["is_targeted"]], "0 targeted and 10 other cells"),
        (lambda rows: rows[rows["in_term"]], "6 targeted and 10 other cells"),
        (lambda rows: rows[~rows["in_term"]], "6 targeted and 10 other cells"),
    ],
)
def test_a_design_without_a_comparison_says_what_there_is(counted, rows, reason):
    kept = rows(counted.rows).reset_index(drop=True)
    alone = effects.Sample(counted.design, kept, counted.lost)
    assert inference.why_not_estimable(alone) == f"{reason} in the years of the design"


# ---- Event study ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def event(small):
    return inference.event_study(*small)


def score_tests(sample, assignments):
    """Return the test of every year, with the draws that an event study takes."""
    return {
        year: inference.score_test(changes, assignments.of_cells(seen))
        for year, (seen, changes) in effects.changes_by_year(sample).items()
    }


def statistics_of(tests):
    return [np.sqrt(test.squares(np.zeros(1))[0]) for test in tests.values()]


def test_the_event_study_carries_the_estimate_and_test_of_each_year(small, event):
    sample, assignments = small
    by_year = effects.changes_by_year(sample)
    assert event.years["year"].tolist() == list(by_year) == [1998, 1999, 2001, 2002, 2003]
    for row in event.years.itertuples():
        seen, changes = by_year[row.year]
        of_year = assignments.of_cells(seen)
        alone = inference.permutation_test(changes, of_year)
        numbers = (alone.estimate, alone.low, alone.high, alone.p_value, alone.spread)
        assert (row.estimate, row.low, row.high, row.p_value, row.spread) == numbers
        assert (row.n_cells, row.n_targeted) == (len(seen), of_year.actual.sum())
        assert row.p_value <= row.adjusted_p <= 1


def test_years_take_the_first_draws_of_the_term(small, event, monkeypatch):
    sample, assignments = small
    monkeypatch.setattr(inference, "YEAR_DRAWS", 99)
    found = inference.event_study(sample, assignments)
    fewer = replace(assignments, labels=assignments.labels[:99])
    alone = inference.event_study(sample, fewer)
    pd.testing.assert_frame_equal(found.years, alone.years)
    assert found.years["p_value"].ge(1 / 100).all()
    assert found.years["estimate"].tolist() == event.years["estimate"].tolist()


def test_the_covariance_of_the_years_is_that_of_reassigned_estimates(small, event):
    drawn = {year: test.chance() for year, test in score_tests(*small).items()}
    expected = pd.DataFrame(drawn).cov()
    assert event.covariance.to_numpy() == pytest.approx(expected.to_numpy())
    assert event.covariance.index.tolist() == list(drawn)


def test_bands_are_the_intervals_of_the_same_test_at_a_higher_level(small, event):
    tests = score_tests(*small)
    level = inference.JointTest.of(statistics_of(tests)).level_of_each(0.95)
    assert 0.95 < level < 1
    for row in event.years.itertuples():
        assert (row.band_low, row.band_high) == tests[row.year].interval(level)
        assert row.band_low <= row.low < row.estimate < row.high <= row.band_high


def test_tests_taken_together_are_ranked_by_their_smallest_p_value():
    first, second = np.array([5.0, 1, 2, 3, 4]), np.array([1.0, 5, 4, 3, 2])
    joint = inference.JointTest.of([first, second])
    assert joint.each[:, 0] == pytest.approx([0.2, 1, 0.8, 0.6, 0.4])
    # The smallest p-values are 0.2, 0.2, 0.4, 0.6, 0.4.
    assert joint.p_value == pytest.approx(2 / 5)
    assert joint.level_of_each(0.5) == pytest.approx(0.8)  # two in five are at or below 0.2
    assert joint.level_of_each(0.7) == 1  # one in five would be allowed: there is no such level
    assert joint.level_of_each(0.2) == pytest.approx(0.6)


def test_an_assignment_without_effect_is_rejected_in_some_year_as_often_as_promised(small):
    """Every draw plays the actual assignment once: in some year the band excludes zero."""
    joint = inference.JointTest.of(statistics_of(score_tests(*small)))
    level = joint.level_of_each(0.95)
    some = (joint.each <= 1 - level + 1e-12).any(axis=1).mean()
    assert 0.03 < some <= 0.05


def test_a_year_without_targeted_cells_is_undefined_and_harms_no_other(small, event):
    sample, assignments = small
    is_unseen = sample.rows["is_targeted"] & (sample.rows["fy"] == 2003)
    rows = sample.rows[~is_unseen].reset_index(drop=True)
    hidden = inference.event_study(
        effects.Sample(sample.design, rows, sample.lost), assignments
    ).years.set_index("year")
    numbers = ["estimate", "low", "high", "band_low", "band_high", "p_value", "spread"]
    assert hidden.loc[2003, numbers].isna().all()
    assert hidden.loc[2003, "n_targeted"] == 0
    plain = event.years.set_index("year")
    numbers_alone = pytest.approx(plain.loc[2002, numbers[:3]].tolist())
    assert hidden.loc[2002, numbers[:3]].tolist() == numbers_alone
    assert hidden.loc[2002, numbers].notna().all()


def test_without_years_before_the_base_year_there_is_no_test_of_them():
    sample = random_sample(np.random.default_rng(4), years=(2000, 2001))
    assignments = inference.permute_targets(sample.cells, 99)
    found = inference.pretrend_test(sample, assignments)
    assert np.isnan([found.p_value, found.detectable]).all()
    assert inference.event_study(sample, assignments).years["year"].tolist() == [2001]


def test_a_planted_trend_is_found_before_the_term():
    rng = np.random.default_rng(4)
    flat, steep = (random_sample(rng, n_blocks=6, n_industries=6, trend=slope) for slope in (0, 1))
    p_values = [
        inference.pretrend_test(each, inference.permute_targets(each.cells, 499)).p_value
        for each in (flat, steep)
    ]
    assert p_values[0] > 0.1
    assert p_values[1] <= 0.01


def test_the_years_before_are_tested_together_by_the_smallest_of_their_p_values(small):
    """Two years: the share of draws whose smaller p-value is as small."""
    sample, assignments = small
    tests = score_tests(sample, assignments)
    joint = inference.JointTest.of([statistics_of(tests)[year] for year in (0, 1)])
    found = inference.pretrend_test(sample, assignments)
    assert found.p_value == joint.p_value
    level = joint.level_of_each(0.95)
    alone = [
        inference.detectable_effect(tests[year], panels=inference.YEAR_PANELS, level=level)
        for year in (1998, 1999)
    ]
    assert found.detectable == pytest.approx(np.mean(alone))
    # A year among others must show more than it would have to alone.
    assert alone[0] > inference.detectable_effect(tests[1998], panels=inference.YEAR_PANELS)


def test_the_difference_that_the_test_would_find_is_found_about_as_often_as_promised(small):
    """One early year is moved by it: the test finds it more often than not, and not without it."""
    sample = random_sample(np.random.default_rng(9), n_blocks=6, n_industries=6)
    assignments = inference.permute_targets(sample.cells, 499)
    plain = inference.pretrend_test(sample, assignments)
    moved = sample.rows["is_targeted"] & (sample.rows["fy"] == 1998)
    years = effects.changes_by_year(sample)
    current = inference.score_test(years[1998][1], assignments).estimate
    for share, is_found in ((0.5, False), (1.3, True)):
        planted = share * plain.detectable - current
        rows = sample.rows.assign(log_outcome=sample.rows["log_outcome"] + planted * moved)
        again = effects.Sample(sample.design, rows, sample.lost)
        assert (inference.pretrend_test(again, assignments).p_value <= 0.05) == is_found


# ---- Level and power, by simulation -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("is_uneven", [False, True])
def test_the_test_keeps_its_level_with_the_actual_targets_held_fixed(is_uneven):
    """600 panels of normal noise, in units alike or not; two deviations are 1.8 points."""
    rng = np.random.default_rng(12)
    rejected = []
    for seed in range(600):
        sample = random_sample(rng, 8, 6, (2000, 2001))
        scale = sample.cells.groupby(["block", "industry"]).ngroup().to_numpy() % 4 + 1
        changes = effects.cell_changes(sample)
        changes = replace(changes, change=changes.change * (scale if is_uneven else 1))
        assignments = inference.permute_targets(sample.cells, 199, seed)
        rejected.append(inference.score_test(changes, assignments).p_value <= 0.05)
    assert 0.025 < np.mean(rejected) < 0.07


@pytest.mark.slow
def test_bands_and_pretrends_keep_their_level_where_units_differ(monkeypatch):
    """600 panels without effect, units of unlike variance.

    Targets are drawn as they are reassigned, so the level is 5 percent, and three Monte Carlo
    errors are 2.7 points. Bands are inverted where the years together reject, for only there can
    one exclude zero, and in every 20th panel, which holds that against the bands; power is left
    out, which takes most of the time and is tried elsewhere.
    """
    monkeypatch.setattr(inference, "detectable_effect", lambda *_, **__: float("nan"))
    rng = np.random.default_rng(14)
    n_panels = 600
    excluded = trended = 0
    for seed in range(n_panels):
        sample = random_sample(rng, 6, 5, range(1998, 2004))
        scale = sample.rows.groupby(["block", "industry"]).ngroup() % 4 + 1
        rows = sample.rows.assign(log_outcome=sample.rows["log_outcome"] * scale)
        uneven = effects.Sample(sample.design, rows, sample.lost)
        assignments = inference.permute_targets(sample.cells, 199, seed)
        statistics = statistics_of(score_tests(uneven, assignments))
        joint, before = (inference.JointTest.of(each) for each in (statistics, statistics[:2]))
        trended += before.p_value <= 0.05
        if min(joint.p_value, before.p_value) <= 0.05 or seed % 20 == 0:
            years = inference.event_study(uneven, assignments).years
            excludes_zero = ((years["band_low"] > 0) | (years["band_high"] < 0)).any()
            assert joint.p_value <= 0.05 or not excludes_zero
            assert inference.pretrend_test(uneven, assignments).p_value == before.p_value
            excluded += excludes_zero
    error = 3 * np.sqrt(0.05 * 0.95 / n_panels)
    assert 0.05 - error < excluded / n_panels < 0.05 + error
    assert 0.05 - error < trended / n_panels < 0.05 + error


def test_a_planted_effect_is_recovered_and_told_from_none():
    rng = np.random.default_rng(21)
    sample = random_sample(rng, n_blocks=6, n_industries=8, effect=1.0)
    found = inference.permutation_test(
        effects.cell_changes(sample), inference.permute_targets(sample.cells, 499)
    )
    assert found.p_value == 1 / 500
    assert found.low < 1 < found.high
    assert found.estimate == pytest.approx(1, abs=3 * found.spread)
    assert found.spread < 0.2
