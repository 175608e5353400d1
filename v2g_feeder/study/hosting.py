"""Nodal hosting capacity of a study: candidates, days in workers, OpenDSS's check, the result."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml

from v2g_feeder.errors import FeederError
from v2g_feeder.hosting import CAPACITY_COLUMNS, annual_minima, candidates, capacity_table
from v2g_feeder.hosting.bounds import parts_of
from v2g_feeder.hosting.table import unrated_buses
from v2g_feeder.report.hosting_page import write_hosting_page
from v2g_feeder.resume import finish, working_folder
from v2g_feeder.store import ContentHash, csv_text, write_json, write_text
from v2g_feeder.study.hosting_further import further_answers
from v2g_feeder.study.hosting_mitigation import (
    curtailed_export,
    measure_plans,
    mitigation_parts,
    mitigation_table,
)
from v2g_feeder.study.hosting_summary import hosting_summary, ranges
from v2g_feeder.study.hosting_units import (
    HostingPlan,
    check_day,
    checked_days,
    load_check,
    load_day,
    run_days,
    solve_day,
    solved_days,
    write_checked,
    write_hosting_plan,
)
from v2g_feeder.study.names import as_written, printed
from v2g_feeder.study.run import begin, inputs_of
from v2g_feeder.study.write import manifest_of
from v2g_feeder.workers import default_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.hosting import Conditions
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage

    Tell = Callable[[str, int, int], None]

__all__ = ["run_hosting"]

_KEY: Final = ["bus", "connection", "direction"]


@dataclass(frozen=True)
class _Case:
    """The question under one set of conditions.

    Parameters
    ----------
    asked
        The conditions as the study states them; of an unknown reverse mode there are several cases.
    plan, folder
        What the workers read, and where.
    """

    asked: Conditions
    plan: HostingPlan
    folder: Path


def run_hosting(
    study: Study,
    out: Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
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
    resume
        Go on with a run that was interrupted in ``out``, if there is one.
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
        Before anything is written, if the feeder cannot be searched, or the run to go on with had
        other inputs; for a day that was lost.
    """
    workers = workers or default_workers()
    tell, feeder = begin(
        study, out, overwrite=overwrite, progress=progress, notice=notice, resume=resume
    )
    plans = _plans(study, feeder)
    working = working_folder(out, inputs_of(study, feeder), resume=resume)
    cases = [
        _Case(asked, plan, working / f"c{number}") for number, (asked, plan) in enumerate(plans)
    ]
    first = cases[0]
    measures = {
        name: _Case(first.asked, plan, working / f"m{number}")
        for number, (name, plan) in enumerate(measure_plans(study, feeder, first.plan).items())
    }
    every = [*cases, *measures.values()]
    for case in every:
        write_hosting_plan(case.plan, case.folder)
    try:
        effort = _searched(study, every, workers, tell)
    except FeederError:  # the batch engine refuses the model, before any day is solved
        shutil.rmtree(out)
        raise
    table = pd.concat([_table(study, feeder, case) for case in cases], ignore_index=True)
    checked = _checked(study, cases, table, workers, tell)
    searched = {name: _table(study, feeder, case) for name, case in measures.items()}
    bought = _bought(study, _of(table, first), measures, searched, workers=workers, tell=tell)
    effort["searched"] = len(table) + sum(len(rows) for rows in searched.values())
    summary = _write(study, feeder, cases, out, (table, checked, effort), bought)
    content = summary["content_sha256"]
    summary |= further_answers(study, feeder, (out, working), content, workers=workers, tell=tell)
    write_json(out / "manifest.json", manifest_of(study, feeder, workers, command))
    write_json(out / "summary.json", summary)
    tell("report", 0, 1)
    write_hosting_page(out)
    tell("report", 1, 1)
    finish(working)
    return summary


def _plans(study: Study, feeder: FeederStage) -> list[tuple[Conditions, HostingPlan]]:
    """Return the conditions that are asked for, and what the workers need for each case of them."""
    section = study.content.hosting
    points = candidates(
        feeder.feeder,
        list(feeder.observed.voltages["bus"]),
        section.wanted_buses(),
        section.wanted_connections(),
    )
    return [
        (
            asked,
            HostingPlan(
                circuit=feeder.under(conditions.commands(feeder.feeder)).circuit,
                points=points,
                conditions=conditions,
                limits=study.limits,
                search=section.search(),
                seasons=[day.season for day in study.calendar.days],
            ),
        )
        for asked in section.asked()
        for conditions in asked.alternatives(feeder.feeder)
    ]


def _searched(study: Study, cases: Sequence[_Case], workers: int, tell: Tell) -> dict[str, Any]:
    """Search all days that have no file yet; return the effort."""
    days = study.calendar.days
    total = len(days) * len(cases)
    jobs = [
        ((number, day), (str(case.folder), day))
        for number, case in enumerate(cases)
        for day in sorted({*range(len(days))} - solved_days(case.folder))
    ]
    began, found = time.perf_counter(), total - len(jobs)

    def search(key: tuple[int, int]) -> str:
        return f"the search of {days[key[1]].label} ({cases[key[0]].plan.conditions.words()})"

    run_days("capacity", solve_day, jobs, search, total=total, workers=workers, tell=tell)
    seconds = time.perf_counter() - began
    return {
        "units": total,
        "units_of_an_earlier_run": found,
        "solves": sum(
            int(load_day(case.folder, day).solves.sum())
            for case in cases
            for day in range(len(days))
        ),
        "seconds": seconds,
        "workers": workers,
    }


def _table(study: Study, feeder: FeederStage, case: _Case) -> pd.DataFrame:
    """Return the answers of all days, by bus, connection, direction and step."""
    axis, plan = study.calendar.table(), case.plan
    unrated = unrated_buses(feeder.feeder, feeder.observed, study.limits)
    parts = [
        capacity_table(
            load_day(case.folder, day),
            plan.points,
            parts_of(feeder.observed, study.limits, season, plan.search.events),
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
    return table[list(CAPACITY_COLUMNS)].assign(conditions=plan.conditions.words())


def _bought(
    study: Study,
    table: pd.DataFrame,
    measures: Mapping[str, _Case],
    searched: Mapping[str, pd.DataFrame],
    *,
    workers: int,
    tell: Tell,
) -> dict[str, pd.DataFrame]:
    """Return what measures buy, and what chargers lose to their curves by step, as they are named.

    Neither is there where nothing is asked for.
    """
    if not study.content.hosting.mitigation:
        return {}
    curtailed = {
        name: curtailed_export(
            study, case.plan, case.folder, searched[name], workers=workers, tell=tell
        )
        for name, case in measures.items()
    }
    found = {"hosting_mitigation": mitigation_table(study, table, searched, curtailed)}
    by_step = [rows.assign(measure=name) for name, rows in curtailed.items() if len(rows)]
    if by_step:
        rows = pd.concat(by_step, ignore_index=True)
        found["hosting_curtailment"] = rows[["measure", *rows.columns.drop("measure")]]
    return found


def _of(table: pd.DataFrame, case: _Case) -> pd.DataFrame:
    """Return the rows under the conditions of a case."""
    return table[table["conditions"] == case.plan.conditions.words()]


def _minima(table: pd.DataFrame) -> pd.DataFrame:
    """Return the annual minima under each of the conditions."""
    return pd.concat(
        [annual_minima(mine) for _, mine in table.groupby("conditions", sort=False)],
        ignore_index=True,
    )


def _checked(
    study: Study, cases: Sequence[_Case], table: pd.DataFrame, workers: int, tell: Tell
) -> pd.DataFrame:
    """Solve annual minima and a random sample again with OpenDSS; return a row an answer."""
    section = study.content.hosting
    known = table[table["kw"].notna()]
    rng = np.random.default_rng(study.content.seed)
    drawn = rng.permutation(len(known))[: section.check_pairs]
    rows = [known.iloc[np.sort(drawn)].assign(why="random")]
    if section.check_minima:
        rows.insert(0, _minima(known).assign(why="annual minimum"))
    sample = pd.concat(rows).drop_duplicates([*_KEY, "step", "conditions"])
    if sample.empty:
        return sample.assign(
            passes=True, fails=True, same_place=True, nearest=np.nan, base_apart=0.0
        )
    numbers = {case.plan.conditions.words(): number for number, case in enumerate(cases)}
    sample = sample.assign(case=sample["conditions"].map(numbers))
    sample = sample.sort_values(["case", "step"], kind="stable", ignore_index=True)
    days = (sample["step"] // study.calendar.steps_per_day).rename("day")
    units = {
        (int(number), int(day)): mine
        for (number, day), mine in sample.drop(columns="case").groupby([sample["case"], days])
    }
    for number, case in enumerate(cases):
        keys = case.plan.points.set_index(["bus", "connection"]).index
        mine = sample.loc[sample["case"] == number, ["bus", "connection"]]
        write_checked(case.plan.points[keys.isin(pd.MultiIndex.from_frame(mine))], case.folder)
    there = {(n, day) for n, case in enumerate(cases) for day in checked_days(case.folder)}
    jobs = [
        (key, (str(cases[key[0]].folder), key[1], mine))
        for key, mine in units.items()
        if key not in there
    ]
    run_days(
        "check", check_day, jobs, lambda _: "the check by OpenDSS",
        total=len(units), workers=workers, tell=tell,
    )  # fmt: skip
    verdicts = [load_check(cases[number].folder, day) for number, day in units]
    return pd.concat([sample.drop(columns="case"), pd.concat(verdicts, ignore_index=True)], axis=1)


def _write(
    study: Study,
    feeder: FeederStage,
    cases: Sequence[_Case],
    out: Path,
    results: tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]],
    bought: dict[str, pd.DataFrame],
) -> dict[str, Any]:
    """Write the tables; return the summary."""
    table, checked = (printed(rows, feeder) for rows in results[:2])
    effort = results[2]
    content = ContentHash()
    minima = _minima(table)
    tables = {"hosting_capacity": table, "hosting_minima": minima, "hosting_check": checked}
    asked = {case.plan.conditions.words(): case.asked.words() for case in cases}
    if len(cases) > 1:
        tables["hosting_range"] = ranges(minima, asked)
    tables |= {name: printed(rows, feeder) for name, rows in bought.items()}
    for name, rows in tables.items():
        text = csv_text(rows)
        content.add_text(name, text)
        write_text(out / f"{name}.csv", text)
    buses = feeder.feeder.buses.reset_index()
    columns = ["bus", "parent", "x", "y", "phase", "kv_base_ln", "km"]
    shown = printed(buses[columns], feeder)
    shown["parent"] = [as_written(str(bus), feeder.names) for bus in buses["parent"]]
    write_text(out / "buses.csv", csv_text(shown))
    write_text(
        out / "study.yaml", yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True)
    )
    plans = [case.plan for case in cases]
    return hosting_summary(study, feeder, plans, asked, (table, minima, checked, effort)) | {
        **mitigation_parts(study, tables.get("hosting_mitigation"), plans[0].search),
        "content_sha256": content.hexdigest(),
    }
