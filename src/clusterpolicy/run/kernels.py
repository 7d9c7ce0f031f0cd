"""Execute one notebook with papermill, in a kernel of its own.

The kernel is forked from the process that runs it while that is still safe (no thread has
started), so that libraries already imported there need not be imported again; where forking is
not wanted, the kernel is a new interpreter. Both give the same bytes. No kernel specification is
looked up, so the name that a notebook was saved with is of no consequence.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from clusterpolicy.run import tracing

# Kernels see these variables and no others: a report must not depend on the rest, and secrets
# kept in the environment must not be within reach of a notebook.
PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "LD_LIBRARY_PATH",
)
# A Unix socket's path may have 107 bytes (103 on macOS); a name and a number follow the folder.
LONGEST_SOCKET_FOLDER = 80
# How often a kernel that is starting is asked whether it is ready, and how long to be asked in all.
# The stock client waits 0.2 s twice for messages that need not come: a tenth of a short report.
READY_POLL_SECONDS = 0.05
READY_SECONDS = 60.0
# Exceptions cross the border between processes by name only.
CODES = {"DataFault": 3, "InputMissing": 4}


class NotebookFault(RuntimeError):
    """A notebook did not run to its end.

    Attributes
    ----------
    code : int
        Exit code: 3 data rule broken, 4 input missing, 5 notebook failed, 6 cannot write.
    detail : str
        Traceback for the log.
    """

    def __init__(self, code: int, line: str, detail: str = "") -> None:
        super().__init__(line)
        self.code = code
        self.detail = detail


def environment(root: Path) -> dict[str, str]:
    """Return the environment that kernels of the checkout at `root` run in.

    What could make the same inputs give other bytes (hash seed, locale, time zone, the user's own
    settings of IPython and matplotlib) is fixed.
    """
    folders = dict.fromkeys([str(Path(__file__).resolve().parents[2]), str(root / "src")])
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed | {
        "CLUSTERPOLICY_ROOT": str(root),
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # Sums over several threads end on other last digits with another number of cores, and a
        # pool of threads would not survive the fork. Reports run side by side instead.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


class Execution:
    """One run of a notebook from top to bottom with its parameters.

    Parameters
    ----------
    job : mapping
        ``name`` and ``title`` of the report, ``notebook`` (path), ``where`` (the notebook as
        messages name it), ``notebook_hash``, ``parameters``, ``siblings`` (file and title of the
        other reports), ``maker`` (module with ``PageSpec``, ``page`` and ``check``; empty for a
        step without a page), ``kept`` (path of the executed notebook if only the page is to be
        made, else empty) and ``read`` (the files it had read), ``root``, ``package``, ``folder``
        (private, for sockets and records), ``cell_seconds``, ``fork``.
    report_cell : callable
        Called with number of the cell, number of cells and cell id as each one starts.
    """

    def __init__(self, job: Mapping, report_cell: Callable[[int, int, str], None]) -> None:
        self.job = job
        self.report_cell = report_cell
        self.kernel: _Kernel | None = None
        self.notebook = None
        self.cell = None
        self.place = 0

    def start(self) -> None:
        """Start the kernel, by forking if the job says so: no thread may have started yet."""
        self.kernel = _Kernel(self.job)

    def finish(self):
        """Run every cell and end the kernel.

        Returns
        -------
        NotebookNode
            The executed notebook. Every code cell has run and none holds an error.

        Raises
        ------
        NotebookFault
            If a cell raised or took too long, or if the kernel ended before the last cell.
        """
        from nbclient.exceptions import CellTimeoutError
        from papermill.exceptions import PapermillExecutionError

        try:
            self._run()
        except PapermillExecutionError as error:
            raise self._cell_fault(error.ename, error.evalue, error.traceback) from error
        except CellTimeoutError as error:
            seconds = self.job["cell_seconds"]
            raise self._fault(
                f"took longer than {seconds:g} s: make the cell cheaper or raise --cell-seconds"
            ) from error
        except RuntimeError as error:  # of which a dead kernel is one
            raise self._fault(self.kernel.cause_of_death(error)) from error
        finally:
            self.kernel.kill()
        self._check_complete()
        return self.notebook

    def as_bytes(self) -> bytes:
        """Return the notebook as far as it got, for the analyst to open."""
        import nbformat

        return nbformat.writes(self.notebook).encode("utf-8") if self.notebook else b""

    def _run(self) -> None:
        import nbformat
        import papermill

        papermill.execute_notebook(
            nbformat.read(self.job["notebook"], as_version=4),
            None,
            parameters=self.job["parameters"],
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=os.path.dirname(self.job["notebook"]),
            execution_timeout=self.job["cell_seconds"],
            km=self.kernel.manager,
            on_notebook_start=self._notebook_started,
            on_cell_start=self._cell_started,
        )

    def _notebook_started(self, notebook) -> None:
        self.notebook = notebook

    def _cell_started(self, cell, cell_index: int) -> None:
        self.cell, self.place = cell, cell_index + 1
        self.report_cell(self.place, len(self.notebook.cells), cell.get("id", ""))

    def _check_complete(self) -> None:
        """Refuse a notebook that stopped early without an error, as after ``raise SystemExit``."""
        for cell in self.notebook.cells:
            if cell.cell_type == "code" and cell.source.strip() and not cell.execution_count:
                raise self._fault("the run stopped here, before the last cell: let it run through")

    def _cell_fault(self, name: str, message: str, lines: list[str]) -> NotebookFault:
        message = " ".join(message.split())
        detail = "\n".join(lines)
        if name in CODES:
            return NotebookFault(CODES[name], message, detail)
        refused = {f"[Errno {n}]" for n in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT)}
        code = 6 if any(message.startswith(start) for start in refused) else 5
        return self._fault(f"{name}: {message}: see the log", code, detail)

    def _fault(self, what: str, code: int = 5, detail: str = "") -> NotebookFault:
        cell = f"cell {self.place} ({self.cell.get('id', 'no id')})" if self.cell else "start"
        return NotebookFault(code, f"{self.job['where']}: {cell}: {what}", detail)


class _Kernel:
    """A kernel process, and the manager through which papermill talks to it."""

    def __init__(self, job: Mapping) -> None:
        from jupyter_client.connect import write_connection_file

        folder = job["folder"]
        self.connection = os.path.join(folder, "kernel.json")
        short = len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER
        # Sockets in a private folder: no port to lose to another process, nothing to encrypt.
        where = {"transport": "ipc", "ip": os.path.join(folder, "k")} if short else {}
        key = secrets.token_hex(16).encode()
        write_connection_file(self.connection, key=key, kernel_name="python3", **where)
        self.status: int | None = None
        self.pid = _fork_kernel(job) if job["fork"] else _start_kernel(job)
        self.manager = self._make_manager()

    def _make_manager(self):
        from queue import Empty

        from jupyter_client.asynchronous import AsyncKernelClient
        from jupyter_client.manager import AsyncKernelManager

        kernel = self

        class Client(AsyncKernelClient):
            """Goes on as soon as the kernel answers on both channels."""

            async def wait_for_ready(self, timeout: float | None = None) -> None:
                deadline = time.monotonic() + READY_SECONDS
                while time.monotonic() < deadline and kernel.is_alive():
                    self.kernel_info()
                    try:
                        await self.get_shell_msg(timeout=1)
                        await self.get_iopub_msg(timeout=READY_POLL_SECONDS)
                    except Empty:
                        continue
                    return
                raise RuntimeError("the kernel did not answer")

        class Manager(AsyncKernelManager):
            """Talks to a kernel that it has not started and does not end."""

            has_kernel = True

            async def _async_is_alive(self) -> bool:
                return kernel.is_alive()

            async def _async_shutdown_kernel(
                self, now: bool = False, restart: bool = False
            ) -> None:
                kernel.kill()

            is_alive = _async_is_alive
            shutdown_kernel = _async_shutdown_kernel

        manager = Manager(kernel_name="python3", client_factory=Client)
        manager.load_connection_file(self.connection)
        return manager

    def is_alive(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is None

    def kill(self) -> None:
        """End the kernel at once: all its cells have run, or none of it counts."""
        if self.is_alive():
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)

    def cause_of_death(self, error: Exception) -> str:
        """Say what ended the kernel and what to do; `error` is what the client noticed."""
        if self.is_alive():
            return f"{type(error).__name__}: {' '.join(str(error).split())}: see the log"
        if not os.WIFSIGNALED(self.status):
            status = os.WEXITSTATUS(self.status)
            return f"the kernel ended by itself (status {status}): let the cell not exit"
        name = signal.Signals(os.WTERMSIG(self.status)).name
        if name == "SIGKILL":
            return (
                "the kernel was killed (SIGKILL), as the system does when memory runs out: "
                "free memory or run with --jobs 1"
            )
        return f"the kernel crashed ({name}): see the log"


def _fork_kernel(job: Mapping) -> int:
    """Fork this process into a kernel and return its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.closerange(3, 4096)  # or the other end would not notice when our parent dies
        serve_cells(job, parent)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _start_kernel(job: Mapping) -> int:
    """Start a kernel in a new interpreter and return its process id."""
    command = [sys.executable, "-P", "-m", "clusterpolicy.run.kernels"]
    handle = json.dumps({**job, "parent": os.getpid()})
    return subprocess.Popen([*command, handle], stdin=subprocess.DEVNULL).pid


def serve_cells(job: Mapping, parent: int) -> None:
    """Be the kernel of `job` until killed."""
    folder = job["folder"]
    for stream, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, os.path.join(folder, "kernel.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        handle = os.open(name, flags, 0o600)
        os.dup2(handle, stream)
        os.close(handle)
    os.dup2(1, 2)
    # The user's own IPython profile must not change a report.
    os.environ["IPYTHONDIR"] = folder
    os.chdir(os.path.dirname(job["notebook"]))
    if "pandas" in sys.modules:
        # pandas takes a terminal's width for granted when it is imported before there is a kernel.
        import pandas as pd

        pd.set_option("display.max_columns", 20)
    tracing.record_files(Path(job["root"]), Path(job["package"]), Path(folder, "files"))
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(
        argv=[
            f"--f={folder}/kernel.json",
            f"--IPKernelApp.parent_handle={parent}",
            "--HistoryManager.hist_file=:memory:",
            "--matplotlib=inline",
        ]
    )


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    serve_cells(order, order["parent"])
