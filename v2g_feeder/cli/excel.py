"""``v2g-feeder excel``: a result as a workbook."""

from __future__ import annotations

from pathlib import Path

import click

from v2g_feeder.cli.shown import quiet_option

__all__ = ["excel"]


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File; default RESULT/NAME.xlsx.")
@click.option("--hour-ending", is_flag=True, help="Name hours by their end: 17:00-18:00 is 18.")
@quiet_option
def excel(result: Path, out: Path | None, *, hour_ending: bool, quiet: bool) -> None:
    """Write the tables of RESULT as an Excel workbook, ready to filter and pivot."""
    from v2g_feeder.errors import InputError, Problem
    from v2g_feeder.report.excel import write_workbook

    path = out or result / f"{result.resolve().name}.xlsx"
    if path.suffix.lower() != ".xlsx":
        raise InputError(Problem("--out", f"{path.name!r} is no workbook", "end it in .xlsx"))
    sheets = write_workbook(result, path, ending=hour_ending)
    if not quiet:
        click.echo(f"wrote {path}: {', '.join(sheets)}")
