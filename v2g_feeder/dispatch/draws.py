"""Draws side by side: the compiled loops run without the interpreter's lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["over_draws"]

_WORTH_A_THREAD: Final = 300_000  # vehicle-steps of all draws: some 30 ms of work

T = TypeVar("T")
R = TypeVar("R")


def over_draws(run: Callable[[T], R], draws: Sequence[T], vehicle_steps: int) -> list[R]:
    """Return ``run`` of every draw, in order; in threads where there is enough to do."""
    threads = min(len(draws), os.cpu_count() or 1)
    if threads < 2 or vehicle_steps < _WORTH_A_THREAD:
        return [run(draw) for draw in draws]
    return list(_pool(threads).map(run, draws))


@lru_cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the threads, started once: a call from one of them would wait for itself."""
    return ThreadPoolExecutor(threads, "draws")
