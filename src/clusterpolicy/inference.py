"""How sure we are: permutation of field assignments, its interval, bands, power, pre-trends.

Projects were drawn up by bureau and field, so chance is pictured by reassigning fields: within
each industry, the label "targeted" moves among the blocks of prefectures that could have had it.
Test and interval are the same procedure, so they cannot disagree.
"""

from dataclasses import dataclass, replace
from math import comb, floor, prod

import numpy as np
import pandas as pd
import scipy.stats

from clusterpolicy.effects import Sample, changes_by_year
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.powertrial import PowerTrial
from clusterpolicy.estimation.scoretest import LEVEL, Changes, ScoreTest

DRAWS = 9_999
YEAR_DRAWS = 1_999  # of each year of an event study
POWER = 0.80
SEED = 20010401  # the first day of the policy: any fixed number would do
# Below these counts a section prints "not estimable" instead of a number.
MIN_TARGETED_CELLS = 10
MIN_TARGETED_UNITS = 4
MIN_OTHER_CELLS = 10
MIN_ASSIGNMENTS = 100  # p-values of 0.01 are possible
POWER_PANELS = 300  # in which the effect that would be found is looked for
LARGE = 1_000  # cells; of a sample with more the effect is looked for to first order
# Of each year before the term, whose mean is taken: in a large sample a panel takes long.
YEAR_PANELS = 150


@dataclass(frozen=True)
class Assignments:
    """Targets as they were and as they could have been.

    Attributes
    ----------
    actual : ndarray, n_cells
        1 for targeted cells, else 0.
    labels : ndarray, n_draws x n_units
        Reassigned targets, one label per unit.
    n_units : int
        Units (block x industry) that hold cells.
    n_targeted_units : int
        Units that are targeted.
    n_distinct : int
        How many different assignments there are.
    unit : ndarray of int, n_cells
        Unit of each cell.
    block : ndarray of int, n_units
        Block of each unit.
    """

    actual: np.ndarray
    labels: np.ndarray
    n_units: int
    n_targeted_units: int
    n_distinct: int
    unit: np.ndarray
    block: np.ndarray

    @property
    def draws(self) -> np.ndarray:
        """Reassigned targets cell by cell, n_draws x n_cells."""
        return self.labels[:, self.unit]

    def of_cells(self, seen: np.ndarray) -> "Assignments":
        """Return the same reassignments for some cells (mask or positions)."""
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
        block=keys.get_level_values(1).factorize(sort=True)[0],
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


def score_test(
    changes: Changes,
    assignments: Assignments,
    k: float = huber.K,
    by_block: bool = False,
) -> ScoreTest:
    """Lay out the declared test of one sample.

    Parameters
    ----------
    changes : Changes
        One change per cell (``effects.cell_changes``).
    assignments : Assignments
        Of the same cells.
    k : float
        Clipping constant; ``huber.LEAST_SQUARES`` for the least-squares check.
    by_block : bool
        Studentise by the larger of the variances by unit and by block: the check against a shock
        that all targeted industries of a block share.
    """
    unit, labels = assignments.unit, assignments.labels
    block = assignments.block if by_block else None
    return ScoreTest(changes, assignments.actual, unit, labels, k, block)


def permutation_test(
    changes: Changes,
    assignments: Assignments,
    level: float = LEVEL,
    k: float = huber.K,
    by_block: bool = False,
) -> PermutationTest:
    """Test "no effect" by reassigning targets, and invert the test for the interval.

    For targets ``t`` and a supposed effect ``e``, effects of place and industry are fitted to
    ``change - e x actual`` by Huber's M-estimator, without targets. With ``S_u`` what unit ``u``
    (block x industry) adds to the product of the clipped residuals and of what the effects leave
    of ``t``,

        T(t, e)^2 = (sum of S_u)^2 / (sum of S_u^2 + pooled x t'Qt x average) / c(t)^2

    where the average is that of ``sum of S_u^2 / t'Qt`` over all assignments. Clipping bounds what
    any cell can do [1]_; dividing by what the units of the draw vary by keeps the level where they
    differ in size and variance [2]_, the average keeps few units with small sums by chance from
    looking certain, and ``c(t)`` measures each assignment by its own yardstick [3]_. Nothing in it
    depends on which assignment was the actual one, so the test is exact whenever targets could
    have been reassigned. Decision 0008 has the trial it was chosen by.

    An effect is rejected if it, and every effect further from the estimate on its side, is reached
    by too few draws: the p-value is that of no effect in the same sense.

    Parameters
    ----------
    changes, assignments, k, by_block
        As in :func:`score_test`.
    level : float
        Level of the interval, e.g. 0.95.

    Returns
    -------
    PermutationTest

    References
    ----------
    .. [1] Huber (1981), Robust Statistics, chapter 7.
    .. [2] DiCiccio and Romano (2017), Journal of the American Statistical Association 112(519).
    .. [3] Cohen and Fogarty (2022), Journal of the Royal Statistical Society B 84(2).
    """
    return summarise(score_test(changes, assignments, k, by_block), level)


def summarise(test: ScoreTest, level: float = LEVEL) -> PermutationTest:
    """Return estimate, p-value and interval of a test."""
    n_draws = len(test.weights.norm) - 1
    if np.isnan(test.estimate):
        nothing = float("nan")
        return PermutationTest(nothing, nothing, nothing, nothing, nothing, n_draws)
    low, high = test.interval(level)
    return PermutationTest(
        estimate=test.estimate,
        low=low,
        high=high,
        p_value=test.p_value,
        spread=(high - low) / (2 * float(scipy.stats.norm.ppf((1 + level) / 2))),
        draws=n_draws,
    )


def detectable_effect(
    test: ScoreTest,
    power: float = POWER,
    panels: int = POWER_PANELS,
    seed: int = SEED,
    level: float = LEVEL,
) -> float:
    """Return the effect (in logs) that the declared test would find with `power`.

    In the panels every unit gets the residuals of some unit of its industry, with a random sign, so
    that units are as unlike as those of the figures are and the targeted ones are not taken for
    calmer, or wilder, than others; the effect is added to the targeted cells and the whole test is
    made anew, in samples of more than ``LARGE`` cells to first order (of municipal cells it is then
    found in 78 to 84 percent). Infinite if not even the largest effect tried is found often enough.

    Parameters
    ----------
    test : ScoreTest
    power : float
    panels : int
        Panels, the same for every effect.
    seed : int
    level : float
        Of the test.
    """
    if np.isnan(test.estimate):
        return float("nan")
    is_large = len(test.actual) > LARGE
    return PowerTrial(test, panels, seed, level).find(power, not is_large)


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
    covariance : DataFrame, n_years x n_years
        Of the estimates under reassignment, the estimated effects taken out; by year.
    """

    years: pd.DataFrame
    covariance: pd.DataFrame


def event_study(sample: Sample, assignments: Assignments, level: float = LEVEL) -> EventStudy:
    """Estimate the effect in every year against the base year.

    Bands are simultaneous: the test of each year is inverted at the level, above that of one
    year, at which an assignment without effect would be rejected in some year no more often than
    `level` allows (the smallest p-value over the years, by Westfall and Young [1]_). So no band
    excludes zero while the test of all years together does not reject.

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
    tests, of_years = {}, {}
    for fy, (seen, changes) in changes_by_year(sample).items():
        of_years[fy] = replace(assignments.of_cells(seen), labels=assignments.labels[:YEAR_DRAWS])
        tests[fy] = score_test(changes, of_years[fy])
    defined = {fy: each for fy, each in tests.items() if not np.isnan(each.estimate)}
    zero = {fy: np.sqrt(each.squares(np.zeros(1))[0]) for fy, each in defined.items()}
    joint = JointTest.of(list(zero.values()))
    adjusted = dict(zip(defined, joint.adjusted, strict=True)) if defined else {}
    rows = []
    for fy, each in tests.items():
        test = summarise(each, level)
        band_low = band_high = float("nan")
        if fy in defined:
            band_low, band_high = each.interval(joint.level_of_each(level))
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
    covariance = pd.DataFrame({fy: each.chance() for fy, each in defined.items()}).cov()
    return EventStudy(pd.DataFrame(rows), covariance)


@dataclass(frozen=True)
class PretrendTest:
    """Test of the years before the term.

    Attributes
    ----------
    p_value : float
        Of "no effect in any baseline year", from the largest of them; NaN without years.
    detectable : float
        Difference in one baseline year (logs) that this test would find with 80 % power.
    """

    p_value: float
    detectable: float


def pretrend_test(sample: Sample, assignments: Assignments, level: float = LEVEL) -> PretrendTest:
    """Test whether targeted and other cells moved alike before the term.

    Each baseline year is compared with the base year by the declared test; all years are taken
    together by the smallest p-value (Westfall and Young).
    """
    tests = []
    for fy, (seen, changes) in changes_by_year(sample).items():
        if fy < sample.design.base_year:
            fewer = replace(assignments, labels=assignments.labels[:YEAR_DRAWS])
            test = score_test(changes, fewer.of_cells(seen))
            if not np.isnan(test.estimate):
                tests.append(test)
    if not tests:
        return PretrendTest(float("nan"), float("nan"))
    joint = JointTest.of([np.sqrt(test.squares(np.zeros(1))[0]) for test in tests])
    level_of_each = joint.level_of_each(level)
    found = [detectable_effect(each, panels=YEAR_PANELS, level=level_of_each) for each in tests]
    return PretrendTest(joint.p_value, float(np.mean(found)))


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
