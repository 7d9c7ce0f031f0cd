"""How the methods page speaks: its answer, what holds and what does not, from the records."""

import numpy as np
import pandas as pd

from clusterpolicy import effects, policy
from clusterpolicy.findings.answers import AGREEMENT
from clusterpolicy.inference import POWER
from clusterpolicy.methodtrials import simulation
from clusterpolicy.methodtrials.agreement import PUBLISHED
from clusterpolicy.methodtrials.trials import DRIFT as EXAMPLE_DRIFT
from clusterpolicy.methodtrials.trials import EFFECT, METHODS, PROMISED
from clusterpolicy.page.alttext import listed
from clusterpolicy.panel import Study
from clusterpolicy.wording import format_interval, format_number

NULLS = ("redrawn", "fixed", "real", "heavy", "alike", "uneven")
# Names of the methods where there is little room.
SHORT = {
    "permutation": "this study",
    "strict": "stricter test",
    "wild": "wild bootstrap",
    "prefecture": "by prefecture",
    "block": "by block",
    "independent": "no groups",
    "two-way": "two-way",
}
SOURCE = "this study: panels drawn in the shape of the Prefectural Accounts (Cabinet Office)"


def pick(trials: pd.DataFrame, **conditions: object) -> pd.DataFrame:
    """Return the records that meet `conditions` (column = value)."""
    for column, value in conditions.items():
        trials = trials[trials[column] == value]
    return trials.reset_index(drop=True)


def answer_methods(trials: pd.DataFrame, trends: pd.DataFrame, programs: pd.DataFrame) -> list[str]:
    """Write the five lines that open the methods page, the limits first.

    Parameters
    ----------
    trials, trends : DataFrame
        Records of ``trials.try_all`` and ``trendtrials.try_trends``.
    programs : DataFrame
        From ``agreement.compare_programs``.

    Returns
    -------
    list of str
    """
    return [
        _limit_line(trends),
        _size_line(trials),
        _cover_line(trials),
        _failing_line(trials),
        f"{_power_line(trials)} {agreement_sentence(programs)}",
    ]


def _limit_line(trends: pd.DataFrame) -> str:
    """Say what no method here mends: an older trend, seen or not."""
    large = trends[trends["effect"] == 100 * EXAMPLE_DRIFT].set_index("measure")["estimate"]
    return (
        f"What no method here mends: where targeted cells grew {_number(100 * EXAMPLE_DRIFT)} "
        f"percent a year more all along, the estimate of term 1 is off by "
        f"{format_number(large['off'], 1, sign=True)} percent, and the test of the years before "
        f"gives warning in {_number(large['warning'])} percent of panels."
    )


def _size_line(trials: pd.DataFrame) -> str:
    real = pick(trials, scenario="real", way="permutation", measure="rejection")
    fixed = pick(trials, scenario="fixed", way="permutation", measure="rejection")
    n_real, n_fixed = (format_number(rows["n_panels"].min()) for rows in (real, fixed))
    return (
        f"Where there is nothing to find, the test of the reports, which promises "
        f"{_number(PROMISED['rejection'], 0)} percent, rejects in {_list(real)} percent of panels "
        f"with the targets of the real figures redrawn (terms 1, 2 and 3; {n_real} panels each), "
        f"and in {_list(fixed)} percent with figures redrawn and targets as they were ({n_fixed} "
        "panels each)."
    )


def _cover_line(trials: pd.DataFrame) -> str:
    rows = pick(trials, way="permutation", measure="coverage")
    rows = rows[rows["scenario"].isin(NULLS)]
    worst = rows.loc[rows["estimate"].idxmin()]
    least = PROMISED["coverage"]
    few, many = (rows["high"] < least).sum(), (rows["low"] > least).sum()
    strict = pick(
        trials, scenario=worst["scenario"], term=worst["term"], way="strict", measure="coverage"
    )
    return (
        f"Its {_number(least, 0)} % interval holds the true effect in "
        f"{_number(rows['estimate'].min())} to {_number(rows['estimate'].max())} percent of "
        f"panels, least in term {worst['term']}, {worst['sample']}; the stricter interval printed "
        f"beside it holds it there in {_number(strict['estimate'].iloc[0])}. Beyond Monte Carlo "
        f"error it holds too rarely in {few or 'none'} and more often than promised in "
        f"{many or 'none'} of {len(rows)} scenarios without an older trend."
    )


def _failing_line(trials: pd.DataFrame) -> str:
    parts = []
    for way, label in METHODS.items():
        rows = pick(trials, way=way, measure="rejection")
        rows = rows[rows["scenario"].isin(NULLS)]
        if way not in ("permutation", "strict") and not rows.empty:
            parts.append(
                f"{label} {_number(rows['estimate'].min())} to {_number(rows['estimate'].max())}"
            )
    return f"Other methods reject without an effect, percent of panels: {listed(parts)}."


def _power_line(trials: pd.DataFrame) -> str:
    found = pick(trials, scenario="fixed", way="permutation", measure="power", effect=100 * EFFECT)
    printed = pick(trials, scenario="fixed", way="permutation", measure="power-at-detectable")
    return (
        f"An effect of {_number(100 * EFFECT, 0)} percent is found in "
        f"{_list(found)} percent of panels (terms 1, 2 and 3); the one printed as detectable, "
        f"meant for {_number(100 * POWER, 0)} percent, in {_list(printed)}."
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
    keys = ["term", "sample", "way"]
    chosen = trials[(trials["measure"] != "power") | (trials["effect"] == 100 * EFFECT)]
    wide = chosen.pivot(index=keys, columns="measure", values="estimate")
    order = chosen[keys].drop_duplicates()
    error = chosen[chosen["measure"] == "rejection"].set_index(keys)["std_error"]
    data = wide.join(error.rename("error")).loc[pd.MultiIndex.from_frame(order)].reset_index()
    measures = ("bias", "spread", "coverage", "rejection", "error", "power")
    return {
        "data": data.assign(term=data["term"].astype(str), way=data["way"].map(SHORT)),
        "labels": {
            "term": "Term",
            "sample": "Panels",
            "way": "Method",
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


def agreement_sentence(programs: pd.DataFrame) -> str:
    """Say by how much other programs differ on the real figures."""
    names = listed(sorted(programs["program"].unique()))
    if programs["difference"].max() <= AGREEMENT:
        return (
            f"On the real figures {names} give the same {len(programs)} numbers to within "
            f"{AGREEMENT:.8f}."
        )
    worst = programs.loc[programs["difference"].idxmax()]
    return (
        f"On the real figures {worst['program']} differs by {worst['difference']:.8f} in "
        f"{worst['quantity']} of term {worst['term']}: do not use either until it is known why."
    )


def power_sentence(trials: pd.DataFrame) -> str:
    """Say that power is counted at the level a test has, not at the one it promises.

    Parameters
    ----------
    trials : DataFrame
        Records of ``trials.try_all``.
    """
    rejects = pick(trials, measure="rejection")
    rejects = rejects[rejects["scenario"].isin(NULLS)]
    too_often = (rejects["low"] > PROMISED["rejection"]).groupby(rejects["way"])
    counts = [
        f"{name} {int(too_often.get_group(way).sum())} of {len(too_often.get_group(way))}"
        for way, name in SHORT.items()
        if way in too_often.groups
    ]
    return (
        "Power is not adjusted for size: a method that rejects too often without an effect also "
        "finds more where there is one, and that is no merit. Scenarios in which more than "
        f"{_number(PROMISED['rejection'], 0)} percent are rejected without an effect, beyond Monte "
        f"Carlo error: {', '.join(counts)}."
    )


def trend_sentence(trends: pd.DataFrame) -> str:
    """Say what the event study does where there is no trend."""
    none = trends[trends["effect"] == 0].set_index("measure")
    shares = {
        name: f"{_number(none.at[name, 'estimate'])} percent of panels (Monte Carlo interval "
        f"{format_interval(none.at[name, 'low'], none.at[name, 'high'])})"
        for name in ("warning", "band")
    }
    return (
        f"Without any trend or effect the test of the years before rejects in {shares['warning']}, "
        f"and the band of the event study leaves out zero in some year in {shares['band']}; both "
        f"promise {_number(PROMISED['rejection'], 0)}."
    )


def published_sentence(example: pd.DataFrame) -> str:
    """Say whether the published example comes out as printed, and what that checks."""
    same = int(example["is_same"].sum())
    return (
        f"{same} of {len(example)} results, each with its standard error, come out as printed. "
        "This checks the arithmetic of a triple difference made from printed means; the test by "
        f"reassignment, on which the reports rest, has no part in it. Source: {PUBLISHED}."
    )


def program_rows(programs: pd.DataFrame) -> dict:
    """Return the comparison of programs, as arguments of ``tables.plain_table``."""
    columns = {"ours": "Here", "theirs": "There", "difference": "Difference"}
    names = listed(sorted(programs["program"].unique()))
    return {
        "data": programs.assign(term=programs["term"].astype(str)),
        "labels": {"term": "Term", "quantity": "Number", "program": "Program", **columns},
        "decimals": {"ours": 8, "theirs": 8, "difference": 8},
        "unit": "natural logs",
        "source": f"the Prefectural Accounts (Cabinet Office), by this study and by {names}",
        "stub": 3,
    }


def published_rows(example: pd.DataFrame) -> dict:
    """Return the published example, as arguments of ``tables.plain_table``."""
    return {
        "data": example.assign(is_same=example["is_same"].map({True: "yes", False: "no"})),
        "labels": {
            "quantity": "Number",
            "printed": "Printed",
            "ours": "Here",
            "printed_error": "Standard error, printed",
            "our_error": "Standard error, here",
            "is_same": "All digits the same",
        },
        "decimals": dict.fromkeys(("printed", "ours", "printed_error", "our_error"), 3),
        "unit": "log hourly wage",
        "source": PUBLISHED,
    }


def _list(rows: pd.DataFrame) -> str:
    return listed([_number(value) for value in rows["estimate"]])


def _number(value: float, decimals: int = 1) -> str:
    return format_number(value, decimals)
