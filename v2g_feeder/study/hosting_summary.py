"""What ``summary.json`` of a capacity search says: capacities, conditions, effort, unknowns."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from v2g_feeder.conventions import Status
from v2g_feeder.hosting.bounds import SEARCHED
from v2g_feeder.hosting.table import unrated_buses
from v2g_feeder.screening import criteria_of, unknowns
from v2g_feeder.store import SCHEMA_VERSION
from v2g_feeder.study.names import as_written
from v2g_feeder.study.summary import feeder_figures, records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.hosting_units import HostingPlan

__all__ = ["hosting_summary", "ranges"]

_SHOWN: Final = 8
_TWO_SOLUTIONS: Final = 1e-5  # of a voltage; the engines agree to 1e-6 on one and the same
_KEY: Final = ["bus", "connection", "direction"]


def hosting_summary(
    study: Study,
    feeder: FeederStage,
    plans: Sequence[HostingPlan],
    asked: Mapping[str, str],
    results: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]],
) -> dict[str, Any]:
    """Return the contents of ``summary.json``, the content hash left out.

    Parameters
    ----------
    study, feeder
        What was asked of which feeder.
    plans
        One for each of the conditions.
    asked
        Conditions as the study states them by those that were searched.
    results
        Capacity, annual minima, how the check came out, effort.
    """
    table, minima, checked, effort = results
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "hosting",
        "name": study.content.name,
        "question": study.content.question,
        "feeder": feeder_figures(study, feeder),
        "conditions": [
            *(f"feeder: {plan.conditions.words()}" for plan in plans),
            *_lines(study, plans[0]),
            *_delay_lines(feeder, plans),
        ],
        "settings": {
            "conditions": [asdict(plan.conditions) for plan in plans],
            "search": asdict(plans[0].search),
            "coordinate_system": study.content.hosting.coordinate_system,
        },
        "candidates": len(plans[0].points),
        "steps": study.calendar.n_steps,
        "effort": effort
        | {"pairs": len(table), "solves_a_pair": effort["solves"] / max(len(table), 1)},
        "capacity": records(_by_connection(minima)),
        "range": records(_range_by_connection(ranges(minima, asked))) if len(plans) > 1 else [],
        "limiting": records(_limiting(table)),
        "status": {str(name): int(n) for name, n in table["status"].value_counts().items()},
        "check": _check_figures(checked),
        "unrated": _unrated(study, feeder, table),
        "not_searched": _not_searched(study, feeder),
        "findings": [f"{finding.kind}: {finding.message}" for finding in feeder.findings],
        "notes": list(feeder.notes),
    }


def _lines(study: Study, plan: HostingPlan) -> list[str]:
    """Return what holds for every number of a search, a line each."""
    search, base = plan.search, study.content.base_load
    scan = search.rules(settles=plan.conditions.settles).scan
    peak = "" if base.head_peak_kw is None else f", head peak {base.head_peak_kw:g} kW"
    lines = {
        "load level": f"{base.source} base load{peak}, {len(study.calendar.days)} days of "
        f"{study.calendar.steps_per_day} steps",
        "limits": f"{study.limits.name}; one charger at a time, unity power factor, constant power",
        "sudden changes": search.events.words(),
        "search": f"up to {search.maximum_kw:g} kW, tolerance the larger of "
        f"{search.tolerance_kw:g} kW and {search.tolerance_share:.1%}, {scan} sizes scanned "
        "beforehand",
    }
    return [f"{name}: {words}" for name, words in lines.items()]


def _delay_lines(feeder: FeederStage, plans: Sequence[HostingPlan]) -> list[str]:
    """Return what the reverse delays that are set do on this feeder."""
    found = [plan.conditions.delay_words(feeder.feeder) for plan in plans]
    return [f"reverse delay: {words}" for words in dict.fromkeys(found) if words]


def _by_connection(minima: pd.DataFrame) -> pd.DataFrame:
    """Return the least capacities by conditions, direction and connection."""
    rows = []
    keys = ["conditions", "direction", "connection"]
    for (conditions, direction, connection), mine in minima.groupby(keys, sort=False):
        limiting = mine.loc[mine["limiting_criterion"] != "", "limiting_criterion"]
        rows.append(
            {
                "conditions": conditions,
                "direction": direction,
                "connection": connection,
                "buses": len(mine),
                "already_violated": int((mine["status"] == Status.ALREADY_VIOLATED).sum()),
                "kw_min": float(mine["kw"].min()),
                "kw_median": float(mine["kw"].median()),
                "kw_max": float(mine["kw"].max()),
                "bus_of_min": str(mine.loc[mine["kw"].idxmin(), "bus"]),
                "limiting": str(limiting.mode()[0]) if len(limiting) else "none",
            }
        )
    order = {conditions: number for number, conditions in enumerate(minima["conditions"].unique())}
    rows.sort(key=lambda row: (order[row["conditions"]], row["direction"], row["connection"]))
    return pd.DataFrame(rows)


def ranges(minima: pd.DataFrame, asked: Mapping[str, str]) -> pd.DataFrame:
    """Return the least and the most that the conditions leave of each annual minimum.

    Parameters
    ----------
    minima
        Annual minima with their conditions.
    asked
        Conditions as the study states them by those that were searched.

    Returns
    -------
    pandas.DataFrame
        ``bus, connection, direction, asked, kw_lowest, conditions_lowest, kw_highest,
        conditions_highest``: a row for each of the conditions that stand for several, such as an
        unknown reverse mode, and a row over ``all`` where the study states more than one.
    """
    several = [name for name in dict.fromkeys(asked.values()) if [*asked.values()].count(name) > 1]
    groups = [(name, minima[minima["conditions"].map(asked) == name]) for name in several]
    if len(set(asked.values())) > 1:
        groups.append(("all", minima))
    found = []
    for name, mine in groups:
        by_key = mine.groupby(_KEY, sort=False)["kw"]
        least, most = mine.loc[by_key.idxmin()], mine.loc[by_key.idxmax()]
        found.append(
            pd.DataFrame(
                {
                    **{key: least[key].to_numpy() for key in _KEY},
                    "asked": name,
                    "kw_lowest": least["kw"].to_numpy(),
                    "conditions_lowest": least["conditions"].to_numpy(),
                    "kw_highest": most["kw"].to_numpy(),
                    "conditions_highest": most["conditions"].to_numpy(),
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def _range_by_connection(table: pd.DataFrame) -> pd.DataFrame:
    """Return the medians over buses of what the conditions leave, and where they differ most."""
    rows = []
    keys = ["asked", "direction", "connection"]
    for (asked, direction, connection), mine in table.groupby(keys, sort=False):
        widest = mine.loc[(mine["kw_highest"] - mine["kw_lowest"]).idxmax()]
        rows.append(
            {
                "asked": asked,
                "direction": direction,
                "connection": connection,
                "buses": len(mine),
                "kw_median_lowest": float(mine["kw_lowest"].median()),
                "kw_median_highest": float(mine["kw_highest"].median()),
                "bus_of_widest": str(widest["bus"]),
                "kw_lowest_there": float(widest["kw_lowest"]),
                "kw_highest_there": float(widest["kw_highest"]),
                "conditions_lowest_there": str(widest["conditions_lowest"]),
                "conditions_highest_there": str(widest["conditions_highest"]),
            }
        )
    order = {name: number for number, name in enumerate(dict.fromkeys(table["asked"]))}
    rows.sort(key=lambda row: (order[row["asked"]], row["direction"], row["connection"]))
    return pd.DataFrame(rows)


def _limiting(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many answers each criterion limits, by conditions, direction and status."""
    keys = ["conditions", "direction", "limiting_criterion", "status"]
    return table.groupby(keys, sort=True).size().rename("answers").reset_index()


def _check_figures(checked: pd.DataFrame) -> dict[str, Any]:
    """Return how the answers came out on OpenDSS."""
    wrong = checked[~(checked["passes"] & checked["fails"])]
    off = (wrong["nearest"] - 1).abs().max() if len(wrong) else 0.0
    return {
        "checked": len(checked),
        "annual_minima": int((checked["why"] == "annual minimum").sum()),
        "passes_at_kw": int(checked["passes"].sum()),
        "fails_at_fails_at_kw": int(checked["fails"].sum()),
        "same_place": int(checked["same_place"].sum()),
        "largest_share_of_room_off": float(off),
        "two_solutions": int((checked["base_apart"] > _TWO_SOLUTIONS).sum()),
    }


def _unrated(study: Study, feeder: FeederStage, table: pd.DataFrame) -> dict[str, Any]:
    """Return how much lies behind elements of unknown rating, where sizes are upper bounds."""
    buses = unrated_buses(feeder.feeder, feeder.observed, study.limits)
    above = feeder.feeder.tree.parent
    names = set(unknowns(feeder.observed)["element"])
    elements = sorted({above[bus][1] for bus in buses if above[bus][1] in names})
    return {
        "buses": len(buses),
        "answers": int(table["bus"].str.lower().isin(buses).sum()),
        "elements": len(elements),
        "first_elements": [as_written(name, feeder.names) for name in elements[:_SHOWN]],
    }


def _not_searched(study: Study, feeder: FeederStage) -> list[str]:
    """Return the criteria of the limits that no single state can show."""
    limited = {str(item.criterion) for item in criteria_of(feeder.observed, study.limits)}
    return sorted(limited - {str(criterion) for criterion in SEARCHED})
