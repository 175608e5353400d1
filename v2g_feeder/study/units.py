"""Units of work: one day of one (policy, case, draw), solved in a worker.

OpenDSS solves them one by one, the batch engine those of a day side by side.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from v2g_feeder.conventions import Policy
from v2g_feeder.errors import FeederError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.powerflow.days import BatchRunner, kept_batch_runner
from v2g_feeder.powerflow.opendss import Circuit, Runner, kept_runner
from v2g_feeder.powerflow.solution import Solution
from v2g_feeder.store import load_arrays, save_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from v2g_feeder.calendar import Calendar
    from v2g_feeder.study.day_reader import DayReader

__all__ = [
    "Comparison",
    "Plan",
    "Power",
    "Unit",
    "by_batch",
    "compare_engines",
    "load_batch",
    "load_unit",
    "lost_solution",
    "plan_of",
    "plan_units",
    "power_of",
    "solve_unit",
    "unit_file",
    "write_plan",
]

_PLAN = "plan.pickle"
_SAME_TAP = 1e-6  # per unit


class Unit(NamedTuple):
    """Key of a unit.

    Parameters
    ----------
    day
        Number of the day in the calendar.
    policy, case
        Names.
    draw
        Index into the first axis of the run's injections.
    """

    day: int
    policy: str
    case: str
    draw: int

    @property
    def label(self) -> str:
        """Name of the unit in files and messages."""
        return f"d{self.day:03d}_{self.policy}_{self.case}_{self.draw:04d}"


Power = dict[Unit, np.ndarray]
"""What units ask of each connection point, ``[point, step]`` of their day, kW."""


@dataclass(frozen=True)
class Plan:
    """What the workers of a study share.

    Parameters
    ----------
    circuit
        The feeder with its connection points.
    reverse_limits_kw
        Reverse-flow limits by element.
    reader
        Who reads the days.
    """

    circuit: Circuit
    reverse_limits_kw: Mapping[str, float]
    reader: DayReader


def write_plan(plan: Plan, folder: Path) -> None:
    """Write a plan where the workers of this study find it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _PLAN).write_bytes(pickle.dumps(plan))


@lru_cache(maxsize=1)
def plan_of(folder: str) -> Plan:
    """Return the plan that a folder holds, read once a process."""
    plan: Plan = pickle.loads((Path(folder) / _PLAN).read_bytes())  # noqa: S301  # our own file
    return plan


def _runner(folder: str) -> Runner:
    """Return this process's runner of a plan."""
    plan = plan_of(folder)
    return kept_runner(shared_engine(), plan.circuit, plan.reverse_limits_kw)


def _batch_runner(folder: str) -> BatchRunner:
    """Return this process's batch engine of a plan."""
    plan = plan_of(folder)
    return kept_batch_runner(shared_engine(), plan.circuit, plan.reverse_limits_kw)


def load_batch(circuit: Circuit, reverse_limits_kw: Mapping[str, float]) -> None:
    """Load a circuit and the batch engine's code before the units that need them; in a worker."""
    batch = kept_batch_runner(shared_engine(), circuit, reverse_limits_kw)
    batch.run(0, np.zeros((1, len(circuit.points), circuit.steps_per_day)))


def _by_opendss(folder: str, unit: Unit, kw: np.ndarray) -> Solution:
    """Solve a unit with OpenDSS."""
    first = unit.day * plan_of(folder).circuit.steps_per_day
    return _runner(folder).run(first, kw, sudden=unit.policy == Policy.EXPORT)


def by_batch(folder: str, power: Power) -> list[Solution]:
    """Solve units of one day side by side.

    The same plan, unit and power give the same numbers, whatever is solved beside it.

    Raises
    ------
    FeederError
        If the batch engine cannot represent the model.
    """
    sudden = np.array([unit.policy == Policy.EXPORT for unit in power])
    first = next(iter(power)).day * plan_of(folder).circuit.steps_per_day
    return _batch_runner(folder).run(first, np.array([*power.values()]), sudden=sudden)


def unit_file(folder: str | Path, unit: Unit) -> Path:
    """Return the file of a unit."""
    return Path(folder) / f"{unit.label}.pickle"


def solve_unit(folder: str, unit: Unit, kw: np.ndarray) -> None:
    """Solve a unit with OpenDSS and write its file.

    The same plan, unit and power give the same bytes, whatever was solved before.
    """
    solution = _by_opendss(folder, unit, kw)
    arrays = {item.name: getattr(solution, item.name) for item in fields(Solution)}
    save_arrays(unit_file(folder, unit), arrays)


class Comparison(NamedTuple):
    """How the batch engine compares with OpenDSS on some units.

    Parameters
    ----------
    units, steps
        How many were solved by both.
    other_state
        Steps in which taps, banks or validity are not the same.
    v_pu, loading_pct, flow_kw
        Largest difference in the other steps.
    """

    units: int
    steps: int
    other_state: int
    v_pu: float
    loading_pct: float
    flow_kw: float


def compare_engines(folder: str, power: Power) -> Comparison | str:
    """Solve units with both engines and compare all steps.

    Returns
    -------
    Comparison or str
        Why the batch engine cannot represent the model, if it cannot.
    """
    try:
        _batch_runner(folder)
    except FeederError as error:
        return str(error)
    largest = dict.fromkeys(("v_pu", "loading_pct", "flow_kw"), 0.0)
    steps = other = 0
    for unit, kw in power.items():
        reference, (found,) = _by_opendss(folder, unit, kw), by_batch(folder, {unit: kw})
        same = (reference.reason == found.reason) & np.array(
            [
                np.allclose(one, two, atol=_SAME_TAP)
                for one, two in zip(reference.taps, found.taps, strict=True)
            ]
        )
        same &= (reference.capacitor_steps == found.capacitor_steps).all(axis=1)
        steps += len(same)
        other += int((~same).sum())
        kept = same & reference.valid
        for name, value in largest.items():
            apart = np.abs(getattr(reference, name)[kept] - getattr(found, name)[kept])
            largest[name] = float(max(value, np.nanmax(apart, initial=0.0)))
    return Comparison(len(power), steps, other, **largest)


def load_unit(path: Path) -> Solution:
    """Load what :func:`solve_unit` wrote."""
    return Solution(**load_arrays(path))


def lost_solution(template: Solution, reason: int) -> Solution:
    """Return a solution of the same shape without a number in it, for a unit that was lost."""
    blank: dict[str, Any] = {
        item.name: np.full_like(getattr(template, item.name), np.nan)
        for item in fields(Solution)
        if getattr(template, item.name).dtype.kind == "f"
    }
    changes = {name: getattr(template, name)[:0] for name in ("sudden_step", "sudden_kind")}
    return replace(
        template,
        **blank | changes | {"sudden_pu": template.sudden_pu[:0]},
        reason=np.full_like(template.reason, reason),
    )


def power_of(
    kw: Mapping[tuple[str, str], np.ndarray], calendar: Calendar, units: Iterable[Unit]
) -> Power:
    """Return the power of units, as views into the runs' ``[draw, point, step]``."""
    return {
        unit: kw[unit.policy, unit.case][unit.draw][:, calendar.day_slice(unit.day)]
        for unit in units
    }


def plan_units(kw: Mapping[tuple[str, str], np.ndarray], calendar: Calendar) -> dict[Unit, Unit]:
    """Return every unit with the unit that is solved for it, day by day.

    Units of a day with the same injections have the same solution, which is solved once: an export
    run in a season without events is its managed run, and without vehicles all are ``no_ev``.
    """
    found: dict[Unit, Unit] = {}
    for day in range(len(calendar.days)):
        first: dict[str, Unit] = {}
        for (policy, case), array in kw.items():
            for draw in range(len(array)):
                unit = Unit(day, str(policy), str(case), draw)
                part = np.ascontiguousarray(array[draw][:, calendar.day_slice(day)]) + 0.0
                found[unit] = first.setdefault(hashlib.sha256(part.tobytes()).hexdigest(), unit)
    return found
