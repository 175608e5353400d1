"""The protection screen of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.calendar import season_calendar
from v2g_feeder.conventions import DayType
from v2g_feeder.feeder.base_load import native
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.short_circuit import fault_network
from v2g_feeder.loadshape import connection_points
from v2g_feeder.powerflow.opendss import Circuit, base_commands
from v2g_feeder.screening import (
    NEEDS_FULL_STUDY,
    ProtectionInputs,
    combine_devices,
    devices_of_model,
    protection_screen,
    read_devices,
    standing_flows,
)
from v2g_feeder.study.fleet_stage import export_rating
from v2g_feeder.workers import run_alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from v2g_feeder.feeder.engine import Engine, RawSolution
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import PlacedFleet
    from v2g_feeder.study.protection_section import ProtectionSection
    from v2g_feeder.workers import WorkerPool

__all__ = ["protection_summary", "screen_site", "screen_study"]

_DEADLINE_S: Final = 1800.0
_MOST_STEPS: Final = 200  # of least head load: there the load behind a device is least, nearly


def screen_study(
    study: Study, feeder: FeederStage, fleet: PlacedFleet, workers: int | WorkerPool
) -> pd.DataFrame | None:
    """Return the protection screen of a study, ``None`` where it has none.

    Chargers that may export do so at their rating, all at once; what loads draw meanwhile is the
    least of the steps with events (of all steps without), without EVs.
    """
    section = study.content.protection
    if section is None:
        return None
    kw = export_rating(fleet.vehicles, fleet.of_vehicle, len(fleet.points))
    inventory = study.path.parent / section.devices if section.devices else None
    return run_alone(
        _screen,
        feeder.circuit,
        fleet.points.assign(kva=kw, kw=kw),
        inventory,
        section,
        _light_steps(study, feeder),
        deadline_s=_DEADLINE_S,
        workers=workers,
    )


def screen_site(
    master: Path,
    buses: Sequence[str],
    export_kw: float,
    inventory: Path,
    section: ProtectionSection,
) -> pd.DataFrame:
    """Return the protection screen of a site without a study; call it in a process of its own.

    Parameters
    ----------
    master
        The model; its own load shapes give the hour of least load, at which the site exports.
    buses
        Where the site connects, its export spread evenly over them, on all phases of each.
    export_kw
        Rated export of the site, kW.
    inventory
        Devices, CSV or YAML.
    section
        Fault level at the head, and figures.
    """
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    year = season_calendar({"year": range(1, 13)}, [DayType.WEEKDAY])
    base = native(feeder.loads, engine.load_shapes(), year)
    nominal = np.zeros(len(base.p))
    for name, kw in zip(feeder.loads["name"], feeder.loads["kw"], strict=True):
        nominal[base.shape_of[name]] += kw
    sites = [(bus.lower(), feeder.connections(bus.lower())[-1]) for bus in buses]
    share = export_kw / len(sites)
    points = connection_points(feeder, sites).assign(kva=share, kw=share)
    circuit = Circuit(master, (), base, points, year.step_hours, year.steps_per_day)
    return _screen(circuit, points, inventory, section, [int((nominal @ base.p).argmin())])


def protection_summary(study: Study, table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return what ``summary.json`` says of the screen."""
    section = study.content.protection
    if table is None or section is None:
        return None
    head = section.head
    counts = table["status"].value_counts()
    return {
        "checks": len(table),
        "violations": int(counts.get("violation", 0)),
        "unknown": int(counts.get("unknown", 0)),
        "head": head if head is None or isinstance(head, str) else head.model_dump(),
        "rows": _worst_first(table).replace({np.nan: None}).to_dict("records"),
        "needs_full_study": list(NEEDS_FULL_STUDY),
        "figures": [
            {"name": item.setting, "value": item.figure, "mark": item.mark, "source": item.text}
            for item in section.settings().sources
        ],
    }


def _worst_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return violations, then what is unknown, then what passes, each in the order it was in."""
    order = table["status"].map({"violation": 0, "unknown": 1, "pass": 2})
    return table.iloc[np.argsort(order.to_numpy(), kind="stable")]


def _light_steps(study: Study, feeder: FeederStage) -> list[int]:
    """Return the steps of least head load at which chargers may export."""
    axis = study.calendar.table()
    hour = axis["hour"].to_numpy() + axis["minute"].to_numpy() / 60
    may = np.ones(len(axis), dtype=bool)
    if study.event is not None:
        start, end = study.event.start_h, study.event.end_h
        inside = (hour >= start) & (hour < end) if start < end else (hour >= start) | (hour < end)
        may = inside & np.array([study.has_event(str(season)) for season in axis["season"]])
    load = np.where(may & np.isfinite(feeder.head_kw), feeder.head_kw, np.inf)
    order = np.argsort(load, kind="stable")[:_MOST_STEPS]
    return [int(step) for step in order if np.isfinite(load[step])]


def _screen(
    circuit: Circuit,
    points: pd.DataFrame,
    inventory: Path | None,
    section: ProtectionSection,
    steps: Sequence[int],
) -> pd.DataFrame:
    """Run the screen; in a process of its own, since it loads the engine."""
    engine = shared_engine()
    engine.load(circuit.master, [*circuit.commands, *base_commands(circuit, 1)])
    feeder = read_feeder(engine, circuit.master)
    devices = devices_of_model(engine)
    if inventory is not None:
        devices = combine_devices(read_devices(inventory, feeder), devices)
    network = None
    if section.head is not None:
        head = None if section.head == "model" else section.head.fault(feeder)
        network = fault_network(engine, feeder, head)
    elements = engine.series_elements()
    flows = standing_flows(feeder, elements, devices, _solved(engine, circuit, steps))
    inputs = ProtectionInputs(devices, points, network, flows)
    return protection_screen(feeder, inputs, section.settings())


def _solved(engine: Engine, circuit: Circuit, steps: Sequence[int]) -> Iterator[RawSolution]:
    """Yield the solutions of single steps of the base load, without EVs."""
    base = circuit.base_load
    engine.start_series(circuit.step_hours)
    for step in steps:
        for row in range(len(base.p)):
            at = slice(step, step + 1)
            engine.set_shape(f"base_{row}", base.p[row, at], base.q[row, at])
        yield engine.solve(0, circuit.step_hours)
