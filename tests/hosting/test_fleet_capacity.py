"""Fleet capacity: intervals, nested placements, and a curve whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from matplotlib.figure import Figure
from scipy.stats import binom, multivariate_hypergeom

from v2g_feeder.cli.main import main
from v2g_feeder.conventions import ANY, WHOLE_DAY, Status
from v2g_feeder.errors import InputError
from v2g_feeder.hosting import (
    FleetCapacity,
    clopper_pearson,
    nested_counts,
    sizes_at,
    violation_curve,
)
from v2g_feeder.hosting.fleet import draws_needed
from v2g_feeder.report.fleet_capacity import draw_violation_curve, fleet_capacity_figure
from v2g_feeder.study.config import load_study
from v2g_feeder.study.feeder_stage import prepare_feeder
from v2g_feeder.study.hosting_fleet import FleetDraws, fleet_capacity

from .cases import BASES, KV, line, source, write

ON_A_PHASE, CHARGER_KW, MOST = 20, 10.0, 6
AMPS = 1.05 * MOST * CHARGER_KW / (KV / np.sqrt(3.0))  # carries six chargers a phase, not seven
SIZES = (6, 9, 12, 15, 20)


def truth(size: int) -> float:
    """The probability that more than MOST of ``size`` customers drawn at random share a phase."""
    kept = 0.0
    for a in range(MOST + 1):
        for b in range(MOST + 1):
            if 0 <= size - a - b <= MOST:
                kept += multivariate_hypergeom.pmf([a, b, size - a - b], [ON_A_PHASE] * 3, size)
    return 1.0 - kept


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A source, a short line and a bus with twenty customers a phase, next to no load."""
    place = tmp_path_factory.mktemp("fleet")
    loads = "".join(
        f"New Load.{name} bus1=b.{number} phases=1 kv={KV / np.sqrt(3.0):.6f} kw=100 pf=1\n"
        for number, name in enumerate("abc", 1)
    )
    short = line("l", "src", "b", 0.05, extra=f"normamps={AMPS:.4f} emergamps={2 * AMPS:.4f}")
    write(place, source() + short + loads + BASES)
    return place


def study(folder, thermal_pct=100.0, **fleet):
    """Write the study beside its model; ``fleet`` is its section of that name."""
    content = {
        "name": "truth",
        "feeder": {"model": "master.dss"},
        "base_load": {"source": "standard", "head_peak_kw": 3.0},
        "calendar": {"seasons": {"summer": [7]}, "day_types": ["weekday"]},
        "fleets": [
            {"name": "homes", "vehicles": 10, "export_capable": 0.5, "charger_kw": CHARGER_KW}
        ],
        "screening": {"thermal_pct": thermal_pct},
        "dispatch": {"export": {"window": "17:00-21:00", "request_kw": 50}},
        "hosting": {
            "buses": ["b"],
            "check_pairs": 0,
            "fleet": {"cases": ["coincident_charge"], "sizes": list(SIZES)} | fleet,
        },
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return load_study(path)


@pytest.fixture(scope="module")
def feeder(folder):
    found = prepare_feeder(study(folder))
    assert list(found.customers["connection"].value_counts()) == [ON_A_PHASE] * 3
    return found


def answer(folder, feeder, tmp_path, **fleet):
    asked = study(folder, **fleet)
    settings = asked.content.hosting.fleet.settings()
    work = tmp_path / f"work{len(list(tmp_path.glob('work*')))}"  # none goes on with another
    return fleet_capacity(asked, feeder, settings, work, workers=1, tell=lambda *_: None)


def test_the_interval_is_clopper_and_pearsons():
    low, high = clopper_pearson([0, 20, 3], [20, 20, 20], 0.9)
    assert high[0] == pytest.approx(1 - 0.05 ** (1 / 20))  # 0 of 20 draws still allows 14 %
    assert high[0] == pytest.approx(0.139, abs=5e-4)
    assert low[0] == 0
    assert high[1] == 1
    assert low[1] == pytest.approx(0.05 ** (1 / 20))
    assert binom.sf(2, 20, low[2]) == pytest.approx(0.05)  # the definition, either side
    assert binom.cdf(3, 20, high[2]) == pytest.approx(0.05)
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert draws_needed(0.05, 0.9) == 59
    assert clopper_pearson(0, 59)[1] <= 0.05 < clopper_pearson(0, 58)[1]


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(5)
    for truth_ in (0.03, 0.3, 0.5, 0.9):
        count = rng.binomial(20, truth_, 4000)
        low, high = clopper_pearson(count, 20, 0.9)
        assert ((low <= truth_) & (truth_ <= high)).mean() >= 0.89


def test_the_mix_of_fleets_is_kept_and_none_shrinks():
    before = [0, 0, 0]
    for size in range(200):
        counts = nested_counts(size, [30, 0, 10])
        assert sum(counts) == size
        assert all(now >= was for now, was in zip(counts, before, strict=True))
        assert abs(counts[0] - 0.75 * size) <= 1
        before = counts
    assert before[1] == 0


def test_placements_are_nested_and_differ_by_draw(folder, feeder):
    asked = study(folder, draws=6, cases=["expected"])
    draws = FleetDraws(asked, feeder, asked.content.hosting.fleet.settings())
    chosen = set()
    for draw in range(6):
        whole, at = draws.at(SIZES[-1], draw)
        for size in SIZES[:-1]:
            some, of = draws.at(size, draw)
            assert len(some) == size
            np.testing.assert_array_equal(of, at[:size])
            np.testing.assert_array_equal(some.battery_kwh, whole.battery_kwh[:size])
            np.testing.assert_array_equal(some.bidirectional, whole.bidirectional[:size])
        chosen.add(tuple(at))
    assert len(chosen) == 6
    kw = draws.power(SIZES[0], 3)["uncontrolled", "expected"]
    assert kw.shape == (len(draws.points), 24)
    assert kw.min() >= 0 < kw.max()


def covers(count: int, draws: int, probability: float) -> bool:
    """Whether an interval that fails once in a thousand covers a probability."""
    low, high = clopper_pearson(count, draws, 0.999)
    return low - 1e-12 <= probability <= high + 1e-12


def test_many_placements_come_out_as_often_as_they_should(folder, feeder):
    asked = study(folder, draws=500)
    draws = FleetDraws(asked, feeder, asked.content.hosting.fleet.settings())
    for size in SIZES:
        full = sum(np.bincount(draws.at(size, one)[1]).max() > MOST for one in range(500))
        assert covers(full, 500, truth(size))


def test_the_curve_covers_the_truth_and_its_interval_shrinks(folder, feeder, tmp_path):
    width = {}
    for draws in (10, 60):
        tables, summary = answer(folder, feeder, tmp_path, draws=draws)
        curve = tables["hosting_fleet"]
        mine = curve[(curve["season"] == ANY) & (curve["hour"] == WHOLE_DAY)]
        mine = mine[mine["criterion"] == "thermal"].set_index("size")
        assert list(mine.index) == list(SIZES)
        assert (mine["draws"] == draws).all()
        assert (mine["unknown"] == 0).all()
        assert mine["violating"].is_monotonic_increasing  # nested, and all charge at once
        asked = study(folder, draws=draws)
        placed = FleetDraws(asked, feeder, asked.content.hosting.fleet.settings())
        for size in SIZES:
            full = sum(np.bincount(placed.at(size, one)[1]).max() > MOST for one in range(draws))
            assert mine.loc[size, "violating"] == full
            assert covers(mine.loc[size, "violating"], draws, truth(size))
        width[draws] = float((mine["high"] - mine["low"]).mean())
    assert width[60] < 0.6 * width[10]
    assert truth(6) == pytest.approx(0)
    assert mine.loc[6, "violating"] == 0
    assert truth(20) == pytest.approx(1)
    assert mine.loc[20, "violating"] == 60
    sizes = tables["hosting_fleet_sizes"]
    row = sizes[(sizes["criterion"] == ANY) & (sizes["season"] == ANY) & (sizes["hour"] == -1)]
    for threshold, found in zip((0.05, 0.5), row.itertuples(), strict=True):
        size = next(n for n in range(1, 21) if truth(n) > threshold)
        assert found.low < size <= found.high
        assert found.status == Status.LIMITED
    assert summary["draws_needed"] == {"0.05": 59, "0.5": 5}


def test_the_same_seed_gives_the_same_curve_for_every_policy(folder, feeder, tmp_path):
    asked = {
        "cases": ["expected", "coincident_export"],
        "draws": 3,
        "sizes": [5, 25],
        "thermal_pct": 20.0,
    }
    one, two = (answer(folder, feeder, tmp_path, **asked)[0]["hosting_fleet"] for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    runs = set(zip(one["policy"], one["case"], strict=True))
    assert runs == {
        *((policy, "expected") for policy in ("uncontrolled", "managed", "export")),
        ("export", "coincident_export"),
    }
    by_hour = one[(one["criterion"] == "thermal") & (one["hour"] >= 0) & (one["season"] == ANY)]
    assert set(by_hour["hour"]) == set(range(24))
    uncontrolled = by_hour[(by_hour["policy"] == "uncontrolled") & (by_hour["size"] == 25)]
    assert uncontrolled["violating"].sum() > 0
    busiest = uncontrolled.loc[uncontrolled["violating"].idxmax(), "hour"]
    assert 16 <= busiest <= 23  # homes plug in in the evening


def curve_of(points, draws=20, unknown=0):
    """A curve of one key from (size, violating)."""
    table = pd.DataFrame(points, columns=["size", "violating"])
    low, high = (
        clopper_pearson(table["violating"], draws)[0],
        clopper_pearson(table["violating"] + unknown, draws)[1],
    )
    return table.assign(
        policy="export", case="firm", criterion=ANY, season=ANY, hour=-1, draws=draws,
        unknown=unknown, probability=table["violating"] / (draws - unknown), low=low, high=high,
    )  # fmt: skip


def test_sizes_at_thresholds():
    found = sizes_at(curve_of([(10, 0), (20, 3), (40, 2), (80, 15)])).set_index("threshold")
    assert found.loc[0.05, ["size", "passes_at"]].tolist() == [10, 20]
    assert found.loc[0.05, ["low", "high"]].tolist() == [0, 80]  # 0 of 20 allows 14 %
    assert found.loc[0.5, ["size", "passes_at", "low", "high"]].tolist() == [40, 80, 40, 80]
    dent = sizes_at(curve_of([(10, 2), (20, 0), (40, 0)])).set_index("threshold")
    assert dent.loc[0.05, "status"] == Status.CENSORED  # isotonic: 2 of 60 draws, 3 %
    many = sizes_at(curve_of([(10, 0), (20, 0)], draws=100)).set_index("threshold")
    assert many.loc[0.05, "low"] == 20
    assert np.isnan(many.loc[0.05, "high"])
    assert many.loc[0.05, "status"] == Status.CENSORED
    lost = sizes_at(curve_of([(10, 0)], unknown=20)).iloc[0]
    assert lost["status"] == Status.UNKNOWN
    assert np.isnan(lost["size"])


def test_a_draw_without_a_solution_is_neither_pass_nor_violation():
    axis = pd.DataFrame({"season": ["summer", "summer"], "hour": [0, 1]})
    broken = np.array([[True, False], [False, False], [False, False], [False, False]])
    unknown = np.array([[False, True], [True, False], [False, False], [False, False]])
    table = violation_curve({"thermal": broken}, unknown, axis).set_index(
        ["criterion", "season", "hour"]
    )
    day = table.loc[(ANY, ANY, WHOLE_DAY)]
    assert (day["violating"], day["unknown"]) == (1, 1)
    assert day["probability"] == pytest.approx(1 / 3)
    assert day["low"] == clopper_pearson(1, 4)[0]
    assert day["high"] == clopper_pearson(2, 4)[1]
    assert table.loc[("thermal", "summer", 1), "violating"] == 0


def test_the_command_prints_and_writes_the_answer(folder, tmp_path):
    path = study(folder, draws=4, sizes=[6, 24]).path
    out = tmp_path / "out"
    command = ["hosting", str(path), "--out", str(out), "--workers", "1", "--quiet"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "too few draws for 5%" in result.output
    assert "0 to 24" in result.output
    assert "0 to ?" in result.output
    summary = json.loads((out / "summary.json").read_text("utf-8"))["fleet_capacity"][0]
    assert summary["solved_sizes"] == [6, 24]
    headline = [row for row in summary["sizes"] if row["criterion"] == row["season"] == ANY]
    assert {(row["threshold"], row["size"], row["passes_at"]) for row in headline} == {
        (0.05, 6, 24),
        (0.5, 6, 24),
    }
    assert all(row["breaks_first"] == ["thermal"] for row in headline)
    assert {"hosting_fleet.csv", "hosting_fleet_sizes.csv"} <= {one.name for one in out.iterdir()}
    assert "share of draws" in (out / "figures" / "fleet_capacity.svg").read_text("utf-8")
    curve = pd.read_csv(out / "hosting_fleet.csv")
    ax = Figure().subplots()
    assert draw_violation_curve(ax, curve, [0.05]) is ax
    assert len(fleet_capacity_figure(curve).axes) == 1


@pytest.mark.parametrize(
    ("fleet", "words"),
    [
        ({"sizes": [5, 5]}, "above the one before"),
        ({"cases": ["coincident_split"]}, "operating envelope"),
        ({"confidence": 1.5}, "confidence"),
        ({"request": "some"}, "request"),
        ({"draw": 3}, "draws"),
    ],
)
def test_settings_that_cannot_be_are_named(folder, fleet, words):
    with pytest.raises(InputError, match=words):
        study(folder, **fleet)


def test_fleets_that_cannot_be_added_are_named(folder, feeder):
    for fleet, words in (
        ({"cases": ["expected", "firmly"]}, "did you mean 'firm'|unknown case 'firmly'"),
        ({"sizes": [5000]}, "only 60 customers"),
    ):
        asked = study(folder, **fleet)
        with pytest.raises(InputError, match=words):
            FleetDraws(asked, feeder, asked.content.hosting.fleet.settings())


def test_the_default_sizes_follow_the_study_as_far_as_there_are_customers():
    assert FleetCapacity().grid([40], [100]) == (10, 20, 40, 60, 80)
    assert FleetCapacity().grid([40], [None]) == (10, 20, 40, 60, 80, 120)
    assert FleetCapacity(sizes=(7, 9)).grid([40], [8]) == (7, 9)
