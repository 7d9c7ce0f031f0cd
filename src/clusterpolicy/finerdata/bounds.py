"""What a hidden figure can be at least and at most, given the totals that are printed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import optimize, sparse
from scipy.sparse import csgraph

from clusterpolicy import sources
from clusterpolicy.finerdata.marks import HIDDEN, OBSERVED, Log, status_of
from clusterpolicy.finerdata.municipalities import AREA_KEYS

# HiGHS keeps a sum to 1e-7 of its scale; bounds are opened by as much, never closed.
SOLVER_TOLERANCE = 1e-7
# Money is printed in 10,000 yen: what lies below is an error of adding floating-point numbers up.
PRINTED_DECIMALS = 2
MOST_SHORT_SUMS = 0.01
# The survey covers establishments with four employees or more.
FEWEST_EMPLOYEES = 4.0
LOWEST_PER_ESTABLISHMENT = {"employees": FEWEST_EMPLOYEES}
# Measures that can be negative have no lowest value to start from.
SIGNED = frozenset({"value_added_million_yen", "product_million_yen"})


def bound_cells(
    lowest: np.ndarray,
    highest: np.ndarray,
    members: sparse.sparray,
    totals: np.ndarray,
    labels: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Bound every unknown cell by the sums it is part of.

    Sums that share cells are solved together by linear programming. A cell that stands in one sum
    with no other sum across it has the solution in closed form: the total less all that the other
    cells can hold at least, or at most.

    Parameters
    ----------
    lowest, highest : ndarray, n_cells
        What a cell can hold whatever the sums; infinite where nothing is known.
    members : sparse array, n_sums x n_cells
        1 where a cell is part of a sum.
    totals : ndarray, n_sums
        What the unknown cells of each sum add up to.
    labels : sequence of str, optional
        Name of each sum, for messages.

    Returns
    -------
    low, high : ndarray, n_cells
        Sharp bounds (up to the tolerance of the solver where sums share cells), in the unit of the
        totals.

    Raises
    ------
    sources.DataFault
        If no figures add up to the totals; names one of the sums.
    """
    members = sparse.csr_array(members)
    labels = [str(i) for i in range(members.shape[0])] if labels is None else labels
    low, high = np.array(lowest, dtype=float), np.array(highest, dtype=float)
    part = _components(members)
    sums_of_part = np.bincount(part[: members.shape[0]], minlength=part.max(initial=-1) + 1)
    is_alone = sums_of_part[part[: members.shape[0]]] == 1
    _bound_rows(low, high, members[is_alone], totals[is_alone], _pick(labels, is_alone))
    shared = np.flatnonzero(~is_alone)
    if shared.size:
        cells = np.unique(members[shared].indices)
        block = part[members.shape[0] + cells]
        crossed = members[shared][:, cells]
        found = _solve(low[cells], high[cells], crossed, totals[shared], block)
        if found is None:
            raise sources.DataFault(
                f"{labels[shared[0]]}: no figures of its hidden cells fit this total and those "
                f"that cross it ({shared.size} sums): a total is wrong: look at the file"
            )
        low[cells], high[cells] = found
    return low, high


def _pick(labels: Sequence[str], chosen: np.ndarray) -> list[str]:
    return [labels[i] for i in np.flatnonzero(chosen)]


def _components(members: sparse.csr_array) -> np.ndarray:
    """Return the number of the group that each sum, then each cell, hangs together with."""
    n_sums, n_cells = members.shape
    graph = sparse.block_array([[None, members], [sparse.csr_array((n_cells, n_sums)), None]])
    return csgraph.connected_components(graph, directed=False)[1]


def _bound_rows(
    low: np.ndarray,
    high: np.ndarray,
    members: sparse.csr_array,
    totals: np.ndarray,
    labels: Sequence[str],
) -> None:
    """Bound, in place, the cells of sums that share no cell."""
    row = np.repeat(np.arange(members.shape[0]), np.diff(members.indptr))
    cell = members.indices
    least, most = low[cell], high[cell]
    is_open_low, is_open_high = np.isinf(least), np.isinf(most)
    n = members.shape[0]
    # An infinite part is counted, not added: taking it out again would leave "inf - inf".
    sum_low = np.bincount(row, np.where(is_open_low, 0.0, least), n)
    sum_high = np.bincount(row, np.where(is_open_high, 0.0, most), n)
    open_low, open_high = np.bincount(row, is_open_low, n), np.bincount(row, is_open_high, n)
    slack = SOLVER_TOLERANCE * np.maximum(np.abs(totals), 1.0)
    wrong = ((open_low == 0) & (sum_low > totals + slack)) | (
        (open_high == 0) & (sum_high < totals - slack)
    )
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise sources.DataFault(
            f"{labels[first]}: its hidden cells must add up to {totals[first]:.2f}, but can hold "
            f"{sum_low[first]:.2f} to {'any sum' if open_high[first] else f'{sum_high[first]:.2f}'}"
            ": a total is wrong: look at the file"
        )
    others_low = np.where(
        open_low[row] - is_open_low > 0, -np.inf, sum_low[row] - np.where(is_open_low, 0.0, least)
    )
    others_high = np.where(
        open_high[row] - is_open_high > 0, np.inf, sum_high[row] - np.where(is_open_high, 0.0, most)
    )
    low[cell] = np.maximum(least, totals[row] - others_high)
    high[cell] = np.minimum(most, totals[row] - others_low)


def _solve(
    low: np.ndarray,
    high: np.ndarray,
    members: sparse.csr_array,
    totals: np.ndarray,
    block: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve for the least and the most of each cell; None if nothing fits.

    Blocks do not touch, so one programme serves a cell of each: its objective is their sum.
    """
    _, block = np.unique(block, return_inverse=True)
    sums, cells = members.nonzero()
    # The solver's tolerance is one of its sums, so that it grows with the totals of a block.
    largest = np.ones(block.max() + 1)
    np.maximum.at(largest, block[cells], np.abs(totals[sums]))
    slack = SOLVER_TOLERANCE * largest[block]
    order = np.argsort(block, kind="stable")
    turn = np.empty(len(block), dtype=int)
    starts = np.searchsorted(block[order], np.arange(len(largest)))
    turn[order] = np.arange(len(block)) - starts[block[order]]
    found = np.column_stack([low, high])
    for now in range(turn.max() + 1):
        chosen = turn == now
        for side, sign in ((0, 1.0), (1, -1.0)):
            best = optimize.linprog(
                sign * chosen,
                A_eq=sparse.csc_array(members),
                b_eq=totals,
                bounds=np.column_stack([low, high]),
                method="highs",
            )
            if best.status == 2:
                return None
            if best.status != 0:  # unbounded in one block: the box is all that is known
                continue
            found[chosen, side] = best.x[chosen] - sign * slack[chosen]
    return np.maximum(found[:, 0], low), np.minimum(found[:, 1], high)


def bound_census(
    lines: pd.DataFrame, measure: str, industry: str, total: str, log: Log | None = None
) -> pd.DataFrame:
    """Bound what the municipal census hides, by municipality and industry.

    The hidden industries of a municipality add up to its total less its printed industries; hidden
    totals of villages add up to that of the prefecture less the printed ones.

    Parameters
    ----------
    lines : DataFrame
        Census of one or more years with its prefecture lines, without parents; from
        ``census.clean_census``, or from ``census.group_industries`` with ``detail``.
    measure : str
        Column to bound.
    industry : str
        Column of the industry: ``"jsic2_code"`` or ``"industry_group"``.
    total : str
        Its value on the lines of all industries: ``"00"`` or ``"all"``.
    log : Log, optional
        Takes a note of totals that leave too little for their hidden parts: printed so (Sakai 2001
        leaves nothing for a plant that it counts). Their cells keep no upper bound.

    Returns
    -------
    DataFrame
        One row per hidden cell: ``AREA_KEYS``, `industry`, ``establishments``, ``low`` and
        ``high`` in the unit of `measure`; infinite where nothing bounds it.

    Raises
    ------
    sources.DataFault
        If more than one total in a hundred leaves too little for its parts.
    ValueError
        If parents stand in `lines`.
    """
    if (lines["level"] == "parent").any():
        raise ValueError("bound_census: found cities beside their wards: drop them first")
    lines = lines.reset_index(drop=True)
    codes = lines[status_of(measure)].cat.codes.to_numpy()
    known = lines.get(f"{measure}_known", lines[measure]).fillna(0.0).to_numpy()
    is_total = (lines[industry] == total).to_numpy()
    is_prefecture = (lines["level"] == "prefecture").to_numpy()
    # A sum has the number year and area: the industries of a municipality, or the municipalities
    # of a prefecture.
    year = lines["year"] * 100_000
    own = year + lines["muni_code"].astype(int)
    sum_of = own.where(~is_total, year + lines["pref_code"].astype(int) * 1000)
    is_sum = is_total & (codes == OBSERVED)
    printed = pd.Series(lines.loc[is_sum, measure].to_numpy(), index=own[is_sum])
    is_part = ~is_prefecture
    shown = pd.Series(known[is_part]).groupby(sum_of[is_part].to_numpy()).sum()
    is_hidden = is_part & (codes == HIDDEN)
    rest = (printed - shown.reindex(printed.index, fill_value=0.0)).round(PRINTED_DECIMALS)
    lowest = _lowest(lines[is_hidden], measure)
    of_cell = sum_of[is_hidden].to_numpy()
    usable = _usable_sums(rest, pd.Series(lowest).groupby(of_cell).sum(), measure, log)
    has_sum = np.isin(of_cell, usable)
    numbers, row = np.unique(of_cell[has_sum], return_inverse=True)
    members = sparse.csr_array(
        (np.ones(len(row)), (row, np.flatnonzero(has_sum))), shape=(len(numbers), len(of_cell))
    )
    labels = [_label(measure, number) for number in numbers]
    no_limit = np.full(len(lowest), np.inf)
    low, high = bound_cells(lowest, no_limit, members, rest.loc[numbers].to_numpy(), labels)
    hidden = lines.loc[is_hidden, [*AREA_KEYS, industry, "establishments"]]
    base = known[is_hidden]  # a group may have printed parts beside the hidden ones
    return hidden.assign(low=low + base, high=high + base).reset_index(drop=True)


def _usable_sums(rest: pd.Series, least: pd.Series, measure: str, log: Log | None) -> np.ndarray:
    """Return the numbers of the sums that leave enough for their hidden parts."""
    left = rest.reindex(least.index).dropna()
    # A hidden part that leaves no trace in the total is not in it, whatever its lowest value is.
    is_signed = np.isinf(least[left.index])
    short = left[(left < least[left.index]) | ((left <= 0) & ~is_signed)]
    if len(short) > MOST_SHORT_SUMS * len(left):
        raise sources.DataFault(
            f"{_label(measure, short.index[0])}: the total leaves {short.iloc[0]:.2f} for hidden "
            f"parts that hold {least[short.index[0]]:.2f} or more ({len(short)} such totals of "
            f"{len(left)}): look at the file"
        )
    if log is not None:
        for number, leaves in short.items():
            where = _label(measure, number)
            log.note(
                where, "total not used as a bound", 1, f"leaves {leaves:.2f}", "no upper bound"
            )
    return left.index.difference(short.index).to_numpy()


def _label(measure: str, number: int) -> str:
    return f"{measure} of {number // 100_000}, area {number % 100_000:05d}"


def _lowest(cells: pd.DataFrame, measure: str) -> np.ndarray:
    if measure in SIGNED:
        return np.full(len(cells), -np.inf)
    per_establishment = LOWEST_PER_ESTABLISHMENT.get(measure, 0.0)
    # In a group, `gaps` of the codes are hidden; how many establishments they hold is not told.
    gaps = cells.get(f"{measure}_gaps")
    count = cells["establishments"] if gaps is None else gaps
    return per_establishment * count.to_numpy(dtype=float)


def add_up_bounds(
    lines: pd.DataFrame, bounds: pd.DataFrame, measure: str, industry: str, total: str
) -> pd.DataFrame:
    """Add printed and hidden cells up by prefecture and industry, and say what is missing.

    Parameters
    ----------
    lines, measure, industry, total
        As for ``bound_census``.
    bounds : DataFrame
        From ``bound_census``.

    Returns
    -------
    DataFrame
        One row per ``year``, ``pref_code`` and `industry`: ``known`` (sum of the printed cells),
        ``low`` and ``high`` (with the hidden ones), ``hidden_cells``, and ``untold``: the part of
        the prefecture in areas without industry lines, which may belong to any industry.
    """
    keys = ["year", "pref_code", industry]
    value = lines.get(f"{measure}_known", lines[measure]).fillna(0.0)
    parts = lines.assign(known=value)[lines["level"] != "prefecture"]
    of_industry = parts[parts[industry] != total]
    sums = of_industry.groupby(keys)["known"].sum().to_frame()
    is_hidden = bounds[industry] != total
    hidden = bounds[is_hidden].merge(
        of_industry[["year", "muni_code", industry, "known"]],
        on=["year", "muni_code", industry],
        how="left",
        validate="one_to_one",
    )
    extra = hidden.assign(
        low=hidden["low"] - hidden["known"], high=hidden["high"] - hidden["known"]
    )
    by_cell = extra.groupby(keys).agg(
        low=("low", "sum"), high=("high", "sum"), hidden_cells=("low", "size")
    )
    sums = sums.join(by_cell, how="left", validate="one_to_one").fillna(
        {"low": 0.0, "high": 0.0, "hidden_cells": 0}
    )
    sums["low"] += sums["known"]
    sums["high"] += sums["known"]
    told = parts[parts[industry] == total].merge(
        of_industry[["year", "muni_code"]].drop_duplicates(),
        on=["year", "muni_code"],
        how="inner",
        validate="one_to_one",
    )
    national = lines[lines["level"] == "prefecture"].set_index(["year", "pref_code"])[measure]
    covered = told.groupby(["year", "pref_code"])[measure].sum()
    untold = national.sub(covered.reindex(national.index, fill_value=0.0)).rename("untold")
    result = sums.reset_index().merge(
        untold.reset_index(), on=["year", "pref_code"], how="left", validate="many_to_one"
    )
    return result.astype({"hidden_cells": int})
