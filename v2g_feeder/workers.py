"""Work in processes of its own, so that a crash of the native engine costs one unit.

A unit is a pure function of files and its key. Processes are spawned on every system. A unit that
crashes or overruns is tried once more, and then reported as lost while the others go on.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from v2g_feeder.errors import UnitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Outcome", "default_workers", "run_alone", "run_units"]

Result = TypeVar("Result")
_TRIES: Final = 2
_AHEAD: Final = 4  # units queued a worker, so that an interrupt leaves little to wind up


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of a unit: its result, or the reason that it was lost."""

    key: Any
    result: Result | None
    lost: str = ""


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on Windows and macOS
        return max(1, os.cpu_count() or 1)


def run_units(
    function: Callable[..., Result],
    units: Iterable[tuple[Any, tuple[Any, ...]]],
    *,
    workers: int,
    deadline_s: float,
) -> Iterator[Outcome[Result]]:
    """Run units in worker processes and yield outcomes as they come, in no order.

    Parameters
    ----------
    function
        Importable by name.
    units
        Pairs of (key, arguments).
    workers
        Number of processes.
    deadline_s
        Longest time that a unit may take.

    Raises
    ------
    V2GFeederError
        If a unit raises one: it says what is wrong with the input, and every unit would.
    """
    queue = deque((key, arguments, 1) for key, arguments in units)
    running: dict[Any, tuple[Any, tuple[Any, ...], int]] = {}
    with ProcessPool(workers, context=multiprocessing.get_context("spawn")) as pool:
        try:
            while queue or running:
                while queue and len(running) < workers * _AHEAD:
                    unit = queue.popleft()
                    running[pool.schedule(function, args=unit[1], timeout=deadline_s)] = unit
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    key, arguments, tries = running.pop(future)
                    outcome = _outcome(key, future, deadline_s)
                    if outcome.lost and tries < _TRIES:
                        queue.append((key, arguments, tries + 1))
                    else:
                        yield outcome
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def _outcome(key: Any, future: Any, deadline_s: float) -> Outcome[Any]:
    """Return what became of a finished unit; input errors pass through."""
    try:
        return Outcome(key, future.result())
    except ProcessExpired as error:
        return Outcome(key, None, f"its process ended unexpectedly (exit code {error.exitcode})")
    except TimeoutError:
        return Outcome(key, None, f"it took longer than {deadline_s:g} s")


def run_alone(function: Callable[..., Result], *arguments: Any, deadline_s: float) -> Result:
    """Run one function in a process of its own and return its result.

    Raises
    ------
    UnitError
        If the process crashed or overran, twice.
    """
    (outcome,) = run_units(function, [("", arguments)], workers=1, deadline_s=deadline_s)
    if outcome.lost:
        raise UnitError(f"{function.__name__}: {outcome.lost}")
    return outcome.result  # type: ignore[return-value]
