"""Time the 25-report work by a shell loop, by ``make -j`` and by the runner, in one session.

The work is one parameterized notebook (a panel, four regressions, six figures, three tables) run
25 times and written as HTML with nbconvert's own template, the same by all three. Only ratios
taken in the same session mean anything; the median over the rounds is printed. On a machine that
does other work too, compare the seconds of the processor, which depend least on it.

    python benchmarks/bench.py [--reports 25] [--rounds 3] [--only runner]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clusterpolicy import runner
from clusterpolicy.run.catalogue import ReportSpec
from clusterpolicy.run.progress import Screen
from clusterpolicy.run.publishing import Workspace
from clusterpolicy.runner import Settings

BIN = Path(sys.executable).parent

PAGES = '''
"""Makes the page that ``jupyter nbconvert --to html`` makes, so that all three do the same work."""
from dataclasses import dataclass

from nbconvert import HTMLExporter


@dataclass
class PageSpec:
    name: str
    title: str
    parameters: dict
    inputs: dict
    versions: dict
    siblings: list


def page(notebook, spec):
    return HTMLExporter().from_notebook_node(notebook)[0]


def check(text):
    return []
'''

CELLS = [
    """
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyfixest as pf
import seaborn as sns
""",
    'panel = pd.read_parquet("../data/panel.parquet")',
    "panel = panel[panel.year < 2012 + term]",
    'twfe = pf.feols("outcome ~ treated | unit + year", panel, vcov={"CRV1": "group"})',
    'flexible = pf.feols("outcome ~ treated | unit + year^kind", panel, vcov={"CRV1": "group"})',
    'path = pf.feols("outcome ~ i(event, ref=-1) | unit + year", panel, vcov={"CRV1": "group"})',
    'levels = pf.feols("outcome ~ treated | kind + year", panel, vcov="hetero")',
    "twfe.tidy()",
    "pd.concat([twfe.tidy(), flexible.tidy(), levels.tidy()])",
    'panel.groupby(["kind", "year"]).outcome.mean().unstack()',
    *(
        f"""
figure, axes = plt.subplots(figsize=(7, 4))
sns.lineplot(panel[panel.kind == {kind}], x="year", y="outcome", hue="ever", errorbar="se", ax=axes)
axes.set_title("Kind {kind}")
"""
        for kind in range(3)
    ),
    """
figure, axes = plt.subplots(figsize=(7, 4))
table = path.tidy()
axes.errorbar(range(len(table)), table["Estimate"], yerr=1.96 * table["Std. Error"])
""",
    """
means = panel.groupby(["group", "year"]).outcome.mean().unstack()
sns.heatmap(means, ax=plt.subplots(figsize=(8, 5))[1])
""",
    """
sns.histplot(panel, x="outcome", hue="ever", ax=plt.subplots(figsize=(7, 4))[1])
""",
]


def make_study(root: Path) -> None:
    """Write the notebook, its panel of 15,000 rows and the page maker into `root`."""
    import numpy as np
    import pandas as pd

    for folder in ("notebooks", "data", "src"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "requirements.lock").touch()
    (root / "src" / "bench_pages.py").write_text(PAGES, encoding="utf-8")
    draw = np.random.default_rng(2001)
    unit, year = (each.ravel() for each in np.meshgrid(range(750), range(1995, 2015)))
    first = np.where(unit % 3 == 0, 2001, np.where(unit % 3 == 1, 2006, 9999))
    event = np.where(first == 9999, -1, np.clip(year - first, -6, 8))
    panel = pd.DataFrame({"unit": unit, "year": year, "group": unit % 50, "kind": unit % 4})
    panel["treated"], panel["ever"], panel["event"] = (year >= first) * 1, first < 9999, event
    panel["outcome"] = draw.normal(size=len(panel)) + panel["treated"]
    panel.to_parquet(root / "data" / "panel.parquet")
    parameters = _cell("parameters", "term = 1", ["parameters"])
    cells = [parameters, *(_cell(f"step-{i}", text.strip()) for i, text in enumerate(CELLS))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (root / "notebooks" / "work.ipynb").write_text(json.dumps(content), encoding="utf-8")


def _cell(name: str, source: str, tags: list[str] | None = None) -> dict:
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {"tags": tags} if tags else {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def by_shell_loop(root: Path, reports: int) -> None:
    """Run papermill and nbconvert once per report, one after the other."""
    for number in range(reports):
        for command in _commands(number):
            _run(command, root)


def by_make(root: Path, reports: int) -> None:
    """Let ``make -j`` run the same commands, as many at a time as there are cores."""
    rules = ["all: " + " ".join(f"{number}.done" for number in range(reports))]
    for number in range(reports):
        steps = (" ".join(f"'{word}'" for word in command) for command in _commands(number))
        rules.append(f"{number}.done:\n" + "".join(f"\t@{step}\n" for step in steps))
    (root / "notebooks" / "Makefile").write_text("\n".join(rules), encoding="utf-8")
    _run(["make", f"-j{Settings().jobs}", "all"], root)


def by_runner(root: Path, reports: int) -> None:
    """Build the same reports with `clusterpolicy.runner`, in a process that starts from nothing."""
    here = str(Path(__file__).resolve())
    _run([sys.executable, here, "--inside", str(root), str(reports)], root)


def inside(root: Path, reports: int) -> None:
    """Be the process of `by_runner`."""
    specs = [
        ReportSpec(f"work-{number}", "work.ipynb", "Work", fixed=(("term", number % 3 + 1),))
        for number in range(reports)
    ]
    log = io.StringIO()
    settings = Settings(pages="bench_pages")
    results = runner.build(Workspace(root), specs, {}, settings, Screen(out=log, err=log))
    if any(result.code for result in results):
        raise SystemExit(log.getvalue())


def _commands(number: int) -> list[list[str]]:
    made, term = f"../{number}.ipynb", str(number % 3 + 1)
    return [
        [str(BIN / "papermill"), "--no-progress-bar", "work.ipynb", made, "-p", "term", term],
        [str(BIN / "jupyter-nbconvert"), "--to", "html", made, "--output-dir", "../html"],
    ]


def _run(command: list[str], root: Path) -> None:
    environment = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    done = subprocess.run(
        command, cwd=root / "notebooks", env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")


def timed(way, root: Path, reports: int) -> tuple[float, float]:
    """Return the wall seconds that `way` takes, and those of the processor."""
    began, used = time.perf_counter(), _processor_seconds()
    way(root, reports)
    return time.perf_counter() - began, _processor_seconds() - used


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["runner"], help="leave the slow ways out")
    parser.add_argument("--inside", nargs=2, metavar=("FOLDER", "REPORTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(Path(options.inside[0]), int(options.inside[1]))
        return
    ways = {"shell loop": by_shell_loop, f"make -j{Settings().jobs}": by_make}
    ways = {"runner": by_runner} if options.only else {**ways, "runner": by_runner}
    rounds: list[dict[str, tuple[float, float]]] = []
    for number in range(options.rounds):
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        with contextlib.ExitStack() as clearing:
            clearing.callback(shutil.rmtree, folder)
            root = folder / "study"
            make_study(root)
            seconds = {name: timed(way, root, options.reports) for name, way in ways.items()}
            seconds["nothing changed"] = timed(by_runner, root, options.reports)
        rounds.append(seconds)
        print(
            f"round {number + 1}:", {name: f"{wall:.1f} s" for name, (wall, _) in seconds.items()}
        )
    base = "runner" if options.only else "shell loop"
    print(f"{options.reports} reports, {options.rounds} rounds, {Settings().jobs} cores; median:")
    for name in rounds[0]:
        wall, processor = (statistics.median(each[name][i] for each in rounds) for i in (0, 1))
        ratio = statistics.median(each[name][0] / each[base][0] for each in rounds)
        print(f"  {name:16} {wall:8.2f} s  {ratio:.4f} of {base}  ({processor:.1f} s of processor)")


if __name__ == "__main__":
    main()
