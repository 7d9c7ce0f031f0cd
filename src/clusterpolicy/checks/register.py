"""Which projects get a page: read from the facts in a moment, before anything heavy starts.

The full rules of the table are held by ``rules`` when the first notebook runs. Here only what names
a page is looked at, because the name becomes a file and a parameter.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TABLE = "data/raw/projects.csv"
FOLDER = "projects"
COLUMNS = ("project_id", "term", "name_en", "predecessors")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_ID = 60


class RegisterFault(ValueError):
    """The table of projects cannot name pages (exit code 3); ``str()`` is the line to print."""


@dataclass(frozen=True)
class Entry:
    """One project with a page of its own.

    Attributes
    ----------
    project_id : str
        Small letters, digits and single hyphens: a safe name for a file.
    title : str
        Its English name; of several names, the first.
    """

    project_id: str
    title: str

    @property
    def page(self) -> str:
        """Name of its report, ``projects/<project_id>``."""
        return page_name(self.project_id)


def page_name(project_id: str) -> str:
    """Return the name of the report on a project."""
    return f"{FOLDER}/{project_id}"


def read(root: Path) -> list[Entry]:
    """List the projects that get a page, in the order of the table.

    Those of the second term do, and those of the first that no other project followed: what
    became of the rest is told on the page of their successor.

    Parameters
    ----------
    root : Path
        Root of the checkout.

    Returns
    -------
    list of Entry
        Empty if there is no table: the notebook that reads every table names it then.

    Raises
    ------
    RegisterFault
        If the table is no CSV in UTF-8, lacks a column, or holds an id that is no safe name or
        stands twice; the message says where and what to do.
    """
    try:
        content = (root / TABLE).read_bytes()
    except FileNotFoundError:
        return []
    rows = _rows(content)
    followed = {name for _, row in rows for name in row["predecessors"].split(";")}
    seen: dict[str, int] = {}
    for line, row in rows:
        _check_id(line, row["project_id"], seen)
    return [Entry(row["project_id"], title_of(row)) for _, row in rows if has_page(row, followed)]


def has_page(row: Mapping[str, object], followed: set[str]) -> bool:
    """Say whether a project gets a page; `followed` are the ids that others name before them."""
    return str(row["term"]) == "2" or row["project_id"] not in followed


def title_of(row: Mapping[str, object]) -> str:
    """Return the English name of a project without later names and explanations in brackets."""
    return re.sub(r"\s*\(METI English:.*\)|;.*", "", str(row["name_en"])).strip()


def _rows(content: bytes) -> list[tuple[int, dict[str, str]]]:
    """Return line and columns of every row."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RegisterFault(
            f"{TABLE}:{line}: found bytes that are not UTF-8: save the file as CSV UTF-8"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, start = [], 1
    try:
        header = next(reader, [])
        missing = [column for column in COLUMNS if column not in header]
        if missing:
            raise RegisterFault(
                f"{TABLE}:1: column {missing[0]}: not in the header: restore the file"
            )
        start = reader.line_num + 1
        for fields in reader:
            if fields and len(fields) != len(header):
                raise RegisterFault(
                    f"{TABLE}:{start}: found {len(fields)} fields where the header has "
                    f"{len(header)}: add or remove commas, or quote a text that holds one"
                )
            if fields:
                rows.append((start, dict(zip(header, fields, strict=True))))
            start = reader.line_num + 1
    except csv.Error as error:
        raise RegisterFault(
            f"{TABLE}:{start}: found an unfinished quotation ({error}): close it"
        ) from error
    return rows


def _check_id(line: int, project_id: str, seen: dict[str, int]) -> None:
    """Refuse an id that is no safe name of a file, or that another row has."""
    where = f"{TABLE}:{line}: column project_id: found {project_id[:LONGEST_ID]!r}"
    if not _ID.fullmatch(project_id) or len(project_id) > LONGEST_ID:
        raise RegisterFault(
            f"{where}: not an id: write small letters and digits joined by -, at most "
            f"{LONGEST_ID} in all"
        )
    if project_id in seen:
        raise RegisterFault(f"{where}: same as line {seen[project_id]}: give it another id")
    seen[project_id] = line
