"""Official tables of the 47 prefectures as published: accounts and boundaries."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from python_calamine import CalamineWorkbook

from clusterpolicy import sources
from clusterpolicy.finerdata import marks

# First year of an era, less one: 昭和50年 is 1975, 平成元年 is 1989.
ERAS = {"昭和": 1925, "平成": 1988, "令和": 2018}
_FISCAL_YEAR = re.compile(r"【?(昭和|平成|令和)(元|[0-9]{1,2})年度(?:\(([0-9]{4})\))?】?")
_WESTERN_YEAR = re.compile(r"\(([0-9]{4})\)")
MILLION_YEN = "(単位:100万円)"
# Bases cannot be chained, and two of them have the same industries: the years tell them apart.
ACCOUNT_YEARS = {
    "b1990": (1975, 1999),
    "b1995": (1990, 2003),
    "b2000": (1996, 2009),
    "b2005": (2001, 2014),
    "b2011": (2006, 2016),
}
# Rows of an accounts table that are no industry of ours -> what they are called here.
TOTALS = {"製造業": "manufacturing", "県内総生産": "total"}
# An .xls file is made of blocks.
_OLD_FORMAT, _BLOCK = b"\xd0\xcf\x11\xe0", 512
# Longitude and latitude of the country, with a margin of a degree.
_EAST, _NORTH = (121.0, 155.0), (19.0, 47.0)


def read_accounts(
    path: Path, base: str, account_industries: pd.DataFrame, prefectures: pd.DataFrame
) -> pd.DataFrame:
    """Read the gross product of prefectures by industry from a workbook of the accounts.

    Each fiscal year has a sheet, named by era or by both calendars, in digits of either width; the
    year is taken from the heading of the table and held against the name. Sheets that somebody has
    added to the publisher's are passed over.

    Parameters
    ----------
    path : Path
        ``.xls`` or ``.xlsx`` file.
    base : str
        Base of the accounts in it, e.g. ``"b2000"``; ``"b1990"`` has no industries.
    account_industries, prefectures : DataFrame
        Raw tables.

    Returns
    -------
    DataFrame
        ``base``, ``pref_code``, ``industry`` (also ``manufacturing`` and ``total``), ``fy``,
        ``product_million_yen`` (nominal) and ``status``.

    Raises
    ------
    sources.InputMissing
        If the file is missing or no workbook.
    sources.DataFault
        If a sheet lacks an industry or prefecture, is in another unit, a year is missing, or a cell
        is neither a number nor a mark; names file and sheet.
    """
    of_base = account_industries[account_industries["base"] == base]
    wanted = dict(zip(of_base["name_ja"].map(_plain), of_base["industry"], strict=True)) | TOTALS
    parts = []
    for name, rows in _read_sheets(path):
        where = f"{sources.short_path(path)}: sheet {name.strip()}"
        first = _first_data_row(rows)
        year = None if first is None else _fiscal_year(rows[:first], name, where)
        if year is not None:
            parts.append(_read_year(rows, first, wanted, prefectures, where).assign(fy=year))
    shown = sources.short_path(path)
    years = sorted(part["fy"].iloc[0] for part in parts)
    first_fy, last_fy = ACCOUNT_YEARS[base]
    if years != list(range(first_fy, last_fy + 1)):
        raise sources.DataFault(
            f"{shown}: found sheets of the fiscal years {years or 'none'}, expected {first_fy} to "
            f"{last_fy} for base {base}, each once: restore the file, or name its base"
        )
    table = pd.concat(parts, ignore_index=True)
    try:
        value, status = marks.split_marks(table["cell"], shown)
    except sources.DataFault:  # which cell it is, is asked only now: it takes much longer
        for (fy, industry), cells in table.groupby(["fy", "industry"])["cell"]:
            marks.split_marks(cells, f"{shown}: fiscal year {fy}: {industry}")
        raise
    table = table.assign(base=base, product_million_yen=value, status=status)
    order = ["base", "pref_code", "industry", "fy"]
    return table[[*order, "product_million_yen", "status"]].sort_values(order, ignore_index=True)


def _read_sheets(path: Path) -> list[tuple[str, list[list[object]]]]:
    """Read every sheet, as lists of rows."""
    try:
        content = path.read_bytes()
        # The reader can follow the blocks of a file that lost or gained bytes for ever.
        if content.startswith(_OLD_FORMAT) and len(content) % _BLOCK:
            raise ValueError("not a whole number of blocks")
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            return [
                (name, book.get_sheet_by_name(name).to_python(skip_empty_area=False))
                for name in book.sheet_names
            ]
    except BaseException as error:  # a damaged workbook fails in whatever way the reader meets it
        # A panic of the reader, which is written in Rust, is no Exception. Neither is a signal, and
        # that one goes on.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise marks.unreadable(path, "no workbook that can be read", error) from error


def _plain(cell: object) -> str:
    """Return a cell without blanks and line breaks, in letters and digits of one width."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", str(cell)))


def _first_data_row(rows: Sequence[Sequence[object]]) -> int | None:
    """Return the row of Hokkaido, the first prefecture; None if the sheet has none."""
    for number, row in enumerate(rows):
        if len(row) > 1 and _plain(row[1]) == "北海道" and _code(row[0]) == 1:
            return number
    return None


def _code(cell: object) -> int | None:
    """Return a prefecture's number: printed as 01, 1 or 1.0."""
    text = _plain(cell).removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() else None


def _fiscal_year(heading: Sequence[Sequence[object]], name: str, where: str) -> int | None:
    """Return the fiscal year of a table; None if it has no heading.

    Raises
    ------
    sources.DataFault
        If the two calendars, or heading and sheet name, disagree.
    """
    found = [m for row in heading for cell in row if (m := _FISCAL_YEAR.fullmatch(_plain(cell)))]
    if not found:
        return None
    years = set()
    for era, number, western in (match.groups() for match in found):
        years.add(ERAS[era] + (1 if number == "元" else int(number)))
        if western:
            years.add(int(western))
    in_name = _WESTERN_YEAR.search(_plain(name))
    if in_name:
        years.add(int(in_name.group(1)))
    if len(years) != 1:
        raise sources.DataFault(
            f"{where}: found the years {sorted(years)} in its heading and name: look at the file"
        )
    return years.pop()


def _read_year(
    rows: Sequence[Sequence[object]],
    first: int,
    wanted: dict[str, str],
    prefectures: pd.DataFrame,
    where: str,
) -> pd.DataFrame:
    """Return the cells of one sheet: ``pref_code``, ``industry``, ``cell``."""
    heading = [[_plain(cell) for cell in row] for row in rows[:first]]
    if not any(MILLION_YEN in row for row in heading):
        raise sources.DataFault(f"{where}: found no unit {MILLION_YEN}: another unit? look at it")
    columns = {wanted[name]: _find_column(heading, name, where) for name in wanted}
    body = rows[first : first + 47]
    codes = [_code(row[0]) for row in body]
    names = pd.Series([str(row[1]) for row in body])
    by_name = marks.prefecture_codes(names, prefectures, where)
    if codes != list(range(1, 48)) or by_name.astype(int).tolist() != codes:
        raise sources.DataFault(
            f"{where}: found other lines than the 47 prefectures in their order: look at the file"
        )
    return pd.concat(
        [
            pd.DataFrame(
                {"pref_code": by_name, "industry": industry, "cell": [row[at] for row in body]},
                dtype=object,
            )
            for industry, at in columns.items()
        ],
        ignore_index=True,
    )


def _find_column(heading: Sequence[Sequence[str]], name: str, where: str) -> int:
    """Return the column under a heading; the title above the table may hold the same word."""
    title = next(i for i, row in enumerate(heading) if any(map(_FISCAL_YEAR.fullmatch, row)))
    found = [at for row in heading[title + 1 :] for at, cell in enumerate(row) if cell == name]
    if len(found) != 1:
        raise sources.DataFault(
            f"{where}: found {len(found)} columns {name!r}, expected one: another edition of the "
            "accounts? look at the file"
        )
    return found[0]


def read_boundaries(path: Path, prefectures: pd.DataFrame) -> dict[str, list[np.ndarray]]:
    """Read the outlines of the prefectures.

    Returns
    -------
    dict of str to list of ndarray
        For each ``pref_code``, in order, the outer rings of its parts: longitude and latitude in
        degrees, one row per point, first and last point the same; the largest part first.

    Raises
    ------
    sources.InputMissing
        If the file is missing or no JSON.
    sources.DataFault
        If it holds other than the 47 prefectures, or a ring that is open or out of the country.
    """
    shown = sources.short_path(path)
    try:
        features = json.loads(path.read_bytes())["features"]
        names = pd.Series([feature["properties"]["N03_001"] for feature in features])
        shapes = [feature["geometry"] for feature in features]
        parts = [_outer_rings(shape) for shape in shapes]
    except Exception as error:  # JSON of another kind fails wherever it differs
        raise marks.unreadable(path, "no GeoJSON of prefectures", error) from error
    codes = marks.prefecture_codes(names, prefectures, shown)
    for name, rings in zip(names, parts, strict=True):
        _check_rings(rings, f"{shown}: {name}")
    if codes.duplicated().any():
        raise sources.DataFault(f"{shown}: found {names[codes.duplicated()].iloc[0]!r} twice")
    by_code = dict(zip(codes, parts, strict=True))
    return {code: sorted(by_code[code], key=_area, reverse=True) for code in sorted(by_code)}


def _outer_rings(shape: dict) -> list[np.ndarray]:
    polygons = shape["coordinates"]
    if shape["type"] == "Polygon":
        polygons = [polygons]
    elif shape["type"] != "MultiPolygon":
        raise ValueError(f"geometry {shape['type']!r}")
    return [np.asarray(polygon[0], dtype=float) for polygon in polygons]


def _check_rings(rings: list[np.ndarray], where: str) -> None:
    for ring in rings:
        is_ring = ring.ndim == 2 and ring.shape[1] == 2 and len(ring) >= 4
        if not is_ring or not np.isfinite(ring).all() or (ring[0] != ring[-1]).any():
            raise sources.DataFault(f"{where}: found a line that is not closed: restore the file")
        low, high = ring.min(axis=0), ring.max(axis=0)
        if not (_EAST[0] < low[0] and high[0] < _EAST[1] and _NORTH[0] < low[1] < _NORTH[1]):
            raise sources.DataFault(f"{where}: found a point outside the country: restore the file")


def _area(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2
