"""The palette entry that is nearest to any color: tables of candidates by cells of color.

Boxes of 128 steps a side pass the entries that can be nearest somewhere inside to their cells of 32
steps, and those with more than LANES of them to cells of 8: a palette is dense where its image has
many pixels. A group of candidates is compared at once.
"""

import numpy as np

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
N_BOXES, BOX_STEPS = N_CELLS // 64, 128
CELL_STEPS, SMALL_STEPS = 32, 8
CELL_SHIFT = np.uint64(5)  # from steps to cells
N_SMALL = 64  # in a cell
LEAST_CELLS = 8  # that a thread is asked to list candidates for
LEAST_LISTS = 1024  # that a thread is asked to write: 0.1 ms
# An entry of the table of cells is the number of its first group above six bits: those that are set
# are taken from the color, for the groups of the small cells.
SPLIT = 63
SPLIT_SHIFT = np.uint64(6)


@kernel()
def list_rivals(
    palette,  # (3, K) float32, IN: in steps
    low,  # (3,) float32, IN: the low corner of a cube ...
    side,  # float32: ... and its side
    above,  # (>= n,) uint8, IN: the entries to choose from
    n,
    rivals,  # (>= n,) uint8, OUT: those that can be nearest in the cube, ascending
):
    """List the entries that are nearest to some point of a cube, ties included; return how many.

    The rule is that of `kernels.cells`; small integers and their halves are exact in float32.
    """
    best, least = 0, np.float32(np.inf)
    for i in range(n):
        distance = ZERO
        for channel in range(3):
            distance += (palette[channel, above[i]] - (low[channel] + HALF * side)) ** 2
        if distance < least:
            best, least = above[i], distance
    n_kept = 0
    for i in range(n):
        own = rival = ZERO
        for channel in range(3):
            mine, others = palette[channel, above[i]], palette[channel, best]
            corner = low[channel] + side if mine > others else low[channel]
            own += (mine - corner) ** 2
            rival += (others - corner) ** 2
        if own <= rival:
            rivals[n_kept] = above[i]
            n_kept += 1
    return n_kept


@kernel()
def set_corner(
    x,  # a position in a grid of cubes, by channel
    y,
    z,
    side,
    low,  # (3,) float32, OUT
):
    """Fill in the low corner of a cube."""
    low[0], low[1], low[2] = x * side, y * side, z * side


@kernel(pieces=N_BOXES)
def list_candidates(
    begin,  # of the boxes ...
    end,  # ... and the end of these
    palette,  # (3, K) float32, IN: in steps
    lists,  # (N_CELLS, K) uint8, OUT: of each cell, by lightness, a, b
    lengths,  # (N_CELLS,) int64, OUT
):
    """List the entries that can be nearest somewhere in each cell."""
    n_colors = palette.shape[1]
    for box in range(begin, end):
        low = np.empty(3, np.float32)
        everything, rivals = np.empty(n_colors, np.uint8), np.empty(n_colors, np.uint8)
        for entry in range(n_colors):
            everything[entry] = entry
        side = CHROMA_CELLS // 4
        x, y, z = box // side**2, box // side % side, box % side
        set_corner(x, y, z, np.int64(BOX_STEPS), low)
        n = list_rivals(palette, low, np.float32(BOX_STEPS), everything, n_colors, rivals)
        for part in range(64):
            u, v, w = 4 * x + part // 16, 4 * y + part // 4 % 4, 4 * z + part % 4
            set_corner(u, v, w, np.int64(CELL_STEPS), low)
            cell = (u * CHROMA_CELLS + v) * CHROMA_CELLS + w
            lengths[cell] = list_rivals(
                palette, low, np.float32(CELL_STEPS), rivals, n, lists[cell]
            )


@kernel(pieces="crowded", least=LEAST_CELLS)
def list_small_candidates(
    begin,  # of the crowded cells ...
    end,  # ... and the end of these
    palette,  # (3, K) float32, IN: in steps
    crowded,  # (n,) int64, IN: cells
    lists,  # (N_CELLS, K) uint8, IN: of the cells
    lengths,  # (N_CELLS,) int64, IN
    small_lists,  # (n, 64, K) uint8, OUT: of the small cells in each
    small_lengths,  # (n, 64) int64, OUT
):
    """List the candidates of the small cells in cells that have many."""
    for i in range(begin, end):
        low = np.empty(3, np.float32)
        cell = crowded[i]
        row, z = cell // CHROMA_CELLS, 4 * (cell % CHROMA_CELLS)
        x, y = 4 * (row // CHROMA_CELLS), 4 * (row % CHROMA_CELLS)
        for part in range(N_SMALL):
            set_corner(x + part // 16, y + part // 4 % 4, z + part % 4, np.int64(SMALL_STEPS), low)
            small_lengths[i, part] = list_rivals(
                palette,
                low,
                np.float32(SMALL_STEPS),
                lists[cell],
                lengths[cell],
                small_lists[i, part],
            )


@kernel(pieces="firsts", least=LEAST_LISTS)
def fill_groups(
    begin,  # of the lists ...
    end,  # ... and the end of these
    palette,  # (3, K) float32, IN: in steps
    lists,  # (n, K) uint8, IN
    lengths,  # (n,) int64, IN
    firsts,  # (n,) int64, IN: each list's first group
    further,  # (>= n + 1,) int64, IN: by first group, where its further groups start
    groups,  # (n_groups, 4, LANES) int16, OUT: coordinates in steps, and numbers
):
    """Write lists of candidates in groups, the last of each filled up with its first candidate."""
    for row in range(begin, end):
        first = firsts[row]
        n_further = further[first + 1] - further[first]
        for i in range((1 + n_further) * LANES):
            entry = lists[row, i if i < lengths[row] else 0]
            group = first if i < LANES else further[first] + i // LANES - 1
            for channel in range(3):
                groups[group, channel, i % LANES] = palette[channel, entry]
            groups[group, 3, i % LANES] = entry


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
    """Go on with further groups of candidates, which few colors have."""
    for group in range(first, stop):
        for lane in range(N_LANES):
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
