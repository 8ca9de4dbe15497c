"""Kernels of textbook K-means over (N, C) points: assign, update, and the seeding's trials.

Method: Lloyd (1982, doi:10.1109/TIT.1982.1056489), every point against every center. Distances are
in the points' own dtype and sums in float64. The work is cut into blocks and chunks that depend on
N alone, and partial sums are added in chunk order: the result is the same on any number of threads.
"""

import numpy as np

from fastkq.kernels.compile import kernel, prange

# Points compared at a time, as columns: the compiler then compares 8 or 16 of them at once. 23 ms
# for 406k points x 256 centers on 2 threads; a loop over one point at a time took 229 ms.
BLOCK = 256
LEAST_POINTS = 1 << 14  # that a thread is asked for
LEAST_BLOCKS = LEAST_POINTS // BLOCK
GROUP = 4  # centers that a point of three channels is compared with at a time, in registers


@kernel(inline=True)
def square(x):
    """Return x * x: what ** does to a NumPy scalar may differ in the last bit."""
    return x * x


@kernel(inline=True)
def compare_with_center(
    columns,  # (C, BLOCK) float32 or float64, IN
    centers,  # (>= K, C) like columns, IN
    k,  # which
    distance,  # (BLOCK,) like columns, OUT: scratch
    best,  # (BLOCK,) like columns, INOUT
    nearest,  # (BLOCK,) int32, INOUT
):
    """Compare points with a center."""
    for i in range(BLOCK):
        distance[i] = 0
    for channel in range(columns.shape[0]):
        c = centers[k, channel]
        for i in range(BLOCK):
            d = columns[channel, i] - c
            distance[i] += d * d
    for i in range(BLOCK):
        closer = distance[i] < best[i]
        best[i] = distance[i] if closer else best[i]
        nearest[i] = k if closer else nearest[i]


@kernel(inline=True)
def compare_with_group(
    columns,  # (3, BLOCK) float32 or float64, IN
    centers,  # (>= k + GROUP, 3) like columns, IN
    k,  # the first of GROUP
    best,  # (BLOCK,) like columns, INOUT
    nearest,  # (BLOCK,) int32, INOUT
):
    """Compare points of three channels with four centers: the same sums in half the time."""
    a0, a1, a2 = centers[k, 0], centers[k, 1], centers[k, 2]
    b0, b1, b2 = centers[k + 1, 0], centers[k + 1, 1], centers[k + 1, 2]
    c0, c1, c2 = centers[k + 2, 0], centers[k + 2, 1], centers[k + 2, 2]
    d0, d1, d2 = centers[k + 3, 0], centers[k + 3, 1], centers[k + 3, 2]
    a_name, b_name = np.int32(k), np.int32(k + 1)
    c_name, d_name = np.int32(k + 2), np.int32(k + 3)
    for i in range(BLOCK):
        x0, x1, x2 = columns[0, i], columns[1, i], columns[2, i]
        least, name = best[i], nearest[i]
        other = square(x0 - a0) + square(x1 - a1) + square(x2 - a2)
        name = a_name if other < least else name
        least = other if other < least else least
        other = square(x0 - b0) + square(x1 - b1) + square(x2 - b2)
        name = b_name if other < least else name
        least = other if other < least else least
        other = square(x0 - c0) + square(x1 - c1) + square(x2 - c2)
        name = c_name if other < least else name
        least = other if other < least else least
        other = square(x0 - d0) + square(x1 - d1) + square(x2 - d2)
        name = d_name if other < least else name
        least = other if other < least else least
        best[i] = least
        nearest[i] = name


@kernel(inline=True)
def compare_with_group_of_four(
    columns,  # (4, BLOCK) float32 or float64, IN
    centers,  # (>= k + GROUP, 4) like columns, IN
    k,  # the first of GROUP
    best,  # (BLOCK,) like columns, INOUT
    nearest,  # (BLOCK,) int32, INOUT
):
    """Compare points of four channels with four centers, as `compare_with_group` does."""
    a0, a1, a2, a3 = centers[k, 0], centers[k, 1], centers[k, 2], centers[k, 3]
    b0, b1, b2, b3 = centers[k + 1, 0], centers[k + 1, 1], centers[k + 1, 2], centers[k + 1, 3]
    c0, c1, c2, c3 = centers[k + 2, 0], centers[k + 2, 1], centers[k + 2, 2], centers[k + 2, 3]
    d0, d1, d2, d3 = centers[k + 3, 0], centers[k + 3, 1], centers[k + 3, 2], centers[k + 3, 3]
    a_name, b_name = np.int32(k), np.int32(k + 1)
    c_name, d_name = np.int32(k + 2), np.int32(k + 3)
    for i in range(BLOCK):
        x0, x1, x2, x3 = columns[0, i], columns[1, i], columns[2, i], columns[3, i]
        least, name = best[i], nearest[i]
        other = square(x0 - a0) + square(x1 - a1) + square(x2 - a2) + square(x3 - a3)
        name = a_name if other < least else name
        least = other if other < least else least
        other = square(x0 - b0) + square(x1 - b1) + square(x2 - b2) + square(x3 - b3)
        name = b_name if other < least else name
        least = other if other < least else least
        other = square(x0 - c0) + square(x1 - c1) + square(x2 - c2) + square(x3 - c3)
        name = c_name if other < least else name
        least = other if other < least else least
        other = square(x0 - d0) + square(x1 - d1) + square(x2 - d2) + square(x3 - d3)
        name = d_name if other < least else name
        least = other if other < least else least
        best[i] = least
        nearest[i] = name


@kernel(parallel=True, pieces="n_blocks", least=LEAST_BLOCKS)
def assign(
    begin,  # of the blocks ...
    end,  # ... and the end of these
    n_blocks,  # of BLOCK points, the last one of what is left
    points,  # (N, C) float32 or float64, IN
    centers,  # (K rounded up to whole GROUPs, C) like points, IN: infinite beyond K
    labels,  # (N,) int32, OUT: index of the nearest center, ties to the lowest index
    distances,  # (N,) like points, OUT: squared distance to it
):
    """Label each point with its nearest center."""
    n_points, n_channels = points.shape
    for block in prange(begin, end):
        start = block * BLOCK
        size = min(BLOCK, n_points - start)
        columns = np.zeros((n_channels, BLOCK), points.dtype)
        for channel in range(n_channels):
            for i in range(size):
                columns[channel, i] = points[start + i, channel]
        distance = np.empty(BLOCK, points.dtype)
        best = np.full(BLOCK, np.inf, points.dtype)
        nearest = np.zeros(BLOCK, np.int32)
        for k in range(0, centers.shape[0], GROUP):
            if n_channels == 3:
                compare_with_group(columns, centers, k, best, nearest)
            elif n_channels == 4:
                compare_with_group_of_four(columns, centers, k, best, nearest)
            else:
                for one in range(k, k + GROUP):
                    compare_with_center(columns, centers, one, distance, best, nearest)
        for i in range(size):
            labels[start + i] = nearest[i]
            distances[start + i] = best[i]


@kernel(parallel=True, pieces="partials")
def accumulate(
    begin,  # of the chunks ...
    end,  # ... and the end of these
    points,  # (N, C) float32 or float64, IN
    weights,  # (N,) float64, IN
    labels,  # (N,) int32, IN
    partials,  # (n_chunks, K, 1 + C) float64, OUT: each chunk's sums of weight and weight * point
):
    """Add each point to its cluster's partial sums."""
    n_points, n_channels = points.shape
    n_chunks = partials.shape[0]
    for chunk in prange(begin, end):
        sums = partials[chunk]
        sums[:] = 0.0
        for i in range(n_points * chunk // n_chunks, n_points * (chunk + 1) // n_chunks):
            label = labels[i]
            sums[label, 0] += weights[i]
            for channel in range(n_channels):
                sums[label, 1 + channel] += weights[i] * points[i, channel]


@kernel()
def squared_distance(
    points,  # (N, C) float32 or float64, IN
    i,
    center,  # (C,) like points, IN
):
    """Return the squared distance of point i to a center."""
    distance = 0.0
    for channel in range(points.shape[1]):
        d = np.float64(points[i, channel]) - np.float64(center[channel])
        distance += d * d
    return distance


@kernel(pieces="partials")
def sum_potentials(
    begin,  # of the chunks ...
    end,  # ... and the end of these
    points,  # (N, C) float32 or float64, IN
    weights,  # (N,) float64, IN
    closest,  # (N,) float64, IN: squared distance to the nearest center so far
    trials,  # (T, C) like points, IN: candidates for the next center
    partials,  # (n_chunks, T) float64, OUT: each chunk's inertia with each candidate added
):
    """Sum what would be left of the inertia with each candidate center."""
    n_points = points.shape[0]
    n_chunks = partials.shape[0]
    for chunk in range(begin, end):
        for trial in range(trials.shape[0]):
            potential = 0.0
            for i in range(n_points * chunk // n_chunks, n_points * (chunk + 1) // n_chunks):
                distance = squared_distance(points, i, trials[trial])
                potential += weights[i] * min(closest[i], distance)
            partials[chunk, trial] = potential


@kernel(pieces="points", least=LEAST_POINTS)
def lower_closest(
    begin,  # of the points ...
    end,  # ... and the end of these
    points,  # (N, C) float32 or float64, IN
    center,  # (C,) like points, IN
    closest,  # (N,) float64, INOUT: squared distance to the nearest center so far
):
    """Account for a new center."""
    for i in range(begin, end):
        closest[i] = min(closest[i], squared_distance(points, i, center))
