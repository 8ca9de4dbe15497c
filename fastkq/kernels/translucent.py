"""Kernels that count the colors of RGBA pixels that are neither opaque nor fully transparent.

Method: one pass over the pixels, a hash table for every slab of them. A table starts with the exact
colors. Where they are more than it may hold, it goes on with cells of similar colors, which is what
K-means needs of so many: first of one level a side, then of two, four and so on. The cells of a
level lie in those of the next, and all sums are of integers, so that neither the order of the
pixels nor the number of slabs changes what is counted.

A pixel adds its count and its place in the cell to one word of 64 bits, and words that are nearly
full are added to wider sums: 6 times as fast as adding to five sums each time.
"""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel

MAX_ROWS = 1 << 16  # of a table; the cells of 16 levels a side are never more
EXACT = -1  # the level of a table that has exact colors; at level n cells are 2^n levels a side
FREE = np.uint32(0xFFFFFFFF)  # no key: the high byte of one is an alpha below 255, or 255 minus it
N_SUMS = 5  # of the count and of the four coordinates
ONE, BYTE = np.uint32(1), np.uint32(255)
ALPHA_SHIFT, GREEN_SHIFT, BLUE_SHIFT = np.uint32(24), np.uint32(8), np.uint32(16)
LOW_BITS = np.uint32(0x01010101)  # of the four coordinates
STRIP = 16  # pixels that are passed over at once where all are opaque
# The low bits of a key stay where they are in a slot's number, so that similar colors lie together;
# the others are mixed by a multiplication (Knuth, TAOCP 3, 6.4): 2^32 / golden ratio.
NEAR_BITS = np.uint32(0x07070707)
HASH = np.uint64(2654435769)
# Odd, so that it leads everywhere. Similar colors fill whole runs of slots, and a step of 1 through
# those took 119 ms instead of 75 for 24 MP of one alpha.
PROBE_STEP = np.uint64(2531)
# A word has 12 bits for the count and 13 for each of the sums of four coordinates: 15 levels at
# most, 512 times.
FIELD_BITS, FIELD = np.uint64(13), np.uint64((1 << 13) - 1)
COUNT_SHIFT = np.uint64(52)
ONE_PIXEL = np.uint64(1 << 52)
FULL = np.uint64(512 << 52)


@kernel(inline=True)
def over_gray(
    level,  # uint32: of a channel, 0 to 255
    alpha,  # uint32
    shining,  # uint32: 255 - alpha
):
    """Return the level that is seen over middle gray, rounded, halves upward."""
    seen = np.uint32(np.uint32(2) * level * alpha + BYTE * shining + BYTE)
    return np.uint32(seen // np.uint32(510))


@kernel(inline=True)
def cell_key(
    number,  # uint32: a pixel, R in its lowest byte
):
    """Return the four coordinates of a color, a byte each: its cell of one level a side."""
    alpha = np.uint32(number >> ALPHA_SHIFT)
    shining = np.uint32(BYTE - alpha)
    red = over_gray(np.uint32(number & BYTE), alpha, shining)
    green = over_gray(np.uint32((number >> GREEN_SHIFT) & BYTE), alpha, shining)
    blue = over_gray(np.uint32((number >> BLUE_SHIFT) & BYTE), alpha, shining)
    return np.uint32(red | (green << GREEN_SHIFT) | (blue << BLUE_SHIFT) | (shining << ALPHA_SHIFT))


@kernel(inline=True)
def coarsen_key(
    key,  # uint32: of a cell
    n_levels,  # uint32: how many levels up
):
    """Return the number of the larger cell that a cell lies in."""
    mask = np.uint32((BYTE >> n_levels) * LOW_BITS)
    return np.uint32((key >> n_levels) & mask)


@kernel(inline=True)
def place_in_cell(
    key,  # uint32: the coordinates of a color
    level,  # uint32: of its cell
):
    """Return a word of the coordinates from the low corner of the cell, and of one pixel."""
    mask = np.uint32(((ONE << level) - ONE) * LOW_BITS)
    place = np.uint64(key & mask)
    byte = np.uint64(255)
    return (
        ONE_PIXEL
        | (place & byte)
        | (((place >> np.uint64(8)) & byte) << FIELD_BITS)
        | (((place >> np.uint64(16)) & byte) << np.uint64(26))
        | ((place >> np.uint64(24)) << np.uint64(39))
    )


@kernel(inline=True)
def find_slot(
    keys,  # (size,) uint32, IN: size is a power of two, and not all are taken
    key,  # uint32
    shift,  # uint64: 32 - log2(size)
):
    """Return where a key is, or where it would go."""
    last = np.uint64(keys.shape[0] - 1)
    near = np.uint64(key & NEAR_BITS)
    far = np.uint64(key & ~NEAR_BITS) * HASH
    near |= near >> np.uint64(5)  # 3 bits of each coordinate, side by side
    near = (near & np.uint64(63)) | ((near >> np.uint64(10)) & np.uint64(63 << 6))
    slot = (((far & np.uint64(0xFFFFFFFF)) >> shift) ^ near) & last
    while keys[slot] != key and keys[slot] != FREE:
        slot = (slot + PROBE_STEP) & last
    return slot


@kernel(inline=True)
def add_word(
    sums,  # (size, N_SUMS) int64, INOUT
    slot,  # uint64
    word,  # uint64
):
    """Add a word to the wider sums."""
    sums[slot, 0] += np.int64(word >> COUNT_SHIFT)
    sums[slot, 1] += np.int64(word & FIELD)
    sums[slot, 2] += np.int64((word >> FIELD_BITS) & FIELD)
    sums[slot, 3] += np.int64((word >> np.uint64(26)) & FIELD)
    sums[slot, 4] += np.int64((word >> np.uint64(39)) & FIELD)


@kernel(inline=True)
def add_place(
    sums,  # (n, N_SUMS) int64, INOUT
    row,
    place,  # uint64: a word of one pixel
    weight,  # int64
):
    """Add a color to the wider sums of its cell."""
    sums[row, 0] += weight
    sums[row, 1] += weight * np.int64(place & FIELD)
    sums[row, 2] += weight * np.int64((place >> FIELD_BITS) & FIELD)
    sums[row, 3] += weight * np.int64((place >> np.uint64(26)) & FIELD)
    sums[row, 4] += weight * np.int64((place >> np.uint64(39)) & FIELD)


@kernel(inline=True)
def raise_row(
    key,  # uint32: of a color where the level is EXACT, or of a cell
    level,
    moved,  # (N_SUMS,) int64, INOUT: sums from the low corner of the cell; of the larger one after
):
    """Return the key of the cell that is a level larger, and move the sums to its corner."""
    if level == EXACT:
        return cell_key(key)  # one level a side: a corner is all there is
    for axis in range(4):
        bit = np.int64((key >> np.uint32(8 * axis)) & np.uint32(1))
        moved[1 + axis] += moved[0] * (bit << np.int64(level))
    return coarsen_key(key, ONE)


@kernel()
def coarsen_table(
    keys,  # (size,) uint32, INOUT
    words,  # (size,) uint64, INOUT
    sums,  # (size, N_SUMS) int64, INOUT
    slots,  # (MAX_ROWS,) int32, INOUT: the slots that are taken
    n_rows,  # how many
    level,  # of the table
    shift,  # uint64: 32 - log2(size)
):
    """Make the cells of a table a level larger; return how many there are."""
    old_keys = np.empty(n_rows, np.uint32)
    old_sums = np.empty((n_rows, N_SUMS), np.int64)
    for i in range(n_rows):
        slot = np.uint64(slots[i])
        add_word(sums, slot, words[slot])
        old_keys[i] = keys[slot]
        keys[slot], words[slot] = FREE, np.uint64(0)
        for column in range(N_SUMS):
            old_sums[i, column] = sums[slot, column]
            sums[slot, column] = 0
    n_kept = 0
    for i in range(n_rows):
        key = raise_row(old_keys[i], level, old_sums[i])
        slot = find_slot(keys, key, shift)
        if keys[slot] == FREE:
            keys[slot] = key
            slots[n_kept] = slot
            n_kept += 1
        for column in range(N_SUMS):
            sums[slot, column] += old_sums[i, column]
    return n_kept


@kernel(inline=True)
def fill_strip(
    numbers,  # (N,) uint32, IN
    first,  # uint64: pixel
    size,  # uint64: of the strip
    level,
    keys,  # (STRIP,) uint32, OUT
    places,  # (STRIP,) uint64, OUT
):
    """Compute the keys of a strip of pixels at a level, and their words of one pixel."""
    if level == EXACT:
        for i in range(size):
            keys[i] = numbers[first + i]
            places[i] = ONE_PIXEL
    else:
        for i in range(size):
            key = cell_key(numbers[first + i])
            keys[i] = coarsen_key(key, np.uint32(level))
            places[i] = place_in_cell(key, np.uint32(level))


@kernel()
def count_slab(
    numbers,
    weights,
    start,  # pixel
    stop,
    keys,  # (size,)
    words,  # (size,)
    sums,  # (size, N_SUMS)
    slots,  # (<= MAX_ROWS,)
    state,  # (3,)
):
    """Do what `count_pixels` does, for one slab; its arguments are described there."""
    is_weighted = weights.shape[0] > 0
    n_rows, level, n_clear = state[0], state[1], state[2]
    shift = np.uint64(32)
    while keys.shape[0] >> np.int64(np.uint64(32) - shift) > 1:
        shift -= np.uint64(1)
    own_keys = np.empty(STRIP, np.uint32)
    places = np.empty(STRIP, np.uint64)
    last, slot = FREE, np.uint64(0)
    for first in range(np.uint64(start), np.uint64(stop), np.uint64(STRIP)):
        size = min(np.uint64(STRIP), np.uint64(stop) - first)
        if size == STRIP:
            together = FREE
            for i in range(np.uint64(STRIP)):
                together &= numbers[first + i]
            if together >> ALPHA_SHIFT == BYTE:
                continue
        done = np.uint64(0)
        while done < size:  # once more where the table changes its level
            fill_strip(numbers, first, size, level, own_keys, places)
            old_level = level
            while done < size and level == old_level:
                i = done
                alpha = np.uint32(numbers[first + i] >> ALPHA_SHIFT)
                weight = weights[first + i] if is_weighted else np.int64(1)
                if (
                    np.uint32(alpha - ONE) >= np.uint32(BYTE - ONE) or weight == 0
                ):  # 0 - 1 is a large number
                    n_clear += weight if alpha == 0 else np.int64(0)
                    done += np.uint64(1)
                    continue
                key = own_keys[i]
                if key != last:
                    slot = find_slot(keys, key, shift)
                    last = key
                    if keys[slot] == FREE:
                        if n_rows == slots.shape[0]:
                            n_rows = coarsen_table(keys, words, sums, slots, n_rows, level, shift)
                            level += 1
                            last = FREE
                            continue
                        keys[slot] = key
                        slots[n_rows] = slot
                        n_rows += 1
                done += np.uint64(1)
                if weight != 1:
                    add_place(sums, slot, places[i], weight)
                    continue
                word = words[slot] + places[i]
                if word >= FULL:
                    add_word(sums, slot, word)
                    word = np.uint64(0)
                words[slot] = word
    state[0], state[1], state[2] = n_rows, level, n_clear


@kernel(parallel=True)
def count_pixels(
    numbers,  # (N,) uint32, IN: pixels, R in the lowest byte and alpha in the highest
    weights,  # (N,) or (0,) int64, IN: none means that each pixel counts once
    keys,  # (n_slabs, size) uint32, INOUT: FREE before; size is a power of two above MAX_ROWS or N
    words,  # (n_slabs, size) uint64, INOUT: zero before
    sums,  # (n_slabs, size, N_SUMS) int64, INOUT: zero before; what the words could not hold
    slots,  # (n_slabs, <= MAX_ROWS) int32, OUT: the slots that are taken
    states,  # (n_slabs, 3) int64, INOUT: how many those are, the level, the weight at alpha 0
):
    """Count the pixels of each translucent color or cell, in a table for every slab of pixels."""
    n_pixels = numbers.shape[0]
    n_slabs = keys.shape[0]
    for slab in prange(n_slabs):
        start, stop = n_pixels * slab // n_slabs, n_pixels * (slab + 1) // n_slabs
        count_slab(
            numbers,
            weights,
            start,
            stop,
            keys[slab],
            words[slab],
            sums[slab],
            slots[slab],
            states[slab],
        )


@kernel()
def gather_rows(
    keys,  # (size,) uint32, IN
    words,  # (size,) uint64, IN
    sums,  # (size, N_SUMS) int64, INOUT: with the words after
    slots,  # (T,) int32, IN
    own_keys,  # (T,) uint32, OUT
    own_sums,  # (T, N_SUMS) int64, OUT
):
    """List the keys of a table and their sums."""
    for i in range(slots.shape[0]):
        slot = np.uint64(slots[i])
        own_keys[i] = keys[slot]
        add_word(sums, slot, words[slot])
        for column in range(N_SUMS):
            own_sums[i, column] = sums[slot, column]


@kernel()
def coarsen_rows(
    keys,  # (T,) uint32, INOUT: of colors where the level is EXACT, or of cells
    sums,  # (T, N_SUMS) int64, INOUT: from the low corners of the cells
    level,
):
    """Put colors or cells into cells a level larger, of which several may be the same."""
    for i in range(keys.shape[0]):
        keys[i] = raise_row(keys[i], level, sums[i])


@kernel()
def unite_rows(
    keys,  # (T,) uint32, INOUT: ascending; each once after
    order,  # (T,) int64, IN: which row of the sums each key has
    sums,  # (T, N_SUMS) int64, IN
    united,  # (T, N_SUMS) int64, OUT
):
    """Add up the rows of equal keys; return how many are left."""
    n_kept = -1
    for i in range(keys.shape[0]):
        if n_kept < 0 or keys[i] != keys[n_kept]:
            n_kept += 1
            keys[n_kept] = keys[i]
            for column in range(N_SUMS):
                united[n_kept, column] = sums[order[i], column]
        else:
            for column in range(N_SUMS):
                united[n_kept, column] += sums[order[i], column]
    return n_kept + 1
