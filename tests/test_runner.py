"""Only what changed is made again, and a reader never meets half a page."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import copy_study
from small_study import PACKAGE_FOLDER, TERM_PARAMETERS, SmallStudy

from clusterpolicy.checks import register
from clusterpolicy.run import catalogue, freshness, kernels, publishing, tracing
from clusterpolicy.run.catalogue import REPORTS, ReportSpec
from clusterpolicy.run.freshness import Contents, InputFault, Reason
from clusterpolicy.run.parameters import UsageFault
from clusterpolicy.run.progress import Screen
from clusterpolicy.run.publishing import CannotWrite, Workspace
from clusterpolicy.run.workers import Outcome
from clusterpolicy.runner import Plan, Settings


class Quiet(Screen):
    """Keeps what would be printed."""

    def __init__(self):
        super().__init__()
        self.faults, self.started, self.notes = [], [], []

    def start(self, name, reason):
        self.started.append((name, reason))

    def end(self, *_):
        pass

    def fault(self, line, detail=""):
        self.faults.append(line)

    def note(self, line):
        self.notes.append(line)


class AtOnce:
    """An executor that does each job as it comes in: the seam for any other executor."""

    def submit(self, run, *arguments):
        future = Future()
        future.set_result(run(*arguments))
        return future


class Hand:
    """Stands for the processes: reads and writes what the small study's notebooks would."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.ran, self.kept = [], []
        self.failing = {}

    def __call__(self, job, limit, report_cell):
        name, root = job["name"], self.workspace.root
        self.ran.append(name)
        if job["kept"] and name not in self.failing:
            self.kept.append(name)
            made = {"read": job["read"], "maker": self.templates()}
            return Outcome(self.page(job, Path(job["kept"]).read_bytes()), used=made)
        report_cell(1, 1, "step-1")
        if name in self.failing:
            return Outcome(notebook=b"{}", fault=(self.failing[name], f"{name}: failed", "why"))
        reads, writes = self.files(job)
        content = b"".join((root / path).read_bytes() for path in reads)
        for path in writes:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        used = {
            "read": {path: freshness.hash_file(root / path) for path in reads},
            "listed": {},
            "written": {path: freshness.hash_file(root / path) for path in writes},
            "package": {},
            "maker": self.templates(),
        }
        return Outcome(self.page(job, content) if job["maker"] else b"", content, used)

    def files(self, job):
        """What a notebook reads and writes: a page reads what its steps have written."""
        name = job["name"]
        if name in ("clean", "data-quality"):
            return ["data/raw/figures.csv"], ["data/clean/panel.parquet"] * (name == "clean")
        if not job["maker"]:
            return ["data/clean/panel.parquet"], [f"data/results/{name}.csv"]
        steps = [f"estimate-{name.replace('projects/', 'project-').removesuffix('/tama')}"]
        if name == "methods":
            steps = ["try-methods"]
        elif name == "index":
            steps = ["measure-landscape", *(f"estimate-term-{n}" for n in (1, 2, 3))]
        return [f"data/results/{step}.csv" for step in steps], []

    def page(self, job, content):
        told = sorted(job["parameters"].items())
        return f"<html>{job['maker']} {job['name']} {told} {content}</html>".encode()

    def templates(self):
        name = "page/template.css"
        return {name: freshness.hash_file(self.workspace.package / name)}


@pytest.fixture
def study(tmp_path):
    return SmallStudy(tmp_path / "作業 folder")


@pytest.fixture
def workspace(study):
    package = study.root / "src" / "clusterpolicy"
    for folder in ("page", "run"):
        (package / folder).mkdir(parents=True)
    for name in ("report", "run/jobs", "panel", "effects", "figures", "page/__init__"):
        (package / f"{name}.py").write_text("")
    (package / "effects.py").write_text("from clusterpolicy import page, panel\n")
    (package / "page/template.css").write_text("p {}")
    return Workspace(study.root, package)


@pytest.fixture
def hand(workspace):
    return Hand(workspace)


def build(workspace, hand, names=(), chosen=None, force=False, reports=None):
    """Build with `hand` in the place of processes: what ran, the results, the screen."""
    specs = reports or catalogue.select(names)
    screen = Quiet()
    hand.ran.clear()
    hand.kept.clear()
    plan = Plan(workspace, specs, chosen or {}, Settings(force=force, jobs=1))
    with publishing.lock(workspace):
        results = {result.name: result for result in plan.carry_out(AtOnce(), hand, screen)}
    return hand.ran[:], results, screen


ALL = list(REPORTS)
PAGES = [name for name, spec in REPORTS.items() if spec.has_page]
STEPS = [name for name, spec in REPORTS.items() if not spec.has_page]
TERMS = ["term-1", "term-2", "term-3"]
ESTIMATES = ["estimate-term-3", "estimate-term-2", "estimate-term-1"]


# --- which reports there are ------------------------------------------------------------------


def test_every_report_comes_after_the_steps_it_needs():
    names = list(REPORTS)
    for spec in REPORTS.values():
        assert all(names.index(needed) < names.index(spec.name) for needed in spec.needs)
        assert not any(REPORTS[needed].has_page for needed in spec.needs)


PROJECTS = [register.Entry("tama-t2", "Tama"), register.Entry("okinawa-t2", "Okinawa")]


def test_each_project_of_the_facts_is_a_report_before_the_overview():
    reports = catalogue.list_reports(PROJECTS)
    assert list(reports)[-3:] == ["projects/tama-t2", "projects/okinawa-t2", "index"]
    steps = ("estimate-project-tama-t2", "estimate-project-okinawa-t2")
    assert reports["index"].needs[-2:] == steps
    assert [reports[step].has_page for step in steps] == [False, False]
    assert catalogue.list_reports([]) == REPORTS
    chosen = catalogue.select([], project="tama-t2", reports=reports)
    assert [spec.name for spec in chosen] == ["clean", steps[0], "projects/tama-t2"]
    both = [spec.name for spec in catalogue.select([], 2, "tama-t2", reports)]
    assert both == ["clean", "estimate-term-2", steps[0], "term-2", "projects/tama-t2"]
    with pytest.raises(UsageFault, match="project: given together with names"):
        catalogue.select(["index"], project="tama-t2", reports=reports)
    with pytest.raises(UsageFault, match=r"unknown: use .*, index or projects/ and an id of"):
        catalogue.select(["projects/kanto-t2"], reports=reports)


def test_the_links_of_a_page_name_no_project_but_the_one_that_is_read():
    reports = catalogue.list_reports(PROJECTS)
    fixed = [title for _, title in catalogue.links(REPORTS["index"])]
    assert fixed[0] == REPORTS["index"].title
    assert sorted(fixed) == sorted(REPORTS[page].title for page in PAGES)
    links = catalogue.links(reports["projects/tama-t2"])
    assert links[-1] == ["tama-t2.html", "Tama"]
    assert [title for _, title in links[:-1]] == fixed
    assert all(file.startswith("../") for file, _ in links[:-1])


@pytest.fixture
def with_projects(study, workspace):
    """Reports of a study with two projects, and what a build of all of them needs."""
    parameters = 'project = "tama-t2"\nclock = "funded"\nfields_map = "broad"'
    study.notebook("3-estimate-project", parameters, "pass")
    study.notebook("8-profile-project", parameters, "pass")
    return list(catalogue.list_reports(PROJECTS).values())


def test_the_page_of_a_project_that_left_the_facts_goes_and_is_named(
    workspace, hand, with_projects
):
    build(workspace, hand, reports=with_projects)
    page = workspace.page("projects/tama-t2")
    page.with_suffix(".pdf").write_bytes(b"%PDF")
    own = workspace.root / "data/results/estimate-project-tama-t2.csv"
    assert page.is_file()
    assert own.is_file()

    left = list(catalogue.list_reports(PROJECTS[1:]).values())
    assert not Plan(workspace, left, {}, Settings()).is_done()
    hand.failing = {"index": 5}
    build(workspace, hand, reports=left, force=True)
    assert page.is_file()  # the old overview still leads to it
    hand.failing = {}
    build(workspace, hand, reports=[spec for spec in left if spec.name != "index"])
    assert own.is_file()
    assert page.is_file()  # a part of the reports says nothing about the rest
    _, _, screen = build(workspace, hand, reports=left)
    assert screen.notes == [
        "projects/tama-t2: its project has left data/raw/projects.csv: page removed"
    ]
    assert not any(path.exists() for path in (page, own, page.with_suffix(".pdf")))
    assert workspace.page("projects/okinawa-t2").is_file()
    assert "projects/tama-t2" not in publishing.read_manifest(workspace)
    assert Plan(workspace, left, {}, Settings()).is_done()


def test_choosing_a_report_chooses_what_it_needs():
    steps = ["clean", *ESTIMATES, "measure-landscape"]
    assert [s.name for s in catalogue.select(["index"])] == [*steps, "index"]
    chosen = ["clean", "estimate-term-2", "term-2"]
    assert [s.name for s in catalogue.select([], term=2)] == chosen
    assert [s.name for s in catalogue.select(["data-quality"])] == ["clean", "data-quality"]


def test_a_report_more_is_one_entry_more(workspace, hand, monkeypatch):
    spec = ReportSpec(
        "term-1/tama", "7-evaluate-term.ipynb", "Tama", fixed=(("term", 1),), needs=("index",)
    )
    monkeypatch.setitem(REPORTS, spec.name, spec)
    ran, _, _ = build(workspace, hand, ["term-1/tama"])
    assert ran[-1] == "term-1/tama"
    assert (workspace.reports / "term-1" / "tama.html").is_file()
    assert ["../index.html", REPORTS["index"].title] in catalogue.links(spec)


# --- nothing redone ---------------------------------------------------------------------------


def test_the_first_build_makes_all_and_the_second_none(workspace, hand):
    ran, results, _ = build(workspace, hand)
    assert ran == list(REPORTS)
    assert {result.state for result in results.values()} == {"built"}
    assert Plan(workspace, catalogue.select([]), {}, Settings()).is_done()
    ran, results, _ = build(workspace, hand)
    assert ran == []
    assert {result.state for result in results.values()} == {"unchanged"}


@pytest.mark.parametrize(
    ("path", "content", "run", "made"),
    [
        ("data/raw/figures.csv", "year,value\n2001,6\n", ALL, []),
        ("data/clean/panel.parquet", "edited by hand", ["clean"], []),
        ("data/results/estimate-term-2.csv", "edited by hand", ["estimate-term-2"], []),
        ("data/raw/other.csv", "read by nobody", [], []),
        ("requirements.lock", "pandas==1\n", ALL, []),
        ("src/clusterpolicy/run/kernels.py", "x = 1", ALL, []),
        ("src/clusterpolicy/panel.py", "x = 1", ESTIMATES, []),
        ("src/clusterpolicy/page/__init__.py", "x = 1", ESTIMATES, []),  # effects imports it
        ("src/clusterpolicy/figures.py", "x = 1", TERMS, []),
        ("src/clusterpolicy/report.py", "x = 1", [], [p for p in PAGES if p != "methods"]),
        ("src/clusterpolicy/publish.py", "x = 1", [], ["methods"]),
        ("src/clusterpolicy/shapes.py", "x = 1", [], ["methods"]),
        ("src/clusterpolicy/run/jobs.py", "x = 1", [], PAGES),
        ("src/clusterpolicy/page/template.css", "p { margin: 0 }", [], PAGES),
        ("src/clusterpolicy/unused.py", "x = 1", [], []),
        ("reports/term-3.html", "edited by hand", [], ["term-3"]),
    ],
)
def test_a_change_remakes_what_depends_on_it_and_nothing_else(
    study, workspace, hand, two_makers, path, content, run, made
):
    study.notebook("2-estimate-term", TERM_PARAMETERS, "from clusterpolicy import effects")
    study.notebook("7-evaluate-term", TERM_PARAMETERS, "from clusterpolicy import figures")
    build(workspace, hand, reports=two_makers)
    (workspace.root / path).write_text(content)
    assert build(workspace, hand, reports=two_makers)[0] == run + made
    assert hand.kept == made
    assert build(workspace, hand, reports=two_makers)[0] == []


@pytest.fixture
def two_makers(workspace):
    """Reports of which one has a page maker of its own."""
    (workspace.package / "publish.py").write_text("from clusterpolicy import shapes\n")
    (workspace.package / "shapes.py").write_text("")
    new = replace(REPORTS["methods"], maker="clusterpolicy.publish")
    return list({**REPORTS, new.name: new}.values())


def test_another_maker_makes_the_page_again_of_the_kept_notebook(workspace, hand, two_makers):
    build(workspace, hand)
    ran, _, screen = build(workspace, hand, reports=two_makers)
    assert (ran, hand.kept) == (["methods"], ["methods"])
    assert screen.started == [("methods", "heading changed")]
    assert b"clusterpolicy.publish methods" in workspace.page("methods").read_bytes()


def test_a_page_made_of_the_kept_notebook_is_the_same_page(workspace, hand):
    build(workspace, hand)
    before = workspace.page("term-2").read_bytes()
    workspace.page("term-2").write_text("edited by hand")
    _, _, screen = build(workspace, hand)
    assert screen.started == [("term-2", "reports/term-2.html was edited or deleted")]
    assert workspace.page("term-2").read_bytes() == before


def test_what_only_notebooks_import_is_not_loaded_to_make_pages_again(study, workspace, hand):
    study.notebook("2-estimate-term", TERM_PARAMETERS, "import pyfixest")
    (workspace.package / "report.py").write_text("import nbconvert")
    build(workspace, hand)

    def loaded():
        return Plan(workspace, list(REPORTS.values()), {}, Settings()).libraries()

    (workspace.package / "page/template.css").write_text("p { margin: 0 }")
    assert loaded() == {"clusterpolicy", "nbconvert"}
    (workspace.root / "data/raw/figures.csv").write_text("year,value\n2001,6\n")
    assert loaded() >= {"clusterpolicy", "nbconvert", "pyfixest"}


@pytest.mark.parametrize("damage", ["edited by hand", None])
def test_an_executed_notebook_that_is_not_the_one_recorded_is_run_again(workspace, hand, damage):
    build(workspace, hand)
    kept = workspace.executed("term-2")
    kept.unlink() if damage is None else kept.write_text(damage)
    assert build(workspace, hand)[0] == []  # the page is as it should be
    workspace.page("term-2").unlink()
    assert (build(workspace, hand)[0], hand.kept) == (["term-2"], [])
    workspace.page("term-2").unlink()
    assert (build(workspace, hand)[0], hand.kept) == (["term-2"], ["term-2"])


def test_a_page_that_cannot_be_made_keeps_the_notebook_for_the_next_attempt(workspace, hand):
    build(workspace, hand)
    (workspace.package / "report.py").write_text("x = 1")
    hand.failing = {"term-2": 7}
    _, results, _ = build(workspace, hand, ["term-2"])
    assert results["term-2"].code == 7
    hand.failing = {}
    assert (build(workspace, hand, ["term-2"])[0], hand.kept) == (["term-2"], ["term-2"])


# --- steps without a page ---------------------------------------------------------------------


def test_a_step_has_no_page_and_its_key_nothing_of_one(workspace, hand):
    ran, results, screen = build(workspace, hand, ["term-1"])
    assert ran == ["clean", "estimate-term-1", "term-1"]
    assert [results[name].has_page for name in ran] == [False, False, True]
    assert ("estimate-term-1", "not built yet") in screen.started
    assert [path.name for path in workspace.reports.rglob("*.html")] == ["term-1.html"]
    entries = publishing.read_manifest(workspace)
    assert set(entries["term-1"]) - set(entries["estimate-term-1"]) == {"heading", "maker", "page"}
    assert workspace.executed("estimate-term-1").is_file()


def test_a_step_is_not_asked_for_by_name_and_stands_in_no_message_about_pages():
    with pytest.raises(UsageFault, match=r"unknown: use data-quality, term-1, .*, index or"):
        catalogue.select(["estimate-term-1"])
    with pytest.raises(UsageFault, match="not a parameter of term-1: they take clock"):
        catalogue.check_taken(catalogue.select(["term-1"]), {"project": "x"})


def test_the_records_of_a_step_that_is_no_longer_taken_go(workspace, hand):
    more = replace(REPORTS["try-methods"], name="try-more")
    build(workspace, hand, reports=[*REPORTS.values(), more])
    own = workspace.root / "data/results/try-more.csv"
    assert own.is_file()
    _, _, screen = build(workspace, hand, ["index"])
    assert own.is_file()
    _, _, screen = build(workspace, hand)
    assert not own.exists()
    assert screen.notes == []
    assert "try-more" not in publishing.read_manifest(workspace)


def test_deleted_pages_and_results_are_made_again(workspace, hand):
    build(workspace, hand)
    (workspace.page("term-1")).unlink()
    (workspace.root / "data/results/estimate-term-2.csv").unlink()
    assert (build(workspace, hand)[0], hand.kept) == (["estimate-term-2", "term-1"], ["term-1"])


def test_dates_and_the_noise_of_tools_change_nothing(study, workspace, hand):
    build(workspace, hand)
    for path in workspace.root.rglob("*"):
        if "build" not in path.parts:
            os.utime(path, (0, 0))
    path = workspace.notebooks / "7-evaluate-term.ipynb"
    notebook = json.loads(path.read_bytes())
    notebook["metadata"]["kernelspec"]["display_name"] = "Python 3.11 (another)"
    notebook["cells"][2]["execution_count"] = 7
    notebook["cells"][2]["source"] = notebook["cells"][2]["source"].splitlines(keepends=True)
    path.write_text(json.dumps(notebook, indent=4))
    assert build(workspace, hand)[0] == []
    notebook["cells"][0]["source"] = "# Another question"
    path.write_text(json.dumps(notebook))
    assert build(workspace, hand)[0] == TERMS


def test_another_parameter_remakes_the_reports_that_take_it(workspace, hand):
    build(workspace, hand)
    ran, _, screen = build(workspace, hand, chosen={"clock": "planned"})
    assert sorted(ran) == sorted([*ESTIMATES, *TERMS, "index"])
    assert screen.started[0] == ("estimate-term-3", "other clock")
    assert b"planned" in workspace.page("term-1").read_bytes()
    ran, _, _ = build(workspace, hand, chosen={"indicator": "employees", "clock": "planned"})
    assert ran == ["data-quality"]


def test_no_more_than_the_given_number_run_at_a_time(workspace, hand):
    class Slow(AtOnce):
        """Lets a job end only when the next question comes."""

        def __init__(self):
            self.open, self.most = [], 0

        def submit(self, run, *arguments):
            future = Future()
            self.open.append((future, run, arguments))
            self.most = max(self.most, len(self.open))
            return future

    class Ticking(Quiet):
        def tick(self, *_):
            future, run, arguments = slow.open.pop(0)
            future.set_result(run(*arguments))

    slow = Slow()
    plan = Plan(workspace, catalogue.select([]), {}, Settings(jobs=2))
    with publishing.lock(workspace):
        plan.carry_out(slow, hand, Ticking())
    assert slow.most == 2
    assert hand.ran == list(REPORTS)


def test_force_makes_all(workspace, hand):
    build(workspace, hand)
    assert build(workspace, hand, force=True)[0] == list(REPORTS)


def test_the_reason_is_said(workspace, hand):
    build(workspace, hand)
    (workspace.root / "data/raw/figures.csv").write_text("year,value\n2001,6\n")
    _, _, screen = build(workspace, hand, ["term-1"])
    assert screen.started == [
        ("clean", "data/raw/figures.csv changed"),
        ("estimate-term-1", "data/clean/panel.parquet changed"),
        ("term-1", "data/results/estimate-term-1.csv changed"),
    ]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1}', '{"format": 0, "reports": {}}'])
def test_a_damaged_manifest_costs_one_build(workspace, hand, damage):
    build(workspace, hand)
    workspace.manifest.write_text(damage)
    assert build(workspace, hand)[0] == list(REPORTS)
    assert build(workspace, hand)[0] == []


def test_an_entry_that_lacks_something_counts_as_none(workspace, hand):
    build(workspace, hand)
    content = json.loads(workspace.manifest.read_bytes())
    del content["reports"]["term-1"]["read"]
    workspace.manifest.write_text(json.dumps(content))
    assert build(workspace, hand)[0] == ["term-1"]


def test_an_input_edited_during_the_run_is_named_and_its_report_made_again(workspace, hand):
    raw = workspace.root / "data/raw/figures.csv"

    def edited_meanwhile(job, limit, report_cell):
        outcome = hand(job, limit, report_cell)
        if job["name"] == "data-quality":
            raw.write_text("year,value\n2001,7\n")
        return outcome

    edited_meanwhile.ran, edited_meanwhile.kept = hand.ran, hand.kept
    _, _, screen = build(workspace, edited_meanwhile, ["data-quality"])
    late = "data/raw/figures.csv changed while it was made: run again"
    assert screen.notes == [f"clean: {late}", f"data-quality: {late}"]
    assert build(workspace, hand, ["data-quality"])[0] == ["clean", "data-quality"]
    assert b"2001,7" in workspace.page("data-quality").read_bytes()


# --- failures ---------------------------------------------------------------------------------


def test_a_failed_report_keeps_its_old_page_and_the_others_are_made(workspace, hand):
    build(workspace, hand)
    before = workspace.page("term-2").read_bytes()
    (workspace.root / "data/raw/figures.csv").write_text("year,value\n2001,6\n")
    hand.failing = {"term-2": 5}
    ran, results, screen = build(workspace, hand)
    assert ran == ALL
    states = {name: result.state for name, result in results.items()}
    assert states == dict.fromkeys(ALL, "built") | {"term-2": "failed"}
    assert screen.faults == ["term-2: failed"]
    assert workspace.page("term-2").read_bytes() == before
    assert (workspace.build / "notebooks" / "term-2.failed.ipynb").is_file()
    assert (workspace.build / "logs" / "term-2.log").read_text().startswith("term-2: failed\nwhy")


def test_a_failed_step_skips_the_pages_that_need_it(workspace, hand):
    build(workspace, hand)
    before = workspace.page("term-2").read_bytes()
    (workspace.root / "data/raw/figures.csv").write_text("year,value\n2001,6\n")
    hand.failing = {"estimate-term-2": 5}
    ran, results, _ = build(workspace, hand)
    skipped = [name for name, result in results.items() if result.state == "skipped"]
    assert skipped == ["term-2", "index"]
    assert ran == [name for name in ALL if name not in skipped]
    assert workspace.page("term-2").read_bytes() == before


def test_a_failure_is_not_forgotten_by_the_next_build(workspace, hand):
    hand.failing = {"term-2": 5}
    for _ in range(2):
        ran, results, _ = build(workspace, hand, ["term-2"])
        assert ran[-1] == "term-2"
        assert results["term-2"].code == 5
        assert not workspace.page("term-2").exists()
    hand.failing = {}
    assert build(workspace, hand, ["term-2"])[1]["term-2"].state == "built"
    assert not (workspace.build / "notebooks" / "term-2.failed.ipynb").exists()


def test_a_missing_notebook_stops_its_own_reports_only(workspace, hand):
    (workspace.notebooks / "9-compare-terms.ipynb").unlink()
    ran, results, screen = build(workspace, hand)
    assert ran == list(REPORTS)[:-1]
    assert results["index"].code == 4
    assert screen.faults == [
        "notebooks/9-compare-terms.ipynb: no such file or directory: "
        "restore it with `git checkout -- notebooks/9-compare-terms.ipynb`"
    ]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cells": 1}', '{"cells": [{"a": 1}]}', "\xff"])
def test_a_damaged_notebook_is_an_input_fault(workspace, damage):
    path = workspace.notebooks / "7-evaluate-term.ipynb"
    path.write_bytes(damage.encode("latin-1"))
    with pytest.raises(InputFault, match="damaged"):
        freshness.read_source(workspace, path.name)


def test_a_parameter_missing_from_the_notebook_stops_all_before_anything_runs(
    study, workspace, hand
):
    study.notebook("7-evaluate-term", 'term = 1\nclock = "funded"', "pass")
    with pytest.raises(UsageFault, match=r"7-evaluate-term.*'fields_map' is not in its parameters"):
        build(workspace, hand)
    assert hand.ran == []


def test_a_missing_input_is_named_with_the_report_that_reads_it(workspace, hand):
    (workspace.root / "data/raw/figures.csv").unlink()
    ran, results, screen = build(workspace, hand)
    assert ran == []
    assert results["clean"].code == 4
    assert screen.faults[0].startswith("data/raw/*.csv: no such file for clean: restore it with")


def test_two_reports_must_not_write_the_same_file(workspace, hand):
    def clashing(job, limit, report_cell):
        outcome = hand(job, limit, report_cell)
        if job["name"].startswith("term"):
            outcome.used["written"]["data/results/all.csv"] = "0"
        return outcome

    clashing.ran, clashing.kept = hand.ran, hand.kept
    _, results, screen = build(workspace, clashing)
    assert [results[name].code for name in TERMS] == [0, 5, 5]
    assert screen.faults[0].startswith("data/results/all.csv: written by term-2 and by term-1")


# --- publishing -------------------------------------------------------------------------------


class Breaking:
    """Makes the Nth call of the system that publishing relies on fail, once or from then on."""

    def __init__(self, monkeypatch, at, for_good):
        self.count, self.at, self.for_good = 0, at, for_good
        monkeypatch.setattr(publishing, "open", self.opened, raising=False)
        for name in ("fsync", "replace"):
            monkeypatch.setattr(publishing.os, name, self.wrap(getattr(os, name)))
        monkeypatch.setattr(publishing.os, "open", self.wrap(os.open))

    def step(self):
        self.count += 1
        if self.count == self.at or (self.for_good and self.count > self.at):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def wrap(self, function):
        def stepping(*arguments, **named):
            self.step()
            return function(*arguments, **named)

        return stepping

    def opened(self, *arguments):
        self.step()
        return Leaky(open(*arguments), self)


class Leaky:
    """A file whose write takes the first half before it fails."""

    def __init__(self, stream, breaking):
        self.stream, self.breaking = stream, breaking

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def write(self, content):
        self.stream.write(content[: len(content) // 2])
        self.stream.flush()
        self.breaking.step()
        self.stream.write(content[len(content) // 2 :])

    def flush(self):
        self.breaking.step()
        self.stream.flush()

    def fileno(self):
        return self.stream.fileno()


@pytest.mark.parametrize("for_good", [False, True])
def test_whichever_step_fails_the_page_is_the_old_or_the_new_one(workspace, for_good, monkeypatch):
    old, new = b"old" * 1000, b"new" * 1000
    entry = dict.fromkeys(publishing.PAGE_KEYS, "x")
    (workspace.build).mkdir()
    steps, succeeded, refusals = 0, False, []
    while not succeeded:
        steps += 1
        manifest = {}
        publishing.publish(workspace, "term-1", old, entry, manifest)
        with monkeypatch.context() as patch:
            breaking = Breaking(patch, steps, for_good)
            try:
                publishing.publish(workspace, "term-1", new, entry, manifest)
                succeeded = breaking.count < steps
            except CannotWrite as refusal:
                refusals.append(str(refusal))
        found = workspace.page("term-1").read_bytes()
        assert found in (old, new)
        recorded = publishing.read_manifest(workspace)["term-1"]["page"]
        is_known = recorded == freshness.hash_file(workspace.page("term-1"))
        assert is_known or found == new  # at worst the page is made again
        assert [path.name for path in workspace.reports.iterdir()] == ["term-1.html"]
        assert list((workspace.build / "staging").iterdir()) == []
    assert len(refusals) == steps - 1
    assert all("(no space left on device): free some space" in line for line in refusals)
    assert steps > 12  # open, write, flush, sync, rename, open and sync of the folder; twice


def test_who_has_the_old_page_open_goes_on_reading_it(workspace):
    publishing.replace_file(workspace, workspace.page("term-1"), b"old" * 1000)
    with open(workspace.page("term-1"), "rb") as reader:
        publishing.replace_file(workspace, workspace.page("term-1"), b"new" * 1000)
        assert reader.read() == b"old" * 1000
    assert workspace.page("term-1").read_bytes() == b"new" * 1000


def test_what_a_killed_build_left_unfinished_is_cleared_away(workspace):
    staging = workspace.build / "staging"
    staging.mkdir(parents=True)
    (staging / "1-term-1.html").write_text("half")
    with publishing.lock(workspace):
        assert not staging.exists()


def test_a_read_only_reports_folder_is_noticed_before_anything_runs(workspace, monkeypatch):
    def refuse(*_arguments, **_named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    workspace.build.mkdir()
    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(CannotWrite, match=r"build: cannot be written \(read-only file system\)"):
        publishing.check_writable(workspace)


def test_reports_on_another_volume_are_staged_there(workspace, monkeypatch):
    workspace.reports.mkdir()
    workspace.build.mkdir()
    real = os.stat_result

    class Elsewhere(type(workspace.reports)):
        def stat(self, **named):
            found = super().stat(**named)
            return (
                real((*found[:2], found.st_dev + 1, *found[3:10]))
                if self.name == "reports"
                else found
            )

    monkeypatch.setattr(Workspace, "reports", property(lambda w: Elsewhere(w.root / "reports")))
    publishing.replace_file(workspace, workspace.page("term-1"), b"x")
    assert (workspace.root / "reports" / ".staging").is_dir()
    assert not (workspace.build / "staging").exists()


def test_one_build_at_a_time_and_the_other_is_told_who(workspace):
    told = rf"another build is running \(process {os.getpid()} "
    with publishing.lock(workspace), pytest.raises(CannotWrite, match=told):
        publishing.lock(workspace, patience=0.1).__enter__()
    with publishing.lock(workspace):
        pass


def test_a_lock_that_its_holder_left_behind_is_free(workspace):
    workspace.build.mkdir()
    (workspace.build / "lock").write_text("process 1 on elsewhere")
    with publishing.lock(workspace, patience=0):
        handle = os.open(workspace.build / "lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)


# --- what a page depends on -------------------------------------------------------------------


def test_imports_are_followed_through_the_package(workspace):
    package = workspace.package
    (package / "panel.py").write_text("def load():\n    from .figures import x\n")
    (package / "figures.py").write_text("from clusterpolicy.page.theme import Chart\n")
    (package / "page/theme.py").write_text("from . import axes\nfrom ..wording import say\n")
    (package / "page/pages.py").write_text(
        "from clusterpolicy import wording\n"
        "if TYPE_CHECKING:\n    from clusterpolicy import panel\n"
    )
    for name in ("page/axes", "page/unused", "wording"):
        (package / f"{name}.py").write_text("import scipy\n")
    cells = [
        {"cell_type": "code", "source": "%matplotlib inline\nimport clusterpolicy.effects as e"},
        {"cell_type": "code", "source": ["import json, pandas.api\n", "import clusterpolicy\n"]},
        {"cell_type": "code", "source": "this is not Python"},
        {"cell_type": "markdown", "source": "from clusterpolicy import nothing"},
    ]
    used, maker = (
        freshness.code_used(cells, package),
        freshness.code_of_maker("clusterpolicy.page.pages", package),
    )
    assert used.libraries == {"clusterpolicy", "json", "pandas", "scipy"}
    assert set(used.modules) == {
        "effects.py",
        "panel.py",
        "figures.py",
        "wording.py",
        "page/__init__.py",
        "page/axes.py",
        "page/theme.py",
    }
    assert set(maker.modules) == {"page/__init__.py", "page/pages.py", "run/jobs.py", "wording.py"}


def test_files_are_seen_whichever_library_opens_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from pathlib import Path; from clusterpolicy.run import tracing\n"
        "root, log = map(Path, sys.argv[1:]); package = root / 'src/package'\n"
        "tracing.record_files(root, package, log)\n"
        "import os, numpy as np, pandas as pd, pyarrow as pa, pyarrow.parquet as pq\n"
        "os.chdir(root / 'data')\n"
        "table = pd.read_csv('in.csv')\n"
        "pd.read_parquet('in.parquet'); pq.read_table(root / 'data/in2.parquet')\n"
        "pq.ParquetFile('in3.parquet').read(); np.loadtxt('in.txt'); Path('in.bin').read_bytes()\n"
        "sorted(Path('folder').glob('*')); Path('absent').exists()\n"
        "try: open('absent.csv')\n"
        "except FileNotFoundError: pass\n"
        "table.to_csv('out.csv'); table.to_parquet('out.parquet')\n"
        "pq.write_table(pa.table({'a': [1]}), 'out2.parquet'); np.save('out.npy', [1])\n"
        "table.to_csv('.part'); os.replace('.part', 'renamed.csv'); pd.read_csv('renamed.csv')\n"
        "open('../build/log', 'w'); open('../src/module.py'); open(package / 'module.py')\n"
        "open(package / 'page/style.css'); open(package / 'page/absent.css', 'w')\n"
    )
    root, log = tmp_path / "root", tmp_path / "log"
    for folder in ("data/folder", "build", "src/package/page"):
        (root / folder).mkdir(parents=True)
    table = pd.DataFrame({"a": [1]})
    table.to_csv(root / "data/in.csv")
    for name in ("in", "in2", "in3"):
        table.to_parquet(root / f"data/{name}.parquet")
    (root / "data/in.txt").write_text("1")
    (root / "data/in.bin").write_text("1")
    for name in ("module.py", "package/module.py", "package/page/style.css"):
        (root / "src" / name).touch()
    run_python(script, root, log)
    used = tracing.read_record(root, log)
    inputs = ["in.csv", "in.parquet", "in2.parquet", "in3.parquet", "in.txt", "in.bin"]
    assert used["read"] == {
        **{f"data/{name}": freshness.hash_file(root / "data" / name) for name in inputs},
        "data/absent.csv": None,
    }
    outputs = ["out.csv", "out.parquet", "out2.parquet", "out.npy", "renamed.csv"]
    assert set(used["written"]) == {f"data/{name}" for name in outputs}
    assert set(used["listed"]) == {"data/folder"}
    style = "page/style.css"
    assert used["package"] == {style: freshness.hash_file(root / "src/package" / style)}


def run_python(script, *arguments):
    subprocess.run(
        [sys.executable, script, *arguments],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_FOLDER)},
        check=True,
    )


def test_a_file_that_appears_or_vanishes_is_a_change(workspace):
    entry = {
        "parameters": {},
        "notebook": "n",
        "heading": "h",
        "maker": {},
        "executed": None,
        "environment": freshness.environment_hash(Contents(workspace)),
        "code": {},
        "read": {"data/raw/later.csv": None},
        "listed": {"data/raw": freshness.hash_listing(workspace.root / "data/raw")},
        "written": {},
        "page": freshness.hash_file(workspace.page("term-1")),
    }
    wanted = {"parameters": {}, "notebook": "n", "heading": "h"}

    def reason():
        return freshness.why_stale(entry, Contents(workspace), "term-1", wanted)

    assert reason() is None
    (workspace.root / "data/raw/more.csv").touch()
    assert reason() == Reason("data/raw changed")
    (workspace.root / "data/raw/more.csv").unlink()
    (workspace.root / "data/raw/later.csv").touch()
    assert reason() == Reason("data/raw/later.csv changed")


def test_kernels_are_not_given_the_secrets_of_the_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("ESTAT_APP_ID", "x")
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    given = kernels.environment(tmp_path)
    assert not {"AWS_SECRET_ACCESS_KEY", "ESTAT_APP_ID"} & set(given)
    assert (given["TZ"], given["LC_ALL"], given["PYTHONHASHSEED"]) == ("UTC", "C.UTF-8", "0")


# --- the screen -------------------------------------------------------------------------------


class Paper:
    """A stream that keeps what is written to it."""

    def __init__(self, is_terminal):
        self.is_terminal, self.text = is_terminal, ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return self.is_terminal


def test_a_log_has_one_line_a_step_and_no_control_characters():
    out, err = Paper(False), Paper(False)
    screen = Screen(out, err)
    screen.start("term-1", "forced")
    for number in range(1, 40):
        screen.cell("term-1", number, 39, "x")
        screen.tick(0, 2)
    screen.end("term-1", "built", 1.25)
    screen.fault("term-2: failed\x1b[2J", "Traceback")
    screen.summary([("term-1", "built"), ("term-2", "failed"), ("index", "skipped")], "reports/")
    screen.summary([("term-1", "unchanged")], "reports/")  # a step was taken, so it is not nothing
    assert out.text.splitlines()[-1].startswith("0 built, 1 unchanged in ")
    assert out.text.splitlines()[:2] == ["term-1: running (forced)", "term-1: built in 1.2 s"]
    assert out.text.splitlines()[2].startswith("1 built, 1 failed, 1 skipped in ")
    assert "not run, because what they need failed: index" in out.text
    assert err.text == "term-2: failed\\x1b[2J\n"


def test_a_terminal_has_one_live_line_per_running_report():
    out = Paper(True)
    screen = Screen(out, Paper(True), verbose=True)
    screen.start("term-1", "forced")
    screen.start("term-2", "forced")
    screen.cell("term-1", 3, 9, "x")
    screen.tick(1, 4)
    drawn = out.text.splitlines()
    assert [line.rpartition(",")[0] for line in drawn] == [
        "  term-1: cell 3 of 9",
        "  term-2: starting",
        "  1 of 4 reports",
    ]
    screen.tick(1, 4)
    assert "\x1b[3A\x1b[J" in out.text


def test_a_reader_who_leaves_does_not_stop_the_build():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        screen = Screen(out, Paper(False))
        screen.start("term-1", "forced")
        screen.end("term-1", "built", 1)
        screen.summary([("term-1", "built")], "reports/")


# --- the study itself -------------------------------------------------------------------------


def run_study(root, mode, *arguments, **environment):
    code = (
        "import sys; from clusterpolicy.__main__ import main;"
        "from clusterpolicy.runner import Settings;"
        f"sys.exit(main(['report', *sys.argv[1:]], Settings(fork={mode == 'fork'})))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(root / "src"), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def made(root):
    """Return every page, result and clean table with its content."""
    folders = ("reports", "data/results", "data/clean")
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*"))
    files = [path for path in paths if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def untold(root):
    """Return what lies in data/clean and data/results and no report is known to have written."""
    entries = publishing.read_manifest(Workspace(root)).values()
    written = {path for entry in entries for path in entry["written"]}
    return {path for path in made(root) if path.startswith("data/")} - written


@pytest.mark.slow
def test_every_report_of_the_study_is_built_once(built):
    reports = catalogue.list_reports(register.read(built))
    manifest = publishing.read_manifest(Workspace(built, built / "src" / "clusterpolicy"))
    assert set(manifest) == set(reports)
    began = time.monotonic()
    second = run_study(built, "fork")
    assert second.stdout.startswith("nothing to do")
    assert time.monotonic() - began < 2


@pytest.mark.slow
def test_the_study_gives_the_same_bytes_elsewhere_one_by_one_and_unforked(built, tmp_path):
    other = copy_study(built, tmp_path / "elsewhere", with_pages=False)
    assert not made(other)
    settings = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "5", "HOME": str(tmp_path)}
    done = run_study(other, "plain", "--jobs=1", **settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert "run again" not in done.stdout
    assert made(other) == made(built)
    assert untold(other) == set()


@pytest.mark.slow
def test_changing_one_table_of_the_study_remakes_what_reads_it_and_nothing_else(built, tmp_path):
    root = copy_study(built, tmp_path / "changing")
    workspace = Workspace(root, root / "src" / "clusterpolicy")
    reports = catalogue.list_reports(register.read(root))
    plan = Plan(workspace, catalogue.select([], reports=reports), {}, Settings())
    tables = [p.relative_to(root).as_posix() for p in sorted((root / "data").rglob("*.*"))]
    for table in tables:
        before = (root / table).read_bytes()
        (root / table).write_bytes(before + b" ")
        contents = Contents(workspace)
        stale = {spec.name for spec in plan.waiting if plan.reason(spec, contents) is not None}
        (root / table).write_bytes(before)
        entries = plan.manifest.items()
        assert stale == {n for n, e in entries if table in e["read"] or table in e["written"]}
    reads = {name: set(entry["read"]) for name, entry in plan.manifest.items()}
    assert "data/raw/prefecture_shipments.csv" in reads["clean"]
    assert {f"data/results/term-{number}.csv" for number in (1, 2, 3)} <= reads["index"]
    for name, entry in plan.manifest.items():
        assert not ("page" in entry and entry["written"]), f"{name} tells, and writes records"
    for number in (1, 2, 3):
        assert not any(path.startswith("data/raw") for path in reads[f"term-{number}"])
        written = set(plan.manifest[f"estimate-term-{number}"]["written"])
        assert written <= reads[f"term-{number}"] | {f"data/results/ruled-out-{number}.csv"}


# Stands in for every estimator, whoever has imported it under whichever name.
REFUSING = """
import json, sys
sys.modules["pyfixest"] = None

def refuse(*_values, **_named):
    raise AssertionError("a notebook that tells has estimated something")

from clusterpolicy import inference
from clusterpolicy.estimation import huber, scoretest
from clusterpolicy.methodtrials import trials
from clusterpolicy.otherdesigns import bands, synthetic
from clusterpolicy.projects import chance

for estimator in (
    *(scoretest.ScoreTest.__init__, huber.fit, inference.permute_targets, trials.try_court),
    *(synthetic.synthetic_difference, bands.band_of, chance.widening),
):
    estimator.__code__ = refuse.__code__
names = {}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
"""
TELLING = sorted(
    {spec.notebook for spec in catalogue.list_reports(PROJECTS).values() if spec.has_page}
)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", TELLING)
def test_a_notebook_that_tells_estimates_nothing(built, notebook):
    root = built
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, root / "notebooks" / notebook],
        env={**os.environ, "PYTHONPATH": str(root / "src"), "CLUSTERPOLICY_ROOT": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_style_sheet_and_a_sentence_estimate_nothing(built, tmp_path):
    root = copy_study(built, tmp_path / "restyled")
    workspace = Workspace(root, root / "src" / "clusterpolicy")
    reports = catalogue.list_reports(register.read(root))
    plan = Plan(workspace, list(reports.values()), {}, Settings())
    style = workspace.package / "page/template/style.css"
    before = style.read_bytes()
    style.write_bytes(before + b"\n/* another colour */\n")
    reasons = {spec.name: plan.reason(spec, Contents(workspace)) for spec in plan.waiting}
    style.write_bytes(before)
    remade = {name: reason.keeps_notebook for name, reason in reasons.items() if reason}
    assert remade == {spec.name: True for spec in reports.values() if spec.has_page}

    path = workspace.notebooks / "7-evaluate-term.ipynb"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"What one policy term changed", b"What a term changed"))
    plan = Plan(workspace, list(reports.values()), {}, Settings())
    path.write_bytes(before)
    stale = [spec.name for spec in plan.waiting if plan.reason(spec, Contents(workspace))]
    assert stale == TERMS
