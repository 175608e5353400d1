"""The map's data say of each place and line what the arrays say, and never less."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as value_arrays

from v2g_feeder.report import read_result
from v2g_feeder.report.charts import feeder_layout
from v2g_feeder.report.map_data import UNKNOWN, _coded, map_data, map_places, run_codes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

MAIN = ("export", "expected")


def unpacked(table: dict[str, Any], width: int) -> np.ndarray:
    """Return values as the page's script reads them: NaN where nothing is known."""
    change = np.frombuffer(gzip.decompress(base64.b64decode(table["codes"])), np.uint8)
    codes = np.cumsum(change.reshape(-1, width), axis=0, dtype=np.uint8)
    return np.where(codes == UNKNOWN, np.nan, table["from"] + codes * table["step"])


def test_places_lines_and_values(write_result: Callable[..., Path]) -> None:
    data = map_data(read_result(write_result()), MAIN)
    assert data is not None
    assert json.loads(json.dumps(data)) == data
    # b3, a service, is drawn at b2; its line lies inside that place
    assert data["buses"] == ["b0", "b1", "b2"]
    assert data["lines"] == [[0, 1], [1, 2], [2, 2]]
    assert data["line_names"] == ["Line.l1", "Line.l2", "Line.l3"]
    assert [len(day["steps"]) for day in data["days"]] == [24] * 4
    assert data["days"][1] == {"label": "winter weekend", "steps": list(range(24, 48))}
    run = data["runs"][0]
    assert (run["key"], run["label"]) == ("export-expected", "Export, expected")
    v = unpacked(run["v"], 3)
    assert np.isnan(v[:, 0]).all()  # nothing is measured at the source
    np.testing.assert_allclose(v[17, 1:], [1.02, 1.07])
    np.testing.assert_allclose(v[16, 1:], [0.998, 0.998])  # the lowest of the draws is farther off
    assert np.isnan(v[50, 1])
    loading = unpacked(run["loading"], 3)
    np.testing.assert_allclose(loading[17], [40.0, 130.0, np.nan])
    broken = unpacked(run["broken"], 3)
    # at step 17: b2 new, b3 the same (drawn at b2), b1 improved; a cured one is not broken
    np.testing.assert_array_equal(broken[17], [0, 1, 2])
    assert broken.sum() == 3


def test_a_result_without_arrays_by_step_has_no_map(
    write_result: Callable[..., Path], arrays: xr.Dataset
) -> None:
    assert map_data(read_result(write_result(arrays=arrays.drop_vars("v_pu"))), MAIN) is None


def test_a_tree_is_drawn_where_there_are_no_coordinates(
    write_result: Callable[..., Path], without_coordinates: xr.Dataset
) -> None:
    result = read_result(write_result(arrays=without_coordinates))
    data = map_data(result, MAIN)
    assert data is not None
    assert data["buses"] == ["b0", "b1", "b2", "b3"]
    assert data["x"] == [0, 333, 667, 1000]
    places = map_places(result, feeder_layout(result))
    codes, _, _ = run_codes(result, places, MAIN)["broken"]
    np.testing.assert_array_equal(codes[17], [0, 1, 2, 1])


@given(
    value_arrays(float, (4, 3), elements=st.floats(0.2, 2.0)),
    st.sampled_from([0.95, 0.975, 1.025, 1.05]),
)
def test_rounding_keeps_every_side_of_every_limit(values: np.ndarray, limit: float) -> None:
    values[0, 0] = np.float32(limit)  # at the limit is not beyond it
    codes, start, step = _coded(values, (0.001, 0.0025, 0.005, 0.025), centre=1.0)
    found = start + codes * step
    near = np.abs(values - limit) < 1e-4 * step + 1e-6
    if limit > 1:
        assert ((found > limit + 1e-9) == (values > limit))[~near].all()
        assert found[0, 0] == pytest.approx(limit)
    else:
        assert ((found < limit - 1e-9) == (values < limit))[~near].all()
    assert (np.abs(found - values) <= step * 1.01).all()
