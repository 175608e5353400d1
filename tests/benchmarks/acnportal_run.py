"""Uncontrolled charging of a list of sessions in acnportal 0.3.3, run by its own interpreter.

``python acnportal_run.py SESSIONS.json`` prints a JSON object with the seconds that the simulation
took (the objects are made before) and the energy delivered, kWh at the grid side, by session.
"""

import json
import sys
import time
from datetime import datetime
from pathlib import Path

from acnportal.acnsim import EV, EVSE, Battery, ChargingNetwork, EventQueue, PluginEvent, Simulator
from acnportal.acnsim.network import Current
from acnportal.algorithms import UncontrolledCharging

VOLTS = 240.0


def main(path: str) -> None:
    """Simulate the sessions of a file."""
    given = json.loads(Path(path).read_text(encoding="utf-8"))
    network = ChargingNetwork()
    for station, kw in enumerate(given["rated_kw"]):
        network.register_evse(EVSE(str(station), max_rate=1e3 * kw / VOLTS), VOLTS, 0)
    stations = network.station_ids  # it wants a limit; this one never binds
    network.add_constraint(Current(stations), 1e9, name="all")
    rated, cars = given["rated_kw"], []
    for number, (vehicle, first, last, kwh) in enumerate(given["sessions"]):
        battery = Battery(kwh, 0.0, rated[vehicle])
        cars.append(EV(first, last, kwh, str(vehicle), str(number), battery))
    queue = EventQueue([PluginEvent(car.arrival, car) for car in cars])
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - it wants a naive one
    period = given["period_minutes"]
    run = Simulator(network, UncontrolledCharging(), queue, start, period, verbose=False)
    begin = time.perf_counter()
    run.run()
    seconds = time.perf_counter() - begin
    energy = [car.energy_delivered for car in cars]
    print(json.dumps({"seconds": seconds, "energy_kwh": energy}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
