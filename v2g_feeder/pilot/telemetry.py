"""Third item: whether telemetry shows phase, power and connection status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.base_load_table import first_few, header
from v2g_feeder.pilot.answers import Item, Measure
from v2g_feeder.pilot.phase_match import match_phases
from v2g_feeder.pilot.tables import numbers, read_text_table, times, words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from v2g_feeder.pilot.thresholds import Thresholds

__all__ = ["SHOWN", "Telemetry", "read_telemetry", "read_voltages", "telemetry_item"]

SHOWN: Final = ("phase", "kw", "status")
"""What telemetry must show; a sample without one of them fails the item."""
_PHASES: Final = {
    text: phase
    for phase, texts in {
        "A": "a 1 l1 l1-n an", "B": "b 2 l2 l2-n bn", "C": "c 3 l3 l3-n cn",
        "AB": "ab l1-l2 1.2", "BC": "bc l2-l3 2.3", "CA": "ca ac l3-l1 l1-l3 3.1 1.3",
        "ABC": "abc 3ph three l1-l2-l3 1.2.3",
    }.items()
    for text in texts.split()
}  # fmt: skip
_STATUS: Final = {
    text: status
    for status, texts in {
        "disconnected": "disconnected unplugged available",
        "idle": "connected plugged occupied idle preparing finishing suspended suspendedev "
        "suspendedevse evconnected reserved",
        "charging": "charging",
        "discharging": "discharging exporting v2g",
        "down": "faulted fault unavailable offline",
    }.items()
    for text in texts.split()
}
_REVERSED: Final = 0.5  # share of negative readings while charging that looks like a sign
_UNITS: Final = {"kw": 1.0, "w": 1e-3}


@dataclass(frozen=True, eq=False)
class Telemetry:
    """A telemetry sample of chargers.

    Parameters
    ----------
    file
        Where it was read from.
    table
        One row a charger and time: ``timestamp``, ``charger``, and of ``phase``, ``kw``,
        ``status`` and ``received_at`` those that the file has; empty entries are ``""``, NaN, NaT.
    absent
        Those of :data:`SHOWN` for which the file has no column, with a hint each.
    """

    file: str
    table: pd.DataFrame
    absent: Mapping[str, str]

    @property
    def interval_s(self) -> float:
        """Most common time between two rows of a charger, s; NaN with one row a charger."""
        gaps = self.table.groupby("charger")["timestamp"].diff().dt.total_seconds().dropna()
        return float(gaps.mode().iloc[0]) if len(gaps) else float("nan")

    @property
    def hours(self) -> float:
        """From the first to the last row, h."""
        span = self.table["timestamp"].max() - self.table["timestamp"].min()
        return float(span.total_seconds() / 3600)

    @property
    def complete(self) -> float:
        """Share of the charger-intervals of the sample in which all of ``SHOWN`` is there."""
        steps = round(self.hours * 3600 / self.interval_s) + 1
        there = np.ones(len(self.table), bool)
        for name in SHOWN:
            column = self.table[name]
            there &= (column.notna() & (column != "")).to_numpy()
        return float(there.sum() / (steps * self.table["charger"].nunique()))

    @property
    def clock_skew_s(self) -> float:
        """Largest, over chargers, of the shortest time from stamp to receipt, s, either sign.

        The shortest time is the one least prolonged by the network; what it is away from 0 is the
        difference of the clocks and the least delay.
        """
        if "received_at" not in self.table:
            return float("nan")
        late = (self.table["received_at"] - self.table["timestamp"]).dt.total_seconds()
        least = late.groupby(self.table["charger"]).min().abs()
        return float(least.max())


def read_telemetry(
    path: Path, *, columns: Mapping[str, str] | None = None, unit: str = "kw"
) -> Telemetry:
    """Read a telemetry sample.

    Parameters
    ----------
    path
        CSV: ``timestamp`` (when it was measured, local standard time), ``charger``, ``phase`` (A,
        AB, ABC, L1, 1.2 and the like), ``kw`` (above 0 draws from the grid), ``status``
        (disconnected, connected, charging, discharging, or OCPP's words) and ``received_at``
        (when the head end took it).
    columns
        Your names of these.
    unit
        ``kw`` or ``w``: of the power column.

    Raises
    ------
    InputError
        For entries that cannot be read, by line and column. A file without a column of ``SHOWN``
        is read: it fails the item.
    """
    given = dict(columns or {})
    table = read_text_table(path, ("timestamp", "charger"), given, optional=(*SHOWN, "received_at"))
    names = header(path)
    absent = {
        name: nearest(name, [n for n in names if n.lower() not in table])
        for name in SHOWN
        if name not in table
    }
    problems: list[Problem] = []
    found = {"charger": table["charger"]}
    for role in ("timestamp", "received_at"):
        if role in table:
            cells = table[role]
            filled = cells != "" if role == "received_at" else cells.notna()
            parsed, wrong = times(cells[filled], path, given.get(role))
            found[role] = parsed.reindex(table.index)
            problems += wrong
    if "kw" in table:
        values, wrong = numbers(table["kw"], path, given.get("kw"))
        found["kw"] = pd.Series(values * _UNITS[unit], index=table.index)
        problems += wrong
    for role, known in (("phase", _PHASES), ("status", _STATUS)):
        if role in table:
            named = table[role].rename(given.get(role, role))
            found[role], wrong = words(named, path, known, needed=False)
            problems += wrong
    sample = pd.DataFrame(found)
    twice = sample.duplicated(["charger", "timestamp"]) & sample["timestamp"].notna()
    again = [
        Problem(f"{path}, line {line}", f"{sample['charger'][line]} has two rows at this time")
        for line in sample.index[twice]
    ]
    problems += first_few(again, path, "rows like these")
    if problems:
        raise InputError(problems)
    ordered = sample.sort_values(["charger", "timestamp"], ignore_index=True)
    return Telemetry(str(path), ordered, absent)


def read_voltages(path: Path, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read voltages of the node at the chargers, by phase.

    Parameters
    ----------
    path
        CSV: ``timestamp`` and of ``v_a``, ``v_b``, ``v_c`` two or more, V or pu.
    columns
        Your names of these.

    Returns
    -------
    pandas.DataFrame
        Columns ``A``, ``B``, ``C``; the index is the time; NaN where empty.
    """
    given = dict(columns or {})
    roles = {"v_a": "A", "v_b": "B", "v_c": "C"}
    table = read_text_table(path, ("timestamp",), given, optional=tuple(roles))
    stamps, problems = times(table["timestamp"], path, given.get("timestamp"))
    found = {}
    for role, phase in roles.items():
        if role in table:
            found[phase], wrong = numbers(table[role], path, given.get(role))
            problems += wrong
    if len(found) < 2:
        text = "voltages of one phase tell no phases apart"
        problems.append(Problem(f"{path}, line 1", text, "two or three of v_a, v_b, v_c"))
    twice = [
        Problem(f"{path}, line {line}", f"{stamp} comes twice")
        for line, stamp in stamps[stamps.duplicated() & stamps.notna()].items()
    ]
    problems += first_few(twice, path, "rows like these")
    if problems:
        raise InputError(problems)
    return pd.DataFrame(found, index=pd.DatetimeIndex(stamps)).sort_index()


def telemetry_item(
    sample: Telemetry | None,
    thresholds: Thresholds,
    voltages: pd.DataFrame | None = None,
    voltages_file: str = "",
) -> Item:
    """Answer the third item.

    Parameters
    ----------
    sample
        Telemetry of the chargers; ``None`` where there is none.
    thresholds
        What is enough.
    voltages, voltages_file
        Node voltages (:func:`read_voltages`), to confirm phases by.
    """
    if sample is None:
        what = f"a telemetry sample of {thresholds.telemetry_hours:g} h or more"
        return Item("telemetry", missing=(f"{what} with phase, kW and status of each charger",))
    evidence = (sample.file, *([voltages_file] if voltages is not None else []))
    if sample.absent:
        failed = tuple(
            f"no column `{name}`" + (f": {hint} (map it under columns)" if hint else "")
            for name, hint in sample.absent.items()
        )
        return Item("telemetry", (), evidence, failed=failed)
    missing = []
    if sample.hours < thresholds.telemetry_hours:
        missing.append(
            f"{sample.hours:.3g} h of telemetry; {thresholds.telemetry_hours:g} h are needed"
        )
    if np.isnan(sample.clock_skew_s):
        missing.append("clock skew: a column `received_at`, when the head end took each row")
    measures = [*_quality(sample, thresholds), *_plausible(sample, thresholds)]
    if np.isnan(measures[-1].value):
        missing.append("a sample in which chargers charge or discharge")
    notes: list[str] = []
    if voltages is None:
        notes.append("phases as the chargers state them: no node voltages to confirm them by")
    else:
        measures += _phases(sample, voltages, thresholds, notes)
    return Item("telemetry", tuple(measures), evidence, tuple(missing), notes=tuple(notes))


def _quality(sample: Telemetry, thresholds: Thresholds) -> list[Measure]:
    """Return completeness, interval and clock skew."""
    chargers = sample.table["charger"].nunique()
    return [
        Measure(
            "intervals with phase, kW and status",
            sample.complete if np.isfinite(sample.interval_s) else float("nan"),
            "1",
            at_least=thresholds.telemetry_complete,
            note=f"{chargers} chargers, {sample.hours:.0f} h",
        ),
        Measure(
            "interval",
            sample.interval_s / 60,
            "min",
            at_most=thresholds.telemetry_interval_min,
        ),
        Measure("clock skew", sample.clock_skew_s, "s", at_most=thresholds.clock_skew_s),
    ]


def _plausible(sample: Telemetry, thresholds: Thresholds) -> list[Measure]:
    """Return what tells the unit and the sign of power; NaN without power in the sample."""
    table = sample.table
    kw, status = table["kw"].to_numpy(), table["status"]
    top = float(np.nanmax(np.abs(kw), initial=0.0))
    active = status.isin(["charging", "discharging"]) & np.isfinite(kw)
    quiet = status.isin(["disconnected", "idle"]) & np.isfinite(kw)
    right = (
        ((status == "charging") & (kw >= -thresholds.idle_kw))
        | ((status == "discharging") & (kw <= thresholds.idle_kw))
        | (quiet & (np.abs(kw) <= thresholds.idle_kw))
    )
    judged = active | quiet
    some = bool(active.any())
    charging = kw[(status == "charging") & np.isfinite(kw)]
    reversed_ = charging.size > 0 and (charging < -thresholds.idle_kw).mean() > _REVERSED
    return [
        Measure(
            "highest power of a charger",
            top if some else float("nan"),
            "kW",
            at_least=thresholds.charger_least_kw,
            at_most=thresholds.charger_most_kw,
            note="looks like W" if top > thresholds.charger_most_kw else "",
        ),
        Measure(
            "readings whose sign fits the status",
            float(right[judged].mean()) if some else float("nan"),
            "1",
            at_least=thresholds.sign_share,
            note="charging reads negative: the sign looks reversed" if reversed_ else "",
        ),
    ]


def _phases(
    sample: Telemetry, voltages: pd.DataFrame, thresholds: Thresholds, notes: list[str]
) -> list[Measure]:
    """Return how many stated phases node voltages contradict; who is not told goes to the notes."""
    found = match_phases(sample.table, voltages, thresholds.phase_correlation)
    wrong = found[found["verdict"] == "contradicted"]
    sure = int((found["verdict"] == "confirmed").sum())
    unsure = found.loc[found["verdict"].isin(["not clear", "not tested"]), "charger"]
    if len(unsure):
        listed = ", ".join(unsure[:5]) + (" and others" if len(unsure) > 5 else "")
        notes.append(f"phase not told by node voltage: {listed}")
    named = ", ".join(
        f"{r.charger} states {r.phase}, follows {r.follows}" for r in wrong.itertuples()
    )
    if not sure and wrong.empty:
        return []
    return [
        Measure(
            "phases that node voltage contradicts",
            float(len(wrong)),
            "",
            at_most=0.0,
            note=named or f"{sure} of {len(found)} confirmed",
        )
    ]
