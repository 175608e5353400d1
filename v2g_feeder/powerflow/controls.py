"""Regulators and switched capacitors: what OpenDSS's static control loop would do, state by state.

After each solution every control is sampled. One that is out of band asks for a change after its
delay; one that is back in band withdraws; of all that ask, those with the shortest delay act, and
the network is solved again, until none asks. A regulator then moves 70 % of the way that its band
asks for and at least one tap (OpenDSS, *RegControl* and *CapControl*, control mode static).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.errors import FeederError
from v2g_feeder.powerflow.mixing import CONVERGED
from v2g_feeder.powerflow.rows import WIDTH

if TYPE_CHECKING:
    from v2g_feeder.feeder.engine import Engine
    from v2g_feeder.feeder.model import Feeder
    from v2g_feeder.powerflow.kernels import Work
    from v2g_feeder.powerflow.network import Network

__all__ = [
    "CapacitorControls",
    "ControlWork",
    "RegulatorControls",
    "Seen",
    "control_work",
    "read_controls",
    "sample",
]

_MOST_CONDUCTORS: Final = 8
_PICK: Final = {"max": -1, "min": -2, "avg": -3}
_KINDS: Final = {"current": 0, "voltage": 1, "kvar": 2, "time": 3}
_NOTHING, _OPEN, _CLOSE = 0, 1, 2
FORWARD, REVERSE, COGENERATION = 0, 1, 2
_SHARE: Final = 0.7  # of the way to the target that a static tap change goes


class RegulatorControls(NamedTuple):
    """Settings of the regulators, ``[control]``; places are in elimination order.

    Parameters
    ----------
    node
        Node of each conductor, ``[control, conductor]``, ground after the last.
    matrices
        Matrices of the transformer, ``[control, term, conductor, conductor]``.
    first, phases
        First conductor of the sensed winding and its number of phases.
    one, other
        Nodes of the sensed voltages, ``[control, phase]``.
    pick
        Phase that is sensed, from 0; -1 the highest, -2 the lowest.
    remote
        Whether another bus is sensed.
    volts, volts_ratio, remote_ratio, amps_ratio
        Rated voltage of the sensed winding, and transformer ratios.
    target, band, r, x, ldc
        Forward settings, and those of reverse, ``[control, 2]``, in volts.
    step, low, high, most
        Tap step and range per unit, and the most taps of one change.
    delay, tap_delay, back_delay
        Seconds.
    inverse
        Whether the delay falls with the distance from the target.
    ceiling
        Voltage limit at the regulator, 0 for none.
    opposite
        Whether a higher tap lowers the sensed voltage.
    reversible, neutral, cogeneration, threshold_w
        Reverse operation.
    """

    node: np.ndarray
    matrices: np.ndarray
    first: np.ndarray
    phases: np.ndarray
    one: np.ndarray
    other: np.ndarray
    pick: np.ndarray
    remote: np.ndarray
    volts: np.ndarray
    volts_ratio: np.ndarray
    remote_ratio: np.ndarray
    amps_ratio: np.ndarray
    target: np.ndarray
    band: np.ndarray
    r: np.ndarray
    x: np.ndarray
    ldc: np.ndarray
    step: np.ndarray
    low: np.ndarray
    high: np.ndarray
    most: np.ndarray
    delay: np.ndarray
    tap_delay: np.ndarray
    back_delay: np.ndarray
    inverse: np.ndarray
    ceiling: np.ndarray
    opposite: np.ndarray
    reversible: np.ndarray
    neutral: np.ndarray
    cogeneration: np.ndarray
    threshold_w: np.ndarray


class CapacitorControls(NamedTuple):
    """Settings of the switched banks, ``[control]``.

    Parameters
    ----------
    bank
        Which bank is switched.
    node, matrix, first, phases
        The monitored element: nodes, matrix, first conductor of its terminal, phases.
    kind
        0 current, 1 voltage, 2 kvar, 3 time of day.
    pick_volts, pick_amps
        Phase that is sensed, from 0; -1 the highest, -2 the lowest, -3 the mean.
    volts_ratio, amps_ratio
        Transformer ratios.
    on, off
        Settings, in the unit of the kind.
    override, vmin, vmax
        Voltage override.
    delay_on, delay_off, dead
        Seconds.
    delta
        Whether the bank is in delta, so that line voltages are sensed.
    """

    bank: np.ndarray
    node: np.ndarray
    matrix: np.ndarray
    first: np.ndarray
    phases: np.ndarray
    kind: np.ndarray
    pick_volts: np.ndarray
    pick_amps: np.ndarray
    volts_ratio: np.ndarray
    amps_ratio: np.ndarray
    on: np.ndarray
    off: np.ndarray
    override: np.ndarray
    vmin: np.ndarray
    vmax: np.ndarray
    delay_on: np.ndarray
    delay_off: np.ndarray
    dead: np.ndarray
    delta: np.ndarray


class ControlWork(NamedTuple):
    """Controls of one block, last axis states.

    Parameters
    ----------
    taps, closed
        ``[regulator, state]``, ``[bank, state]``.
    mode, back_due
        Forward, reverse or cogeneration, and when a pending change of it is due (infinite for
        none), ``[regulator, state]``.
    pending, due
        Tap change asked for, and when, ``[regulator, state]``.
    switch, switch_due, opened
        The same of banks, and whether one opened in this solution, ``[bank control, state]``.
    settled
        ``[state]``.
    """

    taps: np.ndarray
    closed: np.ndarray
    mode: np.ndarray
    back_due: np.ndarray
    pending: np.ndarray
    due: np.ndarray
    switch: np.ndarray
    switch_due: np.ndarray
    opened: np.ndarray
    settled: np.ndarray


class Seen(NamedTuple):
    """Node voltages of a block, ``[node + ground, state]``."""

    re: np.ndarray
    im: np.ndarray


def control_work(regulators: int, banks: int) -> ControlWork:
    """Return the arrays of a block of so many controls, with nothing pending."""
    shape, banked = (regulators, WIDTH), (banks, WIDTH)
    return ControlWork(
        taps=np.ones(shape),
        closed=np.zeros(banked),
        mode=np.zeros(shape, np.int64),
        back_due=np.full(shape, np.inf),
        pending=np.zeros(shape),
        due=np.full(shape, np.inf),
        switch=np.zeros(banked, np.int64),
        switch_due=np.full(banked, np.inf),
        opened=np.zeros(banked, np.bool_),
        settled=np.zeros(WIDTH, np.bool_),
    )


@compiled
def _amps(
    node: np.ndarray, matrices: np.ndarray, row: int, share: float, seen: Seen, s: int
) -> complex:
    """Return the current into conductor ``row`` of an element; ``share`` is ``1 / tap``."""
    total = 0.0j
    for j in range(len(node)):
        y = matrices[0, row, j]
        if len(matrices) > 1:
            y = y + share * (matrices[1, row, j] + share * matrices[2, row, j])
        total += y * complex(seen.re[node[j], s], seen.im[node[j], s])
    return total


@compiled
def _watts(controls: RegulatorControls, c: int, share: float, seen: Seen, s: int) -> complex:
    """Return the power that leaves the sensed winding of a regulator, W."""
    total = 0.0
    for phase in range(controls.phases[c]):
        row = controls.first[c] + phase
        node = controls.node[c, row]
        amps = _amps(controls.node[c], controls.matrices[c], row, share, seen, s)
        total -= (complex(seen.re[node, s], seen.im[node, s]) * amps.conjugate()).real
    return total


@compiled
def _mode(controls: RegulatorControls, c: int, seen: Seen, own: ControlWork, s: int) -> None:
    """Ask for a change of the direction in which a regulator looks, or withdraw it."""
    power = _watts(controls, c, 1.0 / own.taps[c, s], seen, s)
    if own.mode[c, s] == FORWARD:
        asks = power < -controls.threshold_w[c]
    else:
        asks = power > controls.threshold_w[c]
    if not asks:
        own.back_due[c, s] = np.inf
    elif not np.isfinite(own.back_due[c, s]):
        own.back_due[c, s] = controls.back_delay[c]


@compiled
def _sensed(
    controls: RegulatorControls, c: int, seen: Seen, own: ControlWork, s: int
) -> tuple[float, float]:
    """Return the sensed voltage, V at the relay, without and with line-drop compensation."""
    pick = controls.pick[c]
    if pick < 0:
        best = -1.0
        for phase in range(controls.phases[c]):
            one, other = controls.one[c, phase], controls.other[c, phase]
            x, y = seen.re[one, s] - seen.re[other, s], seen.im[one, s] - seen.im[other, s]
            v = np.sqrt(x * x + y * y)
            if best < 0.0 or (v > best if controls.pick[c] == -1 else v < best):
                best, pick = v, phase
    one, other = controls.one[c, pick], controls.other[c, pick]
    volts = complex(seen.re[one, s] - seen.re[other, s], seen.im[one, s] - seen.im[other, s])
    if controls.remote[c]:
        remote = abs(volts) / controls.remote_ratio[c]
        return remote, remote
    volts /= controls.volts_ratio[c]
    plain = abs(volts)
    side = 0 if own.mode[c, s] == FORWARD else 1
    if controls.r[c, 0] == 0.0 and controls.x[c, 0] == 0.0 and controls.ldc[c, 0] == 0.0:
        return plain, plain
    row = controls.first[c] + pick
    amps = _amps(controls.node[c], controls.matrices[c], row, 1.0 / own.taps[c, s], seen, s)
    amps /= controls.amps_ratio[c]
    if controls.ldc[c, 0] != 0.0:
        return plain, abs(plain - abs(amps) * controls.ldc[c, side])
    return plain, abs(volts + complex(controls.r[c, side], controls.x[c, side]) * amps)


@compiled
def _local(controls: RegulatorControls, c: int, seen: Seen, s: int) -> float:
    """Return the voltage at the regulator itself, first phase, V at its relay."""
    first, phases = controls.first[c], controls.phases[c]
    one = controls.node[c, first]
    other = controls.node[c, first + phases] if not controls.remote[c] else len(seen.re) - 1
    x, y = seen.re[one, s] - seen.re[other, s], seen.im[one, s] - seen.im[other, s]
    return float(np.sqrt(x * x + y * y) / controls.volts_ratio[c])


@compiled
def _to_neutral(controls: RegulatorControls, c: int, own: ControlWork, s: int) -> None:
    """Ask for the neutral tap."""
    if np.isfinite(own.due[c, s]):
        return
    steps = np.rint((1.0 - own.taps[c, s]) / controls.step[c])
    own.pending[c, s] = steps * controls.step[c]
    if steps != 0.0:
        own.due[c, s] = controls.tap_delay[c]


@compiled
def _regulate(controls: RegulatorControls, c: int, seen: Seen, own: ControlWork, s: int) -> None:
    """Sample a regulator of one state."""
    if controls.most[c] == 0:
        return
    tap = own.taps[c, s]
    if not controls.remote[c] and (controls.reversible[c] or controls.cogeneration[c]):
        looked = own.mode[c, s]
        _mode(controls, c, seen, own, s)
        if looked != FORWARD and controls.neutral[c]:
            _to_neutral(controls, c, own, s)
            return
    local, actual = _sensed(controls, c, seen, own, s)
    if controls.remote[c]:
        local = _local(controls, c, seen, s)
    side = 0 if own.mode[c, s] == FORWARD else 1
    reverse = own.mode[c, s] == REVERSE
    if reverse:
        actual /= tap
    target, band = controls.target[c, side], controls.band[c, side]
    limited = controls.ceiling[c] > 0.0 and local > controls.ceiling[c]
    if not (abs(target - actual) > band / 2.0 or limited):
        own.pending[c, s] = 0.0
        own.due[c, s] = np.inf
        return
    boost = controls.ceiling[c] - local if limited else target - actual
    steps = np.rint(boost * controls.volts_ratio[c] / controls.volts[c] / controls.step[c])
    if controls.opposite[c] != reverse:
        steps = -steps
    own.pending[c, s] = steps * controls.step[c]
    possible = tap < controls.high[c] if steps > 0 else tap > controls.low[c]
    if steps != 0.0 and possible and not np.isfinite(own.due[c, s]):
        delay = controls.delay[c]
        if controls.inverse[c]:
            delay /= min(10.0, 2.0 * abs(controls.target[c, 0] - actual) / controls.band[c, 0])
        own.due[c, s] = delay


@compiled
def _picked(values: np.ndarray, count: int, pick: int) -> float:
    """Return the sensed phase, the highest, the lowest or the mean of some magnitudes."""
    if pick >= 0:
        return float(values[pick])
    if pick == -1:
        return float(values[:count].max())
    if pick == -2:
        return float(values[:count].min())
    return float(values[:count].mean())


@compiled
def _bank_volts(controls: CapacitorControls, c: int, seen: Seen, s: int) -> float:
    """Return the voltage that a bank's control senses, V at its relay."""
    count, first = controls.phases[c], controls.first[c]
    values = np.empty(count)
    for phase in range(count):
        one = controls.node[c, first + phase]
        volts = complex(seen.re[one, s], seen.im[one, s])
        if controls.delta[c] and controls.pick_volts[c] >= 0:
            other = controls.node[c, first + (phase + 1) % count]
            volts -= complex(seen.re[other, s], seen.im[other, s])
        values[phase] = abs(volts)
    return float(_picked(values, count, controls.pick_volts[c]) / controls.volts_ratio[c])


@compiled
def _measured(controls: CapacitorControls, c: int, seen: Seen, s: int, hour: float) -> float:
    """Return what a bank's control compares with its settings."""
    kind = controls.kind[c]
    if kind == 1:
        return _bank_volts(controls, c, seen, s)
    if kind == 3:
        return hour
    count = controls.phases[c]
    values = np.empty(count)
    kvar = 0.0
    for phase in range(count):
        row = controls.first[c] + phase
        node = controls.node[c, row]
        amps = _amps(controls.node[c], controls.matrix[c], row, 1.0, seen, s)
        values[phase] = abs(amps)
        power = complex(seen.re[node, s], seen.im[node, s]) * amps.conjugate()
        kvar += power.imag / 1e3
    if kind == 2:
        return kvar
    return float(_picked(values, count, controls.pick_amps[c]) / controls.amps_ratio[c])


@compiled
def _wanted(
    controls: CapacitorControls, c: int, closed: bool, seen: Seen, s: int, hour: float
) -> int:
    """Return what a bank's control asks for."""
    if controls.override[c] and controls.kind[c] != 1:
        volts = _bank_volts(controls, c, seen, s)
        if not closed and volts < controls.vmin[c]:
            return _CLOSE
        if closed and volts > controls.vmax[c]:
            return _OPEN
    value = _measured(controls, c, seen, s, hour)
    on, off, kind = controls.on[c], controls.off[c], controls.kind[c]
    if kind == 1:
        asks = value > off if closed else value < on
    elif kind == 3 and closed:
        asks = value >= off or value < on if off > on else off <= value < on
    elif kind == 3:
        asks = on <= value < (off if off > on else 24.0)
    else:
        asks = value < off if closed else value > on
    if not asks:
        return _NOTHING
    return _OPEN if closed else _CLOSE


@compiled
def _switch(
    controls: CapacitorControls, c: int, seen: Seen, own: ControlWork, s: int, hour: float
) -> None:
    """Sample a bank's control of one state."""
    closed = own.closed[controls.bank[c], s] > 0.0
    wanted = _wanted(controls, c, closed, seen, s, hour)
    if wanted == _NOTHING:
        own.switch_due[c, s] = np.inf
    elif not np.isfinite(own.switch_due[c, s]):
        delay = controls.delay_on[c] if wanted == _CLOSE else controls.delay_off[c]
        if wanted == _CLOSE and own.opened[c, s]:
            delay += controls.dead[c]
        own.switch_due[c, s] = delay
    own.switch[c, s] = wanted


@compiled
def sample(
    regulators: RegulatorControls,
    banks: CapacitorControls,
    work: Work,
    own: ControlWork,
    hour: np.ndarray,
) -> bool:
    """Sample the controls of a solved block and let those act that are due first.

    Parameters
    ----------
    regulators, banks
        Settings, packed.
    work
        The block's voltages.
    own
        The block's controls; states are marked settled where nothing is left to do.
    hour
        Time of day, ``[state]``, for banks that follow it.

    Returns
    -------
    bool
        Whether all states are settled.
    """
    done = True
    seen = Seen(work.re, work.im)
    for s in range(WIDTH):
        if own.settled[s]:
            continue
        if work.status[s] != CONVERGED:
            own.settled[s] = True
            continue
        first = np.inf
        for c in range(len(regulators)):
            _regulate(regulators, c, seen, own, s)
            first = min(first, own.due[c, s], own.back_due[c, s])
        for c in range(len(banks)):
            _switch(banks, c, seen, own, s, hour[s])
            first = min(first, own.switch_due[c, s])
        if not np.isfinite(first):
            own.settled[s] = True
            continue
        done = False
        _act(regulators, banks, own, s, first)
    return done


@compiled
def _act(
    regulators: RegulatorControls,
    banks: CapacitorControls,
    own: ControlWork,
    s: int,
    first: float,
) -> None:
    """Let the controls act that are due first."""
    for c in range(len(regulators)):
        if own.back_due[c, s] <= first:
            other = COGENERATION if regulators.cogeneration[c] else REVERSE
            own.mode[c, s] = other if own.mode[c, s] == FORWARD else FORWARD
            own.back_due[c, s] = np.inf
        if own.due[c, s] <= first:
            asked, step = own.pending[c, s], regulators.step[c]
            if asked != 0.0:
                taps = max(1.0, np.floor(_SHARE * abs(asked) / step))
                taps = min(taps, regulators.most[c])
                moved = own.taps[c, s] + np.sign(asked) * taps * step
                own.taps[c, s] = min(max(moved, regulators.low[c]), regulators.high[c])
            own.pending[c, s] = 0.0
            own.due[c, s] = np.inf
    for c in range(len(banks)):
        if own.switch_due[c, s] <= first:
            own.closed[banks.bank[c], s] = 1.0 if own.switch[c, s] == _CLOSE else 0.0
            own.opened[c, s] = own.opened[c, s] or own.switch[c, s] == _OPEN
            own.switch_due[c, s] = np.inf


def read_controls(
    engine: Engine, feeder: Feeder, network: Network, place: np.ndarray
) -> tuple[RegulatorControls, CapacitorControls]:
    """Read the settings of the controls of the circuit that ``engine`` holds.

    Parameters
    ----------
    engine, feeder, network
        The circuit, and what was read from it.
    place
        Place of every node in elimination order.

    Raises
    ------
    FeederError
        With the names of controls that the batch engine does not follow.
    """
    at = np.append(place, len(place))
    transformers = {str(row["Name"]).lower(): row for row in engine.properties("Transformer")}
    settings = {str(row["Name"]).lower(): row for row in engine.properties("RegControl")}
    rows = [
        _regulator_row(
            settings[name], transformers[network.regulators[number].transformer],
            network, number, feeder, at,
        )
        for number, name in enumerate(feeder.regulators["control"])
    ]  # fmt: skip
    return _stacked(RegulatorControls, rows), _bank_rows(engine, network, at)


def _stacked(kind: Any, rows: list[dict[str, Any]]) -> Any:
    """Return one array a setting."""
    shapes = {
        "node": (0, _MOST_CONDUCTORS), "matrices": (0, 3, _MOST_CONDUCTORS, _MOST_CONDUCTORS),
        "matrix": (0, 1, _MOST_CONDUCTORS, _MOST_CONDUCTORS), "one": (0, 3), "other": (0, 3),
    }  # fmt: skip
    pairs = ("target", "band", "r", "x", "ldc")
    shapes |= dict.fromkeys(pairs, (0, 2))
    whole = {"node", "first", "phases", "one", "other", "pick", "bank", "kind", "pick_volts",
             "pick_amps"}  # fmt: skip
    truth = {"remote", "inverse", "opposite", "reversible", "neutral", "cogeneration", "override",
             "delta"}  # fmt: skip
    found = {}
    for name in kind._fields:
        dtype: Any = np.int64 if name in whole else np.bool_ if name in truth else float
        dtype = complex if name in {"matrices", "matrix"} else dtype
        empty = np.empty(shapes.get(name, (0,)), dtype)
        found[name] = np.array([row[name] for row in rows], dtype) if rows else empty
    return kind(**found)


def _padded(
    nodes: tuple[int, ...], matrices: np.ndarray, at: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes by place and matrices, filled up to the most conductors."""
    count = len(nodes)
    if count > _MOST_CONDUCTORS:
        raise FeederError(f"the batch engine cannot represent {name}: {count} conductors")
    node = np.full(_MOST_CONDUCTORS, len(at) - 1)
    node[:count] = at[list(nodes)]
    filled = np.zeros((len(matrices), _MOST_CONDUCTORS, _MOST_CONDUCTORS), complex)
    filled[:, :count, :count] = matrices
    return node, filled


def _regulator_row(
    row: dict[str, Any],
    transformer: dict[str, Any],
    network: Network,
    number: int,
    feeder: Feeder,
    at: np.ndarray,
) -> dict[str, Any]:
    """Return the settings of one regulator."""
    name = f"RegControl.{row['Name']}"
    regulator = network.regulators[number]
    node, matrices = _padded(regulator.nodes, regulator.matrices, at, name)
    phases, sensed = int(transformer["Phases"]), int(row["Winding"]) - 1
    conductors = len(regulator.nodes) // len(transformer["Buses"])
    first = sensed * conductors
    delta = str(transformer["Conns"][sensed]).lower().startswith(("d", "l"))
    one, other = np.full(3, len(at) - 1), np.full(3, len(at) - 1)
    one[:phases] = node[first : first + phases]
    ends = [(k + 1) % max(phases, 2) if delta else phases for k in range(phases)]
    other[:phases] = [node[first + end] for end in ends]
    if row["Bus"]:
        bus, *numbers = str(row["Bus"]).lower().split(".")
        wanted = f"{bus}.{numbers[0] if numbers else 1}"
        one[0], other[0] = at[feeder.node_index[wanted]], len(at) - 1
    moved = regulator.winding - 1
    kv = float(transformer["kVs"][sensed])
    wye_of_many = phases > 1 and not delta
    pick = str(row["PTPhase"]).lower()
    low, high = float(transformer["MinTap"][moved]), float(transformer["MaxTap"][moved])
    return {
        "node": node, "matrices": matrices, "first": first, "phases": phases,
        "one": one, "other": other,
        "pick": 0 if row["Bus"] else _PICK[pick] if pick in _PICK else int(pick) - 1,
        "remote": bool(row["Bus"]), "volts": kv * 1e3 / (np.sqrt(3.0) if wye_of_many else 1.0),
        "volts_ratio": row["PTRatio"], "remote_ratio": row["RemotePTRatio"],
        "amps_ratio": row["CTPrim"], "target": (row["VReg"], row["RevVReg"]),
        "band": (row["Band"], row["RevBand"]), "r": (row["R"], row["RevR"]),
        "x": (row["X"], row["RevX"]), "ldc": (row["LDC_Z"], row["Rev_Z"]),
        "step": (high - low) / transformer["NumTaps"][moved], "low": low, "high": high,
        "most": row["MaxTapChange"], "delay": row["Delay"], "tap_delay": row["TapDelay"],
        "back_delay": row["RevDelay"], "inverse": row["InverseTime"], "ceiling": row["VLimit"],
        "opposite": moved != sensed, "reversible": row["Reversible"],
        "neutral": row["RevNeutral"], "cogeneration": row["Cogen"],
        "threshold_w": row["RevThreshold"] * 1e3,
    }  # fmt: skip


def _bank_rows(engine: Engine, network: Network, at: np.ndarray) -> CapacitorControls:
    """Return the settings of the banks' controls."""
    order = {bank.name: number for number, bank in enumerate(network.banks)}
    controls = engine.properties("CapControl")
    stated = engine.circuit().get("Capacitor", []) if controls else []
    banks = {str(row["Name"]).lower(): row for row in stated}
    rows, refused = [], []
    for row in controls:
        capacitor = str(row["Capacitor"]).split(".")[-1].lower()
        if not row["Enabled"] or capacitor not in order:
            continue
        kind = str(row["Type"]).lower()
        if kind not in _KINDS or row["VBus"] or row["ControlSignal"]:
            refused.append(f"CapControl.{row['Name']} (type {kind})")
            continue
        nodes, matrix = engine.primitive(str(row["Element"]))
        node, matrices = _padded(nodes, matrix[None], at, f"CapControl.{row['Name']}")
        phases, conductors = engine.phases(str(row["Element"]))
        rows.append({
            "bank": order[capacitor], "node": node, "matrix": matrices,
            "first": (int(row["Terminal"]) - 1) * conductors, "phases": phases,
            "kind": _KINDS[kind], "pick_volts": _phase(row["PTPhase"]),
            "pick_amps": _phase(row["CTPhase"]), "volts_ratio": row["PTRatio"],
            "amps_ratio": row["CTRatio"], "on": row["OnSetting"], "off": row["OffSetting"],
            "override": row["VoltOverride"], "vmin": row["VMin"], "vmax": row["VMax"],
            "delay_on": row["Delay"], "delay_off": row["DelayOff"], "dead": row["DeadTime"],
            "delta": str(banks[capacitor].get("Conn", "wye")).lower().startswith(("d", "l")),
        })  # fmt: skip
    if refused:
        raise FeederError("the batch engine cannot represent " + ", ".join(refused))
    return _stacked(CapacitorControls, rows)  # type: ignore[no-any-return]


def _phase(text: object) -> int:
    """Return the phase of a setting, from 0, or the code of a choice among them."""
    word = str(text).lower()
    return _PICK[word] if word in _PICK else int(word) - 1
