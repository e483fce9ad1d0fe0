"""The daemon as a whole: what is started, in which order, and how it ends."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

from autoscaler import __version__
from autoscaler.config import ScalingPolicy
from autoscaler.core.decision import Decision
from autoscaler.core.policy import Mode, ServicePolicy
from autoscaler.core.snapshot import Snapshot
from autoscaler.daemon.assembly import connections, held_policy, on_schedule, past, require_fit, stack_switch
from autoscaler.daemon.background import BackgroundReporter, close_together
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.endpoint_guard import EndpointGuard, EndpointGuardError
from autoscaler.daemon.follower import PolicyFollower
from autoscaler.daemon.health import Documents, HealthServer
from autoscaler.daemon.leadership import Leadership, own_identity
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.logs import Log
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.metrics.of_daemon import Notifier, of_daemon
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.own_objects import event_reporters, leadership, policy_origin, state_store
from autoscaler.daemon.policy_origin import PolicyOrigin
from autoscaler.daemon.recent import Recent
from autoscaler.daemon.reporters import Reporter, Reporters
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.settings import Settings, StartError
from autoscaler.daemon.settings_file import FileSettings
from autoscaler.daemon.settings_watch import SettingsWatch
from autoscaler.daemon.shared_budget import SharedBudget, SharedBudgets
from autoscaler.daemon.standing import Standing
from autoscaler.daemon.state_store import StateStore
from autoscaler.daemon.status_site import status_documents
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.troubles import TroubleLog
from autoscaler.daemon.webhook_reporter import WebhookReporter

_RELOAD_S = 2.0


def run_daemon(settings: Settings, stop: Event, log: Log, *, patience_s: float) -> list[str]:
    """Run until `stop` is set.

    Args:
        settings: What the command line says.
        stop: Ends it.
        log: Where to say what happens.
        patience_s: How long ticks under way may take to end.

    Returns:
        Services whose tick did not end in time.

    Raises:
        StartError: It cannot start.
    """
    clock, ledger, recent = SteadyClock(), Ledger(), Recent()
    with ExitStack() as stack:
        identity = own_identity()
        leads = leadership(settings, identity, clock, log, stack)
        store = state_store(settings, stack)
        origin = policy_origin(settings, clock, stack)
        budgets = shared_budgets(settings.file)
        notifiers = _notifiers(settings, stack)
        page = MetricsPage(
            ledger,
            of_daemon=lambda: of_daemon(budgets.budgets, notifiers, ledger.namespace_of),
            wall_s=clock.wall_s,
            may_write=lambda service: leads.may_write(budgets.lease(service)),
        )
        reporters = [
            *origin.reporters,
            *event_reporters(settings, origin, identity, stack),
            *(notifier.background for notifier in notifiers),
            *([recent] if settings.shows_status else []),
            *_traces(settings, stack),
        ]
        standing, reporter = Standing(leads, budgets), Reporters(reporters, log, ledger.count)

        def told(tick: Tick) -> None:
            reporter(tick)
            ledger.count(tick.service, standing.of(tick.service))

        loop = Loop(clock, ledger, log, told)

        def workload(document: ScalingPolicy) -> Workload:
            def build() -> ServiceRunner:
                return _runner(document, settings, store, leads, budgets, clock, log)

            return Workload(document.core(), document, build, document.metadata.namespace)

        follower = PolicyFollower(origin.policies, loop, workload, clock, log)
        troubles, edited = TroubleLog(log), SettingsWatch(settings.file_path, settings.file)

        def beside() -> list[Trouble]:
            return [*follower.troubles, *standing.troubles]

        documents = status_documents(ledger, recent, clock, origin.missing, beside) if settings.shows_status else {}

        def follow() -> list[str]:
            problems = follower.follow()
            leads.stand_for(budgets.leases(follower.services))
            found = [
                *origin.followed(follower.failures, loop.services),
                *_short(budgets, origin),
                *edited.troubles(),
            ]
            standing.follow(follower.outdated, found)
            troubles.update(found, clock.now_s())
            return problems

        try:
            problems = follow()
            if problems and origin.strict:
                raise StartError("\n".join(problems))
            with _health_server(settings, ledger, page, documents, clock, origin, log) as health:
                log.info("started", version=__version__, address=health.address, policies=_told_from(settings))
                origin.start()
                leads.start()
                loop.start()
                loop.run(stop, follow, _RELOAD_S)
        finally:
            unfinished = loop.close(patience_s)
            leads.close(release=not unfinished)
        return unfinished


def _runner(
    document: ScalingPolicy,
    settings: Settings,
    store: StateStore,
    leadership: Leadership,
    budgets: SharedBudgets,
    clock: SteadyClock,
    log: Log,
) -> ServiceRunner:
    bound = log.bind(service=document.service)
    policy = held_policy(document)
    require_fit(document)
    writes = document.spec.mode is not Mode.RECOMMEND
    lease = budgets.lease(document.service)

    def may_write() -> bool:
        return leadership.may_write(lease)

    def grant(policy: ServicePolicy, snapshot: Snapshot, alone: Decision) -> float | None:
        return budgets.grant(policy, snapshot, alone, leadership.term(lease))

    source, target = connections(document, settings.around, clock, bound, writes=writes, may_write=may_write)
    return ServiceRunner(
        policy,
        source,
        target,
        store,
        bound,
        may_write=may_write,
        at=on_schedule(document, clock),
        grant=grant,
        switch=stack_switch(document, settings.around, clock, bound, may_write=may_write),
        past=past(document, settings.around, clock, bound),
    )


def shared_budgets(file: FileSettings) -> SharedBudgets:
    """The budgets that services share."""
    return SharedBudgets([SharedBudget(one.name, one.gpus, one.services) for one in file.budgets])


def _short(budgets: SharedBudgets, origin: PolicyOrigin) -> list[Trouble]:
    """Budgets that do not pay for what they must, or for whom they name."""
    if not budgets.budgets:
        return []
    policies = {service: loaded.policy.core() for service, loaded in origin.policies.policies.items()}
    return [Trouble(Dependency.BUDGET, name, why) for name, why in budgets.follow(policies).items()]


def _traces(settings: Settings, stack: ExitStack) -> list[Reporter]:
    if not settings.traces:
        return []
    try:
        from autoscaler.daemon.tracing import TraceReporter  # noqa: PLC0415 - an extra: loaded when asked for
    except ImportError as error:
        raise StartError(f"--traces needs {error.name}: pip install 'pd-autoscaler[otel]'") from error
    reporter = TraceReporter.to_otlp()
    stack.callback(reporter.close)
    return [reporter]


def _notifiers(settings: Settings, stack: ExitStack) -> list[Notifier]:
    made = []
    for webhook in settings.file.webhooks:
        reporter = WebhookReporter(webhook)
        made.append(Notifier(webhook.name, reporter, BackgroundReporter(reporter, webhook.name)))
    stack.callback(close_together, [notifier.background for notifier in made])
    return made


def _told_from(settings: Settings) -> list[str]:
    if settings.watch_policies:
        return [f"scalingpolicies in {settings.watch_namespace or 'all namespaces'}"]
    return [str(path) for path in settings.policies]


@contextmanager
def _health_server(
    settings: Settings,
    ledger: Ledger,
    page: MetricsPage,
    documents: Documents,
    clock: SteadyClock,
    origin: PolicyOrigin,
    log: Log,
) -> Iterator[HealthServer]:
    asked = settings.file.endpoint
    guard = EndpointGuard(asked.cert_file, asked.key_file, asked.token_file)
    try:
        server = HealthServer(settings.host, settings.port, ledger, page, clock, origin.missing, documents, guard, log)
    except EndpointGuardError as error:
        raise StartError(f"--settings: {error}") from error
    except OSError as error:
        remedy = "choose another port, 0 takes any free one"
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            remedy = "the host is an address of this machine, such as 127.0.0.1, or none for all of them"
        raise StartError(f"--listen {settings.host}:{settings.port}: {error.strerror}; {remedy}") from error
    with server:
        yield server
