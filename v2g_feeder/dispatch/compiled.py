"""The one way in which functions of this stage are compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]

Function = TypeVar("Function", bound="Callable[..., object]")


def compiled(function: Function) -> Function:
    """Compile a function on its first call, to run in threads; keep the machine code on disk.

    The code on disk is renewed when the function's own file changes. After a change to a compiled
    function that others call from another file, remove their ``__pycache__``.
    """
    return cast("Function", njit(cache=True, nogil=True)(function))
