"""From a method and a path to a verb on an object."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.kube_api.errors import method_not_allowed, no_such_path, not_found
from tests.support.kube_api.rbac import Attributes
from tests.support.kube_api.resources import Address, Registry, Resource

_ON_OBJECT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ON_COLLECTION = {"GET": "list", "POST": "create"}
_REVIEW = Resource(
    "authorization.k8s.io", ("v1",), "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks of which object.

    Attributes:
        verb: As RBAC knows it: get, list, watch, create, update, patch, delete.
    """

    verb: str
    address: Address
    query: dict[str, str]

    @property
    def resource(self) -> str:
        """Plural with the subresource, as RBAC knows it: `deployments/scale`."""
        plural, subresource = self.address.resource.plural, self.address.subresource
        return f"{plural}/{subresource}" if subresource else plural

    @property
    def attributes(self) -> Attributes:
        """What RBAC is asked."""
        address = self.address
        return Attributes(self.verb, address.resource.group, self.resource, address.namespace, address.name)

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be persisted."""
        return self.query.get("dryRun") == "All"


def parse(method: str, target: str, registry: Registry) -> Call:
    """Read the request line.

    Raises:
        ApiError: 404 for an unknown kind or subresource, 405 for a method that it does not offer.
    """
    url = urlsplit(target)
    query = dict(parse_qsl(url.query))
    address = _address([unquote(part) for part in url.path.strip("/").split("/")], registry)
    on_object = bool(address.name) and address.subresource != "token"
    verb = (_ON_OBJECT if on_object else _ON_COLLECTION).get(method)
    if verb is None:
        raise method_not_allowed()
    if verb == "list" and query.get("watch") in {"true", "1"}:
        verb = "watch"
    return Call(verb, address, query)


def _address(parts: list[str], registry: Registry) -> Address:
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    if (group, plural) == (_REVIEW.group, _REVIEW.plural):
        return Address(_REVIEW, version)
    resource = registry.find(group, version, plural)
    if resource is None or len(rest) > 3:
        raise no_such_path()
    if not _offers(resource, subresource):
        raise not_found(resource.qualified, name) if resource.custom else no_such_path()
    return Address(resource, version, namespace, name, subresource)


def _offers(resource: Resource, subresource: str) -> bool:
    offered = {
        "": True,
        "status": resource.status,
        "scale": resource.scale is not None,
        "token": resource.kind == "ServiceAccount",
    }
    return offered.get(subresource, False)
