"""What one replica is believed to be able to do: the user's own constants, a profile, a row of the built-in table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from autoscaler.config.base import Strict
from autoscaler.config.files import FILES, FileRefusedError, PolicyFiles
from autoscaler.config.profile import Profile, read_profile
from autoscaler.config.profile_tables import ProfileError
from autoscaler.config.refusal import Conflicts
from autoscaler.config.values import Duration, Text
from autoscaler.core import capacity
from autoscaler.core.engines import ENGINES, EngineKey, UnknownEngineError, find_engine

_Time = Annotated[float, Duration(0, 60, "10ms")]
_PerUnit = Annotated[float, Field(ge=0)]


class PrefillTiming(Strict):
    """Prefill of one request takes fixed + perToken * uncached + perSquaredToken * (prompt^2 - cached^2)."""

    fixed_s: _Time = Field(alias="fixed", description="Time that any prompt takes, such as 11ms. Required.")
    us_per_token: float = Field(
        gt=0, alias="microsecondsPerToken", description="Microseconds per prompt token that is not cached. Required."
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
    max_batched_tokens: int = Field(
        default=8192,
        alias="maxBatchedTokens",
        ge=1,
        description="Prompt tokens that one pass of the engine carries at most. Default 8192, as vLLM on large GPUs.",
    )

    def core(self) -> capacity.EngineModel:
        """The same as plain data."""
        return capacity.EngineModel(
            self.prefill.core(),
            self.decode.core(),
            self.kv_capacity_tokens,
            max_sequences=self.max_sequences,
            max_batched_tokens=self.max_batched_tokens,
        )


@dataclass(frozen=True, slots=True)
class Prior:
    """Timing to start from, and where it comes from, in words."""

    model: capacity.EngineModel
    source: str


class Engine(Strict):
    """Timing of one replica to start from. Live signals correct it; without it they are all there is to learn from.

    Of several sources the first counts that has a part: `timing`, then `profile`, then the built-in row of `gpu`.
    """

    gpu: Text | None = Field(
        default=None,
        description="Accelerator of a row in the built-in table, such as h100. Default: none, the other sources tell.",
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
    timing: Timing | None = Field(
        default=None, description="Constants of your own. Default: those of the profile, else of the built-in row."
    )
    profile: Text | None = Field(
        default=None,
        description=(
            "What a profiler measured: a .yaml of points, the folder or file of Dynamo's profiler (.npz, .json), or "
            "AIConfigurator's .csv. A path from the policy's folder. Default: none, the built-in row tells."
        ),
    )
    kv_capacity_tokens: float | None = Field(
        default=None,
        alias="kvCapacityTokens",
        gt=0,
        description=(
            "KV tokens that one replica holds; what the engine exports goes before it. Default: those of the profile, "
            "else of the built-in row."
        ),
    )
    max_sequences: int | None = Field(
        default=None,
        alias="maxSequences",
        ge=1,
        description="Largest batch of the engine. Default: that of the profile, else 256, as vLLM.",
    )
    max_batched_tokens: int | None = Field(
        default=None,
        alias="maxBatchedTokens",
        ge=1,
        description=(
            "Prompt tokens that one pass of the engine carries at most (--max-num-batched-tokens, chunked prefill "
            "size). Default 8192, as vLLM on large GPUs."
        ),
    )
    _profile: Profile | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _has_a_source(self, info: ValidationInfo) -> Self:
        conflicts = Conflicts()
        if self.gpu is None and self.timing is None and self.profile is None:
            conflicts.add("gpu", message="timing and profile are all missing: one of them says what a replica can do")
        limits = {
            "kvCapacityTokens": self.kv_capacity_tokens,
            "maxSequences": self.max_sequences,
            "maxBatchedTokens": self.max_batched_tokens,
        }
        for key, limit in limits.items():
            if self.timing is not None and limit is not None:
                conflicts.add(key, message="stands in timing already: remove one")
        if self.profile is not None and self.timing is None:
            files: PolicyFiles = (info.context or {}).get(FILES, PolicyFiles())
            try:
                self._profile = read_profile(files.path(self.profile))
            except FileRefusedError as error:
                conflicts.add("profile", message=str(error), value=self.profile)
            except ProfileError as error:
                conflicts.add("profile", message=f"cannot be used: {error}")  # it names the file, or a place in it
        conflicts.close()
        return self

    def prior(self, served_model: str | None) -> Prior:
        """The timing to start from, as plain data.

        Raises:
            UnknownEngineError: The table has no such row, or a part is in no source.
        """
        if self.timing is not None:
            return Prior(self.timing.core(), "policy")
        if self._profile is None:
            key, row = self._row(served_model)
            return Prior(self._own_limits(row), f"built-in table, {key}")
        return self._from_profile(self._profile, served_model)

    def _from_profile(self, profile: Profile, served_model: str | None) -> Prior:
        """The parts of the profile, what it lacks from the built-in row."""
        parts: dict[str, Any] = {
            "prefill": profile.prefill,
            "decode": profile.decode,
            "kv_capacity_tokens": self.kv_capacity_tokens or profile.kv_capacity_tokens,
        }
        lacking = [name for name, part in parts.items() if part is None]
        if self.gpu is None:
            if lacking:
                names = ", ".join(name.replace("_", " ") for name in lacking)
                raise UnknownEngineError(
                    f"{profile.source} has no {names}; set gpu too, so that the table fills in, or kvCapacityTokens"
                )
            model = capacity.EngineModel(**parts)
        else:
            _, row = self._row(served_model)
            model = replace(row, **{name: part for name, part in parts.items() if part is not None})
        model = replace(model, max_sequences=profile.max_sequences or model.max_sequences)
        added = f"; built-in table: {', '.join(name.replace('_', ' ') for name in lacking)}" if lacking else ""
        return Prior(self._own_limits(model), f"{profile.source}{added}")

    def _own_limits(self, model: capacity.EngineModel) -> capacity.EngineModel:
        return replace(
            model,
            kv_capacity_tokens=self.kv_capacity_tokens or model.kv_capacity_tokens,
            max_sequences=self.max_sequences or model.max_sequences,
            max_batched_tokens=self.max_batched_tokens or model.max_batched_tokens,
        )

    def _row(self, served_model: str | None) -> tuple[EngineKey, capacity.EngineModel]:
        model = self.model or served_model
        if model is None:
            known = ", ".join(sorted({key.model for key in ENGINES}))
            raise UnknownEngineError(f"which model is it? Set engine.model or spec.model; the table has {known}")
        return find_engine(model, self.gpu or "", self.tensor_parallel, self.precision)
