from __future__ import annotations

from typing import Any

import pytest

from autoscaler.daemon.rights import target_rights
from tests.config.builders import policy

EPP = {"spec": "llm-d-epp", "name": "epp-config", "key": "config.yaml", "router": "epp"}
HYPERPOD = {"apiVersion": "inference.sagemaker.aws.amazon.com/v1", "kind": "InferenceEndpointConfig", "name": "chat"}


def rights(mode: str, **spec: Any) -> set[tuple[str, str, str]]:
    """Verb, resource and name, beside those of the same policy without a switch."""
    changes = {f"spec.{key}": value for key, value in spec.items()}
    with_switch = policy({"spec.mode": mode, **changes})
    without = policy({"spec.mode": mode, **{key: value for key, value in changes.items() if key != "spec.switch"}})
    more = {*target_rights(with_switch)} - {*target_rights(without)}
    return {(right.verb, right.resource, right.name) for right in more}


@pytest.mark.parametrize(("mode", "verbs"), [("recommend", ["get"]), ("enforce", ["get", "patch"])])
def test_a_switch_in_a_config_map_needs_it_and_the_router_that_reads_it(mode: str, verbs: list[str]) -> None:
    assert rights(mode, stack="llm-d", switch={"target": EPP}) == {
        (verb, resource, name)
        for verb in verbs
        for resource, name in (("configmaps", "epp-config"), ("deployments", "epp"))
    }


def test_a_switch_that_is_the_prefill_count_needs_nothing_more() -> None:
    assert rights("enforce", stack="llm-d", switch={}) == set()


def test_a_switch_in_the_target_itself_needs_no_more_than_the_count_does() -> None:
    spec: dict[str, Any] = {
        "stack": "hyperpod",
        "roles.prefill.target": HYPERPOD,
        "roles.decode.target": HYPERPOD,
        "switch": {"prefillOff": 1},
    }

    assert rights("enforce", **spec) == set()
