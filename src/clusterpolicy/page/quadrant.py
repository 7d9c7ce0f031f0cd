"""The quadrant of cells: strength at the start against growth, with the names of the extremes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from clusterpolicy.clusters import CELL
from clusterpolicy.page import alttext, theme
from clusterpolicy.page.theme import Chart, number

# Half the length of the stroke behind a mark, as a share of its location quotient: a few hundredths
# of an inch would show, and a stroke of no length is not printed (PDF gives it only round caps).
STROKE = 0.002
DIGITS = 3  # significant ones: as many as the accounts carry for a small cell
QUADRANT_NOTE = "circles: targeted, squares: other; large: medians; arrows: off the scale"


@theme.styled()
def plot_quadrant(
    cells: pd.DataFrame,
    growth_label: str = "growth, percent",
    *,
    years: str = "",
    source: str = theme.OWN_ESTIMATES,
) -> Chart:
    """Draw the strength of cells against their growth.

    Parameters
    ----------
    cells : DataFrame
        One row per cell: ``label`` in words, ``location_quotient`` (1 = as in the nation),
        ``growth`` in percent, ``is_targeted``; if ``low`` and ``high`` are there, they are drawn
        as the interval of growth.
    growth_label : str
        Growth in words, with its unit and years.
    years, source : str
        Ready to print.

    Returns
    -------
    Chart
        With the median of both groups, and the names of the cells furthest out.

    Raises
    ------
    ValueError
        If `cells` is empty, lacks a column, or has a location quotient that is not above zero.
    """
    where = "plot_quadrant"
    columns = ["label", "location_quotient", "growth", "is_targeted"]
    theme.require(cells, columns, where)
    if not (cells["location_quotient"] > 0).all():
        raise ValueError(
            f"{where}: found a location quotient of {cells['location_quotient'].min()}: the axis "
            "is logarithmic, leave out cells without product"
        )
    columns += [name for name in ("low", "high", *CELL) if name in cells]
    data = _round(cells[columns].dropna().reset_index(drop=True))
    title = growth_label[0].upper() + growth_label[1:]
    above = theme.room_above(title, QUADRANT_NOTE, theme.NARROW)
    axes = theme.new_axes(3.7, left=0.62, right=0.2, top=above, width=theme.NARROW)
    medians = _draw_cells(axes, data)
    extremes = _label_extremes(axes, data)
    theme.set_title(axes, title, QUADRANT_NOTE)
    return theme.close_chart(
        axes,
        alt=alttext.describe_quadrant(data, medians, extremes),
        data=_write_short(data),
        unit=f"location quotient; {growth_label}",
        years=years,
        source=source,
    )


def _round(data: pd.DataFrame) -> pd.DataFrame:
    """Keep what can be read off: the page carries every cell, and most digits are noise."""
    numbers = data.select_dtypes("float")
    with np.errstate(divide="ignore"):
        places = DIGITS - 1 - np.floor(np.log10(numbers.abs()))
    scale = 10.0 ** places.where(np.isfinite(places), 0).clip(lower=0)
    return data.assign(**((numbers * scale).round() / scale))


def _write_short(data: pd.DataFrame) -> pd.DataFrame:
    """Write the cells with 1 and 0 for targeted, and codes or names that need no quotes in a CSV.

    Codes where they are known: five hundred names would be a third of what they name.
    """
    if {*CELL} <= {*data}:
        rest = data.columns.difference([*CELL, "label"], sort=False)
        return data.assign(is_targeted=data["is_targeted"].astype(int))[[*CELL, *rest]]
    label = data["label"].str.replace(", ", "; ")
    return data.assign(label=label, is_targeted=data["is_targeted"].astype(int))


def _draw_cells(axes: Axes, data: pd.DataFrame) -> pd.DataFrame:
    """Draw the cells and the medians of both groups, and return the medians."""
    axes.set_xscale("log")
    axes.axvline(1, color=theme.INK, linewidth=0.9)
    theme.zero_line(axes)
    medians = {}
    for group, is_targeted in (("other", False), ("targeted", True)):
        rows = data[data["is_targeted"] == is_targeted]
        if rows.empty:
            continue
        look = {"color": theme.GROUPS[group]["color"], "marker": theme.GROUPS[group]["marker"]}
        _draw_dots(axes, rows, group)
        middle = rows[["location_quotient", "growth"]].median()
        axes.plot(
            *middle,
            markersize=11,
            markeredgecolor=theme.PAPER,
            markeredgewidth=1.5,
            zorder=5,
            **look,
        )
        medians[group] = {**middle, "cells": len(rows)}
    low, high = data["location_quotient"].min(), data["location_quotient"].max()
    ticks = [
        tick
        for tick in (0.01, 0.03, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16)
        if low / 1.5 < tick < high * 1.5
    ]
    axes.set_xlim(low / 1.25, high * 2.5)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("location quotient (logarithmic; 1 = as strong as in the nation)")
    _mark_outside(axes, data)
    theme.set_numbers(axes, signed=True)
    return pd.DataFrame(medians).T


def _draw_dots(axes: Axes, rows: pd.DataFrame, group: str) -> None:
    """Draw the cells of a group as one path of the shortest strokes, whose caps are the marks.

    Hundreds of markers, each referred to by itself, would be a tenth of the page.
    """
    points = rows[["location_quotient", "growth"]].to_numpy().repeat(2, axis=0)
    points[0::2, 0] *= 1 - STROKE
    points[1::2, 0] *= 1 + STROKE
    path = Path(points, [Path.MOVETO, Path.LINETO] * len(rows))
    path.should_simplify = False
    dots = PathPatch(
        path,
        fill=False,
        edgecolor=theme.GROUPS[group]["color"],
        capstyle="round" if group == "targeted" else "projecting",
        linewidth=3.8 if group == "targeted" else 3.0,
        alpha=0.55,
        gid=group,
    )
    axes.add_patch(dots)
    axes.update_datalim(points)
    axes.autoscale_view()


def _mark_outside(axes: Axes, data: pd.DataFrame) -> None:
    """Keep the y axis to all but the furthest cells, and show those as arrows at its ends."""
    low, high = data["growth"].quantile([0.01, 0.99])
    margin = 0.25 * (high - low) or 1.0
    low, high = (
        max(low - margin, data["growth"].min() - margin),
        min(high + margin, data["growth"].max() + margin),
    )
    axes.set_ylim(min(low, 0), max(high, 0))
    for is_outside, end, marker in (
        (data["growth"] < low, low, "v"),
        (data["growth"] > high, high, "^"),
    ):
        for row in data[is_outside].itertuples():
            color = theme.GROUPS["targeted" if row.is_targeted else "other"]["color"]
            axes.plot(row.location_quotient, end, marker, color=color, clip_on=False, gid="outside")


def _label_extremes(axes: Axes, data: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """Name the cells that grow most, shrink most and are strongest, where a name has room."""
    by_growth = data.sort_values("growth")
    strongest = data.nlargest(most, "location_quotient")
    chosen = pd.concat([by_growth.tail(most)[::-1], by_growth.head(most), strongest])
    return name_cells(axes, chosen[~chosen.index.duplicated()], data)


def name_cells(axes: Axes, chosen: pd.DataFrame, data: pd.DataFrame) -> pd.DataFrame:
    """Name cells where a name has room, and return those that are named.

    Parameters
    ----------
    axes : Axes
        With its final limits.
    chosen : DataFrame
        Rows of `data` to name, the most important first.
    data : DataFrame
        All cells that are drawn, as :func:`plot_quadrant` takes them.
    """
    width, height = theme.inches(axes)
    to_inches = axes.transData + axes.transAxes.inverted() + Affine2D().scale(width, height)
    low, high = axes.get_ylim()
    heights = data["growth"].clip(low, high)
    points = to_inches.transform(np.column_stack([data["location_quotient"], heights]))
    # A name on a line reads as struck out: the two lines count as rows of points.
    across, up = np.arange(0, width, 0.1), np.arange(0, height, 0.1)
    x_one, y_zero = to_inches.transform((1, 0))
    points = np.vstack(
        [
            points,
            np.column_stack([across, np.full_like(across, y_zero)]),
            np.column_stack([np.full_like(up, x_one), up]),
        ]
    )
    taken: list[tuple[float, ...]] = []
    named = []
    for row in chosen.itertuples():
        is_outside = not low <= row.growth <= high
        text = f"{row.label} ({number(row.growth, 0, signed=True)})" if is_outside else row.label
        box = _find_room(row.Index, points, theme.text_width(text), (width, height), taken)
        if box is None:
            continue
        taken.append(box)
        named.append(row.Index)
        if "low" in data:
            axes.vlines(row.location_quotient, row.low, row.high, color=theme.MUTED, linewidth=1)
        axes.annotate(
            text,
            (box[0] / width, (box[1] + box[3]) / 2 / height),
            xycoords="axes fraction",
            va="center",
            annotation_clip=False,
            bbox={"facecolor": theme.PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
            zorder=6,
        )
    return chosen.loc[named]


def _find_room(
    place: int,
    points: np.ndarray,
    wide: float,
    size: tuple[float, float],
    taken: Sequence[tuple[float, ...]],
) -> tuple[float, ...] | None:
    """Find the box beside a point that covers the fewest other points, all in inches.

    Returns
    -------
    tuple of float or None
        Left, lower, right and upper end; None if every box leaves the axes or meets another name.
    """
    x, y = points[place]
    half = theme.LINE / 2
    middle = min(max(y, half), size[1] - half)
    best, fewest = None, len(points) + 1
    for left, centre in (
        (x + 0.08, middle),
        (x - 0.08 - wide, middle),
        *((x + shift * wide, y + side * 0.15) for side in (1, -1) for shift in (-0.5, 0, -1)),
    ):
        box = left, centre - half, left + wide, centre + half
        is_inside = box[0] >= 0 and box[2] <= size[0] + 0.2 and box[1] >= 0 and box[3] <= size[1]
        if not is_inside or any(_touch(box, other) for other in taken):
            continue
        covered = ((points >= box[:2]) & (points <= box[2:])).all(axis=1).sum()
        if covered < fewest:
            best, fewest = box, covered
    return best


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    apart = one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
    return not apart
