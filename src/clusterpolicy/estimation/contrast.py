"""A regression reduced to what reassigning targets needs: cells, their scores and their weights.

The outcome is residualised once (Frisch and Waugh 1933, Lovell 1963); after that the estimate of
any assignment of targets is two products, and no regression is run again.
"""

from dataclasses import dataclass

import numpy as np

# Targets of which the effects leave no more than this share are absorbed: the rest is rounding.
ABSORBED_SHARE = 1e-10


@dataclass(frozen=True)
class Contrast:
    """A regression reduced to its cells, ready for any assignment of targets.

    With ``P`` the matrix that spreads cells over their term years and ``M`` the projection that
    takes all fixed effects out, the estimate for targets ``t`` (0 or 1 by cell) is
    ``t's / t'Qt`` with ``s = P'My`` and ``Q = P'MP`` (Frisch and Waugh 1933, Lovell 1963). The
    outcome is residualised once; another assignment of targets costs one product with ``Q``.

    Attributes
    ----------
    score : ndarray, n_cells
        ``s``.
    spread : ndarray, n_cells
        Diagonal part of ``Q``.
    absorbed : ndarray, n_cells x n_effects
        ``B`` in ``Q = diag(spread) - BB'``.
    """

    score: np.ndarray
    spread: np.ndarray
    absorbed: np.ndarray

    def times(self, targets: np.ndarray) -> np.ndarray:
        """Return ``Q a`` for one assignment (n_cells): the score that an effect of 1 on it adds."""
        return self.spread * targets - self.absorbed @ (self.absorbed.T @ targets)

    def squared_norm(self, left: np.ndarray) -> np.ndarray:
        """Return ``left' Q left`` for each row of `left` (n x n_cells); 0 if absorbed."""
        whole = (left**2) @ self.spread
        rest = whole - ((left @ self.absorbed) ** 2).sum(axis=1)
        return np.where(rest > ABSORBED_SHARE * whole, rest, 0)

    def collapse(self, unit: np.ndarray, n_units: int) -> "Contrast":
        """Return the contrast for targets that are the same in all cells of a unit.

        Parameters
        ----------
        unit : ndarray of int, n_cells
            Unit of each cell, from 0.
        n_units : int
            Number of units; those without a cell count for nothing.
        """
        absorbed = np.zeros((n_units, self.absorbed.shape[1]))
        np.add.at(absorbed, unit, self.absorbed)
        if absorbed.shape[1] > n_units:  # a square root of the same BB', with fewer columns
            absorbed = np.linalg.qr(absorbed.T, mode="r").T
        return Contrast(
            score=np.bincount(unit, self.score, n_units),
            spread=np.bincount(unit, self.spread, n_units),
            absorbed=absorbed,
        )

    def as_regression(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the regression with one row per cell that this contrast is.

        Each cell (or unit, once collapsed) is one number, its change from the baseline to the
        term [1]_, times the square root of its weight, with the fixed effects out of both sides:
        ``X`` and ``y`` with ``X'X = Q`` and ``X'y = s``, so that least squares of ``y`` on the
        column ``Xt`` is the coefficient on the targets ``t``.

        Returns
        -------
        ndarray, n_cells x n_cells
            What the effects leave of "this cell is targeted", for every cell.
        ndarray, n_cells
            What they leave of the change of each cell.

        References
        ----------
        .. [1] Bertrand, Duflo and Mullainathan (2004), Quarterly Journal of Economics 119(1).
        """
        weight = np.sqrt(self.spread)
        inverse = np.divide(1, weight, out=np.zeros_like(weight), where=weight > 0)
        # Q = W (I - CC') W with W the weights; its root needs the eigenvalues of C'C only.
        scaled = inverse[:, None] * self.absorbed
        absorbed_share, directions = np.linalg.eigh(scaled.T @ scaled)
        scaled = scaled @ directions
        left = 1 - absorbed_share
        root = np.sqrt(np.where(left > ABSORBED_SHARE, left, 0))
        columns = np.diag(weight) - (scaled / (1 + root)) @ (scaled.T * weight)
        outcome = inverse * self.score
        regrown = np.divide(-1, root * (1 + root), out=np.ones_like(root), where=root > 0)
        return columns, outcome - scaled @ (regrown * (scaled.T @ outcome))

    def estimate(self, is_targeted: np.ndarray) -> float:
        """Return the coefficient on the targets `is_targeted` (n_cells, 0 or 1), in logs.

        NaN if the fixed effects absorb them, as they do targets that are whole prefectures.
        """
        targets = is_targeted.astype(float)[None, :]
        norm = self.squared_norm(targets)[0]
        return float((targets @ self.score)[0] / norm) if norm else float("nan")


@dataclass(frozen=True)
class GroupParts:
    """What each group of rows adds to a regression on one column ``x``, fixed effects taken out.

    Attributes
    ----------
    score : ndarray, n_groups
        ``x'y`` over the rows of the group.
    norm : ndarray, n_groups
        ``x'x``.
    regressor_effects, outcome_effects : ndarray, n_groups x n_effects
        ``x'B`` and ``y'B`` for the orthonormal basis ``B`` of the fixed effects across groups.
    """

    score: np.ndarray
    norm: np.ndarray
    regressor_effects: np.ndarray
    outcome_effects: np.ndarray
