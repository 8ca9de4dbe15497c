"""Tar files of a data set, as WebDataset has them: pictures compressed, all else as it is.

A tar file becomes a tar file with the same members in the same order. Each picture gets the suffix
of its new format and keeps its key, which is its name up to the first dot. Where no smaller file
comes of a picture, or it cannot be read, the original stays, under its own name: a data set has no
holes. Names are keys and never paths here, wherever they would lead.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import tarfile
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from fastkq.batch.find import find_images
from fastkq.batch.job import (
    DONE,
    JobOptions,
    JobResult,
    check_source,
    failed,
    run_bytes,
    skip_reason,
)
from fastkq.batch.names import check_name, fill_name
from fastkq.batch.plan import BESIDE, Job
from fastkq.batch.text import one_line
from fastkq.files.errors import ImageReadError
from fastkq.files.read import count_pixels_of
from fastkq.files.signatures import SUFFIXES
from fastkq.files.tar import TarWriter, read_headers
from fastkq.files.write import check_output, open_target

if TYPE_CHECKING:
    from fastkq.batch.pool import WorkerDiedError

SUFFIX = ".tar"
# Numbers in a name, as in train-{000000..000146}.tar.
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MAX_RANGE = 1_000_000
# A picture is read into memory whole.
MAX_PICTURE_BYTES = 1 << 30


@dataclass(frozen=True)
class Picture:
    """A member to compress: where its bytes lie in which tar file, and what it is called."""

    job: Job
    path: str
    start: int
    n_bytes: int


# What became of a picture, with its new file if that takes the place of the old one.
Outcome: TypeAlias = tuple[JobResult, bytes | None]


def is_tar(path: str | os.PathLike[str]) -> bool:
    """Return whether a path names tar files, which may be a glob or have a range of numbers."""
    name = os.fspath(path)
    return name.lower().endswith(SUFFIX) and not os.path.isdir(name)


def expand_range(name: str) -> list[str]:
    """Return the names that one with ranges of numbers stands for, or itself if it is a file's.

    Raises
    ------
    ValueError
        A range goes down, or has more than a million numbers.

    Examples
    --------
    >>> expand_range("train-{08..10}.tar")
    ['train-08.tar', 'train-09.tar', 'train-10.tar']
    """
    match = RANGE.search(name)
    if match is None or os.path.exists(name):
        return [name]
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < MAX_RANGE:
        raise ValueError(
            f"{name}: its range has no numbers, or too many; one such as {{000..146}}, of up to "
            f"{MAX_RANGE}, is allowed"
        )
    return [
        expanded
        for number in range(first, last + 1)
        for expanded in expand_range(
            f"{name[: match.start()]}{number:0{len(match[1])}}{name[match.end() :]}"
        )
    ]


def plan_tar_jobs(
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str] | None,
    *,
    name: str | None = None,
) -> list[Job]:
    """Decide which tar files become which.

    Parameters
    ----------
    sources : paths of tar files, globs of them, and names with ranges of numbers
    directory : path or None
        The name of the one target, if it ends in ".tar" and is no directory; a directory for
        several. With None, each goes beside its source and has "-fastkq" at the end of its name.
    name : str, optional
        As in `plan.plan_jobs`, for the names of the tar files.

    Returns
    -------
    list of Job

    Raises
    ------
    ValueError
        Something else is among the sources, two would have one target, or a target is a source.
    """
    given = [os.fspath(source) for source in sources]
    for source in given:
        if not is_tar(source):
            raise ValueError(f"{source}: is no tar file, and others are; one of both is allowed")
    pattern = None if name is None else check_name(name, SUFFIX.removeprefix("."))
    paths = [path for source in given for path in expand_range(source)]
    is_file = directory is not None and is_tar(directory)
    found = find_images(paths, None if is_file else directory)
    if directory is None and pattern is None:  # what an earlier run has left
        found = [pair for pair in found if not pair[0].lower().endswith(BESIDE + SUFFIX)]
        pattern = "{stem}" + BESIDE
    if is_file and len(found) > 1:
        raise ValueError(f"{directory}: is one tar file, for {len(found)}; a directory is allowed")
    jobs: dict[str, Job] = {}
    homes = {os.path.realpath(source) for source, _ in found}
    for source, relative in found:
        folder = os.path.dirname(source) if directory is None else directory
        own = relative if directory is not None else os.path.basename(source)
        if pattern is not None:
            own = os.path.join(os.path.dirname(own), fill_name(pattern, source) + SUFFIX)
        target = os.fspath(directory) if directory and is_file else os.path.join(folder, own)
        place = os.path.realpath(target)
        if place in homes:
            raise ValueError(f"{target}: the target is a source; choose another")
        if place in jobs:
            raise ValueError(
                f"{target}: is the target of {jobs[place].source} and of {source}; a name such as "
                "'{parent}-{stem}' is allowed"
            )
        jobs[place] = Job(source, target)
    return list(jobs.values())


def compress_tars(
    jobs: Sequence[Job],
    options: JobOptions,
    *,
    n_workers: int = 1,
    timeout: float | None = None,
) -> Generator[JobResult]:
    """Compress the pictures of tar files; a target is complete or absent.

    Yields
    ------
    JobResult
        Of each picture, as a path below its tar file; its `copy` tells that the original stays.
        Those of a tar file come before it is complete. It has a result of its own if it is skipped,
        or fails: then it has no target.
    """
    from fastkq.batch.pool import map_in_order

    to_do = []
    for job in jobs:
        status = skip_reason(job, options)
        if status is None:
            to_do.append(job)
        else:
            yield JobResult(job.source, job.target, status)
    outcomes = map_in_order(
        partial(run_picture, options=options),
        _list_pictures(to_do, options),
        lru_cache(maxsize=1)(_count_pixels),  # it is asked again while the item waits
        n_workers,
        timeout,
    )
    with closing(outcomes):
        for job in to_do:
            try:
                yield from _write_tar(job, options, outcomes)
            except (OSError, ValueError) as error:
                yield failed(job, one_line(error))


def run_picture(picture: Picture, options: JobOptions) -> Outcome:
    """Compress a member; where no file comes of it that is to be written, there is none."""
    start = time.perf_counter()
    files: list[bytes] = []

    def keep(data: bytes) -> str:
        files.append(data)
        return DONE

    try:
        data = _read(picture)
    except (OSError, ValueError) as error:
        return failed(picture.job, one_line(error), start), None
    result = run_bytes(picture.job, data, keep, options, start)
    return result, files[0] if result.status == DONE else None


def _read(picture: Picture) -> bytes:
    if picture.n_bytes > MAX_PICTURE_BYTES:
        raise ValueError(
            f"{picture.job.source}: has {picture.n_bytes} bytes; in a tar file, "
            f"{MAX_PICTURE_BYTES} are allowed"
        )
    with open(picture.path, "rb") as file:
        file.seek(picture.start)
        return file.read(picture.n_bytes)


def _count_pixels(picture: Picture) -> int:
    try:
        return count_pixels_of(io.BytesIO(_read(picture)), picture.job.source)
    except (OSError, ValueError):
        return 0


def _write_tar(
    job: Job,
    options: JobOptions,
    outcomes: Iterator[tuple[Picture, Outcome | WorkerDiedError]],
) -> Iterator[JobResult]:
    """Write the target of a job from the outcomes of its pictures, and yield their results."""
    check_source(job.source)
    with open(job.source, "rb") as source:
        before = _facts(source)
        names, linked = _name_pictures(source, job, options)
        os.makedirs(os.path.dirname(job.target) or os.curdir, exist_ok=True)
        changed: dict[str, str] = {}

        def check(path: Path) -> None:
            if options.image.safety.verify:
                writer.check(path)

        with open_target(
            check_output(job.target, job.source),
            like=job.source,
            exclusive=not options.overwrite,
            safety=options.image.safety,
            check=check,
        ) as target:
            writer = TarWriter(target)
            for info in read_headers(source, job.source):
                if not _is_picture(info):
                    writer.copy(_follow(info, changed), source)
                    continue
                result, data = _next_outcome(outcomes, job, _job_of(job, info, names))
                if data is None:
                    writer.copy(info, source)
                    result = replace(result, copy=f"{job.target}/{info.name}")
                else:
                    original, info.name = info.name, names[info.name]
                    writer.write(info, data)
                    if original in linked:
                        changed[original] = info.name
                yield result
            if _facts(source) != before:
                raise _changed(job)
            writer.finish()


def _next_outcome(
    outcomes: Iterator[tuple[Picture, Outcome | WorkerDiedError]], tar: Job, wanted: Job
) -> Outcome:
    """Return what became of a picture; those of tar files that could not be written are passed."""
    from fastkq.batch.pool import WorkerDiedError

    for picture, outcome in outcomes:
        if picture.job == wanted:
            if isinstance(outcome, WorkerDiedError):
                return failed(wanted, one_line(outcome)), None
            return outcome
        if picture.path == tar.source:
            break
    raise _changed(tar)


def _facts(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _changed(job: Job) -> ImageReadError:
    return ImageReadError(f"{job.source}: has changed meanwhile")


def _list_pictures(jobs: Iterable[Job], options: JobOptions) -> Iterator[Picture]:
    """Yield the pictures of tar files, up to what is wrong with one: writing it tells of that."""
    for job in jobs:
        try:
            with open(job.source, "rb") as file:
                names, _ = _name_pictures(file, job, options)
                for info in filter(_is_picture, read_headers(file, job.source)):
                    member = _job_of(job, info, names)
                    yield Picture(member, job.source, info.offset_data, info.size)
        except (OSError, ValueError):
            continue


def _job_of(job: Job, info: tarfile.TarInfo, names: dict[str, str]) -> Job:
    return Job(f"{job.source}/{info.name}", f"{job.target}/{names[info.name]}")


def _name_pictures(
    file: BinaryIO, job: Job, options: JobOptions
) -> tuple[dict[str, str], set[str]]:
    """Return the new name of each picture, and what links lead to; the file is seen to be whole."""
    names: set[str] = set()
    linked: set[str] = set()
    firsts: dict[str, str] = {}
    ending = f".{options.image.output.format}"
    for info in read_headers(file, job.source):
        names.add(info.name)
        if info.islnk():
            linked.add(info.linkname)
        if _is_picture(info):
            firsts[info.name] = posixpath.splitext(info.name)[0] + ending
    wanted = Counter(firsts.values())
    chosen = {}
    for name, first in firsts.items():
        numbered = (f"{name}-{number}{ending}" for number in count(2))
        further = chain([name + ending], numbered)
        candidates = chain([first], further) if wanted[first] == 1 or first == name else further
        chosen[name] = next(new for new in candidates if new == name or new not in names)
        names.add(chosen[name])
    return chosen, linked


def _is_picture(info: tarfile.TarInfo) -> bool:
    name = posixpath.basename(info.name)
    is_hidden = name.startswith(".")  # as macOS has its notes on pictures
    return info.isreg() and not is_hidden and posixpath.splitext(name)[1].lower() in SUFFIXES


def _follow(info: tarfile.TarInfo, changed: dict[str, str]) -> tarfile.TarInfo:
    """Have a hard link, which is another name of a member before it, lead to its new name."""
    if info.islnk():
        info.linkname = changed.get(info.linkname, info.linkname)
    return info
