"""Areas that stay the same: wards or their city, never both, on the boundaries of 2015."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from clusterpolicy import sources
from clusterpolicy.finerdata import marks
from clusterpolicy.finerdata.marks import NIL, OBSERVED, UNMARKED, Log

AREA_KEYS = ("year", "pref_code", "muni_code", "muni_name", "level", "parent_code")
ALL_INDUSTRIES = "00"
# Cities that are listed beside their wards (13100: the line of the 23 wards of Tokyo). In the
# standard list of municipalities (JIS X 0402) the wards' codes follow that of their city.
PARENTS = (
    *(1100, 4100, 11100, 12100, 13100, 14100, 14130, 14150, 15100, 22100, 22130),
    *(23100, 26100, 27100, 27140, 28100, 33100, 34100, 40100, 40130, 43100),
)
TOKYO_WARDS = "13100"


def area_keys(raw: pd.DataFrame, prefectures: pd.DataFrame, log: Log) -> pd.DataFrame:
    """Give each line of a municipal file keys that hold in every year.

    Parameters
    ----------
    raw : DataFrame
        With ``id_muni`` (number), ``name_muni`` and ``year``; ``attrs["file"]`` for messages.
    prefectures : DataFrame
        Raw or clean table of the 47 prefectures.
    log : Log
        Takes a note of every key or name that changes.

    Returns
    -------
    DataFrame
        ``year``, ``pref_code`` (two digits), ``muni_code`` (five digits; ``01000`` is the line of a
        prefecture), ``muni_name``, ``level`` (prefecture; parent: a city listed beside its wards;
        ward; municipality) and ``parent_code`` of wards, on the index of `raw`.

    Raises
    ------
    sources.DataFault
        If a prefecture is missing or has another name, or a code looks like that of a ward and no
        city is known for it.
    """
    where = raw.attrs["file"]
    ids = raw["id_muni"].to_numpy().astype(int)
    # The line of a prefecture is 1000 ... 47000 in most years and 1 ... 47 in the others.
    is_prefecture = (ids <= 47) | (ids % 1000 == 0)
    pref = np.where(ids <= 47, ids, ids // 1000)
    names = marks.plain_name(raw["name_muni"])
    parent, is_parent = _find_parents(ids, where)
    level = np.select(
        [is_prefecture, is_parent, parent > 0], ["prefecture", "parent", "ward"], "municipality"
    )
    changed = names != raw["name_muni"]
    if changed.any():
        first = raw.loc[changed, "id_muni"].idxmin()  # whatever the order of the lines
        before, after = raw.at[first, "name_muni"], names[first]
        log.note(where, "names without blanks", changed.sum(), repr(before), repr(after))
    names[is_prefecture] = _prefecture_names(
        names[is_prefecture], pref[is_prefecture], prefectures, where, log
    )
    is_short = ids <= 47
    log.note(where, "prefecture lines 1...47 to 01000...47000", is_short.sum(), "1", "01000")
    codes = pd.Series(np.where(is_prefecture, pref * 1000, ids), raw.index)
    return pd.DataFrame(
        {
            "year": raw["year"].astype(int),
            "pref_code": _digits(pd.Series(pref, raw.index), 2),
            "muni_code": _digits(codes, 5),
            "muni_name": names,
            "level": pd.Categorical(level, ["prefecture", "parent", "ward", "municipality"]),
            "parent_code": _digits(pd.Series(parent, raw.index), 5).where(parent > 0, ""),
        }
    )


def _digits(numbers: pd.Series, width: int) -> pd.Series:
    return numbers.astype(str).str.zfill(width)


def _prefecture_names(
    names: pd.Series, keys: np.ndarray, prefectures: pd.DataFrame, where: str, log: Log
) -> pd.Series:
    """Return the names of the prefecture lines after holding them against their keys.

    The keys are trusted, because the municipalities below them add up to each line; one name that
    is empty or of another place (as in 2006 and 2009) is a slip of the file, two are another key.
    """
    if sorted(keys) != list(range(1, 48)):
        missing = sorted(set(range(1, 48)) - set(keys)) or "one twice"
        raise sources.DataFault(
            f"{where}: column id_muni: prefecture lines: missing {missing}: the file is not whole"
        )
    full = prefectures.assign(key=prefectures["pref_code"].astype(int)).set_index("key")["name_ja"]
    expected = full.loc[keys].set_axis(names.index)
    is_same = (names == expected) | (names == expected.str.replace(r"[都府県]$", "", regex=True))
    wrong = names.index[~is_same]
    if len(wrong) > 1:
        raise sources.DataFault(
            f"{where}: prefecture {expected[wrong[0]]}: found the name {names[wrong[0]]!r}, and "
            f"{len(wrong) - 1} more that differ: the key of the file has changed: look at it"
        )
    for row in wrong:
        log.note(where, "name of a prefecture line", 1, repr(names[row]), expected[row])
    return expected


def _find_parents(ids: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the parent of each ward (0 for other areas), and whether an area is a parent.

    A city counts as a parent in the years in which its wards stand beside it.
    """
    listed = np.array(sorted(set(PARENTS).intersection(ids)))
    is_special = (ids > 1000) & (ids % 1000 >= 100) & (ids % 1000 < 200)
    before = np.searchsorted(listed, ids, side="right") - 1
    nearest = np.where(before >= 0, listed[np.maximum(before, 0)], 0) if listed.size else 0 * ids
    is_under = is_special & (nearest // 1000 == ids // 1000)
    unknown = ids[is_special & ~is_under]
    if unknown.size:
        raise sources.DataFault(
            f"{where}: column id_muni: found {unknown[0]}: the code of a ward or designated city "
            "without a city in census.PARENTS: add the city, or it is counted twice"
        )
    parent = np.where(is_under & (nearest != ids), nearest, 0)
    return parent, np.isin(ids, parent[parent > 0])


def without_parents(table: pd.DataFrame) -> pd.DataFrame:
    """Return the areas that cover the country once: wards instead of their cities.

    Adding all lines counts designated cities and the wards of Tokyo twice: 13 to 16 % too many
    workers.
    """
    return table[table["level"].isin(["ward", "municipality"])]


def as_cities(table: pd.DataFrame) -> pd.Series:
    """Return the code of the municipality that each line belongs to.

    Wards belong to their city, except those of Tokyo, which are municipalities themselves.

    Parameters
    ----------
    table : DataFrame
        Lines that cover the country once (``without_parents``): ``level``, ``muni_code``,
        ``parent_code``.

    Raises
    ------
    ValueError
        If prefectures or parents stand in `table`: they would be counted twice.
    """
    twice = table["level"].isin(["prefecture", "parent"])
    if twice.any():
        raise ValueError(
            f"as_cities: found {twice.sum()} lines of prefectures or of cities beside their wards: "
            "pass the table through without_parents first"
        )
    is_of_city = (table["parent_code"] != "") & (table["parent_code"] != TOKYO_WARDS)
    return table["parent_code"].where(is_of_city, table["muni_code"])


def read_converter(path: Path) -> pd.DataFrame:
    """Read which municipality of 2015 each municipality since 1980 belongs to.

    Returns
    -------
    DataFrame
        ``muni_code`` of any year and ``muni_code_2015``, five digits each, and ``muni_name_2015``;
        codes that were new after 2015 are left out.

    Raises
    ------
    sources.InputMissing
        If the file is missing or not UTF-8.
    sources.DataFault
        If columns are missing, a code stands twice or is no number.
    """
    shown = sources.short_path(path)
    table = marks.read_text_table(path, "utf-8")
    columns = ["merge_id_muni", "id_muni2015", "name_muni2015"]
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise sources.DataFault(f"{shown}: columns: missing {missing}: this is not the converter")
    table = table.loc[table["id_muni2015"] != "", columns]
    for column in columns[:2]:
        wrong = ~table[column].str.fullmatch(r"[0-9]{4,5}")
        if wrong.any():
            raise sources.DataFault(
                f"{shown}:{table.index[wrong][0]}: column {column}: found "
                f"{table[column][wrong].iloc[0]!r}: not a municipality's code: restore the file"
            )
    twice = table["merge_id_muni"].duplicated()
    if twice.any() or table.empty:
        found = table["merge_id_muni"][twice].iloc[0] if twice.any() else "no row"
        raise sources.DataFault(f"{shown}: column merge_id_muni: found {found} twice or no row")
    return pd.DataFrame(
        {
            "muni_code": table["merge_id_muni"].str.zfill(5),
            "muni_code_2015": table["id_muni2015"].str.zfill(5),
            "muni_name_2015": table["name_muni2015"],
        }
    ).reset_index(drop=True)


def convert(
    table: pd.DataFrame,
    converter: pd.DataFrame,
    measures: Sequence[str],
    keys: Sequence[str] = (),
    log: Log | None = None,
    detail: bool = False,
) -> pd.DataFrame:
    """Add municipalities up to the boundaries of 2015.

    Parameters
    ----------
    table : DataFrame
        Lines that cover the country once, with `measures` and their status.
    converter : DataFrame
        From ``read_converter``.
    measures : sequence of str
        Columns to add up; a sum with a hidden part has no value.
    keys : sequence of str
        Further columns to keep apart, e.g. ``["industry_group"]``.
    log : Log, optional
        Takes a note of how many municipalities became how many, and of those without a line.
    detail : bool
        As in ``marks.add_up``.

    Returns
    -------
    DataFrame
        One row per ``year``, ``muni_code_2015`` and `keys`; ``pref_code`` beside it.

    Raises
    ------
    sources.DataFault
        If a municipality is not in the converter.
    ValueError
        If parents stand beside their wards.
    """
    codes = pd.DataFrame({"year": table["year"], "muni_code": as_cities(table)})
    joined = codes.merge(
        converter, on="muni_code", how="left", validate="many_to_one", indicator=True
    )
    lost = joined.loc[joined["_merge"] == "left_only", ["year", "muni_code"]].drop_duplicates()
    if not lost.empty:
        first = lost.iloc[0]
        raise sources.DataFault(
            f"municipality converter: no municipality {first['muni_code']} of {first['year']} "
            f"({len(lost)} such): add it to the converter, or name its city in PARENTS"
        )
    if log is not None:
        _note_conversion(joined, converter, log)
    code_2015 = joined["muni_code_2015"].set_axis(table.index)
    work = table.drop(columns=["pref_code"], errors="ignore").assign(
        muni_code_2015=code_2015, pref_code=code_2015.str[:2]
    )
    return marks.add_up(work, ["year", "pref_code", "muni_code_2015", *keys], measures, detail)


def _note_conversion(joined: pd.DataFrame, converter: pd.DataFrame, log: Log) -> None:
    every = converter["muni_code_2015"].nunique()
    for year, of_year in joined.groupby("year"):
        found = of_year["muni_code_2015"].nunique()
        log.note(
            str(year),
            "municipalities to 2015 boundaries",
            len(of_year),
            of_year["muni_code"].nunique(),
            found,
        )
        log.note(str(year), "municipalities of 2015 without a line", every - found, every, found)


def find_constant_units(table: pd.DataFrame, converter: pd.DataFrame) -> pd.DataFrame:
    """Find the municipalities of 2015 whose industries are told in every year and for all of them.

    Industries are told for cities and wards only. A town that becomes a city, or joins one, makes
    the covered part of the country grow; that rise is not growth.

    Parameters
    ----------
    table : DataFrame
        Census lines of several years that cover the country once: ``jsic2_code``,
        ``establishments`` and the keys of ``area_keys``.
    converter : DataFrame
        From ``read_converter``.

    Returns
    -------
    DataFrame
        One row per ``muni_code_2015`` with any line: ``years`` in which every establishment stands
        in an industry line, and ``is_constant``, whether these are all years of the table.
    """
    is_total = table["jsic2_code"] == ALL_INDUSTRIES
    lines = table.assign(told=~is_total)
    sums = convert(lines, converter, ["establishments"], ["told"])
    wide = sums.pivot(
        index=["muni_code_2015", "year"], columns="told", values="establishments"
    ).fillna(0.0)
    is_told = wide[True] == wide[False]
    years = is_told.groupby("muni_code_2015").sum().rename("years").reset_index()
    return years.assign(is_constant=years["years"] == table["year"].nunique())


def read_shipments(path: Path) -> pd.DataFrame:
    """Read the Cabinet Office's municipal panel of shipments, 1971-2012, on 2015 boundaries.

    Returns
    -------
    DataFrame
        ``muni_code_2015``, ``year``, ``shipments_million_yen`` and its status: the panel prints 0
        where there is no establishment (nil) and leaves out what is hidden or was not surveyed
        without saying which (unmarked).

    Raises
    ------
    sources.InputMissing
        If the file is missing or no Stata file.
    sources.DataFault
        If a municipality stands twice, a column is missing or a figure is negative.
    """
    shown = sources.short_path(path)
    table = marks.read_stata(path)
    columns = [column for column in table.columns if column.startswith("manu")]
    years = sorted(int(column[4:]) for column in columns if column[4:].isdigit())
    if "id_muni" not in table.columns or not years or np.any(np.diff(years) != 1):
        raise sources.DataFault(
            f"{shown}: columns: expected id_muni and manu1971 to manu2012 without a gap: this is "
            "not the municipal panel: restore it"
        )
    if table["id_muni"].duplicated().any():
        raise sources.DataFault(f"{shown}: column id_muni: found a municipality twice")
    long = table.melt("id_muni", columns, var_name="year", value_name="value")
    if (long["value"] < 0).any():
        raise sources.DataFault(f"{shown}: found negative shipments: restore the file")
    codes = np.select([long["value"].isna(), long["value"] == 0], [UNMARKED, NIL], OBSERVED)
    value = "shipments_million_yen"
    return pd.DataFrame(
        {
            "muni_code_2015": _digits(long["id_muni"], 5),
            "year": long["year"].str[4:].astype(int),
            value: long["value"].where(codes == OBSERVED),
            marks.status_of(value): marks.status_series(codes, long.index),
        }
    )


def compare_shipments(converted: pd.DataFrame, panel: pd.DataFrame) -> pd.DataFrame:
    """Set converted shipments beside those of the Cabinet Office's own panel.

    Parameters
    ----------
    converted : DataFrame
        From ``convert``, all industries.
    panel : DataFrame
        From ``read_shipments``.

    Returns
    -------
    DataFrame
        One row per municipality and year of `converted` years that either table has:
        ``census`` and ``panel`` (million yen), their statuses, ``gap`` (relative to the panel;
        missing unless both show a figure) and ``side`` (both, census or panel).
    """
    value = "shipments_million_yen"
    keys = ["muni_code_2015", "year"]
    columns = [*keys, value, marks.status_of(value)]
    names = {"both": "both", "left_only": "census", "right_only": "panel"}
    joined = converted[columns].merge(
        panel.loc[panel["year"].isin(converted["year"].unique()), columns],
        on=keys,
        how="outer",
        validate="one_to_one",
        indicator="side",
        suffixes=("_census", "_panel"),
    )
    census, cabinet = joined[f"{value}_census"], joined[f"{value}_panel"]
    return joined[keys].assign(
        census=census,
        panel=cabinet,
        census_status=joined[f"{marks.status_of(value)}_census"],
        panel_status=joined[f"{marks.status_of(value)}_panel"],
        gap=(census - cabinet) / cabinet,
        side=joined["side"].map(names),
    )
