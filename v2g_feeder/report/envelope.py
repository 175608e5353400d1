"""Drawing of operating envelopes: kW that all points of a fleet may import and export, by hour."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.report.figures import INK, new_figure, panels, shared_legend, tidy
from v2g_feeder.report.words import day_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_envelope", "envelope_figure"]

_COLUMNS: Final = 4
_WIDTH: Final = 10.8  # inches, whatever the panels: the page shows every figure at its full width
_IMPORT, _EXPORT = "#009e73", "#0072b2"


def draw_envelope(
    ax: Axes, rows: pd.DataFrame, rating_kw: tuple[float, float] | None = None
) -> Axes:
    """Draw the envelope of a day: import above zero, export below.

    Parameters
    ----------
    ax
        Drawn on.
    rows
        Rows of ``envelopes.csv`` of one day, of one point or of several, which are added up. An
        hour without a valid solution stays empty.
    rating_kw
        Import and export of the chargers, drawn as level lines.
    """
    tidy(ax)
    names = ["import_kw", "export_kw"]
    by_step = rows.groupby(["hour", "minute"])[names].sum(min_count=1).sort_index()
    hour = np.array([at + minute / 60 for at, minute in by_step.index])
    edge = np.append(hour, 24.0)
    for name, sign, colour in zip(names, (1, -1), (_IMPORT, _EXPORT), strict=True):
        kw = sign * by_step[name].to_numpy(float)
        ax.fill_between(
            edge, np.append(kw, kw[-1:]), 0.0, step="post", color=colour, alpha=0.25, linewidth=0
        )
        ax.step(
            edge, np.append(kw, kw[-1:]), where="post", color=colour, linewidth=1.3,
            label=name.removesuffix("_kw"),
        )  # fmt: skip
    if rating_kw is not None:
        for level in (rating_kw[0], -rating_kw[1]):
            ax.axhline(level, color=INK, linewidth=0.7, linestyle=":", label="chargers' rating")
    ax.axhline(0.0, color=INK, linewidth=0.6)
    ax.set_xlim(0, 24)
    ax.set_xticks([0, 6, 12, 18, 24])
    ax.set_xlabel("hour of day")
    ax.set_ylabel("kW of all points")
    return ax


def envelope_figure(table: pd.DataFrame, rating_kw: tuple[float, float] | None = None) -> Figure:
    """Return the envelopes of all points together, a panel a season and day type.

    Parameters
    ----------
    table
        ``envelopes.csv``.
    rating_kw
        Import and export of all chargers.
    """
    days = list(dict.fromkeys(zip(table["season"], table["day_type"], strict=True)))
    columns = min(_COLUMNS, len(days))
    figure = new_figure(_WIDTH, 2.1 * math.ceil(len(days) / columns) + 0.4)
    axes = panels(figure, len(days), columns)
    for ax, (season, day_type) in zip(axes, days, strict=True):
        mine = table[(table["season"] == season) & (table["day_type"] == day_type)]
        draw_envelope(ax, mine, rating_kw)
        ax.set_title(day_name(season, day_type), fontsize=9, loc="left")
        ax.label_outer()
    shared_legend(figure, axes, columns=3)
    return figure
