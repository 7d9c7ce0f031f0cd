"""Tables of e-Stat, the government's portal of statistics, through its API 3.0."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

import pandas as pd

from clusterpolicy import sources
from clusterpolicy.finerdata import marks
from clusterpolicy.finerdata.marks import HIDDEN, NIL, NOT_COLLECTED, STATUS_OF_MARK

ADDRESS = "https://api.e-stat.go.jp/rest/3.0/app/json"
APP_ID = "ESTAT_APP_ID"
# 0 fine, 1 nothing matches, 2 fine but for a part that matches nothing; from 100 on, refused.
_FINE, _NO_MATCH, _PART = 0, 1, 2
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOST_BYTES = 256 << 20
_PIECE = 1 << 16
# Words of a table's notes -> what its mark means.
_MEANINGS = {
    "秘匿": HIDDEN,
    "該当数字": NIL,
    "皆無": NIL,
    "調査して": NOT_COLLECTED,
    "調査対象": NOT_COLLECTED,
    "未集計": NOT_COLLECTED,
}
# Area codes of the Census of Manufactures are those of the standard list with 2 added to the
# number of the prefecture: 03000 is Hokkaido, 03100 Sapporo.
_AREA_SHIFT = 2000


class Refused(sources.InputMissing):
    """e-Stat answered that it will not: wrong app id, unknown table, too many requests."""


@dataclass(frozen=True)
class Client:
    """How to reach e-Stat; the app id is sent and never shown.

    Attributes
    ----------
    app_id : str
        Given out by e-Stat to its registered users.
    address : str
        Start of the addresses.
    timeout : float
        Seconds that one answer may take in all.
    attempts : int
        How often a request is sent before it is given up.
    first_wait : float
        Seconds before the second attempt; doubled before each further one.
    """

    app_id: str = field(repr=False)
    address: str = ADDRESS
    timeout: float = 60.0
    attempts: int = 4
    first_wait: float = 1.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9A-Za-z]{1,64}", self.app_id):
            raise sources.InputMissing(
                f"{APP_ID}: not an app id of e-Stat (letters and digits only): copy it again"
            )


def from_environment() -> Client:
    """Return a client with the app id in ``ESTAT_APP_ID``.

    Raises
    ------
    sources.InputMissing
        If it is not set.
    """
    named = os.environ.get(APP_ID, "").strip()
    if not named:
        raise sources.InputMissing(
            f"{APP_ID}: not set: register at e-Stat (free) and export the app id; without it the "
            "reports stand on the tables of data/raw"
        )
    return Client(named, ADDRESS)


def get_meta(client: Client, table: str) -> pd.DataFrame:
    """Ask for the classes of a table: what its codes mean.

    Parameters
    ----------
    client : Client
        How to reach e-Stat.
    table : str
        Ten digits, e.g. ``"0003448119"``.

    Returns
    -------
    DataFrame
        One row per axis and code: ``axis``, ``axis_name``, ``code``, ``name``, ``level`` and
        ``parent`` (both ``""`` where not given); ``attrs["title"]`` and ``attrs["survey"]``.

    Raises
    ------
    Refused
        If e-Stat refuses.
    sources.InputMissing
        If it cannot be reached or answers nonsense.
    """
    result = _ask(client, "getMetaInfo", {"statsDataId": _table_id(table)})
    try:
        inside = result["METADATA_INF"]
        classes = _classes(inside["CLASS_INF"])
        classes.attrs = _about(inside["TABLE_INF"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _nonsense(table, error) from error
    return classes


def get_data(client: Client, table: str, **filters: str) -> pd.DataFrame:
    """Ask for the figures of a table, page by page.

    Parameters
    ----------
    client : Client
        How to reach e-Stat.
    table : str
        Ten digits.
    **filters : str
        Narrowing parameters of the API, e.g. ``cdCat01="17000000"``, ``limit="1000"``.

    Returns
    -------
    DataFrame
        A column of codes for each axis (``cat01``, ``area`` ...) and its names
        (``cat01_name`` ...), ``printed`` (figure or mark as given), ``value``, ``status`` and
        ``unit`` (``""`` where not given). No rows if nothing matches.

    Raises
    ------
    Refused
        If e-Stat refuses.
    sources.InputMissing
        If it cannot be reached, answers nonsense, or breaks off before the last page.
    sources.DataFault
        If a cell is neither a number nor a mark that the table explains.
    """
    wanted = {"statsDataId": _table_id(table), **_checked(filters)}
    rows: list[dict] = []
    known = dict(STATUS_OF_MARK)
    classes, position, total = None, 1, 0
    while position:
        result = _ask(client, "getStatsData", {**wanted, "startPosition": str(position)})
        if result["RESULT"]["STATUS"] == _NO_MATCH:
            break
        try:
            page = result["STATISTICAL_DATA"]
            about = page["RESULT_INF"]
            total = int(about["TOTAL_NUMBER"])
            if classes is None:
                classes = _classes(page["CLASS_INF"])
                known |= _note_marks(page["DATA_INF"].get("NOTE", []))
            rows += _as_list(page["DATA_INF"]["VALUE"])
            following = int(about.get("NEXT_KEY") or 0)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _nonsense(table, error) from error
        if following and following <= position:
            raise _nonsense(table, ValueError(f"NEXT_KEY {following} after {position}"))
        position = following
    if "startPosition" not in filters and "limit" not in filters and len(rows) != total:
        raise sources.InputMissing(
            f"e-Stat table {table}: found {len(rows)} of {total} figures: ask again"
        )
    return _tidy(rows, classes, known, table)


def standard_areas(data: pd.DataFrame, prefectures: pd.DataFrame) -> pd.Series:
    """Return the standard municipality codes for the area codes of the Census of Manufactures.

    Parameters
    ----------
    data : DataFrame
        From ``get_data`` or, with ``code`` and ``name``, of the axis ``area``.
    prefectures : DataFrame
        Raw or clean table: names that the codes of prefectures are held against.

    Returns
    -------
    Series of str
        Five digits: ``"00000"`` for the country, ``"01000"`` for Hokkaido, ``"01100"`` for
        Sapporo.

    Raises
    ------
    sources.DataFault
        If a prefecture's code is not that of its name: the table codes areas in another way.
    """
    code, name = ("area", "area_name") if "area" in data.columns else ("code", "name")
    is_country = data[name].str.startswith("全国")
    numbers = data[code].astype(int) - _AREA_SHIFT
    result = numbers.clip(lower=0).astype(str).str.zfill(5).mask(is_country, "00000")
    is_prefecture = ~is_country & (numbers % 1000 == 0)
    expected = marks.prefecture_codes(
        data.loc[is_prefecture, name], prefectures, "e-Stat areas", complete=False
    )
    wrong = result[is_prefecture] != expected + "000"
    if wrong.any():
        row = data.loc[wrong.index[wrong][0]]
        raise sources.DataFault(
            f"e-Stat area {row[code]}: found {row[name]!r}, which is not the prefecture of that "
            "code less 2: the table codes areas in another way: use its names"
        )
    return result


def _table_id(table: str) -> str:
    if not re.fullmatch(r"[0-9]{10}", table):
        raise ValueError(f"e-Stat table {table!r}: write its ten digits")
    return table


def _checked(filters: dict[str, str]) -> dict[str, str]:
    for name, value in filters.items():
        if not re.fullmatch(r"[a-z][A-Za-z0-9]*", name) or not re.fullmatch(r"[\w,-]+", value):
            raise ValueError(
                f"e-Stat parameter {name}={value!r}: write a code or codes joined by ,"
            )
        if name in ("appId", "statsDataId", "startPosition"):
            raise ValueError(f"e-Stat parameter {name}: set by the client: leave it out")
    return filters


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirection: the app id stands in the address and would go to another host."""

    def redirect_request(self, *_arguments: object) -> None:
        """Return nothing, so that the answer counts as refused."""
        return None


def _ask(client: Client, method: str, wanted: dict[str, str]) -> dict:
    """Send one request and return what stands inside the answer's envelope."""
    query = urllib.parse.urlencode({"appId": client.app_id, "lang": "J", **wanted})
    request = urllib.request.Request(f"{client.address}/{method}?{query}")
    reason = ""
    for attempt in range(client.attempts):
        if attempt:
            time.sleep(client.first_wait * 2 ** (attempt - 1))
        answer, reason, is_final = _attempt(client, request, wanted)
        if isinstance(answer, Refused):
            # Raised here and not where it was met: what it would be chained to there carries the
            # address, and in it the app id.
            raise answer
        if answer is not None:
            return answer
        if is_final:
            break
    raise sources.InputMissing(
        f"e-Stat table {wanted['statsDataId']}: no usable answer ({_hide(client, reason)}): "
        "try again later; the reports still build on the tables of data/raw"
    )


def _attempt(
    client: Client, request: urllib.request.Request, wanted: dict[str, str]
) -> tuple[dict | Refused | None, str, bool]:
    """Send a request once; return the answer or a refusal, the reason of a failure, its end."""
    try:
        return _open(client, json.loads(_read(request, client.timeout)), wanted), "", True
    except urllib.error.HTTPError as error:
        # A refusal may come with a body that says why.
        refusal = _refusal(client, error, wanted)
        return refusal, f"HTTP {error.code}", error.code not in _TRY_AGAIN
    except (OSError, http.client.HTTPException, ValueError) as error:
        return None, _describe(error), False


def _read(request: urllib.request.Request, timeout: float) -> bytes:
    """Read one answer whole, within the time it may take in all."""
    until = time.monotonic() + timeout
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(request, timeout=timeout) as answer:
        pieces, size = [], 0
        while piece := answer.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if time.monotonic() > until:
                raise TimeoutError("timed out")
            if size > _MOST_BYTES:
                raise ValueError("too large")
    return b"".join(pieces)


def _describe(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "not JSON"
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def _hide(client: Client, text: str) -> str:
    return text.replace(client.app_id, "<app id>")


def _open(client: Client, answer: object, wanted: dict[str, str]) -> dict | Refused:
    """Take the answer out of its envelope; return a refusal if its status is one."""
    try:
        (inside,) = answer.values()
        status = int(inside["RESULT"]["STATUS"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("not an answer of e-Stat") from error
    if status not in (_FINE, _NO_MATCH, _PART):
        told = _hide(client, str(inside["RESULT"].get("ERROR_MSG", "")))
        what = f"check {APP_ID}" if status == 100 else "check the table and its parameters"
        return Refused(
            f"e-Stat table {wanted['statsDataId']}: refused with STATUS {status} ({told}): {what}"
        )
    inside["RESULT"]["STATUS"] = status
    return inside


def _refusal(
    client: Client, error: urllib.error.HTTPError, wanted: dict[str, str]
) -> Refused | None:
    """Return what the body of a refused request says, if it says anything."""
    with error:
        try:
            answer = _open(client, json.loads(error.read(_MOST_BYTES)), wanted)
        except (OSError, http.client.HTTPException, ValueError):
            return None
    return answer if isinstance(answer, Refused) else None


def _nonsense(table: str, error: Exception) -> sources.InputMissing:
    return sources.InputMissing(
        f"e-Stat table {table}: the answer lacks or garbles what the API promises ({error}): ask "
        "again, and look whether the API has changed"
    )


def _as_list(item: object) -> list:
    """Return a list of what e-Stat gives as an object where there is one of it."""
    return item if isinstance(item, list) else [item]


def _about(table: dict) -> dict[str, str]:
    title = table["TITLE"]
    return {
        "title": title["$"] if isinstance(title, dict) else str(title),
        "survey": str(table["SURVEY_DATE"]),
    }


def _classes(inside: dict) -> pd.DataFrame:
    rows = [
        {
            "axis": axis["@id"],
            "axis_name": axis["@name"],
            "code": each["@code"],
            "name": each["@name"],
            "level": each.get("@level", ""),
            "parent": each.get("@parentCode", ""),
        }
        for axis in _as_list(inside["CLASS_OBJ"])
        for each in _as_list(axis["CLASS"])
    ]
    classes = pd.DataFrame(rows, dtype=str)
    twice = classes[classes.duplicated(["axis", "code"])]
    if not twice.empty:
        raise ValueError(f"code {twice['code'].iloc[0]} of {twice['axis'].iloc[0]} twice")
    return classes


def _note_marks(notes: object) -> dict[str, int]:
    """Return what the marks of a table mean by its own notes."""
    found = {}
    for note in _as_list(notes):
        for words, status in _MEANINGS.items():
            if words in note.get("$", ""):
                found[note["@char"]] = status
    return found


def _tidy(
    rows: list[dict], classes: pd.DataFrame | None, known: dict[str, int], table: str
) -> pd.DataFrame:
    axes = [] if classes is None else classes["axis"].unique().tolist()
    names = [column for axis in axes for column in (axis, f"{axis}_name")]
    columns = [*names, "printed", "value", "status", "unit"]
    if not rows:
        return pd.DataFrame(columns=columns)
    raw = pd.DataFrame(rows).rename(columns=lambda name: name.removeprefix("@"))
    missing = [axis for axis in (*axes, "$") if axis not in raw.columns]
    if missing or raw[[*axes, "$"]].isna().any(axis=None):
        raise _nonsense(table, ValueError(f"figures without {missing or 'a code'}"))
    if raw.duplicated(axes).any():
        raise _nonsense(table, ValueError("a figure twice"))
    data = raw[axes].astype(str)
    for axis in axes:
        of_axis = classes[classes["axis"] == axis].set_index("code")["name"]
        data[f"{axis}_name"] = data[axis].map(of_axis)
        if data[f"{axis}_name"].isna().any():
            code = data.loc[data[f"{axis}_name"].isna(), axis].iloc[0]
            raise _nonsense(table, ValueError(f"code {code} of {axis} is not explained"))
    value, status = marks.split_marks(raw["$"].astype(str), f"e-Stat table {table}", known)
    unit = raw["unit"].fillna("") if "unit" in raw.columns else ""
    return data.assign(printed=raw["$"], value=value, status=status, unit=unit)[columns]
