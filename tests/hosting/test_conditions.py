"""Conditions that change the answer: regulators, their reverse mode, and one that nobody knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.conventions import Criterion, Status
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.hosting import Conditions, Regulators, ReverseMode, Search
from v2g_feeder.hosting.recheck import Recheck

from .cases import BASES, KV, limits, line, search, source, write
from .test_two_buses import KM, VOLTS, by_hand

IEEE34 = resolve_model("ieee34", Path.cwd())
UNKNOWN = Conditions(
    regulators=Regulators.FREE, reverse_mode=ReverseMode.UNKNOWN, reverse_threshold_kw=100.0
)


def at_848(conditions, vmax):
    """The export that bus 848 takes at 30 % load, up to 1 MW; nothing but a highest voltage."""
    rules = Search(maximum_kw=1000.0, scan=4)
    found = search(
        IEEE34, limits(vmax=vmax), p=[0.3], conditions=conditions, rules=rules, buses=["848"],
        connections=["ABC"],
    )  # fmt: skip
    return found, found.row("848", "ABC", "export")


def passes_a_megawatt(conditions, vmax):
    """Whether 1 MW at bus 848 leaves every voltage at most ``vmax``."""
    found, _ = at_848(conditions, vmax)
    return found.found.beyond_kw[0, 0, 0] == 1000.0


def test_an_unknown_mode_stands_for_every_mode():
    feeder = at_848(Conditions(), 1.5)[0].runner.feeder
    known = UNKNOWN.alternatives(feeder)
    assert [str(one.reverse_mode) for one in known] == [
        "locked_forward", "neutral", "bidirectional", "cogeneration",
    ]  # fmt: skip
    assert [one.reverse_threshold_kw for one in known] == [None, 100.0, 100.0, 100.0]
    assert {one.regulators for one in known} == {Regulators.FREE}
    assert len({one.words() for one in known}) == 4
    with pytest.raises(InputError, match="stands for every mode"):
        UNKNOWN.commands(feeder)
    assert known[2].alternatives(feeder) == (known[2],)


def test_a_feeder_without_regulators_has_no_mode_to_know(tmp_path):
    text = source() + line("l", "src", "b", 1.0, extra="normamps=200") + BASES
    feeder = search(write(tmp_path, text), limits(vmax=1.1)).runner.feeder
    (only,) = UNKNOWN.alternatives(feeder)
    assert only == Conditions(regulators=Regulators.FREE)


@pytest.mark.parametrize(
    ("mode", "highest"),
    [(ReverseMode.LOCKED_FORWARD, 1.083), (ReverseMode.BIDIRECTIONAL, 1.345)],
)
def test_the_mode_alone_moves_the_highest_voltage(mode, highest):
    """Seen with plain OpenDSS at 30 % load and 1 MW at bus 848."""
    conditions = Conditions(regulators=Regulators.FREE, reverse_mode=mode)
    assert passes_a_megawatt(conditions, highest + 0.001)
    assert not passes_a_megawatt(conditions, highest - 0.001)


def test_the_mode_alone_moves_capacity():
    feeder = at_848(Conditions(), 1.5)[0].runner.feeder
    kw = {str(one.reverse_mode): at_848(one, 1.1)[1] for one in UNKNOWN.alternatives(feeder)}
    assert kw["locked_forward"]["status"] == kw["cogeneration"]["status"] == Status.CENSORED
    for mode in ("neutral", "bidirectional"):
        assert kw[mode]["kw"] == pytest.approx(789, abs=12)
        assert kw[mode]["limiting_element"] == "848.3"


def test_a_threshold_that_is_never_reached_is_no_reverse_mode():
    mode = {"regulators": Regulators.FREE, "reverse_mode": ReverseMode.BIDIRECTIONAL}
    _, low = at_848(Conditions(**mode), 1.1)
    _, high = at_848(Conditions(**mode, reverse_threshold_kw=5000.0), 1.1)
    assert low["status"] == Status.LIMITED
    assert high["status"] == Status.CENSORED


def test_regulators_locked_at_the_top_leave_less():
    _, base = at_848(Conditions(), 1.1)
    _, top = at_848(Conditions(regulators=Regulators.TOP), 1.1)
    _, free = at_848(Conditions(regulators=Regulators.FREE), 1.1)
    assert top["kw"] + 50 < base["kw"] < free["kw"] == 1000.0


@pytest.mark.parametrize("mode", [ReverseMode.NEUTRAL, ReverseMode.BIDIRECTIONAL])
def test_the_reverse_delay_counts_by_its_order(mode):
    """The regulators of IEEE 34 wait 15 s: below it they reverse before a tap has moved."""
    rules = Search(maximum_kw=1000.0, tolerance_kw=1.0, tolerance_share=0.0, scan=4)
    found, kw = {}, {}
    for delay in (1.0, 14.0, 16.0, 60.0):
        conditions = Conditions(
            regulators=Regulators.FREE, reverse_mode=mode, reverse_delay_s=delay
        )
        one = search(IEEE34, limits(vmax=1.1), p=[0.3], conditions=conditions, rules=rules,
                     buses=["848"], connections=["ABC"])  # fmt: skip
        stated = shared_engine().properties("RegControl")
        assert {row["RevDelay"] for row in stated} == {delay}, "in OpenDSS"
        assert set(one.nodal.grid.solver._regulators["back_delay"]) == {delay}, (
            "in the batch engine"
        )
        found[delay], kw[delay] = (one, conditions), one.row("848", "ABC", "export")["kw"]
    assert kw[1.0] == kw[14.0]
    assert kw[16.0] == kw[60.0]
    assert kw[1.0] + 3 < kw[16.0]
    between = (kw[1.0] + kw[16.0]) / 2
    for delay, passes in ((1.0, False), (60.0, True)):
        one, conditions = found[delay]
        check = Recheck(shared_engine(), one.runner.circuit, one.nodal.points, conditions,
                        limits(vmax=1.1))  # fmt: skip
        (base,) = one.nodal.grid.day(0, ["v_pu"], 0.0)
        check.settle(base, one.nodal.grid.solver.place)
        outcome = check.solve("848", "ABC", "export", between, one.nodal.parts(""))
        assert outcome.passes == passes, "by OpenDSS"


def test_a_reverse_delay_that_does_nothing_is_said():
    feeder = at_848(Conditions(), 1.5)[0].runner.feeder
    neutral = Conditions(reverse_mode=ReverseMode.NEUTRAL)
    words = {
        delay: replace(neutral, reverse_delay_s=delay).delay_words(feeder)
        for delay in (1.0, 10.0, 15.0, 30.0, 60.0)
    }
    assert [delay for delay, told in words.items() if "does nothing" in told] == [30.0, 60.0]
    assert all("order among the delays" in told for told in words.values())
    assert neutral.delay_words(feeder) == ""


GENERATION = {
    "generator": f"New Generator.g bus1=b kv={KV:g} kw=900 kvar=0 vmaxpu=1.3\n",
    "PV system": f"New PVSystem.p bus1=b kv={KV:g} pmpp=1000 irradiance=0.9 kva=950 vmaxpu=1.3\n",
    "negative load": f"New Load.n bus1=b kv={KV:g} kw=-900 kvar=0 vminpu=0.5 vmaxpu=1.5\n",
}


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("kind", GENERATION)
def test_existing_generation_takes_what_it_gives(kind, level, tmp_path):
    text = source() + line("l", "src", "b", KM, extra="normamps=300") + GENERATION[kind] + BASES
    conditions, limit = Conditions(generation=level), limits(vmax=1.03)
    found = search(write(tmp_path, text), limit, buses=["b"], connections=["ABC"],
                   conditions=conditions)  # fmt: skip
    row = found.row("b", "ABC", "export")
    together = by_hand("ABC", lambda v, _: np.abs(v).max() / VOLTS - 1.03, "export")
    assert row["limiting_criterion"] == Criterion.OVER_VOLTAGE
    assert row["kw"] == pytest.approx(together - 900.0 * level, abs=1.5)
    runner, nodal = found.runner, found.nodal
    check = Recheck(shared_engine(), runner.circuit, nodal.points, conditions, limit)
    (base,) = nodal.grid.day(0, ["v_pu"], 0.0)
    verdict = check.verdict(row, base, nodal.parts(""), nodal.grid.solver.place)
    assert (verdict.passes, verdict.fails) == (True, True), "OpenDSS stands under the same level"


def test_every_size_of_a_generator_follows_its_level(tmp_path):
    """Power factor, stated vars, vars of models 4 and 5, and an inverter that cuts its panels."""
    units = [
        "Generator.a {} kw=300 kvar=120", "Generator.b {} kw=300 pf=0.9 model=4",
        "Generator.c {} kw=300 kvar=-50 model=5", "PVSystem.d {} kva=300 pmpp=400 irradiance=1",
        "PVSystem.e {} kva=300 pmpp=200 pf=0.9 irradiance=0.7",
        "PVSystem.f {} kva=300 pmpp=200 kvar=-100 irradiance=0.7",
    ]  # fmt: skip
    text = source() + line("l", "src", "b", 1.0, extra="normamps=300")
    text += "".join("New " + unit.format(f"bus1=b kv={KV:g}") + "\n" for unit in units) + BASES
    text += f"New Storage.s bus1=b kv={KV:g} kwrated=100 %idlingkw=4\n"
    model = write(tmp_path, text)

    def given(level):
        grid = search(model, limits(), buses=["b"], connections=["ABC"],
                      rules=Search(maximum_kw=10.0),
                      conditions=Conditions(generation=level)).nodal.grid  # fmt: skip
        return np.concatenate([grid._generation.kw, grid._generation.kvar], axis=1)

    whole = given(1.0)
    assert np.abs(whole[:-1, 0]).min() > 100
    assert (np.abs(whole[[0, 1, 2, 4, 5], 1]) > 10).all()
    for level in (0.4, 2.0):
        assert given(level)[:-1] == pytest.approx(level * whole[:-1], rel=1e-6, abs=1e-6)
        assert given(level)[-1] == pytest.approx(whole[-1]), "storage stays as it is"
    assert given(0.0) == pytest.approx(whole[-1:])


def test_a_level_of_nothing_is_refused(tmp_path):
    text = source() + line("l", "src", "b", 1.0, extra="normamps=200") + BASES
    with pytest.raises(InputError, match="the feeder has no generator, PV system, array"):
        search(write(tmp_path, text), limits(), conditions=Conditions(generation=0.5))
    for level in (-0.1, np.inf):
        with pytest.raises(InputError, match=r"hosting\.conditions\.generation"):
            Conditions(generation=level)
