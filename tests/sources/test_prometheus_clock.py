"""The clock here and that of Prometheus: which instant is asked for, and what happens when ours was set wrong."""

from __future__ import annotations

from contextlib import closing
from email.utils import formatdate

import pytest

from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from tests.sources.chat import NOW_S, pick
from tests.sources.prometheus_server import QUERIES, all_of, elements, reading, the_reason
from tests.support.loopback import Reply, Request, json_reply, running_loopback

BEFORE, NOW = 5.0, 250.0
HALF_AN_HOUR_S = 1800.0


def recorded(request: Request, date: str = formatdate(NOW_S, usegmt=True)) -> Reply:
    """A server on which it is `NOW_S`: a quarter of an hour ago the load rose; it knows nothing of the future."""
    asked_s = float(request.form["time"])
    value = BEFORE if asked_s < NOW_S - 900.0 else NOW
    found = elements(request.form["query"], value, newest_s=asked_s) if asked_s <= NOW_S else []
    answer = json_reply({"status": "success", "data": {"resultType": "vector", "result": found}})
    return Reply(answer.status, answer.body, {**answer.headers, "Date": date})


class Wall:
    """A wall clock, as it is ahead of the one that the daemon counts on."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s

    def __call__(self, at_s: float) -> float:
        return at_s + self.ahead_s


def source_of(url: str, wall: Wall) -> PrometheusSource:
    return PrometheusSource(QUERIES, Connection(url), wall=wall)


@pytest.mark.parametrize("wrong_by_s", [-HALF_AN_HOUR_S, HALF_AN_HOUR_S], ids=["behind", "ahead"])
def test_a_daemon_that_began_on_a_wrong_clock_reads_the_present_once_the_clock_is_set_right(wrong_by_s: float) -> None:
    wall = Wall(0.0)
    with running_loopback(recorded) as server, closing(source_of(server.url, wall)) as source:
        wrong = pick(source.read(NOW_S + wrong_by_s), "decode.running")
        wall.ahead_s = -wrong_by_s
        right = pick(source.read(NOW_S + wrong_by_s), "decode.running")

    assert wrong.usable != NOW
    assert (right.usable, right.age_s) == (NOW, 0.0)


def test_a_clock_that_is_set_back_wrongly_makes_no_old_answer_look_fresh() -> None:
    wall = Wall(-HALF_AN_HOUR_S)
    with running_loopback(recorded) as server, closing(source_of(server.url, wall)) as source:
        reason = the_reason(source.read(NOW_S))
        (load,) = source.ask(["up"], NOW_S).values()
        wall.ahead_s = 0.0
        again = pick(source.read(NOW_S), "decode.running")

    assert "the wall clock here was set and is 1800 s behind that of Prometheus" in reason
    assert "set the clock right" in reason
    assert load.error == reason
    assert again.usable == NOW


def test_a_clock_that_is_set_ahead_wrongly_finds_nothing() -> None:
    with (
        running_loopback(recorded) as server,
        closing(source_of(server.url, Wall(HALF_AN_HOUR_S))) as source,
    ):
        assert pick(source.read(NOW_S), "decode.running").usable is None


def test_a_server_that_does_not_tell_its_time_is_taken_at_its_word() -> None:
    with (
        running_loopback(lambda request: recorded(request, date="soon")) as server,
        closing(source_of(server.url, Wall(-HALF_AN_HOUR_S))) as source,
    ):
        assert pick(source.read(NOW_S), "decode.running").usable == BEFORE


@pytest.mark.parametrize("newest_s", [float("nan"), float("inf"), float("-inf")])
def test_samples_whose_time_is_no_number_are_not_taken_for_fresh(newest_s: float) -> None:
    def answer(request: Request) -> Reply:
        found = elements(request.form["query"], newest_s=newest_s)
        return json_reply({"status": "success", "data": {"resultType": "vector", "result": found}})

    with running_loopback(answer) as server, reading(server) as source:
        signals = all_of(source.read(NOW_S))

    assert {(signal.usable, signal.age_s) for signal in signals} == {(None, None)}
