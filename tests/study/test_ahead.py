"""What a command begins before it has imported everything: the feeder, and compiled code."""

from __future__ import annotations

import copy
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.store import file_sha256
from v2g_feeder.study import run
from v2g_feeder.study.ahead import feeder_ahead, resolved_feeder
from v2g_feeder.study.config import load_study
from v2g_feeder.study.fleet_stage import load_code
from v2g_feeder.workers import worker_pool

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
SMALL = {"feeder": {"model": "ieee13"}, "base_load": {"head_peak_kw": 3000.0}}


@pytest.fixture(scope="module")
def pool():
    with worker_pool(1) as some:
        yield some


def test_the_feeder_is_the_one_that_is_prepared_here(pool, write_study, tmp_path):
    path = write_study(tmp_path, **SMALL)
    said, found = feeder_ahead(path, {"seed": 5}, pool).result()
    study = load_study(path, seed=5)
    assert said == study.resolved()
    here = resolved_feeder(study)[1]
    assert found.circuit.equals(here.circuit)
    assert np.array_equal(found.head_kw, here.head_kw)
    assert found.notes == here.notes


def test_a_file_that_changes_meanwhile_is_read_again(pool, write_study, tmp_path):
    path = write_study(tmp_path, **SMALL)
    found = feeder_ahead(path, {}, pool).result()
    old = SimpleNamespace(result=lambda _: found)
    before = file_sha256(path)
    study = load_study(write_study(tmp_path, **SMALL | {"base_load": {"head_peak_kw": 2000.0}}))
    assert file_sha256(path) != before
    again = run._prepared(study, pool, old, Thread())
    assert np.nanmax(again.head_kw) == pytest.approx(2000.0, rel=1e-3)


def test_what_is_wrong_is_an_error_here_too(pool, write_study, tmp_path):
    path = write_study(tmp_path, feeder={"model": "ieee14"})
    with pytest.raises(InputError, match="ieee14"):
        feeder_ahead(path, {}, pool).result()


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_compiled_code_is_loaded_with_any_fleet(path):
    """No warning, no error, and nothing of the study is changed."""
    study = load_study(path)
    before = copy.deepcopy(study.resolved())
    load_code(study)
    assert study.resolved() == before


def test_what_is_wrong_with_a_fleet_is_left_to_be_said(write_study, tmp_path, monkeypatch):
    study = load_study(write_study(tmp_path))
    problem = InputError("no")

    def refuse(*_, **__):
        raise problem

    monkeypatch.setattr("v2g_feeder.study.fleet_stage.fleet_power", refuse)
    load_code(study)
