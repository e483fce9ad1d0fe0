"""Our objects on the fake's store, without HTTP, and a clock that requests and tests move."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from autoscaler.daemon.election import Election
from autoscaler.daemon.elector import Terms
from autoscaler.daemon.side_by_side import MOST
from autoscaler.kube.lease import lease_ref
from autoscaler.targets.kubernetes.errors import Operation, UnavailableError, error_of
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from tests.daemon.builders import START_S, capturing
from tests.support.kube_api.errors import ApiError
from tests.support.kube_api.patch import merge_patch
from tests.support.kube_api.resources import Address
from tests.support.kube_api.store import Store

T = TypeVar("T")
NAMESPACE = "autoscaling"


@dataclass
class World:
    """One API server and one true time, of which daemons only see their own clocks."""

    at_s: float = START_S
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(lambda: self.at_s)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self.store.create(self.address("v1", "namespaces", ""), namespace, manager="test")

    def address(self, api_version: str, plural: str, namespace: str = NAMESPACE, name: str = "") -> Address:
        group, _, version = api_version.rpartition("/")
        resource = self.store.registry.find(group, version, plural)
        assert resource is not None
        return Address(resource, version, namespace, name)

    def leases(self) -> dict[str, JsonObject]:
        """All leases by name."""
        found = self.store.select(self.address("coordination.k8s.io/v1", "leases"))
        return {lease["metadata"]["name"]: lease for lease in found}

    def delete(self, name: str) -> None:
        """As somebody with kubectl might."""
        self.store.delete(self.address("coordination.k8s.io/v1", "leases", name=name), {})


def _nothing() -> None:
    return


@dataclass
class StoreApi:
    """What we ask of the API server for ourselves; `before` and `after` may let time pass or raise.

    Attributes:
        requests: The verb of each request.
        found: What a list finds, instead of what the store has: the server keeps nothing senseless.
    """

    world: World
    before: Callable[[], None] = _nothing
    after: Callable[[], None] = _nothing
    requests: list[str] = field(default_factory=list)
    found: list[JsonObject] | None = None

    def get(self, ref: ObjectRef) -> JsonObject:
        return self._ask(Operation("get", ref), lambda: self.world.store.get(self._address(ref)))

    def list_all(self, ref: ObjectRef, *, label_selector: str = "") -> tuple[list[JsonObject], str]:
        def select() -> list[JsonObject]:
            return self.world.store.select(self._address(ref), label_selector) if self.found is None else self.found

        return self._ask(Operation("list", ref), select), str(self.world.store.version)

    def create(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        address = self._address(ObjectRef(ref.api_version, ref.kind, ref.plural, ref.namespace))
        return self._ask(
            Operation("create", ref), lambda: self.world.store.create(address, document, manager="pd-autoscaler")
        )

    def replace(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        return self._ask(
            Operation("update", ref),
            lambda: self.world.store.update(self._address(ref), lambda _: document, manager="pd-autoscaler"),
        )

    def merge(self, ref: ObjectRef, change: JsonObject, *, subresource: str = "") -> JsonObject:
        address = replace(self._address(ref), subresource=subresource)
        return self._ask(
            Operation("patch", ref, subresource),
            lambda: self.world.store.update(address, lambda old: merge_patch(old, change), manager="pd-autoscaler"),
        )

    def fail(self) -> None:
        """What `before` or `after` may do."""
        raise UnavailableError(Operation("get", lease_ref(NAMESPACE)), None, "no answer within 3 s")

    def _ask(self, operation: Operation, carry_out: Callable[[], T]) -> T:
        self.requests.append(operation.verb)
        self.before()
        try:
            done = carry_out()
        except ApiError as error:
            raise error_of(operation, error.code, json.dumps(error.status), None) from error
        self.after()
        return done

    def _address(self, ref: ObjectRef) -> Address:
        return self.world.address(ref.api_version, ref.plural, ref.namespace, ref.name)


class Daemon:
    """One of several daemons: its election, and the lines it said."""

    def __init__(
        self,
        world: World,
        name: str,
        *services: str,
        offset_s: float = 0.0,
        rate: float = 1.0,
        terms: Terms | None = None,
        most: int = MOST,
    ) -> None:
        self.world = world
        self.name = name
        self.api = StoreApi(world)
        self.log, self.lines = capturing()
        self._offset_s = offset_s
        self._rate = rate
        jitter = Random(name)  # noqa: S311 (jitter is no secret)
        self.election = Election(self.api, NAMESPACE, "pd", name, self, self.log, terms=terms, random=jitter, most=most)
        self.election.stand_for(services)

    def now_s(self) -> float:
        return self._offset_s + self.world.at_s * self._rate

    def turn(self) -> None:
        self.election.turn()

    def leads(self, service: str = "chat") -> bool:
        return self.election.may_write(service)

    def term(self, service: str = "chat") -> int:
        return self.election.term(service)

    def events(self) -> list[object]:
        return [line["event"] for line in self.lines]
