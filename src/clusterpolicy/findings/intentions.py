"""What the policy meant to do, step by step; what it cost; and where its own figures disagree."""

import pandas as pd

from clusterpolicy.evidence import ACHIEVED, PARTLY, RUN, SUPPORTED
from clusterpolicy.panel import Study
from clusterpolicy.results import main_estimate
from clusterpolicy.sources import DataFault
from clusterpolicy.statements import CONFIRMED
from clusterpolicy.wording import format_estimate

# Facts with these prefixes are national money, by fiscal year; their parts carry a longer name.
BUDGET, REQUEST = "budget_fy", "budget_request_fy"
STATUS_OF_MONEY = "national_budget_line_status"
TERMS = (1, 2, 3)
FUNDED_TERMS = (1, 2)


def judge_steps(study: Study, phrases: pd.DataFrame) -> pd.DataFrame:
    """Say how well each step of the logic model is supported.

    A step is as well supported as the best of its phrases: the grade is the highest among them.

    Parameters
    ----------
    study : Study
    phrases : DataFrame
        From ``evidence.phrase_matrix``, all terms.

    Returns
    -------
    DataFrame
        The table ``logic_model`` with ``n_phrases``; of those on what was achieved ``n_achieved``,
        ``n_supported`` (supported or partly), ``n_judged`` (of grade 1 or higher) and ``grade``; of
        those on how the policy was run ``n_run`` and ``n_confirmed``.

    Raises
    ------
    DataFault
        If a phrase stands at no step, or at several: the model would not be that of the page.
    """
    steps = study.logic_model.assign(phrase_id=study.logic_model["phrases"].str.split(";"))
    steps = steps.explode("phrase_id")
    _require_every_phrase(steps["phrase_id"], study.phrases["phrase_id"])
    known = phrases[["phrase_id", "list", "verdict", "grade"]]
    judged = steps.merge(known, on="phrase_id", how="left", validate="one_to_one")
    judged["is_supported"] = judged["verdict"].isin([SUPPORTED, PARTLY])
    judged["is_confirmed"] = judged["verdict"] == CONFIRMED
    judged["grade"] = judged["grade"].fillna(0).astype(int)
    counts = judged.groupby("link_id", sort=False).agg(
        n_phrases=("phrase_id", "size"),
        n_achieved=("list", lambda lists: int((lists == ACHIEVED).sum())),
        n_run=("list", lambda lists: int((lists == RUN).sum())),
        n_confirmed=("is_confirmed", "sum"),
        n_supported=("is_supported", "sum"),
        n_judged=("grade", lambda grades: int((grades > 0).sum())),
        grade=("grade", "max"),
    )
    return study.logic_model.merge(
        counts.astype(int).reset_index(), on="link_id", validate="one_to_one"
    )


def _require_every_phrase(placed: pd.Series, known: pd.Series) -> None:
    missing = sorted(set(known) - set(placed))
    twice = sorted(placed[placed.duplicated()])
    if missing or twice:
        raise DataFault(
            f"data/raw/logic_model.csv: column phrases: found {', '.join(missing) or 'none'} at no "
            f"step and {', '.join(twice) or 'none'} at several: let every phrase of phrases.csv "
            "stand at one step"
        )


def set_money_beside(
    study: Study, results: pd.DataFrame, clock: str, fields_map: str
) -> pd.DataFrame:
    """Set the money of every year beside the outcome of its term.

    Cost per outcome is a quotient of two figures. It is computable for a term only if the money
    of all its funded years is known in one scope and the outcome differs from nothing; where
    either is missing, the reason is what there is to print. What a budget counts stands beside
    it, with what was asked for in the same years.

    Returns
    -------
    DataFrame
        One row per term: ``term``, ``first_fy``, ``last_fy``, ``n_years``, ``n_known`` (years with
        a budget), ``known`` (those years with their money, in words), ``scope`` (what that money
        counts, requests included), ``result_id`` (of the main estimate), ``estimate``, ``low``,
        ``high`` and ``reason`` (empty if cost per outcome can be computed).
    """
    dated = study.terms[study.terms["clock"] == "funded"].set_index("term")
    facts = study.term_facts
    money, asked = _yearly_money(facts, BUDGET), _yearly_money(facts, REQUEST)
    rows = []
    for number in TERMS:
        first, last = int(dated.at[number, "first_year"]), int(dated.at[number, "last_year"])
        years = range(first, last + 1)
        known = money[money["fy"].isin(years)]
        scope = [
            *_scopes(known, "budget"),
            *_scopes(asked[asked["fy"].isin(years)], "request"),
            *([] if number in FUNDED_TERMS else _end_of_money(facts)),
        ]
        main = main_estimate(results, number, clock, fields_map)
        rows.append(
            {
                "term": number,
                "first_fy": first,
                "last_fy": last,
                "n_years": len(years),
                "n_known": len(known),
                "known": "; ".join(
                    f"FY{row.fy}: {row.value} {row.unit}, {row.confidence} confidence"
                    for row in known.itertuples()
                ),
                "scope": ". ".join(scope),
                "result_id": main["result_id"],
                "estimate": main["estimate"],
                "low": main["low"],
                "high": main["high"],
                "reason": _why_no_cost(len(known), len(years), main, number in FUNDED_TERMS),
            }
        )
    return pd.DataFrame(rows)


def _yearly_money(facts: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """Return the budgets, or the requests, by fiscal year that are known; their parts are not."""
    fy = facts["indicator"].str.extract(rf"^{prefix}(\d{{4}})$")[0]
    found = facts.assign(fy=fy)[fy.notna() & (facts["value"] != "")]
    return found.astype({"fy": int}).sort_values("fy")


def _scopes(rows: pd.DataFrame, kind: str) -> list[str]:
    """Say what each sum counts, in the words of the ledger; a request is given with its size."""
    return [
        f"{kind.capitalize()} of FY{row.fy}"
        + (f" ({row.value} {row.unit})" if kind == "request" else "")
        + f": {row.note or 'the source does not say what it counts'}"
        for row in rows.itertuples()
    ]


def _end_of_money(facts: pd.DataFrame) -> list[str]:
    """Return what the ledger says of national money after the funded terms."""
    rows = facts[facts["indicator"] == STATUS_OF_MONEY]
    return [f"National money, {row.period}: {row.value}. {row.note}" for row in rows.itertuples()]


def _why_no_cost(n_known: int, n_years: int, main: pd.Series, is_funded: bool) -> str:
    reasons = []
    if not is_funded and not n_known:
        reasons.append("no budget of its own was found for these years")
    elif n_known < n_years:
        reasons.append(f"money known for {n_known} of {n_years} years")
    if main["status"] != "estimated":
        reasons.append("no outcome could be estimated")
    elif main["low"] <= 0 <= main["high"]:
        reasons.append("the outcome cannot be distinguished from zero")
    return "; ".join(reasons)


def set_beside(study: Study, results: pd.DataFrame, clock: str, fields_map: str) -> pd.DataFrame:
    """Set published evaluations beside what is found here, where both can be compared.

    Returns
    -------
    DataFrame
        The table ``evaluations`` with ``ours``: our estimates of both funded terms where the study
        asks about the output of this policy, otherwise what keeps both apart; this policy first.
    """
    mains = [main_estimate(results, term, clock, fields_map) for term in FUNDED_TERMS]
    found = "; ".join(f"term {main['term']}: {format_estimate(main)}" for main in mains)
    table = study.evaluations.sort_values("is_this_policy", ascending=False, kind="stable")
    ours = "not comparable: " + table["compared"]
    ours = ours.mask(table["compared"] == "output", f"product of targeted cells, {found}")
    return table.assign(ours=ours)


def find_conflicts(study: Study) -> pd.DataFrame:
    """List what sources state differently about one subject, oldest statement first.

    Returns
    -------
    DataFrame
        Rows of ``term_facts`` with a ``subject`` about which more than one figure was found, with
        ``n_figures`` (different figures) by subject.
    """
    facts = study.term_facts
    stated = facts[(facts["subject"] != "") & (facts["value"] != "")]
    n_figures = stated.groupby("subject")["value"].transform("nunique")
    listed = stated.assign(n_figures=n_figures)[n_figures > 1]
    latest = listed["period"].str.extract(r"(\d{4})\D*$")[0].fillna("")
    order = listed.assign(latest=latest).sort_values(["subject", "latest"], kind="stable")
    return order.drop(columns="latest").reset_index(drop=True)
