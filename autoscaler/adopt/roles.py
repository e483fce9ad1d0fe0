"""Which pool is prefill and which is decode, by what people call them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from autoscaler.adopt.pool import Pool
from autoscaler.core.policy import Role

_PAIR = (Role.PREFILL, Role.DECODE)


class RolesError(ValueError):
    """The roles cannot be told; says what to pass."""


def assign_roles(pools: Sequence[Pool], known: Mapping[str, Role]) -> dict[Role, Pool]:
    """One pool a role.

    Args:
        pools: One or two of them.
        known: Roles that the user names, by the setter's or the workload's name.

    Raises:
        RolesError: A role is taken twice, or cannot be told.
    """
    guesses = {id(pool): known.get(_own_name(pool)) or guess_role(pool) for pool in pools}
    if len(pools) == len(_PAIR) and sum(role is None for role in guesses.values()) == 1:
        given = next(role for role in guesses.values() if role is not None)
        guesses = {key: role or other_role(given) for key, role in guesses.items()}
    found: dict[Role, Pool] = {}
    for pool in pools:
        role = guesses[id(pool)]
        if role is None:
            raise RolesError(
                f"{pool.setter}: prefill or decode? Neither its name nor its labels tell; say it with "
                f"--prefill {_own_name(pool)} or --decode {_own_name(pool)}"
            )
        if role in found:
            raise RolesError(
                f"{found[role].setter} and {pool.setter} both look like {role}: name one with --{other_role(role)} NAME"
            )
        found[role] = pool
    return found


def guess_role(pool: Pool) -> Role | None:
    """The role by the names, else by the labels; None where they tell nothing or both."""
    names = (pool.setter, pool.workload.name)
    return _only_role(names) or _only_role(pool.workload.labels.values())


def other_role(role: Role) -> Role:
    """Prefill for decode, and the other way round."""
    return Role.DECODE if role is Role.PREFILL else Role.PREFILL


def sibling_name(name: str, role: Role) -> str:
    """What the pool of `role` is probably called, by the name of the other one."""
    other = other_role(role).value
    return name.replace(other, role.value) if other in name else f"{name}-{role.value}"


def _only_role(texts: Iterable[str]) -> Role | None:
    words = {word for text in texts for word in re.split(r"[^a-z]+", text.lower())}
    named = [role for role in _PAIR if any(role.value in word for word in words)]  # as in vllmdecodeworker
    return named[0] if len(named) == 1 else None


def _own_name(pool: Pool) -> str:
    return pool.setter.split()[1]
