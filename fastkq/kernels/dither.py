"""Kernels of error diffusion, by strips of rows."""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.nearest import (
    HALF,
    KEY_SHIFT,
    LABEL_BITS,
    N_LANES,
    NO_KEY,
    cell_of,
    group_of,
    search_further,
)
from fastkq.kernels.steps import (
    HIGHEST_A,
    HIGHEST_B,
    HIGHEST_LIGHT,
    LOWEST_A,
    LOWEST_B,
    LOWEST_LIGHT,
    ZERO,
    clamp,
    convert_row,
    squared_error,
)

ONE = np.uint64(1)

# The rows above a strip are walked through first: its pattern has then settled as that of the strip
# above has: 12 left the first row with 1.5 times the error of others on a ramp. Two strips
# share a loop, since a pixel waits for the last.
STRIP_ROWS = 128
WARM_UP_ROWS = 24
# The weights of Floyd and Steinberg, from a pixel's view: the one before it in its row passes 7
# sixteenths of its error, the one above 5, and the neighbours of that 3 (walked later) and 1.
DAMPED = np.float32(0.75)  # of an error that is larger than its entry's limit
SIXTEENTH, FROM_BEFORE = np.float32(1 / 16), np.float32(7 / 16)
FROM_ABOVE, FROM_BEHIND = np.float32(5), np.float32(3)


@kernel(inline=True)
def damping(
    distance,  # float32: squared, of a color and its entry
    limit,  # float32: so large an error would smear over what follows
    least,  # float32: as little as this is not
):
    """Return the share of an error that is passed on."""
    share = DAMPED if distance > limit else np.float32(1)
    return ZERO if distance <= least else share


@kernel(inline=True)
def start_row(
    pixels,  # (W * C,) uint8, IN: a row of an image
    light,  # (256,) float32, IN: see `convert_row`
    errors,  # (3, W + 2) float32, IN: of the row above, between two zeros
    step,  # 1 or -1: where that row went
    shares,  # (W,) float32, IN: of a sixteenth of the errors, that a pixel takes
    values,  # (3, W) float32, OUT
):
    """Convert a row to Oklab and add the errors of the row above.

    All that need not wait for the pixel before is done for whole rows, in vectors.
    """
    width = shares.shape[0]
    convert_row(pixels, light, values)
    for channel in range(3):
        result = values[channel]
        behind = errors[channel, 1 + step : 1 + step + width]
        above = errors[channel, 1 : 1 + width]
        before = errors[channel, 1 - step : 1 - step + width]
        for x in range(width):
            error = FROM_BEHIND * behind[x] + (FROM_ABOVE * above[x] + before[x])
            result[x] += shares[x] * error


@kernel(inline=True)
def diffuse_rows(
    a_values,  # (>= 3, W) float32, IN: what `start_row` gave, of two rows
    b_values,
    a_shares,  # (W,) float32, IN: of the error of the pixel before, that a pixel takes
    b_shares,
    step,  # 1 or -1
    palette,  # (3, K) float32, IN: in steps
    limits,  # (K,) float32, IN: of the squared error that each entry passes on
    least,  # float32: so small a squared error is not passed on
    cells,  # (N_CELLS,) int32, IN: the table of cells, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    first,  # of the pixels, in the order of the walk, that are dithered ...
    stop,  # ... and the end of these
    before,  # (2, >= 3) float32, INOUT: the errors of the pixels before, of both rows
    a_labels,  # (W,) uint8, OUT
    b_labels,
    a_errors,  # (>= 3, W + 2) float32, OUT, but for the zeros at both ends
    b_errors,
):
    """Dither two rows that have nothing to do with each other.

    A pixel has to wait for the one before: the processor has something to do meanwhile.
    """
    width = a_labels.shape[0]
    light_of, a_of, b_of = palette[0], palette[1], palette[2]
    a0, a1, a2 = before[0, 0], before[0, 1], before[0, 2]
    b0, b1, b2 = before[1, 0], before[1, 1], before[1, 2]
    for i in range(first, stop):
        x = np.uint64(i if step > 0 else width - 1 - i)
        share = a_shares[x]
        u0 = clamp(a_values[0, x] + share * a0, LOWEST_LIGHT, HIGHEST_LIGHT)
        u1 = clamp(a_values[1, x] + share * a1, LOWEST_A, HIGHEST_A)
        u2 = clamp(a_values[2, x] + share * a2, LOWEST_B, HIGHEST_B)
        share = b_shares[x]
        v0 = clamp(b_values[0, x] + share * b0, LOWEST_LIGHT, HIGHEST_LIGHT)
        v1 = clamp(b_values[1, x] + share * b1, LOWEST_A, HIGHEST_A)
        v2 = clamp(b_values[2, x] + share * b2, LOWEST_B, HIGHEST_B)
        s0, s1, s2 = np.int32(u0 + HALF), np.int32(u1 + HALF), np.int32(u2 + HALF)
        t0, t1, t2 = np.int32(v0 + HALF), np.int32(v1 + HALF), np.int32(v2 + HALF)
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
        a0 = (u0 - light_of[label]) * share
        a1 = (u1 - a_of[label]) * share
        a2 = (u2 - b_of[label]) * share
        label = np.uint64(b_key & LABEL_BITS)
        b_labels[x] = label
        share = damping(np.float32(b_key >> KEY_SHIFT), limits[label], least)
        b0 = (v0 - light_of[label]) * share
        b1 = (v1 - a_of[label]) * share
        b2 = (v2 - b_of[label]) * share
        a_errors[0, x + ONE], a_errors[1, x + ONE], a_errors[2, x + ONE] = a0, a1, a2
        b_errors[0, x + ONE], b_errors[1, x + ONE], b_errors[2, x + ONE] = b0, b1, b2
    before[0, 0], before[0, 1], before[0, 2] = a0, a1, a2
    before[1, 0], before[1, 1], before[1, 2] = b0, b1, b2


@kernel(inline=True)
def fill_shares(
    strengths,  # (W,) or (1,) uint8, IN
    scale,  # float32
    shares,  # (W,) float32, OUT
):
    """Scale the strengths of a row."""
    for x in range(shares.shape[0]):
        shares[x] = scale * np.float32(strengths[x if strengths.shape[0] > 1 else 0])


@kernel(each="totals")
def diffuse(
    pair,  # of strips
    pixels,  # (h, W * C) uint8, IN: rows of an image of C = 1 or 3 channels
    lead,  # rows of it that are above the first one to label, for warming up
    strengths,  # (h, W) uint8, IN; or (1, 1), for all pixels
    scale,  # float32: the strength of 255
    light,  # (256,) float32, IN: see `convert_row`
    colors,  # (K,) int32, IN: the palette in sRGB, 8 bits a channel
    palette,  # (3, K) float32, IN: in steps
    limits,  # (K,) float32, IN: of the squared error that each entry passes on
    least,  # float32: so small a squared error is not passed on
    cells,  # (N_CELLS,) int32, IN: the table of cells, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    labels,  # (n_rows, W) uint8, OUT
    totals,  # (n_pairs,) int64, OUT: the squared error of each pair of strips
):
    """Dither by error diffusion (Floyd and Steinberg 1976), every other row from the right.

    A pair are two strips that lie one below the other.
    """
    strip = 2 * pair
    n_rows, width = labels.shape
    errors = np.zeros((2, 3, width + 2), np.float32)
    values = np.empty((2, 3, width), np.float32)
    shares_above, shares_before = np.empty((2, width), np.float32), np.empty((2, width), np.float32)
    before, unused = np.empty((2, 3), np.float32), np.empty((2, width), np.uint8)
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
            if turn == 0 or strengths.shape[0] > 1:
                fill_shares(from_map, scale * SIXTEENTH, shares_above[half])
                fill_shares(from_map, scale * FROM_BEFORE, shares_before[half])
            start_row(pixels[source], light, errors[half], -step, shares_above[half], values[half])
        # Rows outside the strip or the image are walked through as their nearest, without effect.
        a_row = strip * STRIP_ROWS - WARM_UP_ROWS + turn
        b_row = a_row + STRIP_ROWS
        a_counts = turn >= WARM_UP_ROWS and a_row < n_rows
        b_counts = turn >= WARM_UP_ROWS and b_row < n_rows
        a_labels = labels[a_row] if a_counts else unused[0]
        b_labels = labels[b_row] if b_counts else unused[1]
        before[:] = ZERO
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
            np.int64(0),
            width,
            before,
            a_labels,
            b_labels,
            errors[0],
            errors[1],
        )
        if a_counts:
            total += squared_error(pixels[a_row + lead], a_labels, colors)
        if b_counts:
            total += squared_error(pixels[b_row + lead], b_labels, colors)
    totals[pair] = total
