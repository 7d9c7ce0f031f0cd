"""The rules of the tables of facts: what the policy said and did, and what describes it."""

from collections.abc import Iterable

import pandas as pd

from clusterpolicy.checks.checking import Fault, Kind, Rules
from clusterpolicy.checks.kinds import (
    CONFIDENCE,
    FREE,
    NUMBER,
    OPTIONAL_WHOLE,
    OPTIONAL_YEAR,
    PREFECTURES,
    SOURCE,
    TEXT,
    WHOLE,
    YEAR,
    one_of,
)

# How a phrase of the policy page is judged, list by list; evidence.RULES has a function for each.
LISTS = ("run", "achieved")
RULES_OF_LIST = {
    "run": ("facts", "picked for strength", "legal forms"),
    "achieved": ("gain", "no loss", "own count", "indicator"),
}
PHRASE_RULES = (*RULES_OF_LIST["achieved"], *RULES_OF_LIST["run"])
RULES_WITH_OUTCOMES = ("gain", "no loss")
# How one source stands to a statement on how the policy was run (module statements).
RUN_VERDICTS = ("confirmed", "stated by the ministry only", "contradicted", "not found")
SOURCE_KINDS = (
    *("independent", "press", "participant", "local government", "other ministry"),
    *("other public body", "secondary", "ministry"),
)
# What a magnitude is; a forecast is never printed as an outcome.
KINDS = ("observed", "forecast", "target", "derived")
UNITS_WITHOUT_KIND = ("text", "year", "fiscal year", "calendar year")
UNKNOWN = ("not known", "not found")

# What a published evaluation shares with this study: the outcome, or what keeps both apart.
COMPARED = (
    *("output", "other outcome", "other programme", "other programme and outcome"),
    "no programme",
)


OPTIONAL_PREFECTURES = Kind(
    "not a list of prefecture codes",
    "write codes 01 to 47 joined by ;, or leave it empty",
    rf"({PREFECTURES.pattern})?",
)
_LAST = {"source": SOURCE, "confidence": CONFIDENCE, "note": FREE}


def _has_kind(facts: pd.DataFrame) -> Iterable[Fault]:
    """Find magnitudes without a kind, and kinds of what is no magnitude."""
    is_figure = facts["value"].str.fullmatch(NUMBER.pattern)
    is_magnitude = is_figure & ~facts["unit"].isin(UNITS_WITHOUT_KIND)
    for line in facts.index[is_magnitude != (facts["kind"] != "")]:
        reason = (
            f"a figure in {facts.at[line, 'unit']}: write one of {', '.join(KINDS)}"
            if is_magnitude[line]
            else "kind of what is no magnitude: leave it empty"
        )
        yield Fault(int(line), "kind", facts.at[line, "kind"], reason)


def _suits_its_list(phrases: pd.DataFrame) -> Iterable[Fault]:
    """Find phrases whose rule, outcomes or grade do not belong to their list."""
    for line, row in phrases.iterrows():
        allowed = RULES_OF_LIST[row["list"]]
        if row["rule"] not in allowed:
            reason = f"a rule of the other list: choose one of {', '.join(allowed)}"
            yield Fault(int(line), "rule", row["rule"], reason)
        elif (row["outcomes"] != "") != (row["rule"] in RULES_WITH_OUTCOMES):
            reason = f"rule {row['rule']!r} " + (
                "judges by outcomes: name them" if not row["outcomes"] else "judges by none"
            )
            yield Fault(int(line), "outcomes", row["outcomes"], reason)
        elif row["list"] == "run" and row["highest_grade"] != "0":
            reason = "how the policy was run has no grade: write 0"
            yield Fault(int(line), "highest_grade", row["highest_grade"], reason)


def _ministry_confirms_nothing(facts: pd.DataFrame) -> Iterable[Fault]:
    """Find statements of the ministry that are told as a confirmation of its own."""
    own = (facts["kind_of_source"] == "ministry") & (facts["verdict"] == "confirmed")
    for line in facts.index[own]:
        reason = "the ministry does not confirm itself: write stated by the ministry only"
        yield Fault(int(line), "verdict", "confirmed", reason)


def _sought_has_no_figure(indicators: pd.DataFrame) -> Iterable[Fault]:
    """Find figures of indicators that are said to be only sought."""
    odd = (indicators["status"] == "sought") & (indicators["figure"] != "")
    for line in indicators.index[odd]:
        figure = indicators.at[line, "figure"]
        yield Fault(
            int(line), "figure", figure, "a figure of what was only sought: write described"
        )


FACT_RULES: dict[str, Rules] = {
    "term_facts": Rules(
        {
            "term": one_of("1", "2", "3", "comparator"),
            "indicator": TEXT,
            "subject": FREE,
            "projects": FREE,
            "value": FREE,
            "unit": FREE,
            "period": FREE,
            "kind": one_of("", *KINDS),
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("term", "indicator", "value", "period", "source"),
        rows=(_has_kind,),
    ),
    "phrases": Rules(
        {
            "phrase_id": Kind("not an id", "write small letters, digits and -", r"[a-z0-9-]+"),
            "term": one_of("0", "1", "2", "3"),
            "list": one_of(*LISTS),
            "phrase": TEXT,
            "question": TEXT,
            "indicator": TEXT,
            "rule": one_of(*PHRASE_RULES),
            "outcomes": FREE,
            "highest_grade": one_of("0", "1", "2", "3"),
            "change_mind": TEXT,
            "source": SOURCE,
        },
        ("phrase_id",),
        rows=(_suits_its_list,),
    ),
    "logic_model": Rules(
        {
            "link_id": Kind("not an id", "write small letters, digits and -", r"[a-z0-9-]+"),
            "from_step": TEXT,
            "to_step": TEXT,
            "phrases": TEXT,
            "how_judged": TEXT,
            "source": SOURCE,
        },
        ("link_id",),
    ),
    "published_evaluations": Rules(
        {
            "eval_id": TEXT,
            "authors": TEXT,
            "year": OPTIONAL_YEAR,
            "title": TEXT,
            "programme": TEXT,
            "is_this_policy": one_of("yes", "no"),
            **dict.fromkeys(("design", "sample", "data_years", "outcome"), FREE),
            "outcome_group": TEXT,
            "estimate": FREE,
            "se_or_p": FREE,
            "finding": TEXT,
            "direction": one_of("positive", "none", "negative", "mixed", "not visible"),
            "compared": one_of(*COMPARED),
            "why_different": TEXT,
            "source": SOURCE,
            "confidence": CONFIDENCE,
        },
        ("eval_id",),
    ),
    "project_areas": Rules(
        {
            "area_id": TEXT,
            "projects": TEXT,
            "name_en": TEXT,
            "name_ja": TEXT,
            "prefectures": PREFECTURES,
            "municipalities": FREE,
            "local_body": FREE,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("area_id",),
    ),
    "other_programmes": Rules(
        {
            "programme": TEXT,
            "area": TEXT,
            "area_ja": TEXT,
            "prefectures": OPTIONAL_PREFECTURES,
            "first_fy": YEAR,
            "last_fy": YEAR,
            "fields": FREE,
            "areas_in_all": OPTIONAL_WHOLE,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("programme", "area"),
    ),
    "run_facts": Rules(
        {
            "phrase_id": TEXT,
            "statement": TEXT,
            "verdict": one_of(*RUN_VERDICTS),
            "extent": one_of("whole", "part"),
            "by_whom": TEXT,
            "kind_of_source": one_of("", *SOURCE_KINDS),
            "date": FREE,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("phrase_id", "statement", "by_whom", "source"),
        rows=(_ministry_confirms_nothing,),
    ),
    "project_bodies": Rules(
        {
            "project_id": TEXT,
            "promotion_body": FREE,
            "legal_form": FREE,
            "character": one_of("association", "foundation", "third sector", *UNKNOWN),
            "last_seen": OPTIONAL_YEAR,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("project_id", "promotion_body"),
    ),
    "phrase_indicators": Rules(
        {
            "phrase_id": TEXT,
            "indicator": TEXT,
            "level": FREE,
            "years": FREE,
            "status": one_of("described", "sought"),
            "figure": FREE,
            "tables": FREE,
            "still_missing": TEXT,
            "source": SOURCE,
        },
        ("phrase_id",),
        rows=(_sought_has_no_figure,),
    ),
    "search_log": Rules(
        {
            "series": TEXT,
            "phrases": TEXT,
            "where": TEXT,
            "level": FREE,
            "years": FREE,
            "status": one_of("carried", "published", "not found"),
            "table_id": FREE,
            "address": FREE,
            "source": SOURCE,
            "note": FREE,
        },
        ("series", "where", "table_id"),
    ),
    "national_series": Rules(
        {
            "series_id": TEXT,
            "indicator": TEXT,
            "area": TEXT,
            "prefectures": OPTIONAL_PREFECTURES,
            "period": TEXT,
            "value": NUMBER,
            "unit": TEXT,
            "kind": one_of(*KINDS),
            **_LAST,
        },
        ("series_id", "area", "period"),
    ),
    "university_ventures": Rules(
        {
            "area": TEXT,
            "area_kind": one_of("prefecture", "block", "group"),
            "prefectures": OPTIONAL_PREFECTURES,
            "date": TEXT,
            "value": WHOLE,
            "kind": one_of(*KINDS),
            "nation": OPTIONAL_WHOLE,
            **_LAST,
        },
        ("area", "date"),
    ),
    "project_targets": Rules(
        {
            "target_id": TEXT,
            "term": one_of("1", "2", "3", "comparator"),
            "projects": FREE,
            "indicator": TEXT,
            "target": NUMBER,
            "unit": TEXT,
            "due_year": YEAR,
            "outcome": NUMBER,
            "outcome_year": YEAR,
            "outcome_kind": one_of("observed", "forecast", "derived"),
            "result": one_of("reached", "missed"),
            **_LAST,
        },
        ("target_id",),
    ),
    "project_outcomes": Rules(
        {
            "series_id": TEXT,
            "projects": FREE,
            "indicator": TEXT,
            "area": TEXT,
            "prefectures": PREFECTURES,
            "fiscal_year": YEAR,
            "value": NUMBER,
            "unit": TEXT,
            "kind": one_of(*KINDS),
            **_LAST,
        },
        ("series_id", "fiscal_year", "kind"),
    ),
    "autonomy_facts": Rules(
        {
            "body": TEXT,
            "projects": FREE,
            "fact": TEXT,
            "year": YEAR,
            "status": TEXT,
            "source": SOURCE,
            "confidence": CONFIDENCE,
        },
        ("body", "fact"),
    ),
    "priority_selections": Rules(
        {
            "programme": TEXT,
            "round": TEXT,
            "area": TEXT,
            "prefectures": OPTIONAL_PREFECTURES,
            "proposals": OPTIONAL_WHOLE,
            "selected": WHOLE,
            "funded": OPTIONAL_WHOLE,
            "yen_million_a_year": OPTIONAL_WHOLE,
            "years": OPTIONAL_WHOLE,
            "status": one_of("selected", "approved"),
            **_LAST,
        },
        ("programme", "round", "area"),
    ),
    "location_act_facts": Rules(
        {
            "measure": TEXT,
            "period": FREE,
            "value": NUMBER,
            "unit": TEXT,
            "kind": one_of(*KINDS),
            **_LAST,
        },
        ("measure", "period"),
    ),
    "location_act_plans": Rules(
        {
            "area": TEXT,
            "prefectures": PREFECTURES,
            "approved": TEXT,
            "fields_stated": TEXT,
            "fields": FREE,
            "locations_planned": OPTIONAL_WHOLE,
            "jobs_planned": OPTIONAL_WHOLE,
            **_LAST,
        },
        ("area", "prefectures", "approved"),
    ),
    "participants": Rules(
        {
            "count_of": TEXT,
            "period": TEXT,
            "value": WHOLE,
            "unit": TEXT,
            "scope": TEXT,
            **_LAST,
        },
        ("count_of", "period", "scope", "source"),
    ),
    "older_policy_results": Rules(
        {
            "policy": TEXT,
            "measure": TEXT,
            "period": TEXT,
            "value": NUMBER,
            "unit": TEXT,
            **_LAST,
        },
        ("policy", "measure", "period"),
    ),
}
