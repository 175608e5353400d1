"""Nodal hosting capacity of a study: candidates, days in workers, OpenDSS's check, the result."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml

from v2g_feeder.conventions import Criterion
from v2g_feeder.errors import FeederError, UnitError
from v2g_feeder.hosting import CAPACITY_COLUMNS, annual_minima, candidates, capacity_table
from v2g_feeder.hosting.bounds import SEARCHED, parts_of
from v2g_feeder.hosting.table import unrated_buses
from v2g_feeder.screening import criteria_of, unknowns
from v2g_feeder.store import (
    SCHEMA_VERSION,
    ContentHash,
    csv_text,
    empty_folder,
    write_json,
    write_text,
)
from v2g_feeder.study.hosting_further import further_answers
from v2g_feeder.study.hosting_units import (
    HostingPlan,
    check_day,
    load_day,
    solve_day,
    write_checked,
    write_hosting_plan,
)
from v2g_feeder.study.run import begin
from v2g_feeder.study.summary import feeder_figures, records
from v2g_feeder.study.write import manifest_of, printed
from v2g_feeder.workers import default_workers, run_units

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage

    Tell = Callable[[str, int, int], None]

__all__ = ["run_hosting"]

_SHOWN: Final = 8
_DAY_DEADLINE_S: Final = 6 * 3600.0
_KEY: Final = ["bus", "connection", "direction"]
_VOLTAGES: Final = (
    Criterion.OVER_VOLTAGE, Criterion.UNDER_VOLTAGE, Criterion.SUDDEN_VOLTAGE,
    Criterion.SLOW_VOLTAGE,
)  # fmt: skip


def run_hosting(
    study: Study,
    out: Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Tell | None = None,
    notice: Callable[[str], None] | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Search the hosting capacity of a study's feeder and write its result folder.

    Parameters
    ----------
    study
        A checked study; its fleets are not looked at.
    out
        Result folder; must not exist, be empty, or hold an earlier result with ``overwrite``.
    workers
        Worker processes; default the processors at hand. The result does not depend on it.
    overwrite
        Replace an earlier result.
    progress
        Called with stage, done and total.
    notice
        Called with lines that a user should read before any result.
    command
        The command line, for the manifest.

    Returns
    -------
    dict
        Contents of ``summary.json``.

    Raises
    ------
    InputError, FeederError, UnitError
        Before anything is written, if the feeder cannot be searched; for a day that was lost.
    """
    workers = workers or default_workers()
    tell, feeder = begin(study, out, overwrite=overwrite, progress=progress, notice=notice)
    plan = _plan(study, feeder)
    folder = empty_folder(out)
    write_hosting_plan(plan, folder)
    began = time.perf_counter()
    try:
        solves = _searched(study, folder, workers, tell)
    except FeederError:  # the batch engine refuses the model, before any day is solved
        shutil.rmtree(out)
        raise
    seconds = time.perf_counter() - began
    table = _table(study, feeder, plan, folder)
    checked = _checked(study, plan, table, folder, workers, tell)
    effort = {"pairs": len(table), "solves": solves, "seconds": seconds, "workers": workers}
    summary = _write(study, feeder, plan, out, (table, checked, effort))
    content = summary["content_sha256"]
    summary |= further_answers(study, feeder, out, content, workers=workers, tell=tell)
    write_json(out / "manifest.json", manifest_of(study, feeder, workers, command))
    shutil.rmtree(folder)
    write_json(out / "summary.json", summary)
    return summary


def _plan(study: Study, feeder: FeederStage) -> HostingPlan:
    """Return what the workers need."""
    section = study.content.hosting
    conditions = section.conditions.settings()
    points = candidates(
        feeder.feeder,
        list(feeder.observed.voltages["bus"]),
        section.wanted_buses(),
        section.wanted_connections(),
    )
    commands = (*feeder.circuit.commands, *conditions.commands(feeder.feeder))
    return HostingPlan(
        circuit=replace(feeder.circuit, commands=commands),
        points=points,
        conditions=conditions,
        limits=study.limits,
        search=section.search(),
        seasons=[day.season for day in study.calendar.days],
    )


def _searched(study: Study, folder: Path, workers: int, tell: Tell) -> int:
    """Search all days; return the number of power flows."""
    days = len(study.calendar.days)
    tell("capacity", 0, days)
    jobs = [(day, (str(folder), day)) for day in range(days)]
    solves = 0
    outcomes = run_units(solve_day, jobs, workers=workers, deadline_s=_DAY_DEADLINE_S)
    for done, outcome in enumerate(outcomes, 1):
        if outcome.lost:
            label = study.calendar.days[outcome.key].label
            raise UnitError(f"the search of {label} was lost: {outcome.lost}")
        solves += int(outcome.result or 0)
        tell("capacity", done, days)
    return solves


def _table(study: Study, feeder: FeederStage, plan: HostingPlan, folder: Path) -> pd.DataFrame:
    """Return the answers of all days, by bus, connection, direction and step."""
    axis = study.calendar.table()
    unrated = unrated_buses(feeder.feeder, feeder.observed, study.limits)
    parts = [
        capacity_table(
            load_day(folder, day),
            plan.points,
            parts_of(feeder.observed, study.limits, season),
            axis[axis["day"] == day],
            plan.search,
            unrated,
        )
        for day, season in enumerate(plan.seasons)
    ]
    table = pd.concat(parts, ignore_index=True)
    position = {bus: number for number, bus in enumerate(dict.fromkeys(plan.points["bus"]))}
    table["place"] = table["bus"].map(position)
    table = table.sort_values(["place", *_KEY[1:], "step"], kind="stable", ignore_index=True)
    return table[list(CAPACITY_COLUMNS)]


def _checked(
    study: Study, plan: HostingPlan, table: pd.DataFrame, folder: Path, workers: int, tell: Tell
) -> pd.DataFrame:
    """Solve annual minima and a random sample again with OpenDSS; return a row an answer."""
    section = study.content.hosting
    known = table[table["kw"].notna()]
    rng = np.random.default_rng(study.content.seed)
    drawn = rng.permutation(len(known))[: section.check_pairs]
    rows = [known.iloc[np.sort(drawn)].assign(why="random")]
    if section.check_minima:
        rows.insert(0, annual_minima(known).assign(why="annual minimum"))
    sample = pd.concat(rows).drop_duplicates([*_KEY, "step"])
    if sample.empty:
        return sample.assign(passes=True, fails=True, same_place=True, nearest=np.nan)
    sample = sample.sort_values("step", kind="stable", ignore_index=True)
    keys = plan.points.set_index(["bus", "connection"]).index
    wanted = pd.MultiIndex.from_frame(sample[["bus", "connection"]])
    write_checked(plan.points[keys.isin(wanted)], folder)
    days = sample["step"] // study.calendar.steps_per_day
    jobs = [(int(day), (str(folder), int(day), rows)) for day, rows in sample.groupby(days)]
    found = {}
    tell("check", 0, len(jobs))
    outcomes = run_units(check_day, jobs, workers=workers, deadline_s=_DAY_DEADLINE_S)
    for done, outcome in enumerate(outcomes, 1):
        if outcome.lost:
            raise UnitError(f"the check by OpenDSS was lost: {outcome.lost}")
        found[outcome.key] = outcome.result or []
        tell("check", done, len(jobs))
    verdicts = [verdict for day, _ in jobs for verdict in found[day]]
    return pd.concat([sample, pd.DataFrame(verdicts)], axis=1)


def _write(
    study: Study,
    feeder: FeederStage,
    plan: HostingPlan,
    out: Path,
    results: tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]],
) -> dict[str, Any]:
    """Write the tables; return the summary."""
    table, checked, effort = results
    content = ContentHash()
    minima = annual_minima(table)
    tables = {"hosting_capacity": table, "hosting_minima": minima, "hosting_check": checked}
    for name, rows in tables.items():
        text = csv_text(_named(rows, feeder))
        content.add_text(name, text)
        write_text(out / f"{name}.csv", text)
    write_text(
        out / "study.yaml", yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True)
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "name": study.content.name,
        "question": study.content.question,
        "feeder": feeder_figures(study, feeder),
        "conditions": conditions_lines(study, plan),
        "settings": {"conditions": asdict(plan.conditions), "search": asdict(plan.search)},
        "candidates": len(plan.points),
        "steps": study.calendar.n_steps,
        "effort": effort | {"solves_a_pair": effort["solves"] / max(effort["pairs"], 1)},
        "capacity": records(_by_connection(minima)),
        "limiting": records(_limiting(table)),
        "status": {str(name): int(n) for name, n in table["status"].value_counts().items()},
        "check": _check_figures(checked),
        "unrated": _unrated(study, feeder, table),
        "not_searched": _not_searched(study, feeder),
        "findings": [f"{finding.kind}: {finding.message}" for finding in feeder.findings],
        "notes": list(feeder.notes),
        "content_sha256": content.hexdigest(),
    }


def conditions_lines(study: Study, plan: HostingPlan) -> list[str]:
    """Return the conditions of every number of a search, a line each."""
    search, base = plan.search, study.content.base_load
    scan = search.rules(settles=plan.conditions.settles).scan
    peak = "" if base.head_peak_kw is None else f", head peak {base.head_peak_kw:g} kW"
    lines = {
        "feeder": plan.conditions.words(),
        "load level": f"{base.source} base load{peak}, {len(study.calendar.days)} days of "
        f"{study.calendar.steps_per_day} steps; generation in the model as the model says",
        "limits": f"{study.limits.name}; one charger at a time, unity power factor, constant power",
        "search": f"up to {search.maximum_kw:g} kW, tolerance the larger of "
        f"{search.tolerance_kw:g} kW and {search.tolerance_share:.1%}, {scan} sizes scanned "
        "beforehand",
    }
    return [f"{name}: {words}" for name, words in lines.items()]


def _named(table: pd.DataFrame, feeder: FeederStage) -> pd.DataFrame:
    """Return a table with names as the model wrote them."""
    place = table["limiting_element"]
    shown = printed(table.assign(element=place, node=place), feeder)
    at_node = table["limiting_criterion"].isin(_VOLTAGES)
    shown["limiting_element"] = shown["node"].where(at_node, shown["element"])
    return shown.drop(columns=["element", "node"])


def _by_connection(minima: pd.DataFrame) -> pd.DataFrame:
    """Return the least capacities by direction and connection: range and what limits most."""
    rows = []
    for (direction, connection), mine in minima.groupby(["direction", "connection"], sort=True):
        limiting = mine.loc[mine["limiting_criterion"] != "", "limiting_criterion"]
        rows.append(
            {
                "direction": direction,
                "connection": connection,
                "buses": len(mine),
                "kw_min": float(mine["kw"].min()),
                "kw_median": float(mine["kw"].median()),
                "kw_max": float(mine["kw"].max()),
                "bus_of_min": str(mine.loc[mine["kw"].idxmin(), "bus"]),
                "limiting": str(limiting.mode()[0]) if len(limiting) else "none",
            }
        )
    return pd.DataFrame(rows)


def _limiting(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many answers each criterion limits, by direction and status."""
    keys = ["direction", "limiting_criterion", "status"]
    return table.groupby(keys, sort=True).size().rename("answers").reset_index()


def _check_figures(checked: pd.DataFrame) -> dict[str, Any]:
    """Return how the answers came out on OpenDSS."""
    wrong = checked[~(checked["passes"] & checked["fails"])]
    off = (wrong["nearest"] - 1).abs().max() if len(wrong) else 0.0
    return {
        "checked": len(checked),
        "annual_minima": int((checked["why"] == "annual minimum").sum()),
        "passes_at_kw": int(checked["passes"].sum()),
        "fails_at_fails_at_kw": int(checked["fails"].sum()),
        "same_place": int(checked["same_place"].sum()),
        "largest_share_of_room_off": float(off),
    }


def _unrated(study: Study, feeder: FeederStage, table: pd.DataFrame) -> dict[str, Any]:
    """Return how much lies behind elements of unknown rating, where sizes are upper bounds."""
    buses = unrated_buses(feeder.feeder, feeder.observed, study.limits)
    above = feeder.feeder.tree.parent
    names = set(unknowns(feeder.observed)["element"])
    elements = sorted({above[bus][1] for bus in buses if above[bus][1] in names})
    return {
        "buses": len(buses),
        "answers": int(table["bus"].isin(buses).sum()),
        "elements": len(elements),
        "first_elements": elements[:_SHOWN],
    }


def _not_searched(study: Study, feeder: FeederStage) -> list[str]:
    """Return the criteria of the limits that no single state can show."""
    limited = {str(item.criterion) for item in criteria_of(feeder.observed, study.limits)}
    return sorted(limited - {str(criterion) for criterion in SEARCHED})
