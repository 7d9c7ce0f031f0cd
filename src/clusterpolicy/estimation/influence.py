"""Which single cells an estimate hangs on, and what it is without them."""

from dataclasses import dataclass

import numpy as np

from clusterpolicy.estimation import huber
from clusterpolicy.estimation.scoretest import Changes, ScoreTest

# Cells that are refitted without, in the order of their one-step influence.
CANDIDATES = 8
# A targeted cell whose change lies this many scales from the fit is named, whatever it does.
FAR = 8.0


@dataclass(frozen=True)
class LeftOut:
    """The estimate without one cell.

    Attributes
    ----------
    cell : int
        Position among the cells of the test.
    estimate : float
        In logs, refitted without it; NaN if the effects then absorb the targets.
    distance : float
        Residual of the cell in scales of the residuals; positive if it rose more than fitted.
    """

    cell: int
    estimate: float
    distance: float


def distances(test: ScoreTest) -> np.ndarray:
    """Return the residual of every cell in scales, n_cells."""
    root = np.sqrt(test.changes.layout.weight)
    return test.fit.residual[0] * root / test.fit.scale[0]


def one_step(test: ScoreTest) -> np.ndarray:
    """Return what each cell adds to the estimate, to first order (Hampel 1974), n_cells."""
    layout, covariates = test.changes.layout, test.changes.covariates
    left = huber.fit(
        layout, test.actual[None, :], covariates=covariates, k=huber.LEAST_SQUARES
    ).residual[0]
    slope = test.fit.unclipped[0] * (layout.weight * left**2).sum()
    return left * test.fit.psi[0] / slope


def most_influential(test: ScoreTest) -> LeftOut:
    """Return the cell whose leaving out moves the estimate most, each candidate refitted."""
    order = np.argsort(-np.abs(one_step(test)), kind="stable")[:CANDIDATES]
    return max(leave_out(test, order), key=lambda each: _moved(each.estimate, test.estimate))


def _moved(without: float, estimate: float) -> float:
    return float("inf") if np.isnan(without) else abs(without - estimate)


def far_cells(test: ScoreTest) -> list[LeftOut]:
    """Return the targeted cells that lie ``FAR`` scales or more from the fit, furthest first."""
    distance = np.where(test.actual == 1, np.abs(distances(test)), 0)
    order = np.argsort(-distance, kind="stable")
    return leave_out(test, order[distance[order] >= FAR])


def leave_out(test: ScoreTest, cells: np.ndarray) -> list[LeftOut]:
    """Refit without each of some cells (positions)."""
    distance = distances(test)
    found = []
    for cell in cells:
        kept = np.arange(len(test.actual)) != cell
        changes, targets = test.changes.of_cells(kept), test.actual[kept]
        estimate = float("nan")
        if not _is_absorbed(changes, targets):
            own = changes.layout, changes.change[None, :], targets, changes.covariates
            estimate = float(huber.fit(*own, k=test.k).slope[0])
        found.append(LeftOut(int(cell), estimate, float(distance[cell])))
    return found


def _is_absorbed(changes: Changes, targets: np.ndarray) -> bool:
    layout = changes.layout
    left = huber.fit(
        layout, targets[None, :], covariates=changes.covariates, k=huber.LEAST_SQUARES
    ).residual[0]
    whole = layout.weight @ targets
    return bool(layout.weight @ left**2 <= huber.ABSORBED_SHARE * whole)
