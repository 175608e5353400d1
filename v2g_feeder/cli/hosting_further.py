"""What ``v2g-feeder hosting`` prints of fleet capacity and of operating envelopes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click

from v2g_feeder.cli.shown import show_table
from v2g_feeder.conventions import ANY, BOUNDING_CASES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["show_further"]

_SHOWN: Final = 3


def show_further(summary: Mapping[str, Any]) -> None:
    """Print the answers that the study asked for beside nodal capacity."""
    for found in summary.get("fleet_capacity", []):
        click.echo(f"\n{found['conditions']}")
        _show_fleet(found)
    for found in summary.get("envelopes", []):
        click.echo(f"\n{found['conditions']}")
        _show_envelope(found)


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
    click.echo(found["counted"])
    if found["rating_unknown"]:
        click.echo(
            f"{found['rating_unknown']} elements of unknown rating are not screened: sizes are "
            "upper bounds"
        )
    if found["draws_unknown"]:
        click.echo(f"{found['draws_unknown']} draws had steps without a valid solution: unknown")
    click.echo("curve: hosting_fleet.csv, hosting_fleet_sizes.csv, figures/fleet_capacity.svg")


def _show_envelope(found: Mapping[str, Any]) -> None:
    """Print the lowest envelope of all points together over the day, and what limits it."""
    rows = []
    for row in found["totals"]:
        known = row["lowest_kw"] is not None
        rows.append(
            [
                row["season"],
                row["direction"],
                f"{row['lowest_kw']:.0f}" if known else "unknown",
                f"{row['lowest_hour']}:00" if known else "unknown",
                f"{row['highest_kw']:.0f}" if known else "unknown",
                f"{found['rating_kw'][row['direction']]:.0f}",
            ]
        )
    settings = found["settings"]
    title = f"Envelope of {found['points']} points together, kW, {settings['allocation']} shares"
    show_table(title, ["season", "direction", "lowest", "at", "highest", "rating"], rows)
    click.echo()
    for way in found["rating_kw"]:
        words = ", ".join(f"{count} {name}" for name, count in found["status"][way].items())
        click.echo(f"{way}: {words} (points and steps)")
        for row in found["limiting"][way][:_SHOWN]:
            click.echo(f"  {row['steps']} steps by {row['criterion']}, {row['vertex']}")
    click.echo(
        f"{len(found['vertices'])} vertices and {settings['inner_points']} random points inside "
        f"pass at every step with a solution; {found['steps_cut_by_inner_points']} of "
        f"{found['steps']} steps were cut since a point inside failed"
    )
    check = found["check"]
    if check["steps"]:
        click.echo(
            f"OpenDSS solved {check['steps']} steps again: {check['pass_at_limits']} of "
            f"{check['at_limits']} vertices pass at the limits; {check['fail_above']} of "
            f"{check['above']} fail a tolerance above, {check['same_place']} at the place named"
        )
    click.echo("envelopes: envelopes.csv, envelope_check.csv, figures/envelopes.svg")


def _vehicles(size: float | None, nothing: str = "unknown") -> str:
    """Return a number of vehicles in words."""
    return nothing if size is None or math.isnan(size) else f"{size:.0f}"
