"""Candidates: which centers can be nearest in a box of colors, and which of them is, for a color.

Method: the filtering algorithm of Kanungo et al. (2002, doi:10.1109/TPAMI.2002.1017616) on a grid.
Of all centers, a box of colors needs only the candidates that can win somewhere in it; the
candidates of a box are filtered from those of its parent box. A center is dropped only where it
loses by more than rounding could hide, and distances are computed by the expression of the dense
kernels, so that even ties fall alike.

Inner loops run over whole LANES, padded where need be: such a count compiles to vectors without a
remainder, and lists of candidates and cells are short (a step over 616,000 colors and 256 centers
took twice as long with loops over their true lengths).

All functions here are inlined into the kernels of `cells`, `cubes` and `nearest`.
"""

import numpy as np

from fastkq.kernels.compile import kernel

LANES = 16
# Indices that cannot be negative: a signed one that the compiler cannot bound turns loads into
# gathers, for Python's a[-1] (a step took 2.9 ms instead of 1.1).
N_LANES = np.uint64(LANES)
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)
GROUP = np.uint64(4)  # candidates that a color is compared with at a time, in registers
INDEX_BITS = np.int32(255)
# Lists of candidates: all centers, then those of a root box, of a parent box, of a cell.
N_LEVELS, LEVELS = 4, np.uint64(4)
ROOT, PARENT, CELL = ONE, TWO, THREE
# Where the padding of a list of centers lies: never nearest, and its square is a finite float32.
FAR = np.float32(1e18)
# A dropped center must lose by this share of the distances involved. float32 distances err by less
# than 3e-7 of their value, and two are compared, each up to 2 (d + diagonal) of the box: 1.2e-6.
SLACK = np.float32(4e-6)


@kernel(inline=True)
def start_lists(
    centers,  # (3, W) float32, IN
    center_names,  # (W,) int32, IN
    n_centers,  # uint64: without the padding
    lists,  # (N_LEVELS, 3, > W) float32, OUT
    names,  # (N_LEVELS, > W) int32, OUT
    lengths,  # (N_LEVELS,) uint64, OUT
):
    """Make all centers the list above the root boxes."""
    for j in range(center_names.shape[0]):
        lists[0, 0, j], lists[0, 1, j], lists[0, 2, j] = centers[0, j], centers[1, j], centers[2, j]
        names[0, j] = center_names[j]
    lengths[0] = n_centers


@kernel(inline=True)
def filter_candidates(
    boxes,  # (B, 6) float32, IN: low and high corners
    box,  # which; a row of its own would be counted as a reference, and that costs as much as a box
    level,  # uint64: of the box, 1 or more
    n,  # uint64: how many centers the list of the level above has, without its padding
    lists,  # (>= level + 1, 3, >= W + LANES) float32, INOUT: centers, padded with FAR
    names,  # (>= level + 1, >= W + LANES) int32, INOUT: their indices
    scores,  # (W,) float32, OUT: scratch
    score_bits,  # (W,) int32: the same memory
):
    """List the centers of the level above that can be nearest somewhere in a box; return how many.

    The list of the box's own level is what it writes, padded to whole LANES.
    """
    above = level - ONE
    low0, low1, low2 = boxes[box, 0], boxes[box, 1], boxes[box, 2]
    high0, high1, high2 = boxes[box, 3], boxes[box, 4], boxes[box, 5]
    half = np.float32(0.5)
    mid0, mid1, mid2 = (low0 + high0) * half, (low1 + high1) * half, (low2 + high2) * half
    diagonal = (high0 - low0) ** 2 + (high1 - low1) ** 2 + (high2 - low2) ** 2
    n_padded = (n + (N_LANES - ONE)) & ~(N_LANES - ONE)
    for j in range(n_padded):
        d0, d1, d2 = lists[above, 0, j] - mid0, lists[above, 1, j] - mid1, lists[above, 2, j] - mid2
        scores[j] = d0 * d0 + d1 * d1 + d2 * d2
    # The nearest to the middle, nearly: positive floats are ordered as their bits are, and with the
    # index in the low bits the search is one minimum. Any center may play this part.
    key = np.int32(0x7FFFFFFF)
    for j in range(n_padded):
        key = min(key, np.int32((score_bits[j] & ~INDEX_BITS) | np.int32(j)))
    best = np.uint64(key & INDEX_BITS)
    best0, best1, best2 = lists[above, 0, best], lists[above, 1, best], lists[above, 2, best]
    for j in range(n_padded):
        c0, c1, c2 = lists[above, 0, j], lists[above, 1, j], lists[above, 2, j]
        # The corner of the box that favours j most over the best.
        v0 = high0 if c0 > best0 else low0
        v1 = high1 if c1 > best1 else low1
        v2 = high2 if c2 > best2 else low2
        own = (c0 - v0) ** 2 + (c1 - v1) ** 2 + (c2 - v2) ** 2
        rival = (best0 - v0) ** 2 + (best1 - v1) ** 2 + (best2 - v2) ** 2
        scores[j] = own - rival - SLACK * (own + diagonal)
    n_kept = np.uint64(0)
    for j in range(n):  # without a branch, which would be mispredicted
        lists[level, 0, n_kept] = lists[above, 0, j]
        lists[level, 1, n_kept] = lists[above, 1, j]
        lists[level, 2, n_kept] = lists[above, 2, j]
        names[level, n_kept] = names[above, j]
        n_kept += np.uint64(scores[j] <= 0)
    for lane in range(N_LANES):
        lists[level, 0, n_kept + lane] = FAR
        lists[level, 1, n_kept + lane] = FAR
        lists[level, 2, n_kept + lane] = FAR
    return n_kept


@kernel(inline=True)
def find_nearest(
    colors,  # (3, >= first + LANES) float32, IN
    first,  # uint64: of LANES colors ...
    size,  # int32: ... of which so many count
    lists,  # (N_LEVELS, 3, W) float32, IN: the cell's candidates, padded with FAR to whole GROUPs
    names,  # (N_LEVELS, W) int32, IN: theirs, ascending
    n,  # uint64: how many candidates
    labels,  # (>= first + LANES,) uint8, IN
    least,  # (LANES,) float32, OUT: scratch
    nearest,  # (LANES,) int32, OUT: the nearest candidate's name, ties to the lowest
):
    """Compare LANES colors with the candidates; return the bits of those that change sides."""
    changed = np.int32(0)
    for a in range(np.uint64(0), n, GROUP):
        b, c, d = a + ONE, a + TWO, a + THREE
        a0, a1, a2 = lists[CELL, 0, a], lists[CELL, 1, a], lists[CELL, 2, a]
        b0, b1, b2 = lists[CELL, 0, b], lists[CELL, 1, b], lists[CELL, 2, b]
        c0, c1, c2 = lists[CELL, 0, c], lists[CELL, 1, c], lists[CELL, 2, c]
        d0, d1, d2 = lists[CELL, 0, d], lists[CELL, 1, d], lists[CELL, 2, d]
        a_name, b_name, c_name, d_name = (
            names[CELL, a],
            names[CELL, b],
            names[CELL, c],
            names[CELL, d],
        )
        changed = np.int32(0)
        for lane in range(N_LANES):
            i = first + lane
            x0, x1, x2 = colors[0, i], colors[1, i], colors[2, i]
            distance = np.float32(np.inf) if a == 0 else least[lane]
            name = nearest[lane]
            other = (x0 - a0) ** 2 + (x1 - a1) ** 2 + (x2 - a2) ** 2
            name = a_name if other < distance else name
            distance = other if other < distance else distance
            other = (x0 - b0) ** 2 + (x1 - b1) ** 2 + (x2 - b2) ** 2
            name = b_name if other < distance else name
            distance = other if other < distance else distance
            other = (x0 - c0) ** 2 + (x1 - c1) ** 2 + (x2 - c2) ** 2
            name = c_name if other < distance else name
            distance = other if other < distance else distance
            other = (x0 - d0) ** 2 + (x1 - d1) ** 2 + (x2 - d2) ** 2
            name = d_name if other < distance else name
            distance = other if other < distance else distance
            least[lane] = distance
            nearest[lane] = name
            changes = (name != np.int32(labels[i])) & (np.int32(lane) < size)
            bit = np.int32(np.int32(1) << np.int32(lane))
            changed = np.int32(changed | (bit if changes else np.int32(0)))
    return changed
