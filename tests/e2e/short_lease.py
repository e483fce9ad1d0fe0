"""The program with leases of seconds, for tests that outlast one. Arguments: policies, kubeconfig."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from threading import Event

from autoscaler.daemon import logs
from autoscaler.daemon.elector import Terms
from autoscaler.daemon.process import run_daemon
from autoscaler.daemon.settings import Settings, StateKind
from autoscaler.daemon.surroundings import Surroundings

COMMAND = ("-m", "tests.e2e.short_lease")
TERMS = Terms(lease_s=6.0, renew_s=1.5, write_s=1.0)


def main(policies: str, kubeconfig: str) -> None:
    """Run the daemon until SIGTERM."""
    logs.configure(logs.LogFormat.JSON, logs.LogLevel.INFO, sys.stderr)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = Settings(
        policies=(Path(policies),),
        around=Surroundings(kubeconfig=kubeconfig),
        state=StateKind.CONFIGMAP,
        leader_elect=True,
        own_namespace="serving",
        own_name="pd",
        lease_terms=TERMS,
    )
    run_daemon(settings, stop, logs.get(), patience_s=5.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
