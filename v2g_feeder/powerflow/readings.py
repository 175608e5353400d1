"""What is read off solved blocks: voltages, loadings, flows, and whether loads kept to their model.

The same places as :class:`~v2g_feeder.powerflow.probe.Probe` reads off one state of OpenDSS, here
for a row of states at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.powerflow.kernels import Fast, Work, by_rows, one_by_one
from v2g_feeder.powerflow.loads import LoadTable, Role, formula
from v2g_feeder.powerflow.probe import DEAD_PU, SHED_LIMIT
from v2g_feeder.powerflow.rows import (
    WIDTH,
    all_of,
    larger,
    put_row,
    row_at,
    row_of,
    row_sqrt,
    within,
)
from v2g_feeder.powerflow.solution import Reason
from v2g_feeder.powerflow.spots import check_spots

if TYPE_CHECKING:
    from v2g_feeder.powerflow.controls import Seen
    from v2g_feeder.powerflow.network import Network
    from v2g_feeder.powerflow.probe import Probe

__all__ = [
    "Check",
    "Places",
    "Rows",
    "hand_out",
    "judge",
    "load_check",
    "places",
    "read_amps",
    "read_currents",
    "read_powers",
    "read_unbalance",
    "read_voltages",
]

BASE, CHARGER = int(Role.BASE), int(Role.CHARGER)  # as compiled code takes them
_TILE: Final = 128  # places that stay in the cache
_NEGLIGIBLE: Final = 1e-6  # of a rating
_TINY: Final = 1e-12
_HALF_ROOT: Final = 0.5 * 3.0**0.5


class Rows(NamedTuple):
    """Currents as sparse rows over node voltages.

    Parameters
    ----------
    start, node, re, im
        Entries by row, siemens times the row's scale.
    power
        Of each entry: by which power of ``1 / tap`` it is multiplied.
    regulator
        Of each row: whose tap that is; -1 for none.
    """

    start: np.ndarray
    node: np.ndarray
    re: np.ndarray
    im: np.ndarray
    power: np.ndarray
    regulator: np.ndarray


class Places(NamedTuple):
    """Where a block is read; nodes in elimination order.

    Parameters
    ----------
    volt_one, volt_other, volt_scale
        Service voltages, ``[voltage]``.
    amps, amps_first, amps_element
        Conductor currents over their rating in percent, the first row of each loaded element, and
        its number.
    flows, flow_node, flow_first
        Conductor currents where power is watched, the node of each, and the first row of each
        place.
    head
        Conductor currents out of the head bus.
    """

    volt_one: np.ndarray
    volt_other: np.ndarray
    volt_scale: np.ndarray
    amps: Rows
    amps_first: np.ndarray
    amps_element: np.ndarray
    flows: Rows
    flow_node: np.ndarray
    flow_first: np.ndarray
    head: Rows


def places(network: Network, probe: Probe, place: np.ndarray) -> Places:
    """Return the places of a probe for blocks whose nodes stand by ``place``.

    Conductors whose current cannot differ from another's of the same element by more than a
    millionth of its rating (the far end of a line without capacitance) are read once.
    """
    at = np.append(place, len(place))
    scale = 100.0 / probe.amp_rating
    keep, first = _distinct(network, probe)
    return Places(
        volt_one=at[probe.volt_a],
        volt_other=at[probe.volt_b],
        volt_scale=probe.volt_scale,
        amps=_rows(network, probe.amp_at[keep], scale[keep], place),
        amps_first=first,
        amps_element=probe.amp_element,
        flows=_rows(network, probe.flow_amp, np.ones(len(probe.flow_amp)), place),
        flow_node=at[probe.flow_node],
        flow_first=np.append(probe.flow_start, len(probe.flow_amp)),
        head=_rows(network, probe.balance.head_at, np.ones(len(probe.balance.head_at)), place),
    )


def _distinct(network: Network, probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Return which loaded conductors to read, and where each element's begin among those."""
    tapped = _owner(network)
    volts = np.abs(network.nominal_volts)
    keep: list[int] = []
    first = [0]
    ends = np.append(probe.amp_start, len(probe.amp_at))[1:]
    for begin, end in zip(probe.amp_start, ends, strict=True):
        kept: list[dict[int, complex]] = []
        for number in range(begin, end):
            nodes, values = _row(network, probe.amp_at[number])
            mine = dict(zip(nodes.tolist(), values.tolist(), strict=True))
            limit = _NEGLIGIBLE * probe.amp_rating[number]
            same = tapped[probe.amp_at[number]] < 0 and any(
                sum(
                    abs(mine.get(node, 0) + other.get(node, 0)) * volts[node]
                    for node in mine.keys() | other.keys()
                )
                < limit
                for other in kept
            )
            if not same:
                kept.append(mine)
                keep.append(number)
        first.append(len(keep))
    return np.array(keep, int), np.array(first, int)


def _row(network: Network, conductor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes and the entries of a conductor's row: a slice of SciPy's takes long."""
    rows = network.conductors
    entries = slice(rows.indptr[conductor], rows.indptr[conductor + 1])
    return rows.indices[entries], rows.data[entries]


def _owner(network: Network) -> np.ndarray:
    """Return the regulator of each conductor, -1 for none."""
    owner = np.full(network.conductors.shape[0], -1)
    for number, regulator in enumerate(network.regulators):
        owner[regulator.offset : regulator.offset + len(regulator.nodes)] = number
    return owner


def _rows(network: Network, conductors: np.ndarray, scale: np.ndarray, place: np.ndarray) -> Rows:
    """Return the rows of conductors, each times its scale."""
    owner = _owner(network)
    start, node, value, power, regulator = [0], [], [], [], []
    for conductor, factor in zip(conductors.tolist(), scale.tolist(), strict=True):
        number = int(owner[conductor])
        if number < 0:
            terms = [(0, *_row(network, conductor))]
        else:
            tapped = network.regulators[number]
            nodes = np.array(tapped.nodes)
            tied = nodes >= 0
            line = tapped.matrices[:, conductor - tapped.offset]
            terms = [(n, nodes[tied], line[n][tied]) for n in range(3)]
        for exponent, nodes, values in terms:
            node += place[nodes].tolist()
            value += (values * factor).tolist()
            power += [exponent] * len(nodes)
        start.append(len(node))
        regulator.append(number)
    values = np.array(value, complex)
    return Rows(
        np.array(start),
        np.array(node, int),
        np.ascontiguousarray(values.real),
        np.ascontiguousarray(values.imag),
        np.array(power, int),
        np.array(regulator, int),
    )


@compiled
def read_voltages(
    one: np.ndarray,
    other: np.ndarray,
    scale: np.ndarray,
    seen: Seen,
    v_pu: np.ndarray,
    lowest: np.ndarray,
) -> None:
    """Write the service voltages and the lowest, per unit, ``[voltage, state]``, ``[1, state]``."""
    least = row_of(-np.inf)
    for k in range(len(one)):
        x = row_at(seen.re, one[k]) - row_at(seen.re, other[k])
        y = row_at(seen.im, one[k]) - row_at(seen.im, other[k])
        volts = row_sqrt(x * x + y * y) * scale[k]
        put_row(v_pu, k, volts)
        least = larger(least, 0.0 - volts)
    put_row(lowest, 0, 0.0 - least)


@compiled
def _current(rows: Rows, k: int, taps: np.ndarray, seen: Seen, amps: np.ndarray, to: int) -> None:
    """Write the current of row ``k``, real and imaginary; ``taps`` is ``[regulator, state]``."""
    total_re, total_im = row_of(0.0), row_of(0.0)
    for at in range(rows.start[k], rows.start[k + 1]):
        i, a, b, power = rows.node[at], rows.re[at], rows.im[at], rows.power[at]
        x, y = row_at(seen.re, i), row_at(seen.im, i)
        for _ in range(power):
            share = 1.0 / row_at(taps, rows.regulator[k])
            x, y = x * share, y * share
        total_re = total_re + x * a - y * b
        total_im = total_im + y * a + x * b
    put_row(amps, to, total_re)
    put_row(amps, to + 1, total_im)


@compiled
def read_amps(rows: Rows, taps: np.ndarray, seen: Seen, amps: np.ndarray) -> None:
    """Write the currents of all rows, real and imaginary in turn, ``[2 * row, state]``."""
    for k in range(len(rows.regulator)):
        _current(rows, k, taps, seen, amps, 2 * k)


@compiled
def read_currents(
    rows: Rows,
    first: np.ndarray,
    element: np.ndarray,
    taps: np.ndarray,
    seen: Seen,
    loading_pct: np.ndarray,
) -> None:
    """Write the largest conductor current of each loaded element, percent, ``[element, state]``."""
    amps = np.empty((2, WIDTH))
    for group in range(len(element)):
        worst = row_of(0.0)
        for k in range(first[group], first[group + 1]):
            _current(rows, k, taps, seen, amps, 0)
            x, y = row_at(amps, 0), row_at(amps, 1)
            worst = larger(worst, x * x + y * y)
        put_row(loading_pct, element[group], row_sqrt(worst))


@compiled
def read_powers(
    rows: Rows,
    first: np.ndarray,
    node: np.ndarray,
    taps: np.ndarray,
    seen: Seen,
    flow_kw: np.ndarray,
) -> None:
    """Write active power in kW into the watched terminals, ``[place, state]``."""
    amps = np.empty((2, WIDTH))
    for group in range(len(first) - 1):
        total = row_of(0.0)
        for k in range(first[group], first[group + 1]):
            _current(rows, k, taps, seen, amps, 0)
            x, y = row_at(seen.re, node[k]), row_at(seen.im, node[k])
            power = x * row_at(amps, 0) + y * row_at(amps, 1)
            total = total + power * 1e-3
        put_row(flow_kw, group, total)


@compiled
def read_unbalance(
    node: np.ndarray, seen: Seen, line_pct: np.ndarray, sequence_pct: np.ndarray
) -> None:
    """Write voltage unbalance by the definitions of :mod:`.unbalance`, ``[bus, state]``.

    Parameters
    ----------
    node
        Of phases A, B and C, ``[3, bus]``.
    seen
        Voltages.
    line_pct, sequence_pct
        Written: by line voltages, and by sequences.
    """
    line = np.empty((3, WIDTH))
    for k in range(node.shape[1]):
        for n in range(3):
            one, other = node[n, k], node[(n + 1) % 3, k]
            x = row_at(seen.re, one) - row_at(seen.re, other)
            y = row_at(seen.im, one) - row_at(seen.im, other)
            put_row(line, n, row_sqrt(x * x + y * y))
        mean = (row_at(line, 0) + row_at(line, 1) + row_at(line, 2)) * (1.0 / 3.0)
        worst = row_of(0.0)
        for n in range(3):
            off = row_at(line, n) - mean
            worst = larger(worst, off * off)
        put_row(line_pct, k, row_sqrt(worst) * 100.0 / larger(row_of(_TINY), mean))
        b, c = node[1, k], node[2, k]
        x = row_at(seen.re, node[0, k]) - (row_at(seen.re, b) + row_at(seen.re, c)) * 0.5
        y = row_at(seen.im, node[0, k]) - (row_at(seen.im, b) + row_at(seen.im, c)) * 0.5
        u = (row_at(seen.re, b) - row_at(seen.re, c)) * _HALF_ROOT
        v = (row_at(seen.im, b) - row_at(seen.im, c)) * _HALF_ROOT
        positive = row_sqrt((x - v) * (x - v) + (y + u) * (y + u))
        negative = row_sqrt((x + v) * (x + v) + (y - u) * (y - u))
        put_row(sequence_pct, k, negative * 100.0 / larger(row_of(_TINY), positive))


@compiled
def hand_out(
    values: np.ndarray, states: np.ndarray, units: np.ndarray, steps: np.ndarray, found: np.ndarray
) -> None:
    """Write ``[place, state]`` of some states to where their units' steps are kept.

    Parameters
    ----------
    values
        As read.
    states, units, steps
        Which states, and what they have solved.
    found
        Written, ``[unit, step, place]``.
    """
    for first in range(0, len(values), _TILE):
        for n in range(len(states)):
            kept, state = found[units[n], steps[n]], states[n]
            for k in range(first, min(first + _TILE, len(values))):
                kept[k] = values[k, state]


class Check(NamedTuple):
    """What loads do, ``[1, state]`` each.

    Parameters
    ----------
    drawn_kw
        Delivered to all load phases.
    modelled_kw, shed_kw
        What base loads would draw if their models had no lower limit, and what of that they do not.
    high
        1 where a base load that draws switched above its limit.
    off
        1 where a charger that is not idle is outside its limits.
    """

    drawn_kw: np.ndarray
    modelled_kw: np.ndarray
    shed_kw: np.ndarray
    high: np.ndarray
    off: np.ndarray


@compiled
def load_check(loads: LoadTable, fast: Fast, curves: np.ndarray, work: Work, check: Check) -> None:
    """Compare what loads draw at the voltages of ``work`` with what their models say."""
    square, found = np.empty((1, WIDTH)), np.empty((2, WIDTH))
    zero, one_of_all = row_of(0.0), row_of(1.0)
    drawn, high, off = row_of(0.0), row_of(0.0), row_of(0.0)
    base = row_of(0.0)
    check.shed_kw[:] = 0.0
    check.modelled_kw[:] = 0.0
    for k in range(len(loads.one)):
        one, other = loads.one[k], loads.other[k]
        x = row_at(work.re, one) - row_at(work.re, other)
        y = row_at(work.im, one) - row_at(work.im, other)
        u = (x * x + y * y) * (1.0 / (loads.volts[k] * loads.volts[k]))
        put_row(square, 0, u)
        by_rows(fast, curves, k, square, found)
        regular = all_of(within(row_of(fast.low[k]), u, row_of(fast.high[k])))
        if not regular:
            one_by_one(loads, fast, k, square, found, work.kvar)
        nominal = row_at(work.kw, loads.row[k]) * (1e-3 * loads.watts[k])
        mine = row_at(found, 0) * u * nominal
        drawn = drawn + mine
        below = within(zero, u, row_of(fast.limit[k]))
        if loads.role[k] == CHARGER:
            fits = within(row_of(fast.low[k]), u, row_of(fast.limit[k]))
            idle = within(row_of(-1e-9), nominal, row_of(1e-9))
            off = larger(off, one_of_all - larger(fits, idle))
        elif loads.role[k] == BASE:
            base = base + mine
            idle = within(row_of(-np.inf), nominal, zero)
            high = larger(high, one_of_all - larger(below, idle))
            if not regular:
                _shed(loads, k, square, found, work, check)
    put_row(check.drawn_kw, 0, drawn)
    put_row(check.modelled_kw, 0, base + row_at(check.modelled_kw, 0))
    put_row(check.high, 0, high)
    put_row(check.off, 0, off)
    check_spots(work.spots, work.re, work.im, check)


@compiled
def _shed(
    loads: LoadTable,
    k: int,
    square: np.ndarray,
    found: np.ndarray,
    work: Work,
    check: Check,
) -> None:
    """Add what a base load below its lower limit does not draw."""
    if loads.model[k] == 2:
        return
    for s in range(WIDTH):
        v = np.sqrt(square[0, s])
        if v < loads.vmin[k]:
            wanted, _ = formula(loads.model[k], v, loads.exponents[k], loads.zip_shares[k])
            kw = 1e-3 * loads.watts[k] * work.kw[loads.row[k], s] * square[0, s]
            missing = (wanted - found[0, s]) * kw
            check.modelled_kw[0, s] += missing
            check.shed_kw[0, s] += max(missing, 0.0)


def judge(check: Check, lowest: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Apply the validity gate to a block of converged states.

    Parameters
    ----------
    check
        What the loads do.
    lowest
        Lowest service voltage, per unit, ``[state]``.
    finite
        Whether a state's powers are numbers, ``[state]``.

    Returns
    -------
    ndarray
        :class:`~v2g_feeder.powerflow.solution.Reason` codes, ``[state]``.
    """
    reason = np.full(len(lowest), Reason.VALID, np.uint8)
    reason[check.high[0] > 0] = Reason.HIGH_VOLTAGE_SWITCHED
    shed = check.shed_kw[0] > SHED_LIMIT * np.maximum(check.modelled_kw[0], 1e-9)
    reason[shed] = Reason.LOAD_SHED
    reason[check.off[0] > 0] = Reason.EV_NOT_DELIVERED
    reason[lowest < DEAD_PU] = Reason.NOT_ENERGISED
    reason[~finite] = Reason.NOT_FINITE
    return reason
