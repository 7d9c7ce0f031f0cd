"""What may be said: verdicts, grades and the phrase matrix."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pandas as pd

from clusterpolicy import effects
from clusterpolicy.panel import Study
from clusterpolicy.results import PRETREND_LEVEL, choose, grade_design, main_estimate

SUPPORTED = "supported"
PARTLY = "partly supported"
NOT_SUPPORTED = "not supported"
CANNOT_JUDGE = "cannot be judged here"
VERDICTS = (SUPPORTED, PARTLY, NOT_SUPPORTED, CANNOT_JUDGE)

# Official wording "some 20" is read as 20, give or take a tenth.
SOME_SHARE = 0.10
# Bodies of nine projects in ten must be named before partnership counts as shown.
NAMED_SHARE = 0.90
# Units of the estimate vary more if no larger share of the other assignments vary as much.
UNEVEN_LEVEL = 0.05
# Imbens and Rubin's rule of thumb: a normalised difference above a quarter is not small.
NOT_SMALL = 0.25


def judge_gain(estimate: float, low: float, high: float, margin: float) -> str:
    """Judge the claim that something rose because of the policy.

    Supported if the interval lies above zero; not supported if it lies inside the margin of
    indifference or below zero; otherwise it cannot be judged here.

    Parameters
    ----------
    estimate, low, high : float
        Estimate and ends of its interval; NaN if not estimable.
    margin : float
        Margin of indifference, positive, in the unit of the estimate.
    """
    _require_margin(margin)
    if any(math.isnan(each) for each in (estimate, low, high)):
        return CANNOT_JUDGE
    if low > 0:
        return SUPPORTED
    if high < 0 or (-margin < low and high < margin):
        return NOT_SUPPORTED
    return CANNOT_JUDGE


def judge_no_loss(estimate: float, low: float, high: float, margin: float) -> str:
    """Judge the claim that nothing was lost once the money stopped.

    Supported if the interval excludes every loss as large as the margin; not supported if it lies
    below zero and does not; otherwise it cannot be judged here.
    """
    _require_margin(margin)
    if any(math.isnan(each) for each in (estimate, low, high)):
        return CANNOT_JUDGE
    if low > -margin:
        return SUPPORTED
    return NOT_SUPPORTED if high < 0 else CANNOT_JUDGE


def _require_margin(margin: float) -> None:
    if not margin > 0:
        raise ValueError(f"margin: found {margin}: it must be above zero")


@dataclass(frozen=True)
class Finding:
    """What a rule finds about a phrase.

    Attributes
    ----------
    verdict : str
        One of ``VERDICTS``.
    grade : int
    figure : str
        Counts in words; empty where estimates are the figure.
    result_ids : str
        Names of the estimates it stands on, joined by ``;``.
    part : str
        Which part is supported and which is not, where the verdict is partly.
    """

    verdict: str
    grade: int
    figure: str = ""
    result_ids: str = ""
    part: str = ""


@dataclass(frozen=True)
class Context:
    """What the rules of the phrases may look at."""

    study: Study
    results: pd.DataFrame
    clock: str
    fields_map: str

    @property
    def margin(self) -> float:
        """Margin of indifference of the primary outcome, in percent."""
        outcomes = self.study.outcomes.set_index("outcome")
        return float(outcomes.at["product", "margin_percent"])

    def main(self, term: int) -> pd.Series:
        """Return the main estimate of `term` on the report's clock and reading."""
        return main_estimate(self.results, term, self.clock, self.fields_map)

    def companions(self, term: int) -> pd.DataFrame:
        """Return what must agree before a claim is supported: other reading, other base."""
        rows = choose(self.results, term=term, clock=self.clock, sample=effects.MAIN_SAMPLE)
        is_other_map = (rows["fields_map"] != self.fields_map) & (rows["role"] == "main")
        is_other_base = (rows["fields_map"] == self.fields_map) & (rows["role"] == "check")
        return rows[is_other_map | is_other_base]


Judge = Callable[[float, float, float, float], str]


# What each term is held to: a gain while money was paid, no loss once it stopped.
JUDGES: dict[int, Judge] = {1: judge_gain, 2: judge_gain, 3: judge_no_loss}


CLAIMS: dict[Judge, str] = {
    judge_gain: "A gain",
    judge_no_loss: "That no loss reaches {margin:g} percent",
}


def judge_record(record: pd.Series, margin: float, judge: Judge) -> str:
    """Judge one estimate; one whose paths differed before the term cannot be judged.

    Where the units of the estimate vary more than those of other assignments, the interval reaches
    as far as either of the two permutation tests, since the printed one may then hold too rarely.
    """
    if record["status"] != "estimated" or record["pretrend_p"] <= PRETREND_LEVEL:
        return CANNOT_JUDGE
    low, high = record["low"], record["high"]
    if record["uneven_p"] <= UNEVEN_LEVEL:
        low, high = min(low, record["strict_low"]), max(high, record["strict_high"])
    return judge(record["estimate"], low, high, margin)


def judge_term(context: Context, term: int, judge: Judge) -> Finding:
    """Judge the main estimate of a term, which the other reading and the other base must bear out.

    A claim that holds in one reading of the fields or in one base of the accounts only is no part
    of the phrase that holds: it cannot be judged, and the finding says in which it holds.
    """
    row = context.main(term)
    verdict, part = judge_record(row, context.margin, judge), ""
    if verdict == SUPPORTED:
        against = [
            _tell_apart(other, row)
            for _, other in context.companions(term).iterrows()
            if judge_record(other, context.margin, judge) != SUPPORTED
        ]
        if against:
            verdict = CANNOT_JUDGE
            claim = CLAIMS[judge].format(margin=context.margin)
            part = (
                f"{claim} is shown in the {row['fields_map']} reading and base {row['base'][1:]}, "
                f"not in {' and '.join(against)}."
            )
    return Finding(verdict, int(row["grade"]), result_ids=row["result_id"], part=part)


def _tell_apart(other: pd.Series, main: pd.Series) -> str:
    if other["base"] != main["base"]:
        return f"base {other['base'][1:]}"
    return f"the {other['fields_map']} reading"


def _find_gain(context: Context, phrase: pd.Series) -> Finding:
    """Gain in product of targeted cells, in the term or, for the aim, in both funded terms."""
    terms = (1, 2) if phrase["term"] == 0 else (phrase["term"],)
    found = [judge_term(context, term, judge_gain) for term in terms]
    verdicts = {finding.verdict for finding in found}
    if len(verdicts) == 1:
        verdict = verdicts.pop()
    else:
        verdict = PARTLY if verdicts & {SUPPORTED, PARTLY} else CANNOT_JUDGE
    return Finding(
        verdict,
        min(finding.grade for finding in found),
        result_ids=";".join(finding.result_ids for finding in found),
        part=" ".join(
            f"Term {term}: {finding.part or finding.verdict + '.'}"
            for term, finding in zip(terms, found, strict=True)
        )
        if verdict == PARTLY
        else "",
    )


def _find_no_loss(context: Context, phrase: pd.Series) -> Finding:
    return judge_term(context, phrase["term"], judge_no_loss)


def _find_strength(context: Context, phrase: pd.Series) -> Finding:
    """Were places picked for strength: location quotient of targeted cells at the baseline."""
    rows = choose(
        context.results,
        design="baseline comparison",
        term=phrase["term"],
        clock=context.clock,
        fields_map=context.fields_map,
        outcome="location_quotient",
    )
    if rows.empty:
        return Finding(CANNOT_JUDGE, 0, "not estimable")
    row, part = rows.iloc[0], ""
    if row["low"] > 0:
        verdict = SUPPORTED if row["estimate"] > NOT_SMALL else PARTLY
        part = "" if verdict == SUPPORTED else "They were stronger, but by a small difference."
    elif row["high"] < 0 or (row["low"] > -NOT_SMALL and row["high"] < NOT_SMALL):
        verdict = NOT_SUPPORTED
    else:
        verdict = CANNOT_JUDGE
    return Finding(verdict, int(row["grade"]), result_ids=row["result_id"], part=part)


def _find_some_twenty(context: Context, phrase: pd.Series) -> Finding:
    facts = context.study.term_facts
    stated = facts[(facts["term"] == "1") & facts["indicator"].isin(["projects"])]["value"]
    rounded = facts[(facts["term"] == "1") & (facts["indicator"] == "projects_rounded")]["value"]
    count, named = int(stated.iloc[0]), int(rounded.iloc[0])
    projects = context.study.projects
    listed = projects[projects["term"] == 1]
    uncertain = int((listed["in_official_count"] == "uncertain").sum())
    close = abs(count - named) <= SOME_SHARE * named
    return Finding(
        SUPPORTED if close else NOT_SUPPORTED,
        grade_design("count", has_comparison=False),
        f"{count} by official count; {len(listed)} named in our sources, {uncertain} of them "
        "uncertain",
    )


def _find_count(context: Context, phrase: pd.Series) -> Finding:
    """Projects of the second term that count officially, against the number in the phrase."""
    named = int(re.search(r"\d+", phrase["phrase"]).group())
    projects = context.study.projects
    counted = projects[(projects["term"] == 2) & (projects["in_official_count"] == "yes")]
    verdict = SUPPORTED if len(counted) == named else NOT_SUPPORTED
    grade = grade_design("count", has_comparison=False)
    return Finding(verdict, grade, f"{len(counted)} projects in the register")


def _find_review(context: Context, phrase: pd.Series) -> Finding:
    """Projects of the second term that were merged from several, or had no forerunner."""
    second = context.study.projects[context.study.projects["term"] == 2]
    forerunners = second["predecessors"].str.split(";").map(lambda ids: len([i for i in ids if i]))
    new, merged = int((forerunners == 0).sum()), int((forerunners > 1).sum())
    first = context.study.projects[context.study.projects["term"] == 1]
    verdict = SUPPORTED if new and merged else PARTLY if new or merged else NOT_SUPPORTED
    figure = f"{len(first)} projects became {len(second)}: {merged} merged from several, {new} new"
    return Finding(verdict, grade_design("count", has_comparison=False), figure)


def _find_bodies(context: Context, phrase: pd.Series) -> Finding:
    """Projects of the second term with a bureau and a named promotion body."""
    second = context.study.projects[context.study.projects["term"] == 2]
    named = second[(second["promotion_body"] != "") & (second["bureau"] != "")]
    share = len(named) / len(second)
    verdict = SUPPORTED if share >= NAMED_SHARE else PARTLY if share > 0.5 else NOT_SUPPORTED
    figure = f"{len(named)} of {len(second)} projects with a bureau and a named promotion body"
    return Finding(verdict, grade_design("count", has_comparison=False), figure)


def _find_shift(context: Context, phrase: pd.Series) -> Finding:
    """Projects whose national money had ended before the year in the phrase."""
    year = int(re.search(r"\d{4}", phrase["phrase"]).group())
    second = context.study.projects[context.study.projects["term"] == 2]
    ended = int((second["funded_last_fy"] < year).sum())
    verdict = SUPPORTED if ended == len(second) else PARTLY if ended else NOT_SUPPORTED
    figure = f"national money ended by FY{year - 1} for {ended} of {len(second)} projects"
    return Finding(verdict, grade_design("count", has_comparison=False), figure)


def _find_bureaus(context: Context, phrase: pd.Series) -> Finding:
    """Projects of the first term that a bureau of the ministry ran."""
    first = context.study.projects[context.study.projects["term"] == 1]
    led = int((first["bureau"] != "").sum())
    verdict = SUPPORTED if led == len(first) else PARTLY if led else NOT_SUPPORTED
    figure = f"{led} of {len(first)} projects drawn up by a bureau of the ministry"
    return Finding(verdict, grade_design("count", has_comparison=False), figure)


def _find_own_count(context: Context, phrase: pd.Series) -> Finding:
    """Members as the programme itself counted them: a figure, but nothing to judge by."""
    facts = context.study.term_facts
    counts = facts[(facts["indicator"] == "participating_firms") & (facts["value"] != "")]
    counts = counts.assign(value=counts["value"].astype(int)).sort_values("value")
    low, high = counts.iloc[0], counts.iloc[-1]
    figure = (
        f"from {low['value']:,} firms ({low['period']}) to {high['value']:,} ({high['period']}), "
        "by the programme's own changing count"
    )
    return Finding(CANNOT_JUDGE, grade_design("count", has_comparison=False), figure)


def _find_nothing(context: Context, phrase: pd.Series) -> Finding:
    return Finding(CANNOT_JUDGE, 0, "no public figure")


RULES: dict[str, Callable[[Context, pd.Series], Finding]] = {
    "gain": _find_gain,
    "no loss": _find_no_loss,
    "picked for strength": _find_strength,
    "some twenty": _find_some_twenty,
    "count of projects": _find_count,
    "review": _find_review,
    "named bodies": _find_bodies,
    "end of money": _find_shift,
    "bureaus": _find_bureaus,
    "own count": _find_own_count,
    "no public figure": _find_nothing,
}


def phrase_matrix(study: Study, results: pd.DataFrame, clock: str, fields_map: str) -> pd.DataFrame:
    """Answer every phrase of the policy page.

    Parameters
    ----------
    study : Study
    results : DataFrame
        Records of the terms that the phrases need.
    clock, fields_map : str
        Reading the answers stand on.

    Returns
    -------
    DataFrame
        The table ``phrases`` with ``verdict``, ``grade``, ``figure`` (in words, for counts) and
        ``result_ids`` (for estimates); terms without results are left out.

    Raises
    ------
    ValueError
        If a phrase names a rule that does not exist, or a finding claims a higher grade than its
        phrase allows.
    """
    context = Context(study, results, clock, fields_map)
    have = set(results["term"].unique())
    rows = []
    for _, phrase in study.phrases.iterrows():
        needed = {1, 2} if phrase["term"] == 0 else {phrase["term"]}
        if not needed <= have:
            continue
        if phrase["rule"] not in RULES:
            raise ValueError(
                f"phrase {phrase['phrase_id']}: found rule {phrase['rule']!r}: choose one of "
                f"{', '.join(RULES)} in phrases.csv, or write it in evidence.py"
            )
        finding = RULES[phrase["rule"]](context, phrase)
        if finding.grade > phrase["highest_grade"]:
            raise ValueError(
                f"phrase {phrase['phrase_id']}: found grade {finding.grade}: at most "
                f"{phrase['highest_grade']} is allowed in phrases.csv"
            )
        if finding.verdict == PARTLY and not (finding.part or finding.figure):
            raise ValueError(
                f"phrase {phrase['phrase_id']}: found {PARTLY!r} without saying which part: "
                f"let rule {phrase['rule']!r} say it"
            )
        rows.append({**phrase, **asdict(finding)})
    return pd.DataFrame(rows)


def judged_mains(study: Study, results: pd.DataFrame, clock: str) -> pd.DataFrame:
    """Return the main estimates of every term and reading with label and verdict."""
    rows = choose(results, role="main", clock=clock)
    verdicts = [
        judge_term(
            Context(study, results, clock, row["fields_map"]), row["term"], JUDGES[row["term"]]
        ).verdict
        for _, row in rows.iterrows()
    ]
    label = "term " + rows["term"].astype(str) + ", " + rows["fields_map"] + " reading"
    return rows.assign(label=label, verdict=verdicts)
