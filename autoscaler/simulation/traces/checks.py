"""What a request of a trace file may be; refusals name the line that says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.traces.trace import Floats, Ints, Trace, TraceError

MOST_TOKENS = 10_000_000
"""Beyond any prompt or answer that an engine takes; longer ones hold a simulated service for years."""

_MOST_DAYS = 366.0  # every second is played, and memory grows with them


def refuse_first(wrong: NDArray[np.bool_], lines: Sequence[int], problem: Callable[[int], str], *, where: str) -> None:
    """Refuse the first request that is marked.

    Args:
        wrong: One mark a request.
        lines: The line of each request.
        problem: From the place of a request to what is wrong with it.
        where: The file, for the message.

    Raises:
        TraceError: There is one.
    """
    if wrong.any():
        place = int(wrong.argmax())
        raise TraceError(f"{where}, line {lines[place]}: {problem(place)}")


def tokens_wanted(name: str, value: object) -> str:
    """What to say of a length that is none."""
    return f"{name} is {str(value)[:60]}; a whole number from 0 to {MOST_TOKENS:,} is wanted"


def replayable(
    title: str, lines: Sequence[int], arrival_s: Floats, inputs: Ints, outputs: Ints, cached: Ints, *, where: str
) -> Trace:
    """The requests that a service can be sent; those without a prompt or an answer are left out, and a remark says so.

    Args:
        title: Name of the trace.
        lines: The line of each request.
        arrival_s: When each arrives, in seconds; finite.
        inputs: Prompt lengths, from 0 to `MOST_TOKENS`.
        outputs: Answer lengths likewise.
        cached: Cached prompt tokens likewise.
        where: The file, for messages.

    Raises:
        TraceError: A request arrives too early or too late, has more cached than it has prompt, or none is left.
    """
    refuse_first(
        arrival_s < 0,
        lines,
        lambda place: f"the arrival {arrival_s[place]:g} s is negative; arrivals begin at 0",
        where=where,
    )
    refuse_first(
        arrival_s > _MOST_DAYS * 86_400.0,
        lines,
        lambda place: (
            f"the arrival {arrival_s[place]:.0f} s lies beyond {_MOST_DAYS:g} days: are these Unix times, or "
            "milliseconds? Arrivals are seconds that begin at 0"
        ),
        where=where,
    )
    served = (inputs > 0) & (outputs > 0)
    if not served.any():
        raise TraceError(f"{where}: no request with a prompt and an answer")
    refuse_first(
        served & (cached > inputs),
        lines,
        lambda place: (
            f"{cached[place]} tokens of the prompt are cached, and it has {inputs[place]}: prompt lengths are whole, "
            "with what a cache holds"
        ),
        where=where,
    )
    trace = Trace.of(arrival_s[served], inputs[served], outputs[served], cached[served], name=title)
    left_out = int((~served).sum())
    if not left_out:
        return trace
    remark = f"{left_out} of {served.size} requests of the file have no prompt or no answer and are left out."
    return replace(trace, remarks=(remark,))
