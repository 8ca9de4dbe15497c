"""The codes of a GIF's frame with errors that make them fewer.

Any label that is near enough to a pixel may stand for it, and so may what was there before: so many
strings of the dictionary can go on at each pixel. The longest is written, and of those the one with
the least error, which is passed on to the pixels around (Floyd and Steinberg 1976).

A label may be near to the pixel with the errors that it was passed, or to the pixel alone. Without
the second, a little of an error, where little is allowed, would end nearly all strings: films were
larger by up to 60 % than without errors. It takes 0 to 14 % fewer bytes for the same score.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.lzw import N_CODES
from fastkq.kernels.lzw_frames import MUST_HOLD, NO_HOLD, has_declined
from fastkq.kernels.oklab import LMS_TO_OKLAB, RGB_TO_LMS

# Strings that are followed at a time: twice as many take twice the time.
BEAM = 4
PART = 1 << 13  # pixels that are converted at a time, at least
LEVELS = 255.0  # from black to white
# Shares of an error for the pixels to the right, below left, below and below right.
RIGHT, BELOW_LEFT = np.float32(7 / 16), np.float32(3 / 16)
BELOW, BELOW_RIGHT = np.float32(5 / 16), np.float32(1 / 16)
R_L, G_L, B_L = RGB_TO_LMS[0]
R_M, G_M, B_M = RGB_TO_LMS[1]
R_S, G_S, B_S = RGB_TO_LMS[2]
TO_L, TO_A, TO_B = LMS_TO_OKLAB[0], LMS_TO_OKLAB[1], LMS_TO_OKLAB[2]


@kernel(pieces="pixels", least=PART)
def to_oklab(
    begin,  # of the pixels ...
    end,  # ... and the end of these
    pixels,  # (N, 4) uint8, IN
    light,  # (256,) float64, IN: of each level
    points,  # (N, 3) float32, OUT: in levels of lightness
):
    """Convert colors, whatever their alpha, to Oklab."""
    for i in range(begin, end):
        red, green, blue = light[pixels[i, 0]], light[pixels[i, 1]], light[pixels[i, 2]]
        long = np.cbrt(R_L * red + G_L * green + B_L * blue) * LEVELS
        middle = np.cbrt(R_M * red + G_M * green + B_M * blue) * LEVELS
        short = np.cbrt(R_S * red + G_S * green + B_S * blue) * LEVELS
        points[i, 0] = TO_L[0] * long + TO_L[1] * middle + TO_L[2] * short
        points[i, 1] = TO_A[0] * long + TO_A[1] * middle + TO_A[2] * short
        points[i, 2] = TO_B[0] * long + TO_B[1] * middle + TO_B[2] * short


@kernel(inline=True)
def weigh(
    want0,  # float32: the color that is wanted, with the errors that are passed to it ...
    want1,
    want2,
    alone,  # (3,) float32, IN: ... and without them
    color,  # (3,) float32, IN
    most,  # float32: the largest squared error with them ...
    near,  # float32: ... and without
):
    """Return a color's error, its square, and whether it is near enough."""
    d0, d1, d2 = want0 - color[0], want1 - color[1], want2 - color[2]
    square = d0 * d0 + d1 * d1 + d2 * d2
    e0, e1, e2 = alone[0] - color[0], alone[1] - color[1], alone[2] - color[2]
    return d0, d1, d2, square, square <= most or e0 * e0 + e1 * e1 + e2 * e2 <= near


@kernel()
def keep(
    node,  # int, IN: a string that ends with a label that is near enough
    error,  # float32, IN: its squared error
    error0,  # float32, IN: the error of its last pixel, and the two below
    error1,
    error2,
    then,  # int, IN: which of both lists
    nodes,  # (2, BEAM) int64, INOUT: strings that are followed
    states,  # (2, BEAM, 4) float32, INOUT: the squared error of each, and its last pixel's error
    n_kept,  # int, IN
):
    """Follow a string, in place of the worst where there are many; return how many they are."""
    at = n_kept
    if n_kept == BEAM:
        at, worst = -1, error
        for i in range(BEAM):
            if states[then, i, 0] > worst:
                at, worst = i, states[then, i, 0]
        if at < 0:
            return n_kept
    nodes[then, at] = node
    states[then, at, 0], states[then, at, 1] = error, error0
    states[then, at, 2], states[then, at, 3] = error1, error2
    return max(n_kept, at + 1)


@kernel()
def follow(
    first,  # int, IN: a pixel
    start,  # int, IN: the label to begin with; -1: any
    width,  # int, IN: of the frame
    kinds,  # (N,) uint8, IN
    labels,  # (N,) uint8, IN
    transparent,  # int, IN: its label, or -1
    targets,  # (N, 3) float32, IN
    held,  # (N, 3) float32, IN
    points,  # (K, 3) float32, IN
    allowed,  # (N,) float32, IN
    near,  # (N,) float32, IN
    passed_on,  # float32, IN
    below,  # (2, W + 2, 3) float32, IN: errors from the row above, of even and odd rows
    carried,  # (3,) float32, IN: the error from the pixel before
    children,  # (N_CODES,) int16, IN: the first longer string of each, -1 where there is none
    siblings,  # (N_CODES,) int16, IN: the next one
    symbols,  # (N_CODES,) uint8, IN: its last label
    nodes,  # (2, BEAM) int64, scratch
    states,  # (2, BEAM, 4) float32, scratch
):
    """Return the longest known string of allowed labels, and its length."""
    n_pixels, n_labels = labels.shape[0], points.shape[0]
    now, n_now, length = 0, 0, 0
    last_y = first // width + 1  # no errors were passed any further down
    for pixel in range(first, n_pixels):
        y, kind = pixel // width, kinds[pixel]
        x, row = pixel - y * width, y & 1
        target, own, most, enough = targets[pixel], held[pixel], allowed[pixel], near[pixel]
        want0, want1, want2, share = target[0], target[1], target[2], np.float32(0)
        if kind != MUST_HOLD:  # errors end at what is transparent
            share = passed_on * RIGHT if x > 0 else share
        if kind != MUST_HOLD and y <= last_y:
            want0 += below[row, x + 1, 0]
            want1 += below[row, x + 1, 1]
            want2 += below[row, x + 1, 2]
        then, n_then = 1 - now, np.int64(0)
        if length == 0:
            if share > 0:
                want0, want1, want2 = want0 + carried[0], want1 + carried[1], want2 + carried[2]
            low, high = (0, n_labels) if start < 0 else (start, start + 1)
            # Where none is near enough, for errors of others, the nearest one is taken.
            nearest, least, least0, least1, least2 = low, np.float32(np.inf), want0, want1, want2
            for symbol in range(low, high):
                if (kind == NO_HOLD) if symbol == transparent else (kind == MUST_HOLD):
                    continue
                color = own if symbol == transparent else points[symbol]
                d0, d1, d2, square, is_near = weigh(
                    want0, want1, want2, target, color, most, enough
                )
                if square < least:
                    nearest, least, least0, least1, least2 = symbol, square, d0, d1, d2
                if is_near:
                    n_then = keep(symbol, square, d0, d1, d2, then, nodes, states, n_then)
            if n_then == 0:
                n_then = keep(nearest, least, least0, least1, least2, then, nodes, states, n_then)
        for i in range(n_now):
            go0 = want0 + share * states[now, i, 1]
            go1 = want1 + share * states[now, i, 2]
            go2 = want2 + share * states[now, i, 3]
            node = np.int64(children[nodes[now, i]])
            while node >= 0:
                symbol = np.int64(symbols[node])
                color = own if symbol == transparent else points[symbol]
                d0, d1, d2, square, is_near = weigh(go0, go1, go2, target, color, most, enough)
                is_free = (kind != NO_HOLD) if symbol == transparent else (kind != MUST_HOLD)
                if is_free and is_near:
                    square += states[now, i, 0]
                    n_then = keep(node, square, d0, d1, d2, then, nodes, states, n_then)
                node = np.int64(siblings[node])
        if n_then == 0:
            break
        now, n_now, length = then, n_then, length + 1
    best = 0
    for i in range(1, n_now):
        if states[now, i, 0] < states[now, best, 0]:
            best = i
    return nodes[now, best], length


@kernel()
def show(
    node,  # int, IN: a string
    first,  # int, IN: its first pixel
    length,  # int, IN
    width,  # int, IN
    kinds,  # (N,) uint8, IN
    labels,  # (N,) uint8, OUT: of the string's pixels
    transparent,  # int, IN
    targets,  # (N, 3) float32, IN
    held,  # (N, 3) float32, IN
    points,  # (K, 3) float32, IN
    passed_on,  # float32, IN
    below,  # (2, W + 2, 3) float32, INOUT
    carried,  # (3,) float32, INOUT
    parents,  # (N_CODES,) int16, IN
    symbols,  # (N_CODES,) uint8, IN
):
    """Write the labels of a string, and pass its errors on to the pixels around."""
    string = node
    for back in range(length - 1, -1, -1):
        labels[first + back] = symbols[string]
        string = np.int64(parents[string])
    for pixel in range(first, first + length):
        x, row = pixel % width, (pixel // width) & 1
        symbol = np.int64(labels[pixel])
        for channel in range(3):
            want = targets[pixel, channel] + below[row, x + 1, channel]
            if x > 0:
                want += carried[channel]
            color = held[pixel, channel] if symbol == transparent else points[symbol, channel]
            error = passed_on * (want - color)
            if kinds[pixel] == MUST_HOLD:
                error = np.float32(0)
            carried[channel] = RIGHT * error
            below[row, x + 1, channel] = 0
            below[1 - row, x, channel] += BELOW_LEFT * error
            below[1 - row, x + 1, channel] += BELOW * error
            below[1 - row, x + 2, channel] += BELOW_RIGHT * error
            if x == width - 1:
                below[row, 0, channel] = 0
                below[row, width + 1, channel] = 0


@kernel()
def find_codes(
    labels,  # (N,) uint8, OUT: those that the codes show
    kinds,  # (N,) uint8, IN: whether a pixel may, or must, show what was there before
    width,  # int, IN: of the frame
    transparent,  # int, IN: the label that shows it, or -1
    targets,  # (N, 3) float32, IN: the colors that are wanted
    held,  # (N, 3) float32, IN: what was there before
    points,  # (K, 3) float32, IN: the entries
    allowed,  # (N,) float32, IN: the largest squared error
    near,  # (N,) float32, IN: the same of a color without errors from around, which is allowed too
    passed_on,  # float32, IN: the share of errors that is
    code_bits,  # int, IN: of a label, 2 to 8
    window,  # int, IN: so many codes are compared with those before
    decline,  # float, IN: see `lzw_frames.has_declined`
    tree,  # (3, N_CODES) int16, scratch
    symbols,  # (N_CODES,) uint8, scratch
    nodes,  # (2, BEAM) int64, scratch
    states,  # (2, BEAM, 4) float32, scratch
    carried,  # (3,) float32, INOUT: zeros
    below,  # (2, W + 2, 3) float32, INOUT: zeros
    codes,  # (>= lzw.most_codes(N),) int16, OUT
):
    """Choose the labels of a frame and find their LZW codes; return how many there are."""
    n_pixels, n_roots = labels.shape[0], 1 << code_bits
    children, siblings, parents = tree[0], tree[1], tree[2]
    children[:] = -1
    for symbol in range(n_roots):
        symbols[symbol], parents[symbol] = symbol, -1
    n_known, n_codes, n_window, best_rate = n_roots + 2, 0, 0, 0.0
    pixel, start, node = np.int64(0), np.int64(-1), np.int64(0)
    begins, before, length, n = 0, -1, 0, 0
    while pixel < n_pixels:
        node, length = follow(
            pixel, start, width, kinds, labels, transparent, targets, held, points, allowed,
            near, passed_on, below, carried, children, siblings, symbols, nodes, states,
        )  # fmt: skip
        if start < 0 and before >= 0 and n_known < N_CODES:
            root = node
            while parents[root] >= 0:
                root = np.int64(parents[root])
            symbols[n_known], parents[n_known] = root, before
            siblings[n_known], children[n_known] = children[before], -1
            children[before] = n_known
            n_known += 1
            if root == begins:  # the new string itself may be next
                start = root
                continue
        start = np.int64(-1)
        show(
            node, pixel, length, width, kinds, labels, transparent, targets, held, points,
            passed_on, below, carried, parents, symbols,
        )  # fmt: skip
        codes[n] = node
        begins, before = np.int64(labels[pixel]), node
        n, pixel = n + 1, pixel + length
        n_codes, n_window = n_codes + 1, n_window + length
        if n_known < N_CODES:
            n_codes, n_window = 0, 0
        elif n_codes >= window:
            is_worse, best_rate = has_declined(n_codes, n_window, decline, best_rate)
            n_codes, n_window = 0, 0
            if is_worse and pixel < n_pixels:
                codes[n] = n_roots
                n += 1
                children[:] = -1
                n_known, best_rate, before = n_roots + 2, 0.0, -1
    return n
