"""A role policy for decode: so many requests per replica, whatever they cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term


class Settings(BaseModel):
    """What `settings` of a policy may hold."""

    model_config = ConfigDict(extra="forbid")

    requests_per_replica: float = Field(alias="requestsPerReplica", gt=0)


def propose(context: RoleContext, settings: Settings) -> Proposal:
    """Ask for a replica per so many requests that run or wait."""
    running, waiting = context.usable("running"), context.usable("waiting")
    if running is None or waiting is None:
        return Proposal((), context.missing("running", "waiting"))
    requests = running + waiting
    detail = f"{requests:.0f} requests, {settings.requests_per_replica:g} to a replica"
    return Proposal((Term(requests / settings.requests_per_replica, Reason.DECODE_DEMAND, detail),))
