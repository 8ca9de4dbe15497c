"""Labels chosen by their error and by the bits that they take, inside error diffusion.

Deflate, and all that writes indices, keeps a copy of indices that stood before for a few bits,
however long it is, and an index that surprises for several. So a row is cut into pixels that take
their nearest entry, and copies of what stands a little before or above, by what

    squared error + weight * bits

each of them takes: entropy-constrained quantization (Chou, Lookabaugh and Gray 1989). What a copy
is wrong by is passed on to the pixels beside and below, as error diffusion does, so that means stay
right; and a copy is followed to where it pays most, over single pixels that it suits badly.

The weight grows with the contrast around a pixel, which hides errors. Where most of a stretch of a
row is exactly in the palette, as in drawings and screenshots, the weight is none: that stays exact.
"""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel
from fastkq.kernels.dither import (
    FROM_BEFORE,
    SIXTEENTH,
    STRIP_ROWS,
    WARM_UP_ROWS,
    fill_shares,
)
from fastkq.kernels.general import start_any_row
from fastkq.kernels.nearest import (
    HALF,
    KEY_SHIFT,
    LABEL_BITS,
    LANES,
    NO_KEY,
    cell_of,
    group_of,
    nearest_of_all,
    search_further,
)
from fastkq.kernels.steps import (
    OPAQUE,
    ZERO,
    alpha_squared_error,
    clamp,
    convert_any_row,
    read_alphas,
)

TRANSPARENT = np.uint8(0)
# Copies come from this row and so many above: farther ones were worth little.
N_KEPT_ROWS = 3
# Chroma counts half in a copy's error: the eye sees less of it, and bytes fell by 2 %.
CHROMA_WEIGHT = np.float32(0.5)
# A copy begins only with an error of less than so many pixels' worth, and is followed until it is
# so many behind its best.
MOST_AT_START, MOST_BEHIND = np.float32(2), np.float32(4.5)
# The edge of something flat hides less than texture does: a contrast counts no more than this base
# and so many times the lowest of the pixels that are so near in the row.
EDGE_BASE, EDGE_FACTOR, NEAR = np.int32(8), np.int32(3), 2
# A stretch of a row is left exact if at least half of its pixels are in the palette.
STRETCH = 32
# The table of a palette's colors: open addressing, by a multiplicative hash (Knuth 1973).
N_SLOTS, HASH_SHIFT = 1024, np.uint64(22)
HASH_FACTOR, HASH_BITS = np.uint64(2654435769), np.uint64(0xFFFFFFFF)
SLOT_BITS = np.uint64(N_SLOTS - 1)
ONE = np.uint64(1)
NO_ENTRY, NEAREST = np.int16(-1), np.int16(-2)  # of a pixel; the second in exact stretches


@kernel(inline=True)
def slot_of(
    color,  # int64: 8 bits a channel
):
    """Return where the search for a color begins in the table of the palette's colors."""
    return ((np.uint64(color) * HASH_FACTOR) & HASH_BITS) >> HASH_SHIFT


@kernel()
def fill_slots(
    colors,  # (K, 4) uint8, IN: the palette
    keys,  # (N_SLOTS,) int64, OUT: colors, or -1
    entries,  # (N_SLOTS,) uint8, OUT: the first entry of each
):
    """Write the table of a palette's colors."""
    keys[:] = -1
    for entry in range(colors.shape[0]):
        color = np.int64(0)
        for channel in range(4):
            color = (color << 8) | np.int64(colors[entry, channel])
        slot = slot_of(color)
        while keys[slot] >= 0 and keys[slot] != color:
            slot = (slot + ONE) & SLOT_BITS
        if keys[slot] < 0:
            keys[slot], entries[slot] = color, entry


@kernel()
def find_exact_row(
    pixels,  # (W * C,) uint8, IN: a row of an image of C = 1, 3 or 4 channels
    alphas,  # (W,) uint8, IN
    keys,  # (N_SLOTS,) int64, IN: see `fill_slots`
    entries,  # (N_SLOTS,) uint8, IN
    exact,  # (W,) int16, OUT
):
    """Find the entries that are the colors of pixels in stretches that stay exact.

    There, other pixels are NEAREST; all are NO_ENTRY elsewhere.
    """
    width = alphas.shape[0]
    n_channels = pixels.shape[0] // width
    green, blue = (1, 2) if n_channels > 1 else (0, 0)
    for start in range(0, width, STRETCH):
        stop = min(start + STRETCH, width)
        n_exact = 0
        for x in range(start, stop):
            base = n_channels * x
            color = (np.int64(pixels[base]) << 8) | np.int64(pixels[base + green])
            color = (color << 16) | (np.int64(pixels[base + blue]) << 8) | np.int64(alphas[x])
            slot = slot_of(color)
            while keys[slot] >= 0 and keys[slot] != color:
                slot = (slot + ONE) & SLOT_BITS
            exact[x] = NO_ENTRY
            if keys[slot] == color:
                exact[x] = entries[slot]
                n_exact += 1
        is_exact = 2 * n_exact >= stop - start
        for x in range(start, stop):
            if not is_exact:
                exact[x] = NO_ENTRY
            elif exact[x] == NO_ENTRY:
                exact[x] = NEAREST


@kernel()
def weigh_row(
    contrasts,  # (W,) uint8, IN: around each pixel, in levels
    alphas,  # (W,) uint8, IN
    exact,  # (W,) int16, IN: see `find_exact_row`
    table,  # (256,) float32, IN: what the bits of a pixel are worth, by contrast
    lowest,  # (W,) uint8, OUT: the lowest contrast within `NEAR` pixels in the row
    worths,  # (W,) float32, OUT: what the bits of each pixel are worth
    shares_above,  # (W,) float32, INOUT: of the errors of the row above, that a pixel takes
    shares_before,  # (W,) float32, INOUT: of the error of the pixel before
):
    """Look up what the bits of each pixel are worth; none, and no errors, in exact stretches."""
    width = worths.shape[0]
    lowest[:] = contrasts
    for shift in range(1, NEAR + 1):
        for x in range(width - shift):
            lowest[x] = min(lowest[x], contrasts[x + shift])
        for x in range(shift, width):
            lowest[x] = min(lowest[x], contrasts[x - shift])
    for x in range(width):
        cap = EDGE_BASE + EDGE_FACTOR * np.int32(lowest[x])
        contrast = min(np.int32(contrasts[x]), cap)
        if TRANSPARENT < alphas[x] < OPAQUE:
            contrast = np.int32(0)
        worths[x] = table[contrast]
        if exact[x] != NO_ENTRY:
            worths[x] = shares_above[x] = shares_before[x] = ZERO


@kernel(inline=True)
def follow(
    values,  # (4, W) float32, IN: a row's colors and the errors of the row above, in steps
    alphas,  # (W,) uint8, IN
    worths,  # (W,) float32, IN: what the bits of a pixel are worth
    shares,  # (W,) float32, IN: of the error of the pixel before, that a pixel takes
    is_closed,  # (K,) bool, IN: whether opaque pixels may not have an entry
    transparent,  # the entry of fully transparent pixels
    points,  # (4, K) float32, IN: the palette, in steps
    before,  # (4,) float32, IN: the error of the pixel before
    source,  # (W,) uint8, IN: labels of a row above, or INOUT: of this row
    shift,  # how far to the left in it the copy begins
    is_own,  # whether it is this row
    x,  # where the copy begins in this row
    cost,  # float32: of it, in pixels' worth
    best,  # float32: the most that another copy gains
):
    """Return the most that a copy gains, if more than the best, and its length."""
    width = alphas.shape[0]
    stop = width if shift >= 0 else width + shift
    length, gain = 0, -cost * worths[x]
    e0, e1, e2, e3 = before[0], before[1], before[2], before[3]
    for j in range(x, stop):
        label = source[j - shift]
        if is_own:
            source[j] = label
        worth = worths[j]
        if alphas[j] == TRANSPARENT:
            if label != transparent:
                break
            e0 = e1 = e2 = e3 = ZERO
            gain += worth
        else:
            if is_closed[label] and alphas[j] == OPAQUE:
                break
            share = shares[j]
            e0 = values[0, j] + share * e0 - points[0, label]
            e1 = values[1, j] + share * e1 - points[1, label]
            e2 = values[2, j] + share * e2 - points[2, label]
            e3 = values[3, j] + share * e3 - points[3, label]
            error = e0 * e0 + CHROMA_WEIGHT * (e1 * e1 + e2 * e2) + e3 * e3
            if j == x and error > MOST_AT_START * worth:
                break
            gain += worth - error
        if gain > best:
            best, length = gain, j + 1 - x
        elif gain < best - MOST_BEHIND * worths[x]:
            break
    return best, length


@kernel()
def choose_row(
    values,  # (4, W) float32, IN: a row's colors and the errors of the row above, in steps
    alphas,  # (W,) uint8, IN
    exact,  # (W,) int16, IN: see `find_exact_row`
    worths,  # (W,) float32, IN: what the bits of a pixel are worth
    shares,  # (W,) float32, IN: of the error of the pixel before, that a pixel takes
    kept,  # (N_KEPT_ROWS, W) uint8, INOUT: this row and those above, in turn
    row,  # the number of this row
    n_above,  # how many rows above may be copied from
    copies,  # (n, 2) int64, IN: how many rows above, and pixels to the left, copies begin
    costs,  # (n + 1,) float32, IN: theirs, in pixels' worth, and that of going on with the last
    has_table,  # whether opaque pixels are looked up in the table of cells
    has_opaque,  # whether they take opaque entries only
    is_closed,  # (K,) bool, IN: whether opaque pixels may not have an entry
    transparent,  # the entry of fully transparent pixels
    lowest,  # (4,) float32, IN: the box that colors and their errors are kept in ...
    highest,  # (4,) float32, IN
    points,  # (4, K) float32, IN: the palette, in steps
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    errors,  # (4, W + 2) float32, OUT, but for both ends
):
    """Choose the labels of a row, from the left."""
    width = alphas.shape[0]
    own = kept[row % N_KEPT_ROWS]
    before = np.zeros(4, np.float32)
    last = -1
    n_copies = copies.shape[0]
    x = 0
    while x < width:
        gain, length, chosen = ZERO, 0, -1
        if worths[x] > ZERO:
            for turn in range(-1, n_copies):
                i = last if turn < 0 else turn
                if i < 0:
                    continue
                above, shift = copies[i, 0], copies[i, 1]
                if above > n_above or x - shift < 0 or x - shift >= width:
                    continue
                best, n = follow(
                    values,
                    alphas,
                    worths,
                    shares,
                    is_closed,
                    transparent,
                    points,
                    before,
                    kept[(row - above) % N_KEPT_ROWS],
                    shift,
                    above == 0,
                    x,
                    costs[n_copies if turn < 0 else i],
                    gain,
                )
                if n > 0:
                    gain, length, chosen = best, n, i
        last = chosen
        if chosen < 0:
            length = 1
        shift = copies[max(chosen, 0), 1]
        source = kept[(row - copies[max(chosen, 0), 0]) % N_KEPT_ROWS]
        for j in range(x, x + length):
            if alphas[j] == TRANSPARENT:
                own[j] = transparent
                for channel in range(4):
                    before[channel] = errors[channel, j + 1] = ZERO
                continue
            is_opaque = has_opaque and alphas[j] == OPAQUE
            share = shares[j]
            u0 = clamp(values[0, j] + share * before[0], lowest[0], highest[0])
            u1 = clamp(values[1, j] + share * before[1], lowest[1], highest[1])
            u2 = clamp(values[2, j] + share * before[2], lowest[2], highest[2])
            u3 = ZERO
            if not is_opaque:
                u3 = clamp(values[3, j] + share * before[3], lowest[3], highest[3])
            if chosen >= 0:
                label = np.uint64(source[j - shift])
            elif exact[j] >= 0:
                label = np.uint64(exact[j])
            elif is_opaque and has_table:
                s0, s1, s2 = np.int32(u0 + HALF), np.int32(u1 + HALF), np.int32(u2 + HALF)
                s = group_of(s0, s1, s2, cells[cell_of(s0, s1, s2)])
                key = NO_KEY
                for lane in range(LANES):
                    d0 = np.int32(s0 - np.int32(groups[s, 0, lane]))
                    d1 = np.int32(s1 - np.int32(groups[s, 1, lane]))
                    d2 = np.int32(s2 - np.int32(groups[s, 2, lane]))
                    square = np.int32(np.int32(d0 * d0) + np.int32(d1 * d1) + np.int32(d2 * d2))
                    key = min(key, np.int32((square << KEY_SHIFT) | np.int32(groups[s, 3, lane])))
                if further[s] < further[s + ONE]:
                    key = search_further(s0, s1, s2, key, further[s], further[s + ONE], groups)
                label = np.uint64(key & LABEL_BITS)
            else:
                first = 0 if is_opaque else n_own
                stop = n_own if is_opaque else entries.shape[0]
                key = nearest_of_all(u0, u1, u2, u3, first, stop, entries, numbers)
                label = np.uint64(key & LABEL_BITS)
            own[j] = label
            before[0] = errors[0, j + 1] = u0 - points[0, label]
            before[1] = errors[1, j + 1] = u1 - points[1, label]
            before[2] = errors[2, j + 1] = u2 - points[2, label]
            before[3] = errors[3, j + 1] = u3 - points[3, label]
        x += length


@kernel()
def choose_strip(
    pixels,  # see `choose`
    lead,
    strip,
    contrasts,
    strengths,
    scale,
    table,
    copies,
    costs,
    light,
    colors,
    keys,
    exact_entries,
    is_coarse,
    has_opaque,
    is_closed,
    transparent,
    lowest,
    highest,
    points,
    cells,
    further,
    groups,
    entries,
    numbers,
    n_own,
    labels,
):
    """Choose the labels of a strip; return the squared error of its pixels."""
    n_rows, width = labels.shape
    errors, values = np.zeros((4, width + 2), np.float32), np.empty((4, width), np.float32)
    alphas, exact = np.empty(width, np.uint8), np.empty(width, np.int16)
    lows, worths = np.empty(width, np.uint8), np.empty(width, np.float32)
    shares_above, shares_before = np.empty(width, np.float32), np.empty(width, np.float32)
    kept = np.zeros((N_KEPT_ROWS, width), np.uint8)
    total = 0
    start = strip * STRIP_ROWS
    first = max(start - WARM_UP_ROWS, -lead)
    for row in range(first, min(start + STRIP_ROWS, n_rows)):
        own = row + lead
        read_alphas(pixels[own], alphas)
        convert_any_row(pixels[own], alphas, light, is_coarse, values)
        find_exact_row(pixels[own], alphas, keys, exact_entries, exact)
        from_map = strengths[own if strengths.shape[0] > 1 else 0]
        fill_shares(from_map, scale * SIXTEENTH, shares_above)
        fill_shares(from_map, scale * FROM_BEFORE, shares_before)
        weigh_row(contrasts[own], alphas, exact, table, lows, worths, shares_above, shares_before)
        start_any_row(errors, 1, shares_above, values)
        # Rows of the strip are not copied from those that only warm up: the file has others there.
        n_above = row - (first if row < start else start)
        choose_row(
            values,
            alphas,
            exact,
            worths,
            shares_before,
            kept,
            own,
            n_above,
            copies,
            costs,
            has_opaque and not is_coarse,
            has_opaque,
            is_closed,
            transparent,
            lowest,
            highest,
            points,
            cells,
            further,
            groups,
            entries,
            numbers,
            n_own,
            errors,
        )
        if row >= start:
            labels[row] = kept[own % N_KEPT_ROWS]
            total += alpha_squared_error(pixels[own], alphas, labels[row], colors)
    return total


@kernel(parallel=True)
def choose(
    pixels,  # (h, W * C) uint8, IN: rows of an image of C = 1, 3 or 4 channels
    lead,  # rows of it that are above the first one to label, for warming up
    contrasts,  # (h, W) uint8, IN: around each pixel, in levels
    strengths,  # (h, W) uint8, IN, of error diffusion; or (1, 1), for all pixels
    scale,  # float32: the strength of 255
    table,  # (256,) float32, IN: what the bits of a pixel are worth, by contrast
    copies,  # (n, 2) int64, IN: how many rows above, and pixels to the left, copies begin
    costs,  # (n + 1,) float32, IN: theirs, in pixels' worth, and that of going on with the last
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    keys,  # (N_SLOTS,) int64, IN: see `fill_slots`
    exact_entries,  # (N_SLOTS,) uint8, IN
    is_coarse,  # whether errors are those of light
    has_opaque,  # whether there are opaque entries, which opaque pixels are restricted to
    is_closed,  # (K,) bool, IN: whether opaque pixels may not have an entry
    transparent,  # the entry of fully transparent pixels
    lowest,  # (4,) float32, IN: the box that colors and their errors are kept in ...
    highest,  # (4,) float32, IN
    points,  # (4, K) float32, IN: the palette, in steps
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    labels,  # (n_rows, W) uint8, OUT
    errors,  # (n_strips,) int64, OUT: the squared error of each strip, in 1 / 510^2
):
    """Choose the labels of an image by error and bits, by strips of rows."""
    for strip in prange(errors.shape[0]):
        errors[strip] = choose_strip(
            pixels,
            lead,
            strip,
            contrasts,
            strengths,
            scale,
            table,
            copies,
            costs,
            light,
            colors,
            keys,
            exact_entries,
            is_coarse,
            has_opaque,
            is_closed,
            transparent,
            lowest,
            highest,
            points,
            cells,
            further,
            groups,
            entries,
            numbers,
            n_own,
            labels,
        )
