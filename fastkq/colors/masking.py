"""Masking: what the eye sees well counts more for the palette.

Two things hide an error: texture around it (contrast masking; Legge and Foley 1980,
doi:10.1364/JOSA.70.001458), and, in a sum of squares, the many pixels of a common color that
outweigh the few of another, though the eye sees areas, not sums. So pixels count by the contrast
around them, and colors by a power of how common they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fastkq.colors.contrast import map_by_contrast
from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.pixels import as_rows, has_alpha, with_alpha
from fastkq.colors.weights import weigh_parts
from fastkq.types import UInt8Array

# A pixel counts by 1 / sqrt(1 + contrast / 3), the contrast in levels among it and its neighbours:
# texture of 24 levels a third as much as what is flat.
CONTRAST_UNIT, CONTRAST_POWER = 3.0, 0.5
FLAT = 255  # the weight of a pixel without any contrast
CONTRAST_WEIGHTS = np.rint(FLAT / (1 + np.arange(256) / CONTRAST_UNIT) ** CONTRAST_POWER).astype(
    np.uint8
)
# Ten times as many pixels of a color, its neighbours within a cube of 8x8x8 included, count five
# times as much.
COMMON_POWER = 0.7
CUBE_BITS = 9  # of a Morton code


def mask_colors(histogram: ColorHistogram, blocks: Iterable[UInt8Array]) -> ColorHistogram:
    """Return the colors of an image with what their pixels count for the eye.

    Parameters
    ----------
    histogram : ColorHistogram
        Of the image, with the numbers of pixels.
    blocks : of rows (h, W) or (h, W, C) uint8, which make up the image
    """
    masked = weigh_parts(histogram, weigh_contrast(blocks))
    cubes = histogram.codes >> np.uint32(CUBE_BITS)
    commonness = np.bincount(cubes, weights=histogram.counts)[cubes] ** (COMMON_POWER - 1)
    total = histogram.counts.sum()
    if total == 0:
        return masked
    # So that the sum of all stays about what it is, beside translucent colors.
    commonness *= total / np.dot(histogram.counts, commonness)
    counts = np.maximum(np.rint(masked.counts * commonness), 1).astype(np.int64)
    return ColorHistogram(masked.codes, counts, masked.translucent, masked.n_transparent)


def weigh_contrast(blocks: Iterable[UInt8Array]) -> Iterator[tuple[UInt8Array, UInt8Array]]:
    """Yield rows of an image, and what each pixel (h, W) counts by the contrast around it.

    Blocks are yielded one late, since the last row of each has the first of the next below it.
    """
    above: UInt8Array | None = None
    held: UInt8Array | None = None
    for block in blocks:
        if held is not None:
            yield held, _weights_between(above, held, block[:1])
            above = held[-1:].copy()
        held = block
    if held is not None:
        yield held, _weights_between(above, held, None)


def _weights_between(
    above: UInt8Array | None, rows: UInt8Array, below: UInt8Array | None
) -> UInt8Array:
    """Return the weights of rows that have others above and below them."""
    around = [part for part in (above, rows, below) if part is not None]
    weights = contrast_weights(rows if len(around) == 1 else np.concatenate(around))
    first = 0 if above is None else 1
    return weights[first : first + len(rows)]


def contrast_weights(rows: UInt8Array) -> UInt8Array:
    """Return what each pixel (h, W) counts, by the contrast in its 3x3 surroundings."""
    pixels = as_rows((with_alpha(rows) if has_alpha(rows) else rows).reshape(len(rows), -1))
    return map_by_contrast(pixels, CONTRAST_WEIGHTS, rows.shape[1])
