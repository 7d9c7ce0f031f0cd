"""Other programs and a published table: what is compared, and how the methods page says it."""

import numpy as np
import pandas as pd
import pytest
from small_panels import random_sample

from clusterpolicy import effects
from clusterpolicy.findings import methodcharts, methodwords
from clusterpolicy.findings.answers import AGREEMENT
from clusterpolicy.methodtrials import agreement, trendtrials, trials
from clusterpolicy.results import to_frame


def test_every_printed_digit_of_the_published_example_comes_out():
    example = agreement.published_example()
    assert list(example["quantity"]) == list(agreement.PUBLISHED_RESULTS)
    assert example["is_same"].all()
    third = example.set_index("quantity").loc["triple difference"]
    assert f"{third['ours']:.3f} ({third['our_error']:.3f})" == "-0.054 (0.026)"


def test_a_digit_that_differs_is_told(monkeypatch):
    printed = agreement.PUBLISHED_RESULTS | {"triple difference": (-0.055, 0.026)}
    monkeypatch.setattr(agreement, "PUBLISHED_RESULTS", printed)
    example = agreement.published_example()
    assert list(example.loc[~example["is_same"], "quantity"]) == ["triple difference"]
    assert methodwords.published_sentence(example).startswith("6 of 7 results")


def test_other_programs_find_the_same_numbers_where_cells_are_hidden():
    sample = random_sample(np.random.default_rng(8), n_blocks=5, missing=0.03)
    pairs = list(agreement._pairs(sample))
    assert {program for _, program, _, _ in pairs} == {"pyfixest", "diff-diff", "linearmodels"}
    for quantity, program, ours, theirs in pairs:
        assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-12), (quantity, program)
    # They are different numbers, not one compared with itself.
    assert len({round(float(np.atleast_1d(ours)[0]), 6) for _, _, ours, _ in pairs}) >= 5
    assert pairs[0][2] == pytest.approx(effects.TripleDifference(sample).estimate)


def test_an_estimate_of_ours_that_moves_by_a_millionth_is_seen(monkeypatch):
    class Moved(effects.TripleDifference):
        def __init__(self, sample):
            super().__init__(sample)
            self.estimate += 1e-6

    monkeypatch.setattr(effects, "TripleDifference", Moved)
    pairs = agreement._pairs(random_sample(np.random.default_rng(8), n_blocks=5, missing=0.03))
    apart = {
        (quantity, program)
        for quantity, program, ours, theirs in pairs
        if np.abs(np.subtract(ours, theirs)).max() > AGREEMENT
    }
    assert apart == {("triple difference", "pyfixest"), ("triple difference", "linearmodels")}


def programs_with(difference):
    row = {"term": 2, "quantity": "triple difference", "program": "pyfixest", "ours": 0.1}
    return pd.DataFrame([row | {"theirs": 0.1 + difference, "difference": difference}])


def test_programs_that_differ_are_named():
    assert "pyfixest give the same 1 numbers" in methodwords.agreement_sentence(programs_with(0.0))
    said = methodwords.agreement_sentence(programs_with(1e-6))
    assert "pyfixest differs by 0.00000100 in triple difference of term 2" in said


@pytest.fixture(scope="module")
def tried():
    """Records with shares set by hand: this study rejects in 5 percent, every other in 20."""
    found = []
    for scenario in trials.SCENARIOS:
        for term in scenario.terms:
            for way in trials.METHODS:
                for measure, value in (("rejection", 5.0), ("coverage", 95.0), ("power", 40.0)):
                    if way != "permutation" and measure == "rejection":
                        value = 20.0
                    effect = 5.0 if measure == "power" else 0.0
                    found.append(record(term, scenario, way, measure, value, effect))
            found.append(record(term, scenario, "permutation", "power-at-detectable", 70, 7.5))
    return to_frame(found)


def record(term, scenario, way, measure, value, effect):
    fixed = dict.fromkeys(("outcome", "outcome_label", "design", "role", "base", "clock"), "-")
    fixed |= {"fields_map": "broad", "sample": scenario.label, "method": trials.METHODS[way]}
    return trials.Trial(
        result_id=f"{term}-{scenario.name}-{way}-{measure}",
        term=term,
        estimate=value,
        low=value - 1,
        high=value + 1,
        std_error=0.5,
        scenario=scenario.name,
        way=way,
        measure=measure,
        effect=effect,
        n_panels=1000,
        **fixed,
    )


def trends_with(warning):
    scenario = trials.SCENARIOS[-1]
    rows = []
    for effect in (0.0, 100 * trials.DRIFT):
        for measure, value in (("warning", warning), ("off", 5 * effect), ("off-unwarned", 4.0)):
            rows.append(record(1, scenario, "permutation", measure, value, effect))
    rows.append(record(1, scenario, "permutation", "band", 5.5, 0.0))
    return to_frame(rows)


def test_the_answer_says_what_fails_first_and_counts_what_holds(tried):
    lines = methodwords.answer_methods(tried, trends_with(14.2), programs_with(0.0))
    assert len(lines) == 5
    assert "off by +5.0 percent" in lines[0]
    assert "gives warning in 14.2 percent" in lines[0]
    n_nulls = sum(len(s.terms) for s in trials.SCENARIOS if s.name in methodwords.NULLS)
    assert f"too rarely in none and more often than promised in none of {n_nulls}" in lines[2]
    assert "standard error by block 20.0 to 20.0" in lines[3]


def test_an_interval_that_fails_is_not_counted_as_holding(tried):
    worse = tried.copy()
    is_one = (worse["scenario"] == "alike") & (worse["measure"] == "coverage")
    worse.loc[is_one & (worse["way"] == "permutation"), ["estimate", "low", "high"]] = 90, 88, 92
    line = methodwords.answer_methods(worse, trends_with(14.2), programs_with(0.0))[2]
    assert "least in term 1, cells alike within blocks" in line
    assert line.startswith("Its 95 % interval holds the true effect in 90.0 to 95.0 percent")
    assert "too rarely in 1 and more often than promised in none" in line


def test_charts_tell_in_words_what_they_draw(tried):
    chart = methodcharts.plot_shares(tried, "rejection", "Rejections, percent")
    n_rows = sum(len(scenario.terms) for scenario in trials.SCENARIOS)
    assert f"this study 5.0 to 5.0, as promised in {n_rows} of {n_rows} scenarios" in chart.alt
    assert f"by block 20.0 to 20.0, as promised in 0 of {n_rows} scenarios" in chart.alt
    tiles = [patch.get_gid() for patch in chart.figure.axes[0].patches if patch.get_gid()]
    shares = chart.data.eval("low <= 5 <= high")
    assert tiles.count("holds") == shares.sum()
    assert tiles.count("fails") == (~shares).sum() > 0
    marks = [text.get_text() for text in chart.figure.axes[0].texts]
    assert marks.count("✓") == shares.sum()
    assert marks.count("▲") == (chart.data["low"] > 5).sum() > 0
    trend = methodcharts.plot_trends(trends_with(14.2))
    assert "the bias is +5.0 percent, +4.0 where the test gives no warning" in trend.alt


def test_the_table_of_trials_has_a_row_for_every_method_and_scenario(tried):
    data = methodwords.trial_rows(tried)["data"]
    n_rows = sum(len(scenario.terms) for scenario in trials.SCENARIOS) * len(trials.METHODS)
    assert len(data) == n_rows
    assert set(data.loc[data["way"] == "by block", "rejection"]) == {20.0}


def test_trends_that_are_tried_include_none_and_the_one_of_the_answer():
    assert 0.0 in trendtrials.DRIFTS
    assert trials.DRIFT in trendtrials.DRIFTS


def test_power_is_said_not_to_be_adjusted_for_size(tried):
    said = methodwords.power_sentence(tried)
    n_nulls = sum(len(s.terms) for s in trials.SCENARIOS if s.name in methodwords.NULLS)
    assert said.startswith("Power is not adjusted for size")
    assert f"this study 0 of {n_nulls}" in said
    assert f"by block {n_nulls} of {n_nulls}" in said


def test_the_published_example_checks_arithmetic_not_the_test():
    said = methodwords.published_sentence(agreement.published_example())
    assert "checks the arithmetic" in said
    assert "reassignment" in said
    assert "last digit" not in said
