"""How large an effect the declared test would find, in panels as uneven as the figures are."""

import math

import numpy as np
from scipy.stats import norm

from clusterpolicy.estimation import huber
from clusterpolicy.estimation.scoretest import LEVEL, SAME, ScoreTest

DRAWS = 499  # of those of the test; all of them if it has fewer
CLOSE = 1e-3  # of the residuals, in scales: shares of panels need no more
LARGEST = 1.5  # the largest effect tried, in logs
FINEST_PARTS = 1_024  # into which that is divided where power is taken to first order
STRETCH, REFINEMENTS = 1.2, 3  # of the search with every panel refitted


class PowerTrial:
    """Panels of one sample without an effect, ready for any effect to be added.

    Parameters
    ----------
    test : ScoreTest
        Its residuals, moved among the units of an industry, are the panels.
    panels : int
    seed : int
    level : float
        Of the test: "no effect" is rejected at p-values up to 1 less this.
    """

    def __init__(self, test: ScoreTest, panels: int, seed: int, level: float = LEVEL):
        rng = np.random.default_rng([seed, *b"power"])
        layout = test.changes.layout
        root = np.sqrt(layout.weight)
        standard = test.fit.residual[0] * root
        self._test, self._level, self._step = test, level, test.std_error
        self._outcome = moved_among_units(standard, test.unit, layout.industry, panels, rng) / root
        n_draws = len(test.weights.norm) - 1
        chosen = rng.permutation(n_draws)[:DRAWS]
        self._weights = test.weights.pick(np.r_[0, 1 + chosen])

    def power(self, effect: float) -> float:
        """Return the share of panels in which "no effect" is rejected once `effect` is added."""
        test = self._test
        return self._rejected(test.score(self._outcome + effect * test.actual, CLOSE))

    def find(self, power: float, is_refitted: bool = True) -> float:
        """Return the smallest effect (in logs) found with `power`; infinite if none is.

        Parameters
        ----------
        power : float
        is_refitted : bool
            Whether every panel is fitted anew with the effect; else the answer is one to first
            order, a little too small.
        """
        many = self._guess(power)
        if not is_refitted:
            return many
        # Refitted, the effect that is found is a little larger, or much larger with few units.
        few, many = self._bracket(many, power)
        if math.isinf(many):
            return many
        for _ in range(REFINEMENTS):
            middle = (few + many) / 2
            few, many = (middle, many) if self.power(middle) < power else (few, middle)
        return float(many)

    def _guess(self, power: float) -> float:
        """Return the smallest effect of a grid found with `power` to first order."""
        first_step, finest = self._first_step(), LARGEST / FINEST_PARTS
        few, many = 0, FINEST_PARTS
        # Where a normal estimate would be found, then further on in growing steps, then between.
        # A level that no draw can reach has no such place.
        expected = float(norm.ppf(power) + norm.ppf((1 + self._level) / 2)) * self._step
        tried = round(min(expected / finest, FINEST_PARTS))
        stride = max(tried // 8, 1)
        tried = min(max(tried, 1), FINEST_PARTS - 1)
        while few < tried < many:
            is_found = first_step(tried * finest) >= power
            few, many = (few, tried) if is_found else (tried, many)
            tried += -stride if is_found else stride
            stride *= 2
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if first_step(middle * finest) >= power else (middle, many)
        return many * finest

    def _bracket(self, guess: float, power: float) -> tuple[float, float]:
        """Return an effect found too rarely and one found with `power`, around a guess."""
        few, many = guess / STRETCH, guess
        if self.power(many) >= power:
            while self.power(few) >= power and few > SAME:
                few, many = few / STRETCH, few
            return few, many
        while many < LARGEST:
            few, many = many, many * STRETCH
            if self.power(many) >= power:
                return few, many
        return few, math.inf

    def _first_step(self):
        """Return the power at an effect to first order: panels are fitted once, without it."""
        test = self._test
        layout, covariates = test.changes.layout, test.changes.covariates
        root = np.sqrt(layout.weight)
        fit = huber.fit(layout, self._outcome, None, covariates, test.k, CLOSE)
        targets = test.actual[None, :]
        left = huber.fit(layout, targets, None, covariates, huber.LEAST_SQUARES).residual * root
        standard = fit.residual * root
        bound = test.k * fit.scale[:, None] if np.isfinite(test.k) else np.inf

        def power(effect: float) -> float:
            psi = (effect * left) + standard
            np.clip(psi, -bound, bound, out=psi)
            psi *= root
            return self._rejected(test.by_unit(psi))

        return power

    def _rejected(self, outcome: np.ndarray) -> float:
        squares = self._weights.squares(outcome, self._test.pooled)
        reached = (squares[:, 1:] >= squares[:, :1] * (1 - SAME)).sum(axis=1)
        return float(((1 + reached) / squares.shape[1] <= 1 - self._level + SAME).mean())


def moved_among_units(
    residual: np.ndarray,
    unit: np.ndarray,
    industry: np.ndarray,
    n_panels: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Give every unit the residuals of a unit of its industry, in random order and sign.

    A unit with more cells than its source takes the rest from other cells of the industry, each
    with a sign of its own, so that no residual of the source counts twice.

    Parameters
    ----------
    residual : ndarray, n_cells
    unit, industry : ndarray of int, n_cells
    n_panels : int
    rng : Generator

    Returns
    -------
    ndarray, n_panels x n_cells
    """
    out = np.empty((n_panels, len(residual)))
    for each in np.unique(industry):
        cells = np.flatnonzero(industry == each)
        groups = [cells[unit[cells] == one] for one in np.unique(unit[cells])]
        place = np.full((len(groups), max(map(len, groups))), -1)
        for position, group in enumerate(groups):
            place[position, : len(group)] = group
        source = rng.permuted(np.tile(np.arange(len(groups)), (n_panels, 1)), axis=1)
        own = place[source]
        # Numbers are drawn for all places of the widest unit, but looked up for cells alone.
        order = (rng.random(own.shape) + (own < 0)).argsort(axis=2)
        row, position = np.nonzero(place >= 0)
        own = own[np.arange(n_panels)[:, None], row, order[:, row, position]]
        sign = rng.choice([-1.0, 1.0], (*source.shape, 1))[:, row, 0]
        more = rng.choice(cells, order.shape)[:, row, position]
        signs = rng.choice([-1.0, 1.0], order.shape)[:, row, position]
        is_short = own < 0
        values = residual[np.where(is_short, more, own)]
        values *= np.where(is_short, signs, sign)
        out[:, place[row, position]] = values
    return out
