"""Numbers and findings in words."""

import math

import numpy as np
import pandas as pd
import pytest
from sample_page import RECORD

from clusterpolicy import evidence, inference, statements
from clusterpolicy.wording import (
    GRADES,
    POWER_WORDS,
    RUN_MARKS,
    VERDICT_MARKS,
    effect_sentence,
    escape,
    figure_in_words,
    finding_sentence,
    format_estimate,
    format_interval,
    format_number,
    format_p,
    format_years,
    grade_label,
    not_estimable_sentence,
    pretrend_sentence,
    verdict_label,
)


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "text"),
    [
        (0.8, 1, False, "0.8"),
        (2.675, 2, False, "2.68"),  # the binary neighbour lies below the half
        (0.5, 0, False, "1"),
        (-0.5, 0, False, "−1"),
        (1234567.891, 1, False, "1,234,567.9"),
        (-1234.5, 1, False, "−1,234.5"),
        (-0.04, 1, False, "0.0"),  # no minus sign before a zero
        (-0.04, 1, True, "0.0"),
        (0.83, 1, True, "+0.8"),
        (47, 0, False, "47"),
        (np.float64(1e7), 0, False, "10,000,000"),
        (np.int64(-3), 0, True, "−3"),
        (math.inf, 1, False, "∞"),
        (-math.inf, 1, True, "−∞"),
        (math.nan, 1, False, "…"),
        (None, 0, False, "…"),
        (pd.NA, 0, False, "…"),
    ],
)
def test_numbers_are_rounded_as_on_paper(value, decimals, sign, text):
    assert format_number(value, decimals, sign) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.638, "p = 0.64"),
        (0.1, "p = 0.10"),
        (0.0431, "p = 0.043"),
        (0.001, "p = 0.001"),
        (0.0009, "p < 0.001"),
        (1.0, "p = 1.00"),
        (math.nan, "p not available"),
    ],
)
def test_p_values_are_exact_where_it_matters(value, text):
    assert format_p(value) == text


def test_interval_has_true_minus_signs():
    assert format_interval(-2.61, 4.27) == "−2.6 to 4.3"


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (2001, 2005, "FY2001-05"),
        (1996, 2000, "FY1996-2000"),
        (2010, None, "FY2010"),
        (2009, 2009, "FY2009"),
        (2001.0, math.nan, "FY2001"),
    ],
)
def test_years_are_short_within_a_century(first, last, text):
    assert format_years(first, last) == text


def test_null_effect_names_the_effect_it_would_have_seen():
    assert effect_sentence(RECORD) == (
        "No effect can be shown: from FY1996-2000 to FY2001-05 the output of targeted cells grew "
        "0.8 percent more than that of comparable cells, and anything from −2.6 to 4.3 percent "
        "is in keeping with the figures (95 % interval; p = 0.64). An effect of 4.8 percent would "
        "have been found four times in five."
    )


def test_detected_effect_is_told_as_one_and_with_its_direction():
    record = {**RECORD, "estimate": -3.2, "low": -5.1, "high": -1.2, "p_value": 0.002}
    assert effect_sentence(record) == (
        "A difference shows: from FY1996-2000 to FY2001-05 the output of targeted cells grew 3.2 "
        "percent less than that of comparable cells, and anything from −5.1 to −1.2 percent is in "
        "keeping with the figures (95 % interval; p = 0.002)."
    )


@pytest.mark.parametrize(
    "changes", [{"low": 0.01, "p_value": 0.06}, {"low": -0.01, "p_value": 0.04}]
)
def test_interval_and_p_that_disagree_claim_nothing(changes):
    sentence = effect_sentence({**RECORD, **changes})
    assert sentence.startswith(
        "Interval and p-value disagree at the margin, so no effect is claimed:"
    )


def test_unknown_power_is_said():
    assert effect_sentence({**RECORD, "mde": math.nan}).endswith(
        "How large an effect would have been found is not known."
    )


def test_the_words_for_power_are_those_of_the_number():
    assert pytest.approx(4 / 5) == inference.POWER
    assert POWER_WORDS == "four times in five"


def test_missing_estimate_gives_reason_and_counts():
    record = {**RECORD, "status": "not estimable", "reason": "7 targeted cells, 10 are needed"}
    record |= {"n_targeted": 7, "n_cells": 30, "n_blocks": math.nan}
    sentence = "Not estimable: 7 targeted cells, 10 are needed (7 targeted cells, 30 cells in all)."
    assert not_estimable_sentence(record) == sentence
    assert effect_sentence(record) == sentence


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        (
            {},
            "(FY1996-2000) targeted and comparable cells did not detectably move apart (p = 0.43)",
        ),
        ({}, "a gap of up to 3.1 percent in any one year could have gone unseen"),
        ({"pretrend_detectable": math.nan}, "that does not prove that they moved alike"),
        ({"pretrend_p": 0.01}, "did not move alike (p = 0.010)"),
        ({"pretrend_p": math.nan}, "too few years"),
    ],
)
def test_pretrend_sentence_never_says_proved(changes, part):
    sentence = pretrend_sentence({**RECORD, **changes})
    assert part in sentence
    assert "parallel" not in sentence


def test_figure_of_a_phrase_comes_from_its_estimates():
    second = {**RECORD, "term": 2, "result_id": "t2", "status": "not estimable", "reason": "few"}
    estimates = pd.DataFrame([RECORD, second])
    row = {"phrase": "pulled away", "figure": "", "result_ids": f"{RECORD['result_id']};t2"}
    assert figure_in_words(row, estimates) == (
        "term 1, output: +0.8 percent (−2.6 to 4.3); term 2, output: not estimable"
    )
    assert finding_sentence(row, estimates).startswith(
        "Term 1: No effect can be shown: from FY1996-2000"
    )
    assert format_estimate(RECORD) == "+0.8 percent (−2.6 to 4.3)"


def test_figure_in_words_is_kept():
    row = {"phrase": "some 20", "figure": "19 projects", "result_ids": ""}
    assert figure_in_words(row) == "19 projects"
    assert finding_sentence(row) == "19 projects."
    assert finding_sentence({**row, "figure": None}) == "Looked for, no figure found."


def test_an_estimate_of_jobs_is_not_told_as_one_of_output():
    jobs = {**RECORD, "outcome": "employees", "outcome_label": "jobs"}
    assert "the jobs of targeted cells" in effect_sentence(jobs)
    assert "output" not in effect_sentence(jobs)


def test_unknown_estimate_is_named():
    row = {"phrase": "pulled away", "figure": "", "result_ids": "t9"}
    with pytest.raises(ValueError, match=r"no record of \['t9'\]"):
        figure_in_words(row, pd.DataFrame([RECORD]))
    with pytest.raises(ValueError, match="pass the estimates"):
        figure_in_words(row)


def test_verdicts_are_those_of_evidence_and_have_marks_of_their_own():
    assert tuple(VERDICT_MARKS) == evidence.VERDICTS
    assert len(set(VERDICT_MARKS.values())) == len(VERDICT_MARKS)
    assert tuple(RUN_MARKS) == statements.RUN_VERDICTS
    assert len(set(RUN_MARKS.values())) == len(RUN_MARKS)
    for verdict, mark in (VERDICT_MARKS | RUN_MARKS).items():
        assert verdict in verdict_label(verdict)
        assert mark in verdict_label(verdict)


@pytest.mark.parametrize("verdict", ["partly", "Supported", "", "proved"])
def test_other_verdicts_are_refused(verdict):
    with pytest.raises(ValueError, match="Unknown verdict"):
        verdict_label(verdict)


@pytest.mark.parametrize("grade", [6, -1, 2.5, "3", None, math.nan])
def test_other_grades_are_refused(grade):
    assert set(GRADES) == set(range(6))
    with pytest.raises(ValueError, match="Unknown grade"):
        grade_label(grade)


def test_escape_leaves_no_character_that_html_or_the_eye_mistakes():
    assert escape("<a href=\"x\" b='y'>&") == "&lt;a href=&quot;x&quot; b=&#x27;y&#x27;&gt;&amp;"
    assert escape("a\x00b\x1bc\u202ed\ud800e") == "a\ufffdb\ufffdc\ufffdd\ufffde"
