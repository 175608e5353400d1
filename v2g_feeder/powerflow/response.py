"""Chargers of a block that follow their curves: where they stand in its arrays.

Connection points are rows of the load table, their ratings given once. What a search puts on at a
place of its own (a spot) is one charger a state, rated at the size that is tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.powerflow.chargers import MOST_ROUNDS, ChargerControl, Follow
from v2g_feeder.powerflow.loads import Role
from v2g_feeder.powerflow.mixing import CONVERGED

if TYPE_CHECKING:
    from collections.abc import Callable

    from v2g_feeder.powerflow.kernels import Work
    from v2g_feeder.powerflow.loads import LoadTable

__all__ = ["Chargers", "Response"]


class Chargers:
    """Where the chargers of a load table are.

    Parameters
    ----------
    control
        Their curves.
    loads
        With the phases of connection points, those of a point one after the other.
    place
        Place in elimination order of every node.
    rated_kw
        Export rating, ``[point]``, in the order of their rows.
    """

    def __init__(
        self, control: ChargerControl, loads: LoadTable, place: np.ndarray, rated_kw: np.ndarray
    ) -> None:
        mine = np.flatnonzero(loads.role == Role.CHARGER)
        at = np.append(place, len(place))
        self.control = control
        self.one, self.other = at[loads.one[mine]], at[loads.other[mine]]
        self.volts = loads.volts[mine]
        self.rows, self.start = np.unique(loads.row[mine], return_index=True)
        self.phases = np.diff(np.append(self.start, len(mine)))
        self.rated_kw = np.asarray(rated_kw, float).reshape(-1, 1)


class Response:
    """What the chargers of a block are asked for and give while it is solved.

    Parameters
    ----------
    chargers
        Where they are.
    work
        The block, with the powers asked for.
    """

    def __init__(self, chargers: Chargers, work: Work) -> None:
        self._at, self._work, spots = chargers, work, work.spots
        total = spots.watts.sum(axis=0)
        self._share = spots.watts / np.where(total == 0.0, 1.0, total)
        spots.vars[:] = 0.0
        asked = np.concatenate([work.kw[chargers.rows], 1e-3 * total[None]])
        rated = np.broadcast_to(chargers.rated_kw, (len(chargers.rows), asked.shape[1]))
        rated = np.concatenate([rated, np.abs(asked[-1:])])
        self.follow = Follow(chargers.control, asked, rated)

    def settle(self, idle: np.ndarray, solve: Callable[[np.ndarray], None]) -> np.ndarray:
        """Bring chargers to rest in a solved block.

        Parameters
        ----------
        idle
            States to leave as they are, ``[state]``.
        solve
            Solves all states but those it is given.

        Returns
        -------
        ndarray
            States whose chargers did not come to rest, ``[state]``.
        """
        self.follow.restart()
        left = np.asarray(self.follow.acting & ~idle)
        for _ in range(MOST_ROUNDS):
            left = self.follow.move(self._v_pu(), left & (self._work.status == CONVERGED))
            if not left.any():
                break
            self._put()
            solve(~left)
        return left

    def _v_pu(self) -> np.ndarray:
        """Return the mean voltage over the phases of each charger, ``[charger, state]``."""
        at, work, spots = self._at, self._work, self._work.spots
        re, im = work.re, work.im
        v = np.hypot(re[at.one] - re[at.other], im[at.one] - im[at.other]) / at.volts[:, None]
        points = np.zeros((len(at.rows), re.shape[1]))
        if len(at.rows):
            points = np.add.reduceat(v, at.start) / at.phases[:, None]
        state = np.arange(re.shape[1])
        x = re[spots.one, state] - re[spots.other, state]
        y = im[spots.one, state] - im[spots.other, state]
        used = self._share != 0.0
        spot = (used * np.hypot(x, y) / spots.volts).sum(axis=0) / np.maximum(used.sum(axis=0), 1)
        return np.concatenate([points, spot[None]])

    def _put(self) -> None:
        """Give the block the powers of its chargers."""
        kw, kvar = self.follow.given
        work, rows = self._work, self._at.rows
        work.kw[rows], work.kvar[rows] = kw[:-1], kvar[:-1]
        work.spots.watts[:] = 1e3 * kw[-1] * self._share
        work.spots.vars[:] = 1e3 * kvar[-1] * self._share
