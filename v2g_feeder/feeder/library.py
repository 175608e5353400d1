"""The shipped feeders, by name."""

from __future__ import annotations

from pathlib import Path

import v2g_feeder
from v2g_feeder.errors import InputError, Problem, nearest

__all__ = ["feeder_names", "resolve_model", "shipped"]

_MASTER = "master.dss"
_SHOWN = 4


def shipped(kind: str) -> Path:
    """Return the folder of shipped ``feeders`` or ``studies``.

    In an installed wheel they lie inside the package, in a checkout beside it.
    """
    package = Path(v2g_feeder.__file__).parent
    inside = package / f"_{kind}"
    return inside if inside.is_dir() else package.parent / kind


def feeder_names() -> tuple[str, ...]:
    """Return the names of the shipped feeders."""
    return tuple(sorted(path.parent.name for path in shipped("feeders").glob(f"*/{_MASTER}")))


def resolve_model(model: str, folder: Path) -> Path:
    """Return the master file of a shipped feeder, or of a path relative to ``folder``.

    Raises
    ------
    InputError
        If it is neither.
    """
    names = feeder_names()
    if model.lower() in names:
        return shipped("feeders") / model.lower() / _MASTER
    path = (folder / Path(model).expanduser()).resolve()
    if path.is_file():
        return path
    known = ", ".join(names)
    hint = nearest(model, names) or _beside(path, model) or f"shipped feeders: {known}"
    what = "is a folder" if path.is_dir() else "is neither a shipped feeder nor a file"
    raise InputError(Problem("feeder.model", f"{model!r} {what}", hint))


def _beside(path: Path, model: str) -> str:
    """Return a hint: the master files in a folder, or the file whose name is nearest."""
    if path.is_dir():
        inside = sorted(one.name for one in path.glob("*.[dD][sS][sS]"))
        masters = [name for name in inside if "master" in name.lower()] or inside
        return f"name its master file: {', '.join(masters[:_SHOWN])}" if masters else ""
    if not path.parent.is_dir():
        return ""
    return nearest(Path(model).name, [one.name for one in path.parent.iterdir() if one.is_file()])
