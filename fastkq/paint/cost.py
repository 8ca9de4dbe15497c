"""What labels by cost have in common, whatever the format: shares, exact colors, contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastkq import kernels
from fastkq.colors.contrast import map_by_contrast
from fastkq.colors.pixels import OPAQUE
from fastkq.paint.dither import Ditherer, Dithering, strengths_by_contrast
from fastkq.types import UInt8Array

SQUARED_STEPS = 16.0  # of a level: the kernels count four steps to each
# Of errors, so much is passed on, and by contrast with adaptive dithering: with more, as dithering
# alone does, copies and phrases end sooner.
PASSED_ON = 0.65
STRENGTHS = (0.2, 0.35, 0.5, 0.6, 0.7)


class CostDitherer(Ditherer):
    """What to know of a palette before labels are chosen by their cost.

    Parameters
    ----------
    palette : (K, 3) or (K, 4) uint8
    dithering : Dithering
        With a `lossy` above 0.
    most : float
        The squared error, in levels, that a bit is worth at a `lossy` of 100 and no contrast. It
        grows with the square of `lossy`, for even steps of bytes.
    """

    def __init__(self, palette: UInt8Array, dithering: Dithering, most: float) -> None:
        method = "diffusion" if dithering.method == "none" else dithering.method
        super().__init__(palette, replace(dithering, method=method))
        self._strength = dithering.strength * (1 if self._is_adaptive else PASSED_ON)
        self._strengths = strengths_by_contrast(STRENGTHS)
        self._weight = most * (dithering.lossy / 100) ** 2 * SQUARED_STEPS
        colors, n_slots = self._tables.colors, int(kernels.lossy_weights.N_SLOTS)
        self._slots = np.empty(n_slots, np.int64), np.empty(n_slots, np.uint8)
        kernels.lossy_weights.fill_slots(colors, *self._slots)
        ways = kernels.lossy_ways
        # Whether an entry is allowed, by the kind of a pixel.
        self._is_open = np.ones((3, len(palette)), np.bool_)
        if self._tables.has_opaque:
            self._is_open[ways.OPAQUE_KIND] = colors[:, 3] == OPAQUE
        is_transparent = np.arange(len(palette)) == self._tables.transparent
        self._is_open[ways.TRANSPARENT_KIND] = is_transparent

    @staticmethod
    def _flatten(rows: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
        """Return rows as the kernels take them, and the contrast around each pixel (h, W)."""
        pixels = rows.reshape(len(rows), -1).view()
        pixels.flags.writeable = False  # as the kernels are compiled for
        return pixels, map_by_contrast(pixels, np.arange(256, dtype=np.uint8), rows.shape[1])
