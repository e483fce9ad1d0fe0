"""A target that shrinks with care: the least loaded pods first, one step at a time, and watched until they are gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.leadership import LED_BY_ANOTHER
from autoscaler.daemon.leavers import choose_leavers
from autoscaler.daemon.logs import Log
from autoscaler.daemon.pod_marks import OURS, MarksError, MarksForbiddenError, Pod
from autoscaler.daemon.withdrawal import Withdrawal
from autoscaler.targets.base import Outcome, PoolReading, Target, WriteResult

_DEFAULT_GRACE_S = 600.0  # where no pod could be looked at
_BEYOND_GRACE_S = 120.0  # a pod whose node is gone may never end


class Loads(Protocol):
    """Knows how busy pods are."""

    def requests(self, role: Role) -> Mapping[str, float]:
        """Requests on each pod; empty where that is not known."""
        ...

    def longest_stream_s(self) -> float | None:
        """How long nearly all streams last at most; None where that is not known."""
        ...


class Marks(Protocol):
    """Knows pods, and tells their controller which should go first."""

    def pods(self, role: Role) -> Sequence[Pod]:
        """The pods of a role."""
        ...

    def set(self, pods: Sequence[Pod], cost: str | None) -> None:
        """Give pods a mark, or none."""
        ...


@dataclass(slots=True)
class _Leaving:
    """A step down that is under way.

    Attributes:
        since_s: When it was written.
        grace_s: How long its pods may take to end.
        names: The pods that were marked to leave.
        requests: On them, when last seen.
        ended_s: When the last of its pods was seen to be gone; None while one is there.
    """

    since_s: float
    grace_s: float
    names: frozenset[str]
    requests: float = 0.0
    ended_s: float | None = None


class DrainingTarget:
    """Shrinks pools step by step. Implements `targets.base.Target`.

    A step waits until the pods of the last one have ended; with prefill also until nobody can still want to fetch what
    they computed. A pod that outlives its grace period by far holds nothing up. Where the stack offers it, those who
    are to leave are taken out of routing first, and leave once they have finished.

    Without the right to mark pods, or without their load, the controller chooses who leaves; that is logged once. Where
    marking fails otherwise it chooses for that step alone.

    Args:
        target: The target to read and write.
        marks: The pods.
        loads: How busy they are.
        kv_lease_s: How long decode may still fetch KV from a prefill replica; 0 where nothing is kept.
        clock: Where the time comes from.
        log: Where to say what could not be done, and what was lost.
        withdrawal: Takes pods out of routing; None where the stack does not offer that.
        may_write: Whether we are the one who writes; asked before each thing that a step down writes.
    """

    def __init__(
        self,
        target: Target,
        marks: Marks,
        loads: Loads,
        *,
        kv_lease_s: float,
        clock: Clock,
        log: Log,
        withdrawal: Withdrawal | None = None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._target = target
        self._marks = marks
        self._loads = loads
        self._kv_lease_s = kv_lease_s
        self._clock = clock
        self._log = log
        self._pools: Mapping[Role, PoolState] = {}
        self._blockers: Mapping[Role, tuple[str, ...]] = {}
        self._leaving: dict[Role, _Leaving] = {}
        self._ending_since_s: dict[Role, float] = {}
        self._said: set[str] = set()
        self._may_mark = True
        self._withdrawal = withdrawal
        self._may_write = may_write
        self._recovered = False
        self._shrinking: set[Role] = set()

    def read(self) -> PoolReading:
        """Read every pool, and see how far those who leave have got."""
        reading = self._target.read()
        self._pools, self._blockers = reading.pools, reading.blockers
        self._readmit()
        for role, pool in reading.pools.items():
            if pool.terminating:
                self._ending_since_s.setdefault(role, self._clock.now_s())
            else:
                self._ending_since_s.pop(role, None)
        for role, step in self._leaving.items():
            if role in reading.pools and step.ended_s is None:
                self._follow(role, step, reading.pools[role])
        return reading

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count; see `Target.write`. A step down may be put off.

        One that is blocked is refused here: no pod is touched for it, and none is let go of without the care taken.
        """
        pool = self._pools.get(role)
        if pool is None or replicas >= pool.current or dry_run:
            return self._target.write(role, replicas, basis=basis, dry_run=dry_run)
        if self._blockers.get(role):
            return WriteResult(Outcome.REFUSED, "; ".join(self._blockers[role]))
        return self._shrink(role, pool, replicas, basis)

    def close(self) -> None:
        """Put back into routing who stays, and let go of connections."""
        self._shrinking.clear()
        self._readmit()
        self._target.close()

    def _shrink(self, role: Role, pool: PoolState, replicas: int, basis: str) -> WriteResult:
        """Take one step down, or put it off. Each part of it may take a while, so each asks whether we still lead."""
        self._shrinking.add(role)
        put_off = self._put_off(role, pool)
        if put_off:
            return WriteResult(Outcome.DEFERRED, put_off)
        pods, requests = self._pods(role), self._loads.requests(role)
        leaving = self._leavers(role, pods, requests, pool.current - replicas)
        if not self._may_write():
            return LED_BY_ANOTHER
        put_off = self._keep_out(role, leaving, requests)
        if put_off:
            return WriteResult(Outcome.DEFERRED, put_off)
        if not self._may_write():
            return LED_BY_ANOTHER
        marked = self._mark(pods, leaving)
        if not self._may_write():
            return LED_BY_ANOTHER
        result = self._target.write(role, replicas, basis=basis, dry_run=False)
        if result.outcome in (Outcome.APPLIED, Outcome.UNAVAILABLE):  # of the latter nobody knows
            grace_s = max((pod.grace_s for pod in pods), default=_DEFAULT_GRACE_S)
            names = frozenset(pod.ref.name for pod in marked)
            self._leaving[role] = _Leaving(self._clock.now_s(), grace_s, names)
            if self._withdrawal is not None and result.outcome is Outcome.APPLIED:
                self._withdrawal.forget(role)
        else:
            self._set([pod for pod in marked if pod.in_replica_set], None)
            if result.outcome is not Outcome.CONFLICT:  # which the next tick tries again
                self._shrinking.discard(role)
        return result

    def _readmit(self) -> None:
        """Put back into routing who is not to leave any more; after a step, and as a new leader, whoever is outside."""
        shrinking, self._shrinking = self._shrinking, set()
        if self._withdrawal is None:
            return
        if not self._may_write():
            self._recovered = False
            return
        try:
            if not self._recovered:
                for role in self._pools:
                    self._withdrawal.recover(role, self._marks.pods(role))
                self._recovered = True
            for role in self._pools.keys() - shrinking:
                if self._withdrawal.names(role):
                    self._withdrawal.readmit(role, self._marks.pods(role))
        except MarksError as error:
            self._say("pods out of routing", f"{error}; they are put back at the next tick")

    def _put_off(self, role: Role, pool: PoolState) -> str:
        """Why a step down has to wait; empty where it has not."""
        step, now_s = self._leaving.get(role), self._clock.now_s()
        grace_s = step.grace_s if step is not None else _DEFAULT_GRACE_S
        if pool.terminating and now_s - self._ending_since_s[role] <= grace_s + _BEYOND_GRACE_S:
            return f"{role}: {pool.terminating} replicas are still leaving; the next step down waits for them"
        if role is not Role.PREFILL or step is None:
            return ""
        left_s = (step.ended_s if step.ended_s is not None else step.since_s) + self._kv_lease_s - now_s
        return f"{role}: decode may still fetch KV for {left_s:.0f} s" if left_s > 0 else ""

    def _follow(self, role: Role, step: _Leaving, pool: PoolState) -> None:
        """Look after those who leave; one that was killed with requests in flight is told."""
        now_s = self._clock.now_s()
        if pool.terminating:
            if step.names:
                found = self._loads.requests(role)
                step.requests = sum(found.get(name, 0.0) for name in step.names)
            return
        step.ended_s = now_s
        self._recovered = False  # the controller may have let go of others than we chose
        if step.requests > 0 and now_s - step.since_s >= step.grace_s:
            self._log.warning(
                "requests lost",
                role=role.value,
                message=f"pods were killed after their grace period of {step.grace_s:g} s with about "
                f"{step.requests:.0f} requests in flight: make terminationGracePeriodSeconds longer",
            )

    def _pods(self, role: Role) -> Sequence[Pod]:
        try:
            pods = self._marks.pods(role)
        except MarksError as error:
            self._say("pods unknown", str(error))
            return ()
        stream_s = self._loads.longest_stream_s()
        grace_s = min((pod.grace_s for pod in pods), default=None)
        if stream_s is not None and grace_s is not None and role is not Role.PREFILL and grace_s < stream_s:
            self._say(
                "grace period short",
                f"{role} pods are killed {grace_s:g} s after they are told to end, and 1 of 100 streams lasts longer "
                f"than about {stream_s:.0f} s: set terminationGracePeriodSeconds to that",
                key=f"grace {role}",
            )
        if role is Role.PREFILL and grace_s is not None and grace_s < self._kv_lease_s:
            self._say(
                "grace period short",
                f"{role} pods are killed {grace_s:g} s after they are told to end, and decode may fetch KV from them "
                f"for {self._kv_lease_s:g} s: set terminationGracePeriodSeconds to that",
                key=f"grace {role}",
            )
        return pods

    def _keep_out(self, role: Role, leaving: Sequence[Pod], requests: Mapping[str, float]) -> str:
        """Have those who leave out of routing; why they cannot leave yet, empty where they can."""
        if self._withdrawal is None or not leaving or not self._may_mark:
            return ""
        try:
            return self._withdrawal.keep_out(role, leaving, requests)
        except MarksError as error:
            self._say("pods not out of routing", f"{error}; they leave while requests still come")
            return ""

    def _leavers(self, role: Role, pods: Sequence[Pod], requests: Mapping[str, float], leave: int) -> Sequence[Pod]:
        if not self._may_mark:
            return ()
        before = self._withdrawal.names(role) if self._withdrawal is not None else frozenset()
        chosen = choose_leavers(pods, requests, leave, before)
        if chosen.reason:
            self._say("pods not marked", f"{role}: {chosen.reason}")
        return chosen.pods

    def _mark(self, pods: Sequence[Pod], leaving: Sequence[Pod]) -> Sequence[Pod]:
        """Tell the controller who is to leave, where it can be told; says who is to its knowledge."""
        if not all(pod.in_replica_set for pod in leaving):
            return leaving
        of_a_failed_step = [pod for pod in pods if pod.serves and pod.cost == OURS and pod not in leaving]
        self._set(of_a_failed_step, None)
        return leaving if self._set([pod for pod in leaving if not pod.cost], OURS) else ()

    def _set(self, pods: Sequence[Pod], cost: str | None) -> bool:
        """Mark pods; says whether they are marked now."""
        if not pods or not self._may_mark:
            return self._may_mark
        try:
            self._marks.set(pods, cost)
        except MarksForbiddenError as error:
            self._may_mark = False
            self._say("pods not marked", f"{error}; until a restart the controllers choose who leaves")
        except MarksError as error:
            self._say("pods not marked", f"{error}; in this step their controller chooses who leaves")
            return False
        return self._may_mark

    def _say(self, event: str, message: str, *, key: str = "") -> None:
        if (key or message) not in self._said:
            self._said.add(key or message)
            self._log.warning(event, message=message)
