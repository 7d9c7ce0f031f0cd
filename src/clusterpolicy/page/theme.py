"""How every figure looks, what it hands over, and what refuses it: look, Chart and guards."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from clusterpolicy.wording import format_number

# Importing the package makes its font known, but also makes it the font of every later figure.
with matplotlib.rc_context():
    import matplotlib_fontja  # noqa: F401

# The Latin face comes with matplotlib and the Japanese one with matplotlib-fontja, so the same
# outlines are drawn on every machine.
FONTS = ["DejaVu Sans", "IPAexGothic"]
WIDTH = 7.2  # inches: the text column of a report
# A figure of this width fits a phone of 390 pixels whole, with letters of nine pixels.
NARROW = 5.2
# The gid of a figure whose shape says more than its small letters: pages always show it whole.
WHOLE = "whole"
SMALL, BODY = 9.0, 10.0  # points
LINE = 0.165  # inches from one line of small text to the next
MARGIN = 0.12  # inches that stay free at the edge of a figure

PAPER = "#fcfbf7"  # each figure carries its own light ground into a dark page
INK = "#20252b"
MUTED = "#59626c"
GRID = "#dfddd6"
TERM_SHADE = "#e3ebf3"
# Blue and vermilion of Okabe and Ito, darkened until small text in them reaches 4.5:1 on PAPER.
TARGETED = "#00619a"
OTHER = "#b24a00"

SOLID = {"facecolor": TARGETED, "edgecolor": TARGETED, "linewidth": 0.6}
HATCHED = {"facecolor": PAPER, "edgecolor": MUTED, "hatch": "////", "linewidth": 0.6}
BACKHATCHED = {"facecolor": "#f3d9c4", "edgecolor": OTHER, "hatch": "\\\\", "linewidth": 0.6}
GREY = {"facecolor": MUTED, "edgecolor": MUTED, "linewidth": 0.6}

# A ground of paper behind a text that a line may pass.
PATCH = {"bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}, "zorder": 4}

SETTINGS = {
    "font.family": FONTS,
    "font.size": SMALL,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": SMALL,
    "axes.linewidth": 0.7,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "xtick.major.size": 3,
    "xtick.major.width": 0.7,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
}

# Printed under a figure when the notebook names no source of its own.
POLICY_FACTS = "METI's policy page and the documents listed in data/raw/sources.csv"
OWN_ESTIMATES = "this study, from the Prefectural Accounts (Cabinet Office) and METI's policy page"
GROUPS = {
    "targeted": {"color": TARGETED, "marker": "o", "linestyle": "-"},
    "other": {
        "color": OTHER,
        "marker": "s",
        "linestyle": (0, (5, 2)),
        "markerfacecolor": PAPER,
    },
}


class GlyphMissing(ValueError):
    """A text of a figure holds a character that none of its fonts can draw."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw with this project's settings, whatever the session has set, and leave no trace.

    Used as a decorator of the drawing functions. Starting from matplotlib's own defaults keeps
    the bytes of a figure independent of a reader's matplotlibrc or notebook backend.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(sns.axes_style("ticks"))
        matplotlib.rcParams.update(SETTINGS)
        yield


def new_axes(
    height: float,
    left: float = 0.6,
    right: float = 0.3,
    top: float = 0.45,
    bottom: float = 0.55,
    width: float = WIDTH,
) -> Axes:
    """Open a figure with one set of axes, all measured in inches.

    Parameters
    ----------
    height : float
        Height of the axes; the figure grows by the margins.
    left, right, top, bottom : float
        Margins around the axes.
    width : float
        Width of the figure.

    Returns
    -------
    Axes
        On a figure of its own that pyplot knows nothing about.
    """
    total = height + top + bottom
    figure = Figure(figsize=(width, total))
    axes = figure.add_axes(
        (left / width, bottom / total, (width - left - right) / width, height / total)
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def inches(axes: Axes) -> tuple[float, float]:
    """Return width and height of the axes in inches."""
    box = axes.get_position()
    width, height = axes.get_figure().get_size_inches()
    return box.width * width, box.height * height


def inches_up(axes: Axes) -> float:
    """Return the height of the top of the axes above the foot of the figure, in inches."""
    return axes.get_position().y1 * axes.get_figure().get_size_inches()[1]


@cache
def text_width(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Measure one line of text, in inches, as its outlines will stand in an SVG."""
    # The Japanese face has no bold, and to ask for one is written to standard error.
    font = FontProperties(
        family=FONTS[: None if weight == "normal" else 1], size=size, weight=weight
    )
    with _refusing_boxes([text]):
        return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def strong(text: str) -> dict[str, object]:
    """Return the look of bold text; the Japanese face has one weight only, so it stays as it is."""
    return {"weight": "bold", "family": FONTS[:1]} if all(ord(c) < 0x2E80 for c in text) else {}


def wrap(text: str, width: float, size: float = SMALL, weight: str = "normal") -> list[str]:
    """Break a text into lines no wider than `width` inches.

    Breaks between words, and between any two characters of a word that is too wide by itself:
    Japanese sets no blanks.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size, weight) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and text_width(lines[-1] + character, size, weight) > width:
                lines.append("")
            lines[-1] += character
    return lines


def number(value: float, decimals: int = 1, signed: bool = False) -> str:
    """Write a number as `wording.format_number` does, and say so where there is none."""
    return "not defined" if math.isnan(value) else format_number(value, decimals, signed)


def plain(value: float) -> str:
    """Write a count without decimals and any other number with one."""
    return number(value, 0 if float(value).is_integer() else 1)


def larger_unit(unit: str, largest: float) -> tuple[str, float]:
    """Choose the unit to draw in, so that an axis carries no row of zeros.

    Returns
    -------
    tuple of str and float
        The unit in words, and how many of `unit` it holds.
    """
    if largest < 1e6:
        return unit, 1.0
    if unit.startswith("million "):
        return unit.replace("million", "trillion", 1), 1e6
    return f"million {unit}", 1e6


def room_above(title: str, note: str = "", width: float = WIDTH) -> float:
    """Return the inches above the axes that :func:`set_title` needs."""
    return 0.26 + 1.15 * LINE * len(_title_lines(title, note, width))


def _title_lines(title: str, note: str, width: float) -> list[tuple[str, bool]]:
    """Break title and note into lines, each with whether it belongs to the title."""
    room = width - 2 * MARGIN
    weight = strong(title).get("weight", "normal")
    lines = [(line, True) for line in wrap(title, room, BODY, weight)]
    return lines + [(line, False) for line in _note_lines(note, room)]


def _note_lines(note: str, room: float) -> list[str]:
    """Break a note at its semicolons where that is possible, else between words."""
    *parts, last = note.split("; ")
    lines: list[str] = []
    for part in [*(f"{part};" for part in parts), last]:
        longer = f"{lines[-1]} {part}" if lines else part
        if lines and text_width(longer) <= room:
            lines[-1] = longer
        else:
            lines += wrap(part, room)
    return lines if note else []


def set_title(axes: Axes, title: str, note: str = "", above: float = 0.0) -> None:
    """Write what is measured, flat over the axes, and below it how to read the marks.

    Parameters
    ----------
    axes : Axes
    title, note : str
        Broken into lines where the figure ends; :func:`room_above` says what room they need.
    above : float
        Inches between axes and the lowest line.
    """
    figure = axes.get_figure()
    y = inches_up(axes) + above + 0.1
    for line, is_title in reversed(_title_lines(title, note, figure.get_figwidth())):
        look = {"size": BODY, **strong(line)} if is_title else {"color": MUTED}
        figure.text(MARGIN, y, line, va="bottom", transform=figure.dpi_scale_trans, **look)
        y += 1.15 * LINE


def set_numbers(axes: Axes, axis: str = "y", signed: bool = False) -> None:
    """Write the ticks of an axis with the project's numbers, over a light grid."""
    scale = axes.yaxis if axis == "y" else axes.xaxis
    ticks = scale.get_major_locator().tick_values(*scale.get_view_interval())
    low, high = sorted(scale.get_view_interval())
    ticks = [tick for tick in ticks if low <= tick <= high]
    decimals = next(n for n in range(9) if all(abs(round(tick, n) - tick) < 1e-9 for tick in ticks))
    scale.set_ticks(ticks, [number(tick, decimals, signed) for tick in ticks])
    axes.grid(axis=axis)


def zero_line(axes: Axes, axis: str = "y") -> None:
    """Draw the line of no difference."""
    draw = axes.axhline if axis == "y" else axes.axvline
    draw(0, color=INK, linewidth=0.9, zorder=1.5, gid="zero-line")


def leave_room(axes: Axes, above: float = 0.0, below: float = 0.0) -> None:
    """Widen the y axis so that strips at its ends stay free for names.

    Parameters
    ----------
    axes : Axes
    above, below : float
        Heights of the strips in inches.
    """
    low, high = axes.get_ylim()
    unit = (high - low) / (inches(axes)[1] - above - below)
    axes.set_ylim(low - below * unit, high + above * unit)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move positions apart until neighbours are `gap` away, around their common centre.

    Returns
    -------
    list of float
        In the order given.
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    groups: list[list[int]] = []
    for place in order:
        groups.append([place])
        while len(groups) > 1 and _low(groups[-1], positions, gap) < (
            _low(groups[-2], positions, gap) + len(groups[-2]) * gap
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = [0.0] * len(positions)
    for group in groups:
        for rank, place in enumerate(group):
            moved[place] = _low(group, positions, gap) + rank * gap
    return moved


def _low(group: list[int], positions: Sequence[float], gap: float) -> float:
    centre = sum(positions[place] for place in group) / len(group)
    return centre - (len(group) - 1) * gap / 2


def label_ends(axes: Axes, x: float, labels: Sequence[tuple[float, str, str]]) -> None:
    """Name lines at their right end, moved apart where they would touch.

    Parameters
    ----------
    axes : Axes
        With its final limits.
    x : float
        Where the lines end.
    labels : sequence of (y, text, colour)
        One per line.
    """
    low, high = axes.get_ylim()
    gap = 1.05 * LINE / inches(axes)[1] * (high - low)
    for (_, text, color), y in zip(labels, spread([y for y, _, _ in labels], gap), strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=color,
            annotation_clip=False,
            **strong(text),
        )


def row_text(axes: Axes, x: float, y: float, text: str, **look: object) -> None:
    """Write text at `x` inches from the left end of the axes, in line with row `y`."""
    axes.annotate(
        text,
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(x * 72, 0),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
        linespacing=1.15,
        **look,
    )


def excludes_zero(low: float, high: float) -> bool:
    """Say whether an interval leaves out zero; an undefined one does not."""
    return bool(low > 0 or high < 0)


def axis_limit(data: pd.DataFrame) -> float:
    """Say how far from zero an axis of estimates and intervals goes at most.

    Two and a half times as far as the interval in the middle of all, and a fifth beyond the
    largest estimate: a few intervals that say next to nothing, or have no end, would otherwise
    shrink all others to dots. What goes further is cut, and marked by :func:`draw_cut`; for less
    than a fifth more the axis makes room, since a cut that saves no room only costs reading.

    Parameters
    ----------
    data : DataFrame
        ``estimate``, ``low`` and ``high``, and ``band_low`` and ``band_high`` if there is a band;
        ends may be infinite or missing.
    """
    largest = data["estimate"].abs().max()
    reach = data[["low", "high"]].abs().replace(np.inf, np.nan).max(axis=1).median()
    found = [value for value in (2.5 * reach, 1.2 * largest) if value > 0]
    limit = max(found, default=1.0)
    ends = data[[name for name in ("low", "high", "band_low", "band_high") if name in data]].abs()
    furthest = ends.max(axis=None)
    return float(furthest) if limit < furthest <= 1.2 * limit else float(limit)


def write_end(value: float) -> str:
    """Write the end of an interval that an axis cuts off, in few characters."""
    return number(value, 0 if abs(value) >= 10 else 1, signed=True)


def draw_cut(axes: Axes, x: float, y: float, marker: str, is_filled: bool = True) -> None:
    """Draw the arrow that says that something goes on beyond the axis."""
    axes.plot(
        x,
        y,
        marker,
        color=TARGETED,
        markerfacecolor=TARGETED if is_filled else PAPER,
        markeredgewidth=1.1,
        markersize=6.5,
        clip_on=False,
        zorder=3,
        gid="cut",
    )


def draw_interval(
    axes: Axes, y: float, value: float, low: float, high: float, limit: float = math.inf
) -> None:
    """Draw an estimate and its interval in a row; the dot is filled if zero is outside.

    Beyond `limit` the line is cut, with an arrow at its end.
    """
    axes.hlines(y, max(low, -limit), min(high, limit), color=TARGETED, linewidth=2.2)
    for end, marker in ((low, "<"), (high, ">")):
        if abs(end) > limit:
            draw_cut(axes, math.copysign(limit, end), y, marker)
    axes.plot(
        value,
        y,
        "o",
        color=TARGETED,
        markerfacecolor=TARGETED if excludes_zero(low, high) else PAPER,
        markeredgewidth=1.6,
        markersize=7,
    )


class Row(NamedTuple):
    """One row of an interval chart: its name, what is printed beside it, and lines below."""

    name: str
    figures: str = ""
    below: str = ""


def open_rows(rows: Sequence[Row], title: str, note: str) -> tuple[Axes, list[float]]:
    """Open axes for one interval a row, the name and numbers of each row above its interval.

    So the intervals have the whole width of a figure that fits a phone.

    Parameters
    ----------
    rows : sequence of Row
        A row with lines `below` has them in place of an interval.
    title, note : str
        What is measured, and how to read the marks.

    Returns
    -------
    Axes
        Its y axis is in inches, downwards.
    list of float
        Where the interval of each row is drawn.
    """
    inner, bar, gap, indent = NARROW - 2 * MARGIN, 0.24, 0.1, 0.22
    heads, feet, heights = [], [], []
    for row in rows:
        heads.append(wrap(row.name, inner - text_width(row.figures) - 0.2))
        feet.append(wrap(row.below, inner - indent) if row.below else [])
        heights.append(len(heads[-1]) * LINE + (len(feet[-1]) * LINE if feet[-1] else bar) + gap)
    axes = new_axes(sum(heights), indent, indent, room_above(title, note, NARROW), width=NARROW)
    axes.set(ylim=(sum(heights), 0), yticks=[])
    top, places, strips = 0.0, [], []
    for row, head, foot, height in zip(rows, heads, feet, heights, strict=True):
        middle = top + gap / 2 + len(head) * LINE / 2
        row_text(axes, MARGIN - indent, middle, "\n".join(head))
        # Numbers stand in the first line of a name that has several.
        first = top + gap / 2 + LINE / 2
        row_text(axes, inner + MARGIN - indent, first, row.figures, ha="right")
        low = top + gap / 2 + len(head) * LINE
        if foot:
            row_text(axes, 0.0, low + len(foot) * LINE / 2, "\n".join(foot))
        strips.append((top, top + height if foot else low))
        places.append(low + bar / 2)
        top += height
    _cover(axes, strips)
    set_title(axes, title, note)
    return axes, places


def _cover(axes: Axes, strips: Sequence[tuple[float, float]]) -> None:
    """Lay paper over the lines of the axes where text stands, as one path for all strips."""
    corners = [
        (x, y) for low, high in strips for x, y in ((0, low), (1, low), (1, high), (0, high))
    ]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO] * len(strips)
    look = {"facecolor": PAPER, "edgecolor": "none", "zorder": 1.7}
    axes.add_patch(PathPatch(Path(corners, codes), transform=axes.get_yaxis_transform(), **look))


def draw_key(axes: Axes, entries: Mapping[str, Mapping[str, object]], above: float = 0.0) -> None:
    """Explain fills: a small box and a word for each, in the line under the title.

    Parameters
    ----------
    axes : Axes
    entries : mapping
        Look of the box by its word.
    above : float
        Inches between axes and line.
    """
    figure = axes.get_figure()
    y = inches_up(axes) + above + 0.1
    x = MARGIN
    for word, look in entries.items():
        box = Rectangle((x, y + 0.01), 0.17, 0.11, transform=figure.dpi_scale_trans, **look)
        figure.add_artist(box)
        figure.text(x + 0.24, y, word, va="bottom", color=MUTED, transform=figure.dpi_scale_trans)
        x += 0.24 + text_width(word) + 0.25


def require_glyphs(figure: Figure) -> None:
    """Lay the figure out once, and refuse it if a font lacks one of its characters.

    Raises
    ------
    GlyphMissing
        Naming the texts that hold the character.
    """
    with _refusing_boxes([text.get_text() for text in figure.findobj(Text)]):
        figure.draw_without_rendering()


@contextmanager
def _refusing_boxes(texts: Sequence[str]) -> Iterator[None]:
    """Turn matplotlib's warning that it draws a box for a character into an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph .* missing from font", category=UserWarning)
        try:
            yield
        except UserWarning as warning:
            code = int(str(warning).split()[1])
            raise GlyphMissing(
                f"figure: found U+{code:04X} in {[text for text in texts if chr(code) in text]!r}, "
                f"which {' and '.join(FONTS)} cannot draw: write it with another character"
            ) from warning


@dataclass(frozen=True)
class Chart:
    """One drawing and everything a reader without the drawing needs.

    Attributes
    ----------
    figure : Figure
        Laid out; saving it twice gives the same bytes.
    alt : str
        What one notices, from the numbers drawn; at least 20 characters.
    data : DataFrame
        The numbers drawn.
    unit, years, source : str
        Ready to print under the drawing.
    """

    figure: Figure
    alt: str
    data: pd.DataFrame
    unit: str
    years: str
    source: str

    def __post_init__(self) -> None:
        if len(self.alt) < 20:
            raise ValueError(
                f"chart: found the alt text {self.alt!r}: say in 20 characters or more what a "
                "reader would notice"
            )


def require(frame: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    """Raise ValueError unless the table has rows and these columns."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{where}: the table has no column {', '.join(map(repr, missing))}; it has "
            f"{list(frame.columns)}: pass the table its docstring names"
        )
    if frame.empty:
        raise ValueError(f"{where}: found a table without rows: pass at least one")


def single(frame: pd.DataFrame, column: str, where: str) -> str:
    """Return the one value of a column."""
    found = sorted(frame[column].dropna().astype(str).unique())
    if len(found) != 1:
        raise ValueError(f"{where}: found {found} in {column!r}: draw one at a time")
    return found[0]


def close_chart(
    axes: Axes, *, alt: str, data: pd.DataFrame, unit: str, years: str, source: str
) -> Chart:
    """Close a drawing: check its characters and hand it over with its numbers."""
    figure = axes.get_figure()
    require_glyphs(figure)
    return Chart(figure, alt, data.reset_index(drop=True), unit, years, source)
