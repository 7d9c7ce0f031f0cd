"""Shift-share: growth of cells split into the nation's, their industries' and what remains."""

import numpy as np
import pandas as pd
from scipy import stats

from clusterpolicy.cells.measures import require_years
from clusterpolicy.clusters import CELL
from clusterpolicy.estimation.shrinkage import LEVEL, noise_variance

WARNING = (
    "The regional part is what remains after the nation and the industry are taken off: an "
    "accounting remainder that holds every local cause, not an effect of the policy."
)
LEVELS = {"cell": CELL, "prefecture": ["pref_code"], "industry": ["industry"]}
PARTS = ["national", "industry_mix", "regional"]


def decompose(cells: pd.DataFrame, years: tuple[int, int], by: str = "cell") -> pd.DataFrame:
    """Split the change of product between two years into three parts that add up to it.

    With product ``x`` of cell ``pi`` in the first year, and growth ``g`` of the nation and ``g_i``
    of the industry in it [1]_::

        national      x_pi g            had the cell grown as the nation's manufacturing did
        industry_mix  x_pi (g_i - g)    more or less because of its industry
        regional      x'_pi - x_pi - x_pi g_i    what remains

    The nation is all cells seen in both years, so that a figure that turns hidden is no growth.
    The regional part is an accounting remainder, not an effect: print ``WARNING`` beside it.

    Parameters
    ----------
    cells : DataFrame
        From ``measures.measure_cells``: one base.
    years : tuple of int
        First and last fiscal year.
    by : str
        ``"cell"``, or ``"prefecture"`` or ``"industry"`` to add the cells up.

    Returns
    -------
    DataFrame
        Keys of the level, ``start``, ``end``, ``change`` and the three parts (million yen,
        nominal), ``regional_low`` and ``regional_high``, the regional part under anything that
        the hidden cells of the industry can hold, ``regional_percent`` (of the start) and
        ``n_cells``.

    Raises
    ------
    ValueError
        If the years or the level are unknown.

    References
    ----------
    .. [1] Dunn (1960), Papers of the Regional Science Association 6.
    """
    keys = _require_level(by)
    first, last = require_years(cells, years, "decompose")
    both = _both_years(cells, first, last)
    parts = _split(both)
    low, high = _growth_bounds(cells, first, last)
    rate = both["end"] - both["start"]
    ends = [rate - both["start"] * both["industry"].map(bound) for bound in (high, low)]
    parts["regional_low"] = np.minimum(*ends)
    parts["regional_high"] = np.maximum(*ends)
    return _add_up(parts, keys)


def decompose_yearly(cells: pd.DataFrame, years: tuple[int, int], by: str = "cell") -> pd.DataFrame:
    """Split the change year by year and add the parts up: the dynamic shift-share [1]_.

    The classic form gives the industries of the first year to all years; here each year starts
    from its own. Cells seen in every year only, so that the parts add up to the whole change.

    Parameters
    ----------
    cells, years, by
        As for :func:`decompose`.

    Returns
    -------
    DataFrame
        Keys of the level, ``start``, ``end``, ``change`` and the three parts (million yen,
        nominal, added up over the years), ``regional_percent`` (of the start), ``n_cells``,
        ``regional_rate``, the mean of ``100 regional / start`` over the years (percent a year), and
        ``regional_rate_low`` and ``regional_rate_high``: what the noise of the first and last year
        leaves of it at 95 % (``shrinkage.noise_variance``).

    References
    ----------
    .. [1] Barff and Knight (1988), Growth and Change 19.
    """
    keys = _require_level(by)
    first, last = require_years(cells, years, "decompose_yearly")
    inside = cells[cells["fy"].between(first, last)]
    n_years = last - first + 1
    is_seen = inside["product_million_yen"].notna()
    is_whole = is_seen.groupby([inside[key] for key in CELL]).transform("sum") == n_years
    inside = inside[is_whole]
    steps = [
        _add_up(_split(_both_years(inside, year, year + 1)), keys).assign(fy=year + 1)
        for year in range(first, last)
    ]
    steps = pd.concat(steps, ignore_index=True)
    total = steps.groupby(keys)[["change", *PARTS]].sum()
    ends = _add_up(_split(_both_years(inside, first, last)), keys).set_index(keys)
    total.insert(0, "start", ends["start"])
    total.insert(1, "end", ends["end"])
    total["regional_percent"] = _percent(total["regional"], total["start"])
    total["n_cells"] = ends["n_cells"]
    rates = steps.assign(rate=steps["regional"] / steps["start"].where(steps["start"] > 0))
    wide = rates.pivot(index=keys, columns="fy", values="rate")
    reach = stats.norm.ppf((1 + LEVEL) / 2)
    error = np.sqrt(2 * noise_variance(wide, total["start"])) / (last - first)
    mean = wide.mean(axis=1)
    return total.assign(
        regional_rate=100 * mean,
        regional_rate_low=100 * (mean - reach * error),
        regional_rate_high=100 * (mean + reach * error),
    ).reset_index()


def _require_level(by: str) -> list[str]:
    if by not in LEVELS:
        raise ValueError(f"shift-share: found level {by!r}: choose one of {', '.join(LEVELS)}")
    return LEVELS[by]


def _both_years(cells: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """Return start and end of the cells that are seen in both years."""
    start, end = (
        cells.loc[cells["fy"] == year].set_index(CELL)["product_million_yen"]
        for year in (first, last)
    )
    both = pd.DataFrame({"start": start, "end": end}).dropna()
    return both.reset_index()


def _split(both: pd.DataFrame) -> pd.DataFrame:
    """Split the change of each cell; the three parts add up to it by construction."""
    change = both["end"] - both["start"]
    nation = change.sum() / both["start"].sum()
    of_industry = both.groupby("industry")[["start", "end"]].sum()
    # An industry without product at the start has no growth rate: all of it is a remainder.
    grown = (of_industry["end"] / of_industry["start"].where(of_industry["start"] != 0) - 1).fillna(
        0
    )
    industry = both["industry"].map(grown)
    return both.assign(
        change=change,
        national=both["start"] * nation,
        industry_mix=both["start"] * (industry - nation),
        regional=change - both["start"] * industry,
        n_cells=1,
    )


def _growth_bounds(cells: pd.DataFrame, first: int, last: int) -> tuple[pd.Series, pd.Series]:
    """Bound the growth of each industry of the nation by what its hidden cells can hold."""
    sums = cells.groupby(["fy", "industry"])[["product_low", "product_high"]].sum()
    start, end = sums.loc[first], sums.loc[last]
    low = end["product_low"] / start["product_high"] - 1
    high = end["product_high"] / start["product_low"].where(start["product_low"] > 0) - 1
    return low, high


def _add_up(parts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    values = [
        name
        for name in ("start", "end", "change", *PARTS, "regional_low", "regional_high")
        if name in parts
    ]
    total = parts.groupby(keys)[[*values, "n_cells"]].sum()
    total["regional_percent"] = _percent(total["regional"], total["start"])
    return total.reset_index()


def _percent(part: pd.Series, whole: pd.Series) -> pd.Series:
    return 100 * part / whole.where(whole > 0)
