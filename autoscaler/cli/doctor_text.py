"""An examination as text: what is there, what is not, and what to do."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from autoscaler.cli.examination import Examination
from autoscaler.config.problems import Severity
from autoscaler.report.words import quantity
from autoscaler.sources.findings import SignalFinding, Verdict
from autoscaler.targets.kubernetes.competitors import Competition

_WIDTH = 118
_MARK = 9  # width of the first column
_MOST_COPIES = 6
_OF_A_PAIR = "ask a server that drops the copies of a pair, as Thanos does by its replica labels"
_ONCE = {
    "instance": "scrape one port of each pod",
    "cluster": "the service is in several clusters: put cluster into spec.selector",
    "prometheus_replica": _OF_A_PAIR,
    "replica": _OF_A_PAIR,
}


def lines(found: Examination) -> Iterator[str]:
    """All there is to say of one policy."""
    yield f"{found.service}, stack {found.stack}"
    yield from _heard(found)
    yield "signals"
    shared = _shared_remedies(found.signals.signals)
    causes = _shared_causes(found.signals.signals)
    for cause, count in causes.items():
        yield from _row(Verdict.FAILED, f"{count} signals: {cause}")
    for signal in found.signals.signals:
        if signal.verdict is not Verdict.FAILED or signal.signal.detail not in causes:
            yield from _signal(signal, shared)
    for remedy, count in shared.items():
        yield from _row("", f"-> {count} signals: {remedy}")
    if any(signal.verdict is Verdict.MISSING for signal in found.signals.signals):
        yield from _labels(found)
    yield from _targets(found)
    if found.switch:
        yield "switch"
        yield from _row("ok" if found.switch_known else "unknown", found.switch)
        if found.cluster is not None:
            yield from _competition(found.cluster.switch)
    yield from _draining(found)
    yield from _rights(found)
    for problem in found.problems:
        mark = "limit" if problem.severity is Severity.ERROR else "note"
        yield from _row(mark, str(replace(problem, severity=Severity.ERROR)))
    yield from _decision(found)
    yield ""


def _shared_remedies(signals: Iterable[SignalFinding]) -> dict[str, int]:
    """Remedies of several missing signals, said once, with their number."""
    counts = Counter(signal.remedy for signal in signals if signal.verdict is Verdict.MISSING)
    return {remedy: count for remedy, count in counts.items() if count > 1}


def _shared_causes(signals: Iterable[SignalFinding]) -> dict[str, int]:
    """Why several signals could not be asked for, said once, with their number."""
    counts = Counter(signal.signal.detail for signal in signals if signal.verdict is Verdict.FAILED)
    return {cause: count for cause, count in counts.items() if count > 1}


def _heard(found: Examination) -> Iterator[str]:
    signals = found.signals
    if signals.heard:
        known = f", versions {signals.versions}" if signals.versions else ""
        yield from _row("ok", f"metric names begin with {signals.dialect}{known}")
    elif any(signal.verdict is not Verdict.FAILED for signal in signals.signals):
        yield from _row("missing", f"no series of the service is there; its names would begin with {signals.dialect}")
    if signals.copies is not None:
        label, values = signals.copies
        shown = ", ".join(value or "none" for value in values[:_MOST_COPIES])
        more = " and more" if len(values) > _MOST_COPIES else ""
        yield from _row(
            "twice", f"series of the same pods differ by {label} alone, so all counts double: {shown}{more}"
        )
        yield from _row("", f"-> {_ONCE.get(label, f'scrape them once, or put {label} into spec.selector')}")


def _signal(found: SignalFinding, shared: Mapping[str, int]) -> Iterator[str]:
    path, signal = f"{found.scope}.{found.name}", found.signal
    if found.metric:
        yield from _row(found.verdict, f"{path}: {found.metric}")
    elif signal.value is None:
        yield from _row(found.verdict, f"{path}: {signal.detail}")
    else:
        yield from _row(found.verdict, f"{path}: {quantity(signal.value, signal.unit)}{_origin(found)}")
    if found.remedy and found.remedy not in shared:
        yield from _row("", f"-> {found.remedy}")


def _origin(found: SignalFinding) -> str:
    """Age, series and way of a value, and what its detail says."""
    signal = found.signal
    age = f", {signal.age_s:.0f} s old" if signal.age_s is not None else ""
    series = f", {found.series} series" if found.series else ""
    way = f", way {found.way} of {found.ways}" if found.way is not None and found.ways > 1 else ""
    versions = f" ({found.versions})" if found.versions else ""
    note = f"; {signal.detail}" if signal.detail else ""
    return f"{age}{series}{way}{versions}{note}"


def _labels(found: Examination) -> Iterator[str]:
    yield from _row(
        "",
        "-> labels come from spec.selector, spec.model and roles.*.selector of the policy; without the last, the stack "
        f"tells roles by {found.told_by}",
    )


def _targets(found: Examination) -> Iterator[str]:
    yield "targets" if not found.no_cluster else "targets, from metrics because no cluster is configured"
    for role, pool in found.pools.pools.items():
        where = f", counted at {found.places[role]}" if role in found.places else ""
        writer = f", set last by {found.pools.writers[role]}" if role in found.pools.writers else ""
        yield from _row("ok", f"{role}: {pool.ready} of {pool.current} replicas serve{where}{writer}")
        said, seen = found.gpus_per_replica.get(role), found.pools.gpus_per_replica.get(role)
        if seen is not None and said is not None and seen != said:
            words = f"{role}: a replica's pods ask for {seen:g} accelerators, and the policy says {said:g}"
            yield from _row(
                "note", f"{words}: set spec.roles.{role}.gpusPerReplica, which budgets and savings count in"
            )
        for blocker in found.pools.blockers.get(role, ()):
            yield from _row("blocked", f"{role}: {blocker}")
    for role, error in found.pools.errors.items():
        yield from _row("missing", f"{role}: {error}")
    if found.no_cluster:
        yield from _row("", f"-> {found.no_cluster}")
    for role, competition in (found.cluster.competition if found.cluster is not None else {}).items():
        yield from _competition(competition, f"{role}: ")


def _competition(found: Competition, subject: str = "") -> Iterator[str]:
    for mark, texts in (("conflict", found.conflicts), ("unknown", found.unchecked), ("note", found.notes)):
        for text in texts:
            yield from _row(mark, f"{subject}{text}")


def _draining(found: Examination) -> Iterator[str]:
    if found.draining:
        yield "draining"
    for pool in found.draining:
        given = f"{pool.role}: pods have {pool.grace_s:.0f} s to end"
        if pool.needed_s is None:
            yield from _row("unknown", f"{given}; {pool.why}")
            continue
        yield from _row("short" if pool.is_short else "ok", f"{given}, {pool.needed_s:.0f} s are needed: {pool.why}")
        if pool.is_short:
            remedy = f"set terminationGracePeriodSeconds of the pods to {math.ceil(pool.needed_s)} or more"
            yield from _row("", f"-> {remedy}. {pool.explanation}")


def _rights(found: Examination) -> Iterator[str]:
    if found.cluster is None:
        return
    yield "rights"
    for right in found.cluster.rights:
        what = f"{right.what}{', to enforce' if right.later else ''}"
        if right.granted:
            yield from _row("ok", what)
        elif right.granted is None:
            yield from _row("unknown", f"{what}: {right.trouble}")
        else:
            yield from _row("missing", what)
            yield from _row("", f"-> {right.remedy}")


def _decision(found: Examination) -> Iterator[str]:
    yield "decision"
    for role in dict.fromkeys((*found.would, *found.inert)):
        if role in found.inert:
            yield from _row("inert", f"{role}: {found.inert[role]}")
            continue
        yield from _row("ok", f"{role}: {found.would[role]}")
        if role in found.held:
            yield from _row("grows", f"{role}: it grows and never shrinks while {found.held[role]}")


def _row(mark: str, text: str) -> Iterator[str]:
    return iter(
        textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=f"  {mark:<{_MARK}}",
            subsequent_indent=" " * (_MARK + 4),
            break_on_hyphens=False,
            break_long_words=False,
        )
    )
