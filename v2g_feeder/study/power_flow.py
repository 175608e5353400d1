"""The power-flow stage of a study: units solved in worker processes and folded day by day.

The batch engine is used where it can represent the model exactly. A sample of units is then solved
by both engines; if they do not agree, OpenDSS solves the whole study. So does it every unit that
the batch engine lost.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.study.reduce import Reduced, StudyReducer
from v2g_feeder.study.units import (
    Comparison,
    Unit,
    compare_engines,
    plan_units,
    solve_side_by_side,
    solve_unit,
)
from v2g_feeder.workers import run_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage

__all__ = ["EngineUse", "solve_study"]

DEADLINE_S: Final = 600.0
"""Longest time that one unit, or the preparation of a feeder, may take."""
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


class _Folder:
    """Hands days to the reducer, in the order of the calendar, once all their units are there."""

    def __init__(self, reducer: StudyReducer, same_as: dict[Unit, Unit], folder: Path) -> None:
        self._reducer, self._same_as, self._folder = reducer, same_as, folder
        self._waiting = Counter(unit.day for unit in dict.fromkeys(same_as.values()))
        self._next = 0
        self.lost: dict[str, str] = {}

    def add(self, units: Iterable[Unit], lost: str = "") -> None:
        """Note units that are solved, or lost for a reason."""
        for unit in units:
            self._waiting[unit.day] -= 1
            if lost:
                self.lost[unit.label] = lost
        while self._next in self._waiting and not self._waiting[self._next]:
            self._reducer.add_day(self._next, self._same_as, self._folder, self.lost)
            self._next += 1


def solve_study(
    study: Study,
    feeder: FeederStage,
    fleet: FleetStage,
    out: Path,
    folder: Path,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> tuple[Reduced, EngineUse]:
    """Solve all units and reduce them, a day at a time.

    Parameters
    ----------
    study, feeder, fleet
        The study and its stages before this one.
    out
        Result folder.
    folder
        Where the plan is and the units' files go.
    workers
        Worker processes.
    tell
        Called with stage, done and total.

    Returns
    -------
    Reduced
        What is left of the solutions.
    EngineUse
        Which engine they are from.
    """
    same_as = plan_units(fleet.kw, study.calendar)
    units = list(dict.fromkeys(same_as.values()))
    section = study.content.power_flow
    use = EngineUse("opendss") if section.engine == "opendss" else EngineUse("batch")
    if use.name == "batch" and feeder.batch_refusal:
        use = EngineUse("opendss", feeder.batch_refusal)
    if use.name == "batch" and section.check_units:
        use = _compared(folder, units, section.check_units, study.content.seed)
    reducer = StudyReducer(study, feeder, fleet, out)
    days = _Folder(reducer, same_as, folder)
    tell("power flow", 0, len(units))
    done = 0
    try:
        left = units
        if use.name == "batch":
            left = []
            jobs = [(group, (str(folder), group)) for group in _side_by_side(units)]
            for outcome in run_units(
                solve_side_by_side, jobs, workers=workers, deadline_s=DEADLINE_S
            ):
                if outcome.lost:
                    left += outcome.key
                    continue
                days.add(outcome.key)
                done += len(outcome.key)
                tell("power flow", done, len(units))
            use = EngineUse(
                use.name, use.why, use.comparison, tuple(unit.label for unit in sorted(left))
            )
        work = [(unit, (str(folder), unit)) for unit in left]
        for outcome in run_units(solve_unit, work, workers=workers, deadline_s=DEADLINE_S):
            days.add([outcome.key], outcome.lost)
            done += 1
            tell("power flow", done, len(units))
    finally:
        reducer.close()
    return reducer.reduced(days.lost), use


def _side_by_side(units: Iterable[Unit]) -> list[tuple[Unit, ...]]:
    """Return units of one day each, as many as the batch engine takes at a time."""
    by_day: dict[int, list[Unit]] = {}
    for unit in units:
        by_day.setdefault(unit.day, []).append(unit)
    return [
        tuple(mine[first : first + WIDTH])
        for mine in by_day.values()
        for first in range(0, len(mine), WIDTH)
    ]


def _compared(folder: Path, units: list[Unit], count: int, seed: int) -> EngineUse:
    """Solve a sample with both engines; where they do not agree, the study is OpenDSS's."""
    picked = np.random.default_rng(seed).permutation(len(units))[:count]
    sample = [units[number] for number in sorted(picked)]
    work = [("", (str(folder), sample))]
    (outcome,) = run_units(compare_engines, work, workers=1, deadline_s=DEADLINE_S)
    if outcome.lost:
        return EngineUse("opendss", f"the comparison of both engines was lost: {outcome.lost}")
    found: Comparison = outcome.result  # type: ignore[assignment]
    if found.other_state > _SHARE_OTHER * found.steps:
        why = f"taps, banks or validity differ in {found.other_state} of {found.steps} steps"
        return EngineUse("opendss", why, found)
    if found.v_pu > _V_PU or found.loading_pct > _LOADING_PCT:
        why = f"voltages differ by {found.v_pu:.1e} pu, loadings by {found.loading_pct:.1e} %"
        return EngineUse("opendss", why, found)
    return EngineUse("batch", "", found)
