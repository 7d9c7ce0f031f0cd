"""Whether neighbouring prefectures are alike, and groups of them that hang together."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWS = 9_999
SEED = 20_010_401  # the policy's first day
LEVEL = 0.95
GROUPS = 499  # connected groups that stand for a territory
SHARED, REACH = 0.5, 2  # of a shock, felt one border further on; and over how many borders
TRIES = 100  # grown groups for each one asked for, before fewer are taken
FALSE_DISCOVERIES = 0.05  # of the prefectures called a cluster, this share may be chance

NEIGHBOUR_RULE = (
    "prefectures with a common land border, or joined by a bridge or tunnel that carries a road "
    "or railway (so Hokkaido is a neighbour of Aomori); Okinawa has no neighbour and is left out"
)


@dataclass(frozen=True)
class Weights:
    """Who is a neighbour of whom, each neighbour of a prefecture counting alike.

    Attributes
    ----------
    codes : tuple of str
        Prefectures with at least one neighbour, in order.
    matrix : array, n x n
        Rows add up to one.
    islands : tuple of str
        Prefectures without a neighbour, left out of every measure.
    """

    codes: tuple[str, ...]
    matrix: np.ndarray
    islands: tuple[str, ...]


def weigh_neighbours(pairs: pd.DataFrame, codes: list[str]) -> Weights:
    """Turn pairs of neighbours into row-standardised weights.

    Parameters
    ----------
    pairs : DataFrame
        Table ``neighbours``: ``pref_code_a``, ``pref_code_b``, each pair once.
    codes : list of str
        Prefectures to use; a pair with another one is left out, so that a prefecture without a
        figure does not count as zero.

    Returns
    -------
    Weights

    Raises
    ------
    ValueError
        If a prefecture is its own neighbour, or no two of `codes` are neighbours.
    """
    codes = sorted(codes)
    place = {code: number for number, code in enumerate(codes)}
    touching = np.zeros((len(codes), len(codes)))
    for one, other in zip(pairs["pref_code_a"], pairs["pref_code_b"], strict=True):
        if one == other:
            raise ValueError(f"weigh_neighbours: prefecture {one} is its own neighbour: correct it")
        if one in place and other in place:
            touching[place[one], place[other]] = touching[place[other], place[one]] = 1
    has_any = touching.any(axis=1)
    if not has_any.any():
        raise ValueError("weigh_neighbours: no two of the prefectures are neighbours: add pairs")
    matrix = touching[np.ix_(has_any, has_any)]
    return Weights(
        tuple(code for code, kept in zip(codes, has_any, strict=True) if kept),
        matrix / matrix.sum(axis=1, keepdims=True),
        tuple(code for code, kept in zip(codes, has_any, strict=True) if not kept),
    )


@dataclass(frozen=True)
class Groups:
    """Groups of prefectures that hang together over borders and fixed links.

    Attributes
    ----------
    codes : tuple of str
        Prefectures that could be drawn, in order.
    members : array of bool, n_groups x n_codes
        No group twice.
    is_complete : bool
        Whether these are all there are.
    """

    codes: tuple[str, ...]
    members: np.ndarray
    is_complete: bool


def connected_groups(
    pairs: pd.DataFrame, codes: list[str], size: int, draws: int = GROUPS, seed: int = SEED
) -> Groups:
    """Return the connected groups of `size` prefectures, or a sample of them.

    All of them, if there are at most `draws`. Otherwise groups are grown: from a prefecture drawn
    at random among those in a large enough part of the map, one neighbour of the group after the
    other, each as likely as any other; a group that came up before is drawn again. This is not
    uniform: compact groups, and those in the thick of the map, can be grown in more orders and
    come up more often than long ones along a coast. Drawing without repetition evens that out the
    more, the fewer groups there are.

    Parameters
    ----------
    pairs : DataFrame
        Table ``neighbours``. A prefecture without neighbour among `codes` is a group of one and
        belongs to no larger one: so is Okinawa, while Hokkaido hangs on Aomori by its tunnel.
    codes : list of str
        Prefectures that may be in a group, in any order.
    size : int
        Prefectures in each group.
    draws, seed : int
        The same codes, size and seed give the same groups, whatever the order of the rows.

    Returns
    -------
    Groups
        Without members if no part of the map is large enough.
    """
    codes = sorted(codes)
    place = {code: number for number, code in enumerate(codes)}
    near: dict[int, set[int]] = {number: set() for number in range(len(codes))}
    for one, other in zip(pairs["pref_code_a"], pairs["pref_code_b"], strict=True):
        if one in place and other in place and one != other:
            near[place[one]].add(place[other])
            near[place[other]].add(place[one])
    parts = [part for part in _parts(near) if len(part) >= size]
    near = {number: near[number] for part in parts for number in part}
    found: list[frozenset[int]] = []
    for group in _every_group(near, size):
        found.append(group)
        if len(found) > draws:
            break
    is_complete = len(found) <= draws
    if not is_complete:
        found = _grown_groups(near, size, draws, [seed, zlib.crc32(";".join(codes).encode()), size])
    members = np.zeros((len(found), len(codes)), dtype=bool)
    for row, group in enumerate(found):
        members[row, sorted(group)] = True
    return Groups(tuple(codes), members, is_complete)


def shared_shocks(pairs: pd.DataFrame, codes: list[str]) -> np.ndarray:
    """Return how what befalls one prefecture is felt in others: a declared picture, no estimate.

    ``SHARED ** d`` at ``d`` borders or fixed links, up to ``REACH`` of them. Rows are scaled to
    length one: of independent shocks of one variance, all prefectures then feel the same variance,
    and neighbours feel much the same.

    Parameters
    ----------
    pairs : DataFrame
        Table ``neighbours``.
    codes : list of str

    Returns
    -------
    ndarray, n_codes x n_codes
        In the order of the sorted codes.
    """
    codes = sorted(codes)
    touches = np.eye(len(codes), dtype=int)
    place = {code: number for number, code in enumerate(codes)}
    for one, other in zip(pairs["pref_code_a"], pairs["pref_code_b"], strict=True):
        if one in place and other in place:
            touches[place[one], place[other]] = touches[place[other], place[one]] = 1
    felt, reached = np.eye(len(codes)), np.eye(len(codes), dtype=int)
    for step in range(1, REACH + 1):
        within = ((reached @ touches) > 0).astype(int)
        felt += SHARED**step * (within - reached)
        reached = within
    return felt / np.linalg.norm(felt, axis=1, keepdims=True)


def _parts(near: Mapping[int, set[int]]) -> list[set[int]]:
    """Split a graph into its connected parts."""
    left, parts = set(near), []
    while left:
        part, new = set(), {min(left)}
        while new:
            part |= new
            new = {other for each in new for other in near[each]} - part
        left -= part
        parts.append(part)
    return parts


def _every_group(near: Mapping[int, set[int]], size: int) -> Iterator[frozenset[int]]:
    """Yield each connected group of `size` once, by the algorithm of Wernicke [1]_.

    References
    ----------
    .. [1] Wernicke (2006), IEEE/ACM Transactions on Computational Biology 3(4), algorithm ESU.
    """

    def extend(group: set[int], waiting: list[int], root: int) -> Iterator[frozenset[int]]:
        if len(group) == size:
            yield frozenset(group)
            return
        waiting = list(waiting)
        around = group.union(*(near[each] for each in group))
        while waiting:
            new = waiting.pop(0)
            more = sorted(each for each in near[new] if each > root and each not in around)
            yield from extend(group | {new}, waiting + more, root)

    for root in sorted(near):
        yield from extend({root}, sorted(each for each in near[root] if each > root), root)


def _grown_groups(
    near: Mapping[int, set[int]], size: int, draws: int, seed: list[int]
) -> list[frozenset[int]]:
    rng = np.random.default_rng(seed)
    starts = sorted(near)
    found: dict[frozenset[int], None] = {}  # in the order in which they came up
    for _ in range(TRIES * draws):
        group = {starts[rng.integers(len(starts))]}
        while len(group) < size:
            border = sorted({other for each in group for other in near[each]} - group)
            group.add(border[rng.integers(len(border))])
        found.setdefault(frozenset(group))
        if len(found) == draws:
            break
    return list(found)


@dataclass(frozen=True)
class Moran:
    """Moran's I with what chance alone would give.

    Attributes
    ----------
    value : float
        No unit; above ``expected`` neighbours are alike, below it unlike.
    expected : float
        ``-1 / (n - 1)``, its mean when figures are dealt out by chance.
    chance_low, chance_high : float
        Middle 95 % of the values under chance.
    p_value, smallest_p : float
        Two-sided, and the smallest that the draws allow.
    n, draws : int
    """

    value: float
    expected: float
    chance_low: float
    chance_high: float
    p_value: float
    smallest_p: float
    n: int
    draws: int


def moran(values: pd.Series, weights: Weights, draws: int = DRAWS, seed: int = SEED) -> Moran:
    """Measure whether neighbours are alike, by Moran's I and permutation.

    ``I = (n / S0) (z' W z) / (z' z)`` with ``z`` the figures less their mean and ``S0`` the sum of
    the weights [1]_. Chance: the figures are dealt out anew over the prefectures. The p-value
    counts draws at least as far from the mean of the draws, the actual one included.

    Parameters
    ----------
    values : Series
        By prefecture code, for every code of `weights`.
    weights : Weights
    draws, seed : int

    Returns
    -------
    Moran

    References
    ----------
    .. [1] Moran (1950), Biometrika 37; Cliff and Ord (1981), Spatial Processes.
    """
    z = _centred(values, weights, "moran")
    value = _moran(z[None, :], weights.matrix)[0]
    random = np.random.default_rng(seed)
    dealt = random.permuted(np.tile(z, (draws, 1)), axis=1)
    chance = _moran(dealt, weights.matrix)
    p_value = _two_sided(value, chance)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(chance, [tail, 1 - tail])
    return Moran(
        value, -1 / (len(z) - 1), float(low), float(high), p_value, 1 / (draws + 1), len(z), draws
    )


def local_moran(
    values: pd.Series, weights: Weights, draws: int = DRAWS, seed: int = SEED
) -> pd.DataFrame:
    """Find the prefectures that are like their neighbours, allowing for many tests at once.

    ``I_p = z_p sum_q w_pq z_q / m2`` with ``m2 = z'z / n`` [1]_; their sum is ``S0 I``. Chance:
    the other prefectures' figures are dealt out over the neighbours. With 46 tests two would be
    called significant at 5 % by chance alone, so the p-values are adjusted to control the share
    of false discoveries [2]_.

    Parameters
    ----------
    values, weights, draws, seed
        As for :func:`moran`.

    Returns
    -------
    DataFrame
        One row per prefecture with neighbours: ``pref_code``, ``value``, ``neighbours_mean``,
        ``local_i``, ``quadrant`` (high-high, low-low, high-low, low-high; own figure first),
        ``p_value`` (two-sided), ``q_value`` (adjusted) and ``is_cluster``: ``q_value`` at most
        ``FALSE_DISCOVERIES``.

    References
    ----------
    .. [1] Anselin (1995), Geographical Analysis 27.
    .. [2] Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57.
    """
    z = _centred(values, weights, "local_moran")
    n = len(z)
    second_moment = z @ z / n
    lag = weights.matrix @ z
    local = z * lag / second_moment
    neighbours = (weights.matrix > 0).sum(axis=1)
    random = np.random.default_rng(seed)
    # One set of draws serves every prefecture: places among the n - 1 others, without repetition.
    places = random.permuted(np.tile(np.arange(n - 1), (draws, 1)), axis=1)
    p_values = []
    for own in range(n):
        others = np.delete(z, own)
        dealt = others[places[:, : neighbours[own]]].mean(axis=1)
        p_values.append(_two_sided(local[own], z[own] * dealt / second_moment))
    q_values = adjust_false_discoveries(np.array(p_values))
    side = np.where(z > 0, "high", "low")
    beside = np.where(lag > 0, "high", "low")
    own_values = values.loc[list(weights.codes)].to_numpy()
    return pd.DataFrame(
        {
            "pref_code": weights.codes,
            "value": own_values,
            "neighbours_mean": lag + own_values.mean(),
            "local_i": local,
            "quadrant": [f"{one}-{other}" for one, other in zip(side, beside, strict=True)],
            "p_value": p_values,
            "q_value": q_values,
            "is_cluster": q_values <= FALSE_DISCOVERIES,
        }
    )


def adjust_false_discoveries(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values so that calling those below ``q`` leaves at most a share ``q`` false [1]_.

    The k-th smallest of n becomes the least ``p n / rank`` of itself and the larger ones.

    Parameters
    ----------
    p_values : array
        0 to 1; NaN stays NaN and is not counted.

    References
    ----------
    .. [1] Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57.
    """
    p_values = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted


def moran_by_industry(
    cells: pd.DataFrame,
    pairs: pd.DataFrame,
    fy: int,
    draws: int = DRAWS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Test for every industry whether its location quotients are alike in neighbours.

    Logs, since quotients are ratios; a prefecture whose cell is hidden or not above zero has
    none and is left out with its borders. ``q_value`` is adjusted over the industries.

    Parameters
    ----------
    cells : DataFrame
        From ``measures.measure_cells``: one base.
    pairs : DataFrame
        Table ``neighbours``.
    fy : int
        Fiscal year.
    draws, seed : int

    Returns
    -------
    DataFrame
        One row per industry: the fields of :class:`Moran`, ``q_value``, ``n_left_out`` and
        ``local_clusters``: prefectures alike to their neighbours after adjustment, by name of
        quadrant (``"high-high: 02, 03"``).
    """
    rows = []
    for industry, group in cells[cells["fy"] == fy].groupby("industry"):
        quotient = group.set_index("pref_code")["location_quotient"]
        logs = np.log(quotient[quotient > 0])
        weights = weigh_neighbours(pairs, list(logs.index))
        found = moran(logs, weights, draws, seed)
        local = local_moran(logs, weights, draws, seed)
        named = local[local["is_cluster"]].groupby("quadrant")["pref_code"].agg(", ".join)
        rows.append(
            {
                "industry": industry,
                "fy": fy,
                **vars(found),
                "n_left_out": len(quotient) - found.n,
                "local_clusters": "; ".join(f"{kind}: {codes}" for kind, codes in named.items()),
                "n_clusters": int(local["is_cluster"].sum()),
            }
        )
    table = pd.DataFrame(rows)
    return table.assign(q_value=adjust_false_discoveries(table["p_value"].to_numpy()))


def _moran(z: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Moran's I of each row of figures that are centred already."""
    n = matrix.shape[0]
    return n / matrix.sum() * ((z @ matrix.T) * z).sum(axis=1) / (z**2).sum(axis=1)


def _two_sided(value: float, chance: np.ndarray) -> float:
    middle = chance.mean()
    reach = abs(value - middle) * (1 - 1e-12)  # a draw equal to the actual one counts
    return float((1 + (np.abs(chance - middle) >= reach).sum()) / (1 + len(chance)))


def _centred(values: pd.Series, weights: Weights, where: str) -> np.ndarray:
    missing = [code for code in weights.codes if code not in values.index or pd.isna(values[code])]
    if missing:
        raise ValueError(
            f"{where}: found no figure for prefecture {', '.join(missing)}: weigh the neighbours "
            "of the prefectures that have one"
        )
    z = values.loc[list(weights.codes)].to_numpy(dtype=float)
    z = z - z.mean()
    if not (z**2).sum() > 0:
        raise ValueError(f"{where}: all figures are the same: there is nothing to compare")
    return z
