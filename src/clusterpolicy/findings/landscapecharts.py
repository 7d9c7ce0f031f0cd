"""The quadrant of all cells as a grid of counts: as many cells, a tenth of the marks."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from clusterpolicy.cells import landscape
from clusterpolicy.cells.landscape import Landscape
from clusterpolicy.figures import SHADES
from clusterpolicy.findings.landscapewords import SOURCE, describe_landscape
from clusterpolicy.page import theme
from clusterpolicy.page.theme import Chart
from clusterpolicy.wording import format_years

QUOTIENTS = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
GROWTH = (-8, -6, -4, -2, 0, 2, 4, 6, 8)


@theme.styled()
def plot_landscape(land: Landscape, *, source: str = SOURCE) -> Chart:
    """Draw how many cells have which strength at the start and which growth since.

    Parameters
    ----------
    land : Landscape
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        Tiles with the number of cells; the outermost hold whatever lies beyond. Large marks
        are the medians of targeted and other cells. Its data are the counts by quadrant; all
        figures by cell are in the records.
    """
    cells = land.cells.dropna(subset=["lq_shrunk", "excess_shrunk"])
    theme.require(cells, ["lq_shrunk", "excess_shrunk", "is_targeted"], "plot_landscape")
    title = "Growth beyond the same industry elsewhere, percent a year"
    note = "number of cells; circle: median of targeted, square: other"
    above = theme.room_above(title, note, theme.NARROW)
    axes = theme.new_axes(2.7, 0.5, 0.2, above, width=theme.NARROW)
    _draw_tiles(axes, cells)
    group = cells["is_targeted"].map({True: "targeted", False: "other"})
    medians = cells.groupby(group)[["lq_shrunk", "excess_shrunk"]].median()
    for name, row in medians.iterrows():
        look = {key: theme.GROUPS[name][key] for key in ("color", "marker")}
        edge = {"markeredgecolor": theme.PAPER, "markeredgewidth": 1.5, "markersize": 11}
        axes.plot(*_place(row), linestyle="none", gid=name, **look, **edge)
    table = landscape.quadrants(land)
    theme.set_title(axes, title, note)
    return theme.close_chart(
        axes,
        alt=describe_landscape(table, medians),
        data=table,
        unit="cells; location quotient in the first year, growth in percent a year, both shrunk",
        years=format_years(*land.years),
        source=source,
    )


def _draw_tiles(axes: Axes, cells: pd.DataFrame) -> None:
    """Draw the grid: equal tiles, whatever span of figures each holds."""
    inner = [np.array(QUOTIENTS[1:-1]), np.array(GROWTH[1:-1])]
    columns = np.digitize(cells["lq_shrunk"], inner[0])
    rows = np.digitize(cells["excess_shrunk"], inner[1])
    counts = np.zeros((len(GROWTH) - 1, len(QUOTIENTS) - 1), dtype=int)
    np.add.at(counts, (rows, columns), 1)
    scale = Normalize(0, counts.max())
    for row, column in zip(*counts.nonzero(), strict=True):
        shade = SHADES(scale(counts[row, column]))
        tile = Rectangle(
            (column, row), 1, 1, facecolor=shade, linewidth=0, gid="tile", clip_on=False
        )
        axes.add_patch(tile)
        ink = theme.PAPER if scale(counts[row, column]) > 0.5 else theme.INK
        axes.text(column + 0.05, row + 0.5, counts[row, column], color=ink, va="center")
    axes.set(xlim=(0, len(QUOTIENTS) - 1), ylim=(0, len(GROWTH) - 1))
    axes.axvline(QUOTIENTS.index(1), color=theme.INK, linewidth=0.9)
    axes.axhline(GROWTH.index(0), color=theme.INK, linewidth=0.9)
    inner_columns, inner_rows = range(1, len(QUOTIENTS) - 1), range(1, len(GROWTH) - 1)
    axes.set_xticks(inner_columns, [f"{QUOTIENTS[place]:g}" for place in inner_columns])
    axes.set_yticks(inner_rows, [theme.number(GROWTH[place], 0, True) for place in inner_rows])
    axes.set_xlabel("location quotient at the start (1 = as the nation)")


def _place(row: pd.Series) -> tuple[float, float]:
    """Put a pair of figures on the grid, between the edges of its tile."""
    return (
        float(np.interp(np.log(row["lq_shrunk"]), np.log(QUOTIENTS), range(len(QUOTIENTS)))),
        float(np.interp(row["excess_shrunk"], GROWTH, range(len(GROWTH)))),
    )
