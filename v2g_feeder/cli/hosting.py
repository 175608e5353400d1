"""``v2g-feeder hosting``: nodal hosting capacity, hour by hour, export and import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v2g_feeder.cli.hosting_further import show_further
from v2g_feeder.cli.shown import (
    allow_path_option,
    json_option,
    quiet_option,
    seed_option,
    show_json,
    show_table,
    shown_run,
    workers_option,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["hosting"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Result folder; default results/NAME-hosting."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@workers_option
@allow_path_option
@seed_option
@json_option
@quiet_option
def hosting(
    file: Path,
    out: Path | None,
    workers: int | None,
    allowed: tuple[Path, ...],
    seed: int | None,
    *,
    overwrite: bool,
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search the hosting capacity of the feeder in FILE (YAML), its section ``hosting``.

    For each bus, connection and step: the largest export and the largest charging kW that break
    no limit, what limits them, and the feeder conditions under which that holds.
    """
    from v2g_feeder.study.config import load_study
    from v2g_feeder.study.hosting import run_hosting

    checked = load_study(file, allowed=allowed, seed=seed)
    folder = out or Path("results") / f"{checked.content.name}-hosting"
    with shown_run(hidden=quiet or as_json) as given:
        summary = run_hosting(
            checked,
            folder,
            workers=workers,
            overwrite=overwrite,
            resume=resume,
            **given,
        )
    if as_json:
        show_json(folder, summary)
    else:
        _print(summary, folder)


def _print(summary: Mapping[str, Any], folder: Path) -> None:
    """Print the conditions, capacities by connection, effort and check."""
    click.echo()
    for line in summary["conditions"]:
        click.echo(line)
    click.echo()
    _print_capacity(summary)
    _print_mitigation(summary)
    effort, check = summary["effort"], summary["check"]
    words = ", ".join(f"{count} {name}" for name, count in summary["status"].items())
    click.echo(f"\n{effort['pairs']} answers: {words}")
    _print_effort(effort)
    if check["checked"]:
        click.echo(
            f"OpenDSS solved {check['checked']} again ({check['annual_minima']} annual minima): "
            f"{check['passes_at_kw']} pass at kw, {check['fails_at_fails_at_kw']} fail at "
            f"fails_at_kw, {check['same_place']} at the place named"
        )
    if check["two_solutions"]:
        click.echo(
            f"{check['two_solutions']} of these stand on a state that has two solutions without "
            "any charger (a load at the edge of its voltage limits): OpenDSS found the other one"
        )
    unrated = summary["unrated"]
    if unrated["answers"]:
        names = ", ".join(unrated["first_elements"])
        more = ", ..." if unrated["elements"] > len(unrated["first_elements"]) else ""
        click.echo(
            f"{unrated['answers']} answers lie behind {unrated['elements']} elements of unknown "
            f"rating ({names}{more}): they are upper bounds"
        )
    if summary["not_searched"]:
        click.echo("not part of the search: " + ", ".join(summary["not_searched"]))
    show_further(summary)
    click.echo(f"\ntables: {folder}: hosting_capacity.csv, hosting_minima.csv, hosting_check.csv")
    click.echo(f"report: {folder / 'hosting.html'}")


def _print_capacity(summary: Mapping[str, Any]) -> None:
    """Print the least capacities under each of the conditions, and how far these are apart."""
    for conditions in dict.fromkeys(row["conditions"] for row in summary["capacity"]):
        rows = [
            [
                row["direction"],
                row["connection"],
                str(row["buses"]),
                str(row["already_violated"]),
                *(f"{row[name]:.0f}" for name in ("kw_min", "kw_median", "kw_max")),
                row["bus_of_min"],
                row["limiting"],
            ]
            for row in summary["capacity"]
            if row["conditions"] == conditions
        ]
        click.echo(conditions)
        show_table(
            "Least capacity over all steps, kW, by bus",
            [
                "direction", "connection", "buses", "violated", "lowest", "median", "highest",
                "lowest at", "limit",
            ],
            rows,
        )  # fmt: skip
        click.echo()
    for asked in dict.fromkeys(row["asked"] for row in summary["range"]):
        what = "all conditions above" if asked == "all" else asked
        rows = [
            [
                row["direction"],
                row["connection"],
                f"{row['kw_median_lowest']:.0f} to {row['kw_median_highest']:.0f}",
                f"{row['kw_lowest_there']:.0f} to {row['kw_highest_there']:.0f}",
                row["bus_of_widest"],
            ]
            for row in summary["range"]
            if row["asked"] == asked
        ]
        click.echo(what)
        show_table(
            "Range of the least capacity, kW",
            ["direction", "connection", "median bus", "widest", "at bus"],
            rows,
        )
        click.echo()


def _print_mitigation(summary: Mapping[str, Any]) -> None:
    """Print what each measure buys."""
    if not summary["mitigation"]:
        return
    rows = [
        [
            row["measure"],
            row["direction"],
            row["connection"],
            f"{row['kw_median']:.0f} to {row['kw_median_with']:.0f}",
            str(row["buses_more"]),
            str(row["buses_less"]),
            f"{row['most_bought_kw']:.0f}",
            row["bus_of_most"],
        ]
        for row in summary["mitigation"]
    ]
    click.echo(summary["capacity"][0]["conditions"])
    show_table(
        "Mitigation: least capacity over all steps, kW, by bus",
        ["measure", "direction", "connection", "median", "more at", "less at", "most", "at bus"],
        rows,
    )
    _print_price(summary["mitigation"])
    for note in summary["mitigation_notes"]:
        click.echo(note)
    click.echo()


def _print_price(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the energy that chargers lose to their curves, and where a size is no capacity."""
    from v2g_feeder.report.words import share_range

    cut = [
        [
            row["measure"],
            row["connection"],
            share_range(row["curtailed_share_median"], row["curtailed_share_most"]),
            f"{row['buses_censored']} of {row['buses']}",
        ]
        for row in rows
        if share_range(row["curtailed_share_median"], row["curtailed_share_most"])
    ]
    if cut:
        click.echo()
        header = ["measure", "connection", "median bus, worst bus", "censored at"]
        show_table("Export curtailed at the size with the measure", header, cut)


def _print_effort(effort: Mapping[str, Any]) -> None:
    """Print what the search took; the rate only of a run that searched everything itself."""
    line = f"{effort['solves_a_pair']:.1f} power flows an answer"
    found = effort["units_of_an_earlier_run"]
    if found:
        line += f"; {found} of {effort['units']} days were found from a run before"
    else:
        line += f", {effort['searched'] / max(effort['seconds'], 1e-9):.0f} answers a second"
    click.echo(line)
