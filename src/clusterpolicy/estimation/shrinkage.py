"""How much of a figure is noise of its year, and values drawn to their mean by as much."""

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
SIZE_CLASSES = 10  # tenths of the cells by their mean product
LEAST_VARIANCE = 1e-12  # of a log: a figure without any noise still has a weight
CLASS_WEIGHT = 4  # yearly changes that the size class counts for beside a cell's own


def noise_variance(change: pd.DataFrame, size: pd.Series) -> pd.Series:
    """Estimate the variance of one year's noise from yearly changes, row by row.

    A figure is taken as a lasting level, which may change every year, plus a noise of the year.
    What is noise falls back in the next year, so the covariance of neighbouring changes is minus
    its variance [1]_: the noise is ``-r`` times the variance of the changes, with the first
    autocorrelation ``r``, one for all rows (:func:`autocorrelation`).

    Parameters
    ----------
    change : DataFrame, rows x years
        Changes of logs; NaN where there is no figure.
    size : Series
        Size of each row, which puts it into a class (:func:`steady_variance`).

    Returns
    -------
    Series
        By row, the square of a log difference; NaN without a class.

    References
    ----------
    .. [1] MaCurdy (1982), Journal of Econometrics 18.
    """
    variance = steady_variance(change.var(axis=1), change.count(axis=1) - 1, size)
    return -autocorrelation(change) * variance


def autocorrelation(change: pd.DataFrame) -> float:
    """Correlation of a year's change with the one before, averaged over rows seen in every year.

    Each row is centred on its own mean, which makes the figure too low by about one over the number
    of years [1]_; this is added back. From -1/2, noise around a steady path, to 0, no noise.

    References
    ----------
    .. [1] Kendall (1954), Biometrika 41.
    """
    rows = change.dropna(axis=1, how="all").dropna()
    if min(rows.shape, default=0) < 3:
        return -0.5  # not to be told from noise: the widest intervals
    centred = rows.sub(rows.mean(axis=1), axis=0).to_numpy()
    products = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    squares = (centred**2).sum(axis=1)
    if not (squares > 0).any():
        return 0.0
    ratio = products[squares > 0] / squares[squares > 0]
    return float(np.clip(ratio.mean() + 1 / rows.shape[1], -0.5, 0))


def steady_variance(variance: pd.Series, n: pd.Series, size: pd.Series) -> pd.Series:
    """Steady variances of few figures each by the median of their size class [1]_.

    Parameters
    ----------
    variance, n : Series
        Each cell's own variance, and the number of figures it stands on.
    size : Series
        A tenth of the cells, from small to large, is a class; it counts for ``CLASS_WEIGHT``
        figures.

    References
    ----------
    .. [1] The moderated variance of Smyth (2004), Statistical Applications in Genetics and
       Molecular Biology 3, with a declared weight.
    """
    classes = np.ceil(size.rank(pct=True) * SIZE_CLASSES)
    of_class = classes.map(variance.groupby(classes).median())
    own = (n * variance).fillna(0)
    return (CLASS_WEIGHT * of_class + own) / (CLASS_WEIGHT + n.where(variance.notna(), 0))


def shrink(
    values: pd.Series, std_errors: pd.Series, groups: list[pd.Series]
) -> tuple[pd.Series, pd.Series]:
    """Shrink noisy values towards the mean of their group by empirical Bayes.

    In a group, ``value = strength + noise`` with strengths of mean ``m`` and variance ``t2``, found
    by moments [1]_: ``t2`` is the spread of the values beyond their noise, not below zero, ``m``
    their mean weighted by ``1 / (t2 + se2)``. The shrunk value is ``m + B (value - m)`` with
    ``B = t2 / (t2 + se2)``; its variance ``B se2 + (1 - B)^2 / sum(1 / (t2 + se2))`` carries that
    ``m`` is estimated.

    Parameters
    ----------
    values, std_errors : Series
        NaN where there is no figure.
    groups : list of Series
        Keys of the groups.

    Returns
    -------
    tuple of Series
        Shrunk values, and half the width of their 95 % interval.

    References
    ----------
    .. [1] DerSimonian and Laird (1986), Controlled Clinical Trials 7, for the moments; Morris
       (1983) for the interval.
    """
    data = pd.DataFrame({"value": values, "variance": std_errors**2}).dropna()
    data["variance"] = data["variance"].clip(lower=LEAST_VARIANCE)
    keys = [key.loc[data.index] for key in groups]

    def total(column: pd.Series) -> pd.Series:
        return column.groupby(keys).transform("sum")

    weight = 1 / data["variance"]
    sum_weight = total(weight)
    fixed = total(weight * data["value"]) / sum_weight
    beyond = total(weight * (data["value"] - fixed) ** 2) - (total(weight * 0 + 1) - 1)
    spread = (beyond / (sum_weight - total(weight**2) / sum_weight)).clip(lower=0).fillna(0)
    precision = 1 / (spread + data["variance"])
    mean = total(precision * data["value"]) / total(precision)
    kept = spread * precision
    variance = kept * data["variance"] + (1 - kept) ** 2 / total(precision)
    half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance)
    shrunk = mean + kept * (data["value"] - mean)
    return shrunk.reindex(values.index), half.reindex(values.index)
