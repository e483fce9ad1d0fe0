"""Messages to people: what is told, how often, in which form, and what never is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.settings_file import Webhook, WebhookKind
from autoscaler.daemon.tick import Dependency
from autoscaler.daemon.webhook import WebhookError, body_for, post
from autoscaler.daemon.webhook_reporter import WebhookReporter
from autoscaler.targets.kubernetes.refs import JsonObject
from tests.daemon.builders import Bench, blind_signals, policy, role_policy, steady_signals
from tests.support.loopback import Reply, Request, running_loopback


def webhook(url: str = "http://127.0.0.1:1/s3cret", kind: WebhookKind = WebhookKind.JSON) -> Webhook:
    return Webhook(name="oncall", kind=kind, url=SecretStr(url))


class Stand:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.sent: list[JsonObject] = []
        self.broken = False
        self.tried = 0
        self.reporter = WebhookReporter(webhook(), self._send)

    def _send(self, _webhook: Webhook, body: JsonObject) -> None:
        self.tried += 1
        if self.broken:
            raise WebhookError("webhook oncall does not answer")
        self.sent.append(body)

    def tick(self, after_s: float = 15.0) -> list[Any]:
        return self.reporter.report(self.bench.tick(after_s))

    def texts(self) -> list[str]:
        return [text for body in self.sent for text in body["messages"]]


def test_a_recommendation_is_told_once() -> None:
    stand = Stand(Bench(policy(Mode.RECOMMEND, prefill=role_policy(3))))

    for _ in range(40):
        stand.tick()

    (text,) = stand.texts()
    assert text.startswith("prefill should go from 2 to 3 replicas: ")
    assert stand.sent[0]["service"] == "chat"
    assert stand.sent[0]["decision"]["roles"]["prefill"]["desired"] == 3


def test_a_recommendation_that_changes_is_told_again() -> None:
    stand = Stand(Bench(policy(Mode.RECOMMEND, prefill=role_policy(3))))
    stand.tick()
    stand.bench.target.counts[Role.PREFILL] = 1

    stand.tick(after_s=120.0)

    assert [text.partition(":")[0] for text in stand.texts()] == [
        "prefill should go from 2 to 3 replicas",
        "prefill should go from 1 to 3 replicas",
    ]


def test_what_was_scaled_is_told_each_time() -> None:
    stand = Stand(Bench(policy(prefill=role_policy(3))))
    stand.tick()
    stand.bench.target.counts[Role.PREFILL] = 2

    stand.tick(after_s=3600.0)

    assert [text.partition(":")[0] for text in stand.texts()] == ["scaled prefill from 2 to 3 replicas"] * 2


def test_what_comes_within_a_minute_is_told_together() -> None:
    stand = Stand(Bench(policy(Mode.RECOMMEND, prefill=role_policy(3))))
    stand.tick()
    for count in (1, 2):
        stand.bench.target.counts[Role.PREFILL] = count
        stand.tick(after_s=20.0)
    assert len(stand.sent) == 1

    stand.tick(after_s=30.0)

    assert [len(body["messages"]) for body in stand.sent] == [1, 2]


def test_a_problem_is_told_when_it_has_lasted_and_when_it_is_over() -> None:
    stand = Stand(Bench())
    stand.bench.source.signals = blind_signals()
    for _ in range(20):
        stand.tick()
    assert stand.sent == []
    for _ in range(20):
        stand.tick()
    assert len(stand.texts()) == 2
    assert stand.texts()[0].startswith("for 5 min: signals of prefill: ")

    stand.bench.source.signals = steady_signals()
    stand.tick()

    assert stand.texts()[2:] == ["over after 10 min: signals of prefill", "over after 10 min: signals of decode"]


def test_a_problem_that_passes_is_not_told() -> None:
    stand = Stand(Bench())
    for signals in (blind_signals(), steady_signals()) * 40:
        stand.bench.source.signals = signals
        stand.tick()

    assert stand.sent == []


def test_a_standby_tells_nothing() -> None:
    stand = Stand(Bench(policy(Mode.RECOMMEND, prefill=role_policy(3)), may_write=lambda: False))

    stand.tick()

    assert stand.sent == []


def test_a_receiver_that_does_not_answer_is_tried_again_a_minute_later_and_told_everything() -> None:
    stand = Stand(Bench(policy(prefill=role_policy(3))))
    stand.broken = True
    found = [stand.tick() for _ in range(4)]
    assert [[trouble.dependency for trouble in troubles] for troubles in found] == [[Dependency.WEBHOOK]] * 4
    assert stand.tried == 1

    stand.broken = False
    assert stand.tick() == []

    assert len(stand.texts()) == 1


def test_what_cannot_be_sent_does_not_pile_up() -> None:
    stand = Stand(Bench(policy(prefill=role_policy(3))))
    stand.broken = True
    for _ in range(50):
        stand.bench.target.counts[Role.PREFILL] = 2
        stand.tick(after_s=120.0)
    stand.broken = False
    stand.tick(after_s=120.0)

    assert len(stand.texts()) <= 11


def test_no_credentials_get_into_a_message() -> None:
    stand = Stand(Bench())
    stand.bench.target.errors[Role.PREFILL] = "https://user:hunter2@proxy refused Authorization: Bearer abc.def"
    for _ in range(30):
        stand.tick()

    assert len(stand.texts()) == 1
    assert "hunter2" not in str(stand.sent)


def test_slack_and_teams_get_their_forms() -> None:
    slack = body_for(WebhookKind.SLACK, "chat", ["p95 > 2 s & <rising>"], {})
    teams = body_for(WebhookKind.TEAMS, "chat", ["one", "two"], {})

    assert slack == {"text": "*chat*\n• p95 &gt; 2 s &amp; &lt;rising&gt;"}
    (attachment,) = teams["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert [block["text"] for block in attachment["content"]["body"]] == ["chat", "one", "two"]


def answering(status: int) -> Callable[[Request], Reply]:
    return lambda _request: Reply(status, b"s3cret is not a channel", {"Location": "http://elsewhere/s3cret"})


def test_a_message_is_posted_as_json() -> None:
    with running_loopback(answering(200)) as server:
        post(webhook(f"{server.url}/hook?sig=1"), {"text": "ü"})

        (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/hook?sig=1")
    assert json.loads(request.body) == {"text": "ü"}


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusal_says_the_code_and_not_the_address(status: int) -> None:
    with running_loopback(answering(status)) as server:
        with pytest.raises(WebhookError) as raised:
            post(webhook(f"{server.url}/s3cret"), {})
        assert len(server.requests) == 1

    assert str(status) in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/s3cret", "http://[s3cret", "https://127.0.0.1:1/s3cret"])
def test_a_receiver_that_is_not_there_is_named_and_not_its_address(url: str) -> None:
    with pytest.raises(WebhookError) as raised:
        post(webhook(url), {})

    assert "webhook oncall" in str(raised.value)
    assert "s3cret" not in str(raised.value)
