"""Role policies of the user's own: found by entry point, checked at load, fenced in at run time.

A plug-in is a function `propose(context: RoleContext, settings: Settings) -> Proposal`, registered in the entry-point
group `pd_autoscaler.policies`. The annotation of `settings` names the pydantic model that `settings` of a policy must
fit.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from autoscaler.config.fields import keys_of
from autoscaler.config.problems import nearest
from autoscaler.config.refusal import Conflict
from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term

GROUP = "pd_autoscaler.policies"
BUILT_IN = "auto"
# More replicas than any cluster has; a need beyond it is a slip in the plug-in's arithmetic.
_MOST_REPLICAS = 1e6

Propose = Callable[[RoleContext], Proposal]
PlainPropose = Callable[[RoleContext, Any], Proposal]


class PluginError(ValueError):
    """A plug-in that cannot be used, with what is wrong below the place that names it."""

    def __init__(self, conflicts: Iterable[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__("; ".join(conflict.message for conflict in self.conflicts))


@dataclass(frozen=True, slots=True)
class Plugin:
    """A role policy that is installed.

    Attributes:
        name: How policies call it.
        propose: The function.
        settings: The model of its settings.
    """

    name: str
    propose: PlainPropose
    settings: type[BaseModel]

    def bind(self, data: Mapping[str, Any]) -> tuple[dict[str, Any], Propose]:
        """Its settings as plain data, and the function that proposes with them and does no harm.

        Raises:
            PluginError: The settings do not fit its model.
        """
        try:
            settings = self.settings.model_validate(dict(data))
        except ValidationError as error:
            raise PluginError(_settings_conflicts(error, self)) from None
        return settings.model_dump(mode="json", by_alias=True), fenced(self.name, self.propose, settings)


def find_plugin(name: str) -> Plugin:
    """The installed role policy of a name.

    Raises:
        PluginError: There is none, there are several, or it is no role policy.
    """
    installed = entry_points(group=GROUP)
    found = {point.value: point for point in installed if point.name == name}
    if not found:
        names = sorted({BUILT_IN, *(point.name for point in installed)})
        message = "is no role policy that is installed here"
        raise PluginError([Conflict(("name",), message, name, ", ".join(names), nearest(name, names))])
    if len(found) > 1:
        message = f"is the name of several role policies: {', '.join(sorted(found))}; uninstall all but one"
        raise PluginError([Conflict(("name",), message, name)])
    return _load(next(iter(found.values())))


def fenced(name: str, propose: PlainPropose, settings: object) -> Propose:
    """A plug-in's function that never raises and lets no NaN through.

    What goes wrong in it becomes a proposal without terms, on which the pool is held, with the reason in the record.
    """
    return _Fenced(name, propose, settings)


@dataclass(frozen=True, slots=True)
class _Fenced:
    """No closure, because the policies of a sweep go to other processes."""

    name: str
    propose: PlainPropose
    settings: object

    def __call__(self, context: RoleContext) -> Proposal:
        try:
            proposal = self.propose(context, self.settings)
            problem = _problem(proposal)
        except Exception as error:  # noqa: BLE001 - a stranger's code must not end the tick
            problem = f"it raised {error!r}"
        if problem is not None:
            return Proposal((), {f"role policy {self.name}": f"broken: {problem}"})
        return replace(proposal, terms=tuple(_named(self.name, term) for term in proposal.terms))


def _named(name: str, term: Term) -> Term:
    return replace(term, detail=f"role policy {name}: {term.detail}")


def _problem(proposal: object) -> str | None:
    """What makes a proposal unusable."""
    if not isinstance(proposal, Proposal):
        return f"it returned {type(proposal).__name__}, not a Proposal"
    if not proposal.terms and not proposal.missing:
        return "it proposed nothing and named no missing signal"
    terms: tuple[object, ...] = proposal.terms
    for term in terms:
        if not isinstance(term, Term) or term.reason not in tuple(Reason):
            return f"it returned {term!r}, which is no Term with a Reason"
        if not 0.0 <= term.need <= _MOST_REPLICAS:
            return f"it asked for {term.need} replicas"
        wrong = [key for key, value in term.numbers.items() if not math.isfinite(value)]
        if wrong:
            return f"its number {wrong[0]} is {term.numbers[wrong[0]]}"
    return None


def _load(point: EntryPoint) -> Plugin:
    try:
        propose = point.load()
        hints = typing.get_type_hints(propose)
    except Exception as error:
        message = f"cannot be loaded from {point.value}: {error!r}"
        raise PluginError([Conflict(("name",), message, point.name)]) from error
    model = hints.get("settings")
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        message = f"at {point.value} is no role policy: its parameter settings is not annotated with a pydantic model"
        raise PluginError([Conflict(("name",), message, point.name)])
    return Plugin(point.name, propose, model)


def _settings_conflicts(error: ValidationError, plugin: Plugin) -> Iterable[Conflict]:
    keys = keys_of(plugin.settings)
    for detail in error.errors(include_url=False):
        loc = ("settings", *detail["loc"])
        if detail["type"] == "extra_forbidden":
            near = nearest(str(loc[-1]), keys)
            message = f"is no setting of role policy {plugin.name}"
            yield Conflict(loc, message, allowed=", ".join(keys) or "none", nearest=near)
        elif detail["type"] == "missing":
            yield Conflict(loc, f"is missing: role policy {plugin.name} needs it")
        else:
            yield Conflict(loc, f"does not fit role policy {plugin.name}: {detail['msg']}", repr(detail["input"])[:60])
