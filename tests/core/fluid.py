"""A P/D service as a fluid: consistent signals for any load, without a request in sight.

Prefill serves its queue at `ready / s`, decode runs the batch that the load keeps resident. Windows are two minutes,
as in the stack files. Enough to tell whether decisions move the right way; attainment is measured elsewhere.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from autoscaler.core.capacity import EngineModel
from autoscaler.core.queueing import probability_of_waiting
from tests.support.core import ENGINE, OBJECTIVES

_STEP_S = 1.0
_WINDOW = 120
_NEVER_S = 1e3


@dataclass(frozen=True, slots=True)
class Load:
    """Requests arriving per second, and their mean shape."""

    requests_per_s: float
    prompt_tokens: float = 2000.0
    output_tokens: float = 200.0

    def times(self, factor: float) -> Load:
        return replace(self, requests_per_s=self.requests_per_s * factor)


class Fluid:
    """The service; `load` may be changed at any time.

    Args:
        load: What arrives.
        engine: How fast the replicas really are.
        transfer_s: Time of a KV transfer.
        noise_ratio: Standard deviation of the relative error of every reading.
        seed: Of that noise.
    """

    def __init__(
        self,
        load: Load,
        engine: EngineModel = ENGINE,
        *,
        transfer_s: float = 0.02,
        noise_ratio: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.load = load
        self.engine = engine
        self.transfer_s = transfer_s
        self._noise_ratio = noise_ratio
        self._noise = np.random.default_rng(seed)
        self._prefill_queue = 0.0
        self._running = load.requests_per_s * load.output_tokens * engine.decode.step_ms(16, 16_000) / 1e3
        self._waiting = 0.0
        self._ready = (1, 1)
        self._seconds: deque[dict[str, float]] = deque(maxlen=_WINDOW)

    def advance(self, elapsed_s: float, prefill_ready: int, decode_ready: int) -> None:
        self._ready = (prefill_ready, decode_ready)
        if not self._seconds:
            self._warm_up()
        for _ in range(round(elapsed_s / _STEP_S)):
            self._second(prefill_ready, decode_ready)

    def _warm_up(self) -> None:
        """The service has run for a window, and nothing waits yet."""
        for _ in range(_WINDOW):
            self._second(*self._ready)
        self._prefill_queue = self._waiting = 0.0

    def _second(self, prefill_ready: int, decode_ready: int) -> None:
        load, engine = self.load, self.engine
        service_s = engine.prefill.request_ms(load.prompt_tokens) / 1e3
        # Requests that wait for decode hold their KV on prefill, which stalls once about a batch per replica does.
        stalled = self._waiting > 16 * prefill_ready
        before = self._prefill_queue
        prefilled = 0.0 if stalled else min(prefill_ready / service_s, load.requests_per_s + before)
        self._prefill_queue = before + load.requests_per_s - prefilled

        resident = load.prompt_tokens + load.output_tokens / 2
        room = min(0.95 * engine.kv_capacity_tokens / resident, engine.max_sequences) * decode_ready
        admitted = min(self._waiting + prefilled, max(room - self._running, 0.0))
        self._waiting += prefilled - admitted
        batch = (self._running + admitted) / max(decode_ready, 1)
        step_s = engine.decode.step_ms(batch, batch * resident) / 1e3
        finished = min((self._running + admitted) / (load.output_tokens * step_s) * _STEP_S, self._running + admitted)
        self._running += admitted - finished
        self._seconds.append(
            {
                "step_s": step_s,
                "service_s": service_s,
                "finished": finished,
                "prefilled": prefilled,
                "arrived": prefilled + self._prefill_queue - before,
                "tokens": load.requests_per_s * load.prompt_tokens,
                "prompt": load.prompt_tokens,
                "output": load.output_tokens,
            }
        )

    def readings(self) -> Mapping[str, float]:
        prefill_ready, decode_ready = self._ready
        mean = {name: sum(second[name] for second in self._seconds) / len(self._seconds) for name in self._seconds[0]}
        wait_s = self._prefill_wait_s(prefill_ready, mean)
        decode_wait_s = self._waiting / mean["finished"] if mean["finished"] > 0 else 0.0
        utilization = min(self._running * (mean["prompt"] + mean["output"] / 2) / self._capacity(decode_ready), 1.0)
        ttft_s = wait_s + mean["service_s"] + self.transfer_s + decode_wait_s + mean["step_s"]
        served = {
            "prefill.queue_depth": self._prefill_queue,
            "prefill.in_flight": min(mean["prefilled"] * mean["service_s"], prefill_ready),
            "prefill.offered_tokens_per_s": mean["tokens"],
            "prefill.request_rate": max(mean["arrived"], 0.0),
            "prefill.queue_time_s": wait_s,
            "prefill.prefill_time_s": mean["service_s"],
            "decode.kv_utilization_mean": utilization,
            "decode.kv_utilization_max": min(1.1 * utilization, 1.0),
            "decode.running": self._running,
            "decode.waiting": self._waiting,
            "decode.generation_tokens_per_s": mean["finished"] * mean["output"],
            "decode.step_time_s": mean["step_s"],
            "decode.queue_time_s": decode_wait_s + self.transfer_s,
            "decode.first_token_time_s": decode_wait_s + self.transfer_s + mean["step_s"],
            "decode.kv_capacity_tokens": self.engine.kv_capacity_tokens,
            "service.kv_transfer_time_s": self.transfer_s,
            "service.ttft_s": ttft_s,
            "service.tpot_s": mean["step_s"],
            "service.ttft_attainment_ratio": _share_within(ttft_s, OBJECTIVES.ttft.target_s),
            "service.tpot_attainment_ratio": _share_within(mean["step_s"], OBJECTIVES.tpot.target_s),
            "service.request_rate": mean["finished"],
            "service.input_tokens_mean": mean["prompt"],
            "service.output_tokens_mean": mean["output"],
        }
        return {name: self._noisy(name, value) for name, value in served.items()}

    def _capacity(self, decode_ready: int) -> float:
        return self.engine.kv_capacity_tokens * max(decode_ready, 1)

    def _prefill_wait_s(self, ready: int, mean: Mapping[str, float]) -> float:
        """What stands in the queue, plus what M/M/n adds below saturation."""
        if ready == 0:
            return _NEVER_S
        busy = mean["prefilled"] * mean["service_s"] / ready
        standing_s = self._prefill_queue * mean["service_s"] / ready
        if busy >= 0.99:
            return standing_s
        return standing_s + probability_of_waiting(ready, busy) * mean["service_s"] / (ready * (1 - busy))

    def _noisy(self, name: str, value: float) -> float:
        if not self._noise_ratio:
            return value
        noisy = value * math.exp(self._noise.normal(0.0, self._noise_ratio))
        return min(noisy, 1.0) if name.endswith(("_ratio", "_mean", "_max")) and "tokens" not in name else noisy


def _share_within(mean_s: float, target_s: float) -> float:
    """Share of latencies inside a target when they spread by about a third around their mean."""
    return 0.5 * (1.0 + math.erf((target_s / mean_s - 1.0) / 0.33 / math.sqrt(2.0)))
