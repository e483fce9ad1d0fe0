"""Read a target's `/metrics` page, Prometheus text format 0.0.4.

The parser of prometheus_client needs 17 µs a sample, most of it for labels that are the same in every scrape. So it
sees each series once, and later pages look the series up by its text, as Prometheus' own scrape cache does.
Names stay as they are on the page: the library appends `_total` to a counter only when it sees its TYPE line, and
here it sees none.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from autoscaler.sources.promql.errors import ExpositionError
from autoscaler.sources.promql.labels import METRIC_NAME, Labels, make_labels


class ScrapedSample(NamedTuple):
    """One line of a page.

    Attributes:
        labels: With `__name__`, without the target's.
        value: May be NaN or infinite.
        time_s: Unix seconds that the page states; None, as nearly always, means the time of the scrape.
    """

    labels: Labels
    value: float
    time_s: float | None = None


class ExpositionParser:
    """Parses the pages of one target; remembers the series of the last page."""

    def __init__(self) -> None:
        self._known: dict[str, Labels] = {}

    def parse(self, text: str) -> list[ScrapedSample]:
        """Read a page.

        Raises:
            ExpositionError: A line is malformed; as in Prometheus, the whole page is then void.
        """
        known = self._known
        seen: dict[str, Labels] = {}
        samples = []
        for number, line in enumerate(text.split("\n"), start=1):
            stripped = line.strip()
            if not stripped or stripped[0] == "#":
                continue
            series, rest = _split(stripped)
            try:
                labels = known.get(series) or _parse_series(series)
                value, *stamp = rest.split(maxsplit=1) or [""]
                time_s = int(stamp[0]) / 1000 if stamp else None
                samples.append(ScrapedSample(labels, float(value), time_s))
            except ValueError as error:
                raise ExpositionError(
                    f"line {number} is not in Prometheus text format ({error}): {stripped[:200]}"
                ) from None
            seen[series] = labels
        self._known = seen
        return samples


def _split(line: str) -> tuple[str, str]:
    """Part a sample line into its series and the rest: a value and perhaps a time, which hold no brace."""
    head, brace, rest = line.rpartition("}")
    if brace:
        return head + brace, rest
    parts = line.split(maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _parse_series(series: str) -> Labels:
    (family,) = text_string_to_metric_families(f"{series} 1\n")
    (sample,) = family.samples
    if sample.value != 1 or sample.timestamp is not None:
        # An OpenMetrics exemplar has braces of its own, after the value.
        raise ValueError("more than one value; is this OpenMetrics?")
    return make_labels({METRIC_NAME: sample.name, **sample.labels})
