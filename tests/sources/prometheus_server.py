"""A server that answers as a healthy Prometheus does, for tests in which one goes wrong."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from autoscaler.core.signals import Signal, Signals, SignalState
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import NOW_S, queries
from tests.support.loopback import Loopback, Reply, Request, json_reply

QUERIES = queries("chat")


class FakeClock:
    """Seconds that pass when told, or by a step a look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.at_s = 100.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.at_s += self.step_s
        return self.at_s


def elements(query: str, value: float = 7.0, newest_s: float = NOW_S) -> list[dict[str, Any]]:
    """One series for every expression of a query; ages are those of fresh samples."""
    arms = re.findall(r'label_replace\((.*?)\n, "pd_signal", "(\d+)", "", ""\)', query, re.DOTALL)
    return [
        {"metric": {"pd_signal": index} if index else {}, "value": [NOW_S, str(newest_s if is_age(text) else value)]}
        for text, index in arms or [(query, "")]
    ]


def is_age(text: str) -> bool:
    return text.startswith("max(timestamp(")


def healthy(request: Request, **extra: object) -> Reply:
    result = elements(request.form["query"])
    return json_reply({"status": "success", "data": {"resultType": "vector", "result": result}, **extra})


def always(reply: Reply) -> Callable[[Request], Reply]:
    return lambda _: reply


@contextlib.contextmanager
def reading(
    server: Loopback | str,
    *,
    of: ServiceQueries = QUERIES,
    clock: Callable[[], float] = time.monotonic,
    timeout_s: float = 5.0,
    connection: Connection | None = None,
) -> Iterator[PrometheusSource]:
    url = server if isinstance(server, str) else server.url
    source = PrometheusSource(of, connection or Connection(url, timeout_s=timeout_s), clock=clock)
    with contextlib.closing(source):
        yield source


def all_of(signals: Signals) -> list[Signal]:
    return [signal for of_scope in signals.values() for signal in of_scope.values()]


def the_reason(signals: Signals) -> str:
    """Why every signal is absent, which must be one reason."""
    assert {signal.state for signal in all_of(signals)} == {SignalState.ABSENT}
    (reason,) = {signal.detail for signal in all_of(signals)}
    return reason


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
