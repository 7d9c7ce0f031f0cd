"""The lines that open a report say what the records say, and nothing else."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest
from small_results import OTHER_BASE, record, records

from clusterpolicy import effects, policy, results
from clusterpolicy.findings import answers

LAUNCH = policy.Term(1, "Launch Period", "立ち上げ期", "funded", 2001, 2005, 1996, 2000)


@pytest.fixture
def study():
    projects = pd.DataFrame(
        [
            ("a", 1, "02;03", 2001, "yes"),
            ("b", 1, "03", 2001, "yes"),
            ("d", 1, "03", None, "uncertain"),  # may not have run: not counted
            ("c", 2, "47", 2006, "yes"),
        ],
        columns=["project_id", "term", "prefectures", "first_fy", "in_official_count"],
    )
    targets = pd.DataFrame(
        [("a", "02"), ("a", "03"), ("b", "03"), ("c", "47")], columns=["project_id", "pref_code"]
    )
    facts = pd.DataFrame(
        [("1", "budget", "46.5"), ("1", "objective", "Form networks"), ("2", "objective", "Grow")],
        columns=["term", "indicator", "value"],
    )
    outcomes = pd.DataFrame({"outcome": ["product"], "label": "output", "effect_unit": "percent"})
    return SimpleNamespace(
        projects=projects,
        targets=targets,
        term_facts=facts,
        outcomes=outcomes,
        projects_of_term=lambda term: policy.projects_of_term(projects, term),
    )


PHRASE_COLUMNS = [
    "phrase_id",
    "term",
    "list",
    "rule",
    "verdict",
    "grade",
    "figure",
    "result_ids",
    "change_mind",
]
MAIN = {term: record(term).result_id for term in (1, 2, 3)}


def phrases_of(*rows):
    return pd.DataFrame(rows, columns=PHRASE_COLUMNS).astype({"grade": "Int64"})


PHRASES = phrases_of(
    (
        *("aim-competitiveness", 0, "achieved", "gain", "cannot be judged here", 2, ""),
        *(f"{MAIN[1]};{MAIN[2]}", "A"),
    ),
    ("t1-existing", 1, "run", "facts", "confirmed", None, "said by A", "", "Lists"),
    ("t1-foundations", 1, "achieved", "gain", "not supported", 3, "", MAIN[1], "Plants"),
    (
        *("t1-networks", 1, "achieved", "indicator", "cannot be judged here", 0, "not found"),
        *("", "Links"),
    ),
    ("t2-business", 2, "achieved", "gain", "partly supported", 2, "", MAIN[2], "Plants"),
    ("t3-growth", 3, "achieved", "no loss", "supported", 3, "", f"{MAIN[3]};jobs", "A loss"),
)


def frame(*rows):
    return results.to_frame(
        [each for row in rows for each in (row if isinstance(row, list) else [row])]
    )


# ---- One term ---------------------------------------------------------------------------------


def test_a_term_opens_with_five_lines(study):
    rows = frame(
        records(
            1,
            {"estimate": 0.8, "low": -2.6, "high": 4.3, "p_value": 0.64, "mde": 4.84},
            {"estimate": -1.2, "low": -7.0, "high": 5.0},
            {"estimate": 2.5, "low": 0.1, "high": 5.0},
        )
    )
    of_term = PHRASES[PHRASES["term"] == 1]
    assert answers.answer_term(study, rows, of_term, LAUNCH, "broad", "All say so.") == [
        "No effect can be shown: from FY1996-2000 to FY2001-05 the output of targeted cells grew "
        "0.8 percent more than that of comparable cells, and anything from −2.6 to 4.3 percent "
        "is in keeping with the figures (95 % interval; p = 0.64). An effect of 4.8 percent would "
        "have been found four times in five. In every reading and base a gain in output above 5.0 "
        "percent does not fit the figures.",
        "Launch Period (立ち上げ期), FY2001-05 on the funded clock. Its aims: form networks. "
        "2 projects covered 2 prefectures. In the broad reading of their fields 300 of the 600 "
        "cells compared are targeted. They are compared with the five fiscal years before the "
        "policy.",
        "In the narrow reading of the fields the difference is −1.2 percent (−7.0 to 5.0). All say "
        "so.",
        "Before the term (FY1996-2000) targeted and comparable cells did not detectably move apart "
        "(p = 0.50); but a gap of up to 9.5 percent in any one year could have gone unseen, so "
        "this does not prove that they moved alike.",
        "1 phrases on how the policy was run, held against sources: 1 confirmed; 2 phrases on what "
        "it achieved: 1 not supported, 1 cannot be judged here.",
    ]


def test_the_lines_turn_with_the_reading(study):
    rows = frame(records(1, {"estimate": 0.8}, {"estimate": -1.2}))
    lines = answers.answer_term(study, rows, PHRASES[:1], LAUNCH, "narrow", "")
    assert "1.2 percent less" in lines[0]
    assert lines[2].startswith("In the broad reading of the fields the difference is +0.8 percent")


def test_a_term_that_is_not_estimable_says_so_in_every_line(study):
    missing = {"status": "not estimable", "reason": "4 targeted cells where 10 are needed"}
    empty = dict.fromkeys(("estimate", "low", "high", "p_value", "mde", "pretrend_p"), math.nan)
    rows = frame(records(1, *[missing | empty] * 3), [])
    rows["status"] = "not estimable"
    lines = answers.answer_term(study, rows, PHRASES[:1], LAUNCH, "broad", "None is.")
    assert lines[0].startswith("Not estimable: 4 targeted cells where 10 are needed")
    assert (
        lines[2] == "In the narrow reading of the fields the difference is not estimable. None is."
    )
    assert lines[3].startswith("There are too few years before the term")
    weighed = answers.weigh_term(rows, PHRASES, LAUNCH, "broad")
    assert weighed["strongest"].startswith("none: Not estimable: 4 targeted cells")


def test_what_speaks_for_and_against_a_term_is_weighed():
    rows = frame(
        records(
            1,
            {"estimate": 0.8, "low": -2.6, "high": 4.3},
            {"estimate": -1.2, "low": -7.0, "high": 5.0},
            {"estimate": 2.5, "low": -1.0, "high": 6.0},
        )
    )
    assert answers.weigh_term(rows, PHRASES, LAUNCH, "broad") == {
        "strongest": "6,000 figures of the prefectural accounts, 300 targeted cells against 300 "
        "that were not targeted: +0.8 percent (−2.6 to 4.3), grade 3 of 5.",
        "doubt": "Which industries a field means is our reading, and the accounts were rebased: "
        "the estimate is −1.2 percent (−7.0 to 5.0) in the narrow reading and +2.5 percent (−1.0 "
        "to 6.0) in base 1995.",
        "change_mind": "A; or plants.",
    }


@pytest.mark.parametrize(("p_value", "is_doubt"), [(0.0501, False), (0.05, True), (0.004, True)])
def test_paths_that_differed_before_the_term_are_the_first_doubt(p_value, is_doubt):
    rows = frame(records(1, {"pretrend_p": p_value}))
    doubt = answers.weigh_term(rows, PHRASES, LAUNCH, "broad")["doubt"]
    assert doubt.startswith("Targeted cells had moved apart from the others") == is_doubt


def test_a_grade_below_that_of_the_design_says_why():
    def strongest(**changes):
        return answers.weigh_term(frame(records(1, changes)), PHRASES, LAUNCH, "broad")["strongest"]

    assert strongest().endswith("grade 3 of 5.")
    blind = strongest(pretrend_detectable=20.1, grade=2)
    assert blind.endswith("because the years before the term could hide a gap above 20 percent.")
    apart = strongest(pretrend_p=0.05, grade=2)
    assert apart.endswith("because the groups had moved apart before the term.")


def test_the_third_term_says_how_large_a_loss_each_base_leaves_possible():
    rows = frame(records(3, {"low": -4.4}, {}, {"low": 0.3}))
    main = rows.iloc[0]
    assert answers._loss(rows, main) == (
        "Once the money had ended a loss of up to 4.4 percent in base 2005 and of up to 0.0 "
        "percent in base 2011 is possible."
    )
    assert answers._loss(frame(records(2)), frame(records(2)).iloc[0]) == ""


def test_the_second_term_says_whose_cells_are_judged():
    cells = pd.DataFrame(
        [("x", True, True), ("x;y", True, False), ("z", True, False), ("", False, False)],
        columns=["projects_2", "is_targeted_2", "is_targeted_1"],
    ).assign(base="b2005", fields_map="broad")
    text = answers._newcomers(SimpleNamespace(cells=cells), frame(record(2)).iloc[0])
    assert text.startswith("3 of them named industries that no project of term 1 had named there")
    assert "1 cells that term 1 had targeted" in text


OUTCOMES = pd.DataFrame(
    [
        ("product", "output", "percent"),
        ("employees", "jobs", "percent"),
        ("last_plant_lost", "share that lost its last plant", "percentage points"),
    ],
    columns=["outcome", "label", "effect_unit"],
)


def ruled_out(*rows):
    study = SimpleNamespace(outcomes=OUTCOMES)
    return answers.ruled_out_sentence(study, frame(*rows), 1, "funded")


def test_what_is_ruled_out_is_the_largest_gain_that_any_reading_or_base_leaves():
    rows = records(1, {"high": 4.0}, {"high": 6.04}, {"high": 7.26})
    assert ruled_out(rows) == (
        "In every reading and base a gain in output above 7.3 percent does not fit the figures."
    )


def test_gains_of_other_outcomes_are_ruled_out_by_their_own_names():
    of_jobs = [
        record(1, high=9.0, outcome="employees", fields_map=each, result_id=f"jobs-{each}")
        for each in policy.FIELDS_MAPS
    ]
    of_shares = record(1, outcome="last_plant_lost", result_id="share")  # not a gain
    assert ruled_out(records(1), of_jobs, of_shares) == (
        "In every reading and base a gain in jobs above 9.0 percent, or in output above 3.0 "
        "percent does not fit the figures."
    )


@pytest.mark.parametrize(
    "change", [{"status": "not estimable"}, {"high": math.inf}, {"pretrend_p": 0.05}]
)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_nothing_is_ruled_out_where_one_reading_or_base_leaves_it_open(position, change):
    changes = [{}, {}, {}]
    changes[position] = change
    assert ruled_out(records(1, *changes)) == ""
    assert ruled_out(records(2)) == ""  # no estimate of the term at all


# ---- The whole policy -------------------------------------------------------------------------


def test_the_study_opens_with_the_aim_and_each_term():
    rows = frame(records(1), records(2, {"pretrend_p": 0.05}), records(3))
    lines = answers.answer_policy(rows, PHRASES, "funded", "broad")
    assert len(lines) == 5
    assert lines[0] == (
        "Did industries that the policy targeted outgrow comparable ones? Cannot be judged here, "
        "with evidence of grade 2 of 5."
    )
    for term in (1, 2, 3):
        assert lines[term].startswith(f"Term {term}: no effect can be shown: from FY")
        assert "grew 1.0 percent more" in lines[term]
    assert ["Already before the term" in line for line in lines] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert lines[4] == (
        "1 phrases on how the policy was run, held against sources: 1 confirmed; 5 phrases on what "
        "it achieved: 1 supported, 1 partly supported, 1 not supported, 2 cannot be judged here."
    )


def test_a_list_without_phrases_is_not_counted():
    lines = answers.answer_policy(
        frame(records(1), records(2), records(3)), PHRASES[:1], "funded", "broad"
    )
    assert lines[4] == "1 phrases on what it achieved: 1 cannot be judged here."


def test_the_strongest_evidence_is_the_narrowest_interval():
    rows = frame(records(1, {"low": -9.0}), records(2, {"low": -2.0}), records(3, {"low": -5.0}))
    weighed = answers.weigh_policy(rows, PHRASES, "funded", "broad")
    assert weighed["strongest"].startswith("Term 2: 6,000 figures")
    assert f"in base {OTHER_BASE[2][1:]}." in weighed["doubt"]
    assert weighed["change_mind"] == "A; or plants; or a loss."


def test_a_term_that_is_not_estimable_is_not_the_strongest_evidence():
    missing = {"status": "not estimable", "low": math.nan, "high": math.nan}
    rows = frame(records(1, missing), records(2, {"low": -9.0}), records(3, {"low": -5.0}))
    weighed = answers.weigh_policy(rows, PHRASES, "funded", "broad")
    assert weighed["strongest"].startswith("Term 3: 6,000 figures")


def test_every_report_has_a_card_with_the_verdict_of_its_main_estimate(real_study):
    rows = frame(records(1), records(2), records(3))
    cards = answers.report_cards(real_study, rows, PHRASES, "funded", "broad").set_index("name")
    assert cards["href"].tolist() == [f"{name}.html" for name in cards.index]
    assert cards["verdict"].tolist()[:3] == ["not supported", "partly supported", "supported"]
    assert pd.isna(cards.at["data-quality", "verdict"])
    assert cards.at["term-1", "title"] == "Term 1: Industrial Cluster Launch Period"
    assert cards.at["term-1", "answer"] == (
        "Targeted against comparable cells: +1.0 percent (−1.0 to 3.0)."
    )
    assert "in 4 base years, 187 of them hidden" in cards.at["data-quality", "answer"]


# ---- Single sentences -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "verdict"), [(9e-9, "agree"), (2e-8, "DISAGREE"), (-2e-8, "DISAGREE")]
)
def test_two_programs_agree_to_eight_digits(gap, verdict):
    opinion = {"ours": 0.0082, "theirs": 0.0082 + gap, "std_error": 0.017, "observations": 6042}
    sentence = answers.agreement_sentence(opinion)
    assert sentence.endswith(f"both from 6,042 figures. They {verdict}.")
    assert sentence.startswith("This study: 0.820000 log points x 100")


CHECKED = {
    "wild_low": -2.0,
    "wild_high": 2.0,
    "wild_p": 0.4,
    "block_low": -9.0,
    "block_high": 8.0,
    "block_p": 0.6,
    "least_squares": 1.25,
    "effective_targeted": 9.9,
}


@pytest.mark.parametrize(("n_units", "floor"), [(5, "p = 0.063"), (6, None)])
def test_the_cross_checks_say_what_the_estimate_rests_on(n_units, floor):
    text = answers.crosscheck_sentence(frame(record(**CHECKED, n_units=n_units)).iloc[0])
    assert "the interval is −9.0 to 8.0 percent (p = 0.60)." in text
    assert "Without clipping the estimate is +1.3 percent" in text
    assert "wild cluster bootstrap of it by prefecture runs −2.0 to 2.0 percent (p = 0.40)" in text
    assert f"on 300 targeted cells in {n_units} units, worth 9.9 equal ones." in text
    assert ("So few units allow no smaller p-value" in text) == bool(floor)
    assert floor is None or f"than {floor} if only the signs" in text


@pytest.mark.parametrize(("against", "turned"), [(-1.8, True), (2.4, False)])
def test_another_base_year_is_said_and_whether_it_turns_the_sign(against, turned):
    own = {"from_base_year": against, "honest_low": -23.0, "honest_high": 33.1, "breakdown": 0.0}
    text = answers.drift_sentence(frame(record(**own)).iloc[0])
    sign = "−1.8" if turned else "+2.4"
    assert text.startswith(f"Against FY2000 alone the mean of the years of the term is {sign} perc")
    assert ("even the sign hangs" in text) == turned
    assert "effects from −23.0 to 33.1 percent against FY2000" in text
    assert text.endswith("even without any drift, so the breakdown value is 0.")
    firm = answers.drift_sentence(frame(record(**own | {"breakdown": 0.62})).iloc[0])
    assert firm.endswith("at which it would hold zero, is 0.62 times that change.")
    assert answers.drift_sentence(frame(record()).iloc[0]) == ""  # no event study


def test_cells_of_both_terms_are_told_in_the_second_term_only():
    both = {"role": "check", "sample": effects.CONTINUED, "result_id": "both", "n_targeted": 286}
    rows = frame(records(2), record(2, 3.2, -1.0, 7.5, **both))
    text = answers.continued_sentence(rows, rows.iloc[0])
    assert "they moved by +3.2 percent (−1.0 to 7.5) (p = 0.30; 286 of 600 cells)" in text
    few = both | {"status": "not estimable", "reason": "3 targeted cells where 10 are needed"}
    rows = frame(records(2), record(2, **few))
    assert "Not estimable: 3 targeted cells" in answers.continued_sentence(rows, rows.iloc[0])
    assert answers.continued_sentence(rows, frame(record(1)).iloc[0]) == ""


def test_what_was_declared_is_said_from_the_tables(real_study):
    rows = frame(records(1, {"draws": 9_999, "smallest_p": 0.0002}))
    text = answers.declared_sentence(real_study, rows, rows.iloc[0])
    assert "the primary outcome is output; a difference below 5" in text
    assert "one percentage point of growth a year" in text
    assert "Secondary outcomes: shipments; jobs; plants;" in text
    assert "for the 2 readings of the fields" in text
    assert "reassigned 9,999 times; no p-value can be below 0.0002," in text


@pytest.mark.parametrize(
    ("targeted", "gap"), [(12.34, "2.4 percent more"), (7.5, "2.5 percent less")]
)
def test_the_plain_gap_is_that_of_the_last_year(targeted, gap):
    paths = pd.DataFrame(
        [
            (2004, "targeted", 99.0),
            (2004, "other", 0.0),
            (2005, "targeted", targeted),
            (2005, "other", 10.0),
        ],
        columns=["fy", "group", "value"],
    )
    sentence = answers.plain_gap_sentence(paths, frame(record()).iloc[0])
    assert f"From the base year to FY2005 targeted cells grew {gap} than the others." in sentence
    assert sentence.endswith("+1.0 percent (−1.0 to 3.0) is left over the whole term.")


def test_the_report_on_the_data_opens_with_its_counts():
    study = SimpleNamespace(
        cell_panel=pd.DataFrame({"status": ["observed"] * 7 + ["hidden"] * 2 + ["nil"]}),
        prefecture_panel=pd.DataFrame(index=range(94)),
        fitness=pd.DataFrame({"fitness": ["fit", "not fit", "not fit"]}),
    )
    sums = pd.DataFrame({"known_gap": [0, 0, 5.0, 0]})
    totals = pd.DataFrame({"is_equal": [True, False]})
    assert answers.answer_data(study, sums, totals) == [
        "Of 3 questions, the figures are fit for 1, fit with care for 0 and not fit for 2: "
        "networks and innovation cannot be judged.",
        "Sums over prefectures meet the published total to its last digit in 1 of 2 years for "
        "which one was published.",
        "Industries add up to manufacturing in 3 of 4 prefectures and years without hidden cells; "
        "the other 1 gaps stand in the published tables.",
        "2 figures of cells are hidden by the publisher; they stay hidden and are neither zero nor "
        "guessed.",
        "10 figures of cells and 94 of prefectures are kept in the repository.",
    ]


@pytest.mark.parametrize(("p_value", "first"), [(0.5, "A check."), (0.01, "Targeted cells had")])
def test_a_check_that_speaks_against_comes_before_our_own_readings(p_value, first):
    rows = frame(records(1, {"pretrend_p": p_value}))
    weighed = answers.weigh_term(rows, PHRASES, LAUNCH, "broad", "A check.")
    assert weighed["doubt"].startswith(first)
