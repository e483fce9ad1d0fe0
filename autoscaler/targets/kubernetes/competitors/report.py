"""What a search for competitors found, and what it could not look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else who sets the same count.

    Attributes:
        kind: Kind of the object behind it, or the name of the program.
        name: Name of the object.
        namespace: Its namespace.
        what_it_writes: What it changes.
        how_to_proceed: What to do so that one of the two sets the count.
    """

    kind: str
    name: str
    namespace: str
    what_it_writes: str
    how_to_proceed: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name} writes {self.what_it_writes}: {self.how_to_proceed}"


@dataclass(frozen=True, slots=True)
class Competition:
    """The result of a search.

    Attributes:
        conflicts: Others that set the count.
        unchecked: What could not be looked at, and why; as long as there is any, no conflict does not mean none.
        notes: What is no conflict now and may become one.
    """

    conflicts: tuple[Conflict, ...] = ()
    unchecked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
