"""Specs in data files, one a name, and specs as plain data: both checked against one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from autoscaler.stacks.errors import did_you_mean
from autoscaler.stacks.problems import problem_lines
from autoscaler.targets.kubernetes.specs.problems import SpecError

_SUFFIX = ".yaml"
_Spec = TypeVar("_Spec", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class SpecFiles(Generic[_Spec]):
    """The specs of one kind that come with the program.

    Attributes:
        package: Where their files are.
        model: What they are checked against.
        what: What messages call one.
        looks_like: A small one, for messages.
    """

    package: str
    model: type[_Spec]
    what: str
    looks_like: str

    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        found = files(self.package).iterdir()
        return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in found if entry.name.endswith(_SUFFIX)))

    def load(self, name: str) -> _Spec:
        """Read one by name.

        Raises:
            SpecError: There is none of that name, or its file is wrong.
        """
        if name not in self.names():
            raise SpecError(f"{name!r} is no {self.what}; {did_you_mean(name, self.names())}")
        text = files(self.package).joinpath(name + _SUFFIX).read_text(encoding="utf-8")
        return self.parse({"name": name, **yaml.safe_load(text)}, f"{self.what} {name}")

    def parse(self, document: Any, origin: str) -> _Spec:
        """Check a spec.

        Args:
            document: A mapping as YAML or JSON gives it.
            origin: What to call it in messages.

        Raises:
            SpecError: With every problem found, one a line.
        """
        if not isinstance(document, Mapping):
            raise SpecError(f"{origin}: is no mapping (got {document!r}); it looks like {self.looks_like}")
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            raise SpecError(problem_lines(self.model, error, origin)) from None
