"""What the further designs found, in sentences made from their records."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from clusterpolicy import effects, inference, policy
from clusterpolicy.otherdesigns import exposure, outcomes, staggered, synthetic, withdrawal
from clusterpolicy.page.alttext import listed
from clusterpolicy.panel import Study
from clusterpolicy.tables import estimate_in_words
from clusterpolicy.wording import (
    format_estimate,
    format_interval,
    format_number,
    format_p,
    not_estimable_sentence,
)

EARTHQUAKE = "earthquake-2011"  # key of the table events

CENSUS = "this study, from the Census of Manufactures (METI) and the facts in data/raw/projects.csv"

MUNICIPAL = (
    "this study, from the Census of Manufactures (METI) by municipality and the municipal panel of "
    "manufacturing (Cabinet Office)"
)


def exposure_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say what the exposure of municipalities shows."""
    rows = _of(further, exposure.DESIGN, clock, fields_map)
    main = rows[rows["role"] == "main"].iloc[0]
    if main["status"] != "estimated":
        return not_estimable_sentence(main)
    checks = "; ".join(
        f"{row['sample']} {format_estimate(row)}"
        for _, row in rows[rows["role"] == "check"].iterrows()
    )
    first = further.loc[further["design"] == exposure.YEARS_DESIGN, "year"].min()
    is_apart = main["pretrend_p"] <= 1 - main["level"]
    trend = "a difference in trend shows" if is_apart else "no difference in trend is detectable"
    return (
        f"{format_number(main['n_cells'])} municipalities, "
        f"{format_number(main['n_targeted'])} of them with jobs in targeted industries: one with "
        f"all its jobs there, against one with none, {format_estimate(main)} in the term "
        f"({format_p(main['p_value'])}); an effect above {format_number(main['mde'], 1)} "
        f"{main['unit']} would have been seen. In the years from {first} to the term {trend} "
        f"({format_p(main['pretrend_p'])}). Checks: {checks}. {chance_sentence(rows)}"
    ).strip()


def chance_sentence(rows: pd.DataFrame) -> str:
    """Say on how many reassignments p-values stand and how small they allow them to be.

    Empty where they stand on as many as the main estimate, whose count is printed with it.
    """
    drawn = rows[(rows["status"] == "estimated") & ~rows["draws"].isin((0, inference.DRAWS))]
    if drawn.empty:
        return ""
    counts = listed([format_number(count) for count in sorted(drawn["draws"].unique())])
    least = drawn["smallest_p"].min()
    return (
        f"Chance stands on {counts} reassignments here, fewer than in the main estimate: no p can "
        f"be below {format_number(least, 3 if least >= 0.001 else 5)}."
    )


def cohorts_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say in both readings which cohorts can be estimated, and why the others cannot.

    Parameters
    ----------
    further : DataFrame
        From ``designs.estimate_designs``.
    clock, fields_map : str
        The reading of the page comes first.
    """
    readings = [fields_map, *(each for each in policy.FIELDS_MAPS if each != fields_map)]
    by_reading = {each: _of(further, staggered.DESIGN, clock, each) for each in readings}
    if by_reading[fields_map].empty:
        return "Not asked in this term: no project of its own targeted a cell for the first time."
    parts = []
    for reading, rows in by_reading.items():
        for sample, of_cohort in rows.groupby("sample", sort=False):
            first = of_cohort.iloc[0]
            named = f"In the {reading} reading, cells {sample}"
            if first["status"] == "estimated":
                found = "; ".join(
                    f"{row['method'].split(',')[0]} {format_estimate(row)}, "
                    f"{format_p(row['p_value'])}"
                    for _, row in of_cohort.iterrows()
                )
                parts.append(f"{named}: {found}.")
            else:
                parts.append(f"{named}: {_small(not_estimable_sentence(first))}")
    parts.append(chance_sentence(pd.concat(by_reading.values())))
    return " ".join(parts).strip()


def outcomes_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say what jobs, plants and shipments of targeted cells did, or why nothing is said."""
    rows = _of(further, outcomes.DESIGN, clock, fields_map)
    rows = rows[(rows["outcome"] != "product") & (rows["role"] == "main")]
    estimated = rows[rows["status"] == "estimated"]
    if estimated.empty:
        return not_estimable_sentence(rows.iloc[0])
    away = estimated[(estimated["low"] > 0) | (estimated["high"] < 0)]
    moved = estimated[estimated["pretrend_p"] <= 1 - estimated["level"]]
    found = "; ".join(
        f"{row['outcome_label']}: {format_estimate(row)}" for _, row in away.iterrows()
    )
    before = "; ".join(
        f"{row['outcome_label']}, {format_p(row['pretrend_p'])}" for _, row in moved.iterrows()
    )
    trend = f"a difference in trend shows in {before}" if before else "none shows a difference"
    return (
        f"In {len(away) or 'none'} of {len(estimated)} outcomes the "
        f"interval leaves out zero{f' ({found})' if found else ''}. In the years before the term "
        f"{trend}. {chance_sentence(rows)}"
    ).strip()


def _of(further: pd.DataFrame, design: str, clock: str, fields_map: str) -> pd.DataFrame:
    return further[
        (further["design"] == design)
        & (further["clock"] == clock)
        & (further["fields_map"] == fields_map)
    ]


def withdrawal_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say what the tests of the third term found, or that the term is not the third.

    Parameters
    ----------
    further : DataFrame
        From ``designs.estimate_designs``.
    clock, fields_map : str
        The reading of the page: its main test comes first, then the loss on every clock, in every
        reading and base.
    """
    rows = _of(further, withdrawal.DESIGN, clock, fields_map)
    if rows.empty:
        return "Not asked in this term: the money stopped at the end of the second."
    sides = further[further["design"] == withdrawal.ONE_SIDE].set_index("result_id")["p_value"]
    tests = further[further["design"] == withdrawal.DESIGN]
    tests = tests[tests["status"] == "estimated"]
    for side in withdrawal.SIDES:
        tests = tests.assign(**{f"p_{side}": (tests["result_id"] + f"-{side}").map(sides)})
    main = rows[rows["role"] == "main"].iloc[0]
    if main["status"] != "estimated":
        return not_estimable_sentence(main)
    main = tests[tests["result_id"] == main["result_id"]].iloc[0]
    return f"{equivalence_sentence(main)} {_losses(tests)} {chance_sentence(tests)}".strip()


def _losses(tests: pd.DataFrame) -> str:
    """Say in how many tests a loss as large as the margin is ruled out, and where it is not."""
    is_left = tests["low"] <= -tests["mde"]
    left, margin = tests[is_left], _margin(tests.iloc[0])
    counted = f"A loss of {margin} is ruled out in {len(tests) - len(left)} of {len(tests)} tests"
    if left.empty:
        return f"{counted}, one for each clock, reading and base."
    where = "; ".join(
        f"{row['clock']} clock, {row['fields_map']} reading, base {row['base'][1:]} "
        f"({format_p(row['p_loss'])})"
        for _, row in left.iterrows()
    )
    return f"{counted}, one for each clock, reading and base. It is not ruled out on the {where}."


def equivalence_sentence(record: Mapping[str, Any]) -> str:
    """Say whether a loss, and whether a gain, as large as the margin is ruled out.

    Parameters
    ----------
    record : mapping
        Of the design "equivalence", with the p-values of both sides as ``p_loss`` and ``p_gain``.
    """
    level, margin = format_number(100 * record["level"]), _margin(record)
    return (
        f"Since the money stopped targeted cells have moved by "
        f"{format_number(record['estimate'], 1, sign=True)} {record['unit']} against comparable "
        f"ones ({level} % interval {format_interval(record['low'], record['high'])}). Against a "
        f"loss of {margin} or more {format_p(record['p_loss'])}, against a gain of {margin} or "
        f"more {format_p(record['p_gain'])}: {_ruled_out(record)}. Not finding a difference is not "
        "the same as showing that there is none: this test asks for the second."
    )


def _margin(record: Mapping[str, Any]) -> str:
    return f"{format_number(record['mde'])} {record['unit']}"


def _ruled_out(record: Mapping[str, Any]) -> str:
    margin = _margin(record)
    return {
        (True, True): f"a change of {margin} in either direction is ruled out",
        (True, False): f"a loss of {margin} is ruled out, a gain of {margin} is not",
        (False, True): f"a gain of {margin} is ruled out, a loss of {margin} is not",
        (False, False): f"neither a loss nor a gain of {margin} is ruled out",
    }[bool(record["low"] > -record["mde"]), bool(record["high"] < record["mde"])]


def projects_sentences(records: pd.DataFrame, study: Study) -> list[str]:
    """Say how many territories differ from their counterpart, and what those numbers hold.

    Parameters
    ----------
    records : DataFrame
        From ``label_territories``: one row per territory and indicator.
    study : Study
    """
    said = [
        f"{_differing(records)} {_within_reach(records)}",
        _years_held(records, study),
        _earthquake_held(records, study),
    ]
    return [sentence for sentence in said if sentence]


def _differing(records: pd.DataFrame) -> str:
    parts = []
    for indicator, label in synthetic.INDICATORS.items():
        rows = records[(records["outcome"] == indicator) & (records["status"] == "estimated")]
        away = rows[(rows["low"] > 0) | (rows["high"] < 0)]
        adjusted = min(1.0, rows["p_value"].min() * len(rows)) if len(rows) else float("nan")
        named = "; ".join(f"{row['label']}: {estimate_in_words(row)}" for _, row in away.iterrows())
        parts.append(
            f"{label[0].upper()}{label[1:]}: in {len(away) or 'none'} of {len(rows)} territories "
            f"the interval leaves out zero{f' ({named})' if named else ''}; the smallest p, "
            f"multiplied by their number, is {format_number(adjusted, 2)}."
        )
    return " ".join(parts)


def _within_reach(records: pd.DataFrame) -> str:
    """Say how small a p the stand-ins allow, before and after allowing for the territories."""
    rows = records[records["status"] == "estimated"]
    if rows.empty:
        return ""
    territories = rows["label"].nunique()
    least = rows["smallest_p"].min()
    few, many = rows["draws"].min(), rows["draws"].max()
    sets = format_number(many) if few == many else f"{format_number(few)} to {format_number(many)}"
    reach = (
        "no territory could have been called different after this adjustment, whatever happened"
        if least * territories > 1 - inference.LEVEL
        else "after this adjustment a difference could still have been found"
    )
    return (
        f"Each p is a rank among {sets} sets of prefectures that stand in for the territory, so it "
        f"cannot be below {format_number(least, 3)}, nor below "
        f"{format_number(min(1.0, least * territories), 2)} once multiplied by {territories}: "
        f"{reach}."
    )


def _years_held(records: pd.DataFrame, study: Study) -> str:
    """Say that numbers of a later term hold all years since the policy began; else nothing."""
    first, last = (int(year) for year in records["baseline_years"].iloc[0].split("-"))
    began = int(records["term_years"].iloc[0].split("-")[0])
    terms = study.terms[study.terms["clock"] == records["clock"].iloc[0]]
    between = terms[(terms["first_year"] > last) & (terms["last_year"] < began)]["term"]
    if between.empty:
        return ""
    held = listed([str(term) for term in sorted(between)])
    return (
        f"The years before are {first}-{last} for every term, so these numbers hold all that has "
        f"happened since {last + 1}, term{'s' if len(between) > 1 else ''} {held} included: they "
        "are not the change from one term to the next."
    )


def _earthquake_held(records: pd.DataFrame, study: Study) -> str:
    """Name the territories whose numbers hold the earthquake; nothing if it came later."""
    event = study.events.set_index("event_id").loc[EARTHQUAKE]
    hit = {
        code
        for rule in effects.SAMPLES.values()
        if rule.since_fy == effects.EARTHQUAKE_FY
        for code in rule.prefectures
    }
    end = max(int(span.split("-")[1]) for span in records["term_years"])
    is_hit = records["territory"].str.split(";").map(lambda codes: bool(hit & set(codes)))
    if end < event["first_year"] or not is_hit.any():
        return ""
    names = study.prefectures.set_index("pref_code")["name_en"]
    struck = listed([names[code] for code in sorted(hit)])
    holding = listed(list(records.loc[is_hit, "label"].str.split(":").str[0].unique()))
    return (
        f"{event['name_en']}: it struck {struck}, so the numbers of {holding} hold the earthquake "
        "too, and nothing here takes it out."
    )


def label_territories(study: Study, records: pd.DataFrame) -> pd.DataFrame:
    """Keep one record per territory and name it: projects of the same prefectures share a number.

    Parameters
    ----------
    study : Study
    records : DataFrame
        From ``synthetic.estimate_projects``.

    Returns
    -------
    DataFrame
        The first record of each territory and indicator, with a ``label`` and the codes of its
        prefectures as ``territory``.
    """
    names = study.prefectures.set_index("pref_code")["name_en"]
    where = study.projects.set_index("project_id")["prefectures"]
    project = records["sample"].str.split(" ").str[0]
    territory = project.map(where)
    sharing = territory.groupby([territory, records["outcome"]]).transform("size")
    labels = [
        f"{_places([names[code] for code in codes.split(';')])}: {count} "
        f"project{'s' if count > 1 else ''}"
        for codes, count in zip(territory, sharing, strict=True)
    ]
    labelled = records.assign(label=labels, territory=territory)
    return labelled.drop_duplicates(["territory", "outcome"])


def _places(names: list[str]) -> str:
    """Name up to three places, and count the rest."""
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
