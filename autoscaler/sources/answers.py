"""What asking gave: the elements of an instant vector, or why there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Element(NamedTuple):
    """One element of an instant vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one expression.

    Attributes:
        elements: Empty where no series matched.
        error: Why there is no answer, and what to do about it; empty when there is one.
        warning: What the answer may lack.
    """

    elements: tuple[Element, ...] = ()
    error: str = ""
    warning: str = ""


class Ask(Protocol):
    """Evaluates expressions at one instant. Never raises for a sick dependency."""

    def __call__(self, expressions: Iterable[str], now_s: float, /) -> Mapping[str, Answer]:
        """Answer each expression, keyed by its text."""
        ...


def describe(elements: Iterable[Element], *, most: int = 3) -> str:
    """Label sets in words, to find out which labels are there."""
    found = list(elements)
    shown = [
        "{" + ", ".join(f'{name}="{value}"' for name, value in element.labels.items()) + "}" for element in found[:most]
    ]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(shown) + more
