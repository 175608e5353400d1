"""Damaged evidence: an answer or an error that says what is wrong, never a trace."""

import random
from pathlib import Path

import pytest

from v2g_feeder.calendar import DEFAULT_SEASONS
from v2g_feeder.errors import InputError
from v2g_feeder.pilot import default_thresholds
from v2g_feeder.pilot.event_check import read_event
from v2g_feeder.pilot.load import evening_peak, read_load
from v2g_feeder.pilot.plugging import plug_in
from v2g_feeder.pilot.protection import read_findings
from v2g_feeder.pilot.stays import read_ocpp, read_timetable, read_trips
from v2g_feeder.pilot.telemetry import read_telemetry, read_voltages, telemetry_item

EXAMPLE = Path(__file__).parents[2] / "examples" / "checklist"
LIMITS = default_thresholds()
HOURS = (17.0, 20.0)
READERS = {
    "load_evening.csv": lambda path: evening_peak(read_load(path), LIMITS, DEFAULT_SEASONS),
    "ocpp_meter_values.jsonl": lambda path: plug_in(
        read_ocpp(path, timezone="America/Chicago"), HOURS, LIMITS
    ),
    "trips_homes.csv": lambda path: plug_in(read_trips(path, base="home"), HOURS, LIMITS),
    "timetable_depot.csv": lambda path: plug_in(read_timetable(path), HOURS, LIMITS),
    "telemetry_depot.csv": lambda path: telemetry_item(read_telemetry(path), LIMITS),
    "voltages_depot.csv": read_voltages,
    "findings.csv": read_findings,
    "event_telemetry.csv": read_event,
}
BITS = (
    "", '"', ",", "\n", "\0", "é", "NaN", "inf", "-1", "1e400", "2025-13-01", "24:00", "[]", "{}",
    "null", "\r", "=1+1", "\ufeff", "2025-03-09 02:30", "9999-12-31 23:59", "1600-01-01 00:00",
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_damage_is_answered_or_refused(tmp_path, name):
    rng = random.Random(f"{name} 1")  # noqa: S311
    lines = (EXAMPLE / name).read_text().splitlines()
    path = tmp_path / name
    found = []
    for _ in range(40):
        text = "\n".join(lines[: rng.choice([0, 1, 2, 5, 40, 300])])
        for _ in range(rng.choice([1, 1, 2, 5])):
            start = rng.randrange(len(text) + 1)
            end = min(len(text), start + rng.choice([0, 1, 4, 16, 40]))
            text = text[:start] + rng.choice(BITS) + text[end:]
        path.write_text(text)
        try:
            READERS[name](path)
        except InputError as error:
            found += error.problems
    assert found
    assert all(problem.message and path.name in problem.where for problem in found)
