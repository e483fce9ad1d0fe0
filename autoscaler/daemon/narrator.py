"""One log line per thing that happens to a pool: scaled, or held. What stays the same is not said at every tick.

Each write that took effect is said, also one that had to be made again because somebody else took it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.decision import Decision, Reason, RoleDecision
from autoscaler.core.policy import Role
from autoscaler.daemon.logs import Log
from autoscaler.report.words import binding_stage, reason_text, story_text
from autoscaler.targets.base import Outcome, WriteResult

_REMIND_AFTER_S = 600.0  # what lasts is said again

# Said elsewhere, as troubles with the remedy, or no news: the load is as it was.
_NOT_WORTH_A_LINE = frozenset(
    {Reason.SIGNALS_UNUSABLE, Reason.FALLBACK, Reason.SHRINK_NEEDS_ALL_SIGNALS, Reason.WITHIN_TOLERANCE}
)


@dataclass(slots=True)
class _Held:
    said_s: float
    ticks: int = 0


class Narrator:
    """Tells the decisions of one service.

    Args:
        log: Where to, bound to the service.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._numbers: dict[Role, tuple[int, int]] = {}
        self._held: dict[tuple[Role, Reason], _Held] = {}

    def tell(self, decision: Decision, writes: Mapping[Role, WriteResult]) -> None:
        """Tell what is new."""
        for role, decided in decision.roles.items():
            numbers, written = (decided.current, decided.desired), writes.get(role)
            is_done = written is not None and written.outcome is Outcome.APPLIED
            if not decided.changed:
                self._tell_of_hold(role, decided, decision)
            elif is_done or self._numbers.get(role) != numbers:
                words = in_words(decided, written)
                self._log.info("scale", role=role.value, mode=decision.mode.value, **words)
            self._numbers[role] = numbers

    def _tell_of_hold(self, role: Role, decided: RoleDecision, decision: Decision) -> None:
        """A pool that is kept from what it proposes; the same reason again is only counted for a while."""
        reason = binding_stage(decided).reason
        if decided.uncapped == decided.current or reason in _NOT_WORTH_A_LINE:
            return
        held = self._held.setdefault((role, reason), _Held(float("-inf")))
        held.ticks += 1
        if decision.at_s - held.said_s < _REMIND_AFTER_S:
            return
        again = {"ticks": held.ticks} if held.ticks > 1 else {}
        self._held[role, reason] = _Held(decision.at_s)
        self._log.info(
            "hold",
            role=role.value,
            mode=decision.mode.value,
            current=decided.current,
            uncapped=decided.uncapped,
            reason=reason.value,
            detail=reason_text(decided),
            **again,
        )


def in_words(decided: RoleDecision, written: WriteResult | None) -> dict[str, str | int]:
    """What a log line and a trace say of one pool's decision, and of its write where there was one."""
    words: dict[str, str | int] = {
        "current": decided.current,
        "ready": decided.ready,
        "desired": decided.desired,
        "uncapped": decided.uncapped,
        "reason": decided.reason.value,
        "detail": story_text(decided),
    }
    return words if written is None else {**words, "outcome": written.outcome.value, "message": written.message}
