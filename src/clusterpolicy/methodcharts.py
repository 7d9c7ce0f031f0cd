"""The figures of the methods page: what each method does in panels whose effect is known."""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from clusterpolicy import alttext, theme
from clusterpolicy.methodwords import SHORT, SOURCE
from clusterpolicy.theme import Chart, number
from clusterpolicy.trials import METHODS, PROMISED

ROW, HEADING = 0.25, 0.24  # inches
# Shade of a tile by the points it is off at most: few enough steps to be told apart in print.
SHADES = {3.0: "#f8e3d3", 10.0: "#e9a877", 100.0: theme.OTHER}
LINES = {
    "off": ("all panels", theme.GROUPS["targeted"]),
    "off-unwarned": ("no warning", theme.GROUPS["other"]),
}


@theme.styled()
def plot_shares(trials: pd.DataFrame, measure: str, title: str, *, source: str = SOURCE) -> Chart:
    """Draw the share of panels in which something happened, a column for each method.

    Parameters
    ----------
    trials : DataFrame
        Records of ``trials.try_all``.
    measure : str
        ``"coverage"`` or ``"rejection"``.
    title : str
        What is drawn.
    source : str
        Ready to print.

    Returns
    -------
    Chart
        A heat table: a tile holds its number, a mark for too few, too many or as promised, and
        is the darker the further it is off. As promised is what has the promise inside its Monte
        Carlo interval.
    """
    theme.require(trials, ["measure", "scenario", "way", "term", "estimate"], "plot_shares")
    promised = PROMISED[measure]
    columns = ["term", "sample", "way", "method", "estimate", "low", "high", "n_panels"]
    data = trials.loc[trials["measure"] == measure, columns].reset_index(drop=True)
    ways = [way for way in METHODS if way in set(data["way"])]
    left = theme.MARGIN + theme.text_width("term") + 0.08
    width = (theme.NARROW - left - theme.MARGIN / 2) / len(ways)
    heads = [theme.wrap(SHORT[way], width - 0.005) for way in ways]
    key = {"✓ as promised": {"facecolor": theme.PAPER, "edgecolor": theme.TARGETED}}
    for most, words in zip(SHADES, ("off by up to 3", "up to 10", "more points"), strict=True):
        key[words] = {"facecolor": SHADES[most], "edgecolor": "none"}
    promise = number(promised, 0)
    held = f"✓ {promise} is inside the Monte Carlo interval"
    note = f"promised: {promise}; ▼ too few, ▲ too many; {held}"
    groups = data.groupby("sample", sort=False)["term"].unique()
    height = sum(HEADING + ROW * len(terms) for terms in groups)
    above = (max(map(len, heads)) + 1.3) * theme.LINE + 0.05
    top = above + theme.room_above(title, note, theme.NARROW)
    axes = theme.new_axes(height, left, theme.MARGIN / 2, top, theme.MARGIN, theme.NARROW)
    axes.set(xlim=(0, len(ways)), ylim=(height, 0), xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    for position, head in enumerate(heads):
        look = theme.strong(head[0]) if ways[position] == "permutation" else {}
        _head(axes, position + 0.5, "\n".join(head), ha="center", **look)
    theme.row_text(axes, theme.MARGIN - left, -0.05 - theme.LINE / 2, "term")
    y = 0.0
    for sample, terms in groups.items():
        theme.row_text(axes, theme.MARGIN - left, y + 0.6 * HEADING, sample)
        y += HEADING
        for term in terms:
            theme.row_text(axes, theme.MARGIN - left + 0.1, y + ROW / 2, str(term))
            rows = data[(data["sample"] == sample) & (data["term"] == term)]
            for row in rows.itertuples():
                _tile(axes, row, ways.index(row.way), y, promised)
            y += ROW
    theme.draw_key(axes, key, above - 1.1 * theme.LINE)
    theme.set_title(axes, title, note, above)
    return theme.close_chart(
        axes,
        alt=describe_shares(data, title, promised),
        data=data,
        unit=f"percent of panels; {promise} are promised",
        years="",
        source=source,
    )


def _head(axes: Axes, x: float, text: str, **look: object) -> None:
    axes.text(x, -0.05, text, va="bottom", linespacing=1.1, color=theme.INK, **look)


def _tile(axes: Axes, row: NamedTuple, position: int, y: float, promised: float) -> None:
    """Draw one share: shade and mark say how it lies to the promise."""
    holds = row.low <= promised <= row.high
    off = abs(row.estimate - promised)
    shade = theme.PAPER if holds else next(c for most, c in SHADES.items() if off <= most)
    axes.add_patch(
        Rectangle(
            (position + 0.02, y + 0.015),
            0.96,
            ROW - 0.03,
            facecolor=shade,
            edgecolor=theme.TARGETED if holds else "none",
            linewidth=0.8,
            gid="holds" if holds else "fails",
        )
    )
    mark = "✓" if holds else "▲" if row.estimate > promised else "▼"
    ink = theme.PAPER if shade == theme.OTHER else theme.INK
    middle = y + ROW / 2
    axes.text(position + 0.08, middle, mark, va="center", color=ink)
    axes.text(position + 0.93, middle, number(row.estimate), va="center", ha="right", color=ink)


def describe_shares(data: pd.DataFrame, title: str, promised: float) -> str:
    """Say where each method stands at best and at worst."""
    parts = []
    for way, rows in data.groupby("way", sort=False):
        holds = ((rows["low"] <= promised) & (rows["high"] >= promised)).sum()
        parts.append(
            f"{SHORT[way]} {number(rows['estimate'].min())} to {number(rows['estimate'].max())}, "
            f"as promised in {holds} of {len(rows)} scenarios"
        )
    return f"{title}, where {number(promised, 0)} percent are promised: {'; '.join(parts)}."


@theme.styled()
def plot_power(trials: pd.DataFrame, *, source: str = SOURCE) -> Chart:
    """Draw how often the test of the reports finds an effect, by the size of the effect.

    Parameters
    ----------
    trials : DataFrame
        Records of ``trials.try_all``.
    source : str
        Ready to print.

    Returns
    -------
    Chart
        One line a term, targets as they were; a tick where the effect printed as detectable is.
    """
    chosen = trials[(trials["way"] == "permutation") & (trials["scenario"] == "fixed")]
    theme.require(chosen, ["measure", "term", "effect", "estimate"], "plot_power")
    columns = ["term", "effect", "estimate", "low", "high", "n_panels"]
    is_null = chosen["measure"] == "rejection"
    data = chosen.loc[is_null | (chosen["measure"] == "power"), columns]
    data = data.sort_values(["term", "effect"], ignore_index=True)
    marks = chosen[chosen["measure"] == "power-at-detectable"]
    title = "Panels in which the effect is found, percent"
    note = "shade: Monte Carlo error; diamond: the effect printed as detectable; line: 80 percent"
    top = theme.room_above(title, note, theme.NARROW) + 0.1
    axes = theme.new_axes(2.9, right=0.75, top=top, width=theme.NARROW)
    axes.set(xlim=(0, data["effect"].max()), ylim=(0, 100))
    axes.axhline(80, color=theme.MUTED, linewidth=0.9, zorder=1)
    ends = []
    for term, rows in data.groupby("term"):
        style = {1: "-", 2: (0, (5, 2)), 3: (0, (1, 1.5))}[term]
        axes.fill_between(rows["effect"], rows["low"], rows["high"], color=theme.GRID, linewidth=0)
        axes.plot(rows["effect"], rows["estimate"], color=theme.TARGETED, linestyle=style)
        ends.append((rows["estimate"].iloc[-1], f"term {term}", theme.TARGETED))
    seen = marks[marks["effect"] <= data["effect"].max()]
    axes.plot(seen["effect"], seen["estimate"], "D", color=theme.OTHER, markersize=6)
    theme.set_numbers(axes)
    theme.set_numbers(axes, "x")
    theme.label_ends(axes, data["effect"].max(), ends)
    axes.set_xlabel("effect in the panels, percent")
    theme.set_title(axes, title, note)
    return theme.close_chart(
        axes,
        alt=describe_power(data, marks),
        data=data,
        unit="percent of panels",
        years="",
        source=source,
    )


def describe_power(data: pd.DataFrame, marks: pd.DataFrame) -> str:
    """Say how often the largest effect and the printed one are found in each term."""
    parts = []
    for row in marks.sort_values("term").itertuples():
        rows = data[data["term"] == row.term]
        parts.append(
            f"term {row.term}: from {number(rows['estimate'].iloc[0])} percent of panels without "
            f"an effect to {number(rows['estimate'].iloc[-1])} with one of "
            f"{number(rows['effect'].iloc[-1], 0)} percent; the effect printed as detectable, "
            f"{number(row.effect)} percent, is found in {number(row.estimate)}"
        )
    return f"Power curves. {alttext.listed(parts)}."


@theme.styled()
def plot_trends(trends: pd.DataFrame, *, source: str = SOURCE) -> Chart:
    """Draw how far an older trend moves the estimate, and what the test of the years before sees.

    Parameters
    ----------
    trends : DataFrame
        Records of ``trendtrials.try_trends``.
    source : str
        Ready to print.

    Returns
    -------
    Chart
        A line for all panels and one for those in which the test gives no warning; above each
        point the share of panels in which it does.
    """
    theme.require(trends, ["measure", "effect", "estimate"], "plot_trends")
    columns = ["effect", "measure", "estimate", "low", "high", "n_panels"]
    shown = trends["measure"].isin(["off", "off-unwarned", "warning"])
    data = trends.loc[shown, columns].sort_values(["measure", "effect"], ignore_index=True)
    title = "Bias of the estimate of term 1, percent"
    note = "above: share of panels in which the test of the years before gives warning"
    top = theme.room_above(title, note, theme.NARROW) + 0.1
    axes = theme.new_axes(2.7, left=0.5, right=1.05, top=top, width=theme.NARROW)
    last = data["effect"].max()
    axes.set_xlim(-0.05 * last, 1.05 * last)
    ends = []
    for measure, (name, look) in LINES.items():
        rows = data[data["measure"] == measure]
        axes.vlines(rows["effect"], rows["low"], rows["high"], color=look["color"], linewidth=1.4)
        axes.plot(rows["effect"], rows["estimate"], **look)
        ends.append((rows["estimate"].iloc[-1], name, look["color"]))
    theme.leave_room(axes, above=0.35)
    theme.zero_line(axes)
    top = axes.get_ylim()[1]
    for row in data[data["measure"] == "warning"].itertuples():
        axes.text(row.effect, top, f"{number(row.estimate, 0)} %", ha="center", va="top")
    theme.set_numbers(axes)
    theme.set_numbers(axes, "x")
    theme.label_ends(axes, 1.05 * last, ends)
    axes.set_xlabel("percent a year by which targeted cells are ahead all along")
    theme.set_title(axes, title, note)
    return theme.close_chart(
        axes,
        alt=describe_trends(data),
        data=data,
        unit="percent of product by which the estimate is off; of panels for the warnings",
        years="",
        source=source,
    )


def describe_trends(data: pd.DataFrame) -> str:
    """Say for the largest trend and for none how often there is warning, and the bias."""
    wide = data.pivot(index="effect", columns="measure", values="estimate")
    parts = [
        f"where targeted cells are ahead by {number(effect, 2)} percent a year, the bias is "
        f"{number(row['off'], signed=True)} percent, {number(row['off-unwarned'], signed=True)} "
        f"where the test gives no warning, and it gives warning in {number(row['warning'])} "
        "percent of panels"
        for effect, row in wide.iloc[[0, -1]].iterrows()
    ]
    return f"Lines of the bias by the size of an older trend: {'; '.join(parts)}."
