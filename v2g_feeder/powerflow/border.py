"""The small matrices that regulators and switched banks leave, inverted for a row of states.

What :mod:`.factor` leaves at the border is the same for all states; regulators at their taps and
banks add a few numbers to it. The states of a row are inverted side by side, by the same
instructions, so that none depends on the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.powerflow.rows import put_row, row_at, row_of

if TYPE_CHECKING:
    from v2g_feeder.powerflow.kernels import Work
    from v2g_feeder.powerflow.network import Network

__all__ = ["Border", "border_of", "invert"]


class Border(NamedTuple):
    """The matrix at the border as a function of taps and banks.

    Parameters
    ----------
    re, im
        What all states share, siemens, ``[border, border]``.
    row, column, value_re, value_im
        Numbers added to it, each times a weight, ``[number]``.
    regulator, power
        Whose ``1 / tap`` to which power the weight is; -1 for a bank.
    bank
        Whose state, 0 or 1, the weight is; -1 for a regulator.
    """

    re: np.ndarray
    im: np.ndarray
    row: np.ndarray
    column: np.ndarray
    value_re: np.ndarray
    value_im: np.ndarray
    regulator: np.ndarray
    power: np.ndarray
    bank: np.ndarray


def border_of(network: Network, left: np.ndarray) -> Border:
    """Return the matrix at the border.

    Parameters
    ----------
    network
        Its regulators and banks.
    left
        What the elimination of all other nodes has left, ``[border, border]``.
    """
    found: list[tuple[int, int, complex, int, int, int]] = []
    for number, regulator in enumerate(network.regulators):
        for power, matrix in enumerate(regulator.matrices):
            found += [(*at, number, power, -1) for at in _entries(network, regulator.nodes, matrix)]
    for number, bank in enumerate(network.banks):
        found += [(*at, -1, 0, number) for at in _entries(network, bank.nodes, bank.matrix)]
    columns = list(zip(*found, strict=True)) if found else [()] * 6
    row, column, value, regulators, powers, banks = columns
    values = np.array(value, complex)
    return Border(
        np.ascontiguousarray(left.real),
        np.ascontiguousarray(left.imag),
        np.array(row, np.int64),
        np.array(column, np.int64),
        np.ascontiguousarray(values.real),
        np.ascontiguousarray(values.imag),
        np.array(regulators, np.int64),
        np.array(powers, np.int64),
        np.array(banks, np.int64),
    )


def _entries(
    network: Network, nodes: tuple[int, ...], matrix: np.ndarray
) -> list[tuple[int, int, complex]]:
    """Return row, column and value of an element's matrix at the border."""
    at = np.array(nodes)
    where = np.searchsorted(network.border, at)
    return [
        (int(where[i]), int(where[j]), complex(matrix[i, j]))
        for i in np.flatnonzero(at >= 0)
        for j in np.flatnonzero(at >= 0)
        if matrix[i, j] != 0
    ]


@compiled
def invert(border: Border, taps: np.ndarray, closed: np.ndarray, work: Work) -> None:
    """Write the inverse of every state's matrix into ``work``.

    Parameters
    ----------
    border
        The matrix.
    taps, closed
        ``[regulator, state]`` and ``[bank, state]``.
    work
        Of which ``border_re`` and ``border_im`` are written.
    """
    re, im = work.border_re, work.border_im
    size = len(border.re)
    for i in range(size):
        for j in range(size):
            put_row(re, i * size + j, row_of(border.re[i, j]))
            put_row(im, i * size + j, row_of(border.im[i, j]))
    for entry in range(len(border.row)):
        at = border.row[entry] * size + border.column[entry]
        weight = row_of(1.0)
        for _ in range(border.power[entry]):
            weight = weight / row_at(taps, border.regulator[entry])
        if border.bank[entry] >= 0:
            weight = row_at(closed, border.bank[entry])
        put_row(re, at, row_at(re, at) + weight * border.value_re[entry])
        put_row(im, at, row_at(im, at) + weight * border.value_im[entry])
    for k in range(size):
        _eliminate(re, im, k, size)


@compiled
def _eliminate(re: np.ndarray, im: np.ndarray, k: int, size: int) -> None:
    """Do one step of the inversion in place (Gauss and Jordan, on the diagonal)."""
    a, b = row_at(re, k * size + k), row_at(im, k * size + k)
    scale = 1.0 / (a * a + b * b)
    a, b = a * scale, row_of(0.0) - b * scale
    put_row(re, k * size + k, row_of(1.0))
    put_row(im, k * size + k, row_of(0.0))
    for j in range(size):
        x, y = row_at(re, k * size + j), row_at(im, k * size + j)
        put_row(re, k * size + j, x * a - y * b)
        put_row(im, k * size + j, x * b + y * a)
    for i in range(size):
        if i == k:
            continue
        a, b = row_at(re, i * size + k), row_at(im, i * size + k)
        put_row(re, i * size + k, row_of(0.0))
        put_row(im, i * size + k, row_of(0.0))
        for j in range(size):
            x, y = row_at(re, k * size + j), row_at(im, k * size + j)
            put_row(re, i * size + j, row_at(re, i * size + j) - a * x + b * y)
            put_row(im, i * size + j, row_at(im, i * size + j) - a * y - b * x)
