"""Memory in the cluster: one ConfigMap per service, replaced only at the version that was read or written last."""

from __future__ import annotations

import base64
import gzip
import zlib
from dataclasses import dataclass
from typing import Protocol

from autoscaler.core.state import State, StateError
from autoscaler.daemon.state_format import dump, parse
from autoscaler.daemon.state_store import StateStoreError, StateTakenError, StateUnreachableError
from autoscaler.kube.names import object_name
from autoscaler.targets.kubernetes.errors import (
    ConflictError,
    ForbiddenError,
    KubeError,
    NotFoundError,
    RejectedError,
)
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

PLAIN, PACKED = "state.json", "state.json.gz"
ASIDE_PLAIN, ASIDE_PACKED = "unusable.json", "unusable.json.gz"
_PLAIN_BYTES = 16 * 1024
# The server takes one MiB of keys and values; what was kept aside needs room beside the state.
_MOST_BYTES = 480 * 1024
# A save that no change depends on: frequent enough that a restart misses a tick or two, seldom enough for etcd.
_CHECKPOINT_S = 30.0


class ConfigMapApi(Protocol):
    """What the store asks of the API server."""

    def get(self, ref: ObjectRef) -> JsonObject:
        """Read one object."""
        ...

    def create(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        """Create an object; a ConflictError says that the name is taken."""
        ...

    def replace(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        """Replace an object if it is still at the resource version of the document."""
        ...


@dataclass(slots=True)
class _Kept:
    """What we know of a service's ConfigMap.

    Attributes:
        document: As last read or written; None where there was none.
        decided_at_s: Of the state in it.
        tried: What the last save that was sent and not answered wanted it to hold; None where every one was answered.
    """

    document: JsonObject | None
    decided_at_s: float | None = None
    tried: JsonObject | None = None


class ConfigMapStateStore:
    """Keeps states in ConfigMaps. One service is never saved by two threads at once.

    Args:
        api: Where the ConfigMaps are.
        namespace: Their namespace.
        prefix: What their names begin with.
    """

    def __init__(self, api: ConfigMapApi, namespace: str, prefix: str) -> None:
        self._api = api
        self._namespace = namespace
        self._prefix = prefix
        self._kept: dict[str, _Kept] = {}

    def ref(self, service: str) -> ObjectRef:
        """The ConfigMap of a service."""
        return ObjectRef("v1", "ConfigMap", "configmaps", self._namespace, object_name(self._prefix, service))

    def load(self, service: str, now_s: float) -> State:
        """The state last saved, by whomever; see `StateStore.load`.

        One that cannot be used is kept aside under another key and counts as none.
        """
        ref = self.ref(service)
        document = self._read(ref)
        self._kept[service] = kept = _Kept(document)
        text = None
        try:
            text = _text(document)
            state = parse(text, now_s) if text is not None else State()
        except StateError as error:
            raise StateStoreError(f"{ref}: {error}; {self._set_aside(ref, kept)}, starting without memory") from error
        kept.decided_at_s = state.decided_at_s
        return state

    def save(self, service: str, state: State, *, urgent: bool = True) -> None:
        """Keep a state; see `StateStore.save`."""
        kept = self._kept.setdefault(service, _Kept(None))
        if not urgent and _is_fresh(kept.decided_at_s, state.decided_at_s):
            return
        ref = self.ref(service)
        data = _data(ref, dump(state))
        try:
            if kept.tried is not None:
                self._find_out(ref, kept)
            kept.tried = data
            if kept.document is None:
                kept.document = self._api.create(ref, {**_blank(ref), **data})
            else:
                kept.document = self._api.replace(ref, {**kept.document, **_beside(kept.document, data)})
        except ConflictError as error:
            kept.tried = None
            raise StateTakenError(
                f"{ref} was changed by somebody else: two daemons act for {service}, run them with --leader-elect; "
                f"nothing is written in this tick ({error})"
            ) from error
        except KubeError as error:
            if isinstance(error, NotFoundError):
                # One that somebody deleted is made anew by the next save; this process still remembers.
                kept.document = kept.tried = None
            raise StateStoreError(f"{error}; a restart would forget the last changes") from error
        kept.decided_at_s, kept.tried = state.decided_at_s, None

    def _read(self, ref: ObjectRef) -> JsonObject | None:
        try:
            return self._api.get(ref)
        except NotFoundError:
            return None
        except (ForbiddenError, RejectedError) as error:
            raise StateStoreError(f"{error}; starting without memory") from error
        except KubeError as error:
            raise StateUnreachableError(f"{error}; nothing is scaled before the memory can be read") from error

    def _find_out(self, ref: ObjectRef, kept: _Kept) -> None:
        """Whether the save that was not answered has arrived: then the version that it made is ours too."""
        try:
            found = self._api.get(ref)
        except NotFoundError:
            found = None
        if found is not None and kept.tried is not None and _state_in(found) == _state_in(kept.tried):
            kept.document = found
        kept.tried = None

    def _set_aside(self, ref: ObjectRef, kept: _Kept) -> str:
        """Move what cannot be used to another key; says where it is now."""
        document = kept.document or {}
        data, packed = _part(document, "data"), _part(document, "binaryData")
        moved = {
            "data": {ASIDE_PLAIN: data[PLAIN]} if PLAIN in data else {},
            "binaryData": {ASIDE_PACKED: packed[PACKED]} if PACKED in packed else {},
        }
        try:
            kept.document = self._api.replace(ref, {**document, **moved})
        except KubeError as error:
            return f"left where it is ({error})"
        return f"kept under {ASIDE_PLAIN if PLAIN in data else ASIDE_PACKED}"


def _is_fresh(saved_s: float | None, decided_at_s: float | None) -> bool:
    return saved_s is not None and decided_at_s is not None and decided_at_s - saved_s < _CHECKPOINT_S


def _blank(ref: ObjectRef) -> JsonObject:
    labels = {"app.kubernetes.io/managed-by": "pd-autoscaler"}
    metadata = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}


def _data(ref: ObjectRef, text: str) -> JsonObject:
    raw = text.encode()
    if len(raw) <= _PLAIN_BYTES:
        return {"data": {PLAIN: text}, "binaryData": {}}
    packed = base64.b64encode(gzip.compress(raw, mtime=0)).decode()
    if len(packed) > _MOST_BYTES:
        raise StateStoreError(
            f"{ref}: the state has {len(packed)} bytes packed, more than {_MOST_BYTES}, and is not kept; "
            "a restart would forget the last changes"
        )
    return {"data": {}, "binaryData": {PACKED: packed}}


def _beside(document: JsonObject, data: JsonObject) -> JsonObject:
    """New data beside what was kept aside."""
    aside_plain = {key: value for key, value in _part(document, "data").items() if key == ASIDE_PLAIN}
    aside_packed = {key: value for key, value in _part(document, "binaryData").items() if key == ASIDE_PACKED}
    return {"data": {**aside_plain, **data["data"]}, "binaryData": {**aside_packed, **data["binaryData"]}}


def _part(document: JsonObject, name: str) -> JsonObject:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _state_in(document: JsonObject) -> tuple[str | None, str | None]:
    """The state as it is written, plain or packed."""
    return _part(document, "data").get(PLAIN), _part(document, "binaryData").get(PACKED)


def _text(document: JsonObject | None) -> str | None:
    """The text of the state in a ConfigMap; None where it holds none.

    Raises:
        StateError: It is packed, and cannot be unpacked.
    """
    if document is None:
        return None
    plain, packed = _state_in(document)
    if packed is None:
        return None if plain is None else str(plain)
    try:
        return gzip.decompress(base64.b64decode(packed)).decode()
    except (ValueError, OSError, EOFError, zlib.error, TypeError) as error:
        raise StateError(f"stored state cannot be unpacked: {error}") from error
