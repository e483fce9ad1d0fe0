"""Decisions to render, with defaults that say nothing."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.core.decision import Decision, Reason, RoleDecision, Stage, StageName
from autoscaler.core.policy import LatencyObjective, Mode, Objectives, Role
from autoscaler.core.signals import Scope, Signal, absent, measured

OBJECTIVES = Objectives(LatencyObjective(0.95, 0.5), LatencyObjective(0.9, 0.05), 0.95)


def role_decision(current: int, *steps: tuple[StageName, int, Reason, str], ready: int | None = None) -> RoleDecision:
    stages = []
    before = current
    for name, after, reason, detail in steps:
        stages.append(Stage(name, before, after, reason, detail, {"need": float(after)}))
        before = after
    changed = [stage for stage in stages if stage.before != stage.after]
    return RoleDecision(
        current=current,
        ready=current if ready is None else ready,
        desired=before,
        uncapped=stages[0].after,
        reason=(changed or stages)[-1].reason,
        stages=tuple(stages),
    )


def growing(detail: str = "40 waiting must drain in 0.4 s") -> RoleDecision:
    return role_decision(
        2,
        (StageName.PROPOSAL, 8, Reason.PREFILL_BACKLOG, detail),
        (StageName.BOUNDS, 5, Reason.AT_MAX, "the policy allows at most 5"),
        ready=1,
    )


def steady(current: int = 3) -> RoleDecision:
    return role_decision(current, (StageName.PROPOSAL, current, Reason.KV_UTILIZATION, "3 replicas at 70% of their KV"))


def signals() -> dict[Scope, Mapping[str, Signal]]:
    return {
        Scope.PREFILL: {
            "queue_depth": measured(40, "requests", 3.0),
            "offered_tokens_per_s": measured(12_300, "tokens/s", 3.0),
        },
        Scope.DECODE: {
            "kv_utilization_mean": measured(0.7, "ratio", 3.0),
            "running": absent("requests", "no series matches"),
        },
        Scope.SERVICE: {"ttft_s": measured(0.62, "s", 3.0)},
    }


def decision(service: str = "chat", **changed: RoleDecision) -> Decision:
    roles = {Role(name): decided for name, decided in changed.items()} or {
        Role.PREFILL: growing(),
        Role.DECODE: steady(),
    }
    return Decision(service, 1_700_000_000.25, Mode.RECOMMEND, roles, signals())
