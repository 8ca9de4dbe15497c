"""Exact Lloyd steps over the colors of a histogram, a cell of 8x8x8 colors at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.histogram import ColorHistogram
from fastkq.kmeans import farthest_points
from fastkq.types import Array, UInt8Array

CELL_BITS = 9  # of a Morton code: cells of 8x8x8 colors
PARENT_BITS = 15  # boxes of 32x32x32 colors, 64 cells
MAX_CHUNKS = 64  # partial sums; fixed by the data, not by the threads
COLORS_PER_CHUNK = 2048


def _starts_of_runs(values: Array) -> NDArray[np.int64]:
    """Return where each run of equal values starts, and the end of the last."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate([[0], changes, [len(values)]]).astype(np.int64)


class ColorCells:
    """The colors of a histogram, their cells, and what one Lloyd step needs to know of each cell.

    It gives the labels and sums that `DensePoints` over all the pixels gives, at the price of a few
    distances a distinct color: see `kernels.cells`.

    Attributes
    ----------
    colors : (3, U) float32
    weights : (U,) float64, the pixel counts
    cell_ids : (n_cells,) uint32, the Morton codes of the occupied cells
    totals : (n_cells, 5) float64, sums of weight, weight * color, weight * squared norm
    """

    def __init__(self, histogram: ColorHistogram) -> None:
        codes = histogram.codes
        self.colors = np.ascontiguousarray(histogram.colors.T, np.float32)
        self.weights = histogram.counts.astype(np.float64)
        self._starts = _starts_of_runs(codes >> np.uint32(CELL_BITS))
        self._max_size = int(np.diff(self._starts).max())
        n_cells = len(self._starts) - 1
        self.cell_ids = codes[self._starts[:-1]] >> np.uint32(CELL_BITS)
        self._boxes = np.empty((n_cells, 6), np.float32)
        self.totals = np.empty((n_cells, 5))
        kernels.cells.measure_cells(
            self.colors, self.weights, self._starts, self._boxes, self.totals
        )

        parent_starts = _starts_of_runs(self.cell_ids >> np.uint32(PARENT_BITS - CELL_BITS))
        first = parent_starts[:-1]
        self._parents = np.repeat(np.arange(len(first), dtype=np.int32), np.diff(parent_starts))
        self._parent_boxes = np.concatenate(
            [
                np.minimum.reduceat(self._boxes[:, :3], first),
                np.maximum.reduceat(self._boxes[:, 3:], first),
            ],
            axis=1,
        )

        # Chunks of cells with about equally many colors each.
        n_colors = len(codes)
        n_chunks = max(1, min(MAX_CHUNKS, n_colors // COLORS_PER_CHUNK))
        bounds = np.arange(n_chunks + 1) * n_colors // n_chunks
        self._chunks = np.searchsorted(self._starts, bounds).astype(np.int64)

    @property
    def squared_norm(self) -> float:
        """The sum of count * squared norm over all colors."""
        return float(self.totals[:, 4].sum())

    @property
    def variance(self) -> float:
        """The mean variance of a channel."""
        weight, *sums = self.totals[:, :4].sum(axis=0)
        mean = np.array(sums) / weight
        return float((self.squared_norm / weight - np.sum(mean**2)) / len(mean))

    def assign(self, centers: Array) -> tuple[UInt8Array, Array]:
        """Run one assignment.

        Parameters
        ----------
        centers : (K, 3) up to 256

        Returns
        -------
        labels : (U,) uint8
            The nearest center of each color, ties to the lowest index.
        sums : (K, 4) float64
            Of each cluster, the sum of the counts and of count * color.
        """
        columns = np.ascontiguousarray(centers.T, np.float32)
        n_centers, n_parents = len(centers), len(self._parent_boxes)
        candidates = np.empty((n_parents, 3, n_centers), np.float32)
        names = np.empty((n_parents, n_centers), np.int32)
        n_candidates = np.empty(n_parents, np.int64)
        scratch = np.empty((n_parents, n_centers), np.float32)
        kernels.cells.filter_parents(
            self._parent_boxes,
            columns,
            np.arange(n_centers, dtype=np.int32),
            scratch,
            candidates,
            names,
            n_candidates,
        )
        labels = np.empty(len(self.weights), np.uint8)
        partials = np.empty((len(self._chunks) - 1, n_centers, 4))
        kernels.cells.assign_and_accumulate(
            self.colors,
            self.weights,
            self._starts,
            self._max_size,
            self._boxes,
            self.totals,
            self._parents,
            self._chunks,
            candidates,
            names,
            n_candidates,
            labels,
            partials,
        )
        return labels, partials.sum(axis=0)

    def accumulate(self, centers: Array) -> Array:
        """Return the cluster sums (K, 4) of one assignment to centers."""
        return self.assign(centers)[1]

    def farthest(self, centers: Array, n_points: int) -> Array:
        """Return the colors (n_points, 3) that are farthest from their nearest center."""
        labels, _ = self.assign(centers)
        red, green, blue = self.colors - centers.astype(np.float32).T[:, labels]
        return farthest_points(self.colors.T, red * red + green * green + blue * blue, n_points)
