"""Drawings of what a fleet can do: each takes Axes and data, and returns the Axes.

They share the style of :mod:`~v2g_feeder.report.figures`, touch no pyplot and work in a notebook
on any Axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from v2g_feeder.report.figures import GRID, INK, SOFT, tidy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = [
    "STATES",
    "Held",
    "Spread",
    "draw_diversity",
    "draw_filters",
    "draw_held",
    "draw_rebound",
    "draw_states",
    "draw_trace_kw",
    "draw_trace_soc",
]

STATES: Final = {
    "outside": ("Outside the programme", "#d9dce0"),
    "smart_only": ("Smart charging only", "#f0c75e"),
    "grid_managed": ("Managed by the programme", "#009e73"),
    "v2h": ("V2H: covers its own premise", "#cc79a7"),
    "v2g": ("V2G: exports", "#0f5a94"),
}
"""Exclusive states of a vehicle: label and colour."""
_FILTERS: Final = ("#8b94a0", "#bcd6e8", "#9fc3de", "#7fb1d4", "#5a9bc9", "#0f5a94")
_PLUGGED: Final = "#e3eef6"
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SHARE: Final = 95.0


class Held(NamedTuple):
    """What the event-days of a case hold, kW."""

    label: str
    kw: np.ndarray
    colour: str
    dash: str


class Spread(NamedTuple):
    """Quantiles over groups, by size of the group, kW per vehicle."""

    label: str
    size: np.ndarray
    p05: np.ndarray
    p50: np.ndarray
    p95: np.ndarray
    colour: str
    dash: str


def draw_held(ax: Axes, cases: Sequence[Held]) -> Axes:
    """Draw the kW that are held in at least a share of event-days, a line a case.

    A line falls from the best event-day to the worst; a mark stands where 95 % of days hold
    as much or more.
    """
    tidy(ax)
    ax.axvline(_SHARE, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for case in cases:
        kw = np.sort(np.asarray(case.kw, float))[::-1]
        if not len(kw):
            continue
        share = 100 * np.arange(1, len(kw) + 1) / len(kw)
        ax.step(
            np.append(0.0, share),
            np.append(kw[0], kw),
            where="pre",
            color=case.colour,
            linestyle=case.dash,
            linewidth=1.4,
            label=case.label,
        )
    ax.set_xlim(0, 100)
    ax.set_ylim(bottom=0)
    ax.set_xticks([0, 25, 50, 75, 95])
    ax.set_xlabel("share of event-days that hold at least this, %")
    ax.set_ylabel("held over the window, kW")
    return ax


def draw_rebound(ax: Axes, peaks: pd.DataFrame) -> Axes:
    """Draw the fleet's peak after an event by way of charging again, a group a season.

    ``peaks`` has ``season, way, peak_kw_mean, peak_kw_p95``; a bar is the mean over event-days,
    its line reaches up to the P95.
    """
    tidy(ax)
    ways = list(dict.fromkeys(peaks["way"]))
    seasons = list(dict.fromkeys(peaks["season"]))
    width = 0.8 / max(len(ways), 1)
    colours = ("#009e73", "#d55e00", "#e69f00", "#56b4e9")
    for number, way in enumerate(ways):
        rows = peaks[peaks["way"] == way]
        place = np.array([seasons.index(season) for season in rows["season"]], float)
        place += (number - (len(ways) - 1) / 2) * width
        mean, high = rows["peak_kw_mean"].to_numpy(float), rows["peak_kw_p95"].to_numpy(float)
        ax.bar(
            place,
            mean,
            width * 0.86,
            color=colours[number % len(colours)],
            linewidth=0,
            label=str(way),
        )
        ax.vlines(place, mean, np.maximum(high, mean), color=INK, linewidth=1.1)
    ax.axhline(0, color=SOFT, linewidth=0.6)
    ax.set_xticks(range(len(seasons)), [str(season).replace("_", " ") for season in seasons])
    ax.set_xlim(-0.6, len(seasons) - 0.4)
    ax.set_ylabel("fleet peak in the 4 h after, kW")
    return ax


def draw_diversity(ax: Axes, spreads: Sequence[Spread]) -> Axes:
    """Draw kW per vehicle against the size of the group, median and the middle 90 %."""
    tidy(ax)
    for spread in spreads:
        ax.fill_between(
            spread.size, spread.p05, spread.p95, color=spread.colour, alpha=0.14, linewidth=0
        )
        for edge in (spread.p05, spread.p95):
            ax.plot(spread.size, edge, color=spread.colour, linewidth=0.5, alpha=0.7)
        ax.plot(
            spread.size,
            spread.p50,
            color=spread.colour,
            linestyle=spread.dash,
            marker="o",
            markersize=2.6,
            linewidth=1.3,
            label=spread.label,
        )
    sizes = sorted({int(size) for spread in spreads for size in spread.size})
    if sizes:  # Axes may be shared with others that hold more
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(sizes))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    else:
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", fontsize=8, color=SOFT)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("vehicles in the group")
    ax.set_ylabel("kW per vehicle")
    return ax


def draw_filters(ax: Axes, passed: Mapping[str, float], by_case: Mapping[str, float]) -> Axes:
    """Draw how many vehicles pass each filter: one bar each, the last by case.

    ``passed`` holds vehicles by filter in words, widest first; ``by_case`` those enrolled.
    """
    tidy(ax)
    ax.yaxis.grid(visible=False)
    ax.xaxis.grid(visible=True, color=GRID, linewidth=0.6)
    labels = [*passed, *(f"enrolled to export: {case}" for case in by_case)]
    counts = np.array([*passed.values(), *by_case.values()], float)
    colours = [_FILTERS[min(number, len(_FILTERS) - 2)] for number in range(len(passed))]
    colours += [_FILTERS[-1]] * len(by_case)
    ax.barh(np.arange(len(counts)), counts, color=colours, height=0.66, linewidth=0)
    _name_bars(ax, counts)
    ax.set_yticks(np.arange(len(labels)), labels)
    ax.invert_yaxis()
    ax.set_xlabel("vehicles")
    return ax


def _name_bars(ax: Axes, counts: np.ndarray) -> None:
    """Write each bar's count beside its end."""
    most = float(counts.max()) if len(counts) else 0.0
    for place, count in enumerate(counts):
        ax.text(count + 0.012 * most, place, f"{count:,.0f}", va="center", fontsize=8, color=INK)
    ax.set_xlim(0, 1.12 * most if most else 1)


def draw_states(ax: Axes, cases: Mapping[str, Mapping[str, float]]) -> Axes:
    """Draw the exclusive states of the vehicles, one stacked bar a case.

    ``cases`` holds vehicles by state; states that no case has are left out.
    """
    tidy(ax)
    ax.yaxis.grid(visible=False)
    ax.xaxis.grid(visible=True, color=GRID, linewidth=0.6)
    place, left = np.arange(len(cases)), np.zeros(len(cases))
    for state, (label, colour) in STATES.items():
        counts = np.array([row.get(state, 0.0) for row in cases.values()], float)
        if not counts.any():
            continue
        ax.barh(place, counts, left=left, color=colour, height=0.66, label=label, linewidth=0)
        left += counts
    ax.set_yticks(place, list(cases))
    ax.invert_yaxis()
    ax.set_xlim(0, left.max() if len(left) and left.max() else 1)
    ax.set_xlabel("vehicles, each counted once")
    return ax


def draw_trace_kw(
    ax: Axes, hour: np.ndarray, kw: np.ndarray, plugged: np.ndarray, *, colour: str
) -> Axes:
    """Draw a vehicle's power over days, shaded while it is plugged in; above 0 draws.

    ``hour`` counts from the midnight that begins a Monday, the beginning of each step.
    """
    _days(ax, hour)
    step = float(hour[1] - hour[0]) if len(hour) > 1 else 1.0
    edges = np.append(hour, hour[-1:] + step)
    _shade(ax, edges, plugged)
    ax.step(edges, np.append(kw, kw[-1:]), where="post", color=colour, linewidth=1.2, label="power")
    ax.axhline(0, color=SOFT, linewidth=0.6)
    ax.set_ylabel("kW, below 0 exports")
    return ax


def draw_trace_soc(
    ax: Axes,
    hour: np.ndarray,
    soc: np.ndarray,
    plugged: np.ndarray,
    *,
    reserve: float,
    target: float,
    colour: str,
) -> Axes:
    """Draw a vehicle's state of charge at the end of each step, with reserve and target.

    All are fractions and drawn in percent. What was driven is taken out at the next plug-in.
    """
    _days(ax, hour)
    step = float(hour[1] - hour[0]) if len(hour) > 1 else 1.0
    _shade(ax, np.append(hour, hour[-1:] + step), plugged)
    ax.plot(hour + step, 100 * soc, color=colour, linewidth=1.2, label="state of charge")
    ax.axhline(100 * target, color=INK, linewidth=0.9, linestyle=(0, (1, 2)), label="target")
    ax.axhline(100 * reserve, color="#a33a06", linewidth=0.9, linestyle="--", label="reserve")
    ax.set_ylim(0, 104)
    ax.set_ylabel("SOC, % of usable battery")
    return ax


def _days(ax: Axes, hour: np.ndarray) -> None:
    """Give Axes days for an x axis: a line a midnight, the name of the day below it."""
    tidy(ax)
    first, last = int(hour[0] // 24), int(np.ceil((hour[-1] + 1e-6) / 24))
    ax.set_xlim(24 * first, 24 * last)
    ax.set_xticks(24.0 * np.arange(first, last + 1), [""] * (last - first + 1))
    noons = 24.0 * np.arange(first, last) + 12
    ax.set_xticks(noons, [_DAYS[day % 7] for day in range(first, last)], minor=True)
    ax.tick_params(axis="x", which="minor", length=0, labelsize=8, colors=INK)
    ax.xaxis.grid(visible=True, which="major", color=GRID, linewidth=0.6)
    ax.set_xlabel("day of the fortnight's second week")


def _shade(ax: Axes, edges: np.ndarray, plugged: np.ndarray) -> None:
    """Shade the time in which the vehicle is plugged in."""
    inside = np.asarray(plugged) > 0.5
    turns = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    for number, (start, stop) in enumerate(turns.reshape(-1, 2)):
        label = "plugged in" if number == 0 else None
        ax.axvspan(edges[start], edges[stop], color=_PLUGGED, linewidth=0, zorder=0, label=label)
