"""A guide per stack: its data file in words, its ready policy, and what to know before starting."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from autoscaler.core.signals import unit_of
from autoscaler.stacks.candidates import SignalModel
from autoscaler.stacks.dialects import Stack
from autoscaler.stacks.load import load_stack, stack_names
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.kubernetes.switches.load import load_switch
from scripts.pages.markdown import code, page, table

_POLICIES = Path(__file__).parents[2] / "policies"
_STEPS = """
Put your names into the policy below, and ask:

```sh
pd-autoscaler check policies/{name}.yaml
pd-autoscaler doctor --policy policies/{name}.yaml --prometheus http://prometheus:9090
pd-autoscaler recommend --policy policies/{name}.yaml --prometheus http://prometheus:9090
```

`doctor` asks every query and names what is missing. From there: [from recommend to enforce](../checklist.md).
"""
_RELABELLING = """
## Telling the pools apart

The series need a label `{label}` with the values `prefill` and `decode`. If your pods carry it as a Kubernetes label:

```yaml
# in the PodMonitor or ServiceMonitor
podMetricsEndpoints:
  - port: http
    relabelings:
      - sourceLabels: [__meta_kubernetes_pod_label_{label}]
        targetLabel: {label}
```
"""


@cache
def _facts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = yaml.safe_load(files(__package__).joinpath("guides.yaml").read_text(encoding="utf-8"))
    return found


def guide_pages() -> dict[str, str]:
    """A page per stack, by its name."""
    return {name: _guide(load_stack(name)) for name in stack_names()}


def guide_index() -> str:
    """The page that lists them."""
    stacks = [load_stack(name) for name in stack_names()]
    rows = [(f"[{stack.title}]({stack.name}.md)", code(stack.name), stack.versions) for stack in stacks]
    introduction = (
        "What a stack exports, what is scaled, and what to know before starting. Another stack is a data file away: "
        "[Stacks](../stacks.md)."
    )
    return page("# Guides", introduction, table(("stack", "name in a policy", "versions"), rows))


def _guide(stack: Stack) -> str:
    policy = (_POLICIES / f"{stack.name}.yaml").read_text(encoding="utf-8").strip()
    label = stack.labels.role.name
    needs_label = label == "role" and stack.labels.role.match == "exact"
    return page(
        f"# {stack.title}",
        f"Versions: {stack.versions}. Read from: {stack.read}.",
        [f"- {fact}" for fact in _facts()[stack.name]],
        "## Start",
        _STEPS.format(name=stack.name).strip(),
        f"```yaml\n{policy}\n```",
        _RELABELLING.format(label=label).strip() if needs_label else "",
        "## What is scaled",
        table(("target", "object"), [(code(name), load_spec(name).title) for name in stack.facts.targets]),
        *_limits(stack),
        "## Ending a replica",
        _drain(stack),
        "## The switch",
        f"{', '.join(f'{code(name)} ({load_switch(name).title})' for name in stack.facts.switch.specs)}. "
        f"{stack.facts.switch.explanation}",
        "## Signals",
        *(block for scope in _scopes(stack) for block in scope),
        *_unverified(stack),
    )


def _limits(stack: Stack) -> Iterator[str]:
    if stack.facts.limits:
        yield "Limits:"
        for limit in stack.facts.limits:
            what = (limit.role, limit.rule, limit.value)
            yield f"- {' '.join(str(part) for part in what if part is not None)}: {limit.why}"


def _drain(stack: Stack) -> str:
    drain = stack.facts.drain
    times = {"KV of a prompt is kept for": drain.kv_lease_s, "The grace period is": drain.grace_s}
    known = " ".join(f"{what} {seconds:g} s." for what, seconds in times.items() if seconds is not None)
    return f"{known} {drain.explanation}".strip()


def _scopes(stack: Stack) -> Iterator[list[str | list[str]]]:
    for scope, signals in stack.dialects[0].signals.items():
        rows = [(code(name), unit_of(scope, name), _means(signal)) for name, signal in signals.items()]
        yield [f"### {scope.capitalize()}", table(("signal", "unit", "where it comes from"), rows)]


def _means(signal: SignalModel) -> str:
    return signal.explanation if signal.candidates is not None else f"absent: {signal.absent}"


def _unverified(stack: Stack) -> Iterator[str | list[str]]:
    if stack.facts.unverified:
        yield "## Not verified"
        yield [f"- {remark}" for remark in stack.facts.unverified]
