"""The drawings of hosting capacity: each takes Axes and data, and returns the Axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap

from v2g_feeder.report.figures import INK, SOFT, heat_grid, name_places

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes

    from v2g_feeder.report.layout import Layout

__all__ = ["KW_EDGES", "CapacityPicture", "draw_capacity_heat", "draw_capacity_map"]

KW_EDGES: Final = (0.0, 1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
"""Lower ends of the colour bins of kW; below the second there is as good as no room."""
_COLOURS: Final = (
    "#7a2c05",
    "#b5480f",
    "#e08546",
    "#f3b07b",
    "#fbe3cb",
    "#d6e7f3",
    "#a3c9e5",
    "#5f9fcd",
    "#0f5a94",
)
_UNKNOWN: Final = "#ffffff"
_PUNCTUAL: Final = 600  # more marks than this are drawn as an image inside the vector file


class CapacityPicture(NamedTuple):
    """What a feeder's drawing shows.

    ``parent`` is the number of the bus towards the source, -1 for a root; ``kw`` the capacity drawn
    at each bus, NaN for none; ``labels`` bus number to text.
    """

    layout: Layout
    parent: np.ndarray
    kw: np.ndarray
    labels: Mapping[int, str]


def _scale() -> tuple[Colormap, BoundaryNorm]:
    """Return colours of kW by bins."""
    colours = ListedColormap(list(_COLOURS)).with_extremes(bad=_UNKNOWN)
    return colours, BoundaryNorm([*KW_EDGES, 1e12], len(_COLOURS))


def _bar(ax: Axes) -> None:
    """Put the scale of kW beside Axes."""
    figure = ax.get_figure(root=True)
    if figure is None:
        return
    colours, norm = _scale()
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=ax, fraction=0.025, pad=0.01, spacing="uniform"
    )
    bar.set_ticks(list(KW_EDGES), labels=[f"{edge:g}" for edge in KW_EDGES])
    bar.set_label("capacity, kW", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def draw_capacity_heat(ax: Axes, capacity: pd.DataFrame, *, ylabel: str = "") -> Axes:
    """Draw capacity in kW, rows by hours of the day, on a scale of unequal bins.

    Parameters
    ----------
    ax
        Drawn on.
    capacity
        A row a bus, season or day, a column an hour from 0; NaN, drawn white, where unknown.
    ylabel
        What the rows are.
    """
    colours, norm = _scale()
    names = [str(name) for name in capacity.index]
    heat_grid(ax, capacity.to_numpy(float), names, cmap=colours, norm=norm)
    ax.set_ylabel(ylabel, fontsize=8.5)
    for edge in ax.spines.values():
        edge.set_color(SOFT)
        edge.set_linewidth(0.6)
    _bar(ax)
    return ax


def draw_capacity_map(ax: Axes, picture: CapacityPicture) -> Axes:
    """Draw the feeder, its buses coloured by capacity, those of least capacity on top and named."""
    layout, kw = picture.layout, picture.kw
    child = np.flatnonzero(picture.parent >= 0)
    places = np.column_stack([layout.x, layout.y])
    ends = np.stack([places[picture.parent[child]], places[child]], axis=1)
    ends = ends[np.isfinite(ends).all(axis=(1, 2)) & (ends[:, 0] != ends[:, 1]).any(axis=1)]
    lines = LineCollection(
        list(ends), colors=SOFT, linewidths=1.0, zorder=1, rasterized=len(ends) > _PUNCTUAL
    )
    ax.add_collection(lines)
    shown = np.flatnonzero(np.isfinite(kw) & np.isfinite(layout.x))
    shown = shown[np.argsort(-kw[shown], kind="stable")]
    colours, norm = _scale()
    ax.scatter(
        layout.x[shown],
        layout.y[shown],
        c=kw[shown],
        cmap=colours,
        norm=norm,
        s=34 if len(shown) < 400 else 8,
        edgecolors=INK,
        linewidths=0.3,
        zorder=2,
        rasterized=len(shown) > _PUNCTUAL,
    )
    ax.set_axis_off()
    ax.margins(0.06)
    if not layout.is_tree:
        ax.set_aspect("equal", adjustable="datalim")
    _bar(ax)
    name_places(ax, layout, picture.labels)
    return ax
