"""TLS and the token of the daemon's endpoint: who may read what, and what a renewed file changes."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoscaler.daemon.endpoint_guard import EndpointGuard, EndpointGuardError
from autoscaler.daemon.health import HealthServer
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.metrics.page import MetricsPage
from tests.daemon.builders import HandClock


def certified(folder: Path, name: str = "127.0.0.1") -> EndpointGuard:
    """A self-signed certificate for loopback."""
    key, certificate = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return EndpointGuard(certificate, key)


def with_token(folder: Path, token: str) -> EndpointGuard:
    path = folder / "token"
    path.write_text(f"{token}\n")
    return EndpointGuard(token_file=path)


@contextmanager
def serving(guard: EndpointGuard) -> Iterator[HealthServer]:
    ledger, clock = Ledger(), HandClock()
    with HealthServer("127.0.0.1", 0, ledger, MetricsPage(ledger), clock, guard=guard) as server:
        yield server


def get(server: HealthServer, path: str, authorization: str = "", trust: Path | None = None) -> tuple[int, str]:
    headers = {"Authorization": authorization} if authorization else {}
    connection = (
        http.client.HTTPConnection(server.address, timeout=5)
        if trust is None
        else http.client.HTTPSConnection(
            server.address, timeout=5, context=ssl.create_default_context(cafile=str(trust))
        )
    )
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "shown", ["", "Bearer wrong", "Bearer ", "Basic s3cret", "s3cret", "Bearer s3cret2", "Bearer é"]
)
def test_without_the_token_nobody_reads_metrics_but_probes_go_on(tmp_path: Path, shown: str) -> None:
    with serving(with_token(tmp_path, "s3cret")) as server:
        status, body = get(server, "/metrics", shown)

        assert (status, "s3cret" in body) == (401, False)
        assert get(server, "/healthz", shown) == (200, "ok\n")
        assert get(server, "/readyz", shown)[0] == 200
        assert get(server, "/anything", shown)[0] == 401


def test_with_the_token_they_are_read_and_a_rotated_one_is_in_force_at_once(tmp_path: Path) -> None:
    guard = with_token(tmp_path, "s3cret")
    with serving(guard) as server:
        assert get(server, "/metrics", "Bearer s3cret")[0] == 200
        assert get(server, "/metrics", "bearer s3cret")[0] == 200

        with_token(tmp_path, "rotated")

        assert get(server, "/metrics", "Bearer s3cret")[0] == 401
        assert get(server, "/metrics", "Bearer rotated")[0] == 200


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_token_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    guard = EndpointGuard(token_file=path)

    assert not any(map(guard.admits, ("", "Bearer ", "Bearer None")))


def test_over_tls_it_serves_whoever_trusts_its_certificate(tmp_path: Path) -> None:
    guard = certified(tmp_path)
    with serving(guard) as server:
        assert get(server, "/metrics", trust=guard.cert_file)[0] == 200
        with pytest.raises((http.client.HTTPException, OSError)):
            get(server, "/metrics")


def test_one_that_never_shakes_hands_holds_no_other_up(tmp_path: Path) -> None:
    guard = certified(tmp_path)
    with serving(guard) as server:
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port))):
            assert get(server, "/healthz", trust=guard.cert_file) == (200, "ok\n")


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    first = certified(tmp_path, "first")
    with serving(first) as server:
        assert get(server, "/healthz", trust=first.cert_file)[0] == 200
        second = certified(tmp_path, "second")
        for file in (second.cert_file, second.key_file):
            assert file is not None
            os.utime(file, (1, 1))

        assert get(server, "/healthz", trust=second.cert_file)[0] == 200


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text("s3cret")

    with pytest.raises(EndpointGuardError, match=r"certificate .*tls\.crt with key .*tls\.key") as raised:
        EndpointGuard(tmp_path / "tls.crt", tmp_path / "tls.key").context()
    assert "s3cret" not in str(raised.value)
