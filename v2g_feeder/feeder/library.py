"""The shipped feeders, by name."""

from __future__ import annotations

from pathlib import Path

import v2g_feeder
from v2g_feeder.errors import InputError, Problem, nearest

__all__ = ["feeder_names", "resolve_model", "shipped"]

_MASTER = "master.dss"


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
    hint = nearest(model, names) or f"shipped feeders: {known}"
    raise InputError(
        Problem("feeder.model", f"{model!r} is neither a shipped feeder nor a file", hint)
    )
