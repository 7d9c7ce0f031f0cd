"""Staggered estimators: by hand, against diff-diff, and refused where a cohort is too thin."""

import numpy as np
import pandas as pd
import pytest

from clusterpolicy import staggered
from clusterpolicy.effects import CELL

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
    assert len(found) == 4  # two estimators, two clocks, the narrow reading
    assert found["role"].eq("check").all()
    assert found["grade"].eq(2).all()
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
