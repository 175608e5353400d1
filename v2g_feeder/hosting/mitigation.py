"""What measures make of capacity: the same question, asked with each of them.

Two need no search of their own. Another phase at the same bus was searched as a connection of its
own. Managed charging takes of each day its best hours: a charger that needs some hours a day, and
may choose them, is limited by the worst of those that it chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import Direction
from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    import pandas as pd

    from v2g_feeder.feeder.model import Feeder

__all__ = [
    "LOST_COLUMNS",
    "MITIGATION_COLUMNS",
    "Measure",
    "best_hours",
    "bought",
    "lost",
    "other_phase",
]

LOST_COLUMNS: Final = ("asked_kwh", "curtailed_kwh", "most_curtailed_kw", "curtailed_hours")
MITIGATION_COLUMNS: Final = (
    "measure", "bus", "connection", "direction", "kw", "status", "kw_with", "status_with",
    "bought_kw", *LOST_COLUMNS, "with_it", "conditions",
)  # fmt: skip
_KEY: Final = ["bus", "connection", "direction"]
_CUT_SHARE: Final = 1e-3  # of the size: what is less is next to nothing, and no hour
_WINDINGS: Final = 3  # at most, of a service transformer: the engine passes over what is too many


@dataclass(frozen=True)
class Measure:
    """A change of the feeder.

    Parameters
    ----------
    name
        What it is called in the tables.
    regulator, vreg_v, band_v
        A regulator's control, or ``all``, and its forward set-point and band, V at the relay;
        ``None`` leaves a setting as it is.
    transformer, kva
        A transformer and its new nameplate; its impedance in percent stays, so that in ohms it
        falls.
    """

    name: str
    regulator: str | None = None
    vreg_v: float | None = None
    band_v: float | None = None
    transformer: str | None = None
    kva: float | None = None

    def commands(self, feeder: Feeder) -> tuple[str, ...]:
        """Return the OpenDSS commands that change a loaded model.

        Raises
        ------
        InputError
            For names that the feeder does not have, and a transformer that would become smaller.
        """
        where = f"hosting.mitigation {self.name!r}"
        found: list[str] = []
        if self.regulator is not None:
            settings = {"vreg": self.vreg_v, "band": self.band_v}
            text = " ".join(f"{key}={value:g}" for key, value in settings.items() if value)
            have = list(feeder.regulators["control"])
            wanted = have if self.regulator == "all" else [self.regulator.lower()]
            unknown = [name for name in wanted if name not in have]
            if unknown or not have:
                message = f"no regulator control {self.regulator!r}"
                raise InputError(Problem(where, message, nearest(self.regulator, [*have, "all"])))
            found += [f"Edit RegControl.{name} {text}" for name in wanted]
        if self.transformer is not None and self.kva is not None:
            rated = feeder.elements.set_index(feeder.elements["element"].str.lower())["rating_kva"]
            have = [
                name.removeprefix("transformer.")
                for name in rated.index
                if name.startswith("transformer.")
            ]
            name = self.transformer.lower()
            if name not in have:
                message = f"no transformer {self.transformer!r}"
                raise InputError(Problem(where, message, nearest(name, have)))
            before = float(rated[f"transformer.{name}"])
            if self.kva <= before:
                message = f"{self.kva:g} kVA is no larger than the {before:g} kVA it has"
                raise InputError(Problem(where, message))
            sizes = " ".join([f"{self.kva:g}"] * _WINDINGS)
            found.append(f"Edit Transformer.{name} kvas=[{sizes}]")
        return tuple(found)


def other_phase(minima: pd.DataFrame) -> pd.DataFrame:
    """Return annual minima as they are on the best single phase of each bus.

    Parameters
    ----------
    minima
        Of one set of conditions. Connections of one phase are kept, at buses that have others.

    Returns
    -------
    pandas.DataFrame
        ``bus, connection, direction, kw, status, with_it``: kW and status on the best phase, and
        which that is.
    """
    single = minima[minima["connection"].str.len() == 1]
    place = ["bus", "direction"]
    single = single[single.groupby(place)["connection"].transform("size") > 1]
    best = single.loc[
        single.groupby(place, sort=False)["kw"].idxmax(), [*place, "connection", "kw", "status"]
    ]
    best = best.rename(columns={"connection": "with_it"})
    return single[_KEY].merge(best, on=place, how="left")


def best_hours(table: pd.DataFrame, hours: float, step_hours: float) -> pd.DataFrame:
    """Return the charging that each place takes on every day in that day's best hours.

    Parameters
    ----------
    table
        Capacity by step, of one set of conditions, with a column ``day``.
    hours
        Charging time a day, h, in steps that need not follow one another.
    step_hours
        Length of a step, h.

    Returns
    -------
    pandas.DataFrame
        ``bus, connection, direction, kw, status, with_it``, the status that of the step which
        decides. A day with a step that is not known has none.
    """
    count = max(1, int(np.ceil(hours / step_hours - 1e-9)))
    charging = table[table["direction"] == Direction.IMPORT]
    day = [*_KEY, "day"]
    unknown = charging.assign(kw=charging["kw"].isna()).groupby(day)["kw"].transform("any")
    known = charging.assign(kw=charging["kw"].mask(unknown))
    held = known.sort_values("kw", ascending=False, kind="stable").groupby(day).nth(count - 1)
    least = held.sort_values("kw", kind="stable").drop_duplicates(_KEY)
    return least[[*_KEY, "kw", "status"]].assign(with_it=f"the best {hours:g} h of each day")


def lost(curtailed: pd.DataFrame, step_hours: float) -> pd.DataFrame:
    """Return what chargers lose to their curves over the calendar, every day of it once.

    Parameters
    ----------
    curtailed
        ``bus, connection, step, kw, curtailed_kw``: a charger of ``kw`` that is asked to export it
        at every step, and what its curves cut; NaN where the step is not known, and then left out
        of what is asked for as well.
    step_hours
        Length of a step, h.

    Returns
    -------
    pandas.DataFrame
        ``bus, connection, direction`` and :data:`LOST_COLUMNS`: energy asked for and not given,
        kWh; most at one step, kW; hours with at least 0.1 % of the size cut.
    """
    known = curtailed[curtailed["curtailed_kw"].notna()]
    cut = known["curtailed_kw"]
    rows = known.assign(
        asked_kwh=known["kw"] * step_hours,
        curtailed_kwh=cut * step_hours,
        most_curtailed_kw=cut,
        curtailed_hours=step_hours * (cut > _CUT_SHARE * known["kw"]),
    )
    sums = dict.fromkeys(LOST_COLUMNS, "sum") | {"most_curtailed_kw": "max"}
    found = rows.groupby(["bus", "connection"], sort=False).agg(sums).reset_index()
    return found.assign(direction=str(Direction.EXPORT))


def bought(minima: pd.DataFrame, answers: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return what a measure adds to annual minima.

    Parameters
    ----------
    minima
        Without the measure, of one set of conditions.
    answers
        With it: ``bus, connection, direction, kw, status, with_it``, and :data:`LOST_COLUMNS` for
        a measure that loses energy.
    measure
        Its name.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`MITIGATION_COLUMNS`, a row a place that has both; ``bought_kw`` is negative
        where the measure takes capacity away. Of a size that is censored with the measure it is
        the least that is bought, of one that is censored without it nothing can be said.
    """
    names = {"kw": "kw_with", "status": "status_with"}
    after = answers.drop(columns="conditions", errors="ignore").rename(columns=names)
    after = after.reindex(columns=[*_KEY, *names.values(), *LOST_COLUMNS, "with_it"])
    both = minima[[*_KEY, "kw", "status", "conditions"]].merge(after, on=_KEY)
    both["bought_kw"] = both["kw_with"] - both["kw"]
    return both.assign(measure=measure)[list(MITIGATION_COLUMNS)]
