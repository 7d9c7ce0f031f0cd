"""Methods for many panels at once: what each makes of the changes of a thousand panels.

All panels of a sample share its layout, so one call fits them all, and one product with the
weights of the assignments tests them all.
"""

from dataclasses import dataclass

import numpy as np
import scipy.stats

from clusterpolicy import effects, inference
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.scoretest import POOLED, SAME

# Of the residuals, in scales: moves p-values of panels by less than a hundredth.
CLOSE = 1e-2
HUBER, LEAST_SQUARES, RANKS = "huber", "least squares", "ranks"


@dataclass(frozen=True)
class Method:
    """A test of "no effect" by reassigning targets.

    Attributes
    ----------
    label, short : str
        As told, and where there is little room.
    scores : str
        What is added up by unit: clipped residuals, plain ones, or the ranks of Huber's.
    pooled : float, optional
        Weight of the average variance (``Weights.squares``); none: the coefficient as it is.
    by_block : bool
        Studentise by the larger of the variances by unit and by block.
    is_candidate : bool
        Tried so that the declared test could be chosen; not a method of the reports.
    """

    label: str
    short: str
    scores: str = HUBER
    pooled: float | None = POOLED
    by_block: bool = False
    is_candidate: bool = False


DECLARED, FIRST, BLOCK = "declared", "first", "block"
PERMUTED = {
    DECLARED: Method("the declared test", "this study"),
    BLOCK: Method("the check by the larger of unit and block", "unit or block", by_block=True),
    FIRST: Method("the first edition's test", "first edition", LEAST_SQUARES, 1.0),
    "strict": Method("least squares, by unit alone", "least squares", LEAST_SQUARES, 0.0),
    "ranks": Method("ranks of Huber residuals, by unit", "ranks", RANKS),
    "raw": Method("Huber coefficient, not studentised", "raw Huber", pooled=None),
    "pooled-0": Method("no average in the scale", "average 0", pooled=0.0, is_candidate=True),
    "pooled-25": Method("a quarter of it", "average 0.25", pooled=0.25, is_candidate=True),
    "pooled-100": Method("all of it", "average 1", pooled=1.0, is_candidate=True),
}
REFIT, BY_PLACE = "refit", "place"


class Bench:
    """One sample, ready for many panels of changes.

    Parameters
    ----------
    sample : effects.Sample
        Any: places may be prefectures or municipalities, cells may differ in precision.
    pool : int
        Reassignments that the tests choose among.
    seed : int

    Attributes
    ----------
    changes : Changes
        The real ones.
    test, plain : ScoreTest
        Of the real changes: the declared one, and the same without clipping.
    """

    def __init__(self, sample: effects.Sample, pool: int, seed: int):
        self.changes = effects.cell_changes(sample)
        self.assignments = inference.permute_targets(sample.cells, pool, seed)
        self.test = inference.score_test(self.changes, self.assignments, sample.k)
        self.plain = inference.score_test(self.changes, self.assignments, huber.LEAST_SQUARES)
        self.actual = self.assignments.actual
        self.root = np.sqrt(self.changes.layout.weight)
        shares = {each.pooled for each in PERMUTED.values() if each.pooled is not None}
        self._weights = {share: self.test.weights.with_pooled(share) for share in shares}

    @property
    def pool(self) -> int:
        """Reassignments beside the actual assignment, which is the first of the weights."""
        return len(self.assignments.labels)

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """Return the targets of cells of some assignments (positions among the weights)."""
        labels = self.assignments.labels[rows - 1][:, self.assignments.unit]
        return np.where((rows == 0)[:, None], self.actual, labels)

    def p_values(
        self, changes: np.ndarray, rows: np.ndarray, own: np.ndarray, ways: list[str]
    ) -> dict[str, np.ndarray]:
        """Return the p-value of no effect in every panel, by every way.

        Parameters
        ----------
        changes : ndarray, n_panels x n_cells
            Or one row that all panels have in common.
        rows : ndarray of int
            Assignments of the test, as positions among the weights.
        own : ndarray of int, n_panels
            Which of `rows` is the one that each panel was given; the others are its draws.
        ways : list of str
            Keys of ``PERMUTED``, and ``BY_PLACE``.
        """
        weights = self.test.weights.pick(rows)
        plain = huber.fit(self.changes.layout, changes, k=huber.LEAST_SQUARES)
        outcome, found, moments = self._outcomes(changes, plain, ways), {}, {}
        for way in ways:
            if way == BY_PLACE:
                found[way] = self._by_place(plain.residual, rows[own])
                continue
            method = PERMUTED[way]
            key = method.scores, method.by_block
            if key not in moments:
                block = self.assignments.block if method.by_block else None
                moments[key] = weights.moments(outcome[method.scores], block)
            score, variance = moments[key]
            if method.pooled is None:
                statistic = np.nan_to_num(np.abs(score / weights.norm))
            else:
                scaled = self._weights[method.pooled].pick(rows)
                statistic = scaled.studentised(score, variance, method.pooled)
            found[way] = _share_reached(statistic, own)
        return found

    def _outcomes(
        self, changes: np.ndarray, plain: huber.Fit, ways: list[str]
    ) -> dict[str, np.ndarray]:
        """Return unit scores over the root of their precision, by kind of score."""
        asked = {PERMUTED[way].scores for way in ways if way != BY_PLACE}
        found = {LEAST_SQUARES: self.plain.by_unit(plain.psi)}
        if asked & {HUBER, RANKS}:
            fit = huber.fit(self.changes.layout, changes, k=self.test.k, tolerance=CLOSE)
            found[HUBER] = self.test.by_unit(fit.psi)
            if RANKS in asked:
                order = (fit.residual * self.root).argsort(axis=1)
                ranks = np.empty_like(fit.residual)
                np.put_along_axis(ranks, order, np.arange(1.0, ranks.shape[1] + 1)[None], axis=1)
                found[RANKS] = self.plain.score(ranks / self.root)
        return found

    def _by_place(self, outcome: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Test residuals by least squares and a standard error clustered by place [1]_.

        CRV1 with the factor G/(G-1) and t of G-1 degrees of freedom.

        References
        ----------
        .. [1] Cameron and Miller (2015), Journal of Human Resources 50(2), 317-372.
        """
        layout = self.changes.layout
        different, which = np.unique(rows, return_inverse=True)
        left = huber.fit(layout, self.targets(different), k=huber.LEAST_SQUARES).residual
        left = left[which] if len(different) > 1 else left
        norm = (layout.weight * left**2).sum(axis=1)
        estimate = (layout.weight * left * outcome).sum(axis=1) / norm
        scores = layout.weight * left * (outcome - estimate[:, None] * left)
        n_places = layout.shape[0]
        sums = np.zeros((n_places, len(estimate)))
        np.add.at(sums, layout.place, scores.T)
        error = np.sqrt(n_places / (n_places - 1) * (sums**2).sum(axis=0)) / norm
        return 2 * scipy.stats.t.sf(np.abs(estimate) / error, n_places - 1)

    def estimates(self, changes: np.ndarray) -> dict[str, np.ndarray]:
        """Return the estimates of the actual targets' effect in every panel, in logs."""
        layout = self.changes.layout
        return {
            way: huber.fit(layout, changes, self.actual, k=k, tolerance=CLOSE).slope
            for way, k in ((DECLARED, self.test.k), (FIRST, huber.LEAST_SQUARES))
        }

    def refit_p(self, changes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the p-value of the coefficient that is fitted anew for every assignment.

        Parameters
        ----------
        changes : ndarray, n_panels x n_cells
        rows : ndarray of int
            Assignments, the actual one first.
        """
        rows = rows[~np.isnan(self.test.weights.norm[rows])]
        layout, k = self.changes.layout, self.test.k
        slopes = [
            huber.fit(layout, changes, targets, k=k, tolerance=CLOSE).slope
            for targets in self.targets(rows)
        ]
        return _share_reached(np.abs(slopes).T, np.zeros(len(changes), int))


def _share_reached(statistic: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the share of assignments whose statistic reaches that of the panel's own."""
    whose = np.arange(len(own)) if len(statistic) > 1 else np.zeros(len(own), int)
    reached = statistic[whose] >= statistic[whose, own][:, None] * (1 - SAME)
    return reached.mean(axis=1)


def power_at_size(null: np.ndarray, other: np.ndarray, size: float) -> float:
    """Return the power at the critical level at which panels without an effect reject at `size`.

    Parameters
    ----------
    null, other : ndarray
        p-values without and with the effect.
    size : float
        Share; between two levels that p-values reach, power is interpolated.
    """
    levels = np.r_[0.0, np.unique(np.r_[null, other])]
    rejected, found = (
        np.searchsorted(np.sort(p_values), levels, side="right") / len(p_values)
        for p_values in (null, other)
    )
    last = np.searchsorted(rejected, size, side="right") - 1  # the largest level that holds it
    if last == len(levels) - 1:
        return float(found[last])
    step = (size - rejected[last]) / (rejected[last + 1] - rejected[last])
    return float(found[last] + step * (found[last + 1] - found[last]))


def smallest_found(effects: np.ndarray, power: np.ndarray, asked: float) -> float:
    """Return the smallest effect that is found with power `asked`, interpolated.

    Parameters
    ----------
    effects, power : ndarray
        In ascending order of effects. NaN if none is found as often.
    """
    often = np.flatnonzero(power >= asked)
    if not len(often):
        return float("nan")
    first = often[0]
    if first == 0:
        return float(effects[0])
    step = (asked - power[first - 1]) / (power[first] - power[first - 1])
    return float(effects[first - 1] + step * (effects[first] - effects[first - 1]))
