"""Methods for many panels at once: effects taken out in one product, standard errors of every kind.

The regressions of all panels have the same effects, so what is left of a thousand outcomes is one
product with a basis of those effects (Frisch and Waugh 1933, Lovell 1963).
"""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import scipy.stats

from clusterpolicy import effects, inference
from clusterpolicy.estimation.absorbing import FixedEffects
from clusterpolicy.estimation.contrast import GroupParts
from clusterpolicy.methodtrials import simulation


class Regression:
    """A regression on the rows of a sample, ready for many outcomes and many targets.

    Parameters
    ----------
    sample : effects.Sample
    by_year : sequence of str
        Columns whose effects differ from year to year; none for one effect a year.
    """

    def __init__(self, sample: effects.Sample, by_year: tuple[str, ...]):
        rows = sample.rows
        self.cell = simulation.frame_of(sample).cell
        keys = [rows[[column, "fy"]] for column in by_year] or [rows[["fy"]]]
        codes = [pd.MultiIndex.from_frame(key).factorize()[0] for key in keys]
        self._effects = FixedEffects(self.cell, codes)
        self.freedom = len(rows) - int(self.cell.max() + 1) - self._effects.rank - 1
        self.in_term = rows["in_term"].to_numpy(float)
        self.groups = {
            "prefecture": rows["pref_code"].factorize(sort=True)[0],
            "block": rows["block"].factorize(sort=True)[0],
        }

    def take_out(self, columns: np.ndarray) -> np.ndarray:
        """Take the effects out of every column (n_rows x n)."""
        return self._effects.take_out(columns)

    def regressor(self, targets: np.ndarray) -> np.ndarray:
        """Return targets in the term, effects taken out, of each row of `targets` (n x n_cells)."""
        return self.take_out(targets.T[self.cell] * self.in_term[:, None])

    def effects_by_group(self, columns: np.ndarray) -> np.ndarray:
        """Return the products with the effects, by prefecture (n x n_groups x n_effects)."""
        code = self.groups["prefecture"]  # rows of a prefecture follow one another
        cuts = np.flatnonzero(np.diff(code)) + 1
        pairs = zip(np.split(self._effects.basis, cuts), np.split(columns, cuts), strict=True)
        return np.array([own.T @ basis for basis, own in pairs]).swapaxes(0, 1)


@dataclass(frozen=True)
class SharedContrast(effects.Contrast):
    """A contrast whose matrices are those of many outcomes, so that they are worked out once.

    Attributes
    ----------
    columns : ndarray, n x n
        ``X`` of :meth:`as_regression`.
    to_outcome : ndarray, n x n
        From the score to ``y`` of :meth:`as_regression`: the inverse of ``X'``.
    """

    columns: np.ndarray
    to_outcome: np.ndarray

    @classmethod
    def of(cls, contrast: effects.Contrast) -> "SharedContrast":
        """Work the matrices of a contrast out."""
        columns, _ = contrast.as_regression()
        own = contrast.score, contrast.spread, contrast.absorbed
        return cls(*own, columns, np.linalg.pinv(columns.T, rcond=1e-9))

    def weigh(self, targets: np.ndarray) -> inference.Weighed:
        """Weigh assignments (n x n_units), for as many outcomes as there will be."""
        return inference.Weighed.of(self, self.columns, targets)


@dataclass(frozen=True)
class Difference:
    """As much of ``effects.TripleDifference`` as the wild bootstrap needs."""

    estimate: float
    parts: GroupParts
    n_groups: int


@dataclass(frozen=True)
class Found:
    """What one method found in each panel, in logs: arrays of length n_panels.

    Attributes
    ----------
    estimate, low, high : ndarray
    spread : ndarray
        Standard error, or what stands for it; NaN if there is none.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spread: np.ndarray

    @classmethod
    def joined(cls, parts: list["Found"]) -> "Found":
        """Put what was found in several chunks of panels one after the other."""
        names = [each.name for each in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def by_standard_errors(
    regression: Regression, outcome: np.ndarray, regressor: np.ndarray, groups: tuple[str, ...]
) -> dict[str, Found]:
    """Estimate by least squares, with an interval for each way to group the figures.

    Parameters
    ----------
    regression : Regression
    outcome, regressor : ndarray, n_rows x n_panels
        Effects taken out; one column is taken for all panels.
    groups : tuple of str
        Keys of ``regression.groups``; ``"independent"`` for figures each on its own.

    Returns
    -------
    dict of Found
        CRV1 with the factor G/(G-1) and t of G-1 degrees of freedom [1]_.

    References
    ----------
    .. [1] Cameron and Miller (2015), Journal of Human Resources 50(2), 317-372.
    """
    norm = (regressor**2).sum(axis=0)
    estimate = (regressor * outcome).sum(axis=0) / norm
    residual = outcome - regressor * estimate
    found = {}
    for name in groups:
        if name == "independent":
            freedom = regression.freedom
            variance = (residual**2).sum(axis=0) / freedom / norm
        else:
            code = regression.groups[name]
            scores = add_by_group(code, regressor * residual)
            freedom = len(scores) - 1
            variance = len(scores) / freedom * (scores**2).sum(axis=0) / norm**2
        error = np.sqrt(variance)
        half = scipy.stats.t.ppf((1 + inference.LEVEL) / 2, freedom) * error
        found[name] = Found(estimate, estimate - half, estimate + half, error)
    return found


def add_by_group(code: np.ndarray, columns: np.ndarray, n_groups: int | None = None) -> np.ndarray:
    """Add up the rows of every group; groups without a row count if `n_groups` is given."""
    sums = np.zeros((int(code.max()) + 1 if n_groups is None else n_groups, columns.shape[1]))
    np.add.at(sums, code, columns)
    return sums
