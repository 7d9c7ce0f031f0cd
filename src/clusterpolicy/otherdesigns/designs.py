"""Every design beside the workhorse, estimated for one term and handed over as records."""

import pandas as pd

from clusterpolicy import policy
from clusterpolicy.finerdata.finer import FinerStudy
from clusterpolicy.otherdesigns import exposure, staggered, synthetic, withdrawal
from clusterpolicy.panel import Study


def estimate_designs(
    study: Study, finer: FinerStudy, estimates: pd.DataFrame, term: int
) -> pd.DataFrame:
    """Estimate all further designs of a term, on both clocks and in both readings.

    Parameters
    ----------
    study : Study
    finer : FinerStudy
    estimates : DataFrame
        Records of ``results.estimate_term``.
    term : int

    Returns
    -------
    DataFrame
        One :class:`results.Estimate` a row, in the columns of `estimates`.
    """
    tables = [synthetic.estimate_projects(study, term, clock) for clock in policy.CLOCKS]
    if term == withdrawal.TERM:
        tables.append(withdrawal.estimate_withdrawal(study, estimates))
    if term in staggered.COHORTS:
        tables.append(staggered.estimate_staggered(study, term))
    tables.append(exposure.estimate_exposure(study, finer, term))
    return pd.concat(tables, ignore_index=True)


def choose_design(
    further: pd.DataFrame, design: str, clock: str, fields_map: str | None = None
) -> pd.DataFrame:
    """Return the records of one design on one clock and, if it has them, in one reading."""
    chosen = further[(further["design"] == design) & (further["clock"] == clock)]
    if fields_map is not None:
        chosen = chosen[chosen["fields_map"] == fields_map]
    return chosen.reset_index(drop=True)
