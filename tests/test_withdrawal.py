"""Equivalence: two one-sided tests that agree with their interval, on the third term only."""

import math

import numpy as np
import pytest
from small_panels import random_sample
from small_results import small_study

from clusterpolicy import effects, inference, results
from clusterpolicy.otherdesigns import withdrawal


def equivalence_of(seed, margins, effect=0.0):
    sample = random_sample(np.random.default_rng(seed), effect=effect)
    changes = effects.cell_changes(sample)
    assignments = inference.permute_targets(sample.cells, draws=199)
    return withdrawal.equivalence_test(changes, assignments, margins), changes, assignments


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("margin", [0.3, 1.0])
def test_both_tests_reject_exactly_where_the_interval_is_inside_the_margin(seed, margin):
    found, _, _ = equivalence_of(seed, (-margin, margin))
    assert (found.p_loss <= 0.05) == (found.low > -margin)
    assert (found.p_gain <= 0.05) == (found.high < margin)
    assert (found.p_value <= 0.05) == (found.low > -margin and found.high < margin)


def test_a_wide_margin_is_met_and_a_narrow_one_is_not():
    wide, _, _ = equivalence_of(1, (-50.0, 50.0))
    narrow, _, _ = equivalence_of(1, (-1e-6, 1e-6))
    assert wide.p_value <= 0.05 < narrow.p_value


def test_supposing_no_effect_gives_the_p_value_of_the_main_test():
    found, changes, assignments = equivalence_of(2, (0.0, 0.0))
    two_sided = inference.permutation_test(changes, assignments).p_value
    assert min(found.p_loss, found.p_gain) == pytest.approx(two_sided / 2)


def test_the_interval_is_that_of_the_main_test_at_ninety_percent():
    found, changes, assignments = equivalence_of(3, (-1.0, 1.0))
    plain = inference.permutation_test(changes, assignments, level=0.90)
    assert (found.estimate, found.low, found.high) == (plain.estimate, plain.low, plain.high)


def test_a_loss_beyond_the_margin_is_never_called_equivalent():
    found, _, _ = equivalence_of(4, (-0.05, 0.05), effect=-3.0)
    assert found.p_loss > 0.5
    assert found.estimate < -1


def test_the_margin_is_a_percentage_of_the_level_not_of_the_log():
    low, high = withdrawal.log_margins(5)
    assert math.exp(low) == pytest.approx(0.95)
    assert math.exp(high) == pytest.approx(1.05)


def test_each_side_is_recorded_with_its_own_p_and_its_own_end(real_study):
    study = small_study(real_study)
    estimates = results.estimate_term(study, withdrawal.TERM, draws=49)
    records = withdrawal.estimate_withdrawal(study, estimates, draws=99)
    assert records["result_id"].is_unique
    tests = records[(records["design"] == withdrawal.DESIGN) & (records["status"] == "estimated")]
    by_name = records.set_index("result_id")
    assert len(tests) > 1
    for _, test in tests.iterrows():
        loss, gain = (by_name.loc[f"{test['result_id']}-{side}"] for side in withdrawal.SIDES)
        assert max(loss["p_value"], gain["p_value"]) == test["p_value"]
        assert (loss["low"], gain["high"]) == (test["low"], test["high"])
        assert math.isnan(loss["high"])
        assert math.isnan(gain["low"])
        assert (loss["p_value"] <= 0.05) == (test["low"] > -test["mde"])
        assert (gain["p_value"] <= 0.05) == (test["high"] < test["mde"])
        # Half of a two-sided p: the smallest that 99 reassignments allow is half of 0.01.
        assert test["smallest_p"] == loss["smallest_p"] == pytest.approx(0.005)
        assert loss["outcome_label"] == "loss of 5 percent or more"
