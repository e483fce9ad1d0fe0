"""What the daemon asks of the API server, as rights: no more than these policies and settings need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Mode
from autoscaler.daemon.places import place_of_switch, places, switch_spec, target_aims, target_specs
from autoscaler.daemon.pod_marks import CONTROLLERS
from autoscaler.daemon.queries import routing_label
from autoscaler.kube.crd import PLURAL, policy_ref
from autoscaler.kube.lease import lease_ref
from autoscaler.kube.names import object_name
from autoscaler.stacks.load import stack_of
from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.competitors.kinds import known_kinds
from autoscaler.targets.kubernetes.competitors.lists import AUTOSCALERS
from autoscaler.targets.kubernetes.competitors.owners import owners_to_read
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.kubernetes.specs.model import Shape
from autoscaler.targets.kubernetes.switches.build import switch_objects

_RBAC = "rbac.authorization.k8s.io/v1"
_GROUP = policy_ref("").group


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource.

    Attributes:
        namespace: Where; empty for the whole cluster.
        group: API group; empty for the core group.
        resource: Plural, with a subresource after a slash.
        name: Of the only object that is meant; empty where the verb cannot be limited to one.
        verb: As a role lists it.
    """

    namespace: str
    group: str
    resource: str
    name: str
    verb: str


@dataclass(frozen=True, slots=True)
class OwnObjects:
    """What the daemon keeps in the cluster for itself.

    Attributes:
        namespace: Where.
        prefix: What the names begin with.
        leases: Whether daemons elect a leader.
        states: Whether memory is kept in ConfigMaps.
    """

    namespace: str
    prefix: str
    leases: bool
    states: bool


def target_rights(policy: ScalingPolicy) -> Iterator[Right]:
    """What reading, and as far as the policy's mode goes scaling, its pools needs."""
    writes, specs = policy.spec.mode is not Mode.RECOMMEND, target_specs(policy)
    scrapes = policy.spec.scrape is not None and policy.spec.scrape.endpoints is None
    for role, aimed in target_aims(policy).items():
        yield from _on_target(aimed, writes=writes)
        if scrapes and not aimed.pods:  # the scale of what tells of the replicas names the pods, too
            told = (*aimed.status_refs, aimed.ref)[0]
            yield Right(told.namespace, told.group, f"{told.plural}/scale", told.name, "get")
        if writes:  # and so looks for others who do
            kinds = [*(other.kind for other in AUTOSCALERS), *(known_kinds()[name] for name in specs[role].children)]
            yield from (Right(aimed.ref.namespace, kind.group, kind.plural, "", "list") for kind in kinds)
            yield from _on_owners(policy, aimed)
    yield from _on_switch(policy, writes=writes)


def marking_rights(policy: ScalingPolicy) -> Iterator[Right]:
    """What marking the pods needs that should leave first, and taking them out of routing where the stack offers that.

    Pods and their controllers come and go, so no name limits it.
    """
    if policy.spec.mode is Mode.RECOMMEND:
        return
    for aimed in target_aims(policy).values():
        yield Right(aimed.ref.namespace, "", "pods", "", "patch")
        if routing_label(policy) is not None:
            yield from (Right(aimed.ref.namespace, "apps", kind, "", "get") for kind in CONTROLLERS.values())


def telling_rights(policy: ScalingPolicy, *, is_object: bool) -> Iterator[Right]:
    """What telling people needs: Events, and the status where the policy is an object."""
    namespace = policy.metadata.namespace
    if is_object:
        yield Right(namespace, _GROUP, f"{PLURAL}/status", policy.metadata.name, "patch")
    told = {namespace} if is_object else set()
    if policy.spec.mode is Mode.ENFORCE:
        told |= {aimed.ref.namespace for aimed in target_aims(policy).values()}
    yield from (Right(place, "", "events", "", verb) for place in told for verb in ("create", "patch"))


def watch_rights(namespace: str) -> Iterator[Right]:
    """What following policy objects needs; in the whole cluster where the namespace is empty."""
    yield from (Right(namespace, _GROUP, PLURAL, "", verb) for verb in ("list", "watch"))


def own_rights(services: Iterable[str], leases: Iterable[str], own: OwnObjects) -> Iterator[Right]:
    """What the daemon's own objects need: the memory of each service, and the leases."""
    for lease in leases if own.leases else ():
        group = lease_ref(own.namespace).group
        yield Right(own.namespace, group, "leases", "", "list")
        yield Right(own.namespace, group, "leases", "", "create")  # create cannot be limited by name
        yield Right(own.namespace, group, "leases", object_name(own.prefix, lease), "update")
    for service in services:
        if own.states:
            name = object_name(own.prefix, service)
            yield Right(own.namespace, "", "configmaps", "", "create")
            yield from (Right(own.namespace, "", "configmaps", name, verb) for verb in ("get", "update"))


def roles_of(rights: Iterable[Right], name: str) -> list[JsonObject]:
    """Roles that grant exactly these rights: one a namespace, and a ClusterRole for what is not in any."""
    by_namespace: defaultdict[str, set[Right]] = defaultdict(set)
    for right in rights:
        by_namespace[right.namespace].add(right)
    return [_role(namespace, name, by_namespace[namespace]) for namespace in sorted(by_namespace)]


def _on_target(aimed: Aim, *, writes: bool) -> Iterator[Right]:
    def right(ref: ObjectRef, verb: str, subresource: str = "") -> Right:
        resource = f"{ref.plural}/{subresource}" if subresource else ref.plural
        return Right(ref.namespace, ref.group, resource, ref.name, verb)

    yield right(aimed.ref, "get")
    subresource = "scale" if aimed.shape is Shape.SCALE else ""
    if subresource:
        yield right(aimed.ref, "get", subresource)
    if writes:
        yield right(aimed.ref, "patch", subresource)
    for others in (aimed.status_refs, *(excluded.refs for excluded in aimed.excluded)):
        yield from (right(ref, "get") for ref in others)
    yield Right(aimed.ref.namespace, "", "pods", "", "list")


def _on_owners(policy: ScalingPolicy, aimed: Aim) -> Iterator[Right]:
    """What telling needs whether an owner above the target leaves the count to us.

    An owner is limited to its name where the policy says it: where the target is named after it.
    """
    service = places(policy)[aimed.role].name
    objects = (load_spec(name).object for name in stack_of(policy).facts.targets)
    of_stack = {f"{one.kind}.{one.group}" for one in objects if one is not None}
    readable = {f"{ref.kind}.{ref.group}" for ref in (aimed.ref, *aimed.status_refs)}
    for owner in owners_to_read(aimed.ref.kind, of_stack):
        if owner not in readable:
            kind, name = known_kinds()[owner], service if aimed.ref.name != service else ""
            yield Right(aimed.ref.namespace, kind.group, kind.plural, name, "get")


def _on_switch(policy: ScalingPolicy, *, writes: bool) -> Iterator[Right]:
    """What the stack's switch needs, where the policy uses it and it has objects of its own."""
    switch = policy.spec.switch
    if switch is None:
        return
    spec = switch_spec(policy, stack_of(policy))
    for ref in switch_objects(spec, place_of_switch(policy, switch)):
        verbs = ("get", "patch") if writes else ("get",)
        yield from (Right(ref.namespace, ref.group, ref.plural, ref.name, verb) for verb in verbs)


def _role(namespace: str, name: str, rights: set[Right]) -> JsonObject:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    kind = "Role" if namespace else "ClusterRole"
    return {"apiVersion": _RBAC, "kind": kind, "metadata": metadata, "rules": _rules(rights)}


def _rules(rights: set[Right]) -> list[JsonObject]:
    """Rules with as much in each as goes together: objects of one resource that the same verbs are about."""
    verbs: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for right in rights:
        verbs[right.group, right.resource, right.name].add(right.verb)
    names: defaultdict[tuple[str, str, tuple[str, ...], bool], list[str]] = defaultdict(list)
    for (group, resource, name), found in sorted(verbs.items()):
        names[group, resource, tuple(sorted(found)), bool(name)].append(name)
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": list(found)}
        | ({"resourceNames": sorted(listed)} if named else {})
        for (group, resource, found, named), listed in names.items()
    ]
