"""One search for every secret, in everything that the program says or keeps."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from tests.e2e.conftest import MakeLive
from tests.e2e.program import Program
from tests.support.loopback import Reply, Request, running_loopback
from tests.support.prometheus import wait_until

INLINE_TOKEN, FILE_TOKEN = "s3cret-inline-token", "s3cret-token-of-a-file"
PASSWORD, HEADER = "s3cret-password", "s3cret-header"
HOOK, ENDPOINT_TOKEN = "s3cret-hook", "s3cret-endpoint-token"
PREFIX = "s3cret"

LOGINS: dict[str, dict[str, Any]] = {
    "token": {"bearerToken": INLINE_TOKEN},
    "token file": {"bearerTokenFile": "FILE"},
    "password and header": {
        "basicAuth": {"username": "u", "password": PASSWORD},
        "headers": {"X-Scope-OrgID": HEADER},
    },
}


def spiteful(request: Request) -> Reply:
    """A server that answers with an error that quotes what it was sent."""
    sent = {name: value for name, value in request.headers.items() if name in ("Authorization", "X-Scope-OrgID")}
    if request.path.startswith("/hook"):
        return Reply(500, request.path.encode())
    return Reply(401, json.dumps({"error": f"not you: {sent}", "status": "error", "errorType": "x"}).encode())


@pytest.mark.parametrize("login", LOGINS)
def test_no_secret_is_said_or_kept_anywhere(make_live: MakeLive, tmp_path: Path, login: str) -> None:
    live = make_live()
    for name, text in (("token", FILE_TOKEN), ("endpoint", ENDPOINT_TOKEN)):
        (tmp_path / name).write_text(text)
    kubeconfig = live.cluster.kubeconfig(tmp_path / "kubeconfig")
    kube_token = live.cluster.admin_token
    with running_loopback(spiteful) as server:
        given = {key: str(tmp_path / "token") if value == "FILE" else value for key, value in LOGINS[login].items()}
        at_least = {"min": 3}
        policy = live.write_policy(
            tmp_path,
            server.url,
            interval="1s",
            prometheus={"url": server.url, "timeout": "2s", **given},
            prefill=at_least,
            decode=at_least,
        )
        settings = tmp_path / "settings.yaml"
        settings.write_text(
            yaml.safe_dump(
                {
                    "webhooks": [{"name": "oncall", "url": f"{server.url}/hook/{HOOK}"}],
                    "endpoint": {"tokenFile": str(tmp_path / "endpoint")},
                }
            )
        )
        program = Program(
            tmp_path,
            *["--policy", str(policy), "--kubeconfig", str(kubeconfig), "--settings", str(settings)],
            *["--state-dir", str(tmp_path / "state"), "--log-level", "debug", "--log-format", "json"],
        )
        try:
            wait_until(lambda: any(one.path.startswith("/hook") for one in server.requests), "the webhook", 20.0)
            wait_until(lambda: "webhook" in str(program.lines("trouble")), "a trouble with it", 20.0)
            program.wait_for("scale")
            pages = [program.get(path, token=ENDPOINT_TOKEN) for path in ("/metrics", "/status.json", "/")]
        finally:
            program.end(signal.SIGTERM)
        commands = [
            CliRunner().invoke(app, [command, str(policy), *more])
            for command, more in (
                ("check", []),
                ("recommend", ["--kubeconfig", str(kubeconfig), "-o", "json"]),
                ("explain", ["--kubeconfig", str(kubeconfig)]),
                ("doctor", ["--kubeconfig", str(kubeconfig)]),
                ("rbac", []),
            )
        ]

    sent = " ".join(str(request.headers) for request in server.requests)
    assert any(secret in sent for secret in (INLINE_TOKEN, FILE_TOKEN, HEADER))  # they were used
    events = live.cluster.request("GET", live.cluster.path("v1", "events"))[1]["items"]
    assert events != []
    said = {
        "log": (tmp_path / "log").read_text(),
        "pages": "".join(pages),
        "Events": json.dumps(events),
        "state": "".join(file.read_text() for file in (tmp_path / "state").iterdir()),
        "commands": "".join(done.output + repr(done.exception) for done in commands),
        "webhook": "".join(one.body.decode() for one in server.requests if one.path.startswith("/hook")),
    }
    assert all(said.values())
    assert {place for place, text in said.items() if PREFIX in text or kube_token in text} == set()
