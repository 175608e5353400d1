"""What the sections of every YAML file share: strictness, and errors that name key and value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

from v2g_feeder.errors import Problem, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError

__all__ = ["Section", "section_problems"]

_UNION_TAGS: Final = ("str", "int", "float")
_BOOLEANS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_NUMBERS: Final = ("float_type", "int_type")
_DECIMAL_COMMA: Final = re.compile(r"^[-+]?\d+,\d+$")


class Section(BaseModel):
    """Frozen; unknown keys are refused; numbers are not read from text."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


def section_problems(path: Path, error: ValidationError, root: type[Section]) -> list[Problem]:
    """Return the errors of a file as problems.

    Parameters
    ----------
    path
        The file.
    error
        What validation found.
    root
        The section that the whole file is.
    """
    return [_problem(path, detail, root) for detail in error.errors()]


def _problem(path: Path, detail: Any, root: type[Section]) -> Problem:
    """Return a validation error as a problem that names key, value and the nearest valid name."""
    location = [part for part in detail["loc"] if part not in _UNION_TAGS]
    where = ""
    for part in location:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    message, hint = str(detail["msg"]).removeprefix("Value error, "), ""
    value = detail.get("input")
    if detail["type"] == "extra_forbidden":
        message = f"unknown key {location[-1]!r}"
        hint = nearest(str(location[-1]), _keys_at(root, location[:-1]))
    elif detail["type"] == "missing":
        message = "is required and missing"
    elif detail["type"] in {"literal_error", "enum"}:
        valid = re.findall(r"'([^']+)'", str(detail["ctx"]["expected"]))
        message = f"{value!r} is not one of {', '.join(valid) or detail['ctx']['expected']}"
        hint = nearest(str(value), valid)
    elif isinstance(value, str | int | float | bool) or value is None:
        message = f"{value!r}: {message[:1].lower()}{message[1:]}"
        hint = _rewritten(detail["type"], value, message)
    return Problem(f"{path}: {where}" if where else str(path), message, hint)


def _rewritten(kind: str, value: Any, message: str) -> str:
    """Return how to write what a scalar was probably meant to be, or an empty string."""
    if not isinstance(value, str):
        if isinstance(value, int | float) and not isinstance(value, bool):
            if 2 <= value <= 100 and "less than or equal to 1" in message:
                return f"did you mean {value / 100:g}?"
            if kind == "string_type":
                return f'write "{value}", in quotes'
        return ""
    if kind == "bool_type" and value.lower() in _BOOLEANS:
        return f"write {_BOOLEANS[value.lower()]}"
    if kind in _NUMBERS and _DECIMAL_COMMA.match(value):
        return f"write {value.replace(',', '.')}"
    return ""


def _keys_at(root: type[Section], location: list[Any]) -> list[str]:
    """Return the valid keys of the section at a location."""
    section: Any = root
    for part in location:
        if isinstance(part, int):
            continue
        if part not in section.model_fields:
            return []
        section = _section_of(section.model_fields[part].annotation)
        if section is None:
            return []
    return list(section.model_fields)


def _section_of(annotation: Any) -> Any:
    """Return the section model inside an annotation such as ``list[FleetSection] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_of(inner)
        if found is not None:
            return found
    return None
