"""``v2g-feeder compare``: what differs between two results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from v2g_feeder.cli.shown import json_option, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["compare"]

_MOST_ROWS: Final = 20
_TABLES: Final = {
    "inputs": "What went in",
    "figures": "kW at the head and in the event window",
    "violations": "Broken limits: place-hours (mean of draws) and places",
    "capacity": "Least capacity over all steps, kW",
    "capacity_buses": "Capacities that moved, kW",
}
_SHORT: Final = {
    "places_a_only": "only A", "places_b_only": "only B", "places_both": "both",
    "place_hours_a": "place-h A", "place_hours_b": "place-h B",
}  # fmt: skip
_NO_NUMBER: Final = ""


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--all", "every", is_flag=True, help="All rows, not only the first of each table.")
@json_option
def compare(a: Path, b: Path, *, every: bool, as_json: bool) -> None:
    """Say what differs between the results A and B: inputs, then what came out.

    Both are result folders of one command: study, shapes or hosting. What is alike is left out.
    """
    from v2g_feeder.report.compare import compare_results
    from v2g_feeder.store import plain

    found = compare_results(a, b)
    if as_json:
        click.echo(json.dumps(plain(found)))
        return
    click.echo(f"A: {found['a']}\nB: {found['b']}")
    for name, title in _TABLES.items():
        if found[name]:
            click.echo()
            _show(title, found[name], every=every)
    click.echo()
    if found["same"]:
        click.echo("The results are the same: every table and array, to the digit.")
    elif not any(found[name] for name in _TABLES):
        click.echo("No figure compared here differs; tables or arrays do in part.")


def _show(title: str, rows: Sequence[Mapping[str, Any]], *, every: bool) -> None:
    """Print a table, its first rows unless all are wanted."""
    rows = [_row(row) for row in rows]
    names = [name for name in rows[0] if any(row[name] != _NO_NUMBER for row in rows)]
    shown = rows if every else rows[:_MOST_ROWS]
    cells = [[_cell(row[name]) for name in names] for row in shown]
    show_table(title, [_head(name) for name in names], cells)
    if len(rows) > len(shown):
        click.echo(f"and {len(rows) - len(shown)} more: --all shows them, --json gives them")


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for reading: the run as one word, the difference of plain figures."""
    from v2g_feeder.report.words import criterion_name, run_name

    found = dict(row)
    if "policy" in found:
        run = run_name(found.pop("policy"), found.pop("case"))
        found = {"run": run, "criterion": criterion_name(found.pop("criterion"))} | found
    if "a" in found:
        found["B - A"] = _difference(found["a"], found["b"])
    return found


def _head(name: str) -> str:
    """Return a column's name for reading: ``place_hours_a`` is ``place hours A``."""
    words = _SHORT.get(name, name.replace("_kw", " kW").replace("_", " ")).split(" ")
    return " ".join(word.upper() if word in ("a", "b") else word for word in words)


def _difference(one: Any, other: Any) -> Any:
    """Return B minus A; nothing where they are no numbers."""
    if all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)
    ):
        return other - one
    return _NO_NUMBER


def _cell(value: Any) -> str:
    """Return a value as text; what only one of the two has is ``none`` in the other."""
    if value is None or value != value:  # noqa: PLR0124  # not a number
        return "none"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
