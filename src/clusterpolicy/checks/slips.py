"""Slips of the keyboard in money: figures that are 10, 100 or 1,000 times what adds up.

Single cells of manufacturing change tenfold and more when a plant opens or closes, so a large
change alone says little. What is published adds up, though: where parts and their total do not, the
figure is named that makes them do so once it is divided or multiplied. Where nothing can be added
up, because a part is hidden, a cell far from the years around it is refused unless an event of
``plant_events`` explains it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterpolicy.checks import plausibility
from clusterpolicy.checks.checking import Fault, Rules, year_columns

# What a slip multiplies a figure by: zeros too many or too few.
SLIPS = (1000.0, 100.0, 10.0, 0.1, 0.01, 0.001)
# Million yen: half for each part and for the total.
ROUNDING = 0.5
_WORDS = {
    1000.0: "1,000 times",
    100.0: "100 times",
    10.0: "10 times",
    0.1: "a tenth of",
    0.01: "a hundredth of",
    0.001: "a thousandth of",
}


@dataclass(frozen=True)
class Figure:
    """A figure that takes part in a sum: where it stands, and its sign there."""

    table: str
    line: int
    column: str
    text: str
    sign: float = 1.0

    @property
    def value(self) -> float:
        """What it adds to the sum."""
        return self.sign * float(self.text)


def find_slip(figures: list[Figure], allowed: float) -> tuple[Figure, float] | None:
    """Find the figure that makes a sum come to zero once a slip is taken back.

    Parameters
    ----------
    figures : list of Figure
        Parts with sign 1; totals and what is known to be missing with sign -1.
    allowed : float
        How far from zero rounding may leave the sum.

    Returns
    -------
    tuple of Figure and float, or None
        The figure and what the slip multiplied it by. If several would do, the one that leaves
        least; None if none does, or nothing is wrong.
    """
    off = sum(figure.value for figure in figures)
    if abs(off) <= allowed:
        return None
    found = []
    for figure in figures:
        for slip in SLIPS:
            # Zeros that were cut off a whole number took its last digits with them.
            lost = 0.0 if "." in figure.text or slip > 1 else ROUNDING / slip
            left = abs(off - figure.value + figure.value / slip)
            if figure.value and left <= allowed + lost:
                found.append((left, figure, slip))
    if not found:
        return None
    _, figure, slip = min(found, key=lambda each: each[0])
    return figure, slip


def describe(figure: Figure, slip: float) -> Fault:
    """Return the fault of a figure that a slip has multiplied."""
    reason = f"{_WORDS[slip]} what adds up with the figures beside it: a slip: correct it"
    return Fault(figure.line, figure.column, figure.text, reason)


def check_cells(
    raw: Mapping[str, pd.DataFrame], base: str, rules: Rules
) -> Iterator[tuple[str, Fault]]:
    """Find slips in the manufacturing cells of a base, and in what they are added up with.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables by name.
    base : str
        Base of the accounts.
    rules : Rules
        Of ``cell_product_<base>``.

    Yields
    ------
    tuple of str and Fault
        Name of the table, and the fault.
    """
    name = f"cell_product_{base}"
    table, years = raw[name], year_columns(raw[name])
    industries = raw["account_industries"]
    wanted = set(industries.loc[industries["base"] == base, "industry"])
    place = table["pref_code"]
    is_hidden = table[years].eq("X").groupby(place).any()
    adds_up = is_hidden & False
    if set(table["industry"]) == wanted:  # a selection of industries adds up to nothing
        totals = _by_place(raw["prefecture_product"], base, "manufacturing_million_yen")
        gaps = _by_place(raw["known_gaps"], base, "gap_million_yen")
        sums = table[years].apply(pd.to_numeric, errors="coerce").groupby(place).sum()
        off = sums - _like(totals, sums) - _like(gaps, sums).fillna(0.0)
        allowed = ROUNDING * (len(wanted) + 1)
        adds_up = (off.abs() <= allowed) & ~is_hidden
        for pref_code, year in _places((off.abs() > allowed) & ~is_hidden):
            texts = table.loc[place == pref_code, year]
            figures = [Figure(name, line, year, text) for line, text in texts.items()]
            for other, where in (("prefecture_product", totals), ("known_gaps", gaps)):
                if (pref_code, year) in where:
                    line, column, text = where[pref_code, year]
                    figures.append(Figure(other, line, column, text, sign=-1.0))
            if slip := find_slip([each for each in figures if each.text != "-"], allowed):
                adds_up.loc[pref_code, year] = True  # told here, so not again below
                yield slip[0].table, describe(*slip)
    if adds_up.to_numpy().all():
        return
    for series in plausibility.list_series(table, rules):
        far = plausibility.far_figures(series, rules.far)
        alone = series.departures().isna() & series.logs().notna()
        for pref_code, year in _places(alone & ~adds_up.reindex_like(alone)):
            far += _far_from_other_bases(raw, base, series, (pref_code, year), rules.far)
        for fault in far:
            row, year = table.loc[fault.line], fault.column
            known = plausibility.events_of(
                raw["plant_events"], row["pref_code"], row["industry"], (int(year), int(year))
            )
            if not adds_up.at[row["pref_code"], year] and known.empty:
                yield name, fault


def _far_from_other_bases(
    raw: Mapping[str, pd.DataFrame],
    base: str,
    series: plausibility.Series,
    place: tuple[str, str],
    far: float,
) -> list[Fault]:
    """Hold a figure without others around it against the same cell and year of other bases."""
    pref_code, year = place
    cell = [pref_code, raw[f"cell_product_{base}"].at[int(series.lines.at[place]), "industry"]]
    for name, table in raw.items():
        if not name.startswith("cell_product_") or name.endswith(base) or year not in table:
            continue
        for text in table.loc[(table[["pref_code", "industry"]] == cell).all(axis=1), year]:
            if text in ("X", "-") or float(text) == 0:
                continue
            times = abs(series.figures.at[place] / float(text))
            if not 1 / far < times < far:
                told = plausibility.ratio_words(times)
                reason = f"{told} times the figure of {name}: another unit, or a slip: correct it"
                return [series.fault(*place, reason)]
    return []


def check_sectors(raw: Mapping[str, pd.DataFrame], base: str) -> Iterator[tuple[str, Fault]]:
    """Find slips in service sectors that are added up to larger ones."""
    name = f"sector_product_{base}"
    table, years = raw[name], year_columns(raw[name])
    sectors = raw["account_sectors"]
    sectors = sectors[(sectors["base"] == base) & (sectors["part_of"] != "")]
    by_sector = {key: rows.set_index("pref_code") for key, rows in table.groupby("industry")}
    line_of = pd.Series(table.index, pd.MultiIndex.from_frame(table[["industry", "pref_code"]]))
    for total, parts in sectors.groupby("part_of")["industry"]:
        signs = {total: -1.0, **dict.fromkeys(parts, 1.0)}
        numbers = [
            sign * by_sector[key][years].apply(pd.to_numeric, errors="coerce")
            for key, sign in signs.items()
        ]
        allowed = ROUNDING * (len(parts) + 2)
        for pref_code, year in _places(sum(numbers).abs() > allowed):
            figures = [
                Figure(
                    name, int(line_of[key, pref_code]), year, by_sector[key].at[pref_code, year], s
                )
                for key, s in signs.items()
            ]
            if slip := find_slip(figures, allowed):
                yield name, describe(*slip)


def check_official_totals(raw: Mapping[str, pd.DataFrame], table_of: Mapping[str, tuple[str, str]]):
    """Find official totals that are another magnitude than the sum of the prefectures.

    Parameters
    ----------
    raw : mapping of str to DataFrame
    table_of : mapping of str to tuple of str
        Table and column of each indicator, million yen; totals are in trillion yen.
    """
    totals = raw["official_totals"]
    for line, row in totals.iterrows():
        name, column = table_of[row["indicator"]]
        table = raw[name]
        ours = pd.to_numeric(table.loc[table["year"] == row["year"], column]).sum() / 1e6
        if not 0.5 < float(row["total"]) / ours < 2:
            reason = f"prefectures add up to {ours:.3f}: another unit, or a slip: correct it"
            yield "official_totals", Fault(line, "total", row["total"], reason)


def check_events(raw: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Fault]]:
    """Find events of plants whose figures are not those of the cell they explain.

    Of the industries that an event names, the first that its base has is that cell.
    """
    for line, event in raw["plant_events"].iterrows():
        industries = event["industries"].split(";")
        for kind in ("cell", "sector"):
            table = raw.get(f"{kind}_product_{event['base']}")
            if table is None:
                continue
            rows = table[
                (table["pref_code"] == event["pref_code"]) & table["industry"].isin(industries)
            ]
            if rows.empty:
                continue
            rows = rows.sort_values("industry", key=lambda names: names.map(industries.index))
            years = {"value_before": str(int(event["first_fy"]) - 1)}
            years["value_after"] = event["first_fy"]
            for column, year in years.items():
                carried = rows[year].iloc[0] if year in rows else ""
                if event[column] != carried:
                    reason = f"the cell has {carried or 'no figure'} in {year}: correct one of both"
                    yield "plant_events", Fault(line, column, event[column], reason)


def _by_place(table: pd.DataFrame, base: str, column: str) -> dict[tuple[str, str], tuple]:
    """Return line, column and text of each figure by prefecture and fiscal year."""
    rows = table[(table["base"] == base) & (table[column] != "")]
    return {
        (row.pref_code, row.fy): (row.Index, column, getattr(row, column))
        for row in rows.itertuples()
    }


def _like(figures: Mapping[tuple[str, str], tuple], shape: pd.DataFrame) -> pd.DataFrame:
    """Return figures as a table of prefectures and years, missing where there is none."""
    if not figures:
        return shape * np.nan
    numbers = pd.Series({place: float(text) for place, (*_, text) in figures.items()})
    return numbers.unstack().reindex_like(shape)


def _places(chosen: pd.DataFrame) -> list[tuple[str, str]]:
    """Return prefecture and year of what is chosen."""
    return list(chosen.stack()[lambda each: each].index)
