"""The README keeps its word: commands run, the answer is the records', lists are complete."""

import ast
import re
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, copy_repository, copy_study

from clusterpolicy import evidence, panel, results
from clusterpolicy.findings import answers
from clusterpolicy.run import paper
from clusterpolicy.run.freshness import InputFault

PACKAGE = ROOT / "src/clusterpolicy"
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^(make\b.*)$", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.S)), re.M
)
# The two commands of the set-up are run in a fresh clone, with nothing prepared, by continuous
# integration; running them here would run this test inside itself.
RUN_BY_CI = ("make report", "make test")


def between(marker):
    return re.search(rf"<!-- {marker}.*?-->\n(.*?)<!-- /{marker} -->", README, re.S).group(1)


def test_continuous_integration_runs_the_two_commands_of_the_set_up():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert set(RUN_BY_CI) <= set(COMMANDS)
    for command in RUN_BY_CI:
        assert re.search(rf"(^|[ (]){command}\b", script, re.M), command


@pytest.fixture(scope="module")
def copy(built, tmp_path_factory):
    """The repository as git knows it with its reports, but for the page of one project."""
    folder = copy_repository(tmp_path_factory.mktemp("readme") / "copy")
    copy_study(built, folder)
    (folder / "reports/projects/kyushu-silicon-t2.html").unlink()
    return folder


# What a command has to do there; another clock makes every page again but that of the data.
DOES = {
    "make report TERM=2": "nothing to do: 1 report in reports/ is up to date",
    "make report PROJECT=kyushu-silicon-t2": "1 built in ",
    "make report CLOCK=planned FIELDS_MAP=narrow": "{all_but_one} built, 1 unchanged in ",
}


def test_what_a_command_has_to_do_is_said_of_commands_that_the_readme_has():
    assert set(DOES) <= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    sorted((each for each in COMMANDS if each not in RUN_BY_CI), key=lambda each: "CLOCK=" in each),
)
def test_the_command_runs(command, copy):
    if command == "make pdf":
        try:
            paper.find_browser()
        except InputFault as missing:
            pytest.skip(str(missing))
    # An environment that is there already, and a laboratory that only says its version.
    given = [f"PYTHON={sys.executable}", "LAB_ARGS=--version"]
    done = subprocess.run([*command.split(), *given], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "run again" not in done.stdout
    for page in re.findall(r"reports/\S+\.html", command):
        assert (copy / page).is_file()
    if command in DOES:
        assert done.stderr == ""
        all_but_one = len(list((copy / "reports").rglob("*.html"))) - 1
        assert DOES[command].format(all_but_one=all_but_one) in done.stdout


@pytest.mark.slow
def test_the_answer_is_the_one_the_records_give(built):
    study = panel.load(built / "data/clean")
    names = [f"{name}-{number}" for name in ("term", "outcomes") for number in (1, 2, 3)]
    records = results.load_results(names, built / "data/results")
    phrases = evidence.phrase_matrix(study, records, "funded", "broad")
    lines = answers.answer_policy(records, phrases, "funded", "broad")
    assert between("answer") == "".join(f"- {line}\n" for line in lines)


def listed():
    """Folders and modules in the README's order, each with what it is said to be for.

    A folder of the first list is followed by its modules, from the list under its name.
    """
    lists = re.findall(r"(?:^\*\*`(\S+)`\*\*\n\n)?^```\n(.*?)^```", between("modules"), re.M | re.S)
    lines = {folder: re.findall(r"^(\S+) +(.+)$", text, re.M) for folder, text in lists}
    found = {}
    for name, meaning in lines.pop(""):
        found |= {name: meaning} | {name + module: text for module, text in lines.pop(name, ())}
    assert not lines
    return found


def test_the_modules_are_listed_with_what_they_are_for():
    first_lines = {}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix().removesuffix("__init__.py")
        if place not in ("", "__main__.py"):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            first_lines[place] = docstring.splitlines()[0].rstrip(".")
    assert listed() == first_lines


def test_a_folder_of_modules_says_what_they_are_for_and_imports_nothing():
    for path in PACKAGE.glob("*/__init__.py"):
        assert len(ast.parse(path.read_text(encoding="utf-8")).body) == 1, path


def imported(path):
    """Modules of the package that a module needs when it runs, those for type checkers left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = [
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in for_types:
            first, *folders = node.module.split(".")
            place = PACKAGE.joinpath(*folders)
            if first == "clusterpolicy":
                names = [alias.name for alias in node.names]
                found = [place / name for name in names] if place.is_dir() else [place]
                yield from (f"{each.relative_to(PACKAGE).as_posix()}.py" for each in found)


def test_each_module_imports_only_from_those_above_it():
    order = [name for name in listed() if name.endswith(".py")]
    for place, name in enumerate(order):
        below = set(imported(PACKAGE / name)) - set(order[:place])
        assert not below, f"{name} imports {below}, which the README lists below it"


def test_the_notebooks_are_listed():
    listed_ones = set(re.findall(r"`(\d+(?:-[a-z]+)+)`", README))
    assert listed_ones == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_words_are_those_of_the_glossary():
    words = pd.read_csv(ROOT / "data/raw/glossary.csv")["word"]
    section = README.split("## Words")[1].split("\n## ")[0]
    assert [word for word in words if f"**{word}**" not in section] == []


def test_every_link_to_a_file_leads_somewhere():
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
