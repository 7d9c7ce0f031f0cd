"""What breaks no form and still looks wrong: another unit, sudden changes, weak facts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    "known event": "jumps of cells that a known event explains",
    "no reason": "jumps of cells beyond their own years and their peers, without a known reason",
    "times": "series that change by half within two years",
    "a blank": "texts with a blank at an end",
}
# Key of what is known from nowhere in particular (sources.csv).
BACKGROUND = "BK"
# From one year to the next, in the middle prefecture. The largest real change is 1.6.
LARGEST_CHANGE = 5.0
# The largest real changes of a prefecture's series are 1.74 and 0.54.
NOTABLE_CHANGE = 1.5
# Over more years than these it takes no slip for a series to change by half.
NOTABLE_YEARS = 2
# Figures of so many years before and after tell what a figure should be near.
YEARS_AROUND = 3
# A jump is listed if its distance from the change of the middle prefecture is so many times the
# usual one, of its own years or of its peers in that year, whichever is larger. Normal errors reach
# 6 once in 500 million years; of 47 x 13 cells over 14 years some 15 do. Smaller than twofold: no.
NOTABLE_DISTANCE, NOTABLE_JUMP = 6.0, 2.0
SMALLEST_SCALE = 0.05
# Of a normal distribution, its standard deviation is so many times its median distance.
_TO_STD = 1.4826
# Kind of a row of plant_events that says where a reason was sought and not found.
NOT_FOUND = "not found"


def check_changes(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Refuse figures that are too far from those around to be of the same unit.

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
        If the middle prefecture of a series or industry changes more than fivefold, or a figure is
        more than ``rules.far`` times above or below those of the years around it. Single cells of
        manufacturing do that and are right: they are added up first (``slips``).
    """
    faults = []
    for series in list_series(table, rules):
        faults += _other_units(series)
        if not rules.has_wild_cells:
            faults += far_figures(series, rules.far)
    raise_faults(table, faults)
    return table


def find_warnings(
    table: pd.DataFrame, rules: Rules, events: pd.DataFrame | None = None
) -> list[Fault]:
    """Find what a person should look at although no rule is broken.

    Low confidence and knowledge without a source; series that change by half within two years;
    single cells that jump beyond what their own years and their peers show, with the event that
    explains it if one is known; a printed 0 where nil has a mark of its own; blanks around a text.

    Parameters
    ----------
    table : DataFrame
        Table that ``check_table`` has accepted.
    rules : Rules
        Its rules.
    events : DataFrame, optional
        Raw table ``plant_events``.
    """
    found = {
        *_weak_rows(table, rules),
        *_blank_ends(table, rules),
        *_printed_zeros(table, rules),
    }
    if rules.fiscal_years is not None:
        for series in list_series(table, rules):
            found.update(_notable_jumps(series, table, events))
    elif rules.steady:
        look = "look whether it is real, or a slip"
        for column in rules.steady:
            jumps = _series_jumps(table, column, rules.key, NOTABLE_CHANGE, NOTABLE_YEARS)
            found.update(
                Fault(line, column, value, f"{far}: {look}") for line, column, value, far in jumps
            )
    return sorted(found)


@dataclass(frozen=True)
class Series:
    """Figures that are peers: one kind of figure of all prefectures over the years.

    Attributes
    ----------
    figures : DataFrame, prefectures x years
        Missing where there is no figure.
    lines : DataFrame
        Line of each figure in its file.
    columns : dict
        Column of the file by year.
    """

    figures: pd.DataFrame
    lines: pd.DataFrame
    columns: dict[str, str]

    def logs(self) -> pd.DataFrame:
        """Return logs of sizes; a figure of 0 has none."""
        return np.log(self.figures.abs().where(self.figures != 0))

    def own_changes(self) -> pd.DataFrame:
        """Return changes of logs less that of the middle prefecture; figures above 0 only."""
        changes = np.log(self.figures.where(self.figures > 0)).diff(axis=1)
        return changes - changes.median()

    def departures(self) -> pd.DataFrame:
        """Return how far each log is from those of the years around, peers' changes taken out."""
        logs = self.logs()
        path = logs.diff(axis=1).median().fillna(0.0).cumsum()
        levels = (logs - path).to_numpy()
        n_years = levels.shape[1]
        padded = np.pad(levels, ((0, 0), (YEARS_AROUND,) * 2), constant_values=np.nan)
        around = [
            padded[:, YEARS_AROUND + step : YEARS_AROUND + step + n_years]
            for step in range(-YEARS_AROUND, YEARS_AROUND + 1)
            if step
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a figure that stands alone
            return logs - path - np.nanmedian(around, axis=0)

    def fault(self, place: str, year: str, reason: str) -> Fault:
        """Return the fault of one figure."""
        figure = self.figures.at[place, year]
        shown = f"{figure:.0f}" if figure == round(figure) else f"{figure:.12g}"
        return Fault(int(self.lines.at[place, year]), self.columns[year], shown, reason)


def list_series(table: pd.DataFrame, rules: Rules) -> list[Series]:
    """List the series of a table: an industry each if it is wide by year, else a kind each."""
    if rules.fiscal_years is not None:
        years = year_columns(table)
        found = []
        for _, rows in table.groupby("industry", sort=False):
            figures = rows[years].apply(pd.to_numeric, errors="coerce")
            lines = pd.DataFrame(dict.fromkeys(years, rows.index), rows["pref_code"])
            found.append(
                Series(figures.set_axis(rows["pref_code"]), lines, {year: year for year in years})
            )
        return found
    time = "year" if "year" in rules.key else "fy"
    kinds = [name for name in rules.key if name not in ("pref_code", time)]
    groups = table.groupby(kinds, sort=False) if kinds else [((), table)]
    found = []
    for column in rules.steady:
        for _, rows in groups:
            seen = rows[rows[column] != ""]
            if seen.empty:
                continue
            told = pd.DataFrame(
                {
                    "pref_code": seen["pref_code"],
                    "time": seen[time],
                    "figure": pd.to_numeric(seen[column]),
                    "line": seen.index,
                }
            )
            wide = told.pivot(index="pref_code", columns="time", values=["figure", "line"])
            years = dict.fromkeys(wide["figure"].columns, column)
            found.append(Series(wide["figure"].astype(float), wide["line"], years))
    return found


def far_figures(series: Series, far: float) -> list[Fault]:
    """Find figures more than `far` times above or below those of the years around them.

    A wrong figure also makes its neighbours look wrong: the farthest of each prefecture is told and
    taken out before the others are looked at again.
    """
    found = []
    while True:
        away = series.departures()
        is_far = away.abs() > np.log(far)
        if not is_far.to_numpy().any():
            return found
        # One with more years around it is told first. Of two figures that stand alone each is as
        # far from the other: the one that is farther from the other prefectures is taken.
        logs = series.logs()
        around = logs.notna().T.rolling(2 * YEARS_AROUND + 1, 1, center=True).sum().T
        rank = 100 * around + away.abs().round(1) + 1e-3 * (logs - logs.median()).abs()
        rank = rank.where(is_far)
        figures = series.figures.copy()
        for place, ranks in rank.dropna(how="all").iterrows():
            year = ranks.idxmax()
            times = ratio_words(np.exp(away.at[place, year]))
            reason = (
                f"{times} times what the years around it and the other prefectures lead one to "
                "expect: another unit, or a slip: correct it"
            )
            found.append(series.fault(place, year, reason))
            figures.at[place, year] = np.nan
        series = replace(series, figures=figures)


def _other_units(series: Series) -> list[Fault]:
    """Find years in which the middle prefecture changes more than any has changed."""
    changes = series.logs().diff(axis=1).median()
    return [
        series.fault(
            series.lines[year].idxmin(),
            year,
            f"the middle prefecture has {ratio_words(np.exp(changes[year]))} times the figure of "
            "the year before: another unit, or a slip: correct it",
        )
        for year in changes.index[changes.abs() > np.log(LARGEST_CHANGE)]
    ]


def _notable_jumps(
    series: Series, table: pd.DataFrame, events: pd.DataFrame | None
) -> Iterable[Fault]:
    """Find jumps beyond what the cell's own years and its peers in that year show."""
    own = series.own_changes()
    sizes = own.abs()
    of_cell = _TO_STD * sizes.median(axis=1).fillna(0.0)
    of_year = _TO_STD * sizes.median().fillna(0.0)
    scale = np.maximum.outer(of_cell.to_numpy(), of_year.to_numpy())
    distance = sizes / np.maximum(scale, SMALLEST_SCALE)
    is_notable = (distance > NOTABLE_DISTANCE) & (sizes > np.log(NOTABLE_JUMP))
    before = series.figures.shift(1, axis=1)
    for place, year in is_notable.stack()[lambda each: each].index:
        ratio = series.figures.at[place, year] / before.at[place, year]
        industry = table.at[int(series.lines.at[place, year]), "industry"]
        yield series.fault(
            place,
            year,
            f"{ratio_words(ratio)} times the figure of the year before, "
            f"{distance.at[place, year]:.0f} times as far from the middle prefecture as its own "
            f"years and the other prefectures are: {_reason(events, place, industry, int(year))}",
        )


def _reason(events: pd.DataFrame | None, pref_code: str, industry: str, fy: int) -> str:
    """Say what explains a jump, or that nothing known does."""
    found = events_of(events, pref_code, industry, (fy, fy)) if events is not None else None
    if found is None or found.empty:
        return "no reason known: look whether it is real, or a slip"
    known = found[found["kind"] != NOT_FOUND]
    if known.empty:
        return "no reason found where one was sought"
    return f"known event: {'; '.join(known['what'])}"


def events_of(
    events: pd.DataFrame, pref_code: str, industry: str, years: tuple[int, int]
) -> pd.DataFrame:
    """Return the rows of ``plant_events`` that bear on a cell in some years, both included."""
    first = events["first_fy"].astype(int)
    last = pd.to_numeric(events["last_fy"].replace("", None)).fillna(first).astype(int)
    is_of_cell = (events["pref_code"] == pref_code) & events["industries"].str.split(";").map(
        lambda names: industry in names
    )
    return events[is_of_cell & (first <= years[1]) & (last >= years[0])]


def count_warnings(listed: pd.DataFrame) -> pd.DataFrame:
    """Count warnings by what they are about.

    Parameters
    ----------
    listed : DataFrame
        With ``reason`` and ``file``, as listed by ``rules.find_warnings``.

    Returns
    -------
    DataFrame
        One row per kind of warning: ``what``, ``warnings`` and ``tables`` in which it stands.
    """
    kind = listed["reason"].map(
        lambda reason: next(words for sign, words in WARNING_KINDS.items() if sign in reason)
    )
    groups = listed.groupby(kind.rename("what"))["file"]
    counts = groups.agg(warnings="size", tables="nunique")
    return counts.reindex(list(WARNING_KINDS.values())).dropna().astype(int).reset_index()


def ratio_words(times: float) -> str:
    """Return how many times, in three digits, or whole from a thousand on."""
    return f"{times:.3g}" if times < 1000 else f"{times:,.0f}"


def _series_jumps(
    table: pd.DataFrame, column: str, key: tuple[str, ...], factor: float, years: float
) -> list[Jump]:
    """Find figures of a prefecture's series that are far from those at most `years` before."""
    time = "year" if "year" in key else "fy"
    of_one = [name for name in key if name != time]
    figure = pd.to_numeric(table[column].replace("", None))
    ordered = table.assign(figure=figure).sort_values(time, kind="stable")
    groups = ordered.groupby(of_one, sort=False)
    ratio = ordered["figure"] / groups["figure"].shift()
    year = groups[time].shift()
    is_near = ordered[time].astype(int) - year.astype(float) <= years
    return [
        (
            int(line),
            column,
            table.at[line, column],
            f"{ratio_words(ratio[line])} times that of {year[line]}",
        )
        for line in ordered.index[is_near & ((ratio > factor) | (ratio < 1 / factor))]
    ]


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
