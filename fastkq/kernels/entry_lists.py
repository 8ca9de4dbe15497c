"""Kernels that list the entries of a palette which can be nearest somewhere in a cell.

Method: the space of points is cut into cells of four coordinates, 32 a side. Of all entries a cell
needs only those that some point of it can be nearest to. An entry is left out only where it loses
by more than rounding could hide. Parents, 8 a side, of 4x4x4x4 cells each, have lists of their own,
and a cell looks at its parent's entries alone: half of the time of looking at all.

Most lists have up to 7 entries, and are one word; their points are those of the palette, which stay
next to the core. (Lists with points of their own were 12 MB for a photo under a gradient, more than
a core's cache holds.) Longer lists are made of groups of LANES entries, which the compiler compares
at once: 24 MP of noise took 35 ns a pixel with a loop over single entries.
"""

import numpy as np

from fastkq.kernels.compile import kernel

N_SIDES = 32  # cells of each coordinate
CELL_BITS, PARENT_BITS = np.uint64(5), np.uint64(3)  # of each of four coordinates
PLACES = np.uint64(31)
SIDE_BITS, SIDE = np.uint64(2), 4  # of a parent, in cells
N_PARENTS, N_CELLS = 1 << 12, 1 << 20
LANES = 16  # of 8, the compiler would unroll the loop and not make vectors: twice the time
N_LANES = np.uint64(LANES)
# The list of a cell is a word of 64 bits: in the low byte how many entries there are, and these in
# the others. Lists of more than MAX_SHORT are kept in groups: LONG, how many groups, and the first
# one. The first groups have all entries, for cells that find no room.
NO_LIST, LONG = np.uint64(0), np.uint64(255)
FEW, MAX_SHORT = 3, 7
N_GROUPS = 1 << 16
COUNT_BITS, LIST_BITS = np.uint64(8), np.uint64(16)
FAR = np.float32(1e18)  # where the padding of a list lies: never nearest, and its square is finite
# An entry that is left out must lose by this share of the distances involved: float32 distances in
# four coordinates err by less than 4e-7 of their value, and two are compared, each up to
# 2 (d + diagonal) of the box: 1.6e-6.
SLACK = 4e-6


@kernel(inline=True)
def parent_of(
    cell,  # uint64: its number
):
    """Return the number of a cell's parent."""
    parent = np.uint64(0)
    for axis in range(np.uint64(4)):
        place = (cell >> (CELL_BITS * axis)) & PLACES
        parent |= (place >> SIDE_BITS) << (PARENT_BITS * axis)
    return parent


@kernel()
def bound_box(
    cell,  # uint64: the number of a cell in the box
    n_sides,  # int64: so many cells of each coordinate are in the box, 1 or SIDE
    grid,  # (5, 4) float64, IN: the low corner, sides of cells, 1 / side, the ends of the space
    low,  # (4,) float64, OUT: the low corner of the box
    high,  # (4,) float64, OUT
):
    """Find the box of a cell or of its parent; the outer ones have all that lies beyond them."""
    for axis in range(np.uint64(4)):
        place = np.int64((cell >> (CELL_BITS * axis)) & PLACES) // n_sides * n_sides
        low[axis] = grid[0, axis] + grid[1, axis] * place
        high[axis] = low[axis] + grid[1, axis] * n_sides
        if place == 0:
            low[axis] = min(low[axis], grid[3, axis])
        if place + n_sides == N_SIDES:
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
    parents,  # (N_PARENTS,) int32, INOUT: 1 + the place of each one's list, or 0
    n_used,  # (2,) int64, INOUT: how many lists of parents there are, and how many groups
    parent_sizes,  # (N_PARENTS,) uint64, INOUT: by place
    parent_names,  # (N_PARENTS, >= K) uint8, INOUT
    low,  # (4,) float64, OUT: scratch, as the next three
    high,  # (4,) float64
    scores,  # (K,) float64
    kept,  # (K,) uint8
    group_points,  # (N_GROUPS, 4, LANES) float32, INOUT
    group_names,  # (N_GROUPS, LANES) int64, INOUT
):
    """List the entries that can be nearest somewhere in a cell, and in its parent; return the list.

    A long one is written to the groups; if these are full, the list of all entries is returned.
    """
    n_entries = np.uint64(columns.shape[1])
    parent = parent_of(cell)
    if parents[parent] == 0:
        place = n_used[0]
        n_used[0] += 1
        parents[parent] = n_used[0]
        bound_box(cell, np.int64(SIDE), grid, low, high)
        for k in range(n_entries):
            kept[k] = k
        parent_sizes[place] = keep_candidates(
            low, high, columns, kept, n_entries, scores, parent_names[place]
        )
    place = parents[parent] - 1
    bound_box(cell, np.int64(1), grid, low, high)
    n_kept = keep_candidates(
        low, high, columns, parent_names[place], parent_sizes[place], scores, kept
    )
    if n_kept <= MAX_SHORT:
        # The last one again where need be: lists of two lengths are soon told apart.
        n_listed = FEW if n_kept <= FEW else MAX_SHORT
        word = np.uint64(n_listed)
        for place in range(n_listed):
            name = np.uint64(kept[min(place, n_kept - 1)])
            word |= name << (COUNT_BITS * np.uint64(place + 1))
        return word
    start, n_groups = n_used[1], (np.int64(n_kept) + LANES - 1) // LANES
    if start + n_groups > N_GROUPS:
        n_groups = (np.int64(n_entries) + LANES - 1) // LANES
        return LONG | (np.uint64(n_groups) << COUNT_BITS)
    n_used[1] += n_groups
    for place in range(n_groups * LANES):
        group, lane = start + place // LANES, place % LANES
        is_entry = place < n_kept
        group_names[group, lane] = kept[place] if is_entry else 255
        for axis in range(4):
            group_points[group, axis, lane] = columns[axis, kept[place]] if is_entry else FAR
    return LONG | (np.uint64(n_groups) << COUNT_BITS) | (np.uint64(start) << LIST_BITS)
