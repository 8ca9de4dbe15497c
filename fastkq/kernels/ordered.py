"""Kernels of ordered dithering: a pixel depends on its square of 2x2 pixels and on its place."""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.mixture import NEAR, mix_entries
from fastkq.kernels.nearest import (
    HALF,
    KEY_SHIFT,
    LABEL_BITS,
    NO_KEY,
    cell_of,
    group_of,
    nearest_of_all,
)
from fastkq.kernels.steps import (
    HIGHEST_A,
    HIGHEST_B,
    HIGHEST_LIGHT,
    LOWEST_A,
    LOWEST_B,
    LOWEST_LIGHT,
    MIDDLE,
    OPAQUE,
    ZERO,
    alpha_squared_error,
    clamp,
    color_error,
    convert_any_row,
    convert_row,
    read_alphas,
    squared_error,
)

ONE = np.uint64(1)
TRANSPARENT = np.uint8(0)
LEAST_ROWS = 4  # that a thread is asked for
LEAST_PAIRS = 4  # of rows
SIDE = 2  # of a square
LAST = 3


@kernel()
def narrow(
    values,  # (>= 3, W) float32, INOUT: colors in Oklab, in steps
    chroma,  # float32: what a and b count beside lightness
):
    """Bring colors nearer to gray, so that their differences in a and b count less."""
    a, b = values[1], values[2]
    for x in range(values.shape[1]):
        a[x] = MIDDLE + chroma * (a[x] - MIDDLE)
        b[x] = MIDDLE + chroma * (b[x] - MIDDLE)


@kernel(inline=True)
def clear(
    errors,  # (C, n) float32, OUT: 0
):
    """Begin with no errors."""
    for channel in range(errors.shape[0]):
        for i in range(errors.shape[1]):
            errors[channel, i] = ZERO


@kernel()
def pass_errors(
    values,  # (C, W) float32, IN: the colors of a row
    right,  # of a square's two columns, this one
    share,  # float32: of the errors, that pixels take, but the last ones of squares ...
    mask,  # (side,) float32, IN: ... which take these, by their place
    is_last,
    errors,  # (C, n) float32, IN: of the pixels before, by squares
    targets,  # (C, n) float32, OUT: colors and the errors they take
):
    """Add the errors of the pixels before to a pixel of each square of two rows."""
    place = mask.shape[0] - 1
    for channel in range(values.shape[0]):
        own, before, target = values[channel], errors[channel], targets[channel]
        if is_last:
            for i in range((values.shape[1] - right + 1) // SIDE):
                target[i] = own[SIDE * i + right] + mask[i & place] * before[i]
        else:
            for i in range((values.shape[1] - right + 1) // SIDE):
                target[i] = own[SIDE * i + right] + share * before[i]


@kernel()
def take_nearest(
    targets,  # (>= 3, n) float32, IN: colors in Oklab, in steps
    cells,  # (N_CELLS,) int32, IN: the table of cells, see `nearest`
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    picked,  # (n,) uint8, OUT
):
    """Find the entries that are nearest to colors, none of which waits for another."""
    for i in range(picked.shape[0]):
        v0 = np.int32(clamp(targets[0, i], LOWEST_LIGHT, HIGHEST_LIGHT) + HALF)
        v1 = np.int32(clamp(targets[1, i], LOWEST_A, HIGHEST_A) + HALF)
        v2 = np.int32(clamp(targets[2, i], LOWEST_B, HIGHEST_B) + HALF)
        group = group_of(v0, v1, v2, cells[cell_of(v0, v1, v2)])
        another, stop = further[group], further[group + ONE]
        nearest = NO_KEY
        while True:
            for lane in range(np.uint64(groups.shape[2])):
                d0 = np.int32(v0 - np.int32(groups[group, 0, lane]))
                d1 = np.int32(v1 - np.int32(groups[group, 1, lane]))
                d2 = np.int32(v2 - np.int32(groups[group, 2, lane]))
                square = np.int32(np.int32(d0 * d0) + np.int32(d1 * d1) + np.int32(d2 * d2))
                key = np.int32((square << KEY_SHIFT) | np.int32(groups[group, 3, lane]))
                nearest = min(nearest, key)
            if another >= stop:
                break
            group = np.uint64(another)
            another += 1
        picked[i] = nearest & LABEL_BITS


@kernel(pieces="totals", least=LEAST_PAIRS)
def mix(
    begin,  # of the pairs of rows ...
    end,  # ... and the end of these
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1 or 3 channels
    first,  # the number of the first row in its image, even
    share,  # float32: see `pass_errors`
    last_shares,  # (side, side) float32, IN: a mask that repeats, of a power of two; of squares
    chroma,  # float32: see `narrow`
    light,  # (256,) float32, IN: see `convert_row`
    colors,  # (K,) int32, IN: the palette in sRGB, 8 bits a channel
    points,  # (4, K) float32, IN: the palette, in steps and narrowed
    cells,  # (N_CELLS,) int32, IN: the table of cells, see `nearest`
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    labels,  # (n_rows, W) uint8, INOUT: the nearest entries
    totals,  # (n_pairs,) int64, OUT: the squared error of each pair of rows
):
    """Dither squares of 2x2 pixels: each takes the entry nearest to its color and their errors.

    A color that is in the palette stays as it is. One pixel of all squares of two rows comes after
    the other, since those of a square wait for each other.
    """
    n_rows, width = labels.shape
    n_squares = (width + 1) // SIDE
    n_channels = pixels.shape[1] // width
    green, blue = (1, 2) if n_channels > 1 else (0, 0)
    values = np.empty((SIDE, 3, width), np.float32)
    errors, targets = np.empty((3, n_squares), np.float32), np.empty((3, n_squares), np.float32)
    picked = np.empty(n_squares, np.uint8)
    for pair in range(begin, end):
        top = SIDE * pair
        bottom = min(top + SIDE, n_rows)
        for row in range(top, bottom):
            convert_row(pixels[row], light, values[row - top])
            narrow(values[row - top], chroma)
        mask = last_shares[(first // SIDE + pair) & (last_shares.shape[0] - 1)]
        clear(errors)
        for turn in range(SIDE * SIDE):
            down, right = turn >> 1, (turn ^ (turn >> 1)) & 1  # clockwise
            if top + down >= bottom:
                continue
            pass_errors(values[down], right, share, mask, turn == LAST, errors, targets)
            n = (width - right + 1) // SIDE
            take_nearest(targets, cells, further, groups, picked[:n])
            pixel, own = pixels[top + down], labels[top + down]
            for i in range(n):
                x = SIDE * i + right
                start = n_channels * x
                near = colors[own[x]]
                if color_error(pixel[start], pixel[start + green], pixel[start + blue], near) == 0:
                    errors[0, i] = errors[1, i] = errors[2, i] = ZERO
                    continue
                label = picked[i]
                own[x] = label
                errors[0, i] = targets[0, i] - points[0, label]
                errors[1, i] = targets[1, i] - points[1, label]
                errors[2, i] = targets[2, i] - points[2, label]
        total = 0
        for row in range(top, bottom):
            total += squared_error(pixels[row], labels[row], colors)
        totals[pair] = total


@kernel(pieces="labels", least=LEAST_ROWS)
def blend(
    begin,  # of the rows ...
    end,  # ... and the end of these
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1, 3 or 4 channels
    first,  # the number of the first row in its image
    ranks,  # (side, side) uint16, IN: a mask that repeats, of a power of two
    scale,  # float32: how much of a mixture is taken
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    has_opaque,  # whether opaque pixels are restricted to opaque entries
    transparent,  # the entry of fully transparent pixels
    points,  # (4, K) float32, IN: the palette in light, in steps
    members,  # (2, K) uint8, IN: the entries for opaque pixels and for others, dark ones first
    n_members,  # (2,) int64, IN
    labels,  # (n_rows, W) uint8, INOUT: the nearest entries
    errors,  # (n_rows,) int64, OUT: the squared error of each row, in 1 / 510^2
):
    """Choose, by a pixel's place, an entry of the mixture whose light is nearest to the pixel's."""
    width = labels.shape[1]
    place = ranks.shape[0] - 1
    n_ranks = np.float32(ranks.size)
    for row in range(begin, end):
        alphas, values = np.empty(width, np.uint8), np.empty((4, width), np.float32)
        color, mean = np.empty(4, np.float32), np.empty(4, np.float32)
        shares = np.empty(points.shape[1], np.float32)
        read_alphas(pixels[row], alphas)
        convert_any_row(pixels[row], alphas, light, np.bool_(True), values)
        mask, own = ranks[(first + row) & place], labels[row]
        for x in range(width):
            if alphas[x] == TRANSPARENT:
                own[x] = transparent
                continue
            for channel in range(4):
                color[channel] = values[channel, x]
            kind = 0 if has_opaque and alphas[x] == OPAQUE else 1
            allowed = members[kind, : n_members[kind]]
            label = own[x]
            mix_entries(color, label, points, allowed, NEAR, mean, shares)
            threshold = (np.float32(mask[x & place]) + HALF) / n_ranks
            total, rest = ZERO, np.float32(1) - scale
            for i in range(allowed.shape[0]):
                entry = allowed[i]
                share = scale * shares[entry] + (rest if entry == label else ZERO)
                if share > ZERO:
                    own[x] = entry  # the last of the mixture, if sums fall short of 1
                    total += share
                    if threshold < total:
                        break
        errors[row] = alpha_squared_error(pixels[row], alphas, own, colors)


@kernel(pieces="totals", least=LEAST_PAIRS)
def mix_any(
    begin,  # of the pairs of rows ...
    end,  # ... and the end of these
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1, 3 or 4 channels
    first,  # the number of the first row in its image, even
    share,  # float32: see `pass_errors`
    last_shares,  # (side, side) float32, IN: see `mix`
    chroma,  # float32: see `narrow`
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    has_opaque,  # whether opaque pixels are restricted to opaque entries
    transparent,  # the entry of fully transparent pixels
    points,  # (4, K) float32, IN: the palette, in steps and narrowed
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, if there are any
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    labels,  # (n_rows, W) uint8, INOUT: the nearest entries
    totals,  # (n_pairs,) int64, OUT: the squared error of each pair of rows, in 1 / 510^2
):
    """Dither squares of 2x2 pixels as `mix` does, of any image with any palette of many colors.

    Fully transparent pixels neither take errors nor pass them on. Translucent ones that are nearest
    to a translucent entry take no opaque one: dots of it stand out along the edge of a picture on
    its shadow.
    """
    n_rows, width = labels.shape
    n_squares = (width + 1) // SIDE
    n_channels = pixels.shape[1] // width
    green, blue = (1, 2) if n_channels > 1 else (0, 0)
    values, alphas = np.empty((SIDE, 4, width), np.float32), np.empty((SIDE, width), np.uint8)
    errors, targets = np.empty((4, n_squares), np.float32), np.empty((4, n_squares), np.float32)
    picked = np.zeros(n_squares, np.uint8)
    for pair in range(begin, end):
        top = SIDE * pair
        bottom = min(top + SIDE, n_rows)
        for row in range(top, bottom):
            own = alphas[row - top]
            read_alphas(pixels[row], own)
            convert_any_row(pixels[row], own, light, np.bool_(False), values[row - top])
            narrow(values[row - top], chroma)
        mask = last_shares[(first // SIDE + pair) & (last_shares.shape[0] - 1)]
        clear(errors)
        for turn in range(SIDE * SIDE):
            down, right = turn >> 1, (turn ^ (turn >> 1)) & 1  # clockwise
            if top + down >= bottom:
                continue
            pass_errors(values[down], right, share, mask, turn == LAST, errors, targets)
            n = (width - right + 1) // SIDE
            if has_opaque:
                take_nearest(targets, cells, further, groups, picked[:n])
            pixel, own = pixels[top + down], labels[top + down]
            for i in range(n):
                x = SIDE * i + right
                start = n_channels * x
                alpha, label = alphas[down, x], np.uint64(own[x])
                is_exact = alpha == colors[label, 3]
                is_exact &= pixel[start] == colors[label, 0]
                is_exact &= pixel[start + green] == colors[label, 1]
                is_exact &= pixel[start + blue] == colors[label, 2]
                if is_exact or alpha == TRANSPARENT:
                    own[x] = label if is_exact else np.uint64(transparent)
                    errors[:, i] = ZERO
                    continue
                u0, u1, u2, u3 = targets[0, i], targets[1, i], targets[2, i], ZERO
                if has_opaque and alpha == OPAQUE:
                    label = np.uint64(picked[i])
                else:
                    u3 = targets[3, i]
                    last = entries.shape[0]
                    key = nearest_of_all(u0, u1, u2, u3, n_own, last, entries, numbers)
                    taken = np.uint64(key & LABEL_BITS)
                    if colors[taken, 3] != OPAQUE or colors[label, 3] == OPAQUE:
                        label = taken
                own[x] = label
                errors[0, i], errors[1, i] = u0 - points[0, label], u1 - points[1, label]
                errors[2, i], errors[3, i] = u2 - points[2, label], u3 - points[3, label]
        total = np.int64(0)
        for row in range(top, bottom):
            total += alpha_squared_error(pixels[row], alphas[row - top], labels[row], colors)
        totals[pair] = total
