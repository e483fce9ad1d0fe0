"""Holds a policy against its stack: what its targets and its switch bear, before anything is put to work."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.config import Problem, ScalingPolicy
from autoscaler.config.problems import Severity, nearest
from autoscaler.config.switch import Switch
from autoscaler.config.values import format_duration
from autoscaler.core.policy import Disaggregation, Role
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.daemon.places import place_of_switch, places, switch_spec, target_specs
from autoscaler.daemon.queries import service_queries
from autoscaler.stacks.dialects import Stack
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.facts import LimitRule
from autoscaler.stacks.limits import broken_limits
from autoscaler.stacks.load import stack_names, stack_of
from autoscaler.targets.kubernetes.aim import aim, limits_of
from autoscaler.targets.kubernetes.specs.load import spec_names, spec_of_part
from autoscaler.targets.kubernetes.specs.model import Shape
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.kubernetes.switches.build import check_place
from autoscaler.targets.kubernetes.switches.load import load_switch, switch_names
from autoscaler.targets.kubernetes.switches.model import SwitchShape

NAMED, BROUGHT = "spec.stack", "spec.stackFile"
"""Paths of problems without which nobody knows what to look at."""
_SWITCH = "spec.switch"


def stack_problems(policy: ScalingPolicy) -> list[Problem]:
    """Why the stack cannot serve the policy, and what of it is doubtful; the problems name no file."""
    name, known = policy.spec.stack, stack_names()
    if name is not None and name not in known:
        message = "is no stack that this version knows"
        return [Problem(NAMED, message, name, ", ".join(known), nearest(name, known))]
    try:
        stack = stack_of(policy)
    except StackError as error:
        return [Problem(BROUGHT, line, policy.spec.stack_file) for line in str(error).splitlines()]
    if policy.spec.own_stack is not None:
        unknown = list(_unknown_names(stack))
        if unknown:
            return [Problem(BROUGHT, *words) for words in unknown]
    problems = [*_unsaid(stack), *_queries(policy, stack), *_targets(policy)]
    if any(problem.severity is Severity.ERROR for problem in problems):
        return problems
    return [*problems, *_limits(policy, stack), *_switch(policy, stack)]


def _unknown_names(stack: Stack) -> Iterator[tuple[str, str, str, str | None]]:
    """Targets and switches of a stack file that there are not: message, value, what is allowed, the nearest."""
    facts = stack.facts
    for key, names, known in (
        ("targets", facts.targets, spec_names()),
        ("switch.specs", facts.switch.specs, switch_names()),
    ):
        for name in names:
            if name not in known:
                message = f"facts.{key} names what this version does not know"
                yield message, name, ", ".join(known), nearest(name, known)


def _unsaid(stack: Stack) -> Iterator[Problem]:
    said = stack.dialects[0].signals
    scopes = (Scope.PREFILL, Scope.DECODE, Scope.SERVICE)
    names = [f"{scope}.{name}" for scope in scopes for name in CATALOGUE[scope] if name not in said.get(scope, {})]
    if names:
        message = (
            f"says nothing of {', '.join(names)}, so they count as absent: give candidates, or absent with a reason"
        )
        yield Problem(BROUGHT, message, severity=Severity.WARNING)


def _queries(policy: ScalingPolicy, stack: Stack) -> Iterator[Problem]:
    if policy.spec.gateway_selector and stack.gateway is None:
        message = f"has no effect: stack {stack.name} reads no gateway; remove it, or put the labels into selector"
        yield Problem("spec.gatewaySelector", message)
    try:
        service_queries(policy)
    except StackError as error:
        path = "spec" if policy.spec.own_stack is None else BROUGHT
        yield Problem(path, f"does not fit stack {stack.name}: {error}")


def _targets(policy: ScalingPolicy) -> Iterator[Problem]:
    """Target specs that there are not, roles that they do not have, and one count that both roles would set."""
    known = spec_names()
    unknown = {role: ref.spec for role, ref in policy.targets().items() if ref.spec and ref.spec not in known}
    for role, name in unknown.items():
        message = "is no target that this version knows"
        yield Problem(f"spec.roles.{role}.target.spec", message, name, ", ".join(known), nearest(name, known))
    if unknown:
        return
    yield from _parts(policy)
    where = places(policy)
    counts: dict[Role, object] = {}
    for role, spec in target_specs(policy).items():
        path = f"spec.roles.{role}.target"
        try:
            held = aim(spec, where[role], role) if spec.object is not None else None
        except SpecError as error:
            yield Problem(path, str(error))
            continue
        count = (held.ref, () if spec.shape is Shape.SCALE else held.count) if held is not None else None
        other = next((one for one, known_count in counts.items() if count is not None and known_count == count), None)
        if other is not None:
            message = f"is the very count that {other} has: give each role an entry or an object of its own"
            yield Problem(path, message, str(policy.targets()[role]))
        counts[role] = count


def _parts(policy: ScalingPolicy) -> Iterator[Problem]:
    """Targets told by their kind that tell nothing of the replicas that serve."""
    for role, ref in policy.targets().items():
        spec = spec_of_part(ref.api_version, ref.kind) if ref.spec is None else None
        if spec is not None:
            after = spec.status_of.kind if spec.status_of is not None else "service"
            message = (
                f"does not tell how many replicas serve: write spec: {spec.name}, the name of the {after}, and as "
                "entry what that calls the role"
            )
            yield Problem(f"spec.roles.{role}.target.kind", message, ref.kind)


def _limits(policy: ScalingPolicy, stack: Stack) -> Iterator[Problem]:
    """Bounds that the target or the stack does not bear."""
    core, where, specs = policy.core(), places(policy), target_specs(policy)
    for role, pool in core.roles.items():
        limits = limits_of(specs[role], where[role], role)
        for key, replicas in (("min", pool.min_replicas), ("max", pool.max_replicas)):
            if refusal := limits.refusal(replicas):
                remedy = f"; set spec.roles.{role}.target.maxReplicas if that is meant" if key == "max" else ""
                message = f"is beyond what {specs[role].title} bears: {limits.reason}{remedy}"
                allowed = f"{limits.low} or more" if limits.high is None else f"{limits.low} to {limits.high}"
                yield Problem(f"spec.roles.{role}.{key}", message, refusal.split()[0], allowed)
    for limit in stack.facts.limits:
        for words in broken_limits([limit], core.roles):
            key = {LimitRule.MIN_REPLICAS: "min", LimitRule.MAX_REPLICAS: "max"}.get(limit.rule, "gpusPerReplica")
            path = f"spec.roles.{limit.role}.{key}" if limit.role is not None else "spec.roles"
            severity = Severity.ERROR if limit.firm else Severity.WARNING
            yield Problem(path, f"stack {stack.name}: {words}", severity=severity)


def _switch(policy: ScalingPolicy, stack: Stack) -> Iterator[Problem]:
    switch, has = policy.spec.switch, stack.facts.switch.specs
    if switch is None:
        return
    asked = switch.target.spec
    if asked is not None and asked not in has:
        message = f"is no switch of stack {stack.name}" if asked in switch_names() else "is no switch"
        yield Problem(f"{_SWITCH}.target.spec", message, asked, ", ".join(has), nearest(asked, has))
        return
    spec = switch_spec(policy, stack)
    if spec.shape is SwitchShape.NONE:
        why = f"stack {stack.name} has none of its own that moves while it runs. {stack.facts.switch.explanation}"
        others = [one for one in has if one != spec.name]
        remedy = f"Remove {_SWITCH}{', or name one as its target.spec' if others else ''}"
        yield Problem(_SWITCH, f"{why} {remedy}", allowed=", ".join(others) or None)
        return
    if spec.remains is not Role.DECODE:
        message = (
            f"cannot be used on stack {stack.name}: off, {spec.remains} serves both phases there, which is not sized"
        )
        place = place_of_switch(policy, switch).values()
        by_hand = "; ".join(f"to {position}: {words.fill(place)}" for position, words in spec.instructions.items())
        yield Problem(_SWITCH, f"{message} here. {stack.facts.switch.explanation} By hand, {by_hand}")
        return
    by_length = switch.disaggregation is Disaggregation.THRESHOLD
    if by_length and spec.tokens is None and not spec.instructions:
        able = [one for one in has if load_switch(one).tokens is not None or load_switch(one).instructions]
        message = f"does not go with switch {spec.name}, which is on or off"
        allowed = f"{', '.join(able)} as target.spec" if able else "auto, on, off"
        yield Problem(f"{_SWITCH}.disaggregation", message, "threshold", allowed)
        return
    if spec.shape is SwitchShape.CONFIG_MAP and switch.target.name is None:
        message = f"is missing: switch {spec.name} is in a ConfigMap, whose name nobody else knows"
        yield Problem(f"{_SWITCH}.target.name", message)
        return
    try:
        check_place(spec, place_of_switch(policy, switch))
    except SpecError as error:
        yield Problem(f"{_SWITCH}.target", str(error))
    if by_length:
        return  # prefill stays, for the long prompts
    yield from _emptying(policy, stack, switch, is_the_count=spec.shape is SwitchShape.PREFILL_ZERO)
    lease_s = stack.facts.drain.kv_lease_s
    if lease_s is not None and switch.lease_s < lease_s:
        message = f"is shorter than the KV lease of stack {stack.name}: prefill may go while decode fetches from it"
        value, allowed = format_duration(switch.lease_s), f"{format_duration(lease_s)} or more"
        yield Problem(f"{_SWITCH}.lease", message, value, allowed, severity=Severity.WARNING)


def _emptying(policy: ScalingPolicy, stack: Stack, switch: Switch, *, is_the_count: bool) -> Iterator[Problem]:
    """What the switch does to the prefill count, held against who bears what."""
    off, path = switch.prefill_off_replicas, f"{_SWITCH}.prefillOff"
    pool = policy.spec.roles.prefill
    if is_the_count:
        if off:
            message = "does not go with a switch that is the prefill count itself: off means none"
            yield Problem(path, message, str(off), "0")
        if pool.min_replicas < 1:
            message = "would let the pool's own scaling turn disaggregation off: the count is the switch"
            yield Problem("spec.roles.prefill.min", message, str(pool.min_replicas), f"1 to {pool.max_replicas}")
    if off > pool.max_replicas:
        yield Problem(path, "is more than the pool's max", str(off), f"0 to {pool.max_replicas}")
    limits = limits_of(target_specs(policy)[Role.PREFILL], places(policy)[Role.PREFILL], Role.PREFILL)
    if refusal := limits.refusal(off):
        yield Problem(path, f"cannot be: {refusal}", str(off), f"{limits.low} or more")
        return
    for limit in stack.facts.limits:
        if limit.rule is LimitRule.MIN_REPLICAS and limit.role is Role.PREFILL and off < (limit.value or 0):
            message = f"cannot be on stack {stack.name}: {limit.why}"
            yield Problem(path, message, str(off), f"{limit.value} or more")
