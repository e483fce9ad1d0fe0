"""From a scaling policy to the questions about its service: the stack's expressions with the policy's names in them."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Role
from autoscaler.stacks.load import stack_of
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.queries import ServiceQueries
from autoscaler.stacks.resolve import ServiceLabels, Workload, resolve, series_labels


def service_queries(policy: ScalingPolicy) -> ServiceQueries:
    """Resolve the stack of a policy for its service.

    Raises:
        StackError: There is no such stack, or a query of the policy is wrong.
    """
    spec = policy.spec
    return resolve(
        stack_of(policy),
        policy.service,
        _labels(policy),
        spec.objectives.core(),
        overrides=spec.signals.by_scope(),
        stale_after_s=spec.stale_after_s,
    )


def page_labels(policy: ScalingPolicy) -> dict[Role, dict[str, str]]:
    """Labels that a directly scraped page of each role must carry so that the queries find its series.

    Raises:
        StackError: There is no such stack.
    """
    stack, labels = stack_of(policy), _labels(policy)
    return {role: series_labels(stack, labels, role) for role in policy.spec.roles.by_role()}


def pod_label(policy: ScalingPolicy) -> str:
    """Label that names a replica.

    Raises:
        StackError: There is no such stack.
    """
    return stack_of(policy).labels.pod


def kv_lease_s(policy: ScalingPolicy) -> float:
    """How long decode may still fetch KV from a prefill replica; 0 where nothing is kept.

    Raises:
        StackError: There is no such stack.
    """
    return stack_of(policy).facts.drain.kv_lease_s or 0.0


def routing_label(policy: ScalingPolicy) -> str | None:
    """Label of a pod by which the stack's router finds it; None where nothing takes a pod out of routing.

    Raises:
        StackError: There is no such stack.
    """
    return stack_of(policy).facts.drain.routing_label


def _labels(policy: ScalingPolicy) -> ServiceLabels:
    """What tells the series of the service from others."""
    spec = policy.spec
    return ServiceLabels(
        model=spec.model,
        selector=_matchers(spec.selector),
        roles={role: _matchers(pool.selector) for role, pool in spec.roles.by_role().items() if pool.selector},
        workloads={
            role: Workload(target.name, target.namespace, target.is_workload)
            for role, target in policy.targets().items()
        },
        dispatch=spec.dispatch.value if spec.dispatch is not None else None,
        gateway=_matchers(spec.gateway_selector),
    )


def _matchers(labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    return tuple(Matcher(label, value) for label, value in labels.items())
