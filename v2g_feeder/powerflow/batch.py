"""Thousands of states at once on the feeder's own admittance matrix.

``Y v = i_source - i_loads(v)`` is solved by fixed point, as OpenDSS does, with the matrix and the
load models that OpenDSS has: the fixed point is the same. States are solved in blocks of a fixed
width; blocks run in threads. A state's numbers do not depend on the states beside it.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import packed
from v2g_feeder.powerflow.border import border_of, invert
from v2g_feeder.powerflow.controls import Seen, control_work, sample
from v2g_feeder.powerflow.cycles import Rounds
from v2g_feeder.powerflow.factor import factorise
from v2g_feeder.powerflow.kernels import (
    CURVE_HALF,
    CURVE_MIDDLE,
    DEGREE,
    SAMPLED,
    Fast,
    Rules,
    Source,
    Work,
    fill,
    solve_block,
)
from v2g_feeder.powerflow.loads import CVR, GIVEN, IMPEDANCE, POWER, LoadTable, Role, multiplier
from v2g_feeder.powerflow.mixing import CONVERGED, NUMBERS
from v2g_feeder.powerflow.readings import (
    Check,
    judge,
    load_check,
    places,
    read_amps,
    read_currents,
    read_powers,
    read_unbalance,
    read_voltages,
)
from v2g_feeder.powerflow.response import Chargers, Response
from v2g_feeder.powerflow.rows import WIDTH, aligned
from v2g_feeder.powerflow.solution import Reason
from v2g_feeder.powerflow.spots import no_spots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from v2g_feeder.powerflow.chargers import ChargerControl
    from v2g_feeder.powerflow.controls import CapacitorControls, ControlWork, RegulatorControls
    from v2g_feeder.powerflow.network import Network
    from v2g_feeder.powerflow.probe import Probe

__all__ = ["BatchSolver", "Bench", "Block", "Gauge", "States"]

TOLERANCE: Final = 1e-9
"""Largest remaining error of a voltage across a load, per unit."""
_MOST_ITERATIONS: Final = 300
_BESIDE: Final = 1e-6  # of a limit, where a load's current is compared on either side


@dataclass(frozen=True)
class States:
    """What independent states differ in.

    Parameters
    ----------
    kw, kvar
        Multipliers of the load table's watts and vars, ``[row, state]``: of base loads their
        shapes' multipliers, of connection points kW and kvar; the constant row of 1 is not among
        them.
    taps
        Per unit, ``[state, regulator]``; the network's own if not given.
    closed
        Whether each switched bank is in, ``[state, bank]``; the network's own if not given.
    hour
        Time of day, ``[state]``, for banks that follow it; 0 if not given.
    """

    kw: np.ndarray
    kvar: np.ndarray
    taps: np.ndarray | None = None
    closed: np.ndarray | None = None
    hour: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of states."""
        return int(self.kw.shape[1])


@dataclass(frozen=True)
class Block:
    """Some solved states, in the order they were given.

    Parameters
    ----------
    first
        Number of the first state.
    v_pu
        Service voltages, ``[node, state]``.
    loading_pct
        ``[element, state]``; NaN where the rating is unknown.
    flow_kw
        Power away from the head, ``[flow, state]``, the head first.
    head_kvar, losses_kw
        ``[state]``.
    line_unbalance_pct, sequence_unbalance_pct
        By either definition, ``[balanced bus, state]``.
    head_amps
        Current out of the head bus by phase, A, ``[3, state]``.
    taps, closed
        As solved, ``[regulator, state]`` and ``[bank, state]``.
    reason
        :class:`~v2g_feeder.powerflow.solution.Reason` codes, ``[state]``; numbers of states that
        did not converge are NaN.
    iterations
        Of the last solution, ``[state]``.
    curtailed_kw
        Export that chargers were asked for and, by their curves, did not give, ``[state]``.
    """

    first: int
    v_pu: np.ndarray
    loading_pct: np.ndarray
    flow_kw: np.ndarray
    head_kvar: np.ndarray
    losses_kw: np.ndarray
    line_unbalance_pct: np.ndarray
    sequence_unbalance_pct: np.ndarray
    head_amps: np.ndarray
    taps: np.ndarray
    closed: np.ndarray
    reason: np.ndarray
    iterations: np.ndarray
    curtailed_kw: np.ndarray


@dataclass(frozen=True)
class Bench:
    """A block at work: voltages, multipliers and controls of ``WIDTH`` states.

    ``inverted`` are the taps and banks that the border's inverses in ``work`` belong to, ``rounds``
    those that controls have been through. Of chargers that follow curves: export curtailed, and
    whether they did not come to rest.
    """

    work: Work
    controls: ControlWork
    inverted: np.ndarray
    curtailed_kw: np.ndarray
    off_curve: np.ndarray
    rounds: Rounds


class Gauge(NamedTuple):
    """What most limits are set on, for a whole bench; shapes and signs as of :class:`Block`.

    Numbers of states that did not converge are NaN.
    """

    v_pu: np.ndarray
    loading_pct: np.ndarray
    flow_kw: np.ndarray
    head_kva: np.ndarray
    losses_kw: np.ndarray
    reason: np.ndarray


class BatchSolver:
    """A network with loads, factorised once.

    Parameters
    ----------
    network
        The linear part.
    loads
        What hangs on it; the last of its multiplier rows is the constant 1.
    probe
        What is observed.
    rows
        Number of multiplier rows that states give.
    controls
        Settings of regulators and banks, in elimination order; without them states can only be
        solved locked.
    tolerance
        Largest remaining error of a voltage across a load, per unit.
    chargers
        Curves of connection points and of spots, each spot rated at its own size, and the export
        rating of each point in kW; ``None``: all are constant powers.
    """

    def __init__(
        self,
        network: Network,
        loads: LoadTable,
        probe: Probe,
        rows: int,
        controls: Callable[[np.ndarray], tuple[RegulatorControls, CapacitorControls]],
        tolerance: float = TOLERANCE,
        chargers: tuple[ChargerControl, np.ndarray] | None = None,
    ) -> None:
        self.network, self.loads, self.probe = network, loads, probe
        self.tolerance = tolerance
        self._rows = rows
        fed = np.concatenate([loads.one, loads.other, np.flatnonzero(network.source_amps)])
        self._factor, self.place, left = factorise(network, fed[fed >= 0])
        self._border = border_of(network, left)
        regulators, banks = controls(self.place)
        self._regulators, self._banks = (packed(item._asdict()) for item in (regulators, banks))
        self._arrays = loads.arrays(self.place)
        fast, self._curves = fast_of(loads)
        self._fast = packed(fast._asdict())
        self._places = places(network, probe, self.place)
        self._unrated = np.setdiff1d(np.arange(len(probe.observed.elements)), probe.amp_element)
        self._chargers = None
        if chargers is not None and chargers[0].enabled:
            control, rated_kw = chargers
            self._chargers = Chargers(control, loads, self.place, rated_kw)
        size = len(self.place)
        self._source = np.zeros(size + 1, complex)
        self._source[self.place] = network.source_amps
        self._fed = np.flatnonzero(self._source)
        amps = self._source[self._fed]
        self._feed = Source(
            self._fed, np.ascontiguousarray(amps.real), np.ascontiguousarray(amps.imag)
        )
        self.steady = _steady(loads)
        place = np.append(self.place, size)
        self._sources = [(place[list(nodes)], matrix) for nodes, matrix in network.sources]
        self.start = np.zeros(size + 1, complex)
        self.start[self.place] = network.nominal_volts

    def run(self, states: States, threads: int = 1, *, settle: bool = False) -> Iterator[Block]:
        """Solve states, each by itself, and yield them block by block, in order.

        Parameters
        ----------
        states
            What to solve; each begins from the same voltages, those without any load.
        threads
            Blocks solved at the same time.
        settle
            Whether regulators and banks move from the state's taps, or are locked.
        """
        firsts = range(0, len(states), WIDTH)
        if threads == 1:
            bench = self.bench()
            for first in firsts:
                yield self._block(states, first, bench, settle=settle)
            return
        with ThreadPoolExecutor(threads) as pool:
            benches: SimpleQueue[Bench] = SimpleQueue()
            for _ in range(threads):
                benches.put(self.bench())

            def block(first: int) -> Block:
                bench = benches.get()
                try:
                    return self._block(states, first, bench, settle=settle)
                finally:
                    benches.put(bench)

            ahead: deque[Future[Block]] = deque()
            for first in firsts:
                ahead.append(pool.submit(block, first))
                if len(ahead) > 2 * threads:
                    yield ahead.popleft().result()
            for future in ahead:
                yield future.result()

    def bench(self, slots: int = 0) -> Bench:
        """Return the arrays of a block, at the network's own taps and at no-load voltages.

        Parameters
        ----------
        slots
            Number of load phases that each state may have at places of its own.
        """
        size, loads, tied = len(self.place) + 1, len(self.loads), len(self._border.re)
        kept = 2 * loads if self.steady else 0
        shapes = {
            "re": (size,), "im": (size,), "load_re": (loads,), "load_im": (loads,),
            "border_re": (tied, tied), "border_im": (tied, tied),
            "kw": (self._rows + 1,), "kvar": (self._rows + 1,), "sums": (NUMBERS,),
            "amps_re": (size,), "amps_im": (size,),
            "found_re": (kept,), "found_im": (kept,), "past": (8 * -(-loads // SAMPLED),),
        }  # fmt: skip
        whole = {"status", "iterations"}
        work = Work(
            **{
                name: aligned(*shapes.get(name, ()), kind=np.int64 if name in whole else float)
                for name in Work._fields
                if name != "spots"
            },
            spots=no_spots(slots, len(self.place)),
        )
        work.kw[-1] = work.kvar[-1] = 1.0
        controls = control_work(len(self._regulators), len(self._banks))
        tapped = np.full((len(self._regulators) + len(self.network.banks), WIDTH), np.nan)
        nothing = np.zeros(WIDTH)
        bench = Bench(work, controls, tapped, nothing, np.zeros(WIDTH, bool), Rounds())
        controls.taps[:] = self.network.taps[:, None]
        controls.closed[:] = self.network.closed[:, None]
        fill(work, self.start)
        return bench

    def _block(self, states: States, first: int, bench: Bench, *, settle: bool) -> Block:
        """Solve up to ``WIDTH`` states and read them; the last fills up what is missing."""
        at = np.minimum(np.arange(first, first + WIDTH), len(states) - 1)
        work, controls = bench.work, bench.controls
        work.kw[:-1], work.kvar[:-1] = states.kw[:, at], states.kvar[:, at]
        taps, closed = self.network.taps[:, None], self.network.closed[:, None]
        controls.taps[:] = taps if states.taps is None else states.taps[at].T
        controls.closed[:] = closed if states.closed is None else states.closed[at].T
        controls.mode[:] = 0
        fill(work, self.start)
        hour = 0.0 if states.hour is None else states.hour[at]
        self.solve(bench, settle=settle, hour=np.broadcast_to(hour, WIDTH))
        return self.read(bench, first, min(WIDTH, len(states) - first))

    def solve(
        self,
        bench: Bench,
        *,
        settle: bool,
        hour: np.ndarray,
        idle: np.ndarray | None = None,
    ) -> None:
        """Solve the states of a bench from the voltages and taps that it holds.

        Parameters
        ----------
        bench
            Multipliers, voltages, taps; changed in place.
        settle
            Whether regulators and banks move.
        hour
            Time of day, ``[state]``.
        idle
            States to leave alone, ``[state]``; their voltages stay.
        """
        going = np.ones(WIDTH, bool) if idle is None else ~idle
        self.begin(bench, going)
        self.advance(bench, going, settle=settle, hour=hour)

    def begin(self, bench: Bench, states: np.ndarray) -> None:
        """Let nothing be pending in some states of a bench, ``[state]``, as before a solution."""
        own = bench.controls
        for due in (own.due, own.back_due, own.switch_due):
            due[:, states] = np.inf
        own.opened[:, states] = False
        bench.rounds.begin(states)

    def advance(
        self,
        bench: Bench,
        going: np.ndarray,
        *,
        settle: bool | np.ndarray,
        hour: np.ndarray,
        enough: int = WIDTH,
    ) -> np.ndarray:
        """Go on with states until some of them are done, and return which, ``[state]``.

        Parameters
        ----------
        bench
            As of :meth:`solve`.
        going
            States that :meth:`begin` has prepared and that are not done, ``[state]``.
        settle
            Whether regulators and banks move, of all states or ``[state]``.
        hour
            As of :meth:`solve`.
        enough
            Number of states that are waited for; all where chargers follow curves.
        """
        work, own = bench.work, bench.controls
        own.settled[:] = ~going
        response = None if self._chargers is None else Response(self._chargers, work)
        least = int(going.sum()) if response else min(enough, int(going.sum()))
        endless = np.zeros(WIDTH, bool)
        while True:
            tapped = np.concatenate([own.taps, own.closed])
            if not np.array_equal(tapped, bench.inverted):
                invert(self._border, own.taps, own.closed, work)
                bench.inverted[:] = tapped
            self._flow(work, own.settled)
            if response is not None:
                off = response.settle(own.settled, partial(self._flow, work))
                bench.off_curve[~own.settled] = off[~own.settled]
                bench.curtailed_kw[going] = response.follow.curtailed_kw[going]
            own.settled[:] |= np.logical_not(settle)
            if not own.settled.all():
                sample(self._regulators, self._banks, work, own, hour)
                endless |= bench.rounds.endless(own)
                own.settled[endless] = True
            done = np.asarray(own.settled & going)
            if done.sum() >= least:
                own.settled[endless] = False
                return done

    def _flow(self, work: Work, idle: np.ndarray) -> None:
        """Solve the states of a block but the idle ones, all powers given."""
        solve_block(
            self._factor,
            self._arrays,
            self._fast,
            self._curves,
            work,
            idle,
            self._feed,
            Rules(self.tolerance, _MOST_ITERATIONS, 2 if self.steady else 0),
        )

    def gauge(self, bench: Bench) -> Gauge:
        """Read what most limits are set on from a solved bench."""
        work, own = bench.work, bench.controls
        observed, at, seen = self.probe.observed, self._places, Seen(work.re, work.im)
        v_pu = np.empty((len(observed.voltages), WIDTH))
        lowest = np.empty((1, WIDTH))
        loading = np.empty((len(observed.elements), WIDTH))
        loading[self._unrated] = np.nan
        flows = np.empty((len(observed.flows), WIDTH))
        read_voltages(at.volt_one, at.volt_other, at.volt_scale, seen, v_pu, lowest)
        read_currents(at.amps, at.amps_first, at.amps_element, own.taps, seen, loading)
        read_powers(at.flows, at.flow_first, at.flow_node, own.taps, seen, flows[1:])
        check = Check(*np.empty((len(Check._fields), 1, WIDTH)))
        load_check(self._arrays, self._fast, self._curves, work, check)
        head, drawn = self._head_kva(work), check.drawn_kw[0]
        flows[0] = head.real
        reason = judge(check, lowest[0], np.isfinite(head) & np.isfinite(drawn))
        reason[bench.off_curve & (reason <= Reason.FLAGGED)] = Reason.EV_NOT_DELIVERED
        reason[~own.settled] = Reason.CONTROLS_UNFINISHED
        failed = work.status != CONVERGED
        reason[failed] = Reason.NOT_CONVERGED
        if failed.any():
            for array in (v_pu, loading, flows, head):
                array[..., failed] = np.nan if array.dtype == float else complex(np.nan, np.nan)
        return Gauge(v_pu, loading, flows, head, head.real - drawn, reason)

    def read(self, bench: Bench, first: int = 0, count: int = WIDTH) -> Block:
        """Read the first ``count`` states of a solved bench."""
        work, own = bench.work, bench.controls
        v_pu, loading, flows, head, losses, reason = self.gauge(bench)
        unbalance = self.unbalance(bench)
        amps = self.head_amps(bench)
        failed = work.status != CONVERGED
        for array in (losses, *unbalance, amps):
            array[..., failed] = np.nan
        mine = slice(count)
        return Block(
            first,
            v_pu[:, mine],
            loading[:, mine],
            flows[:, mine],
            head.imag[mine],
            losses[mine],
            unbalance[0][:, mine],
            unbalance[1][:, mine],
            amps[:, mine],
            own.taps[:, mine].copy(),
            own.closed[:, mine].copy(),
            reason[mine],
            work.iterations[mine].copy(),
            np.where(failed, np.nan, bench.curtailed_kw)[mine],
        )

    def voltages(self, bench: Bench) -> np.ndarray:
        """Return the service voltages of a bench, per unit, ``[node, state]``."""
        v_pu = np.empty((len(self.probe.observed.voltages), WIDTH))
        at, seen = self._places, Seen(bench.work.re, bench.work.im)
        read_voltages(at.volt_one, at.volt_other, at.volt_scale, seen, v_pu, np.empty((1, WIDTH)))
        return v_pu

    def unbalance(self, bench: Bench) -> tuple[np.ndarray, np.ndarray]:
        """Return voltage unbalance by either definition, percent, ``[balanced bus, state]``."""
        node = self.place[self.probe.balance.nodes].reshape(3, -1)
        line, sequence = np.empty((2, node.shape[1], WIDTH))
        read_unbalance(node, Seen(bench.work.re, bench.work.im), line, sequence)
        return line, sequence

    def head_amps(self, bench: Bench) -> np.ndarray:
        """Return the current out of the head bus by phase, A, ``[3, state]``."""
        work, taps = bench.work, bench.controls.taps
        rows = len(self._places.head.regulator)
        amps = np.empty((2 * rows, WIDTH))
        read_amps(self._places.head, taps, Seen(work.re, work.im), amps)
        total = np.zeros((3, WIDTH), complex)
        np.add.at(total, self.probe.balance.head_phase, amps[0::2] + 1j * amps[1::2])
        return np.abs(total)

    def volts(self, bench: Bench) -> np.ndarray:
        """Return the complex voltages of a bench in the feeder's node order, ``[node, state]``."""
        return np.asarray((bench.work.re + 1j * bench.work.im)[self.place])

    def _head_kva(self, work: Work) -> np.ndarray:
        """Return the power from all sources, kVA, ``[state]``."""
        total = np.zeros(WIDTH, complex)
        for at, matrix in self._sources:
            volts = work.re[at] + 1j * work.im[at]
            total -= (volts * (matrix @ volts).conj()).sum(axis=0)
        fed = self._fed
        total += ((work.re[fed] + 1j * work.im[fed]) * self._source[fed, None].conj()).sum(axis=0)
        return total / 1e3


def fast_of(loads: LoadTable) -> tuple[Fast, np.ndarray]:
    """Say how each load phase is evaluated for a row of states.

    Returns
    -------
    Fast
        By load phase.
    ndarray
        The polynomials of model 4: coefficients by power of
        ``(v^2 - CURVE_MIDDLE) / CURVE_HALF``, ``[curve, power]``.
    """
    count = len(loads)
    kind = np.ones(count, np.int64)
    kind[np.isin(loads.model, (POWER, GIVEN))] = 0
    kind[loads.model == IMPEDANCE] = 3
    shares = np.zeros((count, 6))
    by_model = {2: (0, 0), 3: (2, 0), 5: (1, 1), 6: (2, 2), 7: (2, 0)}
    for model, (watts, vars_) in by_model.items():
        mine = np.flatnonzero(loads.model == model)
        shares[mine, watts] = 1.0
        shares[mine, 3 + vars_] = 1.0
    zips = (loads.model == 8) & (loads.zip_shares[:, 6] <= 0)
    shares[zips] = loads.zip_shares[zips][:, :6]
    low, limit, high = loads.vmin**2, loads.vmax**2, np.full(count, np.inf)
    low[loads.model == IMPEDANCE], limit[loads.model == IMPEDANCE] = 0.0, np.inf
    cut_off = (loads.model == 8) & (loads.zip_shares[:, 6] > 0)
    high[cut_off] = 0.0  # never as a whole row
    cvr = loads.model == CVR
    kind[cvr] = 2
    low[cvr] = np.maximum(low[cvr], CURVE_MIDDLE - CURVE_HALF)
    wide = cvr & (limit > CURVE_MIDDLE + CURVE_HALF)
    high[wide] = CURVE_MIDDLE + CURVE_HALF
    above = np.array([_above(loads, k) for k in range(count)]).reshape(count, 2)
    exponents, index = np.unique(loads.exponents[cvr], return_inverse=True)
    curve = np.zeros((count, 2), np.int64)
    curve[cvr] = index.reshape(-1, 2)
    curves = np.zeros((max(len(exponents), 1), DEGREE + 1))
    for row, exponent in enumerate(exponents):
        curves[row] = _curve(float(exponent))
    return Fast(kind, low, limit, high, above, curve, shares), curves


def _steady(loads: LoadTable) -> bool:
    """Whether no load's current jumps at a limit; a charger beyond its own is invalid anyway."""
    columns = (loads.model, loads.vmin, loads.vmax, loads.vlow)
    table = np.column_stack([*columns, loads.exponents, loads.zip_shares])
    own = np.flatnonzero(loads.role != Role.CHARGER)
    for k in own[np.unique(table[own], axis=0, return_index=True)[1]]:
        limits = (float(loads.vmin[k]), float(loads.vmax[k]), float(loads.vlow[k]))
        for limit in limits:
            below, above = (
                multiplier(loads.model[k], v, limits, loads.exponents[k], loads.zip_shares[k])
                for v in (limit * (1 - _BESIDE), limit * (1 + _BESIDE))
            )
            if np.abs(np.subtract(below, above)).max() > 100 * _BESIDE:
                return False
    return True


def _above(loads: LoadTable, k: int) -> tuple[float, float]:
    """Return the multipliers of a load phase above its limit (any voltage there will do)."""
    limits = (float(loads.vmin[k]), float(loads.vmax[k]), float(loads.vlow[k]))
    high = limits[1] + 1.0
    return multiplier(loads.model[k], high, limits, loads.exponents[k], loads.zip_shares[k])


def _curve(exponent: float) -> np.ndarray:
    """Return the polynomial of ``v^(exponent - 2)`` in the scaled square of ``v``."""
    fitted = np.polynomial.chebyshev.Chebyshev.interpolate(
        lambda t: (CURVE_MIDDLE + CURVE_HALF * t) ** (0.5 * exponent - 1.0), DEGREE
    )
    return np.asarray(np.polynomial.chebyshev.cheb2poly(fitted.coef))
