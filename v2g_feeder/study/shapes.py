"""Load shapes without power flow: feeder, fleet, and a result folder of their own.

Every table is a CSV file, the arrays are ``shapes.nc``, and ``shapes.html`` shows both.
``summary.json`` comes last of the figures and says that they are whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml

from v2g_feeder.dispatch import LEDGER_ROWS
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.report.shapes_page import write_shapes_page
from v2g_feeder.store import (
    SCHEMA_VERSION,
    ContentHash,
    csv_text,
    empty_folder,
    write_json,
    write_text,
)
from v2g_feeder.study.fleet_stage import as_stored, placed_fleet, prepare_fleet
from v2g_feeder.study.package import SHAPES_FILE, export_case, write_parts
from v2g_feeder.study.run import begin
from v2g_feeder.study.summary import (
    event_steps,
    feeder_figures,
    fleet_assumptions,
    held_over_window,
    ledger_means,
    records,
    shortfall_by_run,
    study_figures,
)
from v2g_feeder.study.write import exported_first, manifest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage

__all__ = ["ALL_FLEETS", "run_shapes", "shape_table", "shape_tables"]

ALL_FLEETS: Final = "(all)"
"""What the sum of several fleets is called in ``shapes.csv``."""
_QUANTILES: Final = {"kw_p05": 0.05, "kw_p50": 0.5, "kw_p95": 0.95}
_STEP: Final = ["season", "day_type", "hour", "minute"]


def run_shapes(
    study: Study,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    notice: Callable[[str], None] | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Run the stages before power flow and write what they give.

    Parameters
    ----------
    study
        A checked study.
    out
        Result folder; must not exist, be empty, or hold an earlier result with ``overwrite``.
    overwrite
        Replace an earlier result.
    progress
        Called with stage, done and total.
    notice
        Called with lines that a user should read before any result.
    command
        The command line, for the manifest.

    Returns
    -------
    dict
        Contents of ``summary.json``.

    Raises
    ------
    InputError, FeederError, UnitError
        Before anything is written, if the study cannot be run or has no vehicles.
    """
    tell, feeder = begin(study, out, overwrite=overwrite, progress=progress, notice=notice)
    tell("fleet", 0, 1)
    fleet = prepare_fleet(study, feeder, placed_fleet(study, feeder), beside=True)
    if not len(fleet.vehicles):
        raise InputError(
            Problem(f"{study.path}: fleets", "hold no vehicles, so there is nothing to shape")
        )
    working = empty_folder(out)
    tell("report", 0, 1)
    summary = _write(study, feeder, fleet, out, command)
    working.rmdir()
    tell("report", 1, 1)
    return summary


def _write(
    study: Study, feeder: FeederStage, fleet: FleetStage, out: Path, command: str
) -> dict[str, Any]:
    """Write tables, arrays, package, manifest, summary and page; return the summary."""
    content = ContentHash()
    for name, table in shape_tables(study, fleet).items():
        text = csv_text(table)
        content.add_text(name, text)
        write_text(out / f"{name}.csv", text)
    arrays = _arrays(study, feeder, fleet)
    for name in ("kw", "ledger_kw"):
        content.add_array(name, arrays[name].to_numpy())
    _write_arrays(arrays, out / SHAPES_FILE)
    write_text(
        out / "study.yaml", yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True)
    )
    summary = _summary(study, feeder, fleet)
    summary["content_sha256"] = content.hexdigest()
    write_parts(replace(feeder.circuit, points=fleet.points), out / "opendss")
    run = max(fleet.shapes.kw, key=exported_first)
    summary["package"] = export_case(out, *run, 0, out / "opendss")
    write_json(out / "manifest.json", manifest_of(study, feeder, 1, command))
    write_json(out / "summary.json", summary)
    write_shapes_page(out)
    return summary


def shape_tables(study: Study, fleet: FleetStage) -> dict[str, pd.DataFrame]:
    """Return the tables of a fleet stage by file name, power in kW, above 0 draws."""
    shapes, steps = fleet.shapes, study.calendar.table()
    ledger = [
        pd.concat(
            [
                steps[["step", *_STEP]],
                pd.DataFrame(book.mean(axis=0).T, columns=list(LEDGER_ROWS)),
            ],
            axis=1,
        ).assign(policy=policy, case=case)
        for (policy, case), book in shapes.ledger.items()
    ]
    tables = {
        "shapes": shape_table(study, fleet),
        "ledger": _run_first(pd.concat(ledger, ignore_index=True)),
        "funnel": _run_first(fleet.funnel),
        "events": shapes.events,
        "shortfall": shapes.shortfall,
        "diversity": shapes.diversity,
        "rebound": shapes.rebound,
        "traces": _traces(study, fleet),
    }
    return {name: _without_minus_zero(table) for name, table in tables.items()}


def shape_table(study: Study, fleet: FleetStage) -> pd.DataFrame:
    """Return the load shapes, one row a (policy, case, fleet, step).

    Returns
    -------
    pandas.DataFrame
        ``policy, case, fleet, season, day_type, hour, minute, kw_mean, kw_p05, kw_p50, kw_p95``
        over draws, ``kw_draw0`` and ``kvar``. Where there are several fleets, ``(all)`` is
        their sum; quantiles of a sum are not the sum of quantiles. Chargers run at unity power
        factor, so kvar is 0.
    """
    steps = study.calendar.table()[_STEP]
    owner = fleet.points["fleet"].to_numpy(object)
    names = [section.name for section in study.content.fleets]
    members = {name: owner == name for name in names}
    if len(names) > 1:
        members = {ALL_FLEETS: np.ones(len(owner), bool)} | members
    parts = []
    for (policy, case), kw in fleet.shapes.kw.items():
        stored = as_stored(kw)
        for name, mine in members.items():
            total = stored[:, mine].sum(axis=1)
            columns = {"kw_mean": total.mean(axis=0)}
            columns |= {key: np.quantile(total, at, axis=0) for key, at in _QUANTILES.items()}
            columns |= {"kw_draw0": total[0], "kvar": np.zeros(len(steps))}
            part = pd.concat([steps, pd.DataFrame(columns)], axis=1)
            parts.append(part.assign(policy=policy, case=case, fleet=name))
    table = pd.concat(parts, ignore_index=True)
    first = ["policy", "case", "fleet"]
    return table[first + [column for column in table.columns if column not in first]]


def _run_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with policy and case as its first columns."""
    first = [column for column in ("policy", "case") if column in table]
    return table[first + [column for column in table.columns if column not in first]]


def _without_minus_zero(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose zeros have no sign."""
    floats = table.select_dtypes("floating").columns
    return table.assign(**{name: table[name] + 0.0 for name in floats})


def _traces(study: Study, fleet: FleetStage) -> pd.DataFrame:
    """Return the traced vehicles with their fleet and the SOC that bounds them."""
    table, vehicles = fleet.shapes.traces, fleet.vehicles
    if table.empty:
        return table
    number = table["vehicle"].to_numpy(int)
    names = np.array([section.name for section in study.content.fleets], dtype=object)
    return table.assign(
        fleet=names[vehicles.fleet[number]],
        reserve_soc=vehicles.reserve_soc[number],
        target_soc=vehicles.departure_soc[number],
    )


def _arrays(study: Study, feeder: FeederStage, fleet: FleetStage) -> xr.Dataset:
    """Return the shapes' arrays as they are stored, with the base load they stand beside."""
    base = feeder.circuit.base_load
    data = fleet.shapes.dataset().astype(np.float32)
    many = {"units": "1", "long_name": "multiplier of nominal load"}
    data = data.assign(
        base_p=(("shape", "step"), base.p, many),
        base_q=(("shape", "step"), base.q, many),
    ).assign_coords(
        point=("point", fleet.points["bus"].astype(str).to_numpy(object)),
        point_fleet=("point", fleet.points["fleet"].astype(str).to_numpy(object)),
        point_phase=("point", fleet.points["phase"].astype(str).to_numpy(object)),
        day_label=("day", [day.label for day in study.calendar.days]),
    )
    data.attrs = {
        "Conventions": "CF-1.8",
        "title": f"{study.content.name}: load shapes of the fleet, no power flow",
        "time_zone": "local standard time, hour-beginning",
    }
    data["weight_days"].attrs["units"] = "days a year that the step's day stands for"
    return data


def _write_arrays(data: xr.Dataset, path: Path) -> None:
    """Write the arrays, compressed, whole or not at all."""
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    encoding = {name: packed for name in data.data_vars if data[name].size}
    temporary = path.with_name(f".{path.name}")
    try:
        data.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _summary(study: Study, feeder: FeederStage, fleet: FleetStage) -> dict[str, Any]:
    """Return the contents of ``summary.json``, content hash and package left out."""
    content, shapes = study.content, fleet.shapes
    figures = study_figures(study, fleet)
    figures["runs"] = [{"policy": policy, "case": case} for policy, case in shapes.kw]
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "shapes",
        "name": content.name,
        "question": content.question,
        "feeder": feeder_figures(study, feeder),
        "study": figures,
        "fleets": [
            {"name": section.name, "archetype": section.archetype} for section in content.fleets
        ],
        "events": _events(study, fleet),
        "ledger": ledger_means(study, fleet),
        "funnel": records(fleet.funnel),
        "shortfall": shortfall_by_run(fleet),
        "diversity": records(_without_minus_zero(shapes.diversity)),
        "rebound": records(shapes.rebound),
        "findings": [
            {"kind": finding.kind, "message": finding.message} for finding in feeder.findings
        ],
        "notes": list(feeder.notes),
        "assumptions": fleet_assumptions(study),
    }


def _events(study: Study, fleet: FleetStage) -> list[dict[str, Any]]:
    """Return what the events deliver, by policy, case and season, over draws and event-days."""
    events, exported = fleet.shapes.events, LEDGER_ROWS.index("exported")
    if events.empty:
        return []
    during, _ = event_steps(study)
    season_of = study.calendar.table()["season"].to_numpy()
    rows = []
    for policy, case, season in events[["policy", "case", "season"]].drop_duplicates().to_numpy():
        here = during & (season_of == season)
        book = fleet.shapes.ledger[policy, case][:, exported][:, here]
        rows.append(
            {
                "policy": policy,
                "case": case,
                "season": season,
                "request_kw": study.event.request_kw if study.event else 0.0,
                "exported_kw_mean": float(book.mean()) if book.size else float("nan"),
                **held_over_window(events, case, season),
            }
        )
    return rows
