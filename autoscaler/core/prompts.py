"""Where prompts arrive: at prefill while disaggregation is on, at decode while it is off, at both while it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.decision import SwitchStep
from autoscaler.core.lengths import lengths_now
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
    """What arrives.

    Attributes:
        tokens_per_s: Prompt tokens per second.
        uncached_ratio: Share of them that no prefix cache holds.
        mean_tokens: Mean length of those that prefill gets; None where it is not known.
    """

    tokens_per_s: float
    uncached_ratio: float
    mean_tokens: float | None = None


def prompts_now(snapshot: Snapshot, step: SwitchStep, threshold_tokens: float = 0.0) -> Prompts | None:
    """What arrives, wherever it does; None where no place can tell.

    While the switch moves, a request may be counted at both places: the larger of the two readings is the load. Under
    a threshold, prefill gets the long prompts alone.
    """
    seen = []
    mean_tokens = snapshot.usable(Scope.SERVICE, "input_tokens_mean")
    lengths = lengths_now(snapshot) if threshold_tokens > 0 else None
    if mean_tokens is not None and lengths is not None and lengths.share_above(threshold_tokens) > 0:
        longer = lengths.tokens_above(threshold_tokens) / lengths.share_above(threshold_tokens)
        mean_tokens *= longer / lengths.tokens_above(0.0)
    for scope in _PLACES.get(step, (Scope.PREFILL, Scope.DECODE)):
        tokens_per_s = snapshot.usable(scope, "offered_tokens_per_s")
        if tokens_per_s is not None:
            uncached = snapshot.usable(scope, "uncached_ratio")
            seen.append(Prompts(tokens_per_s, 1.0 if uncached is None else min(uncached, 1.0), mean_tokens))
    return max(seen, key=lambda prompts: prompts.tokens_per_s, default=None)
