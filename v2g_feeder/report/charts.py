"""The figures of a result, put together from its arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from v2g_feeder.conventions import Case, DayType, Effect, Policy
from v2g_feeder.report.figures import (
    FeederPicture,
    Shape,
    draw_feeder,
    draw_ledger_bars,
    draw_ledger_hours,
    draw_lines,
    hours_of_day,
    map_figure,
    new_figure,
    svg_text,
)
from v2g_feeder.report.layout import place_buses
from v2g_feeder.report.styles import case_style, policy_style
from v2g_feeder.report.words import is_bounding, mid_sentence, plain, run_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from v2g_feeder.report.layout import Layout
    from v2g_feeder.report.reading import Result, Run

__all__ = [
    "Chart",
    "feeder_chart",
    "feeder_layout",
    "ledger_chart",
    "ledger_drawing",
    "ledger_run",
    "shape_charts",
]

_ENROLLED: Final = ("not_bidirectional", "not_enrolled")


@dataclass(frozen=True)
class Chart:
    """A figure of the report.

    Parameters
    ----------
    key
        What it is chosen by on the page, and part of its file's name.
    label
        The choice in words.
    svg
        The drawing.
    alt
        What it shows, for readers who cannot see it.
    """

    key: str
    label: str
    svg: str
    alt: str


def shape_charts(result: Result) -> list[Chart]:
    """Return load shapes and head kW by hour, a chart a day type, a panel a season."""
    lines, steps = _Lines(result), result.steps
    grid = _shape_grid(lines, list(dict.fromkeys(steps["season"])))
    charts = []
    for day_type in dict.fromkeys(steps["day_type"]):
        name = plain(str(day_type))
        _draw_day(grid, lines, steps, str(day_type))
        alt = f"Fleet and feeder head kW by hour and season, {name}"
        figure = grid[0, 0].get_figure(root=True)
        charts.append(Chart(str(day_type), name, svg_text(figure), alt))
    return charts


def _shape_grid(lines: _Lines, seasons: Sequence[str]) -> np.ndarray:
    """Return the panels of load shapes, rows of lines by columns of seasons."""
    rows = lines.rows
    width, height = 11.2, 0.55 + 2.05 * len(rows)
    figure = new_figure(width, height, fitted=False)
    longest = max(len(label) for row in rows for label, _, _ in row.styles.values())
    beside = 0.55 + 0.055 * longest  # inches that the key takes
    around = {"left": 0.75 / width, "right": 1 - beside / width, "wspace": 0.08, "hspace": 0.1}
    around |= {"bottom": 0.45 / height, "top": 1 - 0.25 / height}
    grid: np.ndarray = figure.subplots(
        len(rows), len(seasons), sharey="row", squeeze=False, gridspec_kw=around
    )
    for ax, season in zip(grid[0], seasons, strict=True):
        ax.set_title(plain(season), loc="left", y=1.0, fontsize=9.5, fontweight="bold")
    for level, row in enumerate(rows):
        for ax in grid[level]:
            hours_of_day(ax, row.title)
            ax.label_outer()
    return grid


def _draw_day(grid: np.ndarray, lines: _Lines, steps: pd.DataFrame, day_type: str) -> None:
    """Draw a day type in place of the one before: making the panels costs more than the lines."""
    for ax in grid.flat:
        for artist in (*ax.lines, *ax.collections, *ax.patches):
            artist.remove()
        ax.relim()
    seasons = list(dict.fromkeys(steps["season"]))
    for level, row in enumerate(lines.rows):
        for ax, season in zip(grid[level], seasons, strict=True):
            here = ((steps["season"] == season) & (steps["day_type"] == day_type)).to_numpy()
            hour = (steps["hour"] + steps["minute"] / 60).to_numpy()[here]
            window = lines.window_of(str(season), day_type)
            draw_lines(ax, hour, lines.shapes(row, here), window=window)
            if row.kw is lines.fleet:
                ax.axhline(0, color="#8a9099", linewidth=0.6, zorder=1)
        handles, labels = grid[level, 0].get_legend_handles_labels()
        if handles and grid[level, -1].get_legend() is None:  # every day has the same lines
            aside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "handlelength": 2.4}
            grid[level, -1].legend(handles, labels, fontsize=7.5, frameon=False, **aside)


class _Row(NamedTuple):
    """A row of panels: its title, label, colour and dash by run, and kW by run."""

    title: str
    styles: Mapping[Run, tuple[str, str, str]]
    kw: Mapping[Run, np.ndarray]


class _Lines:
    """The lines of the load shapes: kW ``[low, middle, high; step]`` by run, and their styles."""

    def __init__(self, result: Result) -> None:
        self.fleet: dict[Run, np.ndarray] = {}
        self.head: dict[Run, np.ndarray] = {}
        runs = [run for run in result.runs if not is_bounding(run[1])]
        cases = {case for _, case in runs}
        main = str(Case.EXPECTED) if Case.EXPECTED in cases else next(iter(sorted(cases)), "")
        chosen = [run for run in runs if run[1] == main]
        self.by_policy_with_none = {run: (run_name(*run), *policy_style(run[0])) for run in chosen}
        self.by_policy = {
            run: style for run, style in self.by_policy_with_none.items() if run[0] != Policy.NO_EV
        }
        exports = [run for run in runs if run[0] == Policy.EXPORT]
        order = [case for _, case in exports]
        self.by_case = {run: (run_name(*run), *case_style(run[1], order)) for run in exports}
        for run in dict.fromkeys([*self.by_policy, *self.by_case]):
            kw = result.fleet_kw(run)
            if kw is not None:
                self.fleet[run] = np.stack(
                    [np.quantile(kw, 0.05, axis=0), kw.mean(axis=0), np.quantile(kw, 0.95, axis=0)]
                )
        for run in self.by_policy_with_none:
            head = result.head_kw(run)
            if head is not None:
                self.head[run] = np.stack([head[0], head.mean(axis=0), head[1]])
        export = result.summary["study"]["export"]
        self.window: tuple[float, float] | None = None
        self.seasons: list[str] = []
        self.days = ""
        if export is not None:
            first, last = (_clock(text) for text in export["window"].split("-"))
            self.window, self.seasons = (first, last), list(export["seasons"])
            self.days = "" if export["days"] == "all" else str(export["days"])

    @property
    def rows(self) -> list[_Row]:
        """The rows of panels that this result has lines for."""
        rows = []
        if self.fleet:
            rows.append(_Row("fleet kW, by policy", self.by_policy, self.fleet))
            if len(self.by_case) > 1:
                rows.append(_Row("fleet kW, export by case", self.by_case, self.fleet))
        return [*rows, _Row("feeder head kW", self.by_policy_with_none, self.head)]

    def shapes(self, row: _Row, here: np.ndarray) -> list[Shape]:
        """Return the lines of a row at some steps; bands only for the runs of the first row."""
        found = []
        for run, (label, colour, dash) in row.styles.items():
            if run in row.kw:
                low, middle, high = row.kw[run][:, here]
                band = run in self.by_policy
                found.append(
                    Shape(
                        label, low if band else None, middle, high if band else None, colour, dash
                    )
                )
        return found

    def window_of(self, season: str, day_type: str) -> tuple[float, float] | None:
        """Return the event window of a day, hours; ``None`` without events."""
        weekend = day_type == DayType.WEEKEND
        if season not in self.seasons or (self.days and weekend != (self.days == "weekends")):
            return None
        return self.window


def _clock(text: str) -> float:
    """Return ``17:30`` as 17.5."""
    hour, _, minute = text.partition(":")
    return int(hour) + int(minute or 0) / 60


def ledger_chart(result: Result, runs: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Return the ledger as bars by case, and by hour of an event day; ``None`` without one."""
    if not runs:
        return None
    run = ledger_run(runs)
    book = result.ledger_kw(run)
    rows = (
        None
        if book is None
        else {
            str(name): book.sel(ledger_row=name).to_numpy()
            for name in book["ledger_row"].to_numpy()
        }
    )
    return ledger_drawing(runs, rows, result.steps, result.summary["study"]["export"])


def ledger_run(runs: Sequence[Mapping[str, Any]]) -> Run:
    """Return the run whose ledger is drawn by hour: the expected case, or the last."""
    last = next((row for row in runs if row["case"] == Case.EXPECTED), runs[-1])
    return str(last["policy"]), str(last["case"])


def ledger_drawing(
    runs: Sequence[Mapping[str, Any]],
    book: Mapping[str, np.ndarray] | None,
    steps: pd.DataFrame,
    export: Mapping[str, Any] | None,
) -> Chart:
    """Return the ledger's bars by case, and its rows by hour of an event day.

    ``book`` holds the rows of :func:`ledger_run` by step, kW.
    """
    run = ledger_run(runs)
    figure = new_figure(11.2, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    draw_ledger_bars(left, runs, [plain(row["case"]) for row in runs])
    left.set_title("by participation case", loc="left", fontsize=9.5, fontweight="bold")
    season = export["seasons"][0] if export and export["seasons"] else steps["season"].iloc[0]
    kinds = steps.loc[steps["season"] == season, "day_type"]
    if book is None or kinds.empty:
        right.set_axis_off()
    else:
        kind = str(kinds.iloc[0])
        here = ((steps["season"] == season) & (steps["day_type"] == kind)).to_numpy()
        hour = (steps["hour"] + steps["minute"] / 60).to_numpy()[here]
        rows = {name: values[here] for name, values in book.items() if name not in _ENROLLED}
        draw_ledger_hours(right, hour, rows)
        name = mid_sentence(run_name(*run))
        title = f"enrolled chargers by hour, {plain(season)} {plain(kind)}, {name}"
        right.set_title(title, loc="left", fontsize=9.5, fontweight="bold")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7.5, frameon=False)
    return Chart("ledger", "ledger", svg_text(figure), "Nameplate kW split into its ledger rows")


def feeder_layout(result: Result) -> Layout:
    """Return where the buses of a result are drawn."""
    arrays = result.arrays
    return place_buses(
        [str(name) for name in arrays["bus"].to_numpy()],
        [str(name) for name in arrays["bus_parent"].to_numpy()],
        arrays["bus_x"].to_numpy(),
        arrays["bus_y"].to_numpy(),
    )


def feeder_chart(result: Result, layout: Layout, run: Run, worst: pd.DataFrame) -> Chart:
    """Return the feeder's drawing for a run.

    ``worst`` is the table beside it, whose places are named.
    """
    arrays = result.arrays
    number = {str(name).lower(): at for at, name in enumerate(arrays["bus"].to_numpy())}
    v_pu = _worst_by_bus(result, run, layout, number)
    ends = np.column_stack(
        [
            [number.get(str(name).lower(), 0) for name in arrays[column].to_numpy()]
            for column in ("element_bus1", "element_bus2")
        ]
    )
    loading = arrays["loading_max_of_all"].sel(policy=run[0], case=run[1]).to_numpy()
    mine = result.violations
    mine = mine[
        (mine["policy"] == run[0]) & (mine["case"] == run[1]) & (mine["effect"] != Effect.CURED)
    ]
    broken = np.zeros(len(number), bool)
    for name in mine["bus"].drop_duplicates():
        at = number.get(str(name).lower(), -1)
        if at >= 0 and layout.anchor[at] >= 0:
            broken[layout.anchor[at]] = True
    labels: dict[int, str] = {}
    for rank, name in enumerate(worst["bus"], start=1):
        at = number.get(str(name).lower(), -1)
        if at >= 0 and layout.anchor[at] >= 0:
            anchor = int(layout.anchor[at])
            labels[anchor] = f"{labels[anchor]}, {rank}" if anchor in labels else str(rank)
    labels = {at: f"{text}: {_bus(arrays, at)}" for at, text in labels.items()}
    figure = map_figure(layout)
    draw_feeder(figure.add_subplot(), FeederPicture(layout, v_pu, ends, loading, broken, labels))
    name = run_name(*run)
    return Chart(f"{run[0]}-{run[1]}", name, svg_text(figure), f"The feeder, {mid_sentence(name)}")


def _bus(arrays: Any, at: int) -> str:
    """Return a bus's name."""
    return str(arrays["bus"].to_numpy()[at])


def _worst_by_bus(
    result: Result, run: Run, layout: Layout, number: Mapping[str, int]
) -> np.ndarray:
    """Return the voltage farthest from 1 pu at each drawn bus, its services included."""
    arrays = result.arrays
    low = arrays["v_min_of_all"].sel(policy=run[0], case=run[1]).to_numpy()
    high = arrays["v_max_of_all"].sel(policy=run[0], case=run[1]).to_numpy()
    farthest = np.where(np.abs(high - 1) >= np.abs(low - 1), high, low)
    at = np.array([number.get(str(name).lower(), -1) for name in arrays["node_bus"].to_numpy()])
    known = (at >= 0) & np.isfinite(farthest)
    anchor = layout.anchor[at[known]]
    values = farthest[known][anchor >= 0]
    anchor = anchor[anchor >= 0]
    order = np.argsort(np.abs(values - 1), kind="stable")
    worst = np.full(len(layout.x), np.nan)
    worst[anchor[order]] = values[order]
    return worst
