"""What the checks found, in sentences and tables made from their records."""

from collections.abc import Mapping

import pandas as pd

from clusterpolicy.findings.designwords import chance_sentence
from clusterpolicy.findings.robustcharts import lane_of
from clusterpolicy.otherdesigns import robustness, spillovers
from clusterpolicy.page.alttext import listed
from clusterpolicy.page.printing import Column, Table
from clusterpolicy.wording import (
    format_estimate,
    format_number,
    format_p,
    not_estimable_sentence,
)

LEVEL = 0.05
LEAST_SHARE_LEFT = 0.5  # of an estimate, once earlier strength is held fixed
NEARLY, HALF = 80.0, 50.0  # percent of variance that targets and exposure share
CHOICE_WORDS = {
    "clock": "the clock",
    "fields_map": "the reading of the fields",
    "base": "the base of the accounts",
    "sample": "the sample",
    "weights": "the weights",
    "baseline": "the window of the baseline",
    "estimator": "the estimator",
    "combinations": "combinations of these",
}


def _named(checks: pd.DataFrame, design: str, **conditions: object) -> pd.DataFrame:
    rows = checks[checks["design"] == design]
    for column, value in conditions.items():
        rows = rows[rows[column] == value]
    return rows.reset_index(drop=True)


def _range(rows: pd.DataFrame) -> str:
    low, high = (
        format_number(value, 1, sign=True)
        for value in (rows["estimate"].min(), rows["estimate"].max())
    )
    return f"from {low} to {high} percent"


def curve_sentence(checks: pd.DataFrame) -> str:
    """Say what all specifications find together, against targets reassigned alike in all."""
    curve = _named(checks, robustness.CURVE)
    if curve.empty:
        return "No specification is estimable."
    median = _named(checks, robustness.JOINT, outcome="median").iloc[0]
    sign = _named(checks, robustness.JOINT, outcome="sign").iloc[0]
    away = int(((curve["low"] > 0) | (curve["high"] < 0)).sum())
    return (
        f"Over {format_number(len(curve))} specifications the estimate runs {_range(curve)}; the "
        f"interval leaves zero out in {away or 'none'} of them. Their median is "
        f"{format_number(median['estimate'], 1, sign=True)} percent; were targets reassigned, "
        f"{format_number(100 * median['level'])} % of medians would lie between "
        f"{format_number(median['low'], 1)} and {format_number(median['high'], 1)} "
        f"({format_p(median['p_value'])}). {format_number(sign['estimate'])} % of the estimates "
        f"have the same sign ({format_p(sign['p_value'])}). Both tests use "
        f"{format_number(median['draws'])} reassignments, the same in every specification, fewer "
        "than the main test; the smallest p they allow is "
        f"{format_number(median['smallest_p'], 3)}."
    )


def short_curve_sentence(checks: pd.DataFrame) -> str:
    """Say in a line what all specifications find together, cells counted alike and by size."""
    curve = robustness.curve_table(checks)
    if curve.empty:
        return "No specification is estimable."
    median = _named(checks, robustness.JOINT, outcome="median").iloc[0]
    away = int(((curve["low"] > 0) | (curve["high"] < 0)).sum())
    by_weights = curve.groupby("weights")["estimate"].median()
    alike, by_size = (
        format_number(by_weights[name], 1, sign=True)
        for name in (robustness.UNWEIGHTED, robustness.WEIGHTED)
    )
    return (
        f"Over {format_number(len(curve))} specifications it runs {_range(curve)} and leaves zero "
        f"out in {away or 'none'}; taken together they are "
        f"{'unlike' if median['p_value'] <= LEVEL else 'no different from'} what chance gives "
        f"({format_p(median['p_value'])}). The middle one is {alike} percent where cells count "
        f"alike, {by_size} where they count by their size."
    )


def shares_sentence(checks: pd.DataFrame) -> str:
    """Say which choice makes specifications differ."""
    shares = _named(checks, robustness.SHARES).sort_values("estimate", ascending=False)
    if shares.empty:
        return "With no specification there is no choice to compare."
    parts = [
        f"{format_number(row.estimate)} % from {CHOICE_WORDS[row.outcome]}"
        for row in shares.itertuples()
    ]
    return f"Of the variance between specifications, {listed(parts)}."


def placebo_sentence(checks: pd.DataFrame) -> str:
    """Say what pretended dates and industries find, where nothing should be found."""
    dates = lane_of(checks, "Placebo dates")
    placebos = _named(checks, robustness.PLACEBO_INDUSTRY)
    industries, draws = placebos.iloc[0], chance_sentence(pd.concat([dates, placebos]))
    if dates.empty:
        first = "No earlier date is estimable. "
    else:
        found = dates[dates["p_value"] < LEVEL].sort_values("p_value")
        chance = f"; chance alone would give about {format_number(LEVEL * len(dates), 1)}"
        worst = dates.loc[dates["estimate"].abs().idxmax()]
        first = (
            f"Pretending that the term began earlier gives {len(dates)} estimates {_range(dates)}; "
            f"{len(found) or 'none'} of them {'has' if len(found) == 1 else 'have'} a p-value "
            f"below {LEVEL}{chance} if they were independent. The largest is that of the "
            f"{worst['sample']}: {format_estimate(worst)}, {format_p(worst['p_value'])}. "
        )
    if industries["status"] != "estimated":
        return f"{first}Placebo industries: {not_estimable_sentence(industries)} {draws}".strip()
    return (
        f"{first}Moving targets to industries that were not targeted, in the same prefectures, "
        f"gives estimates around {format_number(industries['estimate'], 1, sign=True)} percent, "
        f"{format_number(100 * industries['level'])} % of them between "
        f"{format_number(industries['low'], 1)} and {format_number(industries['high'], 1)}; "
        f"the share as far from zero as the main estimate is "
        f"{format_number(industries['p_value'], 2)}. {draws}"
    ).strip()


def doubt_sentence(checks: pd.DataFrame, main: Mapping[str, object]) -> str:
    """Say which check speaks most against the main estimate; empty if none does.

    Two do: an effect found at a date on which nothing began, and an estimate that changes its sign,
    or loses more than half its size, once earlier strength is held fixed.
    """
    parts = []
    dates = lane_of(checks, "Placebo dates")
    found = dates[dates["p_value"] < LEVEL]
    if not found.empty:
        worst = found.loc[found["p_value"].idxmin()]
        parts.append(
            "The same test finds an effect where nothing began: with the "
            f"{worst['sample']}, {format_estimate(worst)}, {format_p(worst['p_value'])}."
        )
    held = _named(checks, spillovers.SELECTION, sample=spillovers.ALL_HELD, status="estimated")
    if not held.empty and abs(main["estimate"]) > 0:
        share = held["estimate"].iloc[0] / main["estimate"]
        if share < LEAST_SHARE_LEFT:
            parts.append(
                f"With size and earlier growth held fixed, {format_estimate(held.iloc[0])} is left "
                f"of {format_number(main['estimate'], 1, sign=True)} percent."
            )
    return " ".join(parts)


def left_out_sentence(checks: pd.DataFrame, main: Mapping[str, object]) -> str:
    """Say how the estimate moves when one project, block or cell is left out."""
    parts = []
    kinds = (("project", "project"), ("block", "block of prefectures"), ("cell", "cell"))
    for outcome, words in kinds:
        lane = lane_of(checks, f"One {outcome} left out")
        if lane.empty:
            parts.append(f"No {words} can be left out.")
            continue
        most = lane.loc[(lane["estimate"] - main["estimate"]).abs().idxmax()]
        parts.append(
            f"With one {words} left out the estimate runs {_range(lane)} over {len(lane)} refits; "
            f"it moves most {most['sample']}, to {format_estimate(most)}."
        )
    few = checks[(checks["design"] == robustness.LEFT_OUT) & (checks["status"] == "not estimable")]
    if not few.empty:
        names = listed([str(name) for name in few["sample"]])
        parts.append(f"Not estimable {names}: {few['reason'].iloc[0]}.")
    return " ".join(parts)


def spillover_sentences(checks: pd.DataFrame, main: Mapping[str, object]) -> list[str]:
    """Say what can be learnt about gains and losses of neighbours, and what cannot be seen.

    Parameters
    ----------
    checks : DataFrame
        From ``spillovers.estimate_checks``.
    main : mapping
        Record of the main estimate.
    """
    rows = _named(checks, spillovers.SPILLOVER).set_index("outcome")
    return [
        f"{_overlap(rows)} {_pair(rows, main)}",
        f"{_without_neighbours(rows)} {_unseen(rows)}".strip(),
    ]


def _overlap(rows: pd.DataFrame) -> str:
    exposed, shared = rows.loc["exposed"], rows.loc["shared adjacent", "estimate"]
    how = "nearly coincide" if shared >= NEARLY else "go together" if shared >= HALF else "overlap"
    return (
        f"{format_number(exposed['estimate'])} of {format_number(exposed['n_cells'])} cells that "
        "are compared have the same industry targeted in an adjacent prefecture: what targeted "
        "cells give to their neighbours, or take from them, would show there. But being targeted "
        f"and having a targeted neighbour {how}: with prefecture, industry and year held fixed, "
        f"they share {format_number(shared)} % of their variance."
    )


def _pair(rows: pd.DataFrame, main: Mapping[str, object]) -> str:
    """Say what both effects are when estimated together, and that neither may be read alone."""
    direct, spill = rows.loc["direct adjacent"], rows.loc["spill adjacent"]
    if direct["status"] != "estimated":
        return "The two cannot be estimated side by side."
    found = (
        f"Estimated side by side, being targeted goes with {format_estimate(direct)}, "
        f"{format_p(direct['p_value'])}, and having all neighbours targeted instead of none with "
        f"{format_estimate(spill)}, {format_p(spill['p_value'])}."
    )
    moved = direct["estimate"] - main["estimate"]
    if moved * spill["estimate"] < 0:
        found += (
            f" The first has moved by {format_number(moved, 1, sign=True)} points from the main "
            "estimate, and the second has the other sign: two things that go together share one "
            "difference, and what is given to one is taken from the other."
        )
    if min(direct["p_value"], spill["p_value"]) < LEVEL:
        return f"{found} Which of the two made the difference cannot be said."
    return (
        f"{found} Neither can be distinguished from zero: no gain or loss of neighbours is shown, "
        f"and only one above {format_number(spill['mde'], 1)} {spill['unit']} would have been seen."
    )


def _without_neighbours(rows: pd.DataFrame) -> str:
    row = rows.loc["unexposed"]
    if row["status"] != "estimated":
        return f"Against cells without a targeted neighbour: {not_estimable_sentence(row)}"
    return (
        "Against cells without a targeted neighbour alone the estimate is "
        f"{format_estimate(row)}, {format_p(row['p_value'])}."
    )


def _unseen(rows: pd.DataFrame) -> str:
    """Say which spill-overs this design cannot see at all; empty if it sees them all."""
    lost = [
        kind for kind in spillovers.EXPOSURES if rows.loc[f"spill {kind}", "status"] != "estimated"
    ]
    if not lost:
        return ""
    names = " and for ".join(spillovers.EXPOSURES[kind] for kind in lost)
    shares = listed([f"{format_number(rows.loc[f'shared {kind}', 'estimate'])} %" for kind in lost])
    return (
        "Gains and losses that reach a whole industry, or a whole prefecture, cannot be seen at "
        f"all: for {names}, being exposed and being targeted share {shares} of their "
        "variance."
    )


def programmes_table(checks: pd.DataFrame) -> Table:
    """Print how many cells each other programme met, or why that cannot be computed."""
    rows = _named(checks, spillovers.PROGRAMMES, outcome="overlap")
    columns = (
        Column("outcome_label", "Programme"),
        Column("estimate", "Targeted cells it met", kind="number", missing="n.c."),
        Column("met", "Cells it met", kind="number", missing="n.c."),
        Column("reason", "Why no count", missing="counted"),
    )
    is_placed = rows["status"] == "estimated"
    shown = rows.assign(met=rows["n_cells"].where(is_placed))
    symbols = (("n.c.", "not computable, or not in these years"),)
    keep = [column.name for column in columns]
    return Table(shown[keep], columns, "cells", "", "data/raw/other_programmes.csv", symbols)


def selection_sentence(checks: pd.DataFrame) -> str:
    """Say whether targets went to strong cells, given prefecture and industry."""
    joint = _named(checks, spillovers.SELECTION, outcome="joint").iloc[0]
    is_found = joint["p_value"] < LEVEL
    verdict = (
        "more than chance would give: targets did not fall blindly, so the estimate is made again "
        "with strength held fixed, in the table of other refits below"
        if is_found
        else "no more than chance would give"
    )
    return (
        "Within prefectures and industries, location quotient, size and growth before the term "
        f"together explain {format_number(joint['estimate'], 1)} % of what was targeted "
        f"({format_p(joint['p_value'])}), {verdict}."
    )


def refits_table(checks: pd.DataFrame, main: Mapping[str, object]) -> Table:
    """Print the refits that have a name of their own, under the main estimate."""
    designs = [spillovers.SPILLOVER, spillovers.PROGRAMMES, spillovers.SELECTION]
    rows = checks[checks["design"].isin(designs) & (checks["unit"] == "percent")]
    rows = rows[rows["outcome"].isin(["product", "unexposed", "direct adjacent", "spill adjacent"])]
    first = pd.DataFrame([main]).assign(sample="main estimate")
    columns = (
        Column("sample", "Refit"),
        Column("estimate", "Estimate", kind="signed", decimals=1, missing="n.e."),
        Column("low", "From", kind="signed", decimals=1, missing="n.e."),
        Column("high", "To", kind="signed", decimals=1, missing="n.e."),
        Column("p_value", "p", kind="p", decimals=3, missing="n.e."),
        Column("n_targeted", "Targeted cells", kind="number"),
        Column("n_cells", "All cells", kind="number"),
    )
    shown = pd.concat([first, rows])[[column.name for column in columns]]
    shown = shown.round({"estimate": 6, "low": 6, "high": 6})  # fewer would be rounded twice
    symbols = (("n.e.", "not estimable"),)
    unit = (
        f"percent; main estimate on {format_number(main['draws'])} reassignments, refits on fewer"
    )
    drawn = rows[rows["draws"] > 0]
    if not drawn.empty:
        unit = (
            f"percent; {format_number(drawn['draws'].max())} reassignments, so p is not below "
            f"{format_number(drawn['smallest_p'].min(), 3)} (main estimate: "
            f"{format_number(main['draws'])})"
        )
    return Table(shown.reset_index(drop=True), columns, unit, "", "data/results", symbols)
