"""Which reports there are: the notebook of each, the values it takes, and what it needs.

A notebook that estimates is a step: it writes records and has no page. A notebook that tells has a
page. Every project of the facts is a report too, so the list is made when the run starts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clusterpolicy.checks import register
from clusterpolicy.run import parameters
from clusterpolicy.run.parameters import PARAMETERS, UsageFault, Value

PAGE_MAKER = "clusterpolicy.report"


@dataclass(frozen=True)
class ReportSpec:
    """One notebook, the values it is run with, and what comes of it: a page, or records alone.

    Attributes
    ----------
    name : str
        The page is ``reports/<name>.html``.
    notebook : str
        File name in ``notebooks/``.
    title : str
        Title of the page.
    takes : tuple of str
        Parameters that may be chosen for this report.
    fixed : tuple of (str, int or str)
        Parameters that make this report what it is.
    needs : tuple of str
        Steps and reports whose notebooks write what this one reads.
    inputs : tuple of str
        Patterns below the root that must match a file when the run starts. What a rebuild depends
        on is not this list but the files that the notebook was seen to open.
    maker : str
        Module that makes the page, with ``PageSpec``, ``page`` and ``check`` as
        `clusterpolicy.report` has them; empty for a step without a page.
    """

    name: str
    notebook: str
    title: str = ""
    takes: tuple[str, ...] = ()
    fixed: tuple[tuple[str, Value], ...] = ()
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    maker: str = PAGE_MAKER

    @property
    def has_page(self) -> bool:
        """Whether a page comes of it; a step without one only writes files for others."""
        return bool(self.maker)


_TERM_TITLES = ("Term 1: launch", "Term 2: development", "Term 3: autonomy")
_CLEAN = "clean"
_TABLES = ("data/clean/*.parquet",)


def _step(name: str, notebook: str, *needs: str, **given: tuple) -> ReportSpec:
    """Return a step that estimates: no page, and tables to read where it needs another one."""
    return ReportSpec(
        name, notebook, needs=needs, **{"inputs": _TABLES if needs else (), **given}, maker=""
    )


# The steps first, the longest of them at the head; then the pages that tell what they have written.
REPORTS = {
    spec.name: spec
    for spec in (
        _step(_CLEAN, "1-clean-clusters.ipynb", inputs=("data/raw/*.csv",)),
        _step("try-methods", "4-try-methods.ipynb", _CLEAN, takes=("fields_map",)),
        *(
            _step(
                f"estimate-term-{term}",
                "2-estimate-term.ipynb",
                _CLEAN,
                takes=("clock", "fields_map"),
                fixed=(("term", term),),
            )
            for term in (3, 2, 1)
        ),
        _step("measure-landscape", "5-measure-landscape.ipynb", _CLEAN, takes=("fields_map",)),
        ReportSpec(
            "data-quality",
            "6-check-data.ipynb",
            "The data",
            takes=("indicator",),
            needs=(_CLEAN,),
            inputs=("data/raw/*.csv", *_TABLES),
        ),
        *(
            ReportSpec(
                f"term-{term}",
                "7-evaluate-term.ipynb",
                title,
                takes=("clock", "fields_map"),
                fixed=(("term", term),),
                needs=(_CLEAN, f"estimate-term-{term}"),
                inputs=_TABLES,
            )
            for term, title in enumerate(_TERM_TITLES, start=1)
        ),
        ReportSpec(
            "methods",
            "10-check-methods.ipynb",
            "Do the estimators tell the truth?",
            takes=("fields_map",),
            needs=(_CLEAN, "try-methods"),
            inputs=("data/results/*.csv",),
        ),
        ReportSpec(
            "index",
            "9-compare-terms.ipynb",
            "Three terms compared",
            takes=("clock", "fields_map"),
            needs=(_CLEAN, *(f"estimate-term-{term}" for term in (1, 2, 3)), "measure-landscape"),
            inputs=(*_TABLES, "data/results/*.csv"),
        ),
    )
}


def values_for(spec: ReportSpec, chosen: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters of a report: what was chosen, else the default, and the fixed ones."""
    values = {name: chosen.get(name, PARAMETERS[name].default) for name in spec.takes}
    return parameters.check({**values, **dict(spec.fixed)})


def list_reports(projects: Sequence[register.Entry]) -> dict[str, ReportSpec]:
    """Return every step and report by name: those of `REPORTS`, and two for each project.

    The overview compares the projects, so it comes after their steps.
    """
    steps = {spec.name: spec for spec in map(_project_step, projects)}
    pages = {spec.name: spec for spec in map(_project_report, projects)}
    index = REPORTS["index"]
    fixed = {name: spec for name, spec in REPORTS.items() if name != index.name}
    first = {name: spec for name, spec in fixed.items() if not spec.has_page}
    index = replace(index, needs=(*index.needs, *steps))
    return {**first, **steps, **fixed, **pages, index.name: index}


def _project_step(project: register.Entry) -> ReportSpec:
    return _step(
        f"estimate-project-{project.project_id}",
        "3-estimate-project.ipynb",
        _CLEAN,
        takes=("clock", "fields_map"),
        fixed=(("project", project.project_id),),
    )


def _project_report(project: register.Entry) -> ReportSpec:
    step = _project_step(project)
    return replace(
        step,
        name=project.page,
        notebook="8-profile-project.ipynb",
        title=project.title,
        needs=(*step.needs, step.name),
        maker=PAGE_MAKER,
    )


def select(
    names: Sequence[str],
    term: int | None = None,
    project: str | None = None,
    reports: Mapping[str, ReportSpec] | None = None,
) -> list[ReportSpec]:
    """Return the named reports, and the steps and reports they need, in the order of `reports`.

    Parameters
    ----------
    names : sequence of str
        Names of pages; all of them if empty and neither `term` nor `project` is given.
    term : int, optional
        Take the report of this term.
    project : str, optional
        Take the report on this project.
    reports : mapping, optional
        From `list_reports`; `REPORTS` if not given.

    Raises
    ------
    UsageFault
        If a name is unknown, or names of reports are given with a term or a project.
    """
    reports = REPORTS if reports is None else reports
    pages = [name for name, spec in reports.items() if spec.has_page]
    for name in names:
        if name not in pages:
            known = ", ".join(page for page in pages if not page.startswith(register.FOLDER))
            ids = f" or {register.FOLDER}/ and an id of {register.TABLE}"
            raise UsageFault(f"report {parameters.shown(name)}: unknown: use {known}{ids}")
    single = {
        "term": None if term is None else f"term-{term}",
        "project": None if project is None else register.page_name(project),
    }
    given = {parameter: name for parameter, name in single.items() if name is not None}
    if given and names:
        parameter = next(iter(given))
        raise UsageFault(f"{parameter}: given together with names of reports: use one or the other")
    wanted = set(names) or set(given.values()) or set(reports)
    for spec in reversed(reports.values()):
        if spec.name in wanted:
            wanted.update(spec.needs)
    return [spec for spec in reports.values() if spec.name in wanted]


def check_taken(specs: Sequence[ReportSpec], chosen: Mapping[str, Value]) -> None:
    """Refuse a parameter that none of the reports takes.

    Raises
    ------
    UsageFault
        Naming the parameters that they do take.
    """
    taken = {name for spec in specs for name in spec.takes}
    for name in chosen:
        if name not in taken:
            names = ", ".join(spec.name for spec in specs if spec.has_page)
            raise UsageFault(
                f"{name}: not a parameter of {names}: they take {', '.join(sorted(taken))}"
            )


def links(spec: ReportSpec) -> list[list[str]]:
    """Return file and title of the pages that every page links to, and of `spec` itself.

    In the order of reading: what stands on most of the others comes first. Of the projects only
    the one that is being read; the overview links to all of them.
    """
    here = posixpath.dirname(spec.name) or "."
    pages = [other for other in REPORTS.values() if other.has_page]
    others = sorted(pages, key=lambda other: -len(other.needs))
    if spec.name not in REPORTS:
        others.append(spec)
    return [[posixpath.relpath(f"{other.name}.html", here), other.title] for other in others]
