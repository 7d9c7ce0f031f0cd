"""How strong a cell is: share, location quotient, growth, and how targeted cells differ."""

import numpy as np
import pandas as pd

CELL = ["pref_code", "industry"]


def location_quotients(cell_panel: pd.DataFrame, base: str, fy: int) -> pd.DataFrame:
    """Compute the location quotient of every cell in one fiscal year.

    The share of the industry in the prefecture's manufacturing product, over its share in the
    nation's: ``(x_pi / x_p) / (x_i / x)`` [1]_. Hidden and nil cells enter no sum.

    Parameters
    ----------
    cell_panel : DataFrame
        Clean table ``cell_panel``.
    base : str
        Base of the accounts, e.g. ``"b2000"``.
    fy : int
        Fiscal year.

    Returns
    -------
    DataFrame
        ``pref_code``, ``industry``, ``product_million_yen``, ``share`` (of the prefecture's
        manufacturing product, 0 to 1) and ``location_quotient`` (no unit, 1 = as in the nation).

    References
    ----------
    .. [1] Florence (1939), Report on the Location of Industry, Political and Economic Planning.
    """
    year = cell_panel[(cell_panel["base"] == base) & (cell_panel["fy"] == fy)]
    year = year[(year["status"] == "observed") & (year["product_million_yen"] > 0)]
    product = year["product_million_yen"]
    share = product / product.groupby(year["pref_code"]).transform("sum")
    national = product.groupby(year["industry"]).transform("sum") / product.sum()
    return (
        year[[*CELL, "product_million_yen"]]
        .assign(share=share, location_quotient=share / national)
        .reset_index(drop=True)
    )


def compare_at_baseline(
    cells: pd.DataFrame, cell_panel: pd.DataFrame, base: str, years: tuple[int, int]
) -> pd.DataFrame:
    """Compare targeted cells with the others at the baseline, to see if strength was picked.

    Parameters
    ----------
    cells : DataFrame
        One row per cell: ``pref_code``, ``industry``, ``is_targeted``.
    cell_panel : DataFrame
        Clean table ``cell_panel``.
    base : str
        Base of the accounts.
    years : tuple of int
        First and last fiscal year of the baseline.

    Returns
    -------
    DataFrame
        One row per ``measure`` (all in logs) with its name ``variable``: means of targeted and
        other cells, numbers of both and ``value``, the normalised difference
        ``(m1 - m0) / sqrt((v1 + v0) / 2)`` [1]_, with the ends ``low`` and ``high`` of its 95 %
        interval [2]_.

    References
    ----------
    .. [1] Imbens and Rubin (2015), Causal Inference, chapter 14.
    .. [2] Hedges and Olkin (1985), Statistical Methods for Meta-Analysis, equation 5.14.
    """
    first, last = years
    start = location_quotients(cell_panel, base, first).set_index(CELL)
    end = location_quotients(cell_panel, base, last).set_index(CELL)
    is_targeted = cells.set_index(CELL)["is_targeted"]
    growth = np.log(end["product_million_yen"] / start["product_million_yen"])
    variables = (
        ("location_quotient", f"Location quotient, FY{last}", np.log(end["location_quotient"])),
        ("size", f"Product, FY{last}", np.log(end["product_million_yen"])),
        ("growth", f"Growth of product, FY{first}-{last}", growth),
    )
    rows = []
    for measure, name, values in variables:
        seen = values.reindex(is_targeted.index).dropna()
        targeted, other = seen[is_targeted[seen.index]], seen[~is_targeted[seen.index]]
        n1, n0 = len(targeted), len(other)
        difference = (targeted.mean() - other.mean()) / np.sqrt((targeted.var() + other.var()) / 2)
        half = 1.96 * np.sqrt((n1 + n0) / (n1 * n0) + difference**2 / (2 * (n1 + n0)))
        rows.append(
            {
                "measure": measure,
                "variable": name,
                "targeted": targeted.mean(),
                "other": other.mean(),
                "n_targeted": n1,
                "n_other": n0,
                "value": difference,
                "low": difference - half,
                "high": difference + half,
            }
        )
    return pd.DataFrame(rows)


def growth_paths(rows: pd.DataFrame, base_year: int) -> pd.DataFrame:
    """Follow targeted and other cells: mean growth since the last year of the baseline.

    Cells seen in every year only, so that a change of coverage is no growth.

    Parameters
    ----------
    rows : DataFrame
        One row per cell and fiscal year: ``pref_code``, ``industry``, ``fy``, ``is_targeted``,
        ``log_outcome``.
    base_year : int
        Fiscal year in which both paths are zero.

    Returns
    -------
    DataFrame
        ``fy``, ``group`` (targeted, other), ``n_cells``, ``value``: 100 x mean log change of
        product since the base year, with ``low`` and ``high``, the 95 % interval of the mean.
    """
    wide = rows.pivot(index=CELL, columns="fy", values="log_outcome").dropna()
    change = 100 * wide.sub(wide[base_year], axis=0)
    is_targeted = rows.drop_duplicates(CELL).set_index(CELL)["is_targeted"].loc[change.index]
    parts = []
    for group, members in (("targeted", change[is_targeted]), ("other", change[~is_targeted])):
        half = 1.96 * members.std() / np.sqrt(len(members))
        parts.append(
            pd.DataFrame(
                {
                    "fy": members.columns,
                    "group": group,
                    "n_cells": len(members),
                    "value": members.mean().to_numpy(),
                    "low": (members.mean() - half).to_numpy(),
                    "high": (members.mean() + half).to_numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def strength_and_growth(
    cells: pd.DataFrame,
    cell_panel: pd.DataFrame,
    base: str,
    years: tuple[int, int],
    names: tuple[pd.Series, pd.Series],
) -> pd.DataFrame:
    """Set the strength of each cell at the start beside its growth.

    Parameters
    ----------
    cells : DataFrame
        One row per cell: ``pref_code``, ``industry``, ``is_targeted``.
    cell_panel : DataFrame
        Clean table ``cell_panel``.
    base : str
        Base of the accounts.
    years : tuple of int
        Fiscal years of start and end.
    names : tuple of Series
        English names by prefecture code, and by industry.

    Returns
    -------
    DataFrame
        ``pref_code``, ``industry``, ``label`` in words, ``location_quotient`` in the first year,
        ``growth`` of nominal product
        between the two in percent, ``is_targeted``; cells seen in both years.
    """
    start = location_quotients(cell_panel, base, years[0]).set_index(CELL)
    end = location_quotients(cell_panel, base, years[1]).set_index(CELL)["product_million_yen"]
    both = cells[[*CELL, "is_targeted"]].join(start, on=CELL).join(end.rename("later"), on=CELL)
    both = both.dropna().reset_index(drop=True)
    prefecture, industry = names
    label = both["pref_code"].map(prefecture) + ", " + both["industry"].map(industry)
    growth = 100 * (both["later"] / both["product_million_yen"] - 1)
    columns = both[[*CELL, "location_quotient", "is_targeted"]]
    return columns.assign(label=label, growth=growth)
