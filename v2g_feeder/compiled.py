"""The one way in which functions are compiled to machine code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["compiled", "inlined", "lean", "packed"]

Function = TypeVar("Function", bound="Callable[..., object]")


def compiled(function: Function) -> Function:
    """Compile a function on its first call, to run in threads; keep the machine code on disk.

    The code on disk is renewed when the function's own file changes. After a change to a compiled
    function that others call from another file, remove their ``__pycache__``. Where nothing can be
    written the code is kept for the process alone.
    """
    return _kept(function, counts=True)


def lean(function: Function) -> Function:
    """Compile a function that makes no arrays itself and is called in inner loops.

    It does not count references to the arrays that it is given, which a caller holds anyway. A call
    with a tuple of thirty arrays would count up and down sixty times, as slow as all the rest.
    """
    return _kept(function, counts=False)


def _kept(function: Function, *, counts: bool) -> Function:
    """Compile a function, with counts of references or without, and keep its code on disk."""
    options: dict[str, Any] = {"nogil": True, "_nrt": counts}  # left out: as the caller has it
    try:
        found = njit(cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # no folder that can be written
        found = njit(error_model="numpy", **options)(function)
    return cast("Function", found)


def inlined(function: Function) -> Function:
    """Compile a function into those that call it: for what is called in innermost loops."""
    return cast("Function", njit(nogil=True, error_model="numpy", forceinline=True)(function))


def packed(columns: Mapping[str, np.ndarray]) -> Any:
    """Return columns as one array of records, which compiled code reads by the same names.

    As thirty arrays they would be sixty arguments of every function, and take a minute to compile.
    """
    first = next(iter(columns.values()))
    fields = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    found = np.zeros(len(first), np.dtype(fields, align=True))
    for name, values in columns.items():
        found[name] = values
    return found
