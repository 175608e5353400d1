"""Where the vehicles are: connection points by location and phase.

A placement is one realisation, drawn once for a study and kept for every policy, case and draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Connection, Placement, Wiring
from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.feeder.model import Feeder

__all__ = ["Place", "Placed", "connection_points", "no_points", "place_fleet"]

_COLUMNS: Final = ["bus", "connection", "kv", "nodes", "phases", "delta", "phase"]
_NODE: Final = {"A": 1, "B": 2, "C": 3}
_MAX_KV_MISMATCH: Final = 0.1  # a charger's rated kV within 10 % of its bus


@dataclass(frozen=True)
class Place:
    """How a fleet is placed.

    Parameters
    ----------
    by
        ``customers`` (drawn at random, one vehicle each), ``near_head`` and ``end_of_line`` (the
        customers of least and greatest impedance from the source), ``cluster`` (a drawn customer
        and the electrically nearest others) or ``buses`` (named, vehicles shared out in turn).
    buses
        Names, for ``by: buses``.
    phases
        ``as_load`` (the customer's own connection; at a named bus all its phases), ``balanced``
        (A, B, C in turn) or one of A, B, C.
    kv
        Rated kV of the chargers at named buses, line to neutral for one phase and line to line
        otherwise; default the bus's own.
    """

    by: str = Placement.CUSTOMERS
    buses: tuple[str, ...] = ()
    phases: str = "as_load"
    kv: float | None = None


@dataclass(frozen=True)
class Placed:
    """Connection points and the point of each vehicle.

    Parameters
    ----------
    points
        ``bus``, ``connection``, ``kv``, ``nodes``, ``phases``, ``delta``, ``phase`` (primary
        phases), one row a point.
    of_vehicle
        Row of ``points``, ``[vehicle]``.
    """

    points: pd.DataFrame
    of_vehicle: np.ndarray


def no_points() -> pd.DataFrame:
    """Return the table of connection points of a feeder without chargers."""
    return pd.DataFrame(columns=_COLUMNS)


def place_fleet(
    feeder: Feeder,
    customers: pd.DataFrame,
    vehicles: int,
    place: Place,
    rng: np.random.Generator,
    where: str = "place",
) -> Placed:
    """Place a fleet.

    Parameters
    ----------
    feeder
        With its secondaries, if any.
    customers
        ``customer``, ``load``, ``bus``, ``connection``, one row each.
    vehicles
        Number of vehicles.
    place
        How.
    rng
        Draws the customers or the centre of the cluster.
    where
        Key of the placement in the study, for messages.

    Returns
    -------
    Placed
        Points are one a bus and connection.

    Raises
    ------
    InputError
        For unknown buses, phases that a bus does not have, a kV unlike the bus, and more vehicles
        than customers.
    """
    if vehicles == 0:
        return Placed(no_points(), np.zeros(0, int))
    if place.by == Placement.BUSES:
        sites = _named_sites(feeder, vehicles, place, where)
    else:
        sites = _customer_sites(feeder, customers, vehicles, place, rng, where)
    return _points(feeder, sites, place.kv)


def _named_sites(
    feeder: Feeder, vehicles: int, place: Place, where: str
) -> list[tuple[str, Connection]]:
    """Return (bus, connection) by vehicle at named buses."""
    problems: list[Problem] = []
    by_bus: list[list[tuple[str, Connection]]] = []
    if not place.buses:
        problems.append(Problem(f"{where}.buses", "by: buses needs at least one bus"))
    for number, name in enumerate(place.buses):
        bus, key = str(name).lower(), f"{where}.buses[{number}]"
        if bus not in feeder.buses.index:
            hint = nearest(bus, list(feeder.buses.index))
            problems.append(Problem(key, f"unknown bus {name!r}", hint))
            continue
        if not feeder.buses.loc[bus, "energised"]:
            problems.append(Problem(key, f"bus {name!r} is not connected to the source"))
            continue
        options = _phase_options(feeder, bus, place.phases)
        if not options:
            have = ", ".join(feeder.connections(bus))
            problems.append(
                Problem(
                    f"{where}.phases", f"bus {name!r} has no phase {place.phases}", f"it has {have}"
                )
            )
            continue
        problems += _kv_problem(feeder, name, options[0], place.kv, where)
        by_bus.append([(bus, option) for option in options])
    if problems:
        raise InputError(problems)
    return [
        by_bus[n % len(by_bus)][(n // len(by_bus)) % len(by_bus[n % len(by_bus)])]
        for n in range(vehicles)
    ]


def _phase_options(feeder: Feeder, bus: str, phases: str) -> list[Connection]:
    """Return the connections that vehicles at a bus take in turn; none if the phase is missing."""
    have = feeder.connections(bus)
    if phases == "as_load":
        return [have[-1]] if have else []
    if phases == "balanced":
        by_size = [[c for c in have if len(c) == size] for size in (1, 2)]
        return by_size[0] or by_size[1] or list(have)
    if feeder.buses.loc[bus, "wiring"] == Wiring.FOUR_WIRE:
        return [c for c in have if c == phases]
    if feeder.buses.loc[bus, "wiring"] == Wiring.SPLIT_PHASE:
        return list(have) if feeder.buses.loc[bus, "phase"][:1] == phases else []
    return [c for c in have if c[0] == phases and len(c) == 2]


def _has_phase(feeder: Feeder, bus: str, connection: str, phase: str) -> bool:
    """Whether a customer's own connection has a phase; line to line belongs to its first phase."""
    if connection == Connection.ABC:
        return bool(_phase_options(feeder, bus, phase))
    own = feeder.buses.loc[bus, "phase"] if connection == Connection.SPLIT else connection
    return bool(own[:1] == phase)


def _kv_problem(
    feeder: Feeder, name: str, connection: Connection, kv: float | None, where: str
) -> list[Problem]:
    if kv is None:
        return []
    own = _rated_kv(feeder, name.lower(), connection)
    if abs(kv / own - 1) <= _MAX_KV_MISMATCH:
        return []
    return [
        Problem(
            f"{where}.kv",
            f"a charger of {kv:g} kV does not fit bus {name!r}, {own:.4g} kV as connected",
            "leave kv out to take the bus's own",
        )
    ]


def _customer_sites(
    feeder: Feeder,
    customers: pd.DataFrame,
    vehicles: int,
    place: Place,
    rng: np.random.Generator,
    where: str,
) -> list[tuple[str, Connection]]:
    """Return (bus, connection) by vehicle, one vehicle a customer."""
    pool = customers
    if place.phases in _NODE:
        keep = [
            _has_phase(feeder, bus, connection, place.phases)
            for bus, connection in zip(customers["bus"], customers["connection"], strict=True)
        ]
        pool = customers[keep]
    elif place.phases == "balanced":
        pool = customers
    if vehicles > len(pool):
        which = f" on phase {place.phases}" if place.phases in _NODE else ""
        raise InputError(
            Problem(where, f"{vehicles} vehicles, but only {len(pool)} customers{which}")
        )
    order = _customer_order(feeder, pool, place.by, rng)
    if place.phases == "balanced":
        order = _interleave(feeder, pool, order)
    chosen = pool.iloc[order[:vehicles]]
    sites: list[tuple[str, Connection]] = []
    for bus, connection in zip(chosen["bus"], chosen["connection"], strict=True):
        options = [Connection(connection)]
        if place.phases != "as_load" and connection == Connection.ABC:
            options = _phase_options(feeder, bus, place.phases)
        sites.append((bus, options[len(sites) % len(options)]))
    return sites


def _customer_order(
    feeder: Feeder, pool: pd.DataFrame, by: str, rng: np.random.Generator
) -> np.ndarray:
    """Return customers (positions in ``pool``) in the order in which they get a vehicle."""
    shuffled = rng.permutation(len(pool))
    if by == Placement.CUSTOMERS:
        return shuffled
    impedance = feeder.buses["impedance_pu"].reindex(pool["bus"]).to_numpy(float)
    if by == Placement.CLUSTER:
        impedance = _distance_to(feeder, pool, int(shuffled[0]))
    elif by == Placement.END_OF_LINE:
        impedance = -impedance
    return shuffled[np.argsort(impedance[shuffled], kind="stable")]


def _distance_to(feeder: Feeder, pool: pd.DataFrame, centre: int) -> np.ndarray:
    """Return the impedance along the tree from a customer to every other."""
    up = feeder.tree.parent
    z = feeder.tree.impedance_pu

    def path(bus: str) -> list[str]:
        found = [bus]
        while found[-1] in up:
            found.append(up[found[-1]][0])
        return found

    trunk = dict.fromkeys(path(str(pool["bus"].iloc[centre])))
    own = z[str(pool["bus"].iloc[centre])]
    joint = {
        bus: next(above for above in path(bus) if above in trunk) for bus in pool["bus"].unique()
    }
    return np.array([z[bus] + own - 2 * z[joint[bus]] for bus in pool["bus"]])


def _interleave(feeder: Feeder, pool: pd.DataFrame, order: np.ndarray) -> np.ndarray:
    """Reorder customers so that primary phases take turns as long as each has customers left."""
    phase = feeder.buses["phase"].reindex(pool["bus"]).to_numpy()
    turn = np.zeros(len(order))
    seen: dict[str, int] = {}
    for position, customer in enumerate(order):
        key = str(phase[customer])
        turn[position] = seen.get(key, 0)
        seen[key] = seen.get(key, 0) + 1
    return order[np.argsort(turn, kind="stable")]


def _rated_kv(feeder: Feeder, bus: str, connection: Connection) -> float:
    """Return the kV of a charger as connected."""
    base = float(feeder.buses.loc[bus, "kv_base_ln"])
    if connection == Connection.SPLIT:
        return 2.0 * base
    return base * (1.0 if len(connection) == 1 else np.sqrt(3.0))


def _points(feeder: Feeder, sites: Sequence[tuple[str, Connection]], kv: float | None) -> Placed:
    """Merge vehicles of the same bus and connection into points."""
    unique = list(dict.fromkeys(sites))
    position = {site: number for number, site in enumerate(unique)}
    points = connection_points(feeder, unique, kv)
    return Placed(points, np.array([position[site] for site in sites], int))


def connection_points(
    feeder: Feeder, sites: Sequence[tuple[str, Connection]], kv: float | None = None
) -> pd.DataFrame:
    """Return the table of connection points, one a (bus, connection).

    Parameters
    ----------
    feeder
        With its secondaries, if any.
    sites
        Buses, each with a connection that it has.
    kv
        Rated kV as connected; default each bus's own.
    """
    rows = []
    for bus, connection in sites:
        split = connection == Connection.SPLIT
        nodes = "1.2" if split else ".".join(str(_NODE[letter]) for letter in connection)
        three_wire = feeder.buses.loc[bus, "wiring"] == Wiring.THREE_WIRE
        rows.append(
            {
                "bus": bus,
                "connection": str(connection),
                "kv": kv or _rated_kv(feeder, bus, connection),
                "nodes": nodes,
                "phases": 3 if connection == Connection.ABC else 1,
                "delta": bool(three_wire and connection == Connection.ABC),
                "phase": feeder.buses.loc[bus, "phase"] if split else str(connection),
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)
