"""Do one job, from notebook to page, in a process of its own; or be the process they fork from.

This is the inside of the processes that `workers` starts. A job is a dictionary of plain values;
back go the page's bytes, none for a step without a page, or a fault. A job whose executed notebook
was kept starts no kernel. Nothing is written into ``reports/`` here.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.metadata
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from clusterpolicy.run import tracing
from clusterpolicy.run.kernels import CODES, Execution, NotebookFault

# The libraries whose version may move a number or a picture.
VERSIONS_SHOWN = ("pandas", "numpy", "scipy", "pyfixest", "matplotlib", "seaborn")
PR_SET_CHILD_SUBREAPER = 36  # of Linux, from <sys/prctl.h>


def make_page(job: Mapping, notebook, read: Mapping) -> bytes:
    """Turn an executed notebook, which had `read` some files, into the bytes of its page.

    Raises
    ------
    NotebookFault
        With code 7 if the page fails a check of ``report.check``.
    """
    pages = importlib.import_module(job["maker"])
    inputs = {path: found for path, found in sorted(read.items()) if found}
    spec = pages.PageSpec(
        name=job["name"],
        title=job["title"],
        parameters={name: str(value) for name, value in job["parameters"].items()},
        inputs={job["where"]: job["notebook_hash"], **inputs},
        versions={name: importlib.metadata.version(name) for name in VERSIONS_SHOWN},
        siblings=[tuple(pair) for pair in job["siblings"]],
    )
    html = pages.page(notebook, spec)
    faults = pages.check(html)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise NotebookFault(
            7,
            f"{job['where']}: the page of {job['name']} was not accepted: {faults[0]}{more}: "
            "correct the notebook or the module that wrote it",
            "\n".join(faults),
        )
    return html.encode("utf-8")


def work(channel: socket.socket) -> None:
    """Read one job from `channel`, do it, and answer with the page or a fault.

    Progress goes back as JSON lines; the last line says how many bytes of page and of executed
    notebook follow it.
    """
    job = json.loads(channel.makefile("rb").readline())
    run = Execution(job, lambda *cell: _send(channel, {"cell": cell}))
    page, answer = b"", {"fault": None, "used": None}
    try:
        if not job["kept"]:
            run.start()  # before any thread
        threading.Thread(target=_die_with, args=(channel,), daemon=True).start()
        if job["kept"]:
            notebook, answer["used"] = _kept_notebook(job), {"read": job["read"]}
        else:
            notebook = run.finish()
            answer["used"] = tracing.read_record(Path(job["root"]), Path(job["folder"], "files"))
        if job["maker"]:
            log = Path(job["folder"], "templates")
            tracing.record_templates(Path(job["package"]), log)
            page = make_page(job, notebook, answer["used"]["read"])
            answer["used"]["maker"] = tracing.read_templates(log)
    except NotebookFault as fault:
        answer["fault"] = [fault.code, str(fault), fault.detail]
    except Exception as error:
        names = [kind.__name__ for kind in type(error).__mro__]
        code = next((CODES[name] for name in names if name in CODES), 5)
        message = " ".join(str(error).split())
        line = message if code != 5 else f"{job['where']}: page: {names[0]}: {message}: see the log"
        answer["fault"] = [code, line, traceback.format_exc()]
    executed = run.as_bytes()
    _send(channel, {"page": len(page), "notebook": len(executed), **answer})
    channel.sendall(page + executed)


def _kept_notebook(job: Mapping):
    import nbformat

    return nbformat.read(job["kept"], as_version=4)


def _send(channel: socket.socket, message: Mapping) -> None:
    channel.sendall(json.dumps(message).encode() + b"\n")


def _die_with(channel: socket.socket) -> None:
    """End this process and its kernel when the other end of `channel` is gone."""
    while channel.recv(1):
        pass
    os.killpg(0, signal.SIGKILL)


def nursery(control: socket.socket, libraries: list[str]) -> None:
    """Import the libraries once, then fork a process for every job that comes in.

    Nothing is ever computed here: a pool of threads started by a library would not survive the
    fork. Only libraries are imported, never the study's own modules, which may read data.
    """
    for name in libraries:
        module, _, attribute = name.partition(":")
        with suppress(ImportError):  # the notebook that needs it will say so
            imported = importlib.import_module(module)
            if attribute:  # a lazy module loads nothing before it is asked for something
                getattr(imported, attribute)
    gc.collect()
    gc.freeze()
    _adopt_orphans()
    control.sendall(b"ready")
    living: set[int] = set()
    while True:
        living -= _ended(living)
        if not select.select([control], [], [], 1.0)[0]:
            continue
        message, handles, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            break
        living.add(_fork_worker(control, handles[0]))
    for pid in living:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    _end_orphans()


def _fork_worker(control: socket.socket, handle: int) -> int:
    pid = os.fork()
    if pid:
        os.close(handle)
        control.sendall(pid.to_bytes(8, "big"))
        return pid
    try:
        control.close()
        os.setsid()
        work(socket.socket(fileno=handle))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _ended(living: set[int]) -> set[int]:
    return {pid for pid in living if os.waitpid(pid, os.WNOHANG)[0]}


def _adopt_orphans() -> None:
    """Have processes that a kernel leaves behind handed to this one, whatever their session."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_orphans() -> None:
    """Kill all children of this process and theirs, as they are handed up."""
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.01)


def main(arguments: list[str]) -> None:
    """Be the process that `workers` has started: ``worker`` or ``nursery``, with its channel."""
    kind, handle, *libraries = arguments
    channel = socket.socket(fileno=int(handle))
    if kind == "worker":
        work(channel)
    else:
        nursery(channel, libraries)


if __name__ == "__main__":
    main(sys.argv[1:])
