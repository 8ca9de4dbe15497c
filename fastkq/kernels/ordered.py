"""Kernels of ordered dithering: what a pixel becomes depends on its color and its place alone."""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.mixed_cubes import N_MIXED, cube_of
from fastkq.kernels.mixture import NEAR, mix_entries
from fastkq.kernels.nearest import HALF, KEY_SHIFT, LABEL_BITS, N_LANES
from fastkq.kernels.steps import (
    OPAQUE,
    ZERO,
    alpha_squared_error,
    clamp,
    convert_any_row,
    convert_row,
    read_alphas,
    squared_error,
)

TRANSPARENT = np.uint8(0)
LEAST_ROWS = 4  # that a thread is asked for

# The shares of second entries are counted in these. A palette may end far from a color, whose
# projection is then many times the way to a close neighbour.
SHARE_STEPS, MOST_SHARE = np.float32(1 << 16), np.float32(127)


@kernel(inline=True)
def choose_entry(
    v0,  # float32: a color, in steps
    v1,
    v2,
    threshold,  # float32, 0 to 1
    cube,  # which mixture
    numbers,  # (n, 4) uint8, IN
    planes,  # (n, 3, 4) float32, IN
):
    """Return the entry of a mixture whose share a threshold falls into, without a branch."""
    entry = np.int32(0)
    for i in range(N_MIXED - 1):
        total = planes[cube, i, 0] + planes[cube, i, 1] * v0
        entry += np.int32(threshold >= total + planes[cube, i, 2] * v1 + planes[cube, i, 3] * v2)
    return numbers[cube, entry]


@kernel(pieces="labels", least=LEAST_ROWS)
def mix(
    begin,  # of the rows ...
    end,  # ... and the end of these
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1 or 3 channels
    first,  # the number of the first row in its image
    thresholds,  # (side, side) float32, IN: a mask that repeats, of a power of two
    scale,  # float32: how far from its nearest entry a color is taken to be
    light,  # (256,) float32, IN: see `convert_row`
    colors,  # (K,) int32, IN: the palette in sRGB, 8 bits a channel
    palette,  # (3, K) float32, IN: in steps
    cubes,  # (N_CUBES,) int32, IN: the mixture of each cube, of those of the image
    numbers,  # (n, 4) uint8, IN: see `kernels.mixed_cubes.find_mixtures`
    planes,  # (n, 3, 4) float32, IN
    labels,  # (n_rows, W) uint8, INOUT: the nearest entries
    errors,  # (n_rows,) int64, OUT: the squared error of each row
):
    """Choose, by a pixel's place, an entry of the mixture that its color is one of.

    A color that is in the palette stays as it is.
    """
    width = labels.shape[1]
    place = thresholds.shape[0] - 1
    n_channels = pixels.shape[1] // width
    green, blue = (1, 2) if n_channels > 1 else (0, 0)
    for row in range(begin, end):
        values = np.empty((3, width), np.float32)
        own, mask = pixels[row], thresholds[(first + row) & place]
        convert_row(own, light, values)
        for x in range(width):
            label = np.uint64(labels[row, x])
            x0 = values[0, x] - palette[0, label]
            x1 = values[1, x] - palette[1, label]
            x2 = values[2, x] - palette[2, label]
            if x0 == ZERO and x1 == ZERO and x2 == ZERO:
                continue
            start = n_channels * x
            cube = cubes[cube_of(own[start], own[start + green], own[start + blue])]
            v0, v1 = palette[0, label] + scale * x0, palette[1, label] + scale * x1
            v2 = palette[2, label] + scale * x2
            labels[row, x] = choose_entry(v0, v1, v2, mask[x & place], cube, numbers, planes)
        errors[row] = squared_error(own, labels[row], colors)


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


@kernel(pieces="labels", least=LEAST_ROWS)
def mix_any(
    begin,  # of the rows ...
    end,  # ... and the end of these
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1, 3 or 4 channels
    first,  # the number of the first row in its image
    thresholds,  # (side, side) float32, IN: a mask that repeats, of a power of two
    scale,  # float32: how much of a mixture is taken
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    has_opaque,  # whether opaque pixels are restricted to opaque entries
    transparent,  # the entry of fully transparent pixels
    points,  # (4, K) float32, IN: the palette, in steps
    neighbours,  # (K, LANES) uint8, IN: those that each entry may be mixed with
    ways,  # (K, 4, LANES) float32, IN: to them, divided by their squared lengths
    cubes,  # (N_CUBES,) int32, IN: see `mix`
    numbers,  # (n, 4) uint8, IN
    planes,  # (n, 3, 4) float32, IN
    labels,  # (n_rows, W) uint8, INOUT: the nearest entries
    errors,  # (n_rows,) int64, OUT: the squared error of each row, in 1 / 510^2
):
    """Choose an entry as `mix` does for opaque pixels, and of two entries for others.

    Of a mixture of two entries, the mean is nearest to the pixel's color where the second has the
    share that the color's projection on the way to it says. Taken is the neighbour with the largest
    share: so the error of the mean falls most for the noise that comes with it. Shares and the
    numbers of neighbours fit together into one int32, as distances and entries do.
    """
    width = labels.shape[1]
    place = thresholds.shape[0] - 1
    n_channels = pixels.shape[1] // width
    green, blue = (1, 2) if n_channels > 1 else (0, 0)
    for row in range(begin, end):
        alphas, values = np.empty(width, np.uint8), np.empty((4, width), np.float32)
        read_alphas(pixels[row], alphas)
        convert_any_row(pixels[row], alphas, light, np.bool_(False), values)
        mask, own = thresholds[(first + row) & place], labels[row]
        for x in range(width):
            if alphas[x] == TRANSPARENT:
                own[x] = transparent
                continue
            label = np.uint64(own[x])
            x0 = values[0, x] - points[0, label]
            x1 = values[1, x] - points[1, label]
            x2 = values[2, x] - points[2, label]
            if has_opaque and alphas[x] == OPAQUE:
                if x0 == ZERO and x1 == ZERO and x2 == ZERO:
                    continue
                start = n_channels * x
                cube = cubes[
                    cube_of(
                        pixels[row, start], pixels[row, start + green], pixels[row, start + blue]
                    )
                ]
                v0, v1 = points[0, label] + scale * x0, points[1, label] + scale * x1
                v2 = points[2, label] + scale * x2
                own[x] = choose_entry(v0, v1, v2, mask[x & place], cube, numbers, planes)
                continue
            x3 = values[3, x] - points[3, label]
            key = np.int32(0)
            for lane in range(N_LANES):
                part = x0 * ways[label, 0, lane] + x1 * ways[label, 1, lane]
                part = part + x2 * ways[label, 2, lane] + x3 * ways[label, 3, lane]
                part = SHARE_STEPS * clamp(part, ZERO, MOST_SHARE)
                key = max(key, np.int32((np.int32(part) << KEY_SHIFT) | np.int32(lane)))
            share = np.float32(key >> KEY_SHIFT) / SHARE_STEPS
            if mask[x & place] < scale * share:
                own[x] = neighbours[label, key & LABEL_BITS]
        errors[row] = alpha_squared_error(pixels[row], alphas, own, colors)
