"""Folding a study's solutions, a day at a time, into tables and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.conventions import NO_DRAW, Case, Policy, reference_of, without_chance
from v2g_feeder.dispatch import LEDGER_ROWS
from v2g_feeder.powerflow.solution import Reason, Solution, stacked
from v2g_feeder.screening import (
    ALWAYS,
    Reducer,
    Screen,
    keyed,
    reverse_kw,
)
from v2g_feeder.store import ContentHash
from v2g_feeder.study.names import as_written, places_as_written
from v2g_feeder.study.results import ResultsFile
from v2g_feeder.study.units import Unit, load_solutions, lost_solution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from v2g_feeder.powerflow.solution import Observed
    from v2g_feeder.screening import Reading
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage

__all__ = ["Reduced", "StudyReducer", "take_day"]


@dataclass(frozen=True)
class Reduced:
    """What is left of a study's solutions after they were screened.

    Parameters
    ----------
    violations, violations_note
        Rows of ``violations.csv``, and a note if some were left out.
    hourly
        Rows of ``hourly.csv``.
    relief
        Harm and relief of each run against its reference.
    relief_no_ev
        The same against no EVs at all.
    reverse
        Reverse flow by run and watched place: largest kW, hours and first step.
    head_kw
        Head kW by run, ``[draw, step]``; NaN where invalid.
    curtailed_kw
        Export that the chargers' curves cut, by run, ``[draw, step]``; NaN where invalid. Empty
        where no charger follows a curve.
    extremes
        Lowest and highest voltage and highest loading by run and place, over steps and draws.
    validity
        Steps by run and reason.
    lost
        Units that crashed or overran, with the reason.
    split_phase
        Exporting phase that was kept for ``coincident_split``, by day.
    content
        Hash of arrays and tables so far.
    unobserved
        Criteria that have a limit and were not screened, since the engine does not observe them.
    """

    violations: pd.DataFrame
    violations_note: str
    hourly: pd.DataFrame
    relief: pd.DataFrame
    relief_no_ev: pd.DataFrame
    reverse: pd.DataFrame
    head_kw: dict[tuple[str, str], np.ndarray]
    curtailed_kw: dict[tuple[str, str], np.ndarray]
    extremes: dict[tuple[str, str], dict[str, np.ndarray]]
    validity: pd.DataFrame
    lost: dict[str, str]
    split_phase: dict[int, str]
    content: ContentHash
    unobserved: tuple[str, ...] = ()


class StudyReducer:
    """Folds the solutions of a day into tables and arrays."""

    def __init__(self, study: Study, feeder: FeederStage, fleet: FleetStage, out: Path) -> None:
        self._study, self._feeder, self._fleet = study, feeder, fleet
        self._draws = {
            run: 1 if run[1] == Case.COINCIDENT_SPLIT else len(kw) for run, kw in fleet.kw.items()
        }
        ratings = feeder.observed.elements.set_index("element")["rating_kva"].to_dict()
        hours = study.calendar.step_hours
        self._screen = Screen(
            feeder.observed, study.limits, steps_per_day=study.calendar.steps_per_day
        )
        criteria = tuple(dict.fromkeys((*ALWAYS, *self._screen.criteria)))
        self._against_reference = Reducer(ratings, step_hours=hours, criteria=criteria)
        self._against_none = Reducer(ratings, step_hours=hours, criteria=criteria)
        stored = study.content.draws if study.content.store == "all" else 1
        self._file = ResultsFile(
            out / "results.nc",
            study.calendar,
            places_as_written(feeder),
            self._draws,
            stored,
            [reason.name.lower() for reason in Reason],
        )
        steps = study.calendar.n_steps
        self._head = {run: np.full((draws, steps), np.nan) for run, draws in self._draws.items()}
        self._curtailed = (
            {run: np.full_like(kw, np.nan) for run, kw in self._head.items()}
            if study.content.chargers.settings().enabled
            else {}
        )
        self._reason = {run: np.zeros((draws, steps), int) for run, draws in self._draws.items()}
        self._extremes: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        self._reverse: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        self._split: dict[int, str] = {}
        self._unobserved: set[str] = set()
        self._content = ContentHash()
        self._write_fixed()

    def _write_fixed(self) -> None:
        """Write load shapes and ledger, which do not depend on power flow."""
        if self._curtailed:
            self._file.add_chargers(len(self._fleet.points))
        points = [as_written(str(bus), self._feeder.names) for bus in self._fleet.points["bus"]]
        for (policy, case), kw in self._fleet.kw.items():
            self._content.add_array(f"kw {policy} {case}", kw.astype(np.float32))
            if policy == Policy.NO_EV:
                continue
            first = "phase" if case == Case.COINCIDENT_SPLIT else "draw_all"
            name = f"ev_kw_{policy}_{case}"
            dims = (first if len(kw) > 1 else "draw_one", "point", "step")
            self._file.add_fixed(name, dims, kw, "kW, negative exports", "EV power by point")
        for (policy, case), book in self._fleet.shapes.ledger.items():
            self._content.add_array(f"ledger {policy} {case}", book.astype(np.float32))
            name = f"ledger_kw_{policy}_{case}"
            dims = ("draw_all" if len(book) > 1 else "draw_one", "ledger_row", "step")
            self._file.add_fixed(name, dims, book, "kW of nameplate", "ledger")
        base = self._feeder.circuit.base_load
        for name, values in (("base_p", base.p), ("base_q", base.q)):
            self._file.add_fixed(
                name, ("shape", "step"), values, "1", "multiplier of nominal load", dtype="f8"
            )
        self._file.add_labels("point", points)
        self._file.add_labels("day_label", [day.label for day in self._study.calendar.days])
        self._file.add_labels("ledger_row", LEDGER_ROWS)

    def add_day(self, day: int, same_as: Mapping[Unit, Unit], files: Mapping[Unit, Path]) -> None:
        """Take a day whose units are all solved or lost."""
        blank = (self._feeder.observed, self._study.calendar.steps_per_day)
        runs = take_day(day, same_as, files, blank)
        split = (Policy.EXPORT, Case.COINCIDENT_SPLIT)
        if split in runs:
            runs[split] = [self._worst_split(day, runs[split])]
        self._hash(day, runs)
        season = str(self._study.calendar.days[day].season)
        read: dict[tuple[str, str], Reading] = {}
        for run in tuple(runs):
            solutions = runs.pop(run)  # a day's arrays are large: held once
            self._file.write_day(run, day, solutions)
            read[run] = self._screen.read(stacked(solutions), season=season)
        for run, reading in read.items():
            self._judge(run, day, reading, read)
            self._note(run, day, reading.solution)

    def _worst_split(self, day: int, solutions: list[Solution]) -> Solution:
        """Return the exporting phase with the most broken limits, then the highest voltage."""

        def harm(solution: Solution) -> tuple[int, float]:
            season = str(self._study.calendar.days[day].season)
            rows = self._screen.rows(solution, season=season)
            highest = np.nanmax(solution.v_pu, initial=0.0)
            return len(rows), float(highest)

        worst = max(range(len(solutions)), key=lambda number: harm(solutions[number]))
        self._split[day] = "ABC"[worst]
        return solutions[worst]

    def _judge(
        self,
        run: tuple[str, str],
        day: int,
        reading: Reading,
        read: Mapping[tuple[str, str], Reading],
    ) -> None:
        """Screen one day of one run, all its draws at once."""
        reference = reference_of(*run)
        none = read[Policy.NO_EV, Case.EXPECTED]
        beside = read.get(reference) if reference else None
        self._unobserved.update(str(name) for name in self._screen.unobserved(reading.solution))
        rows = reading.against(beside)
        self._add(self._against_reference, rows, run, day)
        if reference is not None:
            rows = rows if beside is none else reading.against(none)
            self._add(self._against_none, rows, run, day)

    def _hash(self, day: int, runs: Mapping[tuple[str, str], list[Solution]]) -> None:
        """Add the arrays of a day to what the result says, once where runs share a unit."""
        seen: set[int] = set()
        for (policy, case), solutions in runs.items():
            for draw, solution in enumerate(solutions):
                if id(solution) not in seen:
                    seen.add(id(solution))
                    for name in ("v_pu", "loading_pct", "flow_kw", "reason"):
                        key = f"{day} {policy} {case} {draw} {name}"
                        self._content.add_array(key, getattr(solution, name))

    def _add(
        self, reducer: Reducer, rows: dict[str, np.ndarray], run: tuple[str, str], day: int
    ) -> None:
        """Give rows of a stack of draws to a reducer, with the keys of the study."""
        steps = self._study.calendar.steps_per_day
        draw, step = np.divmod(rows["step"], steps)
        reducer.add(
            keyed(
                rows | {"step": step},
                policy=run[0],
                case=run[1],
                draw=NO_DRAW if without_chance(*run) else draw,
                calendar=self._study.calendar,
                step=day * steps,
            )
        )

    def _note(self, run: tuple[str, str], day: int, whole: Solution) -> None:
        """Keep head kW, validity, extremes and reverse flow of one day of a run."""
        calendar = self._study.calendar
        steps, valid = calendar.day_slice(day), whole.valid
        by_draw = (-1, calendar.steps_per_day)
        head = np.where(valid, whole.head_kw, np.nan)
        self._head[run][:, steps] = head.reshape(by_draw)
        if run in self._curtailed and len(whole.curtailed_kw):
            curtailed = np.where(valid, whole.curtailed_kw, np.nan)
            self._curtailed[run][:, steps] = curtailed.reshape(by_draw)
        self._reason[run][:, steps] = whole.reason.reshape(by_draw)
        reverse = reverse_kw(whole)
        at_all = (reverse > 0).reshape(*by_draw, reverse.shape[1]).any(axis=0)
        first = np.where(at_all.any(axis=0), at_all.argmax(axis=0) + steps.start, calendar.n_steps)
        indicator = {
            "reverse_kw": (np.maximum, reverse.max(axis=0, initial=0.0).astype(float)),
            "reverse_hours": (np.add, (reverse > 0).sum(axis=0) * calendar.step_hours),
            "first_step": (np.minimum, first),
        }
        _fold(self._reverse.setdefault(run, {}), indicator)
        if valid.any():
            v_pu, loading = whole.v_pu, whole.loading_pct
            if not valid.all():
                v_pu, loading = v_pu[valid], loading[valid]
            extremes = {
                "v_min": (np.minimum, v_pu.min(axis=0)),
                "v_max": (np.maximum, v_pu.max(axis=0)),
                "loading_max": (np.maximum, loading.max(axis=0)),
            }
            _fold(self._extremes.setdefault(run, {}), extremes)

    def close(self) -> None:
        """Finish the arrays on disk."""
        for (policy, case), kw in self._head.items():
            dims = ("draw_all" if len(kw) > 1 else "draw_one", "step")
            name = f"head_kw_{policy}_{case}"
            self._file.add_fixed(name, dims, kw, "kW, positive is import", "head power by draw")
            if (policy, case) in self._curtailed:
                cut = self._curtailed[policy, case]
                name = f"curtailed_kw_{policy}_{case}"
                self._file.add_fixed(name, dims, cut, "kW", "export cut by the chargers' curves")
                self._content.add_array(name, cut.astype(np.float32))
        if self._split:
            phases = np.array(["ABC".index(phase) for _, phase in sorted(self._split.items())])
            self._file.add_fixed(
                "split_phase", ("day_label",), phases, "0, 1, 2 = A, B, C", "exporting phase kept"
            )
        self._file.close()

    def reduced(self, lost: dict[str, str]) -> Reduced:
        """Return tables and what the report needs."""
        violations, note = self._against_reference.violations()
        validity = [
            {"policy": run[0], "case": run[1], "reason": reason.name.lower(), "steps": count}
            for run, codes in self._reason.items()
            for reason in dict.fromkeys(Reason)
            if (count := int((codes == reason).sum()))
        ]
        reverse = [
            self._feeder.observed.flows[["element", "kind", "bus", "phase"]].assign(
                reverse_kw=found["reverse_kw"],
                reverse_hours=found["reverse_hours"] / self._draws[run],
                first_step=np.where(
                    found["first_step"] < self._study.calendar.n_steps, found["first_step"], -1
                ),
                policy=run[0],
                case=run[1],
            )
            for run, found in self._reverse.items()
        ]
        draws = dict(self._draws)
        judged = {run: count for run, count in draws.items() if run[0] != Policy.NO_EV}
        return Reduced(
            violations=violations,
            violations_note=note,
            hourly=self._against_reference.hourly(),
            relief=self._against_reference.harm_and_relief(draws),
            relief_no_ev=self._against_none.harm_and_relief(judged),
            reverse=pd.concat(reverse, ignore_index=True),
            head_kw=self._head,
            curtailed_kw=self._curtailed,
            extremes=self._extremes,
            validity=pd.DataFrame(validity, columns=["policy", "case", "reason", "steps"]),
            lost=lost,
            split_phase=self._split,
            content=self._content,
            unobserved=tuple(sorted(self._unobserved)),
        )


def take_day(
    day: int,
    same_as: Mapping[Unit, Unit],
    files: Mapping[Unit, Path],
    blank: tuple[Observed, int],
) -> dict[tuple[str, str], list[Solution]]:
    """Return the solutions of a day by run, in the order of the draws.

    Their files stay, for a run that goes on after this one was interrupted.

    Parameters
    ----------
    day
        Number of the day.
    same_as
        The unit that was solved for each unit.
    files
        The file of every unit that was solved; no number is known of the others.
    blank
        Places and steps of a day: the shape of a unit where all were lost.
    """
    runs: dict[tuple[str, str], list[Solution]] = {}
    units = {unit: solved for unit, solved in same_as.items() if unit.day == day}
    found: dict[str, Solution] = {}
    for path in dict.fromkeys(files[solved] for solved in units.values() if solved in files):
        found |= load_solutions(path)
    like = next(iter(found.values()), None) or _blank(*blank)
    for unit, solved in units.items():
        solution = found[solved.label] if solved in files else lost_solution(like, Reason.CRASHED)
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


def _fold(kept: dict[str, np.ndarray], found: Mapping[str, tuple[np.ufunc, np.ndarray]]) -> None:
    """Fold what a day found at each place into what is kept, each figure by its own rule."""
    for name, (rule, values) in found.items():
        kept[name] = rule(kept[name], values) if name in kept else values
