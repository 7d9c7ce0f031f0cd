"""What breaks no form and still looks wrong: another unit, sudden changes, weak facts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from clusterpolicy.checks.checking import Fault, Rules, raise_faults, year_columns

# Line, column, value, and how far it is from the year before.
Jump = tuple[int, str, str, str]
# Sign of a warning in its reason -> what it is about, as counted.
WARNING_KINDS = {
    "low confidence": "facts of low confidence",
    "background": "facts from background knowledge, not verified",
    "printed as 0": "figures printed as 0 that may be hidden",
    "times": "series that change by half within two years, cells that change tenfold in one",
    "a blank": "texts with a blank at an end",
}
# Key of what is known from nowhere in particular (sources.csv).
BACKGROUND = "BK"
# From one year to the next. The largest real changes of a prefecture's series are 1.74 and 0.54, of
# a national industry 1.50 and 0.72: what is beyond 5 and 1/5 is another unit or another place.
LARGEST_CHANGE, NOTABLE_CHANGE = 5.0, 1.5
# Over more years than these it takes no slip for a series to change by half.
NOTABLE_YEARS = 2
# A single cell may do so: a refinery closes, a plant moves.
NOTABLE_CELL_CHANGE = 10.0


def check_changes(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Refuse figures that are too far from those of the year before to be of the same unit.

    Parameters
    ----------
    table : DataFrame
        Table that ``checking.check_table`` has accepted.
    rules : Rules
        Its rules.

    Returns
    -------
    DataFrame
        The table, unchanged.

    Raises
    ------
    sources.DataFault
        If a figure of a prefecture, or the sum of an industry, changes more than fivefold.
    """
    raise_faults(table, (_another_unit(jump) for jump in _jumps(table, rules, LARGEST_CHANGE)))
    return table


def find_warnings(table: pd.DataFrame, rules: Rules) -> list[Fault]:
    """Find what a person should look at although no rule is broken.

    Low confidence and knowledge without a source; figures that change by half within a year;
    single cells that change tenfold; a printed 0 where nil has a mark of its own; blanks around a
    text.

    Parameters
    ----------
    table : DataFrame
        Table that ``check_table`` has accepted.
    rules : Rules
        Its rules.
    """
    jumps = _jumps(table, rules, NOTABLE_CHANGE, NOTABLE_YEARS)
    if rules.fiscal_years is not None:
        jumps += _cell_jumps(table)
    look = "look whether it is real, or a slip"
    return sorted(
        {
            *_weak_rows(table, rules),
            *_blank_ends(table, rules),
            *_printed_zeros(table, rules),
            *(Fault(line, column, value, f"{far}: {look}") for line, column, value, far in jumps),
        }
    )


def count_warnings(warnings: pd.DataFrame) -> pd.DataFrame:
    """Count warnings by what they are about.

    Parameters
    ----------
    warnings : DataFrame
        With ``reason`` and ``file``, as listed by ``rules.find_warnings``.

    Returns
    -------
    DataFrame
        One row per kind of warning: ``what``, ``warnings`` and ``tables`` in which it stands.
    """
    kind = warnings["reason"].map(
        lambda reason: next(words for sign, words in WARNING_KINDS.items() if sign in reason)
    )
    groups = warnings.groupby(kind.rename("what"))["file"]
    counts = groups.agg(warnings="size", tables="nunique")
    return counts.reindex(list(WARNING_KINDS.values())).dropna().astype(int).reset_index()


def _another_unit(jump: Jump) -> Fault:
    line, column, value, change = jump
    return Fault(line, column, value, f"{change}: another unit, or a slip: correct it")


def _jumps(table: pd.DataFrame, rules: Rules, factor: float, years: float = np.inf) -> list[Jump]:
    """Find figures that are more than `factor` times, or less than its inverse, those before.

    Of series, those of a prefecture that are at most so many `years` apart; of tables that are wide
    by year, the national sum of each industry, over the cells that both years tell.
    """
    if rules.steady is not None:
        return _series_jumps(table, rules.steady, rules.key, factor, years)
    if rules.fiscal_years is None:
        return []
    now, before = _wide_figures(table)
    told = now.notna() & before.notna()
    by_industry = table["industry"]
    first_line = pd.Series(table.index, table.index).groupby(by_industry).first()
    sums = [figures.where(told).groupby(by_industry).sum() for figures in (now, before)]
    sums = [each.set_axis(first_line[each.index]) for each in sums]
    what = "times the national sum of the year before"
    return list(_far(*sums, factor, what))


def _ratio(times: float) -> str:
    return f"{times:.3g}" if times < 1000 else f"{times:,.0f}"


def _series_jumps(
    table: pd.DataFrame, column: str, key: tuple[str, ...], factor: float, years: float
) -> list[Jump]:
    of_one = [name for name in key if name != "year"]
    ordered = table.assign(figure=pd.to_numeric(table[column])).sort_values("year", kind="stable")
    groups = ordered.groupby(of_one, sort=False)
    ratio = ordered["figure"] / groups["figure"].shift()
    year = groups["year"].shift()
    is_near = ordered["year"].astype(int) - year.astype(float) <= years
    return [
        (
            int(line),
            column,
            table.at[line, column],
            f"{_ratio(ratio[line])} times that of {year[line]}",
        )
        for line in ordered.index[is_near & ((ratio > factor) | (ratio < 1 / factor))]
    ]


def _cell_jumps(table: pd.DataFrame) -> Iterable[Jump]:
    """Find single cells that change tenfold."""
    what = "times the figure of the year before"
    return _far(*_wide_figures(table), NOTABLE_CELL_CHANGE, what)


def _wide_figures(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the figures of a table that is wide by year, and those of the year before."""
    years = year_columns(table)
    figures = table[years].apply(pd.to_numeric, errors="coerce")
    return figures, figures.shift(1, axis=1)


def _far(now: pd.DataFrame, before: pd.DataFrame, factor: float, what: str) -> Iterable[Jump]:
    """List where `now` is far from `before`; figures at or below zero have no ratio."""
    ratio = (now / before).where((now > 0) & (before > 0))
    for year in ratio.columns:
        far = ratio[year][(ratio[year] > factor) | (ratio[year] < 1 / factor)]
        for line, times in far.items():
            yield int(line), year, f"{now.at[line, year]:.0f}", f"{_ratio(times)} {what}"


def _weak_rows(table: pd.DataFrame, rules: Rules) -> Iterable[Fault]:
    if "confidence" in table.columns:
        reason = "low confidence: find a source that says it"
        for line in table.index[table["confidence"] == "low"]:
            yield Fault(int(line), "confidence", "low", reason)
    elif "source" in table.columns:
        reason = "background knowledge that nobody has verified: find a source"
        for line in table.index[
            table["source"].str.split(";").map(lambda keys: BACKGROUND in keys)
        ]:
            yield Fault(int(line), "source", table.at[line, "source"], reason)


def _blank_ends(table: pd.DataFrame, rules: Rules) -> Iterable[Fault]:
    for column in rules.columns:
        for line in table.index[table[column] != table[column].str.strip()]:
            reason = "a blank at its start or end: remove it"
            yield Fault(int(line), column, table.at[line, column], reason)


def _printed_zeros(table: pd.DataFrame, rules: Rules) -> Iterable[Fault]:
    if rules.fiscal_years is None:
        return
    reason = "printed as 0 in a table that marks nil as -: it may be hidden"
    for year in year_columns(table):
        for line in table.index[table[year].str.fullmatch(r"-?0+(\.0+)?")]:
            yield Fault(int(line), year, table.at[line, year], reason)
