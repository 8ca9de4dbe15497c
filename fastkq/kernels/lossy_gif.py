"""Labels chosen by their error and by the bits that they take in a GIF, inside error diffusion.

LZW writes a phrase that stood before as one code, and `lzw` is a function of the labels alone. So
here its table of phrases, a tree, is kept as it will be when a pixel is written, and the labels to
come are those of the least

    squared error / patience + bits

A beam of ways is followed for some pixels: each goes on below its node of the tree, for no bits, or
ends its phrase there and begins another, for those of a code, as words are found in speech (Ney and
Ortmanns 1999). Each way has errors of its own and passes them on. The beginning of the best is
kept, and the tree grows by it.

The patience grows with the contrast around a pixel, which hides errors. What is exactly in the
palette, as in drawings and screenshots, stays exact.
"""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.dither import FROM_BEFORE, SIXTEENTH, fill_shares
from fastkq.kernels.general import start_any_row
from fastkq.kernels.lossy import start_pixels
from fastkq.kernels.lossy_ways import OPAQUE_KIND
from fastkq.kernels.lossy_weights import NEAREST, NO_ENTRY, WARM_UP_ROWS, find_exact_row, weigh_row
from fastkq.kernels.lzw import N_CODES, NO_NODE, clear_tree, grow
from fastkq.kernels.nearest import LABEL_BITS, nearest_in_group, nearest_of_all, search_further
from fastkq.kernels.steps import ZERO, alpha_squared_error, convert_any_row, read_alphas

# Pixels that ways are followed for, and those of them that are kept. Keeping 12 took 1 % fewer
# bytes and half as long again, 24 of 32 as many bytes.
LOOK_AHEAD, KEPT = 24, 18
# So many ways at most are followed; half as many cost 1 % of the bytes. Those are given up that
# cost more than the best by this share of a code's bits: a new phrase would cost one.
BEAM, GIVEN_UP, NARROWER = 32, np.float32(0.7), np.float32(0.7)
# A phrase begins with one of so many entries: the nearest, and those nearest to it.
N_BEGINNINGS = 16
N_CANDIDATES = 512  # at least those of one way, 256, and the beginnings
# Chroma counts so much of lightness in an error: half of it took 1 % fewer bytes, for false hues.
CHROMA_WEIGHT = np.float32(0.7)
NOTHING, ONE = np.float32(np.inf), np.uint64(1)
BASE_WORTH = np.float32(1)  # what bits are worth without contrast, before `patience`


@kernel(inline=True)
def weigh(
    u0,  # float32: a color, in steps
    u1,
    u2,
    u3,
    label,
    points,  # (K, 4) float32, IN: the palette, in steps
):
    """Return the squared error of an entry for a color."""
    d0, d1 = u0 - points[label, 0], u1 - points[label, 1]
    d2, d3 = u2 - points[label, 2], u3 - points[label, 3]
    return d0 * d0 + CHROMA_WEIGHT * (d1 * d1 + d2 * d2) + d3 * d3


@kernel(inline=True)
def go_on(
    token,  # of the pixel before
    node,
    cost,
    u0,  # float32: the color of the pixel, with its share of the errors before, in steps
    u1,
    u2,
    u3,
    inverse,  # float32: of the patience
    forced,  # the only entry that is allowed, or NO_ENTRY
    kind,  # of the pixel, by its alpha
    is_open,  # (3, K) bool, IN: those that are, by kind
    points,  # (K, 4) float32, IN
    first,  # (N_CODES,) int16, IN: the tree, see `grow`
    sibling,
    labels,
    limit,  # float32: of what costs more than the best
    n_found,
    least,  # float32: the least cost so far
    found_nodes,  # (N_CANDIDATES,) int16, INOUT
    found_tokens,  # (N_CANDIDATES,) uint8, INOUT
    found_costs,  # (N_CANDIDATES,) float32, INOUT
):
    """List the phrases that a token's goes on to; return the new `n_found` and `least`."""
    child = np.int64(first[node]) if node >= 0 else NO_NODE
    while child >= 0:
        label = np.uint64(labels[child])
        total = cost + inverse * weigh(u0, u1, u2, u3, label, points)
        is_allowed = np.int64(label) == forced if forced >= 0 else is_open[kind, label]
        if is_allowed and total < least + limit and n_found < N_CANDIDATES:
            least = min(least, total)
            found_nodes[n_found], found_tokens[n_found] = child, token
            found_costs[n_found] = total
            n_found += 1
        child = np.int64(sibling[child])
    return n_found, least


@kernel(inline=True)
def keep_best(
    n_found,
    least,
    limit,
    found_nodes,  # see `go_on`
    found_tokens,
    found_costs,
    place,  # in what follows
    nodes,  # (LOOK_AHEAD + 1, BEAM) int16, OUT
    tokens,  # (LOOK_AHEAD + 1, BEAM) uint8, OUT: those of the pixel before
    costs,  # (LOOK_AHEAD + 1, BEAM) float32, OUT
):
    """Keep the ways that cost little more than the least; return how many."""
    n_kept = n_found
    while True:
        n_kept = 0
        for i in range(n_found):
            n_kept += found_costs[i] <= least + limit
        if n_kept <= BEAM:
            break
        limit *= NARROWER
    n_kept = 0
    for i in range(n_found):
        if found_costs[i] <= least + limit and n_kept < BEAM:
            nodes[place, n_kept], tokens[place, n_kept] = found_nodes[i], found_tokens[i]
            costs[place, n_kept] = found_costs[i]
            n_kept += 1
    return n_kept


@kernel(inline=True)
def index_of_least(
    costs,  # (LOOK_AHEAD + 1, BEAM) float32, IN
    place,
    n,
):
    """Return the first index of the least of some costs."""
    best = 0
    for i in range(1, n):
        best = i if costs[place, i] < costs[place, best] else best
    return best


@kernel()
def look_ahead(
    start,  # the first pixel to look at ...
    stop,  # ... and the end, LOOK_AHEAD pixels later at most
    node,  # see `grow`
    width,
    values,  # (4, W) float32, IN: a row's colors and the errors of the row above, in steps
    kinds,  # (W,) uint8, IN: of the pixels, by their alpha
    exact,  # (W,) int16, IN: see `find_exact_row`
    inverses,  # (W,) float32, IN: of the patience with each pixel
    shares,  # (W,) float32, IN: of the error of the pixel before, that a pixel takes
    is_open,  # (3, K) bool, IN: whether an entry is allowed, by the kind of a pixel
    points,  # (K, 4) float32, IN: the palette, in steps
    beginnings,  # (K, n) uint8, IN: each entry and those nearest to it, n <= N_BEGINNINGS
    has_table,  # whether opaque pixels are looked up in the table of cells
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    first,  # see `grow`
    sibling,
    labels,
    nodes,  # (LOOK_AHEAD + 1, BEAM) int16, OUT: the phrases of each pixel's ways ...
    tokens,  # (LOOK_AHEAD + 1, BEAM) uint8, OUT: ... what they came from ...
    costs,  # (LOOK_AHEAD + 1, BEAM) float32, OUT: ... what they cost ...
    errors,  # (LOOK_AHEAD + 1, BEAM, 4) float32, INOUT: ... and their errors; the first is given
    marks,  # (256,) int64, INOUT: the last pixel before which a phrase went on with each label
    n_marks,  # the last of these numbers
    own,  # (W,) uint8, OUT: the labels
    own_errors,  # (4, W + 2) float32, OUT, but for both ends
):
    """Write the labels and errors of some pixels, by the way that costs least."""
    found_nodes, found_tokens = np.empty(N_CANDIDATES, np.int16), np.empty(N_CANDIDATES, np.uint8)
    found_costs = np.empty(N_CANDIDATES, np.float32)
    code_bits = np.float32(width)
    limit = GIVEN_UP * code_bits
    nodes[0, 0], costs[0, 0], n_tokens = node, ZERO, 1
    for i in range(stop - start):
        x = start + i
        kind, share, inverse = np.int64(kinds[x]), shares[x], inverses[x]
        alpha_share = ZERO if kind == OPAQUE_KIND else share
        v0, v1, v2, v3 = values[0, x], values[1, x], values[2, x], values[3, x]
        best = index_of_least(costs, i, n_tokens)
        u0, u1 = v0 + share * errors[i, best, 0], v1 + share * errors[i, best, 1]
        u2, u3 = v2 + share * errors[i, best, 2], v3 + alpha_share * errors[i, best, 3]
        forced = np.int64(exact[x])
        label = np.int64(0)
        if forced < 0:
            if kind == OPAQUE_KIND and has_table:
                s0, s1, s2, group, key = nearest_in_group(u0, u1, u2, cells, groups)
                if further[group] < further[group + ONE]:
                    begin, end = further[group], further[group + ONE]
                    key = search_further(s0, s1, s2, key, begin, end, groups)
            else:
                begin = 0 if kind == OPAQUE_KIND else n_own
                end = n_own if kind == OPAQUE_KIND else entries.shape[0]
                key = nearest_of_all(u0, u1, u2, u3, begin, end, entries, numbers)
            label = np.int64(key & LABEL_BITS)
            forced = label if forced == NEAREST else np.int64(NO_ENTRY)
        # The best way goes on, or begins a phrase, but not one that only would go on.
        ended = np.int64(nodes[i, best])
        n_found, least = go_on(
            best, ended, costs[i, best], u0, u1, u2, u3, inverse, forced, kind, is_open,
            points, first, sibling, labels, limit, 0, NOTHING,
            found_nodes, found_tokens, found_costs,
        )  # fmt: skip
        child = np.int64(first[ended]) if ended >= 0 else NO_NODE
        while child >= 0:
            marks[labels[child]] = n_marks + x
            child = np.int64(sibling[child])
        begun = costs[i, best] + code_bits
        for rank in range(1 if forced >= 0 else beginnings.shape[1]):
            other = forced if forced >= 0 else np.int64(beginnings[label, rank])
            total = begun + inverse * weigh(u0, u1, u2, u3, other, points)
            is_allowed = forced >= 0 or is_open[kind, other]
            if is_allowed and marks[other] != n_marks + x and total < least + limit:
                least = min(least, total)
                found_nodes[n_found], found_tokens[n_found] = other, best
                found_costs[n_found] = total
                n_found += 1
        for token in range(n_tokens):
            if token == best or costs[i, token] >= least + limit:
                continue
            u0, u1 = v0 + share * errors[i, token, 0], v1 + share * errors[i, token, 1]
            u2, u3 = v2 + share * errors[i, token, 2], v3 + alpha_share * errors[i, token, 3]
            n_found, least = go_on(
                token, np.int64(nodes[i, token]), costs[i, token], u0, u1, u2, u3, inverse, forced,
                kind, is_open, points, first, sibling, labels, limit, n_found, least,
                found_nodes, found_tokens, found_costs,
            )  # fmt: skip
        place = i + 1
        n_tokens = keep_best(
            n_found, least, limit, found_nodes, found_tokens, found_costs,
            place, nodes, tokens, costs,
        )  # fmt: skip
        for token in range(n_tokens):
            before, label = np.int64(tokens[place, token]), np.int64(labels[nodes[place, token]])
            errors[place, token, 0] = v0 + share * errors[i, before, 0] - points[label, 0]
            errors[place, token, 1] = v1 + share * errors[i, before, 1] - points[label, 1]
            errors[place, token, 2] = v2 + share * errors[i, before, 2] - points[label, 2]
            errors[place, token, 3] = v3 + alpha_share * errors[i, before, 3] - points[label, 3]
    token = index_of_least(costs, stop - start, n_tokens)
    for place in range(stop - start, 0, -1):
        x = start + place - 1
        own[x] = labels[nodes[place, token]]
        for channel in range(4):
            own_errors[channel, x + 1] = errors[place, token, channel]
        token = np.int64(tokens[place, token])


@kernel(each="totals")
def choose(
    strip,
    pixels,  # (h, W * C) uint8, IN: rows of an image of C = 1, 3 or 4 channels
    lead,  # rows of it that are above the first one to label, for warming up
    strip_rows,  # of a strip, see `lzw.rows_of_strip`
    contrasts,  # (h, W) uint8, IN: around each pixel, in levels
    strengths,  # (h, W) uint8, IN, of error diffusion; or (1, 1), for all pixels
    scale,  # float32: the strength of 255
    patience,  # float32: the squared error that a bit is worth where there is no contrast
    light,  # (256,) float32, IN: the light of each level
    colors,  # (K, 4) uint8, IN: the palette
    keys,  # (N_SLOTS,) int64, IN: see `fill_slots`
    exact_entries,  # (N_SLOTS,) uint8, IN
    root_bits,  # see `lzw.pack`
    is_coarse,  # whether errors are those of light
    is_open,  # (3, K) bool, IN: whether an entry is allowed, by the kind of a pixel
    transparent,  # the entry of fully transparent pixels
    points,  # (K, 4) float32, IN: the palette, in steps
    columns,  # (4, K) float32, IN: the same
    beginnings,  # (K, n) uint8, IN: each entry and those nearest to it, n <= N_BEGINNINGS
    has_table,  # whether opaque pixels are looked up in the table of cells
    cells,  # (N_CELLS,) int32, IN: the table of cells of opaque entries, see SPLIT
    further,  # (n + 1,) int64, IN: where the further groups of each group start
    groups,  # (n_groups, 4, LANES) int16, IN
    entries,  # (n_groups, 4, LANES) float32, IN: the entries for opaque pixels, and for others
    numbers,  # (n_groups, LANES) int32, IN: of these entries
    n_own,  # how many groups are for opaque pixels
    labels,  # (n_rows, W) uint8, OUT
    totals,  # (n_strips,) int64, OUT: the squared error of each strip, in 1 / 510^2
):
    """Choose the labels of a strip by error and bits."""
    n_rows, n_columns = labels.shape
    own_errors = np.zeros((4, n_columns + 2), np.float32)
    values = np.empty((4, n_columns), np.float32)
    alphas, kinds = np.empty(n_columns, np.uint8), np.empty(n_columns, np.uint8)
    exact, lows = np.empty(n_columns, np.int16), np.empty(n_columns, np.uint8)
    worths, unused = np.empty(n_columns, np.float32), np.empty(n_columns, np.uint8)
    shares_above = np.empty(n_columns, np.float32)
    shares_before = np.empty(n_columns, np.float32)
    first, sibling = np.empty(N_CODES, np.int16), np.empty(N_CODES, np.int16)
    names, marks = np.empty(N_CODES, np.uint8), np.full(256, -1, np.int64)
    nodes = np.empty((LOOK_AHEAD + 1, BEAM), np.int16)
    tokens = np.empty((LOOK_AHEAD + 1, BEAM), np.uint8)
    costs = np.empty((LOOK_AHEAD + 1, BEAM), np.float32)
    errors = np.empty((LOOK_AHEAD + 1, BEAM, 4), np.float32)
    node, (last, width) = np.int64(NO_NODE), clear_tree(root_bits, first, names)
    total, n_marks = 0, np.int64(0)
    start = strip * strip_rows
    for row in range(max(start - WARM_UP_ROWS, -lead), min(start + strip_rows, n_rows)):
        source = row + lead
        own = labels[row] if row >= start else unused
        if row == start:  # the file's table is cleared as well
            node, (last, width) = np.int64(NO_NODE), clear_tree(root_bits, first, names)
        read_alphas(pixels[source], alphas)
        convert_any_row(pixels[source], alphas, light, is_coarse, values)
        find_exact_row(pixels[source], alphas, keys, exact_entries, exact)
        from_map = strengths[source if strengths.shape[0] > 1 else 0]
        fill_shares(from_map, scale * SIXTEENTH, shares_above)
        fill_shares(from_map, scale * FROM_BEFORE, shares_before)
        weigh_row(
            contrasts[source], alphas, exact, BASE_WORTH, lows, worths, shares_above, shares_before
        )
        for x in range(n_columns):
            worths[x] = ZERO if worths[x] == ZERO else BASE_WORTH / (patience * np.sqrt(worths[x]))
        start_any_row(own_errors, np.int64(1), shares_above, values)
        start_pixels(alphas, columns, transparent, kinds, values, exact, shares_before)
        errors[0, 0, :] = ZERO
        x = np.int64(0)
        while x < n_columns:
            stop = min(x + LOOK_AHEAD, n_columns)
            look_ahead(
                x, stop, node, width, values, kinds, exact, worths, shares_before, is_open, points,
                beginnings, has_table, cells, further, groups, entries, numbers, n_own, first,
                sibling, names, nodes, tokens, costs, errors, marks, n_marks, own, own_errors,
            )  # fmt: skip
            n_marks += LOOK_AHEAD  # a pixel is looked at again, with other phrases
            kept = stop if stop == n_columns else x + KEPT
            for i in range(x, kept):
                node, last, width = grow(
                    own[i], node, last, width, root_bits, first, sibling, names
                )
            for channel in range(4):
                errors[0, 0, channel] = own_errors[channel, kept]
            x = kept
        n_marks += n_columns
        if row >= start:
            total += alpha_squared_error(pixels[source], alphas, own, colors)
    totals[strip] = total
