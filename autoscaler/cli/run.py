"""`run`: the daemon."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated

import typer

from autoscaler import __version__
from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.options import (
    Kubeconfig,
    KubeContext,
    PolicyArguments,
    PolicyOptions,
    PrometheusUrl,
    policy_paths,
)
from autoscaler.config import ScalingPolicy
from autoscaler.config.store import PolicyStore
from autoscaler.core.policy import Mode
from autoscaler.daemon import logs
from autoscaler.daemon.assembly import Surroundings, connections
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.exposition import registry
from autoscaler.daemon.follower import PolicyFollower
from autoscaler.daemon.health import HealthServer
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_store import FileStateStore, MemoryStateStore, StateStore

_RELOAD_S = 2.0
_LAST_PORT = 65_535
# Kubernetes kills a pod 30 s after it asked it to end.
_PATIENCE_S = 20.0


def run(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    prometheus: PrometheusUrl = None,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to serve /healthz, /readyz and /metrics; port 0 takes any.")
    ] = "127.0.0.1:9464",
    state_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to keep what must survive a restart; else nothing does.")
    ] = None,
    log_format: Annotated[
        logs.LogFormat, typer.Option(help="How log lines look; auto is JSON unless on a terminal.")
    ] = logs.LogFormat.AUTO,
    log_level: Annotated[logs.LogLevel, typer.Option(help="Least severe line to show.")] = logs.LogLevel.INFO,
) -> None:
    """Run the daemon: observe, decide, and act as far as each policy's mode allows.

    Policy files are read again every few seconds; a bad edit is reported and changes nothing. SIGTERM and SIGINT end
    the tick under way and leave with code 0.
    """
    logs.configure(log_format, log_level, sys.stderr)
    log = logs.get()
    paths = policy_paths(policies, policy)
    host, port = parse_listen(listen)
    clock, ledger = SteadyClock(), Ledger()
    store = _state_store(state_dir)
    around = Surroundings(prometheus, kubeconfig, context)
    loop = Loop(clock, ledger, log)

    def workload(document: ScalingPolicy) -> Workload:
        def build() -> ServiceRunner:
            bound = log.bind(service=document.service)
            writes = document.spec.mode is not Mode.RECOMMEND
            source, target = connections(document, around, clock, bound, writes=writes)
            return ServiceRunner(document.core(), source, target, store, bound)

        return Workload(document.core(), document, build)

    follower = PolicyFollower(PolicyStore(paths), loop, workload, clock, log)
    stop = Event()
    try:
        if problems := follower.follow():
            raise CliError("\n".join(problems))
        with _health_server(host, port, ledger, clock) as health:
            _stop_on_signals(stop)
            log.info("started", version=__version__, address=health.address, policies=[str(path) for path in paths])
            loop.start()
            loop.run(stop, follower.follow, _RELOAD_S)
    finally:
        unfinished = loop.close(_PATIENCE_S)
    log.info("stopped")
    if unfinished:
        log.warning("left a tick behind", services=unfinished, waited_s=_PATIENCE_S)
        sys.stderr.flush()
        os._exit(ExitCode.OK)  # its thread would keep the interpreter from ending


def parse_listen(text: str) -> tuple[str, int]:
    """Split HOST:PORT; an IPv6 address stands in brackets, no host means all of them.

    Raises:
        CliError: It is no such pair.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not port.isascii()
        or not port.isdigit()
        or int(port) > _LAST_PORT
        or (":" in bare and bare == host)
    ):
        raise CliError(f"--listen {text}: wants HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:9464")
    return bare, int(port)


def _health_server(host: str, port: int, ledger: Ledger, clock: SteadyClock) -> HealthServer:
    try:
        return HealthServer(host, port, ledger, registry(ledger), clock)
    except OSError as error:
        raise CliError(
            f"--listen {host}:{port}: {error.strerror}; choose another port, 0 takes any free one"
        ) from error


def _state_store(directory: Path | None) -> StateStore:
    if directory is None:
        return MemoryStateStore()
    try:
        return FileStateStore(directory)
    except OSError as error:
        raise CliError(f"--state-dir {directory}: {error.strerror}") from error


def _stop_on_signals(stop: Event) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
