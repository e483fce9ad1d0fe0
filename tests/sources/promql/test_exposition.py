from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.sources.promql import ExpositionError, ExpositionParser, ScrapedSample
from tests.sources.promql.recording import metric

PAGE = """\
# HELP vllm:request_success_total Count of requests.
# TYPE vllm:request_success_total counter
vllm:request_success_total{finished_reason="stop",model_name="m"} 12.0
# TYPE nv_inference_count counter
nv_inference_count{model="m"} 7
# TYPE vllm:e2e_seconds histogram
vllm:e2e_seconds_bucket{le="0.5"} 3
vllm:e2e_seconds_bucket{le="+Inf"} 4
vllm:e2e_seconds_sum 1.5e0
vllm:e2e_seconds_count 4

 spaced\t 1\t
"""


def test_names_stay_as_they_are_on_the_page() -> None:
    assert ExpositionParser().parse(PAGE) == [
        ScrapedSample(metric("vllm:request_success_total", finished_reason="stop", model_name="m"), 12),
        ScrapedSample(metric("nv_inference_count", model="m"), 7),
        ScrapedSample(metric("vllm:e2e_seconds_bucket", le="0.5"), 3),
        ScrapedSample(metric("vllm:e2e_seconds_bucket", le="+Inf"), 4),
        ScrapedSample(metric("vllm:e2e_seconds_sum"), 1.5),
        ScrapedSample(metric("vllm:e2e_seconds_count"), 4),
        ScrapedSample(metric("spaced"), 1),
    ]


def test_a_later_page_of_the_same_series_reads_the_same() -> None:
    parser = ExpositionParser()
    first = parser.parse(PAGE)
    second = parser.parse(PAGE.replace("12.0", "13.0"))

    assert [sample.labels for sample in second] == [sample.labels for sample in first]
    assert second[0].value == 13


def test_a_parser_remembers_the_series_of_the_last_page_and_no_more() -> None:
    parser = ExpositionParser()
    labels = [parser.parse(page)[0].labels for page in ("m 1", "m 2", "n 3", "m 4")]

    assert labels[1] is labels[0]
    assert labels[3] is not labels[0]
    assert labels[3] == labels[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('m{a="x}y",b="{"} 1', ScrapedSample(metric("m", a="x}y", b="{"), 1)),
        (r'm{a="q\"b\\n\n"} 1', ScrapedSample(metric("m", a='q"b\\n\n'), 1)),
        ('m{a="1",} 1', ScrapedSample(metric("m", a="1"), 1)),
        ("m{} 1", ScrapedSample(metric("m"), 1)),
        ('m {a="1"} 1', ScrapedSample(metric("m", a="1"), 1)),
        ('m{a=""} 1', ScrapedSample(metric("m"), 1)),
        ("m 1 1700000000123", ScrapedSample(metric("m"), 1, 1_700_000_000.123)),
        ("m +Inf", ScrapedSample(metric("m"), math.inf)),
        ("m -2.5e-3\r", ScrapedSample(metric("m"), -0.0025)),
    ],
)
def test_a_line(line: str, expected: ScrapedSample) -> None:
    assert ExpositionParser().parse(line) == [expected]


def test_nan_is_a_value() -> None:
    (sample,) = ExpositionParser().parse("m NaN\n")
    assert math.isnan(sample.value)


@pytest.mark.parametrize(
    "line",
    [
        *("m", "m one", "m 1 2 3", "m 1 soon", "{} 1", "1m 1", "m{a} 1", 'm{a="1" 1', 'm{a="1} 1', "m{a=1} 1"),
        *('m{a="1",a="2"} 1', 'm{a="1"}', 'm{a="}" 1', "<html>", 'm{le="1"} 5 # {trace_id="a"} 0.7'),
    ],
)
def test_a_malformed_line_is_an_error_that_shows_it(line: str) -> None:
    with pytest.raises(ExpositionError) as error:
        ExpositionParser().parse(f"fine 1\n{line}\n")

    assert str(error.value).startswith("line 2 is not in Prometheus text format")
    assert line in str(error.value)


label_values = st.text(st.sampled_from('abc {}",=\\\n#'), max_size=6)
names = st.sampled_from(("vllm:m_total", "m_bucket", "m"))
series_lines = st.builds(
    lambda name, value, number: f"{name}{{a={_quoted(value)}}} {number!r}",
    names,
    label_values,
    st.floats(allow_nan=False),
)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@given(lines=st.lists(series_lines, max_size=8))
def test_a_page_reads_as_the_library_reads_it(lines: list[str]) -> None:
    page = "\n".join(lines)
    expected = [
        (metric(sample.name, **{name: value for name, value in sample.labels.items() if value}), sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]

    parser = ExpositionParser()
    for _ in range(2):
        assert [(sample.labels, sample.value) for sample in parser.parse(page)] == expected


@given(text=st.text(st.sampled_from('m1 {}",=\\\n#\t'), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        samples = ExpositionParser().parse(text)
    except ExpositionError:
        return
    assert all(sample.labels for sample in samples)
