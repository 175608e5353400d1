"""Operating envelopes: against the closed form, against OpenDSS, and their statuses."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from matplotlib.figure import Figure
from scipy.optimize import brentq

from v2g_feeder.calendar import season_calendar
from v2g_feeder.cli.main import main
from v2g_feeder.conventions import Criterion, Effect, Status
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.base_load import BaseLoad
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.hosting import ENVELOPE_COLUMNS, Conditions, Envelope, EnvelopeSearch
from v2g_feeder.hosting.base import FeederInConditions
from v2g_feeder.hosting.bounds import Bounds
from v2g_feeder.hosting.envelope import INNER, Vertices, vertices
from v2g_feeder.hosting.envelope_table import envelope_table
from v2g_feeder.loadshape import connection_points, no_points
from v2g_feeder.powerflow.opendss import Circuit, Runner
from v2g_feeder.report.envelope import draw_envelope, envelope_figure
from v2g_feeder.screening import Screen
from v2g_feeder.study.config import load_study

from .cases import BASES, KV, MUTUAL, SELF, VOLTS, limits, line, source, write

if TYPE_CHECKING:
    from v2g_feeder.hosting.envelope import EnvelopeFound

STEPS = 24
AMPS = 100.0
FINE = Envelope(tolerance_share=0.001, inner_points=200)


@dataclass(frozen=True)
class Sought:
    """An envelope and what it was made from."""

    search: EnvelopeSearch
    found: EnvelopeFound
    table: pd.DataFrame
    circuit: Circuit
    runner: Runner


def seek(
    master, sites, rating, limit, settings=FINE, *, conditions=None, steps=STEPS, unrated=()
) -> Sought:
    """Seek the envelopes of a day of constant load; sites are (bus, connection)."""
    conditions = conditions or Conditions()
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    shape = np.ones((1, steps))
    names = list(feeder.loads["name"]) if len(feeder.loads) else []
    base = BaseLoad("native", shape, shape, dict.fromkeys(names, 0), (), season_claim=False)
    circuit = Circuit(master, conditions.commands(feeder), base, no_points(), 1.0, steps)
    runner = Runner(engine, circuit, limit.reverse_flow_kw)
    grid = FeederInConditions(runner, conditions)
    points = connection_points(runner.feeder, sites)
    rating = np.broadcast_to(np.asarray(rating, float), (len(points), 2))
    search = EnvelopeSearch(grid, points, rating, limit, settings, seed=3)
    found = search.day(0)
    table = envelope_table(
        found,
        points,
        rating,
        search.parts(""),
        search.vertices.names,
        season_calendar().table().iloc[:steps],
        frozenset(unrated),
    )
    return Sought(search, found, table, circuit, runner)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    text = source() + line("l", "src", "b", 2.0, extra=f"normamps={AMPS:g}") + BASES
    return write(tmp_path_factory.mktemp("two"), text)


@pytest.fixture(scope="module")
def branched(tmp_path_factory):
    """A feeder of a trunk and two laterals with load, no regulators."""
    loads = "".join(
        f"New Load.{bus}{number} bus1={bus}.{number} phases=1 kv={KV / math.sqrt(3.0):.6f} "
        f"kw={kw} pf=0.95\n"
        for bus, kw in (("m", 60), ("f", 90), ("g", 120))
        for number in (1, 2, 3)
    )
    lines = line("t", "src", "m", 3.0, extra="normamps=160") + line("u", "m", "f", 4.0)
    text = source(1.03) + lines + line("w", "m", "g", 5.0, extra="normamps=90") + loads + BASES
    return write(tmp_path_factory.mktemp("branched"), text)


PHASES = [("b", one) for one in "ABC"]
EVERY = [(bus, one) for bus in "mfg" for one in "ABC"] + [("g", "ABC"), ("f", "AB")]


def amps(kw: np.ndarray) -> float:
    """The largest current of the line with these kW on its phases."""
    source_volts = VOLTS * np.exp(-2j * np.pi / 3 * np.arange(3))
    z = 2.0 * (np.full((3, 3), MUTUAL) + np.eye(3) * (SELF - MUTUAL))
    volts = source_volts
    for _ in range(200):
        current = np.conj(1e3 * kw / volts)
        volts = source_volts - z @ current
    return float(np.abs(current).max())


@pytest.mark.parametrize("allocation", ["equal", "proportional"])
def test_every_vertex_by_hand(two, allocation):
    """The line's rating at each way for three phases to be at a limit, solved by hand."""
    export, charge = np.array([900.0, 1200.0, 1500.0]), np.array([1300.0, 1000.0, 800.0])
    settings = replace(FINE, allocation=allocation)
    sought = seek(two, PHASES, np.stack([export, charge], 1), limits(thermal=100.0), settings)

    def sized(share, rating):
        whole = share * rating.max() if allocation == "equal" else share * rating
        return np.minimum(whole, rating)

    def beyond(share, ways, sizes):
        """Amps above the rating, over vertices; sizes are of export and import at share 1."""
        box = sized(share * sizes[0], export), sized(share * sizes[1], charge)
        return max(amps(np.where(way < 0, -box[0], way * box[1])) for way in ways) - AMPS

    ways = np.array(list(product((-1, 0, 1), repeat=3)))
    kept = [way for way in ways if 0 not in way or (way != 0).sum() == 1]
    single = [[way for way in kept if (sign * way >= 0).all()] for sign in (-1, 1)]
    sizes = [
        brentq(lambda share, n=n: beyond(share, single[n], np.eye(2)[n]), 0.01, 1.0) for n in (0, 1)
    ]
    if beyond(1.0, kept, sizes) > 0:
        sizes = np.multiply(sizes, brentq(lambda share: beyond(share, kept, sizes), 0.01, 1.0))
    low, high = sought.found.kw[0], sought.found.fails_at_kw[0]
    for n, rating in enumerate((export, charge)):
        by_hand = sized(sizes[n], rating)
        np.testing.assert_allclose(low[:, n], by_hand, atol=0.0025 * rating.max())
        assert (high[:, n] - low[:, n] <= 0.0011 * rating.max()).all()
    mixed = {one for one in sought.table["import_vertex"] if "export" in one}
    assert bool(mixed) == (beyond(1.0, kept, sizes) > -1e-6)


def test_a_phase_alone_by_hand(two):
    """One connection point: the envelope is what its own phase takes."""
    sought = seek(two, [("b", "A")], 2000.0, limits(thermal=100.0), steps=1)
    row = sought.table.iloc[0]
    z = 2.0 * (0.46 + 1.08j)
    across = math.sqrt(VOLTS**2 - (z.imag * AMPS) ** 2)
    for way, sign in (("import", -1), ("export", 1)):
        kw = AMPS * (across + sign * z.real * AMPS) / 1e3
        assert row[f"{way}_kw"] <= kw <= row[f"{way}_fails_at_kw"]
        assert row[f"{way}_status"] == Status.LIMITED
        assert row[f"{way}_vertex"] == f"all {way}"


def test_export_lost_beside_import(two):
    """One phase that exports beside two that draw: what is left after the loss is no base state."""
    sought = seek(two, PHASES, 2000.0, limits(sudden=0.02), steps=1)
    row = sought.table.iloc[0]
    assert row["export_criterion"] == Criterion.SUDDEN_VOLTAGE
    assert row["import_status"] == Status.CENSORED or "export" in row["import_vertex"]


def test_vertices_are_the_ways_of_the_phases(two):
    sought = seek(two, PHASES, 10.0, limits(), steps=1)
    names = sought.search.vertices.names
    assert len(names) == 8 + 6
    assert {"all export", "all import", "A exports, B C import", "B imports alone"} <= set(names)
    both = vertices(pd.DataFrame({"connection": ["ABC", "A", "AB"], "phase": ["ABC", "A", "AB"]}))
    assert both.signs.shape == (8 + 6, 3)


@pytest.mark.parametrize("allocation", ["equal", "proportional"])
def test_vertices_and_inner_points_pass_on_opendss(branched, allocation):
    """1,000 random points and all vertices pass every screen; a tolerance above a vertex fails."""
    limit = replace(limits(vmin=0.95, vmax=1.05, thermal=100.0), line_unbalance_pct=3.0)
    settings = Envelope(allocation, 0.01, 1000)
    rng = np.random.default_rng(11)
    rating = rng.uniform(40.0, 400.0, (len(EVERY), 2)).round()
    sought = seek(branched, EVERY, rating, limit, settings, steps=STEPS)
    found, signs = sought.found, sought.search.vertices.signs
    assert np.ptp(found.kw, axis=0).max() < 1e-9 * found.kw.max()  # every step has the same load
    low, high = found.kw[0], found.fails_at_kw[0]
    assert (low.sum(axis=0) > 0).all()
    assert np.isfinite(high).all()

    def states(units, box):
        return np.where(units < 0, units * box[:, 0], units * box[:, 1])

    units = rng.uniform(-1.0, 1.0, (1000, len(EVERY)))
    points = sought.search.points
    circuit = replace(sought.circuit, points=points)
    runner = Runner(shared_engine(), circuit, {})
    screen = Screen(runner.probe.observed, limit)
    rest = runner.run(0, np.zeros((len(points), STEPS)))

    def broken(kw):
        """Solve states with OpenDSS, and say which break a limit that the load alone does not."""
        found = np.zeros(len(kw), bool)
        for first in range(0, len(kw), STEPS):
            some = kw[first : first + STEPS]
            filled = np.vstack([some, np.zeros((STEPS - len(some), kw.shape[1]))])
            rows = screen.rows(runner.run(0, np.ascontiguousarray(filled.T)), rest)
            bad = rows[rows["effect"].isin([str(Effect.NEW), str(Effect.WORSE), str(Effect.NONE)])]
            found[first + bad["step"].unique()] = True
        return found

    assert not broken(states(signs, low)).any()
    assert not broken(states(units, low)).any()
    assert not broken(states(np.sign(units[:300]), low)).any()
    assert broken(states(signs, high)).any()
    step = 0.0101 * rating.max(axis=0) if allocation == "equal" else 0.0101 * rating
    assert (high - low <= step).all()
    share = low / rating
    if allocation == "proportional":
        assert np.ptp(share, axis=0).max() < 1e-9
    else:
        np.testing.assert_allclose(low, np.minimum(low.max(axis=0), rating))


def test_a_box_whose_vertices_pass_is_cut_by_a_point_inside(two):
    """Were all export and all import the only vertices, phases against each other would be missed.

    A phase that exports alone, or against the others, raises its voltage more than all three do.
    """
    tight = limits(vmin=0.98, vmax=1.02)
    sought = seek(two, PHASES, 3000.0, tight, steps=1)
    search = sought.search
    assert sought.found.cuts[0] == 0
    same = [n for n, name in enumerate(search.vertices.names) if name.startswith("all ")]
    search.vertices = Vertices(search.vertices.signs[same], ("all export", "all import"))
    search.settings = replace(FINE, inner_points=0)
    blind = search.day(0)
    search.settings = FINE
    cut = search.day(0)
    assert blind.cuts[0] == 0 < cut.cuts[0]
    assert (cut.kw < 0.8 * blind.kw).all()
    assert cut.kw.sum() == pytest.approx(sought.found.kw.sum(), rel=0.03)  # the corners are found
    axis = season_calendar().table().iloc[:1]
    table = envelope_table(
        cut, search.points, search.rating_kw, search.parts(""), search.vertices.names, axis
    )
    assert set(table["export_vertex"]) == set(table["import_vertex"]) == {INNER}
    assert set(table["export_status"]) == {str(Status.LIMITED)}


def test_no_limit_no_charger_and_no_rating(two):
    sought = seek(two, PHASES, [[0.0, 50.0]] * 3, limits(vmin=0.9, vmax=1.1), steps=1)
    table = sought.table
    assert set(table["import_status"]) == set(table["export_status"]) == {str(Status.CENSORED)}
    assert (table["import_kw"] == 50.0).all()
    assert (table["export_kw"] == 0.0).all()
    assert table["import_fails_at_kw"].isna().all()
    behind = seek(two, PHASES, 50.0, limits(), steps=1, unrated=["b"]).table
    assert set(behind["import_status"]) == {str(Status.UNKNOWN)}


def test_a_feeder_that_breaks_a_limit_already(branched):
    """Below the limit without chargers: import may not make it worse, export is free to help."""
    sought = seek(branched, EVERY, 50.0, limits(vmin=1.03), steps=1)
    row = sought.table[sought.table["bus"] == "g"].iloc[0]
    assert row["import_status"] == Status.ALREADY_VIOLATED
    assert row["import_kw"] == 0.0
    assert row["import_criterion"] == Criterion.UNDER_VOLTAGE


def test_a_step_without_a_solution_is_unknown(two):
    sought = seek(two, PHASES, 50.0, limits(thermal=100.0), steps=1)
    search = sought.search
    (base,) = search.grid.day(0, [], 1.0)
    parts = search.parts("")
    lost = search.step(replace(base, reason=9), Bounds(parts, base.values))
    one = type(lost)(**{name: np.array([getattr(lost, name)]) for name in lost.__dict__})
    axis = season_calendar().table().iloc[:1]
    table = envelope_table(one, search.points, search.rating_kw, parts, search.vertices.names, axis)
    assert set(table["import_status"]) == set(table["export_status"]) == {str(Status.UNKNOWN)}
    assert table["import_kw"].isna().all()


STUDY = {
    "name": "envelopes",
    "feeder": {"model": "ieee13"},
    "base_load": {"source": "standard"},
    "calendar": {"seasons": {"winter": [1]}, "day_types": ["peak_day"]},
    "fleets": [{"name": "homes", "vehicles": 60, "export_capable": 0.5, "charger_kw": 11.5}],
    "screening": {"limits": "ica"},
    "hosting": {
        "buses": ["671"],
        "check_pairs": 0,
        "check_minima": False,
        "envelope": {"inner_points": 50, "allocation": "proportional", "check_steps": 3},
    },
}


def test_the_command_prints_and_writes_envelopes(tmp_path):
    path = tmp_path / "study.yaml"
    both = STUDY | {"hosting": STUDY["hosting"] | {"further_conditions": [{"source_pu": 1.02}]}}
    path.write_text(yaml.safe_dump(both), "utf-8")
    out = tmp_path / "out"
    command = ["hosting", str(path), "--out", str(out), "--workers", "1", "--quiet"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "Envelope of" in result.output
    assert "random points inside" in result.output
    table = pd.read_csv(out / "envelopes.csv", dtype={"bus": str})
    assert tuple(table.columns) == (*ENVELOPE_COLUMNS, "conditions")
    one, other = json.loads((out / "summary.json").read_text("utf-8"))["envelopes"]
    assert list(dict.fromkeys(table["conditions"])) == [one["conditions"], other["conditions"]]
    assert "source 1.02 pu" in other["conditions"]
    assert one["totals"] != other["totals"]
    table, summary = table[table["conditions"] == one["conditions"]], one
    assert len(table) == summary["points"] * summary["steps"] == summary["points"] * 24
    total = table.groupby("hour")[["import_kw", "export_kw"]].sum()
    row = next(one for one in summary["totals"] if one["direction"] == "import")
    assert row["lowest_kw"] == pytest.approx(total["import_kw"].min(), rel=1e-4)
    assert total["import_kw"].max() <= summary["rating_kw"]["import"] == 690.0
    assert summary["rating_kw"]["export"] == 345.0
    check = summary["check"]
    assert 3 <= check["steps"] <= 5
    assert check["pass_at_limits"] == check["at_limits"] == check["steps"] * len(one["vertices"])
    assert check["fail_above"] == check["above"] > 0
    assert check["same_place"] == check["above"]
    assert f"OpenDSS solved {check['steps']} steps again" in result.output
    rows = pd.read_csv(out / "envelope_check.csv")
    rows = rows[rows["conditions"] == one["conditions"]]
    assert len(rows) == check["at_limits"] + check["above"]
    assert set(rows["size"]) == {"limit", "above"}
    assert not (out / ".units").exists()
    ax = Figure().subplots()
    assert draw_envelope(ax, table) is ax
    assert len(envelope_figure(table).axes) == 1


@pytest.mark.parametrize(
    ("envelope", "words"),
    [({"allocation": "fair"}, "'fair'"), ({"tolerance_share": 0.0}, "tolerance_share")],
)
def test_settings_that_cannot_be_are_named(tmp_path, envelope, words):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | {"hosting": {"envelope": envelope}}), "utf-8")
    with pytest.raises(InputError, match=words):
        load_study(path)
    with pytest.raises(InputError, match="inner_points"):
        Envelope(inner_points=-1)
