"""Where prompts arrive: at prefill while disaggregation is on, at decode while it is off, at both while it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.decision import SwitchStep
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot

_PLACES: Mapping[SwitchStep, tuple[Scope, ...]] = {
    SwitchStep.ON: (Scope.PREFILL,),
    SwitchStep.GROWING_DECODE: (Scope.PREFILL,),
    SwitchStep.OFF: (Scope.DECODE,),
    SwitchStep.GROWING_PREFILL: (Scope.DECODE,),
}


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompt tokens that arrive per second, and the share of them that no prefix cache holds."""

    tokens_per_s: float
    uncached_ratio: float


def prompts_now(snapshot: Snapshot, step: SwitchStep) -> Prompts | None:
    """What arrives, wherever it does; None where no place can tell.

    While the switch moves, a request may be counted at both places: the larger of the two readings is the load.
    """
    seen = []
    for scope in _PLACES.get(step, (Scope.PREFILL, Scope.DECODE)):
        tokens_per_s = snapshot.usable(scope, "offered_tokens_per_s")
        if tokens_per_s is not None:
            uncached = snapshot.usable(scope, "uncached_ratio")
            seen.append(Prompts(tokens_per_s, 1.0 if uncached is None else min(uncached, 1.0)))
    return max(seen, key=lambda prompts: prompts.tokens_per_s, default=None)
