"""How unevenly an industry is spread over prefectures: Herfindahl, Gini, Ellison-Glaeser bounds."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import optimize

# An index of the product of an industry by prefecture, given that of all manufacturing.
Index = Callable[[np.ndarray, np.ndarray], float]


def herfindahl(product: Sequence[float]) -> float:
    """Herfindahl index: the sum of squared shares [1]_.

    Parameters
    ----------
    product : sequence of float
        One figure per prefecture, any unit; a negative one is a negative share.

    Returns
    -------
    float
        From ``1 / n``, all alike, to 1, all in one place.

    References
    ----------
    .. [1] Herfindahl (1950), Concentration in the Steel Industry, Columbia University.
    """
    shares = np.asarray(product, dtype=float)
    shares = shares / shares.sum()
    return float(shares @ shares)


def gini(product: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Gini coefficient: mean difference between two places, over twice the mean [1]_.

    Parameters
    ----------
    product : sequence of float
        One figure per prefecture.
    weights : sequence of float, optional
        Shares of the prefectures in all manufacturing. With them the locational Gini [2]_: the
        differences are those of location quotients, ``1/2 sum_pq w_p w_q |LQ_p - LQ_q|``; without
        them every prefecture counts alike.

    Returns
    -------
    float
        0 where all are alike (with weights: as all manufacturing is spread) to nearly 1, all in
        one place; negative figures can carry it beyond.

    References
    ----------
    .. [1] Gini (1912), Variabilita e mutabilita, Bologna.
    .. [2] Krugman (1991), Geography and Trade, MIT Press, appendix C.
    """
    shares = np.asarray(product, dtype=float)
    shares = shares / shares.sum()
    n = len(shares)
    w = np.full(n, 1 / n) if weights is None else np.asarray(weights, dtype=float)
    w = w / w.sum()
    quotients = shares / w
    order = np.argsort(quotients, kind="stable")
    # Sorted, the double sum is one pass: each place against the weight below and above it.
    below = np.cumsum(w[order]) - w[order]
    above = 1 - np.cumsum(w[order])
    return float((shares[order] * (below - above)).sum())


def raw_concentration(product: Sequence[float], weights: Sequence[float]) -> float:
    """Raw geographic concentration ``G = sum (s_p - w_p)^2`` of Ellison and Glaeser [1]_.

    References
    ----------
    .. [1] Ellison and Glaeser (1997), Journal of Political Economy 105.
    """
    shares = np.asarray(product, dtype=float)
    w = np.asarray(weights, dtype=float)
    return float(((shares / shares.sum() - w / w.sum()) ** 2).sum())


def ellison_glaeser(concentration: float, weights: Sequence[float], plants: float) -> float:
    """Ellison-Glaeser index: concentration beyond what few plants make by chance [1]_.

    ``(G - (1 - X) H) / ((1 - X) (1 - H))`` with ``X = sum w_p^2``. No unit; 0 as by throwing darts,
    1 all in one place, negative where plants keep apart. It falls as ``H`` rises.

    Parameters
    ----------
    concentration : float
        ``G`` from :func:`raw_concentration`.
    weights : sequence of float
        Shares of the prefectures in all manufacturing.
    plants : float
        ``H``: Herfindahl index of plant sizes, 0 (very many small ones) to below 1.

    References
    ----------
    .. [1] Ellison and Glaeser (1997), Journal of Political Economy 105.
    """
    w = np.asarray(weights, dtype=float)
    spread = 1 - ((w / w.sum()) ** 2).sum()
    if not 0 <= plants < 1:
        raise ValueError(f"ellison_glaeser: found a plant Herfindahl of {plants}: 0 to below 1")
    return float((concentration - spread * plants) / (spread * (1 - plants)))


def plant_herfindahl_bounds(
    product: Sequence[float], counts: Sequence[float] | None = None
) -> tuple[float, float]:
    """Bound the Herfindahl index of plant sizes, which no public table states.

    Given the total of each prefecture, it is lowest if the plants of a prefecture are alike,
    ``sum s_p^2 / n_p``, and highest if one plant holds all of each: ``sum s_p^2``.

    Parameters
    ----------
    product : sequence of float
        One figure per prefecture.
    counts : sequence of float, optional
        Plants of the industry in each prefecture; not public by prefecture and industry of the
        accounts, so without them the lower bound is 0.

    Returns
    -------
    tuple of float
        Least and most.
    """
    shares = np.asarray(product, dtype=float).clip(min=0)
    squares = (shares / shares.sum()) ** 2
    if counts is None:
        return 0.0, float(squares.sum())
    n = np.asarray(counts, dtype=float)
    if ((n < 1) & (squares > 0)).any():
        raise ValueError(
            "plant_herfindahl_bounds: found product where no plant is counted: give the counts of "
            "the same places"
        )
    return float((squares / np.maximum(n, 1)).sum()), float(squares.sum())


def bound_index(
    index: Index, low: np.ndarray, high: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """Bound an index of concentration over all that the hidden figures can be.

    Each index here is a convex function over a positive linear one, so quasi-convex: largest at a
    corner of the box of hidden figures, and with one valley inside, which Powell's method seeks.

    Parameters
    ----------
    index : callable
        Takes product and weights.
    low, high : array
        Least and most of each figure; equal where it is printed.
    weights : array
        Shares of the prefectures in all manufacturing.

    Returns
    -------
    tuple of float
        Least and most.
    """
    hidden = np.flatnonzero(low < high)
    if not len(hidden):
        value = index(low, weights)
        return value, value

    def at(values: Sequence[float]) -> float:
        product = low.copy()
        product[hidden] = values
        return index(product, weights)

    corners = np.array(np.meshgrid(*zip(low[hidden], high[hidden], strict=True)))
    found = [at(corner) for corner in corners.reshape(len(hidden), -1).T]
    inside = optimize.minimize(
        at,
        (low[hidden] + high[hidden]) / 2,
        bounds=list(zip(low[hidden], high[hidden], strict=True)),
        method="Powell",
    )
    return min(*found, float(inside.fun)), max(found)


INDICES: dict[str, Index] = {
    "herfindahl": lambda product, weights: herfindahl(product),
    "gini": lambda product, weights: gini(product),
    "location_gini": gini,
    "raw_concentration": raw_concentration,
}


def concentrate(cells: pd.DataFrame, years: Sequence[int] | None = None) -> pd.DataFrame:
    """Measure how unevenly each industry is spread over the 47 prefectures.

    The size of a place is its nominal product. Plant sizes are not public, and plants are not
    counted by prefecture and industry of the accounts: the Ellison-Glaeser index is bounded from
    one plant in each prefecture (lowest) to very many small plants (highest).

    Parameters
    ----------
    cells : DataFrame
        From ``measures.measure_cells``: one base.
    years : sequence of int, optional
        Fiscal years; all if not given.

    Returns
    -------
    DataFrame
        One row per industry and fiscal year: ``n_hidden`` and, for ``herfindahl``, ``gini``,
        ``location_gini`` and ``raw_concentration``, the value (NaN where a prefecture is hidden)
        with ``_low`` and ``_high`` over all that hidden cells can hold; ``eg_low``, ``eg_high``.
    """
    chosen = cells if years is None else cells[cells["fy"].isin(years)]
    rows = []
    for (industry, fy), group in chosen.groupby(["industry", "fy"]):
        weights = group["prefecture_million_yen"].to_numpy()
        low, high = group["product_low"].to_numpy(), group["product_high"].to_numpy()
        n_hidden = int((group["status"] == "hidden").sum())
        row = {"industry": industry, "fy": fy, "n_hidden": n_hidden}
        for name, index in INDICES.items():
            least, most = bound_index(index, low, high, weights)
            row |= {name: least if n_hidden == 0 else np.nan}
            row |= {f"{name}_low": least, f"{name}_high": most}
        # The most that one plant a prefecture can make of it, whatever the hidden cells hold.
        plants = bound_index(INDICES["herfindahl"], low.clip(0), high.clip(0), weights)[1]
        least = row["raw_concentration_low"]
        row["eg_low"] = ellison_glaeser(least, weights, plants) if plants < 1 else -np.inf
        row["eg_high"] = ellison_glaeser(row["raw_concentration_high"], weights, 0.0)
        rows.append(row)
    return pd.DataFrame(rows)
