"""TokenScale (arXiv 2512.03416): arriving tokens over the token velocity of each stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.capacity import decode_point
from autoscaler.core.policy import Role
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.llmd import prefill_velocity
from autoscaler.simulation.baselines.memory import Trail, recall
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.run import Controller, Memory


@dataclass(frozen=True, slots=True)
class TokenScaleSettings:
    """What the paper leaves open.

    Attributes:
        headroom_ratio: Extra replicas over what the velocities ask for.
        hold_s: A pool shrinks to the most that was asked for within this time.
    """

    headroom_ratio: float = 0.0
    hold_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Velocities:
    """Tokens per second that one replica sustains.

    Attributes:
        prefill: Prompt tokens computed.
        network: Prompt tokens whose KV its link carries.
        decode: Tokens, of prompt and answer, that it releases by finishing requests.
    """

    prefill: float
    network: float
    decode: float


def velocities(site: Site) -> Velocities:
    """Velocities of a profiled service; decode at its largest batch inside TPOT and KV."""
    tokens = site.input_tokens + site.output_tokens
    point = decode_point(
        site.engines[Role.DECODE], site.objectives.tpot.target_s, site.input_tokens + site.output_tokens / 2
    )
    return Velocities(
        prefill=prefill_velocity(site),
        network=site.link_bytes_per_s / site.engines[Role.PREFILL].kv_bytes_per_token,
        decode=point.tokens_per_s / site.output_tokens * tokens,
    )


def tokenscale(site: Site, settings: TokenScaleSettings) -> Controller:
    """`prefill = ceil(input tokens/s / min(V_P, V_N))`, `decode = ceil(tokens/s / V_D)`.

    The paper sums decode over buckets of predicted length and lets some decoders take prefill in bursts; there is one
    bucket here, at the mean lengths, and no such decoder. Prefix caches are not counted, as published.
    """
    speed = velocities(site)

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        prompts, rate = readings.prompt_rate(snapshot), readings.request_rate(snapshot)
        current = {role: pool.current for role, pool in snapshot.pools.items()}
        if prompts is None or rate is None:
            return current
        output = readings.mean_output_tokens(snapshot) or site.output_tokens
        loads = {
            Role.PREFILL: prompts / min(speed.prefill, speed.network),
            Role.DECODE: (prompts + rate * output) / speed.decode,
        }
        wanted = {}
        for role, load in loads.items():
            trail = recall(memory, f"tokenscale {role}", Trail)
            trail.add(now_s, math.ceil(load * (1.0 + settings.headroom_ratio)), settings.hold_s)
            wanted[role] = site.bounds[role].clamp(int(max(trail.since(-math.inf))))
        return wanted

    return control
