"""The contest: our default policy against every baseline, on every load. `make benchmark` runs it.

Interrupt it at will: finished jobs are kept, and the next run goes on. Rows are measured again when what they depend
on has changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from benchmarks.contest import jobs, report, search, store
from benchmarks.contest.cases import SEED
from benchmarks.contest.jobs import Job, Search
from benchmarks.contest.play import Row, play
from benchmarks.contest.store import Kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what is missing and write the report."""
    options = _options().parse_args(arguments)
    folder, document = options.results, options.document
    plan = list(jobs.smoke() if options.smoke else jobs.contest())
    for entry in plan:
        store.key_of(Job(entry.case, entry.contender))  # reads the code now, which may change while this runs
    rows = {job: kept.row for job, kept in store.read(folder).items() if store.key_of(job) == kept.key}
    print(f"{len(rows)} rows are up to date", file=sys.stderr)
    end_s = time.monotonic() + 60.0 * options.minutes
    for job, kept in _played(plan, rows, options, end_s):
        store.append(job, kept, folder)
        print(f"{_title(job)}: {_brief(kept)}", file=sys.stderr, flush=True)
    store.compact(folder)
    document.write_text(report.render(store.read(folder), plan))
    print(f"wrote {document}", file=sys.stderr)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make benchmark", description=__doc__)
    parser.add_argument("--only", default="", help="comma-separated words that a job's title must all contain")
    parser.add_argument("--without", default="", help="comma-separated words of which it must contain none")
    parser.add_argument("--smoke", action="store_true", help="two short loads: seconds")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no job after so many minutes")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="jobs at a time")
    parser.add_argument("--results", type=Path, default=store.RESULTS, help="folder of rows")
    parser.add_argument("--document", type=Path, default=report.DOCUMENT, help="report to write")
    return parser


def _title(job: Job) -> str:
    case = job.case
    words = (case.load, case.calibration, f"{case.startup_s:g}s", case.objectives, job.contender, job.bounds)
    seed = f"seed={case.seed}" if case.seed != SEED else ""
    return " ".join(word for word in (*words, job.settings, seed) if word)


def _chosen(job: Job, options: argparse.Namespace) -> bool:
    words = _title(job).split()
    wanted, unwanted = (filter(None, told.split(",")) for told in (options.only, options.without))
    return all(word in words for word in wanted) and not any(word in words for word in unwanted)


def _played(
    plan: Sequence[Job | Search], rows: dict[Job, Row], options: argparse.Namespace, end_s: float
) -> Iterator[tuple[Job, Kept]]:
    """Rows as they are done, taken into `rows`; what is under way at the end is finished."""
    running: dict[Future[Kept], Job] = {}
    with ProcessPoolExecutor(options.processes) as pool:
        while True:
            while len(running) < options.processes and time.monotonic() < end_s:
                job = _next(plan, rows, set(running.values()), options)
                if job is None:
                    break
                running[pool.submit(_play, job)] = job
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job, kept = running.pop(future), future.result()
                rows[job] = kept.row
                yield job, kept


def _next(
    plan: Sequence[Job | Search], rows: Mapping[Job, Row], running: Collection[Job], options: argparse.Namespace
) -> Job | None:
    """The first run that has neither been played nor is under way."""
    wanted = (job for entry in plan for job in search.jobs_of(entry, rows))
    return next((job for job in wanted if job not in rows and job not in running and _chosen(job, options)), None)


def _play(job: Job) -> Kept:
    key = store.key_of(job)
    return Kept(key, play(job))


def _brief(kept: Kept) -> str:
    shown = ("attainment", "gpu_hours", "optimum_gpu_hours", "actions", "took_s")
    return " ".join(f"{name}={kept.row[name]}" for name in shown if name in kept.row)


if __name__ == "__main__":
    sys.exit(main())
