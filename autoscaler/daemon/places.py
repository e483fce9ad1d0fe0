"""Where a policy says that things are: the counts of its roles and the stack's switch."""

from __future__ import annotations

from autoscaler.config import ScalingPolicy
from autoscaler.config.switch import Switch
from autoscaler.core.policy import Role
from autoscaler.stacks.dialects import Stack
from autoscaler.targets.kubernetes.aim import Aim, Service, aim
from autoscaler.targets.kubernetes.refs import guess_plural
from autoscaler.targets.kubernetes.specs.load import load_spec, scale_spec, spec_for_kind
from autoscaler.targets.kubernetes.specs.model import TargetSpec
from autoscaler.targets.kubernetes.switches.build import SwitchPlace
from autoscaler.targets.kubernetes.switches.load import load_switch
from autoscaler.targets.kubernetes.switches.model import SwitchSpec


def places(policy: ScalingPolicy) -> dict[Role, Service]:
    """Where each role is, in the words of a target spec."""
    return {
        role: Service(ref.namespace or "", ref.name, ref.entry or "", ref.pod_selector, ref.max_replicas)
        for role, ref in policy.targets().items()
    }


def target_specs(policy: ScalingPolicy) -> dict[Role, TargetSpec]:
    """How the count of each role is read and written; a kind that no spec describes by its scale subresource.

    Raises:
        SpecError: The policy names a spec that there is not.
    """
    return {
        role: load_spec(ref.spec)
        if ref.spec is not None
        else spec_for_kind(ref.api_version, ref.kind) or scale_spec(ref.api_version, ref.kind, guess_plural(ref.kind))
        for role, ref in policy.targets().items()
    }


def target_aims(policy: ScalingPolicy) -> dict[Role, Aim]:
    """Where the count of each role is held; a role that only a person can scale is left out."""
    where, specs = places(policy), target_specs(policy)
    return {role: aim(spec, where[role], role) for role, spec in specs.items() if spec.object is not None}


def switch_spec(policy: ScalingPolicy, stack: Stack) -> SwitchSpec:
    """The switch that a policy means: the one that it names, else the stack's usual one."""
    named = policy.spec.switch.target.spec if policy.spec.switch is not None else None
    return load_switch(named or stack.facts.switch.specs[0])


def place_of_switch(policy: ScalingPolicy, switch: Switch) -> SwitchPlace:
    """Where the switch is, in the words of a switch spec."""
    told, prefill = switch.target, policy.targets()[Role.PREFILL]
    return SwitchPlace(
        namespace=told.namespace or prefill.namespace or "",
        name=told.name or prefill.name,
        key=told.key or "",
        entry=told.entry or policy.spec.model or "",
        router=told.router or "",
        allow_router_restart=told.allow_router_restart,
        on=told.on_name or "",
        off=told.off_name or "",
        on_tokens=told.on_tokens,
    )
