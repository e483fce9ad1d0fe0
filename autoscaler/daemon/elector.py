"""One Lease: who may write for a service, decided so that two never do.

Two clocks are never compared. Whoever holds the lease measures on its own clock how long ago its last renewal *began*,
and stops writing before that can have run out. Whoever waits measures on its own clock for how long it has *seen* the
lease unchanged, and takes it once that is longer than the lease lasts. Between the two lies the time in which a write
that has begun may still arrive.

A pause of the process between the check and the write cannot be caught from inside; there the write itself helps,
which holds only for the replica count that it was decided on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from autoscaler.kube.lease import Lease
from autoscaler.targets.kubernetes.errors import ConflictError, KubeError, NotFoundError, UnavailableError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef


class LeaseApi(Protocol):
    """What an elector asks of the API server."""

    def create(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        """Create an object; a ConflictError says that the name is taken."""
        ...

    def replace(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        """Replace an object if it is still at the resource version of the document."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things last.

    Attributes:
        lease_s: How long a lease lasts after a renewal.
        renew_s: How often it is renewed.
        write_s: How long a write may take from its check to its arrival; none begins closer to the lease's end.
        close_s: How long handing all leases back may take at the end.
    """

    lease_s: float = 15.0
    renew_s: float = 4.0
    write_s: float = 5.0
    close_s: float = 3.0

    @property
    def fence_s(self) -> float:
        """How long after the beginning of the last renewal writes may begin."""
        return self.lease_s - self.write_s


@dataclass(frozen=True, slots=True)
class _Sight:
    """The lease as last seen.

    Attributes:
        document: None when there was none.
        lease: What it said.
        since_s: Since when its holder has been seen to do nothing.
    """

    document: JsonObject | None
    lease: Lease
    since_s: float


class Elector:
    """Takes, keeps and gives up one lease. `may_write` may be asked from any thread, the rest by one at a time.

    What writes the lease says whether the API server was there: False where it is unavailable, True also where nothing
    was due.

    Args:
        api: Where leases are written.
        ref: The Lease.
        identity: Who we are; no other process has the same, not even our successor in the same pod.
        monotonic: A clock in seconds that only moves forward, also while the machine sleeps.
        wall: Unix time in seconds, for people who look at the lease.
        terms: How long things last.

    Attributes:
        trouble: Why the lease could not be written; empty where it could.
        taken: How often it has become ours. Between two numbers somebody else may have written.
        tried_s: When the latest write of the lease began, on the monotonic clock; minus infinity for never.
    """

    def __init__(
        self,
        api: LeaseApi,
        ref: ObjectRef,
        identity: str,
        *,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        terms: Terms,
    ) -> None:
        self.ref = ref
        self.trouble = ""
        self.taken = 0
        self.tried_s = float("-inf")
        self._api = api
        self._identity = identity
        self._monotonic = monotonic
        self._wall = wall
        self._terms = terms
        self._seen: _Sight | None = None
        self._renewed_s: float | None = None
        self._quiet_until_s = float("-inf")
        self._yield: tuple[float, str] | None = None

    def may_write(self) -> bool:
        """Whether a write may begin now. To be asked right before each one: the answer does not keep."""
        renewed_s = self._renewed_s
        if renewed_s is None or self._yield is not None or self._is_quiet():
            return False
        return self._monotonic() - renewed_s < self._terms.fence_s

    @property
    def holder(self) -> str:
        """Who held the lease when it was last looked at; empty for nobody, or for somebody whose time has run out."""
        seen = self._seen
        return "" if seen is None or self._has_expired(seen) else seen.lease.holder

    @property
    def wanted_by(self) -> str:
        """Who asks for the lease, or whom it is kept for while it is free; empty for nobody."""
        return self._seen.lease.wanted_by if self._seen is not None else ""

    @property
    def owner(self) -> str:
        """Who has the lease, or will have it once it has changed hands."""
        return self._yield[1] if self._yield is not None else self.holder or self.wanted_by

    def observe(self, document: JsonObject | None) -> None:
        """Take note of the lease as the server has it now; None when it has none."""
        seen = self._seen
        unchanged = seen is not None and _version(seen.document) == _version(document)
        self._note(document, seen.since_s if seen is not None and unchanged else self._monotonic())

    def step(self) -> bool:
        """Do what is due: renew, take, give up, or nothing. Never raises for a sick API server; see `trouble`."""
        seen = self._seen
        if seen is None:
            return True
        if seen.lease.holder == self._identity:
            return self._keep(seen)
        if seen.document is None or self._is_for_us(seen):
            return self._attempt(seen, seen.lease.taken(self._identity, self._terms.lease_s, self._wall()))
        return True

    def ask(self) -> bool:
        """Ask whoever holds the lease to hand it over."""
        seen = self._seen
        if seen is None or seen.document is None or seen.lease.wanted_by:
            return True
        return self._attempt(seen, replace(seen.lease, wanted_by=self._identity))

    def give_up(self, kept_for: str = "") -> None:
        """Begin no more writes; the lease is free once those that have begun must have arrived."""
        if self._yield is None:
            self._yield = (self._monotonic(), kept_for)

    def release(self) -> bool:
        """Free the lease at once; for whoever knows that no write is under way.

        One that we made too recently to write on it ourselves is not for others yet either, and runs out instead.
        """
        self._renewed_s = None
        seen = self._seen
        if seen is None or seen.document is None or seen.lease.holder != self._identity or self._is_quiet():
            return True
        return self._attempt(seen, seen.lease.freed(self._wall()))

    def _keep(self, seen: _Sight) -> bool:
        now_s = self._monotonic()
        if self._yield is not None:
            since_s, kept_for = self._yield
            if now_s - since_s >= self._terms.write_s and not self._is_quiet():
                self._renewed_s = None
                return self._attempt(seen, seen.lease.freed(self._wall(), kept_for=kept_for))
        elif self._renewed_s is None or now_s - self._renewed_s >= self._terms.renew_s:
            return self._attempt(seen, seen.lease.kept(self._terms.lease_s, self._wall()))
        return True

    def _is_quiet(self) -> bool:
        """Whether whoever held a lease that is gone may still write."""
        return self._monotonic() < self._quiet_until_s

    def _is_for_us(self, seen: _Sight) -> bool:
        lease, expired = seen.lease, self._has_expired(seen)
        if lease.holder:
            return expired
        return expired or lease.wanted_by in ("", self._identity)

    def _has_expired(self, seen: _Sight) -> bool:
        return self._monotonic() - seen.since_s > seen.lease.duration_s

    def _attempt(self, seen: _Sight, wanted: Lease) -> bool:
        """Write the lease. If that fails, what we know of it is what we knew before: nothing is assumed."""
        began_s = self.tried_s = self._monotonic()
        try:
            if seen.document is None:
                # That there is no lease does not say that nobody writes: somebody may have deleted one in use.
                self._quiet_until_s = began_s + self._terms.lease_s
                document = self._api.create(self.ref, wanted.written_to(self._blank()))
            else:
                document = self._api.replace(self.ref, wanted.written_to(seen.document))
        except (ConflictError, NotFoundError):
            self.trouble = ""  # somebody was quicker: the next look shows who
        except KubeError as error:
            self.trouble = str(error)
            return not isinstance(error, UnavailableError)
        else:
            self.trouble = ""
            only_asked = wanted.renewed == seen.lease.renewed
            self._note(document, seen.since_s if only_asked else self._monotonic())
            if wanted.holder == self._identity:
                self.taken += self._renewed_s is None
                self._renewed_s = began_s
        return True

    def _note(self, document: JsonObject | None, since_s: float) -> None:
        lease = Lease.of(document, self._terms.lease_s) if document is not None else Lease("", self._terms.lease_s)
        if lease.holder != self._identity:
            self._renewed_s = self._yield = None
        self._seen = _Sight(document, lease, since_s)

    def _blank(self) -> JsonObject:
        metadata = {"name": self.ref.name, "namespace": self.ref.namespace}
        return {"apiVersion": self.ref.api_version, "kind": self.ref.kind, "metadata": metadata}


def _version(document: JsonObject | None) -> str | None:
    """Changes with every write, whatever the clocks of those who write say."""
    return None if document is None else document["metadata"].get("resourceVersion")
