"""The error of a spec that cannot be used."""

from __future__ import annotations


class SpecError(ValueError):
    """A spec that cannot be used, with every problem found in it, one a line."""
