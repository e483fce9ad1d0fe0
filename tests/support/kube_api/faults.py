"""Trouble on demand, and the log of every request."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    Attributes:
        verb: As RBAC knows it.
        group: API group; empty for the core group.
        resource: Plural with the subresource: `deployments/scale`.
        body: As sent.
        code: HTTP code of the answer; 0 while it is being worked on.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    query: dict[str, str]
    content_type: str
    body: str
    user: str
    code: int = 0

    @property
    def writes(self) -> bool:
        """Whether the verb changes objects."""
        return self.verb in {"create", "update", "patch", "delete"}


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` requests that match.

    Attributes:
        verb: Only this verb; empty for any.
        resource: Only this resource, with subresource; empty for any.
        code: Answer with this code and do nothing; 0 carries the request out.
        retry_after_s: Header on the answer.
        held_s: Wait before carrying it out, as admission may; one whose own `timeout` runs out meanwhile is not.
        delay_s: Wait before answering; the request has been carried out by then.
        cut: Close the connection in mid-answer; the request has been carried out by then.
    """

    times: int = 1
    verb: str = ""
    resource: str = ""
    code: int = 0
    message: str = "injected failure"
    retry_after_s: int | None = None
    held_s: float = 0.0
    delay_s: float = 0.0
    cut: bool = False

    def concerns(self, verb: str, resource: str) -> bool:
        """Whether this request is meant."""
        return self.times > 0 and self.verb in {"", verb} and self.resource in {"", resource}


@dataclass(slots=True)
class Faults:
    """The faults that are still to happen, first in first out."""

    _pending: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        """Let it happen."""
        with self._lock:
            self._pending.append(fault)

    def take(self, verb: str, resource: str) -> Fault:
        """The first fault for this request; one without effect where there is none."""
        with self._lock:
            for fault in self._pending:
                if fault.concerns(verb, resource):
                    fault.times -= 1
                    return fault
            return Fault()


@dataclass(slots=True)
class RequestLog:
    """Every request, in order of arrival."""

    _requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: Request) -> None:
        """Remember it."""
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        """Forget what came so far."""
        with self._lock:
            self._requests.clear()

    def all(self, verb: str = "", resource: str = "") -> list[Request]:
        """The requests of a verb and a resource; empty means any."""
        with self._lock:
            return [r for r in self._requests if verb in {"", r.verb} and resource in {"", r.resource}]

    def count(self, verb: str = "", resource: str = "") -> int:
        """How many of them there were."""
        return len(self.all(verb, resource))

    def writes(self) -> list[Request]:
        """The requests that would change an object, dry runs included."""
        return [request for request in self.all() if request.writes]
