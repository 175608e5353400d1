"""YAML of limits and devices, read without surprises: no duplicate keys, no aliases, no objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from v2g_feeder.errors import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_text", "read_yaml"]

_MOST_BYTES: Final = 5_000_000


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses aliases and keys that stand twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not used here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a name", key_node.start_mark
                )
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def read_text(path: Path) -> str:
    """Return a file as text.

    Raises
    ------
    InputError
        If it is missing, above 5 MB or not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(Problem(str(path), str(reason))) from error
    if len(raw) > _MOST_BYTES:
        raise InputError(Problem(str(path), f"{len(raw)} bytes; at most {_MOST_BYTES} are read"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(Problem(str(path), "is not UTF-8 text", "save it as UTF-8")) from error


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises
    ------
    InputError
        As :func:`read_text`, and with the line at which it breaks YAML.
    """
    text = read_text(path)
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InputError(Problem(f"{path}:{line}", str(error.problem or error.context))) from error
    except RecursionError as error:
        raise InputError(Problem(str(path), "nested too deeply")) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(Problem(str(path), " ".join(str(error).split()))) from error
