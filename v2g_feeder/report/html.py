"""The report as one offline HTML file."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from v2g_feeder.conventions import Criterion, Policy
from v2g_feeder.report import answer
from v2g_feeder.report.charts import (
    Chart,
    feeder_chart,
    feeder_layout,
    ledger_chart,
    shape_charts,
)
from v2g_feeder.report.figures import COUNT_BINS, draw_counts, new_figure, svg_text
from v2g_feeder.report.first_lines import credit_sentences, first_lines
from v2g_feeder.report.map_data import map_data
from v2g_feeder.report.page import MARKS, embedded, environment
from v2g_feeder.report.places import (
    broken_counts,
    place_text,
    reverse_table,
    worst_by_hour,
    worst_in_words,
    worst_places,
)
from v2g_feeder.report.reading import Result, open_arrays, read_result
from v2g_feeder.report.shapes_charts import funnel_chart, rebound_chart
from v2g_feeder.report.shapes_tables import funnel_counts, rebound_rows
from v2g_feeder.report.tables import ladder, ledger_table, panel, weighed
from v2g_feeder.report.words import (
    FILTERS,
    LEDGER,
    criterion_name,
    day_name,
    is_bounding,
    run_name,
    run_order,
)
from v2g_feeder.store import plain, write_text
from v2g_feeder.workers import run_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import xarray as xr

    from v2g_feeder.report.reading import Run
    from v2g_feeder.workers import Outcome, WorkerPool

__all__ = ["Begun", "begin_report", "write_report"]

_DEADLINE_S: Final = 600.0
_CREDIT_TABLES = ("capacity_credit", "credit_by_size", "credit_by_day")


class Begun(NamedTuple):
    """A report of which workers make parts already, while the tables are written.

    Parameters
    ----------
    arrays
        ``results.nc``, opened.
    workers
        Processes that make some of its parts; what they lose is made by who writes the report.
    parts
        What they have begun with.
    """

    arrays: xr.Dataset
    workers: WorkerPool
    parts: Iterator[Outcome[dict[str, Any]]]


def begin_report(folder: Path, summary: Mapping[str, Any], workers: WorkerPool) -> Begun:
    """Have workers begin with the parts of a report that need neither tables nor manifest.

    Parameters
    ----------
    folder
        With ``results.nc``, whole.
    summary
        What ``summary.json`` will hold, as far as it is known.
    workers
        Processes for these parts, and for others later.
    """
    result = Result(folder, plain(summary), {}, open_arrays(folder))
    return Begun(result.arrays, workers, _apart(result, _FIRST, workers))


def write_report(result: Path, begun: Begun | None = None) -> Path:
    """Build ``report.html`` and ``figures/`` from the files of a result folder.

    Parameters
    ----------
    result
        Folder with ``summary.json``, ``manifest.json``, ``violations.csv``, ``hourly.csv`` and
        ``results.nc``.
    begun
        Of this folder, by :func:`begin_report`.

    Returns
    -------
    pathlib.Path
        The report.

    Raises
    ------
    InputError
        If files are missing or of another schema version.
    """
    loaded = read_result(result, begun.arrays if begun else None)
    outcomes: Iterable[Outcome[dict[str, Any]]] = ()
    if begun:
        later = [name for name in _APART if name not in _FIRST]
        outcomes = chain(begun.parts, _apart(loaded, later, begun.workers))
    with _nothing_of_nothing():
        context = _context(loaded)
        made = {outcome.key: outcome.result for outcome in outcomes}
        for name, make in _APART.items():
            context |= made.get(name) or make(loaded)
    page = environment().get_template("report.html.j2").render(context)
    path = result / "report.html"
    write_text(path, page)
    return path


def _apart(
    result: Result, names: Iterable[str], workers: WorkerPool
) -> Iterator[Outcome[dict[str, Any]]]:
    """Have workers make parts of a report."""
    jobs = [(name, (result, name)) for name in names]
    return run_units(_part, jobs, workers=workers, deadline_s=_DEADLINE_S)


@contextmanager
def _nothing_of_nothing() -> Iterator[None]:
    """Let means and quantiles of nothing be nothing: steps that are not valid are NaN."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(All-NaN|Mean of empty|Degrees of freedom)")
        yield


def _part(result: Result, name: str) -> dict[str, Any]:
    """Make a part of a report; in a worker."""
    with _nothing_of_nothing():
        return _APART[name](result)


def _shapes(result: Result) -> dict[str, Any]:
    """Return the charts of load shapes."""
    shapes = shape_charts(result)
    for chart in shapes:
        write_text(result.folder / "figures" / f"shapes-{chart.key}.svg", chart.svg)
    return {"shapes": embedded(shapes, _preferred_day(shapes))}


def _map_and_ledger(result: Result) -> dict[str, Any]:
    """Return the data of the map, and what became of the fleet's power."""
    summary = result.summary
    ledger = ledger_table(summary, LEDGER)
    ledger_figure = ledger_chart(result, ledger["runs"])
    cases = list(dict.fromkeys(case for policy, case in result.runs if policy != Policy.NO_EV))
    rebound = rebound_rows(summary.get("rebound", []))
    funnel_figure = funnel_chart(*funnel_counts(summary["funnel"], cases))
    further = {
        "ledger": ledger_figure, "funnel": funnel_figure, "rebound": rebound_chart(rebound)
    }  # fmt: skip
    for name, drawn in further.items():
        if drawn is not None:
            write_text(result.folder / "figures" / f"{name}.svg", drawn.svg)
    return {
        "ledger": ledger,
        "further": {
            name: embedded([drawn], name) if drawn else [] for name, drawn in further.items()
        },
        "rebound": rebound,
        "map": map_data(result, (str(Policy.EXPORT), answer.main_case(summary))),
    }


def _counts(result: Result) -> dict[str, Any]:
    """Return the heat map shown first, and the others as data for the choice."""
    tables = broken_counts(result.hourly, result.steps, result.draws)
    units = {row["criterion"]: row["unit"] for row in result.summary["harm_and_relief"]}
    worst = worst_by_hour(result.hourly, result.steps, units)
    data: dict[str, dict[str, Any]] = {}
    for (policy, case, criterion), table in tables.items():
        data.setdefault(f"{policy}-{case}", {})[criterion] = {
            "count": [[float(f"{value:.3g}") for value in row] for row in table.to_numpy()],
            "worst": worst[policy, case, criterion],
        }
    criteria = [str(name) for name in Criterion if any(key[2] == name for key in tables)]
    runs = [run for run in result.runs if run[0] != Policy.NO_EV or f"{run[0]}-{run[1]}" in data]
    main = (str(Policy.EXPORT), answer.main_case(result.summary))
    run = main if main in runs else next(iter(runs), ("", ""))
    totals = {key[2]: table.to_numpy().sum() for key, table in tables.items() if key[:2] == run}
    criterion = max(criteria, key=lambda name: totals.get(name, 0.0), default="")
    days = pd.MultiIndex.from_frame(result.steps[["season", "day_type"]].drop_duplicates())
    nothing = pd.DataFrame(0.0, index=days, columns=range(24))
    shown = tables.get((*run, criterion), nothing)
    figure = new_figure(7.5, 4.2)
    draw_counts(figure.add_subplot(), shown)
    write_text(result.folder / "figures" / "broken-limits.svg", svg_text(figure))
    return {
        "counts": {
            "data": data,
            "runs": [(f"{item[0]}-{item[1]}", run_name(*item)) for item in runs],
            "criteria": [(name, criterion_name(name)) for name in criteria],
            "run": f"{run[0]}-{run[1]}",
            "criterion": criterion,
            "rows": [
                {"day": day_name(str(key[0]), str(key[1])), "cells": list(map(_count_cell, values))}
                for key, values in zip(shown.index, shown.to_numpy(), strict=True)
            ],
            "bins": COUNT_BINS,
            "empty": not shown.to_numpy().any(),
        }
    }


def _count_cell(value: float) -> dict[str, Any]:
    """Return a cell of the heat map: its text and the number of its colour."""
    level = 0 if value <= 0 else 1 + sum(value > edge for edge in COUNT_BINS[1:])
    text = "" if value <= 0 else f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    return {"text": text, "level": level}


_APART: Final[dict[str, Callable[[Result], dict[str, Any]]]] = {
    "shapes": _shapes,
    "map and ledger": _map_and_ledger,
    "counts": _counts,
}
"""Parts that a worker may make."""
_FIRST: Final = ("shapes",)
"""Those of them that need neither tables nor manifest."""


def _context(result: Result) -> dict[str, Any]:
    """Return what the template shows beside the parts that may be made apart."""
    summary = result.summary
    words = _worst_words(result)
    places, still = _places(result)
    if still:
        write_text(result.folder / "figures" / f"feeder-{still.key}.svg", still.svg)
    return {
        "summary": summary,
        "manifest": result.manifest,
        "own": first_lines(summary),
        "credit": credit_sentences(summary),
        "pilot": {name: summary.get("pilot", {}).get(name, []) for name in _CREDIT_TABLES},
        "headline": answer.headline(summary),
        "managed": answer.managed_sentences(summary),
        "export": answer.export_sentences(summary),
        "harm": answer.harm_sentences(summary, words),
        "bounds": answer.bounding_sentences(summary),
        "confidence": answer.confidence_sentences(summary),
        "binding": answer.binding_limit(summary),
        "modelled_hours": answer.modelled_hours(summary),
        "panel": panel(summary),
        "ladder": ladder(summary, answer.main_case(summary)),
        "filters": [
            (name, label)
            for name, label in FILTERS.items()
            if summary["funnel"] and name in summary["funnel"][0]
        ],
        "still": next(iter(embedded([still], still.key)), None) if still else None,
        "places": places,
        "reverse": reverse_table(summary["reverse_flow"], result.steps),
        "heads": _by_run(summary["head"]),
        "events": _by_run(summary["events"], Policy.EXPORT),
        "weighed": weighed(summary),
        "validity": _by_run(summary["validity"]["by_run"]),
        "shortfall": _by_run(summary["shortfall"]),
        "funnel": _by_run(summary["funnel"], Policy.EXPORT),
        "marks": MARKS,
        "assumed": sum(row["mark"] == "A" for row in summary["assumptions"]),
    }


def _by_run(rows: Sequence[Mapping[str, Any]], policy: str = "") -> list[dict[str, Any]]:
    """Return rows with the name of their run, in the order of runs."""
    named = [{"policy": policy, **row} for row in rows]
    named.sort(key=lambda row: run_order(row["policy"], row["case"]))
    return [{**row, "run": run_name(row["policy"], row["case"])} for row in named]


def _preferred_day(charts: Sequence[Chart]) -> str:
    """Return the day type shown first: the peak day, or the first there is."""
    keys = [chart.key for chart in charts]
    return "peak_day" if "peak_day" in keys else next(iter(keys), "")


def _worst_words(result: Result) -> dict[Run, str]:
    """Return the worst place that each export case breaks or worsens, in words."""
    found = {}
    for run in result.runs:
        if run[0] == Policy.EXPORT and not is_bounding(run[1]):
            worst = worst_places(
                result.violations,
                run,
                result.draws.get(run, 1),
                result.step_hours,
                per_criterion=1,
                harm_only=True,
            )
            found[run] = worst_in_words(worst)
    return found


def _places(result: Result) -> tuple[list[dict[str, Any]], Chart | None]:
    """Return the tables of worst places, the main run first, and the drawing of that one."""
    main = (str(Policy.EXPORT), answer.main_case(result.summary))
    runs = sorted(result.runs, key=lambda run: (run != main, is_bounding(run[1])))
    tables: list[dict[str, Any]] = []
    still = None
    for run in runs:
        worst = worst_places(result.violations, run, result.draws.get(run, 1), result.step_hours)
        if worst.empty and run != runs[0]:
            continue
        if run == runs[0]:
            still = feeder_chart(result, feeder_layout(result), run, worst)
        rows = [
            place_text({str(key): value for key, value in row.items()})
            for row in worst.to_dict("records")
        ]
        tables.append(
            {
                "key": f"{run[0]}-{run[1]}",
                "label": run_name(*run),
                "bounding": is_bounding(run[1]),
                "rows": rows,
                "shown": run == runs[0],
            }
        )
    return tables, still
