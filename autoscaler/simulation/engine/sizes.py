"""How much a request needs."""

from __future__ import annotations

from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.world import Request


@compiled
def blocks_of(tokens: int, block_size: int) -> int:
    """KV blocks for so many tokens."""
    return (tokens + block_size - 1) // block_size


@compiled
def cached_tokens(request: Request) -> int:
    """Tokens of the context that the prefix cache holds; the last token is always computed."""
    return min(request.cached_tokens, request.context_tokens - 1)
