"""Which gains and losses are ruled out: those that fit no interval of any reading and base."""

import math

import pandas as pd

from clusterpolicy import effects
from clusterpolicy.results import PRETREND_LEVEL, choose


def ruled_out(records: pd.DataFrame) -> pd.DataFrame:
    """Say which gains and losses every reading and every base rules out.

    Parameters
    ----------
    records : DataFrame
        Records of ``results.Estimate``.

    Returns
    -------
    DataFrame
        One row per ``clock``, ``term`` and ``outcome``: gains above ``gain_above`` and losses below
        ``loss_below`` (percent, negative) fit none of the ``n_records`` intervals; missing where
        one of them is not estimated or has no such end, so that not all say so.
    """
    rows = choose(records, outcome=None, sample=effects.MAIN_SAMPLE)
    table = []
    for (clock, term, outcome), own in rows.groupby(["clock", "term", "outcome"]):
        is_known = own["status"].eq("estimated").all() and not (
            own["pretrend_p"].le(PRETREND_LEVEL).any()
        )
        high = own["high"].max(skipna=False) if is_known else math.nan
        low = own["low"].min(skipna=False) if is_known else math.nan
        table.append(
            {
                "clock": clock,
                "term": term,
                "outcome": outcome,
                "gain_above": high if math.isfinite(high) else math.nan,
                "loss_below": low if math.isfinite(low) and low > -100 else math.nan,
                "n_records": len(own),
            }
        )
    return pd.DataFrame(table)
