"""Kernels that label translucent pixels with the nearest of a palette's entries.

Method: a pixel is compared with the entries that can be nearest in its cell. Their list is made
when the first pixel falls into the cell (`entry_lists`). Distances are computed by the expression
of the dense kernels, so that the labels are those of comparing each pixel with all entries, ties to
the lowest index.

Colors that were labeled last are remembered. A strip of pixels is looked up there first, and what
is not found is gathered and searched for. Each step is a loop of its own over a strip: most of them
are compiled to vectors, and the others wait for no branch.
"""

import numpy as np

from fastkq.kernels.alpha_points import (
    STRIP,
    error_of,
    place_oklab,
    place_srgb,
    show_over_gray,
)
from fastkq.kernels.codes import LEAST_OPAQUE, LEAST_VISIBLE
from fastkq.kernels.compile import kernel
from fastkq.kernels.entry_lists import (
    COUNT_BITS,
    FAR,
    FEW,
    LIST_BITS,
    LONG,
    MAX_SHORT,
    N_LANES,
    NO_LIST,
    list_entries,
)
from fastkq.kernels.translucent import BLOCK

# Colors that were labeled last, each in a word of 64 bits: the bits of its mixed number that do not
# say where it lies, with one that is never 0, then its label, and its error (see `error_of`),
# which is below 6 * 255^4 < 2^35. A table of 2^16 knows 86 % of the pixels of a photo's calm half
# under a gradient of alpha, and 52 % of its busy one.
MEMO_BITS = 16
TAG_BITS = np.uint32(32 - MEMO_BITS)
TAG_MASK = np.uint32((1 << (32 - MEMO_BITS)) - 1)
TAKEN = np.uint32(1 << (32 - MEMO_BITS))
ERROR_BITS, ERROR_MASK = np.uint64(35), np.uint64((1 << 35) - 1)
TAG_SHIFT, LABEL_MASK = np.uint64(43), np.uint64(255)
HASH = np.uint32(2654435769)  # 2^32 / golden ratio (Knuth, TAOCP 3, 6.4); odd, so one to one
LAST_SIDE = np.float32(31)


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
            place = min(max(place, np.float32(0)), LAST_SIDE)
            cells[i] |= np.uint32(np.int32(place)) << np.uint32(5 * axis)


@kernel(inline=True)
def split_by_length(
    words,  # (STRIP,) uint64, IN: lists
    size,  # uint64: how many
    few,  # (STRIP,) uint64, OUT: those of FEW entries
    more,  # (STRIP,) uint64, OUT: those of MAX_SHORT
    many,  # (STRIP,) uint64, OUT: long ones
):
    """Tell lists apart by their lengths; return how many of each there are.

    A loop over another number of entries at each turn would be mispredicted.
    """
    n_few, n_more, n_many = np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(size):
        length = words[i] & LONG
        few[n_few] = more[n_more] = many[n_many] = i
        n_few += np.uint64(length == FEW)
        n_more += np.uint64(length == MAX_SHORT)
        n_many += np.uint64(length == LONG)
    return n_few, n_more, n_many


@kernel(inline=True)
def find_of_few(
    points,  # (4, STRIP) float32, IN
    i,  # uint64: which
    entries,  # (K, 4) float32, IN
    word,  # uint64: a short list
    length,  # of the list
):
    """Return the nearest entry of a list of at most MAX_SHORT, ties to the lowest index."""
    x0, x1, x2, x3 = points[0, i], points[1, i], points[2, i], points[3, i]
    names = word >> COUNT_BITS
    nearest, least = np.uint64(0), FAR
    for _ in range(length):
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
def recall_labels(
    numbers,  # (N,) uint32, IN
    first,  # uint64: of the strip
    size,  # uint64
    memo,  # (1 << MEMO_BITS,) uint64, IN
    words,  # (STRIP,) uint64, OUT: scratch
    unknown,  # (STRIP,) uint8, OUT: scratch
    labels,  # (N,) uint8, INOUT: those of opaque pixels are left, unknown ones are any
    colors,  # (STRIP,) uint32, OUT: those that the memo does not have
    places,  # (STRIP,) uint64, OUT: their pixels
):
    """Label the pixels whose colors the memo has; return their error, and how many are left."""
    for i in range(size):
        number = numbers[first + i]
        # What is fully transparent has one label.
        colors[i] = number if number >= LEAST_VISIBLE else np.uint32(0)
    for i in range(size):
        words[i] = memo[np.uint64(np.uint32(colors[i] * HASH) >> TAG_BITS)]
    total = np.uint64(0)
    for i in range(size):
        word = words[i]
        tag = TAKEN | (np.uint32(colors[i] * HASH) & TAG_MASK)
        is_opaque = colors[i] >= LEAST_OPAQUE  # and never in the memo
        is_known = np.uint32(word >> TAG_SHIFT) == tag
        label = np.uint8((word >> ERROR_BITS) & LABEL_MASK)
        labels[first + i] = labels[first + i] if is_opaque else label
        total += word & ERROR_MASK if is_known else np.uint64(0)
        unknown[i] = not (is_known or is_opaque)
    n_left = np.uint64(0)
    for i in range(size):  # no branch: it would be mispredicted
        colors[n_left] = colors[i]
        places[n_left] = first + i
        n_left += np.uint64(unknown[i])
    return total, n_left


@kernel(inline=True)
def find_lists(
    cells,  # (STRIP,) uint32, IN
    size,  # uint64
    grid,  # (5, 4) float64, IN
    columns,  # (4, K) float64, IN
    parents,  # (N_PARENTS,) int32, INOUT: 1 + the place of each one's list, or 0
    n_used,  # (2,) int64, INOUT: how many lists of parents there are, and how many groups
    parent_sizes,  # (N_PARENTS,) uint64, INOUT: by place
    parent_names,  # (N_PARENTS, MAX_COLORS) uint8, INOUT
    lists,  # (N_CELLS,) uint64, INOUT
    low,  # (4,) float64, OUT: scratch, as the next three
    high,
    scores,  # (K,) float64
    kept,  # (K,) uint8
    group_points,  # (N_GROUPS, 4, LANES) float32, INOUT
    group_names,  # (N_GROUPS, LANES) int64, INOUT
    words,  # (STRIP,) uint64, OUT
):
    """Look up the lists of cells, and make those that are not there yet."""
    for i in range(size):
        cell = np.uint64(cells[i])
        if lists[cell] == NO_LIST:
            lists[cell] = list_entries(
                cell,
                grid,
                columns,
                parents,
                n_used,
                parent_sizes,
                parent_names,
                low,
                high,
                scores,
                kept,
                group_points,
                group_names,
            )
        words[i] = lists[cell]


@kernel(inline=True)
def remember_labels(
    colors,  # (STRIP,) uint32, IN
    shown,  # (4, STRIP) int32, IN
    size,  # uint64
    shown_entries,  # (K, 4) int64, IN
    found,  # (STRIP,) uint64, IN: the labels
    places,  # (STRIP,) uint64, IN: the pixels
    memo,  # (1 << MEMO_BITS,) uint64, INOUT
    labels,  # (N,) uint8, INOUT
):
    """Write the labels that were found, for the pixels and into the memo; return their error."""
    total = np.uint64(0)
    for i in range(size):
        error = error_of(shown, i, shown_entries, found[i])
        mixed = np.uint32(colors[i] * HASH)
        tag = np.uint64(TAKEN | (mixed & TAG_MASK))
        memo[np.uint64(mixed >> TAG_BITS)] = (tag << TAG_SHIFT) | (found[i] << ERROR_BITS) | error
        labels[places[i]] = np.uint8(found[i])
        total += error
    return total


@kernel(each="lists")
def label_pixels(
    slab,  # of pixels, and of tables
    numbers,  # (N,) uint32, IN: pixels, R in the lowest byte and alpha in the highest
    fourths,  # (256,) float32, IN: the fourth coordinate of a point, by alpha
    light,  # (256, 256) float64, IN: see `place_oklab`
    matrices,  # (0 or 2, 3, 3) float64, IN: none in sRGB
    grid,  # (5, 4) float64, IN: the low corner of the grid, sides of cells, 1 / side, ends of space
    columns,  # (4, K) float64, IN: points of the entries
    shown_entries,  # (K, 4) int64, IN: what is seen of each entry, see `show_over_gray`
    parents,  # (n_slabs, N_PARENTS) int32, INOUT: 1 + the place of each one's list; 0 before
    n_used,  # (n_slabs, 2) int64, INOUT: how many lists of parents there are, and how many groups
    parent_sizes,  # (n_slabs, N_PARENTS) uint64, INOUT: by place, how many entries are listed ...
    parent_names,  # (n_slabs, N_PARENTS, MAX_COLORS) uint8, INOUT: ... and which
    lists,  # (n_slabs, N_CELLS) uint64, INOUT: of each cell, or NO_LIST: so before
    group_points,  # (n_slabs, N_GROUPS, 4, LANES) float32, INOUT: entries of the lists
    group_names,  # (n_slabs, N_GROUPS, LANES) int64, INOUT: their indices
    memos,  # (n_slabs, 1 << MEMO_BITS) uint64, INOUT: 0 before
    labels,  # (N,) uint8, INOUT: those of opaque pixels are left
    errors,  # (n_slabs,) int64, OUT: the sums of `error_of`
):
    """Label the pixels that are not opaque with their nearest entries; sum their errors."""
    n_slabs = lists.shape[0]
    own_parents, own_used, own_lists = parents[slab], n_used[slab], lists[slab]
    sizes_of_parents, names_of_parents = parent_sizes[slab], parent_names[slab]
    own_points, own_names, memo = group_points[slab], group_names[slab], memos[slab]
    points, shown = np.zeros((4, STRIP), np.float32), np.empty((4, STRIP), np.int32)
    colors, cells = np.empty(STRIP, np.uint32), np.empty(STRIP, np.uint32)
    places, words = np.empty(STRIP, np.uint64), np.empty(STRIP, np.uint64)
    unknown, kept = np.empty(STRIP, np.uint8), np.empty(columns.shape[1], np.uint8)
    few, more = np.empty(STRIP, np.uint64), np.empty(STRIP, np.uint64)
    many, found = np.empty(STRIP, np.uint64), np.empty(STRIP, np.uint64)
    scores = np.empty(columns.shape[1], np.float64)
    low, high = np.empty(4, np.float64), np.empty(4, np.float64)
    entries = np.ascontiguousarray(columns.T).astype(np.float32)
    n_pixels = numbers.shape[0]
    total = np.uint64(0)
    for begin in range(slab * BLOCK, n_pixels, n_slabs * BLOCK):
        end = np.uint64(min(begin + BLOCK, n_pixels))
        for first in range(np.uint64(begin), end, np.uint64(STRIP)):
            size = min(np.uint64(STRIP), end - first)
            together = np.uint32(0xFFFFFFFF)
            for i in range(first, first + size):
                together &= numbers[i]
            if together >= LEAST_OPAQUE:
                continue
            known, n_left = recall_labels(
                numbers, first, size, memo, words, unknown, labels, colors, places
            )
            total += known
            show_over_gray(colors, n_left, shown)
            if matrices.shape[0] == 0:
                place_srgb(shown, n_left, fourths, points)
            else:
                place_oklab(colors, n_left, fourths, light, matrices, points)
            find_cells(points, n_left, grid, cells)
            find_lists(
                cells,
                n_left,
                grid,
                columns,
                own_parents,
                own_used,
                sizes_of_parents,
                names_of_parents,
                own_lists,
                low,
                high,
                scores,
                kept,
                own_points,
                own_names,
                words,
            )
            n_few, n_more, n_many = split_by_length(words, n_left, few, more, many)
            for turn in range(n_few):
                i = few[turn]
                found[i] = find_of_few(points, i, entries, words[i], FEW)
            for turn in range(n_more):
                i = more[turn]
                found[i] = find_of_few(points, i, entries, words[i], MAX_SHORT)
            for turn in range(n_many):
                i = many[turn]
                found[i] = find_of_many(points, i, own_points, own_names, words[i])
            total += remember_labels(
                colors, shown, n_left, shown_entries, found, places, memo, labels
            )
    errors[slab] = total
