"""Labels chosen by their error and by the bits that they take, inside error diffusion.

Deflate, and all that writes indices, keeps a copy of indices that stood before for a few bits,
however long it is, and an index that surprises for several. So a row is cut into pixels that take
their nearest entry, and copies of what stands before or above, where

    squared error + weight * bits

is least in total: entropy-constrained quantization (Chou, Lookabaugh and Gray 1989), by a dynamic
program over the row (Viterbi 1967). What a label is wrong by is passed on to the pixels beside and
below, as error diffusion does, so that means stay right; each way through the row has errors of
its own.

The weight grows with the contrast around a pixel, which hides errors. Where most of a stretch of a
row is exactly in the palette, as in drawings and screenshots, that stays exact.
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
    N_LANES,
    NO_KEY,
    cell_of,
    group_of,
    nearest_of_all,
    search_further,
)
from fastkq.kernels.steps import (
    HIGHEST_A,
    HIGHEST_B,
    HIGHEST_LIGHT,
    LOWEST_A,
    LOWEST_B,
    LOWEST_LIGHT,
    OPAQUE,
    ZERO,
    alpha_squared_error,
    clamp,
    convert_any_row,
    read_alphas,
)

TRANSPARENT = np.uint8(0)
# The ways to label a pixel: copies from the two rows above, whose pixels are kept in turn, a color
# and the one above it or below; its nearest entry; or the label of the pixel before, again. Copies
# begin up to REACH pixels to the left or one less to the right: 16 of them are one vector.
REACH, N_ABOVE = 4, 2
N_COPIES = 2 * REACH * N_ABOVE
OWN, AGAIN, N_WAYS = N_COPIES, N_COPIES + 1, N_COPIES + 2
# The last bits of a cost, in place of which a way's number stands while the least is looked for.
WAY_BITS = np.int32(31)
COST_BITS = np.int32(~31)
# Chroma counts half in an error: the eye sees less of it, and bytes fell by 2 %.
CHROMA_WEIGHT = np.float32(0.5)
# The cost of what is not allowed, and the color of what stands outside of an image.
FORBIDDEN, FAR = np.float32(1e12), np.float32(1e6)
OPAQUE_KIND, TRANSLUCENT_KIND, TRANSPARENT_KIND = 0, 1, 2
# The edge of something flat hides less than texture does: a contrast counts no more than this base
# and so many times the lowest of the pixels that are so near in the row.
EDGE_BASE, EDGE_FACTOR, NEAR = np.int32(8), np.int32(3), 2
# A stretch of a row is left exact if at least half of its pixels are in the palette.
STRETCH = 32
# The table of a palette's colors: open addressing, by a multiplicative hash (Knuth 1973).
N_SLOTS, HASH_SHIFT = 1024, np.uint64(22)
HASH_FACTOR, HASH_BITS = np.uint64(2654435769), np.uint64(0xFFFFFFFF)
SLOT_BITS = np.uint64(N_SLOTS - 1)
# Indices without a sign, which need no look at whether they count from the end.
ZEROTH, ONE, TWO, THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
COPIES, OWN_WAY, AGAIN_WAY = np.uint64(N_COPIES), np.uint64(OWN), np.uint64(AGAIN)
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
    for slot in range(N_SLOTS):
        keys[slot] = -1
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
    for x in range(width):
        lowest[x] = contrasts[x]
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
def least_key(
    bits,  # (N_WAYS,) int32, IN: of the costs of the ways, as floats
):
    """Return the bits of the least cost, but for the last ones, which are the way's number."""
    key = np.int32((bits[OWN_WAY] & COST_BITS) | np.int32(OWN))
    key = min(key, np.int32((bits[AGAIN_WAY] & COST_BITS) | np.int32(AGAIN)))
    for way in range(COPIES):
        key = min(key, np.int32((bits[way] & COST_BITS) | np.int32(way)))
    return key


@kernel()
def find_ways(
    values,  # (4, W) float32, IN: a row's colors and the errors of the row above, in steps
    kinds,  # (W,) uint8, IN: of the pixels, by their alpha
    exact,  # (W,) int16, IN: see `find_exact_row`
    worths,  # (W,) float32, IN: what the bits of a pixel are worth
    shares,  # (W,) float32, IN: of the error of the pixel before, that a pixel takes
    shown,  # (4, N_ABOVE * (W + 2 * REACH)) float32, IN: the colors of the rows above
    above,  # (N_ABOVE * (W + 2 * REACH),) uint8, IN: their labels
    begins,  # (N_WAYS,) float32, IN: the cost of beginning each way, in pixels' worth
    has_table,  # whether opaque pixels are looked up in the table of cells
    has_penalties,  # whether there are any
    penalties,  # (3, K) float32, IN: of each entry, by the kind of a pixel
    points,  # (4, K) float32, IN: the palette, in steps
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    cheapest,  # (W + 1,) uint8, OUT: the way that costs least before each pixel, and at the end
    is_new,  # (W, N_WAYS) bool, OUT: whether a way begins at a pixel, after the cheapest
    picked,  # (W, 2) uint8, OUT: the labels of the ways OWN and AGAIN
):
    """Find the cheapest way to each pixel that ends in a label of its own, or in each copy."""
    costs = np.empty(N_WAYS, np.float32)
    for way in range(N_WAYS):
        costs[way] = FORBIDDEN
    bits = costs.view(np.int32)
    errors = np.zeros((4, N_WAYS), np.float32)
    costs[OWN_WAY] = ZERO
    again = np.uint64(0)
    for x in range(np.uint64(kinds.shape[0])):
        key = least_key(bits)
        best, least = np.uint64(key & WAY_BITS), np.int32(key & COST_BITS).view(np.float32)
        cheapest[x] = best
        f0, f1 = errors[ZEROTH, best], errors[ONE, best]
        f2, f3 = errors[TWO, best], errors[THREE, best]
        kind, worth, share = np.uint64(kinds[x]), worths[x], shares[x]
        alpha_share = ZERO if kind == OPAQUE_KIND else share
        v0, v1 = values[ZEROTH, x], values[ONE, x]
        v2, v3 = values[TWO, x], values[THREE, x]
        # The label of the pixel before, again.
        begin, go_on = least + begins[AGAIN_WAY] * worth, costs[AGAIN_WAY]
        g0, g1 = errors[ZEROTH, AGAIN_WAY], errors[ONE, AGAIN_WAY]
        g2, g3 = errors[TWO, AGAIN_WAY], errors[THREE, AGAIN_WAY]
        new = begin < go_on
        label = again
        if new and x > ZEROTH:
            before = x - ONE
            label = np.uint64(above[TWO * before + best])
            if best >= OWN_WAY:
                label = np.uint64(picked[before, best - OWN_WAY])
        again = label
        e0 = v0 + share * (f0 if new else g0) - points[ZEROTH, label]
        e1 = v1 + share * (f1 if new else g1) - points[ONE, label]
        e2 = v2 + share * (f2 if new else g2) - points[TWO, label]
        e3 = v3 + alpha_share * (f3 if new else g3) - points[THREE, label]
        error = e0 * e0 + CHROMA_WEIGHT * (e1 * e1 + e2 * e2) + e3 * e3
        forbidden = penalties[kind, label] if x > ZEROTH else FORBIDDEN
        costs[AGAIN_WAY] = min(begin, go_on) + (error + forbidden) - least
        errors[ZEROTH, AGAIN_WAY], errors[ONE, AGAIN_WAY] = e0, e1
        errors[TWO, AGAIN_WAY], errors[THREE, AGAIN_WAY] = e2, e3
        picked[x, ONE], is_new[x, AGAIN_WAY] = label, new
        # Copies go on, or begin after the cheapest way.
        for way in range(COPIES):
            source = TWO * x + way
            begin, go_on = least + begins[way] * worth, costs[way]
            g0, g1 = errors[ZEROTH, way], errors[ONE, way]
            g2, g3 = errors[TWO, way], errors[THREE, way]
            new = begin < go_on
            e0 = v0 + share * (f0 if new else g0) - shown[ZEROTH, source]
            e1 = v1 + share * (f1 if new else g1) - shown[ONE, source]
            e2 = v2 + share * (f2 if new else g2) - shown[TWO, source]
            e3 = v3 + alpha_share * (f3 if new else g3) - shown[THREE, source]
            error = e0 * e0 + CHROMA_WEIGHT * (e1 * e1 + e2 * e2) + e3 * e3
            costs[way] = min(begin, go_on) + error - least
            errors[ZEROTH, way], errors[ONE, way] = e0, e1
            errors[TWO, way], errors[THREE, way] = e2, e3
            is_new[x, way] = new
        if has_penalties:
            for way in range(COPIES):
                costs[way] += penalties[kind, np.uint64(above[TWO * x + way])]
        # A label of its own only ever is the cheapest way, or none: it has its bits at least.
        costs[OWN_WAY] = FORBIDDEN
        if (least_key(bits) & COST_BITS) < np.float32(worth).view(np.int32):
            picked[x, ZEROTH] = 0
            continue
        u0, u1, u2 = v0 + share * f0, v1 + share * f1, v2 + share * f2
        u3 = v3 + alpha_share * f3
        if exact[x] >= 0:
            label = np.uint64(exact[x])
        elif kind == OPAQUE_KIND and has_table:
            s0 = np.int32(clamp(u0, LOWEST_LIGHT, HIGHEST_LIGHT) + HALF)
            s1 = np.int32(clamp(u1, LOWEST_A, HIGHEST_A) + HALF)
            s2 = np.int32(clamp(u2, LOWEST_B, HIGHEST_B) + HALF)
            s = group_of(s0, s1, s2, cells[cell_of(s0, s1, s2)])
            key = NO_KEY
            for lane in range(N_LANES):
                d0 = np.int32(s0 - np.int32(groups[s, 0, lane]))
                d1 = np.int32(s1 - np.int32(groups[s, 1, lane]))
                d2 = np.int32(s2 - np.int32(groups[s, 2, lane]))
                square = np.int32(np.int32(d0 * d0) + np.int32(d1 * d1) + np.int32(d2 * d2))
                key = min(key, np.int32((square << KEY_SHIFT) | np.int32(groups[s, 3, lane])))
            if further[s] < further[s + ONE]:
                key = search_further(s0, s1, s2, key, further[s], further[s + ONE], groups)
            label = np.uint64(key & LABEL_BITS)
        else:
            start = 0 if kind == OPAQUE_KIND else n_own
            stop = n_own if kind == OPAQUE_KIND else entries.shape[0]
            key = nearest_of_all(u0, u1, u2, u3, start, stop, entries, numbers)
            label = np.uint64(key & LABEL_BITS)
        e0, e1 = u0 - points[ZEROTH, label], u1 - points[ONE, label]
        e2, e3 = u2 - points[TWO, label], u3 - points[THREE, label]
        error = e0 * e0 + CHROMA_WEIGHT * (e1 * e1 + e2 * e2) + e3 * e3
        costs[OWN_WAY] = worth + error
        errors[ZEROTH, OWN_WAY], errors[ONE, OWN_WAY] = e0, e1
        errors[TWO, OWN_WAY], errors[THREE, OWN_WAY] = e2, e3
        picked[x, ZEROTH] = label
    cheapest[kinds.shape[0]] = least_key(bits) & WAY_BITS


@kernel()
def go_back(
    above,  # see `find_ways`
    cheapest,
    is_new,
    picked,
    labels,  # (W,) uint8, OUT
):
    """Write the labels of the way that costs least."""
    way = np.int64(cheapest[labels.shape[0]])
    for x in range(labels.shape[0] - 1, -1, -1):
        labels[x] = picked[x, way - OWN] if way >= OWN else above[2 * x + way]
        if way == OWN or is_new[x, way]:
            way = np.int64(cheapest[x])


@kernel()
def pass_on(
    values,  # see `find_ways`
    kinds,
    shares,
    points,
    labels,  # (W,) uint8, IN
    turn,  # 0 or 1: where in `shown` and `above` this row is kept
    shown,
    above,
    errors,  # (4, W + 2) float32, OUT, but for both ends
):
    """Compute the errors of a row, which the next one takes, and its colors."""
    e0 = e1 = e2 = e3 = ZERO
    for x in range(np.uint64(labels.shape[0])):
        label, share, place = np.uint64(labels[x]), shares[x], x + ONE
        p0, p1 = points[ZEROTH, label], points[ONE, label]
        p2, p3 = points[TWO, label], points[THREE, label]
        e0 = values[ZEROTH, x] + share * e0 - p0
        e1 = values[ONE, x] + share * e1 - p1
        e2 = values[TWO, x] + share * e2 - p2
        e3 = values[THREE, x] + (ZERO if kinds[x] == OPAQUE_KIND else share) * e3 - p3
        errors[ZEROTH, place], errors[ONE, place] = e0, e1
        errors[TWO, place], errors[THREE, place] = e2, e3
        place = TWO * (x + np.uint64(REACH)) + np.uint64(turn)
        shown[ZEROTH, place], shown[ONE, place] = p0, p1
        shown[TWO, place], shown[THREE, place] = p2, p3
        above[place] = label


@kernel()
def clear(
    shown,  # (4, n) float32, OUT
):
    """Put pixels that nobody copies in place of the rows above."""
    for channel in range(4):
        for place in range(shown.shape[1]):
            shown[channel, place] = FAR


@kernel()
def start_pixels(
    alphas,  # (W,) uint8, IN
    points,  # (4, K) float32, IN: the palette, in steps
    transparent,  # the entry of fully transparent pixels
    kinds,  # (W,) uint8, OUT
    values,  # (4, W) float32, INOUT
    exact,  # (W,) int16, INOUT
    shares_before,  # (W,) float32, INOUT
):
    """Fill in the kinds of pixels; transparent ones take their entry, and no errors."""
    for x in range(alphas.shape[0]):
        kinds[x] = TRANSLUCENT_KIND
        if alphas[x] == OPAQUE:
            kinds[x] = OPAQUE_KIND
        elif alphas[x] == TRANSPARENT:
            kinds[x] = TRANSPARENT_KIND
            for channel in range(4):
                values[channel, x] = points[channel, transparent]
            exact[x], shares_before[x] = transparent, ZERO


@kernel()
def choose_strip(
    pixels,  # see `choose`
    lead,
    strip,
    contrasts,
    strengths,
    scale,
    table,
    begins,
    light,
    colors,
    keys,
    exact_entries,
    is_coarse,
    has_table,
    has_penalties,
    penalties,
    transparent,
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
    alphas, kinds = np.empty(width, np.uint8), np.empty(width, np.uint8)
    exact, lows = np.empty(width, np.int16), np.empty(width, np.uint8)
    worths = np.empty(width, np.float32)
    shares_above, shares_before = np.empty(width, np.float32), np.empty(width, np.float32)
    shown = np.empty((4, N_ABOVE * (width + 2 * REACH)), np.float32)
    clear(shown)
    above = np.zeros(N_ABOVE * (width + 2 * REACH), np.uint8)
    cheapest, picked = np.empty(width + 1, np.uint8), np.empty((width, 2), np.uint8)
    is_new, unused = np.empty((width, N_WAYS), np.bool_), np.empty(width, np.uint8)
    total = 0
    start = strip * STRIP_ROWS
    for row in range(max(start - WARM_UP_ROWS, -lead), min(start + STRIP_ROWS, n_rows)):
        source = row + lead
        own = labels[row] if row >= start else unused
        if row == start:  # not copied from the rows that warm up: the file has others there
            clear(shown)
        read_alphas(pixels[source], alphas)
        convert_any_row(pixels[source], alphas, light, is_coarse, values)
        find_exact_row(pixels[source], alphas, keys, exact_entries, exact)
        from_map = strengths[source if strengths.shape[0] > 1 else 0]
        fill_shares(from_map, scale * SIXTEENTH, shares_above)
        fill_shares(from_map, scale * FROM_BEFORE, shares_before)
        weigh_row(
            contrasts[source], alphas, exact, table, lows, worths, shares_above, shares_before
        )
        start_any_row(errors, 1, shares_above, values)
        start_pixels(alphas, points, transparent, kinds, values, exact, shares_before)
        find_ways(
            values,
            kinds,
            exact,
            worths,
            shares_before,
            shown,
            above,
            begins[row % 2],
            has_table,
            has_penalties,
            penalties,
            points,
            cells,
            further,
            groups,
            entries,
            numbers,
            n_own,
            cheapest,
            is_new,
            picked,
        )
        go_back(above, cheapest, is_new, picked, own)
        pass_on(values, kinds, shares_before, points, own, row % 2, shown, above, errors)
        if row >= start:
            total += alpha_squared_error(pixels[source], alphas, own, colors)
    return total


@kernel(parallel=True)
def choose(
    pixels,  # (h, W * C) uint8, IN: rows of an image of C = 1, 3 or 4 channels
    lead,  # rows of it that are above the first one to label, for warming up
    contrasts,  # (h, W) uint8, IN: around each pixel, in levels
    strengths,  # (h, W) uint8, IN, of error diffusion; or (1, 1), for all pixels
    scale,  # float32: the strength of 255
    table,  # (256,) float32, IN: what the bits of a pixel are worth, by contrast
    begins,  # (2, N_WAYS) float32, IN: the cost of beginning each way, in pixels' worth, by the
    # number of a row, even or odd
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    keys,  # (N_SLOTS,) int64, IN: see `fill_slots`
    exact_entries,  # (N_SLOTS,) uint8, IN
    is_coarse,  # whether errors are those of light
    has_table,  # whether opaque pixels are looked up in the table of cells
    has_penalties,  # whether there are any
    penalties,  # (3, K) float32, IN: of each entry, by the kind of a pixel
    transparent,  # the entry of fully transparent pixels
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
            np.int64(strip),
            contrasts,
            strengths,
            scale,
            table,
            begins,
            light,
            colors,
            keys,
            exact_entries,
            is_coarse,
            has_table,
            has_penalties,
            penalties,
            transparent,
            points,
            cells,
            further,
            groups,
            entries,
            numbers,
            n_own,
            labels,
        )
