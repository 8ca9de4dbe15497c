"""Error diffusion that knows alpha, and light for few colors.

It is `dither`, slower: opaque pixels of an image with alpha get there what they would get in an
image without. With few colors, all entries are compared with a color; their errors are those of
light, whose coordinates `steps` explains.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.dither import (
    FROM_ABOVE,
    FROM_BEFORE,
    FROM_BEHIND,
    SIXTEENTH,
    STRIP_ROWS,
    WARM_UP_ROWS,
    damping,
    diffuse_rows,
    fill_shares,
)
from fastkq.kernels.mixture import find_nearest_row, reach_row
from fastkq.kernels.nearest import (
    DISTANCE_BITS,
    KEY_SHIFT,
    LABEL_BITS,
    nearest_in_group,
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

ONE = np.uint64(1)
TRANSPARENT = np.uint8(0)
# At the end of a row, 7 and 1 sixteenths of an error would leave the image, at its start 3. These
# times the error, in place of a pixel outside, they come back from where 3 and 1 are taken.
FOLDED_AT_END, FOLDED_AT_START = np.float32(8 / 3), np.float32(3)


@kernel()
def start_any_row(
    errors,  # (4, W + 2) float32, IN: of the row above, with what stands for pixels outside
    step,  # 1 or -1: where that row went
    shares,  # (W,) float32, IN: of a sixteenth of the errors, that a pixel takes
    values,  # (4, W) float32, INOUT
):
    """Add the errors of the row above, as `start_row` does."""
    width = shares.shape[0]
    for channel in range(4):
        result = values[channel]
        behind = errors[channel, 1 + step : 1 + step + width]
        above = errors[channel, 1 : 1 + width]
        before = errors[channel, 1 - step : 1 - step + width]
        for x in range(width):
            error = FROM_BEHIND * behind[x] + (FROM_ABOVE * above[x] + before[x])
            result[x] += shares[x] * error


@kernel()
def fold_errors(
    errors,  # (4, W + 2) float32, INOUT: of a row, between what is set here
    step,  # 1 or -1: where the row went
):
    """Give the errors that would leave an image at its sides to the row below.

    Without, a patch of gray 40 of 255 and 64 pixels across lost a tenth of its white dots.
    """
    last = errors.shape[1] - 1
    end, start = (last, 0) if step > 0 else (0, last)
    for channel in range(4):
        errors[channel, end] = FOLDED_AT_END * errors[channel, end - step]
        errors[channel, start] = FOLDED_AT_START * errors[channel, start + step]


@kernel()
def diffuse_any_rows(
    values,  # (2, 4, W) float32, IN: what `start_any_row` gave, of two rows
    alphas,  # (2, W) uint8, IN
    shares,  # (2, W) float32, IN: of the error of the pixel before, that a pixel takes
    step,  # 1 or -1
    has_table,  # whether opaque pixels are looked up in the table of cells
    has_opaque,  # whether they take opaque entries only
    transparent,  # the entry of fully transparent pixels
    lowest,  # (4,) float32, IN: the box that colors and their errors are kept in ...
    highest,  # (4,) float32, IN
    points,  # (4, K) float32, IN: the palette, in steps
    limits,  # (2, K) float32, IN: of the squared error that each entry passes on, by kind of pixel
    least,  # float32: so small a squared error is not passed on
    cells,  # (N_CELLS,) int32, IN: the table of cells, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    labels,  # (2, W) uint8, OUT
    errors,  # (2, 4, W + 2) float32, OUT, but for both ends
):
    """Dither two rows; where both are opaque, with `diffuse_rows`."""
    width = alphas.shape[1]
    before = np.zeros((2, 4), np.float32)
    i = np.int64(0)
    while i < width:
        stop = i
        if has_table:
            x = i if step > 0 else width - 1 - i
            while stop < width and alphas[0, x] == OPAQUE and alphas[1, x] == OPAQUE:
                stop += 1
                x += step
        if stop > i:
            diffuse_rows(
                values[0],
                values[1],
                shares[0],
                shares[1],
                step,
                points,
                limits[0],
                least,
                cells,
                further,
                groups,
                i,
                stop,
                before,
                labels[0],
                labels[1],
                errors[0],
                errors[1],
            )
            for k in range(i, stop):
                x = k if step > 0 else width - 1 - k
                errors[0, 3, x + 1] = errors[1, 3, x + 1] = ZERO
            before[0, 3] = before[1, 3] = ZERO
            i = stop
            continue
        x = np.uint64(i if step > 0 else width - 1 - i)
        for half in range(2):
            alpha = alphas[half, x]
            if alpha == TRANSPARENT:
                labels[half, x] = transparent
                for channel in range(4):
                    before[half, channel] = errors[half, channel, x + ONE] = ZERO
                continue
            is_opaque = has_opaque and alpha == OPAQUE
            share = shares[half, x]
            u0 = clamp(values[half, 0, x] + share * before[half, 0], lowest[0], highest[0])
            u1 = clamp(values[half, 1, x] + share * before[half, 1], lowest[1], highest[1])
            u2 = clamp(values[half, 2, x] + share * before[half, 2], lowest[2], highest[2])
            u3 = ZERO
            if not is_opaque:
                u3 = clamp(values[half, 3, x] + share * before[half, 3], lowest[3], highest[3])
            if is_opaque and has_table:
                s0, s1, s2, s, key = nearest_in_group(u0, u1, u2, cells, groups)
                if further[s] < further[s + ONE]:
                    key = search_further(s0, s1, s2, key, further[s], further[s + ONE], groups)
                distance = np.float32(key >> KEY_SHIFT)
            else:
                first = 0 if is_opaque else n_own
                last = n_own if is_opaque else entries.shape[0]
                key = nearest_of_all(u0, u1, u2, u3, first, last, entries, numbers)
                distance = np.int32(key & DISTANCE_BITS).view(np.float32)
            label = np.uint64(key & LABEL_BITS)
            labels[half, x] = label
            share = damping(distance, limits[0 if is_opaque else 1, label], least)
            before[half, 0] = errors[half, 0, x + ONE] = (u0 - points[0, label]) * share
            before[half, 1] = errors[half, 1, x + ONE] = (u1 - points[1, label]) * share
            before[half, 2] = errors[half, 2, x + ONE] = (u2 - points[2, label]) * share
            before[half, 3] = errors[half, 3, x + ONE] = (u3 - points[3, label]) * share
        i += 1


@kernel(each="totals")
def diffuse_any(
    pair,  # of strips
    pixels,  # (h, W * C) uint8, IN: rows of an image of C = 1, 3 or 4 channels
    lead,  # rows of it that are above the first one to label, for warming up
    strengths,  # (h, W) uint8, IN; or (1, 1), for all pixels
    scale,  # float32: the strength of 255
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    is_coarse,  # whether errors are those of light
    has_opaque,  # whether there are opaque entries, which opaque pixels are restricted to
    transparent,  # the entry of fully transparent pixels
    lowest,  # (4,) float32, IN: the box that colors and their errors are kept in ...
    highest,  # (4,) float32, IN
    points,  # (4, K) float32, IN: the palette, in steps
    limits,  # (2, K) float32, IN: of the squared error that each entry passes on, by kind of pixel
    least,  # float32: so small a squared error is not passed on
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    members,  # (2, K) uint8, IN: the same entries by their numbers
    n_members,  # (2,) int64, IN
    labels,  # (n_rows, W) uint8, OUT
    totals,  # (n_pairs,) int64, OUT: the squared error of each pair of strips, in 1 / 510^2
):
    """Dither by error diffusion as `dither.diffuse` does, any image with any palette."""
    strip = 2 * pair
    n_rows, width = labels.shape
    errors = np.zeros((2, 4, width + 2), np.float32)
    values = np.empty((2, 4, width), np.float32)
    alphas, picked = np.empty((2, width), np.uint8), np.zeros((2, width), np.uint8)
    shares_above, shares_before = np.empty((2, width), np.float32), np.empty((2, width), np.float32)
    total = 0
    for turn in range(STRIP_ROWS + WARM_UP_ROWS):
        if strip * STRIP_ROWS - WARM_UP_ROWS + turn >= n_rows:  # below both strips
            break
        step = 1 if turn % 2 == 0 else -1
        for half in range(2):
            row = (strip + half) * STRIP_ROWS - WARM_UP_ROWS + turn
            source = min(max(row + lead, 0), pixels.shape[0] - 1)
            read_alphas(pixels[source], alphas[half])
            convert_any_row(pixels[source], alphas[half], light, is_coarse, values[half])
            is_first = row + lead == 0  # there is nothing above the image
            if is_coarse:
                find_nearest_row(
                    values[half], alphas[half], has_opaque, entries, numbers, n_own, picked[half]
                )
                reach_row(
                    turn == 0 or is_first,
                    alphas[half],
                    has_opaque,
                    points,
                    members,
                    n_members,
                    picked[half],
                    values[half],
                    errors[half],
                )
            elif is_first:
                errors[half] = ZERO
            from_map = strengths[source if strengths.shape[0] > 1 else 0]
            if turn == 0 or strengths.shape[0] > 1:
                fill_shares(from_map, scale * SIXTEENTH, shares_above[half])
                fill_shares(from_map, scale * FROM_BEFORE, shares_before[half])
            start_any_row(errors[half], -step, shares_above[half], values[half])
        diffuse_any_rows(
            values,
            alphas,
            shares_before,
            step,
            has_opaque and not is_coarse,
            has_opaque,
            transparent,
            lowest,
            highest,
            points,
            limits,
            least,
            cells,
            further,
            groups,
            entries,
            numbers,
            n_own,
            picked,
            errors,
        )
        if is_coarse:
            fold_errors(errors[0], step)
            fold_errors(errors[1], step)
        for half in range(2):
            row = (strip + half) * STRIP_ROWS - WARM_UP_ROWS + turn
            if turn >= WARM_UP_ROWS and row < n_rows:
                own = labels[row]
                for x in range(width):
                    own[x] = picked[half, x]
                total += alpha_squared_error(pixels[row + lead], alphas[half], own, colors)
    totals[pair] = total
