"""Prompts that share a pass: what one costs where many wait.

A pass over the engine takes a fixed time, whether it carries one prompt or as many as its token budget holds. Where
requests wait, passes are full, so a busy replica does more of short prompts than one after the other would take: on a
mixture-of-experts model with prompts of 260 tokens nearly four times as many. What a pool can do is told by full
passes; how long a prompt takes that comes alone is told by the timing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.capacity import EngineModel
from autoscaler.core.prompts import Prompts

# No pass is planned to take more of the TTFT target: who comes during one waits for its end, and then for the next.
_LONGEST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class FullPass:
    """A pass that carries as many mean prompts as it may.

    Attributes:
        prompts: How many, at least one.
        pass_s: How long it takes.
        service_s: Each prompt's share of that.
    """

    prompts: float
    pass_s: float
    service_s: float


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
    pass_s = (fixed_ms + together * each_ms) / 1e3
    return FullPass(together, pass_s, pass_s / together)
