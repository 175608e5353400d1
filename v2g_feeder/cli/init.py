"""``v2g-feeder init``: write a study file to begin with."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from v2g_feeder.study.look import FeederLook

__all__ = ["init"]

_TEMPLATE: Final = """\
{schema}
# A study: feeder, fleet, what to look for. `v2g-feeder check {name}` says what it would run.
name: {title}
question: Does evening export relieve the feeder's peak, and what does it break where?
feeder:
  # ieee13, ieee34, ieee37, ieee123, or the path of an OpenDSS master file
  model: {model}
{secondaries}base_load:
  # native (the model's own shapes) | standard (a United States feeder) | csv (your measurements)
  source: {source}
{peak}calendar:
  seasons: {{winter: [12, 1, 2], spring: [3, 4, 5], summer: [6, 7, 8], autumn: [9, 10, 11]}}
  day_types: [weekday, weekend, peak_day, min_day]
fleets:
  - name: homes
    archetype: residential
    {size}
    export_capable: 0.4          # required: under 0.015 of EV models could export in 2026 (IEA)
    reserve_soc: 0.35            # never discharged below
    place: {place}
dispatch:
  export: {{window: "17:00-21:00", request_kw: {request}}}
screening: {{limits: {limits}}}   # ansi_c84_1_a, ansi_c84_1_b, en_50160 (Europe), ica, your own
draws: 10
seed: 1
"""


_SECONDARIES: Final = """\
  # services under medium-voltage loads; leave out where the model has them
  secondaries: {}
"""
_ASKED: Final = 0.15  # of the feeder's nominal load, to begin with
_AT_A_BUS: Final = 4
_SIXTY_OR_FIFTY: Final = 55.0  # Hz; a model of a 50 Hz network begins with European limits


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default="study.yaml")
@click.option("--model", default="ieee123", help="A shipped feeder or an OpenDSS master file.")
@click.option(
    "--buses",
    type=click.Path(path_type=Path),
    help="Where the vehicles are: a file with a bus a line, or a CSV with a column `bus`.",
)
def init(file: Path, model: str, buses: Path | None) -> None:
    """Write a study FILE (default study.yaml) to begin with; never overwrites one.

    A model of your own is looked at first: what it has (services, load shapes, its load) goes into
    the study, and every bus of a list is looked up.
    """
    from v2g_feeder.errors import InputError, Problem
    from v2g_feeder.feeder.library import feeder_names
    from v2g_feeder.store import write_text
    from v2g_feeder.study.look import look_at_feeder
    from v2g_feeder.study.schema import SCHEMA_FILE, SCHEMA_LINE, write_schema_beside

    if file.exists():
        raise InputError(Problem(str(file), "exists; name another file"))
    shipped = model.lower() in feeder_names()
    wanted = _bus_list(buses) if buses else []
    filled = {
        "title": re.sub(r"[^\w .,()+-]+", "-", file.stem) or "study",
        "model": model,
        "secondaries": _SECONDARIES,
        "source": "standard",
        "peak": "",
        "size": "penetration: {of: customers, share: 0.25}   # or vehicles: 240",
        "place": "{by: customers, phases: as_load}",
        "request": "500",
        "limits": "ansi_c84_1_a",
    }
    if model == "ieee123":
        filled["peak"] = "  head_peak_kw: 3000           # P and Q scaled together\n"
    if wanted or not shipped:
        look = look_at_feeder(model, Path.cwd())
        if not shipped:
            filled |= {"model": _beside(Path(model), file)} | _of_model(look)
        if wanted:
            filled |= _at_buses(look, wanted, str(buses))
    write_text(file, _TEMPLATE.format(schema=SCHEMA_LINE, name=file.name, **filled))
    write_schema_beside(file)
    click.echo(f"wrote {file}, and {SCHEMA_FILE} by which editors complete its keys")
    if not shipped:
        count = len(look.feeder.findings)
        noun = "finding" if count == 1 else "findings"
        click.echo(f"{count} {noun} on the model: v2g-feeder feeder {model}")
    allowed = _allowed(Path(model), file, shipped=shipped)
    click.echo(f"next: v2g-feeder check {file}{allowed}")
    click.echo(f"then: v2g-feeder study {file}{allowed}")


def _allowed(model: Path, file: Path, *, shipped: bool) -> str:
    """Return the option that lets the study read a model outside its own folder, if it is."""
    if shipped or model.resolve().is_relative_to(file.resolve().parent):
        return ""
    folder = str(model.parent)
    return f' --allow-path "{folder}"' if " " in folder else f" --allow-path {folder}"


def _beside(model: Path, file: Path) -> str:
    """Return the model's path as the study names it: relative where it lies in its folder."""
    path, folder = model.resolve(), file.resolve().parent
    inside = path.is_relative_to(folder)
    name = path.relative_to(folder).as_posix() if inside else path.as_posix()
    return json.dumps(name)


def _of_model(look: FeederLook) -> dict[str, str]:
    """Return what a model of one's own says: services, load shapes, how much to ask for."""
    from v2g_feeder.feeder.model import LOW_VOLTAGE_KV

    feeder = look.feeder
    low = [feeder.nominal_kv(bus) <= LOW_VOLTAGE_KV for bus in feeder.loads["bus"]]
    shapes = feeder.loads[["daily", "yearly"]].astype(str).apply(lambda names: names.str.lower())
    has_shapes = bool((~shapes.isin(["", "default", "none"])).any(axis=None))
    request = float(f"{_ASKED * feeder.loads['kw'].sum():.1g}")
    return {
        "secondaries": "" if sum(low) * 2 >= len(low) else _SECONDARIES,
        "source": "native" if has_shapes else "standard",
        "request": f"{max(request, 1.0):.0f}",
        "limits": "en_50160" if look.frequency_hz < _SIXTY_OR_FIFTY else "ansi_c84_1_a",
    }


def _bus_list(path: Path) -> list[str]:
    """Return the buses of a file: one a line, or the column ``bus`` of a CSV."""
    from v2g_feeder.errors import InputError, Problem

    if not path.is_file():
        raise InputError(Problem(str(path), "no such file"))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(Problem(str(path), "is not UTF-8 text", "save it as UTF-8")) from error
    lines = [line for line in lines if line.strip(" ,;\t") and not line.startswith("#")]
    between = max(",;\t", key=lines[0].count) if lines else ","
    rows = list(csv.reader(lines, delimiter=between))
    heads = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = heads.index("bus") if "bus" in heads else 0
    if "bus" in heads:
        rows = rows[1:]
    elif len(heads) > 1:
        there = f"its first line: {', '.join(cell.strip() for cell in rows[0])}"
        message = "has several columns and none of them is `bus`"
        raise InputError(Problem(str(path), message, there))
    names = [row[column].strip().partition(".")[0] for row in rows if len(row) > column]
    found = list(dict.fromkeys(name for name in names if name))
    if not found:
        raise InputError(Problem(str(path), "names no bus"))
    return found


def _at_buses(look: FeederLook, wanted: list[str], path: str) -> dict[str, str]:
    """Return a fleet at the buses of a list, each of which the model must have."""
    from v2g_feeder.errors import InputError, Problem, nearest

    known = {bus.lower(): look.named(bus) for bus in look.feeder.buses.index}
    problems = [
        Problem(path, f"unknown bus {bus!r}", nearest(bus, list(known.values())))
        for bus in wanted
        if bus.lower() not in known
    ]
    if problems:
        raise InputError(problems)
    names = ", ".join(json.dumps(known[bus.lower()]) for bus in wanted)
    return {
        "size": f"vehicles: {_AT_A_BUS * len(wanted)}   # {_AT_A_BUS} a bus: say how many you mean",
        "place": f"{{by: buses, buses: [{names}]}}",
    }
