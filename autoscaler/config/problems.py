"""What is wrong with a policy, in words for the person who has to put it right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_SHORTEST_PREFIX = 3  # min, max, url


class Severity(StrEnum):
    """How much a problem matters: an error refuses the policy, a warning and a note do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong or doubtful.

    Attributes:
        path: Where in the document, like `spec.roles.prefill.startupTime`; empty for the file as a whole.
        message: What is wrong and what to do about it.
        value: The offending value as written; None where there is none or where it could hold a secret.
        allowed: What may stand there.
        nearest: What was probably meant.
        file: The file as it was named.
        line: Line in the file, from 1.
        severity: How much it matters.
    """

    path: str
    message: str
    value: str | None = None
    allowed: str | None = None
    nearest: str | None = None
    file: str | None = None
    line: int | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        rank = "" if self.severity is Severity.ERROR else self.severity.value
        extras = [
            f"got {self.value}" if self.value is not None else "",
            f"allowed: {self.allowed}" if self.allowed is not None else "",
            f"did you mean {self.nearest}?" if self.nearest is not None else "",
        ]
        extra = ", ".join(part for part in extras if part)
        head = ": ".join(part for part in (place, rank, self.path, self.message) if part)
        return f"{head} ({extra})" if extra else head


class PolicyError(ValueError):
    """A policy that may not be used, with every problem found in it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant, or None.

    Case and separators do not count (`startup_time` means `startupTime`), nor does a suffix (`minReplicas` is `min`).
    """
    plain = {_plain(candidate): candidate for candidate in candidates}
    wanted = _plain(word)
    if wanted in plain:
        return plain[wanted]
    if close := difflib.get_close_matches(wanted, plain, n=1, cutoff=0.7):
        return plain[close[0]]
    prefixes = [name for name in plain if len(name) >= _SHORTEST_PREFIX and wanted.startswith(name)]
    return plain[max(prefixes, key=len)] if prefixes else None


def meant(word: str, candidates: Iterable[str]) -> str:
    """What a message about an unknown word ends with: `; did you mean ...?`, or nothing where nothing is near."""
    near = nearest(word, candidates)
    return f"; did you mean {near}?" if near is not None else ""


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
