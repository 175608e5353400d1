"""Base load from measurements: the modelled head follows the measured one before any result."""

import numpy as np
import pandas as pd
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.study.config import load_study
from v2g_feeder.study.feeder_stage import prepare_feeder
from v2g_feeder.workers import run_alone


def scada(path):
    """Write a year of hourly head kW and kvar with daily and yearly swings and one highest hour."""
    time = pd.date_range("2023-01-01", periods=8760, freq="h")
    hour, day = time.hour.to_numpy(), time.day_of_year.to_numpy()
    kw = 2200 + 500 * np.sin((hour - 12) / 24 * 2 * np.pi) + 200 * np.cos(day / 365 * 2 * np.pi)
    kw[(day == 200) & (hour == 18)] += 400
    table = pd.DataFrame({"timestamp": time, "kw": kw.round(2), "kvar": (0.4 * kw).round(2)})
    table.to_csv(path, index=False)
    return table.set_index("timestamp")


def test_the_modelled_head_follows_scada(tmp_path, write_study):
    measured = scada(tmp_path / "head.csv")
    path = write_study(
        tmp_path,
        feeder={"model": "ieee13"},
        base_load={"source": "csv", "file": "head.csv", "head_peak_kw": None},
        fleets=[{"name": "few", "vehicles": 2, "export_capable": 0.5}],
        draws=1,
    )
    stage = run_alone(prepare_feeder, load_study(path), deadline_s=120)
    check = stage.head_check
    assert np.abs(check["modelled_kw"] - check["measured_kw"]).max() < 2.0
    assert np.abs(check["modelled_kvar"] - check["measured_kvar"]).max() < 20.0
    summer = measured[measured.index.month.isin([6, 7, 8])]
    weekday = summer[summer.index.day_of_week < 5].groupby(lambda stamp: stamp.hour)["kw"].mean()
    np.testing.assert_allclose(check["measured_kw"][48:72], weekday, atol=0.5)
    assert check["measured_kw"][72:].max() == summer["kw"].max()
    assert {entry.name for entry in stage.files} >= {"head.csv", "master.dss"}

    shown = CliRunner().invoke(main, ["check", str(path)])
    assert "feeder head, kw: modelled" in shown.output


def test_a_bad_measurement_is_named_with_file_and_line(tmp_path, write_study):
    (tmp_path / "head.csv").write_text('timestamp,kw\n2023-01-01 00:00,"1,5"\n')
    path = write_study(
        tmp_path,
        feeder={"model": "ieee13"},
        base_load={"source": "csv", "file": "head.csv", "head_peak_kw": None},
    )
    shown = CliRunner().invoke(main, ["check", str(path)])
    assert shown.exit_code == 3
    assert "head.csv" in shown.output
    assert "1,5" in shown.output
