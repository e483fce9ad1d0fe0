"""The contest: our default policy against every baseline, on every load. `make benchmark` runs it.

Interrupt it at will: finished jobs are kept, and the next run goes on. Rows are measured again when what they depend
on has changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import islice
from pathlib import Path

from benchmarks.contest import jobs, report, store
from benchmarks.contest.jobs import Job
from benchmarks.contest.play import play
from benchmarks.contest.store import Kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what is missing and write the report."""
    options = _options().parse_args(arguments)
    folder, document = options.results, options.document
    wanted = [job for job in (jobs.smoke() if options.smoke else jobs.contest()) if _chosen(job, options.only)]
    known = store.read(folder)
    missing = [job for job in wanted if job not in known or known[job].key != store.key_of(job)]
    print(f"{len(wanted)} jobs, {len(missing)} to play", file=sys.stderr)
    end_s = time.monotonic() + 60.0 * options.minutes
    for done, (job, kept) in enumerate(_played(missing, options.processes, end_s), start=1):
        store.append(job, kept, folder)
        print(f"{done}/{len(missing)} {_title(job)}: {_brief(kept)}", file=sys.stderr, flush=True)
    store.compact(folder)
    document.write_text(report.render(store.read(folder), wanted))
    print(f"wrote {document}", file=sys.stderr)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make benchmark", description=__doc__)
    parser.add_argument("--only", default="", help="comma-separated words that a job's title must all contain")
    parser.add_argument("--smoke", action="store_true", help="two short loads: seconds")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no job after so many minutes")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="jobs at a time")
    parser.add_argument("--results", type=Path, default=store.RESULTS, help="folder of rows")
    parser.add_argument("--document", type=Path, default=report.DOCUMENT, help="report to write")
    return parser


def _title(job: Job) -> str:
    case = job.case
    words = (case.load, case.calibration, f"{case.startup_s:g}s", case.objectives, job.contender, job.bounds)
    return " ".join((*words, job.settings)).strip()


def _chosen(job: Job, only: str) -> bool:
    words = _title(job).split()
    return all(word in words for word in only.split(",") if word)


def _played(missing: Sequence[Job], processes: int, end_s: float) -> Iterator[tuple[Job, Kept]]:
    """Rows as they are done; what is under way at the end is finished."""
    queue = iter(missing)
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(_play, job): job for job in islice(queue, processes)}
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
                job = next(queue, None) if time.monotonic() < end_s else None
                if job is not None:
                    running[pool.submit(_play, job)] = job


def _play(job: Job) -> Kept:
    key = store.key_of(job)
    return Kept(key, play(job))


def _brief(kept: Kept) -> str:
    shown = ("attainment", "gpu_hours", "optimum_gpu_hours", "actions", "took_s")
    return " ".join(f"{name}={kept.row[name]}" for name in shown if name in kept.row)


if __name__ == "__main__":
    sys.exit(main())
