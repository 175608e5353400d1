"""What the drawings show, read from their artists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection

from v2g_feeder.report.figures import (
    FeederPicture,
    Shape,
    draw_counts,
    draw_feeder,
    draw_ledger_bars,
    draw_ledger_hours,
    draw_shapes,
    new_figure,
    svg_text,
)
from v2g_feeder.report.layout import place_buses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HOUR = np.arange(24.0)


def axes() -> Axes:
    return new_figure(4, 3).add_subplot()


def test_shapes_hold_to_the_end_of_the_day() -> None:
    middle = HOUR * 2
    shape = Shape("Export", middle - 1, middle, middle + 1, "#0072b2", "-")
    ax = draw_shapes(axes(), HOUR, [shape], window=(17, 21), ylabel="fleet kW")
    (line,) = ax.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), np.append(HOUR, 24))
    np.testing.assert_array_equal(line.get_ydata(), np.append(middle, 46))
    assert line.get_label() == "Export"
    assert len(ax.collections) == 1
    assert ax.get_ylabel() == "fleet kW"
    assert ax.get_xlabel() == "hour of day"


def test_shapes_of_nothing() -> None:
    ax = draw_shapes(axes(), HOUR, [])
    assert not ax.get_lines()
    nan = np.full(24, np.nan)
    draw_shapes(axes(), HOUR, [Shape("none", nan, nan, nan, "k", "-")])


def test_ledger_bars_stack_to_nameplate() -> None:
    runs = [{"not_bidirectional": 600.0, "away": 340.0, "exported": 60.0}]
    ax = draw_ledger_bars(axes(), runs, ["expected"])
    widths = [patch.get_width() for patch in ax.patches]
    assert widths == [600, 340, 60]
    assert ax.patches[-1].get_x() + widths[-1] == pytest.approx(1000)
    assert "kW" in ax.get_xlabel()


def test_ledger_hours_stack_with_export_at_the_bottom() -> None:
    rows = {"away": np.full(24, 30.0), "exported": np.full(24, 10.0), "no_port": np.zeros(24)}
    ax = draw_ledger_hours(axes(), HOUR, rows)
    labels = [str(area.get_label()) for area in ax.collections]
    assert labels == ["Exported", "Away"]
    top = ax.collections[1].get_paths()[0].vertices
    assert np.asarray(top)[:, 1].max() == pytest.approx(40)


def test_counts_are_binned() -> None:
    days = pd.MultiIndex.from_tuples([("winter", "weekday"), ("summer", "peak_day")])
    counts = pd.DataFrame(np.zeros((2, 24)), index=days)
    counts.iloc[0, 17], counts.iloc[1, 3], counts.iloc[1, 4] = 0.3, 30.0, 5000.0
    ax = draw_counts(axes(), counts)
    shown = np.asarray(ax.images[0].get_array())
    assert shown[0, 17] == 1
    assert shown[1, 3] == 4
    assert shown[1, 4] == 6
    assert shown.sum() == 11
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "winter weekday",
        "summer peak day",
    ]


def picture() -> FeederPicture:
    nan = np.nan
    layout = place_buses(
        ["b0", "b1", "b2", "svc"],
        ["", "b0", "b1", "b2"],
        np.array([0, 1, 2, nan]),
        np.array([0, 0, 1, nan]),
    )
    return FeederPicture(
        layout,
        np.array([1.0, 1.02, 1.07, nan]),
        np.array([[0, 1], [1, 2], [2, 3]]),
        np.array([40.0, 130.0, nan]),
        np.array([False, False, True, False]),
        {2: "1: b2"},
    )


def test_the_feeder_shows_lines_voltages_rings_and_names() -> None:
    ax = draw_feeder(axes(), picture())
    (lines,) = (item for item in ax.collections if isinstance(item, LineCollection))
    # the service has no place of its own: its line has no length and is not drawn
    assert sorted(np.asarray(lines.get_array())) == [40, 130]
    marks, ring = (item for item in ax.collections if isinstance(item, PathCollection))
    assert sorted(np.asarray(marks.get_array())) == [1.0, 1.02, 1.07]
    np.testing.assert_array_equal(ring.get_offsets(), [[2, 1]])
    assert [text.get_text() for text in ax.texts] == ["1: b2"]


def test_a_feeder_without_voltages() -> None:
    shown = picture()._replace(
        v_pu=np.full(4, np.nan), loading_pct=np.full(3, np.nan), broken=np.zeros(4, bool), labels={}
    )
    assert draw_feeder(axes(), shown) is not None


def test_many_places_become_an_image_in_the_drawing() -> None:
    count = 9000
    rng = np.random.default_rng(1)
    names = [f"b{number}" for number in range(count)]
    parents = ["", *names[:-1]]
    layout = place_buses(names, parents, rng.random(count), rng.random(count))
    ends = np.column_stack([np.arange(count - 1), np.arange(1, count)])
    figure = new_figure(8, 6)
    draw_feeder(
        figure.add_subplot(),
        FeederPicture(
            layout, rng.normal(1, 0.03, count), ends, rng.random(count - 1) * 150,
            rng.random(count) > 0.9, {5: "1: b5"},
        ),
    )  # fmt: skip
    assert len(svg_text(figure)) < 1_500_000


def test_a_service_is_drawn_at_its_nearest_ancestor() -> None:
    layout = picture().layout
    assert list(layout.anchor) == [0, 1, 2, 2]
    assert (layout.x[3], layout.y[3]) == (2, 1)


def test_a_source_without_coordinates_is_drawn_at_what_it_feeds() -> None:
    nan = np.nan
    layout = place_buses(
        ["s", "a", "b"], ["", "s", "a"], np.array([nan, 1, 2]), np.array([nan, 5, 6])
    )
    assert list(layout.anchor) == [1, 1, 2]


def test_without_coordinates_the_feeder_is_a_tree() -> None:
    nan = np.full(4, np.nan)
    layout = place_buses(["a", "b", "c", "d"], ["", "A", "b", "b"], nan, nan)
    assert layout.is_tree
    assert list(layout.x) == [0, 1, 2, 2]
    assert list(layout.y) == [-0.5, -0.5, 0, -1]


def test_a_drawing_is_the_same_at_every_call() -> None:
    def drawn() -> str:
        figure = new_figure(4, 3)
        draw_feeder(figure.add_subplot(), picture())
        return svg_text(figure)

    assert drawn() == drawn()
