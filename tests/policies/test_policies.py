from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoscaler.cli.main import app
from autoscaler.config.load import parse
from autoscaler.config.model import ScalingPolicy
from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision, Reason
from autoscaler.core.policy import Mode, Role
from autoscaler.core.signals import Scope, Signals
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from autoscaler.daemon.queries import service_queries
from autoscaler.stacks.load import load_stack, stack_names
from tests.stacks.fixtures import FIXTURES
from tests.stacks.services import NOW_S, read
from tests.support.prometheus import Prometheus, running_prometheus

FOLDER = Path(__file__).parents[2] / "policies"
NEEDED_TO_SHRINK = {
    Scope.PREFILL: ("queue_depth", "in_flight", "offered_tokens_per_s"),
    Scope.DECODE: ("kv_utilization_mean", "running", "waiting"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Prometheus]:
    with running_prometheus() as running:
        yield running


def policy_of(stack: str) -> ScalingPolicy:
    """The stack's policy, in a namespace of its own."""
    text = (FOLDER / f"{stack}.yaml").read_text()
    for namespace in ("serving", "mindie"):
        text = text.replace(f"namespace: {namespace} ", f"namespace: policy-{stack} ")
    report = parse(text.encode(), Path(f"{stack}.yaml"))
    assert not report.errors
    return report.policies[0].policy


def decided(policy: ScalingPolicy, signals: Signals) -> Decision:
    pools = {
        role: PoolState(current=pool.max_replicas, ready=pool.max_replicas)
        for role, pool in policy.core().roles.items()
    }
    snapshot = Snapshot(policy.service, NOW_S, pools, signals, {})
    return decide(policy.core(), snapshot, State(started_at_s=0.0), NOW_S)[0]


def test_every_stack_has_a_policy_and_every_policy_a_stack() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(stack_names()) == set(FIXTURES)


@pytest.mark.parametrize("stack", stack_names())
def test_a_policy_passes_check_without_a_remark(stack: str) -> None:
    result = CliRunner().invoke(app, ["check", str(FOLDER / f"{stack}.yaml")])

    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("stack", "prefill"),
    [
        ("vllm", "vllm-prefill"),
        ("ome", "llama-engine"),
        ("kserve", "llama-kserve-prefill"),
        ("rbg", "sglang-llama-prefill"),
    ],
)
def test_replicas_are_asked_for_by_the_name_of_the_workload_whether_it_is_the_target_or_below_it(
    stack: str, prefill: str
) -> None:
    asked_for = service_queries(policy_of(stack)).replicas[Role.PREFILL].asked_for[0]

    assert f'{{deployment="{prefill}",' in asked_for.expressions[0].text


@pytest.mark.parametrize("stack", stack_names())
def test_a_policy_is_of_its_stack_writes_nothing_and_marks_what_to_change(stack: str) -> None:
    text = (FOLDER / f"{stack}.yaml").read_text()
    policy = policy_of(stack)

    assert (policy.spec.stack, policy.spec.mode) == (stack, Mode.RECOMMEND)
    own = ("name:", "namespace:", "model:", "target: ", "max:", "gpusPerReplica:", "url:", "entry:", "key:", "router:")
    unmarked = [
        line
        for line in text.splitlines()
        if line.strip().startswith(own) and not line.strip().startswith("#") and "# <-" not in line
    ]
    assert unmarked == []


# Redeployed to switch, or with the roles the other way round: nothing that a running service could be told.
WITHOUT_A_SWITCH = {"mindie", "mindie-pymotor", "ome"}


@pytest.mark.parametrize("stack", stack_names())
def test_a_policy_shows_the_switch_where_its_stack_has_one(stack: str) -> None:
    has_one = load_stack(stack).facts.switch.specs[0] != "none" and stack not in WITHOUT_A_SWITCH

    assert (policy_of(stack).spec.switch is not None) is has_one


@pytest.mark.parametrize("stack", stack_names())
def test_a_policy_decides_on_the_metrics_of_its_stack(server: Prometheus, stack: str) -> None:
    policy = policy_of(stack)
    FIXTURES[stack](server, policy.spec.selector, policy.spec.model or "")

    signals = read(server, service_queries(policy))
    decision = decided(policy, signals)

    for scope, names in NEEDED_TO_SHRINK.items():
        unusable = {name: signals[scope][name].detail for name in names if signals[scope][name].usable is None}
        assert unusable == {}
    assert set(decision.roles) == {Role.PREFILL, Role.DECODE}
    assert (decision.switch is not None) is (policy.spec.switch is not None)
    for role in decision.roles.values():
        assert role.stages[0].reason is not Reason.SIGNALS_UNUSABLE
        assert role.desired >= 1
