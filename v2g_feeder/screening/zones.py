"""What each protective device has behind it: its zone, the chargers, the load, the residual."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.model import LOW_VOLTAGE_KV

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from v2g_feeder.feeder.engine import RawSolution, SeriesElement
    from v2g_feeder.feeder.model import Feeder

__all__ = ["Zone", "device_zones", "fault_path", "standing_flows"]


class Zone(NamedTuple):
    """The part of a feeder that a device protects.

    Parameters
    ----------
    device
        Its name.
    near, far
        Buses of the element on which it stands, towards the head and away from it.
    behind
        Every bus that is fed through it.
    own
        Buses behind it up to the next devices, on its own side of service transformers, of which
        their own fuse takes care.
    """

    device: str
    near: str
    far: str
    behind: frozenset[str]
    own: frozenset[str]


def device_zones(feeder: Feeder, devices: pd.DataFrame) -> dict[str, Zone]:
    """Return the zone of each device that stands on an element of the feeder.

    Parameters
    ----------
    feeder
        Its tables; in a meshed part, the path with the fewest elements counts.
    devices
        From :func:`~v2g_feeder.screening.devices.read_devices`. Devices on one element share a
        zone; switches, sectionalizers and regulators end no zone.

    Raises
    ------
    InputError
        For elements that the feeder does not have.
    """
    elements = feeder.elements.set_index(feeder.elements["element"].str.lower())
    placed = devices[devices["element"] != ""]
    problems = [
        Problem(
            f"devices.{name}.element",
            f"{element!r} is not an enabled element of the feeder",
            nearest(element, list(feeder.elements["element"])),
        )
        for name, element in zip(placed["device"], placed["element"], strict=True)
        if element.lower() not in elements.index
    ]
    if problems:
        raise InputError(problems)
    ends = {
        name: tuple(elements.loc[element.lower(), ["bus1", "bus2"]])
        for name, element in zip(placed["device"], placed["element"], strict=True)
    }
    behind = {name: feeder.downstream(far) for name, (_, far) in ends.items()}
    ending = placed["kind"].isin(["breaker", "relay", "recloser", "fuse"])
    stops = {ends[name] for name in placed.loc[ending, "device"]}
    low = {bus for bus in feeder.buses.index if feeder.nominal_kv(bus) <= LOW_VOLTAGE_KV}
    zones = {}
    for name, (near, far) in ends.items():
        own = set(behind[name])
        for other_near, other_far in stops:
            if other_far in behind[name] and (other_near, other_far) != (near, far):
                own -= feeder.downstream(other_far)
        if far not in low:
            own -= low
        zones[name] = Zone(name, near, far, behind[name], frozenset(own))
    return zones


def fault_path(feeder: Feeder, devices: pd.DataFrame, bus: str) -> list[str]:
    """Return the devices between a bus and the head, the nearest to the bus first."""
    zones = device_zones(feeder, devices)
    order = {name: number for number, name in enumerate(feeder.tree.order)}
    found = [zone for zone in zones.values() if bus.lower() in zone.behind]
    return [zone.device for zone in sorted(found, key=lambda zone: -order[zone.far])]


def standing_flows(
    feeder: Feeder,
    elements: Sequence[SeriesElement],
    devices: pd.DataFrame,
    solutions: Iterable[RawSolution],
) -> pd.DataFrame:
    """Return what flows through each device without chargers, over some solved states.

    Parameters
    ----------
    feeder
        Its tables.
    elements
        :meth:`~v2g_feeder.feeder.engine.Engine.series_elements` of the circuit that was solved.
    devices
        As for :func:`device_zones`.
    solutions
        States without chargers, such as the steps at which chargers may export; unsolved ones are
        passed over.

    Returns
    -------
    pandas.DataFrame
        By device: ``minimum_kw``, the least active power away from the head, and ``residual_a``,
        the largest sum of its phase currents; NaN where nothing was solved.
    """
    named = {element.name.lower(): element for element in elements}
    zones = device_zones(feeder, devices)
    placed = devices[devices["element"] != ""]
    least = dict.fromkeys(zones, np.inf)
    residual = dict.fromkeys(zones, -np.inf)
    for raw in solutions:
        if not raw.converged:
            continue
        volts = np.append(raw.volts, 0.0)
        for name, label in zip(placed["device"], placed["element"], strict=True):
            element = named[label.lower()]
            terminal = element.buses.index(zones[name].near)
            nodes = np.array(element.nodes[terminal])
            first = element.offset + terminal * len(nodes)
            amps = raw.amps[first : first + len(nodes)]
            phases = np.array([node >= 0 for node in nodes])
            kw = float((volts[nodes] * amps.conj()).real.sum()) / 1e3
            least[name] = min(least[name], kw)
            residual[name] = max(residual[name], float(abs(amps[phases].sum())))
    table = pd.DataFrame({"minimum_kw": least, "residual_a": residual}, dtype=float)
    return table.replace([np.inf, -np.inf], np.nan).rename_axis("device")
