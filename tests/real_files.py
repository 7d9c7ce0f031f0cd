"""The published files, read once for all tests that need them."""

from functools import cache
from pathlib import Path

from clusterpolicy import sources
from clusterpolicy.finerdata import census, downloads, marks, municipalities, workbooks

ACCOUNTS = ("b1990", "b1995", "b2000", "b2005", "b2011")


@cache
def registry():
    return downloads.read_registry()


def paths(shared: Path, used_for: str) -> dict:
    return downloads.checked_paths(registry(), used_for, shared / "mirror")


def only_path(shared: Path, used_for: str) -> Path:
    (path,) = paths(shared, used_for).values()
    return path


@cache
def municipal_census(shared: Path):
    """Return the census of 2001-12 and the log of what was changed in it."""
    log = marks.Log()
    table = census.read_all(
        paths(shared, "municipal census"),
        sources.read_raw("industry_codes"),
        sources.read_raw("prefectures"),
        log,
    )
    return table, log.table()


@cache
def converter(shared: Path):
    return municipalities.read_converter(only_path(shared, "municipality converter"))


@cache
def accounts(shared: Path, base: str):
    return workbooks.read_accounts(
        only_path(shared, f"accounts {base}"),
        base,
        sources.read_raw("account_industries"),
        sources.read_raw("prefectures"),
    )
