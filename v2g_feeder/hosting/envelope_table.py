"""Operating envelopes as a table: a row a connection point and step, a status a direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion, Direction, Status
from v2g_feeder.hosting.envelope import INNER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.hosting.bounds import Part
    from v2g_feeder.hosting.envelope import EnvelopeFound

__all__ = ["ENVELOPE_COLUMNS", "envelope_table"]

_STEP: Final = ("step", "season", "month", "day_type", "hour", "minute")
_OF_A_DIRECTION: Final = ("kw", "fails_at_kw", "criterion", "element", "vertex", "status")
_WAYS: Final = ((1, Direction.IMPORT), (0, Direction.EXPORT))
ENVELOPE_COLUMNS: Final = (
    "point", "bus", "connection", "phase", *_STEP,
    *(f"{way}_{name}" for _, way in _WAYS for name in _OF_A_DIRECTION),
)  # fmt: skip


def envelope_table(
    found: EnvelopeFound,
    points: pd.DataFrame,
    rating_kw: np.ndarray,
    parts: Sequence[Part],
    names: Sequence[str],
    axis: pd.DataFrame,
    unrated: frozenset[str] = frozenset(),
) -> pd.DataFrame:
    """Return one row a (point, step).

    Parameters
    ----------
    found
        Envelopes of the steps.
    points, rating_kw
        As they were sought with; rating ``[point, direction]``, export and import.
    parts
        The criteria whose places ``found`` numbers.
    names
        Of the vertices.
    axis
        Rows of :meth:`~v2g_feeder.calendar.Calendar.table` for those steps.
    unrated
        Buses behind elements of unknown rating: where no limit was met there, none is known.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`ENVELOPE_COLUMNS`; kW are magnitudes. ``fails_at_kw`` is NaN where no size up
        to the ratings fails. A point without a charger of a direction has 0 kW, ``censored``.
    """
    steps, count, _ = found.kw.shape
    step, point = (one.ravel() for one in np.indices((steps, count)))
    criteria = np.array([*(str(p.criterion) for p in parts for _ in p.rows), ""], dtype=object)
    labels = np.concatenate([*(part.labels for part in parts), np.array([""], dtype=object)])
    vertex_names = np.array([*names, INNER, ""], dtype=object)
    columns: dict[str, np.ndarray] = {"point": point}
    columns |= {
        name: points[name].to_numpy(object)[point] for name in ("bus", "connection", "phase")
    }
    columns |= {name: axis[name].to_numpy()[step] for name in _STEP}
    behind = points["bus"].isin(unrated).to_numpy()[point]
    for number, way in _WAYS:
        kw, high = found.kw[step, point, number], found.fails_at_kw[step, point, number]
        place, vertex = found.place[step, number], found.vertex[step, number]
        fails = np.isfinite(high) & (rating_kw[point, number] > 0)
        unsolved = fails & (place < 0)
        already = found.already[step, number] | found.broken[step, point]
        tests = [
            (np.isnan(kw) | unsolved, Status.UNKNOWN),
            (fails & already, Status.ALREADY_VIOLATED),
            (behind & ~fails & (rating_kw[point, number] > 0), Status.UNKNOWN),
            (fails & found.beyond[step, number], Status.NON_MONOTONE),
            (fails, Status.LIMITED),
        ]
        columns |= {
            f"{way}_kw": kw,
            f"{way}_fails_at_kw": np.where(fails, high, np.nan),
            f"{way}_criterion": np.where(
                unsolved, str(Criterion.INVALID), np.where(fails, criteria[place], "")
            ),
            f"{way}_element": np.where(fails, labels[place], ""),
            f"{way}_vertex": np.where(fails, vertex_names[vertex], ""),
            f"{way}_status": np.select(
                [test for test, _ in tests],
                [str(status) for _, status in tests],
                str(Status.CENSORED),
            ).astype(object),
        }
    table = pd.DataFrame(columns)[list(ENVELOPE_COLUMNS)]
    return table.sort_values(["point", "step"], kind="stable", ignore_index=True)
