"""Selectors of our own metrics."""

from __future__ import annotations

WINDOW = "[${window}s]"
"""The window of rates of what is counted at each tick, however seldom a service ticks; see `frame.window`."""


def own(where: str, name: str, **labels: str) -> str:
    """A selector of one of our metrics.

    Args:
        where: Matchers of the services, as they stand between braces.
        name: Of the metric, without the prefix.
        labels: Labels with their exact values.
    """
    matchers = [where, *(f'{label}="{value}"' for label, value in labels.items())]
    return f"pd_autoscaler_{name}{{{','.join(matchers)}}}"


def led(by: str, where: str, name: str, **labels: str) -> str:
    """One of our metrics as the daemon that leads says it, or the largest value while none does.

    Args:
        by: Labels to keep.
        where: Matchers of the services, as they stand between braces.
        name: Of the metric, without the prefix.
        labels: Labels with their exact values.
    """
    metric, leads = own(where, name, **labels), own(where, "leads")
    one = f"max by ({by}) ({metric} and on (job, instance, namespace, service) {leads} == 1)"
    return f"({one} or max by ({by}) ({metric}))"
