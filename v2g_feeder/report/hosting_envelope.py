"""What the page of hosting capacity says of operating envelopes: by season, step and point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from v2g_feeder.report.charts import Chart
from v2g_feeder.report.envelope import envelope_figure
from v2g_feeder.report.figures import svg_text
from v2g_feeder.report.places import when
from v2g_feeder.report.words import WAYS, amount, criterion_name, join, kw, kw_range, plain, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["envelope_part"]

_MOST_LISTED: Final = 500
_STEP: Final = ["step", "season", "month", "day_type", "hour", "minute"]


def envelope_part(found: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> dict[str, Any]:
    """Return what the page says of operating envelopes.

    Parameters
    ----------
    found
        ``envelopes`` of ``summary.json``, one for each of the conditions.
    table
        ``envelopes.csv``.

    Returns
    -------
    dict
        ``headline`` (sentences), ``charts``, ``totals`` (rows of all points together by season),
        ``steps`` (each step and direction, least first), ``points`` (least of each point), and
        ``told`` (what holds for the numbers).
    """
    charts, headline, totals, told = [], [], [], []
    steps, points = [], []
    for number, part in enumerate(found):
        mine = table[table["conditions"] == part["conditions"]]
        rating = part["rating_kw"]
        figure = envelope_figure(mine, (rating["import"], rating["export"]))
        alt = f"Import and export of all points at once by hour, {part['conditions']}"
        charts.append(Chart(str(number), part["conditions"], svg_text(figure), alt))
        by_step = pd.concat([_by_step(mine, way, rating[way]) for way in WAYS], ignore_index=True)
        headline.append(_envelope_sentence(part, by_step))
        totals += _totals(by_step, rating)
        told.append((part["conditions"], _envelope_notes(part, by_step)))
        steps.append(by_step)
        points.append(_by_point(mine))
    every = pd.concat(steps, ignore_index=True).sort_values("share", kind="stable")
    least = pd.concat(points, ignore_index=True).sort_values("import_kw", kind="stable")
    return {
        "headline": headline,
        "charts": charts,
        "totals": totals,
        "steps": [_step_cells(row) for row in every.head(_MOST_LISTED).to_dict("records")],
        "more_steps": max(0, len(every) - _MOST_LISTED),
        "points": [_point_cells(row) for row in least.head(_MOST_LISTED).to_dict("records")],
        "more_points": max(0, len(least) - _MOST_LISTED),
        "told": told,
    }


def _by_step(mine: pd.DataFrame, way: str, rating_kw: float) -> pd.DataFrame:
    """Return a direction's envelope by step: all points together, least and most of a point."""
    can = mine[f"{way}_kw"].gt(0).groupby(mine["point"]).any()
    cells = mine[_STEP].assign(
        kw=mine[f"{way}_kw"],
        each=mine[f"{way}_kw"].where(mine["point"].map(can)),
        **{
            name: mine[f"{way}_{name}"].astype(object).fillna("")
            for name in ("criterion", "element", "vertex", "status")
        },
    )
    steps = cells.groupby(_STEP, sort=False)
    found = steps.agg(
        low=("each", "min"),
        high=("each", "max"),
        criterion=("criterion", "max"),
        element=("element", "max"),
        vertex=("vertex", "max"),
        status=("status", lambda names: join([plain(name) for name in dict.fromkeys(names)])),
    )
    found["kw"] = steps["kw"].sum(min_count=1)
    found["share"] = 100 * found["kw"] / rating_kw if rating_kw else float("nan")
    return found.reset_index().assign(
        way=way, conditions=mine["conditions"].iloc[0] if len(mine) else ""
    )


def _least(by_step: pd.DataFrame, way: str) -> pd.Series | None:
    """Return the step of a direction's least kW; ``None`` where no step has a solution."""
    mine = by_step[(by_step["way"] == way) & by_step["kw"].notna()]
    return mine.loc[mine["kw"].idxmin()] if len(mine) else None


def _envelope_sentence(part: Mapping[str, Any], by_step: pd.DataFrame) -> str:
    """Return what all points may do at once in the hour that leaves least."""
    parts = []
    for way, words in WAYS.items():
        row, rating = _least(by_step, way), part["rating_kw"][way]
        if not rating:
            parts.append(f"{words} has no charger")
        elif row is None:
            parts.append(f"{words} is unknown, no step has a solution")
        else:
            limit = _limit_words(row)
            parts.append(
                f"{words} {kw(row['kw'])} of {kw(rating)} in its least hour ({when(row)}{limit})"
            )
    return (
        f"Envelope: all {whole(part['points'])} points may do at once: {'; '.join(parts)}; "
        f"{part['conditions']}."
    )


def _limit_words(row: Mapping[Any, Any]) -> str:
    """Return what limits a step, for a bracket; empty if nothing does."""
    if not row["criterion"]:
        return ""
    return f", {criterion_name(row['criterion'])} at {row['element']}"


def _totals(by_step: pd.DataFrame, rating_kw: Mapping[str, float]) -> list[dict[str, str]]:
    """Return the least and the most of all points together by season and direction."""
    rows = []
    for season, of_season in by_step.groupby("season", sort=False):
        for way, words in WAYS.items():
            row = _least(of_season, way)
            if row is None:
                continue
            most = of_season.loc[of_season["way"] == way, "kw"].max()
            rows.append(
                {
                    "conditions": row["conditions"], "season": plain(str(season)), "way": words,
                    "least": amount(row["kw"]), "when": when(row), "most": amount(most),
                    "rating": amount(rating_kw[way]),
                    "each": kw_range(row["low"], row["high"]),
                    "limit": criterion_name(row["criterion"]) if row["criterion"] else "none",
                    "element": row["element"], "vertex": row["vertex"],
                }
            )  # fmt: skip
    return rows


def _envelope_notes(part: Mapping[str, Any], by_step: pd.DataFrame) -> list[str]:
    """Return what holds for the numbers of an envelope."""
    settings = part["settings"]
    shares = {"equal": "the same kW at every point, as far as its chargers' rating goes"}
    lost = by_step.loc[by_step["kw"].isna(), "step"].nunique()
    notes = [
        (
            f"Shares: {shares.get(settings['allocation'], 'the same share of every rating')}. "
            f"{len(part['vertices'])} ways for groups of phases to be at their limits and "
            f"{whole(settings['inner_points'])} random points inside pass at every step with a "
            f"solution; {whole(part['steps_cut_by_inner_points'])} of {whole(part['steps'])} steps "
            "were cut since a point inside failed."
        )
    ]
    check = part.get("check")
    if check and check["steps"]:
        notes.append(
            f"OpenDSS solved {whole(check['steps'])} steps again: "
            f"{whole(check['pass_at_limits'])} of {whole(check['at_limits'])} vertices pass at the "
            f"limits; {whole(check['fail_above'])} of {whole(check['above'])} fail a tolerance "
            "above them."
        )
    counts = {
        words: ", ".join(f"{whole(n)} {plain(name)}" for name, n in part["status"][way].items())
        for way, words in WAYS.items()
    }
    notes.append(
        "Answers by point and step: "
        + "; ".join(f"{words}: {text or 'none'}" for words, text in counts.items())
        + "."
    )
    if lost:
        notes.append(f"{whole(lost)} steps have no valid solution: their envelope is unknown.")
    return notes


def _step_cells(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return the cells of a step's envelope."""
    return {
        "when": when(row),
        "way": WAYS[row["way"]],
        "kw": amount(row["kw"]),
        "share": amount(row["share"]),
        "each": kw_range(row["low"], row["high"]),
        "limit": criterion_name(row["criterion"]) if row["criterion"] else "none",
        "element": row["element"],
        "vertex": row["vertex"],
        "status": row["status"],
        "conditions": row["conditions"],
    }


def _by_point(mine: pd.DataFrame) -> pd.DataFrame:
    """Return the least of each connection point in both directions, and when."""
    found = mine.drop_duplicates("point")[["point", "bus", "connection", "conditions"]]
    for way in WAYS:
        known = mine[mine[f"{way}_kw"].notna()]
        least = known.loc[known.groupby("point")[f"{way}_kw"].idxmin()].set_index("point")
        times = {at: when(row) for at, row in least.iterrows()}
        found[f"{way}_kw"] = found["point"].map(least[f"{way}_kw"])
        found[f"{way}_most"] = found["point"].map(known.groupby("point")[f"{way}_kw"].max())
        found[f"{way}_when"] = [times.get(point, "") for point in found["point"]]
    return found


def _point_cells(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return the cells of a connection point."""
    names = [f"{way}_{what}" for way in WAYS for what in ("kw", "most")]
    words = ("bus", "connection", "conditions", *(f"{way}_when" for way in WAYS))
    return {name: amount(row[name]) for name in names} | {name: str(row[name]) for name in words}
