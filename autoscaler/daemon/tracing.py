"""Ticks as OpenTelemetry traces: one trace a tick, one span for each thing that it waited for.

Made after the tick, of its record alone, so that deciding knows nothing of it. Where traces go, and how, is said by the
variables that every OpenTelemetry program obeys (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from autoscaler import __version__
from autoscaler.core.decision import Decision
from autoscaler.core.policy import Role
from autoscaler.daemon.logs import blanked, blanked_in
from autoscaler.daemon.narrator import in_words
from autoscaler.daemon.tick import Tick, Trouble
from autoscaler.targets.base import WriteResult

_PREFIX = "pd_autoscaler"
_NS_PER_S = 1_000_000_000


class TraceReporter:
    """Exports each tick as a trace. Implements `Reporter`.

    Args:
        provider: What spans are made by and sent through; shut down with the reporter.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_PREFIX, __version__)

    @classmethod
    def to_otlp(cls) -> TraceReporter:
        """One that sends to the collector that the environment names, by default the one on this host."""
        resource = Resource.create({"service.name": "pd-autoscaler"})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # we do, and bounded
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def report(self, tick: Tick) -> list[Trouble]:
        """Make the spans of a tick; see `Reporter.report`. They are sent later, by a thread of their own."""
        began_ns = ended_ns = _ns(tick.at_s)
        tick_span = self._tracer.start_span("tick", start_time=began_ns, attributes=_of_tick(tick))
        within = set_span_in_context(tick_span)
        for phase in tick.phases:
            phase_ns = began_ns + _ns(phase.began_s)
            waited_for = {f"{_PREFIX}.dependency": phase.dependency.value} if phase.dependency is not None else {}
            span = self._tracer.start_span(phase.name, within, start_time=phase_ns, attributes=waited_for)
            span.end(phase_ns + _ns(phase.took_s))
            ended_ns = max(ended_ns, phase_ns + _ns(phase.took_s))
        if tick.decision is not None:
            _tell(tick_span, tick.decision, tick.writes, ended_ns)
        for trouble in tick.troubles:
            what = {"dependency": trouble.dependency.value, "subject": trouble.subject, "message": trouble.message}
            tick_span.add_event("trouble", blanked_in(what), ended_ns)
        if tick.troubles:
            tick_span.set_status(StatusCode.ERROR, blanked(tick.troubles[0].message))
        tick_span.end(ended_ns)
        return []

    def close(self, patience_s: float = 2.0) -> None:
        """Send what waits, and let go; a collector that does not answer is waited for no longer than `patience_s`."""
        ending = Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(patience_s)


def _of_tick(tick: Tick) -> dict[str, str | bool]:
    return {
        f"{_PREFIX}.service": tick.service,
        f"{_PREFIX}.decision": tick.decision_id,
        f"{_PREFIX}.leads": tick.leads,
        **({f"{_PREFIX}.mode": tick.decision.mode.value} if tick.decision is not None else {}),
    }


def _tell(span: Span, decision: Decision, writes: Mapping[Role, WriteResult], at_ns: int) -> None:
    for role, decided in decision.roles.items():
        event = {"role": role.value, **in_words(decided, writes.get(role))}
        span.add_event("decided", blanked_in(event), at_ns)


def _ns(seconds: float) -> int:
    return round(seconds * _NS_PER_S)
