"""A study from file to result folder: the stages in order."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import yaml

import v2g_feeder
from v2g_feeder.feeder.engine import engine_version
from v2g_feeder.resume import file_inputs, finish, refuse_differences, working_folder
from v2g_feeder.store import claim_folder, working_name
from v2g_feeder.study.ahead import FEEDER_DEADLINE_S, resolved_feeder
from v2g_feeder.study.feeder_stage import FeederStage, prepare_feeder
from v2g_feeder.study.fleet_stage import (
    FleetStage,
    PlacedFleet,
    export_rating,
    load_code,
    placed_fleet,
    prepare_fleet,
)
from v2g_feeder.study.pilot_figures import pilot_tables
from v2g_feeder.study.power_flow import may_take_batch, solve_study
from v2g_feeder.study.protection import screen_study
from v2g_feeder.study.ramp import what_the_feeder_takes
from v2g_feeder.study.units import load_batch
from v2g_feeder.workers import Alone, run_alone, worker_pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from v2g_feeder.powerflow.opendss import Circuit
    from v2g_feeder.study.ahead import Ahead
    from v2g_feeder.study.config import Study
    from v2g_feeder.workers import WorkerPool

    Tell = Callable[[str, int, int], None]

__all__ = ["begin", "finished_result", "inputs_of", "notices", "prepare", "run_study"]


def prepare(study: Study) -> tuple[FeederStage, FleetStage]:
    """Run the stages before power flow: feeder (in a process of its own) and fleet."""
    feeder = _feeder(study)
    return feeder, prepare_fleet(study, feeder, placed_fleet(study, feeder))


def run_study(
    study: Study,
    out: Path,
    *,
    workers: WorkerPool | int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Tell | None = None,
    notice: Callable[[str], None] | None = None,
    command: str = "",
    ahead: Ahead | None = None,
) -> dict[str, Any]:
    """Run a study and write its result folder.

    Parameters
    ----------
    study
        A checked study.
    out
        Result folder; must not exist, be empty, or hold an earlier result with ``overwrite``.
    workers
        Number of worker processes, by default the processors at hand, or those of
        :func:`~v2g_feeder.workers.worker_pool`. The result does not depend on it.
    overwrite
        Replace an earlier result.
    resume
        Go on with a run that was interrupted in ``out``, if there is one; take a whole result as it
        is.
    progress
        Called with stage, done and total.
    notice
        Called with lines that a user should read before any result: findings on the model, and
        the modelled head against the measured.
    command
        The command line, for the manifest.
    ahead
        The feeder, where ``workers`` prepare it already.

    Returns
    -------
    dict
        Contents of ``summary.json``.

    Raises
    ------
    InputError, FeederError, UnitError
        Before anything is written, if the study cannot be run, or the run to go on with had other
        inputs.
    """
    if resume and not overwrite and (finished := finished_result(study, out)):
        if notice is not None:
            notice(f"{out} holds the whole result: nothing was run")
        return finished
    # once after an install it compiles, for half a minute: only the fleet is to wait for that
    loading = Thread(target=load_code, args=(study,), daemon=True)
    with worker_pool(workers) as pool:
        tell, feeder = begin(
            study,
            out,
            overwrite=overwrite,
            progress=progress,
            notice=notice,
            resume=resume,
            prepared=lambda: _prepared(study, pool, ahead, loading),
        )
        tell("fleet", 0, 1)
        placed = placed_fleet(study, feeder)
        circuit = _with_chargers(study, feeder, placed)
        ramp = what_the_feeder_takes(study, feeder, placed, pool)  # beside the fleet
        if may_take_batch(study, feeder):
            pool.get_ready_after_one(load_batch, circuit, study.limits.reverse_flow_kw)
        loading.join()
        fleet = prepare_fleet(study, feeder, placed)
        protection = screen_study(study, feeder, placed, pool)
        pilot = cache(partial(pilot_tables, study, feeder, fleet, ramp()))
        units_folder = working_folder(out, inputs_of(study, feeder), resume=resume)
        folders = out, units_folder
        reduced, use = solve_study(study, feeder, fleet, circuit, folders, pool, tell, pilot)
        from v2g_feeder.study.write import write_results  # noqa: PLC0415  # matplotlib

        tell("report", 0, 1)
        summary = write_results(
            study,
            feeder,
            fleet,
            reduced,
            use,
            out,
            workers=pool,
            command=command,
            protection=protection,
            pilot=pilot(),
        )
    finish(units_folder)
    tell("report", 1, 1)
    return summary


def _feeder(study: Study, workers: WorkerPool | int = 1) -> FeederStage:
    """Prepare the feeder in another process."""
    return run_alone(
        prepare_feeder, study, deadline_s=FEEDER_DEADLINE_S, feeder=study.model, workers=workers
    )


def _prepared(
    study: Study, workers: WorkerPool, ahead: Ahead | None, loading: Thread
) -> FeederStage:
    """Return the feeder; while a worker prepares it, the others and this process get ready."""
    begun = ahead or Alone(resolved_feeder, study, deadline_s=FEEDER_DEADLINE_S, workers=workers)
    workers.get_ready(import_module, __name__)
    loading.start()
    import_module("v2g_feeder.study.write")  # matplotlib
    said, feeder = begun.result(study.model)
    return feeder if said == study.resolved() else _feeder(study, workers)  # the file has changed


def _with_chargers(study: Study, feeder: FeederStage, placed: PlacedFleet) -> Circuit:
    """Return the circuit with the fleet's connection points, and the curves of its chargers."""
    control = study.content.chargers.settings()
    if not control.enabled:
        return replace(feeder.circuit, points=placed.points)
    rating = export_rating(placed.vehicles, placed.of_vehicle, len(placed.points))
    points = placed.points.assign(export_kw=rating)
    return replace(feeder.circuit, points=points, chargers=control)


def begin(
    study: Study,
    out: Path,
    *,
    overwrite: bool,
    progress: Tell | None,
    notice: Callable[[str], None] | None,
    resume: bool = False,
    prepared: Callable[[], FeederStage] | None = None,
) -> tuple[Tell, FeederStage]:
    """Claim the result folder and prepare the feeder, as every command on a study does first.

    Returns
    -------
    callable
        ``progress``, or one that does nothing.
    FeederStage
        The feeder, of which the user has been told what to know.
    """
    tell: Tell = progress or (lambda _stage, _done, _total: None)
    claim_folder(out, overwrite=overwrite, resume=resume)
    tell("feeder", 0, 1)
    feeder = prepared() if prepared else _feeder(study)
    if notice is not None:
        for line in notices(feeder):
            notice(line)
    return tell, feeder


def inputs_of(study: Study, feeder: FeederStage) -> dict[str, Any]:
    """Return what the numbers of a run depend on, for one that goes on after an interruption."""
    return {
        "v2g_feeder": v2g_feeder.__version__,
        "engine": engine_version(),
        "study": study.resolved(),
        "limits": asdict(study.limits),
        "files": file_inputs(feeder.files),
    }


def finished_result(study: Study, out: Path) -> dict[str, Any]:
    """Return the summary of the whole result that a folder holds of a study, if it does.

    Raises
    ------
    InputError
        If it was made from other inputs, or by another version; every difference is named.
    """
    if working_name(out).exists() or not (out / "summary.json").is_file():
        return {}
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    files = {row["file"]: row["sha256"] for row in manifest["inputs"]}
    files.pop(str(study.path), None)  # what it says is compared key by key
    before = {
        "v2g_feeder": manifest["v2g_feeder"],
        "engine": manifest["engine"],
        "study": yaml.safe_load((out / "study.yaml").read_text(encoding="utf-8")),
        "files": files,
    }
    now = {
        "v2g_feeder": v2g_feeder.__version__,
        "engine": engine_version(),
        "study": study.resolved(),
        "files": file_inputs(Path(name) for name in files if Path(name).is_file()),
    }
    refuse_differences(before, now, out)
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return summary


def notices(feeder: FeederStage) -> list[str]:
    """Return what a user should read before any result."""
    lines = [f"{finding.kind}: {finding.message}" for finding in feeder.findings]
    if feeder.head_check is not None:
        table = feeder.head_check
        for quantity in ("kw", "kvar"):
            modelled, measured = table[f"modelled_{quantity}"], table[f"measured_{quantity}"]
            if measured.notna().any():
                lines.append(
                    f"feeder head, {quantity}: modelled {modelled.min():.0f} to "
                    f"{modelled.max():.0f}, measured {measured.min():.0f} to {measured.max():.0f}; "
                    f"largest difference {(modelled - measured).abs().max():.1f}"
                )
    return lines
