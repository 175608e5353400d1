"""The feeder map of the report as data: small enough for a page, read by its script.

A place is a bus that is drawn; what has no coordinates of its own, a service as a rule, counts to
the place it is drawn at. Per run and step the page gets, of each place, the voltage farthest from
1 pu and whether a limit is broken, and of each line the highest loading, over all draws. Values
are rounded away from 1 pu, and up for loadings, to steps of which every colour's edge is a
multiple: a colour on the map never says less than the figure behind it.
"""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from v2g_feeder.conventions import Case, Effect, Policy
from v2g_feeder.report.charts import feeder_layout
from v2g_feeder.report.words import day_name, run_name

if TYPE_CHECKING:
    from v2g_feeder.report.layout import Layout
    from v2g_feeder.report.reading import Result, Run

__all__ = ["MapPlaces", "map_data", "map_places", "map_runs", "run_codes"]

UNKNOWN: Final = 255
"""Code of what is not known: a rating that is not stated, a step that is not valid."""
_CODES: Final = 254
_VOLTAGE_STEPS: Final = (0.001, 0.0025, 0.005, 0.025)
_LOADING_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_EXTENT: Final = 1000
_SHOWN: Final = (  # beside the main run; each costs the reading of its arrays
    (Policy.NO_EV, Case.EXPECTED),
    (Policy.UNCONTROLLED, Case.EXPECTED),
    (Policy.MANAGED, Case.EXPECTED),
    (Policy.EXPORT, Case.HIGH),
    (Policy.EXPORT, Case.COINCIDENT_EXPORT),
    (Policy.EXPORT, Case.COINCIDENT_SPLIT),
)


class MapPlaces(NamedTuple):
    """What is drawn, and which columns of the arrays belong to it.

    ``buses`` are the numbers of the drawn buses, ``lines`` the two places of each line (the same
    place twice for what lies inside one), ``line_names`` its elements. ``place_of`` is the place of
    each bus, drawn there or not at all, by its name in lower case. ``nodes`` and ``elements``
    are columns of the arrays in the order of places and lines; ``node_starts`` and
    ``element_starts`` say where each of them begins, ``node_places`` and ``element_lines`` which
    they are.
    """

    buses: np.ndarray
    lines: np.ndarray
    line_names: list[str]
    place_of: dict[str, int]
    nodes: np.ndarray
    node_starts: np.ndarray
    node_places: np.ndarray
    elements: np.ndarray
    element_starts: np.ndarray
    element_lines: np.ndarray


def map_runs(result: Result, main: Run) -> list[Run]:
    """Return the runs of the map: ``main``, then the references and bounds that were run."""
    wanted = [main, *((str(policy), str(case)) for policy, case in _SHOWN)]
    return [run for run in dict.fromkeys(wanted) if run in result.runs]


def map_data(result: Result, main: Run) -> dict[str, Any] | None:
    """Return the map for the page's script; ``None`` for a result without arrays by step."""
    arrays = result.arrays
    if "v_pu" not in arrays or not result.runs:
        return None
    layout = feeder_layout(result)
    places = map_places(result, layout)
    if not len(places.buses):
        return None
    x, y, height = _on_page(layout, places.buses)
    steps = result.steps
    days = steps.groupby(["season", "day_type"], sort=False).indices
    names = arrays["bus"].to_numpy()
    return {
        "height": height,
        "buses": [str(names[at]) for at in places.buses],
        "x": x,
        "y": y,
        "lines": places.lines.tolist(),
        "line_names": places.line_names,
        "days": [
            {"label": day_name(str(season), str(kind)), "steps": rows.tolist()}
            for (season, kind), rows in days.items()
        ],
        "hours": [
            f"{hour:02d}:{minute:02d}"
            for hour, minute in dict.fromkeys(zip(steps["hour"], steps["minute"], strict=True))
        ],
        "runs": [
            {"key": f"{run[0]}-{run[1]}", "label": run_name(*run)} | _packed(result, places, run)
            for run in map_runs(result, main)
        ],
    }


def map_places(result: Result, layout: Layout) -> MapPlaces:
    """Return the places and lines that are drawn."""
    arrays = result.arrays
    number = {str(name).lower(): at for at, name in enumerate(arrays["bus"].to_numpy())}
    anchor = np.where(np.isfinite(layout.x) & np.isfinite(layout.y), layout.anchor, -1)
    buses = np.unique(anchor[anchor >= 0])
    place_of = np.full(len(anchor) + 1, -1)
    place_of[:-1] = np.where(anchor >= 0, np.searchsorted(buses, anchor), -1)

    def placed(column: str) -> np.ndarray:
        names = arrays[column].to_numpy()
        return place_of[[number.get(str(name).lower(), -1) for name in names]]

    nodes, node_starts, node_places = _grouped(placed("node_bus"))
    ends = np.sort(np.column_stack([placed("element_bus1"), placed("element_bus2")]), axis=1)
    known = ends.min(axis=1) >= 0
    lines, line_of = np.unique(ends[known], axis=0, return_inverse=True)
    every = np.full(len(ends), -1)
    every[known] = line_of.reshape(-1)
    elements, element_starts, element_lines = _grouped(every)
    names = arrays["element"].to_numpy()
    return MapPlaces(
        buses,
        lines,
        [_joined(names[group]) for group in np.split(elements, element_starts[1:])]
        if len(elements)
        else [],
        {name: int(place_of[at]) for name, at in number.items() if place_of[at] >= 0},
        nodes,
        node_starts,
        node_places,
        elements,
        element_starts,
        element_lines,
    )


def _joined(names: np.ndarray) -> str:
    """Return the elements of a line in words."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _grouped(group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the columns in order of their group (-1 left out), where groups begin, and which."""
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    which, starts = np.unique(group[order], return_index=True)
    return order, starts, which


def _on_page(layout: Layout, buses: np.ndarray) -> tuple[list[int], list[int], int]:
    """Return whole page coordinates, y downwards, in a box 1000 wide, and the box's height."""
    x, y = layout.x[buses], -layout.y[buses]
    width, height = float(np.ptp(x)), float(np.ptp(y))
    if layout.is_tree and height:
        y = y * 0.6 * max(width, 1e-9) / height
        height = 0.6 * width
    scale = _EXTENT / max(width, height / 0.75, 1e-9)
    left = (_EXTENT - width * scale) / 2
    across = np.round((x - x.min()) * scale + left).astype(int)
    down = np.round((y - y.min()) * scale).astype(int)
    return across.tolist(), down.tolist(), max(1, int(np.ceil(height * scale)))


def _packed(result: Result, places: MapPlaces, run: Run) -> dict[str, Any]:
    """Return the codes of a run as the page holds them."""
    codes = run_codes(result, places, run)
    return {
        name: {"from": start, "step": step, "codes": _compressed(values)}
        for name, (values, start, step) in codes.items()
    }


def run_codes(
    result: Result, places: MapPlaces, run: Run
) -> dict[str, tuple[np.ndarray, float, float]]:
    """Return what the map shows of a run: codes, the value of code 0, and the size of a step.

    ``v``: voltage farthest from 1 pu, ``[step, place]``; ``loading``: percent, ``[step, line]``;
    ``broken``: 0 none, 1 a limit broken as in the reference run or less, 2 new or worse,
    ``[step, place]``.
    """
    steps = len(result.steps)
    v_pu = np.full((steps, len(places.buses)), np.nan)
    if len(places.nodes):
        lowest, highest = (
            rule.reduceat(_extreme(result, "v_pu", run, side)[places.nodes], places.node_starts)
            for rule, side in ((np.fmin, "min"), (np.fmax, "max"))
        )
        farthest = np.where(highest - 1 >= 1 - lowest, highest, lowest)
        v_pu[:, places.node_places] = farthest.T
    loading = np.full((steps, len(places.lines)), np.nan)
    if len(places.elements):
        most = _extreme(result, "loading_pct", run, "max")[places.elements]
        loading[:, places.element_lines] = np.fmax.reduceat(most, places.element_starts).T
    return {
        "v": _coded(v_pu, _VOLTAGE_STEPS, centre=1.0),
        "loading": _coded(loading, _LOADING_STEPS, centre=0.0),
        "broken": (_broken(result, places, run), 0.0, 1.0),
    }


def _extreme(result: Result, name: str, run: Run, side: str) -> np.ndarray:
    """Return the lowest or the highest value over draws, ``[place, step]``."""
    spread = f"{name}_range"
    if result.draws.get(run, 1) > 1 and spread in result.arrays:
        values = result.of_run(spread, run, side)
    else:
        values = result.of_run(name, run)
    # whole rows of places are folded several times faster than places within a row
    return np.ascontiguousarray(values.T)


def _coded(
    values: np.ndarray, steps: tuple[float, ...], centre: float
) -> tuple[np.ndarray, float, float]:
    """Return values as codes in the finest step that holds them all, rounded from ``centre``."""
    known = np.isfinite(values)
    reach = values[known] if known.any() else np.array([centre])
    step = next((s for s in steps if (reach.max() - reach.min()) / s < _CODES - 2), steps[-1])
    away = (values - centre) / step
    # float32 stands a digit beside the limit it means
    away = np.where(away >= 0, np.ceil(away - 1e-4), np.floor(away + 1e-4))
    first = float(np.min(away[known])) if known.any() else 0.0
    codes = np.clip(away - first, 0, _CODES)
    codes[~known] = UNKNOWN
    return codes.astype(np.uint8), round(centre + first * step, 6), step


def _broken(result: Result, places: MapPlaces, run: Run) -> np.ndarray:
    """Return whether a limit is broken, ``[step, place]``: 0, 1 or 2 for new or worse."""
    found = np.zeros((len(result.steps), len(places.buses)), np.uint8)
    rows = result.violations
    rows = rows[(rows["policy"] == run[0]) & (rows["case"] == run[1])]
    rows = rows[rows["effect"] != str(Effect.CURED)]
    if rows.empty:
        return found
    place_of = places.place_of
    buses = rows["bus"].cat.categories if hasattr(rows["bus"], "cat") else None
    if buses is None:
        at = np.array([place_of.get(str(bus).lower(), -1) for bus in rows["bus"]])
    else:
        by_code = np.array([place_of.get(str(bus).lower(), -1) for bus in buses] + [-1])
        at = by_code[rows["bus"].cat.codes.to_numpy()]
    step, harm = rows["step"].to_numpy(int), rows["effect"].isin([Effect.NEW, Effect.WORSE])
    kept = at >= 0
    found[step[kept], at[kept]] = 1
    kept &= harm.to_numpy()
    found[step[kept], at[kept]] = 2
    return found


def _compressed(codes: np.ndarray) -> str:
    """Return codes as differences from step to step, packed; a browser unpacks gzip itself."""
    change = codes.copy()
    change[1:] -= codes[:-1]  # wraps as the script's sum does
    return base64.b64encode(gzip.compress(change.tobytes(), 6, mtime=0)).decode()
