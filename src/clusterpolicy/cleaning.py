"""Raw tables to tidy ones: symbols told from figures, types given, nothing guessed.

A raw table is text that has been held against its rules (module ``rules``); here its figures
become numbers, with a status beside each value.
"""

import pandas as pd

from clusterpolicy import policy
from clusterpolicy.checks.rules import PREFECTURE_SERIES, STATUS_OF_SYMBOL


def clean_prefectures(raw: pd.DataFrame, projects: pd.DataFrame) -> pd.DataFrame:
    """Return the 47 prefectures with the block they belong to (see ``policy``)."""
    table = raw.reset_index(drop=True).astype({"tile_row": int, "tile_col": int})
    table = table[["pref_code", "name_en", "name_ja", "bureau", "region", "tile_row", "tile_col"]]
    blocks = policy.prefecture_blocks(projects, table)
    return table.merge(blocks, left_on="pref_code", right_index=True, validate="one_to_one")


def clean_terms(raw: pd.DataFrame) -> pd.DataFrame:
    """Return one row per term and clock with ``first_year`` and ``last_year`` (fiscal)."""
    parts = []
    for clock in policy.CLOCKS:
        first, last = f"{clock}_first_fy", f"{clock}_last_fy"
        years = raw[[first, last]].astype(int)
        parts.append(
            raw[["term", "name_en", "name_ja", "source"]].assign(
                term=raw["term"].astype(int),
                clock=clock,
                first_year=years[first],
                last_year=years[last],
            )
        )
    order = ["term", "name_en", "name_ja", "clock", "first_year", "last_year", "source"]
    return pd.concat(parts)[order].sort_values(["term", "clock"]).reset_index(drop=True)


def clean_projects(raw: pd.DataFrame) -> pd.DataFrame:
    """Return the projects, one row per project and term, with years and counts as numbers."""
    table = raw.reset_index(drop=True)
    whole = ["first_fy", "last_fy", "funded_last_fy", "firms", "universities"]
    for column in whole:
        table[column] = pd.to_numeric(table[column].replace("", None)).astype("Int64")
    return table.astype({"term": int})


def clean_cell_product(raw: pd.DataFrame, base: str) -> pd.DataFrame:
    """Return the product of cells in one base, one row per cell and fiscal year.

    Parameters
    ----------
    raw : DataFrame
        Checked table ``cell_product_<base>``, wide by fiscal year.
    base : str
        Key of the base year, e.g. ``"b2000"``.

    Returns
    -------
    DataFrame
        ``base``, ``pref_code``, ``industry``, ``fy``, ``product_million_yen`` (nominal; missing
        unless observed) and ``status``: observed, hidden or nil. Negative products are real.
    """
    long = raw.reset_index(drop=True).melt(
        ["pref_code", "industry", "source"], var_name="fy", value_name="text"
    )
    value, status = split_status(long["text"])
    table = long.assign(
        base=base, fy=long["fy"].astype(int), product_million_yen=value, status=status
    )
    order = ["base", "pref_code", "industry", "fy"]
    table = table[[*order, "product_million_yen", "status", "source"]]
    return table.sort_values(order).reset_index(drop=True)


def clean_prefecture_series(raw: pd.DataFrame, indicator: str) -> pd.DataFrame:
    """Return one indicator by prefecture and year in the columns of the prefecture panel.

    Parameters
    ----------
    raw : DataFrame
        Checked raw table of the indicator.
    indicator : str
        Key of ``PREFECTURE_SERIES``; series of several kinds (population, value added) carry the
        kind after a dot, e.g. ``"population.census"``.

    Returns
    -------
    DataFrame
        ``indicator``, ``pref_code``, ``year``, ``value``, ``unit``, ``status``, ``flag``,
        ``source``.
    """
    _, column, unit = PREFECTURE_SERIES[indicator]
    kind = next((name for name in ("concept", "series") if name in raw.columns), None)
    value, status = split_status(raw[column])
    table = raw.assign(
        indicator=indicator if kind is None else indicator + "." + raw[kind],
        year=raw["year"].astype(int),
        value=value,
        unit=unit,
        status=status,
    )
    order = ["indicator", "pref_code", "year", "value", "unit", "status", "flag", "source"]
    return table[order].reset_index(drop=True)


def clean_events(raw: pd.DataFrame) -> pd.DataFrame:
    """Return policies, shocks and breaks with years as numbers; an open end stays missing."""
    table = raw.reset_index(drop=True)
    table["first_year"] = table["first_year"].astype(int)
    table["last_year"] = pd.to_numeric(table["last_year"].replace("", None)).astype("Int64")
    return table


def clean_plant_events(raw: pd.DataFrame) -> pd.DataFrame:
    """Return plant events with years and figures (million yen) as numbers.

    ``last_fy`` is the first year again where an event explains one year only.
    """
    table = raw.reset_index(drop=True)
    table["first_fy"] = table["first_fy"].astype(int)
    last = pd.to_numeric(table["last_fy"].replace("", None))
    table["last_fy"] = last.fillna(table["first_fy"]).astype(int)
    for column in ("value_before", "value_after"):
        table[column] = split_status(table[column])[0]
    return table


def split_status(text: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Tell figures from symbols.

    Parameters
    ----------
    text : Series of str
        Figures and symbols as printed.

    Returns
    -------
    value : Series of float
        The figure; missing where there is none.
    status : Series of str
        ``"observed"``, ``"hidden"`` or ``"nil"``.
    """
    status = text.map(STATUS_OF_SYMBOL).fillna("observed")
    return pd.to_numeric(text.where(status == "observed")), status
