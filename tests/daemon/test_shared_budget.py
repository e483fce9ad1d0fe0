"""GPUs that services share: who gets them, and that together they never hold more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.decision import Decision, Reason
from autoscaler.core.policy import Mode, RateRule, Role, RolePolicy, RuleKind, ServicePolicy
from autoscaler.core.signals import Scope, Signal, measured
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.daemon.shared_budget import SharedBudget, SharedBudgets
from autoscaler.daemon.tick import Tick
from autoscaler.targets.base import PoolReading, WriteResult
from tests.daemon.builders import Bench, ScriptedSource, ScriptedTarget, policy, role_policy

FAST = RateRule(RuleKind.PODS, 100, 15.0)


@dataclass
class Draining(ScriptedTarget):
    """A replica that is given up holds its GPUs for some more reads."""

    drain_reads: int = 2
    leaving: dict[Role, list[int]] = field(default_factory=lambda: {Role.PREFILL: [], Role.DECODE: []})

    def read(self) -> PoolReading:
        for role, left in self.leaving.items():
            self.leaving[role] = [reads - 1 for reads in left if reads > 1]
        reading = super().read()
        pools = {
            role: PoolState(n.current, n.ready, terminating=self.draining(role)) for role, n in reading.pools.items()
        }
        return replace(reading, pools=pools)

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        gone = max(self.counts[role] - replicas, 0)
        written = super().write(role, replicas, basis=basis, dry_run=dry_run)
        self.leaving[role] += [self.drain_reads] * (self.counts[role] == replicas) * gone
        return written

    def draining(self, role: Role) -> int:
        return len(self.leaving[role])

    def holds(self) -> int:
        return sum(self.counts[role] + self.draining(role) for role in self.counts)


def idle_signals(waiting: float = 0.0) -> dict[Scope, dict[str, Signal]]:
    """One replica of each is enough, but for what waits for decode."""
    return {
        Scope.PREFILL: {
            "queue_depth": measured(0.0, "requests", 1.0),
            "in_flight": measured(0.2, "requests", 1.0),
            "offered_tokens_per_s": measured(100.0, "tokens/s", 1.0),
        },
        Scope.DECODE: {
            "kv_utilization_mean": measured(0.5, "ratio", 1.0),
            "running": measured(5.0, "requests", 1.0),
            "waiting": measured(waiting, "requests", 1.0),
        },
    }


def pool(low: int = 1, high: int = 10) -> RolePolicy:
    return role_policy(low, high, FAST, window_s=0.0)


class Services:
    """Benches that share a budget; one GPU a replica."""

    def __init__(self, gpus: float, priorities: Mapping[str, int], **policies: RolePolicy) -> None:
        self.budget = SharedBudget("h100", gpus, priorities)
        self.term = 1
        self.benches: dict[str, Bench] = {}
        for name, decode in policies.items():
            own = policy(service=name, prefill=pool(1, 2), decode=decode)
            target = Draining({Role.PREFILL: 1, Role.DECODE: 1})
            self.benches[name] = Bench(own, ScriptedSource(idle_signals()), target, grant=self._grant)
        self.budget.follow({name: bench.policy for name, bench in self.benches.items()})

    def want(self, **replicas: int) -> None:
        """Decode of a service is crowded if it should want more than one replica."""
        for name, wanted in replicas.items():
            self.benches[name].source.signals = idle_signals(200.0 if wanted > 1 else 0.0)

    def tick(self, *names: str) -> dict[str, Tick]:
        return {name: self.benches[name].tick() for name in names or self.benches}

    def _grant(self, policy: ServicePolicy, snapshot: Snapshot, alone: Decision) -> float | None:
        return self.budget.grant(policy, snapshot, alone, self.term)

    def holds(self) -> int:
        targets = [bench.target for bench in self.benches.values()]
        return sum(target.holds() for target in targets if isinstance(target, Draining))

    def decode(self, name: str) -> int:
        return self.benches[name].target.counts[Role.DECODE]


def test_one_that_wants_more_gets_what_is_free_and_no_more() -> None:
    services = Services(12.0, {}, chat=pool(), code=pool())
    services.want(chat=10)
    services.tick()

    done = services.tick("chat")["chat"]

    assert services.decode("chat") == 9
    assert done.decision is not None
    stages = {stage.reason for stage in done.decision.roles[Role.DECODE].stages}
    assert Reason.BUDGET_LIMITED in stages


def test_before_the_others_have_been_seen_nothing_that_could_be_theirs_is_taken() -> None:
    services = Services(16.0, {}, chat=pool(), code=pool())
    services.want(chat=10)

    services.tick("chat")
    assert services.decode("chat") == 3
    services.tick("code", "chat")

    assert services.decode("chat") == 10


def test_who_begins_to_lead_has_seen_nothing_of_what_another_wrote() -> None:
    services = Services(16.0, {}, chat=pool(), code=pool())
    services.tick()
    services.benches["code"].target.counts[Role.DECODE] = 9  # by the daemon that led
    services.term += 1
    services.want(chat=10, code=9)

    services.tick("chat")
    assert services.decode("chat") == 3
    services.tick("code", "chat")

    assert services.holds() <= 16


def test_from_one_that_was_seen_first_nothing_is_taken_for_what_others_might_want() -> None:
    services = Services(12.0, {"chat": 0, "code": 10}, chat=pool(), code=pool())
    services.benches["chat"].target.counts[Role.DECODE] = 6
    services.want(chat=10)

    services.tick("chat")

    assert services.decode("chat") == 6


def test_the_one_with_priority_is_served_first() -> None:
    services = Services(12.0, {"chat": 10, "code": 0}, chat=pool(), code=pool())
    services.want(chat=10, code=10)

    for _ in range(8):
        services.tick()

    assert (services.decode("chat"), services.decode("code")) == (9, 1)


def test_what_others_are_still_to_give_up_is_not_there_yet() -> None:
    services = Services(12.0, {"chat": 10, "code": 0}, chat=pool(), code=pool())
    services.want(code=10)
    for _ in range(3):
        services.tick()
    assert services.decode("code") == 9
    services.want(chat=10)

    for _ in range(8):
        services.tick()
        assert services.holds() <= 12

    assert (services.decode("chat"), services.decode("code")) == (9, 1)


def test_two_that_tick_at_once_do_not_both_take_the_last_gpu() -> None:
    services = Services(5.0, {}, chat=pool(), code=pool())
    services.tick()
    services.want(chat=10, code=10)

    def meanwhile() -> None:
        services.tick("code")

    services.benches["chat"].target.on_write = meanwhile
    services.tick("chat")

    assert services.decode("chat") + services.decode("code") == 3


def test_an_adviser_neither_gives_nor_takes() -> None:
    services = Services(12.0, {"chat": 0, "code": 10}, chat=pool(), code=pool())
    adviser = services.benches["code"]
    adviser.policy = replace(adviser.policy, mode=Mode.RECOMMEND)
    adviser.restart()
    adviser.target.counts[Role.DECODE] = 5
    services.budget.follow({name: bench.policy for name, bench in services.benches.items()})
    services.want(chat=10, code=10)

    for _ in range(4):
        services.tick()

    assert services.decode("chat") == 5


def test_a_scheduled_minimum_is_paid_for_however_often_the_policies_are_followed() -> None:
    services = Services(12.0, {"chat": 0, "code": 10}, chat=pool(), code=pool())
    documents = {name: bench.policy for name, bench in services.benches.items()}
    chat = services.benches["chat"]
    chat.at = lambda policy, _now_s: replace(policy, roles={**policy.roles, Role.DECODE: pool(6)})
    chat.restart()
    services.want(code=10)

    for _ in range(4):
        for name in documents:
            services.budget.follow(documents)
            services.tick(name)

    assert (services.decode("chat"), services.decode("code")) == (6, 4)


def test_a_pool_that_cannot_be_read_holds_what_it_held() -> None:
    services = Services(12.0, {}, chat=pool(), code=pool())
    services.want(code=10)
    services.tick()
    services.tick()
    held = services.decode("code")
    services.benches["code"].target.errors[Role.DECODE] = "the API server does not answer"
    services.want(chat=10)

    services.tick()
    services.tick()

    assert services.decode("chat") == 12 - held - 2


def test_what_was_granted_counts_until_it_can_be_seen() -> None:
    services = Services(12.0, {}, chat=pool(), code=pool())
    services.tick()
    services.want(code=10)
    services.tick("code")
    services.benches["code"].target.errors[Role.DECODE] = "the API server does not answer"
    services.want(chat=10)

    services.tick("code", "chat")

    assert services.decode("chat") + services.decode("code") == 10


def test_a_service_that_is_gone_holds_nothing() -> None:
    services = Services(12.0, {}, chat=pool(), code=pool())
    services.want(chat=10)
    services.tick()
    services.benches.pop("code")
    services.budget.follow({"chat": services.benches["chat"].policy})

    services.tick()

    assert services.decode("chat") == 10


def test_one_that_is_not_paid_from_here_is_not_limited_from_here() -> None:
    services = Services(4.0, {"code": 0}, chat=pool())
    services.want(chat=10)

    services.tick()

    assert services.decode("chat") == 10


def test_a_service_s_own_budget_still_holds() -> None:
    services = Services(50.0, {}, chat=pool())
    bench = services.benches["chat"]
    bench.policy = replace(bench.policy, budget_gpus=4.0)
    bench.restart()
    services.want(chat=10)

    services.tick()

    assert services.decode("chat") == 3


def test_a_budget_that_cannot_hold_is_named_with_what_each_costs_at_least() -> None:
    budgets = SharedBudgets((SharedBudget("h100", 3.0),))
    policies = {name: policy(service=name) for name in ("chat", "code")}

    troubles = budgets.follow(policies)

    assert "(chat 2, code 2)" in troubles["h100"]
    assert budgets.follow({"chat": policies["chat"]}) == {}


def test_a_budget_that_names_a_service_without_a_policy_says_so_and_whom_it_may_mean() -> None:
    budgets = SharedBudgets((SharedBudget("h100", 64.0, {"chta": 10, "code": 0}),))
    assert budgets.follow({}) == {}, "the policies are not known yet"

    troubles = budgets.follow({name: policy(service=name) for name in ("chat", "code")})

    assert "it names chta, of which no policy is in force" in troubles["h100"]
    assert "did you mean chat?" in troubles["h100"]
    assert "code" not in troubles["h100"]


@pytest.mark.parametrize(
    ("priorities", "lease"), [({}, "budget.h100"), ({"chat": 1}, "budget.h100"), ({"code": 1}, "chat")]
)
def test_services_that_share_a_budget_have_one_leader(priorities: Mapping[str, int], lease: str) -> None:
    assert SharedBudgets((SharedBudget("h100", 8.0, priorities),)).lease("chat") == lease


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), gpus=st.integers(6, 24))
def test_whatever_they_want_together_they_never_hold_more(seed: int, gpus: int) -> None:
    luck = Random(seed)  # noqa: S311 (luck is no secret)
    priorities = {name: luck.choice([0, 0, 5]) for name in ("chat", "code", "docs")}
    services = Services(float(gpus), priorities, chat=pool(), code=pool(), docs=pool())

    for _ in range(30):
        name = luck.choice(list(services.benches))
        services.want(**{name: luck.choice([1, 10])})
        services.benches[name].now_s += luck.choice([0.0, 60.0])
        services.tick(name)
        assert services.holds() <= gpus
