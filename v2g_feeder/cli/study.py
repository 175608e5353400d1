"""``v2g-feeder study``: run a study and write its result folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

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

__all__ = ["study"]

_PARTIAL: Final = 5


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Result folder; default results/NAME.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@workers_option
@allow_path_option
@seed_option
@json_option
@quiet_option
@click.pass_context
def study(
    ctx: click.Context,
    file: Path,
    out: Path | None,
    workers: int | None,
    allowed: tuple[Path, ...],
    seed: int | None,
    *,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the study in FILE (YAML) and write tables, arrays, report and OpenDSS package."""
    from v2g_feeder.study.config import load_study
    from v2g_feeder.study.run import run_study

    checked = load_study(file, allowed=allowed, seed=seed)
    folder = out or Path("results") / checked.content.name
    with shown_run(hidden=quiet or as_json) as given:
        summary = run_study(
            checked,
            folder,
            workers=workers,
            overwrite=overwrite,
            **given,
        )
    if as_json:
        show_json(folder, summary)
    else:
        _print(summary, folder)
    validity = summary["validity"]
    if validity["lost_units"] or validity["invalid"]:
        ctx.exit(_PARTIAL)


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
