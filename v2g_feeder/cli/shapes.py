"""``v2g-feeder shapes``: the load shapes of a study, without power flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v2g_feeder.cli.shown import allow_path_option, quiet_option, seed_option, show_table, shown_run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["shapes"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Result folder; default results/NAME-shapes."
)
@click.option("--draws", type=click.IntRange(1, 10_000), help="Replaces the study's draws.")
@allow_path_option
@seed_option
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@quiet_option
def shapes(
    file: Path,
    out: Path | None,
    draws: int | None,
    allowed: tuple[Path, ...],
    seed: int | None,
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write the load shapes of the study in FILE (YAML), without power flow.

    Signed kW by fleet and step, the ledger from nameplate to export, what events hold, figures and
    an OpenDSS package.
    """
    from v2g_feeder.study.config import load_study
    from v2g_feeder.study.shapes import run_shapes

    checked = load_study(file, allowed=allowed, seed=seed, draws=draws)
    folder = out or Path("results") / f"{checked.content.name}-shapes"
    with shown_run(hidden=quiet) as given:
        summary = run_shapes(
            checked,
            folder,
            overwrite=overwrite,
            **given,
        )
    _print(summary, folder)


def _print(summary: Mapping[str, Any], folder: Path) -> None:
    """Print the answer, a table of runs and where the files are."""
    from v2g_feeder.report.shapes_answer import shapes_answer
    from v2g_feeder.report.shapes_tables import run_rows

    click.echo()
    for line in shapes_answer(summary):
        click.echo(line)
    click.echo()
    head, rows, note = run_rows(summary)
    show_table("Runs", head, rows)
    click.echo(note)
    click.echo(f"\npage:    {folder / 'shapes.html'}")
    click.echo(f"tables:  {folder}: shapes.csv, ledger.csv, events.csv and others; shapes.nc")
    package = summary["package"]
    click.echo(
        f"OpenDSS: {folder / 'opendss' / 'run.dss'} "
        f"({package['policy']}, {package['case']}, draw {package['draw']})"
    )
