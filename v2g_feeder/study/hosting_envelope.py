"""Operating envelopes of a study's fleet: its points, days in workers, the table."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Direction
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.hosting.base import FeederInConditions
from v2g_feeder.hosting.bounds import parts_of
from v2g_feeder.hosting.envelope import EnvelopeFound, EnvelopeSearch, vertices
from v2g_feeder.hosting.envelope_check import CHECK_COLUMNS, check_envelope
from v2g_feeder.hosting.envelope_table import envelope_table
from v2g_feeder.hosting.recheck import Recheck
from v2g_feeder.hosting.table import unrated_buses
from v2g_feeder.loadshape import by_point, fleet_vehicles
from v2g_feeder.powerflow.opendss import Runner
from v2g_feeder.store import load_arrays, save_arrays
from v2g_feeder.study.fleet_stage import export_rating, fleet_places, shape_settings
from v2g_feeder.study.hosting_units import day_file, run_days
from v2g_feeder.study.summary import records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


@lru_cache(maxsize=1)
def _recheck(folder: str) -> Recheck:
    """Return this process's OpenDSS with a load at every point."""
    plan, _ = _search(folder)
    return Recheck(shared_engine(), plan.circuit, plan.points, plan.conditions, plan.limits)


def solve_envelope_day(folder: str, day: int) -> None:
    """Seek the envelopes of a day and write its file."""
    plan, search = _search(folder)
    found = search.day(day * plan.circuit.steps_per_day, plan.seasons[day])
    save_arrays(
        day_file(folder, day), {one.name: getattr(found, one.name) for one in fields(EnvelopeFound)}
    )


def check_envelope_day(folder: str, day: int, steps: Sequence[int]) -> None:
    """Solve envelopes of some steps of a day again with OpenDSS, and write how they come out."""
    plan, search = _search(folder)
    found = EnvelopeFound(**load_arrays(day_file(folder, day)))
    first, season = day * plan.circuit.steps_per_day, plan.seasons[day]
    bases = search.grid.day(first, (), 0.0)
    parts, place = search.parts(season), search.grid.solver.place
    check = _recheck(folder)
    rows = [
        (step, *row)
        for step in steps
        for row in check_envelope(
            check, found, step - first, search.vertices, (bases[step - first], place), parts
        )
    ]
    names = ("step", *CHECK_COLUMNS)
    columns = dict(zip(names, (np.array(one) for one in zip(*rows, strict=True)), strict=True))
    save_arrays(day_file(folder, day, "check"), columns)


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
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Seek the envelopes of a study's fleet at every step of its calendar.

    Parameters
    ----------
    study, feeder
        The study, and its feeder with the conditions' commands.
    conditions, settings
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
        ``envelopes``, and ``envelope_check``, how a sample of them came out on OpenDSS.
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
    jobs = {day: (str(folder), day) for day in range(len(days))}
    _solved("envelope", solve_envelope_day, jobs, folder, workers=workers, tell=tell)
    found = [EnvelopeFound(**load_arrays(day_file(folder, day))) for day in range(len(days))]
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
    checked = _checked(study, table, folder, workers=workers, tell=tell)
    summary = _summary(plan, table, found, names) | {"check": _check_figures(checked)}
    return {"envelopes": table, "envelope_check": checked}, summary


def _solved(
    stage: str,
    function: Callable[..., None],
    jobs: Mapping[int, tuple[Any, ...]],
    folder: Path,
    *,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> None:
    """Solve the days that have no file of a stage yet."""
    kind = "found" if stage == "envelope" else "check"
    left = [(day, job) for day, job in jobs.items() if not day_file(folder, day, kind).is_file()]
    run_days(
        stage, function, left, lambda day: f"{stage} of day {day}",
        total=len(jobs), workers=workers, tell=tell,
    )  # fmt: skip


def _checked(
    study: Study,
    table: pd.DataFrame,
    folder: Path,
    *,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> pd.DataFrame:
    """Solve a sample of steps again with OpenDSS; return a row a state."""
    section = study.content.hosting.envelope
    total = table.groupby("step")[["import_kw", "export_kw"]].sum(min_count=1).dropna()
    steps: list[int] = []
    if section is not None and section.check_steps and len(total):
        drawn = np.random.default_rng(study.content.seed).permutation(total.index)
        least = [int(total[name].idxmin()) for name in total]
        steps = sorted({*drawn[: section.check_steps].tolist(), *least})
    by_day: dict[int, list[int]] = {}
    for step in steps:
        by_day.setdefault(step // study.calendar.steps_per_day, []).append(step)
    jobs = {day: (str(folder), day, mine) for day, mine in by_day.items()}
    _solved("envelope check", check_envelope_day, jobs, folder, workers=workers, tell=tell)
    blank = pd.DataFrame(columns=["step", *CHECK_COLUMNS])
    parts = [pd.DataFrame(load_arrays(day_file(folder, day, "check"))) for day in by_day]
    rows = pd.concat(parts, ignore_index=True) if parts else blank
    axis = study.calendar.table()[["step", "season", "month", "day_type", "hour", "minute"]]
    return axis.merge(rows, on="step")


def _check_figures(checked: pd.DataFrame) -> dict[str, Any]:
    """Return how the sample came out on OpenDSS."""
    above = checked["size"] == "above"
    right = checked["as_said"].astype(bool)
    off = (checked.loc[~right, "nearest"].astype(float) - 1).abs().max()
    return {
        "steps": int(checked["step"].nunique()),
        "at_limits": int((~above).sum()),
        "pass_at_limits": int((right & ~above).sum()),
        "above": int(above.sum()),
        "fail_above": int((right & above).sum()),
        "same_place": int((checked["same_place"].astype(bool) & above).sum()),
        "largest_share_of_room_off": 0.0 if right.all() else float(off),
    }


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
