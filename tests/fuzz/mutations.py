"""Random damage to documents, as text and as data; reproducible from a seed."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**30, 1e308, -0.0, float("nan"), float("inf")),
    *("", " ", "0", "-1", "1e999", "nan", "5m", "5 m", "1h30m", "100%", "-5%", "x" * 5000, "\x00", "\n", "é"),
    *(
        "{{}}",
        "${HOME}",
        "$prefill",
        "'; drop",
        "../../etc/passwd",
        "http://[",
        "http://a b",
        "file:///x",
        "!!python/x",
    ),
    *([], {}, [[]], [None], {"": ""}, {"a": {"b": {"c": []}}}, ["a"] * 50),
)


_BYTES = (b"\x00", b"\xff", b"&a ", b"*a ", b"<<: ", b"- ", b": ", b"{", b"\t", b"|", b"!!int ")


def luck_of(seed: object) -> Random:
    """Chance that can be had again."""
    return Random(str(seed))  # noqa: S311 - luck is no secret


def mutated(document: Any, luck: Random, *, times: int = 1) -> Any:
    """A copy with something replaced, removed, added, renamed or moved."""
    made = copy.deepcopy(document)
    for _ in range(times):
        places = list(_places(made))
        if not places:
            return luck.choice(ODD)
        parent, key = luck.choice(places)
        _damage(parent, key, luck, places)
    return made


def mangled(text: bytes, luck: Random) -> bytes:
    """Text with bytes cut out, doubled, exchanged or put in."""
    raw = bytearray(text)
    for _ in range(luck.randrange(1, 4)):
        at = luck.randrange(len(raw) + 1)
        until = min(at + luck.randrange(1, 30), len(raw))
        kind = luck.randrange(4)
        if kind == 0:
            del raw[at:until]
        elif kind == 1:
            raw[at:at] = raw[at:until]
        elif kind == 2:
            raw[at:at] = luck.choice(_BYTES)
        else:
            raw[at:until] = bytes(luck.randrange(256) for _ in range(until - at))
    return bytes(raw)


def _places(document: Any) -> Any:
    items: Any = ()
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document))
    for key, value in items:
        yield document, key
        yield from _places(value)


def _damage(parent: Any, key: Any, luck: Random, places: list[Any]) -> None:
    kind = luck.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[luck.choice([f"{key}s", str(key).upper(), "", "x"])] = parent.pop(key)
    elif kind == 2 and isinstance(parent, dict):
        parent[luck.choice(["extra", "replicas", "namespace", "name"])] = copy.deepcopy(luck.choice(ODD))
    elif kind == 3:
        other, place = luck.choice(places)
        parent[key] = copy.deepcopy(other[place]) if place in other or isinstance(other, list) else None
    else:
        parent[key] = copy.deepcopy(luck.choice(ODD))
