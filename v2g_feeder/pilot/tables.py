"""Reader of the checklist's CSV files: named columns as text, then as numbers and times.

Every entry that cannot be read is named by file, line, column and value. An empty entry is no
error: how many there are is one of the things that a checklist asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.base_load_table import first_few, header
from v2g_feeder.feeder.base_load_times import parse_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["numbers", "read_text_table", "times", "words"]


def read_text_table(
    path: Path,
    needed: Sequence[str],
    columns: Mapping[str, str] | None = None,
    *,
    optional: Sequence[str] = (),
    others: bool = False,
) -> pd.DataFrame:
    """Return columns as text by the names of their roles; the index is the line of the file.

    Parameters
    ----------
    path
        UTF-8, separated by commas.
    needed, optional
        Roles. A role's column has its name, whatever the case, or the one given in ``columns``.
    columns
        Role to the user's column name.
    others
        Whether to keep the columns without a role, under their own names.

    Returns
    -------
    pandas.DataFrame
        Stripped text, ``""`` where empty. Optional columns that the file lacks are absent.

    Raises
    ------
    InputError
        For a file that is no table, columns that are missing, rows with too many entries.
    """
    names = header(path)
    lowered = {name.lower(): name for name in names}
    given = dict(columns or {})
    roles = [*needed, *optional]
    where = f"{path}, line 1"
    problems = [
        Problem(str(path), f"unknown column role {role!r}", nearest(role, roles))
        for role in given
        if role not in roles
    ]
    found = {}
    for role in roles:
        wanted = given.get(role, role)
        if wanted.lower() in lowered:
            found[role] = lowered[wanted.lower()]
        elif role in given or role in needed:
            hint = nearest(wanted, names) or f"it has {', '.join(map(repr, names))}"
            problems.append(Problem(where, f"there is no column {wanted!r}", hint))
    if problems:
        raise InputError(problems)
    rows = _rows(path, names)
    table = pd.DataFrame({role: rows[name] for role, name in found.items()})
    if others:
        left = [name for name in names if name not in found.values() and name]
        table = pd.concat([table, rows[left]], axis=1)
    return table


def _rows(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Return all rows as text."""
    try:
        rows = pd.read_csv(
            path,
            header=None,
            skiprows=1,
            names=list(range(len(names))),
            dtype=str,
            keep_default_na=False,
            index_col=False,
            skip_blank_lines=False,
            encoding="utf-8-sig",
        )
    except UnicodeDecodeError as error:
        raise InputError(Problem(str(path), f"the file is not UTF-8: {error.reason}")) from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        words = " ".join(str(error).split())
        raise InputError(Problem(str(path), f"not read as CSV: {words}")) from None
    rows.columns = pd.Index(names)
    rows.index = pd.RangeIndex(2, len(rows) + 2)
    rows = rows.fillna("").apply(lambda column: column.str.strip())
    rows = rows[(rows != "").any(axis=1)]
    if rows.empty:
        raise InputError(Problem(str(path), "there is a header and no row below it"))
    return rows


def numbers(
    text: pd.Series, path: Path, name: str | None = None
) -> tuple[np.ndarray, list[Problem]]:
    """Return a column as numbers, NaN where it is empty, and the entries that are none.

    Parameters
    ----------
    text
        Text; its index is the line of the file.
    path, name
        File and column for the messages; the name is that of ``text`` where left out.
    """
    column = str(name or text.name)
    values = pd.to_numeric(text.where(text != ""), errors="coerce").to_numpy(dtype=float)
    bad = ~np.isfinite(values) & (text != "").to_numpy()
    problems = []
    for line, cell in text[bad].items():
        comma = str(cell).replace(",", ".", 1)
        hint = f"write {comma}" if "," in str(cell) and comma.replace(".", "").isdigit() else ""
        where = f"{path}, line {line}, column {column!r}"
        problems.append(Problem(where, f"{cell!r} is not a number", hint))
    return values, first_few(problems, path, f"values of {column!r} that are not numbers")


def times(text: pd.Series, path: Path, name: str | None = None) -> tuple[pd.Series, list[Problem]]:
    """Return a column as local times without a zone; every entry that is none is a problem."""
    named = text.where(text != "").rename(name or text.name)
    parsed, problems = parse_times(named, path, None)
    return pd.Series(parsed, index=text.index), problems


def words(
    text: pd.Series, path: Path, meaning: Mapping[str, str], *, needed: bool = True
) -> tuple[pd.Series, list[Problem]]:
    """Return a column of known words as what they mean.

    Parameters
    ----------
    text
        Text; compared in lower case.
    path
        For the messages.
    meaning
        Word in lower case to meaning.
    needed
        Whether an empty entry is a problem; otherwise it stays ``""``.
    """
    lowered = text.str.lower()
    odd = ~lowered.isin(meaning.keys()) & ((lowered != "") | needed)
    problems = [
        Problem(
            f"{path}, line {line}, column {text.name!r}",
            f"{cell!r} is not known" if cell else "is empty",
            nearest(str(cell), list(meaning)) or f"one of {_listed(meaning)}",
        )
        for line, cell in text[odd].items()
    ]
    found = lowered.map(lambda word: meaning.get(word, ""))
    return found, first_few(problems, path, f"words of {text.name!r} that are not known")


def _listed(meaning: Iterable[str]) -> str:
    """Return the first words of a list."""
    every = list(meaning)
    return ", ".join(every[:12]) + (" and others" if len(every) > 12 else "")
