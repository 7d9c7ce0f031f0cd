"""How sure we are: permutation of field assignments, its interval, bands, power, pre-trends.

Projects were drawn up by bureau and field, so chance is pictured by reassigning fields: within
each industry, the label "targeted" moves among the blocks of prefectures that could have had it.
Test and interval are the same procedure, so they cannot disagree.
"""

from dataclasses import dataclass, replace
from functools import cache
from math import comb, floor, prod

import numpy as np
import pandas as pd
import scipy.stats

from clusterpolicy.effects import Contrast, Sample, event_contrasts
from clusterpolicy.estimation.inversion import Scores, interval, most_beyond_zero, reached_effects

DRAWS = 9_999
LEVEL = 0.95
POWER = 0.80
SEED = 20010401  # the first day of the policy: any fixed number would do
# Below these counts a section prints "not estimable" instead of a number.
MIN_TARGETED_CELLS = 10
MIN_TARGETED_UNITS = 4
MIN_OTHER_CELLS = 10
MIN_ASSIGNMENTS = 200
# Weight, in the scale of the statistic, of what units vary by on average over all assignments,
# against what those of one assignment vary by. At 0 a test asks the units of the estimate alone.
POOLED = 1.0


@dataclass(frozen=True)
class Assignments:
    """Targets as they were and as they could have been.

    Attributes
    ----------
    actual : ndarray, n_cells
        1 for targeted cells, else 0.
    labels : ndarray, n_draws x n_units
        Reassigned targets, one label per unit; per cell if there are no units.
    n_units : int
        Units (block x industry) that hold cells.
    n_targeted_units : int
        Units that are targeted.
    n_distinct : int
        How many different assignments there are.
    unit : ndarray of int, n_cells, optional
        Unit of each cell.
    """

    actual: np.ndarray
    labels: np.ndarray
    n_units: int
    n_targeted_units: int
    n_distinct: int
    unit: np.ndarray | None = None

    @property
    def draws(self) -> np.ndarray:
        """Reassigned targets cell by cell, n_draws x n_cells."""
        return self.labels if self.unit is None else self.labels[:, self.unit]

    def of_cells(self, seen: np.ndarray) -> "Assignments":
        """Return the same reassignments for the cells at the positions `seen`."""
        if self.unit is None:
            return replace(self, actual=self.actual[seen], labels=self.labels[:, seen])
        return replace(self, actual=self.actual[seen], unit=self.unit[seen])

    @property
    def smallest_p(self) -> float:
        """Smallest p-value that the draws and the number of assignments allow."""
        return max(1 / (len(self.labels) + 1), 1 / self.n_distinct)


def count_assignments(cells: pd.DataFrame) -> Assignments:
    """Count the units and the distinct assignments without drawing any."""
    return permute_targets(cells, draws=0)


def permute_targets(cells: pd.DataFrame, draws: int = DRAWS, seed: int = SEED) -> Assignments:
    """Reassign targets among blocks of prefectures, industry by industry.

    Parameters
    ----------
    cells : DataFrame, n_cells rows
        ``pref_code``, ``industry``, ``block``, ``is_targeted``.
    draws : int
        Number of reassignments.
    seed : int
        Seed of the generator; the same seed gives the same draws on any machine.

    Returns
    -------
    Assignments

    Raises
    ------
    ValueError
        If the cells of one block and industry are not all targeted or all not.
    """
    unit, keys = pd.MultiIndex.from_frame(cells[["industry", "block"]]).factorize(sort=True)
    actual = cells["is_targeted"].to_numpy(float)
    share = np.bincount(unit, actual) / np.bincount(unit)
    if not np.isin(share, (0, 1)).all():
        mixed = keys[int(np.flatnonzero(~np.isin(share, (0, 1)))[0])]
        raise ValueError(
            f"targets: block and industry {mixed} are only partly targeted: "
            "split the block in policy.prefecture_blocks"
        )
    rng = np.random.default_rng(seed)
    labels = np.empty((draws, len(keys)))
    industry = keys.get_level_values(0)
    sizes = []
    for name in industry.unique():
        of_industry = np.flatnonzero(industry == name)
        sizes.append((len(of_industry), int(share[of_industry].sum())))
        repeated = np.tile(share[of_industry], (draws, 1))
        labels[:, of_industry] = rng.permuted(repeated, axis=1) if draws else repeated
    return Assignments(
        actual=actual,
        labels=labels,
        n_units=len(keys),
        n_targeted_units=int(share.sum()),
        n_distinct=prod(comb(units, targeted) for units, targeted in sizes),
        unit=unit,
    )


def why_not_estimable(sample: Sample) -> str:
    """Say why a design has too little to go on; empty if it has enough.

    Counts, not results, decide: targeted cells, other cells, targeted units of block x industry
    and distinct assignments, against the declared minima.
    """
    cells = sample.cells
    n_targeted = int(cells["is_targeted"].sum())
    n_other = len(cells) - n_targeted
    if sample.rows["in_term"].nunique() < 2 or not n_targeted or not n_other:
        return f"{n_targeted} targeted and {n_other} other cells in the years of the design"
    counts = count_assignments(cells)
    checks = (
        (n_targeted, MIN_TARGETED_CELLS, "targeted cells"),
        (n_other, MIN_OTHER_CELLS, "other cells"),
        (counts.n_targeted_units, MIN_TARGETED_UNITS, "targeted blocks x industries"),
        (counts.n_distinct, MIN_ASSIGNMENTS, "distinct assignments"),
    )
    few = [
        f"{found:,} {label} where {least:,} are needed"
        for found, least, label in checks
        if found < least
    ]
    return "; ".join(few)


@dataclass(frozen=True)
class PermutationTest:
    """Result of one permutation test and the interval that inverts it.

    Attributes
    ----------
    estimate, low, high : float
        In logs; `low` and `high` are infinite where no effect, however large, is rejected. NaN if
        the fixed effects absorb the targets.
    p_value : float
        Two-sided, of no effect; NaN without an estimate.
    spread : float
        Standard deviation that a normal estimate with such an interval would have: half its width
        over the normal quantile of its level. Infinite if the interval is unbounded.
    draws : int
        Number of reassignments.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    spread: float
    draws: int


def permutation_test(
    contrast: Contrast, assignments: Assignments, level: float = LEVEL, pooled: float = POOLED
) -> PermutationTest:
    """Test "no effect" by reassigning targets, and invert the test for the interval.

    The statistic is the size of a t-statistic clustered by unit (block x industry). For targets
    ``t`` and a supposed effect ``e`` let ``S_u`` be what unit ``u`` adds to the product of targets
    and outcome, all fixed effects and the supposed effect taken out. Then

        T(t, e)^2 = (sum of S_u)^2 / (sum of S_u^2 + pooled x t'Qt x average) / c(t)^2

    where the average is that of ``sum of S_u^2 / t'Qt`` over all assignments. Dividing by what the
    units of the draw itself vary by keeps the level where units differ in size and variance [1]_;
    the average keeps few units with small sums by chance from looking certain [2]_. Assignments
    are worth more or fewer equal units; ``c(t)`` is the critical value for as many as ``t`` is
    worth (:func:`critical_squares`), so each is measured by its own yardstick [3]_.
    Nothing in it depends on which assignment was the actual one, so the test is exact whenever
    targets could have been reassigned. Decision 0008 has its level when they could not.

    Each draw reaches the actual statistic where a polynomial of degree four in ``e`` is not
    negative. An effect is rejected if it, and every effect further from the estimate on its side,
    is reached by too few draws: the p-value is that of no effect in the same sense.

    Parameters
    ----------
    contrast : Contrast
    assignments : Assignments
    level : float
        Level of the interval, e.g. 0.95.
    pooled : float
        Weight of the average; 0 for a test that the units of the estimate alone decide.

    Returns
    -------
    PermutationTest

    References
    ----------
    .. [1] DiCiccio and Romano (2017), Journal of the American Statistical Association 112(519).
    .. [2] Tusher, Tibshirani and Chu (2001), Proceedings of the National Academy of Sciences 98(9).
    .. [3] Cohen and Fogarty (2022), Journal of the Royal Statistical Society B 84(2).
    """
    return invert(score_draws(contrast, assignments, pooled), level)


def score_draws(contrast: Contrast, assignments: Assignments, pooled: float = POOLED) -> Scores:
    """Return what the units of every reassignment add to the score of its test."""
    contrast, targets = _by_unit(contrast, assignments)
    columns, outcome = contrast.as_regression()
    return Weighed.of(contrast, columns, targets).scores(outcome, pooled)


def _by_unit(contrast: Contrast, assignments: Assignments) -> tuple[Contrast, np.ndarray]:
    """Return the contrast of units, and the targets of the actual and of every other assignment."""
    actual, labels = assignments.actual, assignments.labels
    if assignments.unit is not None:
        # Targets are the same within a unit, so nothing is lost by adding its cells up.
        n_units = labels.shape[1]
        contrast = contrast.collapse(assignments.unit, n_units)
        actual = (np.bincount(assignments.unit, actual, n_units) > 0).astype(float)
    return contrast, np.vstack([actual, labels])


@dataclass(frozen=True)
class Weighed:
    """Assignments as weights of units: the part of the statistic that no outcome enters.

    Attributes
    ----------
    weight : ndarray, n_assignments x n_units
        What the fixed effects leave of an assignment in each unit.
    norm : ndarray, n_assignments
        ``t'Qt``, the sum of the squared weights; NaN where the effects absorb the assignment.
    n_effective : ndarray, n_assignments
        From :func:`effective_units`.
    """

    weight: np.ndarray
    norm: np.ndarray
    n_effective: np.ndarray

    @classmethod
    def of(cls, contrast: Contrast, columns: np.ndarray, targets: np.ndarray) -> "Weighed":
        """Weigh assignments (n x n_units) with the columns of ``contrast.as_regression``."""
        weight, norm = targets @ columns.T, contrast.squared_norm(targets)
        # A reassignment that the fixed effects absorb says nothing; it can never be extreme.
        weight[norm == 0] = 0
        return cls(weight, np.where(norm > 0, norm, np.nan), effective_units(weight))

    def pick(self, rows: np.ndarray | list[int]) -> "Weighed":
        """Return the assignments at the positions `rows`."""
        return Weighed(self.weight[rows], self.norm[rows], self.n_effective[rows])

    def led_by(self, actual: "Weighed") -> "Weighed":
        """Return these assignments with the `actual` one before them."""
        return Weighed(
            np.vstack([actual.weight, self.weight]),
            np.append(actual.norm, self.norm),
            np.append(actual.n_effective, self.n_effective),
        )

    def scores(self, outcome: np.ndarray, pooled: float = POOLED) -> Scores:
        """Return the statistics of the first assignment and of all others.

        Parameters
        ----------
        outcome : ndarray, n_units
            Of ``contrast.as_regression``.
        pooled : float
            As in :func:`permutation_test`.
        """
        treated = self.weight[0]
        estimate = float(treated @ outcome / self.norm[0])
        if np.isnan(estimate):
            return Scores(estimate, *[np.full(len(self.norm), np.nan)] * 6)
        rest = outcome - estimate * treated
        score, slope = (self.weight @ np.column_stack([rest, treated])).T
        # The variance at an effect of ``estimate + x``: its constant, linear and square part.
        products = np.column_stack([rest**2, rest * treated, treated**2])
        variance = (self.weight**2 @ products).T
        average = np.nanmean(variance / self.norm, axis=1, keepdims=True)
        variance = variance + pooled * average * np.nan_to_num(self.norm)
        variance *= critical_squares(self.n_effective, pooled)
        return Scores(estimate, score, slope, *variance, self.norm)


def effective_units(weights: np.ndarray) -> np.ndarray:
    """Return how many equal units the unequal ones of each assignment are worth.

    ``(sum of w^2)^2 / sum of w^4`` for weights ``w`` (n x n_units) [1]_.

    References
    ----------
    .. [1] Carter, Schnepel and Steigerwald (2017), Review of Economics and Statistics 99(4).
    """
    squares = weights**2
    fourth = (squares**2).sum(axis=1)
    return np.divide(squares.sum(axis=1) ** 2, fourth, out=np.ones(len(fourth)), where=fourth > 0)


def critical_squares(n_effective: np.ndarray, pooled: float = POOLED) -> np.ndarray:
    """Return what the squared statistic exceeds with probability 1 - ``LEVEL``, for equal units.

    With ``m`` units of one weight and independent normal errors of one variance, the square is
    ``z^2 / ((z^2 + c) / m + pooled)`` with ``z`` standard normal and ``c`` chi-squared of ``m - 1``
    degrees of freedom. It only sets the yardstick of each assignment: the level of the test comes
    from reassigning, whatever the errors are.

    Parameters
    ----------
    n_effective : ndarray
        ``m``, at least 1, not necessarily whole.
    pooled : float
        As in :func:`permutation_test`.
    """
    inverse, values = _critical_table(pooled)
    return np.interp(1 / n_effective, inverse, values)


@cache
def _critical_table(pooled: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the critical squares on a grid of ``1 / m`` from 0 to 1, by bisection."""
    inverse = np.linspace(0, 1, 101)
    m = 1 / np.maximum(inverse, 1e-6)
    middle = (np.arange(400) + 0.5) / 400
    chi = scipy.stats.chi2.ppf(middle[:, None], np.maximum(m - 1, 1e-9))
    low, high = np.zeros(len(m)), m * (1 - 1e-12)  # the square is never above m
    for _ in range(60):
        value = (low + high) / 2
        bound = value * (chi / m + pooled) / (1 - value / m)  # of z^2, given c
        exceeds = 2 * scipy.stats.norm.sf(np.sqrt(bound)).mean(axis=0) > 1 - LEVEL
        low, high = np.where(exceeds, value, low), np.where(exceeds, high, value)
    return inverse, (low + high) / 2


@dataclass(frozen=True)
class Unevenness:
    """Whether the units of the estimate vary more than those of other assignments.

    Attributes
    ----------
    ratio : float
        What the units of the estimate vary by, each as it is weighed, over the average of all
        assignments; NaN without an estimate.
    p_value : float
        Share of assignments whose units vary by as much.
    """

    ratio: float
    p_value: float


def compare_variances(contrast: Contrast, assignments: Assignments) -> Unevenness:
    """Compare what the targeted units vary by with that of every reassignment.

    The variance of an assignment is ``sum of w_u^2 r_u^2 / sum of w_u^2``, with ``w`` its weights
    and ``r`` what its own coefficient leaves of the outcome, the estimated effect taken out.
    """
    contrast, targets = _by_unit(contrast, assignments)
    columns, outcome = contrast.as_regression()
    weighed = Weighed.of(contrast, columns, targets)
    norm = weighed.norm
    if np.isnan(norm[0]):
        return Unevenness(float("nan"), float("nan"))
    rest = outcome - (weighed.weight[0] @ outcome / norm[0]) * weighed.weight[0]
    own = (weighed.weight @ rest / norm)[:, None] * weighed.weight
    variance = (weighed.weight**2 * (rest - own) ** 2).sum(axis=1) / norm
    variance = variance[~np.isnan(variance)]
    return Unevenness(
        ratio=float(variance[0] / variance.mean()),
        p_value=float((variance >= variance[0] * (1 - 1e-9)).mean()),
    )


def invert(scores: Scores, level: float = LEVEL) -> PermutationTest:
    """Return the test that the statistics of the figures and of every draw make."""
    return _test(scores, level)[0]


def _test(
    scores: Scores, level: float, band_level: float = LEVEL
) -> tuple[PermutationTest, tuple[float, float]]:
    """Return the test and, by the same test at `band_level`, the ends of a simultaneous band."""
    n_draws = len(scores.score) - 1
    if np.isnan(scores.estimate):
        nothing = float("nan")
        undefined = PermutationTest(nothing, nothing, nothing, nothing, nothing, n_draws)
        return undefined, (nothing, nothing)
    reached = reached_effects(scores)
    low, high = interval(reached, n_draws, level)
    test = PermutationTest(
        estimate=scores.estimate,
        low=low,
        high=high,
        p_value=(1 + most_beyond_zero(scores.estimate, reached)) / (n_draws + 1),
        spread=(high - low) / (2 * float(scipy.stats.norm.ppf((1 + level) / 2))),
        draws=n_draws,
    )
    return test, interval(reached, n_draws, band_level)


def smallest_detectable(spread: float, level: float = LEVEL, power: float = POWER) -> float:
    """Return the effect (in logs) that a two-sided test at `level` would find with `power`.

    ``(z_level + z_power) x spread`` [1]_: 2.80 standard deviations for 95 % and 80 %.

    References
    ----------
    .. [1] Bloom (1995), Evaluation Review 19(5), 547-556.
    """
    z = scipy.stats.norm.ppf
    return float((z((1 + level) / 2) + z(power)) * spread)


@dataclass(frozen=True)
class EventStudy:
    """Effects year by year, in logs, and the test of the years before the term.

    Attributes
    ----------
    years : DataFrame
        ``year``, ``estimate``, ``low``, ``high`` (pointwise), ``band_low``, ``band_high``
        (simultaneous over all years), ``p_value`` (pointwise), ``adjusted_p`` (for all years),
        ``spread``, ``n_cells``,
        ``n_targeted``.
    pretrend_p : float
        p-value of "no effect in any baseline year", from the largest of them; NaN without years.
    pretrend_detectable : float
        Size of a difference in one baseline year that this test would find with 80 % power.
    covariance : DataFrame, n_years x n_years
        Of the estimates under reassignment, the estimated effects taken out; by year.
    """

    years: pd.DataFrame
    pretrend_p: float
    pretrend_detectable: float
    covariance: pd.DataFrame


def event_study(sample: Sample, assignments: Assignments, level: float = LEVEL) -> EventStudy:
    """Estimate the effect in every year against the base year.

    Bands are simultaneous: the test of each year is inverted at the level, above that of one
    year, at which an assignment without effect would be rejected in some year no more often than
    `level` allows (the smallest p-value over the years, by Westfall and Young [1]_). So no band
    excludes zero while the test of all years together does not reject. The years before the base
    year are tested together in the same way.

    Parameters
    ----------
    sample : Sample
    assignments : Assignments
        Of the cells of the sample.
    level : float

    Returns
    -------
    EventStudy

    References
    ----------
    .. [1] Westfall and Young (1993), Resampling-Based Multiple Testing, section 2.5.
    """
    scores, of_years = {}, {}
    for fy, (seen, contrast) in event_contrasts(sample).items():
        of_years[fy] = assignments.of_cells(seen)
        scores[fy] = score_draws(contrast, of_years[fy])
    defined = {fy: each for fy, each in scores.items() if not np.isnan(each.estimate)}
    joint = JointTest.of([each.statistic(0) for each in defined.values()])
    adjusted = dict(zip(defined, joint.adjusted, strict=True)) if defined else {}
    rows = []
    for fy, each in scores.items():
        test, (band_low, band_high) = _test(each, level, joint.level_of_each(level))
        rows.append(
            {
                "year": fy,
                "estimate": test.estimate,
                "low": test.low,
                "high": test.high,
                "band_low": band_low,
                "band_high": band_high,
                "p_value": test.p_value,
                "adjusted_p": max(test.p_value, adjusted.get(fy, float("nan"))),
                "spread": test.spread,
                "n_cells": len(of_years[fy].actual),
                "n_targeted": int(of_years[fy].actual.sum()),
            }
        )
    covariance = pd.DataFrame({fy: each.chance for fy, each in defined.items()}).cov()
    years = pd.DataFrame(rows)
    before = [fy for fy in defined if fy < sample.design.base_year]
    pretrend_p = detectable = float("nan")
    if before:
        pretrend = JointTest.of([defined[fy].statistic(0) for fy in before])
        pretrend_p = pretrend.p_value
        spread = float(years.loc[years["year"].isin(before), "spread"].mean())
        detectable = smallest_detectable(spread, pretrend.level_of_each(level))
    return EventStudy(years, pretrend_p, detectable, covariance)


@dataclass(frozen=True)
class JointTest:
    """Several permutation tests with the same draws, taken together.

    Attributes
    ----------
    each : ndarray, n_assignments x n_tests
        p-value that every assignment, the actual one first, would have in each test.
    """

    each: np.ndarray

    @classmethod
    def of(cls, statistics: list[np.ndarray]) -> "JointTest":
        """Rank the statistics (n_assignments each) of several tests of no effect."""
        return cls(np.array([_ranked(values) for values in statistics]).T)

    @property
    def p_value(self) -> float:
        """p-value of no effect anywhere: the share of assignments with as small a smallest p."""
        smallest = self.each.min(axis=1)
        return float((smallest <= smallest[0]).mean())

    @property
    def adjusted(self) -> np.ndarray:
        """p-values adjusted for one another by step-down [1]_, n_tests.

        The chance that, without any effect, the smallest p-value of this test and of those with
        larger ones is as small; never below that of a test with a smaller p-value.

        References
        ----------
        .. [1] Westfall and Young (1993), Resampling-Based Multiple Testing, algorithm 2.8.
        """
        order = np.argsort(self.each[0], kind="stable")
        steps = [JointTest(self.each[:, order[place:]]).p_value for place in range(len(order))]
        adjusted = np.empty(len(order))
        adjusted[order] = np.maximum.accumulate(steps)
        return adjusted

    def level_of_each(self, level: float) -> float:
        """Return the level of each test at which all hold together at `level`."""
        smallest = np.sort(self.each.min(axis=1)) if self.each.size else np.array([1.0])
        allowed = floor((1 - level) * len(smallest) + 1e-9)
        # The largest p-value that no more than `allowed` assignments stay at or below.
        below = np.unique(smallest[:allowed])
        below = below[np.searchsorted(smallest, below, side="right") <= allowed]
        return 1 - float(below.max(initial=0))


def _ranked(statistics: np.ndarray) -> np.ndarray:
    """Return the share of `statistics` that are as large as each one, but for rounding."""
    ordered = np.sort(statistics)
    below = np.searchsorted(ordered, statistics * (1 - 1e-9), side="left")
    return 1 - below / len(statistics)
