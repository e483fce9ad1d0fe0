from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from autoscaler.core.signals import SignalState
from autoscaler.sources.answers import Answer, Element
from autoscaler.sources.dialect import Listener
from autoscaler.sources.readings import signal_expressions
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import ENGINES, EXPECTED, NOW_S, pick, queries, read
from tests.support.prometheus import Prometheus
from tests.support.vllm_series import Fleet


@dataclass
class Server:
    """Knows of each dialect the time of its newest sample."""

    newest_s: dict[str, float]
    asked: list[int] = field(default_factory=list)

    def __call__(self, expressions: Iterable[str], _now_s: float, /) -> Mapping[str, Answer]:
        texts = tuple(expressions)
        self.asked.append(len(texts))
        return {text: self._answer(text) for text in texts}

    def _answer(self, text: str) -> Answer:
        for dialect, at_s in self.newest_s.items():
            if text.startswith(f"max(timestamp({dialect}num_requests_running"):
                return Answer((Element({}, at_s),))
        return Answer()


def dialects(of: ServiceQueries) -> list[str]:
    return [of.dialect, *(other.dialect for other in of.alternatives)]


def spoken(listener: Listener, server: Server, now_s: float = NOW_S) -> str:
    return listener.hear(signal_expressions, server, now_s)[0].dialect


def test_vllm_is_looked_for_under_three_spellings() -> None:
    assert dialects(queries("chat")) == ["vllm:", "kserve_vllm:", "vllm_"]


def test_the_likeliest_dialect_is_asked_first_and_needs_no_second_request() -> None:
    server = Server({"vllm:": NOW_S})

    assert spoken(Listener(queries("chat")), server) == "vllm:"
    assert len(server.asked) == 1


def test_another_dialect_is_found_at_the_first_read() -> None:
    server = Server({"vllm_": NOW_S})
    listener = Listener(queries("chat"))

    assert spoken(listener, server) == "vllm_"
    assert spoken(listener, server) == "vllm_"
    assert len(server.asked) == 3


def test_a_service_that_is_heard_in_no_dialect_keeps_the_last_one() -> None:
    server = Server({"vllm_": NOW_S})
    listener = Listener(queries("chat"))
    spoken(listener, server)
    server.newest_s = {}

    assert spoken(listener, server) == "vllm_"


def test_names_that_change_while_the_old_series_linger_are_followed_once_those_are_stale() -> None:
    server = Server({"vllm:": NOW_S})
    listener = Listener(queries("chat"))

    heard = []
    for later_s in (0.0, 30.0, 60.0, 75.0, 90.0):
        server.newest_s = {"vllm:": NOW_S, "vllm_": NOW_S + later_s}
        heard.append(spoken(listener, server, NOW_S + later_s))

    assert heard == ["vllm:", "vllm:", "vllm:", "vllm_", "vllm_"]


def test_two_dialects_at_once_do_not_alternate() -> None:
    server = Server({})
    listener = Listener(queries("chat"))

    heard = set()
    for tick in range(6):
        now_s = NOW_S + 15.0 * tick
        server.newest_s = {"vllm:": now_s - 10.0 * (tick % 2), "vllm_": now_s - 10.0 * ((tick + 1) % 2)}
        heard.add(spoken(listener, server, now_s))

    assert heard == {"vllm:"}


def test_a_stack_with_one_dialect_is_not_probed() -> None:
    alone = replace(queries("chat"), alternatives=())
    server = Server({})

    Listener(alone).hear(signal_expressions, server, NOW_S)

    assert server.asked == [len(signal_expressions(alone))]


@pytest.mark.parametrize("spelling", ["kserve_vllm:", "vllm_"])
def test_signals_are_the_same_in_every_dialect(server: Prometheus, spelling: str) -> None:
    namespace = f"dialect-{spelling.strip(':_').replace('_', '-')}"
    fleet = Fleet(ENGINES, "llama", {"namespace": namespace}, prefix=spelling)
    server.write(fleet.time_series(NOW_S - 600.0, NOW_S))

    signals = read(server, queries(namespace))

    for path in EXPECTED:
        assert pick(signals, path).value == pytest.approx(EXPECTED[path], rel=1e-6), path


def test_a_service_without_series_is_absent_and_the_likeliest_name_is_in_the_reason(server: Prometheus) -> None:
    depth = pick(read(server, queries("nobody")), "prefill.queue_depth")

    assert depth.state is SignalState.ABSENT
    assert depth.detail.startswith("no series match vllm:num_requests_waiting{")
