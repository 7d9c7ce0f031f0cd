import dataclasses

import numpy as np
import pandas as pd
import pytest
from small_results import record, small_study

from clusterpolicy import effects, inference, policy, results
from clusterpolicy.estimation import huber
from clusterpolicy.findings import robustcharts, robustwords
from clusterpolicy.otherdesigns import refits, robustness, spillovers

DRAWS = 99


@pytest.fixture(scope="module")
def study(real_study):
    return small_study(real_study, effect=0.3)


@pytest.fixture(scope="module")
def main():
    return pd.Series(dataclasses.asdict(record(grade=3, input_hash="0" * 12)))


@pytest.fixture(scope="module")
def case(study, main):
    return robustness.open_case(study, main, DRAWS)


@pytest.fixture(scope="module")
def curve(study):
    return robustness.specification_curve(study, 1, DRAWS)


def test_the_curve_crosses_every_choice_and_counts_equal_dates_once(curve):
    """Term 1 has one pair of windows on both clocks; its samples are those that matter by 2005."""
    samples = [name for name, rule in effects.SAMPLES.items() if rule.since_fy <= 2005]
    dated = 2 * 2
    assert len(curve.table) + curve.skipped == dated * (len(samples) + 1) * 2 * 2 + dated
    assert not curve.table.duplicated(list(robustness.CHOICES)).any()


def test_least_squares_is_set_beside_the_plain_specification_alone(curve):
    plain = curve.table[curve.table["estimator"] == robustness.PLAIN]
    assert len(plain) == 2 * 2
    assert set(plain["sample"]) == {effects.MAIN_SAMPLE}
    assert set(plain["weights"]) == {robustness.UNWEIGHTED}
    assert set(plain["baseline"]) == {robustness.WHOLE_BASELINE}


def test_a_specification_is_the_estimate_of_its_own_design(study, curve):
    """Every design that the report estimates is on the curve, with the same number."""
    plain = curve.table[
        (curve.table["weights"] == robustness.UNWEIGHTED)
        & (curve.table["baseline"] == robustness.WHOLE_BASELINE)
    ].set_index(["fields_map", "base", "sample", "estimator"])["estimate"]
    found = 0
    for design in effects.designs_of_term(study, 1):
        sample = effects.cell_sample(study, design)
        if design.term.clock == "funded" and not inference.why_not_estimable(sample):
            key = design.fields_map, design.base, design.sample
            changes = effects.cell_changes(sample)
            targets = sample.cells["is_targeted"].to_numpy(float)
            huber_fit = huber.fit(changes.layout, changes.change[None], targets)
            slow = effects.TripleDifference(sample).estimate
            for estimator, value in (("Huber", huber_fit.slope[0]), ("least squares", slow)):
                if estimator != "Huber" and design.sample != effects.MAIN_SAMPLE:
                    continue
                in_percent = 100 * np.expm1(value)
                assert plain[*key, estimator] == pytest.approx(in_percent, abs=1e-6), key
            found += 1
    assert found > 5


def test_the_joint_test_sees_an_effect_and_no_effect(study, curve, real_study):
    assert robustness.joint_tests(curve)["median of the curve"]["p_value"] == 1 / (DRAWS + 1)
    none = robustness.specification_curve(small_study(real_study), 1, DRAWS)
    tests = robustness.joint_tests(none)
    assert tests["median of the curve"]["p_value"] > 0.05
    assert tests["share of one sign"]["p_value"] > 0.05


def test_the_joint_test_by_hand():
    """Medians 2 against -3, 1 and 2 when reassigned: two of three reach it."""
    table = pd.DataFrame({"estimate": [1.0, 2.0, 3.0]})
    by_draw = np.array([[-4.0, 0, 2], [-3, 1, 2], [-2, 2, 2]])
    joint = robustness.joint_tests(robustness.Curve(table, by_draw, 0))
    assert joint["median of the curve"]["estimate"] == 2
    assert joint["median of the curve"]["p_value"] == (1 + 2) / 4
    assert joint["share of one sign"]["p_value"] == (1 + 2) / 4


def test_variance_is_shared_out_by_choice():
    """Fields move the estimate by 4, bases by 2 and both together by nothing more: 4 to 1."""
    rows = [
        {
            "fields_map": fields,
            "base": base,
            "estimate": 4 * (fields == "narrow") + 2 * (base == "b1"),
        }
        for fields, moved in (("broad", 0), ("narrow", 4))
        for base, other in (("b0", 0), ("b1", 2))
    ]
    table = pd.DataFrame(rows).assign(
        clock="funded", sample="all", weights="no", baseline="all", estimator="Huber"
    )
    shares = robustness.variance_shares(table)
    assert shares["fields_map"] == pytest.approx(0.8)
    assert shares["base"] == pytest.approx(0.2)
    assert shares["combinations"] == pytest.approx(0)
    assert "clock" not in shares


def test_placebo_dates_stay_before_the_term_and_find_nothing(case):
    records = results.to_frame(robustness.placebo_dates(case))
    last = records["term_years"].str[-4:].astype(int)
    assert len(records) > 5
    assert (last < case.design.term.first_year).all()
    found = records[records["status"] == "estimated"]
    assert found["estimate"].abs().max() < 10  # the effect of the term itself is 35 percent


def test_a_trend_shows_up_in_placebo_dates(real_study, main):
    drifting = small_study(real_study, trend=0.05)
    records = results.to_frame(
        robustness.placebo_dates(robustness.open_case(drifting, main, DRAWS))
    )
    found = records[records["status"] == "estimated"]
    assert (found["estimate"] > 5).all()


def test_placebo_industries_lie_around_zero_and_never_hold_a_targeted_cell(case):
    (placebo,) = robustness.placebo_industries(case)
    assert placebo.low < 0 < placebo.high
    assert placebo.n_cells == (case.panel.targets == 0).sum()
    assert placebo.p_value == pytest.approx(1 / (DRAWS + 1))


def test_one_block_left_out_is_the_estimate_without_its_cells(case):
    records = results.to_frame(robustness.leave_one_out(case))
    blocks = records[records["left_out"].str.startswith("block ")].set_index("sample")
    assert blocks["left_out"].tolist() == [f"block {letter}" for letter in "ABCDEF"]
    kept = case.panel.keep((case.panel.cells["block"] != "A").to_numpy())
    changes = refits.changes_of(kept)
    fit = huber.fit(changes.layout, changes.change[None], kept.targets)
    estimate = 100 * np.expm1(fit.slope[0])
    assert blocks.loc["without A", "estimate"] == pytest.approx(estimate)
    assert blocks.loc["without A", "n_cells"] == len(kept.cells)


def test_a_project_left_out_takes_its_cells_with_it(real_study, main):
    """On the real figures: what is left plus what the project targeted is the whole sample."""
    case = robustness.open_case(real_study, main, DRAWS)
    records = results.to_frame(robustness.leave_one_out(case))
    projects = records[records["left_out"].str.startswith("project ")].set_index("sample")
    cells = real_study.cells.query("base == 'b2000' and fields_map == 'broad'")
    of_project = cells["projects_1"].str.split(";").map(lambda ids: "kyushu-silicon-t1" in ids)
    left = projects.loc["without Kyushu Silicon Cluster Plan"]
    assert len(case.panel.cells) - left["n_cells"] == of_project.sum()
    assert left["left_out"] == "project kyushu-silicon-t1"
    unknown = policy.unknown_starts(real_study.projects)  # they target nothing here
    assert len(projects) == len(real_study.projects_of_term(1)) - len(unknown)
    assert set(records["outcome"]) == {"product"}


def test_checks_earn_no_better_grade_than_the_main_estimate(study, main):
    lower = {**main, "grade": 2}
    records = robustness.placebo_dates(robustness.open_case(study, lower, DRAWS))
    assert {each.grade for each in records if each.status == "estimated"} == {2}


def test_too_few_cells_are_refused(case):
    few = case.panel.keep(case.panel.cells["industry"].isin(["food", "steel"]).to_numpy())
    refused = case.refit_record(few, "few", robustness.LEFT_OUT)
    assert refused.status == "not estimable"
    assert "are needed" in refused.reason
    assert np.isnan(refused.estimate)


def test_sentence_chart_and_record_say_the_same(case, curve, main):
    checks = results.to_frame(robustness.curve_records(case, curve))
    sentence = robustwords.curve_sentence(checks)
    assert f"Over {len(curve.table)} specifications" in sentence
    chart = robustcharts.plot_specification_curve(checks, main)
    assert len(chart.data) == len(curve.table)
    assert list(chart.data["estimate"]) == sorted(curve.table["estimate"].round(1))
    assert f"{len(curve.table)} specifications" in chart.alt
    with pytest.raises(ValueError, match="without rows"):
        robustcharts.plot_specification_curve(checks[checks["design"] == "none"], main)


def test_the_records_of_a_curve_keep_their_choices(case, curve):
    table = robustness.curve_table(results.to_frame(robustness.curve_records(case, curve)))
    columns = list(robustness.CHOICES)
    expected = curve.table.sort_values("estimate", ignore_index=True)[columns]
    assert {*map(tuple, table[columns].to_numpy())} == {*map(tuple, expected.to_numpy())}


def test_shared_draws_are_the_same_whatever_else_is_refitted(study, case):
    alone = refits.refit(case.panel, refits.SharedDraws(study.cells["block"], DRAWS))
    assert alone.by_draw == pytest.approx(case.main.by_draw, nan_ok=True)
    other = refits.SharedDraws(study.cells["block"], DRAWS, seed=1)
    assert not np.allclose(refits.refit(case.panel, other).by_draw, alone.by_draw)


def test_weights_change_the_estimate_only_where_sizes_differ(case):
    same = dataclasses.replace(case.panel, weights=np.full(len(case.panel.cells), 7.0))
    plain = refits.contrast_of(case.panel).estimate(case.panel.targets)
    assert refits.contrast_of(same).estimate(same.targets) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("placebo_p", "held", "parts"),
    [
        (0.2, 3.0, ()),
        (0.03, 3.0, ("finds an effect where nothing began: with the term begun in FY1998",)),
        (0.2, 0.3, ("With size and earlier growth held fixed, +0.3 percent",)),
        (0.01, -2.0, ("where nothing began", "held fixed, −2.0 percent")),
    ],
)
def test_the_strongest_doubt_is_what_a_check_finds_against_the_estimate(
    main, placebo_p, held, parts
):
    common = {"low": -9.0, "high": 9.0, "status": "estimated", "unit": "percent", "level": 0.95}
    checks = pd.DataFrame(
        [
            common
            | {
                "design": robustness.PLACEBO_DATE,
                "sample": "term begun in FY1998",
                "outcome": "product",
            }
            | {"estimate": 7.0, "p_value": placebo_p},
            common
            | {"design": spillovers.SELECTION, "sample": spillovers.ALL_HELD, "outcome": "product"}
            | {"estimate": held, "p_value": 0.5},
        ]
    )
    doubt = robustwords.doubt_sentence(checks, {**main, "estimate": 2.0})
    assert all(part in doubt for part in parts)
    assert bool(doubt) == bool(parts)
