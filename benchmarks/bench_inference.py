"""Time the study's inference against refitting with pyfixest, and cells against ten million rows.

Two comparisons, each in paired rounds of one session; the median of the rounds is printed, as
ratios, for only ratios taken together mean anything:

- residualising, 9,999 permutation draws and the inverted interval here, against one pyfixest
  regression per draw, which is extrapolated from twenty of them and finds no interval;
- pyfixest on ten million records, against adding them up to cells first, each in a process of its
  own so that its memory can be told; both give the same coefficient.

    python benchmarks/bench_inference.py [--rounds 3] [--refits 20] [--rows 10000000] [--only draws]
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
from clusterpolicy.finerdata import collapse

FORMULA = "log_outcome ~ targeted_in_term | cell + prefecture_year + industry_year"
YEARS = range(1996, 2006)
FIRST_TERM_YEAR = 2001
EFFECT = 0.05
ROWS_OF_A_PIECE = 1_000_000


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--refits", type=int, default=20)
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
    """Print how much longer refitting takes than the study's own permutation test."""
    sample = effects.cell_sample(study, effects.main_design(study, 1, "funded", "broad"))
    labels = inference.permute_targets(sample.cells, refits).draws
    rows = with_keys(sample)
    fit_draw(rows, labels[0])  # what a first call loads or compiles is not counted
    ratios = []
    for number in range(1, rounds + 1):
        began = time.perf_counter()
        difference = effects.TripleDifference(sample)
        ready = time.perf_counter()
        assignments = inference.permute_targets(sample.cells)
        test = inference.permutation_test(difference.contrast, assignments)
        done = time.perf_counter()
        theirs = [fit_draw(rows, draw) for draw in labels]
        each = (time.perf_counter() - done) / refits
        ours = [difference.contrast.estimate(draw) for draw in labels]
        _require_same(np.array(ours), np.array(theirs))
        ratios.append(each * test.draws / (done - began))
        print(
            f"round {number}: residualising {ready - began:.2f} s, {test.draws:,} draws and "
            f"interval {done - ready:.2f} s; a refit {each:.3f} s: {ratios[-1]:,.0f} x"
        )
    cells, years = len(sample.cells), sample.rows["fy"].nunique()
    print(
        f"{cells} cells x {years} years: refitting each draw takes "
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
