"""The timeline: terms on both clocks, other policies, shocks and breaks, on one axis of years."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from clusterpolicy.page import alttext, theme, yearaxis
from clusterpolicy.page.theme import Chart
from clusterpolicy.wording import format_years

KINDS = {
    "term": "Terms of the policy (upper bar: planned clock, lower bar: funded clock)",
    "policy": "Dates of the policy",
    "other policy": "Other policies",
    "shock": "Shocks",
    "break": "Breaks in the figures",
}
BARS = {
    "planned": theme.HATCHED,
    "funded": theme.SOLID,
    "policy": theme.SOLID,
    "other policy": theme.BACKHATCHED,
    "shock": theme.GREY,
    "break": theme.HATCHED,
}


@theme.styled()
def plot_timeline(
    terms: pd.DataFrame,
    events: pd.DataFrame,
    years: str | Sequence[int] = (1996, 2020),
    *,
    source: str = theme.POLICY_FACTS,
) -> Chart:
    """Draw the terms on both clocks, other policies, shocks and breaks in the figures.

    Parameters
    ----------
    terms : DataFrame
        Table ``terms``, one row per term and clock (``"planned"``, ``"funded"``): ``term``,
        ``name_en``, ``name_ja``, ``clock``, ``first_year``, ``last_year`` (fiscal).
    events : DataFrame
        Table ``events``. Those of one kind and name share a row.
    years : str or sequence of int
        First and last year of the axis; events outside are left out.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        On a calendar axis: a fiscal year stands from April to March.

    Raises
    ------
    ValueError
        If a table is empty or lacks a column.
    """
    where = "plot_timeline"
    theme.require(terms, ["term", "name_en", "name_ja", "clock", "first_year", "last_year"], where)
    theme.require(events, ["kind", "first_year", "last_year", "calendar", "name_en"], where)
    first, last = yearaxis.year_span(years)
    spans = _timeline_spans(terms, events, first, last)
    axes = _draw_timeline(spans, first, last)
    theme.set_title(axes, "The policy, other policies, shocks and breaks in the figures", "", 0.2)
    return theme.close_chart(
        axes,
        alt=alttext.describe_timeline(spans),
        data=spans.drop(columns=["start", "stop", "row"]),
        unit="years",
        years=format_years(first, last, ""),
        source=source,
    )


class TimelineItem(NamedTuple):
    """The bars of one name on the timeline, with their label and its side."""

    row: int
    kind: str
    lines: tuple[str, ...]
    is_right: bool


def _timeline_spans(
    terms: pd.DataFrame, events: pd.DataFrame, first: int, last: int
) -> pd.DataFrame:
    """List what the timeline draws, each span with its row and its ends in calendar time."""
    planned = terms.assign(
        kind="term",
        calendar="fiscal",
        name="Term " + terms["term"].astype(str) + ", " + terms["name_en"],
    ).sort_values(["term", "clock"])
    other = events.assign(
        name=events["name_en"],
        clock="",
        kind=pd.Categorical(events["kind"], list(KINDS)).astype(object),
    ).sort_values(["first_year", "name_en"])
    columns = ["kind", "name", "name_ja", "clock", "calendar", "first_year", "last_year"]
    spans = pd.concat([planned[columns], other[columns]], ignore_index=True)
    spans["order"] = spans["kind"].map(list(KINDS).index)
    spans = spans.sort_values("order", kind="stable").drop(columns="order")
    # A fiscal year runs from 1 April to 31 March.
    shift = 0.25 * (spans["calendar"] == "fiscal")
    end = spans["last_year"].astype("Float64").fillna(last).astype(float)
    spans["start"] = (spans["first_year"] + shift).clip(lower=first)
    spans["stop"] = (end + 1 + shift).clip(upper=last + 1.25)
    spans = spans[(spans["start"] < last + 1) & (spans["stop"] > first)]
    return spans.assign(row=pd.factorize(spans["kind"] + spans["name"])[0]).reset_index(drop=True)


def _timeline_item(
    row: int, spans: pd.DataFrame, first: int, per_year: float, width: float
) -> TimelineItem:
    """Put the label of a row on the side of its bars where it needs fewer lines."""
    start = (spans["start"].min() - first) * per_year
    stop = (spans["stop"].max() - first) * per_year
    kind, name = spans["kind"].iloc[0], spans["name"].iloc[0]
    sides = []
    for is_right, room in ((True, width - stop), (False, start)):
        lines = theme.wrap(name, max(room - 0.08, 0.2))
        sides.append(TimelineItem(row, kind, tuple(lines), is_right))
    return min(sides, key=lambda side: len(side.lines))


def _draw_timeline(spans: pd.DataFrame, first: int, last: int) -> Axes:
    side, gap = 0.25, 0.015
    width = theme.WIDTH - 2 * side
    per_year = width / (last - first + 1.25)
    items = [
        _timeline_item(row, group, first, per_year, width + side - theme.MARGIN)
        for row, group in spans.groupby("row", sort=True)
    ]
    heights = [len(item.lines) * theme.LINE + gap for item in items]
    total = sum(heights) + 0.27 * spans["kind"].nunique()
    axes = theme.new_axes(total, side, side, top=0.62, bottom=0.5)
    axes.set(xlim=(first, last + 1.25), ylim=(total, 0), yticks=[])
    axes.set_xticks(range(first + first % 2, last + 2, 2))
    axes.tick_params(labeltop=True, length=3, top=True)
    axes.grid(axis="x")
    axes.set_xlabel("calendar year; bars of fiscal years run from April to March")
    top, heading = 0.0, ""
    for item, height in zip(items, heights, strict=True):
        if item.kind != heading:
            heading = item.kind
            words = KINDS[heading]
            theme.row_text(axes, theme.MARGIN - side, top + 0.17, words, **theme.strong(words))
            top += 0.27
        _draw_timeline_item(axes, item, spans[spans["row"] == item.row], top + height / 2)
        top += height
    return axes


def _draw_timeline_item(axes: Axes, item: TimelineItem, spans: pd.DataFrame, y: float) -> None:
    for span in spans.itertuples():
        offset = {"planned": -0.08, "funded": 0.08}.get(span.clock, 0.0)
        look = BARS[span.clock or span.kind]
        width = span.stop - span.start
        axes.barh(y + offset, width, 0.115, left=span.start, gid=span.kind, **look)
    axes.annotate(
        "\n".join(item.lines),
        (spans["stop"].max() if item.is_right else spans["start"].min(), y),
        xytext=(5 if item.is_right else -5, 0),
        textcoords="offset points",
        ha="left" if item.is_right else "right",
        va="center",
        linespacing=1.15,
        annotation_clip=False,
        **theme.PATCH,
    )
