"""Kernels that replace 8-bit RGB pixels by labels through a table of all colors."""

import numpy as np

from fastkq.kernels.codes import STRIP, encode_pixels
from fastkq.kernels.compile import kernel, prange

PIECE = 1 << 15  # pixels, or colors, that a thread is asked for: 50 microseconds


@kernel(parallel=True, pieces="codes", least=PIECE)
def fill_table(
    begin,  # of the colors ...
    end,  # ... and the end of these
    codes,  # (U,) uint32, IN: Morton codes
    labels,  # (U,) uint8, IN
    table,  # (2^24,) uint8, INOUT
):
    """Write the labels of colors into a table."""
    for i in prange(begin, end):
        table[codes[i]] = labels[i]


@kernel(parallel=True, pieces="pixels", least=PIECE)
def remap_pixels(
    begin,  # of the pixels ...
    end,  # ... and the end of these
    pixels,  # (N, 3) uint8, IN; or (N, 4), of which the opaque ones matter
    shift,  # uint32: how many low bits of a code the table knows nothing of
    table,  # (2^24 >> shift,) uint8, IN: the label of each color by its Morton code
    labels,  # (N,) uint8, OUT; those of pixels that are not opaque are any
):
    """Look up the label of every pixel."""
    for number in prange((end - begin + STRIP - 1) // STRIP):
        first = begin + number * STRIP
        codes = np.empty(STRIP, np.uint32)
        strip = pixels[first : min(first + STRIP, end)]
        result = labels[first : min(first + STRIP, end)]
        if encode_pixels(strip, codes) == 0:
            continue
        for i in range(strip.shape[0]):
            result[i] = table[codes[i] >> shift]
