"""What a reader who cannot see a figure is told: the numbers one would notice, in words."""

from collections.abc import Sequence

import pandas as pd

from clusterpolicy.evidence import RUN_VERDICTS, VERDICTS
from clusterpolicy.page.theme import excludes_zero, number, plain
from clusterpolicy.wording import format_years

KINDS = {
    "policy": "dates of the policy",
    "other policy": "other policies",
    "shock": "shocks",
    "break": "breaks in the figures",
}


def interval(low: float, high: float, decimals: int = 1) -> str:
    """Write the ends of an interval: −2.6 to 4.3."""
    return f"{number(low, decimals)} to {number(high, decimals)}"


def describe_paths(data: pd.DataFrame, base: int, last: int) -> str:
    """Say where both groups end, where they are furthest apart and whether intervals overlap."""
    ends = data[data["fy"] == last].set_index("group")
    parts = [
        f"{group} cells {number(row.value, signed=True)} (interval {interval(row.low, row.high)})"
        for group, row in ends.iterrows()
    ]
    alt = f"Lines of mean growth since FY{base}; by FY{last}: {' and '.join(parts)}."
    wide = data.pivot(index="fy", columns="group", values="value")
    if {"targeted", "other"} <= set(wide):
        gap = (wide["targeted"] - wide["other"]).dropna()
        at = gap.abs().idxmax()
        target, other = ends.loc["targeted"], ends.loc["other"]
        overlap = target["low"] <= other["high"] and other["low"] <= target["high"]
        alt += (
            f" The gap, targeted minus other, is widest in FY{at} at "
            f"{number(gap[at], signed=True)}; in FY{last} the two intervals "
            f"{'overlap' if overlap else 'do not overlap'}."
        )
    return alt


def describe_event_study(
    drawn: pd.DataFrame,
    base: int,
    term: tuple[int, int],
    outcome: str,
    unit: str,
    ends: pd.DataFrame,
) -> str:
    """Say how the estimates run before, in and after the term, and where they leave out zero.

    `ends` are those that the drawing cuts, with ``year``, ``value`` and ``is_band``.
    """
    if drawn.empty:
        return f"Event study of {outcome}: no year could be estimated."
    sentences = [f"Event study of {outcome}, {unit} against the base year FY{base}."]
    spans = {
        "Before the term": drawn["year"] < min(base, term[0]),
        "In the term": drawn["year"].between(*term),
        "After it": drawn["year"] > term[1],
    }
    for name, rows in spans.items():
        if rows.any():
            values = drawn.loc[rows, "estimate"]
            sentences.append(
                f"{name} the estimates run from {number(values.min())} to {number(values.max())}."
            )
    top = drawn.loc[drawn["estimate"].abs().idxmax()]
    sentences.append(
        f"The largest is {number(top['estimate'], signed=True)} in FY{top['year']:.0f} "
        f"(interval {interval(top['low'], top['high'])})."
    )
    for name, low, high in (
        ("The interval for a single year", "low", "high"),
        ("The band for all years together", "band_low", "band_high"),
    ):
        years = [
            f"FY{row['year']:.0f}"
            for _, row in drawn.iterrows()
            if excludes_zero(row[low], row[high])
        ]
        sentences.append(f"{name} leaves out zero in {listed(years) or 'no year'}.")
    for name, is_band in (("Intervals", False), ("The band", True)):
        cut = [
            f"{number(row.value, signed=True)} in FY{row.year}"
            for row in ends[ends["is_band"] == is_band].itertuples()
        ]
        if cut:
            verb = "goes" if is_band else "go"
            sentences.append(f"{name} {verb} beyond the drawing, to {listed(cut)}.")
    return " ".join(sentences)


def listed(items: Sequence[str]) -> str:
    """Join as in a sentence: a, b and c."""
    *rest, last = items or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


def describe_forest(
    data: pd.DataFrame, label: str, is_estimated: pd.Series, unit: str, limit: float
) -> str:
    """Say between what the estimates lie, how many leave out zero, are cut and are missing."""
    shown = data[is_estimated]
    alt = f"Forest plot of {len(data)} estimates, {unit}."
    if not shown.empty:
        clear = [
            excludes_zero(low, high) for low, high in zip(shown["low"], shown["high"], strict=True)
        ]
        top, bottom = shown.loc[shown["estimate"].idxmax()], shown.loc[shown["estimate"].idxmin()]
        alt += (
            f" They run from {number(bottom['estimate'], signed=True)} ({bottom[label]}) to "
            f"{number(top['estimate'], signed=True)} ({top[label]}); the interval leaves out zero "
            f"in {sum(clear)} of {len(shown)}."
        )
        cut = [
            f"{row[label]} ({interval(row['low'], row['high'])})"
            for _, row in shown.iterrows()
            if max(abs(row["low"]), abs(row["high"])) > limit
        ]
        if cut:
            alt += f" The interval goes beyond the drawing for {listed(cut)}."
    if len(shown) < len(data):
        names = [str(name) for name in data.loc[~is_estimated, label]]
        alt += f" Not estimable: {listed(names)}."
    return alt


def describe_map(data: pd.DataFrame, label: str) -> str:
    """Say which prefectures have most and least."""
    known = data.dropna(subset=["value"])
    if known.empty:
        return f"Tile map of the prefectures, {label}: no figure is known."
    top, low = known["value"].max(), known["value"].min()
    highest, lowest = (known.loc[known["value"] == v, "name_en"].tolist() for v in (top, low))
    alt = (
        f"Tile map of {len(known)} prefectures, {label}: from {plain(low)} ({some(lowest)}) to "
        f"{plain(top)} ({some(highest)}); the middle prefecture has "
        f"{plain(known['value'].median())}."
    )
    if "certainty" in data:
        alt += f" Hatched for low certainty: {(data['certainty'] == 'low').sum()}."
    return alt


def some(names: Sequence[str]) -> str:
    """Name up to three, and count the rest."""
    shown = [*names[:3], f"{len(names) - 3} more"] if len(names) > 4 else names
    return listed(shown)


def describe_timeline(spans: pd.DataFrame) -> str:
    """Say when each term ran by both clocks and how many events of each kind are drawn."""
    terms = spans[spans["kind"] == "term"]
    parts = []
    for name, rows in terms.groupby("name", sort=False):
        by_clock = rows.set_index("clock")
        planned, funded = (
            format_years(by_clock.at[clock, "first_year"], by_clock.at[clock, "last_year"])
            for clock in ("planned", "funded")
        )
        same = "as planned" if planned == funded else f"planned as {planned}"
        parts.append(f"{name}: {funded}, {same}")
    counts = spans[spans["kind"] != "term"].groupby("kind", sort=False)["name"].nunique()
    words = [f"{count} {KINDS[kind]}" for kind, count in counts.items()]
    return f"Timeline. {'; '.join(parts)}. Beside the terms: {listed(words)}."


def describe_series(data: pd.DataFrame, label: str, unit: str, chosen: pd.DataFrame) -> str:
    """Say where the series starts, peaks, dips and ends, and where it is broken."""
    known = data.dropna(subset=["value"])
    if known.empty:
        return f"{label}: no year has a figure for every prefecture."
    decimals = 0 if known["value"].max() >= 1000 else 1
    points = {
        "starts at": known.iloc[0],
        "is highest at": known.loc[known["value"].idxmax()],
        "lowest at": known.loc[known["value"].idxmin()],
        "and ends at": known.iloc[-1],
    }
    words = [
        f"{verb} {number(row['value'], decimals)} in {row['year']:.0f}"
        for verb, row in points.items()
    ]
    alt = f"Line of {label[0].lower()}{label[1:]}, {unit}: it {', '.join(words)}."
    missing = [f"{year:.0f}" for year in data.loc[data["value"].isna(), "year"]]
    if missing:
        alt += f" No sum for {listed(missing)}, when prefectures are missing."
    breaks = chosen.loc[chosen["kind"] == "break", "first_year"].drop_duplicates()
    marked = listed([f"{year}" for year in breaks])
    return f"{alt} Breaks are marked at {marked}." if marked else f"{alt} No break is marked."


def describe_scorecard(data: pd.DataFrame) -> str:
    """Say how many phrases fall under each verdict and how strong the evidence gets."""
    counts = data["verdict"].value_counts()
    is_run = data["grade"].isna().all()
    words = [f"{counts.get(each, 0)} {each}" for each in (RUN_VERDICTS if is_run else VERDICTS)]
    if is_run:
        return f"Scorecard of {len(data)} phrases on how the policy was run: {listed(words)}."
    best = data[data["grade"] == data["grade"].max()]
    return (
        f"Scorecard of {len(data)} phrases: {listed(words)}. The best evidence has grade "
        f"{best['grade'].iloc[0]}, for {len(best)} of them; for {(data['grade'] == 0).sum()} no "
        "figure was found."
    )


def describe_balance(data: pd.DataFrame, large: float) -> str:
    """Say which differences are large and which way they point."""
    beyond = data[data["value"].abs() > large]
    top = data.iloc[0]
    words = [f"{row.variable} ({number(row.value, 2, signed=True)})" for row in beyond.itertuples()]
    return (
        f"Dots of {len(data)} normalised differences, targeted minus other cells. The largest is "
        f"{number(top['value'], 2, signed=True)} standard deviations for {top['variable']} "
        f"(interval {interval(top['low'], top['high'], 2)}). Beyond a quarter of a standard "
        f"deviation: {listed(words) or 'none'}."
    )


def describe_waterfall(data: pd.DataFrame, unit: str) -> str:
    """Say how many rows are left and which step drops most."""
    first, last = data["kept"].iloc[0], data["kept"].iloc[-1]
    alt = f"Bars of a selection: {last:,} of {first:,} {unit} are left after {len(data) - 1} steps"
    if first == last:
        return f"{alt}; none is dropped."
    top = data.loc[data["dropped"].idxmax()]
    return f"{alt}; the step that drops most is {top['step']!r}, with {top['dropped']:,}."


def describe_quadrant(data: pd.DataFrame, medians: pd.DataFrame, extremes: pd.DataFrame) -> str:
    """Say how the groups differ in strength and growth, and which cells lie furthest out."""
    parts = [
        f"{group} cells ({row.cells:,.0f}) have a median location quotient of "
        f"{number(row.location_quotient, 2)} and a median growth of "
        f"{number(row.growth, signed=True)}"
        for group, row in medians.iterrows()
    ]
    alt = f"Scatter of {len(data):,} cells: {listed(parts)}."
    names = [
        f"{row.label} (quotient {number(row.location_quotient, 2)}, growth "
        f"{number(row.growth, signed=True)})"
        for row in extremes.itertuples()
    ]
    return f"{alt} Furthest out: {listed(names)}." if names else alt


def describe_suppression(data: pd.DataFrame) -> str:
    """Say how many cells of each status each base has, and when they are most."""
    total = data.groupby(["base", "status"])["cells"].sum().unstack(fill_value=0)
    parts = [
        f"{base}: " + listed([f"{count} {status}" for status, count in row.items()])
        for base, row in total.iterrows()
    ]
    by_year = data.groupby(["base", "fy"])["cells"].sum()
    base, fy = by_year.idxmax()
    return (
        f"Bars of cells without a usable figure, in cell-years. {'; '.join(parts)}. "
        f"Most in one year: {by_year.max()}, in FY{fy} of {base}."
    )
