"""A source, a line and a bus: capacity against what can be solved by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from v2g_feeder.conventions import Criterion, Status
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.hosting import Conditions, EventSteps, Regulators
from v2g_feeder.hosting.bounds import SEARCHED
from v2g_feeder.hosting.recheck import Recheck

from .cases import BASES, FINE, MUTUAL, SELF, VOLTS, limits, line, search, source, wider, write

KM = 4.0
TURN = np.exp(-2j * np.pi / 3 * np.arange(3))
Z = KM * (np.full((3, 3), MUTUAL) + np.eye(3) * (SELF - MUTUAL))
AMPS, EMERGENCY_AMPS = 150.0, 170.0
RATED = f"normamps={AMPS:g} emergamps={EMERGENCY_AMPS:g}"
CONNECTIONS = ("A", "B", "C", "AB", "BC", "CA", "ABC")


def solved(connection: str, kw: float) -> tuple[np.ndarray, np.ndarray]:
    """Volts of the far bus and amps of the line, for a constant power there."""
    source_volts = VOLTS * TURN
    volts, amps = source_volts, np.zeros(3, complex)
    for _ in range(400):
        at = ["ABC".index(letter) for letter in connection]
        amps = np.zeros(3, complex)
        if len(at) == 2:
            amps[at[0]] = np.conj(kw * 1e3 / (volts[at[0]] - volts[at[1]]))
            amps[at[1]] = -amps[at[0]]
        else:
            amps[at] = np.conj(kw * 1e3 / len(at) / volts[at])
        volts = source_volts - Z @ amps
    return volts, amps


def by_hand(connection: str, beyond, direction: str) -> float:
    """The size at which a limit is just met; infinite where none is up to the nose."""
    sign = -1.0 if direction == "export" else 1.0

    def at(kw):
        return beyond(*solved(connection, sign * kw))

    for most in np.arange(100.0, 5000.0, 100.0):
        if at(most) > 0:
            return brentq(at, most - 100.0, most, xtol=1e-3)
    return math.inf


def holds(row, kw: float, criterion: str) -> None:
    assert row["status"] == Status.LIMITED
    assert row["limiting_criterion"] == criterion
    assert row["kw"] == pytest.approx(abs(kw), abs=1.0)
    assert row["fails_at_kw"] == pytest.approx(abs(kw), abs=1.0)
    assert row["kw"] < row["fails_at_kw"] <= row["kw"] + 1.0 + 1e-6


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    text = source() + line("l", "src", "b", KM, extra=RATED) + BASES
    return write(tmp_path_factory.mktemp("two"), text)


@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_voltage(model, connection, direction):
    found = search(model, limits(vmin=0.97, vmax=1.03), buses=["b"])
    both = {
        Criterion.UNDER_VOLTAGE: lambda v, _: 0.97 - np.abs(v).min() / VOLTS,
        Criterion.OVER_VOLTAGE: lambda v, _: np.abs(v).max() / VOLTS - 1.03,
    }
    least = {name: by_hand(connection, beyond, direction) for name, beyond in both.items()}
    criterion = min(least, key=least.get)
    holds(found.row("b", connection, direction), least[criterion], criterion)


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_sudden_rise(model, connection):
    found = search(model, limits(sudden=0.02), buses=["b"])
    kw = by_hand(connection, lambda v, _: np.abs(np.abs(v) / VOLTS - 1.0).max() - 0.02, "export")
    holds(found.row("b", connection, "export"), kw, Criterion.SUDDEN_VOLTAGE)


EVENTS = [
    (EventSteps(start=True), "event_start"),
    (EventSteps(end=True, charging_share=0.5), "event_end"),
    (EventSteps(start=True, end=True, charging_share=2.0), "event_start"),
]


@pytest.mark.parametrize(("events", "step"), EVENTS)
@pytest.mark.parametrize("connection", ["A", "BC", "ABC"])
def test_start_and_end_of_an_event(model, connection, events, step):
    """The charger goes from charging its share of the size to exporting the size, or back."""
    limit = 0.03
    rules = replace(FINE, events=events)
    found = search(model, limits(sudden=limit), buses=["b"], rules=rules)

    def apart(kw):
        before, _ = solved(connection, events.charging_share * kw)
        after, _ = solved(connection, -kw)
        return (np.abs(np.abs(after) - np.abs(before)) / VOLTS).max() - limit

    row = found.row("b", connection, "export")
    holds(row, brentq(apart, 1.0, 3000.0, xtol=1e-3), Criterion.SUDDEN_VOLTAGE)
    assert row["sudden_step"] == step
    alone = search(model, limits(sudden=limit), buses=["b"]).row("b", connection, "export")
    assert alone["sudden_step"] == "all_export_lost"
    assert row["kw"] < alone["kw"] / (0.9 + 0.9 * events.charging_share)
    drawn = found.row("b", connection, "import")
    assert drawn["limiting_criterion"] != Criterion.SUDDEN_VOLTAGE
    assert drawn["sudden_step"] == ""


@pytest.mark.parametrize(
    ("events", "step", "bus"),
    [(EventSteps(start=True), "event_start", "b"), (EventSteps(end=True), "event_end", "r")],
)
def test_ends_of_an_event_with_free_regulators(events, step, bus, tmp_path):
    """The regulator stands where the charging before, or the export, has left it.

    It is next to nothing itself. Boosting it makes the line's change larger by its ratio, bucking
    it makes it smaller, and then the change at its own bus limits.
    """
    kv = VOLTS * math.sqrt(3.0) / 1e3
    text = (
        source()
        + line("l", "src", "r", KM)
        + f"New Transformer.reg windings=2 buses=(r b) kvs=({kv:g} {kv:g}) kvas=(90000 90000) "
        "xhl=0.001 %loadloss=0.0001\n"
        "New RegControl.c transformer=reg winding=2 vreg=120 band=2 ptratio=60\n" + BASES
    )
    limit, conditions = limits(sudden=0.08), Conditions(regulators=Regulators.FREE)
    found = search(write(tmp_path, text), limit, buses=["b"], connections=["ABC"],
                   rules=replace(FINE, maximum_kw=8000.0, events=events),
                   conditions=conditions)  # fmt: skip
    row = found.row("b", "ABC", "export")
    assert (row["sudden_step"], row["limiting_element"][0]) == (step, bus)
    before, after = (np.abs(solved("ABC", sign * row["kw"])[0][0]) / VOLTS for sign in (1, -1))
    ratio = 0.08 / (after - before)
    if bus == "b":
        assert ratio / 0.00625 == pytest.approx(round(ratio / 0.00625), abs=0.1)
        assert ratio * before == pytest.approx(1.0, abs=1.0 / 120)
        assert ratio > 1.03
    else:
        assert ratio == pytest.approx(1.0, abs=1e-3)
    check = Recheck(
        shared_engine(), found.runner.circuit, found.nodal.points, conditions, limit, events
    )
    (base,) = found.nodal.grid.day(0, ["v_pu"], 0.0)
    place, parts = found.nodal.grid.solver.place, found.nodal.parts("")
    verdict = check.verdict(row, base, parts, place)
    assert verdict[:3] == (True, True, True)
    assert verdict.base_apart < 1e-6
    other = Recheck(
        shared_engine(), found.runner.circuit, found.nodal.points, conditions, limit, events
    )
    moved = replace(base, re=base.re * 1.001, im=base.im * 1.001)  # what OpenDSS does not find
    assert other.verdict(row, moved, parts, place).base_apart == pytest.approx(0.001, rel=0.01)


@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_thermal(model, connection, direction):
    found = search(model, limits(thermal=100.0), buses=["b"])
    kw = by_hand(connection, lambda _, i: np.abs(i).max() - AMPS, direction)
    holds(found.row("b", connection, direction), kw, Criterion.THERMAL)


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_reverse_flow(model, connection):
    limit = 700.0
    found = search(model, limits(reverse={"head": limit}), buses=["b"])

    def beyond(_, i):
        return -(VOLTS * TURN * np.conj(i)).real.sum() / 1e3 - limit

    kw = by_hand(connection, beyond, "export")
    holds(found.row("b", connection, "export"), kw, Criterion.REVERSE_FLOW)


@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_slow_change(model, connection, direction):
    found = search(model, wider(limits(), slow=((math.inf, 0.015),)), buses=["b"])
    kw = by_hand(connection, lambda v, _: np.abs(np.abs(v) / VOLTS - 1.0).max() - 0.015, direction)
    holds(found.row("b", connection, direction), kw, Criterion.SLOW_VOLTAGE)


@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("connection", ["A", "BC", "ABC"])
def test_emergency_rating(model, connection, direction):
    found = search(model, wider(limits(), emergency_pct=90.0), buses=["b"])
    kw = by_hand(connection, lambda _, i: np.abs(i).max() - 0.9 * EMERGENCY_AMPS, direction)
    holds(found.row("b", connection, direction), kw, Criterion.EMERGENCY)


def line_unbalance(volts, _):
    between = np.abs(volts - np.roll(volts, -1))
    return 100 * np.abs(between - between.mean()).max() / between.mean() - 1.5


def sequence_unbalance(volts, _):
    turn = TURN.conj()
    positive, negative = (volts * turn).sum(), (volts * turn.conj()).sum()
    return 100 * abs(negative) / abs(positive) - 1.0


def head_unbalance(_, amps):
    mean = np.abs(amps).mean()
    return 100 * np.abs(np.abs(amps) - mean).max() / max(mean, 100.0) - 40.0


UNBALANCE = {
    Criterion.LINE_UNBALANCE: ({"line_unbalance_pct": 1.5}, line_unbalance),
    Criterion.SEQUENCE_UNBALANCE: ({"sequence_unbalance_pct": 1.0}, sequence_unbalance),
    Criterion.HEAD_UNBALANCE: (
        {"head_unbalance_pct": 40.0, "head_unbalance_floor_a": 100.0}, head_unbalance,
    ),
}  # fmt: skip


@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("criterion", UNBALANCE)
def test_unbalance(model, criterion, direction):
    changes, beyond = UNBALANCE[criterion]
    found = search(model, wider(limits(), **changes), buses=["b"])
    for connection in CONNECTIONS[:-1]:
        kw = by_hand(connection, beyond, direction)
        holds(found.row("b", connection, direction), kw, criterion)
    assert found.row("b", "ABC", direction)["limiting_criterion"] != criterion


def test_deviation_at_a_regulator(tmp_path):
    """The regulator stands at the far end and is next to nothing itself; its band is 2 V of 120."""
    kv = VOLTS * math.sqrt(3.0) / 1e3
    text = (
        source()
        + line("l", "src", "b", KM)
        + f"New Transformer.reg windings=2 buses=(b r) kvs=({kv:g} {kv:g}) kvas=(20000 20000) "
        "xhl=0.001 %loadloss=0.0001\n"
        "New RegControl.c transformer=reg winding=2 vreg=120 band=2 ptratio=60\n" + BASES
    )
    limit = wider(limits(), band_share=0.5)
    found = search(write(tmp_path, text), limit, buses=["r"], connections=["ABC"])
    most = 0.5 * 2.0 * 60 / VOLTS
    for direction in ("export", "import"):
        kw = by_hand("ABC", lambda v, _: np.abs(np.abs(v) / VOLTS - 1.0).max() - most, direction)
        row = found.row("r", "ABC", direction)
        assert row["limiting_criterion"] == Criterion.REGULATOR_VOLTAGE
        assert row["kw"] == pytest.approx(kw, rel=2e-3)


def test_every_criterion_that_is_searched_binds_alone_above():
    here = {
        Criterion.OVER_VOLTAGE, Criterion.UNDER_VOLTAGE, Criterion.SUDDEN_VOLTAGE,
        Criterion.THERMAL, Criterion.REVERSE_FLOW, Criterion.SLOW_VOLTAGE, Criterion.EMERGENCY,
        Criterion.REGULATOR_VOLTAGE, *UNBALANCE,
    }  # fmt: skip
    assert set(SEARCHED) == here


def test_the_hand_solution_is_the_quadratic():
    """The iteration above against the closed form of a constant power behind an impedance."""
    z = Z[0, 0] - Z[0, 1]  # positive sequence
    v = 1.03 * VOLTS
    a, b, c = abs(z) ** 2 / v**2, 2 * z.real, v**2 - VOLTS**2
    watts = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
    kw = by_hand("ABC", lambda v, _: np.abs(v).max() / VOLTS - 1.03, "export")
    assert kw == pytest.approx(-3 * watts / 1e3, abs=0.01)
    z = Z[0, 0]
    volts = math.sqrt(VOLTS**2 - (z.imag * AMPS) ** 2) + z.real * AMPS
    kw = by_hand("A", lambda _, i: np.abs(i).max() - AMPS, "export")
    assert kw == pytest.approx(AMPS * volts / 1e3, abs=0.01)
