"""The tables of the further designs: projects, equivalence and further outcomes, with their CSV."""

import pandas as pd

from clusterpolicy.otherdesigns import synthetic, withdrawal
from clusterpolicy.page.printing import Column, Table
from clusterpolicy.panel import Study
from clusterpolicy.tables import NOT_ESTIMABLE, places_needed, plain_table
from clusterpolicy.wording import format_number

NUMBERS = ["estimate", "low", "high", "p_value", "adjusted_p", "mde", *withdrawal.SIDES]
# Digits of the CSV: more is noise, and fills the page. Fewer would be rounded twice in print.
DIGITS = 6


def territories_table(territories: pd.DataFrame, source: str) -> Table:
    """Print each territory against its synthetic counterpart, for both indicators.

    Parameters
    ----------
    territories : DataFrame
        From ``designwords.label_territories``.
    source : str
        Ready to print.
    """
    columns, labels, kinds, decimals = ["estimate", "low", "high", "p_value"], {}, {}, {}
    parts = []
    for indicator in synthetic.INDICATORS:
        own = territories[territories["outcome"] == indicator].set_index("label")
        rows = own[columns]
        places = max(map(places_needed, rows["low"], rows["high"]), default=1)
        parts.append(rows.add_prefix(f"{indicator}_"))
        for column, words in zip(columns, ("", ", from", ", to", ", p"), strict=True):
            name = f"{indicator}_{column}"
            labels[name] = f"{indicator.capitalize()}{words}"
            kinds[name] = "p" if column == "p_value" else "signed"
            decimals[name] = 3 if column == "p_value" else places
    # Both indicators have the same donors, so the same sets stand in for the territory.
    parts.append(own[["draws", "smallest_p"]])
    labels |= {"draws": "Sets that stand in for it", "smallest_p": "Smallest p they allow"}
    decimals["smallest_p"] = 3
    data = pd.concat(parts, axis=1).round(DIGITS).reset_index()
    return plain_table(
        data,
        {"label": "Prefectures", **labels},
        "percent; 95 % interval",
        source,
        _years(territories),
        kinds=kinds,
        decimals=decimals,
        symbols=NOT_ESTIMABLE,
    )


def equivalence_table(further: pd.DataFrame, source: str) -> Table:
    """Print both one-sided tests of the third term on every clock, reading and base.

    Parameters
    ----------
    further : DataFrame
        From ``designs.estimate_designs``.
    source : str
        Ready to print.
    """
    tests = further[further["design"] == withdrawal.DESIGN]
    sides = further[further["design"] == withdrawal.ONE_SIDE].set_index("result_id")["p_value"]
    shown = tests.assign(
        base=tests["base"].str[1:],
        **{side: (tests["result_id"] + f"-{side}").map(sides) for side in withdrawal.SIDES},
    )
    margin = format_number(tests["mde"].dropna().iloc[0])
    level = format_number(100 * tests["level"].iloc[0])
    columns = (
        Column("clock", "Clock"),
        Column("fields_map", "Reading"),
        Column("base", "Base", kind="code"),
        Column("estimate", "Change", "", "signed", 1, "n.e."),
        Column("low", f"{level} % interval, from", "", "signed", 1, "n.e."),
        Column("high", f"{level} % interval, to", "", "signed", 1, "n.e."),
        *(
            Column(side, f"p against a {side} of {margin} percent or more", "", "p", 3, "n.e.")
            for side in withdrawal.SIDES
        ),
        Column("draws", "Reassignments", kind="number"),
        Column("smallest_p", "Smallest p they allow", kind="number", decimals=5),
    )
    data = _rounded(shown)[[column.name for column in columns]].reset_index(drop=True)
    return Table(data, columns, "percent", _years(tests), source, NOT_ESTIMABLE, stub=3)


def outcomes_table(study: Study, records: pd.DataFrame, source: str) -> Table:
    """Print the further outcomes with their p-values, plain and adjusted within the family."""
    declared = study.outcomes.set_index("outcome")["role"]
    data = records.assign(role=records["outcome"].map(declared))
    labels = {
        "outcome_label": "Outcome",
        "role": "Role",
        "estimate": "Estimate",
        "low": "From",
        "high": "To",
        "unit": "Unit",
        "p_value": "p",
        "adjusted_p": "p, adjusted",
        "mde": "Smallest effect that would be seen",
        "n_targeted": "Targeted cells",
        "n_cells": "All cells",
        "grade": "Grade",
    }
    signed = dict.fromkeys(("estimate", "low", "high"), "signed")
    return plain_table(
        _rounded(data)[list(labels)],
        labels,
        "as named in each row; 95 % interval",
        source,
        _years(records),
        kinds={**signed, "p_value": "p", "adjusted_p": "p", "grade": "grade"},
        decimals={"p_value": 3, "adjusted_p": 3},
    )


def _rounded(data: pd.DataFrame) -> pd.DataFrame:
    """Round what goes into the CSV."""
    return data.assign(**{name: data[name].round(DIGITS) for name in NUMBERS if name in data})


def _years(records: pd.DataFrame) -> str:
    spans = [records[name].drop_duplicates() for name in ("term_years", "baseline_years")]
    return " against ".join(" or ".join(each[each != ""]) for each in spans)
