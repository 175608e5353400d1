"""``v2g-feeder check``: what a study would do, and how long, without writing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from v2g_feeder.cli.shown import (
    allow_path_option,
    json_option,
    quiet_option,
    seed_option,
    show_table,
    shown_run,
    workers_option,
)

__all__ = ["check"]

_OVERHEAD: Final = 2.0  # EVs, sudden steps, files and tables, per solved step; measured on IEEE 123


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@workers_option
@allow_path_option
@seed_option
@json_option
@quiet_option
def check(
    file: Path,
    workers: int | None,
    allowed: tuple[Path, ...],
    seed: int | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check the study in FILE (YAML): read it, load and solve the feeder, place the fleet."""
    from v2g_feeder.study.config import load_study
    from v2g_feeder.study.run import notices, prepare
    from v2g_feeder.study.units import plan_units
    from v2g_feeder.workers import default_workers

    checked = load_study(file, allowed=allowed, seed=seed)
    with shown_run(hidden=quiet or as_json) as given:
        given["progress"]("feeder", 0, 1)
        feeder, fleet = prepare(checked)
        given["progress"]("feeder", 1, 1)
    units = plan_units(fleet.kw, checked.calendar)
    solved = len(set(units.values()))
    used = workers or default_workers()
    seconds = solved * checked.calendar.steps_per_day * feeder.step_s * _OVERHEAD / used
    found: dict[str, Any] = {
        "study": checked.content.name,
        "feeder": str(checked.model),
        "buses": len(feeder.feeder.buses),
        "nodes": len(feeder.feeder.nodes),
        "customers": len(feeder.customers),
        "vehicles": len(fleet.vehicles),
        "connection_points": len(fleet.points),
        "runs": [f"{policy}/{case}" for policy, case in fleet.kw],
        "days": len(checked.calendar.days),
        "draws": checked.content.draws,
        "units": len(units),
        "units_solved": solved,
        "steps_solved": solved * checked.calendar.steps_per_day,
        "workers": used,
        "power_flow_by_opendss_s": round(seconds, 1),
        "notices": notices(feeder),
        "notes": list(feeder.notes),
    }
    if as_json:
        click.echo(json.dumps(found))
    if as_json or quiet:
        return
    rows = [
        [name.replace("_", " "), str(value)]
        for name, value in found.items()
        if not isinstance(value, list)
    ]
    show_table(f"{file}: nothing is wrong with it", ["", "what would run"], rows)
    click.echo("runs: " + ", ".join(found["runs"]))
    for line in (*found["notices"], *found["notes"]):
        click.echo(f"note: {line}")
    options = "".join(f' --allow-path "{folder}"' for folder in allowed)
    options += "" if seed is None else f" --seed {seed}"
    click.echo(f"next: v2g-feeder study {file}{options}")
