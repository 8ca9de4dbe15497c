"""The palette entry that is nearest to any color: tables of candidates by cells of color.

Boxes of 128 steps a side pass the entries that can be nearest somewhere inside to their cells of 32
steps, and those with more than LANES of them to cells of 8: a palette is dense where its image has
many pixels. A group of candidates is compared at once.
"""

import numpy as np

from fastkq.kernels.candidates import (
    N_LEVELS,
    ONE,
    PARENT,
    ROOT,
    filter_candidates,
    start_lists,
)
from fastkq.kernels.compile import kernel
from fastkq.kernels.steps import (
    HIGHEST_A,
    HIGHEST_B,
    HIGHEST_LIGHT,
    LOWEST_A,
    LOWEST_B,
    LOWEST_LIGHT,
    clamp,
)

HALF, ZERO = np.float32(0.5), np.float32(0)
LABEL_BITS = np.int32(255)
KEY_SHIFT = np.int32(8)  # from a key to its distance
NO_KEY = np.int32(0x7FFFFFFF)
DISTANCE_BITS = np.int32(~255)  # of a key that holds the first bits of a float
LANES = 16
N_LANES = np.uint64(LANES)
LIGHT_CELLS, CHROMA_CELLS = 32, 20
N_CELLS = LIGHT_CELLS * CHROMA_CELLS**2
BOX_STEPS, CELL_STEPS = 128, 32
CELL_SHIFT = np.uint64(5)  # from steps to cells
N_PARTS, QUARTER = 64, np.float32(0.25)  # cells of a box, or small cells of a cell
LEAST_CUBES = 8  # that a thread is asked to list candidates for
LEAST_LISTS = 1024  # that a thread is asked to write: 0.1 ms
# An entry of the table of cells is the number of its first group above six bits: those that are set
# are taken from the color, for the groups of the small cells.
SPLIT = 63
SPLIT_SHIFT = np.uint64(6)


@kernel(pieces="corners", least=LEAST_CUBES)
def list_candidates(
    begin,  # of the cubes ...
    end,  # ... and the end of these
    corners,  # (n, 3) float32, IN: the low corners of cubes, in steps ...
    side,  # float32: ... and their side
    entries,  # (3, W) float32, IN: of a palette, in whole steps, padded with FAR to whole LANES
    numbers,  # (W,) int32, IN: 0, 1, 2, ...
    n_colors,  # uint64: without the padding
    lists,  # (n, N_PARTS, >= 1) uint8, OUT: of each part as many as there is room for
    lengths,  # (n, N_PARTS) int64, OUT: how many there are
):
    """List the entries that can be nearest somewhere in each part of cubes, ascending.

    The parts are cubes of a quarter of the side, by lightness, a, b.
    """
    width = numbers.shape[0] + LANES
    box = np.empty((1, 6), np.float32)
    scores = np.empty(width, np.float32)
    score_bits = scores.view(np.int32)
    kept = np.empty((N_LEVELS, 3, width), np.float32)
    names = np.zeros((N_LEVELS, width), np.int32)
    n_kept = np.empty(N_LEVELS, np.uint64)
    start_lists(entries, numbers, n_colors, kept, names, n_kept)
    for cube in range(begin, end):
        for part in range(-1, N_PARTS):  # the whole cube, then its parts
            level, own_side, x, y, z = ROOT, side, 0, 0, 0
            if part >= 0:
                level, own_side = PARENT, side * QUARTER
                x, y, z = part // 16, part // 4 % 4, part % 4
            box[0, 0] = corners[cube, 0] + np.float32(x) * own_side
            box[0, 1] = corners[cube, 1] + np.float32(y) * own_side
            box[0, 2] = corners[cube, 2] + np.float32(z) * own_side
            for channel in range(3):
                box[0, 3 + channel] = box[0, channel] + own_side
            n = filter_candidates(
                box, 0, level, n_kept[level - ONE], kept, names, scores, score_bits
            )
            n_kept[level] = n
            if part >= 0:
                lengths[cube, part] = n
                for i in range(min(n, np.uint64(lists.shape[2]))):
                    lists[cube, part, i] = names[PARENT, i]


@kernel(pieces="firsts", least=LEAST_LISTS)
def fill_groups(
    begin,  # of the lists ...
    end,  # ... and the end of these
    entries,  # (4, K) int16, IN: of a palette, in steps, and their numbers
    lists,  # (n, room) uint8, IN
    lengths,  # (n,) int64, IN
    firsts,  # (n,) int64, IN: each list's first group
    further,  # (>= n + 1,) int64, IN: by first group, where its further groups start
    groups,  # (n_groups, 4, LANES) int16, OUT: coordinates in steps, and numbers
):
    """Write lists of candidates in groups, the last of each filled up with its first candidate."""
    for each in range(begin, end):
        first = firsts[each]
        n_further = further[first + 1] - further[first]
        for i in range((1 + n_further) * LANES):
            entry = lists[each, i if i < lengths[each] else 0]
            group = first if i < LANES else further[first] + i // LANES - 1
            for row in range(4):
                groups[group, row, i % LANES] = entries[row, entry]


@kernel(inline=True)
def cell_of(
    v0,  # int32: a color, in steps
    v1,
    v2,
):
    """Return the number of a color's cell."""
    light, a, b = np.uint64(v0), np.uint64(v1), np.uint64(v2)
    row = (light >> CELL_SHIFT) * np.uint64(CHROMA_CELLS) + (a >> CELL_SHIFT)
    return row * np.uint64(CHROMA_CELLS) + (b >> CELL_SHIFT)


@kernel(inline=True)
def group_of(
    v0,  # int32: a color, in steps
    v1,
    v2,
    entry,  # int32: of its cell
):
    """Return the number of a color's first group."""
    small = ((v0 << 1) & 48) | ((v1 >> 1) & 12) | ((v2 >> 3) & 3)
    return (np.uint64(entry) >> SPLIT_SHIFT) + np.uint64(small & entry & SPLIT)


@kernel()
def search_further(
    v0,  # int32: a color, in steps
    v1,
    v2,
    key,  # int32: of the nearest so far
    first,  # group
    stop,
    groups,  # (n_groups, 4, LANES) int16, IN
):
    """Go on with further groups of candidates, which few colors have.

    As in `nearest_in_group`, the number of lanes is read from the groups. Of so few known steps
    LLVM made 1.2 s of work for itself, and code that took a crowded palette 2.6 times as long.
    """
    for group in range(first, stop):
        for lane in range(np.uint64(groups.shape[2])):
            d0 = np.int32(v0 - np.int32(groups[group, 0, lane]))
            d1 = np.int32(v1 - np.int32(groups[group, 1, lane]))
            d2 = np.int32(v2 - np.int32(groups[group, 2, lane]))
            distance = np.int32(np.int32(d0 * d0) + np.int32(d1 * d1) + np.int32(d2 * d2))
            key = min(key, np.int32((distance << KEY_SHIFT) | np.int32(groups[group, 3, lane])))
    return key


@kernel(inline=True)
def nearest_in_group(
    u0,  # float32: a color, in steps
    u1,
    u2,
    cells,  # (N_CELLS,) int32, IN: the table of cells, see SPLIT
    groups,  # (n_groups, 4, LANES) int16, IN
):
    """Return the nearest entry of a color's first group, where few colors have further ones.

    That is the color in whole steps, the number of the group, and a key: the squared distance of
    the entry, and its number.

    The number of lanes is read from the groups: LLVM takes a loop of so few known steps apart, and
    then finds no vector in it.
    """
    v0 = np.int32(clamp(u0, LOWEST_LIGHT, HIGHEST_LIGHT) + HALF)
    v1 = np.int32(clamp(u1, LOWEST_A, HIGHEST_A) + HALF)
    v2 = np.int32(clamp(u2, LOWEST_B, HIGHEST_B) + HALF)
    group = group_of(v0, v1, v2, cells[cell_of(v0, v1, v2)])
    nearest = NO_KEY
    for lane in range(np.uint64(groups.shape[2])):
        d0 = np.int32(v0 - np.int32(groups[group, 0, lane]))
        d1 = np.int32(v1 - np.int32(groups[group, 1, lane]))
        d2 = np.int32(v2 - np.int32(groups[group, 2, lane]))
        square = np.int32(np.int32(d0 * d0) + np.int32(d1 * d1) + np.int32(d2 * d2))
        nearest = min(nearest, np.int32((square << KEY_SHIFT) | np.int32(groups[group, 3, lane])))
    return v0, v1, v2, group, nearest


@kernel(inline=True)
def nearest_of_all(
    u0,  # float32: a color, in steps
    u1,
    u2,
    u3,
    first,  # of the groups of entries that are compared ...
    stop,  # ... and their end
    entries,  # (n_groups, 4, LANES) float32, IN: in steps
    numbers,  # (n_groups, LANES) int32, IN: of these entries
):
    """Return the key of the nearest entry: the first bits of its squared distance, and its number.

    The bits of floats from 0 are in their order; equal distances up to a part in 65,536 go to the
    lowest number.
    """
    key = NO_KEY
    for group in range(first, stop):
        for lane in range(LANES):
            d0, d1 = u0 - entries[group, 0, lane], u1 - entries[group, 1, lane]
            d2, d3 = u2 - entries[group, 2, lane], u3 - entries[group, 3, lane]
            distance = np.float32(d0 * d0 + d1 * d1 + (d2 * d2 + d3 * d3))
            bits = np.int32(distance.view(np.int32) & DISTANCE_BITS)
            key = min(key, np.int32(bits | numbers[group, lane]))
    return key
