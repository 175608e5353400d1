"""Second stage of a study: vehicles, their days under every policy, and signed kW by point."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import (
    BOUNDING_CASES,
    SPLIT_PHASES,
    Case,
    Policy,
)
from v2g_feeder.errors import InputError, Problem, V2GFeederError
from v2g_feeder.fleet import Vehicles, eligibility
from v2g_feeder.loadshape import (
    Shapes,
    ShapeSettings,
    by_point,
    coincident,
    fleet_power,
    fleet_shapes,
    fleet_vehicles,
    place_fleet,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage

__all__ = [
    "FleetStage",
    "PlacedFleet",
    "bounding_power",
    "export_rating",
    "fleet_places",
    "load_code",
    "place_fleets",
    "placed_fleet",
    "premise_load",
    "prepare_fleet",
    "runs_of",
    "shape_settings",
]

_PLACES: Final = 2  # a stream of random numbers of its own; the others are in loadshape.season
_NO_DRAWS: Final = 1
_ANY: Final = 1000  # customers
_ALWAYS: Final = (Case.EXPECTED, Case.HIGH)


@dataclass(frozen=True)
class PlacedFleet:
    """The vehicles of a study, and where they are.

    Parameters
    ----------
    vehicles
        All fleets, one after the other.
    points
        Connection points, one row each.
    of_vehicle
        Point of each vehicle.
    """

    vehicles: Vehicles
    points: pd.DataFrame
    of_vehicle: np.ndarray


@dataclass(frozen=True)
class FleetStage(PlacedFleet):
    """Signed kW of every run of a study.

    Parameters
    ----------
    kw
        By (policy, case): ``[draw, point, step]``; runs without chance have one draw. For
        ``coincident_split`` the first axis is the exporting phase, A, B, C.
    shapes
        What the shapes were made of: ledger, sessions, events.
    funnel
        Vehicles by exclusive state and case.
    """

    kw: dict[tuple[str, str], np.ndarray]
    shapes: Shapes
    funnel: pd.DataFrame


def runs_of(study: Study) -> list[tuple[str, str]]:
    """Return the (policy, case) pairs of a study, references first.

    References run in every participation case of the study that is not bounding, and in
    ``expected`` and ``high`` in any case; export runs where the study asks for events.
    """
    cases = [case for case in study.participation if case in study.cases or case in _ALWAYS]
    runs: list[tuple[str, str]] = [(str(Policy.NO_EV), str(Case.EXPECTED))]
    for policy in (Policy.UNCONTROLLED, Policy.MANAGED):
        runs += [(str(policy), case) for case in cases]
    further: list[str] = [str(Policy.EXPORT)] if study.content.dispatch.export else []
    for name in (*further, *dict.fromkeys(study.content.dispatch.also)):
        runs += [(name, case) for case in cases if case in study.cases]
    return runs + [(str(Policy.EXPORT), case) for case in study.cases if case in BOUNDING_CASES]


def shape_settings(study: Study, customers: int) -> ShapeSettings:
    """Return a study's fleets and runs as the load-shape stage takes them."""
    return ShapeSettings(
        fleets=study.fleets_for(customers),
        calendar=study.calendar,
        runs=tuple(
            (policy, case)
            for policy, case in runs_of(study)
            if policy != Policy.NO_EV and case not in BOUNDING_CASES
        ),
        cases=study.participation,
        event=study.event,
        event_seasons=frozenset(filter(study.has_event, study.content.calendar.seasons)),
        programme=study.programme,
        draws=study.content.draws,
        seed=study.content.seed,
    )


def load_code(study: Study) -> None:
    """Simulate a day of a vehicle a fleet, so that compiled code is loaded before it is waited for.

    What is wrong with the fleets is said when they are simulated.
    """
    days = study.calendar.days
    one = next((day for day in days if study.has_event(day.season)), days[0])
    with suppress(V2GFeederError):
        settings = shape_settings(study, _ANY)
        small = replace(
            settings,
            fleets=tuple(replace(fleet, vehicles=1) for fleet in settings.fleets),
            calendar=replace(settings.calendar, days=(one,)),
            draws=1,
        )
        vehicles, steps = fleet_vehicles(small), np.zeros(small.calendar.n_steps)
        fleet_power(
            small,
            vehicles,
            steps,
            of_vehicle=vehicles.fleet,
            points=len(small.fleets),
            premise_kw=np.tile(steps, (len(vehicles), 1)),
        )


def placed_fleet(study: Study, feeder: FeederStage) -> PlacedFleet:
    """Draw the fleet and place it.

    Raises
    ------
    InputError
        For fleets that do not fit the feeder.
    """
    vehicles = fleet_vehicles(shape_settings(study, len(feeder.customers)))
    return PlacedFleet(vehicles, *fleet_places(study, feeder))


def prepare_fleet(
    study: Study, feeder: FeederStage, placed: PlacedFleet, *, beside: bool = False
) -> FleetStage:
    """Simulate every policy and case of a placed fleet, and add up by point.

    ``beside`` is that of :func:`fleet_shapes`: tables that a study does not show.
    """
    settings = shape_settings(study, len(feeder.customers))
    vehicles, points, of_vehicle = placed.vehicles, placed.points, placed.of_vehicle
    premise = None
    if any(policy == Policy.V2H for policy, _ in settings.runs):
        premise = premise_load(feeder, points, of_vehicle)
    shapes = fleet_shapes(
        settings,
        feeder.head_kw,
        of_vehicle=of_vehicle,
        points=len(points),
        premise_kw=premise,
        beside=beside,
    )
    kw: dict[tuple[str, str], np.ndarray] = {}
    for policy, case in runs_of(study):
        if policy == Policy.NO_EV:
            kw[policy, case] = np.zeros((_NO_DRAWS, len(points), study.calendar.n_steps))
        elif case in BOUNDING_CASES:
            steps = study.calendar.n_steps
            kw[policy, case] = bounding_power(case, vehicles, points, of_vehicle, steps)
        else:
            kw[policy, case] = shapes.kw[policy, case]
    return FleetStage(
        vehicles=vehicles,
        points=points,
        of_vehicle=of_vehicle,
        kw={run: as_stored(values) for run, values in kw.items()},
        shapes=shapes,
        funnel=_funnel(study, vehicles),
    )


def export_rating(vehicles: Vehicles, of_vehicle: np.ndarray, points: int) -> np.ndarray:
    """Return the export rating of the chargers at each point, kW: of vehicles that may export."""
    may = vehicles.permitted & vehicles.accepted
    return by_point(of_vehicle, vehicles.export_kw * may, points)


def premise_load(feeder: FeederStage, points: pd.DataFrame, of_vehicle: np.ndarray) -> np.ndarray:
    """Return the base load of each vehicle's premise, ``[vehicle, step]``, kW.

    The load of the point's bus is shared evenly among its customers, or among the vehicles there
    where they are more; a bus without load has none, so that nothing can be covered.
    """
    base, loads = feeder.circuit.base_load, feeder.feeder.loads
    by_bus = loads.assign(row=[base.shape_of[name.lower()] for name in loads.index])
    customers = feeder.customers.groupby("bus").size()
    cars = pd.Series(points["bus"].to_numpy()[of_vehicle]).value_counts()
    at_bus: dict[str, np.ndarray] = {}
    for bus, rows in by_bus.groupby("bus"):
        total = rows["kw"].to_numpy(float) @ base.p[rows["row"].to_numpy(int)]
        at_bus[str(bus)] = total / max(customers.get(bus, 1), cars.get(bus, 1))
    nothing = np.zeros(base.p.shape[1])
    return np.stack([at_bus.get(bus, nothing) for bus in points["bus"].to_numpy()[of_vehicle]])


def as_stored(kw: np.ndarray) -> np.ndarray:
    """Return power as results keep it (float32), so that what is solved is what is on disk."""
    return kw.astype(np.float32).astype(float)


def fleet_places(
    study: Study, feeder: FeederStage, *, phases: str | None = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return :func:`place_fleets` as the study places its own fleets: the same every time."""
    counts = [fleet.vehicles for fleet in study.fleets_for(len(feeder.customers))]
    rng = np.random.default_rng([study.content.seed, _PLACES])
    return place_fleets(study, feeder, counts, rng, phases=phases)


def place_fleets(
    study: Study,
    feeder: FeederStage,
    vehicles: Sequence[int],
    rng: np.random.Generator,
    *,
    phases: str | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the points of all fleets and the point of each vehicle.

    Parameters
    ----------
    study, feeder
        Fleets and where they may be.
    vehicles
        Number of vehicles of each fleet. With the same ``rng`` the vehicles of a smaller number
        stand where the first of a larger one do.
    rng
        Spawned once a fleet.
    phases
        Takes the place of what the study says of every fleet's.

    Raises
    ------
    InputError
        For fleets that do not fit the feeder.
    """
    streams = rng.spawn(len(vehicles))
    tables, positions, offset = [], [], 0
    problems: list[Problem] = []
    for number, fleet in enumerate(study.content.fleets):
        where = f"{study.path}: fleets[{number}].place"
        place = fleet.place.settings()
        if phases is not None:
            place = replace(place, phases=phases)
        try:
            placed = place_fleet(
                feeder.feeder,
                feeder.customers,
                vehicles[number],
                place,
                streams[number],
                where,
            )
        except InputError as error:
            problems += error.problems
            continue
        tables.append(placed.points.assign(fleet=fleet.name))
        positions.append(placed.of_vehicle + offset)
        offset += len(placed.points)
    if problems:
        raise InputError(problems)
    if not offset:
        return feeder.circuit.points, np.zeros(0, int)
    kept = [table for table in tables if len(table)]
    return pd.concat(kept, ignore_index=True), np.concatenate(positions)


def bounding_power(
    case: str, vehicles: Vehicles, points: pd.DataFrame, of_vehicle: np.ndarray, steps: int
) -> np.ndarray:
    """Return a bounding case, ``[1 or exporting phase, point, step]``."""
    charge = by_point(of_vehicle, vehicles.rated_kw, len(points))
    export = export_rating(vehicles, of_vehicle, len(points))
    phases = SPLIT_PHASES if case == Case.COINCIDENT_SPLIT else SPLIT_PHASES[:1]
    return np.stack([coincident(case, points, charge, export, steps, phase) for phase in phases])


def _funnel(study: Study, vehicles: Vehicles) -> pd.DataFrame:
    """Return vehicles by exclusive state, fleet and participation case."""
    names = [fleet.name for fleet in study.content.fleets]
    tables = [
        eligibility(vehicles, case, names).assign(case=name)
        for name, case in study.participation.items()
    ]
    return pd.concat(tables, ignore_index=True)
