"""What the page on the data says follows from its tables, on cases counted by hand."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import copy_repository

from clusterpolicy import sources
from clusterpolicy.findings import qualitycharts, qualitytables
from clusterpolicy.finerdata import breaks, quality
from clusterpolicy.page.printing import to_html

MONEY = quality.MONEY


@pytest.fixture
def larger():
    """Two industries that swap their numbers into 2008, hidden cells, bounds and checks."""
    numbers = pd.DataFrame(
        [
            (2007, "18", "11", "g09", "Petroleum", 50.0, 40.0),
            (2007, "19", "11", "g10", "Plastics", 1000.0, 800.0),
            (2007, "32", "11", "g20", "Other", 10.0, 10.0),
            (2008, "17", "12", "g09", "Petroleum", 55.0, 40.0),
            (2008, "18", "12", "g10", "Plastics", 1050.0, 780.0),
            (2008, "32", "12", "g20", "Other", 11.0, 10.0),
        ],
        columns=[
            *("year", "jsic2_code", "jsic_revision", "industry_group", "group_name"),
            *("establishments", "constant_establishments"),
        ],
    )
    hidden = pd.DataFrame(
        [
            (2011, MONEY, 100, 30, 0, 0, 500.0, 5.0, 0),
            (2011, "value_added_million_yen", 100, 28, 0, 0, 480.0, 4.8, 0),
            (2012, MONEY, 200, 50, 0, 0, 700.0, 7.0, 0),
            (2012, "value_added_million_yen", 200, 0, 0, 200, 0.0, 0.0, 0),
        ],
        columns=[
            *("year", "measure", "cells", "hidden", "unmarked", "blocked"),
            *("jobs", "jobs_percent", "untold"),
        ],
    )
    others = [name for name in quality.MEASURES if name not in set(hidden["measure"])]
    empty = [hidden.assign(measure=name, hidden=0, blocked=0, unmarked=9) for name in others]
    hidden = pd.concat([hidden, *(each.drop_duplicates("year") for each in empty)])
    bounds = pd.DataFrame(
        [
            ("industry", "g09", 2012, 100.0, 200.0, 3),
            ("industry", "g10", 2012, 50.0, 50.0, 0),
            ("prefecture", "01", 2012, 90.0, 100.0, 1),
            ("prefecture", "13", 2012, 60.0, 150.0, 2),
        ],
        columns=["kind", "code", "year", "low", "high", "hidden_cells"],
    )
    return SimpleNamespace(
        industry_numbers=numbers,
        hidden_counts=hidden,
        bounds=bounds,
        areas=pd.DataFrame(
            {
                "year": [2001, 2012],
                "listed": [3354, 1897],
                "without_successor": [0, 2],
                "of_2015": [1733, 1720],
                "of_2015_without_line": [8, 21],
            }
        ),
        shipment_check=pd.DataFrame(
            {"year": [2001] * 3 + [2002], "gap": [0.0005, -0.02, float("nan"), -0.005]}
        ),
        account_check=pd.DataFrame({"cells": [10, 20], "equal": [10, 19]}),
        prefecture_check=pd.DataFrame(
            {
                "measure": "employees",
                "year": [2003, 2004, 2005, 2008],
                "compared": [18, 47, 47, 47],
                "equal": [18, 47, 47, 46],
                "hidden_lines": [89, 0, 0, 0],
                "double_percent": [13.0, 12.8, 13.3, 15.1],
            }
        ),
    )


@pytest.fixture
def places():
    prefectures = pd.DataFrame({"pref_code": ["01", "13"], "name_en": ["Hokkaido", "Tokyo"]})
    return SimpleNamespace(prefectures=prefectures)


# --- joined by number -------------------------------------------------------------------------


def test_the_naive_change_stands_beside_the_true_one(larger):
    top = quality.number_changes(larger).iloc[0]
    assert (top["jsic2_code"], top["before"], top["after"]) == ("18", "Petroleum", "Plastics")
    assert top["naive_percent"] == pytest.approx(2000)
    assert top["harmonised_percent"] == pytest.approx(10)
    assert top["constant_percent"] == pytest.approx(0)
    assert not top["is_same"]


def test_numbers_that_kept_their_industry_are_told_apart(larger):
    changes = quality.number_changes(larger).set_index("jsic2_code")
    assert list(changes["is_same"]) == [False, True]
    sentence = quality.jump_sentence(quality.number_changes(larger))
    assert "industry 18 has 2,000 percent more establishments in 2008 than in 2007" in sentence
    assert "changed by +10.0 percent" in sentence
    assert "Of 2 numbers in use in both years, 1 stand for another industry" in sentence
    assert "and 0 of them change by less than 20 percent" in sentence
    printed = qualitytables.numbers_table(quality.number_changes(larger)).data
    assert list(printed["jsic2_code"]) == ["18"]


def test_the_number_is_drawn_against_each_industry_it_stands_for(larger):
    chart = qualitycharts.plot_number(larger, quality.number_changes(larger))
    lines = chart.data.groupby("line")["establishments"].agg(list)
    assert lines["number 18"] == [50, 1050]
    assert lines["Petroleum"] == [50, 55]
    assert lines["Plastics"] == [1000, 1050]
    assert "from 50 in 2007 to 1,050 in 2008, +2,000 percent" in chart.alt


# --- hidden -----------------------------------------------------------------------------------


def test_hidden_blocked_and_unmarked_are_three_things(larger):
    table = quality.hidden_by_year(larger).set_index("year")
    assert table.loc[2011, [MONEY, "value_added_million_yen"]].tolist() == [30, 28]
    assert table.loc[2012, "value_added_million_yen"] == "B"
    assert table.loc[2012, "employees"] == "u"
    page = to_html(qualitytables.hidden_table(table.reset_index()), "Hidden", "hidden")
    assert "blocked by this study" in page


def test_the_sentence_on_hidden_cells_spans_all_years(larger):
    sentence = quality.hidden_sentence(larger)
    assert "25 to 30 percent hide their shipments" in sentence
    assert "hold 5.0 to 7.0 percent of the jobs" in sentence


def test_widths_are_shares_of_the_most_in_the_last_year(larger, places):
    widths = quality.bound_widths(places, larger).set_index("name")["width_percent"]
    assert widths["Petroleum"] == pytest.approx(50)
    assert widths["Plastics"] == 0
    assert widths["Tokyo"] == pytest.approx(60)
    larger.bounds.loc[2, "high"] = float("nan")
    assert (
        quality.bound_widths(places, larger).set_index("name")["width_percent"]["Hokkaido"] == 100
    )


def test_the_widest_and_the_narrowest_are_named_in_the_alt_text(larger, places):
    chart = qualitycharts.plot_widths(quality.bound_widths(places, larger))
    assert "the widest 60 in Tokyo and the narrowest 10 in Hokkaido" in chart.alt


# --- one file against another -----------------------------------------------------------------


def test_agreement_is_counted_over_what_can_be_compared(larger):
    table = quality.shipment_agreement(larger).set_index("year")
    assert table.loc[2001].tolist() == [2, 50, 50, pytest.approx(2)]
    assert table.loc[2002].tolist() == [1, 100, 0, pytest.approx(0.5)]
    sentence = quality.agreement_sentence(larger)
    assert "in 66.67 percent of 3 municipalities and years" in sentence
    assert "within 0.1 percent in 33.33 percent" in sentence
    # 2003 has hidden municipalities, in 2008 one prefecture differs.
    assert "exactly in 2004-05." in sentence
    assert "Of 30 figures of the accounts, 29 equal" in sentence


def test_mergers_tell_what_is_left_over_on_both_sides(larger):
    sentence = quality.merger_sentence(larger)
    assert "3,354 municipalities, wards and cities beside their wards in 2001" in sentence
    assert "1,897 in 2012" in sentence
    assert "in the converter: 2, in any year" in sentence
    assert "of the 1,741 municipalities of 2015, 21 have no line in 2012" in sentence


# --- years, breaks and sources of the study itself --------------------------------------------


@pytest.fixture
def municipal():
    frame = pd.DataFrame({"year": [2001, 2002], MONEY: [1.0, 2.0]})
    return SimpleNamespace(
        municipal_totals=frame, municipal_groups=frame, municipal_shipments=frame.assign(year=1971)
    )


def test_a_series_with_a_gap_is_two_runs_and_breaks_lie_inside_them(real_study, municipal):
    coverage = quality.list_coverage(real_study, municipal).set_index("series")
    plants = coverage.loc["establishments"]
    assert plants[["first_year", "last_year"]].to_numpy().tolist() == [[2001, 2014], [2016, 2020]]
    assert plants["breaks"].iloc[0].split(";")[:3] == ["2002", "2003", "2005"]
    assert coverage.loc["population, register", "breaks"] == "2013"
    assert coverage.loc["population, accounts", "breaks"] == ""
    assert not coverage.loc["cells, base 2000", "breaks"]


def test_series_of_municipalities_are_told_from_those_of_prefectures(real_study, municipal):
    coverage = quality.list_coverage(real_study, municipal)
    assert (coverage["areas"] == quality.MUNICIPALITIES).sum() == 3
    chart = qualitycharts.plot_coverage(coverage)
    assert chart.years == "1971-2022"
    assert f"{coverage['series'].nunique()} series" in chart.alt


def test_changes_inside_a_survey_of_several_years_run_across_nothing(real_study):
    changes = quality.break_changes(real_study, "shipments").set_index("year")
    assert "Survey labelled 2017" in changes.loc[2016, "across"]
    assert changes.loc[2018, "across"] == ""
    assert "Survey labelled 2017" in changes.loc[2020, "across"]
    assert changes.loc[2009, "across"] == "World financial crisis"
    table = qualitytables.break_table(changes.reset_index())
    assert (table.data["across"] != "").all()
    sentence = quality.break_sentence(changes.reset_index(), "shipments")
    assert f"Of {len(changes)} yearly changes of shipments" in sentence


def test_the_change_into_the_year_after_a_full_count_is_marked():
    events = pd.DataFrame(
        {
            "event_id": ["full", "shock"],
            "kind": ["break", "shock"],
            "calendar": "calendar",
            "first_year": [2003, 2008],
            "last_year": [2004, 2009],
            "applies_to": ["prefecture_employees", "all"],
        }
    )
    table = pd.DataFrame({"year": range(2001, 2012), "employees": 100.0})
    across = breaks.yearly_changes(table, "employees", events).set_index("year")["across"]
    assert across[across != ""].to_dict() == {
        **dict.fromkeys((2003, 2005), "full"),
        **dict.fromkeys((2008, 2009, 2010), "shock"),
    }


def test_every_source_has_a_card_or_stands_among_the_documents(real_study):
    files = sources.read_raw("external_files")
    cards = quality.source_cards(real_study, files)
    others = quality.other_sources(real_study, cards)
    assert sorted([*cards["source"], *others["source"]]) == sorted(real_study.sources["source"])
    used = {key for keys in real_study.cell_panel["source"].unique() for key in keys.split(";")}
    used |= {key for keys in files["source"].unique() for key in keys.split(";")}
    assert used <= set(cards["source"])
    census = cards.set_index("source").loc["S08"]
    assert "Newspapers and publishing leave manufacturing" in census["faults"]
    assert "municipal census" in census["used_for"]


# --- the page ---------------------------------------------------------------------------------

LARGEST_PAGE = 400_000  # bytes
BY_MUNICIPALITY = {
    *("hidden-jobs", "hidden-years", "bounds", "bounds-industries", "municipal-loss", "areas"),
    *("number-jump", "number-changes", "prefecture-check", "shipment-check", "account-check"),
    "value-changes",
}


@pytest.mark.slow
def test_a_fresh_clone_without_a_network_shows_the_municipal_figures(tmp_path):
    root = copy_repository(tmp_path / "study")
    done = subprocess.run(
        [sys.executable, "-m", "clusterpolicy", "report", "data-quality"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (root / "data/external").exists()
    page = (root / "reports/data-quality.html").read_text(encoding="utf-8")
    assert set(re.findall(r'id="(?:fig|tab)-([a-z-]+)"', page)) >= BY_MUNICIPALITY
    assert "has 1,597 percent more establishments in 2008 than in 2007" in page
    assert "3,354 municipalities" in page
    assert len(page.encode()) <= LARGEST_PAGE
