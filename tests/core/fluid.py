"""A P/D service as a fluid: consistent signals for any load, without a request in sight.

Prefill serves its queue at `ready / s`, decode holds the batch that the load keeps resident. Rates and latencies are
means over two minutes, as in the stack files. Enough to tell whether decisions move the right way; attainment is
measured by the simulator.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from statistics import fmean

import numpy as np

from autoscaler.core.capacity import EngineModel
from autoscaler.core.queueing import probability_of_waiting
from tests.support.core import ENGINE, OBJECTIVES

_STEP_S = 5.0
_WINDOW = 24
# Prefilled requests that one prefill replica can hold for decode before it stalls.
_HELD_PER_PREFILL = 16.0
_KV_FULL_RATIO = 0.95
_NEVER_S = 1e3


@dataclass(frozen=True, slots=True)
class Load:
    """Requests arriving per second, and their mean shape."""

    requests_per_s: float
    prompt_tokens: float = 2000.0
    output_tokens: float = 200.0

    @property
    def resident_tokens(self) -> float:
        return self.prompt_tokens + self.output_tokens / 2

    def times(self, factor: float) -> Load:
        return replace(self, requests_per_s=self.requests_per_s * factor)


@dataclass(frozen=True, slots=True)
class _Step:
    """What one step of time saw; rates per second."""

    arrived: float
    prefilled: float
    finished: float
    prompt_tokens: float
    output_tokens: float
    service_s: float
    step_s: float


class Fluid:
    """The service; `load` and `transfer_s` may be changed at any time.

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
        self._queue = 0.0
        self._waiting = 0.0
        self._running = 0.0
        self._ready = (0, 0)
        self._steps: deque[_Step] = deque(maxlen=_WINDOW)

    @property
    def stalled(self) -> bool:
        """Whether so much waits for decode that prefill can hand nothing over."""
        return self._waiting > _HELD_PER_PREFILL * self._ready[0]

    def advance(self, elapsed_s: float, prefill_ready: int, decode_ready: int) -> None:
        self._ready = (prefill_ready, decode_ready)
        if not self._steps:
            self._warm_up()
        for _ in range(round(elapsed_s / _STEP_S)):
            self._advance_step()

    def _warm_up(self) -> None:
        """The service has run for a window, and nothing waits yet."""
        for _ in range(_WINDOW):
            self._advance_step()
        self._queue = self._waiting = 0.0

    def _advance_step(self) -> None:
        load, (prefill_ready, decode_ready) = self.load, self._ready
        service_s = self.engine.prefill.request_ms(load.prompt_tokens) / 1e3
        capacity = 0.0 if self.stalled else prefill_ready / service_s
        prefilled = min(capacity, load.requests_per_s + self._queue / _STEP_S)
        self._queue = max(self._queue + (load.requests_per_s - prefilled) * _STEP_S, 0.0)

        each = self._running / max(decode_ready, 1)
        step_s = self.engine.decode.step_ms(each, each * load.resident_tokens) / 1e3
        lasting_s = load.output_tokens * step_s
        left = math.exp(-_STEP_S / lasting_s)
        batch = min(_KV_FULL_RATIO * self.engine.kv_capacity_tokens / load.resident_tokens, self.engine.max_sequences)
        most = max(batch * decode_ready - self._running * left, 0.0) / (lasting_s * (1.0 - left))
        admitted = min(self._waiting / _STEP_S + prefilled, most)
        self._waiting = max(self._waiting + (prefilled - admitted) * _STEP_S, 0.0)
        running = self._running * left + admitted * lasting_s * (1.0 - left)
        finished = admitted - (running - self._running) / _STEP_S
        self._running = running
        self._steps.append(
            _Step(load.requests_per_s, prefilled, finished, load.prompt_tokens, load.output_tokens, service_s, step_s)
        )

    def readings(self) -> Mapping[str, float]:
        ready, decode_ready = self._ready
        mean = _Step(*(fmean(getattr(step, field.name) for step in self._steps) for field in fields(_Step)))
        wait_s = self._prefill_wait_s(ready, mean)
        decode_wait_s = self._waiting / mean.finished if mean.finished > 0 else 0.0
        ttft_s = wait_s + mean.service_s + self.transfer_s + decode_wait_s + mean.step_s
        resident = self._running * (mean.prompt_tokens + mean.output_tokens / 2)
        utilization = min(resident / (self.engine.kv_capacity_tokens * max(decode_ready, 1)), 1.0)
        busy = min(mean.prefilled * mean.service_s / max(ready, 1), 1.0)
        shared = 1.0 / (1.0 - 0.4 * busy)  # prompts that come during a pass share the next one
        readings = {
            "prefill.queue_depth": self._queue,
            "prefill.in_flight": busy * shared * ready,
            "prefill.offered_tokens_per_s": mean.arrived * mean.prompt_tokens,
            "prefill.request_rate": mean.arrived,
            "prefill.queue_time_s": wait_s,
            "prefill.prefill_time_s": mean.service_s * shared,
            "decode.kv_utilization_mean": utilization,
            "decode.kv_utilization_max": min(1.1 * utilization, 1.0),
            "decode.running": self._running,
            "decode.waiting": self._waiting,
            "decode.generation_tokens_per_s": mean.finished * mean.output_tokens,
            "decode.step_time_s": mean.step_s,
            "decode.queue_time_s": decode_wait_s + self.transfer_s,
            "decode.first_token_time_s": decode_wait_s + self.transfer_s + mean.step_s,
            "decode.kv_capacity_tokens": self.engine.kv_capacity_tokens,
            "service.kv_transfer_time_s": self.transfer_s,
            "service.ttft_s": ttft_s,
            "service.tpot_s": mean.step_s,
            "service.ttft_attainment_ratio": _share_within(ttft_s, OBJECTIVES.ttft.target_s),
            "service.tpot_attainment_ratio": _share_within(mean.step_s, OBJECTIVES.tpot.target_s),
            "service.request_rate": mean.finished,
            "service.input_tokens_mean": mean.prompt_tokens,
            "service.output_tokens_mean": mean.output_tokens,
        }
        return {name: self._noisy(name, value) for name, value in readings.items()}

    def _prefill_wait_s(self, ready: int, mean: _Step) -> float:
        """What stands in the queue, plus what M/M/n adds below saturation."""
        if ready == 0:
            return _NEVER_S
        busy = mean.prefilled * mean.service_s / ready
        standing_s = self._queue * mean.service_s / ready
        if busy >= 0.99:
            return standing_s
        return standing_s + probability_of_waiting(ready, busy) * mean.service_s / (ready * (1.0 - busy))

    def _noisy(self, name: str, value: float) -> float:
        if not self._noise_ratio:
            return value
        noisy = value * math.exp(self._noise.normal(0.0, self._noise_ratio))
        return min(noisy, 1.0) if "ratio" in name or "utilization" in name else noisy


def _share_within(mean_s: float, target_s: float) -> float:
    """Share of latencies inside a target when they spread by about a third around their mean."""
    return 0.5 * (1.0 + math.erf((target_s / mean_s - 1.0) / 0.33 / math.sqrt(2.0)))
