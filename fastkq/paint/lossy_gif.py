"""Labels by cost for GIF, whose phrases `kernels.lossy_gif` knows as they will be written."""

from __future__ import annotations

import numpy as np

from fastkq import kernels
from fastkq.paint.cost import CostDitherer
from fastkq.paint.dither import FULL, Dithering
from fastkq.paint.tables import squared_distances
from fastkq.types import Array, UInt8Array

# A bit is worth a squared error, in levels of lightness of which there are 255 in Oklab: this at
# a `lossy` of 100 and no contrast. Scores are then those of PNG's labels.
MOST_PATIENCE = 8.0


class LossyGifDitherer(CostDitherer):
    """Choose the labels of an image by error and by their bits in a GIF, and pass the errors on.

    Parameters
    ----------
    palette : (K, 3) or (K, 4) uint8
    dithering : Dithering
        With a `lossy` above 0.
    """

    def __init__(self, palette: UInt8Array, dithering: Dithering) -> None:
        super().__init__(palette, dithering, MOST_PATIENCE)
        self._patience = np.float32(self._weight)
        self._root_bits = kernels.lzw.root_bits(len(palette))
        is_opaque = self._is_open[kernels.lossy_ways.OPAQUE_KIND]
        self._beginnings = _nearest_entries(self._tables.points, is_opaque)

    def _strip_rows(self, width: int) -> int:
        return kernels.lzw.rows_of_strip(width)

    def _dither_rows(self, rows: UInt8Array, lead: int, labels: UInt8Array, first: int) -> float:
        """Choose labels of rows; see the kernel for the parameters."""
        pixels, contrasts = self._flatten(rows)
        width, tables = labels.shape[1], self._tables
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
        return self._in_levels(sum(errors.tolist()))  # without an end


def _nearest_entries(points: Array, is_opaque: Array) -> UInt8Array:
    """Return each entry of a palette (4, K), and those nearest to it, (K, n).

    Opaque entries come first for opaque ones, as the others are not allowed there.
    """
    distances = squared_distances(points)
    distances[np.ix_(is_opaque, ~is_opaque)] = np.inf
    np.fill_diagonal(distances, -1)
    order = np.argsort(distances, axis=1, kind="stable").astype(np.uint8)
    return np.ascontiguousarray(order[:, : int(kernels.lossy_gif.N_BEGINNINGS)])
