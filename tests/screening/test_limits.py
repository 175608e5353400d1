import dataclasses
import pickle

import numpy as np
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.screening import Limits, load_limits, preset_names

ALL = np.inf


def test_presets_hold_the_published_figures():
    assert load_limits("ansi_c84_1_a").voltage == ((0.6, 0.95, 1.05), (ALL, 0.975, 1.05))
    assert load_limits("ansi_c84_1_b").voltage == ((0.6, 0.917, 1.058), (ALL, 0.95, 1.058))
    assert load_limits("en_50160").voltage == ((ALL, 0.9, 1.1),)
    assert load_limits("ica").voltage == ((ALL, 0.95, 1.05),)
    assert load_limits("ica").sudden == ((ALL, 0.03),)
    assert load_limits("drive").voltage[0].vmax_pu == 1.05
    assert load_limits("ansi_c84_1_a").sudden == ((1.0, 0.05), (ALL, 0.03))


@pytest.mark.parametrize("name", preset_names())
def test_every_figure_has_a_source_and_a_mark(name):
    limits = load_limits(name)
    assert len(limits.sources) == len(limits.voltage) + len(limits.sudden) + 1
    assert all(source.text and source.mark in {"P", "K", "A"} for source in limits.sources)
    assert limits.thermal_pct == 100
    assert not limits.reverse_flow_kw
    assert pickle.loads(pickle.dumps(limits)) == limits  # noqa: S301


def test_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="ansi_c84_1_a"):
        load_limits("ansi_c84_1")


def test_bands_by_class():
    limits = load_limits("ansi_c84_1_a")
    kv = np.array([0.24, 0.208, 0.6, np.sqrt(3) * 0.34641016151377546, 0.61, 12.47])
    vmin, vmax = limits.voltage_band(kv)
    assert vmin.tolist() == [0.95, 0.95, 0.95, 0.95, 0.975, 0.975]
    assert set(vmax) == {1.05}
    assert limits.sudden_change(kv).tolist() == [0.05, 0.05, 0.05, 0.05, 0.05, 0.03]
    with pytest.raises(InputError, match="1 nodes"):
        limits.voltage_band(np.array([np.nan, 0.24]))


def test_replaced_marks_the_studys_own_figures():
    limits = load_limits("ica").replaced(thermal_pct=120.0, reverse_flow_kw={"Line.head": 0.0})
    assert limits.thermal_pct == 120
    assert limits.name == "ica, changed"
    own = [source for source in limits.sources if source.setting == "thermal_pct"]
    assert [source.text for source in own] == ["set by the study"]
    assert load_limits("ica").replaced(name="mine").name == "mine"
    assert dataclasses.replace(limits, thermal_pct=90.0).thermal_pct == 90
    with pytest.raises(InputError, match="thermal_pct"):
        limits.replaced(thermal=3)


def test_all_problems_at_once():
    with pytest.raises(InputError) as caught:
        Limits(
            name="bad",
            voltage=((0.6, 1.05, 0.95), (0.5, 0.95, 1.05)),
            sudden=(),
            thermal_pct=-1,
            reverse_flow_kw={"Line.l1": np.nan},
        )
    wheres = [problem.where for problem in caught.value.problems]
    assert wheres == [
        "limits.voltage",
        "limits.voltage",
        "limits.sudden",
        "limits.voltage[0]",
        "limits.thermal_pct",
        "limits.reverse_flow_kw.Line.l1",
    ]
