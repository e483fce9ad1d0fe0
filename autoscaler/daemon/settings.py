"""What the command line says to the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from autoscaler.daemon.elector import Terms
from autoscaler.daemon.loopback import is_loopback
from autoscaler.daemon.settings_file import FileSettings
from autoscaler.daemon.surroundings import Surroundings


class StartError(Exception):
    """The daemon cannot start; says what is wrong, why, and what to do next."""


class StateKind(StrEnum):
    """Where the memory of a service is kept."""

    MEMORY = "memory"
    DIR = "dir"
    CONFIGMAP = "configmap"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says.

    Attributes:
        policies: Policy files, or folders of them.
        around: The world around all policies.
        host: Address to serve health and metrics on.
        port: Port of it; 0 takes any free one.
        state: Where memory is kept.
        state_dir: The folder of it.
        leader_elect: Whether several daemons share the work.
        own_namespace: Namespace of leases and memory; None for the one of our pod.
        own_name: What their names begin with.
        lease_terms: How long leases last.
        watch_policies: Whether policies are objects of the cluster instead of files.
        watch_namespace: Namespace of these; empty for all.
        cross_namespace: Whether these may read and scale outside of theirs.
        file: What the settings file says.
        file_path: The settings file; None where there is none.
        status_page: Whether to serve the status page where others can reach it; on loopback it always is.
        traces: Whether to export ticks as OpenTelemetry traces.
    """

    policies: tuple[Path, ...] = ()
    around: Surroundings = field(default_factory=Surroundings)
    host: str = "127.0.0.1"
    port: int = 0
    state: StateKind = StateKind.MEMORY
    state_dir: Path | None = None
    leader_elect: bool = False
    own_namespace: str | None = None
    own_name: str = "pd-autoscaler"
    lease_terms: Terms = field(default_factory=Terms)
    watch_policies: bool = False
    watch_namespace: str = ""
    cross_namespace: bool = False
    file: FileSettings = field(default_factory=FileSettings)
    file_path: Path | None = None
    status_page: bool = False
    traces: bool = False

    @property
    def shows_status(self) -> bool:
        """Whether the status page is served."""
        return self.status_page or is_loopback(self.host)
