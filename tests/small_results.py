"""A study of a few cells, and estimate records written by hand."""

import dataclasses

import numpy as np
import pandas as pd

from clusterpolicy import policy, results

PREFECTURES = ("02", "03", "08", "09", "21", "23", "27", "28", "31", "32", "40", "41")
BLOCKS = dict(zip(PREFECTURES, "AABBCCDDEEFF", strict=True))
INDUSTRIES = ("chemicals", "electrical", "food", "steel", "transport")
SPAN = {"b1995": (1990, 2003), "b2000": (1996, 2009), "b2005": (2001, 2014), "b2011": (2006, 2016)}
# Blocks targeted in term 1, and those added in term 2, by industry.
FIRST = dict(zip(INDUSTRIES, ("AB", "CD", "EF", "AC", "BD"), strict=True))
SECOND = dict(zip(INDUSTRIES, ("C", "E", "B", "F", "C"), strict=True))


def small_tables(effect=0.0, trend=0.0, narrow=INDUSTRIES, first=None):
    """Return cells and cell panel: noise, with a known effect and trend of first-term cells.

    Parameters
    ----------
    effect : float
        Logs that targeted cells gain from FY2001 on.
    trend : float
        Logs that they gain in every year.
    narrow : sequence of str
        Industries that the narrow reading targets.
    first : dict, optional
        Blocks targeted in term 1 by industry.
    """
    first = FIRST if first is None else first
    cells = pd.MultiIndex.from_product(
        [SPAN, PREFECTURES, INDUSTRIES, policy.FIELDS_MAPS],
        names=["base", "pref_code", "industry", "fields_map"],
    ).to_frame(index=False)
    cells["block"] = cells["pref_code"].map(BLOCKS)
    is_read = (cells["fields_map"] == "broad") | cells["industry"].isin(narrow)
    for term, blocks in ((1, first), (2, {i: first[i] + SECOND[i] for i in INDUSTRIES})):
        named = [b in blocks[i] for b, i in zip(cells["block"], cells["industry"], strict=True)]
        cells[f"is_targeted_{term}"] = is_read & pd.Series(named)
        cells[f"projects_{term}"] = np.where(cells[f"is_targeted_{term}"], f"project-t{term}", "")
        cells[f"since_{term}"] = pd.array([None] * len(cells), "Int64")
    broad = cells[cells["fields_map"] == "broad"]
    panel = pd.concat(
        broad[broad["base"] == base].merge(pd.DataFrame({"fy": range(low, high + 1)}), how="cross")
        for base, (low, high) in SPAN.items()
    ).reset_index(drop=True)
    noise = np.random.default_rng(22).normal(scale=0.05, size=len(panel))
    gain = effect * (panel["fy"] >= 2001) + trend * (panel["fy"] - 2001)
    panel["product_million_yen"] = 1000 * np.exp(noise + gain * panel["is_targeted_1"])
    panel["status"] = "observed"
    columns = ["base", "pref_code", "industry", "fy", "product_million_yen", "status"]
    return cells, panel[columns]


def small_study(study, **known):
    """Return `study` with the cells of :func:`small_tables` in place of its own."""
    cells, panel = small_tables(**known)
    return dataclasses.replace(study, cells=cells, cell_panel=panel)


def record(term=1, estimate=1.0, low=-1.0, high=3.0, **changes):
    """Return one record, the main triple difference of a term unless changed."""
    plain = {
        "outcome": "product",
        "outcome_label": "output",
        "design": "triple difference",
        "role": "main",
        "base": {1: "b2000", 2: "b2005", 3: "b2005"}[term],
        "clock": "funded",
        "fields_map": "broad",
        "sample": "all cells",
        "p_value": 0.3 if low <= 0 <= high else 0.01,
        "mde": 5.6,
        "n_cells": 600,
        "n_targeted": 300,
        "n_blocks": 13,
        "n_observations": 6000,
        "baseline_years": {1: "1996-2000", 2: "2001-2005", 3: "2006-2009"}[term],
        "term_years": {1: "2001-2005", 2: "2006-2009", 3: "2010-2014"}[term],
        "pretrend_p": 0.5,
        "pretrend_detectable": 9.5,
        "grade": 3,
        "input_hash": "0a1b2c3d4e5f",
    } | changes
    name = "-".join([f"t{term}", plain["clock"], plain["fields_map"], plain["base"], "all-cells"])
    return results.Estimate(
        plain.pop("result_id", name), term, estimate=estimate, low=low, high=high, **plain
    )


OTHER_BASE = {1: "b1995", 2: "b2000", 3: "b2011"}


def records(term=1, main=None, narrow=None, other_base=None):
    """Return main, narrow reading and other base of one term; each a dict of changes."""
    other = {"role": "check", "base": OTHER_BASE[term], "pretrend_p": np.nan}
    return [
        record(term, **(main or {})),
        record(term, **({"fields_map": "narrow"} | (narrow or {}))),
        record(term, **(other | (other_base or {}))),
        record(term, **(other | {"fields_map": "narrow"})),
    ]
