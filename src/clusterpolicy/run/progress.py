"""Tell whoever runs the study what is going on: live on a terminal, one line a step in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

from clusterpolicy.run.parameters import one_line


class Screen:
    """Where progress is shown.

    Parameters
    ----------
    out : text stream
        For steps and the summary. On a terminal, one line per running report is kept up to date;
        elsewhere each step is one line and nothing is ever overwritten.
    err : text stream
        For faults, one line each.
    verbose : bool
        Print the details of a fault below its line.
    """

    def __init__(
        self, out: TextIO | None = None, err: TextIO | None = None, verbose: bool = False
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.verbose = verbose
        self.is_live = self.out.isatty()
        self._began = time.monotonic()
        self._running: dict[str, tuple[float, str]] = {}
        self._drawn = 0
        self._has_run = False
        self._turn = threading.Lock()

    def start(self, name: str, reason: str) -> None:
        """Say that a step or a report starts, because of `reason`."""
        with self._turn:
            self._running[name] = (time.monotonic(), "starting")
            if not self.is_live:
                self._print(f"{name}: running ({reason})")

    def cell(self, name: str, number: int, of: int, _cell_id: str) -> None:
        """Note the cell a report has come to; called from the threads that wait for processes."""
        with self._turn:
            if name in self._running:
                self._running[name] = (self._running[name][0], f"cell {number} of {of}")

    def end(self, name: str, state: str, seconds: float) -> None:
        """Say that it has ended: a report ``built``, a step ``done``, or either ``failed``."""
        with self._turn:
            self._has_run = True
            self._running.pop(name, None)
            self._wipe()
            self._print(f"{name}: {state} in {seconds:.1f} s")

    def fault(self, line: str, detail: str = "") -> None:
        """Print one line about a fault, and its details if they were asked for."""
        with self._turn:
            self._wipe()
            print(one_line(line), file=self.err, flush=True)
            if self.verbose and detail:
                print(detail.rstrip(), file=self.err, flush=True)

    def note(self, line: str) -> None:
        """Print one line that is neither a step nor a fault."""
        with self._turn:
            self._wipe()
            self._print(line)

    def tick(self, done: int, total: int) -> None:
        """Bring the live lines up to date."""
        if not self.is_live:
            return
        with self._turn:
            self._wipe()
            now = time.monotonic()
            lines = [f"  {n}: {what}, {now - t:.0f} s" for n, (t, what) in self._running.items()]
            lines.append(f"  {done} of {total} reports, {now - self._began:.0f} s")
            self._print("\n".join(lines))
            self._drawn = len(lines)

    def summary(self, states: Sequence[tuple[str, str]], where: str) -> None:
        """Print how many reports were built, unchanged, failed or skipped, and where they are.

        Parameters
        ----------
        states : sequence of (str, str)
            Name and state of each report, and of each step that failed.
        where : str
            Folder of the pages.
        """
        with self._turn:
            self._wipe()
            kinds = [state for _, state in states]
            if set(kinds) == {"unchanged"} and not self._has_run:
                n = len(kinds)
                said = f"1 report in {where} is" if n == 1 else f"{n} reports in {where} are"
                self._print(f"nothing to do: {said} up to date")
                return
            counts = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(("built", *kinds)))
            self._print(f"{counts} in {time.monotonic() - self._began:.1f} s: {where}")
            skipped = [name for name, state in states if state == "skipped"]
            if skipped:
                self._print(f"not run, because what they need failed: {', '.join(skipped)}")

    def _wipe(self) -> None:
        """Remove the live lines, so that what comes next stands in their place."""
        if self._drawn:
            self.out.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _print(self, text: str) -> None:
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:
            # As behind `| head`: who left wants no more lines, not no more reports.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.out.fileno())
            os.close(nowhere)
