"""Conditions that change the answer: regulators, their reverse mode, and one that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2g_feeder.conventions import Status
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.hosting import Conditions, Regulators, ReverseMode, Search

from .cases import BASES, limits, line, search, source, write

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
