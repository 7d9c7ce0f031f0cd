"""How a table is printed: raw values in, one figure of the page and one CSV out.

A `Table` keeps raw values and checks itself; `to_html` rounds, aligns and escapes them, `csv_text`
hands the same values to a spreadsheet.
"""

from __future__ import annotations

import math
import re
import unicodedata
from base64 import b64encode
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd

from clusterpolicy.wording import (
    GRADES,
    MISSING,
    RUN_MARKS,
    VERDICT_MARKS,
    escape,
    format_number,
    grade_label,
    is_missing,
    verdict_label,
)

# The key under which an output says that this project wrote it; pages print no other HTML.
OUTPUT_MARK = "clusterpolicy"

# Shown by the style sheet where something is wider than its place.
CUE = '<span class="cue" aria-hidden="true">scrolls sideways →</span>'

ROWS_SHOWN_IN_FULL = 200
ROWS_OF_A_SUMMARY = 20
CSV_BYTES_EMBEDDED = 150_000

_KINDS = ("text", "number", "signed", "p", "verdict", "grade", "code", "link")
_WRAPPING = ("text", "link", "verdict", "code")
_NUMERIC = ("number", "signed", "p", "grade")

NO_BREAK = "\N{NO-BREAK SPACE}"
_NUMBER_AS_TEXT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# Characters of a table that the text column of a page holds, and A4 portrait at 7 points.
_CHARS_OF_A_COLUMN = 95
_CHARS_OF_A_PORTRAIT_PAGE = 130
# Rows that a printed page holds beside other text.
_ROWS_KEPT_TOGETHER = 15


@dataclass(frozen=True)
class Column:
    """One printed column of a table.

    Attributes
    ----------
    name : str
        Column of the data.
    label : str
        What the header says; unique in a table together with `unit`.
    unit : str
        Unit under the header, where columns differ in unit.
    kind : str
        ``"text"``, ``"number"``, ``"signed"`` (a number with its plus sign), ``"p"`` (a p-value),
        ``"verdict"``, ``"grade"``, ``"code"`` (digits that are no quantity: years, codes) or
        ``"link"`` (an address).
    decimals : int
        Decimals of a number, the same in the whole column so that the points align.
    missing : str
        Symbol of a missing value; explained in the table's key.
    href : str
        Column of the data that holds the page beside this one to which each cell leads.
    """

    name: str
    label: str
    unit: str = ""
    kind: str = "text"
    decimals: int = 0
    missing: str = MISSING
    href: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """Raw values and how to print them.

    Attributes
    ----------
    data : DataFrame
        One row per printed row; columns that are not printed still reach the CSV.
    columns : tuple of Column
        The printed columns, in order; the first `stub` of them are row headers.
    unit, years, source : str
        Lines every table carries; `unit` and `years` may be empty where they mean nothing.
    symbols : tuple of (symbol, meaning)
        Key of the symbols found in the cells, ``(("X", "hidden by the publisher"),)``.
    stub : int
        Number of leading columns that name the row.
    file : str
        File of the repository that holds all rows: named on the page, which then embeds none.

    Raises
    ------
    ValueError
        If a column is not in the data, two headers read alike, a number column holds text that
        the key does not explain, or a verdict or grade is outside its closed set.
    """

    data: pd.DataFrame
    columns: tuple[Column, ...]
    unit: str
    years: str
    source: str
    symbols: tuple[tuple[str, str], ...] = ()
    stub: int = 1
    file: str = ""

    def __post_init__(self):
        """Refuse a table that could not be printed truthfully."""
        absent = [column.name for column in self.columns if column.name not in self.data.columns]
        if absent:
            raise ValueError(
                f"Table: the data has no column {absent}; it has {list(self.data.columns)}. "
                "Name an existing column or add it to the data."
            )
        headers = [(column.label.strip(), column.unit) for column in self.columns]
        double = sorted({label for label, unit in headers if headers.count((label, unit)) > 1})
        if not headers or double or any(not label for label, _ in headers):
            raise ValueError(
                f"Table: every column needs a header of its own; empty or repeated: {double or ''}."
                " Give each Column a label that no other column has."
            )
        if not 1 <= self.stub <= len(self.columns):
            raise ValueError(
                f"Table: stub is {self.stub}; it must be between 1 and {len(self.columns)}, "
                "so that every row has a header."
            )
        if not str(self.source).strip():
            raise ValueError("Table: the source is empty; name where the figures come from.")
        for column in self.columns:
            _check_values(self.data[column.name], column, dict(self.symbols))


class _Cell(NamedTuple):
    text: str
    markup: str


def to_html(table: Table, caption: str, name: str) -> str:
    """Write a table as a numbered figure of the page.

    Parameters
    ----------
    table : Table
        The values and how to print them.
    caption : str
        What the table holds; escaped here.
    name : str
        Stable name; the id becomes ``tab-NAME``.

    Returns
    -------
    str
        A ``<figure class="table">`` in a scroll region, with unit, key, counts, source and CSV.
    """
    shown = table.data
    if len(shown) > ROWS_SHOWN_IN_FULL:
        shown = shown.head(ROWS_OF_A_SUMMARY)
    cells = [
        [_cell(row[c.name], c, row.get(c.href, "")) for c in table.columns]
        for row in shown.to_dict("records")
    ]
    widths = _widths(table.columns, cells)
    chars = sum(widths) + 2 * len(widths)
    size = " dense" if chars > _CHARS_OF_A_COLUMN else ""
    size += " short" if len(cells) <= _ROWS_KEPT_TOGETHER else ""
    size += " wide" if chars > _CHARS_OF_A_PORTRAIT_PAGE else ""
    head = "".join(map(_header, table.columns, widths))
    body = "".join(_row(row, table.columns, table.stub) for row in cells)
    if not cells:
        body = f'<tr><td colspan="{len(table.columns)}">No row meets this description.</td></tr>'
    about = "; ".join(escape(part) for part in (table.unit, table.years) if part)
    return (
        f'<figure class="table{size}" id="tab-{escape(name)}" style="--chars:{chars}">'
        f'<div class="scroll" role="group" tabindex="0" aria-labelledby="tab-{escape(name)}-c">'
        f'<table><caption><span class="caption" id="tab-{escape(name)}-c">'
        f'<b class="label">Table</b> {escape(caption)}</span>'
        + (f'<span class="unit">{about}</span>' if about else "")
        + f"{CUE}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{_notes(table, cells, name)}</figure>"
    )


def csv_text(data: pd.DataFrame) -> str:
    """Write a table as CSV that a spreadsheet can open without running anything.

    Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers,
    negative ones included, keep every digit.

    Returns
    -------
    str
        UTF-8 text with a header row and line feeds.
    """
    safe = pd.DataFrame(
        {
            position: [_neutral(value) for value in data.iloc[:, position]]
            for position in range(data.shape[1])
        },
        dtype=object,
    )
    safe.columns = [_neutral(str(column)) for column in data.columns]
    return safe.to_csv(index=False, lineterminator="\n", na_rep="")


def csv_link(data: pd.DataFrame, name: str, file: str = "") -> str:
    """Return a link that saves the data, embedded in the page, as ``NAME.csv``.

    Parameters
    ----------
    data : DataFrame
        The drawn or printed numbers.
    name : str
        File name without its ending.
    file : str
        File of the repository with the same rows, named instead of embedding them.

    Raises
    ------
    ValueError
        If the data is too large to embed and no file is named.
    """
    text = csv_text(data)
    rows = f"{len(data):,} row{'' if len(data) == 1 else 's'}"
    if file:
        return f'<span class="data">All {rows}: <code>{escape(file)}</code></span>'
    if len(text) > CSV_BYTES_EMBEDDED:
        raise ValueError(
            f"{name}: {rows} make {len(text):,} bytes of CSV, more than the "
            f"{CSV_BYTES_EMBEDDED:,} a page may hold; name the file that has them (file=...)."
        )
    # Whichever is shorter: base64 for Japanese, percent signs for figures.
    address = min(
        "data:text/csv;charset=utf-8," + quote(text, safe=",:;/()[]{}*!@$=+"),
        "data:text/csv;charset=utf-8;base64," + b64encode(text.encode()).decode("ascii"),
        key=len,
    )
    return (
        f'<a class="data" download="{escape(name)}.csv" href="{escape(address)}">'
        f"Data of {escape(name)} (CSV, {rows})</a>"
    )


def _check_values(values: pd.Series, column: Column, symbols: dict[str, str]) -> None:
    if column.kind not in _KINDS:
        raise ValueError(f"Column {column.name!r}: kind is {column.kind!r}; use one of {_KINDS}.")
    for row, value in enumerate(values, start=1):
        if is_missing(value) or (isinstance(value, str) and value in symbols):
            continue
        wrong = (
            (column.kind in _NUMERIC and isinstance(value, str | bool))
            or (column.kind == "verdict" and value not in VERDICT_MARKS | RUN_MARKS)
            or (column.kind == "grade" and value not in GRADES)
        )
        if wrong:
            raise ValueError(
                f"Table, row {row}, column {column.name!r}: {value!r} is no {column.kind}. "
                "Correct the value, or explain it in the table's symbols."
            )


def _cell(value: Any, column: Column, address: str = "") -> _Cell:
    if is_missing(value):
        return _Cell(column.missing, escape(column.missing))
    if column.kind == "verdict":
        # Its frame and the mark before it take the room of five letters.
        return _Cell(f"{value}{5 * NO_BREAK}", verdict_label(value))
    if column.kind in _NUMERIC and isinstance(value, str):
        return _Cell(value, escape(value))
    if column.kind == "grade":
        return _Cell("5/5", grade_label(value))
    if column.kind == "link" and re.fullmatch(r"https?://[^\s\"'<>]+", str(value)):
        return _Cell(str(value), f'<a href="{escape(value)}">{escape(value)}</a>')
    text = _plain(value, column)
    if address:
        return _Cell(text, f'<a href="{escape(address)}">{escape(text)}</a>')
    return _Cell(text, escape(text))


def _plain(value: Any, column: Column) -> str:
    if column.kind == "p" and value < 0.001:
        return "<0.001"
    if column.kind in ("number", "signed", "p"):
        return format_number(value, column.decimals, sign=column.kind == "signed")
    if isinstance(value, float) and value.is_integer():
        # A missing neighbour has turned a column of years into floats.
        return str(int(value))
    return str(value)


def _header(column: Column, width: int) -> str:
    unit = f' <span class="unit">{escape(column.unit)}</span>' if column.unit else ""
    side = "" if column.kind in _NUMERIC else ' class="t"'
    # The unit ch is the width of a zero, wider than the mean letter of a text.
    least = f' style="min-width:{0.85 * width:.0f}ch"' if column.kind in _WRAPPING else ""
    return f'<th scope="col"{side}{least}>{escape(column.label)}{unit}</th>'


def _row(cells: list[_Cell], columns: tuple[Column, ...], stub: int) -> str:
    parts = []
    for position, (cell, column) in enumerate(zip(cells, columns, strict=True)):
        side = "" if column.kind in _NUMERIC else ' class="t"'
        if position < stub:
            parts.append(f'<th scope="row"{side}>{cell.markup}</th>')
        else:
            parts.append(f"<td{side}>{cell.markup}</td>")
    return f"<tr>{''.join(parts)}</tr>"


def _notes(table: Table, cells: list[list[_Cell]], name: str) -> str:
    total = len(table.data)
    count = f"{total:,} row{'' if total == 1 else 's'}, {len(table.columns)} columns"
    if len(cells) < total:
        count = f"The first {len(cells)} of {total:,} rows, {len(table.columns)} columns"
    key = "; ".join(f"{escape(s)} {escape(meaning)}" for s, meaning in _key(table, cells))
    lines = [
        f'<span class="key">{key}.</span>' if key else "",
        f'<span class="source">Source: {escape(table.source.rstrip("."))}.</span>',
        f'<span class="count">{count}.</span>',
        csv_link(table.data, name, table.file),
    ]
    return f'<p class="notes">{" ".join(line for line in lines if line)}</p>'


def _key(table: Table, cells: list[list[_Cell]]) -> list[tuple[str, str]]:
    """List the symbols that are printed, with what they mean."""
    printed = {cell.text for row in cells for cell in row}
    known = {MISSING: "not available", **dict(table.symbols)}
    return [(symbol, meaning) for symbol, meaning in known.items() if symbol in printed]


def _widths(columns: tuple[Column, ...], cells: list[list[_Cell]]) -> list[int]:
    """Characters each column needs: numbers do not wrap, long texts get squarer than short ones."""
    widths = []
    for position, column in enumerate(columns):
        texts = [row[position].text for row in cells]
        header = max(_width(word) for word in f"{column.label} {column.unit}".split())
        longest = max(map(_width, texts), default=0)
        if column.kind in _WRAPPING:
            word = max((_width(word) for text in texts for word in text.split(" ")), default=0)
            longest = min(longest, max(min(word, 20), 12, round(2.2 * math.sqrt(longest))))
        widths.append(max(header, longest))
    return widths


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _neutral(value: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would run."""
    if not isinstance(value, str) or len(value) < 2 or _NUMBER_AS_TEXT.fullmatch(value):
        return value
    # A lone carriage return would end the row for some readers, and csv does not quote it.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text[0] in "=+-@\t\n＝＋－＠" else text
