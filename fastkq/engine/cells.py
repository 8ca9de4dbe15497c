"""Exact Lloyd steps over the colors of a histogram, a cell of 16x16x16 colors at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.spaces import to_colors, to_points
from fastkq.engine.lloyd import farthest_points
from fastkq.types import Array, UInt8Array

# Cubes of colors, by the low bits of a Morton code: 8x8x8 for the grid that seeds are chosen on;
# 16x16x16, 32x32x32 and 64x64x64 for the boxes that candidates are filtered for.
GRID_BITS = 9
CELL_BITS = 12
PARENT_BITS = 15
ROOT_BITS = 18
MAX_CHUNKS = 64  # partial sums; fixed by the data, not by the threads
COLORS_PER_CHUNK = 8192
CHUNK_STRIDE = 4
WORK = ("tested", "candidates", "distances")  # what `ColorCells.work` counts


def _starts_of_runs(values: Array) -> NDArray[np.int64]:
    """Return where each run of equal values starts, and the end of the last."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate([[0], changes, [len(values)]]).astype(np.int64)


def _numbers_of_runs(starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return for each value the number of its run."""
    return np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))


def _enclose(boxes: Array, starts: NDArray[np.int64]) -> Array:
    """Return the bounding box of each run of boxes (n, 6): low and high corner."""
    first = starts[:-1]
    low = np.minimum.reduceat(boxes[:, :3], first)
    high = np.maximum.reduceat(boxes[:, 3:], first)
    return np.concatenate([low, high], axis=1)


def pad_centers(centers: Array) -> tuple[Array, NDArray[np.int32]]:
    """Return centers (K, 3) as the kernels take them: (3, W) float32 and names (W,).

    W is a whole number of vectors; the padding lies where no color is near.
    """
    lanes = kernels.candidates.LANES
    width = -(-len(centers) // lanes) * lanes
    padded = np.full((3, width), kernels.candidates.FAR)
    padded[:, : len(centers)] = centers.T
    return padded, np.arange(width, dtype=np.int32)


class ColorCells:
    """The colors of a histogram, their cells, and what one Lloyd step needs to know of each cell.

    It gives the labels and sums that `DensePoints` over all the pixels gives, at the price of a few
    distances a distinct color: see `kernels.cells`. It keeps the labels of its last assignment,
    since the sums of the next differ only by what changes; so it serves one thread at a time.

    Cells are cubes of sRGB in any space: what a center must be near to is the box around the points
    of a cell's colors.

    Attributes
    ----------
    space : str, one of `spaces.COLOR_SPACES`
    codes : (U,) uint32, the Morton codes of the opaque colors of the histogram
    points : (3, U) float32, the colors in the space, whole numbers
    weights : (U,) float64, the pixel counts
    grid_ids : (n_cubes,) uint32, the Morton codes of the occupied cubes of the grid
    grid_totals : (n_cubes, 5) float64, sums of weight, weight * color, weight * squared norm
    """

    def __init__(self, histogram: ColorHistogram, space: str = "srgb") -> None:
        n_colors, lanes = len(histogram.codes), kernels.candidates.LANES
        self.space = space
        self.codes = histogram.codes
        self._histogram = histogram
        self._padded = np.zeros((3, n_colors + lanes), np.float32)
        self.points = self._padded[:, :n_colors]
        if space == "srgb":
            kernels.histogram.decode_colors(histogram.codes, self._padded)
        else:
            self.points[:] = to_points(histogram.colors, space).T
        self.weights = histogram.counts.astype(np.float64)

        ids = histogram.codes >> np.uint32(GRID_BITS)
        grid_starts = _starts_of_runs(ids)
        self.grid_ids = ids[grid_starts[:-1]]
        self.grid_totals = np.empty((len(self.grid_ids), 5))
        grid_boxes = np.empty((len(self.grid_ids), 6), np.float32)
        kernels.cells.measure_cells(
            self._padded, self.weights, grid_starts, grid_boxes, self.grid_totals
        )

        cell_ids = self.grid_ids >> np.uint32(CELL_BITS - GRID_BITS)
        firsts = _starts_of_runs(cell_ids)
        cell_ids = cell_ids[firsts[:-1]]
        self._starts = grid_starts[firsts]
        boxes = _enclose(grid_boxes, firsts)
        self._totals = np.add.reduceat(self.grid_totals, firsts[:-1])
        parent_ids = cell_ids >> np.uint32(PARENT_BITS - CELL_BITS)
        parent_starts = _starts_of_runs(parent_ids)
        parent_boxes = _enclose(boxes, parent_starts)
        self._parents = _numbers_of_runs(parent_starts)
        root_ids = parent_ids[parent_starts[:-1]] >> np.uint32(ROOT_BITS - PARENT_BITS)
        root_starts = _starts_of_runs(root_ids)
        self._roots = _numbers_of_runs(root_starts)
        self._boxes = np.concatenate([_enclose(parent_boxes, root_starts), parent_boxes, boxes])

        # Chunks of cells with about equally many colors each.
        n_chunks = max(1, min(MAX_CHUNKS, n_colors // COLORS_PER_CHUNK))
        bounds = np.searchsorted(self._starts, np.arange(n_chunks + 1) * n_colors // n_chunks)
        # Neighbours cost alike, and a thread takes a run of chunks: spread them over all colors.
        order = np.argsort(np.arange(n_chunks) % CHUNK_STRIDE, kind="stable")
        self._chunks = np.stack([bounds[:-1], bounds[1:]], axis=1)[order].astype(np.int64)

        self._owners = np.empty(len(cell_ids), np.int32)
        self._labels = np.empty(n_colors + lanes, np.uint8)
        self._sums = np.empty((0, 4))
        self._work = np.zeros((n_chunks, len(WORK)), np.int64)

    @property
    def squared_norm(self) -> float:
        """The sum of count * squared norm over all colors."""
        return float(self.grid_totals[:, 4].sum())

    @property
    def work(self) -> dict[str, int]:
        """What all assignments took until now.

        By the names in `WORK`: how many centers were tested for boxes, how many were kept as the
        candidates of cells, and how many distances from colors to these were computed.
        """
        return dict(zip(WORK, self._work.sum(axis=0).tolist(), strict=True))

    @property
    def variance(self) -> float:
        """The mean variance of a channel."""
        weight, *sums = self.grid_totals[:, :4].sum(axis=0)
        mean = np.array(sums) / weight
        return float((self.squared_norm / weight - np.sum(mean**2)) / len(mean))

    def accumulate(self, centers: Array) -> Array:
        """Assign the colors to their nearest centers.

        Parameters
        ----------
        centers : (K, 3) up to 256

        Returns
        -------
        (K, 4) float64
            Of each cluster, the sum of the counts and of count * color.
        """
        if len(centers) != len(self._sums):
            self._owners.fill(kernels.cells.UNASSIGNED)
            self._sums = np.zeros((len(centers), 4))
        padded, names = pad_centers(centers)
        partials = np.empty((len(self._chunks), len(centers), 4))
        kernels.cells.assign_and_accumulate(
            self._padded,
            self.weights,
            self._starts,
            self._totals,
            self._boxes,
            self._parents,
            self._roots,
            self._chunks,
            padded,
            names,
            self._owners,
            self._labels,
            partials,
            self._work,
        )
        self._sums += partials.sum(axis=0)  # integers: exact
        return self._sums.copy()

    def assign(self, centers: Array) -> tuple[UInt8Array, Array]:
        """Return the nearest centers (U,), ties to the lowest index, and the sums (K, 4)."""
        sums = self.accumulate(centers)
        labels = np.empty(len(self.weights), np.uint8)
        kernels.cells.fill_labels(self._starts, self._owners, self._labels, labels)
        return labels, sums

    def moments(self, centers: Array) -> Array:
        """Assign; return the clusters' sums of weight, colors and products of channels.

        Parameters
        ----------
        centers : (K, 3) up to 256

        Returns
        -------
        (K, 10) float64
            Sums of count, count * color, and count times the products of channels 00 11 22 01 02
            12.
        """
        labels, _ = self.assign(centers)
        partials = np.empty((len(self._chunks), len(centers), 10))
        kernels.cells.sum_moments(self.points, self.weights, labels, partials)
        return np.asarray(partials.sum(axis=0))

    def farthest(self, centers: Array, n_points: int) -> Array:
        """Return the points (n_points, 3) that are farthest from their nearest center."""
        labels, _ = self.assign(centers)
        distances = squared_distances(self.points, centers, labels)
        return farthest_points(self.points.T, distances, n_points)

    def assign_palette(self, palette: UInt8Array) -> tuple[UInt8Array, Array]:
        """Return what `assign` does for the points of 8-bit colors (K, 3)."""
        return self.assign(to_points(palette, self.space))

    def farthest_colors(self, palette: UInt8Array, n_colors: int) -> UInt8Array:
        """Return the 8-bit colors (n_colors, 3) that a palette (K, 3) serves worst."""
        return to_colors(self.farthest(to_points(palette, self.space), n_colors), self.space)

    def squared_error(self, palette: UInt8Array, labels: UInt8Array) -> float:
        """Return the squared error in sRGB of all pixels, if their colors have these labels."""
        colors = self.points
        if self.space != "srgb":
            colors = self._histogram.colors.astype(np.float32).T
        return float(np.sum(squared_distances(colors, palette, labels) * self.weights))


def squared_distances(points: Array, centers: Array, labels: UInt8Array) -> Array:
    """Return the squared distances (U,) of points (3, U) to the centers (K, 3) of their labels."""
    differences = points - np.take(centers.astype(np.float32).T, labels, axis=1)
    first, second, third = differences * differences
    return np.asarray(first + second + third)
