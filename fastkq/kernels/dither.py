"""Kernels of dithering: the nearest entry of any color, error diffusion, and blue noise.

Colors are compared in quarters of a level: finer than an eye sees, and the squared distance of two
colors and an entry's number fit together into one int32, whose minimum is the search.
"""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel

QUARTERS = np.float32(4)  # of a level
HIGHEST = np.float32(255 * 4)
HALF = np.float32(0.5)
ZERO = np.float32(0)
ONE = np.uint64(1)
LABEL_BITS = np.int32(255)
KEY_SHIFT = np.int32(8)  # from a key to its distance
NO_KEY = np.int32(0x7FFFFFFF)

# The nearest entry of any color: boxes of 32x32x32 levels pass the entries that can be nearest
# somewhere inside to their cells of 8x8x8 levels, and those with more than LANES of them to cells
# of 4x4x4. A group of LANES candidates is compared at once. A palette is dense where its image has
# many pixels: with cells of 16x16x16, a pixel of a photo had 23 of 256 entries to choose from.
LANES = 16
N_LANES = np.uint64(LANES)
N_BOXES, BOX_LEVELS = 512, 32
CELLS_A_SIDE = np.uint64(32)
CELL_LEVELS, SMALL_LEVELS = 8, 4
CELL_SHIFT = np.uint64(5)  # from quarters of a level to cells
N_SMALL = 8  # in a cell
# An entry of the table of cells is the number of its first group above three bits: those that are
# set are taken from the color, for the groups of the small cells.
SPLIT = 7
SPLIT_SHIFT = np.uint64(3)

# Error diffusion by strips. The rows above a strip are walked through first: its pattern has then
# settled as that of the strip above has. Two strips share a loop, since a pixel waits for the last.
STRIP_ROWS = 128
WARM_UP_ROWS = 16
# The weights of Floyd and Steinberg, from a pixel's view: the one before it in its row passes 7
# sixteenths of its error, the one above 5, and the neighbours of that 3 (walked later) and 1.
DAMPED = np.float32(0.75)  # of an error that is larger than its entry's limit
SIXTEENTH, FROM_BEFORE = np.float32(1 / 16), np.float32(7 / 16)
FROM_ABOVE, FROM_BEHIND = np.float32(5), np.float32(3)


@kernel()
def list_rivals(
    palette,  # (3, K) float32, IN: in levels
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


@kernel(parallel=True)
def list_candidates(
    palette,  # (3, K) float32, IN: in levels
    lists,  # (32^3, K) uint8, OUT: of each cell, by red, green, blue
    lengths,  # (32^3,) int64, OUT
):
    """List the entries that can be nearest somewhere in each cell of the color cube."""
    n_colors = palette.shape[1]
    for box in prange(N_BOXES):
        low = np.empty(3, np.float32)
        everything, rivals = np.empty(n_colors, np.uint8), np.empty(n_colors, np.uint8)
        for entry in range(n_colors):
            everything[entry] = entry
        x, y, z = box // 64, box // 8 % 8, box % 8
        set_corner(x, y, z, BOX_LEVELS, low)
        n = list_rivals(palette, low, np.float32(BOX_LEVELS), everything, n_colors, rivals)
        for part in range(64):
            r, g, b = 4 * x + part // 16, 4 * y + part // 4 % 4, 4 * z + part % 4
            set_corner(r, g, b, CELL_LEVELS, low)
            cell = (r * 32 + g) * 32 + b
            lengths[cell] = list_rivals(
                palette, low, np.float32(CELL_LEVELS), rivals, n, lists[cell]
            )


@kernel()
def list_small_candidates(
    palette,  # (3, K) float32, IN: in levels
    crowded,  # (n,) int64, IN: cells
    lists,  # (32^3, K) uint8, IN: of the cells
    lengths,  # (32^3,) int64, IN
    small_lists,  # (n, 8, K) uint8, OUT: of the cells of 4x4x4 levels in each
    small_lengths,  # (n, 8) int64, OUT
):
    """List the candidates of the small cells in cells that have many."""
    low = np.empty(3, np.float32)
    for i in range(crowded.shape[0]):
        cell = crowded[i]
        r, g, b = 2 * (cell // 1024), 2 * (cell // 32 % 32), 2 * (cell % 32)
        for part in range(N_SMALL):
            set_corner(r + part // 4, g + part // 2 % 2, b + part % 2, SMALL_LEVELS, low)
            small_lengths[i, part] = list_rivals(
                palette,
                low,
                np.float32(SMALL_LEVELS),
                lists[cell],
                lengths[cell],
                small_lists[i, part],
            )


@kernel()
def fill_groups(
    palette,  # (3, K) float32, IN: in levels
    lists,  # (n, K) uint8, IN
    lengths,  # (n,) int64, IN
    firsts,  # (n,) int64, IN: each list's first group
    further,  # (>= n + 1,) int64, IN: by first group, where its further groups start
    groups,  # (n_groups, 4, LANES) int16, OUT: channels in quarters of a level, and numbers
):
    """Write lists of candidates in groups, the last of each filled up with its first candidate."""
    for row in range(firsts.shape[0]):
        first = firsts[row]
        n_further = further[first + 1] - further[first]
        for i in range((1 + n_further) * LANES):
            entry = lists[row, i if i < lengths[row] else 0]
            group = first if i < LANES else further[first] + i // LANES - 1
            for channel in range(3):
                groups[group, channel, i % LANES] = QUARTERS * palette[channel, entry]
            groups[group, 3, i % LANES] = entry


@kernel(inline=True)
def cell_of(
    v0,  # int32: a color, in quarters of a level
    v1,
    v2,
):
    """Return the number of a color's cell."""
    red, green, blue = np.uint64(v0), np.uint64(v1), np.uint64(v2)
    row = (red >> CELL_SHIFT) * CELLS_A_SIDE + (green >> CELL_SHIFT)
    return row * CELLS_A_SIDE + (blue >> CELL_SHIFT)


@kernel(inline=True)
def group_of(
    v0,  # int32: a color, in quarters of a level
    v1,
    v2,
    entry,  # int32: of its cell
):
    """Return the number of a color's first group."""
    small = ((v0 >> 2) & 4) | ((v1 >> 3) & 2) | ((v2 >> 4) & 1)
    return (np.uint64(entry) >> SPLIT_SHIFT) + np.uint64(small & entry & SPLIT)


@kernel()
def search_further(
    v0,  # int32: a color, in quarters of a level
    v1,
    v2,
    key,  # int32: of the nearest so far
    first,  # group
    stop,
    groups,  # (n_groups, 4, LANES) int16, IN
):
    """Go on with further groups of candidates, which few colors have."""
    for group in range(first, stop):
        for lane in range(LANES):
            d0, d1, d2 = v0 - groups[group, 0, lane], v1 - groups[group, 1, lane], np.int64(v2)
            d2 -= groups[group, 2, lane]
            distance = d0 * d0 + d1 * d1 + d2 * d2
            key = min(key, np.int32((distance << KEY_SHIFT) | groups[group, 3, lane]))
    return key


@kernel(inline=True)
def to_quarters(
    value,  # float32: a channel and one half, in quarters of a level
):
    """Round a channel to an integer in the color cube."""
    return np.int32(min(max(np.int32(value), np.int32(0)), np.int32(HIGHEST)))


@kernel(inline=True)
def clamp(
    value,  # float32: a channel, in quarters of a level
):
    """Move a channel into the color cube."""
    return min(max(value, ZERO), HIGHEST)


@kernel(inline=True)
def damping(
    distance,  # float32: squared, of a color and its entry
    limit,  # float32: so large an error would smear over what follows
    least,  # float32: as little as this is not
):
    """Return the share of an error that is passed on."""
    share = DAMPED if distance > limit else np.float32(1)
    return ZERO if distance <= least else share


@kernel()
def spread_row(
    pixels,  # (W * C,) uint8, IN: a row of an image
    values,  # (3, W) float32, OUT
):
    """Copy a row by channels; gray is all three."""
    width = values.shape[1]
    red, green, blue = values[0], values[1], values[2]
    if pixels.shape[0] == width:
        for x in range(width):
            red[x] = green[x] = blue[x] = pixels[x]
    else:
        for x in range(width):
            red[x] = pixels[3 * x]
            green[x] = pixels[3 * x + 1]
            blue[x] = pixels[3 * x + 2]


@kernel()
def start_row(
    pixels,  # (W * C,) uint8, IN: a row of an image
    errors,  # (3, W + 2) float32, IN: of the row above, between two zeros
    step,  # 1 or -1: where that row went
    shares,  # (W,) float32, IN: of a sixteenth of the errors, that a pixel takes
    values,  # (3, W) float32, OUT
):
    """Add the errors of the row above to the pixels of a row, in quarters of a level.

    All that need not wait for the pixel before is done for whole rows, in vectors.
    """
    width = shares.shape[0]
    spread_row(pixels, values)
    for channel in range(3):
        result = values[channel]
        behind = errors[channel, 1 + step : 1 + step + width]
        above = errors[channel, 1 : 1 + width]
        before = errors[channel, 1 - step : 1 - step + width]
        for x in range(width):
            error = FROM_BEHIND * behind[x] + (FROM_ABOVE * above[x] + before[x])
            result[x] = QUARTERS * result[x] + shares[x] * error


@kernel()
def squared_error(
    pixels,  # (W * C,) uint8, IN: a row of an image
    labels,  # (W,) uint8, IN
    palette,  # (3, K) float32, IN: in quarters of a level
    values,  # (3, W) float32, OUT: scratch
):
    """Return the squared error of a row, in levels: a sum of integers, exact."""
    spread_row(pixels, values)
    total = 0
    for channel in range(3):
        own, entries = values[channel], palette[channel]
        for x in range(labels.shape[0]):
            difference = np.int32(QUARTERS * own[x] - entries[labels[x]]) >> np.int32(2)
            total += np.int64(np.int32(difference * difference))
    return total


@kernel()
def diffuse_rows(
    a_values,  # (3, W) float32, IN: what `start_row` gave, of two rows
    b_values,
    a_shares,  # (W,) float32, IN: of the error of the pixel before, that a pixel takes
    b_shares,
    step,  # 1 or -1
    palette,  # (3, K) float32, IN: in quarters of a level
    limits,  # (K,) float32, IN: of the squared error that each entry passes on
    least,  # float32: so small a squared error is not passed on
    cells,  # (32^3,) int32, IN: the table of cells, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    a_labels,  # (W,) uint8, OUT
    b_labels,
    a_errors,  # (3, W + 2) float32, OUT, but for the zeros at both ends
    b_errors,
):
    """Dither two rows that have nothing to do with each other.

    A pixel has to wait for the one before: the processor has something to do meanwhile.
    """
    width = a_labels.shape[0]
    red_of, green_of, blue_of = palette[0], palette[1], palette[2]
    a0 = a1 = a2 = b0 = b1 = b2 = ZERO
    for i in range(width):
        x = np.uint64(i if step > 0 else width - 1 - i)
        share = a_shares[x]
        u0 = a_values[0, x] + share * a0
        u1 = a_values[1, x] + share * a1
        u2 = a_values[2, x] + share * a2
        share = b_shares[x]
        v0 = b_values[0, x] + share * b0
        v1 = b_values[1, x] + share * b1
        v2 = b_values[2, x] + share * b2
        s0, s1, s2 = to_quarters(u0 + HALF), to_quarters(u1 + HALF), to_quarters(u2 + HALF)
        t0, t1, t2 = to_quarters(v0 + HALF), to_quarters(v1 + HALF), to_quarters(v2 + HALF)
        s = group_of(s0, s1, s2, cells[cell_of(s0, s1, s2)])
        t = group_of(t0, t1, t2, cells[cell_of(t0, t1, t2)])
        a_key = b_key = NO_KEY
        for lane in range(N_LANES):
            d0 = np.int32(s0 - np.int32(groups[s, 0, lane]))
            d1 = np.int32(s1 - np.int32(groups[s, 1, lane]))
            d2 = np.int32(s2 - np.int32(groups[s, 2, lane]))
            distance = np.int32(np.int32(d0 * d0) + np.int32(d1 * d1) + np.int32(d2 * d2))
            key = np.int32((distance << KEY_SHIFT) | np.int32(groups[s, 3, lane]))
            a_key = min(a_key, key)
            d0 = np.int32(t0 - np.int32(groups[t, 0, lane]))
            d1 = np.int32(t1 - np.int32(groups[t, 1, lane]))
            d2 = np.int32(t2 - np.int32(groups[t, 2, lane]))
            distance = np.int32(np.int32(d0 * d0) + np.int32(d1 * d1) + np.int32(d2 * d2))
            key = np.int32((distance << KEY_SHIFT) | np.int32(groups[t, 3, lane]))
            b_key = min(b_key, key)
        if further[s] < further[s + ONE]:
            a_key = search_further(s0, s1, s2, a_key, further[s], further[s + ONE], groups)
        if further[t] < further[t + ONE]:
            b_key = search_further(t0, t1, t2, b_key, further[t], further[t + ONE], groups)
        label = np.uint64(a_key & LABEL_BITS)
        a_labels[x] = label
        share = damping(np.float32(a_key >> KEY_SHIFT), limits[label], least)
        a0 = (clamp(u0) - red_of[label]) * share
        a1 = (clamp(u1) - green_of[label]) * share
        a2 = (clamp(u2) - blue_of[label]) * share
        label = np.uint64(b_key & LABEL_BITS)
        b_labels[x] = label
        share = damping(np.float32(b_key >> KEY_SHIFT), limits[label], least)
        b0 = (clamp(v0) - red_of[label]) * share
        b1 = (clamp(v1) - green_of[label]) * share
        b2 = (clamp(v2) - blue_of[label]) * share
        a_errors[0, x + ONE], a_errors[1, x + ONE], a_errors[2, x + ONE] = a0, a1, a2
        b_errors[0, x + ONE], b_errors[1, x + ONE], b_errors[2, x + ONE] = b0, b1, b2


@kernel()
def fill_shares(
    strengths,  # (W,) or (1,) uint8, IN
    scale,  # float32
    shares,  # (W,) float32, OUT
):
    """Scale the strengths of a row."""
    for x in range(shares.shape[0]):
        shares[x] = scale * np.float32(strengths[x if strengths.shape[0] > 1 else 0])


@kernel()
def diffuse_pair(
    pixels,  # (h, W * C) uint8, IN
    lead,  # rows of it above the first strip
    strip,  # the first of two
    strengths,  # (h, W) uint8, IN; or (1, 1), for all pixels
    scale,  # float32: the strength of 255
    palette,  # (3, K) float32, IN: in quarters of a level
    limits,  # (K,) float32, IN: of the squared error that each entry passes on
    least,  # float32: so small a squared error is not passed on
    cells,  # (32^3,) int32, IN: the table of cells, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    labels,  # (n_rows, W) uint8, OUT
):
    """Dither two strips that lie one below the other; return the squared error of their pixels."""
    n_rows, width = labels.shape
    errors = np.zeros((2, 3, width + 2), np.float32)
    values = np.empty((2, 3, width), np.float32)
    shares_above, shares_before = np.empty((2, width), np.float32), np.empty((2, width), np.float32)
    unused = np.empty((2, width), np.uint8)
    total = 0
    for turn in range(STRIP_ROWS + WARM_UP_ROWS):
        if strip * STRIP_ROWS - WARM_UP_ROWS + turn >= n_rows:  # below both strips
            break
        step = 1 if turn % 2 == 0 else -1
        for half in range(2):
            row = (strip + half) * STRIP_ROWS - WARM_UP_ROWS + turn
            if row + lead == 0:
                errors[half] = ZERO  # there is nothing above the image
            source = min(max(row + lead, 0), pixels.shape[0] - 1)
            from_map = strengths[source if strengths.shape[0] > 1 else 0]
            fill_shares(from_map, scale * SIXTEENTH, shares_above[half])
            fill_shares(from_map, scale * FROM_BEFORE, shares_before[half])
            start_row(pixels[source], errors[half], -step, shares_above[half], values[half])
        # Rows outside the strip or the image are walked through as their nearest, without effect.
        a_row = strip * STRIP_ROWS - WARM_UP_ROWS + turn
        b_row = a_row + STRIP_ROWS
        a_counts = turn >= WARM_UP_ROWS and a_row < n_rows
        b_counts = turn >= WARM_UP_ROWS and b_row < n_rows
        a_labels = labels[a_row] if a_counts else unused[0]
        b_labels = labels[b_row] if b_counts else unused[1]
        diffuse_rows(
            values[0],
            values[1],
            shares_before[0],
            shares_before[1],
            step,
            palette,
            limits,
            least,
            cells,
            further,
            groups,
            a_labels,
            b_labels,
            errors[0],
            errors[1],
        )
        if a_counts:
            total += squared_error(pixels[a_row + lead], a_labels, palette, values[0])
        if b_counts:
            total += squared_error(pixels[b_row + lead], b_labels, palette, values[1])
    return total


@kernel(parallel=True)
def diffuse(
    pixels,  # (h, W * C) uint8, IN: rows of an image of C = 1 or 3 channels
    lead,  # rows of it that are above the first one to label, for warming up
    strengths,  # (h, W) uint8, IN; or (1, 1), for all pixels
    scale,  # float32: the strength of 255
    palette,  # (3, K) float32, IN: in quarters of a level
    limits,  # (K,) float32, IN: of the squared error that each entry passes on
    least,  # float32: so small a squared error is not passed on
    cells,  # (32^3,) int32, IN: the table of cells, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    labels,  # (n_rows, W) uint8, OUT
    errors,  # (n_pairs,) int64, OUT: the squared error of each pair of strips
):
    """Dither by error diffusion (Floyd and Steinberg 1976), every other row from the right."""
    for pair in prange(errors.shape[0]):
        errors[pair] = diffuse_pair(
            pixels,
            lead,
            2 * pair,
            strengths,
            scale,
            palette,
            limits,
            least,
            cells,
            further,
            groups,
            labels,
        )


@kernel(parallel=True)
def map_strengths(
    pixels,  # (h, W * C) uint8, IN
    table,  # (256,) uint8, IN: strengths by contrast
    strengths,  # (h, W) uint8, OUT
):
    """Find how strongly each pixel is dithered, by the range of light in its 3x3 surroundings."""
    n_rows, width = strengths.shape
    green, blue = pixels.shape[1] // width // 3, 2 * (pixels.shape[1] // width // 3)
    n_channels = pixels.shape[1] // width
    for row in prange(n_rows):
        low, high = np.empty(width + 2, np.uint8), np.empty(width + 2, np.uint8)
        for x in range(width):
            least, most = 255, 0
            for other in range(max(row - 1, 0), min(row + 2, n_rows)):
                i = x * n_channels
                light = np.int64(pixels[other, i]) + pixels[other, i + blue]
                light = (light + 2 * np.int64(pixels[other, i + green])) // 4
                least, most = min(least, light), max(most, light)
            low[x + 1], high[x + 1] = least, most
        low[0], high[0], low[width + 1], high[width + 1] = low[1], high[1], low[width], high[width]
        for x in range(width):
            least = min(low[x], low[x + 1], low[x + 2])
            most = max(high[x], high[x + 1], high[x + 2])
            strengths[row, x] = table[most - least]


@kernel(parallel=True)
def mix(
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1 or 3 channels
    first,  # the number of the first row in its image
    thresholds,  # (side, side) uint8, IN: a mask that repeats
    scale,  # float32: how much of a second entry's share is taken
    palette,  # (3, K) float32, IN: in levels
    neighbours,  # (K, M) uint8, IN: those that each entry may be mixed with
    ways,  # (K, M, 3) float32, IN: to them, divided by their squared lengths
    labels,  # (n_rows, W) uint8, INOUT: the nearest entries
    errors,  # (n_rows,) int64, OUT: the squared error of each row
):
    """Choose, by a pixel's place, between its nearest entry and a second one.

    Of a mixture of two entries, the mean is nearest to the pixel's color where the second has the
    share that the color's projection on the way to it says. Taken is the neighbour with the largest
    share: so the error of the mean falls most for the noise that comes with it.
    """
    n_rows, width = labels.shape
    n_channels = pixels.shape[1] // width
    green, blue = n_channels // 3, 2 * (n_channels // 3)
    side = thresholds.shape[0]
    for row in prange(n_rows):
        total = 0
        for x in range(width):
            i, label = x * n_channels, labels[row, x]
            p0 = np.float32(pixels[row, i])
            p1 = np.float32(pixels[row, i + green])
            p2 = np.float32(pixels[row, i + blue])
            x0, x1, x2 = p0 - palette[0, label], p1 - palette[1, label], p2 - palette[2, label]
            share, second = ZERO, 0
            for m in range(neighbours.shape[1]):
                part = x0 * ways[label, m, 0] + x1 * ways[label, m, 1] + x2 * ways[label, m, 2]
                second = m if part > share else second
                share = max(part, share)
            threshold = np.float32(thresholds[(first + row) % side, x % side]) + HALF
            if threshold < np.float32(256) * scale * share:
                other = neighbours[label, second]
                labels[row, x] = other
                x0, x1, x2 = p0 - palette[0, other], p1 - palette[1, other], p2 - palette[2, other]
            total += np.int64(x0 * x0 + x1 * x1 + x2 * x2)
        errors[row] = total
