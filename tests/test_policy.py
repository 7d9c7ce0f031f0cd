"""Terms on two clocks, and the cells that projects of a term targeted."""

import pandas as pd
import pytest

from clusterpolicy import policy

# Electronics in Aomori and Iwate, manufacturing in Iwate; later chemicals in Aomori.
PROJECTS = pd.DataFrame(
    [
        ("north-t1", 1, "02;03", "chips", "high"),
        ("iwate-t1", 1, "03", "manufacturing;software", "low"),
        ("north-t2", 2, "02", "chips;bio", "high"),
    ],
    columns=["project_id", "term", "prefectures", "fields", "confidence"],
)
# "chips" and "bio" name one industry each; "manufacturing" names two, in the broad reading only.
FIELD_MAP = pd.DataFrame(
    [
        ("b2000", "chips", "both", "electrical"),
        ("b2000", "bio", "both", "chemicals"),
        ("b2000", "manufacturing", "broad", "electrical"),
        ("b2000", "manufacturing", "broad", "transport"),
    ],
    columns=["base", "field", "reading", "industry"],
)


def cells_of(targeted, term, fields_map):
    chosen = targeted[(targeted["term"] == term) & (targeted["fields_map"] == fields_map)]
    names = chosen["pref_code"] + " " + chosen["industry"]
    return dict(zip(names, chosen["projects"], strict=True))


@pytest.fixture
def targeted():
    return policy.target_cells(policy.target_fields(PROJECTS), FIELD_MAP)


def test_a_project_targets_each_of_its_fields_in_each_of_its_prefectures():
    targets = policy.target_fields(PROJECTS)
    found = targets[["project_id", "pref_code", "field"]].agg(" ".join, axis=1).tolist()
    assert sorted(found) == [
        "iwate-t1 03 manufacturing",
        "iwate-t1 03 software",
        "north-t1 02 chips",
        "north-t1 03 chips",
        "north-t2 02 bio",
        "north-t2 02 chips",
    ]


def test_the_narrow_reading_counts_only_industries_that_a_field_names(targeted):
    assert cells_of(targeted, 1, "narrow") == {
        "02 electrical": "north-t1",
        "03 electrical": "north-t1",
    }
    assert cells_of(targeted, 2, "narrow") == {
        "02 chemicals": "north-t2",
        "02 electrical": "north-t2",
    }


def test_the_broad_reading_adds_projects_that_say_manufacturing(targeted):
    assert cells_of(targeted, 1, "broad") == {
        "02 electrical": "north-t1",
        "03 electrical": "iwate-t1;north-t1",
        "03 transport": "iwate-t1",
    }


def test_a_cell_counts_each_project_once_however_many_fields_reach_it(targeted):
    both = targeted[targeted["projects"] == "iwate-t1;north-t1"]
    assert both["n_projects"].tolist() == [2]
    twice = pd.concat([FIELD_MAP, FIELD_MAP.assign(field="bio")[:1]])  # bio reaches electrical too
    again = policy.target_cells(policy.target_fields(PROJECTS), twice)
    assert cells_of(again, 2, "narrow")["02 electrical"] == "north-t2"


def test_the_third_term_stands_on_the_projects_of_the_second():
    assert policy.projects_of_term(PROJECTS, 3)["project_id"].tolist() == ["north-t2"]
    assert policy.projects_of_term(PROJECTS, 1)["project_id"].tolist() == ["north-t1", "iwate-t1"]


def test_a_prefecture_is_certain_once_one_certain_project_covers_it():
    alone = PROJECTS.assign(prefectures=["02", "02;03", "02"])
    certainty = policy.prefecture_certainty(alone, 1)
    assert certainty.to_dict() == {"02": "high", "03": "low"}


def test_a_project_may_not_have_run_if_its_year_is_unknown_and_its_place_unsure():
    projects = pd.DataFrame(
        [
            ("a", 2001, "yes"),
            ("b", None, "yes"),
            ("c", None, "uncertain"),
            ("d", 2001, "uncertain"),
        ],
        columns=["project_id", "first_fy", "in_official_count"],
    ).astype({"first_fy": "Int64"})
    assert policy.unknown_starts(projects) == ["c"]


def test_a_project_starts_where_it_carries_none_on():
    projects = pd.DataFrame(
        [("a", 2007, ""), ("b", 2007, "a0"), ("c", None, "")],
        columns=["project_id", "first_fy", "predecessors"],
    ).astype({"first_fy": "Int64"})
    assert policy.project_starts(projects).dropna().to_dict() == {"a": 2007}


# ---- Clocks -----------------------------------------------------------------------------------

# The third term has no year of money of its own: on the funded clock it is the years after it.
TERMS = pd.DataFrame(
    [
        (1, "Launch", "立ち上げ期", "funded", 2001, 2005),
        (2, "Growth", "成長期", "funded", 2006, 2009),
        (3, "Autonomy", "自立的発展期", "funded", 2010, 2020),
        (1, "Launch", "立ち上げ期", "planned", 2001, 2005),
        (2, "Growth", "成長期", "planned", 2006, 2010),
        (3, "Autonomy", "自立的発展期", "planned", 2011, 2020),
    ],
    columns=["term", "name_en", "name_ja", "clock", "first_year", "last_year"],
)


@pytest.mark.parametrize(
    ("number", "clock", "baseline", "years"),
    [
        (1, "funded", (1996, 2000), (2001, 2005)),
        (1, "planned", (1996, 2000), (2001, 2005)),
        (2, "funded", (2001, 2005), (2006, 2009)),
        (2, "planned", (2001, 2005), (2006, 2010)),
        (3, "funded", (2006, 2009), (2010, 2020)),
        (3, "planned", (2006, 2010), (2011, 2020)),
    ],
)
def test_a_term_is_compared_with_the_term_before_it_on_the_same_clock(
    number, clock, baseline, years
):
    term = policy.choose_term(TERMS, number, clock)
    assert (term.baseline_years, term.years) == (baseline, years)
    assert (term.number, term.clock) == (number, clock)


def test_a_term_carries_its_official_names():
    term = policy.choose_term(TERMS, 2, "planned")
    assert (term.name, term.name_ja) == ("Growth", "成長期")


def test_an_unknown_term_or_clock_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"^term: found 4: choose one of 1, 2, 3$"):
        policy.choose_term(TERMS, 4, "funded")
    with pytest.raises(ValueError, match=r"^clock: found 'lunar': choose one of funded, planned$"):
        policy.choose_term(TERMS, 1, "lunar")


# ---- Blocks -----------------------------------------------------------------------------------

PREFECTURES = pd.DataFrame(
    [
        ("02", "Aomori", "North"),
        ("03", "Iwate", "North"),
        ("04", "Miyagi", "North"),
        ("12", "Chiba", "East"),
        ("13", "Tokyo", "East"),
        ("14", "Kanagawa", "East"),
        ("47", "Okinawa", "South"),
    ],
    columns=["pref_code", "name_en", "bureau"],
)


@pytest.mark.parametrize("of_its_own", [1, 2])
def test_a_block_is_the_prefectures_of_one_bureau_that_the_same_projects_cover(of_its_own):
    """Iwate has a project of its own, in one term or the other."""
    covered = ["02;03;04;13", "02;03;04;13", "02;03;04;13"]
    covered[of_its_own] = "03"
    projects = PROJECTS.assign(prefectures=covered)
    blocks = policy.prefecture_blocks(projects, PREFECTURES)
    assert blocks.to_dict() == {
        "02": "02",
        "04": "02",
        "03": "03",
        "13": "13",  # the projects of the north, another bureau
        "12": "12",  # no project at all, as most of the bureau
        "14": "12",
        "47": "47",
    }
    names = policy.block_names(PREFECTURES.assign(block=PREFECTURES["pref_code"].map(blocks)))
    assert names.to_dict() == {
        **{"02": "North", "03": "North (Iwate)", "12": "East", "13": "East (Tokyo)"},
        "47": "South",
    }


def test_of_blocks_of_one_size_the_first_by_code_carries_the_name_of_the_bureau():
    """However the rows stand: the name once went to the block that was read first."""
    table = PREFECTURES.assign(block=["02", "02", "04", "12", "12", "14", "47"])
    pairs = table.assign(bureau="All")
    expected = {
        **{"02": "All", "04": "All (Miyagi)", "12": "All (Chiba)", "14": "All (Kanagawa)"},
        "47": "All (Okinawa)",
    }
    assert policy.block_names(pairs[::-1]).to_dict() == expected


def test_no_block_of_the_study_mixes_prefectures_of_different_projects(real_study):
    covered = real_study.targets.groupby("pref_code")["project_id"].agg(frozenset)
    by_block = real_study.prefectures.set_index("pref_code")["block"]
    assert set(by_block.index) == set(covered.index)
    assert covered.groupby(by_block).nunique().eq(1).all()
    assert real_study.prefectures.groupby("block")["bureau"].nunique().eq(1).all()


@pytest.mark.parametrize("term", [1, 2])
def test_every_block_of_the_study_is_targeted_in_an_industry_wholly_or_not_at_all(real_study, term):
    keys = ["base", "fields_map", "industry", "block"]
    differs = real_study.cells.groupby(keys)[f"is_targeted_{term}"].nunique()
    assert differs[differs > 1].index.tolist() == []
