"""The page of a result without power flow: one offline HTML file from the folder's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from v2g_feeder.report.charts import Chart, ledger_drawing, ledger_run
from v2g_feeder.report.page import MARKS, embedded, environment
from v2g_feeder.report.reading import check_files, read_records
from v2g_feeder.report.shapes_answer import event_sentences, shapes_headline, shown_case
from v2g_feeder.report.shapes_charts import (
    diversity_chart,
    fleet_charts,
    funnel_chart,
    held_chart,
    rebound_chart,
    trace_charts,
)
from v2g_feeder.report.shapes_tables import (
    funnel_counts,
    rebound_rows,
    run_rows,
    shortfall_rows,
)
from v2g_feeder.report.tables import ladder, ledger_table
from v2g_feeder.report.words import FILTERS, LEDGER, run_name, run_order
from v2g_feeder.store import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["write_shapes_page"]

_TABLES: Final = (
    "shapes",
    "ledger",
    "funnel",
    "events",
    "shortfall",
    "diversity",
    "rebound",
    "traces",
)
_TEXT: Final = ("policy", "case", "fleet", "season", "day_type")


def write_shapes_page(folder: Path) -> Path:
    """Build ``shapes.html`` and ``figures/`` from the files of a folder of load shapes.

    Raises
    ------
    InputError
        If files are missing.
    """
    check_files(folder, ["summary.json", "manifest.json", *(f"{name}.csv" for name in _TABLES)])
    summary, manifest = read_records(folder)
    tables = {name: _table(folder / f"{name}.csv") for name in _TABLES}
    groups = _charts(summary, tables)
    for group, charts in groups.items():
        for chart in charts:
            name = group if len(charts) == 1 else f"{group}-{chart.key}"
            write_text(folder / "figures" / f"{name}.svg", chart.svg)
    context = _context(summary, tables) | {
        "manifest": manifest,
        "charts": {name: embedded(charts, _shown(name, charts)) for name, charts in groups.items()},
    }
    page = environment().get_template("shapes.html.j2").render(context)
    path = folder / "shapes.html"
    write_text(path, page)
    return path


def _table(path: Path) -> pd.DataFrame:
    """Return a table, its labels as text; a table without rows has no columns."""
    if not path.read_text(encoding="utf-8").strip():
        return pd.DataFrame()
    return pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=[""])


def _cases(summary: Mapping[str, Any]) -> list[str]:
    """Return the cases that were run, in order."""
    runs = [(run["policy"], run["case"]) for run in summary["study"]["runs"]]
    return list(dict.fromkeys(case for _, case in sorted(runs, key=lambda run: run_order(*run))))


def _charts(
    summary: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> dict[str, list[Chart]]:
    """Return the figures by group, which is also the first part of a file's name."""
    export, cases = summary["study"]["export"], _cases(summary)
    book = ledger_table(summary, LEDGER)["runs"]
    found: dict[str, list[Chart | None]] = {
        "shapes": [*fleet_charts(tables["shapes"], shown_case(summary), cases, export)],
        "ledger": [_ledger(tables["ledger"], book, export)] if book else [],
        "held": [held_chart(tables["events"], summary, cases)],
        "rebound": [rebound_chart(rebound_rows(summary["rebound"]))],
        "funnel": [funnel_chart(*funnel_counts(summary["funnel"], cases))],
        "diversity": [diversity_chart(tables["diversity"])],
        "vehicle": [*trace_charts(tables["traces"], export)],
    }
    return {name: [chart for chart in charts if chart] for name, charts in found.items()}


def _ledger(
    ledger: pd.DataFrame, runs: Sequence[Mapping[str, Any]], export: Mapping[str, Any] | None
) -> Chart:
    """Return the ledger's figure."""
    run = ledger_run(runs)
    mine = ledger[(ledger["policy"] == run[0]) & (ledger["case"] == run[1])]
    rows = {name: mine[name].to_numpy(float) for name in LEDGER if name in mine}
    return ledger_drawing(runs, rows, mine.reset_index(drop=True), export)


def _shown(group: str, charts: Sequence[Chart]) -> str:
    """Return the chart of a group that is shown before any choice: of days the weekday."""
    keys = [chart.key for chart in charts]
    return "0-weekday" if group == "shapes" and "0-weekday" in keys else next(iter(keys), "")


def _context(summary: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the sentences and tables that the template shows."""
    cases = _cases(summary)
    head, rows, note = run_rows(summary)
    order = [row for case in cases for row in summary["funnel"] if row["case"] == case]
    return {
        "summary": summary,
        "headline": shapes_headline(summary),
        "answer": event_sentences(summary),
        "ladder": ladder(summary, shown_case(summary)),
        "runs": {"head": head, "rows": rows, "note": note},
        "ledger": ledger_table(summary, LEDGER),
        "events": sorted(
            ({**row, "run": run_name(row["policy"], row["case"])} for row in summary["events"]),
            key=lambda row: run_order(row["policy"], row["case"]),
        ),
        "rebound": rebound_rows(summary["rebound"]),
        "funnel": order,
        "filters": [(name, label) for name, label in FILTERS.items() if order and name in order[0]],
        "shortfall": [
            {**row, "run": run_name(row["policy"], row["case"])}
            for row in shortfall_rows(tables["shortfall"], summary)
        ],
        "marks": MARKS,
        "assumed": sum(row["mark"] == "A" for row in summary["assumptions"]),
    }
