"""What is allowed in a policy but probably not meant: warnings, and notes on what is still to come."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.config.document import Document, Loc
from autoscaler.config.model import ScalingPolicy, Spec
from autoscaler.config.problems import Problem, Severity
from autoscaler.config.roles import RoleSpec
from autoscaler.config.values import format_duration as text
from autoscaler.config.wording import path_of
from autoscaler.core.policy import Role, SelectPolicy

_FASTEST_TPOT_S = 0.002  # small models on the fastest hardware need about this for a step
_SLOWEST_TPOT_S = 1.0  # a token a second is slower than anyone reads
_FASTEST_TTFT_S = 0.02
_SLOWEST_TTFT_S = 120.0
_HALF = 0.5

Finding = tuple[Loc, str, str | None]


def lint(policy: ScalingPolicy, document: Document) -> list[Problem]:
    """Look for what is probably not meant."""
    spec = policy.spec
    warnings = [*_objectives(spec), *_times(spec), *_series(spec), *_connection(spec)]
    for role, pool in spec.roles.by_role().items():
        warnings += [(("spec", "roles", role.value, *loc), words, value) for loc, words, value in _pool(spec, pool)]
    return [
        *(_problem(finding, Severity.WARNING, document) for finding in warnings),
        *(_problem(finding, Severity.NOTE, document) for finding in _notes(spec)),
    ]


def _problem(finding: Finding, severity: Severity, document: Document) -> Problem:
    loc, message, value = finding
    line = document.line_of(loc)
    return Problem(path_of(loc), message, value, file=document.file, line=line, severity=severity)


def _objectives(spec: Spec) -> Iterator[Finding]:
    ttft_s, tpot_s = spec.objectives.ttft.target_s, spec.objectives.tpot.target_s
    ttft, tpot = ("spec", "objectives", "ttft", "target"), ("spec", "objectives", "tpot", "target")
    if tpot_s >= ttft_s:
        yield tpot, f"one token may take as long as the first one, {text(ttft_s)}: are the two swapped?", text(tpot_s)
    if tpot_s < _FASTEST_TPOT_S:
        yield tpot, "no engine is known to decode that fast: no number of replicas reaches it", text(tpot_s)
    elif reason := _misses_alone(spec, Role.DECODE, tpot_s):
        yield tpot, reason, text(tpot_s)
    if tpot_s > _SLOWEST_TPOT_S:
        yield tpot, "slower than anyone reads: is the unit ms?", text(tpot_s)
    if ttft_s < _FASTEST_TTFT_S:
        yield ttft, "network and one prefill pass alone take longer: no number of replicas reaches it", text(ttft_s)
    elif reason := _misses_alone(spec, Role.PREFILL, ttft_s):
        yield ttft, reason, text(ttft_s)
    if ttft_s > _SLOWEST_TTFT_S:
        yield ttft, "longer than users and proxies wait: is the unit ms?", text(ttft_s)
    for loc, share in (
        (("spec", "objectives", "ttft", "percentile"), spec.objectives.ttft.percentile),
        (("spec", "objectives", "tpot", "percentile"), spec.objectives.tpot.percentile),
        (("spec", "objectives", "attainment"), spec.objectives.attainment),
    ):
        if share < _HALF:
            yield loc, "more than half of all requests may miss the target", f"{share:.1%}"


def _misses_alone(spec: Spec, role: Role, target_s: float) -> str:
    """Why not even a short request on an idle replica meets a target; empty where it does, or no engine is named.

    No error: the engine is a start that live signals correct.
    """
    if spec.engine is None:
        return ""
    prior = spec.engine.prior(spec.model)
    if role is Role.PREFILL:
        what, alone_s = "a pass with one short prompt", prior.model.prefill.request_ms(1.0) / 1e3
    else:
        what, alone_s = "a step with one short sequence", prior.model.decode.step_ms(1.0, 1.0) / 1e3
    if alone_s <= target_s:
        return ""
    takes = f"{alone_s * 1e3:.3g}ms by spec.engine ({prior.source})"
    return f"{what} takes {takes}: no number of replicas reaches it"


def _times(spec: Spec) -> Iterator[Finding]:
    tick = text(spec.interval_s)
    if spec.stale_after_s < spec.interval_s:
        message = f"shorter than the interval, {tick}: signals go stale between two decisions"
        yield ("spec", "staleAfter"), message, text(spec.stale_after_s)
    if spec.scrape is not None and spec.stale_after_s < 2 * spec.scrape.interval_s:
        message = f"one late scrape makes every signal stale: allow two of {text(spec.scrape.interval_s)}"
        yield ("spec", "staleAfter"), message, text(spec.stale_after_s)
    if spec.fallback_after_s < spec.stale_after_s:
        message = f"shorter than staleAfter, {text(spec.stale_after_s)}: a short outage moves replicas"
        yield ("spec", "fallbackAfter"), message, text(spec.fallback_after_s)
    fallbacks = [pool.fallback_replicas for pool in spec.roles.by_role().values()]
    if "fallback_after_s" in spec.model_fields_set and fallbacks == [None, None]:
        message = "has no effect: neither role has fallbackReplicas"
        yield ("spec", "fallbackAfter"), message, text(spec.fallback_after_s)


def _series(spec: Spec) -> Iterator[Finding]:
    """No error: a stack file of one's own may tell roles by the names of metrics."""
    prefill, decode = spec.roles.prefill.selector, spec.roles.decode.selector
    if decode and decode == prefill:
        message = "is that of prefill, too: nothing tells the pools apart, and each is scaled by what both of them do"
        yield ("spec", "roles", "decode", "selector"), message, ", ".join(f"{key}={decode[key]}" for key in decode)


def _pool(spec: Spec, pool: RoleSpec) -> Iterator[Finding]:
    tick = text(spec.interval_s)
    if pool.min_replicas == 0:
        yield ("min",), "an empty pool makes the next request wait for a whole startup", "0"
    for direction, half in (("scaleUp", pool.behavior.scale_up), ("scaleDown", pool.behavior.scale_down)):
        where = ("behavior", direction)
        if half.window_s is not None and 0 < half.window_s < spec.interval_s:
            message = f"shorter than the interval, {tick}: no two decisions fall into it"
            yield (*where, "stabilizationWindowSeconds"), message, text(half.window_s)
        for index, rule in enumerate(half.policies):
            if "policies" in half.model_fields_set and rule.period_s < spec.interval_s:
                message = f"shorter than the interval, {tick}: the pool may move by the full value at every decision"
                yield (*where, "policies", index, "periodSeconds"), message, text(rule.period_s)
    if pool.behavior.scale_up.select is SelectPolicy.DISABLED and pool.min_replicas != pool.max_replicas:
        yield ("behavior", "scaleUp", "selectPolicy"), "the pool can never grow, whatever the load", "Disabled"


def _connection(spec: Spec) -> Iterator[Finding]:
    server = spec.prometheus
    if server is None:
        return
    at = ("spec", "prometheus")
    if server.timeout_s >= spec.interval_s:
        message = f"not shorter than the interval, {text(spec.interval_s)}: a slow server delays decisions"
        yield (*at, "timeout"), message, text(server.timeout_s)
    if not server.tls.verify:
        yield (*at, "tls", "verify"), "anyone between here and the server can steer replicas", "false"
    if server.url is not None and server.url.startswith("http://"):
        if "tls" in server.model_fields_set:
            yield (*at, "tls"), "has no effect: the address is http, not https", None
        if server.bearer_token or server.bearer_token_file or server.basic_auth:
            yield (*at, "url"), "sends credentials in clear text: use https", server.url


def _notes(spec: Spec) -> Iterator[Finding]:
    if spec.prometheus is not None and spec.prometheus.url is None:
        message = "names no url: start with --prometheus URL"
        yield ("spec", "prometheus"), message, None
