"""Drawing of fleet capacity: the probability of a violation against the number of vehicles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from v2g_feeder.conventions import ANY, WHOLE_DAY, Criterion
from v2g_feeder.report.figures import INK, new_figure, panels, shared_legend
from v2g_feeder.report.network_figures import draw_probability
from v2g_feeder.report.words import criterion_name, run_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_violation_curve", "fleet_capacity_figure"]

_COLUMNS: Final = 3
_WIDTH: Final = 9.3  # inches, whatever the panels: the page shows every figure at its full width
_LINES: Final = (
    ("#0072b2", "--"), ("#d55e00", "-."), ("#009e73", ":"), ("#cc79a7", "--"), ("#e69f00", "-."),
    ("#56b4e9", ":"),
)  # fmt: skip


def draw_violation_curve(ax: Axes, curve: pd.DataFrame, thresholds: Sequence[float] = ()) -> Axes:
    """Draw the probability of a violation of one run against the number of vehicles.

    Parameters
    ----------
    ax
        Drawn on.
    curve
        Rows of ``hosting_fleet.csv`` of one (policy, case), over all seasons and hours: the curve
        of any criterion with its interval, a line for each that breaks at some size.
    thresholds
        Probabilities, drawn as level lines.
    """
    every = curve[curve["criterion"] == ANY]
    draw_probability(ax, every, thresholds=thresholds, colour=INK)
    names = [name for name in dict.fromkeys(curve["criterion"]) if name != ANY]
    broken = [name for name in names if curve.loc[curve["criterion"] == name, "violating"].any()]
    for name in broken:
        mine = curve[curve["criterion"] == name].sort_values("size")
        colour, dash = _LINES[list(Criterion).index(Criterion(name)) % len(_LINES)]
        ax.plot(
            mine["size"],
            100 * mine["probability"],
            color=colour,
            linestyle=dash,
            linewidth=1.1,
            label=criterion_name(name),
        )
    ax.set_xlim(0, 1.04 * float(every["size"].max()))
    return ax


def fleet_capacity_figure(curve: pd.DataFrame, thresholds: Sequence[float] = ()) -> Figure:
    """Return the curves of all runs over all seasons and hours, a panel a (policy, case).

    Parameters
    ----------
    curve
        ``hosting_fleet.csv``.
    thresholds
        Probabilities, drawn as level lines.
    """
    whole = curve[(curve["season"] == ANY) & (curve["hour"] == WHOLE_DAY)]
    runs = list(dict.fromkeys(zip(whole["policy"], whole["case"], strict=True)))
    columns = min(_COLUMNS if len(runs) != 4 else 2, len(runs))
    figure = new_figure(_WIDTH, 2.5 * math.ceil(len(runs) / columns) + 0.4)
    axes = panels(figure, len(runs), columns)
    for ax, (policy, case) in zip(axes, runs, strict=True):
        mine = whole[(whole["policy"] == policy) & (whole["case"] == case)]
        draw_violation_curve(ax, mine, thresholds)
        ax.set_title(run_name(policy, case), fontsize=9, loc="left")
        ax.label_outer()
    shared_legend(figure, axes, columns=4)
    return figure
