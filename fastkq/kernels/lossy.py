"""Labels chosen by their error and by the bits that they take, inside error diffusion.

Deflate, and all that writes indices, keeps a copy of indices that stood before for a few bits,
however long it is, and an index that surprises for several. So a row is cut into pixels that take
their nearest entry, and copies of what stands before or above, where

    squared error + weight * bits

is least in total: entropy-constrained quantization (Chou, Lookabaugh and Gray 1989). What a label
is wrong by is passed on to the pixels beside and below, as error diffusion does, so that means stay
right. `lossy_weights` tells what bits are worth, and `lossy_ways` finds the cheapest way through a
row.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.dither import (
    FROM_BEFORE,
    SIXTEENTH,
    STRIP_ROWS,
    fill_shares,
)
from fastkq.kernels.general import start_any_row
from fastkq.kernels.lossy_ways import (
    FAR,
    N_ABOVE,
    N_WAYS,
    OPAQUE_KIND,
    REACH,
    TRANSLUCENT_KIND,
    TRANSPARENT_KIND,
    find_ways,
    go_back,
    pass_on,
)
from fastkq.kernels.lossy_weights import (
    TRANSPARENT,
    WARM_UP_ROWS,
    find_exact_row,
    find_strengths,
    weigh_row,
    weigh_strip,
)
from fastkq.kernels.steps import (
    OPAQUE,
    ZERO,
    alpha_squared_error,
    convert_any_row,
    read_alphas,
)


@kernel(inline=True)
def clear(
    shown,  # (4, n) float32, OUT
):
    """Put pixels that nobody copies in place of the rows above."""
    for channel in range(4):
        for place in range(shown.shape[1]):
            shown[channel, place] = FAR


@kernel(inline=True)
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


@kernel(each="totals")
def choose(
    strip,
    pixels,  # (h, W * C) uint8, IN: rows of an image of C = 1, 3 or 4 channels
    lead,  # rows of it that are above the first one to label, for warming up
    contrasts,  # (h, W) uint8, IN: around each pixel, in levels
    strengths,  # (256,) uint8, IN: of error diffusion, by contrast
    scale,  # float32: the strength of 255
    base,  # float32: what the bits of a pixel are worth without contrast
    begins,  # (2, N_WAYS) float32, IN: the cost of beginning each way, in pixels' worth, by the
    # number of a row, even or odd
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    keys,  # (N_SLOTS,) int64, IN: see `fill_slots`
    exact_entries,  # (N_SLOTS,) uint8, IN
    is_coarse,  # whether errors are those of light
    has_table,  # whether opaque pixels are looked up in the table of cells
    is_limited,  # (3,) bool, IN: whether pixels of each kind may take some entries only
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
    totals,  # (n_strips,) int64, OUT: the squared error of each strip, in 1 / 510^2
):
    """Choose the labels of an image by error and bits, by strips of rows."""
    n_rows, width = labels.shape
    errors, values = np.zeros((4, width + 2), np.float32), np.empty((4, width), np.float32)
    alphas, kinds = np.empty(width, np.uint8), np.empty(width, np.uint8)
    has_alpha = pixels.shape[1] == 4 * width
    for x in range(width):
        kinds[x] = OPAQUE_KIND
    exact, lows = np.empty(width, np.int16), np.empty(width, np.uint8)
    worths, own_strengths = np.empty(width, np.float32), np.empty(width, np.uint8)
    shares_above, shares_before = np.empty(width, np.float32), np.empty(width, np.float32)
    shown = np.empty((4, N_ABOVE * (width + 2 * REACH)), np.float32)
    clear(shown)
    above = np.zeros(N_ABOVE * (width + 2 * REACH), np.uint8)
    paths, unused = np.empty((width + 1, 2, N_WAYS), np.uint8), np.empty(width, np.uint8)
    total = 0
    start, stop = strip * STRIP_ROWS, min((strip + 1) * STRIP_ROWS, n_rows)
    own_base = weigh_strip(
        pixels[start + lead : stop + lead], keys, exact_entries, base, alphas, exact
    )
    for row in range(max(start - WARM_UP_ROWS, -lead), stop):
        source = row + lead
        own = labels[row] if row >= start else unused
        if row == start:  # not copied from the rows that warm up: the file has others there
            clear(shown)
        read_alphas(pixels[source], alphas)
        convert_any_row(pixels[source], alphas, light, is_coarse, values)
        find_exact_row(pixels[source], alphas, keys, exact_entries, exact)
        find_strengths(contrasts[source], alphas, strengths, own_strengths)
        fill_shares(own_strengths, scale * SIXTEENTH, shares_above)
        fill_shares(own_strengths, scale * FROM_BEFORE, shares_before)
        weigh_row(
            contrasts[source], alphas, exact, own_base, lows, worths, shares_above, shares_before
        )
        start_any_row(errors, np.int64(1), shares_above, values)
        if has_alpha:
            start_pixels(alphas, points, transparent, kinds, values, exact, shares_before)
        way = find_ways(
            values,
            kinds,
            exact,
            worths,
            shares_before,
            shown,
            above,
            begins[row % 2],
            has_table,
            is_limited,
            penalties,
            points,
            cells,
            further,
            groups,
            entries,
            numbers,
            n_own,
            paths,
        )
        go_back(way, paths, own)
        pass_on(values, kinds, shares_before, points, own, row % 2, shown, above, errors)
        if row >= start:
            total += alpha_squared_error(pixels[source], alphas, own, colors)
    totals[strip] = total
