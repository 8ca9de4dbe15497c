"""Where K-means starts: random points, greedy k-means++, Wu's variance cut.

Each returns up to K centers; fewer where it finds fewer distinct points. `bench/kodak.py` measures
where K-means ends from each, and after how long: Wu's cut costs least and ends best or within 1 %,
k-means++ ends as well, random pixels 9 to 15 % worse.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import as_rows
from fastkq.types import Array

if TYPE_CHECKING:  # to name NumPy's random module is to load it, 10 ms of each process
    Random: TypeAlias = np.random.Generator | np.random.RandomState

DRAW_ROUNDS = 100  # of random_points, before it gives up finding more distinct points
GRID_BITS = 5  # of a channel: Wu's grid has 32^3 cells, as the histogram does
MAX_CHUNKS = 64
POINTS_PER_CHUNK = 2048


def random_points(points: Array, weights: Array, n_clusters: int, rng: Random) -> Array:
    """Draw random points with probability by weight, distinct in value.

    Parameters
    ----------
    points : (N, C)
    weights : (N,)
        The pixels that each stands for: drawing colors by count is drawing pixels.
    """
    chosen: dict[bytes, int] = {}
    for _ in range(DRAW_ROUNDS):
        for i in _draw(weights, n_clusters, rng):
            chosen.setdefault(points[i].tobytes(), i)
        if len(chosen) >= n_clusters:
            break
    return points[list(chosen.values())[:n_clusters]]


def kmeans_plus_plus(points: Array, weights: Array, n_clusters: int, rng: Random) -> Array:
    """Choose centers by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each next center is the best of 2 + log K points, drawn with probability by weight and squared
    distance to the centers so far.
    """
    n_trials = 2 + int(math.log(n_clusters))
    n_chunks = max(1, min(MAX_CHUNKS, len(points) // POINTS_PER_CHUNK))
    partials = np.empty((n_chunks, n_trials))
    closest = np.full(len(points), np.inf)
    points, weights = as_rows(points), as_rows(weights)
    centers = [points[_draw(weights, 1, rng)[0]].copy()]
    while True:
        kernels.dense.lower_closest(points, centers[-1], closest)
        inertias = weights * closest
        if len(centers) == n_clusters or not inertias.any():
            return np.array(centers)
        trials = points[_draw(inertias, n_trials, rng)]
        kernels.dense.sum_potentials(points, weights, closest, trials, partials)
        centers.append(trials[partials.sum(axis=0).argmin()])


def wu_centers(cells: Array, totals: Array, n_clusters: int) -> Array:
    """Cut the occupied cells of a color cube into boxes of small variance; return their means.

    Wu's quantizer: Xiaolin Wu, "Efficient Statistical Computations for Optimal Color Quantization",
    Graphics Gems II, 1991, pp. 126-133.

    Parameters
    ----------
    cells : (n_cells, 3) integer
        Positions in a grid of 32^3.
    totals : (n_cells, 5) float64
        Of each cell, the sums of weight, weight * color and weight * squared norm.

    Returns
    -------
    (K, 3) float32, K up to `n_clusters` and to the number of cells
    """
    size = 1 + (1 << GRID_BITS)
    moments = np.zeros((size, size, size, totals.shape[1]))
    red, green, blue = cells.T.astype(np.intp) + 1
    moments[red, green, blue] = totals
    kernels.wu.cumulate_moments(moments)
    centers = np.empty((n_clusters, 3))
    n_boxes = kernels.wu.cut_boxes(moments, centers)
    return centers[:n_boxes].astype(np.float32)


def _draw(weights: Array, n_draws: int, rng: Random) -> Array:
    """Draw indices with probability by weight, with repetition."""
    cumulative = np.cumsum(weights)
    draws = np.searchsorted(cumulative, rng.random(n_draws) * cumulative[-1], side="right")
    # Rounding may reach the total: take the last index that has a weight.
    return np.asarray(np.minimum(draws, np.searchsorted(cumulative, cumulative[-1])))
