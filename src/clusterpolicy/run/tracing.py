"""Which files a notebook really reads and writes: the tables that its report depends on.

A list kept by hand goes stale; the interpreter's audit events do not. Every file that is opened
below the root while a notebook runs is written down with the hash it had at that moment, so a
file edited during the run is noticed too; so is every template or style sheet of the package,
whether a notebook opens it or what makes a page. Libraries that open files outside Python raise no
such event; for the one in use here, pyarrow, its entry points are made to (`_announce_arrow`).
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from clusterpolicy.run.freshness import hash_file, hash_listing

# Code is followed through its import statements, the rest is made by the run or by tools.
_NOT_DATA = {"src", "notebooks", "reports", "build", "tests"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def record_files(root: Path, package: Path, log: Path) -> None:
    """From now on write every use of a file below `root` to `log`, until the process ends.

    Each line is a JSON list of kind (``read``, ``listed``, ``written``; ``package`` for a file of
    the package that is not Python), path relative to `root` or `package` and, unless written, the
    hash of what was found (None: nothing was there). Lines reach the file at once, so they survive
    a kernel that is killed.
    """
    _announce_arrow()
    sys.addaudithook(_observer(os.path.realpath(root), os.path.realpath(package), _opened(log)))


def record_templates(package: Path, log: Path) -> None:
    """From now on write every file of the package that is opened and not Python to `log`."""
    sys.addaudithook(_observer(None, os.path.realpath(package), _opened(log)))


def _opened(log: Path) -> int:
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def read_templates(log: Path) -> dict[str, str | None]:
    """Return the files of the package that `record_templates` has seen, with their hashes."""
    return _read(log)["package"]


def _read(log: Path) -> dict[str, dict[str, str | None]]:
    used: dict[str, dict] = {"read": {}, "listed": {}, "written": {}, "package": {}}
    for line in log.read_text(encoding="utf-8").splitlines():
        kind, short, found = json.loads(line)
        used[kind].setdefault(short, found)
    return used


def read_record(root: Path, log: Path) -> dict[str, dict[str, str | None]]:
    """Return what a finished run has used.

    Returns
    -------
    dict
        ``read``, ``listed`` and ``package``: path to the hash found when it was first used.
        ``written``: path to the hash it has now; what a run has written itself is not among its
        inputs.
    """
    used = _read(log)
    used["written"] = {
        short: found
        for short in used["written"]
        if (found := hash_file(os.path.join(root, short))) is not None
    }
    for short in used["written"]:
        used["read"].pop(short, None)
    # A folder in which the run itself makes files has other names afterwards.
    made_in = {short.rpartition("/")[0] for short in used["written"]}
    used["listed"] = {k: v for k, v in used["listed"].items() if k not in made_in}
    return used


def _announce_arrow() -> None:
    """Make pyarrow say which files it opens, as Python's own ``open`` does."""
    import pyarrow
    from pyarrow import parquet

    class OSFile(pyarrow.OSFile):
        def __init__(self, path, mode="r", *_others, **_named) -> None:
            sys.audit("open", path, mode, 0)

    pyarrow.OSFile = OSFile
    for kind, mode in (
        (parquet.ParquetFile, "r"),
        (parquet.ParquetDataset, "r"),
        (parquet.ParquetWriter, "w"),
    ):
        kind.__init__ = _announcing(kind.__init__, mode)


def _announcing(begin: Callable, mode: str) -> Callable:
    @functools.wraps(begin)
    def announce(self, source, *others, **named) -> None:
        if isinstance(source, (str, os.PathLike)):
            sys.audit("open", source, mode, 0)
        begin(self, source, *others, **named)

    return announce


def _observer(root: str | None, package: str, handle: int) -> Callable[[str, tuple], None]:
    """Return the audit hook, which does not see the files it opens itself."""
    busy = threading.local()
    seen: set[tuple[str, str]] = set()

    def note(kind: str, path: object, find: Callable[[str], str | None] | None) -> None:
        top, short = package, _template(package, path) if kind == "read" else None
        if short is not None:
            kind = "package"
        elif root is not None:
            top, short = root, _below(root, path)
        if short is None or (kind, short) in seen:
            return
        seen.add((kind, short))
        found = find(os.path.join(top, short)) if find else None
        os.write(handle, (json.dumps([kind, short, found]) + "\n").encode())

    def observe(event: str, arguments: tuple) -> None:
        if event not in _EVENTS or getattr(busy, "now", False):
            return
        busy.now = True
        try:
            if event == "open":
                path, mode, flags = arguments
                writes = any(c in mode for c in "wax+") if mode else (flags or 0) & _WRITING
                if not writes:
                    note("read", path, hash_file)
                else:
                    note("written", path, None)
            elif event == "os.rename":
                note("written", arguments[1], None)
            else:
                note("listed", arguments[0] or ".", hash_listing)
        finally:
            busy.now = False

    return observe


_EVENTS = frozenset({"open", "os.rename", "os.listdir", "os.scandir"})


def _template(package: str, path: object) -> str | None:
    """Return `path` relative to `package` if it is a file of it that is not Python, else None."""
    short = _relative(package, path)
    return None if short is None or short.endswith((".py", ".pyc")) else short


def _below(root: str, path: object) -> str | None:
    """Return `path` relative to `root` if it is data of the study, else None."""
    short = _relative(root, path)
    if short is None or os.path.join(root, short).startswith(sys.prefix + os.sep):
        return None
    first = short.partition("/")[0]
    return None if first in _NOT_DATA or first.startswith(".") else short


def _relative(top: str, path: object) -> str | None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    text = os.path.abspath(os.fsdecode(path))
    if not text.startswith(top + os.sep):
        text = os.path.realpath(text)
        if not text.startswith(top + os.sep):
            return None
    return os.path.relpath(text, top).replace(os.sep, "/")
