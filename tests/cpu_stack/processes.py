"""Processes on loopback, each in a group of its own and with its own log."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_STOP_TIMEOUT_S = 10.0


class Process:
    """A process whose log is kept. It ends with the thread that starts it, even if that is killed.

    Args:
        name: What its log is called.
        command: Program and arguments.
        folder: Where it runs, and where its log goes.
        environment: Its whole environment.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        with (folder / f"{name}.log").open("ab") as log:
            self._popen = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", "--", *command),
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group."""
        return self._popen.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def terminate(self) -> None:
        """Ask it to end, as a kubelet does."""
        if self.runs:
            self._popen.terminate()

    def kill(self) -> None:
        """End its whole group at once, and wait for it."""
        if self.runs:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(timeout=_STOP_TIMEOUT_S)


def free_port() -> int:
    """A loopback port that nobody has right now; below 32768, because Dynamo reads some ports as signed 16 bits."""
    while True:
        port = 20_000 + secrets.randbelow(12_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
