"""The result folder, file by file; ``summary.json`` comes last and says that it is whole."""

from __future__ import annotations

import platform
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Final

import h5netcdf
import numpy as np
import yaml

import v2g_feeder
from v2g_feeder.conventions import BOUNDING_CASES, Case, Policy
from v2g_feeder.feeder.engine import engine_version
from v2g_feeder.report.html import begin_report, write_report
from v2g_feeder.store import csv_text, file_sha256, write_json, write_text
from v2g_feeder.study.names import as_written, printed
from v2g_feeder.study.package import export_case, write_parts
from v2g_feeder.study.pilot_figures import recharging
from v2g_feeder.study.protection import protection_summary
from v2g_feeder.study.summary import records, summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pandas as pd

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage
    from v2g_feeder.study.power_flow import EngineUse
    from v2g_feeder.study.reduce import Reduced
    from v2g_feeder.workers import WorkerPool

__all__ = ["exported_first", "manifest_of", "write_results"]

_PACKAGES: Final = (
    "opendssdirect.py",
    "dss-python",
    "numpy",
    "pandas",
    "xarray",
    "scipy",
    "pydantic",
)


def write_results(
    study: Study,
    feeder: FeederStage,
    fleet: FleetStage,
    reduced: Reduced,
    use: EngineUse,
    out: Path,
    *,
    workers: WorkerPool,
    command: str,
    protection: pd.DataFrame | None = None,
    pilot: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, Any]:
    """Write tables, arrays' labels, package, report, manifest and summary.

    Returns
    -------
    dict
        Contents of ``summary.json``.
    """
    workers.get_ready(import_module, "v2g_feeder.report.html")
    _write_places(out / "results.nc", feeder, reduced)
    tables = {"violations": reduced.violations, "hourly": reduced.hourly}
    tables |= pilot or {}
    if protection is not None:
        protection = printed(protection, feeder)
        tables["protection"] = protection
    summary = summarise(study, feeder, fleet, reduced, use)
    summary["pilot"] = {
        name: records(printed(table, feeder))
        for name, table in (pilot or {}).items()
        if name != "events"
    } | {"recharging": recharging(study, fleet, reduced)}
    summary["protection"] = protection_summary(study, protection)
    report = begin_report(out, summary, workers)
    for name, table in tables.items():
        text = csv_text(printed(table, feeder))
        reduced.content.add_text(name, text)
        write_text(out / f"{name}.csv", text)
    write_text(
        out / "study.yaml", yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True)
    )
    summary["content_sha256"] = reduced.content.hexdigest()
    write_parts(replace(feeder.circuit, points=fleet.points), out / "opendss")
    run = max(fleet.kw, key=exported_first)
    summary["package"] = export_case(out, *run, 0, out / "opendss")
    write_json(out / "manifest.json", manifest_of(study, feeder, workers.workers, command))
    write_json(out / "summary.json", summary)
    write_report(out, report)
    return summary


def exported_first(run: tuple[str, str]) -> tuple[bool, bool, bool]:
    """Order runs by how much an engineer wants to see them: export, expected, not bounding."""
    policy, case = run
    return (case not in BOUNDING_CASES, policy == Policy.EXPORT, case == Case.EXPECTED)


def _write_places(path: Path, feeder: FeederStage, reduced: Reduced) -> None:
    """Add buses, elements' ends and extremes to the arrays, for drawings."""
    buses, tables = feeder.feeder.buses, feeder.feeder
    text = h5netcdf.core.h5py.string_dtype()

    def written(column: Iterable[Any]) -> list[str]:
        return [as_written(str(name), feeder.names) for name in column]

    with h5netcdf.File(path, "a") as file:
        file.dimensions["bus"] = len(buses)
        labels = {
            "bus": (("bus",), written(buses.index)),
            "bus_parent": (("bus",), written(buses["parent"])),
            "bus_phase": (("bus",), [str(phase) for phase in buses["phase"]]),
        }
        ends = tables.elements.set_index("element").reindex(feeder.observed.elements["element"])
        labels["element_bus1"] = (("element",), written(ends["bus1"]))
        labels["element_bus2"] = (("element",), written(ends["bus2"]))
        for name, (dims, values) in labels.items():
            variable = file.create_variable(name, dims, dtype=text)
            variable[...] = np.array(values, dtype=object)
        for name, column, units in (
            ("bus_x", "x", "model coordinates, no stated system"),
            ("bus_y", "y", "model coordinates, no stated system"),
            ("bus_km", "km", "km from the source"),
            ("bus_impedance_pu", "impedance_pu", "per unit on 1 MVA, from the source"),
            ("bus_kv_base_ln", "kv_base_ln", "kV line to neutral"),
        ):
            variable = file.create_variable(name, ("bus",), data=buses[column].to_numpy(float))
            variable.attrs["units"] = units
        policies, cases = (
            [value.decode() if isinstance(value, bytes) else value for value in file[name][...]]
            for name in ("policy", "case")
        )
        for name, dim in (("v_min", "node"), ("v_max", "node"), ("loading_max", "element")):
            shape = (len(policies), len(cases), file.dimensions[dim].size)
            extreme = np.full(shape, np.nan, np.float32)
            for (policy, case), found in reduced.extremes.items():
                extreme[policies.index(policy), cases.index(case)] = found[name]
            run = ("policy", "case", dim)
            variable = file.create_variable(f"{name}_of_all", run, data=extreme)
            variable.attrs["long_name"] = "over valid steps and draws"


def manifest_of(study: Study, feeder: FeederStage, workers: int, command: str) -> dict[str, Any]:
    """Return what the result was made with and from."""
    files = dict.fromkeys([study.path, *feeder.files])
    return {
        "v2g_feeder": v2g_feeder.__version__,
        "engine": engine_version(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "seed": study.content.seed,
        "workers": workers,
        "command": command,
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [
            {"file": str(path), "sha256": file_sha256(path), "bytes": path.stat().st_size}
            for path in files
        ],
    }
