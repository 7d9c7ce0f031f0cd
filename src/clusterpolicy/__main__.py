"""The command line: ``python -m clusterpolicy report``, ``data``, ``estat``, ``pdf``, ..."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from clusterpolicy import runner
from clusterpolicy.checks import register
from clusterpolicy.run import catalogue, parameters, publishing
from clusterpolicy.run.freshness import InputFault
from clusterpolicy.run.parameters import PARAMETERS, Parameter, UsageFault
from clusterpolicy.run.progress import Screen
from clusterpolicy.run.publishing import CannotWrite, Workspace
from clusterpolicy.runner import Settings

MARKER = "pyproject.toml"
MOST_JOBS = 64
LONGEST_MESSAGE = 120


class Stopped(BaseException):
    """A signal has asked the run to end; the exit code is 128 plus its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Arguments(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        if len(message) > LONGEST_MESSAGE:
            message = message[:LONGEST_MESSAGE] + "..."
        if message.startswith("unrecognized"):
            message += f": use {', '.join(parameter.flag for parameter in PARAMETERS.values())}"
        raise UsageFault(f"{message}: see `python -m clusterpolicy report --help`")


def main(arguments: Sequence[str] | None = None, settings: Settings | None = None) -> int:
    """Run one command and return its exit code.

    0 fine; 2 parameter or usage; 3 a data rule is broken; 4 input missing or damaged; 5 notebook
    failed; 6 cannot write or another build is running; 7 a page was not accepted; 130 and 143
    interrupted. Anything but 0 comes with one line on standard error.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process if not given.
    settings : Settings, optional
        What holds where the command line says nothing.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        return options.command(options, settings or Settings())
    except UsageFault as fault:
        return _complain(fault, 2)
    except register.RegisterFault as fault:
        return _complain(fault, 3)
    except InputFault as fault:
        return _complain(fault, 4)
    except CannotWrite as fault:
        return _complain(fault, 6)
    except Stopped as stopped:
        name = signal.Signals(stopped.number).name
        return _complain(
            f"stopped by {name}: every page in reports/ is whole: run again to go on",
            128 + stopped.number,
        )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; no value is converted before it has been compared with its list.

    Raises
    ------
    UsageFault
        If an option or value is unknown.
    """
    top = Arguments(prog="clusterpolicy", description=__doc__, allow_abbrev=False)
    commands = top.add_subparsers(
        title="commands", metavar="report | data | estat | pdf | params", required=True
    )
    pages = [name for name, spec in catalogue.REPORTS.items() if spec.has_page]
    report = commands.add_parser("report", help="write the reports", allow_abbrev=False)
    report.set_defaults(command=_report)
    report.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(pages)}, projects/ID")
    for parameter in PARAMETERS.values():
        report.add_argument(
            parameter.flag,
            dest="given_" + parameter.name,
            metavar=parameter.name.upper(),
            help=f"{parameter.meaning_en}: {parameter.choices()}",
        )
    report.add_argument("--force", action="store_true", help="write unchanged reports too")
    report.add_argument("--jobs", metavar="N", help="reports at a time (default: the cores)")
    report.add_argument("--wait", metavar="SECONDS", help="how long to wait for another build")
    report.add_argument("--cell-seconds", metavar="SECONDS", help="limit for one cell")
    report.add_argument("--run-seconds", metavar="SECONDS", help="limit for one report")
    report.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    data = commands.add_parser(
        "data",
        help="rebuild data/clean, derive the municipal tables of data/raw again and compare",
        allow_abbrev=False,
    )
    data.set_defaults(command=_data)
    data.add_argument(
        "--accept", action="store_true", help="take derived tables that differ into data/raw"
    )
    fetch = commands.add_parser(
        "estat", help="fetch tables of e-Stat with ESTAT_APP_ID", allow_abbrev=False
    )
    fetch.set_defaults(command=_estat)
    fetch.add_argument(
        "tables", nargs="*", metavar="TABLE", help="ten digits (default: data/raw/estat_tables.csv)"
    )
    pdf = commands.add_parser("pdf", help="print the reports as PDF", allow_abbrev=False)
    pdf.set_defaults(command=_pdf)
    params = commands.add_parser("params", help="list the parameters", allow_abbrev=False)
    params.set_defaults(command=_params)
    return top.parse_args(arguments)


def find_workspace() -> Workspace:
    """Return the checkout to work in: ``CLUSTERPOLICY_ROOT``, else the folder above the package.

    Raises
    ------
    InputFault
        If neither holds a ``pyproject.toml``.
    """
    named = os.environ.get("CLUSTERPOLICY_ROOT")
    start = Path(named).absolute() if named else Path(__file__).resolve().parent
    for folder in (start, *start.parents):
        if (folder / MARKER).is_file():
            return Workspace(folder)
    raise InputFault(f"{MARKER}: not found here or above: set CLUSTERPOLICY_ROOT to the checkout")


def _report(options: argparse.Namespace, settings: Settings) -> int:
    typed = {name: getattr(options, "given_" + name) for name in PARAMETERS}
    typed = {name: text for name, text in typed.items() if text is not None}
    # Which projects there are is only asked when nothing else is wrong.
    parameters.read({name: text for name, text in typed.items() if name != "project"})
    workspace = find_workspace()
    projects = register.read(workspace.root)
    chosen = parameters.read(typed, _declared(projects))
    reports = catalogue.list_reports(projects)
    term, project = chosen.pop("term", None), chosen.pop("project", None)
    specs = catalogue.select(options.names, term, project, reports)
    catalogue.check_taken(specs, chosen)
    settings = dataclasses.replace(
        settings,
        force=options.force or settings.force,
        jobs=_whole("jobs", options.jobs, settings.jobs, MOST_JOBS),
        cell_seconds=_whole("cell-seconds", options.cell_seconds, settings.cell_seconds),
        run_seconds=_whole("run-seconds", options.run_seconds, settings.run_seconds),
        patience=_whole("wait", options.wait, settings.patience, lowest=0),
    )
    screen = Screen(verbose=options.verbose)
    results = runner.build(workspace, specs, chosen, settings, screen)
    where = workspace.short(workspace.reports) + "/"
    told = [result for result in results if result.has_page or result.state == "failed"]
    screen.summary([(result.name, result.state) for result in told], where)
    return next((result.code for result in results if result.code), 0)


def _data(options: argparse.Namespace, _settings: Settings) -> int:
    workspace = find_workspace()
    from clusterpolicy import panel
    from clusterpolicy.finerdata import derive, downloads, estat, finer, later

    def build() -> None:
        raw = panel.read_raw()
        study = panel.clean_all(raw)
        panel.save(study)
        finer.build(raw)
        print("data/clean: rebuilt from data/raw")
        print(f"data/raw: {len(study.warnings)} warnings, in data/clean/warnings.csv")

    def derive_again() -> Path:
        registry = downloads.read_registry()
        missing = len(downloads.find_missing(registry))
        print(f"data/external: {missing} of {len(registry)} files to fetch")
        downloads.fetch_all(registry, note=print)
        return derive.write(derive.derive(derive.read_inputs(), registry))

    def make() -> None:
        if options.accept:  # a carried table that breaks a rule is no reason not to replace it
            for name in derive.accept(derive_again()):
                print(f"data/raw/{name}.csv: taken from the published files")
            build()
        else:
            build()
            names = derive.compare(derive_again())
            print(
                f"data/raw: {len(names)} tables reproduced from the published files, byte for byte"
            )
        if os.environ.get(estat.APP_ID):
            later.update(print)
        else:
            print(f"data/clean/estat: later years not asked for: {estat.APP_ID} is not set")

    return _make_data(workspace, make)


def _estat(options: argparse.Namespace, _settings: Settings) -> int:
    workspace = find_workspace()
    from clusterpolicy import sources
    from clusterpolicy.finerdata import later

    def make() -> None:
        folder = later.update(print, options.tables)
        print(f"{sources.short_path(folder)}: written")

    for table in options.tables:
        if not (table.isascii() and table.isdigit() and len(table) == 10):
            raise UsageFault(f"estat: {parameters.shown(table)} is no table: write its ten digits")
    return _make_data(workspace, make)


def _make_data(workspace: Workspace, make: Callable[[], None]) -> int:
    """Make tables under the lock and return the exit code of what stopped it, if anything did."""
    from clusterpolicy import sources

    try:
        with publishing.lock(workspace):
            make()
    except sources.DataFault as fault:
        return _complain(fault, 3)
    except sources.InputMissing as fault:
        return _complain(fault, 4)
    except CannotWrite:
        raise
    except OSError as reason:
        raise CannotWrite(f"data: cannot be written ({publishing.one_line(reason)})") from reason
    return 0


def _pdf(_options: argparse.Namespace, _settings: Settings) -> int:
    from clusterpolicy.run import paper

    workspace = find_workspace()
    with publishing.lock(workspace):
        for printed in paper.print_reports(workspace):
            print(workspace.short(printed))
    return 0


def _params(_options: argparse.Namespace, _settings: Settings) -> int:
    print(parameters.table(_declared(register.read(find_workspace().root))))
    return 0


def _declared(projects: Sequence[register.Entry]) -> dict[str, Parameter]:
    return parameters.fill(project=[each.project_id for each in projects])


def _whole(
    name: str, text: str | None, default: float, highest: int = 100_000, lowest: int = 1
) -> float:
    """Read a whole number written in plain digits."""
    if text is None:
        return default
    is_plain = text.isascii() and text.isdigit() and text == str(int(text[:9]))
    if not is_plain or not lowest <= int(text) <= highest:
        raise UsageFault(
            f"{name}: {parameters.shown(text)} is not allowed: "
            f"use a whole number from {lowest} to {highest}"
        )
    return int(text)


def _stop(number: int, _frame: object) -> NoReturn:
    # A second signal must not stop the clearing up.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def _complain(fault: object, code: int) -> int:
    print(parameters.one_line(str(fault)), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
