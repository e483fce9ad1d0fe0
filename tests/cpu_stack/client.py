"""Replays a trace as streaming completions, and keeps what became of every request."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoscaler.simulation.traces import bundled_trace

_TIMEOUT_S = 60.0
_FIRST_WORD, _WORDS = 1000, 1000  # what the mock engines speak, and the tokenizer knows


@dataclass(frozen=True, slots=True)
class Request:
    """When, in seconds from the start of the plan, and how long."""

    at_s: float
    prompt_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Answer:
    """What became of a request.

    Attributes:
        sent_s: On the monotonic clock.
        status: HTTP status; 0 where no response came.
        ttft_s: From sending to the first token; None where none came.
        finish_reason: Of the last piece; empty if the stream ended without one.
        done: Whether the stream ended with its end mark.
        error: What broke it.
        ended_s: When it was over, on the same clock; None while it lasts.
    """

    request: Request
    sent_s: float
    status: int = 0
    ttft_s: float | None = None
    finish_reason: str = ""
    done: bool = False
    error: str = ""
    ended_s: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the user got all of it."""
        return self.status == 200 and self.done and self.finish_reason == "length" and not self.error


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the trace, squeezed or stretched to a mean rate; arrivals keep its rhythm."""

    duration_s: float
    per_s: float


def plan(phases: Sequence[Phase], *, longest_prompt: int, longest_output: int) -> list[Request]:
    """Consecutive requests of the bundled trace, phase by phase, with lengths cut to what the stage bears."""
    trace = bundled_trace()
    requests: list[Request] = []
    begin_s = 0.0
    for phase in phases:
        part = slice(len(requests), len(requests) + round(phase.duration_s * phase.per_s))
        arrival_s = trace.arrival_s[part]
        at_s = begin_s + (arrival_s - arrival_s[0]) * (phase.duration_s / (arrival_s[-1] - arrival_s[0]))
        prompts = np.clip(trace.input_tokens[part], 1, longest_prompt)
        outputs = np.clip(trace.output_tokens[part], 2, longest_output)
        requests += [Request(float(at), int(p), int(o)) for at, p, o in zip(at_s, prompts, outputs, strict=True)]
        begin_s += phase.duration_s
    return requests


class Client:
    """Sends requests to a frontend on loopback.

    Attributes:
        answers: One for each request that was sent, in that order.
    """

    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._model = model
        self._words = np.random.default_rng(20250)
        self.answers: list[Answer] = []

    async def replay(self, requests: Sequence[Request], enough: threading.Event) -> None:
        """Send every request at its time until it is enough, and wait for the last answer."""
        begin_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for request in requests:
                await asyncio.sleep(max(begin_s + request.at_s - time.monotonic(), 0.0))
                if enough.is_set():
                    return
                tasks.create_task(self.send(request))

    async def send(self, request: Request) -> Answer:
        """Send one request, and read its stream to the end."""
        answer = Answer(request, time.monotonic())
        self.answers.append(answer)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._exchange(answer)
        except (OSError, EOFError, TimeoutError) as error:
            answer.error = repr(error)
        answer.ended_s = time.monotonic()
        return answer

    async def _exchange(self, answer: Answer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(self._http(answer.request))
            await writer.drain()
            answer.status = int((await reader.readuntil(b"\r\n")).split()[1])
            await reader.readuntil(b"\r\n\r\n")
            async for line in reader:
                _take(answer, line.decode().strip())
        finally:
            writer.close()
            await writer.wait_closed()

    def _http(self, request: Request) -> bytes:
        """HTTP 1.0, so that the answer comes in no chunks and ends with the connection."""
        words = self._words.integers(_FIRST_WORD, _FIRST_WORD + _WORDS, request.prompt_tokens).tolist()
        asked = {"model": self._model, "prompt": words, "max_tokens": request.output_tokens, "stream": True}
        body = json.dumps(asked).encode()
        head = f"POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _take(answer: Answer, line: str) -> None:
    """Take in one line of a stream of events."""
    if line == "data: [DONE]":
        answer.done = True
    elif line.startswith("data: {") and answer.status == 200:
        piece = json.loads(line.removeprefix("data: "))
        if "choices" not in piece:
            answer.error = line
            return
        (choice,) = piece["choices"]
        if answer.ttft_s is None:
            answer.ttft_s = time.monotonic() - answer.sent_s
        answer.finish_reason = choice.get("finish_reason") or ""
    elif line and not line.startswith(":"):
        answer.error = line
