"""Kernels of ordered dithering: what a pixel becomes depends on its color and its place alone."""

import numpy as np
from numba import prange

from fastkq.kernels.compile import kernel
from fastkq.kernels.nearest import HALF, KEY_SHIFT, LABEL_BITS, N_LANES
from fastkq.kernels.steps import ZERO, clamp, convert_row, squared_error

# The shares of second entries are counted in these. A palette may end far from a color, whose
# projection is then many times the way to a close neighbour.
SHARE_STEPS, MOST_SHARE = np.float32(1 << 16), np.float32(127)


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
