"""One image of a batch: where it comes from, where it goes and what became of it."""

from __future__ import annotations

import glob
import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastkq import image_io
from fastkq.formats import PNG, check_format, is_own_output
from fastkq.options import Options
from fastkq.quantize import quantize_and_encode
from fastkq.result import encode_image
from fastkq.targets import TargetNotReachedError

DONE = "done"
NO_GAIN = "no gain"
NOT_REACHED = "target not reached"
EXISTS = "skipped: exists"
OWN_OUTPUT = "skipped: own output"
FAILED = "failed"
# What is looked for in folders; a file that is named is tried whatever its suffix.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})


@dataclass(frozen=True)
class Job:
    """An image to compress: two paths. The directory of the target need not exist yet."""

    source: str
    target: str


@dataclass(frozen=True, eq=False)
class JobOptions:
    """What the images of a run have in common.

    Attributes
    ----------
    image : Options
        Of each image.
    min_savings : float, 0 to 1
        The share of the source's bytes that an output must save to be written.
    overwrite : bool
        Whether an existing target is replaced; it is skipped otherwise.
    """

    image: Options
    min_savings: float = 0.0
    overwrite: bool = False

    @property
    def settings(self) -> str:
        """What decides over the bytes of an output, for the lines of a report."""
        return f"{self.image.describe()}, min_savings {self.min_savings:g}"


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Attributes
    ----------
    source, target : str
    status : str
        "done"; "no gain": the output would not save `min_savings`, and is not written; "target not
        reached": nor is one that would be worse, or larger, than what was asked for; "skipped:
        exists": there is such a target; "skipped: own output": the source was written by fastkq;
        "failed".
    source_bytes, target_bytes : int or None
        For "no gain", the bytes that the target would have had.
    pixels : int or None
    n_colors : int or None, of the palette; for "target not reached", of the best
    psnr : float or None, in dB; infinite where nothing was lost
    seconds : float, from opening the source to the finished target
    error : str or None, one line that says what came and what is allowed
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

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes for a line of JSON, which knows no infinity: `psnr` is None then.

        Examples
        --------
        >>> JobResult("a.jpg", "out/a.png", "done", n_colors=9, psnr=float("inf")).to_dict()
        {'source': 'a.jpg', ... 'n_colors': 9, 'psnr': None, ...}
        """
        psnr = self.psnr if self.psnr is None or math.isfinite(self.psnr) else None
        return asdict(self) | {"psnr": psnr}


def plan_jobs(
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str],
    *,
    recursive: bool = False,
    format: str = PNG,
) -> list[Job]:
    """Decide which images go where; nothing is read or written.

    Parameters
    ----------
    sources : paths of files, folders, and globs
        Of a folder, the files with a suffix of an allowed format, hidden ones and those below
        `directory` left out. A file that is named, or a glob without a match, is always a job, even
        if there is no such file: it will fail with an error of its own.
    directory : path
        Where the targets go: the files of a folder, or of a glob, by their path below the folder or
        below the fixed part of the glob; others by their name.
    recursive : bool
        Whether folders are searched at any depth, and `**` in a glob means so.
    format : {"png", "webp", "gif"}
        Of the targets, which have it as their suffix.

    Returns
    -------
    list of Job
        In the order of the sources, each file once; the files of a folder sorted. "a.jpg" becomes
        "a.png"; where that is the target of several, "a.jpg.png"; where that clashes as well, a
        number follows. Two jobs never share a target, and no target is a source.

    Raises
    ------
    NotADirectoryError
        `directory` is something else.

    Examples
    --------
    >>> plan_jobs(["a.jpg", "b/a.webp", "c.tif"], "out")
    [Job(source='a.jpg', target='out/a.jpg.png'), Job(source='b/a.webp', ...a.webp.png'), ...]
    """
    directory = os.fspath(directory)
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise NotADirectoryError(f"{directory}: is a file; a directory, or a new one, is allowed")
    found = find_images(sources, directory, recursive=recursive)
    # Upper and lower case are the same on some file systems.
    suffix = f".{check_format(format)}"
    plain = Counter(_with_suffix(relative, suffix).casefold() for _, relative in found)
    taken = {os.path.abspath(source).casefold() for source, _ in found}
    jobs = []
    for source, relative in found:
        name = _with_suffix(relative, suffix)
        if plain[name.casefold()] > 1:
            name = relative + suffix
        target, number = os.path.join(directory, name), 2
        while os.path.abspath(target).casefold() in taken:
            target = os.path.join(directory, f"{relative}-{number}{suffix}")
            number += 1
        taken.add(os.path.abspath(target).casefold())
        jobs.append(Job(source, target))
    return jobs


def find_images(
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str] | None = None,
    *,
    recursive: bool = False,
) -> list[tuple[str, str]]:
    """Return the files that sources name, each once, with their paths below where they were found.

    For the parameters, see `plan_jobs`.
    """
    output = None if directory is None else os.path.abspath(directory)
    found: dict[str, tuple[str, str]] = {}
    for given in sources:
        for source, relative in _expand(os.fspath(given), output, recursive):
            found.setdefault(os.path.abspath(source), (source, relative))
    return list(found.values())


def _expand(given: str, output: str | None, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield the files that a source names, each with its path below what it was found in."""
    is_glob = glob.has_magic(given) and not os.path.lexists(given)
    root = _fixed_part(given) if is_glob else given
    own = output if output is not None and _is_below(output, root) else None
    matches = sorted(glob.glob(given, recursive=recursive)) if is_glob else []
    for match in matches or [given]:
        if own is not None and (_is_below(match, own) or os.path.abspath(match) == own):
            continue
        if os.path.isdir(match):
            for path in _walk(match, own, recursive):
                yield path, os.path.relpath(path, root)
        else:
            yield match, os.path.relpath(match, root) if is_glob else os.path.basename(match)


def _is_below(path: str, folder: str) -> bool:
    return os.path.abspath(path).startswith(os.path.join(os.path.abspath(folder), ""))


def _walk(folder: str, own: str | None, recursive: bool) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and os.path.abspath(os.path.join(parent, name)) != own
        )
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield os.path.join(parent, name)


def _fixed_part(pattern: str) -> str:
    """Return the folders of a glob before its first wildcard."""
    parts = Path(pattern).parts
    n_fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return os.path.join(*parts[:n_fixed]) if n_fixed else os.curdir


def _with_suffix(path: str, suffix: str) -> str:
    return os.path.splitext(path)[0] + suffix


def remove_leftovers(jobs: Iterable[Job]) -> None:
    """Delete what a killed run left half written beside the targets of some jobs."""
    names: dict[str, set[str]] = {}
    for job in jobs:
        folder, name = os.path.split(job.target)
        names.setdefault(folder, set()).add(name)
    for folder, targets in names.items():
        if os.path.isdir(folder or os.curdir):
            for entry in os.listdir(folder or os.curdir):
                match = re.fullmatch(image_io.TEMPORARY_NAME, entry)
                if match and match[1] in targets:
                    Path(folder, entry).unlink(missing_ok=True)


def skip_reason(job: Job, options: JobOptions) -> str | None:
    """Return the status of a job that needs no work, or None."""
    if os.path.exists(job.target) and not options.overwrite:
        return EXISTS
    return OWN_OUTPUT if is_own_output(job.source) else None


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
        if status is not None:
            return JobResult(job.source, job.target, status)
        return _compress(job, options, start)
    except TargetNotReachedError as error:
        return JobResult(
            job.source,
            job.target,
            NOT_REACHED,
            source_bytes=os.path.getsize(job.source),
            target_bytes=error.n_bytes,
            n_colors=error.n_colors,
            psnr=error.psnr,
            seconds=time.perf_counter() - start,
            error=one_line(error),
        )
    except Exception as error:
        return JobResult(
            job.source,
            job.target,
            FAILED,
            seconds=time.perf_counter() - start,
            error=one_line(error),
        )


def _compress(job: Job, options: JobOptions, start: float) -> JobResult:
    image, data = quantize_and_encode(job.source, options.image)
    if data is None:
        data = encode_image(image, format=options.image.format, optimize=options.image.optimize)
    source_bytes = os.path.getsize(job.source)
    most = min(source_bytes - 1, source_bytes * (1 - options.min_savings))
    if len(data) <= most:
        os.makedirs(os.path.dirname(job.target) or os.curdir, exist_ok=True)
        image_io.write_file(image_io.check_target(job.target, job.source), data)
    return JobResult(
        job.source,
        job.target,
        DONE if len(data) <= most else NO_GAIN,
        source_bytes=source_bytes,
        target_bytes=len(data),
        pixels=image.labels.size,
        n_colors=len(image.palette),
        psnr=image.psnr,
        seconds=time.perf_counter() - start,
    )


def one_line(error: BaseException) -> str:
    """Return an error's text without line breaks."""
    if isinstance(error, MemoryError):
        return "out of memory"
    return " ".join(str(error).split()) or type(error).__name__
