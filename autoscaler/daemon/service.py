"""One service: observe, decide, record the intent, act. Knows nothing of threads or schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision, Reason, RoleDecision
from autoscaler.core.policy import Mode, Role, ServicePolicy
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import State
from autoscaler.daemon.logs import Log
from autoscaler.daemon.state_store import StateStore, StateStoreError
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.troubles import TroubleLog
from autoscaler.report.words import story_text
from autoscaler.sources.base import Source
from autoscaler.targets.base import Outcome, PoolReading, Target, WriteResult

_SIGNAL_TROUBLES = frozenset({Reason.SIGNALS_UNUSABLE, Reason.FALLBACK, Reason.SHRINK_NEEDS_ALL_SIGNALS})
_FINE = frozenset({Outcome.APPLIED, Outcome.DRY_RUN})
# A memory with a hole of this many intervals says nothing about what was needed meanwhile.
_HOLE_INTERVALS = 4.0


class ServiceRunner:
    """Runs the ticks of one service.

    Args:
        policy: What the user wants.
        source: Where its signals come from.
        target: Where its replica counts are read and written; closed with the runner, as the source is.
        store: Where its memory lives.
        log: Logger bound to the service.
    """

    def __init__(self, policy: ServicePolicy, source: Source, target: Target, store: StateStore, log: Log) -> None:
        self.policy = policy
        self._source = source
        self._target = target
        self._store = store
        self._log = log
        self._troubles = TroubleLog(log)
        self._state: State | None = None
        self._told: dict[Role, tuple[int, int]] = {}

    def tick(self, now_s: float) -> Tick:
        """Observe, decide, act. Never raises: what failed is in the record."""
        try:
            done = self._tick(now_s)
        except Exception as error:  # noqa: BLE001 - a defect met by one service must not end the daemon
            message = f"tick failed: {error!r}; this is a defect, please report it with the traceback"
            trouble = Trouble(Dependency.INTERNAL, "service", message, error)
            done = Tick(self.policy.service, now_s, None, troubles=(trouble,))
        self._troubles.update(done.troubles, now_s)
        return done

    def close(self) -> None:
        """Let go of connections."""
        self._source.close()
        self._target.close()

    def _tick(self, now_s: float) -> Tick:
        troubles: list[Trouble] = []
        if self._state is None:
            self._state = self._recall(now_s, troubles)
        reading = self._target.read()
        signals = self._source.read(now_s)
        snapshot = Snapshot(self.policy.service, now_s, reading.pools, signals, reading.errors)
        memory = _begun_anew_after_a_hole(self._state, now_s, self.policy.interval_s)
        decision, state = decide(self.policy, snapshot, memory, now_s)
        self._remember(state, troubles)  # before the act: whoever takes over after a crash sees the change as made
        writes = self._act(decision, reading)
        self._tell(decision, writes)
        troubles += _decision_troubles(decision)
        troubles += _write_troubles(writes)
        return Tick(self.policy.service, now_s, decision, writes, tuple(troubles))

    def _act(self, decision: Decision, reading: PoolReading) -> dict[Role, WriteResult]:
        """Write the numbers that changed, growth first; one role's failure does not stop the other."""
        if decision.mode is Mode.RECOMMEND:
            return {}
        dry_run = decision.mode is Mode.SERVER_DRY_RUN
        changed = [(role, decided) for role, decided in decision.roles.items() if decided.changed]
        changed.sort(key=lambda item: item[1].desired < item[1].current)
        return {
            role: self._target.write(role, decided.desired, basis=reading.basis[role], dry_run=dry_run)
            for role, decided in changed
        }

    def _recall(self, now_s: float, troubles: list[Trouble]) -> State:
        try:
            return self._store.load(self.policy.service, now_s)
        except StateStoreError as error:
            troubles.append(Trouble(Dependency.STATE, "service", str(error)))
            return State()

    def _remember(self, state: State, troubles: list[Trouble]) -> None:
        self._state = state
        try:
            self._store.save(self.policy.service, state)
        except StateStoreError as error:
            # Acting goes on: a full disk must not keep a pool small, and this process still remembers.
            troubles.append(Trouble(Dependency.STATE, "service", str(error)))

    def _tell(self, decision: Decision, writes: Mapping[Role, WriteResult]) -> None:
        """One line per number that should change, not repeated while it stays the same."""
        for role, decided in decision.roles.items():
            numbers = (decided.current, decided.desired)
            if decided.changed and self._told.get(role) != numbers:
                self._log.info(
                    "scale", role=role.value, mode=decision.mode.value, **_in_words(decided, writes.get(role))
                )
            self._told[role] = numbers


def _begun_anew_after_a_hole(state: State, now_s: float, interval_s: float) -> State:
    """A memory that begins now where nothing was decided for a while: after a pause of the process or the machine."""
    if state.decided_at_s is None or now_s - state.decided_at_s <= _HOLE_INTERVALS * interval_s:
        return state
    return replace(state, started_at_s=now_s)


def _in_words(decided: RoleDecision, written: WriteResult | None) -> dict[str, object]:
    words: dict[str, object] = {
        "current": decided.current,
        "ready": decided.ready,
        "desired": decided.desired,
        "uncapped": decided.uncapped,
        "reason": decided.reason.value,
        "detail": story_text(decided),
    }
    return words if written is None else {**words, "outcome": written.outcome.value, "message": written.message}


def _decision_troubles(decision: Decision) -> list[Trouble]:
    troubles = [Trouble(Dependency.REPLICAS, role.value, reason) for role, reason in decision.undecided.items()]
    for role, decided in decision.roles.items():
        stages = [stage for stage in decided.stages if stage.reason in _SIGNAL_TROUBLES]
        if stages:
            message = "; ".join(stage.detail for stage in stages if stage.detail)
            troubles.append(Trouble(Dependency.SIGNALS, role.value, message))
    return troubles


def _write_troubles(writes: Mapping[Role, WriteResult]) -> list[Trouble]:
    return [
        Trouble(Dependency.WRITE, role.value, written.message)
        for role, written in writes.items()
        if written.outcome not in _FINE
    ]
