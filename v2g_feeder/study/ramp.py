"""What the feeder takes of a fleet's export, more and more of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.conventions import AS_STUDIED, Criterion
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.hosting import Conditions
from v2g_feeder.hosting.ramp import first_limit
from v2g_feeder.powerflow.opendss import kept_runner
from v2g_feeder.screening import Screen
from v2g_feeder.study.fleet_stage import export_rating, fleet_places
from v2g_feeder.study.ramp_section import RampSection
from v2g_feeder.workers import run_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from v2g_feeder.feeder.model import Feeder
    from v2g_feeder.powerflow.opendss import Circuit
    from v2g_feeder.screening import Limits
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import PlacedFleet
    from v2g_feeder.workers import WorkerPool

__all__ = [
    "BALANCED",
    "Ramp",
    "ramp_of",
    "ramps_of",
    "what_the_feeder_takes",
]

BALANCED: Final = "phases balanced"
_DEADLINE_S: Final = 600.0


@dataclass(frozen=True)
class Ramp:
    """One ramp: a feeder with its points, on the steps of one day's events.

    Parameters
    ----------
    circuit
        With the commands of the variation.
    rating_kw
        Of each point.
    first_step
        Of the calendar, with which the day begins.
    steps
        Of the day, those of the event.
    key
        What the row says beside the answer.
    criteria
        That count; all where empty.
    """

    circuit: Circuit
    rating_kw: np.ndarray
    first_step: int
    steps: range
    key: dict[str, Any]
    criteria: tuple[str, ...] = ()

    def scaled(self, share: float) -> Ramp:
        """Return the ramp of chargers of another rating."""
        rating = share * self.rating_kw
        return replace(self, rating_kw=rating, key=self.key | {"rating_kw": float(rating.sum())})


def what_the_feeder_takes(
    study: Study, feeder: FeederStage, fleet: PlacedFleet, workers: int | WorkerPool
) -> Callable[[], list[dict[str, Any]]]:
    """Have the first limit of a rising export found, a row a day of events, mode and change.

    Without a ``ramp`` section the days are each season's first extreme one (peak day, or the first
    there is); with one all days with events are asked, for over-voltage too.

    Returns
    -------
    callable
        Waits for the workers and returns the rows, each a dict: ``season, day_type, reverse_mode,
        change, asked`` (``any`` or ``over_voltage``),
        ``rating_kw``, the columns of :class:`~v2g_feeder.hosting.ramp.FirstLimit` and ``hour``.
    """
    if study.event is None or not len(fleet.vehicles):
        return list
    ramps = list(ramps_of(study, feeder, fleet))
    work = [
        (number, (one, study.limits, study.limits.reverse_flow_kw))
        for number, one in enumerate(ramps)
    ]
    by_circuit = itemgetter("reverse_mode", "change")  # which a worker loads once
    work.sort(key=lambda unit: by_circuit(ramps[unit[0]].key))
    outcomes = run_units(ramp_of, work, workers=workers, deadline_s=_DEADLINE_S)

    def rows() -> list[dict[str, Any]]:
        found = sorted(outcomes, key=lambda outcome: int(outcome.key))
        return [one.result or ramps[one.key].key | {"lost": one.lost} for one in found]

    return rows


def ramp_of(one: Ramp, limits: Limits, reverse_limits_kw: dict[str, float]) -> dict[str, Any]:
    """Run one ramp; in a process of its own, since it loads the engine."""
    runner = kept_runner(shared_engine(), one.circuit, reverse_limits_kw)
    begin, sudden = one.steps.start, not one.criteria
    found = first_limit(
        lambda kw: runner.run(one.first_step, kw, sudden=sudden, begin=begin),
        Screen(runner.probe.observed, limits),
        one.rating_kw,
        len(one.steps),
        season=one.key["season"],
        criteria=one.criteria,
    )
    hour = one.key["from_h"] + found.step * one.circuit.step_hours
    return one.key | found._asdict() | {"hour": hour if found.step >= 0 else np.nan}


def ramps_of(study: Study, feeder: FeederStage, fleet: PlacedFleet) -> Iterator[Ramp]:
    """Yield the ramps of a study with events."""
    section = study.content.ramp
    asked = section or RampSection()
    event = study.event
    assert event is not None  # noqa: S101  # the caller's test
    end_h = event.end_h if event.end_h > event.start_h else 24.0
    step_hours = study.calendar.step_hours
    steps = range(round(event.start_h / step_hours), round(end_h / step_hours))
    placements = {AS_STUDIED: (fleet.points, fleet.of_vehicle)}
    if asked.balanced:
        placements[BALANCED] = fleet_places(study, feeder, phases="balanced")
    commands = {AS_STUDIED: ()} | (
        {} if asked.vreg_v is None else _moved(feeder.feeder, asked.vreg_v)
    )
    changes = [(name, points, commands[AS_STUDIED]) for name, points in placements.items()]
    changes += [(name, placements[AS_STUDIED], extra) for name, extra in commands.items() if extra]
    modes = list(
        dict.fromkeys(
            one.reverse_mode
            for mode in asked.reverse_modes
            for one in Conditions(reverse_mode=mode).alternatives(feeder.feeder)
        )
    )
    for number in _days(study, every=section is not None):
        day = study.calendar.days[number]
        first = study.calendar.day_slice(number).start
        for mode in modes:
            own = Conditions(reverse_mode=mode).commands(feeder.feeder)
            for change, (points, of_vehicle), extra in changes:
                rating = export_rating(fleet.vehicles, of_vehicle, len(points))
                circuit = replace(
                    feeder.circuit,
                    commands=(*feeder.circuit.commands, *own, *extra),
                    points=points,
                )
                key = {
                    "season": day.season,
                    "day_type": str(day.day_type),
                    "from_h": event.start_h,
                    "to_h": end_h,
                    "reverse_mode": str(mode),
                    "change": change,
                    "rating_kw": float(rating.sum()),
                }
                plain = change == AS_STUDIED and mode == modes[0]
                if plain:
                    yield Ramp(circuit, rating, first, steps, key | {"asked": "any"})
                if section is not None:
                    only = (str(Criterion.OVER_VOLTAGE),)
                    yield Ramp(circuit, rating, first, steps, key | {"asked": only[0]}, only)


def _days(study: Study, *, every: bool) -> list[int]:
    """Return the days with events that are asked."""
    found: dict[str, list[int]] = {}
    order = ["peak_day", "weekday", "weekend", "min_day"]
    days = study.calendar.days
    for number in sorted(range(len(days)), key=lambda n: order.index(str(days[n].day_type))):
        if study.has_event(days[number].season):
            found.setdefault(days[number].season, []).append(number)
    return sorted(number for group in found.values() for number in (group if every else group[:1]))


def _moved(feeder: Feeder, volts: float) -> dict[str, tuple[str, ...]]:
    """Return the commands that move every regulator's set point."""
    way = "lower" if volts < 0 else "higher"
    return {
        f"regulators {abs(volts):g} V {way}": tuple(
            f"Edit RegControl.{row.control} vreg={row.vreg + volts:g}"
            for row in feeder.regulators.itertuples()
        )
    }
