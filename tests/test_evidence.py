"""Verdicts follow from stored results by rules, and every border of a rule is walked."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_results import record, records

from clusterpolicy import evidence, results
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
    ("uneven_p", "strict_low", "strict_high", "verdict"),
    [
        (0.05, -1.0, 9.0, CANNOT_JUDGE),  # the stricter test does not exclude zero
        (0.05 + JUST, -1.0, 9.0, SUPPORTED),  # units alike: the printed interval decides
        (0.01, JUST, 9.0, SUPPORTED),
        (0.01, 2.0, 2.5, SUPPORTED),  # the wider of the two, whichever it is
        (math.nan, -1.0, 9.0, SUPPORTED),  # a record that knows no other test
    ],
)
def test_where_units_vary_more_the_wider_interval_decides(
    uneven_p, strict_low, strict_high, verdict
):
    own = {"uneven_p": uneven_p, "strict_low": strict_low, "strict_high": strict_high}
    assert judged(evidence.judge_gain, **own) == verdict


def test_the_wider_interval_reaches_as_far_as_either():
    own = {"uneven_p": 0.01, "strict_low": -4.0, "strict_high": 1.0}
    row = results.to_frame([record(low=-1.0, high=4.0, **own)]).iloc[0]
    seen = []
    evidence.judge_record(row, MARGIN, lambda estimate, *ends: seen.append(ends))
    assert seen == [(-4.0, 4.0, MARGIN)]


@pytest.mark.parametrize("judge", JUDGES)
def test_what_is_not_estimable_cannot_be_judged(judge):
    assert judged(judge, status="not estimable") == CANNOT_JUDGE


# ---- One term: what must agree before a claim is supported ------------------------------------

OUTCOMES = pd.DataFrame({"outcome": ["product"], "margin_percent": [MARGIN]})
GAIN = {"low": 1.0, "high": 9.0}
NONE = {"low": -20.0, "high": 20.0}


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
        ({"low": -9.0, "high": -1.0}, GAIN, GAIN, NOT_SUPPORTED),
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
    assert finding.part == (part and f"A gain is shown in the broad reading and base 2000, {part}")


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
    phrase = pd.Series({"phrase_id": "p", "term": term, "phrase": text})
    return evidence.RULES[rule](context(rows, **tables), phrase)


BOTH = {"main": GAIN, "narrow": GAIN, "other_base": GAIN}
NEITHER = {"main": NONE, "narrow": NONE, "other_base": NONE}
LOSS = {"main": {"low": -9.0, "high": -1.0}}


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
            "Term 1: supported. Term 2: A gain is shown in the broad reading and base 2005, not in "
            "the narrow reading.",
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


@pytest.mark.parametrize(
    ("estimate", "low", "high", "verdict"),
    [
        (0.25 + JUST, JUST, 1, SUPPORTED),
        (0.25, JUST, 1, PARTLY),
        (0.3, 0, 1, CANNOT_JUDGE),
        (0, -0.25 + JUST, 0.25 - JUST, NOT_SUPPORTED),
        (0, -0.25, 0.25 - JUST, CANNOT_JUDGE),
        (0, -0.25 + JUST, 0.25, CANNOT_JUDGE),
        (-0.6, -1, -JUST, NOT_SUPPORTED),
        (-0.6, -1, 0, CANNOT_JUDGE),
        (math.nan, math.nan, math.nan, CANNOT_JUDGE),
    ],
)
def test_places_picked_for_strength_are_told_by_the_normalised_difference(
    estimate, low, high, verdict
):
    own = {"design": "baseline comparison", "outcome": "location_quotient", "grade": 1}
    row = record(1, estimate, low, high, **own, result_id="lq")
    other = record(1, 9, 8, 10, **(own | {"outcome": "size"}), result_id="size")
    finding = find("picked for strength", results=[other, row])
    assert (finding.verdict, finding.grade, finding.result_ids) == (verdict, 1, "lq")
    small = "They were stronger, but by a small difference."
    assert finding.part == (small if verdict == PARTLY else "")


def test_strength_that_was_not_estimated_cannot_be_judged():
    finding = find("picked for strength", results=[record()])
    assert (finding.verdict, finding.grade, finding.figure) == (CANNOT_JUDGE, 0, "not estimable")


PROJECT_COLUMNS = [
    *("term", "bureau", "predecessors", "promotion_body", "funded_last_fy", "in_official_count"),
]


def projects(*rows):
    return pd.DataFrame(rows, columns=PROJECT_COLUMNS)


FIRST = (1, "North", "", "", 2005, "yes")
SECOND = (2, "North", "a", "Forum", 2009, "yes")


@pytest.mark.parametrize(
    ("count", "verdict"),
    [(17, NOT_SUPPORTED), (18, SUPPORTED), (22, SUPPORTED), (23, NOT_SUPPORTED)],
)
def test_some_twenty_is_twenty_give_or_take_a_tenth(count, verdict):
    facts = pd.DataFrame(
        [("1", "projects", str(count)), ("1", "projects_rounded", "20"), ("2", "projects", "99")],
        columns=["term", "indicator", "value"],
    )
    listed = projects(FIRST, (*FIRST[:-1], "uncertain"), SECOND)
    finding = find("some twenty", term_facts=facts, projects=listed)
    assert (finding.verdict, finding.grade) == (verdict, 1)
    assert finding.figure == (
        f"{count} by official count; 2 named in our sources, 1 of them uncertain"
    )


@pytest.mark.parametrize(
    ("named", "verdict"), [("2 projects", SUPPORTED), ("3 projects", NOT_SUPPORTED)]
)
def test_a_count_of_projects_is_held_against_the_register(named, verdict):
    listed = projects(FIRST, SECOND, SECOND, (*SECOND[:-1], "uncertain"))
    finding = find("count of projects", 2, f"{named} (as of fiscal 2009)", projects=listed)
    assert (finding.verdict, finding.figure) == (verdict, "2 projects in the register")


@pytest.mark.parametrize(
    ("predecessors", "verdict", "merged", "new"),
    [
        (("a;b", ""), SUPPORTED, 1, 1),
        (("a;b", "c"), PARTLY, 1, 0),
        (("", "c"), PARTLY, 0, 1),
        (("a", "c"), NOT_SUPPORTED, 0, 0),
    ],
)
def test_a_review_shows_in_projects_merged_and_new(predecessors, verdict, merged, new):
    listed = projects(FIRST, *((2, "North", names, "", 2009, "yes") for names in predecessors))
    finding = find("review", 2, projects=listed)
    assert finding.verdict == verdict
    assert finding.figure == f"1 projects became 2: {merged} merged from several, {new} new"


@pytest.mark.parametrize(
    ("named", "verdict"),
    [(10, SUPPORTED), (9, SUPPORTED), (8, PARTLY), (6, PARTLY), (5, NOT_SUPPORTED)],
)
def test_partnership_shows_in_named_bodies_of_nine_projects_in_ten(named, verdict):
    listed = projects(*[SECOND] * named, *[(2, "North", "", "", 2009, "yes")] * (10 - named), FIRST)
    finding = find("named bodies", 2, projects=listed)
    assert finding.verdict == verdict
    assert finding.figure == f"{named} of 10 projects with a bureau and a named promotion body"


@pytest.mark.parametrize(
    ("last_years", "verdict", "ended"),
    [
        ((2009, 2009), SUPPORTED, 2),
        ((2009, 2010), PARTLY, 1),
        ((2010, 2010), NOT_SUPPORTED, 0),
    ],
)
def test_the_end_of_money_is_told_by_the_last_funded_years(last_years, verdict, ended):
    listed = projects(*((2, "North", "", "", year, "yes") for year in last_years))
    finding = find("end of money", 3, "actually since fiscal 2010", projects=listed)
    assert finding.verdict == verdict
    assert finding.figure == f"national money ended by FY2009 for {ended} of 2 projects"


@pytest.mark.parametrize(
    ("bureaus", "verdict"),
    [(("North", "East"), SUPPORTED), (("North", ""), PARTLY), (("", ""), NOT_SUPPORTED)],
)
def test_a_central_role_shows_in_bureaus_that_ran_the_projects(bureaus, verdict):
    listed = projects(*((1, bureau, "", "", 2005, "yes") for bureau in bureaus), SECOND)
    assert find("bureaus", projects=listed).verdict == verdict


def test_counts_of_the_programme_itself_are_shown_and_not_judged():
    facts = pd.DataFrame(
        [
            ("participating_firms", "6100", "2005"),
            ("participating_firms", "9800", "2008"),
            ("participating_firms", "", "2009"),
            ("universities", "1", "2001"),
        ],
        columns=["indicator", "value", "period"],
    )
    finding = find("own count", term_facts=facts)
    assert (finding.verdict, finding.grade) == (CANNOT_JUDGE, 1)
    assert finding.figure == (
        "from 6,100 firms (2005) to 9,800 (2008), by the programme's own changing count"
    )


def test_what_no_public_figure_shows_cannot_be_judged_and_has_no_grade():
    finding = find("no public figure")
    assert (finding.verdict, finding.grade, finding.figure) == (CANNOT_JUDGE, 0, "no public figure")


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
    assert set(matrix["verdict"]) <= set(evidence.VERDICTS)
    assert (matrix["grade"] <= matrix["highest_grade"]).all()
    assert ((matrix["figure"] != "") ^ (matrix["result_ids"] != "")).all()


def test_a_phrase_without_any_figure_is_never_judged(real_study, three_terms):
    matrix = evidence.phrase_matrix(real_study, three_terms, "funded", "broad")
    blank = matrix[matrix["figure"] == "no public figure"]
    assert set(blank["verdict"]) == {CANNOT_JUDGE}
    assert blank["grade"].eq(0).all()
    assert len(blank) > 5


def test_phrases_wait_for_the_results_of_their_terms(real_study, three_terms):
    first = three_terms[three_terms["term"] == 1]
    assert set(evidence.phrase_matrix(real_study, first, "funded", "broad")["term"]) == {1}
    two = three_terms[three_terms["term"] < 3]
    assert set(evidence.phrase_matrix(real_study, two, "funded", "broad")["term"]) == {0, 1, 2}


def one_phrase(rule="no public figure", highest_grade=1):
    columns = ["phrase_id", "term", "phrase", "rule", "highest_grade"]
    phrases = pd.DataFrame([("t1-one", 1, "18 projects", rule, highest_grade)], columns=columns)
    return SimpleNamespace(outcomes=OUTCOMES, phrases=phrases)


def test_a_grade_above_the_highest_of_its_phrase_is_refused(three_terms):
    matrix = evidence.phrase_matrix(one_phrase("gain", 3), three_terms, "funded", "broad")
    assert matrix["grade"].tolist() == [3]
    with pytest.raises(ValueError, match="phrase t1-one: found grade 3: at most 2 is allowed"):
        evidence.phrase_matrix(one_phrase("gain", 2), three_terms, "funded", "broad")


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
        alone = matrix[matrix["result_ids"] == row.result_id]
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
    phrase = {"phrase_id": "p", "term": 1, "rule": "silent", "highest_grade": 1}
    study = SimpleNamespace(phrases=pd.DataFrame([phrase]))
    with pytest.raises(ValueError, match="phrase p: found 'partly supported' without saying which"):
        evidence.phrase_matrix(study, pd.DataFrame({"term": [1]}), "funded", "broad")


def test_what_is_partly_shown_of_the_third_term_is_that_no_loss_is_large():
    text = evidence.CLAIMS[evidence.judge_no_loss].format(margin=MARGIN)
    assert text == "That no loss reaches 5 percent"
    assert set(evidence.CLAIMS) == set(evidence.JUDGES.values())
