"""Test and interval are one procedure, equal to refitting every draw, and true to their level."""

import re
from dataclasses import replace
from math import comb

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from small_panels import dummies, random_sample, residual, small_sample

from clusterpolicy import effects, inference
from clusterpolicy.estimation import inversion
from clusterpolicy.methodtrials import simulation

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


# ---- Against refitting every draw -------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """Noise with a known effect; 10^5 assignments, of which 199 are drawn."""
    years = range(1998, 2004)
    sample = random_sample(np.random.default_rng(3), 5, 5, years, effect=0.7)
    return sample, inference.permute_targets(sample.cells, draws=199)


@pytest.fixture(scope="module")
def tested(small):
    sample, assignments = small
    return inference.permutation_test(effects.TripleDifference(sample).contrast, assignments)


class Refits:
    """p-values of supposed effects: a regression for every unit, the supposed effect taken out.

    The root of what the effects leave of "unit is targeted" is taken by ``scipy.linalg.sqrtm``,
    everything else by least squares with every dummy.
    """

    def __init__(self, sample, assignments):
        fixed = dummies(sample.rows)
        self.targets = np.vstack(
            [np.bincount(assignments.unit, assignments.actual) > 0, assignments.labels]
        ).astype(float)
        cell = sample.rows.groupby(effects.CELL, sort=False).ngroup().to_numpy()
        of_unit = (assignments.unit[cell][:, None] == np.arange(assignments.n_units)).astype(float)
        treated = residual(of_unit * sample.rows["in_term"].to_numpy(float)[:, None], fixed)
        outcome = residual(sample.rows["log_outcome"].to_numpy(), fixed)
        left = treated.T @ treated
        self.columns = np.real(scipy.linalg.sqrtm(left))
        # Within what the effects leave, the root is undone by its pseudo-inverse.
        self.outcome = np.linalg.pinv(self.columns, rcond=1e-6) @ (treated.T @ outcome)
        self.sizes = np.einsum("ij,jk,ik->i", self.targets, left, self.targets)
        self.coefficients = self.targets @ treated.T @ outcome / self.sizes

    def statistics(self, effect):
        rest = self.outcome - effect * (self.columns @ self.targets[0])
        weights = self.targets @ self.columns
        squares = ((weights * rest) ** 2).sum(axis=1)
        variance = squares + self.sizes * np.mean(squares / self.sizes)
        worth = (weights**2).sum(axis=1) ** 2 / (weights**4).sum(axis=1)
        yardstick = np.sqrt(variance * inference.critical_squares(worth))
        return np.abs((weights * rest).sum(axis=1)) / yardstick

    def p_value(self, effect):
        statistic = self.statistics(effect)
        return (statistic >= statistic[0] * (1 - 1e-9)).mean()


@pytest.fixture(scope="module")
def refits(small):
    return Refits(*small)


def test_the_p_value_is_that_of_refitting_every_draw(refits, tested):
    assert tested.p_value == refits.p_value(0)
    assert 0.005 < tested.p_value < 0.5  # neither end of the scale: the case can tell
    assert tested.estimate == pytest.approx(refits.coefficients[0], abs=1e-10)


def test_the_interval_holds_the_effects_that_the_test_does_not_reject(refits, tested):
    width = tested.high - tested.low
    grid = np.linspace(tested.low - width, tested.high + width, 500)
    is_inside = (tested.low <= grid) & (grid <= tested.high)
    assert [refits.p_value(effect) > 0.05 for effect in grid] == is_inside.tolist()
    assert 150 < is_inside.sum() < 180


def test_the_ends_of_the_interval_are_sharp(refits, tested):
    for end, outward in ((tested.low, -1e-6), (tested.high, 1e-6)):
        assert refits.p_value(end + outward) <= 0.05 < refits.p_value(end - outward)


def test_a_lower_level_gives_a_narrower_interval(small, tested):
    contrast = effects.TripleDifference(small[0]).contrast
    half = inference.permutation_test(contrast, small[1], level=0.5)
    assert tested.low < half.low < tested.estimate < half.high < tested.high
    assert (half.p_value, half.estimate) == (tested.p_value, tested.estimate)


def test_the_spread_is_that_of_a_normal_estimate_with_the_same_interval(small, tested):
    assert tested.low + 2 * 1.959964 * tested.spread == pytest.approx(tested.high, rel=1e-6)
    half = inference.permutation_test(effects.TripleDifference(small[0]).contrast, small[1], 0.5)
    assert half.low + 2 * 0.674490 * half.spread == pytest.approx(half.high, rel=1e-6)


def test_the_covariance_of_the_years_is_that_of_reassigned_estimates(small, event):
    sample, assignments = small
    drawn = {}
    for year, (seen, contrast) in effects.event_contrasts(sample).items():
        of_year = assignments.of_cells(seen)
        rest = contrast.score - contrast.estimate(of_year.actual) * contrast.times(of_year.actual)
        drawn[year] = of_year.draws @ rest / contrast.squared_norm(of_year.draws)
    expected = pd.DataFrame(drawn).cov()
    assert event.covariance.to_numpy() == pytest.approx(expected.to_numpy())
    assert event.covariance.index.tolist() == list(drawn)


def test_the_change_of_each_cell_is_one_row_of_the_regression():
    """All years seen: the rows are what the effects leave of term mean less baseline mean."""
    sample = random_sample(np.random.default_rng(6), years=range(1998, 2004))
    wide = sample.rows.pivot_table("log_outcome", effects.CELL, "in_term")
    change = (wide[True] - wide[False]).to_numpy()
    cells = wide.index.to_frame()
    fixed = np.hstack([pd.get_dummies(cells[key]).to_numpy(float) for key in effects.CELL])
    columns, outcome = effects.TripleDifference(sample).contrast.as_regression()
    weight = np.sqrt(3 * 3 / 6)  # three years on either side
    assert outcome == pytest.approx(weight * residual(change, fixed), abs=1e-12)
    assert columns == pytest.approx(weight * residual(np.eye(len(change)), fixed), abs=1e-12)


def test_the_regression_by_cell_is_the_contrast_whatever_is_missing():
    sample = random_sample(np.random.default_rng(6), years=range(1998, 2004), missing=0.2)
    contrast = effects.TripleDifference(sample).contrast
    for each in (contrast, contrast.collapse(np.arange(len(sample.cells)) // 3, 11)):
        columns, outcome = each.as_regression()
        whole = np.diag(each.spread) - each.absorbed @ each.absorbed.T
        assert columns.T @ columns == pytest.approx(whole, abs=1e-12)
        assert columns.T @ outcome == pytest.approx(each.score, abs=1e-12)


def test_when_every_assignment_is_as_likely_as_any_other_the_test_is_exact():
    """Each of the 216 assignments is the actual one once, on figures as unequal as can be."""
    sample = random_sample(np.random.default_rng(8), n_industries=3, years=range(2000, 2004))
    uneven = np.exp(2 * np.random.default_rng(9).normal(size=len(sample.rows)))
    rows = sample.rows.assign(log_outcome=sample.rows["log_outcome"] * uneven)
    contrast = effects.TripleDifference(effects.Sample(sample.design, rows, sample.lost)).contrast
    assignments = inference.permute_targets(sample.cells, draws=3000)
    every = np.unique(assignments.labels, axis=0)
    assert len(every) == assignments.n_distinct == 216
    p_values, plain = np.ones(216), np.ones(216)
    for place in range(216):
        others = np.delete(every, place, axis=0)
        as_if = replace(assignments, actual=every[place][assignments.unit], labels=others)
        found = inference.permutation_test(contrast, as_if)
        if not np.isnan(found.estimate):  # six are whole prefectures, which the effects absorb
            statistic = inference.score_draws(contrast, as_if).statistic(0)
            p_values[place] = found.p_value
            plain[place] = (statistic >= statistic[0] * (1 - 1e-9)).mean()
    assert (p_values == 1).sum() < 30
    for level in (0.05, 0.1, 0.25, 0.5):
        assert (p_values <= level).mean() <= level
    # The plain p-value of no effect is below p in exactly the share p of assignments; the printed
    # one, which asks the same of effects beyond zero, is no smaller.
    at_or_below = (plain[:, None] >= plain[None, :] - 1e-12).mean(axis=1)
    assert at_or_below == pytest.approx(plain)
    assert (p_values >= plain - 1e-12).all()
    assert np.isclose(p_values, plain).mean() > 0.9  # most draws reach one stretch of effects


def test_an_effect_beyond_zero_that_is_not_rejected_keeps_zero_in():
    """Stretches with a gap: zero lies in it, and p is that of the stretch further out."""
    reached = np.array([[-1.0, -9.0, -9.0, 0.5], [3.0, -2.0, -4.0, 2.0]])
    assert inversion._held(reached, np.array([-5.0, -3.0, -1.5, 0.0, 1.0])).tolist() == [
        2,
        1,
        0,
        1,
        2,
    ]
    assert inversion.most_beyond_zero(1.0, reached) == 2
    assert inversion.interval(reached, 4, 0.6) == (-9.0, 2.0)
    assert inversion.most_beyond_zero(-1.0, reached) == 2
    assert inversion.interval(reached, 4, 0.8) == (-9.0, 3.0)


# ---- The yardstick of an assignment, and whether its units vary more --------------------------


@pytest.mark.parametrize("pooled", [0.0, 1.0])
def test_a_square_exceeds_its_critical_value_one_time_in_twenty(pooled):
    """Equal units with normal errors, drawn: 100,000 times, of three, twelve and forty units."""
    rng = np.random.default_rng(15)
    for m in (3, 12, 40):
        drawn = rng.standard_normal((100_000, m))
        square = drawn.sum(axis=1) ** 2 / m / ((drawn**2).mean(axis=1) + pooled)
        critical = inference.critical_squares(np.array([m]), pooled)
        assert (square > critical).mean() == pytest.approx(0.05, abs=0.0025)


def test_critical_values_end_where_they_are_known():
    """One unit: z^2 / (z^2 + 1); many: the normal square, halved where the average counts too."""
    z = 1.959964**2
    ends = np.array([1.0, 1e9])
    assert inference.critical_squares(ends) == pytest.approx([z / (z + 1), z / 2], rel=1e-3)
    assert inference.critical_squares(ends, 0.0) == pytest.approx([1, z], rel=1e-3)


def test_units_are_worth_as_many_equal_ones_as_their_weights_say():
    weights = np.array([[1.0, 1, 1, 1], [2, -2, 0, 0], [3, 1, 0, 0], [0, 0, 0, 0]])
    assert inference.effective_units(weights) == pytest.approx([4, 2, 100 / 82, 1])


def test_targeted_units_that_vary_more_are_found_by_refitting_every_draw(small, refits):
    sample, assignments = small
    contrast = effects.TripleDifference(sample).contrast
    found = inference.compare_variances(contrast, assignments)
    rest = refits.outcome - refits.coefficients[0] * (refits.columns @ refits.targets[0])
    weights = refits.targets @ refits.columns
    own = weights @ rest / refits.sizes
    variance = ((weights * (rest - own[:, None] * weights)) ** 2).sum(axis=1) / refits.sizes
    assert found.ratio == pytest.approx(variance[0] / variance.mean(), rel=1e-8)
    assert found.p_value == (variance >= variance[0] * (1 - 1e-9)).mean()


def test_units_that_vary_more_are_seen_and_widen_the_interval_that_they_alone_decide():
    """Three targeted units of 48; then their change in the term is blown up."""
    whole = random_sample(np.random.default_rng(5), n_blocks=8, n_industries=6)
    place = whole.cells["industry"] + whole.cells["block"]
    targets = place.isin(["i0A", "i1B", "i2C"]).to_numpy(float)
    louder = {"i0A": 6, "i1B": -6, "i2C": 6}
    term = whole.rows["in_term"] * (whole.rows["industry"] + whole.rows["block"]).map(louder)
    ratios, widths = [], []
    for size in (0, 1):
        outcome = whole.rows["log_outcome"] + size * term.fillna(0)
        sample = simulation.panel_of(whole, outcome.to_numpy(), targets)
        contrast = effects.TripleDifference(sample).contrast
        assignments = inference.permute_targets(sample.cells, draws=199)
        ratios.append(inference.compare_variances(contrast, assignments))
        tests = [inference.permutation_test(contrast, assignments, pooled=p) for p in (1.0, 0.0)]
        widths.append([test.high - test.low for test in tests])
    assert ratios[0].p_value > 0.05
    assert ratios[0].ratio < 3 < ratios[1].ratio
    assert ratios[1].p_value <= 0.01
    assert widths[1][1] / widths[1][0] > max(1.2, widths[0][1] / widths[0][0])


# ---- Edges ------------------------------------------------------------------------------------


def random_case(rng):
    """Return a contrast of a few cells, often with ties, and up to 99 draws."""
    n_cells, n_draws = int(rng.integers(4, 12)), int(rng.choice([0, 9, 19, 39, 99]))
    whole = rng.random() < 0.5
    score = rng.integers(-3, 4, n_cells).astype(float) if whole else rng.normal(size=n_cells)
    effects_ = rng.normal(size=(n_cells, int(rng.integers(0, n_cells - 2))))
    basis = np.linalg.qr(effects_)[0] if effects_.size else np.zeros((n_cells, 1))
    score = score - basis @ (basis.T @ score)
    contrast = effects.Contrast(score, np.ones(n_cells), basis)
    actual = (np.arange(n_cells) < n_cells // 2).astype(float)
    draws = rng.permuted(np.tile(actual, (n_draws, 1)), axis=1)
    return contrast, inference.Assignments(actual, draws, n_cells, n_cells // 2, 1000)


@pytest.mark.parametrize("cases", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_interval_and_p_value_never_disagree_about_zero(cases):
    rng = np.random.default_rng(cases)
    rejected = 0
    for number in range(cases):
        pooled = float(number % 2)  # the test of the reports, and the one of targeted units alone
        found = inference.permutation_test(*random_case(rng), pooled=pooled)
        excludes_zero = found.low > 0 or found.high < 0
        assert (found.p_value <= 0.05 + 1e-12) == excludes_zero
        assert found.low <= found.estimate <= found.high
        assert 1 / (found.draws + 1) <= found.p_value <= 1
        rejected += excludes_zero
    assert 0 < rejected < cases


@pytest.mark.filterwarnings("error")
def test_without_enough_draws_to_reject_the_interval_is_unbounded(small):
    sample, assignments = small
    contrast = effects.TripleDifference(sample).contrast
    for draws in (0, 18):  # one in 19 is more than 5 percent
        few = inference.Assignments(assignments.actual, assignments.draws[:draws], 16, 8, 1296)
        found = inference.permutation_test(contrast, few)
        assert (found.low, found.high) == (-np.inf, np.inf)
        assert found.spread == np.inf


def test_the_actual_assignment_and_its_mirror_image_reach_every_effect():
    """In a balanced design the estimate of the mirror image is the same with its sign changed."""
    sample = random_sample(np.random.default_rng(2), effect=9.0)
    contrast = effects.TripleDifference(sample).contrast
    actual = sample.cells["is_targeted"].to_numpy(float)
    draws = np.vstack([actual, 1 - actual] * 10)
    found = inference.permutation_test(contrast, inference.Assignments(actual, draws, 16, 8, 1296))
    assert found.p_value == 1
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert found.spread == np.inf


def test_a_draw_that_the_effects_absorb_is_never_extreme(small):
    sample, assignments = small
    whole = sample.cells["block"].isin(["A", "B"]).to_numpy(float)
    absorbed = inference.Assignments(assignments.actual, np.tile(whole, (99, 1)), 16, 8, 1296)
    found = inference.permutation_test(effects.TripleDifference(sample).contrast, absorbed)
    assert found.p_value == 0.01
    assert found.low == pytest.approx(found.estimate)
    assert found.high == pytest.approx(found.estimate)


def test_adding_up_the_cells_of_a_unit_beforehand_changes_no_number(small, tested):
    sample, assignments = small
    contrast = effects.TripleDifference(sample).contrast
    n_units = assignments.n_units
    actual = (np.bincount(assignments.unit, assignments.actual, n_units) > 0).astype(float)
    collapsed = contrast.collapse(assignments.unit, n_units)
    by_unit = replace(assignments, actual=actual, unit=None)
    assert inference.permutation_test(collapsed, by_unit) == tested


def test_targets_that_the_effects_absorb_have_no_test(small):
    sample, assignments = small
    whole = sample.cells["block"].isin(["A", "B"]).to_numpy(float)
    absorbed = inference.Assignments(whole, assignments.draws, 16, 8, 1296)
    found = inference.permutation_test(effects.TripleDifference(sample).contrast, absorbed)
    numbers = [found.estimate, found.low, found.high, found.p_value, found.spread]
    assert np.isnan(numbers).all()
    assert found.draws == 199


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


def test_the_event_study_carries_the_estimate_and_test_of_each_year(small, event):
    sample, assignments = small
    contrasts = effects.event_contrasts(sample)
    assert event.years["year"].tolist() == list(contrasts) == [1998, 1999, 2001, 2002, 2003]
    for row in event.years.itertuples():
        seen, contrast = contrasts[row.year]
        of_year = assignments.of_cells(seen)
        alone = inference.permutation_test(contrast, of_year)
        numbers = (alone.estimate, alone.low, alone.high, alone.p_value, alone.spread)
        assert (row.estimate, row.low, row.high, row.p_value, row.spread) == numbers
        assert (row.n_cells, row.n_targeted) == (len(seen), of_year.actual.sum())


def test_bands_are_the_intervals_of_the_same_test_at_a_higher_level(small, event):
    sample, assignments = small
    contrasts = effects.event_contrasts(sample).values()
    statistics = [
        inference.score_draws(contrast, assignments.of_cells(seen)).statistic(0)
        for seen, contrast in contrasts
    ]
    level = inference.JointTest.of(statistics).level_of_each(0.95)
    assert 0.95 < level < 1
    for row, (seen, contrast) in zip(event.years.itertuples(), contrasts, strict=True):
        alone = inference.permutation_test(contrast, assignments.of_cells(seen), level)
        assert (row.band_low, row.band_high) == (alone.low, alone.high)
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
    sample, assignments = small
    contrasts = list(effects.event_contrasts(sample).values())
    scores = [inference.score_draws(c, assignments.of_cells(seen)) for seen, c in contrasts]
    joint = inference.JointTest.of([each.statistic(0) for each in scores])
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
    found = inference.event_study(sample, inference.permute_targets(sample.cells, 99))
    assert np.isnan([found.pretrend_p, found.pretrend_detectable]).all()
    assert found.years["year"].tolist() == [2001]


def test_a_planted_trend_is_found_before_the_term():
    rng = np.random.default_rng(4)
    flat, steep = (random_sample(rng, n_blocks=6, n_industries=6, trend=slope) for slope in (0, 1))
    p_values = [
        inference.event_study(each, inference.permute_targets(each.cells, 499)).pretrend_p
        for each in (flat, steep)
    ]
    assert p_values[0] > 0.1
    assert p_values[1] <= 0.01


def test_the_difference_that_the_test_would_find_is_found_about_as_often_as_promised(small):
    """One early year is moved by it: the test finds it more often than not, and not without it."""
    sample = random_sample(np.random.default_rng(9), n_blocks=6, n_industries=6)
    assignments = inference.permute_targets(sample.cells, 499)
    plain = inference.event_study(sample, assignments)
    moved = sample.rows["is_targeted"] & (sample.rows["fy"] == 1998)
    current = plain.years.set_index("year").loc[1998, "estimate"]
    for share, is_found in ((0.5, False), (1.3, True)):
        planted = share * plain.pretrend_detectable - current
        rows = sample.rows.assign(log_outcome=sample.rows["log_outcome"] + planted * moved)
        event = inference.event_study(effects.Sample(sample.design, rows, sample.lost), assignments)
        assert (event.pretrend_p <= 0.05) == is_found


# ---- Level and power, by simulation -----------------------------------------------------------


class Shape:
    """Cells, years, blocks and targets of a term of the study, for many simulated outcomes."""

    def __init__(self, study, term, draws):
        self.sample = effects.cell_sample(
            study, effects.main_design(study, term, "funded", "broad")
        )
        self.process = simulation.measure_process(self.sample)
        self.pool = inference.permute_targets(self.sample.cells)
        self.draws = draws
        rows = self.sample.rows
        self.basis = effects._orthonormal(dummies(rows))
        self.cell = rows.groupby(effects.CELL, sort=False).ngroup().to_numpy()
        self.in_term = rows["in_term"].to_numpy(float)
        self.contrast = effects.TripleDifference(self.sample).contrast

    def cases(self, outcomes, rng):
        """Yield the contrast of every column of `outcomes` (n_rows x n), and draws of its own.

        The same few draws for all panels would move the level of all of them.
        """
        left = outcomes - self.basis @ (self.basis.T @ outcomes)
        for column in (left * self.in_term[:, None]).T:
            labels = self.pool.labels[rng.integers(len(self.pool.labels), size=self.draws)]
            score = np.bincount(self.cell, column)
            yield replace(self.contrast, score=score), replace(self.pool, labels=labels)


@pytest.mark.slow
@pytest.mark.parametrize("term", [1, 2, 3])
def test_size_and_coverage_are_those_printed(real_study, term):
    """1,000 panels as the figures are, the actual targets held fixed, without and with an effect.

    Two Monte Carlo deviations are 1.4 points.
    """
    shape = Shape(real_study, term, draws=299)
    truth = np.log(1.05)
    added = truth * shape.contrast.times(shape.pool.actual)
    rng = np.random.default_rng(12)
    outcomes = simulation.simulate(shape.sample, shape.process, 1_000, rng)
    rejected, covered = [], []
    for number, (contrast, assignments) in enumerate(shape.cases(outcomes, rng)):
        rejected.append(inference.permutation_test(contrast, assignments).p_value <= 0.05)
        if number < 200:  # the test of the truth and the interval are one
            shifted = replace(contrast, score=contrast.score + added)
            found = inference.permutation_test(shifted, assignments)
            covered.append(found.low <= truth <= found.high)
    assert 0.036 < np.mean(rejected) < 0.064
    assert [not each for each in covered] == rejected[:200]


@pytest.mark.slow
def test_bands_and_pretrends_keep_their_level_where_units_differ():
    """300 panels without effect, units of unlike variance; two deviations are 2.5 points."""
    rng = np.random.default_rng(14)
    excluded = trended = 0
    for seed in range(300):
        sample = random_sample(rng, 6, 5, range(1998, 2004))
        scale = sample.rows.groupby(["block", "industry"]).ngroup() % 4 + 1
        rows = sample.rows.assign(log_outcome=sample.rows["log_outcome"] * scale)
        uneven = effects.Sample(sample.design, rows, sample.lost)
        event = inference.event_study(uneven, inference.permute_targets(sample.cells, 199, seed))
        years = event.years
        excluded += ((years["band_low"] > 0) | (years["band_high"] < 0)).any()
        trended += event.pretrend_p <= 0.05
    assert 0.02 < excluded / 300 < 0.075
    assert 0.02 < trended / 300 < 0.075


def test_a_planted_effect_is_recovered_and_told_from_none():
    rng = np.random.default_rng(21)
    sample = random_sample(rng, n_blocks=6, n_industries=8, effect=1.0)
    found = inference.permutation_test(
        effects.TripleDifference(sample).contrast, inference.permute_targets(sample.cells, 499)
    )
    assert found.p_value == 1 / 500
    assert found.low < 1 < found.high
    assert found.estimate == pytest.approx(1, abs=3 * found.spread)
    assert found.spread < 0.2
