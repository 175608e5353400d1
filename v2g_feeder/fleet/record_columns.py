"""Which column of a file of records means what: names as they occur in public records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from v2g_feeder.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ROLES", "find_columns", "is_duty", "missing_columns", "plain_name"]

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "arrival": (
        "arrival", "arrival_time", "arrival_datetime", "arrived_at", "connection_time",
        "connectiontime", "connect_time", "connected_at", "start_plugin", "plug_in", "plugin",
        "plug_in_time", "plugin_time", "plugged_in_at", "start_datetime", "start_date_time",
        "session_start", "session_start_time", "charging_start", "start_timestamp",
        "transaction_start", "start_time", "start_date", "started_at", "starttime", "start",
    ),
    "departure": (
        "departure", "departure_time", "departure_datetime", "departed_at", "disconnect_time",
        "disconnecttime", "disconnection_time", "disconnected_at", "end_plugout", "plug_out",
        "plugout", "plug_out_time", "plugout_time", "unplug_time", "unplugged_at", "end_datetime",
        "end_date_time", "session_end", "session_end_time", "end_timestamp", "transaction_end",
        "end_time", "end_date", "ended_at", "endtime", "end", "stop_time", "stop",
    ),
    "energy": (
        "energy", "energy_kwh", "kwh", "delivered_energy", "delivered_energy_kwh",
        "energy_delivered", "energy_delivered_kwh", "kwhdelivered", "kwh_delivered",
        "delivered_kwh", "el_kwh", "energy_wh", "energy_delivered_wh", "wh", "charged_kwh",
        "energy_charged", "energy_charged_kwh", "total_kwh", "total_energy", "consumption_kwh",
        "chargeenergy", "charge_energy",
    ),
    "user": (
        "user", "user_id", "userid", "vehicle", "vehicle_id", "vehicleid", "ev", "ev_id", "car",
        "car_id", "driver", "driver_id", "customer", "customer_id", "household", "vin", "bus",
        "bus_id", "truck_id", "van_id", "veh_id",
    ),
    "station": (
        "station", "station_id", "stationid", "evse", "evse_id", "evseid", "charge_point",
        "charge_point_id", "chargepoint", "chargepoint_id", "charger", "charger_id", "port",
        "port_id", "outlet", "space_id", "spaceid", "connector_id",
    ),
    "stated": (
        "stated", "stated_departure", "estimated_departure", "requested_departure",
        "requesteddeparture", "expected_departure", "planned_departure", "declared_departure",
    ),
    "claimed": ("claimed",),
    "timezone": ("timezone", "time_zone", "tz"),
    "day": (
        "veh_op_day_id", "vehicle_day", "vehicle_day_id", "day_id", "operating_day",
        "service_date", "date", "day",
    ),
    "miles": (
        "vmt", "miles", "distance_miles", "distance_mi", "mileage", "trip_miles", "distance",
        "km", "distance_km", "kilometres", "kilometers",
    ),
    "on_shift": ("on_shift", "on_duty", "in_service", "onshift"),
}  # fmt: skip

SAME_AS: Final[Mapping[str, str]] = {
    "start": "arrival",
    "plug_in": "arrival",
    "end": "departure",
    "plug_out": "departure",
    "vehicle": "user",
}
_NEEDED: Final = {
    "sessions": ("arrival", "departure", "energy"),
    "duty": ("arrival", "departure", "miles"),
}
_WORDS: Final = {
    "arrival": "arrival (plug-in, or start of a duty)",
    "departure": "departure (plug-out, or end of a duty)",
    "energy": "energy in kWh",
    "miles": "distance in miles",
}


def plain_name(name: str) -> str:
    """Return a column's name for comparison: lower case, without a bracket such as ``(kWh)``.

    Examples
    --------
    >>> plain_name("Delivered Energy (kWh)")
    'delivered_energy'
    """
    bare = re.sub(r"[(\[].*?[)\]]", "", name).strip().lower()
    return re.sub(r"[^a-z0-9]+", "_", bare).strip("_")


def find_columns(
    names: Sequence[str], mapped: Mapping[str, str], file: str
) -> tuple[dict[str, str], list[Problem]]:
    """Return the column of each role, and what is wrong with the mapping.

    Parameters
    ----------
    names
        Column names of the file.
    mapped
        Role to column name, as the user gave it; goes before the known names.
    file
        Name of the file, for messages.

    Returns
    -------
    tuple
        ``{role: column}`` for the roles of ``ROLES`` that were found, and the problems.
    """
    plain = {plain_name(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    problems = []
    wanted = {SAME_AS.get(given, given) for given in mapped}
    for given, column in mapped.items():
        role = SAME_AS.get(given, given)
        if role not in ROLES:
            hint = nearest(role, tuple(ROLES)) or f"one of {', '.join(ROLES)}"
            problems.append(Problem("--columns", f"unknown quantity {role!r}", hint))
        elif column in names or plain_name(column) in plain:
            found[role] = column if column in names else plain[plain_name(column)]
        else:
            hint = nearest(column, names) or f"it has {', '.join(map(repr, names))}"
            problems.append(Problem(file, f"has no column {column!r} for {role}", hint))
    for role, known in ROLES.items():
        if role not in found and role not in wanted:
            hit = next((plain[name] for name in known if name in plain), None)
            if hit is not None and hit not in found.values():
                found[role] = hit
    return found, problems


def is_duty(found: Mapping[str, str]) -> bool:
    """Return whether the columns are those of duty records: miles and no energy."""
    return "miles" in found and "energy" not in found


def missing_columns(
    found: Mapping[str, str], mapped: Mapping[str, str], names: Sequence[str], file: str
) -> list[Problem]:
    """Return a problem for each quantity that no column gives, with the nearest column name."""
    kind = "duty" if is_duty(found) else "sessions"
    taken = set(found.values())
    wanted = {SAME_AS.get(given, given) for given in mapped}
    free = [name for name in names if name not in taken]
    problems = []
    for role in _NEEDED[kind]:
        if role in found or role in wanted:
            continue
        guess = _guess(role, free)
        have = ", ".join(map(repr, names))
        hint = f"did you mean {guess!r}? --columns {role}={guess}" if guess else f"it has {have}"
        problems.append(Problem(file, f"has no column for {_WORDS[role]}", hint))
    return problems


def _guess(role: str, names: Sequence[str]) -> str:
    """Return the column whose name comes nearest to a known name of ``role``, or nothing."""
    plain = {plain_name(name): name for name in names}
    for known in ROLES[role]:
        for name, original in plain.items():
            if known in name:
                return original
    for known in ROLES[role]:
        hint = nearest(known, tuple(plain))
        if hint:
            return plain[hint.split("'")[1]]
    return ""
