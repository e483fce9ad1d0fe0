"""Who of several daemons writes for which service: one lease a service, spread evenly over those who live.

Every daemon observes and decides for every service, so that it is warm when it takes over. Which of them writes is
settled service by service, so one that dies takes down only its share, until its leases have run out. A daemon that has
two leases fewer than another one asks for some; the other hands them over when it, too, sees the difference.

Leases are written side by side: a lease of any of many services must be renewed in time, however slow the API server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from threading import Event, Thread
from typing import Protocol

from autoscaler.daemon.clock import Clock
from autoscaler.daemon.elector import Elector, LeaseApi, Terms
from autoscaler.daemon.logs import Log
from autoscaler.daemon.side_by_side import MOST, side_by_side
from autoscaler.daemon.tick import Dependency, Trouble
from autoscaler.daemon.troubles import TroubleLog
from autoscaler.kube.lease import lease_ref
from autoscaler.kube.names import object_name
from autoscaler.targets.kubernetes.errors import KubeError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

_LOOK_S = 2.0
_JITTER_RATIO = 0.2
_WORTH_A_MOVE = 2


class ElectionApi(LeaseApi, Protocol):
    """What an election asks of the API server."""

    def list_all(self, ref: ObjectRef, *, label_selector: str = "") -> tuple[list[JsonObject], str]:
        """The objects of a collection, and its resource version."""
        ...


class Election:
    """Stands for the leases of services.

    Args:
        api: Where the leases are.
        namespace: Their namespace.
        prefix: What their names begin with; daemons with the same namespace and prefix share the work.
        identity: Who we are; no other process has the same, not even our successor in the same pod.
        clock: Where the time comes from.
        log: Where to say what changes.
        terms: How long things last.
        random: Where the jitter comes from.
        monotonic: A clock for intervals; None for `clock`, whose time never jumps either.
        most: How many leases are written at once.
    """

    def __init__(
        self,
        api: ElectionApi,
        namespace: str,
        prefix: str,
        identity: str,
        clock: Clock,
        log: Log,
        *,
        terms: Terms | None = None,
        random: Random | None = None,
        monotonic: Callable[[], float] | None = None,
        most: int = MOST,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._prefix = prefix
        self._identity = identity
        self._clock = clock
        self._log = log
        self._terms = terms or Terms()
        self._random = random or Random()  # noqa: S311 (jitter is no secret)
        self._monotonic = monotonic or clock.now_s
        self._most = most
        self._troubles = TroubleLog(log)
        self._electors: dict[str, Elector] = {}
        self._services: frozenset[str] = frozenset()
        self._leading: frozenset[str] = frozenset()
        self._blind = False
        self._stop = Event()
        self._thread = Thread(target=self._run, name="election", daemon=True)

    def stand_for(self, services: Iterable[str]) -> None:
        """From the next turn on, make the leases those of these services; ones no longer meant are given up."""
        self._services = frozenset(services)

    def may_write(self, service: str) -> bool:
        """Whether a write for a service may begin now. To be asked right before each one."""
        elector = self._electors.get(service)
        return elector is not None and not self._stop.is_set() and elector.may_write()

    def term(self, service: str) -> int:
        """How often its lease has become ours. Between two numbers somebody else may have written."""
        elector = self._electors.get(service)
        return elector.taken if elector is not None else 0

    def is_troubled(self, service: str) -> bool:
        """Whether its lease, or all of them, could not be looked at or written at the last turn."""
        elector = self._electors.get(service)
        return self._blind or (elector is not None and bool(elector.trouble))

    def start(self) -> None:
        """Begin to stand."""
        self._thread.start()

    def turn(self) -> None:
        """Look at all leases once and do what is due. Never raises for a sick API server.

        Ends early when the API server is unavailable or we are to stop; the next turn goes on where this one ended.
        """
        self._follow_services()
        troubles = self._look()
        self._blind = bool(troubles)
        asked = self._balance() if not troubles else set()
        # What is ours must not wait for the rest, nor what was left out for what was just tried.
        in_turn = sorted(
            self._electors.values(), key=lambda elector: (elector.holder != self._identity, elector.tried_s)
        )
        side_by_side(
            [elector.ask if elector in asked else elector.step for elector in in_turn],
            stopped=self._stop.is_set,
            most=self._most,
        )
        self._troubles.update(troubles or self._lease_troubles(), self._clock.now_s())
        self._tell()

    def close(self, *, release: bool) -> None:
        """Stand no more. Takes no longer than the terms allow: what cannot be handed back by then runs out by itself.

        Args:
            release: Free what we hold, so that others need not wait for it to run out. Only for who knows that no
                write is under way.
        """
        until_s = self._monotonic() + self._terms.close_s

        def left_s() -> float:
            return max(until_s - self._monotonic(), 0.0)

        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(left_s())
        for elector in self._electors.values():
            elector.give_up()
        if not release:
            return
        if not self._thread.is_alive():  # else a request of it hangs, and electors are for one thread at a time
            self._hand_back(left_s)
        held = sorted(service for service, elector in self._electors.items() if elector.holder == self._identity)
        if held:
            message = (
                "the API server did not take them back in time, or they were made too recently to be others' at once; "
                f"they run out within {self._terms.lease_s:g} s"
            )
            self._log.warning("leases not handed back", services=held, message=message)

    def _hand_back(self, left_s: Callable[[], float]) -> None:
        def over() -> bool:
            return left_s() <= 0

        side_by_side([lambda: not self._look()], stopped=over, left_s=left_s)
        releases = [elector.release for elector in self._electors.values()]
        side_by_side(releases, stopped=over, left_s=left_s, most=self._most)

    def _run(self) -> None:
        while True:
            try:
                self.turn()
            except Exception as error:  # noqa: BLE001 - a defect here must not leave the daemon without a lease for good
                self._log.error("election failed", message=f"{error!r}; this is a defect, please report it")
            if self._stop.wait(_LOOK_S * self._random.uniform(1 - _JITTER_RATIO, 1 + _JITTER_RATIO)):
                return

    def _follow_services(self) -> None:
        services, electors = self._services, dict(self._electors)
        for service in [service for service in electors if service not in services]:
            electors[service].give_up()
            if electors[service].holder != self._identity:
                del electors[service]
        for service in sorted(services - electors.keys()):
            electors[service] = self._elector(service)
        self._electors = electors

    def _look(self) -> list[Trouble]:
        try:
            found, _ = self._api.list_all(lease_ref(self._namespace))
        except KubeError as error:
            return [Trouble(Dependency.LEASE, "leases", str(error))]
        by_name = {document["metadata"]["name"]: document for document in found}
        for elector in self._electors.values():
            elector.observe(by_name.get(elector.ref.name))
        return []

    def _lease_troubles(self) -> list[Trouble]:
        electors = self._electors.items()
        return [Trouble(Dependency.LEASE, service, elector.trouble) for service, elector in electors if elector.trouble]

    def _balance(self) -> set[Elector]:
        """Hand over what others ask for and we have too many of; gives what to ask for: others have too many of it."""
        electors, me = self._electors.values(), self._identity
        shares = Counter(elector.owner for elector in electors)
        for elector in electors:
            asker = elector.wanted_by
            if elector.holder == elector.owner == me and asker and shares[me] - shares[asker] >= _WORTH_A_MOVE:
                elector.give_up(asker)
                shares[me] -= 1
                shares[asker] += 1
        del shares[""]
        richest, most = max(shares.items(), key=lambda item: item[1], default=("", 0))
        theirs = [elector for elector in electors if richest != me and elector.holder == richest]
        unasked = [elector for elector in theirs if elector.wanted_by != me]
        surplus = (most - shares[me]) // _WORTH_A_MOVE - (len(theirs) - len(unasked))
        return set(unasked[: max(surplus, 0)])

    def _elector(self, service: str) -> Elector:
        ref = lease_ref(self._namespace, object_name(self._prefix, service))
        return Elector(
            self._api,
            ref,
            self._identity,
            monotonic=self._monotonic,
            wall=self._clock.now_s,
            terms=self._terms,
        )

    def _tell(self) -> None:
        leading = frozenset(service for service, elector in self._electors.items() if elector.may_write())
        for service in sorted(leading - self._leading):
            self._log.info("leads", service=service, identity=self._identity)
        for service in sorted(self._leading - leading):
            elector = self._electors.get(service)
            self._log.info("stands by", service=service, leader=elector.holder if elector is not None else "")
        self._leading = leading
