"""Out of routing first: pods that are to leave get no new requests, and end once they have none.

What was withdrawn and then stays goes back into routing: when the pool is no longer to shrink, when the shrink fails,
when the daemon ends, and when another takes over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from autoscaler.core.policy import Role
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.pod_marks import Pod

_NOTICED_S = 30.0
"""When gauges of the usual two scrapes a minute say what a pod does without new requests."""


class Routing(Protocol):
    """Takes pods out of routing, and back in."""

    def withdraw(self, pods: Sequence[Pod]) -> None:
        """Take pods out: all of them, or none; raises a MarksError where that cannot be."""
        ...

    def readmit(self, pods: Sequence[Pod]) -> None:
        """Put pods back in."""
        ...


@dataclass(slots=True)
class _Out:
    """Pods that are out of routing.

    Attributes:
        pods: By name.
        since_s: When the last of them was taken out.
        idle_since_s: Since when they have had no request; None while they have some, or nobody knows.
    """

    pods: dict[str, Pod]
    since_s: float
    idle_since_s: float | None = None


class Withdrawal:
    """Keeps pods that are to leave out of routing.

    Args:
        routing: Where pods are taken out.
        kv_lease_s: How long decode may still fetch KV from a prefill replica.
        clock: Where the time comes from.
    """

    def __init__(self, routing: Routing, *, kv_lease_s: float, clock: Clock) -> None:
        self._routing = routing
        self._kv_lease_s = kv_lease_s
        self._clock = clock
        self._out: dict[Role, _Out] = {}

    def names(self, role: Role) -> frozenset[str]:
        """The pods of a role that are out of routing."""
        return frozenset(self._out[role].pods) if role in self._out else frozenset()

    def keep_out(self, role: Role, leaving: Sequence[Pod], requests: Mapping[str, float]) -> str:
        """Have exactly these pods of a role out of routing.

        Args:
            role: The pool.
            leaving: Those that are to leave.
            requests: On each pod, as far as that is known.

        Returns:
            Why they cannot leave yet; empty once they can.

        Raises:
            MarksError: They cannot be taken out.
        """
        now_s = self._clock.now_s()
        out = self._out.setdefault(role, _Out({}, now_s))
        names = {pod.ref.name for pod in leaving}
        self._routing.readmit([pod for name, pod in out.pods.items() if name not in names])
        out.pods = {name: pod for name, pod in out.pods.items() if name in names}
        known = {name: pod.uid for name, pod in out.pods.items()}
        entering = [pod for pod in leaving if known.get(pod.ref.name) != pod.uid]
        if entering:
            self._routing.withdraw(entering)
            out.pods |= {pod.ref.name: pod for pod in entering}
            out.since_s, out.idle_since_s = now_s, None
        return self._why_not_yet(role, out, requests, now_s)

    def readmit(self, role: Role, pods: Sequence[Pod]) -> None:
        """Put those of a role back into routing: they stay, but for any that has been told to end meanwhile.

        Args:
            role: The pool.
            pods: Its pods as they are now.

        Raises:
            MarksError: The server refuses; they are tried again with the next call.
        """
        if role in self._out:
            leaving = {pod.ref.name for pod in pods if pod.leaves}
            self._routing.readmit([pod for name, pod in self._out[role].pods.items() if name not in leaving])
            del self._out[role]

    def recover(self, role: Role, pods: Sequence[Pod]) -> None:
        """Put those back who are out of routing and not to leave: another leader left them so, or the controller did.

        Raises:
            MarksError: The server refuses.
        """
        meant = self.names(role)
        self._routing.readmit([pod for pod in pods if pod.withdrawn and not pod.leaves and pod.ref.name not in meant])

    def forget(self, role: Role) -> None:
        """They leave."""
        self._out.pop(role, None)

    def _why_not_yet(self, role: Role, out: _Out, requests: Mapping[str, float], now_s: float) -> str:
        known = all(name in requests for name in out.pods)
        busy = sum(requests.get(name, 0.0) for name in out.pods)
        out_for_s = now_s - out.since_s
        if not known or busy > 0 or out_for_s < _NOTICED_S:
            out.idle_since_s = None
        elif out.idle_since_s is None:
            out.idle_since_s = now_s
        lease_s = self._kv_lease_s if role is Role.PREFILL else 0.0
        if out.idle_since_s is not None and now_s - out.idle_since_s >= lease_s:
            return ""
        left_s = max((pod.grace_s for pod in out.pods.values()), default=0.0) + lease_s - out_for_s
        if left_s <= 0:
            return ""
        what = f"finish {busy:.0f} requests" if known else "finish what they have"
        return f"{role}: {len(out.pods)} replicas are out of routing and {what}; they leave then, or in {left_s:.0f} s"
