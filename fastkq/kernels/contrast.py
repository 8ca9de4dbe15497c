"""The map of adaptive dithering: how much contrast surrounds each pixel."""

import numpy as np

from fastkq.kernels.compile import kernel

LEAST_ROWS = 32  # that a thread is asked for
TRANSPARENT, OPAQUE = np.uint8(0), np.uint8(255)
FULL = np.uint8(255)  # strength
MOST, LEAST = np.uint8(255), np.uint8(0)


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


@kernel(pieces="strengths", least=LEAST_ROWS)
def map_strengths(
    begin,  # of the rows ...
    end,  # ... and the end of these
    pixels,  # (h, W * C) uint8, IN
    table,  # (256,) uint8, IN: strengths by contrast
    strengths,  # (h, W) uint8, OUT
):
    """Find how strongly each pixel is dithered, by the range of light in its 3x3 surroundings."""
    n_rows, width = pixels.shape[0], strengths.shape[1]
    lights = np.empty((3, width + 2), np.uint8)  # of the rows above, at and below one
    low, high = np.empty(width + 2, np.uint8), np.empty(width + 2, np.uint8)
    fill_light(pixels[max(begin - 1, 0)], lights[(begin + 2) % 3])
    fill_light(pixels[begin], lights[begin % 3])
    for row in range(begin, end):
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


@kernel()
def fill_light_over_gray(
    pixels,  # (W * 4,) uint8, IN: a row of an image
    low,  # (W + 2,) uint8, OUT: between two that count for nothing
    high,  # (W + 2,) uint8, OUT: the same, but for transparent pixels, which are neither
):
    """Compute the light of a row over middle gray; that of opaque pixels is as in `fill_light`."""
    width = low.shape[0] - 2
    least = OPAQUE
    for x in range(width):
        green = np.uint32(pixels[4 * x + 1])
        total = np.uint32(pixels[4 * x]) + np.uint32(pixels[4 * x + 2]) + green + green
        low[x + 1] = high[x + 1] = total >> np.uint32(2)
        least = min(least, pixels[4 * x + 3])
    if least < OPAQUE:
        for x in range(width):
            alpha = np.uint32(pixels[4 * x + 3])
            if alpha == np.uint32(TRANSPARENT):
                low[x + 1], high[x + 1] = MOST, LEAST
            elif alpha < np.uint32(OPAQUE):
                green = np.uint32(pixels[4 * x + 1])
                total = np.uint32(pixels[4 * x]) + np.uint32(pixels[4 * x + 2]) + green + green
                total = total * alpha + np.uint32(510) * (np.uint32(OPAQUE) - alpha)
                low[x + 1] = high[x + 1] = total // np.uint32(1020)
    low[0] = low[width + 1] = MOST
    high[0] = high[width + 1] = LEAST


@kernel(pieces="strengths", least=LEAST_ROWS)
def map_alpha_strengths(
    begin,  # of the rows ...
    end,  # ... and the end of these
    pixels,  # (h, W * 4) uint8, IN
    table,  # (256,) uint8, IN: strengths by contrast
    strengths,  # (h, W) uint8, OUT: without meaning for transparent pixels
):
    """Find the strengths of an image with alpha: contrast neither crosses nor begins at gaps.

    Translucent pixels have all of it: a shadow is smooth, and has few entries.
    """
    n_rows, width = pixels.shape[0], strengths.shape[1]
    lows, highs = np.empty((3, width + 2), np.uint8), np.empty((3, width + 2), np.uint8)
    low, high = np.empty(width + 2, np.uint8), np.empty(width + 2, np.uint8)
    above, row = (begin + 2) % 3, begin % 3
    fill_light_over_gray(pixels[max(begin - 1, 0)], lows[above], highs[above])
    fill_light_over_gray(pixels[begin], lows[row], highs[row])
    for row in range(begin, end):
        below = (row + 1) % 3
        fill_light_over_gray(pixels[min(row + 1, n_rows - 1)], lows[below], highs[below])
        for x in range(width + 2):
            low[x] = min(lows[0, x], lows[1, x], lows[2, x])
            high[x] = max(highs[0, x], highs[1, x], highs[2, x])
        for x in range(width):
            least = min(low[x], low[x + 1], low[x + 2])
            most = max(high[x], high[x + 1], high[x + 2])
            is_translucent = TRANSPARENT < pixels[row, 4 * x + 3] < OPAQUE
            strengths[row, x] = FULL if is_translucent else table[np.uint8(most - least)]
