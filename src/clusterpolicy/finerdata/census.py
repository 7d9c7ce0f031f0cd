"""The Census of Manufactures by municipality and industry, 2001-12: read, marked, made comparable.

The files print figures, marks and gaps in the same column, list designated cities together with
their wards, and change the meaning of industry codes twice. Each change made here to a figure is
logged: rule, rows, before, after.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from clusterpolicy import sources
from clusterpolicy.finerdata import marks, municipalities
from clusterpolicy.finerdata.marks import (
    BLOCKED,
    HIDDEN,
    NIL,
    NOT_COLLECTED,
    UNMARKED,
    Log,
    status_of,
)
from clusterpolicy.finerdata.municipalities import ALL_INDUSTRIES, AREA_KEYS, without_parents

COLUMNS = (
    *("id_muni", "name_muni", "id_sec2d", "name_sec2d", "year"),
    *("num_estb", "emp", "wage", "material", "sales", "va", "capital"),
)
# Column of the file -> measure and factor to its unit; the files count money in 10,000 yen.
MEASURES = {
    "num_estb": ("establishments", 1.0),
    "emp": ("employees", 1.0),
    "wage": ("cash_wages_million_yen", 0.01),
    "material": ("materials_million_yen", 0.01),
    "sales": ("shipments_million_yen", 0.01),
    "va": ("value_added_million_yen", 0.01),
    "capital": ("tangible_assets_million_yen", 0.01),
}
MEASURE_NAMES = tuple(name for name, _ in MEASURES.values())
# A national total that more than doubles or halves within a year is another figure under the name
# of the old one: the largest real change, in the crisis of 2009, was -21 %.
LARGEST_CHANGE = 2.0
# From 2002 on the files carry no mark and no minus sign.
LAST_MARKED_YEAR = 2001


def read_census(path: Path, year: int) -> pd.DataFrame:
    """Read the file of one year as it stands.

    Parameters
    ----------
    path : Path
        Stata file, checked against its SHA-256 (``downloads.checked_paths``).
    year : int
        Reference year the file must be of.

    Returns
    -------
    DataFrame
        The columns ``COLUMNS``; numbers as text where the file mixes them with marks. Its path is
        in ``attrs["file"]``.

    Raises
    ------
    sources.InputMissing
        If the file is missing or no Stata file.
    sources.DataFault
        If columns are missing, a key stands twice, or another year stands in it.
    """
    shown = sources.short_path(path)
    table = marks.read_stata(path)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise sources.DataFault(
            f"{shown}: columns: missing {missing}: this is not the municipal census: restore it"
        )
    table = table[list(COLUMNS)]
    for column in ("id_muni", "id_sec2d", "year"):
        if not pd.api.types.is_integer_dtype(table[column]):
            raise sources.DataFault(f"{shown}: column {column}: found other than whole numbers")
    found = sorted(set(table["year"]) - {year})
    if found or table.empty:
        raise sources.DataFault(
            f"{shown}: column year: found {found or 'no row'}, expected {year}: restore the file"
        )
    twice = table.duplicated(["id_muni", "id_sec2d"])
    if twice.any():
        row = table[twice].iloc[0]
        raise sources.DataFault(
            f"{shown}: row {int(np.flatnonzero(twice)[0]) + 1}: municipality {row['id_muni']}, "
            f"industry {row['id_sec2d']} stands twice: restore the file"
        )
    table.attrs["file"] = shown
    return table


def clean_census(
    raw: pd.DataFrame, industry_codes: pd.DataFrame, prefectures: pd.DataFrame, log: Log
) -> pd.DataFrame:
    """Turn the file of one year into keys that hold for every year and values with a status.

    Parameters
    ----------
    raw : DataFrame
        From ``read_census``.
    industry_codes, prefectures : DataFrame
        Raw tables.
    log : Log
        Takes a note of every change of a value.

    Returns
    -------
    DataFrame
        One row per area and industry: ``AREA_KEYS``, ``jsic_revision`` and ``jsic2_code`` (``"00"``
        for all industries); each measure of ``MEASURE_NAMES`` (persons, establishments, million
        yen; missing unless observed) followed by its status.

    Raises
    ------
    sources.DataFault
        If a code is unknown or stands for another industry than its label says, or a cell is
        neither a number nor a mark.
    """
    where = raw.attrs["file"]
    table = municipalities.area_keys(raw, prefectures, log)
    table = pd.concat([table, _industry_keys(raw, industry_codes)], axis=1)
    status = {}
    for column, (measure, factor) in MEASURES.items():
        value, marked = marks.split_marks(raw[column], f"{where}: column {column}", _marks(column))
        _note_marks(raw[column], marked, where, measure, log)
        if factor != 1.0:
            log.note(
                where,
                f"{measure}: 10,000 yen to million yen",
                value.notna().sum(),
                f"{value.sum():.0f}",
                f"{value.sum() * factor:.2f}",
            )
        table[measure] = value * factor
        status[measure] = marked.cat.codes.to_numpy().copy()
    _mark_gaps(status, raw["year"].iloc[0], where, log)
    for measure, codes in status.items():
        table[status_of(measure)] = marks.status_series(codes, table.index)
    _require_establishments(table, where)
    order = [*AREA_KEYS, "jsic_revision", "jsic2_code"]
    order += [name for measure in MEASURE_NAMES for name in (measure, status_of(measure))]
    return table[order]


def _marks(column: str) -> dict[str, int]:
    """Return what each mark means in a column of the file."""
    if column == "capital":
        # Asked of establishments with 30 employees or more: "-" says that there is none of these.
        return {
            mark: NOT_COLLECTED if code == NIL else code
            for mark, code in marks.STATUS_OF_MARK.items()
        }
    return dict(marks.STATUS_OF_MARK)


def _note_marks(printed: pd.Series, marked: pd.Series, where: str, measure: str, log: Log) -> None:
    if pd.api.types.is_numeric_dtype(printed):
        return
    is_mark = (marked != "observed").to_numpy()
    pairs = pd.DataFrame({"mark": printed[is_mark], "status": marked[is_mark].astype(str)})
    for (mark, status), rows in pairs.value_counts(sort=False).items():
        log.note(where, f"{measure}: mark to status", rows, mark, status)


def _mark_gaps(status: dict[str, np.ndarray], year: int, where: str, log: Log) -> None:
    """Say what a gap without a mark means.

    The survey hides all figures of an area and industry together, never the number of
    establishments. So a gap beside missing shipments is hidden; any other gap may be hidden or nil.
    Tangible assets are asked of larger establishments only, so their gaps say nothing.
    """
    if year <= LAST_MARKED_YEAR:
        return
    is_hidden_row = status["shipments_million_yen"] == UNMARKED
    for measure, codes in status.items():
        is_gap = codes == UNMARKED
        if measure != "tangible_assets_million_yen":
            hidden = is_gap & is_hidden_row
            codes[hidden] = HIDDEN
            log.note(where, f"{measure}: gap to status", hidden.sum(), "", "hidden")
        log.note(where, f"{measure}: gap to status", (codes == UNMARKED).sum(), "", "unmarked")


def _industry_keys(raw: pd.DataFrame, industry_codes: pd.DataFrame) -> pd.DataFrame:
    """Return the revision of each code after comparing its label with the one of that year.

    Four of 24 numbers look stable from 2007 to 2008 and stand for another industry: only the label
    tells.
    """
    where = raw.attrs["file"]
    codes = raw["id_sec2d"].astype(int).astype(str).str.zfill(2)
    year = str(raw["year"].iloc[0])
    known = industry_codes[industry_codes["year"] == year].set_index("jsic2_code")
    if not known.index.is_unique or known.empty:
        raise sources.DataFault(
            f"data/raw/industry_codes.csv: year {year}: found "
            f"{'no code' if known.empty else 'a code twice'}: list each code of the year once"
        )
    labels = marks.plain_name(raw["name_sec2d"])
    wrong = labels != marks.plain_name(codes.map(known["label"]).fillna(""))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise sources.DataFault(
            f"{where}: row {row + 1}: column name_sec2d: found {raw['name_sec2d'].iloc[row]!r} "
            f"under code {codes.iloc[row]}, expected "
            f"{known['label'].get(codes.iloc[row], 'no such code')!r}: the code stands for another "
            "industry: look at the file"
        )
    revision = codes.map(known["jsic_revision"])
    return pd.DataFrame({"jsic_revision": revision, "jsic2_code": codes})


def _require_establishments(table: pd.DataFrame, where: str) -> None:
    """Refuse a file whose areas or industries do not add up: establishments are never hidden."""
    if (table["establishments"] <= 0).any() or table["establishments"].isna().any():
        raise sources.DataFault(
            f"{where}: column num_estb: found a row without establishments: restore the file"
        )
    total = table[table["jsic2_code"] == ALL_INDUSTRIES]
    parts = table[table["jsic2_code"] != ALL_INDUSTRIES]
    sums = [
        (total[total["level"] == "prefecture"], "pref_code", without_parents(total), "pref_code"),
        (total[total["level"] == "parent"], "muni_code", total, "parent_code"),
        (
            total[total["muni_code"].isin(parts["muni_code"].unique())],
            "muni_code",
            parts,
            "muni_code",
        ),
    ]
    for whole, key, part, part_key in sums:
        expected = whole.set_index(key)["establishments"]
        found = part.groupby(part_key)["establishments"].sum().reindex(expected.index)
        wrong = expected.index[found != expected]
        if len(wrong):
            raise sources.DataFault(
                f"{where}: area {wrong[0]}: its parts hold {found[wrong[0]]:.0f} establishments, "
                f"its own line {expected[wrong[0]]:.0f} ({len(wrong)} such areas): a line is "
                "missing or counted twice: look at the file"
            )


def read_all(
    paths: Mapping[str, Path],
    industry_codes: pd.DataFrame,
    prefectures: pd.DataFrame,
    log: Log,
) -> pd.DataFrame:
    """Read, clean and join the files of all years; block what is broken.

    Parameters
    ----------
    paths : mapping of str to Path
        Files whose name ends in the year, from ``downloads.checked_paths``.
    industry_codes, prefectures : DataFrame
        Raw tables.
    log : Log
        Takes a note of every change of a value.

    Returns
    -------
    DataFrame
        As from ``clean_census``, all years below one another.
    """
    years = {int(path.stem[-4:]): path for path in paths.values()}
    parts = [
        clean_census(read_census(years[year], year), industry_codes, prefectures, log)
        for year in sorted(years)
    ]
    return block_levels(block_lost_signs(pd.concat(parts, ignore_index=True), log), log)


def block_lost_signs(table: pd.DataFrame, log: Log) -> pd.DataFrame:
    """Block value added above zero where materials exceed shipments, in the files without signs.

    The files of 2001 print 18 negative figures; those of later years hold no negative figure at
    all, but hundreds of rows that must have one. In most municipalities where it can be checked the
    parts add up only if such a figure is negative, in some only if it is not: it cannot be told.
    """
    money = "value_added_million_yen"
    lost = (
        (table["year"] > LAST_MARKED_YEAR)
        & (table[money] > 0)
        & (table["shipments_million_yen"] < table["materials_million_yen"])
    )
    return _block(table, money, lost, "lost minus sign", log)


def block_levels(table: pd.DataFrame, log: Log) -> pd.DataFrame:
    """Block a measure in a year whose national total cannot be the quantity of the year before.

    Value added of 2012 adds up to 19 trillion yen, after 99 in 2011: another definition or group of
    plants stands in the column.
    """
    national = table[(table["level"] == "prefecture")].groupby("year")
    for measure in MEASURE_NAMES:
        last = np.nan
        for year, total in national[measure].sum(min_count=1).items():
            ratio = total / last
            if ratio > LARGEST_CHANGE or ratio < 1 / LARGEST_CHANGE:
                rule = f"national total {total:.0f} after {last:.0f}"
                table = _block(table, measure, table["year"] == year, rule, log)
            else:
                last = total
    return table


def _block(table: pd.DataFrame, measure: str, rows: pd.Series, rule: str, log: Log) -> pd.DataFrame:
    """Take the figures of some rows away and say so in their status."""
    status = status_of(measure)
    for year, of_year in table[rows & table[measure].notna()].groupby("year"):
        before = f"sum of lines {of_year[measure].sum():.0f}"
        log.note(str(year), f"{measure}: {rule}", len(of_year), before, "blocked")
    codes = table[status].cat.codes.to_numpy().copy()
    codes[rows.to_numpy()] = BLOCKED
    blocked = {measure: table[measure].mask(rows), status: marks.status_series(codes, table.index)}
    return table.assign(**blocked)


def add_groups(table: pd.DataFrame, industry_groups: pd.DataFrame) -> pd.DataFrame:
    """Name the industry group of each line: the same industries in every revision.

    Parameters
    ----------
    table : DataFrame
        From ``clean_census``.
    industry_groups : DataFrame
        Raw table: group of each code in each revision.

    Returns
    -------
    DataFrame
        `table` with ``industry_group``; ``"all"`` on the lines of all industries.

    Raises
    ------
    sources.DataFault
        If a code of some revision is in no group.
    """
    keys = ["jsic_revision", "jsic2_code"]
    group = table[keys].merge(
        industry_groups[[*keys, "group"]], on=keys, how="left", validate="many_to_one"
    )["group"]
    group = group.mask((table["jsic2_code"] == ALL_INDUSTRIES).to_numpy(), "all")
    if group.isna().any():
        row = table[group.isna().to_numpy()].iloc[0]
        raise sources.DataFault(
            f"data/raw/industry_groups.csv: no group for code {row['jsic2_code']} of revision "
            f"{row['jsic_revision']}, which stands in {row['year']}: add it"
        )
    return table.assign(industry_group=group.to_numpy())


def group_industries(
    table: pd.DataFrame, industry_groups: pd.DataFrame, detail: bool = False
) -> pd.DataFrame:
    """Add the industries of each area up to groups that mean the same from 2001 to 2012.

    Returns
    -------
    DataFrame
        ``AREA_KEYS``, ``industry_group``, and each measure with its status (``marks.add_up``).
    """
    grouped = add_groups(table, industry_groups)
    return marks.add_up(grouped, [*AREA_KEYS, "industry_group"], MEASURE_NAMES, detail)
