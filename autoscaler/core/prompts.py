"""Where prompts arrive: at prefill while disaggregation is on, at decode while it is off, at both while it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.capacity import PrefillTime
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
        squares_ratio: Their mean squared length over the square of the mean; 1 where lengths are not known, or where a
            threshold leaves prefill the long prompts, which differ less.
    """

    tokens_per_s: float
    uncached_ratio: float
    mean_tokens: float | None = None
    squares_ratio: float = 1.0

    def terms_ms(self, prefill: PrefillTime, cached_ratio: float) -> tuple[float, float, float]:
        """The parts of the mean prefill time in ms: fixed, linear, and quadratic, in which long prompts count more.

        Those of an empty prompt where the mean length is not known.
        """
        tokens = self.mean_tokens or 0.0
        fixed, linear, quadratic = prefill.terms_ms(tokens, tokens * cached_ratio)
        return fixed, linear, quadratic * self.squares_ratio


def prompts_now(snapshot: Snapshot, step: SwitchStep, threshold_tokens: float = 0.0) -> Prompts | None:
    """What arrives, wherever it does; None where no place can tell.

    While the switch moves, a request may be counted at both places: the larger of the two readings is the load. Under
    a threshold, prefill gets the long prompts alone.
    """
    seen = []
    mean_tokens = snapshot.usable(Scope.SERVICE, "input_tokens_mean")
    lengths = lengths_now(snapshot)
    squares_ratio = 1.0
    if lengths is not None and mean_tokens and threshold_tokens <= 0:
        squares_ratio = lengths.squares_ratio(mean_tokens)
    threshold_matters = threshold_tokens > 0 and lengths is not None and lengths.share_above(threshold_tokens) > 0
    if mean_tokens is not None and lengths is not None and threshold_matters:
        longer = lengths.tokens_above(threshold_tokens) / lengths.share_above(threshold_tokens)
        mean_tokens *= longer / lengths.tokens_above(0.0)
    for scope in _PLACES.get(step, (Scope.PREFILL, Scope.DECODE)):
        tokens_per_s = snapshot.usable(scope, "offered_tokens_per_s")
        if tokens_per_s is not None:
            uncached = snapshot.usable(scope, "uncached_ratio")
            uncached = 1.0 if uncached is None else min(uncached, 1.0)
            seen.append(Prompts(tokens_per_s, uncached, mean_tokens, squares_ratio))
    return max(seen, key=lambda prompts: prompts.tokens_per_s, default=None)
