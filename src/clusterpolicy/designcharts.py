"""The figures of the further designs: equivalence against the margin, exposure over 40 years."""

import pandas as pd

from clusterpolicy import report, theme, withdrawal
from clusterpolicy.alttext import interval, listed
from clusterpolicy.theme import Chart, number
from clusterpolicy.wording import format_years

MARGIN_SHADE = "#dde8dc"


def show_equivalence(further: pd.DataFrame, fields_map: str) -> None:
    """Show the tests of the third term in one reading; nothing in a term that has none."""
    is_test = (further["design"] == withdrawal.DESIGN) & (further["status"] == "estimated")
    records = further[is_test & (further["fields_map"] == fields_map)]
    if records.empty:
        return
    label = records["clock"] + " clock, base " + records["base"].str[1:]
    report.show(
        plot_equivalence(records.assign(label=label), "label"),
        caption="Change of targeted cells since the money stopped, against the margin",
        name="equivalence",
    )


@theme.styled()
def plot_equivalence(
    records: pd.DataFrame, label: str, *, source: str = theme.OWN_ESTIMATES
) -> Chart:
    """Draw intervals against the margin inside which a change does not matter.

    Parameters
    ----------
    records : DataFrame
        Of the design "equivalence": ``estimate``, ``low``, ``high``, ``mde`` (the margin),
        ``unit``, ``term_years`` and `label`; those not estimable are left to the sentence.
    label : str
        Column that holds the text of each row.
    source : str
        Ready to print.

    Returns
    -------
    Chart

    Raises
    ------
    ValueError
        If `records` has no row, lacks a column, or mixes units or margins.
    """
    where = "plot_equivalence"
    columns = [label, "estimate", "low", "high", "mde"]
    theme.require(records, [*columns, "unit", "term_years", "level"], where)
    unit, margin = theme.single(records, "unit", where), float(theme.single(records, "mde", where))
    level = number(100 * float(theme.single(records, "level", where)), 0)
    data = records[columns].rename(columns={"mde": "margin"}).round(3).reset_index(drop=True)
    left, step = 2.6, 0.36
    axes = theme.new_axes(step * len(data), left, 0.4, top=0.65)
    axes.set(ylim=(len(data) - 0.5, -0.5), yticks=[])
    reach = 1.1 * max(data[["low", "high"]].abs().max().max(), margin)
    axes.set_xlim(-reach, reach)
    axes.axvspan(-margin, margin, color=MARGIN_SHADE, linewidth=0, zorder=0, gid="margin")
    theme.zero_line(axes, "x")
    theme.set_numbers(axes, "x", signed=True)
    for row in data.itertuples():
        theme.row_text(axes, -(left - theme.MARGIN), row.Index, getattr(row, label))
        axes.hlines(row.Index, row.low, row.high, color=theme.TARGETED, linewidth=2.2)
        inside = -margin < row.low and row.high < margin
        axes.plot(
            row.estimate,
            row.Index,
            "o",
            color=theme.TARGETED,
            markerfacecolor=theme.TARGETED if inside else theme.PAPER,
            markeredgewidth=1.6,
            markersize=7,
        )
    axes.set_xlabel(unit)
    theme.set_title(
        axes,
        f"Change since the money stopped, with its {level} % interval, {unit}",
        f"shaded: the margin of {number(margin, 0)} {unit}; filled dot: interval inside it",
    )
    years = [int(year) for span in records["term_years"] for year in span.split("-")]
    return theme.close_chart(
        axes,
        alt=_describe_equivalence(data, label, margin, unit),
        data=data,
        unit=unit,
        years=format_years(min(years), max(years)),
        source=source,
    )


def _describe_equivalence(data: pd.DataFrame, label: str, margin: float, unit: str) -> str:
    """Say how each interval lies to the margin."""
    parts = [
        f"{getattr(row, label)} {number(row.estimate, signed=True)} "
        f"(interval {interval(row.low, row.high)})"
        for row in data.itertuples()
    ]
    inside = ((data["low"] > -margin) & (data["high"] < margin)).sum()
    no_loss = (data["low"] > -margin).sum()
    return (
        f"Intervals of {len(data)} tests against a margin of {number(margin, 0)} {unit}: "
        f"{listed(parts)}. Inside the margin: {inside} of {len(data)}; above its lower end: "
        f"{no_loss}."
    )
