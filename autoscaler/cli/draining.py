"""Whether pods have the time to end that their requests need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.stacks.facts import DrainModel


@dataclass(frozen=True, slots=True)
class Draining:
    """The grace period of a pool against what ending without loss takes.

    Attributes:
        role: The pool.
        grace_s: The shortest of its pods'.
        needed_s: What it should be; None where nothing tells.
        why: What takes that long; where nothing tells, why not.
        explanation: What happens to requests otherwise.
    """

    role: Role
    grace_s: float
    needed_s: float | None
    why: str
    explanation: str

    @property
    def is_short(self) -> bool:
        """Whether requests are cut off when the pool shrinks."""
        return self.needed_s is not None and self.grace_s < self.needed_s


def draining(
    facts: DrainModel, grace_s: Mapping[Role, float], stream_s: float | None, no_stream: str
) -> tuple[Draining, ...]:
    """Hold the grace period of each role against the longest that its pods are still needed.

    Args:
        facts: What the stack says of ending a replica.
        grace_s: Shortest grace period per role.
        stream_s: How long the slowest request of a hundred stays on decode; None where nothing tells.
        no_stream: Why nothing does.
    """
    stream = "one request in a hundred stays longer on decode" if stream_s is not None else no_stream
    lease = "so long decode may still fetch a prompt's KV" if facts.kv_lease_s is not None else _NO_LEASE
    needed = {Role.DECODE: (stream_s, stream), Role.PREFILL: (facts.kv_lease_s, lease)}
    return tuple(Draining(role, given_s, *needed[role], facts.explanation) for role, given_s in grace_s.items())


_NO_LEASE = "the stack says of no time for which prefill keeps a prompt's KV"
