"""Who else sets a switch: tools that keep its object as it is in Git, and controllers that own it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscaler.targets.kubernetes.competitors.chain import Chain, climb, named
from autoscaler.targets.kubernetes.competitors.gitops import find_gitops
from autoscaler.targets.kubernetes.competitors.report import Competition, Conflict
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, KubeError
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second


def find_switch_competitors(client: KubeClient, ref: ObjectRef, path: Path) -> Competition:
    """Look for everybody else who sets a switch. Reads only, and never raises for a sick API server.

    Helm is a note: it writes when somebody runs it, and the router's configuration comes from a chart nearly always.

    Args:
        client: Connection to the cluster.
        ref: The object that holds the switch.
        path: Where in it.
    """
    try:
        chain = Chain(client.get(ref))
        climb(client, chain)
        tools, notes = find_gitops(chain, (path,), watching_only=True)
        owners = [_put_back(ref, path, owner) for owner in chain.above[:1]]
    except KubeError as error:
        return Competition(unchecked=(f"cannot look at the switch: {error}",))
    except SHAPE_ERRORS as error:
        return Competition(unchecked=(f"an object has an unknown form: {error!r}",))
    return Competition((*owners, *tools), tuple(chain.unchecked), tuple(notes))


def _put_back(ref: ObjectRef, path: Path, owner: JsonObject) -> Conflict:
    metadata = owner["metadata"]
    writes = f"{path} of {ref.kind} {ref.name}, which it owns and reconciles"
    remedy = f"what is set below it is put back: move the switch at {named(owner)} by hand, and leave spec.switch out"
    return Conflict(owner["kind"], metadata["name"], metadata["namespace"], writes, remedy)
