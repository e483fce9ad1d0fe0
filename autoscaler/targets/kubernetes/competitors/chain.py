"""The objects that a count passes through: owners above the target, workloads below, and what tells its status."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.competitors.kinds import Kind, group_kind, known_kinds, owner_ref
from autoscaler.targets.kubernetes.competitors.seen import Reader
from autoscaler.targets.kubernetes.errors import KubeError, NotFoundError
from autoscaler.targets.kubernetes.refs import JsonObject, lookup
from autoscaler.targets.kubernetes.served import ServedObject
from autoscaler.targets.role import UnreadableError

_MOST_OWNERS = 10


@dataclass(slots=True)
class Chain:
    """The objects of a chain; those without a `metadata.uid` are known by reference alone.

    Attributes:
        target: The object that holds the count.
        above: Controllers that own it, the nearest first.
        below: What it, or what it is told by, is carried out with.
        unchecked: What could not be looked at.
    """

    target: JsonObject
    above: list[JsonObject] = field(default_factory=list)
    below: list[JsonObject] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def objects(self) -> list[JsonObject]:
        """All of them, the target first."""
        return [self.target, *self.above, *self.below]

    @property
    def names(self) -> set[tuple[str, str]]:
        """Kind and name of each."""
        return {(one["kind"], one["metadata"]["name"]) for one in self.objects}


def walk(client: Reader, aim: Aim, children: tuple[str, ...]) -> Chain:
    """Read the chain of a target.

    Args:
        client: Connection to the cluster.
        aim: The target.
        children: Kinds below it, as `Kind.group`.

    Raises:
        KubeError: The target itself cannot be read.
        UnreadableError: Its kind is not served.
    """
    chain = Chain(ServedObject(client, aim.refs).get())
    climb(client, chain)
    _look_beside(client, chain, aim)
    _descend(client, chain, aim, [known_kinds()[kind] for kind in children])
    return chain


def climb(client: Reader, chain: Chain) -> None:
    """Add the controllers that own the target, and theirs."""
    document = chain.target
    for _ in range(_MOST_OWNERS):
        owner = next((one for one in document["metadata"].get("ownerReferences", []) if one.get("controller")), None)
        if owner is None:
            return
        ref = owner_ref(owner, document["metadata"]["namespace"])
        try:
            document = client.get(ref)
        except KubeError as error:
            chain.unchecked.append(f"cannot look above {ref}, which owns the target: {error}")
            bare = {"name": owner["name"], "namespace": ref.namespace}
            chain.above.append({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "metadata": bare})
            return
        chain.above.append(document)


def _look_beside(client: Reader, chain: Chain, aim: Aim) -> None:
    """Add the object whose status tells of the replicas: a workload below the target, or what an adapter adapts."""
    if not aim.status_refs:
        return
    beside = ServedObject(client, aim.status_refs)
    try:
        document = beside.get()
    except (KubeError, UnreadableError) as error:
        chain.unchecked.append(f"cannot look at {beside.ref}: {error}")
        return
    if all(document["metadata"]["uid"] != one["metadata"].get("uid") for one in chain.above):
        chain.below.append(document)


def _descend(client: Reader, chain: Chain, aim: Aim, kinds: list[Kind]) -> None:
    namespace = chain.target["metadata"]["namespace"]
    candidates = [document for kind in kinds for document in list_kind(client, kind, namespace, chain.unchecked)]
    candidates = [document for document in candidates if not _is_of_another_role(document, aim.pods)]
    known = {one["metadata"].get("uid") for one in (chain.target, *chain.below)}
    while found := [one for one in candidates if one["metadata"]["uid"] not in known and _owners(one) & known]:
        chain.below += found
        known |= {one["metadata"]["uid"] for one in found}


def list_kind(client: Reader, kind: Kind, namespace: str, unchecked: list[str]) -> list[JsonObject]:
    """The objects of a kind; none where it is not installed, and a line in `unchecked` where it cannot be told."""
    for ref in kind.refs(namespace):
        try:
            items = client.list_items(ref, label_selector="")
        except NotFoundError:
            continue
        except KubeError as error:
            unchecked.append(f"cannot check for {kind.name}: {error}")
            return []
        # The items of a list carry neither.
        return [{"apiVersion": ref.api_version, "kind": kind.name, **item} for item in items]
    return []


def _owners(document: JsonObject) -> set[str]:
    return {owner["uid"] for owner in document["metadata"].get("ownerReferences", [])}


def _is_of_another_role(document: JsonObject, selector: str) -> bool:
    """Whether an object below a target of several roles carries labels of another one."""
    labels = {
        **(lookup(document, "spec.template.metadata.labels") or {}),
        **document["metadata"].get("labels", {}),
    }
    wanted = dict(term.split("=", 1) for term in selector.split(",") if "=" in term)
    return any(labels.get(name, value) != value for name, value in wanted.items())


def named(document: JsonObject) -> str:
    """Kind and name, for messages."""
    return f"{group_kind(document).partition('.')[0]} {document['metadata']['name']}"
