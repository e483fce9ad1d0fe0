"""The real program with a settings file: services that share GPUs, and a webhook that is told."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import yaml

from autoscaler.core.policy import Role
from tests.e2e.conftest import MakeLive
from tests.e2e.gate import Gate
from tests.e2e.program import Program, arguments_for
from tests.support.loopback import Reply, running_loopback
from tests.support.prometheus import wait_until


def ticks(program: Program) -> float:
    """Ticks of all services that finished."""
    name = "pd_autoscaler_tick_duration_seconds_count"
    counts = [line for line in program.get("/metrics").splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


def test_two_services_never_hold_more_than_their_budget_and_people_are_told(
    make_live: MakeLive, gate: Gate, tmp_path: Path
) -> None:
    chat, code = make_live(), make_live()
    arguments = arguments_for(chat, tmp_path, gate.url)
    arguments_for(code, tmp_path, gate.url)
    settings = tmp_path / "settings.yaml"

    with running_loopback(lambda _request: Reply(200)) as receiver:
        (tmp_path / "address").write_text(f"{receiver.url}/s3cret\n")
        webhook = {"name": "oncall", "kind": "slack", "urlFile": str(tmp_path / "address")}
        budget = {"name": "h100", "gpus": 9, "services": {chat.name: 10, code.name: 0}}
        settings.write_text(yaml.safe_dump({"budgets": [budget], "webhooks": [webhook]}))
        program = Program(tmp_path, *arguments, "--settings", str(settings))
        try:
            wait_until(lambda: receiver.requests != [], "a message")
            wait_until(lambda: ticks(program) >= 12, "twelve ticks")
            assert program.metric("pd_autoscaler_shared_budget_held_gpus", budget="h100") == 9.0
            assert program.metric("pd_autoscaler_shared_budget_waiting_gpus", budget="h100") > 0.0
            assert program.metric("pd_autoscaler_webhook_messages_total", webhook="oncall", result="sent") >= 1.0

            settings.write_text(yaml.safe_dump({"budgets": [{**budget, "gpus": 20}], "webhooks": [webhook]}))
            assert "restart all daemons" in program.wait_for("trouble")["message"]
        finally:
            program.end(signal.SIGTERM)

    held = {live.name: live.replicas(Role.PREFILL) + live.replicas(Role.DECODE) for live in (chat, code)}
    assert sum(held.values()) == 9
    assert held[chat.name] > held[code.name]
    (first, *_) = receiver.requests
    assert first.path == "/s3cret"
    assert "scaled prefill from 2 to " in json.loads(first.body)["text"]
    assert "s3cret" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(("text", "words"), [("budget: []", "did you mean budgets?"), (None, "No such file")])
def test_settings_that_cannot_be_used_keep_it_from_starting(tmp_path: Path, text: str | None, words: str) -> None:
    settings = tmp_path / "settings.yaml"
    if text is not None:
        settings.write_text(text)
    program = Program(tmp_path, "--policy", str(tmp_path), "--settings", str(settings))

    assert program.process.wait(timeout=20.0) == 2
    assert words in (tmp_path / "log").read_text()
