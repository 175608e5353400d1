"""``v2g-feeder doctor``: whether this installation works."""

from __future__ import annotations

import json
from typing import Final

import click

from v2g_feeder.cli.shown import json_option

__all__ = ["doctor"]

_FAILED: Final = 6


@click.command()
@click.pass_context
@json_option
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Say what is installed and test it in a few seconds; exit code 6 if the test fails."""
    from v2g_feeder.study.doctor import installed, self_test

    found, tests = installed(), self_test()
    well = all(test.holds for test in tests)
    if as_json:
        answers = [test._asdict() for test in tests]
        click.echo(json.dumps({"installed": found, "self_test": answers, "well": well}))
    else:
        for name, text in found.items():
            click.echo(f"{name:<16}{text}")
        click.echo("\nself-test")
        for test in tests:
            click.echo(f"{'  ok  ' if test.holds else '  FAIL'}  {test.question}: {test.found}")
        click.echo("all is well" if well else "THE SELF-TEST FAILED: do not trust results of this")
    if not well:
        ctx.exit(_FAILED)
