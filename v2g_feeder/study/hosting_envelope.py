"""Operating envelopes of a study's fleet: its points, days in workers, the table."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Direction
from v2g_feeder.errors import InputError, Problem, UnitError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.hosting.base import FeederInConditions
from v2g_feeder.hosting.bounds import parts_of
from v2g_feeder.hosting.envelope import EnvelopeFound, EnvelopeSearch, vertices
from v2g_feeder.hosting.envelope_table import envelope_table
from v2g_feeder.hosting.table import unrated_buses
from v2g_feeder.loadshape import by_point, fleet_vehicles
from v2g_feeder.powerflow.opendss import Runner
from v2g_feeder.store import load_arrays, save_arrays
from v2g_feeder.study.fleet_stage import export_rating, fleet_places, shape_settings
from v2g_feeder.study.summary import records
from v2g_feeder.workers import run_units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from v2g_feeder.hosting import Conditions, Envelope
    from v2g_feeder.powerflow.opendss import Circuit
    from v2g_feeder.screening import Limits
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage

__all__ = ["EnvelopePlan", "fleet_points", "operating_envelopes", "solve_envelope_day"]

_PLAN: Final = "envelope.pickle"
_DEADLINE_S: Final = 6 * 3600.0


@dataclass(frozen=True)
class EnvelopePlan:
    """What the workers share.

    Parameters
    ----------
    circuit
        The feeder with its conditions' commands, without connection points.
    points, rating_kw
        Of the fleet; rating ``[point, direction]``, export and import.
    conditions, limits, settings
        Settings.
    seasons
        Of each day.
    seed
        Of the random points.
    """

    circuit: Circuit
    points: pd.DataFrame
    rating_kw: np.ndarray
    conditions: Conditions
    limits: Limits
    settings: Envelope
    seasons: Sequence[str]
    seed: int


@lru_cache(maxsize=1)
def _search(folder: str) -> tuple[EnvelopePlan, EnvelopeSearch]:
    """Return this process's search of a plan; the circuit is loaded once."""
    plan: EnvelopePlan = pickle.loads((Path(folder) / _PLAN).read_bytes())  # noqa: S301  # our own
    runner = Runner(shared_engine(), plan.circuit, plan.limits.reverse_flow_kw)
    grid = FeederInConditions(runner, plan.conditions)
    search = EnvelopeSearch(
        grid, plan.points, plan.rating_kw, plan.limits, plan.settings, seed=plan.seed
    )
    return plan, search


def _file(folder: str | Path, day: int) -> Path:
    return Path(folder) / f"e{day:03d}.pickle"


def solve_envelope_day(folder: str, day: int) -> None:
    """Seek the envelopes of a day and write its file."""
    plan, search = _search(folder)
    found = search.day(day * plan.circuit.steps_per_day, plan.seasons[day])
    save_arrays(
        _file(folder, day), {one.name: getattr(found, one.name) for one in fields(EnvelopeFound)}
    )


def fleet_points(study: Study, feeder: FeederStage) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the connection points of a study's fleets, and their ratings.

    Returns
    -------
    pandas.DataFrame
        One row a point, of the same placement as in the study.
    numpy.ndarray
        Export and import kW of the chargers there, magnitudes, ``[point, direction]``. Export is
        that of bidirectional chargers which may and are accepted to export.

    Raises
    ------
    InputError
        For a study without vehicles.
    """
    vehicles = fleet_vehicles(shape_settings(study, len(feeder.customers)))
    if not len(vehicles):
        message = "the study's fleets have no vehicles to give an envelope"
        raise InputError(Problem("hosting.envelope", message))
    points, of_vehicle = fleet_places(study, feeder)
    export = export_rating(vehicles, of_vehicle, len(points))
    charging = by_point(of_vehicle, vehicles.rated_kw, len(points))
    return points, np.stack([export, charging], axis=1)


def operating_envelopes(
    study: Study,
    feeder: FeederStage,
    conditions: Conditions,
    settings: Envelope,
    folder: Path,
    *,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Seek the envelopes of a study's fleet at every step of its calendar.

    Parameters
    ----------
    study, feeder
        The study, and its feeder with the conditions' commands.
    conditions, settings
        What is asked.
    folder
        For files of this run alone; it is removed.
    workers
        Worker processes.
    tell
        Called with stage, done and total.

    Returns
    -------
    pandas.DataFrame
        ``envelopes.csv``.
    dict
        The answer's part of ``summary.json``.

    Raises
    ------
    InputError, FeederError, UnitError
        For a study without vehicles, a model that the batch engine cannot represent, a lost day.
    """
    points, rating = fleet_points(study, feeder)
    days = study.calendar.days
    plan = EnvelopePlan(
        feeder.circuit,
        points,
        rating,
        conditions,
        study.limits,
        settings,
        [day.season for day in days],
        study.content.seed,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _PLAN).write_bytes(pickle.dumps(plan))
    tell("envelope", 0, len(days))
    jobs = [(day, (str(folder), day)) for day in range(len(days))]
    outcomes = run_units(solve_envelope_day, jobs, workers=workers, deadline_s=_DEADLINE_S)
    for done, outcome in enumerate(outcomes, 1):
        if outcome.lost:
            label = days[outcome.key].label
            raise UnitError(f"the envelopes of {label} were lost: {outcome.lost}")
        tell("envelope", done, len(days))
    found = [EnvelopeFound(**load_arrays(_file(folder, day))) for day in range(len(days))]
    shutil.rmtree(folder)
    axis = study.calendar.table()
    unrated = unrated_buses(feeder.feeder, feeder.observed, study.limits)
    names = vertices(points).names
    table = pd.concat(
        [
            envelope_table(
                one,
                points,
                rating,
                parts_of(feeder.observed, study.limits, days[day].season),
                names,
                axis[axis["day"] == day],
                unrated,
            )
            for day, one in enumerate(found)
        ],
        ignore_index=True,
    ).sort_values(["point", "step"], kind="stable", ignore_index=True)
    return table, _summary(plan, table, found, names)


def _summary(
    plan: EnvelopePlan, table: pd.DataFrame, found: Sequence[EnvelopeFound], names: Sequence[str]
) -> dict[str, Any]:
    """Return the envelopes in figures: of all points together, by season and hour."""
    ways = [str(way) for way in (Direction.IMPORT, Direction.EXPORT)]
    keys = ["step", "season", "hour"]
    total = table.groupby(keys, sort=False)[[f"{way}_kw" for way in ways]].sum(min_count=1)
    lowest = total.groupby(["season", "hour"], sort=False).min()
    cuts = np.concatenate([one.cuts for one in found])
    return {
        "settings": asdict(plan.settings),
        "points": len(plan.points),
        "steps": len(cuts),
        "vertices": list(names),
        "rating_kw": {way: float(plan.rating_kw[:, 1 - n].sum()) for n, way in enumerate(ways)},
        "solves": int(sum(one.solves.sum() for one in found)),
        "steps_cut_by_inner_points": int((cuts > 0).sum()),
        "status": {
            way: {str(name): int(n) for name, n in table[f"{way}_status"].value_counts().items()}
            for way in ways
        },
        "limiting": {way: _limiting(table, way) for way in ways},
        "totals": _totals(lowest, ways),
        "lowest_total_kw": records(lowest.reset_index()),
    }


def _totals(lowest: pd.DataFrame, ways: Sequence[str]) -> list[dict[str, Any]]:
    """Return the lowest and highest hour of all points together, by season and direction."""
    rows = []
    for season, mine in lowest.groupby(level="season", sort=False):
        for way in ways:
            kw = mine[f"{way}_kw"].droplevel("season").dropna()
            rows.append(
                {
                    "season": str(season),
                    "direction": way,
                    "lowest_kw": float(kw.min()) if len(kw) else None,
                    "lowest_hour": int(kw.idxmin()) if len(kw) else None,
                    "highest_kw": float(kw.max()) if len(kw) else None,
                }
            )
    return rows


def _limiting(table: pd.DataFrame, way: str) -> list[dict[str, Any]]:
    """Return by what and at which vertex the envelopes of a direction are limited, in steps."""
    keys = [f"{way}_criterion", f"{way}_vertex"]
    fails = table[table[f"{way}_fails_at_kw"].notna()].drop_duplicates(["step", *keys])
    counts = fails.groupby(keys).size().sort_values(ascending=False, kind="stable")
    return [
        {"criterion": criterion, "vertex": vertex, "steps": int(steps)}
        for (criterion, vertex), steps in counts.items()
    ]
