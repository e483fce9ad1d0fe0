"""Getting a replica's attention: its scheduler looks up only between steps."""

from __future__ import annotations

from autoscaler.simulation.engine.agenda import plan
from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.pace import boundary_s, steps_done
from autoscaler.simulation.engine.world import Replica, World


@compiled
def interrupt(world: World, slot: int, now_s: float) -> None:
    """End the run under way with its present step, or let an idle replica look at once."""
    replica = world.replicas[slot]
    if not replica.running:
        plan(world.agenda, slot, now_s)
        return
    if replica.run_steps == 1:
        return
    done = steps_done(replica, now_s)
    if done == 0 or boundary_s(replica, done) < now_s:
        done += 1
    if done < replica.run_steps:
        replica.run_steps = done
        plan(world.agenda, slot, boundary_s(replica, done))


@compiled
def wake(world: World, slot: int, now_s: float) -> None:
    """Let an idle replica look at once; a busy one will look after its step anyway."""
    if not world.replicas[slot].running:
        plan(world.agenda, slot, now_s)


@compiled
def is_empty(replica: Replica) -> bool:
    """Whether a replica holds no request in any way."""
    queued = replica.waiting.count + replica.prefilling.count + replica.loaded.count
    return queued + replica.batch + replica.transferring + replica.held == 0


@compiled
def note_if_drained(world: World, slot: int, now_s: float) -> None:
    """Note that a draining replica has become empty, so that it can be removed at this very time."""
    replica = world.replicas[slot]
    if replica.in_use and not replica.accepting and is_empty(replica):
        replica.drained_s = now_s
        world.clock[0].drained = 1
