"""`recommend --watch` on a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoscaler.cli.exits import ExitCode
from tests.e2e.conftest import MakeLive
from tests.e2e.gate import Gate

_PATIENCE_S = 30.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_until(terminal: int, words: str) -> str:
    """What the program shows until some words are there, without control sequences."""
    seen, deadline_s = b"", time.monotonic() + _PATIENCE_S
    while words not in _CONTROL.sub("", seen.decode(errors="replace")):
        ready, _, _ = select.select([terminal], [], [], max(deadline_s - time.monotonic(), 0.0))
        if not ready:
            pytest.fail(f"{words!r} did not come; the terminal shows: {seen.decode(errors='replace')}")
        seen += os.read(terminal, 65_536)
    return seen.decode(errors="replace")


def test_a_terminal_shows_the_table_until_interrupted(make_live: MakeLive, gate: Gate, tmp_path: Path) -> None:
    live = make_live()
    policy = live.write_policy(tmp_path, gate.url, interval="5s")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "autoscaler", "recommend", "--watch", str(policy)]
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": "150", "LINES": "40"}
    environment.pop("KUBECONFIG", None)
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        shown = read_until(ours, "LATEST CHANGES")
        assert "READY/NOW -> WANT" in shown
        assert "2/2 -> " in shown
        assert "nothing is written" in shown
        assert "\x1b[" in shown

        program.send_signal(signal.SIGINT)

        assert program.wait(timeout=_PATIENCE_S) == ExitCode.CHANGE
    finally:
        program.kill()
        program.wait()
        os.close(ours)
    assert live.cluster.api.log.writes() == []
