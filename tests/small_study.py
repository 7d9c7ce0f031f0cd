"""A study of a few lines in a folder of its own, on which the runner can be tried in seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).resolve().parents[1] / "src"

PAGES = '''
"""Stands for clusterpolicy.report: as little as a page can be."""
import html
from dataclasses import dataclass


@dataclass
class PageSpec:
    name: str
    title: str
    parameters: dict
    inputs: dict
    versions: dict
    siblings: list


def page(notebook, spec):
    texts = [o.get("text", "") for c in notebook.cells for o in c.get("outputs", [])]
    told = [spec.name, spec.title, sorted(spec.parameters.items()), sorted(spec.inputs.items())]
    return "<html>" + html.escape(f"{told}") + "\\n".join(texts) + "</html>"


def check(text):
    return ["the page has a fault", "and another"] if "FAULTY" in text else []
'''

DRIVER = """
import sys
from clusterpolicy.__main__ import main
from clusterpolicy.runner import Settings
sys.exit(main(sys.argv[2:], Settings(pages="stand_in", fork=sys.argv[1] == "fork", jobs=2)))
"""

CLEAN = """
import pandas as pd
from pathlib import Path
Path("../data/clean").mkdir(parents=True, exist_ok=True)
raw = pd.read_csv("../data/raw/figures.csv")
raw.to_parquet("../data/clean/panel.parquet")
"""
ESTIMATE = """
import pandas as pd
from pathlib import Path
panel = pd.read_parquet("../data/clean/panel.parquet")
Path("../data/results").mkdir(exist_ok=True)
panel.assign(term=term).to_csv(f"../data/results/term-{term}.csv", lineterminator="\\n")
"""
MEASURE = """
import pandas as pd
from pathlib import Path
panel = pd.read_parquet("../data/clean/panel.parquet")
Path("../data/results").mkdir(exist_ok=True)
panel.to_csv("../data/results/{name}.csv", lineterminator="\\n")
"""
CHECK = """
import pandas as pd
print(pd.read_csv("../data/raw/figures.csv").to_string())
"""
EVALUATE = """
import pandas as pd
print(term, clock, fields_map, pd.read_csv(f"../data/results/term-{term}.csv").to_string())
"""
COMPARE = """
import pandas as pd
for name in ("term-1", "term-2", "term-3", "landscape"):
    print(pd.read_csv(f"../data/results/{name}.csv").to_string())
"""
METHODS = """
import pandas as pd
print(fields_map, len(pd.read_csv("../data/results/methods.csv")))
"""
TERM_PARAMETERS = 'term = 1\nclock = "funded"\nfields_map = "broad"'


@dataclass
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


class SmallStudy:
    """Small notebooks, one raw table and a stand-in for the page maker."""

    def __init__(self, root):
        self.root = Path(root)
        for folder in ("notebooks", "src", "data/raw"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "pyproject.toml").touch()
        (self.root / "requirements.lock").write_text("pandas==0\n")
        (self.root / "src" / "stand_in.py").write_text(PAGES, encoding="utf-8")
        (self.root / "data/raw/figures.csv").write_text("year,value\n2001,5\n")
        reading = 'fields_map = "broad"'
        self.notebook("1-clean-clusters", "", CLEAN)
        self.notebook("2-estimate-term", TERM_PARAMETERS, ESTIMATE)
        self.notebook("4-try-methods", reading, MEASURE.format(name="methods"))
        self.notebook("5-measure-landscape", reading, MEASURE.format(name="landscape"))
        self.check_with(CHECK)
        self.notebook("7-evaluate-term", TERM_PARAMETERS, EVALUATE)
        self.notebook("9-compare-terms", f'clock = "funded"\n{reading}', COMPARE)
        self.notebook("10-check-methods", reading, METHODS)

    def notebook(self, name, parameters, *sources, kernel="python3"):
        """Write a notebook with a heading, a parameters cell and one cell per source."""
        cells = [
            {"cell_type": "markdown", "id": "question", "metadata": {}, "source": "# Question"},
            code_cell("parameters", parameters, tags=["parameters"]),
            *(code_cell(f"step-{i}", source.strip()) for i, source in enumerate(sources, start=1)),
        ]
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        content = {
            "cells": cells,
            "metadata": {"kernelspec": spec},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = self.root / "notebooks" / f"{name}.ipynb"
        path.write_text(json.dumps(content), encoding="utf-8")

    def check_with(self, *sources):
        """Let the notebook of the data-quality page do something else."""
        self.notebook("6-check-data", 'indicator = "shipments"', *sources)

    def start(self, *arguments, mode="fork", **environment):
        """Start a command; its standard output is not a terminal."""
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, mode, *arguments],
            env={
                **os.environ,
                "PYTHONPATH": str(PACKAGE_FOLDER),
                "CLUSTERPOLICY_ROOT": str(self.root),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(self, *arguments, mode="fork", **environment):
        """Run a command to its end."""
        return finish(self.start(*arguments, mode=mode, **environment))

    def report(self, *arguments, **named):
        """Run ``report``."""
        return self.run("report", *arguments, **named)

    def pages(self):
        """Return the published files and what is in them; nothing else may lie there."""
        folder = self.root / "reports"
        if not folder.exists():
            return {}
        return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def code_cell(name, source, tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code",
        "id": name,
        "metadata": metadata,
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def finish(process, seconds=240):
    """Wait for a command."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"still running after {seconds} s:\n{out}\n{err}") from None
    return Done(process.returncode, out, err)


def wait_for(condition, seconds=120):
    """Wait until `condition` holds and return what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"still not so after {seconds} s")


def is_running(pid):
    """Return whether a process exists and is more than a dead entry in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
