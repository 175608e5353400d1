"""Drawings of a feeder's figures: each takes Axes and data, and returns the Axes.

They share the style of :mod:`~v2g_feeder.report.figures`, touch no pyplot and work in a notebook
on any Axes. The data come from a result (:mod:`~v2g_feeder.report.explore`) or from anywhere else
in the same columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection

from v2g_feeder.report.figures import GRID, INK, SOFT, heat_grid, tidy
from v2g_feeder.report.words import day_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = [
    "Duration",
    "draw_capacity",
    "draw_duration",
    "draw_heat",
    "draw_probability",
    "draw_profile",
]

_PHASE: Final = {"A": ("#d55e00", "o"), "B": ("#0072b2", "s"), "C": ("#009e73", "^")}
_OTHER: Final = ("#8a9099", "D")
_LIMIT: Final[dict[str, Any]] = {
    "color": "#a33a06",
    "linewidth": 0.9,
    "linestyle": (0, (4, 2)),
    "zorder": 1,
}
_DRAWN: Final = 600  # more marks than this become an image inside a vector file


class Duration(NamedTuple):
    """A line of a duration curve: values, the days a year that each stands for, and a style."""

    label: str
    values: np.ndarray
    weights: np.ndarray
    colour: str
    dash: str


def draw_heat(ax: Axes, table: pd.DataFrame, label: str, *, cmap: str = "cividis") -> Axes:
    """Draw a value by day and hour, with its scale.

    Parameters
    ----------
    ax
        Where to draw.
    table
        Index ``(season, day_type)``, columns hours 0 to 23; NaN is left white.
    label
        What the value is, with its unit.
    cmap
        A perceptually even colour map; the default is readable with colour-blindness.
    """
    names = [day_name(*key) for key in table.index]
    image = heat_grid(ax, table.to_numpy(float), names, cmap=cmap)
    figure = ax.get_figure()
    if figure is not None:
        bar = figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02)
        bar.set_label(label, fontsize=8.5)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)
    return ax


def draw_profile(
    ax: Axes, profile: pd.DataFrame, limits: tuple[float, float] | None = None
) -> Axes:
    """Draw voltages against distance from the source, joined along the feeder, by phase.

    Parameters
    ----------
    ax
        Where to draw.
    profile
        ``km``, ``v_pu``, ``phase``; with ``km_from`` and ``v_from`` (the same phase one bus
        towards the source, NaN where there is none) the points are joined.
    limits
        Lowest and highest voltage allowed, per unit, drawn dashed.
    """
    tidy(ax)
    for value in limits or ():
        ax.axhline(value, **_LIMIT)
    many = len(profile) > _DRAWN
    for phase, rows in profile.groupby("phase", sort=True):
        colour, mark = _PHASE.get(str(phase), _OTHER)
        if "km_from" in rows:
            joined = rows.dropna(subset=["km_from", "v_from", "v_pu"])
            starts = joined[["km_from", "v_from"]].to_numpy()
            stops = joined[["km", "v_pu"]].to_numpy()
            lines = LineCollection(
                list(np.stack([starts, stops], axis=1)),
                colors=colour,
                linewidths=0.8,
                alpha=0.7,
                rasterized=many,
            )
            ax.add_collection(lines)
        ax.scatter(
            rows["km"], rows["v_pu"], s=9, marker=mark, color=colour, linewidths=0,
            label=f"phase {phase}", rasterized=many, zorder=3,
        )  # fmt: skip
    ax.autoscale_view()
    ax.set_xlim(left=0)
    ax.set_xlabel("distance from the source, km")
    ax.set_ylabel("voltage, pu")
    return ax


def draw_duration(ax: Axes, curves: Sequence[Duration], ylabel: str) -> Axes:
    """Draw the share of time in which a value is reached or passed, a line each.

    ``ylabel`` says what the values are, with their unit. Weights of zero, those of peak and minimum
    days, leave a value out.
    """
    tidy(ax)
    for curve in curves:
        kept = np.isfinite(curve.values) & (np.asarray(curve.weights) > 0)
        values, weights = np.asarray(curve.values)[kept], np.asarray(curve.weights, float)[kept]
        if not len(values):
            continue
        order = np.argsort(-values, kind="stable")
        share = 100 * np.cumsum(weights[order]) / weights.sum()
        ax.step(
            np.append(0.0, share),
            np.append(values[order][0], values[order]),
            where="pre",
            color=curve.colour,
            linestyle=curve.dash,
            linewidth=1.3,
            label=curve.label,
        )
    ax.axhline(0, color=SOFT, linewidth=0.6, zorder=1)
    ax.set_xlim(0, 100)
    ax.set_xlabel("share of the hours, %")
    ax.set_ylabel(ylabel)
    return ax


def draw_capacity(ax: Axes, capacity: pd.DataFrame, *, colour: str = "#0072b2") -> Axes:
    """Draw hosting capacity by hour: the least bus, the median, and the middle half of buses.

    Parameters
    ----------
    ax
        Where to draw.
    capacity
        Rows of ``hosting_capacity.csv`` of one direction and connection: ``bus``, ``hour``, ``kw``.
        Of each bus the least of its days counts, so that a figure holds on every day.
    colour
        Of the lines.
    """
    tidy(ax)
    least = capacity.pivot_table(index="bus", columns="hour", values="kw", aggfunc="min")
    hour = np.append(least.columns.to_numpy(float), 24.0)

    def held(values: np.ndarray) -> np.ndarray:
        return np.append(values, values[-1:])

    low, middle, high = (held(least.quantile(q).to_numpy()) for q in (0.25, 0.5, 0.75))
    ax.fill_between(
        hour, low, high, step="post", color=colour, alpha=0.2, linewidth=0,
        label="middle half of the buses",
    )  # fmt: skip
    ax.step(hour, middle, where="post", color=colour, linewidth=1.4, label="median bus")
    ax.step(
        hour, held(least.min().to_numpy()), where="post", color=INK, linewidth=1.2,
        linestyle="--", label="least bus",
    )  # fmt: skip
    ax.set_xlim(0, 24)
    ax.set_xticks([0, 6, 12, 18, 24])
    ax.set_ylim(bottom=0)
    ax.set_xlabel("hour of day")
    ax.set_ylabel("hosting capacity, kW at one bus")
    return ax


def draw_probability(
    ax: Axes, curve: pd.DataFrame, *, thresholds: Sequence[float] = (), colour: str = "#0072b2"
) -> Axes:
    """Draw the probability of a violation against the size of the fleet, with its interval.

    Parameters
    ----------
    ax
        Where to draw.
    curve
        Rows of a fleet's capacity curve with one key: ``size`` (vehicles), ``probability``,
        ``low``, ``high`` (fractions).
    thresholds
        Probabilities at which a capacity is read, drawn dashed; fractions.
    colour
        Of the line and its band.
    """
    tidy(ax)
    rows = curve.sort_values("size")
    size = rows["size"].to_numpy(float)
    for threshold in thresholds:
        ax.axhline(100 * threshold, **_LIMIT)
    ax.fill_between(
        size, 100 * rows["low"].to_numpy(float), 100 * rows["high"].to_numpy(float),
        color=colour, alpha=0.2, linewidth=0, label="its interval",
    )  # fmt: skip
    ax.plot(
        size, 100 * rows["probability"].to_numpy(float), color=colour, marker="o", markersize=3,
        linewidth=1.3, label="share of draws",
    )  # fmt: skip
    ax.xaxis.grid(visible=True, color=GRID, linewidth=0.6)
    ax.set_ylim(-2, 102)
    ax.set_xlabel("vehicles")
    ax.set_ylabel("draws that break a limit, %")
    return ax
