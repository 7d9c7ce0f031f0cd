"""How the methods page speaks: its answer, what holds and what does not, from the records."""

import numpy as np
import pandas as pd

from clusterpolicy import effects, policy, simulation
from clusterpolicy.alttext import listed
from clusterpolicy.panel import Study
from clusterpolicy.trials import EFFECT, METHODS, PROMISED
from clusterpolicy.wording import format_number

NULLS = ("redrawn", "fixed", "real", "heavy", "alike")
SOURCE = "this study: panels drawn in the shape of the Prefectural Accounts (Cabinet Office)"


def pick(trials: pd.DataFrame, **conditions: object) -> pd.DataFrame:
    """Return the records that meet `conditions` (column = value)."""
    for column, value in conditions.items():
        trials = trials[trials[column] == value]
    return trials.reset_index(drop=True)


def holds(records: pd.DataFrame) -> pd.Series:
    """Say of each coverage or rejection whether its promise is within Monte Carlo error."""
    promised = records["measure"].map(PROMISED)
    return (records["low"] <= promised) & (promised <= records["high"])


def answer_methods(trials: pd.DataFrame) -> list[str]:
    """Write the five lines that open the methods page, the limits first.

    Parameters
    ----------
    trials : DataFrame
        Records of ``trials.try_all``.

    Returns
    -------
    list of str
    """
    n_panels = int(trials["n_panels"].max())
    drift = pick(trials, scenario="drift", way="permutation", measure="bias").iloc[0]
    return [
        f"What no method here mends: where targeted cells were ahead all along, the estimate is "
        f"off by {_signed(drift)} percent; and no panel knows what nobody has measured.",
        _size_line(trials, n_panels),
        _cover_line(trials),
        _failing_line(trials),
        _power_line(trials),
    ]


def _size_line(trials: pd.DataFrame, n_panels: int) -> str:
    parts = [
        f"{_shown(row)} in term {row.term}"
        for row in pick(
            trials, scenario="redrawn", way="permutation", measure="rejection"
        ).itertuples()
    ]
    fixed = pick(trials, scenario="fixed", way="permutation", measure="rejection")
    return (
        f"Without an effect and with targets redrawn, the test of the reports, which promises 5 "
        f"percent, rejects in {listed(parts)} of {format_number(n_panels)} panels each; with "
        f"targets as they were, in {listed([f'{_shown(row)}' for row in fixed.itertuples()])}."
    )


def _cover_line(trials: pd.DataFrame) -> str:
    rows = pick(trials, way="permutation", measure="coverage")
    rows = rows[rows["scenario"].isin(NULLS)]
    worst = rows.loc[rows["estimate"].idxmin()]
    return (
        f"Its 95 % interval holds the true effect in {_number(rows['estimate'].min())} to "
        f"{_number(rows['estimate'].max())} percent of panels, least in term {worst['term']}, "
        f"{worst['sample']}; within Monte Carlo error of its promise in {int(holds(rows).sum())} "
        f"of {len(rows)} scenarios."
    )


def _failing_line(trials: pd.DataFrame) -> str:
    parts = []
    for way, label in METHODS.items():
        rows = pick(trials, way=way, measure="rejection")
        rows = rows[rows["scenario"].isin(NULLS)]
        if way != "permutation" and not rows.empty:
            parts.append(
                f"{label} {_number(rows['estimate'].min())} to {_number(rows['estimate'].max())}"
            )
    return f"Other methods reject without an effect, percent of panels: {listed(parts)}."


def _power_line(trials: pd.DataFrame) -> str:
    found = pick(trials, scenario="fixed", way="permutation", measure="power", effect=100 * EFFECT)
    printed = pick(trials, scenario="fixed", way="permutation", measure="power-at-detectable")
    return (
        f"An effect of {_number(100 * EFFECT, 0)} percent is found in "
        + listed([f"{_shown(row)} (term {row.term})" for row in found.itertuples()])
        + " of panels; the one printed as detectable, meant for 80 percent, in "
        + listed([f"{_shown(row)} (term {row.term})" for row in printed.itertuples()])
        + "."
    )


def process_rows(study: Study, fields_map: str) -> dict:
    """Return what moves the figures of each term, as arguments of ``tables.plain_table``."""
    rows = []
    for number in (1, 2, 3):
        design = effects.main_design(study, number, policy.CLOCKS[0], fields_map)
        process = simulation.measure_process(effects.cell_sample(study, design))
        rows.append(
            {
                "term": f"term {number}",
                "scale": 100 * np.exp(process.level / 2),
                "slope": process.slope,
                "dispersion": process.dispersion,
                "next_year": process.correlation(1),
                "three_years": process.correlation(3),
                "shared": 100 * process.shared,
                "kurtosis": process.kurtosis,
                "prefectures": 100 * np.sqrt(np.diag(process.prefectures).mean()),
                "industries": 100 * np.sqrt(np.diag(process.industries).mean()),
            }
        )
    return {
        "data": pd.DataFrame(rows),
        "labels": {
            "term": "Sample",
            "scale": "Cell of mean size",
            "slope": "Log variance by log size",
            "dispersion": "Log variance beyond size",
            "next_year": "Changes one year apart",
            "three_years": "Changes three years apart",
            "shared": "Shared in block and industry",
            "kurtosis": "Kurtosis",
            "prefectures": "Prefecture in a year",
            "industries": "Industry in a year",
        },
        "units": {
            "scale": "SD, percent",
            "slope": "slope",
            "dispersion": "SD",
            "next_year": "correlation",
            "three_years": "correlation",
            "shared": "percent of variance",
            "kurtosis": "normal: 3",
            "prefectures": "SD, percent",
            "industries": "SD, percent",
        },
        "decimals": dict.fromkeys(("slope", "dispersion", "next_year", "three_years"), 2),
        "unit": "as under each header",
        "source": SOURCE,
    }


def trial_rows(trials: pd.DataFrame) -> dict:
    """Return every method in every scenario, as arguments of ``tables.plain_table``."""
    keys = ["term", "sample", "method"]
    chosen = trials[(trials["measure"] != "power") | (trials["effect"] == 100 * EFFECT)]
    wide = chosen.pivot(index=keys, columns="measure", values="estimate")
    order = chosen[keys].drop_duplicates()
    error = chosen[chosen["measure"] == "rejection"].set_index(keys)["std_error"]
    data = wide.join(error.rename("error")).loc[pd.MultiIndex.from_frame(order)].reset_index()
    measures = ("bias", "spread", "coverage", "rejection", "error", "power")
    return {
        "data": data.assign(term=data["term"].astype(str)),
        "labels": {
            "term": "Term",
            "sample": "Panels",
            "method": "Method",
            "bias": "Bias",
            "spread": "Standard deviation",
            "coverage": "Interval holds the truth",
            "rejection": "Rejects without an effect",
            "error": "Monte Carlo error of that",
            "power": f"Finds an effect of {_number(100 * EFFECT, 0)} percent",
        },
        "units": {
            **dict.fromkeys(measures, "% of panels"),
            **dict.fromkeys(("bias", "spread"), "percent"),
        },
        "decimals": dict.fromkeys(measures, 1),
        "unit": "as under each header",
        "source": SOURCE,
        "stub": 3,
    }


def _shown(row) -> str:
    return f"{_number(row.estimate)} percent"


def _signed(row: pd.Series) -> str:
    return format_number(row["estimate"], 1, sign=True)


def _number(value: float, decimals: int = 1) -> str:
    return format_number(value, decimals)
