"""The bootstrap equals refitting, the bounds equal hand arithmetic, adjusted p-values hold."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from small_panels import dummies, random_sample, residual

from clusterpolicy import crosschecks, effects, inference
from clusterpolicy.estimation import inversion

# ---- Wild cluster bootstrap, against refitting every draw -------------------------------------


@pytest.fixture(scope="module")
def few():
    """Six prefectures, some figures missing: 64 patterns of signs."""
    sample = random_sample(
        np.random.default_rng(12), 3, 6, range(1999, 2003), missing=0.1, effect=1.2
    )
    return sample, effects.TripleDifference(sample)


class Refits:
    """The restricted wild cluster bootstrap by least squares with every dummy, draw by draw."""

    def __init__(self, sample):
        rows = sample.rows
        self.fixed = dummies(rows)
        self.group = rows["pref_code"].factorize(sort=True)[0]
        self.outcome = rows["log_outcome"].to_numpy()
        self.treated = (rows["is_targeted"] & rows["in_term"]).to_numpy(float)
        self.left = residual(self.treated, self.fixed)

    def t_statistic(self, outcome, effect):
        """Size of the t-statistic, clustered by prefecture but for a constant factor."""
        columns = np.column_stack([self.treated, self.fixed])
        coefficients = np.linalg.lstsq(columns, outcome, rcond=None)[0]
        error = outcome - columns @ coefficients
        scores = np.bincount(self.group, self.left * error)
        return abs(coefficients[0] - effect) / np.sqrt((scores**2).sum())

    def p_value(self, effect, weights):
        actual = self.t_statistic(self.outcome, effect)
        restricted = residual(self.outcome - effect * self.treated, self.fixed)
        fitted = self.outcome - restricted
        drawn = [
            self.t_statistic(fitted + draw[self.group] * restricted, effect) for draw in weights
        ]
        return (1 + sum(t >= actual * (1 - 1e-9) for t in drawn)) / (len(weights) + 1)


SIGNS = np.array(list(product([1.0, -1.0], repeat=6)))


def test_the_bootstrap_is_that_of_refitting_every_pattern_of_signs(few):
    sample, difference = few
    refits = Refits(sample)
    found = crosschecks.bootstrap_with(difference, SIGNS)
    assert found.p_value == refits.p_value(0, SIGNS)
    assert 0.03 < found.p_value < 0.5
    width = found.high - found.low
    for effect in np.linspace(found.low - width, found.high + width, 41):
        is_inside = found.low <= effect <= found.high
        assert (refits.p_value(effect, SIGNS) > 0.05) == is_inside


def test_weights_that_are_not_signs_are_redrawn_in_the_same_way(few):
    sample, difference = few
    weights = np.random.default_rng(1).normal(size=(99, 6))
    found = crosschecks.bootstrap_with(difference, weights, level=0.8)
    refits = Refits(sample)
    assert found.p_value == refits.p_value(0, weights)
    for end, outward in ((found.low, -1e-6), (found.high, 1e-6)):
        assert refits.p_value(end + outward, weights) <= 0.2
        assert refits.p_value(end - outward, weights) > 0.2


@pytest.mark.filterwarnings("ignore")
def test_the_bootstrap_agrees_with_that_of_diff_diff(few):
    from diff_diff.utils import wild_bootstrap_se

    sample, difference = few
    refits = Refits(sample)
    fixed = np.linalg.qr(refits.fixed)
    independent = np.abs(np.diag(fixed[1])) > 1e-9
    columns = np.column_stack([refits.treated, refits.fixed[:, independent]])
    theirs = wild_bootstrap_se(
        columns, refits.outcome, refits.outcome, refits.group, 0, n_bootstrap=999
    )
    assert theirs.n_bootstrap == 64
    # They count what exceeds the actual statistic, so not the plain pattern and its mirror image.
    found = crosschecks.bootstrap_with(difference, SIGNS[1:], level=0.95 - 2 / 64)
    assert found.p_value == pytest.approx(theirs.p_value + 2 / 64)
    assert (found.low, found.high) == pytest.approx((theirs.ci_lower, theirs.ci_upper), abs=1e-6)


def test_few_prefectures_get_six_weights_and_many_get_signs(few):
    """Signs of six prefectures cannot give a p-value below 2 in 64; six weights can."""
    strong = random_sample(np.random.default_rng(12), 3, 6, range(1999, 2003), effect=40.0)
    assert crosschecks.bootstrap_with(effects.TripleDifference(strong), SIGNS).p_value > 0.03
    found = crosschecks.wild_bootstrap(effects.TripleDifference(strong), draws=1999)
    assert found.p_value < 0.02
    assert found.draws == 1999


def test_the_same_seed_gives_the_same_bootstrap(few):
    first, again, other = (
        crosschecks.wild_bootstrap(few[1], draws=199, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_without_an_estimate_there_is_no_bootstrap():
    sample = random_sample(np.random.default_rng(2))
    whole = sample.rows.assign(is_targeted=sample.rows["block"].isin(["A", "B"]))
    absorbed = effects.TripleDifference(effects.Sample(sample.design, whole, sample.lost))
    found = crosschecks.wild_bootstrap(absorbed, draws=9)
    assert np.isnan([found.p_value, found.low, found.high]).all()


@pytest.mark.slow
def test_the_bootstrap_keeps_its_level_where_prefectures_are_independent():
    rng = np.random.default_rng(31)
    rejected = [
        crosschecks.wild_bootstrap(
            effects.TripleDifference(random_sample(rng, 8, 5, range(1999, 2003))), draws=199
        ).p_value
        <= 0.05
        for _ in range(400)
    ]
    assert 0.03 < np.mean(rejected) < 0.075  # two Monte Carlo deviations are 2.2 points


# ---- Trends that are not alike ----------------------------------------------------------------

ESTIMATES = pd.Series({1998: 0.03, 1999: 0.01, 2001: 0.10, 2002: 0.14})


def diagonal(years, variance):
    return pd.DataFrame(np.diag(np.broadcast_to(variance, len(years))), years, years)


def test_without_uncertainty_the_bounds_are_hand_arithmetic():
    """Largest change before: 0.02. The mean of two years drifts by (1 + 2) / 2 of it per unit."""
    found = crosschecks.honest_bounds(ESTIMATES, diagonal(ESTIMATES.index, 0.0), 2000)
    assert found.estimate == pytest.approx(0.12)
    assert found.largest_step == pytest.approx(0.02)
    assert (found.low, found.high) == pytest.approx((0.12 - 0.03, 0.12 + 0.03))
    assert found.breakdown == pytest.approx(0.12 / 0.03)


def test_with_one_year_on_either_side_the_interval_is_solved_by_hand():
    """Change before -0.02 (to zero), after 0.1; variances 0.01^2 and 0.03^2, independent."""
    estimates = pd.Series({1999: 0.02, 2001: 0.10})
    found = crosschecks.honest_bounds(
        estimates, diagonal(estimates.index, [0.01**2, 0.03**2]), 2000, size=2.0
    )
    std_error = np.sqrt(0.03**2 + 4 * 0.01**2)
    z = 1.959964
    assert found.low == pytest.approx(0.10 - 2 * 0.02 - z * std_error, abs=1e-6)
    assert found.high == pytest.approx(0.10 + 2 * 0.02 + z * std_error, abs=1e-6)
    size = found.breakdown
    assert 0.10 - 0.02 * size == pytest.approx(z * np.sqrt(0.03**2 + size**2 * 0.01**2), abs=1e-6)


def test_with_no_room_for_drift_the_interval_is_the_usual_one():
    covariance = diagonal(ESTIMATES.index, 0.02**2)
    found = crosschecks.honest_bounds(ESTIMATES, covariance, 2000, size=0.0)
    half = 1.959964 * 0.02 / np.sqrt(2)
    assert (found.low, found.high) == pytest.approx((0.12 - half, 0.12 + half), abs=1e-6)
    assert found.std_error == pytest.approx(0.02 / np.sqrt(2))


@pytest.mark.parametrize("sign", [1, -1])
def test_at_the_breakdown_the_interval_touches_zero(sign):
    rng = np.random.default_rng(5)
    root = rng.normal(scale=0.02, size=(4, 4))
    covariance = pd.DataFrame(root @ root.T, ESTIMATES.index, ESTIMATES.index)
    plain = crosschecks.honest_bounds(sign * ESTIMATES, covariance, 2000)
    assert 0 < plain.breakdown < 10
    at = crosschecks.honest_bounds(sign * ESTIMATES, covariance, 2000, size=plain.breakdown)
    assert (at.low if sign > 0 else at.high) == pytest.approx(0, abs=1e-9)


def test_an_effect_that_is_not_there_breaks_down_at_once():
    covariance = diagonal(ESTIMATES.index, 0.2**2)
    assert crosschecks.honest_bounds(ESTIMATES, covariance, 2000).breakdown == 0


def test_an_effect_beyond_all_drift_never_breaks_down():
    flat = pd.Series({1999: 0.0, 2001: 0.1})
    covariance = diagonal(flat.index, [0.0, 0.01**2])
    assert crosschecks.honest_bounds(flat, covariance, 2000).breakdown == np.inf


def test_years_left_out_count_by_the_years_between():
    """From 1997 to 1999 two years pass: 0.04 is 0.02 a year. 2003 is three years on."""
    estimates = pd.Series({1997: 0.05, 1999: 0.01, 2001: 0.10, 2003: 0.14})
    found = crosschecks.honest_bounds(estimates, diagonal(estimates.index, 0.0), 2000)
    assert found.largest_step == pytest.approx(0.02)
    assert found.high - found.estimate == pytest.approx(0.02 * (1 + 3) / 2)


@pytest.mark.parametrize("kept", [[2001, 2002], [1998, 1999]])
def test_without_years_on_both_sides_there_are_no_bounds(kept):
    covariance = diagonal(ESTIMATES.index, 0.0)
    found = crosschecks.honest_bounds(ESTIMATES[kept], covariance, 2000)
    assert np.isnan([found.estimate, found.breakdown, found.low, found.high]).all()


@pytest.mark.filterwarnings("ignore")
def test_the_identified_set_is_that_of_diff_diff():
    from diff_diff import honest_did

    rng = np.random.default_rng(3)
    for n_before, n_after, size in ((1, 1, 0.5), (4, 5, 1.0), (3, 2, 2.0)):
        years = [*range(2000 - n_before, 2000), *range(2001, 2001 + n_after)]
        estimates = pd.Series(rng.normal(size=len(years)), years)
        mean = np.full(n_after, 1 / n_after)
        theirs = honest_did._solve_rm_bounds_union(
            estimates[:n_before].to_numpy(), estimates[n_before:].to_numpy(), mean, n_before, size
        )
        found = crosschecks.honest_bounds(estimates, diagonal(years, 0.0), 2000, size=size)
        assert (found.low, found.high) == pytest.approx(theirs)


@pytest.mark.parametrize("drift", [0.0, 0.03])
def test_the_interval_covers_when_the_term_drifts_as_far_as_allowed(drift):
    """10,000 draws of normal estimates around a drift that goes on; effect 0.2."""
    years = np.array([1997, 1998, 1999, 2001, 2002, 2003])
    truth = drift * (years - 2000) + 0.2 * (years > 2000)
    rng = np.random.default_rng(8)
    root = np.eye(6) * 0.02 + 0.02  # estimates share the base year, so they move together
    covariance = pd.DataFrame(root @ root.T, years, years)
    covered = []
    for noise in rng.normal(size=(1_000, 6)) @ root.T:
        found = crosschecks.honest_bounds(pd.Series(truth + noise, years), covariance, 2000)
        covered.append(found.low <= 0.2 <= found.high)
    assert np.mean(covered) >= 0.94


# ---- Families of estimates --------------------------------------------------------------------


def test_shared_draws_are_adjusted_step_by_step():
    # p-values of the actual assignment (first): 1/5, 3/5.
    first, second = np.array([9.0, 1, 2, 3, 4]), np.array([3.0, 5, 4, 2, 1])
    adjusted = inference.JointTest.of([first, second]).adjusted
    # Smallest p of the five assignments: 0.2, 0.2, 0.4, 0.6, 0.4; then the second test alone.
    assert adjusted == pytest.approx([2 / 5, 3 / 5])


def test_a_test_alone_or_repeated_keeps_its_p_value():
    values = np.random.default_rng(1).random(100)
    plain = (values >= values[0]).mean()
    assert inference.JointTest.of([values]).adjusted == pytest.approx([plain])
    assert inference.JointTest.of([values, values]).adjusted == pytest.approx([plain, plain])


def test_shared_draws_never_cost_more_than_holm_for_years_of_one_study():
    sample = random_sample(np.random.default_rng(3), 6, 5)
    assignments = inference.permute_targets(sample.cells, 999)
    statistics = [
        inference.score_test(changes, assignments.of_cells(seen)).squares(np.zeros(1))[0]
        for seen, changes in effects.changes_by_year(sample).values()
    ]
    plain = np.array([(values >= values[0]).mean() for values in statistics])
    adjusted = inference.JointTest.of(statistics).adjusted
    assert (plain <= adjusted).all()
    assert (adjusted <= crosschecks.adjust_by_holm(plain) + 0.02).all()
    assert (np.diff(adjusted[np.argsort(plain)]) >= 0).all()
    assert (adjusted > plain).any()


def test_holm_multiplies_by_what_is_left_and_never_falls():
    found = crosschecks.adjust_by_holm(np.array([0.04, 0.01, np.nan, 0.03, 0.6]))
    assert found == pytest.approx([0.09, 0.04, np.nan, 0.09, 0.6], nan_ok=True)
    assert crosschecks.adjust_by_holm(np.array([0.9, 0.8])).tolist() == [1, 1]


# ---- Where a draw reaches the actual statistic ------------------------------------------------


def test_polynomials_are_positive_where_their_values_are():
    """Degree four with known roots, in units of 10; infinity is a point like any other."""
    for leading, roots, expected in (
        (1, (-3, -1, 2, 5), [-np.inf, -3, -1, 2, 5, np.inf]),
        (-1, (-3, 2, 3, 5), [-3, 2, 3, 5]),
        (1, (1, 2, 3, 5), [-np.inf, 1, 2, 3, 5, np.inf]),
        (-1, (-3, 2), [-3, 2]),  # and two that are not real
    ):
        rest = [1.0] if len(roots) == 4 else [200.0, 10.0, 1.0]
        polynomial = np.polynomial.polynomial
        values = polynomial.polymul(polynomial.polyfromroots(10.0 * np.array(roots)), rest)
        stretches = inversion._where_positive(leading * values[:, None], 10.0)
        assert sorted(stretches.ravel()) == pytest.approx(expected)


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


@pytest.mark.parametrize("cases", [40, pytest.param(1_000, marks=pytest.mark.slow)])
def test_interval_and_p_value_never_disagree_about_zero(cases):
    """Of the bootstrap: small panels, few draws, and weights that are signs or are not."""
    rng = np.random.default_rng(cases)
    rejected = 0
    for number in range(cases):
        sample = random_sample(rng, 3, 4, (2000, 2001), effect=float(rng.choice([0, 1, 3])))
        size = int(rng.choice([9, 19, 39, 99])), 6
        weights = rng.choice([-1.0, 1.0], size) if number % 2 else rng.normal(size=size)
        difference = effects.TripleDifference(sample)
        if np.isnan(difference.estimate):
            continue
        found = crosschecks.bootstrap_with(difference, weights)
        excludes_zero = found.low > 0 or found.high < 0
        assert (found.p_value <= 0.05 + 1e-12) == excludes_zero
        assert found.low <= difference.estimate <= found.high
        rejected += excludes_zero
    assert 0 < rejected < cases
