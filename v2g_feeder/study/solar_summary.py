"""What becomes of the surplus of a study's arrays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.conventions import BOUNDING_CASES, DayType, Policy
from v2g_feeder.feeder.solar import solar_figures
from v2g_feeder.study.solar import SOLAR_NAME

if TYPE_CHECKING:
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage
    from v2g_feeder.study.reduce import Reduced

__all__ = ["solar_assumptions", "solar_summary"]

_REVERSE_KW: Final = 0.1


def solar_summary(
    study: Study, feeder: FeederStage, fleet: FleetStage, reduced: Reduced
) -> dict[str, Any] | None:
    """Return what becomes of the generation; ``None`` for a study without any.

    Returns
    -------
    dict
        ``arrays``: name, bus, kW and kWh of each day. ``absorbed``: by policy, case and day the
        surplus of the sites (generation less load of the array's bus, where above 0), what the
        chargers at these buses draw of it, kWh with mean, least and most over draws, and the hours
        in which power leaves the sites, without (``reverse_hours_none``) and with the chargers.
        ``head``: hours of reverse flow at the head by policy.
    """
    if not study.content.solar:
        return None
    base, step_hours = feeder.circuit.base_load, study.calendar.step_hours
    loads = feeder.feeder.loads
    arrays, net, sites = [], [], []
    for section in study.content.solar:
        bus = str(section.bus).lower()
        power = -section.kw * base.p[base.shape_of[f"{SOLAR_NAME}_{section.name}".lower()]]
        at_bus = loads[(loads["bus"] == bus) & ~_is_solar(loads["name"])]
        load = sum(
            (row.kw * base.p[base.shape_of[row.name]] for row in at_bus.itertuples(index=False)),
            np.zeros(len(power)),
        )
        arrays.append(
            {"name": section.name, "bus": bus, "kw": section.kw, "kwh": -power.sum() * step_hours}
        )
        net.append(load + power)
        sites.append((fleet.points["bus"] == bus).to_numpy())
    absorbed = []
    for (policy, case), kw in fleet.kw.items():
        if policy == Policy.NO_EV or case in BOUNDING_CASES:
            continue
        for number, day in enumerate(study.calendar.days):
            if day.day_type not in (DayType.WEEKDAY, DayType.WEEKEND):
                continue
            steps = study.calendar.day_slice(number)
            row = _absorbed(
                [one[steps] for one in net], [kw[:, at, steps].sum(axis=1) for at in sites]
            )
            key = {
                "policy": policy,
                "case": case,
                "season": day.season,
                "day_type": str(day.day_type),
            }
            absorbed.append(key | {name: value * step_hours for name, value in row.items()})
    head = reduced.reverse[reduced.reverse["element"] == "head"]
    rows = head[head["case"] == "expected"]
    return {
        "arrays": arrays,
        "absorbed": absorbed,
        "head": [
            {"policy": row.policy, "reverse_hours": float(row.reverse_hours)}
            for row in rows.itertuples()
        ],
    }


def _absorbed(net: list[np.ndarray], charging: list[np.ndarray]) -> dict[str, float]:
    """Return surplus and what is absorbed of it, in steps x kW, and steps with reverse flow."""
    surplus = [np.maximum(-one, 0.0) for one in net]
    taken = sum(
        np.minimum(np.maximum(kw, 0.0), spare).sum(axis=1)
        for kw, spare in zip(charging, surplus, strict=True)
    )
    back = sum((one + kw < -_REVERSE_KW).sum(axis=1) for one, kw in zip(net, charging, strict=True))
    taken, back = np.asarray(taken, float), np.asarray(back, float)
    return {
        "surplus_kwh": float(sum(one.sum() for one in surplus)),
        "absorbed_kwh_mean": float(taken.mean()),
        "absorbed_kwh_min": float(taken.min()),
        "absorbed_kwh_max": float(taken.max()),
        "reverse_hours_none": float(sum((one < -_REVERSE_KW).sum() for one in net)),
        "reverse_hours_mean": float(back.mean()),
    }


def _is_solar(names: Any) -> Any:
    """Return which loads stand for arrays."""
    return names.str.match(re.escape(f"{SOLAR_NAME}_"))


def solar_assumptions(study: Study) -> list[dict[str, Any]]:
    """Return the figures of the arrays that a study does not set."""
    if not study.content.solar:
        return []
    rows = [
        {"group": "solar", "name": name, "value": str(figure["value"])}
        | {key: figure[key] for key in ("unit", "mark", "source")}
        for name, figure in solar_figures().items()
        if any(getattr(one, name, None) is None for one in study.content.solar)
    ]
    shares = ", ".join(f"{one.name} {one.clear_share:g}" for one in study.content.solar)
    source = "clear sky of the 21st of each season's middle month, Ineichen with pvlib's turbidity"
    return [
        *rows,
        {"group": "solar", "name": "clear_share", "value": shares, "unit": "1"}
        | {"mark": "study", "source": source},
    ]
