"""The landscape of cells in sentences and tables, from its records."""

import pandas as pd

from clusterpolicy.cells import landscape, shiftshare
from clusterpolicy.cells.landscape import Landscape
from clusterpolicy.cells.neighbours import FALSE_DISCOVERIES, NEIGHBOUR_RULE
from clusterpolicy.page.alttext import listed
from clusterpolicy.page.printing import Column, Table
from clusterpolicy.wording import format_interval, format_number, format_years

SOURCE = "this study, from the Prefectural Accounts (Cabinet Office)"


def quadrant_sentence(land: Landscape) -> str:
    """Say how many cells clearly gained and lost, and how many of those were targeted."""
    table = landscape.quadrants(land)
    kinds = table.groupby("growth")[["cells", "targeted"]].sum()
    total = kinds["cells"].sum()
    targeted = kinds["targeted"].sum()
    parts = [
        f"{format_number(kinds.at[kind, 'cells'])} clearly {words} "
        f"({format_number(kinds.at[kind, 'targeted'])} of them targeted)"
        for kind, words in (("gaining", "gained on"), ("losing", "lost to"))
    ]
    return (
        f"Of {format_number(total)} cells ({format_number(targeted)} of them targeted by some "
        f"term), {listed(parts)} the same industry elsewhere over {_span(land)}. This describes "
        "places; what the policy did to them is estimated above."
    )


def shift_sentence(land: Landscape) -> str:
    """Say in which prefectures most and least remains after nation and industries."""
    ranked = land.prefectures.sort_values("regional_rate")
    low, high = ranked.iloc[0], ranked.iloc[-1]
    parts = [
        f"{row['label']} ({format_number(row['regional_rate'], 1, True)} percent a year, interval "
        f"{format_interval(row['regional_rate_low'], row['regional_rate_high'])})"
        for row in (high, low)
    ]
    return (
        f"Once the growth of the nation and of its industries is taken off year by year, most "
        f"remains in {parts[0]} and least in {parts[1]}. {shiftshare.WARNING}"
    )


def spread_sentence(land: Landscape) -> str:
    """Say which industries are bunched in neighbouring prefectures, and by which rule."""
    alike = land.industries[land.industries["moran_q_value"] <= FALSE_DISCOVERIES]
    names = [
        f"{row.label.lower()} ({format_number(row.moran_value, 2)})" for row in alike.itertuples()
    ]
    found = f"alike in {listed(names)}" if names else "alike in no industry"
    return (
        f"By Moran's I, neighbours are {found}, more than chance explains after adjusting for "
        f"{len(land.industries)} industries. Neighbours are {NEIGHBOUR_RULE}. Plant sizes are not "
        "public, so the Ellison-Glaeser index is known between bounds only: from one plant in each "
        "prefecture to very many small ones."
    )


def movers_table(land: Landscape, most: int = 5) -> Table:
    """Print the cells that gained and lost most, with their intervals."""
    columns = (
        Column("label", "Cell"),
        Column("targeted", "Targeted"),
        Column("excess_shrunk", "Beyond the industry elsewhere", "", "signed", 1),
        Column("excess_shrunk_low", "95 % interval, from", "", "signed", 1),
        Column("excess_shrunk_high", "95 % interval, to", "", "signed", 1),
        Column("growth", "Growth", "", "signed", 1),
        Column("product_last", "Product in the last year", "million yen", "number"),
    )
    rows = landscape.movers(land, most)
    rows = rows.assign(targeted=rows["is_targeted"].map({True: "yes", False: "no"}))
    data = rows[[column.name for column in columns]]
    return Table(data, columns, "percent a year, nominal", _span(land), SOURCE)


def industries_table(land: Landscape) -> Table:
    """Print how unevenly each industry is spread, and whether neighbours are alike."""
    columns = (
        Column("label", "Industry"),
        Column("herfindahl_low", "Herfindahl, from", "", "number", 3),
        Column("herfindahl_high", "Herfindahl, to", "", "number", 3),
        Column("location_gini_low", "Locational Gini, from", "", "number", 2),
        Column("location_gini_high", "Locational Gini, to", "", "number", 2),
        Column("eg_low", "Ellison-Glaeser, from", "", "signed", 3),
        Column("eg_high", "Ellison-Glaeser, to", "", "signed", 3),
        Column("moran_value", "Moran's I", "", "signed", 2),
        Column("moran_q_value", "p, adjusted", "", "p", 3),
    )
    rows = land.industries.sort_values("location_gini_high", ascending=False, ignore_index=True)
    data = rows[[column.name for column in columns]]
    return Table(data, columns, "no unit", format_years(land.years[1]), SOURCE)


def describe_landscape(table: pd.DataFrame, medians: pd.DataFrame) -> str:
    """Say in an alternative text how the cells lie and where the middle of both groups is."""
    parts = [
        f"{row.cells:,} {row.strength} cells {row.growth} ({row.targeted:,} targeted)"
        for row in table.itertuples()
    ]
    middles = [
        f"{group} cells lie in the middle at a location quotient of "
        f"{format_number(row.lq_shrunk, 2)} and {format_number(row.excess_shrunk, 1, True)} percent"
        for group, row in medians.iterrows()
    ]
    return (
        f"Grid of cells by strength and growth: {listed(parts)}. Unclear means that the interval "
        f"of growth holds zero. {'; '.join(middles)[0].upper()}{'; '.join(middles)[1:]}."
    )


def _span(land: Landscape) -> str:
    return format_years(*land.years)
