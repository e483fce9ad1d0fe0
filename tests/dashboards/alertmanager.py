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


def received(address: str, name: str) -> list[dict[str, Any]]:
    """The alerts of a name that it has; none while it cannot be asked yet."""
    try:
        alerts = _get(f"http://{address}/api/v2/alerts")
    except OSError:
        return []
    return [alert for alert in alerts if alert["labels"]["alertname"] == name]


def is_known_to(prometheus_url: str) -> bool:
    """Whether a Prometheus has found an Alertmanager; what fires before that reaches none for a minute."""
    return bool(_get(f"{prometheus_url}/api/v1/alertmanagers")["data"]["activeAlertmanagers"])


def _get(url: str) -> Any:
    with _HTTP.open(url, timeout=5.0) as response:
        return json.loads(response.read())


def _port(log_path: Path) -> int:
    found = _LISTENING.search(log_path.read_text())
    assert found is not None
    return int(found[1])
