"""``v2g-feeder init``: write a study file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

__all__ = ["init"]

_TEMPLATE: Final = """\
{schema}
# A study: feeder, fleet, what to look for. `v2g-feeder check {name}` says what it would run.
name: my-first-study
question: Does evening export relieve the feeder's peak, and what does it break where?
feeder:
  # ieee13, ieee34, ieee37, ieee123, or the path of an OpenDSS master file
  model: {model}
  # services under medium-voltage loads; leave out where the model has them
  secondaries: {{}}
base_load:
  # native (the model's own shapes) | standard (a United States feeder) | csv (your measurements)
  source: {source}
{peak}calendar:
  seasons: {{winter: [12, 1, 2], spring: [3, 4, 5], summer: [6, 7, 8], autumn: [9, 10, 11]}}
  day_types: [weekday, weekend, peak_day, min_day]
fleets:
  - name: homes
    archetype: residential
    penetration: {{of: customers, share: 0.25}}   # or vehicles: 240
    export_capable: 0.4          # required: under 0.015 of EV models could export in 2026 (IEA)
    reserve_soc: 0.35            # never discharged below
    place: {{by: customers, phases: as_load}}
dispatch:
  export: {{window: "17:00-21:00", request_kw: 500}}
screening: {{limits: ansi_c84_1_a}}
draws: 10
seed: 1
"""


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default="study.yaml")
@click.option("--model", default="ieee123", help="A shipped feeder or an OpenDSS master file.")
def init(file: Path, model: str) -> None:
    """Write a study FILE (default study.yaml) to begin with; never overwrites one."""
    from v2g_feeder.errors import InputError, Problem
    from v2g_feeder.feeder.library import feeder_names, resolve_model
    from v2g_feeder.store import write_text
    from v2g_feeder.study.schema import SCHEMA_FILE, SCHEMA_LINE, write_schema_beside

    if file.exists():
        raise InputError(Problem(str(file), "exists; name another file"))
    shipped = model.lower() in feeder_names()
    if not shipped:
        # relative to the study file, as every path in it
        resolve_model(model, Path.cwd())
        model = Path(model).resolve().as_posix()
    source = "standard" if shipped else "native"
    peak = "  head_peak_kw: 3000           # P and Q scaled together, losses included\n"
    text = _TEMPLATE.format(
        schema=SCHEMA_LINE,
        name=file.name,
        model=model,
        source=source,
        peak=peak if model == "ieee123" else "",
    )
    write_text(file, text)
    write_schema_beside(file)
    click.echo(f"wrote {file}, and {SCHEMA_FILE} by which editors complete its keys")
    click.echo(f"next: v2g-feeder check {file}")
