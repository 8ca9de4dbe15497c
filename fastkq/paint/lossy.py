"""Labels by cost: errors where they are hardly seen, for far fewer bytes.

`kernels.lossy` says how labels are chosen. Here is what they cost in each format.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.paint.dither import (
    FULL,
    LIGHT_BOX,
    N_WITH_ALPHA,
    NO_TABLE,
    OKLAB_BOX,
    Ditherer,
    Dithering,
)
from fastkq.types import Array, UInt8Array

# A bit is worth a squared error, in levels of lightness of which there are 255 in Oklab: this at
# the full `lossy` and no contrast. It grows with the square of `lossy`, for even steps of bytes,
# and by itself with so many levels of contrast around a pixel, which hide errors.
MOST_WEIGHT, CONTRAST_UNIT = 2.0, 2.0
SQUARED_STEPS = (kernels.steps.STEPS / 255) ** 2  # of a level
# Of errors, so much is passed on: with all of it, copies end sooner.
PASSED_ON = 0.65
# Copies begin this far to the left in the same row, and to both sides of a pixel in rows above.
N_BEFORE, N_ROWS_ABOVE, REACH = 4, 2, 2
PNG, WEBP, GIF = "png", "webp", "gif"
WINDOW = 1 << 15  # how far deflate copies from, in bytes
# The bits of a copy: in deflate those of its distance come on top; LZW writes one code, and WebP
# has short ones for near distances. One that goes on after a single other pixel takes few.
COPY_BITS = {PNG: 6.0, WEBP: 9.0, GIF: 12.0}
GO_ON_BITS = {PNG: 0.5, WEBP: 0.5, GIF: 12.0}


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
        if not self._is_adaptive:
            self._strength *= PASSED_ON
        n_colors = len(palette)
        self._literal_bits = max(1.0, np.log2(n_colors) - 1)
        contrasts = 1 + np.arange(256) / CONTRAST_UNIT
        weight = MOST_WEIGHT * (dithering.lossy / 100) ** 2 * SQUARED_STEPS
        self._worths = (weight * self._literal_bits * contrasts).astype(np.float32)
        self._format = dithering.format
        self._per_byte = next(n for n in (8, 4, 2, 1) if n_colors <= 1 << 8 // n)
        colors, n_slots = self._tables.colors, int(kernels.lossy.N_SLOTS)
        self._slots = np.empty(n_slots, np.int64), np.empty(n_slots, np.uint8)
        kernels.lossy.fill_slots(colors, *self._slots)
        self._is_closed = self._tables.has_opaque & (colors[:, 3] != OPAQUE)

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
        lowest, highest = LIGHT_BOX if tables.is_coarse else OKLAB_BOX
        kernels.lossy.choose(
            pixels,
            lead,
            contrasts,
            self._map(pixels, width),
            np.float32(self._strength / FULL),
            self._worths,
            *self._copies(width),
            self._light,
            tables.colors,
            *self._slots,
            tables.is_coarse,
            tables.has_opaque,
            self._is_closed,
            tables.transparent,
            np.array(lowest, np.float32),
            np.array(highest, np.float32),
            tables.points,
            *self._table,
            *self._groups,
            labels,
            errors,
        )
        unit = int(kernels.steps.ERROR_UNIT) ** 2
        error = sum(errors.tolist())  # without an end
        return error / unit if self._has_alpha else error // unit

    def _copies(self, width: int) -> tuple[Array, Array]:
        """Return where copies begin, (n, 2): rows above and pixels to the left; and their costs.

        Indices that share a byte are copied together. The costs (n + 1,) are in pixels' worth, the
        last that of going on with a copy.
        """
        step = self._per_byte
        before = [(0, step * i) for i in range(1, 1 + N_BEFORE)]
        sides = [step * i for i in range(-REACH, 1 + REACH)]
        above = [(row, side) for row in range(1, 1 + N_ROWS_ABOVE) for side in sides]
        row_bytes = 1 + -(-width // step)
        copies, costs = [], []
        for row, shift in before + above:
            distance = row * row_bytes + shift // step
            bits = COPY_BITS[self._format]
            if self._format == PNG:
                if not 0 < distance <= WINDOW:
                    continue
                bits += max(0, (distance - 1).bit_length() - 2)  # RFC 1951, 3.2.5
            copies.append((row, shift))
            costs.append(bits)
        costs.append(GO_ON_BITS[self._format])
        return np.array(copies), (np.array(costs) / self._literal_bits).astype(np.float32)


def make_ditherer(palette: UInt8Array, dithering: Dithering) -> Ditherer | None:
    """Return what dithers with a palette, or None where nothing is to be done."""
    if not dithering:
        return None
    return LossyDitherer(palette, dithering) if dithering.lossy else Ditherer(palette, dithering)
