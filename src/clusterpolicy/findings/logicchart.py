"""The logic model drawn: the steps from money to aim, each as dark as it is well supported."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from clusterpolicy.figures import SHADES, Chart
from clusterpolicy.page import theme

HIGHEST_GRADE = 5
BOX = 0.34  # inches: height of a step
STEP = 0.62  # inches from one level to the next
CHAIN = 4.8  # inches: width of the chain; its words stand to the right
WORDS = 0.4  # inches kept free at the left for the words of the first arrow
LIGHTEST = 0.45  # of the shades: an arrow of grade 1 still stands out at 3:1 from the paper
UNTESTED = (0, (3, 2))


@theme.styled()
def plot_logic_model(steps: pd.DataFrame, *, source: str = theme.POLICY_FACTS) -> Chart:
    """Draw how the policy was meant to work, and how far each step is supported.

    Parameters
    ----------
    steps : DataFrame
        From ``intentions.judge_steps``: ``from_step``, ``to_step``, ``how_judged``, ``grade``, and
        how many phrases were found how.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        One arrow per step, from top to bottom: the darker, the higher the grade of its best
        evidence; dashed where none has a grade.

    Raises
    ------
    ValueError
        If `steps` is empty, lacks a column, or runs in a circle.
    """
    counts = ["n_achieved", "n_supported", "n_run", "n_confirmed", "grade"]
    columns = ["from_step", "to_step", "how_judged", *counts]
    theme.require(steps, columns, "plot_logic_model")
    data = steps[columns].reset_index(drop=True)
    level = _levels(data)
    height = max(level.values()) * STEP + BOX
    right = theme.WIDTH - theme.MARGIN - CHAIN
    axes = theme.new_axes(height, theme.MARGIN, right, top=0.62, bottom=theme.MARGIN)
    axes.set(xlim=(0, CHAIN), ylim=(height, 0), xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    places = _places(level)
    for row in data.itertuples():
        _draw_step(axes, row, places, level)
    for name, (left, top, width) in places.items():
        axes.add_patch(
            FancyBboxPatch(
                (left, top),
                width,
                BOX,
                boxstyle="round,pad=0,rounding_size=0.05",
                facecolor="#ffffff",
                edgecolor=theme.MUTED,
                linewidth=0.8,
                zorder=3,
            )
        )
        axes.text(left + width / 2, top + BOX / 2, name, ha="center", va="center", zorder=4)
    note = "the darker the arrow, the better the evidence; dashed: no graded evidence"
    theme.set_title(axes, "How the policy was meant to work", note)
    return theme.close_chart(
        axes,
        alt=_describe(data),
        data=data,
        unit="grade of the best evidence for each step, from 0 to 5",
        years="",
        source=source,
    )


def _levels(data: pd.DataFrame) -> dict[str, int]:
    """Return how many steps lie before each idea, along the longest way to it."""
    level = dict.fromkeys([*data["from_step"], *data["to_step"]], 0)
    for _ in range(len(level)):
        moved = False
        for row in data.itertuples():
            if level[row.to_step] <= level[row.from_step]:
                level[row.to_step] = level[row.from_step] + 1
                moved = True
        if not moved:
            return level
    raise ValueError("plot_logic_model: the steps run in a circle: let each lead to a later idea")


def _places(level: dict[str, int]) -> dict[str, tuple[float, float, float]]:
    """Return left, top and width of each box; those of one level stand side by side."""
    places = {}
    for depth in sorted(set(level.values())):
        names = [name for name, each in level.items() if each == depth]
        widths = [theme.text_width(name) + 0.24 for name in names]
        gap = (CHAIN - WORDS - 0.45 - sum(widths)) / (len(names) + 1)
        left = WORDS + gap
        for name, width in zip(names, widths, strict=True):
            places[name] = left, depth * STEP, width
            left += width + gap
    return places


def _draw_step(axes: Axes, row, places: dict, level: dict[str, int]) -> None:
    (left, top, width), (to_left, to_top, to_width) = places[row.from_step], places[row.to_step]
    look = {
        "arrowstyle": "-|>,head_length=5,head_width=3",
        "color": SHADES(LIGHTEST + (1 - LIGHTEST) * row.grade / HIGHEST_GRADE)
        if row.grade
        else theme.MUTED,
        "linestyle": "-" if row.grade else UNTESTED,
        "linewidth": 1.2 + row.grade,
        "shrinkA": 0,
        "shrinkB": 0,
        "zorder": 2,
        "gid": "step" if row.grade else "untested",
    }
    count = _count(row)
    if level[row.to_step] - level[row.from_step] == 1:
        ends = (left + width / 2, top + BOX), (to_left + to_width / 2, to_top)
        axes.add_patch(FancyArrowPatch(*ends, **look))
        y = top + BOX + (STEP - BOX) / 2
        x, to_x = left + width / 2, to_left + to_width / 2
        is_left = x < to_x  # of two that lead to one box: its words stand outside
        axes.text(
            (x + to_x) / 2 + (-0.15 if is_left else 0.15),
            y,
            count,
            ha="right" if is_left else "left",
            va="center",
            color=theme.MUTED,
        )
        return
    # A way round the steps between: out to the right, down, and back.
    edge = CHAIN - 0.12
    y, to_y = top + BOX / 2, to_top + BOX / 2
    line = {key: look[key] for key in ("color", "linestyle", "linewidth", "zorder")}
    axes.plot([left + width, edge, edge], [y, y, to_y], **line, gid="way-round")
    axes.add_patch(FancyArrowPatch((edge, to_y), (to_left + to_width, to_y), **look))
    room = theme.WIDTH - CHAIN - 2 * theme.MARGIN - 0.1
    words = theme.wrap(f"{row.how_judged}: {count}", room)
    theme.row_text(axes, CHAIN + 0.1, (y + to_y) / 2, "\n".join(words), color=theme.MUTED)


def _count(row) -> str:
    """Say what was found of the phrases of a step, list by list."""
    parts = []
    if row.n_achieved:
        parts.append(f"grade {row.grade}; {row.n_supported} of {row.n_achieved} supported")
    if row.n_run:
        parts.append(f"{row.n_confirmed} of {row.n_run} confirmed")
    return "; ".join(parts)


def _describe(data: pd.DataFrame) -> str:
    tested = data[data["grade"] > 0]
    best = data.loc[data["grade"].idxmax()]
    return (
        f"{len(data)} steps from money to aim. {len(tested)} have graded evidence, "
        f"{len(data) - len(tested)} have none. The best evidence, grade {best['grade']}, is on the "
        f"step from {best['from_step'].lower()} to {best['to_step'].lower()}. "
        + " ".join(
            f"{row.from_step} to {row.to_step.lower()}: {_count(row)}." for row in data.itertuples()
        )
    )
