"""OpenDSS text as the engine cuts it: files, lines, block comments, parameters and variables.

The cutting follows the engine's own parser to the letter, also where it is odd (``sub= bus1=a``
gives ``sub`` the value ``bus1``): a reader that understood a line otherwise than the engine does
could be talked into letting it pass.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_BYTES", "Parameter", "Refused", "logical_lines", "parameters", "read", "resolve"]

MAX_BYTES: Final = 64 * 2**20
"""Largest file that is read."""

_CLOSING: Final = {"(": ")", '"': '"', "'": "'", "[": "]", "{": "}"}
_PLAIN: Final = re.compile(r"(?:[^,= \t!/]|/(?!/))*")
_BLANK: Final = re.compile(r"[ \t]*")
_NEWLINE: Final = re.compile(r"\r\n|\r|\n")
_STRAY: Final = 1_000
"""A text may hold one control character in so many: EPRI's ckt5 has a NUL here and there."""
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f]")


class Refused(Exception):  # noqa: N818  # never leaves the scanner: it becomes a Problem
    """What is wrong with the line, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


class Parameter(NamedTuple):
    """One ``name=value``; the name is empty for a value by position."""

    name: str
    value: str


def read(path: Path, *, text: bool) -> str:
    """Return a file's text; ``text=False`` admits binary content and returns nothing.

    Raises
    ------
    Refused
        If the file is missing, not a regular file, empty, too big, unreadable or binary.
    """
    if not path.is_file():
        raise Refused(*_missing(path))
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise Refused(f"{path} is larger than {MAX_BYTES // 2**20} MB")
    if not content.strip():
        raise Refused(f"{path} is empty")
    if not text:
        return ""
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded = content.decode("latin-1")
    if len(_CONTROL.findall(decoded)) * _STRAY > len(decoded):
        hint = "text in UTF-8 or Latin-1 is expected; UTF-16 is not read by OpenDSS either"
        raise Refused(f"{path} is not a text file: it holds control characters", hint)
    return decoded


def _missing(path: Path) -> tuple[str, str]:
    """Say that a file is missing, and name the one that differs in case only."""
    found = Path(path.anchor)
    for part in path.parts[1:]:
        try:
            names = os.listdir(found)  # noqa: PTH208  # names only
        except OSError:
            names = []
        same = [name for name in names if name.lower() == part.lower()]
        if not same:
            kind = "is not a regular file" if path.exists() else "does not exist"
            return f"{path} {kind}", ""
        found /= part if part in same else same[0]
    if found == path:
        return f"{path} is not a regular file", ""
    return f"{path} does not exist", f"upper and lower case matter here; the file is {found}"


def resolve(folder: Path, written: str) -> tuple[Path, bool]:
    """Return the file that the engine would open, and whether it was named absolutely.

    As in the engine, the path is made plain as text: links are not followed.
    """
    absolute = bool(PureWindowsPath(written).drive) or written.startswith(("/", "\\", "~"))
    if os.sep == "/":
        written = written.replace("\\", "/")
    return Path(os.path.normpath(folder / written)), absolute


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of the lines outside block comments.

    A block comment begins with ``/*`` in the first column and ends with the *line* that holds
    ``*/``: what follows on that line is not read either.
    """
    inside = False
    for number, line in enumerate(_NEWLINE.split(text), start=1):
        inside = inside or line.startswith("/*")
        if inside:
            inside = "*/" not in line
        elif line.strip(" \t"):
            yield number, line


def parameters(line: str, variables: Mapping[str, str]) -> list[Parameter]:
    """Cut a line into parameters, variables resolved.

    Raises
    ------
    Refused
        If a quote is left open, a variable is not defined, or an empty value stands before the
        end, where the engine silently stops reading.
    """
    line += " "
    last = len(line) - 1
    match = _BLANK.match(line, 0)
    position = min(match.end(), last) if match else 0
    found: list[Parameter] = []
    while position < last:
        token, position, stop = _token(line, position, " ")
        name = ""
        if stop == "=":
            name = token
            token, position, stop = _token(line, position, "=")
        if found and not found[-1].value:
            raise Refused(
                "the engine reads nothing after an empty value", "give it or leave it out"
            )
        if name or token or (stop != "!" and position < last):
            found.append(Parameter(name, _substitute(token, variables)))
    return found


def _token(line: str, position: int, stop: str) -> tuple[str, int, str]:
    """Return the next token, where the one after it begins, and what ended it."""
    last = len(line) - 1
    if position > last:
        return "", position, stop
    closing = _CLOSING.get(line[position])
    if closing:
        end = line.find(closing, position + 1, last)
        if end < 0:
            raise Refused(f"no closing {closing} for {line[position : position + 30].strip()!r}")
        token, position = line[position + 1 : end], end + 1
    else:
        match = _PLAIN.match(line, position)
        end = match.end() if match else position
        token, position = line[position:end], end
        if end < last:
            stop = "!" if line[end] in "!/" else line[end].replace("\t", " ")
    if stop == "!":
        return token, last + 1, stop
    if stop == " ":
        position = _skip(line, position)
    if line[position] in ",=":
        stop = line[position]
        position += 1
    return token, _skip(line, position), stop


def _skip(line: str, position: int) -> int:
    """Return the first position that is no blank, or the last of the line."""
    match = _BLANK.match(line, position)
    return min(match.end() if match else position, len(line) - 1)


def _substitute(token: str, variables: Mapping[str, str]) -> str:
    """Return the token, or the value of the variable that it begins with."""
    if len(token) < 2 or token[0] != "@":
        return token
    end = token.find("^") if "^" in token else token.find(".")
    name, rest = (token, "") if end < 0 else (token[:end], token[end:])
    if name.lower() not in variables:
        hint = (
            "a model's variables are set with var before they are used; @result and the like "
            "depend on what was run before"
        )
        raise Refused(f"{name} is not a variable of this model", hint)
    return variables[name.lower()] + rest
