"""What a role policy hands to the guards: a need in fractional replicas, made of terms that can be recomputed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.attribution import Attribution
from autoscaler.core.decision import Reason
from autoscaler.core.learn import Insight
from autoscaler.core.policy import Objectives, Role, RolePolicy
from autoscaler.core.signals import Scope, Signal, SignalState
from autoscaler.core.snapshot import PoolState, Snapshot

# A need of 3.0000000001 replicas is three; float noise must not buy a GPU.
_NOISE = 1e-6


@dataclass(frozen=True, slots=True)
class Term:
    """One line of reasoning: what it asks for, and the numbers behind it.

    Attributes:
        need: Replicas, in fractions.
        reason: Why.
        detail: The same in words, with numbers.
        numbers: Those numbers.
        firm: Whether a growth beside it, however small, is held by no tolerance.
    """

    need: float
    reason: Reason
    detail: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    firm: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a role policy wants before guards.

    Attributes:
        terms: Every line of reasoning; the largest need binds. Empty when nothing could be judged.
        missing: Signals that would have been needed to shrink safely, with what is wrong with them.
    """

    terms: tuple[Term, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def binding(self) -> Term | None:
        """The term that asks for the most; the first of equals."""
        return max(self.terms, key=lambda term: term.need, default=None)

    @property
    def firm(self) -> bool:
        """Whether no tolerance holds a growth."""
        return any(term.firm for term in self.terms)

    @property
    def replicas(self) -> int:
        """The binding need in whole replicas; 0 without any term."""
        binding = self.binding
        return whole(binding.need) if binding is not None else 0


@dataclass(frozen=True, slots=True)
class RoleContext:
    """Everything a role policy may look at.

    Attributes:
        role: The pool's role.
        policy: Its bounds, cost and speed.
        objectives: What the service promises.
        pool: The pool's replicas.
        snapshot: All signals of the service.
        insight: Demand, outlook and engine model, as far as they can be told.
        attribution: Where TTFT goes and what holds requests up.
    """

    role: Role
    policy: RolePolicy
    objectives: Objectives
    pool: PoolState
    snapshot: Snapshot
    insight: Insight
    attribution: Attribution

    def usable(self, name: str, scope: Scope | None = None) -> float | None:
        """Value of a signal of this role (or of `scope`) if it may be used."""
        return self.snapshot.usable(scope or Scope(self.role.value), name)

    def missing(self, *names: str) -> Mapping[str, str]:
        """Which of these signals of this role may not be used, and why."""
        problems = {}
        for name in names:
            signal = self.snapshot.signal(Scope(self.role.value), name)
            if signal is None:
                problems[name] = "the stack does not export it"
            elif signal.usable is None:
                problems[name] = _problem(signal)
        return problems


def _problem(signal: Signal) -> str:
    if signal.state is SignalState.VALUE:
        return f"{signal.value:g}, which cannot be"
    return f"{signal.state.value}: {signal.detail}" if signal.detail else signal.state.value


def whole(need: float) -> int:
    """Whole replicas that cover a fractional need."""
    return max(math.ceil(need - _NOISE), 0)
