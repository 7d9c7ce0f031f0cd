"""The triple difference again, on other cells, years, weights and controls, in milliseconds.

A complete panel of cells x years needs no regression: effects of cells, prefecture x year and
industry x year are taken out of rows and columns one after the other. A figure that is not seen is
a column of its own that absorbs it, which is the same as leaving it out; so is a control. What is
left is small linear algebra, exactly the estimate of ``effects.TripleDifference``.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import scipy.linalg

from clusterpolicy import effects, inference
from clusterpolicy.effects import CELL, Sample
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.contrast import Contrast
from clusterpolicy.estimation.scoretest import Changes, Weights, unit_root

DRAWS = 499  # of each refit: hundreds share them, and a p-value is good to two in a thousand
FINEST = 0.01  # of a standard error: how finely the ends of their intervals are sought


@dataclass(frozen=True)
class WidePanel:
    """The cells of one design as a matrix, cells x years.

    Attributes
    ----------
    cells : DataFrame, n_cells rows
        ``pref_code``, ``industry``, ``block``, ``is_targeted``.
    years : ndarray of int, n_years
    in_term : ndarray of bool, n_years
    outcome : ndarray, n_cells x n_years
        Log outcome; NaN where it is not seen.
    weights : ndarray, n_cells
    covariates : ndarray, n_cells x n_covariates
        Each with an effect of its own in every year.
    controls : tuple of ndarray, n_cells x n_years
        Further regressors.
    """

    cells: pd.DataFrame
    years: np.ndarray
    in_term: np.ndarray
    outcome: np.ndarray
    weights: np.ndarray
    covariates: np.ndarray
    controls: tuple[np.ndarray, ...] = field(default=())

    @property
    def targets(self) -> np.ndarray:
        """1 for targeted cells, else 0."""
        return self.cells["is_targeted"].to_numpy(float)

    @property
    def rows(self) -> pd.DataFrame:
        """One row per year, ``in_term``: all that ``why_not_estimable`` asks of a sample's rows."""
        return pd.DataFrame({"in_term": self.in_term})

    @property
    def n_seen(self) -> int:
        """Cell-years that are seen."""
        return int(np.isfinite(self.outcome).sum())

    def keep(
        self, cells: np.ndarray | None = None, years: np.ndarray | None = None, **changes: object
    ) -> "WidePanel":
        """Return the panel of some cells and years; cells must still be seen before and after.

        Parameters
        ----------
        cells : ndarray of bool, n_cells, optional
        years : ndarray of bool, n_years, optional
        changes : object
            Attributes to replace first, e.g. ``in_term`` for another date.
        """
        whole = replace(self, **changes)
        years = np.ones(len(self.years), bool) if years is None else years
        chosen = np.ones(len(self.cells), bool) if cells is None else cells
        seen = np.isfinite(whole.outcome[:, years])
        in_term = whole.in_term[years]
        chosen = chosen & seen[:, in_term].any(axis=1) & seen[:, ~in_term].any(axis=1)
        years = years & np.isfinite(whole.outcome[chosen]).any(axis=0)
        return replace(
            whole,
            cells=whole.cells[chosen].reset_index(drop=True),
            years=whole.years[years],
            in_term=whole.in_term[years],
            outcome=whole.outcome[np.ix_(chosen, years)],
            weights=whole.weights[chosen],
            covariates=whole.covariates[chosen],
            controls=tuple(control[np.ix_(chosen, years)] for control in whole.controls),
        )

    def complete(self) -> "WidePanel":
        """Return the panel of the cells seen in every year from which they count.

        A targeted cell does not count in years of the term before the first in which it is seen.
        """
        seen = np.isfinite(self.outcome)
        begun = np.logical_or.accumulate(seen & self.in_term, axis=1)
        not_yet = (self.targets == 1)[:, None] & self.in_term & ~begun
        return self.keep((seen | not_yet).all(axis=1))

    def baseline_product(self) -> np.ndarray:
        """Return the mean product of each cell over the years seen before the term."""
        return np.nanmean(np.exp(self.outcome[:, ~self.in_term]), axis=1)


def widen(sample: Sample) -> WidePanel:
    """Lay the rows of a sample out as cells x years, unweighted and without controls."""
    wide = sample.rows.pivot(index=CELL, columns="fy", values="log_outcome")
    wide = wide.reindex(pd.MultiIndex.from_frame(sample.cells[CELL]))
    years = wide.columns.to_numpy(int)
    first, last = sample.design.term_years
    return WidePanel(
        cells=sample.cells,
        years=years,
        in_term=(years >= first) & (years <= last),
        outcome=wide.to_numpy(),
        weights=np.ones(len(wide)),
        covariates=np.empty((len(wide), 0)),
    )


def contrast_of(panel: WidePanel) -> Contrast:
    """Reduce the triple difference of a panel to its cells.

    Returns
    -------
    Contrast
        Of weighted least squares with effects of cell, prefecture x year, industry x year and
        covariate x year, and the controls. With ``M`` the projection that takes the effects out
        of the complete panel and ``Z`` the columns of the controls and of the figures that are
        not seen, ``Q = P'MP - P'MZ (Z'MZ)^+ Z'MP`` (partitioned regression).
    """
    root = np.sqrt(panel.weights)
    basis = effects_of_cells(panel)
    term = panel.in_term - panel.in_term.mean()
    seen = np.isfinite(panel.outcome)
    outcome = _residual(np.where(seen, panel.outcome, 0) * root[:, None], basis)
    cell, year = np.nonzero(~seen)
    n_years = len(panel.years)

    # Columns of figures that are not seen: one cell and year each, so M Z has a closed form.
    by_cell = -basis @ basis[cell].T
    by_cell[cell, np.arange(len(cell))] += 1
    by_year = (year[:, None] == year) - 1 / n_years
    crossed = by_cell[cell] * by_year
    score = [outcome[cell, year]]
    reach = [by_cell * term[year]]
    columns = [_residual(np.nan_to_num(c) * root[:, None], basis) for c in panel.controls]
    if columns:
        flat = np.array([column.ravel() for column in columns])
        beside = np.array([column[cell, year] for column in columns])
        crossed = np.block([[crossed, beside.T], [beside, flat @ flat.T]])
        score.append(flat @ outcome.ravel())
        reach.append(np.array([column @ term for column in columns]).T)
    spread = float(term @ term)
    absorbed = np.sqrt(spread) * basis
    own = outcome @ term
    if crossed.size:
        half = _half_inverse(crossed)
        more = np.hstack(reach) @ half
        own = own - more @ (half.T @ np.concatenate(score))
        absorbed = np.hstack([absorbed, more])
    return Contrast(
        score=root * own, spread=panel.weights * spread, absorbed=root[:, None] * absorbed
    )


def effects_of_cells(panel: WidePanel) -> np.ndarray:
    """Return an orthonormal basis of prefectures, industries and covariates, weighted.

    Returns
    -------
    ndarray, n_cells x n_effects
        The effects of one year; the same in every year of a complete panel.
    """
    root = np.sqrt(panel.weights)
    dummies = pd.get_dummies(panel.cells[["pref_code", "industry"]], dtype=float).to_numpy()
    columns = np.hstack([dummies, panel.covariates]) * root[:, None]
    columns = columns / np.linalg.norm(columns, axis=0)
    basis, triangle, _ = scipy.linalg.qr(columns, mode="economic", pivoting=True)
    diagonal = np.abs(triangle.diagonal())
    return basis[:, diagonal > 1e-10 * diagonal[0]]


def _residual(columns: np.ndarray, basis: np.ndarray) -> np.ndarray:
    columns = columns - columns.mean(axis=1, keepdims=True)
    return columns - basis @ (basis.T @ columns)


def _half_inverse(gram: np.ndarray) -> np.ndarray:
    """Return ``L`` with ``LL'`` the Moore-Penrose inverse of a Gram matrix."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-10 * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept])


class SharedDraws:
    """Reassignments of targets that every refit shares: one ranking of blocks per industry.

    In a draw each industry ranks all blocks at random; a refit hands its labels on in the order
    of the blocks it holds. So the labels of one refit are permuted exactly as
    ``inference.permute_targets`` permutes them, and those of two refits together.

    Parameters
    ----------
    blocks : iterable of str
        Every block that a refit may hold.
    draws : int
    seed : int
    """

    def __init__(
        self, blocks: Iterable[str], draws: int = DRAWS, seed: int = inference.SEED
    ) -> None:
        self._blocks = pd.Index(sorted(set(blocks)))
        self._seed = seed
        self._orders: dict[tuple, np.ndarray] = {}
        self.draws = draws

    def assign(self, cells: pd.DataFrame) -> inference.Assignments:
        """Return the assignments of some cells under the shared draws."""
        plain = inference.count_assignments(cells)
        units = pd.MultiIndex.from_frame(cells[["industry", "block"]]).factorize(sort=True)[1]
        actual = np.bincount(plain.unit, plain.actual, plain.n_units) > 0
        labels = np.empty((self.draws, len(units)))
        industry, block = (units.get_level_values(level) for level in (0, 1))
        for name in industry.unique():
            of_industry = np.flatnonzero(industry == name)
            places = self._blocks.get_indexer(block[of_industry])
            labels[:, of_industry] = actual[of_industry][self._order(name, tuple(places))]
        return replace(plain, labels=labels)

    def _order(self, industry: str, places: tuple[int, ...]) -> np.ndarray:
        """Return the order in which each draw ranks some blocks of an industry."""
        key = industry, places
        if key not in self._orders:
            # A stream of its own for each industry: another base may have industries of its own.
            rng = np.random.default_rng([self._seed, zlib.crc32(industry.encode())])
            ranks = rng.random((self.draws, len(self._blocks)))
            self._orders[key] = np.argsort(ranks[:, list(places)], axis=1)
        return self._orders[key]


@dataclass(frozen=True)
class Refit:
    """One refit: its test, the assignments it stands on, and the estimate of every draw.

    Attributes
    ----------
    test : inference.PermutationTest
    assignments : inference.Assignments
    by_draw : ndarray, n_draws
        One-step estimate in logs under each reassignment; NaN where the effects absorb it.
    """

    test: inference.PermutationTest
    assignments: inference.Assignments
    by_draw: np.ndarray


def refit(panel: WidePanel, shared: SharedDraws, k: float = huber.K) -> Refit:
    """Estimate and test on a panel, with the draws that all refits share.

    Parameters
    ----------
    panel : WidePanel
    shared : SharedDraws
    k : float
        Clipping constant; ``huber.LEAST_SQUARES`` for the least-squares estimator.
    """
    assignments = shared.assign(panel.cells)
    test = inference.score_test(changes_of(panel), assignments, k)
    test.finest = FINEST
    by_draw = np.full(shared.draws, np.nan)
    if not np.isnan(test.estimate):
        by_draw = test.one_step(np.zeros(1))[0, 1:]
    return Refit(inference.summarise(test), assignments, by_draw)


def one_step_estimates(panel: WidePanel, unit: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the one-step estimate of every way to mark units, in logs; absorbed ones left out.

    Parameters
    ----------
    panel : WidePanel
    unit : ndarray of int, n_cells
    labels : ndarray, n_draws x n_units
    """
    changes = changes_of(panel)
    fit = huber.fit(changes.layout, changes.change[None, :], covariates=changes.covariates)
    root, to_outcome = unit_root(changes.layout, unit, labels.shape[1], changes.covariates)
    weights = Weights.of(root, labels)
    outcome = to_outcome @ np.bincount(unit, fit.psi[0], labels.shape[1])
    estimates = weights.weight @ outcome / (fit.unclipped[0] * weights.norm)
    return estimates[np.isfinite(estimates)]


def changes_of(panel: WidePanel) -> Changes:
    """Reduce a panel to one change per cell, with the changes of its controls beside it."""
    changes = effects.changes_of(panel.cells.assign(precision=panel.weights), _change(panel))
    seen = np.isfinite(panel.outcome)
    beside = [
        _change(replace(panel, outcome=np.where(seen, each, np.nan))) for each in panel.controls
    ]
    columns = np.vstack([panel.covariates.T, *beside])
    return replace(changes, covariates=_independent(changes.layout, columns))


def _change(panel: WidePanel) -> np.ndarray:
    means = (
        np.nanmean(panel.outcome[:, window], axis=1) for window in (panel.in_term, ~panel.in_term)
    )
    after, before = means
    return after - before


def _independent(layout: huber.Layout, columns: np.ndarray) -> np.ndarray | None:
    """Return what the effects leave of covariates, without those that others stand for."""
    if not len(columns):
        return None
    left = huber.fit(layout, columns, k=huber.LEAST_SQUARES).residual
    size = np.linalg.norm(columns - columns.mean(axis=1, keepdims=True), axis=1)
    is_left = np.linalg.norm(left, axis=1) > 1e-8 * np.maximum(size, 1e-300)
    _, triangle, order = scipy.linalg.qr(left[is_left].T, mode="economic", pivoting=True)
    if not is_left.any():
        return None
    diagonal = np.abs(triangle.diagonal())
    return left[is_left][np.sort(order[diagonal > 1e-8 * diagonal[0]])]
