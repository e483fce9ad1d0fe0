from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.sources.promql import SampleStore, ScrapedSample, SeriesLimitError
from tests.sources.promql.recording import Labels, Scrape, filled_store, metric, written_series
from tests.sources.promql.samples import T0_S, at, by_label, value_at

POD = {"pod": "decode-0", "role": "decode"}
QUEUE = metric("queue", engine="0")
LOAD = metric("load", engine="0")


def scrape(store: SampleStore, after_s: float, page: dict[Labels, float], target: dict[str, str] = POD) -> None:
    store.append(T0_S + after_s, target, [ScrapedSample(labels, value) for labels, value in page.items()])


def test_a_scraped_series_carries_the_labels_of_its_target() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: 3})

    (sample,) = at("queue", store)
    assert sample.labels == {"__name__": "queue", "engine": "0", **POD}


@pytest.mark.parametrize(
    ("scraped", "expected"),
    [
        ({"pod": "mine"}, {"exported_pod": "mine"}),
        ({"pod": "mine", "exported_pod": "other"}, {"exported_exported_pod": "mine", "exported_pod": "other"}),
        ({"pod": ""}, {}),
    ],
)
def test_a_label_that_clashes_is_renamed(scraped: dict[str, str], expected: dict[str, str]) -> None:
    store = SampleStore(600)
    scrape(store, 0, {tuple(sorted({"__name__": "queue", **scraped}.items())): 3})

    (sample,) = at("queue", store)
    assert sample.labels == {"__name__": "queue", **POD, **expected}


def test_clashes_with_each_other_are_settled_shortest_name_first() -> None:
    store = SampleStore(600)
    target = {"pod": "p", "exported_pod": "q"}
    scrape(store, 0, {metric("queue", pod="a", exported_pod="b"): 3}, target)

    (sample,) = at("queue", store)
    assert sample.labels == {
        "__name__": "queue",
        **target,
        "exported_exported_pod": "a",
        "exported_exported_exported_pod": "b",
    }


def test_a_series_that_vanishes_from_the_page_ends_at_once() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: 3, LOAD: 0.5})
    scrape(store, 5, {LOAD: 0.5})

    assert value_at("queue", store, 4.999) == 3
    assert at("queue", store, 5) == []
    assert value_at("load", store, 5) == 0.5


def test_a_series_that_comes_back_goes_on() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: 3})
    scrape(store, 5, {})
    scrape(store, 10, {QUEUE: 4})

    assert value_at("queue", store, 10) == 4
    assert value_at("count_over_time(queue[1m])", store, 10) == 2


def test_a_failed_scrape_ends_all_series_of_the_target_alone() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: 3})
    scrape(store, 0, {QUEUE: 7}, {"pod": "decode-1"})
    store.append_failure(T0_S + 5, POD)

    assert by_label("pod", "queue", store, 5) == {"decode-1": 7}
    assert by_label("pod", "up", store, 5) == {"decode-0": 0, "decode-1": 1}


def test_a_removed_target_has_no_up_either() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: 3})
    store.remove_target(T0_S + 5, POD)

    assert at("queue", store, 5) == []
    assert at("up", store, 5) == []
    assert value_at("up", store, 4) == 1


def test_removing_an_unknown_target_is_no_error() -> None:
    store = SampleStore(600)
    store.remove_target(T0_S, POD)
    assert store.series == 0


def test_a_target_that_was_removed_may_come_back() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: 3})
    store.remove_target(T0_S + 5, POD)
    scrape(store, 10, {QUEUE: 4})

    assert value_at("queue", store, 10) == 4
    assert value_at("up", store, 10) == 1


def test_a_series_that_is_not_scraped_any_more_is_found_for_five_minutes() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: 3})

    assert value_at("queue", store, 300) == 3
    assert at("queue", store, 300.001) == []


def test_a_nan_on_the_page_is_a_value_and_no_end() -> None:
    store = SampleStore(600)
    scrape(store, 0, {QUEUE: math.nan})

    assert math.isnan(value_at("queue", store))


def test_a_sample_with_a_time_of_its_own_is_kept_at_that_time_and_never_marked_stale() -> None:
    store = SampleStore(600)
    store.append(T0_S + 10, POD, [ScrapedSample(QUEUE, 3, T0_S + 7.5)])
    scrape(store, 15, {})

    assert value_at("timestamp(queue)", store, 20) == T0_S + 7.5
    assert value_at("queue", store, 20) == 3


def test_a_sample_from_far_in_the_future_does_not_block_its_series() -> None:
    store = SampleStore(600)
    store.append(T0_S, POD, [ScrapedSample(QUEUE, 3, T0_S + 3600)])
    scrape(store, 5, {QUEUE: 4})

    assert value_at("queue", store, 5) == 4


def test_of_two_samples_of_a_series_on_a_page_the_first_counts() -> None:
    store = SampleStore(600)
    store.append(T0_S, POD, [ScrapedSample(QUEUE, 3), ScrapedSample(QUEUE, 4)])

    assert value_at("queue", store) == 3


def test_a_clock_that_was_set_back_is_an_error_that_says_so() -> None:
    store = SampleStore(600)
    scrape(store, 10, {QUEUE: 3})

    with pytest.raises(ValueError, match="clock was set back"):
        scrape(store, 5, {QUEUE: 4})


def test_too_many_series_fail_the_scrape_and_name_the_target() -> None:
    store = SampleStore(600, max_series=3)
    scrape(store, 0, {QUEUE: 3})

    with pytest.raises(SeriesLimitError, match=r"decode-0.*brings 5 series to the 2 that are kept; allowed are 3"):
        scrape(store, 5, {metric("queue", request=str(number)): 1 for number in range(5)})
    assert value_at("up", store, 5) == 0
    assert at("queue", store, 5) == []


def test_series_of_pods_that_are_long_gone_leave_the_store() -> None:
    store = SampleStore(60)
    for pod in range(2000):
        target = {"pod": str(pod)}
        scrape(store, pod, {QUEUE: pod, LOAD: 1}, target)
        store.remove_target(T0_S + pod + 0.5, target)

    assert store.series < 2500
    assert value_at("queue", store, 1999) == 1999


def test_a_store_does_not_grow_with_time() -> None:
    store = SampleStore(60)
    sizes = []
    for number in range(1000):
        scrape(store, number, {QUEUE: number})
        sizes.append(store.nbytes)
        assert value_at("count_over_time(queue[1m])", store, number) == min(number, 60) + 1

    assert sizes[200] == sizes[-1]


def test_a_target_that_pauses_longer_than_the_retention_keeps_its_series_to_itself() -> None:
    store = SampleStore(10)
    scrape(store, 0, {QUEUE: 7})
    for number in range(100):
        scrape(store, 1 + number, {LOAD: number, metric("busy", number=str(number)): 1}, {"pod": "decode-1"})
    scrape(store, 101, {QUEUE: 8})

    assert by_label("pod", "queue", store, 101) == {"decode-0": 8}
    assert value_at("sum_over_time(queue[10s])", store, 101) == 8
    assert value_at("sum(busy)", store, 100.5) == 1


def test_a_sample_from_a_clock_that_is_a_little_fast_is_kept() -> None:
    store = SampleStore(600)
    store.append(T0_S, POD, [ScrapedSample(QUEUE, 3, T0_S + 5)])

    assert at("queue", store, 4) == []
    assert value_at("queue", store, 5) == 3


RETENTION_S = 30
pages = st.dictionaries(st.sampled_from([metric("s", x=str(x)) for x in range(4)]), st.integers(0, 9), max_size=4)


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from("ab"), st.one_of(pages, st.none(), st.just("gone"))), max_size=80
    )
)
def test_within_the_retention_no_sample_is_lost_or_mixed_up(
    steps: list[tuple[int, str, dict[Labels, float] | str | None]],
) -> None:
    scrapes, now_s = [], T0_S
    for gap_s, pod, page in steps:
        now_s += 1 + gap_s
        is_gone = page == "gone"
        scrapes.append(
            Scrape(now_s, (("pod", pod),), None if is_gone or isinstance(page, str) else page, is_removal=is_gone)
        )
    expected = {
        (labels["x"], labels["pod"]): values
        for labels, samples in ((series.labels, series.samples) for series in written_series(scrapes))
        if labels["__name__"] == "s"
        and (values := [value for t_s, value in samples if value is not None and t_s >= now_s - RETENTION_S])
    }

    store = filled_store(scrapes, RETENTION_S)
    for function, of_all in (("count", len), ("sum", sum), ("last", lambda values: values[-1])):
        answer = at(f"{function}_over_time(s[{RETENTION_S}s])", store, now_s - T0_S)
        found = {(sample.labels["x"], sample.labels["pod"]): sample.value for sample in answer}
        assert found == {key: of_all(values) for key, values in expected.items()}
