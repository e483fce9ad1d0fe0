"""The Dockerfile, before anything is built from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from autoscaler.daemon.endpoint_guard import EndpointGuard
from tests.daemon.test_endpoint_guard import certified, serving

ROOT = Path(__file__).parents[2]


def test_the_linter_has_nothing_to_say_of_it() -> None:
    linter = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_package_that_it_installs_is_pinned_by_hash() -> None:
    installs = re.findall(
        r"pip .*?install.*?(?=&&|$)", (ROOT / "Dockerfile").read_text().replace("\\\n", " "), re.MULTILINE
    )

    assert len(installs) == 3
    assert all("--require-hashes" in command or "--no-index" in command for command in installs)


def test_it_copies_nothing_that_the_ignore_file_holds_back() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]

    needed = {source for sources in copies for source in sources}
    assert needed
    assert all(any(source == path or source.startswith(f"{path}/") for path in allowed) for source in needed)


def probe(port: int) -> int:
    return subprocess.run([sys.executable, ROOT / "deploy/image/health.py", str(port)], check=False).returncode


def test_its_health_check_asks_a_daemon_with_tls_as_well_as_one_without(tmp_path: Path) -> None:
    for guard in (EndpointGuard(), certified(tmp_path, "autoscaler.serving.svc")):
        with serving(guard) as server:
            port = int(server.address.rpartition(":")[2])
            assert probe(port) == 0
        assert probe(port) == 1
