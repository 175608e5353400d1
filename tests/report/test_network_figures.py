"""What the drawings of a feeder's figures show, read from their artists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection

from v2g_feeder.errors import InputError
from v2g_feeder.report import read_result
from v2g_feeder.report.explore import head_durations, heat_table, voltage_profile
from v2g_feeder.report.figures import new_figure
from v2g_feeder.report.network_figures import (
    Duration,
    draw_capacity,
    draw_duration,
    draw_heat,
    draw_probability,
    draw_profile,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

EXPORT = ("export", "expected")


def axes() -> Axes:
    return new_figure(5, 3).add_subplot()


def test_the_heat_map_holds_the_table_and_its_unit() -> None:
    days = pd.MultiIndex.from_tuples([("winter", "weekday"), ("summer", "peak_day")])
    table = pd.DataFrame(np.arange(48.0).reshape(2, 24), index=days)
    table.iloc[1, 3] = np.nan
    ax = draw_heat(axes(), table, "voltage, pu")
    shown = np.ma.asarray(ax.images[0].get_array())
    np.testing.assert_array_equal(shown.filled(-1), table.fillna(-1).to_numpy())
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "winter weekday",
        "summer peak day",
    ]
    assert ax.get_figure().axes[1].get_ylabel() == "voltage, pu"  # type: ignore[union-attr]


def test_the_profile_joins_points_of_a_phase() -> None:
    profile = pd.DataFrame(
        {
            "km": [0.0, 1.0, 1.0],
            "v_pu": [1.02, 1.0, 0.99],
            "phase": ["A", "A", "B"],
            "km_from": [np.nan, 0.0, np.nan],
            "v_from": [np.nan, 1.02, np.nan],
        }
    )
    ax = draw_profile(axes(), profile, (0.95, 1.05))
    assert [float(np.asarray(line.get_ydata())[0]) for line in ax.get_lines()] == [0.95, 1.05]
    marks = [item for item in ax.collections if isinstance(item, PathCollection)]
    assert [item.get_label() for item in marks] == ["phase A", "phase B"]
    np.testing.assert_array_equal(marks[0].get_offsets(), [[0, 1.02], [1, 1.0]])
    joined = [item for item in ax.collections if isinstance(item, LineCollection)]
    np.testing.assert_array_equal(joined[0].get_segments(), [[[0, 1.02], [1, 1.0]]])
    assert joined[1].get_segments() == []
    assert "km" in ax.get_xlabel()
    assert "pu" in ax.get_ylabel()


def test_a_duration_curve_weighs_its_values() -> None:
    curve = Duration("head", np.array([5.0, 20.0, 10.0, 99.0, np.nan]), np.array([1, 1, 2, 0, 3]),
                     "k", "-")  # fmt: skip
    ax = draw_duration(axes(), [curve], "head, kW")
    line = ax.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 25, 75, 100])
    np.testing.assert_allclose(line.get_ydata(), [20, 20, 10, 5])
    assert ax.get_ylabel() == "head, kW"


def test_capacity_by_hour_is_of_the_worst_day() -> None:
    rows = pd.DataFrame(
        [
            {"bus": bus, "hour": hour, "kw": kw * factor}
            for bus, kw in (("1", 100.0), ("2", 300.0), ("3", 500.0))
            for hour in range(24)
            for factor in (1.0, 2.0)
        ]
    )
    rows.loc[(rows["bus"] == "1") & (rows["hour"] == 23), "kw"] = 40.0
    ax = draw_capacity(axes(), rows)
    median, least = ax.get_lines()
    np.testing.assert_array_equal(median.get_ydata(), [300.0] * 25)
    np.testing.assert_array_equal(least.get_ydata(), [100.0] * 23 + [40.0] * 2)
    assert "kW" in ax.get_ylabel()


def test_the_curve_of_probability_has_its_interval() -> None:
    curve = pd.DataFrame(
        {"size": [50, 10], "probability": [0.5, 0.1], "low": [0.3, 0.0], "high": [0.7, 0.3]}
    )
    ax = draw_probability(axes(), curve, thresholds=(0.05,))
    limit, line = ax.get_lines()
    np.testing.assert_allclose(line.get_ydata(), [10, 50])
    np.testing.assert_array_equal(line.get_xdata(), [10, 50])
    assert float(np.asarray(limit.get_ydata())[0]) == pytest.approx(5)
    band = np.asarray(ax.collections[0].get_paths()[0].vertices)
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 70)


def test_tables_of_a_result(write_result: Callable[..., Path]) -> None:
    result = read_result(write_result())
    profile = voltage_profile(result, EXPORT, 17)
    assert list(profile["node"]) == ["b1.1", "b2.1", "b3.1"]
    np.testing.assert_allclose(profile["v_pu"], [1.02, 1.06, 1.07], rtol=1e-6)
    np.testing.assert_allclose(profile["km"], [1, 2, 3])
    # b1 hangs on the source, which has no voltage of its own; b3 is of another class
    np.testing.assert_allclose(profile["v_from"], [np.nan, 1.02, np.nan], rtol=1e-6)
    np.testing.assert_allclose(profile["km_from"], [np.nan, 1, np.nan])
    curves = head_durations(result)
    assert curves[0].label == "No EVs"
    assert len(curves) == 4
    table = heat_table(result, np.arange(96.0))
    assert table.shape == (4, 24)
    assert table.loc[("winter", "weekend"), 3] == 27


def test_a_run_that_is_not_there(write_result: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"no run export/expcted.*export/expected"):
        voltage_profile(read_result(write_result()), ("export", "expcted"), 0)
