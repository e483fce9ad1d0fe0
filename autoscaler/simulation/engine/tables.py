"""Tables of rows: numpy record arrays for compiled code, lists of plain objects where nothing is compiled.

Both are read and written the same way, `table[index].field`. A record array is what numba understands; interpreted, it
is ten times slower than an object.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from autoscaler.simulation.engine.compiled import COMPILES
from autoscaler.simulation.engine.world import Table

Row = TypeVar("Row")


class Rows(list[Row]):
    """A list with the one more property that the inner loop uses."""

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self)


def new_table(row: type[Row], size: int) -> Table[Row]:
    """A table of rows that are zero everywhere."""
    if COMPILES:
        return cast("Table[Row]", np.zeros(size, dtype=_record(row)).view(np.recarray))
    return Rows([_blank(row) for _ in range(size)])


def fill(table: Table[Row], field: str, values: npt.ArrayLike) -> None:
    """Set a field in every row, to one value each or to the same."""
    if COMPILES:
        cast("Any", table)[field] = values
        return
    kind = type(getattr(table[0], field)) if table.size else float
    for index, value in enumerate(np.broadcast_to(values, table.size).tolist()):
        setattr(table[index], field, kind(value))


def column(table: Table[Row], field: str, rows: int) -> npt.NDArray[Any]:
    """A copy of one field of the first rows."""
    if COMPILES:
        return np.array(cast("Any", table)[:rows][field])
    return np.array([getattr(table[index], field) for index in range(rows)])


def _fields(row: type) -> list[tuple[str, Any]]:
    return list(get_type_hints(row, include_extras=True).items())


def _record(row: type) -> np.dtype[Any]:
    """The numpy record of a row: int is 64 bits, `Int32` 32, another row nests."""

    def column_type(hint: Any) -> Any:
        if get_origin(hint) is Annotated:
            return get_args(hint)[1]
        return hint if hint in (int, float) else _record(hint)

    return np.dtype([(name, column_type(hint)) for name, hint in _fields(row)], align=True)


def _blank(row: type[Row]) -> Row:
    blank = row()
    for name, hint in _fields(row):
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        setattr(blank, name, kind() if kind in (int, float) else _blank(kind))
    return blank
