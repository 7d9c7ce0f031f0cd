"""Verdicts follow from stored results by rules, and every border of a rule is walked."""

import dataclasses
import math
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_results import record, records

from clusterpolicy import evidence, results, statements, tables
from clusterpolicy.evidence import CANNOT_JUDGE, NOT_SUPPORTED, PARTLY, SUPPORTED

MARGIN = 5.0
JUST = 1e-9


# ---- One interval -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (JUST, 10, SUPPORTED),
        (0, 10, CANNOT_JUDGE),
        (-JUST, 10, CANNOT_JUDGE),
        (JUST, 1, SUPPORTED),  # a gain within the margin is still a gain
        (-MARGIN + JUST, MARGIN - JUST, NOT_SUPPORTED),
        (-MARGIN, MARGIN - JUST, CANNOT_JUDGE),
        (-MARGIN + JUST, MARGIN, CANNOT_JUDGE),
        (-MARGIN - JUST, MARGIN - JUST, CANNOT_JUDGE),
        (-MARGIN + JUST, MARGIN + JUST, CANNOT_JUDGE),
        (-1, 0, NOT_SUPPORTED),
        (-50, -JUST, NOT_SUPPORTED),
        (-50, 0, CANNOT_JUDGE),
        (-50, 50, CANNOT_JUDGE),
        (-100, math.inf, CANNOT_JUDGE),
        (JUST, math.inf, SUPPORTED),
    ],
)
def test_a_gain_is_judged_by_zero_and_the_margin(low, high, verdict):
    middle = 0 if math.isinf(high) else (low + high) / 2
    assert evidence.judge_gain(middle, low, high, MARGIN) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-MARGIN + JUST, 10, SUPPORTED),
        (-MARGIN, 10, CANNOT_JUDGE),
        (-MARGIN - JUST, 10, CANNOT_JUDGE),
        (-MARGIN + JUST, -JUST, SUPPORTED),  # a loss, but none as large as the margin
        (-MARGIN, -JUST, NOT_SUPPORTED),
        (-MARGIN, 0, CANNOT_JUDGE),
        (-50, -20, NOT_SUPPORTED),
        (1, 2, SUPPORTED),
        (-100, math.inf, CANNOT_JUDGE),
    ],
)
def test_no_loss_is_judged_by_the_margin_and_zero(low, high, verdict):
    assert evidence.judge_no_loss((low + high) / 2, low, high, MARGIN) == verdict


JUDGES = [evidence.judge_gain, evidence.judge_no_loss]


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_what_is_not_a_number_cannot_be_judged(judge, missing):
    numbers = [1.0, 0.5, 1.5]
    assert judge(*numbers, MARGIN) == SUPPORTED
    numbers[missing] = math.nan
    assert judge(*numbers, MARGIN) == CANNOT_JUDGE


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("margin", [0, -1, math.nan])
def test_a_margin_that_is_not_above_zero_is_refused(judge, margin):
    with pytest.raises(ValueError, match=f"margin: found {margin}: it must be above zero"):
        judge(1, 0.5, 1.5, margin)


def judged(judge=evidence.judge_gain, **changes):
    row = results.to_frame([record(low=1.0, high=3.0, **changes)]).iloc[0]
    return evidence.judge_record(row, MARGIN, judge)


@pytest.mark.parametrize("judge", JUDGES)
def test_paths_that_differed_before_the_term_cannot_be_judged(judge):
    assert judged(judge, pretrend_p=0.05 + JUST) == SUPPORTED
    assert judged(judge, pretrend_p=0.05) == CANNOT_JUDGE
    assert judged(judge, pretrend_p=0.001) == CANNOT_JUDGE
    assert judged(judge, pretrend_p=math.nan) == SUPPORTED  # no year before it to test


@pytest.mark.parametrize(
    ("without", "verdict"),
    [
        ((2.0, 0.5, 3.5), SUPPORTED),
        ((2.0, -0.5, 4.5), CANNOT_JUDGE),  # one cell carries it: the weaker of the two
        ((-2.0, -3.0, -1.0), CANNOT_JUDGE),  # one cell turns it
        ((math.nan, math.nan, math.nan), SUPPORTED),  # not known
    ],
)
def test_the_verdict_is_the_weaker_of_those_with_and_without_the_most_influential_cell(
    without, verdict
):
    names = ("without_estimate", "without_low", "without_high")
    own = dict(zip(names, without, strict=True))
    row = results.to_frame([record(low=1.0, high=3.0, **own)]).iloc[0]
    assert evidence.judge_record(row, MARGIN, evidence.judge_gain) == verdict


def test_no_other_interval_than_the_printed_one_decides():
    own = {"block_low": -50.0, "block_high": 50.0, "block_p": 0.9, "wild_low": -50.0}
    assert judged(evidence.judge_gain, **own) == SUPPORTED


@pytest.mark.parametrize("judge", JUDGES)
def test_what_is_not_estimable_cannot_be_judged(judge):
    assert judged(judge, status="not estimable") == CANNOT_JUDGE


# ---- One term: what must agree before a claim is supported ------------------------------------

OUTCOMES = pd.DataFrame(
    [
        ("product", MARGIN, "output of the cell"),
        ("employees", MARGIN, "jobs of the cell"),
        ("establishments", MARGIN, "plants of the cell"),
    ],
    columns=["outcome", "margin_percent", "label"],
)
GAIN = {"estimate": 5.0, "low": 1.0, "high": 9.0}
NONE = {"low": -20.0, "high": 20.0}
LOSS_ = {"estimate": -5.0, "low": -9.0, "high": -1.0}


def context(rows, clock="funded", fields_map="broad", **tables):
    study = SimpleNamespace(outcomes=OUTCOMES, **tables)
    return evidence.Context(study, results.to_frame(rows), clock, fields_map)


def verdict_of(rows, term=1, judge=evidence.judge_gain, **reading):
    return evidence.judge_term(context(rows, **reading), term, judge).verdict


@pytest.mark.parametrize(
    ("main", "narrow", "other_base", "verdict"),
    [
        (GAIN, GAIN, GAIN, SUPPORTED),
        (GAIN, NONE, GAIN, CANNOT_JUDGE),
        (GAIN, GAIN, NONE, CANNOT_JUDGE),
        (GAIN, GAIN | {"pretrend_p": 0.01}, GAIN, CANNOT_JUDGE),
        (GAIN, GAIN | {"status": "not estimable"}, GAIN, CANNOT_JUDGE),
        (NONE, GAIN, GAIN, CANNOT_JUDGE),
        (GAIN | {"pretrend_p": 0.01}, GAIN, GAIN, CANNOT_JUDGE),
        (LOSS_, LOSS_, LOSS_, NOT_SUPPORTED),
        (LOSS_, GAIN, LOSS_, CANNOT_JUDGE),  # what speaks against it must agree as well
        (LOSS_, LOSS_, NONE, CANNOT_JUDGE),
    ],
)
def test_a_claim_cannot_be_judged_unless_the_other_reading_and_base_agree(
    main, narrow, other_base, verdict
):
    assert verdict_of(records(1, main, narrow, other_base)) == verdict


@pytest.mark.parametrize(
    ("narrow", "other_base", "part"),
    [
        (GAIN, GAIN, ""),
        (NONE, GAIN, "not in the narrow reading."),
        (GAIN, NONE, "not in base 1995."),
        (NONE, NONE, "not in the narrow reading and base 1995."),
    ],
)
def test_a_claim_that_one_reading_bears_out_says_which(narrow, other_base, part):
    rows = records(1, GAIN, narrow, other_base)
    finding = evidence.judge_term(context(rows), 1, evidence.judge_gain)
    assert finding.part == (part and f"A gain in the broad reading and base 2000, {part}")


def test_other_samples_clocks_and_terms_are_no_companions():
    rows = records(1, GAIN, GAIN, GAIN)
    rows += [record(1, **NONE, role="check", sample="without Tokyo", result_id="sample")]
    rows += [record(1, **NONE, fields_map="narrow", clock="planned", result_id="clock")]
    rows += records(2, NONE, NONE, NONE)
    assert verdict_of(rows) == SUPPORTED


def test_the_verdict_stands_on_the_reading_of_the_report():
    rows = records(1, GAIN, NONE, GAIN)
    assert verdict_of(rows, fields_map="broad") == CANNOT_JUDGE
    agreeing = records(1, GAIN, GAIN, GAIN)
    assert verdict_of(agreeing, fields_map="broad") == SUPPORTED
    assert verdict_of(agreeing, fields_map="narrow") == CANNOT_JUDGE  # base 1995 shows no gain


def test_a_finding_names_its_estimate_and_carries_its_grade():
    rows = records(1, GAIN | {"grade": 2}, GAIN, GAIN)
    finding = evidence.judge_term(context(rows), 1, evidence.judge_gain)
    assert (finding.grade, finding.result_ids) == (2, "t1-funded-broad-b2000-all-cells")


# ---- Rules of the phrases ---------------------------------------------------------------------


def find(rule, term=1, text="", **changes):
    tables = {"results": [], **changes}
    rows = tables.pop("results") or [record()]
    outcomes = tables.pop("outcomes", "product")
    phrase = pd.Series({"phrase_id": "p", "term": term, "phrase": text, "outcomes": outcomes})
    return evidence.RULES[rule](context(rows, **tables), phrase)


BOTH = {"main": GAIN, "narrow": GAIN, "other_base": GAIN}
NEITHER = {"main": NONE, "narrow": NONE, "other_base": NONE}
LOSS = {"main": LOSS_, "narrow": LOSS_, "other_base": LOSS_}


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (BOTH, BOTH, SUPPORTED),
        (BOTH, NEITHER, PARTLY),
        (BOTH, LOSS, PARTLY),
        (BOTH | {"narrow": NONE}, NEITHER, CANNOT_JUDGE),
        (NEITHER, LOSS, CANNOT_JUDGE),
        (LOSS, LOSS, NOT_SUPPORTED),
        (NEITHER, NEITHER, CANNOT_JUDGE),
    ],
)
def test_the_aim_of_the_policy_is_judged_by_both_funded_terms(first, second, verdict):
    rows = [*records(1, **first), *records(2, **second)]
    assert find("gain", term=0, results=rows).verdict == verdict


def test_the_aim_has_the_lower_grade_of_both_terms_and_names_both():
    rows = [*records(1, GAIN | {"grade": 3}), *records(2, GAIN | {"grade": 2})]
    finding = find("gain", term=0, results=rows)
    assert finding.grade == 2
    assert finding.result_ids == "t1-funded-broad-b2000-all-cells;t2-funded-broad-b2005-all-cells"


@pytest.mark.parametrize(
    ("first", "second", "part"),
    [
        (BOTH, BOTH, ""),
        (NEITHER, LOSS, ""),
        (BOTH, LOSS, "Term 1: supported. Term 2: not supported."),
        (
            BOTH,
            BOTH | {"narrow": NONE},
            "Term 1: supported. Term 2: A gain in the broad reading and base 2005, not in the "
            "narrow reading.",
        ),
    ],
)
def test_an_aim_supported_in_part_says_in_which(first, second, part):
    rows = [*records(1, **first), *records(2, **second)]
    assert find("gain", term=0, results=rows).part == part


def test_a_gain_in_one_term_is_judged_by_that_term():
    rows = [*records(1, **BOTH), *records(2, **NEITHER)]
    assert find("gain", term=1, results=rows).verdict == SUPPORTED
    assert find("gain", term=2, results=rows).verdict == CANNOT_JUDGE


def test_holding_ground_in_the_third_term_is_judged_by_the_margin():
    small_loss = {"low": -4.0, "high": -1.0}
    rows = records(3, small_loss, small_loss, small_loss)
    assert find("no loss", term=3, results=rows).verdict == SUPPORTED
    assert find("gain", term=3, results=rows).verdict == NOT_SUPPORTED


# ---- Several outcomes -------------------------------------------------------------------------


def of_outcomes(term=1, **by_outcome):
    """Return the records of a term, the same in every reading and base, by outcome."""
    rows = []
    for outcome, change in by_outcome.items():
        for each in records(term, change, change, change):
            changed = {**change, "outcome": outcome, "result_id": f"{outcome}-{each.result_id}"}
            rows.append(dataclasses.replace(each, **changed))
    return rows


SMALL = {"estimate": 0.0, "low": -2.0, "high": 2.0}
# Above zero by itself, not once it is the best of three.
BARE = {"estimate": 4.0, "low": 0.1, "high": 8.0}
ALL_THREE = "product;employees;establishments"


@pytest.mark.parametrize(
    ("product", "jobs", "plants", "verdict"),
    [
        (GAIN, GAIN, GAIN, SUPPORTED),
        (BARE, BARE, BARE, SUPPORTED),  # all of them: nothing is singled out
        (GAIN, NONE, NONE, PARTLY),
        (NONE, NONE, GAIN, PARTLY),  # any outcome can decide, not output alone
        (NONE, BARE, NONE, CANNOT_JUDGE),  # the best of three may be chance
        (SMALL, SMALL, SMALL, NOT_SUPPORTED),
        (SMALL, LOSS_, SMALL, NOT_SUPPORTED),
        (NONE, LOSS_, NONE, NOT_SUPPORTED),  # a loss found, and a gain nowhere
        (GAIN, LOSS_, NONE, PARTLY),  # the part says which is which
        (SMALL, NONE, SMALL, CANNOT_JUDGE),
        (NONE, NONE, NONE, CANNOT_JUDGE),
    ],
)
def test_several_outcomes_decide_by_the_declared_rule(product, jobs, plants, verdict):
    rows = of_outcomes(product=product, employees=jobs, establishments=plants)
    finding = find("gain", results=rows, outcomes=ALL_THREE)
    assert finding.verdict == verdict
    assert len(finding.result_ids.split(";")) == 3


def test_each_outcome_is_told_by_its_own_name():
    rows = of_outcomes(product=NONE, employees=GAIN)
    finding = find("gain", results=rows, outcomes=ALL_THREE)
    assert finding.part == "Output: not decided; jobs: a gain; not estimated: plants."


@pytest.mark.parametrize(
    ("product", "jobs", "verdict"),
    [
        (GAIN, SMALL, SUPPORTED),
        (NONE, SMALL, PARTLY),
        (LOSS_, NONE, NOT_SUPPORTED),
        (LOSS_, SMALL, PARTLY),
        (NONE, NONE, CANNOT_JUDGE),
    ],
)
def test_that_nothing_was_lost_is_decided_by_every_outcome(product, jobs, verdict):
    rows = of_outcomes(3, product=product, employees=jobs)
    finding = find("no loss", term=3, results=rows, outcomes="product;employees")
    assert finding.verdict == verdict


def test_an_outcome_without_an_estimate_is_named_and_does_not_decide():
    rows = of_outcomes(product=GAIN)
    rows += of_outcomes(employees={"status": "not estimable"})
    finding = find("gain", results=rows, outcomes="product;employees")
    assert (finding.verdict, finding.part) == (SUPPORTED, "Output: a gain; not estimated: jobs.")


def test_an_adjusted_interval_holds_for_all_outcomes_at_once():
    """By hand: in logs the ends move from the estimate by 2.3940 / 1.9600 for three outcomes."""
    estimate, low, high = evidence.stretch(0.0, *(100 * np.expm1([-0.196, 0.196])), 3, 0.95)
    assert estimate == 0.0
    assert np.log1p(np.array([low, high]) / 100) == pytest.approx([-0.2394, 0.2394], abs=1e-4)
    assert evidence.stretch(1.0, -2.0, 3.0, 1, 0.95) == (1.0, -2.0, 3.0)
    assert evidence.stretch(1.0, -100.0, math.inf, 3, 0.95) == (1.0, -100.0, math.inf)


def test_what_is_ruled_out_is_what_every_reading_and_base_rules_out():
    rows = records(1, {"low": -3.0, "high": 4.0}, {"low": -6.0}, {"high": 7.0})
    found = evidence.ruled_out(results.to_frame(rows)).iloc[0]
    assert (found["gain_above"], found["loss_below"], found["n_records"]) == (7.0, -6.0, 4)


@pytest.mark.parametrize(
    "change", [{"status": "not estimable"}, {"high": math.inf}, {"high": math.nan}]
)
def test_nothing_is_ruled_out_unless_all_rule_it_out(change):
    found = evidence.ruled_out(results.to_frame(records(1, {}, change))).iloc[0]
    assert math.isnan(found["gain_above"])
    assert math.isnan(found["loss_below"]) == ("status" in change)


def test_other_samples_rule_nothing_out():
    rows = [*records(1), record(1, sample="without Tokyo", high=99.0, result_id="x")]
    assert evidence.ruled_out(results.to_frame(rows))["gain_above"].tolist() == [3.0]


def test_members_are_counted_in_their_own_term():
    facts = pd.DataFrame(
        [
            ("1", "participating_firms", "6100", "2005"),
            ("1", "participating_firms", "5000", "2003"),
            ("2", "participating_firms", "10700", "December 2007"),
            ("2", "participating_firms", "", "2009"),
            ("1", "universities", "1", "2001"),
        ],
        columns=["term", "indicator", "value", "period"],
    )
    finding = find("own count", term_facts=facts)
    assert (finding.verdict, finding.grade, finding.basis) == (CANNOT_JUDGE, 1, "description")
    own = "by the programme's own changing count"
    assert finding.figure == f"5,000 firms (2003) to 6,100 firms (2005), {own}"
    assert find("own count", 2, term_facts=facts).figure == f"10,700 firms (December 2007), {own}"
    assert "2007" in find("own count", 0, term_facts=facts).figure


# ---- How it was run ---------------------------------------------------------------------------


def facts_of(*rows):
    columns = ["statement", "verdict", "extent", "by_whom", "kind_of_source", "confidence"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(phrase_id="p", source="P001")


A = ("it ran", statements.CONFIRMED, "whole", "A", "independent", "high")
CASE = ("it ran", statements.CONFIRMED, "part", "B", "participant", "high")
SAID = ("it ran", statements.MINISTRY_ONLY, "whole", "C", "ministry", "high")
DENIED = ("it ran", statements.CONTRADICTED, "part", "D", "press", "medium")
WEAK = ("it ran", statements.CONTRADICTED, "whole", "E", "press", "low")
SOUGHT = ("it ran", statements.NOT_FOUND, "whole", "F", "", "high")
OTHER = ("it lasted", statements.MINISTRY_ONLY, "whole", "C", "ministry", "high")
NO_INDICATOR = pd.DataFrame(columns=["phrase_id"])


def run_finding(*rows, rule="facts", term=1, **tables):
    tables = {"run_facts": facts_of(*rows), "phrase_indicators": NO_INDICATOR} | tables
    return find(rule, term, **tables)


@pytest.mark.parametrize(
    ("rows", "verdict", "figure"),
    [
        ((A, SAID), statements.CONFIRMED, "it ran: confirmed (A)"),
        (
            (CASE, SAID),
            statements.MINISTRY_ONLY,
            "it ran: stated by the ministry only (C), single cases by others (B)",
        ),
        (
            (CASE,),
            statements.MINISTRY_ONLY,
            "it ran: stated by the ministry only, single cases by others (B)",
        ),
        (
            (("it ran", statements.CONFIRMED, "whole", "M", "ministry", "high"),),
            statements.MINISTRY_ONLY,  # it does not confirm itself
            "it ran: stated by the ministry only (M)",
        ),
        ((A, DENIED), statements.CONTRADICTED, "it ran: contradicted in part (D)"),
        ((A, WEAK), statements.CONFIRMED, "it ran: confirmed (A)"),
        ((SAID, SOUGHT), statements.MINISTRY_ONLY, "it ran: stated by the ministry only (C)"),
        ((SOUGHT,), statements.NOT_FOUND, "it ran: not found (sought: F)"),
        (
            (A, OTHER),
            statements.MINISTRY_ONLY,
            "it ran: confirmed (A); it lasted: stated by the ministry only (C)",
        ),
    ],
)
def test_a_statement_is_held_against_its_sources(rows, verdict, figure):
    finding = run_finding(*rows)
    assert (finding.verdict, finding.figure) == (verdict, figure)
    assert (finding.grade, finding.basis) == (None, "facts")


@pytest.mark.parametrize(
    ("characters", "verdict"),
    [
        (("association", "association"), statements.CONFIRMED),
        (("association", "not known"), statements.MINISTRY_ONLY),
        (("association", "foundation"), statements.CONTRADICTED),
        (("third sector", "foundation"), statements.CONTRADICTED),
        (("not found", "not known"), statements.NOT_FOUND),
    ],
)
def test_whether_bodies_were_private_is_told_by_their_legal_forms(characters, verdict):
    projects = pd.DataFrame({"project_id": ["a", "b"], "term": 2})
    bodies = pd.DataFrame({"project_id": ["a", "b"], "character": characters})
    own = {"project_bodies": bodies, "projects_of_term": lambda term: projects}
    assert run_finding(A, rule="legal forms", term=2, **own).verdict == verdict


@pytest.mark.parametrize(
    ("estimate", "low", "high", "verdict"),
    [
        (0.25 + JUST, JUST, 1, statements.CONFIRMED),
        (0.25, JUST, 1, statements.CONFIRMED),  # stronger, if by little
        (0.3, 0, 1, statements.NOT_FOUND),
        (0, -0.25 + JUST, 0.25 - JUST, statements.CONTRADICTED),
        (0, -0.25, 0.25 - JUST, statements.NOT_FOUND),
        (-0.6, -1, -JUST, statements.CONTRADICTED),
        (math.nan, math.nan, math.nan, statements.NOT_FOUND),
    ],
)
def test_places_picked_for_strength_are_told_by_the_normalised_difference(
    estimate, low, high, verdict
):
    own = {"design": "baseline comparison", "outcome": "location_quotient", "grade": 1}
    row = record(1, estimate, low, high, **own, result_id="lq")
    other = record(1, 9, 8, 10, **(own | {"outcome": "size"}), result_id="size")
    finding = run_finding(A, rule="picked for strength", results=[other, row])
    assert finding.verdict == verdict
    assert ("which is small" in finding.figure) == (low > 0 and estimate <= 0.25)


TURNING = {
    "gain": lambda: [find("gain", results=records(1, x, x, x)) for x in (GAIN, LOSS_)],
    "no loss": lambda: [find("no loss", 3, results=records(3, x, x, x)) for x in (GAIN, LOSS_)],
    "facts": lambda: [run_finding(A), run_finding(DENIED)],
    "legal forms": lambda: [
        run_finding(
            A,
            rule="legal forms",
            project_bodies=pd.DataFrame({"project_id": ["a"], "character": [character]}),
            projects_of_term=lambda term: pd.DataFrame({"project_id": ["a"]}),
        )
        for character in ("association", "foundation")
    ],
    "picked for strength": lambda: [
        run_finding(
            A,
            rule="picked for strength",
            results=[
                record(
                    1,
                    *numbers,
                    design="baseline comparison",
                    outcome="location_quotient",
                    result_id="lq",
                )
            ],
        )
        for numbers in ((0.9, 0.5, 1.2), (-0.9, -1.2, -0.5))
    ],
}


@pytest.mark.parametrize("rule", sorted(evidence.RULES))
def test_no_rule_that_judges_can_come_out_one_way_only(rule):
    """The two others judge nothing: they count, or describe, or say where it was sought."""
    if rule in ("own count", "indicator"):
        assert rule not in TURNING
        return
    first, second = TURNING[rule]()
    assert first.verdict != second.verdict


# ---- What describes, and where it was sought --------------------------------------------------

INDICATOR = {
    "phrase_id": "p",
    "status": "described",
    "figure": "30 plans",
    "still_missing": "plans by place",
    "tables": "",
}
SEARCH_LOG = pd.DataFrame(
    [("p;q", "e-Stat"), ("p", "e-Stat"), ("p", "the press"), ("q", "nowhere")],
    columns=["phrases", "where"],
)


@pytest.mark.parametrize(
    ("status", "grade", "basis", "figure"),
    [
        ("described", 1, "description", "30 plans; missing: plans by place"),
        ("sought", 0, "log", "not found: plans by place (sought: e-Stat; the press)"),
    ],
)
def test_a_phrase_without_an_estimate_prints_its_best_figure_or_where_one_was_sought(
    status, grade, basis, figure
):
    indicators = pd.DataFrame([INDICATOR | {"status": status}])
    finding = find("indicator", phrase_indicators=indicators, search_log=SEARCH_LOG)
    assert (finding.verdict, finding.grade) == (CANNOT_JUDGE, grade)
    assert (finding.basis, finding.figure) == (basis, figure)


def test_targets_that_were_only_expected_to_be_reached_are_counted_apart():
    targets = pd.DataFrame(
        [
            ("3", "observed", "reached"),
            ("3", "observed", "missed"),
            ("3", "forecast", "reached"),
            ("2", "observed", "reached"),
        ],
        columns=["term", "outcome_kind", "result"],
    )
    assert statements.targets_met(targets, 3) == (
        "3 targets of one project have a figure beside them: 1 of 2 reached where the outcome was "
        "observed, 1 of 1 reached where the outcome was only expected"
    )


# ---- The matrix of all phrases ----------------------------------------------------------------


@pytest.fixture(scope="module")
def three_terms():
    return results.to_frame([row for term in (1, 2, 3) for row in records(term, GAIN)])


def test_every_phrase_names_a_rule_that_exists(real_study):
    assert set(real_study.phrases["rule"]) <= set(evidence.RULES)
    assert set(evidence.RULES) <= set(real_study.phrases["rule"])  # and no rule is left over


def test_every_phrase_gets_a_verdict_of_the_closed_set_and_a_grade_it_may_have(
    real_study, three_terms
):
    matrix = evidence.phrase_matrix(real_study, three_terms, "funded", "broad")
    assert matrix["phrase_id"].tolist() == real_study.phrases["phrase_id"].tolist()
    achieved, run = evidence.split_lists(matrix)
    assert (len(achieved), len(run)) == (17, 12)
    assert set(achieved["verdict"]) <= set(evidence.VERDICTS)
    assert (achieved["grade"] <= achieved["highest_grade"]).all()
    assert set(run["verdict"]) <= set(statements.RUN_VERDICTS)
    assert run["grade"].isna().all()


def test_every_phrase_ends_with_an_estimate_a_fact_or_a_log_of_where_it_was_sought(
    real_study, three_terms
):
    matrix = evidence.phrase_matrix(real_study, three_terms, "funded", "broad")
    log = real_study.search_log.assign(phrases=real_study.search_log["phrases"].str.split(";"))
    logged = set(log["phrases"].explode())
    for phrase in matrix.itertuples():
        if phrase.basis == evidence.ESTIMATES:
            assert set(phrase.result_ids.split(";")) <= set(three_terms["result_id"])
            assert not phrase.figure
            continue
        assert phrase.figure
        if phrase.basis == evidence.LOG:
            assert phrase.phrase_id in logged
            assert "(sought: " in phrase.figure
            assert (phrase.verdict, phrase.grade) == (CANNOT_JUDGE, 0)
        elif phrase.basis == evidence.DESCRIPTION:
            assert re.search("[0-9]", phrase.figure)
            assert (phrase.verdict, phrase.grade) == (CANNOT_JUDGE, 1)
        else:
            assert phrase.basis == evidence.FACTS
            own = real_study.run_facts[real_study.run_facts["phrase_id"] == phrase.phrase_id]
            assert len(own)
            assert own["source"].ne("").all()
        if "not found" in (phrase.verdict, phrase.figure[:9]):
            assert "sought: " in phrase.figure


def test_what_is_said_to_be_sought_was_and_is_not_carried(real_study):
    indicators, log = real_study.phrase_indicators, real_study.search_log
    for row in indicators[indicators["status"] == "sought"].itertuples():
        own = log[log["phrases"].str.split(";").map(lambda ids, own=row.phrase_id: own in ids)]
        assert "not found" in set(own["status"]), row.phrase_id
    known = {name for name, _ in real_study.items()}
    assert set(";".join(indicators["tables"]).strip(";").split(";")) - {""} <= known


def test_the_figures_of_indicators_are_those_of_their_tables(real_study):
    series = real_study.national_series.set_index(["series_id", "area", "period"])["value"]
    text = real_study.phrase_indicators.set_index("phrase_id")["figure"]
    for phrase, key in (
        ("aim-environment", ("entry-rate", "Japan", "2001-2004")),
        ("aim-environment", ("entry-rate", "Japan", "2004-2006")),
        ("aim-environment", ("exit-rate", "Japan", "2004-2006")),
        ("t2-start-ups", ("entry-rate", "Japan", "2004-2006")),
        ("aim-university-seeds", ("joint-research-companies", "Japan", "2003")),
        ("aim-university-seeds", ("joint-research-companies", "Japan", "2015")),
        ("t2-management", ("management-innovation-plans", "Japan", "2007-10")),
        ("t2-management", ("management-innovation-plans", "Japan", "2017-03")),
    ):
        value = series[key]
        shown = f"{int(value):,}" if value.isdecimal() else value
        assert shown in text[phrase], key
    ventures = real_study.university_ventures
    groups = ventures[ventures["area_kind"] == "group"].astype({"value": int})
    for area in ("six metropolitan prefectures", "other 41 prefectures"):
        of_area = groups[groups["area"] == area].set_index("date")["value"]
        growth = 100 * (of_area["2008-03"] / of_area["2002-03"] - 1)
        assert f"{growth:.0f} percent" in text["aim-university-seeds"]
    plans = real_study.location_act_facts
    plans = plans.set_index(["measure", "period"])["value"]
    assert (
        f"all {plans['prefectures with a plan', '2009-03']} prefectures" in text["t3-region-driven"]
    )
    assert f"{plans['new locations per ended plan, mean', '2015']} new" in text["t3-region-driven"]


def test_a_forecast_is_never_told_as_an_outcome(real_study):
    facts = real_study.term_facts
    sales = facts[(facts["indicator"] == "hokkaido_it_sales") & (facts["period"] == "FY2010")]
    assert sales.set_index("value")["kind"].to_dict() == {"412.5": "forecast", "385.2": "observed"}
    bio = facts[(facts["indicator"] == "hokkaido_bio_sales") & (facts["term"] == "2")]
    assert bio["kind"].tolist() == ["forecast"]
    expected = facts[facts["kind"] == "forecast"]
    printed = tables.ledger_table(expected)
    at = [column.name for column in printed.columns].index("kind")
    assert printed.columns[at].label == "Kind"
    assert set(printed.data["kind"]) == {"forecast"}


def test_phrases_wait_for_the_results_of_their_terms(real_study, three_terms):
    first = three_terms[three_terms["term"] == 1]
    assert set(evidence.phrase_matrix(real_study, first, "funded", "broad")["term"]) == {1}
    two = three_terms[three_terms["term"] < 3]
    assert set(evidence.phrase_matrix(real_study, two, "funded", "broad")["term"]) == {0, 1, 2}


def one_phrase(rule="gain", highest_grade=3, listed="achieved"):
    columns = ["phrase_id", "term", "list", "phrase", "rule", "outcomes", "highest_grade"]
    row = ("t1-one", 1, listed, "18 projects", rule, "product", highest_grade)
    phrases = pd.DataFrame([row], columns=columns)
    return SimpleNamespace(outcomes=OUTCOMES, phrases=phrases)


def test_a_grade_above_the_highest_of_its_phrase_is_refused(three_terms):
    matrix = evidence.phrase_matrix(one_phrase("gain", 3), three_terms, "funded", "broad")
    assert matrix["grade"].tolist() == [3]
    with pytest.raises(ValueError, match="phrase t1-one: found grade 3: at most 2 is allowed"):
        evidence.phrase_matrix(one_phrase("gain", 2), three_terms, "funded", "broad")


def test_a_finding_of_the_other_list_is_refused(three_terms):
    study = one_phrase("gain", listed="run")
    with pytest.raises(ValueError, match=r"phrase t1-one: found 'cannot be .* on the list 'run'"):
        evidence.phrase_matrix(study, three_terms, "funded", "broad")


def test_what_was_run_and_what_was_achieved_are_counted_apart(real_study, three_terms):
    matrix = evidence.phrase_matrix(real_study, three_terms, "funded", "broad")
    counts = evidence.tally(matrix)
    assert {name: sum(each.values()) for name, each in counts.items()} == {
        "run": 12,
        "achieved": 17,
    }
    assert not set(counts["run"]) & set(counts["achieved"])
    assert list(evidence.tally(matrix[matrix["list"] == "run"])) == ["run"]


def test_a_rule_that_does_not_exist_is_named_with_those_that_do(three_terms):
    with pytest.raises(ValueError, match="phrase t1-one: found rule 'a guess': choose one of gain"):
        evidence.phrase_matrix(one_phrase("a guess"), three_terms, "funded", "broad")


def test_the_verdict_of_an_overview_is_that_of_the_phrase(real_study, three_terms):
    rows = evidence.judged_mains(real_study, three_terms, "funded")
    assert rows["label"].tolist() == [
        f"term {term}, {reading} reading" for term in (1, 2, 3) for reading in ("broad", "narrow")
    ]
    for row in rows.itertuples():
        matrix = evidence.phrase_matrix(real_study, three_terms, "funded", row.fields_map)
        alone = matrix[(matrix["result_ids"] == row.result_id) & (matrix["term"] == row.term)]
        assert set(alone["verdict"]) == {row.verdict}


def test_the_third_term_is_held_to_no_loss_and_the_others_to_a_gain():
    slight = {"low": -4.0, "high": 1.0}
    rows = [row for term in (1, 2, 3) for row in records(term, slight, slight, slight)]
    study = SimpleNamespace(outcomes=OUTCOMES)
    found = evidence.judged_mains(study, results.to_frame(rows), "funded")
    broad = found[found["fields_map"] == "broad"].set_index("term")["verdict"]
    assert broad.to_dict() == {1: NOT_SUPPORTED, 2: NOT_SUPPORTED, 3: SUPPORTED}
    assert np.isin(found["verdict"], evidence.VERDICTS).all()


def test_a_partly_supported_phrase_says_which_part(monkeypatch):
    silent = evidence.Finding(evidence.PARTLY, 1)
    monkeypatch.setitem(evidence.RULES, "silent", lambda context, phrase: silent)
    phrase = {"phrase_id": "p", "term": 1, "list": "achieved", "rule": "silent"}
    phrase |= {"highest_grade": 1}
    study = SimpleNamespace(phrases=pd.DataFrame([phrase]))
    with pytest.raises(ValueError, match="phrase p: found 'partly supported' without saying which"):
        evidence.phrase_matrix(study, pd.DataFrame({"term": [1]}), "funded", "broad")


def test_what_is_partly_shown_of_the_third_term_is_that_no_loss_is_large():
    text = evidence.CLAIMS[evidence.judge_no_loss].format(margin=MARGIN)
    assert text == "no loss as large as 5 percent"
    assert set(evidence.CLAIMS) == set(evidence.JUDGES.values())
