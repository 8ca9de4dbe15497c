"""The codes of a GIF's frame, where a pixel may have one of two labels.

LZW writes a code for the longest string of labels that it has seen before, and remembers that
string with the next label as a new one. A pixel that a frame does not change may have its own label
or the transparent one: so several strings may go on at each pixel, and the longest is written.
`lzw_lossy` is the same with errors.

Welch, A technique for high-performance data compression, 1984, https://doi.org/10.1109/MC.1984.1659158
"""

import numpy as np

from fastkq.kernels.compile import kernel

N_CODES, MAX_BITS = 4096, 12
# Strings that are followed at a time: more find hardly any longer ones.
BEAM = 12
NO_HOLD, MAY_HOLD, MUST_HOLD = 0, 1, 2


@kernel()
def put_code(
    code,  # int, IN
    width,  # int, IN: its bits
    out,  # (M,) uint8, OUT
    place,  # (3,) int64, INOUT: the bytes written, the bits that wait, and how many these are
):
    """Append a code, its low bits first."""
    place[1] |= code << place[2]
    place[2] += width
    while place[2] >= 8:
        out[place[0]] = place[1] & 255
        place[0] += 1
        place[1] >>= 8
        place[2] -= 8


@kernel()
def forget(
    children,  # (N_CODES, 256) int16, OUT
):
    """Clear a dictionary."""
    for node in range(children.shape[0]):
        for symbol in range(children.shape[1]):
            children[node, symbol] = -1


@kernel()
def follow(
    first,  # int, IN: a pixel
    start,  # int, IN: the label to begin with; -1: any
    kinds,  # (N,) uint8, IN
    labels,  # (N,) uint8, IN
    transparent,  # int, IN: its label
    children,  # (N_CODES, 256) int16, IN: the longer string by its last label, or -1
    nodes,  # (2, BEAM) int64, scratch
):
    """Return the longest known string that the pixels from one on may show, and its length."""
    n_pixels = labels.shape[0]
    kind, own = kinds[first], np.int64(labels[first])
    now, n_now, length = 0, 0, 1
    if kind != NO_HOLD and (start < 0 or start == transparent):
        nodes[0, 0] = transparent
        n_now = 1
    if kind != MUST_HOLD and (start < 0 or start == own):
        nodes[0, n_now] = own
        n_now += 1
    for pixel in range(first + 1, n_pixels):
        kind, own = kinds[pixel], np.int64(labels[pixel])
        then, n_then = 1 - now, 0
        for i in range(n_now):
            node = nodes[now, i]
            if kind != NO_HOLD and n_then < BEAM:
                longer = np.int64(children[node, transparent])
                if longer >= 0:
                    nodes[then, n_then] = longer
                    n_then += 1
            if kind != MUST_HOLD and n_then < BEAM:
                longer = np.int64(children[node, own])
                if longer >= 0:
                    nodes[then, n_then] = longer
                    n_then += 1
        if n_then == 0:
            break
        now, n_now = then, n_then
        length += 1
    return nodes[now, 0], length


@kernel()
def encode(
    labels,  # (N,) uint8, IN
    kinds,  # (N,) uint8, IN: whether a pixel may, or must, have the transparent label instead
    transparent,  # int, IN: that label; any where no pixel has it
    code_bits,  # int, IN: of a label, 2 to 8
    window,  # int, IN: so many codes are compared with those before; 1 << 30: none is
    decline,  # float, IN: the share of the pixels a code that a full dictionary must keep
    children,  # (N_CODES, 256) int16, scratch
    firsts,  # (N_CODES,) uint8, scratch: the first label of each string
    nodes,  # (2, BEAM) int64, scratch
    place,  # (3,) int64, scratch
    out,  # (M,) uint8, OUT: the codes, at most 1.5 bytes a pixel and 64 more
):
    """Write the LZW codes of a frame; return their bytes."""
    n_pixels, n_roots = labels.shape[0], 1 << code_bits
    forget(children)
    for symbol in range(n_roots):
        firsts[symbol] = symbol
    place[0], place[1], place[2] = 0, 0, 0
    bits, n_known = code_bits + 1, n_roots + 2
    n_codes, n_window, best_rate = 0, 0, 0.0
    put_code(n_roots, bits, out, place)
    pixel = 0
    node, length = follow(pixel, -1, kinds, labels, transparent, children, nodes)
    while True:
        put_code(node, bits, out, place)
        pixel += length
        n_codes += 1
        n_window += length
        if pixel >= n_pixels:
            break
        before = node
        node, length = follow(pixel, -1, kinds, labels, transparent, children, nodes)
        if n_known == N_CODES:
            if n_codes < window:
                continue
            rate = n_window / n_codes
            n_codes, n_window = 0, 0
            if rate >= decline * best_rate:
                best_rate = max(best_rate, rate)
                continue
            put_code(n_roots, bits, out, place)
            forget(children)
            bits, n_known, best_rate = code_bits + 1, n_roots + 2, 0.0
            node, length = follow(pixel, -1, kinds, labels, transparent, children, nodes)
            continue
        start = np.int64(firsts[node])
        children[before, start] = n_known
        firsts[n_known] = firsts[before]
        n_known += 1
        if start == np.int64(firsts[before]):  # the new string itself may be next
            node, length = follow(pixel, start, kinds, labels, transparent, children, nodes)
        if n_known > 1 << bits and bits < MAX_BITS:
            bits += 1
        if n_known == N_CODES:
            n_codes, n_window = 0, 0
    # The decoder knows one more string by now, and may read wider codes.
    if n_known == 1 << bits and bits < MAX_BITS:
        bits += 1
    put_code(n_roots + 1, bits, out, place)
    if place[2] > 0:
        out[place[0]] = place[1] & 255
        place[0] += 1
    return place[0]
