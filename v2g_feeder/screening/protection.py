"""Protection screen, by device zone: what chargers that export do to relays, reclosers and fuses.

A screen, not a study: it says which settings to look at. What it cannot tell is in
:data:`NEEDS_FULL_STUDY`; what it was not given is ``unknown``, with the missing item named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Wiring
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.faults import charger_currents
from v2g_feeder.screening.fault_sweep import Terminals, charger_residual_a, sweep
from v2g_feeder.screening.protection_faults import (
    RELAYS,
    TRIPPING,
    bus_rows,
    grounding_rows,
    reach_rows,
    sympathetic_rows,
)
from v2g_feeder.screening.protection_figures import ProtectionSettings, protection_settings
from v2g_feeder.screening.protection_flows import export_rows, residual_rows
from v2g_feeder.screening.protection_row import PROTECTION_COLUMNS, ProtectionStatus, Row
from v2g_feeder.screening.zones import device_zones

if TYPE_CHECKING:
    from v2g_feeder.feeder.faults import FaultNetwork
    from v2g_feeder.feeder.model import Feeder

__all__ = [
    "NEEDS_FULL_STUDY",
    "PROTECTION_COLUMNS",
    "ProtectionInputs",
    "ProtectionStatus",
    "protection_findings",
    "protection_screen",
]

NEEDS_FULL_STUDY: Final = (
    "coordination of time-current curves with the current that chargers add between two devices",
    "fuse saving",
    "whether an island of several inverters runs on, and for how long",
    "transient over-voltage at load rejection and at ground faults, below a cycle",
    "negative-sequence and distance elements, which limited sources mislead",
    "charger currents in the first cycle, and what each maker's controls do in unbalanced faults",
    "rotating generation of the model, whose fault current is left out here",
)
"""What the screen does not answer."""


@dataclass(frozen=True)
class ProtectionInputs:
    """What is known of a feeder's protection; what is left out makes its checks ``unknown``.

    Parameters
    ----------
    devices
        From :func:`~v2g_feeder.screening.read_devices` or
        :func:`~v2g_feeder.screening.devices_of_model`.
    points
        Connection points of chargers that may export: ``bus``, ``nodes``, ``kv``, ``phases``,
        ``delta``, ``phase`` (primary phases), ``kva`` (rating of all chargers there) and ``kw``
        (what they may export, as a magnitude).
    network
        From :func:`~v2g_feeder.feeder.short_circuit.fault_network`, with the fault level at the
        head; ``None`` where that is not known.
    standing
        By device: ``minimum_kw`` and ``residual_a`` without chargers
        (:func:`~v2g_feeder.screening.standing_flows`); ``None`` where no flow was solved. An
        inventory's own ``minimum_load_kw`` comes first.
    """

    devices: pd.DataFrame
    points: pd.DataFrame
    network: FaultNetwork | None = None
    standing: pd.DataFrame | None = None


def protection_screen(
    feeder: Feeder, inputs: ProtectionInputs, settings: ProtectionSettings | None = None
) -> pd.DataFrame:
    """Screen the protection of a feeder.

    Parameters
    ----------
    feeder
        Its tables.
    inputs
        Devices, chargers, fault level, flows.
    settings
        Limits and assumptions; left out, the shipped ones.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`PROTECTION_COLUMNS`; one row a (device, check), or a check for the feeder
        as a whole with ``device`` empty. ``value`` is the worst case, at ``bus`` for ``fault``;
        ``reference_value`` the same without chargers and ``effect`` what they do to it
        (``new, worse, same`` for a violation). ``status`` is a :class:`ProtectionStatus`;
        ``missing`` names what turns an ``unknown`` into an answer.

        ======================= =========================================================
        check                   value and limit
        ======================= =========================================================
        ``phase_reach``         least line-to-line or three-phase fault current in the zone
        ``ground_reach``        (residual of line-to-ground faults) over the minimum trip
        ``phase_reach_loss``    share of that current that chargers take, percent
        ``ground_reach_loss``
        ``fault_current_rise``  share that chargers add to the fault current at a bus, percent
        ``interrupting_rating`` highest fault current at the device, A
        ``residual_pickup``     standing residual current with chargers, A; ground pickup
        ``reverse_power``       export less least load behind the device, kW; its setting
        ``islanding``           export over least load behind the device
        ``load_rejection``      the same as a voltage, pu: constant currents into an impedance
        ``effective_grounding`` X0/X1 and (``r0_x1``) R0/X1 at three-phase buses
        ``sympathetic_trip``    zero-sequence current for a fault not behind the device, A
        ``sympathetic_pickup``  the highest of phase and residual current then, in pickups
        ======================= =========================================================

    Raises
    ------
    InputError
        For devices on elements, or chargers at nodes, that the feeder does not have; with an
        inventory that is empty.
    """
    figures = settings or protection_settings()
    if inputs.devices.empty:
        raise InputError(Problem("devices", "no device to screen", "give a device inventory"))
    devices = _melting(inputs.devices, figures)
    devices = devices[devices["kind"] != "regulator"].reset_index(drop=True)
    zones = device_zones(feeder, devices)
    kw = {
        name: float(inputs.points.loc[inputs.points["bus"].isin(zone.behind), "kw"].sum())
        for name, zone in zones.items()
    }
    rows: list[Row] = list(export_rows(devices, zones, kw, inputs.standing, figures))
    if inputs.network is None:
        rows += _without_head(devices)
        return _table(rows)
    network = inputs.network
    elements = {
        name: element
        for name, element in zip(devices["device"], devices["element"], strict=True)
        if element
    }
    terminals = Terminals.of(network, elements, zones)
    injected = charger_currents(network, inputs.points, figures.charger_factor)
    wires = feeder.buses.index[feeder.buses["wiring"] == Wiring.THREE_WIRE]
    swept = sweep(
        network,
        terminals,
        injected,
        figures.fault_resistance_ohm,
        ungrounded=frozenset(str(bus) for bus in wires),
    )
    residual = dict(
        zip(terminals.names, charger_residual_a(network, terminals, inputs.points), strict=True)
    )
    rows += reach_rows(devices, zones, swept, figures)
    rows += bus_rows(devices, zones, swept, figures)
    rows += residual_rows(devices, zones, residual, inputs.standing)
    rows += grounding_rows(swept, feeder, figures)
    rows += sympathetic_rows(devices, zones, swept, figures)
    return _table(rows)


def protection_findings(table: pd.DataFrame) -> pd.DataFrame:
    """Return a screen as findings for a checklist: ``check, device, outcome, note``.

    ``outcome`` is ``pass``, ``fail`` or ``unknown``.
    """
    outcome = {"pass": "pass", "violation": "fail", "unknown": "unknown"}
    notes = []
    for row in table.itertuples():
        figure = "" if math.isnan(row.value) else f"{row.value:.4g} {row.unit}".strip()
        limit = "" if math.isnan(row.limit) else f"limit {row.limit:.4g}"
        missing = f"missing: {row.missing}" if row.missing else ""
        notes.append("; ".join(part for part in (figure, limit, missing, row.note) if part))
    return pd.DataFrame(
        {
            "check": table["check"],
            "device": table["device"],
            "outcome": table["status"].map(outcome),
            "note": notes,
        }
    )


def _melting(devices: pd.DataFrame, figures: ProtectionSettings) -> pd.DataFrame:
    """Return the devices with the melting current of fuses that state a rating only."""
    found = devices.copy()
    bare = (found["kind"] == "fuse") & found["pickup_a"].isna()
    found.loc[bare, "pickup_a"] = figures.melting_factor * found.loc[bare, "rating_a"]
    return found


def _without_head(devices: pd.DataFrame) -> list[Row]:
    """Return the checks that need a fault level, unknown."""
    missing = "fault level at the head"
    phase = ("phase_reach", "phase_reach_loss", "interrupting_rating")
    ground = ("ground_reach", "ground_reach_loss", "residual_pickup")
    relay = (*ground, "sympathetic_trip", "sympathetic_pickup")
    rows = [
        Row(name, check, missing=missing)
        for name, kind in zip(devices["device"], devices["kind"], strict=True)
        for check in (*(phase if kind in TRIPPING else ()), *(relay if kind in RELAYS else ()))
    ]
    feeder = ("fault_current_rise", "effective_grounding", "r0_x1")
    return [*rows, *(Row("", check, missing=missing) for check in feeder)]


def _table(rows: list[Row]) -> pd.DataFrame:
    """Return rows as the table."""
    table = pd.DataFrame([row.cells() for row in rows], columns=list(PROTECTION_COLUMNS))
    numbers = ["value", "limit", "reference_value"]
    table[numbers] = table[numbers].astype(float).replace([np.inf, -np.inf], np.nan)
    return table
