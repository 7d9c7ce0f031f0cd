"""Hand each report to a process of its own, and end that process whatever happens.

`Workers.run` is a plain function from a job to its outcome, to be given to any executor of
``concurrent.futures``. Here it sends the job to a process forked from one that has imported the
libraries already; where that cannot be had it starts a new interpreter, with the same result.
A job that dies takes nobody along: each has its own process group, which is killed as a whole.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clusterpolicy.run import kernels

# Imported once for all reports, if a report imports the library at all: those that take long and
# change nothing but themselves. `name:attribute` loads what a lazy module puts off.
ALWAYS = (
    "papermill",
    "nbclient",
    "ipykernel.kernelapp",
    "matplotlib.pyplot",
    "matplotlib_inline.backend_inline",
    "pyarrow.parquet",
)
LIBRARIES = {
    "diff_diff": ("diff_diff",),
    "fontTools": ("fontTools.subset",),
    "nbconvert": ("nbconvert",),
    "pandas": ("pandas",),
    "pandera": ("pandera.pandas",),
    "pyfixest": ("pyfixest:feols",),
    "scipy": ("scipy.linalg", "scipy.stats"),
    "seaborn": ("seaborn",),
}
# A forked child of a process that has used Apple's frameworks may crash, so only Linux forks.
CAN_FORK = sys.platform == "linux"
# How long the process with the libraries gets to clear up after its children.
NURSERY_SECONDS = 2.0
# -P: a file named like a library in the folder of the user must not be imported instead of it.
JOBS = (sys.executable, "-P", "-m", "clusterpolicy.run.jobs")


@dataclass
class Outcome:
    """What came of one job.

    Attributes
    ----------
    page : bytes
        The page; empty if there is a fault, and for a step without a page.
    notebook : bytes
        The executed notebook as far as it got; empty if it was kept from an earlier run.
    used : dict
        ``read``, ``listed``, ``written`` and ``package``, as `tracing.read_record` gives them, and
        ``maker``: the templates that the page maker opened.
    fault : tuple of (int, str, str), optional
        Exit code, the line to print, the details for the log.
    seconds : float
    log : str
        What the kernel wrote outside its cells.
    """

    page: bytes = b""
    notebook: bytes = b""
    used: dict = field(default_factory=dict)
    fault: tuple[int, str, str] | None = None
    seconds: float = 0.0
    log: str = ""


class Workers:
    """The processes of one build.

    Parameters
    ----------
    root : Path
        Root of the checkout.
    log : Path
        File for what the processes print.
    warm : collection of str, optional
        Top-level names of libraries to have in memory, in a process from which the others are
        forked; None for processes that start from nothing.
    """

    def __init__(self, root: Path, log: Path, warm: Collection[str] | None) -> None:
        self.environment = kernels.environment(root)
        self.folder = Path(tempfile.mkdtemp(prefix="cp-"))
        self.log = log
        self.stopping = threading.Event()
        self._nursery = _Nursery(self._spawn, warm) if warm is not None else None
        self._turn = threading.Lock()
        self._groups: dict[int, subprocess.Popen | None] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, job: Mapping, limit: float, report_cell: Callable[..., None]) -> Outcome:
        """Do one job.

        Parameters
        ----------
        job : mapping
            See `kernels.Execution`; ``folder`` and ``fork`` are set here.
        limit : float
            Seconds after which the job is given up.
        report_cell : callable
            Called with cell number, number of cells and cell id as each cell starts.

        Returns
        -------
        Outcome
        """
        began = time.monotonic()
        at = _Place(job["where"], report_cell)
        ours, theirs = socket.socketpair()
        with ours:
            try:
                with theirs:
                    pid, is_forked = self._start(theirs)
            except EOFError:
                return Outcome(fault=at.fault("the build was stopped: run it again"))
            folder = Path(tempfile.mkdtemp(dir=self.folder, prefix=""))
            try:
                order = {**job, "folder": str(folder), "fork": is_forked}
                ours.sendall(json.dumps(order).encode() + b"\n")
                outcome = _listen(_Stream(ours, began + limit, self.stopping), at)
            except TimeoutError:
                what = f"the run took longer than {limit:g} s: make it cheaper or raise"
                outcome = Outcome(fault=at.fault(f"{what} --run-seconds"))
            except (OSError, EOFError):
                outcome = Outcome(
                    fault=at.fault(
                        "the process that runs it was killed, as the system does when memory "
                        "runs out: free memory or run with --jobs 1"
                    )
                )
            finally:
                self._end_group(pid)
        with suppress(OSError):
            outcome.log = (folder / "kernel.log").read_text(errors="replace")
        shutil.rmtree(folder, ignore_errors=True)
        outcome.seconds = time.monotonic() - began
        return outcome

    def stop(self) -> None:
        """End every process of this build."""
        self.stopping.set()
        for pid in list(self._groups):
            self._end_group(pid)
        if self._nursery is not None:
            self._nursery.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, theirs: socket.socket) -> tuple[int, bool]:
        """Start a process for a job: its id, and whether it was forked.

        Raises
        ------
        EOFError
            If the build is being stopped.
        """
        with self._turn:
            pid = self._nursery.fork(theirs) if self._nursery is not None else None
            if self.stopping.is_set():
                raise EOFError
            if pid is not None:
                self._groups[pid] = None  # a child of the nursery, which waits for it
                return pid, True
            process = self._spawn("worker", theirs)
            self._groups[process.pid] = process
            return process.pid, False

    def _spawn(self, kind: str, theirs: socket.socket, *rest: str) -> subprocess.Popen:
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [*JOBS, kind, str(theirs.fileno()), *rest],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )

    def _end_group(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        process = self._groups.pop(pid, None)
        if process is not None:
            process.wait()


class _Nursery:
    """Our end of `jobs.nursery`: started when first needed, given up when it fails."""

    def __init__(self, spawn: Callable[..., subprocess.Popen], warm: Collection[str]) -> None:
        self.spawn = spawn
        self.libraries = [
            *ALWAYS,
            *(m for name in LIBRARIES if name in warm for m in LIBRARIES[name]),
        ]
        self.control: socket.socket | None = None
        self.process: subprocess.Popen | None = None
        self.is_warm = False
        self.has_failed = False

    def fork(self, theirs: socket.socket) -> int | None:
        """Return the id of a new process that serves `theirs`; None if there is no nursery."""
        if self.has_failed:
            return None
        if self.process is None:
            self.control, other = socket.socketpair()
            with other:
                self.process = self.spawn("nursery", other, *self.libraries)
        try:
            if not self.is_warm:
                self.is_warm = self._receive(len(b"ready")) == b"ready"
            socket.send_fds(self.control, [b"s"], [theirs.fileno()])
            return int.from_bytes(self._receive(8), "big")
        except (OSError, EOFError):
            self.has_failed = True  # plain processes from now on
            return None

    def stop(self) -> None:
        """End the nursery; it clears up what kernels have left behind, if it is let."""
        self.has_failed = True
        if self.process is None:
            return
        with suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)  # also wakes a thread that waits on it
        try:
            self.process.wait(NURSERY_SECONDS if self.is_warm else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.control.close()

    def _receive(self, size: int) -> bytes:
        content = self.control.recv(size, socket.MSG_WAITALL)
        if len(content) < size:
            raise EOFError
        return content


class _Place:
    """How far a job has got, for its messages."""

    def __init__(self, where: str, report_cell: Callable[..., None]) -> None:
        self.where = where
        self.report_cell = report_cell
        self.cell = "start"

    def move(self, number: int, of: int, cell_id: str) -> None:
        self.cell = f"cell {number} ({cell_id})"
        self.report_cell(number, of, cell_id)

    def fault(self, what: str) -> tuple[int, str, str]:
        return 5, f"{self.where}: {self.cell}: {what}", ""


def _listen(stream: _Stream, at: _Place) -> Outcome:
    """Read progress and the answer of a job.

    Raises
    ------
    EOFError
        If its process ends without an answer.
    TimeoutError
        If the answer is late.
    """
    while "cell" in (message := json.loads(stream.line())):
        at.move(*message["cell"])
    page = stream.take(message["page"])
    notebook = stream.take(message["notebook"])
    fault = tuple(message["fault"]) if message["fault"] else None
    return Outcome(page, notebook, message["used"] or {}, fault)


class _Stream:
    """Read lines and blocks from a socket until a deadline."""

    def __init__(self, channel: socket.socket, deadline: float, stopping: threading.Event) -> None:
        self.channel = channel
        self.deadline = deadline
        self.stopping = stopping
        self.held = b""

    def line(self) -> bytes:
        while b"\n" not in self.held:
            self._more()
        line, _, self.held = self.held.partition(b"\n")
        return line

    def take(self, size: int) -> bytes:
        parts, have = [self.held], len(self.held)
        while have < size:
            self.held = b""
            self._more()
            parts.append(self.held)
            have += len(self.held)
        content = b"".join(parts)
        self.held = content[size:]
        return content[:size]

    def _more(self) -> None:
        is_ready = False
        while not is_ready:
            if self.stopping.is_set():
                raise EOFError
            if time.monotonic() > self.deadline:
                raise TimeoutError
            is_ready = bool(select.select([self.channel], [], [], 0.2)[0])
        content = self.channel.recv(1 << 20)
        if not content:
            raise EOFError
        self.held += content
