"""Days of a capacity search, and the answers solved again, each in a worker process."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import UnitError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.hosting import Curtailment
from v2g_feeder.hosting.base import FeederInConditions
from v2g_feeder.hosting.nodal import Found, Nodal
from v2g_feeder.hosting.recheck import Recheck, Verdict
from v2g_feeder.powerflow.opendss import Runner
from v2g_feeder.store import load_arrays, save_arrays
from v2g_feeder.workers import run_units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from v2g_feeder.hosting import Conditions, Search
    from v2g_feeder.hosting.base import BaseState
    from v2g_feeder.powerflow.opendss import Circuit
    from v2g_feeder.screening import Limits

__all__ = [
    "HostingPlan",
    "check_day",
    "checked_days",
    "curtail_day",
    "curtailed_days",
    "day_file",
    "load_check",
    "load_curtailed",
    "load_day",
    "run_days",
    "solve_day",
    "solved_days",
    "write_checked",
    "write_hosting_plan",
]

_PLAN, _CHECKED = "hosting.pickle", "checked.pickle"
_DAY_DEADLINE_S: Final = 6 * 3600.0


@dataclass(frozen=True)
class HostingPlan:
    """What the workers of a search share.

    Parameters
    ----------
    circuit
        The feeder with its conditions' commands, without connection points.
    points
        Candidates.
    conditions, limits, search
        Settings.
    seasons
        Of each day.
    """

    circuit: Circuit
    points: pd.DataFrame
    conditions: Conditions
    limits: Limits
    search: Search
    seasons: Sequence[str]


def write_hosting_plan(plan: HostingPlan, folder: Path) -> None:
    """Write a plan where the workers find it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _PLAN).write_bytes(pickle.dumps(plan))


@lru_cache(maxsize=1)
def _nodal(folder: str) -> tuple[HostingPlan, Nodal]:
    """Return this process's search of a plan; the circuit is loaded once."""
    plan: HostingPlan = pickle.loads((Path(folder) / _PLAN).read_bytes())  # noqa: S301  # our own
    runner = Runner(shared_engine(), plan.circuit, plan.limits.reverse_flow_kw)
    grid = FeederInConditions(runner, plan.conditions)
    return plan, Nodal(grid, plan.points, plan.limits, plan.search)


def day_file(folder: str | Path, day: int, kind: str = "found") -> Path:
    """Return the file of one kind of answer for a day."""
    return Path(folder) / f"{kind}-{day}.pickle"


def run_days(
    stage: str,
    function: Callable[..., None],
    jobs: Sequence[tuple[Any, tuple[Any, ...]]],
    lost: Callable[[Any], str],
    *,
    total: int,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> None:
    """Solve days in worker processes, each into its file, and tell how far it is.

    Parameters
    ----------
    stage
        Of the progress.
    function
        Writes the file of a day.
    jobs
        Pairs of (key, arguments): the days that have no file yet.
    lost
        Says what a key's day holds, for an error.
    total
        All days, those that have a file included.
    workers, tell
        Worker processes; called with stage, done and total.

    Raises
    ------
    UnitError
        If a day was lost.
    """
    there = total - len(jobs)
    tell(stage, there, total)
    outcomes = run_units(function, jobs, workers=workers, deadline_s=_DAY_DEADLINE_S)
    for done, outcome in enumerate(outcomes, there + 1):
        if outcome.lost:
            raise UnitError(f"{lost(outcome.key)} was lost: {outcome.lost}")
        tell(stage, done, total)


def _days(folder: Path, kind: str) -> set[int]:
    """Return the days that have a file."""
    return {int(path.stem.rpartition("-")[2]) for path in folder.glob(f"{kind}-*.pickle")}


def solved_days(folder: Path) -> set[int]:
    """Return the days that :func:`solve_day` has written."""
    return _days(folder, "found")


def checked_days(folder: Path) -> set[int]:
    """Return the days that :func:`check_day` has written."""
    return _days(folder, "check")


def solve_day(folder: str, day: int) -> None:
    """Search a day and write its file."""
    plan, nodal = _nodal(folder)
    found = nodal.day(day * plan.circuit.steps_per_day, plan.seasons[day])
    save_arrays(
        day_file(folder, day), {item.name: getattr(found, item.name) for item in fields(Found)}
    )


def load_day(folder: Path, day: int) -> Found:
    """Load what :func:`solve_day` wrote."""
    return Found(**load_arrays(day_file(folder, day)))


def curtail_day(folder: str, day: int, kw: np.ndarray) -> None:
    """Find what chargers of ``kw`` at the candidates lose to their curves on a day; write it."""
    plan, nodal = _nodal(folder)
    found = Curtailment(nodal.grid, plan.points).day(day * plan.circuit.steps_per_day, kw)
    save_arrays(day_file(folder, day, "curtailed"), {"curtailed_kw": found})


def curtailed_days(folder: Path) -> set[int]:
    """Return the days that :func:`curtail_day` has written."""
    return _days(folder, "curtailed")


def load_curtailed(folder: Path, day: int) -> np.ndarray:
    """Load what :func:`curtail_day` wrote, kW, ``[step, candidate]``."""
    return np.asarray(load_arrays(day_file(folder, day, "curtailed"))["curtailed_kw"])


def write_checked(points: pd.DataFrame, folder: Path) -> None:
    """Write the candidates that OpenDSS solves again where the workers find them."""
    (folder / _CHECKED).write_bytes(pickle.dumps(points))


@lru_cache(maxsize=1)
def _recheck(folder: str) -> Recheck:
    """Return this process's OpenDSS with a load at every point that is checked."""
    plan, _ = _nodal(folder)
    points = pickle.loads((Path(folder) / _CHECKED).read_bytes())  # noqa: S301  # our own
    engine, events = shared_engine(), plan.search.events
    return Recheck(engine, plan.circuit, points, plan.conditions, plan.limits, events)


@lru_cache(maxsize=2)
def _base(folder: str, day: int) -> list[BaseState]:
    """Return the base states of a day."""
    plan, nodal = _nodal(folder)
    return nodal.grid.day(day * plan.circuit.steps_per_day, (), 0.0)


def check_day(folder: str, day: int, rows: pd.DataFrame) -> None:
    """Solve rows of a day's table again with OpenDSS, and write how they come out, in their order.

    Parameters
    ----------
    folder, day
        As of :func:`solve_day`.
    rows
        Of the capacity table, in the order of their steps.
    """
    plan, nodal = _nodal(folder)
    check = _recheck(folder)
    states = {state.step: state for state in _base(folder, day)}
    parts = nodal.parts(plan.seasons[day])
    verdicts = [
        check.verdict(row, states[int(row["step"])], parts, nodal.grid.solver.place)
        for _, row in rows.iterrows()
    ]
    columns = zip(Verdict._fields, zip(*verdicts, strict=True), strict=True)
    save_arrays(
        day_file(folder, day, "check"), {name: np.array(values) for name, values in columns}
    )


def load_check(folder: Path, day: int) -> pd.DataFrame:
    """Load what :func:`check_day` wrote, a row an answer."""
    return pd.DataFrame(load_arrays(day_file(folder, day, "check")))
