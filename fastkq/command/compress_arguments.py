"""The arguments of `fastkq compress`, by what people want: look, size, files, many images."""

from __future__ import annotations

import argparse
from functools import partial

from fastkq.batch.plan import BESIDE
from fastkq.command.safety_arguments import add_in_place, add_safety
from fastkq.command.shared_arguments import add_colors, add_sources
from fastkq.command.values import color, frame_number, name_suffix, number_to, quality, shard, share
from fastkq.files.formats import FORMATS, MAX_BIT_DEPTH
from fastkq.files.reading import ICC_CHOICES, KEEP, METADATA_CHOICES, NO_METADATA
from fastkq.options import BLACK, TRANSPARENT
from fastkq.paint.dither import MOST_LOSSY


def add_compress_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fastkq compress`."""
    add_sources(parser)
    add_choice(parser.add_argument_group("colors"))
    add_look(parser.add_argument_group("how it looks"))
    add_size(parser.add_argument_group("how small it gets"))
    _add_targets(
        parser.add_argument_group(
            "what you want, instead of how many colors",
            "An image gets the fewest colors, at most K, that reach it; where not even K colors "
            "do, nothing is written.",
        )
    )
    _add_animations(
        parser.add_argument_group(
            "animations",
            "Of an animated GIF, PNG or WebP, all frames are written, with one palette. A GIF "
            "stays a GIF and a WebP a WebP, unless -o or --format say otherwise.",
        )
    )
    _add_files(parser.add_argument_group("files"))
    add_safety(parser.add_argument_group("files of strangers, and outputs that must not be lost"))
    _add_messages(parser.add_argument_group("messages"))
    _add_many(
        parser.add_argument_group(
            "many images",
            f"Several sources, or any of these options, make a run over many images. Without -d, "
            f"each output goes beside its source, as NAME{BESIDE}.png.",
        )
    )


def add_choice(group: argparse._ArgumentGroup) -> None:
    """Add what decides over the colors of one picture."""
    add_colors(group)
    group.add_argument(
        "--palette",
        metavar="FILE",
        help="use these colors instead of fitting any: a .gpl, .act, .hex or .json file, or an "
        "image of up to 256 colors",
    )
    group.add_argument(
        "--protect",
        action="store_true",
        help="keep small patches of colors that are unlike all others; the error grows elsewhere",
    )
    group.add_argument(
        "--masking",
        action=argparse.BooleanOptionalAction,
        help="choose colors by what is seen: flat and smooth parts count more than texture, and "
        "rare colors more than their pixels (default: on, and off beside --color-space, --weights, "
        "--effort fast and palettes that are given or shared)",
    )
    group.add_argument(
        "--paper",
        action="store_true",
        help="for scans: give the paper one color first, so that its grain takes no colors and few "
        "bytes",
    )
    group.add_argument(
        "--weights",
        metavar="IMAGE",
        help="a gray image of the size of the one image: the lighter a pixel, the more it counts "
        "when the colors are chosen; black ones do not count",
    )


def add_look(group: argparse._ArgumentGroup) -> None:
    """Add what decides over how pixels are labeled."""
    group.add_argument(
        "--dither",
        choices=("none", "diffusion", "ordered", "adaptive"),
        help="mix colors, so that smooth gradients show no steps; adaptive makes smaller files "
        "than diffusion, ordered keeps still between the frames of a film, and none takes the "
        "nearest color everywhere (default: what --lossy does)",
    )
    group.add_argument(
        "--dither-strength",
        type=partial(number_to, 1),
        default=1.0,
        metavar="S",
        help="how much of the error dithering spreads, from 0 to 1 (default: 1)",
    )
    group.add_argument(
        "--background",
        type=color,
        metavar="RRGGBB",
        help="lay images over this color, so that no transparency is left",
    )
    group.add_argument(
        "--transparent",
        choices=TRANSPARENT,
        default=BLACK,
        help="the color that the file stores under fully transparent pixels: black, keep for those "
        "that the image has there, or bleed for those of the nearest visible pixels, which games "
        "that filter their textures need (default: black)",
    )


def add_size(group: argparse._ArgumentGroup) -> None:
    """Add what makes files smaller."""
    group.add_argument(
        "--lossy",
        type=partial(number_to, MOST_LOSSY),
        metavar="L",
        help="make errors where they are hardly seen for a far smaller file, from 0 to 200; 20 to "
        "50 suit photos (default: 20, or 0 beside --dither and --palette)",
    )
    group.add_argument(
        "--optimize",
        action="store_true",
        help="take several times as long for a smaller file of the same pixels",
    )
    group.add_argument(
        "--oxipng",
        action="store_true",
        help="take dozens of times as long for a still smaller PNG; needs fastkq[oxipng]",
    )


def _add_targets(group: argparse._ArgumentGroup) -> None:
    error = group.add_mutually_exclusive_group()
    error.add_argument(
        "--quality",
        type=quality,
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
    group.add_argument(
        "--min-score",
        type=partial(number_to, 100),
        metavar="S",
        help="as lossy as keeps this score; 90 can hardly be told apart, 70 is high quality",
    )
    group.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help="the largest size of the file: it is as lossy as that needs, or beside --lossy and "
        "--dither has as many colors as fit; it can be combined with one of the others",
    )


def _add_animations(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--frame",
        type=frame_number,
        metavar="N",
        help="take only this frame, as a still picture; 0 is the first",
    )
    group.add_argument(
        "--frame-palettes",
        action="store_true",
        help="give each frame a palette of its own, for a gif or webp: better colors where scenes "
        "change, and often more bytes",
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the output of one image, a .png, .webp or .gif; - is the standard output (default: "
        f"SOURCE{BESIDE}.png beside the source)",
    )
    group.add_argument(
        "--name",
        metavar="PATTERN",
        help="what outputs are called: {stem} is the name of the source, {parent} that of its "
        f"folder, {{suffix}} that of the format (default: {{stem}}{BESIDE}{{suffix}} beside the "
        "source, {stem}{suffix} with -d)",
    )
    group.add_argument(
        "--format",
        choices=FORMATS,
        help="the format of the outputs; a webp is smaller and takes longer, a gif is larger "
        "(default: the suffix of -o tells, or png, and of an animated GIF or WebP its own)",
    )
    group.add_argument(
        "--suffix",
        type=name_suffix,
        metavar="TEXT",
        help=f"what the names of outputs end with, before their .png (default: {BESIDE} beside the "
        "sources, nothing in the folder of -d)",
    )
    group.add_argument(
        "--icc",
        choices=ICC_CHOICES,
        default=KEEP,
        help="what becomes of a color profile: keep it, or where the format cannot hold it, as a "
        "gif cannot, convert the colors to srgb; srgb converts them in any case; strip drops it, "
        "and the picture looks otherwise (default: keep)",
    )
    group.add_argument(
        "--metadata",
        choices=METADATA_CHOICES,
        default=NO_METADATA,
        help="keep EXIF and XMP, with the place where a photo was taken, or leave them out "
        "(default: none)",
    )
    group.add_argument(
        "--bit-depth",
        type=int,
        choices=(MAX_BIT_DEPTH,),
        help="write a png of 8 bits a pixel, for readers that want it, however few its colors are",
    )
    group.add_argument("--force", action="store_true", help="overwrite existing outputs")
    group.add_argument(
        "--allow-larger",
        action="store_true",
        help="write an output even if it is no smaller than its source; by default that is told "
        "instead, in one line, and is no failure",
    )


def _add_messages(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--score",
        action="store_true",
        help="tell how close the result looks to its source, by SSIMULACRA 2: 100 is equal, 90 can "
        "hardly be told apart, 70 is high and 50 medium quality",
    )
    style = group.add_mutually_exclusive_group()
    style.add_argument("-q", "--quiet", action="store_true", help="tell only of what fails")
    style.add_argument(
        "--json",
        action="store_true",
        help="print a line of JSON for each image, and for many a summary",
    )


def _add_many(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-d",
        "--directory",
        metavar="DIR",
        help="write the outputs into this folder, or to an "
        "address such as s3://small/2024, which needs fastkq[remote]",
    )
    group.add_argument(
        "--shard",
        type=shard,
        default=(1, 1),
        metavar="I/N",
        help="do the part I of N, from 1/N to N/N, as the tasks of a job array do",
    )
    add_in_place(group)
    group.add_argument(
        "--min-savings",
        type=share,
        metavar="SHARE",
        help="write an output only if it saves this share of its source, such as 5%% (default: 0%%;"
        " any saving)",
    )
    group.add_argument(
        "--copy-unchanged",
        action="store_true",
        help="copy an image into the folder of -d under its own name where no output is written "
        "though it could be read, so that every picture is there",
    )
    group.add_argument(
        "--shared-palette", action="store_true", help="fit one palette to all images together"
    )
    group.add_argument(
        "--report", metavar="JSONL", help="add a line of JSON for each image to this file"
    )
    group.add_argument(
        "--html",
        metavar="FILE",
        help="write a page with a table of all images, for browsers; needs fastkq[report]",
    )
    group.add_argument(
        "--fail-fast", action="store_true", help="stop after the first image that fails"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="tell what would be written where, and write nothing"
    )
