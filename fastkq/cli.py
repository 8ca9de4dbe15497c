"""The command `fastkq`: arguments in, exit codes out."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import fastkq
from fastkq.formats import FORMATS, OXIPNG, PNG, format_of
from fastkq.image_io import write_file
from fastkq.jobs import DONE as JOB_DONE
from fastkq.jobs import Job, JobOptions, JobResult, find_images, one_line, skip_reason
from fastkq.options import check_options
from fastkq.palette_files import parse_hex
from fastkq.progress import JSON, LINES, QUIET, follow, megabytes
from fastkq.progress import describe as describe_result
from fastkq.quantize import quantize_and_encode
from fastkq.result import encode_image
from fastkq.targets import TargetNotReachedError, check_quality
from fastkq.weights import read_weights

# Wrong usage is argparse's 2; a target out of reach is what it is of pngquant.
DONE, FAILED, NOT_REACHED, INTERRUPTED = 0, 1, 99, 130
DEFAULT_SUFFIX = "-fastkq"
MAX_COLORS = 256
MAX_JOBS = 4096
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
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be text; to print one must not end a run.
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    # Images of over 89 MP are this tool's business; Pillow still refuses those over 179 MP.
    warnings.filterwarnings("ignore", category=Warning, module="PIL")
    try:
        code: int = options.run(options)
    except (OSError, ValueError, TypeError, MemoryError) as error:
        print(f"fastkq: {one_line(error)}", file=sys.stderr)
        return NOT_REACHED if isinstance(error, TargetNotReachedError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastkq",
        description="Compress large photos, fast, by K-means color quantization.",
        epilog="Exit codes: 0 done, 1 an input failed, 2 wrong usage, 99 a target is not reached.",
    )
    parser.add_argument("--version", action="version", version=f"fastkq {fastkq.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    _add_compress(commands)
    _add_palette(commands)
    warmup = commands.add_parser(
        "warmup",
        help="compile the kernels and keep them on disk",
        description="Compile all kernels now, so that the next runs on this machine start at once.",
    )
    warmup.set_defaults(run=_warmup)

    doctor = commands.add_parser(
        "doctor",
        help="check the installation: versions, threads, kernel cache, SIMD",
        description="Print the facts of this installation, a line each, and quantize a small "
        "picture. Exit code 1 if the result is wrong.",
    )
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_compress(commands: _Commands) -> None:
    compress = commands.add_parser(
        "compress",
        help="write images as indexed PNGs of few colors",
        description="Write an image, or with -d many, as indexed PNGs, WebPs or GIFs of the few "
        "colors that represent them best.",
        epilog="A run with -d that was killed goes on where it stopped when it is repeated.",
    )
    _add_sources(compress)
    _add_colors(compress)
    compress.add_argument(
        "--protect",
        action="store_true",
        help="keep small patches of colors unlike all others, for some error elsewhere",
    )
    compress.add_argument(
        "--weights",
        metavar="IMAGE",
        help="for one image: a gray one of its size that tells how much each pixel counts for the "
        "colors, black not at all",
    )
    compress.add_argument(
        "--palette",
        metavar="FILE",
        help="use these colors instead of fitting any: a .gpl, .act, .hex or .json file, or an "
        "image of up to 256 colors",
    )
    compress.add_argument(
        "--dither",
        choices=("none", "diffusion", "ordered", "adaptive"),
        default="none",
        help="mix colors, so that smooth gradients show no steps; adaptive spares bytes, ordered "
        "holds still between frames (default: none)",
    )
    compress.add_argument(
        "--dither-strength",
        type=_strength,
        default=1.0,
        metavar="S",
        help="0 to 1 (default: 1)",
    )
    _add_targets(compress)
    compress.add_argument(
        "--optimize",
        action="store_const",
        const=True,
        default=False,
        help="take several times as long for a smaller file",
    )
    compress.add_argument(
        "--oxipng",
        action="store_const",
        const=OXIPNG,
        dest="optimize",
        help="and dozens of times, for a smaller PNG; needs fastkq[oxipng]",
    )
    compress.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"for one image, .png, .webp or .gif; - is the standard output (default: "
        f"SOURCE{DEFAULT_SUFFIX}.png beside the source)",
    )
    compress.add_argument(
        "--format",
        choices=FORMATS,
        help="of the output; webp is smaller and slower, gif larger (default: by -o, or png)",
    )
    compress.add_argument("--force", action="store_true", help="overwrite existing outputs")
    style = compress.add_mutually_exclusive_group()
    style.add_argument("-q", "--quiet", action="store_true", help="tell only of what fails")
    style.add_argument("--json", action="store_true", help="a line of JSON an image, and a summary")

    many = compress.add_argument_group("many images")
    many.add_argument("-d", "--directory", metavar="DIR", help="where the outputs go")
    many.add_argument(
        "--min-savings",
        type=_share,
        metavar="SHARE",
        help="write only what saves so much, such as 5%% (default: whatever is smaller)",
    )
    many.add_argument(
        "--shared-palette", action="store_true", help="fit one palette to all images together"
    )
    many.add_argument("--report", metavar="JSONL", help="add a line of JSON an image to this file")
    many.add_argument("--fail-fast", action="store_true", help="stop after the first that fails")
    many.add_argument("--dry-run", action="store_true", help="tell what would go where, and stop")
    compress.set_defaults(run=_compress, parser=compress)


def _add_targets(compress: argparse.ArgumentParser) -> None:
    targets = compress.add_argument_group(
        "what you want, instead of how many colors",
        "The fewest colors, at most K, that reach it; where none do, nothing is written.",
    )
    error = targets.add_mutually_exclusive_group()
    error.add_argument(
        "--quality",
        type=_quality,
        metavar="MIN-MAX",
        help="0 to 100, as pngquant has it: as few colors as reach MAX, and an error below MIN",
    )
    error.add_argument(
        "--max-mse", type=float, metavar="E", help="squared error a pixel, over all channels"
    )
    error.add_argument("--min-psnr", type=float, metavar="DB", help="in dB")
    targets.add_argument(
        "--max-bytes", type=int, metavar="N", help="size of the file; together with others as well"
    )


def _add_palette(commands: _Commands) -> None:
    palette = commands.add_parser(
        "palette",
        help="fit one palette to images",
        description="Write the few colors that represent all images together best, as a .gpl, "
        ".act, .hex or .json file.",
    )
    _add_sources(palette)
    _add_colors(palette)
    palette.add_argument("-o", "--output", required=True, metavar="FILE", help="such as brand.gpl")
    palette.add_argument("--force", action="store_true", help="overwrite an existing output")
    palette.set_defaults(run=_palette, parser=palette)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="JPEG, PNG, WebP, TIFF, BMP or GIF; a folder or a glob of such; - is the standard "
        "input",
    )
    parser.add_argument(
        "--files-from", metavar="FILE", help="read further sources from it, one a line; - is stdin"
    )
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="search folders at any depth"
    )
    parser.add_argument(
        "-j", "--jobs", type=_job_count, metavar="N", help="images at once (default: one a core)"
    )


def _add_colors(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-k",
        "--colors",
        type=_color_count,
        default=MAX_COLORS,
        metavar="K",
        help="how many colors, 1 to 256; up to 16 take 4 bits a pixel or fewer (default: 256)",
    )
    parser.add_argument(
        "--effort",
        choices=("fast", "balanced", "best"),
        default="balanced",
        help="fast: large photos in half the time for 1 to 3 %% more error; best: 1 to 5 %% less "
        "error in ten times the time (default: balanced)",
    )
    parser.add_argument(
        "--color-space",
        choices=("srgb", "oklab"),
        default="srgb",
        help="where distances are measured; srgb: the least squared error; oklab: looks closer to "
        "the original (default: srgb)",
    )
    parser.add_argument(
        "--lock",
        type=_colors,
        metavar="RRGGBB,...",
        help="colors that the palette must have exactly, as its first; the others are fitted "
        "around them",
    )


def _color_count(text: str) -> int:
    return _integer(text, 1, MAX_COLORS)


def _colors(text: str) -> list[list[int]]:
    colors = [parse_hex(part) for part in text.split(",")]
    if None in colors:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of colors such as ff0000,00ff00")
    return [color for color in colors if color is not None]


def _job_count(text: str) -> int:
    return _integer(text, 1, MAX_JOBS)


def _integer(text: str, low: int, high: int) -> int:
    try:
        count = int(text)
    except ValueError:
        count = low - 1
    if not low <= count <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {low} to {high}")
    return count


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0% to 100%")
    return share


def _strength(text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return strength


def _quality(text: str) -> tuple[float, float]:
    least, _, most = text.rpartition("-")
    try:
        return check_quality((float(least or 0), float(most)))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not such as 65-80, two numbers from 0 to 100"
        ) from None


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
    result, data = quantize_and_encode(image, checked)
    if data is None:
        data = encode_image(result, format=name, optimize=options.optimize)
    write_file(sys.stdout.buffer if output == STREAM else output, data)
    if not options.quiet:
        line = f"{source} -> {output}: {megabytes(len(data))}, PSNR {result.psnr:.1f} dB"
        print(f"{line}, {len(result.palette)} colors", file=sys.stderr)
    return DONE


def _compress_many(options: argparse.Namespace) -> int:
    from fastkq.batch import SHARED, check_job_options, plan_jobs, run_jobs, share_palette
    from fastkq.workers import n_cores

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
        format=settings.image.format,
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
    from fastkq.formats import is_own_output
    from fastkq.palette_files import check_palette_path, write_palette
    from fastkq.shared_palette import sum_histograms
    from fastkq.workers import n_cores

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
    from fastkq.warmup import warm_up

    _share_compilation()
    print(f"kernels ready in {warm_up():.1f} s")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    import json

    from fastkq.doctor import diagnose

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
    from fastkq.first_run import share_compilation

    def tell() -> None:
        if sys.stderr.isatty():
            line = "fastkq: compiling kernels, once on this machine; about 15 s ..."
            print(line, file=sys.stderr, flush=True)

    share_compilation(tell)
