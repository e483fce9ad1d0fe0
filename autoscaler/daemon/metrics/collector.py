"""The ledger as metric families.

Nothing is counted or set at the place where it happens: a service that is gone leaves no series behind, and the numbers
are those of the decision record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from autoscaler import __version__
from autoscaler.daemon.ledger import Account, Histogram, Ledger
from autoscaler.daemon.metrics.of_pools import of_pools
from autoscaler.daemon.metrics.of_service import of_service
from autoscaler.daemon.metrics.samples import Sample
from autoscaler.daemon.metrics.spec import PREFIX, Spec
from autoscaler.daemon.metrics.table import INFO_HELP, TABLE


def registry(ledger: Ledger) -> CollectorRegistry:
    """A registry that serves the ledger and nothing else."""
    own = CollectorRegistry(auto_describe=False)
    own.register(LedgerCollector(ledger))
    return own


class LedgerCollector(Collector):
    """Renders the ledger.

    Args:
        ledger: What to render.
        readings: What to say of a service; only metrics of the table.
    """

    def __init__(self, ledger: Ledger, readings: Callable[[Account], Iterable[Sample]] | None = None) -> None:
        self._ledger = ledger
        self._readings = readings or samples_of

    def collect(self) -> Iterable[Metric]:
        """All families of the table, in its order; a family may be without series."""
        yield InfoMetricFamily(PREFIX, INFO_HELP, {"version": __version__})
        families = {name: _family(spec) for name, spec in TABLE.items()}
        for service, account in self._ledger.accounts().items():
            for sample in self._readings(account):
                spec = TABLE[sample.name]
                values = (account.namespace, service, *sample.labels)
                _add(families[sample.name], spec, dict(zip(spec.label_names, values, strict=True)), sample.value)
        yield from families.values()


def samples_of(account: Account) -> Iterator[Sample]:
    """Everything that the metrics say of one service."""
    yield from of_pools(account)
    yield from of_service(account)


def _family(spec: Spec) -> Metric:
    return Metric(f"{PREFIX}_{spec.name}", spec.help, spec.kind.value, spec.unit)


def _add(family: Metric, spec: Spec, labels: dict[str, str], value: float | Histogram) -> None:
    if not isinstance(value, Histogram):
        family.add_sample(spec.series_name, labels, value)
        return
    counts = list(accumulate(value.counts))
    for bound, count in zip((*(str(bound) for bound in value.bounds), "+Inf"), counts, strict=True):
        family.add_sample(f"{spec.series_name}_bucket", {**labels, "le": bound}, count)
    family.add_sample(f"{spec.series_name}_count", labels, counts[-1])
    family.add_sample(f"{spec.series_name}_sum", labels, value.total)
