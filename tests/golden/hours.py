"""The hours that are kept, and the services that they are played on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoscaler.simulation.traces import Trace, bundled_trace, read_trace
from autoscaler.simulation.traces.reshape import jitter, times

HERE = Path(__file__).parent
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a trace.

    Attributes:
        name: Of the trace.
        from_hour: Where it begins in it.
        copies: How many shifted copies are superposed, so that several replicas have work.
        prefill: Prefill replicas at its beginning, about what it needs.
        decode: Decode replicas at its beginning.
        bundled: Whether the trace comes with the simulator.
    """

    name: str
    from_hour: float
    copies: float
    prefill: int
    decode: int
    bundled: bool = False

    def trace(self) -> Trace:
        """Its requests."""
        kept = bundled_trace(self.name) if self.bundled else read_trace(HERE / "traces" / f"{self.name}.csv.gz")
        if self.name == "mooncake_conversation":
            kept = jitter(kept, 3.0, seed=0)  # its source has one time for all that arrive within 3 s
        return times(kept, self.copies, seed=0)


HOURS = (
    Hour("azure2023_conv", 0.0, 8.0, 5, 3, bundled=True),
    Hour("mooncake_conversation", 0.0, 2.0, 9, 4),
    Hour("agentic_claudecode_8h", 3.5, 2.0, 6, 9),
    Hour("servegen_deepseek_r1_day", 19.5, 4.0, 4, 3),
    Hour("servegen_mlarge_day3", 21.5, 8.0, 4, 2),
    Hour("servegen_mmid_day4", 8.5, 16.0, 2, 1),
    Hour("azure2024_conv_day2_recon", 11.5, 8.0, 5, 2),
    Hour("azure2024_code_day3_recon", 12.5, 8.0, 5, 2),
)
"""The whole of the two that last an hour, of the others one in which the load moves."""
