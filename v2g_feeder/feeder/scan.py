"""Read OpenDSS text without running it: what is allowed, what it reads, how names are written.

A ``.dss`` file is code: it can write files, start programs and load shared libraries. The reader
here knows what a *description of a feeder* needs and refuses the rest, with every place named; it
resolves abbreviations, continued lines, variables and redirects as the engine does. This hardens;
it is no sandbox.

Output commands (``show``, ``plot``, ``export`` and their like, which end many public master files)
are refused and not skipped: the engine reads the very same files, so a line passed over here would
be executed there.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.scan_names import COMMANDS, PROPERTIES, expand
from v2g_feeder.feeder.scan_rules import (
    COMMANDS_ALLOWED,
    EDITING,
    OBJECT_COMMANDS,
    bus_names,
    check_option,
    check_property,
    property_of,
    refuse_command,
)
from v2g_feeder.feeder.scan_text import Refused, logical_lines, parameters, read, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.feeder.scan_text import Parameter

__all__ = ["ScannedModel", "copy_model", "scan"]

_MAX_DEPTH: Final = 32
_MAX_REDIRECTS: Final = 2_000
_MAX_PROBLEMS: Final = 100
_ARRAY_FILES: Final = ("file", "dblfile", "sngfile")
_FILE_PROPERTIES: Final = ("csvfile", "pqcsvfile", "dblfile", "sngfile")
_OWN_VARIABLES: Final = ("@last", "@result")
_FAULTY: Final = "?"
"""The active class after a line that was refused: what continues it is not judged."""


@dataclass(frozen=True)
class ScannedModel:
    """What an OpenDSS model is made of.

    Parameters
    ----------
    master
        The master file, absolute, links resolved.
    files
        Every file that is read, master first, then in the order of first mention.
    root
        The deepest folder that holds them all.
    names
        Lower-case bus (``b1``) or element (``line.l1``) name to the name as first written.
    has_solve
        Whether the model solves itself while it is loaded.
    absolute
        Where a file is named by an absolute path; such a model cannot be copied.
    """

    master: Path
    files: tuple[Path, ...]
    root: Path
    names: Mapping[str, str]
    has_solve: bool
    absolute: tuple[Problem, ...] = ()


def scan(master: Path) -> ScannedModel:
    """Read a master file and everything it refers to, without running it.

    Parameters
    ----------
    master
        An OpenDSS master file.

    Raises
    ------
    InputError
        With *all* that is not allowed or not found, each with its file and line.
    """
    reader = _Reader(master.resolve(), str(master.parent))
    try:
        text = read(reader.master, text=True)
    except Refused as refusal:
        raise InputError(Problem(str(master), refusal.message, refusal.hint)) from None
    reader.file(reader.master, text)
    if not reader.circuit and not reader.problems:
        reader.problems.append(
            Problem(str(master), "no circuit is made: New Circuit.name expected")
        )
    if reader.problems:
        shown = reader.problems[:_MAX_PROBLEMS]
        if len(reader.problems) > _MAX_PROBLEMS:
            left = len(reader.problems) - _MAX_PROBLEMS
            shown.append(Problem(str(master), f"{left} further problems are not listed"))
        raise InputError(shown)
    files = tuple(reader.files)
    return ScannedModel(
        master=reader.master,
        files=files,
        root=Path(os.path.commonpath([path.parent for path in files])),
        names=MappingProxyType(reader.names),
        has_solve=reader.has_solve,
        absolute=tuple(reader.absolute),
    )


def copy_model(scanned: ScannedModel, folder: Path) -> Path:
    """Copy every file of a model, as it is, into ``folder`` with the layout it has under its root.

    No text is rewritten, so a model that names a file by an absolute path is refused: the copy
    would still read the original.

    Returns
    -------
    Path
        The copied master, which any OpenDSS compiles.

    Raises
    ------
    InputError
        If a file is named by an absolute path.
    """
    if scanned.absolute:
        raise InputError(scanned.absolute)
    for path in scanned.files:
        target = folder / path.relative_to(scanned.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder / scanned.master.relative_to(scanned.root)


@dataclass
class _Reader:
    """The state of a reading: what the engine would have in force at this line."""

    master: Path
    shown: str
    folder: Path = field(default_factory=Path)
    line: int = 0
    circuit: str = ""
    active: str = ""
    has_solve: bool = False
    redirects: int = 0
    stack: list[Path] = field(default_factory=list)
    files: dict[Path, None] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    absolute: list[Problem] = field(default_factory=list)

    def place(self) -> str:
        """Return ``file:line``, the file as seen from where the user named the master."""
        path = self.stack[-1]
        if path.is_relative_to(self.master.parent):
            path = Path(self.shown) / path.relative_to(self.master.parent)
        return f"{path}:{self.line}"

    def file(self, path: Path, text: str, *, compiled: bool = False) -> None:
        """Read the lines of one file; a compiled file's folder stays the current one."""
        self.files.setdefault(path)
        before, line = self.folder, self.line
        self.folder = path.parent
        self.stack.append(path)
        for number, content in logical_lines(text):
            self.line = number
            try:
                self.command(parameters(content, self.variables))
            except Refused as refusal:
                self.problems.append(Problem(self.place(), refusal.message, refusal.hint))
        self.stack.pop()
        self.line = line
        self.folder = path.parent if compiled else before

    def command(self, found: list[Parameter]) -> None:
        """Read one command."""
        if not found:
            return
        first, rest = found[0], found[1:]
        if first.name:
            self.assignment(first, rest)
            return
        if not first.value:
            return
        name = expand(first.value, COMMANDS)
        if name not in COMMANDS_ALLOWED:
            refuse_command(first.value, name)
        if name in OBJECT_COMMANDS:
            self.element(name, rest)
        elif name in {"~", "m", "more"}:
            self.more(first.value, rest)
        else:
            self.active = ""
            self.other(name, rest)

    def other(self, name: str, rest: list[Parameter]) -> None:
        """Read a command that is not about one element."""
        if name in {"redirect", "compile"}:
            self.redirect(rest, compiled=name == "compile")
        elif name in {"buscoords", "latlongcoords"}:
            self.data(rest[0].value if rest else "", text=True)
        elif name in {"set", "solve"}:
            self.options(name, rest)
        elif name == "var":
            self.define(rest)
        elif name in {"clear", "clearall"}:
            self.circuit = ""
            self.names.clear()

    # -- elements -----------------------------------------------------------------------------

    def element(self, command: str, rest: list[Parameter]) -> None:
        """Read ``New class.name properties`` and its like."""
        self.active = _FAULTY
        if not rest or (rest[0].name and not "object".startswith(rest[0].name.lower())):
            raise Refused(f"{command} needs an element: class.name expected")
        kind, dot, name = rest[0].value.partition(".")
        kind, written = kind.lower(), kind
        if kind == "circuit" and command == "new":
            if self.circuit:
                hint = "one circuit a model; Clear ends the one before"
                raise Refused(f"a second circuit: {name!r} after {self.circuit!r}", hint)
            self.circuit = name or "?"
        kind = "vsource" if kind == "circuit" else kind
        if kind not in PROPERTIES:
            hint = nearest(kind, [*PROPERTIES, "circuit"])
            raise Refused(f"{rest[0].value!r}: there is no element class {kind!r}", hint)
        if not dot or not name:
            raise Refused(f"{rest[0].value!r} has no name: class.name expected")
        if command in {"new", "edit"} and written.lower() != "circuit":
            full = f"{written}.{name}"
            self.names.setdefault(full.lower(), full)
        # The engine does nothing on Edit Circuit and keeps the class that was active before.
        edited = command == "new" or (command == "edit" and written.lower() != "circuit")
        self.active = kind if edited else ""
        if command in EDITING:
            self.properties(kind, rest[1:])

    def more(self, written: str, rest: list[Parameter]) -> None:
        """Read a line that continues New or Edit."""
        if not self.active:
            raise Refused(f"{written} continues nothing", "put it right after New or Edit")
        if self.active != _FAULTY:
            self.properties(self.active, rest)

    def assignment(self, first: Parameter, rest: list[Parameter]) -> None:
        """Read ``class.name.property=value more``."""
        kind, _, tail = first.name.partition(".")
        name, _, prop = tail.partition(".")
        self.active = ""
        if kind.lower() not in PROPERTIES or not name or not prop:
            hint = nearest(kind, [*PROPERTIES, *sorted(COMMANDS_ALLOWED)])
            message = f"{first.name!r} is no command and no class.name.property=value"
            raise Refused(message, hint)
        if '"' in first.value:
            # The engine writes the value between double quotes and reads the line again.
            raise Refused(f"a double quote inside the value of {first.name}")
        self.properties(kind.lower(), [first._replace(name=prop), *rest])

    def properties(self, kind: str, given: list[Parameter]) -> None:
        """Check the properties of an element, by name or by position; report each on its own."""
        position = 0
        for item in given:
            if not item.name and not item.value:
                continue
            try:
                prop, position = property_of(kind, item.name, position)
                check_property(kind, prop, item.value)
                self.referred(prop, item.value)
            except Refused as refusal:
                self.problems.append(Problem(self.place(), refusal.message, refusal.hint))
                continue
            for bus in bus_names(prop, item.value, self.variables):
                self.names.setdefault(bus.lower(), bus)

    def options(self, command: str, given: list[Parameter]) -> None:
        """Check the options of ``Set`` or ``Solve``."""
        self.has_solve = self.has_solve or command == "solve"
        if command == "solve" and given and not given[0].name and given[0].value.lower() == "all":
            given = given[1:]
        for item in given:
            if item.name or item.value:
                check_option(item)
                self.referred("", item.value)

    def define(self, given: list[Parameter]) -> None:
        """Keep the variables of a ``var`` command."""
        for name, value in given:
            if not name.startswith("@") or not value or name.lower().startswith(_OWN_VARIABLES):
                raise Refused(f"var {name}={value}: @name=value expected", "a name of your own")
            self.variables[name.lower()] = value

    # -- files --------------------------------------------------------------------------------

    def redirect(self, rest: list[Parameter], *, compiled: bool) -> None:
        """Read the file that a Redirect or Compile names."""
        path = self.named(rest[0].value if rest else "")
        chain = [*self.stack, path]
        if path in self.stack:
            steps = " -> ".join(step.name for step in chain[chain.index(path) :])
            raise Refused(
                f"the file leads back to itself: {steps}", "this ends the engine's process"
            )
        self.redirects += 1
        if len(chain) > _MAX_DEPTH or self.redirects > _MAX_REDIRECTS:
            limits = f"{_MAX_DEPTH} levels and {_MAX_REDIRECTS} files are allowed"
            raise Refused(f"too many redirects: {limits}")
        self.file(path, read(path, text=True), compiled=compiled)

    def referred(self, prop: str, value: str) -> None:
        """Take up the file that a property's value names, if it names one."""
        if prop in _FILE_PROPERTIES:
            self.data(value, text=prop in {"csvfile", "pqcsvfile"})
        elif "file" in value.lower():
            inner = parameters(value, self.variables)
            if inner and inner[0].name.lower() in _ARRAY_FILES:
                self.data(inner[0].value, text=inner[0].name.lower() == "file")

    def data(self, written: str, *, text: bool) -> None:
        """Take up a file of numbers or coordinates: it holds no commands."""
        path = self.named(written)
        if path not in self.files:
            read(path, text=text)
            self.files[path] = None

    def named(self, written: str) -> Path:
        """Return the file that is named at this place."""
        if not written.strip() or "%" in written or "\0" in written:
            raise Refused(f"{written!r} is not a file name")
        path, absolute = resolve(self.folder, written)
        if absolute:
            hint = "name it relative to the file that mentions it"
            message = f"an absolute path cannot be copied with the model: {written}"
            self.absolute.append(Problem(self.place(), message, hint))
        return path
