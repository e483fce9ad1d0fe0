"""How a validator says no: a pydantic error that carries what a `Problem` needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic_core import PydanticCustomError

REFUSED = "refused"
CONFLICTS = "conflicts"


def refuse(message: str, *, allowed: str | None = None, nearest: str | None = None) -> PydanticCustomError:
    """Make the error for one value."""
    return PydanticCustomError(REFUSED, "{message}", {"message": message, "allowed": allowed, "nearest": nearest})


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that does not go with another one.

    Attributes:
        loc: Keys that lead to it from the model that found it.
        message: What is wrong and what to do about it.
        value: The value as written.
        allowed: What may stand there.
        nearest: What was probably meant.
    """

    loc: tuple[str | int, ...]
    message: str
    value: str | None = None
    allowed: str | None = None
    nearest: str | None = None


@dataclass(slots=True)
class Conflicts:
    """Collects what a model's cross-checks find, so that all of it is reported at once."""

    found: list[Conflict] = field(default_factory=list)

    def add(
        self,
        *loc: str | int,
        message: str,
        value: str | None = None,
        allowed: str | None = None,
        nearest: str | None = None,
    ) -> None:
        """Note one conflict at `loc`."""
        self.found.append(Conflict(loc, message, value, allowed, nearest))

    def close(self) -> None:
        """End the checks.

        Raises:
            PydanticCustomError: Something was found.
        """
        if self.found:
            raise PydanticCustomError(CONFLICTS, "{count} conflicts", {"count": len(self.found), "found": self.found})
