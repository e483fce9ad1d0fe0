"""How long passes and steps take, and the closed form of many decode steps in a row.

While a decode batch does not change, every step reads one more token per sequence. With linear timing the j-th step of
such a run takes `q0 + q1*j`; along a straight line through one cell of a bilinear table it takes `q0 + q1*j + q2*j^2`.
So any number of steps is one evaluation.
"""

from __future__ import annotations

from autoscaler.simulation.counters import Floats
from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.world import Replica, World

ENDLESS = 1 << 40
_SHORTEST_STEP_S = 0.001


@compiled
def prefill_s(world: World, role: int, tokens: float, squares: float) -> float:
    """Time of a pass that computes `tokens` prompt tokens; `squares` is the sum of end^2 - start^2 over its chunks."""
    pool = world.pools[role]
    if pool.prefill_points == 0:
        return pool.prefill_a_s + pool.prefill_b_s * tokens + pool.prefill_c_s * squares
    xs, ys = world.prefill_tokens[role], world.prefill_s[role]
    cell = cell_of(xs, pool.prefill_points, tokens)
    seconds: float = ys[cell] + (ys[cell + 1] - ys[cell]) * (tokens - xs[cell]) / (xs[cell + 1] - xs[cell])
    return max(seconds, 0.0)


@compiled
def mixed_s(world: World, role: int, batch: int, kv_tokens: float, tokens: float, squares: float) -> float:
    """Time of one step that decodes `batch` sequences and prefills a chunk: the fixed cost is paid once."""
    if batch == 0:
        return prefill_s(world, role, tokens, squares)
    step_s = step_piece(world, role, batch, kv_tokens)[0]
    return step_s + max(prefill_s(world, role, tokens, squares) - prefill_s(world, role, 0.0, 0.0), 0.0)


@compiled
def step_piece(world: World, role: int, batch: int, kv_tokens: float) -> tuple[float, float, float, int]:
    """Coefficients q0, q1, q2 of the coming steps' times, and for how many steps they hold."""
    pool = world.pools[role]
    if pool.kv_points > 0:
        return _table_piece(world, role, batch, kv_tokens)
    if batch <= pool.small_batch_max:
        q0 = pool.small_d0_s + pool.small_d1_s * batch + pool.small_d2_s * kv_tokens
        return q0, pool.small_d2_s * batch, 0.0, ENDLESS
    return pool.d0_s + pool.d1_s * batch + pool.d2_s * kv_tokens, pool.d2_s * batch, 0.0, ENDLESS


@compiled
def _table_piece(world: World, role: int, batch: int, kv_tokens: float) -> tuple[float, float, float, int]:
    pool = world.pools[role]
    xs, ys = world.kv_tokens[role], world.context_tokens[role]
    context = kv_tokens / batch
    i = cell_of(xs, pool.kv_points, kv_tokens)
    k = cell_of(ys, pool.context_points, context)
    z = world.step_s[role]
    width, height = xs[i + 1] - xs[i], ys[k + 1] - ys[k]
    dx, dy = kv_tokens - xs[i], context - ys[k]
    gx = (z[i + 1, k] - z[i, k]) / width
    gy = (z[i, k + 1] - z[i, k]) / height
    gxy = (z[i + 1, k + 1] - z[i + 1, k] - z[i, k + 1] + z[i, k]) / (width * height)
    q0 = z[i, k] + gx * dx + gy * dy + gxy * dx * dy
    steps = float(ENDLESS)
    if i < pool.kv_points - 2:
        steps = (width - dx) / batch
    if k < pool.context_points - 2:
        steps = min(steps, height - dy)
    if q0 < _SHORTEST_STEP_S:
        return _SHORTEST_STEP_S, 0.0, 0.0, 1
    return q0, gx * batch + gy + gxy * (dx + batch * dy), gxy * batch, max(int(steps) + 1, 1)


@compiled
def cell_of(xs: Floats, points: int, x: float) -> int:
    """Index of the cell [xs[i], xs[i+1]) that holds x; the outermost cells reach to infinity."""
    low, high = 0, points - 2
    while low < high:
        middle = (low + high + 1) // 2
        if xs[middle] <= x:
            low = middle
        else:
            high = middle - 1
    return low


@compiled
def step_s(replica: Replica, j: int) -> float:
    """Time of the run's j-th step."""
    return replica.q0_s + (replica.q1_s + replica.q2_s * j) * j


@compiled
def boundary_s(replica: Replica, steps: int) -> float:
    """When the run has done `steps` steps."""
    n = float(steps)
    pairs = n * (n - 1.0) / 2.0
    return replica.anchor_s + n * replica.q0_s + replica.q1_s * pairs + replica.q2_s * pairs * (2.0 * n - 1.0) / 3.0


@compiled
def steps_done(replica: Replica, now_s: float) -> int:
    """How many steps of the run end at or before `now_s`."""
    low, high = replica.counted_steps, replica.run_steps
    while low < high:
        middle = (low + high + 1) // 2
        if boundary_s(replica, middle) <= now_s:
            low = middle
        else:
            high = middle - 1
    return low
