"""Leave the local minima of K-means: take centers from where they are missed least.

Lloyd moves centers only to their neighbours, so it keeps two centers in one cluster of colors and
one in two. Each round here merges the pairs of clusters whose union costs least (Ward 1963,
doi:10.1080/01621459.1963.10500845), splits as many clusters with the largest errors along their
longest axes, and runs Lloyd; what is not better is dropped, and the next round is bolder or more
timid: after breathing K-means (Fritzke 2020, arXiv:2006.15666), which adds before it removes and
so needs more centers than were asked for. Where no round helps any more, half of the centers move
at once, for better or worse, and the rounds begin again; the better of the two ends is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastkq.engine.cells import ColorCells
from fastkq.engine.lloyd import Points, lloyd
from fastkq.types import Array

FIRST_SHARE = 4  # the first round moves a quarter of the centers
KICK_SHARE = 2  # half of the centers
MAX_ROUNDS = 100
MAX_FAILURES = 16  # single centers that are tried in vain, one after the other, before it ends
LEAST_GAIN = 1e-6  # of the inertia; less is not worth a round
# Lloyd within a round, which only has to show whether it pays; and at the end. Shares of `tol`.
ROUND_MAX_ITER, ROUND_TOL = 10, 0.3
KICK_MAX_ITER = 3
LAST_TOL = 0.1


@dataclass(frozen=True, eq=False)
class Clusters:
    """What an assignment to centers tells of the clusters.

    Attributes
    ----------
    weights : (K,) float64
    means : (K, C) float64; the center itself where a cluster is empty or its center locked
    covariances : (K, C, C) float64, around the means, or the locked centers
    n_locked : int, clusters, the first, whose centers are locked
    is_flat : (K,) bool, or None: none
        Whose centers keep a last coordinate of 0. They and the others do not replace each other.
    other_error : float
        Of points that belong to none of these clusters.
    """

    weights: Array
    means: Array
    covariances: Array
    n_locked: int = 0
    is_flat: NDArray[np.bool_] | None = None
    other_error: float = 0.0

    @property
    def inertia(self) -> float:
        """The error of all points."""
        return float(self.errors.sum()) + self.other_error

    @property
    def errors(self) -> Array:
        """The inertia of each cluster around its mean, (K,)."""
        return np.asarray(self.weights * np.trace(self.covariances, axis1=1, axis2=2))

    @cached_property  # several rounds may begin with the same clusters
    def merger_costs(self) -> Array:
        """By how much the inertia grows if two clusters become one, (K, K)."""
        weights = self.weights
        distances = np.zeros((len(weights), len(weights)))
        for column in self.means.T:  # in a fourth of the time of all columns at once
            distances += np.square(column[:, None] - column)
        totals = np.maximum(weights[:, None] + weights, 1)
        costs: Array = weights[:, None] * weights / totals * distances
        # A locked center does not move to meet the other cluster, and is not given up for it.
        costs[:, : self.n_locked] = weights[:, None] * distances[:, : self.n_locked]
        costs[: self.n_locked] = np.inf
        if self.is_flat is not None:
            costs[self.is_flat[:, None] != self.is_flat] = np.inf
        np.fill_diagonal(costs, np.inf)
        return costs


def escape(
    colors: Points,
    centers: Array,
    measure: Callable[[Array], Clusters],
    *,
    tol: float,
    relaxation: float,
    max_iter: int,
    n_locked: int = 0,
) -> tuple[Array, int]:
    """Improve centers that Lloyd no longer improves.

    Parameters
    ----------
    colors
        What Lloyd goes on over.
    centers : (K, C) float32
        Where it ended.
    measure : callable
        Assigns the colors to centers and returns the clusters, such as `measure_clusters`.
    tol, relaxation, max_iter, n_locked
        As in `kmeans.lloyd`; `max_iter` is for the last one. Locked clusters take in others, but
        are neither merged away nor split.

    Returns
    -------
    centers : (K, C) float32
        With an inertia no larger than that of the given ones.
    n_iter : int
        Iterations done.
    """
    steps = Steps(colors, measure, tol, relaxation, n_locked)
    best = _improve(steps, measure(centers))
    moved = pick_mergers(best, len(centers) // KICK_SHARE, set())
    kicked = steps.move(best, moved, max_iter=KICK_MAX_ITER)
    best = min(best, _improve(steps, kicked), key=lambda clusters: clusters.inertia)
    means = steps.lloyd(best.means.astype(np.float32), max_iter=max_iter, share=LAST_TOL)
    return means, steps.n_iter


class Steps:
    """Lloyd over colors, as often as wanted; it counts the iterations."""

    def __init__(
        self,
        colors: Points,
        measure: Callable[[Array], Clusters],
        tol: float,
        relaxation: float,
        n_locked: int,
    ) -> None:
        self._colors, self._measure, self._tol = colors, measure, tol
        self._relaxation, self._n_locked = relaxation, n_locked
        self.n_iter = 0

    def lloyd(self, start: Array, *, max_iter: int, share: float) -> Array:
        """Return where Lloyd ends, with so large a share of the tolerance."""
        ended, n_iter = lloyd(
            self._colors,
            start,
            max_iter=max_iter,
            tol=share * self._tol,
            relaxation=self._relaxation,
            n_locked=self._n_locked,
        )
        self.n_iter += n_iter
        return ended

    def move(self, clusters: Clusters, moved: NDArray[np.intp], *, max_iter: int) -> Clusters:
        """Return what becomes of clusters where the centers of some go to others."""
        start = move_centers(clusters, moved)
        ended = self.lloyd(start, max_iter=max_iter, share=ROUND_TOL)
        return self._measure(ended)


def improve(
    colors: Points,
    centers: Array,
    measure: Callable[[Array], Clusters],
    *,
    n_rounds: int,
    tol: float,
    relaxation: float,
    max_iter: int,
    n_locked: int = 0,
) -> tuple[Array, int]:
    """Improve centers by a few rounds only; for the parameters, see `escape`."""
    steps = Steps(colors, measure, tol, relaxation, n_locked)
    best = _improve(steps, measure(centers), n_rounds)
    means = steps.lloyd(best.means.astype(np.float32), max_iter=max_iter, share=1)
    return means, steps.n_iter


def _improve(steps: Steps, best: Clusters, n_rounds: int = MAX_ROUNDS) -> Clusters:
    """Go on by rounds, from bold ones to single centers, until none helps or all are done."""
    n_colors = len(best.means)
    n_moved = max(1, n_colors // FIRST_SHARE)
    failed: set[int] = set()
    for _ in range(n_rounds):
        moved = pick_mergers(best, n_moved, failed)
        if len(moved) == 0:
            break
        found = steps.move(best, moved, max_iter=ROUND_MAX_ITER)
        if found.inertia < best.inertia * (1 - LEAST_GAIN):
            best, failed = found, set()
        elif n_moved > 1:
            n_moved //= 2
        else:
            failed.update(moved.tolist())
        if len(failed) >= min(MAX_FAILURES, (n_colors - best.n_locked) // 2):
            break
    return best


def measure_clusters(cells: ColorCells, centers: Array, n_locked: int = 0) -> Clusters:
    """Assign the colors to centers; return the moments of the clusters."""
    moments = cells.moments(centers)
    weights = moments[:, 0]
    divisors = np.maximum(weights, 1)[:, None]
    means = np.where(weights[:, None] > 0, moments[:, 1:4] / divisors, centers)
    # The order of the moments: 00 11 22 01 02 12.
    squares = (moments[:, 4:] / divisors)[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(-1, 3, 3)
    covariances = squares - means[:, :, None] * means[:, None, :]
    # Around another point than the mean, by the square of the way there.
    ways = (means - centers)[:n_locked]
    covariances[:n_locked] += ways[:, :, None] * ways[:, None, :]
    means[:n_locked] = centers[:n_locked]
    covariances[weights == 0] = 0
    return Clusters(weights, means, covariances, n_locked)


def pick_mergers(clusters: Clusters, n_moved: int, excluded: set[int]) -> NDArray[np.intp]:
    """Return the clusters that are missed least, at most one of a pair."""
    costs = clusters.merger_costs
    partners, least = costs.argmin(axis=1), costs.min(axis=1)
    picked: list[int] = []
    kept = excluded.union(range(clusters.n_locked))
    for cluster in np.argsort(least, kind="stable").tolist():
        if len(picked) == n_moved:
            break
        if cluster not in kept and np.isfinite(least[cluster]):
            picked.append(cluster)
            kept.add(int(partners[cluster]))
    return np.array(picked, np.intp)


def move_centers(clusters: Clusters, moved: NDArray[np.intp]) -> Array:
    """Put the centers of some clusters into those with the largest errors; return all (K, C).

    A cluster is split at a standard deviation on either side of its mean, along its longest axis.
    The partners that take the merged clusters' colors are not split.
    """
    errors = clusters.errors.copy()
    errors[moved] = -1
    errors[clusters.merger_costs[moved].argmin(axis=1)] = -1
    errors[: clusters.n_locked] = -2  # chosen after all others, which are as many as are moved
    split = np.argsort(-errors, kind="stable")[: len(moved)]
    covariances = clusters.covariances[split]
    is_flat = np.zeros(len(split), np.bool_)
    if clusters.is_flat is not None:
        is_flat = clusters.is_flat[split]
        covariances[is_flat, :, -1] = covariances[is_flat, -1] = 0
    variances, axes = np.linalg.eigh(covariances)
    offsets = axes[:, :, -1] * np.sqrt(np.maximum(variances[:, -1:], 0))
    offsets[is_flat, -1] = 0
    # The sign of an axis is the library's choice: let it point to the light.
    offsets *= np.where(offsets.sum(axis=1, keepdims=True) < 0, -1, 1)
    centers = clusters.means.copy()
    centers[split] -= offsets
    centers[moved] = clusters.means[split] + offsets
    return centers.astype(np.float32)
