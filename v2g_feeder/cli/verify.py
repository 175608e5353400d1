"""``v2g-feeder verify``: a result's OpenDSS package solved again by other engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from v2g_feeder.cli.shown import json_option, show_table

__all__ = ["verify"]

_DIFFERS: Final = 5


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def verify(ctx: click.Context, result: Path, *, as_json: bool) -> None:
    """Solve the OpenDSS package of RESULT again and compare with its voltages.

    The scripts run in stock OpenDSS, and in EPRI's own engine where py-dss-interface is installed.
    Exit code 5 if a voltage differs by more than a millionth; nothing is written.
    """
    from v2g_feeder.store import plain
    from v2g_feeder.study.verify import TOLERANCE_PU, verify_result

    found = verify_result(result)
    solved = [item for item in found if not item.missing]
    holds = bool(solved) and all(item.holds for item in solved)
    if as_json:
        rows = [vars(item) | {"holds": item.holds} for item in found]
        click.echo(json.dumps(plain({"result": result, "holds": holds, "engines": rows})))
    else:
        table = [
            [item.engine, str(item.steps), f"{item.difference_pu:.1e}", item.node, str(item.step)]
            for item in solved
        ]
        if table:
            show_table(
                f"{result}: voltages solved again",
                ["engine", "steps", "largest difference, pu", "at node", "step"],
                table,
            )
        for item in found:
            if item.missing:
                click.echo(f"{item.engine}: {item.missing}")
        click.echo(
            f"the result holds to {TOLERANCE_PU:g} pu"
            if holds
            else f"NOT VERIFIED: a voltage differs by more than {TOLERANCE_PU:g} pu"
        )
    if not holds:
        ctx.exit(_DIFFERS)
