"""The JSON Schema of a study file, for editors that complete keys and mark errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.store import write_text
from v2g_feeder.study.checklist import ChecklistFile
from v2g_feeder.study.config import StudySection

if TYPE_CHECKING:
    from pathlib import Path

    from v2g_feeder.study.sections import Section

__all__ = ["SCHEMA_FILE", "SCHEMA_LINE", "file_schema", "schema_text", "write_schema_beside"]

SCHEMA_FILE: Final = "study.schema.json"
"""Name of the schema beside a study file."""
SCHEMA_LINE: Final = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""First line of a study file, by which an editor's YAML language server finds the schema."""
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FILES: Final[dict[str, type[Section]]] = {"study": StudySection, "checklist": ChecklistFile}


def file_schema(kind: str = "study") -> dict[str, Any]:
    """Return the JSON Schema of a ``study`` or a ``checklist`` file.

    Descriptions are the documentation of the fields. What needs more than one key, or another
    file, to be judged (a bus that the feeder has, two sizes of a fleet) is left to ``check``.
    """
    schema = _FILES[kind].model_json_schema()
    return {"$schema": _DIALECT} | schema | {"title": f"v2g-feeder {kind} file"}


def schema_text(kind: str = "study") -> str:
    """Return the schema as it is printed and shipped."""
    return json.dumps(file_schema(kind), indent=1, ensure_ascii=False) + "\n"


def write_schema_beside(study: Path) -> None:
    """Write the schema into the folder of a study file, unless another file has its name."""
    path = study.with_name(SCHEMA_FILE)
    if not path.exists() or f'"title": "{file_schema()["title"]}"' in path.read_text("utf-8"):
        write_text(path, schema_text())
