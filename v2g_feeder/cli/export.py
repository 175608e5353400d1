"""``v2g-feeder export``: the OpenDSS package of another case and draw of a result."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from v2g_feeder.cli.shown import quiet_option
from v2g_feeder.conventions import Policy

__all__ = ["export"]

_POLICIES: Final = [str(policy) for policy in Policy]


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--policy", type=click.Choice(_POLICIES), default="export", show_default=True)
@click.option("--case", default="expected", show_default=True, help="One of the study's cases.")
@click.option("--draw", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="New folder; default beside RESULT.")
@quiet_option
def export(
    result: Path, policy: str, case: str, draw: int, out: Path | None, *, quiet: bool
) -> None:
    """Write the OpenDSS package of one case and draw of RESULT, runnable in stock OpenDSS."""
    from v2g_feeder.errors import InputError, Problem
    from v2g_feeder.study.package import export_case

    if not (result / "summary.json").is_file():
        raise InputError(Problem(str(result), "is not a result folder: it has no summary.json"))
    folder = out or result.parent / f"{result.name}_{policy}_{case}_{draw}"
    export_case(result, policy, case, draw, folder)
    if not quiet:
        click.echo(f"wrote {folder}; run {folder / 'run.dss'} in OpenDSS")
