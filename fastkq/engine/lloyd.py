"""K-means (Lloyd 1982): assign, update, until converged or `max_iter`.

`lloyd` is the textbook loop, over anything that can add up its clusters: `DensePoints` compares
every point with every center and is the plain algorithm; `cells.ColorCells` gives the same result
from the histogram of an image.

The update may be over-relaxed: a center goes past the mean of its cluster, by a share of the way. A
cluster's error is least at its mean and grows with the squared distance from it, so with less than
twice the way no step increases the error; and since clusters drift in one direction over many
iterations, half of them lead as far.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastkq.types import Array

MAX_RELAXATION = 1.9  # at 2 an update would gain nothing
# Below this share of the variance, updates go to the means: they end there instead of circling.
LEAST_RELAXED_SHIFT = 1e-6


class Points(Protocol):
    """What the Lloyd loop needs to know of the data."""

    @property
    def variance(self) -> float:
        """The mean variance of a channel."""

    def accumulate(self, centers: Array) -> Array:
        """Assign; return each cluster's sums of weight and weight * point, (K, 1 + C)."""

    def farthest(self, centers: Array, n_points: int) -> Array:
        """Return the points (n_points, C) that are farthest from their nearest center."""


def lloyd(
    points: Points,
    centers: Array,
    *,
    max_iter: int,
    tol: float,
    relaxation: float = 1.0,
    n_locked: int = 0,
) -> tuple[Array, int]:
    """Alternate assignment and update until the centers stand still.

    Parameters
    ----------
    points
        The data.
    centers : (K, C)
        Where to start; their dtype is kept.
    max_iter : int
        At most so many iterations.
    tol : float
        Stop when the squared distances of all centers to the means of their clusters add up to at
        most `tol` times the mean variance of a channel, as scikit-learn does. 0: when no center
        moves.
    relaxation : float
        How far an update goes, of the way to the means: 1 is Lloyd's, up to 1.9 is faster.
    n_locked : int
        So many centers, the first, stay where they are, with points or without.

    Returns
    -------
    centers : (K, C)
        The locked ones, and the means of the other clusters of the last assignment.
    n_iter : int
    """
    variance = points.variance
    for n_iter in range(1, max_iter + 1):
        sums = points.accumulate(centers)
        empty = sums[:, 0] == 0
        empty[:n_locked] = False
        updated = update(sums, centers)
        updated[:n_locked] = centers[:n_locked]
        means = replace_empty(points, updated, empty)
        way = means - centers
        shift = np.sum(np.square(way, dtype=np.float64))
        if shift <= tol * variance or n_iter == max_iter:
            return means, n_iter
        centers = means
        if relaxation > 1 and shift > LEAST_RELAXED_SHIFT * variance:
            way[empty] = 0
            centers = means + (relaxation - 1) * way
    return centers, max_iter


def update(sums: Array, centers: Array) -> Array:
    """Return the means of the clusters; a cluster without points keeps its center."""
    updated = centers.copy()
    used = sums[:, 0] > 0
    updated[used] = sums[used, 1:] / sums[used, :1]
    return updated


def replace_empty(points: Points, centers: Array, empty: NDArray[np.bool_]) -> Array:
    """Move the centers of empty clusters to the points that the others serve worst."""
    if empty.any():
        centers[empty] = points.farthest(centers[~empty], int(empty.sum()))
    return centers


def farthest_points(points: Array, distances: Array, n_points: int) -> Array:
    """Pick points one after the other, each the farthest from all centers and earlier picks.

    Ties go to the point that comes first by its coordinates, so that neither the order nor the
    number of equal points matters.

    Parameters
    ----------
    points : (N, C)
    distances : (N,)
        Squared distance of each point to its nearest center; a negative one is never picked.
    n_points : int

    Returns
    -------
    (n_points, C) in the dtype of the points
    """
    picked = np.empty((n_points, points.shape[1]), points.dtype)
    for pick in picked:
        tied = points[distances == distances.max()]
        pick[:] = tied[np.lexsort(tied.T[::-1])[0]]
        distances = np.minimum(distances, np.sum((points - pick) ** 2, axis=1))
    return picked


def complete_centers(points: Points, centers: Array, n_clusters: int) -> Array:
    """Add the farthest points to centers that are fewer than wanted."""
    missing = n_clusters - len(centers)
    if missing == 0:
        return centers
    return np.concatenate([centers, points.farthest(centers, missing).astype(centers.dtype)])
