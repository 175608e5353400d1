"""Results on disk: files that appear whole or not at all, and the hash of what they say.

``content_sha256`` covers the CSV tables (floats as ``%.6g``) and the contents of the arrays, and
nothing else: not the time, the order of the work, the number of workers or the command line.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import tempfile
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from isal import isal_zlib

from v2g_feeder.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

__all__ = [
    "CHUNK_LEVEL",
    "SCHEMA_VERSION",
    "ContentHash",
    "claim_folder",
    "csv_text",
    "empty_folder",
    "file_sha256",
    "load_arrays",
    "pack_chunk",
    "plain",
    "replacing",
    "save_arrays",
    "unpack_chunk",
    "working_name",
    "write_json",
    "write_text",
]

SCHEMA_VERSION: Final = 1
CHUNK_LEVEL: Final = 1
"""Level of compression of arrays."""
_MARKER: Final = "summary.json"
_WORKING: Final = ".units"  # while it is there, the folder is a result in the making
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def claim_folder(folder: Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """Return ``folder`` ready to be written to.

    Parameters
    ----------
    folder
        Result folder.
    overwrite
        Whether an earlier result may be replaced.
    resume
        Whether the run goes on with one that was interrupted there, if there is one.

    Raises
    ------
    InputError
        If it is a file, or holds something that is not an earlier result, or an earlier result
        and neither ``overwrite`` nor ``resume`` applies.
    """
    if overwrite and resume:
        raise InputError(Problem("--resume", "goes on with a run that --overwrite would remove"))
    if folder.exists() and not folder.is_dir():
        raise InputError(Problem(str(folder), "is a file; a result is a folder"))
    if folder.is_dir() and any(folder.iterdir()):
        ours = (folder / _MARKER).exists() or working_name(folder).exists()
        if not ours:
            raise InputError(
                Problem(
                    str(folder), "is not empty and holds no earlier result", "name another --out"
                )
            )
        unfinished = working_name(folder).exists()
        if not overwrite and not (resume and unfinished):
            kind = "a run that was not finished" if unfinished else "an earlier result"
            raise InputError(Problem(str(folder), f"holds {kind}", "--overwrite replaces it"))
    return folder


def working_name(folder: Path) -> Path:
    """Return the folder inside a result for files of the run itself, there or not."""
    return folder / _WORKING


def empty_folder(folder: Path) -> Path:
    """Empty a claimed folder and return the one in it for files of the run itself.

    While that one is there the result is in the making; whoever finishes it removes it.
    """
    if folder.exists():
        shutil.rmtree(folder)
    working = working_name(folder)
    working.mkdir(parents=True)
    return working


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success sync it and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, with the same line ends on every system."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file; not-a-number becomes null, since JSON has none."""
    write_text(path, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: no numpy, no paths, null for what is not a number."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Path):
        return value.as_posix()
    return value


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV: floats ``%.6g``, and no cell that a spreadsheet would run.

    Column by column, each label looked at once: pandas' own writer takes three times as long.
    """
    columns = [_cells(column) for _, column in table.items()]
    head = ",".join(_quoted(str(name)) for name in table.columns)
    return "\n".join([head, *map(",".join, zip(*columns, strict=True)), ""])


def _cells(column: pd.Series) -> Iterator[str]:
    """Return a column's cells in turn; what is not a number, or not there, is empty."""
    values, missing = column.tolist(), column.isna()
    labels = () if column.dtype.kind == "f" else column[~missing].unique().tolist()
    if column.dtype.kind in "iub" or (labels and all(isinstance(one, str) for one in labels)):
        text = {label: _safe(label) for label in labels}
        return map(text.get, values, repeat(""))
    cell = "{:.6g}".format if column.dtype.kind == "f" else _safe
    if not missing.any():
        return map(cell, values)
    return ("" if gone else cell(value) for value, gone in zip(values, missing, strict=True))


def _safe(value: Any) -> str:
    """Return a cell that is no number, quoted where it begins as a formula does."""
    formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return _quoted(f"'{value}" if formula else str(value))


def _quoted(text: str) -> str:
    """Return a cell as it stands in a CSV file."""
    if any(mark in text for mark in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Save mappings of arrays for another process of the same run, or of one that goes on with it.

    Pickled: a study of 1,400 units reads them five times faster than from NumPy's own archive.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        pickle.dump(dict(arrays), file, protocol=5)


def load_arrays(path: Path) -> dict[str, Any]:
    """Load what :func:`save_arrays` saved."""
    found: dict[str, Any] = pickle.loads(path.read_bytes())  # noqa: S301  # our own file
    return found


def pack_chunk(values: np.ndarray) -> bytes:
    """Return the bytes of a chunk as NetCDF's filters ``shuffle`` and ``gzip`` make them.

    HDF5's own zlib takes five times as long, which is most of what a study costs beside its power
    flow.
    """
    flat = np.ascontiguousarray(values).ravel()
    shuffled = flat.view(np.uint8).reshape(-1, flat.itemsize).T.tobytes()
    return bytes(isal_zlib.compress(shuffled, CHUNK_LEVEL))


def unpack_chunk(packed: bytes, into: np.ndarray) -> None:
    """Write float32 values that :func:`pack_chunk` packed; HDF5 takes twice as long.

    Parameters
    ----------
    packed
        Bytes of a chunk.
    into
        The bits of the values, 32-bit unsigned integers, of the chunk's shape.
    """
    shuffled = np.frombuffer(isal_zlib.decompress(packed), np.uint8)
    first, second, third, last = shuffled.reshape(4, *into.shape)
    into[:] = last
    for byte in (third, second, first):
        into <<= 8
        into |= byte


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class ContentHash:
    """Collects what a result says, in any order, and gives one hash."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}

    def add_array(self, key: str, array: np.ndarray) -> None:
        """Add an array under a key; not-a-number and minus zero count as one value each."""
        plain = np.ascontiguousarray(array)
        if plain.dtype.kind == "f":
            plain = plain + plain.dtype.type(0.0)
            plain[np.isnan(plain)] = np.nan
        digest = hashlib.sha256(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.tobytes())
        self._parts[key] = digest.hexdigest()

    def add_text(self, key: str, text: str) -> None:
        """Add a table or other text under a key."""
        self._parts[key] = hashlib.sha256(text.encode()).hexdigest()

    def update(self, other: ContentHash) -> None:
        """Take over what another one collected."""
        self._parts |= other._parts

    def hexdigest(self) -> str:
        """Return the hash of everything added, by key."""
        lines = "\n".join(f"{key} {value}" for key, value in sorted(self._parts.items()))
        return hashlib.sha256(lines.encode()).hexdigest()
