"""Many images on one machine: plan, share out, report, resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
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
    failed,
    is_copied,
    run_job,
    skip_reason,
)
from fastkq.batch.plan import Job, plan_jobs, remove_leftovers
from fastkq.batch.prepare import SHARED, check_job_options, check_timeout, plan_for, share_palette
from fastkq.batch.remote import is_url, lives_here, run_remote_job
from fastkq.batch.report import RunReport
from fastkq.batch.tar import compress_tars, is_tar
from fastkq.batch.text import one_line
from fastkq.files.mark import is_own_output
from fastkq.options import JobKeywords
from fastkq.types import MAX_COLORS
from fastkq.validate import check_integer

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
    name: str | None = None,
    shard: tuple[int, int] = (1, 1),
    in_place: bool = False,
    suffix: str | None = None,
    backup: str | None = None,
    timeout: float | None = None,
    **options: Unpack[JobKeywords],
) -> Iterator[JobResult]:
    """Quantize many image files into indexed PNGs, WebPs or GIFs.

    A run that was killed goes on where it stopped when it is repeated: targets are complete or
    absent, and those that exist are skipped. The outputs are those of an uninterrupted run.

    Parameters
    ----------
    sources : paths of files, folders, and globs, or addresses such as s3://photos/2024
        See `fastkq.batch.plan.plan_jobs` for which files are taken and what their targets are
        called; addresses need `fastkq[remote]`, see `fastkq.batch.remote`. What fastkq itself wrote
        is recognized and skipped. Or tar files, as "train-{000..146}.tar": the pictures in them are
        compressed, and all else in them is kept; see `fastkq.batch.tar`.
    directory : path or None
        Where the targets go; it is made if it does not exist. With None, each target goes beside
        its source: "a.jpg" becomes "a-fastkq.png". Of one tar file, the name of another.
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
    name : str, optional
        What targets are called, such as "{stem}-small{suffix}", by the stem of the source, the name
        of its folder as {parent}, and the suffix of the format. Where a name is taken, another
        follows from it, as without a pattern.
    shard : (number, count)
        Do one part of the work, 1 to `count`, as the tasks of a job array do: every image is in
        exactly one, and has the target that it has without.
    page : int or "all", optional
        Which page of each TIFF, from 1; by default one of several pages fails. With "all", each
        page has a target of its own, "scan-page1.png" and so on.
    in_place : bool
        Whether each PNG, GIF and WebP, also animated, is replaced by its output, of the same
        format: only by a complete, smaller file whose pixels were decoded again and compared
        (`verify`), and only if the source has not changed meanwhile. It keeps its permissions.
        `directory` must be None. An image of another format, or that is a link, fails, and an
        animation with `frame`.
    suffix : str, optional
        What the names of the targets end with, before their ".png": "-fastkq" beside the sources,
        nothing in a directory.
    backup : str, optional
        With `in_place`, keep what is replaced under its name with this text at the end, such as
        ".orig"; where that exists, the source is not replaced.
    timeout : float, optional
        Seconds for an image, after which its process is ended, and it fails. It is tried twice: the
        second time alone. Each image is then in work in a process of its own, also with `jobs` of
        1; in a daemonic process there is no timeout.
    format : {"png", "webp", "gif"}, optional
        Of the targets; see `QuantizeResult.save`. By default, an animated GIF or WebP keeps its
        format, and all else becomes a PNG, animated where the source is; in a store, all do.
    n_colors, effort, color_space, locked, protect, masking, paper, dither, dither_strength, \
    lossy, quality, max_mse, min_psnr, max_bytes, optimize, background, transparent, score, \
    min_score, frame, frame_palettes, bit_depth, max_pixels, allow_truncated, icc, metadata, \
    durable, preserve, verify
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
        in_place=in_place,
        backup=backup,
        **options,
    )
    timeout = None if timeout is None else check_timeout(timeout)
    n_workers = n_cores() if jobs is None else check_integer(jobs, "jobs", 1)
    planned = plan_for(
        checked, sources, directory, recursive=recursive, suffix=suffix, name=name, shard=shard
    )
    if any(lives_here(path) for job in planned for path in (job.source, job.target)):
        n_workers = 1
    if is_shared:
        checked, _ = share_palette(planned, checked, n_workers=n_workers, timeout=timeout)
    return run_jobs(
        planned,
        checked,
        n_workers=n_workers,
        report=report,
        fail_fast=fail_fast,
        timeout=timeout,
    )


def run_jobs(
    jobs: Sequence[Job],
    options: JobOptions,
    *,
    n_workers: int = 1,
    mapper: Mapper | None = None,
    report: str | os.PathLike[str] | None = None,
    fail_fast: bool = False,
    timeout: float | None = None,
) -> Iterator[JobResult]:
    """Run planned jobs; see `compress_many`. A report that exists is read at once.

    With a mapper, the jobs that need work are its; without, of `n_workers` processes.
    """
    lines = None if report is None else RunReport(report, options.settings)
    if any(is_tar(job.source) for job in jobs):
        if mapper is not None:
            raise ValueError("tar files are compressed on one machine, and not on a cluster")
        results = compress_tars(jobs, options, n_workers=n_workers, timeout=timeout)
    else:
        mapper = mapper or _map_locally(n_workers, timeout)
        results = _run_jobs(jobs, options, mapper, lines)
    return _report(results, lines, fail_fast)


def _report(
    results: Generator[JobResult], report: RunReport | None, fail_fast: bool
) -> Iterator[JobResult]:
    """Yield results, and write each into the report before."""
    with report or nullcontext(), closing(results):
        for result in results:
            if report is not None:
                report.add(result)
            yield result
            if fail_fast and result.status == FAILED:
                return


def _map_locally(n_workers: int, timeout: float | None) -> Mapper:
    from fastkq.batch.pool import map_images

    return partial(map_images, path_of=attrgetter("source"), n_workers=n_workers, timeout=timeout)


def _run_jobs(
    jobs: Sequence[Job], options: JobOptions, mapper: Mapper, report: RunReport | None
) -> Generator[JobResult]:
    from fastkq.batch.pool import WorkerDiedError

    remove_leftovers(jobs)
    remaining = []
    try:
        for job in jobs:
            decided = _decide(job, options, report)
            if decided is None:
                remaining.append(job)
            else:
                yield decided
        # Which targets are to be written is settled: should a worker die behind its write, the
        # next must not take the target for one that was there before.
        function = partial(_run_any, options=replace(options, is_settled=True))
        for job, outcome in mapper(function, remaining):
            if isinstance(outcome, WorkerDiedError):
                yield failed(job, one_line(outcome))
            else:
                yield outcome
    finally:
        remove_leftovers(remaining)  # of workers that died


def _run_any(job: Job, options: JobOptions) -> JobResult:
    """Run a job on disk, or in a store."""
    return run_remote_job(job, options) if is_url(job.source) else run_job(job, options)


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
