"""A study end to end: what is written, that it repeats, and what two runs share."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from v2g_feeder.conventions import Effect
from v2g_feeder.errors import FeederError
from v2g_feeder.feeder.library import shipped
from v2g_feeder.screening import VIOLATION_COLUMNS
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

FILES = {
    "capacity_credit.csv",
    "credit_by_day.csv",
    "credit_by_size.csv",
    "events.csv",
    "ramp.csv",
    "timing.csv",
    "figures",
    "hourly.csv",
    "manifest.json",
    "opendss",
    "report.html",
    "results.nc",
    "study.yaml",
    "summary.json",
    "violations.csv",
}


def run(write_study, folder, *, workers=1, **changes):
    folder.mkdir(exist_ok=True)
    out = folder / "out"
    return run_study(load_study(write_study(folder, **changes)), out, workers=workers), out


def test_the_folder_is_complete_and_nothing_else_is_left(small_result):
    assert {path.name for path in small_result.iterdir()} == FILES


def test_tables_have_their_columns(small_result):
    table = pd.read_csv(small_result / "violations.csv")
    assert list(table) == list(VIOLATION_COLUMNS)
    assert set(table["effect"]) <= set(Effect)
    broken = table["effect"] != "cured"
    assert (table.loc[broken, "margin"] < 0).all()
    assert (table.loc[~broken, "margin"] >= 0).all()
    assert (table.loc[table["policy"] == "no_ev", "draw"] == -1).all()


def test_arrays_open_in_xarray_with_units(small_result):
    with xr.open_dataset(small_result / "results.nc", engine="h5netcdf") as data:
        assert data["v_pu"].dims == ("policy", "case", "draw", "step", "node")
        for name in ("v_pu", "loading_pct", "flow_kw", "head_kw", "tap"):
            assert data[name].attrs["units"], name
        assert list(data["policy"].values) == ["no_ev", "uncontrolled", "managed", "export"]
        voltage = data["v_pu"].sel(policy="export", case="expected")
        assert np.isfinite(voltage.values).all()
        spread = data["v_pu_range"].sel(policy="export", case="expected")
        low, high = spread.sel(statistic="min"), spread.sel(statistic="max")
        assert (low.values <= high.values + 1e-5).all()


def test_limits_applied_to_the_arrays_give_the_rows(small_result):
    table = pd.read_csv(small_result / "violations.csv", dtype={"node": str})
    over = table[
        (table["policy"] == "uncontrolled")
        & (table["case"] == "high")
        & (table["draw"] == 0)
        & (table["effect"] != "cured")
        & table["criterion"].isin(["over_voltage", "under_voltage"])
    ]
    with xr.open_dataset(small_result / "results.nc", engine="h5netcdf") as data:
        v = data["v_pu"].sel(policy="uncontrolled", case="high").isel(draw=0)
        kv = data["node_kv_class"]
        low = xr.where(kv <= 0.6, np.float32(0.95), np.float32(0.975))
        found = {
            (int(step), str(node))
            for mask in (v > np.float32(1.05), v < low)
            for step, node in zip(*(axis.tolist() for axis in np.nonzero(mask.values)), strict=True)
        }
        names = data["node"].values
        expected = {(step, str(names[node])) for step, node in ((s, int(n)) for s, n in found)}
    assert {(row.step, row.node) for row in over.itertuples()} == expected


def test_power_balances_at_every_step(small_result):
    with xr.open_dataset(small_result / "results.nc", engine="h5netcdf") as data:
        evs = data["ev_kw_export_expected"].values[0].sum(axis=0)
        head = data["head_kw"].sel(policy="export", case="expected").isel(draw=0).values
        losses = data["losses_kw"].sel(policy="export", case="expected").isel(draw=0).values
        none = data["head_kw"].sel(policy="no_ev", case="expected").isel(draw=0).values
        none_losses = data["losses_kw"].sel(policy="no_ev", case="expected").isel(draw=0).values
        tap = data["tap"].sel(case="expected").isel(draw=0)
        same = (tap.sel(policy="export") == tap.sel(policy="no_ev")).all("regulator").values
    # base loads of IEEE 123 answer to voltage, so the balance is that of the change, within 2 %
    # where no tap moved
    change = (head - losses) - (none - none_losses)
    assert same.sum() > len(same) / 4
    assert np.abs(change - evs)[same].max() < 0.02 * np.abs(evs).max()


def test_one_seed_gives_one_hash_for_one_and_two_workers(small_summary, write_study, tmp_path):
    summary, _ = run(write_study, tmp_path / "one", workers=1)
    assert summary["content_sha256"] == small_summary["content_sha256"]


def test_another_seed_gives_other_draws(small_summary, write_study, tmp_path):
    summary, _ = run(write_study, tmp_path / "other", seed=4)
    assert summary["content_sha256"] != small_summary["content_sha256"]


def test_no_vehicles_is_no_ev_to_the_bit(write_study, tmp_path):
    fleet = {"name": "none", "vehicles": 0, "export_capable": 0.5}
    _, out = run(write_study, tmp_path / "zero", fleets=[fleet], draws=1)
    with xr.open_dataset(out / "results.nc", engine="h5netcdf") as data:
        none = data["v_pu"].sel(policy="no_ev", case="expected").values
        for policy, case in (("uncontrolled", "high"), ("managed", "firm"), ("export", "expected")):
            np.testing.assert_array_equal(data["v_pu"].sel(policy=policy, case=case).values, none)


def test_an_overloaded_feeder_is_not_called_free_of_violations(write_study, tmp_path):
    master = tmp_path / "heavy.dss"
    model = (shipped("feeders") / "ieee34" / "master.dss").as_posix()
    master.write_text(f'Redirect "{model}"\nSet LoadMult=3\n')
    summary, out = run(
        write_study,
        tmp_path / "heavy",
        feeder={"model": str(master)},
        base_load={"source": "standard", "head_peak_kw": None},
        fleets=[{"name": "few", "vehicles": 3, "export_capable": 0.5}],
        draws=1,
    )
    assert summary["validity"]["invalid"] > 0
    rows = pd.read_csv(out / "violations.csv")
    bad = rows.groupby(["policy", "case", "draw", "step"]).size()
    for policy, case in {(run["policy"], run["case"]) for run in summary["study"]["runs"]}:
        draw = -1 if policy == "no_ev" or case.startswith("coincident") else 0
        for step in range(summary["study"]["steps"]):
            assert bad.get((policy, case, draw, step), 0) > 0, (policy, case, step)


def test_a_feeder_with_no_valid_step_is_an_error_that_says_where(write_study, tmp_path):
    master = tmp_path / "heavier.dss"
    model = (shipped("feeders") / "ieee34" / "master.dss").as_posix()
    master.write_text(f'Redirect "{model}"\nSet LoadMult=3\n')
    words = r"96 steps (load shed|not converged).*lowest voltage, 0\.\d+ pu, is at"
    with pytest.raises(FeederError, match=words):
        run(
            write_study,
            tmp_path / "heavier",
            feeder={"model": str(master)},
            base_load={"source": "native", "head_peak_kw": None},
        )
    assert not (tmp_path / "heavier" / "out").exists()


def test_a_model_without_ratings_reports_thermal_as_unknown(write_study, tmp_path):
    master = tmp_path / "bare.dss"
    master.write_text(
        "Clear\nNew Circuit.bare basekv=4.16 bus1=a\n"
        "New Line.l1 bus1=a bus2=b r1=0.1 x1=0.2 length=1 units=km\n"
        "New Load.x bus1=b kv=4.16 kw=300 pf=0.95\n"
        "Set VoltageBases=[4.16]\nCalcVoltageBases\n"
    )
    summary, _ = run(
        write_study,
        tmp_path / "bare",
        feeder={"model": str(master)},
        base_load={"source": "native", "head_peak_kw": None},
        fleets=[{"name": "few", "vehicles": 3, "export_capable": 0.5}],
        draws=1,
    )
    assert summary["feeder"]["elements_screened"] == 0
    assert any("thermal loading is unknown at 1 of 1" in text for text in summary["unknowns"])
    assert [finding["kind"] for finding in summary["findings"]].count("ratings_unknown") == 1


def test_the_manifest_names_every_input(small_result):
    manifest = json.loads((small_result / "manifest.json").read_text())
    names = {entry["file"].rsplit("/", 1)[-1] for entry in manifest["inputs"]}
    assert {"study.yaml", "master.dss", "lines.dss", "coordinates.csv"} <= names
    assert all(len(entry["sha256"]) == 64 for entry in manifest["inputs"])


def test_export_is_judged_against_managed_of_the_same_enrolment(small_summary):
    for row in small_summary["events"]:
        assert row["held_kw_mean"] <= row["request_kw"] + 1e-6
        # what the head loses is what the vehicles export and stop charging, give or take losses
        assert row["relief_kw_mean"] >= 0.9 * row["exported_kw_mean"]


@pytest.mark.parametrize("case", ["expected", "coincident_split"])
def test_relief_and_harm_are_counted_for_every_run(small_summary, case):
    rows = [row for row in small_summary["harm_and_relief"] if row["case"] == case]
    assert {row["criterion"] for row in rows} >= {"over_voltage", "under_voltage", "thermal"}
