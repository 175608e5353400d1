"""What the pages share: the template environment, marks of sources, drawings inside a page."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from v2g_feeder.report.words import amount, kw, limit_text, plain, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.report.charts import Chart

__all__ = ["MARKS", "cell", "embedded", "environment", "source"]

_MOST_VALUES: Final = 12  # longer tables of figures are shown by their ends
_SVG_WIDTH: Final = re.compile(r'<svg[^>]* width="([\d.]+)pt"')
_PX_A_POINT: Final = 1.5  # as wide drawings are shown at the page's width
_FULL_PX: Final = 950
MARKS: Final = {
    "P": "read in the publication",
    "D": "computed from data",
    "K": "known, primary text not read: check",
    "A": "assumed",
    "study": "set by the study",
}
"""Marks of a figure's source, in words."""


def environment() -> Environment:
    """Return the templates' environment: everything is escaped, nothing may be undefined."""
    found = Environment(
        loader=PackageLoader("v2g_feeder.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters |= {"kw": kw, "amount": amount, "whole": whole, "plain": plain, "cell": cell}
    return found


def cell(value: Any) -> str:
    """Return an assumption's figure, however it is nested, as text."""
    if isinstance(value, float):
        return limit_text(value, "")
    if isinstance(value, list | tuple):
        if len(value) > _MOST_VALUES:
            first, last = ", ".join(cell(item) for item in value[:3]), cell(value[-1])
            return f"{first} \N{HORIZONTAL ELLIPSIS} {last} ({len(value)} values)"
        return ", ".join(cell(item) for item in value)
    return str(value)


def source(svg: str) -> str:
    """Return a drawing as the source of an image: its marks and names stay inside."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def narrow_px(svg: str) -> int | None:
    """Return the width at which a narrow drawing is shown, px; ``None`` for one of full width."""
    found = _SVG_WIDTH.search(svg)
    width = round(float(found[1]) * _PX_A_POINT) if found else _FULL_PX
    return width if width < _FULL_PX else None


def embedded(charts: Sequence[Chart], shown: str) -> list[dict[str, Any]]:
    """Return charts for the page; one is shown before any choice is made."""
    return [
        {
            "key": chart.key,
            "label": chart.label,
            "alt": chart.alt,
            "source": source(chart.svg),
            "narrow_px": narrow_px(chart.svg),
            "shown": chart.key == shown,
        }
        for chart in charts
    ]
