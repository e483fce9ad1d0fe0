"""A container of the image, as a kubelet would start it: read-only root, no capabilities, no new privileges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.prometheus import wait_until

_SHELLS = ("/usr/bin/sh", "/usr/bin/dash", "/usr/bin/bash")
_NAMESPACES = ("pid", "ipc", "uts", "mount")


@dataclass(frozen=True, slots=True)
class Image:
    """What was built.

    Attributes:
        root: Its file system.
        config: Its own configuration, as `docker inspect` shows it.
    """

    root: Path
    config: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Image:
        """Read what `scripts/image-test.sh` left in a folder."""
        inspected = json.loads((folder / "inspect.json").read_text())
        return cls((folder / "root").resolve(), inspected["Docker"]["config"])

    @property
    def command(self) -> list[str]:
        """What it runs."""
        return list(self.config["Entrypoint"])


class Container:
    """A process in the image; without a shell, and with nothing that it could write to.

    Args:
        image: The image.
        folder: Empty folder for its bundle and its output.
        command: What to run.
        mounts: Folders of this machine to show it, read-only, by where.
        own_network: Whether it has a loopback of its own instead of this machine's.
    """

    def __init__(
        self,
        image: Image,
        folder: Path,
        command: list[str],
        mounts: Mapping[str, Path] | None = None,
        *,
        own_network: bool = False,
    ) -> None:
        self._name = f"pd-autoscaler-{uuid.uuid4().hex[:8]}"
        self._folder = folder
        self._log = folder / "log"
        bundle = _bundle(image, command, mounts or {}, own_network=own_network)
        (folder / "config.json").write_text(json.dumps(bundle))
        self._environment = bundle["process"]["env"]
        with self._log.open("wb") as log:
            run = self._runc("run", "--bundle", str(folder), self._name)
            self.process = subprocess.Popen(run, stdout=log, stderr=subprocess.STDOUT, cwd=folder)

    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text()

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(timeout=30.0)

    def execute(self, command: list[str]) -> int:
        """Run a second command in it, as itself; that command's exit code."""
        environment = [word for value in self._environment for word in ("--env", value)]
        run = self._runc("exec", *environment, self._name, *command)
        return subprocess.run(run, capture_output=True, check=False, timeout=30.0).returncode

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first log line of a kind."""
        wait_until(lambda: self._lines(event) != [], f"{event!r} in {self._log}: {self.output()}", timeout_s=30.0)
        return self._lines(event)[0]

    def end(self) -> int:
        """Ask it to end, as a kubelet does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            subprocess.run(self._runc("kill", self._name, "KILL"), check=False, capture_output=True)
            self.process.wait(timeout=10.0)

    def _lines(self, event: str) -> list[dict[str, Any]]:
        lines = [line for line in self.output().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in map(json.loads, lines) if line.get("event") == event]

    def _runc(self, *arguments: str) -> list[str]:
        return ["runc", "--root", str(self._folder / "runc"), *arguments]


@contextmanager
def container(image: Image, folder: Path, command: list[str], **settings: Any) -> Iterator[Container]:
    """A container that does not outlive its test."""
    folder.mkdir(parents=True)
    made = Container(image, folder, command, **settings)
    try:
        yield made
    finally:
        made.kill()


def _bundle(image: Image, command: list[str], mounts: Mapping[str, Path], *, own_network: bool) -> dict[str, Any]:
    uid, _, gid = image.config["User"].partition(":")
    shown = [
        {"destination": where, "type": "bind", "source": str(what), "options": ["bind", "ro"]}
        for where, what in mounts.items()
    ]
    hidden = [
        {"destination": shell, "type": "bind", "source": os.devnull, "options": ["bind", "ro"]}
        for shell in _SHELLS
        if (image.root / shell.lstrip("/")).exists()
    ]
    namespaces = [*_NAMESPACES, *(["network"] if own_network else [])]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(image.root), "readonly": True},
        "process": {
            "user": {"uid": int(uid), "gid": int(gid)},
            "args": command,
            "env": list(image.config["Env"]),
            "cwd": "/",
            "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            *hidden,
            *shown,
        ],
        "linux": {"namespaces": [{"type": kind} for kind in namespaces]},
    }
