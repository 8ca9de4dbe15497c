"""Kernels of dithering: the nearest entry of any color, error diffusion, and blue noise.

Colors are compared in Oklab, in steps of which there are 1020 from black to white, like quarters of
a level: finer than an eye sees, and the squared distance of two colors and an entry's number fit
together into one int32, whose minimum is the search. The other two coordinates are moved so that
all are positive.
"""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel
from fastkq.kernels.oklab import LMS_TO_OKLAB, RGB_TO_LMS

STEPS = 1020
MIDDLE = np.float32(320)  # a and b of grays
# The box around all colors.
LOWEST_LIGHT, LOWEST_A, LOWEST_B = np.float32(0), np.float32(81), np.float32(2)
HIGHEST_LIGHT, HIGHEST_A, HIGHEST_B = np.float32(1020), np.float32(602), np.float32(523)
(L0, L1, L2), (M0, M1, M2), (S0, S1, S2) = RGB_TO_LMS.astype(np.float32)
(LIGHT0, LIGHT1, LIGHT2), (A0, A1, A2), (B0, B1, B2) = (STEPS * LMS_TO_OKLAB).astype(np.float32)
# A third of a float's bits, and this, are those of its cube root within 4 %.
THIRD, CUBE_ROOT_BITS = np.int32(3), np.int32(709921077)
HALF = np.float32(0.5)
ZERO, TWO = np.float32(0), np.float32(2)
ONE = np.uint64(1)
LABEL_BITS = np.int32(255)
KEY_SHIFT = np.int32(8)  # from a key to its distance
NO_KEY = np.int32(0x7FFFFFFF)
LEVEL_BITS = np.int32(255)
ERROR_PIXELS = 8192  # whose squared error fits into int32

# The nearest entry of any color: boxes of 128 steps a side pass the entries that can be nearest
# somewhere inside to their cells of 32 steps, and those with more than LANES of them to cells of 8:
# a palette is dense where its image has many pixels. A group of candidates is compared at once.
LANES = 16
N_LANES = np.uint64(LANES)
LIGHT_CELLS, CHROMA_CELLS = 32, 20
N_CELLS = LIGHT_CELLS * CHROMA_CELLS**2
N_BOXES, BOX_STEPS = N_CELLS // 64, 128
CELL_STEPS, SMALL_STEPS = 32, 8
CELL_SHIFT = np.uint64(5)  # from steps to cells
N_SMALL = 64  # in a cell
# An entry of the table of cells is the number of its first group above six bits: those that are set
# are taken from the color, for the groups of the small cells.
SPLIT = 63
SPLIT_SHIFT = np.uint64(6)

# Blue noise: the shares of second entries are counted in these. A palette may end far from a color,
# whose projection is then many times the way to a close neighbour.
SHARE_STEPS, MOST_SHARE = np.float32(1 << 16), np.float32(127)

# Error diffusion by strips. The rows above a strip are walked through first: its pattern has then
# settled as that of the strip above has. Two strips share a loop, since a pixel waits for the last.
STRIP_ROWS = 128
WARM_UP_ROWS = 12
MAP_PART_ROWS = 32
# The weights of Floyd and Steinberg, from a pixel's view: the one before it in its row passes 7
# sixteenths of its error, the one above 5, and the neighbours of that 3 (walked later) and 1.
DAMPED = np.float32(0.75)  # of an error that is larger than its entry's limit
SIXTEENTH, FROM_BEFORE = np.float32(1 / 16), np.float32(7 / 16)
FROM_ABOVE, FROM_BEHIND = np.float32(5), np.float32(3)


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


@kernel(parallel=True)
def list_candidates(
    palette,  # (3, K) float32, IN: in steps
    lists,  # (N_CELLS, K) uint8, OUT: of each cell, by lightness, a, b
    lengths,  # (N_CELLS,) int64, OUT
):
    """List the entries that can be nearest somewhere in each cell."""
    n_colors = palette.shape[1]
    for box in prange(N_BOXES):
        low = np.empty(3, np.float32)
        everything, rivals = np.empty(n_colors, np.uint8), np.empty(n_colors, np.uint8)
        for entry in range(n_colors):
            everything[entry] = entry
        side = CHROMA_CELLS // 4
        x, y, z = box // side**2, box // side % side, box % side
        set_corner(x, y, z, BOX_STEPS, low)
        n = list_rivals(palette, low, np.float32(BOX_STEPS), everything, n_colors, rivals)
        for part in range(64):
            u, v, w = 4 * x + part // 16, 4 * y + part // 4 % 4, 4 * z + part % 4
            set_corner(u, v, w, CELL_STEPS, low)
            cell = (u * CHROMA_CELLS + v) * CHROMA_CELLS + w
            lengths[cell] = list_rivals(
                palette, low, np.float32(CELL_STEPS), rivals, n, lists[cell]
            )


@kernel(parallel=True)
def list_small_candidates(
    palette,  # (3, K) float32, IN: in steps
    crowded,  # (n,) int64, IN: cells
    lists,  # (N_CELLS, K) uint8, IN: of the cells
    lengths,  # (N_CELLS,) int64, IN
    small_lists,  # (n, 64, K) uint8, OUT: of the small cells in each
    small_lengths,  # (n, 64) int64, OUT
):
    """List the candidates of the small cells in cells that have many."""
    for i in prange(crowded.shape[0]):
        low = np.empty(3, np.float32)
        cell = crowded[i]
        row, z = cell // CHROMA_CELLS, 4 * (cell % CHROMA_CELLS)
        x, y = 4 * (row // CHROMA_CELLS), 4 * (row % CHROMA_CELLS)
        for part in range(N_SMALL):
            set_corner(x + part // 16, y + part // 4 % 4, z + part % 4, SMALL_STEPS, low)
            small_lengths[i, part] = list_rivals(
                palette,
                low,
                np.float32(SMALL_STEPS),
                lists[cell],
                lengths[cell],
                small_lists[i, part],
            )


@kernel()
def fill_groups(
    palette,  # (3, K) float32, IN: in steps
    lists,  # (n, K) uint8, IN
    lengths,  # (n,) int64, IN
    firsts,  # (n,) int64, IN: each list's first group
    further,  # (>= n + 1,) int64, IN: by first group, where its further groups start
    groups,  # (n_groups, 4, LANES) int16, OUT: coordinates in steps, and numbers
):
    """Write lists of candidates in groups, the last of each filled up with its first candidate."""
    for row in range(firsts.shape[0]):
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
        for lane in range(LANES):
            d0, d1, d2 = v0 - groups[group, 0, lane], v1 - groups[group, 1, lane], np.int64(v2)
            d2 -= groups[group, 2, lane]
            distance = d0 * d0 + d1 * d1 + d2 * d2
            key = min(key, np.int32((distance << KEY_SHIFT) | groups[group, 3, lane]))
    return key


@kernel(inline=True)
def clamp(
    value,  # float32: a coordinate
    low,  # float32
    high,  # float32
):
    """Move a coordinate between two others."""
    return min(max(value, low), high)


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
def cube_root(
    x,  # float32: from 0
):
    """Return the cube root within 3e-5 of it: a guess by the exponent, and a step of Halley's."""
    guess = np.int32(np.float32(x).view(np.int32) // THIRD + CUBE_ROOT_BITS).view(np.float32)
    cube = guess * guess * guess
    return guess * ((cube + TWO * x) / (TWO * cube + x))


@kernel()
def convert_row(
    pixels,  # (W * C,) uint8, IN: a row of an image
    light,  # (256,) float32, IN: the light of each level, from 0 to 1
    values,  # (3, W) float32, OUT: in Oklab, in steps
):
    """Convert a row to Oklab; gray is all three channels."""
    width = values.shape[1]
    first, second, third = values[0], values[1], values[2]
    if pixels.shape[0] == width:
        for x in range(width):
            first[x] = second[x] = third[x] = light[pixels[x]]
    else:
        for x in range(width):
            first[x] = light[pixels[3 * x]]
            second[x] = light[pixels[3 * x + 1]]
            third[x] = light[pixels[3 * x + 2]]
    for x in range(width):
        r, g, b = first[x], second[x], third[x]
        long = cube_root(L0 * r + L1 * g + L2 * b)
        medium = cube_root(M0 * r + M1 * g + M2 * b)
        short = cube_root(S0 * r + S1 * g + S2 * b)
        first[x] = LIGHT0 * long + LIGHT1 * medium + LIGHT2 * short
        second[x] = A0 * long + A1 * medium + A2 * short + MIDDLE
        third[x] = B0 * long + B1 * medium + B2 * short + MIDDLE


@kernel()
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
def color_error(
    red,  # uint8
    green,
    blue,
    color,  # int32: 8 bits a channel
):
    """Return the squared error of a pixel in sRGB."""
    d0 = np.int32(np.int32(red) - np.int32(color >> np.int32(16)))
    d1 = np.int32(np.int32(green) - np.int32((color >> np.int32(8)) & LEVEL_BITS))
    d2 = np.int32(np.int32(blue) - np.int32(color & LEVEL_BITS))
    return np.int32(d0 * d0 + d1 * d1 + d2 * d2)


@kernel()
def squared_error(
    pixels,  # (W * C,) uint8, IN: a row of an image
    labels,  # (W,) uint8, IN
    colors,  # (K,) int32, IN: the palette in sRGB, 8 bits a channel
):
    """Return the squared error of a row in sRGB: a sum of integers, exact.

    As one number, a color takes one gather; as int32, errors add up in vectors.
    """
    width = labels.shape[0]
    n_channels = pixels.shape[0] // width
    total = 0
    for start in range(0, width, ERROR_PIXELS):
        stop = min(start + ERROR_PIXELS, width)
        part, own = pixels[n_channels * start : n_channels * stop], labels[start:stop]
        error = np.int32(0)
        if n_channels == 1:
            for x in range(stop - start):
                pixel_error = color_error(part[x], part[x], part[x], colors[own[x]])
                error = np.int32(error + pixel_error)
        else:
            for x in range(stop - start):
                red, green, blue = part[3 * x], part[3 * x + 1], part[3 * x + 2]
                pixel_error = color_error(red, green, blue, colors[own[x]])
                error = np.int32(error + pixel_error)
        total += error
    return total


@kernel()
def diffuse_rows(
    a_values,  # (3, W) float32, IN: what `start_row` gave, of two rows
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
    a_labels,  # (W,) uint8, OUT
    b_labels,
    a_errors,  # (3, W + 2) float32, OUT, but for the zeros at both ends
    b_errors,
):
    """Dither two rows that have nothing to do with each other.

    A pixel has to wait for the one before: the processor has something to do meanwhile.
    """
    width = a_labels.shape[0]
    light_of, a_of, b_of = palette[0], palette[1], palette[2]
    a0 = a1 = a2 = b0 = b1 = b2 = ZERO
    for i in range(width):
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
    light,  # (256,) float32, IN: see `convert_row`
    colors,  # (K,) int32, IN: the palette in sRGB, 8 bits a channel
    palette,  # (3, K) float32, IN: in steps
    limits,  # (K,) float32, IN: of the squared error that each entry passes on
    least,  # float32: so small a squared error is not passed on
    cells,  # (N_CELLS,) int32, IN: the table of cells, see SPLIT
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
            total += squared_error(pixels[a_row + lead], a_labels, colors)
        if b_counts:
            total += squared_error(pixels[b_row + lead], b_labels, colors)
    return total


@kernel(parallel=True)
def diffuse(
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
            light,
            colors,
            palette,
            limits,
            least,
            cells,
            further,
            groups,
            labels,
        )


@kernel()
def fill_light(
    pixels,  # (W * C,) uint8, IN: a row of an image
    light,  # (W + 2,) uint8, OUT: with its ends repeated
):
    """Compute the light of a row: (R + 2 G + B) / 4."""
    width = light.shape[0] - 2
    if pixels.shape[0] == width:
        for x in range(width):
            light[x + 1] = pixels[x]
    else:
        for x in range(width):
            green = np.uint32(pixels[3 * x + 1])
            total = np.uint32(pixels[3 * x]) + np.uint32(pixels[3 * x + 2]) + green + green
            light[x + 1] = total >> np.uint32(2)
    light[0], light[width + 1] = light[1], light[width]


@kernel(parallel=True)
def map_strengths(
    pixels,  # (h, W * C) uint8, IN
    table,  # (256,) uint8, IN: strengths by contrast
    strengths,  # (h, W) uint8, OUT
):
    """Find how strongly each pixel is dithered, by the range of light in its 3x3 surroundings."""
    n_rows, width = strengths.shape
    for part in prange(-(-n_rows // MAP_PART_ROWS)):
        first = part * MAP_PART_ROWS
        lights = np.empty((3, width + 2), np.uint8)  # of the rows above, at and below one
        low, high = np.empty(width + 2, np.uint8), np.empty(width + 2, np.uint8)
        fill_light(pixels[max(first - 1, 0)], lights[(first + 2) % 3])
        fill_light(pixels[first], lights[first % 3])
        for row in range(first, min(first + MAP_PART_ROWS, n_rows)):
            fill_light(pixels[min(row + 1, n_rows - 1)], lights[(row + 1) % 3])
            for x in range(width + 2):
                low[x] = min(lights[0, x], lights[1, x], lights[2, x])
                high[x] = max(lights[0, x], lights[1, x], lights[2, x])
            for x in range(width):
                least, most = (
                    min(low[x], low[x + 1], low[x + 2]),
                    max(high[x], high[x + 1], high[x + 2]),
                )
                strengths[row, x] = table[np.uint8(most - least)]


@kernel(parallel=True)
def mix(
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1 or 3 channels
    first,  # the number of the first row in its image
    thresholds,  # (side, side) uint8, IN: a mask that repeats, of a power of two
    scale,  # float32: how much of a second entry's share is taken
    light,  # (256,) float32, IN: see `convert_row`
    colors,  # (K,) int32, IN: the palette in sRGB, 8 bits a channel
    palette,  # (3, K) float32, IN: in steps
    neighbours,  # (K, LANES) uint8, IN: those that each entry may be mixed with
    ways,  # (K, 3, LANES) float32, IN: to them, divided by their squared lengths
    labels,  # (n_rows, W) uint8, INOUT: the nearest entries
    errors,  # (n_rows,) int64, OUT: the squared error of each row
):
    """Choose, by a pixel's place, between its nearest entry and a second one.

    Of a mixture of two entries, the mean is nearest to the pixel's color where the second has the
    share that the color's projection on the way to it says. Taken is the neighbour with the largest
    share: so the error of the mean falls most for the noise that comes with it. Shares and the
    numbers of neighbours fit together into one int32, as distances and entries do.
    """
    n_rows, width = labels.shape
    place = thresholds.shape[0] - 1
    for row in prange(n_rows):
        values = np.empty((3, width), np.float32)
        convert_row(pixels[row], light, values)
        mask = thresholds[(first + row) & place]
        for x in range(width):
            label = np.uint64(labels[row, x])
            x0 = values[0, x] - palette[0, label]
            x1 = values[1, x] - palette[1, label]
            x2 = values[2, x] - palette[2, label]
            key = np.int32(0)
            for lane in range(N_LANES):
                part = x0 * ways[label, 0, lane] + x1 * ways[label, 1, lane]
                part = SHARE_STEPS * clamp(part + x2 * ways[label, 2, lane], ZERO, MOST_SHARE)
                key = max(key, np.int32((np.int32(part) << KEY_SHIFT) | np.int32(lane)))
            share = np.float32(key >> KEY_SHIFT) / SHARE_STEPS
            if np.float32(mask[x & place]) + HALF < np.float32(256) * scale * share:
                labels[row, x] = neighbours[label, key & LABEL_BITS]
        errors[row] = squared_error(pixels[row], labels[row], colors)
