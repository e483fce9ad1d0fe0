"""The real program as a process of its own: started, looked at, sent signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.live import LiveService
from tests.support.prometheus import wait_until

RUN = ("-m", "autoscaler", "run", "--listen", "127.0.0.1:0")


class Program:
    """`pd-autoscaler run` as a process of its own.

    Args:
        folder: Where its log goes.
        arguments: Of the command.
        command: What Python is to run.
    """

    def __init__(self, folder: Path, *arguments: str, command: Sequence[str] = RUN) -> None:
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self._seen = self._log.stat().st_size
            whole = [sys.executable, *command, *arguments]
            self.process = subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=log)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Log lines of one kind since this process began."""
        text = self._log.read_bytes()[self._seen :].decode()
        complete = text[: text.rfind("\n") + 1].splitlines()
        return [line for line in map(json.loads, complete) if line["event"] == event]

    def wait_for(self, event: str, times: int = 1) -> dict[str, Any]:
        """The latest of so many lines."""
        wait_until(lambda: len(self.lines(event)) >= times, f"{times} x {event!r} in {self._log}", timeout_s=20.0)
        return self.lines(event)[-1]

    def get(self, path: str, *, token: str = "") -> str:
        """What its own endpoint answers."""
        address = self.wait_for("started")["address"]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://{address}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=5.0) as response:  # noqa: S310 - the scheme stands here
            return str(response.read().decode())

    def is_ready(self) -> bool:
        """Whether it says so; until then it answers 503."""
        try:
            return self.get("/readyz") == "ok\n"
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def metric(self, name: str, **labels: str) -> float:
        """The one sample of that name with these labels among its own."""
        families = text_string_to_metric_families(self.get("/metrics"))
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        (found,) = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
        return found

    def ticks(self) -> int:
        """Ticks that finished."""
        return int(self.metric("pd_autoscaler_tick_duration_seconds_count"))

    def end(self, with_signal: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=10.0)


Start = Callable[..., Program]
"""Starts the program with these arguments."""


def arguments_for(live: LiveService, folder: Path, url: str, **policy: Any) -> list[str]:
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    live.write_policy(policies, url, interval="1s", **policy)
    return ["--policy", str(policies), "--kubeconfig", str(live.cluster.kubeconfig(folder / "kubeconfig"))]
