"""The axis of years: terms, shocks and breaks on it, each with a label that meets no other."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from clusterpolicy.page.theme import (
    INK,
    LINE,
    MARGIN,
    MUTED,
    NARROW,
    PAPER,
    SMALL,
    TERM_SHADE,
    inches,
    leave_room,
    new_axes,
    room_above,
    set_numbers,
    set_title,
    text_width,
    wrap,
    zero_line,
)
from clusterpolicy.wording import format_years

GAP = 0.05  # inches between a line and its label
KEY_INDENT = 0.26  # inches from the edge of a column to the texts of the key
MOST_LINES = 5  # of labels above the axes; beyond it events are numbered, with a key below


class EventMark(NamedTuple):
    """One event on a year axis: where it starts and stops, its label, and the lane of that."""

    start: float
    stop: float
    kind: str
    lines: tuple[str, ...]
    lane: int


def year_span(years: str | Sequence[int]) -> tuple[int, int]:
    """Read ``"2001-2005"`` or a sequence of years as first and last year.

    Raises
    ------
    ValueError
        If `years` is neither, or runs backwards.
    """
    try:
        found = [int(year) for year in (years.split("-") if isinstance(years, str) else years)]
        first, last = min(found), max(found)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"years: found {years!r}: give them as '2001-2005' or as (2001, 2005)"
        ) from error
    if isinstance(years, str) and found != sorted(found):
        raise ValueError(f"years: found {years!r}, which runs backwards: put the first year first")
    return first, last


def set_years(axes: Axes, first: int, last: int, title: str) -> None:
    """Put whole years on the x axis, as many as fit without touching."""
    axes.set_xlim(first - 0.5, last + 0.5)
    room = inches(axes)[0] / (last - first + 1)
    step = next(step for step in (1, 2, 5, 10) if step * room > text_width("2000") + 0.08)
    ticks = [year for year in range(first, last + 1) if year % step == 0]
    axes.set_xticks(ticks, [str(year) for year in ticks])
    axes.set_xlabel(title, labelpad=4)


def shade_term(axes: Axes, years: tuple[int, int], name: str) -> None:
    """Shade the fiscal years of a term that are drawn and write its name over them."""
    low, high = axes.get_xlim()
    start, stop = max(years[0] - 0.5, low), min(years[1] + 0.5, high)
    axes.axvspan(start, stop, color=TERM_SHADE, linewidth=0, zorder=0, gid="term")
    half = text_width(name) / 2 / inches(axes)[0] * (high - low)
    axes.annotate(
        name,
        (min(max((start + stop) / 2, low + half), high - half), 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, -3),
        textcoords="offset points",
        ha="center",
        va="top",
        color=MUTED,
        bbox={"facecolor": TERM_SHADE, "edgecolor": "none", "pad": 0.5},
        zorder=4,
    )


def choose_events(events: pd.DataFrame, table: str, first: int, last: int) -> pd.DataFrame:
    """Choose the shocks and breaks that touch one table and fall on a year axis.

    Parameters
    ----------
    events : DataFrame
        Table ``events``; ``applies_to`` lists raw tables, or says ``"all"``.
    table : str
        Raw table that the drawn figures come from, e.g. ``"cell_product_b2000"``; if empty, only
        the events that touch all tables are chosen.
    first, last : int
        First and last year of the axis.

    Returns
    -------
    DataFrame
        In their order on the axis: ``start`` and ``stop`` as positions, ``first_year`` and
        ``last_year``, ``kind`` and ``name``. A break lies between the last year before it and its
        first year; one at the first year of the axis breaks nothing that is drawn.
    """
    touched = events["applies_to"].map(lambda tables: bool({"all", table} & {*tables.split(";")}))
    rows = events[events["kind"].isin(["shock", "break"]) & touched]
    is_shock = rows["kind"] == "shock"
    first_year = rows["first_year"].astype(int)
    last_year = rows["last_year"].astype("Float64").fillna(last).astype(int)
    chosen = pd.DataFrame(
        {
            "start": (first_year - 0.5).where(
                ~is_shock, (first_year - 0.5).clip(lower=first - 0.5)
            ),
            "stop": (last_year + 0.5).clip(upper=last + 0.5),
            "first_year": first_year,
            "last_year": last_year,
            "kind": rows["kind"],
            "name": rows["name_en"],
        }
    )
    is_seen = (chosen["start"] > first - 0.5) | (is_shock & (last_year >= first))
    chosen = chosen[is_seen & (first_year <= last)]
    return chosen.sort_values(["start", "name"], ignore_index=True)


def stack_events(chosen: pd.DataFrame, per_year: float, room: float) -> list[EventMark] | None:
    """Stack labels above the axes so that none meets another, or the line of another.

    Each label starts at its event and runs to the right. Working from the last event to the
    first, a label is put above every label whose line it would cross.

    Parameters
    ----------
    chosen : DataFrame
        From :func:`choose_events`; a column ``offset`` gives places from the left of the axes.
    per_year : float
        Inches of one year.
    room : float
        Inches from the left end of the axes to the right end of the last label.

    Returns
    -------
    list of EventMark or None
        In the order of `chosen`; lane 0 is next to the axes. None if a word has no room or the
        stack grows too high.
    """
    marks: list[EventMark] = []
    for row in chosen.iloc[::-1].itertuples():
        wide = min(room - row.offset - GAP, 3.0)
        if max(map(text_width, row.name.split())) > wide:
            return None
        lines = tuple(wrap(row.name, wide))
        end = row.start + (max(map(text_width, lines)) + 2 * GAP) / per_year
        lane = max((m.lane + len(m.lines) for m in marks if m.start < end), default=0)
        marks.append(EventMark(row.start, row.stop, row.kind, lines, lane))
    return marks[::-1] if _top(marks) <= MOST_LINES else None


def number_events(chosen: pd.DataFrame) -> list[EventMark]:
    """Give each event a number; numbers that would touch stand in different lanes."""
    marks: list[EventMark] = []
    ends: list[float] = []
    for place, row in enumerate(chosen.itertuples(), start=1):
        half = text_width(str(place)) / 2 + GAP / 2
        lane = next((i for i, end in enumerate(ends) if end <= row.offset - half), len(ends))
        ends[lane : lane + 1] = [row.offset + half]
        marks.append(EventMark(row.start, row.stop, row.kind, (str(place),), lane))
    return marks


def _top(marks: Sequence[EventMark]) -> int:
    return max((mark.lane + len(mark.lines) for mark in marks), default=0)


def draw_events(axes: Axes, marks: Sequence[EventMark], is_numbered: bool) -> None:
    """Draw shocks as shaded years and breaks as dotted lines, with their labels above the axes."""
    height = inches(axes)[1]
    for mark in marks:
        bottom = 0.04 + mark.lane * LINE
        if mark.kind == "shock":
            axes.axvspan(
                mark.start, mark.stop, color=MUTED, alpha=0.13, linewidth=0, zorder=0.5, gid="shock"
            )
        top = bottom if is_numbered else bottom + (len(mark.lines) - 0.1) * LINE
        axes.plot(
            [mark.start, mark.start],
            [0, 1 + top / height],
            transform=axes.get_xaxis_transform(),
            color=MUTED,
            linewidth=1.0,
            linestyle=(0, (1, 1.6)) if mark.kind == "break" else "-",
            clip_on=False,
            zorder=1.2,
            gid=mark.kind,
        )
        axes.annotate(
            "\n".join(mark.lines),
            (mark.start, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0 if is_numbered else 72 * GAP, 72 * bottom),
            textcoords="offset points",
            ha="center" if is_numbered else "left",
            va="bottom",
            color=MUTED,
            linespacing=72 * LINE / (1.2 * SMALL),
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0} if is_numbered else None,
        )


def _key_columns(chosen: pd.DataFrame, width: float) -> list[list[tuple[str, str]]]:
    """Write the key of numbered events, lines of number and text, in two columns of a length."""
    entries = []
    for place, row in enumerate(chosen.itertuples(), start=1):
        year = "" if str(row.first_year) in row.name else f"{row.first_year}: "
        lines = wrap(f"{year}{row.name}", width / 2 - 1.5 * MARGIN - KEY_INDENT)
        numbers = [str(place), *[""] * (len(lines) - 1)]
        entries.append(list(zip(numbers, lines, strict=True)))
    half = sum(map(len, entries)) / 2
    columns: list[list[tuple[str, str]]] = [[], []]
    for entry in entries:
        is_second = bool(columns[1]) or len(columns[0]) + len(entry) / 2 > half
        columns[is_second].extend(entry)
    return columns


def _draw_key(axes: Axes, columns: list[list[tuple[str, str]]], height: float) -> None:
    """Write the key at the foot of the figure, the numbers hanging left of their texts."""
    figure = axes.get_figure()
    for column, lines in enumerate(columns):
        for place, texts in enumerate(lines):
            for text, indent, side in zip(texts, (0.2, KEY_INDENT), ("right", "left"), strict=True):
                figure.text(
                    MARGIN + column * (figure.get_figwidth() - MARGIN) / 2 + indent,
                    MARGIN + height - place * LINE,
                    text,
                    va="top",
                    ha=side,
                    color=MUTED,
                    transform=figure.dpi_scale_trans,
                )


def open_years(
    first: int,
    last: int,
    chosen: pd.DataFrame,
    *,
    title: str,
    note: str = "",
    left: float = 0.6,
    right: float = 0.3,
    fiscal: bool = True,
    width: float = NARROW,
) -> Axes:
    """Open axes over years, with the chosen shocks and breaks marked and named.

    Parameters
    ----------
    first, last : int
        Years at the ends of the axis.
    chosen : DataFrame
        From :func:`choose_events`.
    title, note : str
        What is measured, and how to read the marks.
    left, right : float
        Margins in inches.
    fiscal : bool
        Whether the years are fiscal.
    width : float
        Width of the figure in inches.

    Returns
    -------
    Axes
        A few events are named above the axes; many are numbered, with a key below.
    """
    per_year = (width - left - right) / (last - first + 1)
    chosen = chosen.assign(offset=(chosen["start"] - first + 0.5) * per_year)
    marks = stack_events(chosen, per_year, width - left - MARGIN)
    is_numbered = marks is None
    marks = number_events(chosen) if is_numbered else marks
    columns = _key_columns(chosen, width) if is_numbered else [[]]
    key = max(map(len, columns)) * LINE
    above = _top(marks) * LINE + (0.06 if marks else 0)
    top = above + room_above(title, note, width)
    axes = new_axes(2.75, left, right, top, 0.55 + key + (0.08 if key else 0), width)
    set_years(axes, first, last, "fiscal year (April to March)" if fiscal else "year")
    draw_events(axes, marks, is_numbered)
    set_title(axes, title, note, above)
    _draw_key(axes, columns, key)
    return axes


def close_comparison(
    axes: Axes, term: tuple[int, int], base: int, above: float = 0.24, below: float = 0.36
) -> None:
    """Add what every comparison over years needs: term, base year, zero and numbers.

    Parameters
    ----------
    axes : Axes
    term : tuple of int
        First and last fiscal year of the term.
    base : int
        Base year.
    above, below : float
        Inches kept free over and under what is drawn.
    """
    leave_room(axes, above, below)
    shade_term(axes, term, f"term, {format_years(*term)}")
    zero_line(axes)
    set_numbers(axes, signed=True)
    axes.plot(base, 0, "D", color=INK, markerfacecolor=PAPER, markersize=7, zorder=4)
    axes.annotate(
        "base\nyear",
        (base, 0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=MUTED,
    )
