"""Figures of several panels, and what drawings share: what is on their artists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.report.envelope import draw_envelope, envelope_figure
from v2g_feeder.report.figures import heat_grid, map_figure, name_places, new_figure
from v2g_feeder.report.fleet_capacity import draw_violation_curve, fleet_capacity_figure
from v2g_feeder.report.layout import Layout
from v2g_feeder.study.look import feeder_figure, look_at_feeder

HOURS = np.arange(24)


def envelopes() -> pd.DataFrame:
    """Two points on two days: 3 and 4 kW import, 1 and 0 kW export; half of it at 7:00."""
    rows = [
        {
            "point": point, "season": season, "day_type": "weekday", "hour": hour, "minute": 0,
            "import_kw": (3.0 + point) * (0.5 if hour == 7 else 1.0),
            "export_kw": np.nan if hour == 3 else 1.0 - point,
        }
        for season in ("winter", "summer") for point in (0, 1) for hour in HOURS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def curve() -> pd.DataFrame:
    """Shares of draws at 10 and 20 vehicles, of any limit, of thermal; over-voltage never."""
    share = {"any": (0.25, 1.0), "thermal": (0.25, 0.5), "over_voltage": (0.0, 0.0)}
    rows = [
        {
            "policy": policy, "case": "high", "criterion": criterion, "season": "any", "hour": -1,
            "size": size, "draws": 4, "violating": round(4 * one), "unknown": 0,
            "probability": one, "low": max(0.0, one - 0.2), "high": min(1.0, one + 0.2),
        }
        for policy in ("uncontrolled", "managed") for criterion, both in share.items()
        for size, one in zip((10, 20), both, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_an_envelope_adds_its_points_up_and_leaves_the_unknown_out() -> None:
    rows = envelopes()
    ax = draw_envelope(new_figure(4, 3).add_subplot(), rows[rows["season"] == "winter"], (9.0, 2.0))
    lines = {str(line.get_label()): line for line in ax.lines}
    imported = np.asarray(lines["import"].get_ydata(), float)
    assert imported[:24].tolist() == [3.5 if hour == 7 else 7.0 for hour in HOURS]
    exported = np.asarray(lines["export"].get_ydata(), float)
    assert np.flatnonzero(np.isnan(exported)).tolist() == [3]
    assert np.nanmin(exported) == np.nanmax(exported) == -1.0
    assert np.asarray(lines["import"].get_xdata(), float)[-1] == 24.0
    levels = [line.get_ydata()[0] for line in ax.lines if line.get_label() == "chargers' rating"]
    assert levels == [9.0, -2.0]
    assert ax.get_ylabel() == "kW of all points"


def test_envelopes_have_a_panel_a_day_and_one_legend() -> None:
    figure = envelope_figure(envelopes(), (9.0, 2.0))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["winter weekday", "summer weekday"]
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["import", "export", "chargers' rating"]


def test_a_violation_curve_shows_any_limit_and_each_that_breaks() -> None:
    rows = curve()
    ax = new_figure(4, 3).add_subplot()
    draw_violation_curve(ax, rows[rows["policy"] == "managed"], [0.05])
    lines = {str(line.get_label()): np.asarray(line.get_ydata(), float) for line in ax.lines}
    assert lines["share of draws"].tolist() == [25.0, 100.0]
    assert lines["thermal"].tolist() == [25.0, 50.0]
    assert "over-voltage" not in lines
    assert any(set(values) == {5.0} for values in lines.values())  # the threshold
    (band,) = ax.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(5.0)
    assert heights.max() == pytest.approx(100.0)
    assert ax.get_xlim() == (0, pytest.approx(20.8))


def test_fleet_capacity_has_a_panel_a_run() -> None:
    other = curve().assign(season="winter", probability=0.9)
    figure = fleet_capacity_figure(pd.concat([curve(), other]), [0.5])
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Uncontrolled, high", "Managed, high",
    ]  # fmt: skip
    for ax in figure.axes:
        line = next(one for one in ax.lines if one.get_label() == "share of draws")
        assert np.asarray(line.get_ydata(), float).tolist() == [25.0, 100.0]  # all seasons alone
    three = pd.concat([curve(), curve().assign(case="low")]).iloc[:18]
    assert [ax.get_visible() for ax in fleet_capacity_figure(three).axes] == [True] * 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()].count("thermal") == 1


def test_a_heat_grid_names_its_rows_from_the_top() -> None:
    ax = new_figure(4, 3).add_subplot()
    values = np.arange(48.0).reshape(2, 24)
    values[1, 5] = np.nan
    image = heat_grid(ax, values, ["first", "second"], cmap="cividis")
    shown = np.ma.asarray(image.get_array())
    assert shown[0, 23] == 23.0
    assert shown.mask[1, 5]
    assert shown.mask.sum() == 1
    assert list(image.get_extent()) == [0, 24, 2, 0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]


def laid_out(x: list[float], y: list[float], *, is_tree: bool = False) -> Layout:
    return Layout(np.array(x), np.array(y), np.arange(len(x)), is_tree)


def test_a_map_is_as_wide_as_its_feeder() -> None:
    tall = map_figure(laid_out([0, 1], [0, 4])).get_size_inches()
    square = map_figure(laid_out([0, 4, np.nan], [0, 4, np.nan])).get_size_inches()
    wide = map_figure(laid_out([0, 9], [0, 1])).get_size_inches()
    tree = map_figure(laid_out([0, 1], [0, 4], is_tree=True)).get_size_inches()
    line = map_figure(laid_out([0, 1], [2, 2])).get_size_inches()
    assert tall[0] < square[0] < wide[0] == tree[0] == line[0]
    assert len({figure[1] for figure in (tall, square, wide, tree, line)}) == 1


def test_names_of_places_do_not_cover_one_another() -> None:
    ax = new_figure(6, 4).add_subplot()
    layout = laid_out([0.0, 0.01, 1.0, np.nan], [0.0, 0.0, 1.0, np.nan])
    ax.scatter(layout.x[:3], layout.y[:3])
    name_places(ax, layout, {0: "one: 5 kW", 1: "two: 6 kW", 3: "nowhere"})
    assert [text.get_text() for text in ax.texts] == ["one: 5 kW", "two: 6 kW"]
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    one, two = (text.get_window_extent() for text in ax.texts)
    assert not one.overlaps(two)


def test_the_drawing_of_a_model_has_its_buses_lines_and_extremes() -> None:
    look = look_at_feeder("ieee13", Path())
    ax = feeder_figure(look).axes[0]
    lines, marks, ring = ax.collections
    loading = np.asarray(lines.get_array())
    assert loading.max() == pytest.approx(np.nanmax(look.loading_pct))
    assert 0 < (loading < 0).sum() <= np.isnan(look.loading_pct).sum()  # unknown, not unloaded
    shown = np.asarray(marks.get_array())
    assert {shown.min(), shown.max()} == {look.v_pu.min(), look.v_pu.max()}
    assert not len(ring.get_offsets())
    figures = look.figures()
    assert {text.get_text() for text in ax.texts} == {
        f"{figures[f'{side}_v_node']}: {figures[f'{side}_v_pu']:.3f} pu"
        for side in ("lowest", "highest")
    }
