"""Kernels that cut weighted points of four coordinates into clusters, for seeds.

Method: as Wu's second quantizer (1992, doi:10.1145/146443.146475), the cluster that gains most from
it is cut across its longest axis, where the two halves have the least error. Where to cut is found
among N_BINS places. A cut looks at the points of one cluster only, so that 256 clusters take about
as long as ten iterations over all points.
"""

import numpy as np

from fastkq.kernels.compile import kernel

N_BINS = 128
N_POWERS = 12  # multiplications by the covariances, for their longest axis


@kernel()
def longest_axis(
    points,  # (N, 4) float64, IN
    weights,  # (N,) float64, IN
    start,  # the cluster's points ...
    stop,
    mean,  # (4,) float64, OUT
    axis,  # (4,) float64, OUT: a unit vector; zero where all points are one
):
    """Find the axis along which a cluster's points differ most."""
    total = 0.0
    covariances = np.zeros((4, 4))
    for a in range(4):
        mean[a] = 0.0
    for i in range(start, stop):
        total += weights[i]
        for a in range(4):
            mean[a] += weights[i] * points[i, a]
    for a in range(4):
        mean[a] /= total
    for i in range(start, stop):
        for a in range(4):
            away = weights[i] * (points[i, a] - mean[a])
            for b in range(a, 4):
                covariances[a, b] += away * (points[i, b] - mean[b])
    widest = 0
    for a in range(4):
        for b in range(a):
            covariances[a, b] = covariances[b, a]
        if covariances[a, a] > covariances[widest, widest]:
            widest = a
    for a in range(4):
        axis[a] = covariances[a, widest]
    moved = np.empty(4)
    for _ in range(N_POWERS):
        length = 0.0
        for a in range(4):
            length += axis[a] * axis[a]
        if length <= 0:
            return
        for a in range(4):
            axis[a] /= np.sqrt(length)
        for a in range(4):
            moved[a] = 0.0
            for b in range(4):
                moved[a] += covariances[a, b] * axis[b]
        for a in range(4):
            axis[a] = moved[a]
    length = 0.0
    for a in range(4):
        length += axis[a] * axis[a]
    for a in range(4):
        axis[a] /= np.sqrt(length) if length > 0 else 1.0


@kernel()
def find_cut(
    points,  # (N, 4) float64, IN
    weights,  # (N,) float64, IN
    start,
    stop,
    bins,  # (N_BINS, 5) float64, OUT: scratch, sums of weight and weight * point
    axis,  # (4,) float64, OUT: across which to cut
):
    """Return the gain of the best cut of a cluster, 0 where there is none, and where it is."""
    mean = np.empty(4)
    longest_axis(points, weights, start, stop, mean, axis)
    low, high = np.inf, -np.inf
    for i in range(start, stop):
        place = 0.0
        for a in range(4):
            place += axis[a] * points[i, a]
        low, high = min(low, place), max(high, place)
    if not high > low:
        return 0.0, 0.0
    scale = N_BINS / (high - low)
    for part in range(N_BINS):
        for moment in range(5):
            bins[part, moment] = 0.0
    for i in range(start, stop):
        place = 0.0
        for a in range(4):
            place += axis[a] * points[i, a]
        part = min(np.int64((place - low) * scale), N_BINS - 1)
        bins[part, 0] += weights[i]
        for a in range(4):
            bins[part, 1 + a] += weights[i] * (points[i, a] - mean[a])
    total = 0.0
    for part in range(N_BINS):
        total += bins[part, 0]
    best, cut, weight = 0.0, 0.0, 0.0
    sums = np.zeros(4)
    for part in range(N_BINS - 1):
        weight += bins[part, 0]
        square = 0.0
        for a in range(4):
            sums[a] += bins[part, 1 + a]
            square += sums[a] * sums[a]
        # The sums around the mean of one half are the negatives of those of the other.
        if weight > 0 and total > weight:
            gain = square / weight + square / (total - weight)
            if gain > best:
                best, cut = gain, low + (part + 1) / scale
    return best, cut


@kernel()
def cut_cluster(
    points,  # (N, 4) float64, INOUT: reordered
    weights,  # (N,) float64, INOUT
    start,
    stop,
    axis,  # (4,) float64, IN
    cut,
):
    """Put a cluster's points that lie before a cut first; return where the others start."""
    low, high = start, stop - 1
    while low <= high:
        place = 0.0
        for a in range(4):
            place += axis[a] * points[low, a]
        if place < cut:
            low += 1
            continue
        for a in range(4):
            points[low, a], points[high, a] = points[high, a], points[low, a]
        weights[low], weights[high] = weights[high], weights[low]
        high -= 1
    return low


@kernel()
def cut_clusters(
    points,  # (N, 4) float64, INOUT: reordered
    weights,  # (N,) float64, INOUT: positive
    bounds,  # (K, 2) int64, INOUT: where the clusters start and stop; the first n_clusters given
    n_clusters,  # of the start, at least 1
    centers,  # (K, 4) float64, OUT: their means
):
    """Cut clusters into up to K, those with the largest gains first; return how many there are."""
    n_centers = bounds.shape[0]
    axes, cuts, gains = np.empty((n_centers, 4)), np.empty(n_centers), np.empty(n_centers)
    bins = np.empty((N_BINS, 5))
    for k in range(n_clusters):
        gains[k], cuts[k] = find_cut(points, weights, bounds[k, 0], bounds[k, 1], bins, axes[k])
    while n_clusters < n_centers:
        widest = 0
        for k in range(1, n_clusters):
            if gains[k] > gains[widest]:
                widest = k
        if gains[widest] <= 0:
            break
        start, stop = bounds[widest]
        middle = cut_cluster(points, weights, start, stop, axes[widest], cuts[widest])
        if middle in (start, stop):  # rounding left one side empty
            gains[widest] = 0.0
            continue
        bounds[widest, 1] = middle
        bounds[n_clusters, 0], bounds[n_clusters, 1] = middle, stop
        for k in (widest, n_clusters):
            gains[k], cuts[k] = find_cut(points, weights, bounds[k, 0], bounds[k, 1], bins, axes[k])
        n_clusters += 1
    for k in range(n_clusters):
        total = 0.0
        for a in range(4):
            centers[k, a] = 0.0
        for i in range(bounds[k, 0], bounds[k, 1]):
            total += weights[i]
            for a in range(4):
                centers[k, a] += weights[i] * points[i, a]
        for a in range(4):
            centers[k, a] /= total
    return n_clusters
