"""Other programs on the same figures, and a published triple difference worked again.

Programs that solve the same equations must agree but for rounding; where a method is ours alone,
nothing is compared. The published example is one whose every mean is printed, so that no file is
needed to check it; that of the staggered estimators needs one, and is in their tests.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clusterpolicy import effects, policy
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.absorbing import FixedEffects
from clusterpolicy.panel import Study

# Means of log hourly wage and their standard errors, and the years they are of.
PUBLISHED = (
    "Gruber (1994), The incidence of mandated maternity benefits, American Economic Review 84(3), "
    "622-641, table 3"
)
PUBLISHED_MEANS = pd.DataFrame(
    [
        ("experimental states", "married women aged 20-40", 1.547, 0.012, 1.513, 0.012),
        ("other states", "married women aged 20-40", 1.369, 0.010, 1.397, 0.010),
        ("experimental states", "over 40 and single men 20-40", 1.759, 0.007, 1.748, 0.007),
        ("other states", "over 40 and single men 20-40", 1.630, 0.007, 1.627, 0.007),
    ],
    columns=["place", "group", "before", "before_error", "after", "after_error"],
)
# Printed below the means: each change, both differences in differences, and the third difference.
PUBLISHED_RESULTS = {
    "change, experimental states, married women aged 20-40": (-0.034, 0.017),
    "change, other states, married women aged 20-40": (0.028, 0.014),
    "change, experimental states, over 40 and single men 20-40": (-0.011, 0.010),
    "change, other states, over 40 and single men 20-40": (-0.003, 0.010),
    "difference in differences, married women aged 20-40": (-0.062, 0.022),
    "difference in differences, over 40 and single men 20-40": (-0.008, 0.014),
    "triple difference": (-0.054, 0.026),
}


def published_example() -> pd.DataFrame:
    """Work the published triple difference again from its eight means.

    The third difference goes through ``effects.TripleDifference``, with states as prefectures and
    groups of workers as industries; its standard error is the root of the sum of the squares.

    Returns
    -------
    DataFrame
        ``quantity``; ``printed`` and ``printed_error`` as in the article; ``ours`` and
        ``our_error``, not rounded; ``is_same``, whether all printed digits agree.

    References
    ----------
    .. [1] Gruber (1994), American Economic Review 84(3), 622-641, table 3.
    """
    means = PUBLISHED_MEANS
    change = means["after"] - means["before"]
    error = np.hypot(means["before_error"], means["after_error"])
    found = {
        f"change, {row.place}, {row.group}": (change[row.Index], error[row.Index])
        for row in means.itertuples()
    }
    for group, rows in means.groupby("group", sort=False):
        one, other = rows.index
        size = change[one] - change[other], np.hypot(error[one], error[other])
        found[f"difference in differences, {group}"] = size
    third = effects.TripleDifference(_as_sample(means)).estimate
    found["triple difference"] = third, np.sqrt((error**2).sum())
    rows = [
        (name, *printed, *found[name], _same(printed, found[name]))
        for name, printed in PUBLISHED_RESULTS.items()
    ]
    columns = ["quantity", "printed", "printed_error", "ours", "our_error", "is_same"]
    return pd.DataFrame(rows, columns=columns)


def _same(printed: tuple[float, float], ours: tuple[float, float]) -> bool:
    return tuple(f"{value:.3f}" for value in printed) == tuple(f"{value:.3f}" for value in ours)


def _as_sample(means: pd.DataFrame) -> effects.Sample:
    """Return the means as the sample of a term that began after 1975."""
    term = policy.Term(
        number=1,
        name="State laws on maternity benefits",
        name_ja="",
        clock="funded",
        first_year=1977,
        last_year=1978,
        baseline_first_year=1974,
        baseline_last_year=1975,
    )
    design = effects.Design(term, "", "broad", effects.MAIN_SAMPLE, 1974, 1978)
    long = means.melt(["place", "group"], ["before", "after"], value_name="log_outcome")
    rows = pd.DataFrame(
        {
            "pref_code": long["place"],
            "industry": long["group"],
            "block": long["place"],
            "fy": np.where(long["variable"] == "after", 1977, 1975),
            "is_targeted": long["place"].str.startswith("exp") & long["group"].str.startswith("m"),
            "in_term": long["variable"] == "after",
            "log_outcome": long["log_outcome"],
        }
    ).sort_values([*effects.CELL, "fy"], ignore_index=True)
    return effects.Sample(design, rows, pd.DataFrame(columns=["step", "rows"]))


def compare_programs(study: Study, fields_map: str) -> pd.DataFrame:
    """Estimate on the real figures here and with pyfixest, linearmodels and diff-diff.

    Parameters
    ----------
    study : Study
    fields_map : str

    Returns
    -------
    DataFrame
        ``term``, ``quantity``, ``program``, ``ours``, ``theirs`` (in logs) and ``difference``,
        the largest of several where a row stands for several coefficients.
    """
    rows = []
    for number in (1, 2, 3):
        design = effects.main_design(study, number, policy.CLOCKS[0], fields_map)
        sample = effects.cell_sample(study, design)
        for quantity, program, ours, theirs in _pairs(sample):
            ours, theirs = np.atleast_1d(ours), np.atleast_1d(theirs)
            # What differs by rounding alone must not choose the row: it differs between machines.
            gap = np.abs(ours - theirs).round(12)
            worst = gap.argmax()
            rows.append(
                {
                    "term": number,
                    "quantity": quantity,
                    "program": program,
                    "ours": float(ours[worst]),
                    "theirs": float(theirs[worst]),
                    "difference": float(gap.max()),
                }
            )
    return pd.DataFrame(rows)


def _pairs(sample: effects.Sample) -> Iterator[tuple]:
    """Yield quantity, program, our number or numbers, and theirs."""
    rows = _with_keys(sample)
    ours = effects.TripleDifference(sample)
    theirs = _feols(rows, "cell + prefecture_year + industry_year")
    yield "triple difference", "pyfixest", ours.estimate, theirs[0]
    yield "its standard error by prefecture", "pyfixest", ours.std_error, theirs[1]
    theirs = _absorbing_ls(rows)
    yield "triple difference", "linearmodels", ours.estimate, theirs[0]
    yield "its standard error by prefecture", "linearmodels", ours.std_error, theirs[1]
    plain = _two_way(sample)
    theirs = _feols(rows, "cell + fy")
    yield "two-way comparison", "pyfixest", plain[0], theirs[0]
    yield "its standard error by prefecture", "pyfixest", plain[1], theirs[1]
    theirs = _panel_ols(rows)
    yield "two-way comparison", "linearmodels", plain[0], theirs[0]
    yield "its standard error by prefecture", "linearmodels", plain[1], theirs[1]
    complete = _seen_every_year(sample)
    theirs = _diff_diff(_with_keys(complete))
    yield "two-way comparison, complete cells", "diff-diff", _two_way(complete)[0], theirs
    ours, theirs = _event_study(complete), _feols_by_year(complete)
    yield "event study, complete cells, worst year", "pyfixest", ours, theirs


def _with_keys(sample: effects.Sample) -> pd.DataFrame:
    rows = sample.rows
    return rows.assign(
        targeted_in_term=(rows["is_targeted"] & rows["in_term"]).astype(float),
        cell=rows["pref_code"] + rows["industry"],
        prefecture_year=rows["pref_code"] + rows["fy"].astype(str),
        industry_year=rows["industry"] + rows["fy"].astype(str),
    )


def _feols(rows: pd.DataFrame, absorbed: str) -> tuple[float, float]:
    fit = _fit(rows, f"log_outcome ~ targeted_in_term | {absorbed}")
    return float(fit.coef().iloc[0]), float(fit.se().iloc[0])


def _fit(rows: pd.DataFrame, formula: str):
    import pyfixest  # heavy: only the page that compares needs it

    return pyfixest.feols(
        formula,
        rows,
        vcov={"CRV1": "pref_code"},
        ssc=pyfixest.ssc(k_adj=False, G_adj=True),
        demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12),
    )


def _absorbing_ls(rows: pd.DataFrame) -> tuple[float, float]:
    from linearmodels.iv.absorbing import AbsorbingLS  # heavy, as pyfixest is

    absorbed = rows[["cell", "prefecture_year", "industry_year"]].astype("category")
    model = AbsorbingLS(rows["log_outcome"], rows[["targeted_in_term"]], absorb=absorbed)
    # Its own limit would leave the standard error further off than rounding does.
    options = {"options": {"tol": 1e-12}}
    return _with_our_factor(model, _by_prefecture(rows), absorb_options=options)


def _panel_ols(rows: pd.DataFrame) -> tuple[float, float]:
    from linearmodels.panel import PanelOLS  # heavy, as pyfixest is

    panel = rows.set_index(["cell", "fy"])
    model = PanelOLS(
        panel["log_outcome"], panel[["targeted_in_term"]], entity_effects=True, time_effects=True
    )
    # The effects would count as regressors in a factor that ours does not have.
    options = {"auto_df": False, "count_effects": False}
    return _with_our_factor(model, _by_prefecture(panel), **options)


def _by_prefecture(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"prefecture": rows["pref_code"].factorize()[0]}, index=rows.index)


def _with_our_factor(model, groups: pd.DataFrame, **options) -> tuple[float, float]:
    """Fit, and multiply the variance, which has no small-sample factor, by ``G/(G-1)``."""
    fit = model.fit(cov_type="clustered", clusters=groups, debiased=False, **options)
    n_groups = groups["prefecture"].nunique()
    factor = np.sqrt(n_groups / (n_groups - 1))
    return float(fit.params.iloc[0]), factor * float(fit.std_errors.iloc[0])


def _two_way(sample: effects.Sample) -> tuple[float, float]:
    """Return our two-way comparison and its standard error by prefecture (CRV1)."""
    rows = sample.rows
    cell = rows.groupby(sample.keys, sort=False).ngroup().to_numpy()
    fixed = FixedEffects(cell, [rows["fy"].factorize()[0]])
    targets = (rows["is_targeted"] & rows["in_term"]).to_numpy(float)
    left, outcome = fixed.take_out(np.array([targets, rows["log_outcome"]]).T).T
    estimate = left @ outcome / (left @ left)
    scores = pd.Series(left * (outcome - estimate * left)).groupby(rows["pref_code"].array).sum()
    factor = len(scores) / (len(scores) - 1)
    return float(estimate), float(np.sqrt(factor * (scores**2).sum()) / (left @ left))


def _diff_diff(rows: pd.DataFrame) -> float:
    from diff_diff import TwoWayFixedEffects  # heavy, as pyfixest is

    columns = {"treated": rows["is_targeted"].astype(int), "post": rows["in_term"].astype(int)}
    fit = TwoWayFixedEffects(cluster="pref_code").fit(
        rows.assign(**columns), outcome="log_outcome", treatment="treated", post="post", unit="cell"
    )
    return float(fit.att)


def _seen_every_year(sample: effects.Sample) -> effects.Sample:
    """Return the cells seen in every year, on which the years can be estimated one by one."""
    rows = sample.rows
    n_years = rows["fy"].nunique()
    complete = rows[rows.groupby(effects.CELL)["fy"].transform("size") == n_years]
    return effects.Sample(sample.design, complete.reset_index(drop=True), sample.lost)


def _event_study(sample: effects.Sample) -> np.ndarray:
    targets = sample.cells["is_targeted"].to_numpy(float)
    fits = [
        huber.fit(changes.layout, changes.change[None, :], targets[seen], k=huber.LEAST_SQUARES)
        for seen, changes in effects.changes_by_year(sample).values()
    ]
    return np.array([fit.slope[0] for fit in fits])


def _feols_by_year(sample: effects.Sample) -> np.ndarray:
    rows = _with_keys(sample).assign(targeted=sample.rows["is_targeted"].astype(float))
    base = sample.design.base_year
    formula = f"log_outcome ~ i(fy, targeted, ref={base}) | cell + prefecture_year + industry_year"
    return _fit(rows, formula).coef().to_numpy()
