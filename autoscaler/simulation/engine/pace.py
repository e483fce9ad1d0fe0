"""How long passes and steps take, and the closed form of many decode steps in a row.

While a decode batch does not change, every step reads one more token per sequence. With linear timing the j-th step of
such a run takes `q0 + q1*j`; along a straight line through one cell of a bilinear table it takes `q0 + q1*j + q2*j^2`.
So any number of steps is one evaluation.
"""

from __future__ import annotations

from autoscaler.simulation.counters import Floats
from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.world import Pool, Replica

ENDLESS = 1 << 40
_SHORTEST_STEP_S = 0.001


@compiled
def prefill_s(pool: Pool, tables: Floats, tokens: float, squares: float) -> float:
    """Time of a pass that computes `tokens` prompt tokens; `squares` is the sum of end^2 - start^2 over its chunks."""
    points = pool.prefill_points
    if points == 0:
        return pool.prefill_a_s + pool.prefill_b_s * tokens + pool.prefill_c_s * squares
    left = pool.tables_at + cell_of(tables, pool.tables_at, points, tokens)
    share = (tokens - tables[left]) / (tables[left + 1] - tables[left])
    seconds: float = tables[left + points] + (tables[left + points + 1] - tables[left + points]) * share
    return max(seconds, 0.0)


@compiled
def mixed_s(pool: Pool, tables: Floats, batch: int, kv_tokens: float, tokens: float, squares: float) -> float:
    """Time of one step that decodes `batch` sequences and prefills a chunk.

    The linear model pays the fixed cost once, the decode step's. Tables do not tell it apart, so both times add up.
    """
    chunk_s = prefill_s(pool, tables, tokens, squares)
    if batch == 0:
        return chunk_s
    if pool.prefill_points == 0:
        chunk_s -= pool.prefill_a_s
    return step_piece(pool, tables, batch, kv_tokens)[0] + chunk_s


@compiled
def step_piece(pool: Pool, tables: Floats, batch: int, kv_tokens: float) -> tuple[float, float, float, int]:
    """Coefficients q0, q1, q2 of the coming steps' times, and for how many steps they hold."""
    if pool.kv_points > 0:
        return _table_piece(pool, tables, batch, kv_tokens)
    if batch <= pool.small_batch_max:
        q0 = pool.small_d0_s + pool.small_d1_s * batch + pool.small_d2_s * kv_tokens
        return q0, pool.small_d2_s * batch, 0.0, ENDLESS
    return pool.d0_s + pool.d1_s * batch + pool.d2_s * kv_tokens, pool.d2_s * batch, 0.0, ENDLESS


@compiled
def _table_piece(pool: Pool, tables: Floats, batch: int, kv_tokens: float) -> tuple[float, float, float, int]:
    context = kv_tokens / batch
    kv_at = pool.tables_at + 2 * pool.prefill_points
    context_at = kv_at + pool.kv_points
    i = cell_of(tables, kv_at, pool.kv_points, kv_tokens)
    k = cell_of(tables, context_at, pool.context_points, context)
    dx, width = kv_tokens - tables[kv_at + i], tables[kv_at + i + 1] - tables[kv_at + i]
    dy, height = context - tables[context_at + k], tables[context_at + k + 1] - tables[context_at + k]
    corner = context_at + pool.context_points + i * pool.context_points + k
    z00, z01 = tables[corner], tables[corner + 1]
    z10, z11 = tables[corner + pool.context_points], tables[corner + pool.context_points + 1]
    gx, gy, gxy = (z10 - z00) / width, (z01 - z00) / height, (z11 - z10 - z01 + z00) / (width * height)
    q0 = z00 + gx * dx + gy * dy + gxy * dx * dy
    if q0 < _SHORTEST_STEP_S:
        return _SHORTEST_STEP_S, 0.0, 0.0, 1
    steps = float(ENDLESS)
    if i < pool.kv_points - 2:
        steps = (width - dx) / batch
    if k < pool.context_points - 2:
        steps = min(steps, height - dy)
    return q0, gx * batch + gy + gxy * (dx + batch * dy), gxy * batch, max(int(steps) + 1, 1)


@compiled
def cell_of(tables: Floats, at: int, points: int, x: float) -> int:
    """Cell of the axis at `tables[at:]` that holds x; the outermost cells reach to infinity."""
    low, high = 0, points - 2
    while low < high:
        middle = (low + high + 1) // 2
        if tables[at + middle] <= x:
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
