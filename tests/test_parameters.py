"""No value reaches a kernel unless it is spelt exactly as one of the declared ones."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from clusterpolicy import __main__ as command
from clusterpolicy import runner
from clusterpolicy.checks import register
from clusterpolicy.run import catalogue, parameters
from clusterpolicy.run.parameters import PARAMETERS, Parameter, UsageFault

REFUSED_TERMS = [
    "",
    " ",
    "0",
    "4",
    "-1",
    "+1",
    "02",
    " 2",
    "2 ",
    "2\n",
    "2.0",
    "1_0",
    "1e0",
    "1e400",
    "0x2",
    "２",
    "٢",
    "²",
    "II",
    "nan",
    "NaN",
    "inf",
    "None",
    "True",
    "yes",
    "1:30",
    "1,2",
    "[1]",
    "'; rm -rf x",
    "__import__('os')",
    "../../x",
    "2\x00",
    "\u202e2",
    "9" * 5000,
]


@pytest.fixture(autouse=True)
def same_signals():
    """Put back what the command line does to signals."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def started(monkeypatch):
    """Record builds instead of making them."""
    builds = []
    monkeypatch.setattr(runner, "build", lambda *given: builds.append(given) or [])
    return builds


@pytest.mark.parametrize("text", REFUSED_TERMS)
def test_a_term_is_1_2_or_3_in_plain_digits(text, started, capsys):
    assert command.main(["report", f"--term={text}"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.endswith("use 1, 2, 3\n")
    assert len(line) < 200
    assert not started


@pytest.mark.parametrize(
    ("arguments", "naming"),
    [
        (["--clock=Funded"], "use funded, planned"),
        (["--clock", "funded "], "use funded, planned"),
        (["--fields-map="], "an empty value is not allowed: use broad, narrow"),
        (["--indicator=ｓhipments"], "use shipments, employees, establishments"),
        (["--trem=2"], "--trem"),
        (["--ter=2"], "--ter"),
        (["-p", "term", "2"], "-p"),
        (["term-9"], "use data-quality, term-1, term-2, term-3, methods, index or projects/"),
        (["../term-1"], "use data-quality"),
        (["term-1", "--term", "2"], "one or the other"),
        (["data-quality", "--clock=planned"], "they take indicator"),
        (["--jobs=0"], "from 1 to 64"),
        (["--jobs=２"], "from 1 to 64"),
        (["--jobs=1e2"], "from 1 to 64"),
        (["--cell-seconds=nan"], "from 1 to"),
        (["--run-seconds=" + "9" * 20], "from 1 to"),
        (["--term"], "expected one argument"),
    ],
)
def test_a_refusal_is_one_line_that_names_what_is_allowed(arguments, naming, started, capsys):
    assert command.main(["report", *arguments]) == 2
    out, err = capsys.readouterr()
    assert naming in err
    assert (out, err.count("\n")) == ("", 1)
    assert not started


def test_what_is_allowed_arrives_typed(started):
    assert command.main(["report", "--term=2", "--clock=planned", "--jobs=3"]) == 0
    ((_, specs, chosen, settings, _),) = started
    assert [spec.name for spec in specs] == ["clean", "estimate-term-2", "term-2"]
    assert chosen == {"clock": "planned"}
    assert settings.jobs == 3
    assert catalogue.values_for(specs[1], chosen) == {
        "term": 2,
        "clock": "planned",
        "fields_map": "broad",
    }


def test_a_thousand_random_names_and_values_start_nothing(started, capsys):
    draw = random.Random(2001)
    letters = [*"abcxyz_-=.0123456789 '\"\\;$`(){}[]<>\n\t/＿２é中\u202e\x7f", "term", "clock", "1"]
    allowed = {(p.flag, str(value)) for p in PARAMETERS.values() for value in p.allowed}
    for _ in range(1000):
        name = draw.choice([*(p.flag for p in PARAMETERS.values()), "--" + _word(draw, letters)])
        value = draw.choice([_word(draw, letters), draw.choice("123") + _word(draw, letters)])
        if (name, value) in allowed or name.startswith("--help"):
            continue
        code = command.main(["report", f"{name}={value}"])
        assert (code, name, value) == (2, name, value)
        assert capsys.readouterr().err.count("\n") == 1
    assert not started


def _word(draw, letters):
    return "".join(draw.choices(letters, k=draw.randint(0, 8)))


def test_a_refusal_takes_less_than_a_second_and_imports_nothing_heavy():
    code = (
        "import sys; from clusterpolicy.__main__ import main; code = main(['report', '--term=4']);"
        "print(*{'pandas', 'numpy', 'papermill', 'nbconvert', 'zmq'} & set(sys.modules));"
        "sys.exit(code)"
    )
    seconds = []
    for _ in range(3):  # one slow start of a busy machine says nothing
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
        )
        seconds.append(time.monotonic() - began)
        assert (done.returncode, done.stdout.strip()) == (2, "")
    assert min(seconds) < 1


@pytest.mark.parametrize("value", ["2", 2.0, True, None, 4, float("nan"), [2], b"2"])
def test_from_python_too_the_type_must_be_right(value):
    with pytest.raises(UsageFault, match="use 1, 2, 3"):
        parameters.check({"term": value})


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UsageFault, match="unknown: use term, clock, fields_map, indicator"):
        parameters.read({"x\nimport os": "1"})


def test_a_parameter_cannot_be_declared_wrongly():
    meaning = {"meaning_en": "", "meaning_ja": ""}
    with pytest.raises(ValueError, match="not a plain identifier"):
        Parameter("x = 1;", int, (1,), 1, **meaning)
    with pytest.raises(ValueError, match="are not all"):
        Parameter("x", int, (1, True), 1, **meaning)
    with pytest.raises(ValueError, match="default 3 is not allowed"):
        Parameter("x", int, (1, 2), 3, **meaning)


def test_the_table_lists_every_parameter_in_both_languages(capsys):
    assert command.main(["params"]) == 0
    table = capsys.readouterr().out
    for parameter in PARAMETERS.values():
        for text in (parameter.name, parameter.choices(), parameter.meaning_en):
            assert text in table
        assert parameter.meaning_ja in table


def cell(source, tags=("parameters",)):
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}}


def test_a_parameters_cell_is_read_without_running_it():
    source = ["term = 2  # which term\n", 'clock: str = "planned"\n']
    found = parameters.in_notebook([cell("import os", ()), cell(source)], "n.ipynb")
    assert found == {"term": 2, "clock": "planned"}


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([], "0 cells tagged"),
        ([cell("term = 1"), cell("term = 2")], "2 cells tagged"),
        ([cell("term = 1 + 1")], "line 1 .* is not 'name = literal'"),
        ([cell("term = 1\nprint(term)")], "line 2"),
        ([cell("term, clock = 1")], "line 1"),
        ([cell("term = (")], "not Python"),
        ([cell("trem = 1")], "'trem': unknown"),
        ([cell("term = 4")], "4 is not allowed"),
        ([cell("term = -1")], "line 1"),
    ],
)
def test_a_wrong_parameters_cell_is_refused(cells, fault):
    with pytest.raises(UsageFault, match=fault):
        parameters.in_notebook(cells, "n.ipynb")


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_declare_what_their_reports_are_run_with_and_the_same_defaults(path):
    cells = json.loads(path.read_bytes())["cells"]
    declared = parameters.in_notebook(cells, path.name)
    assert declared == {name: PARAMETERS[name].default for name in declared}
    reports = catalogue.list_reports([register.Entry("tama-t2", "Tama")])
    assert path.name in {spec.notebook for spec in reports.values()}
    for spec in reports.values():
        if spec.notebook == path.name:
            assert set(declared) == {*spec.takes, *dict(spec.fixed)}
