"""A day of a study as its workers see it: the units solved for its runs, and who reads them.

The batch engine solves all units of a day side by side, and the same worker reads them, so that
only what was read leaves it. Units that OpenDSS solves come one by one, in files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2g_feeder.errors import FeederError
from v2g_feeder.powerflow.solution import Reason, Solution
from v2g_feeder.store import load_arrays, save_arrays
from v2g_feeder.study.units import Power, Unit, by_batch, load_unit, lost_solution, plan_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.powerflow.solution import Observed
    from v2g_feeder.study.day_reader import DayReader, Runs

__all__ = ["day_file", "load_day", "read_files", "solve_day"]


def day_file(folder: str | Path, day: int) -> Path:
    """Return the file of what was read of a day."""
    return Path(folder) / f"d{day:03d}.pickle"


def solve_day(folder: str, power: Power, same_as: Mapping[Unit, Unit]) -> str:
    """Solve a day with the batch engine and write what its reader finds; in a worker.

    The same plan and power give the same numbers, whatever was solved before.

    Parameters
    ----------
    folder
        Where the plan is and the file goes.
    power
        Of the units that are solved.
    same_as
        The unit that is solved for each unit of the day.

    Returns
    -------
    str
        Why the batch engine cannot represent the model; empty if it can.
    """
    try:
        found = dict(zip(power, by_batch(folder, power), strict=True))
    except FeederError as error:
        return str(error)
    runs = _runs(plan_of(folder).reader, same_as, found)
    found.clear()
    day = next(iter(power)).day
    save_arrays(day_file(folder, day), {"found": plan_of(folder).reader.read(day, runs)})
    return ""


def load_day(file: Path) -> Any:
    """Load what :func:`solve_day` wrote."""
    return load_arrays(file)["found"]


def read_files(reader: DayReader, same_as: Mapping[Unit, Unit], files: Mapping[Unit, Path]) -> Any:
    """Read a day whose units are solved, each in its file, or lost.

    The files stay, for a run that goes on after this one was interrupted.
    """
    units = dict.fromkeys(same_as.values())
    found = {unit: load_unit(files[unit]) for unit in units if unit in files}
    return reader.read(next(iter(units)).day, _runs(reader, same_as, found))


def _runs(reader: DayReader, same_as: Mapping[Unit, Unit], found: Mapping[Unit, Solution]) -> Runs:
    """Return the solutions of a day by run; no number is known of those that were not found."""
    runs: Runs = {}
    like = next(iter(found.values()), None) or _blank(reader.observed, reader.steps_per_day)
    for unit, solved in same_as.items():
        solution = found.get(solved) or lost_solution(like, Reason.CRASHED)
        runs.setdefault((unit.policy, unit.case), []).append(solution)
    return runs


def _blank(observed: Observed, steps: int) -> Solution:
    """Return a solution without a number in it."""
    places = {
        "v_pu": len(observed.voltages),
        "loading_pct": len(observed.elements),
        "flow_kw": len(observed.flows),
        "taps": len(observed.regulators),
    }
    by_step = np.full(steps, np.nan, np.float32)
    return Solution(
        **{name: np.full((steps, size), np.nan, np.float32) for name, size in places.items()},
        head_kw=by_step,
        head_kvar=by_step,
        losses_kw=by_step,
        reason=np.zeros(steps, np.uint8),
        sudden_step=np.zeros(0, np.int16),
        sudden_kind=np.zeros(0, np.uint8),
        sudden_pu=np.zeros((0, len(observed.voltages)), np.float32),
    )
