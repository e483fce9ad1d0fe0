"""Where metrics pages are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

INSTANCE = "instance"


class EndpointsError(RuntimeError):
    """The pages cannot be found out; the message says why and what to do about it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One metrics page and the labels that its series get."""

    url: str
    labels: Mapping[str, str]


Endpoints = Callable[[], Sequence[Endpoint]]
"""Tells where the pages are now, or raises an `EndpointsError`."""


def fixed_endpoints(pages: Iterable[tuple[str, Mapping[str, str]]], pod_label: str) -> Endpoints:
    """Pages that never move.

    Args:
        pages: Address of each page, and the labels by which the service's queries find its series.
        pod_label: Label that names a replica; the address' host and port stand for the pod.
    """
    found = tuple(
        Endpoint(url, {pod_label: urlsplit(url).netloc, INSTANCE: urlsplit(url).netloc, **labels})
        for url, labels in pages
    )
    return lambda: found
