import dataclasses
import pickle

import numpy as np
import pandas as pd
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
    bands = len(limits.voltage) + len(limits.sudden)
    assert [source.setting for source in limits.sources[bands:]][:2] == [
        "thermal_pct",
        "emergency_pct",
    ]
    own = {source.setting for source in limits.sources}
    for field in dataclasses.fields(limits):
        value = getattr(limits, field.name)
        if isinstance(value, float) and 0 < value < ALL:
            assert field.name in own, field.name
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


def write(folder, text, name="own.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_unbalance_and_deviation_stand_in_the_sets_that_publish_them():
    assert load_limits("ansi_c84_1_a").line_unbalance_pct == 3
    assert load_limits("ansi_c84_1_a").sequence_unbalance_pct == ALL
    assert load_limits("en_50160").sequence_unbalance_pct == 2
    assert load_limits("drive").band_share == 0.5
    assert load_limits("ica").band_share == ALL


def test_a_set_of_the_users_own(tmp_path):
    write(
        tmp_path,
        """
like: ansi_c84_1_a
voltage:
  - {kv_max: .inf, vmin_pu: 0.94, vmax_pu: 1.06, source: planning guide, mark: P}
thermal: {season_factor: {winter: 1.2}, source: planning guide}
slow: [{kv_max: .inf, change_pu: 0.02}]
head_unbalance: {pct: 15, floor_a: 20}
tap_operations: {a_day: 8}
reverse_flow: {head: 0}
""",
    )
    limits = load_limits("own.yaml", tmp_path)
    assert limits.name == "own"
    assert limits.voltage == ((ALL, 0.94, 1.06),)
    assert limits.sudden == load_limits("ansi_c84_1_a").sudden
    assert limits.thermal_pct == 100
    assert limits.season_factor == {"winter": 1.2}
    assert limits.slow_change(np.array([0.24, 12.47])).tolist() == [0.02, 0.02]
    assert (limits.head_unbalance_pct, limits.head_unbalance_floor_a) == (15, 20)
    assert limits.reverse_flow_kw == {"head": 0}
    cited = {source.setting: (source.text, source.mark) for source in limits.sources}
    assert cited["voltage"] == ("planning guide", "P")
    assert cited["season_factor"] == ("planning guide", "")
    assert cited["tap_operations_a_day"] == ("set by the study", "")
    assert cited["line_unbalance_pct"][1] == "K"
    assert load_limits(str(tmp_path / "own.yaml")) == limits


def test_a_set_without_a_base_needs_its_bands(tmp_path):
    path = write(tmp_path, "thermal: {pct: 90}\n")
    with pytest.raises(InputError) as caught:
        load_limits(str(path))
    assert [problem.where.split(": ")[1] for problem in caught.value.problems] == [
        "voltage",
        "sudden",
    ]


def test_everything_wrong_with_a_users_set_is_said_at_once(tmp_path):
    path = write(
        tmp_path,
        """
like: ica
line_unbalnce: {pct: 3}
sequence_unbalance: {pct: "2 %"}
voltage: [{kv_max: 0.6, vmin: 0.9, vmax_pu: 1.1}]
emergency: 120
regulator_deviation: {band_share: 0.5, mark: Q}
reverse_flow: 5
""",
    )
    with pytest.raises(InputError) as caught:
        load_limits(str(path))
    found = {problem.where.split(": ")[1]: problem for problem in caught.value.problems}
    assert sorted(found) == sorted(
        [
            "line_unbalnce",
            "sequence_unbalance.pct",
            "voltage[0].vmin",
            "voltage[0]",
            "emergency",
            "regulator_deviation.mark",
            "reverse_flow",
        ]
    )
    assert "line_unbalance" in found["line_unbalnce"].hint
    assert "vmin_pu" in found["voltage[0].vmin"].hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("like: ansi_c84\n", "did you mean 'ansi_c84_1_"),
        ("- 1\n", "a mapping is expected"),
        ("like: ica\nlike: drive\n", "stands twice"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("a: [\n", "own.yaml:2"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
    ],
)
def test_broken_files(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=words):
        load_limits(str(path))


def test_a_missing_file():
    with pytest.raises(InputError, match="no such file"):
        load_limits("nowhere.yaml")


def test_season_ratings_are_for_lines():
    elements = pd.DataFrame(
        {
            "kind": ["line", "switch", "transformer", "line"],
            "rating_a": [100.0, 100.0, np.nan, np.nan],
            "rating_kva": [np.nan, np.nan, 50.0, np.nan],
            "rating_source": ["stated", "stated", "stated", "unknown"],
            "emergency_ratio": [1.5, np.nan, 1.4, np.nan],
        }
    )
    limits = dataclasses.replace(
        load_limits("ica"), season_factor={"winter": 1.2}, emergency_pct=100.0
    )
    normal, emergency = limits.loading(elements, "winter")
    assert normal[:3].tolist() == [120, 120, 100]
    assert emergency[[0, 2]].tolist() == pytest.approx([180, 140])
    assert np.isnan(normal[3])
    assert np.isnan(emergency[[1, 3]]).all()
    assert limits.loading(elements, "summer")[0][:3].tolist() == [100, 100, 100]
