"""Where vehicles stand: by customers, along the feeder, in a cluster, at named buses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.secondary import SecondarySettings, build_secondaries, customers_of_loads
from v2g_feeder.loadshape.placement import Place, place_fleet

LINE = "r1=0.3 x1=0.6 r0=0.9 x0=1.2 c1=0 c0=0 length=1"
# src - n1 - n2 - ... - n6, and a branch m1 - m2 off n2; d behind a delta-delta bank
MODEL = (
    "Clear\nNew Circuit.street bus1=src basekv=12.47 MVAsc3=1000 MVAsc1=1000\n"
    + "".join(
        f"New Line.l{n} bus1={'src' if n == 1 else f'n{n - 1}'} bus2=n{n} phases=3 {LINE}\n"
        for n in range(1, 7)
    )
    + f"New Line.b1 bus1=n2.1.3 bus2=m1.1.3 phases=2 {LINE}\n"
    + f"New Line.b2 bus1=m1.3 bus2=m2.3 phases=1 {LINE}\n"
    + "New Transformer.bank buses=[n3 d] kvs=[12.47 0.48] conns=[delta delta] kva=300 xhl=4\n"
    + f"New Line.far bus1=x bus2=y phases=3 {LINE}\n"
    + "".join(
        f"New Load.h{n} bus1=n{n}.{(n - 1) % 3 + 1} phases=1 kv=7.2 kw=20 kvar=5\n"
        for n in range(1, 7)
    )
    + "New Load.m bus1=m2.3 phases=1 kv=7.2 kw=20 kvar=5\n"
    + "New Load.t bus1=n6 phases=3 kv=12.47 kw=15 kvar=5\n"
    + "Set VoltageBases=[12.47 0.48]\nCalcVoltageBases\n"
)
ADMD = 5.0
LN = 12.47 / np.sqrt(3)


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    path = tmp_path_factory.mktemp("street") / "master.dss"
    path.write_text(MODEL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def street(master):
    """(feeder, customers) without services: 4 customers at each home, 3 at the shop."""
    shared_engine().load(master)
    feeder = read_feeder(shared_engine(), master)
    return feeder, customers_of_loads(feeder, ADMD)


@pytest.fixture(scope="module")
def served(master):
    """(feeder, customers) with services."""
    shared_engine().load(master)
    secondaries = build_secondaries(read_feeder(shared_engine(), master), SecondarySettings())
    shared_engine().load(master, secondaries.commands)
    return read_feeder(shared_engine(), master), secondaries.customers


def place(street, vehicles, seed=1, **how):
    return place_fleet(
        *street, vehicles, Place(**how), np.random.default_rng(seed), "fleets[0].place"
    )


def buses(placed):
    return placed.points["bus"].to_numpy()[placed.of_vehicle]


def problems(street, vehicles=1, **how):
    with pytest.raises(InputError) as caught:
        place(street, vehicles, **how)
    return [str(problem) for problem in caught.value.problems]


# -- by customers -----------------------------------------------------------------------------


def test_a_customer_has_one_vehicle(street, served):
    for feeder, customers in (street, served):
        placed = place((feeder, customers), len(customers))
        count = pd.Series(buses(placed)).value_counts().to_dict()
        assert count == customers["bus"].value_counts().to_dict()
        assert not placed.points.duplicated(["bus", "connection"]).any()
        wanted = set(zip(customers["bus"], customers["connection"].astype(str), strict=True))
        assert set(zip(placed.points["bus"], placed.points["connection"], strict=True)) == wanted


def test_more_vehicles_than_customers_is_an_error(street):
    everyone = len(street[1])
    (found,) = problems(street, everyone + 1)
    assert found == f"fleets[0].place: {everyone + 1} vehicles, but only {everyone} customers"
    # a customer's own connection counts, not what else its bus would offer
    on_b = int(street[1]["connection"].isin(["B", "ABC"]).sum())
    (found,) = problems(street, everyone, phases="B")
    assert found.endswith(f"but only {on_b} customers on phase B")


def test_the_draw_follows_the_seed(street):
    one, again, other = (place(street, 12, seed) for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(one.points, again.points)
    assert (one.of_vehicle == again.of_vehicle).all()
    assert sorted(buses(one)) != sorted(buses(other))


def test_fewer_vehicles_are_a_part_of_more(street):
    few, many = place(street, 5), place(street, 15)
    assert buses(few).tolist() == buses(many)[:5].tolist()


def test_no_vehicle_no_point(street):
    placed = place(street, 0)
    assert len(placed.points) == len(placed.of_vehicle) == 0
    assert list(placed.points.columns) == list(place(street, 1).points.columns)


# -- along the feeder -------------------------------------------------------------------------


def test_near_head_and_end_of_line_follow_the_impedance(street):
    feeder, customers = street
    impedance = feeder.buses["impedance_pu"]
    near = impedance[buses(place(street, len(customers), by="near_head"))].to_numpy()
    far = impedance[buses(place(street, len(customers), by="end_of_line"))].to_numpy()
    assert (np.diff(near) >= 0).all()
    assert (np.diff(far) <= 0).all()
    assert set(buses(place(street, 4, by="near_head"))) == {"n1"}
    assert set(buses(place(street, 7, by="end_of_line"))) == {"n6"}
    assert near[0] == pytest.approx(abs(complex(0.3, 0.6)) / 12.47**2)


def test_equal_distances_are_drawn(street):
    orders = {tuple(place(street, 3, seed, by="end_of_line").of_vehicle) for seed in range(8)}
    assert len(orders) > 1, "home and shop at n6 take turns by chance"


def test_a_cluster_is_the_nearest_customers_of_a_drawn_one(street):
    feeder, customers = street
    z = feeder.tree.impedance_pu

    def path(bus):
        found = [bus]
        while found[-1] in feeder.tree.parent:
            found.append(feeder.tree.parent[found[-1]][0])
        return found

    def apart(one, other):
        joint = next(bus for bus in path(one) if bus in path(other))
        return z[one] + z[other] - 2 * z[joint]

    centres = set()
    for seed in range(12):
        chosen = buses(place(street, 10, seed, by="cluster"))
        centre = chosen[0]
        centres.add(centre)
        distance = [apart(centre, bus) for bus in chosen]
        assert distance == pytest.approx(sorted(distance))
        left = list(customers["bus"])
        for bus in chosen:
            left.remove(bus)
        assert min(apart(centre, bus) for bus in left) >= distance[-1] - 1e-12
    assert len(centres) > 2


# -- phases -----------------------------------------------------------------------------------


def test_one_phase_takes_customers_whose_bus_has_it(street):
    placed = place(street, 11, phases="A")
    assert set(placed.points["connection"]) == {"A"}
    assert set(placed.points["nodes"]) == {"1"}
    assert set(placed.points["bus"]) <= {"n1", "n2", "n3", "n4", "n5", "n6"}


def test_split_phase_customers_belong_to_their_primary_phase(served):
    placed = place(served, 8, phases="A")
    assert set(placed.points["connection"]) <= {"split", "A"}
    assert {phase[0] for phase in placed.points["phase"]} == {"A"}


def test_balanced_takes_the_phases_in_turn(served):
    homes = served[1][served[1]["connection"] == "split"]
    placed = place((served[0], homes), 18, phases="balanced")
    phases = placed.points["phase"].to_numpy()[placed.of_vehicle]
    for first in range(0, 18, 3):
        assert sorted(phases[first : first + 3]) == ["A", "B", "C"]


# -- named buses ------------------------------------------------------------------------------


def test_vehicles_are_shared_out_over_named_buses(street):
    placed = place(street, 7, by="buses", buses=("N2", "n5"))
    assert buses(placed).tolist() == ["n2", "n5"] * 3 + ["n2"]
    row = placed.points.iloc[0]
    assert row.to_dict() == {
        "bus": "n2", "connection": "ABC", "kv": pytest.approx(12.47), "nodes": "1.2.3",
        "phases": 3, "delta": False, "phase": "ABC",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bus", "phases", "expected"),
    [
        ("n2", "as_load", ["ABC"]),
        ("n2", "A", ["A"]),
        ("n2", "balanced", ["A", "B", "C"]),
        ("m1", "as_load", ["CA"]),
        ("m1", "balanced", ["A", "C"]),
        ("m2", "as_load", ["C"]),
        ("d", "as_load", ["ABC"]),
        ("d", "balanced", ["AB", "BC", "CA"]),
        ("d", "B", ["BC"]),
    ],
)
def test_connections_at_a_named_bus(street, bus, phases, expected):
    placed = place(street, 6, by="buses", buses=(bus,), phases=phases)
    points = placed.points
    assert points["connection"].tolist() == expected
    counts = np.bincount(placed.of_vehicle, minlength=len(expected))
    assert counts.max() - counts.min() <= 1
    for row in points.itertuples():
        assert row.phases == (3 if row.connection == "ABC" else 1)
        assert row.delta == (bus == "d" and row.connection == "ABC")
        assert row.nodes == ".".join(str("ABC".index(letter) + 1) for letter in row.connection)
        base = 0.48 if bus == "d" else 12.47
        assert row.kv == pytest.approx(base / (np.sqrt(3) if len(row.connection) == 1 else 1))


def test_every_wrong_bus_is_reported_with_the_nearest(street):
    found = problems(street, by="buses", buses=("nn2", "n3", "x", "zzz"))
    assert found == [
        "fleets[0].place.buses[0]: unknown bus 'nn2' (did you mean 'n2'?)",
        "fleets[0].place.buses[2]: bus 'x' is not connected to the source",
        "fleets[0].place.buses[3]: unknown bus 'zzz'",
    ]
    assert problems(street, by="buses") == [
        "fleets[0].place.buses: by: buses needs at least one bus"
    ]


def test_a_phase_that_a_bus_does_not_have(street):
    (found,) = problems(street, by="buses", buses=("m1",), phases="B")
    assert found == "fleets[0].place.phases: bus 'm1' has no phase B (it has A, C, CA)"


@pytest.mark.parametrize(
    ("phases", "kv", "fits"),
    [("A", LN, True), ("A", 1.09 * LN, True), ("A", 12.47, False), ("as_load", 12.47, True),
     ("as_load", LN, False), ("A", 0.24, False)],
)  # fmt: skip
def test_a_charger_of_another_voltage_is_refused(street, phases, kv, fits):
    how = {"by": "buses", "buses": ("n2",), "phases": phases, "kv": kv}
    if fits:
        assert place(street, 1, **how).points["kv"].tolist() == [kv]
    else:
        (found,) = problems(street, **how)
        assert found.startswith(f"fleets[0].place.kv: a charger of {kv:g} kV does not fit bus 'n2'")


def test_a_service_takes_240_volts_between_its_legs(served):
    everyone = place(served, len(served[1])).points
    split = everyone[everyone["connection"] == "split"]
    assert set(split["nodes"]) == {"1.2"}
    assert split["kv"].to_numpy() == pytest.approx(0.24, rel=1e-4)
    assert set(split["phase"]) == {"A", "B", "C"}
    shop = everyone[everyone["connection"] == "ABC"]
    assert shop["kv"].to_numpy() == pytest.approx(0.208, rel=1e-2)
