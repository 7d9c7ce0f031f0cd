"""The figures over years: paths, event study, national series and hidden cells."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clusterpolicy import cleaning
from clusterpolicy.page import alttext, theme, yearaxis
from clusterpolicy.page.theme import Chart, number
from clusterpolicy.wording import format_years

STATUSES = {"hidden": theme.SOLID, "nil": theme.HATCHED, "negative": theme.BACKHATCHED}


@theme.styled()
def plot_growth_paths(
    paths: pd.DataFrame,
    term_years: str | Sequence[int],
    baseline_years: str | Sequence[int],
    events: pd.DataFrame,
    *,
    base: str = "",
    source: str = theme.OWN_ESTIMATES,
) -> Chart:
    """Draw how targeted and other cells grew since the last year of the baseline.

    Parameters
    ----------
    paths : DataFrame
        One row per ``fy`` and ``group`` (``"targeted"``, ``"other"``): mean change of the log
        times 100 in ``value``, its interval in ``low`` and ``high``.
    term_years, baseline_years : str or sequence of int
        Fiscal years, as ``"2001-2005"`` or ``(2001, 2005)``.
    events : DataFrame
        Table ``events``: shocks and breaks that touch the figures are drawn.
    base : str
        Base of the accounts, e.g. ``"b2000"``, to choose the events that touch it.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        In log change x 100, close to percent.

    Raises
    ------
    ValueError
        If `paths` is empty, lacks a column, or holds another group.
    """
    theme.require(paths, ["fy", "group", "value", "low", "high"], "plot_growth_paths")
    data = paths[["fy", "group", "value", "low", "high"]].sort_values(
        ["group", "fy"], ignore_index=True
    )
    unknown = set(data["group"]) - set(theme.GROUPS)
    if unknown:
        raise ValueError(
            f"plot_growth_paths: found the groups {sorted(unknown)}: "
            f"use {' and '.join(theme.GROUPS)}"
        )
    term, baseline = yearaxis.year_span(term_years), yearaxis.year_span(baseline_years)
    first, last = int(data["fy"].min()), int(data["fy"].max())
    axes = yearaxis.open_years(
        first,
        last,
        yearaxis.choose_events(events, f"cell_product_{base}", first, last),
        right=1.2,
        title=f"Mean change since FY{baseline[1]}, in logs x 100 (close to percent)",
        note="shaded band: interval of the mean",
    )
    for group, look in theme.GROUPS.items():
        rows = data[data["group"] == group]
        axes.fill_between(
            rows["fy"], rows["low"], rows["high"], color=look["color"], alpha=0.16, lw=0
        )
        axes.plot(rows["fy"], rows["value"], **look)
    yearaxis.close_comparison(axes, term, baseline[1])
    ends = data[data["fy"] == last].set_index("group")["value"]
    theme.label_ends(
        axes,
        last,
        [(ends[group], f"{group} cells", theme.GROUPS[group]["color"]) for group in ends.index],
    )
    return theme.close_chart(
        axes,
        alt=alttext.describe_paths(data, baseline[1], last),
        data=data,
        unit=f"log change of nominal product since FY{baseline[1]} x 100, mean of cells",
        years=format_years(first, last),
        source=source,
    )


@theme.styled()
def plot_event_study(
    estimates: pd.DataFrame,
    events: pd.DataFrame,
    baseline_years: str | Sequence[int],
    term_years: str | Sequence[int],
    *,
    source: str = theme.OWN_ESTIMATES,
) -> Chart:
    """Draw the difference between targeted and other cells year by year.

    Parameters
    ----------
    estimates : DataFrame
        Results of the design ``"event study"`` for one outcome: ``year``, ``estimate``, ``low``,
        ``high``, ``band_low``, ``band_high``, ``unit``, ``outcome_label``, ``base``.
    events : DataFrame
        Table ``events``: shocks and breaks that touch the figures are drawn.
    baseline_years, term_years : str or sequence of int
        Fiscal years, as ``"1996-2000"`` or ``(1996, 2000)``. The last baseline year is the base
        year, in which the difference is zero by definition.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        Bars are intervals for one year alone, the band holds for all years together. Ends beyond
        ``theme.axis_limit`` are cut, with an arrow and the number of the end.

    Raises
    ------
    ValueError
        If `estimates` is empty, lacks a column, repeats a year, or differs from zero in the base
        year.
    """
    where = "plot_event_study"
    bounds = ["estimate", "low", "high", "band_low", "band_high"]
    theme.require(estimates, ["year", *bounds, "unit", "outcome_label", "base"], where)
    unit, outcome = (
        theme.single(estimates, "unit", where),
        theme.single(estimates, "outcome_label", where),
    )
    data = estimates[["year", *bounds]].astype({"year": int})
    data = data.sort_values("year", ignore_index=True)
    term, base = yearaxis.year_span(term_years), yearaxis.year_span(baseline_years)[1]
    _check_years(data, base, where)
    first, last = min(data["year"].min(), base), max(data["year"].max(), base)
    table = f"cell_product_{theme.single(estimates, 'base', where)}"
    drawn = data[data["year"] != base].dropna(subset=["estimate"])
    limit = theme.axis_limit(drawn)
    ends = _cut_ends(drawn, limit)
    note = "bar: interval of one year by itself; band: holds for all years together"
    cut_note = "; arrow: cut, the number is its end" + (
        "" if ends["is_band"].all() else " (bold: bar)"
    )
    axes = yearaxis.open_years(
        first,
        last,
        yearaxis.choose_events(events, table, first, last),
        title=f"Targeted minus other cells since FY{base}, {unit}",
        note=note if ends.empty else note + cut_note,
    )
    _draw_band(axes, drawn, base, limit)
    low, high = drawn["low"].clip(lower=-limit), drawn["high"].clip(upper=limit)
    axes.vlines(drawn["year"], low, high, color=theme.TARGETED, lw=2.4)
    axes.plot(drawn["year"], drawn["estimate"], "o", color=theme.TARGETED, ms=6)
    above, below = (_room_of(ends[ends["is_high"] == is_high]) for is_high in (True, False))
    yearaxis.close_comparison(axes, term, base, 0.24 + above, max(0.36, below + 0.1))
    _write_ends(axes, ends, limit)
    return theme.close_chart(
        axes,
        alt=alttext.describe_event_study(drawn, base, term, outcome, unit, ends),
        data=data,
        unit=f"{unit} of {outcome}, targeted minus other cells",
        years=f"{format_years(first, last)} against FY{base}",
        source=source,
    )


@theme.styled()
def plot_national_series(
    panel: pd.DataFrame,
    indicator: str,
    label: str,
    unit: str,
    events: pd.DataFrame,
    *,
    source: str = "Census of Manufactures (METI) and the sources named row by row in data/raw",
) -> Chart:
    """Draw the national sum of a prefecture indicator with the breaks of its series.

    Parameters
    ----------
    panel : DataFrame
        Table ``prefecture_panel``: ``indicator``, ``pref_code``, ``year``, ``value``, ``unit``.
    indicator : str
        Indicator to add up, e.g. ``"shipments"``.
    label : str
        The indicator in words.
    unit : str
        Unit of its values in `panel`; millions of it are drawn as the next larger unit.
    events : DataFrame
        Table ``events``: shocks and breaks that touch the indicator are drawn.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        Years that a break covers are hollow. A year in which any of the prefectures has no value
        has no sum, and the line stops there.

    Raises
    ------
    ValueError
        If `panel` holds no such indicator, another unit, or a prefecture twice in a year.
    """
    where = "plot_national_series"
    theme.require(panel, ["indicator", "pref_code", "year", "value", "unit"], where)
    rows = panel[panel["indicator"] == indicator]
    if rows.empty:
        known = ", ".join(sorted(panel["indicator"].unique()))
        raise ValueError(f"{where}: found no indicator {indicator!r}: choose one of {known}")
    if theme.single(rows, "unit", where) != unit:
        raise ValueError(
            f"{where}: found {indicator!r} in {rows['unit'].iloc[0]}, not in {unit}: name the unit "
            "of the panel"
        )
    data = _national_sums(rows, where)
    drawn_unit, scale = theme.larger_unit(unit, data["value"].max())
    data["value"] /= scale
    first, last = int(data["year"].min()), int(data["year"].max())
    table = cleaning.PREFECTURE_SERIES[indicator.split(".")[0]][0]
    chosen = yearaxis.choose_events(events, table, first, last)
    data["breaks"] = _breaks_of(data["year"], chosen)
    axes = yearaxis.open_years(
        first,
        last,
        chosen,
        title=label if drawn_unit in label.lower() else f"{label}, {drawn_unit}",
        left=theme.text_width(number(data["value"].max(), 0)) + theme.MARGIN + 0.12,
        note="sum of the prefectures; hollow: the year stands on another footing",
        fiscal=False,
    )
    _draw_sums(axes, data)
    return theme.close_chart(
        axes,
        alt=alttext.describe_series(data, label, drawn_unit, chosen),
        data=data,
        unit=drawn_unit,
        years=format_years(first, last, ""),
        source=source,
    )


@theme.styled()
def plot_suppression(
    counts: pd.DataFrame, *, source: str = "Prefectural Accounts (Cabinet Office), data/raw"
) -> Chart:
    """Draw how many cells of the accounts are hidden, nil or negative, by base and year.

    Parameters
    ----------
    counts : DataFrame
        One row per ``base``, ``fy`` and ``status`` (``"hidden"``, ``"nil"``, ``"negative"``) with
        the number of ``cells``; a row that is missing stands for none.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        One strip of stacked bars per base, on one axis of years.

    Raises
    ------
    ValueError
        If `counts` is empty, lacks a column, or holds another status.
    """
    where = "plot_suppression"
    theme.require(counts, ["base", "fy", "status", "cells"], where)
    unknown = sorted(set(counts["status"]) - set(STATUSES))
    if unknown:
        raise ValueError(f"{where}: found the status {unknown}: use {', '.join(STATUSES)}")
    data = counts.groupby(["base", "fy", "status"], as_index=False)["cells"].sum()
    bases = sorted(data["base"].unique())
    first, last = int(data["fy"].min()), int(data["fy"].max())
    strip = 0.8
    axes = theme.new_axes(strip * len(bases), left=0.75, right=0.3, top=0.7)
    yearaxis.set_years(axes, first, last, "fiscal year (April to March)")
    axes.set(ylim=(len(bases), 0), yticks=[])
    highest = data.groupby(["base", "fy"])["cells"].sum().max() or 1
    for place, base in enumerate(bases):
        _draw_strip(axes, data[data["base"] == base], place, highest)
        theme.row_text(axes, -(0.75 - theme.MARGIN), place + 0.7, base)
    theme.draw_key(axes, STATUSES)
    title = "Cells without a usable figure, by base of the accounts"
    theme.set_title(axes, title, above=1.15 * theme.LINE)
    return theme.close_chart(
        axes,
        alt=alttext.describe_suppression(data),
        data=data,
        unit="cells",
        years=format_years(first, last),
        source=source,
    )


def _draw_band(axes: Axes, drawn: pd.DataFrame, base: int, limit: float) -> None:
    """Draw the simultaneous band; in the base year it closes to zero."""
    bounds = drawn.set_index("year")[["band_low", "band_high"]].astype(float)
    bounds.loc[base] = 0.0
    furthest = bounds.abs().max(axis=None)
    bounds = _cut_lines(bounds.sort_index(), limit)
    axes.fill_between(
        bounds.index,
        bounds["band_low"],
        bounds["band_high"],
        facecolor=theme.TARGETED,
        alpha=0.13,
        linewidth=0,
        gid="band",
    )
    for _, line in bounds.items():
        # What runs along the limit is no end of the band.
        is_cut = line.abs() > 0.999 * limit
        beside = is_cut.shift(fill_value=True) & is_cut.shift(-1, fill_value=True)
        whole = line.mask(is_cut & beside & (limit < furthest))
        axes.plot(whole, linestyle=":", color=theme.TARGETED, linewidth=1)


def _cut_lines(bounds: pd.DataFrame, limit: float) -> pd.DataFrame:
    """Cut lines at the limit where they cross it, so that what is left keeps its slope."""
    # An end without bound rises as steeply as a drawing can show.
    bounds = bounds.clip(-1000 * limit, 1000 * limit)
    years = bounds.index.to_numpy(dtype=float)
    crossings = [
        left + (right - left) * (side * limit - start) / (end - start)
        for values in (bounds["band_low"].to_numpy(), bounds["band_high"].to_numpy())
        for left, right, start, end in zip(years, years[1:], values, values[1:], strict=False)
        for side in (-1, 1)
        if min(start, end) < side * limit < max(start, end)
    ]
    places = np.union1d(years, crossings)
    cut = {
        name: np.interp(places, years, bounds[name]).clip(-limit, limit)
        for name in ("band_low", "band_high")
    }
    return pd.DataFrame(cut, index=places)


def _cut_ends(drawn: pd.DataFrame, limit: float) -> pd.DataFrame:
    """List the ends of bars and band that lie beyond the limit.

    Returns
    -------
    DataFrame
        ``year``, ``value``, ``is_high``, ``is_band``; of one year, the bar comes first.
    """
    ends = [
        (int(row["year"]), row[name], name.endswith("high"), name.startswith("band"))
        for _, row in drawn.iterrows()
        for name in ("low", "high", "band_low", "band_high")
        if abs(row[name]) > limit
    ]
    return pd.DataFrame(ends, columns=["year", "value", "is_high", "is_band"])


def _room_of(ends: pd.DataFrame) -> float:
    """Return the inches that arrows and numbers take at one end of the axis."""
    most = ends["year"].value_counts().max() if len(ends) else 0
    return 0.14 + most * theme.LINE if most else 0.0


def _write_ends(axes: Axes, ends: pd.DataFrame, limit: float) -> None:
    """Mark each cut year with an arrow and the numbers of its ends, that of the bar in bold."""
    for (year, is_high), rows in ends.groupby(["year", "is_high"]):
        side = 1 if is_high else -1
        is_filled = not rows["is_band"].all()
        theme.draw_cut(axes, year, side * limit, "^" if is_high else "v", is_filled)
        for place, row in enumerate(rows.itertuples()):
            text = theme.write_end(row.value)
            axes.annotate(
                text,
                (year, side * limit),
                xytext=(0, side * 72 * (0.08 + place * theme.LINE)),
                textcoords="offset points",
                ha="center",
                va="bottom" if is_high else "top",
                zorder=5,
                gid="end",
                **({} if row.is_band else theme.strong(text)),
            )


def _check_years(data: pd.DataFrame, base: int, where: str) -> None:
    repeated = data.loc[data["year"].duplicated(), "year"].unique().tolist()
    if repeated:
        raise ValueError(f"{where}: found the years {repeated} more than once: draw one outcome")
    at_base = data.loc[(data["year"] == base) & data["estimate"].notna(), "estimate"]
    if (at_base != 0).any():
        raise ValueError(
            f"{where}: found {at_base.iloc[0]} in the base year {base}, which must be zero: "
            "pass the baseline years the estimates were made with"
        )


def _national_sums(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """Add the prefectures up; a year that lacks one has no sum."""
    twice = rows[rows.duplicated(["pref_code", "year"])]
    if not twice.empty:
        row = twice.iloc[0]
        raise ValueError(
            f"{where}: prefecture {row['pref_code']} stands twice in {row['year']}: keep one row"
        )
    known = rows.dropna(subset=["value"]).groupby("year")["value"].agg(["sum", "size"])
    years = range(rows["year"].min(), rows["year"].max() + 1)
    known = known.reindex(years).rename_axis("year")
    complete = known["size"] == rows["pref_code"].nunique()
    sums = pd.DataFrame({"value": known["sum"].where(complete), "n_prefectures": known["size"]})
    return sums.astype({"n_prefectures": "Int64"}).fillna({"n_prefectures": 0}).reset_index()


def _breaks_of(years: pd.Series, chosen: pd.DataFrame) -> pd.Series:
    """Name the breaks that cover each year; empty for a year without one."""
    breaks = chosen[chosen["kind"] == "break"]
    return years.map(
        lambda year: "; ".join(
            breaks.loc[(breaks["first_year"] <= year) & (breaks["last_year"] >= year), "name"]
        )
    )


def _draw_sums(axes: Axes, data: pd.DataFrame) -> None:
    axes.plot(data["year"], data["value"], color=theme.TARGETED)
    for is_suspect, fill in ((False, theme.TARGETED), (True, theme.PAPER)):
        rows = data[(data["breaks"] != "") == is_suspect]
        axes.plot(
            rows["year"],
            rows["value"],
            "o",
            color=theme.TARGETED,
            markerfacecolor=fill,
            markeredgewidth=1.3,
            gid="suspect" if is_suspect else "sum",
        )
    axes.set_ylim(0, 1.1 * data["value"].max())
    theme.set_numbers(axes)


def _draw_strip(axes: Axes, rows: pd.DataFrame, place: int, highest: int) -> None:
    """Draw the bars of one base between `place` and the next whole number."""
    foot, scale = place + 0.92, 0.68 / highest
    axes.hlines(
        foot, rows["fy"].min() - 0.5, rows["fy"].max() + 0.5, color=theme.MUTED, linewidth=0.8
    )
    wide = rows.pivot(index="fy", columns="status", values="cells").fillna(0)
    top = pd.Series(float(foot), index=wide.index)
    for status, look in STATUSES.items():
        if status in wide:
            some = wide.loc[wide[status] > 0, status] * scale
            axes.bar(some.index, -some, 0.8, bottom=top[some.index], gid=status, **look)
            top -= wide[status] * scale
    for fy, total in wide.sum(axis=1).items():
        if total:
            axes.text(fy, top[fy] - 0.03, f"{total:.0f}", ha="center", va="bottom")
