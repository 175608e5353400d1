"""Fleet capacity of a study: nested placements through the whole chain, and the curve they give."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import ANY, BOUNDING_CASES, WHOLE_DAY, Case, Criterion, Effect, Policy
from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.fleet import draw_vehicles, first_vehicles
from v2g_feeder.hosting.fleet import (
    CURVE_COLUMNS,
    draws_needed,
    judged_against,
    nested_counts,
    sizes_at,
    violation_curve,
)
from v2g_feeder.loadshape import fleet_power
from v2g_feeder.powerflow.solution import stacked
from v2g_feeder.screening import unknowns
from v2g_feeder.store import load_arrays, save_arrays
from v2g_feeder.study.day_reader import DayReader
from v2g_feeder.study.fleet_stage import (
    as_stored,
    bounding_power,
    place_fleets,
    premise_load,
    shape_settings,
)
from v2g_feeder.study.power_flow import solve_runs
from v2g_feeder.study.summary import records
from v2g_feeder.study.units import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.fleet import FleetSettings, Vehicles
    from v2g_feeder.hosting import FleetCapacity
    from v2g_feeder.loadshape import ShapeSettings
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.day_reader import Runs
    from v2g_feeder.study.feeder_stage import FeederStage

    Run = tuple[str, str]

__all__ = ["FleetDraws", "fleet_capacity"]

_STREAM: Final = 6  # random numbers of its own; the others are in loadshape.season and fleet_stage
_NO_EV: Final = (str(Policy.NO_EV), str(Case.EXPECTED))
_MOST_BYTES: Final = 2e8  # of injections, and of one day's solutions, that are held at a time


@dataclass(frozen=True)
class _Draw:
    """A placement at the largest size.

    Parameters
    ----------
    vehicles
        All of them.
    of_vehicle
        Point of each, among those of all draws.
    """

    vehicles: Vehicles
    of_vehicle: np.ndarray


class FleetDraws:
    """Random placements of a study's fleets: that of one size holds that of every smaller one.

    Parameters
    ----------
    study, feeder
        Fleets, and the feeder that they stand on.
    settings
        Sizes, draws and cases.

    Raises
    ------
    InputError
        For a study without vehicles, unknown cases, and sizes that do not fit the feeder.
    """

    def __init__(self, study: Study, feeder: FeederStage, settings: FleetCapacity) -> None:
        self._study, self._feeder, self._settings = study, feeder, settings
        shapes = shape_settings(study, len(feeder.customers))
        self._mix = [fleet.vehicles for fleet in shapes.fleets]
        self.runs = _runs(study, settings)
        self.sizes = self._sizes()
        self._fleets = self._counted(shapes.fleets, self.sizes[-1])
        self._shapes = shapes
        placed = [self._placed(draw) for draw in range(settings.draws)]
        every = pd.concat([points for _, points, _ in placed], ignore_index=True)
        site = pd.MultiIndex.from_frame(every[["bus", "connection", "kv", "fleet"]])
        number, first = pd.factorize(site)[0], ~site.duplicated()
        self.points = every[first].reset_index(drop=True)
        """Connection points of all draws."""
        offsets = np.cumsum([0, *(len(points) for _, points, _ in placed)])
        self._draws = [
            _Draw(vehicles, number[offset + of_vehicle])
            for (vehicles, _, of_vehicle), offset in zip(placed, offsets[:-1], strict=True)
        ]

    def _sizes(self) -> tuple[int, ...]:
        """Return the sizes to be solved."""
        if not sum(self._mix):
            raise InputError(Problem("hosting.fleet", "the study's fleets have no vehicles to add"))
        customers = len(self._feeder.customers)
        named = [bool(fleet.place.buses) for fleet in self._study.content.fleets]
        sizes = self._settings.grid(self._mix, [None if one else customers for one in named])
        if not sizes:
            message = "not even a quarter of the study's fleet fits: name the sizes"
            raise InputError(Problem("hosting.fleet.sizes", message))
        return sizes

    def _counted(self, fleets: Sequence[FleetSettings], size: int) -> tuple[FleetSettings, ...]:
        """Return the fleets with as many vehicles as a size has."""
        counts = nested_counts(size, self._mix)
        return tuple(
            replace(fleet, vehicles=count) for fleet, count in zip(fleets, counts, strict=True)
        )

    def _placed(self, draw: int) -> tuple[Vehicles, pd.DataFrame, np.ndarray]:
        """Return the vehicles of a draw at the largest size, their points and the point of each."""
        seed = [self._study.content.seed, _STREAM, draw]
        for_vehicles, for_places = np.random.default_rng(seed).spawn(2)
        vehicles = draw_vehicles(self._fleets, for_vehicles)
        counts = [fleet.vehicles for fleet in self._fleets]
        return vehicles, *place_fleets(self._study, self._feeder, counts, for_places)

    def at(self, size: int, draw: int) -> tuple[Vehicles, np.ndarray]:
        """Return the vehicles of a draw at a size, and the point of each."""
        whole, fleets = self._draws[draw], self._counted(self._fleets, size)
        counts = [fleet.vehicles for fleet in fleets]
        vehicles, kept = first_vehicles(whole.vehicles, counts, fleets)
        return vehicles, whole.of_vehicle[kept]

    def power(self, size: int, draw: int) -> dict[Run, np.ndarray]:
        """Return signed kW of every run of a draw at a size, ``[point, step]``."""
        vehicles, of_vehicle = self.at(size, draw)
        settings, count = self._shaped(size, draw), len(self.points)
        premise = None
        if any(policy == Policy.V2H for policy, _ in settings.runs):
            premise = premise_load(self._feeder, self.points, of_vehicle)
        shapes = fleet_power(
            settings,
            vehicles,
            self._feeder.head_kw,
            of_vehicle=of_vehicle,
            points=count,
            premise_kw=premise,
        )
        steps = self._study.calendar.n_steps
        found = {}
        for run in self.runs:
            if run[1] in BOUNDING_CASES:
                whole = bounding_power(run[1], vehicles, self.points, of_vehicle, steps)
            else:
                whole = shapes[run]
            found[run] = as_stored(whole[0])
        return found

    def _shaped(self, size: int, draw: int) -> ShapeSettings:
        """Return the settings of the shapes of a draw at a size."""
        shapes, event = self._shapes, self._shapes.event
        if event is not None and self._settings.request == "per_vehicle":
            event = replace(event, request_kw=event.request_kw * size / sum(self._mix))
        return replace(
            shapes,
            fleets=self._counted(shapes.fleets, size),
            runs=tuple(run for run in self.runs if run[1] not in BOUNDING_CASES),
            event=event,
            draws=1,
            first_draw=draw,
        )


def _runs(study: Study, settings: FleetCapacity) -> list[Run]:
    """Return the (policy, case) pairs whose violations are counted."""
    known = [*study.participation, *(str(case) for case in BOUNDING_CASES)]
    problems = [
        Problem("hosting.fleet.cases", f"unknown case {case!r}", nearest(case, known))
        for case in settings.cases
        if case not in known
    ]
    if problems:
        raise InputError(problems)
    dispatch = study.content.dispatch
    policies = [str(Policy.UNCONTROLLED), str(Policy.MANAGED)]
    policies += [str(Policy.EXPORT)] if dispatch.export else []
    policies += dict.fromkeys(dispatch.also)
    cases = [str(case) for case in settings.cases]
    runs = [(policy, case) for policy in policies for case in cases if case not in BOUNDING_CASES]
    return runs + [(str(Policy.EXPORT), case) for case in cases if case in BOUNDING_CASES]


@dataclass(frozen=True)
class _Reader(DayReader):
    """Reads which limits are broken when, on one day.

    Parameters
    ----------
    runs
        That are judged.
    """

    runs: tuple[Run, ...]

    def read(self, day: int, runs: Runs) -> dict[Run, pd.DataFrame]:
        """Return the rows of each run against its reference: step, criterion, effect."""
        season, screen, found = str(self.calendar.days[day].season), self.screen(), {}
        for run in self.runs:
            reference = stacked(runs[judged_against(*run)])
            rows = screen.rows(stacked(runs[run]), reference, season=season)
            found[run] = rows[["step", "criterion", "effect"]]
        return found


class _Tally:
    """Notes which draws break which limits when, a day at a time."""

    def __init__(
        self, study: Study, feeder: FeederStage, runs: Sequence[Run], pairs: int, *, worse: bool
    ) -> None:
        self._counted = [str(Effect.NEW), *([str(Effect.WORSE)] if worse else [])]
        self.reader = _Reader(feeder.observed, study.limits, study.calendar, tuple(runs))
        self.criteria = [str(one) for one in self.reader.screen().criteria]
        shape = (pairs, len(self.criteria), study.calendar.n_steps)
        self.violated = {run: np.zeros(shape, bool) for run in runs}
        self.unknown = {run: np.zeros((pairs, shape[-1]), bool) for run in runs}
        self.first = 0
        """Number of the first (size, draw) that is being solved."""

    def begin(self) -> None:
        """There is nothing to get ready."""

    def add_day(self, day: int, found: dict[Run, pd.DataFrame]) -> None:
        """Take a day as it was read."""
        for run, rows in found.items():
            self._note(run, day, rows)

    def noted(self, pairs: slice, engine: str) -> dict[str, np.ndarray]:
        """Return what is noted of some (size, draw), and which engine solved them, as arrays."""
        found = {"engine": np.array(engine)}
        for number, run in enumerate(self.violated):
            found[f"violated {number}"] = self.violated[run][pairs]
            found[f"unknown {number}"] = self.unknown[run][pairs]
        return found

    def take(self, noted: Mapping[str, np.ndarray], first: int) -> str:
        """Take over what :meth:`noted` gave, from (size, draw) ``first`` on; return the engine."""
        for number, run in enumerate(self.violated):
            violated = noted[f"violated {number}"]
            pairs = slice(first, first + len(violated))
            self.violated[run][pairs] = violated
            self.unknown[run][pairs] = noted[f"unknown {number}"]
        return str(noted["engine"])

    def _note(self, run: Run, day: int, rows: pd.DataFrame) -> None:
        """Note the rows of a day of a run."""
        steps = self.reader.steps_per_day
        pair, step = np.divmod(rows["step"].to_numpy(int), steps)
        pair, step = pair + self.first, step + day * steps
        effect, criterion = rows["effect"], rows["criterion"]
        open_ = ((criterion == Criterion.INVALID) | (effect == Effect.NONE)).to_numpy()
        self.unknown[run][pair[open_], step[open_]] = True
        bad = effect.isin(self._counted).to_numpy() & ~open_
        code = pd.Index(self.criteria).get_indexer(criterion[bad])
        self.violated[run][pair[bad], code, step[bad]] = True


def fleet_capacity(
    study: Study,
    feeder: FeederStage,
    settings: FleetCapacity,
    folder: Path,
    *,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Solve all sizes and draws of a study's fleets.

    Parameters
    ----------
    study, feeder
        The study, and its feeder under the conditions that hold.
    settings
        What is asked.
    folder
        For the units of this run; what an interrupted one of the same study has left there is not
        solved again.
    workers
        Worker processes.
    tell
        Called with stage, done and total.

    Returns
    -------
    dict of pandas.DataFrame
        ``hosting_fleet``, the probability of a violation by size, and ``hosting_fleet_sizes``.
    dict
        The answer's part of ``summary.json``.

    Raises
    ------
    InputError
        For fleets that cannot be added.
    """
    draws = FleetDraws(study, feeder, settings)
    pairs = [(size, draw) for size in draws.sizes for draw in range(settings.draws)]
    tally = _Tally(study, feeder, draws.runs, len(pairs), worse=settings.count_worse)
    engines, lost = set(), 0
    whole = len(pairs)
    part = _pairs_at_a_time(study, feeder, draws)
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, whole, part):
        some = pairs[first : first + part]
        tell("fleet capacity", first, whole)
        done, units = folder / f"{first}.pickle", folder / f"{first}"
        if done.is_file():
            engines.add(tally.take(load_arrays(done), first))
            continue
        powers = [draws.power(size, draw) for size, draw in some]
        kw = {run: np.stack([power[run] for power in powers]) for run in draws.runs}
        kw[_NO_EV] = np.zeros((1, *next(iter(kw.values())).shape[1:]))
        circuit = replace(feeder.circuit, points=draws.points)
        plan = Plan(circuit, study.limits.reverse_flow_kw, tally.reader)
        tally.first = first

        def told(done: int, total: int, first: int = first, count: int = len(some)) -> None:
            tell("fleet capacity", first + count * done // max(total, 1), whole)

        use, gone = solve_runs(study, feeder, (plan, kw), (tally, units), workers, told)
        engines.add(use.name)
        lost += len(gone)
        if not gone:  # else the next run tries them again
            save_arrays(done, tally.noted(slice(first, first + len(some)), use.name))
        shutil.rmtree(units)
    curve = _curve(study, draws, tally, settings)
    sizes = sizes_at(curve, settings.thresholds)
    summary = _summary(draws, settings, curve, sizes) | {
        "draws_unknown": sum(int(some.any(axis=1).sum()) for some in tally.unknown.values()),
        "engines": sorted(engines),
        "units_lost": lost,
        "rating_unknown": len(unknowns(feeder.observed)),
    }
    return {"hosting_fleet": curve, "hosting_fleet_sizes": sizes}, summary


def _pairs_at_a_time(study: Study, feeder: FeederStage, draws: FleetDraws) -> int:
    """Return how many (size, draw) are solved together: as many as memory is meant to hold."""
    runs, observed = len(draws.runs) + 1, feeder.observed
    places = len(observed.voltages) + len(observed.elements) + len(observed.flows)
    injections = 8 * runs * len(draws.points) * study.calendar.n_steps
    a_day = 4 * runs * places * study.calendar.steps_per_day
    return max(1, int(_MOST_BYTES // max(injections, a_day)))


def _curve(study: Study, draws: FleetDraws, tally: _Tally, settings: FleetCapacity) -> pd.DataFrame:
    """Return the probability of a violation by run, size, criterion, season and hour."""
    axis, count = study.calendar.table(), settings.draws
    parts = []
    for run in draws.runs:
        for number, size in enumerate(draws.sizes):
            mine = slice(number * count, (number + 1) * count)
            violated = {
                name: tally.violated[run][mine, code] for code, name in enumerate(tally.criteria)
            }
            found = violation_curve(violated, tally.unknown[run][mine], axis, settings.confidence)
            parts.append(found.assign(policy=run[0], case=run[1], size=size))
    return pd.concat(parts, ignore_index=True)[list(CURVE_COLUMNS)]


def _summary(
    draws: FleetDraws, settings: FleetCapacity, curve: pd.DataFrame, sizes: pd.DataFrame
) -> dict[str, Any]:
    """Return the headline: sizes over the whole day, of each criterion that ever breaks."""
    broken = set(curve.loc[curve["violating"] > 0, "criterion"])
    kept = sizes[(sizes["hour"] == WHOLE_DAY) & sizes["criterion"].isin([ANY, *broken])]
    needed = {f"{one:g}": draws_needed(one, settings.confidence) for one in settings.thresholds}
    return {
        "settings": asdict(settings),
        "solved_sizes": list(draws.sizes),
        "draws_needed": needed,
        "counted": "each draw places the vehicles anew and a "
        "larger size keeps the places of the smaller; a charging policy counts what breaks against "
        "the feeder without vehicles, export against managed charging of the same draw",
        "sizes": [row | {"breaks_first": _first(row, curve)} for row in records(kept)],
    }


def _first(row: Mapping[str, Any], curve: pd.DataFrame) -> list[str]:
    """Return the criteria that break in most draws at the size at which a threshold is passed."""
    same = np.logical_and.reduce(
        [curve[name] == row[name] for name in ("policy", "case", "season", "hour")]
    )
    mine = curve[same & (curve["size"] == row["passes_at"]) & (curve["criterion"] != ANY)]
    most = mine["violating"].max() if len(mine) else 0
    return list(mine.loc[mine["violating"] == most, "criterion"]) if most else []
