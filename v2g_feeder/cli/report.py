"""``v2g-feeder report``: build the report of a result again."""

from __future__ import annotations

from pathlib import Path

import click

from v2g_feeder.cli.shown import quiet_option

__all__ = ["report"]


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@quiet_option
def report(result: Path, *, quiet: bool) -> None:
    """Build the report of RESULT again from the files of the result folder, and its figures.

    Nothing is solved: after an update of this program the report of an old result gains what is
    new in the page.
    """
    from v2g_feeder.report.rebuild import rebuild

    page = rebuild(result)
    if not quiet:
        click.echo(f"report: {page}")
