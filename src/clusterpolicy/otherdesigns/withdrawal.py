"""Once the money stopped: is a loss as large as the margin ruled out? Two one-sided tests.

"No difference detectable" is not "no loss". The third term is therefore asked the other way round:
the null is a change at least as large as the declared margin, and the data must reject it on both
sides. Each side is a permutation test of its own, so nothing rests on a normal distribution.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clusterpolicy import effects, inference, results
from clusterpolicy.estimation.scoretest import Changes
from clusterpolicy.inference import Assignments
from clusterpolicy.panel import Study
from clusterpolicy.results import Estimate

DESIGN = "equivalence"
# Each of its two tests by itself; ``outcome`` says against what.
ONE_SIDE = "equivalence, one side"
SIDES = ("loss", "gain")
TERM = 3
# Two one-sided tests at 5 % leave the interval that leaves out 5 % on each side.
LEVEL = 0.90
DRAWS = 1_999  # three tests a design
METHOD = "two one-sided permutation tests"
METHOD_OF_SIDE = "one-sided permutation test"


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests and the interval of the effects that neither rejects; in logs.

    Attributes
    ----------
    estimate, low, high : float
    p_loss : float
        p-value of "the loss is the margin or more".
    p_gain : float
        p-value of "the gain is the margin or more".
    """

    estimate: float
    low: float
    high: float
    p_loss: float
    p_gain: float

    @property
    def p_value(self) -> float:
        """p-value of "the change is the margin or more, in either direction"."""
        return max(self.p_loss, self.p_gain)


def equivalence_test(
    changes: Changes,
    assignments: Assignments,
    margins: tuple[float, float],
    level: float = LEVEL,
) -> Equivalence:
    """Test that an effect lies between two margins, by two one-sided tests [1]_.

    Each margin is supposed in turn: it is taken out of the changes, and the permutation test of
    the main estimate is made of what is left. Half its p-value is that of the one side, so both
    are at most 5 % exactly where the 90 % interval of the same test lies between the margins.

    Parameters
    ----------
    changes : Changes
    assignments : Assignments
    margins : tuple of float
        Largest loss (negative) and largest gain that do not matter, in logs.
    level : float
        Of the interval; each test leaves out half of the rest.

    Returns
    -------
    Equivalence

    References
    ----------
    .. [1] Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6), 657-680.
    """
    plain = inference.permutation_test(changes, assignments, level)
    sides = []
    for margin, side in zip(margins, (1, -1), strict=True):
        supposed = replace(changes, change=changes.change - margin * assignments.actual)
        p_value = inference.score_test(supposed, assignments).p_value
        is_beyond = side * (plain.estimate - margin) > 0
        sides.append(p_value / 2 if is_beyond else 1 - p_value / 2)
    return Equivalence(plain.estimate, plain.low, plain.high, *sides)


def estimate_withdrawal(study: Study, estimates: pd.DataFrame, draws: int = DRAWS) -> pd.DataFrame:
    """Test on both clocks, in both readings and both bases that the third term changed nothing.

    Parameters
    ----------
    study : Study
    estimates : DataFrame
        Records of the third term (``results.estimate_term``): each test stands on the cells of
        one triple difference, and is graded as that is.
    draws : int
        Reassignments.

    Returns
    -------
    DataFrame
        Three records a triple difference over all cells. The first is of both tests: the interval
        is theirs, the p-value that of "a change as large as the margin", ``mde`` the margin
        itself. The others, of design ``ONE_SIDE``, hold the p-value of each side, and the end of
        the interval that answers it.
    """
    margin = float(study.outcomes.set_index("outcome").at["product", "margin_percent"])
    known = results.choose(estimates, sample=effects.MAIN_SAMPLE).set_index("result_id")
    designs = {
        (design.term.clock, design.fields_map, design.base): design
        for design in effects.designs_of_term(study, TERM)
        if design.sample == effects.MAIN_SAMPLE
    }
    records = []
    for name, row in known.iterrows():
        design = designs[row["clock"], row["fields_map"], row["base"]]
        common = {
            **{field: row[field] for field in _CARRIED},
            "result_id": f"{name}-{DESIGN}",
            "design": DESIGN,
            "level": LEVEL,
            "method": METHOD,
        }
        if row["status"] != "estimated":
            records.append(Estimate(**common, status=row["status"], reason=row["reason"]))
            continue
        sample = effects.cell_sample(study, design)
        assignments = inference.permute_targets(sample.cells, draws)
        changes = effects.cell_changes(sample)
        found = equivalence_test(changes, assignments, log_margins(margin))
        both = Estimate(
            **common,
            estimate=_percent(found.estimate),
            low=_percent(found.low),
            high=_percent(found.high),
            p_value=found.p_value,
            smallest_p=assignments.smallest_p / 2,  # half of a two-sided p is that of one side
            draws=draws,
            mde=margin,
            pretrend_p=row["pretrend_p"],
            pretrend_detectable=row["pretrend_detectable"],
            grade=results.grade_design(DESIGN, has_comparison=True, claimed=int(row["grade"])),
        )
        records += [both, *_sides(both, found)]
    return results.to_frame(records)


def _sides(both: Estimate, found: Equivalence) -> list[Estimate]:
    """Return the record of each one-sided test, with the one end that it gives the interval."""
    side = replace(
        both, design=ONE_SIDE, role="check", method=METHOD_OF_SIDE, level=(1 + LEVEL) / 2
    )
    return [
        replace(
            side,
            result_id=f"{both.result_id}-{name}",
            outcome=name,
            outcome_label=f"{name} of {both.mde:g} {both.unit} or more",
            p_value=p_value,
            **{open_end: math.nan},
        )
        for name, p_value, open_end in zip(
            SIDES, (found.p_loss, found.p_gain), ("high", "low"), strict=True
        )
    ]


_CARRIED = (
    "term",
    "outcome",
    "outcome_label",
    "role",
    "base",
    "clock",
    "fields_map",
    "sample",
    "unit",
    "n_cells",
    "n_targeted",
    "n_blocks",
    "n_observations",
    "baseline_years",
    "term_years",
    "input_hash",
)


def log_margins(margin_percent: float) -> tuple[float, float]:
    """Return the margin as a loss and as a gain, in logs."""
    return math.log1p(-margin_percent / 100), math.log1p(margin_percent / 100)


def _percent(log_value: float) -> float:
    return float(100 * np.expm1(log_value))
