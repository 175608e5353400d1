"""Factors of an admittance matrix of which a few nodes change from state to state.

The nodes that regulators and switched banks touch (the *border*) are eliminated last. All else is
factorised once; a state's taps only change the small dense matrix that is left at the border, which
each state inverts for itself. No other state and no update formula enters its solution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from v2g_feeder.errors import FeederError

if TYPE_CHECKING:
    from v2g_feeder.powerflow.network import Network

__all__ = ["Factor", "factorise"]


class Factor(NamedTuple):
    """Factors in elimination order, the border last, by rows, as arrays for compiled code.

    Parameters
    ----------
    lower_start, lower_column, lower_re, lower_im
        Rows of the unit lower factor, border rows last, interior columns only.
    upper_start, upper_column, upper_re, upper_im
        Interior rows of the upper factor right of the diagonal, border columns last.
    diagonal_re, diagonal_im
        Reciprocal of the upper factor's diagonal, interior.
    """

    lower_start: np.ndarray
    lower_column: np.ndarray
    lower_re: np.ndarray
    lower_im: np.ndarray
    upper_start: np.ndarray
    upper_column: np.ndarray
    upper_re: np.ndarray
    upper_im: np.ndarray
    diagonal_re: np.ndarray
    diagonal_im: np.ndarray


def factorise(network: Network) -> tuple[Factor, np.ndarray, np.ndarray]:
    """Factorise all but the border of a network.

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
    own = matrix[inner][:, inner].tocsc()
    options: dict[str, Any] = {"SymmetricMode": True, "Equil": False}
    try:
        lu = linalg.splu(own, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    except RuntimeError as error:
        raise FeederError(f"the network cannot be factorised: {error}") from error
    if not np.array_equal(lu.perm_r, lu.perm_c):
        raise FeederError("the network cannot be factorised without exchanging rows")
    order = np.argsort(lu.perm_c)
    lower, upper = lu.L.tocsc(), lu.U.tocsc()
    above = _solved(lower, matrix[inner[order]][:, border], unit=True)
    below = _solved(upper.T.tocsc(), matrix[border][:, inner[order]].T, unit=False).T
    left = matrix[border][:, border].toarray() - (below @ above)
    place = np.empty(size, int)
    place[inner[order]] = np.arange(len(inner))
    place[border] = len(inner) + np.arange(len(border))
    strict = sparse.vstack([sparse.tril(lower, -1), sparse.csr_matrix(below)], format="csr")
    upper_all = sparse.hstack([sparse.triu(upper, 1), sparse.csc_matrix(above)], format="csr")
    strict.eliminate_zeros()
    upper_all.eliminate_zeros()
    diagonal = 1.0 / upper.diagonal()
    factor = Factor(*_arrays(strict), *_arrays(upper_all), *_split(diagonal))
    return factor, place, np.asarray(left)


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
