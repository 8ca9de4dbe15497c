"""What `fastkq palette` does: one palette for images, into a file."""

from __future__ import annotations

import argparse
import sys

import fastkq
from fastkq.batch.find import find_images
from fastkq.batch.text import one_line
from fastkq.command.sources import list_sources
from fastkq.install import terminal

DONE, FAILED = 0, 1


def palette(options: argparse.Namespace) -> int:
    """Fit one palette to images and write it."""
    from fastkq.batch.pool import n_cores
    from fastkq.batch.shared import sum_histograms
    from fastkq.files.mark import is_own_output
    from fastkq.files.palettes import check_palette_path, write_palette

    try:
        output = check_palette_path(options.output)
    except ValueError as error:
        options.parser.error(one_line(error))
    if output.exists() and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    found = find_images(list_sources(options), recursive=options.recursive)
    images = [source for source, _ in found if not is_own_output(source)]
    n_workers = options.jobs or n_cores()
    terminal.prepare_workers(len(images), n_workers)
    histogram, errors = sum_histograms(images, n_workers=n_workers)
    for reason in errors.values():
        print(f"fastkq: {reason}", file=sys.stderr)
    colors = fastkq.fit_palette(
        histogram,
        options.colors,
        effort=options.effort or "balanced",
        color_space=options.color_space or "oklab",
        locked=options.lock,
    )
    write_palette(output, colors)
    print(f"{output}: {len(colors)} colors of {len(images) - len(errors)} images")
    return FAILED if errors else DONE
