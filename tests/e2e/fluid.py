"""A disaggregated service as a fluid: requests flow through two pools and leave vLLM's series behind.

Deterministic and coarse on purpose. It is here to close the loop over real HTTP, not to be right about latencies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.prometheus import TimeSeries

MODEL = "llama"
PROMPT_TOKENS = 2000.0
PREFILL_S = 0.4
STEP_S = 0.02
BATCH = 32.0
KV_TOKENS = 60_000.0


@dataclass
class Fluid:
    """Load and what became of it so far.

    Attributes:
        arrivals_per_s: Offered requests.
        output_tokens: Tokens that each request asks for.
        waiting: Requests that wait for prefill.
        decoding: Requests in the decode pool, in batches or waiting for one.
    """

    arrivals_per_s: float
    output_tokens: float = 200.0
    waiting: float = 0.0
    decoding: float = 0.0
    _served_per_s: float = 0.0
    _ready: dict[str, int] = field(default_factory=dict)
    _scraped: dict[str, int] = field(default_factory=dict)
    _totals: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))

    def advance(self, elapsed_s: float, prefill: int, decode: int) -> None:
        """Let time pass with that many replicas serving."""
        self._ready = {"prefill": prefill, "decode": decode}
        for _ in range(round(elapsed_s)):
            self._advance_a_second(prefill, decode)

    def restart_engines(self) -> None:
        """Their counters begin anew."""
        self._totals.clear()

    def series(self, at_s: float, service: str) -> Iterator[TimeSeries]:
        """What a scrape finds; pods that are gone since the last one end with a staleness marker."""
        for role, pods in self._ready.items():
            for pod in range(max(pods, self._scraped.get(role, 0))):
                labels = {"service": service, "role": role, "pod": f"{role}-{pod}", "model_name": MODEL}
                for name, value in self._page(role, pod).items():
                    sample = value if pod < pods else None
                    yield TimeSeries({"__name__": name, **labels, **_extra(name)}, [(at_s, sample)])
        self._scraped = dict(self._ready)

    def _advance_a_second(self, prefill: int, decode: int) -> None:
        served = min(self.waiting + self.arrivals_per_s, prefill / PREFILL_S)
        self.waiting += self.arrivals_per_s - served
        running = min(self.decoding, BATCH * decode)
        finished = min(running / (self.output_tokens * STEP_S), self.decoding)
        self.decoding += served - finished
        self._served_per_s = served
        tokens = running / STEP_S
        self._count("prefill", served, 1.0, request_prefill_time_seconds=PREFILL_S)
        self._count("decode", finished, self.output_tokens)
        self._totals["decode", "vllm:generation_tokens_total"] += tokens
        self._totals["decode", "vllm:inter_token_latency_seconds_sum"] += tokens * STEP_S
        self._totals["decode", "vllm:inter_token_latency_seconds_count"] += tokens

    def _count(self, role: str, requests: float, output_tokens: float, **means_s: float) -> None:
        means = {"request_prompt_tokens": PROMPT_TOKENS, "request_generation_tokens": output_tokens, **means_s}
        for name, mean in means.items():
            self._totals[role, f"vllm:{name}_sum"] += requests * mean
            self._totals[role, f"vllm:{name}_count"] += requests
        self._totals[role, "vllm:request_success_total"] += requests
        self._totals[role, "vllm:prompt_tokens_total"] += requests * PROMPT_TOKENS
        self._totals[role, "vllm:prompt_tokens_by_source_total"] += requests * PROMPT_TOKENS

    def _page(self, role: str, pod: int) -> dict[str, float]:
        """Gauges are shared evenly; counters are all on the first pod, which never goes away and resets none."""
        pods = self._ready[role]
        if role == "prefill":
            waiting, running, resident = self.waiting, self._served_per_s * PREFILL_S, 0.0
        else:
            running = min(self.decoding, BATCH * pods)
            waiting, resident = self.decoding - running, running * (PROMPT_TOKENS + self.output_tokens / 2)
        gauges = {
            "vllm:num_requests_waiting": waiting / pods,
            "vllm:num_requests_running": running / pods,
            "vllm:kv_cache_usage_perc": min(resident / (pods * KV_TOKENS), 1.0),
            "vllm:cache_config_info": 1.0,
        }
        counters = {name: total for (of, name), total in self._totals.items() if of == role}
        return {**gauges, **counters} if pod == 0 else gauges


def _extra(name: str) -> dict[str, str]:
    if name == "vllm:cache_config_info":
        return {"num_gpu_blocks": str(int(KV_TOKENS / 16)), "block_size": "16"}
    return {"source": "local_compute"} if name == "vllm:prompt_tokens_by_source_total" else {}
