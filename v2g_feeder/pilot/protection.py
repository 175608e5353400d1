"""Fourth item: whether protection settings can be reviewed without major rebuilds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.base_load_table import header
from v2g_feeder.pilot.answers import Answer, Item, Measure
from v2g_feeder.pilot.tables import read_text_table, words
from v2g_feeder.screening.devices import read_devices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.pilot.fault_path import ModelDevice
    from v2g_feeder.pilot.thresholds import Thresholds

__all__ = [
    "CHANGES",
    "SETTINGS",
    "Device",
    "Finding",
    "findings_of_screen",
    "protection_item",
    "read_findings",
    "read_inventory",
]

SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "breaker": ("pickup_a", "curve", "directional"),
    "relay": ("pickup_a", "curve", "directional"),
    "recloser": ("pickup_a", "curve", "directional"),
    "fuse": ("rating_a", "curve"),
    "sectionalizer": ("pickup_a",),
    "switch": (),
    "regulator": ("forward_v", "reverse_mode"),
}
"""What must be known of a device to review it, by kind."""
CHANGES: Final = ("settings", "part", "rebuild")
"""How a device's behaviour can be changed: by settings, by a part such as a fuse link, or only by
replacing or rebuilding it."""
_NO_SETTINGS: Final = ("device", "kind", "element", "change", "note", "source")
_OUTCOMES: Final = {"pass": "pass", "fail": "fail", "violation": "fail", "unknown": "unknown"}


@dataclass(frozen=True)
class Device:
    """A device of the inventory.

    Parameters
    ----------
    name, kind
        ``kind`` is one of :data:`SETTINGS`.
    settings
        By name; what is not known is left out.
    change
        One of :data:`CHANGES`; empty where not known.
    element
        Element or bus of the model at which it stands; empty where there is no model.
    """

    name: str
    kind: str
    settings: Mapping[str, str]
    change: str = ""
    element: str = ""

    @property
    def unknown(self) -> tuple[str, ...]:
        """What is not known of it."""
        lacking = [name for name in SETTINGS[self.kind] if not self.settings.get(name)]
        return (*lacking, *([] if self.change else ["change"]))


@dataclass(frozen=True)
class Finding:
    """A line of a protection screen.

    Parameters
    ----------
    check
        What was checked.
    device
        Device that it concerns; empty for the feeder as a whole.
    outcome
        Pass, fail (the settings must be changed) or unknown.
    note
        Figure and limit in words.
    """

    check: str
    device: str
    outcome: Answer
    note: str = ""


def read_inventory(path: Path) -> tuple[Device, ...]:
    """Read a device inventory, CSV or YAML (:func:`v2g_feeder.screening.devices.read_devices`).

    Raises
    ------
    InputError
        With every problem, words of ``change`` that are not in :data:`CHANGES` included.
    """
    table = read_devices(path)
    problems = [
        Problem(
            f"{path}: {row.device}, change",
            f"{row.change!r} is not known",
            nearest(row.change, CHANGES) or f"one of {', '.join(CHANGES)}",
        )
        for row in table.itertuples()
        if row.change and row.change.lower() not in CHANGES
    ]
    if problems:
        raise InputError(problems)
    names = [name for name in table if name not in _NO_SETTINGS]
    return tuple(
        Device(
            name=row["device"],
            kind=row["kind"],
            settings={name: f"{row[name]}" for name in names if row[name] and pd.notna(row[name])},
            change=row["change"].lower(),
            element=row["element"],
        )
        for row in table.to_dict("records")
    )


def findings_of_screen(table: pd.DataFrame) -> tuple[Finding, ...]:
    """Return the findings of a protection screen's table (``protection.csv`` of a study)."""
    return tuple(
        Finding(
            str(row.check),
            str(row.device),
            Answer(_OUTCOMES[str(row.status)]),
            "; ".join(str(text) for text in (row.missing, row.note) if text and pd.notna(text)),
        )
        for row in table.itertuples()
    )


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read the findings of a protection screen or of a coordination study.

    Parameters
    ----------
    path
        CSV: ``check``, ``device`` (may be empty), ``outcome`` (pass, fail or unknown) and, if
        wanted, ``note``. Or ``protection.csv`` of a study's result, which has ``status`` and
        ``missing``.
    """
    is_screen = "outcome" not in {name.lower() for name in header(path)}
    needed = ("check", "device", "status" if is_screen else "outcome")
    table = read_text_table(path, needed, optional=("note", "missing"))
    outcome, problems = words(table[needed[-1]], path, _OUTCOMES)
    if problems:
        raise InputError(problems)
    notes = table.reindex(columns=["missing", "note"], fill_value="")
    return tuple(
        Finding(
            table["check"][row],
            table["device"][row],
            Answer(outcome[row]),
            "; ".join(text for text in notes.loc[row] if text),
        )
        for row in table.index
    )


def protection_item(
    devices: Sequence[Device] | None,
    thresholds: Thresholds,
    *,
    evidence: Sequence[str] = (),
    findings: Sequence[Finding] | None = None,
    path: Sequence[ModelDevice] | None = None,
) -> Item:
    """Answer the fourth item.

    Parameters
    ----------
    devices
        The inventory of the fault path; ``None`` where there is none.
    thresholds
        What is enough.
    evidence
        Files that devices and findings were read from.
    findings
        Of the protection screen; ``None`` where it was not run.
    path
        Devices that the model has in the fault path; ``None`` without a model.

    Returns
    -------
    Item
        A finding that fails is no fail of the item if settings or a part can mend it: it is listed
        to be reviewed.
    """
    missing = [] if devices is not None else ["an inventory of the devices in the fault path"]
    devices = devices or ()
    names = {device.name.lower(): device for device in devices}
    missing += [f"{d.name}: {', '.join(d.unknown)}" for d in devices if d.unknown]
    notes = []
    if path is not None:
        places = {*names, *(d.element.lower() for d in devices if d.element)}
        missing += [
            f"{device.name} of the model is not in the inventory"
            for device in path
            if not {device.name, device.name.partition(".")[2], device.element} & places
        ]
        kinds = Counter(device.kind for device in path)
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        notes.append(f"fault path of the model: {listed or 'no protective devices'}")
        if not path:
            notes.append("the model cannot tell whether the inventory is complete")
    rebuilds = [device.name for device in devices if device.change == "rebuild"]
    measures = [
        Measure(
            "devices that only a rebuild changes",
            float(len(rebuilds)) if devices else float("nan"),
            "",
            at_most=thresholds.rebuilds,
            note=", ".join(rebuilds) or f"{len(devices)} devices in the fault path",
        )
    ]
    if findings is None:
        missing.append(
            "protection screen not run: give `model`, `buses` and `export_kw`, or findings"
        )
    else:
        measures.append(_to_review(findings, names, missing))
    return Item("protection", tuple(measures), tuple(evidence), tuple(missing), notes=tuple(notes))


def _to_review(
    findings: Sequence[Finding], names: Mapping[str, Device], missing: list[str]
) -> Measure:
    """Return the findings that settings or a part must mend; adds what is missing to tell."""
    review = []
    for finding in findings:
        place = f" at {finding.device}" if finding.device else ""
        note = f" ({finding.note})" if finding.note else ""
        if finding.outcome == Answer.UNKNOWN:
            missing.append(f"{finding.check}{place}{note or ': not known'}")
        elif finding.outcome == Answer.FAIL and finding.device.lower() in names:
            review.append(f"{finding.check}{place}{note}")
        elif finding.outcome == Answer.FAIL:
            missing.append(f"{finding.check} fails{place}{note}: no such device in the inventory")
    return Measure(
        "findings that settings or a part mend",
        float(len(review)),
        "",
        note="; ".join(review) or f"{len(findings)} checks",
    )
