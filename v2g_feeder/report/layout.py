"""Where the buses of a feeder are drawn: their coordinates, or a tree where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Layout", "place_buses"]


@dataclass(frozen=True)
class Layout:
    """Drawing positions.

    Parameters
    ----------
    x, y
        Position of each bus; NaN where none could be found.
    anchor
        Number of the bus at whose position each bus is drawn: itself, its nearest ancestor that
        has coordinates, or -1.
    is_tree
        Whether the positions were computed because the model has no coordinates.
    """

    x: np.ndarray
    y: np.ndarray
    anchor: np.ndarray
    is_tree: bool


def place_buses(
    buses: Sequence[str], parents: Sequence[str], x: np.ndarray, y: np.ndarray
) -> Layout:
    """Return the drawing positions of a feeder's buses.

    Parameters
    ----------
    buses, parents
        Names of the buses and of the buses one step towards the source; empty for a root.
    x, y
        Model coordinates; NaN where the model states none.

    Returns
    -------
    Layout
        A bus without coordinates (a service, as a rule) is drawn at its nearest ancestor that has
        them, or at the first descendant that has. If fewer than two buses have coordinates, all
        are placed as a tree: steps from the source to the right, leaves evenly downwards.
    """
    number = {name.lower(): index for index, name in enumerate(buses)}
    parent = np.array([number.get(str(name).lower(), -1) for name in parents], dtype=int)
    order = _from_the_root(parent)
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 2:
        tree_x, tree_y = _tree(parent, order)
        return Layout(tree_x, tree_y, np.arange(len(buses)), is_tree=True)
    anchor = np.where(known, np.arange(len(buses)), -1)
    for bus in order:
        if anchor[bus] < 0 and parent[bus] >= 0:
            anchor[bus] = anchor[parent[bus]]
    for bus in reversed(order):
        if parent[bus] >= 0 and anchor[parent[bus]] < 0:
            anchor[parent[bus]] = anchor[bus]
    at = np.where(anchor >= 0, anchor, 0)
    return Layout(
        np.where(anchor >= 0, x[at], np.nan),
        np.where(anchor >= 0, y[at], np.nan),
        anchor,
        is_tree=False,
    )


def _from_the_root(parent: np.ndarray) -> list[int]:
    """Return bus numbers, parents before children, depth first; buses in a loop are left out."""
    children: list[list[int]] = [[] for _ in parent]
    roots = []
    for bus, above in enumerate(parent):
        if above >= 0:
            children[above].append(bus)
        else:
            roots.append(bus)
    order, waiting = [], roots[::-1]
    while waiting:
        bus = waiting.pop()
        order.append(bus)
        waiting.extend(children[bus][::-1])
    return order


def _tree(parent: np.ndarray, order: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a tidy tree: depth to the right, each parent midway between its children."""
    x, y = np.full(len(parent), np.nan), np.full(len(parent), np.nan)
    low, high = np.full(len(parent), np.inf), np.full(len(parent), -np.inf)
    for bus in order:
        x[bus] = x[parent[bus]] + 1 if parent[bus] >= 0 else 0.0
    leaves = 0
    placed = [bus for bus in order if np.isfinite(x[bus])]
    has_children = np.zeros(len(parent), bool)
    has_children[parent[placed][parent[placed] >= 0]] = True
    for bus in placed:
        if not has_children[bus]:
            y[bus] = -leaves
            leaves += 1
    for bus in reversed(placed):
        if has_children[bus]:
            y[bus] = (low[bus] + high[bus]) / 2
        above = parent[bus]
        if above >= 0:
            low[above], high[above] = min(low[above], y[bus]), max(high[above], y[bus])
    return x, y
