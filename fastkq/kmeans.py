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

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastkq import kernels, seeding
from fastkq.types import Array
from fastkq.validate import check_integer, check_number

DEFAULT_MAX_ITER = 300
DEFAULT_TOL = 1e-4
MAX_RELAXATION = 1.9  # at 2 an update would gain nothing
# Below this share of the variance, updates go to the means: they end there instead of circling.
LEAST_RELAXED_SHIFT = 1e-6
MAX_CHUNKS = 64  # partial sums; fixed by the data, not by the threads
POINTS_PER_CHUNK = 2048
VARIANCE_BLOCK = 1 << 16  # points that are widened to float64 at a time


@dataclass(frozen=True, eq=False)
class KMeansResult:
    """What `kmeans` found.

    Attributes
    ----------
    centers : (K, C), in the dtype of the points
    labels : (N,) int32, the nearest center of each point, ties to the lowest index
    inertia : float, the sum of weight * squared distance to the nearest center
    n_iter : int, iterations done
    """

    centers: Array
    labels: NDArray[np.int32]
    inertia: float
    n_iter: int


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


class DensePoints:
    """Points (N, C) as they are: every point is compared with every center."""

    def __init__(self, points: Array, weights: Array) -> None:
        self.points = points
        self.weights = weights
        self._n_chunks = max(1, min(MAX_CHUNKS, len(points) // POINTS_PER_CHUNK))

    @property
    def variance(self) -> float:
        """The mean variance of a channel."""
        one_cluster = np.zeros(len(self.points), np.int32)
        weight, *sums = self.sum_clusters(one_cluster, 1)[0]
        mean = np.array(sums) / weight
        spread = 0.0
        for start in range(0, len(self.points), VARIANCE_BLOCK):
            block = slice(start, start + VARIANCE_BLOCK)
            spread += float(np.sum(self.weights[block, None] * (self.points[block] - mean) ** 2))
        return spread / float(weight) / len(mean)

    def assign(self, centers: Array) -> tuple[NDArray[np.int32], Array]:
        """Return the labels of the nearest centers (N,) and the squared distances (N,)."""
        labels = np.empty(len(self.points), np.int32)
        distances = np.empty(len(self.points), self.points.dtype)
        beyond = -len(centers) % kernels.dense.GROUP
        padded = np.pad(centers, ((0, beyond), (0, 0)), constant_values=np.inf)
        kernels.dense.assign(self.points, padded, labels, distances)
        return labels, distances

    def accumulate(self, centers: Array) -> Array:
        """Return the cluster sums (K, 1 + C) of one assignment to centers."""
        labels, _ = self.assign(centers)
        return self.sum_clusters(labels, len(centers))

    def farthest(self, centers: Array, n_points: int) -> Array:
        """Return the points (n_points, C) that are farthest from their nearest center."""
        _, distances = self.assign(centers)
        distances[self.weights == 0] = -1
        return farthest_points(self.points, distances, n_points)

    def sum_clusters(self, labels: NDArray[np.int32], n_clusters: int) -> Array:
        """Return the cluster sums (K, 1 + C) of labels (N,)."""
        partials = np.empty((self._n_chunks, n_clusters, 1 + self.points.shape[1]))
        kernels.dense.accumulate(self.points, self.weights, labels, partials)
        return np.asarray(partials.sum(axis=0))


def kmeans(
    points: ArrayLike,
    n_clusters: int,
    *,
    sample_weight: ArrayLike | None = None,
    init: str | ArrayLike = "k-means++",
    max_iter: int = DEFAULT_MAX_ITER,
    tol: float = DEFAULT_TOL,
    relaxation: float = 1.0,
    random_state: int | np.random.Generator | None = 0,
) -> KMeansResult:
    """Cluster points by K-means, every point compared with every center.

    Parameters
    ----------
    points : (N, C) array_like
        float32 stays float32; every other real dtype is computed in float64.
    n_clusters : int
        1 to N.
    sample_weight : (N,) array_like, optional
        Weight of each point, 0 or more. Default: 1 each.
    init : {"k-means++", "random"} or (n_clusters, C) array_like
        The initial centers: greedy k-means++ (Arthur and Vassilvitskii 2007), the textbook's random
        distinct points, or those given.
    max_iter : int
        At most so many iterations, 1 or more.
    tol : float
        Stop when the squared shifts of all centers add up to at most `tol` times the mean variance
        of a channel. 0: when no center moves.
    relaxation : float
        How far an update goes, of the way to the means of the clusters, 1 to 1.9: 1 is the
        textbook's, 1.8 needs half as many iterations and never increases the error either.
    random_state : int, numpy.random.Generator or None
        Seed of the random choices; None takes a fresh one each time.

    Returns
    -------
    KMeansResult
        The same for the same input on any number of threads. A cluster that falls empty moves to
        the point farthest from its center; clusters stay empty only where there are fewer distinct
        points than clusters.

    Raises
    ------
    ValueError, TypeError
        What is not an array of finite numbers of these shapes and ranges.

    Examples
    --------
    >>> import fastkq
    >>> result = fastkq.kmeans([[0.0], [1.0], [10.0], [12.0]], 2)
    >>> sorted(result.centers.ravel().tolist()), result.inertia
    ([0.5, 11.0], 2.5)
    """
    points = _check_points(points, "points")
    weights = _check_weights(sample_weight, len(points))
    n_clusters = check_integer(n_clusters, "n_clusters", 1, len(points))
    max_iter = check_integer(max_iter, "max_iter", 1)
    tol = check_number(tol, "tol", 0)
    relaxation = check_number(relaxation, "relaxation", 1, MAX_RELAXATION)

    data = DensePoints(points, weights)
    if isinstance(init, str):
        rng = np.random.default_rng(random_state)
        if init == "k-means++":
            centers = seeding.kmeans_plus_plus(points, weights, n_clusters, rng)
        elif init == "random":
            centers = seeding.random_points(points, weights, n_clusters, rng)
        else:
            raise ValueError(f"init is {init!r}; use 'k-means++', 'random' or an array of centers")
        centers = complete_centers(data, centers, n_clusters)
    else:
        centers = check_init(init, n_clusters, points.shape[1]).astype(points.dtype)
    centers, n_iter = lloyd(data, centers, max_iter=max_iter, tol=tol, relaxation=relaxation)
    labels, distances = data.assign(centers)
    return KMeansResult(centers, labels, float(np.sum(weights * distances)), n_iter)


def complete_centers(points: Points, centers: Array, n_clusters: int) -> Array:
    """Add the farthest points to centers that are fewer than wanted."""
    missing = n_clusters - len(centers)
    if missing == 0:
        return centers
    return np.concatenate([centers, points.farthest(centers, missing).astype(centers.dtype)])


def check_init(init: ArrayLike, n_clusters: int, n_channels: int) -> Array:
    """Return the given initial centers as an array, if it has the right shape."""
    centers = _check_points(init, "init")
    if centers.shape != (n_clusters, n_channels):
        raise ValueError(
            f"init has shape {centers.shape}; for {n_clusters} centers it must be "
            f"({n_clusters}, {n_channels})"
        )
    return centers


def _check_points(points: ArrayLike, name: str) -> Array:
    array = np.asarray(points)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}; real numbers are allowed")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; (N, C) is allowed, N and C at least 1")
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    array = np.ascontiguousarray(array, dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite values; finite numbers are allowed")
    return array


def _check_weights(sample_weight: ArrayLike | None, n_points: int) -> Array:
    if sample_weight is None:
        return np.ones(n_points)
    weights = np.ascontiguousarray(sample_weight, np.float64)
    if weights.shape != (n_points,):
        raise ValueError(
            f"sample_weight has shape {weights.shape}; for {n_points} points it must be "
            f"({n_points},)"
        )
    if not (np.isfinite(weights).all() and weights.min() >= 0 and math.fsum(weights) > 0):
        raise ValueError("sample_weight must be finite, at least 0, and not all 0")
    return weights
