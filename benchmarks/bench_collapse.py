"""Add ten million records of one file up to cells: seconds and memory, in a process of its own.

    python benchmarks/bench_collapse.py [--rows 10000000] [--format csv|parquet]

The records are drawn with a fixed seed and written to a temporary folder; that is not timed.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from clusterpolicy import sources

MOST_SECONDS, MOST_MEGABYTES = 10.0, 300.0
COLUMNS = ("establishment", "year", "pref_code", "jsic2_code", "employees", "shipments_million_yen")
PIECE = 500_000
MEASURE = """
import resource, sys, time
from pathlib import Path
from clusterpolicy import sources
from clusterpolicy.finerdata import collapse
industries = sources.read_raw("account_industries")
began = time.perf_counter()
cells = collapse.collapse_to_cells(
    Path(sys.argv[1]), ["employees", "shipments_million_yen"], "b2005", industries
)
seconds = time.perf_counter() - began
unit = 1 if sys.platform == "darwin" else 1024
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
print(int(cells["records"].sum()), float(cells["employees_known"].sum()))
"""


def draw_records(rows: int, seed: int = 5):
    """Yield tables of records, `rows` in all."""
    codes = sources.read_raw("account_industries").query("base == 'b2005'")["jsic_rev12"]
    codes = sorted({code for text in codes for code in text.split(";") if code})
    random = np.random.default_rng(seed)
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        prefectures = random.integers(1, 48, n)
        table = {
            "establishment": np.arange(start, start + n),
            "year": random.integers(2001, 2013, n),
            "pref_code": pd.Series(prefectures).map("{:02d}".format),
            "jsic2_code": random.choice(codes, n),
            "employees": random.integers(4, 300, n),
            "shipments_million_yen": random.integers(1, 10_000, n) / 10,
        }
        yield pa.table({name: pa.array(table[name]) for name in COLUMNS})


def write_records(path: Path, rows: int) -> int:
    """Write the records and return the sum of employees in them."""
    employees, writer = 0, None
    for table in draw_records(rows):
        if writer is None:
            make = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
            writer = make(path, table.schema)
        writer.write_table(table)
        employees += int(table["employees"].to_numpy().sum())
    writer.close()
    return employees


def main() -> int:
    """Time the formats asked for; 1 if one takes longer or more memory than it may."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--format", choices=("csv", "parquet"), action="append")
    options = parser.parse_args()
    too_much = False
    for suffix in options.format or ("csv", "parquet"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"records.{suffix}"
            expected = write_records(path, options.rows)
            size = path.stat().st_size / 1e6
            done = subprocess.run(
                [sys.executable, "-c", MEASURE, str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
        seconds, megabytes, records, employees = map(float, done.stdout.split())
        assert (records, employees) == (options.rows, expected), "records were lost"
        print(
            f"{options.rows:,} rows in {suffix} ({size:.0f} MB): {seconds:.1f} s, "
            f"{megabytes:.0f} MB (at most {MOST_SECONDS:.0f} s, {MOST_MEGABYTES:.0f} MB)"
        )
        too_much |= seconds > MOST_SECONDS or megabytes > MOST_MEGABYTES
    return int(too_much)


if __name__ == "__main__":
    sys.exit(main())
