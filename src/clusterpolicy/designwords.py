"""What the further designs found, in sentences made from their records."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from clusterpolicy import exposure, outcomes, staggered, synthetic, withdrawal
from clusterpolicy.panel import Study
from clusterpolicy.wording import (
    format_estimate,
    format_interval,
    format_number,
    format_p,
    not_estimable_sentence,
)

CENSUS = "this study, from the Census of Manufactures (METI) and the facts in data/raw/projects.csv"

MUNICIPAL = (
    "this study, from the Census of Manufactures (METI) by municipality and the municipal panel of "
    "manufacturing (Cabinet Office)"
)
NO_RUNG_2 = (
    "This page stands on rung 1, the figures kept in the repository, and municipalities are not "
    "among them: the section is empty. `make data` downloads rung 2, and the next `make report` "
    "fills it."
)


def exposure_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say what the exposure of municipalities shows, or that this build has no rung 2."""
    rows = _of(further, exposure.DESIGN, clock, fields_map)
    if rows.empty:
        return NO_RUNG_2
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
        f"This page stands on rung 2. {format_number(main['n_cells'])} municipalities, "
        f"{format_number(main['n_targeted'])} of them with jobs in targeted industries: one with "
        f"all its jobs there, against one with none, {format_estimate(main)} in the term "
        f"({format_p(main['p_value'])}); an effect above {format_number(main['mde'], 1)} "
        f"{main['unit']} would have been seen. In the years from {first} to the term {trend} "
        f"({format_p(main['pretrend_p'])}). Checks: {checks}."
    )


def cohorts_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say which cohorts can be estimated, and with what counts the others cannot."""
    rows = _of(further, staggered.DESIGN, clock, fields_map)
    if rows.empty:
        return "Not asked in this term: no project of its own targeted a cell for the first time."
    parts = []
    for sample, of_cohort in rows.groupby("sample", sort=False):
        first = of_cohort.iloc[0]
        if first["status"] == "estimated":
            found = "; ".join(
                f"{row['method'].split(',')[0]} {format_estimate(row)}, {format_p(row['p_value'])}"
                for _, row in of_cohort.iterrows()
            )
            parts.append(f"Cells {sample}: {found}.")
        else:
            parts.append(f"Cells {sample}: {_small(not_estimable_sentence(first))}")
    return " ".join(parts)


def outcomes_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say what jobs, plants and shipments of targeted cells did, or why nothing is said."""
    rows = _of(further, outcomes.DESIGN, clock, fields_map)
    if rows.empty:
        return NO_RUNG_2
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
        f"This section stands on rung 2. In {len(away) or 'none'} of {len(estimated)} outcomes the "
        f"interval leaves out zero{f' ({found})' if found else ''}. In the years before the term "
        f"{trend}."
    )


def _of(further: pd.DataFrame, design: str, clock: str, fields_map: str) -> pd.DataFrame:
    return further[
        (further["design"] == design)
        & (further["clock"] == clock)
        & (further["fields_map"] == fields_map)
    ]


def withdrawal_sentence(further: pd.DataFrame, clock: str, fields_map: str) -> str:
    """Say what the test of the third term found, or that the term is not the third.

    Parameters
    ----------
    further : DataFrame
        From ``designs.estimate_designs``.
    clock, fields_map : str
    """
    rows = _of(further, withdrawal.DESIGN, clock, fields_map)
    if rows.empty:
        return "Not asked in this term: the money stopped at the end of the second."
    main, others = rows[rows["role"] == "main"].iloc[0], rows[rows["role"] == "check"]
    also = [
        f"In base {row['base'][1:]} the change is {format_estimate(row)}: {_ruled_out(row)}."
        for _, row in others[others["status"] == "estimated"].iterrows()
    ]
    return " ".join([equivalence_sentence(main), *also])


def equivalence_sentence(record: Mapping[str, Any]) -> str:
    """Say whether a change as large as the margin is ruled out after the money stopped.

    Parameters
    ----------
    record : mapping
        Of the design "equivalence".
    """
    if record["status"] != "estimated":
        return not_estimable_sentence(record)
    level = format_number(100 * record["level"])
    return (
        f"Since the money stopped targeted cells have moved by "
        f"{format_number(record['estimate'], 1, sign=True)} {record['unit']} against comparable "
        f"ones ({level} % interval {format_interval(record['low'], record['high'])}; "
        f"{format_p(record['p_value'])} against a change of {_margin(record)} or more): "
        f"{_ruled_out(record)}. Not finding a difference is not the same as showing that there is "
        "none: this test asks for the second."
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


def projects_sentence(records: pd.DataFrame) -> str:
    """Say how many territories differ from their synthetic counterpart, chance considered.

    Parameters
    ----------
    records : DataFrame
        From ``label_territories``: one row per territory and indicator.
    """
    parts = []
    for indicator, label in synthetic.INDICATORS.items():
        rows = records[(records["outcome"] == indicator) & (records["status"] == "estimated")]
        away = rows[(rows["low"] > 0) | (rows["high"] < 0)]
        adjusted = min(1.0, rows["p_value"].min() * len(rows)) if len(rows) else float("nan")
        named = "; ".join(f"{row['label']}: {format_estimate(row)}" for _, row in away.iterrows())
        parts.append(
            f"{label[0].upper()}{label[1:]}: in {len(away) or 'none'} of {len(rows)} territories "
            f"the interval leaves out zero{f' ({named})' if named else ''}; the smallest p, "
            f"multiplied by their number, is {format_number(adjusted, 2)}."
        )
    return " ".join(parts)


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
        The first record of each territory and indicator, with a ``label``.
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
    return labelled.drop_duplicates(["territory", "outcome"]).drop(columns="territory")


def _places(names: list[str]) -> str:
    """Name up to three places, and count the rest."""
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
