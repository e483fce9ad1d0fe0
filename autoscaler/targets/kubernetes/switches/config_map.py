"""A switch that is a value in a router's configuration file, kept in a ConfigMap."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.kubernetes.errors import KubeError, UnavailableError
from autoscaler.targets.kubernetes.managers import last_writer
from autoscaler.targets.kubernetes.object_role import OUTCOMES
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, lookup
from autoscaler.targets.kubernetes.rollout import lags
from autoscaler.targets.kubernetes.switches.dials import Dial, RefusedError, written_as
from autoscaler.targets.kubernetes.switches.yaml_edit import EditError, names_of_entry, replace_value, value_at
from autoscaler.targets.switch import Position, Setting, SwitchReading

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second

PREVIOUS = "pd-autoscaler.io/previous-text"
"""Annotation of the ConfigMap: the text before the last change, for a person to go back to."""
HASH = "pd-autoscaler.io/config-hash"
"""Annotation of the ConfigMap and of the router's pods: the text that was written, and the one they started with."""
_LONGEST_TEXT = 200_000  # annotations of an object may hold 256 KiB together


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """Where the value is, and whom it concerns.

    Attributes:
        config_map: The ConfigMap.
        key: Key of its data that holds the text, YAML or JSON.
        path: The value in the text.
        used_by: A value that must name the list entry which `path` goes through, or its type, for it to have effect.
        router: The Deployment that reads the text at its start alone; None where it looks again by itself.
        allow_router_restart: Whether the user accepts that the router restarts, with the gap that this may mean.
    """

    config_map: ObjectRef
    key: str
    path: Path
    used_by: Path | None = None
    router: ObjectRef | None = None
    allow_router_restart: bool = False

    @property
    def text_path(self) -> Path:
        """Where the ConfigMap holds the text."""
        return Path.parse(f'data["{self.key}"]')


@dataclass(frozen=True, slots=True)
class _Found:
    """The ConfigMap, its text, and the router as they are."""

    config_map: JsonObject
    text: str
    router: JsonObject | None

    @property
    def restart_is_due(self) -> bool:
        """Whether a text of ours has not reached the router's pods."""
        written = self.config_map["metadata"].get("annotations", {}).get(HASH)
        if self.router is None or written != _hash_of(self.text):
            return False
        started_with = (lookup(self.router, "spec.template.metadata.annotations") or {}).get(HASH)
        return bool(started_with != written)


class _UnusableError(Exception):
    """The configuration cannot be read or changed; says why."""


class ConfigMapSwitch:
    """Reads and sets one value of a configuration text. Implements `targets.switch.Switch`.

    The value must be there exactly once; every other character of the text stays, and the text before the last change
    is kept in an annotation. A router that reads the text only at its start is restarted by an annotation of its pods,
    after the text has been written; if that fails, the next call finishes it.

    Args:
        client: Connection to the cluster.
        file: Where the value is.
        dial: What its values mean.
    """

    def __init__(self, client: KubeClient, file: ConfigFile, dial: Dial) -> None:
        self._client = client
        self._file = file
        self._dial = dial

    def read(self) -> SwitchReading:
        """See `Switch.read`."""
        try:
            found = self._find()
            value = self._value_in(found.text)
        except (KubeError, _UnusableError) as error:
            return SwitchReading(Position.UNKNOWN, None, str(error))
        position, threshold_tokens = self._dial.meaning(value)
        reading = SwitchReading(
            position,
            threshold_tokens,
            f"{self._file.config_map}: {self._file.path} in {self._file.key} is {value}",
            written=written_as(position, threshold_tokens),
            writer=last_writer(found.config_map, self._file.text_path),
        )
        on_its_way = self._on_its_way(found)
        if not on_its_way:
            return reading
        detail = f"{reading.detail}; {self._file.router} {on_its_way}"
        return replace(reading, position=Position.UNKNOWN, threshold_tokens=None, detail=detail)

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        """See `Switch.set`."""
        try:
            wanted = self._dial.value(setting)
            found = self._find()
            before = self._value_in(found.text)
            text = replace_value(found.text, self._file.path, wanted)
        except RefusedError as error:
            return WriteResult(Outcome.REFUSED, str(error))
        except KubeError as error:
            return WriteResult(OUTCOMES[type(error)], str(error))
        except (_UnusableError, EditError) as error:
            return WriteResult(Outcome.REFUSED, str(error))
        return self._write(found, text, f"{self._file.path} from {before} to {wanted}", dry_run=dry_run)

    def _on_its_way(self, found: _Found) -> str:
        """Why the router does not work by the text yet; empty where it does."""
        if found.restart_is_due:
            return "has not been restarted yet"
        return "is restarting" if found.router is not None and _is_restarting(found.router) else ""

    def _find(self) -> _Found:
        file = self._file
        config_map = self._client.get(file.config_map)
        data = config_map.get("data", {})
        if file.key not in data:
            there = ", ".join(sorted(data)) or "none"
            raise _UnusableError(f"{file.config_map} has no key {file.key}: there are {there}")
        return _Found(config_map, data[file.key], self._client.get(file.router) if file.router else None)

    def _value_in(self, text: str) -> object:
        file = self._file
        try:
            value = value_at(text, file.path)
            user = value_at(text, file.used_by) if file.used_by is not None else None
            names = names_of_entry(text, file.path) if file.used_by is not None else frozenset()
        except EditError as error:
            raise _UnusableError(f"{file.config_map}, {file.key}: {error}") from error
        if file.used_by is not None and user not in names:
            raise _UnusableError(
                f"{file.config_map}, {file.key}: {file.used_by} is {user}, so {file.path} has no effect: "
                f"let it name {' or '.join(sorted(names))}"
            )
        return value

    def _write(self, found: _Found, text: str, change: str, *, dry_run: bool) -> WriteResult:
        if text == found.text and not found.restart_is_due:
            return WriteResult(Outcome.APPLIED, f"{self._file.config_map}: {self._file.key} says so already")
        refusal = self._refusal(found, text)
        if refusal:
            return WriteResult(Outcome.REFUSED, refusal)
        try:
            if text != found.text:
                self._write_text(found, text, dry_run=dry_run)
            done = f"{self._file.config_map}, {self._file.key}: {change}"
            if self._file.router is not None and found.router is not None:
                self._restart(self._file.router, text, dry_run=dry_run)
                done += f"; {self._file.router} restarts{_gap(found.router)}"
        except UnavailableError as error:
            return WriteResult(Outcome.UNAVAILABLE, f"{error}; the next call finishes what is left")
        except KubeError as error:
            return WriteResult(OUTCOMES[type(error)], f"{error}; the next call finishes what is left")
        if dry_run:
            return WriteResult(Outcome.DRY_RUN, f"the server would take it: {done}")
        return WriteResult(Outcome.APPLIED, done)

    def _refusal(self, found: _Found, text: str) -> str:
        """Why nothing may be sent; empty where it may."""
        file = self._file
        if found.config_map.get("immutable") and text != found.text:
            return f"{file.config_map} is immutable: make a new one without that, and let the router mount it"
        if file.router is not None and not file.allow_router_restart:
            return (
                f"{file.router} reads {file.config_map} only at its start, so this needs a restart, with a gap in "
                "routing unless it has several replicas: set spec.switch.target.allowRouterRestart if that is "
                "acceptable"
            )
        if len(found.text.encode()) > _LONGEST_TEXT:
            return (
                f"{file.config_map}, {file.key} is too long to be kept for going back: more than {_LONGEST_TEXT} bytes"
            )
        return ""

    def _write_text(self, found: _Found, text: str, *, dry_run: bool) -> None:
        metadata = found.config_map["metadata"]
        annotations = {PREVIOUS: found.text, HASH: _hash_of(text)}
        change = {
            "metadata": {"resourceVersion": metadata["resourceVersion"], "annotations": annotations},
            "data": {self._file.key: text},
        }
        self._client.patch(self._file.config_map, change, dry_run=dry_run)

    def _restart(self, router: ObjectRef, text: str, *, dry_run: bool) -> None:
        template = {"metadata": {"annotations": {HASH: _hash_of(text)}}}
        self._client.patch(router, {"spec": {"template": template}}, dry_run=dry_run)


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_restarting(router: JsonObject) -> bool:
    """Whether pods of an older template are left, or new ones do not serve yet; follows `kubectl rollout status`."""
    wanted = lookup(router, "spec.replicas")
    status = router.get("status", {})
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return lags(router) or any(count != wanted for count in counts)


def _gap(router: JsonObject) -> str:
    alone = lookup(router, "spec.replicas") == 1
    return ", with a gap in routing" if alone or lookup(router, "spec.strategy.type") == "Recreate" else ""
