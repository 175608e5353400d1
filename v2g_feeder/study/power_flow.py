"""The power-flow stage of a study: units solved in worker processes and folded day by day.

The batch engine is used where it can represent the model exactly. A sample of units is then solved
by both engines; if they do not agree, OpenDSS solves the whole study. So does it every unit that
the batch engine lost.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from v2g_feeder.conventions import SPLIT_PHASES
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.study.days import day_file, load_day, read_files, solve_day
from v2g_feeder.study.fleet_stage import runs_of
from v2g_feeder.study.reduce import Reduced, StudyReducer
from v2g_feeder.study.units import (
    Comparison,
    Plan,
    Power,
    Unit,
    compare_engines,
    plan_units,
    power_of,
    solve_unit,
    unit_file,
    write_plan,
)
from v2g_feeder.workers import Outcome, run_units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from v2g_feeder.powerflow.opendss import Circuit
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.day_reader import DayReader
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage
    from v2g_feeder.workers import WorkerPool

__all__ = ["DayReducer", "EngineUse", "may_take_batch", "solve_runs", "solve_study"]

DEADLINE_S: Final = 600.0
"""Longest time that one unit may take."""
_CHECK: Final = "check"
_LARGE: Final = 5_000_000  # node-steps: OpenDSS solves as many in about ten seconds
_SHARE_OTHER: Final = 0.01  # of the steps compared may end in other taps, on a band's very edge
_V_PU, _LOADING_PCT = 2e-6, 0.02  # largest difference at equal taps; results are single precision


@dataclass(frozen=True)
class EngineUse:
    """Which engine solved a study.

    Parameters
    ----------
    name
        ``batch`` or ``opendss``.
    why
        Why OpenDSS, where it was not chosen.
    comparison
        Of the batch engine with OpenDSS, if any was made.
    by_opendss
        Units that OpenDSS solved in place of the batch engine.
    """

    name: str
    why: str = ""
    comparison: Comparison | None = None
    by_opendss: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return this for ``summary.json``."""
        found = asdict(self) | {"by_opendss": list(self.by_opendss)}
        if self.comparison is not None:
            found["comparison"] = self.comparison._asdict()
        return found


class DayReducer(Protocol):
    """Whoever folds the days of a calendar."""

    def begin(self) -> None:
        """Get ready, while the first days are being solved."""

    def add_day(self, day: int, found: Any) -> None:
        """Take what the reader of the plan found in a day."""


class _Days:
    """Hands days to the reducer, in the order of the calendar, once all their units are there."""

    def __init__(
        self,
        reducer: DayReducer,
        reader: DayReader,
        same_as: Mapping[Unit, Unit],
        tell: Callable[[int], None],
    ) -> None:
        self._reducer, self._reader, self._tell = reducer, reader, tell
        self.same_as: dict[int, dict[Unit, Unit]] = {}
        """Units of each day, with the unit that is solved for each."""
        for unit, solved in same_as.items():
            self.same_as.setdefault(unit.day, {})[unit] = solved
        self._waiting = Counter(unit.day for unit in dict.fromkeys(same_as.values()))
        self._next = self._done = 0
        self._read: dict[int, Path] = {}
        self._solved: dict[Unit, Path] = {}
        self.lost: dict[str, str] = {}
        self._begun = False
        tell(0)

    def begin(self) -> None:
        """Let the reducer get ready; call it when workers have something to do."""
        if not self._begun:
            self._reducer.begin()
        self._begun = True

    def add(self, unit: Unit, file: Path, lost: str = "") -> None:
        """Note a unit that is solved, in a file, or lost for a reason."""
        if lost:
            self.lost[unit.label] = lost
        else:
            self._solved[unit] = file
        self._count(unit.day, 1)

    def add_day(self, day: int, file: Path) -> None:
        """Note a day that is solved and read, in a file."""
        self._read[day] = file
        self._count(day, self._waiting[day])

    def _count(self, day: int, units: int) -> None:
        """Count units, and hand on the days that are whole."""
        self._waiting[day] -= units
        while self._next in self._waiting and not self._waiting[self._next]:
            file = self._read.get(self._next)
            if file is None:
                found = read_files(self._reader, self.same_as[self._next], self._solved)
            else:
                found = load_day(file)
            self._reducer.add_day(self._next, found)
            self._next += 1
        self._done += units
        self._tell(self._done)


def solve_study(
    study: Study,
    feeder: FeederStage,
    fleet: FleetStage,
    circuit: Circuit,
    into: tuple[Path, Path],
    workers: int | WorkerPool,
    tell: Callable[[str, int, int], None],
    meanwhile: Callable[[], object],
) -> tuple[Reduced, EngineUse]:
    """Solve all units and reduce them, a day at a time.

    Parameters
    ----------
    study, feeder, fleet
        The study and its stages before this one.
    circuit
        The feeder with the fleet's connection points.
    into
        Result folder, and the one for the plan and what workers write.
    workers
        Number of worker processes, or those of :func:`~v2g_feeder.workers.worker_pool`.
    tell
        Called with stage, done and total.
    meanwhile
        Called once workers have something to do.

    Returns
    -------
    Reduced
        What is left of the solutions.
    EngineUse
        Which engine they are from.
    """
    out, folder = into
    reducer = StudyReducer(study, feeder, fleet, out, meanwhile)
    plan = Plan(circuit, study.limits.reverse_flow_kw, reducer.reader)

    def told(done: int, total: int) -> None:
        tell("power flow", done, total)

    try:
        use, lost = solve_runs(study, feeder, (plan, fleet.kw), (reducer, folder), workers, told)
    finally:
        reducer.close()
    return reducer.reduced(lost), use


def solve_runs(
    study: Study,
    feeder: FeederStage,
    work: tuple[Plan, Mapping[tuple[str, str], np.ndarray]],
    into: tuple[DayReducer, Path],
    workers: int | WorkerPool,
    tell: Callable[[int, int], None],
) -> tuple[EngineUse, dict[str, str]]:
    """Solve all units of some runs, and hand them on day by day.

    What an interrupted run has left in the folder is not solved again.

    Parameters
    ----------
    study, feeder
        The study and its feeder.
    work
        What workers share, and injections by (policy, case), ``[draw, point, step]``; as results
        keep them, in single precision.
    into
        Who takes what was read, and the folder for the plan and what workers write.
    workers
        Number of worker processes, or those of :func:`~v2g_feeder.workers.worker_pool`.
    tell
        Called with units done and total.

    Returns
    -------
    EngineUse
        Which engine they are from.
    dict
        Units that were lost, with the reason.
    """
    (plan, kw), (reducer, folder) = work, into
    write_plan(plan, folder)
    same_as = plan_units(kw, study.calendar)
    power = power_of(kw, study.calendar, same_as.values())
    days = _Days(reducer, plan.reader, same_as, lambda done: tell(done, len(power)))
    use = _chosen(study, feeder, len(power))
    left = list(power)
    if use.name == "batch":
        use, left = _by_batch(study, power, (days, folder), workers)
    files = {unit: unit_file(folder, unit) for unit in left}
    kept = {unit for unit in left if files[unit].is_file()}
    jobs = [(unit, (str(folder), unit, power[unit])) for unit in left if unit not in kept]
    outcomes = run_units(solve_unit, jobs, workers=workers, deadline_s=DEADLINE_S)
    days.begin()
    for unit in sorted(kept):
        days.add(unit, files[unit])
    for outcome in outcomes:
        days.add(outcome.key, files[outcome.key], outcome.lost)
    return use, days.lost


def may_take_batch(study: Study, feeder: FeederStage) -> bool:
    """Whether the batch engine may be begun with, before it is known which units are alike."""
    draws = max(study.content.draws, len(SPLIT_PHASES))
    units = len(study.calendar.days) * len(runs_of(study)) * draws
    return _chosen(study, feeder, units).name == "batch"


def _chosen(study: Study, feeder: FeederStage, units: int) -> EngineUse:
    """Return the engine to begin with: the batch engine where the study asks for it or is large."""
    engine = study.content.power_flow.engine
    size = units * study.calendar.steps_per_day * len(feeder.feeder.nodes)
    if engine == "auto" and size < _LARGE:
        return EngineUse("opendss", f"{size / 1e6:.2g} million node-steps are few")
    return EngineUse("opendss" if engine == "opendss" else "batch")


def _by_batch(
    study: Study,
    power: Power,
    into: tuple[_Days, Path],
    workers: int | WorkerPool,
) -> tuple[EngineUse, list[Unit]]:
    """Solve what the batch engine can and has not solved; return what is left to OpenDSS.

    A sample is solved by both engines first. Nothing is handed on before they agree, nor anything
    that an interrupted run has left: where they do not, all is OpenDSS's.
    """
    (days, folder), units = into, list(power)
    count = study.content.power_flow.check_units
    picked = np.random.default_rng(study.content.seed).permutation(len(units))[:count]
    sample = {units[number]: power[units[number]] for number in sorted(picked)}
    jobs: list[tuple[Any, tuple[Any, ...]]] = [(_CHECK, (str(folder), sample))]
    files = {day: day_file(folder, day) for day in days.same_as}
    ready = [day for day, file in files.items() if file.is_file()]
    jobs += [
        (day, (str(folder), {unit: power[unit] for unit in same_as.values()}, same_as))
        for day, same_as in days.same_as.items()
        if day not in ready
    ]
    blocks = max(-(-len(set(same_as.values())) // WIDTH) for same_as in days.same_as.values())
    outcomes = run_units(
        _job,
        jobs if sample else jobs[1:],
        workers=workers,
        deadline_s=blocks * DEADLINE_S,
    )
    days.begin()
    use: EngineUse | None = None if sample else EngineUse("batch")
    left: list[Unit] = []
    for outcome in outcomes:
        if outcome.key == _CHECK:
            use = _judged(outcome)
            if use.name == "opendss":
                return use, units
        elif outcome.lost or outcome.result:
            left += dict.fromkeys(days.same_as[outcome.key].values())
        else:
            ready.append(outcome.key)
        while use and ready:
            day = ready.pop(0)
            days.add_day(day, files[day])
    for day in ready:  # no job was left
        days.add_day(day, files[day])
    by_opendss = tuple(unit.label for unit in sorted(left))
    return EngineUse("batch", "", use.comparison if use else None, by_opendss), left


def _job(folder: str, power: Power, same_as: Mapping[Unit, Unit] | None = None) -> Comparison | str:
    """Compare both engines on units, or solve and read those of a day; in a worker."""
    if same_as is None:
        return compare_engines(folder, power)
    return solve_day(folder, power, same_as)


def _judged(outcome: Outcome[Comparison | str]) -> EngineUse:
    """Return which engine the study is solved with, from the comparison of both."""
    found = outcome.result
    if found is None:
        return EngineUse("opendss", f"the comparison of both engines was lost: {outcome.lost}")
    if isinstance(found, str):
        return EngineUse("opendss", found)
    if found.other_state > _SHARE_OTHER * found.steps:
        why = f"taps, banks or validity differ in {found.other_state} of {found.steps} steps"
        return EngineUse("opendss", why, found)
    if found.v_pu > _V_PU or found.loading_pct > _LOADING_PCT:
        why = f"voltages differ by {found.v_pu:.1e} pu, loadings by {found.loading_pct:.1e} %"
        return EngineUse("opendss", why, found)
    return EngineUse("batch", "", found)
