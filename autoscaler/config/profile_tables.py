"""Profiler files as named columns of numbers, within limits: a file of a stranger may be huge, or hold code."""

from __future__ import annotations

import csv
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscaler.config.files import nearest_file
from autoscaler.config.problems import meant

MAX_BYTES = 16 << 20
_MAX_UNPACKED_BYTES = 64 << 20
_MAX_VALUES = 100_000
_LARGEST = 1e12  # beyond any number that a profiler writes: squares of it still fit
# What zipfile and numpy raise on bytes that are no archive, or a damaged or encrypted one, hold objects, or lie about
# their size.
_NO_ARRAYS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(ValueError, EOFError, OSError, KeyError, RuntimeError, MemoryError),
)

Column = NDArray[np.float64]


class ProfileError(ValueError):
    """A profile that cannot be used; says which file, which value, and what is wanted."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one file.

    Attributes:
        path: The file.
        columns: What it holds, unchecked.
    """

    path: Path
    columns: Mapping[str, object]

    def has(self, *names: str) -> bool:
        """Whether all of these columns are there."""
        return all(name in self.columns for name in names)

    def numbers(self, name: str, unit: str, *, zero: bool = False, most: float = _LARGEST) -> Column:
        """A column of finite numbers above 0, or from 0 on.

        Raises:
            ProfileError: It is missing, or holds something else.
        """
        if name not in self.columns:
            there = ", ".join(self.columns) or "none"
            raise ProfileError(f"{self.path}: {name} is missing; there are {there}{meant(name, self.columns)}")
        values = _floats(self.columns[name])
        if values is None:
            raise ProfileError(f"{self.path}: {name} is no list of numbers")
        flat = values.reshape(-1)
        if not 0 < flat.size <= _MAX_VALUES:
            raise ProfileError(f"{self.path}: {name} holds {flat.size} values; 1 to {_MAX_VALUES} are wanted")
        wrong = ~np.isfinite(flat) | (flat < 0) | (flat > most) | ((flat == 0) & (not zero))
        if wrong.any():
            index = int(wrong.argmax())
            low = "0 or more" if zero else "more than 0"
            high = f" and at most {most:g}" if most < _LARGEST else ""
            raise ProfileError(f"{self.path}: {name}[{index}] is {flat[index]:g}; {unit}, {low}{high}, is wanted")
        return values

    def together(self, *columns: Column) -> None:
        """Check that columns belong together.

        Raises:
            ProfileError: Their lengths differ.
        """
        lengths = {column.size for column in columns}
        if len(lengths) > 1:
            words = " and ".join(str(length) for length in sorted(lengths))
            raise ProfileError(f"{self.path}: its columns have {words} values; they must have as many each")


def read_table(path: Path) -> Table:
    """Read a file of columns: .npz, .json or .csv.

    Raises:
        ProfileError: It cannot be read, or is none.
    """
    raw = read_bytes(path)
    readers = {".npz": _npz, ".json": _json, ".csv": _csv}
    if path.suffix not in readers:
        raise ProfileError(
            f"{path}: {path.suffix or 'a name without suffix'} is no form of profile; use .yaml, .npz, .json or .csv"
        )
    return Table(path, readers[path.suffix](raw, path))


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        ProfileError: It cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        near = nearest_file(path)
        hint = f"; did you mean {path.parent / near}?" if near else ""
        raise ProfileError(f"{path}: cannot be read: {error.strerror}{hint}") from error
    if len(raw) > MAX_BYTES:
        raise ProfileError(f"{path}: is larger than {MAX_BYTES >> 20} MiB")
    return raw


def records(rows: Sequence[Mapping[str, object]], path: Path) -> dict[str, object]:
    """Columns of a list of rows."""
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise ProfileError(f"{path}: is no list of rows")
    if len(rows) > _MAX_VALUES:
        raise ProfileError(f"{path}: holds {len(rows)} rows; at most {_MAX_VALUES} are read")
    return {name: [row.get(name) for row in rows] for name in rows[0]}


def _floats(value: object) -> Column | None:
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return np.atleast_1d(found)


def _npz(raw: bytes, path: Path) -> dict[str, object]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            fits = sum(member.file_size for member in archive.infolist()) <= _MAX_UNPACKED_BYTES
        columns = _arrays(raw) if fits else {}
    except _NO_ARRAYS as error:
        raise ProfileError(f"{path}: is no NPZ of plain numbers: {error}") from error
    if not fits:
        raise ProfileError(f"{path}: unpacks to more than {_MAX_UNPACKED_BYTES >> 20} MiB")
    return columns


def _arrays(raw: bytes) -> dict[str, object]:
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _json(raw: bytes, path: Path) -> dict[str, object]:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{path}: is no JSON: {error}") from error
    if isinstance(data, list):
        return records(data, path)
    if not isinstance(data, dict):
        raise ProfileError(f"{path}: is neither columns nor rows")
    return data


def _csv(raw: bytes, path: Path) -> dict[str, object]:
    try:
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")), strict=True)
        names, rows = list(reader.fieldnames or ()), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProfileError(f"{path}: is no CSV: {error}") from error
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise ProfileError(f"{path}: the column {twice} stands there twice: remove one")
    return records(rows, path)
