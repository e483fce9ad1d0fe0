"""What every part of a data file of ours has in common: stacks, targets, switches."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1)]


class Strict(BaseModel):
    """A mapping whose keys are all known, and that never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
