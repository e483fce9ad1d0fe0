"""One simulated engine in real time: what it does with requests that arrive one by one, and what it has counted.

The same physics as the fast simulation (`core.capacity`), without its event loop: a prefill replica computes one prompt
after another; a decode replica gives every sequence of its batch one token a step. Handing a prompt's KV over takes no
time and is not counted. Time is passed in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from autoscaler.core.capacity import EngineModel
from autoscaler.core.policy import Role
from autoscaler.simulation.counters import (
    COUNTERS,
    HISTOGRAM_BOUNDS,
    HISTOGRAMS,
    LAYOUT,
    Floats,
    PodCounters,
    ReplicaPhase,
)

BLOCK_TOKENS = 16
_SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")
_FINISH_REASONS = ("stop", "length", "abort", "error")


@dataclass(slots=True, eq=False)
class Request:
    """One request at one replica.

    Attributes:
        prompt_tokens: Length of its prompt.
        output_tokens: Tokens that it asks for; a prefill replica makes the first one only.
        arrived_s: When it came.
        begun_s: When it left the queue.
        first_token_s: When its first token was there.
        generated: Tokens so far.
        done: Set when the last one is there.
    """

    prompt_tokens: int
    output_tokens: int
    arrived_s: float
    begun_s: float = math.nan
    first_token_s: float = math.nan
    generated: int = 0
    done: Event = field(default_factory=Event)

    @property
    def kv_tokens(self) -> int:
        """Tokens that it holds in the KV cache."""
        return self.prompt_tokens + self.generated


class Replica:
    """One engine. Not thread-safe: who shares it holds a lock around every call.

    Args:
        role: Prefill or decode.
        engine: Its timing and its limits.
        name: Of its pod.
        now_s: Unix time.
    """

    def __init__(self, role: Role, engine: EngineModel, name: str, now_s: float) -> None:
        self._role, self._engine, self._name, self._created_s = role, engine, name, now_s
        self._waiting: deque[Request] = deque()
        self._batch: list[Request] = []
        self._pass_ends_s = math.inf
        self._row: Floats = np.zeros(LAYOUT.width)

    def submit(self, prompt_tokens: int, output_tokens: int, now_s: float) -> Request:
        """Take a request in."""
        self.advance(now_s)
        request = Request(prompt_tokens, output_tokens, now_s)
        self._waiting.append(request)
        if self._pass_ends_s == math.inf:
            self._begin_pass(now_s)
        return request

    def advance(self, now_s: float) -> float:
        """Play everything up to `now_s`; answers when the pass under way ends, infinity if there is none."""
        while self._pass_ends_s <= now_s:
            ended_s = self._pass_ends_s
            self._end_pass(ended_s)
            self._begin_pass(ended_s)
        return self._pass_ends_s

    def counters(self, now_s: float) -> PodCounters:
        """What its metrics page says."""
        self.advance(now_s)
        value = dict(zip(COUNTERS, self._row[: len(COUNTERS)].tolist(), strict=True))
        capacity_tokens = self._engine.kv_capacity_tokens
        return PodCounters(
            role=self._role,
            name=self._name,
            phase=ReplicaPhase.READY,
            created_s=self._created_s,
            ready_s=self._created_s,
            running=len(self._batch),
            waiting=len(self._waiting),
            waiting_for_kv=0,
            kv_usage_ratio=_kv_tokens(self._batch) / capacity_tokens,
            num_gpu_blocks=int(capacity_tokens // BLOCK_TOKENS),
            block_size=BLOCK_TOKENS,
            prompt_tokens_total=value["prompt_tokens_total"],
            prompt_tokens_by_source={source: value[f"prompt_tokens_{source}"] for source in _SOURCES},
            generation_tokens_total=value["generation_tokens_total"],
            request_success_total={reason: value[f"request_success_{reason}"] for reason in _FINISH_REASONS},
            preemptions_total=0.0,
            prefix_cache_queries_total=value["prefix_cache_queries_total"],
            prefix_cache_hits_total=0.0,
            nixl_num_kv_expired_reqs_total=0.0,
            histograms={name: LAYOUT.histogram(self._row, name) for name in HISTOGRAMS},
        )

    def _begin_pass(self, now_s: float) -> None:
        while self._waiting and self._fits(self._waiting[0]):
            request = self._waiting.popleft()
            request.begun_s = now_s
            self._observe("request_queue_time_seconds", now_s - request.arrived_s)
            self._batch.append(request)
        self._pass_ends_s = now_s + self._pass_s() if self._batch else math.inf

    def _fits(self, request: Request) -> bool:
        """Whether there is room for it; a request that would fit nowhere is served alone."""
        if not self._batch:
            return True
        if self._role is Role.PREFILL:
            return False
        wanted = _kv_tokens(self._batch) + request.prompt_tokens + request.output_tokens
        return len(self._batch) < self._engine.max_sequences and wanted <= self._engine.kv_capacity_tokens

    def _pass_s(self) -> float:
        if self._role is Role.PREFILL:
            return self._engine.prefill.request_ms(self._batch[0].prompt_tokens) / 1e3
        return self._engine.decode.step_ms(len(self._batch), _kv_tokens(self._batch)) / 1e3

    def _end_pass(self, now_s: float) -> None:
        step_s = self._pass_s()
        for request in self._batch:
            request.generated += 1
            if request.generated == 1:
                self._count_first_token(request, now_s)
            else:
                self._observe("inter_token_latency_seconds", step_s)
        self._count("generation_tokens_total", len(self._batch))
        for request in [request for request in self._batch if request.generated >= self._wanted(request)]:
            self._batch.remove(request)
            self._count_end(request, now_s)
            request.done.set()

    def _wanted(self, request: Request) -> int:
        return 1 if self._role is Role.PREFILL else request.output_tokens

    def _count_first_token(self, request: Request, now_s: float) -> None:
        request.first_token_s = now_s
        source = "local_compute" if self._role is Role.PREFILL else "external_kv_transfer"
        self._count("prompt_tokens_total", request.prompt_tokens)
        self._count(f"prompt_tokens_{source}", request.prompt_tokens)
        self._count("prefix_cache_queries_total", request.prompt_tokens)
        self._observe("time_to_first_token_seconds", now_s - request.arrived_s)
        self._observe("request_prefill_time_seconds", now_s - request.begun_s)

    def _count_end(self, request: Request, now_s: float) -> None:
        decode_s = now_s - request.first_token_s
        self._count("request_success_length", 1)
        self._observe("request_time_per_output_token_seconds", decode_s / max(request.generated - 1, 1))
        self._observe("e2e_request_latency_seconds", now_s - request.arrived_s)
        self._observe("request_decode_time_seconds", decode_s)
        self._observe("request_inference_time_seconds", now_s - request.begun_s)
        self._observe("request_prompt_tokens", request.prompt_tokens)
        self._observe("request_generation_tokens", request.generated)

    def _count(self, counter: str, amount: float) -> None:
        self._row[COUNTERS.index(counter)] += amount

    def _observe(self, histogram: str, value: float) -> None:
        columns = self._row[LAYOUT.columns(histogram)]
        bounds = HISTOGRAM_BOUNDS[histogram]
        columns[int(np.searchsorted(bounds, value))] += 1.0
        columns[-1] += value


def _kv_tokens(requests: Iterable[Request]) -> int:
    return sum(request.kv_tokens for request in requests)
