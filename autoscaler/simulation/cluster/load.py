"""A load generator for simulated pods: `python -m autoscaler.simulation.cluster.load --prefill URL --decode URL`.

Open loop: requests come at random times, whose rate swings between two values, no matter how fast they are served. Each
goes to the prefill service first and then to the decode service, as a proxy in front of vLLM sends it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from threading import Event
from time import monotonic
from urllib.parse import urlsplit

_PATIENCE_S = 300.0
_MOST_AT_ONCE = 512
_TELL_EVERY_S = 30.0
_SPREAD = 0.5  # of the logarithm of lengths


@dataclass(frozen=True, slots=True)
class Tide:
    """A rate that swings between two values, beginning at ebb.

    Attributes:
        low_per_s: Requests per second at ebb.
        high_per_s: At flood.
        period_s: From ebb to ebb.
    """

    low_per_s: float
    high_per_s: float
    period_s: float

    def rate_per_s(self, elapsed_s: float) -> float:
        """Requests per second after so long."""
        swing = (1.0 - math.cos(2.0 * math.pi * elapsed_s / self.period_s)) / 2.0
        return self.low_per_s + (self.high_per_s - self.low_per_s) * swing

    def next_s(self, elapsed_s: float, random: Random) -> float:
        """When the next request comes, by thinning a Poisson process of the highest rate."""
        while True:
            elapsed_s += random.expovariate(self.high_per_s)
            if random.random() * self.high_per_s <= self.rate_per_s(elapsed_s):
                return elapsed_s


def send(url: str, prompt_tokens: int, output_tokens: int) -> int:
    """Send one request and wait for its answer; its HTTP status, 0 if there was none."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S)
    try:
        body = json.dumps({"prompt_tokens": prompt_tokens, "max_tokens": output_tokens})
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return response.status
    finally:
        connection.close()


def length(mean_tokens: float, random: Random) -> int:
    """A random length, lognormal around a mean."""
    return max(round(random.lognormvariate(math.log(mean_tokens) - _SPREAD**2 / 2.0, _SPREAD)), 1)


class Load:
    """Sends requests until told to stop.

    Args:
        prefill: Address of the prefill service.
        decode: Address of the decode service.
        tide: How many.
        prompt_tokens: Mean length of prompts.
        output_tokens: Mean length of answers.
        seed: Of everything random.

    Attributes:
        outcomes: Requests that ended, by `served` and `failed`.
    """

    def __init__(
        self, prefill: str, decode: str, tide: Tide, *, prompt_tokens: float, output_tokens: float, seed: int = 0
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._prefill, self._decode, self._tide = prefill, decode, tide
        self._prompt_tokens, self._output_tokens = prompt_tokens, output_tokens
        self._random = Random(seed)  # noqa: S311 - load is no secret

    def run(self, stop: Event) -> None:
        """Send until stopped, then wait for what is under way."""
        began_s, told_s, at_s = monotonic(), 0.0, 0.0
        with ThreadPoolExecutor(_MOST_AT_ONCE) as senders:
            while not stop.is_set():
                at_s = self._tide.next_s(at_s, self._random)
                if stop.wait(max(began_s + at_s - monotonic(), 0.0)):
                    break
                senders.submit(
                    self._serve, length(self._prompt_tokens, self._random), length(self._output_tokens, self._random)
                )
                if at_s - told_s >= _TELL_EVERY_S:
                    told_s = at_s
                    sys.stdout.write(f"{self._tide.rate_per_s(at_s):.1f} requests/s, so far {dict(self.outcomes)}\n")
                    sys.stdout.flush()

    def _serve(self, prompt_tokens: int, output_tokens: int) -> None:
        served = all(send(url, prompt_tokens, output_tokens) == http.client.OK for url in (self._prefill, self._decode))
        self.outcomes["served" if served else "failed"] += 1


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    made = argparse.ArgumentParser(prog="python -m autoscaler.simulation.cluster.load", description=__doc__)
    made.add_argument("--prefill", required=True, metavar="URL")
    made.add_argument("--decode", required=True, metavar="URL")
    made.add_argument("--low", type=float, default=4.0, help="requests per second at ebb")
    made.add_argument("--high", type=float, default=20.0, help="requests per second at flood")
    made.add_argument("--period", type=float, default=1200.0, metavar="SECONDS", help="from ebb to ebb")
    made.add_argument("--prompt-tokens", type=float, default=3000.0, help="mean")
    made.add_argument("--output-tokens", type=float, default=200.0, help="mean")
    return made


def main() -> None:
    """Send until told to end."""
    given = parser().parse_args()
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    tide = Tide(given.low, given.high, given.period)
    lengths = {"prompt_tokens": given.prompt_tokens, "output_tokens": given.output_tokens}
    Load(given.prefill, given.decode, tide, **lengths).run(stop)


if __name__ == "__main__":
    main()
