"""What each verb does to the store."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.kube_api.errors import bad_request, unsupported_media_type
from tests.support.kube_api.patch import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    json_patch,
    merge_patch,
    strategic_merge,
)
from tests.support.kube_api.resources import Address, Resource
from tests.support.kube_api.routes import Call
from tests.support.kube_api.scale import readable_scale_of, scale_of, with_scale
from tests.support.kube_api.store import Store

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, and the name that its writes are recorded under."""

    text: str
    content_type: str
    manager: str

    def parsed(self) -> Any:
        """The body as data; YAML where server-side apply sends it.

        Raises:
            ApiError: 400.
        """
        try:
            return yaml.safe_load(self.text)
        except yaml.YAMLError as error:
            raise bad_request(f"error decoding the body: {error}") from error

    def document(self) -> JsonObject:
        """The body as one object.

        Raises:
            ApiError: 400.
        """
        parsed = self.parsed()
        if not isinstance(parsed, dict):
            raise bad_request("the body of the request is no object")
        return parsed


def execute(store: Store, call: Call, body: Body) -> tuple[int, JsonObject]:
    """Carry out any verb but watch.

    Returns:
        HTTP code and the object to answer with.

    Raises:
        ApiError: The request is refused.
    """
    if call.verb == "get":
        return 200, _get(store, call.address)
    if call.verb == "list":
        return 200, _list(store, call)
    if call.verb == "create":
        return 201, store.create(call.address, body.document(), manager=body.manager, dry_run=call.dry_run)
    if call.verb == "update":
        return 200, _update(store, call, body)
    if call.verb == "patch":
        return _patch(store, call, body)
    preconditions = (body.parsed() or {}).get("preconditions", {})
    removed = store.delete(call.address, preconditions, dry_run=call.dry_run)
    details = {"name": call.address.name, "kind": call.address.resource.plural, "uid": removed["metadata"]["uid"]}
    return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": details}


def _get(store: Store, address: Address) -> JsonObject:
    document = store.get(address)
    if address.subresource == "scale" and address.resource.scale is not None:
        return readable_scale_of(address.resource.scale, document)
    return document


def _list(store: Store, call: Call) -> JsonObject:
    items = store.select(call.address, call.query.get("labelSelector", ""), call.query.get("fieldSelector", ""))
    return {
        "kind": f"{call.address.resource.kind}List",
        "apiVersion": call.address.api_version,
        "metadata": {"resourceVersion": str(store.version)},
        "items": items,
    }


def _update(store: Store, call: Call, body: Body) -> JsonObject:
    written, address = body.document(), call.address
    named = written.get("metadata", {}).get("name")
    if named != address.name:
        raise bad_request(f"the name of the object ({named}) does not match the name on the URL ({address.name})")
    return _write(store, call, body, lambda _: copy.deepcopy(written))


def _patch(store: Store, call: Call, body: Body) -> tuple[int, JsonObject]:
    custom = call.address.resource.custom
    accepted = (
        (JSON_PATCH, MERGE_PATCH, APPLY_PATCH) if custom else (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
    )
    if body.content_type not in accepted:
        raise unsupported_media_type(accepted)
    if body.content_type == APPLY_PATCH:
        return _apply(store, call, body)
    patch = body.parsed()
    formats = {JSON_PATCH: json_patch, MERGE_PATCH: merge_patch, STRATEGIC_PATCH: strategic_merge}
    return 200, _write(store, call, body, lambda current: formats[body.content_type](current, patch))


def _apply(store: Store, call: Call, body: Body) -> tuple[int, JsonObject]:
    if not call.query.get("fieldManager"):
        raise bad_request(
            "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
        )
    force = call.query.get("force") == "true"
    created = not any(d["metadata"]["name"] == call.address.name for d in store.select(call.address))
    applied = store.apply(call.address, body.document(), manager=body.manager, force=force, dry_run=call.dry_run)
    return (201 if created else 200), applied


def _write(store: Store, call: Call, body: Body, change: Any) -> JsonObject:
    resource: Resource = call.address.resource
    if call.address.subresource != "scale" or resource.scale is None:
        return store.update(call.address, change, manager=body.manager, dry_run=call.dry_run)
    paths = resource.scale
    parent = store.update(
        call.address,
        lambda current: with_scale(paths, current, change(scale_of(paths, current))),
        manager=body.manager,
        dry_run=call.dry_run,
    )
    return scale_of(paths, parent)
