"""Many studies, one after the other: one row each, whatever becomes of the others."""

from __future__ import annotations

import glob
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Case, Policy
from v2g_feeder.errors import InputError, Problem, V2GFeederError
from v2g_feeder.store import csv_text, write_text
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["SUMMARY", "Row", "exit_code_of", "named_files", "run_many", "worst"]

SUMMARY: Final = "summary.csv"
_DONE, _PARTIAL, _INTERNAL = 0, 5, 6
_BY_WEIGHT: Final = (_DONE, _PARTIAL, 3, 4, _INTERNAL)
_STATUS: Final = {_DONE: "done", _PARTIAL: "partial"}


@dataclass(frozen=True)
class Row:
    """What became of one study; figures are of case ``expected``, mean over draws.

    Parameters
    ----------
    file, study, result
        Study file, its name, and its result folder.
    status
        ``done``, ``partial`` (some steps invalid or units lost) or ``failed``.
    exit_code
        What the study alone would have ended with.
    feeder, customers, vehicles
        Model and sizes.
    peak_kw_no_ev, peak_kw_uncontrolled, peak_kw_managed, peak_kw_export
        Highest kW at the feeder head.
    harm_uncontrolled_h, harm_managed_h, harm_export_h
        Place-hours in which a limit is broken or worsened against the reference run.
    steps, invalid_steps, lost_units, unrated_elements
        What the figures rest on.
    content_sha256
        Of the result.
    problem
        Why it failed, or what its result lacks.
    """

    file: str
    study: str = ""
    result: str = ""
    status: str = "failed"
    exit_code: int = _INTERNAL
    feeder: str = ""
    customers: int | None = None
    vehicles: int | None = None
    peak_kw_no_ev: float = np.nan
    peak_kw_uncontrolled: float = np.nan
    peak_kw_managed: float = np.nan
    peak_kw_export: float = np.nan
    harm_uncontrolled_h: float = np.nan
    harm_managed_h: float = np.nan
    harm_export_h: float = np.nan
    steps: int | None = None
    invalid_steps: int | None = None
    lost_units: int | None = None
    unrated_elements: int | None = None
    content_sha256: str = ""
    problem: str = ""


def named_files(names: Iterable[Path]) -> list[Path]:
    """Return study files in the order given, patterns such as ``feeders/*.yaml`` filled in.

    Raises
    ------
    InputError
        For a pattern that nothing matches.
    """
    found: dict[Path, None] = {}
    problems = []
    for name in names:
        if name.exists() or not glob.has_magic(str(name)):
            found[name] = None
            continue
        matches = sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207  # may be absolute
        if not matches:
            problems.append(Problem(str(name), "no file is named like this"))
        found |= dict.fromkeys(Path(match) for match in matches)
    if problems:
        raise InputError(problems)
    return list(found)


def run_many(
    files: Sequence[Path],
    parent: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    load: dict[str, Any] | None = None,
    run: Callable[[int, Path], dict[str, Any]] = lambda _number, _file: {},
) -> list[Row]:
    """Run studies in turn, each into a folder of its name, and write :data:`SUMMARY` beside them.

    Parameters
    ----------
    files
        Study files.
    parent
        Folder of the result folders.
    overwrite
        Replace earlier results and an earlier table.
    resume
        Go on with runs that were interrupted, and take what is finished as it is.
    load
        For :func:`~v2g_feeder.study.config.load_study`.
    run
        Called with number and file before each study; returns what
        :func:`~v2g_feeder.study.run.run_study` is given.

    Returns
    -------
    list of Row
        One a file. An interrupt writes the table of those that are finished and goes on up.
    """
    table = parent / SUMMARY
    if table.exists() and not (overwrite or resume):
        raise InputError(Problem(str(table), "exists", "--overwrite replaces it"))
    rows: list[Row] = []
    taken: dict[str, Path] = {}
    try:
        for number, file in enumerate(files):
            options = {"overwrite": overwrite, "resume": resume} | run(number, file)
            rows.append(_row(file, parent, taken, load or {}, options))
    finally:
        columns = [item.name for item in fields(Row)]
        frame = pd.DataFrame([asdict(row) for row in rows], columns=columns)
        counts = frame.columns[[item.type == "int | None" for item in fields(Row)]]
        write_text(table, csv_text(frame.astype(dict.fromkeys(counts, "Int64"))))
    return rows


def _row(
    file: Path,
    parent: Path,
    taken: dict[str, Path],
    load: dict[str, Any],
    options: dict[str, Any],
) -> Row:
    """Run one study and return its row, whatever it raises."""
    name = ""
    try:
        study = load_study(file, **load)
        name = study.content.name
        other = taken.setdefault(name.lower(), file)
        if other != file:
            raise InputError(Problem(f"{file}: name", f"{name!r} is the name of {other} too"))  # noqa: TRY301
        out = parent / name
        return _figures(file, out, run_study(study, out, **options))
    except V2GFeederError as error:
        return Row(str(file), name, exit_code=error.exit_code, problem=_first_line(error))
    except Exception as error:  # noqa: BLE001  # one that fails does not stop the rest
        return Row(str(file), name, problem=f"internal error: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """Return the first of an error's problems, and how many more there are."""
    if isinstance(error, InputError):
        more = len(error.problems) - 1
        return f"{error.problems[0]}" + (f" (and {more} more)" if more else "")
    words = str(error) if isinstance(error, V2GFeederError) else f"{type(error).__name__}: {error}"
    return " ".join(words.split())[:300]


def _figures(file: Path, out: Path, summary: dict[str, Any]) -> Row:
    """Return the row of a result."""
    peaks = {
        row["policy"]: row["peak_kw_mean"]
        for row in summary["head"]
        if row["case"] == Case.EXPECTED
    }
    harm: dict[str, float] = {}
    for row in summary["harm_and_relief"]:
        if row["case"] == Case.EXPECTED and row["outcome"] == "harm":
            harm[row["policy"]] = harm.get(row["policy"], 0.0) + row["place_hours_mean"]
    validity, feeder = summary["validity"], summary["feeder"]
    code = exit_code_of(summary)
    lacks = []
    if validity["invalid"]:
        lacks.append(f"{validity['invalid']} of {validity['steps']} steps have no valid solution")
    if lost := validity["lost_units"]:
        lacks.append(f"{len(lost)} units were lost")
    return Row(
        file=str(file),
        study=summary["name"],
        result=str(out),
        status=_STATUS[code],
        exit_code=code,
        feeder=feeder["model"],
        customers=feeder["customers"],
        vehicles=summary["study"]["vehicles"],
        **{f"peak_kw_{policy}": peaks.get(policy, np.nan) for policy in _POLICIES},
        **{f"harm_{policy}_h": harm.get(policy, np.nan) for policy in _POLICIES[1:]},
        steps=validity["steps"],
        invalid_steps=validity["invalid"],
        lost_units=len(lost),
        unrated_elements=feeder["elements"] - feeder["elements_screened"],
        content_sha256=summary["content_sha256"],
        problem="; ".join(lacks),
    )


_POLICIES: Final = tuple(
    str(policy) for policy in (Policy.NO_EV, Policy.UNCONTROLLED, Policy.MANAGED, Policy.EXPORT)
)


def exit_code_of(summary: dict[str, Any]) -> int:
    """Return the exit code of a study that has a result: 0, or 5 where it is partial."""
    validity = summary["validity"]
    return _PARTIAL if validity["lost_units"] or validity["invalid"] else _DONE


def worst(rows: Iterable[Row]) -> int:
    """Return the exit code of the worst kind: internal, feeder, input, partial, done."""
    codes = {row.exit_code for row in rows}
    return max(codes, key=_BY_WEIGHT.index, default=_DONE)
