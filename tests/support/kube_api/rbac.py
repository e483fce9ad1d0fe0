"""Who may do what: the Roles and bindings that are stored on the server itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.kube_api.errors import ApiError
from tests.support.kube_api.resources import Address
from tests.support.kube_api.store import Store

JsonObject = dict[str, Any]

_GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class User:
    """Whom a bearer token names."""

    name: str
    groups: frozenset[str] = frozenset()

    @classmethod
    def service_account(cls, namespace: str, name: str) -> User:
        """The user of a service account."""
        groups = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
        return cls(f"system:serviceaccount:{namespace}:{name}", frozenset(groups))


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request asks for; `resource` includes the subresource, as in `deployments/scale`."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


def allowed(store: Store, user: User, wanted: Attributes) -> bool:
    """Whether some binding grants the request."""
    if "system:masters" in user.groups:
        return True
    return any(_grants(rule, wanted) for rule in _rules(store, user, wanted.namespace))


def forbidden(user: User, wanted: Attributes) -> ApiError:
    """The 403 in the server's words."""
    plural = wanted.resource.partition("/")[0]
    qualified = f"{plural}.{wanted.group}" if wanted.group else plural
    head = f'{qualified} "{wanted.name}" is forbidden' if wanted.name else f"{qualified} is forbidden"
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    message = (
        f'{head}: User "{user.name}" cannot {wanted.verb} resource "{wanted.resource}" '
        f'in API group "{wanted.group}" {scope}'
    )
    return ApiError(403, "Forbidden", message, {"name": wanted.name, "group": wanted.group, "kind": plural})


def _rules(store: Store, user: User, namespace: str) -> list[JsonObject]:
    bindings = _listed(store, "clusterrolebindings")
    if namespace:
        bindings += _listed(store, "rolebindings", namespace)
    rules: list[JsonObject] = []
    for binding in bindings:
        if any(_is(subject, user) for subject in binding.get("subjects", [])):
            rules += _role_rules(store, binding["roleRef"], namespace)
    return rules


def _role_rules(store: Store, reference: JsonObject, namespace: str) -> list[JsonObject]:
    roles = _listed(store, "roles", namespace) if reference["kind"] == "Role" else _listed(store, "clusterroles")
    return [rule for role in roles if role["metadata"]["name"] == reference["name"] for rule in role.get("rules", [])]


def _listed(store: Store, plural: str, namespace: str = "") -> list[JsonObject]:
    resource = store.registry.find(_GROUP, "v1", plural)
    if resource is None:
        raise LookupError(plural)
    return store.select(Address(resource, "v1", namespace))


def _is(subject: JsonObject, user: User) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user.name == User.service_account(subject["namespace"], subject["name"]).name
    return subject["name"] in (user.groups if subject["kind"] == "Group" else {user.name})


def _grants(rule: JsonObject, wanted: Attributes) -> bool:
    names = rule.get("resourceNames")
    return (
        _listed_in(rule.get("verbs", []), wanted.verb)
        and _listed_in(rule.get("apiGroups", []), wanted.group)
        and _listed_in(rule.get("resources", []), wanted.resource)
        and (not names or wanted.name in names)
    )


def _listed_in(listed: list[str], value: str) -> bool:
    return value in listed or "*" in listed
