"""The cheapest way through a row: labels of its own, and copies of what stands before or above.

A dynamic program (Viterbi 1967): of each way to label a pixel, the least cost of all that ends in
it, and the errors that it passes on.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.nearest import LABEL_BITS, nearest_in_group, nearest_of_all, search_further
from fastkq.kernels.steps import ZERO

# The ways to label a pixel: copies from the two rows above, whose pixels are kept in turn, a color
# and the one above it or below; its nearest entry; or the label of the pixel before, again. Copies
# begin up to REACH pixels to the left or one less to the right: 16 of them are one vector.
REACH, N_ABOVE = 4, 2
N_COPIES = 2 * REACH * N_ABOVE
OWN, AGAIN, N_WAYS = N_COPIES, N_COPIES + 1, N_COPIES + 2
# The last bits of a cost, in place of which a way's number stands while the least is looked for.
WAY_BITS = np.int32(31)
COST_BITS = np.int32(~31)
# Chroma counts half in an error: the eye sees less of it, and bytes fell by 2 %.
CHROMA_WEIGHT = np.float32(0.5)
# The cost of what is not allowed, and the color of what stands outside of an image.
FORBIDDEN, FAR = np.float32(1e12), np.float32(1e6)
OPAQUE_KIND, TRANSLUCENT_KIND, TRANSPARENT_KIND = 0, 1, 2
# Indices without a sign, which need no look at whether they count from the end.
ZEROTH, ONE, TWO, THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
COPIES = np.uint64(N_COPIES)
OWN_WAY, AGAIN_WAY = np.uint64(OWN), np.uint64(AGAIN)
LABEL, BEFORE = ZEROTH, ONE  # what is kept of each way at each pixel


@kernel(inline=True)
def weigh_error(
    e0,  # float32: the error of a color, in steps
    e1,
    e2,
    e3,
):
    """Return how much an error counts."""
    return e0 * e0 + CHROMA_WEIGHT * (e1 * e1 + e2 * e2) + e3 * e3


@kernel(inline=True)
def key_of(
    cost,  # float32, from 0
    way,  # int32
):
    """Return a key that is least for the cheapest way: the first bits of its cost, and its number.

    The bits of floats from 0 are in their order.
    """
    return np.int32((np.float32(cost).view(np.int32) & COST_BITS) | way)


@kernel(inline=True)
def find_ways(
    values,  # (4, W) float32, IN: a row's colors and the errors of the row above, in steps
    kinds,  # (W,) uint8, IN: of the pixels, by their alpha
    exact,  # (W,) int16, IN: see `find_exact_row`
    worths,  # (W,) float32, IN: what the bits of a pixel are worth
    shares,  # (W,) float32, IN: of the error of the pixel before, that a pixel takes
    shown,  # (4, N_ABOVE * (W + 2 * REACH)) float32, IN: the colors of the rows above
    above,  # (N_ABOVE * (W + 2 * REACH),) uint8, IN: their labels
    begins,  # (N_WAYS,) float32, IN: the cost of beginning each way, in pixels' worth
    has_table,  # whether opaque pixels are looked up in the table of cells
    is_limited,  # (3,) bool, IN: whether pixels of each kind may take some entries only
    penalties,  # (3, K) float32, IN: of each entry, by the kind of a pixel
    points,  # (4, K) float32, IN: the palette, in steps
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    paths,  # (W + 1, 2, N_WAYS) uint8, OUT: the label of each way, and the way before it; from the
    # second on, of pixels
):
    """Find the cheapest way to each pixel that ends in a label of its own, or in each copy.

    Return the one that is cheapest at the end. The errors of all ways are looked up by the number
    of the cheapest, so there is no branch that the processor would have to guess.
    """
    costs, cost_again = np.empty(N_COPIES, np.float32), FORBIDDEN
    for way in range(COPIES):
        costs[way] = FORBIDDEN
    errors = np.zeros((4, 2 * N_COPIES), np.float32)  # of all ways; of AGAIN, also as scalars
    g0 = g1 = g2 = g3 = ZERO
    again = np.uint64(0)
    paths[ZEROTH, LABEL, OWN_WAY] = again
    key = key_of(ZERO, np.int32(OWN))
    for x in range(np.uint64(kinds.shape[0])):
        after = x + ONE
        # The cheapest way so far, the errors that it passes on, and its last label.
        best, least = np.uint64(key & WAY_BITS), np.int32(key & COST_BITS).view(np.float32)
        f0, f1 = errors[ZEROTH, best], errors[ONE, best]
        f2, f3 = errors[TWO, best], errors[THREE, best]
        last = np.uint64(paths[x, LABEL, best])
        kind, worth, share = np.uint64(kinds[x]), worths[x], shares[x]
        alpha_share = ZERO if kind == OPAQUE_KIND else share
        v0, v1 = values[ZEROTH, x], values[ONE, x]
        v2, v3 = values[TWO, x], values[THREE, x]
        # The label of the pixel before, again.
        begin, go_on = least + begins[AGAIN_WAY] * worth, cost_again
        new = begin < go_on
        again = last if new else again
        g0 = v0 + share * (f0 if new else g0) - points[ZEROTH, again]
        g1 = v1 + share * (f1 if new else g1) - points[ONE, again]
        g2 = v2 + share * (f2 if new else g2) - points[TWO, again]
        g3 = v3 + alpha_share * (f3 if new else g3) - points[THREE, again]
        penalty = penalties[kind, again]
        penalty = penalty if x > ZEROTH else FORBIDDEN
        cost_again = min(begin, go_on) + (weigh_error(g0, g1, g2, g3) + penalty) - least
        paths[after, LABEL, AGAIN_WAY] = again
        paths[after, BEFORE, AGAIN_WAY] = best if new else AGAIN_WAY
        # Copies go on, or begin after the cheapest way.
        key = again_key = key_of(cost_again, np.int32(AGAIN))
        for way in range(COPIES):
            source = TWO * x + way
            begin, go_on = least + begins[way] * worth, costs[way]
            e0, e1 = errors[ZEROTH, way], errors[ONE, way]
            e2, e3 = errors[TWO, way], errors[THREE, way]
            new = begin < go_on
            e0 = v0 + share * (f0 if new else e0) - shown[ZEROTH, source]
            e1 = v1 + share * (f1 if new else e1) - shown[ONE, source]
            e2 = v2 + share * (f2 if new else e2) - shown[TWO, source]
            e3 = v3 + alpha_share * (f3 if new else e3) - shown[THREE, source]
            cost = min(begin, go_on) + weigh_error(e0, e1, e2, e3) - least
            costs[way] = cost
            errors[ZEROTH, way], errors[ONE, way] = e0, e1
            errors[TWO, way], errors[THREE, way] = e2, e3
            paths[after, LABEL, way] = above[source]
            paths[after, BEFORE, way] = best if new else way
            key = min(key, key_of(cost, np.int32(way)))
        if is_limited[kind]:
            key = again_key
            for way in range(COPIES):
                costs[way] += penalties[kind, np.uint64(above[TWO * x + way])]
                key = min(key, key_of(costs[way], np.int32(way)))
        errors[ZEROTH, AGAIN_WAY], errors[ONE, AGAIN_WAY] = g0, g1
        errors[TWO, AGAIN_WAY], errors[THREE, AGAIN_WAY] = g2, g3
        # A label of its own only ever is the cheapest way, or none: it has its bits at least.
        if (key & COST_BITS) < np.float32(worth).view(np.int32):
            continue
        o0, o1, o2 = v0 + share * f0, v1 + share * f1, v2 + share * f2
        o3 = v3 + alpha_share * f3
        if exact[x] >= 0:
            own = np.uint64(exact[x])
        elif kind == OPAQUE_KIND and has_table:
            s0, s1, s2, group, found = nearest_in_group(o0, o1, o2, cells, groups)
            if further[group] < further[group + ONE]:
                first, stop = further[group], further[group + ONE]
                found = search_further(s0, s1, s2, found, first, stop, groups)
            own = np.uint64(found & LABEL_BITS)
        else:
            start = 0 if kind == OPAQUE_KIND else n_own
            stop = n_own if kind == OPAQUE_KIND else entries.shape[0]
            found = nearest_of_all(o0, o1, o2, o3, start, stop, entries, numbers)
            own = np.uint64(found & LABEL_BITS)
        o0, o1 = o0 - points[ZEROTH, own], o1 - points[ONE, own]
        o2, o3 = o2 - points[TWO, own], o3 - points[THREE, own]
        key = min(key, key_of(worth + weigh_error(o0, o1, o2, o3), np.int32(OWN)))
        errors[ZEROTH, OWN_WAY], errors[ONE, OWN_WAY] = o0, o1
        errors[TWO, OWN_WAY], errors[THREE, OWN_WAY] = o2, o3
        paths[after, LABEL, OWN_WAY], paths[after, BEFORE, OWN_WAY] = own, best
    return np.uint64(key & WAY_BITS)


@kernel(inline=True)
def go_back(
    way,  # that costs least at the end of a row
    paths,  # see `find_ways`
    labels,  # (W,) uint8, OUT
):
    """Write the labels of the way that costs least."""
    width = np.uint64(labels.shape[0])
    for i in range(width):
        after = width - i
        labels[after - ONE] = paths[after, LABEL, way]
        way = np.uint64(paths[after, BEFORE, way])


@kernel(inline=True)
def pass_on(
    values,  # see `find_ways`
    kinds,
    shares,
    points,
    labels,  # (W,) uint8, IN
    turn,  # 0 or 1: where in `shown` and `above` this row is kept
    shown,
    above,
    errors,  # (4, W + 2) float32, OUT, but for both ends
):
    """Compute the errors of a row, which the next one takes, and its colors."""
    e0 = e1 = e2 = e3 = ZERO
    for x in range(np.uint64(labels.shape[0])):
        label, share, place = np.uint64(labels[x]), shares[x], x + ONE
        p0, p1 = points[ZEROTH, label], points[ONE, label]
        p2, p3 = points[TWO, label], points[THREE, label]
        e0 = values[ZEROTH, x] + share * e0 - p0
        e1 = values[ONE, x] + share * e1 - p1
        e2 = values[TWO, x] + share * e2 - p2
        e3 = values[THREE, x] + (ZERO if kinds[x] == OPAQUE_KIND else share) * e3 - p3
        errors[ZEROTH, place], errors[ONE, place] = e0, e1
        errors[TWO, place], errors[THREE, place] = e2, e3
        place = TWO * (x + np.uint64(REACH)) + np.uint64(turn)
        shown[ZEROTH, place], shown[ONE, place] = p0, p1
        shown[TWO, place], shown[THREE, place] = p2, p3
        above[place] = label
