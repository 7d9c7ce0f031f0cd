"""A jump is held against what its own series and its peers have shown, not a fixed limit."""

import numpy as np
import pandas as pd
import pytest

from clusterpolicy import panel, sources
from clusterpolicy.checks import plausibility, rules

YEARS = [str(year) for year in range(2001, 2013)]
CELLS = "cell_product_b2005"


def wide(rows, file=f"{CELLS}.csv"):
    """A table of one industry, wide by year, from logs by prefecture."""
    lines = pd.Index(range(2, 2 + len(rows)), name="line")
    figures = pd.DataFrame(np.exp(np.array(list(rows.values()))), lines, YEARS).round(0)
    table = figures.astype(int).astype(str)
    table.insert(0, "source", "S05")
    table.insert(0, "industry", "food")
    table.insert(0, "pref_code", list(rows))
    table.attrs["file"] = file
    return table


def quiet(number, spread=0.05, seed=1):
    """Paths of so many prefectures, with yearly changes of a usual size."""
    steps = np.random.default_rng(seed).normal(0.0, spread, (number, len(YEARS)))
    return {f"{code:02d}": 12 + steps[code - 1].cumsum() for code in range(1, number + 1)}


def jumps(table, events=None):
    found = plausibility.find_warnings(table, rules.RULES[CELLS], events)
    return [(each.line, each.column) for each in found]


def events(**changed):
    row = {
        "pref_code": "03",
        "industries": "textiles;food",
        "first_fy": "2006",
        "last_fy": "",
        "kind": "opening",
        "what": "a plant opened",
    }
    return pd.DataFrame([row | changed])


def test_a_jump_beyond_its_own_years_and_its_peers_is_listed_though_less_than_tenfold():
    rows = quiet(20)
    assert jumps(wide(rows)) == []
    rows["03"] = rows["03"] + np.where(np.array(YEARS) >= "2006", np.log(3), 0)
    assert jumps(wide(rows)) == [(4, "2006")]


def test_a_jump_that_all_prefectures_make_is_none():
    rows = {code: path - (np.array(YEARS) >= "2009") for code, path in quiet(20).items()}
    assert jumps(wide(rows)) == []


def test_a_cell_that_stays_when_all_others_fall_has_jumped():
    is_late = np.array(YEARS) >= "2009"
    rows = {code: path - is_late * (code != "03") for code, path in quiet(20).items()}
    assert jumps(wide(rows)) == [(4, "2009")]


def test_a_jump_is_none_where_the_series_has_always_jumped():
    rows = quiet(20)
    rows["03"] = 12 + np.tile([0.0, np.log(3)], 6)
    assert jumps(wide(rows)) == []


def test_a_jump_is_none_in_a_year_in_which_its_peers_go_apart():
    rows = quiet(20)
    for number, code in enumerate(rows):
        rows[code] = rows[code] + np.where(np.array(YEARS) >= "2006", (number % 5 - 2) * 0.6, 0)
    assert jumps(wide(rows)) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "known event: a plant opened"),
        ({"first_fy": "2004", "last_fy": "2008"}, "known event: a plant opened"),
        ({"kind": "not found"}, "no reason found where one was sought"),
        ({"first_fy": "2005"}, "no reason known: look whether it is real, or a slip"),
        ({"pref_code": "04"}, "no reason known: look whether it is real, or a slip"),
        ({"industries": "foods"}, "no reason known: look whether it is real, or a slip"),
    ],
)
def test_a_jump_says_which_known_event_explains_it(changed, reason):
    rows = quiet(20)
    rows["03"] = rows["03"] + np.where(np.array(YEARS) >= "2006", np.log(3), 0)
    (jump,) = plausibility.find_warnings(wide(rows), rules.RULES[CELLS], events(**changed))
    assert jump.reason.endswith(reason)


def test_a_figure_far_from_the_years_around_it_is_refused_and_its_neighbours_are_not():
    rows = quiet(20)
    rows["03"][0] += np.log(1000)
    (series,) = plausibility.list_series(wide(rows), rules.RULES[CELLS])
    (fault,) = plausibility.far_figures(series, 30)
    assert (fault.line, fault.column) == (4, "2001")
    assert fault.reason.startswith(("1,", "9"))


def test_two_figures_far_from_the_years_around_them_are_both_refused():
    rows = quiet(20)
    rows["03"][4] += np.log(1000)
    rows["03"][8] -= np.log(1000)
    rows["07"][11] += np.log(100)
    (series,) = plausibility.list_series(wide(rows), rules.RULES[CELLS])
    found = {(fault.line, fault.column) for fault in plausibility.far_figures(series, 30)}
    assert found == {(4, "2005"), (4, "2009"), (8, "2012")}


# ---- The study ----------------------------------------------------------------------------------


def test_the_plant_of_rokkasho_is_named_beside_the_jump_of_its_cell(raw_tables, real_study):
    found = rules.find_warnings(raw_tables)
    is_cell = found["file"].str.endswith("b2005.csv") & found["row"].str.startswith(
        "02,nonferrous_metals"
    )
    (row,) = found[is_cell & (found["column"] == "2006")].to_dict("records")
    assert row["reason"].startswith("9.44 times the figure of the year before")
    assert "known event: the nuclear fuel reprocessing plant at Rokkasho" in row["reason"]
    known = panel.events_of_cell(real_study, "02", "nonferrous_metals", (2001, 2009))
    assert known[["first_fy", "value_before", "value_after"]].values.tolist() == [
        [2006, 45683, 431358]
    ]
    assert panel.events_of_cell(real_study, "02", "nonferrous_metals", (2007, 2009)).empty


def test_what_was_sought_and_not_found_is_no_event_of_a_cell(real_study):
    sought = real_study.plant_events[real_study.plant_events["kind"] == "not found"].iloc[0]
    years = (sought["first_fy"], sought["last_fy"])
    industry = sought["industries"].split(";")[0]
    assert panel.events_of_cell(real_study, sought["pref_code"], industry, years).empty


def test_jumps_of_the_repository_are_few_enough_to_be_looked_at(raw_tables):
    counts = plausibility.count_warnings(rules.find_warnings(raw_tables))
    counts = counts.set_index("what")["warnings"]
    assert counts["jumps of cells that a known event explains"] == 17
    assert (
        counts["jumps of cells beyond their own years and their peers, without a known reason"]
        == 42
    )


def test_an_unknown_industry_of_an_event_is_named(raw_tables):
    table = raw_tables["plant_events"].copy()
    table.attrs = raw_tables["plant_events"].attrs
    table.loc[2, "industries"] = "nonferrous"
    faults = panel.checking.Faults(None)
    panel._check_references({**raw_tables, "plant_events": table}, faults)
    with pytest.raises(sources.DataFault, match=r"plant_events\.csv:2: column industries: found"):
        faults.stop()
