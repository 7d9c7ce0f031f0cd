"""How the methods page speaks: its answer, what holds and what does not, from the records."""

import numpy as np
import pandas as pd

from clusterpolicy import effects
from clusterpolicy.findings.answers import AGREEMENT
from clusterpolicy.inference import POWER
from clusterpolicy.methodtrials import trendtrials, trials
from clusterpolicy.methodtrials.agreement import PUBLISHED
from clusterpolicy.methodtrials.estimators import BLOCK, BY_PLACE, DECLARED, FIRST, PERMUTED
from clusterpolicy.methodtrials.trials import (
    AHEAD,
    COMMON_SHOCK,
    FIXED,
    REFIT,
    TARGETED_PLANT,
    UNHELD,
)
from clusterpolicy.page.alttext import listed
from clusterpolicy.wording import format_interval, format_number

PROMISED = 5.0  # rejections without an effect, percent of panels
# Sizes that a test has to keep to be declared, where six or more units are targeted.
LEAST_SIZE, MOST_SIZE, ENOUGH_UNITS = 3.0, 6.5, 6
# Names of the methods where there is little room.
SHORT = {way: each.short for way, each in PERMUTED.items()} | {
    BY_PLACE: "by prefecture",
    REFIT: "refitted",
}
SOURCE = "this study: panels drawn in the shape of the Prefectural Accounts (Cabinet Office)"


def pick(records: pd.DataFrame, **conditions: object) -> pd.DataFrame:
    """Return the records that meet `conditions` (column = value)."""
    for column, value in conditions.items():
        records = records[records[column] == value]
    return records.reset_index(drop=True)


def split_trials(records: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell the trials of the estimate and of its test from those of the event study."""
    is_trend = records["way"] == trendtrials.EVENT_STUDY
    return records[~is_trend].reset_index(drop=True), records[is_trend].reset_index(drop=True)


def of_sample(records: pd.DataFrame) -> pd.Series:
    """Return the term of each record, with a star on the base that is not the main one."""
    main = records["term"].map(lambda term: effects.BASES_OF_TERM[term][0])
    return records["term"].astype(str) + np.where(records["base"] == main, "", "*")


def nulls(records: pd.DataFrame, way: str) -> pd.DataFrame:
    """Return the rejections of one method where there is nothing to find."""
    rows = pick(records, way=way, measure="rejection")
    return rows[~rows["scenario"].isin(UNHELD)].reset_index(drop=True)


def answer_methods(tried: pd.DataFrame, trends: pd.DataFrame, programs: pd.DataFrame) -> list[str]:
    """Write the five lines that open the methods page, the limits first.

    Parameters
    ----------
    tried, trends : DataFrame
        Records of ``trials.try_all`` and ``trendtrials.try_trends``.
    programs : DataFrame
        From ``agreement.compare_programs``.

    Returns
    -------
    list of str
    """
    return [
        f"{_shock_line(tried)} {_trend_line(tried, trends)}",
        _size_line(tried, DECLARED) + _outside(tried),
        _size_line(tried, FIRST),
        _power_line(tried),
        f"{_printed_line(tried)} {agreement_sentence(programs)}",
    ]


def _shock_line(tried: pd.DataFrame) -> str:
    shares = [
        _list(pick(tried, scenario=COMMON_SHOCK, way=way, measure="rejection"))
        for way in (DECLARED, BLOCK)
    ]
    return (
        "What no test here holds: where all targeted industries of a block share a shock of "
        f"{_number(100 * trials.SHOCK, 0)} percent, the declared test rejects in {shares[0]} "
        f"percent of panels (terms 1, 2 and 3), the check beside it in {shares[1]}."
    )


def _trend_line(tried: pd.DataFrame, trends: pd.DataFrame) -> str:
    off = pick(tried, scenario=AHEAD, way=DECLARED, measure="bias")["estimate"].iloc[0]
    warned = pick(trends, effect=100 * trials.DRIFT, measure="warning")["estimate"].iloc[0]
    return (
        f"Where targeted cells grew {_number(100 * trials.DRIFT)} percent a year more all along, "
        f"the estimate of term 1 is off by {format_number(off, 1, sign=True)} percent, and the "
        f"test of the years before gives warning in {_number(warned)} percent of panels."
    )


def _size_line(tried: pd.DataFrame, way: str) -> str:
    rows = nulls(tried, way)
    worst = rows.loc[rows["estimate"].idxmax()]
    return (
        f"Where there is nothing to find, {PERMUTED[way].label}, which promises "
        f"{_number(PROMISED, 0)} percent, rejects in {_number(rows['estimate'].min())} to "
        f"{_number(rows['estimate'].max())} percent of panels: most in term {worst['term']} "
        f"({worst['base']}), {worst['sample']} ({len(rows)} trials of "
        f"{format_number(rows['n_panels'].max())} panels)."
    )


def _outside(tried: pd.DataFrame) -> str:
    rows = nulls(tried, DECLARED)
    rows = rows[rows["n_units"] >= ENOUGH_UNITS]
    n_outside = ((rows["low"] > MOST_SIZE) | (rows["high"] < LEAST_SIZE)).sum()
    return (
        f" Outside {_number(LEAST_SIZE, 0)} to {_number(MOST_SIZE)} percent beyond Monte Carlo "
        f"error, with {ENOUGH_UNITS} targeted units or more: {n_outside or 'none'}."
    )


def _power_line(tried: pd.DataFrame) -> str:
    parts = [
        f"{PERMUTED[way].label} {words} {_list(pick(tried, scenario=scenario, way=way, **least))}"
        for scenario, words in ((FIXED, "without a plant"), (TARGETED_PLANT, "with one"))
        for way in (DECLARED, FIRST)
        for least in ({"measure": "smallest-at-size"},)
    ]
    return (
        f"Smallest effect found in {_number(100 * POWER, 0)} percent of panels at equal size, "
        f"percent, by sample (terms 1, 2, 2 on its other base, 3): {'; '.join(parts)}."
    )


def _printed_line(tried: pd.DataFrame) -> str:
    printed = pick(tried, scenario=FIXED, way=DECLARED, measure="detectable")
    parts = []
    for scenario in tried.loc[tried["measure"] == "detectable", "scenario"].unique():
        found = pick(tried, scenario=scenario, way=DECLARED, measure="power")
        found = found[found["effect"].isin(printed["estimate"])]
        parts.append(f"{_list(found)} ({found['sample'].iloc[0]})")
    return (
        f"The effect printed as detectable, {_list(printed)} percent, is found in percent of "
        f"panels: {'; '.join(parts)}."
    )


def choice_sentence() -> str:
    """Say what a test had to keep to be declared."""
    return (
        f"To be declared a test had to reject in at least {_number(LEAST_SIZE, 0)} and at most "
        f"{_number(MOST_SIZE)} percent of panels without an effect wherever {ENOUGH_UNITS} or more "
        "units are targeted, but for a shock to all targets of a block; of those that do, the one "
        "that finds the smallest effects."
    )


def choice_rows(tried: pd.DataFrame) -> dict:
    """Return the candidates for the declared test, as arguments of ``tables.plain_table``."""
    rows = []
    for way in trials.METHODS:
        sizes = nulls(tried, way)
        if sizes.empty:
            continue
        enough = sizes[sizes["n_units"] >= ENOUGH_UNITS]
        few = sizes[sizes["n_units"] < ENOUGH_UNITS]["estimate"].max()
        worst = enough.loc[enough["estimate"].idxmax()]
        row = {
            "way": trials.METHODS[way],
            "n_panels": int(enough["n_panels"].max()),
            "least": enough["estimate"].min(),
            "most": worst["estimate"],
            "worst": f"term {worst['term']}, {worst['sample']}",
            "few": few,
        }
        for scenario in (FIXED, TARGETED_PLANT):
            least = pick(tried, way=way, scenario=scenario, measure="smallest-at-size")
            for sample, value in zip(of_sample(least), least["estimate"], strict=True):
                row[f"{scenario}-{sample}"] = value
        rows.append(row)
    found = {
        f"{scenario}-{sample}": f"Found, term {sample}{words}"
        for scenario, words in ((FIXED, ""), (TARGETED_PLANT, ", plant"))
        for sample in ("1", "2", "2*", "3")
    }
    sizes = {"least": "Rejects, least", "most": "Rejects, most", "few": "Five units, most"}
    return {
        "data": pd.DataFrame(rows),
        "labels": {
            "way": "Method",
            "n_panels": "Panels",
            "least": sizes["least"],
            "most": sizes["most"],
            "worst": "Most in",
            "few": sizes["few"],
            **found,
        },
        "units": dict.fromkeys(sizes, "% of panels") | dict.fromkeys(found, "effect, percent"),
        "decimals": dict.fromkeys((*sizes, *found), 1) | {"n_panels": 0},
        "unit": "as under each header; found: smallest effect found in 80 percent at equal size",
        "source": SOURCE,
    }


def power_rows(tried: pd.DataFrame) -> dict:
    """Return how often effects are found, as arguments of ``tables.plain_table``."""
    chosen = tried[
        tried["way"].isin((DECLARED, FIRST)) & tried["measure"].isin(("power", "power-at-size"))
    ]
    chosen = chosen.assign(
        term=of_sample(chosen), column=chosen["measure"] + " " + chosen["way"]
    ).sort_values(["term", "sample", "effect"])
    keys = ["term", "sample", "effect"]
    data = chosen.pivot(index=keys, columns="column", values="estimate").reset_index()
    columns = {
        f"{measure} {way}": f"{PERMUTED[way].short}{words}"
        for measure, words in (("power", ""), ("power-at-size", ", at equal size"))
        for way in (DECLARED, FIRST)
    }
    return {
        "data": data,
        "labels": {"term": "Term", "sample": "Panels", "effect": "Effect", **columns},
        "units": dict.fromkeys(columns, "% of panels") | {"effect": "percent"},
        "decimals": dict.fromkeys((*columns, "effect"), 1),
        "unit": "as under each header",
        "source": SOURCE,
        "stub": 3,
    }


def trial_rows(tried: pd.DataFrame) -> dict:
    """Return rejections by every method in every scenario, as arguments of ``plain_table``."""
    rejected = pick(tried, measure="rejection")
    rejected = rejected.assign(term=of_sample(rejected))
    keys = ["sample", "term"]
    data = rejected.pivot(index=keys, columns="way", values="estimate")
    bias = pick(tried, measure="bias")
    bias = bias.assign(term=of_sample(bias), way="bias " + bias["way"])
    data = data.join(bias.pivot(index=keys, columns="way", values="estimate"))
    order = pd.MultiIndex.from_frame(rejected[keys].drop_duplicates())
    biases = {f"bias {way}": f"Bias, {SHORT[way]}" for way in (DECLARED, FIRST)}
    ways = {way: SHORT[way] for way in trials.METHODS if way in data.columns}
    return {
        "data": data.loc[order].reset_index(),
        "labels": {"sample": "Panels", "term": "Term", **ways, **biases},
        "units": dict.fromkeys(ways, "% of panels") | dict.fromkeys(biases, "percent"),
        "decimals": dict.fromkeys((*ways, *biases), 1),
        "unit": "as under each header",
        "source": SOURCE,
        "stub": 2,
    }


def process_rows(processes: pd.DataFrame) -> dict:
    """Return what moves the figures of each term, as arguments of ``tables.plain_table``.

    Parameters
    ----------
    processes : DataFrame
        From ``simulation.measure_processes``.
    """
    return {
        "data": processes,
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
        f"and the event study leaves out zero in some year in {shares['band']}; both "
        f"promise {_number(PROMISED, 0)}."
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
