"""Random expressions over the cluster, of every supported form."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

GAUGES = ("vllm:num_requests_waiting", "vllm:num_requests_running", "up", "vllm:num_requests_waiting_by_reason")
COUNTERS = ("vllm:prompt_tokens_total", "vllm:request_success_total", "vllm:num_preemptions_total")
MATCHERS = (
    *('role="decode"', 'role!="decode"', 'pod=~"decode-[0-3]"', 'pod!~".*-[13]"'),
    *('reason=""', 'missing!="x"', 'pod="prefill-0"'),
)
LABELS = ("pod", "role", "reason", "finished_reason", "missing", "instance")
RANGES = ("20s", "1m", "137s", "5m")
OFFSETS = ("", "", "", " offset 45s", " offset -45s")
OVER_RANGE = (
    *("rate", "increase", "irate", "delta", "deriv", "resets", "changes"),
    *("avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "count_over_time", "last_over_time"),
)
ARITHMETIC = ("+", "-", "*", "/", "%")
COMPARISONS = ("==", "!=", "<", ">=")

label_lists = st.lists(st.sampled_from(LABELS), max_size=3, unique=True).map(", ".join)


def selectors(names: tuple[str, ...]) -> SearchStrategy[str]:
    matchers = st.lists(st.sampled_from(MATCHERS), max_size=2, unique=True).map(",".join)
    return st.builds("{}{{{}}}".format, st.sampled_from(names), matchers)


instant_selectors = st.builds("{}{}".format, selectors(GAUGES), st.sampled_from(OFFSETS))
range_calls = st.builds(
    "{}({}[{}]{})".format,
    st.sampled_from(OVER_RANGE),
    selectors(GAUGES + COUNTERS),
    st.sampled_from(RANGES),
    st.sampled_from(OFFSETS),
)
scalars = st.sampled_from(("0", "1", "-2.5", "7", "NaN", "Inf", "scalar(sum(up))", "(3 - 1)"))
groupings = st.one_of(st.just(""), st.builds(" {} ({}) ".format, st.sampled_from(("by", "without")), label_lists))
one_to_one = st.one_of(st.just(""), st.builds("{} ({})".format, st.sampled_from(("on", "ignoring")), label_lists))
grouped = st.builds(
    "{} {} ({})".format,
    st.sampled_from(("on (pod)", "on (role)", "on ()", "ignoring (pod, instance)", "ignoring (finished_reason)")),
    st.sampled_from(("group_left", "group_right")),
    st.lists(st.sampled_from(("reason", "missing", "instance")), max_size=2, unique=True).map(", ".join),
)


def _grown(vectors: SearchStrategy[str]) -> SearchStrategy[str]:
    comparisons = st.builds("{}{}".format, st.sampled_from(COMPARISONS), st.sampled_from(("", " bool")))
    operators = st.one_of(st.sampled_from(ARITHMETIC), comparisons)
    return st.one_of(
        st.builds("{}{}({})".format, st.sampled_from(("sum", "avg", "min", "max", "count")), groupings, vectors),
        st.builds("quantile{}({}, {})".format, groupings, st.sampled_from(("0", "0.3", "0.95")), vectors),
        st.builds("({} {} {})".format, vectors, operators, scalars),
        st.builds("({} {} {})".format, scalars, operators, vectors),
        st.builds("({} {} {} {})".format, vectors, operators, one_to_one, vectors),
        st.builds("({} {} {} {})".format, vectors, operators, grouped, vectors),
        st.builds("({} {} {} {})".format, vectors, st.sampled_from(("and", "or", "unless")), one_to_one, vectors),
        st.builds("(-{})".format, vectors),
        st.builds("{}({})".format, st.sampled_from(("abs", "timestamp", "absent")), vectors),
        st.builds("clamp({}, {}, {})".format, vectors, st.sampled_from(("0", "2")), st.sampled_from(("1", "50"))),
        st.builds('label_replace({}, "{}", "$1", "pod", "(.*)-.*")'.format, vectors, st.sampled_from(LABELS)),
        st.builds(
            "{}({}[{}:{}])".format,
            st.sampled_from(OVER_RANGE),
            vectors,
            st.sampled_from(("1m", "95s")),
            st.sampled_from(("10s", "17s")),
        ),
    )


vectors = st.recursive(instant_selectors | range_calls, _grown, max_leaves=4)
