"""Ports: which vehicles of a depot are plugged in when they share fewer ports than there are."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PortUse", "assign_ports"]

MIN_PLUGGED_H: Final = 0.25  # nobody plugs in for less
MIN_GAP_H: Final = 1.0  # between two sessions of a vehicle, as in Sessions
PARKED_H: Final = 24.0  # by then any charger has filled its vehicle
_LEAVES, _COMES, _READY = 0, 1, 2  # at one time, who leaves makes room for who comes
_ROUND_H: Final = 1e-9


@dataclass(frozen=True)
class PortUse:
    """Who was plugged in and who waited.

    Every moment of every stay is in exactly one interval, plugged or waiting. Both kinds are
    sorted by stay and then by start, so by vehicle as the stays are.

    Parameters
    ----------
    plugged_stay
        Index of the stay in the arguments, ``[session]``. A stay has more than one session where
        the vehicle gave up its port and got one again.
    plugged_start_h, plugged_end_h
        Hours, ``[session]``; at least 0.25 h long, at least 1 h between two of one vehicle.
    driven_kwh
        Energy driven since the vehicle's session before, ``[session]``.
    waiting_stay, waiting_start_h, waiting_end_h
        The same for the time at the depot without a port, ``[wait]``.
    """

    plugged_stay: np.ndarray
    plugged_start_h: np.ndarray
    plugged_end_h: np.ndarray
    driven_kwh: np.ndarray
    waiting_stay: np.ndarray
    waiting_start_h: np.ndarray
    waiting_end_h: np.ndarray


def assign_ports(
    vehicle: np.ndarray,
    arrival_h: np.ndarray,
    departure_h: np.ndarray,
    driven_kwh: np.ndarray,
    ports: int | None,
) -> PortUse:
    """Give the ports of a depot to the vehicles that stay there, in order of time.

    A free port goes to the vehicle that has driven most energy since it was last plugged in; at
    equal energy to the lower number. A vehicle keeps its port until it leaves, also when it is
    full: nobody swaps vehicles at night. The exception is a vehicle that is parked for days, such
    as a school bus in summer: when another one comes in, somebody is there, and a vehicle that has
    driven takes the port of the one plugged in longest, if that is for 24 h or more. The parked
    one then waits, with nothing driven, for the next free port. A vehicle that leaves in less than
    0.25 h is not plugged in.

    Parameters
    ----------
    vehicle, arrival_h, departure_h
        Stays at the depot, ``[stay]``, sorted by vehicle and then by arrival; at least 1 h lies
        between two stays of a vehicle. Hours; may be negative.
    driven_kwh
        Energy driven on the trip before each stay, kWh. It adds up here over stays without a port.
    ports
        Number of ports, 0 or more; ``None`` for one a vehicle.

    Returns
    -------
    PortUse
        What was driven before stays without a port and without a session after them is in no
        session.
    """
    n_vehicles = len(np.unique(vehicle))
    if ports is None or ports >= n_vehicles:
        everyone = _all_plugged(arrival_h, departure_h, driven_kwh)
        if everyone is not None:
            return everyone
        ports = n_vehicles
    depot = _Depot(vehicle, arrival_h, departure_h, driven_kwh, ports)
    depot.run()
    stay, start_h, end_h, session_kwh = _columns(depot.plugged, 4)
    waiting_stay, waiting_start_h, waiting_end_h = _columns(depot.waited, 3)
    return PortUse(
        stay.astype(int),
        start_h,
        end_h,
        session_kwh,
        waiting_stay.astype(int),
        waiting_start_h,
        waiting_end_h,
    )


def _columns(rows: Sequence[tuple[float, ...]], width: int) -> np.ndarray:
    """Return sorted rows as columns, also if there is none."""
    return np.array(sorted(rows), dtype=float).reshape(-1, width).T


def _all_plugged(
    arrival_h: np.ndarray, departure_h: np.ndarray, driven_kwh: np.ndarray
) -> PortUse | None:
    """Return every stay as a session, or nothing if a stay is too short for that."""
    if np.any(departure_h - arrival_h < MIN_PLUGGED_H):
        return None
    none = np.empty(0)
    stays = np.arange(len(arrival_h))
    return PortUse(stays, arrival_h, departure_h, driven_kwh, none.astype(int), none, none)


class _Depot:
    """The state of the depot while time goes on, in plain lists: they are quick item by item.

    Entries of the heaps are not searched for: one whose vehicle has moved on since then is skipped
    when it comes up.

    Parameters
    ----------
    vehicle, arrival_h, departure_h, driven_kwh, ports
        As in :func:`assign_ports`.
    """

    def __init__(
        self,
        vehicle: np.ndarray,
        arrival_h: np.ndarray,
        departure_h: np.ndarray,
        driven_kwh: np.ndarray,
        ports: int,
    ) -> None:
        n_stays, n_vehicles = len(vehicle), int(vehicle.max(initial=-1)) + 1
        self.plugged: list[tuple[int, float, float, float]] = []  # stay, start, end, driven kWh
        self.waited: list[tuple[int, float, float]] = []  # stay, start, end
        self._vehicle: list[int] = vehicle.tolist()
        self._departure_h: list[float] = departure_h.tolist()
        self._driven_kwh: list[float] = driven_kwh.tolist()
        self._free = ports
        # of each vehicle
        self._need = [0.0] * n_vehicles  # kWh driven since it was last plugged in
        # of each stay
        self._since: list[float] = arrival_h.tolist()  # beginning of the present interval
        self._holds = [False] * n_stays
        self._session_kwh = [0.0] * n_stays
        self._ready_h = [-np.inf] * n_stays
        self._queue: list[tuple[float, int, int]] = []  # need (negative), vehicle, stay
        self._holders: list[tuple[float, int, int]] = []  # plugged in at, vehicle, stay
        times = np.concatenate([departure_h, arrival_h])
        kinds = np.repeat([_LEAVES, _COMES], n_stays)
        order = np.lexsort((kinds, times))
        stays = np.tile(np.arange(n_stays), 2)[order]
        self._events: list[tuple[float, int, int]] = list(  # sorted, so it is a heap
            zip(times[order].tolist(), kinds[order].tolist(), stays.tolist(), strict=True)
        )

    def run(self) -> None:
        """Go through all events; those of one time together."""
        events = self._events
        while events:
            now = events[0][0]
            somebody_comes = False
            while events and events[0][0] == now:
                _, kind, stay = heappop(events)
                if kind == _LEAVES:
                    self._close(stay, now)
                elif kind == _COMES:
                    somebody_comes = True
                    self._need[self._vehicle[stay]] += self._driven_kwh[stay]
                    self._enter_queue(stay)
                elif not self._holds[stay]:
                    self._enter_queue(stay)
            while self._free and (head := self._next_in_queue(now)) is not None:
                heappop(self._queue)
                self._plug_in(head, now)
            if somebody_comes and not self._free:
                self._swap_parked(now)

    def _enter_queue(self, stay: int) -> None:
        vehicle = self._vehicle[stay]
        heappush(self._queue, (-self._need[vehicle], vehicle, stay))

    def _next_in_queue(self, now: float) -> int | None:
        """Return the stay at the head of the queue, without those it is too late or early for."""
        while self._queue:
            stay = self._queue[0][2]
            if now < self._ready_h[stay] - _ROUND_H:
                heappush(self._events, (self._ready_h[stay], _READY, stay))
            elif self._departure_h[stay] - now >= MIN_PLUGGED_H - _ROUND_H:
                return stay
            heappop(self._queue)
        return None

    def _plug_in(self, stay: int, now: float) -> None:
        """Give a free port to the vehicle of ``stay``."""
        vehicle = self._vehicle[stay]
        self._close(stay, now)
        self._free -= 1
        self._holds[stay] = True
        self._session_kwh[stay] = self._need[vehicle]
        self._need[vehicle] = 0.0
        heappush(self._holders, (now, vehicle, stay))

    def _swap_parked(self, now: float) -> None:
        """Give the ports of vehicles parked for long to those that have driven."""
        while (driven := self._next_in_queue(now)) is not None and self._queue[0][0] < 0:
            while self._holders and not self._is_holder(self._holders[0]):
                heappop(self._holders)
            if not self._holders or now - self._holders[0][0] < PARKED_H - _ROUND_H:
                return
            parked = heappop(self._holders)[2]
            self._close(parked, now)
            self._ready_h[parked] = now + MIN_GAP_H
            heappop(self._queue)
            self._plug_in(driven, now)
            self._enter_queue(parked)

    def _is_holder(self, entry: tuple[float, int, int]) -> bool:
        """Return whether an entry of the holders still holds its port."""
        plugged_in_h, _, stay = entry
        return self._holds[stay] and self._since[stay] == plugged_in_h

    def _close(self, stay: int, now: float) -> None:
        """End the present interval of a stay, plugged or waiting, and free its port."""
        start = self._since[stay]
        if self._holds[stay]:
            self.plugged.append((stay, start, now, self._session_kwh[stay]))
            self._holds[stay] = False
            self._free += 1
        elif now > start:
            self.waited.append((stay, start, now))
        self._since[stay] = now
