"""The order in which units are solved, and by how many workers, leaves no trace in a result."""

import numpy as np
import pytest
import yaml

from v2g_feeder.study import hosting, power_flow
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
    """Return a function that has a module's units done in another order, and what it was."""

    def shuffle(module, seed):
        orders = []

        def run(function, units, **options):
            units = list(units)
            order = np.random.default_rng(seed).permutation(len(units))
            orders.append(order.tolist())
            return run_units(function, [units[number] for number in order], **options)

        monkeypatch.setattr(module, "run_units", run)
        return orders

    return shuffle


@pytest.mark.parametrize("engine", ["opendss", "batch"])
def test_of_a_study(tmp_path, shuffled, engine):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | {"power_flow": {"engine": engine}}))
    checked = load_study(path)
    hashes = {run_study(checked, tmp_path / "as planned", workers=1)["content_sha256"]}
    for seed, workers in ((1, 1), (2, 2)):
        orders = shuffled(power_flow, seed)
        summary = run_study(checked, tmp_path / f"shuffled{seed}", workers=workers)
        hashes.add(summary["content_sha256"])
        assert summary["engine"]["name"] == engine
        assert any(order != sorted(order) for order in orders)
    assert len(hashes) == 1


def test_of_a_search_for_capacity(tmp_path, shuffled):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    checked = load_study(path)
    hashes = {run_hosting(checked, tmp_path / "as planned", workers=1)["content_sha256"]}
    orders = shuffled(hosting, 1)
    hashes.add(run_hosting(checked, tmp_path / "shuffled", workers=2)["content_sha256"])
    assert any(order != sorted(order) for order in orders)
    assert len(hashes) == 1
