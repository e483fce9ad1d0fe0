"""Recompute the clairvoyant reference costs of the shared traces and print how far they are from the published ones.

    PYTHONPATH=. python benchmarks/clairvoyant_table.py FOLDER_OF_TRACES

The folder may also come from the environment, as `TRACES`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from autoscaler.core.engines import find_engine
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.clairvoyant.bound import ClairvoyantCost, clairvoyant_cost
from autoscaler.simulation.config import PoolConfig, ServiceConfig, TransferConfig
from autoscaler.simulation.traces import read_trace

STARTUPS_S = (0.0, 60.0, 240.0, 600.0)
COLUMNS = ("work P", "work D", "fluid", "C=0", "C=60", "C=240", "C=600", "peak", "p99")

# Multiplier, then the columns as published with the traces: mean replicas of work, then GPU-hours.
PUBLISHED: dict[str, tuple[float, tuple[float, ...]]] = {
    "azure2023_conv": (8, (3.45, 1.18, 18.1, 20.5, 23.8, 26.8, 31.3, 39.0, 31.2)),
    "mooncake_conversation": (2, (4.24, 2.00, 24.5, 26.0, 40.1, 51.0, 62.6, 70.8, 51.1)),
    "servegen_deepseek_r1_day": (4, (1.00, 4.16, 495, 579, 689, 793, 883, 2016, 1248)),
    "servegen_mlarge_day3": (10, (2.87, 1.21, 391, 442, 572, 669, 740, 1536, 864)),
    "servegen_mmid_day4": (20, (1.64, 0.28, 184, 285, 404, 531, 658, 2208, 864)),
    "azure2024_conv_day2_recon": (10, (3.19, 0.48, 353, 401, 492, 543, 578, 864, 576)),
    "azure2024_code_day3_recon": (8, (3.84, 0.10, 378, 455, 559, 610, 647, 1248, 1056)),
    "agentic_claudecode_8h": (4, (2.38, 12.47, 475, 500, 682, 863, 998, 1504, 1056)),
}


def reference_service() -> ServiceConfig:
    """Llama-3.1-70B on H100 TP4 for both roles, TTFT 2 s, TPOT 50 ms, links of 40 GB/s."""
    _, engine = find_engine("llama-3.1-70b", "h100", 4)
    pool = PoolConfig(engine, gpus_per_replica=4.0, link_bytes_per_s=40e9)
    objectives = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)
    transfer = TransferConfig(setup_s=0.0)
    return ServiceConfig("reference", {Role.PREFILL: pool, Role.DECODE: pool}, objectives, transfer=transfer)


def row(cost: ClairvoyantCost) -> tuple[float, ...]:
    """The columns of one trace."""
    return (
        cost.work_replicas[Role.PREFILL],
        cost.work_replicas[Role.DECODE],
        cost.fluid_gpu_hours,
        *(cost.optimum_gpu_hours[startup_s] for startup_s in STARTUPS_S),
        cost.static_peak_gpu_hours,
        cost.static_p99_gpu_hours,
    )


def main() -> int:
    """Print the table; 1 if the folder is not given or lacks a trace."""
    folder = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TRACES", "")
    missing = [name for name in PUBLISHED if not (Path(folder) / f"{name}.csv.gz").is_file()]
    if not folder or missing:
        print(f"no folder of traces: {folder or 'none given'} lacks {', '.join(missing)}", file=sys.stderr)
        return 1
    service = reference_service()
    print(f"{'trace':28}{'x':>4}" + "".join(f"{column:>9}" for column in (*COLUMNS, "deadline", "99 %:240")))
    for name, (weight, published) in PUBLISHED.items():
        trace = read_trace(Path(folder) / f"{name}.csv.gz")
        cost = clairvoyant_cost(service, trace, STARTUPS_S, weight=weight, links=False)
        most = clairvoyant_cost(service, trace, (240.0,), weight=weight, links=False, attainment_ratio=0.99)
        mine = row(cost)
        extra = (cost.deadline_gpu_hours, most.optimum_gpu_hours[240.0])
        print(f"{name:28}{weight:4g}" + "".join(f"{value:9.4g}" for value in (*mine, *extra)))
        off = (value / known - 1 for value, known in zip(mine, published, strict=True))
        print(f"{'  off the published value':32}" + "".join(f"{ratio:+9.1%}" for ratio in off))
    return 0


if __name__ == "__main__":
    sys.exit(main())
