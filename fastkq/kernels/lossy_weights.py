"""What the bits of each pixel are worth, where labels are chosen by error and bits.

Contrast around a pixel hides errors, so bits are worth more there. Where most of a stretch of a row
is exactly in the palette, as in drawings and screenshots, that stays exact.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.contrast import FULL
from fastkq.kernels.steps import OPAQUE, ZERO, read_alphas

TRANSPARENT = np.uint8(0)
# Bits are worth twice as much at so many levels of contrast.
CONTRAST_UNIT = np.float32(2)
# The edge of something flat hides less than texture does: a contrast counts no more than this base
# and so many times the lowest of the pixels that are so near in the row.
EDGE_BASE, EDGE_FACTOR, NEAR = np.int32(8), np.int32(3), 2
# The rows above a strip that are walked through first. Less of an error is passed on than dithering
# does, so the pattern settles sooner.
WARM_UP_ROWS = 12
# A stretch of a row is left exact if at least half of its pixels are in the palette.
STRETCH = 32
# The table of a palette's colors: open addressing, by a multiplicative hash (Knuth 1973). So few of
# its slots are taken that the processor guesses what a pixel of a photo finds: with 1024 of them, a
# quarter taken, a row of a photo took 1.7 times as long.
N_SLOTS, HASH_SHIFT = 4096, np.uint64(20)
HASH_FACTOR, HASH_BITS = np.uint64(2654435769), np.uint64(0xFFFFFFFF)
SLOT_BITS = np.uint64(N_SLOTS - 1)
ONE = np.uint64(1)
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
    width = np.uint64(alphas.shape[0])
    n_channels = np.uint64(pixels.shape[0]) // width
    green = ONE if n_channels > ONE else ONE - ONE
    blue = green + green
    for start in range(np.uint64(0), width, np.uint64(STRETCH)):
        stop = min(start + np.uint64(STRETCH), width)
        n_others = np.uint64(0)
        for x in range(start, stop):
            base = n_channels * x
            color = (np.int64(pixels[base]) << 8) | np.int64(pixels[base + green])
            color = (color << 16) | (np.int64(pixels[base + blue]) << 8) | np.int64(alphas[x])
            slot = slot_of(color)
            while keys[slot] >= 0 and keys[slot] != color:
                slot = (slot + ONE) & SLOT_BITS
            exact[x] = entries[slot]
            if keys[slot] != color:
                exact[x] = NEAREST
                n_others += ONE
                if n_others + n_others > stop - start:  # of photos, in half of the time
                    break
        if n_others + n_others > stop - start:
            for x in range(start, stop):
                exact[x] = NO_ENTRY


@kernel()
def weigh_strip(
    pixels,  # (n, W * C) uint8, IN: rows of an image
    keys,  # (N_SLOTS,) int64, IN: see `fill_slots`
    entries,  # (N_SLOTS,) uint8, IN
    base,  # float32: what the bits of a pixel are worth without contrast
    alphas,  # (W,) uint8, OUT: of the last row
    exact,  # (W,) int16, OUT: of the last row
):
    """Return what bits are worth in some rows: the less, the more of these are exact.

    There is little to save in a drawing's or a screenshot's other pixels, and errors show.
    """
    width = np.uint64(alphas.shape[0])
    n_exact = 0
    for row in range(pixels.shape[0]):
        read_alphas(pixels[row], alphas)
        find_exact_row(pixels[row], alphas, keys, entries, exact)
        for x in range(width):
            n_exact += np.int64(exact[x] >= 0)
    share = np.float32(n_exact) / np.float32(pixels.shape[0] * alphas.shape[0])
    rest = np.float32(1) - share
    return base * (rest * rest)


@kernel(inline=True)
def find_strengths(
    contrasts,  # (W,) uint8, IN: around each pixel, in levels
    alphas,  # (W,) uint8, IN
    table,  # (256,) uint8, IN: strengths by contrast
    strengths,  # (W,) uint8, OUT: of error diffusion; without meaning for transparent pixels
):
    """Look up how strongly the pixels of a row are dithered, as `contrast` does for an image."""
    for x in range(np.uint64(strengths.shape[0])):
        is_translucent = TRANSPARENT < alphas[x] < OPAQUE
        strengths[x] = FULL if is_translucent else table[contrasts[x]]


@kernel()
def weigh_row(
    contrasts,  # (W,) uint8, IN: around each pixel, in levels
    alphas,  # (W,) uint8, IN
    exact,  # (W,) int16, IN: see `find_exact_row`
    base,  # float32: what the bits of a pixel are worth without contrast
    lowest,  # (W,) uint8, OUT: the lowest contrast within `NEAR` pixels in the row
    worths,  # (W,) float32, OUT: what the bits of each pixel are worth
    shares_above,  # (W,) float32, INOUT: of the errors of the row above, that a pixel takes
    shares_before,  # (W,) float32, INOUT: of the error of the pixel before
):
    """Compute what the bits of each pixel are worth; none, and no errors, in exact stretches."""
    width = np.uint64(worths.shape[0])
    for x in range(width):
        lowest[x] = contrasts[x]
    for shift in range(ONE, np.uint64(NEAR + 1)):
        for x in range(shift, width):
            lowest[x - shift] = min(lowest[x - shift], contrasts[x])
        for x in range(shift, width):
            lowest[x] = min(lowest[x], contrasts[x - shift])
    for x in range(width):
        contrast = min(np.int32(contrasts[x]), EDGE_BASE + EDGE_FACTOR * np.int32(lowest[x]))
        worth = base + base * (np.float32(contrast) / CONTRAST_UNIT)
        worth = base if TRANSPARENT < alphas[x] < OPAQUE else worth
        above, before, is_free = shares_above[x], shares_before[x], exact[x] == NO_ENTRY
        worths[x] = worth if is_free else ZERO
        shares_above[x] = above if is_free else ZERO
        shares_before[x] = before if is_free else ZERO
