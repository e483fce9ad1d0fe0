"""Texts with placeholders: `{name}-{entry_lower}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with placeholders in braces."""

    text: str

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the placeholders in it."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with each placeholder replaced by the value of that name."""
        return _PLACEHOLDER.sub(lambda found: values[found[1]], self.text)
