"""Kernels that compute the points of colors with alpha, and squared errors: see `colors.spaces`."""

import numpy as np

from fastkq.kernels.compile import kernel

STRIP = 128  # colors at once
BYTE, ALPHA_SHIFT = np.uint32(255), np.uint32(24)
# What is seen over middle gray is counted in 510ths of a level, so that it is a whole number:
# 2 * level * alpha + 255 * (255 - alpha). In these units the squared errors over black and over
# white add up to those of the three channels, and 3 * 255^2 times that of alpha.
SHOWN_UNITS, ALPHA_SQUARE = np.float32(510), np.int64(3 * 255**2)


@kernel(inline=True)
def show_over_gray(
    colors,  # (STRIP,) uint32, IN: R in the lowest byte
    size,  # uint64: how many
    shown,  # (4, STRIP) int32, OUT: the channels over middle gray, in 510ths, and alpha
):
    """Compute what is seen of colors."""
    for i in range(size):
        number = colors[i]
        alpha = np.int32(number >> ALPHA_SHIFT)
        gray = np.int32(255) * (np.int32(255) - alpha)
        double = alpha * np.int32(2)
        shown[0, i] = np.int32(number & BYTE) * double + gray
        shown[1, i] = np.int32((number >> np.uint32(8)) & BYTE) * double + gray
        shown[2, i] = np.int32((number >> np.uint32(16)) & BYTE) * double + gray
        shown[3, i] = alpha


@kernel(inline=True)
def place_srgb(
    shown,  # (4, STRIP) int32, IN: see `show_over_gray`
    size,  # uint64: how many
    fourths,  # (256,) float32, IN: the fourth coordinate by alpha
    points,  # (4, STRIP) float32, OUT
):
    """Compute the points of colors, as `fastkq.colors.spaces` does."""
    for axis in range(3):
        for i in range(size):
            points[axis, i] = np.float32(shown[axis, i]) / SHOWN_UNITS
    for i in range(size):
        points[3, i] = fourths[np.uint64(shown[3, i])]


@kernel(inline=True)
def place_oklab(
    colors,  # (STRIP,) uint32, IN
    size,  # uint64
    fourths,  # (256,) float32, IN
    light,  # (256, 256) float64, IN: what is seen over gray, by alpha and level
    matrices,  # (2, 3, 3) float64, IN: light to cones, and cones to Oklab
    points,  # (4, STRIP) float32, OUT
):
    """Compute the points of colors, as `fastkq.colors.spaces` does."""
    to_cones, to_oklab = matrices[0], matrices[1]
    for i in range(size):
        number = colors[i]
        alpha = np.uint64(number >> ALPHA_SHIFT)
        red = light[alpha, np.uint64(number & BYTE)]
        green = light[alpha, np.uint64((number >> np.uint32(8)) & BYTE)]
        blue = light[alpha, np.uint64((number >> np.uint32(16)) & BYTE)]
        long = np.cbrt(to_cones[0, 0] * red + to_cones[0, 1] * green + to_cones[0, 2] * blue)
        middle = np.cbrt(to_cones[1, 0] * red + to_cones[1, 1] * green + to_cones[1, 2] * blue)
        short = np.cbrt(to_cones[2, 0] * red + to_cones[2, 1] * green + to_cones[2, 2] * blue)
        for axis in range(3):
            factors = to_oklab[axis]
            mixed = factors[0] * long + factors[1] * middle + factors[2] * short
            points[axis, i] = np.rint(mixed)
        points[3, i] = fourths[alpha]


@kernel(inline=True)
def error_of(
    shown,  # (4, STRIP) int32, IN: see `show_over_gray`
    i,  # uint64: which
    shown_entries,  # (256, 4) int64, IN: the same of each entry
    entry,  # uint64
):
    """Return 2 * 255^2 times the mean of the squared error over black and over white."""
    red = np.int64(shown[0, i]) - shown_entries[entry, 0]
    green = np.int64(shown[1, i]) - shown_entries[entry, 1]
    blue = np.int64(shown[2, i]) - shown_entries[entry, 2]
    alpha = np.int64(shown[3, i]) - shown_entries[entry, 3]
    squares = red * red + green * green + blue * blue + ALPHA_SQUARE * alpha * alpha
    return np.uint64(squares) >> np.uint64(1)
