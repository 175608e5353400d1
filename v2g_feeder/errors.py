"""The error tree.

::

    V2GFeederError                 base of everything this package raises on purpose
    ├── InputError                 what the user gave cannot be used          (exit code 3)
    ├── FeederError                the feeder itself cannot be solved         (exit code 4)
    └── UnitError                  a unit of work crashed or ran out of time  (exit code 5)

An :class:`InputError` carries *all* the problems that were found, each with its place, so that a
user mends a file once. A limit that is broken is a result and never an error.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FeederError", "InputError", "Problem", "UnitError", "V2GFeederError", "nearest"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input.

    Parameters
    ----------
    where
        File, and the line or the dotted key inside it.
    message
        What was found and what was expected.
    hint
        The nearest valid name, or what to do; may be empty.
    """

    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the problem in one line."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.where}: {self.message}{hint}"


class V2GFeederError(Exception):
    """Base of everything that this package raises on purpose."""

    exit_code = 6


class InputError(V2GFeederError):
    """What the user gave cannot be used; holds every problem that was found."""

    exit_code = 3

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (
            (problems,) if isinstance(problems, Problem) else tuple(problems)
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        """Pickle with the problems, so that a worker's error reaches its parent whole."""
        return (type(self), (self.problems,))


class FeederError(V2GFeederError):
    """The feeder cannot be loaded or its base case cannot be solved."""

    exit_code = 4


class UnitError(V2GFeederError):
    """A unit of work was lost: its process crashed or its time ran out."""

    exit_code = 5


def nearest(name: str, valid: Sequence[str]) -> str:
    """Return a hint that names the valid name nearest to ``name``, or an empty string.

    The comparison ignores case, as bus and element names do.
    """
    lowered = {str(candidate).lower(): str(candidate) for candidate in valid}  # enums by value
    match = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    if not match and name:
        match = [key for key in lowered if key.startswith(name.lower())][:1]
    return f"did you mean {lowered[match[0]]!r}?" if match else ""
