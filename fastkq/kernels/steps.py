"""Colors in the coordinates that dithering compares, and the error of a dithered row.

Colors are compared in Oklab, in steps of which there are 1020 from black to white, like quarters of
a level: finer than an eye sees, and the squared distance of two colors and an entry's number fit
together into one int32, whose minimum is the search. The other two coordinates are moved so that
all are positive.

With few colors, a mixture is seen as the mean of their light, and Oklab, a cube root of it, is far
from that: it makes gray 1 of 255 of 6.6 % white, instead of 0.03 %. There the coordinates are light
itself, in steps: its luminance, and what red and blue have more than that.

The fourth coordinate of colors with alpha is what is seen of a background: black and white, 1020
steps apart, are 510 steps nearer to each other under half of a color. The other three are those of
the color over middle gray.
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
# The luminance of light (ITU-R BT.709).
OF_RED, OF_GREEN, OF_BLUE = np.float32(0.2126), np.float32(0.7152), np.float32(0.0722)
WHITE = np.float32(STEPS)
ALPHA_STEPS = np.float32(2)  # of a level of alpha
OPAQUE = np.uint8(255)
INVERSE_OPAQUE = np.float32(1 / 255)
MIXED_LEVEL = np.float32(127.5)
ZERO, TWO = np.float32(0), np.float32(2)
LAST_LEVEL = np.int32(254)  # the last that has one above it
ONE = np.uint64(1)
ERROR_UNIT = 510  # the squared error of colors with alpha is counted in squares of its inverse
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
def to_oklab(
    first,  # (W,) float32, INOUT: the light of red ...
    second,  # ... of green ...
    third,  # ... and of blue
):
    """Convert the light of a row to Oklab, in steps."""
    for x in range(first.shape[0]):
        r, g, b = first[x], second[x], third[x]
        long = cube_root(L0 * r + L1 * g + L2 * b)
        medium = cube_root(M0 * r + M1 * g + M2 * b)
        short = cube_root(S0 * r + S1 * g + S2 * b)
        first[x] = LIGHT0 * long + LIGHT1 * medium + LIGHT2 * short
        second[x] = A0 * long + A1 * medium + A2 * short + MIDDLE
        third[x] = B0 * long + B1 * medium + B2 * short + MIDDLE


@kernel()
def to_light(
    first,  # (W,) float32, INOUT: the light of red ...
    second,  # ... of green ...
    third,  # ... and of blue
):
    """Convert the light of a row to its luminance and two differences from that, in steps.

    The differences count as much as the luminance does: with half of that, gray was mixed of blue
    and orange rather than of black and white.
    """
    for x in range(first.shape[0]):
        r, g, b = first[x], second[x], third[x]
        luminance = OF_RED * r + OF_GREEN * g + OF_BLUE * b
        first[x] = WHITE * luminance
        second[x] = WHITE * (r - luminance)
        third[x] = WHITE * (b - luminance)


@kernel(inline=True)
def light_over_gray(
    level,  # uint8: of a color
    alpha,  # uint8
    light,  # (256,) float32, IN
):
    """Return the light of a level over middle gray; levels are mixed as they come."""
    share = np.float32(alpha) * INVERSE_OPAQUE
    mixed = share * np.float32(level) + (np.float32(1) - share) * MIXED_LEVEL
    below = min(np.int32(mixed), LAST_LEVEL)
    low, high = light[below], light[below + np.int32(1)]
    return low + (mixed - np.float32(below)) * (high - low)


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
    to_oklab(first, second, third)


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
def read_alphas(
    pixels,  # (W * C,) uint8, IN: a row of an image of C = 1, 3 or 4 channels
    alphas,  # (W,) uint8, OUT
):
    """Fill in the alpha of each pixel of a row; return whether all are opaque."""
    width = alphas.shape[0]
    if pixels.shape[0] != 4 * width:
        for x in range(width):
            alphas[x] = OPAQUE
        return True
    least = OPAQUE
    for x in range(width):
        alphas[x] = pixels[4 * x + 3]
        least = min(least, alphas[x])
    return least == OPAQUE


@kernel()
def convert_any_row(
    pixels,  # (W * C,) uint8, IN: a row of an image of C = 1, 3 or 4 channels
    alphas,  # (W,) uint8, IN
    light,  # (256,) float32, IN: the light of each level, from 0 to 1
    is_coarse,  # whether the coordinates are light, not Oklab
    values,  # (4, W) float32, OUT: in steps
):
    """Convert a row; opaque pixels have the same coordinates as in `convert_row`."""
    width = values.shape[1]
    first, second, third, fourth = values[0], values[1], values[2], values[3]
    if pixels.shape[0] != 4 * width and not is_coarse:
        convert_row(pixels, light, values)
        for x in range(width):
            fourth[x] = ZERO
        return
    if pixels.shape[0] == width:
        for x in range(width):
            first[x] = second[x] = third[x] = light[pixels[x]]
            fourth[x] = ZERO
    elif pixels.shape[0] == 3 * width:
        for x in range(width):
            first[x] = light[pixels[3 * x]]
            second[x] = light[pixels[3 * x + 1]]
            third[x] = light[pixels[3 * x + 2]]
            fourth[x] = ZERO
    else:
        for x in range(width):
            alpha = alphas[x]
            fourth[x] = ALPHA_STEPS * np.float32(OPAQUE - alpha)
            if alpha == OPAQUE:
                first[x] = light[pixels[4 * x]]
                second[x] = light[pixels[4 * x + 1]]
                third[x] = light[pixels[4 * x + 2]]
            else:
                first[x] = light_over_gray(pixels[4 * x], alpha, light)
                second[x] = light_over_gray(pixels[4 * x + 1], alpha, light)
                third[x] = light_over_gray(pixels[4 * x + 2], alpha, light)
    if is_coarse:
        to_light(first, second, third)
    else:
        to_oklab(first, second, third)


@kernel(inline=True)
def channel_error(
    level,  # uint8: of a pixel
    alpha,  # int64: of the pixel
    other,  # uint8: of an entry
    other_alpha,  # int64: of the entry
):
    """Return the squared error of a channel over black and over white, less that of alpha alone."""
    difference = alpha * np.int64(level) - other_alpha * np.int64(other)
    difference = 2 * difference - 255 * (alpha - other_alpha)
    return difference * difference


@kernel()
def alpha_squared_error(
    pixels,  # (W * C,) uint8, IN: a row of an image of C = 1, 3 or 4 channels
    alphas,  # (W,) uint8, IN
    labels,  # (W,) uint8, IN
    entries,  # (K, 4) uint8, IN: the palette
):
    """Return the squared error of a row over black and over white, halved, in units of 1 / 510^2.

    With p = A / 255 * color and the differences d, it is |dp - dA / 2|^2 + 3/4 dA^2: in these units
    a sum of whole numbers, the same in any order.
    """
    width = np.uint64(labels.shape[0])
    n_channels = np.uint64(pixels.shape[0]) // width
    green = np.uint64(n_channels > ONE)
    blue = green + green
    total = plain = np.int64(0)
    for x in range(width):
        label = np.uint64(labels[x])
        start = n_channels * x
        if alphas[x] == OPAQUE and entries[label, 3] == OPAQUE:
            d0 = np.int32(pixels[start]) - np.int32(entries[label, 0])
            d1 = np.int32(pixels[start + green]) - np.int32(entries[label, 1])
            d2 = np.int32(pixels[start + blue]) - np.int32(entries[label, 2])
            plain += np.int64(d0 * d0 + d1 * d1 + d2 * d2)
            continue
        alpha, other = np.int64(alphas[x]), np.int64(entries[label, 3])
        error = channel_error(pixels[start], alpha, entries[label, 0], other)
        error += channel_error(pixels[start + green], alpha, entries[label, 1], other)
        error += channel_error(pixels[start + blue], alpha, entries[label, 2], other)
        total += error + 3 * 255 * 255 * (alpha - other) * (alpha - other)
    return total + ERROR_UNIT * ERROR_UNIT * plain
