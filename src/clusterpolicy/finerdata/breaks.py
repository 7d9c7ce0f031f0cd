"""Changes from one year to the next, never without the breaks and shocks they run across."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clusterpolicy.checks import rules
from clusterpolicy.finerdata.marks import status_of

KINDS = ("break", "shock")
# A change of classification stays; the years of another survey or of a fuller count are left again,
# so that the change into them and the change out of them are both no growth.
LASTING = "industry_codes"


def yearly_changes(
    table: pd.DataFrame, measure: str, events: pd.DataFrame, keys: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the change of a measure from the year before, with what it runs across.

    Parameters
    ----------
    table : DataFrame
        One row per `keys` and ``year``: `measure` and, where there is one, its status.
    measure : str
        Column to compare, named as in the tables of prefectures, e.g. ``"shipments_million_yen"``.
    events : DataFrame
        Clean table: ``kind``, ``calendar``, ``first_year``, ``last_year``, ``applies_to``.
    keys : sequence of str
        Columns that name a series; none for a single one.

    Returns
    -------
    DataFrame
        `keys`, ``year``, ``percent`` (missing unless both years are observed and the year before is
        in the table) and ``across``: ids of the breaks and shocks, joined by ``;``.

    Raises
    ------
    KeyError
        If no table of prefectures has the measure: its breaks are not known.
    """
    series_of = {column: name for name, column, _ in rules.PREFECTURE_SERIES.values()}
    if measure not in series_of:
        raise KeyError(f"measure {measure!r}: choose one of {', '.join(series_of)}")
    columns = [*keys, "year", measure]
    status = status_of(measure)
    now = table[columns].copy()
    if status in table.columns:
        now[measure] = now[measure].where(table[status] == "observed")
    before = now.assign(year=now["year"] + 1).rename(columns={measure: "before"})
    joined = now.merge(before, on=[*keys, "year"], how="left", validate="one_to_one")
    across = _across(sorted(joined["year"].unique()), series_of[measure], events)
    return joined[[*keys, "year"]].assign(
        percent=100 * (joined[measure] / joined["before"] - 1),
        across=joined["year"].map(across),
    )


def _across(years: Sequence[int], series: str, events: pd.DataFrame) -> dict[int, str]:
    """Return, for the change into each year, the ids of the events it runs across."""
    touching = {}
    for event in events[events["kind"].isin(KINDS)].itertuples():
        applies = event.applies_to.split(";")
        if event.calendar != "calendar" or not {"all", series} & set(applies):
            continue
        last = event.first_year if pd.isna(event.last_year) else int(event.last_year)
        if event.kind == "shock":  # and the recovery from it
            changed = range(event.first_year, last + 2)
        else:  # within its years a break leaves the footing alone
            changed = [event.first_year] if LASTING in applies else [event.first_year, last + 1]
        for year in changed:
            touching.setdefault(year, []).append(event.event_id)
    return {year: ";".join(touching.get(year, [])) for year in years}
