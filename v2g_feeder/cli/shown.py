"""What commands share: options, progress on the error stream, tables on the output."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "allow_path_option",
    "json_option",
    "quiet_option",
    "seed_option",
    "show_json",
    "show_table",
    "shown_run",
    "workers_option",
]

_STAGES = {
    "feeder": "feeder and base load",
    "fleet": "fleet and load shapes",
    "power flow": "power flow, days",
    "capacity": "capacity, days",
    "check": "check by OpenDSS, days",
    "fleet capacity": "fleet capacity, draws",
    "envelope": "envelope, days",
    "report": "tables and report",
}
_WIDEST = 1000

workers_option = click.option(
    "--workers", type=click.IntRange(1, 256), help="Worker processes; default all processors."
)
seed_option = click.option("--seed", type=click.IntRange(0), help="Replaces the study's seed.")
allow_path_option = click.option(
    "--allow-path",
    "allowed",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder, beside the study's own, that the study may name files in; repeatable.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine output on stdout alone."
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress and no notices.")


@contextmanager
def _progress_bar(*, hidden: bool) -> Iterator[tuple[Callable[[str, int, int], None], Console]]:
    """Yield a callback that shows the stages of a study, and the console it writes to."""
    console = Console(stderr=True, quiet=hidden)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=hidden) as bars:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            for name, task in tasks.items():
                if name != stage:
                    bars.update(task, completed=bars.tasks[task].total)
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield tell, console


@contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """Yield a function that raises an interrupt which came where Python could not raise it.

    In the callback of a weak reference, of which writing arrays makes many, it would be printed and
    forgotten.
    """
    missed: list[bool] = []
    before = sys.unraisablehook

    def note(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            missed.append(True)
        else:
            before(unraisable)

    def check() -> None:
        if missed:
            raise KeyboardInterrupt

    sys.unraisablehook = note
    try:
        yield check
    finally:
        sys.unraisablehook = before


@contextmanager
def shown_run(*, hidden: bool) -> Iterator[dict[str, Any]]:
    """Yield what every run of a study is given by the command line: progress, notices, command."""
    with _progress_bar(hidden=hidden) as (show, console), _interrupts() as check:

        def tell(stage: str, done: int, total: int) -> None:
            check()
            show(stage, done, total)

        yield {
            "progress": tell,
            "notice": lambda line: console.print(f"note: {line}", highlight=False, markup=False),
            "command": " ".join(["v2g-feeder", *sys.argv[1:]]),
        }


def show_json(folder: Path, summary: dict[str, Any]) -> None:
    """Print a summary as it stands on disk, with its folder."""
    from v2g_feeder.store import plain

    click.echo(json.dumps({"result": str(folder), **plain(summary)}))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on the standard output: text left, numbers right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        text = all(not row[number][:1].isdigit() and row[number][:1] != "-" for row in rows)
        word = max(map(len, column.split()), default=1)  # no word of a head is broken
        justify: Literal["left", "right"] = "left" if text else "right"
        table.add_column(column, justify=justify, overflow="fold", min_width=word)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # a name may hold what rich takes for a tag
    console = Console()
    if not console.is_terminal:  # in a file or a pipe nothing is gained by folding
        console.width = max(console.width, Console(width=_WIDEST).measure(table).maximum)
    console.print(title, style="italic", highlight=False, markup=False)
    console.print(table)
