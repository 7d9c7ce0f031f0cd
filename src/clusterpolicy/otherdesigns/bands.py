"""Bands of placebo paths: where a path by year would lie if nothing set its unit apart."""

from dataclasses import dataclass
from math import floor

import numpy as np

from clusterpolicy import inference


@dataclass(frozen=True)
class Band:
    """Pointwise reference band of placebo paths.

    Attributes
    ----------
    low, high : ndarray, n_years
    level : float
        Chance that the path of one more unit, exchangeable with the placebos, lies within in any
        one year. Sets that overlap are worth fewer: decision 0018 has what their bands hold.
    n_paths : int
    """

    low: np.ndarray
    high: np.ndarray
    level: float
    n_paths: int

    def is_outside(self, paths: np.ndarray) -> np.ndarray:
        """Say where one path or several (n_paths x n_years) leave the band."""
        return (paths < self.low) | (paths > self.high)


def band_of(paths: np.ndarray, level: float = inference.LEVEL) -> Band:
    """Return the middle of placebo paths, year by year.

    The ends are the k-th smallest and the k-th largest of `n` values, the largest k whose band
    still holds one more exchangeable value with chance ``1 - 2k / (n + 1)`` of at least `level`
    [1]_. With too few paths for `level` the ends are the extremes, and `Band.level` says how
    little that is.

    Parameters
    ----------
    paths : ndarray, n_paths x n_years
        Complete; at least one path.
    level : float

    Returns
    -------
    Band

    References
    ----------
    .. [1] Wilks (1941), Annals of Mathematical Statistics 12(1), 91-96.
    """
    n_paths = len(paths)
    if not n_paths:
        raise ValueError("band_of: found no placebo path: say why there is none instead")
    k = _order(n_paths, level)
    ordered = np.sort(paths, axis=0)
    return Band(ordered[k - 1], ordered[n_paths - k], 1 - 2 * k / (n_paths + 1), n_paths)


def joint_p(own: np.ndarray, placebos: np.ndarray, level: float = inference.LEVEL) -> float:
    """Test a whole path: the share of all paths that are extreme in as many years.

    A pointwise band is left in some year more often than its level says, and in runs of years.
    Here each path is ranked among all of them, the actual one included, in every year; extreme are
    the ranks that the band of the placebos leaves outside. So every path is held against the same
    yardstick, and the p-value is exact where they are exchangeable.

    Parameters
    ----------
    own : ndarray, n_years
    placebos : ndarray, n_paths x n_years
    level : float
        Of the band, not of the test.
    """
    pool = np.vstack([own, placebos])
    k = _order(len(placebos), level)
    ordered = np.sort(pool, axis=0)
    extreme = ((pool <= ordered[k - 1]) | (pool >= ordered[-k])).sum(axis=1)
    return float((extreme >= extreme[0]).mean())


def _order(n_paths: int, level: float) -> int:
    """Return which smallest and largest of the placebo values the band ends at."""
    return max(1, floor((1 - level) / 2 * (n_paths + 1) + 1e-9))
