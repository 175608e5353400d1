"""Reader of a CSV of measured load: a table of finite numbers, or every problem with its line."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["MAX_BYTES", "first_few", "header", "numbers", "read_rows"]

MAX_BYTES: Final = 200_000_000
_SHOWN: Final = 5  # problems of one kind that are printed
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*,\d+")
_OPEN_QUOTE: Final = re.compile(r"EOF inside string starting at row (\d+)")
_FIELDS: Final = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


def first_few(
    problems: Iterable[Problem], where: object, what: str, count: int | None = None
) -> list[Problem]:
    """Return the first problems of a kind, and one that counts the rest.

    Parameters
    ----------
    problems
        In order; the first five are kept.
    where, what
        Place and plural name of the rest.
    count
        How many there are, where ``problems`` holds only the first of them.
    """
    every = list(problems)
    rest = (len(every) if count is None else count) - _SHOWN
    if rest <= 0:
        return every
    return [*every[:_SHOWN], Problem(str(where), f"{rest} more {what}")]


def header(path: Path) -> list[str]:
    """Return the names of the columns, stripped.

    Raises
    ------
    InputError
        For a file that is missing, empty, too big, not UTF-8, separated by semicolons or tabs,
        or with two columns of one name.
    """
    where = str(path)
    if not path.is_file():
        raise InputError(Problem(where, "there is no such file"))
    if (size := path.stat().st_size) > MAX_BYTES:
        text = f"{size / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB is read"
        raise InputError(Problem(where, text, "keep one year, or average to 15, 30 or 60 min"))
    try:
        with path.open("rb") as stream:
            start = stream.read(65536)
    except OSError as error:
        raise InputError(Problem(where, f"the file cannot be read: {error.strerror}")) from None
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise InputError(Problem(where, "the file is UTF-16", "save it as UTF-8"))
    if b"\0" in start:
        raise InputError(Problem(where, "the file is binary or UTF-16", "save it as CSV in UTF-8"))
    if not start.removeprefix(BOM_UTF8).strip():
        raise InputError(Problem(where, "the file is empty"))
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            names = [name.strip() for name in next(rows)]
            count = next((len(row) for row in rows if row), len(names))
    except UnicodeDecodeError:
        raise InputError(_not_utf8(path)) from None
    except csv.Error as error:
        raise InputError(Problem(f"{where}, line 1", f"not read as CSV: {error}")) from None
    _check_header(where, names, count)
    return names


def _check_header(where: str, names: Sequence[str], count: int) -> None:
    """Raise for a wrong separator, repeated names and a first row of more fields than names."""
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            hint = "separate with commas, and write numbers with a decimal point"
            raise InputError(Problem(f"{where}, line 1", f"the columns are split by {word}", hint))
    lowered = [name.lower() for name in names]
    problems = [
        Problem(f"{where}, line 1", f"there are two columns {name!r}")
        for name in dict.fromkeys(lowered)
        if lowered.count(name) > 1 and name
    ]
    if count > len(names):
        problems.append(_too_many_fields(where, 2, count, len(names)))
    if problems:
        raise InputError(problems)


def _not_utf8(path: Path) -> Problem:
    """Return the problem of a file that is not UTF-8, with the line."""
    line = 0
    for line, text in enumerate(path.read_bytes().splitlines(), 1):  # noqa: B007  # used below
        try:
            text.decode()
        except UnicodeDecodeError:
            break
    return Problem(f"{path}, line {line}", "the file is not UTF-8", "save it as CSV in UTF-8")


def _too_many_fields(where: str, line: int, found: int, expected: int) -> Problem:
    """Return the problem of a row with more fields than there are columns."""
    text = f"{found} fields; expected {expected}"
    return Problem(f"{where}, line {line}", text, "a decimal comma? write a decimal point")


def read_rows(path: Path, names: Sequence[str], timestamp: str) -> pd.DataFrame:
    """Return the rows; the index is the line in the file.

    Parameters
    ----------
    path
        A file that :func:`header` has read.
    names
        Its columns.
    timestamp
        The column that is kept as text.

    Raises
    ------
    InputError
        For a row of too many fields, bytes that are not UTF-8, or no rows at all.
    """
    try:
        rows = pd.read_csv(
            path,
            header=None,
            skiprows=1,
            names=list(range(len(names))),
            index_col=False,
            skip_blank_lines=False,
            dtype={names.index(timestamp): str},
            encoding="utf-8-sig",
            low_memory=False,
        )
    except UnicodeDecodeError:
        raise InputError(_not_utf8(path)) from None
    except pd.errors.EmptyDataError:
        raise InputError(Problem(str(path), "there is a header and no row below it")) from None
    except pd.errors.ParserError as error:
        match = _FIELDS.search(str(error))
        problem = Problem(str(path), f"not read as CSV: {error}")
        if match:
            expected, line, found = map(int, match.groups())
            problem = _too_many_fields(str(path), line, found, expected)
        elif match := _OPEN_QUOTE.search(str(error)):
            where = f"{path}, line {int(match[1]) + 1}"
            problem = Problem(where, "a quotation mark is never closed")
        raise InputError(problem) from None
    rows.columns = pd.Index(names)
    rows.index = rows.index + 2
    rows = rows.dropna(how="all")
    if rows.empty:
        raise InputError(Problem(str(path), "there is a header and no row below it"))
    return rows


def numbers(rows: pd.DataFrame, path: Path) -> tuple[np.ndarray, list[Problem]]:
    """Return the cells as numbers ``[row, column]``, NaN where there is none, and the problems.

    Parameters
    ----------
    rows
        Columns of readings only; the index is the line in the file.
    path
        For the problems.
    """
    values = np.empty(rows.shape)
    odd = np.zeros(rows.shape, bool)
    problems: list[Problem] = []
    for number, name in enumerate(rows.columns):
        column = rows[name]
        if column.dtype.kind in "iuf":
            values[:, number] = column.to_numpy(float)
            continue
        text = column.astype("string").str.strip().fillna("")
        values[:, number] = pd.to_numeric(text, errors="coerce").to_numpy(float, na_value=np.nan)
        odd[:, number] = np.isnan(values[:, number]) & (text != "").to_numpy(bool)
        if len(problems) < _SHOWN:
            problems += [
                _not_a_number(f"{path}, line {line}, column {name!r}", cell)
                for line, cell in text[odd[:, number]].items()
            ]
    absent = np.argwhere(~np.isfinite(values) & ~odd)
    missing = []
    for row, number in absent[:_SHOWN]:
        where = f"{path}, line {rows.index[row]}, column {rows.columns[number]!r}"
        found = "a missing value" if np.isnan(values[row, number]) else "an infinite value"
        missing.append(Problem(where, f"{found}; expected a number"))
    return values, [
        *first_few(problems, path, "values that are not numbers", int(odd.sum())),
        *first_few(missing, path, "missing values", len(absent)),
    ]


def _not_a_number(where: str, cell: object) -> Problem:
    """Return the problem of one cell."""
    if _DECIMAL_COMMA.fullmatch(str(cell)):
        written = str(cell).replace(",", ".")
        three = len(written.partition(".")[2]) == 3  # 1,234 may be a thousand
        hint = (
            "write a decimal point, and nothing between thousands" if three else f"write {written}"
        )
        return Problem(where, f"{cell!r} has a decimal comma", hint)
    return Problem(where, f"{cell!r} is not a number")
