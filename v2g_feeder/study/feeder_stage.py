"""First stage of a study: the feeder with its secondaries and a calibrated base load."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import FeederError, InputError, Problem
from v2g_feeder.feeder.base_load import BaseLoad, native, standard
from v2g_feeder.feeder.base_load_csv import CsvColumns, from_csv
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.findings import Finding, FindingKind
from v2g_feeder.feeder.model import Feeder, read_feeder
from v2g_feeder.feeder.scan import scan
from v2g_feeder.feeder.secondary import (
    SecondarySettings,
    build_secondaries,
    customers_of_loads,
)
from v2g_feeder.loadshape import no_points
from v2g_feeder.powerflow.opendss import Circuit, Runner
from v2g_feeder.powerflow.solution import Observed, Reason
from v2g_feeder.screening import Screen
from v2g_feeder.study.solar import with_solar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from v2g_feeder.study.config import Study

__all__ = ["FeederStage", "prepare_feeder"]

_PEAK_TOLERANCE: Final = 5e-4
_MOST_TRIALS: Final = 12


@dataclass(frozen=True)
class FeederStage:
    """A feeder ready for EVs.

    Parameters
    ----------
    circuit
        What OpenDSS builds, without connection points.
    feeder
        Its tables, secondaries included.
    observed
        The places that are screened.
    customers
        One row a customer.
    head_kw, head_kvar
        At the feeder head without EVs, by step of the calendar; NaN where the step is invalid.
    base_reason
        Validity of each step without EVs.
    findings
        What a reader must know about the model.
    notes
        Provenance of the base load, its scale, and modelled against measured head.
    head_check
        Modelled and measured head kW and kvar by step, for SCADA; else ``None``.
    files
        Every file that was read.
    names
        Names as the model wrote them, by lower-case name.
    step_s
        Seconds that a step took to solve, for estimates.
    """

    circuit: Circuit
    feeder: Feeder
    observed: Observed
    customers: pd.DataFrame
    head_kw: np.ndarray
    head_kvar: np.ndarray
    base_reason: np.ndarray
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    head_check: pd.DataFrame | None
    files: tuple[Path, ...]
    names: Mapping[str, str]
    step_s: float

    def under(self, commands: Iterable[str]) -> FeederStage:
        """Return the feeder with commands that the circuit runs last."""
        circuit = replace(self.circuit, commands=(*self.circuit.commands, *commands))
        return replace(self, circuit=circuit)


def prepare_feeder(study: Study) -> FeederStage:
    """Load a study's feeder, add secondaries, and settle its base load.

    Call it in a process of its own: it runs the native engine on a user's file.

    Raises
    ------
    InputError
        For a model or measurements that cannot be used.
    FeederError
        If no step of the base case can be solved.
    """
    scanned = scan(study.model)
    engine = shared_engine()
    engine.load(study.model)
    bare = read_feeder(engine, study.model)
    dead = bare.loads[~bare.buses["energised"].reindex(bare.loads["bus"]).to_numpy(bool)]
    commands = tuple(f'Disable "Load.{name}"' for name in dead["name"])
    if commands:  # what can never draw must not make every step invalid
        engine.load(study.model, commands)
        bare = read_feeder(engine, study.model)
    base = _base_load(study, bare, engine.load_shapes())
    section = study.content.feeder.secondaries
    settings = section.settings() if section else SecondarySettings()
    if section is None:
        customers = customers_of_loads(bare, settings.admd_kw)
    else:
        secondaries = build_secondaries(bare, settings)
        commands, customers = (*commands, *secondaries.commands), secondaries.customers
        base = replace(base, shape_of=_renamed(base.shape_of, secondaries.loads))
    source_pu = study.content.feeder.source_pu
    if source_pu is not None:
        commands = (f"Edit Vsource.source pu={source_pu:g}", *commands)
    circuit = Circuit(
        master=study.model,
        commands=commands,
        base_load=base,
        points=no_points(),
        step_hours=study.calendar.step_hours,
        steps_per_day=study.calendar.steps_per_day,
    )
    runner = Runner(engine, circuit, study.limits.reverse_flow_kw)
    Screen(runner.probe.observed, study.limits)  # raises for limits where nothing is watched
    notes = [*base.notes]
    began = time.perf_counter()
    head = _first_base(runner, study)
    step_s = (time.perf_counter() - began) / len(head)
    if base.measured is not None:
        head = _match_head(runner, study, head, notes)
    if study.content.base_load.head_peak_kw is not None:
        head = _scale_to_peak(runner, study, study.content.base_load.head_peak_kw, head, notes)
    circuit = runner.circuit
    if study.content.solar:
        circuit = with_solar(study, circuit, runner.feeder)
        runner = Runner(engine, circuit, study.limits.reverse_flow_kw)
        head = _solve_base(runner, study)
        notes.append("generation of the study's arrays comes on top of the calibrated base load")
    if (head["reason"] > Reason.FLAGGED).all():
        raise FeederError(_unsolved(study, head, runner.probe.observed, scanned.names))
    findings = list(runner.feeder.findings)
    if len(dead):
        message = (
            f"{dead['kw'].sum():.4g} kW of load (at {len(dead)} of the model's loads) are not "
            "connected to the source; they are switched off"
        )
        findings.append(Finding(FindingKind.ISLAND, message, tuple(dead["name"][:8]), len(dead)))
    if not base.season_claim:
        findings.append(
            Finding(
                FindingKind.NO_LOAD_SHAPES,
                "the base load does not differ by season: nothing here is a statement on seasons",
            )
        )
    return FeederStage(
        circuit=circuit,
        feeder=runner.feeder,
        observed=runner.probe.observed,
        customers=customers,
        head_kw=np.where(head["reason"] <= Reason.FLAGGED, head["kw"], np.nan),
        head_kvar=np.where(head["reason"] <= Reason.FLAGGED, head["kvar"], np.nan),
        base_reason=head["reason"].to_numpy(),
        findings=tuple(findings),
        notes=tuple(notes),
        head_check=_head_check(base, head),
        files=(*scanned.files, *study.files.values()),
        names=dict(scanned.names),
        step_s=step_s,
    )


def _base_load(
    study: Study, feeder: Feeder, shapes: Mapping[str, Mapping[str, object]]
) -> BaseLoad:
    """Return the base load that a study asks for, not yet calibrated."""
    section = study.content.base_load
    if section.source == "standard":
        return standard(feeder.loads, study.calendar, section.classes, section.default_class)
    if section.source == "csv":
        return from_csv(
            study.path.parent / str(section.file),
            feeder.loads,
            study.calendar,
            columns=CsvColumns(**(section.columns or {})),
            kind=section.kind,
            hour_ending=section.hour_ending,
            timestamp_format=section.timestamp_format,
        )
    return native(feeder.loads, shapes, study.calendar, first_month=section.first_month)


def _renamed(shape_of: Mapping[str, int], loads: Mapping[str, str]) -> dict[str, int]:
    """Return the shape row by load, with loads that secondaries replaced under their new names."""
    gone = set(loads.values())
    kept = {name: row for name, row in shape_of.items() if name not in gone}
    return kept | {new: shape_of[old] for new, old in loads.items()}


def _solve_base(runner: Runner, study: Study, days: list[int] | None = None) -> pd.DataFrame:
    """Return ``kw``, ``kvar`` and ``reason`` at the head by step, without EVs."""
    calendar = study.calendar
    nothing = np.zeros((0, calendar.steps_per_day))
    parts = []
    for day in range(len(calendar.days)) if days is None else days:
        solution = runner.run(calendar.day_slice(day).start, nothing)
        steps = np.arange(calendar.steps_per_day) + calendar.day_slice(day).start
        parts.append(
            pd.DataFrame(
                {
                    "kw": solution.head_kw.astype(float),
                    "kvar": solution.head_kvar.astype(float),
                    "reason": solution.reason,
                    "v_min": solution.v_pu.min(axis=1),
                    "v_min_at": solution.v_pu.argmin(axis=1),
                },
                index=steps,
            )
        )
    return pd.concat(parts)


def _first_base(runner: Runner, study: Study) -> pd.DataFrame:
    """Return the base case before calibration; where a peak is asked for, of the peak's day alone.

    That is the day of the highest load, losses left out; all days if it has invalid steps.
    """
    base, loads = runner.circuit.base_load, runner.feeder.loads
    if study.content.base_load.head_peak_kw is None or base.measured is not None:
        return _solve_base(runner, study)
    rows = loads["name"].map(base.shape_of)
    by_shape = loads["kw"].groupby(rows).sum().reindex(range(len(base.p)), fill_value=0.0)
    top = int(np.argmax(by_shape.to_numpy() @ base.p))
    head = _solve_base(runner, study, [top // study.calendar.steps_per_day])
    return head if (head["reason"] <= Reason.FLAGGED).all() else _solve_base(runner, study)


def _scale_to_peak(
    runner: Runner, study: Study, target_kw: float, head: pd.DataFrame, notes: list[str]
) -> pd.DataFrame:
    """Scale P and Q together until the highest head kW of the calendar is the target."""
    start, factor = runner.circuit.base_load, 1.0
    tried: list[tuple[float, float]] = [(0.0, 0.0), (1.0, _peak(head))]
    days = list(range(len(study.calendar.days)))
    for _ in range(_MOST_TRIALS):
        peak = tried[-1][1]
        if abs(peak / target_kw - 1) <= _PEAK_TOLERANCE:
            if len(head) < study.calendar.n_steps:  # the day of the peak is right: now all others
                head = _solve_base(runner, study)
                tried[-1] = (factor, _peak(head))
                continue
            notes.append(
                f"P and Q of every load are scaled by {factor:.4f} so that the head peaks at "
                f"{peak:.0f} kW, losses included ({target_kw:.0f} kW asked for)"
            )
            return head
        if np.isfinite(peak):
            top = int(head["kw"].where(head["reason"] <= Reason.FLAGGED).idxmax())
            days = [top // study.calendar.steps_per_day]
        factor = _next_factor(tried, target_kw)
        runner.set_base_load(start.scaled(factor))
        head = _solve_base(runner, study, days)
        tried.append((factor, _peak(head)))
        if not np.isfinite(tried[-1][1]):
            break
    reached = max(kw for _, kw in tried if np.isfinite(kw))
    raise InputError(
        Problem(
            "base_load.head_peak_kw",
            f"{target_kw:g} kW cannot be reached: the highest valid head load found is "
            f"{reached:.0f} kW",
            "beyond it no load flow solution was found, or regulators keep moving",
        )
    )


def _next_factor(tried: list[tuple[float, float]], target_kw: float) -> float:
    """Return the next scale by secant on the last two that were tried."""
    (f0, kw0), (f1, kw1) = tried[-2:]
    slope = (kw1 - kw0) / (f1 - f0) if f1 != f0 else 0.0
    if slope <= 0:  # the model's own generation may feed more than its load draws
        return f1 * target_kw / kw1 if kw1 > 0 else 2 * f1
    return float(np.clip(f1 + (target_kw - kw1) / slope, 0.2 * f1, 5 * f1))


def _peak(head: pd.DataFrame) -> float:
    """Return the highest head kW of the valid steps, NaN if none is valid."""
    valid = head.loc[head["reason"] <= Reason.FLAGGED, "kw"]
    return float(valid.max()) if len(valid) else np.nan


def _match_head(runner: Runner, study: Study, head: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Move the loads until the modelled head follows the measured one.

    What is measured at the head includes losses and capacitors; what the loads get is what is left
    of it. Each round gives every shape the head's error, in proportion to its nominal power.
    """
    base = runner.circuit.base_load
    assert base.measured is not None  # noqa: S101  # the caller's test
    loads = runner.feeder.loads
    kw, kvar = float(loads["kw"].sum()), float(loads["kvar"].sum())
    measured_kw = base.measured["head_kw"].to_numpy(float)
    measured_kvar = base.measured["head_kvar"].to_numpy(float)
    for _ in range(_MOST_TRIALS // 2):
        valid = (head["reason"] <= Reason.FLAGGED).to_numpy()
        error_kw = np.where(valid, measured_kw - head["kw"].to_numpy(), 0.0)
        error_kvar = np.where(
            valid & np.isfinite(measured_kvar), measured_kvar - head["kvar"].to_numpy(), 0.0
        )
        worst = float(np.abs(error_kw).max() / max(np.abs(measured_kw).max(), 1e-9))
        if worst <= _PEAK_TOLERANCE:
            break
        base = replace(
            base,
            p=base.p + error_kw / max(kw, 1e-9),
            q=base.q + (error_kvar / kvar if kvar else 0.0),
        )
        runner.set_base_load(base)
        head = _solve_base(runner, study)
    notes.append(
        "the loads are what the measured head kW and kvar leave after the model's own losses and "
        "capacitors"
    )
    return head


def _head_check(base: BaseLoad, head: pd.DataFrame) -> pd.DataFrame | None:
    """Return the modelled head beside the measured one."""
    if base.measured is None:
        return None
    return pd.DataFrame(
        {
            "modelled_kw": head["kw"].to_numpy(),
            "measured_kw": base.measured["head_kw"].to_numpy(float),
            "modelled_kvar": head["kvar"].to_numpy(),
            "measured_kvar": base.measured["head_kvar"].to_numpy(float),
        }
    )


def _unsolved(
    study: Study, head: pd.DataFrame, observed: Observed, names: Mapping[str, str]
) -> str:
    """Say why the base case has no valid step, and where it is worst."""
    reasons = head["reason"].value_counts()
    words = ", ".join(
        f"{count} steps {Reason(code).name.lower().replace('_', ' ')}"
        for code, count in reasons.items()
    )
    found = f"{study.model}: no step of the base case is a solution ({words})"
    if head["v_min"].notna().any():
        worst = head.loc[head["v_min"].idxmin()]
        bus, dot, phases = observed.voltages["node"].iloc[int(worst["v_min_at"])].partition(".")
        found += f"; the lowest voltage, {worst['v_min']:.3f} pu, is at "
        found += f"{names.get(bus, bus)}{dot}{phases}"
    return found
