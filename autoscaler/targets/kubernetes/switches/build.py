"""From a switch spec to the switch of a service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoscaler.core.policy import Role
from autoscaler.targets.base import Target
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.specs.model import ObjectModel
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.kubernetes.switches.config_map import ConfigFile, ConfigMapSwitch
from autoscaler.targets.kubernetes.switches.dials import Dial, NameDial, TokenDial
from autoscaler.targets.kubernetes.switches.field import FieldSwitch
from autoscaler.targets.kubernetes.switches.model import NamesModel, SwitchShape, SwitchSpec
from autoscaler.targets.switch import InstructedSwitch, NoSwitch, Position, PrefillZeroSwitch, Switch

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second

_POSITIONS = {"enable": Position.ON, "disable": Position.OFF}


@dataclass(frozen=True, slots=True)
class SwitchPlace:
    """Where a service's switch is, in the words of a switch spec.

    Attributes:
        namespace: Namespace of the object or ConfigMap, and of the router.
        name: Name of the object or ConfigMap.
        key: Key of the ConfigMap's data that holds the text.
        entry: What a list in it calls the service: the model, for most.
        router: Name of the Deployment that reads the text.
        allow_router_restart: Whether the router may be restarted.
        on: Name that means on, where that is the user's to give.
        off: Name that means off, likewise.
        on_tokens: Threshold that on means; None for the spec's.
    """

    namespace: str
    name: str
    key: str = ""
    entry: str = ""
    router: str = ""
    allow_router_restart: bool = False
    on: str = ""
    off: str = ""
    on_tokens: float | None = None

    def values(self) -> dict[str, str]:
        """What the placeholders stand for; a switch is about the service and not about a role."""
        names = {"namespace": self.namespace, "name": self.name, "role": Role.PREFILL.value}
        return {**names, "entry": self.entry, "entry_lower": self.entry.lower()}


def make_switch(client: KubeClient | None, spec: SwitchSpec, place: SwitchPlace, target: Target) -> Switch:
    """Make the switch of a service.

    Args:
        client: Connection to the cluster; None does for a switch that has no object of its own.
        spec: What the switch is.
        place: Where it is.
        target: The service's replica counts, for a switch that is the prefill count.

    Raises:
        SpecError: The place lacks what the spec needs.
    """
    if spec.shape is SwitchShape.PREFILL_ZERO:
        return PrefillZeroSwitch(target)
    if spec.instructions:
        words = {_POSITIONS[name]: text.fill(place.values()) for name, text in spec.instructions.items()}
        return InstructedSwitch(words)
    if spec.path is None:
        return NoSwitch(spec.reason)
    if client is None:
        return NoSwitch(f"switch {spec.name} is in the cluster, and none is configured")
    path, dial = _path(spec, spec.path, place), _dial(spec, place)
    if spec.object is not None:
        return FieldSwitch(client, _refs(spec.object, place), path, dial, spec.absent)
    return ConfigMapSwitch(client, _file(spec, path, place), dial)


def check_place(spec: SwitchSpec, place: SwitchPlace) -> None:
    """Make sure that a place has all that a switch needs.

    Raises:
        SpecError: It lacks something.
    """
    if spec.path is None:
        return
    path = _path(spec, spec.path, place)
    _dial(spec, place)
    if spec.object is None:
        _file(spec, path, place)


def switch_objects(spec: SwitchSpec, place: SwitchPlace) -> tuple[ObjectRef, ...]:
    """The objects that a switch reads, and writes where it moves; none for one without an object of its own."""
    if spec.path is None:
        return ()
    if spec.object is not None:
        return _refs(spec.object, place)[:1]
    file = _file(spec, _path(spec, spec.path, place), place)
    return (file.config_map,) if file.router is None else (file.config_map, file.router)


def switch_field(spec: SwitchSpec, place: SwitchPlace) -> Path | None:
    """The field of the first of a switch's objects that a move changes; None for one without an object of its own."""
    if spec.path is None:
        return None
    path = _path(spec, spec.path, place)
    return path if spec.object is not None else _file(spec, path, place).text_path


def _refs(model: ObjectModel, place: SwitchPlace) -> tuple[ObjectRef, ...]:
    name = model.name[Role.PREFILL].fill(place.values())
    return ObjectRef.versions(model.group, model.versions, model.kind, model.plural, place.namespace, name)


def _path(spec: SwitchSpec, path: Path, place: SwitchPlace) -> Path:
    if "entry" in path.placeholders:
        _require(spec, "entry", place.entry, "the name that the list knows the service by, its model for most")
    return path.fill(place.values())


def _file(spec: SwitchSpec, path: Path, place: SwitchPlace) -> ConfigFile:
    _require(spec, "key", place.key, "the key of the ConfigMap's data that holds the text")
    router = None
    if spec.restart:
        _require(spec, "router", place.router, "the Deployment that reads the text at its start")
        router = ObjectRef.deployment(place.namespace, place.router)
    config_map = ObjectRef("v1", "ConfigMap", "configmaps", place.namespace, place.name)
    return ConfigFile(config_map, place.key, path, spec.used_by, router, place.allow_router_restart)


def _dial(spec: SwitchSpec, place: SwitchPlace) -> Dial:
    if spec.tokens is not None:
        on_tokens = spec.tokens.usual if place.on_tokens is None else place.on_tokens
        return TokenDial(spec.tokens.always, spec.tokens.never, on_tokens)
    names = spec.names or NamesModel()
    on, off = names.enabled or (place.on,), names.disabled or (place.off,)
    _require(spec, "on", on[0], "the name that means on")
    _require(spec, "off", off[0], "the name that means off")
    return NameDial(on, off, names.enable_refused)


def _require(spec: SwitchSpec, what: str, given: str, meaning: str) -> None:
    if not given:
        raise SpecError(f"switch {spec.name} needs {what}: {meaning}")
