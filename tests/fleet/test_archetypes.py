"""Archetype files: what is shipped, and what a user's own file may get wrong."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import yaml

from v2g_feeder.errors import InputError
from v2g_feeder.fleet import archetype_names, load_archetype

DATA = resources.files("v2g_feeder.fleet").joinpath("data")


def _tree(name):
    return yaml.safe_load(DATA.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))


def _written(tmp_path, tree):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", archetype_names())
def test_every_shipped_archetype_loads(name):
    archetype = load_archetype(name)
    assert archetype.name == name
    assert (archetype.plugging is None) != (archetype.duty is None)
    assert 0 < archetype.reserve_soc < archetype.departure_soc <= 1
    assert archetype.season_factor((1,)) >= archetype.season_factor((7,)) == 1
    for figure in archetype.figures:
        assert figure.unit, figure
        assert len(figure.source) > 5, figure
        assert figure.mark in {"P", "D", "A"}, figure


def test_a_path_gives_the_same_as_the_name(tmp_path):
    own = load_archetype(_written(tmp_path, _tree("residential")))
    shipped = load_archetype("residential")
    assert own.name == "own"
    assert own.plugging == shipped.plugging
    assert load_archetype(str(tmp_path / "own.yaml")) is own


def test_a_changed_file_is_read_again(tmp_path):
    tree = _tree("apartment")
    assert load_archetype(_written(tmp_path, tree)).charger_kw == 7.2
    tree["charger_kw"]["value"] = 11.25
    assert load_archetype(_written(tmp_path, tree)).charger_kw == 11.25


def test_all_problems_of_a_file_are_listed(tmp_path):
    tree = _tree("workplace")
    del tree["battery_kwh_low"], tree["plugging"]["gap_h"]
    tree["charger_kv"] = dict(tree["charger_kw"])
    tree["reserve_soc"]["value"] = 30
    tree["stated_error_h"]["value"] = [1, 2]
    tree["plugging"]["user_rate"]["value"][3] = 0.0
    tree["plugging"]["weekday"]["starts_per_free_h"]["value"].pop()
    tree["plugging"]["weekend"]["stay_h"]["value"].pop()
    with pytest.raises(InputError) as caught:
        load_archetype(_written(tmp_path, tree))
    found = {problem.where: str(problem) for problem in caught.value.problems}
    assert set(found) == {
        "own.yaml: battery_kwh_low",
        "own.yaml: charger_kv",
        "own.yaml: reserve_soc",
        "own.yaml: stated_error_h",
        "own.yaml: plugging: gap_h",
        "own.yaml: plugging: user_rate",
        "own.yaml: plugging: weekday.starts_per_free_h",
        "own.yaml: plugging: weekend.stay_h",
    }
    assert "did you mean 'charger_kw'" in found["own.yaml: charger_kv"]
    assert "missing" in found["own.yaml: plugging: gap_h"]
    assert "expected 48 values, found 47" in found["own.yaml: plugging: weekday.starts_per_free_h"]
    assert "must not fall" in found["own.yaml: plugging: user_rate"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no figures"),
        ("a: [1", "not readable as YAML"),
        ("charger_kw: 7.2", "value, unit, mark and source"),
        ("charger_kw: {value: x, unit: kW, mark: A, source: a guess}", "'x' is not a number"),
        ("charger_kw: {value: .nan, unit: kW, mark: A, source: a guess}", "is not a number"),
        ("charger_kw: {value: 7, unit: kW, mark: Q, source: a guess}", "mark 'Q' is not"),
        ("charger_kw: {value: 7, unit: kW, mark: A, sauce: a guess}", "did you mean 'source'"),
    ],
)
def test_a_file_that_is_not_made_of_figures(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_archetype(path)


def test_two_sections_or_none_are_refused(tmp_path):
    tree = _tree("residential")
    both = tree | {"duty": _tree("school_bus")["duty"]}
    neither = {key: value for key, value in tree.items() if key != "plugging"}
    for wrong in (both, neither):
        with pytest.raises(InputError, match="needs one of the sections"):
            load_archetype(_written(tmp_path, wrong))


def test_a_bad_duty_names_file_and_key(tmp_path):
    tree = _tree("school_bus")
    tree["duty"]["holiday_share"]["value"] = 12
    with pytest.raises(InputError, match=r"own\.yaml: duty: holiday_share"):
        load_archetype(_written(tmp_path, tree))


def test_a_name_and_a_file_that_do_not_exist(tmp_path):
    with pytest.raises(InputError, match="did you mean 'workplace'"):
        load_archetype("workplaces")
    with pytest.raises(InputError, match="no file"):
        load_archetype(tmp_path / "none.yaml")


def test_stated_departures_err_as_in_the_records():
    """27.4 % of the claimed sessions left over 15 min before, 18.1 % over 1 h before."""
    archetype = load_archetype("workplace")
    errors = np.interp(np.linspace(0, 1, 9999), archetype.quantile_levels, archetype.stated_error_h)
    assert (errors > 0.25).mean() == pytest.approx(0.274, abs=0.01)
    assert (errors > 1).mean() == pytest.approx(0.181, abs=0.01)
