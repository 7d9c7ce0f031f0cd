"""The figures of the further designs: equivalence against the margin, exposure over 40 years."""

import pandas as pd

from clusterpolicy import report
from clusterpolicy.findings import designtables, designwords
from clusterpolicy.otherdesigns import exposure, outcomes, withdrawal
from clusterpolicy.otherdesigns.designs import choose_design
from clusterpolicy.page import theme, yearaxis
from clusterpolicy.page.alttext import interval, listed
from clusterpolicy.page.theme import Chart, number
from clusterpolicy.panel import Study
from clusterpolicy.wording import format_years

MARGIN_SHADE = "#dde8dc"
WIDEST = 120.0  # percent, beyond which a band is cut


def show_exposure(study: Study, further: pd.DataFrame, clock: str, fields_map: str) -> None:
    """Show the effect of exposure year by year; nothing where there are no estimates."""
    records = choose_design(further, exposure.YEARS_DESIGN, clock, fields_map)
    if not records.empty:
        report.show(
            plot_exposure(records, study.events, source=designwords.MUNICIPAL),
            caption="Shipments of municipalities with all jobs in targeted industries against none",
            name="exposure",
        )


def show_outcomes(study: Study, further: pd.DataFrame, clock: str, fields_map: str) -> None:
    """Show the table of further outcomes; nothing before its first year."""
    records = choose_design(further, outcomes.DESIGN, clock, fields_map)
    records = records[(records["outcome"] != "product") & (records["role"] == "main")]
    if (records["status"] == "estimated").any():
        report.show(
            designtables.outcomes_table(study, records, designwords.MUNICIPAL),
            caption="Further outcomes of targeted cells, against comparable ones",
            name="further-outcomes",
        )


def show_equivalence(further: pd.DataFrame, fields_map: str) -> None:
    """Show the tests of the third term: drawn in one reading, printed in both; else nothing."""
    is_test = (further["design"] == withdrawal.DESIGN) & (further["status"] == "estimated")
    records = further[is_test & (further["fields_map"] == fields_map)]
    if records.empty:
        return
    label = records["clock"] + ", base " + records["base"].str[1:]
    report.show(
        plot_equivalence(records.assign(label=label), "label"),
        caption="Change of targeted cells since the money stopped, against the margin",
        name="equivalence",
    )
    report.show(
        designtables.equivalence_table(further, theme.OWN_ESTIMATES),
        caption="Tests against a loss and a gain as large as the margin, in all readings",
        name="equivalence-tests",
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
    left, step = 1.6, 0.36
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
    theme.set_title(
        axes,
        f"Change with its {level} % interval, {unit}",
        f"shaded: the margin, {number(margin, 0)} {unit}",
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


@theme.styled()
def plot_exposure(records: pd.DataFrame, events: pd.DataFrame, *, source: str) -> Chart:
    """Draw the effect of exposure year by year with the band that holds for all years.

    Parameters
    ----------
    records : DataFrame
        Of the design "exposure by year": ``year``, ``estimate``, ``band_low``, ``band_high``,
        ``unit``, ``baseline_years``, ``term_years``.
    events : DataFrame
        Table ``events``.
    source : str
        Ready to print.

    Returns
    -------
    Chart
    """
    where = "plot_exposure"
    bounds = ["estimate", "band_low", "band_high"]
    theme.require(records, ["year", *bounds, "unit", "baseline_years", "term_years"], where)
    unit = theme.single(records, "unit", where)
    term = yearaxis.year_span(theme.single(records, "term_years", where))
    base = yearaxis.year_span(theme.single(records, "baseline_years", where))[1]
    data = records[["year", *bounds]].astype({"year": int}).round(2)
    data = data.sort_values("year", ignore_index=True)
    first, last = int(data["year"].min()), int(data["year"].max())
    axes = yearaxis.open_years(
        first,
        last,
        yearaxis.choose_events(events, "", first, last),
        title=f"All jobs in targeted industries against none, since {base}, {unit}",
        note="band: holds for all years together, cut where it leaves the figure",
        fiscal=False,
    )
    drawn = pd.concat(
        [data, pd.DataFrame({"year": [base], **{each: [0.0] for each in bounds}})]
    ).sort_values("year")
    axes.fill_between(
        drawn["year"], drawn["band_low"], drawn["band_high"], color=theme.TARGETED, alpha=0.16, lw=0
    )
    axes.plot(drawn["year"], drawn["estimate"], color=theme.TARGETED)
    axes.set_ylim(max(drawn["band_low"].min(), -WIDEST), min(drawn["band_high"].max(), WIDEST))
    yearaxis.close_comparison(axes, term, base)
    return theme.close_chart(
        axes,
        alt=_describe_exposure(data, base, term, unit),
        data=data,
        unit=unit,
        years=format_years(first, last, ""),
        source=source,
    )


def _describe_exposure(data: pd.DataFrame, base: int, term: tuple[int, int], unit: str) -> str:
    """Say how far the estimates run before and in the term and where the band leaves out zero."""
    parts = []
    for name, rows in (
        ("before the term", data[data["year"] < base]),
        ("in the term", data[data["year"].between(*term)]),
    ):
        low, high = rows["estimate"].min(), rows["estimate"].max()
        parts.append(f"{name} from {number(low)} to {number(high)}")
    clear = data[(data["band_low"] > 0) | (data["band_high"] < 0)]
    years = listed([str(year) for year in clear["year"]]) or "no year"
    return (
        f"Line of the effect of exposure on municipal shipments, {unit} against {base}: estimates "
        f"run {' and '.join(parts)}. The band for all years together leaves out zero in {years}."
    )
