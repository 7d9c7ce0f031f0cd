"""Other answers to how sure we are: wild bootstrap, robustness to unlike trends, adjusted p-values.

The printed test reassigns targets (``inference``). Beside it stand the wild cluster bootstrap by
prefecture, which redraws the errors instead; the interval that remains if targeted cells had
drifted in the term as they did before it; and p-values for families of estimates.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats

from clusterpolicy.effects import TripleDifference
from clusterpolicy.estimation.contrast import GroupParts
from clusterpolicy.estimation.inversion import Scores, interval, most_beyond_zero, reached_effects
from clusterpolicy.inference import DRAWS, LEVEL, SEED

# With fewer groups than this there are too few patterns of signs: six weights instead of two.
GROUPS_FOR_SIGNS = 12
WEBB = np.sqrt([0.5, 1.0, 1.5])


# ---- Wild cluster bootstrap -------------------------------------------------------------------


@dataclass(frozen=True)
class WildBootstrap:
    """Wild cluster bootstrap: p-value of no effect and the interval of effects not rejected.

    Attributes
    ----------
    p_value, low, high : float
        `low` and `high` in logs, infinite where no effect is rejected; NaN without an estimate.
    draws : int
    """

    p_value: float
    low: float
    high: float
    draws: int


def wild_bootstrap(
    difference: TripleDifference, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> WildBootstrap:
    """Redraw the signs of each prefecture's errors, with the supposed effect imposed.

    The restricted wild cluster bootstrap [1]_: the outcome is made again from the fixed effects,
    the supposed effect and the residuals under it, those of a prefecture times one random weight,
    and the t-statistic clustered by prefecture (CRV1) is compared with the actual one. Weights are
    signs, or with fewer than 12 groups the six points of Webb [2]_. Effects are out of both sides
    beforehand, so a draw costs two products with matrices of prefectures; the interval inverts the
    test exactly as that of ``inference.permutation_test`` does.

    References
    ----------
    .. [1] Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90(3), 414-427.
    .. [2] Webb (2023), Canadian Journal of Economics 56(3), 839-858.
    """
    rng = np.random.default_rng(seed)
    size = draws, difference.n_groups
    points = np.ones(1) if difference.n_groups >= GROUPS_FOR_SIGNS else WEBB
    weights = rng.choice(points, size) * rng.choice([-1.0, 1.0], size)
    return bootstrap_with(difference, weights, level)


def bootstrap_with(
    difference: TripleDifference, weights: np.ndarray, level: float = LEVEL
) -> WildBootstrap:
    """Return the wild cluster bootstrap for given weights (n_draws x n_groups)."""
    n_draws = len(weights)
    if np.isnan(difference.estimate):
        return WildBootstrap(float("nan"), float("nan"), float("nan"), n_draws)
    reached = reached_effects(_bootstrap_scores(difference.parts, difference.estimate, weights))
    reaching = most_beyond_zero(difference.estimate, reached)
    low, high = interval(reached, n_draws, level)
    return WildBootstrap((1 + reaching) / (n_draws + 1), low, high, n_draws)


def _bootstrap_scores(parts: GroupParts, estimate: float, weights: np.ndarray) -> Scores:
    """Return the statistics of the figures and of every draw, as functions of the effect.

    The residuals of a supposed effect ``estimate + x`` are those of the estimate less ``x`` times
    the regressor, so whatever a draw makes of them is its `left` less ``x`` times its `right`.
    """
    weights = np.vstack([np.ones(weights.shape[1]), weights])
    residual_score = parts.score - estimate * parts.norm
    residual_effects = parts.outcome_effects - estimate * parts.regressor_effects
    left, score = _redrawn(parts, weights, residual_score, residual_effects)
    right, slope = _redrawn(parts, weights, parts.norm, parts.regressor_effects)
    return Scores(
        estimate=estimate,
        score=score,
        slope=slope,
        constant=(left**2).sum(axis=1),
        linear=(left * right).sum(axis=1),
        square=(right**2).sum(axis=1),
        norm=weights**2 @ parts.norm,  # Cauchy and Schwarz: slope^2 is at most this x norm
    )


def _redrawn(
    parts: GroupParts, weights: np.ndarray, score: np.ndarray, effects: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each draw's scores by group around its own coefficient, and their sum before that.

    Parameters
    ----------
    parts : GroupParts
    weights : ndarray, n_draws x n_groups
    score, effects : ndarray, n_groups and n_groups x n_effects
        Products of what is redrawn with the regressor and with the fixed effects.
    """
    total = weights @ score
    # Once weighted, the residuals are no longer free of the effects: they are taken out again.
    absorbed = weights @ (parts.regressor_effects @ effects.T).T
    of_groups = weights * score - absorbed
    return of_groups - np.outer(total / parts.norm.sum(), parts.norm), total


# ---- Trends that are not alike ----------------------------------------------------------------


@dataclass(frozen=True)
class HonestBounds:
    """What is left of an effect if targeted cells drift in the term as they did before it.

    Attributes
    ----------
    estimate, std_error : float
        Mean of the years of the term against the base year, in logs.
    largest_step : float
        Largest change of the difference from one baseline year to the next, in logs.
    breakdown : float
        How many times the largest change before the term a change in the term may be for the
        interval to exclude zero; 0 if it never does, infinite if it always does.
    low, high : float
        Interval if changes in the term were `size` times the largest before it.
    """

    estimate: float
    std_error: float
    largest_step: float
    breakdown: float
    low: float
    high: float


def honest_bounds(
    estimates: pd.Series,
    covariance: pd.DataFrame,
    base_year: int,
    level: float = LEVEL,
    size: float = 1.0,
) -> HonestBounds:
    """Bound the mean effect over the term by "relative magnitudes" [1]_.

    Without any effect the difference between targeted and other cells may change, from one year of
    the term to the next, by up to ``M`` times its largest change between two baseline years. The
    mean over ``n`` years of the term can then be off by ``M (n + 1) / 2`` times that change, for
    evenly spaced years. For each change ``d`` before the term and either sign of it, effects are
    kept for which two one-sided tests, at the least favourable critical value, do not reject
    ``|mean - effect| <= M (n + 1) / 2 x (+-d)``; the interval is the union over all of them, so it
    holds the effect at `level` although the largest change is itself an estimate.

    Parameters
    ----------
    estimates : Series
        Difference to the base year in logs, by fiscal year; the base year itself is not in it.
    covariance : DataFrame
        Of the estimates, by fiscal year.
    base_year : int
    level : float
    size : float
        ``M`` of the interval.

    Returns
    -------
    HonestBounds
        All NaN without a year before the base year or after it.

    References
    ----------
    .. [1] Rambachan and Roth (2023), Review of Economic Studies 90(5), section 3.
    """
    estimates = estimates.dropna().sort_index()
    after = estimates.index > base_year
    if after.all() or not after.any():
        return HonestBounds(*[float("nan")] * 6)
    mean = after / after.sum()
    years = estimates.index.to_numpy()
    steps = _baseline_steps(years, base_year) * _reach_of_steps(years[after], base_year)
    variance = covariance.loc[years, years].to_numpy()
    values = estimates.to_numpy()
    moves = np.vstack([steps, -steps])
    z = float(scipy.stats.norm.ppf((1 + level) / 2))

    estimate = float(mean @ values)
    sign = 1 if estimate >= 0 else -1
    crossing = min(_crossing(sign * mean, move, values, variance, z) for move in moves)
    per_step = np.abs(_baseline_steps(years, base_year) @ values)
    return HonestBounds(
        estimate=estimate,
        std_error=float(np.sqrt(mean @ variance @ mean)),
        largest_step=float(per_step.max()),
        breakdown=crossing,
        low=min(_end(mean - size * move, values, variance, -z) for move in moves),
        high=max(_end(mean + size * move, values, variance, z) for move in moves),
    )


def _baseline_steps(years: np.ndarray, base_year: int) -> np.ndarray:
    """Return the changes between baseline years, as weights on the estimates (rows)."""
    before = np.flatnonzero(years < base_year)
    steps = np.zeros((len(before), len(years)))
    steps[np.arange(len(before)), before] = -1
    steps[np.arange(len(before) - 1), before[1:]] = 1  # the last one ends in the base year: zero
    gaps = np.diff(np.append(years[before], base_year))
    return steps / gaps[:, None]


def _reach_of_steps(years: np.ndarray, base_year: int) -> float:
    """Return how far the mean of `years` drifts if the difference changes by 1 in every year."""
    return float(np.mean(years - base_year))


def _end(weights: np.ndarray, values: np.ndarray, variance: np.ndarray, z: float) -> float:
    return float(weights @ values + z * np.sqrt(weights @ variance @ weights))


def _crossing(
    mean: np.ndarray, move: np.ndarray, values: np.ndarray, variance: np.ndarray, z: float
) -> float:
    """Return the smallest size of `move` at which the interval of ``mean - size move`` holds zero.

    The roots of ``(m - size d)^2 = z^2 (V - 2 size C + size^2 W)`` are where it begins to.
    """
    m, d = mean @ values, move @ values
    v, c, w = mean @ variance @ mean, mean @ variance @ move, move @ variance @ move
    if m <= z * np.sqrt(v):
        return 0.0
    roots = np.roots([d * d - z * z * w, -2 * (m * d - z * z * c), m * m - z * z * v])
    real = roots[np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots))].real
    sizes = [size for size in real if size > 0 and m - size * d >= -1e-9 * abs(m)]
    return float(min(sizes, default=np.inf))


# ---- Families of estimates --------------------------------------------------------------------


def adjust_by_holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values by Holm's steps [1]_; NaN stay NaN.

    For tests that do not share their draws; those that do have ``inference.JointTest.adjusted``.

    References
    ----------
    .. [1] Holm (1979), Scandinavian Journal of Statistics 6(2), 65-70.
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")[: int((~np.isnan(p_values)).sum())]
    adjusted = np.full(len(p_values), np.nan)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
