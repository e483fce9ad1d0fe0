"""A real Prometheus for tests, on a loopback port that the kernel picks.

Three ways to fill it: a configuration that scrapes something, OpenMetrics text that becomes TSDB blocks before
the start, and `Prometheus.write`, which sends samples with exact times (and staleness markers) at run time.
"""

# ruff: noqa: S310 - every URL here is our own loopback server

from __future__ import annotations

import contextlib
import json
import re
import shutil
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

NO_TARGETS = "global: {}\n"
"""A configuration that scrapes nothing."""

_LISTENING = re.compile(r'msg="Listening on".* address=127\.0\.0\.1:(\d+)')
_STALE_NAN = struct.pack("<Q", 0x7FF0000000000002)
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_REQUEST_TIMEOUT_S = 30.0
_POLL_S = 0.02
_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PrometheusUnavailableError(RuntimeError):
    """A binary is missing or the server did not start; the message says which and what to do."""


class QueryError(RuntimeError):
    """Prometheus refused an expression or a write; the message is its own."""


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """One series for `Prometheus.write`: all labels with `__name__`, and (unix seconds, value) in time order.

    The value `None` is a staleness marker.
    """

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server; `url` has no trailing slash."""

    url: str
    pid: int

    def query(self, expr: str, at: float) -> float | list[tuple[dict[str, str], float]]:
        """Evaluate an instant query at a time in unix seconds.

        Returns:
            A number for a scalar; a (labels, value) pair for each element of an instant vector.

        Raises:
            QueryError: With the message of the server.
        """
        data = self.api("query", query=expr, time=f"{at:.3f}")
        if data["resultType"] == "scalar":
            return float(data["result"][1])
        if data["resultType"] == "vector":
            return [(element["metric"], float(element["value"][1])) for element in data["result"]]
        raise QueryError(f"{expr!r} gives a {data['resultType']}; for a range selector call samples()")

    def samples(self, selector: str, at: float) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Raw (unix seconds, value) samples of a range selector such as `up[1m]`, without staleness markers."""
        data = self.api("query", query=selector, time=f"{at:.3f}")
        return [
            (element["metric"], [(t_s, float(value)) for t_s, value in element["values"]]) for element in data["result"]
        ]

    def api(self, path: str, **parameters: str) -> Any:
        """The `data` of a POST to `/api/v1/<path>`.

        Raises:
            QueryError: With the message of the server.
        """
        body = urllib.parse.urlencode(parameters).encode()
        answer = _post(f"{self.url}/api/v1/{path}", body, {"Content-Type": "application/x-www-form-urlencoded"})
        return json.loads(answer)["data"]

    def write(self, series: Iterable[TimeSeries]) -> None:
        """Append samples through remote write; the next query sees them.

        The TSDB refuses samples that are more than an hour older than its newest one, or in the block of a
        backfilled one.

        Raises:
            QueryError: With the message of the server.
        """
        body = _snappy(b"".join(_field(1, _encode_series(one)) for one in series))
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        _post(f"{self.url}/api/v1/write", body, headers)


@contextlib.contextmanager
def running_prometheus(
    config: str = NO_TARGETS, *, openmetrics: str | None = None, block_h: int = 24
) -> Iterator[Prometheus]:
    """Start a Prometheus, wait until it is ready, and stop it at the end.

    Args:
        config: The configuration file's text.
        openmetrics: Samples with timestamps, ending in `# EOF`, that the TSDB holds from the start. One
            `promtool` run of about two seconds.
        block_h: Most hours of a block made of them; promtool reads the whole text once a block.

    Raises:
        PrometheusUnavailableError: A binary is missing, or the server exited or never became ready.
    """
    binary = _binary("prometheus")
    with tempfile.TemporaryDirectory(prefix="prometheus-test-") as directory:
        root = Path(directory)
        (root / "prometheus.yml").write_text(config)
        (root / "data").mkdir()
        if openmetrics is not None:
            _backfill(root, openmetrics, block_h)
        log_path = root / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={root / 'prometheus.yml'}",
                    f"--storage.tsdb.path={root / 'data'}",
                    "--storage.tsdb.retention.time=100y",
                    "--web.listen-address=127.0.0.1:0",
                    "--web.enable-lifecycle",
                    "--web.enable-remote-write-receiver",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield Prometheus(_wait_ready(process, log_path), process.pid)
            finally:
                _stop(process)


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = _START_TIMEOUT_S) -> None:
    """Poll until a condition about the outside world holds.

    Raises:
        TimeoutError: With `what` in its message.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(_POLL_S)


def _binary(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise PrometheusUnavailableError(
            f"{name} is not installed; on Debian: apt-get install prometheus (it brings promtool too)"
        )
    return path


def _backfill(root: Path, openmetrics: str, block_h: int) -> None:
    text_path = root / "samples.om"
    text_path.write_text(openmetrics)
    result = subprocess.run(
        [
            _binary("promtool"),
            *("tsdb", "create-blocks-from", "openmetrics", f"--max-block-duration={block_h}h"),
            str(text_path),
            str(root / "data"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        raise PrometheusUnavailableError(f"promtool refused the samples: {result.stderr.strip()}")


def _wait_ready(process: subprocess.Popen[bytes], log_path: Path) -> str:
    """The base URL, once `/-/ready` answers 200."""
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        port = _LISTENING.search(log_path.read_text(errors="replace"))
        url = f"http://127.0.0.1:{port[1]}" if port else None
        if url and _is_ready(url):
            return url
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_POLL_S)
            break
    raise PrometheusUnavailableError(
        f"prometheus did not become ready (exit code {process.returncode}); its log ends with:\n"
        + log_path.read_text(errors="replace")[-2000:]
    )


def _is_ready(url: str) -> bool:
    try:
        with _HTTP.open(f"{url}/-/ready", timeout=1.0) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    request = urllib.request.Request(url, data=body, headers=dict(headers))
    try:
        with _HTTP.open(request, timeout=_REQUEST_TIMEOUT_S) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace").strip()
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["error"]
        raise QueryError(text) from None


def _encode_series(series: TimeSeries) -> bytes:
    """A `prometheus.TimeSeries` message; the receiver wants its labels sorted."""
    labels = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(series.labels.items())
    )
    samples = b"".join(_field(2, _encode_sample(t_s, value)) for t_s, value in series.samples)
    return labels + samples


def _encode_sample(t_s: float, value: float | None) -> bytes:
    number = _STALE_NAN if value is None else struct.pack("<d", value)
    return b"\x09" + number + b"\x10" + _varint(round(t_s * 1000))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _snappy(content: bytes) -> bytes:
    """The snappy block format with a single literal: valid, and not compressed."""
    literal = b"\xfc" + struct.pack("<I", len(content) - 1) + content if content else b""
    return _varint(len(content)) + literal
