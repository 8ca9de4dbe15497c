"""Labels by cost for GIF, whose phrases `kernels.lossy_gif` knows as they will be written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.paint.dither import FULL, N_WITH_ALPHA, Ditherer, Dithering, strengths_by_contrast
from fastkq.paint.tables import squared_distances
from fastkq.types import Array, UInt8Array

# A bit is worth a squared error, in levels of lightness of which there are 255 in Oklab: this at
# a `lossy` of 100 and no contrast. Scores are then those of PNG's labels. It grows with the square
# of `lossy`, for even steps of bytes.
MOST_PATIENCE = 8.0
SQUARED_STEPS = 16.0  # of a level: the kernels count four steps to each
# Of errors, so much is passed on, and by contrast with adaptive dithering: with more, as dithering
# alone does, copies and phrases end sooner.
PASSED_ON = 0.65
STRENGTHS = (0.2, 0.35, 0.5, 0.6, 0.7)


class LossyGifDitherer(Ditherer):
    """Choose the labels of an image by error and by their bits in a GIF, and pass the errors on.

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
        weight = MOST_PATIENCE * (dithering.lossy / 100) ** 2 * SQUARED_STEPS
        self._patience = np.float32(weight)
        self._root_bits = kernels.lzw.root_bits(len(palette))
        colors, n_slots = self._tables.colors, int(kernels.lossy_weights.N_SLOTS)
        self._slots = np.empty(n_slots, np.int64), np.empty(n_slots, np.uint8)
        kernels.lossy_weights.fill_slots(colors, *self._slots)
        ways = kernels.lossy_ways
        self._is_open = np.ones((3, len(palette)), np.bool_)
        if self._tables.has_opaque:
            self._is_open[ways.OPAQUE_KIND] = colors[:, 3] == OPAQUE
        is_transparent = np.arange(len(palette)) == self._tables.transparent
        self._is_open[ways.TRANSPARENT_KIND] = is_transparent
        self._beginnings = _nearest_entries(self._tables.points, self._is_open[ways.OPAQUE_KIND])

    def _strip_rows(self, width: int) -> int:
        return kernels.lzw.rows_of_strip(width)

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
        strip_rows = self._strip_rows(width)
        errors = np.empty(-(-len(labels) // strip_rows), np.int64)
        kernels.lossy_gif.choose(
            pixels,
            lead,
            strip_rows,
            contrasts,
            self.map_contrast(pixels, width),
            np.float32(self._strength / FULL),
            self._patience,
            self._light,
            tables.colors,
            *self._slots,
            self._root_bits,
            tables.is_coarse,
            self._is_open,
            tables.transparent,
            np.ascontiguousarray(tables.points.T),
            tables.points,
            self._beginnings,
            tables.has_opaque and not tables.is_coarse,
            *self._table,
            *self._groups,
            labels,
            errors,
        )
        unit = int(kernels.steps.ERROR_UNIT) ** 2
        error = sum(errors.tolist())  # without an end
        return error / unit if self._has_alpha else error // unit


def _nearest_entries(points: Array, is_opaque: Array) -> UInt8Array:
    """Return each entry of a palette (4, K), and those nearest to it, (K, n).

    Opaque entries come first for opaque ones, as the others are not allowed there.
    """
    distances = squared_distances(points)
    distances[np.ix_(is_opaque, ~is_opaque)] = np.inf
    np.fill_diagonal(distances, -1)
    order = np.argsort(distances, axis=1, kind="stable").astype(np.uint8)
    return np.ascontiguousarray(order[:, : int(kernels.lossy_gif.N_BEGINNINGS)])
