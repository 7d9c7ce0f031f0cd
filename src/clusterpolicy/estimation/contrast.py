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

    def squared_norm(self, left: np.ndarray) -> np.ndarray:
        """Return ``left' Q left`` for each row of `left` (n x n_cells); 0 if absorbed."""
        whole = (left**2) @ self.spread
        rest = whole - ((left @ self.absorbed) ** 2).sum(axis=1)
        return np.where(rest > ABSORBED_SHARE * whole, rest, 0)

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
