"""What each command does: checked arguments in, exit codes out."""

from __future__ import annotations

import argparse
import codecs
import json
import os
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastkq
from fastkq.batch.find import find_images
from fastkq.batch.job import DONE as JOB_DONE
from fastkq.batch.job import NO_GAIN, JobOptions, JobResult, skip_reason
from fastkq.batch.plan import BESIDE, Job
from fastkq.batch.progress import JSON, LINES, QUIET, describe, follow, megabytes, suggest
from fastkq.batch.text import one_line, printable
from fastkq.colors.metrics import psnr_from_mse
from fastkq.files.formats import OXIPNG, PNG, format_of
from fastkq.files.read import read_weights
from fastkq.files.write import check_output, write_file
from fastkq.install import terminal
from fastkq.options import check_options
from fastkq.pipeline import compress_source, open_image
from fastkq.result import most_bytes
from fastkq.types import ImageSource

DONE, FAILED = 0, 1
STREAM = "-"
WRITE_ANYWAY = "; --allow-larger writes it all the same"
# How a shell names the pipe of a process substitution, `<(...)`.
PIPES = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
# Options of a run over many images.
FOR_MANY = (
    "directory",
    "files_from",
    "recursive",
    "jobs",
    "min_savings",
    "copy_unchanged",
    "shared_palette",
    "report",
    "fail_fast",
    "dry_run",
)
# Options that choose colors, which a palette has.
NOT_WITH_PALETTE = (
    "lock",
    "protect",
    "weights",
    "shared_palette",
    "quality",
    "max_mse",
    "min_psnr",
    "max_bytes",
)


def _job_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what decides over the colors of one image and of many, but how many colors."""
    return {
        "effort": options.effort,
        "color_space": options.color_space,
        "locked": options.lock,
        "protect": options.protect,
        "paper": options.paper,
        "dither": options.dither,
        "dither_strength": options.dither_strength,
        "lossy": options.lossy,
        "quality": options.quality,
        "max_mse": options.max_mse,
        "min_psnr": options.min_psnr,
        "max_bytes": options.max_bytes,
        "background": options.background,
        "transparent": options.transparent,
        "score": options.score,
        "min_score": options.min_score,
        "optimize": OXIPNG if options.oxipng else options.optimize,
    }


def _format(options: argparse.Namespace, output: str | Path) -> str:
    """Return the format of an output: its suffix tells, or of the standard output, --format."""
    if output == STREAM:
        return str(options.format or PNG)
    try:
        name = format_of(output)
    except ValueError as error:
        options.parser.error(one_line(error))
    if options.format not in (None, name):
        options.parser.error(
            f"-o {output} is a {name} by its suffix, not --format {options.format}"
        )
    return name


def compress(options: argparse.Namespace) -> int:
    """Compress one image, or many where several are named or an option is for many."""
    if options.palette is not None:
        for name in NOT_WITH_PALETTE:
            if _is_given(options, name):
                options.parser.error(f"{_flag(name)} and --palette exclude each other")
    for_many = [_flag(name) for name in FOR_MANY if _is_given(options, name)]
    if not for_many and len(options.sources) == 1:
        return _compress_one(options)
    if not options.sources and options.files_from is None:
        options.parser.error("no source")
    reason = f"{for_many[0]} is for many" if for_many else f"there are {len(options.sources)}"
    for name in ("output", "weights"):
        if getattr(options, name) is not None:
            options.parser.error(f"{_flag(name)} is for one image, and {reason}")
    return _compress_many(options)


def _is_given(options: argparse.Namespace, name: str) -> bool:
    """Return whether an option is named on the command line: 0 is a value, and equals False."""
    value = getattr(options, name)
    return value is not None and value is not False


def _flag(name: str) -> str:
    """Return what a user calls an option."""
    return {"directory": "-d", "output": "-o"}.get(name, f"--{name.replace('_', '-')}")


def _compress_one(options: argparse.Namespace) -> int:
    (source,) = options.sources
    is_stream = source == STREAM or _is_pipe(source)
    output = options.output or (
        STREAM if is_stream else _default_output(source, options.format or PNG)
    )
    name = _format(options, output)
    if is_stream or output == STREAM:
        return _compress_stream(source, output, name, options)
    if os.path.exists(output) and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    start = time.perf_counter()
    terminal.share(terminal.extras_of(options))
    target = check_output(output, source, exclusive=not options.force)
    checked = check_options(palette=options.palette, format=name, **_color_options(options))
    opened = open_image(source, checked)
    most = None if options.allow_larger else most_bytes(opened.n_bytes)
    written = compress_source(opened, checked, target, exclusive=not options.force, most=most)
    result = JobResult(
        source,
        os.fspath(output),
        JOB_DONE if written.fits else NO_GAIN,
        source_bytes=opened.n_bytes,
        target_bytes=written.n_bytes,
        pixels=opened.n_pixels,
        n_colors=len(written.palette),
        psnr=psnr_from_mse(written.inertia / opened.n_pixels),
        score=written.score,
        seconds=time.perf_counter() - start,
    )
    if options.json:
        print(json.dumps(result.to_dict()))
    elif not options.quiet:
        hint = suggest(checked.output, len(written.palette)) + WRITE_ANYWAY
        print(describe(result) + ("" if written.fits else hint))
    return DONE


def _is_pipe(source: str) -> bool:
    """Return whether a source is a pipe that a shell has opened for this command."""
    try:
        return source.startswith(PIPES) and stat.S_ISFIFO(os.stat(source).st_mode)
    except OSError:
        return False


def _color_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what decides over the colors of one image, as `fastkq.quantize` takes it."""
    weights = None if options.weights is None else read_weights(options.weights)
    return {"n_colors": options.colors, "weights": weights, **_job_options(options)}


def _compress_stream(
    source: str, output: str | Path, name: str, options: argparse.Namespace
) -> int:
    """Compress from the standard input or to the standard output, which then has nothing else."""
    if source == STREAM and sys.stdin is None:
        raise OSError("the standard input is closed; a file, or an open stream, is allowed")
    if output == STREAM and sys.stdout is None:
        raise OSError("the standard output is closed; -o FILE, or an open stream, is allowed")
    if output == STREAM and sys.stdout.isatty():
        raise ValueError("the output would go to the terminal; -o FILE, or a pipe, is allowed")
    if output != STREAM and os.path.exists(output) and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    terminal.share(terminal.extras_of(options))
    image = _open_source(source)
    checked = check_options(palette=options.palette, format=name, **_color_options(options))
    opened = open_image(image, checked)
    most = None if options.allow_larger else most_bytes(opened.n_bytes)
    written = compress_source(opened, checked, most=most)
    if output == STREAM:  # whoever reads it gets a picture, whatever its size
        sys.stdout.buffer.write(written.data)
    elif written.fits:
        write_file(output, written.data, exclusive=not options.force)
    psnr = psnr_from_mse(written.inertia / opened.n_pixels)
    if not options.quiet:
        names = f"{printable(source)} -> {printable(str(output))}"
        score = "" if written.score is None else f"SSIMULACRA2 {written.score:.1f}, "
        size, n_colors = megabytes(written.n_bytes), len(written.palette)
        found = f"{size}, PSNR {psnr:.1f} dB, {score}{n_colors} colors"
        hint = suggest(checked.output, n_colors)
        if written.fits:
            hint = ""
        elif output == STREAM:
            hint = f"; no smaller than its source{hint}"
        else:
            hint = f"; no gain, not written{hint}{WRITE_ANYWAY}"
        print(f"{names}: {found}{hint}", file=sys.stderr)
    return DONE


def _open_source(source: str) -> ImageSource:
    """Return what is read: the standard input, what a pipe holds, or the path of a file."""
    if source == STREAM:
        return sys.stdin.buffer
    return Path(source).read_bytes() if _is_pipe(source) else source


def _compress_many(options: argparse.Namespace) -> int:
    from fastkq.batch.plan import plan_jobs
    from fastkq.batch.pool import n_cores
    from fastkq.batch.run import SHARED, check_job_options, run_jobs, share_palette

    if options.copy_unchanged and options.directory is None:
        options.parser.error("--copy-unchanged needs -d: beside its source, a copy is of no use")
    if options.allow_larger and options.min_savings:
        options.parser.error("--min-savings and --allow-larger exclude each other")
    settings = check_job_options(
        options.colors,
        **_job_options(options),
        min_savings=options.min_savings or 0.0,
        overwrite=options.force,
        allow_larger=options.allow_larger,
        copy_unchanged=options.copy_unchanged,
        palette=SHARED if options.shared_palette else options.palette,
        format=options.format or PNG,
    )
    jobs = plan_jobs(
        _sources(options),
        options.directory,
        recursive=options.recursive,
        format=settings.image.output.format,
        copies=settings.copy_unchanged,
    )
    style = JSON if options.json else QUIET if options.quiet else LINES
    if options.dry_run:
        return _preview(jobs, settings, style)
    n_workers = options.jobs or n_cores()
    terminal.prepare_workers(len(jobs), n_workers, terminal.extras_of(options))
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


def palette(options: argparse.Namespace) -> int:
    """Fit one palette to images and write it."""
    from fastkq.batch.pool import n_cores
    from fastkq.batch.shared import sum_histograms
    from fastkq.files.mark import is_own_output
    from fastkq.files.palettes import check_palette_path, write_palette

    try:
        output = check_palette_path(options.output)
    except ValueError as error:
        options.parser.error(one_line(error))
    if output.exists() and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    found = find_images(_sources(options), recursive=options.recursive)
    images = [source for source, _ in found if not is_own_output(source)]
    n_workers = options.jobs or n_cores()
    terminal.prepare_workers(len(images), n_workers)
    histogram, errors = sum_histograms(images, n_workers=n_workers)
    for reason in errors.values():
        print(f"fastkq: {reason}", file=sys.stderr)
    colors = fastkq.fit_palette(
        histogram,
        options.colors,
        effort=options.effort,
        color_space=options.color_space,
        locked=options.lock,
    )
    write_palette(output, colors)
    print(f"{output}: {len(colors)} colors of {len(images) - len(errors)} images")
    return FAILED if errors else DONE


def _sources(options: argparse.Namespace) -> list[str]:
    """Return the sources that are named, and those that --files-from lists."""
    sources: list[str] = list(options.sources)
    if options.files_from is not None:
        sources += _split_names(_read_names(options.files_from))
    sources = [source for source in sources if source]
    if not sources:
        options.parser.error("no source")
    if STREAM in sources:
        options.parser.error("- is for one image, without -d")
    return sources


def _read_names(path: str) -> bytes:
    if path != STREAM:
        return Path(path).read_bytes()
    if sys.stdin is None:
        raise OSError("the standard input is closed; --files-from takes a file as well")
    return sys.stdin.buffer.read()


def _split_names(data: bytes) -> list[str]:
    """Return the names of a list: one a line, or ended by NULs, as `find -print0` has them.

    Editors and shells of Windows begin a list with a byte-order mark, some in UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        return [os.fsdecode(name) for name in data.split(b"\0")]
    return [os.fsdecode(line.rstrip(b"\r")) for line in data.split(b"\n")]


def warmup(options: argparse.Namespace) -> int:
    """Compile all kernels."""
    from fastkq.install.warmup import warm_up

    terminal.share()
    print(f"kernels ready in {warm_up():.1f} s")
    return DONE


def doctor(options: argparse.Namespace) -> int:
    """Print the facts of the installation."""
    from fastkq.install.doctor import diagnose

    terminal.share()
    facts = diagnose()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, fact in facts.items():
            print(f"{name}: {fact}")
    return DONE if facts["self-check"] == "ok" else FAILED


def _default_output(source: str, name: str) -> Path:
    path = Path(source)
    return path.with_name(f"{path.stem}{BESIDE}.{name}")
