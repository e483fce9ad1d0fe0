"""Numbers, signals and reasons in words, short enough for a table cell or a log line."""

from __future__ import annotations

from autoscaler.core.attribution import Attribution, Bottleneck
from autoscaler.core.decision import RoleDecision, Stage
from autoscaler.core.signals import Signal

_THOUSAND = 1000.0
_MANY = 10 * _THOUSAND

FORESIGHT = (
    "Estimated cost of a schedule that knows every request beforehand, serves prefill and decode apart, and pays for "
    "the start of its first replicas. A short load, or one served on decode alone, may cost less."
)


def quantity(value: float, unit: str) -> str:
    """Format a number in its canonical unit: `62 %`, `430 ms`, `12.3k tokens/s`."""
    if unit == "ratio":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value * _THOUSAND:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    number = f"{value / _THOUSAND:.1f}k" if abs(value) >= _MANY else f"{value:.4g}"
    return f"{number} {unit}"


def signal_text(signal: Signal | None) -> str:
    """Format a signal's value, or say in one word why there is none."""
    if signal is None:
        return "not exported"
    return signal.state.value if signal.usable is None else quantity(signal.usable, signal.unit)


def path_text(found: Attribution) -> str:
    """What holds requests up on their way to the first token, or that nobody knows."""
    parts = (found.queue_s, found.prefill_s, found.transfer_s, found.decode_s)
    if found.bottleneck is Bottleneck.NONE and all(part is None for part in parts):
        return "unknown, no part of the path is measured"
    return f"{found.bottleneck.value}, {found.detail}" if found.detail else found.bottleneck.value


def binding_stage(decided: RoleDecision) -> Stage:
    """The stage that made the number: the last one that changed it, else the proposal."""
    changed = [stage for stage in decided.stages if stage.after != stage.before]
    return changed[-1] if changed else decided.stages[0]


def reason_text(decided: RoleDecision) -> str:
    """The binding reason, with the numbers behind it where the stage gave them."""
    return _stage_text(binding_stage(decided))


def story_text(decided: RoleDecision) -> str:
    """What was proposed and why, and the guard that had the last word where one did."""
    proposal, binding = decided.stages[0], binding_stage(decided)
    return _stage_text(proposal) if binding is proposal else f"{_stage_text(proposal)}; {_stage_text(binding)}"


def _stage_text(stage: Stage) -> str:
    words = stage.reason.value.replace("_", " ")
    return f"{words}: {stage.detail}" if stage.detail else words
