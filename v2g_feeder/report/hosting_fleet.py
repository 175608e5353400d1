"""What the page of hosting capacity says of fleet capacity: sizes, their intervals, the curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.conventions import ANY, WHOLE_DAY, Status
from v2g_feeder.report.charts import Chart
from v2g_feeder.report.figures import svg_text
from v2g_feeder.report.fleet_capacity import fleet_capacity_figure
from v2g_feeder.report.words import (
    criterion_name,
    is_bounding,
    is_known,
    join,
    mid_sentence,
    plain,
    run_name,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["fleet_part"]

_MOST_LISTED: Final = 500


def fleet_part(
    found: Sequence[Mapping[str, Any]], curve: pd.DataFrame, sizes: pd.DataFrame
) -> dict[str, Any]:
    """Return what the page says of fleet capacity.

    Parameters
    ----------
    found
        ``fleet_capacity`` of ``summary.json``, one for each of the conditions.
    curve, sizes
        ``hosting_fleet.csv`` and ``hosting_fleet_sizes.csv``.

    Returns
    -------
    dict
        ``headline`` (sentences), ``charts``, ``sizes`` (rows over all seasons and criteria),
        ``parts`` (by criterion and season), ``hours`` (those at which a threshold is passed),
        ``told`` (what holds for the numbers, a list each of the conditions).
    """
    charts, headline, told = [], [], []
    rows: list[dict[str, Any]] = []
    largest = {part["conditions"]: max(part["solved_sizes"]) for part in found}
    for number, part in enumerate(found):
        mine = curve[curve["conditions"] == part["conditions"]]
        figure = fleet_capacity_figure(mine, part["settings"]["thresholds"])
        alt = f"Share of draws that break a limit against vehicles, {part['conditions']}"
        charts.append(Chart(str(number), part["conditions"], svg_text(figure), alt))
        headline.append(_fleet_sentence(part))
        told.append((part["conditions"], _fleet_notes(part)))
        most = largest[part["conditions"]]
        rows += [_size_row(row, most, part["conditions"]) for row in part["sizes"]]
    over_all = [row for row in rows if row["over_all"]]
    hourly = (sizes["hour"] != WHOLE_DAY) & (sizes["season"] != ANY) & (sizes["criterion"] == ANY)
    passed = sizes[hourly & sizes["passes_at"].notna()]
    passed = passed.sort_values(["passes_at", "size"], kind="stable")
    return {
        "headline": headline,
        "charts": charts,
        "sizes": over_all,
        "parts": [row for row in rows if not row["over_all"]],
        "hours": [
            _size_row(row, largest[row["conditions"]], row["conditions"])
            | {"hour": f"{int(row['hour']):02d}:00"}
            for row in passed.head(_MOST_LISTED).to_dict("records")
        ],
        "more_hours": max(0, len(passed) - _MOST_LISTED),
        "told": told,
    }


def _size_row(row: Mapping[Any, Any], largest: float, conditions: str) -> dict[str, Any]:
    """Return the cells of a size at which a threshold is passed."""
    return {
        "over_all": row["criterion"] == row["season"] == ANY,
        "conditions": conditions,
        "run": run_name(row["policy"], row["case"]),
        "limit": "any limit" if row["criterion"] == ANY else criterion_name(row["criterion"]),
        "season": "all seasons" if row["season"] == ANY else plain(row["season"]),
        "share": _share(row["threshold"]),
        "size": whole(row["size"]),
        "passes_at": _up_to(row["passes_at"], largest, unknown=row["status"] == Status.UNKNOWN),
        "interval": f"{whole(row['low'])} to {_up_to(row['high'], largest)}",
        "first": join([criterion_name(name) for name in row.get("breaks_first", [])]) or "none",
    }


def _share(threshold: float) -> str:
    return f"{100 * threshold:g} %"


def _up_to(size: float | None, largest: float, *, unknown: bool = False) -> str:
    """Return a size, or that it lies above the largest that was solved."""
    if is_known(size):
        return whole(size)
    return "unknown" if unknown else f"over {whole(largest)}"


def _fleet_sentence(part: Mapping[str, Any]) -> str:
    """Return the size at each threshold of the run that reaches it first, bounds left out."""
    rows = [row for row in part["sizes"] if row["criterion"] == row["season"] == ANY]
    real = [row for row in rows if not is_bounding(row["case"])] or rows
    parts, largest = [], max(part["solved_sizes"])
    for threshold in part["settings"]["thresholds"]:
        mine = [row for row in real if row["threshold"] == threshold]
        passed = [row for row in mine if is_known(row["passes_at"])]
        if passed:
            row = min(passed, key=lambda row: (row["passes_at"], row["low"]))
            first = join([criterion_name(name) for name in row["breaks_first"]])
            parts.append(
                f"{_share(threshold)} of draws break a limit somewhere between "
                f"{whole(row['size'])} and {whole(row['passes_at'])} vehicles (interval "
                f"{whole(row['low'])} to {_up_to(row['high'], largest)}; "
                f"{mid_sentence(run_name(row['policy'], row['case']))}; {first or 'any limit'})"
            )
        elif any(row["status"] == Status.UNKNOWN for row in mine):
            parts.append(f"{_share(threshold)}: unknown, a size has no valid solution")
        else:
            least = min((row["low"] for row in mine), default=None)
            parts.append(
                f"{_share(threshold)} is not passed up to {whole(largest)} "
                f"vehicles, the most that were tried (shown up to {whole(least)})"
            )
    return f"Fleet: {'; '.join(parts)}; {part['conditions']}."


def _fleet_notes(part: Mapping[str, Any]) -> list[str]:
    """Return what holds for the numbers of an answer on fleets."""
    settings = part["settings"]
    draws = settings["draws"]
    notes = [
        (
            f"Sizes solved: {join([whole(size) for size in part['solved_sizes']])} vehicles; "
            f"{whole(draws)} draws of each. The interval is what so many draws allow with "
            f"{settings['confidence']:.0%} confidence (Clopper-Pearson), size by size."
        ),
        f"What counts: {part['counted']}.",
    ]
    notes += [
        f"Too few draws for {_share(float(share))}: a size without any violation shows less than "
        f"that only from {needed} draws on."
        for share, needed in part["draws_needed"].items()
        if needed > draws
    ]
    if part["rating_unknown"]:
        notes.append(
            f"{whole(part['rating_unknown'])} elements of unknown rating are not screened: sizes "
            "are upper bounds."
        )
    if part["draws_unknown"]:
        notes.append(
            f"{whole(part['draws_unknown'])} draws had steps without a valid solution: counted as "
            "kept in the lower bound and as violating in the upper."
        )
    return notes
