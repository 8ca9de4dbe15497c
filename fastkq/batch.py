"""Many images on one machine: plan, share out, report, resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from numpy.typing import ArrayLike

from fastkq.colorspace import COLOR_SPACES
from fastkq.dither import Dithering
from fastkq.jobs import (
    EXISTS,
    FAILED,
    NO_GAIN,
    Job,
    JobOptions,
    JobResult,
    plan_jobs,
    remove_leftovers,
    run_job,
    skip_reason,
)
from fastkq.locked import check_locked
from fastkq.quantize import EFFORTS, fit_palette
from fastkq.remap import MAX_COLORS, check_palette
from fastkq.run_report import RunReport
from fastkq.shared_palette import sum_histograms
from fastkq.validate import check_flag, check_integer, check_number

if TYPE_CHECKING:
    from fastkq.workers import WorkerDiedError

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

# Calls a function for each job and yields each with its result, or `workers.WorkerDiedError`.
Mapper: TypeAlias = (
    "Callable[[Callable[[Job], JobResult], Sequence[Job]], "
    "Iterator[tuple[Job, JobResult | WorkerDiedError]]]"
)


def compress_many(
    sources: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    directory: str | os.PathLike[str],
    n_colors: int = MAX_COLORS,
    *,
    effort: str = "balanced",
    color_space: str = "srgb",
    jobs: int | None = None,
    recursive: bool = False,
    min_savings: float = 0.0,
    overwrite: bool = False,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    locked: ArrayLike | None = None,
    protect: bool = False,
    report: str | os.PathLike[str] | None = None,
    fail_fast: bool = False,
    dither: str = "none",
    dither_strength: float = 1.0,
) -> Iterator[JobResult]:
    """Quantize many image files into indexed PNGs.

    A run that was killed goes on where it stopped when it is repeated: targets are complete or
    absent, and those that exist are skipped. The outputs are those of an uninterrupted run.

    Parameters
    ----------
    sources : paths of files, folders, and globs
        See `fastkq.batch.plan_jobs` for which files are taken and what their targets are called.
        fastkq's own output is recognized and skipped.
    directory : path
        Where the targets go; made if it does not exist.
    n_colors, effort, color_space, dither, dither_strength
        As in `quantize`.
    jobs : int, optional
        Images at once, each in a process of its own; at most, and by default, one a core, with one
        thread for its kernels. With 1, images follow each other in this process, on all cores.
        Together, the images in work have at most 32 MP a process, but 128 MP or a single one
        always. A script that wants more than 1 must call this below
        ``if __name__ == "__main__":``, since each process imports it.
    recursive : bool
        Whether folders are searched at any depth; their tree is kept.
    min_savings : float, 0 to 1
        The share of the source's bytes that an output must save to be written. By default any
        saving will do; never is an output written that is not smaller than its source.
    overwrite : bool
        Whether existing targets are replaced; they are skipped otherwise.
    palette : (K, 3) uint8 array_like, path of a palette file, or "shared"
        One palette for all images; for the files, see `remap`. "shared" fits `n_colors` to all
        images together first: each is decoded once more, in a repeated run as well.
    locked, protect
        As in `quantize`, for each image; `locked` for a shared palette as well.
    report : path, optional
        A file to which each result is added as a line of JSON when it is known. In a repeated run
        it saves the work for images without gain as well.
    fail_fast : bool
        Whether to stop after the first image that fails.

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
    from fastkq.workers import n_cores

    if isinstance(sources, (str, os.PathLike)):
        sources = [sources]
    is_shared = isinstance(palette, str) and palette == SHARED
    options = check_job_options(
        n_colors,
        effort=effort,
        color_space=color_space,
        min_savings=min_savings,
        overwrite=overwrite,
        palette=palette,
        locked=locked,
        protect=protect,
        dither=dither,
        dither_strength=dither_strength,
    )
    n_workers = n_cores() if jobs is None else check_integer(jobs, "jobs", 1)
    planned = plan_jobs(sources, directory, recursive=recursive)
    if is_shared:
        options, _ = share_palette(planned, options, n_workers=n_workers)
    return run_jobs(planned, options, n_workers=n_workers, report=report, fail_fast=fail_fast)


def check_job_options(
    n_colors: int,
    *,
    effort: str,
    color_space: str,
    min_savings: float,
    overwrite: bool,
    palette: ArrayLike | str | os.PathLike[str] | None,
    locked: ArrayLike | None = None,
    protect: bool = False,
    dither: str = "none",
    dither_strength: float = 1.0,
) -> JobOptions:
    """Return the options of a run, if they are allowed; a shared palette is yet to come."""
    if effort not in EFFORTS:
        raise ValueError(f"effort is {effort!r}; one of {EFFORTS} is allowed")
    if color_space not in COLOR_SPACES:
        raise ValueError(f"color_space is {color_space!r}; one of {COLOR_SPACES} is allowed")
    check_flag(protect, "protect")
    n_colors = check_integer(n_colors, "n_colors", 1, MAX_COLORS)
    is_shared = isinstance(palette, str) and palette == SHARED
    is_given = palette is not None and not is_shared
    if is_given and (locked is not None or protect):
        raise ValueError("palette is given; locked and protect are for palettes that are fitted")
    if is_shared and protect:
        raise ValueError("palette is 'shared'; protect is for a palette fitted to one image")
    return JobOptions(
        n_colors=n_colors,
        effort=effort,
        color_space=color_space,
        min_savings=check_number(min_savings, "min_savings", 0, 1),
        overwrite=overwrite,
        palette=check_palette(palette) if palette is not None and is_given else None,
        locked=check_locked(locked, n_colors),
        protect=protect,
        dithering=Dithering(dither, dither_strength),
    )


def share_palette(
    jobs: Iterable[Job], options: JobOptions, *, n_workers: int
) -> tuple[JobOptions, dict[str, str]]:
    """Fit one palette to all sources; return options that have it, and the errors by source."""
    histogram, errors = sum_histograms((job.source for job in jobs), n_workers=n_workers)
    palette = fit_palette(
        histogram,
        options.n_colors,
        effort=options.effort,
        color_space=options.color_space,
        locked=options.locked,
    )
    return replace(options, palette=palette), errors


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
    from fastkq.workers import map_images

    return partial(map_images, path_of=attrgetter("source"), n_workers=n_workers)


def _run_jobs(
    jobs: Sequence[Job],
    options: JobOptions,
    mapper: Mapper,
    report: RunReport | None,
    fail_fast: bool,
) -> Iterator[JobResult]:
    from fastkq.workers import WorkerDiedError

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
            # That a target may be written is settled: should a worker die behind its write, the
            # next must not take the target for somebody else's.
            function = partial(run_job, options=replace(options, overwrite=True))
            for job, outcome in mapper(function, remaining):
                if isinstance(outcome, WorkerDiedError):
                    error = f"{job.source}: {outcome}"
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
    from fastkq.png import is_own_output

    if report is not None and not options.overwrite:
        written = report.decides(job)
        if written is not None:
            known = NO_GAIN if written.status == NO_GAIN else EXISTS
            return replace(written, status=known, seconds=0.0)
        # Killed between the target and its line: this run writes both.
        if report.lacks(job) and is_own_output(job.target):
            options = replace(options, overwrite=True)
    status = skip_reason(job, options)
    return None if status is None else JobResult(job.source, job.target, status)
