"""The page of any result folder, built again from the folder's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.report.hosting_page import write_hosting_page
from v2g_feeder.report.html import write_report
from v2g_feeder.report.shapes_page import write_shapes_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["rebuild"]

_PAGES: Final[dict[str, Callable[[Path], Path]]] = {  # by the file that only this kind has
    "results.nc": write_report,
    "shapes.nc": write_shapes_page,
    "hosting_capacity.csv": write_hosting_page,
}


def rebuild(folder: Path) -> Path:
    """Build the page of a result folder again.

    Parameters
    ----------
    folder
        Of ``v2g-feeder study``, ``v2g-feeder shapes`` or ``v2g-feeder hosting``.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        If the folder holds no result that has a page, or files of it are missing.
    """
    for name, write in _PAGES.items():
        if (folder / name).is_file():
            return write(folder)
    reason = "no such folder" if not folder.is_dir() else "holds no result that has a report"
    hint = "name the folder that `v2g-feeder study` wrote, such as results/NAME"
    raise InputError(Problem(str(folder), reason, hint))
