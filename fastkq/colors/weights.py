"""How much each pixel of an image counts for the palette.

Weights become integers before they are added up, so that sums over colors and clusters are as
exact, and as independent of order and threads, as those of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from fastkq import kernels
from fastkq.colors.histogram import CODE_BITS, ColorHistogram
from fastkq.colors.pixels import OPAQUE, as_rows, has_alpha, split_rows, with_alpha
from fastkq.colors.translucent import TranslucentCounter
from fastkq.types import Array, UInt8Array

# Real weights are rounded to this part of the largest; less for images of over 2^28 pixels, so
# that sums of weight * level stay below 2^53, where float64 is exact.
SCALE_BITS = 16
SUM_BITS = 44


def check_weights(weights: ArrayLike, shape: tuple[int, ...]) -> Array | None:
    """Return weights for an image of a shape as integers (H, W); None where all count alike.

    Integers are divided by what divides them all: they count as if each pixel came so often. Others
    are scaled, the largest to 2^16, and rounded. So a factor common to all changes nothing.

    Raises
    ------
    ValueError, TypeError
        They are no real array of that height and width; negative, not finite or all 0.
    """
    given = np.asarray(weights)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"weights has dtype {given.dtype}; real numbers are allowed")
    if given.shape != shape[:2]:
        raise ValueError(
            f"weights has shape {given.shape}; for this image it must be {tuple(shape[:2])}"
        )
    if given.dtype.kind == "b":
        given = given.view(np.uint8)
    low, high = given.min(), given.max()
    if not (low >= 0 and np.isfinite(high)):  # NaN is not >= 0
        raise ValueError(f"weights has values from {low} to {high}; finite ones >= 0 are allowed")
    if high == 0:
        raise ValueError("weights is 0 everywhere; some pixels must count")
    if low == high:
        return None
    most = 1 << min(SCALE_BITS, SUM_BITS - given.size.bit_length())
    if given.dtype.kind in "iu":
        divisor = np.gcd.reduce(given, axis=None)
        if high // divisor <= most:
            return np.asarray(given // divisor)
    scaled = np.empty(given.shape, np.uint32)
    for row, values in zip(scaled, given, strict=True):
        row[:] = np.rint(values.astype(np.float64) / float(high) * most)
    return scaled


def weigh_colors(
    histogram: ColorHistogram, blocks: Iterable[UInt8Array], weights: Array
) -> ColorHistogram:
    """Return the colors of an image that count, with the sums of their pixels' weights.

    Transparent pixels keep their number: what weighs nothing stays transparent as well.

    Parameters
    ----------
    histogram : ColorHistogram
        Of the image.
    blocks : of rows (h, W) or (h, W, C) uint8, which make up the image
    weights : (H, W) integer
        From `check_weights`.
    """
    return weigh_parts(histogram, _with_weights(blocks, weights))


def _with_weights(
    blocks: Iterable[UInt8Array], weights: Array
) -> Iterator[tuple[UInt8Array, Array]]:
    first = 0
    for block in blocks:
        yield block, weights[first : first + len(block)]
        first += len(block)


def weigh_parts(
    histogram: ColorHistogram, parts: Iterable[tuple[UInt8Array, Array]]
) -> ColorHistogram:
    """Return the colors of an image that count, as `weigh_colors` does.

    Parameters
    ----------
    histogram : ColorHistogram
        Of the image.
    parts : of rows (h, W) or (h, W, C) uint8, which make up the image, and weights (h, W) integer
    """
    totals = np.zeros(1 << CODE_BITS, np.int64)
    others = TranslucentCounter(histogram.n_pixels)
    for block, weights in parts:
        for rows in split_rows(block):
            part, own = block[rows], weights[rows].reshape(-1)
            if has_alpha(part):
                pixels = with_alpha(part).reshape(-1, 4)
                others.add(pixels, own)
                is_opaque = pixels[:, 3] == OPAQUE
                pixels, own = pixels[is_opaque], own[is_opaque]
            else:
                pixels = part.reshape(len(own), -1)
            colors = as_rows(np.broadcast_to(pixels[:, :3], (len(pixels), 3)))
            kernels.histogram.add_weights(colors, own.astype(np.int64), totals)
    sums = totals[histogram.codes]
    translucent, _ = others.finish()
    return ColorHistogram(
        histogram.codes[sums > 0], sums[sums > 0], translucent, histogram.n_transparent
    )
