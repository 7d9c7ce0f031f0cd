"""How tables are held against their rules: what breaks one is named by file, line and column."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from clusterpolicy import sources

PREFECTURE_CODES = tuple(f"{code:02d}" for code in range(1, 48))
_YEAR = re.compile(r"(19|20)[0-9]{2}")
# So many faults of a run are listed, each with its row; standard error has the first in a line.
MOST_LISTED = 1000
LISTED = ("severity", "file", "line", "column", "value", "reason", "row")


@dataclass(frozen=True)
class Kind:
    """What a column may hold: a pattern or a list of values, why, and what to do if not."""

    reason: str
    remedy: str
    pattern: str = ""
    values: tuple[str, ...] = ()

    def check(self) -> pa.Check:
        """Return the pandera check; its error is the reason and the remedy."""
        return pa.Check(self.find_right, error=f"{self.reason}: {self.remedy}")

    def find_right(self, text: pd.Series) -> pd.Series:
        """Say of each cell whether the column may hold it."""
        if self.values:
            return text.isin(self.values)
        whole = re.compile(self.pattern).fullmatch
        is_right = [whole(each) is not None for each in text.to_numpy(dtype=object)]
        return pd.Series(is_right, text.index)


FREE = Kind("any text", "", r"[\s\S]*")


@dataclass(frozen=True)
class Rules:
    """The rules of one raw table.

    Attributes
    ----------
    columns : dict
        Kind of each column, in the order of the file.
    key : tuple of str
        Columns that identify a row.
    fiscal_years, calendar_years : Kind or None
        Kind of the year columns that follow, for tables that are wide by year.
    complete : tuple of str
        Columns of which every group must hold all 47 prefectures.
    may_be_empty : bool
        Whether a table without rows says something.
    spans : tuple of pairs of str
        Columns of a first and a last year: no row may end before it starts.
    rows : tuple of functions
        Each finds the faults between the columns of a row.
    steady : tuple of str
        Columns whose figures of one prefecture follow one another, of a table that is long by year.
    far : float
        How many times a figure may be above or below those of the years around it.
    has_wild_cells : bool
        Whether single figures do more and are right, so that they are added up before one is
        refused.
    """

    columns: dict[str, Kind]
    key: tuple[str, ...]
    fiscal_years: Kind | None = None
    complete: tuple[str, ...] | None = None
    may_be_empty: bool = False
    spans: tuple[tuple[str, str], ...] = ()
    steady: tuple[str, ...] = ()
    far: float = 5.0
    has_wild_cells: bool = False
    rows: tuple[Callable[[pd.DataFrame], Iterable["Fault"]], ...] = ()
    calendar_years: Kind | None = None

    @property
    def years(self) -> Kind | None:
        """Kind of the year columns, of whichever calendar."""
        return self.fiscal_years or self.calendar_years


@dataclass(frozen=True, order=True)
class Fault:
    """One broken rule: where, what was found, why it is wrong and what to do."""

    line: int
    column: str
    value: str
    reason: str


def check_table(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Hold a table against its rules.

    Parameters
    ----------
    table : DataFrame
        From ``sources.read_raw``: text, indexed by line.
    rules : Rules
        What it must keep.

    Returns
    -------
    DataFrame
        The table, unchanged.

    Raises
    ------
    sources.DataFault
        At the first fault by line; the message says how many more there are.
    """
    year_columns = _check_header(table, rules)
    if table.empty and not rules.may_be_empty:
        raise sources.DataFault(
            f"{table.attrs['file']}:1: found a header and no rows: restore the file"
        )
    kinds = {**rules.columns, **dict.fromkeys(year_columns, rules.years)}
    faults = [*_column_faults(table, kinds), *_key_faults(table, rules.key)]
    if not faults:  # what follows compares rows, which is of use only once each of them is right
        faults = [*_span_faults(table, rules.spans)]
        for find_faults in rules.rows:
            faults += find_faults(table)
        if rules.complete is not None:
            faults += _missing_prefectures(table, rules.complete)
    raise_faults(table, faults)
    return table


def check_codes(table: pd.DataFrame, column: str, known: Iterable[str], where: str) -> None:
    """Hold the codes of a column (lists joined by ``;`` allowed) against those another table has.

    Raises
    ------
    sources.DataFault
        If a code is unknown; names `where` as the place that lists the known ones.
    """
    known = set(known)
    faults = []
    for line, text in table[column].items():
        unknown = [code for code in text.split(";") if code and code not in known]
        if unknown:
            reason = f"unknown code: correct it, or add it to {where}"
            faults.append(Fault(line, column, unknown[0], reason))
    raise_faults(table, faults)


def year_columns(table: pd.DataFrame) -> list[str]:
    """Return the year columns of a table that is wide by year."""
    return [column for column in table.columns if _YEAR.fullmatch(column)]


def raise_faults(table: pd.DataFrame, faults: Iterable[Fault]) -> None:
    """Raise the first of `faults`, if any, with the number of the others; all are its rows."""
    rows = [describe(table, fault) for fault in sorted(set(faults))]
    if rows:
        raise sources.DataFault(_sentence(rows[0]) + _others(rows), rows)


def describe(table: pd.DataFrame, fault: Fault, severity: str = "error") -> dict:
    """Return a fault as it is listed (``LISTED``), with the row it stands in as the file has it."""
    text = io.StringIO()
    if fault.line in table.index:
        csv.writer(text, lineterminator="").writerow(table.loc[fault.line])
    return {
        "severity": severity,
        "file": table.attrs["file"],
        "line": fault.line,
        "column": fault.column,
        "value": fault.value,
        "reason": fault.reason,
        "row": text.getvalue(),
    }


class Faults:
    """What is wrong with several tables, gathered so that all of it can be told at once.

    Parameters
    ----------
    listing : Path or None
        CSV file that lists all faults; removed once there is none. None: they are only counted.
    """

    def __init__(self, listing: Path | None) -> None:
        self.listing = listing
        self.faults: list[sources.DataFault] = []

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep the fault that the block raises, and go on behind the block."""
        try:
            yield
        except sources.DataFault as fault:
            self.faults.append(fault)

    def stop(self) -> None:
        """Raise what was found: the first fault in a line, with the number of the others.

        Raises
        ------
        sources.DataFault
            If there is any fault.
        """
        if not self.faults:
            if self.listing is not None and self.listing.exists():
                self.listing.unlink()
            return
        rows = [row for fault in self.faults for row in fault.rows or [_from_message(fault)]]
        place = "" if self.listing is None else f": {self._write(rows)}"
        first = self.faults[0]
        told = _sentence(first.rows[0]) if first.rows else str(first)
        raise sources.DataFault(told + _others(rows, place), rows) from first

    def _write(self, rows: Sequence[dict]) -> str:
        """Write the list of faults and return where it is; a fault matters more than its list."""
        shown = sources.short_path(self.listing)
        try:
            self.listing.parent.mkdir(exist_ok=True)
            write_rows(self.listing, rows[:MOST_LISTED])
        except OSError as error:
            return f"{shown} cannot be written ({(error.strerror or str(error)).lower()})"
        return shown if len(rows) <= MOST_LISTED else f"the first {MOST_LISTED} in {shown}"


def write_rows(path: Path, rows: Iterable[dict]) -> None:
    """Write faults or warnings as a CSV file, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as text:
            writer = csv.DictWriter(text, LISTED, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _sentence(row: dict) -> str:
    return (
        f"{row['file']}:{row['line']}: column {row['column']}: found {row['value']!r}: "
        + (row["reason"])
    )


def _others(rows: Sequence[dict], place: str = "") -> str:
    """Say how many faults there are beside the first, in how many files, and where they are."""
    others, files = len(rows) - 1, len({row["file"] for row in rows})
    if not others:
        return ""
    where = "this file" if files == 1 else f"{files} files"
    return f" ({others} more fault{'s' if others > 1 else ''} in {where}{place})"


def _from_message(fault: sources.DataFault) -> dict:
    """Return a fault that is told by its message only, such as damage to a whole file."""
    where, _, reason = str(fault).partition(": ")
    file, _, line = where.partition(":")
    return dict.fromkeys(LISTED, "") | {
        "severity": "error",
        "file": file,
        "line": line,
        "reason": reason,
    }


def _check_header(table: pd.DataFrame, rules: Rules) -> list[str]:
    """Compare the columns with the rules; return the year columns of a wide table."""
    expected, found = list(rules.columns), list(table.columns)
    years = found[len(expected) :] if rules.years else []
    file = table.attrs["file"]
    if found[: len(expected)] != expected or (not rules.years and found != expected):
        missing = [column for column in expected if column not in found]
        surplus = [
            column
            for column in found
            if column not in expected and not (rules.years and _YEAR.fullmatch(column))
        ]
        raise sources.DataFault(
            f"{file}:1: columns: missing {missing or 'none'}, not expected {surplus or 'none'}: "
            f"the header must be {','.join(expected)}{',<years>' if rules.years else ''}"
        )
    if rules.years:
        is_year = all(_YEAR.fullmatch(year) for year in years)
        if not years or not is_year or np.any(np.diff([int(year) for year in years]) != 1):
            which = "fiscal years" if rules.fiscal_years else "years"
            raise sources.DataFault(
                f"{file}:1: columns: found {','.join(years)!r} after {expected[-1]}: "
                f"{which} must follow one another without a gap"
            )
    return years


def _column_faults(table: pd.DataFrame, kinds: dict[str, Kind]) -> Iterable[Fault]:
    schema = pa.DataFrameSchema(
        {
            column: pa.Column(str, kind.check(), nullable=False)
            for column, kind in kinds.items()
            # Pandera is slow and is shown what is wrong, so that it says so in its own words.
            if kind is not FREE and not kind.find_right(table[column]).all()
        }
    )
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        for case in error.failure_cases.itertuples():
            yield Fault(int(case.index), str(case.column), str(case.failure_case), str(case.check))


def _key_faults(table: pd.DataFrame, key: tuple[str, ...]) -> Iterable[Fault]:
    columns = list(key)
    keys = pd.MultiIndex.from_frame(table[columns])
    is_again = keys.duplicated()
    if not is_again.any():
        return
    first_line = dict(zip(keys[~is_again], table.index[~is_again], strict=True))
    for line, found in zip(table.index[is_again], keys[is_again], strict=True):
        reason = f"same {', '.join(key)} as line {first_line[found]}: remove one of the two rows"
        yield Fault(int(line), "+".join(key), ", ".join(found), reason)


def _missing_prefectures(table: pd.DataFrame, within: tuple[str, ...]) -> Iterable[Fault]:
    groups = table.groupby(list(within), sort=False) if within else [((), table)]
    for group, rows in groups:
        missing = sorted(set(PREFECTURE_CODES) - set(rows["pref_code"]))
        if missing:
            label = ", ".join(group if isinstance(group, tuple) else (group,))
            reason = f"prefectures missing{f' in {label}' if label else ''}: add their rows"
            yield Fault(int(rows.index[0]), "pref_code", ";".join(missing), reason)


def _span_faults(table: pd.DataFrame, spans: tuple[tuple[str, str], ...]) -> Iterable[Fault]:
    """Find rows that end before they start; an open end is no fault."""
    for first, last in spans:
        years = table[[first, last]].replace("", None).astype(float)
        for line in table.index[years[last] < years[first]]:
            reason = f"before {first}: correct one of the two"
            yield Fault(int(line), last, table.at[line, last], reason)
