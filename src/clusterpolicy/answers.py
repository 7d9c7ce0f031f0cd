"""How each report opens: the answer in five lines, what speaks for it, what against."""

from collections.abc import Mapping

import pandas as pd

from clusterpolicy import evidence, policy, rules
from clusterpolicy.finer import FinerStudy
from clusterpolicy.panel import Study
from clusterpolicy.results import PRETREND_LEVEL, choose, main_estimate
from clusterpolicy.wording import (
    effect_sentence,
    format_estimate,
    format_number,
    format_p,
    format_years,
    pretrend_sentence,
)

# Two programs that solve the same equations differ by rounding only.
AGREEMENT = 1e-8
COMPARABLE_OUTCOMES = ("sales and jobs", "productivity")
WHY_DIFFERENT = {
    "sales and jobs": "they follow members and matched firms, we all firms of targeted cells: an "
    "effect on few members is diluted, and members were not chosen at random",
    "productivity": "output per worker of plants is not output of a cell",
    "networks": "links between firms are in private records only",
    "patents": "no count of patents by place, industry and year is public",
    "start-ups": "no count of entries by place, industry and year is public",
    "other": "another question",
}
OTHER_MAP = {"broad": "narrow", "narrow": "broad"}
COMPARED = {
    1: "with the five fiscal years before the policy",
    2: "with the launch term: cells targeted first in this term against cells never targeted",
    3: "with the years of the second term: cells targeted when money ended against cells never "
    "targeted",
}


def answer_term(
    study: Study, results: pd.DataFrame, phrases: pd.DataFrame, term: policy.Term, fields_map: str
) -> list[str]:
    """Write the five lines that open the report of one term.

    Parameters
    ----------
    study : Study
    results : DataFrame
        Estimate records of the term.
    phrases : DataFrame
        Its part of the phrase matrix.
    term : policy.Term
    fields_map : str
        Reading of the fields map.

    Returns
    -------
    list of str
    """
    main = main_estimate(results, term.number, term.clock, fields_map)
    other = main_estimate(results, term.number, term.clock, OTHER_MAP[fields_map])
    return [
        effect_sentence(main),
        f"{_targets(study, term, main)} They are compared {COMPARED[term.number]}.",
        f"In the {OTHER_MAP[fields_map]} reading of the fields the difference is "
        f"{format_estimate(other)}. {_checks(results, main)}",
        pretrend_sentence(main),
        _verdicts(phrases),
    ]


def weigh_term(
    results: pd.DataFrame,
    phrases: pd.DataFrame,
    term: policy.Term,
    fields_map: str,
    doubt: str = "",
) -> dict[str, str]:
    """Write the strongest evidence, the strongest doubt and what would change our mind.

    Parameters
    ----------
    results, phrases : DataFrame
        Estimate records of the term, and its part of the phrase matrix.
    term : policy.Term
    fields_map : str
        Reading of the fields map.
    doubt : str
        What a check says against the estimate; it gives way only to paths that differed before.

    Returns
    -------
    dict of str
        ``strongest``, ``doubt`` and ``change_mind``.
    """
    main = main_estimate(results, term.number, term.clock, fields_map)
    # By whole names: the comparison at the baseline is named after the main estimate.
    stands_on = phrases["result_ids"].str.split(";").map(lambda ids: main["result_id"] in ids)
    judged = phrases[stands_on]
    return {
        "strongest": _strength(main),
        "doubt": (main["pretrend_p"] > PRETREND_LEVEL and doubt) or _doubt(results, main),
        "change_mind": "; ".join(judged["change_mind"].drop_duplicates()) + ".",
    }


def answer_policy(
    results: pd.DataFrame, phrases: pd.DataFrame, clock: str, fields_map: str
) -> list[str]:
    """Write the five lines that open the whole study."""
    mains = [main_estimate(results, term, clock, fields_map) for term in (1, 2, 3)]
    aim = phrases.set_index("phrase_id").loc["aim-competitiveness"]
    lines = [
        f"Term {main['term']}: {_small(effect_sentence(main))}"
        + (f" {pretrend_sentence(main)}" if main["pretrend_p"] <= PRETREND_LEVEL else "")
        for main in mains
    ]
    return [
        "Did industries that the policy targeted outgrow comparable ones? "
        f"{_capital(aim['verdict'])}, with evidence of grade {aim['grade']} of 5.",
        *lines,
        _verdicts(phrases),
    ]


def weigh_policy(
    results: pd.DataFrame, phrases: pd.DataFrame, clock: str, fields_map: str
) -> dict[str, str]:
    """Write the strongest evidence, the strongest doubt and what would change our mind."""
    mains = [main_estimate(results, term, clock, fields_map) for term in (1, 2, 3)]
    estimated = [main for main in mains if main["status"] == "estimated"] or mains
    sharpest = min(estimated, key=lambda main: main["high"] - main["low"])
    judged = phrases[phrases["rule"].isin(["gain", "no loss"])]
    return {
        "strongest": f"Term {sharpest['term']}: {_strength(sharpest)}",
        "doubt": _doubt(results, sharpest),
        "change_mind": "; ".join(judged["change_mind"].drop_duplicates()) + ".",
    }


def report_cards(
    study: Study, results: pd.DataFrame, phrases: pd.DataFrame, clock: str, fields_map: str
) -> pd.DataFrame:
    """List the other reports with their one-line answers, for the cards of the index.

    Returns
    -------
    DataFrame
        ``name``, ``href``, ``title``, ``answer`` and ``verdict``.
    """
    rows = []
    for number in (1, 2, 3):
        main = main_estimate(results, number, clock, fields_map)
        verdict = phrases.loc[phrases["result_ids"] == main["result_id"], "verdict"].iloc[0]
        rows.append(
            {
                "name": f"term-{number}",
                "href": f"term-{number}.html",
                "title": f"Term {number}: {policy.choose_term(study.terms, number, clock).name}",
                "answer": f"Targeted against comparable cells: {format_estimate(main)}.",
                "verdict": verdict,
            }
        )
    hidden = int((study.cell_panel["status"] == "hidden").sum())
    rows.append(
        {
            "name": "data-quality",
            "href": "data-quality.html",
            "title": "The data: what they can carry",
            "answer": f"{format_number(len(study.cell_panel))} figures of cells in "
            f"{len(rules.BASES)} bases of the accounts, {format_number(hidden)} of them hidden by "
            "the publisher.",
            "verdict": None,
        }
    )
    return pd.DataFrame(rows)


def agreement_sentence(opinion: Mapping[str, float]) -> str:
    """Say how far the estimate of a second program is from ours.

    Parameters
    ----------
    opinion : mapping
        From ``effects.second_opinion``.
    """
    gap = abs(opinion["ours"] - opinion["theirs"])
    verdict = "agree" if gap < AGREEMENT else "DISAGREE"
    return (
        f"This study: {format_number(100 * opinion['ours'], 6)} log points x 100; pyfixest: "
        f"{format_number(100 * opinion['theirs'], 6)} (standard error clustered by prefecture "
        f"{format_number(100 * opinion['std_error'], 2)}), both from "
        f"{format_number(opinion['observations'])} figures. They {verdict}."
    )


def crosscheck_sentence(main: pd.Series) -> str:
    """Say what other methods of inference make of a main estimate.

    Parameters
    ----------
    main : Series
        Main estimate of a term.
    """
    if main["status"] != "estimated":
        return ""
    wild = f"{format_number(main['wild_low'], 1)} to {format_number(main['wild_high'], 1)}"
    honest = f"{format_number(main['honest_low'], 1)} to {format_number(main['honest_high'], 1)}"
    std_error = format_number(main["std_error"], 1)
    return (
        "Two cross-checks take prefectures for independent, as the test of this study does not: a "
        f"standard error clustered by prefecture of {std_error} log points x 100, and a wild "
        f"cluster bootstrap with an interval from {wild} percent ({format_p(main['wild_p'])}). A "
        "third asks for more: could the groups drift apart in the term by as much in a year as "
        f"they did in any year before it, effects from {honest} percent would be in keeping with "
        "the figures."
    )


def plain_gap_sentence(paths: pd.DataFrame, main: pd.Series) -> str:
    """Say how far the plain growth of the two groups differs, and what is left of it.

    Parameters
    ----------
    paths : DataFrame
        From ``clusters.growth_paths``.
    main : Series
        Main estimate of the term.
    """
    last = paths[paths["fy"] == paths["fy"].max()].set_index("group")
    gap = last.loc["targeted", "value"] - last.loc["other", "value"]
    side = "more" if gap >= 0 else "less"
    return (
        f"From the base year to FY{last['fy'].iloc[0]} targeted cells grew "
        f"{format_number(abs(gap), 1)} log points x 100 {side} than the others. Most of such a gap "
        "can be the nationwide path of their industries and the path of their prefectures; once "
        f"both are taken out, {format_estimate(main)} is left over the whole term."
    )


def set_beside(study: Study, results: pd.DataFrame, clock: str, fields_map: str) -> pd.DataFrame:
    """Set published evaluations beside what is found here.

    Returns
    -------
    DataFrame
        The table ``evaluations`` with ``ours`` and ``why`` (they differ); this policy first.
    """
    mains = [main_estimate(results, term, clock, fields_map) for term in (1, 2)]
    found = "; ".join(f"term {main['term']}: {format_estimate(main)}" for main in mains)
    table = study.evaluations.sort_values("is_this_policy", ascending=False, kind="stable")
    comparable = table["outcome_group"].isin(COMPARABLE_OUTCOMES)
    ours = comparable.map({True: f"product of targeted cells, {found}", False: "not judged"})
    return table.assign(ours=ours, why=table["outcome_group"].map(WHY_DIFFERENT))


def answer_data(study: Study, sums: pd.DataFrame, totals: pd.DataFrame) -> list[str]:
    """Write the five lines that open the report on the data.

    Parameters
    ----------
    study : Study
    sums : DataFrame
        From ``panel.check_sums``.
    totals : DataFrame
        From ``panel.compare_totals``.
    """
    cells = study.cell_panel
    hidden = int((cells["status"] == "hidden").sum())
    fitness = study.fitness["fitness"].value_counts()
    known = int((sums["known_gap"] != 0).sum())
    return [
        f"Of {len(study.fitness)} questions, the figures are fit for {fitness.get('fit', 0)}, fit "
        f"with care for {fitness.get('fit with care', 0)} and not fit for "
        f"{fitness.get('not fit', 0)}: networks and innovation cannot be judged.",
        f"Sums over prefectures meet the published total to its last digit in "
        f"{int(totals['is_equal'].sum())} of {len(totals)} years for which one was published.",
        f"Industries add up to manufacturing in {format_number(len(sums) - known)} of "
        f"{format_number(len(sums))} prefectures and years without hidden cells; the other {known} "
        "gaps stand in the published tables.",
        f"{format_number(hidden)} figures of cells are hidden by the publisher; they stay hidden "
        "and are neither zero nor guessed.",
        f"{format_number(len(cells))} figures of cells and "
        f"{format_number(len(study.prefecture_panel))} of prefectures are kept in the repository.",
    ]


def rung_sentence(larger: FinerStudy | None) -> str:
    """Say which rung of the data the reports stand on (``finer.load``)."""
    first = "official figures of prefectures and their industries, kept in the repository"
    if larger is None:
        return (
            f"This build stands on rung 1 of the data: {first}. Rung 2, the figures of "
            "municipalities, is not there; make data adds it."
        )
    return (
        f"This build stands on rungs 1 and 2 of the data: {first}, and figures of "
        f"{format_number(len(larger.units))} municipalities, downloaded and held against one "
        "another."
    )


def _targets(study: Study, term: policy.Term, main: pd.Series) -> str:
    projects = study.projects[study.projects["term"] == min(term.number, 2)]
    covered = study.targets.loc[
        study.targets["project_id"].isin(projects["project_id"]), "pref_code"
    ].nunique()
    facts = study.term_facts
    aim = facts[(facts["term"] == str(term.number)) & (facts["indicator"] == "objective")]
    return (
        f"{term.name} ({term.name_ja}), {format_years(term.first_year, term.last_year)} on the "
        f"{term.clock} clock. Its aims: {_small(aim['value'].iloc[0])}. {len(projects)} "
        f"projects covered {covered} prefectures; in the {main['fields_map']} reading of their "
        f"fields, {format_number(main['n_targeted'])} of {format_number(main['n_cells'])} cells "
        "are targeted."
    )


def _checks(results: pd.DataFrame, main: pd.Series) -> str:
    same = {name: main[name] for name in ("term", "clock", "fields_map")}
    rows = choose(results, status="estimated", **same)
    if rows.empty:
        return "No base and no sample is estimable."
    away = int(((rows["low"] > 0) | (rows["high"] < 0)).sum())
    return (
        f"Over {len(rows)} bases and samples the estimate runs from "
        f"{format_number(rows['estimate'].min(), 1, sign=True)} to "
        f"{format_number(rows['estimate'].max(), 1, sign=True)} percent; the interval leaves zero "
        f"out in {away or 'none'} of them."
    )


def _verdicts(phrases: pd.DataFrame) -> str:
    counts = phrases["verdict"].value_counts()
    parts = [f"{counts[verdict]} {verdict}" for verdict in evidence.VERDICTS if verdict in counts]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    blank = int((phrases["figure"] == "no public figure").sum())
    return (
        f"Of {len(phrases)} phrases of the policy page, {listed}; for {blank} of them there is no "
        "public figure."
    )


def _strength(main: pd.Series) -> str:
    if main["status"] != "estimated":
        return f"none: {effect_sentence(main)}"
    return (
        f"{format_number(main['n_observations'])} figures of the prefectural accounts, "
        f"{format_number(main['n_targeted'])} targeted cells against "
        f"{format_number(main['n_cells'] - main['n_targeted'])} others of the same prefectures and "
        f"industries: {format_estimate(main)}, grade {main['grade']} of 5."
    )


def _doubt(results: pd.DataFrame, main: pd.Series) -> str:
    if main["pretrend_p"] <= PRETREND_LEVEL:
        return (
            "Targeted cells had moved apart from the others before the term began "
            f"({format_p(main['pretrend_p'])}), so like is not compared with like."
        )
    term, clock, fields_map = main["term"], main["clock"], main["fields_map"]
    rows = choose(results, term=term, clock=clock, fields_map=fields_map, sample=main["sample"])
    other = rows[rows["base"] != main["base"]].iloc[0]
    narrow = main_estimate(results, term, clock, OTHER_MAP[fields_map])
    return (
        "Which industries a field means is our reading, and the accounts were rebased: the "
        f"estimate is {format_estimate(narrow)} in the {OTHER_MAP[fields_map]} reading and "
        f"{format_estimate(other)} in base {other['base'][1:]}."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
