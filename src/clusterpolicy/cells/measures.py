"""Every cell and year measured, with intervals that carry small cells and hidden figures."""

import numpy as np
import pandas as pd
from scipy import stats

from clusterpolicy.clusters import CELL
from clusterpolicy.estimation.shrinkage import LEVEL, noise_variance, shrink
from clusterpolicy.panel import ROUNDING_MILLION_YEN, Study


def bound_hidden(
    cell_panel: pd.DataFrame, prefecture_product: pd.DataFrame, base: str
) -> pd.DataFrame:
    """Say between what each figure lies: itself where printed, what totals allow where hidden.

    The hidden industries of a prefecture add up to its printed manufacturing product less the
    printed industries. None is supposed to lie below the lowest figure that is printed of its
    industry in the base, and none below zero where no negative one is printed: product below zero
    is rare and real.

    Parameters
    ----------
    cell_panel, prefecture_product : DataFrame
        Clean tables.
    base : str
        Base of the accounts, e.g. ``"b2000"``.

    Returns
    -------
    DataFrame
        One row per cell and fiscal year: ``pref_code``, ``industry``, ``fy``, ``status``,
        ``product_million_yen`` (NaN where hidden, 0 where nil), ``product_low`` and
        ``product_high`` (million yen), and ``manufacturing_million_yen`` of the prefecture.

    Raises
    ------
    ValueError
        If a printed total leaves less for its hidden industries than they hold at least.
    """
    cells = cell_panel.loc[cell_panel["base"] == base].reset_index(drop=True)
    if cells.empty:
        raise ValueError(
            f"bound_hidden: found no cell of base {base!r}: choose one of "
            f"{', '.join(sorted(cell_panel['base'].unique()))}"
        )
    totals = prefecture_product.loc[prefecture_product["base"] == base]
    cells = cells.merge(
        totals[["pref_code", "fy", "manufacturing_million_yen"]],
        on=["pref_code", "fy"],
        how="left",
        validate="many_to_one",
    )
    product = cells["product_million_yen"].mask(cells["status"] == "nil", 0.0)
    cells["product_million_yen"] = product
    of_prefecture = [cells["pref_code"], cells["fy"]]
    is_hidden = cells["status"] == "hidden"
    floor = product.groupby(cells["industry"]).transform("min").clip(upper=0).where(is_hidden)
    floors = floor.groupby(of_prefecture).transform("sum")
    rest = cells["manufacturing_million_yen"] - product.groupby(of_prefecture).transform("sum")
    slack = ROUNDING_MILLION_YEN * (product.groupby(of_prefecture).transform("size") + 1)
    most = rest + slack - (floors - floor)
    is_alone = is_hidden.groupby(of_prefecture).transform("sum") == 1
    least = floor.where(~is_alone, np.maximum(floor, rest - slack))
    wrong = cells[is_hidden & ~(most >= least)]
    if not wrong.empty:
        first = wrong.iloc[0]
        raise ValueError(
            f"bound_hidden: {first['industry']} of prefecture {first['pref_code']} in "
            f"FY{first['fy']} of {base}: the total leaves {rest[wrong.index[0]]:.0f} million yen "
            "for the hidden industries, less than they hold at least: look at the totals"
        )
    columns = [*CELL, "fy", "status", "product_million_yen"]
    return cells[columns].assign(
        product_low=product.where(~is_hidden, least),
        product_high=product.where(~is_hidden, most),
        manufacturing_million_yen=cells["manufacturing_million_yen"],
    )


def measure_cells(study: Study, base: str) -> pd.DataFrame:
    """Measure share and location quotient of every cell in every fiscal year of a base.

    With product ``x`` of prefecture ``p`` and industry ``i`` [1]_::

        share              x_pi / x_p            of the prefecture's manufacturing, 0 to 1
        national_share     x_pi / x_i            of the industry in the nation, 0 to 1
        location_quotient  (x_pi / x_p) / (x_i / x)    no unit, 1 = as in the nation

    ``x_p`` and ``x`` are the industries added up, hidden ones included; negative product counts as
    it is printed, so shares add up to one.

    Two intervals: ``_bound_low`` and ``_bound_high`` hold what the hidden cells of the same
    prefecture and industry allow. ``lq_low`` and ``lq_high`` add the noise of one year around the
    empirical Bayes value ``lq_shrunk`` (see :func:`shrink_quotients`).

    Parameters
    ----------
    study : Study
        Its cell panel and the printed manufacturing product of the prefectures.
    base : str
        Base of the accounts; bases are not chained.

    Returns
    -------
    DataFrame
        One row per cell and fiscal year: the columns of :func:`bound_hidden`, ``share``,
        ``national_share`` with ``_low`` and ``_high``, ``location_quotient``, ``lq_bound_low``,
        ``lq_bound_high``, ``lq_shrunk``, ``lq_low``, ``lq_high``. A hidden cell has bounds only; a
        quotient of product that is not above zero is not shrunk.

    References
    ----------
    .. [1] Florence (1939), Report on the Location of Industry, Political and Economic Planning.
    """
    cells = bound_hidden(study.cell_panel, study.prefecture_product, base)
    return shrink_quotients(add_quotients(cells))


def add_quotients(cells: pd.DataFrame) -> pd.DataFrame:
    """Add shares and location quotients with the bounds that hidden cells leave.

    Parameters
    ----------
    cells : DataFrame
        From :func:`bound_hidden`.

    Returns
    -------
    DataFrame
        The same rows with the measures named in :func:`measure_cells`, those of one year only.
    """
    low, high = cells["product_low"], cells["product_high"]
    value = cells["product_million_yen"]
    of_prefecture = [cells["pref_code"], cells["fy"]]
    of_industry = [cells["industry"], cells["fy"]]
    is_hidden = value.isna()
    # Where industries are hidden, the printed total stands for their sum.
    printed_sum = value.groupby(of_prefecture).transform("sum")
    has_hidden = is_hidden.groupby(of_prefecture).transform("any")
    prefecture = printed_sum.where(~has_hidden, cells["manufacturing_million_yen"])
    per_prefecture = prefecture.groupby([cells["fy"], cells["pref_code"]]).first()
    nation = cells["fy"].map(per_prefecture.groupby("fy").sum())
    others_low = low.groupby(of_industry).transform("sum") - low
    others_high = high.groupby(of_industry).transform("sum") - high
    columns = {
        "prefecture_million_yen": prefecture,
        "national_million_yen": nation,
        "share": value / prefecture,
        "share_low": low / prefecture,
        "share_high": high / prefecture,
    }
    # x / (x + others) rises with x, and falls with the others while x is not below zero.
    for end, own, most, least in (
        ("", value, others_low, others_low),
        ("_low", low, others_high, others_low),
        ("_high", high, others_low, others_high),
    ):
        national_share = own / (own + most.where(own >= 0, least))
        if end == "":
            is_known = ~is_hidden.groupby(of_industry).transform("any")
            middle = value.groupby(of_industry).transform("sum")
            half = (others_low + others_high) / 2
            national_share = (own / middle).where(is_known, own / (own + half))
        name = {"": "location_quotient", "_low": "lq_bound_low", "_high": "lq_bound_high"}[end]
        columns[f"national_share{end}"] = national_share
        columns[name] = national_share * nation / prefecture
    return cells.assign(**columns)


def shrink_quotients(cells: pd.DataFrame) -> pd.DataFrame:
    """Draw location quotients of noisy cells towards the mean of their industry.

    The log of a quotient in one year is taken as a lasting strength plus the noise of the year.
    The variance of the noise is found from what falls back in the next year
    (`shrinkage.noise_variance`), the strengths of an industry are taken as normal around its mean
    [1]_ (`shrinkage.shrink`).

    Parameters
    ----------
    cells : DataFrame
        From :func:`add_quotients`, one base.

    Returns
    -------
    DataFrame
        The same rows with ``lq_shrunk`` and its 95 % interval ``lq_low`` to ``lq_high``, whose
        ends also carry what hidden cells allow.

    References
    ----------
    .. [1] Morris (1983), Journal of the American Statistical Association 78.
    """
    quotient = cells["location_quotient"]
    log = np.log(quotient.where(quotient > 0))
    wide = cells.assign(log=log).pivot(index=CELL, columns="fy", values="log")
    size = cells.groupby(CELL)["product_million_yen"].mean().reindex(wide.index)
    noise = noise_variance(wide.diff(axis=1), size)
    std_error = np.sqrt(pd.MultiIndex.from_frame(cells[CELL]).map(noise).astype(float))
    value, half = shrink(log, pd.Series(std_error, cells.index), [cells["industry"], cells["fy"]])
    # With a hidden neighbour in the row or column, the ends move as the quotient itself can.
    down = np.log(cells["lq_bound_low"].where(quotient > 0) / quotient)
    up = np.log(cells["lq_bound_high"].where(quotient > 0) / quotient)
    return cells.assign(
        lq_shrunk=np.exp(value),
        lq_low=np.exp(value - half + down),
        lq_high=np.exp(value + half + up),
    )


def measure_growth(cells: pd.DataFrame, years: tuple[int, int]) -> pd.DataFrame:
    """Measure growth of each cell and the change of its specialisation between two years.

    ``growth`` is the mean yearly change of the log of nominal product, in percent a year:
    ``100 (exp(mean) - 1)``. ``excess`` is the same for the change beyond that of the same industry
    in all other prefectures. The intervals hold what the noise of the first and the last year can
    do to it (`shrinkage.noise_variance`); the changes in between are real and no noise.
    ``excess_shrunk`` draws the excess towards the mean of all cells, the noisier the cell the more
    (`shrinkage.shrink`): the largest of many noisy figures are too large. The specialisation is the
    location quotient; ``lq_change`` is its change in percent.

    Parameters
    ----------
    cells : DataFrame
        From :func:`measure_cells`.
    years : tuple of int
        First and last fiscal year.

    Returns
    -------
    DataFrame
        One row per cell seen above zero in every year: ``growth``, ``excess``, ``excess_shrunk``
        (percent a year) and ``lq_change`` (percent), each with ``_low`` and ``_high``;
        ``growth_total`` (percent), ``product_first``, ``product_last`` (million yen), ``lq_first``,
        ``lq_last``.

    Raises
    ------
    ValueError
        If `years` are not two years of `cells` in their order.
    """
    first, last = require_years(cells, years, "measure_growth")
    inside = cells[cells["fy"].between(first, last)]
    product = inside["product_million_yen"]
    wide = {
        name: inside.assign(value=values).pivot(index=CELL, columns="fy", values="value")
        for name, values in (
            ("product", product),
            ("quotient", inside["location_quotient"]),
        )
    }
    log = np.log(wide["product"].where(wide["product"] > 0))
    log_quotient = np.log(wide["quotient"].where(wide["quotient"] > 0))
    change = log.diff(axis=1)
    beyond = change - _growth_elsewhere(wide["product"])
    size = wide["product"].mean(axis=1)
    span = last - first
    keep = beyond.count(axis=1) == span
    reach = stats.norm.ppf((1 + LEVEL) / 2)
    error = np.sqrt(2 * noise_variance(beyond, size))[keep] / span
    growth = ((log[last] - log[first]) / span)[keep]
    excess = beyond.mean(axis=1)[keep]
    shrunk, half = shrink(excess, error, [pd.Series(True, excess.index)])
    lq_change = (log_quotient[last] - log_quotient[first])[keep]
    lq_error = np.sqrt(2 * noise_variance(log_quotient.diff(axis=1), size))[keep]
    percent = {
        "growth": growth,
        "growth_low": growth - reach * error,
        "growth_high": growth + reach * error,
        "excess": excess,
        "excess_low": excess - reach * error,
        "excess_high": excess + reach * error,
        "excess_shrunk": shrunk,
        "excess_shrunk_low": shrunk - half,
        "excess_shrunk_high": shrunk + half,
        "growth_total": span * growth,
        "lq_change": lq_change,
        "lq_change_low": lq_change - reach * lq_error,
        "lq_change_high": lq_change + reach * lq_error,
    }
    table = pd.DataFrame({name: 100 * np.expm1(values) for name, values in percent.items()})
    for name, year in (("first", first), ("last", last)):
        table[f"product_{name}"] = wide["product"][year]
        table[f"lq_{name}"] = wide["quotient"][year]
    return table.reset_index()


def _growth_elsewhere(product: pd.DataFrame) -> pd.DataFrame:
    """Log change of the same industry in all other prefectures, over cells seen in both years."""
    parts = []
    for before, now in zip(product.columns[:-1], product.columns[1:], strict=True):
        both = product[[before, now]].dropna()
        others = both.groupby(level="industry").transform("sum") - both
        others = others.where(others > 0)
        parts.append(np.log(others[now] / others[before]).rename(now))
    return pd.concat(parts, axis=1).reindex(product.index)


def prefecture_specialisation(cells: pd.DataFrame) -> pd.DataFrame:
    """Measure how far the industries of each prefecture are from those of the nation.

    Krugman's index [1]_ ``sum_i |x_pi / x_p - x_i / x|``: 0 as in the nation, 2 nothing in common;
    the Herfindahl index ``sum_i (x_pi / x_p)^2``: from one over the number of industries to 1.
    Where cells of the prefecture are hidden, what their bounds allow, one by one.

    Returns
    -------
    DataFrame
        One row per prefecture and fiscal year: ``krugman`` and ``herfindahl``, each with ``_low``
        and ``_high``; the value itself is NaN where an industry is hidden.

    References
    ----------
    .. [1] Krugman (1991), Geography and Trade, MIT Press.
    """
    keys = ["pref_code", "fy"]
    of_industry = [cells["industry"], cells["fy"]]
    nation = cells["national_million_yen"]
    low = cells["product_low"].groupby(of_industry).transform("sum") / nation
    high = cells["product_high"].groupby(of_industry).transform("sum") / nation
    share_low, share_high = cells["share_low"], cells["share_high"]
    # The least and the most of |a - b| and of a^2 for a and b anywhere in their ranges.
    gap_low = np.maximum(0, np.maximum(share_low - high, low - share_high))
    gap_high = np.maximum(share_high - low, high - share_low)
    square_low = np.maximum(0, np.maximum(share_low, -share_high)) ** 2
    square_high = np.maximum(share_low.abs(), share_high.abs()) ** 2
    own = cells["product_million_yen"].groupby(of_industry).transform("sum") / nation
    parts = cells[keys].assign(
        krugman=(cells["share"] - own).abs(),
        krugman_low=gap_low,
        krugman_high=gap_high,
        herfindahl=cells["share"] ** 2,
        herfindahl_low=square_low,
        herfindahl_high=square_high,
    )
    found = parts.groupby(keys).sum()
    is_hidden = cells["status"].eq("hidden").groupby([cells[key] for key in keys]).any()
    values = ["krugman", "herfindahl"]
    found[values] = found[values].mask(is_hidden)
    return found.reset_index()


def require_years(cells: pd.DataFrame, years: tuple[int, int], where: str) -> tuple[int, int]:
    """Return first and last fiscal year if both are in `cells`, in their order.

    Raises
    ------
    ValueError
        Naming the years there are.
    """
    first, last = years
    seen = cells["fy"].unique()
    if first not in seen or last not in seen or first >= last:
        raise ValueError(
            f"{where}: found years {first} and {last}: give two years from FY{seen.min()} to "
            f"FY{seen.max()}, the earlier first; bases are not chained"
        )
    return first, last
