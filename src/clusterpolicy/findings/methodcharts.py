"""The figures of the methods page: what each method does in panels whose effect is known."""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from clusterpolicy.findings.methodwords import PROMISED, SOURCE, of_sample, pick
from clusterpolicy.page import theme
from clusterpolicy.page.theme import Chart, number

ROW = 0.25  # inches
# Shade of a tile by the points it is off at most: few enough steps to be told apart in print.
SHADES = {3.0: "#f8e3d3", 10.0: "#e9a877", 100.0: theme.OTHER}
LINES = {
    "off": ("all panels", theme.GROUPS["targeted"]),
    "off-unwarned": ("no warning", theme.GROUPS["other"]),
}


@theme.styled()
def plot_shares(trials: pd.DataFrame, way: str, title: str, *, source: str = SOURCE) -> Chart:
    """Draw how often one method rejects, a row for each scenario and a column for each sample.

    Parameters
    ----------
    trials : DataFrame
        Records of ``trials.try_all``.
    way : str
        Key of ``trials.METHODS``.
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
    columns = ["sample", "term", "base", "n_units", "estimate", "low", "high", "n_panels"]
    data = pick(trials, measure="rejection", way=way)[columns]
    data = data.assign(column=of_sample(data))
    heads = sorted(data["column"].unique())
    rows = list(data["sample"].unique())
    left = theme.MARGIN + max(map(theme.text_width, rows)) + 0.1
    key = {"✓ as promised": {"facecolor": theme.PAPER, "edgecolor": theme.TARGETED}}
    for most, words in zip(SHADES, ("off by up to 3", "up to 10", "more points"), strict=True):
        key[words] = {"facecolor": SHADES[most], "edgecolor": "none"}
    promise = number(PROMISED, 0)
    note = f"promised: {promise}; ▼ too few, ▲ too many; *: the other base, five targeted units"
    above = 2.3 * theme.LINE + 0.05
    top = above + theme.room_above(title, note, theme.NARROW)
    height = ROW * len(rows)
    axes = theme.new_axes(height, left, theme.MARGIN / 2, top, theme.MARGIN, theme.NARROW)
    axes.set(xlim=(0, len(heads)), ylim=(height, 0), xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    for position, head in enumerate(heads):
        axes.text(position + 0.5, -0.05, f"term {head}", va="bottom", ha="center", color=theme.INK)
    for position, sample in enumerate(rows):
        theme.row_text(axes, theme.MARGIN - left, (position + 0.5) * ROW, sample)
        for row in data[data["sample"] == sample].itertuples():
            _tile(axes, row, heads.index(row.column), position * ROW, PROMISED)
    theme.draw_key(axes, key, above - 1.1 * theme.LINE)
    theme.set_title(axes, title, note, above)
    return theme.close_chart(
        axes,
        alt=describe_shares(data, title),
        data=data.drop(columns="column"),
        unit=f"percent of panels; {promise} are promised",
        years="",
        source=source,
    )


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


def describe_shares(data: pd.DataFrame, title: str) -> str:
    """Say in how many trials the promise is kept, and where it is kept worst."""
    holds = ((data["low"] <= PROMISED) & (data["high"] >= PROMISED)).sum()
    worst = data.loc[data["estimate"].idxmax()]
    return (
        f"{title}: {number(data['estimate'].min())} to {number(data['estimate'].max())}, as "
        f"promised in {holds} of {len(data)} trials; most in term {worst['term']}, "
        f"{worst['sample']}."
    )


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
