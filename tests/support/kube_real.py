"""A real kube-apiserver with its etcd, from the folder that KUBEBUILDER_ASSETS names; no controllers, no nodes."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from http.client import HTTPSConnection
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

_READY_S = 60.0
_ADMIN_TOKEN = "admin"


class RealKubeApi:
    """Starts on construction; close it, or use it as a context manager.

    Args:
        binaries: Folder with `etcd` and `kube-apiserver`.
        folder: Empty folder for data, certificates and logs.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.admin_token = _ADMIN_TOKEN
        self.ca_file = folder / "certs" / "apiserver.crt"
        self._processes: list[subprocess.Popen[bytes]] = []
        etcd_url, peer_url = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        port = _free_port()
        self.url = f"https://127.0.0.1:{port}"
        try:
            self._start(folder, [str(binaries / "etcd"), *_etcd_flags(folder, etcd_url, peer_url)])
            self._start(folder, [str(binaries / "kube-apiserver"), *_api_server_flags(folder, etcd_url, port)])
            self._wait_until_ready(folder)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop both processes, the API server first."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, folder: Path, command: list[str]) -> None:
        with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    def _wait_until_ready(self, folder: Path) -> None:
        deadline_s = time.monotonic() + _READY_S
        while not self._is_ready():
            ended = [process for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline_s:
                raise RuntimeError(f"kube-apiserver is not ready, see the logs in {folder}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        if not self.ca_file.exists():
            return False
        context = ssl.create_default_context(cafile=str(self.ca_file))
        connection = HTTPSConnection(urlsplit(self.url).netloc, timeout=2, context=context)
        try:
            connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {self.admin_token}"})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _etcd_flags(folder: Path, url: str, peer_url: str) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        "--unsafe-no-fsync=true",
    ]


def _api_server_flags(folder: Path, etcd_url: str, port: int) -> list[str]:
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{_ADMIN_TOKEN},kubernetes-admin,admin,"system:masters"\n')
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    return [
        f"--etcd-servers={etcd_url}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--cert-dir={folder / 'certs'}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--disable-admission-plugins=ServiceAccount",  # there is no controller that would make the default account
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
