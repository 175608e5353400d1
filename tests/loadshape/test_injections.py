"""From vehicles to signed kW at connection points."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g_feeder.loadshape.injections import at_points, by_point, coincident

POINTS = pd.DataFrame({"phase": ["A", "B", "C", "AB", "CA", "ABC"]})
CHARGE = np.array([7.0, 8, 9, 10, 11, 30])
EXPORT = np.array([5.0, 0, 6, 7, 8, 20])


def test_vehicles_add_up_at_their_point():
    kw = np.array([[1.0, -2], [3, 4], [-5, 6]])
    found = at_points(kw, np.array([2, 0, 2]), 4)
    assert found.tolist() == [[3, 4], [0, 0], [-4, 4], [0, 0]]
    assert by_point(np.array([2, 0, 2]), [1.0, 2.0, 3.0], 4).tolist() == [2, 0, 4, 0]


def test_no_vehicles_and_no_points():
    assert at_points(np.zeros((0, 3)), np.zeros(0, int), 2).tolist() == [[0, 0, 0]] * 2
    assert at_points(np.zeros((0, 3)), np.zeros(0, int), 0).shape == (0, 3)
    assert by_point(np.zeros(0, int), [], 2).tolist() == [0, 0]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_nothing_is_lost_or_doubled(vehicles, points, seed):
    rng = np.random.default_rng(seed)
    kw, where = rng.normal(size=(vehicles, 4)), rng.integers(points, size=vehicles)
    found = at_points(kw, where, points)
    assert found.sum(axis=0) == pytest.approx(kw.sum(axis=0))
    for row in range(points):
        assert found[row] == pytest.approx(kw[where == row].sum(axis=0))


def test_export_is_negative_and_charging_positive():
    export = coincident("coincident_export", POINTS, CHARGE, EXPORT, 3)
    charge = coincident("coincident_charge", POINTS, CHARGE, EXPORT, 3)
    assert export.shape == charge.shape == (6, 3)
    assert (export == -EXPORT[:, None]).all()
    assert (charge == CHARGE[:, None]).all()


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("A", [-5, 8, 9, -7, 11, 0]),
        ("B", [7, 0, 9, 10, 11, 0]),
        ("C", [7, 8, -6, 10, -8, 0]),
    ],
)
def test_in_a_split_one_phase_exports_while_the_others_charge(phase, expected):
    """Line to line belongs to its first phase; three-phase points stay idle."""
    found = coincident("coincident_split", POINTS, CHARGE, EXPORT, 2, phase)
    assert found.tolist() == [[value, value] for value in expected]
