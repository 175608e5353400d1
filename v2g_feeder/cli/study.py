"""``v2g-feeder study``: run a study and write its result folder."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from v2g_feeder.cli.shown import (
    allow_path_option,
    json_option,
    quiet_option,
    seed_option,
    show_json,
    show_table,
    shown_run,
    workers_option,
)
from v2g_feeder.study.ahead import feeder_ahead
from v2g_feeder.workers import worker_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from v2g_feeder.study.many import Row

__all__ = ["study"]

_PEAKS: Final = ("no_ev", "uncontrolled", "managed", "export")


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Result folder, default results/NAME; of several studies the folder of all, results.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with a run that was interrupted; of several, take finished ones as they are.",
)
@workers_option
@allow_path_option
@seed_option
@json_option
@quiet_option
@click.pass_context
def study(
    ctx: click.Context,
    files: tuple[Path, ...],
    out: Path | None,
    workers: int | None,
    allowed: tuple[Path, ...],
    seed: int | None,
    *,
    overwrite: bool,
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the study in FILE (YAML) and write tables, arrays, report and OpenDSS package.

    Several files, or a pattern such as "feeders/*.yaml", are run one after the other: a table of
    all is printed and written as summary.csv. One that fails does not stop the others; the exit
    code is that of the worst.
    """
    load: dict[str, Any] = {"allowed": allowed, "seed": seed}
    with _begun(files, workers, load) as begun, shown_run(hidden=quiet or as_json) as given:
        from v2g_feeder.study.config import load_study
        from v2g_feeder.study.many import exit_code_of, named_files, run_many, worst
        from v2g_feeder.study.run import run_study

        named = named_files(files)
        if len(named) > 1:
            parent = out or Path("results")
            rows = run_many(
                named,
                parent,
                overwrite=overwrite,
                resume=resume,
                load=load,
                run=lambda number, file: _told(number, len(named), file, given) | begun,
            )
        else:
            checked = load_study(named[0], **load)
            folder = out or Path("results") / checked.content.name
            options = {"overwrite": overwrite, "resume": resume} | begun | given
            summary = run_study(checked, folder, **options)
    if len(named) > 1:
        _print_many(rows, parent, as_json=as_json)
        ctx.exit(worst(rows))
    if as_json:
        show_json(folder, summary)
    else:
        _print(summary, folder)
    ctx.exit(exit_code_of(summary))


@contextmanager
def _begun(
    files: Sequence[Path], workers: int | None, load: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield workers for a run; those of one study begin with it while this process imports."""
    if len(files) > 1 or not files[0].is_file():
        yield {"workers": workers}
        return
    with worker_pool(workers) as pool:
        yield {"workers": pool, "ahead": feeder_ahead(files[0], load, pool)}


def _told(number: int, total: int, file: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Say which study comes, and return what it is given."""
    given["notice"](f"study {number + 1} of {total}: {file}")
    return given


def _print_many(rows: Sequence[Row], parent: Path, *, as_json: bool) -> None:
    """Print a line a study, and why some have no result or less than a whole one."""
    from v2g_feeder.store import plain
    from v2g_feeder.study.many import SUMMARY

    if as_json:
        click.echo(json.dumps({"results": str(parent), "studies": plain([vars(r) for r in rows])}))
        return
    show_table(
        "Studies, case expected, mean over draws: peak at the head, kW; harm in place-hours",
        ["study", "status", "no EV", "uncontrolled", "managed", "export", "harm managed", "export"],
        [
            [
                row.study or row.file,
                row.status,
                *(_figure(getattr(row, f"peak_kw_{name}")) for name in _PEAKS),
                *(_figure(getattr(row, f"harm_{name}_h")) for name in _PEAKS[2:]),
            ]
            for row in rows
        ],
    )
    for row in rows:
        if row.problem:
            click.echo(f"{row.status}: {row.study or row.file}: {row.problem}", err=True)
    click.echo(f"\ntable: {parent / SUMMARY}")


def _figure(value: float) -> str:
    return "-" if value != value else f"{value:.0f}"  # noqa: PLR0124  # not a number


def _print(summary: dict[str, Any], folder: Path) -> None:
    """Print the answer and a table of runs."""
    from v2g_feeder.report.answer import answer

    click.echo()
    for line in answer(summary):
        click.echo(line)
    click.echo()
    hours: dict[tuple[str, str, str], float] = {}
    for row in summary["harm_and_relief"]:
        key = (row["policy"], row["case"], row["outcome"])
        hours[key] = hours.get(key, 0.0) + row["place_hours_mean"]
    rows = [
        [
            row["policy"],
            row["case"],
            f"{row['peak_kw_mean']:.0f}",
            row["peak_at"],
            *(
                f"{hours.get((row['policy'], row['case'], outcome), 0.0):.1f}"
                for outcome in ("harm", "relief")
            ),
        ]
        for row in summary["head"]
    ]
    none = sum(kept for key, kept in hours.items() if key[0] == "no_ev")
    show_table(
        "Runs, mean over draws: peak at the head; harm and relief against the reference\n"
        "run, in place-hours of the modelled days. Without EVs, "
        f"{none:.1f} place-hours break a limit.",
        ["policy", "case", "peak kW", "at", "harm", "relief"],
        rows,
    )
    click.echo(f"\nreport: {folder / 'report.html'}")
