"""Where a project was: a small Japan, and its prefectures at large, as tiles or by boundaries."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from clusterpolicy.figures import SHADES
from clusterpolicy.page import theme
from clusterpolicy.page.alttext import listed
from clusterpolicy.page.theme import Chart, number
from clusterpolicy.projects.profiles import Profile
from clusterpolicy.wording import format_years

FINEST_DEGREES = 0.015  # two points of a boundary closer than this are one
SMALL_PART = 0.3  # of the largest part of a prefecture: below it, a part does not set the frame
ACCOUNTS = "Prefectural Accounts (Cabinet Office), data/raw"
BOUNDARIES = "MLIT (National Land Numerical Information N03), simplified by SmartNews MRI"


@theme.styled()
def plot_place(
    profile: Profile, outlines: Mapping[str, Sequence[np.ndarray]], *, source: str = ACCOUNTS
) -> Chart:
    """Draw where the project was: a small Japan, and its prefectures at large.

    Parameters
    ----------
    profile : Profile
    outlines : mapping of str to sequence of ndarray
        Outer rings of prefectures by code (``profiles.read_outlines``); without them the
        prefectures are drawn as tiles.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        In each prefecture the share of the targeted industries in its manufacturing.
    """
    table = profile.study.prefectures.merge(profile.weight, on="pref_code", how="left")
    own = table[table["pref_code"].isin(profile.prefectures)]
    height, side = 3.3, 2.35
    figure = Figure(figsize=(theme.WIDTH, height + 0.75))
    total = height + 0.75
    small = figure.add_axes((0.12 / theme.WIDTH, 0.5 / total, side / theme.WIDTH, side / total))
    large = figure.add_axes(
        (
            (side + 0.35) / theme.WIDTH,
            0.12 / total,
            (theme.WIDTH - side - 0.47) / theme.WIDTH,
            height / total,
        )
    )
    for axes in (small, large):
        axes.set_axis_off()
    _draw_japan(small, table)
    if outlines:
        _draw_outlines(large, own, outlines)
        source = f"{source}; boundaries: {BOUNDARIES}"
    else:
        _draw_tiles(large, own)
    title = (
        f"Its industries in the manufacturing of its prefectures, FY{profile.join_year}, percent"
    )
    theme.set_title(large, title, note="" if not _is_doubtful(own) else "hatched: low certainty")
    data = own[["pref_code", "name_en", "name_ja", "value", "certainty"]].reset_index(drop=True)
    theme.require_glyphs(figure)
    return Chart(
        figure,
        alt=_describe_place(profile, data),
        data=data,
        unit="percent of manufacturing product",
        years=format_years(profile.join_year),
        source=source,
    )


def _is_doubtful(own: pd.DataFrame) -> bool:
    return bool((own["certainty"] == "low").any())


def _draw_japan(axes: Axes, table: pd.DataFrame) -> None:
    """Draw all prefectures as small squares, those of the project filled."""
    axes.set(xlim=(0, table["tile_col"].max() + 1), ylim=(table["tile_row"].max() + 1, 0))
    axes.set_aspect("equal")
    for row in table.itertuples():
        look = theme.SOLID if np.isfinite(row.value) else {"facecolor": theme.GRID}
        axes.add_patch(Rectangle((row.tile_col + 0.06, row.tile_row + 0.06), 0.88, 0.88, **look))


def _draw_tiles(axes: Axes, own: pd.DataFrame) -> None:
    """Draw its prefectures as tiles, in their places, each with both names and its share."""
    width, height = theme.inches(axes)
    left, top = own["tile_col"].min(), own["tile_row"].min()
    columns = own["tile_col"].max() - left + 1
    rows = own["tile_row"].max() - top + 1
    side = min(1.05, width / columns, height / rows)
    axes.set(xlim=(0, width), ylim=(height, 0))
    x0 = (width - side * columns) / 2
    y0 = (height - side * rows) / 2
    for row in own.itertuples():
        x, y = x0 + side * (row.tile_col - left), y0 + side * (row.tile_row - top)
        ink, look = _shade(row)
        axes.add_patch(Rectangle((x + 0.02, y + 0.02), side - 0.04, side - 0.04, **look))
        _name_place(axes, (x + side / 2, y + side / 2), row, ink)


def _draw_outlines(
    axes: Axes, own: pd.DataFrame, outlines: Mapping[str, Sequence[np.ndarray]]
) -> None:
    """Draw its prefectures by their boundaries, with what neighbours them in grey."""
    rings = {code: _thinned(outlines[code]) for code in outlines}
    # Far islands would shrink what is to be seen; the small Japan shows where it lies.
    seen = [ring for code in own["pref_code"] for ring in _large(rings[code])]
    low, high = np.vstack(seen).min(axis=0), np.vstack(seen).max(axis=0)
    margin = 0.08 * (high - low).max()
    axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    axes.set_aspect(1 / np.cos(np.radians((low[1] + high[1]) / 2)))
    window = (axes.get_xlim(), axes.get_ylim())
    for code in rings:
        if code not in set(own["pref_code"]):
            for ring in rings[code]:
                if _meets(ring, window):
                    axes.add_patch(
                        Polygon(ring, facecolor=theme.GRID, edgecolor=theme.PAPER, linewidth=0.5)
                    )
    for row in own.itertuples():
        _, look = _shade(row)
        for ring in rings[row.pref_code]:
            if _meets(ring, window):
                axes.add_patch(Polygon(ring, **{**look, "edgecolor": theme.PAPER}))
    for row in own.itertuples():
        ring = rings[row.pref_code][0]
        middle = (ring.min(axis=0) + ring.max(axis=0)) / 2
        value = number(row.value) if np.isfinite(row.value) else "…"
        box = {"facecolor": theme.PAPER, "edgecolor": "none", "pad": 0.4, "alpha": 0.8}
        axes.text(*middle, f"{row.name_en}\n{value}", ha="center", va="center", size=7, bbox=box)


def _thinned(rings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Leave out islets and points that would fall on one another, always keeping the mainland."""
    kept = []
    for ring in rings:
        steps = np.floor(ring / FINEST_DEGREES)
        moved = np.flatnonzero(np.any(np.diff(steps, axis=0, prepend=np.nan), axis=1))
        if len(moved) >= 4 or not kept:
            kept.append(ring[moved] if len(moved) >= 4 else ring)
    return [each for each in kept if len(each) >= 6 or each is kept[0]]


def _large(rings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the parts of a prefecture that are not small beside its largest one."""
    areas = [np.ptp(ring, axis=0).prod() for ring in rings]
    return [ring for ring, area in zip(rings, areas, strict=True) if area > SMALL_PART * max(areas)]


def _meets(ring: np.ndarray, window: tuple[tuple[float, float], tuple[float, float]]) -> bool:
    (left, right), (low, high) = window
    inside = (ring[:, 0] > left) & (ring[:, 0] < right) & (ring[:, 1] > low) & (ring[:, 1] < high)
    return bool(inside.any())


def _shade(row: NamedTuple) -> tuple[str, dict[str, object]]:
    """Return the ink and the ground of a prefecture: the darker, the larger the share."""
    weight = 0.0 if not np.isfinite(row.value) else row.value / 100
    color = SHADES(0.12 + 0.88 * weight)
    look = {"facecolor": color, "edgecolor": theme.MUTED, "linewidth": 0.6}
    if row.certainty == "low":
        look |= {"hatch": "//", "hatchcolor": (0.35, 0.38, 0.42, 0.35), "gid": "low-certainty"}
    return (theme.PAPER if weight > 0.6 else theme.INK), look


def _name_place(axes: Axes, at: tuple[float, float], row: NamedTuple, ink: str) -> None:
    name = row.name_ja if row.name_ja == "北海道" else row.name_ja[:-1]
    value = number(row.value) if np.isfinite(row.value) else "…"
    look = {"ha": "center", "va": "center", "linespacing": 1.25, "size": 8, "color": ink}
    axes.text(*at, f"{name}\n{value}\n{row.name_en}", **look)


def _describe_place(profile: Profile, data: pd.DataFrame) -> str:
    """Say which prefectures are the project's and how much its industries weigh in each."""
    words = [f"{row.name_en} {number(row.value)}" for row in data.sort_values("value").itertuples()]
    certainty = " The record of the project is of low certainty." if _is_doubtful(data) else ""
    return (
        f"Map of {len(data)} of {len(profile.study.prefectures)} prefectures, with the share of "
        f"the targeted industries in their manufacturing, percent: {listed(words)}.{certainty}"
    )
