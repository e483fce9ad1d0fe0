"""What one replica is believed to be able to do: a row of the built-in table, or constants of the user's own."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from autoscaler.config.base import Strict
from autoscaler.config.refusal import Conflicts
from autoscaler.config.values import Duration, Text
from autoscaler.core import capacity
from autoscaler.core.engines import ENGINES, UnknownEngineError, find_engine

_Time = Annotated[float, Duration(0, 60, "10ms")]
_PerUnit = Annotated[float, Field(ge=0)]


class PrefillTiming(Strict):
    """Prefill of one request takes fixed + perToken * uncached + perSquaredToken * (prompt^2 - cached^2)."""

    fixed_s: _Time = Field(alias="fixed", description="Time that any prompt takes, such as 11ms. Required.")
    us_per_token: _PerUnit = Field(
        alias="microsecondsPerToken", description="Microseconds per prompt token that is not cached. Required."
    )
    ns_per_squared_token: _PerUnit = Field(
        default=0.0,
        alias="nanosecondsPerSquaredToken",
        description="Nanoseconds per squared prompt token, for attention. Default 0: short prompts do not show it.",
    )

    def core(self) -> capacity.PrefillTime:
        """The same as plain data."""
        return capacity.PrefillTime(self.fixed_s * 1e3, self.us_per_token * 1e-3, self.ns_per_squared_token * 1e-6)


class DecodeTiming(Strict):
    """One decode step takes fixed + perSequence * batch + perKvToken * resident tokens."""

    fixed_s: _Time = Field(alias="fixed", description="Time of a step with one short sequence, such as 15ms. Required.")
    us_per_sequence: _PerUnit = Field(
        alias="microsecondsPerSequence", description="Microseconds per sequence in the batch. Required."
    )
    ns_per_kv_token: _PerUnit = Field(
        alias="nanosecondsPerKvToken", description="Nanoseconds per token in the KV cache. Required."
    )

    @model_validator(mode="after")
    def _more_load_takes_longer(self) -> Self:
        conflicts = Conflicts()
        if self.us_per_sequence == 0 and self.ns_per_kv_token == 0:
            message = "and nanosecondsPerKvToken are both 0: steps would take the same time at any load"
            conflicts.add("microsecondsPerSequence", message=message, value="0", allowed="one of them above 0")
        conflicts.close()
        return self

    def core(self) -> capacity.DecodeStep:
        """The same as plain data."""
        return capacity.DecodeStep(self.fixed_s * 1e3, self.us_per_sequence * 1e-3, self.ns_per_kv_token * 1e-6)


class Timing(Strict):
    """Constants of one replica, from a profile of your own."""

    prefill: PrefillTiming = Field(description="How long prefill takes. Required.")
    decode: DecodeTiming = Field(description="How long a decode step takes. Required.")
    kv_capacity_tokens: float = Field(
        alias="kvCapacityTokens",
        gt=0,
        description="KV tokens that one replica holds; what the engine exports goes before it. Required.",
    )
    max_sequences: int = Field(
        default=256, alias="maxSequences", ge=1, description="Largest batch of the engine. Default 256, as vLLM."
    )

    def core(self) -> capacity.EngineModel:
        """The same as plain data."""
        return capacity.EngineModel(
            self.prefill.core(), self.decode.core(), self.kv_capacity_tokens, max_sequences=self.max_sequences
        )


class Engine(Strict):
    """Timing of one replica to start from. Live signals correct it; without it they are all there is to learn from."""

    gpu: Text | None = Field(
        default=None,
        description="Accelerator of a row in the built-in table, such as h100. Default: none, timing tells instead.",
    )
    tensor_parallel: int = Field(
        default=1, alias="tensorParallel", ge=1, description="GPUs that share one replica's weights. Default 1."
    )
    precision: Text | None = Field(
        default=None, description="Weights: bf16, fp8, mxfp4. Default: what the model's name says, else bf16."
    )
    model: Text | None = Field(
        default=None, description="Model of the row where its served name differs. Default: spec.model."
    )
    timing: Timing | None = Field(default=None, description="Constants of your own. Default: the built-in row.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        conflicts = Conflicts()
        if (self.gpu is None) == (self.timing is None):
            conflicts.add("gpu", message="or timing: exactly one of them says what a replica can do")
        conflicts.close()
        return self

    def core(self, served_model: str | None) -> capacity.EngineModel:
        """The same as plain data.

        Raises:
            UnknownEngineError: The table has no such row.
        """
        if self.timing is not None:
            return self.timing.core()
        model = self.model or served_model
        if model is None:
            known = ", ".join(sorted({key.model for key in ENGINES}))
            raise UnknownEngineError(f"which model is it? Set engine.model or spec.model; the table has {known}")
        return find_engine(model, self.gpu or "", self.tensor_parallel, self.precision)[1]
