"""How large a charger may be at each bus before protection must be looked at.

Chargers are limited current sources, so that everything a device sees is linear in their size: the
largest size of each criterion follows from one sweep over the faults, for all buses at once,
without a search. It does not depend on the hour, since faults are taken without load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Wiring
from v2g_feeder.feeder.faults import GROUND_FAULTS, charger_columns
from v2g_feeder.screening.fault_sweep import Terminals
from v2g_feeder.screening.protection_faults import RELAYS, TRIPPING
from v2g_feeder.screening.protection_figures import ProtectionSettings, protection_settings
from v2g_feeder.screening.zones import device_zones

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.feeder.faults import Fault, FaultNetwork
    from v2g_feeder.feeder.model import Feeder
    from v2g_feeder.screening.zones import Zone

__all__ = ["CAPACITY_COLUMNS", "protection_capacity"]

CAPACITY_COLUMNS: Final = ("point", "check", "kva", "device", "bus", "fault", "already")
_BLOCK_BYTES: Final = 300_000_000  # of voltages held at a time
_CHECKS: Final = (
    "fault_current_rise",
    "phase_reach",
    "phase_reach_loss",
    "ground_reach",
    "ground_reach_loss",
    "sympathetic_trip",
)
_CLEAR: Final = ("three_phase", "line_line")


class _Demand(NamedTuple):
    """What one element of a device must still see, or must not see, of which faults."""

    check: str
    device: str
    rows: slice  # conductors of the device
    residual: bool
    floor_a: float  # least current in the zone; NaN: none
    keep: float  # share of the current without chargers that must be left; 0: none
    ceiling_a: float  # most current for faults elsewhere; NaN: none
    buses: frozenset[str]
    kinds: tuple[str, ...]


def protection_capacity(
    feeder: Feeder,
    network: FaultNetwork,
    devices: pd.DataFrame,
    candidates: pd.DataFrame,
    settings: ProtectionSettings | None = None,
) -> pd.DataFrame:
    """Return the largest charger at each candidate point, check by check.

    Parameters
    ----------
    feeder, network
        Tables, and the short-circuit network with the fault level at the head.
    devices
        From :func:`~v2g_feeder.screening.read_devices`; a device without a setting limits nothing
        by it, and :func:`~v2g_feeder.screening.protection_screen` names what is missing.
    candidates
        Points one at a time: ``bus``, ``nodes``, ``kv``, ``phases``, ``delta``.
    settings
        Limits and assumptions; left out, the shipped ones.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`CAPACITY_COLUMNS`: for each point (its label in ``candidates``) and check,
        the largest ``kva`` that meets the limit in every fault, infinite where none limits it;
        the device, faulted bus and fault that limit it. Where the limit is broken without
        chargers, ``kva`` is 0 and ``already`` True: any charger can only make it worse. Ground
        faults are passed over where the zero-sequence level at the head is not known.
    """
    figures = settings or protection_settings()
    zones = device_zones(feeder, devices)
    elements = {
        name: element
        for name, element in zip(devices["device"], devices["element"], strict=True)
        if element
    }
    terminals = Terminals.of(network, elements, zones)
    demands = _demands(devices, zones, terminals, network, figures)
    wires = feeder.buses.index[feeder.buses["wiring"] == Wiring.THREE_WIRE]
    search = _Search(network, terminals, demands, figures, frozenset(str(bus) for bus in wires))
    columns = charger_columns(network, candidates)
    size = max(1, _BLOCK_BYTES // (16 * len(network.nodes)))
    parts = [
        search.block(figures.charger_factor * columns[:, start : start + size].toarray())
        for start in range(0, len(candidates), size)
    ]
    return _table(candidates, parts)


def _demands(
    devices: pd.DataFrame,
    zones: Mapping[str, Zone],
    terminals: Terminals,
    network: FaultNetwork,
    figures: ProtectionSettings,
) -> list[_Demand]:
    """Return what the devices ask, as the screen does."""
    found = []
    ends = [*terminals.start[1:], len(terminals.weights)]
    for device in devices[devices["kind"].isin(TRIPPING)].itertuples():
        name = str(device.device)
        if name not in terminals.names:
            continue
        number = terminals.names.index(name)
        rows = slice(int(terminals.start[number]), int(ends[number]))
        fuse = device.kind == "fuse"
        melting = figures.melting_factor * float(device.rating_a) if fuse else np.nan
        pickup = device.pickup_a if device.pickup_a > 0 else melting
        keep = 1 - figures.reach_loss_pct / 100
        zone = zones[name]
        blank = _Demand("", name, rows, False, np.nan, 0.0, np.nan, zone.own, _CLEAR)
        clear = any(len(network.bus_nodes.get(bus, ())) > 1 for bus in zone.own)
        kinds = (*_CLEAR, "line_ground") if fuse or not clear else _CLEAR
        found += _reach(blank._replace(kinds=kinds), "phase", pickup, keep, figures)
        if not fuse:
            ground = blank._replace(residual=True, kinds=("line_ground",))
            found += _reach(ground, "ground", device.ground_pickup_a, keep, figures)
        if device.kind in RELAYS:
            elsewhere = frozenset(network.bus_nodes) - zone.behind
            found.append(
                blank._replace(
                    check="sympathetic_trip",
                    residual=True,
                    ceiling_a=3 * figures.sympathetic_i0_a,
                    buses=elsewhere,
                    kinds=(*_CLEAR, *GROUND_FAULTS),
                )
            )
    return found


def _reach(
    blank: _Demand, element: str, pickup_a: float, keep: float, figures: ProtectionSettings
) -> list[_Demand]:
    """Return what one element asks of its zone: to be reached, and to keep its reach."""
    loss = blank._replace(check=f"{element}_reach_loss", keep=keep)
    if not pickup_a > 0:
        return [loss]
    floor = figures.reach_factor * pickup_a
    return [blank._replace(check=f"{element}_reach", floor_a=floor), loss]


class _Place(NamedTuple):
    """What limits a size: nothing, a bus, or a device."""

    device: str
    bus: str
    fault: Fault | None


_NOWHERE: Final = _Place("", "", None)


class _Search:
    """One sweep over all faults for a block of candidates."""

    def __init__(
        self,
        network: FaultNetwork,
        terminals: Terminals,
        demands: list[_Demand],
        figures: ProtectionSettings,
        ungrounded: frozenset[str],
    ) -> None:
        self._network, self._terminals, self._demands = network, terminals, demands
        self._figures, self._ungrounded = figures, ungrounded
        self._row = {check: number for number, check in enumerate(_CHECKS)}

    def block(self, amps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return size and place, ``[check, candidate]``, for currents ``[node, candidate]``."""
        count = amps.shape[1]
        self._kva = np.full((len(_CHECKS), count), np.inf)
        self._at = np.zeros((len(_CHECKS), count), dtype=int)
        self._places: list[_Place] = [_NOWHERE]
        network, weights = self._network, self._terminals.weights
        volts = np.concatenate([network.volts[:, None], network.solve(amps)], axis=1)
        through = weights @ volts
        for bus, here in network.bus_nodes.items():
            columns = network.columns(bus)
            asked = [demand for demand in self._demands if bus in demand.buses]
            reach = weights @ columns if asked else None
            for fault in network.faults(bus):
                ground = fault.kind in GROUND_FAULTS
                if ground and (bus in self._ungrounded or not network.ground_known):
                    continue
                own = fault.admittance(columns[here], self._figures.fault_resistance_ohm)
                currents = own @ volts[here]
                self._rise(bus, fault, np.abs(currents))
                if reach is not None:
                    self._devices(bus, fault, asked, through - reach @ currents)
        places = np.empty(len(self._places), dtype=object)
        places[:] = self._places
        return self._kva, places[self._at]

    def _rise(self, bus: str, fault: Fault, size: np.ndarray) -> None:
        """Take the rise of the fault current at a bus."""
        grid, each = size[:, :1], size[:, 1:]
        room = (1 + self._figures.fault_rise_pct / 100) * grid.max() - grid
        self._keep("fault_current_rise", _Place("", bus, fault), _least(room, each))

    def _devices(self, bus: str, fault: Fault, asked: list[_Demand], amps: np.ndarray) -> None:
        """Take what each device sees of a fault."""
        for demand in asked:
            if fault.kind not in demand.kinds:
                continue
            seen = amps[demand.rows]
            size = np.abs(seen.sum(axis=0, keepdims=True) if demand.residual else seen)
            grid, each = size[:, :1], size[:, 1:]
            if demand.ceiling_a == demand.ceiling_a:  # there is one
                kva = _least(demand.ceiling_a - grid, each)
            else:
                floor = np.nanmax([demand.floor_a, demand.keep * grid.max()])
                # the phase that stays above the floor longest decides
                kva = np.max(_ratio(grid - floor, each), axis=0)
            self._keep(demand.check, _Place(demand.device, bus, fault), kva)

    def _keep(self, check: str, place: _Place, kva: np.ndarray) -> None:
        """Keep the smaller sizes with their place."""
        row = self._row[check]
        lower = kva < self._kva[row]
        if lower.any():
            self._kva[row, lower] = kva[lower]
            self._at[row, lower] = len(self._places)
            self._places.append(place)


def _ratio(room: np.ndarray, each: np.ndarray) -> np.ndarray:
    """Return how many kVA fit into the room, negative where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = np.where(each > 0, room / each, np.where(room >= 0, np.inf, -np.inf))
    return found


def _least(room: np.ndarray, each: np.ndarray) -> np.ndarray:
    """Return the least over phases."""
    found: np.ndarray = np.min(_ratio(room, each), axis=0)
    return found


def _table(candidates: pd.DataFrame, parts: list[tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Return sizes and places as the table."""
    rows = []
    sizes = np.concatenate([part[0] for part in parts], axis=1) if parts else np.zeros((0, 0))
    places = np.concatenate([part[1] for part in parts], axis=1) if parts else np.zeros((0, 0))
    for number, label in enumerate(candidates.index):
        for row, check in enumerate(_CHECKS):
            kva, place = float(sizes[row, number]), places[row, number]
            words = f"{place.fault.kind} {place.fault.phases}" if place.fault else ""
            rows.append((label, check, max(kva, 0.0), place.device, place.bus, words, kva < 0))
    return pd.DataFrame(rows, columns=list(CAPACITY_COLUMNS))
