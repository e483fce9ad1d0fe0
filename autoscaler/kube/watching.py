"""A collection as it is now: listed once, then watched, and listed anew where the watch has lost its place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from threading import Event, Thread
from typing import Protocol

from autoscaler.targets.kubernetes.errors import KubeError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

_FORGOTTEN = 410
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_SHORT_S = 1.0
_PATIENCE_S = 0.5


class WatchApi(Protocol):
    """What a watch asks of the API server."""

    def list_all(self, ref: ObjectRef, *, label_selector: str = "") -> tuple[list[JsonObject], str]:
        """The objects of a collection, and the resource version that a watch goes on from."""
        ...

    def watch(self, ref: ObjectRef, *, since: str, timeout_s: float) -> Iterator[JsonObject]:
        """What happens in a collection, until the server ends it."""
        ...


class Watching:
    """Keeps a copy of a collection on a thread of its own.

    While the server is out of reach the copy stays as it was: objects do not vanish because nobody can see them.

    Args:
        api: The server.
        ref: The collection.
        watch_s: After how long the server is to end a watch, which proves that it was still there.
        random: Where the jitter of pauses comes from.
        clock: Monotonic seconds.
        pause: Waits for so many seconds, or until closed; None for real ones.

    Attributes:
        trouble: Why the copy may be behind; empty where it is not.
    """

    def __init__(
        self,
        api: WatchApi,
        ref: ObjectRef,
        *,
        watch_s: float = 60.0,
        random: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.trouble = ""
        self._api = api
        self._ref = ref
        self._watch_s = watch_s
        self._random = random or Random()  # noqa: S311 (jitter is no secret)
        self._clock = clock
        self._objects: dict[str, JsonObject] | None = None
        self._stop = Event()
        self._pause = pause or self._stop.wait
        self._pause_s = _FIRST_PAUSE_S
        self._thread = Thread(target=self.run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def objects(self) -> Mapping[str, JsonObject] | None:
        """The objects by namespace/name; None before they could be listed."""
        objects = self._objects
        return dict(objects) if objects is not None else None

    def close(self) -> None:
        """Watch no more; a request under way, which may wait for news, ends by itself."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE_S)

    def run(self) -> None:
        """Follow until closed: anew after whatever ends it, and after a pause where it failed or ended early."""
        while not self._stop.is_set():
            began_s = self._clock()
            try:
                self.follow()
            except KubeError as error:
                self.trouble = str(error)
            except Exception as error:  # noqa: BLE001 - the thread must outlive what nobody expects of a server
                self.trouble = f"{self._ref.plural} cannot be followed: {type(error).__name__}: {error}"
            else:
                if self._clock() - began_s >= _SHORT_S:
                    continue
            self._rest(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def follow(self) -> None:
        """List, then watch until the server forgets our place or is out of reach, or until closed.

        Raises:
            KubeError: It is out of reach.
        """
        found, version = self._api.list_all(self._ref)
        self._objects = {_key(document): document for document in found}
        self.trouble = ""
        while not self._stop.is_set():
            began_s = self._clock()
            try:
                version = self._watch(version)
            except KubeError as error:
                if error.code == _FORGOTTEN:
                    return
                raise
            self._pause_s = _FIRST_PAUSE_S
            if self._clock() - began_s < _SHORT_S:  # a proxy in between may end each watch at once
                self._rest(_FIRST_PAUSE_S)

    def _watch(self, version: str) -> str:
        for event in self._api.watch(self._ref, since=version, timeout_s=self._watch_s):
            if self._stop.is_set():
                break
            document = event["object"]
            version = document["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                self._objects = {key: item for key, item in (self._objects or {}).items() if key != _key(document)}
            elif event["type"] in ("ADDED", "MODIFIED"):
                self._objects = {**(self._objects or {}), _key(document): document}
        return version

    def _rest(self, about_s: float) -> None:
        self._pause(about_s * self._random.uniform(0.8, 1.2))


def _key(document: JsonObject) -> str:
    metadata = document["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
