"""The page of any result folder, built again from the folder's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from v2g_feeder.report.hosting_page import write_hosting_page
from v2g_feeder.report.html import write_report
from v2g_feeder.report.reading import kind_of
from v2g_feeder.report.shapes_page import write_shapes_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["rebuild"]

_PAGES: Final[dict[str, Callable[[Path], Path]]] = {
    "study": write_report,
    "shapes": write_shapes_page,
    "hosting": write_hosting_page,
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
    return _PAGES[kind_of(folder)](folder)
