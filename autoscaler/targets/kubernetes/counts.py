"""The three ways in which an object holds a role's count: read it with its version, and say the change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.errors import UnavailableError
from autoscaler.targets.kubernetes.paths import Path, guarded_patch
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, lookup
from autoscaler.targets.kubernetes.specs.model import Shape
from autoscaler.targets.role import UnreadableError

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second

Change = list[JsonObject] | JsonObject


@dataclass(frozen=True, slots=True)
class Version:
    """What a decision was based on; as a token, text.

    Attributes:
        replicas: None where the object leaves its count unset.
        fields: JSON pointers of the count's fields, each with its value then.
        guards: JSON pointers that must still hold their value for those pointers to mean the same.
    """

    uid: str
    resource_version: str
    replicas: int | None
    fields: tuple[tuple[str, int | None], ...] = ()
    guards: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a token."""
        uid, resource_version, replicas, fields, guards = json.loads(token)
        return cls(uid, resource_version, replicas, tuple(map(tuple, fields)), tuple(map(tuple, guards)))

    def token(self) -> str:
        """The same as text."""
        return json.dumps([self.uid, self.resource_version, self.replicas, self.fields, self.guards])

    def same_count(self, other: Version) -> bool:
        """Whether both are the same object with the same count in the same place."""
        return (self.uid, self.replicas, self.fields, self.guards) == (
            other.uid,
            other.replicas,
            other.fields,
            other.guards,
        )


@dataclass(frozen=True, slots=True)
class Count:
    """A count as read.

    Attributes:
        current: Replicas asked for.
        selector: Label selector of the pods behind it; empty where the object does not say.
    """

    current: int
    version: Version
    selector: str = ""


class CountHolder(Protocol):
    """How one kind of object holds a count."""

    subresource: str

    def read(self, ref: ObjectRef, document: JsonObject) -> Count:
        """Take the count from an object.

        Raises:
            KubeError: A further request failed.
            MissingFieldError: The object has no place for the count.
            UnreadableError: The count is nobody's.
        """
        ...

    def change(self, version: Version, replicas: int) -> Change:
        """The patch that sets the count if the object is still the one that was read."""
        ...


class ScaleCount:
    """A count behind the scale subresource.

    A write changes that count and nothing else. It holds only while the count is still the one that was read, on the
    object that was read: a JSON patch that tests both. That says what is meant, where the object's resourceVersion
    would also change, and refuse the write, with each status update of a pool in motion. A count of 0 cannot be tested,
    for a Scale leaves it out, and no more can an unset one; there the resourceVersion is the condition, on an object
    that is at rest.
    """

    subresource = "scale"

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    def read(self, ref: ObjectRef, document: JsonObject) -> Count:
        """See `CountHolder.read`; an unset count is the one in the status."""
        scale = self._scale(ref)
        if scale is not None:
            replicas = scale.get("spec", {}).get("replicas", 0)
            return Count(replicas, _version(scale, replicas), scale.get("status", {}).get("selector", ""))
        current = lookup(document, "status.replicas")
        if current is None:
            raise UnreadableError(f"{ref} leaves its replica count unset and its status tells none: set the count once")
        return Count(current, _version(document, None))

    def change(self, version: Version, replicas: int) -> Change:
        """See `CountHolder.change`."""
        if not version.replicas:
            return {"metadata": {"resourceVersion": version.resource_version}, "spec": {"replicas": replicas}}
        return guarded_patch(version.uid, [("/spec/replicas", version.replicas)], (), replicas)

    def _scale(self, ref: ObjectRef) -> JsonObject | None:
        """The Scale; None where a custom resource leaves its count unset, which the server answers with a 500."""
        try:
            return self._client.get(ref, "scale")
        except UnavailableError as error:
            if "replicas field" in error.said and "does not exist" in error.said:
                return None
            raise


class FieldCount:
    """A count in fields of the object itself.

    Args:
        paths: The fields, the first to be read and all to be written.
        absent: What an absent field stands for; None where it is nobody's.
        absent_reason: What to do about an absent field.
    """

    subresource = ""

    def __init__(self, paths: tuple[Path, ...], absent: int | None, absent_reason: str) -> None:
        self._paths = paths
        self._absent = absent
        self._absent_reason = absent_reason

    def read(self, ref: ObjectRef, document: JsonObject) -> Count:
        """See `CountHolder.read`."""
        places = [path.locate(document) for path in self._paths]
        values = {place.value for place in places if place.value is not None}
        if len(values) > 1:
            named = " and ".join(f"{path} {place.value}" for path, place in zip(self._paths, places, strict=True))
            raise UnreadableError(f"{ref}: {named} differ, so its count is between them: set both to the same once")
        replicas = values.pop() if values else None
        current = self._absent if replicas is None else replicas
        if current is None:
            raise UnreadableError(f"{ref} leaves {self._paths[0]} unset: {self._absent_reason}")
        if not isinstance(current, int) or isinstance(current, bool):
            raise UnreadableError(f"{ref}: {self._paths[0]} is {current!r}, which is no count")
        fields = tuple((place.pointer, place.value) for place in places)
        guards = tuple(guard for place in places for guard in place.guards)
        return Count(current, _version(document, replicas, fields, guards))

    def change(self, version: Version, replicas: int) -> Change:
        """See `CountHolder.change`: a merge patch under the condition of the object's resourceVersion."""
        body: JsonObject = {"metadata": {"resourceVersion": version.resource_version}}
        for path in self._paths:
            _merge(body, path.nest(replicas))
        return body


class EntryCount(FieldCount):
    """A count in an entry of a list, where a merge patch would replace the list.

    The place in a list is its index, which the patch makes sure of by testing the entry's name, with the old count.
    """

    def change(self, version: Version, replicas: int) -> Change:
        """See `CountHolder.change`: a JSON patch."""
        return guarded_patch(version.uid, version.fields, version.guards, replicas)


def count_holder(client: KubeClient, aim: Aim) -> CountHolder:
    """How the object of an aim holds its count."""
    if aim.shape is Shape.SCALE:
        return ScaleCount(client)
    by_shape = {Shape.MERGE: FieldCount, Shape.ENTRY: EntryCount}
    return by_shape[aim.shape](aim.count, aim.absent, aim.absent_reason)


def _version(
    document: JsonObject,
    replicas: int | None,
    fields: tuple[tuple[str, int | None], ...] = (),
    guards: tuple[tuple[str, str], ...] = (),
) -> Version:
    metadata = document["metadata"]
    return Version(metadata["uid"], metadata["resourceVersion"], replicas, fields, guards)


def _merge(body: JsonObject, more: JsonObject) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(body.get(key), dict):
            _merge(body[key], value)
        else:
            body[key] = value
