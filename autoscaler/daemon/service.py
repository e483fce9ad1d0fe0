"""One service: observe, decide, record the intent, act. Knows nothing of threads, schedules or leases.

The state that a decision leaves is kept before anything is written. It holds the count that was read and the one that
was decided, so whoever goes on after a crash, wherever that struck, sees from the count that is there now whether the
change was made: it is counted once against the rates, and made once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from autoscaler.core.coupling import unread_gpus
from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision, Reason, SwitchStep
from autoscaler.core.policy import Mode, Role, ServicePolicy
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import State
from autoscaler.daemon.history import Past
from autoscaler.daemon.logs import Log, deciding
from autoscaler.daemon.memory import as_standby, forgotten, later, whole, with_originals
from autoscaler.daemon.narrator import Narrator
from autoscaler.daemon.notices import unread_text
from autoscaler.daemon.state_store import StateStore, StateStoreError, StateTakenError, StateUnreachableError
from autoscaler.daemon.stopwatch import Stopwatch
from autoscaler.daemon.switching import (
    StackSwitch,
    SwitchHand,
    fight_window_s,
    setting_of,
    setting_text,
    with_position,
)
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.troubles import TroubleLog
from autoscaler.report.record import decision_id
from autoscaler.sources.base import Source
from autoscaler.targets.base import Outcome, PoolReading, Target, WriteResult
from autoscaler.targets.guarded import GuardedTarget
from autoscaler.targets.switch import SwitchReading

_SIGNAL_TROUBLES = frozenset({Reason.SIGNALS_UNUSABLE, Reason.FALLBACK, Reason.SHRINK_NEEDS_ALL_SIGNALS})
Grant = Callable[[ServicePolicy, Snapshot, Decision], float | None]
"""The most GPUs that a service may hold, given what it would decide alone; None for no more limits than its own."""
_FINE = frozenset({Outcome.APPLIED, Outcome.DRY_RUN, Outcome.INSTRUCTED, Outcome.DEFERRED})


class ServiceRunner:
    """Runs the ticks of one service.

    Args:
        policy: What the user wants.
        source: Where its signals come from.
        target: Where its replica counts are read and written; closed with the runner, as the source is.
        store: Where its memory lives.
        log: Logger bound to the service.
        may_write: Whether we are the one who writes; asked again right before each write.
        at: The policy as it holds at an instant, such as under the bounds of a schedule.
        grant: What services that share GPUs leave to this one.
        switch: The stack's disaggregation switch; None leaves it alone.
        past: What was recorded before there was a memory; None where nothing was.
    """

    def __init__(
        self,
        policy: ServicePolicy,
        source: Source,
        target: Target,
        store: StateStore,
        log: Log,
        *,
        may_write: Callable[[], bool] = lambda: True,
        at: Callable[[ServicePolicy, float], ServicePolicy] = lambda policy, _now_s: policy,
        grant: Grant = lambda _policy, _snapshot, _alone: None,
        switch: StackSwitch | None = None,
        past: Past | None = None,
    ) -> None:
        self.policy = policy
        self._source = source
        self._target = target
        self._store = store
        self._log = log
        self._may_write = may_write
        self._grant = grant
        self._at = at
        self._past = past
        self._troubles = TroubleLog(log)
        self._now_s = 0.0
        self._watch = Stopwatch()
        self._stack_switch = switch
        self._hand: SwitchHand | None = None
        self._guarded = self._guard()
        self._state: State | None = None
        self._leads = False
        self._narrator = Narrator(log)
        self._told_of_switch: object = None
        self._stood: SwitchStep | None = None

    def tick(self, now_s: float) -> Tick:
        """Observe, decide, act. Never raises: what failed is in the record."""
        with deciding(decision_id(self.policy.service, now_s)):
            return self._safely(now_s)

    def close(self) -> None:
        """Keep what was learned since the last save, and let go of connections."""
        if self._state is not None and self._leads and self._may_write():
            try:
                self._store.save(self.policy.service, self._state)
            except StateStoreError as error:
                self._log.warning("state not kept", message=str(error))
        self._source.close()
        self._target.close()
        if self._stack_switch is not None:
            self._stack_switch.close()
        if self._past is not None:
            self._past.close()

    def _safely(self, now_s: float) -> Tick:
        try:
            done = self._tick(now_s)
        except Exception as error:  # noqa: BLE001 - a defect met by one service must not end the daemon
            message = f"tick failed: {error!r}; this is a defect, please report it with the traceback"
            trouble = Trouble(Dependency.INTERNAL, "service", message, error)
            done = Tick(self.policy.service, now_s, None, troubles=(trouble,))
        self._troubles.update(done.troubles, now_s)
        return done

    def _tick(self, now_s: float) -> Tick:
        troubles: list[Trouble] = []
        self._now_s = now_s
        self._watch = watch = Stopwatch()
        with watch.phase("recall", Dependency.STATE):
            memory = self._recall(now_s, troubles)
        reading, snapshot, shown = self._observe(now_s)
        stood = self._stood or memory.switch.step
        with watch.phase("decide"):
            decision, state = self._decide_or_forget(snapshot, memory, shown, troubles)
        if self._leads:
            state = with_originals(state, decision, shown)
        if self._state is not None:
            self._state = state
        writes: dict[Role, WriteResult] = {}
        switched = None
        if self._leads and self._keep(state, decision, troubles):
            writes = self._act(decision, reading)
            switched = self._switch(decision)
            self._narrator.tell(decision, writes)
            self._tell_of_switch(decision, shown, switched)
        elif self._state is not None:
            self._state = as_standby(self._state, now_s)
        if self._past is not None and self._state is not None:
            with watch.phase("read history", Dependency.SIGNALS):  # once everything is written: it may take a while
                self._state = self._past.put_into(self.policy, self._state, now_s)
        self._stood = decision.switch.step if decision.switch is not None else None
        troubles += [*_decision_troubles(decision, shown), *_write_troubles(writes, switched)]
        return Tick(
            self.policy.service,
            now_s,
            decision,
            writes,
            tuple(troubles),
            self._leads,
            reading.blockers,
            reading.pools,
            watch.phases,
            shown,
            switched,
            stood,
        )

    def _observe(self, now_s: float) -> tuple[PoolReading, Snapshot, SwitchReading | None]:
        """The pools, all that is known of the service, and where its switch stands, if it has one."""
        with self._watch.phase("read replicas", Dependency.REPLICAS):
            reading = self._guarded.read()
        with self._watch.phase("read signals", Dependency.SIGNALS):
            signals = self._source.read(now_s)
        snapshot = Snapshot(self.policy.service, now_s, reading.pools, signals, reading.errors)
        if self._hand is None:
            return reading, snapshot, None
        with self._watch.phase("read switch", Dependency.REPLICAS):
            shown = self._hand.read(reading)
        return reading, with_position(snapshot, shown), shown

    def _decide_or_forget(
        self, snapshot: Snapshot, memory: State, shown: SwitchReading | None, troubles: list[Trouble]
    ) -> tuple[Decision, State]:
        """Decide; where that fails on the memory alone, as if there were none.

        Else the same memory would fail each tick to come, and be read again after each restart.
        """
        try:
            return self._decide(snapshot, memory, shown)
        except Exception as error:  # noqa: BLE001 - whatever a damaged memory may cause
            try:
                decided = self._decide(snapshot, forgotten(memory), shown)
            except Exception:  # noqa: BLE001 - it was not the memory: what failed first is what counts
                raise error from None
            message = (
                f"no decision can be made from the memory: {error!r}; what was there before the first change is kept, "
                "the rest is forgotten: nothing shrinks for one window; this is a defect, please report it with the "
                "traceback"
            )
            troubles.append(Trouble(Dependency.STATE, "service", message, error))
            return decided

    def _decide(self, snapshot: Snapshot, memory: State, shown: SwitchReading | None) -> tuple[Decision, State]:
        policy = self._at(self.policy, snapshot.at_s)
        if self._hand is None or shown is None:
            return self._within_grant(policy, snapshot, memory)
        decision, state = self._within_grant(self._hand.give_way(policy, shown), snapshot, memory)
        return self._hand.worded(decision), state

    def _within_grant(self, policy: ServicePolicy, snapshot: Snapshot, memory: State) -> tuple[Decision, State]:
        """Decide alone; and, where others share the GPUs, once more with what they leave."""
        alone = decide(policy, snapshot, memory, snapshot.at_s)
        granted_gpus = self._grant(policy, snapshot, alone[0])
        if granted_gpus is None:
            return alone
        # Pools that cannot be read are off this grant already; deciding takes them off once.
        budget_gpus = granted_gpus + unread_gpus(policy, snapshot, memory)
        return decide(replace(policy, budget_gpus=budget_gpus), snapshot, memory, snapshot.at_s)

    def _act(self, decision: Decision, reading: PoolReading) -> dict[Role, WriteResult]:
        """Write the numbers that changed, growth first; one role's failure does not stop the other.

        Recommending writes nothing; what only a person can change is said then too.
        """
        dry_run = decision.mode is not Mode.ENFORCE
        meant = reading.by_hand if decision.mode is Mode.RECOMMEND else decision.roles
        changed = [(role, decided) for role, decided in decision.roles.items() if decided.changed and role in meant]
        changed.sort(key=lambda item: item[1].desired < item[1].current)
        writes = {}
        for role, decided in changed:
            if not self._may_write():
                break
            with self._watch.phase(f"write {role}", Dependency.WRITE):
                writes[role] = self._guarded.write(role, decided.desired, basis=reading.basis[role], dry_run=dry_run)
        return writes

    def _switch(self, decision: Decision) -> WriteResult | None:
        """Move the stack's switch where the decision says so, after the counts: its failure stops none of them."""
        if self._hand is None or decision.switch is None or not self._may_write():
            return None
        with self._watch.phase("write switch", Dependency.WRITE):
            return self._hand.move(decision.switch, decision.mode)

    def _recall(self, now_s: float, troubles: list[Trouble]) -> State:
        """The memory to decide from. Read when there is none yet, and when we become the one who writes.

        A standby's own memory is warm, and as good as the one that was kept; the later of the two knows more.
        """
        leads = self._may_write()
        if self._state is None or (leads and not self._leads):
            try:
                kept = self._store.load(self.policy.service, now_s)
                self._state = whole(later(self._state, kept), now_s, self.policy.interval_s)
            except StateUnreachableError as error:
                leads = False
                troubles.append(Trouble(Dependency.STATE, "service", str(error)))
            except StateStoreError as error:
                self._state = self._state or State()
                troubles.append(Trouble(Dependency.STATE, "service", str(error)))
        if leads and not self._leads:
            self._guarded = self._guard()  # what others wrote while they led was no fight
        self._leads = leads
        return self._state or State()

    def _keep(self, state: State, decision: Decision, troubles: list[Trouble]) -> bool:
        """Keep the intent; says whether it may be carried out."""
        moves = decision.switch is not None and setting_of(decision.switch) is not None
        acts = (decision.changed or moves) and decision.mode is Mode.ENFORCE
        try:
            with self._watch.phase("keep state", Dependency.STATE):
                self._store.save(self.policy.service, state, urgent=acts)
        except StateTakenError as error:
            self._leads = False  # and read their memory before the next tick
            troubles.append(Trouble(Dependency.STATE, "service", str(error)))
            return False
        except StateStoreError as error:
            # Acting goes on: a full disk must not keep a pool small, and this process still remembers.
            troubles.append(Trouble(Dependency.STATE, "service", str(error)))
        return True

    def _guard(self) -> GuardedTarget:
        guarded = GuardedTarget(self._target, lambda: self._now_s)
        if self._stack_switch is not None:
            window_s = fight_window_s(self.policy)
            self._hand = SwitchHand(
                self._stack_switch, guarded, lambda: self._now_s, window_s, may_write=self._may_write
            )
        return guarded

    def _tell_of_switch(self, decision: Decision, shown: SwitchReading | None, switched: WriteResult | None) -> None:
        """One line per step of the switch and per outcome, not repeated while they stay the same."""
        decided = decision.switch
        if decided is None or shown is None:
            return
        to = setting_text(setting_of(decided))
        news = (decided.step, to, switched.outcome if switched is not None else None)
        if news != self._told_of_switch:
            said = {"outcome": switched.outcome.value, "message": switched.message} if switched is not None else {}
            words = {"step": decided.step.value, "to": to, "detail": decided.detail, "shown": shown.detail}
            self._log.info("switch", mode=decision.mode.value, **words, **said)
        self._told_of_switch = news


def _decision_troubles(decision: Decision, shown: SwitchReading | None) -> list[Trouble]:
    troubles = [Trouble(Dependency.REPLICAS, role.value, reason) for role, reason in decision.undecided.items()]
    if shown is not None and shown.is_unread and decision.switch is not None:
        troubles.append(Trouble(Dependency.REPLICAS, "switch", unread_text(decision.switch, shown)))
    for role, decided in decision.roles.items():
        stages = [stage for stage in decided.stages if stage.reason in _SIGNAL_TROUBLES]
        if stages:
            message = "; ".join(stage.detail for stage in stages if stage.detail)
            troubles.append(Trouble(Dependency.SIGNALS, role.value, message))
    return troubles


def _write_troubles(writes: Mapping[Role, WriteResult], switched: WriteResult | None) -> list[Trouble]:
    results = [(role.value, written) for role, written in writes.items()]
    if switched is not None:
        results.append(("switch", switched))
    return [
        Trouble(Dependency.WRITE, subject, written.message)
        for subject, written in results
        if written.outcome not in _FINE
    ]
