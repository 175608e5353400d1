"""Controls that chase each other: states of a block whose taps come back to where they were.

What a control does next depends on the voltages and on what is pending; the voltages follow from
taps, banks and loads. Where all of that is as it was after an earlier round the rounds between
repeat for ever, and no limit on their number has to be waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.powerflow.rows import WIDTH

if TYPE_CHECKING:
    from v2g_feeder.powerflow.controls import ControlWork

__all__ = ["Rounds"]

_MOST: Final = 200
_DECIMALS: Final = 9  # a tap that went up and down again differs by its rounding


class Rounds:
    """The rounds that the controls of each state of a block have been through."""

    def __init__(self) -> None:
        self._seen: list[set[bytes]] = [set() for _ in range(WIDTH)]

    def begin(self, states: np.ndarray) -> None:
        """Forget the rounds of some states, ``[state]``."""
        for state in np.flatnonzero(states):
            self._seen[state].clear()

    def endless(self, own: ControlWork) -> np.ndarray:
        """Take in a round of the states that move; return which will never rest, ``[state]``."""
        found = np.zeros(WIDTH, bool)
        moving = np.flatnonzero(~own.settled)
        if not len(moving):
            return found
        parts = [array for name, array in own._asdict().items() if name != "settled"]
        stand = np.concatenate(parts).T[moving]
        stand = np.round(stand, _DECIMALS) + 0.0  # no sign of a zero
        for state, column in zip(moving, stand, strict=True):
            one, seen = column.tobytes(), self._seen[state]
            found[state] = one in seen
            seen.add(one)
            found[state] |= len(seen) >= _MOST
        return found
