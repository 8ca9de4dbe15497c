"""Kernels of exact Lloyd over weighted colors that are grouped by cell.

Method: the filtering algorithm of Kanungo et al. (2002, doi:10.1109/TPAMI.2002.1017616) on a grid
of two levels. Of all centers, a group of colors needs only the candidates that can win somewhere in
the group's bounding box. The candidates of each cell are filtered from those of its parent box. A
cell with one candidate adds its precomputed total; the colors of other cells are compared with the
candidates only.

The result is that of comparing every color with every center: a center is dropped only where it
loses by more than rounding could hide, and distances are computed by the expression of the dense
kernels, so that even ties fall alike.
"""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel

# A dropped center must lose by this share of the distances involved. float32 distances err by less
# than 3e-7 of their value, and two are compared, each up to 2 (d + diagonal) of the box: 1.2e-6.
SLACK = np.float32(4e-6)


@kernel()
def filter_candidates(
    box,  # (6,) float32, IN: low and high corner
    centers,  # (3, >= n) float32, IN: the centers to choose from
    names,  # (>= n,) int32, IN: their indices
    n,  # how many
    scratch,  # (>= n,) float32, OUT
    kept,  # (3, >= n) float32, OUT: the candidates
    kept_names,  # (>= n,) int32, OUT
):
    """Keep the centers that can be nearest somewhere in a box; return how many."""
    low0, low1, low2 = box[0], box[1], box[2]
    high0, high1, high2 = box[3], box[4], box[5]
    half = np.float32(0.5)
    mid0, mid1, mid2 = (low0 + high0) * half, (low1 + high1) * half, (low2 + high2) * half
    diagonal = (high0 - low0) ** 2 + (high1 - low1) ** 2 + (high2 - low2) ** 2
    for j in range(n):
        scratch[j] = (
            (centers[0, j] - mid0) ** 2 + (centers[1, j] - mid1) ** 2 + (centers[2, j] - mid2) ** 2
        )
    best = 0
    for j in range(1, n):
        if scratch[j] < scratch[best]:
            best = j
    best0, best1, best2 = centers[0, best], centers[1, best], centers[2, best]
    for j in range(n):
        c0, c1, c2 = centers[0, j], centers[1, j], centers[2, j]
        # The corner of the box that favours j most over the best.
        v0 = high0 if c0 > best0 else low0
        v1 = high1 if c1 > best1 else low1
        v2 = high2 if c2 > best2 else low2
        own = (c0 - v0) ** 2 + (c1 - v1) ** 2 + (c2 - v2) ** 2
        rival = (best0 - v0) ** 2 + (best1 - v1) ** 2 + (best2 - v2) ** 2
        scratch[j] = own - rival - SLACK * (own + diagonal)
    n_kept = 0
    for j in range(n):
        if scratch[j] <= 0:
            kept[0, n_kept] = centers[0, j]
            kept[1, n_kept] = centers[1, j]
            kept[2, n_kept] = centers[2, j]
            kept_names[n_kept] = names[j]
            n_kept += 1
    return n_kept


@kernel(parallel=True)
def measure_cells(
    colors,  # (3, U) float32, IN: grouped by cell
    weights,  # (U,) float64, IN
    starts,  # (n_cells + 1,) int64, IN: where each cell's colors start
    boxes,  # (n_cells, 6) float32, OUT: low and high corner of each cell's colors
    totals,  # (n_cells, 5) float64, OUT: sums of weight, weight * color, weight * squared norm
):
    """Find the bounding box and the moments of every cell."""
    for cell in prange(starts.shape[0] - 1):
        for channel in range(3):
            boxes[cell, channel] = np.inf
            boxes[cell, 3 + channel] = -np.inf
        for moment in range(5):
            totals[cell, moment] = 0.0
        for i in range(starts[cell], starts[cell + 1]):
            weight = weights[i]
            totals[cell, 0] += weight
            for channel in range(3):
                value = colors[channel, i]
                boxes[cell, channel] = min(boxes[cell, channel], value)
                boxes[cell, 3 + channel] = max(boxes[cell, 3 + channel], value)
                totals[cell, 1 + channel] += weight * value
                totals[cell, 4] += weight * (np.float64(value) * value)


@kernel(parallel=True)
def filter_parents(
    boxes,  # (P, 6) float32, IN
    centers,  # (3, K) float32, IN
    center_names,  # (K,) int32, IN: 0 to K - 1
    scratch,  # (P, K) float32, OUT
    candidates,  # (P, 3, K) float32, OUT
    names,  # (P, K) int32, OUT
    n_candidates,  # (P,) int64, OUT
):
    """List the candidates of every parent box, in ascending order."""
    for parent in prange(boxes.shape[0]):
        n_candidates[parent] = filter_candidates(
            boxes[parent],
            centers,
            center_names,
            centers.shape[1],
            scratch[parent],
            candidates[parent],
            names[parent],
        )


@kernel()
def compare_colors(
    colors,  # (3, >= stop) float32, IN
    start,  # the cell's colors ...
    stop,
    candidates,  # (3, >= n) float32, IN
    names,  # (>= n,) int32, IN: ascending
    n,  # how many candidates
    best,  # (>= stop - start,) float32, OUT: scratch
    nearest,  # (>= stop - start,) int32, OUT: the nearest candidate's name, ties to the lowest
):
    """Compare the colors of a cell with its candidates."""
    size = stop - start
    for i in range(size):
        best[i] = np.inf
        nearest[i] = 0
    # Candidates outside, colors inside, selects and no branches: 8 or 16 colors at once.
    for j in range(n):
        c0, c1, c2 = candidates[0, j], candidates[1, j], candidates[2, j]
        name = names[j]
        for i in range(size):
            d0 = colors[0, start + i] - c0
            d1 = colors[1, start + i] - c1
            d2 = colors[2, start + i] - c2
            distance = d0 * d0 + d1 * d1 + d2 * d2
            closer = distance < best[i]
            best[i] = distance if closer else best[i]
            nearest[i] = name if closer else nearest[i]


@kernel(parallel=True)
def assign_and_accumulate(
    colors,  # (3, U) float32, IN: grouped by cell
    weights,  # (U,) float64, IN
    starts,  # (n_cells + 1,) int64, IN: where each cell's colors start
    max_size,  # of a cell
    boxes,  # (n_cells, 6) float32, IN: low and high corner of each cell's colors
    totals,  # (n_cells, 5) float64, IN: each cell's sums of weight, weight * color, ...
    parents,  # (n_cells,) int32, IN: each cell's parent box
    chunks,  # (n_chunks + 1,) int64, IN: where each chunk's cells start
    parent_candidates,  # (P, 3, K) float32, IN
    parent_names,  # (P, K) int32, IN
    n_parent_candidates,  # (P,) int64, IN
    labels,  # (U,) uint8, OUT: the nearest center, ties to the lowest index
    partials,  # (n_chunks, K, 4) float64, OUT: each chunk's sums of weight and of weight * color
):
    """Label each color with its nearest center and add it to its chunk's partial sums."""
    n_centers = partials.shape[1]
    for chunk in prange(partials.shape[0]):
        sums = partials[chunk]
        sums[:] = 0.0
        scratch = np.empty(n_centers, np.float32)
        candidates = np.empty((3, n_centers), np.float32)
        names = np.empty(n_centers, np.int32)
        best = np.empty(max_size, np.float32)
        nearest = np.empty(max_size, np.int32)
        for cell in range(chunks[chunk], chunks[chunk + 1]):
            start, stop = starts[cell], starts[cell + 1]
            parent = parents[cell]
            n = filter_candidates(
                boxes[cell],
                parent_candidates[parent],
                parent_names[parent],
                n_parent_candidates[parent],
                scratch,
                candidates,
                names,
            )
            if n == 1:
                label = names[0]
                for i in range(start, stop):
                    labels[i] = label
                for moment in range(4):
                    sums[label, moment] += totals[cell, moment]
                continue
            compare_colors(colors, start, stop, candidates, names, n, best, nearest)
            for i in range(start, stop):
                label = nearest[i - start]
                labels[i] = label
                weight = weights[i]
                sums[label, 0] += weight
                sums[label, 1] += weight * colors[0, i]
                sums[label, 2] += weight * colors[1, i]
                sums[label, 3] += weight * colors[2, i]
