"""What chance does to the path of a territory: groups of prefectures that hang together like it.

A project's prefectures lie side by side and share their shocks. As many prefectures drawn one by
one from all over the map share none: theirs cancel out, and their band would be too narrow. So
groups of as many prefectures stand for the project that are connected over borders and fixed links;
none holds a prefecture of the project, so none holds one of its cells.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import pandas as pd

from clusterpolicy import inference
from clusterpolicy.cells import neighbours
from clusterpolicy.effects import CELL
from clusterpolicy.otherdesigns import bands

ALL = "all"  # the row that adds all industries of a project up
PANELS = 499  # drawn to find how much a band must be widened
MIN_GROUPS = 20  # below it there is no band: even the extremes would hold less than 90 %


@dataclass(frozen=True)
class Territory:
    """Cells of some industries in one base, and the prefectures whose path is followed.

    Attributes
    ----------
    wide : DataFrame, n_cells x n_years
        Product of the cells seen in every year, by ``pref_code`` and ``industry``.
    prefectures : tuple of str
        Those of the project.
    join_year : int
        Fiscal year in which every path is zero.
    """

    wide: pd.DataFrame
    prefectures: tuple[str, ...]
    join_year: int

    @property
    def industries(self) -> list[str]:
        """Industries, in order."""
        return sorted(self.wide.index.unique("industry"))

    @property
    def years(self) -> np.ndarray:
        """Fiscal years."""
        return self.wide.columns.to_numpy(int)

    @property
    def others(self) -> list[str]:
        """Prefectures outside the project that hold cells."""
        codes = self.wide.index.unique("pref_code")
        return sorted(set(codes) - set(self.prefectures))

    def gaps(self, without: tuple[str, str] | None = None) -> dict[str, np.ndarray]:
        """Return the gap of the project to the same industries elsewhere, percent, by industry.

        Parameters
        ----------
        without : tuple of str, optional
            Prefecture and industry of a cell to leave out; elsewhere stays as it is.
        """
        own = self._cube(list(self.prefectures))
        if without is not None:
            code, industry = without
            own[sorted(self.prefectures).index(code), self.industries.index(industry)] = 0
        elsewhere = self._cube(self.others).sum(axis=0)
        found = self._by_industry(own.sum(axis=0)[None], elsewhere[None])
        return {industry: rows[0] for industry, rows in found.items()}

    def placebo_gaps(self, groups: neighbours.Groups) -> dict[str, np.ndarray]:
        """Return the same gap of every group, n_groups x n_years by industry.

        Elsewhere is all prefectures but those of the group and of the project, so that nothing the
        project did is part of a placebo. NaN where a group has no cell of an industry.
        """
        cube = self._cube(list(groups.codes))
        own = np.einsum("gp,pit->git", groups.members.astype(float), cube)
        return self._by_industry(own, cube.sum(axis=0) - own)

    def widenings(self, groups: neighbours.Groups, pairs: pd.DataFrame) -> dict[str, float]:
        """Return :func:`widening` for each industry and for all.

        Parameters
        ----------
        groups : neighbours.Groups
        pairs : DataFrame
            Table ``neighbours``.
        """
        codes = [*sorted(self.prefectures), *groups.codes]
        order = np.argsort(np.argsort(codes))
        felt = neighbours.shared_shocks(pairs, codes)[np.ix_(order, order)]
        product = [
            self._cube(part)[..., list(self.years).index(self.join_year)]
            for part in (list(self.prefectures), list(groups.codes))
        ]
        found = {
            industry: widening(*(part[:, place] for part in product), groups, felt)
            for place, industry in enumerate(self.industries)
        }
        found[ALL] = widening(*(part.sum(axis=1) for part in product), groups, felt)
        return found

    def leading_cell(self, fy: int) -> tuple[str, str] | None:
        """Return the project's cell without which the gap of all in `fy` is moved furthest."""
        place = int(np.flatnonzero(self.years == fy)[0])
        whole = self.gaps()[ALL][place]
        own = sorted(cell for cell in self.wide.index if cell[0] in self.prefectures)
        moves = [abs(self.gaps(cell)[ALL][place] - whole) for cell in own]
        if len(own) < 2:
            return None
        return own[int(np.argmax(moves))]

    def _cube(self, codes: list[str]) -> np.ndarray:
        """Lay the product of some prefectures out, n_prefectures x n_industries x n_years."""
        every = pd.MultiIndex.from_product([sorted(codes), self.industries], names=CELL)
        values = self.wide.reindex(every).fillna(0).to_numpy(float, copy=True)
        return values.reshape(len(codes), len(self.industries), len(self.years))

    def _by_industry(self, own: np.ndarray, elsewhere: np.ndarray) -> dict[str, np.ndarray]:
        join = int(np.flatnonzero(self.years == self.join_year)[0])
        is_known = (own[..., join] > 0) & (elsewhere[..., join] > 0)
        own, elsewhere = (np.where(is_known[..., None], each, np.nan) for each in (own, elsewhere))
        expected = own[..., [join]] * elsewhere / elsewhere[..., [join]]
        found = {
            industry: 100 * (own[:, place] / expected[:, place] - 1)
            for place, industry in enumerate(self.industries)
        }
        is_any = is_known.any(axis=-1)[:, None]
        own, expected = (
            np.where(is_any, np.nansum(each, axis=1), np.nan) for each in (own, expected)
        )
        found[ALL] = 100 * (own / expected - 1)
        return found


def band_of(gaps: np.ndarray, factor: float = 1.0) -> bands.Band | None:
    """Return the band of the groups that have a path, or none if they are too few.

    Parameters
    ----------
    gaps : ndarray, n_groups x n_years
        NaN where a group has no cell.
    factor : float
        By how much the band, in logs, is widened around the median of the groups
        (:func:`widening`).

    Returns
    -------
    Band
        In percent, as `gaps`.
    """
    known = np.log1p(gaps[~np.isnan(gaps).any(axis=1)] / 100)
    if len(known) < MIN_GROUPS:
        return None
    band, middle = bands.band_of(known), np.median(known, axis=0)
    ends = (middle + factor * (end - middle) for end in (band.low, band.high))
    low, high = (100 * np.expm1(end) for end in ends)
    return replace(band, low=low, high=high)


def widening(
    own: np.ndarray, others: np.ndarray, groups: neighbours.Groups, felt: np.ndarray
) -> float:
    """Return by how much the band of groups must be widened to hold what it says.

    Groups overlap and lie in one country in one run of years: 499 of them are worth far fewer
    independent ones, the fewer, the larger the project, so that their band holds too little. How
    much too little depends on the map and on how far shocks reach, not on any outcome. So panels
    are drawn in which neighbours share their shocks (``neighbours.shared_shocks``) and nothing
    sets the project apart, and the band is widened until `LEVEL` of the projects lie within.

    Parameters
    ----------
    own : ndarray, n_own
        Product of the project's prefectures in the join year, in the order of their codes.
    others : ndarray, n_others
        That of ``groups.codes``.
    groups : neighbours.Groups
    felt : ndarray, n_prefectures x n_prefectures
        From ``neighbours.shared_shocks``, those of the project before ``groups.codes``.

    Returns
    -------
    float
        At least 1; NaN if fewer than ``MIN_GROUPS`` groups have any product.
    """
    shocks = np.random.default_rng(neighbours.SEED).normal(size=(PANELS, len(felt))) @ felt.T
    mine, theirs = shocks[:, : len(own)], shocks[:, len(own) :] * others
    members = groups.members.T.astype(float)
    weight = others @ members
    inside = (weight > 0) & (weight < others.sum())
    if inside.sum() < MIN_GROUPS or not own.sum() > 0:
        return float("nan")
    members, weight = members[:, inside], weight[inside]
    total = theirs.sum(axis=1)
    of_groups = theirs @ members
    placebos = of_groups / weight - (total[:, None] - of_groups) / (others.sum() - weight)
    gap = mine @ own / own.sum() - total / others.sum()
    band, middle = bands.band_of(placebos.T), np.median(placebos, axis=1)
    end = np.where(gap < middle, band.low, band.high)
    needed = np.sort((gap - middle) / (end - middle))
    return float(max(1.0, needed[ceil(inference.LEVEL * (PANELS + 1)) - 1]))
