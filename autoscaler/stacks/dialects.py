"""A stack as it may meet us: one dialect per engine and per spelling of its metric names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.stacks.candidates import CandidateModel, Dispatch, Kind, SignalModel
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.facts import FactsModel
from autoscaler.stacks.model import (
    GatewayModel,
    GenerationModel,
    ReplicasModel,
    RoleLabelModel,
    StackModel,
    WindowsModel,
)

Signals = Mapping[Scope, Mapping[str, SignalModel]]


@dataclass(frozen=True, slots=True)
class Labels:
    """Label names of the engines' series; see `model.LabelsModel`."""

    pod: str
    model: str
    role: RoleLabelModel
    fixed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """All that a stack exports under one engine and one spelling; nothing is left to inherit.

    Attributes:
        name: How metric names of the engine begin.
        probe: A metric that tells whether this is the dialect in use.
    """

    name: str
    probe: str
    labels: Labels
    dispatch: Dispatch
    windows: WindowsModel
    terms: Mapping[str, str]
    signals: Signals
    replicas: ReplicasModel
    generations: tuple[GenerationModel, ...]
    buckets: str
    stream: tuple[CandidateModel, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack file with those of its engines.

    Attributes:
        dialects: Likeliest first.
    """

    name: str
    title: str
    versions: str
    read: str
    gateway: GatewayModel | None
    workloads: Mapping[Role, str]
    facts: FactsModel
    dialects: tuple[Dialect, ...]

    @property
    def labels(self) -> Labels:
        """Label names of the likeliest engine's series."""
        return self.dialects[0].labels


def assemble(file: StackModel, engines: Mapping[str, StackModel]) -> Stack:
    """Put a stack file and those of its engines together.

    Raises:
        StackError: It inherits where there is nothing to inherit.
    """
    bases = [(engines[name], spellings) for name, spellings in file.engines.items()] or [(file, ())]
    return Stack(
        name=file.name,
        title=file.title,
        versions=file.versions,
        read=file.read,
        gateway=file.gateway,
        workloads=file.workloads,
        facts=file.facts,
        dialects=tuple(dialect for base, spellings in bases for dialect in _dialects(file, base, spellings)),
    )


def _dialects(file: StackModel, base: StackModel, spellings: tuple[str, ...]) -> list[Dialect]:
    """The dialects of one engine, which for a file that stands alone is that file."""
    names, dispatch = base.names, file.dispatch or base.dispatch
    windows, replicas = file.windows or base.windows, file.replicas or base.replicas
    labels = _labels(file, base)
    if names is None or labels is None or dispatch is None or windows is None or replicas is None:
        raise StackError(f"stack {file.name}: engine {base.name} is no engine: it names engines itself")
    signals = _signals(file, base)
    found = []
    for spelling in spellings or names.spellings:
        spell = _Speller(names.prefix, spelling, (*base.beside, *(file.beside if file is not base else ())))
        found.append(
            Dialect(
                name=spelling,
                probe=spell.text(names.probe),
                labels=labels,
                dispatch=dispatch,
                windows=windows,
                terms={name: spell.text(term) for name, term in {**base.terms, **file.terms}.items()},
                signals={scope: {name: spell.signal(one) for name, one in by.items()} for scope, by in signals.items()},
                replicas=ReplicasModel(
                    asked_for=spell.candidates(replicas.asked_for), ready=spell.candidates(replicas.ready)
                ),
                generations=tuple(
                    generation.model_copy(update={"probe": spell.text(generation.probe)})
                    for generation in (*file.generations, *(base.generations if base is not file else ()))
                ),
                buckets=file.buckets or base.buckets,
                stream=spell.candidates(file.stream or base.stream or ()),
            )
        )
    return found


def _labels(file: StackModel, base: StackModel) -> Labels | None:
    pod = file.labels.pod or base.labels.pod
    model = file.labels.model or base.labels.model
    role = file.labels.role or base.labels.role
    if pod is None or model is None or role is None:
        return None
    return Labels(pod, model, role, {**base.labels.fixed, **file.labels.fixed})


def _signals(file: StackModel, base: StackModel) -> Signals:
    """Each signal of the file, else of the engine."""
    if base is file:
        for scope, signals in file.signals.items():
            for name, signal in signals.items():
                if any(candidate.inherit for candidate in signal.candidates or ()):
                    raise StackError(f"stack {file.name}: signals.{scope}.{name} inherits, and no engines are named")
        return file.signals
    merged: dict[Scope, dict[str, SignalModel]] = {scope: dict(signals) for scope, signals in base.signals.items()}
    for scope, signals in file.signals.items():
        known = merged.setdefault(scope, {})
        for name, signal in signals.items():
            known[name] = _merged(signal, known.get(name), f"stack {file.name}: signals.{scope}.{name}")
    return merged


def _merged(own: SignalModel, base: SignalModel | None, place: str) -> SignalModel:
    """The file's signal, the engine's candidates put where it inherits them."""
    if own.candidates is None:
        return own
    candidates: list[CandidateModel] = []
    for candidate in own.candidates:
        if candidate.inherit:
            inherited = base.candidates if base is not None and base.candidates is not None else ()
            candidates += [_added(one, candidate, place) for one in inherited]
        else:
            candidates.append(candidate)
    explanation = own.explanation or (base.explanation if base is not None else "")
    if candidates:
        return SignalModel(explanation=explanation, candidates=tuple(candidates))
    if base is None or base.absent is None:
        raise StackError(f"{place} inherits what the engine does not have")
    return base


def _added(inherited: CandidateModel, by: CandidateModel, place: str) -> CandidateModel:
    note = "; ".join(part for part in (inherited.note, by.note) if part)
    if by.plus is None:
        return inherited.model_copy(update={"note": note})
    if inherited.kind is not Kind.VALUE:
        raise StackError(f"{place}: plus needs a candidate of kind value to add to")
    expr = f"(\n{inherited.expr}\n)\n+ on() ((\n{by.plus}\n) or vector(0))"
    return inherited.model_copy(update={"expr": expr, "note": note})


class _Speller:
    """Writes expressions with other beginnings of metric names.

    Args:
        prefix: How the engine's names begin in the expressions.
        spelling: What stands there instead.
        beside: Beginnings that come from the same scrapes: what is put before the prefix is put before them, and where
            its colon is an underscore, theirs is.
    """

    def __init__(self, prefix: str, spelling: str, beside: tuple[str, ...]) -> None:
        self._spellings = {one: _changed_along(one, prefix, spelling) for one in beside} | {prefix: spelling}
        beginnings = "|".join(map(re.escape, self._spellings))
        self._pattern = re.compile(rf"(?<![a-zA-Z0-9_:])(?:{beginnings})")

    def text(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._spellings[found[0]], text)

    def candidates(self, candidates: tuple[CandidateModel, ...]) -> tuple[CandidateModel, ...]:
        return tuple(
            candidate.model_copy(
                update={
                    "expr": None if candidate.expr is None else self.text(candidate.expr),
                    "legs": None if candidate.legs is None else tuple(map(self.text, candidate.legs)),
                }
            )
            for candidate in candidates
        )

    def signal(self, signal: SignalModel) -> SignalModel:
        if signal.candidates is None:
            return signal
        return signal.model_copy(update={"candidates": self.candidates(signal.candidates)})


def _changed_along(beginning: str, prefix: str, spelling: str) -> str:
    if spelling.endswith(prefix):
        return spelling.removesuffix(prefix) + beginning
    return beginning.replace(":", "_") if spelling == prefix.replace(":", "_") else beginning
