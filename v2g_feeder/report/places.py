"""Where and when limits are broken: tables of violations, hours and reverse flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion, Effect
from v2g_feeder.report.words import (
    criterion_name,
    day_name,
    hours,
    kw,
    limit_text,
    plain,
    run_name,
    run_order,
    value_text,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.report.reading import Run

__all__ = [
    "broken_counts",
    "place_text",
    "reverse_table",
    "when",
    "worst_by_hour",
    "worst_in_words",
    "worst_places",
]

_HARM: Final = (Effect.NEW, Effect.WORSE)
_ORDER: Final = [str(name) for name in Criterion]
_BY_BUS: Final = (Criterion.OVER_VOLTAGE, Criterion.UNDER_VOLTAGE, Criterion.SUDDEN_VOLTAGE)


def worst_places(
    violations: pd.DataFrame,
    run: Run,
    draws: int,
    step_hours: float,
    *,
    per_criterion: int = 5,
    harm_only: bool = False,
) -> pd.DataFrame:
    """Return the places of a run that break limits most, worst first within each criterion.

    Parameters
    ----------
    violations
        Rows of ``violations.csv``; cured ones are passed over.
    run
        Policy and case.
    draws
        Number of draws of the run.
    step_hours
        Length of a step, hours.
    per_criterion
        Number of places kept for each criterion.
    harm_only
        Only rows that the run broke or worsened.

    Returns
    -------
    pandas.DataFrame
        The worst row of each place (that with the most negative margin), with ``hours`` (of the
        modelled days, mean of draws) in which the place breaks the limit. A place is a bus for
        voltages, a series element otherwise.
    """
    mine = (violations["policy"] == run[0]) & (violations["case"] == run[1])
    effect = violations["effect"]
    mine &= effect.isin(_HARM) if harm_only else effect != str(Effect.CURED)
    rows = violations[mine]
    if rows.empty:
        return rows.assign(hours=0.0)
    place = rows["element"].astype(object)
    place = place.where(~rows["criterion"].isin(_BY_BUS), rows["bus"].astype(object))
    codes = rows.groupby([rows["criterion"], place], observed=True).ngroup().to_numpy()
    order = np.lexsort((rows["step"], rows["draw"], rows["margin"].fillna(-np.inf), codes))
    first = order[np.unique(codes[order], return_index=True)[1]]
    times = pd.DataFrame({"code": codes, "draw": rows["draw"], "step": rows["step"]})
    counts = np.bincount(times.drop_duplicates()["code"])[codes[first]]
    worst = rows.iloc[first].assign(hours=counts * step_hours / max(1, draws))
    criterion = pd.Categorical(worst["criterion"].astype(str), categories=_ORDER, ordered=True)
    worst = worst.assign(criterion=criterion).sort_values(
        ["criterion", "margin", "hours"], ascending=[True, True, False], kind="stable"
    )
    kept = worst.groupby("criterion", observed=True).head(per_criterion)
    return kept.assign(criterion=kept["criterion"].astype(str)).reset_index(drop=True)


def place_text(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the cells of a row of :func:`worst_places`."""
    unit = str(row["unit"])
    broken = row["criterion"]
    element = str(row["element"]) if row["element"] else str(row["node"])
    return {
        "criterion": criterion_name(broken),
        "element": plain(element) if broken == Criterion.INVALID else element,
        "bus": str(row["bus"]),
        "phase": str(row["phase"]),
        "when": when(row),
        "value": value_text(row["value"], row["limit"], unit),
        "limit": limit_text(row["limit"], unit),
        "reference": value_text(row["reference_value"], row["limit"], unit),
        "effect": "not compared" if row["effect"] == Effect.NONE else str(row["effect"]),
        "hours": hours(row["hours"]),
    }


def when(row: Mapping[str, Any]) -> str:
    """Return a row's place in time: ``winter peak day 18:00``."""
    day = day_name(str(row["season"]), str(row["day_type"]))
    return f"{day} {int(row['hour']):02d}:{int(row['minute']):02d}"


def worst_in_words(worst: pd.DataFrame) -> str:
    """Return the deepest row of :func:`worst_places` in words; empty if there is none.

    Deepest is the largest excess over the limit as a share of the limit.
    """
    rows = worst[worst["criterion"] != Criterion.INVALID]
    if rows.empty:
        return ""
    share = (rows["margin"] / rows["limit"].abs().clip(lower=1e-9)).fillna(0.0)
    row = rows.iloc[int(share.to_numpy().argmin())]
    cells = place_text({str(key): value for key, value in row.items()})
    place = f"bus {cells['bus']}" if cells["bus"] else cells["element"]
    phase = f" phase {cells['phase']}" if cells["phase"] else ""
    return (
        f"{cells['criterion']} at {place}{phase}, {cells['when']}, "
        f"{cells['value']} against {cells['limit']}"
    )


def broken_counts(
    hourly: pd.DataFrame, steps: pd.DataFrame, draws: Mapping[Run, int]
) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Return the expected number of broken limits per draw, days by hours.

    Parameters
    ----------
    hourly
        Rows of ``hourly.csv``.
    steps
        The step axis, ``season, day_type, hour``.
    draws
        Number of draws of each run; 1 for what is not in it.

    Returns
    -------
    dict
        By policy, case and criterion, of those with any row: index ``(season, day_type)`` in the
        order of the calendar, columns hours 0 to 23; places times steps, mean of draws; 0 where
        nothing breaks.
    """
    days = pd.MultiIndex.from_frame(steps[["season", "day_type"]].drop_duplicates())
    group, keys = _groups(hourly)
    day = _days(hourly, days)
    table = np.zeros((len(keys), len(days), 24))
    kept = day >= 0
    hour, count = hourly["hour"].to_numpy(int), hourly["count"].to_numpy(float)
    np.add.at(table, (group[kept], day[kept], hour[kept]), count[kept])
    return {
        key: pd.DataFrame(table[at] / max(1, draws.get(key[:2], 1)), days, range(24))
        for at, key in enumerate(keys)
    }


def worst_by_hour(
    hourly: pd.DataFrame, steps: pd.DataFrame, units: Mapping[str, str]
) -> dict[tuple[str, str, str], dict[int, str]]:
    """Return the worst place of each day and hour in words.

    Parameters
    ----------
    hourly, steps
        As for :func:`broken_counts`.
    units
        Unit by criterion.

    Returns
    -------
    dict
        By policy, case and criterion; then by 24 times the number of the day plus the hour.
    """
    days = pd.MultiIndex.from_frame(steps[["season", "day_type"]].drop_duplicates())
    group, keys = _groups(hourly)
    rows = pd.DataFrame(
        {
            "group": group,
            "cell": 24 * _days(hourly, days) + hourly["hour"].to_numpy(int),
            "excess": (hourly["worst_value"] - hourly["limit"]).abs().to_numpy(float),
            "at": np.arange(len(hourly)),
        }
    )
    rows = rows.sort_values(["group", "cell", "excess", "at"], kind="stable")
    rows = rows.drop_duplicates(["group", "cell"], keep="last")
    rows = rows[rows["cell"] >= 0]
    values, limits = hourly["worst_value"].to_numpy(), hourly["limit"].to_numpy()
    places = hourly["worst_element"].astype(str).to_numpy()
    found: dict[tuple[str, str, str], dict[int, str]] = {key: {} for key in keys}
    for at, cell, row in zip(rows["group"], rows["cell"], rows["at"], strict=True):
        unit = units.get(keys[at][2], "")
        value, limit = value_text(values[row], limits[row], unit), limit_text(limits[row], unit)
        if np.isfinite(values[row]):
            found[keys[at]][int(cell)] = f"{value} at {places[row]}, limit {limit}"
    return found


def _groups(hourly: pd.DataFrame) -> tuple[np.ndarray, list[tuple[str, str, str]]]:
    """Return the number of each row's policy, case and criterion, and what the numbers mean."""
    if hourly.empty:  # of nothing pandas 2 makes no keys
        return np.zeros(0, int), []
    columns = [hourly[name].astype(str) for name in ("policy", "case", "criterion")]
    group, keys = pd.factorize(pd.MultiIndex.from_arrays(columns))
    return group, [tuple(key) for key in keys]


def _days(hourly: pd.DataFrame, days: pd.MultiIndex) -> np.ndarray:
    """Return the number of each row's day, -1 for a day that the calendar does not have."""
    columns = [hourly[name].astype(str) for name in ("season", "day_type")]
    return np.asarray(days.get_indexer(pd.MultiIndex.from_arrays(columns)))


def reverse_table(rows: Sequence[Mapping[str, Any]], steps: pd.DataFrame) -> list[dict[str, Any]]:
    """Return reverse flow by run and kind of place: how many, how much, where, since when.

    Runs and kinds without any are left out.

    Parameters
    ----------
    rows
        ``reverse_flow`` of ``summary.json``.
    steps
        The step axis, to name the first step.
    """
    if not rows:
        return []
    table = pd.DataFrame(list(rows))
    table = table[table["reverse_hours"] > 0]
    found: list[dict[str, Any]] = []
    for (policy, case, kind), group in table.groupby(
        ["policy", "case", "kind"], sort=False, observed=True
    ):
        most = group.loc[group["reverse_kw"].idxmax()]
        first = int(group["first_step"].min())
        found.append(
            {
                "order": run_order(str(policy), str(case)),
                "run": run_name(str(policy), str(case)),
                "kind": plain(str(kind)),
                "places": whole(group["element"].nunique()),
                "kw": kw(float(most["reverse_kw"])),
                "where": f"{most['element']} at bus {most['bus']}",
                "hours": hours(float(group["reverse_hours"].max())),
                "first": when({str(key): value for key, value in steps.iloc[first].items()}),
            }
        )
    found.sort(key=lambda row: row["order"])
    return found
