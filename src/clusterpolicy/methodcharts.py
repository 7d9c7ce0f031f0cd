"""The figures of the methods page: what each method does in panels whose effect is known."""

import pandas as pd
from matplotlib.axes import Axes

from clusterpolicy import alttext, theme
from clusterpolicy.methodwords import SHORT, SOURCE
from clusterpolicy.theme import Chart, number
from clusterpolicy.trials import METHODS, PROMISED

ROW = 0.38  # inches
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
        A filled dot is where the promise lies inside the Monte Carlo interval.
    """
    theme.require(trials, ["measure", "scenario", "way", "term", "estimate"], "plot_shares")
    promised = PROMISED[measure]
    columns = ["term", "sample", "way", "method", "estimate", "low", "high", "n_panels"]
    data = trials.loc[trials["measure"] == measure, columns].reset_index(drop=True)
    rows = data[["term", "sample"]].drop_duplicates(ignore_index=True)
    ways = [way for way in METHODS if way in set(data["way"])]
    left, top = 2.1, 1.0
    frame = theme.new_axes(ROW * len(rows), left, theme.MARGIN, top)
    width = theme.inches(frame)[0] / len(ways)
    frame.set(xlim=(0, len(ways)), ylim=(len(rows), 0), xticks=[], yticks=[])
    frame.spines["bottom"].set_visible(False)
    for place, row in rows.iterrows():
        theme.row_text(frame, -(left - theme.MARGIN), place + 0.5, "\n".join(_wrapped(row, left)))
    for position, way in enumerate(ways):
        _column(frame, data[data["way"] == way], position, promised)
        head = "\n".join(theme.wrap(SHORT[way], width - 0.1))
        frame.text(position + 0.05, -0.15, head, va="bottom", linespacing=1.15, color=theme.INK)
    note = (
        f"line: {number(promised, 0)} percent; filled: within Monte Carlo error of it; "
        "distances as square roots"
    )
    theme.set_title(frame, title, note, above=0.45)
    return theme.close_chart(
        frame,
        alt=describe_shares(data, title, promised),
        data=data,
        unit="percent of panels",
        years="",
        source=source,
    )


def _wrapped(row: pd.Series, left: float) -> list[str]:
    return theme.wrap(f"term {row['term']}: {row['sample']}", left - theme.MARGIN - 0.15)


def _column(frame: Axes, data: pd.DataFrame, position: int, promised: float) -> None:
    """Draw one method: a dot, its Monte Carlo interval and its number in every row."""

    def at(share: float) -> float:
        # Square roots of the share of failures: a few points matter near the promise only.
        failures = share if promised < 50 else 100 - share
        length = 0.44 * (max(failures, 0) / 100) ** 0.5
        return position + (0.05 + length if promised < 50 else 0.48 - length)

    frame.plot([at(promised)] * 2, [0, len(data)], color=theme.MUTED, linewidth=0.9, zorder=1)
    for place, row in enumerate(data.itertuples()):
        y = place + 0.5
        holds = row.low <= promised <= row.high
        color = theme.TARGETED if row.way == "permutation" else theme.OTHER
        frame.hlines(y, at(row.low), at(row.high), color=color, linewidth=1.4)
        frame.plot(
            at(row.estimate),
            y,
            "o" if row.way == "permutation" else "s",
            color=color,
            markerfacecolor=color if holds else theme.PAPER,
            markeredgewidth=1.3,
            markersize=5,
        )
        frame.text(position + 0.95, y, number(row.estimate), va="center", ha="right")


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
    axes = theme.new_axes(2.9, right=0.9, top=0.75)
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
    note = "shade: Monte Carlo error; diamond: the effect printed as detectable; line: 80 percent"
    theme.set_title(axes, "Panels in which the effect is found, percent", note)
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
    axes = theme.new_axes(2.7, right=1.5, top=0.75)
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
    axes.set_xlabel("growth a year by which targeted cells are ahead all along, percent")
    note = "above: share of panels in which the test of the years before gives warning"
    theme.set_title(axes, "Bias of the estimate of term 1, percent", note)
    return theme.close_chart(
        axes,
        alt=describe_trends(data),
        data=data,
        unit="percent",
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
