"""What a search for competitors reads. What cannot be read now is taken to be as it was when it was read last.

An outage is no proof that a competitor has gone: whoever was found stays found until it can be looked at again. What
could never be read stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from autoscaler.targets.kubernetes.errors import KubeError, NotFoundError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from autoscaler.targets.kubernetes.served import Getter

Memory = dict[tuple[str, str, str, str], tuple[str, Any]]
"""What was read last, with the version it was read under, by group, kind, namespace and name."""


class Reader(Getter, Protocol):
    """Reads objects one by one and in lists."""

    def list_items(self, ref: ObjectRef, *, label_selector: str) -> list[JsonObject]:
        """The objects of a collection that a label selector matches; raises a KubeError."""
        ...


class LastSeen:
    """Reads objects for one search. Implements `Reader`.

    Args:
        reader: Connection to the cluster.
        memory: What the last search has read; kept for the next one.

    Attributes:
        unread: What could not be read now though it was before, and why.
    """

    def __init__(self, reader: Reader, memory: Memory) -> None:
        self._reader = reader
        self._memory = memory
        self.unread: list[str] = []

    def get(self, ref: ObjectRef, subresource: str = "") -> JsonObject:
        """One object, as it is or was.

        Raises:
            KubeError: It is not there, or it cannot be read and never was.
        """
        found: JsonObject = self._read(ref, lambda: self._reader.get(ref, subresource))
        return found

    def list_items(self, ref: ObjectRef, *, label_selector: str) -> list[JsonObject]:
        """The objects of a collection, as they are; or of those that mattered, as they were.

        Raises:
            KubeError: Their kind is not there, or they cannot be read and never were.
        """
        found: list[JsonObject] = self._read(ref, lambda: self._reader.list_items(ref, label_selector=label_selector))
        return found

    def keep_only(self, mattered: Collection[tuple[str, str]]) -> None:
        """Remember no objects but these, by kind and name: a namespace may hold many others."""
        for key, (version, found) in list(self._memory.items()):
            _, kind, _, name = key
            if isinstance(found, list):
                self._memory[key] = version, [one for one in found if (kind, one["metadata"]["name"]) in mattered]
            elif (kind, name) not in mattered:
                del self._memory[key]

    def _read(self, ref: ObjectRef, read: Callable[[], Any]) -> Any:
        key = ref.group, ref.kind, ref.namespace, ref.name
        version, before = self._memory.get(key, ("", None))
        try:
            found = read()
        except NotFoundError:
            if version == ref.api_version:
                del self._memory[key]
            raise
        except KubeError as error:
            if not version:
                raise
            self.unread.append(f"{ref} cannot be looked at, and counts as it was last seen: {error}")
            return before
        self._memory[key] = ref.api_version, found
        return found
