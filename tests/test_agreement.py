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


BASES = {1: ("b2000",), 2: ("b2005", "b2000"), 3: ("b2005",)}


@pytest.fixture(scope="module")
def tried():
    """Records with shares set by hand: this study rejects in 5 percent, every other in 20."""
    found = []
    for scenario in trials.SCENARIOS:
        for term in scenario.terms:
            for base in BASES[term][: 1 + scenario.on_few_units]:
                where = term, base, scenario
                for way in trials.WAYS:
                    rejects = 5.0 if way == "declared" else 20.0
                    found.append(record(*where, way, "rejection", rejects))
                for way in ("declared", "first"):
                    found.append(record(*where, way, "bias", 0.3 if way == "declared" else 4.0))
                    if scenario.has_power:
                        found.append(record(*where, way, "smallest-at-size", 8.0))
                    if scenario.meets_printed:
                        found.append(record(*where, way, "power", 70.0, 7.5))
                        found.append(record(*where, way, "power-at-size", 65.0, 7.5))
                if scenario.meets_printed:
                    found.append(record(*where, "declared", "detectable", 7.5))
    return to_frame(found)


def record(term, base, scenario, way, measure, value, effect=0.0):
    fixed = dict.fromkeys(("outcome", "outcome_label", "design", "role", "clock"), "-")
    fixed |= {"fields_map": "broad", "sample": scenario.label, "method": way, "base": base}
    return trials.Trial(
        result_id=f"{term}-{base}-{scenario.name}-{way}-{measure}-{effect}",
        term=term,
        estimate=value,
        low=value - 1,
        high=value + 1,
        std_error=0.5,
        n_units=5 if (term, base) == (2, "b2000") else 6,
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
            rows.append(record(1, "b2000", scenario, "event-study", measure, value, effect))
    rows.append(record(1, "b2000", scenario, "event-study", "band", 5.5))
    return to_frame(rows)


def test_the_answer_says_what_fails_first_and_counts_what_holds(tried):
    lines = methodwords.answer_methods(tried, trends_with(14.2), programs_with(0.0))
    assert len(lines) == 5
    assert "rejects in 5.0, 5.0 and 5.0 percent of panels (terms 1, 2 and 3)" in lines[0]
    assert "gives warning in 14.2 percent" in lines[0]
    assert "5.0 to 5.0 percent" in lines[1]
    assert lines[1].endswith("6 targeted units or more: none.")
    assert "20.0 to 20.0 percent" in lines[2]


def test_a_trial_in_which_the_test_fails_is_counted(tried):
    worse = tried.copy()
    is_one = (worse["scenario"] == "alike") & (worse["measure"] == "rejection")
    is_one &= (worse["way"] == "declared") & (worse["term"] == 1)
    worse.loc[is_one, ["estimate", "low", "high"]] = 9.0, 8.0, 10.0
    line = methodwords.answer_methods(worse, trends_with(14.2), programs_with(0.0))[1]
    assert "5.0 to 9.0 percent of panels: most in term 1 (b2000), cells alike" in line
    assert line.endswith("6 targeted units or more: 1.")


def test_what_no_test_holds_is_not_counted_as_a_null(tried):
    samples = sum(
        len(each.terms) + each.on_few_units
        for each in trials.SCENARIOS
        if each.name not in trials.UNHELD
    )
    assert len(methodwords.nulls(tried, "declared")) == samples
    shown = methodwords.nulls(tried, "declared")["scenario"]
    assert not set(shown) & set(trials.UNHELD)


def test_charts_tell_in_words_what_they_draw(tried):
    chart = methodcharts.plot_shares(tried, "first", "Rejections, percent")
    n_tiles = len(chart.data)
    assert f"20.0 to 20.0, as promised in 0 of {n_tiles} trials" in chart.alt
    tiles = [patch.get_gid() for patch in chart.figure.axes[0].patches if patch.get_gid()]
    assert tiles.count("fails") == n_tiles
    kept = methodcharts.plot_shares(tried, "declared", "Rejections, percent")
    marks = [text.get_text() for text in kept.figure.axes[0].texts]
    assert marks.count("✓") == n_tiles
    assert marks.count("term 2*") == 1
    trend = methodcharts.plot_trends(trends_with(14.2))
    assert "the bias is +5.0 percent, +4.0 where the test gives no warning" in trend.alt


def test_the_tables_have_a_row_for_every_trial_and_every_candidate(tried):
    data = methodwords.trial_rows(tried)["data"]
    assert len(data) == (tried.query("measure == 'rejection' and way == 'first'")).shape[0]
    assert set(data["place"]) == {20.0}
    assert set(data["bias first"]) == {4.0}
    choice = methodwords.choice_rows(tried)["data"].set_index("way")
    assert choice.loc["the declared test", "most"] == 5.0
    assert choice.loc["the declared test", "fixed-2*"] == 8.0
    assert len(choice) == len(trials.WAYS)
    power = methodwords.power_rows(tried)["data"]
    assert set(power["power declared"]) == {70.0}
    assert set(power["power-at-size first"]) == {65.0}


def test_trends_that_are_tried_include_none_and_the_one_of_the_answer():
    assert 0.0 in trendtrials.DRIFTS
    assert trials.DRIFT in trendtrials.DRIFTS


def test_the_published_example_checks_arithmetic_not_the_test():
    said = methodwords.published_sentence(agreement.published_example())
    assert "checks the arithmetic" in said
    assert "reassignment" in said
    assert "last digit" not in said
