"""Labels by cost: errors where they are hardly seen, for far fewer bytes.

`kernels.lossy` says how labels are chosen. Here is what they cost in each format.
"""

from __future__ import annotations

import numpy as np

from fastkq import kernels
from fastkq.paint.cost import CostDitherer
from fastkq.paint.dither import FULL, Ditherer, Dithering
from fastkq.paint.lossy_gif import LossyGifDitherer
from fastkq.types import Array, UInt8Array

# A bit is worth a squared error, in levels of lightness of which there are 255 in Oklab: this at
# a `lossy` of 100 and no contrast.
MOST_WEIGHT = 2.0
PNG, WEBP, GIF = "png", "webp", "gif"
WINDOW = 1 << 15  # how far deflate copies from, in bytes
# The bits of a copy: in deflate those of its distance come on top; WebP has short ones for near
# distances. GIF's phrases are no copies, see `paint.lossy_gif`.
COPY_BITS = {PNG: 6.0, WEBP: 12.0}


class LossyDitherer(CostDitherer):
    """Choose the labels of an image by error and bits, and pass the errors on.

    Parameters
    ----------
    palette : (K, 3) or (K, 4) uint8
    dithering : Dithering
        With a `lossy` above 0.
    """

    def __init__(self, palette: UInt8Array, dithering: Dithering) -> None:
        super().__init__(palette, dithering, MOST_WEIGHT)
        n_colors = len(palette)
        self._literal_bits = max(1.0, np.log2(n_colors) - 1)
        self._worth = np.float32(self._weight * self._literal_bits)
        self._format = dithering.format
        self._per_byte = next(n for n in (8, 4, 2, 1) if n_colors <= 1 << 8 // n)
        self._penalties = np.where(self._is_open, np.float32(0), kernels.lossy_ways.FORBIDDEN)

    def _dither_rows(self, rows: UInt8Array, lead: int, labels: UInt8Array, first: int) -> float:
        """Choose labels of rows; see the kernel for the parameters."""
        pixels, contrasts = self._flatten(rows)
        width, tables = labels.shape[1], self._tables
        errors = np.empty(-(-len(labels) // int(kernels.dither.STRIP_ROWS)), np.int64)
        kernels.lossy.choose(
            pixels,
            lead,
            contrasts,
            self._strengths if self._is_adaptive else np.full(256, FULL, np.uint8),
            np.float32(self._strength / FULL),
            self._worth,
            self._begins(width),
            self._light,
            tables.colors,
            *self._slots,
            tables.is_coarse,
            tables.has_opaque and not tables.is_coarse,
            self._penalties.any(axis=1),
            self._penalties,
            tables.transparent,
            tables.points,
            *self._table,
            *self._groups,
            labels,
            errors,
        )
        return self._in_levels(sum(errors.tolist()))  # without an end

    def _begins(self, width: int) -> Array:
        """Return what it costs to begin each way to label a pixel of even and odd rows.

        In pixels' worth, (2, N_WAYS). Indices that share a byte can only be copied together.
        """
        ways, row_bytes = kernels.lossy_ways, 1 + -(-width // self._per_byte)
        costs = np.full((2, ways.N_WAYS), ways.FORBIDDEN)
        costs[:, ways.AGAIN] = self._copy_bits(1)
        for turn, way in np.ndindex(2, int(ways.N_COPIES)):
            n_above = 1 if way % 2 != turn else 2
            left = int(ways.REACH) - way // 2
            if left % self._per_byte == 0:
                costs[turn, way] = self._copy_bits(n_above * row_bytes + left // self._per_byte)
        begins: Array = np.minimum(costs / np.float32(self._literal_bits), ways.FORBIDDEN)
        return begins

    def _copy_bits(self, distance: int) -> float:
        """Return the bits of a copy from so many bytes before."""
        bits = COPY_BITS[self._format]
        if self._format == PNG:
            if distance > WINDOW:
                return float(kernels.lossy_ways.FORBIDDEN)
            bits += max(0, (distance - 1).bit_length() - 2)  # RFC 1951, 3.2.5
        return bits


def make_ditherer(palette: UInt8Array, dithering: Dithering) -> Ditherer | None:
    """Return what dithers with a palette, or None where nothing is to be done."""
    if not dithering:
        return None
    if not dithering.lossy:
        return Ditherer(palette, dithering)
    is_gif = dithering.format == GIF
    return LossyGifDitherer(palette, dithering) if is_gif else LossyDitherer(palette, dithering)
