"""Who else sets a switch: tools that keep its object as it is in Git, and controllers that own it."""

from __future__ import annotations

from autoscaler.targets.kubernetes.competitors.chain import Chain, climb, named
from autoscaler.targets.kubernetes.competitors.gitops import find_gitops
from autoscaler.targets.kubernetes.competitors.report import Competition, Conflict
from autoscaler.targets.kubernetes.competitors.seen import LastSeen, Memory, Reader
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, KubeError
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef


def find_switch_competitors(client: Reader, ref: ObjectRef, path: Path, memory: Memory | None = None) -> Competition:
    """Look for everybody else who sets a switch. Reads only, and never raises for a sick API server.

    Helm is a note: it writes when somebody runs it, and the router's configuration comes from a chart nearly always.

    Args:
        client: Connection to the cluster.
        ref: The object that holds the switch.
        path: Where in it.
        memory: What the last search has read: what cannot be read now counts as it was then.
    """
    seen = LastSeen(client, {} if memory is None else memory)
    try:
        chain = Chain(seen.get(ref))
        climb(seen, chain)
        seen.keep_only(chain.names)
        tools, notes = find_gitops(chain, (path,), watching_only=True)
        owners = [_put_back(ref, path, owner) for owner in chain.above[:1]]
    except KubeError as error:
        return Competition(unchecked=(f"cannot look at the switch: {error}",))
    except SHAPE_ERRORS as error:
        return Competition(unchecked=(f"an object has an unknown form: {error!r}",))
    return Competition((*owners, *tools), (*chain.unchecked, *seen.unread), tuple(notes))


def _put_back(ref: ObjectRef, path: Path, owner: JsonObject) -> Conflict:
    metadata = owner["metadata"]
    writes = f"{path} of {ref.kind} {ref.name}, which it owns and reconciles"
    remedy = f"what is set below it is put back: move the switch at {named(owner)} by hand, and leave spec.switch out"
    return Conflict(owner["kind"], metadata["name"], metadata["namespace"], writes, remedy)
