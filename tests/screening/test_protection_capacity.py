"""Sizes that protection allows: at the size the screen passes, a little above it does not."""

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import shipped
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.short_circuit import HeadFault, fault_network
from v2g_feeder.screening import (
    ProtectionInputs,
    protection_capacity,
    protection_screen,
    protection_settings,
    read_devices,
)

LN = 4.16 / np.sqrt(3)
INVENTORY = (
    "device,kind,element,pickup_a,ground_pickup_a,rating_a\n"
    "breaker,breaker,Line.650632,500,260,\n"
    "recloser,recloser,Line.670671,300,160,\n"
    "fuse,fuse,Line.684652,,,100\n"
)


def candidate(bus, nodes):
    count = len(nodes.split("."))
    return {
        "bus": bus,
        "nodes": nodes,
        "kv": LN if count == 1 else 4.16,
        "phases": 3 if count == 3 else 1,
        "delta": False,
        "phase": "".join("ABC"[int(node) - 1] for node in nodes.split(".")),
    }


CANDIDATES = pd.DataFrame(
    [
        candidate("675", "1.2.3"),
        candidate("675", "2"),
        candidate("646", "2.3"),
        candidate("652", "1"),
        candidate("632", "1.2.3"),
    ],
    index=["675 ABC", "675 B", "646 BC", "652 A", "632 ABC"],
)


@pytest.fixture(scope="module")
def ieee13(tmp_path_factory):
    master = shipped("feeders") / "ieee13" / "master.dss"
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    network = fault_network(engine, feeder, HeadFault.from_mva(4.16, 60.0, 55.0, bus="650"))
    path = tmp_path_factory.mktemp("devices") / "devices.csv"
    path.write_text(INVENTORY)
    return feeder, network, read_devices(path, feeder)


def screened(ieee13, point, kva, settings):
    """Status by check, the worst over devices, of a screen with one charger of that size."""
    feeder, network, devices = ieee13
    points = CANDIDATES.loc[[point]].assign(kva=kva, kw=kva)
    found = protection_screen(feeder, ProtectionInputs(devices, points, network), settings)
    return found.groupby("check")["status"].agg(lambda column: "violation" in set(column))


@pytest.mark.parametrize("resistance", [0.0, 5.0])
def test_at_the_size_the_screen_passes_and_above_it_does_not(ieee13, resistance):
    feeder, network, devices = ieee13
    settings = protection_settings(fault_resistance_ohm=resistance)
    found = protection_capacity(feeder, network, devices, CANDIDATES, settings)
    assert len(found) == len(CANDIDATES) * 6
    limited = 0
    for row in found.itertuples():
        if row.already or np.isinf(row.kva):
            continue
        limited += 1
        assert not screened(ieee13, row.point, row.kva * (1 - 1e-6), settings)[row.check], row
        assert screened(ieee13, row.point, row.kva * (1 + 1e-6), settings)[row.check], row
        assert row.bus
        assert row.fault
    assert limited >= 15


def test_what_is_broken_already_has_no_room(ieee13):
    feeder, network, devices = ieee13
    weak = devices.assign(pickup_a=devices["pickup_a"] * 10)
    found = protection_capacity(feeder, network, weak, CANDIDATES)
    reach = found[found["check"] == "phase_reach"]
    assert reach["already"].all()
    assert (reach["kva"] == 0).all()
    assert set(reach["device"]) <= {"breaker", "recloser"}


def test_a_device_without_settings_limits_only_by_what_needs_none(ieee13):
    feeder, network, devices = ieee13
    bare = devices.assign(pickup_a=np.nan, ground_pickup_a=np.nan, rating_a=np.nan)
    found = protection_capacity(feeder, network, bare, CANDIDATES).set_index(["point", "check"])
    full = protection_capacity(feeder, network, devices, CANDIDATES).set_index(["point", "check"])
    for check in ("phase_reach", "ground_reach"):
        assert np.isinf(found.xs(check, level="check")["kva"]).all()
    for check in ("fault_current_rise", "phase_reach_loss", "ground_reach_loss"):
        assert found.xs(check, level="check")["kva"].tolist() == pytest.approx(
            full.xs(check, level="check")["kva"].tolist()
        )


def test_without_a_zero_sequence_level_ground_faults_limit_nothing(ieee13):
    feeder, _, devices = ieee13
    engine = shared_engine()
    engine.load(feeder.master)
    blind = fault_network(engine, feeder, HeadFault.from_mva(4.16, 60.0, bus="650"))
    found = protection_capacity(feeder, blind, devices, CANDIDATES)
    ground = found[found["check"].isin(["ground_reach", "ground_reach_loss"])]
    assert np.isinf(ground["kva"]).all()


def test_blocks_make_no_difference(ieee13, monkeypatch):
    feeder, network, devices = ieee13
    whole = protection_capacity(feeder, network, devices, CANDIDATES)
    monkeypatch.setattr(
        "v2g_feeder.screening.protection_sizes._BLOCK_BYTES", 16 * len(network.nodes) * 2
    )
    parts = protection_capacity(feeder, network, devices, CANDIDATES)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-9)
