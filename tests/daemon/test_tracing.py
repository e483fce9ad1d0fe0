from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import yaml
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from autoscaler.core.policy import Role
from autoscaler.daemon.tracing import TraceReporter
from tests.daemon.builders import Bench, blind_signals, policy, role_policy
from tests.e2e.stage import policy_document


class Stand:
    """A bench whose ticks are traced into memory."""

    def __init__(self) -> None:
        self.bench = Bench(policy(prefill=role_policy(3)))
        self.memory = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.reporter = TraceReporter(provider)

    def spans(self) -> dict[str, ReadableSpan]:
        """Spans of one more tick, by name."""
        self.memory.clear()
        self.reporter.report(self.bench.tick())
        return {span.name: span for span in self.memory.get_finished_spans()}


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.reporter.close()


def test_a_tick_is_one_trace_with_a_span_for_each_thing_it_waited_for(stand: Stand) -> None:
    spans = stand.spans()

    assert set(spans) == {"tick", "recall", "read replicas", "read signals", "decide", "keep state", "write prefill"}
    assert len({span.context.trace_id for span in spans.values() if span.context is not None}) == 1
    parents = {span.parent.span_id if span.parent is not None else None for span in spans.values()}
    assert spans["tick"].context is not None
    assert parents == {None, spans["tick"].context.span_id}


def test_a_trace_is_found_by_the_decision_that_the_log_names(stand: Stand) -> None:
    span = stand.spans()["tick"]

    assert span.attributes is not None
    assert span.attributes["pd_autoscaler.service"] == "chat"
    assert span.attributes["pd_autoscaler.decision"] == stand.bench.runner.tick(stand.bench.now_s).decision_id


def test_spans_lie_where_the_time_went(stand: Stand) -> None:
    spans = stand.spans()
    tick = spans.pop("tick")

    assert tick.start_time == round(stand.bench.now_s * 1e9)
    assert tick.end_time is not None
    for span in spans.values():
        assert span.start_time is not None
        assert span.end_time is not None
        assert tick.start_time <= span.start_time <= span.end_time <= tick.end_time


def test_the_decision_is_told_with_its_reason_and_what_became_of_it(stand: Stand) -> None:
    events = [event.attributes for event in stand.spans()["tick"].events]

    (prefill,) = [event for event in events if event is not None and event["role"] == "prefill"]
    assert (prefill["current"], prefill["desired"], prefill["reason"]) == (2, 3, "at_min")
    assert prefill["outcome"] == "applied"


def test_a_troubled_tick_is_an_error_that_says_what_is_wrong(stand: Stand) -> None:
    stand.bench.source.signals = blind_signals()

    span = stand.spans()["tick"]

    assert span.status.status_code is StatusCode.ERROR
    troubles = [event.attributes for event in span.events if event.name == "trouble"]
    assert troubles[0] is not None
    assert troubles[0]["dependency"] == "signals"


def test_a_collector_receives_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        reporter = TraceReporter.to_otlp()
        reporter.report(Bench().tick())
        reporter.close()
        server.shutdown()
        thread.join()

    assert asked == ["/v1/traces"]


def test_a_collector_that_hangs_holds_the_end_up_no_longer_than_it_may() -> None:
    ending, over = Event(), Event()

    class Hanging(TracerProvider):
        def shutdown(self) -> None:
            ending.set()
            over.wait(10.0)

    TraceReporter(Hanging(shutdown_on_exit=False)).close(patience_s=0.05)

    assert ending.is_set()
    assert not over.is_set()
    over.set()


def test_without_the_extra_the_daemon_says_what_to_install(tmp_path: Path) -> None:
    # None in sys.modules is how Python says that a module is not there.
    program = "import sys; sys.modules['opentelemetry'] = None; from autoscaler.cli.main import main; main()"
    document = policy_document("chat", "serving", "http://127.0.0.1:1", mode="recommend")
    (tmp_path / "chat.yaml").write_text(yaml.safe_dump(document))
    arguments = ["run", "--traces", "--listen", "127.0.0.1:0", str(tmp_path / "chat.yaml")]

    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "KUBECONFIG": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60.0,
    )

    assert done.returncode == 2
    assert "--traces needs opentelemetry" in done.stderr
    assert "pip install 'pd-autoscaler[otel]'" in done.stderr


def test_no_credentials_get_into_a_trace(stand: Stand) -> None:
    stand.bench.target.errors[Role.PREFILL] = "https://user:hunter2@proxy refused"

    assert "hunter2" not in stand.spans()["tick"].to_json()
