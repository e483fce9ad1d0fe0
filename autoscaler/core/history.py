"""Demand of the past: what recorded signals say of the season of each pool, so that a restart does not forget it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from autoscaler.core import forecast
from autoscaler.core.capacity import EngineModel
from autoscaler.core.decision import SwitchStep
from autoscaler.core.demand import decode_demand, prefill_demand
from autoscaler.core.learn import trusted_model
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.prompts import prompts_now
from autoscaler.core.signals import Scope, Signal, SignalState, unit_of
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import State

NEEDED: Mapping[Scope, tuple[str, ...]] = MappingProxyType(
    {
        Scope.PREFILL: ("offered_tokens_per_s", "uncached_ratio", "request_rate"),
        Scope.DECODE: ("generation_tokens_per_s",),
        Scope.SERVICE: ("input_tokens_mean", "output_tokens_mean"),
    }
)
"""The signals that demand follows from, whatever the pools were then."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was recorded of a past instant.

    Attributes:
        at_s: Unix time.
        values: Values of `NEEDED` signals, as far as there are any.
    """

    at_s: float
    values: Mapping[Scope, Mapping[str, float]]


def seed(policy: ServicePolicy, state: State, moments: Sequence[Moment]) -> tuple[State, frozenset[Role]]:
    """Fill what the forecasts do not know of their season yet.

    Args:
        policy: What the user wants.
        state: What is remembered; of roles that it does not know yet, nothing is seeded.
        moments: What was recorded, in any order.

    Returns:
        The state, and the roles that need no further call. The others have no engine model that could tell demand yet.
    """
    roles, done = dict(state.roles), set()
    for role, pool in policy.roles.items():
        memory = roles.get(role)
        model = trusted_model(pool, role, memory.fit) if memory is not None else None
        if memory is None or model is None:
            continue
        works = [(moment.at_s, _work(policy, role, moment, model)) for moment in moments]
        known = [(at_s, work) for at_s, work in works if work is not None]
        roles[role] = replace(memory, forecast=forecast.seed_season(memory.forecast, known))
        done.add(role)
    return replace(state, roles=roles), frozenset(done)


def _work(policy: ServicePolicy, role: Role, moment: Moment, model: EngineModel) -> float | None:
    """Demand of a pool then, in replicas; None where the recorded signals cannot tell."""
    snapshot = Snapshot(policy.service, moment.at_s, {}, _signals(moment), {})
    if role is Role.PREFILL:
        arrived = prefill_demand(snapshot, model, policy.objectives, prompts_now(snapshot, SwitchStep.ON))
        return arrived.work if arrived is not None else None
    rates = (snapshot.usable(Scope.PREFILL, "request_rate"), snapshot.usable(Scope.DECODE, "generation_tokens_per_s"))
    if rates == (None, None):
        return None
    asked_for = decode_demand(snapshot, model, policy.objectives, 0)
    return asked_for.by_rate if asked_for is not None else None


def _signals(moment: Moment) -> dict[Scope, dict[str, Signal]]:
    values = {**moment.values, Scope.DECODE: {"running": 0.0, "waiting": 0.0, **moment.values.get(Scope.DECODE, {})}}
    return {
        scope: {
            name: Signal(value, unit_of(scope, name), 0.0, SignalState.VALUE) for name, value in values_of_scope.items()
        }
        for scope, values_of_scope in values.items()
    }
