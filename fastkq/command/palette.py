"""What `fastkq palette` does: one palette for images, into a file or onto the terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import fastkq
from fastkq.batch.find import find_images
from fastkq.batch.text import one_line
from fastkq.colors.order import SHARE, sort_palette
from fastkq.command.color import wants_color
from fastkq.command.sources import list_sources
from fastkq.files.mark import is_own_output
from fastkq.files.reading import SRGB, ReadOptions
from fastkq.install import terminal
from fastkq.types import Array, UInt8Array

DONE, FAILED = 0, 1
WIDTH = 6  # of a swatch, in characters


def palette(options: argparse.Namespace) -> int:
    """Fit one palette to images, and write or print it."""
    from fastkq.batch.pool import n_cores
    from fastkq.batch.shared import sum_histograms
    from fastkq.engine.shares import palette_shares
    from fastkq.files.palettes import write_palette

    output = None if options.output is None else _check_output(options)
    found = find_images(list_sources(options), recursive=options.recursive)
    images = [source for source, _ in found if not is_own_output(source)]
    reading = ReadOptions(
        max_pixels=options.max_pixels,
        allow_truncated=options.allow_truncated,
        page=options.page,
        icc=SRGB,
    )
    n_workers = options.jobs or n_cores()
    terminal.prepare_workers(len(images), n_workers)
    histogram, errors = sum_histograms(images, n_workers=n_workers, reading=reading)
    for reason in errors.values():
        print(f"fastkq: {reason}", file=sys.stderr)
    colors = fastkq.fit_palette(
        histogram,
        options.colors,
        effort=options.effort or "balanced",
        color_space=options.color_space or "oklab",
        locked=options.lock,
    )
    shares = palette_shares(histogram, colors, options.color_space)
    by = options.sort or (SHARE if output is None else None)
    if by is not None:
        order = sort_palette(colors, shares, by)
        colors, shares = colors[order], shares[order]
    if output is None:
        print_palette(colors, shares)
    else:
        write_palette(output, colors, shares)
        print(f"{output}: {len(colors)} colors of {len(images) - len(errors)} images")
    return FAILED if errors else DONE


def _check_output(options: argparse.Namespace) -> Path:
    from fastkq.files.palettes import check_palette_path

    try:
        output = check_palette_path(options.output)
    except ValueError as error:
        options.parser.error(one_line(error))
    if output.exists() and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    return output


def print_palette(palette: UInt8Array, shares: Array) -> None:
    """Print a line for each color: a swatch where there are colors, its hex, and its share."""
    is_colored = wants_color(sys.stdout)
    for color, share in zip(palette, shares, strict=True):
        swatch = _swatch(color) if is_colored else ""
        print(f"{swatch}#{color.tobytes().hex()}  {share:6.1%}")


def _swatch(color: UInt8Array) -> str:
    """Return a colored space, as terminals of true color show it; what is not seen has none."""
    red, green, blue = color[:3].tolist()
    if len(color) == 4 and color[3] == 0:
        return " " * (WIDTH + 2)
    return f"\x1b[48;2;{red};{green};{blue}m{' ' * WIDTH}\x1b[0m  "
