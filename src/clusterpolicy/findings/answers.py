"""How each report opens: the answer in five lines, what speaks for it, what against."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clusterpolicy import effects, evidence, policy
from clusterpolicy.checks import rules
from clusterpolicy.panel import Study, events_of_cell
from clusterpolicy.results import (
    PRETREND_BLIND,
    PRETREND_LEVEL,
    choose,
    label_designs,
    main_estimate,
)
from clusterpolicy.wording import (
    effect_sentence,
    format_estimate,
    format_interval,
    format_number,
    format_p,
    format_years,
    influence_sentences,
    not_estimable_sentence,
    pretrend_sentence,
)

# Two programs that solve the same equations differ by rounding only.
AGREEMENT = 1e-8
OTHER_MAP = {"broad": "narrow", "narrow": "broad"}
NEW_TARGETS_TERM, LAST_TERM = 2, 3
# Outcomes whose gains are told in the opening line; all are in data/results/ruled-out-N.csv.
DRAWN_GAINS = ("product", "establishments", "employees")
# With as many targeted units or fewer, turning their signs alone allows no p-value below 5 percent.
FEW = 5
TOO_FEW_UNITS = (
    " So few units allow no smaller p-value than {p} if only the signs of their differences were "
    "free; the test stands on the reassignment of targets alone."
)
COMPARED = {
    1: "with the five fiscal years before the policy",
    2: "with the launch term: cells targeted first in this term against cells never targeted",
    3: "with the years of the second term: cells targeted when money ended against cells never "
    "targeted",
}


def answer_term(
    study: Study,
    results: pd.DataFrame,
    phrases: pd.DataFrame,
    term: policy.Term,
    fields_map: str,
    curve: str,
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
    curve : str
        What all specifications find together.

    Returns
    -------
    list of str
    """
    main = main_estimate(results, term.number, term.clock, fields_map)
    other = main_estimate(results, term.number, term.clock, OTHER_MAP[fields_map])
    first = [
        *hinges(study, results, main),
        effect_sentence(main),
        _loss(results, main),
        ruled_out_sentence(study, results, term.number, term.clock),
    ]
    return [
        " ".join(filter(None, first)),
        f"{_targets(study, term, main)} They are compared {COMPARED[term.number]}.",
        f"In the {OTHER_MAP[fields_map]} reading of the fields the difference is "
        f"{format_estimate(other)}. {curve}",
        pretrend_sentence(main),
        _verdicts(phrases),
    ]


def ruled_out_sentence(study: Study, results: pd.DataFrame, term: int, clock: str) -> str:
    """Say which gains no reading and no base leaves room for; nothing where one of them does."""
    table = evidence.ruled_out(results)
    rows = table[(table["term"] == term) & (table["clock"] == clock) & table["gain_above"].notna()]
    outcomes = study.outcomes.set_index("outcome")
    said = [
        f"in {outcomes.at[row.outcome, 'label']} above {format_number(row.gain_above, 1)} "
        f"{outcomes.at[row.outcome, 'effect_unit']}"
        for row in rows.itertuples()
        if row.outcome in DRAWN_GAINS
    ]
    if not said:
        return ""
    return f"In every reading and base a gain {', or '.join(said)} does not fit the figures."


def hinges(study: Study, results: pd.DataFrame, main: pd.Series) -> list[str]:
    """Name the cells that a main estimate hangs on, in words."""
    without = choose(
        results,
        "leave one cell out",
        term=main["term"],
        clock=main["clock"],
        fields_map=main["fields_map"],
        base=main["base"],
        outcome=main["outcome"],
    )
    years = tuple(
        int(span.split("-")[end])
        for span, end in ((main["baseline_years"], 0), (main["term_years"], 1))
    )
    return influence_sentences(
        main, without, lambda cell: name_of_cell(study, main["base"], cell, years)
    )


def name_of_cell(study: Study, base: str, cell: str, years: tuple[int, int]) -> str:
    """Return prefecture and industry of a cell in words, with what is known of its plants.

    E.g. ``"Aomori, non-ferrous metals (FY2006: the nuclear fuel reprocessing plant ...)"``.
    """
    place, industry = cell.split(" ", 1)
    prefectures = study.prefectures.set_index("pref_code")["name_en"]
    industries = study.industries[study.industries["base"] == base].set_index("industry")["name_en"]
    name = f"{prefectures.get(place, place)}, {industries.get(industry, industry).lower()}"
    events = events_of_cell(study, place, industry, years)
    known = [f"FY{row.first_fy}: {row.what}" for row in events.itertuples()]
    return f"{name} ({'; '.join(known)})" if known else name


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
        "change_mind": _one_of(judged["change_mind"]),
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
        "change_mind": _one_of(judged["change_mind"]),
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
        stands_on = (
            phrases["result_ids"].str.split(";").map(lambda ids, own=main["result_id"]: own in ids)
        )
        of_term = phrases[stands_on & (phrases["term"] == number)]
        verdict = of_term["verdict"].iloc[0]
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
            "answer": "Output of 47 prefectures by industry and year: "
            f"{format_number(len(study.cell_panel))} figures in {len(rules.BASES)} base years, "
            f"{format_number(hidden)} of them hidden by the publisher.",
            "verdict": None,
        }
    )
    return pd.DataFrame(rows)


def agreement_sentence(opinion: Mapping[str, float]) -> str:
    """Say how far the estimate of a second program is from ours.

    Parameters
    ----------
    opinion : mapping
        Row of ``effects.second_opinion``.
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
    wild = format_interval(main["wild_low"], main["wild_high"])
    blocks = format_interval(main["block_low"], main["block_high"])
    too_few = TOO_FEW_UNITS.format(p=format_p(2.0 ** (1 - main["n_units"])))
    return (
        "The test takes the cells of one industry in one block of prefectures for one unit and "
        "supposes that no shock is common to all targeted industries of a block. Where the larger "
        f"of the variances by unit and by block is taken, the interval is {blocks} percent "
        f"({format_p(main['block_p'])}). Without clipping the estimate is "
        f"{format_number(main['least_squares'], 1, sign=True)} percent; a wild cluster bootstrap "
        f"of it by prefecture runs {wild} percent ({format_p(main['wild_p'])}). The estimate rests "
        f"on {format_number(main['n_targeted'])} targeted cells in "
        f"{format_number(main['n_units'])} units, worth "
        f"{format_number(main['effective_targeted'], 1)} equal ones."
        + (too_few if main["n_units"] <= FEW else "")
    )


def drift_sentence(main: pd.Series) -> str:
    """Say what remains if the groups went on drifting apart as they had, and from which base year.

    Parameters
    ----------
    main : Series
        Main estimate of a term.
    """
    if main["status"] != "estimated" or pd.isna(main["from_base_year"]):
        return ""
    base_year = str(main["baseline_years"]).partition("-")[2]
    against = format_number(main["from_base_year"], 1, sign=True)
    turned = main["from_base_year"] * main["estimate"] < 0
    honest = format_interval(main["honest_low"], main["honest_high"])
    breakdown = (
        "the interval holds zero even without any drift, so the breakdown value is 0"
        if main["breakdown"] == 0
        else f"the breakdown value, at which it would hold zero, is "
        f"{format_number(main['breakdown'], 2)} times that change"
    )
    sign = ": even the sign hangs on which years are compared" if turned else ""
    return (
        f"Against FY{base_year} alone the mean of the years of the term is {against} percent, "
        f"against all years of the baseline it is "
        f"{format_number(main['estimate'], 1, sign=True)}{sign}. Could the groups drift apart in "
        "the term by as much in a year as they did in any year before it, effects from "
        f"{honest} percent against FY{base_year} would be in keeping with the figures (bounds of "
        f"Rambachan and Roth, relative magnitudes, M = 1); {breakdown}."
    )


def continued_sentence(results: pd.DataFrame, main: pd.Series) -> str:
    """Say, for the second term, what became of cells that both terms targeted."""
    if main["term"] != NEW_TARGETS_TERM:
        return ""
    same = {name: main[name] for name in ("term", "clock", "fields_map")}
    row = choose(results, sample=effects.CONTINUED, **same).iloc[0]
    if row["status"] != "estimated":
        return f"Cells that both terms targeted, set apart above: {not_estimable_sentence(row)}"
    return (
        "Cells that both terms targeted are set apart above. Compared with cells never targeted "
        f"over the same years they moved by {format_estimate(row)} "
        f"({format_p(row['p_value'])}; {format_number(row['n_targeted'])} of "
        f"{format_number(row['n_cells'])} cells): what a second term added to the first, if "
        "anything, as term 1 is their baseline."
    )


def declared_sentence(study: Study, results: pd.DataFrame, main: pd.Series) -> str:
    """Say what was declared before estimating: outcome, margin and families of p-values.

    Parameters
    ----------
    study : Study
    results : DataFrame
        Estimate records of the term.
    main : Series
        Main estimate of the term.
    """
    outcome = study.outcomes.set_index("outcome").loc[main["outcome"]]
    secondary = study.outcomes.loc[study.outcomes["role"] == "secondary", "label"]
    readings = label_designs(results)["fields_map"].nunique()
    return (
        f"Declared before anything was estimated: the {outcome['role']} outcome is "
        f"{outcome['label']}; a difference below {format_number(outcome['margin_percent'])} "
        f"percent either way counts as none ({outcome['margin_reason']}). Secondary outcomes: "
        f"{'; '.join(secondary)}. P-values are adjusted within families: "
        f"for the {readings} readings of the fields by Holm's steps, for the years of one event "
        "study by the step-down of Westfall and Young. Targets were reassigned "
        f"{format_number(main['draws'])} times; no p-value can be below "
        f"{format_number(main['smallest_p'], 4)}, which the number of draws and of different "
        "assignments allow."
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
    percent = 100 * np.expm1(gap / 100)
    side = "more" if percent >= 0 else "less"
    return (
        f"From the base year to FY{last['fy'].iloc[0]} targeted cells grew "
        f"{format_number(abs(percent), 1)} percent {side} than the others. Most of such a gap "
        "can be the nationwide path of their industries and the path of their prefectures; once "
        f"both are taken out, {format_estimate(main)} is left over the whole term."
    )


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


def _targets(study: Study, term: policy.Term, main: pd.Series) -> str:
    projects = study.projects_of_term(term.number)
    projects = projects[~projects["project_id"].isin(policy.unknown_starts(projects))]
    covered = study.targets.loc[
        study.targets["project_id"].isin(projects["project_id"]), "pref_code"
    ].nunique()
    facts = study.term_facts
    aim = facts[(facts["term"] == str(term.number)) & (facts["indicator"] == "objective")]
    ended = ", whose national money had ended," if term.number == LAST_TERM else ""
    of_whom = f" {_newcomers(study, main)}" if term.number == NEW_TARGETS_TERM else ""
    return (
        f"{term.name} ({term.name_ja}), {format_years(*term.years)} on the {term.clock} clock. "
        f"Its aims: {_small(aim['value'].iloc[0])}. {len(projects)} projects{ended} covered "
        f"{covered} prefectures.{of_whom} In the {main['fields_map']} reading of their fields "
        f"{format_number(main['n_targeted'])} of the {format_number(main['n_cells'])} cells "
        "compared are targeted."
    )


def _newcomers(study: Study, main: pd.Series) -> str:
    """Say which projects of term 2 the estimate is about: those that named new cells."""
    cells = study.cells
    cells = cells[(cells["base"] == main["base"]) & (cells["fields_map"] == main["fields_map"])]
    first = cells[cells["is_targeted_2"] & ~cells["is_targeted_1"]]
    named = first["projects_2"].str.split(";").explode().nunique()
    kept = int((cells["is_targeted_1"] & cells["is_targeted_2"]).sum())
    return (
        f"{named} of them named industries that no project of term 1 had named there, and only "
        f"those cells are judged here: {format_number(kept)} cells that term 1 had targeted "
        "already are left out."
    )


def _loss(results: pd.DataFrame, main: pd.Series) -> str:
    """Say, for the third term, how large a loss each base of the accounts leaves possible."""
    if main["term"] != LAST_TERM:
        return ""
    same = {name: main[name] for name in ("term", "clock", "fields_map", "sample")}
    rows = choose(results, status="estimated", **same)
    losses = [
        f"{format_number(max(-row['low'], 0), 1)} percent in base {row['base'][1:]}"
        for _, row in rows.iterrows()
    ]
    if not losses:
        return ""
    return f"Once the money had ended a loss of up to {' and of up to '.join(losses)} is possible."


def _verdicts(phrases: pd.DataFrame) -> str:
    """Count verdicts in two tallies, one for each list."""
    asked = {
        evidence.RUN: "on how the policy was run, held against sources",
        evidence.ACHIEVED: "on what it achieved",
    }
    parts = [
        f"{sum(counts.values())} phrases {asked[listed]}: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        for listed, counts in evidence.tally(phrases).items()
    ]
    return f"{'; '.join(parts)}."


def _strength(main: pd.Series) -> str:
    if main["status"] != "estimated":
        return f"none: {effect_sentence(main)}"
    return (
        f"{format_number(main['n_observations'])} figures of the prefectural accounts, "
        f"{format_number(main['n_targeted'])} targeted cells against "
        f"{format_number(main['n_cells'] - main['n_targeted'])} that were not targeted: "
        f"{format_estimate(main)}, grade {main['grade']} of 5{_why_grade(main)}."
    )


def _why_grade(main: pd.Series) -> str:
    """Say why an estimate has a lower grade than its design may have."""
    if main["pretrend_p"] <= PRETREND_LEVEL:
        return ", because the groups had moved apart before the term"
    if main["pretrend_detectable"] > PRETREND_BLIND:
        return (
            ", because the years before the term could hide a gap above "
            f"{format_number(PRETREND_BLIND)} percent"
        )
    return ""


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


def _one_of(texts: pd.Series) -> str:
    """Join what would each be enough."""
    first, *others = texts.drop_duplicates()
    return "; or ".join([first, *(_small(text) for text in others)]) + "."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
