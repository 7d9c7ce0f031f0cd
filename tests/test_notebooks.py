"""Every notebook reads as a report: one question, values first, short cells, no stored results."""

import ast
import copy
import re

import nbformat
import pytest
from conftest import ROOT

from clusterpolicy.checks import register
from clusterpolicy.run import catalogue, freshness

PACKAGE = ROOT / "src/clusterpolicy"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

READABLE_ID = re.compile(r"[a-z]+(-([a-z]+|[0-9]{1,2}))*")
# Reading and writing happen in the modules, which know where the folders are.
TOUCHES_FILES = re.compile(r"open|Path|read_(csv|parquet|excel|json)|to_(csv|parquet|excel|html)")

# Numbers that a writer may type: years, the names of things, and the level of every interval.
# Whatever else is a number in the prose is a result, and comes from `report.say`.
NOT_A_RESULT = re.compile(
    r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)"  # code, formulas, link targets
    r"|\b(FY ?)?(19|20)\d\d([-–](19|20)?\d\d)?(?![\d,.]\d)\b"  # years and spans of years
    r"|\b(terms?|section|step|table|figure|grade|grade above|rev\.|note) ?\d+(–\d+)?\b"
    r"|\b95 ?%|\b47 prefectures\b"
    r"|\b[A-Za-z]+[-_]?\d+\w*\b",  # names such as b2000 or A4
    re.IGNORECASE,
)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_parameters(cell):
    return "parameters" in cell.metadata.get("tags", [])


def headings(notebook):
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    return re.findall(r"^(#+) (.*)", prose, flags=re.MULTILINE)


def faults_of_file(notebook):
    """Faults of the stored form: version, ids, leftovers of a run, name of the kernel."""
    ids = [cell.get("id", "") for cell in notebook.cells]
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        yield "format is not 4.5"
    elif len(set(ids)) < len(ids):
        yield "two cells share an id"  # which nbformat would mend, with a warning
    else:
        try:
            nbformat.validate(notebook)
        except nbformat.ValidationError as fault:
            yield f"not valid: {fault.message}"
    for name in ids:
        if not READABLE_ID.fullmatch(name) or re.fullmatch(r"[a-f]{8,}", name):
            yield f"id {name!r} does not say what the cell is for"
    for cell in code_cells(notebook):
        if cell.outputs or cell.execution_count is not None:
            yield f"{cell.id}: saved with outputs or a count"
    kernel = notebook.metadata.get("kernelspec", {})
    if kernel.get("name") != "python3":
        yield "kernel is not python3"
    if "version" in notebook.metadata.get("language_info", {}) or re.search(
        r"\d\.\d", kernel.get("display_name", "")
    ):
        yield "names a version of Python"


def faults_of_parameters(notebook):
    """Faults of the cell that papermill fills: one of it, values only, a comment for each."""
    tagged = [cell for cell in notebook.cells if is_parameters(cell)]
    if len(tagged) != 1:
        yield f"{len(tagged)} cells are tagged parameters"
    for cell in tagged:
        for statement in ast.parse(cell.source).body:
            names = getattr(statement, "targets", [getattr(statement, "target", None)])
            line = cell.source.splitlines()[statement.lineno - 1]
            if not (len(names) == 1 and isinstance(names[0], ast.Name)):
                yield f"{cell.id}: not an assignment to one name: {line}"
                continue
            try:
                ast.literal_eval(statement.value)
            except (ValueError, TypeError):
                yield f"{cell.id}: not a plain value: {line}"
            if "#" not in line:
                yield f"{cell.id}: no comment says what may be chosen: {line}"


def faults_of_code(notebook):
    """Faults of the code: what is longer than an idea, or belongs in a module."""
    for position, cell in enumerate(code_cells(notebook)):
        body = ast.parse(cell.source).body
        # The formatter gives each module a line of its own.
        if position and len(cell.source.splitlines()) > 8:
            yield f"{cell.id}: more than 8 lines"
        if position and any(isinstance(s, ast.Import | ast.ImportFrom) for s in body):
            yield f"{cell.id}: imports after the first code cell"
        if sum(isinstance(statement, ast.Expr) for statement in body) > 1:
            yield f"{cell.id}: shows more than one thing"
        for node in ast.walk(ast.Module(body, [])):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.For | ast.While):
                yield f"{cell.id}: a {type(node).__name__} belongs in a module"
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if TOUCHES_FILES.fullmatch(called):
                    yield f"{cell.id}: {called} reads or writes files"


def faults_of_prose(notebook):
    """Faults of the text: headings that do not carry the report, results typed by hand."""
    found = headings(notebook)
    if notebook.cells[0].cell_type != "markdown" or [len(h) for h, _ in found].count(1) != 1:
        yield "does not open with its one H1"
    if not re.search(r"\bcannot\b|\blimits?\b", found[-1][1] if found else ""):
        yield "does not end with its limits"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            left = NOT_A_RESULT.sub("", re.sub(r"^\s*\d+\. ", "", cell.source, flags=re.M))
            for number in re.findall(r"\d[\d.,]*", left):
                yield f"{cell.id}: {number!r} is typed by hand"


RULES = [faults_of_file, faults_of_parameters, faults_of_code, faults_of_prose]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_keeps_the_rules(path, rule):
    stored = nbformat.v4.reads(path.read_text(encoding="utf-8"))  # nbformat.read mends it first
    assert list(rule(stored)) == []


def test_the_notebooks_are_numbered_in_reading_order_those_that_estimate_first():
    in_order = sorted(NOTEBOOKS, key=lambda path: int(path.stem.partition("-")[0]))
    for number, path in enumerate(in_order, start=1):
        assert re.fullmatch(rf"{number}(-[a-z]+)+", path.stem), path.name
    assert len(in_order) < 12
    reports = catalogue.list_reports([register.Entry("tama-t2", "Tama")]).values()
    has_page = {spec.notebook: spec.has_page for spec in reports}
    kinds = [has_page[path.name] for path in in_order]
    assert kinds == sorted(kinds)


# What says and shows: of no estimate's business, and not to be in the key of a step.
TELLS = re.compile(
    r"(findings|page|pages|render|templates)/|projects/(profile(charts|tables|words)|placecharts)"
    r"|(evidence|statements|wording|figures|tables|report|answers)\.py"
)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_edited_sentence_or_drawing_estimates_nothing_again(path):
    reports = catalogue.list_reports([register.Entry("tama-t2", "Tama")]).values()
    has_page = any(spec.has_page for spec in reports if spec.notebook == path.name)
    cells = nbformat.v4.reads(path.read_text(encoding="utf-8")).cells
    found = [name for name in freshness.code_used(cells, PACKAGE).modules if TELLS.match(name)]
    assert bool(found) == has_page, found


# ---- Each rule finds what it is for ------------------------------------------------------------


@pytest.fixture
def sample():
    """The shortest notebook that keeps every rule."""
    cells = [
        ("question", "markdown", "# What one term changed\n\nFY2001-05 against 1996-2000, term 1."),
        ("imports", "code", "from clusterpolicy import effects, report"),
        ("parameters", "code", "term = 2  # 1, 2 or 3"),
        ("answer", "code", "report.say(effects.answer(term))"),
        ("limits", "markdown", "## What this cannot tell us\n\nAn interval of 95 % says no more."),
    ]
    new_cell = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(
        cells=[new_cell[kind](source, id=name) for name, kind, source in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    notebook.nbformat_minor = 5
    notebook.cells[2].metadata["tags"] = ["parameters"]
    return notebook


def test_the_sample_keeps_the_rules(sample):
    assert [fault for rule in RULES for fault in rule(sample)] == []


def with_source(position, text):
    return lambda notebook: notebook.cells[position].update(source=text)


BROKEN = {
    "format is not 4.5": lambda nb: nb.update(nbformat_minor=4),
    "not valid": lambda nb: nb.cells[3].update(outputs=[{"output_type": "picture"}]),
    "share an id": lambda nb: nb.cells[3].update(id="imports"),
    "does not say what": lambda nb: nb.cells[3].update(id="3f2a91bc"),
    "saved with outputs": lambda nb: nb.cells[3].update(execution_count=3),
    "not python3": lambda nb: nb.metadata.kernelspec.update(name="py311"),
    "a version of Python": lambda nb: nb.metadata.update(language_info={"version": "3.11.7"}),
    "0 cells are tagged": lambda nb: nb.cells[2].metadata.clear(),
    "not a plain value": with_source(2, "term = max(1, 2)  # 1, 2 or 3"),
    "not an assignment": with_source(2, "print(2)  # 1, 2 or 3"),
    "no comment says": with_source(2, "term = 2"),
    "more than 8 lines": with_source(3, "\n".join(f"a{n} = {n}" for n in range(9))),
    "imports after": with_source(3, "import os"),
    "more than one thing": with_source(3, "print(1)\nprint(2)"),
    "For belongs": with_source(3, "for t in (1, 2):\n    print(t)"),
    "FunctionDef belongs": with_source(3, "def f(): ..."),
    "read_csv reads or writes": with_source(3, "cells = pd.read_csv(name)"),
    "open reads or writes": with_source(3, "text = open(name).read()"),
    "its one H1": with_source(4, "# Another title\n\n## Limits"),
    "with its limits": with_source(4, "## What we found"),
    "'1.7' is typed": with_source(0, "# A title\n\nGrowth was 1.7 % in FY2001-05."),
    "'12' is typed": with_source(0, "# A title\n\nAnd 12 projects."),
    "'5,800' is typed": with_source(0, "# A title\n\nSome 5,800 firms took part."),
    "'2,005' is typed": with_source(0, "# A title\n\nSome 2,005 firms took part."),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_rule_finds_what_it_is_for(sample, fault):
    broken = copy.deepcopy(sample)
    BROKEN[fault](broken)
    assert fault in "\n".join(f for rule in RULES for f in rule(broken))
