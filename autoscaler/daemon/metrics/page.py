"""The ledger as the page that Prometheus scrapes.

Nothing is counted or set at the place where it happens: a service that is gone leaves no series behind, and the numbers
are those of the decision record.

The lines are written here, not by prometheus_client: its encoders took over three seconds for 200 services, a fifth of
a usual scrape interval, most of it for characters of names that are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import accumulate
from math import isfinite, isnan

from autoscaler import __version__
from autoscaler.daemon.ledger import Account, Histogram, Ledger
from autoscaler.daemon.metrics.daemon_table import DAEMON_TABLE
from autoscaler.daemon.metrics.of_pools import of_pools
from autoscaler.daemon.metrics.of_service import of_service
from autoscaler.daemon.metrics.samples import Sample
from autoscaler.daemon.metrics.spec import PREFIX, Kind, Spec
from autoscaler.daemon.metrics.table import INFO, INFO_HELP, TABLE

_ALL = {**TABLE, **DAEMON_TABLE}


class MetricsPage:
    """Renders the ledger.

    Args:
        ledger: What to render.
        readings: What to say of a service; only metrics of the table.
        of_daemon: What to say beside services, each with the names of what it is about.
        wall_s: Gives an instant of the ledger as the wall clock has it now, by which Prometheus goes.
        may_write: Whether this daemon is now the one who writes for a service.
    """

    def __init__(
        self,
        ledger: Ledger,
        readings: Callable[[Account], Iterable[Sample]] | None = None,
        of_daemon: Callable[[], Iterable[tuple[tuple[str, ...], Sample]]] = tuple,
        wall_s: Callable[[float], float] = lambda at_s: at_s,
        may_write: Callable[[str], bool] = lambda _service: True,
    ) -> None:
        self._ledger = ledger
        self._readings = readings or partial(samples_of, wall_s=wall_s, may_write=may_write)
        self._of_daemon = of_daemon

    def text(self, *, openmetrics: bool) -> str:
        """All families of the table, in its order, as OpenMetrics 1.0 or in Prometheus' text format 0.0.4.

        A family may be without series.
        """
        lines: dict[str, list[str]] = {name: [] for name in _ALL}
        for service, account in self._ledger.accounts().items():
            own = f'namespace="{_escaped(account.namespace)}",service="{_escaped(service)}"'
            for sample in self._readings(account):
                lines[sample.name] += _lines(sample, own)
        for names, sample in self._of_daemon():
            subject = zip(DAEMON_TABLE[sample.name].subject, names, strict=True)
            lines[sample.name] += _lines(sample, ",".join(f'{label}="{_escaped(name)}"' for label, name in subject))
        parts = [_info(openmetrics=openmetrics)]
        for name, spec in _ALL.items():
            parts += (_head(spec, openmetrics=openmetrics), *lines[name])
        return "".join((*parts, "# EOF\n" if openmetrics else ""))


def samples_of(
    account: Account, wall_s: Callable[[float], float], may_write: Callable[[str], bool]
) -> Iterator[Sample]:
    """Everything that the metrics say of one service."""
    yield from of_pools(account)
    yield from of_service(account, wall_s, may_write)


def _info(*, openmetrics: bool) -> str:
    family, kind = (PREFIX, "info") if openmetrics else (INFO, "gauge")
    return f'# HELP {family} {INFO_HELP}\n# TYPE {family} {kind}\n{INFO}{{version="{__version__}"}} 1.0\n'


def _head(spec: Spec, *, openmetrics: bool) -> str:
    """What stands above the series of a family; OpenMetrics names a counter without its `_total`, and knows units."""
    family = f"{PREFIX}_{spec.name}" if openmetrics or spec.kind is not Kind.COUNTER else spec.series_name
    unit = f"# UNIT {family} {spec.unit}\n" if openmetrics and spec.unit else ""
    return f"# HELP {family} {spec.help}\n# TYPE {family} {spec.kind.value}\n{unit}"


def _lines(sample: Sample, own: str) -> Iterator[str]:
    series, labels = _series(sample.name, sample.labels)
    value = sample.value
    if not isinstance(value, Histogram):
        yield f"{series}{{{own}{labels}}} {_number(value)}\n"
        return
    counts = list(accumulate(value.counts))
    for bound, count in zip((*(str(bound) for bound in value.bounds), "+Inf"), counts, strict=True):
        yield f'{series}_bucket{{{own}{labels},le="{bound}"}} {_number(count)}\n'
    yield f"{series}_count{{{own}{labels}}} {_number(counts[-1])}\n"
    yield f"{series}_sum{{{own}{labels}}} {_number(value.total)}\n"


@cache  # no larger than the table: the values are closed lists
def _series(name: str, labels: tuple[str, ...]) -> tuple[str, str]:
    spec = _ALL[name]
    names = (name for dimension in spec.dimensions for name in dimension.names)
    return spec.series_name, "".join(f',{name}="{value}"' for name, value in zip(names, labels, strict=True))


def _number(value: float) -> str:
    if isfinite(value):
        return repr(float(value))
    return "NaN" if isnan(value) else "+Inf" if value > 0.0 else "-Inf"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
