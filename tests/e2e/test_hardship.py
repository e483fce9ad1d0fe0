"""The real program under what a machine may do to it: stopped, out of disk, out of memory, nobody reads its log."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.policy import Role
from tests.e2e import short_lease
from tests.e2e.conftest import MakeLive
from tests.e2e.gate import Gate
from tests.e2e.live import LiveService
from tests.e2e.program import RUN, Program, Start, arguments_for
from tests.support.prometheus import wait_until

ONE_POD_IN_TWO_SECONDS = {
    "max": 1000,
    "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}]}},
}
TICKS = 5
HEADROOM_BYTES = 64 << 20
MOST_GROWTH_BYTES = 16 << 20
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


class Member:
    """One of several daemons, whose writes are told by its service account."""

    def __init__(self, name: str, live: LiveService, url: str, folder: Path) -> None:
        own = folder / name
        own.mkdir()
        self._live = live
        self._user = f"system:serviceaccount:{live.cluster.namespace}:{name}"
        live.write_policy(own, url, interval="1s", prefill=ONE_POD_IN_TWO_SECONDS)
        kubeconfig = live.cluster.kubeconfig(
            own / "kubeconfig.txt", token=live.cluster.service_account(name, EVERYTHING)
        )
        self.program = Program(own, str(own), str(kubeconfig), command=short_lease.COMMAND)

    def writes(self) -> int:
        """Replica counts that it has set."""
        asked = self._live.cluster.api.log.all("patch", "deployments/scale")
        return sum(request.user == self._user and request.code == 200 for request in asked)

    def wait_for_a_write(self) -> None:
        before = self.writes()
        wait_until(lambda: self.writes() > before, f"a write of {self._user}", timeout_s=30.0)


@pytest.fixture
def live(make_live: MakeLive) -> LiveService:
    return make_live()


@pytest.fixture
def pair(live: LiveService, gate: Gate, tmp_path: Path) -> Iterator[tuple[Member, Member]]:
    """One that leads, and one that stands by."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": f"pd.{live.name}"},
        "spec": {},
    }
    live.cluster.create("leases", lease)
    members = []
    try:
        for name in ("one", "other"):
            members.append(Member(name, live, gate.url, tmp_path))
            members[0].wait_for_a_write()
        wait_until(lambda: members[1].program.ticks() >= 2, "the other ticks", timeout_s=20.0)
        yield members[0], members[1]
    finally:
        for member in members:
            member.program.process.kill()
            member.program.process.wait()


def test_one_that_was_stopped_for_longer_than_its_lease_writes_nothing_and_leads_again_when_it_may(
    pair: tuple[Member, Member],
) -> None:
    stopped, other = pair
    stopped.program.process.send_signal(signal.SIGSTOP)
    written = stopped.writes()
    other.wait_for_a_write()

    stopped.program.process.send_signal(signal.SIGCONT)
    ticks = stopped.program.ticks()
    wait_until(lambda: stopped.program.ticks() >= ticks + 3, "three ticks", timeout_s=20.0)
    assert stopped.writes() == written
    assert stopped.program.process.poll() is None

    assert other.program.end(signal.SIGTERM) == 0
    stopped.wait_for_a_write()


class SmallDisk:
    """A disk of 16 KiB where this process may mount one; else a file system whose writes all end so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0

    def fill(self, service: str) -> None:
        """Leave no room."""
        if self.is_mounted:
            for draft in self.folder.iterdir():
                draft.unlink()
            room = os.statvfs(self.folder)
            (self.folder / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize))
        else:
            (self.folder / f"{service}.json.new").symlink_to("/dev/full")

    def free(self, service: str) -> None:
        """Make room again."""
        (self.folder / ("ballast" if self.is_mounted else f"{service}.json.new")).unlink()

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.close()


def test_a_full_disk_stops_no_scaling_is_said_and_is_over_when_there_is_room(
    live: LiveService, gate: Gate, start: Start, small_disk: SmallDisk, tmp_path: Path
) -> None:
    arguments = arguments_for(live, tmp_path, gate.url, prefill=ONE_POD_IN_TWO_SECONDS)
    program = start(*arguments, "--state-dir", str(small_disk.folder))
    wait_until(lambda: live.replicas(Role.PREFILL) >= 3, "prefill at 3", timeout_s=20.0)

    small_disk.fill(live.name)
    message = program.wait_for("trouble")["message"]
    assert "No space left on device; a restart would forget the last changes" in message
    before = live.replicas(Role.PREFILL)
    wait_until(lambda: live.replicas(Role.PREFILL) > before, "prefill grows on", timeout_s=20.0)
    assert program.metric("pd_autoscaler_errors_total", dependency="state", service=live.name) >= 1

    small_disk.free(live.name)
    program.wait_for("recovered")
    wait_until((small_disk.folder / f"{live.name}.json").exists, "its memory")
    json.loads((small_disk.folder / f"{live.name}.json").read_text())
    assert program.end(signal.SIGTERM) == 0


def memory_bytes(program: Program, field: str) -> int:
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


def test_a_memory_limit_little_above_what_it_has_stops_no_tick(
    live: LiveService, gate: Gate, start: Start, tmp_path: Path
) -> None:
    program = start(*arguments_for(live, tmp_path, gate.url, prefill=ONE_POD_IN_TWO_SECONDS))
    wait_until(lambda: program.ticks() >= 3, "three ticks", timeout_s=20.0)
    limit, before = memory_bytes(program, "VmSize") + HEADROOM_BYTES, memory_bytes(program, "VmRSS")

    resource.prlimit(program.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    ticks, replicas = program.ticks(), live.replicas(Role.PREFILL)
    wait_until(lambda: program.ticks() >= ticks + TICKS, f"{TICKS} ticks", timeout_s=40.0)

    assert live.replicas(Role.PREFILL) > replicas
    assert memory_bytes(program, "VmRSS") - before < MOST_GROWTH_BYTES
    assert program.end(signal.SIGTERM) == 0


def test_a_memory_limit_that_is_too_small_to_start_under_ends_it_at_once(tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (150 << 20, 150 << 20))

    command = [sys.executable, *RUN, "--policy", str(tmp_path)]
    done = subprocess.run(command, preexec_fn=limited, capture_output=True, text=True, timeout=30.0, check=False)

    assert done.returncode not in (0, 2)
    assert done.stderr != ""


def test_when_nobody_reads_its_log_any_more_it_goes_on(live: LiveService, gate: Gate, tmp_path: Path) -> None:
    arguments = arguments_for(live, tmp_path, gate.url, prefill=ONE_POD_IN_TWO_SECONDS)
    command: list[Any] = [sys.executable, *RUN, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.close()
        wait_until(lambda: live.replicas(Role.PREFILL) >= 4, "prefill at 4", timeout_s=20.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0
    finally:
        process.kill()
        process.wait()
