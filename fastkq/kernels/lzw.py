"""LZW as GIF has it: an image as codes of phrases that stood before (Welch 1984).

A phrase that is written becomes, with the label behind it, the next code. Codes are as wide as the
number of them asks for, up to 12 bits; when there is no number left, the table is cleared. The
longest phrase is always taken, so what is written is a function of the labels alone, which those
who choose labels by their bits (`lossy_gif`) can follow. The frames of animations find codes of
their own (`lzw_frames`, `lzw_lossy`); all are written by `pack`.

Welch, A technique for high-performance data compression, 1984, https://doi.org/10.1109/MC.1984.1659158
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.dither import STRIP_ROWS

N_CODES = 4096
MAX_WIDTH = 12
# Phrases are found by open addressing, with a multiplicative hash (Knuth 1973).
N_SLOTS, HASH_SHIFT = 8192, np.uint64(19)
HASH_FACTOR, HASH_BITS = np.uint64(2654435769), np.uint64(0xFFFFFFFF)
SLOT_BITS, ONE = np.uint64(N_SLOTS - 1), np.uint64(1)
BYTE, BYTE_BITS = np.uint64(255), np.uint64(8)
# `lossy_gif` cuts an image into strips of so many pixels at least, each with a table of its own.
# A table lives for 4 to 40 thousand pixels, so what a strip loses is small.
STRIP_PIXELS = 1 << 17
NO_NODE = -1
LEAST_PHRASES = N_CODES - (1 << 8) - 3  # that a table knows before it is cleared


def rows_of_strip(width: int) -> int:
    """Return how many rows an image's strips have."""
    return int(STRIP_ROWS) * -(-STRIP_PIXELS // (width * int(STRIP_ROWS)))


def root_bits(n_colors: int) -> int:
    """Return how many bits the labels of a palette take, at least 2."""
    return max(2, (n_colors - 1).bit_length())


def most_codes(n_pixels: int, n_strips: int = 1) -> int:
    """Return how many codes so many pixels take at most, each a phrase, with those that clear."""
    return n_pixels + n_pixels // LEAST_PHRASES + n_strips


def packed_size(n_codes: int) -> int:
    """Return how many bytes so many codes take at most."""
    return (int(MAX_WIDTH) * (n_codes + 2) + 7) // 8


@kernel(inline=True)
def put(
    code,
    width,  # of the code, in bits
    bits,  # uint64: those that are not written yet ...
    n_bits,  # uint64: ... and their number
    place,  # in `stream`
    stream,  # uint8, OUT
):
    """Write a code; return the bits that are left, their number, and the next place."""
    bits |= np.uint64(code) << n_bits
    n_bits += np.uint64(width)
    while n_bits >= BYTE_BITS:
        stream[place] = bits & BYTE
        place += 1
        bits >>= BYTE_BITS
        n_bits -= BYTE_BITS
    return bits, n_bits, place


@kernel()
def pack(
    codes,  # (n,) int16, IN: of phrases, and of clearing the table
    root_bits,  # of a label: codes below its power of two are labels, then follow clear and end
    stream,  # (>= packed_size(n),) uint8, OUT
):
    """Write codes from the lowest bit on, between clear and end; return how many bytes they take.

    How wide a code is follows from the number of codes since the table was cleared: with each of
    them, the reader knows one phrase more.
    """
    clear = 1 << root_bits
    width, last = root_bits + 1, clear + 1
    bits, n_bits, place = put(clear, width, np.uint64(0), np.uint64(0), 0, stream)
    for i in range(codes.shape[0]):
        code = np.int64(codes[i])
        bits, n_bits, place = put(code, width, bits, n_bits, place, stream)
        last += 1
        if code == clear:
            width, last = root_bits + 1, clear + 1
        elif last == 1 << width and width < MAX_WIDTH:
            width += 1
    bits, n_bits, place = put(clear + 1, width, bits, n_bits, place, stream)
    stream[place] = bits
    return place + 1 if n_bits > 0 else place


@kernel()
def find_codes(
    labels,  # (H, W) uint8, IN
    root_bits,  # see `pack`
    strip_rows,  # the table is cleared after so many rows as well
    keys,  # (N_SLOTS,) int32, OUT: a phrase's code, and the label behind it; or -1
    phrases,  # (N_SLOTS,) int16, OUT: the code of both
    codes,  # (>= most_codes(H * W, n_strips),) int16, OUT
):
    """Find the codes of an image, the longest phrases that stood before; return how many."""
    clear = 1 << root_bits
    keys[:] = -1
    last, n = clear + 1, 0
    for first in range(0, labels.shape[0], strip_rows):
        stop = min(first + strip_rows, labels.shape[0])
        phrase = -1
        for y in range(first, stop):
            for x in range(np.uint64(labels.shape[1])):
                label = np.int64(labels[y, x])
                if phrase < 0:
                    phrase = label
                    continue
                key = np.int32((phrase << 8) | label)
                slot = ((np.uint64(key) * HASH_FACTOR) & HASH_BITS) >> HASH_SHIFT
                while keys[slot] >= 0 and keys[slot] != key:
                    slot = (slot + ONE) & SLOT_BITS
                if keys[slot] == key:
                    phrase = np.int64(phrases[slot])
                    continue
                codes[n] = phrase
                n += 1
                last += 1
                keys[slot], phrases[slot] = key, last
                phrase = label
                if last == N_CODES - 1:
                    codes[n] = clear
                    n += 1
                    keys[:] = -1
                    last = clear + 1
        codes[n] = phrase
        n += 1
        if stop < labels.shape[0]:
            codes[n] = clear
            n += 1
            keys[:] = -1
            last = clear + 1
    return n


@kernel()
def clear_tree(
    root_bits,  # of a label: the nodes below its power of two are phrases of one label
    first,  # (N_CODES,) int16, OUT: of each phrase, the last one that is longer by a label
    labels,  # (N_CODES,) uint8, OUT: the last label of each phrase
):
    """Begin a tree of phrases; return the last code and the width of codes, in bits."""
    for root in range(1 << root_bits):
        first[root], labels[root] = NO_NODE, root
    return (1 << root_bits) + 1, root_bits + 1


@kernel(inline=True)
def grow(
    label,
    node,  # the phrase that is being written, or NO_NODE
    last,  # the last code
    width,  # of codes, in bits
    root_bits,
    first,  # (N_CODES,) int16, INOUT: see `clear_tree`
    sibling,  # (N_CODES,) int16, INOUT: the phrase before, that is as long and differs in one label
    labels,  # (N_CODES,) uint8, INOUT
):
    """Let a tree grow by a label as `find_codes` does; return the new `node`, `last`, `width`."""
    child = np.int64(first[node]) if node >= 0 else NO_NODE
    while child >= 0 and labels[child] != label:
        child = np.int64(sibling[child])
    if child < 0 and node >= 0:
        last += 1
        first[last], sibling[last], labels[last] = NO_NODE, first[node], label
        first[node] = last
        if last == N_CODES - 1:
            last, width = clear_tree(root_bits, first, labels)
        elif last == 1 << width:
            width += 1
    return (child if child >= 0 else np.int64(label)), last, width
