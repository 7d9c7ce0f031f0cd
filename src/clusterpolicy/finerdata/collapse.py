"""Records of a user's own, millions in one file, to the cells of the study: checked, added up.

Establishments or firms under the user's permit. The file is read in pieces and
never held as a whole, so ten million rows need a few seconds and little memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from clusterpolicy import sources
from clusterpolicy.checks.checking import LISTED, MOST_LISTED, PREFECTURE_CODES
from clusterpolicy.finerdata import marks
from clusterpolicy.finerdata.marks import NIL, OBSERVED, UNMARKED

KEYS = ("year", "pref_code", "jsic2_code")
PIECE_BYTES = 1 << 20
PIECE_ROWS = 1 << 16
FIRST_YEAR, LAST_YEAR = 1900, 2099
_YEARS = LAST_YEAR - FIRST_YEAR + 1
_TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class _Keys:
    """Where each text of a key column goes; texts that are not listed are faults."""

    column: str
    place: Mapping[str, int]
    reason: str


def collapse_to_cells(
    path: Path,
    measures: Sequence[str],
    base: str,
    account_industries: pd.DataFrame,
    signed: Sequence[str] = (),
) -> pd.DataFrame:
    """Add records up to the cells of one base of the accounts.

    Parameters
    ----------
    path : Path
        ``.csv`` in UTF-8 or ``.parquet``; one row per establishment or firm and year, with
        ``year`` (four digits), ``pref_code`` (``"01"`` ... ``"47"``, text), ``jsic2_code``
        (revision 12, two digits, text) and the measures. Other columns are not read, and lines are
        counted as if no cell held a line break.
    measures : sequence of str
        Columns of numbers to add up, e.g. ``["employees", "shipments_million_yen"]``; an empty
        cell is a figure that is not known.
    base : str
        Base whose industries the cells have, e.g. ``"b2005"``.
    account_industries : DataFrame
        Raw or clean table: industries of each base and their JSIC codes.
    signed : sequence of str
        Measures that may be below zero.

    Returns
    -------
    DataFrame
        One row per ``base``, ``pref_code``, ``industry`` and ``year`` of the years that the file
        has, also where it has no record: ``records``, then for each measure its sum, its status
        (observed; nil: no record; unmarked: of some record the figure is not known, so there is no
        sum), ``<measure>_known`` (sum of those known), ``<measure>_gaps`` (number of the others).

    Raises
    ------
    sources.InputMissing
        If the file is missing or neither CSV nor Parquet.
    sources.DataFault
        If a column is missing or a value is not allowed; names the first by its line and counts the
        others, of which the first thousand are its ``rows``.
    """
    industries = _industries_of_codes(account_industries, base)
    names = list(dict.fromkeys(industries.values()))
    keys = [
        _Keys(
            "year",
            {str(FIRST_YEAR + at): at for at in range(_YEARS)},
            f"not a year: write four digits, {FIRST_YEAR} to {LAST_YEAR}",
        ),
        _Keys(
            "pref_code",
            {code: at for at, code in enumerate(PREFECTURE_CODES)},
            "not a prefecture code: write 01 to 47 with its leading zero",
        ),
        _Keys(
            "jsic2_code",
            {code: names.index(name) for code, name in industries.items()},
            f"no industry of manufacturing in JSIC revision 12 that base {base} tells: convert the "
            "code, or leave the record out",
        ),
    ]
    shape = (_YEARS, len(PREFECTURE_CODES), len(names))
    sums = _Sums(shape, list(measures))
    faults = _Faults(path, frozenset(signed))
    first = 2 if path.suffix == ".csv" else 1  # the header of a CSV file is its line 1
    for piece in _pieces(path, measures, faults):
        places = [_place(piece, key, first, faults) for key in keys]
        figures = [_figures(piece, measure, first, faults) for measure in measures]
        if not faults.total:
            sums.add(places, figures)
        first += piece.num_rows
    faults.stop()
    return sums.table(base, names)


def to_cell_panel(cells: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one measure in the shape of ``Study.cell_panel``, for the designs of ``effects``.

    Parameters
    ----------
    cells : DataFrame
        From ``collapse_to_cells``.
    measure : str
        One of its measures. It takes the place of the product; what the reports print as product
        in million yen is then this measure in its own unit.
    """
    return pd.DataFrame(
        {
            "base": cells["base"],
            "pref_code": cells["pref_code"],
            "industry": cells["industry"],
            "fy": cells["year"],
            "product_million_yen": cells[measure],
            "status": cells[marks.status_of(measure)].astype(str),
            "source": "OWN",
        }
    )


def _industries_of_codes(account_industries: pd.DataFrame, base: str) -> dict[str, str]:
    """Return the industry of each JSIC code; one that two industries share stands for neither."""
    of_base = account_industries[account_industries["base"] == base]
    if of_base.empty:
        known = ", ".join(sorted(set(account_industries["base"])))
        raise ValueError(f"base {base!r}: choose one of {known}")
    pairs = [
        (code, row.industry) for row in of_base.itertuples() for code in row.jsic_rev12.split(";")
    ]
    shared = {code for code, industry in pairs if dict(pairs)[code] != industry}
    return {code: industry for code, industry in pairs if code and code not in shared}


class _Sums:
    """Sums of every cell, added to piece by piece."""

    def __init__(self, shape: tuple[int, int, int], measures: list[str]) -> None:
        self.shape = shape
        self.measures = measures
        self.records = np.zeros(shape, dtype=np.int64)
        self.known = {measure: np.zeros(shape) for measure in measures}
        self.gaps = {measure: np.zeros(shape, dtype=np.int64) for measure in measures}

    def add(self, places: list[np.ndarray], figures: list[np.ndarray]) -> None:
        cell = np.ravel_multi_index(places, self.shape)
        # Only the years of the piece: a count over all cells would cost more than the sums.
        low = int(cell.min(initial=np.prod(self.shape))) if len(cell) else 0
        cell = cell - low
        self._at(self.records, low, np.bincount(cell))
        for measure, figure in zip(self.measures, figures, strict=True):
            is_known = ~np.isnan(figure)
            if is_known.all():
                self._at(self.known[measure], low, np.bincount(cell, figure))
            else:
                self._at(self.known[measure], low, np.bincount(cell[is_known], figure[is_known]))
                self._at(self.gaps[measure], low, np.bincount(cell[~is_known]))

    def _at(self, whole: np.ndarray, low: int, part: np.ndarray) -> None:
        whole.reshape(-1)[low : low + len(part)] += part.astype(whole.dtype)

    def table(self, base: str, industries: list[str]) -> pd.DataFrame:
        """Return the cells of the years that have any record."""
        years = np.flatnonzero(self.records.sum(axis=(1, 2)))
        grid = pd.MultiIndex.from_product(
            [PREFECTURE_CODES, industries, FIRST_YEAR + years],
            names=["pref_code", "industry", "year"],
        )
        cells = grid.to_frame(index=False)
        cells.insert(0, "base", base)
        cells["records"] = self._told(self.records, years)
        has_none = cells["records"].to_numpy() == 0
        for measure in self.measures:
            known = self._told(self.known[measure], years)
            gaps = self._told(self.gaps[measure], years)
            codes = np.select([has_none, gaps > 0], [NIL, UNMARKED], OBSERVED)
            cells[measure] = np.where(codes == OBSERVED, known, np.nan)
            cells[marks.status_of(measure)] = marks.status_series(codes, cells.index)
            cells[f"{measure}_known"], cells[f"{measure}_gaps"] = known, gaps
        return cells

    def _told(self, sums: np.ndarray, years: np.ndarray) -> np.ndarray:
        return sums[years].transpose(1, 2, 0).reshape(-1)


class _Faults:
    """What breaks a rule: the first thousand by line, and how many there are."""

    def __init__(self, path: Path, signed: frozenset[str]) -> None:
        self.file = sources.short_path(path)
        self.signed = signed
        self.rows: list[dict] = []
        self.total = 0

    def add(self, column: str, lines: np.ndarray, values: Sequence[object], reason: str) -> None:
        self.total += len(lines)
        room = MOST_LISTED - len(self.rows)
        for line, value in zip(lines[:room].tolist(), values[:room], strict=True):
            row = dict.fromkeys(LISTED, "") | {"severity": "error", "file": self.file}
            shown = "" if value is None else str(value)
            self.rows.append(
                row | {"line": line, "column": column, "value": shown, "reason": reason}
            )

    def stop(self) -> None:
        if not self.total:
            return
        rows = sorted(self.rows, key=lambda row: row["line"])
        first, others = rows[0], self.total - 1
        more = f" ({others:,} more fault{'s' if others > 1 else ''} in this file)" if others else ""
        raise sources.DataFault(
            f"{self.file}:{first['line']}: column {first['column']}: found {first['value']!r}: "
            f"{first['reason']}{more}",
            rows,
        )


def _pieces(path: Path, measures: Sequence[str], faults: _Faults) -> Iterator[pa.RecordBatch]:
    """Read the columns that are needed, some hundred thousand rows at a time."""
    columns = [*KEYS, *measures]
    try:
        if path.suffix == ".parquet":
            with path.open("rb") as handle, parquet.ParquetFile(handle) as file:
                _require(columns, file.schema_arrow.names, faults.file)
                yield from file.iter_batches(PIECE_ROWS, columns=columns)
        elif path.suffix == ".csv":
            yield from _csv_pieces(path, columns, measures)
        else:
            raise sources.InputMissing(f"{faults.file}: neither .csv nor .parquet: convert it")
    except OSError as error:
        if isinstance(error, sources.InputMissing):
            raise
        raise sources.InputMissing(
            f"{faults.file}: {(error.strerror or 'cannot be read').lower()}: correct the path"
        ) from error
    except pa.ArrowInvalid as error:
        told = " ".join(str(error).split())
        raise sources.DataFault(f"{faults.file}: {told}: correct the file") from error


def _csv_pieces(
    path: Path, columns: list[str], measures: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        header = file.readline(1 << 16).decode("utf-8-sig", errors="replace").strip("\r\n")
    _require(columns, [name.strip('"') for name in header.split(",")], sources.short_path(path))
    convert = csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(KEYS, _TEXT) | dict.fromkeys(measures, pa.string()),
        strings_can_be_null=False,
    )
    numbers = csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(KEYS, _TEXT) | dict.fromkeys(measures, pa.float64()),
        null_values=[""],
        strings_can_be_null=False,
    )
    read = csv.ReadOptions(block_size=PIECE_BYTES)
    seen = 0
    try:
        with csv.open_csv(path, read, convert_options=numbers) as reader:
            for piece in reader:
                seen += 1
                yield piece
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
        # Some text is no number: which one and where is asked only now, for it takes longer.
        with csv.open_csv(path, read, convert_options=convert) as reader:
            for number, piece in enumerate(reader):
                if number >= seen:
                    yield piece


def _require(columns: Sequence[str], found: Sequence[str], file: str) -> None:
    missing = [column for column in columns if column not in found]
    twice = [column for column in columns if list(found).count(column) > 1]
    if missing or twice:
        raise sources.DataFault(
            f"{file}:1: columns: missing {missing or 'none'}, twice {twice or 'none'}: the file "
            f"needs {','.join(columns)}, each once"
        )


def _place(piece: pa.RecordBatch, key: _Keys, first: int, faults: _Faults) -> np.ndarray:
    """Return the place of each row's key; note the texts that have none."""
    column = piece.column(key.column)
    if not pa.types.is_dictionary(column.type):
        column = pc.cast(column, pa.string()).dictionary_encode()
    texts = column.dictionary.to_pylist()
    of_text = np.array([key.place.get(text, -1) for text in texts] or [-1])
    indices = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    places = np.where(indices >= 0, of_text[indices], -1)
    wrong = np.flatnonzero(places < 0)
    if len(wrong):
        values = [None if indices[at] < 0 else texts[indices[at]] for at in wrong[:MOST_LISTED]]
        faults.add(key.column, first + wrong, values, key.reason)
    return places


def _figures(piece: pa.RecordBatch, measure: str, first: int, faults: _Faults) -> np.ndarray:
    """Return the numbers of a measure, NaN where the cell is empty; note what is no number."""
    column = piece.column(measure)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        is_empty = pc.equal(column, "").to_numpy(zero_copy_only=False)
        is_number = pc.match_substring_regex(column, r"^-?[0-9]+(\.[0-9]+)?$")
        wrong = np.flatnonzero(~(is_number.to_numpy(zero_copy_only=False) | is_empty))
        values = column.take(pa.array(wrong[:MOST_LISTED])).to_pylist()
        reason = "not a number: write plain digits, or leave it empty"
        faults.add(measure, first + wrong, values, reason)
        return np.full(len(column), np.nan)
    is_known = column.is_valid().to_numpy(zero_copy_only=False)
    figures = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    odd = is_known & ~np.isfinite(figures)
    below = np.zeros_like(odd) if measure in faults.signed else figures < 0
    for is_wrong, reason in (
        (odd, "not a number: write plain digits, or leave it empty"),
        (below, "below zero: correct it, or name the measure in `signed`"),
    ):
        if is_wrong.any():
            wrong = np.flatnonzero(is_wrong)
            faults.add(measure, first + wrong, figures[wrong[:MOST_LISTED]].tolist(), reason)
    return figures
