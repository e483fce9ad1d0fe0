from __future__ import annotations

import errno
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from autoscaler.daemon import logs
from autoscaler.daemon.logs import LogFormat, LogLevel
from autoscaler.daemon.service import ServiceRunner
from autoscaler.report.record import record
from tests.daemon.builders import Bench, policy, role_policy


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_pipe_gets_one_json_object_a_line() -> None:
    stream = io.StringIO()
    logs.configure(LogFormat.AUTO, LogLevel.INFO, stream)

    logs.get(service="chat").info("scale", desired=3)

    (line,) = lines(stream)
    assert line["timestamp"].endswith("Z")
    del line["timestamp"]
    assert line == {"event": "scale", "service": "chat", "desired": 3, "level": "info"}


def test_a_terminal_gets_readable_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    logs.configure(LogFormat.AUTO, LogLevel.INFO, stream)

    logs.get().info("scale", desired=3)

    assert "scale" in stream.getvalue()
    assert "desired=3" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_json_can_be_had_on_a_terminal() -> None:
    stream = Terminal()
    logs.configure(LogFormat.JSON, LogLevel.INFO, stream)

    logs.get().info("scale")

    assert lines(stream)[0]["event"] == "scale"


def test_lines_below_the_level_are_not_shown() -> None:
    stream = io.StringIO()
    logs.configure(LogFormat.JSON, LogLevel.WARNING, stream)

    logs.get().info("quiet")
    logs.get().warning("loud")

    assert [line["event"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize(
    "secret",
    [
        "GET http://user:hunter2@prom:9090/api failed",
        "GET http://hunter2@prom:9090/api failed",
        "GET http://user:p@hunter2@prom:9090/api failed",
        "header Authorization: Bearer hunter2.abc-def was refused",
        "{'Authorization': 'Basic aHVudGVyMg=='} was refused",
        "token: bearer hunter2",
    ],
)
def test_credentials_never_reach_a_line(secret: str) -> None:
    stream = io.StringIO()
    logs.configure(LogFormat.JSON, LogLevel.INFO, stream)

    logs.get().info("failed", message=secret, nested={"more": [secret]})

    assert "hunter2" not in stream.getvalue()
    assert "aHVudGVyMg" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_credentials_in_a_traceback_are_blanked_too() -> None:
    stream = io.StringIO()
    logs.configure(LogFormat.JSON, LogLevel.INFO, stream)

    logs.get().warning("failed", exc_info=ValueError("http://user:hunter2@prom:9090"))

    (line,) = lines(stream)
    assert "ValueError" in line["exception"]
    assert "hunter2" not in line["exception"]


def test_an_innocent_address_is_left_alone() -> None:
    event = logs.without_secrets(None, "info", {"message": "http://prom:9090/path@v1 and the basic assumptions"})

    assert event == {"message": "http://prom:9090/path@v1 and the basic assumptions"}


def test_libraries_log_in_the_same_form_and_talk_less() -> None:
    stream = io.StringIO()
    logs.configure(LogFormat.JSON, LogLevel.INFO, stream)

    logging.getLogger("somewhere").warning("odd: %s", "x")
    logging.getLogger("urllib3.connectionpool").warning("Retrying")

    assert [(line["event"], line["level"]) for line in lines(stream)] == [("odd: x", "warning")]


def test_the_lines_of_a_decision_carry_its_id_and_others_do_not() -> None:
    stream = io.StringIO()
    logs.configure(LogFormat.JSON, LogLevel.INFO, stream)

    with logs.deciding("4f1c"):
        logs.get().info("scale")
    logs.get().info("stopped")

    assert [line.get("decision") for line in lines(stream)] == ["4f1c", None]


def test_one_decision_can_be_followed_from_the_log_to_its_record() -> None:
    stream = io.StringIO()
    logs.configure(LogFormat.JSON, LogLevel.INFO, stream)
    bench = Bench(policy(prefill=role_policy(3)))
    runner = ServiceRunner(bench.policy, bench.source, bench.target, bench.store, logs.get(service="chat"))

    tick = runner.tick(bench.now_s)

    (line,) = lines(stream)
    assert tick.decision is not None
    assert line["event"] == "scale"
    assert line["decision"] == record(tick.decision)["id"] == tick.decision_id


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_lines_that_cannot_be_written_are_lost_and_end_nothing() -> None:
    logs.configure(LogFormat.JSON, LogLevel.INFO, FullDisk())

    logs.get().info("scale")
    logging.getLogger("somebody").warning("else")
