"""Labels by cost: errors where they are hardly seen, for far fewer bytes.

`kernels.lossy` says how labels are chosen. Here is what they cost in each format.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.paint.dither import FULL, N_WITH_ALPHA, Ditherer, Dithering, strengths_by_contrast
from fastkq.paint.lossy_gif import PASSED_ON, STRENGTHS, LossyGifDitherer
from fastkq.types import Array, UInt8Array

# A bit is worth a squared error, in levels of lightness of which there are 255 in Oklab: this at
# the full `lossy` and no contrast. It grows with the square of `lossy`, for even steps of bytes.
MOST_WEIGHT = 2.0
SQUARED_STEPS = 16.0  # of a level: the kernels count four steps to each
PNG, WEBP, GIF = "png", "webp", "gif"
WINDOW = 1 << 15  # how far deflate copies from, in bytes
# The bits of a copy: in deflate those of its distance come on top; WebP has short ones for near
# distances. GIF's phrases are no copies, see `paint.lossy_gif`.
COPY_BITS = {PNG: 6.0, WEBP: 12.0}


class LossyDitherer(Ditherer):
    """Choose the labels of an image by error and bits, and pass the errors on.

    Parameters
    ----------
    palette : (K, 3) or (K, 4) uint8
    dithering : Dithering
        With a `lossy` above 0.
    """

    def __init__(self, palette: UInt8Array, dithering: Dithering) -> None:
        method = "diffusion" if dithering.method == "none" else dithering.method
        super().__init__(palette, replace(dithering, method=method))
        self._strength = dithering.strength * (1 if self._is_adaptive else PASSED_ON)
        self._strengths = strengths_by_contrast(STRENGTHS)
        n_colors = len(palette)
        self._literal_bits = max(1.0, np.log2(n_colors) - 1)
        weight = MOST_WEIGHT * (dithering.lossy / 100) ** 2 * SQUARED_STEPS
        self._worth = np.float32(weight * self._literal_bits)
        self._format = dithering.format
        self._per_byte = next(n for n in (8, 4, 2, 1) if n_colors <= 1 << 8 // n)
        colors, n_slots = self._tables.colors, int(kernels.lossy_weights.N_SLOTS)
        self._slots = np.empty(n_slots, np.int64), np.empty(n_slots, np.uint8)
        kernels.lossy_weights.fill_slots(colors, *self._slots)
        ways = kernels.lossy_ways
        opaque, transparent = ways.OPAQUE_KIND, ways.TRANSPARENT_KIND
        is_closed = np.zeros((3, n_colors), np.bool_)
        is_closed[opaque] = self._tables.has_opaque & (colors[:, 3] != OPAQUE)
        is_closed[transparent] = np.arange(n_colors) != self._tables.transparent
        self._penalties = np.where(is_closed, ways.FORBIDDEN, np.float32(0))

    def _dither_rows(self, rows: UInt8Array, lead: int, labels: UInt8Array, first: int) -> float:
        """Choose labels of rows; see the kernel for the parameters."""
        pixels = rows.reshape(len(rows), -1).view()
        pixels.flags.writeable = False  # as the kernels are compiled for
        width, tables = labels.shape[1], self._tables
        contrasts = np.empty((len(rows), width), np.uint8)
        every = np.arange(256, dtype=np.uint8)
        if rows.shape[2:] == (N_WITH_ALPHA,):
            kernels.contrast.map_alpha_strengths(pixels, every, contrasts)
        else:
            kernels.contrast.map_strengths(pixels, every, contrasts)
        errors = np.empty(-(-len(labels) // int(kernels.dither.STRIP_ROWS)), np.int64)
        kernels.lossy.choose(
            pixels,
            lead,
            contrasts,
            self.map_contrast(pixels, width),
            np.float32(self._strength / FULL),
            self._worth,
            self._begins(width),
            self._light,
            tables.colors,
            *self._slots,
            tables.is_coarse,
            tables.has_opaque and not tables.is_coarse,
            bool(self._penalties.any()),
            self._penalties,
            tables.transparent,
            tables.points,
            *self._table,
            *self._groups,
            labels,
            errors,
        )
        unit = int(kernels.steps.ERROR_UNIT) ** 2
        error = sum(errors.tolist())  # without an end
        return error / unit if self._has_alpha else error // unit

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
