"""Huber's M-estimator with effects of place and industry, for many outcomes at once.

Cells are laid out as places x industries, so that effects of places are eliminated in closed form
and only one small system per outcome is left to solve: one fit takes a fraction of a millisecond,
and a batch of fits shares every step.
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
REWEIGHTED_STEPS = 3  # before Newton's method is tried again, twice as many each time
CLIPPED_WEIGHT = 0.1
# Numbers of outcomes x cells that are fitted together: half a megabyte stays near the processor.
TOGETHER = 2**16
# How far the scale that goes with a scale may move with it, before the next one is foretold.
LEAST_PULL, MOST_PULL = -0.5, 0.6
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

    The scale is the median absolute residual about zero, taken anew at each step, as in the
    iteratively reweighted least squares of ``statsmodels.RLM`` [1]_. The steps are Newton's while
    they shrink, and reweighted least squares where they do not. They start from least squares, so
    that a fit depends on nothing but the outcome.

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
    grid = _Grid(layout, columns)
    n_rows = max(TOGETHER // grid.weight.size, 1)
    starts = range(0, max(len(outcome), 1), n_rows)
    parts = [_Rows(grid, outcome[start : start + n_rows], k) for start in starts]
    for part in parts:
        part.fit(k, tolerance)
    whole = [np.concatenate(each) for each in zip(*(p.state for p in parts), strict=True)]
    standard, scale, converged, place, industry, slopes = whole
    root = np.sqrt(layout.weight)
    standard = standard.reshape(len(outcome), -1)[:, grid.cells]
    bound = k * scale[:, None] if k != LEAST_SQUARES else np.inf
    psi = np.clip(standard, -bound, bound)
    return Fit(
        residual=standard / root,
        scale=scale,
        slope=slopes[:, 0] if regressor is not None else np.full(len(outcome), np.nan),
        place=place,
        industry=industry,
        psi=root * psi,
        unclipped=((standard == psi) * layout.weight).sum(axis=1) / layout.weight.sum(),
        converged=converged,
    )


class Step(NamedTuple):
    """Effects by which several outcomes are moved, each with one row an outcome."""

    place: np.ndarray
    industry: np.ndarray
    slopes: np.ndarray


class _Grid:
    """Cells laid out as places x industries, 0 where there is none.

    Sums over places and industries are then products with ones, and effects are spread over cells
    without looking any up: as fast as it goes as long as most places have most industries.
    """

    def __init__(self, layout: Layout, extras: list[np.ndarray]):
        n_places, n_industries = shape = layout.shape
        self.cells = layout.place * n_industries + layout.industry
        self._absent = n_places * n_industries - len(self.cells)
        self._ones, self._n = (np.ones(n_places), np.ones(n_industries)), n_industries
        self.weight = self.lay_out(layout.weight[None], shape)[0]
        self.root = np.sqrt(self.weight)
        self.extras = [self.lay_out(np.asarray(each, float)[None], shape)[0] for each in extras]
        size = n_industries + len(extras)
        self._anchor = np.zeros((size, size))
        self._anchor[:n_industries, :n_industries] = layout.null_space / n_industries**2

    def lay_out(self, values: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
        """Lay values (n x n_cells) out, n x n_places x n_industries."""
        shape = self.weight.shape if shape is None else shape
        grid = np.zeros((len(values), shape[0] * shape[1]))
        grid[:, self.cells] = values
        return grid.reshape(len(values), *shape)

    def scale(self, standard: np.ndarray) -> np.ndarray:
        """Return the median absolute value of the cells of each outcome over that of a normal."""
        size = np.abs(standard).reshape(len(standard), self.weight.size)
        n_cells = len(self.cells)
        # Places without an industry are zeros, so they come first. Partly sorting is enough.
        middle = self._absent + n_cells // 2
        size.partition(middle, axis=1)
        median = size[:, middle]
        if n_cells % 2 == 0:
            median = (median + size[:, :middle].max(axis=1)) / 2
        return median / NORMAL_MEDIAN

    def solve(self, weight: np.ndarray, gradient: np.ndarray) -> Step:
        """Return the effects ``(X'DX)^+ X'g`` for weights ``D`` and gradients ``g``.

        Parameters
        ----------
        weight : ndarray, n x n_places x n_industries
            Or one for all outcomes (1 x n_places x n_industries).
        gradient : ndarray, n x n_places x n_industries
        """
        n, (places, industries) = self._n, self._ones
        of_place = weight @ industries
        mean = gradient @ industries / of_place
        size = n + len(self.extras)
        gram, right = np.empty((len(weight), size, size)), np.empty((len(gradient), size))
        gram[:, :n, :n] = -((weight / of_place[:, :, None]).transpose(0, 2, 1) @ weight)
        gram[:, range(n), range(n)] += places @ weight
        right[:, :n] = places @ gradient - (mean[:, None, :] @ weight)[:, 0]
        means = []
        for position, extra in enumerate(self.extras, start=n):
            weighted = weight * extra
            means.append(weighted @ industries / of_place)
            swept = weighted - weight * means[-1][:, :, None]
            gram[:, position, :n] = gram[:, :n, position] = places @ swept
            right[:, position] = (gradient * (extra - means[-1][:, :, None])).sum(axis=(1, 2))
            for other in range(position - n + 1):
                product = (swept * self.extras[other]).sum(axis=(1, 2))
                gram[:, position, n + other] = gram[:, n + other, position] = product
        level = np.trace(gram[:, :n, :n], axis1=1, axis2=2)[:, None, None]
        gram += level * self._anchor
        if len(gram) == 1:
            solved = np.linalg.solve(gram[0], right.T).T
        else:
            solved = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
        effects, slopes = solved[:, :n], solved[:, n:]
        place = mean - (weight @ effects[:, :, None])[:, :, 0] / of_place
        for slope, own in zip(slopes.T, means, strict=True):
            place = place - slope[:, None] * own
        return Step(place, effects, slopes)

    def spread(self, step: Step) -> np.ndarray:
        """Return what effects come to in every cell, times the root of its weight."""
        # As products with ones: faster than adding rows to columns.
        left = np.stack([step.place, np.ones_like(step.place)], axis=2)
        moved = left @ np.stack([np.ones_like(step.industry), step.industry], axis=1)
        for slope, extra in zip(step.slopes.T, self.extras, strict=True):
            moved += slope[:, None, None] * extra
        moved *= self.root
        return moved


class _Rows:
    """Outcomes that are fitted together, and how far they have come.

    Attributes
    ----------
    state : list of ndarray
        Standardised residuals, scale, whether converged, and the effects (as in :class:`Step`).
    """

    def __init__(self, grid: _Grid, outcome: np.ndarray, k: float):
        self._grid = grid
        standard = grid.lay_out(outcome)
        standard *= grid.root
        largest = np.abs(standard).max(axis=(1, 2), initial=0)
        start = grid.solve(grid.weight[None], standard * grid.root)
        standard -= grid.spread(start)
        scale = grid.scale(standard)
        self._exact = EXACT * largest
        done = (scale <= self._exact) | (k == LEAST_SQUARES)
        self.state = [standard, scale, done, *start]

    def fit(self, k: float, tolerance: float) -> None:
        """Move every outcome until its clipped residuals stand still."""
        rows = np.flatnonzero(~self.state[2])
        # What is still moving is held apart, so that steps touch nothing else.
        standard, scale = self.state[0][rows], self.state[1][rows]
        pace, before, used = _Pace(len(rows)), None, scale
        for step in range(MOST_STEPS):
            bound = (k * used)[:, None, None]
            clipped = np.clip(standard, -bound, bound)
            if before is not None:
                before -= clipped
                pace.judge(step, np.einsum("nij,nij->n", before, before) / scale**2)
                moving = np.maximum(_largest(before), np.abs(used - scale))
                moving = (moving > tolerance * scale) & (scale > self._exact[rows])
                if not moving.all():
                    self._keep(rows, standard, scale, ~moving)
                    rows, standard, clipped = rows[moving], standard[moving], clipped[moving]
                    scale, used = scale[moving], used[moving]
                    pace.keep(moving)
            if not len(rows):
                return
            # Newton's method gives clipped cells no weight; a little keeps every place determined.
            least = np.where(pace.is_newton, CLIPPED_WEIGHT, 1.0)
            weight = self._weights(standard, (k * used)[:, None, None], least)
            moved = self._grid.solve(weight, clipped * self._grid.root)
            for known, change in zip(self.state[3:], moved, strict=True):
                known[rows] += change
            standard -= self._grid.spread(moved)
            scale = self._grid.scale(standard)
            used = pace.next_scale(used, scale)
            before = clipped
        self._keep(rows, standard, scale, np.ones(len(rows), bool), converged=False)

    def _weights(self, standard: np.ndarray, bound: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Return the weights of a step, those of clipped cells times `least` of each outcome."""
        share = np.abs(standard)
        np.maximum(share, bound, out=share)
        np.divide(bound, share, out=share)
        least = least[:, None, None]
        weight = (share == 1) * (1 - least)
        weight += least
        weight *= share
        weight *= self._grid.weight
        return weight

    def _keep(self, rows, standard, scale, chosen, converged: bool = True) -> None:
        for known, found in zip(self.state, (standard, scale), strict=False):
            known[rows[chosen]] = found[chosen]
        self.state[2][rows[chosen]] = converged


class _Pace:
    """How each of several fits goes on: by Newton's method or not, and with which scale.

    A fit whose steps grow goes on by reweighting, which converges though slowly, for a while.

    Attributes
    ----------
    is_newton : ndarray of bool, n_outcomes
    """

    def __init__(self, n: int):
        self.is_newton = np.ones(n, bool)
        self._last, self._pause = np.full(n, np.inf), np.full(n, REWEIGHTED_STEPS)
        self._resume = np.zeros(n, int)
        self._before = np.full((2, n), np.nan)

    def keep(self, chosen: np.ndarray) -> None:
        """Go on with some outcomes only."""
        for name in ("is_newton", "_last", "_pause", "_resume"):
            setattr(self, name, getattr(self, name)[chosen])
        self._before = self._before[:, chosen]

    def judge(self, step: int, length: np.ndarray) -> None:
        """Choose how to go on after a step of some length.

        It is that of the clipped residuals: the effect of a place of which all cells are clipped
        may drift on, which moves nothing else.
        """
        has_grown = self.is_newton & (length >= self._last)
        self._resume[has_grown] = step + self._pause[has_grown]
        self._pause[has_grown] *= 2
        is_back = ~self.is_newton & (step >= self._resume)
        self.is_newton = np.where(has_grown, False, self.is_newton | is_back)
        self._last = np.where(is_back, np.inf, length)

    def next_scale(self, used: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return the scale to clip with next: where the scale used and found meet (secant).

        Parameters
        ----------
        used, found : ndarray, n_outcomes
            Scale that the last step clipped with, and the one of the residuals it left.
        """
        step = used - self._before[0]
        pull = np.divide(found - self._before[1], step, out=np.zeros_like(step), where=step != 0)
        is_known = self.is_newton & np.isfinite(pull)
        pull = np.where(is_known, np.clip(pull, LEAST_PULL, MOST_PULL), 0)
        self._before = np.array([used, found])
        # Foretold from two steps a scale may fall below zero: never below half of the one found.
        return np.maximum(used + (found - used) / (1 - pull), found / 2)


def _largest(values: np.ndarray) -> np.ndarray:
    """Return the largest absolute value of each outcome, without writing them down."""
    flat = values.reshape(len(values), -1)
    return np.maximum(flat.max(axis=1), -flat.min(axis=1))
