"""Label and field selectors."""

from __future__ import annotations

import re
from typing import Any

from tests.support.kube_api.errors import bad_request
from tests.support.kube_api.paths import lookup

JsonObject = dict[str, Any]

_SET_BASED = re.compile(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$")
_EQUALITY = re.compile(r"^([^!=\s]+)\s*(==|=|!=)\s*([^!=\s]*)$")
_REQUIREMENT_COMMA = re.compile(r",(?![^(]*\))")


def matches_labels(selector: str, labels: JsonObject) -> bool:
    """Whether labels satisfy every requirement of a selector such as `app=x,role in (a,b),!old`."""
    parts = [part.strip() for part in _REQUIREMENT_COMMA.split(selector)]
    return all(_holds(part, labels) for part in parts if part)


def _holds(requirement: str, labels: JsonObject) -> bool:
    if found := _SET_BASED.match(requirement):
        key, operator, listed = found.groups()
        inside = labels.get(key) in {value.strip() for value in listed.split(",")}
        return inside if operator == "in" else not inside
    if found := _EQUALITY.match(requirement):
        key, operator, value = found.groups()
        return labels.get(key) != value if operator == "!=" else labels.get(key) == value
    if " " in requirement:
        raise bad_request(f"unable to parse requirement: {requirement}")
    return requirement[1:] not in labels if requirement.startswith("!") else requirement in labels


def matches_fields(selector: str, document: JsonObject) -> bool:
    """Whether an object satisfies a field selector such as `metadata.name=x,status.phase!=Running`."""
    for requirement in filter(None, selector.split(",")):
        found = _EQUALITY.match(requirement)
        if found is None:
            raise bad_request(f"invalid field selector: {requirement}")
        path, operator, value = found.groups()
        if ((lookup(document, path) or "") == value) is (operator == "!="):
            return False
    return True


def selector_string(selector: JsonObject) -> str:
    """A LabelSelector object as the string that the Scale object shows."""
    parts = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    for expression in selector.get("matchExpressions", []):
        key, operator, values = expression["key"], expression["operator"].lower(), expression.get("values", [])
        words = {"exists": key, "doesnotexist": f"!{key}"}
        parts.append(words.get(operator, f"{key} {operator} ({','.join(values)})"))
    return ",".join(parts)
