"""How official files are read: their figures, gaps, names, and what each mark means."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from clusterpolicy import sources

# From the least to the most that stands in the way of a figure: a sum has the highest of its parts.
STATUSES = ("nil", "observed", "not collected", "unmarked", "blocked", "hidden")
NIL, OBSERVED, NOT_COLLECTED, UNMARKED, BLOCKED, HIDDEN = range(len(STATUSES))
STATUS = pd.CategoricalDtype(STATUSES, ordered=True)

# Printed mark -> status. The Greek letter looks like an X and is another character.
STATUS_OF_MARK: Mapping[str, int] = {
    **dict.fromkeys(("X", "x", "Χ", "χ", "Ｘ", "ｘ"), HIDDEN),
    **dict.fromkeys(("-", "－", "‐", "–", "—", "−", "―"), NIL),
    **dict.fromkeys(("***", "＊＊＊", "…", "...", "・・・"), NOT_COLLECTED),
}
_NEGATIVE = ("△", "▲", "−", "－")


@dataclass
class Log:
    """Every change of a value: where, which rule, how many rows, before and after."""

    entries: list[dict] = field(default_factory=list)

    def note(self, where: str, rule: str, rows: int, before: object, after: object) -> None:
        """Add one entry; a rule that changed nothing leaves none."""
        if rows:
            entry = {"where": where, "rule": rule, "rows": int(rows)}
            self.entries.append({**entry, "before": str(before), "after": str(after)})

    def table(self) -> pd.DataFrame:
        """Return the entries: ``where``, ``rule``, ``rows``, ``before``, ``after``."""
        return pd.DataFrame(self.entries, columns=["where", "rule", "rows", "before", "after"])


def status_of(measure: str) -> str:
    """Return the name of the column that says what stands in a measure."""
    return f"{measure}_status"


def read_stata(path: Path) -> pd.DataFrame:
    """Read a Stata file without turning codes into labels.

    Raises
    ------
    sources.InputMissing
        If the file is missing or cannot be read as one.
    """
    try:
        return pd.read_stata(path, convert_categoricals=False)
    except Exception as error:  # the parser fails on damaged bytes in whatever way it meets them
        raise unreadable(path, "no Stata file that can be read", error) from error


def read_text_table(path: Path, encoding: str) -> pd.DataFrame:
    """Read a CSV file in the encoding it was registered with; every cell stays text.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str
        ``"utf-8"`` or ``"cp932"``: declared, never guessed.

    Returns
    -------
    DataFrame
        As from ``sources.read_raw``: the index is the line of the file.

    Raises
    ------
    sources.InputMissing
        If the file is missing or is not in `encoding`.
    sources.DataFault
        If it is empty, cut off, or a row has too many or too few fields.
    """
    shown = sources.short_path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except OSError as error:
        raise unreadable(path, "cannot be read", error) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        reason = f"line {line} is not {encoding.upper()}, as the file is registered"
        raise unreadable(path, reason, error) from error
    sources.refuse_damage(text, shown)
    header, rows, lines = sources.parse_rows(text, shown)
    table = pd.DataFrame(rows, columns=header, index=pd.Index(lines, name="line"), dtype=str)
    table.attrs["file"] = shown
    return table


def unreadable(path: Path, reason: str, error: BaseException) -> sources.InputMissing:
    """Return the error for a file that is missing or not what it should be."""
    if isinstance(error, FileNotFoundError):
        reason = "missing"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror.lower()
    return sources.InputMissing(
        f"{sources.short_path(path)}: {reason} ({type(error).__name__}): delete it if it is there "
        "and run `make data`"
    )


def status_series(codes: np.ndarray, index: pd.Index) -> pd.Series:
    """Return status codes as a column of their names."""
    return pd.Series(pd.Categorical.from_codes(codes, dtype=STATUS), index=index)


def split_marks(
    printed: pd.Series, where: str, marks: Mapping[str, int] = STATUS_OF_MARK
) -> tuple[pd.Series, pd.Series]:
    """Tell printed figures from the marks that stand in their place.

    Thousands separators, full-width digits and the minus signs of Japanese tables (△, ▲) are read;
    everything else that is neither a plain number nor a known mark is refused.

    Parameters
    ----------
    printed : Series
        Cells as text or as numbers; a missing number stays without a mark.
    where : str
        File and column, for the message.
    marks : mapping of str to int
        Meaning of each mark, as a position in ``STATUSES``.

    Returns
    -------
    value : Series of float
        The figure; missing where there is none.
    status : Series of category
        One of ``STATUSES``; ``unmarked`` where the cell is empty.

    Raises
    ------
    sources.DataFault
        If a cell is neither; names what stands there and its line, where the index of `printed`
        says it, or its row, counted from 1.
    """
    if pd.api.types.is_numeric_dtype(printed):
        value = printed.astype(float)
        value = value.where(np.isfinite(value))
        codes = np.where(value.notna(), OBSERVED, UNMARKED)
        return value, status_series(codes, printed.index)
    # A table repeats few texts that are no plain number: each is looked at once.
    text = printed.map(_as_text)
    is_plain = text.str.fullmatch(r"-?[0-9]+(\.[0-9]+)?")
    value = pd.to_numeric(text.where(is_plain))
    codes = np.where(is_plain, OBSERVED, UNMARKED)
    for odd in text[~is_plain].unique():
        is_it = (text == odd).to_numpy()
        cleaned = odd.strip("\u3000 \t\n")
        if cleaned in marks:
            codes[is_it] = marks[cleaned]
        elif cleaned:
            value[is_it] = _read_number(cleaned, _place(printed, is_it, where))
            codes[is_it] = OBSERVED
    return value.astype(float), status_series(codes, printed.index)


def _as_text(cell: object) -> str:
    """Return a cell of a workbook as text; whole numbers come as floats."""
    if isinstance(cell, float):
        if not np.isfinite(cell):
            return ""
        return str(int(cell)) if cell == int(cell) else repr(cell)
    return "" if cell is None else str(cell)


def _place(printed: pd.Series, is_it: np.ndarray, where: str) -> str:
    """Say where the first of the marked cells stands: by line of its file, if that is known."""
    first = int(np.flatnonzero(is_it)[0])
    if printed.index.name != "line":
        return f"{where}: row {first + 1}"
    file, colon, column = where.partition(": ")
    return f"{file}:{printed.index[first]}{colon}{column}"


def _read_number(text: str, place: str) -> float:
    plain = text
    for sign in _NEGATIVE:
        plain = plain.replace(sign, "-")
    plain = unicodedata.normalize("NFKC", plain).replace(",", "").replace(" ", "")
    # float() also takes 1_0, 1e400, nan and other scripts' digits, which no table prints.
    if not plain.isascii() or not plain.removeprefix("-").replace(".", "", 1).isdigit():
        raise sources.DataFault(
            f"{place}: found {text!r}: neither a number nor a known mark: correct the "
            "file, or say in marks.STATUS_OF_MARK what the mark means"
        )
    return float(plain)


def plain_name(names: pd.Series) -> pd.Series:
    """Return names without blanks, full-width ones included, and without other widths of letters.

    A name stands with trailing blanks in one year and with a full-width blank inside in the next.
    """
    unique = pd.Series(names.unique())
    plain = unique.astype(str).str.normalize("NFKC").str.replace(r"\s+", "", regex=True)
    return names.map(dict(zip(unique, plain, strict=True))).astype(str)


def add_up(
    table: pd.DataFrame, keys: Sequence[str], measures: Sequence[str], detail: bool = False
) -> pd.DataFrame:
    """Add rows up without letting a gap pass for a figure.

    A sum has a value only if every part is observed or nil; otherwise it is missing and has the
    status of the part that stands most in its way. All parts nil: the sum is nil.

    Parameters
    ----------
    table : DataFrame
        With `keys`, `measures` and the status of each measure.
    keys : sequence of str
        Columns that the result has one row of.
    measures : sequence of str
        Columns to add up.
    detail : bool
        Add, for each measure, ``<measure>_known`` (sum of the observed parts) and
        ``<measure>_gaps`` (number of the others, nil apart).

    Returns
    -------
    DataFrame
        `keys` in their order, then each measure and its status.
    """
    work = table[list(keys)].copy()
    for measure in measures:
        codes = table[status_of(measure)].cat.codes
        work[measure] = table[measure].fillna(0.0)
        work[status_of(measure)] = codes
        work[f"{measure}_gaps"] = (codes > OBSERVED).astype(np.int32)
    groups = work.groupby(list(keys), sort=True, observed=True)
    how = {}
    for measure in measures:
        how |= {measure: "sum", status_of(measure): "max", f"{measure}_gaps": "sum"}
    sums = groups.agg(how).reset_index()
    for measure in measures:
        codes = sums[status_of(measure)].to_numpy()
        known = sums[measure]
        if detail:
            sums[f"{measure}_known"] = known
        else:
            sums = sums.drop(columns=f"{measure}_gaps")
        sums[measure] = known.where(codes == OBSERVED)
        sums[status_of(measure)] = status_series(codes, sums.index)
    return sums


def prefecture_codes(
    names: pd.Series, prefectures: pd.DataFrame, where: str, complete: bool = True
) -> pd.Series:
    """Return the code of each prefecture, however its name is written.

    Parameters
    ----------
    names : Series of str
        Names such as ``"青森"``, ``"青森県"`` or ``"青森県　"``.
    prefectures : DataFrame
        Raw or clean table of prefectures: ``pref_code``, ``name_ja``.
    where : str
        File, for the message.
    complete : bool
        Whether all 47 must be among them.

    Returns
    -------
    Series of str
        ``"01"`` to ``"47"``, on the index of `names`.

    Raises
    ------
    sources.DataFault
        If a name is not that of a prefecture, or one is missing although `complete`.
    """
    full = prefectures["name_ja"]
    # 北海道 is never cut; 京都府 becomes 京都 and 東京都 becomes 東京.
    short = full.where(full == "北海道", full.str.replace(r"[都府県]$", "", regex=True))
    code_of = {
        **dict(zip(short, prefectures["pref_code"], strict=True)),
        **dict(zip(full, prefectures["pref_code"], strict=True)),
    }
    codes = plain_name(names).map(code_of)
    if codes.isna().any():
        found = names[codes.isna()].iloc[0]
        raise sources.DataFault(
            f"{where}: found {found!r} where a prefecture is expected: correct the file"
        )
    missing = sorted(set(prefectures["pref_code"]) - set(codes))
    if complete and missing:
        raise sources.DataFault(
            f"{where}: found no row of prefecture {', '.join(missing)}: the file is not whole"
        )
    return codes
