"""The finer tables of rung 2, saved and loaded as one; every report also builds without them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from clusterpolicy import panel, sources
from clusterpolicy.checks import rules

# What rung 2 is made with: if one of these changes, its figures may be wrong.
RAW_TABLES = (
    "prefectures",
    "account_industries",
    "industry_codes",
    "industry_groups",
    "external_files",
    *(f"cell_product_{base}" for base in rules.BASES),
)
MODULES = ("marks", "municipalities", "census", "workbooks", "bounds", "audit", "rung2")


@dataclass(frozen=True)
class FinerStudy:
    """Tables of rung 2; each attribute is a DataFrame saved under its name.

    Attributes
    ----------
    municipal_totals : one row per year and municipality of 2015
        Every measure of ``census.MEASURE_NAMES`` with its status, all industries.
    municipal_groups : one row per year, municipality of 2015 and industry group
        The same by industry. Towns have no lines: their industries were not published.
    units : one row per municipality of 2015
        ``is_constant``: its industries are told in every year and for all of it.
    hidden_cells : one row per measure, year, municipality of the time and industry group
        ``low`` and ``high`` of each hidden cell, and the ``establishments`` in it.
    prefecture_groups : one row per measure, year, prefecture and industry group
        ``known``, ``low``, ``high``, ``hidden_cells`` and ``untold`` (``bounds.add_up_bounds``).
    municipal_shipments : one row per municipality of 2015 and year, 1971-2012
        The Cabinet Office's panel.
    shipment_check : one row per municipality of 2015 and year, 2001-12
        Ours beside the Cabinet Office's (``municipalities.compare_shipments``).
    prefecture_census : one row per prefecture and survey year
    social_statistics : one row per indicator, prefecture and year
    changes : one row per change of a value
        ``where``, ``rule``, ``rows``, ``before``, ``after``.
    hidden_counts : one row per year and measure
        Hidden cells and the jobs they hold (``audit.count_hidden``).
    industry_numbers : one row per year and printed number of an industry
        Establishments by number and group (``audit.sum_by_number``).
    row_loss : one row per rule
        Lines of the municipal files that it keeps (``audit.count_row_loss``).
    areas : one row per year
        Municipalities, wards and cities, and leftovers (``audit.count_areas``).
    prefecture_check : one row per measure and year
        Municipalities held against prefectures (``audit.compare_prefectures``).
    account_check : one row per base
        ``file``, ``cells`` compared with the published workbook and ``equal`` ones.
    made_with : one row per raw table and module that the others were made with
        ``file``, relative to the repository, and its ``sha256``.
    """

    municipal_totals: pd.DataFrame
    municipal_groups: pd.DataFrame
    units: pd.DataFrame
    hidden_cells: pd.DataFrame
    prefecture_groups: pd.DataFrame
    municipal_shipments: pd.DataFrame
    shipment_check: pd.DataFrame
    prefecture_census: pd.DataFrame
    social_statistics: pd.DataFrame
    changes: pd.DataFrame
    hidden_counts: pd.DataFrame
    industry_numbers: pd.DataFrame
    row_loss: pd.DataFrame
    areas: pd.DataFrame
    prefecture_check: pd.DataFrame
    account_check: pd.DataFrame
    made_with: pd.DataFrame

    def items(self) -> list[tuple[str, pd.DataFrame]]:
        """Return name and table of every table."""
        return [(each.name, getattr(self, each.name)) for each in fields(self)]


class _Saved(FinerStudy):
    """Finer tables that are read when they are first used, as those of ``panel.load``."""

    def __init__(self, folder: Path) -> None:
        object.__setattr__(self, "_folder", folder)  # the data class is frozen

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name not in FinerStudy.__dataclass_fields__:
            raise AttributeError(f"FinerStudy has no table {name!r}")
        table = panel.read_saved(self._folder / f"{name}.parquet")
        object.__setattr__(self, name, table)
        return table


def load(folder: Path | None = None, raw_folder: Path | None = None) -> FinerStudy | None:
    """Return the saved tables of rung 2, or None where ``make data`` has not been run.

    The folder is listed whether it is there or not, so the runner knows that a report asked, and
    makes it again when rung 2 comes or goes (see ``tracing``).

    Parameters
    ----------
    folder : Path, optional
        Where the tables are; ``data/clean/rung2`` if not given.
    raw_folder : Path, optional
        Folder of the raw tables they were made with; ``data/raw`` if not given.

    Returns
    -------
    FinerStudy or None
        Each table is read when it is first used.

    Raises
    ------
    sources.InputMissing
        If tables are missing or damaged, or were made with other raw tables or modules than there
        are now.
    """
    folder = sources.CLEAN / "rung2" if folder is None else folder
    shown = sources.short_path(folder)
    try:
        there = os.listdir(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise sources.InputMissing(f"{shown}: {error.strerror}: run `make data`") from error
    missing = [name for name in FinerStudy.__dataclass_fields__ if f"{name}.parquet" not in there]
    if missing:
        raise sources.InputMissing(
            f"{shown}: tables missing: {', '.join(missing)}: run `make data`, or delete the folder "
            "to build on data/raw alone (rung 1)"
        )
    study = _Saved(folder)
    now = record_files(raw_folder).set_index("file")["sha256"]
    made_with = study.made_with.set_index("file")["sha256"]
    changed = [file for file in now.index if made_with.get(file) != now[file]]
    if changed:
        raise sources.InputMissing(
            f"{shown}: made with another {changed[0]} than there is now: run `make data`, or "
            "delete the folder to build on data/raw alone (rung 1)"
        )
    return study


def save(study: FinerStudy, folder: Path | None = None) -> pd.DataFrame:
    """Write every table of rung 2, all of them or none.

    Parameters
    ----------
    study : FinerStudy
    folder : Path, optional
        Where to; ``data/clean/rung2`` if not given. What it held is gone afterwards.

    Returns
    -------
    DataFrame
        ``table``, ``rows`` and ``columns`` of what was written.
    """
    folder = sources.CLEAN / "rung2" if folder is None else folder
    new, old = (folder.with_name(f".{folder.name}.{part}") for part in ("new", "old"))
    for left in (new, old):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    written = panel.save(study, new, with_csv=False)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return written


def record_files(raw_folder: Path | None = None) -> pd.DataFrame:
    """Return the table ``made_with`` as the raw tables and modules are now.

    Raises
    ------
    sources.InputMissing
        If a raw table is missing or cannot be read.
    """
    raw_folder = sources.RAW if raw_folder is None else raw_folder
    paths = {f"data/raw/{name}.csv": raw_folder / f"{name}.csv" for name in RAW_TABLES}
    here = Path(__file__).parent
    paths |= {f"src/clusterpolicy/finerdata/{name}.py": here / f"{name}.py" for name in MODULES}
    rows = []
    for file, path in paths.items():
        try:
            rows.append((file, sources.file_hash(path)))
        except OSError as error:
            raise sources.InputMissing(f"{file}: {error.strerror.lower()}: restore it") from error
    return pd.DataFrame(rows, columns=["file", "sha256"])
