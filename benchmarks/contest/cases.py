"""What is played: loads at fixed rates, engines, startup times, objectives.

One seed for everything random; the days are played with others too, for a single burst may weigh half a point.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoscaler.core.capacity import EngineModel
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import LatencyObjective, Objectives
from autoscaler.simulation.traces import (
    Trace,
    between,
    bundled_trace,
    followed_by,
    jitter,
    poisson,
    read_trace,
    sine,
    times,
)

_HOUR_S = 3600.0
SEED = 1
OTHER_SEEDS = (2, 3, 4, 5)


class MissingTracesError(SystemExit):
    """A load needs a trace that is not in the repository."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to serve.

    Attributes:
        make: Makes them, from a seed.
        about: Where they come from and what was done to them.
        day_long: Whether claims about a day apply.
    """

    make: Callable[[int], Trace]
    about: str
    day_long: bool = False


@dataclass(frozen=True, slots=True)
class Calibration:
    """A model on a kind of accelerator: what a replica does and how many GPUs it holds."""

    model: str
    gpu: str
    tensor_parallel: int
    engine: EngineModel = field(repr=False)

    @classmethod
    def of(cls, model: str, gpu: str, tensor_parallel: int) -> Calibration:
        """The built-in timing of a combination."""
        return cls(model, gpu, tensor_parallel, find_engine(model, gpu, tensor_parallel)[1])


@dataclass(frozen=True, slots=True)
class Case:
    """One service under one load: everything but who controls it. Names are keys of the tables below."""

    load: str
    calibration: str = "llama-70b"
    startup_s: float = 240.0
    objectives: str = "normal"
    seed: int = SEED


def _shared(name: str, factor: float, *, quantum_s: float = 0.0) -> Callable[[int], Trace]:
    def make(seed: int) -> Trace:
        trace = read_trace(_folder(name) / f"{name}.csv.gz")
        return times(jitter(trace, quantum_s, seed) if quantum_s else trace, factor, seed)

    return make


def _folder(name: str) -> Path:
    folder = Path(os.environ.get("TRACES", "."))
    if not (folder / f"{name}.csv.gz").is_file():
        raise MissingTracesError(
            f"{folder} holds no {name}.csv.gz; set TRACES to the folder that does, or narrow the contest with --only"
        )
    return folder


def _request(input_tokens: int, output_tokens: int) -> Trace:
    return Trace.of(0.0, input_tokens, output_tokens)


def _constant(seed: int) -> Trace:
    return poisson(30.0, 6 * _HOUR_S, bundled_trace(), seed)


def _mixed_day(seed: int) -> Trace:
    """Chat by night, documents by day: the first is cheaper served together, the second apart."""
    chat, documents = _request(300, 200), _request(4000, 100)
    night = poisson(4.0, 8 * _HOUR_S, chat, seed)
    day = poisson(20.0, 10 * _HOUR_S, documents, seed + 1)
    evening = poisson(4.0, 6 * _HOUR_S, chat, seed + 2)
    return followed_by(followed_by(night, day), evening)


def _documents_day(seed: int) -> Trace:
    return sine(20.0, 0.5, 24 * _HOUR_S, 24 * _HOUR_S, _request(4000, 100), seed)


LOADS: Mapping[str, Load] = {
    "r1-day": Load(_shared("servegen_deepseek_r1_day", 4.0), "servegen_deepseek_r1_day x4", day_long=True),
    "m-large-day": Load(_shared("servegen_mlarge_day3", 10.0), "servegen_mlarge_day3 x10", day_long=True),
    "m-mid-day": Load(_shared("servegen_mmid_day4", 20.0), "servegen_mmid_day4 x20", day_long=True),
    "azure-conv-day": Load(_shared("azure2024_conv_day2_recon", 10.0), "azure2024_conv_day2_recon x10", day_long=True),
    "azure-code-day": Load(_shared("azure2024_code_day3_recon", 8.0), "azure2024_code_day3_recon x8", day_long=True),
    "agentic-8h": Load(_shared("agentic_claudecode_8h", 4.0), "agentic_claudecode_8h x4"),
    "azure-2023-hour": Load(_shared("azure2023_conv", 8.0), "azure2023_conv x8"),
    "mooncake-hour": Load(
        _shared("mooncake_conversation", 2.0, quantum_s=3.0), "mooncake_conversation x2, arrivals jittered by 3 s"
    ),
    "constant": Load(_constant, "Poisson, 30 requests/s for 6 h, lengths of Azure 2023 conversation"),
    "mixed-day": Load(
        _mixed_day, "Poisson: chat (300 in, 200 out) at 4/s, from 8 to 18 h documents (4000 in, 100 out) at 20/s"
    ),
    "documents-day": Load(_documents_day, "sine over 24 h, 20 +- 10 documents/s (4000 in, 100 out)"),
    "smoke-azure": Load(
        lambda seed: between(times(bundled_trace(), 2.0, seed), 0.0, 600.0), "10 min of Azure 2023 conversation x2"
    ),
    "smoke-steps": Load(lambda seed: poisson(8.0, 600.0, bundled_trace(), seed), "Poisson, 8 requests/s for 10 min"),
}

CALIBRATIONS: Mapping[str, Calibration] = {
    "llama-70b": Calibration.of("llama-3.1-70b", "h100", 4),
    "deepseek-r1": Calibration.of("deepseek-r1", "h200", 8),
}

STARTUPS_S = (240.0, 60.0, 600.0)


def _objectives(ttft_s: float, tpot_s: float) -> Objectives:
    return Objectives(LatencyObjective(0.95, ttft_s), LatencyObjective(0.95, tpot_s), attainment_ratio=0.99)


# 25, 50 and 100 ms are the columns for which the reference tables give KV set-points and break-even: on H100 a 70B
# model's bare step takes 15 ms, so they leave little, ample and no matter. TTFT scales along.
OBJECTIVES: Mapping[str, Objectives] = {
    "normal": _objectives(2.0, 0.05),
    "tight": _objectives(1.0, 0.025),
    "loose": _objectives(5.0, 0.1),
}

SHARED_LOADS = tuple(name for name in LOADS if LOADS[name].about.startswith(("servegen", "azure", "agentic", "moonc")))
DAY_LOADS = tuple(name for name, load in LOADS.items() if load.day_long)


@functools.lru_cache(maxsize=1)
def load_of(name: str, seed: int) -> Trace:
    """The requests of a load; the last one asked for is kept, for jobs come load by load."""
    return LOADS[name].make(seed)
