"""LZW and labels by cost for it, slowly: what `kernels.lzw` and `kernels.lossy_gif` compute."""

import itertools

import numpy as np
from naive_lossy import pick

single = np.float32
LOOK_AHEAD, KEPT, BEAM, N_BEGINNINGS = 24, 18, 32, 16


class Phrases:
    """The phrases that GIF's LZW knows: a tuple of labels each."""

    def __init__(self, root_bits):
        self.root_bits = root_bits
        self.clear()

    def clear(self):
        self.codes = {(label,): label for label in range(1 << self.root_bits)}
        self.children = {phrase: [] for phrase in self.codes}
        self.last, self.width = (1 << self.root_bits) + 1, self.root_bits + 1
        self.open = ()

    def add(self, label):
        """Go on by a label; return the code and its width where a phrase ends, and if all end."""
        longer = (*self.open, label)
        if longer in self.codes:
            self.open = longer
            return None
        code, width = self.codes[self.open], self.width
        self.last += 1
        self.codes[longer] = self.last
        self.children[self.open].insert(0, label)
        self.children[longer] = []
        is_full = self.last == 4095
        if is_full:
            self.clear()
        elif self.last == 1 << self.width:
            self.width += 1
        self.open = (label,)
        return code, width, is_full


def compress(labels, root_bits, strip_rows):
    """The bytes of labels (H, W), whose table is cleared after so many rows as well."""
    clear, pairs = 1 << root_bits, [(1 << root_bits, root_bits + 1)]
    for start in range(0, len(labels), strip_rows):
        phrases = Phrases(root_bits)
        for label in labels[start : start + strip_rows].ravel().tolist():
            ended = phrases.add(label)
            if ended:
                pairs.append(ended[:2])
                if ended[2]:
                    pairs.append((clear, 12))
        pairs.append((phrases.codes[phrases.open], phrases.width))
        wider = phrases.width < 12 and phrases.last + 1 == 1 << phrases.width
        is_end = start + strip_rows >= len(labels)
        pairs.append((clear + is_end, phrases.width + wider))
    text = "".join(f"{code:0{width}b}"[::-1] for code, width in pairs)
    return np.packbits(np.array(list(text), np.uint8), bitorder="little").tobytes()


def squared(color, entry):
    """The squared error of an entry for a color, where chroma counts seven tenths."""
    e0, e1, e2, e3 = color - entry
    return e0 * e0 + single(0.7) * (e1 * e1 + e2 * e2) + e3 * e3


def beginnings(entries, is_open):
    """Each entry and those nearest to it, (K, 16); opaque ones do not begin as others."""
    distances = np.zeros((len(entries),) * 2, single)
    for column in entries.T:
        distances += (column[:, None] - column) ** 2
    distances[np.ix_(is_open[0], ~is_open[0])] = np.inf
    np.fill_diagonal(distances, -1)
    return np.argsort(distances, axis=1, kind="stable")[:, :N_BEGINNINGS]


class Row:
    """What is known of a row: colors with the errors of the row above, and what is allowed."""

    def __init__(self, values, kinds, exact, inverses, shares, palette):
        self.values, self.kinds, self.exact = values, kinds, exact
        self.inverses, self.shares, self.palette = inverses, shares, palette

    def color(self, x, error):
        share = np.full(4, self.shares[x])
        share[3] *= self.kinds[x] != 0
        return self.values[x] + share * error


class Palette:
    """The entries (K, 4) in steps, and those that are allowed, (3, K) by the kind of a pixel."""

    def __init__(self, entries, is_open, *, has_table):
        self.entries, self.is_open, self.has_table = entries, is_open, has_table
        self.near = beginnings(entries, is_open)
        self.own = np.flatnonzero(is_open[0])


def other_steps(ways, best, phrases):
    """How all ways but the best go on: from what, by which label, to which phrase and cost."""
    for way in ways:
        if way is not best:
            for label in phrases.children.get(way[1], []):
                yield way, label, (*way[1], label), way[0]


def look_ahead(row, phrases, start, stop, error):
    """The cheapest labels of some pixels: ways as (cost, phrase, error, labels so far)."""
    palette = row.palette
    ways = [(single(0), phrases.open, error, ())]
    code_bits = single(phrases.width)
    for x in range(start, stop):
        best = min(ways, key=lambda way: way[0])
        forced, limit = row.exact[x], single(0.7) * code_bits
        color = row.color(x, best[2])
        if forced < 0:
            pool = {"own": palette.own, "has_table": palette.has_table}
            nearest = int(pick(color, palette.entries, row.kinds[x] == 0, **pool))
            forced = nearest if forced == -2 else -1

        is_open = palette.is_open[row.kinds[x]].copy()
        if forced >= 0:
            is_open[:] = np.arange(len(is_open)) == forced
        longer = phrases.children.get(best[1], [])
        steps = [(best, label, (*best[1], label), best[0]) for label in longer]
        begun = [forced] if forced >= 0 else palette.near[nearest].tolist()
        cost = best[0] + code_bits
        steps += [(best, label, (label,), cost) for label in begun if label not in longer]
        found, least = [], single(np.inf)
        for step in itertools.chain(steps, other_steps(ways, best, phrases)):
            way, label, phrase, cost = step
            entry, color = palette.entries[label], row.color(x, way[2])
            cost = cost + row.inverses[x] * squared(color, entry)
            if is_open[label] and cost < least + limit:
                least = min(least, cost)
                found.append((cost, phrase, color - entry, (*way[3], label)))
        while len(ways := [way for way in found if way[0] <= least + limit]) > BEAM:
            limit *= single(0.7)
    return min(ways, key=lambda way: way[0])[3]


def choose(points, alphas, exact, pixel_worths, palette, strengths, patience, root_bits):
    """The labels (H, W) of an image of one strip, and the codes that they were chosen for.

    Points (H, W, 4) are in float32, in steps; strengths (H, W) of all errors.
    """
    height, width = alphas.shape
    entries, transparent = palette.entries, int(np.flatnonzero(palette.is_open[2])[0])
    labels, codes = np.zeros((height, width), np.uint8), []
    errors, phrases = np.zeros((width + 2, 4), single), Phrases(root_bits)
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
        kinds = np.where(alphas[y] == 255, 0, np.where(hidden, 2, 1))
        worth = np.where(pixel_worths[y] == 0, single(1), patience * np.sqrt(pixel_worths[y]))
        inverses = np.where(pixel_worths[y] == 0, single(0), single(1) / worth)
        row = Row(values, kinds, known, inverses, from_before, palette)
        error, x = np.zeros(4, single), 0
        errors = np.zeros((width + 2, 4), single)
        while x < width:
            stop = min(x + LOOK_AHEAD, width)
            chosen = look_ahead(row, phrases, x, stop, error)
            for label in chosen if stop == width else chosen[:KEPT]:
                error = row.color(x, error) - entries[label]
                labels[y, x], errors[x + 1] = label, error
                ended = phrases.add(label)
                codes += [ended[0]] if ended else []
                x += 1
    return labels, [*codes, phrases.codes[phrases.open]]
