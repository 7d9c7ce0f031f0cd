"""Municipal figures as ``data/raw`` carries them: wide by year, a mark where there is no figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from clusterpolicy.checks import checking
from clusterpolicy.checks.rules import ALL_GROUPS, MUNICIPAL_STATUS
from clusterpolicy.finerdata import marks
from clusterpolicy.finerdata.marks import status_of

# Measure -> raw table of municipalities and industry groups; the group "all" is every industry.
GROUP_TABLES = {
    "establishments": "municipal_group_establishments",
    "employees": "municipal_group_employees",
    "shipments_million_yen": "municipal_group_shipments",
}
MEASURES = tuple(GROUP_TABLES)
PANEL_TABLE, UNITS_TABLE = "municipal_shipments", "municipal_units"
CELL = ["muni_code_2015", "industry_group"]
YEAR_KEYS = ["muni_code_2015", "year"]
DECIMALS = 2  # the files count money in 10,000 yen, 0.01 million yen
ROUNDING = 0.005  # half of the last printed digit
_SYMBOL_OF_STATUS = {status: symbol for symbol, status in MUNICIPAL_STATUS.items()}
_NO_LINE = ("", "-")  # not told, or told to be nil


def print_figure(value: float, decimals: int = DECIMALS) -> str:
    """Return a figure with no more digits than it needs."""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def print_cells(value: pd.Series, status: pd.Series, blank: str | None = None) -> pd.Series:
    """Return figures as text, or the symbol of what stands in their place.

    Parameters
    ----------
    value : Series of float
    status : Series of category
        One of ``marks.STATUSES``.
    blank : str, optional
        Status that the table leaves empty.

    Raises
    ------
    ValueError
        If a status has no symbol.
    """
    symbols = _SYMBOL_OF_STATUS | ({} if blank is None else {blank: ""})
    is_seen = (status == "observed").to_numpy()
    text = status.astype(str).map(symbols).astype(object)
    text[is_seen] = [print_figure(each) for each in value[is_seen]]
    if text.isna().any():
        found = status[text.isna()].iloc[0]
        raise ValueError(f"No symbol for the status {found!r}: add it to rules.MUNICIPAL_STATUS")
    return text


def read_figures(cells: pd.DataFrame | pd.Series) -> np.ndarray:
    """Return checked cells as floats, missing where a symbol stands or nothing."""
    text = cells.to_numpy(dtype=object)
    figures = [float(each) if each[:1].isdigit() else np.nan for each in text.ravel()]
    return np.array(figures, dtype=float).reshape(text.shape)


def widen(
    long: pd.DataFrame, measure: str, keys: list[str], source: str, blank: str | None = None
) -> pd.DataFrame:
    """Lay a measure out with one column a year, sorted by its keys.

    Parameters
    ----------
    long : DataFrame
        `keys`, ``year``, `measure` and its status.
    measure : str
    keys : list of str
        Columns that name a row.
    source : str
        Keys of the table sources.
    blank : str, optional
        As for ``print_cells``.

    Returns
    -------
    DataFrame
        Text: `keys`, ``source`` and the years.
    """
    cells = long.assign(text=print_cells(long[measure], long[status_of(measure)], blank))
    wide = cells.pivot(index=keys, columns="year", values="text").fillna("").sort_index()
    wide.columns = wide.columns.astype(str)
    wide.insert(0, "source", source)
    return wide.reset_index()


def mark_nil(wide: pd.DataFrame, plants: pd.DataFrame) -> pd.DataFrame:
    """Mark a group without a line as nil where the other groups hold all plants of the year.

    Parameters
    ----------
    wide : DataFrame
        From ``widen``, of any measure.
    plants : DataFrame
        From ``widen``, of establishments: they are never hidden.
    """
    years = checking.year_columns(wide)
    told = told_years(plants).reindex(wide["muni_code_2015"]).set_axis(wide.index)
    return wide.assign(
        **{year: wide[year].mask(told[year] & (wide[year] == ""), "-") for year in years}
    )


def told_years(plants: pd.DataFrame) -> pd.DataFrame:
    """Return whether the groups of a municipality hold all its plants, n_municipalities x n_years.

    Parameters
    ----------
    plants : DataFrame
        Raw table ``municipal_group_establishments``.
    """
    years = checking.year_columns(plants)
    figures = pd.DataFrame(np.nan_to_num(read_figures(plants[years])), plants.index, years)
    is_all = plants["industry_group"] == ALL_GROUPS
    whole = figures[is_all].set_axis(plants.loc[is_all, "muni_code_2015"])
    parts = figures[~is_all].groupby(plants.loc[~is_all, "muni_code_2015"]).sum()
    parts = parts.reindex(whole.index, fill_value=0.0)
    return (parts == whole) & (whole > 0)


def lengthen(raw: pd.DataFrame, measure: str, keys: list[str], blank: str = "") -> pd.DataFrame:
    """Return a raw table that is wide by year with one row a figure, its status beside it.

    Parameters
    ----------
    raw : DataFrame
        Checked raw table.
    measure : str
        Name for its figures.
    keys : list of str
        Columns that name a row.
    blank : str
        Status of an empty cell; if not given, empty and nil cells have no row, as in the census.

    Returns
    -------
    DataFrame
        `keys`, ``year``, `measure` and its status, sorted by year and `keys`.
    """
    years = checking.year_columns(raw)
    long = raw[[*keys, *years]].melt(keys, var_name="year", value_name="text")
    if not blank:
        long = long[~long["text"].isin(_NO_LINE)]
    long = long.astype({"year": int}).sort_values(["year", *keys], ignore_index=True)
    status = long["text"].map({**MUNICIPAL_STATUS, "": blank}).fillna("observed")
    return long[[*keys, "year"]].assign(
        **{measure: read_figures(long["text"]), status_of(measure): status.astype(marks.STATUS)}
    )


def check(raw: Mapping[str, pd.DataFrame]) -> None:
    """Hold the tables of municipalities and industry groups against one another.

    The three tables tell of the same lines; groups add up to no more than all industries, and to
    exactly that where the municipality is told in full and nothing is hidden.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables.

    Raises
    ------
    sources.DataFault
        At the first contradiction by line.
    """
    plants = raw[GROUP_TABLES["establishments"]]
    told = told_years(plants)
    checking.raise_faults(plants, _nil_faults(plants, told))
    for measure, name in GROUP_TABLES.items():
        table = raw[name]
        if measure != "establishments":
            checking.raise_faults(table, _line_faults(table, plants))
        checking.raise_faults(table, _sum_faults(table, told))
    checking.raise_faults(raw[UNITS_TABLE], _unit_faults(raw[UNITS_TABLE], told))


def _nil_faults(plants: pd.DataFrame, told: pd.DataFrame) -> Iterable[checking.Fault]:
    """Find empty cells that are known to be nil, and nil ones that are not."""
    of_row = told.reindex(plants["muni_code_2015"], fill_value=False).set_axis(plants.index)
    for year in told.columns:
        is_nil, is_blank = plants[year] == "-", plants[year] == ""
        for line in plants.index[(of_row[year] & is_blank) | (~of_row[year] & is_nil)]:
            is_told = "" if of_row.at[line, year] else "not "
            reason = (
                f"the groups of the municipality do {is_told}add up to all its establishments: "
                f"write {'-' if of_row.at[line, year] else 'nothing'}, or correct the sum"
            )
            yield checking.Fault(line, year, plants.at[line, year], reason)


def _line_faults(table: pd.DataFrame, plants: pd.DataFrame) -> Iterable[checking.Fault]:
    """Find rows and cells that only one of two tables has."""
    own, other = (pd.MultiIndex.from_frame(each[CELL]) for each in (table, plants))
    for line in table.index[~own.isin(other)]:
        found = ", ".join(table.loc[line, CELL])
        reason = f"no such row in {plants.attrs['file']}: add it there, or remove it here"
        yield checking.Fault(line, "+".join(CELL), found, reason)
    for key in other[~other.isin(own)]:
        reason = f"no row for one that stands in {plants.attrs['file']}: add it"
        yield checking.Fault(int(table.index[0]), "+".join(CELL), ", ".join(key), reason)
    beside = plants.set_axis(other).reindex(own).set_axis(table.index)
    for year in checking.year_columns(plants):
        if year not in table.columns:
            yield checking.Fault(1, year, "", f"no such column: {plants.attrs['file']} has it")
            continue
        differs = (table[year] != beside[year]) & (
            table[year].isin(_NO_LINE) | beside[year].isin(_NO_LINE)
        )
        for line in table.index[differs & beside[year].notna()]:
            reason = f"{plants.attrs['file']} has {beside.at[line, year]!r} there: correct one"
            yield checking.Fault(line, year, table.at[line, year], reason)


def _sum_faults(table: pd.DataFrame, told: pd.DataFrame) -> Iterable[checking.Fault]:
    """Find municipalities whose groups add up to more than their total, or to less if all told."""
    is_all = table["industry_group"] == ALL_GROUPS
    code = table["muni_code_2015"]
    for year in told.columns:
        figure = pd.Series(read_figures(table[year]), table.index)
        parts = figure[~is_all].groupby(code[~is_all]).sum()
        hidden = (~is_all & figure.isna() & ~table[year].isin(_NO_LINE)).groupby(code).any()
        whole = figure[is_all].dropna()
        of_row = code[whole.index]
        gap = parts.reindex(of_row, fill_value=0.0).to_numpy() - whole
        is_whole = told[year].reindex(of_row, fill_value=False) & ~hidden[of_row]
        for line in whole.index[(gap > ROUNDING) | (is_whole.to_numpy() & (gap < -ROUNDING))]:
            found = print_figure(gap[line] + whole[line])
            reason = f"its groups add up to {found}: correct the figure that is wrong"
            yield checking.Fault(line, year, table.at[line, year], reason)


def _unit_faults(units: pd.DataFrame, told: pd.DataFrame) -> Iterable[checking.Fault]:
    """Find municipalities that are told in more or fewer years than their row says."""
    count = told.sum(axis=1).reindex(units["muni_code_2015"], fill_value=0).set_axis(units.index)
    for line in units.index[units["years_told"] != count.astype(str)]:
        reason = f"told in full in {count[line]} years of the table of establishments: correct it"
        yield checking.Fault(line, "years_told", units.at[line, "years_told"], reason)
