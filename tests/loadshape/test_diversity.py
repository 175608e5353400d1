"""Power per vehicle against fleet size, against fleets whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from v2g_feeder.loadshape import diversity


def spread_of(kw, **changes):
    dispatch = SimpleNamespace(kw=kw, step_hours=1.0)
    return diversity(dispatch, np.random.default_rng(3), **changes)


def test_vehicles_that_do_the_same_have_no_diversity():
    kw = np.zeros((2, 40, 14 * 24))
    kw[:, :, 18::24], kw[:, :, 17::24] = 7.0, -3.0
    table = spread_of(kw, samples=20)
    assert set(table["size"]) == {1, 2, 5, 10, 20}
    for way, value in (("import", 7.0), ("export", 3.0)):
        rows = table[table["direction"] == way]
        np.testing.assert_allclose(rows[["p05", "p50", "p95"]], value)


def test_a_larger_group_spreads_less_and_peaks_lower():
    rng = np.random.default_rng(1)
    kw = np.where(rng.random((1, 400, 14 * 24)) < 0.05, 7.0, 0.0)
    rows = spread_of(kw).query("direction == 'import'").set_index("size")
    assert rows.loc[1, "p95"] == 7.0
    assert rows.loc[200, "p95"] < rows.loc[10, "p95"] < rows.loc[1, "p95"]
    width = rows["p95"] - rows["p05"]
    assert width.loc[200] < width.loc[10]


def test_only_the_second_week_counts():
    kw = np.zeros((1, 10, 14 * 24))
    kw[:, :, : 7 * 24] = 7.0
    assert not spread_of(kw, samples=20)[["p05", "p50", "p95"]].to_numpy().any()


@pytest.mark.parametrize(("vehicles", "sizes"), [(0, set()), (1, {1}), (3, {1}), (4, {1, 2})])
def test_groups_are_at_most_half_the_fleet(vehicles, sizes):
    table = spread_of(np.zeros((1, vehicles, 14 * 24)), samples=5)
    assert set(table["size"] if len(table) else []) == sizes
