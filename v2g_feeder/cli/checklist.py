"""``v2g-feeder checklist``: the five items of candidate feeders for a pilot, and their ranking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v2g_feeder.cli.shown import json_option, quiet_option, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["checklist"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Result folder; default results/NAME-checklist."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@json_option
@quiet_option
def checklist(file: Path, out: Path | None, *, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Answer the five-item checklist for every feeder in FILE (YAML): pass, fail or unknown.

    Writes a printable page a feeder and tables of all. Missing evidence is unknown. The exit code
    does not depend on the verdict.
    """
    from v2g_feeder.store import plain
    from v2g_feeder.study.checklist import load_checklist
    from v2g_feeder.study.checklist_run import run_checklist

    checked = load_checklist(file)
    folder = out or Path("results") / f"{checked.content.name}-checklist"
    summary = run_checklist(checked, folder, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(plain(summary)))
    elif not quiet:
        _print(summary, folder)


def _print(summary: Mapping[str, Any], folder: Path) -> None:
    """Print the ranking, why feeders wait, and where the files are."""
    feeders = summary["feeders"]
    columns = ["", "feeder", "verdict", *(item["item"] for item in feeders[0]["items"])]
    rows = [
        [
            str(feeder["rank"]),
            feeder["name"],
            feeder["verdict"],
            *(item["answer"] for item in feeder["items"]),
        ]
        for feeder in feeders
    ]
    show_table(summary["name"], [name.replace("_", " ") for name in columns], rows)
    click.echo()
    for feeder in feeders:
        if feeder["reasons"]:
            click.echo(f"{feeder['name']}: {'; '.join(feeder['reasons'])}")
    click.echo(f"\npages:  {folder / feeders[0]['page']} and one for each other feeder")
    click.echo(f"tables: {folder}: checklist.csv, figures.csv, ranking.csv; summary.json")
