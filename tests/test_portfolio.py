"""Lineage, overlap and completeness of the projects, each counted by hand."""

import pandas as pd
import pytest

from clusterpolicy.projects import portfolio

COLUMNS = "project_id term name_ja predecessors confidence promotion_body prefectures fields"


def project(*values, **more):
    row = dict(zip(COLUMNS.split(), values, strict=True))
    usual = {
        "name_en": row["project_id"],
        "bureau": "Kanto",
        "first_fy": 2006,
        "last_fy": 2010,
        "funded_last_fy": 2009,
        "first_fy_basis": "documented",
        "firms": None,
        "universities": None,
        "source": "P001",
    }
    return {**usual, **row, **more}


PROJECTS = pd.DataFrame(
    [
        project("a1", 1, "甲", "", "high", "Body A (Tokyo)", "01", "bio"),
        project("b1", 1, "乙", "", "low", "", "01;02", "IT"),
        project("c1", 1, "丙", "", "high", "Body C", "02", "IT"),
        project("d1", 1, "丁", "", "medium", "", "03", "IT", first_fy_basis="unknown"),
        project("e1", 1, "戊", "", "high", "Body E", "04", "bio", source="BK"),
        project("a2", 2, "甲", "a1", "high", "Body A and others", "01", "bio;food"),
        project("bc2", 2, "新", "b1;c1", "high", "Body X", "01;02", "bio"),
        project("c2", 2, "丙二", "c1", "medium", "", "02", "IT", firms=12),
        project("e2", 2, "戊二", "e1", "high", "", "04", "bio"),
        project("n2", 2, "無", "", "high", "", "05", "bio", first_fy_basis=""),
    ]
)
CELLS = pd.DataFrame(
    {
        "base": "b2005",
        "fields_map": ["broad"] * 4 + ["narrow"],
        "pref_code": ["01", "01", "02", "04", "01"],
        "industry": ["food", "chemicals", "chemicals", "chemicals", "food"],
        "projects_2": ["a2", "a2;bc2", "bc2", "e2", ""],
    }
)


def test_a_project_is_named_by_what_it_came_out_of():
    links = portfolio.lineage(PROJECTS)
    kinds = dict(zip(links["successor"], links["kind"], strict=True))
    assert kinds == {
        "a2": "continued",
        "bc2": "merged and split off",
        "c2": "split off",
        "e2": "renamed",
        "n2": "new",
        "": "ended",
    }
    ended = links[links["kind"] == "ended"]
    assert ended["predecessor"].tolist() == ["d1"]
    alone = portfolio.lineage(PROJECTS[PROJECTS["project_id"] != "c2"])
    assert set(alone.loc[alone["successor"] == "bc2", "kind"]) == {"merged"}


def test_a_link_is_as_sure_as_the_less_sure_of_its_ends():
    links = portfolio.lineage(PROJECTS).set_index(["predecessor", "successor"])["certainty"]
    assert links["b1", "bc2"] == "low"
    assert links["c1", "c2"] == "medium"
    assert links["a1", "a2"] == "high"
    assert links["", "n2"] == "high"


def test_projects_with_a_page_are_the_second_term_and_what_nobody_followed():
    pages = portfolio.with_page(PROJECTS)["project_id"].tolist()
    assert pages == ["a2", "bc2", "c2", "e2", "n2", "d1"]


def test_overlap_counts_what_two_projects_share():
    pairs = portfolio.overlap(PROJECTS, CELLS, 2, "b2005", "broad")
    pairs = pairs.set_index(["project_id", "other"])
    assert pairs.loc["a2", "bc2"].tolist() == [1, 1, 1]  # prefecture 01, bio, chemicals in 01
    assert pairs.loc["bc2", "a2"].tolist() == [1, 1, 1]
    assert pairs.loc["a2", "e2"].tolist() == [0, 1, 0]
    assert pairs.loc["a2", "a2"].tolist() == [1, 2, 2]
    assert len(pairs) == 25


def test_cells_say_how_many_other_projects_target_them():
    cells = portfolio.targeted_cells(CELLS, "a2", 2, "b2005", "broad")
    assert cells["others"].tolist() == [0, 1]
    assert portfolio.targeted_cells(CELLS, "a2", 2, "b2005", "narrow").empty


def test_what_is_only_assumed_is_not_recorded():
    known = portfolio.what_is_recorded(PROJECTS)
    assert known["first_fy_basis"].to_dict() == {
        name: name not in ("d1", "n2") for name in known.index
    }
    assert not known.at["e1", "source"]
    assert known["firms"].sum() == 1  # that of c2
    score = portfolio.completeness(PROJECTS)
    assert score["a2"] == pytest.approx(8 / 10)  # firms and universities are missing
    assert score["c2"] == pytest.approx(8 / 10)  # promotion body and universities


def test_a_promotion_body_lives_on_if_both_terms_name_it():
    survival = portfolio.promotion_bodies(PROJECTS).set_index(["predecessor", "successor"])
    assert survival["survival"].to_dict() == {
        ("a1", "a2"): "same body",
        ("b1", "bc2"): "named later only",
        ("c1", "bc2"): "another name",
        ("c1", "c2"): "named earlier only",
        ("e1", "e2"): "named earlier only",
    }


def test_the_facts_hold_every_project_of_the_first_term_in_some_lineage(real_study):
    projects = real_study.projects
    links = portfolio.lineage(projects)
    first = set(projects.loc[projects["term"] == 1, "project_id"])
    second = set(projects.loc[projects["term"] == 2, "project_id"])
    assert set(links["predecessor"]) - {""} == first
    assert set(links["successor"]) - {""} == second
    assert portfolio.completeness(projects).between(0.3, 1).all()
