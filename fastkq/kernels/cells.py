"""Kernels of exact Lloyd over weighted colors that are grouped by cell.

Method: the filtering algorithm of Kanungo et al. (2002, doi:10.1109/TPAMI.2002.1017616) on a grid.
Of all centers, a box of colors needs only the candidates that can win somewhere in it; the
candidates of a box are filtered from those of its parent box. The colors of a cell are compared
with the cell's candidates only, and the cluster sums change only by the colors that change sides:
after a few iterations nearly none.

The result is that of comparing every color with every center and adding up afresh: a center is
dropped only where it loses by more than rounding could hide, distances are computed by the
expression of the dense kernels, so that even ties fall alike, and sums of integers are exact.

Inner loops run over whole LANES, padded where need be: such a count compiles to vectors without a
remainder, and lists of candidates and cells are short (a step over 616,000 colors and 256 centers
took twice as long with loops over their true lengths).
"""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel

LANES = 16
# Indices that cannot be negative: a signed one that the compiler cannot bound turns loads into
# gathers, for Python's a[-1] (a step took 2.9 ms instead of 1.1).
N_LANES = np.uint64(LANES)
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)
GROUP = np.uint64(4)  # candidates that a color is compared with at a time, in registers
INDEX_BITS = np.int32(255)
# Lists of candidates: all centers, then those of a root box, of a parent box, of a cell.
N_LEVELS, LEVELS = 4, np.uint64(4)
ROOT, PARENT, CELL = ONE, TWO, THREE
# Where the padding of a list of centers lies: never nearest, and its square is a finite float32.
FAR = np.float32(1e18)
# A dropped center must lose by this share of the distances involved. float32 distances err by less
# than 3e-7 of their value, and two are compared, each up to 2 (d + diagonal) of the box: 1.2e-6.
SLACK = np.float32(4e-6)
ROOT_STRIDE = 37
# What a cell's `owner` can be, besides the label of all its colors.
MIXED = -1
UNASSIGNED = -2


@kernel(parallel=True)
def measure_cells(
    colors,  # (3, >= U) float32, IN: grouped by cell
    weights,  # (U,) float64, IN
    starts,  # (n_cells + 1,) int64, IN: where each cell's colors start
    boxes,  # (n_cells, 6) float32, OUT: low and high corner of each cell's colors
    totals,  # (n_cells, 5) float64, OUT: sums of weight, weight * color, weight * squared norm
):
    """Find the bounding box and the moments of every cell."""
    for cell in prange(starts.shape[0] - 1):
        own = colors[:, starts[cell] : starts[cell + 1]]
        own_weights = weights[starts[cell] : starts[cell + 1]]
        low0 = low1 = low2 = np.float32(np.inf)
        high0 = high1 = high2 = np.float32(-np.inf)
        weight_sum = sum0 = sum1 = sum2 = squares = 0.0
        for i in range(own_weights.shape[0]):
            weight, x0, x1, x2 = own_weights[i], own[0, i], own[1, i], own[2, i]
            low0, low1, low2 = min(low0, x0), min(low1, x1), min(low2, x2)
            high0, high1, high2 = max(high0, x0), max(high1, x1), max(high2, x2)
            weight_sum += weight
            sum0 += weight * x0
            sum1 += weight * x1
            sum2 += weight * x2
            squares += weight * (x0 * x0 + x1 * x1 + x2 * x2)
        boxes[cell, 0], boxes[cell, 1], boxes[cell, 2] = low0, low1, low2
        boxes[cell, 3], boxes[cell, 4], boxes[cell, 5] = high0, high1, high2
        totals[cell, 0], totals[cell, 1], totals[cell, 2] = weight_sum, sum0, sum1
        totals[cell, 3], totals[cell, 4] = sum2, squares


@kernel(inline=True)
def filter_candidates(
    boxes,  # (B, 6) float32, IN: low and high corners
    box,  # which; a row of its own would be counted as a reference, and that costs as much as a box
    level,  # uint64: of the box, 1 or more
    n,  # uint64: how many centers the list of the level above has, without its padding
    lists,  # (>= level + 1, 3, >= W + LANES) float32, INOUT: centers, padded with FAR
    names,  # (>= level + 1, >= W + LANES) int32, INOUT: their indices
    scores,  # (W,) float32, OUT: scratch
    score_bits,  # (W,) int32: the same memory
):
    """List the centers of the level above that can be nearest somewhere in a box; return how many.

    The list of the box's own level is what it writes, padded to whole LANES.
    """
    above = level - ONE
    low0, low1, low2 = boxes[box, 0], boxes[box, 1], boxes[box, 2]
    high0, high1, high2 = boxes[box, 3], boxes[box, 4], boxes[box, 5]
    half = np.float32(0.5)
    mid0, mid1, mid2 = (low0 + high0) * half, (low1 + high1) * half, (low2 + high2) * half
    diagonal = (high0 - low0) ** 2 + (high1 - low1) ** 2 + (high2 - low2) ** 2
    n_padded = (n + (N_LANES - ONE)) & ~(N_LANES - ONE)
    for j in range(n_padded):
        d0, d1, d2 = lists[above, 0, j] - mid0, lists[above, 1, j] - mid1, lists[above, 2, j] - mid2
        scores[j] = d0 * d0 + d1 * d1 + d2 * d2
    # The nearest to the middle, nearly: positive floats are ordered as their bits are, and with the
    # index in the low bits the search is one minimum. Any center may play this part.
    key = np.int32(0x7FFFFFFF)
    for j in range(n_padded):
        key = min(key, np.int32((score_bits[j] & ~INDEX_BITS) | np.int32(j)))
    best = np.uint64(key & INDEX_BITS)
    best0, best1, best2 = lists[above, 0, best], lists[above, 1, best], lists[above, 2, best]
    for j in range(n_padded):
        c0, c1, c2 = lists[above, 0, j], lists[above, 1, j], lists[above, 2, j]
        # The corner of the box that favours j most over the best.
        v0 = high0 if c0 > best0 else low0
        v1 = high1 if c1 > best1 else low1
        v2 = high2 if c2 > best2 else low2
        own = (c0 - v0) ** 2 + (c1 - v1) ** 2 + (c2 - v2) ** 2
        rival = (best0 - v0) ** 2 + (best1 - v1) ** 2 + (best2 - v2) ** 2
        scores[j] = own - rival - SLACK * (own + diagonal)
    n_kept = np.uint64(0)
    for j in range(n):  # without a branch, which would be mispredicted
        lists[level, 0, n_kept] = lists[above, 0, j]
        lists[level, 1, n_kept] = lists[above, 1, j]
        lists[level, 2, n_kept] = lists[above, 2, j]
        names[level, n_kept] = names[above, j]
        n_kept += np.uint64(scores[j] <= 0)
    for lane in range(N_LANES):
        lists[level, 0, n_kept + lane] = FAR
        lists[level, 1, n_kept + lane] = FAR
        lists[level, 2, n_kept + lane] = FAR
    return n_kept


@kernel(inline=True)
def find_nearest(
    colors,  # (3, >= first + LANES) float32, IN
    first,  # uint64: of LANES colors ...
    size,  # int32: ... of which so many count
    lists,  # (N_LEVELS, 3, W) float32, IN: the cell's candidates, padded with FAR to whole GROUPs
    names,  # (N_LEVELS, W) int32, IN: theirs, ascending
    n,  # uint64: how many candidates
    labels,  # (>= first + LANES,) uint8, IN
    least,  # (LANES,) float32, OUT: scratch
    nearest,  # (LANES,) int32, OUT: the nearest candidate's name, ties to the lowest
):
    """Compare LANES colors with the candidates; return the bits of those that change sides."""
    changed = np.int32(0)
    for a in range(np.uint64(0), n, GROUP):
        b, c, d = a + ONE, a + TWO, a + THREE
        a0, a1, a2 = lists[CELL, 0, a], lists[CELL, 1, a], lists[CELL, 2, a]
        b0, b1, b2 = lists[CELL, 0, b], lists[CELL, 1, b], lists[CELL, 2, b]
        c0, c1, c2 = lists[CELL, 0, c], lists[CELL, 1, c], lists[CELL, 2, c]
        d0, d1, d2 = lists[CELL, 0, d], lists[CELL, 1, d], lists[CELL, 2, d]
        a_name, b_name, c_name, d_name = (
            names[CELL, a],
            names[CELL, b],
            names[CELL, c],
            names[CELL, d],
        )
        changed = np.int32(0)
        for lane in range(N_LANES):
            i = first + lane
            x0, x1, x2 = colors[0, i], colors[1, i], colors[2, i]
            distance = np.float32(np.inf) if a == 0 else least[lane]
            name = nearest[lane]
            other = (x0 - a0) ** 2 + (x1 - a1) ** 2 + (x2 - a2) ** 2
            name = a_name if other < distance else name
            distance = other if other < distance else distance
            other = (x0 - b0) ** 2 + (x1 - b1) ** 2 + (x2 - b2) ** 2
            name = b_name if other < distance else name
            distance = other if other < distance else distance
            other = (x0 - c0) ** 2 + (x1 - c1) ** 2 + (x2 - c2) ** 2
            name = c_name if other < distance else name
            distance = other if other < distance else distance
            other = (x0 - d0) ** 2 + (x1 - d1) ** 2 + (x2 - d2) ** 2
            name = d_name if other < distance else name
            distance = other if other < distance else distance
            least[lane] = distance
            nearest[lane] = name
            changes = (name != np.int32(labels[i])) & (np.int32(lane) < size)
            bit = np.int32(np.int32(1) << np.int32(lane))
            changed = np.int32(changed | (bit if changes else np.int32(0)))
    return changed


@kernel(inline=True)
def add_color(
    sums,  # (K, 4) float64, INOUT
    label,
    colors,  # (3, >= U) float32, IN
    i,
    weight,  # negative: take away
):
    """Add a color to the sums of its cluster."""
    sums[label, 0] += weight
    sums[label, 1] += weight * colors[0, i]
    sums[label, 2] += weight * colors[1, i]
    sums[label, 3] += weight * colors[2, i]


@kernel(inline=True)
def add_cell(
    sums,  # (K, 4) float64, INOUT
    label,
    totals,  # (n_cells, 5) float64, IN
    cell,
    sign,  # 1 or -1
):
    """Add the total of a cell to the sums of a cluster, or take it away."""
    for moment in range(4):
        sums[label, moment] += sign * totals[cell, moment]


@kernel(inline=True)
def move_colors(
    colors,  # (3, >= first + LANES) float32, IN
    weights,  # (U,) float64, IN
    first,  # uint64: of LANES colors
    changed,  # int32: the bits of those that change sides
    nearest,  # (LANES,) int32, IN: where they go
    labels,  # (>= U,) uint8, INOUT
    sums,  # (K, 4) float64, INOUT
):
    """Move colors from their clusters to others."""
    for lane in range(N_LANES):
        if (changed >> np.int32(lane)) & 1:
            i, label = first + lane, np.uint64(nearest[lane])
            add_color(sums, np.uint64(labels[i]), colors, i, -weights[i])
            add_color(sums, label, colors, i, weights[i])
            labels[i] = label


@kernel(inline=True)
def start_lists(
    centers,  # (3, W) float32, IN
    center_names,  # (W,) int32, IN
    n_centers,  # uint64: without the padding
    lists,  # (N_LEVELS, 3, > W) float32, OUT
    names,  # (N_LEVELS, > W) int32, OUT
    lengths,  # (N_LEVELS,) uint64, OUT
):
    """Make all centers the list above the root boxes."""
    for j in range(center_names.shape[0]):
        lists[0, 0, j], lists[0, 1, j], lists[0, 2, j] = centers[0, j], centers[1, j], centers[2, j]
        names[0, j] = center_names[j]
    lengths[0] = n_centers


@kernel()
def unite_cell(
    colors,  # (3, >= U) float32, IN
    weights,  # (U,) float64, IN
    start,  # the cell's colors ...
    stop,
    totals,  # (n_cells, 5) float64, IN
    cell,
    label,  # of all its colors from now on
    owners,  # (n_cells,) int32, INOUT
    labels,  # (>= U,) uint8, IN
    sums,  # (K, 4) float64, INOUT
):
    """Give all colors of a cell to one cluster; their labels are not written."""
    owner = owners[cell]
    if owner >= 0:
        add_cell(sums, owner, totals, cell, -1)
    elif owner == MIXED:
        for i in range(start, stop):
            add_color(sums, labels[i], colors, i, -weights[i])
    add_cell(sums, label, totals, cell, 1)
    owners[cell] = label


@kernel()
def split_cell(
    start,  # the cell's colors ...
    stop,
    cell,
    owners,  # (n_cells,) int32, INOUT
    labels,  # (>= U,) uint8, OUT
):
    """Write the label of a cell to its colors, which may change sides one by one from now on."""
    for i in range(start, stop):
        labels[i] = owners[cell]
    owners[cell] = MIXED


@kernel(inline=True)
def assign_cell(
    colors,  # (3, >= U + LANES) float32, IN
    weights,  # (U,) float64, IN
    start,  # the cell's colors ...
    stop,
    totals,  # (n_cells, 5) float64, IN
    cell,
    lists,  # (N_LEVELS, 3, W) float32, IN: the cell's candidates, padded with FAR to whole GROUPs
    names,  # (N_LEVELS, W) int32, IN
    n,  # uint64: how many candidates
    least,  # (LANES,) float32, OUT: scratch
    nearest,  # (LANES,) int32, OUT: scratch
    owners,  # (n_cells,) int32, INOUT
    labels,  # (>= U + LANES,) uint8, INOUT
    sums,  # (K, 4) float64, INOUT
):
    """Label the colors of a cell; change the sums by those that change sides."""
    owner, first_name = owners[cell], names[CELL, 0]
    # Functions that are not inlined do what most cells need not: the loops here stay small.
    if owner == UNASSIGNED or (n == 1 and owner != first_name):
        unite_cell(colors, weights, start, stop, totals, cell, first_name, owners, labels, sums)
    if n == 1:
        return
    if owner != MIXED:
        split_cell(start, stop, cell, owners, labels)
    for first in range(np.uint64(start), np.uint64(stop), N_LANES):
        size = np.int32(np.uint64(stop) - first)
        changed = find_nearest(colors, first, size, lists, names, n, labels, least, nearest)
        if changed != 0:
            move_colors(colors, weights, first, changed, nearest, labels, sums)


@kernel()
def assign_chunk(
    colors,
    weights,
    starts,
    totals,
    boxes,
    parents,
    roots,
    first,  # cell
    stop,
    centers,
    center_names,
    owners,
    labels,
    sums,  # (K, 4) float64, OUT
):
    """Do what `assign_and_accumulate` does, for some cells; its arguments are described there.

    A function of its own, since Numba compiles the body of a parallel loop twice.
    """
    sums[:] = 0.0
    width = center_names.shape[0] + LANES
    first_parent = boxes.shape[0] - parents.shape[0] - roots.shape[0]
    first_cell = boxes.shape[0] - parents.shape[0]
    scores = np.empty(width, np.float32)
    score_bits = scores.view(np.int32)
    least = np.empty(LANES, np.float32)
    nearest = np.zeros(LANES, np.int32)
    lists = np.empty((N_LEVELS, 3, width), np.float32)
    names = np.zeros((N_LEVELS, width), np.int32)
    lengths = np.empty(N_LEVELS, np.uint64)
    start_lists(centers, center_names, np.uint64(sums.shape[0]), lists, names, lengths)
    parent = root = -1
    for cell in range(first, stop):
        level = CELL
        if parents[cell] != parent:
            parent = parents[cell]
            level = PARENT
            if roots[parent] != root:
                root = roots[parent]
                level = ROOT
        # One call in a loop, not three: each would be compiled for itself.
        for lower in range(level, LEVELS):
            box = first_cell + cell
            if lower == PARENT:
                box = first_parent + parent
            elif lower == ROOT:
                box = root
            lengths[lower] = filter_candidates(
                boxes, box, lower, lengths[lower - ONE], lists, names, scores, score_bits
            )
        assign_cell(
            colors,
            weights,
            starts[cell],
            starts[cell + 1],
            totals,
            cell,
            lists,
            names,
            lengths[CELL],
            least,
            nearest,
            owners,
            labels,
            sums,
        )


@kernel(parallel=True)
def assign_and_accumulate(
    colors,  # (3, >= U + LANES) float32, IN: grouped by cell
    weights,  # (U,) float64, IN
    starts,  # (n_cells + 1,) int64, IN: where each cell's colors start
    totals,  # (n_cells, 5) float64, IN: each cell's sums of weight, weight * color, ...
    boxes,  # (n_roots + n_parents + n_cells, 6) float32, IN: low and high corners of their colors
    parents,  # (n_cells,) int32, IN: each cell's parent box, ascending
    roots,  # (n_parents,) int32, IN: each parent's root box, ascending
    chunks,  # (n_chunks, 2) int64, IN: each chunk's first cell and the one after its last
    centers,  # (3, W) float32, IN: padded with FAR to whole LANES
    center_names,  # (W,) int32, IN: 0, 1, 2, ...
    owners,  # (n_cells,) int32, INOUT: the label of all the cell's colors, MIXED or UNASSIGNED
    labels,  # (>= U + LANES,) uint8, INOUT: nearest centers of the colors of MIXED cells
    partials,  # (n_chunks, K, 4) float64, OUT: change of the sums of weight and weight * color
):
    """Label each color with its nearest center; sum what that changes, chunk by chunk."""
    for chunk in prange(partials.shape[0]):
        assign_chunk(
            colors,
            weights,
            starts,
            totals,
            boxes,
            parents,
            roots,
            chunks[chunk, 0],
            chunks[chunk, 1],
            centers,
            center_names,
            owners,
            labels,
            partials[chunk],
        )


@kernel()
def fill_labels(
    starts,  # (n_cells + 1,) int64, IN
    owners,  # (n_cells,) int32, IN
    labels,  # (>= U,) uint8, IN: those of MIXED cells
    result,  # (U,) uint8, OUT: all of them
):
    """Write out the labels of all colors."""
    for cell in range(owners.shape[0]):
        for i in range(starts[cell], starts[cell + 1]):
            result[i] = labels[i] if owners[cell] == MIXED else owners[cell]


@kernel(parallel=True)
def sum_moments(
    colors,  # (3, >= U) float32, IN
    weights,  # (U,) float64, IN
    labels,  # (U,) uint8, IN
    partials,  # (n_chunks, K, 10) float64, OUT: sums of weight, weight * color, and the products
):  # weight * color[a] * color[b] for ab = 00 11 22 01 02 12
    """Sum the moments of clusters up to the second, chunk by chunk."""
    n_colors = labels.shape[0]
    n_chunks = partials.shape[0]
    for chunk in prange(n_chunks):
        sums = partials[chunk]
        sums[:] = 0.0
        for i in range(n_colors * chunk // n_chunks, n_colors * (chunk + 1) // n_chunks):
            label, weight = labels[i], weights[i]
            x0, x1, x2 = colors[0, i], colors[1, i], colors[2, i]
            sums[label, 0] += weight
            sums[label, 1] += weight * x0
            sums[label, 2] += weight * x1
            sums[label, 3] += weight * x2
            sums[label, 4] += weight * (x0 * x0)
            sums[label, 5] += weight * (x1 * x1)
            sums[label, 6] += weight * (x2 * x2)
            sums[label, 7] += weight * (x0 * x1)
            sums[label, 8] += weight * (x0 * x2)
            sums[label, 9] += weight * (x1 * x2)


@kernel(parallel=True)
def label_cubes(
    centers,  # (3, W) float32, IN: padded with FAR to whole LANES
    center_names,  # (W,) int32, IN: 0, 1, 2, ...
    n_centers,  # uint64: without the padding
    boxes,  # (R + 8 R + 64 R, 6) float32, IN: of the roots, the eight parents in each, their cells
    offsets,  # (3, n) float32, IN: points in every cell, from its low corner; whole LANES
    table,  # (64 R * n,) uint8, OUT
):
    """Label points that lie alike in every cell of the color cube with their nearest center."""
    n_roots = boxes.shape[0] // 73
    n_points = offsets.shape[1]
    width = center_names.shape[0] + LANES
    for turn in prange(n_roots):
        root = turn * ROOT_STRIDE % n_roots  # neighbours cost alike: spread them over the threads
        scores = np.empty(width, np.float32)
        score_bits = scores.view(np.int32)
        least = np.empty(LANES, np.float32)
        nearest = np.zeros(LANES, np.int32)
        lists = np.empty((N_LEVELS, 3, width), np.float32)
        names = np.zeros((N_LEVELS, width), np.int32)
        lengths = np.empty(N_LEVELS, np.uint64)
        points = np.empty((3, n_points), np.float32)
        unlabeled = np.zeros(n_points, np.uint8)
        start_lists(centers, center_names, n_centers, lists, names, lengths)
        for cell in range(64 * root, 64 * root + 64):
            level = ROOT if cell % 64 == 0 else PARENT if cell % 8 == 0 else CELL
            for lower in range(level, LEVELS):
                box = 9 * n_roots + cell
                if lower == PARENT:
                    box = n_roots + cell // 8
                elif lower == ROOT:
                    box = root
                lengths[lower] = filter_candidates(
                    boxes, box, lower, lengths[lower - ONE], lists, names, scores, score_bits
                )
            labels = table[cell * n_points : (cell + 1) * n_points]
            if lengths[CELL] == 1:
                for i in range(n_points):
                    labels[i] = names[CELL, 0]
                continue
            for channel in range(3):
                low = boxes[9 * n_roots + cell, channel]
                for i in range(n_points):
                    points[channel, i] = low + offsets[channel, i]
            for first in range(np.uint64(0), np.uint64(n_points), N_LANES):
                find_nearest(
                    points,
                    first,
                    np.int32(LANES),
                    lists,
                    names,
                    lengths[CELL],
                    unlabeled,
                    least,
                    nearest,
                )
                for lane in range(N_LANES):
                    labels[first + lane] = nearest[lane]
