"""Folding a study's solutions, a day at a time, into tables and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Case, Policy
from v2g_feeder.dispatch import LEDGER_ROWS
from v2g_feeder.powerflow.solution import Reason
from v2g_feeder.screening import ALWAYS, Reducer
from v2g_feeder.store import ContentHash
from v2g_feeder.study.names import as_written, places_as_written
from v2g_feeder.study.read_day import StudyReader
from v2g_feeder.study.results import ResultsFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage
    from v2g_feeder.study.read_day import DayFound

__all__ = ["Reduced", "StudyReducer"]

_REVERSE: Final = {
    "reverse_kw": np.maximum,
    "reverse_hours": np.add,
    "first_step": np.minimum,
}
_EXTREMES: Final = {"v_min": np.minimum, "v_max": np.maximum, "loading_max": np.maximum}


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


def _reader(study: Study, feeder: FeederStage) -> StudyReader:
    """Return who reads the days of a study."""
    stored = study.content.draws if study.content.store == "all" else 1
    return StudyReader(feeder.observed, study.limits, study.calendar, stored)


class StudyReducer:
    """Folds what was read of the days into tables and arrays.

    Parameters
    ----------
    study, feeder, fleet
        The study and its stages before power flow.
    out
        Result folder.
    meanwhile
        Called once workers have something to do.
    """

    def __init__(
        self,
        study: Study,
        feeder: FeederStage,
        fleet: FleetStage,
        out: Path,
        meanwhile: Callable[[], object],
    ) -> None:
        self._study, self._feeder, self._fleet, self._out = study, feeder, fleet, out
        self._meanwhile = meanwhile
        self._draws = {
            run: 1 if run[1] == Case.COINCIDENT_SPLIT else len(kw) for run, kw in fleet.kw.items()
        }
        ratings = feeder.observed.elements.set_index("element")["rating_kva"].to_dict()
        hours = study.calendar.step_hours
        self.reader = _reader(study, feeder)
        criteria = tuple(dict.fromkeys((*ALWAYS, *self.reader.screen().criteria)))
        self._against_reference = Reducer(ratings, step_hours=hours, criteria=criteria)
        self._against_none = Reducer(ratings, step_hours=hours, criteria=criteria)
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

    @cached_property
    def _file(self) -> ResultsFile:
        """The arrays on disk."""
        return ResultsFile(
            self._out / "results.nc",
            self._study.calendar,
            places_as_written(self._feeder),
            self._draws,
            self.reader.stored,
            [reason.name.lower() for reason in Reason],
        )

    def begin(self) -> None:
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
        self._meanwhile()

    def add_day(self, day: int, found: DayFound) -> None:
        """Take a day as it was read, in the order of the calendar."""
        steps = self._study.calendar.day_slice(day)
        self._content.update(found.content)
        if found.split:
            self._split[day] = found.split
        self._unobserved |= found.unobserved
        for rows in found.against_reference:
            self._against_reference.add(rows)
        for rows in found.against_none:
            self._against_none.add(rows)
        for run, mine in found.runs.items():
            self._file.put(run, day, mine.chunks)
            self._head[run][:, steps] = mine.head_kw
            self._reason[run][:, steps] = mine.reason
            if run in self._curtailed and mine.curtailed_kw.size:
                self._curtailed[run][:, steps] = mine.curtailed_kw
            _fold(self._reverse.setdefault(run, {}), mine.reverse, _REVERSE)
            if mine.extremes:
                _fold(self._extremes.setdefault(run, {}), mine.extremes, _EXTREMES)

    def close(self) -> None:
        """Finish the arrays on disk, if an interrupt has not come before they were there."""
        if "_file" not in vars(self):
            return
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


def _fold(
    kept: dict[str, np.ndarray], found: Mapping[str, np.ndarray], rules: Mapping[str, np.ufunc]
) -> None:
    """Fold what a day found at each place into what is kept, each figure by its own rule."""
    for name, values in found.items():
        kept[name] = rules[name](kept[name], values) if name in kept else values
