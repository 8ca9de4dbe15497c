"""Arguments for files of strangers, and for outputs that must not be lost."""

from __future__ import annotations

import argparse

from fastkq.command.values import pixel_count, seconds

DEFAULT_BACKUP = ".orig"


def add_reading(group: argparse._ActionsContainer) -> None:
    """Add what bounds the reading of files."""
    group.add_argument(
        "--max-pixels",
        type=pixel_count,
        metavar="N",
        help="refuse files whose header says more pixels, before they are decoded; 100M is 100 "
        "megapixels (default: 179M, or 2147M for large TIFF that come by blocks, so that no file "
        "takes more than about 2 GB)",
    )
    group.add_argument(
        "--allow-truncated",
        action="store_true",
        help="read files that end early as far as they go; the rest is gray, black or transparent",
    )


def add_safety(group: argparse._ActionsContainer) -> None:
    """Add what is done for outputs beyond writing them in one step."""
    add_reading(group)
    group.add_argument(
        "--timeout",
        type=seconds,
        metavar="S",
        help="give an image up after so many seconds; of many, it is tried once more alone",
    )
    group.add_argument(
        "--verify",
        action="store_true",
        help="decode each output again, and compare it, before it takes its name",
    )
    group.add_argument(
        "--durable",
        action="store_true",
        help="have each output on the disk before it counts as done, for losses of power",
    )
    group.add_argument(
        "--preserve", action="store_true", help="give outputs the times of their sources"
    )


def add_in_place(group: argparse._ActionsContainer) -> None:
    """Add what decides over the names of outputs, and what is replaced by them."""
    group.add_argument(
        "--in-place",
        action="store_true",
        help="replace each PNG, GIF and WebP by its output, if that is smaller, of the same format "
        "and, decoded again, as it should be; other formats fail",
    )
    group.add_argument(
        "--backup",
        nargs="?",
        const=DEFAULT_BACKUP,
        metavar="SUFFIX",
        help=f"with --in-place, keep what is replaced as NAME{DEFAULT_BACKUP}, or with this suffix",
    )
