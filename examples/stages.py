"""Each stage alone: a feeder, a fleet, one evening's export, and what it does to the voltages.

Run it from anywhere: ``python examples/stages.py``.
"""

from dataclasses import replace

import numpy as np

from v2g_feeder.calendar import season_calendar
from v2g_feeder.dispatch import Event, day_steps, fortnight, ledger, simulate
from v2g_feeder.feeder.base_load import standard
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import shipped
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.secondary import SecondarySettings, build_secondaries
from v2g_feeder.fleet import (
    FleetSettings,
    draw_participation,
    draw_sessions,
    draw_vehicles,
    load_archetype,
    load_participation,
)
from v2g_feeder.loadshape import Place, at_points, no_points, place_fleet
from v2g_feeder.powerflow import Circuit, Runner
from v2g_feeder.screening import load_limits, screen

VEHICLES = 60
CALENDAR = season_calendar({"summer": (6, 7, 8)}, ["weekday"])


def main() -> None:
    """Run the stages one by one and print what each found."""
    # 1. feeder: the IEEE 34 node feeder with services under its loads
    master = shipped("feeders") / "ieee34" / "master.dss"
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    services = build_secondaries(feeder, SecondarySettings())
    print(f"{feeder.name}: {len(feeder.buses)} buses, {len(services.customers)} customers")

    # 2. base load: shipped shapes of a United States feeder
    base = standard(feeder.loads, CALENDAR)
    rows = {name: base.shape_of[old] for name, old in services.loads.items()}
    base = replace(base, shape_of={**base.shape_of, **rows}).scaled(0.7)

    # 3. fleet: 60 cars, half of them bidirectional, at the end of the line
    rng = np.random.default_rng(1)
    vehicles = draw_vehicles([FleetSettings("homes", VEHICLES, export_capable=0.5)], rng)
    sessions = draw_sessions(vehicles, [load_archetype("residential")], (6, 7, 8), rng)
    chance = draw_participation(len(vehicles), rng)

    # 4. dispatch: an event from 17:00 to 21:00, against managed charging
    signal = fortnight(base.p[0], base.p[0])
    case = load_participation()["high"]
    event = Event(start_h=17, end_h=21, request_kw=100.0)
    export = simulate(vehicles, [sessions], "export", case, [chance], signal, event)
    managed = simulate(vehicles, [sessions], "managed", case, [chance], signal)
    day = day_steps(8)
    exported = ledger(export).row("exported")[0, day]
    print(f"exported, kW by hour: {np.round(exported[17:21], 1)}")

    # 5. power flow: the same day under both policies
    circuit = Circuit(master, services.commands, base, no_points(), 1.0, 24)
    with_services = Runner(engine, circuit).feeder
    placed = place_fleet(with_services, services.customers, VEHICLES, Place(by="end_of_line"), rng)
    runner = Runner(engine, replace(circuit, points=placed.points))
    solved = {
        name: runner.run(0, at_points(run.kw[0][:, day], placed.of_vehicle, len(placed.points)))
        for name, run in (("managed", managed), ("export", export))
    }
    for name, solution in solved.items():
        low, high = solution.v_pu.min(), solution.v_pu.max()
        print(f"{name}: {low:.3f} to {high:.3f} pu, head peak {solution.head_kw.max():.0f} kW")

    # 6. screening: what export changes against managed charging
    limits = load_limits("ansi_c84_1_a")
    table = screen(solved["export"], runner.probe.observed, limits, solved["managed"])
    print(table.groupby(["criterion", "effect"]).size().to_string())


if __name__ == "__main__":
    main()
