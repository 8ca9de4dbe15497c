"""Labels by cost, slowly: what `kernels.lossy` computes, a way as an element of an array."""

import numpy as np
from naive import nearest_entry

single = np.float32
FAR, FORBIDDEN = single(1e6), single(1e12)
REACH, N_COPIES = 4, 16
OWN, AGAIN, N_WAYS = 16, 17, 18


def exact_entries(image, palette):
    """The entry of each pixel of stretches that stay exact; -2 for others there, -1 elsewhere."""
    numbers = {tuple(color): i for i, color in reversed(list(enumerate(palette.tolist())))}
    exact = np.array([[numbers.get(tuple(p), -1) for p in row] for row in image.tolist()])
    for start in range(0, image.shape[1], 32):
        part = exact[:, start : start + 32]
        is_exact = 2 * (part >= 0).sum(axis=1) >= part.shape[1]
        part[~is_exact] = -1
        part[is_exact[:, None] & (part < 0)] = -2
    return exact


def worths(contrasts, alphas, exact, base):
    """What the bits of each pixel are worth, by the contrast around it, (H, W) float32."""
    padded = np.pad(contrasts.astype(int), ((0, 0), (2, 2)), mode="edge")
    width = contrasts.shape[1]
    lowest = np.min([padded[:, i : i + width] for i in range(5)], axis=0)
    counted = np.minimum(contrasts, 8 + 3 * lowest)
    counted[(alphas > 0) & (alphas < 255)] = 0
    rest = single(1) - single((exact >= 0).sum()) / single(exact.size)
    base *= rest * rest  # of one strip
    worth = base + base * (counted.astype(single) / single(2))
    return np.where(exact == -1, worth, single(0))


def squared(errors):
    """The squared length of errors (4, ...), where chroma counts half."""
    e0, e1, e2, e3 = errors
    return e0 * e0 + single(0.5) * (e1 * e1 + e2 * e2) + e3 * e3


def cheapest_way(costs):
    """The way that costs least, and the cost, of which the last five bits do not count."""
    keys = (costs.view(np.int32) & ~31) | np.arange(N_WAYS, dtype=np.int32)
    key = keys.min()
    return int(key & 31), (key & np.int32(~31)).view(np.float32)


def pick(value, entries, is_opaque, *, own, has_table):
    """The nearest entry of a color (4,)."""
    if not (is_opaque and has_table):
        return nearest_entry(value, entries, own if is_opaque else np.arange(len(entries)))[0]
    low, high = single([0, 81, 2]), single([1020, 602, 523])
    whole = (np.clip(value[:3], low, high) + single(0.5)).astype(np.int64)
    part = np.sort(own)
    return part[((whole - np.rint(entries[part, :3]).astype(np.int64)) ** 2).sum(axis=1).argmin()]


def choose(  # noqa: PLR0915 - one loop, as its twin
    points, alphas, exact, pixel_worths, entries, palette, strengths, begins, *, is_coarse
):
    """The labels (H, W) of an image of one strip.

    Points (H, W, 4) and entries (K, 4) are in float32, in steps; strengths (H, W) of all errors.
    """
    height, width = alphas.shape
    opaque = np.flatnonzero(palette[:, 3] == 255)
    has_opaque = len(opaque) > 0
    own = opaque if has_opaque else np.arange(len(entries))
    transparent = int(np.argmin(palette[:, 3]))
    labels = np.zeros((height, width), np.uint8)
    errors = np.zeros((width + 2, 4), single)
    shown = np.full((4, 2 * (width + 2 * REACH)), FAR)
    above = np.zeros(2 * (width + 2 * REACH), np.uint8)
    for y in range(height):
        stays = exact[y] != -1
        from_above = np.where(stays, single(0), strengths[y] * single(1 / 16))
        from_before = np.where(stays, single(0), strengths[y] * single(7 / 16))
        values, known = points[y].copy(), exact[y].copy()
        for x in range(width):
            later, earlier = errors[x + 2], errors[x]
            values[x] += from_above[x] * (3 * later + (5 * errors[x + 1] + earlier))
        hidden = alphas[y] == 0
        values[hidden], known[hidden], from_before[hidden] = entries[transparent], transparent, 0

        costs, carried = np.full(N_WAYS, FORBIDDEN), np.zeros((4, N_WAYS), single)
        costs[OWN] = 0
        labels_of = np.zeros(N_WAYS, np.int64)  # the last ones
        trace = []  # the labels of all ways, whether they begin here, and the cheapest before
        for x in range(width):
            best, least = cheapest_way(costs)
            worth, is_opaque = pixel_worths[y, x], alphas[y, x] == 255
            share = np.full(4, from_before[x])
            share[3] *= not is_opaque
            allowed = np.ones(len(entries), bool)
            if hidden[x]:
                allowed = np.arange(len(entries)) == transparent
            elif is_opaque and has_opaque:
                allowed = palette[:, 3] == 255
            begin = least + begins[y % 2] * worth
            new = begin < costs
            before = np.where(new, carried[:, best, None], carried)
            again = labels_of[best if new[AGAIN] else AGAIN]
            labels_of[:N_COPIES] = above[2 * x : 2 * x + N_COPIES]
            labels_of[AGAIN] = again
            colors = np.zeros((4, N_WAYS), single)
            colors[:, :N_COPIES] = shown[:, 2 * x : 2 * x + N_COPIES]
            colors[:, AGAIN] = entries[again]
            u = values[x] + share * carried[:, best]
            carried = values[x][:, None] + share[:, None] * before - colors
            error = squared(carried)
            penalties = np.where(allowed[labels_of], single(0), FORBIDDEN)
            moved = np.minimum(begin, costs)
            costs = moved + error - least
            costs[:N_COPIES] += penalties[:N_COPIES]
            penalty = penalties[AGAIN] if x > 0 else FORBIDDEN
            costs[AGAIN] = moved[AGAIN] + (error[AGAIN] + penalty) - least
            costs[OWN] = FORBIDDEN
            if cheapest_way(costs)[1] >= worth:
                label = known[x]
                if label < 0:
                    pool = {"own": own, "has_table": has_opaque and not is_coarse}
                    label = pick(u, entries, is_opaque, **pool)
                carried[:, OWN] = u - entries[label]
                costs[OWN] = worth + squared(carried[:, OWN])
                labels_of[OWN] = label
            trace.append((labels_of.copy(), new, best))
        way = cheapest_way(costs)[0]
        for x in range(width - 1, -1, -1):
            of_ways, new, best = trace[x]
            labels[y, x] = of_ways[way]
            if way == OWN or new[way]:
                way = best

        errors, last = np.zeros((width + 2, 4), single), np.zeros(4, single)
        for x in range(width):
            share = np.full(4, from_before[x])
            share[3] *= alphas[y, x] != 255
            last = values[x] + share * last - entries[labels[y, x]]
            errors[x + 1] = last
            place = 2 * (x + REACH) + y % 2
            shown[:, place], above[place] = entries[labels[y, x]], labels[y, x]
    return labels
