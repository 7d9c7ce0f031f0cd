"""The finer evidence of rung 2: every external file read, harmonised, held against the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from clusterpolicy import cleaning, sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import (
    audit,
    bounds,
    census,
    downloads,
    marks,
    municipalities,
    workbooks,
)
from clusterpolicy.finerdata.finer import FinerStudy, record_files

BOUNDED = ("employees", "shipments_million_yen")
# Share of municipalities and years that may differ from the Cabinet Office's panel by over 1 %.
MOST_DIFFERENT = 0.001
LARGEST_GAP = 0.01


def clean(
    raw: Mapping[str, pd.DataFrame], registry: pd.DataFrame, folder: Path | None = None
) -> FinerStudy:
    """Read, harmonise and check every external file.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables (``panel.read_raw``); of them ``prefectures``, ``industry_codes``,
        ``industry_groups``, ``account_industries`` and ``cell_product_...`` are used.
    registry : DataFrame
        From ``downloads.read_registry``.
    folder : Path, optional
        Folder of the external files; ``data/external`` if not given.

    Raises
    ------
    sources.InputMissing
        If a file is missing, unreadable, or not the one that was registered.
    sources.DataFault
        If a file breaks a rule or contradicts another.
    """
    made_with = record_files()
    log = marks.Log()
    prefectures = raw["prefectures"]
    account_check = check_accounts(raw, registry, folder)
    paths = downloads.checked_paths(registry, "municipal census", folder)
    lines = census.read_all(paths, raw["industry_codes"], prefectures, log)
    converter = municipalities.read_converter(_one(registry, "municipality converter", folder))
    panel = municipalities.read_shipments(_one(registry, "municipal shipments", folder))
    once = municipalities.without_parents(lines)
    totals = municipalities.convert(
        once[once["jsic2_code"] == municipalities.ALL_INDUSTRIES],
        converter,
        census.MEASURE_NAMES,
        log=log,
    )
    check = municipalities.compare_shipments(totals, panel)
    require_agreement(check)
    counted = lines[lines["level"] != "parent"]
    groups = census.group_industries(counted, raw["industry_groups"], detail=True)
    hidden, by_prefecture = _bound(groups, log)
    industries = municipalities.without_parents(groups)
    units = municipalities.find_constant_units(once, converter)
    return FinerStudy(
        municipal_totals=totals,
        municipal_groups=municipalities.convert(
            industries[industries["industry_group"] != "all"],
            converter,
            census.MEASURE_NAMES,
            ["industry_group"],
        ),
        units=units,
        hidden_cells=hidden,
        prefecture_groups=by_prefecture,
        municipal_shipments=panel,
        shipment_check=check,
        prefecture_census=workbooks.read_prefecture_census(
            _one(registry, "prefecture census", folder), prefectures
        ),
        social_statistics=workbooks.read_social_statistics(
            _one(registry, "shipments per employee", folder), prefectures
        ),
        changes=log.table(),
        hidden_counts=audit.count_hidden(lines),
        industry_numbers=audit.sum_by_number(lines, raw["industry_groups"], units, converter),
        row_loss=audit.count_row_loss(lines, units, converter),
        areas=audit.count_areas(lines, converter),
        prefecture_check=audit.compare_prefectures(lines),
        account_check=account_check,
        made_with=made_with,
    )


def _one(registry: pd.DataFrame, used_for: str, folder: Path | None) -> Path:
    (path,) = downloads.checked_paths(registry, used_for, folder).values()
    return path


def _bound(groups: pd.DataFrame, log: marks.Log) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bound each hidden cell of a group, and what each prefecture makes in each group."""
    hidden, sums = [], []
    for measure in BOUNDED:
        found = bounds.bound_census(groups, measure, "industry_group", "all", log)
        hidden.append(found.assign(measure=measure))
        added = bounds.add_up_bounds(groups, found, measure, "industry_group", "all")
        sums.append(added.assign(measure=measure))
    return pd.concat(hidden, ignore_index=True), pd.concat(sums, ignore_index=True)


def require_agreement(check: pd.DataFrame) -> None:
    """Refuse a conversion that the Cabinet Office's own one contradicts.

    Parameters
    ----------
    check : DataFrame
        From ``municipalities.compare_shipments``.

    Raises
    ------
    sources.DataFault
        If more than one municipality and year in a thousand differ by more than 1 %, or if there
        is nothing to compare.
    """
    where = "municipal census and municipal shipments"
    gap = check["gap"].dropna().abs()
    if gap.empty:
        raise sources.DataFault(f"{where}: found no municipality in both: look at the converter")
    different = int((gap > LARGEST_GAP).sum())
    if different > MOST_DIFFERENT * len(gap):
        worst = check.loc[gap.idxmax()]
        raise sources.DataFault(
            f"{where}: {different} of {len(gap)} municipalities and years differ by more than 1 %, "
            f"most of all {worst['muni_code_2015']} in {worst['year']}: {worst['census']:.0f} "
            f"against {worst['panel']:.0f} million yen: look at the municipality converter"
        )


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
        carried = cleaning.clean_cell_product(raw[f"cell_product_{base}"], base)
        both = carried.merge(read, on=keys, how="outer", validate="one_to_one", indicator=True)
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
