"""Somebody who moves the switch back: counted, named, given way to. Every kind of switch, on the fake server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from autoscaler.core.decision import SwitchDecision, SwitchStep
from autoscaler.core.policy import Disaggregation, Mode, Role, SwitchPolicy
from autoscaler.daemon.competition import Lookout
from autoscaler.daemon.switching import StackSwitch, SwitchHand, fight_window_s
from autoscaler.daemon.tick import Dependency
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from autoscaler.targets.fights import WINDOW_S
from autoscaler.targets.guarded import GuardedTarget
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.competitors import Competition, Conflict
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.kubernetes.switches.build import SwitchPlace, make_switch
from autoscaler.targets.kubernetes.switches.load import load_switch
from autoscaler.targets.role import RoleTargets
from autoscaler.targets.switch import Position, PrefillZeroSwitch, Setting, SwitchReading
from tests.daemon.builders import Bench, HandClock, ScriptedTarget, capturing, policy
from tests.support.crds import definition_of
from tests.support.kube import FakeCluster, fake_kube_api
from tests.targets.kubernetes.cases import case
from tests.targets.kubernetes.conftest import ClientOn, client_on
from tests.targets.kubernetes.objects import ENDPOINT, create, custom, set_up
from tests.targets.kubernetes.switches.test_config_map_switch import EPP, add_router, config_map, settle

__all__ = ["client_on", "fake_kube_api"]

CLOSE = SwitchDecision(False, SwitchStep.CLOSING, "")
NOBODY = RoleTargets({}, close=lambda: None)
CULPRIT = "kubectl-rollout"


@dataclass
class Fight:
    """A switch on the server, and somebody who moves it back.

    Attributes:
        hand: Moves it.
        counts: The replica counts as a tick reads them.
        back: Moves it back, under another name.
    """

    hand: SwitchHand
    counts: Callable[[], PoolReading]
    back: Callable[[], None]

    def rounds(self, count: int) -> list[Outcome]:
        found = []
        for _ in range(count):
            self.hand.read(self.counts())
            result = self.hand.move(CLOSE, Mode.ENFORCE)
            assert result is not None
            found.append(result.outcome)
            self.back()
        return found


def write_as(cluster: FakeCluster, path: str, change: dict[str, Any]) -> None:
    address = f"{path}?fieldManager={CULPRIT}"
    code, answer = cluster.request("PATCH", address, change, content_type="application/merge-patch+json")
    assert code == 200, answer


def on_config_map(cluster: FakeCluster, client_on: ClientOn) -> Fight:
    cluster.create("configmaps", config_map(EPP))
    add_router(cluster)
    place = SwitchPlace(cluster.namespace, "epp", "config.yaml", router="epp", allow_router_restart=True)
    switch = make_switch(client_on(cluster), load_switch("llm-d-epp"), place, NOBODY)

    def back() -> None:
        write_as(cluster, cluster.path("v1", "configmaps", "epp"), {"data": {"config.yaml": EPP}})

    return Fight(SwitchHand(StackSwitch(lambda _: switch), NOBODY), lambda: PoolReading({}), back)


def on_settled_config_map(cluster: FakeCluster, client_on: ClientOn) -> Fight:
    fight = on_config_map(cluster, client_on)
    back = fight.back

    def after_the_restart() -> None:
        back()
        settle(cluster)

    return replace(fight, back=after_the_restart)


def on_field(cluster: FakeCluster, client_on: ClientOn) -> Fight:
    cluster.define(definition_of(ENDPOINT))
    create(cluster, custom(ENDPOINT, "chat", {"pdSpec": {"routingThreshold": 4096}}))
    place = SwitchPlace(cluster.namespace, "chat")
    switch = make_switch(client_on(cluster), load_switch("hyperpod"), place, NOBODY)
    path = cluster.path("inference.sagemaker.aws.amazon.com/v1", "inferenceendpointconfigs", "chat")

    def back() -> None:
        write_as(cluster, path, {"spec": {"pdSpec": {"routingThreshold": 4096}}})

    return Fight(SwitchHand(StackSwitch(lambda _: switch), NOBODY), lambda: PoolReading({}), back)


def on_prefill_count(cluster: FakeCluster, client_on: ClientOn) -> Fight:
    set_up(cluster, case("deployment"))
    client, service = client_on(cluster), case("deployment").service(cluster.namespace)
    role = role_target(client, load_spec("deployment"), service, Role.PREFILL)
    target = GuardedTarget(RoleTargets({Role.PREFILL: role}, client.close), lambda: 0.0)

    def back() -> None:
        write_as(cluster, cluster.path("apps/v1", "deployments", "chat"), {"spec": {"replicas": 3}})

    return Fight(SwitchHand(StackSwitch(PrefillZeroSwitch), target), target.read, back)


KINDS = {
    "a text in a ConfigMap": on_config_map,
    "a text that the router has read": on_settled_config_map,
    "a field": on_field,
    "the prefill count": on_prefill_count,
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_who_moves_the_switch_back_twice_freezes_it_and_is_named(
    fake_kube_api: FakeCluster, client_on: ClientOn, make: Callable[[FakeCluster, ClientOn], Fight]
) -> None:
    fight = make(fake_kube_api, client_on)

    assert fight.rounds(4) == [Outcome.APPLIED, Outcome.APPLIED, Outcome.FROZEN, Outcome.FROZEN]
    assert f"frozen: {CULPRIT} changes the switch back" in fight.hand.read(fight.counts()).detail


def test_a_switch_that_stays_where_it_was_moved_is_no_fight(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    fight = on_field(fake_kube_api, client_on)
    fight.back = lambda: None

    assert set(fight.rounds(5)) == {Outcome.APPLIED}


@dataclass
class Dial:
    """A switch that anybody may turn."""

    setting: Setting = Position.ON
    asked: list[Setting] = field(default_factory=list)

    def read(self) -> SwitchReading:
        position = Position.OFF if self.setting is Position.OFF else Position.ON
        tokens = None if isinstance(self.setting, Position) else self.setting
        return SwitchReading(position, tokens, "the dial", written=self.setting, writer="somebody-else")

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        self.asked.append(setting)
        if not dry_run:
            self.setting = setting
        return WriteResult(Outcome.DRY_RUN if dry_run else Outcome.APPLIED, "turned")


def hand_on(dial: Dial, clock: HandClock, **more: Any) -> SwitchHand:
    return SwitchHand(StackSwitch(lambda _target: dial, **more), ScriptedTarget(), clock.now_s)


def fought(dial: Dial, hand: SwitchHand, clock: HandClock) -> Outcome:
    """One move, one move back, a minute later."""
    hand.read(PoolReading({}))
    result = hand.move(CLOSE, Mode.ENFORCE)
    assert result is not None
    clock.at_s += 60.0
    dial.setting = Position.ON
    return result.outcome


def test_a_frozen_switch_is_moved_again_once_it_has_been_left_alone() -> None:
    dial, clock = Dial(), HandClock()
    hand = hand_on(dial, clock)
    assert [fought(dial, hand, clock) for _ in range(3)][-1] is Outcome.FROZEN

    clock.at_s += WINDOW_S

    assert fought(dial, hand, clock) is Outcome.APPLIED


def test_another_threshold_after_ours_is_a_foreign_move_and_one_of_the_same_whole_tokens_is_none() -> None:
    dial, clock = Dial(), HandClock()
    hand = hand_on(dial, clock)

    for wanted, shown in ((511.5, 512.0), (2048.0, 512.0), (4096.0, 512.0)):
        hand.read(PoolReading({}))
        hand.move(SwitchDecision(None, SwitchStep.MOVING_THRESHOLD, "", threshold_tokens=wanted), Mode.ENFORCE)
        dial.setting = shown

    assert "frozen: somebody-else" in hand.read(PoolReading({})).detail


@pytest.mark.parametrize(
    ("shown", "kind", "tokens"),
    [(512.0, Disaggregation.THRESHOLD, (512.0,)), (Position.OFF, Disaggregation.OFF, None)],
)
def test_a_frozen_threshold_stays_one_where_prompts_go_apart(
    shown: Setting, kind: Disaggregation, tokens: tuple[float, ...] | None
) -> None:
    dial, clock = Dial(), HandClock()
    hand = hand_on(dial, clock)
    wanted = SwitchPolicy(Disaggregation.THRESHOLD)
    for _ in range(3):
        hand.read(PoolReading({}))
        hand.move(SwitchDecision(None, SwitchStep.OBSERVING, "", threshold_tokens=2048.0), Mode.ENFORCE)
        dial.setting = shown

    given = hand.give_way(replace(policy(), switch=wanted), hand.read(PoolReading({}))).switch

    assert given == replace(wanted, disaggregation=kind, thresholds_tokens=tokens or wanted.thresholds_tokens)


def test_growing_prefill_where_no_prefill_is_off_is_no_foreign_move() -> None:
    dial, clock = Dial(), HandClock()
    hand = hand_on(dial, clock)

    for _ in range(3):
        hand.read(PoolReading({}))
        hand.move(CLOSE, Mode.ENFORCE)
        hand.read(PoolReading({}))
        hand.move(SwitchDecision(None, SwitchStep.GROWING_PREFILL, ""), Mode.ENFORCE)
        dial.setting = Position.ON

    assert "frozen" not in hand.read(PoolReading({})).detail


def test_who_keeps_the_switch_in_git_is_named_before_the_first_move_and_nothing_is_sent() -> None:
    dial, clock = Dial(), HandClock()
    flux = Conflict("Flux", "epp", "serving", 'data["config.yaml"] of ConfigMap epp', "leave the field out of Git")
    log, _ = capturing()
    lookout = Lookout(lambda: {"switch": Competition((flux,))}, clock, log)
    hand = hand_on(dial, clock, others=lambda: lookout.look().get("switch", ()))

    hand.read(PoolReading({}))
    result = hand.move(CLOSE, Mode.ENFORCE)

    assert result == WriteResult(Outcome.REFUSED, str(flux))
    assert dial.asked == []


def test_foreign_moves_are_remembered_over_two_dwells() -> None:
    patient = replace(policy(), switch=SwitchPolicy(Disaggregation.AUTO, dwell_s=7_200.0))

    assert fight_window_s(patient) == 21_600.0
    assert fight_window_s(policy()) == WINDOW_S


class Stubborn(Dial):
    """Turned back as soon as it has been turned, as by a controller."""

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        result = super().set(setting, dry_run=dry_run)
        self.setting = Position.ON
        return result


def test_a_daemon_whose_switch_is_frozen_says_so_and_goes_on_with_it_where_it_stands() -> None:
    dial = Stubborn()
    wanted = replace(policy(), switch=SwitchPolicy(Disaggregation.OFF, confirm_s=60.0, lease_s=30.0))
    made = Bench(policy=wanted, switch=StackSwitch(lambda _target: dial))

    ticks = [made.tick() for _ in range(40)]

    frozen = [tick for tick in ticks if tick.switched is not None and tick.switched.outcome is Outcome.FROZEN]
    assert len(dial.asked) == 2
    assert [(one.dependency, one.subject) for one in frozen[0].troubles] == [(Dependency.WRITE, "switch")]
    last = ticks[-1]
    assert last.switch is not None
    assert "frozen: somebody-else" in last.switch.detail
    assert last.decision is not None
    assert last.decision.switch is not None
    assert last.decision.switch.step is SwitchStep.ON
    assert last.decision.switch.detail.startswith("frozen: somebody-else changes the switch back")
    assert made.target.counts[Role.DECODE] == 2
