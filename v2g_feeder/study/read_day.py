"""What a study keeps of a day: rows of broken limits, packed arrays, extremes. Read by a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.conventions import (
    NO_DRAW,
    SPLIT_PHASES,
    Case,
    Policy,
    reference_of,
    without_chance,
)
from v2g_feeder.powerflow.solution import stacked
from v2g_feeder.screening import keyed, reverse_kw, table_of
from v2g_feeder.store import ContentHash
from v2g_feeder.study.chunks import Chunk, chunks_of
from v2g_feeder.study.day_reader import DayReader

if TYPE_CHECKING:
    import pandas as pd

    from v2g_feeder.powerflow.solution import Solution
    from v2g_feeder.screening import Reading, Screen
    from v2g_feeder.study.day_reader import Runs

    Run = tuple[str, str]
    Columns = dict[str, np.ndarray]

__all__ = ["DayFound", "RunFound", "StudyReader"]


@dataclass(frozen=True)
class RunFound:
    """What was read of one day of one run.

    Parameters
    ----------
    chunks
        Its arrays, packed for ``results.nc``.
    head_kw, curtailed_kw
        ``[draw, step]``, NaN where invalid; the second empty where no charger follows a curve.
    reason
        ``[draw, step]``.
    extremes
        ``v_min``, ``v_max`` and ``loading_max`` by place; empty where no step is valid.
    reverse
        By watched place: ``reverse_kw``, ``reverse_hours`` and ``first_step`` of the calendar.
    """

    chunks: list[Chunk]
    head_kw: np.ndarray
    curtailed_kw: np.ndarray
    reason: np.ndarray
    extremes: dict[str, np.ndarray]
    reverse: dict[str, np.ndarray]


@dataclass
class DayFound:
    """What was read of a day.

    Parameters
    ----------
    runs
        By (policy, case).
    against_reference, against_none
        Rows of broken limits, with the keys of the study.
    content
        Hashes of the arrays.
    split
        Exporting phase that was kept for ``coincident_split``; empty if that was not run.
    unobserved
        Criteria with a limit that could not be screened.
    """

    runs: dict[Run, RunFound] = field(default_factory=dict)
    against_reference: list[pd.DataFrame] = field(default_factory=list)
    against_none: list[pd.DataFrame] = field(default_factory=list)
    content: ContentHash = field(default_factory=ContentHash)
    split: str = ""
    unobserved: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class StudyReader(DayReader):
    """Reads a day of a study.

    Parameters
    ----------
    stored
        How many draws' arrays are kept.
    """

    stored: int

    def read(self, day: int, runs: Runs) -> DayFound:
        """Read a day; runs that share their solutions are read once."""
        season, screen, found = str(self.calendar.days[day].season), self.screen(), DayFound()
        split = (str(Policy.EXPORT), str(Case.COINCIDENT_SPLIT))
        if split in runs:
            worst = _worst_split(screen, season, runs[split])
            runs[split], found.split = [runs[split][worst]], SPLIT_PHASES[worst]
        _hash(found.content, day, runs)
        names = {run: tuple(id(one) for one in mine) for run, mine in runs.items()}
        first: dict[tuple[int, ...], tuple[Reading, RunFound]] = {}
        for run, name in names.items():
            solutions = runs.pop(run)  # a day's arrays are large: held once
            if name not in first:
                reading = screen.read(stacked(solutions), season=season)
                first[name] = reading, self._run(day, solutions, reading.solution)
            found.runs[run] = first[name][1]
        self._judge(day, {run: first[name][0] for run, name in names.items()}, found)
        for reading, _ in first.values():
            found.unobserved.update(map(str, screen.unobserved(reading.solution)))
        return found

    def _judge(self, day: int, read: dict[Run, Reading], found: DayFound) -> None:
        """Screen every run, all its draws at once, against its reference and against no EVs."""
        none = read[Policy.NO_EV, Case.EXPECTED]
        done: dict[tuple[int, int], Columns] = {}

        def against(reading: Reading, beside: Reading | None) -> Columns:
            pair = id(reading), id(beside)
            if pair not in done:
                done[pair] = reading.against(beside)
            return done[pair]

        rows: list[Columns] = []
        rows_none: list[Columns] = []
        for run, reading in read.items():
            reference = reference_of(*run)
            beside = read.get(reference) if reference else None
            rows.append(self._keyed(day, run, against(reading, beside)))
            if reference is not None:
                rows_none.append(self._keyed(day, run, against(reading, none)))
        found.against_reference, found.against_none = (
            [table_of(parts)] if parts else [] for parts in (rows, rows_none)
        )

    def _keyed(self, day: int, run: Run, rows: Columns) -> Columns:
        """Return rows of a stack of draws with the keys of the study."""
        draw, step = np.divmod(rows["step"], self.steps_per_day)
        return keyed(
            rows | {"step": step},
            policy=run[0],
            case=run[1],
            draw=NO_DRAW if without_chance(*run) else draw,
            calendar=self.calendar,
            step=day * self.steps_per_day,
        )

    def _run(self, day: int, solutions: list[Solution], whole: Solution) -> RunFound:
        """Return arrays, head kW, validity, extremes and reverse flow of one day of a run."""
        calendar, valid = self.calendar, whole.valid
        by_draw = (-1, calendar.steps_per_day)
        curtailed = whole.curtailed_kw
        if len(curtailed):
            curtailed = np.where(valid, curtailed, np.nan)
        extremes: dict[str, np.ndarray] = {}
        if valid.any():
            v_pu, loading = whole.v_pu, whole.loading_pct
            if not valid.all():
                v_pu, loading = v_pu[valid], loading[valid]
            extremes["v_min"], extremes["v_max"] = v_pu.min(axis=0), v_pu.max(axis=0)
            extremes["loading_max"] = loading.max(axis=0)
        return RunFound(
            chunks=chunks_of(solutions, self.stored),
            head_kw=np.where(valid, whole.head_kw, np.nan).reshape(by_draw),
            curtailed_kw=curtailed.reshape(by_draw),
            reason=whole.reason.reshape(by_draw),
            extremes=extremes,
            reverse=self._reverse(day, whole),
        )

    def _reverse(self, day: int, whole: Solution) -> dict[str, np.ndarray]:
        """Return the reverse flow of a day by watched place."""
        calendar, reverse = self.calendar, reverse_kw(whole)
        by_step = (reverse > 0).reshape(-1, calendar.steps_per_day, reverse.shape[1]).any(axis=0)
        first = by_step.argmax(axis=0) + calendar.day_slice(day).start
        return {
            "reverse_kw": reverse.max(axis=0, initial=0.0).astype(float),
            "reverse_hours": (reverse > 0).sum(axis=0) * calendar.step_hours,
            "first_step": np.where(by_step.any(axis=0), first, calendar.n_steps),
        }


def _worst_split(screen: Screen, season: str, solutions: list[Solution]) -> int:
    """Return the exporting phase with the most broken limits, then the highest voltage."""

    def harm(number: int) -> tuple[int, float]:
        rows = screen.rows(solutions[number], season=season)
        return len(rows), float(np.nanmax(solutions[number].v_pu, initial=0.0))

    return max(range(len(solutions)), key=harm)


def _hash(content: ContentHash, day: int, runs: Runs) -> None:
    """Add the arrays of a day to what the result says, once where runs share a unit."""
    seen: set[int] = set()
    for (policy, case), solutions in runs.items():
        for draw, solution in enumerate(solutions):
            if id(solution) not in seen:
                seen.add(id(solution))
                for name in ("v_pu", "loading_pct", "flow_kw", "reason"):
                    key = f"{day} {policy} {case} {draw} {name}"
                    content.add_array(key, getattr(solution, name))
