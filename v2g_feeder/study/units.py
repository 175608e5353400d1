"""Units of work: one day of one (policy, case, draw), solved in a worker, one file each."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from v2g_feeder.conventions import Policy
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.powerflow.opendss import Circuit, Runner
from v2g_feeder.powerflow.solution import Solution
from v2g_feeder.store import load_arrays, save_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.calendar import Calendar

__all__ = ["Plan", "Unit", "load_solution", "plan_units", "solve_unit", "write_plan"]

_PLAN = "plan.pickle"


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
        """Name of the unit's file and in messages."""
        return f"d{self.day:03d}_{self.policy}_{self.case}_{self.draw:04d}"


@dataclass(frozen=True)
class Plan:
    """What the workers of a study share.

    Parameters
    ----------
    circuit
        The feeder with its connection points.
    reverse_limits_kw
        Reverse-flow limits by element.
    kw
        Injections by (policy, case), ``[draw, point, step]``.
    """

    circuit: Circuit
    reverse_limits_kw: Mapping[str, float]
    kw: Mapping[tuple[str, str], np.ndarray]


def write_plan(plan: Plan, folder: Path) -> None:
    """Write a plan where the workers of this study find it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _PLAN).write_bytes(pickle.dumps(plan))


@lru_cache(maxsize=1)
def _runner(folder: str) -> tuple[Plan, Runner]:
    """Return this process's runner of a plan; the circuit is loaded once."""
    plan: Plan = pickle.loads((Path(folder) / _PLAN).read_bytes())  # noqa: S301  # our own file
    return plan, Runner(shared_engine(), plan.circuit, plan.reverse_limits_kw)


def solve_unit(folder: str, unit: Unit) -> str:
    """Solve a unit and write its file; returns the file's path.

    The same plan and unit give the same bytes, whatever was solved before.
    """
    plan, runner = _runner(folder)
    steps = runner.circuit.steps_per_day
    day = slice(unit.day * steps, (unit.day + 1) * steps)
    kw = plan.kw[unit.policy, unit.case][unit.draw][:, day]
    solution = runner.run(day.start, kw, sudden=unit.policy == Policy.EXPORT)
    path = Path(folder) / f"{unit.label}.npz"
    save_arrays(path, {item.name: getattr(solution, item.name) for item in fields(Solution)})
    return str(path)


def load_solution(path: Path) -> Solution:
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
