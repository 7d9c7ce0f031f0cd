"""The figures of the page on the data: coverage, hidden cells, bounds, and one number followed."""

import pandas as pd

from clusterpolicy import figures
from clusterpolicy.finerdata import quality
from clusterpolicy.finerdata.finer import FinerStudy
from clusterpolicy.page import theme, yearaxis
from clusterpolicy.page.alttext import listed
from clusterpolicy.page.theme import Chart, number
from clusterpolicy.wording import format_years

MUNICIPAL = "Census of Manufactures, municipal edition (METI), processed by this project"
ROW = 0.2  # inches from one row of a chart to the next
LINES = (
    {"color": theme.OTHER, "marker": "s", "linestyle": (0, (5, 2)), "markerfacecolor": theme.PAPER},
    {"color": theme.TARGETED, "marker": "o", "linestyle": "-"},
    {"color": theme.MUTED, "marker": "^", "linestyle": "-"},
    {"color": theme.INK, "marker": "D", "linestyle": ":"},
)


@theme.styled()
def plot_coverage(coverage: pd.DataFrame) -> Chart:
    """Draw which years each series covers, with the breaks it runs across.

    Parameters
    ----------
    coverage : DataFrame
        From ``quality.list_coverage``.

    Returns
    -------
    Chart
        One row per series; its data hold one row per run of years.
    """
    first, last = int(coverage["first_year"].min()), int(coverage["last_year"].max())
    order = list(dict.fromkeys(coverage["series"]))
    looks = {quality.PREFECTURES: theme.SOLID, quality.MUNICIPALITIES: theme.HATCHED}
    left = 2.35
    axes = theme.new_axes(ROW * len(order), left, 0.2, top=0.7)
    yearaxis.set_years(axes, first, last, "year (accounts: fiscal year)")
    axes.set(ylim=(ROW * len(order), 0), yticks=[])
    for place, series in enumerate(order):
        rows = coverage[coverage["series"] == series]
        y = ROW * (place + 0.5)
        theme.row_text(axes, -(left - theme.MARGIN), y, series)
        broken = [int(year) for text in rows["breaks"] for year in text.split(";") if year]
        for row in rows.itertuples():
            look = looks[row.areas]
            width = row.last_year - row.first_year + 1
            axes.barh(y, width, ROW * 0.6, left=row.first_year - 0.5, **look, gid="run")
        axes.plot(
            [year - 0.5 for year in broken],
            [y] * len(broken),
            linestyle="",
            marker="|",
            color=theme.OTHER,
            markersize=11,
            markeredgewidth=2.2,
            gid="break",
        )
    key = dict(looks)
    key["a break before this year"] = {"facecolor": theme.OTHER, "edgecolor": theme.OTHER}
    theme.draw_key(axes, key)
    theme.set_title(axes, "Years covered by each series", above=1.15 * theme.LINE)
    return theme.close_chart(
        axes,
        alt=_describe_coverage(coverage, order),
        data=coverage,
        unit="years",
        years=format_years(first, last, ""),
        source="the tables of data/clean and data/raw/events.csv",
    )


def _describe_coverage(data: pd.DataFrame, order: list[str]) -> str:
    spans = data.groupby("series").agg({"first_year": "min", "last_year": "max"})
    longest = (spans["last_year"] - spans["first_year"]).idxmax()
    in_run = data["breaks"].map(lambda years: len(years.split(";")) if years else 0)
    counts = in_run.groupby(data["series"]).sum()
    whole = int((counts == 0).sum())
    return (
        f"Bars of the years that {len(order)} series cover. The longest is {longest}, "
        f"{spans.loc[longest, 'first_year']} to {spans.loc[longest, 'last_year']}. Most "
        f"breaks, {counts.max()}, lie in {counts.idxmax()}; {whole} series have none."
    )


@theme.styled()
def plot_hidden_jobs(counts: pd.DataFrame, measure: str, label: str) -> Chart:
    """Draw the share of cells that hide a measure beside the share of jobs in them.

    Parameters
    ----------
    counts : DataFrame
        ``FinerStudy.hidden_counts``.
    measure : str
        Measure of the municipal files.
    label : str
        The measure in words.

    Returns
    -------
    Chart
    """
    rows = counts[counts["measure"] == measure].sort_values("year")
    data = pd.DataFrame(
        {
            "year": rows["year"],
            "cells_percent": 100 * rows["hidden"] / rows["cells"],
            "jobs_percent": rows["jobs_percent"],
        }
    ).reset_index(drop=True)
    first, last = int(data["year"].min()), int(data["year"].max())
    axes = theme.new_axes(1.9, 0.5, 0.2, top=0.7)
    yearaxis.set_years(axes, first, last, "year")
    axes.bar(data["year"] - 0.2, data["cells_percent"], 0.36, **theme.HATCHED, gid="cells")
    axes.bar(data["year"] + 0.2, data["jobs_percent"], 0.36, **theme.SOLID, gid="jobs")
    axes.set_ylim(0, 1.1 * data["cells_percent"].max())
    theme.set_numbers(axes)
    theme.draw_key(axes, {"cells that are hidden": theme.HATCHED, "jobs in them": theme.SOLID})
    title = f"Cells whose {label} are hidden, and their jobs, percent of all"
    theme.set_title(axes, title, above=1.15 * theme.LINE)
    ends = data.iloc[[0, -1]]
    told = [
        f"{number(row.cells_percent)} percent of the cells with {number(row.jobs_percent)} "
        f"percent of the jobs in {row.year:.0f}"
        for row in ends.itertuples()
    ]
    return theme.close_chart(
        axes,
        alt=f"Paired bars over {len(data)} years. Hidden are {listed(told)}.",
        data=data,
        unit="percent",
        years=format_years(first, last, ""),
        source=MUNICIPAL,
    )


@theme.styled()
def plot_widths(widths: pd.DataFrame) -> Chart:
    """Draw how wide hidden cells leave the shipments of each industry and each prefecture.

    Parameters
    ----------
    widths : DataFrame
        From ``quality.bound_widths``.

    Returns
    -------
    Chart
        One dot per industry and per prefecture; the widest and the narrowest are named.
    """
    data = widths.drop(columns=["low", "high"]).reset_index(drop=True)
    kinds = list(dict.fromkeys(data["kind"]))
    strip, left = 0.75, 1.0
    axes = theme.new_axes(strip * len(kinds), left, 0.35, top=0.4)
    axes.set(xlim=(0, 100), ylim=(strip * len(kinds), 0), yticks=[])
    theme.set_numbers(axes, "x")
    axes.set_xlabel("percent")
    for place, kind in enumerate(kinds):
        rows = data[data["kind"] == kind]
        y = strip * (place + 0.62)
        theme.row_text(axes, -(left - theme.MARGIN), y, _plural(kind))
        axes.plot(
            rows["width_percent"],
            [y] * len(rows),
            linestyle="",
            marker="o",
            markerfacecolor="none",
            markeredgecolor=theme.TARGETED,
            gid=kind,
        )
        for end, side in ((rows["width_percent"].idxmax(), 1), (rows["width_percent"].idxmin(), 0)):
            axes.annotate(
                data["name"][end],
                (data["width_percent"][end], y),
                xytext=(6 if side else -6, 9),
                textcoords="offset points",
                ha="right" if side else "left",
                annotation_clip=False,
            )
    year = theme.single(data, "year", "plot_widths")
    theme.set_title(axes, f"Width of the bounds of shipments, {year}, percent of the most")
    return theme.close_chart(
        axes,
        alt=_describe_widths(data, kinds),
        data=data,
        unit="percent of the most that shipments can be",
        years=year,
        source=MUNICIPAL,
    )


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _describe_widths(data: pd.DataFrame, kinds: list[str]) -> str:
    parts = []
    for kind in kinds:
        rows = data[data["kind"] == kind].set_index("name")["width_percent"]
        parts.append(
            f"Of {len(rows)} {_plural(kind)}, the median width is "
            f"{number(rows.median(), 0)} percent, the widest {number(rows.max(), 0)} in "
            f"{rows.idxmax()} and the narrowest {number(rows.min(), 0)} in {rows.idxmin()}."
        )
    return " ".join(["Dots on one strip per kind.", *parts])


def plot_row_loss(larger: FinerStudy) -> Chart:
    """Draw how many lines of the municipal files each rule keeps."""
    years = larger.areas["year"]
    return figures.plot_waterfall(
        larger.row_loss,
        unit="lines of the municipal files",
        years=format_years(years.min(), years.max(), ""),
        source=MUNICIPAL,
    )


@theme.styled()
def plot_number(larger: FinerStudy, changes: pd.DataFrame) -> Chart:
    """Draw the number that jumps most through the years, beside the industries it stands for.

    Parameters
    ----------
    larger : FinerStudy
    changes : DataFrame
        From ``quality.number_changes``: the number of its first row is drawn.

    Returns
    -------
    Chart
        Its first line joins the years on the number; the others are harmonised industries.
    """
    code = changes["jsic2_code"].iloc[0]
    data = quality.follow_number(larger, code)
    first, last = int(data["year"].min()), int(data["year"].max())
    naive = f"number {code}"
    axes = theme.new_axes(2.6, 0.7, 1.75, top=0.62)
    yearaxis.set_years(axes, first, last, "year")
    lines = [naive, *sorted(set(data["line"]) - {naive})]
    for line, look in zip(lines, LINES, strict=False):
        rows = data[data["line"] == line]
        axes.plot(rows["year"], rows["establishments"], **look, gid="line")
    axes.set_ylim(0, 1.08 * data["establishments"].max())
    theme.set_numbers(axes)
    ends = data[data["year"] == last].set_index("line")["establishments"]
    labels = [
        (ends[line], _shorten(line, 1.6), look["color"])
        for line, look in zip(lines, LINES, strict=False)
    ]
    theme.label_ends(axes, last, labels)
    theme.set_title(axes, "Establishments", f"dashed: joined on {naive}; other lines: on meaning")
    return theme.close_chart(
        axes,
        alt=_describe_number(data, naive),
        data=data,
        unit="establishments in cities and wards",
        years=format_years(first, last, ""),
        source=MUNICIPAL,
    )


def _shorten(text: str, width: float) -> str:
    lines = theme.wrap(text, width)
    return lines[0] if len(lines) == 1 else f"{lines[0]} …"


def _describe_number(data: pd.DataFrame, naive: str) -> str:
    rows = data[data["line"] == naive].sort_values("year").reset_index(drop=True)
    change = (rows["establishments"] / rows["establishments"].shift(1) - 1) * 100
    top = change.abs().idxmax()
    meanings = listed([str(name) for name in dict.fromkeys(rows["meaning"])])
    return (
        f"Lines over {len(rows)} years. Joined on {naive}, establishments go from "
        f"{number(rows['establishments'][top - 1], 0)} in {rows['year'][top - 1]} to "
        f"{number(rows['establishments'][top], 0)} in {rows['year'][top]}, "
        f"{number(change[top], 0, signed=True)} percent; the number stands for {meanings} in "
        "turn, none of which jumps."
    )
