"""The first limit of a rising export, beside a plain OpenDSS run of the shipped weak feeder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import opendssdirect as dss
import pytest
import yaml

from v2g_feeder.conventions import AS_STUDIED, Case
from v2g_feeder.fleet import draw_vehicles
from v2g_feeder.hosting import Conditions, ReverseMode
from v2g_feeder.study.config import load_study
from v2g_feeder.study.feeder_stage import prepare_feeder
from v2g_feeder.study.fleet_stage import place_fleets
from v2g_feeder.study.ramp import BALANCED, ramp_of, ramps_of

STUDY = Path(__file__).parents[2] / "studies" / "weak_end_of_line.yaml"
MODES = [mode for mode in ReverseMode if mode not in (ReverseMode.AS_MODEL, ReverseMode.UNKNOWN)]
VMAX = 1.05


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """The shipped study on its lightest day, with feeder and points."""
    raw = yaml.safe_load(STUDY.read_text())
    raw["calendar"]["day_types"] = ["min_day"]
    path = tmp_path_factory.mktemp("weak") / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    study = load_study(path)
    feeder = prepare_feeder(study)
    vehicles = draw_vehicles(study.fleets_for(1000), np.random.default_rng(1))
    points, of_vehicle = place_fleets(study, feeder, [len(vehicles)], np.random.default_rng(1))
    fleet = SimpleNamespace(vehicles=vehicles, points=points, of_vehicle=of_vehicle)
    ramps = list(ramps_of(study, feeder, fleet))
    rows = {}
    for ramp in ramps:
        row = ramp_of(ramp, study.limits, {})
        if row["asked"] == "over_voltage":
            rows[row["reverse_mode"], row["change"]] = (row, ramp)
    return study, feeder, rows


def plain_run(study, feeder, ramp, mode, kw):
    """Load the model in plain OpenDSS, settle it, add the chargers, and return pu by node."""
    engine = dss.NewContext()
    engine.Basic.AllowChangeDir(False)
    run = engine.Text.Command
    run("Clear")
    run(f'Redirect "{study.model}"')
    run(f"Edit Vsource.source pu={study.content.feeder.source_pu}")
    for command in Conditions(reverse_mode=mode).commands(feeder.feeder):
        run(command)
    base, step = feeder.circuit.base_load, ramp.first_step + ramp.steps.start
    for load in feeder.feeder.loads.itertuples():
        row = base.shape_of[load.name]
        p, q = load.kw * base.p[row, step], load.kvar * base.q[row, step]
        run(f"Edit Load.{load.name} kw={p:.9g} kvar={q:.9g}")
    run("Set tolerance=1e-9 maxiterations=200 maxcontroliter=200")
    run("Solve")
    share = kw / ramp.rating_kw.sum()
    for number, point in enumerate(ramp.circuit.points.itertuples()):
        run(
            f"New Load.ev{number} bus1={point.bus}.{point.nodes} phases={point.phases} "
            f"kv={point.kv} kw={-share * ramp.rating_kw[number]:.9g} kvar=0 model=1 "
            "vminpu=0.5 vmaxpu=1.5"
        )
    run("Solve")
    assert engine.Solution.Converged()
    names, volts = engine.Circuit.AllNodeNames(), engine.Circuit.AllBusMagPu()
    return {name.lower(): pu for name, pu in zip(names, volts, strict=True)}


@pytest.mark.parametrize("mode", MODES)
def test_first_bus_and_phase_agree_with_plain_opendss(weak, mode):
    study, feeder, rows = weak
    row, ramp = rows[mode, AS_STUDIED]
    assert row["hour"] == 17.0  # the first step: a plain run needs no history before it
    below = plain_run(study, feeder, ramp, mode, row["kw"])
    own = {node for node, pu in below.items() if pu > VMAX and not node.startswith("sourcebus")}
    assert not own
    above = plain_run(study, feeder, ramp, mode, row["fails_at_kw"])
    worst = max(above, key=above.get)
    assert worst == f"{row['bus']}.{'ABC'.index(row['phase']) + 1}"
    assert above[worst] > VMAX
    assert above[worst] == pytest.approx(row["value"], abs=2e-5)


def test_balanced_phases_take_more_and_modes_differ(weak):
    _, _, rows = weak
    sizes = {mode: rows[mode, AS_STUDIED][0]["fails_at_kw"] for mode in MODES}
    assert max(sizes.values()) > 1.2 * min(sizes.values())
    for mode, size in sizes.items():
        assert rows[mode, BALANCED][0]["fails_at_kw"] > 1.5 * size
        assert rows[mode, AS_STUDIED][0]["kw"] < size


def test_the_rating_that_breaks_nothing_is_said_so(weak):
    study, feeder, rows = weak
    row, ramp = rows[ReverseMode.LOCKED_FORWARD, AS_STUDIED]
    few = ramp.scaled(0.5 * row["kw"] / row["rating_kw"])
    found = ramp_of(few, study.limits, {})
    assert np.isnan(found["fails_at_kw"])
    assert found["kw"] == pytest.approx(0.5 * row["kw"])
    assert found["criterion"] == ""
    assert Case.COINCIDENT_EXPORT in study.cases
    assert len(feeder.feeder.regulators) == 6
