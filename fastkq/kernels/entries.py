"""Kernels that label translucent pixels with the nearest of a palette's entries.

Method: the space of the points is cut into cells. Of all entries a cell needs only those that can
be nearest somewhere in it, and a list of these is made when the first pixel falls into the cell. A
pixel is compared with the list of its cell. An entry is left out only where it loses by more than
rounding could hide, and distances are computed by the expression of the dense kernels, so that the
labels are those of comparing each pixel with all entries, ties to the lowest index.

Most lists have up to 7 entries, and are one word; their points are those of the palette, which stay
next to the core. (Lists with points of their own were 12 MB for a photo under a gradient, more than
a core's cache holds.) Longer lists are made of groups of LANES entries, which the compiler compares
at once: 24 MP of noise took 35 ns a pixel with a loop over single entries.

Colors that were labeled last are remembered. A strip of pixels is looked up there first, without a
branch, and what is not found is gathered and searched for.
"""

import numpy as np

from fastkq.kernels.compile import kernel

CELL_BITS = np.uint64(5)  # of each of four coordinates
N_CELLS = 1 << 20
LANES = 16  # of 8, the compiler would unroll the loop and not make vectors: twice the time
N_LANES = np.uint64(LANES)
# The list of a cell is a word of 64 bits: in the low byte how many entries there are, and these in
# the others. Lists of more than MAX_SHORT are kept in groups: LONG, how many groups, and the first
# one. The list of all entries comes first: it is also for cells that find no room.
NO_LIST, LONG = np.uint64(0), np.uint64(255)
MAX_SHORT = 7
N_GROUPS = 1 << 16
MAX_LIST = 256 // LANES
COUNT_BITS, LIST_BITS = np.uint64(8), np.uint64(16)
FAR = np.float32(1e18)  # where the padding of a list lies: never nearest, and its square is finite
# Colors that were labeled last, each in a word of 64 bits: the bits of its mixed number that do not
# say where it lies, with one that is never 0, then its label, and its error (see `error_of`), which
# is below 6 * 255^4 < 2^35. A table of 2^14 knows 79 % of the pixels of a photo's calm half under a
# gradient of alpha, and 41 % of its busy one.
MEMO_BITS = 14
TAG_BITS = np.uint32(32 - MEMO_BITS)
TAG_MASK = np.uint32((1 << (32 - MEMO_BITS)) - 1)
TAKEN = np.uint32(1 << (32 - MEMO_BITS))
ERROR_BITS, ERROR_MASK = np.uint64(35), np.uint64((1 << 35) - 1)
TAG_SHIFT, LABEL_MASK = np.uint64(43), np.uint64(255)
HASH = np.uint32(2654435769)  # 2^32 / golden ratio (Knuth, TAOCP 3, 6.4); odd, so one to one
BYTE, ALPHA_SHIFT = np.uint32(255), np.uint32(24)
STRIP = 128  # pixels that are passed over at once where all are opaque
# An entry that is left out must lose by this share of the distances involved: float32 distances in
# four coordinates err by less than 4e-7 of their value, and two are compared, each up to
# 2 (d + diagonal) of the box: 1.6e-6.
SLACK = 4e-6


@kernel(inline=True)
def place_srgb(
    numbers,  # (STRIP,) uint32, IN: colors, R in the lowest byte
    size,  # uint64: how many
    scales,  # (256, 3) float64, IN: by alpha, the factor and offset of a level, and the fourth
    points,  # (4, STRIP) float32, OUT
):
    """Compute the points of colors, as `fastkq.colors.spaces` does."""
    for i in range(size):
        number = numbers[i]
        alpha = np.uint64(number >> ALPHA_SHIFT)
        factor, offset = scales[alpha, 0], scales[alpha, 1]
        points[0, i] = np.float64(number & BYTE) * factor + offset
        points[1, i] = np.float64((number >> np.uint32(8)) & BYTE) * factor + offset
        points[2, i] = np.float64((number >> np.uint32(16)) & BYTE) * factor + offset
        points[3, i] = scales[alpha, 2]


@kernel(inline=True)
def place_oklab(
    numbers,  # (STRIP,) uint32, IN
    size,  # uint64
    scales,  # (256, 3) float64, IN
    light,  # (256, 256) float64, IN: what is seen over gray, by alpha and level
    matrices,  # (2, 3, 3) float64, IN: light to cones, and cones to Oklab
    points,  # (4, STRIP) float32, OUT
):
    """Compute the points of colors, as `fastkq.colors.spaces` does."""
    to_cones, to_oklab = matrices[0], matrices[1]
    for i in range(size):
        number = numbers[i]
        alpha = np.uint64(number >> ALPHA_SHIFT)
        red = light[alpha, np.uint64(number & BYTE)]
        green = light[alpha, np.uint64((number >> np.uint32(8)) & BYTE)]
        blue = light[alpha, np.uint64((number >> np.uint32(16)) & BYTE)]
        long = np.cbrt(to_cones[0, 0] * red + to_cones[0, 1] * green + to_cones[0, 2] * blue)
        middle = np.cbrt(to_cones[1, 0] * red + to_cones[1, 1] * green + to_cones[1, 2] * blue)
        short = np.cbrt(to_cones[2, 0] * red + to_cones[2, 1] * green + to_cones[2, 2] * blue)
        for axis in range(3):
            factors = to_oklab[axis]
            mixed = factors[0] * long + factors[1] * middle + factors[2] * short
            points[axis, i] = np.rint(mixed)
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
    """List the entries that can be nearest somewhere in a cell; return the list.

    It starts in the groups, and is left there only if it is long.
    """
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
    if n_kept <= MAX_SHORT:
        # 3 or 7, the last one again where need be: a loop of any length would be mispredicted.
        n_listed = 3 if n_kept <= 3 else MAX_SHORT
        for place in range(n_kept, n_listed):
            group_names[start, place] = group_names[start, n_kept - 1]
        word = np.uint64(n_listed)
        for place in range(n_listed):
            word |= np.uint64(group_names[start, place]) << (COUNT_BITS * np.uint64(place + 1))
        return word
    n_groups = (n_kept + LANES - 1) // LANES
    for place in range(n_kept, n_groups * LANES):
        for axis in range(4):
            group_points[start + n_groups - 1, axis, place % LANES] = FAR
        group_names[start + n_groups - 1, place % LANES] = 255
    return LONG | (np.uint64(n_groups) << COUNT_BITS) | (np.uint64(start) << LIST_BITS)


@kernel(inline=True)
def find_of_few(
    points,  # (4, STRIP) float32, IN
    i,  # uint64: which
    entries,  # (K, 4) float32, IN
    word,  # uint64: a short list
):
    """Return the nearest entry of a list of at most MAX_SHORT, ties to the lowest index."""
    x0, x1, x2, x3 = points[0, i], points[1, i], points[2, i], points[3, i]
    names = word >> COUNT_BITS
    nearest, least = np.uint64(0), FAR
    for _ in range(word & LONG):
        name = names & LONG
        d0, d1 = x0 - entries[name, 0], x1 - entries[name, 1]
        d2, d3 = x2 - entries[name, 2], x3 - entries[name, 3]
        distance = np.float32(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3)
        is_nearer = distance < least
        nearest = name if is_nearer else nearest
        least = distance if is_nearer else least
        names >>= COUNT_BITS
    return nearest


@kernel(inline=True)
def find_of_many(
    points,  # (4, STRIP) float32, IN
    i,  # uint64: which
    group_points,  # (N_GROUPS, 4, LANES) float32, IN
    group_names,  # (N_GROUPS, LANES) int64, IN: ascending
    word,  # uint64: a long list
):
    """Return the nearest entry of a list in groups, ties to the lowest index."""
    x0, x1, x2, x3 = points[0, i], points[1, i], points[2, i], points[3, i]
    key = np.int64(0x7FFFFFFFFFFFFFFF)
    start, n_groups = word >> LIST_BITS, (word >> COUNT_BITS) & LONG
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
def error_of(
    number,  # uint32: a color
    premultiplied,  # (4, 256) int64, IN: color * alpha, and alpha * 255, of each entry
    entry,  # uint64
):
    """Return 2 * 255^2 times the mean of the squared error over black and over white."""
    wide = np.int64(number)
    alpha = wide >> np.int64(24)
    away = np.int64(255) * alpha - premultiplied[3, entry]
    red = (wide & np.int64(255)) * alpha - premultiplied[0, entry]
    green = ((wide >> np.int64(8)) & np.int64(255)) * alpha - premultiplied[1, entry]
    blue = ((wide >> np.int64(16)) & np.int64(255)) * alpha - premultiplied[2, entry]
    error = red * red + green * green + blue * blue
    red, green, blue = red - away, green - away, blue - away
    return error + red * red + green * green + blue * blue


@kernel(inline=True)
def recall_labels(
    numbers,  # (N,) uint32, IN
    first,  # uint64: of the strip
    size,  # uint64
    memo,  # (1 << MEMO_BITS,) uint64, IN
    labels,  # (N,) uint8, INOUT: those of opaque pixels are left, unknown ones are any
    colors,  # (STRIP,) uint32, OUT: those that the memo does not have
    places,  # (STRIP,) uint64, OUT: their pixels
):
    """Label the pixels whose colors the memo has; return their error, and how many are left."""
    total, n_left = np.uint64(0), np.uint64(0)
    for i in range(first, first + size):
        number = numbers[i]
        alpha = np.uint32(number >> ALPHA_SHIFT)
        number = number if alpha else np.uint32(0)  # what is fully transparent has one label
        mixed = np.uint32(number * HASH)
        word = memo[np.uint64(mixed >> TAG_BITS)]
        is_opaque = alpha == BYTE
        is_known = np.uint32(word >> TAG_SHIFT) == TAKEN | (mixed & TAG_MASK)
        labels[i] = labels[i] if is_opaque else np.uint8((word >> ERROR_BITS) & LABEL_MASK)
        total += word & ERROR_MASK if is_known else np.uint64(0)
        colors[n_left] = number  # no branch: it would be mispredicted
        places[n_left] = i
        n_left += np.uint64(not (is_known or is_opaque))
    return total, n_left


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
    labels,
):
    """Do what `label_pixels` does, for one slab; its arguments are described there."""
    points, cells = np.zeros((4, STRIP), np.float32), np.empty(STRIP, np.uint32)
    colors, places = np.empty(STRIP, np.uint32), np.empty(STRIP, np.uint64)
    scores = np.empty(columns.shape[1], np.float64)
    entries = np.empty((columns.shape[1], 4), np.float32)
    for k in range(columns.shape[1]):
        for axis in range(4):
            entries[k, axis] = columns[axis, k]
    total = np.uint64(0)
    for first in range(np.uint64(start), np.uint64(stop), np.uint64(STRIP)):
        size = min(np.uint64(STRIP), np.uint64(stop) - first)
        together = np.uint32(0xFFFFFFFF)
        for i in range(first, first + size):
            together &= numbers[i]
        if together >> ALPHA_SHIFT == BYTE:
            continue
        known, n_left = recall_labels(numbers, first, size, memo, labels, colors, places)
        total += known
        if matrices.shape[0] == 0:
            place_srgb(colors, n_left, scales, points)
        else:
            place_oklab(colors, n_left, scales, light, matrices, points)
        find_cells(points, n_left, grid, cells)
        for i in range(n_left):
            number = colors[i]
            mixed = np.uint32(number * HASH)
            slot, tag = np.uint64(mixed >> TAG_BITS), np.uint64(TAKEN | (mixed & TAG_MASK))
            word = memo[slot]
            if word >> TAG_SHIFT != tag:  # a pixel of the strip may have been alike
                label = np.uint64(clear_label)
                if number != 0:
                    cell = np.uint64(cells[i])
                    listed = lists[cell]
                    if listed == NO_LIST:
                        listed = lists[N_CELLS]
                        if n_used[0] + MAX_LIST <= N_GROUPS:
                            listed = list_candidates(
                                cell, grid, columns, scores, n_used[0], group_points, group_names
                            )
                            if listed & LONG == LONG:
                                n_used[0] += (listed >> COUNT_BITS) & LONG
                        lists[cell] = listed
                    if listed & LONG == LONG:
                        label = find_of_many(points, i, group_points, group_names, listed)
                    else:
                        label = find_of_few(points, i, entries, listed)
                error = np.uint64(error_of(number, premultiplied, label))
                word = (tag << TAG_SHIFT) | (label << ERROR_BITS) | error
                memo[slot] = word
            labels[places[i]] = np.uint8((word >> ERROR_BITS) & LABEL_MASK)
            total += word & ERROR_MASK
    return total


@kernel(pieces="lists")
def label_pixels(
    begin,  # of the slabs ...
    end,  # ... and the end of these
    numbers,  # (N,) uint32, IN: pixels, R in the lowest byte and alpha in the highest
    scales,  # (256, 3) float64, IN: see `place_srgb`
    light,  # (256, 256) float64, IN: see `place_oklab`
    matrices,  # (0 or 2, 3, 3) float64, IN: none in sRGB
    grid,  # (5, 4) float64, IN: the low corner of the grid, sides of cells, 1 / side, ends of space
    columns,  # (4, K) float64, IN: the points of the entries
    premultiplied,  # (4, 256) int64, IN: color * alpha, and alpha * 255, of each entry
    clear_label,  # uint8: of fully transparent pixels
    lists,  # (n_slabs, N_CELLS + 1) uint64, INOUT: of each cell, or NO_LIST; last, of all entries
    group_points,  # (n_slabs, N_GROUPS, 4, LANES) float32, INOUT: entries of the lists
    group_names,  # (n_slabs, N_GROUPS, LANES) int64, INOUT: their indices
    n_used,  # (n_slabs, 1) int64, INOUT: how many groups there are
    memos,  # (n_slabs, 1 << MEMO_BITS) uint64, INOUT: 0 before
    labels,  # (N,) uint8, INOUT: those of opaque pixels are left
    errors,  # (n_slabs,) int64, OUT: the sums of `error_of`
):
    """Label the pixels that are not opaque with their nearest entries; sum their errors."""
    n_pixels = numbers.shape[0]
    n_slabs = lists.shape[0]
    for slab in range(begin, end):
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
            labels,
        )
