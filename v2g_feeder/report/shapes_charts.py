"""The figures of a result without power flow, put together from its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from v2g_feeder.conventions import DayType, Policy
from v2g_feeder.report.charts import Chart
from v2g_feeder.report.figures import Shape, draw_shapes, new_figure, svg_text
from v2g_feeder.report.shape_figures import (
    Held,
    Spread,
    draw_diversity,
    draw_filters,
    draw_held,
    draw_rebound,
    draw_states,
    draw_trace_kw,
    draw_trace_soc,
)
from v2g_feeder.report.styles import case_style, policy_style
from v2g_feeder.report.words import kw, plain, policy_name, run_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

__all__ = [
    "diversity_chart",
    "fleet_charts",
    "funnel_chart",
    "held_chart",
    "rebound_chart",
    "trace_charts",
]

_WEEK_H: Final = 168.0
_BESIDE: Final[dict[str, Any]] = {
    "loc": "upper left",
    "bbox_to_anchor": (1.0, 1.0),
    "handlelength": 2.4,
}


def fleet_charts(
    shapes: pd.DataFrame, case: str, cases: Sequence[str], export: Mapping[str, Any] | None
) -> list[Chart]:
    """Return the load shapes, a chart a fleet and day type, a panel a season.

    Parameters
    ----------
    shapes
        Rows of ``shapes.csv``.
    case
        The case in which policies are compared.
    cases
        All cases in order; those of the export policy are compared in a second row of panels.
    export
        The study's export event, for the shaded window.
    """
    charts = []
    fleets = list(dict.fromkeys(shapes["fleet"]))
    for fleet in fleets:
        for day_type in dict.fromkeys(shapes["day_type"]):
            mine = shapes[(shapes["fleet"] == fleet) & (shapes["day_type"] == day_type)]
            words = [plain(str(day_type))]
            if len(fleets) > 1:
                words.insert(0, "all fleets" if fleet == fleets[0] else str(fleet))
            alt = f"kW by hour and season, {', '.join(words)}"
            key = f"{fleets.index(fleet)}-{day_type}"
            svg = _fleet_svg(mine, case, cases, export)
            charts.append(Chart(key, ", ".join(words), svg, alt))
    return charts


def _fleet_svg(
    shapes: pd.DataFrame, case: str, cases: Sequence[str], export: Mapping[str, Any] | None
) -> str:
    """Return the panels of a fleet and day type: by policy, and export by case."""
    seasons = list(dict.fromkeys(shapes["season"]))
    policies = list(dict.fromkeys(shapes.loc[shapes["case"] == case, "policy"]))
    rows = [("by policy", [(policy, case) for policy in policies])]
    exports = set(shapes.loc[shapes["policy"] == Policy.EXPORT, "case"])
    if len(exports) > 1:
        runs = [(str(Policy.EXPORT), name) for name in cases if name in exports]
        rows.append(("export by case", runs))
    figure = new_figure(11.2, 0.6 + 2.2 * len(rows))
    grid = figure.subplots(len(rows), len(seasons), sharex=True, sharey="row", squeeze=False)
    for level, (title, runs) in enumerate(rows):
        for ax, season in zip(grid[level], seasons, strict=True):
            here = shapes[shapes["season"] == season]
            lines = [_line(here, run, level == 0, cases) for run in runs]
            kind = str(here["day_type"].iloc[0])
            hour = (here["hour"] + here["minute"] / 60).drop_duplicates().to_numpy()
            window = _window(export, str(season), kind)
            draw_shapes(ax, hour, lines, window=window, ylabel=f"fleet kW, {title}")
            ax.axhline(0, color="#8a9099", linewidth=0.6, zorder=1)
            ax.label_outer()
            if level == 0:
                ax.set_title(plain(season), loc="left", fontsize=9.5, fontweight="bold")
            if level < len(rows) - 1:
                ax.set_xlabel("")
        _legend_beside(grid[level, -1])
    return svg_text(figure)


def _line(
    shapes: pd.DataFrame, run: tuple[str, str], by_policy: bool, cases: Sequence[str]
) -> Shape:
    """Return the line of a run; by policy with its band."""
    rows = shapes[(shapes["policy"] == run[0]) & (shapes["case"] == run[1])]
    colour, dash = policy_style(run[0]) if by_policy else case_style(run[1], cases)
    low, middle, high = (rows[name].to_numpy() for name in ("kw_p05", "kw_mean", "kw_p95"))
    if by_policy:
        return Shape(run_name(*run), low, middle, high, colour, dash)
    return Shape(run_name(*run), None, middle, None, colour, dash)


def _window(
    export: Mapping[str, Any] | None, season: str, day_type: str
) -> tuple[float, float] | None:
    """Return the event window of a day in hours; ``None`` without events, or over midnight."""
    if export is None or season not in export["seasons"]:
        return None
    weekend = day_type == DayType.WEEKEND
    if export["days"] != "all" and weekend != (export["days"] == "weekends"):
        return None
    first, last = (
        int(text.split(":")[0]) + int(text.split(":")[1]) / 60
        for text in export["window"].split("-")
    )
    return (first, last) if first < last else None


def _legend_beside(ax: Axes) -> None:
    """Put the legend of Axes to their right."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(handles, labels, fontsize=7.5, frameon=False, **_BESIDE)


def held_chart(
    events: pd.DataFrame, summary: Mapping[str, Any], cases: Sequence[str]
) -> Chart | None:
    """Return what event-days hold by case, a panel a season; ``None`` without events.

    Where a case knows departures as drivers state them, a dotted line has them known.
    """
    if events.empty:
        return None
    seasons = list(dict.fromkeys(events["season"]))
    figure = new_figure(max(5.6 * len(seasons), 7.0), 3.6)
    for ax, season in zip(
        figure.subplots(1, len(seasons), sharey=True, squeeze=False)[0], seasons, strict=True
    ):
        lines = []
        for case in cases:
            mine = events[(events["season"] == season) & (events["case"] == case)]
            told = list(dict.fromkeys(mine["departures"]))
            row: Mapping[str, Any] = next(
                (r for r in summary["events"] if (r["case"], r["season"]) == (case, season)), {}
            )
            for way in sorted(told, key=lambda way: way != "stated"):
                of = mine.loc[mine["departures"] == way, "held_kw"].to_numpy()
                colour, dash = case_style(case, cases)
                text, name = plain(case), "held_kw_in_95pct_of_days"
                if len(told) > 1:
                    text += ", departures as stated" if way == "stated" else ", departures known"
                    dash = dash if way == "stated" else ":"
                    name += "" if way == "stated" else "_departures_known"
                lines.append(Held(f"{text}: {kw(row.get(name))}", of, colour, dash))
        draw_held(ax, lines)
        ax.set_title(plain(str(season)), loc="left", fontsize=9.5, fontweight="bold")
        ax.legend(
            fontsize=7.5, frameon=False, title="held in 95 % of days", title_fontsize=7.5,
            loc="upper right", handlelength=2.6,
        )  # fmt: skip
        ax.label_outer()
        ax.set_xlabel("share of event-days that hold at least this, %")
    return Chart("held", "held", svg_text(figure), "kW held against the share of event-days")


def rebound_chart(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Return the fleet's peak after an event by way of charging again; ``None`` without events."""
    if not rows:
        return None
    figure = new_figure(11.2, 2.9)
    ax = draw_rebound(figure.add_subplot(), pd.DataFrame(rows))
    ax.legend(fontsize=7.5, frameon=False, **_BESIDE)
    return Chart("rebound", "rebound", svg_text(figure), "Fleet peak after an event, kW")


def funnel_chart(
    passed: Mapping[str, float],
    enrolled: Mapping[str, float],
    states: Mapping[str, Mapping[str, float]],
) -> Chart | None:
    """Return filters and exclusive states of the vehicles; ``None`` without vehicles."""
    if not passed or not any(passed.values()):
        return None
    figure = new_figure(11.2, 1.5 + 0.26 * (len(passed) + len(enrolled)))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1])
    draw_filters(left, passed, enrolled)
    left.set_title("who passes each filter", loc="left", fontsize=9.5, fontweight="bold")
    draw_states(right, states)
    right.set_title("what each vehicle is used for", loc="left", fontsize=9.5, fontweight="bold")
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=3, fontsize=7.5, frameon=False)
    return Chart("funnel", "funnel", svg_text(figure), "Vehicles by filter and by exclusive state")


def diversity_chart(diversity: pd.DataFrame) -> Chart | None:
    """Return kW per vehicle against fleet size, a column a season; ``None`` for a lone vehicle."""
    if diversity.empty or diversity["size"].nunique() < 2:
        return None
    seasons = list(dict.fromkeys(diversity["season"]))
    ways = [
        (way, text)
        for way, text in (("import", "highest draw"), ("export", "highest export"))
        if diversity.loc[diversity["direction"] == way, "p95"].gt(1e-9).any()
    ]
    figure = new_figure(11.2, 0.6 + 2.4 * len(ways))
    grid = figure.subplots(len(ways), len(seasons), sharex=True, sharey="row", squeeze=False)
    for level, (way, text) in enumerate(ways):
        for ax, season in zip(grid[level], seasons, strict=True):
            here = diversity[(diversity["season"] == season) & (diversity["direction"] == way)]
            draw_diversity(ax, _spreads(here, exports=way == "export"))
            ax.set_ylabel(f"{text} of the day,\nkW per vehicle")
            ax.tick_params(axis="x", labelsize=7 if len(seasons) > 2 else 8)
            ax.label_outer()
            if level == 0:
                ax.set_title(plain(str(season)), loc="left", fontsize=9.5, fontweight="bold")
            if level < len(ways) - 1:
                ax.set_xlabel("")
        labelled = max(grid[level], key=lambda ax: len(ax.get_legend_handles_labels()[1]))
        handles, labels = labelled.get_legend_handles_labels()
        grid[level, -1].legend(handles, labels, fontsize=7.5, frameon=False, **_BESIDE)
    return Chart("diversity", "diversity", svg_text(figure), "kW per vehicle against fleet size")


def _spreads(rows: pd.DataFrame, *, exports: bool) -> list[Spread]:
    """Return a spread a policy; of exports only those that export."""
    found = []
    for policy in dict.fromkeys(rows["policy"]):
        mine = rows[rows["policy"] == policy].sort_values("size")
        if exports and not mine["p95"].gt(1e-9).any():
            continue
        size, p05, p50, p95 = (mine[name].to_numpy(float) for name in ("size", "p05", "p50", "p95"))
        found.append(Spread(policy_name(policy), size, p05, p50, p95, *policy_style(policy)))
    return found


def trace_charts(traces: pd.DataFrame, export: Mapping[str, Any] | None) -> list[Chart]:
    """Return a week of each traced vehicle, the one that exports most first.

    The policy is export where there is one, else managed charging; the season the first with
    events.
    """
    if traces.empty:
        return []
    policies = list(dict.fromkeys(traces["policy"]))
    order = (Policy.EXPORT, Policy.MANAGED, *policies)
    policy = next(str(name) for name in order if name in policies)
    wanted = export["seasons"] if export else []
    seasons = list(dict.fromkeys(traces["season"]))
    season = next((name for name in wanted if name in seasons), seasons[0])
    mine = traces[(traces["policy"] == policy) & (traces["season"] == season)]
    mine = mine[mine["hour_of_fortnight"] >= _WEEK_H]
    out = mine["kw"].clip(upper=0).groupby(mine["vehicle"]).sum()
    charts = []
    for vehicle in out.sort_values(kind="stable").index:
        rows = mine[mine["vehicle"] == vehicle]
        label = f"vehicle {vehicle}, {rows['fleet'].iloc[0]}"
        title = f"{label}: {policy_name(policy)}, {plain(str(season))}, draw 0"
        charts.append(Chart(str(vehicle), label, _trace_svg(rows, title, policy), title))
    return charts


def _trace_svg(rows: pd.DataFrame, title: str, policy: str) -> str:
    """Return power above SOC of one vehicle."""
    figure = new_figure(11.2, 3.6)
    top, bottom = figure.subplots(2, 1, sharex=True)
    hour, kw_, soc = (rows[name].to_numpy(float) for name in ("hour_of_fortnight", "kw", "soc"))
    plugged = rows["plugged"].to_numpy(float)
    colour = policy_style(policy)[0]
    draw_trace_kw(top, hour, kw_, plugged, colour=colour)
    draw_trace_soc(
        bottom, hour, soc, plugged, reserve=float(rows["reserve_soc"].iloc[0]),
        target=float(rows["target_soc"].iloc[0]), colour=colour,
    )  # fmt: skip
    top.set_title(title, loc="left", fontsize=9.5, fontweight="bold")
    top.set_xlabel("")
    _legend_beside(top)
    _legend_beside(bottom)
    return svg_text(figure)
