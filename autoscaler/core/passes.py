"""Prompts that share a pass: what one costs where many wait.

A pass over the engine takes a fixed time, whether it carries one prompt or as many as its token budget holds. Where
requests wait, passes are full, so a busy replica does more short prompts than one after the other: on a
mixture-of-experts model with prompts of 260 tokens nearly four times as many.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.capacity import EngineModel
from autoscaler.core.prompts import Prompts

# No pass is planned to take more of the TTFT target: who comes during one waits for its end, and then for the next.
_LONGEST_SHARE = 0.25
# Share of what full passes do that is planned with. On the edge of it a ramp that is faster than replicas start leaves
# everybody waiting for minutes: on an hour in which demand doubles within eight minutes every seventh request missed.
_PLANNED_RATIO = 0.85


@dataclass(frozen=True, slots=True)
class FullPass:
    """A pass that carries as many mean prompts as it may.

    Attributes:
        prompts: How many, at least one.
        service_s: What to plan with for each: its share of the pass and some slack, at most its time alone.
        share_s: Its share of the pass.
        service_scv: Squared coefficient of variation of those shares, which differ as the tokens do.
    """

    prompts: float
    service_s: float
    share_s: float
    service_scv: float = 0.0

    @property
    def slack_ratio(self) -> float:
        """Share of what is planned with that full passes do not take."""
        return 1.0 - self.share_s / self.service_s


def full_pass(prompts: Prompts, model: EngineModel, ttft_s: float) -> FullPass:
    """The full pass of the prompts that arrive: `a + k*(b*u + c*(L^2 - cached^2))` for k of them.

    `k = min(token budget / u, batch limit, (ttft/4 - a) / (b*u + c*(L^2 - cached^2)))`, and one at least.

    Args:
        prompts: What arrives; its mean length must be known.
        model: Timing and limits of the engine.
        ttft_s: Target of TTFT.
    """
    fixed_ms, *growing_ms = prompts.terms_ms(model.prefill, 1.0 - prompts.uncached_ratio)
    each_ms = max(sum(growing_ms), 1e-9)
    uncached_tokens = max((prompts.mean_tokens or 0.0) * prompts.uncached_ratio, 1.0)
    by_time = (_LONGEST_SHARE * ttft_s * 1e3 - fixed_ms) / each_ms
    together = max(min(model.max_batched_tokens / uncached_tokens, float(model.max_sequences), by_time), 1.0)
    share_ms = fixed_ms / together + each_ms
    service_scv = (prompts.squares_ratio - 1.0) * (each_ms / share_ms) ** 2
    service_s = min(share_ms / _PLANNED_RATIO, fixed_ms + each_ms) / 1e3
    return FullPass(together, service_s, share_ms / 1e3, service_scv)
