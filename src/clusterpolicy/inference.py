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

from clusterpolicy.effects import Contrast, Sample, event_contrasts

DRAWS = 9_999
LEVEL = 0.95
POWER = 0.80
SEED = 20010401  # the first day of the policy: any fixed number would do
# Below these counts a section prints "not estimable" instead of a number.
MIN_TARGETED_CELLS = 10
MIN_TARGETED_UNITS = 4
MIN_OTHER_CELLS = 10
MIN_ASSIGNMENTS = 200


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
        Standard deviation of the estimate under reassignment, once the estimated effect is taken
        out of the figures.
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
    contrast: Contrast, assignments: Assignments, level: float = LEVEL
) -> PermutationTest:
    """Test "no effect" by reassigning targets, and invert the test for the interval.

    The statistic is ``|t'(s - e Q a)| / sqrt(t'Qt)`` for targets ``t``, actual targets ``a`` and a
    supposed effect ``e``: the size of the partial correlation of targets with the outcome once the
    supposed effect is taken out (the t-statistic of the regression, up to a monotone
    transformation). As a function of ``e`` each draw reaches the actual statistic on one interval
    around the estimate, so the set of effects that are not rejected is an interval too, and its
    ends are order statistics of the ends of the draws' intervals.

    Parameters
    ----------
    contrast : Contrast
    assignments : Assignments
    level : float
        Level of the interval, e.g. 0.95.

    Returns
    -------
    PermutationTest
    """
    return _test(_reach(contrast, assignments), level)


def _test(reach: "_Reach", level: float) -> PermutationTest:
    estimate, shift, overlap = reach.estimate, reach.shift, reach.overlap
    n_draws = len(shift)
    if np.isnan(estimate):
        undefined = float("nan")
        return PermutationTest(estimate, undefined, undefined, undefined, undefined, n_draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = (estimate - shift) / (1 - overlap)
        two = (estimate + shift) / (1 + overlap)
    # The actual assignment comes up among the draws too: it always reaches its own statistic.
    # So does its mirror image. One cell more or less moves the overlap by far more than this.
    alike = np.abs(overlap) > 1 - 1e-9
    low = np.where(alike, -np.inf, np.minimum(one, two))
    high = np.where(alike, np.inf, np.maximum(one, two))
    reached = int(((low <= 0) & (high >= 0)).sum())
    by_chance = (reach.chance * reach.scale)[~np.isnan(reach.scale)]
    needed = floor((1 - level) * (n_draws + 1) + 1e-9)
    if needed < 1:
        ends = -np.inf, np.inf
    else:
        ends = np.sort(low)[needed - 1], np.sort(high)[::-1][needed - 1]
    return PermutationTest(
        estimate=estimate,
        low=float(ends[0]),
        high=float(ends[1]),
        p_value=(1 + reached) / (n_draws + 1),
        spread=float(np.std(by_chance)) if by_chance.size else float("nan"),
        draws=n_draws,
    )


@dataclass(frozen=True)
class _Reach:
    """Each draw's statistic, in units of the effect on the actual targets, and its parts."""

    estimate: float
    shift: np.ndarray  # of the outcome as it is
    overlap: np.ndarray  # correlation of the draw with the actual targets
    scale: np.ndarray  # from the statistic to the coefficient on the draw; NaN if undefined

    @property
    def chance(self) -> np.ndarray:
        """Statistic of each draw once the estimated effect is taken out of the outcome."""
        return self.shift - self.estimate * self.overlap


def _reach(contrast: Contrast, assignments: Assignments) -> _Reach:
    actual, draws = assignments.actual, assignments.labels
    if assignments.unit is not None:
        # Targets are the same within a unit, so nothing is lost by adding its cells up, and a
        # draw costs a product with a matrix of units, not of cells.
        n_units = draws.shape[1]
        contrast = contrast.collapse(assignments.unit, n_units)
        actual = (np.bincount(assignments.unit, actual, n_units) > 0).astype(float)
    estimate = contrast.estimate(actual)
    if np.isnan(estimate):
        undefined = np.full(len(draws), np.nan)
        return _Reach(estimate, undefined, undefined, undefined)
    norm = np.sqrt(contrast.squared_norm(actual[None, :])[0])
    draw_norm = np.sqrt(contrast.squared_norm(draws))
    # A reassignment that the fixed effects absorb says nothing; it can never be extreme.
    informative = draw_norm > 0
    divisor = np.where(informative, draw_norm, np.inf) * norm
    overlap = np.clip(draws @ contrast.times(actual) / divisor, -1, 1)
    scale = np.where(informative, norm, np.nan) / np.where(informative, draw_norm, 1)
    return _Reach(estimate, draws @ contrast.score / divisor, overlap, scale)


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
        (simultaneous over all years), ``p_value`` (pointwise), ``spread``, ``n_cells``,
        ``n_targeted``.
    pretrend_p : float
        p-value of "no effect in any baseline year", from the largest of them; NaN without years.
    pretrend_detectable : float
        Size of a difference in one baseline year that this test would find with 80 % power.
    """

    years: pd.DataFrame
    pretrend_p: float
    pretrend_detectable: float


def event_study(sample: Sample, assignments: Assignments, level: float = LEVEL) -> EventStudy:
    """Estimate the effect in every year against the base year.

    Bands are simultaneous: the widest relative deviation over the years is compared with its own
    distribution under reassignment (sup-t [1]_), so that all years hold together at `level`.

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
    .. [1] Montiel Olea and Plagborg-Moller (2019), Journal of Applied Econometrics 34(1), 1-17.
    """
    reaches, rows = {}, []
    for fy, (seen, contrast) in event_contrasts(sample).items():
        of_year = assignments.of_cells(seen)
        reaches[fy] = _reach(contrast, of_year)
        test = _test(reaches[fy], level)
        rows.append(
            {
                "year": fy,
                "estimate": test.estimate,
                "low": test.low,
                "high": test.high,
                "p_value": test.p_value,
                "spread": test.spread,
                "n_cells": len(seen),
                "n_targeted": int(of_year.actual.sum()),
            }
        )
    defined = {fy: reach for fy, reach in reaches.items() if not np.isnan(reach.estimate)}
    half = _half_widths(defined, level)
    years = pd.DataFrame(rows)
    half = years["year"].map(half).astype(float)
    years = years.assign(band_low=years["estimate"] - half, band_high=years["estimate"] + half)
    before = {fy: reach for fy, reach in defined.items() if fy < sample.design.base_year}
    return EventStudy(years, *_test_pretrend(before, level))


def _half_widths(reaches: dict[int, "_Reach"], level: float) -> dict[int, float]:
    """Return half the width of the simultaneous band in each year."""
    if not reaches:
        return {}
    size = {fy: _root_mean_square(reach.chance) for fy, reach in reaches.items()}
    largest = np.max([np.abs(reach.chance) / size[fy] for fy, reach in reaches.items()], axis=0)
    width = np.quantile(largest, level, method="higher")
    return {fy: width * size[fy] for fy in reaches}


def _test_pretrend(before: dict[int, "_Reach"], level: float) -> tuple[float, float]:
    """Test that no year before the term differs; return p and the difference one would show.

    The largest of the years' statistics, each over its own size under reassignment. The actual
    assignment is one of those compared, so the p-value is exact, as that of the main test is.
    """
    if not before:
        return float("nan"), float("nan")
    size = {fy: _root_mean_square(np.append(r.shift, r.estimate)) for fy, r in before.items()}
    observed = max(abs(reach.estimate) / size[fy] for fy, reach in before.items())
    largest = np.max([np.abs(reach.shift) / size[fy] for fy, reach in before.items()], axis=0)
    reached = (largest >= observed * (1 - 1e-9)).sum()  # the same assignment, but for rounding
    p_value = float((1 + reached) / (len(largest) + 1))
    critical = np.mean(list(_half_widths(before, level).values()))
    error = np.mean([_root_mean_square(reach.chance) for reach in before.values()])
    return p_value, float(critical + scipy.stats.norm.ppf(POWER) * error)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
