"""GPUs that services share: who may hold how many, so that together they never hold more.

The division itself is `core.coupling.share`. Here is what it needs to know, kept from tick to tick: what each service
holds, and what it would hold. It fails closed: what a service was granted counts as held until it has been seen to hold
less, a pool that cannot be read holds what it held, and one that was never seen holds as much as it ever may. A daemon
that begins to lead has seen nothing yet: another wrote until then.

All services of a budget must be led by one daemon; `lease` names the lease that sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from autoscaler.config.problems import meant
from autoscaler.core.coupling import Claim, share
from autoscaler.core.decision import Decision
from autoscaler.core.policy import Mode, Role, ServicePolicy
from autoscaler.core.snapshot import Snapshot


@dataclass(slots=True)
class _Member:
    """What is known of a service.

    Attributes:
        policy: Its policy.
        held_gpus: What each pool holds, draining replicas included.
        wanted_gpus: What it would hold all together if it were alone; None before anybody asked.
        reserved_gpus: What it was granted and may hold by now, though it has not been seen to.
        granted_gpus: The most that it may hold, as of its latest tick; None before, and for an adviser.
    """

    policy: ServicePolicy
    held_gpus: dict[Role, float]
    wanted_gpus: float | None = None
    reserved_gpus: float = 0.0
    granted_gpus: float | None = None

    @property
    def holds_gpus(self) -> float:
        return max(sum(self.held_gpus.values()), self.reserved_gpus)

    def claim(self, priority: int) -> Claim:
        """What it asks for.

        An adviser's replicas are there, and nobody here gives or takes any. Nothing is taken from others for one whose
        wishes are not known yet.
        """
        service, floor = self.policy.service, floor_gpus(self.policy)
        if self.policy.mode is not Mode.ENFORCE:
            return Claim(service, priority, self.holds_gpus, self.holds_gpus, self.holds_gpus)
        if self.wanted_gpus is None:
            return Claim(service, priority, floor, floor, floor)
        return Claim(service, priority, floor, self.holds_gpus, self.wanted_gpus)


@dataclass(frozen=True, slots=True)
class Usage:
    """How far a budget is used up.

    Attributes:
        gpus: The most that its services may hold together.
        held_gpus: What they hold or were granted, leaving replicas included.
        waiting_gpus: What they would hold beyond that, each as if it were alone.
    """

    gpus: float
    held_gpus: float
    waiting_gpus: float


@dataclass(frozen=True, slots=True)
class Holding:
    """What one service has of a budget.

    Attributes:
        service: Its name.
        priority: Higher is served first.
        held_gpus: What it holds or was granted, leaving replicas included.
        wanted_gpus: What it would hold if it were alone; None before anybody asked.
        granted_gpus: The most that it may hold; None before its first tick, and where it only recommends.
    """

    service: str
    priority: int
    held_gpus: float
    wanted_gpus: float | None
    granted_gpus: float | None


class SharedBudget:
    """GPUs that some services share, or all of them.

    Args:
        name: What it is called.
        gpus: The most that they may hold together.
        priorities: The services, each with its priority; empty for all, each with that of its policy.
    """

    def __init__(self, name: str, gpus: float, priorities: Mapping[str, int] | None = None) -> None:
        self.name = name
        self.gpus = gpus
        self._priorities = dict(priorities or {})
        self._members: dict[str, _Member] = {}
        self._term = 0
        self._lock = Lock()

    def covers(self, service: str) -> bool:
        """Whether a service is paid from here."""
        return not self._priorities or service in self._priorities

    def follow(self, policies: Mapping[str, ServicePolicy]) -> str:
        """Take note of which policies there are; what holds of one now, such as under a schedule, `grant` is told.

        Returns:
            Why the budget cannot hold, or may not be what was meant; empty where neither is so.
        """
        members = {service: policy for service, policy in policies.items() if self.covers(service)}
        with self._lock:
            for service in self._members.keys() - members.keys():
                del self._members[service]
            for service, policy in members.items():
                self._members.setdefault(service, _unseen(policy))
        return "; ".join([*self._unpaid(members), *self._strangers(policies)])

    def _unpaid(self, members: Mapping[str, ServicePolicy]) -> Iterator[str]:
        floors = {service: floor_gpus(policy) for service, policy in members.items()}
        if sum(floors.values()) > self.gpus:
            each = ", ".join(f"{service} {floor:g}" for service, floor in sorted(floors.items()))
            yield (
                f"the minimum replicas of its services cost {sum(floors.values()):g} GPUs ({each}), the budget is "
                f"{self.gpus:g}: nothing above a minimum is granted; lower a minimum, or raise the budget"
            )

    def _strangers(self, policies: Mapping[str, ServicePolicy]) -> Iterator[str]:
        """Names that are no service's; while no policy is known at all, nobody can tell."""
        for name in sorted(self._priorities.keys() - policies.keys()) if policies else ():
            others = policies.keys() - self._priorities.keys()
            yield (
                f"it names {name}, of which no policy is in force, so what that holds is not counted: correct the name "
                f"in the settings file, or bring its policy{meant(name, others)}"
            )

    def grant(self, policy: ServicePolicy, snapshot: Snapshot, alone: Decision, term: int) -> float | None:
        """The most GPUs that a service may hold after this tick.

        What is granted is reserved: the caller may use it up without asking again.

        Args:
            policy: Its policy.
            snapshot: What its pools hold now.
            alone: What would be decided if it had the budget to itself.
            term: How often this daemon has begun to lead.

        Returns:
            GPUs, its own budget observed; None where it is not paid from here.
        """
        if not self.covers(policy.service):
            return None
        with self._lock:
            if term != self._term:
                self._term = term
                self._members = {name: _unseen(one.policy) for name, one in self._members.items()}
            member = self._meet(policy)
            member.held_gpus |= _held(policy, snapshot)
            member.wanted_gpus = _wanted(policy, snapshot, alone, member.held_gpus)
            if snapshot.pools.keys() >= policy.roles.keys():
                member.reserved_gpus = 0.0  # what it holds has been seen
            held_gpus = member.holds_gpus
            shares = share([one.claim(self._priority(one.policy)) for one in self._members.values()], self.gpus)
            others_gpus = sum(one.holds_gpus for one in self._members.values() if one is not member)
            granted = shares[policy.service]
            if granted > held_gpus:  # what is its due may still be in others' hands
                granted = max(held_gpus, min(granted, self.gpus - others_gpus))
            if policy.mode is Mode.ENFORCE:
                member.reserved_gpus = max(held_gpus, min(granted, member.wanted_gpus))
            member.granted_gpus = granted if policy.mode is Mode.ENFORCE else None
        # A pool that cannot be read is not decided on, and what it may hold is not there for the others.
        unseen_gpus = held_gpus - sum(member.held_gpus[role] for role in policy.roles if role in snapshot.pools)
        own_gpus = granted if policy.budget_gpus is None else policy.budget_gpus
        return max(min(granted, own_gpus) - unseen_gpus, 0.0)

    def usage(self) -> Usage:
        """How far it is used up, as far as its services have been looked at."""
        with self._lock:
            members = list(self._members.values())
            held_gpus = sum(one.holds_gpus for one in members)
            waiting_gpus = sum(max((one.wanted_gpus or 0.0) - one.holds_gpus, 0.0) for one in members)
        return Usage(self.gpus, held_gpus, waiting_gpus)

    def holdings(self) -> list[Holding]:
        """Who has what of it, by name, as far as its services have been looked at."""
        with self._lock:
            return [
                Holding(name, self._priority(one.policy), one.holds_gpus, one.wanted_gpus, one.granted_gpus)
                for name, one in sorted(self._members.items())
            ]

    def _meet(self, policy: ServicePolicy) -> _Member:
        unseen = _unseen(policy)
        known = self._members.setdefault(policy.service, unseen)
        if known.policy != policy:
            seen = {role: known.held_gpus.get(role, most) for role, most in unseen.held_gpus.items()}
            known = self._members[policy.service] = replace(known, policy=policy, held_gpus=seen)
        return known

    def _priority(self, policy: ServicePolicy) -> int:
        return self._priorities.get(policy.service, policy.priority)


@dataclass(frozen=True, slots=True)
class SharedBudgets:
    """All shared budgets; a service is in one at most."""

    budgets: Sequence[SharedBudget] = ()

    def follow(self, policies: Mapping[str, ServicePolicy]) -> dict[str, str]:
        """Take note of which policies there are; what is wrong with a budget comes back under its name."""
        found = {budget.name: budget.follow(policies) for budget in self.budgets}
        return {name: why for name, why in found.items() if why}

    def grant(self, policy: ServicePolicy, snapshot: Snapshot, alone: Decision, term: int) -> float | None:
        """See `SharedBudget.grant`."""
        budget = self._of(policy.service)
        return budget.grant(policy, snapshot, alone, term) if budget is not None else None

    def lease(self, service: str) -> str:
        """What the lease is called that a daemon must hold to write for a service."""
        budget = self._of(service)
        return self.lease_of(budget.name) if budget is not None else service

    def lease_of(self, name: str) -> str:
        """What the lease of all services of a budget is called."""
        return f"budget.{name}"

    def leases(self, services: Iterable[str]) -> frozenset[str]:
        """The leases of these services."""
        return frozenset(self.lease(service) for service in services)

    def _of(self, service: str) -> SharedBudget | None:
        return next((budget for budget in self.budgets if budget.covers(service)), None)


def floor_gpus(policy: ServicePolicy) -> float:
    """GPUs that the minimum replicas of a service cost."""
    return sum(role.gpus_per_replica * role.min_replicas for role in policy.roles.values())


def _unseen(policy: ServicePolicy) -> _Member:
    """A service of which nothing is known but its policy."""
    return _Member(policy, {role: one.gpus_per_replica * one.max_replicas for role, one in policy.roles.items()})


def _held(policy: ServicePolicy, snapshot: Snapshot) -> dict[Role, float]:
    return {
        role: policy.roles[role].gpus_per_replica * (pool.current + pool.terminating)
        for role, pool in snapshot.pools.items()
        if role in policy.roles
    }


def _wanted(policy: ServicePolicy, snapshot: Snapshot, alone: Decision, held_gpus: Mapping[Role, float]) -> float:
    """What it would hold; a pool without a decision keeps what it has."""
    decided = {
        role: policy.roles[role].gpus_per_replica * (one.desired + snapshot.pools[role].terminating)
        for role, one in alone.roles.items()
    }
    return sum({**held_gpus, **decided}.values())
