"""Every figure: tables in, one drawing out, with its alt text, its numbers and its sources.

Figures over years are drawn in ``timecharts`` and ``timeline``, the quadrant of cells in
``quadrant``; they are offered here with the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.patches import Rectangle

from clusterpolicy.page import alttext, theme, yearaxis
from clusterpolicy.page.alttext import interval
from clusterpolicy.page.quadrant import plot_quadrant
from clusterpolicy.page.theme import Chart, number
from clusterpolicy.page.timecharts import (
    plot_event_study,
    plot_growth_paths,
    plot_national_series,
    plot_suppression,
)
from clusterpolicy.page.timeline import plot_timeline
from clusterpolicy.wording import RUN_MARKS, VERDICT_MARKS, format_years, is_missing

__all__ = [
    "Chart",
    "plot_balance",
    "plot_event_study",
    "plot_forest",
    "plot_growth_paths",
    "plot_national_series",
    "plot_quadrant",
    "plot_scorecard",
    "plot_suppression",
    "plot_targeted_map",
    "plot_timeline",
    "plot_waterfall",
]

SHADES = LinearSegmentedColormap.from_list("shades", ["#eef3f6", "#9cc3dc", "#2a7fb0", "#003f66"])
SCORECARD = "What the policy said, and what is found"
SCORECARD_NOTE = "figure and shade: grade of the evidence, from 0 (no figure found) to 5"
RUN_NOTE = "each statement held against sources; no grade"
LARGE = 0.25  # standard deviations from which a regression no longer mends a difference


@theme.styled()
def plot_forest(estimates: pd.DataFrame, label: str, *, source: str = theme.OWN_ESTIMATES) -> Chart:
    """Draw one estimate per row with its interval and the smallest effect its test would find.

    Parameters
    ----------
    estimates : DataFrame
        Results of one unit, in the order to print: ``estimate``, ``low``, ``high``, ``mde``,
        ``unit``, ``status``, ``reason``, ``term_years``, and `label`; a column ``verdict`` is
        printed if there is one.
    label : str
        Column that holds the text of each row.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart

    Raises
    ------
    ValueError
        If `estimates` is empty, lacks a column, or mixes units.
    """
    where = "plot_forest"
    columns = [label, "estimate", "low", "high", "mde", "status", "reason"]
    theme.require(estimates, [*columns, "unit", "term_years"], where)
    unit = theme.single(estimates, "unit", where)
    columns += ["verdict"] if "verdict" in estimates else []
    data = estimates[columns].reset_index(drop=True)
    is_estimated = (data["status"] == "estimated") & data["estimate"].notna()
    limit = theme.axis_limit(data[is_estimated])
    note = "filled: interval leaves out zero; ticks: smallest effect the test would find"
    if (data.loc[is_estimated, ["low", "high"]].abs() > limit).any(axis=None):
        note += "; arrow: the interval goes on"
    rows = [_forest_row(row, is_estimated[row.Index], label) for row in data.itertuples()]
    axes, places = theme.open_rows(rows, f"Estimates with their intervals, {unit}", note)
    _forest_limits(axes, data[is_estimated], limit)
    theme.zero_line(axes, "x")
    theme.set_numbers(axes, "x", signed=True)
    for row, y in zip(data.itertuples(), places, strict=True):
        if is_estimated[row.Index]:
            theme.draw_interval(axes, y, row.estimate, row.low, row.high, limit)
            if np.isfinite(row.mde):
                ticks = {"color": theme.MUTED, "ms": 11, "mew": 1.2, "gid": "mde"}
                axes.plot([-row.mde, row.mde], [y, y], "|", **ticks)
    what = _unit_of(estimates, unit)
    axes.set_xlabel(what)
    first, last = _span_of(estimates["term_years"])
    baseline = estimates.get("baseline_years", pd.Series(dtype=str)).dropna()
    against = f" against {format_years(*_span_of(baseline))}" if len(baseline) else ""
    return theme.close_chart(
        axes,
        alt=alttext.describe_forest(data, label, is_estimated, unit, limit),
        data=data,
        unit=what,
        years=format_years(first, last) + against,
        source=source,
    )


@theme.styled()
def plot_targeted_map(
    prefectures: pd.DataFrame,
    counts: pd.DataFrame,
    label: str,
    *,
    years: str = "",
    source: str = theme.POLICY_FACTS,
) -> Chart:
    """Draw one number per prefecture on a map of 47 equal tiles.

    Parameters
    ----------
    prefectures : DataFrame
        Table ``prefectures``: ``pref_code``, ``name_en``, ``name_ja``, ``tile_row``, ``tile_col``.
    counts : DataFrame
        ``pref_code``, ``value`` and, if known, ``certainty``: tiles of ``"low"`` are hatched.
    label : str
        What is counted, with its unit, e.g. ``"Targeted industries"``.
    years, source : str
        Ready to print.

    Returns
    -------
    Chart
        A prefecture without a row in `counts` is drawn empty, one without a value as "…". The data
        hold the Japanese names too, whose outlines would weigh more than all else of the map.

    Raises
    ------
    ValueError
        If a table is empty or lacks a column, or `counts` names an unknown or repeated prefecture.
    """
    where = "plot_targeted_map"
    theme.require(prefectures, ["pref_code", "name_en", "name_ja", "tile_row", "tile_col"], where)
    theme.require(counts, ["pref_code", "value"], where)
    unknown = sorted(set(counts["pref_code"]) - set(prefectures["pref_code"]))
    if unknown or counts["pref_code"].duplicated().any():
        raise ValueError(
            f"{where}: found the unknown prefectures {unknown} or one that is repeated: give "
            "one row per prefecture of table prefectures"
        )
    columns = ["pref_code", "value", *(["certainty"] if "certainty" in counts else [])]
    data = prefectures[["pref_code", "name_en", "name_ja", "tile_row", "tile_col"]].merge(
        counts[columns], on="pref_code", how="left", validate="one_to_one"
    )
    is_asked = data["pref_code"].isin(counts["pref_code"])
    tops = _row_tops(data["tile_row"])
    n_cols = data["tile_col"].max() + 1
    side = (theme.WIDTH - 2 * theme.MARGIN) / n_cols
    bottom = max(tops.values()) + 1
    axes = theme.new_axes(bottom * side, theme.MARGIN, theme.MARGIN, top=0.35, bottom=theme.MARGIN)
    axes.get_figure().set_gid(theme.WHOLE)
    axes.set(xlim=(0, n_cols), ylim=(bottom, 0), xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    scale = Normalize(min(0, data["value"].min()), data["value"].max() or 1)
    for row in data.itertuples():
        unknown = "…" if is_asked[row.Index] else ""
        _draw_tile(axes, row, tops[row.tile_row], SHADES(scale(row.value)), unknown)
    has_low = "certainty" in data and (data["certainty"] == "low").any()
    axes.text(
        0,
        0.25,
        "the darker, the more" + ("; hatched: low certainty" if has_low else ""),
        color=theme.MUTED,
    )
    theme.set_title(axes, label)
    return theme.close_chart(
        axes,
        alt=alttext.describe_map(data, label),
        data=data.drop(columns=["tile_row", "tile_col"]),
        unit=label,
        years=years,
        source=source,
    )


@theme.styled()
def plot_scorecard(phrases: pd.DataFrame, *, source: str = theme.POLICY_FACTS) -> Chart:
    """Draw what is found about each phrase of the policy, and how sure one can be.

    Parameters
    ----------
    phrases : DataFrame
        One list of the phrase matrix in the order to print: ``phrase``, ``verdict``, ``grade`` (0
        to 5; missing for how the policy was run).
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        One column per verdict; the shade and the figure in it are the grade of the evidence.

    Raises
    ------
    ValueError
        If `phrases` is empty, mixes the two lists, or a verdict or grade is outside its set.
    """
    where = "plot_scorecard"
    theme.require(phrases, ["phrase", "verdict", "grade"], where)
    data = phrases[["phrase", "verdict", "grade"]].reset_index(drop=True)
    is_run = data["verdict"].isin(RUN_MARKS).all()
    marks, note = (RUN_MARKS, RUN_NOTE) if is_run else (VERDICT_MARKS, SCORECARD_NOTE)
    is_graded = data["grade"].isna() if is_run else data["grade"].isin(range(6))
    strange = data[~data["verdict"].isin(marks) | ~is_graded]
    if not strange.empty:
        row = strange.iloc[0]
        raise ValueError(
            f"{where}: found verdict {row['verdict']!r}, grade {row['grade']!r} for "
            f"{row['phrase']!r}: use {', '.join(marks)} and a whole grade from 0 to 5, or for how "
            "the policy was run none"
        )
    column = 0.82 if is_run else 0.7
    left = theme.NARROW - theme.MARGIN - column * len(marks)
    texts = [theme.wrap(text, left - theme.MARGIN - 0.12) for text in data["phrase"]]
    heights = [len(lines) * theme.LINE + 0.12 for lines in texts]
    heads = [theme.wrap(verdict, column - 0.02) for verdict in marks]
    above = max(map(len, heads)) * theme.LINE + 0.04
    top = above + theme.room_above(SCORECARD, note, theme.NARROW)
    foot = theme.MARGIN
    axes = theme.new_axes(sum(heights), left, theme.MARGIN, top, foot, theme.NARROW)
    axes.set(xlim=(0, len(marks)), ylim=(sum(heights), 0), xticks=[], yticks=[])
    top = 0.0
    for row, lines, height in zip(data.itertuples(), texts, heights, strict=True):
        theme.row_text(axes, -(left - theme.MARGIN), top + height / 2, "\n".join(lines))
        _draw_verdict(axes, marks, row, top, height)
        top += height
    for place, head in enumerate(heads):
        axes.annotate(
            "\n".join(head),
            (place + 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            linespacing=1.1,
        )
    theme.set_title(axes, SCORECARD, note, above)
    return theme.close_chart(
        axes,
        alt=alttext.describe_scorecard(data),
        data=data,
        unit="verdict" if is_run else "verdict, and grade of the evidence from 0 to 5",
        years="",
        source=source,
    )


@theme.styled()
def plot_balance(
    balance: pd.DataFrame, *, years: str = "", source: str = theme.OWN_ESTIMATES
) -> Chart:
    """Draw how targeted cells differed from the others before the term.

    Parameters
    ----------
    balance : DataFrame
        From ``clusters.compare_at_baseline``: ``variable``, normalised difference ``value`` and
        the ends ``low`` and ``high`` of its interval.
    years, source : str
        Ready to print.

    Returns
    -------
    Chart
        Largest difference on top, with lines at a quarter of a standard deviation.

    Raises
    ------
    ValueError
        If `balance` is empty or lacks a column.
    """
    theme.require(balance, ["variable", "value", "low", "high"], "plot_balance")
    columns = ["variable", "value", "low", "high"]
    data = balance[columns].sort_values("value", key=abs, ascending=False, ignore_index=True)
    note = "dashed: a quarter of a standard deviation; line: interval; filled: leaves out zero"
    rows = [
        theme.Row(
            row.variable,
            f"{number(row.value, 2, signed=True)} ({interval(row.low, row.high, 2)})",
        )
        for row in data.itertuples()
    ]
    axes, places = theme.open_rows(rows, "Targeted minus other cells before the term", note)
    reach = 1.1 * max(0.5, data[["low", "high"]].abs().max().max())
    axes.set_xlim(-reach, reach)
    axes.axvspan(-LARGE, LARGE, color=theme.TERM_SHADE, linewidth=0, zorder=0)
    for limit in (-LARGE, LARGE):
        axes.axvline(
            limit, color=theme.MUTED, linestyle="--", linewidth=0.9, zorder=1.6, gid="limit"
        )
    for row, y in zip(data.itertuples(), places, strict=True):
        theme.draw_interval(axes, y, row.value, row.low, row.high)
    theme.zero_line(axes, "x")
    theme.set_numbers(axes, "x", signed=True)
    axes.set_xlabel("standard deviations; to the right: larger in targeted cells")
    return theme.close_chart(
        axes,
        alt=alttext.describe_balance(data, LARGE),
        data=data,
        unit="standard deviations, targeted minus other cells",
        years=years,
        source=source,
    )


@theme.styled()
def plot_waterfall(
    steps: pd.DataFrame, *, unit: str = "rows", years: str = "", source: str = theme.OWN_ESTIMATES
) -> Chart:
    """Draw how many rows each step of the selection keeps and drops.

    Parameters
    ----------
    steps : DataFrame
        In their order: ``step`` in words and ``rows``, the number left over after it; the first
        is the number to start with.
    unit : str
        What a row is, in the plural.
    years, source : str
        Ready to print.

    Returns
    -------
    Chart
        Its data hold ``kept`` and ``dropped`` for each step.

    Raises
    ------
    ValueError
        If `steps` is empty, lacks a column, or gains rows on the way.
    """
    where = "plot_waterfall"
    theme.require(steps, ["step", "rows"], where)
    kept = steps["rows"].astype(int).reset_index(drop=True)
    dropped = kept.shift(1, fill_value=kept[0]) - kept
    if (dropped < 0).any():
        step = steps["step"].iloc[dropped.idxmin()]
        raise ValueError(
            f"{where}: {step!r} leaves {-dropped.min()} rows more than the step before it: a "
            "selection only drops rows; check the counts"
        )
    data = pd.DataFrame({"step": steps["step"].to_numpy(), "kept": kept, "dropped": dropped})
    left, row = 2.6, 0.36
    axes = theme.new_axes(row * len(data), left, 1.35, top=0.65)
    axes.set(xlim=(0, kept[0] or 1), ylim=(row * len(data), 0), yticks=[])
    for place, each in enumerate(data.itertuples()):
        y = row * (place + 0.5)
        lines = theme.wrap(each.step, left - theme.MARGIN - 0.1)
        theme.row_text(axes, -(left - theme.MARGIN), y, "\n".join(lines))
        axes.barh(y, each.kept, row * 0.62, gid="kept", **theme.SOLID)
        axes.barh(y, each.dropped, row * 0.62, left=each.kept, **theme.HATCHED, gid="dropped")
        loss = f" (−{each.dropped:,})" if each.dropped else ""
        theme.row_text(axes, theme.inches(axes)[0] + 0.1, y, f"{each.kept:,}{loss}")
    theme.set_numbers(axes, "x")
    axes.set_xlabel(unit)
    theme.draw_key(axes, {"kept": theme.SOLID, "dropped by the step": theme.HATCHED})
    theme.set_title(axes, f"From all {unit} to those compared", above=1.15 * theme.LINE)
    return theme.close_chart(
        axes,
        alt=alttext.describe_waterfall(data, unit),
        data=data,
        unit=unit,
        years=years,
        source=source,
    )


def _forest_limits(axes: Axes, estimated: pd.DataFrame, limit: float) -> None:
    bounds = estimated[["estimate", "low", "high"]].assign(
        mde_high=estimated["mde"], mde_low=-estimated["mde"]
    )
    values = bounds.to_numpy(dtype=float)
    values = values[~np.isnan(values)].clip(-limit, limit)
    low, high = (min(0, values.min()), max(0, values.max())) if values.size else (-1.0, 1.0)
    margin = 0.04 * (high - low or 1.0)
    axes.set_xlim(low - margin, high + margin)


def _forest_row(row: NamedTuple, is_estimated: bool, label: str) -> theme.Row:
    name = str(getattr(row, label))
    if not is_estimated:
        return theme.Row(name, below=f"not estimable: {row.reason}")
    verdict = getattr(row, "verdict", None)
    words = f"{number(row.estimate, signed=True)} ({interval(row.low, row.high)})"
    return theme.Row(name, f"{verdict}: {words}" if verdict else words)


def _unit_of(estimates: pd.DataFrame, unit: str) -> str:
    """Say what the estimates are in units of, where the records tell."""
    outcomes = estimates.get("outcome_label", pd.Series(dtype=str)).dropna().unique()
    return f"{unit} of {outcomes[0]}, targeted minus other cells" if len(outcomes) == 1 else unit


def _span_of(spans: pd.Series) -> tuple[int, int]:
    years = [year for span in spans.dropna() for year in yearaxis.year_span(span)]
    return min(years), max(years)


def _row_tops(rows: pd.Series) -> dict[int, float]:
    """Return the top of each row of tiles, with rows that hold no tile closed up."""
    tops, top = {}, 0.0
    for row in range(rows.max() + 1):
        tops[row] = top
        top += 1.0 if (rows == row).any() else 0.35
    return tops


def _draw_tile(
    axes: Axes,
    row: NamedTuple,
    top: float,
    shade: Sequence[float],
    unknown: str,
) -> None:
    """Draw one prefecture: its number (`unknown` if there is none) and its name."""
    is_known = bool(np.isfinite(row.value))
    is_low = getattr(row, "certainty", None) == "low"
    ink = theme.PAPER if is_known and _luminance(shade) < 0.25 else theme.INK
    axes.add_patch(
        Rectangle(
            (row.tile_col + 0.02, top + 0.02),
            0.96,
            0.96,
            facecolor=shade if is_known else theme.PAPER,
            edgecolor=theme.MUTED,
            linewidth=0.5,
            hatch="//" if is_low else None,
            hatchcolor=(*to_rgb(ink), 0.35),
            gid="low-certainty" if is_low else "tile",
        )
    )
    value = theme.plain(row.value) if is_known else unknown
    middle = row.tile_col + 0.5
    axes.text(middle, top + 0.4, value, color=ink, ha="center", va="center", size=12)
    # Nine letters have to fit a tile; whoever cannot read seven points has the table and the alt.
    place = {"size": 7, "ha": "center", "va": "baseline", "gid": "second-name"}
    axes.text(middle, top + 0.88, row.name_en, color=ink, **place)


def _draw_verdict(axes: Axes, marks: dict[str, str], row, top: float, height: float) -> None:
    axes.axhline(top, color=theme.GRID, linewidth=0.6)
    verdict, is_graded = row.verdict, not is_missing(row.grade)
    place = list(marks).index(verdict)
    shade = SHADES(row.grade / 5 if is_graded else 0.0)
    ink = theme.PAPER if _luminance(shade) < 0.25 else theme.INK
    is_open = verdict == list(marks)[-1]
    axes.add_patch(
        Rectangle(
            (place + 0.04, top + 0.03),
            0.92,
            height - 0.06,
            facecolor=shade,
            edgecolor=theme.MUTED,
            linewidth=0.6,
            hatch="///" if is_open else None,
            hatchcolor=(*to_rgb(theme.MUTED), 0.45),
            gid="open" if is_open else "judged",
        )
    )
    axes.text(
        place + 0.5,
        top + height / 2,
        f"{marks[verdict]} {row.grade}" if is_graded else marks[verdict],
        color=ink,
        ha="center",
        va="center",
        size=theme.BODY,
        bbox={"facecolor": shade, "edgecolor": "none", "pad": 1} if is_open else None,
    )


def _luminance(color: Sequence[float]) -> float:
    """Return the relative luminance of a colour, 0 to 1, as WCAG 2.2 defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
