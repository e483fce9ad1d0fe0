"""Annotations by which an operator holds a service without editing its policy: pause, grow-only, pin.

pd-autoscaler.io/pause: "true"
pd-autoscaler.io/grow-only: decode until 2026-11-21T18:00:00Z
pd-autoscaler.io/pin: prefill=4 decode=6 until 2026-11-21T18:00:00Z
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from autoscaler.config.problems import nearest
from autoscaler.core.policy import Hold, HoldKind, Role, RolePolicy, ServicePolicy

PREFIX = "pd-autoscaler.io/"
_KINDS: Mapping[str, HoldKind] = MappingProxyType({kind.value: kind for kind in HoldKind})
_EXAMPLES: Mapping[HoldKind, str] = MappingProxyType(
    {
        HoldKind.PAUSE: "true, or decode until 2026-11-21T18:00:00Z",
        HoldKind.GROW_ONLY: "true, or decode until 2026-11-21T18:00:00Z",
        HoldKind.PIN: "prefill=4 decode=6 until 2026-11-21T18:00:00Z",
    }
)


class HoldError(ValueError):
    """An annotation of ours that says nothing sensible; says what it could say."""


def with_holds(policy: ServicePolicy, annotations: Mapping[str, str]) -> ServicePolicy:
    """A policy with its operator's holds on its pools.

    Raises:
        HoldError: An annotation of ours cannot be understood, or two contradict each other.
    """
    held: dict[Role, str] = {}
    roles = dict(policy.roles)
    for name, text in annotations.items():
        kind = _kind(name)
        if kind is None:
            continue
        for role, hold in _holds(name, kind, text, policy).items():
            if role in held:
                raise HoldError(f"annotations {held[role]} and {name} both hold {role}: keep one of them")
            held[role] = name
            roles[role] = replace(roles[role], hold=hold)
    return replace(policy, roles=roles)


def ending_by(policy: ServicePolicy, ahead_s: float) -> ServicePolicy:
    """A policy whose holds end by a clock that is so far behind the one on the wall, which their operator wrote by."""
    if not ahead_s:
        return policy
    return replace(policy, roles={role: _ending_by(one, ahead_s) for role, one in policy.roles.items()})


def _ending_by(pool: RolePolicy, ahead_s: float) -> RolePolicy:
    hold = pool.hold
    if hold is None or hold.until_s is None:
        return pool
    return replace(pool, hold=replace(hold, until_s=hold.until_s - ahead_s))


def _kind(name: str) -> HoldKind | None:
    if not name.startswith(PREFIX):
        return None
    word = name.removeprefix(PREFIX)
    if word not in _KINDS:
        allowed = ", ".join(PREFIX + known for known in _KINDS)
        near = nearest(word, _KINDS)
        meant = f"; did you mean {PREFIX}{near}?" if near else ""
        raise HoldError(f"annotation {name} is not known; known are {allowed}{meant}")
    return _KINDS[word]


def _holds(name: str, kind: HoldKind, text: str, policy: ServicePolicy) -> dict[Role, Hold]:
    words = re.split(r"[\s,]+", text.strip())
    until_s = None
    if "until" in words:
        place = words.index("until")
        until_s = _instant(name, kind, text, words[place + 1 :])
        words = words[:place] or ["true"]
    if words == ["false"]:
        return {}
    if words == ["true"] and kind is not HoldKind.PIN:
        return {role: Hold(kind, until_s) for role in policy.roles}
    return {role: Hold(kind, until_s, count) for role, count in (_pool(name, kind, text, w, policy) for w in words)}


def _pool(name: str, kind: HoldKind, text: str, word: str, policy: ServicePolicy) -> tuple[Role, int]:
    role, equals, count = word.partition("=")
    pool = policy.roles.get(Role(role)) if role in set(Role) else None
    if (
        pool is None
        or bool(equals) is not (kind is HoldKind.PIN)
        or (equals and not re.fullmatch(r"[0-9]{1,5}", count))
    ):
        raise _not_understood(name, kind, text)
    replicas = int(count or 0)
    if equals and not pool.min_replicas <= replicas <= pool.max_replicas:
        raise HoldError(
            f"annotation {name}: {word} is outside of min and max of the policy, "
            f"{pool.min_replicas} to {pool.max_replicas}"
        )
    return Role(role), replicas


def _instant(name: str, kind: HoldKind, text: str, words: list[str]) -> float:
    try:
        (word,) = words
        instant = datetime.fromisoformat(word)
    except ValueError:
        raise _not_understood(name, kind, text) from None
    if instant.tzinfo is None:
        raise HoldError(f"annotation {name}: {text!r} gives a time without a zone: write Z or an offset at its end")
    return instant.timestamp()


def _not_understood(name: str, kind: HoldKind, text: str) -> HoldError:
    return HoldError(f"annotation {name}: {text[:80]!r} is not understood; write {_EXAMPLES[kind]}")
