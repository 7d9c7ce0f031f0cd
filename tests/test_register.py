"""Which projects get a page is read in a moment; a table that cannot name pages gives one line."""

import subprocess
import sys

import pytest
from conftest import ROOT

from clusterpolicy import __main__ as command
from clusterpolicy.checks import register

HEADER = "project_id,term,name_en,predecessors,note\n"
ROWS = (
    "old-t1,1,Old Plan,,\n"
    "lost-t1,1,Lost Plan,,\n"
    "new-t2,2,New Plan; from FY2007 Newer Plan,old-t1,\n"
    'split-t2,2,"Split, Project (METI English: Parted)",old-t1,"a note\nof two lines"\n'
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / register.TABLE
    path.parent.mkdir(parents=True)

    def write(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def test_the_second_term_and_what_it_did_not_take_over_get_pages(table):
    entries = register.read(table("\ufeff" + HEADER + ROWS))
    assert [entry.page for entry in entries] == [
        "projects/lost-t1",
        "projects/new-t2",
        "projects/split-t2",
    ]
    assert [entry.title for entry in entries] == ["Lost Plan", "New Plan", "Split, Project"]


def test_without_a_table_there_is_no_project(tmp_path):
    assert register.read(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", ":1: column project_id: not in the header"),
        ("project_id,term,name_en\n", ":1: column predecessors: not in the header"),
        (HEADER + "../x,2,X,,\n", ":2: column project_id: found '../x': not an id"),
        (HEADER + "-x,2,X,,\n", ":2: column project_id: found '-x': not an id"),
        (HEADER + "x--y,2,X,,\n", ":2: column project_id: found 'x--y': not an id"),
        (HEADER + ",2,X,,\n", ":2: column project_id: found '': not an id"),
        (HEADER + "Ｘ,2,X,,\n", ":2: column project_id: found 'Ｘ': not an id"),
        (HEADER + "x" * 61 + ",2,X,,\n", ":2: column project_id"),
        (HEADER + ROWS + "new-t2,2,X,,\n", ":7: column project_id: found 'new-t2': same as line 4"),
        (HEADER + "x,2,X\n", ":2: found 3 fields where the header has 5"),
        (HEADER + 'x,2,"X\n', ":2: found an unfinished quotation"),
        (HEADER.encode() + b"x,2,\x83\x65,,\n", ":2: found bytes that are not UTF-8"),
    ],
)
def test_a_table_that_cannot_name_pages_gives_its_line(table, content, line):
    with pytest.raises(register.RegisterFault) as fault:
        register.read(table(content))
    assert str(fault.value).startswith(register.TABLE + line)
    assert "\n" not in str(fault.value)


def test_the_command_says_it_in_one_line_with_code_3(table, monkeypatch, capsys):
    root = table(HEADER + "../x,2,X,,\n")
    (root / "pyproject.toml").touch()
    monkeypatch.setenv("CLUSTERPOLICY_ROOT", str(root))
    assert command.main(["report"]) == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("data/raw/projects.csv:2: column project_id: found '../x'")


def test_only_projects_of_the_facts_can_be_chosen(capsys):
    for given in ("tama", "", "kyushu-silicon-t1", "../okinawa-t2", "okinawa-t2 "):
        assert command.main(["report", f"--project={given}"]) == 2
        assert "okinawa-t2" in capsys.readouterr().err
    assert command.main(["params"]) == 0
    listed = capsys.readouterr().out.partition("listed in data/raw/projects.csv:\n")[2].split()
    assert listed == [entry.project_id for entry in register.read(ROOT)]


def test_a_wrong_project_is_refused_without_anything_heavy():
    code = (
        "import sys; from clusterpolicy.__main__ import main;"
        "code = main(['report', '--project=tama']);"
        "print(*{'pandas', 'numpy', 'papermill', 'nbconvert'} & set(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (2, "")
