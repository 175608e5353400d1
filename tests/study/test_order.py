"""The order in which units are solved, and by how many workers, leaves no trace in a result."""

import numpy as np
import pytest
import yaml

from v2g_feeder.study import hosting_units, power_flow
from v2g_feeder.study.config import load_study
from v2g_feeder.study.hosting import run_hosting
from v2g_feeder.study.run import run_study
from v2g_feeder.workers import run_units

STUDY = {
    "name": "order",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"winter": [1], "summer": [7]}, "day_types": ["weekday", "peak_day"]},
    "fleets": [{"name": "homes", "vehicles": 40, "export_capable": 0.8}],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 60.0}},
    "participation": ["expected"],
    "draws": 2,
    "hosting": {"buses": ["671", "611"], "connections": ["C"], "check_pairs": 5},
}


@pytest.fixture
def shuffled(monkeypatch):
    """Return a function that has a module's units done in another order, and counts them."""

    def shuffle(module):
        counts = []

        def run(function, units, **options):
            units = list(units)
            order = np.random.default_rng(3).permutation(len(units))
            counts.append(len(units))
            return run_units(function, [units[number] for number in order], **options)

        monkeypatch.setattr(module, "run_units", run)
        return counts

    return shuffle


@pytest.mark.parametrize(
    ("engine", "units", "workers"),
    [("opendss", 10, 1), pytest.param("batch", 3, 2, marks=pytest.mark.long)],
)
def test_of_a_study(tmp_path, shuffled, engine, units, workers):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | {"power_flow": {"engine": engine}}))
    checked = load_study(path)
    planned = run_study(checked, tmp_path / "planned", workers=1)
    counts = shuffled(power_flow)
    other = run_study(checked, tmp_path / "shuffled", workers=workers)
    assert max(counts) > units
    assert other["engine"]["name"] == engine
    assert other["content_sha256"] == planned["content_sha256"]


@pytest.mark.long
def test_of_a_search_for_capacity(tmp_path, shuffled):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    checked = load_study(path)
    planned = run_hosting(checked, tmp_path / "planned", workers=1)
    counts = shuffled(hosting_units)
    other = run_hosting(checked, tmp_path / "shuffled", workers=2)
    assert max(counts) == 4
    assert other["content_sha256"] == planned["content_sha256"]
