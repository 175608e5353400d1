"""A run that is interrupted and goes on: what stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.resume import file_inputs, finish, working_folder
from v2g_feeder.store import claim_folder, save_arrays, working_name, write_text

INPUTS = {"version": "1", "study": {"seed": 1, "hosting": {"maximum_kw": 5.0}}, "files": {}}


def begun(out, inputs=INPUTS, *, resume=False):
    return working_folder(claim_folder(out, resume=resume), inputs, resume=resume)


def test_units_of_an_interrupted_run_stay(tmp_path):
    working = begun(tmp_path / "out")
    save_arrays(working / "unit.pickle", {"a": np.arange(3.0)})
    assert working_name(tmp_path / "out") == working
    again = begun(tmp_path / "out", resume=True)
    assert again == working
    assert (again / "unit.pickle").exists()
    finish(again)
    assert not list((tmp_path / "out").iterdir())


def test_without_resume_an_unfinished_run_is_named_and_replaced(tmp_path):
    working = begun(tmp_path / "out")
    (working / "unit.pickle").touch()
    with pytest.raises(InputError, match="not finished"):
        begun(tmp_path / "out")
    working = working_folder(claim_folder(tmp_path / "out", overwrite=True), INPUTS)
    assert not (working / "unit.pickle").exists()


def test_nothing_to_go_on_with_is_a_beginning(tmp_path):
    assert begun(tmp_path / "new", resume=True).is_dir()
    old = tmp_path / "old" / ".units"  # killed before it wrote what it depends on
    old.mkdir(parents=True)
    (old / "unit.pickle").touch()
    assert not (begun(tmp_path / "old", resume=True) / "unit.pickle").exists()


def test_a_whole_result_is_not_gone_on_with(tmp_path):
    write_text(tmp_path / "summary.json", "{}")
    with pytest.raises(InputError, match="--overwrite replaces it"):
        claim_folder(tmp_path, resume=True)
    with pytest.raises(InputError, match="--overwrite would remove"):
        claim_folder(tmp_path, resume=True, overwrite=True)


def test_every_changed_input_is_named(tmp_path):
    feeder = tmp_path / "feeder.dss"
    feeder.write_text("one", "utf-8")
    out = tmp_path / "out"
    begun(out, INPUTS | {"files": file_inputs([feeder])})
    feeder.write_text("two", "utf-8")
    other = {"study": {"seed": 2, "hosting": {"maximum_kw": 5.0}, "draws": 3}}
    with pytest.raises(InputError) as error:
        begun(out, INPUTS | other | {"files": file_inputs([feeder])}, resume=True)
    text = str(error.value)
    assert "study.seed: was 1, is 2" in text
    assert "study.draws: was not given, is 3" in text
    assert f"files.{feeder}: was " in text
    assert "maximum_kw" not in text
    assert (out / ".units").is_dir()  # nothing was touched
