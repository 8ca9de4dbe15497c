"""What a run of a batch needs before it begins: checked options, planned jobs, a shared palette."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Unpack

from numpy.typing import ArrayLike

from fastkq.batch.job import JobOptions
from fastkq.batch.plan import Job, check_suffix, plan_jobs
from fastkq.batch.remote import is_url, plan_remote_jobs
from fastkq.batch.shared import sum_histograms
from fastkq.batch.tar import is_tar, plan_tar_jobs
from fastkq.colors.histogram import ColorHistogram
from fastkq.defaults import choose_look
from fastkq.engine.fit import fit_histogram
from fastkq.files.reading import ALL_PAGES, NO_METADATA, SRGB, STRIP, ReadOptions
from fastkq.options import JobKeywords, check_options
from fastkq.validate import check_flag, check_integer, check_number

SHARED = "shared"
MAX_TIMEOUT = 1_000_000


def check_job_options(
    n_colors: int,
    *,
    min_savings: float,
    overwrite: bool,
    palette: ArrayLike | str | os.PathLike[str] | None,
    allow_larger: bool = False,
    copy_unchanged: bool = False,
    in_place: bool = False,
    backup: str | None = None,
    **options: Unpack[JobKeywords],
) -> JobOptions:
    """Return the options of a run, if they are allowed; a shared palette is yet to come."""
    is_shared = isinstance(palette, str) and palette == SHARED
    check_flag(in_place, "in_place")
    if in_place:
        options = {"verify": True, **options}
    own = None if is_shared else palette
    image = check_options(n_colors, palette=own, **choose_look(options, own, is_shared=is_shared))
    if is_shared:
        given = {"protect": image.fit.protect, "masking": image.masking, "paper": image.paper}
        names = [] if image.target is None else [image.target.name]
        names += [name for name, is_given in given.items() if is_given]
        if names:
            raise ValueError(
                f"palette is 'shared'; {names[0]} is for a palette fitted to one image"
            )
    for name, is_given in {"copy_unchanged": copy_unchanged, "in_place": in_place}.items():
        if is_given and image.reading.page == ALL_PAGES:
            raise ValueError(f"page is 'all', and {name} is True, which is for whole files")
    min_savings = check_number(min_savings, "min_savings", 0, 1)
    check_flag(allow_larger, "allow_larger")
    check_flag(copy_unchanged, "copy_unchanged")
    if allow_larger and min_savings > 0:
        raise ValueError(
            f"allow_larger is True, and min_savings is {min_savings:g}; one of them is allowed"
        )
    if in_place and allow_larger:
        raise ValueError("in_place is True, and allow_larger; one of them is allowed")
    if backup is not None:
        if not in_place:
            raise ValueError(f"backup is {backup!r}; it is for in_place, which is False")
        check_suffix(backup, beside=True)
    return JobOptions(
        image,
        min_savings,
        overwrite,
        allow_larger,
        copy_unchanged,
        in_place=in_place,
        backup=backup,
        keeps_animated=options.get("format") is None and image.reading.frame is None,
    )


def check_timeout(timeout: float) -> float:
    """Return a number of seconds, if it can be one."""
    timeout = check_number(timeout, "timeout", 0)
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(
            f"timeout is {timeout:g}; a number over 0, up to {MAX_TIMEOUT} seconds, is allowed"
        )
    return timeout


def plan_for(
    options: JobOptions,
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str] | None,
    *,
    recursive: bool,
    suffix: str | None = None,
    name: str | None = None,
    shard: tuple[int, int] = (1, 1),
) -> list[Job]:
    """Plan the jobs of a run: on disk, in a store where something is an address, or of tar files.

    See `plan.plan_jobs`, `remote.plan_remote_jobs`, `tar.plan_tar_jobs`, and `compress_many` for
    the shard.
    """
    number, n_shards = shard
    check_integer(n_shards, "shard[1]", 1)
    check_integer(number, "shard[0]", 1, n_shards)
    if suffix is not None:
        if name is not None:
            raise ValueError(f"name is {name!r}, and suffix is {suffix!r}; one of them is allowed")
        name = check_suffix(suffix, beside=directory is None)
    sources, format = list(sources), options.image.output.format
    is_paged = options.image.reading.page == ALL_PAGES
    given = {
        "in_place": options.in_place,
        "page 'all'": is_paged,
        "copy_unchanged": options.copy_unchanged,
    }
    if any(map(is_tar, sources)):
        del given["copy_unchanged"]  # what is unchanged is kept in any case
        _check_none(given, "tar files")
        planned = plan_tar_jobs(sources, directory, name=name)
    elif any(is_url(path) for path in (*sources, directory)):
        _check_none(given, "stores")
        planned = plan_remote_jobs(
            [os.fspath(source) for source in sources],
            None if directory is None else os.fspath(directory),
            recursive=recursive,
            format=format,
            name=name,
        )
    else:
        planned = plan_jobs(
            sources,
            directory,
            recursive=recursive,
            format=None if options.keeps_animated else format,
            copies=options.copy_unchanged,
            name=name,
            in_place=options.in_place,
            pages=is_paged,
        )
    return planned[number - 1 :: n_shards]


def _check_none(given: dict[str, bool], sources: str) -> None:
    """Raise ValueError for an option that is given, and not for such sources."""
    for what, is_given in given.items():
        if is_given:
            raise ValueError(f"{what} is for directories on disk, and not for {sources}")


def share_palette(
    jobs: Iterable[Job], options: JobOptions, *, n_workers: int, timeout: float | None = None
) -> tuple[JobOptions, dict[str, str]]:
    """Fit one palette to all sources; return options that have it, and the errors by source."""
    sources = dict.fromkeys(job.source for job in jobs)  # once, however many pages
    if any(map(is_tar, sources)):
        raise ValueError("palette is 'shared'; with tar files, one that exists is allowed")
    histogram, errors = sum_histograms(
        sources, n_workers=n_workers, timeout=timeout, reading=reading_of_shared(options)
    )
    return use_shared(histogram, options), errors


def reading_of_shared(options: JobOptions) -> ReadOptions:
    """Return how images are read for a shared palette: in sRGB, whatever profile each has."""
    reading = options.image.reading
    icc = STRIP if reading.icc == STRIP else SRGB
    return replace(reading, icc=icc, metadata=NO_METADATA)


def use_shared(histogram: ColorHistogram, options: JobOptions) -> JobOptions:
    """Return options with the palette that represents a histogram of sRGB best."""
    palette = fit_histogram(histogram, options.image.fit).palette
    return replace(options, image=replace(options.image, palette=palette, palette_is_srgb=True))
