"""``v2g-feeder fit``: an archetype from records of charging sessions or of duties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from v2g_feeder.cli.shown import json_option, quiet_option, show_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from v2g_feeder.fleet.archetypes import Archetype
    from v2g_feeder.fleet.records import Records

__all__ = ["fit"]

_SPLITS: Final = ("half", "user", "time", "none")


@click.command()
@click.argument("sessions", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), help="YAML file; default NAME.yaml.")
@click.option("--like", help="Archetype (name or file) that gives every figure records do not.")
@click.option("--columns", multiple=True, help="QUANTITY=COLUMN[,...], such as arrival=start.")
@click.option("--where", multiple=True, help="COLUMN=VALUE; only these rows.")
@click.option("--dates", type=click.Choice(["auto", "day-first", "month-first"]), default="auto")
@click.option(
    "--split",
    type=click.Choice(_SPLITS),
    default="half",
    help="What is kept back to score the fit: random sessions, random users, the later half.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="Seed of halves and draws.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier fit.")
@json_option
@quiet_option
def fit(
    sessions: tuple[Path, ...],
    out: Path | None,
    like: str | None,
    columns: tuple[str, ...],
    where: tuple[str, ...],
    dates: str,
    split: str,
    seed: int,
    *,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fit an archetype to the records in SESSIONS (CSV, also .gz, or ACN-style JSON).

    Writes NAME.yaml, the file to give a fleet as its archetype, and beside it NAME.goodness.csv
    and NAME.png. Charging sessions need plug-in, plug-out and energy, and better a user or a
    station; duties need start, end and miles. One half is fitted and scored on the other; the
    archetype that is written is fitted to all.
    """
    from v2g_feeder.errors import InputError
    from v2g_feeder.fleet.fit import fit_archetype
    from v2g_feeder.fleet.goodness import score
    from v2g_feeder.fleet.records import join_records, read_records

    target = out or Path(f"{sessions[0].name.split('.')[0]}.yaml")
    problems = [*_target_problems(target, overwrite=overwrite)]
    mapped, wrong = _pairs("--columns", ",".join(columns).split(",") if columns else [])
    wanted, more = _pairs("--where", where)
    problems += wrong + more
    parts = []
    for path in sessions:
        try:
            parts.append(read_records(path, columns=mapped, where=wanted, dates=dates))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    records = join_records(parts)
    archetype = fit_archetype(records, like=like, name=target.stem)
    table = None if split == "none" else score(records, like=like, split=split, seed=seed)
    written = _write(target, archetype, records, table, seed)
    if as_json:
        click.echo(json.dumps(_as_json(records, table, written)))
        return
    if not quiet:
        for line in _told(records):
            click.echo(line)
    if table is not None:
        _show(table, split)
    click.echo(f"wrote {', '.join(str(path) for path in written)}")


def _pairs(option: str, entries: Any) -> tuple[dict[str, str], list[Any]]:
    """Return NAME=VALUE entries as a mapping, and a problem for each that is not one."""
    from v2g_feeder.errors import Problem

    pairs, problems = {}, []
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name.strip() or not value.strip():
            problems.append(Problem(option, f"{entry!r} is not NAME=VALUE"))
        else:
            pairs[name.strip()] = value.strip()
    return pairs, problems


def _target_problems(target: Path, *, overwrite: bool) -> list[Any]:
    """Return why the fit cannot be written there."""
    from v2g_feeder.errors import Problem

    if target.suffix not in (".yaml", ".yml"):
        return [Problem(f"--out {target}", "an archetype's file ends in .yaml")]
    if overwrite:
        return []
    there = [path for path in _names(target) if path.exists()]
    return [Problem(str(path), "exists", "--overwrite replaces it") for path in there]


def _names(target: Path) -> tuple[Path, Path, Path]:
    """Return the files of a fit."""
    return target, target.with_suffix(".goodness.csv"), target.with_suffix(".png")


def _write(
    target: Path, archetype: Archetype, records: Records, table: pd.DataFrame | None, seed: int
) -> list[Path]:
    """Write the archetype, its goodness and its picture."""
    from v2g_feeder.fleet.fit import archetype_text
    from v2g_feeder.fleet.fit_figure import fit_figure
    from v2g_feeder.fleet.goodness import generated, observed
    from v2g_feeder.store import csv_text, write_text

    yaml_file, csv_file, picture = _names(target)
    drawn = generated(archetype, seed=seed)
    figure = fit_figure(observed(records), drawn, f"{target.stem}: fitted to {records.source}")
    head = [
        f"Archetype fitted by v2g-feeder fit to {records.source}.",
        "Marks: D computed from the records named in the source; those marked otherwise, or whose",
        "source begins with 'as', are taken over: edit them for your own fleet.",
    ]
    write_text(yaml_file, archetype_text(archetype, head))
    if table is not None:
        write_text(csv_file, csv_text(table))
    _save(figure, picture)
    return [path for path in (yaml_file, csv_file, picture) if path.exists()]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})


def _told(records: Records) -> list[str]:
    """Return in words what was read and what was dropped."""
    noun = "duties" if records.kind == "duty" else "sessions"
    lines = [f"{records.source}: {records.rows} rows, {len(records)} {noun} used"]
    lines += [f"  dropped {count}: {reason}" for reason, count in records.dropped.items()]
    lines += [f"  {note}" for note in records.notes]
    if records.kind == "sessions" and records.unit != "user":
        by = "station" if records.unit else "port that they fit on"
        lines.append(f"  no user in the records: sessions are followed by {by}")
    return lines


def _show(table: pd.DataFrame, split: str) -> None:
    """Print the goodness table."""
    words = {"half": "random half", "user": "half of the users", "time": "later half"}
    rows = [
        [
            row.measure,
            row.quantity,
            *(f"{value:.3f}" for value in (row.distance, row.half_to_half, row.limit)),
            "yes" if row.holds else "NO",
        ]
        for row in table.itertuples()
    ]
    show_table(
        f"Fitted to one half, scored on the other ({words[split]}); median over halves",
        ["measure", "of", "fitted", "records' halves", "limit", "holds"],
        rows,
    )


def _as_json(records: Records, table: pd.DataFrame | None, written: list[Path]) -> dict[str, Any]:
    """Return what was done, for ``--json``."""
    from v2g_feeder.store import plain

    content: dict[str, Any] = plain(
        {
            "records": records.source,
            "kind": records.kind,
            "rows": records.rows,
            "used": len(records),
            "dropped": dict(records.dropped),
            "goodness": [] if table is None else table.to_dict("records"),
            "written": written,
        }
    )
    return content
