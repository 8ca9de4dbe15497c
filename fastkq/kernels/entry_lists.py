"""Kernels that list the entries of a palette which can be nearest somewhere in a cell.

Method: the space of points is cut into cells of four coordinates. Of all entries a cell needs only
those that some point of it can be nearest to. An entry is left out only where it loses by more than
rounding could hide. Eight parents a side, of 4x4x4x4 cells each, have lists of their own, and a
cell looks at its parent's entries alone: half of the time of looking at all.

Most lists have up to 7 entries, and are one word; their points are those of the palette, which stay
next to the core. (Lists with points of their own were 12 MB for a photo under a gradient, more than
a core's cache holds.) Longer lists are made of groups of LANES entries, which the compiler compares
at once: 24 MP of noise took 35 ns a pixel with a loop over single entries.
"""

import numpy as np

from fastkq.kernels.compile import kernel

CELL_BITS = np.uint64(5)  # of each of four coordinates
N_CELLS = 1 << 20
PARENT_BITS = np.uint64(3)
N_PARENTS = 1 << 12
LANES = 16  # of 8, the compiler would unroll the loop and not make vectors: twice the time
N_LANES = np.uint64(LANES)
# The list of a cell is a word of 64 bits: in the low byte how many entries there are, and these in
# the others. Lists of more than MAX_SHORT are kept in groups: LONG, how many groups, and the first
# one. The list of all entries comes first: it is also for cells that find no room.
NO_LIST, LONG = np.uint64(0), np.uint64(255)
FEW, MAX_SHORT = 3, 7
N_GROUPS = 1 << 16
MAX_LIST = 256 // LANES
COUNT_BITS, LIST_BITS = np.uint64(8), np.uint64(16)
FAR = np.float32(1e18)  # where the padding of a list lies: never nearest, and its square is finite
# An entry that is left out must lose by this share of the scores involved: float32 scores in
# four coordinates err by less than 4e-7 of their value, and two are compared, each up to
# 2 (d + diagonal) of the box: 1.6e-6.
SLACK = 4e-6


@kernel()
def bound_box(
    number,  # uint64: of a cell, or of a parent
    n_bits,  # uint64: of each coordinate in the number
    grid,  # (5, 4) float64, IN: the low corner, sides of cells, 1 / side, the ends of the space
    low,  # (4,) float64, OUT: the low corner of the box
    high,  # (4,) float64, OUT
):
    """Find the box of a cell or a parent; the outer ones have all that lies beyond them."""
    last = (np.uint64(1) << n_bits) - np.uint64(1)
    n_sides = np.float64(np.uint64(1) << (CELL_BITS - n_bits))
    for axis in range(4):
        place = (number >> (n_bits * np.uint64(axis))) & last
        side = grid[1, axis] * n_sides
        low[axis] = grid[0, axis] + side * np.float64(place)
        high[axis] = low[axis] + side
        if place == 0:
            low[axis] = min(low[axis], grid[3, axis])
        if place == last:
            high[axis] = max(high[axis], grid[4, axis])


@kernel()
def keep_candidates(
    low,  # (4,) float64, IN
    high,  # (4,) float64, IN
    columns,  # (4, K) float64, IN: points of the entries
    names,  # (>= n_names,) uint8, IN: the entries that may be nearest, ascending
    n_names,  # uint64
    scores,  # (>= n_names,) float64, OUT: scratch
    kept,  # (>= n_names,) uint8, OUT
):
    """Keep the entries that can be nearest somewhere in a box; return how many there are."""
    diagonal = 0.0
    for i in range(n_names):
        scores[i] = 0.0
    for axis in range(4):
        diagonal += (high[axis] - low[axis]) ** 2
        middle = (low[axis] + high[axis]) / 2
        for i in range(n_names):
            scores[i] += (columns[axis, names[i]] - middle) ** 2
    best, least = names[0], scores[0]
    for i in range(np.uint64(1), n_names):
        best = names[i] if scores[i] < least else best
        least = min(least, scores[i])
    # Of all points of the box, a corner favors an entry most over the best one.
    for i in range(n_names):
        scores[i] = -SLACK * diagonal
    for axis in range(4):
        rival, below, above = columns[axis, best], low[axis], high[axis]
        for i in range(n_names):
            own = columns[axis, names[i]]
            corner = above if own > rival else below
            scores[i] += (1 - SLACK) * (own - corner) ** 2 - (rival - corner) ** 2
    n_kept = np.uint64(0)
    for i in range(n_names):
        kept[n_kept] = names[i]
        n_kept += np.uint64(scores[i] <= 0)
    return n_kept


@kernel()
def list_entries(
    cell,  # uint64: its number
    grid,  # (5, 4) float64, IN
    columns,  # (4, K) float64, IN
    parent_sizes,  # (N_PARENTS,) uint64, INOUT: how many entries each parent lists, 0 before
    parent_names,  # (N_PARENTS, K) uint8, INOUT: which
    low,  # (4,) float64, OUT: scratch
    high,  # (4,) float64, OUT: scratch
    scores,  # (K,) float64, OUT: scratch
    kept,  # (K,) uint8, OUT: scratch
    start,  # of the list, in groups
    group_points,  # (N_GROUPS, 4, LANES) float32, INOUT
    group_names,  # (N_GROUPS, LANES) int64, INOUT
):
    """List the entries that can be nearest somewhere in a cell; return the list.

    Only a long one is written to the groups.
    """
    parent = np.uint64(0)
    for axis in range(np.uint64(4)):
        place = (cell >> (CELL_BITS * axis)) & np.uint64(31)
        parent |= (place >> (CELL_BITS - PARENT_BITS)) << (PARENT_BITS * axis)
    if parent_sizes[parent] == 0:
        bound_box(parent, PARENT_BITS, grid, low, high)
        for k in range(np.uint64(columns.shape[1])):
            kept[k] = k
        parent_sizes[parent] = keep_candidates(
            low, high, columns, kept, np.uint64(columns.shape[1]), scores, parent_names[parent]
        )
    bound_box(cell, CELL_BITS, grid, low, high)
    n_kept = keep_candidates(
        low, high, columns, parent_names[parent], parent_sizes[parent], scores, kept
    )
    if n_kept <= MAX_SHORT:
        # The last one again where need be: lists of two lengths are soon told apart.
        n_listed = FEW if n_kept <= FEW else MAX_SHORT
        word = np.uint64(n_listed)
        for place in range(n_listed):
            name = np.uint64(kept[min(place, n_kept - 1)])
            word |= name << (COUNT_BITS * np.uint64(place + 1))
        return word
    n_groups = (n_kept + LANES - 1) // LANES
    for place in range(n_groups * LANES):
        group, lane = start + place // LANES, place % LANES
        is_entry = place < n_kept
        group_names[group, lane] = kept[place] if is_entry else 255
        for axis in range(4):
            group_points[group, axis, lane] = columns[axis, kept[place]] if is_entry else FAR
    return LONG | (np.uint64(n_groups) << COUNT_BITS) | (np.uint64(start) << LIST_BITS)
