"""Factors of an admittance matrix of which a few nodes change from state to state.

The nodes that regulators and switched banks touch (the *border*) are eliminated last. All else is
factorised once; a state's taps only change the small dense matrix that is left at the border, which
each state inverts for itself. No other state and no update formula enters its solution.

Nodes at which nothing is ever injected (*quiet*: most of a primary, the far side of every
transformer) come first where that costs little. The iteration leaves them out; their voltages
follow from the others' at its end.
"""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from v2g_feeder.errors import FeederError

if TYPE_CHECKING:
    from v2g_feeder.powerflow.network import Network

__all__ = ["Factor", "factorise"]

_MOST_TIES: Final = 6
"""A quiet node that would tie more others to each other is not eliminated early."""

_NOTHING_LEFT: Final = 1e-13  # of a diagonal, after elimination


class Factor(NamedTuple):
    """Factors in elimination order, the border last, by rows, as arrays for compiled code.

    Parameters
    ----------
    quiet
        Number of nodes at the beginning at which loads and sources inject nothing.
    lower_start, lower_column, lower_re, lower_im
        Rows of the unit lower factor, border rows last, interior columns only, in order.
    lower_loud
        Where the columns of each row begin that are not quiet.
    upper_start, upper_column, upper_re, upper_im
        Interior rows of the upper factor right of the diagonal, border columns last.
    diagonal_re, diagonal_im
        Reciprocal of the upper factor's diagonal, interior.
    """

    quiet: int
    lower_start: np.ndarray
    lower_column: np.ndarray
    lower_re: np.ndarray
    lower_im: np.ndarray
    lower_loud: np.ndarray
    upper_start: np.ndarray
    upper_column: np.ndarray
    upper_re: np.ndarray
    upper_im: np.ndarray
    diagonal_re: np.ndarray
    diagonal_im: np.ndarray


def factorise(network: Network, fed: np.ndarray) -> tuple[Factor, np.ndarray, np.ndarray]:
    """Factorise all but the border of a network.

    Parameters
    ----------
    network
        The linear part.
    fed
        Nodes at which loads or sources inject.

    Returns
    -------
    Factor
        The shared factors.
    ndarray
        Place in the elimination order of every node, ``[node]``.
    ndarray
        What is left at the border without regulators and banks, ``[border, border]``; a state's
        own part (:meth:`Network.variable`) is added to it.

    Raises
    ------
    FeederError
        If the network is singular: a part that nothing ties to the source or to ground.
    """
    border = network.border
    size = network.matrix.shape[0]
    inner = np.setdiff1d(np.arange(size), border)
    matrix = network.matrix.tocsc()
    order, quiet = _order(matrix[inner][:, inner], np.isin(inner, fed))
    inner = inner[order]
    options: dict[str, Any] = {"SymmetricMode": True, "Equil": False}
    try:
        lu = linalg.splu(
            matrix[inner][:, inner], permc_spec="NATURAL", diag_pivot_thresh=0.0, options=options
        )
    except RuntimeError as error:
        raise FeederError(f"the network cannot be factorised: {error}") from error
    kept = np.arange(len(inner))
    if not (np.array_equal(lu.perm_r, kept) and np.array_equal(lu.perm_c, kept)):
        raise FeederError("the network cannot be factorised without exchanging rows")
    lower, upper = lu.L.tocsc(), lu.U.tocsc()
    own = np.abs(matrix.diagonal()[inner])
    if (np.abs(upper.diagonal()) <= _NOTHING_LEFT * own).any():
        raise FeederError("the network cannot be factorised: a part of it is tied to nothing")
    above = _solved(lower, matrix[inner][:, border], unit=True)
    below = _solved(upper.T.tocsc(), matrix[border][:, inner].T, unit=False).T
    left = matrix[border][:, border].toarray() - (below @ above)
    place = np.empty(size, int)
    place[inner] = np.arange(len(inner))
    place[border] = len(inner) + np.arange(len(border))
    strict = sparse.vstack([sparse.tril(lower, -1), sparse.csr_matrix(below)], format="csr")
    upper_all = sparse.hstack([sparse.triu(upper, 1), sparse.csc_matrix(above)], format="csr")
    for part in (strict, upper_all):
        part.eliminate_zeros()
        part.sort_indices()
    loud = strict.indptr[1:] - np.diff(sparse.csr_matrix(strict[:, quiet:]).indptr)
    factor = Factor(
        quiet,
        *_arrays(strict),
        loud.astype(np.int64),
        *_arrays(upper_all),
        *_split(1.0 / upper.diagonal()),
    )
    return factor, place, np.asarray(left)


def _order(matrix: sparse.spmatrix, fed: np.ndarray) -> tuple[np.ndarray, int]:
    """Return an elimination order by least degree, and how many quiet nodes it begins with.

    Parameters
    ----------
    matrix
        What is factorised.
    fed
        Whether something may be injected, ``[node]``.
    """
    pattern = sparse.csr_matrix(abs(matrix) + abs(matrix.T))
    ends = pattern.indptr.tolist()
    ties = [set(pattern.indices[a:b].tolist()) for a, b in pairwise(ends)]
    for node, tied in enumerate(ties):
        tied.discard(node)
    late = fed.tolist()
    heap = [(late[node], len(tied), node) for node, tied in enumerate(ties)]
    heapq.heapify(heap)
    order: list[int] = []
    quiet = 0
    gone = [False] * len(ties)
    while heap:
        after, degree, node = heapq.heappop(heap)
        if gone[node] or (after, degree) != (late[node], len(ties[node])):
            continue
        if not after and degree > _MOST_TIES:
            late[node] = True
            heapq.heappush(heap, (True, degree, node))
            continue
        gone[node] = True
        order.append(node)
        quiet += not after
        tied = ties[node]
        for other in tied:
            ties[other] |= tied
            ties[other] -= {node, other}
            heapq.heappush(heap, (late[other], len(ties[other]), other))
    return np.array(order, int), quiet


def _solved(triangle: sparse.csc_matrix, right: sparse.spmatrix, *, unit: bool) -> np.ndarray:
    """Return ``triangle`` (lower) solved for the dense columns of ``right``."""
    if not right.shape[1]:
        return np.zeros(right.shape, complex)
    return np.asarray(
        linalg.spsolve_triangular(
            triangle.tocsr(), right.toarray().astype(complex), lower=True, unit_diagonal=unit
        )
    )


def _arrays(
    matrix: sparse.csr_matrix,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return starts, columns and values of a matrix by rows."""
    return (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), *_split(matrix.data))


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return real and imaginary parts as arrays of their own."""
    return np.ascontiguousarray(values.real), np.ascontiguousarray(values.imag)
