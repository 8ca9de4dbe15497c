"""Few colors: which of them mix to a color, how much of each, and which colors none do."""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.nearest import LABEL_BITS, nearest_of_all
from fastkq.kernels.steps import OPAQUE

ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
# After so many rounds, mixtures of seven inks are 0.05 % of the way from black to white away from
# their colors on the mean; after 8, 0.5 %.
ROUNDS = 16
NEAR = np.float32(0.01)  # the squared distance, in steps, that is none
INFINITE = np.float32(np.inf)
TRANSPARENT = np.uint8(0)
# The errors that a pattern of two entries passes on once it has settled, as a share of the way from
# their mean to their middle, measured for shares of the second from 0.0003 to a half.
MOST_PASSED, LESS_PASSED, LEAST_PASSED = np.float32(0.92), np.float32(0.8), np.float32(0.5)
PASSED_NOISE = np.float32(0.3)
GOLDEN = np.uint64(2654435769)  # 2^32 times the golden ratio: its multiples lie evenly
NOISE_SHIFT, NOISE_BITS, NOISE_UNIT = np.uint64(8), np.uint64(0xFFFFFF), np.float32(1 / (1 << 24))


@kernel()
def mix_entries(
    color,  # (4,) float32, IN: in steps
    label,  # the entry to begin with
    points,  # (4, K) float32, IN: the palette, in steps
    members,  # (n,) uint8, IN: the entries that may be taken
    mean,  # (4,) float32, OUT: of the mixture
    shares,  # (K,) float32, OUT: of each entry; they add up to 1
):
    """Find a mixture of entries whose mean is near to a color.

    Method: pairwise Frank and Wolfe (Lacoste-Julien and Jaggi 2015, arXiv:1511.05932). A share
    moves from the entry of the mixture that lies farthest on the wrong side to the one that brings
    the mean nearer to the color by the most, for the length of the way: so mixtures are of entries
    close to each other, and gray is one of black and white where these are the only grays.
    """
    for entry in range(shares.shape[0]):
        shares[entry] = ZERO
    shares[label] = ONE
    for channel in range(4):
        mean[channel] = points[channel, label]
    for _ in range(ROUNDS):
        r0, r1 = color[0] - mean[0], color[1] - mean[1]
        r2, r3 = color[2] - mean[2], color[3] - mean[3]
        if r0 * r0 + r1 * r1 + r2 * r2 + r3 * r3 <= NEAR:
            break
        worst, least = 0, INFINITE
        for i in range(members.shape[0]):
            entry = members[i]
            if shares[entry] > ZERO:
                along = r0 * points[0, entry] + r1 * points[1, entry]
                along += r2 * points[2, entry] + r3 * points[3, entry]
                if along < least:
                    worst, least = entry, along
        best, best_part, best_score = -1, ZERO, ZERO
        for i in range(members.shape[0]):
            entry = members[i]
            d0, d1 = points[0, entry] - points[0, worst], points[1, entry] - points[1, worst]
            d2, d3 = points[2, entry] - points[2, worst], points[3, entry] - points[3, worst]
            along = r0 * d0 + r1 * d1 + r2 * d2 + r3 * d3
            if along <= ZERO:
                continue
            length = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3
            part = min(along / length, shares[worst])
            gain = part * (TWO * along - part * length)
            score = gain * gain / length
            if score > best_score:
                best, best_part, best_score = entry, part, score
        if best < 0:
            break
        shares[worst] -= best_part
        shares[best] += best_part
        for channel in range(4):
            mean[channel] += best_part * (points[channel, best] - points[channel, worst])


@kernel()
def find_nearest_row(
    values,  # (4, W) float32, IN: the colors of a row, in steps
    alphas,  # (W,) uint8, IN
    has_opaque,  # whether opaque pixels are restricted to opaque entries
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    nearest,  # (W,) uint8, OUT
):
    """Find the nearest entry of each pixel of a row."""
    for x in range(values.shape[1]):
        is_opaque = has_opaque and alphas[x] == OPAQUE
        first = 0 if is_opaque else n_own
        stop = n_own if is_opaque else entries.shape[0]
        u0, u1, u2, u3 = values[0, x], values[1, x], values[2, x], values[3, x]
        key = nearest_of_all(u0, u1, u2, u3, first, stop, entries, numbers)
        nearest[x] = key & LABEL_BITS


@kernel()
def reach_row(
    is_first,  # whether errors are to be guessed
    alphas,  # (W,) uint8, IN
    has_opaque,  # whether opaque pixels are restricted to opaque entries
    points,  # (4, K) float32, IN: the palette, in steps
    members,  # (2, K) uint8, IN: the entries for opaque pixels, and for others
    n_members,  # (2,) int64, IN
    nearest,  # (W,) uint8, IN: an entry to begin each mixture with
    values,  # (4, W) float32, INOUT: the colors of a row, in steps
    errors,  # (4, W + 2) float32, OUT, if they are guessed
):
    """Move colors that no mixture reaches to the nearest one that does; guess the row's errors.

    Errors of the others would add up without an end: black and white would lose the luminance of
    red in a vain attempt to be red.

    A strip begins with errors as a settled pattern passes them on: a dark patch has to be walked
    through for long before its errors add up to a light dot, gray 10 of 255, between black and
    white, for 130 rows. All strips would lack dots.
    """
    width = values.shape[1]
    color, mean = np.empty(4, np.float32), np.empty(4, np.float32)
    shares = np.empty(points.shape[1], np.float32)
    if is_first:
        for channel in range(4):
            for x in range(width + 2):
                errors[channel, x] = ZERO
    for x in range(width):
        if alphas[x] == TRANSPARENT:
            continue
        kind = 0 if has_opaque and alphas[x] == OPAQUE else 1
        own = members[kind, : n_members[kind]]
        for channel in range(4):
            color[channel] = values[channel, x]
        mix_entries(color, nearest[x], points, own, mean, shares)
        for channel in range(4):
            values[channel, x] = mean[channel]
        if not is_first:
            continue
        n_mixed, most = 0, ZERO
        for i in range(own.shape[0]):
            n_mixed += shares[own[i]] > ZERO
            most = max(most, shares[own[i]])
        noise = np.float32((np.uint64(x) * GOLDEN >> NOISE_SHIFT) & NOISE_BITS) * NOISE_UNIT
        passed = max(MOST_PASSED - LESS_PASSED * np.sqrt(max(ONE - most, ZERO)), LEAST_PASSED)
        passed += PASSED_NOISE * (noise + noise - ONE)
        for channel in range(4):
            middle = ZERO
            for i in range(own.shape[0]):
                if shares[own[i]] > ZERO:
                    middle += points[channel, own[i]]
            errors[channel, x + 1] = passed * (middle / np.float32(n_mixed) - mean[channel])
