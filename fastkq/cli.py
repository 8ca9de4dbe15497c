"""The command `fastkq`: arguments in, exit codes out."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastkq
from fastkq.arguments import DEFAULT_SUFFIX, make_parser
from fastkq.batch.find import find_images
from fastkq.batch.job import DONE as JOB_DONE
from fastkq.batch.job import JobOptions, JobResult, skip_reason
from fastkq.batch.plan import Job
from fastkq.batch.progress import JSON, LINES, QUIET, follow, megabytes
from fastkq.batch.progress import describe as describe_result
from fastkq.batch.text import one_line
from fastkq.colors.metrics import psnr_from_mse
from fastkq.engine.search import TargetNotReachedError
from fastkq.files.formats import PNG, format_of
from fastkq.files.read import read_weights
from fastkq.files.write import write_file
from fastkq.options import check_options
from fastkq.pipeline import compress_source, open_image

# Wrong usage is argparse's 2; a target out of reach is what it is of pngquant.
DONE, FAILED, NOT_REACHED, INTERRUPTED = 0, 1, 99, 130
STREAM = "-"
# Options that mean nothing for one image.
FOR_MANY = (
    "files_from",
    "recursive",
    "jobs",
    "min_savings",
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be text; to print one must not end a run.
            stream.reconfigure(errors="backslashreplace")
    options = make_parser().parse_args(arguments)
    # Images of over 89 MP are this tool's business; Pillow still refuses those over 179 MP.
    warnings.filterwarnings("ignore", category=Warning, module="PIL")
    try:
        code = COMMANDS[options.command](options)
    except (OSError, ValueError, TypeError, MemoryError) as error:
        print(f"fastkq: {one_line(error)}", file=sys.stderr)
        return NOT_REACHED if isinstance(error, TargetNotReachedError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _job_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what decides over the colors of one image and of many, but how many colors."""
    return {
        "effort": options.effort,
        "color_space": options.color_space,
        "locked": options.lock,
        "protect": options.protect,
        "dither": options.dither,
        "dither_strength": options.dither_strength,
        "quality": options.quality,
        "max_mse": options.max_mse,
        "min_psnr": options.min_psnr,
        "max_bytes": options.max_bytes,
        "optimize": options.optimize,
    }


def _format(options: argparse.Namespace, output: str | Path) -> str:
    """Return the format of an output: its suffix tells, or of the standard output, --format."""
    if output == STREAM:
        return str(options.format or PNG)
    name = format_of(output)
    if options.format not in (None, name):
        options.parser.error(
            f"-o {output} is a {name} by its suffix, not --format {options.format}"
        )
    return name


def _compress(options: argparse.Namespace) -> int:
    if options.palette is not None:
        for name in NOT_WITH_PALETTE:
            if getattr(options, name) not in (None, False):
                options.parser.error(f"--{name.replace('_', '-')} and --palette exclude each other")
    if options.directory is not None:
        if options.output is not None:
            options.parser.error("-o is for one image, -d for many; only one of them is allowed")
        if options.weights is not None:
            options.parser.error("--weights is for one image, -d for many")
        return _compress_many(options)
    for name in FOR_MANY:
        if getattr(options, name):
            options.parser.error(f"--{name.replace('_', '-')} needs -d DIR")
    if len(options.sources) != 1:
        options.parser.error(
            "no source" if not options.sources else "several sources need -d DIR for their outputs"
        )
    return _compress_one(options)


def _compress_one(options: argparse.Namespace) -> int:
    (source,) = options.sources
    output = options.output or (
        STREAM if source == STREAM else _default_output(source, options.format or PNG)
    )
    name = _format(options, output)
    if STREAM in (source, output):
        return _compress_stream(source, output, name, options)
    if os.path.exists(output) and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    _share_compilation()
    report = fastkq.compress(source, output, palette=options.palette, **_color_options(options))
    if options.json:
        print(json.dumps(_to_result(report).to_dict()))
    elif not options.quiet:
        print(describe(report))
    return DONE


def _color_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what decides over the colors of one image, as `fastkq.quantize` takes it."""
    weights = None if options.weights is None else read_weights(options.weights)
    return {"n_colors": options.colors, "weights": weights, **_job_options(options)}


def _compress_stream(
    source: str, output: str | Path, name: str, options: argparse.Namespace
) -> int:
    """Compress from the standard input or to the standard output, which then has nothing else."""
    if output == STREAM and sys.stdout.isatty():
        raise ValueError("the output would go to the terminal; -o FILE, or a pipe, is allowed")
    if output != STREAM and os.path.exists(output) and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    _share_compilation()
    image = sys.stdin.buffer if source == STREAM else source
    checked = check_options(palette=options.palette, format=name, **_color_options(options))
    opened = open_image(image, checked)
    written = compress_source(opened, checked)
    write_file(sys.stdout.buffer if output == STREAM else output, written.data)
    psnr = psnr_from_mse(written.inertia / opened.n_pixels)
    if not options.quiet:
        line = f"{source} -> {output}: {megabytes(written.n_bytes)}, PSNR {psnr:.1f} dB"
        print(f"{line}, {len(written.palette)} colors", file=sys.stderr)
    return DONE


def _compress_many(options: argparse.Namespace) -> int:
    from fastkq.batch.plan import plan_jobs
    from fastkq.batch.pool import n_cores
    from fastkq.batch.run import SHARED, check_job_options, run_jobs, share_palette

    settings = check_job_options(
        options.colors,
        **_job_options(options),
        min_savings=options.min_savings or 0.0,
        overwrite=options.force,
        palette=SHARED if options.shared_palette else options.palette,
        format=options.format or PNG,
    )
    jobs = plan_jobs(
        _sources(options),
        options.directory,
        recursive=options.recursive,
        format=settings.image.output.format,
    )
    style = JSON if options.json else QUIET if options.quiet else LINES
    if options.dry_run:
        return _preview(jobs, settings, style)
    n_workers = options.jobs or n_cores()
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
            print(f"{job.source} -> {job.target}: {status}")
    return DONE


def _palette(options: argparse.Namespace) -> int:
    from fastkq.batch.pool import n_cores
    from fastkq.batch.shared import sum_histograms
    from fastkq.files.mark import is_own_output
    from fastkq.files.palettes import check_palette_path, write_palette

    output = check_palette_path(options.output)
    if output.exists() and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    _share_compilation()
    found = find_images(_sources(options), recursive=options.recursive)
    images = [source for source, _ in found if not is_own_output(source)]
    histogram, errors = sum_histograms(images, n_workers=options.jobs or n_cores())
    for error in errors.values():
        print(f"fastkq: {error}", file=sys.stderr)
    palette = fastkq.fit_palette(
        histogram,
        options.colors,
        effort=options.effort,
        color_space=options.color_space,
        locked=options.lock,
    )
    write_palette(output, palette)
    print(f"{output}: {len(palette)} colors of {len(images) - len(errors)} images")
    return FAILED if errors else DONE


def _sources(options: argparse.Namespace) -> list[str]:
    """Return the sources that are named, and those that --files-from lists."""
    sources: list[str] = list(options.sources)
    if options.files_from is not None:
        if options.files_from == STREAM:
            data = sys.stdin.buffer.read()
        else:
            data = Path(options.files_from).read_bytes()
        sources += [os.fsdecode(line.rstrip(b"\r")) for line in data.split(b"\n")]
    sources = [source for source in sources if source]
    if not sources:
        options.parser.error("no source")
    if STREAM in sources:
        options.parser.error("- is for one image, without -d")
    return sources


def _warmup(options: argparse.Namespace) -> int:
    from fastkq.install.warmup import warm_up

    _share_compilation()
    print(f"kernels ready in {warm_up():.1f} s")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    import json

    from fastkq.install.doctor import diagnose

    _share_compilation()
    facts = diagnose()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, fact in facts.items():
            print(f"{name}: {fact}")
    return DONE if facts["self-check"] == "ok" else FAILED


def _default_output(source: str, name: str) -> Path:
    path = Path(source)
    return path.with_name(f"{path.stem}{DEFAULT_SUFFIX}.{name}")


def describe(report: fastkq.CompressReport) -> str:
    """Return the line that tells what became of a file."""
    line = describe_result(_to_result(report))
    if report.saving < 0:
        line += "; larger than its source, fewer colors (-k) make it smaller"
    return line


def _to_result(report: fastkq.CompressReport) -> JobResult:
    return JobResult(
        report.source,
        report.target,
        JOB_DONE,
        source_bytes=report.source_bytes,
        target_bytes=report.target_bytes,
        pixels=report.width * report.height,
        n_colors=report.n_colors,
        psnr=report.psnr,
        seconds=report.seconds,
    )


def _share_compilation() -> None:
    """Have another process help where kernels must be compiled; tell a terminal user of it."""
    from fastkq.install.first_run import share_compilation

    def tell() -> None:
        if sys.stderr.isatty():
            line = "fastkq: compiling kernels, once on this machine; about 15 s ..."
            print(line, file=sys.stderr, flush=True)

    share_compilation(tell)


COMMANDS = {"compress": _compress, "palette": _palette, "warmup": _warmup, "doctor": _doctor}
