"""What the drawings of a fleet show, read from their artists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.report.figures import new_figure
from v2g_feeder.report.shape_figures import (
    Held,
    Spread,
    draw_diversity,
    draw_filters,
    draw_held,
    draw_rebound,
    draw_states,
    draw_trace_kw,
    draw_trace_soc,
)
from v2g_feeder.report.styles import case_style, policy_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HOUR = np.arange(168.0, 192.0)
PLUGGED = (np.arange(24) < 6) | (np.arange(24) >= 20)


def axes() -> Axes:
    return new_figure(4, 3).add_subplot()


def test_held_falls_from_the_best_day_to_the_worst() -> None:
    ax = draw_held(axes(), [Held("firm", np.array([5.0, 20.0, 0.0, 10.0]), "#000000", "-")])
    marker, line = ax.get_lines()
    assert list(marker.get_xdata()) == [95, 95]
    np.testing.assert_array_equal(line.get_xdata(), [0, 25, 50, 75, 100])
    np.testing.assert_array_equal(line.get_ydata(), [20, 20, 10, 5, 0])
    assert "kW" in ax.get_ylabel()
    assert "%" in ax.get_xlabel()


def test_held_of_no_days_is_no_line() -> None:
    assert len(draw_held(axes(), [Held("low", np.zeros(0), "#000000", "-")]).get_lines()) == 1


def test_rebound_is_a_bar_a_way_and_season() -> None:
    peaks = pd.DataFrame(
        {
            "season": ["winter", "summer"] * 2,
            "way": ["managed", "managed", "all at once", "all at once"],
            "peak_kw_mean": [10.0, 8.0, 30.0, 25.0],
            "peak_kw_p95": [12.0, 9.0, 40.0, 30.0],
        }
    )
    ax = draw_rebound(axes(), peaks)
    assert [bar.get_height() for bar in ax.patches] == [10, 8, 30, 25]
    tops = [path.vertices[:, 1].max() for lines in ax.collections for path in lines.get_paths()]
    assert tops == [12, 9, 40, 30]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["winter", "summer"]


def test_diversity_is_drawn_over_sizes() -> None:
    size = np.array([1.0, 10.0, 100.0])
    spread = Spread("Managed", size, size * 0, size * 0 + 1, 12 / size, "#009e73", "-.")
    ax = draw_diversity(axes(), [spread])
    assert ax.get_xscale() == "log"
    np.testing.assert_array_equal(ax.get_lines()[-1].get_ydata(), [1, 1, 1])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "10", "100"]


def test_empty_diversity_keeps_the_ticks_of_shared_axes() -> None:
    grid = new_figure(6, 3).subplots(1, 2, sharex=True)
    size = np.array([1.0, 10.0])
    draw_diversity(grid[0], [Spread("Export", size, size, size, size, "#0072b2", "-")])
    draw_diversity(grid[1], [])
    assert list(grid[0].get_xticks()) == [1, 10]
    assert [text.get_text() for text in grid[1].texts] == ["none"]


def test_filters_name_their_counts() -> None:
    ax = draw_filters(axes(), {"vehicles": 240, "compatible": 96}, {"low": 3, "high": 69})
    assert [bar.get_width() for bar in ax.patches] == [240, 96, 3, 69]
    assert [text.get_text() for text in ax.texts] == ["240", "96", "3", "69"]


def test_states_stack_to_all_vehicles() -> None:
    cases = {"low": {"outside": 90, "grid_managed": 8, "v2g": 2, "v2h": 0}}
    ax = draw_states(axes(), cases)
    assert [bar.get_width() for bar in ax.patches] == [90, 8, 2]
    assert ax.patches[-1].get_x() + ax.patches[-1].get_width() == 100


def test_a_trace_shows_power_plug_soc_reserve_and_target() -> None:
    kw, soc = np.where(PLUGGED, 7.0, 0.0), np.linspace(0.4, 0.9, 24)
    top = draw_trace_kw(axes(), HOUR, kw, PLUGGED.astype(float), colour="#0072b2")
    np.testing.assert_array_equal(top.get_lines()[0].get_ydata(), np.append(kw, 7.0))
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in top.patches]
    assert spans == [(168, 174), (188, 192)]
    ax = draw_trace_soc(
        axes(), HOUR, soc, PLUGGED.astype(float), reserve=0.35, target=0.9, colour="#0072b2"
    )
    line, target, reserve = ax.get_lines()
    np.testing.assert_allclose(line.get_ydata(), 100 * soc)
    assert (target.get_ydata()[0], reserve.get_ydata()[0]) == (90, 35)


def test_every_policy_and_case_has_its_own_style() -> None:
    policies = ["no_ev", "uncontrolled", "managed", "export", "time_of_use", "v2h", "price"]
    assert len({policy_style(name) for name in policies}) == len(policies)
    cases = ["low", "firm", "expected", "high", "mine", "yours"]
    assert len({case_style(name, cases) for name in cases}) == len(cases)
    assert case_style("mine") == case_style("mine", cases)
    assert policy_style("unheard_of")


@pytest.mark.parametrize("name", ["draw_held", "draw_diversity"])
def test_nothing_to_draw_is_no_error(name: str) -> None:
    drawing = {"draw_held": draw_held, "draw_diversity": draw_diversity}[name]
    assert drawing(axes(), []) is not None
