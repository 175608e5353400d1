"""What ``v2g-feeder hosting`` prints of fleet capacity and of operating envelopes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from v2g_feeder.cli.shown import show_table
from v2g_feeder.conventions import ANY, BOUNDING_CASES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["show_further"]


def show_further(summary: Mapping[str, Any]) -> None:
    """Print the answers that the study asked for beside nodal capacity."""
    if "fleet_capacity" in summary:
        _show_fleet(summary["fleet_capacity"])


def _show_fleet(found: Mapping[str, Any]) -> None:
    """Print the sizes at which the probability of a violation passes each threshold."""
    settings, largest = found["settings"], max(found["solved_sizes"])
    rows = [
        [
            "bound" if row["case"] in BOUNDING_CASES else row["policy"],
            row["case"],
            f"{row['threshold']:.0%}",
            _vehicles(row["size"]),
            _vehicles(row["passes_at"], f"over {largest}"),
            f"{_vehicles(row['low'])} to {_vehicles(row['high'], '?')}",
            " ".join(row["breaks_first"]) or "none",
        ]
        for row in found["sizes"]
        if row["criterion"] == row["season"] == ANY
    ]
    click.echo()
    names = ["policy", "case", "share", "up to", "passes at", "interval", "limit"]
    show_table("Vehicles at which a share of draws breaks a limit", names, rows)
    tried = ", ".join(str(size) for size in found["solved_sizes"])
    click.echo(f"\nsizes solved: {tried}; {settings['draws']} draws of each; the interval is")
    click.echo(
        f"what so many draws allow with {settings['confidence']:.0%} confidence (Clopper-Pearson); "
        "? is not shown up to the largest size"
    )
    for threshold, draws in found["draws_needed"].items():
        if draws > settings["draws"]:
            click.echo(
                f"too few draws for {float(threshold):.0%}: a size without any violation shows "
                f"less than that only from {draws} draws on"
            )
    click.echo(f"conditions: {found['conditions']}")
    if found["rating_unknown"]:
        click.echo(
            f"{found['rating_unknown']} elements of unknown rating are not screened: sizes are "
            "upper bounds"
        )
    if found["draws_unknown"]:
        click.echo(f"{found['draws_unknown']} draws had steps without a valid solution: unknown")
    click.echo("curve: hosting_fleet.csv, hosting_fleet_sizes.csv, figures/fleet_capacity.svg")


def _vehicles(size: float | None, nothing: str = "unknown") -> str:
    """Return a number of vehicles in words."""
    return nothing if size is None or math.isnan(size) else f"{size:.0f}"
