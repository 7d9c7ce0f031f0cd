"""The tables of the further designs: projects and further outcomes, each with its CSV."""

import pandas as pd

from clusterpolicy import synthetic
from clusterpolicy.panel import Study
from clusterpolicy.printing import Table
from clusterpolicy.tables import NOT_ESTIMABLE, plain_table

NUMBERS = ["estimate", "low", "high", "p_value", "adjusted_p", "mde"]


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
        rows = territories[territories["outcome"] == indicator].set_index("label")[columns]
        parts.append(rows.add_prefix(f"{indicator}_"))
        for column, words in zip(columns, ("", ", from", ", to", ", p"), strict=True):
            name = f"{indicator}_{column}"
            labels[name] = f"{indicator.capitalize()}{words}"
            kinds[name] = "p" if column == "p_value" else "signed"
            decimals[name] = 3 if column == "p_value" else 1
    data = pd.concat(parts, axis=1).round(4).reset_index()
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
        "percent; 95 % interval",
        source,
        _years(records),
        kinds={**signed, "p_value": "p", "adjusted_p": "p", "grade": "grade"},
        decimals={"p_value": 3, "adjusted_p": 3},
    )


def _rounded(data: pd.DataFrame) -> pd.DataFrame:
    """Round what goes into the CSV to four decimals: more is noise, and fills the page."""
    return data.assign(**{name: data[name].round(4) for name in NUMBERS if name in data})


def _years(records: pd.DataFrame) -> str:
    spans = [records[name].drop_duplicates() for name in ("term_years", "baseline_years")]
    return " against ".join(" or ".join(each[each != ""]) for each in spans)
