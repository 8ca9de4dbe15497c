"""Kernels that unite the translucent colors, or cells of such, of several parts of an image.

A part has a key and a row of sums for each of its colors or cells (`translucent`); parts become one
by sorting the keys and adding up the rows of equal ones.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.translucent import N_SUMS, raise_row

RADIX, DIGIT = 256, np.uint64(255)  # keys are sorted by their bytes


@kernel()
def coarsen_rows(
    keys,  # (T,) uint32, INOUT: of colors where the level is EXACT, or of cells
    sums,  # (T, N_SUMS) int64, INOUT: from the low corners of the cells
    level,
):
    """Put colors or cells into cells a level larger, of which several may be the same."""
    for i in range(keys.shape[0]):
        keys[i] = raise_row(keys[i], level, sums[i])


@kernel(inline=True)
def sort_keys(
    keys,  # (T,) uint32, IN
    packed,  # (T,) uint64, OUT: the keys, ascending, and in the low half their places before
    spare,  # (T,) uint64, OUT: scratch
):
    """Sort keys by their bytes, the lowest first (Knuth, TAOCP 3, 5.2.5).

    A fifth of the time of np.sort, which has no vectors for these on some processors.
    """
    ends = np.empty(RADIX, np.uint64)
    for i in range(np.uint64(keys.shape[0])):
        packed[i] = (np.uint64(keys[i]) << np.uint64(32)) | i
    for shift in range(np.uint64(32), np.uint64(64), np.uint64(8)):
        for digit in range(RADIX):
            ends[digit] = 0
        for i in range(np.uint64(keys.shape[0])):
            ends[(packed[i] >> shift) & DIGIT] += np.uint64(1)
        start = np.uint64(0)
        for digit in range(RADIX):
            start, ends[digit] = start + ends[digit], start
        for i in range(np.uint64(keys.shape[0])):
            digit = (packed[i] >> shift) & DIGIT
            spare[ends[digit]] = packed[i]
            ends[digit] += np.uint64(1)
        packed, spare = spare, packed  # four times: the last one is back in its place


@kernel()
def unite_rows(
    keys,  # (T,) uint32, IN
    sums,  # (T, N_SUMS) int64, IN
    united_keys,  # (T,) uint32, OUT: ascending, each once
    united,  # (T, N_SUMS) int64, OUT
):
    """Add up the rows of equal keys; return how many are left."""
    n_keys = np.uint64(keys.shape[0])
    packed, spare = np.empty(n_keys, np.uint64), np.empty(n_keys, np.uint64)
    sort_keys(keys, packed, spare)
    n_kept = np.uint64(0)
    for i in range(n_keys):
        key = np.uint32(packed[i] >> np.uint64(32))
        row = packed[i] & np.uint64(0xFFFFFFFF)
        if n_kept > 0 and key == united_keys[n_kept - np.uint64(1)]:
            for column in range(N_SUMS):
                united[n_kept - np.uint64(1), column] += sums[row, column]
        else:
            united_keys[n_kept] = key
            for column in range(N_SUMS):
                united[n_kept, column] = sums[row, column]
            n_kept += np.uint64(1)
    return n_kept
