"""Test and interval are one procedure, equal to refitting every draw, and true to their level."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.stats
from small_huber import columns_of, reference
from small_panels import random_sample

from clusterpolicy import effects, inference
from clusterpolicy.estimation import huber, influence, scoretest
from clusterpolicy.estimation.scoretest import Changes, ScoreTest, Weights

pytestmark = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
SHORT = (2000, 2001)  # one year before, one in the term


# ---- Against refitting every draw -------------------------------------------------------------


class ByHand:
    """The test with statsmodels, ``lstsq`` and ``sqrtm``: every assignment partialled out anew."""

    def __init__(self, changes, assignments, k=huber.K, pooled=0.4):
        self.changes, self.actual, self.k = changes, assignments.actual, k
        self.pooled = pooled
        self.unit, n_units = assignments.unit, assignments.n_units
        own = np.bincount(self.unit, self.actual, n_units) > 0
        self.targets = np.vstack([own, assignments.labels]).astype(float)
        layout = changes.layout
        self.root = np.sqrt(layout.weight)
        self.fixed = columns_of(layout, covariates=changes.covariates) * self.root[:, None]
        left = self.partial_out(np.eye(n_units)[self.unit])
        self.precision = left.T @ left
        spread = np.sqrt(np.bincount(self.unit, layout.weight, n_units))
        half = np.real(scipy.linalg.sqrtm(self.precision / np.outer(spread, spread)))
        self.columns = half * spread

    def partial_out(self, columns):
        weighted = (columns.T * self.root).T
        return weighted - self.fixed @ np.linalg.lstsq(self.fixed, weighted, rcond=None)[0]

    def unit_sums(self, effect):
        fit = reference(
            self.changes.layout,
            self.changes.change - effect * self.actual,
            covariates=self.changes.covariates,
            k=self.k,
        )
        self.clipped = np.clip(fit.resid, -self.k * fit.scale, self.k * fit.scale)
        return np.bincount(self.unit, self.root * self.clipped, len(self.targets[0]))

    def statistics(self, effect):
        # Within what the effects leave, the root is undone by its pseudo-inverse.
        outcome = np.linalg.pinv(self.columns.T, rcond=1e-6) @ self.unit_sums(effect)
        scores, own, sizes, worth = [], [], [], []
        for targets in self.targets:
            left = self.partial_out(targets[self.unit])
            weights = self.columns @ targets
            scores.append(left @ self.clipped)
            assert weights @ outcome == pytest.approx(scores[-1], abs=1e-6)
            sizes.append(left @ left)
            own.append(((weights * outcome) ** 2).sum())
            worth.append((weights**2).sum() ** 2 / (weights**4).sum())
        scores, own, sizes = np.array(scores), np.array(own), np.array(sizes)
        variance = own + self.pooled * sizes * np.mean(own / sizes)
        return scores**2 / variance / scoretest.critical_squares(np.array(worth), self.pooled)

    def p_value(self, effect):
        statistic = self.statistics(effect)
        return (statistic >= statistic[0] * (1 - 1e-9)).mean()


def weigh(changes, rng):
    """Return the same changes with unequal precision and two covariates."""
    n = len(changes.change)
    layout = replace(changes.layout, weight=rng.uniform(0.2, 5, n))
    return replace(changes, layout=layout, covariates=rng.normal(size=(2, n)))


@pytest.fixture(scope="module", params=["plain", "weights and covariates"])
def small(request):
    """Ten prefectures, five industries, a known effect; 10^5 assignments, of which 199 drawn."""
    rng = np.random.default_rng(3)
    sample = random_sample(rng, 5, 5, range(1998, 2004), missing=0.1, effect=0.7)
    changes = effects.cell_changes(sample)
    if request.param != "plain":
        changes = weigh(changes, rng)
    return changes, inference.permute_targets(sample.cells, draws=199)


@pytest.fixture(scope="module")
def test_of(small):
    return inference.score_test(*small)


@pytest.fixture(scope="module")
def by_hand(small):
    return ByHand(*small)


def test_every_statistic_is_that_of_refitting_its_draw(test_of, by_hand):
    for effect in (0.0, 0.4, -2.0, 30.0):
        ours = test_of.squares(np.array([effect]))[0]
        assert ours == pytest.approx(by_hand.statistics(effect), rel=1e-4, abs=1e-6)


def test_p_values_are_exactly_those_of_refitting_every_draw(test_of, by_hand):
    grid = test_of.estimate + test_of.std_error * np.linspace(-4, 4, 17)
    found = test_of.p_values(np.r_[0.0, grid])
    assert found.tolist() == [by_hand.p_value(effect) for effect in (0.0, *grid)]
    assert found.min() < 0.05 < found.max()


def test_clipping_nothing_gives_the_least_squares_test(small):
    changes, assignments = small
    plain = inference.score_test(changes, assignments, k=huber.LEAST_SQUARES)
    # A bound that nothing reaches; the units of each assignment decide alone.
    by_hand = ByHand(changes, assignments, k=1e9, pooled=0.0)
    assert plain.squares(np.zeros(1))[0] == pytest.approx(by_hand.statistics(0.0), rel=1e-6)


def test_the_estimate_is_where_the_score_is_zero(test_of):
    """So every draw reaches the statistic there, and the interval holds the estimate."""
    own = test_of.squares(np.array([test_of.estimate]))[0, 0]
    assert own == pytest.approx(0, abs=1e-9)
    assert test_of.p_values(np.array([test_of.estimate]))[0] == 1


def test_the_root_of_the_precision_is_that_of_dense_linear_algebra(small, by_hand):
    changes, assignments = small
    n_units = assignments.n_units
    root, to_outcome = scoretest.unit_root(
        changes.layout, assignments.unit, n_units, changes.covariates
    )
    assert root.T @ root == pytest.approx(by_hand.precision, abs=1e-9)
    assert root == pytest.approx(by_hand.columns, abs=1e-6)
    assert root.T @ to_outcome @ by_hand.precision == pytest.approx(by_hand.precision, abs=1e-9)


def test_a_unit_without_cells_counts_for_nothing(small):
    changes, assignments = small
    more = scoretest.unit_root(
        changes.layout, assignments.unit, assignments.n_units + 2, changes.covariates
    )
    plain = scoretest.unit_root(
        changes.layout, assignments.unit, assignments.n_units, changes.covariates
    )
    for wide, narrow in zip(more, plain, strict=True):
        assert wide[:-2, :-2] == pytest.approx(narrow)
        assert not wide[-2:].any()
        assert not wide[:, -2:].any()


@pytest.mark.parametrize("effect", [0.0, 0.4])
def test_one_step_from_least_squares_is_the_least_squares_estimate(small, effect):
    changes, assignments = small
    test = inference.score_test(changes, assignments, k=huber.LEAST_SQUARES)
    found = test.one_step(np.array([effect]))[0]
    outcome = changes.change - effect * assignments.actual
    for targets, estimate in list(zip(assignments.draws, found[1:], strict=True))[:30]:
        again = huber.fit(
            changes.layout, outcome[None], targets, changes.covariates, k=huber.LEAST_SQUARES
        )
        assert estimate == pytest.approx(again.slope[0], abs=1e-9)
    assert found[0] == pytest.approx(test.estimate - effect, abs=1e-9)


def test_one_step_is_near_the_refitted_estimate(test_of, small):
    """To first order only: half of the difference to zero is as good as it need be."""
    changes, assignments = small
    one_step = test_of.one_step(np.zeros(1))[0, 1:]
    refitted = np.array(
        [
            huber.fit(changes.layout, changes.change[None], targets, changes.covariates).slope[0]
            for targets in assignments.draws[:40]
        ]
    )
    assert np.corrcoef(one_step[:40], refitted)[0, 1] > 0.97
    assert np.abs(one_step[:40] - refitted).mean() < 0.3 * np.abs(refitted).mean()
    assert test_of.chance() == pytest.approx(test_of.one_step(np.array([test_of.estimate]))[0, 1:])


def test_the_standard_error_is_the_sandwich_over_units_for_least_squares(small):
    """Score of each unit at the estimate, squared and added up, over the squared precision."""
    changes, assignments = small
    test = inference.score_test(changes, assignments, k=huber.LEAST_SQUARES)
    by_hand = ByHand(changes, assignments, k=1e9)
    outcome = np.linalg.pinv(by_hand.columns.T, rcond=1e-6) @ by_hand.unit_sums(test.estimate)
    weights = by_hand.columns @ by_hand.targets[0]
    expected = np.sqrt(((weights * outcome) ** 2).sum()) / (weights @ weights)
    assert test.std_error == pytest.approx(expected, rel=1e-6)


# ---- The interval -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tested(small):
    return inference.permutation_test(*small)


def test_the_interval_holds_the_effects_that_the_test_does_not_reject(test_of, tested):
    width = tested.high - tested.low
    grid = np.linspace(tested.low - width, tested.high + width, 500)
    is_inside = (tested.low <= grid) & (grid <= tested.high)
    assert ((test_of.p_values(grid) > 0.05) == is_inside).all()
    assert 150 < is_inside.sum() < 180


def test_the_ends_of_the_interval_are_sharp(test_of, tested, by_hand):
    close = scoretest.FINEST * test_of.std_error
    for end, outward in ((tested.low, -close), (tested.high, close)):
        assert by_hand.p_value(end + outward) <= 0.05 < by_hand.p_value(end - outward)


def test_levels_are_nested(test_of):
    levels = (0.2, 0.5, 0.8, 0.9, 0.95, 0.98)
    lows, highs = np.array([test_of.interval(level) for level in levels]).T
    assert (np.diff(lows) < 0).all()
    assert (np.diff(highs) > 0).all()
    assert lows[0] < test_of.estimate < highs[0]
    assert test_of.interval(1.0) == (-np.inf, np.inf)


def test_an_effect_added_to_targeted_cells_moves_estimate_and_interval_by_as_much(small, tested):
    changes, assignments = small
    for effect in (0.3, -5.0):
        moved = replace(changes, change=changes.change + effect * assignments.actual)
        found = inference.permutation_test(moved, assignments)
        for name in ("estimate", "low", "high"):
            close = 1e-6 if name == "estimate" else 2 * scoretest.FINEST * tested.spread
            assert getattr(found, name) == pytest.approx(getattr(tested, name) + effect, abs=close)


def test_effects_of_places_and_industries_move_nothing(small, tested):
    changes, assignments = small
    layout = changes.layout
    rng = np.random.default_rng(1)
    places, industries = (rng.normal(scale=9, size=n) for n in layout.shape)
    moved = replace(
        changes, change=changes.change + places[layout.place] + industries[layout.industry]
    )
    found = inference.permutation_test(moved, assignments)
    assert found.p_value == tested.p_value
    assert found.estimate == pytest.approx(tested.estimate, abs=1e-6)
    assert found.low == pytest.approx(tested.low, abs=2 * scoretest.FINEST * tested.spread)


def test_the_order_of_cells_changes_nothing(small, tested):
    changes, assignments = small
    order = np.random.default_rng(2).permutation(len(changes.change))
    layout = huber.Layout(*(part[order] for part in vars_of(changes.layout)))
    covariates = None if changes.covariates is None else changes.covariates[:, order]
    moved = Changes(layout, changes.change[order], covariates)
    found = inference.permutation_test(moved, assignments.of_cells(order))
    assert found.p_value == tested.p_value
    assert found.estimate == pytest.approx(tested.estimate, abs=1e-9)
    assert (found.low, found.high) == pytest.approx((tested.low, tested.high), abs=1e-9)


def vars_of(layout):
    return layout.place, layout.industry, layout.weight


def random_case(rng):
    """Return changes of few units, often with ties, and up to 199 draws."""
    n_blocks, n_industries = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    effect = float(rng.choice([0, 1, 3]))
    sample = random_sample(rng, n_blocks, n_industries, SHORT, effect=effect)
    changes = effects.cell_changes(sample)
    kind = int(rng.integers(3))
    if kind == 1:
        changes = replace(changes, change=np.round(changes.change))
    if kind == 2:
        changes = replace(
            changes, change=changes.change * np.exp(rng.normal(size=len(sample.cells)))
        )
    draws = int(rng.choice([0, 9, 19, 39, 99, 199]))
    k = float(rng.choice([huber.K, huber.LEAST_SQUARES]))
    return changes, inference.permute_targets(sample.cells, draws, int(rng.integers(1000))), k


@pytest.mark.parametrize("cases", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_interval_and_p_value_never_disagree_about_zero(cases):
    rng = np.random.default_rng(cases)
    rejected = 0
    for _ in range(cases):
        changes, assignments, k = random_case(rng)
        by_block = bool(rng.random() < 0.3)
        found = inference.permutation_test(changes, assignments, k=k, by_block=by_block)
        if np.isnan(found.estimate):  # two blocks: targets may be a whole prefecture
            assert np.isnan([found.low, found.high, found.p_value, found.spread]).all()
            continue
        excludes_zero = found.low > 0 or found.high < 0
        assert (found.p_value <= 0.05 + 1e-12) == excludes_zero
        assert found.low <= found.estimate <= found.high
        assert 1 / (found.draws + 1) <= found.p_value <= 1
        rejected += excludes_zero
    assert 0 < rejected < cases


# ---- Exactness --------------------------------------------------------------------------------


def test_when_every_assignment_is_as_likely_as_any_other_the_test_is_exact():
    """Each of the 216 assignments is the actual one once, on figures as unequal as can be."""
    sample = random_sample(np.random.default_rng(8), n_industries=3, years=range(2000, 2004))
    changes = effects.cell_changes(sample)
    uneven = np.exp(2 * np.random.default_rng(9).normal(size=len(sample.cells)))
    changes = replace(changes, change=changes.change * uneven)
    assignments = inference.permute_targets(sample.cells, draws=3000)
    every = np.unique(assignments.labels, axis=0)
    assert len(every) == assignments.n_distinct == 216
    p_values, plain = [], np.ones(216)
    for place in range(216):
        others = np.delete(every, place, axis=0)
        as_if = replace(assignments, actual=every[place][assignments.unit], labels=others)
        test = inference.score_test(changes, as_if)
        if np.isnan(test.estimate):  # six are whole blocks, which the effects absorb
            continue
        plain[place] = test.p_values(np.zeros(1))[0]
        if place % 8 == 0:
            p_values.append((test.p_value, plain[place]))
    # The plain p-value of no effect is below p in exactly the share p of assignments; the printed
    # one, which asks the same of effects beyond zero, is no smaller.
    for level in (0.05, 0.1, 0.25, 0.5):
        assert 0 < (plain <= level).mean() <= level
    at_or_below = (plain[:, None] >= plain[None, :] - 1e-12).mean(axis=1)
    assert at_or_below == pytest.approx(plain)
    assert all(printed >= alone for printed, alone in p_values)


def test_the_fit_does_not_know_which_assignment_was_the_actual_one(small):
    """At no effect the same statistics, whichever assignment comes first."""
    changes, assignments = small
    test = inference.score_test(changes, assignments)
    plain = test.squares(np.zeros(1))[0]
    own = (np.bincount(assignments.unit, assignments.actual) > 0).astype(float)
    labels = np.vstack([own, assignments.labels[1:]])
    swapped = replace(assignments, actual=assignments.labels[0][assignments.unit], labels=labels)
    found = inference.score_test(changes, swapped).squares(np.zeros(1))[0]
    assert found[[1, 0]] == pytest.approx(plain[:2], rel=1e-9)
    assert found[2:] == pytest.approx(plain[2:], rel=1e-9)


# ---- Variance, yardstick and block by hand ----------------------------------------------------


def test_a_statistic_by_hand_where_the_units_of_a_block_share_a_sign():
    """Two blocks of two units: the squared sums are more than the sum of squares only then."""
    weights = Weights(np.ones((1, 4)), np.array([4.0]), np.array([1.0]))
    block = np.array([0, 0, 1, 1])
    shared = np.array([[1.0, 1, 2, 2]])  # sum 6; by unit 10, by block 4 + 16
    assert weights.squares(shared, pooled=0.5) == pytest.approx(np.array([[36 / (10 * 1.5)]]))
    assert weights.squares(shared, 0.5, block) == pytest.approx(np.array([[36 / (20 * 1.5)]]))
    unlike = np.array([[1.0, 1, -1, 3]])  # sum 4; by unit 12, by block 4 + 4: the larger counts
    expected = pytest.approx(np.array([[16 / (12 * 1.5)]]))
    assert weights.squares(unlike, pooled=0.5) == expected
    assert weights.squares(unlike, 0.5, block) == expected


def test_the_average_is_over_the_assignments_that_effects_do_not_absorb():
    """Variances 2 and 8 for precisions 2 and 4: 1 and 2 a piece of precision, 1.5 on average."""
    weight = np.array([[1.0, 1, 0], [0, 2, 2], [0, 0, 0]])
    weights = Weights(weight, np.array([2.0, 4, np.nan]), np.array([1.0, 2, 1]))
    found = weights.squares(np.array([[1.0, 1, 1]]), pooled=0.5)
    expected = [4 / (2 + 0.5 * 1.5 * 2), 16 / (8 + 0.5 * 1.5 * 4) / 2, 0]
    assert found[0] == pytest.approx(expected)
    assert weights.pick([1]).squares(np.array([[1.0, 1, 1]]), pooled=0.0)[0] == pytest.approx(1)


def test_a_shock_that_targeted_units_of_a_block_share_widens_the_interval_by_block():
    rng = np.random.default_rng(4)
    sample = random_sample(rng, 6, 8, SHORT)
    changes = effects.cell_changes(sample)
    assignments = inference.permute_targets(sample.cells, 499)
    shock = dict(zip("ABCDEF", (3, -3, 3, -3, 3, -3), strict=True))
    shared = sample.cells["block"].map(shock).to_numpy() * assignments.actual
    ratio = []
    for change in (changes.change, changes.change + shared):
        moved = replace(changes, change=change)
        unit, block = (
            inference.permutation_test(moved, assignments, by_block=by_block)
            for by_block in (False, True)
        )
        assert unit.estimate == block.estimate
        ratio.append(block.spread / unit.spread)
    assert ratio[1] > max(1.1, ratio[0])


@pytest.mark.parametrize("pooled", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("m", [2, 3, 12, 40.5])
def test_critical_squares_are_those_of_numerical_integration(m, pooled):
    def excess(value):
        def reaches(c):
            bound = value * (c / m + pooled) / (1 - value / m)
            return 2 * scipy.stats.norm.sf(np.sqrt(bound)) * scipy.stats.chi2.pdf(c, m - 1)

        return scipy.integrate.quad(reaches, 0, np.inf, epsabs=1e-9)[0] - 0.05

    expected = scipy.optimize.brentq(excess, 1e-6, m * (1 - 1e-9))
    found = scoretest.critical_squares(np.array([m]), pooled)
    assert found[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("pooled", [0.0, 0.5])
def test_a_square_exceeds_its_critical_value_one_time_in_twenty(pooled):
    """Equal units with normal errors, drawn: 100,000 times, of three, twelve and forty units."""
    rng = np.random.default_rng(15)
    for m in (3, 12, 40):
        drawn = rng.standard_normal((100_000, m))
        square = drawn.sum(axis=1) ** 2 / m / ((drawn**2).mean(axis=1) + pooled)
        critical = scoretest.critical_squares(np.array([m]), pooled)
        assert (square > critical).mean() == pytest.approx(0.05, abs=0.0025)


def test_critical_values_end_where_they_are_known():
    """One unit: z^2 / (z^2 + c); many: the normal square over one and the average's weight."""
    z = 1.959964**2
    ends = np.array([1.0, 1e9])
    assert scoretest.critical_squares(ends, 1.0) == pytest.approx([z / (z + 1), z / 2], rel=1e-3)
    assert scoretest.critical_squares(ends, 0.5) == pytest.approx(
        [z / (z + 0.5), z / 1.5], rel=1e-3
    )
    assert scoretest.critical_squares(ends, 0.0) == pytest.approx([1, z], rel=1e-3)


def test_units_are_worth_as_many_equal_ones_as_their_weights_say():
    weights = np.array([[1.0, 1, 1, 1], [2, -2, 0, 0], [3, 1, 0, 0], [0, 0, 0, 0]])
    assert scoretest.effective_units(weights) == pytest.approx([4, 2, 100 / 82, 1])


def test_targeted_cells_are_worth_as_many_equal_ones_as_their_shares_of_the_score_say(test_of):
    shares = test_of.fit.psi[0, test_of.actual == 1] ** 2
    assert test_of.effective_cells() == pytest.approx(shares.sum() ** 2 / (shares**2).sum())
    assert 1 < test_of.effective_cells() < test_of.actual.sum()


def test_two_targeted_cells_of_one_size_are_worth_two():
    """Two by two, twice: residuals of a quarter of each interaction, all of one size."""
    layout = huber.Layout(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.ones(4))
    changes = Changes(layout, np.array([4.0, 0, 0, 0]))
    test = object.__new__(ScoreTest)
    test.fit, test.actual = huber.fit(layout, changes.change[None]), np.array([1.0, 0, 0, 1])
    assert test.fit.residual[0] == pytest.approx([1, -1, -1, 1])
    assert test.effective_cells() == pytest.approx(2)


# ---- Edges ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_without_enough_draws_to_reject_the_interval_is_unbounded(small):
    changes, assignments = small
    for draws in (0, 18):  # one in 19 is more than 5 percent
        few = replace(assignments, labels=assignments.labels[:draws])
        found = inference.permutation_test(changes, few)
        assert (found.low, found.high) == (-np.inf, np.inf)
        assert found.spread == np.inf


def test_the_actual_assignment_and_its_mirror_image_reach_every_effect():
    """In a balanced design the score of the mirror image is the same with its sign changed."""
    sample = random_sample(np.random.default_rng(2), effect=9.0)
    assignments = inference.count_assignments(sample.cells)
    own = np.bincount(assignments.unit, assignments.actual) > 0
    same = replace(assignments, labels=np.vstack([own, ~own] * 10).astype(float))
    found = inference.permutation_test(effects.cell_changes(sample), same)
    assert found.p_value == 1
    assert (found.low, found.high) == (-np.inf, np.inf)


def whole_blocks(sample, assignments):
    """Return labels that mark the first two blocks in every industry."""
    is_first = sample.cells["block"].isin(["A", "B"]).to_numpy(float)
    return (np.bincount(assignments.unit, is_first, assignments.n_units) > 0).astype(float)


@pytest.fixture(scope="module")
def plain():
    sample = random_sample(np.random.default_rng(3), 5, 5, range(1998, 2004), effect=0.7)
    return sample, effects.cell_changes(sample), inference.permute_targets(sample.cells, 199)


@pytest.mark.filterwarnings("error")
def test_a_draw_that_the_effects_absorb_is_never_extreme(plain):
    sample, changes, assignments = plain
    labels = np.tile(whole_blocks(sample, assignments), (99, 1))
    found = inference.permutation_test(changes, replace(assignments, labels=labels))
    assert found.p_value == 0.01
    assert found.low == pytest.approx(found.estimate, abs=1e-3)
    assert found.high == pytest.approx(found.estimate, abs=1e-3)


@pytest.mark.filterwarnings("error")
def test_targets_that_the_effects_absorb_have_no_test(plain):
    sample, changes, assignments = plain
    whole = whole_blocks(sample, assignments)[assignments.unit]
    absorbed = replace(assignments, actual=whole)
    found = inference.permutation_test(changes, absorbed)
    numbers = [found.estimate, found.low, found.high, found.p_value, found.spread]
    assert np.isnan(numbers).all()
    assert found.draws == 199
    assert np.isnan(inference.detectable_effect(inference.score_test(changes, absorbed)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("effect", [0.0, 0.07])
def test_figures_without_noise_have_an_interval_of_no_width(plain, effect):
    """An effect known to the last digit: found, and the search for the ends comes to an end."""
    _, changes, assignments = plain
    layout = changes.layout
    exact = effect * assignments.actual + 3.0 * layout.place - layout.industry
    for change in (exact, effect * assignments.actual):
        found = inference.permutation_test(replace(changes, change=change), assignments)
        assert found.estimate == pytest.approx(effect, abs=1e-12)
        assert found.low == pytest.approx(effect, abs=1e-3)
        assert found.high == pytest.approx(effect, abs=1e-3)
        if effect:
            assert found.p_value == 1 / 200


def test_some_cells_stand_alone_as_a_panel_of_their_own(small):
    changes, assignments = small
    kept = np.random.default_rng(1).random(len(changes.change)) < 0.8
    part = changes.of_cells(kept)
    layout = part.layout
    assert set(layout.place) == set(range(layout.shape[0]))
    assert (part.change == changes.change[kept]).all()
    places = changes.layout.place[kept]
    assert ((places[:, None] == places) == (layout.place[:, None] == layout.place)).all()
    positions = changes.of_cells(np.flatnonzero(kept))
    assert (positions.layout.industry == layout.industry).all()
    again = inference.permutation_test(part, assignments.of_cells(kept))
    assert again.low < again.estimate < again.high


# ---- What would be found ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def uneven():
    """Six blocks, eight industries, units of unlike variance, no effect."""
    sample = random_sample(np.random.default_rng(6), 6, 8, SHORT)
    scale = sample.cells.groupby(["block", "industry"]).ngroup().to_numpy() % 4 + 1
    changes = effects.cell_changes(sample)
    changes = replace(changes, change=0.1 * changes.change * scale)
    return changes, inference.permute_targets(sample.cells, 999)


def test_the_detectable_effect_is_found_about_as_often_as_promised(uneven):
    """In 150 panels drawn anew, each with draws of its own; two deviations are 6.5 points."""
    changes, assignments = uneven
    test = inference.score_test(changes, assignments)
    effect = inference.detectable_effect(test, panels=200)
    rng = np.random.default_rng(1)
    found = []
    for _ in range(150):
        signs = rng.choice([-1.0, 1.0], test.n_units)[test.unit]
        outcome = test.fit.residual[0] * signs + effect * assignments.actual
        few = replace(assignments, labels=rng.permutation(assignments.labels)[:199])
        again = inference.score_test(replace(changes, change=outcome), few)
        found.append(again.p_values(np.zeros(1))[0] <= 0.05)
    assert 0.7 < np.mean(found) < 0.9


def test_more_power_needs_a_larger_effect_and_less_noise_a_smaller_one(uneven):
    changes, assignments = uneven
    test = inference.score_test(changes, assignments)
    half, usual, nearly = (
        inference.detectable_effect(test, power, panels=100) for power in (0.5, 0.8, 0.95)
    )
    assert 0 < half < usual < nearly < np.inf
    calm = inference.score_test(replace(changes, change=changes.change / 4), assignments)
    smaller = inference.detectable_effect(calm, panels=100)
    assert smaller == pytest.approx(usual / 4, rel=0.05)
    assert inference.detectable_effect(test, panels=100) == usual  # the same seed, the same panels
    # What is found first is refitted: the power there, in the same panels, is what was asked for.
    trial = inference.PowerTrial(test, 100, inference.SEED)
    assert trial.find(0.8) == usual
    assert trial.power(usual) == pytest.approx(0.8, abs=0.05)


def test_power_without_effect_is_the_level(uneven):
    trial = inference.PowerTrial(inference.score_test(*uneven), panels=1_000, seed=5)
    assert 0.03 < trial.power(0.0) < 0.07
    assert trial.power(-0.1) == pytest.approx(trial.power(0.1), abs=0.05)


@pytest.mark.parametrize("draws", [0, 10, 18])
def test_where_nothing_can_reject_no_effect_is_detectable(uneven, draws):
    changes, assignments = uneven
    few = replace(assignments, labels=assignments.labels[:draws])
    assert inference.detectable_effect(inference.score_test(changes, few), panels=20) == np.inf


# ---- Single cells -----------------------------------------------------------------------------


def test_leaving_a_cell_out_is_refitting_without_it(small, test_of):
    changes, assignments = small
    for cell, found in zip((0, 7, 31), influence.leave_out(test_of, [0, 7, 31]), strict=True):
        kept = np.arange(len(changes.change)) != cell
        part = changes.of_cells(kept)
        theirs = reference(part.layout, part.change, assignments.actual[kept], part.covariates)
        assert (found.cell, found.estimate) == (cell, pytest.approx(theirs.params[0], abs=1e-6))
        size = test_of.fit.residual[0, cell] * np.sqrt(changes.layout.weight[cell])
        assert found.distance == pytest.approx(size / test_of.fit.scale[0])


def test_the_cell_that_moves_the_estimate_most_is_named(small, test_of):
    every = influence.leave_out(test_of, np.arange(len(test_of.actual)))
    moved = [abs(each.estimate - test_of.estimate) for each in every]
    assert influence.most_influential(test_of).cell == int(np.argmax(moved))


def test_a_planted_cell_moves_least_squares_most_and_is_named(plain):
    _, changes, assignments = plain
    cell = int(np.flatnonzero(assignments.actual)[3])
    change = changes.change.copy()
    change[cell] += 40
    test = inference.score_test(replace(changes, change=change), assignments, k=huber.LEAST_SQUARES)
    found = influence.most_influential(test)
    assert found.cell == cell
    assert abs(found.estimate - test.estimate) > 1
    clean = inference.score_test(changes, assignments, k=huber.LEAST_SQUARES)
    assert found.estimate == pytest.approx(influence.leave_out(clean, [cell])[0].estimate, abs=1e-9)


def test_any_targeted_cell_moved_tenfold_is_called_far():
    """Log changes with a spread of a tenth; ten times the output is 2.3, for every cell in turn."""
    sample = random_sample(np.random.default_rng(11), 4, 5, SHORT)
    changes = effects.cell_changes(sample)
    changes = replace(changes, change=0.07 * changes.change)
    assignments = inference.permute_targets(sample.cells, 9)
    assert influence.far_cells(inference.score_test(changes, assignments)) == []
    for cell in range(len(changes.change)):
        for factor in (10, 0.1):
            change = changes.change.copy()
            change[cell] += np.log(factor)
            test = inference.score_test(replace(changes, change=change), assignments)
            far = influence.far_cells(test)
            assert [each.cell for each in far] == ([cell] if assignments.actual[cell] else [])
            assert all(np.sign(each.distance) == np.sign(factor - 1) for each in far)


def test_the_only_targeted_cell_leaves_nothing_behind():
    layout = huber.Layout(*np.divmod(np.arange(12), 4), np.ones(12))
    rng = np.random.default_rng(1)
    actual = (np.arange(12) == 5).astype(float)
    labels = np.eye(12)[rng.permutation(12)]
    test = ScoreTest(Changes(layout, rng.normal(size=12)), actual, np.arange(12), labels)
    (found,) = influence.leave_out(test, [5])
    assert np.isnan(found.estimate)
    assert influence._moved(found.estimate, test.estimate) == np.inf
