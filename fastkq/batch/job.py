"""One image of a batch: where it comes from, where it goes and what became of it."""

from __future__ import annotations

import filecmp
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from fastkq.animation.entry import compress_any, open_any
from fastkq.batch.in_place import options_in_place, replace_file
from fastkq.batch.plan import Job
from fastkq.batch.text import one_line, printable
from fastkq.colors.metrics import psnr_from_mse
from fastkq.engine.search import TargetNotReachedError
from fastkq.files.formats import format_of
from fastkq.files.mark import is_own_data, is_own_output
from fastkq.files.write import check_output, write_file
from fastkq.options import Options, for_format
from fastkq.result import most_bytes
from fastkq.types import ImageSource

DONE = "done"
NO_GAIN = "no gain"
NOT_REACHED = "target not reached"
EXISTS = "skipped: exists"
OWN_OUTPUT = "skipped: own output"
FAILED = "failed"


@dataclass(frozen=True, eq=False)
class JobOptions:
    """What the images of a run have in common.

    Attributes
    ----------
    image : Options
        The options of each image.
    min_savings : float, 0 to 1
        The share of the source's bytes that an output must save to be written.
    overwrite : bool
        Whether an existing target is replaced; it is skipped otherwise.
    allow_larger : bool
        Whether an output is written even if it is no smaller than its source.
    copy_unchanged : bool
        Whether the source is copied where no output is written though the image could be read.
    is_settled : bool
        Whether a run has looked already which targets exist, and has left those jobs out; by
        default each job looks. A target that is there all the same when it is to be written came
        meanwhile: it is not replaced, unless `overwrite` is set.
    in_place : bool
        Whether each source is replaced by its output, which is then of its format.
    backup : str or None
        What the name of the replaced source ends with that is kept; by default, none is.
    keeps_animated : bool
        Whether the targets of animated GIF and WebP have the format of their source.
    """

    image: Options
    min_savings: float = 0.0
    overwrite: bool = False
    allow_larger: bool = False
    copy_unchanged: bool = False
    is_settled: bool = False
    in_place: bool = False
    backup: str | None = None
    keeps_animated: bool = False

    @property
    def settings(self) -> str:
        """What decides over the bytes of an output, for the lines of a report."""
        names = ("allow_larger", "copy_unchanged", "in_place")
        flags = [name for name in names if getattr(self, name)]
        return ", ".join([self.image.describe(), f"min_savings {self.min_savings:g}", *flags])


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Attributes
    ----------
    source, target : str
    status : str
        "done"; "no gain": the output would not save `min_savings`, and is not written; "target not
        reached": the output would be worse, or larger, than what was asked for, and is not written;
        "skipped: exists": there is such a target; "skipped: own output": fastkq wrote the source;
        "failed": the error says why.
    source_bytes, target_bytes : int or None
        For "no gain", `target_bytes` are those that the target would have had.
    pixels : int or None
    n_colors : int or None, of the palette; for "target not reached", of the best palette
    psnr : float or None, in dB; infinite where nothing was lost
    seconds : float, from opening the source to the finished target
    score : float or None, by SSIMULACRA 2, if it was asked for
    n_frames : int, of an animation that was written, without those that repeat the one before
    error : str or None, one line that says what came and what is allowed
    copy : str or None, where the source was copied to, since there was no output to write
    """

    source: str
    target: str
    status: str
    source_bytes: int | None = None
    target_bytes: int | None = None
    pixels: int | None = None
    n_colors: int | None = None
    psnr: float | None = None
    seconds: float = 0.0
    error: str | None = None
    score: float | None = None
    copy: str | None = None
    n_frames: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes for a line of JSON, which knows no infinity: `psnr` is None then.

        Examples
        --------
        >>> JobResult("a.jpg", "out/a.png", "done", n_colors=9, psnr=float("inf")).to_dict()
        {'source': 'a.jpg', ... 'n_colors': 9, 'psnr': None, ...}
        """
        psnr = self.psnr if self.psnr is None or math.isfinite(self.psnr) else None
        return asdict(self) | {"psnr": psnr}


def skip_reason(job: Job, options: JobOptions) -> str | None:
    """Return the status of a job that needs no work, or None."""
    paths = [job.target] if job.copy is None else [job.target, job.copy]
    is_allowed = options.overwrite or options.is_settled or options.in_place
    if not is_allowed and any(map(os.path.exists, paths)):
        return EXISTS
    return OWN_OUTPUT if is_own_output(job.source) else None


def is_copied(job: Job) -> bool:
    """Return whether the copy of a source is there already, as it is."""
    try:
        return job.copy is not None and filecmp.cmp(job.source, job.copy, shallow=False)
    except OSError:
        return False


def run_job(job: Job, options: JobOptions) -> JobResult:
    """Compress one image.

    Returns
    -------
    JobResult
        Also where it fails: a bad image raises nothing. The target is then as it was.
    """
    start = time.perf_counter()
    try:
        status = skip_reason(job, options)
        if status is None:
            check_source(job.source)
            size = partial(os.path.getsize, job.source)
            put = partial(_write, job.target, job=job, options=options)
            if options.in_place:
                put = partial(_replace, job.source, os.stat(job.source), options)
            result = compress_job(job, job.source, size, put, options, start)
        else:
            result = JobResult(job.source, job.target, status)
        if job.copy is not None and result.status in (NO_GAIN, NOT_REACHED, OWN_OUTPUT):
            result = _copy(job, job.copy, options, result)
        return result
    except Exception as error:
        return failed(job, one_line(error), start)


def failed(job: Job, text: str, start: float | None = None) -> JobResult:
    """Return the result of a job that failed, with a line that has its source's name."""
    seconds = 0.0 if start is None else time.perf_counter() - start
    error = _name_source(job.source, text)
    return JobResult(job.source, job.target, FAILED, seconds=seconds, error=error)


def _name_source(source: str, text: str) -> str:
    """Return what is wrong with an image, with its name: of many, it must be told which one."""
    return text if printable(source) in text else f"{printable(source)}: {text}"


def run_bytes(
    job: Job, data: bytes, put: Callable[[bytes], str], options: JobOptions, start: float
) -> JobResult:
    """Compress an image that is in memory; see `compress_job`. A bad one raises nothing."""
    try:
        if is_own_data(data):
            return JobResult(job.source, job.target, OWN_OUTPUT)
        return compress_job(job, data, data.__len__, put, options, start)
    except Exception as error:
        return failed(job, one_line(error).replace("<bytes>: ", ""), start)


def check_source(path: str) -> None:
    """Raise OSError for what was found among images, but is no file that can be opened.

    A pipe in a folder would be waited for, and the folder itself is here if it cannot be read.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file")
    if os.path.isdir(path):
        try:
            os.scandir(path).close()
        except OSError as error:
            reason = f"{path}: the folder cannot be read: {error.strerror}"
            raise type(error)(reason) from error
        raise IsADirectoryError(f"{path}: is a directory; an image file is allowed")
    if not os.path.isfile(path):
        raise OSError(f"{path}: is not a regular file; an image file is allowed")


def compress_job(
    job: Job,
    image: ImageSource,
    size: Callable[[], int],
    put: Callable[[bytes], str],
    options: JobOptions,
    start: float,
) -> JobResult:
    """Compress the image of a job, and put its file where it belongs.

    Parameters
    ----------
    job : Job
    image : what `quantize` takes
    size : callable, that returns the bytes of the source's file
    put : callable
        Is given the bytes of the target, if they are to be written; returns what became of them.
    options : JobOptions
    start : float, when the job began
    """
    chosen = options.image if options.in_place else for_format(options.image, format_of(job.target))
    if job.page is not None:
        chosen = replace(chosen, reading=replace(chosen.reading, page=job.page))
    if options.in_place:
        chosen = options_in_place(job.source, chosen)
    source = open_any(image, chosen)
    try:
        written = compress_any(source, chosen)
    except TargetNotReachedError as error:
        return JobResult(
            job.source,
            job.target,
            NOT_REACHED,
            source_bytes=source.n_bytes,
            target_bytes=error.n_bytes,
            n_colors=error.n_colors,
            psnr=error.psnr,
            seconds=time.perf_counter() - start,
            error=one_line(error),
        )
    source_bytes = size()
    fits = written.n_bytes <= most_bytes(source_bytes, options.min_savings)
    is_kept = fits or options.allow_larger
    status = put(written.data) if is_kept else NO_GAIN
    if status == EXISTS:
        return JobResult(job.source, job.target, status)
    return JobResult(
        job.source,
        job.target,
        status,
        source_bytes=source_bytes,
        target_bytes=written.n_bytes,
        pixels=source.n_pixels,
        n_colors=len(written.palette),
        psnr=psnr_from_mse(written.inertia / source.n_pixels),
        score=written.score,
        n_frames=written.n_frames,
        seconds=time.perf_counter() - start,
    )


def _copy(job: Job, path: str, options: JobOptions, result: JobResult) -> JobResult:
    """Copy the source of a job, as it is, and return its result with the path of the copy."""
    with open(job.source, "rb") as file:
        status = _write(path, file.read(), job, options)
    if status == EXISTS:
        return JobResult(job.source, job.target, status)
    return replace(result, copy=path)


def _replace(path: str, before: os.stat_result, options: JobOptions, data: bytes) -> str:
    """Replace a source by its output, if it is what it was; return what became of it."""
    replace_file(path, data, before, options.image.safety, options.backup)
    return DONE


def _write(path: str, data: bytes, job: Job, options: JobOptions) -> str:
    """Write a target or copy, unless there is one; return what became of it.

    One with the same bytes was written by a worker that died, or a run that was killed, before it
    could tell.
    """
    os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
    try:
        write_file(
            check_output(path, job.source),
            data,
            like=job.source,
            exclusive=not options.overwrite,
            clean=False,  # a run does it for all targets at once
            safety=options.image.safety,
        )
    except FileExistsError:
        with open(path, "rb") as file:
            return DONE if file.read() == data else EXISTS
    return DONE
