import numpy as np
import pandas as pd
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import shipped
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.stated import emergency_ratio, tap_step

LINES = {
    "LineCode": [{"Name": "with", "EmergAmps": 500.0}, {"Name": "without"}],
    "WireData": [{"Name": "w", "EmergAmps": 360.0}],
    "Line": [
        {"Name": "by_code", "LineCode": "with", "EmergAmps": 500.0},
        {"Name": "default", "LineCode": "without", "EmergAmps": 600.0},
        {"Name": "own", "LineCode": "without", "EmergAmps": 450.0},
        {"Name": "alone", "EmergAmps": 600.0},
        {"Name": "nothing"},
        {"Name": "by_wire", "Conductors": ["WireData.w"]},
    ],
    "XfmrCode": [{"Name": "x", "EmergHkVA": 150.0}],
    "Transformer": [{"Name": "t", "XfmrCode": "x"}, {"Name": "bare", "kVA": [100.0, 100.0]}],
}


def test_emergency_ratings_count_only_where_they_are_stated():
    names = [f"Line.{row['Name']}" for row in LINES["Line"]] + ["Transformer.t", "Transformer.bare"]
    table = pd.DataFrame({"element": names, "rating_a": 300.0, "rating_kva": 100.0})
    ratio = emergency_ratio(LINES, table)
    assert ratio == pytest.approx([5 / 3, np.nan, 1.5, 2, np.nan, 1.2, 1.5, np.nan], nan_ok=True)


def test_steps_of_a_tap():
    control = {"Transformer": "reg", "TapWinding": 2}
    unit = {"Name": "reg", "NumTaps": [1, 16], "MinTap": [1, 0.95], "MaxTap": [1, 1.05]}
    assert tap_step({"Transformer": [unit]}, control) == pytest.approx(0.00625)
    assert tap_step({"Transformer": [{"Name": "reg"}]}, control) == pytest.approx(0.00625)


def test_on_a_shipped_feeder():
    engine = shared_engine()
    master = shipped("feeders") / "ieee13" / "master.dss"
    engine.load(master)
    feeder = read_feeder(engine, master)
    assert feeder.elements["emergency_ratio"].isna().all()
    assert feeder.regulators["ptratio"].tolist() == [20, 20, 20]
    assert feeder.regulators["tap_step"].tolist() == pytest.approx([0.00625] * 3)
