"""The drawings of the report: each takes Axes and data, and returns the Axes.

They hold no state, touch no pyplot and work in a notebook on any Axes. Colours are of Okabe and
Ito's set, which readers with colour-blindness can tell apart; lines differ in dash as well.

References
----------
Okabe, M. and Ito, K., "Color Universal Design", 2008.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from v2g_feeder.report.words import LEDGER, day_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

    from v2g_feeder.report.layout import Layout

__all__ = [
    "COUNT_BINS",
    "FeederPicture",
    "Shape",
    "draw_counts",
    "draw_feeder",
    "draw_ledger_bars",
    "draw_ledger_hours",
    "draw_lines",
    "draw_shapes",
    "heat_grid",
    "hours_of_day",
    "loading_key",
    "map_figure",
    "name_places",
    "new_figure",
    "panels",
    "shared_legend",
    "svg_text",
    "tidy",
]

INK: Final = "#22262b"
SOFT: Final = "#8a9099"
GRID: Final = "#e3e6ea"
_WINDOW: Final = "#f1f2f4"
_COUNT_COLOURS: Final = (
    "#ffffff",
    "#fdeee0",
    "#fbd6b5",
    "#f3b07b",
    "#e08546",
    "#b5480f",
    "#7a2c05",
)
COUNT_BINS: Final = (0.0, 0.5, 2.0, 10.0, 50.0, 200.0)
"""Upper ends of the colour bins of counts; above the last is the darkest."""
_LOST: Final = (
    "#d9dce0",
    "#c6cad0",
    "#b2b8c0",
    "#9fa6b0",
    "#8b94a0",
    "#e8d9b5",
    "#dcc48a",
    "#cdae60",
    "#e0c1b3",
    "#cfa18e",
    "#bd826b",
    "#a8654c",
)
_AVAILABLE: Final = ("#cfe3f2", "#a9cde8", "#7fb5db")
_EXPORTED: Final = "#0f5a94"
_VOLTAGE_COLOURS: Final = ("#4b2a7b", "#9d8bc4", "#e9ebee", "#f0b27a", "#b5480f")
_VOLTAGE_EDGES: Final = (0.95, 0.975, 1.025, 1.05)
_LOADING_COLOURS: Final = ("#9aa0a8", "#c9ced4", "#e6c9a0", "#d98b3a", "#a33a06")
_LOADING_WORDS: Final = ("rating unknown", "up to 50 %", "50 to 80 %", "80 to 100 %", "over 100 %")
_DPI: Final = 110
_MAP, _NARROWEST, _WIDEST = 6.2, 6.0, 11.2  # inches: height of a feeder, width of its figure
_PUNCTUAL: Final = 600  # more marks than this are drawn as an image inside the vector file


class Shape(NamedTuple):
    """A line over the hours of a day, with its range over draws if there is one; kW."""

    label: str
    low: np.ndarray | None
    middle: np.ndarray
    high: np.ndarray | None
    colour: str
    dash: str


class FeederPicture(NamedTuple):
    """What a feeder's drawing shows.

    ``v_pu`` is the worst voltage drawn at each bus, ``ends`` the two bus numbers of each line,
    ``loading_pct`` its highest loading, ``broken`` whether a limit is broken at a bus (drawn
    there), ``labels`` bus number to text.
    """

    layout: Layout
    v_pu: np.ndarray
    ends: np.ndarray
    loading_pct: np.ndarray
    broken: np.ndarray
    labels: Mapping[int, str]


def new_figure(width: float, height: float, *, fitted: bool = True) -> Figure:
    """Return an empty figure, inches, that belongs to no pyplot state.

    ``fitted`` finds room for all text as it is saved, which takes as long again as drawing it.
    """
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained" if fitted else None)
    FigureCanvasAgg(figure)
    return figure


def map_figure(layout: Layout) -> Figure:
    """Return an empty figure as wide as a feeder's drawing needs, its scale beside it."""
    x, y = (one[np.isfinite(one)] for one in (layout.x, layout.y))
    wide, high = (float(np.ptp(one)) if len(one) else 0.0 for one in (x, y))
    width = _WIDEST if layout.is_tree or not high else _MAP * wide / high + 1.8
    return new_figure(float(np.clip(width, _NARROWEST, _WIDEST)), _MAP + 0.2)


def panels(figure: Figure, count: int, columns: int) -> list[Axes]:
    """Return so many Axes in a grid that share their scales; what is over in it is hidden."""
    rows = math.ceil(count / columns)
    grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for ax in grid[count:]:
        ax.set_visible(False)
    return list(grid[:count])


def shared_legend(figure: Figure, axes: Iterable[Axes], *, columns: int) -> None:
    """Put one legend under a figure: each label once, whichever of its Axes has it."""
    found: dict[str, Artist] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(found.values()), list(found), loc="outside lower right", ncols=columns, fontsize=8,
        frameon=False,
    )  # fmt: skip


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG whose text stays text, the same at every call.

    The figure is drawn once: ``savefig`` draws it twice where it finds room for its text.
    """
    buffer, canvas, dpi = io.StringIO(), figure.canvas, figure.dpi
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "v2g-feeder"}):
        drawn: Any = FigureCanvasSVG(figure)
        drawn.print_svg(buffer, metadata={"Date": None, "Creator": None})
    figure.set_canvas(canvas)
    figure.dpi = dpi  # the drawing's is 72
    return (
        buffer.getvalue()
        .replace("'DejaVu Sans', ", "")
        .replace("'DejaVu Sans'", "system-ui, 'Segoe UI', Arial, sans-serif")
    )


def tidy(ax: Axes) -> Axes:
    """Give Axes the report's style: no box, light grid, small grey ticks."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(SOFT)
        ax.spines[side].set_linewidth(0.6)
    ax.tick_params(colors=INK, labelsize=8, length=2.5, width=0.6, color=SOFT)
    ax.yaxis.grid(visible=True, color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.xaxis.label.set_fontsize(8.5)
    ax.yaxis.label.set_fontsize(8.5)
    ax.title.set_fontsize(9)
    return ax


def draw_shapes(
    ax: Axes,
    hour: np.ndarray,
    shapes: Sequence[Shape],
    *,
    window: tuple[float, float] | None = None,
    ylabel: str = "kW",
) -> Axes:
    """Draw kW by hour of a day; the band is the range over draws, the window is shaded.

    Positive kW draws from the grid. ``hour`` is the beginning of each step.
    """
    return draw_lines(hours_of_day(ax, ylabel), hour, shapes, window=window)


def hours_of_day(ax: Axes, ylabel: str) -> Axes:
    """Give Axes the hours of a day, in the report's style."""
    tidy(ax)
    ax.set_xlim(0, 24)
    ax.set_xticks([0, 6, 12, 18, 24])
    ax.set_xlabel("hour of day")
    ax.set_ylabel(ylabel)
    return ax


def draw_lines(
    ax: Axes,
    hour: np.ndarray,
    shapes: Sequence[Shape],
    *,
    window: tuple[float, float] | None = None,
) -> Axes:
    """Draw the lines of :func:`draw_shapes` on the Axes of :func:`hours_of_day`."""
    if window is not None:
        ax.axvspan(*window, color=_WINDOW, zorder=0, linewidth=0)
    for shape in shapes:
        if shape.low is not None and shape.high is not None:
            ax.fill_between(
                np.append(hour, 24),
                np.append(shape.low, shape.low[-1:]),
                np.append(shape.high, shape.high[-1:]),
                step="post",
                color=shape.colour,
                alpha=0.18,
                linewidth=0,
            )
        ax.step(
            np.append(hour, 24),
            np.append(shape.middle, shape.middle[-1:]),
            where="post",
            color=shape.colour,
            linestyle=shape.dash,
            linewidth=1.3,
            label=shape.label,
        )
    return ax


def draw_ledger_bars(ax: Axes, runs: Sequence[Mapping[str, float]], names: Sequence[str]) -> Axes:
    """Draw nameplate split into its ledger rows, one bar a run, kW.

    ``runs`` hold kW by ledger row, ``names`` label the bars from the top. Rows that are zero in
    all runs are left out.
    """
    tidy(ax)
    ax.yaxis.grid(visible=False)
    ax.xaxis.grid(visible=True, color=GRID, linewidth=0.6)
    place = np.arange(len(runs))
    left = np.zeros(len(runs))
    for row, colour in zip(LEDGER, _ledger_colours(), strict=True):
        kw = np.array([run.get(row, 0.0) for run in runs])
        if not np.any(kw > 1e-9):
            continue
        ax.barh(place, kw, left=left, color=colour, height=0.62, label=LEDGER[row], linewidth=0)
        left += kw
    ax.set_yticks(place, names)
    ax.invert_yaxis()
    ax.set_xlabel("kW of nameplate, mean of the event window")
    return ax


def draw_ledger_hours(ax: Axes, hour: np.ndarray, ledger: Mapping[str, np.ndarray]) -> Axes:
    """Draw ledger rows stacked by hour of a day, kW, exported at the bottom."""
    tidy(ax)
    colours = dict(zip(LEDGER, _ledger_colours(), strict=True))
    rows = [row for row in reversed(LEDGER) if row in ledger and np.any(ledger[row] > 1e-9)]
    if rows:
        ax.stackplot(
            np.append(hour, 24),
            [np.append(ledger[row], ledger[row][-1]) for row in rows],
            colors=[colours[row] for row in rows],
            labels=[LEDGER[row] for row in rows],
            step="post",
            linewidth=0,
        )
    ax.set_xlim(0, 24)
    ax.set_xticks([0, 6, 12, 18, 24])
    ax.set_xlabel("hour of day")
    ax.set_ylabel("kW of enrolled chargers")
    return ax


def _ledger_colours() -> list[str]:
    return [*_LOST, *_AVAILABLE, _EXPORTED]


def heat_grid(
    ax: Axes,
    values: np.ndarray,
    names: Sequence[str],
    *,
    cmap: str | Colormap,
    norm: BoundaryNorm | None = None,
) -> AxesImage:
    """Draw values, rows from the top by hours of the day, and name the rows; NaN is left white."""
    image = ax.imshow(
        np.ma.masked_invalid(values), cmap=cmap, norm=norm, aspect="auto",
        interpolation="nearest", extent=(0, 24, len(values), 0),
    )  # fmt: skip
    ax.set_yticks(np.arange(len(values)) + 0.5, list(names))
    ax.set_xticks(range(0, 25, 3))
    ax.set_xlabel("hour of day", fontsize=8.5)
    ax.tick_params(labelsize=7.5, length=0)
    return image


def draw_counts(ax: Axes, counts: pd.DataFrame) -> Axes:
    """Draw the expected number of broken limits, days by hours, on a scale of unequal bins.

    ``counts`` has index ``(season, day_type)`` and columns 0 to 23.
    """
    edges = [-1.0, 1e-9, *COUNT_BINS[1:], np.inf]
    values = np.clip(counts.to_numpy(float), 0, 1e12)
    coded = np.digitize(values, edges[1:-1])
    heat_grid(
        ax,
        coded,
        [day_name(*key) for key in counts.index],
        cmap=ListedColormap(list(_COUNT_COLOURS)),
        norm=BoundaryNorm(np.arange(-0.5, len(_COUNT_COLOURS)), len(_COUNT_COLOURS)),
    )
    ax.set_title("broken limits, places x steps, mean of draws", loc="left", fontsize=9)
    return ax


def draw_feeder(ax: Axes, picture: FeederPicture) -> Axes:
    """Draw the feeder: lines coloured by loading, buses by worst voltage, worst places named."""
    layout, ends = picture.layout, picture.ends
    start = np.column_stack([layout.x[ends[:, 0]], layout.y[ends[:, 0]]])
    stop = np.column_stack([layout.x[ends[:, 1]], layout.y[ends[:, 1]]])
    drawn = np.isfinite(start).all(axis=1) & np.isfinite(stop).all(axis=1)
    drawn &= (start != stop).any(axis=1)
    loading = np.where(np.isfinite(picture.loading_pct), picture.loading_pct, -1.0)[drawn]
    order = np.argsort(loading, kind="stable")
    lines = LineCollection(
        list(np.stack([start[drawn], stop[drawn]], axis=1)[order]),
        array=loading[order],
        cmap=ListedColormap(list(_LOADING_COLOURS)),
        norm=BoundaryNorm([-2, 0, 50, 80, 100, 1e9], 5),
        linewidths=np.select([loading[order] > 100, loading[order] > 80], [3.4, 2.6], 1.4),
        linestyles=["dotted" if value < 0 else "solid" for value in loading[order]],
        zorder=1,
        rasterized=bool(drawn.sum() > _PUNCTUAL),
    )
    ax.add_collection(lines)
    shown = np.isfinite(picture.v_pu) & np.isfinite(layout.x)
    worst_last = np.flatnonzero(shown)
    worst_last = worst_last[np.argsort(np.abs(picture.v_pu[worst_last] - 1), kind="stable")]
    size = 16 if shown.sum() < 400 else 6
    marks = ax.scatter(
        layout.x[worst_last],
        layout.y[worst_last],
        c=picture.v_pu[worst_last],
        cmap=ListedColormap(list(_VOLTAGE_COLOURS)),
        norm=BoundaryNorm(_VOLTAGE_EDGES, len(_VOLTAGE_COLOURS), extend="both"),
        s=size,
        edgecolors=INK,
        linewidths=0.3,
        zorder=2,
        rasterized=bool(shown.sum() > _PUNCTUAL),
    )
    ring = np.flatnonzero(picture.broken & np.isfinite(layout.x))
    ax.scatter(
        layout.x[ring],
        layout.y[ring],
        s=size * 4,
        facecolors="none",
        edgecolors="#a33a06",
        linewidths=1.1,
        zorder=3,
        rasterized=bool(len(ring) > _PUNCTUAL),
    )
    ax.set_axis_off()
    ax.margins(0.04)
    if not layout.is_tree:
        ax.set_aspect("equal", adjustable="datalim")
    if len(worst_last) and ax.figure is not None:
        bar = ax.figure.colorbar(marks, ax=ax, fraction=0.025, pad=0.01, shrink=0.6)
        bar.set_label("worst voltage, pu", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    name_places(ax, layout, picture.labels)
    return ax


def loading_key() -> list[Line2D]:
    """Return what the colours of lines mean, for a legend: loading in percent of the rating."""
    pairs = zip(_LOADING_COLOURS, _LOADING_WORDS, strict=True)
    return [
        Line2D([], [], color=colour, label=words, linewidth=2.4, linestyle="-" if number else ":")
        for number, (colour, words) in enumerate(pairs)
    ]


def name_places(ax: Axes, layout: Layout, labels: Mapping[int, str]) -> None:
    """Write labels by bus number where they do not cover one another, a thin line to the place."""
    figure = ax.get_figure(root=True)
    if figure is None or not labels:
        return
    figure.draw_without_rendering()  # settles the layout, so that positions are final
    taken: list[tuple[float, float, float, float]] = []
    for bus, text in labels.items():
        here = layout.x[bus], layout.y[bus]
        if not np.isfinite(here).all():
            continue
        x, y = ax.transData.transform(here) * 72 / figure.dpi
        offset = _free_offset(x, y, len(text), taken)
        ax.annotate(
            text,
            here,
            xytext=offset,
            textcoords="offset points",
            fontsize=8,
            color=INK,
            zorder=5,
            arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.6, "shrinkA": 0},
            bbox={
                "boxstyle": "round,pad=0.15",
                "facecolor": "white",
                "edgecolor": "none",
                "alpha": 0.85,
            },
        )


def _free_offset(
    x: float, y: float, length: int, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float]:
    """Return an offset in points for a label that meets none of those already placed."""
    width, height = 5.0 * length + 6, 12.0
    choices = [
        (across, up)
        for reach in (9, 20, 33, 50)
        for across, up in (
            (reach, reach),
            (-reach - width, reach),
            (reach, -reach - height),
            (-reach - width, -reach - height),
            (-width / 2, reach),
            (-width / 2, -reach - height),
        )
    ]
    for across, up in choices:
        box = (x + across, y + up, x + across + width, y + up + height)
        if not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in taken
        ):
            break
    taken.append(box)
    return across, up
