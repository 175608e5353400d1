"""The OpenDSS package: one case and draw that an engineer runs in stock OpenDSS.

``opendss/`` holds the model's own files, the secondaries, the base load, the chargers and a script
a day; ``run.dss`` runs them all. Paths are relative and nothing of this package is needed. Every
step's node voltages are saved with seven digits (``d00_s17_SavedVoltages.txt``: bus, node, volts,
degrees). The days begin as a unit of work does: from the model's own taps and a settled solve of
the first step without EVs.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

import h5netcdf
import numpy as np

from v2g_feeder.conventions import BOUNDING_CASES, Case, Policy
from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.engine import TOLERANCE
from v2g_feeder.feeder.scan import copy_model, scan
from v2g_feeder.powerflow.opendss import EV_NAME, base_commands, ev_commands
from v2g_feeder.store import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from v2g_feeder.powerflow.opendss import Circuit

__all__ = ["SHAPES_FILE", "export_case", "write_parts"]

SHAPES_FILE: Final = "shapes.nc"
"""Arrays of a result without power flow."""

_README: Final = """\
OpenDSS package of {label}

run.dss            every day below, one after the other (open it in OpenDSS and run it)
day_*.dss          one day: builds the feeder, settles it without EVs, solves and saves each step
build.dss          the feeder: model, secondaries, base load, chargers
model/             the model's own files
secondaries.dss    service transformers, mains, drops and customers added to the model
base_load.dss      which load follows which shape; the days set the shapes
chargers.dss       one load a connection point; positive kW draws, negative kW exports
ev_kw.csv          the same EV power as a table: step by connection point, kW
*_SavedVoltages    written by the run, d00_s17 is day 0, step 17: bus, node, volts, degrees
"""
_ON_CURVES: Final = """
Chargers draw what their volt-var and volt-watt left in the study, kW and kvar. The curves
themselves are not in this package: what you change in it does not change them, and a regulator that
moved while they did may end at another tap of its band.
"""
_WITHOUT_CURVES: Final = """
The result does not hold what the chargers' volt-var and volt-watt left of this draw (with
`store: all` it does): here every charger gives what it was asked for at unity power factor, and
voltages differ from the study's wherever a curve acts.
"""
_HEAD: Final = "! Written by v2g-feeder.\n"


def write_parts(circuit: Circuit, folder: Path) -> None:
    """Write what does not depend on case and draw: model, secondaries, base load, chargers.

    A model that names files by absolute paths is not copied: the package then reads it where it is,
    and ``build.dss`` says so.
    """
    scanned = scan(circuit.master)
    if scanned.absolute:
        model = scanned.master.as_posix()
        note = "! The model names files by absolute paths, so it is read where it is.\n"
    else:
        model = copy_model(scanned, folder / "model").relative_to(folder).as_posix()
        note = ""
    steps = 2 * circuit.steps_per_day
    parts = {
        "secondaries.dss": list(circuit.commands),
        "base_load.dss": base_commands(circuit, steps),
        "chargers.dss": ev_commands(circuit, steps),
    }
    for name, commands in parts.items():
        write_text(folder / name, _HEAD + "\n".join([*commands, ""]))
    build = [
        f'Redirect "{model}"',
        *(f"Redirect {name}" for name in parts),
        f"Set tolerance={TOLERANCE:g} maxiterations=200 maxcontroliter=200",
    ]
    write_text(folder / "build.dss", _HEAD + note + "\n".join([*build, ""]))


def export_case(result: Path, policy: str, case: str, draw: int, folder: Path) -> dict[str, Any]:
    """Write the package of one case and draw of a result.

    Parameters
    ----------
    result
        A result folder of ``study`` or ``shapes``, or one in the making whose arrays are written.
    policy, case, draw
        Which run; runs without chance have draw 0 only.
    folder
        Where to; may be the result's own ``opendss`` folder.

    Returns
    -------
    dict
        What was exported, for ``summary.json``.

    Raises
    ------
    InputError
        For a run or draw that the result does not hold.
    """
    arrays = result / "results.nc"
    without_power_flow = not arrays.is_file()
    with h5netcdf.File(result / SHAPES_FILE if without_power_flow else arrays, "r") as file:
        read = _shape_injections if without_power_flow else _injections
        kw = read(file, policy, case, draw)
        kvar, curves = np.zeros_like(kw), ""
        if "charger_kw" in file and policy != Policy.NO_EV:
            kw, kvar, curves = _on_curves(file, policy, case, draw, kw)
        base_p, base_q = file["base_p"][...], file["base_q"][...]
        steps = file["step"].shape[0]
        days = file["day_label"][...]
        points = [_text(name) for name in file["point"][...]] if "point" in file else []
    own = result / "opendss"
    if folder.resolve() != own.resolve():
        if folder.exists():
            raise InputError(Problem(str(folder), "exists; name a new folder"))
        shutil.copytree(own, folder, ignore=shutil.ignore_patterns("day_*", "*SavedVoltages*"))
    label = f"policy {policy}, case {case}, draw {draw}"
    names = []
    spd = steps // len(days)
    for number, name in enumerate(days):
        script = f"day_{number:02d}_{_text(name)}.dss"
        part = slice(number * spd, (number + 1) * spd)
        base, power = (base_p[:, part], base_q[:, part]), (kw[:, part], kvar[:, part])
        text = "\n".join(_day(number, base, power, 24 / spd))
        write_text(folder / script, f"{_HEAD}! {_text(name)}: {label}\n{text}\n")
        names.append(script)
    write_text(folder / "run.dss", _HEAD + "\n".join([*(f"Redirect {n}" for n in names), ""]))
    write_text(folder / "README.txt", _README.format(label=label) + curves)
    head = ",".join(["step", *(f"{EV_NAME}_{n}@{point}" for n, point in enumerate(points))])
    rows = (
        ",".join([str(step), *map("{:.6g}".format, values)])
        for step, values in enumerate(kw.T.tolist())
    )
    write_text(folder / "ev_kw.csv", "\n".join([head, *rows, ""]))
    found = {"policy": policy, "case": case, "draw": draw, "folder": "opendss"}
    return found | ({"note": curves.strip()} if curves else {})


def _injections(file: Any, policy: str, case: str, draw: int) -> np.ndarray:
    """Return the EV power of a run, ``[point, step]``."""
    if policy == Policy.NO_EV:
        return np.zeros((len(file["point"]) if "point" in file else 0, file["step"].shape[0]))
    name = f"ev_kw_{policy}_{case}"
    if name not in file:
        held = [key.removeprefix("ev_kw_") for key in file.variables if key.startswith("ev_kw_")]
        if not held and not len(file.dimensions.get("point", ())):
            return np.zeros((0, file["step"].shape[0]))
        raise _not_held(policy, case, held)
    kw = np.asarray(file[name][...], float)
    _check_draw(draw, 1 if case in BOUNDING_CASES else len(kw))
    if case != Case.COINCIDENT_SPLIT:
        return np.asarray(kw[draw])
    phases = file["split_phase"][...].astype(int)
    spd = kw.shape[2] // len(phases)
    cut = [kw[phase, :, n * spd : (n + 1) * spd] for n, phase in enumerate(phases)]
    return np.concatenate(cut, axis=1)


def _on_curves(
    file: Any, policy: str, case: str, draw: int, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return kW and kvar of a run as its chargers' curves left them, and what to say of it.

    Steps that the study could not solve, and draws that it did not keep, are as they were asked.
    """
    run = tuple(
        [_text(name) for name in file[axis][...]].index(name)
        for axis, name in (("policy", policy), ("case", case))
    )
    if draw >= file["charger_kw"].shape[2]:
        return asked, np.zeros_like(asked), _WITHOUT_CURVES
    kw, kvar = (
        np.asarray(file[name][(*run, draw)], float).T for name in ("charger_kw", "charger_kvar")
    )
    known = np.isfinite(kw)
    return np.where(known, kw, asked), np.where(known, kvar, 0.0), _ON_CURVES


def _shape_injections(file: Any, policy: str, case: str, draw: int) -> np.ndarray:
    """Return the EV power of a run of ``shapes.nc``, ``[point, step]``."""
    if policy == Policy.NO_EV:
        return np.zeros((file.dimensions["point"].size, file.dimensions["step"].size))
    policies, cases = ([_text(name) for name in file[axis][...]] for axis in ("policy", "case"))
    held = [f"{a}_{b}" for a in policies for b in cases]
    if f"{policy}_{case}" not in held:
        raise _not_held(policy, case, held)
    kw = file["kw"]
    _check_draw(draw, kw.shape[2])
    found = np.asarray(kw[policies.index(policy), cases.index(case), draw], float).T
    if np.isnan(found).all() and found.size:
        raise _not_held(policy, case, [name for name in held if name != f"{policy}_{case}"])
    return found


def _not_held(policy: str, case: str, held: Sequence[str]) -> InputError:
    """Return the error of a run that a result does not hold."""
    hint = nearest(f"{policy}_{case}", held) or "runs: " + ", ".join(held)
    return InputError(Problem("--case", f"the result holds no {policy} {case}", hint))


def _check_draw(draw: int, draws: int) -> None:
    """Raise for a draw that a run does not have."""
    if not 0 <= draw < draws:
        raise InputError(Problem("--draw", f"{draw} is not 0 to {draws - 1}"))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _day(
    number: int,
    base: tuple[np.ndarray, np.ndarray],
    power: tuple[np.ndarray, np.ndarray],
    step_hours: float,
) -> Iterable[str]:
    """Yield the script of a day: shapes of 48 hours, of which the second 24 have no EVs."""
    yield "Redirect build.dss"
    for row, (p, q) in enumerate(zip(*map(_numbers, base), strict=True)):
        yield f"Edit LoadShape.base_{row} mult=[{p} {p}] qmult=[{q} {q}]"
    steps = power[0].shape[1]
    none = " ".join(["0"] * steps)
    reactive = np.any(power[1], axis=1).tolist()
    for point, (kw, kvar) in enumerate(zip(*map(_numbers, power), strict=True)):
        text = f"Edit LoadShape.{EV_NAME}_{point} mult=[{kw} {none}]"
        yield text + (f" qmult=[{kvar} {none}]" if reactive[point] else "")
    yield f"Set mode=daily number=1 stepsize={round(step_hours * 60)}m controlmode=static"
    yield "Set hour=24 sec=0"
    yield "Solve"
    yield "Set hour=0 sec=0"
    for step in range(steps):
        yield f"Set casename=d{number:02d}_s{step:02d}"
        yield "Solve"
        yield "Save voltages"


def _numbers(rows: np.ndarray) -> list[str]:
    """Return each row as text."""
    return [" ".join(map("{:.10g}".format, row)) for row in rows.tolist()]
