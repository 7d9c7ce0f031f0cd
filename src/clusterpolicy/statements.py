"""What sources say: how the policy was run, statement by statement, and what describes the rest."""

from collections.abc import Callable

import pandas as pd

from clusterpolicy.panel import Study

CONFIRMED = "confirmed"
MINISTRY_ONLY = "stated by the ministry only"
CONTRADICTED = "contradicted"
NOT_FOUND = "not found"
RUN_VERDICTS = (CONFIRMED, MINISTRY_ONLY, CONTRADICTED, NOT_FOUND)
# A phrase is no better than the weakest of its statements, in this order.
WEAKEST_FIRST = (CONTRADICTED, NOT_FOUND, MINISTRY_ONLY, CONFIRMED)

WHOLE, PART = "whole", "part"
MINISTRY = "ministry"
LAST_FUNDED_FY = 2009
# Legal forms of promotion bodies that are not private.
NOT_PRIVATE = ("foundation", "third sector")
COLUMNS = ("statement", "verdict", "extent", "by_whom", "kind_of_source", "confidence")


def hold_against_sources(facts: pd.DataFrame) -> pd.DataFrame:
    """Find what sources make of each statement.

    A statement is contradicted by any source that does so, if only in part: one case that differs
    is enough. It is confirmed only as a whole, by somebody other than the ministry or an echo of
    it. Otherwise it is stated by the ministry only, or nothing on it was found. Sources of low
    confidence decide nothing.

    Parameters
    ----------
    facts : DataFrame
        Rows of the table ``run_facts``: one source on one statement each.

    Returns
    -------
    DataFrame
        One row per ``statement``, in the order of `facts`: ``verdict``, ``extent``, ``by`` (the
        sources that decide) and ``cases`` (those that confirm single cases only).
    """
    rows = [
        {"statement": statement, **_weigh(of_statement)}
        for statement, of_statement in facts.groupby("statement", sort=False)
    ]
    return pd.DataFrame(rows, columns=["statement", "verdict", "extent", "by", "cases"])


def _weigh(facts: pd.DataFrame) -> dict[str, str]:
    sure = facts[facts["confidence"] != "low"]
    is_other = sure["kind_of_source"] != MINISTRY
    is_confirmed = (sure["verdict"] == CONFIRMED) & is_other
    is_case = is_confirmed & (sure["extent"] == PART)
    is_stated = sure["verdict"].isin([CONFIRMED, MINISTRY_ONLY]) & ~is_case
    for verdict, deciding in (
        (CONTRADICTED, sure["verdict"] == CONTRADICTED),
        (CONFIRMED, is_confirmed & ~is_case),
        (MINISTRY_ONLY, is_stated),
        (MINISTRY_ONLY, is_case),
    ):
        if deciding.any():
            is_whole = (sure["extent"] == WHOLE)[deciding].any() or verdict == MINISTRY_ONLY
            return {
                "verdict": verdict,
                "extent": WHOLE if is_whole else PART,
                "by": _named(sure[deciding & ~(is_case & (verdict == MINISTRY_ONLY))]),
                "cases": _named(sure[is_case]) if verdict == MINISTRY_ONLY else "",
            }
    return {"verdict": NOT_FOUND, "extent": WHOLE, "by": _named(facts), "cases": ""}


def _named(facts: pd.DataFrame) -> str:
    return "; ".join(facts["by_whom"].drop_duplicates())


def weakest(verdicts: pd.Series) -> str:
    """Return the verdict of a phrase from those of its statements."""
    found = set(verdicts)
    return next(verdict for verdict in WEAKEST_FIRST if verdict in found)


def in_words(held: pd.DataFrame) -> str:
    """Write what was found of each statement, and by whom."""
    return "; ".join(
        f"{row.statement}: {row.verdict}{' in part' if row.extent == PART else ''}"
        + (f" ({'sought: ' if row.verdict == NOT_FOUND else ''}{row.by})" if row.by else "")
        + (f", single cases by others ({row.cases})" if row.cases else "")
        for row in held.itertuples()
    )


def legal_forms(bodies: pd.DataFrame, projects: pd.DataFrame) -> pd.DataFrame:
    """Hold "the promotion bodies were private" against their legal forms.

    Parameters
    ----------
    bodies : DataFrame
        Table ``project_bodies``.
    projects : DataFrame
        Projects that the statement is about.

    Returns
    -------
    DataFrame
        One row in the columns ``COLUMNS``: contradicted if a body is a foundation or of the third
        sector, confirmed if every project has bodies of known and private form.
    """
    own = bodies[bodies["project_id"].isin(projects["project_id"])]
    forms = own.groupby("project_id")["character"].agg(set)
    other = int(forms.map(lambda found: not found.isdisjoint(NOT_PRIVATE)).sum())
    private = int(forms.map(lambda found: found == {"association"}).sum())
    if other:
        verdict, extent = CONTRADICTED, WHOLE if other == len(projects) else PART
    elif private:
        verdict, extent = CONFIRMED, WHOLE if private == len(projects) else PART
    else:
        verdict, extent = NOT_FOUND, WHOLE
    by = (
        f"legal forms: of {len(projects)} projects {private} have bodies of private form, {other} "
        "a foundation or a company of prefectures; of "
        f"{len(projects) - private - other} it is not known"
    )
    row = ("the promotion bodies were private", verdict, extent, by, "own measurement", "high")
    return pd.DataFrame([row], columns=list(COLUMNS))


def bodies_seen_later(bodies: pd.DataFrame, projects: pd.DataFrame) -> str:
    """Count the projects of which a promotion body was seen at work after the money."""
    own = bodies[bodies["project_id"].isin(projects["project_id"])]
    later = own[pd.to_numeric(own["last_seen"]) > LAST_FUNDED_FY]
    return (
        f"a promotion body was seen at work after FY{LAST_FUNDED_FY} for "
        f"{later['project_id'].nunique()} of {len(projects)} projects; of the others nothing is "
        "known"
    )


def targets_met(targets: pd.DataFrame, term: int) -> str:
    """Count the targets of a term that were reached; what was only expected is kept apart."""
    own = targets[targets["term"] == str(term)]
    parts = []
    for kind, word in (("observed", "observed"), ("forecast", "only expected")):
        known = own[own["outcome_kind"] == kind]
        reached = int((known["result"] == "reached").sum())
        parts.append(f"{reached} of {len(known)} reached where the outcome was {word}")
    return f"{len(own)} targets of one project have a figure beside them: {', '.join(parts)}"


def selections(rounds: pd.DataFrame) -> str:
    """Write how many areas were chosen of those proposed, round by round."""
    known = rounds[rounds["proposals"] != ""]
    known = known.drop_duplicates(["round", "proposals", "selected"]).sort_values("round")
    chosen = "; ".join(f"{r.selected} of {r.proposals} ({r.round})" for r in known.itertuples())
    return f"areas or plans chosen of those proposed, in programmes of two ministries: {chosen}"


def describe(study: Study, phrase: pd.Series) -> tuple[str, bool]:
    """Write the best indicator of a phrase, or where one was sought, and whether there is one.

    Returns
    -------
    tuple of str and bool
        The text, empty for a phrase that has estimates or facts of its own, and whether it holds a
        figure.
    """
    indicators = study.phrase_indicators
    of_phrase = indicators[indicators["phrase_id"] == phrase["phrase_id"]]
    if of_phrase.empty:
        return "", False
    indicator = of_phrase.iloc[0]
    if indicator["status"] == "described":
        text = indicator["figure"] or COMPUTED[phrase["phrase_id"]](study)
        return f"{text}; missing: {indicator['still_missing']}", True
    log = study.search_log
    own = log[log["phrases"].str.split(";").map(lambda ids: phrase["phrase_id"] in ids)]
    places = "; ".join(own["where"].drop_duplicates())
    return f"not found: {indicator['still_missing']} (sought: {places})", False


# Figures of indicators that are counted in a table rather than written in phrase_indicators.
COMPUTED: dict[str, Callable[[Study], str]] = {
    "t3-networks-continue": lambda study: bodies_seen_later(
        study.project_bodies, study.projects_of_term(2)
    ),
    "t3-business": lambda study: targets_met(study.project_targets, 3),
    "t3-priority": lambda study: selections(study.priority_selections),
}
