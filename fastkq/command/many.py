"""What `fastkq compress` does with many images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence

from fastkq.batch.job import JobOptions, JobResult, skip_reason
from fastkq.batch.plan import Job
from fastkq.batch.progress import JSON, LINES, QUIET, follow
from fastkq.batch.text import printable
from fastkq.command.options import job_options
from fastkq.command.sources import list_sources
from fastkq.defaults import choose_look
from fastkq.files.reading import ALL_PAGES
from fastkq.install import terminal

DONE, FAILED = 0, 1


def compress_many(options: argparse.Namespace) -> int:
    """Compress many images; return the exit code."""
    from fastkq.batch.pool import n_cores
    from fastkq.batch.prepare import SHARED, check_job_options, plan_for, share_palette
    from fastkq.batch.remote import lives_here
    from fastkq.batch.run import run_jobs
    from fastkq.batch.tar import is_tar

    _check_together(options)
    chosen = job_options(options)
    settings = check_job_options(
        options.colors,
        **chosen,
        min_savings=options.min_savings or 0.0,
        overwrite=options.force,
        allow_larger=options.allow_larger,
        copy_unchanged=options.copy_unchanged,
        in_place=options.in_place,
        backup=options.backup,
        palette=SHARED if options.shared_palette else options.palette,
        format=options.format,
    )
    jobs = plan_for(
        settings,
        list_sources(options),
        options.directory,
        recursive=options.recursive,
        suffix=options.suffix,
        name=options.name,
        shard=options.shard,
    )
    style = JSON if options.json else QUIET if options.quiet else LINES
    if options.dry_run:
        return _preview(jobs, settings, style)
    n_workers = options.jobs or n_cores()
    if any(lives_here(job.source) for job in jobs):
        n_workers = 1
    look = choose_look(chosen, options.palette, is_shared=options.shared_palette)
    name = settings.image.output.format
    # How many images tar files have is known when they have been read.
    n_images = None if any(is_tar(job.source) for job in jobs) else len(jobs)
    n_expected = n_workers if n_images is None else n_images
    terminal.prepare_workers(n_expected, n_workers, terminal.extras_of(look, name))
    if options.shared_palette:
        # Images that cannot be read are told of when their turn comes.
        settings, _ = share_palette(jobs, settings, n_workers=n_workers, timeout=options.timeout)
    results = run_jobs(
        jobs,
        settings,
        n_workers=n_workers,
        report=options.report,
        fail_fast=options.fail_fast,
        timeout=options.timeout,
    )
    kept: list[JobResult] = []
    if options.html is not None:
        results = _keep(results, kept)
    summary = follow(results, n_images, style)
    if style == JSON:
        print(json.dumps({"summary": summary.to_dict()}))
    elif style == LINES:
        print(summary.describe())
    if options.html is not None:
        from fastkq.report import report_batch

        report_batch(kept, options.html, overwrite=options.force)
    return FAILED if summary.n_failed else DONE


def _check_together(options: argparse.Namespace) -> None:
    """End the command where options exclude each other, or a page cannot be written."""
    if options.copy_unchanged and options.directory is None:
        options.parser.error("--copy-unchanged needs -d: beside its source, a copy is of no use")
    for name in ("copy_unchanged", "in_place"):
        if getattr(options, name) and options.page == ALL_PAGES:
            flag = name.replace("_", "-")
            options.parser.error(f"--{flag} is for whole files, not for --page all")
    if options.allow_larger and options.min_savings:
        options.parser.error("--min-savings and --allow-larger exclude each other")
    if options.backup is not None and not options.in_place:
        options.parser.error("--backup is for --in-place: other outputs replace no source")
    if options.html is not None and options.dry_run:
        options.parser.error("--html and --dry-run exclude each other")
    if options.html is not None:
        from fastkq.report.page import check_extra, check_page

        check_extra()  # now, and not after an hour
        check_page(options.html, overwrite=options.force, makes_folder=True)


def _keep(results: Iterable[JobResult], kept: list[JobResult]) -> Iterator[JobResult]:
    """Yield results, and keep them for a page."""
    for result in results:
        kept.append(result)
        yield result


def _preview(jobs: Sequence[Job], settings: JobOptions, style: str) -> int:
    for job in jobs:
        status = skip_reason(job, settings) or "to do"
        if style == JSON:
            print(json.dumps({"source": job.source, "target": job.target, "status": status}))
        elif style == LINES:
            print(f"{printable(job.source)} -> {printable(job.target)}: {status}")
    return DONE
