"""Tests of minutes and timings run only when they are asked for by their mark."""

import pytest

ONLY_WHEN_ASKED = {
    "benchmark": "a timing",
    "long": "takes minutes",
    "versions": "installs the project anew",
}


def pytest_collection_modifyitems(config, items):
    asked = config.getoption("-m")
    for item in items:
        for mark, reason in ONLY_WHEN_ASKED.items():
            if item.get_closest_marker(mark) and mark not in asked:
                item.add_marker(pytest.mark.skip(reason=f"{reason}; run with -m {mark}"))
