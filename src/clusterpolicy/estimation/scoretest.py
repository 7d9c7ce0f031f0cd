"""The declared test: Huber's score under each reassignment of targets, studentised by unit.

At a supposed effect the targets' part is taken out of every cell's change, effects of place and
industry are fitted without targets, and the clipped residuals are added up by unit (block x
industry). The fit does not know which assignment was the actual one, so all draws share it and the
test is exact whenever targets could have been reassigned. Decision 0008 has its size and power.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import scipy.sparse
import scipy.stats

from clusterpolicy.estimation import huber
from clusterpolicy.estimation.huber import ABSORBED_SHARE, Layout

LEVEL = 0.95
# Weight, in the scale of the statistic, of what units vary by on average over all assignments,
# beside what those of one assignment vary by. Chosen on simulated panels (decision 0008).
POOLED = 0.4
# Where p-values are taken on the way out from the estimate, in standard errors; then they are
# refined between the last effect kept and the next one until it is known to this part of one.
KNOTS = np.r_[np.arange(0.5, 4, 0.5), np.arange(4, 8, 1.0), 8, 10, 12, 16, 24, 40, 100]
CLOSE = 1e-7  # of the residuals, in scales: fits without targets
FINEST = 1e-3
ROUNDING = 1e-13  # of the changes: a standard error this small is none
# A statistic this close to the actual one is that of the same assignment, or of its mirror image.
SAME = 1e-9


@dataclass(frozen=True)
class Changes:
    """One change per cell, from the baseline to the term, and where each cell stands.

    Attributes
    ----------
    layout : huber.Layout
        Places, industries and precision weights of the cells.
    change : ndarray, n_cells
        In logs.
    covariates : ndarray, n_covariates x n_cells, optional
        Partialled out together with the effects.
    """

    layout: Layout
    change: np.ndarray
    covariates: np.ndarray | None = None

    def of_cells(self, kept: np.ndarray) -> "Changes":
        """Return the changes of some cells (mask or positions)."""
        layout = self.layout
        place, industry = (
            np.unique(codes[kept], return_inverse=True)[1]
            for codes in (layout.place, layout.industry)
        )
        covariates = None if self.covariates is None else self.covariates[:, kept]
        return Changes(Layout(place, industry, layout.weight[kept]), self.change[kept], covariates)


@dataclass(frozen=True)
class Weights:
    """What the effects of place and industry leave of assignments, unit by unit.

    Attributes
    ----------
    weight : ndarray, n_assignments x n_units
        Residual of each assignment, times the root of the unit's precision.
    norm : ndarray, n_assignments
        Sum of the squared weights; NaN where the effects absorb the assignment.
    critical : ndarray, n_assignments
        Square that the statistic exceeds with probability 5 % for as many equal units as the
        assignment is worth.
    """

    weight: np.ndarray
    norm: np.ndarray
    critical: np.ndarray

    @classmethod
    def of(cls, root: np.ndarray, targets: np.ndarray, pooled: float = POOLED) -> "Weights":
        """Weigh assignments (n x n_units) with the columns of :func:`unit_root`."""
        weight = targets @ root.T
        norm = (weight**2).sum(axis=1)
        is_absorbed = norm <= ABSORBED_SHARE * np.maximum(targets.sum(axis=1), 1)
        weight[is_absorbed] = 0
        critical = critical_squares(effective_units(weight), pooled)
        return cls(weight, np.where(is_absorbed, np.nan, norm), critical)

    @cached_property
    def _squared(self) -> np.ndarray:
        return self.weight**2

    def pick(self, rows: np.ndarray | slice) -> "Weights":
        """Return the assignments at some positions."""
        return Weights(self.weight[rows], self.norm[rows], self.critical[rows])

    def squares(
        self, outcome: np.ndarray, pooled: float = POOLED, block: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the squared statistics of every assignment, n_outcomes x n_assignments.

        Parameters
        ----------
        outcome : ndarray, n_outcomes x n_units
            Unit scores over the root of their precision.
        pooled : float
            Weight of the average variance of all assignments.
        block : ndarray of int, n_units, optional
            Take the larger of the variances by unit and by block instead.
        """
        return self.studentised(*self.moments(outcome, block), pooled)

    def moments(
        self, outcome: np.ndarray, block: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return score and variance of every assignment, each n_outcomes x n_assignments.

        Parameters
        ----------
        outcome, block
            As in :meth:`squares`.
        """
        score = outcome @ self.weight.T
        variance = outcome**2 @ self._squared.T
        if block is not None:
            summed = np.zeros_like(variance)
            for each in np.unique(block):
                inside = block == each
                summed += (outcome[:, inside] @ self.weight[:, inside].T) ** 2
            variance = np.maximum(variance, summed)
        return score, variance

    def studentised(self, score: np.ndarray, variance: np.ndarray, pooled: float) -> np.ndarray:
        """Return the squared statistics that go with scores and variances (:meth:`moments`)."""
        is_known = ~np.isnan(self.norm)
        inverse = np.divide(1, self.norm, out=np.zeros_like(self.norm), where=is_known)
        average = (variance @ inverse)[:, None] / max(is_known.sum(), 1)
        variance = variance + pooled * average * np.nan_to_num(self.norm)
        squares = np.divide(score**2, variance, out=np.zeros_like(score), where=variance > 0)
        return squares / self.critical

    def with_pooled(self, pooled: float) -> "Weights":
        """Return the same assignments with the critical squares of another average."""
        critical = critical_squares(effective_units(self.weight), pooled)
        return replace(self, critical=critical)


def unit_root(layout: Layout, unit: np.ndarray, n_units: int, covariates=None):
    """Return the regression with one row per unit that the score of the targets is.

    With ``Q`` the precision of unit targets that the effects leave, ``Q = X'X``: the columns of
    ``X`` are what they leave of "this unit is targeted", the rows stand for units.

    Parameters
    ----------
    layout : Layout
    unit : ndarray of int, n_cells
    n_units : int
    covariates : ndarray, n_covariates x n_cells, optional

    Returns
    -------
    root : ndarray, n_units x n_units
    to_outcome : ndarray, n_units x n_units
        Turns unit sums of scores into outcomes ``y`` with ``X'y`` the sums.
    """
    n_places, n_industries = layout.shape
    of_places = scipy.sparse.csr_array(
        (np.ones(len(unit)), (layout.place, np.arange(len(unit)))), shape=(n_places, len(unit))
    )
    of_units = scipy.sparse.csr_array(
        (np.ones(len(unit)), (unit, np.arange(len(unit)))), shape=(n_units, len(unit))
    )
    by_place = ((of_places * layout.weight) @ of_units.T).toarray()
    others = np.zeros((n_industries, len(unit)))
    others[layout.industry, np.arange(len(unit))] = 1
    if covariates is not None:
        others = np.vstack([others, covariates])
    of_place = np.bincount(layout.place, layout.weight, n_places)
    inverse = np.divide(1, of_place, out=np.zeros_like(of_place), where=of_place > 0)
    weighted = others * layout.weight
    others_by_place = of_places @ weighted.T
    crossed = (of_units @ weighted.T).T
    crossed -= (others_by_place * inverse[:, None]).T @ by_place
    gram = weighted @ others.T - (others_by_place * inverse[:, None]).T @ others_by_place
    spread = np.bincount(unit, layout.weight, n_units)
    precision = -(by_place * inverse[:, None]).T @ by_place
    precision -= crossed.T @ np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ crossed
    precision[range(n_units), range(n_units)] += spread
    scale = np.sqrt(spread)
    unscale = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    values, vectors = np.linalg.eigh(precision * np.outer(unscale, unscale))
    kept = values > ABSORBED_SHARE
    values, vectors = np.sqrt(values[kept]), vectors[:, kept]
    half = (vectors * values) @ vectors.T
    half_inverse = (vectors / values) @ vectors.T
    return half * scale, half_inverse * unscale


def effective_units(weights: np.ndarray) -> np.ndarray:
    """Return the effective number of units of each assignment [1]_.

    ``(sum of w^2)^2 / sum of w^4`` for weights ``w`` (n x n_units).

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
        As in :meth:`Weights.squares`.
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


def _last_kept(effects: np.ndarray, p_values: np.ndarray, limit: float) -> tuple[float, float]:
    """Return the last effect not rejected, going the way `effects` go, and the next one."""
    last = int(np.flatnonzero(p_values > limit)[-1])
    if last == len(effects) - 1:
        beyond = float(np.copysign(np.inf, effects[-1] - effects[0]))
        return beyond, beyond
    return effects[last], effects[last + 1]


class ScoreTest:
    """The test of supposed effects on the changes of one sample.

    Parameters
    ----------
    changes : Changes
    actual : ndarray, n_cells
        1 for targeted cells, else 0.
    unit : ndarray of int, n_cells
        Unit of each cell; targets are the same in all cells of a unit.
    labels : ndarray, n_draws x n_units
        Reassigned targets of units.
    k : float
        Clipping constant; ``huber.LEAST_SQUARES`` for the least-squares check.
    block : ndarray of int, n_units, optional
        Studentise by the larger of the variances by unit and by block.

    Attributes
    ----------
    estimate : float
        In logs; NaN if the effects absorb the targets.
    std_error : float
        By unit, at the estimate.
    weights : Weights
        Of the actual assignment (first) and of every draw.
    fit : huber.Fit
        With the targets.
    n_units : int
    finest : float
        How finely the ends of intervals are sought, in standard errors.
    """

    def __init__(
        self,
        changes: Changes,
        actual: np.ndarray,
        unit: np.ndarray,
        labels: np.ndarray,
        k: float = huber.K,
        block: np.ndarray | None = None,
    ):
        self.changes, self.actual, self.unit = changes, actual, unit
        self.k, self._block, self.finest = k, block, FINEST
        self.n_units = labels.shape[1]
        root, self._to_outcome = unit_root(changes.layout, unit, self.n_units, changes.covariates)
        targeted = (np.bincount(unit, actual, self.n_units) > 0).astype(float)
        # Where nothing is clipped, one cell can make the average of all units as large as it likes:
        # there the units of each assignment decide alone.
        self.pooled = POOLED if k != huber.LEAST_SQUARES else 0.0
        self.weights = Weights.of(root, np.vstack([targeted, labels]), self.pooled)
        self.estimate = self.std_error = float("nan")
        if not np.isnan(self.weights.norm[0]):
            own = changes.layout, changes.change[None, :], actual, changes.covariates
            self.fit = huber.fit(*own, k=k)
            self.estimate = float(self.fit.slope[0])
            outcome = self.outcomes(np.array([self.estimate]))[0]
            spread = np.sqrt((self.weights.weight[0] ** 2 * outcome**2).sum())
            self.std_error = float(spread / self._slope)

    @cached_property
    def _slope(self) -> float:
        """How the score of the targets falls with the supposed effect, at the estimate."""
        return float(self.fit.unclipped[0] * self.weights.norm[0])

    def score(self, outcome: np.ndarray, tolerance: float = CLOSE) -> np.ndarray:
        """Return the unit scores of some outcomes fitted without targets, n_outcomes x n_units.

        Parameters
        ----------
        outcome : ndarray, n_outcomes x n_cells
        tolerance : float
            As in ``huber.fit``.
        """
        layout, covariates = self.changes.layout, self.changes.covariates
        return self.by_unit(huber.fit(layout, outcome, None, covariates, self.k, tolerance).psi)

    def by_unit(self, psi: np.ndarray) -> np.ndarray:
        """Return the unit scores that go with the scores of cells, n_outcomes x n_units.

        Parameters
        ----------
        psi : ndarray, n_outcomes x n_cells
            Their sum over each place and industry is zero.
        """
        order, starts, units = self._runs
        sums = np.zeros((len(psi), self.n_units))
        sums[:, units] = np.add.reduceat(np.take(psi, order, axis=1), starts, axis=1)
        return sums @ self._to_outcome.T

    @cached_property
    def _runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order of cells by unit, where the cells of each unit start, and which unit it is."""
        order = np.argsort(self.unit, kind="stable")
        units, starts = np.unique(self.unit[order], return_index=True)
        return order, starts, units

    def outcomes(self, effects: np.ndarray) -> np.ndarray:
        """Return the unit scores at some supposed effects, n_effects x n_units."""
        return self.score(self.changes.change - effects[:, None] * self.actual)

    def squares(self, effects: np.ndarray) -> np.ndarray:
        """Return the squared statistics at some effects, n_effects x (1 + n_draws)."""
        return self.weights.squares(self.outcomes(effects), self.pooled, self._block)

    def p_values(self, effects: np.ndarray) -> np.ndarray:
        """Return the pointwise p-value of each supposed effect (logs)."""
        squares = self.squares(effects)
        reached = squares[:, 1:] >= squares[:, :1] * (1 - SAME)
        return (1 + reached.sum(axis=1)) / squares.shape[1]

    @cached_property
    def _step(self) -> float:
        """Unit in which effects are tried: the standard error, or 1 if there is no noise."""
        rounding = ROUNDING * np.abs(self.changes.change).max()
        return self.std_error if self.std_error > rounding else 1.0

    @cached_property
    def _knots(self) -> tuple[np.ndarray, np.ndarray]:
        """Supposed effects on the way out from the estimate, with their p-values."""
        steps = np.unique(np.r_[0.0, KNOTS, -KNOTS]) * self._step + self.estimate
        effects = np.unique(np.r_[steps, 0.0])
        p_values = self.p_values(effects)
        # The statistic is zero at the estimate, so every draw reaches it, whatever rounding says.
        p_values[effects == self.estimate] = 1
        return effects, p_values

    @property
    def p_value(self) -> float:
        """p-value of no effect: the largest of the effects as far from the estimate as zero."""
        effects, p_values = self._knots
        side = effects <= 0 if self.estimate > 0 else effects >= 0
        return float(p_values[side].max())

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the outermost effects that are not rejected at `level`, in logs.

        Infinite where the effects furthest out are not rejected either.
        """
        limit = 1 - level + 1e-12
        knots = [each[::way] for way in (-1, 1) for each in self._knots]
        ends = [_last_kept(*knots[:2], limit), _last_kept(*knots[2:], limit)]
        # Both ends are cut to a third at a time, and tried in one batch.
        while wide := [side for side in (0, 1) if self._is_wide(*ends[side])]:
            between = np.array([np.linspace(*ends[side], 4) for side in wide])
            is_kept = (self.p_values(between[:, 1:3].ravel()) > limit).reshape(-1, 2)
            for side, effects, kept in zip(wide, between, is_kept, strict=True):
                last = int(np.flatnonzero(np.r_[True, kept]).max())
                ends[side] = effects[last], effects[last + 1]
        return float(ends[0][0]), float(ends[1][0])

    def _is_wide(self, inside: float, outside: float) -> bool:
        """Whether an end is not yet known as finely as it is sought."""
        if np.isinf(inside):
            return False
        finest = max(self.finest * self._step, ROUNDING * max(abs(inside), abs(outside)))
        return abs(outside - inside) > finest

    def one_step(self, effects: np.ndarray) -> np.ndarray:
        """Return the one-step estimate of every assignment, n_effects x (1 + n_draws).

        The score at each supposed effect over how fast it falls (Bickel 1975).
        """
        score = self.outcomes(effects) @ self.weights.weight.T
        return score / (self.fit.unclipped[0] * self.weights.norm)

    def chance(self) -> np.ndarray:
        """Return the one-step coefficient on each draw, the estimated effect taken out; n_draws."""
        return self.one_step(np.array([self.estimate]))[0, 1:]

    def effective_cells(self) -> float:
        """Return the effective number of targeted cells by their share of the score's variance.

        ``(sum of s^2)^2 / sum of s^4`` over the targeted cells, with ``s`` the clipped residual.
        """
        squares = self.fit.psi[0, self.actual == 1] ** 2
        fourth = (squares**2).sum()
        return float(squares.sum() ** 2 / fourth) if fourth else float("nan")
