"""A policy from the names of workloads: their counts, and whoever else sets those."""

from __future__ import annotations

import pytest

from autoscaler.core.policy import Mode
from tests.adopt.conftest import Import, Imported, add_scaled_object, engine
from tests.support.kube import Cluster


def test_a_fixed_number_is_the_most_until_its_user_says_more(kube_api: Cluster, import_of: Import) -> None:
    for role, replicas in (("prefill", 2), ("decode", 5)):
        kube_api.create("deployments", engine(f"chat-{role}", replicas))

    done = import_of("deployment", "chat-prefill", "chat-decode")

    roles = done.policy.spec.roles
    assert [(pool.min_replicas, pool.max_replicas) for pool in (roles.prefill, roles.decode)] == [(1, 2), (1, 5)]
    assert "raise it to be told when that is too few" in done.out
    assert "scale deployment/chat-decode --replicas=5" in done.out


def test_how_to_let_go_of_a_fixed_number_is_told_for_each_pool(kube_api: Cluster, import_of: Import) -> None:
    for role in ("prefill", "decode"):
        kube_api.create("deployments", engine(f"chat-{role}"))

    header, _, _ = import_of("deployment", "chat-prefill", "chat-decode").out.partition("# And back")

    for role in ("prefill", "decode"):
        assert f"apply edit-last-applied deployment/chat-{role}  # take spec.replicas out: docs/migrate.md" in header


def comments_of(done: Imported) -> str:
    """What it printed, its comments as one line."""
    return " ".join(done.out.replace("#", "").split())


@pytest.mark.usefixtures("pair")
def test_a_deployment_that_an_hpa_scales_is_no_fixed_number(import_of: Import) -> None:
    done = import_of("deployment", "chat-prefill", "chat-decode")

    assert done.policy.spec.mode is Mode.RECOMMEND
    told = comments_of(done)
    assert "HorizontalPodAutoscaler serving/prefill-hpa writes the replica count of Deployment chat-prefill" in told
    assert "Its bounds come with: import hpa prefill-hpa" in told
    assert "stop who else sets the counts and set mode: enforce." in told
    assert "a fixed number" not in done.out
    assert "edit-last-applied" not in done.out
    assert "scale deployment" not in done.out


@pytest.mark.usefixtures("pair")
def test_who_scales_the_pool_that_was_found_by_its_name_is_told_too(import_of: Import) -> None:
    told = comments_of(import_of("hpa", "prefill-hpa"))

    assert (
        "decode: HorizontalPodAutoscaler serving/decode-hpa writes the replica count of Deployment chat-decode" in told
    )
    assert "prefill: HorizontalPodAutoscaler" not in told
    assert "stop who else sets the counts and let go of the counts and set mode: enforce:" in told


def test_a_scaled_object_of_a_deployment_is_told_with_how_to_import_it(kube_api: Cluster, import_of: Import) -> None:
    for role in ("prefill", "decode"):
        kube_api.create("deployments", engine(f"chat-{role}"))
    add_scaled_object(kube_api, "theirs", "chat-decode")

    done = import_of("deployment", "chat-prefill", "chat-decode")

    assert "Its bounds come with: import keda theirs" in comments_of(done)
    assert "Deployment chat-prefill (a fixed number)" in done.out


def test_that_nobody_may_look_who_else_scales_a_deployment_is_told(kube_api: Cluster, import_of: Import) -> None:
    for role in ("prefill", "decode"):
        kube_api.create("deployments", engine(f"chat-{role}"))
    rights = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]
    token = kube_api.service_account("reader", rights)

    done = import_of("deployment", "chat-prefill", "chat-decode", token=token)

    assert done.code == 0
    told = comments_of(done)
    assert "prefill and decode: who else sets its count is not known: cannot check for HorizontalPodAutoscaler" in told
