"""A solution laid under its limits once, beside references of its own length and of one day."""

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.powerflow.solution import Reason, SuddenKind, stacked
from v2g_feeder.screening import Screen

from .factories import LIMITS, observed, solution

PLACES = observed()
STEPS = 6


def day(rng):
    """A day with voltages, loadings and sudden changes on both sides of their limits."""
    nodes, lines = len(PLACES.voltages), len(PLACES.elements)
    return solution(
        PLACES,
        steps=STEPS,
        v_pu=rng.uniform(0.93, 1.07, (STEPS, nodes)).astype(np.float32),
        loading_pct=rng.uniform(80, 120, (STEPS, lines)).astype(np.float32),
        reason=rng.choice([0, 0, 0, int(Reason.NOT_CONVERGED)], STEPS),
        sudden_step=np.array([1, 1, 4]),
        sudden_kind=np.array([SuddenKind.ALL_EXPORT_LOST] * 2 + [SuddenKind.EVENT_END]),
        sudden_pu=rng.uniform(-0.08, 0.08, (3, nodes)).astype(np.float32),
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_reference_of_one_day_stands_for_every_draw(seed):
    rng = np.random.default_rng(seed)
    run, reference = stacked([day(rng) for _ in range(3)]), day(rng)
    laid = Screen(PLACES, LIMITS, steps_per_day=STEPS)
    found = laid.rows(run, reference)
    assert len(found) > 10
    pd.testing.assert_frame_equal(found, laid.rows(run, stacked([reference] * 3)))


def test_a_reading_may_be_compared_again():
    rng = np.random.default_rng(9)
    laid = Screen(PLACES, LIMITS, steps_per_day=STEPS)
    run, one, other = day(rng), day(rng), day(rng)
    reading = laid.read(run)
    for reference in (one, other, one):
        found = pd.DataFrame(reading.against(laid.read(reference)))
        pd.testing.assert_frame_equal(found, laid.rows(run, reference))


def test_a_reference_that_does_not_fit_is_refused():
    rng = np.random.default_rng(1)
    laid = Screen(PLACES, LIMITS)
    with pytest.raises(ValueError, match="of the reference"):
        laid.rows(day(rng), stacked([day(rng), day(rng)]))
