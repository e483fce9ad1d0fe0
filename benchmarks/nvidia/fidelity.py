"""Both simulators on the same loads, fleets and timing: how far apart are TTFT and TPOT?

Run as `TRACES=folder python -m benchmarks.nvidia.fidelity`; writes results/fidelity.json and docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

import numpy as np

from benchmarks.nvidia import kept, loads, ours, tables, theirs
from benchmarks.nvidia.outcome import Floats, Outcome, quantile
from benchmarks.nvidia.scene import Job

FLEETS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "steady-12": ((4, 2), (3, 1)),
    "steady-20": ((4, 2), (3, 1)),
    "steady-28": ((4, 2),),
    "steady-34": ((5, 3), (5, 2)),
    "azure2023-conv-x1": ((2, 1), (1, 1)),
    "azure2023-conv-x2": ((3, 2), (2, 1)),
    "azure2023-conv-x4": ((6, 4), (5, 3), (4, 2)),
    "azure2023-conv-x8": ((8, 4), (8, 3), (6, 4)),
    "servegen-r1-x2": ((2, 4), (1, 4), (1, 3)),
    "mooncake-conversation-x1": ((8, 5), (5, 4), (4, 4)),
}
BY_LOAD = (("azure2023-conv-x4", (5, 3)), ("servegen-r1-x2", (2, 4)), ("mooncake-conversation-x1", (6, 4)))
# Decode runs out of KV blocks at the peak of these, so preemption decides what comes of them.
OUT_OF_BLOCKS = (
    ("steady-21", (3, 1)),
    ("azure2023-conv-x3", (3, 1)),
    ("azure2023-conv-x8", (7, 3)),
    ("mooncake-conversation-x1", (5, 3)),
)
MEASURES = (("ttft", 0.5), ("ttft", 0.95), ("tpot", 0.5), ("tpot", 0.95))


def jobs() -> Iterator[Job]:
    """Every comparison."""
    for load, fleets in FLEETS.items():
        for prefill, decode in fleets:
            yield Job(load, prefill, decode)
    for load, (prefill, decode) in BY_LOAD:
        yield Job(load, prefill, decode, routing="by_load")
    for load, (prefill, decode) in OUT_OF_BLOCKS:
        yield Job(load, prefill, decode)


def compare(mine: Outcome, peers: Outcome) -> dict[str, object]:
    """Quantiles of both, their ratios, and how many single requests are within a tenth."""
    pairs = {"ttft": (mine.ttft_s, peers.ttft_s), "tpot": (mine.tpot_s, peers.tpot_s)}
    row: dict[str, object] = {"preemptions": {"ours": mine.preemptions, "theirs": peers.preemptions}}
    for name, share in MEASURES:
        own, other = (quantile(values, share) for values in pairs[name])
        row[f"{name}_p{share * 100:.0f}"] = {"ours_s": own, "theirs_s": other, "ratio": own / other}
    for name, (own_s, other_s) in pairs.items():
        row[f"{name}_within_a_tenth"] = _within(own_s, other_s)
    return row


def _within(mine: Floats, peers: Floats) -> float:
    known = ~(np.isnan(mine) | np.isnan(peers))
    return float((np.abs(mine[known] - peers[known]) <= 0.1 * peers[known]).mean())


def main() -> None:
    """Compare and write the tables."""
    rows = []
    for job in jobs():
        trace = loads.load(job.load)
        row = {"job": asdict(job), "requests": len(trace), **asdict(ours.busy(job, trace))}
        row |= compare(ours.replay(job, trace), theirs.replay(job, trace))
        rows.append(row)
        print(tables.comparison(rows[-1:]).splitlines()[-1], flush=True)
    kept.write("fidelity", rows)
    tables.main()


if __name__ == "__main__":
    main()
