"""The figures of a project's page: its paths, its standing, its counterpart; and the lineage."""

import math
import re

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clusterpolicy.checks import register
from clusterpolicy.page import quadrant, theme, yearaxis
from clusterpolicy.page.alttext import listed
from clusterpolicy.page.theme import Chart, number
from clusterpolicy.projects import portfolio
from clusterpolicy.projects.profiles import ALL, Profile
from clusterpolicy.wording import format_years

COLUMNS = 3
MOST_NAMED = 6  # cells of a project whose names are tried on its quadrant
PANEL = 1.35  # inches: height of one panel
CENSUS = "Census of Manufactures (METI) and the sources named row by row in data/raw"
ACCOUNTS = "Prefectural Accounts (Cabinet Office), data/raw"


@theme.styled()
def plot_paths(profile: Profile, *, source: str = ACCOUNTS) -> Chart:
    """Draw product of a project's cells beside that of the same industries elsewhere.

    One panel for the sum and one per industry, all on one scale. Two bases of the accounts meet in
    the last year before the project's term, where every line is 100.

    Parameters
    ----------
    profile : Profile
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
    """
    data = _paths_with_band(profile).round({"own": 1, "elsewhere": 1, "low": 1, "high": 1})
    order = [ALL, *dict.fromkeys(profile.cells["industry"])]
    order = [each for each in order if each in set(data["industry"])]
    first, last = int(data["fy"].min()), int(data["fy"].max())
    events = _events(profile, first, last)
    figure, panels = _open_panels(len(order), len(events))
    is_all = data["industry"] == ALL  # the bands of single industries may run beyond the panels
    values = pd.concat(
        [data[["own", "elsewhere"]].stack(), data.loc[is_all, ["low", "high"]].stack()]
    )
    low, high = 0.95 * min(values.min(), 100), 1.05 * max(values.max(), 100)
    for place, (axes, industry) in enumerate(zip(panels, order, strict=True)):
        axes.set_ylim(low, min(high, 300))
        _draw_panel(axes, profile, data[data["industry"] == industry], (first, last), events)
        _name_panel(axes, _panel_name(profile, industry), is_left=place % COLUMNS == 0)
    _write_heading(figure, profile)
    _write_events(figure, events)
    theme.require_glyphs(figure)
    return Chart(
        figure,
        alt=_describe_paths(profile),
        data=data.drop(columns="own_million_yen"),
        unit=f"nominal product, FY{profile.join_year} = 100",
        years=format_years(first, last),
        source=source,
    )


def _paths_with_band(profile: Profile) -> pd.DataFrame:
    """Return the paths, with the band of connected groups around the line of elsewhere."""
    keys = ["industry", "base", "fy"]
    gaps = profile.path_bands[[*keys, "low", "high"]]
    data = profile.paths.merge(gaps, on=keys, how="left", validate="one_to_one")
    for end in ("low", "high"):
        data[end] = data["elsewhere"] * (1 + data[end] / 100)
    return data


def _events(profile: Profile, first: int, last: int) -> pd.DataFrame:
    """Choose the shocks and breaks that touch one of the two bases, each once."""
    older, later = profile.bases
    parts = [
        yearaxis.choose_events(
            profile.study.events, f"cell_product_{older}", first, profile.join_year
        ),
        yearaxis.choose_events(
            profile.study.events, f"cell_product_{later}", profile.join_year, last
        ),
    ]
    found = pd.concat(parts, ignore_index=True).drop_duplicates(["name", "first_year"])
    join = {
        "start": profile.join_year,
        "stop": profile.join_year,
        "first_year": profile.join_year,
        "last_year": profile.join_year,
        "kind": "break",
        "name": f"base {older[1:]} to the left, base {later[1:]} to the right",
    }
    return pd.concat([found, pd.DataFrame([join])]).sort_values("start", ignore_index=True)


def _open_panels(count: int, n_events: int) -> tuple[Figure, list[Axes]]:
    rows = math.ceil(count / COLUMNS)
    top, gap, left, right, between = 0.78 + theme.LINE, 0.62, 0.5, 0.15, 0.3
    bottom = 0.4 + (n_events + 0.5) * theme.LINE
    height = top + rows * PANEL + (rows - 1) * gap + bottom
    figure = Figure(figsize=(theme.WIDTH, height))
    width = (theme.WIDTH - left - right - (COLUMNS - 1) * between) / COLUMNS
    panels = []
    for place in range(count):
        row, column = divmod(place, COLUMNS)
        x = left + column * (width + between)
        y = height - top - PANEL - row * (PANEL + gap)
        axes = figure.add_axes((x / theme.WIDTH, y / height, width / theme.WIDTH, PANEL / height))
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.set_axisbelow(True)
        panels.append(axes)
    return figure, panels


def _draw_panel(
    axes: Axes,
    profile: Profile,
    rows: pd.DataFrame,
    span: tuple[int, int],
    events: pd.DataFrame,
) -> None:
    first, last = span
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.axhline(100, color=theme.INK, linewidth=0.7, zorder=1.5)
    for term in _funded_terms(profile):
        axes.axvspan(term[0] - 0.5, term[1] + 0.5, color=theme.TERM_SHADE, linewidth=0, zorder=0)
    for event in events.itertuples():
        if event.kind == "shock":
            axes.axvspan(event.start, event.stop, color=theme.MUTED, alpha=0.13, lw=0, zorder=0.5)
        else:
            axes.axvline(event.start, color=theme.MUTED, linewidth=0.9, linestyle=(0, (1, 1.6)))
    for _, part in rows.groupby("base"):
        _draw_band(axes, part["fy"], part["low"], part["high"])
    for column, group in (("elsewhere", "other"), ("own", "targeted")):
        look = {**theme.GROUPS[group], "markersize": 0}
        for _, part in rows.groupby("base"):
            axes.plot(part["fy"], part[column], **look)
    ticks = [year for year in range(first, last + 1) if year % 5 == 0]
    axes.set_xticks(ticks, [str(year) for year in ticks])


def _draw_band(axes: Axes, years: pd.Series, low: pd.Series, high: pd.Series) -> None:
    """Draw a band of placebo paths, if there is one."""
    if low.notna().any():
        axes.fill_between(
            years, low, high, color=theme.OTHER, alpha=0.16, linewidth=0, zorder=1, gid="band"
        )


def _funded_terms(profile: Profile) -> list[tuple[int, int]]:
    """Years of the periods in which the project or those before it stood under the policy."""
    names = ("earlier", "during")
    return [(p.start + 1, p.end) for p in profile.periods if p.name in names]


def _name_panel(axes: Axes, name: str, is_left: bool) -> None:
    ticks = [tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [number(tick, 0) if is_left else "" for tick in ticks])
    axes.grid(axis="y")
    lines = theme.wrap(name, theme.inches(axes)[0] + 0.1)
    axes.annotate(
        "\n".join(lines),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        va="bottom",
        linespacing=1.1,
        **theme.strong(name),
    )


def _panel_name(profile: Profile, industry: str) -> str:
    return "All its cells" if industry == ALL else profile.industry_names[industry]


def _write_heading(figure: Figure, profile: Profile) -> None:
    height = figure.get_size_inches()[1]
    scale = figure.dpi_scale_trans
    title = f"Nominal product, FY{profile.join_year} = 100"
    figure.text(
        theme.MARGIN,
        height - 0.12,
        title,
        size=theme.BODY,
        va="top",
        transform=scale,
        **theme.strong(title),
    )
    x = theme.MARGIN
    for word, group in (("its cells", "targeted"), ("same industries elsewhere", "other")):
        look = theme.GROUPS[group]
        figure.add_artist(_line(figure, x, height - 0.41, look["color"], look["linestyle"]))
        figure.text(
            x + 0.34,
            height - 0.41,
            word,
            va="center",
            color=look["color"],
            transform=scale,
            **theme.strong(word),
        )
        x += 0.34 + 1.12 * theme.text_width(word) + 0.25
    figure.text(
        theme.MARGIN,
        height - 0.41 - theme.LINE,
        "band: 95 %, from groups of adjoining prefectures; blue ground: years under the policy",
        va="center",
        color=theme.MUTED,
        transform=scale,
    )


def _line(figure: Figure, x: float, y: float, color: str, style: object) -> Line2D:
    return Line2D(
        [x, x + 0.28],
        [y, y],
        color=color,
        linestyle=style,
        linewidth=1.6,
        transform=figure.dpi_scale_trans,
    )


def _write_events(figure: Figure, events: pd.DataFrame) -> None:
    """Name the shocks and breaks below the panels, in the order of the axis."""
    for place, event in enumerate(events.itertuples()):
        kind = "grey ground" if event.kind == "shock" else "dotted line"
        figure.text(
            theme.MARGIN,
            theme.MARGIN + (len(events) - place) * theme.LINE,
            f"{kind}, {format_years(event.first_year, event.last_year, '')}: {event.name}"
            if event.kind == "shock"
            else f"{kind}, {event.first_year}: {event.name}",
            va="top",
            color=theme.MUTED,
            transform=figure.dpi_scale_trans,
        )


@theme.styled()
def plot_synthetic(profile: Profile, *, source: str = CENSUS) -> Chart:
    """Draw shipments of the project's prefectures beside those of its synthetic counterpart.

    Parameters
    ----------
    profile : Profile
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        Difference in logs x 100. Where no counterpart can be fitted there is only the line of
        zero, and the note says why.
    """
    study, term = profile.study, profile.term
    data, n_sets, reason = profile.counterpart_gaps("shipments")
    first, last = (int(data["year"].min()), int(data["year"].max())) if len(data) else term.years
    events = yearaxis.choose_events(study.events, "prefecture_shipments", first, last)
    note = reason or (
        f"zero: as the counterpart; band: {n_sets} sets of other prefectures that stand for it, "
        "lowest to highest"
    )
    axes = yearaxis.open_years(
        first,
        last,
        events,
        title="Shipments, its prefectures minus their synthetic counterpart, logs x 100",
        note=note,
        fiscal=False,
    )
    if not reason:
        _draw_band(axes, data["year"], data["low"], data["high"])
    axes.plot(data["year"], data["gap"], color=theme.TARGETED, linewidth=1.8)
    theme.leave_room(axes, above=0.26, below=0.1)
    yearaxis.shade_term(axes, term.years, f"term {term.number}, {format_years(*term.years)}")
    theme.zero_line(axes)
    theme.set_numbers(axes, signed=True)
    return theme.close_chart(
        axes,
        alt=_describe_gap(profile, data, reason),
        data=data,
        unit="log difference x 100",
        years=format_years(first, last, ""),
        source=source,
    )


@theme.styled()
def plot_standing(profile: Profile, *, source: str = ACCOUNTS) -> Chart:
    """Draw strength before the term against growth over it, the project's cells by name.

    Parameters
    ----------
    profile : Profile
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        Pale squares are cells of the same industries in other prefectures.
    """
    # What can be read off: the page carries every cell, and further digits are noise.
    data = profile.quadrant.round({"location_quotient": 3, "growth": 1})
    during = profile.periods[-2]
    axes = theme.new_axes(3.4, left=0.62, right=0.3, top=0.62, bottom=0.62)
    low, high = data["growth"].quantile([0.02, 0.98])
    own = data[data["is_targeted"]]
    low, high = min(low, own["growth"].min(), 0), max(high, own["growth"].max(), 0)
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    axes.set_xscale("log")
    quotients = data["location_quotient"]
    axes.set_xlim(quotients.min() / 1.3, quotients.max() * 1.6)
    ticks = [tick for tick in (0.01, 0.03, 0.1, 0.3, 1, 3, 10) if _within(tick, axes.get_xlim())]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("location quotient (logarithmic; 1 = as strong as in the nation)")
    axes.axvline(1, color=theme.INK, linewidth=0.9)
    theme.zero_line(axes)
    theme.set_numbers(axes, signed=True)
    others = data[~data["is_targeted"] & data["growth"].between(*axes.get_ylim())]
    axes.plot(
        others["location_quotient"],
        others["growth"],
        "s",
        color=theme.OTHER,
        markersize=3,
        markerfacecolor="none",
        markeredgewidth=0.6,
        alpha=0.55,
    )
    axes.plot(own["location_quotient"], own["growth"], "o", color=theme.TARGETED, markersize=6)
    furthest = own.assign(size=own["growth"].abs()).sort_values("size", ascending=False)
    quadrant.name_cells(axes, furthest.head(MOST_NAMED), data)
    left_out = int((~data["is_targeted"]).sum() - len(others))
    note = "dots: its cells; squares: the same industries in other prefectures"
    theme.set_title(
        axes, f"Growth of product, {format_years(during.start, during.end)}, percent", note
    )
    return theme.close_chart(
        axes,
        alt=_describe_standing(own, data, left_out),
        data=data,
        unit="location quotient; growth of nominal product in percent",
        years=format_years(during.start, during.end),
        source=source,
    )


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _describe_standing(own: pd.DataFrame, data: pd.DataFrame, left_out: int) -> str:
    """Say in which corner its cells lie and which stand furthest out."""
    strong, grew = own["location_quotient"] > 1, own["growth"] > 0
    best, worst = own.loc[own["growth"].idxmax()], own.loc[own["growth"].idxmin()]
    outside = f" {left_out} other cells lie beyond the scale." if left_out else ""
    return (
        f"Scatter of {len(own)} cells of the project among {len(data)} of its industries. Strong "
        f"and growing: {int((strong & grew).sum())}; strong and shrinking: "
        f"{int((strong & ~grew).sum())}; weak and growing: {int((~strong & grew).sum())}; weak and "
        f"shrinking: {int((~strong & ~grew).sum())}. From {worst['label']} "
        f"({number(worst['growth'], signed=True)} percent) to {best['label']} "
        f"({number(best['growth'], signed=True)} percent).{outside}"
    )


def _short_name(project: pd.Series) -> str:
    """Return a project's name without brackets and without the word for what it is."""
    name = re.sub(r"\s*\(.*\)|(?<=Project),.*", "", register.title_of(project))
    return re.sub(r" (Project|Plan)$| (Promotion )?Strategy.*", "", name)


@theme.styled()
def plot_lineage(projects: pd.DataFrame, *, source: str = theme.POLICY_FACTS) -> Chart:
    """Draw which projects of the first term became which of the second.

    Parameters
    ----------
    projects : DataFrame
        Clean table ``projects``.
    source : str
        Names of the sources, ready to print.

    Returns
    -------
    Chart
        Dashed where a link is of low confidence.
    """
    links = portfolio.lineage(projects)
    names = projects.set_index("project_id").apply(_short_name, axis=1)
    is_same = links[links["kind"] == "continued"]["successor"]
    names[is_same] = "the same"
    first = projects.loc[projects["term"] == 1, "project_id"].tolist()
    second = projects.loc[projects["term"] == 2, "project_id"].tolist()
    column, row = 2.75, 1.9 * theme.LINE
    left = {name: row * (place + 0.5) for place, name in enumerate(first)}
    linked = links[(links["predecessor"] != "") & (links["successor"] != "")]
    ideal = linked["predecessor"].map(left).groupby(linked["successor"]).mean()
    wanted = [ideal.get(name, row * len(first)) for name in second]
    right = dict(zip(second, theme.spread(wanted, row), strict=True))
    height = max(max(left.values()), max(right.values())) + row / 2
    axes = theme.new_axes(height, theme.MARGIN, theme.MARGIN, top=0.72, bottom=theme.MARGIN)
    width = theme.inches(axes)[0]
    axes.set(xlim=(0, width), ylim=(height, min(0, min(right.values()) - row / 2)))
    axes.set(xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    for link in linked.itertuples():
        is_low = link.certainty == "low"
        axes.plot(
            [column + 0.06, width - column - 0.06],
            [left[link.predecessor], right[link.successor]],
            color=theme.MUTED if is_low else theme.TARGETED,
            linestyle=(0, (4, 3)) if is_low else "-",
            linewidth=1.3,
            gid="low-certainty" if is_low else "link",
        )
    for at, x, side in ((left, column, "right"), (right, width - column, "left")):
        for name, y in at.items():
            text = "\n".join(theme.wrap(names[name], column)[:2])
            axes.text(x, y, text, ha=side, va="center", linespacing=1.05)
    for x, side, word in ((column, "right", "Term 1"), (width - column, "left", "Term 2")):
        axes.annotate(
            word,
            (x, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha=side,
            va="bottom",
            **theme.strong(word),
        )
    theme.set_title(axes, "Which project became which; dashed: low confidence", above=0.2)
    kinds = links.drop_duplicates("successor")["kind"].value_counts()
    words = [f"{count} {kind}" for kind, count in kinds.items()]
    return theme.close_chart(
        axes,
        alt=(
            f"{len(first)} projects of term 1 on the left, {len(second)} of term 2 on the right, "
            f"{len(linked)} lines between them, {int((linked['certainty'] == 'low').sum())} of low "
            f"confidence. Projects of term 2: {listed(words)}."
        ),
        data=links,
        unit="projects",
        years=format_years(projects["first_fy"].min(), projects["funded_last_fy"].max()),
        source=source,
    )


def _describe_gap(profile: Profile, data: pd.DataFrame, reason: str) -> str:
    """Say how far the counterpart missed before the policy, and how far apart they are after."""
    if reason:
        return f"No synthetic counterpart of {profile.project['name_en']}: {reason}."
    start = profile.periods[0].end + 1
    before, since = data[data["year"] < start], data[data["year"] >= start]
    widest = since.loc[since["gap"].abs().idxmax()]
    in_term = since[since["year"].between(*profile.term.years)]
    is_outside = (since["gap"] < since["low"]) | (since["gap"] > since["high"])
    return (
        f"Line of the gap in shipments between its prefectures and their synthetic counterpart. "
        f"Before {start} it stays within {number(before['gap'].abs().max())} of zero; in the term "
        f"it runs from {number(in_term['gap'].min(), signed=True)} to "
        f"{number(in_term['gap'].max(), signed=True)}; it is widest in {widest['year']:.0f}, at "
        f"{number(widest['gap'], signed=True)}, where sets of other prefectures run from "
        f"{number(widest['low'], signed=True)} to {number(widest['high'], signed=True)}. Since "
        f"{start} it lies inside their band in {int((~is_outside).sum())} years and outside in "
        f"{int(is_outside.sum())}."
    )


def _describe_paths(profile: Profile) -> str:
    """Say where its cells and the same industries elsewhere start and end, and the widest gap."""
    data = profile.paths
    whole = data[data["industry"] == ALL].sort_values(["fy", "base"])
    start, end = whole.iloc[0], whole.iloc[-1]
    alt = (
        f"Lines in {data['industry'].nunique()} panels, FY{profile.join_year} = 100. All its cells "
        f"come from {number(start['own'])} in FY{start['fy']} to {number(end['own'])} in "
        f"FY{end['fy']}, the same industries elsewhere from {number(start['elsewhere'])} to "
        f"{number(end['elsewhere'])}.{_describe_band(profile)}"
    )
    last = data[(data["fy"] == end["fy"]) & (data["industry"] != ALL)]
    words = [
        f"{profile.industry_names[row.industry]} {number(row.own)} against {number(row.elsewhere)}"
        for row in last.itertuples()
    ]
    return f"{alt} By industry in FY{end['fy']}: {listed(words)}."


def _describe_band(profile: Profile) -> str:
    """Say in how many years after the join all its cells leave the band of connected groups."""
    rows = profile.path_bands
    rows = rows[(rows["industry"] == ALL) & (rows["base"] == profile.bases[1])]
    rows = rows[(rows["fy"] > profile.join_year) & (rows["n_groups"] > 0)]
    if rows.empty:
        return ""
    is_outside = (rows["gap"] < rows["low"]) | (rows["gap"] > rows["high"])
    return (
        f" After FY{profile.join_year} all its cells lie inside the band from "
        f"{rows['n_groups'].iloc[0]} groups of adjoining prefectures in "
        f"{int((~is_outside).sum())} years and outside in {int(is_outside.sum())}."
    )
