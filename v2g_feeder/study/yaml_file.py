"""Study files read strictly: what looks like a time, a key or a number is not guessed at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from v2g_feeder.errors import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_yaml"]

_MOST_BYTES: Final = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without aliases, duplicate keys, base-60 and octal numbers, yes/no booleans."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not used in study files", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not a name", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_StrictLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not tag.endswith((":bool", ":int", ":float"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF")
)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a study file.

    Raises
    ------
    InputError
        If it is missing, too large, not UTF-8 or not a mapping, or breaks YAML; with the line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(Problem(str(path), str(reason))) from error
    if len(raw) > _MOST_BYTES:
        raise InputError(Problem(str(path), f"{len(raw)} bytes; a study file is one page"))
    try:
        text = raw.decode("utf-8-sig")
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # derived from SafeLoader
    except UnicodeDecodeError as error:
        raise InputError(Problem(str(path), "is not UTF-8 text", "save it as UTF-8")) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InputError(Problem(f"{path}:{line}", str(error.problem or error.context))) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        words = (
            "nested too deeply"
            if isinstance(error, RecursionError)
            else " ".join(str(error).split())
        )
        raise InputError(Problem(str(path), words)) from error
    if not isinstance(content, dict):
        raise InputError(Problem(str(path), "is not a study: a mapping of keys is expected"))
    return content
