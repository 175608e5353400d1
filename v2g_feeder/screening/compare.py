"""One criterion of a run beside the same of its reference: which limits break, and the effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import Criterion, Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "KW_TOLERANCE",
    "LOADING_TOLERANCE_PCT",
    "SCREEN_COLUMNS",
    "VOLTAGE_TOLERANCE_PU",
    "Pair",
    "binding",
    "broken",
    "compare",
    "excess",
    "float32",
    "invalid",
    "room",
    "stored_limit",
]

SCREEN_COLUMNS: Final = (
    "step",
    "criterion",
    "element",
    "bus",
    "node",
    "phase",
    "value",
    "limit",
    "margin",
    "unit",
    "reference_value",
    "effect",
)
VOLTAGE_TOLERANCE_PU: Final = 1e-5  # a smaller change of a violation is ``same``
LOADING_TOLERANCE_PCT: Final = 0.01  # likewise
KW_TOLERANCE: Final = 0.1  # likewise; also the reverse flow that is no flow
UNBALANCE_TOLERANCE_PCT: Final = 0.01  # likewise
OPERATIONS_TOLERANCE: Final = 0.5  # likewise
_UNITS: Final = {
    Criterion.OVER_VOLTAGE: ("pu", VOLTAGE_TOLERANCE_PU),
    Criterion.UNDER_VOLTAGE: ("pu", VOLTAGE_TOLERANCE_PU),
    Criterion.SUDDEN_VOLTAGE: ("pu", VOLTAGE_TOLERANCE_PU),
    Criterion.THERMAL: ("%", LOADING_TOLERANCE_PCT),
    Criterion.REVERSE_FLOW: ("kW", KW_TOLERANCE),
    Criterion.EMERGENCY: ("%", LOADING_TOLERANCE_PCT),
    Criterion.SLOW_VOLTAGE: ("pu", VOLTAGE_TOLERANCE_PU),
    Criterion.REGULATOR_VOLTAGE: ("pu", VOLTAGE_TOLERANCE_PU),
    Criterion.LINE_UNBALANCE: ("%", UNBALANCE_TOLERANCE_PCT),
    Criterion.SEQUENCE_UNBALANCE: ("%", UNBALANCE_TOLERANCE_PCT),
    Criterion.HEAD_UNBALANCE: ("%", UNBALANCE_TOLERANCE_PCT),
    Criterion.TAP_OPERATIONS: ("a day", OPERATIONS_TOLERANCE),
    Criterion.CAPACITOR_OPERATIONS: ("a day", OPERATIONS_TOLERANCE),
}
_CHANGES: Final = frozenset(
    (Criterion.SUDDEN_VOLTAGE, Criterion.SLOW_VOLTAGE, Criterion.REGULATOR_VOLTAGE)
)
_EFFECTS: Final = np.array([str(effect) for effect in Effect], dtype=object)
_CODE: Final = {effect: code for code, effect in enumerate(Effect)}


@dataclass(frozen=True)
class Pair:
    """Values of a run beside those of its reference.

    A reference of fewer rows stands for each so many rows of the run in turn: one day without
    vehicles for every draw.

    Parameters
    ----------
    value, reference
        ``[row, place]`` float32; a row is a step or a sudden change. ``None``: no reference.
    now, before
        Whether the run and its reference break the limit and may be screened, ``[row, place]``.
        ``None``: the reference breaks none.
    step
        Step of each row of the run.
    usable
        Whether the run may be screened, ``[row]``.
    compared
        Whether the reference may be set beside it, ``[row]`` of the reference.
    element
        Label of each row, where the row and not the place has one.
    """

    value: np.ndarray
    reference: np.ndarray | None
    now: np.ndarray
    before: np.ndarray | None
    step: np.ndarray
    usable: np.ndarray
    compared: np.ndarray
    element: np.ndarray | None = None


def broken(criterion: str, value: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Return whether each value breaks its limit, both as they are stored, ``[row, place]``.

    A limit that is not finite is never broken.
    """
    bound = stored_limit(limit)
    if criterion == Criterion.REVERSE_FLOW:
        beyond: np.ndarray = excess(criterion, value, bound) > KW_TOLERANCE
    elif criterion == Criterion.UNDER_VOLTAGE:
        beyond = value < bound
    elif criterion in _CHANGES:
        beyond = np.abs(value) > bound
    else:
        beyond = value > bound
    return beyond


def stored_limit(limit: np.ndarray) -> np.ndarray:
    """Return limits in the precision of results, NaN where there is none."""
    return np.where(np.isfinite(limit), limit, np.nan).astype(np.float32)


def excess(criterion: str, value: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Return how far values lie beyond their limits; positive is a violation, in their unit.

    Parameters
    ----------
    criterion
        A :class:`~v2g_feeder.conventions.Criterion` other than ``invalid``.
    value, limit
        As in the violation table, of shapes that broadcast.
    """
    if criterion in (Criterion.UNDER_VOLTAGE, Criterion.REVERSE_FLOW):
        beyond: np.ndarray = limit - value
    elif criterion in _CHANGES:
        beyond = np.abs(value) - limit
    else:
        beyond = value - limit
    return beyond


def binding(
    criterion: str, value: np.ndarray, limit: np.ndarray, reference: np.ndarray | None = None
) -> np.ndarray:
    """Return whether each value breaks its limit and is to blame for it.

    Parameters
    ----------
    criterion
        A :class:`~v2g_feeder.conventions.Criterion` other than ``invalid``.
    value, limit
        As in the violation table, of shapes that broadcast: ``[state, place]`` and ``[place]``.
        A limit that is not a number, or not finite, binds nowhere; so does a value that is not a
        number: whether a state is valid is decided before.
    reference
        The same without the chargers, or ``None``. Where it breaks the limit too, a value binds
        only if it is further beyond by more than the tolerance of the criterion (the "no worse
        than before" rule of California's ICA).

    Returns
    -------
    numpy.ndarray
        bool, of the broadcast shape.
    """
    _, tolerance = _UNITS[Criterion(criterion)]
    slack = KW_TOLERANCE if criterion == Criterion.REVERSE_FLOW else 0.0
    bound = np.where(np.isfinite(limit), limit, np.nan)
    beyond = excess(criterion, value, bound)
    broken: np.ndarray = beyond > slack
    if reference is not None:
        before = excess(criterion, reference, bound)
        broken = broken & ~((before > slack) & (beyond <= before + tolerance))
    return broken


def room(criterion: str, reference: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Return how much further beyond its limit each value may move before it binds.

    A value binds (:func:`binding`) where its :func:`excess` is above that of its reference by more
    than this.

    Parameters
    ----------
    criterion
        A :class:`~v2g_feeder.conventions.Criterion` other than ``invalid``.
    reference, limit
        As in the violation table, of shapes that broadcast; NaN where there is no limit.
    """
    _, tolerance = _UNITS[Criterion(criterion)]
    slack = KW_TOLERANCE if criterion == Criterion.REVERSE_FLOW else 0.0
    before = excess(criterion, reference, np.where(np.isfinite(limit), limit, np.nan))
    found: np.ndarray = np.where(before > slack, tolerance, slack - before)
    return found


def compare(
    criterion: Criterion, pair: Pair, limit: np.ndarray, labels: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the rows of one criterion, in the order of its steps and then of its places.

    Parameters
    ----------
    criterion
        Any but ``invalid``.
    pair
        The values, and those of the reference.
    limit
        Limit of each place, ``[place]``; not finite where there is none.
    labels
        Some of ``element, bus, node, phase`` of the places.

    Returns
    -------
    dict of numpy.ndarray
        Columns :data:`SCREEN_COLUMNS`.
    """
    unit, tolerance = _UNITS[criterion]
    row, place = _either(pair)
    other = row % max(1, len(pair.compared))
    value = pair.value[row, place].astype(float)
    known = np.full(len(row), np.nan)
    if pair.reference is not None:
        known = np.where(pair.compared[other], pair.reference[other, place], np.nan)
    bound = stored_limit(limit)[place].astype(float)
    beyond = excess(criterion, value, bound)
    change = beyond - excess(criterion, known, bound)
    breaks = pair.now[row, place]
    broke = np.zeros_like(breaks) if pair.before is None else pair.before[other, place]
    effect = _effect(breaks, broke, change, tolerance)
    effect[np.isnan(known)] = _CODE[Effect.NONE]
    named = {name: column[place] for name, column in labels.items()}
    if pair.element is not None:
        named["element"] = pair.element[row]
    return _columns(
        len(row),
        **named,
        step=pair.step[row],
        criterion=str(criterion),
        value=value,
        limit=limit[place],
        margin=np.where(breaks, 0.0 - beyond, np.maximum(0.0 - beyond, 0.0)),
        unit=unit,
        reference_value=known,
        effect=_EFFECTS[effect],
    )


def _either(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return row and place where the run or its reference breaks the limit."""
    either = pair.now
    if pair.before is not None:
        either = (pair.now.reshape(-1, *pair.before.shape) | pair.before).reshape(pair.now.shape)
    row, place = np.divmod(np.flatnonzero(either), max(1, either.shape[1]))
    kept = pair.usable[row]
    return row[kept], place[kept]


def _effect(
    now: np.ndarray, before: np.ndarray, change: np.ndarray, tolerance: float
) -> np.ndarray:
    """Return the code of the effect; ``change`` is how much further beyond the limit the run is."""
    return np.select(
        [~before, ~now, change > tolerance, change < -tolerance],
        [_CODE[kind] for kind in (Effect.NEW, Effect.CURED, Effect.WORSE, Effect.IMPROVED)],
        _CODE[Effect.SAME],
    )


def invalid(step: np.ndarray, reason: list[str]) -> dict[str, np.ndarray]:
    """Return one row a step that cannot be screened, named by its reason; no value, no effect."""
    return _columns(
        len(step),
        step=step,
        criterion=str(Criterion.INVALID),
        element=np.array(reason, dtype=object),
        effect=str(Effect.NONE),
    )


def float32(values: np.ndarray) -> np.ndarray:
    """Return values as they are stored; beyond the range of float32 they are infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values).astype(np.float32, copy=False)


def _columns(count: int, **columns: np.ndarray | str) -> dict[str, np.ndarray]:
    """Return all of :data:`SCREEN_COLUMNS`: scalars repeated, missing labels empty, numbers NaN."""
    numbers = ("value", "limit", "margin", "reference_value")
    table = {}
    for name in SCREEN_COLUMNS:
        column = columns.get(name, np.full(count, np.nan) if name in numbers else "")
        table[name] = np.full(count, column, dtype=object) if isinstance(column, str) else column
    return table
