"""The codes of a GIF's frame, where a pixel may have one of two labels.

LZW writes a code for the longest string of labels that it has seen before, and remembers that
string with the next label as a new one. A pixel that a frame does not change may have its own label
or the transparent one: so several strings may go on at each pixel, and the longest is written.
`lzw_lossy` is the same with errors, `lzw.pack` writes the codes of both.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.lzw import N_CODES

# Strings that are followed at a time: more find hardly any longer ones.
BEAM = 12
NO_HOLD, MAY_HOLD, MUST_HOLD = 0, 1, 2


@kernel(inline=True)
def has_declined(
    n_codes,  # int, IN: since the last look ...
    n_pixels,  # int, IN: ... and the pixels that they stand for
    decline,  # float, IN: the share of the pixels a code that a full dictionary must keep
    best_rate,  # float, IN: the most pixels a code so far
):
    """Return whether a full dictionary finds much shorter strings, and the new best rate."""
    rate = n_pixels / n_codes
    best_rate = max(best_rate, rate)
    return rate < decline * best_rate, best_rate


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
def find_codes(
    labels,  # (N,) uint8, IN
    kinds,  # (N,) uint8, IN: whether a pixel may, or must, have the transparent label instead
    transparent,  # int, IN: that label; any where no pixel has it
    code_bits,  # int, IN: of a label, 2 to 8
    window,  # int, IN: so many codes are compared with those before; 1 << 30: none is
    decline,  # float, IN: see `has_declined`
    children,  # (N_CODES, 256) int16, scratch
    firsts,  # (N_CODES,) uint8, scratch: the first label of each string
    nodes,  # (2, BEAM) int64, scratch
    codes,  # (>= lzw.most_codes(N),) int16, OUT
):
    """Find the LZW codes of a frame; return how many there are."""
    n_pixels, n_roots = labels.shape[0], 1 << code_bits
    forget(children)
    for symbol in range(n_roots):
        firsts[symbol] = symbol
    n_known, before, pixel, n = n_roots + 2, -1, np.int64(0), 0
    n_codes, n_window, best_rate = 0, 0, 0.0
    while pixel < n_pixels:
        node, length = follow(pixel, np.int64(-1), kinds, labels, transparent, children, nodes)
        if before >= 0 and n_known < N_CODES:
            start = np.int64(firsts[node])
            children[before, start] = n_known
            firsts[n_known] = firsts[before]
            n_known += 1
            if start == np.int64(firsts[before]):  # the new string itself may be next
                node, length = follow(pixel, start, kinds, labels, transparent, children, nodes)
        codes[n] = node
        n, before, pixel = n + 1, node, pixel + length
        n_codes, n_window = n_codes + 1, n_window + length
        if n_known < N_CODES:
            n_codes, n_window = 0, 0
        elif n_codes >= window:
            is_worse, best_rate = has_declined(n_codes, n_window, decline, best_rate)
            n_codes, n_window = 0, 0
            if is_worse and pixel < n_pixels:
                codes[n] = n_roots
                n += 1
                forget(children)
                n_known, best_rate, before = n_roots + 2, 0.0, -1
    return n
