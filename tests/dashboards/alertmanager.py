"""A real Alertmanager for tests, on a loopback port that the kernel picks."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.prometheus import wait_until

_SILENT = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
_LISTENING = re.compile(r"Listening on.* address=127\.0\.0\.1:(\d+)")
_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def running_alertmanager(root: Path) -> Iterator[str]:
    """Start an Alertmanager that tells nobody; its address as host:port."""
    (root / "alertmanager.yml").write_text(_SILENT)
    log_path = root / "alertmanager.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={root / 'alertmanager.yml'}",
                f"--storage.path={root / 'alertmanager'}",
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: _LISTENING.search(log_path.read_text()) is not None, "Alertmanager to listen")
            yield f"127.0.0.1:{_port(log_path)}"
        finally:
            process.terminate()
            process.wait(timeout=10.0)


def received(address: str) -> list[dict[str, Any]]:
    """The alerts that it has; none while it cannot be asked yet."""
    try:
        with _HTTP.open(f"http://{address}/api/v2/alerts", timeout=5.0) as response:
            return list(json.loads(response.read()))
    except OSError:
        return []


def _port(log_path: Path) -> int:
    found = _LISTENING.search(log_path.read_text())
    assert found is not None
    return int(found[1])
