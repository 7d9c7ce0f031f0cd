"""One project at a time: its prefectures against a synthetic one, weighted from the others.

Synthetic difference-in-differences on the yearly totals of prefectures. Every prefecture was in
some project, so this compares a project's prefectures with those of other projects, not with
places left out: it can rank projects, it cannot grade above 2.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats

from clusterpolicy import inference, policy, results
from clusterpolicy.otherdesigns import bands
from clusterpolicy.panel import Study
from clusterpolicy.results import Estimate

DESIGN = "synthetic difference-in-differences"
# Records of one fit by year: the gap with the band of its placebos, the test of all years since
# the policy began, and (in a table of their own) the placebo gaps themselves.
GAP, YEARS_OUTSIDE, PLACEBO = "counterpart gap", "counterpart years outside", "placebo path"
INDICATORS = {
    "shipments": "shipments of manufacturing",
    "employees": "employees of manufacturing",
}
METHOD = "placebo: runs of neighbouring donors, every step refitted"
# Publishing left manufacturing in 2002: a fall of 29 % in Tokyo's figures, not in its output.
LEFT_OUT = ("13",)
# A municipality is missing from, or an outlier in, some prefecture's sum of these years.
BROKEN_FLAG = "suspect_gap"
OTHER_PREFECTURES = "other prefectures"
NONE_OF_ITS_FIELDS = "prefectures where no project names its fields"
DONORS = (OTHER_PREFECTURES, NONE_OF_ITS_FIELDS)
# Below these counts the section prints "not estimable".
MIN_DONORS = 10  # left over while a placebo set stands for the project
MIN_PLACEBOS = 20  # so that p can fall below 5 %
MIN_YEARS_BEFORE = 10


@dataclass(frozen=True)
class Fit:
    """One project against its synthetic counterpart; everything in logs.

    Attributes
    ----------
    estimate : float
        Mean of the term minus weighted mean of the years before, project minus synthetic.
    years : DataFrame
        ``year``, ``treated``, ``synthetic`` (moved to the project's level before the policy, over
        the weighted years) and ``gap``.
    unit_weights : Series
        Weight of each donor, by ``pref_code``.
    time_weights : Series
        Weight of each year before the policy, by ``year``.
    placebos : ndarray, n_placebo_sets
        The same estimate for sets of donors that stand for the project.
    placebo_gaps : ndarray, n_placebo_sets x n_years
        ``gap`` of each placebo set.
    placebo_sets : tuple of str
        Prefectures of each, codes joined by ``;``.
    n_treated : int
        Prefectures of the project that are compared.
    reason : str
        Why there is no estimate; empty if there is one.
    """

    estimate: float
    years: pd.DataFrame
    unit_weights: pd.Series
    time_weights: pd.Series
    placebos: np.ndarray
    placebo_gaps: np.ndarray
    placebo_sets: tuple[str, ...]
    n_treated: int
    reason: str = ""

    def band(self) -> bands.Band:
        """Return the band of the placebo gaps by year, in logs."""
        return bands.band_of(self.placebo_gaps)


def simplex_weights(matrix: np.ndarray, target: np.ndarray, ridge: float) -> np.ndarray:
    """Find weights, none negative and summing to 1, that bring the columns near the target.

    Minimises ``|matrix w - target|^2 + ridge |w|^2`` exactly. With ``w`` summing to 1 the first
    term is ``|(matrix - target 1') w|^2``, and the least of a quadratic form over the simplex is
    a multiple of a non-negative least squares solution [1]_: no step size, no stopping rule.

    Parameters
    ----------
    matrix : ndarray, n_rows x n_weights
    target : ndarray, n_rows
    ridge : float
        Penalty, not negative.

    Returns
    -------
    ndarray, n_weights

    References
    ----------
    .. [1] Lawson and Hanson (1974), Solving Least Squares Problems, chapter 23.
    """
    n_weights = matrix.shape[1]
    gaps = np.vstack([matrix - target[:, None], math.sqrt(ridge) * np.eye(n_weights)])
    scale = math.sqrt((gaps**2).sum() / n_weights) or 1.0
    system = np.vstack([gaps / scale, np.ones(n_weights)])
    right = np.append(np.zeros(len(gaps)), 1.0)
    solution = scipy.optimize.nnls(system, right)[0]
    return solution / solution.sum()


def synthetic_difference(
    outcome: np.ndarray, is_treated: np.ndarray, is_post: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Estimate by synthetic difference-in-differences [1]_.

    Donors are weighted to run parallel to the mean of the treated before the policy (ridge
    ``zeta^2 T0`` with ``zeta = (n_treated n_post)^(1/4) sigma``, ``sigma`` the standard deviation
    of the donors' yearly changes), years before it to foretell the donors' mean after it.

    Parameters
    ----------
    outcome : ndarray, n_units x n_years
        Complete.
    is_treated : ndarray of bool, n_units
    is_post : ndarray of bool, n_years

    Returns
    -------
    estimate : float
        In the unit of `outcome`.
    unit_weights : ndarray, n_donors
    time_weights : ndarray, n_years_before

    References
    ----------
    .. [1] Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), American Economic Review
       111(12), 4088-4118, algorithm 1.
    """
    donors, treated = outcome[~is_treated], outcome[is_treated].mean(axis=0)
    before, after = donors[:, ~is_post], donors[:, is_post].mean(axis=1)
    n_donors, n_before = before.shape
    sigma = float(np.std(np.diff(before, axis=1), ddof=1))
    zeta = (is_treated.sum() * is_post.sum()) ** 0.25 * sigma
    # The intercept of each fit is taken out by centring.
    by_year = before - before.mean(axis=1, keepdims=True)
    target = treated[~is_post] - treated[~is_post].mean()
    unit_weights = simplex_weights(by_year.T, target, n_before * zeta**2)
    by_unit = before - before.mean(axis=0)
    time_weights = simplex_weights(by_unit, after - after.mean(), n_donors * (1e-6 * sigma) ** 2)
    change_of_donors = after - before @ time_weights
    change_of_treated = treated[is_post].mean() - treated[~is_post] @ time_weights
    return float(change_of_treated - unit_weights @ change_of_donors), unit_weights, time_weights


def placebo_estimates(outcome: np.ndarray, n_treated: int, is_post: np.ndarray) -> np.ndarray:
    """Let every run of `n_treated` neighbouring donors stand for the project, and refit.

    The official codes of prefectures run from north to south, so a run is a set that hangs
    together like a project's territory; the runs close into a ring, one starts at each donor.

    Parameters
    ----------
    outcome : ndarray, n_donors x n_years
        In the order of the codes, the project left out.
    n_treated : int
        Prefectures of the project.
    is_post : ndarray of bool, n_years

    Returns
    -------
    ndarray, n_donors
    """
    sets = _stand_ins(len(outcome), n_treated)
    return np.array([synthetic_difference(outcome, each, is_post)[0] for each in sets])


def _stand_ins(n_donors: int, n_treated: int) -> list[np.ndarray]:
    """Return every run of `n_treated` neighbouring donors, as marks of the donors."""
    runs = (np.arange(n_donors)[:, None] + np.arange(n_treated)) % n_donors
    return [np.isin(np.arange(n_donors), run) for run in runs]


@dataclass(frozen=True)
class _Gap:
    """A synthetic difference and what it leaves in every year, fitted years or not."""

    estimate: float
    own: np.ndarray
    synthetic: np.ndarray
    unit_weights: np.ndarray
    time_weights: np.ndarray

    @classmethod
    def of(
        cls, every: np.ndarray, is_treated: np.ndarray, is_kept: np.ndarray, is_post: np.ndarray
    ) -> "_Gap":
        """Fit on the kept years (``is_post`` of each) and carry the weights to `every` year."""
        estimate, units, times = synthetic_difference(every[:, is_kept], is_treated, is_post)
        own, synthetic = every[is_treated].mean(axis=0), units @ every[~is_treated]
        before = np.flatnonzero(is_kept)[~is_post]
        synthetic = synthetic + times @ (own - synthetic)[before]
        return cls(estimate, own, synthetic, units, times)

    @property
    def gap(self) -> np.ndarray:
        return self.own - self.synthetic


def fit_project(
    study: Study,
    project_id: str,
    indicator: str = "shipments",
    term: int | None = None,
    clock: str = "funded",
    donors: str = OTHER_PREFECTURES,
) -> Fit:
    """Fit one project's prefectures by the prefectures of others.

    Years before are those before the policy began, for every term: in between, other projects
    had begun in the same places. Years in which some prefecture's sum is broken are left out.

    Parameters
    ----------
    study : Study
    project_id : str
    indicator : str
        Key of ``INDICATORS``.
    term : int, optional
        The project's own if not given; the third is looked at through the projects of the second.
    clock : str
    donors : str
        One of ``DONORS``.

    Returns
    -------
    Fit

    Raises
    ------
    KeyError
        If there is no such project.
    """
    project = _project(study, project_id)
    number = int(project["term"]) if term is None else term
    treated, others = _territories(study, project, donors)
    years = policy.choose_term(study.terms, number, clock).years
    start = policy.choose_term(study.terms, 1, clock).first_year
    return _fit(_wide_logs(study, indicator), treated, others, years, start)


def _project(study: Study, project_id: str) -> pd.Series:
    known = study.projects.set_index("project_id")
    if project_id not in known.index:
        raise KeyError(f"project {project_id!r}: choose one of {', '.join(known.index)}")
    return known.loc[project_id]


def _territories(
    study: Study, project: pd.Series, donors: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the prefectures of a project and those it is compared with."""
    if donors not in DONORS:
        raise ValueError(f"donors: found {donors!r}: choose one of {', '.join(DONORS)}")
    treated = set(project["prefectures"].split(";"))
    barred = treated | set(LEFT_OUT)
    if donors == NONE_OF_ITS_FIELDS:
        targets = study.targets
        alike = (targets["term"] == project["term"]) & targets["field"].isin(
            project["fields"].split(";")
        )
        barred |= set(targets.loc[alike, "pref_code"])
    codes = study.prefectures["pref_code"].sort_values()
    return (
        tuple(code for code in codes if code in treated and code not in LEFT_OUT),
        tuple(code for code in codes if code not in barred),
    )


def _wide_logs(study: Study, indicator: str) -> pd.DataFrame:
    """Return logs by prefecture (rows) and year (columns), broken years left out."""
    rows = study.prefecture_panel[study.prefecture_panel["indicator"] == indicator]
    broken = rows.loc[rows["flag"].str.contains(BROKEN_FLAG), "year"].unique()
    wide = rows[~rows["year"].isin(broken)].pivot(index="pref_code", columns="year", values="value")
    return np.log(wide.dropna(axis=1))


def _fit(
    wide: pd.DataFrame,
    treated: tuple[str, ...],
    donors: tuple[str, ...],
    years: tuple[int, int],
    start: int,
) -> Fit:
    kept = _kept_years(wide, years, start)
    is_post = np.asarray(kept >= start)
    reason = _why_not(len(treated), len(donors), is_post)
    if reason:
        nothing = pd.Series(dtype=float)
        empty = pd.DataFrame(columns=["year", "treated", "synthetic", "gap"], dtype=float)
        none = np.empty((0, 0))
        return Fit(
            *(math.nan, empty, nothing, nothing, np.array([]), none, ()), len(treated), reason
        )
    every = wide.loc[[*treated, *donors]].to_numpy()
    is_treated = np.arange(len(every)) < len(treated)
    is_kept = np.asarray(wide.columns.isin(kept))
    found = _Gap.of(every, is_treated, is_kept, is_post)
    sets = _stand_ins(len(donors), len(treated))
    placebos = [_Gap.of(every[~is_treated], each, is_kept, is_post) for each in sets]
    return Fit(
        estimate=found.estimate,
        years=pd.DataFrame(
            {
                "year": wide.columns,
                "treated": found.own,
                "synthetic": found.synthetic,
                "gap": found.gap,
            }
        ),
        unit_weights=pd.Series(found.unit_weights, index=list(donors)),
        time_weights=pd.Series(found.time_weights, index=kept[~is_post]),
        placebos=np.array([each.estimate for each in placebos]),
        placebo_gaps=np.array([each.gap for each in placebos]),
        placebo_sets=tuple(";".join(np.array(donors)[each]) for each in sets),
        n_treated=len(treated),
    )


def _kept_years(wide: pd.DataFrame, of_term: tuple[int, int], start: int) -> pd.Index:
    """Return the years before the policy and those of the term."""
    years = wide.columns
    return years[(years < start) | ((years >= of_term[0]) & (years <= of_term[1]))]


def _why_not(n_treated: int, n_donors: int, is_post: np.ndarray) -> str:
    """Say why there is too little to go on; empty if there is enough."""
    if not n_treated:
        return f"0 prefectures beside {', '.join(LEFT_OUT)}, which is left out"
    checks = (
        (n_donors - n_treated, MIN_DONORS, "donors beside each placebo set"),
        (n_donors, MIN_PLACEBOS, "placebo sets"),
        (int((~is_post).sum()), MIN_YEARS_BEFORE, "years before the policy"),
        (int(is_post.sum()), 1, "years of the term"),
    )
    few = [
        f"{max(found, 0)} {label} where {least} are needed"
        for found, least, label in checks
        if found < least
    ]
    return "; ".join(few)


def placebo_interval(
    estimate: float, placebos: np.ndarray, level: float = inference.LEVEL
) -> tuple[float, float, float]:
    """Test "no effect" against the placebo sets, and invert the test for the interval.

    An effect on the project moves its estimate one for one and no placebo at all, so the effects
    not rejected lie within one order statistic of the placebos' sizes around the estimate.

    Returns
    -------
    low, high, p_value : float
    """
    sizes = np.sort(np.abs(placebos))[::-1]
    n_sets = len(sizes)
    p_value = float((1 + (sizes >= abs(estimate)).sum()) / (n_sets + 1))
    needed = math.floor((1 - level) * (n_sets + 1) + 1e-9)
    half = sizes[needed - 1] if needed >= 1 else math.inf
    return float(estimate - half), float(estimate + half), p_value


def estimate_projects(study: Study, term: int, clock: str = "funded") -> pd.DataFrame:
    """Estimate every project of a term, for shipments and employees.

    Projects of the same prefectures get the same number: totals cannot tell them apart.

    Parameters
    ----------
    study : Study
    term : int
        The third is looked at through the projects of the second.
    clock : str

    Returns
    -------
    DataFrame
        One :class:`results.Estimate` a row.
    """
    projects = study.projects_of_term(term)["project_id"]
    return _estimate(study, [(each, OTHER_PREFECTURES) for each in projects], term, clock)


def estimate_project(
    study: Study, project_id: str, term: int | None = None, clock: str = "funded"
) -> pd.DataFrame:
    """Estimate one project, against each kind of donors (``DONORS``).

    Returns
    -------
    DataFrame
        As :func:`estimate_projects`.
    """
    number = int(_project(study, project_id)["term"]) if term is None else term
    return _estimate(study, [(project_id, donors) for donors in DONORS], number, clock)


def _estimate(
    study: Study, chosen: Iterable[tuple[str, str]], number: int, clock: str
) -> pd.DataFrame:
    stamp = stamp_of(study.prefecture_panel, study.projects, study.terms)
    term = policy.choose_term(study.terms, number, clock)
    start = policy.choose_term(study.terms, 1, clock).first_year
    wide = {indicator: _wide_logs(study, indicator) for indicator in INDICATORS}

    @cache
    def fit(indicator: str, treated: tuple[str, ...], donors: tuple[str, ...]) -> Fit:
        return _fit(wide[indicator], treated, donors, term.years, start)

    blocks = study.prefectures.set_index("pref_code")["block"]
    records = []
    for project_id, kind in chosen:
        treated, donors = _territories(study, _project(study, project_id), kind)
        for indicator, label in INDICATORS.items():
            found = fit(indicator, treated, donors)
            years = wide[indicator].columns
            common = {
                "result_id": f"t{number}-{clock}-sdid-{project_id}-{indicator}"
                + ("" if kind == OTHER_PREFECTURES else "-none-of-its-fields"),
                "term": number,
                "outcome": indicator,
                "outcome_label": label,
                "design": DESIGN,
                "role": "check",
                "base": "census",
                "clock": clock,
                "fields_map": "either",
                "sample": f"{project_id} against {kind}",
                "n_cells": len(treated) + len(donors),
                "n_targeted": len(treated),
                "n_blocks": int(blocks[[*treated, *donors]].nunique()),
                "n_observations": (len(treated) + len(donors))
                * len(_kept_years(wide[indicator], term.years, start)),
                "baseline_years": f"{years.min()}-{start - 1}",
                "term_years": f"{term.first_year}-{min(term.last_year, years.max())}",
                "method": METHOD,
                "input_hash": stamp,
            }
            records.append(_record(common, found))
    return results.to_frame(records)


def _record(common: dict, fit: Fit) -> Estimate:
    if fit.reason:
        return Estimate(**common, status="not estimable", reason=fit.reason)
    low, high, p_value = placebo_interval(fit.estimate, fit.placebos)
    spread = float(np.sqrt(np.mean(fit.placebos**2)))
    return Estimate(
        **common,
        estimate=percent(fit.estimate),
        low=percent(low),
        high=percent(high),
        p_value=p_value,
        smallest_p=1 / (len(fit.placebos) + 1),
        draws=len(fit.placebos),
        mde=percent(inference.smallest_detectable(spread)),
        grade=results.grade_design(DESIGN, has_comparison=False),
    )


def gap_records(
    study: Study, project_id: str, indicator: str, term: policy.Term, fit: Fit
) -> list[Estimate]:
    """Record the gap of a project to its counterpart by year, with the band of its placebos.

    Parameters
    ----------
    study : Study
    project_id : str
    indicator : str
        Key of ``INDICATORS``.
    term : policy.Term
    fit : Fit
        From :func:`fit_project`, against ``OTHER_PREFECTURES``.

    Returns
    -------
    list of Estimate
        One record per year, ``low`` and ``high`` being the band at the record's own ``level``;
        last, in how many years since the policy began the gap lies outside, with the p-value of
        :func:`bands.joint_p`. One "not estimable" record where nothing is fitted.
    """
    start = policy.choose_term(study.terms, 1, term.clock).first_year
    name = f"t{term.number}-{term.clock}-sdid-{project_id}-{indicator}"
    common = {
        "term": term.number,
        "outcome": indicator,
        "outcome_label": INDICATORS[indicator],
        "role": "check",
        "base": "census",
        "clock": term.clock,
        "fields_map": "either",
        "sample": f"{project_id} against {OTHER_PREFECTURES}",
        "n_targeted": fit.n_treated,
        "n_cells": fit.n_treated + len(fit.unit_weights),
        "input_hash": stamp_of(study.prefecture_panel, study.projects, study.terms),
    }
    if fit.reason:
        return [
            Estimate(f"{name}-gap", design=GAP, status="not estimable", reason=fit.reason, **common)
        ]
    common |= {
        "draws": len(fit.placebo_sets),
        "grade": results.grade_design(DESIGN, has_comparison=False),
    }
    band, gap = fit.band(), fit.years["gap"].to_numpy()
    records = [
        Estimate(
            f"{name}-gap-{year}",
            design=GAP,
            year=int(year),
            unit="log difference x 100",
            estimate=float(100 * estimate),
            low=float(100 * low),
            high=float(100 * high),
            level=band.level,
            method="low and high: band of refitted placebos; level if sets were exchangeable",
            **common,
        )
        for year, estimate, low, high in zip(
            fit.years["year"], gap, band.low, band.high, strict=True
        )
    ]
    since = (fit.years["year"] >= start).to_numpy()
    outside = Estimate(
        f"{name}-years-outside",
        design=YEARS_OUTSIDE,
        unit="years",
        estimate=float(band.is_outside(gap)[since].sum()),
        level=band.level,
        p_value=bands.joint_p(gap[since], fit.placebo_gaps[:, since]),
        smallest_p=1 / (len(fit.placebo_sets) + 1),
        n_observations=int(since.sum()),
        term_years=f"{start}-{fit.years['year'].max()}",
        method="years since the policy began outside the band; p if sets were exchangeable",
        **common,
    )
    return [*records, outside]


def own_path(study: Study, project_id: str, indicator: str) -> pd.Series:
    """Return the mean log of a project's prefectures by year, as its fit has it."""
    treated, _ = _territories(study, _project(study, project_id), OTHER_PREFECTURES)
    wide = _wide_logs(study, indicator)
    return pd.Series(wide.loc[[*treated]].to_numpy().mean(axis=0), index=wide.columns)


def placebo_paths(fit: Fit, indicator: str) -> pd.DataFrame:
    """Return the gaps of the placebo sets, one row per set and year.

    Returns
    -------
    DataFrame
        ``design`` (``"placebo path"``), ``outcome``, ``placebo`` (codes joined by ``;``),
        ``year``, ``estimate`` and ``unit``.
    """
    n_years = len(fit.years)
    return pd.DataFrame(
        {
            "design": PLACEBO,
            "outcome": indicator,
            "placebo": np.repeat(np.array(fit.placebo_sets, dtype=object), n_years),
            "year": np.tile(fit.years["year"].to_numpy(), len(fit.placebo_sets)),
            "estimate": 100 * fit.placebo_gaps.ravel(),
            "unit": "log difference x 100",
        }
    )


def percent(log_value: float) -> float:
    """Turn a difference in logs into percent."""
    return float(100 * np.expm1(log_value))


def stamp_of(*tables: pd.DataFrame) -> str:
    """Return the first 12 digits of the SHA-256 of the figures of some tables."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update(";".join(map(str, table.columns)).encode())
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:12]
