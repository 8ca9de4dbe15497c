"""The arguments of `fastkq report`: those of `fastkq compress` that decide over a picture."""

from __future__ import annotations

import argparse

from fastkq.command.compress_arguments import add_choice, add_look, add_size
from fastkq.command.safety_arguments import add_reading
from fastkq.command.values import frame_number, page
from fastkq.files.formats import FORMATS, PNG
from fastkq.files.reading import ICC_CHOICES, KEEP, NO_METADATA

# What `fastkq compress` has beside these: targets, along whose curves a report shows all, and what
# is of files that are written.
WITHOUT = {
    **dict.fromkeys(("quality", "max_mse", "min_psnr", "max_bytes", "min_score", "bit_depth")),
    **dict.fromkeys(("frame_palettes", "durable", "verify", "in_place", "preserve"), False),
    "metadata": NO_METADATA,
    "score": True,
}


def add_report_arguments(parser: argparse.ArgumentParser, suffix: str) -> None:
    """Add the arguments of `fastkq report`."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="an image, as of `fastkq compress`; - is the standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the page, an .html file (default: SOURCE{suffix} beside the source)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite an existing file; a page of fastkq's is overwritten without",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="tell only of what fails")
    add_choice(parser.add_argument_group("colors"))
    add_look(parser.add_argument_group("how it looks"))
    add_size(parser.add_argument_group("how small it gets"))
    files = parser.add_argument_group("files")
    files.add_argument(
        "--format", choices=FORMATS, default=PNG, help="the format of the result (default: png)"
    )
    files.add_argument(
        "--frame", type=frame_number, metavar="N", help="which frame of an animation, from 0"
    )
    files.add_argument(
        "--page", type=page, metavar="N", help="which page of a TIFF of several, from 1"
    )
    files.add_argument(
        "--icc",
        choices=ICC_CHOICES,
        default=KEEP,
        help="what becomes of a color profile, as of `fastkq compress` (default: keep)",
    )
    add_reading(files)
    parser.set_defaults(**WITHOUT)
