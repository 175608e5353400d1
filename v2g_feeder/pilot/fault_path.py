"""The protective devices between a site and the source, as the model has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.scan import scan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.feeder.model import Feeder

__all__ = ["ModelDevice", "devices_on_path", "fault_path", "model_fault_path"]


@dataclass(frozen=True)
class ModelDevice:
    """A device of the model; names in lower case, as ``recloser.r1``.

    Parameters
    ----------
    name, kind
        ``kind`` as in the inventory: relay, recloser, fuse, regulator.
    element
        Element that it watches.
    """

    name: str
    kind: str
    element: str


def devices_on_path(
    feeder: Feeder, stated: Mapping[str, Any], buses: Sequence[str]
) -> tuple[ModelDevice, ...]:
    """Return the devices on the way from buses to the source.

    Parameters
    ----------
    feeder
        Tables of the model.
    stated
        The circuit as :meth:`v2g_feeder.feeder.engine.Engine.circuit` gives it.
    buses
        Where the site connects.

    Returns
    -------
    tuple of ModelDevice
        Relays, reclosers and fuses that watch an element on the way, and regulators in it, each
        once, the nearest to the site first.

    Raises
    ------
    InputError
        For a bus that is not there.
    """
    problems = [
        Problem("bus", f"{bus!r} is not a bus of the model", nearest(bus, list(feeder.buses.index)))
        for bus in buses
        if bus.lower() not in feeder.buses.index
    ]
    if problems:
        raise InputError(problems)
    way = [element for bus in buses for element in fault_path(feeder, bus.lower())]
    rank = {element.lower(): number for number, element in reversed(list(enumerate(way)))}
    found = [
        ModelDevice(f"{kind}.{row['Name']}".lower(), kind, str(row["MonitoredObj"]).lower())
        for kind in ("relay", "recloser", "fuse")
        for row in stated.get(kind.capitalize(), [])
        if row.get("Enabled", True) and str(row.get("MonitoredObj", "")).lower() in rank
    ]
    found += [
        ModelDevice(f"regcontrol.{row.control}", "regulator", f"transformer.{row.transformer}")
        for row in feeder.regulators.itertuples()
        if f"transformer.{row.transformer}" in rank
    ]
    return tuple(sorted(found, key=lambda device: rank[device.element]))


def fault_path(feeder: Feeder, bus: str) -> list[str]:
    """Return the elements from a bus to the source; of parallel ones (a bank) all."""
    ends = feeder.elements[feeder.elements["series"]].groupby(["bus1", "bus2"])["element"].agg(list)
    found = []
    while bus in feeder.tree.parent:
        above, element = feeder.tree.parent[bus]
        found += list(dict.fromkeys([element, *ends.get((above, bus), [])]))
        bus = above
    return found


def model_fault_path(master: Path, buses: Sequence[str]) -> tuple[ModelDevice, ...]:
    """Load a model and return :func:`devices_on_path`; call it in a process of its own."""
    scan(master)
    engine = shared_engine()
    engine.load(master)
    return devices_on_path(read_feeder(engine, master), engine.circuit(), buses)
