"""Textbook K-means over any points: every point is compared with every center."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastkq import kernels
from fastkq.colors.pixels import as_rows
from fastkq.engine import seeding
from fastkq.engine.lloyd import MAX_RELAXATION, complete_centers, farthest_points, lloyd
from fastkq.engine.model import DEFAULT_MAX_ITER
from fastkq.types import Array
from fastkq.validate import check_integer, check_number

DEFAULT_TOL = 1e-4


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


class DensePoints:
    """Points (N, C) as they are: every point is compared with every center."""

    def __init__(self, points: Array, weights: Array) -> None:
        self.points: Array = as_rows(points)
        self.weights: Array = as_rows(weights)
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
        beyond = np.full((-len(centers) % kernels.dense.GROUP, centers.shape[1]), np.inf)
        padded = np.concatenate([centers, beyond.astype(centers.dtype)])
        n_blocks = -(-len(self.points) // kernels.dense.BLOCK)
        kernels.dense.assign(n_blocks, self.points, padded, labels, distances)
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
