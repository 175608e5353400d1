"""The protective devices between a site and the source, as the model has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.scan import scan
from v2g_feeder.screening.devices import devices_of_model
from v2g_feeder.screening.zones import fault_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from v2g_feeder.feeder.model import Feeder

__all__ = ["ModelDevice", "devices_on_path", "model_fault_path"]


@dataclass(frozen=True)
class ModelDevice:
    """A device of the model; names in lower case, as ``recloser.r1``.

    Parameters
    ----------
    name, kind
        ``kind`` as in the inventory: relay, recloser, fuse, regulator.
    element
        Element on which it stands.
    """

    name: str
    kind: str
    element: str


def devices_on_path(
    feeder: Feeder, stated: pd.DataFrame, buses: Sequence[str]
) -> tuple[ModelDevice, ...]:
    """Return the devices between buses and the source, each once.

    Parameters
    ----------
    feeder
        Tables of the model.
    stated
        Its relays, reclosers and fuses (:func:`v2g_feeder.screening.devices.devices_of_model`);
        regulators are taken from ``feeder``.
    buses
        Where the site connects.

    Raises
    ------
    InputError
        For a bus that is not there.
    """
    known = list(feeder.buses.index)
    problems = [
        Problem("buses", f"{bus!r} is not a bus of the model", nearest(bus, known))
        for bus in buses
        if bus.lower() not in feeder.buses.index
    ]
    if problems:
        raise InputError(problems)
    regulators = pd.DataFrame(
        {
            "device": "regcontrol." + feeder.regulators["control"],
            "kind": "regulator",
            "element": "transformer." + feeder.regulators["transformer"],
        }
    )
    named = ["device", "kind", "element"]
    every = pd.concat([stated[named], regulators], ignore_index=True).astype(str)
    path = {name for bus in buses for name in fault_path(feeder, every, bus)}
    return tuple(
        ModelDevice(str(row.device).lower(), str(row.kind), str(row.element).lower())
        for row in every.itertuples()
        if row.device in path
    )


def model_fault_path(master: Path, buses: Sequence[str]) -> tuple[ModelDevice, ...]:
    """Load a model and return :func:`devices_on_path`; call it in a process of its own."""
    scan(master)
    engine = shared_engine()
    engine.load(master)
    return devices_on_path(read_feeder(engine, master), devices_of_model(engine), buses)
