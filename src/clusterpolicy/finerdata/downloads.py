"""The published files: their list, fetched, checked and kept in ``data/external``."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import pandas as pd
import pooch

from clusterpolicy import sources
from clusterpolicy.checks import rules

TABLE = "external_files"
MIRROR = "DATA_MIRROR"
JOBS = 6
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5
TIMEOUT_SECONDS = 30
_PIECE = 1 << 16
# Busy, overloaded or down for a moment; every other refusal is final.
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
# No fault of the network: that one reaches us inside URLError, which has no number.
_CANNOT_WRITE = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EROFS})


class Offline(sources.InputMissing):
    """No host could be reached; what ``data/raw`` carries is not affected."""


def read_registry(folder: Path | None = None) -> pd.DataFrame:
    """Read and check the list of external files.

    Parameters
    ----------
    folder : Path, optional
        Folder of the raw tables; ``data/raw`` if not given.

    Returns
    -------
    DataFrame
        Raw table ``external_files``: one row per file, all text.

    Raises
    ------
    sources.DataFault
        If a rule of the table is broken.
    sources.InputMissing
        If the table is missing.
    """
    table = sources.read_raw(TABLE, folder)
    return rules.check_raw(table, TABLE)


def fetch_all(
    registry: pd.DataFrame,
    folder: Path | None = None,
    mirror: Path | None = None,
    note: Callable[[str], None] | None = None,
    jobs: int = JOBS,
) -> dict[str, Path]:
    """Fetch every file that is not there yet, several at a time, and check all of them.

    A file appears whole and checked or not at all. What an interrupted run has fetched stays: whole
    files are not fetched again, and a file cut off on the way is continued where it stopped.

    Parameters
    ----------
    registry : DataFrame
        From ``read_registry``.
    folder : Path, optional
        Where the files go; ``data/external`` if not given.
    mirror : Path, optional
        Folder to copy from instead of the network; named by ``DATA_MIRROR`` if not given.
    note : callable, optional
        Called with one line per finished file.
    jobs : int
        How many files at a time.

    Returns
    -------
    dict of str to Path
        Path of each file, in the order of the registry.

    Raises
    ------
    Offline
        If hosts cannot be reached; names what is missing.
    sources.InputMissing
        If a file is not found, cannot be read, or is not the one that was registered: names the
        file, the SHA-256 expected and the one found.
    OSError
        If the folder cannot be written to.
    """
    folder = sources.EXTERNAL if folder is None else folder
    named = os.environ.get(MIRROR)
    mirror = Path(named) if mirror is None and named else mirror
    if mirror is not None and not mirror.is_dir():
        raise sources.InputMissing(
            f"{MIRROR}: no folder {mirror.name!r} at the path given: correct it, or leave it out "
            "to download"
        )
    for file in registry["file"]:  # here, because pooch is not ready for two threads doing it
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    store = _store(registry, folder)
    stop = threading.Event()
    fetch = _copy_from(mirror) if mirror is not None else _Download(registry, folder, stop)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        runs = {pool.submit(_fetch_one, store, file, fetch): file for file in registry["file"]}
        try:
            _watch(runs, registry, note)
        except BaseException:  # interrupted: let go of the threads before anything else
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    faults = {file: run.exception() for run, file in runs.items() if run.exception()}
    if faults:
        _raise_first(faults, len(registry), folder)
    return {file: folder / file for file in registry["file"]}


def find_missing(registry: pd.DataFrame, folder: Path | None = None) -> list[str]:
    """Return the registered files that are not in the folder."""
    folder = sources.EXTERNAL if folder is None else folder
    return [file for file in registry["file"] if not (folder / file).is_file()]


def checked_paths(
    registry: pd.DataFrame, used_for: str, folder: Path | None = None
) -> dict[str, Path]:
    """Return the files of one use after comparing each with its registered SHA-256.

    Parameters
    ----------
    registry : DataFrame
        From ``read_registry``.
    used_for : str
        Value of its column ``used_for``.
    folder : Path, optional
        Folder of the files; ``data/external`` if not given.

    Returns
    -------
    dict of str to Path
        Path of each file, in the order of the registry.

    Raises
    ------
    sources.InputMissing
        If a file is missing or is not the one that was registered.
    KeyError
        If the registry has no such use.
    """
    folder = sources.EXTERNAL if folder is None else folder
    rows = registry[registry["used_for"] == used_for]
    if rows.empty:
        known = ", ".join(registry["used_for"].unique())
        raise KeyError(f"used_for {used_for!r}: choose one of {known}")
    paths = {}
    for row in rows.itertuples():
        path = folder / row.file
        if not path.is_file():
            raise sources.InputMissing(f"{sources.short_path(path)}: missing: run `make data`")
        found = sources.file_hash(path)
        if found != row.sha256:
            raise sources.InputMissing(_wrong_hash(sources.short_path(path), row.sha256, found))
        paths[row.file] = path
    return paths


def _store(registry: pd.DataFrame, folder: Path) -> pooch.Pooch:
    store = pooch.create(
        path=folder,
        base_url="",
        registry={row.file: f"sha256:{row.sha256}" for row in registry.itertuples()},
        urls=dict(zip(registry["file"], registry["address"], strict=True)),
    )
    pooch.get_logger().setLevel("ERROR")  # it prints whole addresses; `note` says what is needed
    return store


def _fetch_one(store: pooch.Pooch, file: str, fetch: Callable) -> str:
    """Fetch one file; say whether it had been there."""
    there = store.path / file
    is_whole = (
        there.is_file() and sources.file_hash(there) == store.registry[file][len("sha256:") :]
    )
    seen: dict[str, str] = {}

    def noting(address: str, output: str, pooch_store: pooch.Pooch) -> None:
        fetch(file, address, output)
        # pooch deletes what has the wrong hash, and does not tell it to the last digit.
        seen["hash"] = sources.file_hash(Path(output))

    expected = store.registry[file][len("sha256:") :]
    try:
        store.fetch(file, downloader=noting)
    except ValueError as error:
        shown = sources.short_path(there)
        raise sources.InputMissing(
            _wrong_hash(shown, expected, seen.get("hash", "none"))
        ) from error
    return "already there" if is_whole else "fetched"


def _wrong_hash(shown: str, expected: str, found: str) -> str:
    return (
        f"{shown}: found SHA-256 {found}, expected {expected}: the file is damaged or another "
        "edition: delete it and run `make data` again; if the publisher has changed it, look at it "
        f"before you change data/raw/{TABLE}.csv"
    )


def _copy_from(mirror: Path) -> Callable[[str, str, str], None]:
    def copy(file: str, _address: str, output: str) -> None:
        try:
            shutil.copyfile(mirror / file, output)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise sources.InputMissing(
                f"{MIRROR}: {file}: {reason}: put the file into the mirror, or leave {MIRROR} out "
                "to download"
            ) from error

    return copy


class _Download:
    """Downloads one file, continuing what an earlier run has left in ``.<name>.part``."""

    def __init__(self, registry: pd.DataFrame, folder: Path, stop: threading.Event) -> None:
        self._bytes = registry.set_index("file")["bytes"].astype(int).to_dict()
        self._folder = folder
        self._stop = stop

    def __call__(self, file: str, address: str, output: str) -> None:
        path = self._folder / file
        part = path.with_name(f".{path.name}.part")
        reason: object = None
        for attempt in range(ATTEMPTS):
            if attempt and self._stop.wait(FIRST_WAIT_SECONDS * 2 ** (attempt - 1)):
                break
            try:
                self._continue(address, part, self._bytes[file])
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in _TRY_AGAIN:
                    raise sources.InputMissing(
                        f"{file}: the host answered {error.code} {error.reason}: see whether "
                        f"{address} still holds it, or name a folder that does in {MIRROR}"
                    ) from error
                reason = f"{error.code} {error.reason}"
            except OSError as error:
                if error.errno in _CANNOT_WRITE:
                    raise
                reason = getattr(error, "reason", None) or error or type(error).__name__
            else:
                os.replace(part, output)
                return
        raise Offline(f"{file}: {reason}")

    def _continue(self, address: str, part: Path, size: int) -> None:
        """Append what is missing of `part`; raise OSError if the answer ends too early."""
        have = part.stat().st_size if part.is_file() else 0
        if have >= size:  # whole but never moved, or left by another edition
            part.unlink()
            have = 0
        headers = {"User-Agent": "clusterpolicy", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            is_rest = answer.status == 206
            with part.open("ab" if is_rest else "wb") as kept:
                written = have if is_rest else 0
                # One byte too many is enough to know that it is another file.
                while written <= size and (piece := answer.read(_PIECE)):
                    if self._stop.is_set():
                        raise OSError("interrupted")
                    kept.write(piece)
                    written += len(piece)
        if written < size:
            raise OSError(f"the answer ended after {written} of {size} bytes")


def _watch(
    runs: dict[Future, str], registry: pd.DataFrame, note: Callable[[str], None] | None
) -> None:
    """Say which file is done, as each is."""
    sizes = registry.set_index("file")["bytes"].astype(int)
    began, done, megabytes = time.monotonic(), 0, 0.0
    for run in as_completed(runs):
        file = runs[run]
        done += 1
        megabytes += sizes[file] / 1e6
        if note is None:
            continue
        state = "failed" if run.exception() else run.result()
        note(
            f"{done} of {len(runs)} files, {megabytes:.1f} of {sizes.sum() / 1e6:.1f} MB, "
            f"{time.monotonic() - began:.0f} s: {file}: {state}"
        )


def _raise_first(faults: dict[str, BaseException], files: int, folder: Path) -> None:
    """Raise what is wrong with the first file; a host out of reach comes last, told as one."""
    for fault in faults.values():
        if not isinstance(fault, Offline):
            others = len(faults) - 1
            more = f" ({others} more file{'s' if others > 1 else ''} failed)" if others else ""
            if isinstance(fault, sources.InputMissing):
                raise type(fault)(f"{fault}{more}") from fault
            raise fault
    missing = list(faults)
    shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    raise Offline(
        f"{sources.short_path(folder)}: {len(missing)} of {files} files are missing ({shown}): no "
        f"answer from their host ({next(iter(faults.values()))}): run `make data` again when there "
        f"is a network, or name a folder that holds them in {MIRROR}; the reports still build on "
        "the tables of data/raw"
    ) from next(iter(faults.values()))
