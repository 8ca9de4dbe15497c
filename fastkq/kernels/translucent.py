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

from fastkq.kernels.codes import LEAST_OPAQUE, LEAST_VISIBLE
from fastkq.kernels.compile import kernel

MAX_ROWS = 1 << 16  # of a table; the cells of 16 levels a side are never more
EXACT = -1  # the level of a table that has exact colors; at level n cells are 2^n levels a side
FREE = np.uint32(0xFFFFFFFF)  # no key: the high byte of one is an alpha below 255, or 255 minus it
N_SUMS = 5  # of the count and of the four coordinates
ONE, BYTE = np.uint32(1), np.uint32(255)
ALPHA_SHIFT, GREEN_SHIFT, BLUE_SHIFT = np.uint32(24), np.uint32(8), np.uint32(16)
LOW_BITS = np.uint32(0x01010101)  # of the four coordinates
STRIP = 64  # pixels that are passed over at once where all are opaque, or all transparent
# Slabs take blocks of the pixels in turn: a busy half of a picture takes twice a calm one's time.
BLOCK = 1 << 14
# From this level on a cell has a slot of its own, by its coordinates of 5 bits: 24 MP under a
# gradient took half as long again with a hash table, whose chains are mispredicted.
DIRECT = 3
N_DIRECT = 1 << 20
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
ONCE = np.int64(1)


@kernel(inline=True)
def over_gray(
    level,  # uint32: of a channel, 0 to 255
    alpha,  # uint32
    shining,  # uint32: 255 - alpha
):
    """Return the level that is seen over middle gray, rounded, halves upward."""
    seen = np.uint32(np.uint32(2) * level * alpha + BYTE * shining + BYTE) >> np.uint32(1)
    # Divided by 255: below 2^16 a multiplication is exact (Warren, Hacker's Delight, 10-9).
    return np.uint32(np.uint32(seen * np.uint32(32897)) >> np.uint32(23))


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
def hash_shift(
    size,  # int64: of a hash table, a power of two
):
    """Return how far a hash of 32 bits is shifted to be a slot's number: 32 - log2(size)."""
    shift = np.uint64(32)
    while size > 1:
        size >>= 1
        shift -= np.uint64(1)
    return shift


@kernel(inline=True)
def first_slot(
    key,  # uint32
    shift,  # uint64: see `hash_shift`
    last,  # uint64: size - 1
    is_direct,
):
    """Return the slot of a key, or where to look for it first."""
    if is_direct:
        wide = np.uint64(key)
        low, high = np.uint64(31), np.uint64(31 << 5)
        near = (wide & low) | ((wide >> np.uint64(3)) & high)
        return (
            near
            | ((wide >> np.uint64(6)) & (low << np.uint64(10)))
            | ((wide >> np.uint64(9)) & (low << np.uint64(15)))
        )
    near = np.uint64(key & NEAR_BITS)
    far = np.uint64(key & ~NEAR_BITS) * HASH
    near |= near >> np.uint64(5)  # 3 bits of each coordinate, side by side
    near = (near & np.uint64(63)) | ((near >> np.uint64(10)) & np.uint64(63 << 6))
    return (((far & np.uint64(0xFFFFFFFF)) >> shift) ^ near) & last


@kernel(inline=True)
def find_slot(
    keys,  # (size,) uint32, IN: size is a power of two, and not all are taken
    key,  # uint32
    shift,  # uint64: see `hash_shift`
    is_direct,
):
    """Return where a key is, or where it would go."""
    last = np.uint64(keys.shape[0] - 1)
    slot = first_slot(key, shift, last, is_direct)
    if not is_direct:
        while keys[slot] != key and keys[slot] != FREE:
            slot = (slot + PROBE_STEP) & last
    return slot


@kernel(inline=True)
def add_word(
    sums,  # (n, N_SUMS) int64, INOUT
    row,
    word,  # uint64
    weight,  # int64: how often
):
    """Add a word to the wider sums."""
    sums[row, 0] += weight * np.int64(word >> COUNT_SHIFT)
    sums[row, 1] += weight * np.int64(word & FIELD)
    sums[row, 2] += weight * np.int64((word >> FIELD_BITS) & FIELD)
    sums[row, 3] += weight * np.int64((word >> np.uint64(26)) & FIELD)
    sums[row, 4] += weight * np.int64((word >> np.uint64(39)) & FIELD)


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
    words,  # (n_slots,) uint64, INOUT
    rows,  # (n_slots,) int32, INOUT
    row_keys,  # (MAX_ROWS,) uint32, INOUT
    row_slots,  # (MAX_ROWS,) uint32, INOUT
    sums,  # (MAX_ROWS, N_SUMS) int64, INOUT
    n_rows,  # how many
    level,  # of the table
    shift,  # uint64: see `hash_shift`
):
    """Make the cells of a table a level larger; return how many there are."""
    for row in range(n_rows):
        slot = np.uint64(row_slots[row])
        add_word(sums, row, words[slot], ONCE)
        words[slot] = np.uint64(0)
        rows[slot] = 0
    for slot in range(keys.shape[0]):
        keys[slot] = FREE
    moved = np.empty(N_SUMS, np.int64)
    is_direct = level + 1 >= DIRECT
    n_kept = 0
    for old in range(n_rows):
        for column in range(N_SUMS):
            moved[column] = sums[old, column]
            sums[old, column] = 0
        key = raise_row(row_keys[old], level, moved)
        slot = find_slot(keys, key, shift, is_direct)
        if rows[slot] == 0:
            if not is_direct:
                keys[slot] = key
            row_keys[n_kept], row_slots[n_kept] = key, slot  # never beyond the old row
            n_kept += 1
            rows[slot] = n_kept
        for column in range(N_SUMS):
            sums[rows[slot] - 1, column] += moved[column]
    return n_kept


@kernel(inline=True)
def fill_strip(
    numbers,  # (N,) uint32, IN
    first,  # uint64: pixel
    size,  # uint64: of the strip
    level,
    shift,  # uint64: see `hash_shift`
    last,  # uint64: size - 1
    keys,  # (STRIP,) uint32, OUT
    places,  # (STRIP,) uint64, OUT
    slots,  # (STRIP,) uint64, OUT
):
    """Compute the keys of a strip of pixels at a level, their words of one pixel, first slots."""
    if level == EXACT:
        for i in range(size):
            keys[i] = numbers[first + i]
            places[i] = ONE_PIXEL
            slots[i] = first_slot(keys[i], shift, last, False)
    elif level < DIRECT:
        for i in range(size):
            key = cell_key(numbers[first + i])
            places[i] = place_in_cell(key, np.uint32(level))
            keys[i] = coarsen_key(key, np.uint32(level))
            slots[i] = first_slot(keys[i], shift, last, False)
    else:
        for i in range(size):
            key = cell_key(numbers[first + i])
            places[i] = place_in_cell(key, np.uint32(level))
            keys[i] = coarsen_key(key, np.uint32(level))
            slots[i] = first_slot(keys[i], shift, last, True)


@kernel(each="keys")
def count_pixels(
    slab,  # of pixels, and of tables
    numbers,  # (N,) uint32, IN: pixels, R in the lowest byte and alpha in the highest
    weights,  # (N,) or (0,) int64, IN: none means that each pixel counts once
    keys,  # (n_slabs, size) uint32, INOUT: FREE before; size is a power of two above MAX_ROWS or N
    words,  # (n_slabs, n_slots) uint64, INOUT: zero before; n_slots is size or N_DIRECT, the larger
    rows,  # (n_slabs, n_slots) int32, INOUT: zero before; 1 + the row of a slot that is taken
    row_keys,  # (n_slabs, <= MAX_ROWS) uint32, OUT: the keys that are taken
    row_slots,  # (n_slabs, <= MAX_ROWS) uint32, OUT: where they are
    sums,  # (n_slabs, <= MAX_ROWS, N_SUMS) int64, INOUT: zero before; what the words cannot hold
    states,  # (n_slabs, 3) int64, INOUT: the number of rows, the level, the weight at alpha 0
):
    """Count the pixels of each translucent color or cell, in a table for every slab of pixels."""
    is_weighted = weights.shape[0] > 0
    n_pixels, n_slabs = numbers.shape[0], keys.shape[0]
    own_keys, own_words, own_rows = keys[slab], words[slab], rows[slab]
    own_row_keys, own_row_slots, own_sums = row_keys[slab], row_slots[slab], sums[slab]
    n_rows, level, n_clear = states[slab, 0], states[slab, 1], states[slab, 2]
    last, shift = np.uint64(keys.shape[1] - 1), hash_shift(keys.shape[1])
    strip_keys = np.empty(STRIP, np.uint32)
    places, slots = np.empty(STRIP, np.uint64), np.empty(STRIP, np.uint64)
    for begin in range(slab * BLOCK, n_pixels, n_slabs * BLOCK):
        end = np.uint64(min(begin + BLOCK, n_pixels))
        for first in range(np.uint64(begin), end, np.uint64(STRIP)):
            size = min(np.uint64(STRIP), end - first)
            together, any_of = FREE, np.uint32(0)
            for i in range(first, first + size):
                together &= numbers[i]
                any_of |= numbers[i]
            if together >= LEAST_OPAQUE:
                continue
            if any_of < LEAST_VISIBLE and not is_weighted:
                n_clear += np.int64(size)
                continue
            done = np.uint64(0)
            while done < size:  # once more where the table changes its level
                fill_strip(numbers, first, size, level, shift, last, strip_keys, places, slots)
                is_hashed = level < DIRECT
                for i in range(done, size):
                    done = i + np.uint64(1)
                    number = numbers[first + i]
                    weight = weights[first + i] if is_weighted else np.int64(1)
                    # Below LEAST_VISIBLE, the difference is a large number.
                    is_translucent = (
                        np.uint32(number - LEAST_VISIBLE) < LEAST_OPAQUE - LEAST_VISIBLE
                    )
                    if not is_translucent or weight == 0:
                        n_clear += weight if number < LEAST_VISIBLE else np.int64(0)
                        continue
                    key, slot = strip_keys[i], slots[i]
                    if is_hashed:
                        while own_keys[slot] != key and own_keys[slot] != FREE:
                            slot = (slot + PROBE_STEP) & last
                    word = own_words[slot]
                    # A word of 0 may be that of a new cell; 0 - 1 is a large number.
                    if word - np.uint64(1) >= FULL - np.uint64(1) or weight != 1:
                        row = own_rows[slot]
                        if row == 0:
                            if n_rows == own_row_keys.shape[0]:
                                n_rows = coarsen_table(
                                    own_keys,
                                    own_words,
                                    own_rows,
                                    own_row_keys,
                                    own_row_slots,
                                    own_sums,
                                    n_rows,
                                    level,
                                    shift,
                                )
                                level += 1
                                done = i
                                break
                            if is_hashed:
                                own_keys[slot] = key
                            own_row_keys[n_rows], own_row_slots[n_rows] = key, slot
                            n_rows += 1
                            own_rows[slot] = row = n_rows
                        add_word(own_sums, row - 1, word, ONCE)
                        word = np.uint64(0)
                        if weight != 1:
                            add_word(own_sums, row - 1, places[i], weight)
                            own_words[slot] = word
                            continue
                    own_words[slot] = word + places[i]
    states[slab, 0], states[slab, 1], states[slab, 2] = n_rows, level, n_clear


@kernel()
def gather_rows(
    keys,  # (size,) uint32, INOUT: FREE after
    words,  # (n_slots,) uint64, INOUT: zero after
    rows,  # (n_slots,) int32, INOUT: zero after
    row_slots,  # (T,) uint32, IN
    sums,  # (T, N_SUMS) int64, INOUT: zero after
    moments,  # (T, N_SUMS) int64, OUT
):
    """Take the sums out of a table, and leave it as it was before."""
    for row in range(row_slots.shape[0]):
        slot = np.uint64(row_slots[row])
        add_word(sums, row, words[slot], ONCE)
        words[slot] = np.uint64(0)
        rows[slot] = 0
        for column in range(N_SUMS):
            moments[row, column] = sums[row, column]
            sums[row, column] = 0
    for slot in range(keys.shape[0]):
        keys[slot] = FREE
