"""Worker processes: what becomes of units that crash, overrun or refuse their input."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import v2g_feeder
from v2g_feeder.errors import FeederError, InputError, UnitError
from v2g_feeder.workers import default_workers, run_alone, run_units, worker_pool

needs_kill = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


@pytest.fixture
def functions(monkeypatch):
    """The module that both this process and its spawned children import by the same name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("worker_functions")


def outcomes(functions, units, workers=2, deadline_s=30.0):
    found = list(run_units(functions.mixed, units, workers=workers, deadline_s=deadline_s))
    assert len(found) == len({outcome.key for outcome in found})
    return {outcome.key: outcome for outcome in found}


@needs_kill
def test_a_unit_that_kills_its_process_is_tried_twice_and_lost_alone(functions, tmp_path):
    units = [(number, ("double", number)) for number in range(12)]
    units.insert(2, ("exits", ("die", str(tmp_path), "exits", "exit")))
    units.insert(5, ("killed", ("die", str(tmp_path), "killed", "kill")))
    units.insert(7, ("unlucky", ("die_once", str(tmp_path), "unlucky")))
    found = outcomes(functions, units)
    assert len(found) == len(units)
    assert {key: found[key].result for key in range(12)} == {key: 2 * key for key in range(12)}
    assert not any(found[key].lost for key in range(12))
    assert "exit code 11" in found["exits"].lost
    assert "ended unexpectedly" in found["killed"].lost
    assert found["exits"].result is None
    assert found["unlucky"].result == "second try"
    assert not found["unlucky"].lost
    for name in ("exits", "killed"):
        assert len(list(tmp_path.glob(f"{name}.*"))) == 2, (
            "tried once and once more, in two processes"
        )


def test_a_unit_that_overruns_is_lost_alone(functions, tmp_path):
    units = [("slow", ("oversleep", str(tmp_path), "slow"))]
    units += [(number, ("double", number)) for number in range(4)]
    began = time.perf_counter()
    found = outcomes(functions, units, deadline_s=1.0)
    assert time.perf_counter() - began < 30
    assert found["slow"].lost == "it took longer than 1 s"
    assert len(list(tmp_path.glob("slow.*"))) == 2
    assert [found[key].result for key in range(4)] == [0, 2, 4, 6]


@pytest.mark.skipif(sys.platform != "linux", reason="no limit elsewhere")
def test_a_unit_that_takes_all_memory_is_lost_alone(functions, tmp_path):
    units = [("hoard", ("hoard", str(tmp_path), "hoard"))]
    units += [(number, ("double", number)) for number in range(4)]
    found = outcomes(functions, units)
    assert found["hoard"].lost == "it ran out of memory"
    assert len(list(tmp_path.glob("hoard.*"))) >= 1
    assert [found[key].result for key in range(4)] == [0, 2, 4, 6]


def test_an_input_error_reaches_the_parent_with_all_its_problems(functions):
    with pytest.raises(InputError) as caught:
        outcomes(functions, [(0, ("refuse",))], workers=1)
    assert [problem.where for problem in caught.value.problems] == ["a.dss:1", "a.dss:2"]
    assert caught.value.problems[0].hint == "hint"


def test_one_function_alone_runs_in_another_process(functions, tmp_path):
    assert run_alone(functions.where_am_i, deadline_s=30) != os.getpid()
    with pytest.raises(UnitError, match=r"die: its process ended unexpectedly \(exit code 11\)"):
        run_alone(functions.die, str(tmp_path), "x", "exit", deadline_s=30)
    with pytest.raises(FeederError, match=r"mine.dss: .* ended unexpectedly \(exit code 11\)"):
        run_alone(functions.die, str(tmp_path), "y", "exit", deadline_s=30, feeder="mine.dss")


@pytest.mark.parametrize("guard", ["", 'if __name__ == "__main__": '])
def test_a_script_without_its_guard_is_told_in_one_error(tmp_path, guard):
    script = tmp_path / "script.py"
    call = "print('answer', run_alone(os.getcwd, deadline_s=60.0))\n"
    script.write_text(f"import os\nfrom v2g_feeder.workers import run_alone\n{guard}{call}")
    root = str(Path(v2g_feeder.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": root},
    )  # fmt: skip
    if guard:
        assert done.stdout.startswith("answer"), done.stderr
        return
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("Traceback") == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("v2g_feeder.errors.V2GFeederError: the worker processes ended before")
    assert 'if __name__ == "__main__":' in last


def test_there_is_at_least_one_worker_and_no_unit_is_no_outcome(functions):
    assert default_workers() >= 1
    assert not outcomes(functions, [])


def test_a_pool_serves_one_stage_after_the_other(functions):
    with worker_pool(2) as pool:
        pool.get_ready(importlib.import_module, "worker_functions")
        first = run_units(
            functions.double, [(number, (number,)) for number in range(40)],
            workers=pool, deadline_s=30.0,
        )  # fmt: skip
        assert next(first).result is not None
        first.close()  # who has had enough leaves the pool as it was
        units = [(number, ()) for number in range(8)]
        found = list(run_units(functions.where_am_i, units, workers=pool, deadline_s=30.0))
    assert not any(outcome.lost for outcome in found)
    assert os.getpid() not in {outcome.result for outcome in found}


def test_workers_get_ready_after_one_as_long_as_there_is_a_pool(functions, tmp_path):
    with worker_pool(2) as pool:
        pool.get_ready_after_one(functions.note_times, str(tmp_path))
        while len(list(tmp_path.glob("*.txt"))) < 2:
            time.sleep(0.01)
        (_, first_end), (second_start, _) = sorted(
            [float(word) for word in file.read_text().split()] for file in tmp_path.glob("*.txt")
        )
        assert first_end <= second_start
        pool.get_ready_after_one(functions.die, str(tmp_path), "gone", "exit")  # nothing is said
    alone = tmp_path / "alone"
    alone.mkdir()
    with worker_pool(2) as pool:
        pool.get_ready_after_one(functions.note_times, str(alone))  # it ends when that is done
    assert len(list(alone.iterdir())) == 1


def test_what_a_unit_is_given_is_what_it_was_when_it_was_handed_on(functions):
    """Even where the caller changes it at once, and a thread of the pool is behind."""
    with worker_pool(1) as pool:
        given = {number: number for number in range(50_000)}
        outcome = run_units(functions.total, [("", (given,))], workers=pool, deadline_s=30.0)
        given.clear()
        (found,) = outcome
        assert found.result == sum(range(50_000))
        with pytest.raises((TypeError, AttributeError)):
            run_units(functions.total, [("", (lambda: 0,))], workers=pool, deadline_s=30.0)


@pytest.mark.skipif(sys.platform == "win32", reason="no signal masks")
def test_workers_do_not_hear_of_interrupts_and_their_parent_does(functions, tmp_path):
    """Those that take the place of one that died neither."""
    with worker_pool(1) as pool:
        units = [("", ()), ("again", ())]
        first = list(run_units(functions.hears_interrupts, units, workers=pool, deadline_s=30.0))
        die = [("", (str(tmp_path), "x", "exit"))]
        (lost,) = run_units(functions.die, die, workers=pool, deadline_s=30.0)
        later = list(run_units(functions.hears_interrupts, units, workers=pool, deadline_s=30.0))
    assert lost.lost
    assert [outcome.result for outcome in first + later] == [False] * 4
    assert functions.hears_interrupts()
