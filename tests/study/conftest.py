"""A small study of IEEE 123, run once for all tests that read its result."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

SMALL: dict[str, Any] = {
    "name": "small",
    "question": "Does it run?",
    "feeder": {"model": "ieee123"},
    "base_load": {"source": "standard", "head_peak_kw": 3200.0},
    "calendar": {
        "seasons": {"winter": [12, 1, 2], "summer": [6, 7, 8]},
        "day_types": ["weekday", "peak_day"],
    },
    "fleets": [
        {
            "name": "homes",
            "vehicles": 120,
            "export_capable": 0.6,
            "charger_kw": 11.5,
            "place": {"by": "customers"},
        }
    ],
    "dispatch": {"export": {"window": "17:00-21:00", "request_kw": 400.0, "seasons": ["summer"]}},
    "draws": 2,
    "seed": 3,
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, section by section."""
    out = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


@pytest.fixture(scope="session")
def write_study():
    """Return a function that writes a variation of the small study and returns its path."""

    def write(folder: Path, **changes: Any) -> Path:
        path = folder / "study.yaml"
        path.write_text(yaml.safe_dump(merged(SMALL, changes), sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def small_result(tmp_path_factory, write_study) -> Path:
    """Return the result folder of the small study."""
    folder = tmp_path_factory.mktemp("small")
    run_study(load_study(write_study(folder)), folder / "result", workers=2)
    return folder / "result"


@pytest.fixture(scope="session")
def small_summary(small_result) -> dict[str, Any]:
    """Return its summary."""
    summary: dict[str, Any] = json.loads((small_result / "summary.json").read_text())
    return summary
