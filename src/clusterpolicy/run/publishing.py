"""Publish pages so that a reader meets the old one or the new one, never a part of either.

One build works in a checkout at a time (`lock`). A page is written into a folder on the volume of
``reports/``, flushed to disk and renamed into place; the manifest, which says what the page was
made from, follows last (`publish`).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MANIFEST_FORMAT = 2
# What is known of every notebook that was run, and of every page that was made of one.
STEP_KEYS = frozenset(
    ("parameters", "notebook", "environment", "code", "read", "listed", "written")
)
PAGE_KEYS = STEP_KEYS | {"heading", "maker", "executed", "page"}
# Long enough for a build that is just finishing, short enough for a person to see it as an answer.
LOCK_PATIENCE_SECONDS = 1.0


class CannotWrite(OSError):
    """The disk is full, a folder is read-only, or another build holds the lock (exit code 6)."""


@dataclass(frozen=True)
class Workspace:
    """The folders of one checkout; every function of the run is told which one it works in.

    Attributes
    ----------
    root : Path
        The folder that holds ``pyproject.toml``.
    package : Path
        The folder of the study, ``src/clusterpolicy`` unless it is used from elsewhere.
    """

    root: Path
    package: Path = Path(__file__).resolve().parents[1]

    @property
    def notebooks(self) -> Path:
        """Source notebooks, never written to."""
        return self.root / "notebooks"

    @property
    def reports(self) -> Path:
        """Published pages."""
        return self.root / "reports"

    @property
    def build(self) -> Path:
        """By-products of a run: executed notebooks, logs, manifest, lock."""
        return self.root / "build"

    @property
    def manifest(self) -> Path:
        """What each step and each published page was made from."""
        return self.build / "manifest.json"

    def executed(self, name: str) -> Path:
        """Where the executed notebook of the step or report called `name` is kept."""
        return self.build / "notebooks" / f"{name}.ipynb"

    def page(self, name: str) -> Path:
        """Where the report called `name` is published."""
        return self.reports / f"{name}.html"

    def short(self, path: Path) -> str:
        """Return `path` as messages print it: relative to the root, forward slashes."""
        return path.relative_to(self.root).as_posix()


@contextmanager
def lock(workspace: Workspace, patience: float = LOCK_PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the right to build in `workspace`.

    The system gives the lock back when its holder ends, however it ends, so a lock left behind by
    a killed build is never in the way.

    Parameters
    ----------
    workspace : Workspace
    patience : float
        Seconds to wait for another build to finish.

    Raises
    ------
    CannotWrite
        If another build still holds the lock after `patience` seconds, naming it, or if ``build/``
        cannot be written to.
    """
    path = workspace.build / "lock"
    with _writing(workspace, path):
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, workspace, path, patience)
        with _writing(workspace, path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            _clear_staging(workspace)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def check_writable(workspace: Workspace) -> None:
    """Find out before the work starts that its result could not be published.

    Raises
    ------
    CannotWrite
        If ``reports/`` or ``build/`` cannot be created or written to.
    """
    for folder in (workspace.build, workspace.reports):
        with _writing(workspace, folder):
            folder.mkdir(exist_ok=True)
            probe = folder / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()


def replace_file(workspace: Workspace, path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole and on disk, or leave what was there.

    Raises
    ------
    CannotWrite
        If any step fails; nothing of the attempt is left behind.
    """
    staging = _staging(workspace)
    part = staging / f"{os.getpid()}-{path.name}"
    with _writing(workspace, path):
        staging.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, path)
            _flush_folder(path.parent)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def publish(
    workspace: Workspace, name: str, page: bytes, made_from: Mapping, manifest: dict
) -> None:
    """Publish a page, then record what it was made from.

    Interrupted between the two, the page on disk differs from the one in the manifest, and the
    next build makes it again.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Name of the report.
    page : bytes
        The whole HTML page.
    made_from : mapping
        Entry of the manifest, as `freshness.why_stale` reads it.
    manifest : dict
        Entries of all steps and reports by name; `name` is set in it once the page is in place.

    Raises
    ------
    CannotWrite
        If the page or the manifest cannot be written.
    """
    replace_file(workspace, workspace.page(name), page)
    entry = {**made_from, "page": hashlib.sha256(page).hexdigest()}
    record(workspace, name, entry, manifest)


def record(workspace: Workspace, name: str, made_from: Mapping, manifest: dict) -> None:
    """Record what a step was made from: it has no page, and its files are in place already.

    Raises
    ------
    CannotWrite
        If the manifest cannot be written.
    """
    manifest[name] = dict(made_from)
    _write_manifest(workspace, manifest)


def withdraw(workspace: Workspace, name: str, manifest: dict) -> None:
    """Remove a page, its PDF and the files that only its notebook wrote.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Name of the report, or of a step.
    manifest : dict
        Entries of all steps and reports by name; that of `name`, if there is one, is taken out.

    Raises
    ------
    CannotWrite
        If a file cannot be removed or the manifest cannot be written.
    """
    own = manifest.pop(name, {}).get("written", {})
    kept = {path for entry in manifest.values() for path in entry["written"]}
    page = workspace.page(name)
    for path in (
        page,
        page.with_suffix(".pdf"),
        *(workspace.root / p for p in own if p not in kept),
    ):
        with _writing(workspace, path):
            path.unlink(missing_ok=True)
    _write_manifest(workspace, manifest)


def _write_manifest(workspace: Workspace, manifest: Mapping) -> None:
    text = json.dumps({"format": MANIFEST_FORMAT, "reports": manifest}, indent=1, sort_keys=True)
    replace_file(workspace, workspace.manifest, text.encode())


def read_manifest(workspace: Workspace) -> dict:
    """Return the manifest's entries by name; empty if there is none or it is damaged.

    An entry lost costs one rebuild, so a damaged manifest is no reason to stop.
    """
    try:
        content = json.loads(workspace.manifest.read_bytes())
        if content["format"] == MANIFEST_FORMAT:
            entries = content["reports"].items()
            return {name: entry for name, entry in entries if _is_whole(entry)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _is_whole(entry: Mapping) -> bool:
    return entry.keys() >= (PAGE_KEYS if "page" in entry else STEP_KEYS)


def one_line(reason: OSError) -> str:
    """Say why the system refused, in a few words: ``no space left on device``."""
    return (reason.strerror or type(reason).__name__).lower()


@contextmanager
def _writing(workspace: Workspace, path: Path) -> Iterator[None]:
    """Turn a refusal of the system into one line that says what to do."""
    try:
        yield
    except CannotWrite:
        raise
    except OSError as reason:
        remedy = {
            errno.ENOSPC: "free some space and run again",
            errno.EDQUOT: "free some space and run again",
        }.get(reason.errno, "make the folder writable and run again")
        raise CannotWrite(
            f"{workspace.short(path)}: cannot be written ({one_line(reason)}): {remedy}"
        ) from reason


def _take(handle: int, workspace: Workspace, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 200, 0).decode(errors="replace") or "an unknown process"
                raise CannotWrite(
                    f"{workspace.short(path)}: another build is running ({holder}): "
                    "run again when it has finished"
                ) from None
            time.sleep(0.05)


def _staging(workspace: Workspace) -> Path:
    """Return the folder for unfinished files: a rename is atomic only within one volume."""
    same_volume = workspace.reports.parent
    with suppress(OSError):
        if workspace.reports.stat().st_dev != workspace.build.stat().st_dev:
            same_volume = workspace.reports
    if same_volume == workspace.reports:
        return workspace.reports / ".staging"
    return workspace.build / "staging"


def _clear_staging(workspace: Workspace) -> None:
    """Remove what a killed build left unfinished."""
    for folder in (workspace.build / "staging", workspace.reports / ".staging"):
        if folder.is_dir():
            shutil.rmtree(folder)


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
