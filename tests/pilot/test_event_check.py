"""The event check: records made by hand, and the model against a plain OpenDSS run."""

import numpy as np
import opendssdirect
import pandas as pd
import pytest

from v2g_feeder.errors import FeederError, InputError
from v2g_feeder.feeder.library import shipped
from v2g_feeder.pilot.event_check import EventCall, delivered, read_event, response, with_model
from v2g_feeder.pilot.event_model import modelled_response

START, END = pd.Timestamp("2025-07-01 17:00"), pd.Timestamp("2025-07-01 19:00")
CALL = EventCall(START, END, 100.0, settle_min=5.0, edge_min=15.0)
MASTER = shipped("feeders") / "ieee13" / "master.dss"


def record(drift_kw_h=0.0):
    """20 kW of charging, then 80 kW of export from minute 3 on, 60 in the last half hour."""
    times = pd.date_range("2025-07-01 16:00", "2025-07-01 20:30", freq="min")
    fleet = np.full(len(times), 20.0)
    fleet[(times >= START + pd.Timedelta("3min")) & (times < END)] = -80.0
    fleet[(times >= "2025-07-01 18:30") & (times < END)] = -60.0
    fleet[(times >= END)] = 35.0
    hours = (times - START) / pd.Timedelta("1h")
    frame = {"fleet_kw": fleet, "head_kw": 2000 + 1.02 * fleet + drift_kw_h * hours}
    return pd.DataFrame(frame | {"650.1": 1.0 - 1e-5 * fleet}, index=times)


def test_delivered_by_hand():
    found = delivered(record(), CALL)
    assert found["baseline_kw"] == 20.0
    assert found["mean_kw"] == pytest.approx((0 * 3 + 100 * 87 + 80 * 30) / 120)
    assert found["mean_share"] == pytest.approx(found["mean_kw"] / 100)
    assert found["lowest_kw"] == 80.0
    assert found["reached_s"] == 180.0
    assert found["rebound_kw"] == 15.0


@pytest.mark.parametrize("drift", [0.0, 60.0, -200.0])
def test_response_without_the_drift_of_load(drift):
    table = response(record(drift), CALL).set_index(["edge", "quantity"])["change"]
    assert table["start", "fleet_kw"] == pytest.approx(-100.0)
    assert table["start", "head_kw"] == pytest.approx(-102.0)
    assert table["start", "650.1"] == pytest.approx(1e-3)
    assert table["end", "head_kw"] == pytest.approx(1.02 * 95.0)


def test_what_was_not_recorded_is_nan():
    short = record()
    short.loc[short.index >= START, "head_kw"] = np.nan
    table = response(short, CALL).set_index(["edge", "quantity"])["change"]
    assert np.isnan(table["start", "head_kw"])
    assert table["start", "fleet_kw"] == pytest.approx(-100.0)
    early = delivered(short[short.index < START], CALL)
    assert np.isnan(early["mean_kw"])
    assert np.isnan(early["reached_s"])


def test_reading_names_what_is_broken(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text(
        "timestamp,fleet_kw,head_kw,13.1\n2025-07-01 16:00,1,x,1.0\n2025-07-01 16:00,1,2,239\n"
    )
    with pytest.raises(InputError) as caught:
        read_event(path)
    text = str(caught.value)
    assert "line 2, column 'head_kw': 'x'" in text
    assert "line 3, column '13.1': 239 is no voltage in pu" in text
    assert "line 3: 2025-07-01 16:00:00 comes twice" in text
    assert "is not above 0" in str(EventCall(START, END, 0.0, 5.0, 15.0).validate("e")[0])
    assert "shorter than" in str(EventCall(START, START, 1.0, 5.0, 15.0).validate("e")[0])


def plain_run(kw):
    """Solve IEEE 13 with a charger at 680, taps as they settle without it, by plain OpenDSS."""
    opendssdirect.Text.Command("Clear")
    opendssdirect.Text.Command(f'Redirect "{MASTER}"')
    opendssdirect.Text.Command(
        "New Load.ev bus1=680.1.2.3 phases=3 kV=4.16 kW=0 kvar=0 model=1 Vminpu=0.7 Vmaxpu=1.3"
    )
    opendssdirect.Text.Command("Set tolerance=1e-9")
    opendssdirect.Solution.MaxControlIterations(200)
    opendssdirect.Solution.Solve()
    opendssdirect.Text.Command("Set controlmode=off")
    opendssdirect.Text.Command(f"Edit Load.ev kW={kw}")
    opendssdirect.Solution.Solve()
    names = [name.lower() for name in opendssdirect.Circuit.YNodeOrder()]
    volts = np.array(opendssdirect.Circuit.YNodeVArray()).reshape(-1, 2)
    return -opendssdirect.Circuit.TotalPower()[0], dict(zip(names, np.hypot(*volts.T), strict=True))


def test_model_agrees_with_plain_opendss():
    head, before = plain_run(0.0)
    moved, after = plain_run(-300.0)
    table = modelled_response(MASTER, {"680.1.2.3": 2.0}, head, 0.0, -300.0)["taps_held"]
    assert table["head_kw"] == pytest.approx(moved - head, rel=1e-3)
    for node in ("680.1", "680.2", "680.3", "671.1"):
        expected = (after[node] - before[node]) / (4160 / np.sqrt(3))
        assert table[node] == pytest.approx(expected, rel=5e-3)
    assert table["680.1"] > 0


def test_loads_are_scaled_to_the_measured_head():
    light = modelled_response(MASTER, {"680.1.2.3": 1.0}, 1000.0, 0.0, -300.0)["taps_held"]
    heavy = modelled_response(MASTER, {"680.1.2.3": 1.0}, 3500.0, 0.0, -300.0)["taps_held"]
    assert heavy["head_kw"] < light["head_kw"] < -295  # more is saved in losses under load
    with pytest.raises(FeederError, match="no scale of its loads"):
        modelled_response(MASTER, {"680.1.2.3": 1.0}, -5000.0, 0.0, -300.0)


def test_points_that_are_not_there():
    with pytest.raises(InputError) as caught:
        modelled_response(MASTER, {"6800.1": 1.0, "611.1": 1.0}, 3000.0, 0.0, -1.0)
    assert "did you mean '680'" in str(caught.value)
    assert "bus '611' has no node 1" in str(caught.value)
    delta = shipped("feeders") / "ieee37" / "master.dss"
    with pytest.raises(InputError, match="three wires"):
        modelled_response(delta, {"701.1": 1.0}, 2000.0, 0.0, -1.0)


def test_measured_beside_modelled():
    measured = response(record(), CALL)
    table = pd.DataFrame({"taps_held": [-101.0], "taps_free": [-101.5]}, index=["head_kw"])
    found = with_model(measured, {"start": table}).set_index(["edge", "quantity"])
    assert found.loc[("start", "head_kw"), "taps_held"] == -101.0
    assert np.isnan(found.loc[("end", "head_kw"), "taps_held"])
    assert with_model(measured, {})["taps_free"].isna().all()
