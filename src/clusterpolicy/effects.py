"""What changed in each term: who is compared with whom, and the estimates of the difference.

The workhorse is the triple difference on cells: the log of a cell's product on targeted x term,
with effects of cell, prefecture x year and industry x year. It compares targeted industries with
other industries of the same prefecture and with the same industry elsewhere. National prices are
absorbed by industry x year, so nominal product and product deflated by industry give one answer.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from clusterpolicy import clusters, policy
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.absorbing import FixedEffects
from clusterpolicy.estimation.contrast import ABSORBED_SHARE as ABSORBED_SHARE
from clusterpolicy.estimation.contrast import Contrast, GroupParts
from clusterpolicy.estimation.huber import Layout
from clusterpolicy.estimation.scoretest import Changes
from clusterpolicy.panel import Study

CELL = ["pref_code", "industry"]
# Which bases of the accounts cover a term and its baseline; the first is the main one: for the
# first term the only one that starts before it, for the later terms the later benchmark.
BASES_OF_TERM = {1: ("b2000", "b1995"), 2: ("b2005", "b2000"), 3: ("b2005", "b2011")}
# Outcomes that stand on one base in every term.
MAIN_BASES = dict.fromkeys(
    (
        "establishments",
        "employees",
        "shipments",
        "shipments_per_employee",
        "last_plant_lost",
        "first_plant_gained",
    ),
    "census",
)
CRISIS_YEARS = (2008, 2009)
EARTHQUAKE_FY = 2010  # 11 March 2011 lies in fiscal year 2010
MAIN_SAMPLE = "all cells"
CONTINUED = "cells targeted in both terms"
UNKNOWN_START = "with projects of unknown start"
UNKNOWN_START_TERMS = (1, 2)  # what term 1 targeted is set apart in term 2; term 3 asks neither


@dataclass(frozen=True)
class SampleRule:
    """Cells and years that a robustness check leaves out, and from which year on it matters."""

    prefectures: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    years: tuple[int, ...] = ()
    complete: bool = False
    since_fy: int = 0


SAMPLES = {
    MAIN_SAMPLE: SampleRule(),
    "cells seen in every year": SampleRule(complete=True),
    "without Tokyo": SampleRule(prefectures=("13",)),
    "without petroleum and coal": SampleRule(industries=("petroleum_coal",)),
    "without Iwate, Miyagi, Fukushima": SampleRule(
        prefectures=("03", "04", "07"), since_fy=EARTHQUAKE_FY
    ),
    "without FY2008-09": SampleRule(years=CRISIS_YEARS, since_fy=CRISIS_YEARS[0]),
}


@dataclass(frozen=True)
class Design:
    """Who is compared with whom, over which years, in which figures.

    Attributes
    ----------
    term : policy.Term
    base : str
        Base of the accounts; years are cut to those it covers.
    fields_map : str
        ``"broad"`` or ``"narrow"``.
    sample : str
        Key of ``SAMPLES``.
    first_fy, last_fy : int
        Fiscal years that the base covers.
    outcome : str
        Key of the table ``outcomes``.
    is_continued : bool
        In term 2: cells that term 1 targeted too, instead of those first targeted.
    counts_unknown : bool
        Whether projects that may not have run count too (``policy.unknown_starts``).
    """

    term: policy.Term
    base: str
    fields_map: str
    sample: str
    first_fy: int
    last_fy: int
    outcome: str = "product"
    is_continued: bool = False
    counts_unknown: bool = False

    @property
    def rule(self) -> SampleRule:
        """What the sample leaves out."""
        is_whole = self.is_continued or self.counts_unknown
        return SampleRule() if is_whole else SAMPLES[self.sample]

    @property
    def baseline_years(self) -> tuple[int, int]:
        """First and last fiscal year of the baseline within the base."""
        first, last = self.term.baseline_years
        return max(first, self.first_fy), last

    @property
    def term_years(self) -> tuple[int, int]:
        """First and last fiscal year of the term within the base."""
        first, last = self.term.years
        return first, min(last, self.last_fy)

    @property
    def base_year(self) -> int:
        """Last fiscal year of the baseline: zero of every path and event study."""
        return self.baseline_years[1]

    @property
    def is_main(self) -> bool:
        """Whether this is the declared main estimate of its outcome for its clock and reading."""
        base = MAIN_BASES.get(self.outcome, BASES_OF_TERM[self.term.number][0])
        return self.sample == MAIN_SAMPLE and self.base == base


@dataclass(frozen=True)
class Sample:
    """The cells and years of one design.

    Attributes
    ----------
    design : Design
    rows : DataFrame
        ``pref_code``, ``industry``, ``block``, ``fy``, ``is_targeted``, ``in_term`` and
        ``log_outcome`` (natural log of million yen), one row per cell and fiscal year.
    lost : DataFrame
        ``step`` and ``rows``: how many cell-years each rule left over.
    place : str
        Column of the places that effects are fitted for: prefectures, or municipalities.
    k : float
        Clipping constant of the estimate; ``huber.LEAST_SQUARES`` where the outcome is a share.
    """

    design: Design
    rows: pd.DataFrame
    lost: pd.DataFrame
    place: str = "pref_code"
    k: float = huber.K

    @property
    def keys(self) -> list[str]:
        """Columns that name a cell."""
        return [self.place, "industry"]

    @property
    def span(self) -> str:
        """Fiscal years of the sample, as printed."""
        return f"FY{self.rows['fy'].min()}-{self.rows['fy'].max()}"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell, in the order of :attr:`rows`."""
        more = [name for name in ("pref_code", "precision") if name in self.rows]
        columns = list(dict.fromkeys([*self.keys, *more, "block", "is_targeted"]))
        return self.rows[columns].drop_duplicates(self.keys, ignore_index=True)

    def growth_paths(self) -> pd.DataFrame:
        """Return the plain growth of targeted and other cells (``clusters.growth_paths``)."""
        return clusters.growth_paths(self.rows, self.design.base_year)


def designs_of_term(study: Study, number: int) -> list[Design]:
    """List every design of a term: both clocks, both fields maps, each base, each sample.

    The checks on samples use the main base; the other base is itself a check.
    """
    span = study.cell_panel.groupby("base")["fy"].agg(["min", "max"])
    designs = []
    for clock in policy.CLOCKS:
        term = policy.choose_term(study.terms, number, clock)
        for fields_map in policy.FIELDS_MAPS:
            for position, base in enumerate(BASES_OF_TERM[number]):
                for sample, rule in SAMPLES.items():
                    first_fy, last_fy = (int(year) for year in span.loc[base])
                    design = Design(term, base, fields_map, sample, first_fy, last_fy)
                    matters = rule.since_fy <= design.term_years[1]
                    if matters and (position == 0 or sample == MAIN_SAMPLE):
                        designs.append(design)
    return designs


def continued_design(design: Design) -> Design:
    """Return the design of term 2 for cells that both terms targeted.

    They are compared with cells never targeted over the same years as the cells first targeted in
    term 2 are. Term 1 is their baseline, so what it may have done is no part of the difference.
    """
    return replace(design, sample=CONTINUED, is_continued=True)


def unknown_start_design(design: Design) -> Design:
    """Return a design that also counts the targets of projects that may not have run."""
    return replace(design, sample=UNKNOWN_START, counts_unknown=True)


def main_design(study: Study, number: int, clock: str, fields_map: str) -> Design:
    """Return the declared main design of a term for one clock and one fields map."""
    return next(
        design
        for design in designs_of_term(study, number)
        if design.is_main and design.term.clock == clock and design.fields_map == fields_map
    )


def cell_sample(study: Study, design: Design) -> Sample:
    """Take the cells and years of a design from the panel.

    Targeted cells are, for term 1, those it targeted; for term 2, those it targeted first (or, if
    the design says so, those that term 1 targeted too); for term 3, those targeted when the money
    ended. Other cells targeted at some time are set apart, so that the comparison is with cells
    never targeted. A cell counts if its product is seen and positive at
    least once in the baseline and once in the term: it is compared with itself, so a hidden year
    drops out without counting as growth.

    Returns
    -------
    Sample

    Raises
    ------
    ValueError
        If the design is of another outcome than output.
    """
    if design.outcome != "product":
        raise ValueError(
            f"outcome: found {design.outcome!r}: the accounts hold output only: take its cells "
            "from otherdesigns.outcomes or otherdesigns.services"
        )
    cells = study.cells[
        (study.cells["base"] == design.base) & (study.cells["fields_map"] == design.fields_map)
    ]
    number, first, second = design.term.number, cells["is_targeted_1"], cells["is_targeted_2"]
    if design.counts_unknown:
        first = cells["projects_1"] != ""
    is_targeted = {1: first, 2: second & ~first, 3: second}[number]
    if design.is_continued:
        is_targeted = first & second
    is_apart = (first & ~is_targeted) | (second & ~is_targeted) if number > 1 else first & False
    cells = cells.assign(is_targeted=is_targeted)

    panel = study.cell_panel[study.cell_panel["base"] == design.base]
    in_baseline = panel["fy"].between(*design.baseline_years)
    in_term = panel["fy"].between(*design.term_years)
    rows = panel.assign(in_term=in_term)[in_baseline | in_term].merge(
        cells[[*CELL, "block", "is_targeted"]], on=CELL, validate="many_to_one"
    )
    rule = design.rule
    steps = [("cell-years of the baseline and the term", len(rows))]

    def keep(label: str, chosen: pd.Series, is_rule: bool = True) -> None:
        nonlocal rows
        if is_rule:
            rows = rows[chosen]
            steps.append((label, len(rows)))

    apart = pd.MultiIndex.from_frame(cells.loc[is_apart, CELL])
    is_set_apart = pd.MultiIndex.from_frame(rows[CELL]).isin(apart)
    keep("not targeted in other terms only", ~is_set_apart, number > 1)
    keep("not hidden by the publisher", rows["status"] == "observed")
    keep("product above zero", rows["product_million_yen"] > 0)
    for label, column, out in (
        ("in the prefectures of the sample", "pref_code", rule.prefectures),
        ("in the industries of the sample", "industry", rule.industries),
        ("in the years of the sample", "fy", rule.years),
    ):
        keep(label, ~rows[column].isin(out), bool(out))
    by_cell = rows.groupby(CELL)["in_term"]
    seen_twice = by_cell.transform("any") & ~by_cell.transform("all")
    keep("cells seen in baseline and term", seen_twice)
    if rule.complete:
        n_years = rows["fy"].nunique()
        keep("cells seen in every year", rows.groupby(CELL)["fy"].transform("size") == n_years)
    is_late = _before_its_project(rows, cells, design)
    keep("from the first year of the project on", ~is_late, is_late.any())
    rows = rows.assign(log_outcome=np.log(rows["product_million_yen"]))
    columns = [*CELL, "block", "fy", "is_targeted", "in_term", "log_outcome"]
    rows = rows[columns].sort_values([*CELL, "fy"], ignore_index=True)
    return Sample(design, rows, pd.DataFrame(steps, columns=["step", "rows"]))


def _before_its_project(rows: pd.DataFrame, cells: pd.DataFrame, design: Design) -> pd.Series:
    """Mark the years of the term in which the project of a targeted cell had not begun.

    A cell that would have no year of the term left is marked whole.
    """
    since = cells.set_index(CELL)[f"since_{min(design.term.number, 2)}"]
    since = pd.MultiIndex.from_frame(rows[CELL]).map(since.fillna(0).astype(int))
    begins_in_term = since <= design.term_years[1]  # else the term is a pretended one, before it
    is_late = rows["in_term"] & rows["is_targeted"] & begins_in_term & (rows["fy"] < since)
    left = (rows["in_term"] & ~is_late).groupby([rows[key] for key in CELL]).transform("any")
    return is_late | ~left


def count_targets(study: Study, sample: Sample) -> pd.DataFrame:
    """Count the targeted industries of every prefecture.

    Returns
    -------
    DataFrame
        One row per prefecture: ``pref_code``, ``value`` and ``certainty``.
    """
    counts = sample.cells.groupby("pref_code")["is_targeted"].sum()
    certainty = policy.prefecture_certainty(study.projects, sample.design.term.number)
    codes = study.prefectures["pref_code"]
    return pd.DataFrame(
        {
            "pref_code": codes,
            "value": codes.map(counts).fillna(0).astype(int),
            "certainty": codes.map(certainty).fillna("high"),
        }
    )


def strength_and_growth(study: Study, sample: Sample) -> pd.DataFrame:
    """Set each cell's location quotient in the base year beside its growth over the term.

    Returns
    -------
    DataFrame
        As ``clusters.strength_and_growth`` gives it.
    """
    design = sample.design
    industries = study.industries[study.industries["base"] == design.base]
    names = (
        study.prefectures.set_index("pref_code")["name_en"],
        industries.set_index("industry")["name_en"],
    )
    years = design.base_year, design.term_years[1]
    return clusters.strength_and_growth(sample.cells, study.cell_panel, design.base, years, names)


class TripleDifference:
    """Triple difference on the cells of a sample, by Frisch-Waugh-Lovell.

    Parameters
    ----------
    sample : Sample

    Attributes
    ----------
    contrast : Contrast
    estimate : float
        Difference in logs; NaN if the fixed effects absorb the targets, as those of a single
        prefecture do.
    std_error : float
        Standard error clustered by prefecture (CRV1, factor ``G/(G-1)``); NaN without an estimate.
    n_groups : int
        Prefectures.
    parts : GroupParts
        What each prefecture adds.
    """

    def __init__(self, sample: Sample):
        rows = sample.rows
        self._cell = rows.groupby(CELL, sort=False).ngroup().to_numpy()
        keys = (rows["pref_code"], rows["industry"])
        codes = [pd.MultiIndex.from_arrays([key, rows["fy"]]).factorize()[0] for key in keys]
        fixed = FixedEffects(self._cell, codes)
        outcome = fixed.take_out(rows[["log_outcome"]].to_numpy())[:, 0]
        term = fixed.within(rows[["in_term"]].to_numpy(float))[:, 0]
        self.contrast = Contrast(
            score=np.bincount(self._cell, term * outcome),
            spread=np.bincount(self._cell, term**2),
            absorbed=fixed.products(term, self._cell),
        )
        is_targeted = sample.cells["is_targeted"].to_numpy()
        self.estimate = self.contrast.estimate(is_targeted)
        regressor = fixed.take_out((term * is_targeted[self._cell])[:, None])[:, 0]
        groups = rows["pref_code"].astype("category").cat
        self.n_groups = len(groups.categories)
        group = groups.codes.to_numpy()
        self.parts = GroupParts(
            score=np.bincount(group, regressor * outcome),
            norm=np.bincount(group, regressor**2),
            regressor_effects=fixed.products(regressor, group),
            outcome_effects=fixed.products(outcome, group),
        )
        self.std_error = float("nan")
        if not np.isnan(self.estimate):  # so there are two prefectures to compare
            factor = self.n_groups / (self.n_groups - 1)
            scores = self.parts.score - self.estimate * self.parts.norm
            self.std_error = float(np.sqrt(factor * (scores**2).sum()) / self.parts.norm.sum())


def second_opinion(sample: Sample) -> pd.DataFrame:
    """Estimate the triple difference of a sample again with pyfixest.

    Returns
    -------
    DataFrame, 1 row
        ``ours`` and ``theirs`` (in logs), ``std_error`` clustered by prefecture as pyfixest
        computes it with the factor ``G/(G-1)``, and ``observations``.
    """
    import pyfixest  # heavy: only the step that compares needs it

    rows = sample.rows.assign(
        targeted_in_term=(sample.rows["is_targeted"] & sample.rows["in_term"]).astype(float),
        cell=sample.rows["pref_code"] + sample.rows["industry"],
        prefecture_year=sample.rows["pref_code"] + sample.rows["fy"].astype(str),
        industry_year=sample.rows["industry"] + sample.rows["fy"].astype(str),
    )
    formula = "log_outcome ~ targeted_in_term | cell + prefecture_year + industry_year"
    fit = pyfixest.feols(
        formula,
        rows,
        vcov={"CRV1": "pref_code"},
        ssc=pyfixest.ssc(k_adj=False, G_adj=True),  # the factor G/(G-1) alone, as here
        demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12),
    )
    opinion = {
        "ours": TripleDifference(sample).estimate,
        "theirs": float(fit.coef()["targeted_in_term"]),
        "std_error": float(fit.se()["targeted_in_term"]),
        "observations": len(rows),
    }
    return pd.DataFrame([opinion])


def cell_changes(sample: Sample) -> Changes:
    """Reduce a sample to one change per cell: mean log in the term less mean log before it.

    Repeated years do not count as separate evidence [1]_. Where cells are not seen in every year,
    the paths common to their place and industry are taken out first, so that a year that is missing
    does not count as growth; for cells seen in every year this changes nothing.

    References
    ----------
    .. [1] Bertrand, Duflo and Mullainathan (2004), Quarterly Journal of Economics 119(1).
    """
    rows = sample.rows
    cell = rows.groupby(sample.keys, sort=False).ngroup().to_numpy()
    in_term = rows["in_term"].to_numpy()
    outcome = rows["log_outcome"].to_numpy() - _common_paths(sample, cell)
    means = [
        np.bincount(cell, outcome * window) / np.bincount(cell, window)
        for window in (in_term, ~in_term)
    ]
    return changes_of(sample.cells, means[0] - means[1], sample.place)


def _common_paths(sample: Sample, cell: np.ndarray) -> np.ndarray:
    """Return the path of its place and of its industry for every row; 0 if no year is missing."""
    years, year = np.unique(sample.rows["fy"], return_inverse=True)
    wide = np.full((len(sample.cells), len(years)), np.nan)
    wide[cell, year] = sample.rows["log_outcome"]
    complete = np.isfinite(wide).all(axis=1)
    if complete.all() or not complete.any():
        return np.zeros(len(cell))
    cells = sample.cells[complete]
    moved = wide[complete] - wide[complete].mean(axis=1, keepdims=True)
    fit = huber.fit(changes_of(cells, moved[:, 0], sample.place).layout, moved.T)
    paths = np.zeros_like(wide)
    for column, found in zip(sample.keys, (fit.place, fit.industry), strict=True):
        known = pd.DataFrame(found.T, index=np.sort(cells[column].unique()))
        paths += known.reindex(sample.cells[column]).fillna(0).to_numpy()
    return paths[cell, year]


def changes_of(cells: pd.DataFrame, change: np.ndarray, place: str = "pref_code") -> Changes:
    """Return the changes of cells, with effects of `place` and industry to be fitted.

    Parameters
    ----------
    cells : DataFrame, n_cells rows
        `place`, ``industry`` and, where cells are not equally precise, ``precision``.
    change : ndarray, n_cells
        In logs.
    """
    weight = cells["precision"].to_numpy(float) if "precision" in cells else np.ones(len(cells))
    codes = (cells[column].factorize(sort=True)[0] for column in (place, "industry"))
    return Changes(Layout(*codes, weight), change)


def changes_by_year(sample: Sample) -> dict[int, tuple[np.ndarray, Changes]]:
    """Compare every year with the base year: the event study, one set of changes a year.

    Cells seen in both years; effects of place and industry in the change between them.

    Returns
    -------
    dict
        Fiscal year to (positions of the cells in ``sample.cells``, changes). The base year is
        not in it: its effect is zero by definition.

    Raises
    ------
    ValueError
        If the sample leaves the base year out.
    """
    wide = sample.rows.pivot(index=sample.keys, columns="fy", values="log_outcome")
    wide = wide.reindex(pd.MultiIndex.from_frame(sample.cells[sample.keys]))
    base_year = sample.design.base_year
    if base_year not in wide.columns:
        raise ValueError(
            f"sample {sample.design.sample!r}: found no figure of FY{base_year}: every year is "
            "compared with it: choose a sample that holds it"
        )
    changes = {}
    for fy in wide.columns.drop(base_year):
        change = (wide[fy] - wide[base_year]).to_numpy()
        seen = np.flatnonzero(~np.isnan(change))
        changes[int(fy)] = seen, changes_of(sample.cells.iloc[seen], change[seen], sample.place)
    return changes
