"""Time the study's inference against refitting every draw, and cells against ten million rows.

Three comparisons in rounds of one session; medians are printed, and ratios, for only ratios taken
together mean anything:

- the declared test with 9,999 draws and its interval (seconds of processor), against refitting
  Huber's estimator for every draw, extrapolated from fifty refits: once, as a p-value needs it, and
  at every effect that the interval tries. On the cells of the study, and on those of 1,300
  municipalities;
- the draws of the study's cells by pyfixest, one least-squares regression each;
- pyfixest on ten million records, against adding them up to cells first, each in a process of its
  own so that its memory can be told; both give the same coefficient.

    python benchmarks/bench_inference.py [--rounds 3] [--refits 50] [--rows 10000000] [--only draws]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# As the kernels of the study have it (run/kernels.py); pyfixest shares its work out by itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pyarrow as pa
import pyfixest
from pyarrow import parquet

from clusterpolicy import effects, inference, panel
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.scoretest import ScoreTest
from clusterpolicy.finerdata import collapse

FORMULA = "log_outcome ~ targeted_in_term | cell + prefecture_year + industry_year"
YEARS = range(1996, 2006)
FIRST_TERM_YEAR = 2001
EFFECT = 0.05
ROWS_OF_A_PIECE = 1_000_000
# Cells of municipalities: as many as hold figures of plants, in a layout as wide.
PLACES, INDUSTRIES, BLOCKS, CELLS = 1_300, 20, 13, 6_000


def main() -> None:
    """Print all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--refits", type=int, default=50)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--only", choices=["draws", "rows"], help="leave the other one out")
    parser.add_argument("--inside", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        way, file = options.inside
        print(json.dumps(WAYS[way](Path(file)) | {"megabytes": _peak_megabytes()}))
        return
    study = panel.clean_all(panel.read_raw())
    if options.only != "rows":
        compare_draws(study, options.rounds, options.refits)
    if options.only != "draws":
        compare_rows(study, options.rounds, options.rows)


def compare_draws(study: panel.Study, rounds: int, refits: int) -> None:
    """Print how much longer refitting every draw takes, on two sizes of panel and by pyfixest."""
    sample = effects.cell_sample(study, effects.main_design(study, 1, "funded", "broad"))
    for each in (sample, municipal_sample(sample.design)):
        compare_refits(each, rounds, refits)
    compare_pyfixest(sample, rounds, refits)


def municipal_sample(design: effects.Design) -> effects.Sample:
    """Return one change of noise for each of 6,000 cells, with unlike precision."""
    rng = np.random.default_rng(2001)
    chosen = np.sort(rng.choice(PLACES * INDUSTRIES, CELLS, replace=False))
    place, industry = np.divmod(chosen, INDUSTRIES)
    precision = rng.uniform(0.2, 20, CELLS)
    change = 0.2 * rng.standard_t(3, CELLS) / np.sqrt(precision)
    cells = pd.DataFrame(
        {
            "municipality": [f"{code:05}" for code in place],
            "pref_code": [f"{code % 47 + 1:02}" for code in place],
            "industry": [f"i{code:02}" for code in industry],
            "block": [f"block {code % BLOCKS:02}" for code in place],
            "precision": precision,
            "is_targeted": (place % BLOCKS + 2 * industry) % 5 < 2,
        }
    )
    before = cells.assign(fy=FIRST_TERM_YEAR - 1, in_term=False, log_outcome=0.0)
    after = cells.assign(fy=FIRST_TERM_YEAR, in_term=True, log_outcome=change)
    rows = pd.concat([before, after]).sort_values(
        ["municipality", "industry", "fy"], ignore_index=True
    )
    return effects.Sample(design, rows, pd.DataFrame(), place="municipality")


def compare_refits(sample: effects.Sample, rounds: int, refits: int) -> None:
    """Print seconds of processor of the declared test, and how much longer refitting takes."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        changes = effects.cell_changes(sample)
        assignments = inference.permute_targets(sample.cells)
        test = CountingTest(changes, assignments.actual, assignments.unit, assignments.labels)
        test.p_values(np.zeros(1))
        alone = time.process_time() - began
        inference.summarise(test)
        whole = time.process_time() - began
        began = time.process_time()
        for targets in assignments.draws[:refits]:
            huber.fit(changes.layout, changes.change[None], targets)
        each = (time.process_time() - began) / refits
        draws = len(assignments.labels)
        found.append((alone, whole, each, each * draws / alone, each * draws * test.tried / whole))
    alone, whole, each, once, everywhere = np.median(found, axis=0)
    print(
        f"{len(sample.cells):,} cells, {draws:,} draws: p-value {alone:.2f} s of processor, with "
        f"its interval {whole:.2f} s; a refit {1000 * each:.1f} ms. Refitting takes {once:,.0f} x "
        f"as long for the p-value, {everywhere:,.0f} x for the interval's {test.tried} effects"
    )


class CountingTest(ScoreTest):
    """The declared test, counting the effects that it is made at."""

    tried = 0

    def p_values(self, effects: np.ndarray) -> np.ndarray:
        """Return the pointwise p-value of each supposed effect."""
        self.tried += len(effects)
        return super().p_values(effects)


def compare_pyfixest(sample: effects.Sample, rounds: int, refits: int) -> None:
    """Print how much longer one least-squares regression per draw takes than the declared test."""
    labels = inference.permute_targets(sample.cells, refits).draws
    rows = with_keys(sample)
    fit_draw(rows, labels[0])  # what a first call loads or compiles is not counted
    contrast = effects.TripleDifference(sample).contrast
    ratios = []
    for number in range(1, rounds + 1):
        began = time.perf_counter()
        assignments = inference.permute_targets(sample.cells)
        test = inference.permutation_test(effects.cell_changes(sample), assignments)
        done = time.perf_counter()
        theirs = [fit_draw(rows, draw) for draw in labels]
        each = (time.perf_counter() - done) / refits
        _require_same(np.array([contrast.estimate(draw) for draw in labels]), np.array(theirs))
        ratios.append(each * test.draws / (done - began))
        print(
            f"round {number}: {test.draws:,} draws and interval {done - began:.2f} s; a regression "
            f"by pyfixest {each:.3f} s: {ratios[-1]:,.0f} x"
        )
    cells, years = len(sample.cells), sample.rows["fy"].nunique()
    print(
        f"{cells} cells x {years} years: one regression per draw takes "
        f"{statistics.median(ratios):,.0f} x as long (median of {rounds} rounds)"
    )


def with_keys(sample: effects.Sample) -> pd.DataFrame:
    """Return the rows with their cell and their unit, the group of the standard error."""
    rows = sample.rows[["log_outcome", "in_term", "pref_code", "industry", "fy"]]
    return rows.assign(
        cell=sample.rows.groupby(effects.CELL, sort=False).ngroup(),
        unit=sample.rows["block"] + sample.rows["industry"],
    )


def fit_draw(rows: pd.DataFrame, targets: np.ndarray) -> float:
    """Estimate one draw, with the standard error that the statistic of the study is scaled by."""
    rows["targeted_in_term"] = targets[rows["cell"]] * rows["in_term"]
    formula = "log_outcome ~ targeted_in_term | cell + pref_code^fy + industry^fy"
    fit = pyfixest.feols(formula, rows, vcov={"CRV1": "unit"})
    return float(fit.coef().iloc[0])


def compare_rows(study: panel.Study, rounds: int, n_rows: int) -> None:
    """Print time and memory of pyfixest on records, over those of cells."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "records.parquet"
        write_records(study, file, n_rows)
        times, sizes = [], []
        for number in range(1, rounds + 1):
            found = {way: _in_own_process(way, file) for way in WAYS}
            rows, cells = found["rows"], found["cells"]
            _require_same(np.array([cells["estimate"]]), np.array([rows["estimate"]]))
            times.append(rows["seconds"] / cells["seconds"])
            sizes.append(rows["megabytes"] / cells["megabytes"])
            print(
                f"round {number}: pyfixest on {n_rows:,} records {rows['seconds']:.1f} s and "
                f"{rows['megabytes']:,.0f} MB, cells first {cells['seconds']:.1f} s and "
                f"{cells['megabytes']:,.0f} MB"
            )
    print(
        f"{n_rows:,} records: pyfixest takes {statistics.median(times):.1f} x the time and "
        f"{statistics.median(sizes):.1f} x the memory (median of {rounds} rounds)"
    )


def write_records(study: panel.Study, file: Path, n_rows: int) -> None:
    """Write records of the prefectures and industries of the study, with a known effect."""
    rng = np.random.default_rng(2001)
    industries = study.industries[study.industries["base"] == "b2005"]
    codes = [each.split(";")[0] for each in industries["jsic_rev12"] if each]
    keys = {
        "year": [str(year) for year in YEARS],
        "pref_code": list(study.prefectures["pref_code"]),
        "jsic2_code": codes,
    }
    effect = rng.normal(size=(len(keys["pref_code"]), len(codes)))
    writer = None
    for first in range(0, n_rows, ROWS_OF_A_PIECE):
        n = min(ROWS_OF_A_PIECE, n_rows - first)
        at = {name: rng.integers(len(texts), size=n) for name, texts in keys.items()}
        in_term = np.array(YEARS)[at["year"]] >= FIRST_TERM_YEAR
        value = effect[at["pref_code"], at["jsic2_code"]] + rng.normal(size=n)
        value += EFFECT * in_term * _is_targeted(at["pref_code"], at["jsic2_code"])
        columns = {
            name: pa.DictionaryArray.from_arrays(pa.array(at[name], pa.int32()), texts)
            for name, texts in keys.items()
        }
        table = pa.table({**columns, "log_outcome": value})
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
    writer.close()


def _is_targeted(prefecture: np.ndarray, industry: np.ndarray) -> np.ndarray:
    return (prefecture + 2 * industry) % 5 < 2


def by_rows(file: Path) -> dict:
    """Regress the records as they are."""
    began = time.perf_counter()
    rows = pd.read_parquet(file)
    found = _fit(rows, rows["jsic2_code"].astype("category"))
    return {"estimate": found, "seconds": time.perf_counter() - began}


def by_cells(file: Path) -> dict:
    """Add the records up with the study's own function, and regress their means."""
    industries = panel.read_raw()["account_industries"]
    began = time.perf_counter()
    cells = collapse.collapse_to_cells(file, ["log_outcome"], "b2005", industries, ["log_outcome"])
    cells = cells[cells["records"] > 0]
    means = cells.assign(log_outcome=cells["log_outcome_known"] / cells["records"])
    code = industries[industries["base"] == "b2005"].set_index("industry")["jsic_rev12"]
    found = _fit(means, means["industry"].map(code.str.split(";").str[0]), "records")
    return {"estimate": found, "seconds": time.perf_counter() - began}


WAYS = {"rows": by_rows, "cells": by_cells}


def _fit(rows: pd.DataFrame, code: pd.Series, weights: str | None = None) -> float:
    prefectures = sorted(rows["pref_code"].unique())
    codes = sorted(code.unique())
    prefecture = rows["pref_code"].map({name: at for at, name in enumerate(prefectures)})
    industry = code.map({name: at for at, name in enumerate(codes)})
    prefecture, industry = prefecture.to_numpy(np.int32), industry.to_numpy(np.int32)
    year = rows["year"].astype("int32").to_numpy()
    targets = _is_targeted(prefecture, industry) & (year >= FIRST_TERM_YEAR)
    data = pd.DataFrame(
        {
            "log_outcome": rows["log_outcome"].to_numpy(),
            "targeted_in_term": targets.astype(float),
            "cell": 100 * prefecture + industry,
            "prefecture_year": 10_000 * prefecture + year,
            "industry_year": 10_000 * industry + year,
        }
    )
    if weights:
        data[weights] = rows[weights].to_numpy(float)
    demeaner = pyfixest.MapDemeaner(fixef_tol=1e-12)
    fit = pyfixest.feols(FORMULA, data, weights=weights, vcov="iid", demeaner=demeaner)
    return float(fit.coef().iloc[0])


def _in_own_process(way: str, file: Path) -> dict:
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", way, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _peak_megabytes() -> float:
    # Linux counts in kilobytes, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _require_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    worst = float(np.abs(ours - theirs).max())
    if not worst < 1e-6:
        raise SystemExit(f"bench: the two ways differ by {worst}: their times mean nothing")


if __name__ == "__main__":
    main()
