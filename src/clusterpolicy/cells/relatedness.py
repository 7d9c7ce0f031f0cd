"""Which industries are related: those that are strong in the same prefectures."""

import numpy as np
import pandas as pd

from clusterpolicy.cells.neighbours import SEED
from clusterpolicy.estimation.shrinkage import LEVEL

STRONG = 1.0  # location quotient from which a prefecture counts as strong in an industry
DRAWS = 999


def proximity(cells: pd.DataFrame, fy: int, strong: float = STRONG) -> pd.DataFrame:
    """Measure how often two industries are strong in the same prefectures.

    The lower of two shares [1]_: of the prefectures strong in ``i``, those strong in ``j``, and
    the other way round.

    Parameters
    ----------
    cells : DataFrame
        From ``measures.measure_cells``: one base.
    fy : int
        Fiscal year.
    strong : float
        Location quotient above which a prefecture is strong; a hidden cell is strong if the lower
        end of what totals allow is above it.

    Returns
    -------
    DataFrame, industries x industries
        0 (never together) to 1; NaN for an industry that is strong nowhere.

    References
    ----------
    .. [1] Hidalgo, Klinger, Barabasi and Hausmann (2007), Science 317.
    """
    presence = strong_cells(cells, fy, strong)
    return pd.DataFrame(_proximity(presence.to_numpy()), presence.columns, presence.columns)


def strong_cells(cells: pd.DataFrame, fy: int, strong: float = STRONG) -> pd.DataFrame:
    """Say in which industries each prefecture is strong: 1 or 0, prefectures x industries."""
    year = cells[cells["fy"] == fy]
    if year.empty:
        raise ValueError(
            f"strong_cells: found no cell of FY{fy}: choose FY{cells['fy'].min()} to "
            f"FY{cells['fy'].max()}"
        )
    quotient = year["location_quotient"].fillna(year["lq_bound_low"])
    is_strong = year.assign(is_strong=(quotient > strong).astype(float))
    return is_strong.pivot(index="pref_code", columns="industry", values="is_strong")


def density(
    cells: pd.DataFrame, fy: int, strong: float = STRONG, draws: int = DRAWS, seed: int = SEED
) -> pd.DataFrame:
    """Measure how much of what is related to an industry each prefecture is strong in.

    ``sum_j strong_pj proximity_ij / sum_j proximity_ij`` over the other industries ``j`` [1]_.
    Interval: the prefectures from which proximity is learnt are drawn anew with replacement.

    Returns
    -------
    DataFrame
        One row per cell: ``pref_code``, ``industry``, ``is_strong``, ``density`` (0 to 1) with
        ``low`` and ``high``, its 95 % percentile interval.

    References
    ----------
    .. [1] Hidalgo, Klinger, Barabasi and Hausmann (2007), Science 317.
    """
    presence = strong_cells(cells, fy, strong)
    values = presence.to_numpy()
    random = np.random.default_rng(seed)
    n = len(values)
    drawn = [_density(values, _proximity(values[random.integers(0, n, n)])) for _ in range(draws)]
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(np.array(drawn), [tail, 1 - tail], axis=0)
    tables = {
        "is_strong": values > 0,
        "density": _density(values, _proximity(values)),
        "low": low,
        "high": high,
    }
    long = {
        name: pd.DataFrame(table, presence.index, presence.columns).stack()
        for name, table in tables.items()
    }
    return pd.DataFrame(long).reset_index()


def _proximity(presence: np.ndarray) -> np.ndarray:
    together = presence.T @ presence
    count = presence.sum(axis=0)
    larger = np.maximum.outer(count, count)
    with np.errstate(invalid="ignore"):
        found = np.where(larger > 0, together / larger, np.nan)
    found[count == 0, :] = found[:, count == 0] = np.nan
    return found


def _density(presence: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Density of each prefecture (rows) around each industry (columns), itself left out."""
    near = np.nan_to_num(near)
    np.fill_diagonal(near, 0)
    total = near.sum(axis=0)
    return np.divide(presence @ near, total, where=total > 0, out=np.full(presence.shape, np.nan))
