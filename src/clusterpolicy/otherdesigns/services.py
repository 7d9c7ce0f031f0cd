"""Information services: the cells that projects of IT and content were about.

The triple difference of the main estimate on service sectors of the accounts: information services
where a project named IT or content, against the same sector elsewhere and against other private
services of the same prefectures. Decision 0019 says which sectors those are, and why.
"""

import numpy as np
import pandas as pd

from clusterpolicy import concordance, effects, policy
from clusterpolicy.effects import CELL, Design, Sample
from clusterpolicy.panel import Study

OUTCOME = "information_services"
# The sector is printed from FY2001 (b2005) and from FY2006 (b2011), so no base reaches before the
# first term, and b2011 does not reach before the second. The first base of a term is the main one.
BASES_OF_TERM: dict[int, tuple[str, ...]] = {1: (), 2: ("b2005",), 3: ("b2005", "b2011")}


def designs_of_term(study: Study, number: int) -> list[Design]:
    """List the designs of a term: both clocks, both fields maps, each base.

    In the second term there is one more of each: cells that both terms targeted, because only
    those of one bureau were targeted for the first time.

    Returns
    -------
    list of Design
        Empty for the first term; see :func:`why_none`.
    """
    span = study.sector_panel.groupby("base")["fy"].agg(["min", "max"])
    designs = []
    for clock in policy.CLOCKS:
        term = policy.choose_term(study.terms, number, clock)
        for fields_map in policy.FIELDS_MAPS:
            for base in BASES_OF_TERM[number]:
                first_fy, last_fy = (int(year) for year in span.loc[base])
                design = Design(
                    term, base, fields_map, effects.MAIN_SAMPLE, first_fy, last_fy, OUTCOME
                )
                designs.append(design)
                if number == 2:
                    designs.append(effects.continued_design(design))
    return designs


def why_none(study: Study, number: int) -> str:
    """Say why a term has no design, as a record says it; empty if it has one."""
    if BASES_OF_TERM[number]:
        return ""
    first_fy = int(study.sector_panel["fy"].min())
    return f"0 years before the term: information services are reported from FY{first_fy}"


def mark_cells(study: Study, base: str, fields_map: str) -> pd.DataFrame:
    """List the cells that are compared and mark those that each term targeted.

    Parameters
    ----------
    study : Study
    base : str
        ``"b2005"`` or ``"b2011"``.
    fields_map : str
        ``"broad"`` or ``"narrow"``: alike for information services, which no field names broadly.

    Returns
    -------
    DataFrame
        One row per prefecture and sector that is targeted or compared: ``pref_code``,
        ``industry``, ``block``, ``is_targeted_1``, ``is_targeted_2``.
    """
    sectors = study.sectors[(study.sectors["base"] == base) & (study.sectors["compared"] != "no")]
    field_map = concordance.fields_to_sectors(study.field_industries, sectors)
    targeted = policy.target_cells(study.targets, field_map)
    targeted = targeted[targeted["fields_map"] == fields_map]
    blocks = study.prefectures[["pref_code", "block"]]
    cells = blocks.merge(sectors[["industry"]], how="cross")
    place = pd.MultiIndex.from_frame(cells[CELL])
    for term in (1, 2):
        of_term = pd.MultiIndex.from_frame(targeted.loc[targeted["term"] == term, CELL])
        cells[f"is_targeted_{term}"] = place.isin(of_term)
    return cells[[*CELL, "block", "is_targeted_1", "is_targeted_2"]]


def cell_sample(study: Study, design: Design) -> Sample:
    """Take the cells and years of a design from the service sectors of the accounts.

    Targeted cells and those set apart follow the rule of ``effects.cell_sample``: for term 2 the
    cells it targeted first (or, if the design says so, those that term 1 targeted too), for term 3
    those targeted when the money ended; cells targeted in other terms only are left out.

    Returns
    -------
    Sample
        ``rows`` with ``pref_code``, ``industry`` (sector), ``block``, ``fy``, ``is_targeted``,
        ``in_term`` and ``log_outcome`` (natural log of million yen).

    Raises
    ------
    ValueError
        If the accounts of no base reach before the term.

    Examples
    --------
    >>> designs = services.designs_of_term(study, 3)
    >>> services.cell_sample(study, designs[0]).cells.groupby("is_targeted").size()
    """
    reason = why_none(study, design.term.number)
    if reason:
        raise ValueError(f"term {design.term.number}: {reason}: choose term 2 or 3")
    cells = mark_cells(study, design.base, design.fields_map)
    first, second = cells["is_targeted_1"], cells["is_targeted_2"]
    is_targeted = second if design.term.number == 3 else second & ~first
    if design.is_continued:
        is_targeted = first & second
    is_apart = (first | second) & ~is_targeted
    cells = cells.assign(is_targeted=is_targeted, is_apart=is_apart)

    panel = study.sector_panel[study.sector_panel["base"] == design.base]
    in_term = panel["fy"].between(*design.term_years)
    in_baseline = panel["fy"].between(*design.baseline_years)
    rows = panel.assign(in_term=in_term)[in_baseline | in_term].merge(
        cells[[*CELL, "block", "is_targeted", "is_apart"]], on=CELL, validate="many_to_one"
    )
    steps = [("cell-years of the baseline and the term", len(rows))]
    rows = rows[~rows["is_apart"]]
    steps.append(("not targeted in other terms only", len(rows)))
    rows = rows[(rows["status"] == "observed") & (rows["product_million_yen"] > 0)]
    steps.append(("reported and above zero", len(rows)))
    by_cell = rows.groupby(CELL)["in_term"]
    rows = rows[by_cell.transform("any") & ~by_cell.transform("all")]
    steps.append(("cells seen in baseline and term", len(rows)))
    rows = rows.assign(log_outcome=np.log(rows["product_million_yen"]))
    columns = [*CELL, "block", "fy", "is_targeted", "in_term", "log_outcome"]
    rows = rows[columns].sort_values([*CELL, "fy"], ignore_index=True)
    return Sample(design, rows, pd.DataFrame(steps, columns=["step", "rows"]))
