"""The scale subresource: a small object that shows and writes one number of its parent."""

from __future__ import annotations

import copy
from typing import Any

from tests.support.kube_api.errors import bad_request, internal, invalid
from tests.support.kube_api.paths import assign, lookup
from tests.support.kube_api.resources import ScalePaths
from tests.support.kube_api.selectors import selector_string

JsonObject = dict[str, Any]

_SHOWN_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(paths: ScalePaths, parent: JsonObject) -> JsonObject:
    """The Scale of an object. A count of 0 is left out, as the server's Go type does, and so is an unset one."""
    replicas = lookup(parent, paths.replicas)
    selector = lookup(parent, paths.selector) if paths.selector else None
    status: JsonObject = {"replicas": lookup(parent, paths.status_replicas) or 0}
    if selector:
        status["selector"] = selector_string(selector) if isinstance(selector, dict) else selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: parent["metadata"][key] for key in _SHOWN_METADATA if key in parent["metadata"]},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def readable_scale_of(paths: ScalePaths, parent: JsonObject) -> JsonObject:
    """The Scale as GET shows it.

    Raises:
        ApiError: 500 when the parent's count is unset.
    """
    if lookup(parent, paths.replicas) is None:
        raise internal(f'the spec replicas field ".{paths.replicas}" does not exist')
    return scale_of(paths, parent)


def with_scale(paths: ScalePaths, parent: JsonObject, scale: JsonObject) -> JsonObject:
    """The parent with a written Scale's count, and its preconditions carried over.

    Raises:
        ApiError: 422 for a negative count, 400 for no number or for a count that was unset and stays so.
    """
    replicas = scale.get("spec", {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request(
            f"json: cannot unmarshal {replicas!r} into Go struct field ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        cause = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid("Scale.autoscaling", parent["metadata"]["name"], [("spec.replicas", cause)])
    if "replicas" not in scale.get("spec", {}) and lookup(parent, paths.replicas) is None:
        raise bad_request(f'the spec replicas field ".{paths.replicas}" cannot be empty')
    changed = copy.deepcopy(parent)
    assign(changed, paths.replicas, replicas)
    for precondition in ("uid", "resourceVersion"):
        changed["metadata"][precondition] = scale["metadata"].get(precondition, parent["metadata"][precondition])
    return changed
