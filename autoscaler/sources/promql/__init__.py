"""PromQL over samples that the daemon scraped itself, equal to what Prometheus would answer."""

from autoscaler.sources.promql.errors import (
    EvaluationError,
    ExpositionError,
    PromqlError,
    QuerySyntaxError,
    SeriesLimitError,
    UnsupportedQueryError,
)
from autoscaler.sources.promql.evaluate import Sample, evaluate
from autoscaler.sources.promql.exposition import ExpositionParser, ScrapedSample
from autoscaler.sources.promql.store import SampleStore
from autoscaler.sources.promql.syntax import check

__all__ = [
    "EvaluationError",
    "ExpositionError",
    "ExpositionParser",
    "PromqlError",
    "QuerySyntaxError",
    "Sample",
    "SampleStore",
    "ScrapedSample",
    "SeriesLimitError",
    "UnsupportedQueryError",
    "check",
    "evaluate",
]
