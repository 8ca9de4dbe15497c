"""Kernels that count the distinct colors of 8-bit RGB pixels, grouped by cell.

Method: one pass over the pixels increments 8-bit counters in a table indexed by the color's Morton
code (the bits of the channels interleaved), one table a slab of pixels; then the tables are added
up, cell by cell. Morton order keeps similar colors in one cache line (64 bytes are a cube of 4x4x4
colors), and 8-bit counters keep the touched part of the table near the core: 25 ms for 24 MP on 2
threads, where a counting sort of the pixels by cell took 92 ms.
"""

import numpy as np

from fastkq.kernels.codes import STRIP, encode_pixels, keep_opaque
from fastkq.kernels.compile import kernel, prange

CELL_BITS = 9  # a cell is 8x8x8 colors: the low 3 bits of each channel
CELL_SIZE = 1 << CELL_BITS
N_CODES = 1 << 24
N_CELLS = N_CODES >> CELL_BITS
LEAST_CELLS = 64  # that a thread is asked for: 40 microseconds
N_PARTS = 8  # of the carries
PARTS = np.uint32(N_PARTS)
COUNTER_MAX = 255
ONE, ONE64 = np.uint8(1), np.uint64(1)
CELL_SHIFT = np.uint32(CELL_BITS)


@kernel(parallel=True, pieces="tables")
def count_colors(
    begin,  # of the tables, of which each counts one of as many stretches of the pixels ...
    end,  # ... and the end of these
    pixels,  # (N, 3) uint8, IN; or (N, 4), of which only the opaque ones are counted
    tables,  # (n_slabs, N_CODES) uint8, INOUT: zero, or counters of the blocks before
    occupied,  # (n_slabs, N_CELLS) uint8, INOUT: zero before; one for each cell with colors after
    carries,  # (n_slabs, >= N_slab / COUNTER_MAX) uint32, INOUT: a code for each full counter
    n_carries,  # (n_slabs,) int64, INOUT: how many codes `carries` holds
):
    """Count the pixels of each color, in a table for every slab of pixels."""
    n_pixels = pixels.shape[0]
    n_slabs = tables.shape[0]
    for slab in prange(begin, end):
        start, stop = n_pixels * slab // n_slabs, n_pixels * (slab + 1) // n_slabs
        table, cells, full = tables[slab], occupied[slab], carries[slab]
        codes = np.empty(STRIP, np.uint32)
        n_full = np.uint64(n_carries[slab])
        for first in range(start, stop, STRIP):
            strip = pixels[first : min(first + STRIP, stop)]
            size = np.uint64(encode_pixels(strip, codes))
            if 0 < size < strip.shape[0]:
                keep_opaque(strip, codes)
            # No function for what follows: each call of one would count references to its arrays,
            # four a pixel, and take 160 ms instead of 30 for 24 MP.
            for i in range(size):
                code = codes[i]
                count = np.uint8((np.uint32(table[code]) + 1) & COUNTER_MAX)
                if count <= ONE:  # one in 40 pixels of a photo: all else about a color is done here
                    if count == 0:
                        full[n_full] = code
                        n_full += ONE64
                        count = ONE  # a counter at zero means "no such color"
                    else:
                        cells[code >> CELL_SHIFT] = 1
                table[code] = count
        n_carries[slab] = n_full


@kernel()
def add_weights(
    pixels,  # (N, 3) uint8, IN
    weights,  # (N,) int64, IN
    totals,  # (N_CODES,) int64, INOUT: by color
):
    """Add the weight of each pixel to that of its color.

    On one thread: a table for each would be 128 MB more.
    """
    codes = np.empty(STRIP, np.uint32)
    for first in range(0, pixels.shape[0], STRIP):
        strip, own = pixels[first : first + STRIP], weights[first : first + STRIP]
        encode_pixels(strip, codes)
        for i in range(strip.shape[0]):
            totals[codes[i]] += own[i]


@kernel(parallel=True, pieces="cells", least=LEAST_CELLS)
def count_distinct(
    begin,  # of the cells with colors ...
    end,  # ... and the end of these
    tables,  # (n_slabs, N_CODES) uint8, IN
    cells,  # (n_cells,) int64, IN: those with colors
    n_distinct,  # (n_cells,) int64, OUT
):
    """Count the distinct colors of each cell."""
    n_slabs = tables.shape[0]
    for run in prange((end - begin + LEAST_CELLS - 1) // LEAST_CELLS):
        low_cell = begin + run * LEAST_CELLS
        seen = np.empty(CELL_SIZE, np.uint8)
        for i in range(low_cell, min(low_cell + LEAST_CELLS, end)):
            first = cells[i] * CELL_SIZE
            # Through slices: an index that might be negative would keep a loop from vectors.
            counters = tables[0, first : first + CELL_SIZE]
            for low in range(CELL_SIZE):
                seen[low] = counters[low] != 0
            for slab in range(1, n_slabs):
                counters = tables[slab, first : first + CELL_SIZE]
                for low in range(CELL_SIZE):
                    seen[low] |= counters[low] != 0
            n_colors = np.uint16(0)
            for low in range(CELL_SIZE):
                n_colors += np.uint16(seen[low])
            n_distinct[i] = n_colors


@kernel(parallel=True, pieces="cells", least=LEAST_CELLS)
def gather_colors(
    begin,  # of the cells with colors ...
    end,  # ... and the end of these
    tables,  # (n_slabs, N_CODES) uint8, INOUT: zero after, for the next image
    words,  # (n_slabs, N_CODES / 8) uint64, INOUT: the same memory
    cells,  # (n_cells,) int64, IN: those with colors
    starts,  # (n_cells + 1,) int64, IN: where each cell's colors start
    codes,  # (U,) uint32, OUT: ascending
    counts,  # (U,) int64, OUT: without the carries
):
    """List the distinct colors and the sums of their counters."""
    n_slabs = tables.shape[0]
    n_words = CELL_SIZE // 8
    for run in prange((end - begin + LEAST_CELLS - 1) // LEAST_CELLS):
        low_cell = begin + run * LEAST_CELLS
        sums = np.empty(CELL_SIZE, np.uint32)
        any_color = np.empty(n_words, np.uint64)
        used = np.empty(CELL_SIZE + 1, np.uint32)
        for cell in range(low_cell, min(low_cell + LEAST_CELLS, end)):
            first = cells[cell] * CELL_SIZE
            for low in range(CELL_SIZE):
                sums[low] = 0
            for word in range(n_words):
                any_color[word] = 0
            for slab in range(n_slabs):
                counters = tables[slab, first : first + CELL_SIZE]
                for low in range(CELL_SIZE):
                    sums[low] += counters[low]
                eights = words[slab, first // 8 : first // 8 + n_words]
                for word in range(n_words):
                    any_color[word] |= eights[word]
                    eights[word] = 0
            n_used = np.uint64(0)
            for word in range(n_words):
                if any_color[word] == 0:  # eight at a time: most cells have few of their colors
                    continue
                for low in range(8 * word, 8 * word + 8):  # no branch: it would be mispredicted
                    used[n_used] = low
                    n_used += np.uint64(sums[low] != 0)
            own_codes = codes[starts[cell] : starts[cell + 1]]
            own_counts = counts[starts[cell] : starts[cell + 1]]
            for i in range(own_codes.shape[0]):
                own_codes[i] = first + used[i]
                own_counts[i] = sums[used[i]]


@kernel(parallel=True, pieces=N_PARTS)
def add_carries(
    begin,  # of the parts ...
    end,  # ... and the end of these
    codes,  # (U,) uint32, IN: ascending
    ranks,  # (N_CELLS,) int64, IN: each occupied cell's place among those
    starts,  # (n_cells + 1,) int64, IN: where each occupied cell's codes start
    carries,  # (n_slabs, n) uint32, IN
    n_carries,  # (n_slabs,) int64, IN
    counts,  # (U,) int64, INOUT
):
    """Add COUNTER_MAX pixels for each carry to its color."""
    for part in prange(begin, end):
        for slab in range(carries.shape[0]):
            own = carries[slab, : n_carries[slab]]
            for i in range(own.shape[0]):
                code = own[i]
                cell = code >> CELL_SHIFT
                # Neighbours among the cells go to different parts: carries come in clusters.
                if cell % PARTS != part:
                    continue
                rank = np.uint64(ranks[cell])
                low, high = np.uint64(starts[rank]), np.uint64(starts[rank + np.uint64(1)])
                while high - low > 1:
                    middle = (low + high) >> np.uint64(1)
                    above = codes[middle] > code
                    high = middle if above else high
                    low = low if above else middle
                counts[low] += COUNTER_MAX


@kernel()
def decode_colors(
    codes,  # (U,) uint32, IN
    colors,  # (3, >= U) float32, OUT
):
    """Turn Morton codes into channels, as `fastkq.histogram.decode_colors` in 20 times the time."""
    n_colors = codes.shape[0]
    for channel in range(3):
        for i in range(n_colors):
            bits = (codes[i] >> np.uint32(2 - channel)) & np.uint32(0o11111111)
            bits = (bits | bits >> np.uint32(2)) & np.uint32(0o03030303)
            bits = (bits | bits >> np.uint32(4)) & np.uint32(0o00170017)
            colors[channel, i] = (bits | bits >> np.uint32(8)) & np.uint32(0o377)
