"""The command `fastkq`: arguments in, exit codes out."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import fastkq

DONE, FAILED, INTERRUPTED = 0, 1, 130  # wrong usage is argparse's 2
DEFAULT_SUFFIX = "-fastkq.png"
MAX_COLORS = 256


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    # Images of over 89 MP are this tool's business; Pillow still refuses those over 179 MP.
    warnings.filterwarnings("ignore", category=Warning, module="PIL")
    try:
        code: int = options.run(options)
    except (OSError, ValueError, TypeError, MemoryError) as error:
        print(f"fastkq: {_one_line(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastkq",
        description="Compress large photos, fast, by K-means color quantization.",
        epilog="Exit codes: 0 done, 1 an input failed, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"fastkq {fastkq.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    compress = commands.add_parser(
        "compress",
        help="write an image as an indexed PNG of few colors",
        description="Write an image as an indexed PNG of the few colors that represent it best.",
    )
    compress.add_argument("source", help="JPEG, PNG, WebP, TIFF, BMP or GIF")
    compress.add_argument(
        "-k",
        "--colors",
        type=_color_count,
        default=MAX_COLORS,
        metavar="K",
        help="how many colors, 1 to 256; up to 16 take 4 bits a pixel or fewer (default: 256)",
    )
    compress.add_argument(
        "--effort",
        choices=("fast", "balanced", "best"),
        default="balanced",
        help="fast: large photos in half the time for 1 to 3 %% more error; best: 1 to 5 %% less "
        "error in ten times the time (default: balanced)",
    )
    compress.add_argument(
        "-o", "--output", metavar="PNG", help=f"(default: SOURCE{DEFAULT_SUFFIX} beside the source)"
    )
    compress.add_argument("--force", action="store_true", help="overwrite an existing output")
    compress.set_defaults(run=_compress)

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


def _color_count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= MAX_COLORS:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 1 to {MAX_COLORS}")
    return count


def _compress(options: argparse.Namespace) -> int:
    output = options.output or _default_output(options.source)
    if os.path.exists(output) and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    _tell_of_compilation()
    print(describe(fastkq.compress(options.source, output, options.colors, effort=options.effort)))
    return DONE


def _warmup(options: argparse.Namespace) -> int:
    from fastkq.warmup import warm_up

    _tell_of_compilation()
    print(f"kernels ready in {warm_up():.1f} s")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    import json

    from fastkq.doctor import diagnose

    _tell_of_compilation()
    facts = diagnose()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, fact in facts.items():
            print(f"{name}: {fact}")
    return DONE if facts["self-check"] == "ok" else FAILED


def _default_output(source: str) -> Path:
    path = Path(source)
    return path.with_name(path.stem + DEFAULT_SUFFIX)


def describe(report: fastkq.CompressReport) -> str:
    """Return the line that tells what became of a file."""
    sizes = f"{_megabytes(report.source_bytes)} -> {_megabytes(report.target_bytes)}"
    change = f"{abs(report.saving):.0%} {'saved' if report.saving >= 0 else 'larger'}"
    line = (
        f"{report.source} -> {report.target}: {sizes} ({change}), PSNR {report.psnr:.1f} dB, "
        f"{report.n_colors} colors, {report.seconds:.2f} s"
    )
    if report.saving < 0:
        line += "; larger than its source, fewer colors (-k) make it smaller"
    return line


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.2f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:.1f} kB"


def _tell_of_compilation() -> None:
    """Tell a terminal user why the first run is slow."""
    if sys.stderr.isatty():
        from fastkq.kernels.compile import notify_compilation

        notify_compilation(
            lambda: print(
                "fastkq: compiling kernels, once on this machine; about 15 s ...",
                file=sys.stderr,
                flush=True,
            )
        )


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    return " ".join(str(error).split()) or type(error).__name__
