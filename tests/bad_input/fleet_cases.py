"""Fleets that cannot be, and records of charging that contradict themselves."""

from __future__ import annotations

from .cases import HOMES, Case


def fleet(**changes: object) -> dict[str, object]:
    """Return the sections of a study with a changed fleet."""
    return {"fleets": [HOMES | changes]}


def records(*rows: str, head: str = "start,end,kwh") -> dict[str, str]:
    """Return a file of charging sessions for ``fit``."""
    return {"s.csv": "\n".join([head, *rows, ""])}


GOOD = "2023-01-02 18:00,2023-01-03 07:00,12.5"

CASES = {
    "SOC 80 for 0.8": Case(
        ("fleets[0].departure_soc: 80", "did you mean 0.8?"), fleet(departure_soc=80)
    ),
    "efficiency 0": Case(
        ("fleets[0].efficiency_charge", "0 would lose all energy"), fleet(efficiency_charge=0.0)
    ),
    "efficiency above 1": Case(
        ("fleets[0].efficiency_discharge: 1.04", "less than or equal to 1"),
        fleet(efficiency_discharge=1.04),
    ),
    "efficiency in percent": Case(("did you mean 0.95?",), fleet(efficiency_charge=95.0)),
    "reserve above the target": Case(
        ("fleets[0].reserve_soc: reserve 0.9 is above the departure target 0.8",),
        fleet(reserve_soc=0.9, departure_soc=0.8),
    ),
    "a negative rating": Case(("fleets[0].charger_kw: -7.2",), fleet(charger_kw=-7.2)),
    "a negative number of vehicles": Case(("fleets[0].vehicles: -4",), fleet(vehicles=-4)),
    "half a vehicle": Case(("fleets[0].vehicles: 4.5",), fleet(vehicles=4.5)),
    "both sizes": Case(
        ("fleets[0]", "give either `vehicles` or `penetration`"),
        fleet(penetration={"share": 0.2}),
    ),
    "a share above 1": Case(
        ("fleets[0].penetration.share: 25", "did you mean 0.25?"),
        {"fleets": [{"name": "homes", "export_capable": 0.5, "penetration": {"share": 25}}]},
    ),
    "more chargers than customers": Case(("100000 vehicles, but only",), fleet(vehicles=100_000)),
    "no charger": Case(("fleets[0].ports: 0",), fleet(ports=0)),
    "more can export than are compatible": Case(
        ("fleets[0].compatible", "below export_capable 0.5"), fleet(compatible=0.2)
    ),
    "two fleets of one name": Case(
        ("fleets: the name 'homes' stands twice",), {"fleets": [HOMES, dict(HOMES)]}
    ),
    "a window that is no part of a day": Case(
        ("dispatch.export: ", "is not a part of a day"),
        {"dispatch": {"export": {"window": "17:00-17:00", "request_kw": 20.0}}},
    ),
    "a request of nothing": Case(
        ("dispatch.export.request_kw: 0",), {"dispatch": {"export": {"request_kw": 0}}}
    ),
    "records: an offset that is cut off": Case(
        ("s.csv, line 3: start: '2023-01-02T18:00+01:' is not a time",),
        files=records(GOOD, "2023-01-02T18:00+01:,2023-01-03 07:00,12.5"),
    ),
    "records: departure before arrival": Case(
        ("s.csv: 100% of the sessions end before they begin", "swap 'start' and 'end'"),
        files=records("2023-01-03 07:00,2023-01-02 18:00,12.5"),
    ),
    "records: energy in Wh": Case(
        ("median 12500 kWh a session", "it looks like Wh"),
        files=records("2023-01-02 18:00,2023-01-03 07:00,12500"),
    ),
    "records: energy that is no number": Case(
        ("s.csv, line 3: kwh: 'n/k' is not a number",),
        files=records(GOOD, "2023-01-02 18:00,2023-01-03 07:00,n/k"),
    ),
    "records: the day or the month first": Case(
        ("--dates day-first or --dates month-first",),
        files=records("03/04/2023 18:00,04/04/2023 07:00,12.5"),
    ),
    "records: no end": Case(
        ("s.csv", "departure"), files=records("2023-01-02 18:00,12.5", head="start,kwh")
    ),
    "records: no rows": Case(("s.csv: has no rows",), files=records()),
    "records: no file": Case(("s.csv",), files={"s.csv": b""}),
    "all fleets at once": Case(
        ("fleets[0].reserve_soc", "fleets[1].efficiency_charge"),
        {
            "fleets": [
                HOMES | {"reserve_soc": 0.9, "departure_soc": 0.8},
                HOMES | {"name": "others", "efficiency_charge": 0.0},
            ]
        },
    ),
}
