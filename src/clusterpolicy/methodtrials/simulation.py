"""Do the estimators tell the truth: panels of the study's own shape in which the effect is known.

Every panel has the cells, the hidden figures, the blocks and the industries of a real sample. What
moves the figures is drawn anew: shocks common to a prefecture or an industry in a year, and paths
of single cells as unequal, as persistent and as alike within a block as the real ones are.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clusterpolicy import policy
from clusterpolicy.effects import Sample, cell_sample, main_design
from clusterpolicy.panel import Study

SEED = 20010402  # any fixed number; not the one that the permutations are drawn with


@dataclass(frozen=True)
class Process:
    """What moves the figures of a sample, measured from them.

    A cell's own path is ``scale x path``: the log of the scale falls with the log of the cell's
    size and varies beyond it; the covariance of the path over the years is left free, so nothing
    is assumed about its persistence. The mean of a cell over the years is the real one.

    Attributes
    ----------
    size : float
        Mean log outcome of all cells.
    level, slope : float
        Variance of a cell's own path is ``exp(level + slope x (its mean log outcome - size))``.
    dispersion : float
        Standard deviation of the log variance between cells of one size.
    years : ndarray, n_years x n_years
        Covariance of a path over the fiscal years, of mean variance 1.
    shared : float
        Share of the variance that the cells of one block and industry have in common.
    kurtosis : float
        Of the real paths over their scale; 3 if they were normal.
    paths : ndarray, n_paths x n_years
        The real paths over their scale, of cells seen in every year.
    places, industries : ndarray, n_years x n_years
        Covariance of the shocks of a place and of an industry.
    """

    size: float
    level: float
    slope: float
    dispersion: float
    years: np.ndarray
    shared: float
    kurtosis: float
    paths: np.ndarray
    places: np.ndarray
    industries: np.ndarray

    def correlation(self, apart: int) -> float:
        """Return the correlation of a path's yearly changes so many years apart."""
        difference = np.diff(np.eye(len(self.years)), axis=0)
        changes = difference @ self.years @ difference.T
        return float(np.diagonal(changes, apart).mean() / np.diagonal(changes).mean())


def measure_process(sample: Sample) -> Process:
    """Measure what moves the figures of a sample, on the cells seen in every year.

    On these the three effects of the triple difference are taken out first across cells, then
    across years, so what is left has the covariance of the years times that of the cells.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    Process
    """
    wide = sample.rows.pivot(index=sample.keys, columns="fy", values="log_outcome").dropna()
    cells = wide.index.to_frame(index=False).merge(
        sample.cells, on=sample.keys, validate="one_to_one"
    )
    means = wide.to_numpy().mean(axis=1)
    size = means - means.mean()
    changes = wide.to_numpy() - means[:, None]
    common = np.hstack([_dummies(cells[sample.place]), _dummies(cells["industry"])])
    inverse = np.linalg.pinv(common)
    effects = inverse @ changes
    own = changes - common @ effects
    kept = 1 - (common * inverse.T).sum(axis=1)  # of each cell's own variance
    log_variance = np.log((own**2).mean(axis=1) / kept)
    slope, level = np.polyfit(size, log_variance, 1)
    # Estimates weigh cells alike, so it is the sum of the variances that has to be right.
    scale = np.exp((level + slope * size) / 2)
    level += np.log((own**2).sum() / (len(wide.columns) * (scale**2 * kept).sum()))
    scale = np.exp((level + slope * size) / 2)
    paths = own / (scale * np.sqrt(kept))[:, None]
    years = own.T @ own
    years *= len(years) / np.trace(years)
    n_places = cells[sample.place].nunique()
    return Process(
        size=float(means.mean()),
        level=float(level),
        slope=float(slope),
        dispersion=_dispersion(log_variance - np.polyval((slope, level), size), years),
        years=years,
        shared=_shared(own, scale, kept, lambda x: x - common @ (inverse @ x), cells),
        kurtosis=float((paths**4).mean() / (paths**2).mean() ** 2),
        paths=paths,
        places=_covariance(effects[:n_places]),
        industries=_covariance(effects[n_places:]),
    )


def measure_processes(study: Study, fields_map: str) -> pd.DataFrame:
    """Measure what moves the figures of the main sample of each term.

    Returns
    -------
    DataFrame
        One row per ``term`` (in words): ``scale``, ``shared``, ``prefectures``, ``industries`` in
        percent, ``slope``, ``dispersion``, ``next_year``, ``three_years`` and ``kurtosis``.
    """
    rows = []
    for number in (1, 2, 3):
        design = main_design(study, number, policy.CLOCKS[0], fields_map)
        process = measure_process(cell_sample(study, design))
        rows.append(
            {
                "term": f"term {number}",
                "scale": 100 * np.exp(process.level / 2),
                "slope": process.slope,
                "dispersion": process.dispersion,
                "next_year": process.correlation(1),
                "three_years": process.correlation(3),
                "shared": 100 * process.shared,
                "kurtosis": process.kurtosis,
                "prefectures": 100 * np.sqrt(np.diag(process.places).mean()),
                "industries": 100 * np.sqrt(np.diag(process.industries).mean()),
            }
        )
    return pd.DataFrame(rows)


def _dispersion(excess: np.ndarray, years: np.ndarray) -> float:
    """Return how log variances differ beyond what chance makes of so few years."""
    rng = np.random.default_rng(SEED)
    chance = rng.standard_normal((20_000, len(years))) @ _root(years).T
    by_chance = np.log((chance**2).mean(axis=1)).var()
    return float(np.sqrt(max(excess.var() - by_chance, 0)))


def _shared(
    own: np.ndarray,
    scale: np.ndarray,
    kept: np.ndarray,
    left: Callable[[np.ndarray], np.ndarray],
    cells: pd.DataFrame,
) -> float:
    """Return the share of variance common to a block and industry, by the method of moments.

    The mean product of two cells of one unit, over the mean square, is matched with what it would
    be for the share in question once effects of place and industry are residualised (`left`).
    """
    unit = pd.MultiIndex.from_frame(cells[["block", "industry"]]).factorize()[0]
    of_unit = _dummies(pd.Series(unit))

    def pairs_and_squares(root: np.ndarray) -> tuple[float, float]:
        """Sum ``root root'`` over pairs of cells of one unit, and over its diagonal."""
        squares = (root**2).sum()
        return ((of_unit.T @ root) ** 2).sum() - squares, squares

    pairs, squares = pairs_and_squares(own)
    # Of paths each on its own, the root is M diag(scale); of paths common to a unit, M S U.
    alone = ((scale[:, None] * left(of_unit)) ** 2).sum()
    own_squares = (scale**2 * kept).sum()
    together = pairs_and_squares(left(scale[:, None] * of_unit))
    excess = [
        both - pairs / squares * square
        for both, square in ((alone - own_squares, own_squares), together)
    ]
    return float(np.clip(excess[0] / (excess[0] - excess[1]), 0, 1))


def _covariance(paths: np.ndarray) -> np.ndarray:
    paths = paths - paths.mean(axis=0)
    return paths.T @ paths / (len(paths) - 1)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return ``L`` with ``LL' = covariance``, which need not be of full rank."""
    values, vectors = np.linalg.eigh(covariance)
    # A vector is only known up to its sign; without a rule, libraries differ in their choice.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    return vectors * signs * np.sqrt(np.clip(values, 0, None))


@dataclass(frozen=True)
class Frame:
    """Where every figure of a sample stands: the shape that simulated panels share.

    Attributes
    ----------
    cell, year : ndarray of int, n_rows
        Codes from 0, of each row of the sample.
    cell_place, cell_industry, cell_unit : ndarray of int, n_cells
        Codes of each cell; a unit is a block and industry.
    size : ndarray, n_cells
        Mean log outcome.
    windows : ndarray, n_cells x n_years
        What turns a path into the change of its cell: 1 over the years seen in the term, less 1
        over those seen in the baseline.
    """

    cell: np.ndarray
    year: np.ndarray
    cell_place: np.ndarray
    cell_industry: np.ndarray
    cell_unit: np.ndarray
    size: np.ndarray
    windows: np.ndarray


def frame_of(sample: Sample) -> Frame:
    """Return the shape of a sample."""
    rows, cells = sample.rows, sample.cells
    cell = rows.groupby(sample.keys, sort=False).ngroup().to_numpy()
    year = pd.factorize(rows["fy"], sort=True)[0]
    in_term = rows["in_term"].to_numpy()
    windows = np.zeros((len(cells), year.max() + 1))
    windows[cell, year] = np.where(
        in_term,
        1 / np.maximum(np.bincount(cell, in_term), 1)[cell],
        -1 / np.maximum(np.bincount(cell, ~in_term), 1)[cell],
    )
    return Frame(
        cell=cell,
        year=year,
        cell_place=pd.factorize(cells[sample.place], sort=True)[0],
        cell_industry=pd.factorize(cells["industry"], sort=True)[0],
        # As inference.permute_targets numbers them, so that its labels fit.
        cell_unit=pd.MultiIndex.from_frame(cells[["industry", "block"]]).factorize(sort=True)[0],
        size=np.bincount(cell, rows["log_outcome"]) / np.bincount(cell),
        windows=windows,
    )


def simulate(
    sample: Sample,
    process: Process,
    n_panels: int,
    rng: np.random.Generator,
    shared: float | None = None,
    is_heavy: bool = False,
) -> np.ndarray:
    """Draw panels of the shape of a sample in which no target has an effect.

    Parameters
    ----------
    sample : Sample
        Gives the cells and years that are seen; its figures are not used but for the cells' sizes.
    process, n_panels, rng, shared, is_heavy
        As in :func:`draw_paths`.

    Returns
    -------
    ndarray, n_rows x n_panels
        Log outcomes, in the order of ``sample.rows``.
    """
    frame = frame_of(sample)
    paths = draw_paths(frame, process, n_panels, rng, shared, is_heavy)
    return np.ascontiguousarray(paths[:, frame.cell, frame.year].T)


def draw_paths(
    frame: Frame,
    process: Process,
    n_panels: int,
    rng: np.random.Generator,
    shared: float | None = None,
    is_heavy: bool = False,
) -> np.ndarray:
    """Draw a path over all years for every cell of every panel.

    Parameters
    ----------
    frame : Frame
    process : Process
    n_panels : int
    rng : Generator
    shared : float, optional
        Share of variance common to a block and industry; as measured if not given.
    is_heavy : bool
        Draw the real paths of other cells with random signs, instead of normal ones: tails are
        then as heavy as the real ones.

    Returns
    -------
    ndarray, n_panels x n_cells x n_years
        Log outcomes.
    """
    shared = process.shared if shared is None else shared
    n_cells, n_units = len(frame.size), frame.cell_unit.max() + 1
    paths = _draw_own(process, (n_panels, n_cells), rng, is_heavy)
    units = _draw_own(process, (n_panels, n_units), rng, is_heavy)
    paths *= np.sqrt(1 - shared)
    paths += np.sqrt(shared) * units[:, frame.cell_unit]
    # Dispersion leaves the mean variance as it is. Real paths bring theirs along.
    spread = 0.0 if is_heavy else process.dispersion
    uneven = spread * rng.standard_normal((n_panels, n_cells)) - spread**2 / 2
    log_variance = process.level + process.slope * (frame.size - process.size) + uneven
    paths *= np.exp(log_variance / 2)[:, :, None]
    for covariance, of_cell in (
        (process.places, frame.cell_place),
        (process.industries, frame.cell_industry),
    ):
        normal = rng.standard_normal((n_panels, of_cell.max() + 1, len(covariance)))
        paths += (normal @ _root(covariance).T)[:, of_cell]
    paths += frame.size[:, None]
    return paths


def _draw_own(
    process: Process, shape: tuple[int, int], rng: np.random.Generator, is_heavy: bool
) -> np.ndarray:
    if is_heavy:
        chosen = process.paths[rng.integers(len(process.paths), size=shape)]
        return chosen * rng.choice([-1.0, 1.0], size=(*shape, 1))
    return rng.standard_normal((*shape, len(process.years))) @ _root(process.years).T


def panel_of(sample: Sample, outcome: np.ndarray, targets: np.ndarray | None = None) -> Sample:
    """Return the sample with another outcome and, if given, other targets.

    Parameters
    ----------
    sample : Sample
    outcome : ndarray, n_rows
        Log outcome, one column of what :func:`simulate` draws.
    targets : ndarray, n_cells, optional
        0 or 1 for each of ``sample.cells``.
    """
    rows = sample.rows.assign(log_outcome=outcome)
    if targets is not None:
        rows["is_targeted"] = targets.astype(bool)[frame_of(sample).cell]
    return replace(sample, rows=rows)


def _dummies(codes: pd.Series) -> np.ndarray:
    return pd.get_dummies(codes).to_numpy(float)
