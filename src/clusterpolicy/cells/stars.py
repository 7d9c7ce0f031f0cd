"""Stars for cells: size, specialisation, growth and productivity against declared thresholds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterpolicy.clusters import CELL

DIMENSIONS = ("size", "specialisation", "growth", "productivity")


@dataclass(frozen=True)
class Thresholds:
    """From which level a cell earns a star, declared before looking; change them as parameters.

    The dimensions follow the European Cluster Observatory (size, specialisation), its thresholds
    do not fit 47 prefectures: a prefecture holds one forty-seventh of the nation on average.

    Attributes
    ----------
    size : float
        Share of the nation's product of the industry, percent.
    specialisation : float
        Location quotient, after shrinkage.
    growth : float
        Yearly growth beyond the industry elsewhere, percentage points, after shrinkage.
    productivity : float
        Product per worker, 1 = as the industry in the nation.
    """

    size: float = 5.0
    specialisation: float = 1.5
    growth: float = 1.0
    productivity: float = 1.1

    def in_words(self) -> str:
        """Say the thresholds as they are printed beside the stars."""
        return (
            f"A star for at least {self.size:g} % of the nation's product of the "
            f"industry, a location quotient of {self.specialisation:g}, growth "
            f"of {self.growth:g} points a year beyond the industry elsewhere, and "
            f"{self.productivity:g} times the nation's product per worker; it is "
            "uncertain while the interval holds the threshold."
        )


DEFAULT = Thresholds()


def award(
    cells: pd.DataFrame,
    growth: pd.DataFrame,
    fy: int,
    thresholds: Thresholds = DEFAULT,
    productivity: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Award stars to the cells of one year; the level stands beside the rank.

    A relative star is lost when others grow, so each dimension keeps its level. A star is given
    if the whole interval lies at or above the threshold, and withheld if all of it lies below;
    in between it is uncertain.

    Parameters
    ----------
    cells : DataFrame
        From ``measures.measure_cells``: one base.
    growth : DataFrame
        From ``measures.measure_growth``.
    fy : int
        Fiscal year of size and specialisation.
    thresholds : Thresholds
    productivity : DataFrame, optional
        ``pref_code``, ``industry``, ``productivity``, ``low``, ``high`` (1 = as the nation's
        industry). Workers by prefecture and industry of the accounts are not public, so without
        it the dimension has no figure.

    Returns
    -------
    DataFrame
        One row per cell: for each of ``DIMENSIONS`` the level, ``_low``, ``_high``, ``_rank``
        (1 = highest of the industry's prefectures) and ``_star`` (yes, uncertain, no, no figure);
        ``stars`` (yes), ``stars_possible`` (yes or uncertain), ``stars_asked`` (with a figure).

    Raises
    ------
    ValueError
        If the year is not in `cells`.
    """
    year = cells[cells["fy"] == fy].set_index(CELL)
    if year.empty:
        raise ValueError(
            f"award: found no cell of FY{fy}: choose FY{cells['fy'].min()} to FY{cells['fy'].max()}"
        )
    change = growth.set_index(CELL).reindex(year.index)
    measured = {
        "size": 100 * year[["national_share", "national_share_low", "national_share_high"]],
        # Where a hidden cell has no quotient, its bounds may still decide.
        "specialisation": pd.DataFrame(
            {
                "value": year["lq_shrunk"],
                "low": year["lq_low"].fillna(year["lq_bound_low"]),
                "high": year["lq_high"].fillna(year["lq_bound_high"]),
            }
        ),
        "growth": change[["excess_shrunk", "excess_shrunk_low", "excess_shrunk_high"]],
        "productivity": _productivity(productivity, year.index),
    }
    table = pd.DataFrame(index=year.index)
    for name, figures in measured.items():
        value, low, high = (figures[column] for column in figures)
        threshold = getattr(thresholds, name)
        star = np.select(
            [low.isna() | high.isna(), low >= threshold, high >= threshold],
            ["no figure", "yes", "uncertain"],
            "no",
        )
        table[name], table[f"{name}_low"], table[f"{name}_high"] = value, low, high
        table[f"{name}_rank"] = value.groupby(level="industry").rank(ascending=False, method="min")
        table[f"{name}_star"] = star
    stars = table[[f"{name}_star" for name in DIMENSIONS]]
    return table.assign(
        stars=(stars == "yes").sum(axis=1),
        stars_possible=stars.isin(["yes", "uncertain"]).sum(axis=1),
        stars_asked=(stars != "no figure").sum(axis=1),
    ).reset_index()


def _productivity(table: pd.DataFrame | None, index: pd.MultiIndex) -> pd.DataFrame:
    columns = ["productivity", "low", "high"]
    if table is None:
        return pd.DataFrame(np.nan, index, columns)
    return table.set_index(CELL)[columns].reindex(index)
