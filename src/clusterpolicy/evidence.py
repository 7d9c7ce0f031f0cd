"""What may be said: verdicts, grades and the phrase matrix, in two lists."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from clusterpolicy import effects, statements
from clusterpolicy.exclusions import ruled_out as ruled_out
from clusterpolicy.panel import Study
from clusterpolicy.results import PRETREND_LEVEL, choose, grade_design
from clusterpolicy.statements import RUN_VERDICTS

SUPPORTED = "supported"
PARTLY = "partly supported"
NOT_SUPPORTED = "not supported"
CANNOT_JUDGE = "cannot be judged here"
VERDICTS = (SUPPORTED, PARTLY, NOT_SUPPORTED, CANNOT_JUDGE)
RUN, ACHIEVED = "run", "achieved"
# The two lists of phrases: each has verdicts of its own, and they are never added up together.
VERDICTS_OF = {RUN: RUN_VERDICTS, ACHIEVED: VERDICTS}

# Imbens and Rubin's rule of thumb: a normalised difference above a quarter is not small.
NOT_SMALL = 0.25
# What a finding stands on.
ESTIMATES, DESCRIPTION, LOG, FACTS = "estimates", "description", "log", "facts"


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


def weaker(first: str, second: str) -> str:
    """Return the weaker of two verdicts on the same claim: where they differ, none is reached."""
    return first if first == second else CANNOT_JUDGE


@dataclass(frozen=True)
class Finding:
    """What a rule finds about a phrase.

    Attributes
    ----------
    verdict : str
        One of the verdicts of its list.
    grade : int or None
        Of the evidence on what was achieved; how the policy was run has none.
    basis : str
        What it stands on: estimates, a description, a log of where it was sought, or facts.
    figure : str
        In words; empty where estimates are the figure.
    result_ids : str
        Names of the estimates it stands on, joined by ``;``.
    part : str
        What holds of which outcome, where not all say the same.
    """

    verdict: str
    grade: int | None
    basis: str = ESTIMATES
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
        return self.margin_of("product")

    def margin_of(self, outcome: str) -> float:
        """Margin of indifference of an outcome, in percent."""
        return float(self.study.outcomes.set_index("outcome").at[outcome, "margin_percent"])

    def main(self, term: int, outcome: str) -> pd.Series | None:
        """Return the main estimate of an outcome on the report's clock and reading, if any."""
        own = {"term": term, "clock": self.clock, "fields_map": self.fields_map}
        rows = choose(self.results, role="main", outcome=outcome, **own)
        if len(rows) > 1:
            raise KeyError(f"results: found {len(rows)} main estimates of {outcome}, term {term}")
        return None if rows.empty else rows.iloc[0]

    def companions(self, term: int, outcome: str) -> pd.DataFrame:
        """Return what must agree before anything is claimed: other reading, other base."""
        rows = choose(
            self.results,
            term=term,
            clock=self.clock,
            sample=effects.MAIN_SAMPLE,
            outcome=outcome,
        )
        is_other_map = (rows["fields_map"] != self.fields_map) & (rows["role"] == "main")
        is_other_base = (rows["fields_map"] == self.fields_map) & (rows["role"] == "check")
        return rows[is_other_map | is_other_base]


Judge = Callable[[float, float, float, float], str]


# What each term is held to: a gain while money was paid, no loss once it stopped.
JUDGES: dict[int, Judge] = {1: judge_gain, 2: judge_gain, 3: judge_no_loss}


CLAIMS: dict[Judge, str] = {
    judge_gain: "a gain",
    judge_no_loss: "no loss as large as {margin:g} percent",
}


def judge_record(record: pd.Series, margin: float, judge: Judge, family: int = 1) -> str:
    """Judge one estimate by its interval.

    One whose paths differed before the term cannot be judged. Where the record says what is left
    without its most influential cell, the verdict is the weaker of the two.

    Parameters
    ----------
    record : Series
        ``estimate``, ``low``, ``high``, ``level``, ``status``, ``pretrend_p`` and, if known,
        ``without_estimate``, ``without_low`` and ``without_high``.
    margin : float
        Margin of indifference, percent.
    judge : function
        ``judge_gain`` or ``judge_no_loss``.
    family : int
        Outcomes among which this one may be singled out (:func:`stretch`).
    """
    if record["status"] != "estimated" or record["pretrend_p"] <= PRETREND_LEVEL:
        return CANNOT_JUDGE
    verdict = ""
    for prefix in ("", "without_"):
        numbers = [record.get(f"{prefix}{name}", math.nan) for name in ("estimate", "low", "high")]
        if prefix and any(pd.isna(each) for each in numbers):
            continue
        found = judge(*stretch(*numbers, family, record["level"]), margin)
        verdict = weaker(verdict, found) if verdict else found
    return verdict


def stretch(
    estimate: float, low: float, high: float, family: int, level: float
) -> tuple[float, float, float]:
    """Widen an interval in percent to the level that holds for each of several outcomes at once.

    Bonferroni: each end moves away from the estimate, in logs, by the ratio of the normal
    quantiles of the two levels. A family of one leaves the interval as it is printed.
    """
    if family == 1 or any(math.isnan(each) for each in (estimate, low, high)):
        return estimate, low, high
    tail = (1 - level) / 2
    ratio = norm.isf(tail / family) / norm.isf(tail)
    with np.errstate(divide="ignore"):
        logs = np.log1p(np.array([estimate, low, high]) / 100)
    ends = logs[0] + ratio * (logs[1:] - logs[0])
    return estimate, *(float(end) for end in 100 * np.expm1(ends))


@dataclass(frozen=True)
class OutcomeFinding:
    """What one outcome says of a claim.

    Attributes
    ----------
    record : Series
        Its main estimate.
    verdict : str
        By the printed interval, borne out by the other reading and the other base.
    adjusted : str
        The same once it may have been singled out of its family.
    said : str
        In words.
    is_split : bool
        Whether another reading or base says otherwise.
    """

    record: pd.Series
    verdict: str
    adjusted: str
    said: str
    is_split: bool = False


def judge_outcome(
    context: Context, term: int, outcome: str, judge: Judge, family: int = 1
) -> OutcomeFinding | None:
    """Judge one outcome of a term, which the other reading and the other base must bear out.

    What holds in one reading of the fields or in one base of the accounts only, for the claim or
    against it, cannot be judged, and the finding says where it holds.

    Returns
    -------
    OutcomeFinding or None
        None if there is no estimate of the outcome.
    """
    row = context.main(term, outcome)
    if row is None or row["status"] != "estimated":
        return None
    margin, others = context.margin_of(outcome), context.companions(term, outcome)
    verdicts = []
    for size in (1, family):
        own = judge_record(row, margin, judge, size)
        apart = [
            _tell_apart(other, row)
            for _, other in others.iterrows()
            if judge_record(other, margin, judge, size) != own
        ]
        verdicts.append((own, apart if own != CANNOT_JUDGE else []))
    (own, apart), (adjusted, apart_adjusted) = verdicts
    said = _say(own, row, margin, judge)
    if apart:
        where = f"the {row['fields_map']} reading and base {row['base'][1:]}"
        said = f"{said} in {where}, not in {' and '.join(dict.fromkeys(apart))}"
    return OutcomeFinding(
        row,
        CANNOT_JUDGE if apart else own,
        CANNOT_JUDGE if apart_adjusted else adjusted,
        said,
        bool(apart),
    )


def _say(verdict: str, record: pd.Series, margin: float, judge: Judge) -> str:
    if verdict == SUPPORTED:
        return CLAIMS[judge].format(margin=margin)
    if verdict == NOT_SUPPORTED:
        return "a loss" if record["high"] < 0 else f"no change as large as {margin:g} percent"
    return "not decided"


def _tell_apart(other: pd.Series, main: pd.Series) -> str:
    if other["base"] != main["base"]:
        return f"base {other['base'][1:]}"
    return f"the {other['fields_map']} reading"


def judge_family(found: list[OutcomeFinding]) -> str:
    """Decide a phrase by all of its outcomes (docs/decisions/0003).

    Supported, or not supported, if every outcome says so by its printed interval: nothing is
    singled out. Partly supported if some outcome says so by its adjusted interval. Not supported
    if some shows a loss by its adjusted interval and none the claim. Otherwise it cannot be judged.
    """
    if not found:
        return CANNOT_JUDGE
    alone = {each.verdict for each in found}
    if len(alone) == 1:
        return alone.pop()
    singled = [each for each in found if each.adjusted != CANNOT_JUDGE]
    if any(each.adjusted == SUPPORTED for each in singled):
        return PARTLY
    is_lost = any(each.record["high"] < 0 for each in singled)
    return NOT_SUPPORTED if is_lost else CANNOT_JUDGE


def judge_term(
    context: Context, term: int, judge: Judge, outcomes: tuple[str, ...] = ("product",)
) -> Finding:
    """Judge the claim of a term by the outcomes declared for it; those not estimated are named."""
    rows = {each: context.main(term, each) for each in outcomes}
    is_known = {k: row is not None and row["status"] == "estimated" for k, row in rows.items()}
    family = max(sum(is_known.values()), 1)
    found = [
        judged
        for each in outcomes
        if (judged := judge_outcome(context, term, each, judge, family)) is not None
    ]
    verdict = judge_family(found)
    part = _tell_parts(context, found, [each for each in outcomes if not is_known[each]])
    named = [each.record for each in found] or [row for row in rows.values() if row is not None]
    return Finding(
        verdict,
        min((int(row["grade"]) for row in named), default=0),
        result_ids=";".join(row["result_id"] for row in named),
        part=f"{part[:1].upper()}{part[1:]}." if part else "",
    )


def _tell_parts(context: Context, found: list[OutcomeFinding], missing: list[str]) -> str:
    """Say what each outcome shows; for a single one, only where its readings differ."""
    if len(found) + len(missing) == 1:
        return "".join(each.said for each in found if each.is_split)
    label = context.study.outcomes.set_index("outcome")["label"].str.replace(" of the cell", "")
    said = [f"{label[each.record['outcome']]}: {each.said}" for each in found]
    if missing:
        said.append(f"not estimated: {', '.join(label[each] for each in missing)}")
    return "; ".join(said)


# ---- Rules of the phrases on what was achieved -------------------------------------------------


def _outcomes_of(phrase: pd.Series) -> tuple[str, ...]:
    return tuple(phrase["outcomes"].split(";"))


def _find_gain(context: Context, phrase: pd.Series) -> Finding:
    """Gain of targeted cells, in the term or, for the aim, in both funded terms."""
    terms = (1, 2) if phrase["term"] == 0 else (phrase["term"],)
    found = [judge_term(context, term, judge_gain, _outcomes_of(phrase)) for term in terms]
    if len(found) == 1:
        return found[0]
    verdicts = {finding.verdict for finding in found}
    if len(verdicts) == 1:
        verdict = verdicts.pop()
    else:
        verdict = PARTLY if verdicts & {SUPPORTED, PARTLY} else CANNOT_JUDGE
    parts = [
        f"Term {term}: {finding.part or finding.verdict + '.'}"
        for term, finding in zip(terms, found, strict=True)
    ]
    has_part = verdict == PARTLY or any(finding.part for finding in found)
    return Finding(
        verdict,
        min(finding.grade for finding in found),
        result_ids=";".join(finding.result_ids for finding in found if finding.result_ids),
        part=" ".join(parts) if has_part else "",
    )


def _find_no_loss(context: Context, phrase: pd.Series) -> Finding:
    return judge_term(context, phrase["term"], judge_no_loss, _outcomes_of(phrase))


def _find_own_count(context: Context, phrase: pd.Series) -> Finding:
    """Members as the programme itself counted them in the term: nothing to judge by."""
    facts = context.study.term_facts
    terms = ("1", "2") if phrase["term"] == 0 else (str(phrase["term"]),)
    own = (facts["indicator"] == "participating_firms") & (facts["value"] != "")
    said = []
    for term in terms:
        counts = facts[own & (facts["term"] == term)]
        counts = counts.assign(value=counts["value"].astype(int)).sort_values("value")
        ends = counts.iloc[[0, -1]].drop_duplicates().itertuples()
        said.append(" to ".join(f"{row.value:,} firms ({row.period})" for row in ends))
    figure = f"{'; '.join(said)}, by the programme's own changing count"
    return Finding(CANNOT_JUDGE, grade_design("count", has_comparison=False), DESCRIPTION, figure)


def _find_indicator(context: Context, phrase: pd.Series) -> Finding:
    """Describe by the best public indicator, or say where one was sought."""
    figure, is_described = statements.describe(context.study, phrase)
    grade = grade_design("count", has_comparison=False) if is_described else 0
    return Finding(CANNOT_JUDGE, grade, DESCRIPTION if is_described else LOG, figure)


# ---- Rules of the phrases on how it was run ----------------------------------------------------


def _find_facts(context: Context, phrase: pd.Series, more: pd.DataFrame | None = None) -> Finding:
    """Hold each statement of the phrase against sources, and against `more` of our own."""
    facts = context.study.run_facts
    own = facts[facts["phrase_id"] == phrase["phrase_id"]]
    held = statements.hold_against_sources(own if more is None else pd.concat([own, more]))
    described, is_figure = statements.describe(context.study, phrase)
    return Finding(
        statements.weakest(held["verdict"]),
        None,
        FACTS,
        statements.in_words(held) + (f". {described}" if is_figure else ""),
    )


def _find_legal_forms(context: Context, phrase: pd.Series) -> Finding:
    forms = statements.legal_forms(context.study.project_bodies, context.study.projects_of_term(2))
    return _find_facts(context, phrase, forms)


def _find_strength(context: Context, phrase: pd.Series) -> Finding:
    """Facts, and the location quotient of targeted cells before the policy."""
    rows = choose(
        context.results,
        design="baseline comparison",
        term=phrase["term"],
        clock=context.clock,
        fields_map=context.fields_map,
        outcome="location_quotient",
    )
    verdict, size = statements.NOT_FOUND, "not estimable"
    if len(rows) and not rows[["estimate", "low", "high"]].isna().any(axis=None):
        row = rows.iloc[0]
        size = f"{row['estimate']:+.2f} standard deviations, {row['low']:.2f} to {row['high']:.2f}"
        if row["low"] > 0:
            verdict = statements.CONFIRMED
            size += "" if row["estimate"] > NOT_SMALL else ", which is small"
        elif row["high"] < 0 or (row["low"] > -NOT_SMALL and row["high"] < NOT_SMALL):
            verdict = statements.CONTRADICTED
    by = f"this study: location quotients before the policy, targeted less others, {size}"
    own = (
        *("targeted industries were stronger before", verdict, statements.WHOLE, by),
        *("own measurement", "high"),
    )
    return _find_facts(context, phrase, pd.DataFrame([own], columns=list(statements.COLUMNS)))


RULES: dict[str, Callable[[Context, pd.Series], Finding]] = {
    "gain": _find_gain,
    "no loss": _find_no_loss,
    "own count": _find_own_count,
    "indicator": _find_indicator,
    "facts": _find_facts,
    "picked for strength": _find_strength,
    "legal forms": _find_legal_forms,
}


def phrase_matrix(study: Study, results: pd.DataFrame, clock: str, fields_map: str) -> pd.DataFrame:
    """Answer every phrase of the policy page.

    Parameters
    ----------
    study : Study
    results : DataFrame
        Records of the terms that the phrases need, of any number of outcomes.
    clock, fields_map : str
        Reading the answers stand on.

    Returns
    -------
    DataFrame
        The table ``phrases`` with ``verdict``, ``grade`` (missing for how the policy was run),
        ``basis``, ``figure`` (in words), ``result_ids`` (for estimates) and ``part``; terms
        without results are left out.

    Raises
    ------
    ValueError
        If a phrase names a rule that does not exist, a verdict is not one of its list, or a
        finding claims a higher grade than its phrase allows.
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
        _require_list(phrase, finding)
        rows.append({**phrase, **asdict(finding)})
    table = pd.DataFrame(rows)
    return table.astype({"grade": "Int64"}) if len(table) else table


def _require_list(phrase: pd.Series, finding: Finding) -> None:
    """Refuse a finding that does not belong to the list of its phrase."""
    name, listed = phrase["phrase_id"], phrase["list"]
    if finding.verdict not in VERDICTS_OF[listed]:
        raise ValueError(
            f"phrase {name}: found {finding.verdict!r} on the list {listed!r}: a verdict there is "
            f"one of {', '.join(VERDICTS_OF[listed])}"
        )
    if (finding.grade is None) != (listed == RUN):
        raise ValueError(
            f"phrase {name}: found grade {finding.grade} on the list {listed!r}: what was achieved "
            "has a grade, how it was run has none"
        )
    if finding.grade is not None and finding.grade > phrase["highest_grade"]:
        raise ValueError(
            f"phrase {name}: found grade {finding.grade}: at most {phrase['highest_grade']} is "
            "allowed in phrases.csv"
        )
    if finding.verdict == PARTLY and not (finding.part or finding.figure):
        raise ValueError(
            f"phrase {name}: found {PARTLY!r} without saying which part: let rule "
            f"{phrase['rule']!r} say it"
        )


def split_lists(phrases: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the phrases on what was achieved and those on how the policy was run."""
    return phrases[phrases["list"] == ACHIEVED], phrases[phrases["list"] == RUN]


def tally(phrases: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count verdicts, list by list: the lists ask different things and have no common sum."""
    return {
        listed: {
            verdict: int(count)
            for verdict in VERDICTS_OF[listed]
            if (count := (own["verdict"] == verdict).sum())
        }
        for listed in (RUN, ACHIEVED)
        if len(own := phrases[phrases["list"] == listed])
    }


def judged_mains(study: Study, results: pd.DataFrame, clock: str) -> pd.DataFrame:
    """Return the main estimates of output, of every term and reading, with label and verdict."""
    rows = choose(results, role="main", clock=clock, outcome="product")
    verdicts = [
        judge_term(
            Context(study, results, clock, row["fields_map"]), row["term"], JUDGES[row["term"]]
        ).verdict
        for _, row in rows.iterrows()
    ]
    label = "term " + rows["term"].astype(str) + ", " + rows["fields_map"] + " reading"
    return rows.assign(label=label, verdict=verdicts)
