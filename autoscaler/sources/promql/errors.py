"""What can be wrong with a query or a scraped page."""

from __future__ import annotations


class PromqlError(ValueError):
    """Base of all errors about a query."""


class QuerySyntaxError(PromqlError):
    """The text is no valid PromQL."""


class UnsupportedQueryError(PromqlError):
    """Valid PromQL, but outside of the subset that is evaluated without a Prometheus."""


class EvaluationError(PromqlError):
    """The query is valid, but not for the series that exist now, such as an ambiguous match of two vectors."""


class ExpositionError(ValueError):
    """A page is not in Prometheus' text format."""


class SeriesLimitError(RuntimeError):
    """A scrape would push the store over its limit of series."""
