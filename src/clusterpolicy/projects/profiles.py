"""What a project's page stands on: its cells, their product before, during and after the money.

Bases of the accounts are never chained. A path joins two bases in the last year before the
project's term, where both are 100: to the left everything is measured in the older base, to the
right in the later one.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from clusterpolicy import clusters, policy, results
from clusterpolicy.cells import measures, neighbours, stars
from clusterpolicy.otherdesigns import synthetic
from clusterpolicy.panel import Study
from clusterpolicy.projects import chance, portfolio
from clusterpolicy.projects.chance import ALL, Territory

CELL = ["pref_code", "industry"]
# Older and later base around the first year of each term.
BASES_OF_TERM = {1: ("b1995", "b2000"), 2: ("b2000", "b2005")}
GAP = "gap to elsewhere"  # design of the records that describe growth
# Records of the path of its cells: by year with the band of connected groups, the test of all
# years since the join, and the path without the cell that moves it most.
PATH, YEARS_OUTSIDE, WITHOUT = "path gap", "path years outside", "path gap without one cell"


@dataclass(frozen=True)
class Period:
    """A span of years over which growth is measured, within one base.

    Attributes
    ----------
    name : str
        Column of tables, e.g. ``"during"``.
    label : str
        In words.
    start, end : int
        Fiscal years compared: the last one before the period, and its last one.
    base : str
        Base of the accounts.
    """

    name: str
    label: str
    start: int
    end: int
    base: str


@dataclass(frozen=True)
class Profile:
    """One project and the figures its page stands on.

    Attributes
    ----------
    study : Study
    project : Series
        Its row of the table ``projects``.
    term : policy.Term
        The term it belongs to.
    asked, reading : str
        Reading of the fields map that was asked for, and the one that is used: a project that only
        says "manufacturing" has no cell in the narrow reading, so the broad one stands in.
    records : DataFrame, optional
        Its saved records: bands and counterpart are told from them and not estimated.
    """

    study: Study
    project: pd.Series
    term: policy.Term
    asked: str
    reading: str
    records: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def project_id(self) -> str:
        """Its id."""
        return self.project["project_id"]

    @property
    def bases(self) -> tuple[str, str]:
        """Older and later base of the accounts."""
        return BASES_OF_TERM[self.term.number]

    @property
    def join_year(self) -> int:
        """Last fiscal year before its term, where the two bases meet."""
        return self.term.baseline_last_year

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Its cells in the later base: ``pref_code``, ``industry``, ``others``."""
        return self.cells_in(self.bases[1])

    def cells_in(self, base: str) -> pd.DataFrame:
        """Return its cells in one base."""
        return portfolio.targeted_cells(
            self.study.cells, self.project_id, self.term.number, base, self.reading
        )

    @cached_property
    def prefectures(self) -> list[str]:
        """Codes of its prefectures."""
        return self.project["prefectures"].split(";")

    @cached_property
    def links(self) -> pd.DataFrame:
        """Its rows of :func:`portfolio.lineage`."""
        found = portfolio.lineage(self.study.projects)
        is_own = (found["predecessor"] == self.project_id) | (found["successor"] == self.project_id)
        return found[is_own].reset_index(drop=True)

    @cached_property
    def periods(self) -> tuple[Period, ...]:
        """Return the periods its growth is measured over, in their order."""
        older, later = self.bases
        span = self.study.cell_panel.groupby("base")["fy"].agg(["min", "max"])
        number, clock = self.term.number, self.term.clock
        launch = policy.choose_term(self.study.terms, 1, clock)
        start = max(int(span.at[older, "min"]), launch.baseline_first_year - 1)
        before = Period("before", "before the policy", start, launch.first_year - 1, older)
        during = Period(
            "during", f"term {number}", self.join_year, min(self.term.last_year, self._end), later
        )
        after = Period("after", f"after term {number}", during.end, self._end, later)
        if number == 1:
            return before, during, after
        earlier = Period("earlier", "term 1", before.end, self.join_year, older)
        return before, earlier, during, after

    @property
    def _end(self) -> int:
        panel = self.study.cell_panel
        return int(panel.loc[panel["base"] == self.bases[1], "fy"].max())

    @cached_property
    def industry_names(self) -> pd.Series:
        """English names of the industries of both bases, by key."""
        table = self.study.industries
        names = table[table["base"].isin(self.bases)].drop_duplicates("industry", keep="last")
        return names.set_index("industry")["name_en"]

    @cached_property
    def prefecture_names(self) -> pd.Series:
        """English names of the prefectures, by code."""
        return self.study.prefectures.set_index("pref_code")["name_en"]

    @cached_property
    def paths(self) -> pd.DataFrame:
        """Product of its cells and of the same industries elsewhere, by industry and year.

        Returns
        -------
        DataFrame
            One row per ``industry`` (:data:`ALL` for the sum), ``base`` and ``fy``:
            ``own_million_yen`` (nominal), ``own`` and ``elsewhere`` (FY :attr:`join_year` = 100),
            ``n_cells`` that are seen in every year of the base's part and ``n_hidden`` left out.
            ``elsewhere`` of the sum is what the project's own mix of industries would have come to
            had each grown as in the other prefectures.
        """
        parts = [self._paths_in(base) for base in self.bases]
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def groups(self) -> neighbours.Groups:
        """Connected groups of as many prefectures as it has, none of them its own."""
        codes = self.study.prefectures["pref_code"]
        others = codes[~codes.isin(self.prefectures)].tolist()
        return neighbours.connected_groups(self.study.neighbours, others, len(self.prefectures))

    @cached_property
    def territories(self) -> dict[str, Territory]:
        """Its cells and all others of its industries, by base."""
        found = {}
        for base in self.bases:
            wide = self._wide_in(base)
            wide = wide[(wide > 0).all(axis=1)]
            found[base] = Territory(wide, tuple(sorted(self.prefectures)), self.join_year)
        return found

    @cached_property
    def path_bands(self) -> pd.DataFrame:
        """Gap of its cells to the same industries elsewhere, with the band of connected groups.

        Returns
        -------
        DataFrame
            One row per ``industry`` (:data:`ALL` for the sum), ``base`` and ``fy``: ``gap``,
            ``low`` and ``high`` in percent (no band where fewer than ``chance.MIN_GROUPS`` groups
            have a path), the ``factor`` by which the band is widened (only where it is
            estimated), and ``n_groups``.
        """
        if self.records is not None:
            return self._recorded_bands()
        parts = []
        for base, territory in self.territories.items():
            placebos = territory.placebo_gaps(self.groups)
            widenings = territory.widenings(self.groups, self.study.neighbours)
            for industry, gap in territory.gaps().items():
                if np.isnan(gap).any():
                    continue  # none of its cells is seen in every year
                factor = widenings[industry]
                band = chance.band_of(placebos[industry], factor)
                part = pd.DataFrame({"industry": industry, "base": base, "fy": territory.years})
                part = part.assign(gap=gap, low=np.nan, high=np.nan, factor=factor, n_groups=0)
                if band is not None:
                    part = part.assign(low=band.low, high=band.high, n_groups=band.n_paths)
                parts.append(part)
        if not parts:
            columns = ["industry", "base", "fy", "gap", "low", "high", "factor", "n_groups"]
            return pd.DataFrame(columns=columns)
        return pd.concat(parts, ignore_index=True)

    def _recorded_bands(self) -> pd.DataFrame:
        rows = results.choose(self.records, PATH, clock=self.term.clock)
        keys = {_path_label(self, each): each for each in (*self.cells["industry"], ALL)}
        keys |= {_path_label(self, each): each for each in self.paths["industry"]}
        return pd.DataFrame(
            {
                "industry": rows["outcome_label"].map(keys),
                "base": rows["base"],
                "fy": rows["year"].astype(int),
                "gap": rows["estimate"],
                "low": rows["low"],
                "high": rows["high"],
                "n_groups": rows["draws"],
            }
        )

    @cached_property
    def leading_cell(self) -> tuple[str, str] | None:
        """Its cell, prefecture and industry, without which the end of its term moves most."""
        during = next(period for period in self.periods if period.name == "during")
        territory = self.territories[during.base]
        return None if np.isnan(territory.gaps()[ALL]).any() else territory.leading_cell(during.end)

    def counterpart(self, indicator: str) -> synthetic.Fit:
        """Return its synthetic counterpart over its own term."""
        if indicator not in self._counterparts:
            self._counterparts[indicator] = synthetic.fit_project(
                self.study, self.project_id, indicator, self.term.number, self.term.clock
            )
        return self._counterparts[indicator]

    def counterpart_gaps(self, indicator: str) -> tuple[pd.DataFrame, int, str]:
        """Return the gap to its counterpart by year, from the records if there are any.

        Returns
        -------
        years : DataFrame
            ``year``; ``treated`` and ``synthetic`` in logs; ``gap``, ``low`` and ``high`` (the
            band of the placebo sets) in logs x 100.
        n_sets : int
            Placebo sets.
        reason : str
            Why there is no counterpart; empty if there is one.
        """
        records = self.records
        if records is None:
            fit = self.counterpart(indicator)
            records = results.to_frame(
                synthetic.gap_records(self.study, self.project_id, indicator, self.term, fit)
            )
        rows = results.choose(
            records, synthetic.GAP, outcome=indicator, clock=self.term.clock, term=self.term.number
        )
        reason = rows["reason"].iloc[0]
        if reason:
            empty = pd.DataFrame(columns=["year", "treated", "synthetic", "gap"], dtype=float)
            return empty.astype({"year": int}), 0, reason
        years = rows[["year", "estimate", "low", "high"]].astype({"year": int})
        years = years.rename(columns={"estimate": "gap"})
        own = years["year"].map(synthetic.own_path(self.study, self.project_id, indicator))
        years.insert(1, "treated", own)
        years.insert(2, "synthetic", own - years["gap"] / 100)
        return years, int(rows["draws"].iloc[0]), ""

    @cached_property
    def _counterparts(self) -> dict[str, synthetic.Fit]:
        return {}

    def _wide_in(self, base: str) -> pd.DataFrame:
        panel = self.study.cell_panel
        rows = panel[(panel["base"] == base) & panel["fy"].between(*self._years_of(base))]
        rows = rows[rows["industry"].isin(self.cells_in(base)["industry"])]
        return rows.pivot(index=CELL, columns="fy", values="product_million_yen")

    def _paths_in(self, base: str) -> pd.DataFrame:
        wide = self._wide_in(base)
        is_seen = (wide > 0).all(axis=1)
        is_own = wide.index.get_level_values("pref_code").isin(self.prefectures)
        own = wide[is_own & is_seen].groupby("industry").sum()
        elsewhere = wide[~is_own & is_seen].groupby("industry").sum().reindex(own.index)
        growth = elsewhere.div(elsewhere[self.join_year], axis=0)
        expected = growth.mul(own[self.join_year], axis=0)
        own.loc[ALL], expected.loc[ALL] = own.sum(), expected.sum()
        counts = pd.DataFrame(
            {
                "n_cells": (is_own & is_seen).groupby("industry").sum(),
                "n_hidden": (is_own & ~is_seen).groupby("industry").sum(),
            }
        )
        counts.loc[ALL] = counts.sum()
        long = pd.DataFrame(
            {
                "own_million_yen": own.stack(),
                "own": 100 * own.div(own[self.join_year], axis=0).stack(),
                "elsewhere": 100 * expected.div(expected[self.join_year], axis=0).stack(),
            }
        )
        long = long.reset_index().merge(counts, on="industry", validate="many_to_one")
        return long.assign(base=base)

    def _years_of(self, base: str) -> tuple[int, int]:
        older, _ = self.bases
        if base == older:
            return self.periods[0].start, self.join_year
        return self.join_year, self._end

    @cached_property
    def growth(self) -> pd.DataFrame:
        """Growth of its cells and of the same industries elsewhere, period by period.

        Returns
        -------
        DataFrame
            One row per ``industry`` (:data:`ALL` last) and ``period``: ``own`` and ``elsewhere``
            in percent a year, ``gap`` in percentage points; missing where the older base has no
            such industry.
        """
        path = self.paths.set_index(["industry", "base", "fy"])[["own", "elsewhere"]]
        order = [*dict.fromkeys(self.cells["industry"]), ALL]
        rows = []
        for industry in order:
            for period in self.periods:
                ends = [(industry, period.base, fy) for fy in (period.start, period.end)]
                yearly = dict.fromkeys(("own", "elsewhere"), np.nan)
                if all(end in path.index for end in ends):
                    start, end = path.loc[ends[0]], path.loc[ends[1]]
                    power = 1 / (period.end - period.start)
                    yearly = (100 * ((end / start) ** power - 1)).to_dict()
                gap = yearly["own"] - yearly["elsewhere"]
                rows.append({"industry": industry, "period": period.name, **yearly, "gap": gap})
        return pd.DataFrame(rows)

    @cached_property
    def strength(self) -> pd.DataFrame:
        """Its cells in the last year before its term, those hidden or nil left out.

        Returns
        -------
        DataFrame
            ``pref_code``, ``industry``, ``product_million_yen``, ``share`` (of the prefecture's
            manufacturing, 0 to 1), ``location_quotient``, ``others``.
        """
        found = clusters.location_quotients(
            self.study.cell_panel, self.bases[1], self.join_year
        ).merge(self.cells, on=CELL, validate="one_to_one")
        return found

    @cached_property
    def weight(self) -> pd.DataFrame:
        """How much of each prefecture's manufacturing its industries were, before its term.

        Returns
        -------
        DataFrame
            ``pref_code``, ``value`` (percent) and ``certainty`` (``low`` where the project's own
            record is).
        """
        share = 100 * self.strength.groupby("pref_code")["share"].sum()
        certainty = "low" if self.project["confidence"] == "low" else "high"
        table = share.reindex(self.prefectures).rename("value").reset_index()
        return table.assign(certainty=certainty)

    @cached_property
    def national_share(self) -> float:
        """Share of its industries' national product made in its cells before its term, percent."""
        panel = self.study.cell_panel
        is_year = (panel["base"] == self.bases[1]) & (panel["fy"] == self.join_year)
        rows = panel[is_year & panel["industry"].isin(self.cells["industry"])]
        return float(
            100 * self.strength["product_million_yen"].sum() / rows["product_million_yen"].sum()
        )

    @cached_property
    def company(self) -> pd.DataFrame:
        """Other projects of its term that share prefectures with it, most shared cells first.

        Returns
        -------
        DataFrame
            ``other``, ``name_en``, ``fields``, ``shared_prefectures``, ``shared_fields``,
            ``shared_cells``.
        """
        pairs = portfolio.overlap(
            self.study.projects,
            self.study.cells,
            self.term.number,
            self.bases[1],
            self.reading,
        )
        own = pairs[(pairs["project_id"] == self.project_id) & (pairs["other"] != self.project_id)]
        own = own[own["shared_prefectures"] > 0]
        names = self.study.projects[["project_id", "name_en", "fields"]]
        own = own.drop(columns="project_id").merge(
            names, left_on="other", right_on="project_id", validate="many_to_one"
        )
        order = ["shared_cells", "shared_prefectures"]
        return own.sort_values(order, ascending=False, kind="stable", ignore_index=True)

    @cached_property
    def stars(self) -> pd.DataFrame:
        """Measure its cells and award their stars, those with most first.

        Returns
        -------
        DataFrame
            Rows of ``stars.award`` for the last year before its term and growth over it, with
            ``product_million_yen``, ``others``, ``prefecture`` and ``name`` (of the industry).
        """
        during = next(period for period in self.periods if period.name == "during")
        cells = measures.measure_cells(self.study, during.base)
        growth = measures.measure_growth(cells, (during.start, during.end))
        product = cells.loc[cells["fy"] == during.start, [*CELL, "product_million_yen"]]
        own = self.cells.merge(stars.award(cells, growth, during.start), on=CELL, how="left")
        own = own.merge(product, on=CELL, how="left", validate="one_to_one")
        own["prefecture"] = own["pref_code"].map(self.prefecture_names)
        own["name"] = own["industry"].map(self.industry_names)
        order = ["stars", "stars_possible", "product_million_yen"]
        return own.sort_values(order, ascending=False, kind="stable", ignore_index=True)

    @cached_property
    def quadrant(self) -> pd.DataFrame:
        """All cells of its industries: strength before its term against growth over it.

        Returns
        -------
        DataFrame
            As ``clusters.strength_and_growth``; ``is_targeted`` marks the project's own cells.
        """
        panel, base = self.study.cell_panel, self.bases[1]
        of_base = panel.loc[panel["base"] == base, CELL].drop_duplicates()
        every = of_base[of_base["industry"].isin(self.cells["industry"])]
        own = pd.MultiIndex.from_frame(self.cells[CELL])
        cells = every.assign(is_targeted=pd.MultiIndex.from_frame(every).isin(own))
        during = next(period for period in self.periods if period.name == "during")
        names = self.prefecture_names, self.industry_names
        return clusters.strength_and_growth(cells, panel, base, (during.start, during.end), names)


def profile(
    study: Study,
    project_id: str,
    clock: str,
    fields_map: str,
    records: pd.DataFrame | None = None,
) -> Profile:
    """Return the profile of one project.

    Parameters
    ----------
    study : Study
    project_id, clock, fields_map : str
    records : DataFrame, optional
        Its saved records, so that nothing is estimated.

    Raises
    ------
    ValueError
        If the facts list no such project, or no figure of any cell can stand for it.
    """
    known = study.projects.set_index("project_id", drop=False)
    if project_id not in known.index:
        raise ValueError(
            f"project: found {project_id!r}: choose an id of data/raw/projects.csv, such as "
            f"{known.index[-1]!r}"
        )
    project = known.loc[project_id]
    term = policy.choose_term(study.terms, int(project["term"]), clock)
    for reading in dict.fromkeys((fields_map, "broad")):
        found = Profile(study, project, term, fields_map, reading, records)
        if not found.cells.empty:
            return found
    raise ValueError(
        f"project {project_id}: none of its fields ({project['fields']}) stands for an industry of "
        "the accounts: add one to data/raw/field_industries.csv"
    )


def estimate(profile: Profile) -> pd.DataFrame:
    """Make the records of a project: growth, paths, and synthetic difference-in-differences.

    The latter for its own term and, for a project of the second, for the years after the money;
    its gap by year for its own term alone.

    Returns
    -------
    DataFrame
        One :class:`results.Estimate` a row.
    """
    terms = (1,) if profile.term.number == 1 else (profile.term.number, 3)
    parts = [
        synthetic.estimate_project(profile.study, profile.project_id, term, profile.term.clock)
        for term in terms
    ]
    by_year = [*path_records(profile)]
    for indicator in synthetic.INDICATORS:
        fit = profile.counterpart(indicator)
        by_year += synthetic.gap_records(
            profile.study, profile.project_id, indicator, profile.term, fit
        )
    records = results.to_frame([*gap_records(profile), *by_year])
    return pd.concat([records, *parts], ignore_index=True)


def gap_name(project_id: str, clock: str, period: str) -> str:
    """Return the name of the record of a gap in growth."""
    return f"{project_id}-{clock}-gap-{period}"


def gap_records(profile: Profile) -> list[results.Estimate]:
    """Record how much faster all its cells grew than the same industries elsewhere, by period.

    A description without an interval: nothing in it tells the project from the rest of what
    happened there.
    """
    rows = profile.growth[profile.growth["industry"] == ALL].set_index("period")
    study, term = profile.study, profile.term
    stamp = synthetic.stamp_of(study.cell_panel, study.cells, study.projects, study.terms)
    records = []
    for period in profile.periods:
        gap = float(rows.at[period.name, "gap"])
        is_known = not np.isnan(gap)
        seen = profile.paths
        seen = seen[(seen["industry"] == ALL) & (seen["base"] == period.base)]
        records.append(
            results.Estimate(
                result_id=gap_name(profile.project_id, term.clock, period.name),
                term=term.number,
                outcome="product",
                outcome_label=f"growth of product, {period.label}",
                design=GAP,
                role="check",
                base=period.base,
                clock=term.clock,
                fields_map=profile.reading,
                sample=f"{profile.project_id} against the same industries elsewhere",
                estimate=gap,
                unit="percentage points a year",
                method="none: a description",
                n_cells=len(profile.cells),
                n_targeted=int(seen["n_cells"].max()) if is_known else 0,
                baseline_years=f"{period.start}",
                term_years=f"{period.start + 1}-{period.end}",
                grade=results.grade_design(GAP, has_comparison=False) if is_known else 0,
                status="estimated" if is_known else "not estimable",
                reason="" if is_known else "no cell is seen in every year",
                input_hash=stamp,
            )
        )
    return records


def path_records(profile: Profile) -> list[results.Estimate]:
    """Record the path of its cells against the same industries elsewhere, with a band.

    Returns
    -------
    list of results.Estimate
        ``PATH`` by industry, base and year; ``YEARS_OUTSIDE`` of the later base, for all its cells;
        ``WITHOUT``, in the bases that hold the cell without which the path moves most.
    """
    study, term, name = profile.study, profile.term, profile.project_id
    against = f"{name} against the same industries elsewhere"
    later, seen = profile.bases[1], profile.path_bands
    first, last = profile.join_year + 1, profile.periods[-1].end
    common = {
        "term": term.number,
        "outcome": "product",
        "role": "check",
        "clock": term.clock,
        "fields_map": profile.reading,
        "grade": results.grade_design(GAP, has_comparison=False),
        "n_cells": len(profile.cells),
        "input_hash": synthetic.stamp_of(
            *(study.cell_panel, study.cells, study.projects, study.terms, study.neighbours)
        ),
    }
    n_seen = profile.paths.groupby(["industry", "base"])["n_cells"].max()
    banded = f"low and high: band of connected groups of {len(profile.prefectures)} prefectures"
    records = [
        results.Estimate(
            result_id=f"{name}-{term.clock}-path-{row.industry}-{row.base}-fy{row.fy}",
            outcome_label=_path_label(profile, row.industry),
            design=PATH,
            base=row.base,
            sample=against,
            year=int(row.fy),
            estimate=float(row.gap),
            low=float(row.low),
            high=float(row.high),
            draws=int(row.n_groups),
            n_targeted=int(n_seen[row.industry, row.base]),
            method=f"{banded}, widened {row.factor:.2f}-fold"
            if row.n_groups
            else "no band: too few connected groups",
            **common,
        )
        for row in seen.itertuples()
    ]
    whole = seen[(seen["industry"] == ALL) & (seen["base"] == later) & (seen["fy"] >= first)]
    if whole["n_groups"].any():
        outside = (whole["gap"] < whole["low"]) | (whole["gap"] > whole["high"])
        records.append(
            results.Estimate(
                result_id=f"{name}-{term.clock}-path-years-outside",
                outcome_label=_path_label(profile, ALL),
                design=YEARS_OUTSIDE,
                base=later,
                sample=against,
                estimate=float(outside.sum()),
                unit="years",
                draws=int(whole["n_groups"].iloc[0]),
                n_targeted=int(n_seen[ALL, later]),
                n_observations=len(whole),
                term_years=f"{first}-{last}",
                method="years after the join in which the gap leaves the band of each year",
                **common,
            )
        )
    return [*records, *_without_records(profile, common, n_seen)]


def _without_records(profile: Profile, common: dict, n_seen: pd.Series) -> list[results.Estimate]:
    """Record the path of all its cells without the one that moves it most."""
    if profile.leading_cell is None:
        return []
    code, industry = profile.leading_cell
    name, records = profile.project_id, []
    for base, territory in profile.territories.items():
        if (code, industry) not in territory.wide.index:
            continue
        gaps = territory.gaps(without=(code, industry))[ALL]
        records += [
            results.Estimate(
                result_id=f"{name}-{profile.term.clock}-path-without-{base}-fy{fy}",
                outcome_label=_path_label(profile, ALL),
                design=WITHOUT,
                base=base,
                sample=f"{name} without {industry} in {code}",
                year=int(fy),
                estimate=float(gap),
                n_targeted=int(n_seen[ALL, base]) - 1,
                method="none: the cell is chosen by what it does to the path",
                **common,
            )
            for fy, gap in zip(territory.years, gaps, strict=True)
        ]
    return records


def _path_label(profile: Profile, industry: str) -> str:
    name = "all its cells" if industry == ALL else profile.industry_names[industry]
    return f"product against the same industries elsewhere, {name}"


def placebos_name(project_id: str) -> str:
    """Return the name under which the placebo paths of a project's counterpart are saved."""
    return f"placebos-{project_id}"


def read_outlines(study: Study) -> dict[str, list[np.ndarray]]:
    """Return the outlines of the prefectures: rings by code, n_points x 2, the largest first."""
    rings: dict[str, list[np.ndarray]] = {}
    for row in study.outlines.itertuples():
        points = [point.split(" ") for point in row.points.split(";")]
        rings.setdefault(row.pref_code, []).append(np.array(points, dtype=float))
    return rings


def results_name(project_id: str) -> str:
    """Return the name under which the estimates of a project are saved."""
    return f"project-{project_id}"


def load_records(study: Study) -> pd.DataFrame:
    """Load the records of every project that has a page.

    Raises
    ------
    sources.InputMissing
        If those of a project are missing.
    """
    ids = portfolio.with_page(study.projects)["project_id"]
    return results.load_results([results_name(each) for each in ids])


def save(profile: Profile, estimates: pd.DataFrame) -> None:
    """Save the estimates of a project once, for its page and for the overview.

    Beside them stand the placebo paths of its counterpart in shipments, in a table of their own.
    """
    results.save_results(estimates, results_name(profile.project_id))
    paths = synthetic.placebo_paths(profile.counterpart("shipments"), "shipments")
    results.save_results(paths.round({"estimate": 4}), placebos_name(profile.project_id))
