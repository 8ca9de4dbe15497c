"""The arguments of the command `fastkq`."""

from __future__ import annotations

import argparse
import math
from typing import TypeAlias

import fastkq
from fastkq.engine.search import check_quality
from fastkq.files.formats import FORMATS, OXIPNG
from fastkq.files.palettes import parse_hex
from fastkq.types import MAX_COLORS

MAX_JOBS = 4096
DEFAULT_SUFFIX = "-fastkq"


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="fastkq",
        description="Compress large photos, fast, by K-means color quantization.",
        epilog="Exit codes: 0 done, 1 an input failed, 2 wrong usage, 99 a target is not reached.",
    )
    parser.add_argument("--version", action="version", version=f"fastkq {fastkq.__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )

    _add_compress(commands)
    _add_palette(commands)
    commands.add_parser(
        "warmup",
        help="compile the kernels and keep them on disk",
        description="Compile all kernels now, so that the next runs on this machine start at once.",
    )

    doctor = commands.add_parser(
        "doctor",
        help="check the installation: versions, threads, kernel cache, SIMD",
        description="Print the facts of this installation, a line each, and quantize a small "
        "picture. Exit code 1 if the result is wrong.",
    )
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
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
    compress.set_defaults(parser=compress)


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
    palette.set_defaults(parser=palette)


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
