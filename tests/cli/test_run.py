"""What refuses to start; what runs is in tests/e2e."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.exits import CliError
from autoscaler.cli.main import app
from autoscaler.cli.run import parse_listen
from tests.e2e.stage import policy_document


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def policy_file(folder: Path, **spec: Any) -> str:
    path = folder / "chat.yaml"
    document = policy_document("chat", "serving", "http://127.0.0.1:1", **{"mode": "recommend", **spec})
    path.write_text(yaml.safe_dump(document))
    return str(path)


def error_of(folder: Path, *arguments: str) -> str:
    nowhere = {"HOME": str(folder), "KUBECONFIG": None, "KUBERNETES_SERVICE_HOST": None}
    result = CliRunner(env=nowhere).invoke(app, ["run", *arguments])
    assert isinstance(result.exception, CliError), result
    return str(result.exception)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        ("localhost:0", "localhost", 0),
        ("[::1]:9464", "::1", 9464),
        (":9464", "", 9464),
    ],
)
def test_listen_takes_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_listen(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "9464", "localhost", "localhost:", "localhost:http", "localhost:65536", "::1:94", "é..:1"]
)
def test_listen_refuses_anything_else(text: str) -> None:
    with pytest.raises(CliError, match="wants HOST:PORT"):
        parse_listen(text)


def test_no_policy_is_refused(tmp_path: Path) -> None:
    assert "no policy is named" in error_of(tmp_path)


def test_a_bad_policy_is_refused_at_the_start(tmp_path: Path) -> None:
    assert "spec.interval" in error_of(tmp_path, policy_file(tmp_path, interval="1parsec"))


def test_a_policy_without_prometheus_is_refused_at_the_start(tmp_path: Path) -> None:
    assert "--prometheus" in error_of(tmp_path, policy_file(tmp_path, prometheus={}))


@pytest.mark.parametrize("mode", ["enforce", "server-dry-run"])
def test_a_policy_that_writes_needs_a_cluster(tmp_path: Path, mode: str) -> None:
    assert "pass --kubeconfig" in error_of(tmp_path, policy_file(tmp_path, mode=mode))


def test_a_port_in_use_is_refused_with_a_way_out(tmp_path: Path, taken_port: int) -> None:
    message = error_of(tmp_path, policy_file(tmp_path), "--listen", f"127.0.0.1:{taken_port}")

    assert "in use" in message
    assert "0 takes any free one" in message


def test_an_address_of_another_machine_is_refused_as_such(tmp_path: Path) -> None:
    message = error_of(tmp_path, policy_file(tmp_path), "--listen", "192.0.2.1:0")

    assert "--listen 192.0.2.1:0: " in message
    assert "the host is an address of this machine, such as 127.0.0.1, or none for all of them" in message
    assert "port" not in message


def test_a_state_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for path in (tmp_path / "file", tmp_path / "file" / "state"):
        message = error_of(tmp_path, policy_file(tmp_path), "--state-dir", str(path))

        assert f"--state-dir {path}: a file stands where the folder should: name another place" in message


@pytest.mark.parametrize("kind", ["memory", "configmap"])
def test_a_folder_for_a_memory_that_is_kept_elsewhere_is_refused(tmp_path: Path, kind: str) -> None:
    folder = str(tmp_path / "state")

    message = error_of(tmp_path, policy_file(tmp_path), "--state-dir", folder, "--state", kind)

    assert f"--state-dir is the folder of --state dir: leave it out, or --state {kind}" in message


@pytest.mark.parametrize("option", ["--lease-namespace", "--lease-name"])
def test_a_place_for_leases_without_leases_is_refused(tmp_path: Path, option: str) -> None:
    message = error_of(tmp_path, policy_file(tmp_path), option, "pd", "--state-dir", str(tmp_path / "state"))

    assert f"{option} is about --leader-elect and --state configmap: pass one of them too" in message
