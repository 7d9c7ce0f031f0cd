"""Each of the eleven traps of the figures has a guard and a test that the decision names."""

import importlib
import re

from conftest import ROOT

DECISION = ROOT / "docs" / "decisions" / "0013-faults-and-warnings.md"
ROW = re.compile(r"^\| ([0-9]+) \| .*\(`(\w+)\.(\w+)`\) \| `(\w+)\.py::(\w+)` \|$", re.M)


def test_every_trap_has_a_guard_and_a_test_that_are_still_there():
    rows = ROW.findall(DECISION.read_text(encoding="utf-8"))
    assert sorted({int(trap) for trap, *_ in rows}) == list(range(1, 12))
    for trap, module, guard, file, test in rows:
        assert hasattr(importlib.import_module(f"clusterpolicy.finerdata.{module}"), guard), guard
        text = (ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8")
        assert test.startswith(f"test_trap_{trap}_"), test
        assert f"\ndef {test}(" in text, test


def test_no_test_of_a_trap_is_missing_from_the_decision():
    named = DECISION.read_text(encoding="utf-8")
    written = {
        test
        for path in (ROOT / "tests").glob("test_*.py")
        for test in re.findall(r"^def (test_trap_[0-9]+_\w+)\(", path.read_text("utf-8"), re.M)
    }
    spare = {
        "test_trap_4_mergers_are_many",  # how many there are, not a guard
        "test_trap_4_conversion_loses_nobody",
        "test_trap_8_value_added_below_zero_stays_where_its_sign_was_kept",
    }
    assert {test for test in written if test not in named} == spare
