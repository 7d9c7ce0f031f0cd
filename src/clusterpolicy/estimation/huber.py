"""Huber's M-estimator with effects of place and industry, for many outcomes at once.

Cells are laid out as places x industries, so that effects of places are eliminated in closed form
and only one small system per outcome is left to solve: one fit takes milliseconds, and a batch of
fits shares every step.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.stats
from scipy.sparse.csgraph import connected_components

K = 1.345  # 95 % efficiency at normal errors (Huber 1981)
LEAST_SQUARES = float("inf")  # the `k` that clips nothing
# The median of |z| for z standard normal: what turns a median absolute residual into a scale.
NORMAL_MEDIAN = float(scipy.stats.norm.ppf(0.75))
TOLERANCE = 1e-9  # of the residuals, in units of their scale
MOST_STEPS = 3_000
REWEIGHTED_STEPS = 10  # before Newton's method is tried again, twice as many each time
CLIPPED_WEIGHT = 0.1
TINY = 1e-300
EXACT = 1e-13  # a scale this small beside the outcome is rounding: the fit is exact
# Below this share of its own sum of squares, a regressor that the effects leave is rounding.
ABSORBED_SHARE = 1e-9


@dataclass(frozen=True)
class Layout:
    """Cells as places x industries, with their precision weights.

    Attributes
    ----------
    place, industry : ndarray of int, n_cells
        Codes from 0; no two cells share both.
    weight : ndarray, n_cells
        Precision: the variance of a cell's error is proportional to its inverse.
    """

    place: np.ndarray
    industry: np.ndarray
    weight: np.ndarray

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Number of places and of industries."""
        return int(self.place.max()) + 1, int(self.industry.max()) + 1

    @cached_property
    def null_space(self) -> np.ndarray:
        """Industry effects that place effects can stand for: one of each connected part.

        Returns
        -------
        ndarray, n_industries x n_industries
            Sum of the outer products of the indicators of the parts.
        """
        rows, columns = self.shape
        graph = scipy.sparse.coo_array(
            (np.ones(len(self.place)), (self.place, self.industry + rows)),
            shape=(rows + columns, rows + columns),
        )
        part = connected_components(graph, directed=False)[1][rows:]
        return (part[:, None] == part[None, :]).astype(float)


@dataclass(frozen=True)
class Fit:
    """Huber fits of several outcomes.

    Attributes
    ----------
    residual : ndarray, n_outcomes x n_cells
        Outcome less the fitted effects (and regressor), unweighted.
    scale : ndarray, n_outcomes
        Median absolute standardised residual over that of a normal variable.
    slope : ndarray, n_outcomes
        Coefficient on the regressor; NaN without one.
    place, industry : ndarray, n_outcomes x n_places and n_outcomes x n_industries
        Effects, up to a constant that one may give the other.
    psi : ndarray, n_outcomes x n_cells
        Clipped residuals in the unit of the score: root of the weight times the standardised
        residual, bounded by ``k`` scales. Their sum over each place and industry is zero.
    unclipped : ndarray, n_outcomes
        Share of the precision that lies in cells whose residual is not clipped.
    converged : ndarray of bool, n_outcomes
    """

    residual: np.ndarray
    scale: np.ndarray
    slope: np.ndarray
    place: np.ndarray
    industry: np.ndarray
    psi: np.ndarray
    unclipped: np.ndarray
    converged: np.ndarray


def fit(
    layout: Layout,
    outcome: np.ndarray,
    regressor: np.ndarray | None = None,
    covariates: np.ndarray | None = None,
    k: float = K,
    tolerance: float = TOLERANCE,
) -> Fit:
    """Fit effects of place and industry by Huber's M-estimator with MAD scale.

    Iteratively reweighted least squares; the scale is the median absolute residual about zero,
    taken anew at each step, as ``statsmodels.RLM`` does [1]_.

    Parameters
    ----------
    layout : Layout
    outcome : ndarray, n_outcomes x n_cells
    regressor : ndarray, n_cells, optional
        One further regressor, such as the targets; its coefficient is ``slope``.
    covariates : ndarray, n_covariates x n_cells, optional
    k : float
        Clipping constant in scales; ``LEAST_SQUARES`` clips nothing.
    tolerance : float
        Largest step of a residual, in scales, at which the fit has converged.

    Returns
    -------
    Fit

    References
    ----------
    .. [1] Huber (1981), Robust Statistics, chapter 7.
    """
    columns = [] if regressor is None else [regressor]
    columns += [] if covariates is None else list(covariates)
    extras = np.array(columns) if columns else np.zeros((0, len(layout.place)))
    root = np.sqrt(layout.weight)
    solver = _Solver(layout, extras)
    whole = solver.solve(np.broadcast_to(layout.weight, outcome.shape), outcome)
    residual = outcome - whole.fitted
    scale, exact = _scale(residual * root), EXACT * np.abs(outcome * root).max(axis=1)
    active = (scale > exact) & (k != LEAST_SQUARES)
    # Newton's method gives clipped cells no weight; a little keeps every place determined. An
    # outcome whose steps grow goes on by reweighting, which converges though slowly, for a while.
    is_newton, last = active.copy(), np.full(len(outcome), np.inf)
    pause = np.full(len(outcome), REWEIGHTED_STEPS)
    resume = np.zeros(len(outcome), int)
    for step in range(MOST_STEPS):
        rows = np.flatnonzero(active)
        if not len(rows):
            break
        standard = np.maximum(np.abs(residual[rows] * root), TINY)
        share = np.minimum(1, k * scale[rows, None] / standard)
        kept = np.where((share < 1) & is_newton[rows, None], CLIPPED_WEIGHT * share, share)
        solved = solver.solve(
            layout.weight * kept, outcome[rows] - residual[rows] * (1 - share / kept)
        )
        for known, found in zip(whole[1:], solved[1:], strict=True):
            known[rows] = found
        new = outcome[rows] - solved.fitted
        # Where all cells of a place are clipped its effect may drift on; their scores stand still.
        bounds = k * scale[rows, None]
        before = np.clip(residual[rows] * root, -bounds, bounds)
        moved = np.abs(np.clip(new * root, -bounds, bounds) - before).max(axis=1)
        largest = np.abs((new - residual[rows]) * root).max(axis=1)
        residual[rows], scale[rows] = new, _scale(new * root)
        active[rows] = (moved > tolerance * scale[rows]) & (scale[rows] > exact[rows])
        has_grown = is_newton[rows] & (largest >= last[rows])
        resume[rows[has_grown]] = step + pause[rows[has_grown]]
        pause[rows[has_grown]] *= 2
        is_back = ~is_newton[rows] & (step >= resume[rows])
        is_newton[rows] = np.where(has_grown, False, is_newton[rows] | is_back)
        last[rows] = np.where(is_back, np.inf, largest)
    bound = k * scale[:, None] if k != LEAST_SQUARES else np.inf
    standard = residual * root
    inside = np.abs(standard) <= bound
    return Fit(
        residual=residual,
        scale=scale,
        slope=whole.slopes[:, 0] if regressor is not None else np.full(len(outcome), np.nan),
        place=whole.place,
        industry=whole.industry,
        psi=root * np.clip(standard, -bound, bound),
        unclipped=(inside * layout.weight).sum(axis=1) / layout.weight.sum(),
        converged=~active,
    )


def _scale(standardised: np.ndarray) -> np.ndarray:
    return np.median(np.abs(standardised), axis=1) / NORMAL_MEDIAN


class Solution(NamedTuple):
    """Weighted least squares of several outcomes."""

    fitted: np.ndarray
    slopes: np.ndarray
    place: np.ndarray
    industry: np.ndarray


class _Solver:
    """Weighted least squares on effects of place and industry and further columns.

    Cells are sorted by place, so that sums over places are runs; only the small system of
    industries is laid out as places x industries.
    """

    def __init__(self, layout: Layout, extras: np.ndarray):
        self._layout, self._extras = layout, extras
        n_places, self._n = layout.shape
        self._order = np.argsort(layout.place, kind="stable")
        self._is_sorted = bool((np.diff(self._order) == 1).all())
        self._starts = np.searchsorted(layout.place[self._order], np.arange(n_places))
        self._of_industry = np.zeros((len(layout.industry), self._n))
        self._of_industry[np.arange(len(layout.industry)), layout.industry] = 1
        size = self._n + len(extras)
        self._anchor = np.zeros((size, size))
        self._anchor[: self._n, : self._n] = layout.null_space / self._n**2

    def _by_place(self, values: np.ndarray) -> np.ndarray:
        values = values if self._is_sorted else values[:, self._order]
        return np.add.reduceat(values, self._starts, axis=1)

    def solve(self, weight: np.ndarray, outcome: np.ndarray) -> Solution:
        """Solve for some outcomes.

        Parameters
        ----------
        weight, outcome : ndarray, n x n_cells
        """
        extras, n = self._extras, self._n
        place, industry = self._layout.place, self._layout.industry
        of_place = self._by_place(weight)
        mean = self._by_place(weight * outcome) / of_place
        grid = np.zeros((len(outcome), *self._layout.shape))
        grid[:, place, industry] = weight
        gram = np.empty((len(outcome), n + len(extras), n + len(extras)))
        gram[:, :n, :n] = -np.matmul((grid / of_place[:, :, None]).transpose(0, 2, 1), grid)
        gram[:, range(n), range(n)] += grid.sum(axis=1)
        right = np.empty(gram.shape[:2])
        right[:, :n] = (weight * (outcome - mean[:, place])) @ self._of_industry
        means, swept = [], []
        for position, extra in enumerate(extras):
            means.append(self._by_place(weight * extra) / of_place)
            swept.append(weight * (extra - means[-1][:, place]))
            gram[:, n + position, :n] = gram[:, :n, n + position] = swept[-1] @ self._of_industry
            right[:, n + position] = (swept[-1] * outcome).sum(axis=1)
            for other in range(position + 1):
                product = swept[-1] @ extras[other]
                gram[:, n + position, n + other] = gram[:, n + other, n + position] = product
        level = np.trace(gram[:, :n, :n], axis1=1, axis2=2)[:, None, None]
        solved = np.linalg.solve(gram + level * self._anchor, right[:, :, None])[:, :, 0]
        effects, slopes = solved[:, :n], solved[:, n:]
        fitted = effects[:, industry]
        place_effect = mean - self._by_place(weight * fitted) / of_place
        for slope, own, extra in zip(slopes.T, means, extras, strict=True):
            place_effect = place_effect - slope[:, None] * own
            fitted = fitted + slope[:, None] * extra
        return Solution(fitted + place_effect[:, place], slopes, place_effect, effects)
