"""A result as an Excel workbook: the tables that planners pivot, one a sheet.

Every sheet is an Excel table with a filter in its head row. Text is text: nothing in a cell is run
as a formula or opened as an address.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xlsxwriter

from v2g_feeder.conventions import Effect
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.report.reading import read_result
from v2g_feeder.store import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from v2g_feeder.report.reading import Result

__all__ = ["hour_ending", "write_workbook"]

_MOST_ROWS: Final = 1_048_575  # of a sheet, less its head
_WIDEST: Final = 44
_SUMMARIES: Final = ("head", "events", "harm_and_relief", "reverse_flow", "ledger", "funnel")
_PLACE: Final = ["policy", "case", "criterion", "element", "bus", "node", "phase"]
_CLOCK: Final = re.compile(r"(\d{2}):(\d{2})$")
_NOTES: Final = (
    ("sign", "kW above 0 draws from the grid, below 0 exports; head kW above 0 is import"),
    ("violations", "count: places x steps of all draws; place_hours: mean of draws"),
)


def write_workbook(folder: Path, path: Path, *, ending: bool = False) -> list[str]:
    """Write the tables of a result folder as a workbook.

    Parameters
    ----------
    folder
        Result of ``v2g-feeder study``, ``shapes`` or ``hosting``.
    path
        The ``.xlsx`` file; replaced if it is there.
    ending
        Name hours by their end: the hour from 17:00 to 18:00 is 18, not 17.

    Returns
    -------
    list of str
        The sheets.

    Raises
    ------
    InputError
        If the folder holds no result.
    """
    if not (folder / "summary.json").is_file():
        raise InputError(Problem(str(folder), "is not a result folder: it has no summary.json"))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    tables = dict(_study(folder) if (folder / "results.nc").is_file() else _csv_files(folder))
    step = int(summary.get("study", {}).get("step_minutes", 60))
    left_out = [name for name, table in tables.items() if len(table) > _MOST_ROWS]
    shown = {name: table for name, table in tables.items() if name not in left_out and len(table)}
    if ending:
        shown = {name: hour_ending(table, step) for name, table in shown.items()}
    about = _about(folder, summary, left_out, ending=ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with (
        replacing(path) as temporary,
        xlsxwriter.Workbook(str(temporary), options) as book,
    ):
        bold = book.add_format({"bold": True})
        for name, table in {"about": about, **shown}.items():
            _write_sheet(book.add_worksheet(name[:31]), table, bold)
    return ["about", *shown]


def hour_ending(table: pd.DataFrame, step_minutes: int) -> pd.DataFrame:
    """Return a table whose hours are named by their end.

    ``hour`` and ``minute`` become ``hour_ending``, 1 to 24, and with steps shorter than an hour
    ``interval``, counted from 1 within it; a clock at the end of a text becomes ``HE19``.
    """
    found = table.copy()
    if "hour" in found:
        at = found.columns.get_loc("hour")
        found.insert(at, "hour_ending", found.pop("hour").astype(int) + 1)
        if "minute" in found:
            minute = found.pop("minute").astype(int)
            if step_minutes < 60:
                found.insert(at + 1, "interval", minute // step_minutes + 1)
    for name in found.columns:
        if str(name).endswith("_at"):
            found[name] = [
                _CLOCK.sub(lambda match: f"HE{int(match[1]) + 1}", str(text))
                for text in found[name]
            ]
    return found


def _about(
    folder: Path, summary: Mapping[str, Any], left_out: list[str], *, ending: bool
) -> pd.DataFrame:
    """Return what a reader must know before the figures."""
    hours = (
        "hour-ending: hour_ending 18 is 17:00 to 18:00"
        if ending
        else "hour-beginning: hour 17 is 17:00 to 18:00"
    )
    rows = [
        ("study", summary.get("name", "")),
        ("question", summary.get("question", "")),
        ("result", folder.name),
        ("content_sha256", summary.get("content_sha256", "")),
        ("hours", f"{hours}; local standard time"),
        *_NOTES,
    ]
    for row in summary.get("conditions", []):
        words = (row["condition"], row["value"]) if isinstance(row, dict) else ("condition", row)
        rows.append(words)
    rows += [("not known", text) for text in summary.get("unknowns", [])]
    rows += [(f"{name}.csv", "has more rows than a sheet: see the file") for name in left_out]
    return pd.DataFrame(rows, columns=["about", "value"]).astype(str)


def _study(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the sheets of a study with power flow."""
    result = read_result(folder)
    for name in _SUMMARIES:
        yield name, pd.DataFrame(result.summary.get(name, []))
    yield "by_hour", result.hourly
    yield "by_place", _places(result)
    yield "load_shapes", _load_shapes(result)
    yield "assumptions", pd.DataFrame(result.summary["assumptions"]).astype(str)


def _csv_files(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tables of a folder as they stand."""
    for path in sorted(folder.glob("*.csv")):
        if path.stat().st_size > 2:
            yield path.stem, pd.read_csv(path, keep_default_na=False, na_values=[""])


def _places(result: Result) -> pd.DataFrame:
    """Return each place that breaks a limit once a run: its worst row, and its hours."""
    rows = result.violations
    rows = rows[rows["effect"] != str(Effect.CURED)]
    if rows.empty:
        return pd.DataFrame()
    code = rows.groupby(_PLACE, observed=True, sort=False, dropna=False).ngroup().to_numpy()
    order = np.lexsort((rows["step"], rows["draw"], rows["margin"].fillna(-np.inf), code))
    first = order[np.unique(code[order], return_index=True)[1]]
    each = pd.DataFrame({"code": code, "draw": rows["draw"], "step": rows["step"]})
    each = each.drop_duplicates()
    count = np.bincount(each["code"])[code[first]]
    with_any = np.bincount(each[["code", "draw"]].drop_duplicates()["code"])[code[first]]
    worst = rows.iloc[first].drop(columns=["step", "draw"])
    draws = np.array(
        [
            result.draws.get((str(policy), str(case)), 1)
            for policy, case in zip(worst["policy"], worst["case"], strict=True)
        ]
    )
    worst.insert(len(_PLACE), "place_hours", count * result.step_hours / np.maximum(1, draws))
    worst.insert(len(_PLACE) + 1, "draws_with", with_any)
    worst.insert(len(_PLACE) + 2, "draws", draws)
    return worst.sort_values(
        ["policy", "case", "criterion", "place_hours"],
        ascending=[True, True, True, False],
        kind="stable",
    )


def _load_shapes(result: Result) -> pd.DataFrame:
    """Return fleet and head kW by run and step: mean, P5 and P95 over draws."""
    parts = []
    for policy, case in result.runs:
        fleet, head = result.fleet_kw((policy, case)), result.head_kw((policy, case))
        table = result.steps.copy()
        table.insert(0, "policy", policy)
        table.insert(1, "case", case)
        if fleet is not None:
            table["fleet_kw_mean"] = fleet.mean(axis=0)
            table["fleet_kw_p05"], table["fleet_kw_p95"] = np.quantile(fleet, [0.05, 0.95], axis=0)
        if head is not None:
            table["head_kw_p05"], table["head_kw_p95"] = head
        parts.append(table)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _write_sheet(sheet: Any, table: pd.DataFrame, bold: Any) -> None:
    """Write a table as an Excel table; what is not a number stays empty."""
    cells = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    heads = [str(name) for name in table.columns]
    last = max(1, len(cells)), len(heads) - 1
    sheet.add_table(
        0, 0, *last,
        {
            "data": cells,
            "columns": [{"header": head, "header_format": bold} for head in heads],
            "style": "Table Style Light 1",
        },
    )  # fmt: skip
    sheet.freeze_panes(1, 0)
    for column, head in enumerate(heads):
        longest = max((len(str(row[column])) for row in cells[:200]), default=0)
        sheet.set_column(column, column, min(_WIDEST, max(len(head) + 3, longest + 1)))


def _cell(value: Any) -> Any:
    """Return a value as a cell holds it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not np.isfinite(value)) or value is pd.NaT:
        return None
    if isinstance(value, int | float | str):
        return value
    return str(value)
