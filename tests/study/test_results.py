"""What ``results.nc`` holds of several draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from v2g_feeder.study.chunks import STATISTICS, _over_draws


@given(
    st.integers(2, 60).flatmap(
        lambda draws: hnp.arrays(
            np.float32, (draws, 2, 3), elements=st.floats(-1000, 1000, width=32)
        )
    )
)
def test_statistics_are_those_of_numpy(values):
    found = _over_draws(list(values))
    shares = (0.0, 0.05, 0.95, 1.0)
    for statistic, share, got in zip(STATISTICS, shares, found, strict=True):
        expected = np.quantile(values.astype(float), share, axis=0)
        assert got == pytest.approx(expected, abs=1e-3), statistic


def test_a_statistic_of_a_draw_without_a_number_is_none():
    values = np.ones((10, 2), np.float32)
    values[4, 1] = np.nan
    for found in _over_draws(list(values)):
        assert found[0] == 1
        assert np.isnan(found[1])
