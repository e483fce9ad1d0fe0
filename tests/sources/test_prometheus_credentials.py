"""Who we are to a Prometheus, and who it is: tokens, passwords, certificates."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autoscaler.sources.http import Connection
from autoscaler.sources.query_client import FailureKind
from tests.sources.chat import NOW_S, pick
from tests.sources.prometheus_server import healthy, reading, the_reason
from tests.support.loopback import running_loopback


def test_a_bearer_token_is_read_anew_when_its_file_changes(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with running_loopback(healthy) as server:
        connection = Connection(server.url, bearer_token_file=token)
        with reading(server, connection=connection) as source:
            source.read(NOW_S)
            token.write_text("second\n")
            before = len(server.requests)
            source.read(NOW_S)

    sent = [request.headers["Authorization"] for request in server.requests]
    assert set(sent[:before]) == {"Bearer first"}
    assert set(sent[before:]) == {"Bearer second"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: [Errno 2]"),
        (" \n", "is empty"),
        ("s3cret\nof another\n", "holds a line break"),
        ("s3cr\u2603t", "holds a line break, or a character that is none of ASCII's"),
    ],
)
def test_a_token_that_cannot_be_read_is_named_and_nothing_is_sent(
    tmp_path: Path, content: str | None, words: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    with (
        running_loopback(healthy) as server,
        reading(server, connection=Connection(server.url, bearer_token_file=token)) as source,
    ):
        reason = the_reason(source.read(NOW_S))

    assert f"the token file {token} {words}" in reason
    assert "s3cr" not in reason
    assert not server.requests
    assert source.last_read.errors == {FailureKind.CREDENTIALS: 1}


@pytest.mark.parametrize("value", ["s3cret\n", "s3cr\u2603t"])
def test_a_header_that_no_request_can_carry_is_said_and_not_quoted(value: str) -> None:
    with (
        running_loopback(healthy) as server,
        reading(server, connection=Connection(server.url, headers={"X-Scope-OrgID": value})) as source,
    ):
        reason = the_reason(source.read(NOW_S))

    assert "a header of spec.prometheus holds a line break" in reason
    assert "s3cr" not in reason
    assert not server.requests


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({"bearer_token": "t0ken"}, "Bearer t0ken"),
        ({"username": "us\u00e9r", "password": "p"}, "Basic dXPDqXI6cA=="),
        ({"username": "user", "password_file": "p"}, "Basic dXNlcjpwYXNz"),
        ({}, None),
    ],
)
def test_credentials_and_headers_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credentials: dict[str, Any], header: str | None
) -> None:
    (tmp_path / "p").write_text("pass\n")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login stray password stray\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if "password_file" in credentials:
        credentials = {**credentials, "password_file": tmp_path / "p"}
    with running_loopback(healthy) as server:
        connection = Connection(server.url, headers={"X-Scope-OrgID": "team"}, **credentials)
        with reading(server, connection=connection) as source:
            source.read(NOW_S)

    (sent,) = {
        tuple(request.headers.get(name) for name in ("Authorization", "X-Scope-OrgID")) for request in server.requests
    }
    assert sent == (header, "team")
    assert server.requests[0].headers["User-Agent"].startswith("pd-autoscaler/")


def test_secrets_do_not_show_when_a_connection_is_printed() -> None:
    connection = Connection("http://x", bearer_token="t0ken", password="pa55", headers={"X-Key": "k3y"})

    assert not re.search("t0ken|pa55|k3y", repr(connection))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for the name prometheus.example."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=prometheus.example", "-addext", "subjectAltName=DNS:prometheus.example"]
    subprocess.run([*command, *names, "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        ({}, "has no certificate that we trust"),
        ({"ca_file": True}, "has no certificate that we trust"),  # trusted, but for another name
        ({"ca_file": True, "server_name": "prometheus.example"}, ""),
        ({"verify": False}, ""),
        ({"ca_file": Path("/nowhere")}, "cannot be reached: Could not find a suitable TLS CA certificate bundle"),
    ],
)
def test_certificates_are_checked(certificate: Path, trust: dict[str, Any], words: str) -> None:
    given = {**trust, "ca_file": certificate if trust.get("ca_file") is True else trust.get("ca_file")}
    with running_loopback(healthy, certificate=certificate) as server:
        connection = Connection(server.url, **given)
        with reading(server, connection=connection) as source:
            signal = pick(source.read(NOW_S), "decode.running")

    assert words in signal.detail
    assert (signal.usable == 7.0) == (not words)


def test_https_to_a_server_that_speaks_http_says_so() -> None:
    with running_loopback(healthy) as server, reading(server.url.replace("http:", "https:")) as source:
        reason = the_reason(source.read(NOW_S))

    assert reason.startswith("TLS with Prometheus at https://")
    assert reason.endswith("does it want a client certificate, or plain http?")


@pytest.mark.parametrize("shown", [True, False])
def test_a_client_certificate_is_shown(certificate: Path, shown: bool) -> None:
    own: dict[str, Any] = {"cert_file": certificate, "key_file": certificate} if shown else {}
    with running_loopback(healthy, certificate=certificate, clients=certificate) as server:
        connection = Connection(server.url, ca_file=certificate, server_name="prometheus.example", **own)
        with reading(server, connection=connection) as source:
            signal = pick(source.read(NOW_S), "decode.running")

    assert (signal.usable == 7.0) == shown
    assert ("does it want a client certificate" in signal.detail or "cannot be reached" in signal.detail) == (not shown)
