"""The picture of a fit: what the archetype yields beside the records it was fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from v2g_feeder.fleet.goodness import ks_distance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from v2g_feeder.fleet.goodness import Sample

__all__ = ["draw_cumulative", "draw_histogram", "draw_share", "fit_figure"]

# colours of Okabe and Ito's set, and dashes, so that lines differ in grey too
_RECORDS: Final[dict[str, Any]] = {"color": "#22262b", "linestyle": "-", "linewidth": 1.6}
_FITTED: Final[dict[str, Any]] = {"color": "#d55e00", "linestyle": "--", "linewidth": 1.6}
_AXIS: Final = {
    "arrival": "plug-in, hour of the day (28 is 04:00 next day)",
    "stay": "stay, h",
    "energy": "energy at the meter, kWh",
    "start": "start, hour of the day",
    "end": "end, hour of the day it started",
    "miles": "distance, miles",
}
_HOURS_A_BAR: Final = {"arrival": 0.5, "start": 0.5, "end": 0.5}
_SHOWN: Final = 0.99  # of the records; the rest is far to the right
_BARS: Final = 40
_DPI: Final = 130


def fit_figure(records: Sample, fitted: Sample, title: str) -> Figure:
    """Draw a column a quantity: histogram above, cumulative below; then the plugged-in share.

    Parameters
    ----------
    records, fitted
        What to compare.
    title
        Above the figure.
    """
    names = list(records.columns)
    figure = Figure(figsize=(12.5, 9.5 if records.share.size else 6.8), dpi=_DPI)
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3 if records.share.size else 2, 6)
    for number, name in enumerate(names):
        place = slice(2 * number, 2 * number + 2)
        values = records.columns[name], fitted.columns[name]
        draw_histogram(figure.add_subplot(grid[0, place]), *values, name)
        draw_cumulative(figure.add_subplot(grid[1, place]), *values, name)
    if records.share.size:
        for number, day in enumerate(("weekday", "weekend")):
            ax = figure.add_subplot(grid[2, 3 * number : 3 * number + 3])
            draw_share(ax, records.share[number], fitted.share[number], day)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    lines = figure.axes[1].get_lines()
    figure.legend(lines, ["records", "fitted archetype"], loc="upper right", ncols=2, frameon=False)
    return figure


def draw_histogram(ax: Axes, records: np.ndarray, fitted: np.ndarray, name: str) -> Axes:
    """Draw the shares by class of one quantity, and return the Axes."""
    low, high = _range(records, name)
    step = _HOURS_A_BAR.get(name, (high - low) / _BARS)
    edges = np.arange(low, high + step, step)
    for values, style in ((records, _RECORDS), (fitted, _FITTED)):
        counts, _ = np.histogram(values, edges)
        ax.stairs(100 * counts / len(values), edges, **style)
    ax.set_ylabel(f"% of all, per {step:.2g} {_unit(name)}")
    return _finish(ax, name)


def draw_cumulative(ax: Axes, records: np.ndarray, fitted: np.ndarray, name: str) -> Axes:
    """Draw the cumulative distributions of one quantity, and return the Axes."""
    for values, style in ((records, _RECORDS), (fitted, _FITTED)):
        ax.plot(np.sort(values), 100 * np.arange(1, len(values) + 1) / len(values), **style)
    ax.set_xlim(_range(records, name))
    ax.set_ylabel("% at or below")
    ax.text(
        0.97, 0.06, f"KS {ks_distance(records, fitted):.3f}", transform=ax.transAxes, ha="right"
    )
    return _finish(ax, name)


def draw_share(ax: Axes, records: np.ndarray, fitted: np.ndarray, day: str) -> Axes:
    """Draw the plugged-in share by hour of one kind of day, and return the Axes."""
    hours = np.arange(25)
    for values, style in ((records, _RECORDS), (fitted, _FITTED)):
        ax.stairs(100 * values, hours, **style)
    ax.set_xlim(0, 24)
    ax.set_ylim(0, None)
    ax.set_xticks(range(0, 25, 3))
    ax.set_xlabel(f"hour of a {day}")
    ax.set_ylabel("% plugged in")
    return _finish(ax, "")


def _range(values: np.ndarray, name: str) -> tuple[float, float]:
    """Return the part of the axis that is shown."""
    if name in _HOURS_A_BAR:
        return float(np.floor(values.min())), float(np.ceil(values.max()))
    return 0.0, float(np.quantile(values, _SHOWN))


def _unit(name: str) -> str:
    return {"energy": "kWh", "miles": "miles"}.get(name, "h")


def _finish(ax: Axes, name: str) -> Axes:
    """Label the axis and take the box off."""
    if name:
        ax.set_xlabel(_AXIS[name])
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e3e6ea", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8)
    return ax
