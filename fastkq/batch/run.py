"""Many images on one machine: plan, share out, report, resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias, Unpack

from numpy.typing import ArrayLike

from fastkq.batch.job import (
    DONE,
    EXISTS,
    FAILED,
    OWN_OUTPUT,
    JobOptions,
    JobResult,
    is_copied,
    run_job,
    skip_reason,
)
from fastkq.batch.plan import Job, plan_jobs, remove_leftovers
from fastkq.batch.report import RunReport
from fastkq.batch.shared import sum_histograms
from fastkq.batch.text import printable
from fastkq.colors.histogram import ColorHistogram
from fastkq.engine.fit import fit_histogram
from fastkq.files.formats import PNG
from fastkq.files.mark import is_own_output
from fastkq.options import JobKeywords, check_options, choose_look
from fastkq.types import MAX_COLORS
from fastkq.validate import check_flag, check_integer, check_number

if TYPE_CHECKING:
    from fastkq.batch.pool import WorkerDiedError

__all__ = [
    "SHARED",
    "Job",
    "JobOptions",
    "JobResult",
    "compress_many",
    "plan_jobs",
    "remove_leftovers",
    "run_job",
    "run_jobs",
]

SHARED = "shared"

# Calls a function for each job and yields each with its result, or `pool.WorkerDiedError`.
Mapper: TypeAlias = (
    "Callable[[Callable[[Job], JobResult], Sequence[Job]], "
    "Iterator[tuple[Job, JobResult | WorkerDiedError]]]"
)


def compress_many(
    sources: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    directory: str | os.PathLike[str] | None,
    n_colors: int = MAX_COLORS,
    *,
    jobs: int | None = None,
    recursive: bool = False,
    min_savings: float = 0.0,
    overwrite: bool = False,
    allow_larger: bool = False,
    copy_unchanged: bool = False,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    fail_fast: bool = False,
    **options: Unpack[JobKeywords],
) -> Iterator[JobResult]:
    """Quantize many image files into indexed PNGs, WebPs or GIFs.

    A run that was killed goes on where it stopped when it is repeated: targets are complete or
    absent, and those that exist are skipped. The outputs are those of an uninterrupted run.

    Parameters
    ----------
    sources : paths of files, folders, and globs
        See `fastkq.batch.plan.plan_jobs` for which files are taken and what their targets are
        called. What fastkq itself wrote is recognized and skipped.
    directory : path or None
        Where the targets go; it is made if it does not exist. With None, each target goes beside
        its source: "a.jpg" becomes "a-fastkq.png".
    jobs : int, optional
        How many images are compressed at once, each in a process of its own: at most, and by
        default, one a core, with one thread for its kernels. With 1, and in a daemonic process,
        which may start no others, images follow each other in this process, on all cores.
        The images in work have at most 32 megapixels a process together, but 128 megapixels, or a
        single larger image, are always allowed. A script that wants more than 1 must call this
        below ``if __name__ == "__main__":``, since each process imports it.
    recursive : bool
        Whether folders are searched at any depth; their tree is kept.
    min_savings : float, 0 to 1
        The share of the source's bytes that an output must save to be written. By default, which
        is 0, any saving will do; an output that is not smaller than its source is not written.
    overwrite : bool
        Whether existing targets are replaced; they are skipped otherwise.
    allow_larger : bool
        Whether an output is written even if it is no smaller than its source.
    copy_unchanged : bool
        Whether `directory` gets a copy of each source that has no output there though it could be
        read: for want of a gain, short of a target, or since fastkq wrote it. The copy has the name
        of its source, with its suffix, or where that is taken, another that `JobResult.copy` tells;
        it is complete or absent like an output, and skipped if it exists.
    palette : (K, 3) uint8 array_like, path of a palette file, or "shared"
        One palette for all images; for the files, see `remap`. "shared" fits `n_colors` to all
        images together first: each is decoded once more, in a repeated run as well.
    report : path, optional
        A file to which each result is added as a line of JSON when it is known. In a repeated run
        it saves the work for images without gain as well. Several runs may share one file. Lines
        that no run has written are set aside, with a warning.
    fail_fast : bool
        Whether to stop after the first image that fails.
    format : {"png", "webp", "gif"}, optional
        Of the targets; see `QuantizeResult.save`. By default, an animated GIF or WebP keeps its
        format, and all else becomes a PNG, animated where the source is.
    n_colors, effort, color_space, locked, protect, masking, paper, dither, dither_strength, \
    lossy, quality, max_mse, min_psnr, max_bytes, optimize, background, transparent, score, \
    min_score, frame, frame_palettes
        As in `compress`, for each image; `effort`, `color_space` and `locked` for a shared palette
        as well. An image that does not reach its target is not written, and no failure: its status
        is "target not reached".

    Returns
    -------
    iterator of JobResult
        In the order in which they finish. The work is done while it is consumed.

    Raises
    ------
    ValueError, TypeError, OSError
        A wrong option, palette or report. Bad images raise nothing: their result says what is
        wrong.

    Examples
    --------
    >>> import fastkq
    >>> [result.error for result in fastkq.compress_many(["missing.jpg"], "out")]
    ['missing.jpg: no such file']
    """
    from fastkq.batch.pool import n_cores

    if isinstance(sources, (str, os.PathLike)):
        sources = [sources]
    is_shared = isinstance(palette, str) and palette == SHARED
    checked = check_job_options(
        n_colors,
        min_savings=min_savings,
        overwrite=overwrite,
        allow_larger=allow_larger,
        copy_unchanged=copy_unchanged,
        palette=palette,
        **options,
    )
    n_workers = n_cores() if jobs is None else check_integer(jobs, "jobs", 1)
    planned = plan_jobs(
        sources,
        directory,
        recursive=recursive,
        format=format_to_plan(options),
        copies=copy_unchanged,
    )
    if is_shared:
        checked, _ = share_palette(planned, checked, n_workers=n_workers)
    return run_jobs(planned, checked, n_workers=n_workers, report=report, fail_fast=fail_fast)


def format_to_plan(options: JobKeywords) -> str | None:
    """Return the format of all targets; None where it depends on whether a source is animated."""
    format = options.get("format")
    return PNG if format is None and options.get("frame") is not None else format


def check_job_options(
    n_colors: int,
    *,
    min_savings: float,
    overwrite: bool,
    palette: ArrayLike | str | os.PathLike[str] | None,
    allow_larger: bool = False,
    copy_unchanged: bool = False,
    **options: Unpack[JobKeywords],
) -> JobOptions:
    """Return the options of a run, if they are allowed; a shared palette is yet to come."""
    is_shared = isinstance(palette, str) and palette == SHARED
    own = None if is_shared else palette
    image = check_options(n_colors, palette=own, **choose_look(options, own))
    if is_shared:
        given = {"protect": image.fit.protect, "masking": image.masking, "paper": image.paper}
        names = [] if image.target is None else [image.target.name]
        names += [name for name, is_given in given.items() if is_given]
        if names:
            raise ValueError(
                f"palette is 'shared'; {names[0]} is for a palette fitted to one image"
            )
    min_savings = check_number(min_savings, "min_savings", 0, 1)
    check_flag(allow_larger, "allow_larger")
    check_flag(copy_unchanged, "copy_unchanged")
    if allow_larger and min_savings > 0:
        raise ValueError(
            f"allow_larger is True, and min_savings is {min_savings:g}; one of them is allowed"
        )
    return JobOptions(image, min_savings, overwrite, allow_larger, copy_unchanged)


def share_palette(
    jobs: Iterable[Job], options: JobOptions, *, n_workers: int
) -> tuple[JobOptions, dict[str, str]]:
    """Fit one palette to all sources; return options that have it, and the errors by source."""
    histogram, errors = sum_histograms((job.source for job in jobs), n_workers=n_workers)
    return use_shared(histogram, options), errors


def use_shared(histogram: ColorHistogram, options: JobOptions) -> JobOptions:
    """Return options with the palette that represents a histogram best."""
    palette = fit_histogram(histogram, options.image.fit).palette
    return replace(options, image=replace(options.image, palette=palette))


def run_jobs(
    jobs: Sequence[Job],
    options: JobOptions,
    *,
    n_workers: int = 1,
    mapper: Mapper | None = None,
    report: str | os.PathLike[str] | None = None,
    fail_fast: bool = False,
) -> Iterator[JobResult]:
    """Run planned jobs; see `compress_many`. A report that exists is read at once.

    With a mapper, the jobs that need work are its; without, of `n_workers` processes.
    """
    lines = None if report is None else RunReport(report, options.settings)
    return _run_jobs(jobs, options, mapper or _map_locally(n_workers), lines, fail_fast)


def _map_locally(n_workers: int) -> Mapper:
    from fastkq.batch.pool import map_images

    return partial(map_images, path_of=attrgetter("source"), n_workers=n_workers)


def _run_jobs(
    jobs: Sequence[Job],
    options: JobOptions,
    mapper: Mapper,
    report: RunReport | None,
    fail_fast: bool,
) -> Iterator[JobResult]:
    from fastkq.batch.pool import WorkerDiedError

    with report or nullcontext():
        remove_leftovers(jobs)
        remaining = []
        try:
            for job in jobs:
                decided = _decide(job, options, report)
                if decided is None:
                    remaining.append(job)
                else:
                    if report is not None:
                        report.add(decided)
                    yield decided
            # Which targets are to be written is settled: should a worker die behind its write, the
            # next must not take the target for one that was there before.
            function = partial(run_job, options=replace(options, is_settled=True))
            for job, outcome in mapper(function, remaining):
                if isinstance(outcome, WorkerDiedError):
                    error = printable(f"{job.source}: {outcome}")
                    result = JobResult(job.source, job.target, FAILED, error=error)
                else:
                    result = outcome
                if report is not None:
                    report.add(result)
                yield result
                if fail_fast and result.status == FAILED:
                    return
        finally:
            remove_leftovers(remaining)  # of workers that died


def _decide(job: Job, options: JobOptions, report: RunReport | None) -> JobResult | None:
    """Return the result of a job that an earlier run, or whoever wrote its target, has settled."""
    if report is not None and not options.overwrite:
        written = report.decides(job)
        if written is not None:
            known = EXISTS if written.status == DONE else written.status
            return replace(written, status=known, seconds=0.0)
        # A run was killed between a target and its line: this one makes both.
        if report.lacks(job) and (is_own_output(job.target) or is_copied(job)):
            options = replace(options, is_settled=True)
    status = skip_reason(job, options)
    if status is None or (status == OWN_OUTPUT and job.copy is not None):
        return None
    return JobResult(job.source, job.target, status)
