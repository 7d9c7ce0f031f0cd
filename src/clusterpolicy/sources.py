"""Where every raw file comes from and how it is read: as text, line by line, nothing guessed."""

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

MARKER = "pyproject.toml"
# What an unfinished merge leaves at the start of a line.
_MERGE_MARK = re.compile(r"^(<{7}|\|{7}|={7}|>{7})(?= |$)", re.MULTILINE)


class DataFault(ValueError):
    """A data rule is broken; the message names file, line, column, value, reason and remedy.

    Attributes
    ----------
    rows : tuple of dict
        Every fault that was found, one with the others that the message only counts; none if the
        message says all (see ``checking``).
    """

    def __init__(self, message: str, rows: Iterable[dict] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class InputMissing(FileNotFoundError):
    """An input file is missing or cannot be read; the message says which and what to do."""


def find_root(start: Path | None = None) -> Path:
    """Find the repository: the nearest folder above `start` that holds ``pyproject.toml``.

    ``CLUSTERPOLICY_ROOT`` overrides the search, so that an installed copy of the package can work
    on a repository elsewhere.

    Raises
    ------
    InputMissing
        If there is no such folder.
    """
    named = os.environ.get("CLUSTERPOLICY_ROOT")
    first = Path(named) if named else (start or Path(__file__)).resolve()
    for folder in (first, *first.parents):
        if (folder / MARKER).is_file():
            return folder
    raise InputMissing(
        f"{first}: no {MARKER} in this folder or above it: "
        "set CLUSTERPOLICY_ROOT to the folder of the repository"
    )


ROOT = find_root()
RAW = ROOT / "data" / "raw"
CLEAN = ROOT / "data" / "clean"
EXTERNAL = ROOT / "data" / "external"
RESULTS = ROOT / "data" / "results"
REPORTS = ROOT / "reports"
BUILD = ROOT / "build"


def short_path(path: Path) -> str:
    """Return the path as errors print it: relative to the repository, with forward slashes."""
    try:
        return path.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        return path.name


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_raw(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Read one table of ``data/raw`` as it stands.

    Every cell stays text: no type, no missing value and no encoding is guessed. The index is the
    line of the file on which a row starts, so that any later complaint can name it.

    Parameters
    ----------
    name : str
        Name of the table, e.g. ``"prefecture_shipments"``.
    folder : Path, optional
        Folder to read from; ``data/raw`` if not given.

    Returns
    -------
    DataFrame
        Columns as in the header, all text; index ``line``, counted from 1; ``attrs["file"]`` is
        the path for messages.

    Raises
    ------
    InputMissing
        If the file is missing or cannot be opened.
    DataFault
        If it is not UTF-8, is empty, is cut off, is a web page or an unfinished merge, has a
        repeated or empty column name, or has a row with too many or too few fields.
    """
    path = (RAW if folder is None else folder) / f"{name}.csv"
    shown = short_path(path)
    text = _decode(path, shown)
    refuse_damage(text, shown)
    header, rows, lines = parse_rows(text, shown)
    table = pd.DataFrame(rows, columns=header, index=pd.Index(lines, name="line"), dtype=str)
    table.attrs["file"] = shown
    return table


def _decode(path: Path, shown: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else type(error).__name__
        raise InputMissing(
            f"{shown}: {reason}: restore it with `git checkout -- {shown}`"
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # error.object, not content: the position is counted from behind a byte order mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataFault(
            f"{shown}:{line}: found bytes that are not UTF-8 (a spreadsheet may have saved the "
            "file as CP932): save it as CSV UTF-8"
        ) from error
    return text


def refuse_damage(text: str, shown: str) -> None:
    """Refuse what is no table, or part of one: its fields would be counted, not understood."""
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise DataFault(f"{shown}:{line}: found a null byte: restore the file")
    if not text.strip():
        raise DataFault(f"{shown}:1: found an empty file: restore it")
    if text.lstrip().startswith("<") and not text.startswith("<<<<<<<"):
        raise DataFault(f"{shown}:1: found a web page, not a table: restore the file")
    mark = _MERGE_MARK.search(text)
    if mark:
        line = text.count("\n", 0, mark.start()) + 1
        raise DataFault(
            f"{shown}:{line}: found {mark.group()!r}, the mark of an unfinished merge: "
            "keep one of the two versions and remove the marks"
        )
    if not text.endswith(("\n", "\r")):
        line = text.count("\n") + 1
        raise DataFault(
            f"{shown}:{line}: found no line break at the end, as if the file had been cut off: "
            "restore what is missing, or end the line"
        )


def parse_rows(text: str, shown: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Split into header, rows and the line each row starts on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    try:
        for fields in reader:
            if not header:
                header = fields
            elif fields:  # a wholly blank line holds no row
                if len(fields) != len(header):
                    raise DataFault(
                        f"{shown}:{start}: found {len(fields)} fields where the header has "
                        f"{len(header)}: add or remove commas, or quote a text that holds one"
                    )
                rows.append(fields)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataFault(
            f"{shown}:{start}: found an unfinished quotation ({error}): close it"
        ) from error
    for position, column in enumerate(header, start=1):
        if not column or header.index(column) != position - 1:
            raise DataFault(
                f"{shown}:1: column {position}: found {column!r} as its name, empty or used "
                "before: give every column one name of its own"
            )
    return header, rows, lines
