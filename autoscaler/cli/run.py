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

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.options import (
    Kubeconfig,
    KubeContext,
    PolicyArguments,
    PolicyOptions,
    PrometheusUrl,
    named_path,
    policy_paths,
)
from autoscaler.cli.places import OWN_NAME, refuse_unused_places
from autoscaler.cli.settings import SettingsFile, file_settings
from autoscaler.daemon import logs
from autoscaler.daemon.process import run_daemon
from autoscaler.daemon.settings import Settings, StartError, StateKind
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.targets.kubernetes.budget import RequestBudget

_LAST_PORT = 65_535
# Kubernetes kills a pod 30 s after it asked it to end.
_PATIENCE_S = 20.0


def run(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    watch_policies: Annotated[
        bool, typer.Option("--watch-policies", help="Take policies from ScalingPolicy objects of the cluster.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option(metavar="NS", help="Namespace of --watch-policies. Default: all of them.")
    ] = None,
    allow_cross_namespace: Annotated[
        bool,
        typer.Option(
            "--allow-cross-namespace",
            help="Let --watch-policies' objects read and scale outside of their namespace, and name any address.",
        ),
    ] = False,
    prometheus: PrometheusUrl = None,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    settings_file: SettingsFile = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Where to serve /healthz, /readyz and /metrics; without HOST on all addresses, port 0 takes any.",
        ),
    ] = "127.0.0.1:9464",
    status_page: Annotated[
        bool,
        typer.Option("--status-page", help="Serve the status page beyond loopback too, to whoever can reach it."),
    ] = False,
    state: Annotated[
        StateKind | None,
        typer.Option(
            help="Where to keep what must survive a restart. Default: dir if --state-dir is given, else memory."
        ),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of --state dir.", parser=named_path)
    ] = None,
    leader_elect: Annotated[
        bool, typer.Option("--leader-elect", help="Share the work with other daemons: one Lease a service.")
    ] = False,
    lease_namespace: Annotated[
        str | None,
        typer.Option(metavar="NS", help="Namespace of the Leases, and of the ConfigMaps of --state configmap."),
    ] = None,
    lease_name: Annotated[
        str, typer.Option(metavar="NAME", help="What the names of Leases and ConfigMaps begin with.")
    ] = OWN_NAME,
    traces: Annotated[
        bool,
        typer.Option(
            "--traces", help="Export ticks as OpenTelemetry traces (OTEL_EXPORTER_OTLP_ENDPOINT); extra otel."
        ),
    ] = False,
    log_format: Annotated[
        logs.LogFormat, typer.Option(help="How log lines look; auto is JSON unless on a terminal.")
    ] = logs.LogFormat.AUTO,
    log_level: Annotated[logs.LogLevel, typer.Option(help="Least severe line to show.")] = logs.LogLevel.INFO,
) -> None:
    """Run the daemon: observe, decide, and act as far as each policy's mode allows.

    Policy files are read again every few seconds; a bad edit is reported and changes nothing. With `--watch-policies`
    the policies are objects of the cluster, whose status says what becomes of them. SIGTERM, SIGINT, and SIGHUP where
    it is not ignored, as under nohup, end the tick under way and leave with code 0.

    With `--leader-elect`, daemons that use the same namespace and name of leases share the services: each decides for
    all of them, and one writes for each. When it dies, another takes over within a lease, which is 15 s. Services that
    share a budget in the `--settings` file have one lease together.
    """
    logs.configure(log_format, log_level, sys.stderr)
    log = logs.get()
    host, port = parse_listen(listen)
    if watch_policies and (policies or policy):
        raise CliError("--watch-policies takes policies from the cluster: name no files beside it")
    if namespace is not None and not watch_policies:
        raise CliError("--namespace says where --watch-policies looks: pass that too")
    if allow_cross_namespace and not watch_policies:
        raise CliError("--allow-cross-namespace is about --watch-policies: files may do that anyway")
    kind = state or (StateKind.MEMORY if state_dir is None else StateKind.DIR)
    refuse_unused_places(
        kind,
        leader_elect=leader_elect,
        state_dir=state_dir,
        lease_namespace=lease_namespace,
        lease_name=lease_name,
    )
    settings = Settings(
        policies=() if watch_policies else tuple(policy_paths(policies, policy)),
        watch_policies=watch_policies,
        watch_namespace=namespace or "",
        cross_namespace=allow_cross_namespace,
        around=Surroundings(prometheus, kubeconfig, context, RequestBudget()),
        host=host,
        port=port,
        status_page=status_page,
        traces=traces,
        state=kind,
        state_dir=state_dir,
        leader_elect=leader_elect,
        own_namespace=lease_namespace,
        own_name=lease_name,
        file=file_settings(settings_file),
        file_path=settings_file,
    )
    stop = Event()
    _stop_on_signals(stop)
    try:
        unfinished = run_daemon(settings, stop, log, patience_s=_PATIENCE_S)
    except StartError as error:
        raise CliError(str(error)) from error
    log.info("stopped")
    if unfinished:
        log.warning("left a tick behind", services=unfinished, waited_s=_PATIENCE_S)
        sys.stderr.flush()
        os._exit(ExitCode.OK)  # its thread would keep the interpreter from ending


def parse_listen(text: str) -> tuple[str, int]:
    """Split HOST:PORT; an IPv6 address stands in brackets, no host means all addresses.

    Raises:
        CliError: It is no such pair.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not text.isascii()
        or not port.isdigit()
        or int(port) > _LAST_PORT
        or (":" in bare and bare == host)
    ):
        raise CliError(f"--listen {text}: wants HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:9464")
    return bare, int(port)


def _stop_on_signals(stop: Event) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup has it outlive its terminal
        signal.signal(signal.SIGHUP, handle)
