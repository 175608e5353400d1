"""Work in processes of its own, so that a crash of the native engine costs one unit.

A unit is a pure function of files and its key. Processes are spawned on every system. A unit that
crashes, overruns or runs out of memory is tried once more, and then reported as lost while the
others go on.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from v2g_feeder.errors import FeederError, UnitError, V2GFeederError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "Alone",
    "Outcome",
    "WorkerPool",
    "collect_rarely",
    "default_workers",
    "run_alone",
    "run_units",
    "worker_pool",
]

Result = TypeVar("Result")
_Try = tuple[Any, tuple[Any, ...], int]  # key, arguments, and which try it is
_TRIES: Final = 2
_SHARE_OF_MEMORY: Final = 0.75
_NONE_UP: Final = (
    "the worker processes ended before they could work. Each imports the script that was started: "
    'there, call this package only under  if __name__ == "__main__":'
)
_READY_S: Final = 600.0  # longest time that a worker may take to get ready
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


@dataclass(frozen=True)
class WorkerPool:
    """Worker processes that outlive one :func:`run_units`; they start with the first unit."""

    processes: ProcessPool
    workers: int

    def get_ready(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have each worker do something before its next unit, while the caller goes on.

        Nothing is said of what fails: the units that need it will.
        """
        for _ in range(self.workers):
            self.schedule(function, *arguments, deadline_s=_READY_S)

    def get_ready_after_one(self, function: Callable[..., object], *arguments: Any) -> None:
        """Do as :meth:`get_ready`, the others once one worker has: they load what it compiled."""

        def others(_: object) -> None:
            with suppress(RuntimeError):  # the pool takes no more
                for _ in range(self.workers - 1):
                    self.schedule(function, *arguments, deadline_s=_READY_S)

        first = self.schedule(function, *arguments, deadline_s=_READY_S)
        first.add_done_callback(others)

    def schedule(
        self, function: Callable[..., Any], *arguments: Any, deadline_s: float | None = None
    ) -> Any:
        """Hand on a call; return its future.

        The processes, which start with the first call, do not hear of an interrupt: those that
        still import would print a traceback each.
        """
        with _interrupts_held():
            return self.processes.schedule(function, args=arguments, timeout=deadline_s)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Have an interrupt wait for the end of the block, where the system can, as children do."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def worker_pool(workers: WorkerPool | int | None) -> Iterator[WorkerPool]:
    """Yield worker processes for more than one :func:`run_units`; they end with the block.

    Those of a pool are yielded as they are, and go on after the block; ``None`` is the processors
    at hand.

    Raises
    ------
    SystemExit
        In a worker that runs the user's script once more because nothing guards its calls; the
        process that waits for it says so.
    """
    if isinstance(workers, WorkerPool):
        yield workers
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)
    spawn, count = multiprocessing.get_context("spawn"), workers or default_workers()
    with ProcessPool(count, context=spawn, initializer=_set_up) as pool:
        try:
            yield WorkerPool(pool, count)
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def run_units(
    function: Callable[..., Result],
    units: Iterable[tuple[Any, tuple[Any, ...]]],
    *,
    workers: int | WorkerPool,
    deadline_s: float,
) -> Iterator[Outcome[Result]]:
    """Run units in worker processes and return outcomes as they come, in no order.

    Units for the processes of a pool begin at once, the others as the first outcome is asked for.

    Parameters
    ----------
    function
        Importable by name.
    units
        Pairs of (key, arguments).
    workers
        Number of processes, or those of :func:`worker_pool`.
    deadline_s
        Longest time that a unit may take.

    Raises
    ------
    V2GFeederError
        If a unit raises one: it says what is wrong with the input, and every unit would. If no
        worker comes up.
    """
    work = _Work(function, deque((key, arguments, 1) for key, arguments in units), deadline_s)
    if isinstance(workers, WorkerPool):
        work.begin(workers)
    return work.outcomes(workers)


class _Work(Generic[Result]):
    """Units that wait and units that run."""

    def __init__(
        self, function: Callable[..., Result], waiting: deque[_Try], deadline_s: float
    ) -> None:
        self._function, self._waiting, self._deadline_s = function, waiting, deadline_s
        self._running: dict[Any, _Try] = {}

    def begin(self, pool: WorkerPool) -> None:
        """Hand on as many units as the processes of a pool are to have before them."""
        while self._waiting and len(self._running) < pool.workers * _AHEAD:
            unit = self._waiting.popleft()
            given = pickle.dumps((self._function, unit[1]))  # now: the caller may change it later
            self._running[pool.schedule(_call, given, deadline_s=self._deadline_s)] = unit

    def outcomes(self, workers: int | WorkerPool) -> Iterator[Outcome[Result]]:
        """Yield outcomes as they come, and hand on the units that wait."""
        with worker_pool(workers) as pool:
            try:
                while self._waiting or self._running:
                    self.begin(pool)
                    done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in done:
                        key, arguments, tries = self._running.pop(future)
                        outcome = _outcome(key, future, self._deadline_s)
                        if outcome.lost and tries < _TRIES:
                            self._waiting.append((key, arguments, tries + 1))
                        else:
                            yield outcome
            finally:
                for future in self._running:  # the caller has had enough, or a unit has raised
                    future.cancel()


def _call(given: bytes) -> Any:
    """Run a unit; in a worker."""
    function, arguments = pickle.loads(given)  # noqa: S301  # our own
    return function(*arguments)


def collect_rarely() -> None:
    """Look for cycles of objects a hundred times less often, in a process that is our own.

    Python looks after every 700 objects made: 5 % of a study's time, for next to nothing found.
    """
    gc.set_threshold(70_000)


def _set_up() -> None:
    """Prepare a worker, and keep it from most of the machine's memory where that can be limited."""
    collect_rarely()
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415  # not on Windows

    most = int(_SHARE_OF_MEMORY * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _outcome(key: Any, future: Any, deadline_s: float) -> Outcome[Any]:
    """Return what became of a finished unit; input errors pass through."""
    try:
        return Outcome(key, future.result())
    except ProcessExpired as error:
        return Outcome(key, None, f"its process ended unexpectedly (exit code {error.exitcode})")
    except MemoryError:
        return Outcome(key, None, "it ran out of memory")
    except TimeoutError:
        return Outcome(key, None, f"it took longer than {deadline_s:g} s")
    except BrokenProcessPool:
        raise V2GFeederError(_NONE_UP) from None


class Alone(Generic[Result]):
    """One function that another process runs: begun, and to be waited for.

    Parameters
    ----------
    function, arguments
        Importable by name, and what it is called with.
    deadline_s
        Longest time that it may take.
    workers
        Those of :func:`worker_pool`, of which one begins at once; else a process of its own, once
        it is waited for.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        deadline_s: float,
        workers: WorkerPool | int = 1,
    ) -> None:
        self._name = function.__name__
        units = [("", arguments)]
        self._outcomes = run_units(function, units, workers=workers, deadline_s=deadline_s)

    def result(self, feeder: object = "") -> Result:
        """Wait for the result.

        Parameters
        ----------
        feeder
            The model that the function reads and solves, if that is what it does.

        Raises
        ------
        FeederError
            If the process crashed or overran, twice, over a feeder.
        UnitError
            If it did over anything else.
        """
        (outcome,) = self._outcomes
        if outcome.lost and feeder:
            raise FeederError(f"{feeder}: the engine could not read and solve it: {outcome.lost}")
        if outcome.lost:
            raise UnitError(f"{self._name}: {outcome.lost}")
        return outcome.result  # type: ignore[return-value]


def run_alone(
    function: Callable[..., Result],
    *arguments: Any,
    deadline_s: float,
    feeder: object = "",
    workers: WorkerPool | int = 1,
) -> Result:
    """Run one function in another process and return its result, as :class:`Alone` does."""
    return Alone(function, *arguments, deadline_s=deadline_s, workers=workers).result(feeder)
