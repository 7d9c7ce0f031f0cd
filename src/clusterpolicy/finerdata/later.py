"""The later years: tables of e-Stat that anyone with an app id may fetch, checked and saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from clusterpolicy import panel, sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import estat, marks

TABLE = "estat_tables"
FOLDER = "estat"


def read_list(folder: Path | None = None) -> pd.DataFrame:
    """Read and check the list of tables to fetch (raw table ``estat_tables``)."""
    return rules.check_raw(sources.read_raw(TABLE, folder), TABLE)


def fetch(
    client: estat.Client,
    tables: Sequence[str],
    listed: pd.DataFrame,
    prefectures: pd.DataFrame,
    note: Callable[[str], None],
) -> dict[str, pd.DataFrame]:
    """Fetch tables one after the other and hold each against what is known of it.

    Parameters
    ----------
    client : estat.Client
        How to reach e-Stat.
    tables : sequence of str
        Ten digits each; any table of e-Stat.
    listed : DataFrame
        From ``read_list``: a table that stands in it must hold all 47 prefectures, and the number
        of its figures is compared with that of the list.
    prefectures : DataFrame
        Raw or clean table.
    note : callable
        Called with one line per table.

    Returns
    -------
    dict of str to DataFrame
        ``estat_<table>``: as from ``estat.get_data``; a listed table also has ``area_code``, the
        standard code of the municipality or prefecture, and ``reference_year``.

    Raises
    ------
    sources.InputMissing
        If e-Stat refuses, cannot be reached or answers nonsense.
    sources.DataFault
        If a table is empty, a listed one lacks a prefecture, or a mark is not explained.
    """
    known = listed.set_index("table_id")
    fetched = {}
    for table in tables:
        data = estat.get_data(client, table)
        if data.empty:
            raise sources.DataFault(
                f"e-Stat table {table}: found no figure: look whether the table still exists"
            )
        told = ""
        if table in known.index:
            row = known.loc[table]
            data = _listed(data, table, prefectures).assign(
                reference_year=int(row["reference_year"])
            )
            told = "" if len(data) == int(row["cells"]) else f" (listed with {row['cells']})"
        note(f"e-Stat table {table}: {len(data):,} figures{told}")
        fetched[f"estat_{table}"] = data
    return fetched


def _listed(data: pd.DataFrame, table: str, prefectures: pd.DataFrame) -> pd.DataFrame:
    """Add the standard area codes after finding all 47 prefectures."""
    if "area" not in data.columns:
        raise sources.DataFault(f"e-Stat table {table}: found no areas: another table? look at it")
    codes = estat.standard_areas(data, prefectures)
    missing = sorted(set(prefectures["pref_code"] + "000") - set(codes))
    if missing:
        raise sources.DataFault(
            f"e-Stat table {table}: found no figure of prefecture "
            f"{', '.join(code[:2] for code in missing)}: the table is not whole: ask again"
        )
    return data.assign(area_code=codes)


def save(tables: dict[str, pd.DataFrame], folder: Path | None = None) -> Path:
    """Write tables of e-Stat as a data package of their own, beside those fetched before.

    Returns
    -------
    Path
        The folder: ``data/clean/estat`` if not given.
    """
    folder = sources.CLEAN / FOLDER if folder is None else folder
    there = {}
    if folder.is_dir():
        for path in sorted(folder.glob("estat_*.parquet")):
            if re.fullmatch(r"estat_[0-9]{10}", path.stem):
                there[path.stem] = panel.read_saved(path)
    panel.save(_Tables({**there, **tables}), folder)
    return folder


class _Tables:
    """Tables by name, as ``panel.save`` takes them."""

    def __init__(self, tables: dict[str, pd.DataFrame]) -> None:
        self.tables = {
            name: table.assign(status=table["status"].astype(marks.STATUS))
            for name, table in sorted(tables.items())
        }

    def items(self) -> list[tuple[str, pd.DataFrame]]:
        """Return name and table of every table."""
        return list(self.tables.items())


def update(note: Callable[[str], None], tables: Sequence[str] = ()) -> Path:
    """Fetch the tables asked for, or all that are listed, with the app id of the environment.

    Raises
    ------
    sources.InputMissing
        If there is no app id, or as from ``fetch``.
    """
    client = estat.from_environment()
    listed = read_list()
    prefectures = sources.read_raw("prefectures")
    chosen = tables or listed["table_id"].tolist()
    return save(fetch(client, chosen, listed, prefectures, note))
