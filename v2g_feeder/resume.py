"""Runs that go on where they were interrupted.

A run writes the file of each of its units whole or not at all
(:func:`~v2g_feeder.store.save_arrays`) into the folder that :func:`working_folder` gives it, beside
a record of all that its numbers depend on. One that is killed, at whatever moment, leaves the units
that it had finished; the next with the same record takes them over, and one with another record is
told what differs.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.store import empty_folder, file_sha256, plain, working_name, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["file_inputs", "finish", "refuse_differences", "working_folder"]

_RECORD: Final = "inputs.json"
_GONE: Final = ".done"


def working_folder(out: Path, inputs: Mapping[str, Any], *, resume: bool = False) -> Path:
    """Return the folder for the units of a run, in a claimed result folder.

    Parameters
    ----------
    out
        From :func:`~v2g_feeder.store.claim_folder`.
    inputs
        All that the run's numbers depend on, by name; mappings may hold mappings.
    resume
        Whether to take over the units of an interrupted run. Where there is none, or without
        ``resume``, ``out`` is emptied.

    Raises
    ------
    InputError
        If the interrupted run had other inputs; every difference is named.
    """
    record = working_name(out) / _RECORD
    wanted = _flat(inputs)
    if resume and record.is_file():
        refuse_differences(json.loads(record.read_text(encoding="utf-8")), wanted, out)
        return record.parent
    working = empty_folder(out)
    write_json(record, wanted)
    return working


def finish(working: Path) -> None:
    """Remove the units of a finished run: at once for every other process, then from the disk."""
    gone = working.with_name(working.name + _GONE)
    working.replace(gone)
    shutil.rmtree(gone)


def file_inputs(files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files by their names, for :func:`working_folder`."""
    return {str(path): file_sha256(path) for path in files}


def _flat(inputs: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested mappings as one, names joined by dots, values as JSON has them."""
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        key = f"{above}{name}"
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{key}.")
        else:
            found[key] = plain(value)
    return found


def refuse_differences(before: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    """Raise an error that names every input that has changed since a result was begun.

    Parameters
    ----------
    before, now
        Inputs by name, as for :func:`working_folder`.
    out
        Folder of the result.

    Raises
    ------
    InputError
        If they are not the same.
    """
    before, now = _flat(before), _flat(now)
    changed = [
        Problem(key, f"was {_shown(before, key)}, is {_shown(now, key)}")
        for key in dict.fromkeys([*before, *now])
        if key not in before or key not in now or before[key] != now[key]
    ]
    if changed:
        message = "cannot go on: its inputs have changed"
        hint = "put them back, or begin anew with --overwrite"
        raise InputError([Problem(str(out), message, hint), *changed])


def _shown(inputs: Mapping[str, Any], key: str) -> str:
    return repr(inputs[key]) if key in inputs else "not given"
