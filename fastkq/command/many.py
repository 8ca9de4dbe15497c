"""What `fastkq compress` does with many images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from fastkq.batch.job import JobOptions, skip_reason
from fastkq.batch.plan import Job
from fastkq.batch.progress import JSON, LINES, QUIET, follow
from fastkq.batch.text import printable
from fastkq.command.options import job_options
from fastkq.command.sources import list_sources
from fastkq.files.formats import PNG
from fastkq.install import terminal
from fastkq.options import choose_look

DONE, FAILED = 0, 1


def compress_many(options: argparse.Namespace) -> int:
    """Compress many images; return the exit code."""
    from fastkq.batch.plan import plan_jobs
    from fastkq.batch.pool import n_cores
    from fastkq.batch.run import SHARED, check_job_options, format_to_plan, run_jobs, share_palette

    if options.copy_unchanged and options.directory is None:
        options.parser.error("--copy-unchanged needs -d: beside its source, a copy is of no use")
    if options.allow_larger and options.min_savings:
        options.parser.error("--min-savings and --allow-larger exclude each other")
    chosen = job_options(options)
    settings = check_job_options(
        options.colors,
        **chosen,
        min_savings=options.min_savings or 0.0,
        overwrite=options.force,
        allow_larger=options.allow_larger,
        copy_unchanged=options.copy_unchanged,
        palette=SHARED if options.shared_palette else options.palette,
        format=options.format or PNG,
    )
    jobs = plan_jobs(
        list_sources(options),
        options.directory,
        recursive=options.recursive,
        format=format_to_plan({"format": options.format, "frame": options.frame}),
        copies=settings.copy_unchanged,
    )
    style = JSON if options.json else QUIET if options.quiet else LINES
    if options.dry_run:
        return _preview(jobs, settings, style)
    n_workers = options.jobs or n_cores()
    look, name = choose_look(chosen, options.palette), settings.image.output.format
    terminal.prepare_workers(len(jobs), n_workers, terminal.extras_of(look, name))
    if options.shared_palette:
        # Images that cannot be read are told of when their turn comes.
        settings, _ = share_palette(jobs, settings, n_workers=n_workers)
    results = run_jobs(
        jobs,
        settings,
        n_workers=n_workers,
        report=options.report,
        fail_fast=options.fail_fast,
    )
    summary = follow(results, len(jobs), style)
    if style == JSON:
        print(json.dumps({"summary": summary.to_dict()}))
    elif style == LINES:
        print(summary.describe())
    return FAILED if summary.n_failed else DONE


def _preview(jobs: Sequence[Job], settings: JobOptions, style: str) -> int:
    for job in jobs:
        status = skip_reason(job, settings) or "to do"
        if style == JSON:
            print(json.dumps({"source": job.source, "target": job.target, "status": status}))
        elif style == LINES:
            print(f"{printable(job.source)} -> {printable(job.target)}: {status}")
    return DONE
