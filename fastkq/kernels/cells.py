"""Kernels of exact Lloyd over weighted colors that are grouped by cell.

The colors of a cell are compared with the cell's candidates only, as `candidates` tells, and the
cluster sums change only by the colors that change sides: after a few iterations nearly none. The
result is that of comparing every color with every center and adding up afresh: sums of integers are
exact.
"""

import numpy as np

from fastkq.kernels.candidates import (
    CELL,
    LANES,
    LEVELS,
    N_LANES,
    N_LEVELS,
    ONE,
    PARENT,
    ROOT,
    filter_candidates,
    find_nearest,
    start_lists,
)
from fastkq.kernels.compile import kernel, prange

# What a cell's `owner` can be, besides the label of all its colors.
MIXED = -1
UNASSIGNED = -2
LEAST_CELLS = 256  # that a thread is asked to measure
LEAST_CHUNKS = 16  # that a thread of `team` is asked to assign: 0.3 ms
# What an assignment counts of its work.
TESTED, KEPT, DISTANCES = range(3)


@kernel(parallel=True, pieces="boxes", least=LEAST_CELLS)
def measure_cells(
    begin,  # of the cells ...
    end,  # ... and the end of these
    colors,  # (3, >= U) float32, IN: grouped by cell
    weights,  # (U,) float64, IN
    starts,  # (n_cells + 1,) int64, IN: where each cell's colors start
    boxes,  # (n_cells, 6) float32, OUT: low and high corner of each cell's colors
    totals,  # (n_cells, 5) float64, OUT: sums of weight, weight * color, weight * squared norm
):
    """Find the bounding box and the moments of every cell."""
    for cell in prange(begin, end):
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
    work,  # (3,) int64, INOUT
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
    tested = kept = distances = np.int64(0)
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
            tested += np.int64(lengths[lower - ONE])
            lengths[lower] = filter_candidates(
                boxes, box, lower, lengths[lower - ONE], lists, names, scores, score_bits
            )
        n_candidates = np.int64(lengths[CELL])
        kept += n_candidates
        if n_candidates > 1:
            distances += n_candidates * (starts[cell + 1] - starts[cell])
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
    work[TESTED] += tested
    work[KEPT] += kept
    work[DISTANCES] += distances


@kernel(parallel=True, pieces="partials", least=LEAST_CHUNKS)
def assign_and_accumulate(
    begin,  # of the chunks ...
    end,  # ... and the end of these
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
    work,  # (n_chunks, 3) int64, INOUT: centers TESTED for boxes, KEPT for cells, and DISTANCES
):
    """Label each color with its nearest center; sum what that changes, chunk by chunk."""
    for chunk in prange(begin, end):
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
            work[chunk],
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


@kernel(pieces="partials")
def sum_moments(
    begin,  # of the chunks ...
    end,  # ... and the end of these
    colors,  # (3, >= U) float32, IN
    weights,  # (U,) float64, IN
    labels,  # (U,) uint8, IN
    partials,  # (n_chunks, K, 10) float64, OUT: sums of weight, weight * color, and the products
):  # weight * color[a] * color[b] for ab = 00 11 22 01 02 12
    """Sum the moments of clusters up to the second, chunk by chunk."""
    n_colors = labels.shape[0]
    n_chunks = partials.shape[0]
    for chunk in range(begin, end):
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
