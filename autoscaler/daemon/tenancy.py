"""What a policy that is an object in the cluster may not do, though a file may: who writes it need not run the daemon.

It scales and reads in its own namespace only, names no files of the daemon, whose contents it could have sent to a
server of its choice, and has the daemon connect to nothing that the network hides from its author.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import promql_parser

from autoscaler.config import LoadedPolicy, Problem, ScalingPolicy
from autoscaler.config.files import NO_FILES, PolicyFiles
from autoscaler.config.parsing import parse_promql
from autoscaler.daemon.queries import service_queries
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.queries import ServiceQueries

_FILES = re.compile(r"[a-zA-Z]+File")
_NAMESPACE_LABELS = frozenset({"namespace", "kubernetes_namespace"})
"""Labels that the scrape sets, and no pod can."""
_HIDDEN_NAMES = re.compile(
    r"(.*\.)?(localhost|localdomain|metadata|metadata\.google\.internal|metadata\.goog|instance-data|"
    r"instance-data\.ec2\.internal|kubernetes(\.default(\.svc(\.cluster\.local)?)?)?)"
)
# Cloud metadata beyond the link-local range: Alibaba, Oracle's and AWS's over IPv6.
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What the operator allows policies in the cluster.

    Attributes:
        prometheus_given: Whether the operator names the Prometheus, so that policies choose no server.
        cross_namespace: Whether policies may read and scale anywhere, and have any address connected to.
        files: Stack files and profiles that policies may name.
    """

    prometheus_given: bool = False
    cross_namespace: bool = False
    files: PolicyFiles = NO_FILES

    def problems(self, loaded: LoadedPolicy) -> Iterator[Problem]:
        """Everything that a policy may not do."""
        policy, file = loaded.policy, str(loaded.file)
        spec = policy.spec.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json")
        if not self.prometheus_given:
            yield from _files(spec.get("prometheus", {}), "spec.prometheus", file)
        if self.cross_namespace:
            return
        yield from _places(spec, "spec", policy.metadata.namespace, file)
        yield from _addresses(spec, "spec", file)
        yield from _series(policy, file)


def is_hidden(url: str) -> bool:
    """Whether an address has the shape of one that only the daemon's node, or the cloud behind it, can see."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return True
    address = _ip(host.partition("%")[0])
    if address is None:
        return not host or _HIDDEN_NAMES.fullmatch(host) is not None
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return any(
        one.is_loopback or one.is_link_local or one.is_unspecified or one.is_multicast or one in _METADATA
        for one in (address, mapped)
        if one is not None
    )


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, in any form that a resolver takes: 127.1, 0x7f000001 and 2130706433 as well."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _files(data: Mapping[str, Any], place: str, file: str) -> Iterator[Problem]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _files(value, f"{place}.{key}", file)
        elif _FILES.fullmatch(key):
            message = (
                "names a file of the daemon, which an object in the cluster may not while it chooses the server too: "
                "start the daemon with --prometheus"
            )
            yield Problem(f"{place}.{key}", message, file=file)


def _places(data: object, place: str, own: str, file: str) -> Iterator[Problem]:
    for path, key, value in _leaves(data, place):
        # a selector's label of that name is a matter of the series, below
        if key == "namespace" and not path.endswith("elector.namespace") and value != own:
            message = "is not the policy's own namespace, and an object in the cluster scales no other"
            yield Problem(path, message, str(value), own, file=file)


def _addresses(data: object, place: str, file: str) -> Iterator[Problem]:
    for path, _, value in _leaves(data, place):
        if isinstance(value, str) and re.match(r"https?://", value) and is_hidden(value):
            message = (
                "is an address that only the daemon's node or its cloud can see; an object in the cluster may not have "
                "it connected to"
            )
            yield Problem(path, message, urlsplit(value).netloc, file=file)


def _series(policy: ScalingPolicy, file: str) -> Iterator[Problem]:
    own = policy.metadata.namespace
    try:
        queries = service_queries(policy)
    except StackError:
        return  # refused for that when it is put to work
    names = {name for one in (queries, *queries.alternatives) for name in _foreign(one, own)}
    if names:
        message = f"series of all namespaces would be read, by {', '.join(sorted(names)[:3])}: add the label to it"
        yield Problem("spec.selector.namespace", message, None, own, file=file)


def _foreign(queries: ServiceQueries, own: str) -> Iterator[str]:
    """Signals with a selector that is not limited to a namespace."""
    for query in queries.signals:
        selectors = (text for one in query.candidates for part in one.expressions for text in part.selectors)
        if not all(_is_limited(text, own) for text in selectors):
            yield f"{query.scope}.{query.name}"


def _is_limited(selector: str, own: str) -> bool:
    try:
        tree = parse_promql(selector)
    except ValueError:
        return False
    if not isinstance(tree, promql_parser.VectorSelector):
        return False
    matchers = tree.matchers
    return not matchers.or_matchers and any(
        one.name in _NAMESPACE_LABELS and one.op == promql_parser.MatchOp.Equal and one.value == own
        for one in matchers.matchers
    )


def _leaves(data: object, place: str) -> Iterator[tuple[str, str, object]]:
    """Path, key and value of everything that is no mapping and no list."""
    items: Iterator[tuple[str, str, object]]
    if isinstance(data, Mapping):
        items = ((f"{place}.{key}", str(key), value) for key, value in data.items())
    elif isinstance(data, list):
        items = ((f"{place}[{number}]", "", value) for number, value in enumerate(data))
    else:
        return
    for path, key, value in items:
        if isinstance(value, (Mapping, list)):
            yield from _leaves(value, path)
        else:
            yield path, key, value
