"""Load shapes from Python: two fleets, an evening event, what they draw and what is firm.

No feeder and no study file. Run it from anywhere: ``python examples/shapes.py``.
"""

import numpy as np

from v2g_feeder.calendar import season_calendar
from v2g_feeder.dispatch import Event
from v2g_feeder.fleet import FleetSettings
from v2g_feeder.loadshape import ShapeSettings, fleet_shapes, held_in

FLEETS = (
    FleetSettings("homes", 150, export_capable=0.3, charger_kw=11.5),
    FleetSettings("school buses", 8, export_capable=1.0, archetype="school_bus", ports=6),
)
RUNS = (("uncontrolled", "expected"), ("managed", "expected"), ("export", "expected"))
DRAWS = 5


def main() -> None:
    """Print the shapes by hour, the ledger in the window, and what the events hold."""
    # what managed charging levels: the load without vehicles, one value a step of the calendar
    calendar = season_calendar({"autumn": (9, 10, 11)}, ["weekday"])
    load_kw = 900 + 300 * np.cos((np.arange(24) - 19) / 12 * np.pi)
    shapes = fleet_shapes(
        ShapeSettings(
            fleets=FLEETS,
            calendar=calendar,
            runs=(*RUNS, ("export", "firm")),
            event=Event(start_h=17, end_h=20, request_kw=200.0),
            event_seasons=frozenset({"autumn"}),
            draws=DRAWS,
        ),
        load_kw,
    )

    # kw is [draw, point, step], a point a fleet; above 0 draws from the grid
    data = shapes.dataset()
    print("mean over draws, kW by hour, 15:00 to 23:00")
    for policy, case in RUNS:
        kw = data["kw"].sel(policy=policy, case=case).sum("point").mean("draw")
        print(f"{policy:>13s}", np.round(kw.to_numpy()[15:24]).astype(int))

    # from nameplate to export in the window; the rows add up
    book = data["ledger_kw"].sel(policy="export", case="expected").mean("draw")
    window = book.isel(step=slice(17, 20)).mean("step").to_pandas()
    print(window[window > 0].round(1).to_string())

    # held is the lowest step of an event-day
    for case in ("expected", "firm"):
        mine = shapes.events[shapes.events["case"] == case]
        for told, days in mine.groupby("departures"):
            held = days["held_kw"]
            print(
                f"{case}, departures {told}: {held.mean():.0f} kW held on average, "
                f"{held_in(held.to_numpy()):.0f} kW in 95 % of {len(held)} event-days"
            )


if __name__ == "__main__":
    main()
