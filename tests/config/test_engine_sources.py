"""Where an engine's timing comes from: policy, then profile, then built-in table, then the live signals alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoscaler.config.load import read_file
from autoscaler.core.decide import decide
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import Role, RolePolicy
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from tests.config.builders import as_yaml, changed, errors, policy
from tests.config.test_engine import TIMING

PROFILES = Path(__file__).parent / "profiles"
DYNAMO = str(PROFILES / "dynamo")
STATIC = str(PROFILES / "aiconfigurator-static.csv")
ROW = {"gpu": "h100", "tensorParallel": 4}
AT_S = 1_700_000_000.0


def pool(engine: dict[str, Any] | None) -> RolePolicy:
    changes: dict[str, Any] = {"spec.model": "llama-3.1-70b"}
    return policy(changes if engine is None else changes | {"spec.engine": engine}).core().roles[Role.DECODE]


@pytest.mark.parametrize(
    ("engine", "source"),
    [
        ({"timing": TIMING, "profile": DYNAMO, **ROW}, "policy"),
        ({"profile": DYNAMO, **ROW}, "profile dynamo (prefill within 0.0%, decode within 0.0%)"),
        (ROW, "built-in table, llama-3.1-70b bf16 on h100 TP4"),
        (None, "no prior; 0 samples are not enough to trust a model, rules decide"),
    ],
    ids=["policy", "profile", "table", "calibration"],
)
def test_the_first_source_that_is_there_counts_and_the_record_names_it(
    engine: dict[str, Any] | None, source: str
) -> None:
    changes: dict[str, Any] = {"spec.model": "llama-3.1-70b"} | ({"spec.engine": engine} if engine else {})
    core = policy(changes).core()
    pools = {role: PoolState(1, 1) for role in core.roles}

    decision, _ = decide(core, Snapshot(core.service, AT_S, pools, {}, {}), State(started_at_s=0.0), AT_S)

    for decided in decision.roles.values():
        assert decided.evidence is not None
        assert decided.evidence.model_source == source


def test_the_table_fills_in_what_a_profile_lacks() -> None:
    found = pool({"profile": STATIC, **ROW})

    assert found.engine is not None
    assert found.engine.kv_capacity_tokens == find_engine("llama-3.1-70b", "h100", 4)[1].kv_capacity_tokens
    assert found.engine_source.endswith("; built-in table: kv capacity tokens")


def test_limits_of_the_policy_go_before_those_of_profile_and_table() -> None:
    found = pool({"profile": STATIC, "kvCapacityTokens": 250_000, "maxSequences": 64, "maxBatchedTokens": 2048})

    assert found.engine is not None
    assert (found.engine.kv_capacity_tokens, found.engine.max_sequences) == (250_000, 64)
    assert found.engine.max_batched_tokens == 2048


def test_a_profile_that_lacks_a_part_is_refused_where_nothing_fills_in() -> None:
    (problem,) = errors({"spec.engine": {"profile": STATIC}})

    assert problem.path == "spec.engine"
    assert "has no kv capacity tokens" in problem.message
    assert "kvCapacityTokens" in problem.message


def test_a_profile_is_looked_for_beside_the_policy(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "profile").symlink_to(DYNAMO)
    file = folder / "chat.yaml"
    file.write_text(as_yaml(changed({"spec.engine": {"profile": "profile"}})))

    report = read_file(file)

    assert report.errors == ()
    assert report.policies[0].policy.core().roles[Role.PREFILL].engine_source.startswith("profile profile (")


def test_a_profile_that_cannot_be_used_is_refused_with_path_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "times.npz"
    path.write_bytes(b"")

    (problem,) = errors({"spec.engine": {"profile": str(path)}})

    assert problem.path == "spec.engine.profile"
    assert str(path) in str(problem)
    assert "is no NPZ of plain numbers" in problem.message


def test_a_profile_that_cannot_be_used_is_told_by_its_own_value_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("apiVersion: pd-autoscaler.io/v1alpha1\nkind: EngineProfil\n")

    (found,) = errors({"spec.engine": {"profile": str(path), **ROW}})

    assert str(found).endswith(
        "kind: is not known here (got EngineProfil, allowed: EngineProfile, did you mean EngineProfile?)"
    )
