"""The carried municipal tables derived again from the published files, compared byte for byte."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from clusterpolicy import cleaning, sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import (
    audit,
    bounds,
    carried,
    census,
    downloads,
    finer,
    marks,
    municipalities,
    workbooks,
)

FOLDER = "derived"  # of data/clean
# The raw tables that tell how to read the published files.
INPUTS = (
    "prefectures",
    "account_industries",
    "industry_codes",
    "industry_groups",
    *(f"cell_product_{base}" for base in rules.BASES),
)
PERCENT_DECIMALS = 4
MONEY = "shipments_million_yen"


class NotReproduced(sources.InputMissing):
    """A carried table is not what the published files yield; names the first difference."""


def read_inputs(folder: Path | None = None) -> dict[str, pd.DataFrame]:
    """Read and check the raw tables that ``derive`` uses, and no other.

    Raises
    ------
    sources.DataFault
        If a rule is broken.
    sources.InputMissing
        If a table is missing.
    """
    return {name: rules.check_raw(sources.read_raw(name, folder), name) for name in INPUTS}


def derive(
    raw: Mapping[str, pd.DataFrame], registry: pd.DataFrame, folder: Path | None = None
) -> dict[str, pd.DataFrame]:
    """Read, harmonise and check the published files; return the tables that ``data/raw`` carries.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables; those of ``INPUTS`` are used.
    registry : DataFrame
        From ``downloads.read_registry``.
    folder : Path, optional
        Folder of the published files; ``data/external`` if not given.

    Returns
    -------
    dict of str to DataFrame
        Text tables by name, each sorted by its key.

    Raises
    ------
    sources.InputMissing
        If a file is missing, unreadable, or not the one that was registered.
    sources.DataFault
        If a file breaks a rule or contradicts another.
    """
    log = marks.Log()
    account_check = check_accounts(raw, registry, folder)
    paths = downloads.checked_paths(registry, "municipal census", folder)
    lines = census.read_all(paths, raw["industry_codes"], raw["prefectures"], log)
    converter = municipalities.read_converter(_one(registry, "municipality converter", folder))
    shipments = municipalities.read_shipments(_one(registry, "municipal shipments", folder))
    once = municipalities.without_parents(lines)
    totals = municipalities.convert(
        once[once["jsic2_code"] == municipalities.ALL_INDUSTRIES],
        converter,
        carried.MEASURES,
        log=log,
    )
    finer.require_agreement(municipalities.compare_shipments(totals, shipments))
    counted = lines[lines["level"] != "parent"]
    groups = census.group_industries(counted, raw["industry_groups"], detail=True)
    units = municipalities.find_constant_units(once, converter)
    used = _Sources(registry)
    return {
        **_group_tables(groups, totals, converter, used),
        carried.PANEL_TABLE: _panel_table(shipments, used),
        carried.UNITS_TABLE: _units_table(units, shipments, converter, used),
        "municipal_bounds": _by_year(
            audit.sum_bounds(_bound(groups, log)), "municipal_bounds", used
        ),
        "municipal_hidden": _by_year(audit.count_hidden(lines), "municipal_hidden", used),
        "municipal_industry_numbers": _by_year(
            audit.sum_by_number(lines, raw["industry_groups"], units, converter),
            "municipal_industry_numbers",
            used,
        ),
        "municipal_areas": _by_year(
            audit.count_areas(lines, converter), "municipal_areas", used, used.converter
        ),
        "municipal_prefecture_check": _by_year(
            audit.compare_prefectures(lines), "municipal_prefecture_check", used
        ),
        "municipal_row_loss": _text(
            audit.count_row_loss(lines, units, converter), "municipal_row_loss", used.all
        ),
        # After all that changes a value.
        "municipal_changes": _text(audit.count_changes(log.table()), "municipal_changes", used.all),
        "prefecture_outlines": _outlines_table(
            workbooks.read_boundaries(_one(registry, "boundaries", folder), raw["prefectures"]),
            used,
        ),
        "account_check": _text(account_check, "account_check", used.accounts),
    }


class _Sources:
    """Source keys of the tables, from the list of published files."""

    def __init__(self, registry: pd.DataFrame) -> None:
        by_use = registry.groupby("used_for")["source"].agg(
            lambda keys: ";".join(sorted(set(keys)))
        )
        self.converter = by_use["municipality converter"]
        self.all = f"{by_use['municipal census']};{self.converter}"
        self.boundaries = by_use["boundaries"]
        self.shipments = by_use["municipal shipments"]
        self.accounts = [by_use[f"accounts {base}"] for base in rules.BASES]
        files = registry[registry["used_for"] == "municipal census"]
        years = files["file"].str.extract(r"([0-9]{4})\.", expand=False).astype(int)
        self.by_year = dict(zip(years, files["source"], strict=True))


def _one(registry: pd.DataFrame, used_for: str, folder: Path | None) -> Path:
    (path,) = downloads.checked_paths(registry, used_for, folder).values()
    return path


def _bound(groups: pd.DataFrame, log: marks.Log) -> pd.DataFrame:
    """Bound what each prefecture ships in each group."""
    hidden = bounds.bound_census(groups, MONEY, "industry_group", rules.ALL_GROUPS, log)
    return bounds.add_up_bounds(groups, hidden, MONEY, "industry_group", rules.ALL_GROUPS)


def _group_tables(
    groups: pd.DataFrame, totals: pd.DataFrame, converter: pd.DataFrame, used: _Sources
) -> dict[str, pd.DataFrame]:
    """Lay each measure out by municipality of 2015 and industry group, ``all`` among them."""
    industries = municipalities.without_parents(groups)
    by_group = municipalities.convert(
        industries[industries["industry_group"] != rules.ALL_GROUPS],
        converter,
        carried.MEASURES,
        ["industry_group"],
    )
    long = pd.concat([by_group, totals.assign(industry_group=rules.ALL_GROUPS)], ignore_index=True)
    wide = {
        measure: carried.widen(long, measure, carried.CELL, used.all)
        for measure in carried.MEASURES
    }
    plants = wide["establishments"]
    return {
        name: carried.mark_nil(wide[measure], plants)
        for measure, name in carried.GROUP_TABLES.items()
    }


def _panel_table(shipments: pd.DataFrame, used: _Sources) -> pd.DataFrame:
    return carried.widen(shipments, MONEY, ["muni_code_2015"], used.shipments, blank="unmarked")


def _units_table(
    units: pd.DataFrame, shipments: pd.DataFrame, converter: pd.DataFrame, used: _Sources
) -> pd.DataFrame:
    """Name every municipality of 2015 and say in how many years its industries are told."""
    names = converter.drop_duplicates("muni_code_2015").set_index("muni_code_2015")
    years = units.set_index("muni_code_2015")["years"]
    codes = sorted({*years.index, *shipments["muni_code_2015"]})
    table = pd.DataFrame(
        {
            "muni_code_2015": codes,
            "name_ja": names["muni_name_2015"].reindex(codes).to_numpy(),
            "years_told": years.reindex(codes, fill_value=0).to_numpy(),
        }
    )
    return _text(table, carried.UNITS_TABLE, used.all)


def _outlines_table(rings: Mapping[str, list[np.ndarray]], used: _Sources) -> pd.DataFrame:
    """Print the rings of each prefecture, a hundred metres apart at the finest."""
    rows = [
        (code, number, ";".join(f"{east:.3f} {north:.3f}" for east, north in ring))
        for code, of_one in rings.items()
        for number, ring in enumerate(of_one, start=1)
    ]
    table = pd.DataFrame(rows, columns=["pref_code", "ring", "points"])
    return _text(table, "prefecture_outlines", used.boundaries)


def _by_year(
    table: pd.DataFrame, name: str, used: _Sources, more: str | None = None
) -> pd.DataFrame:
    """Print a table whose rows rest on the file of their year, and on `more`."""
    keys = table["year"].map(used.by_year)
    return _text(table, name, keys if more is None else keys + f";{more}")


def _text(table: pd.DataFrame, name: str, source: object) -> pd.DataFrame:
    """Print a small table in the columns of its rules, sorted by its key."""
    table = table.assign(source=source)
    rule = rules.RULES[name]
    if name != "municipal_row_loss":  # its rows are steps, in their order
        table = table.sort_values(list(rule.key))
    text = {column: _column(table[column]) for column in rule.columns}
    return pd.DataFrame(text).reset_index(drop=True)


def _column(values: pd.Series) -> pd.Series:
    if not pd.api.types.is_float_dtype(values):
        return values.astype(str)
    decimals = PERCENT_DECIMALS if str(values.name).endswith("_percent") else carried.DECIMALS
    is_known = values.notna() & (values.abs() != float("inf"))
    return values.map(lambda each: carried.print_figure(each, decimals)).where(is_known, "")


def check_accounts(
    raw: Mapping[str, pd.DataFrame], registry: pd.DataFrame, folder: Path | None = None
) -> pd.DataFrame:
    """Hold the accounts in the published workbooks against the tables of the repository.

    Returns
    -------
    DataFrame
        One row per ``base``: ``file``, ``cells`` compared and ``equal`` ones.

    Raises
    ------
    sources.DataFault
        If a cell differs in figure or status, or stands on one side only.
    sources.InputMissing
        If a workbook is missing, unreadable, or not the one that was registered.
    """
    keys = ["base", "pref_code", "industry", "fy"]
    value = "product_million_yen"
    compared = []
    for base in rules.BASES:
        path = _one(registry, f"accounts {base}", folder)
        read = workbooks.read_accounts(path, base, raw["account_industries"], raw["prefectures"])
        read = read[~read["industry"].isin(workbooks.TOTALS.values())]
        ours = cleaning.clean_cell_product(raw[f"cell_product_{base}"], base)
        both = ours.merge(read, on=keys, how="outer", validate="one_to_one", indicator=True)
        same_figure = both[f"{value}_x"].fillna(0.0) == both[f"{value}_y"].fillna(0.0)
        same_status = both["status_x"].astype(str) == both["status_y"].astype(str)
        wrong = both[(both["_merge"] != "both") | ~same_figure | ~same_status]
        if not wrong.empty:
            row = wrong.iloc[0]
            raise sources.DataFault(
                f"data/raw/cell_product_{base}.csv: prefecture {row['pref_code']}, "
                f"{row['industry']}, fiscal year {row['fy']}: found {row[f'{value}_x']} "
                f"({row['status_x']}), published {row[f'{value}_y']} ({row['status_y']}) "
                f"({len(wrong)} such cells): correct the table, or look at {path.name}"
            )
        counts = {"base": base, "file": path.name, "cells": len(both)}
        compared.append({**counts, "equal": int((same_figure & same_status).sum())})
    return pd.DataFrame(compared)


# --- written and compared ---------------------------------------------------------------------


def write(tables: Mapping[str, pd.DataFrame], folder: Path | None = None) -> Path:
    """Write derived tables as ``data/raw`` holds its own: UTF-8, comma, line feed.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        From ``derive``.
    folder : Path, optional
        Where to; ``data/clean/derived`` if not given. What it held is gone afterwards.

    Returns
    -------
    Path
        The folder.
    """
    folder = sources.CLEAN / FOLDER if folder is None else folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, encoding="utf-8", lineterminator="\n")
    return folder


def compare(derived: Path, raw_folder: Path | None = None) -> list[str]:
    """Hold derived tables against the carried ones, byte for byte.

    Parameters
    ----------
    derived : Path
        From ``write``.
    raw_folder : Path, optional
        Folder of the carried tables; ``data/raw`` if not given.

    Returns
    -------
    list of str
        Names of the tables, all of them equal.

    Raises
    ------
    NotReproduced
        At the first table that differs: line, column, both values and what to do.
    """
    raw_folder = sources.RAW if raw_folder is None else raw_folder
    names = sorted(path.stem for path in derived.glob("*.csv"))
    differ = [name for name in names if not _is_same(name, derived, raw_folder)]
    if differ:
        path = raw_folder / f"{differ[0]}.csv"
        shown, other = sources.short_path(path), sources.short_path(derived / path.name)
        more = f" ({len(differ) - 1} more tables differ)" if len(differ) > 1 else ""
        raise NotReproduced(
            f"{_first_difference(path, derived / path.name, shown)}{more}: restore it with "
            f"`git checkout -- {shown}`, or look at {other} and take what was derived with "
            "`python -m clusterpolicy data --accept`"
        )
    return names


def accept(derived: Path, raw_folder: Path | None = None) -> list[str]:
    """Put derived tables in the place of the carried ones that differ; return their names."""
    raw_folder = sources.RAW if raw_folder is None else raw_folder
    names = sorted(path.stem for path in derived.glob("*.csv"))
    changed = [name for name in names if not _is_same(name, derived, raw_folder)]
    for name in changed:
        shutil.copyfile(derived / f"{name}.csv", raw_folder / f"{name}.csv")
    return changed


def _is_same(name: str, derived: Path, raw_folder: Path) -> bool:
    path = raw_folder / f"{name}.csv"
    return path.is_file() and path.read_bytes() == (derived / path.name).read_bytes()


def _first_difference(path: Path, derived: Path, shown: str) -> str:
    """Say where a carried table first differs from the derived one, and in what."""
    if not path.is_file():
        return f"{shown}: missing, the published files yield it"
    ours, theirs = (each.read_text(encoding="utf-8").split("\n") for each in (path, derived))
    header = next(csv.reader(theirs[:1]))
    pairs = enumerate(zip_longest(ours, theirs), start=1)
    for line, (one, other) in pairs:
        if one == other:
            continue
        if not one or not other:
            which = "no such line" if not one else "a line too many"
            return f"{shown}:{line}: found {one or ''!r}, derived {other or ''!r}: {which}"
        fields = zip_longest(next(csv.reader([one])), next(csv.reader([other])))
        for column, (found, expected) in zip_longest(header, fields, fillvalue=("", "")):
            if found != expected:
                return f"{shown}:{line}: column {column}: found {found!r}, derived {expected!r}"
        break
    return f"{shown}:{line}: written otherwise, with the same fields: line ends or quotes"
