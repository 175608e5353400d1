"""Changes of a study's files that say the same: names, the order of rows, units of length."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

LINES = {"l1": ("src", "b1", 1.2), "l2": ("b1", "b2", 0.8), "l3": ("b2", "b3", 0.9)}
LOADS = {
    "c1": ("b1", 1, 40), "c2": ("b2", 2, 55), "c3": ("b3", 3, 70),
    "c4": ("b3", 1, 90), "c5": ("b2", 3, 60), "c6": ("b3", 2, 45),
    "c7": ("b1", 2, 15), "c8": ("b1", 3, 15),
}  # fmt: skip
DEVICES = (
    "breaker,breaker,{l1},400,200,8000,yes,50",
    "first fuse,fuse,{l2},200,,6000,no,",
    "last fuse,fuse,{l3},140,,6000,no,",
)
STUDY = {
    "base_load": {"source": "standard"},
    "calendar": {"seasons": {"summer": [7]}, "day_types": ["weekday"]},
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 90.0}},
    "participation": ["expected"],
    "draws": 1,
}
PLACES = {"v_pu": "node", "loading_pct": "element", "flow_kw": "flow"}
ALL_NAMES = [*LINES, *LOADS, "b1", "b2", "b3"]


def written(folder, name=str, order=1, *, metres=False):
    """Write a study of a small feeder; ``name`` gives each thing in it its name."""
    code = "New Linecode.c nphases=3 r1=0.6 x1=0.8 r0=1.2 x0=2.4 c1=0 c0=0 units=km normamps=30\n"
    text = "Clear\nNew Circuit.x basekv=4.16 bus1=src mvasc3=200 mvasc1=180\n" + code
    for line, (one, other, km) in LINES.items():
        ends = f"bus1={one if one == 'src' else name(one)} bus2={name(other)}"
        length = f"length={1e3 * km:g} units=m" if metres else f"length={km:g} units=km"
        text += f"New Line.{name(line)} {ends} linecode=c {length}\n"
    for load, (bus, phase, kw) in LOADS.items():
        where = f"bus1={name(bus)}.{phase} phases=1 kv=2.4"
        text += f"New Load.{name(load)} {where} kw={kw} pf=0.95 vminpu=0.8\n"
    folder.mkdir()
    (folder / "model.dss").write_text(text + "Set VoltageBases=[4.16]\nCalcVoltageBases\n")
    head = "device,kind,element,pickup_a,ground_pickup_a,interrupting_a,directional,reverse_kw\n"
    rows = [row.format(**{line: f"Line.{name(line)}" for line in LINES}) for row in DEVICES]
    (folder / "devices.csv").write_text(head + "\n".join(rows[::order]) + "\n")
    homes = {"name": "homes", "vehicles": 12, "export_capable": 0.8, "charger_kw": 11.5}
    depot = {"name": "depot", "vehicles": 4, "export_capable": 1.0, "charger_kw": 60.0}
    depot["place"] = {"by": "buses", "buses": [name("b2")]}
    content = STUDY | {"name": "same", "feeder": {"model": "model.dss"}, "fleets": [homes, depot]}
    content["protection"] = {"devices": "devices.csv"}
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    return folder / "study.yaml"


def result(path):
    """Run a study; return its summary, arrays and tables."""
    out = path.parent / "out"
    summary = run_study(load_study(path), out, workers=1)
    with xr.open_dataset(out / "results.nc", engine="h5netcdf") as data:
        arrays = data.load()
    tables = [pd.read_csv(out / f"{name}.csv") for name in ("violations", "protection", "hourly")]
    return json.loads(json.dumps(summary)), arrays, tables


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return result(written(tmp_path_factory.mktemp("planned") / "s"))


def agrees(one, other, back=str, rtol=0.0):
    """Assert that two results say the same, names aside; ``back`` gives the first's names."""
    summaries, arrays, tables = zip(one, other, strict=True)
    for key in ("head", "harm_and_relief"):
        first, second = (pd.DataFrame(summary[key]) for summary in summaries)
        pd.testing.assert_frame_equal(first, second, rtol=max(rtol, 1e-12))
    for name, dim in PLACES.items():
        found = arrays[1].assign_coords({dim: [back(str(at)) for at in arrays[1][dim].values]})
        ordered = found[name].sel({dim: arrays[0][dim].values})
        np.testing.assert_allclose(ordered, arrays[0][name], rtol=rtol, atol=rtol, err_msg=name)
    assert len(tables[0][0])
    for first, second in zip(*tables, strict=True):
        named = second.map(lambda cell: back(cell) if isinstance(cell, str) else cell)
        order = [column for column in first if first[column].dtype.kind != "f"]
        sort = {"by": order, "ignore_index": True}
        pd.testing.assert_frame_equal(
            named.sort_values(**sort), first.sort_values(**sort), rtol=max(rtol, 1e-9)
        )


def test_names(planned, tmp_path):
    """Other names, in another alphabetical order, are other names and nothing else."""
    new = {old: f"x{len(ALL_NAMES) - number:02d}{old}" for number, old in enumerate(ALL_NAMES)}

    def back(cell):
        for old, other in new.items():
            cell = cell.replace(other, old)
        return cell

    agrees(planned, result(written(tmp_path / "s", name=lambda old: new.get(old, old))), back)


def test_order_of_rows(planned, tmp_path):
    agrees(planned, result(written(tmp_path / "s", order=-1)))


def test_units_of_length(planned, tmp_path):
    agrees(planned, result(written(tmp_path / "s", metres=True)), rtol=2e-5)


@pytest.mark.long
def test_order_of_sessions(tmp_path):
    """An archetype is fitted to the same figures whatever the order of its records."""
    records = Path(__file__).parents[2] / "examples" / "records" / "home_sessions.csv"
    head, *rows = records.read_text("utf-8").splitlines()
    texts = []
    for order in (rows, np.random.default_rng(1).permutation(rows).tolist()):
        folder = tmp_path / str(len(texts))
        folder.mkdir()
        (folder / "homes.csv").write_text("\n".join([head, *order]) + "\n", "utf-8")
        command = ["fit", str(folder / "homes.csv"), "--out", str(folder / "homes.yaml")]
        done = CliRunner().invoke(main, [*command, "--split", "none", "--quiet"])
        assert done.exit_code == 0, done.output
        texts.append((folder / "homes.yaml").read_text("utf-8"))
    one, other = (yaml.safe_load(text) for text in texts)
    assert one == other
