"""Arguments that several commands have."""

from __future__ import annotations

import argparse

from fastkq.command.values import color_count, colors, job_count, page
from fastkq.types import MAX_COLORS


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add what names the images."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG XL, JPEG 2000, PPM or TGA, or a "
        "folder or a glob of them; - is the standard input. Or tar files, whose pictures are "
        "compressed, also as 'train-{000..146}.tar'",
    )
    parser.add_argument(
        "--files-from",
        metavar="FILE",
        help="read further sources from this file, one a line or ended by NUL characters; - is the "
        "standard input",
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        help="read further sources from this file of JSON lines, each a name or an object with one "
        'as its "source", or from the column source, path or key of a .parquet file, or its first '
        "of texts, which needs fastkq[parquet]; it may be an address",
    )
    parser.add_argument(
        "--page",
        type=page,
        metavar="N",
        help="which page of a TIFF of several, from 1, or all: each then has an output of its own, "
        "as NAME-page1.png",
    )
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="search folders at any depth"
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=job_count,
        metavar="N",
        help="how many images to compress at once (default: one a core)",
    )


def add_colors(parser: argparse._ActionsContainer) -> None:
    """Add what decides over the colors of a palette."""
    parser.add_argument(
        "-k",
        "--colors",
        type=color_count,
        default=MAX_COLORS,
        metavar="K",
        help="how many colors an image gets, from 1 to 256; with at most 16, a pixel takes 4 bits "
        "or fewer (default: 256)",
    )
    parser.add_argument(
        "--effort",
        choices=("fast", "balanced", "best"),
        help="fast takes half the time and makes 1 to 5 %% more error; best makes "
        "1 to 5 %% less error in ten times the time (default: balanced)",
    )
    parser.add_argument(
        "--color-space",
        choices=("srgb", "oklab"),
        help="where distances are measured: srgb gives the least squared error, oklab looks closer "
        "to the original (default: oklab, or srgb beside --effort fast)",
    )
    parser.add_argument(
        "--lock",
        type=colors,
        metavar="RRGGBB,...",
        help="colors, also as RRGGBBAA, that come first in the palette, exactly as they are; the "
        "others are fitted around them",
    )
