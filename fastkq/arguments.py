"""The arguments of the command `fastkq`."""

from __future__ import annotations

import argparse
import math
import re
from functools import partial
from typing import NoReturn, TypeAlias

import fastkq
from fastkq.batch.plan import BESIDE
from fastkq.engine.search import check_quality
from fastkq.files.formats import FORMATS
from fastkq.options import BLACK, TRANSPARENT
from fastkq.types import MAX_COLORS

MAX_JOBS = 4096
WRONG_USAGE = 2

_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and a hint, not all that could have been written."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and end the process."""
        hint = f"`{self.prog} --help` lists what is allowed."
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\n{hint}\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
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
        "picture. The exit code is 1 if the result is wrong.",
    )
    doctor.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    return parser


def _add_compress(commands: _Commands) -> None:
    compress = commands.add_parser(
        "compress",
        help="write images as indexed PNGs of few colors",
        description="Write one image or many as indexed PNGs, WebPs or GIFs of the few colors that "
        "represent them best.",
        epilog="A run over many images that was killed goes on where it stopped when it is "
        "repeated.",
    )
    _add_sources(compress)
    _add_colors(compress)
    compress.add_argument(
        "--protect",
        action="store_true",
        help="keep small patches of colors that are unlike all others; the error grows elsewhere",
    )
    compress.add_argument(
        "--paper",
        action="store_true",
        help="for scans: give the paper one color first, so that its grain takes no colors and few "
        "bytes",
    )
    compress.add_argument(
        "--weights",
        metavar="IMAGE",
        help="a gray image of the size of the one image: the lighter a pixel, the more it counts "
        "when the colors are chosen; black ones do not count",
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
        help="mix colors, so that smooth gradients show no steps; adaptive makes smaller files "
        "than diffusion, and ordered keeps still between the frames of a film (default: none)",
    )
    compress.add_argument(
        "--dither-strength",
        type=partial(_number_to, 1),
        default=1.0,
        metavar="S",
        help="how much of the error dithering spreads, from 0 to 1 (default: 1)",
    )
    compress.add_argument(
        "--lossy",
        type=partial(_number_to, 100),
        default=0.0,
        metavar="L",
        help="make errors where they are hardly seen for a far smaller file, from 0 to 100; 20 to "
        "50 suit photos (default: 0)",
    )
    compress.add_argument(
        "--background",
        type=_color,
        metavar="RRGGBB",
        help="lay images over this color, so that no transparency is left",
    )
    compress.add_argument(
        "--transparent",
        choices=TRANSPARENT,
        default=BLACK,
        help="the color that the file stores under fully transparent pixels: black, keep for those "
        "that the image has there, or bleed for those of the nearest visible pixels, which games "
        "that filter their textures need (default: black)",
    )
    _add_targets(compress)
    compress.add_argument(
        "--optimize",
        action="store_true",
        help="take several times as long for a smaller file of the same pixels",
    )
    compress.add_argument(
        "--oxipng",
        action="store_true",
        help="take dozens of times as long for a still smaller PNG; needs fastkq[oxipng]",
    )
    compress.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the output of one image, a .png, .webp or .gif; - is the standard output (default: "
        f"SOURCE{BESIDE}.png beside the source)",
    )
    compress.add_argument(
        "--format",
        choices=FORMATS,
        help="the format of the outputs; a webp is smaller and takes longer, a gif is larger "
        "(default: the suffix of -o tells, or png)",
    )
    compress.add_argument(
        "--score",
        action="store_true",
        help="tell how close the result looks to its source, by SSIMULACRA 2: 100 is equal, 90 can "
        "hardly be told apart, 70 is high and 50 medium quality",
    )
    compress.add_argument("--force", action="store_true", help="overwrite existing outputs")
    compress.add_argument(
        "--allow-larger",
        action="store_true",
        help="write an output even if it is no smaller than its source; by default that is told "
        "instead, in one line, and is no failure",
    )
    style = compress.add_mutually_exclusive_group()
    style.add_argument("-q", "--quiet", action="store_true", help="tell only of what fails")
    style.add_argument(
        "--json",
        action="store_true",
        help="print a line of JSON for each image, and for many a summary",
    )

    many = compress.add_argument_group(
        "many images",
        f"Several sources, or any of these options, make a run over many images. Without -d, each "
        f"output goes beside its source, as NAME{BESIDE}.png.",
    )
    many.add_argument("-d", "--directory", metavar="DIR", help="write the outputs into this folder")
    many.add_argument(
        "--min-savings",
        type=_share,
        metavar="SHARE",
        help="write an output only if it saves this share of its source, such as 5%% (default: 0%%;"
        " any saving)",
    )
    many.add_argument(
        "--copy-unchanged",
        action="store_true",
        help="copy an image into the folder of -d under its own name where no output is written "
        "though it could be read, so that every picture is there",
    )
    many.add_argument(
        "--shared-palette", action="store_true", help="fit one palette to all images together"
    )
    many.add_argument(
        "--report", metavar="JSONL", help="add a line of JSON for each image to this file"
    )
    many.add_argument(
        "--fail-fast", action="store_true", help="stop after the first image that fails"
    )
    many.add_argument(
        "--dry-run", action="store_true", help="tell what would be written where, and write nothing"
    )
    compress.set_defaults(parser=compress)


def _add_targets(compress: argparse.ArgumentParser) -> None:
    targets = compress.add_argument_group(
        "what you want, instead of how many colors",
        "An image gets the fewest colors, at most K, that reach it; where not even K colors do, "
        "nothing is written.",
    )
    error = targets.add_mutually_exclusive_group()
    error.add_argument(
        "--quality",
        type=_quality,
        metavar="MIN-MAX",
        help="two numbers from 0 to 100, as pngquant takes them: the image gets as few colors as "
        "reach MAX, or K; it fails if those do not reach MIN",
    )
    error.add_argument(
        "--max-mse",
        type=float,
        metavar="E",
        help="the largest squared error of a pixel, over all channels, in the mean",
    )
    error.add_argument(
        "--min-psnr",
        type=float,
        metavar="DB",
        help="the least peak signal-to-noise ratio, in dB",
    )
    targets.add_argument(
        "--min-score",
        type=partial(_number_to, 100),
        metavar="S",
        help="as lossy as keeps this score; 90 can hardly be told apart, 70 is high quality",
    )
    targets.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help="the largest size of the file; it can be combined with one of the others",
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
    palette.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="write the palette to this file, such as brand.gpl",
    )
    palette.add_argument("--force", action="store_true", help="overwrite an existing output")
    palette.set_defaults(parser=palette)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="a JPEG, PNG, WebP, TIFF, BMP or GIF, or a folder or a glob of them; - is the "
        "standard input",
    )
    parser.add_argument(
        "--files-from",
        metavar="FILE",
        help="read further sources from this file, one a line or ended by NUL characters; - is the "
        "standard input",
    )
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="search folders at any depth"
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=_job_count,
        metavar="N",
        help="how many images to compress at once (default: one a core)",
    )


def _add_colors(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-k",
        "--colors",
        type=_color_count,
        default=MAX_COLORS,
        metavar="K",
        help="how many colors an image gets, from 1 to 256; with at most 16, a pixel takes 4 bits "
        "or fewer (default: 256)",
    )
    parser.add_argument(
        "--effort",
        choices=("fast", "balanced", "best"),
        default="balanced",
        help="fast takes half the time for large photos and makes 1 to 3 %% more error; best makes "
        "1 to 5 %% less error in ten times the time (default: balanced)",
    )
    parser.add_argument(
        "--color-space",
        choices=("srgb", "oklab"),
        default="srgb",
        help="where distances are measured: srgb gives the least squared error, oklab looks closer "
        "to the original (default: srgb)",
    )
    parser.add_argument(
        "--lock",
        type=_colors,
        metavar="RRGGBB,...",
        help="colors, also as RRGGBBAA, that come first in the palette, exactly as they are; the "
        "others are fitted around them",
    )


def _color_count(text: str) -> int:
    return _integer(text, 1, MAX_COLORS)


def _color(text: str) -> str:
    digits = text.strip().removeprefix("#")
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        raise argparse.ArgumentTypeError(f"{text!r} is not a color such as ffffff")
    return f"#{digits}"


def _colors(text: str) -> list[list[int]]:
    """Return colors; where one of them has an alpha, all have."""
    parts = [part.strip().removeprefix("#") for part in text.split(",")]
    if not all(re.fullmatch("[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", part) for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of colors such as ff0000,00ff00; rrggbb and rrggbbaa are "
            "allowed"
        )
    has_alpha = any(len(part) > len("rrggbb") for part in parts)
    return [list(bytes.fromhex((part + "ff" * has_alpha)[:8])) for part in parts]


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


def _number_to(most: float, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {most}")
    return number


def _quality(text: str) -> tuple[float, float]:
    least, _, most = text.rpartition("-")
    try:
        return check_quality((float(least or 0), float(most)))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not two ascending numbers from 0 to 100, such as 65-80"
        ) from None
