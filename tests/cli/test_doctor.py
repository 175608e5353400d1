"""`doctor`: a test that fails when the answers are wrong."""

import json

import pytest
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.errors import UnitError
from v2g_feeder.study import doctor


def test_this_installation_is_well():
    done = CliRunner().invoke(main, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["well"]
    assert len(found["self_test"]) == 3
    assert {"v2g-feeder", "python", "engine", "packages"} <= found["installed"].keys()


@pytest.mark.parametrize("answer", [(0.98, 3567.05), (0.98292, 3500.0)])
def test_a_wrong_answer_fails(monkeypatch, answer):
    monkeypatch.setattr(doctor, "run_alone", lambda *_, **__: answer)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 6
    assert "FAIL" in done.output


def test_an_engine_that_crashes_fails(monkeypatch):
    def crash(*_, **__):
        raise UnitError("its process ended unexpectedly (exit code -11)")

    monkeypatch.setattr(doctor, "run_alone", crash)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 6
    assert "exit code -11" in done.output
