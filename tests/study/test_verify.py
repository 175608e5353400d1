"""`verify`: a package solved again agrees with its result, and only then."""

import json
import shutil

import h5netcdf
import pytest
from click.testing import CliRunner

from v2g_feeder.cli.main import main


def verify(result, *options):
    return CliRunner().invoke(main, ["verify", str(result), *options])


@pytest.fixture
def copied(small_result, tmp_path):
    """A copy whose package has one day, so that it is soon solved."""
    copy = shutil.copytree(small_result, tmp_path / "copy")
    run = copy / "opendss" / "run.dss"
    run.write_text("\n".join(run.read_text().splitlines()[:2]) + "\n")
    return copy


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_every_engine_gives_the_result_and_nothing_is_written(small_result):
    before = contents(small_result)
    done = verify(small_result, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["holds"]
    for engine in found["engines"]:
        assert engine["missing"] or (engine["steps"] == 96 and engine["difference_pu"] < 1e-6)
    assert not found["engines"][0]["missing"]
    assert contents(small_result) == before


def test_a_voltage_that_was_changed_is_found(copied):
    with h5netcdf.File(copied / "results.nc", "a") as file:
        at = [[name.decode() if isinstance(name, bytes) else name for name in file[axis][...]]
              for axis in ("policy", "case")]  # fmt: skip
        where = (at[0].index("export"), at[1].index("expected"), 0, 7, 11)
        node = file["node"][11]
        node = node.decode() if isinstance(node, bytes) else node
        file["v_pu"][where] += 1e-4
    done = verify(copied)
    assert done.exit_code == 5
    assert "NOT VERIFIED" in done.output
    assert node in done.output
    (row, *_) = (json.loads(verify(copied, "--json").stdout)["engines"],)
    assert (row[0]["step"], row[0]["steps"]) == (7, 24)
    assert row[0]["difference_pu"] == pytest.approx(1e-4, rel=0.02)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("run.dss", "DOScmd touch owned"),
        ("day_00", "Save circuit dir=/tmp/x"),
        ("day_00", "Set casename=../x"),
        ("build.dss", "export voltages"),
    ],
)
def test_a_package_that_was_changed_is_not_run(copied, name, line):
    (script,) = (copied / "opendss").glob(f"{name}*")
    script.write_text(script.read_text() + line + "\n")
    done = verify(copied)
    assert done.exit_code == 3
    assert script.name in done.output
    assert line.partition(" ")[0].lower() in done.output.lower()


def test_what_is_no_result_is_named(tmp_path):
    done = verify(tmp_path)
    assert done.exit_code == 3
    assert "results.nc: is missing" in done.output
