"""Lloyd's loop, iteration by iteration as scikit-learn's `KMeans` runs it.

`lloyd.lloyd` stops by the shift of the centers and moves an empty cluster to the point that is
farthest from all centers. scikit-learn also stops when no label changes, and takes a sample out of
its cluster for each empty one; so its labels, centers and number of iterations are these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.histogram import CODE_BITS, encode_colors, histogram_of_array
from fastkq.colors.pixels import as_rows
from fastkq.engine.dense import DensePoints
from fastkq.types import MAX_COLORS, Array, UInt8Array


@dataclass(frozen=True, eq=False)
class Clustering:
    """Where one run of K-means ended.

    Attributes
    ----------
    centers : (K, C), in the dtype of the samples
    labels : (U,) int32, of the distinct samples
    inertia : float, the sum of weight * squared distance to the own center
    n_iter : int
    """

    centers: Array
    labels: NDArray[np.int32]
    inertia: float
    n_iter: int


class Samples:
    """Samples as they are, each with its weight.

    Attributes
    ----------
    distinct : DensePoints, (U, C): what is compared with centers; here, all samples
    variance : float, the mean variance of a channel, of samples that count alike
    """

    def __init__(self, rows: Array, weights: Array) -> None:
        self.distinct = DensePoints(rows, weights)
        self.variance = float(np.mean(np.var(rows, axis=0, dtype=np.float64)))

    def worst(self, distances: Array, n_samples: int) -> tuple[NDArray[np.intp], Array]:
        """Return the rows and weights of the samples with the largest distances (U,)."""
        rows = np.argpartition(distances, -n_samples)[: -n_samples - 1 : -1]
        return rows, self.distinct.weights[rows]

    def spread(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the labels (N,) of all samples, from those of the distinct ones."""
        return labels


class PixelSamples(Samples):
    """RGB pixels that count alike: each distinct color is compared once, for all its pixels.

    Parameters
    ----------
    pixels : (N, 3) uint8
    scale : int
        The samples are the pixels divided by this. By 1, all sums are of whole numbers and exact.
    dtype : float32 or float64, of the samples
    """

    def __init__(self, pixels: UInt8Array, scale: int, dtype: np.dtype[Any]) -> None:
        self._pixels = as_rows(pixels)
        histogram = histogram_of_array(self._pixels[None])
        self._codes = histogram.codes
        rows = np.ascontiguousarray(histogram.colors, dtype) / dtype.type(scale)
        self.distinct = DensePoints(rows, histogram.counts.astype(np.float64))
        self.variance = self.distinct.variance

    def worst(self, distances: Array, n_samples: int) -> tuple[NDArray[np.intp], Array]:
        """Return the colors of the pixels with the largest distances, and the weight of a pixel."""
        colors = self.spread(np.arange(len(self._codes), dtype=np.int32))
        farthest = np.argpartition(distances[colors], -n_samples)[: -n_samples - 1 : -1]
        return colors[farthest].astype(np.intp), np.ones(n_samples)

    def spread(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the labels (N,) of all pixels, from those of the colors."""
        if labels.max() >= MAX_COLORS:
            numbers = np.empty(1 << CODE_BITS, np.int32)
            numbers[self._codes] = labels
            return np.asarray(numbers[encode_colors(self._pixels)])
        table = np.zeros(1 << CODE_BITS, np.uint8)
        kernels.remap.fill_table(self._codes, labels.astype(np.uint8), table)
        found = np.empty(len(self._pixels), np.uint8)
        kernels.remap.remap_pixels(self._pixels, np.uint32(0), table, found)
        return found.astype(np.int32)


def strict_lloyd(
    samples: Samples,
    centers: Array,
    *,
    max_iter: int,
    tol: float,
    notify: Callable[[int, float], None] | None = None,
) -> Clustering:
    """Alternate assignment and update until no label changes, or the centers hardly move.

    Parameters
    ----------
    samples : Samples
    centers : (K, C)
        Where to start, in the dtype of the samples.
    max_iter : int
        At most so many iterations, 1 or more.
    tol : float
        Stop when the squared shifts of all centers add up to at most `tol` times the mean variance
        of a channel.
    notify : callable, optional
        Is called in each iteration with its number, from 0, and the inertia before its update.

    Returns
    -------
    Clustering
        Its labels are those of its centers.
    """
    points = samples.distinct
    before: NDArray[np.int32] | None = None
    for n_iter in range(1, max_iter + 1):
        labels, distances = points.assign(centers)
        if notify is not None:
            notify(n_iter - 1, float(np.sum(points.weights * distances)))
        sums = points.sum_clusters(labels, len(centers))
        relocate_empty(samples, sums, labels, distances)
        means = average(sums).astype(centers.dtype)
        shift = float(np.sum(np.square(means - centers, dtype=np.float64)))
        centers = means
        is_same = before is not None and np.array_equal(labels, before)
        if is_same and shift == 0:  # and so are the distances
            break
        if is_same or shift <= tol * samples.variance or n_iter == max_iter:
            labels, distances = points.assign(centers)
            break
        before = labels
    return Clustering(centers, labels, float(np.sum(points.weights * distances)), n_iter)


def relocate_empty(
    samples: Samples, sums: Array, labels: NDArray[np.int32], distances: Array
) -> None:
    """Give each cluster without weight a sample of its own, one of those served worst.

    Parameters
    ----------
    samples : Samples
    sums : (K, 1 + C) float64
        Sums of weight and weight * sample of each cluster; changed in place.
    labels, distances : (U,)
        Of the distinct samples.
    """
    (empty,) = np.nonzero(sums[:, 0] == 0)
    if len(empty) == 0 or distances.max() == 0:  # no more distinct samples than clusters
        return
    rows, weights = samples.worst(distances, len(empty))
    for cluster, row, weight in zip(empty, rows, weights, strict=True):
        moved = weight * np.concatenate([[1.0], samples.distinct.points[row]])
        sums[labels[row]] -= moved
        sums[cluster] = moved


def average(sums: Array) -> Array:
    """Return the means (K, C) of the clusters; one without weight lies where the heaviest does."""
    weights = sums[:, 0]
    means = sums[:, 1:] / np.where(weights > 0, weights, 1)[:, None]
    means[weights <= 0] = means[weights.argmax()]
    return np.asarray(means)
