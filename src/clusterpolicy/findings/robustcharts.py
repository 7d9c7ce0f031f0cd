"""Figures of the checks: the specification curve, and every refit around the main estimate."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from clusterpolicy.effects import MAIN_SAMPLE, SAMPLES
from clusterpolicy.otherdesigns import robustness, spillovers
from clusterpolicy.otherdesigns.robustness import CHOICES
from clusterpolicy.page import theme, yearaxis
from clusterpolicy.page.theme import Chart, number
from clusterpolicy.wording import format_years

ROW = 0.17  # inches per row of choices
# Words of the page for the choices of a specification, and short ones for its data.
OPTIONS = {
    "funded": "funded clock",
    "planned": "planned clock",
    "broad": "broad fields",
    "narrow": "narrow fields",
    robustness.UNWEIGHTED: "not weighted",
    robustness.WEIGHTED: "weighted by product",
    robustness.WHOLE_BASELINE: "whole baseline",
    robustness.SHORT: f"last {robustness.SHORT_BASELINE} years before",
}
SHORT_WORDS = {
    robustness.DECLARED: "Huber",
    robustness.PLAIN: "least-squares",
    robustness.UNWEIGHTED: "no",
    robustness.WEIGHTED: "product",
    robustness.WHOLE_BASELINE: "whole",
    robustness.SHORT: "short",
    MAIN_SAMPLE: "all",
    robustness.EVERY_RULE: "every-rule",
    "cells seen in every year": "complete",
    "without Tokyo": "no-Tokyo",
    "without petroleum and coal": "no-petroleum",
    "without Iwate, Miyagi, Fukushima": "no-earthquake",
    "without FY2008-09": "no-crisis",
}
# Rows of the second figure, from top to bottom: design, then what is left out or which outcome.
LEFT_OUT_LANES = ("project", "block", "cell")
LANES = {
    "Placebo dates": (robustness.PLACEBO_DATE, None),
    **{f"One {kind} left out": (robustness.LEFT_OUT, kind) for kind in LEFT_OUT_LANES},
    "Neighbours apart": (spillovers.SPILLOVER, ("direct adjacent", "unexposed")),
    "Other programmes apart": (spillovers.PROGRAMMES, "product"),
    "Strength held fixed": (spillovers.SELECTION, "product"),
}


@theme.styled()
def plot_specification_curve(
    checks: pd.DataFrame, main: Mapping[str, object], *, source: str = theme.OWN_ESTIMATES
) -> Chart:
    """Draw the estimates of all specifications in order, and below them the choices behind each.

    Parameters
    ----------
    checks : DataFrame
        From ``spillovers.estimate_checks``.
    main : mapping
        Record of the main estimate.
    source : str
        Ready to print.

    Returns
    -------
    Chart

    Raises
    ------
    ValueError
        If there is no specification.
    """
    table = robustness.curve_table(checks)
    theme.require(table, ["estimate", "low", "high", *CHOICES], "plot_specification_curve")
    declared = {
        **{choice: main[choice] for choice in ("clock", "fields_map", "base", "sample")},
        "weights": robustness.UNWEIGHTED,
        "baseline": robustness.WHOLE_BASELINE,
        "estimator": robustness.DECLARED,
    }
    rows = _rows_of_choices(table, declared)
    height, gap = 2.0, 0.12
    title = f"Estimates of all specifications in order, {_percent_of(main)}"
    note = "band: intervals; dot: the main estimate; bars: choices that differ from its own"
    axes = theme.new_axes(
        height + gap + ROW * len(rows),
        left=theme.MARGIN + max((theme.text_width(name) for *_, name in rows), default=0.5) + 0.1,
        right=0.2,
        top=theme.room_above(title, note, theme.NARROW) + 0.06,
        bottom=0.2,
        width=theme.NARROW,
    )
    reach = table[["low", "high"]].replace([np.inf, -np.inf], np.nan)
    low, high = reach.min().min(), reach.max().max()
    # One axis for both parts: rows of choices lie below the lowest estimate.
    unit = (high - low) / height
    axes.set(xlim=(-1, len(table)), ylim=(low - unit * (gap + ROW * len(rows)), high))
    is_main = (table[list(declared)] == pd.Series(declared)).all(axis=1).to_numpy()
    _draw_curve(axes, table, is_main, low, high)
    for position, (choice, option, name) in enumerate(rows):
        y = low - unit * (gap + ROW * (position + 0.5))
        _runs(axes, (table[choice] == option).to_numpy(), y)
        axes.annotate(
            name,
            (0, y),
            xycoords=("axes fraction", "data"),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            va="center",
        )
    theme.set_title(axes, title, note, above=0.06)
    shown = table[[*CHOICES, "estimate", "low", "high"]].round(1)
    return theme.close_chart(
        axes,
        alt=_describe_curve(table),
        data=shown.replace(SHORT_WORDS),
        unit=_percent_of(main),
        years=_years_of(main),
        source=source,
    )


def _percent_of(main: Mapping[str, object]) -> str:
    return f"percent of {main['outcome_label']}, targeted minus other cells"


def _years_of(main: Mapping[str, object]) -> str:
    term, baseline = (yearaxis.year_span(main[f"{name}_years"]) for name in ("term", "baseline"))
    return f"{format_years(*term)} against {format_years(*baseline)}"


def _rank(option: str) -> int:
    """Return the place of an option: samples in the order of their rules, all of them last."""
    order = [*SAMPLES, robustness.EVERY_RULE]
    return order.index(option) if option in order else -1


def _runs(axes: Axes, chosen: np.ndarray, y: float) -> None:
    """Draw a bar for each run of specifications in which an option was chosen, as one path."""
    steps = np.diff(chosen.astype(int), prepend=0, append=0)
    ends = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    points = [point for first, last in ends for point in ((first - 0.45, y), (last - 0.55, y))]
    _stroke(axes, points, theme.MUTED, 0.6 * 72 * ROW)


def _ticks(axes: Axes, places: Iterable[float], y: float, half: float) -> None:
    """Draw short upright strokes."""
    points = [(x, end) for x in places for end in (y - half, y + half)]
    _stroke(axes, points, theme.TARGETED, 1.2)


def _stroke(axes: Axes, points: list[tuple[float, float]], color: str, width: float) -> None:
    """Join points two by two, as one path: a mark each would be many times as long."""
    if points:
        path = Path(points, [Path.MOVETO, Path.LINETO] * (len(points) // 2))
        look = {"fill": False, "edgecolor": color, "linewidth": width, "capstyle": "butt"}
        axes.add_patch(PathPatch(path, **look))


def _describe_curve(table: pd.DataFrame) -> str:
    away = int(((table["low"] > 0) | (table["high"] < 0)).sum())
    return (
        f"{len(table)} specifications in the order of their estimates, from "
        f"{number(table['estimate'].min(), 1, signed=True)} to "
        f"{number(table['estimate'].max(), 1, signed=True)} percent, with a median of "
        f"{number(table['estimate'].median(), 1, signed=True)}; the interval leaves zero out in "
        f"{away or 'none'} of them. Bars below show which choices lie behind each."
    )


def _rows_of_choices(
    table: pd.DataFrame, declared: Mapping[str, object]
) -> list[tuple[str, str, str]]:
    """Return choice, option and its name for every option that the main estimate does not take."""
    return [
        (choice, option, OPTIONS.get(option, f"base {option[1:]}" if choice == "base" else option))
        for choice in CHOICES
        for option in sorted(set(table[choice]) - {declared[choice]}, key=_rank)
        if table[choice].nunique() > 1
    ]


def _draw_curve(
    axes: Axes, table: pd.DataFrame, is_main: np.ndarray, low: float, high: float
) -> None:
    """Draw the sorted estimates with their intervals, cut at `low` and `high`."""
    place = np.arange(len(table))
    ends = (table[end].clip(low, high) for end in ("low", "high"))
    axes.fill_between(place, *ends, color=theme.TERM_SHADE, linewidth=0)
    axes.plot(place, table["estimate"], color=theme.TARGETED, linewidth=1.4, gid="curve")
    theme.zero_line(axes)
    axes.plot(place[is_main], table["estimate"][is_main], "o", color=theme.OTHER, gid="main")
    ticks = [tick for tick in axes.yaxis.get_major_locator().tick_values(low, high) if tick >= low]
    axes.set_yticks(ticks, [number(tick, 0, signed=True) for tick in ticks])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


@theme.styled()
def plot_checks(
    checks: pd.DataFrame, main: Mapping[str, object], *, source: str = theme.OWN_ESTIMATES
) -> Chart:
    """Draw every refit as a stroke, one row for each kind of check, around the main estimate.

    Parameters
    ----------
    checks : DataFrame
        From ``spillovers.estimate_checks``.
    main : mapping
        Record of the main estimate: its interval is the band.
    source : str
        Ready to print.

    Returns
    -------
    Chart
    """
    lanes = {name: lane_of(checks, name) for name in LANES}
    lanes = {name: rows for name, rows in lanes.items() if not rows.empty}
    data = pd.concat([rows.assign(check=name) for name, rows in lanes.items()])
    theme.require(data, ["check", "sample", "estimate", "low", "high"], "plot_checks")
    height = 0.3
    title = "Estimates when one thing is changed, percent"
    note = "a stroke: one refit; dashed and shaded: the main estimate with its interval"
    above = theme.room_above(title, note, theme.NARROW)
    axes = theme.new_axes(height * len(lanes), 1.75, 0.2, above, 0.5, theme.NARROW)
    axes.set(ylim=(len(lanes), 0), yticks=[])
    ends = [*data["estimate"], main["low"], main["high"], 0]
    ends = [end for end in ends if np.isfinite(end)]
    margin = 0.05 * (max(ends) - min(ends))
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    if np.isfinite([main["low"], main["high"]]).all():
        axes.axvspan(main["low"], main["high"], color=theme.TERM_SHADE, linewidth=0, zorder=0)
    theme.zero_line(axes, "x")
    axes.axvline(main["estimate"], color=theme.OTHER, linestyle="--", linewidth=0.9, gid="main")
    for position, (name, rows) in enumerate(lanes.items()):
        theme.row_text(axes, -(1.75 - theme.MARGIN), position + 0.5, name)
        _ticks(axes, rows["estimate"], position + 0.5, 0.3)
    theme.set_numbers(axes, "x", signed=True)
    axes.set_xlabel(f"percent of {main['outcome_label']}", x=1, ha="right")
    theme.set_title(axes, title, note)
    spans = "; ".join(
        f"{name.lower()} ({len(rows)}): {number(rows['estimate'].min(), 1, signed=True)} to "
        f"{number(rows['estimate'].max(), 1, signed=True)}"
        for name, rows in lanes.items()
    )
    shown = data[["check", "sample", "estimate"]]
    return theme.close_chart(
        axes,
        alt=f"Refits around the main estimate of {number(main['estimate'], 1, signed=True)} "
        f"percent, by kind of check: {spans} percent.",
        data=shown.round({"estimate": 2}),
        unit=_percent_of(main),
        years=_years_of(main),
        source=source,
    )


def lane_of(checks: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the estimated records of one row of :func:`plot_checks`."""
    design, outcome = LANES[name]
    rows = checks[(checks["design"] == design) & (checks["status"] == "estimated")]
    if outcome in LEFT_OUT_LANES:
        rows = rows[rows["left_out"].str.startswith(f"{outcome} ")]
    elif outcome is not None:
        rows = rows[rows["outcome"].isin([outcome] if isinstance(outcome, str) else outcome)]
    return rows[rows["unit"] == "percent"].reset_index(drop=True)
