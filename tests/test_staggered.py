"""Staggered estimators: by hand, against other programs, and refused where a cohort is thin."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clusterpolicy.effects import CELL
from clusterpolicy.otherdesigns import staggered

# Two prefectures, two industries, twice; the last two cells are targeted.
PREFECTURE = np.array([1, 1, 2, 2, 1, 2])
INDUSTRY = np.array([1, 2, 1, 2, 1, 2])
DUMMIES = np.column_stack([PREFECTURE == 1, PREFECTURE == 2, INDUSTRY == 1, INDUSTRY == 2]).astype(
    float
)
TARGETED = np.array([False, False, False, False, True, True])


def test_targeted_cells_are_set_against_the_paths_of_cells_never_targeted():
    # Prefectures move by 1 and 3, industries by 0 and 10; targeted cells gain 5 and 7 on top.
    changes = np.array([1, 11, 3, 13, 1 + 5, 13 + 7], dtype=float)[:, None]
    assert staggered.mean_effects(changes, TARGETED, DUMMIES) == pytest.approx([6.0])


def test_a_targeted_cell_alone_in_its_industry_is_left_out():
    industry = np.array([1, 1, 1, 1, 1, 2])
    dummies = np.column_stack([DUMMIES[:, :2], industry == 1, industry == 2]).astype(float)
    changes = np.array([1, 1, 3, 3, 1 + 5, 99], dtype=float)[:, None]
    assert list(staggered.imputable(TARGETED, dummies)) == [False] * 4 + [True, False]
    assert staggered.mean_effects(changes, TARGETED, dummies) == pytest.approx([5.0])


def test_where_nothing_can_be_imputed_there_is_no_number():
    dummies = np.column_stack([~TARGETED, TARGETED]).astype(float)
    assert np.isnan(staggered.mean_effects(np.ones((6, 2)), TARGETED, dummies)).all()


@pytest.mark.parametrize(
    ("estimator", "model"),
    [
        ("Callaway-Sant'Anna", "CallawaySantAnna"),
        ("imputation", "ImputationDiD"),
    ],
)
def test_diff_diff_gives_the_same_number(real_study, estimator, model):
    """From the same cells, once the paths of prefectures and industries are out of them."""
    diff_diff = pytest.importorskip("diff_diff")
    cohorts = staggered.first_targeted(real_study, "broad")
    cells = staggered.changes_of_cells(real_study, cohorts, 2001, 2005)
    dummies = np.hstack([pd.get_dummies(cells[each]) for each in CELL]).astype(float)
    is_targeted = cells["is_targeted"].to_numpy()
    ours = staggered.mean_effects(cells[[estimator]].to_numpy(), is_targeted, dummies)[0]

    kept = ~is_targeted | staggered.imputable(is_targeted, dummies)
    panel = real_study.cell_panel[
        (real_study.cell_panel["base"] == "b2000") & (real_study.cell_panel["fy"] <= 2005)
    ]
    wide = np.log(
        panel[panel["product_million_yen"] > 0].pivot(
            index=CELL, columns="fy", values="product_million_yen"
        )
    )
    wide = wide.loc[pd.MultiIndex.from_frame(cells[CELL])]
    fitted = np.linalg.lstsq(dummies[~is_targeted], wide[~is_targeted].to_numpy(), rcond=None)[0]
    adjusted = (wide - dummies @ fitted)[kept].reset_index(drop=True)
    long = adjusted.rename_axis("cell").stack().rename("outcome").reset_index()
    long["first"] = np.where(is_targeted[kept], 2001, 0)[long["cell"]]
    theirs = getattr(diff_diff, model)().fit(
        long, outcome="outcome", unit="cell", time="fy", first_treat="first"
    )
    assert ours == pytest.approx(theirs.overall_att, abs=1e-8)


# ---- On a published example -------------------------------------------------------------------

# mpdta: log teen employment of 500 counties of the USA, 2003 to 2007, whose states raised their
# minimum wage in 2004, 2006, 2007 or never; the example of did, the R package of Callaway and
# Sant'Anna (2021). The file is not ours to carry; the wheel of moderndid 0.2.0 holds it.
MPDTA = "3d39793685a00cef5a7ee6e5f11ddaee02099f7107a99fa8e1c335416cf49023"
# Printed by did, no covariates, never treated for comparison: README.md of bcallaway11/did.
DID_EFFECTS = {
    (2004, 2004): "-0.0105",
    (2004, 2005): "-0.0704",
    (2004, 2006): "-0.1373",
    (2004, 2007): "-0.1008",
    (2006, 2006): "-0.0046",
    (2006, 2007): "-0.0412",
    (2007, 2007): "-0.0261",
}
DID_BY_COHORT = {2004: "-0.0797", 2006: "-0.0229", 2007: "-0.0261", "all": "-0.0310"}
DID_BY_EVENT_TIME = {0: "-0.0199", 1: "-0.0510", 2: "-0.1373", 3: "-0.1008", "all": "-0.0772"}
# The mean over all treated county-years by did 2.3.0, with more digits than did prints: kept in
# tests/reference_parity/test_aggte_mpdta_parity.py of brycewang-stanford/StatsPAI.
DID_SIMPLE = "-0.0399512752"
# A program of other authors, jwdid of Stata: benchmarks/data/etwfe_cs_stata_golden.json of
# igerber/diff-diff. Compared with the never treated it estimates what did does; with those not
# yet treated as well, what the imputation estimator does.
JWDID_NEVER = {
    (2004, 2004): -0.01050324622095701,
    (2004, 2005): -0.070423158103148337,
    (2004, 2006): -0.13725873888941312,
    (2004, 2007): -0.100811363085407,
    (2006, 2006): -0.0045946069528630213,
    (2006, 2007): -0.041224471546218548,
    (2007, 2007): -0.026054410719196439,
}
JWDID_NOT_YET = {
    (2004, 2004): -0.019372363675909551,
    (2004, 2005): -0.078319099062053255,
    (2004, 2006): -0.13607811444031598,
    (2004, 2007): -0.10470747157659592,
    (2006, 2006): 0.0025138619419130628,
    (2006, 2007): -0.039192735591725474,
    (2007, 2007): -0.043106032808698021,
}
# Their mean over all treated county-years by etwfe 0.6.2 of R, kept as R_ETWFE_NOTYET among the
# same tests of StatsPAI; did_imputation of Stata, in test_bjs_fe_covariates_parity.py there,
# agrees to six decimals, the limit of its iteration.
IMPUTED = "-0.0477099183"


@pytest.fixture(scope="module")
def counties():
    """Log employment by county and year, and the year in which each county was first treated."""
    named = os.environ.get("MPDTA_PATH")
    if not named:
        pytest.skip("no mpdta: name the mpdta_long.pkl.gz of moderndid 0.2.0 in MPDTA_PATH")
    packed = Path(named).read_bytes()
    # Opening a pickle runs what it holds: only the file that was looked at is opened.
    assert hashlib.sha256(packed).hexdigest() == MPDTA, f"MPDTA_PATH={named}: another file"
    rows = pd.read_pickle(io.BytesIO(packed), compression="gzip")
    paths = rows.pivot(index="countyreal", columns="year", values="lemp")
    return paths, rows.groupby("countyreal")["first.treat"].first()


def effect_of(counties, cohort, year, estimator):
    """Effect on a cohort in one year, by the functions that the reports call."""
    paths, first = counties
    years = [each for each in paths if each < cohort or each == year]
    paths = paths.loc[first.isin((cohort, staggered.NEVER)), years]
    changes = staggered.changes_since(paths, cohort)[[estimator]].to_numpy()
    is_treated = (first[paths.index] == cohort).to_numpy()
    same_path = np.ones((len(paths), 1))  # no covariates: all counties would have moved alike
    return staggered.mean_effects(changes, is_treated, same_path)[0]


@pytest.fixture(scope="module")
def effects_of_did(counties):
    """Effects by cohort and year as ``DID_EFFECTS``, and the number of counties they stand for."""
    sizes = counties[1].value_counts()
    effects = {each: effect_of(counties, *each, "Callaway-Sant'Anna") for each in DID_EFFECTS}
    return pd.DataFrame(
        [(*each, effect, sizes[each[0]]) for each, effect in effects.items()],
        columns=["cohort", "year", "effect", "n"],
    )


def mean_by_county(effects):
    return np.average(effects["effect"], weights=effects["n"])


def test_the_effects_that_did_prints_come_out_digit_for_digit(effects_of_did):
    assert [f"{each:.4f}" for each in effects_of_did["effect"]] == list(DID_EFFECTS.values())
    assert f"{mean_by_county(effects_of_did):.10f}" == DID_SIMPLE


def test_the_effects_that_did_prints_by_event_time_come_out(effects_of_did):
    event_time = effects_of_did["year"] - effects_of_did["cohort"]
    found = {time: mean_by_county(each) for time, each in effects_of_did.groupby(event_time)}
    found["all"] = np.mean(list(found.values()))
    assert {time: f"{each:.4f}" for time, each in found.items()} == DID_BY_EVENT_TIME


def test_the_effects_that_did_prints_by_cohort_come_out(counties, effects_of_did):
    # The change over all years of a cohort at once, as the reports measure it.
    paths, first = counties
    found = {}
    for cohort in (2004, 2006, 2007):
        chosen = first.isin((cohort, staggered.NEVER)).to_numpy()
        changes = staggered.changes_since(paths[chosen], cohort)[["Callaway-Sant'Anna"]].to_numpy()
        is_treated = (first[chosen] == cohort).to_numpy()
        found[cohort] = staggered.mean_effects(changes, is_treated, np.ones((len(changes), 1)))[0]
    sizes = effects_of_did.groupby("cohort")["n"].first()
    found["all"] = np.average(list(found.values()), weights=sizes)
    assert {cohort: f"{each:.4f}" for cohort, each in found.items()} == DID_BY_COHORT


def test_a_program_of_other_authors_finds_the_same_effects(effects_of_did):
    found = effects_of_did.set_index(["cohort", "year"])["effect"].to_dict()
    assert found == pytest.approx(JWDID_NEVER, abs=1e-12)


def test_imputed_effects_of_counties_are_the_published_ones(counties):
    """Each county-year is a row; paths of counties and years are what the untreated rows show."""
    paths, first = counties
    rows = paths.stack().rename("outcome").reset_index().join(first.rename("first"), "countyreal")
    is_treated = ((rows["first"] > 0) & (rows["year"] >= rows["first"])).to_numpy()
    dummies = np.hstack([pd.get_dummies(rows[each]) for each in ("countyreal", "year")])
    dummies, outcome = dummies.astype(float), rows[["outcome"]].to_numpy()
    found = staggered.mean_effects(outcome, is_treated, dummies)[0]
    assert f"{found:.10f}" == IMPUTED
    for (cohort, year), published in JWDID_NOT_YET.items():
        is_one = is_treated & ((rows["first"] == cohort) & (rows["year"] == year)).to_numpy()
        kept = is_one | ~is_treated
        found = staggered.mean_effects(outcome[kept], is_one[kept], dummies[kept])[0]
        assert found == pytest.approx(published, abs=1e-12)


def test_only_the_last_cohort_is_imputed_without_those_not_yet_treated(counties):
    # The reports compare with the never treated alone, so only here are the equations the same.
    found = {each: effect_of(counties, *each, "imputation") for each in JWDID_NOT_YET}
    same = {each for each in found if abs(found[each] - JWDID_NOT_YET[each]) < 1e-12}
    assert same == {(2007, 2007)}


# ---- On the study's own figures ---------------------------------------------------------------


@pytest.fixture(scope="module")
def second_term(real_study):
    return staggered.estimate_staggered(real_study, 2, draws=99)


def test_cohorts_are_those_of_the_register(real_study):
    cohorts = staggered.first_targeted(real_study, "broad").set_index(CELL)["cohort"]
    assert set(cohorts) == {staggered.NEVER, 2001, 2006, 2007}
    late = cohorts[cohorts == 2007].reset_index()
    assert set(late["pref_code"]) == {"40", "41", "42", "43", "44", "45", "46"}


def test_a_thin_cohort_prints_its_counts_and_no_number(second_term):
    late = second_term[second_term["sample"] == "first targeted in FY2007"]
    assert late["status"].eq("not estimable").all()
    assert late["reason"].eq("2 blocks x industries of the cohort where 4 are needed").all()
    assert late[["estimate", "low", "high", "p_value"]].isna().all(axis=None)


def test_what_is_estimated_is_a_check_of_grade_two(second_term):
    found = second_term[second_term["status"] == "estimated"]
    assert len(found) == 8  # two estimators, two clocks, two readings
    assert found["role"].eq("check").all()
    assert found["grade"].eq(2).all()
    assert found["smallest_p"].eq(1 / 100).all()  # 99 draws and far more assignments
    assert (found["low"] < found["estimate"]).all()
    assert second_term["result_id"].is_unique


def test_the_estimated_effect_is_out_of_what_chance_is_drawn_from(real_study):
    cohorts = staggered.first_targeted(real_study, "narrow")
    cells = staggered.changes_of_cells(real_study, cohorts, 2006, 2009)
    names = list(staggered.ESTIMATORS)
    moved = cells.assign(**{each: cells[each] + 10.0 * cells["is_targeted"] for each in names})
    dummies = np.hstack([pd.get_dummies(cells[each]) for each in CELL]).astype(float)
    chances = []
    for each in (cells, moved):
        estimate = staggered.mean_effects(
            each[names].to_numpy(), each["is_targeted"].to_numpy(), dummies
        )
        chances.append(staggered.chance_of(each, dummies, estimate, draws=9))
    assert chances[0] == pytest.approx(chances[1])
