"""No single plant makes the answer, and the cells it hangs on are named before any estimate."""

import dataclasses

import numpy as np
import pytest

from clusterpolicy import effects, evidence, policy, results
from clusterpolicy.findings import answers

DRAWS = 99
# Base of the main estimate and first year of each term on the funded clock.
FIRST = {1: ("b2000", 2001), 2: ("b2005", 2006), 3: ("b2005", 2010)}
ROKKASHO = (
    "Aomori, non-ferrous metals (FY2006: the nuclear fuel reprocessing plant at Rokkasho began its "
    "trial run)"
)


def with_figures(study, pref_code, industry, years, change):
    """Return the study with the product of one cell changed in some years, in every base."""
    panel = study.cell_panel.copy()
    is_cell = (panel["pref_code"] == pref_code) & (panel["industry"] == industry)
    is_it = is_cell & panel["fy"].between(*years)
    assert is_it.any()
    panel.loc[is_it, "product_million_yen"] = change(panel, is_cell, is_it)
    return dataclasses.replace(study, cell_panel=panel)


def without_rokkasho(study):
    """Put the metals of Aomori back to their level of FY2005 in FY2006-09, in every base."""

    def level(panel, is_cell, is_it):
        before = panel[is_cell & (panel["fy"] == 2005)].set_index("base")["product_million_yen"]
        return panel.loc[is_it, "base"].map(before)

    for industry in ("nonferrous_metals", "primary_metals"):  # as the later and older bases say
        study = with_figures(study, "02", industry, (2006, 2009), level)
    return study


def tenfold(study, number, pref_code, industry):
    """Let a plant open in a cell in the first year of a term."""
    years = FIRST[number][1], 2030

    def times_ten(panel, is_cell, is_it):
        return 10 * panel.loc[is_it, "product_million_yen"]

    return with_figures(study, pref_code, industry, years, times_ten)


def records_of(study, number, fields_map="broad", base=None):
    """Return the records of one triple difference over all cells."""
    designs = effects.designs_of_term(study, number)
    base = FIRST[number][0] if base is None else base
    design = next(
        each
        for each in designs
        if (each.term.clock, each.fields_map, each.base) == ("funded", fields_map, base)
        and each.sample == effects.MAIN_SAMPLE
    )
    sample = effects.cell_sample(study, design)
    common = results.common_fields(sample, study, "")
    return results.to_frame(results.estimate_sample(sample, common, study, DRAWS))


def main_of(study, number):
    return results.main_estimate(records_of(study, number), number, "funded", "broad")


@pytest.fixture(scope="module")
def second(real_study):
    """Both readings of the second term."""
    broad, narrow = (records_of(real_study, 2, reading) for reading in policy.FIELDS_MAPS)
    return results.together(broad, narrow)


# ---- A plant that opens -------------------------------------------------------------------------

# Small and large cells of several industries; one a term is tried in every run.
PLANTED = {
    1: ("26 electrical_machinery", "36 electrical_machinery", "27 fabricated_metals"),
    2: ("42 food", "04 nonferrous_metals", "35 food"),
    3: ("21 precision_machinery", "19 transport_equipment", "22 transport_equipment"),
}
CASES = [
    pytest.param(number, *cell.split(), marks=[pytest.mark.slow] if position else [])
    for number, cells in PLANTED.items()
    for position, cell in enumerate(cells)
]


@pytest.mark.parametrize(("number", "pref_code", "industry"), CASES)
def test_a_plant_that_opens_in_any_targeted_cell_is_named(real_study, number, pref_code, industry):
    study = tenfold(real_study, number, pref_code, industry)
    records = records_of(study, number)
    row = results.main_estimate(records, number, "funded", "broad")
    prefecture = study.prefectures.set_index("pref_code").at[pref_code, "name_en"]
    names = study.industries[study.industries["base"] == row["base"]]
    name = names.set_index("industry").at[industry, "name_en"].lower()
    said = answers.hinges(study, records, row)
    own = [each for each in said if each.startswith(f"{prefecture}, {name}")]
    assert len(own) == 1
    assert "without it" in own[0]
    assert "far from all other cells" in own[0]


def test_the_plant_is_said_before_the_estimate(real_study, second):
    term = policy.choose_term(real_study.terms, 2, "funded")
    none = evidence.phrase_matrix(real_study, second, "funded", "broad").iloc[:0]
    first, *_ = answers.answer_term(real_study, second, none, term, "broad", "")
    assert first.startswith(f"{ROKKASHO} stands far from all other cells")
    assert 0 < first.index("Rokkasho") < first.index("No effect can be shown")
    name = answers.name_of_cell(real_study, "b2005", "02 nonferrous_metals", (2001, 2009))
    assert name == ROKKASHO
    before = answers.name_of_cell(real_study, "b2005", "02 nonferrous_metals", (1996, 2005))
    assert before == "Aomori, non-ferrous metals"


def test_where_no_cell_carries_the_estimate_none_is_named(second, real_study):
    row = results.main_estimate(second, 2, "funded", "broad").copy()
    row["without_estimate"] = row["estimate"] + 0.49 * row["std_error"]
    none = second[second["design"] != "leave one cell out"]
    assert answers.hinges(real_study, none, row) == []
    row["without_estimate"] = row["estimate"] - 0.51 * row["std_error"]
    (said,) = answers.hinges(real_study, none, row)
    assert said.startswith("No single cell moves the estimate more than ")


def test_cells_of_another_outcome_reading_or_base_are_not_named(real_study, second):
    row = results.main_estimate(second, 2, "funded", "broad")
    far = second[second["design"] == "leave one cell out"]
    of_main = answers.hinges(real_study, second, row)
    for column, value in (("outcome", "employees"), ("clock", "planned"), ("base", "b2000")):
        more = far.assign(left_out="cell 13 food", **{column: value})
        assert answers.hinges(real_study, results.together(second, more), row) == of_main


# ---- The plant taken away -----------------------------------------------------------------------


def branch(row):
    return evidence.judge_record(row, 5.0, evidence.judge_gain), row["low"] <= 0 <= row["high"]


def test_without_the_plant_the_answer_of_the_second_term_is_the_same(real_study, second):
    with_it = results.main_estimate(second, 2, "funded", "broad")
    changed = without_rokkasho(real_study)
    records = records_of(changed, 2)
    without = results.main_estimate(records, 2, "funded", "broad")
    for row in (with_it, without):
        assert answers.effect_sentence(row).startswith("No effect can be shown: ")
        assert branch(row) == (evidence.CANNOT_JUDGE, True)
    moved = abs(with_it["estimate"] - without["estimate"])
    assert moved < min(with_it["std_error"], without["std_error"])
    assert with_it["least_squares"] - without["least_squares"] > 10
    assert "Rokkasho" not in " ".join(answers.hinges(changed, records, without))


@pytest.mark.slow
def test_without_the_plant_every_phrase_has_the_same_verdict(real_study):
    changed = without_rokkasho(real_study)
    """Of terms 1 and 2; in term 3 a plant missing until FY2009 would be one that opens then."""
    untouched = [records_of(real_study, 1, reading) for reading in policy.FIELDS_MAPS]
    untouched.append(records_of(real_study, 1, base="b1995"))
    verdicts = []
    for study in (real_study, changed):
        own = [
            *(records_of(study, 2, reading) for reading in policy.FIELDS_MAPS),
            records_of(study, 2, base="b2000"),
        ]
        found = evidence.phrase_matrix(study, results.together(*untouched, *own), "funded", "broad")
        achieved = found[found["list"] == evidence.ACHIEVED]
        verdicts.append(achieved.set_index("phrase_id")["verdict"].to_dict())
    assert verdicts[0]
    assert verdicts[0] == verdicts[1]
    assert evidence.CANNOT_JUDGE in verdicts[0].values()


# ---- A project that begins late -----------------------------------------------------------------


def test_cells_of_kyushu_bio_count_from_the_year_their_project_began(real_study):
    """Its project ran from FY2007; the term began in FY2006."""
    begun = real_study.projects.set_index("project_id").at["kyushu-bio-t2", "first_fy"]
    assert int(begun) == 2007
    design = effects.main_design(real_study, 2, "funded", "broad")
    rows = effects.cell_sample(real_study, design).rows
    cells = real_study.cells.query("base == 'b2005' and fields_map == 'broad'")
    own = cells[cells["projects_2"] == "kyushu-bio-t2"]
    both = rows[rows["is_targeted"]].merge(own[effects.CELL], on=effects.CELL)
    assert both["pref_code"].nunique() == 7
    in_term = both.loc[both["in_term"], "fy"]
    assert sorted(in_term.unique()) == [2007, 2008, 2009]
    others = rows[rows["in_term"] & ~rows["is_targeted"]]
    assert np.isin(2006, others["fy"])
