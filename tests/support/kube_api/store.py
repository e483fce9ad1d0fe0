"""The objects, their versions and their history: what etcd and the generic registry do together."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.kube_api import fields
from tests.support.kube_api.errors import already_exists, bad_request, conflict, gone, invalid, not_found
from tests.support.kube_api.resources import Address, Registry, Resource
from tests.support.kube_api.selectors import matches_fields, matches_labels
from tests.support.kube_api.validation import admit

JsonObject = dict[str, Any]
Change = Callable[[JsonObject], JsonObject]
_Key = tuple[str, str, str, str]


def timestamp(at_s: float) -> str:
    """Unix seconds as the server writes them."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Event:
    """One step of the history: what a watch reports."""

    version: int
    type: str
    resource: Resource
    document: JsonObject


class Store:
    """All objects of one server. Thread-safe; every document handed out is a copy.

    Args:
        clock: Unix time in seconds, for timestamps.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.registry = Registry()
        self._clock = clock
        self._objects: dict[_Key, JsonObject] = {}
        self._history: list[Event] = []
        self._version = 1
        self._compacted = 0
        self._changed = threading.Condition(threading.RLock())

    @property
    def version(self) -> int:
        """The newest resource version."""
        with self._changed:
            return self._version

    def get(self, address: Address) -> JsonObject:
        """One object.

        Raises:
            ApiError: 404.
        """
        with self._changed:
            return self._shown(address, self._find(address))

    def select(self, address: Address, labels: str = "", field_selector: str = "") -> list[JsonObject]:
        """The objects of a collection, of every namespace when the address names none, in order of name."""
        with self._changed:
            found = [document for key, document in sorted(self._objects.items()) if _inside(key, address)]
            return [
                self._shown(address, document)
                for document in found
                if matches_labels(labels, document["metadata"].get("labels", {}))
                and matches_fields(field_selector, document)
            ]

    def create(self, address: Address, document: JsonObject, *, manager: str, dry_run: bool = False) -> JsonObject:
        """Add an object.

        Raises:
            ApiError: 409 when the name is taken, 404 without its namespace, 400 and 422 for a bad object.
        """
        with self._changed:
            new = copy.deepcopy(document)
            address = self._named(address, new)
            if _key(address) in self._objects:
                raise already_exists(address.resource.qualified, address.name)
            if address.resource.status:
                new.pop("status", None)
            admit(address, new)
            fields.record_update({}, new, self._manager(address, manager, "Update"))
            self._register(address, new, dry_run=dry_run)
            return self._commit("ADDED", address, new, dry_run=dry_run)

    def update(self, address: Address, change: Change, *, manager: str, dry_run: bool = False) -> JsonObject:
        """Replace an object, or its status, by what `change` makes of it.

        A uid or resourceVersion in the result that is not the current one is a failed precondition.

        Raises:
            ApiError: 404, 409, 422, or whatever `change` raises.
        """
        with self._changed:
            old = self._shown(address, self._find(address))
            new = change(copy.deepcopy(old))
            _check_preconditions(address, old, new)
            new = _keep_server_fields(address, old, new)
            admit(address, new)
            if _content(new) == _content(old):
                return old
            fields.record_update(old, new, self._manager(address, manager, "Update"))
            return self._commit("MODIFIED", address, _next_generation(old, new), dry_run=dry_run)

    def apply(
        self, address: Address, configuration: JsonObject, *, manager: str, force: bool, dry_run: bool = False
    ) -> JsonObject:
        """Server-side apply: make the object, or merge the configuration into it.

        Raises:
            ApiError: 409 when another manager owns a field with another value and `force` is off.
        """
        with self._changed:
            entry = self._manager(address, manager, "Apply")
            old = self._objects.get(_key(address))
            if old is None:
                base: JsonObject = {key: configuration[key] for key in ("apiVersion", "kind")} | {"metadata": {}}
                new = fields.apply(base, configuration, entry, force=force)
                new["metadata"]["name"] = address.name
                self._named(address, new)
                admit(address, new)
                return self._commit("ADDED", address, new, dry_run=dry_run)
            old = self._shown(address, old)
            _check_preconditions(address, old, {"metadata": {**old["metadata"], **_preconditions(configuration)}})
            new = _keep_server_fields(address, old, fields.apply(old, configuration, entry, force=force))
            admit(address, new)
            return self._commit("MODIFIED", address, _next_generation(old, new), dry_run=dry_run)

    def delete(self, address: Address, preconditions: Mapping[str, str], *, dry_run: bool = False) -> JsonObject:
        """Remove an object; there are no finalizers and no grace.

        Raises:
            ApiError: 404, or 409 for a failed precondition.
        """
        with self._changed:
            old = self._find(address)
            _check_preconditions(address, old, {"metadata": {**old["metadata"], **preconditions}})
            if not dry_run:
                del self._objects[_key(address)]
                if address.resource.kind == "CustomResourceDefinition":
                    self.registry.forget(old)
                self._record("DELETED", address, old)
            return old

    def compact(self) -> None:
        """Forget the history, so that a watch from an older version has expired."""
        with self._changed:
            self._compacted = self._version
            self._history.clear()

    def events_after(self, version: int, address: Address, timeout_s: float) -> list[Event]:
        """The history of a collection after a version; waits up to `timeout_s` for the first event.

        Raises:
            ApiError: 410 when that part of the history is forgotten.
        """
        with self._changed:
            if version < self._compacted:
                raise gone(version, self._compacted)
            self._changed.wait_for(lambda: bool(self._since(version, address)), timeout_s)
            return self._since(version, address)

    def _since(self, version: int, address: Address) -> list[Event]:
        key = (address.resource.group, address.resource.plural)
        return [
            event
            for event in self._history
            if event.version > version
            and (event.resource.group, event.resource.plural) == key
            and address.namespace in {"", event.document["metadata"].get("namespace", "")}
        ]

    def _find(self, address: Address) -> JsonObject:
        document = self._objects.get(_key(address))
        if document is None:
            raise not_found(address.resource.qualified, address.name)
        return document

    def _named(self, address: Address, document: JsonObject) -> Address:
        """Check and complete the metadata of a new object."""
        if document.get("apiVersion") != address.api_version or document.get("kind") != address.resource.kind:
            raise bad_request(
                f"{document.get('apiVersion')}, Kind={document.get('kind')} does not match the request: "
                f"{address.api_version}, Kind={address.resource.kind}"
            )
        metadata = document.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        if not metadata.get("name"):
            raise invalid(address.resource.qualified_kind, "", [("metadata.name", "Required value: name is required")])
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if address.resource.namespaced:
            if metadata.setdefault("namespace", address.namespace) != address.namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            if ("", "namespaces", "", address.namespace) not in self._objects:
                raise not_found("namespaces", address.namespace)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(self._clock()), "generation": 1}
        return Address(address.resource, address.version, address.namespace, metadata["name"], address.subresource)

    def _register(self, address: Address, document: JsonObject, *, dry_run: bool) -> None:
        if address.resource.kind == "CustomResourceDefinition" and not dry_run:
            self.registry.define(document)
            document["status"] = {"conditions": [{"type": "Established", "status": "True"}]}

    def _manager(self, address: Address, manager: str, operation: str) -> JsonObject:
        entry = {
            "manager": manager,
            "operation": operation,
            "apiVersion": address.api_version,
            "time": timestamp(self._clock()),
        }
        return {**entry, "subresource": address.subresource} if address.subresource else entry

    def _commit(self, event: str, address: Address, document: JsonObject, *, dry_run: bool) -> JsonObject:
        if not dry_run:
            self._objects[_key(address)] = document
            self._record(event, address, document)
        return copy.deepcopy(document)

    def _record(self, event: str, address: Address, document: JsonObject) -> None:
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        self._history.append(Event(self._version, event, address.resource, copy.deepcopy(document)))
        self._changed.notify_all()

    @staticmethod
    def _shown(address: Address, document: JsonObject) -> JsonObject:
        return {**copy.deepcopy(document), "apiVersion": address.api_version}


def _key(address: Address) -> _Key:
    return (address.resource.group, address.resource.plural, address.namespace, address.name)


def _inside(key: _Key, address: Address) -> bool:
    return key[:2] == (address.resource.group, address.resource.plural) and address.namespace in {"", key[2]}


def _preconditions(document: JsonObject) -> dict[str, str]:
    metadata = document.get("metadata", {})
    return {key: metadata[key] for key in ("uid", "resourceVersion") if metadata.get(key)}


def _check_preconditions(address: Address, old: JsonObject, new: JsonObject) -> None:
    asked, current = _preconditions(new), _preconditions(old)
    qualified = address.resource.qualified
    if "resourceVersion" not in asked and not address.resource.unconditional_update:
        cause = "Invalid value: 0: must be specified for an update"
        raise invalid(address.resource.qualified_kind, address.name, [("metadata.resourceVersion", cause)])
    if asked.get("uid", current["uid"]) != current["uid"]:
        cause = f"Precondition failed: UID in precondition: {asked['uid']}, UID in object meta: {current['uid']}"
        raise conflict(qualified, address.name, cause)
    if asked.get("resourceVersion", current["resourceVersion"]) != current["resourceVersion"]:
        raise conflict(qualified, address.name)


def _keep_server_fields(address: Address, old: JsonObject, new: JsonObject) -> JsonObject:
    """Undo what a writer of this subresource may not touch."""
    if address.subresource == "status":
        new = {**old, **({"status": new["status"]} if "status" in new else {})}
    elif address.resource.status:
        new = {key: value for key, value in new.items() if key != "status"}
        if "status" in old:
            new["status"] = copy.deepcopy(old["status"])
    kept = ("uid", "resourceVersion", "creationTimestamp", "generation", "name", "namespace", "managedFields")
    metadata = {key: value for key, value in new["metadata"].items() if key not in kept}
    owned = new["metadata"].get("managedFields", old["metadata"].get("managedFields", []))
    server = {key: old["metadata"][key] for key in kept if key in old["metadata"]}
    return {**new, "metadata": {**metadata, **server, "managedFields": copy.deepcopy(owned)}}


def _next_generation(old: JsonObject, new: JsonObject) -> JsonObject:
    if new.get("spec") != old.get("spec"):
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1
    return new


def _content(document: JsonObject) -> JsonObject:
    metadata = {k: v for k, v in document["metadata"].items() if k not in {"resourceVersion", "managedFields"}}
    return {**document, "metadata": metadata}
