"""What every part of the document has in common: strict, frozen, nothing unknown, no empty values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator

from autoscaler.config.refusal import refuse


class Strict(BaseModel):
    """A mapping whose keys are all known and whose values have exactly the declared type."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True, validate_by_name=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_empty(cls, value: object) -> object:
        if value is None:
            raise refuse("has no value: give it one, or remove the key")
        return value
