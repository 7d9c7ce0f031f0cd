"""All of rung 2 is cleaned at once, quickly, and its files are held against one another."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import real_files

from clusterpolicy import sources
from clusterpolicy.finerdata import rung2

SECONDS, MEGABYTES = 20, 1000
MEASURE_IT = """
import resource, sys, time
from pathlib import Path
from clusterpolicy import panel
from clusterpolicy.finerdata import downloads, rung2
raw = panel.read_raw()
began = time.process_time()
rung2.clean(raw, downloads.read_registry(), Path(sys.argv[1]))
unit = 1 if sys.platform == "darwin" else 1024
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
"""


def check(gaps):
    census = pd.Series([100.0 * (1 + gap) for gap in gaps])
    return pd.DataFrame(
        {"muni_code_2015": "01100", "year": 2001, "census": census, "panel": 100.0}
    ).assign(gap=lambda table: table["census"] / table["panel"] - 1)


def test_a_conversion_that_the_other_panel_contradicts_is_refused():
    rung2.require_agreement(check([0.0] * 999 + [0.5]))
    with pytest.raises(sources.DataFault, match=r"2 of 1000 municipalities .* 150 against 100"):
        rung2.require_agreement(check([0.0] * 998 + [0.5, 0.02]))
    with pytest.raises(sources.DataFault, match="found no municipality in both"):
        rung2.require_agreement(check([]))


@pytest.fixture(scope="module")
def study(shared, raw_tables):
    return rung2.clean(raw_tables, real_files.registry(), shared / "mirror")


def test_keys_are_unique_and_a_value_stands_only_where_one_was_seen(study):
    keys = {
        "municipal_totals": ["year", "muni_code_2015"],
        "municipal_groups": ["year", "muni_code_2015", "industry_group"],
        "units": ["muni_code_2015"],
        "hidden_cells": ["measure", "year", "muni_code", "industry_group"],
        "prefecture_groups": ["measure", "year", "pref_code", "industry_group"],
        "municipal_shipments": ["muni_code_2015", "year"],
        "shipment_check": ["muni_code_2015", "year"],
        "prefecture_census": ["pref_code", "survey_year"],
        "social_statistics": ["indicator", "pref_code", "year"],
        "hidden_counts": ["measure", "year"],
        "industry_numbers": ["jsic2_code", "year"],
        "row_loss": ["step"],
        "areas": ["year"],
        "prefecture_check": ["measure", "year"],
        "account_check": ["base"],
    }
    for name, table in study.items():
        if name in keys:
            assert not table.duplicated(keys[name]).any(), name
        for column in table.columns:
            if f"{column}_status" in table.columns:
                is_seen = table[f"{column}_status"] == "observed"
                assert (table[column].notna() == is_seen).all(), f"{name}.{column}"


def test_bounds_enclose_what_is_printed(study):
    groups = study.prefecture_groups
    assert (groups["low"] >= groups["known"]).all()
    assert (groups["high"] >= groups["low"]).all()
    is_shown = groups["hidden_cells"] == 0
    assert (groups.loc[is_shown, "low"] == groups.loc[is_shown, "high"]).all()
    assert set(groups["measure"]) == set(rung2.BOUNDED)


def test_the_files_are_what_their_publishers_say(study):
    areas = study.areas.set_index("year")
    assert (areas.loc[2001, "listed"], areas.loc[2012, "listed"]) == (3354, 1897)
    assert (areas["without_successor"] == 0).all()
    numbers = study.industry_numbers.set_index(["jsic2_code", "year"])
    plants = numbers.loc["18", "establishments"]
    assert round(100 * (plants[2008] / plants[2007] - 1)) == 1597
    jobs = study.prefecture_check.query("measure == 'employees'").set_index("year")
    assert (jobs.loc[[2005, 2008, 2012], "equal"] == 47).all()
    assert (study.prefecture_check["equal"] == study.prefecture_check["compared"]).all()
    assert (study.account_check["equal"] == study.account_check["cells"]).all()


def test_every_change_of_a_value_is_told(study):
    changes = study.changes
    assert (changes["rows"] > 0).all()
    assert not changes.isna().any(axis=None)
    rules = " ".join(changes["rule"])
    for rule in ("mark to status", "gap to status", "10,000 yen", "2015 boundaries", "lost minus"):
        assert rule in rules


def test_a_cell_that_differs_from_the_workbook_is_refused(shared, raw_tables):
    cells = raw_tables["cell_product_b2005"].copy()
    cells.attrs = raw_tables["cell_product_b2005"].attrs
    cells.loc[2, "2001"] = str(int(cells.loc[2, "2001"]) + 1)
    with pytest.raises(sources.DataFault) as raised:
        rung2.check_accounts(
            {**raw_tables, "cell_product_b2005": cells}, real_files.registry(), shared / "mirror"
        )
    assert "data/raw/cell_product_b2005.csv: prefecture 01, food, fiscal year 2001" in str(
        raised.value
    )
    assert "(1 such cells)" in str(raised.value)


def test_a_conversion_to_the_wrong_municipalities_stops_everything(shared, raw_tables, monkeypatch):
    lines, _ = real_files.municipal_census(shared)
    right = real_files.converter(shared)
    # Everything is one line off, as when a column of codes slips against the other.
    wrong = right.assign(muni_code_2015=right["muni_code_2015"].shift(1).bfill())
    monkeypatch.setattr(rung2.census, "read_all", lambda *_: lines)
    monkeypatch.setattr(rung2.municipalities, "read_converter", lambda _: wrong)
    with pytest.raises(sources.DataFault, match="differ by more than 1 %, most of all"):
        rung2.clean(raw_tables, real_files.registry(), shared / "mirror")


def test_a_file_that_is_not_the_registered_one_stops_everything(shared, raw_tables):
    registry = real_files.registry().assign(sha256="0" * 64)
    with pytest.raises(sources.InputMissing, match="expected 0000"):
        rung2.clean(raw_tables, registry, shared / "mirror")


def test_all_of_it_takes_seconds_and_little_memory(shared, root):
    run = subprocess.run(
        [sys.executable, "-c", MEASURE_IT, str(shared / "mirror")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
    )
    seconds, megabytes = map(float, run.stdout.split())
    assert seconds < SECONDS
    assert megabytes < MEGABYTES
