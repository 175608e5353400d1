"""Measurements that are not what they seem."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .cases import Case

SCADA: dict[str, Any] = {"base_load": {"source": "csv", "file": "head.csv"}}
AMI: dict[str, Any] = {"base_load": {"source": "csv", "file": "head.csv", "kind": "ami"}}
ENDING: dict[str, Any] = {"base_load": {"source": "csv", "file": "head.csv", "hour_ending": True}}
WIDE = {"calendar": {"seasons": {"all": [2, 3, 10, 11]}, "day_types": ["weekday"]}}


def rows(
    start: str = "2023-01-02", hours: int = 336, step: str = "1h", kw: float = 50.0
) -> list[str]:
    """Return lines ``timestamp,kw`` from a Monday on."""
    times = pd.date_range(start, periods=hours, freq=step)
    return [f"{time:%Y-%m-%d %H:%M},{kw:g}" for time in times]


def table(lines: list[str], head: str = "timestamp,kw") -> dict[str, str]:
    """Return the file."""
    return {"head.csv": "\n".join([head, *lines, ""])}


def changed(line: int, text: str) -> dict[str, str]:
    """Return the file with another text in one line, counted as editors do."""
    lines = rows()
    lines[line - 2] = text
    return table(lines)


GOOD = rows()
SPRING = rows("2023-03-06", 336)
AUTUMN = rows("2023-10-30", 336)
LEAP = rows("2024-02-26", 336)

CASES = {
    "decimal comma in quotes": Case(
        ("head.csv, line 4, column 'kw': '1,5' has a decimal comma", "write 1.5"),
        SCADA,
        changed(4, '2023-01-02 02:00,"1,5"'),
    ),
    "decimal comma": Case(
        ("head.csv, line 4: 3 fields; expected 2", "a decimal comma?"),
        SCADA,
        changed(4, "2023-01-02 02:00,1,5"),
    ),
    "a thousand with a comma": Case(
        ("column 'kw': '1,234'", "nothing between thousands"),
        SCADA,
        changed(4, '2023-01-02 02:00,"1,234"'),
    ),
    "semicolons": Case(
        ("head.csv, line 1: the columns are split by semicolons",),
        SCADA,
        {"head.csv": "timestamp;kw\n2023-01-02 00:00;1,5\n"},
    ),
    "a missing value": Case(
        ("head.csv, line 7, column 'kw': a missing value",), SCADA, changed(7, "2023-01-02 05:00,")
    ),
    "a missing time": Case(
        ("head.csv, line 7, column 'timestamp': a missing time stamp",), SCADA, changed(7, ",50")
    ),
    "a missing row": Case(
        ("head.csv, line 7: 1 rows are missing after 2023-01-02 04:00",),
        SCADA,
        table(GOOD[:5] + GOOD[6:]),
    ),
    "not a number": Case(
        ("head.csv, line 7, column 'kw': 'n/v' is not a number",),
        SCADA,
        changed(7, "2023-01-02 05:00,n/v"),
    ),
    "infinite": Case(
        ("head.csv, line 7, column 'kw': an infinite value",),
        SCADA,
        changed(7, "2023-01-02 05:00,inf"),
    ),
    "a time twice": Case(
        ("head.csv, line 7: 2023-01-02 04:00 comes twice",), SCADA, table(GOOD[:5] + GOOD[4:])
    ),
    "unsorted": Case(
        ("head.csv, line 8", "is earlier than the row above it", "sort by time"),
        SCADA,
        table([*GOOD[:5], GOOD[6], GOOD[5], *GOOD[7:]]),
    ),
    "the gap of spring": Case(
        ("2023-03-12 has 23 hours", "standard time"),
        SCADA | WIDE,
        table([row for row in SPRING if not row.startswith("2023-03-12 02")]),
    ),
    "the fold of autumn": Case(
        ("2023-11-05 has 25 hours", "standard time"),
        SCADA | WIDE,
        table([r for row in AUTUMN for r in [row] * (2 if row.startswith("2023-11-05 01") else 1)]),
    ),
    "8,760 rows with the clocks changed": Case(
        ("has 23 hours", "has 25 hours"),
        SCADA,
        table(
            [
                r
                for row in rows("2023-01-01", 8760)
                if not row.startswith("2023-03-12 02")
                for r in [row] * (2 if row.startswith("2023-11-05 01") else 1)
            ]
        ),
    ),
    "29 February in a year without": Case(
        ("'2023-02-29 00:00' is not like '2023-01-31 13:00'",),
        SCADA,
        changed(4, "2023-02-29 00:00,50"),
    ),
    "half of 29 February": Case(
        ("12 rows are missing after 2024-02-28 23:00",),
        SCADA | WIDE,
        table(
            [
                row
                for row in LEAP
                if not row.startswith(("2024-02-29 0", "2024-02-29 10", "2024-02-29 11"))
            ]
        ),
    ),
    "a zone": Case(
        ("head.csv, line 4", "carries a zone", "write local standard time without a zone"),
        SCADA,
        changed(4, "2023-01-02T02:00+01:00,50"),
    ),
    "a zone that is cut off": Case(
        ("head.csv, line 4, column 'timestamp'",), SCADA, changed(4, "2023-01-02T02:00+01:,50")
    ),
    "24:00": Case(
        ("head.csv, line 4", "set hour_ending"), SCADA, changed(4, "2023-01-02 24:00,50")
    ),
    "the day first": Case(
        ("head.csv, line 2", "is not like '2023-01-31 13:00'"),
        SCADA,
        table([f"{r[8:10]}.{r[5:7]}.{r[:4]}{r[10:]}" for r in GOOD]),
    ),
    "too short": Case(("there is no whole day from 00:00 to 24:00",), SCADA, table(GOOD[:20])),
    "one row": Case(("one time only; expected at least a day",), SCADA, table(GOOD[:1])),
    "a season without data": Case(
        ("head.csv: no weekday in winter (months [1])",), SCADA, table(rows("2023-06-05"))
    ),
    "an interval of 10 min": Case(
        ("the interval is 10 min; expected 15, 30 or 60",), SCADA, table(rows(step="10min"))
    ),
    "an interval of 2 h": Case(
        ("the interval is 120 min; expected 15, 30 or 60",), SCADA, table(rows(step="2h"))
    ),
    "off the grid": Case(("is not on a step of 60 min",), SCADA, table(rows("2023-01-02 00:07"))),
    "hour-ending not declared": Case(
        ("the stamps end their hour", "set hour_ending"), SCADA, table(rows("2023-01-02 01:00"))
    ),
    "W for kW": Case(("column 'kw': reaches 3e+06", "did you mean W?"), SCADA, table(rows(kw=3e6))),
    "W for kW of a customer": Case(
        ("column '671': reaches 30000", "did you mean W?"),
        AMI,
        table(rows(kw=30_000), "timestamp,671"),
    ),
    "a customer of negative load": Case(
        ("column '671': negative load, -5 kW",), AMI, table(rows(kw=-5), "timestamp,671")
    ),
    "a customer who is none": Case(
        ("line 1: column '671x' is not a load", "did you mean '671'?"),
        AMI,
        table(rows(), "timestamp,671x"),
    ),
    "no column of kW": Case(
        ("there is no column 'kw'", "did you mean 'kwh'?"), SCADA, table(rows(), "timestamp,kwh")
    ),
    "two columns of one name": Case(
        ("there are two columns 'kw'",), SCADA, table([f"{r},1" for r in GOOD], "timestamp,kw,kW")
    ),
    "no file": Case(("head.csv: there is no such file",), SCADA),
    "empty": Case(("head.csv: the file is empty",), SCADA, {"head.csv": ""}),
    "a header alone": Case(("there is a header and no row below it",), SCADA, table([])),
    "UTF-16": Case(
        ("head.csv: the file is UTF-16", "save it as UTF-8"),
        SCADA,
        {"head.csv": "timestamp,kw\n".encode("utf-16")},
    ),
    "binary": Case(("head.csv: the file is binary",), SCADA, {"head.csv": b"PK\x03\x04\x00\x00"}),
    "the day first, said so wrongly": Case(
        ("head.csv, line 2", "'2023-01-02 00:00' is not like '%d.%m.%Y %H:%M'"),
        {"base_load": SCADA["base_load"] | {"timestamp_format": "%d.%m.%Y %H:%M"}},
        table(GOOD),
    ),
    "Latin-1": Case(
        ("head.csv, line 338: the file is not UTF-8",),
        SCADA,
        {"head.csv": "\n".join(["timestamp,kw", *GOOD, "\xe9,1"]).encode("latin-1")},
    ),
    "an open quote": Case(
        ("head.csv, line 4: a quotation mark is never closed",),
        SCADA,
        changed(4, '"2023-01-02 02:00,50'),
    ),
    "hour-ending that is not": Case(("there is no whole day",), ENDING, table(GOOD[:24])),
}
