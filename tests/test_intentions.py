"""The policy's words, the logic model, money beside outcome, and what sources state differently."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from clusterpolicy import sources, tables
from clusterpolicy.evidence import CANNOT_JUDGE, NOT_SUPPORTED, PARTLY, SUPPORTED
from clusterpolicy.findings import intentions, logicchart

VERDICTS = {1: SUPPORTED, 2: PARTLY, 3: NOT_SUPPORTED, 0: CANNOT_JUDGE}


def judged(study, grade_of):
    """Return the phrases with a grade each, and a verdict that goes with it."""
    grades = study.phrases["phrase_id"].map(grade_of).fillna(0).astype(int)
    return study.phrases[["phrase_id", "list"]].assign(grade=grades, verdict=grades.map(VERDICTS))


def main_record(term, low, high, status="estimated"):
    return {
        "result_id": f"t{term}",
        "outcome": "product",
        "design": "triple difference",
        "role": "main",
        "term": term,
        "clock": "funded",
        "fields_map": "broad",
        "estimate": (low + high) / 2,
        "low": low,
        "high": high,
        "status": status,
    }


def test_a_step_is_as_good_as_its_best_phrase(real_study):
    steps = real_study.logic_model.set_index("link_id")["phrases"].str.split(";")
    first, second = steps["projects-networks"][:2]
    graded = judged(real_study, {first: 1, second: 3})
    found = intentions.judge_steps(real_study, graded).set_index("link_id")
    row = found.loc["projects-networks"]
    assert (row["grade"], row["n_supported"], row["n_judged"]) == (3, 1, 2)
    assert row["n_phrases"] == row["n_achieved"] == len(steps["projects-networks"])
    assert (found["n_run"] + found["n_achieved"]).equals(found["n_phrases"])
    others = found.drop(index="projects-networks")
    assert (others["grade"] == 0).all()
    assert (others["n_supported"] == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("t1-networks;", ""), "found t1-networks at no step"),
        (lambda text: text + ";t2-review", "t2-review at several"),
    ],
)
def test_every_phrase_stands_at_one_step(real_study, change, message):
    model = real_study.logic_model.copy()
    at = model["link_id"] == "projects-networks"
    model.loc[at, "phrases"] = model.loc[at, "phrases"].map(change)
    study = dataclasses.replace(real_study, logic_model=model)
    with pytest.raises(sources.DataFault, match=message):
        intentions.judge_steps(study, judged(study, {}))


@pytest.mark.parametrize(
    ("known", "ends", "status", "reason"),
    [
        (2, (1, 5), "estimated", "money known for 2 of 5 years"),
        (5, (-1, 5), "estimated", "the outcome cannot be distinguished from zero"),
        (5, (0, 5), "estimated", "the outcome cannot be distinguished from zero"),
        (5, (1, 5), "estimated", ""),
        (5, (-5, -1), "estimated", ""),
        (
            0,
            (np.nan, np.nan),
            "not estimable",
            "money known for 0 of 5 years; no outcome could be estimated",
        ),
    ],
)
def test_cost_is_computable_only_with_both_figures(real_study, known, ends, status, reason):
    facts = pd.DataFrame(
        {
            "indicator": [f"budget_fy{year}" for year in range(2001, 2006)]
            + ["budget_fy2005_networking", "budget_request_fy2006"],
            "value": ["10"] * known + [""] * (5 - known) + ["3", "70"],
            "unit": "billion yen",
            "period": "",
            "confidence": "medium",
            "note": "all related measures",
        }
    )
    study = dataclasses.replace(real_study, term_facts=facts)
    results = pd.DataFrame(
        [main_record(1, *ends, status), main_record(2, -1, 1), main_record(3, -1, 1)]
    )
    found = intentions.set_money_beside(study, results, "funded", "broad").set_index("term")
    assert found.at[1, "reason"] == reason
    assert found.at[1, "n_known"] == known
    assert found.at[1, "known"].count("billion yen") == known
    assert (found.at[2, "first_fy"], found.at[2, "last_fy"]) == (2006, 2009)  # as money ran
    assert found.at[2, "n_known"] == 0  # a request is no budget
    assert found.at[1, "scope"].count("Budget of FY") == known
    assert found.at[2, "scope"] == "Request of FY2006 (70 billion yen): all related measures"
    assert found.at[3, "reason"].startswith("no budget of its own was found")


def test_what_a_budget_counts_stands_beside_it(real_study):
    results = pd.DataFrame([main_record(term, -1, 1) for term in (1, 2, 3)])
    money = intentions.set_money_beside(real_study, results, "funded", "broad").set_index("term")
    facts = real_study.term_facts.set_index("indicator")
    for term, indicator in (
        (1, "budget_fy2005"),
        (2, "budget_fy2006"),
        (2, "budget_request_fy2006"),
    ):
        assert facts.at[indicator, "note"] in money.at[term, "scope"]
    assert facts.at["budget_request_fy2006", "value"] in money.at[2, "scope"]
    assert facts.at[intentions.STATUS_OF_MONEY, "note"] in money.at[3, "scope"]
    grid = tables.money_table(money.reset_index()).data
    assert grid["known"].tolist()[2] == "not found"
    assert grid["cost"].str.startswith("not computable: ").all()


def test_ours_stands_only_beside_studies_of_the_output_of_this_policy(real_study):
    results = pd.DataFrame([{**main_record(term, -1, 1), "unit": "percent"} for term in (1, 2)])
    beside = intentions.set_beside(real_study, results, "funded", "broad").set_index("eval_id")
    is_output = beside["compared"] == "output"
    assert beside.loc[is_output, "ours"].str.startswith("product of targeted cells, term 1").all()
    assert beside.loc[~is_output, "ours"].str.fullmatch(r"not comparable: (other|no) [a-z ]+").all()
    assert set(beside.index[is_output]) == {"okubo-okazaki-2015", "hokkaido-bureau-2011"}
    # Another programme is what keeps us apart exactly where it is not this policy.
    elsewhere = beside["compared"].str.contains("programme")
    assert elsewhere.equals(beside["is_this_policy"] == "no")
    linked = beside.loc["okubo-okazaki-2015"]
    assert "matched" not in " ".join(linked.astype(str))  # linked to a database, not to controls
    assert "nationwide" in linked["design"]


def sentences_of(page):
    """Return the sentences on the policy; headings and crumbs are left out."""
    text = " ".join(page.split())
    return re.findall(
        r"[A-Z][^.]{40,}(?:\.|$|(?= Second Term))", text[text.index("The Industrial") :]
    )


def test_every_phrase_is_the_ministrys_and_no_sentence_goes_unanswered(real_study, shared):
    page = " ".join((shared / "policy_page.txt").read_text(encoding="utf-8").split())
    phrases = real_study.phrases["phrase"]
    assert [phrase for phrase in phrases if phrase not in page] == []
    unanswered = [
        sentence
        for sentence in sentences_of(page)
        if not any(phrase in sentence for phrase in phrases)
    ]
    assert unanswered == []


def test_that_no_figure_was_found_is_not_called_none_existing(real_study):
    """What nobody found may still exist: only the question whether it does is open."""
    for text in real_study.phrases["indicator"]:
        assert not re.search(r"\b(is|are) (not )?public\b", text), text


def test_conflicts_are_listed_by_date_and_agreement_is_not_one(real_study):
    facts = pd.DataFrame(
        {
            "subject": ["firms", "firms", "bodies", "bodies", "", "firms"],
            "value": ["9", "5", "3", "3", "7", ""],
            "period": ["2005", "2001", "2001", "2002", "2001", "2000"],
        }
    )
    found = intentions.find_conflicts(dataclasses.replace(real_study, term_facts=facts))
    assert found[["subject", "value"]].to_numpy().tolist() == [["firms", "5"], ["firms", "9"]]
    real = intentions.find_conflicts(real_study)
    assert real.groupby("subject")["value"].nunique().ge(2).all()
    assert {"firms taking part", "money for FY2006"} <= set(real["subject"])


@pytest.fixture
def steps():
    return pd.DataFrame(
        {
            "from_step": ["Money", "Money", "Networks"],
            "to_step": ["Networks", "Output", "Output"],
            "how_judged": ["counts", "the whole chain", "nothing"],
            "n_achieved": [2, 2, 0],
            "n_supported": [1, 0, 0],
            "n_run": [0, 1, 1],
            "n_confirmed": [0, 1, 0],
            "grade": [1, 3, 0],
        }
    )


def test_the_drawing_shades_by_grade_and_dashes_what_no_figure_tests(steps):
    chart = logicchart.plot_logic_model(steps)
    arrows = [patch for patch in chart.figure.axes[0].patches if patch.get_gid()]
    assert [patch.get_gid() for patch in arrows].count("untested") == 1
    widths = {patch.get_gid(): patch.get_linewidth() for patch in arrows}
    assert widths["untested"] < widths["step"]
    luminance = {  # of the two steps, in the order of the table
        round(sum(patch.get_edgecolor()[:3]), 3) for patch in arrows if patch.get_gid() == "step"
    }
    assert len(luminance) == 2
    assert "grade 3, is on the step from money to output" in chart.alt
    assert "2 have graded evidence, 1 have none" in chart.alt
    assert "Networks to output: 0 of 1 confirmed." in chart.alt  # no sum over the two lists


def test_a_circle_is_refused(steps):
    steps.loc[2, "to_step"] = "Money"
    with pytest.raises(ValueError, match="run in a circle"):
        logicchart.plot_logic_model(steps)
