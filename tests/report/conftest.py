"""A small made-up result folder: two seasons, two days, four buses, every figure known."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from v2g_feeder.report.words import LEDGER
from v2g_feeder.screening import HOURLY_COLUMNS, VIOLATION_COLUMNS
from v2g_feeder.store import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUNS = [
    ("no_ev", "expected"),
    ("uncontrolled", "expected"),
    ("managed", "expected"),
    ("export", "expected"),
    ("export", "high"),
    ("export", "coincident_export"),
]
SEASONS, KINDS = ("winter", "summer"), ("weekday", "weekend")
STEPS = 96
PEAK = {
    "no_ev": 1000.0,
    "uncontrolled": 1300.0,
    "managed": 1100.0,
    "export": 1060.0,
}


def weigh(policy: str, case: str, criterion: str, outcome: str, hours: float) -> dict[str, Any]:
    low, high = (hours / 2, hours * 2) if hours else (0.0, 0.0)
    return {
        "policy": policy, "case": case, "criterion": criterion, "outcome": outcome, "draws": 4,
        "hours_mean": hours, "hours_min": low, "hours_max": high,
        "place_hours_mean": 3 * hours, "place_hours_min": low, "place_hours_max": high,
        "peak_mean": 0.01, "peak_min": 0.0, "peak_max": 0.02, "unit": "pu",
    }  # fmt: skip


def event(case: str, season: str, held: float, firm: float, relief: float) -> dict[str, Any]:
    return {
        "case": case, "season": season, "event_days": 8, "request_kw": 200.0,
        "exported_kw_mean": held + 10, "held_kw_mean": held, "held_kw_in_95pct_of_days": firm,
        "relief_kw_mean": relief, "relief_kw_min": relief - 5, "relief_kw_max": relief + 5,
        "rebound_kw_mean": 12.0, "rebound_kw_max": 20.0,
    }  # fmt: skip


def made_summary() -> dict[str, Any]:
    head = [
        {
            "policy": policy, "case": case, "peak_kw_mean": PEAK[policy],
            "peak_kw_min": PEAK[policy] - 10, "peak_kw_max": PEAK[policy] + 10,
            "peak_at": "winter peak_day 18:00",
            "lowest_kw": -250.0 if case == "coincident_export" else 300.0,
        }
        for policy, case in RUNS
    ]  # fmt: skip
    ledger = dict.fromkeys(LEDGER, 0.0) | {"not_bidirectional": 600.0, "away": 340.0}
    return {
        "schema_version": SCHEMA_VERSION,
        "name": "made-up",
        "question": "What does it break?",
        "feeder": {
            "model": "made.dss", "circuit": "made", "buses": 4, "nodes": 12, "loads": 3,
            "load_kw": 900.0, "customers": 3, "secondaries": False, "regulators": 0,
            "capacitors": 0, "voltages_screened": 12, "three_wire_buses": 0,
            "elements_screened": 3, "elements": 3,
        },
        "study": {
            "runs": [{"policy": policy, "case": case} for policy, case in RUNS],
            "draws": 4, "seed": 1, "days": ["winter_weekday"], "step_minutes": 60,
            "steps": STEPS, "vehicles": 100, "nameplate_kw": 1000.0,
            "export_capable_kw": 400.0, "points": 100,
            "export": {
                "window": "17:00-21:00", "request_kw": 200.0, "seasons": ["winter", "summer"],
                "days": "all",
            },
            "limits": "ansi_c84_1_a",
        },
        "conditions": [{"condition": "regulators", "value": "none in the model"}],
        "head": head,
        "events": [
            event("expected", "winter", 50.0, 21.0, 40.0),
            event("expected", "summer", 60.0, 0.0, 44.0),
            event("high", "winter", 90.0, 70.0, 80.0),
        ],
        "harm_and_relief": [
            weigh("managed", "expected", "thermal", "relief", 6.0),
            weigh("managed", "expected", "thermal", "harm", 0.0),
            weigh("export", "expected", "over_voltage", "harm", 3.0),
            weigh("export", "expected", "thermal", "relief", 2.0),
            weigh("export", "high", "over_voltage", "harm", 9.0),
            weigh("export", "coincident_export", "over_voltage", "harm", 48.0)
            | {"draws": 1},
        ],
        "harm_and_relief_no_ev": [],
        "reverse_flow": [
            {
                "element": "Line.l2", "kind": "switch", "bus": "b1", "phase": "ABC",
                "reverse_kw": 33.0, "reverse_hours": 4.0, "first_step": 41,
                "policy": "export", "case": "high",
            }
        ],
        "ledger": [
            {"policy": "export", "case": "expected", "window": "event"}
            | ledger | {"exported": 60.0},
        ],
        "funnel": [
            {
                "fleet": "homes", "vehicles": 100, "bidirectional": 40, "permitted": 40,
                "enrolled_to_export": 20, "outside": 50, "grid_managed": 30, "v2g": 20,
                "nameplate_kw": 1000.0, "v2g_kw": 200.0, "case": "expected",
            }
        ],
        "shortfall": [],
        "validity": {
            "steps": 2000, "invalid": 0, "flagged": 0,
            "by_run": [{"policy": "export", "case": "high", "reason": "valid", "steps": 384}],
            "lost_units": [], "base_invalid_steps": 0, "head_check": None, "draws": 4,
        },
        "unknowns": ["protection is not screened"],
        "findings": [],
        "notes": [],
        "assumptions": [
            {
                "group": "fleet", "name": "reserve_soc", "value": [0.3, 0.4], "unit": "1",
                "mark": "A", "source": "no public distribution",
            }
        ],
        "content_sha256": "0" * 64,
        "package": {},
    }  # fmt: skip


def made_steps() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"season": season, "month": 1, "day_type": kind, "hour": hour, "minute": 0}
            for season in SEASONS
            for kind in KINDS
            for hour in range(24)
        ]
    )


def violation(**given: Any) -> dict[str, Any]:
    row = {
        "policy": "export", "case": "expected", "draw": 0, "step": 17, "season": "winter",
        "month": 1, "day_type": "weekday", "hour": 17, "minute": 0, "criterion": "over_voltage",
        "element": "", "bus": "b2", "node": "b2.1", "phase": "A", "value": 1.06, "limit": 1.05,
        "margin": -0.01, "unit": "pu", "reference_value": 1.04, "effect": "new",
    }  # fmt: skip
    return row | given


def made_violations() -> pd.DataFrame:
    rows = [
        violation(),
        violation(draw=1, value=1.055, margin=-0.005),
        violation(node="b2.2", phase="B", value=1.051, margin=-0.001),
        violation(bus="b3", node="b3.1", value=1.0500004, margin=-4e-7, effect="same"),
        violation(bus="b1", node="b1.1", effect="cured", margin=0.0),
        violation(
            criterion="thermal", element="Line.l2", bus="b1", node="", phase="ABC", value=130.0,
            limit=100.0, margin=-30.0, unit="%", reference_value=140.0, effect="improved",
        ),
        violation(
            case="high", criterion="invalid", element="not_converged", bus="", node="", phase="",
            value=None, limit=None, margin=None, unit="", reference_value=None, effect="none",
        ),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(VIOLATION_COLUMNS))


def made_hourly() -> pd.DataFrame:
    keys = {"season": "winter", "month": 1, "day_type": "weekday", "minute": 0}
    row = keys | {
        "policy": "export", "case": "expected", "step": 17, "hour": 17,
        "criterion": "over_voltage", "count": 6, "draws_with": 2, "worst_value": 1.06,
        "limit": 1.05, "worst_element": "b2.1",
    }  # fmt: skip
    late = row | {"hour": 18, "step": 18, "count": 1}
    return pd.DataFrame([row, late], columns=list(HOURLY_COLUMNS))


def made_arrays(*, coordinates: bool = True) -> xr.Dataset:
    steps = made_steps()
    policies = list(dict.fromkeys(policy for policy, _ in RUNS))
    cases = list(dict.fromkeys(case for _, case in RUNS))
    by_run = (len(policies), len(cases))
    head = np.full((*by_run, 1, STEPS), np.nan, np.float32)
    spread = np.full((4, *by_run, STEPS, 1), np.nan, np.float32)
    for policy, case in RUNS:
        at = policies.index(policy), cases.index(case)
        head[at] = PEAK[policy]
        if policy != "no_ev":
            spread[(slice(None), *at)] = np.array([-9, -5, 5, 9])[:, None, None] + PEAK[policy]
    nan = np.nan
    volts = np.full((*by_run, 1, STEPS, 3), 1.0, np.float32)
    volts[..., 17, :] = [1.02, 1.06, 1.07]
    volts[..., 50, 0] = nan  # a step that is not valid
    loading = np.full((*by_run, 1, STEPS, 3), [20.0, 60.0, nan], np.float32)
    loading[..., 17, :] = [40.0, 129.2, nan]
    data: dict[str, Any] = {
        **{name: ("step", steps[name].to_numpy()) for name in steps},
        "head_kw": (("policy", "case", "draw", "step"), head),
        "flow_kw_range": (("statistic", "policy", "case", "step", "flow"), spread),
        "v_pu": (("policy", "case", "draw", "step", "node"), volts),
        "loading_pct": (("policy", "case", "draw", "step", "element"), loading),
        "v_pu_range": (("statistic", "policy", "case", "step", "node"),
                       np.stack([volts[:, :, 0] - 0.002, *[volts[:, :, 0]] * 3])),
        "loading_pct_range": (("statistic", "policy", "case", "step", "element"),
                              np.stack([loading[:, :, 0]] * 4)),
        "bus_parent": ("bus", ["", "b0", "b1", "b2"]),
        "bus_x": ("bus", [0.0, 1.0, 2.0, nan] if coordinates else [nan] * 4),
        "bus_y": ("bus", [0.0, 0.0, 1.0, nan] if coordinates else [nan] * 4),
        "node_bus": ("node", ["b1", "b2", "b3"]),
        "node_phase": ("node", ["A", "A", "A"]),
        "node_kv_class": ("node", [4.16, 4.16, 0.24]),
        "bus_km": ("bus", [0.0, 1.0, 2.0, 3.0]),
        "weight_days": ("step", np.repeat([60.0, 30.0, 60.0, 30.0], 24)),
        "element_bus1": ("element", ["b0", "b1", "b2"]),
        "element_bus2": ("element", ["b1", "b2", "b3"]),
        "v_min_of_all": (("policy", "case", "node"), np.full((*by_run, 3), 0.99)),
        "v_max_of_all": (("policy", "case", "node"), np.full((*by_run, 3), 1.0)
                         + np.array([0.02, 0.06, 0.07])),
        "loading_max_of_all": (("policy", "case", "element"), np.full((*by_run, 3), 1.0)
                               * np.array([40.0, 130.0, nan])),
    }  # fmt: skip
    draws = np.arange(4.0)[:, None, None]
    for policy, case in RUNS:
        if policy != "no_ev":
            data[f"ev_kw_{policy}_{case}"] = (
                ("draw_all", "point", "step"),
                np.broadcast_to(draws, (4, 2, STEPS)).astype(np.float32),
            )
    book = np.zeros((4, len(LEDGER), STEPS), np.float32)
    book[:, 0], book[:, -1] = 600, 400
    data["ledger_kw_export_expected"] = (("draw_all", "ledger_row", "step"), book)
    return xr.Dataset(
        data,
        coords={
            "policy": policies, "case": cases, "statistic": ["min", "p05", "p95", "max"],
            "flow": ["head"], "bus": ["b0", "b1", "b2", "b3"], "node": ["b1.1", "b2.1", "b3.1"],
            "element": ["Line.l1", "Line.l2", "Line.l3"], "ledger_row": list(LEDGER),
        },
    )  # fmt: skip


MANIFEST = {
    "v2g_feeder": "0", "engine": "e", "python": "3", "platform": "p", "packages": {"numpy": "2"},
    "seed": 1, "workers": 1, "command": "v2g-feeder study x.yaml",
    "utc": "2026-01-01T00:00:00+00:00",
    "inputs": [{"file": "x.yaml", "sha256": "ab", "bytes": 3}],
}  # fmt: skip


@pytest.fixture
def summary() -> dict[str, Any]:
    """A summary whose every figure is known; tests change it as they like."""
    return made_summary()


@pytest.fixture
def violations() -> pd.DataFrame:
    return made_violations()


@pytest.fixture
def hourly() -> pd.DataFrame:
    return made_hourly()


@pytest.fixture
def steps() -> pd.DataFrame:
    return made_steps()


@pytest.fixture
def write_result(tmp_path: Path) -> Callable[..., Path]:
    """Write a result folder, with parts replaced."""

    def write(
        summary: dict[str, Any] | None = None,
        *,
        violations: pd.DataFrame | None = None,
        hourly: pd.DataFrame | None = None,
        arrays: xr.Dataset | None = None,
    ) -> Path:
        text = json.dumps(summary or made_summary())
        (tmp_path / "summary.json").write_text(text, encoding="utf-8")
        (tmp_path / "manifest.json").write_text(json.dumps(copy.deepcopy(MANIFEST)))
        rows = made_violations() if violations is None else violations
        rows.to_csv(tmp_path / "violations.csv", index=False)
        counts = made_hourly() if hourly is None else hourly
        counts.to_csv(tmp_path / "hourly.csv", index=False)
        (arrays or made_arrays()).to_netcdf(tmp_path / "results.nc", engine="h5netcdf")
        return tmp_path

    return write


@pytest.fixture
def without_coordinates() -> xr.Dataset:
    return made_arrays(coordinates=False)


@pytest.fixture
def arrays() -> xr.Dataset:
    return made_arrays()
