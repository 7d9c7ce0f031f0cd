"""Check parameters, run the notebooks that need it, publish their pages: the conductor.

Nothing heavy is imported here: a wrong parameter is refused, and a study in which nothing has
changed is left alone, before pandas or Jupyter would have started.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

from clusterpolicy.checks import register
from clusterpolicy.run import catalogue, freshness, publishing, workers
from clusterpolicy.run.catalogue import REPORTS, ReportSpec
from clusterpolicy.run.freshness import Contents, InputFault, Reason, Source
from clusterpolicy.run.kernels import NotebookFault
from clusterpolicy.run.parameters import Value
from clusterpolicy.run.progress import Screen
from clusterpolicy.run.publishing import CannotWrite, Workspace

CELL_SECONDS = 600.0
RUN_SECONDS = 1800.0


@dataclass(frozen=True)
class Settings:
    """How a build is carried out; none of it changes a page.

    Attributes
    ----------
    force : bool
        Run every notebook and make every page again.
    jobs : int
        Reports at a time.
    cell_seconds, run_seconds : float
        Limits for one cell and for one report.
    patience : float
        Seconds to wait for another build to finish.
    fork : bool
        Fork kernels from a process that has the libraries in memory.
    pages : str
        Module that makes every page, whatever maker a report names; that one if empty.
    """

    force: bool = False
    jobs: int = field(default_factory=lambda: _cores())
    cell_seconds: float = CELL_SECONDS
    run_seconds: float = RUN_SECONDS
    patience: float = publishing.LOCK_PATIENCE_SECONDS
    fork: bool = workers.CAN_FORK
    pages: str = ""


@dataclass(frozen=True)
class Result:
    """What happened to a step or report: ``built``, ``unchanged``, ``failed`` or ``skipped``."""

    name: str
    state: str
    seconds: float = 0.0
    code: int = 0
    has_page: bool = True


def build(
    workspace: Workspace,
    specs: Sequence[ReportSpec],
    chosen: Mapping[str, Value],
    settings: Settings,
    screen: Screen,
) -> list[Result]:
    """Take the steps and make the pages that are not as they should be, those they need first.

    Parameters
    ----------
    workspace : Workspace
    specs : sequence of ReportSpec
        As `catalogue.select` returns them.
    chosen : mapping
        Checked parameters; a report uses those that it takes.
    settings : Settings
    screen : Screen
        Told of every step.

    Returns
    -------
    list of Result
        One per step and report, in the order in which they ended.

    Raises
    ------
    UsageFault
        If a notebook does not define a parameter that it is to be run with; nothing has started.
    CannotWrite
        If another build is running or the folders cannot be written to; nothing has started.
    """
    unchanged = [Result(spec.name, "unchanged", has_page=spec.has_page) for spec in specs]
    if Plan(workspace, specs, chosen, settings).is_done():
        return unchanged
    with publishing.lock(workspace, settings.patience):
        plan = Plan(workspace, specs, chosen, settings)  # again: another build may have ended
        if plan.is_done():
            return unchanged
        publishing.check_writable(workspace)
        log = workspace.build / "logs" / "processes.log"
        log.parent.mkdir(exist_ok=True)
        log.unlink(missing_ok=True)
        warm = plan.libraries() if settings.fork else None
        with workers.Workers(workspace.root, log, warm) as crew:
            executor = ThreadPoolExecutor(max_workers=settings.jobs)
            try:
                return plan.carry_out(executor, crew.run, screen)
            finally:
                crew.stop()  # before the threads are waited for: they wait for these processes
                executor.shutdown(cancel_futures=True)


class Plan:
    """Which steps are to be taken and reports made, which wait, and what became of each."""

    def __init__(
        self,
        workspace: Workspace,
        specs: Sequence[ReportSpec],
        chosen: Mapping[str, Value],
        settings: Settings,
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.waiting = list(specs)
        self.values = {spec.name: catalogue.values_for(spec, chosen) for spec in specs}
        self.manifest = publishing.read_manifest(workspace)
        self.results: dict[str, Result] = {}
        self.sources: dict[str, Source | InputFault] = {}
        self.wanted: dict[str, Mapping] = {}
        self.code: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {}
        self.reasons: dict[str, Reason] = {}
        self.n_pages = sum(spec.has_page for spec in specs)
        self.orphans = _orphans(workspace, specs, self.manifest)
        for spec in specs:
            try:
                source = freshness.read_source(workspace, spec.notebook, self.values[spec.name])
                self.sources[spec.name] = source
                self.wanted[spec.name] = self._wanted(spec, source)
            except InputFault as fault:
                self.sources[spec.name] = fault

    def is_done(self) -> bool:
        """Return whether every page is as it should be, without changing anything."""
        contents = Contents(self.workspace)
        return not self.orphans and all(
            isinstance(self.sources[spec.name], Source) and self.reason(spec, contents) is None
            for spec in self.waiting
        )

    def reason(self, spec: ReportSpec, contents: Contents) -> Reason | None:
        """Say why `spec` is run or its page made, None if everything can stay."""
        if self.settings.force:
            return Reason("forced")
        entry = self.manifest.get(spec.name)
        return freshness.why_stale(entry, contents, spec.name, self.wanted[spec.name])

    def _wanted(self, spec: ReportSpec, source: Source) -> dict:
        """Return what a run and its page are to be made from, as far as that is known before."""
        wanted = {"parameters": self.values[spec.name], "notebook": source.hash}
        if spec.has_page:
            heading = json.dumps([spec.title, catalogue.links(spec), self._maker(spec)])
            wanted["heading"] = hashlib.sha256(heading.encode()).hexdigest()
        return wanted

    def _maker(self, spec: ReportSpec) -> str:
        """Return the module that makes the page, empty for a step without one."""
        return self.settings.pages or spec.maker if spec.has_page else ""

    def job(self, spec: ReportSpec) -> dict:
        """Return the order for the process that runs it: plain values only."""
        source, reason = self.sources[spec.name], self.reasons.get(spec.name)
        is_kept = reason is not None and reason.keeps_notebook
        return {
            "name": spec.name,
            "title": spec.title,
            "notebook": str(source.path),
            "where": source.where,
            "notebook_hash": source.hash,
            "parameters": self.values[spec.name],
            "siblings": catalogue.links(spec) if spec.has_page else [],
            "maker": self._maker(spec),
            "kept": str(self.workspace.executed(spec.name)) if is_kept else "",
            "read": self.manifest[spec.name]["read"] if is_kept else {},
            "root": str(self.workspace.root),
            "package": str(self.workspace.package),
            "cell_seconds": self.settings.cell_seconds,
        }

    def carry_out(self, executor: Executor, run: Callable, screen: Screen) -> list[Result]:
        """Hand out reports as soon as what they need is there; publish each one that comes back.

        Parameters
        ----------
        executor : concurrent.futures.Executor
        run : callable
            ``run(job, limit, report_cell)`` returning a `workers.Outcome`.
        screen : Screen
        """
        running: dict[Future, ReportSpec] = {}
        ready = self._ready(screen)
        while ready or running:
            while ready and len(running) < self.settings.jobs:
                spec, reason = ready.pop(0)
                self.waiting.remove(spec)
                self.reasons[spec.name] = reason
                # Now: a module edited during the run may or may not have been used.
                self.code[spec.name] = tuple(code.modules for code in self._code(spec))
                screen.start(spec.name, reason.text)
                at_cell = partial(screen.cell, spec.name)
                limit = self.settings.run_seconds
                running[executor.submit(run, self.job(spec), limit, at_cell)] = spec
            pages_done = sum(result.has_page for result in self.results.values())
            screen.tick(pages_done, self.n_pages)
            # Never without a limit: a signal is only noticed when the wait comes back.
            wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            done = [future for future in running if future.done()]
            for future in done:
                self._finish(running.pop(future), future.result(), screen)
            ready = self._ready(screen) if done else ready
        self._name_late_changes(screen)
        self._withdraw_orphans(screen)
        return list(self.results.values())

    def _withdraw_orphans(self, screen: Screen) -> None:
        """Take away the pages of projects that left the facts, once no other page links to them.

        So go the records of a step that is no longer taken.
        """
        if all(result.state in ("built", "unchanged") for result in self.results.values()):
            for name in self.orphans:
                had_page = "page" in self.manifest.get(name, {"page": ""})
                publishing.withdraw(self.workspace, name, self.manifest)
                if had_page:
                    screen.note(f"{name}: its project has left {register.TABLE}: page removed")

    def _name_late_changes(self, screen: Screen) -> None:
        """Say so if an input was edited while its report was being made."""
        contents = Contents(self.workspace)
        for name, result in self.results.items():
            if result.state == "built":
                reason = freshness.why_stale(self.manifest[name], contents, name, self.wanted[name])
                if reason is not None:
                    screen.note(f"{name}: {reason.text} while it was made: run again")

    def _code(self, spec: ReportSpec) -> tuple[freshness.Code, freshness.Code]:
        """Return the code that the notebook imports, and that which makes its page."""
        notebook = freshness.code_used(self.sources[spec.name].cells, self.workspace.package)
        maker = self._maker(spec)
        if not maker:
            return notebook, freshness.Code({}, frozenset())
        return notebook, freshness.code_of_maker(maker, self.workspace.package)

    def libraries(self) -> frozenset[str]:
        """Return the top-level names of all that is going to be imported.

        Where only pages are made again, what their notebooks import is not wanted.
        """
        contents = Contents(self.workspace)
        readable = [each for each in self.waiting if isinstance(self.sources[each.name], Source)]
        reasons = [self.reason(spec, contents) for spec in readable]
        runs = any(reason is not None and not reason.keeps_notebook for reason in reasons)
        codes = [code for spec in readable for code in self._code(spec)[0 if runs else 1 :]]
        return frozenset().union(*(code.libraries for code in codes))

    def _ready(self, screen: Screen) -> list[tuple[ReportSpec, Reason]]:
        """Return what to start now and why; settle those that need not or cannot start."""
        contents = Contents(self.workspace)
        ready = []
        for spec in list(self.waiting):
            needed = [self.results.get(name) for name in spec.needs if name in self.values]
            if any(result is None for result in needed):
                continue
            try:
                if any(result.state in ("failed", "skipped") for result in needed):
                    self._settle(spec, "skipped")
                elif (reason := self._reason_to_start(spec, contents)) is None:
                    self._settle(spec, "unchanged")
                else:
                    ready.append((spec, reason))
            except InputFault as fault:
                screen.fault(str(fault))
                self._settle(spec, "failed", code=4)
        return ready

    def _reason_to_start(self, spec: ReportSpec, contents: Contents) -> Reason | None:
        """Return why a notebook starts now; refuse if it or a declared input is missing."""
        if isinstance(self.sources[spec.name], InputFault):
            raise self.sources[spec.name]
        reason = self.reason(spec, contents)
        for pattern in spec.inputs if reason else ():
            if next(self.workspace.root.glob(pattern), None) is None:
                remedy = f"restore it with `git checkout -- {pattern.rpartition('/')[0]}`"
                if spec.needs:
                    remedy = "run again with --force"
                raise InputFault(f"{pattern}: no such file for {spec.name}: {remedy}")
        return reason

    def _settle(self, spec: ReportSpec, state: str, seconds: float = 0.0, code: int = 0) -> None:
        self.results[spec.name] = Result(spec.name, state, seconds, code, spec.has_page)
        if spec in self.waiting:
            self.waiting.remove(spec)

    def _finish(self, spec: ReportSpec, outcome: workers.Outcome, screen: Screen) -> None:
        """Publish what came back, or say what went wrong."""
        code = 0
        try:
            self._keep(spec, outcome)
            if outcome.fault is None:
                self._publish(spec, outcome)
            else:
                code, line, detail = outcome.fault
                screen.fault(line, detail)
        except NotebookFault as fault:
            code = fault.code
            screen.fault(str(fault))
        except CannotWrite as refusal:
            code = 6
            screen.fault(str(refusal))
        state = "failed" if code else "built"
        screen.end(spec.name, state if code or spec.has_page else "done", outcome.seconds)
        self._settle(spec, state, outcome.seconds, code)

    def _publish(self, spec: ReportSpec, outcome: workers.Outcome) -> None:
        """Publish the page, if there is one, and record what it and the notebook were made from."""
        used, (notebook_code, maker_code) = outcome.used, self.code[spec.name]
        made_from = {**self.manifest.get(spec.name, {}), **self.wanted[spec.name]}
        if not self.reasons[spec.name].keeps_notebook:
            self._check_own_files(spec, used["written"])
            made_from |= {key: used[key] for key in ("read", "listed", "written")}
            made_from["environment"] = freshness.environment_hash(Contents(self.workspace))
            made_from["code"] = {**notebook_code, **used["package"]}
            made_from["executed"] = hashlib.sha256(outcome.notebook).hexdigest()
        if spec.has_page:
            made_from["maker"] = {**maker_code, **used["maker"]}
            publishing.publish(self.workspace, spec.name, outcome.page, made_from, self.manifest)
        else:
            publishing.record(self.workspace, spec.name, made_from, self.manifest)

    def _check_own_files(self, spec: ReportSpec, written: Iterable[str]) -> None:
        """Refuse a notebook that writes a file of another one: neither would stay up to date."""
        for name, result in self.results.items():
            if result.state in ("built", "unchanged"):
                for path in self.manifest[name]["written"]:
                    if path in written:
                        raise NotebookFault(
                            5,
                            f"{path}: written by {spec.name} and by {name}: "
                            "let each notebook write files of its own",
                        )

    def _keep(self, spec: ReportSpec, outcome: workers.Outcome) -> None:
        """Keep the executed notebook and the log for the analyst."""
        executed = self.workspace.executed(spec.name)
        failed = executed.with_name(f"{executed.stem}.failed.ipynb")
        if outcome.notebook:
            kept = failed if outcome.fault else executed
            publishing.replace_file(self.workspace, kept, outcome.notebook)
        if not outcome.fault:
            failed.unlink(missing_ok=True)
        lines = [*(outcome.fault or ())[1:], outcome.log]
        log = self.workspace.build / "logs" / f"{spec.name}.log"
        publishing.replace_file(self.workspace, log, "\n".join(filter(None, lines)).encode())


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _orphans(workspace: Workspace, specs: Sequence[ReportSpec], manifest: Mapping) -> list[str]:
    """Return the pages of projects that are in the facts no more; a part of a build looks at none.

    Returns
    -------
    list of str
        Names of reports, in their order, then those of steps that are no longer taken.
    """
    names = {spec.name for spec in specs}
    if not names.issuperset(REPORTS):
        return []
    pages = sorted((workspace.reports / register.FOLDER).glob("*.html"))
    found = [register.page_name(page.stem) for page in pages]
    steps = sorted(name for name, entry in manifest.items() if "page" not in entry)
    return [name for name in (*found, *steps) if name not in names]
