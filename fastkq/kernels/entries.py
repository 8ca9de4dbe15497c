"""Kernels that label translucent pixels with the nearest of a palette's entries.

Method: the space of the points is cut into cells. Of all entries a cell needs only those that can
be nearest somewhere in it, and a list of these is made when the first pixel falls into the cell. A
pixel is compared with the list of its cell. An entry is left out only where it loses by more than
rounding could hide, and distances are computed by the expression of the dense kernels, so that the
labels are those of comparing each pixel with all entries, ties to the lowest index.

A list is made of groups of LANES entries, which the compiler compares at once: 24 MP of noise took
35 ns a pixel with a loop over single entries, and a table of the colors seen last did not help.
"""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel

CELL_BITS = np.uint64(5)  # of each of four coordinates
N_CELLS = 1 << 20
LANES = 16  # of 8, the compiler would unroll the loop and not make vectors: twice the time
N_LANES = np.uint64(LANES)
# Groups of the lists of a slab. The list of all entries comes first: it is also for cells that find
# no room. A list is where it starts, times 64, plus the number of its groups.
N_GROUPS = 1 << 16
MAX_LIST = 256 // LANES
LIST_BITS = 6
NO_LIST = 0
FAR = np.float32(1e18)  # where the padding of a list lies: never nearest, and its square is finite
# Oklab colors that were seen last.
MEMO_BITS = 14
MEMO_SHIFT = np.uint32(32 - MEMO_BITS)
HASH = np.uint32(2654435769)  # 2^32 / golden ratio (Knuth, TAOCP 3, 6.4)
BYTE, ALPHA_SHIFT = np.uint32(255), np.uint32(24)
STRIP = 16  # pixels that are passed over at once where all are opaque
# An entry that is left out must lose by this share of the distances involved: float32 distances in
# four coordinates err by less than 4e-7 of their value, and two are compared, each up to
# 2 (d + diagonal) of the box: 1.6e-6.
SLACK = 4e-6


@kernel(inline=True)
def place_srgb(
    numbers,  # (N,) uint32, IN: pixels, R in the lowest byte
    first,  # uint64: of the strip
    size,  # uint64
    scales,  # (256, 3) float64, IN: by alpha, the factor and offset of a level, and the fourth
    points,  # (4, STRIP) float32, OUT
):
    """Compute the points of a strip of pixels, as `fastkq.colors.spaces` does."""
    for i in range(size):
        number = numbers[first + i]
        alpha = np.uint64(number >> ALPHA_SHIFT)
        factor, offset = scales[alpha, 0], scales[alpha, 1]
        points[0, i] = np.float64(number & BYTE) * factor + offset
        points[1, i] = np.float64((number >> np.uint32(8)) & BYTE) * factor + offset
        points[2, i] = np.float64((number >> np.uint32(16)) & BYTE) * factor + offset
        points[3, i] = scales[alpha, 2]


@kernel(inline=True)
def place_oklab(
    numbers,  # (N,) uint32, IN
    first,  # uint64
    size,  # uint64
    scales,  # (256, 3) float64, IN
    light,  # (256, 256) float64, IN: what is seen over gray, by alpha and level
    matrices,  # (2, 3, 3) float64, IN: light to cones, and cones to Oklab
    memo,  # (1 << MEMO_BITS,) uint32, INOUT: colors
    memo_points,  # (1 << MEMO_BITS, 3) float32, INOUT: their points
    points,  # (4, STRIP) float32, OUT
):
    """Compute the points of a strip of pixels, as `fastkq.colors.spaces` does."""
    to_cones, to_oklab = matrices[0], matrices[1]
    for i in range(size):
        number = numbers[first + i]
        alpha = np.uint64(number >> ALPHA_SHIFT)
        slot = np.uint64(np.uint32(number * HASH) >> MEMO_SHIFT)
        if memo[slot] != number:
            red = light[alpha, np.uint64(number & BYTE)]
            green = light[alpha, np.uint64((number >> np.uint32(8)) & BYTE)]
            blue = light[alpha, np.uint64((number >> np.uint32(16)) & BYTE)]
            long = np.cbrt(to_cones[0, 0] * red + to_cones[0, 1] * green + to_cones[0, 2] * blue)
            middle = np.cbrt(to_cones[1, 0] * red + to_cones[1, 1] * green + to_cones[1, 2] * blue)
            short = np.cbrt(to_cones[2, 0] * red + to_cones[2, 1] * green + to_cones[2, 2] * blue)
            for axis in range(3):
                factors = to_oklab[axis]
                mixed = factors[0] * long + factors[1] * middle + factors[2] * short
                memo_points[slot, axis] = np.rint(mixed)
            memo[slot] = number
        for axis in range(3):
            points[axis, i] = memo_points[slot, axis]
        points[3, i] = scales[alpha, 2]


@kernel(inline=True)
def find_cells(
    points,  # (4, STRIP) float32, IN
    size,  # uint64
    grid,  # (5, 4) float64, IN: the low corner of the grid, sides of cells, 1 / side, ends of space
    cells,  # (STRIP,) uint32, OUT
):
    """Find the numbers of the cells that points lie in."""
    for i in range(size):
        cells[i] = 0
    for axis in range(4):
        low, scale = np.float32(grid[0, axis]), np.float32(grid[2, axis])
        for i in range(size):
            place = (points[axis, i] - low) * scale
            place = min(max(place, np.float32(0)), np.float32(31))
            cells[i] |= np.uint32(np.int32(place)) << np.uint32(5 * axis)


@kernel()
def list_candidates(
    cell,  # uint64: its number
    grid,  # (5, 4) float64, IN
    columns,  # (4, K) float64, IN: points of the entries
    scores,  # (K,) float64, OUT: scratch
    start,  # of the list, in groups
    group_points,  # (N_GROUPS, 4, LANES) float32, INOUT
    group_names,  # (N_GROUPS, LANES) int64, INOUT
):
    """Make the list of the entries that can be nearest somewhere in a cell; return its groups."""
    n_entries = columns.shape[1]
    low, high = np.empty(4), np.empty(4)
    diagonal = 0.0
    for axis in range(4):
        place = (cell >> (CELL_BITS * np.uint64(axis))) & np.uint64(31)
        low[axis] = grid[0, axis] + grid[1, axis] * np.float64(place)
        high[axis] = low[axis] + grid[1, axis]
        if place == 0:  # the outer cells have all that lies beyond them
            low[axis] = min(low[axis], grid[3, axis])
        if place == 31:
            high[axis] = max(high[axis], grid[4, axis])
        diagonal += (high[axis] - low[axis]) ** 2
    for k in range(n_entries):
        scores[k] = 0.0
    for axis in range(4):
        middle = (low[axis] + high[axis]) / 2
        for k in range(n_entries):
            scores[k] += (columns[axis, k] - middle) ** 2
    best = 0
    for k in range(1, n_entries):
        if scores[k] < scores[best]:
            best = k
    # Of all points of the cell, a corner favors an entry most over the best one.
    for k in range(n_entries):
        scores[k] = -SLACK * diagonal
    for axis in range(4):
        rival, below, above = columns[axis, best], low[axis], high[axis]
        for k in range(n_entries):
            own = columns[axis, k]
            corner = above if own > rival else below
            scores[k] += (1 - SLACK) * (own - corner) ** 2 - (rival - corner) ** 2
    n_kept = 0
    for k in range(n_entries):
        if scores[k] <= 0:
            group, lane = start + n_kept // LANES, n_kept % LANES
            for axis in range(4):
                group_points[group, axis, lane] = columns[axis, k]
            group_names[group, lane] = k
            n_kept += 1
    n_groups = (n_kept + LANES - 1) // LANES
    for place in range(n_kept, n_groups * LANES):
        for axis in range(4):
            group_points[start + n_groups - 1, axis, place % LANES] = FAR
        group_names[start + n_groups - 1, place % LANES] = 255
    return n_groups


@kernel(inline=True)
def find_entry(
    points,  # (4, STRIP) float32, IN
    i,  # uint64: which
    group_points,  # (N_GROUPS, 4, LANES) float32, IN
    group_names,  # (N_GROUPS, LANES) int64, IN: ascending
    start,  # uint64: the first group of the list
    n_groups,  # uint64
):
    """Return the nearest entry of a list, ties to the lowest index."""
    x0, x1, x2, x3 = points[0, i], points[1, i], points[2, i], points[3, i]
    key = np.int64(0x7FFFFFFFFFFFFFFF)
    for group in range(start, start + n_groups):
        for lane in range(N_LANES):
            d0, d1 = x0 - group_points[group, 0, lane], x1 - group_points[group, 1, lane]
            d2, d3 = x2 - group_points[group, 2, lane], x3 - group_points[group, 3, lane]
            distance = np.float32(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3)
            # Positive floats are ordered as their bits are: one minimum finds the lowest index too.
            bits = np.int64(distance.view(np.int32))
            key = min(key, (bits << np.int64(8)) | group_names[group, lane])
    return np.uint64(key & np.int64(255))


@kernel(inline=True)
def sum_errors(
    numbers,  # (N,) uint32, IN
    first,  # uint64: of the strip
    size,  # uint64
    premultiplied,  # (4, 256) int64, IN: color * alpha, and alpha * 255, of each entry
    labels,  # (STRIP,) uint64, IN: those of opaque pixels do not matter
):
    """Sum 2 * 255^2 times the mean of the squared error over black and over white."""
    total = np.int64(0)
    for i in range(size):
        number, entry = np.int64(numbers[first + i]), labels[i]
        alpha = number >> np.int64(24)
        away = np.int64(255) * alpha - premultiplied[3, entry]
        red = (number & np.int64(255)) * alpha - premultiplied[0, entry]
        green = ((number >> np.int64(8)) & np.int64(255)) * alpha - premultiplied[1, entry]
        blue = ((number >> np.int64(16)) & np.int64(255)) * alpha - premultiplied[2, entry]
        error = red * red + green * green + blue * blue
        red, green, blue = red - away, green - away, blue - away
        error += red * red + green * green + blue * blue
        total += np.int64(0) if alpha == 255 else error
    return total


@kernel()
def label_slab(
    numbers,
    start,  # pixel
    stop,
    scales,
    light,
    matrices,
    grid,
    columns,
    premultiplied,
    clear_label,
    lists,  # (N_CELLS,)
    group_points,  # (N_GROUPS, 4, LANES)
    group_names,  # (N_GROUPS, LANES)
    n_used,  # (1,)
    memo,  # (1 << MEMO_BITS,)
    memo_points,  # (1 << MEMO_BITS, 3)
    labels,
):
    """Do what `label_pixels` does, for one slab; its arguments are described there."""
    points, cells = np.zeros((4, STRIP), np.float32), np.empty(STRIP, np.uint32)
    scores = np.empty(columns.shape[1], np.float64)
    own_labels = np.zeros(STRIP, np.uint64)
    last, label = np.uint32(0), np.uint64(clear_label)
    total = np.int64(0)
    for first in range(np.uint64(start), np.uint64(stop), np.uint64(STRIP)):
        size = min(np.uint64(STRIP), np.uint64(stop) - first)
        together = np.uint32(0xFFFFFFFF)
        for i in range(first, first + size):
            together &= numbers[i]
        if together >> ALPHA_SHIFT == BYTE:
            continue
        if matrices.shape[0] == 0:
            place_srgb(numbers, first, size, scales, points)
        else:
            place_oklab(numbers, first, size, scales, light, matrices, memo, memo_points, points)
        find_cells(points, size, grid, cells)
        for i in range(size):
            number = numbers[first + i]
            alpha = np.uint32(number >> ALPHA_SHIFT)
            if alpha == BYTE:
                continue
            if alpha == 0:
                label = np.uint64(clear_label)
            elif number != last:
                cell = np.uint64(cells[i])
                if lists[cell] == NO_LIST:
                    lists[cell] = lists[N_CELLS]
                    if n_used[0] + MAX_LIST <= N_GROUPS:
                        n_groups = list_candidates(
                            cell, grid, columns, scores, n_used[0], group_points, group_names
                        )
                        lists[cell] = (n_used[0] << LIST_BITS) + n_groups
                        n_used[0] += n_groups
                group = np.uint64(lists[cell] >> LIST_BITS)
                n_groups = np.uint64(lists[cell] & ((1 << LIST_BITS) - 1))
                label = find_entry(points, i, group_points, group_names, group, n_groups)
            last = number
            own_labels[i] = label
            labels[first + i] = np.uint8(label)
        total += sum_errors(numbers, first, size, premultiplied, own_labels)
    return total


@kernel(parallel=True)
def label_pixels(
    numbers,  # (N,) uint32, IN: pixels, R in the lowest byte and alpha in the highest
    scales,  # (256, 3) float64, IN: see `place_srgb`
    light,  # (256, 256) float64, IN: see `place_oklab`
    matrices,  # (0 or 2, 3, 3) float64, IN: none in sRGB
    grid,  # (5, 4) float64, IN: the low corner of the grid, sides of cells, 1 / side, ends of space
    columns,  # (4, K) float64, IN: the points of the entries
    premultiplied,  # (4, 256) int64, IN: color * alpha, and alpha * 255, of each entry
    clear_label,  # uint8: of fully transparent pixels
    lists,  # (n_slabs, N_CELLS + 1) int32, INOUT: of each cell, or NO_LIST; last, of all entries
    group_points,  # (n_slabs, N_GROUPS, 4, LANES) float32, INOUT: entries of the lists
    group_names,  # (n_slabs, N_GROUPS, LANES) int64, INOUT: their indices
    n_used,  # (n_slabs, 1) int64, INOUT: how many groups there are
    memos,  # (n_slabs, 1 << MEMO_BITS) uint32, INOUT: 0 before
    memo_points,  # (n_slabs, 1 << MEMO_BITS, 3) float32, INOUT
    labels,  # (N,) uint8, INOUT: those of opaque pixels are left
    errors,  # (n_slabs,) int64, OUT: see `sum_errors`
):
    """Label the pixels that are not opaque with their nearest entries; sum their errors."""
    n_pixels = numbers.shape[0]
    n_slabs = lists.shape[0]
    for slab in prange(n_slabs):
        errors[slab] = label_slab(
            numbers,
            n_pixels * slab // n_slabs,
            n_pixels * (slab + 1) // n_slabs,
            scales,
            light,
            matrices,
            grid,
            columns,
            premultiplied,
            clear_label,
            lists[slab],
            group_points[slab],
            group_names[slab],
            n_used[slab],
            memos[slab],
            memo_points[slab],
            labels,
        )
