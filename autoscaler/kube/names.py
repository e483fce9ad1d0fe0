"""Names of the daemon's own objects."""

from __future__ import annotations

from hashlib import sha256

_LONGEST = 253
_DIGEST = 10


def object_name(prefix: str, service: str) -> str:
    """Name of the object that belongs to a service; what would be too long ends in a digest instead."""
    name = f"{prefix}.{service}"
    if len(name) <= _LONGEST:
        return name
    head = name[: _LONGEST - _DIGEST - 1].rstrip("-.")
    return f"{head}-{sha256(name.encode()).hexdigest()[:_DIGEST]}"
