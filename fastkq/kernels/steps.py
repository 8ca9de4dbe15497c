"""Colors in the coordinates that dithering compares, and the error of a dithered row.

Colors are compared in Oklab, in steps of which there are 1020 from black to white, like quarters of
a level: finer than an eye sees, and the squared distance of two colors and an entry's number fit
together into one int32, whose minimum is the search. The other two coordinates are moved so that
all are positive.
"""

import numpy as np

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
ZERO, TWO = np.float32(0), np.float32(2)
LEVEL_BITS = np.int32(255)
ERROR_PIXELS = 8192  # whose squared error fits into int32


@kernel(inline=True)
def clamp(
    value,  # float32: a coordinate
    low,  # float32
    high,  # float32
):
    """Move a coordinate between two others."""
    return min(max(value, low), high)


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
