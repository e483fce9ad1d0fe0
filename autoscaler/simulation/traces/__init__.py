"""Request traces: read them, reshape them, make them up."""

from autoscaler.simulation.traces.formats import bundled_trace, read_trace
from autoscaler.simulation.traces.reshape import between, clip_lengths, followed_by, jitter, times, with_idle_tail
from autoscaler.simulation.traces.synthetic import mix_shift, poisson, sine, steps
from autoscaler.simulation.traces.trace import Trace, TraceError

__all__ = [
    "Trace",
    "TraceError",
    "between",
    "bundled_trace",
    "clip_lengths",
    "followed_by",
    "jitter",
    "mix_shift",
    "poisson",
    "read_trace",
    "sine",
    "steps",
    "times",
    "with_idle_tail",
]
