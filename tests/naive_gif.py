"""LZW and labels by cost for it, slowly: what `kernels.lzw`, `lossy_gif` and `lzw_*` compute."""

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


# What a pixel of an animation's frame may show: its own label, or what was there before.
OWN, EITHER, BEFORE = range(3)


def find_codes(n_pixels, root_bits, window, decline, follow):
    """The codes of a frame, where `follow` finds the longest known string from a pixel on.

    It is given the pixel, the label to begin with or None, the labels of each code, and the codes
    that are longer by a label, the newest first; it returns a code. It is told what is written.
    A string may be learnt twice, where errors or the number of ways have kept it from being taken.
    """
    clear, codes, strings, pixel = 1 << root_bits, [], None, 0
    while pixel < n_pixels:
        if strings is None:
            strings = [(label,) for label in range(clear)] + [(), ()]
            longer = [[] for _ in strings]
            before, rates, written = None, [], []
        code = follow(pixel, None, strings, longer)
        if before is not None and len(strings) < 4096:
            first = strings[code][0]
            longer[before].insert(0, len(strings))
            strings.append((*strings[before], first))
            longer.append([])
            if first == strings[before][0]:
                code = follow(pixel, first, strings, longer)
        codes.append(code)
        follow.write(pixel, strings[code])
        pixel, before = pixel + len(strings[code]), code
        if len(strings) == 4096:
            written.append(len(strings[code]))
        if len(written) == window:
            rates.append(sum(written) / window)
            written = []
            if rates[-1] < decline * max(rates) and pixel < n_pixels:
                codes.append(clear)
                strings = None
    return codes


class Exactly:
    """Follows strings without errors; `kinds` and `labels` are those of the pixels, (N,)."""

    def __init__(self, labels, kinds, transparent):
        self.choices = [
            {OWN: [own], EITHER: [transparent, own], BEFORE: [transparent]}[kind]
            for own, kind in zip(labels.tolist(), kinds.tolist(), strict=True)
        ]
        self.shown = []

    def __call__(self, pixel, start, strings, longer):
        ways = [label for label in self.choices[pixel] if start in (None, label)]
        for choices in self.choices[pixel + 1 :]:
            newest = [{strings[c][-1]: c for c in reversed(longer[way])} for way in ways]
            found = [codes[label] for codes in newest for label in choices if label in codes]
            if not found:
                break
            ways = found[:12]
        return ways[0]

    def write(self, pixel, string):
        self.shown += string


class WithErrors:
    """Follows strings of labels that are near enough; see `kernels.lzw_lossy` for what is given."""

    def __init__(self, frame):
        self.frame = frame
        height = len(frame.kinds) // frame.width
        self.passed = np.zeros((height + 1, frame.width + 2, 3), single)  # errors, from row to row
        self.carried, self.shown = np.zeros(3, single), []

    def weigh(self, pixel, wanted, label):
        """The error of a label, its square, and whether it is near enough; None if not allowed."""
        frame, is_held = self.frame, label == self.frame.transparent
        if frame.kinds[pixel] == (OWN if is_held else BEFORE):
            return None
        color = frame.held[pixel] if is_held else frame.points[label]
        error, alone = wanted - color, frame.targets[pixel] - color
        square = error[0] * error[0] + error[1] * error[1] + error[2] * error[2]
        by_itself = alone[0] * alone[0] + alone[1] * alone[1] + alone[2] * alone[2]
        return error, square, square <= frame.allowed[pixel] or by_itself <= frame.near[pixel]

    def __call__(self, first, start, strings, longer):
        frame, ways = self.frame, []  # of each way the squares, the last error and the code
        for pixel in range(first, len(frame.kinds)):
            y, x = divmod(pixel, frame.width)
            is_wanted = frame.kinds[pixel] != BEFORE
            wanted = frame.targets[pixel] + (self.passed[y, x + 1] if is_wanted else single(0))
            share = frame.passed_on * single(7 / 16) if x > 0 and is_wanted else single(0)
            found = []
            if pixel == first:
                wanted = wanted + self.carried if share > 0 else wanted
                labels = range(len(frame.points)) if start is None else [start]
                weighed = [(label, self.weigh(pixel, wanted, label)) for label in labels]
                allowed = [(w[1], w[0], label, w[2]) for label, w in weighed if w]
                near = [way for way in allowed if way[3]]
                for square, error, label, _ in near or [min(allowed, key=lambda way: way[0])]:
                    keep(found, (square, error, label))
            for before, error, way in ways:
                for code in longer[way]:
                    weighed = self.weigh(pixel, wanted + share * error, strings[code][-1])
                    if weighed and weighed[2]:
                        keep(found, (weighed[1] + before, weighed[0], code))
            if not found:
                break
            ways = found
        return min(ways, key=lambda way: way[0])[2]

    def write(self, first, string):
        """Pass the errors of a string on."""
        frame = self.frame
        self.shown += string
        for pixel, label in enumerate(string, first):
            y, x = divmod(pixel, frame.width)
            wanted = frame.targets[pixel] + self.passed[y, x + 1]
            wanted = wanted + self.carried if x > 0 else wanted
            color = frame.held[pixel] if label == frame.transparent else frame.points[label]
            is_wanted = frame.kinds[pixel] != BEFORE
            error = frame.passed_on * (wanted - color) if is_wanted else np.zeros(3, single)
            self.carried = single(7 / 16) * error
            for place, share in enumerate((3 / 16, 5 / 16, 1 / 16)):
                self.passed[y + 1, x + place] += single(share) * error


def keep(ways, way):
    """Keep a way, in place of the worst one where there are four."""
    if len(ways) < 4:
        ways.append(way)
        return
    worst = max(range(4), key=lambda i: ways[i][0])
    if ways[worst][0] > way[0]:
        ways[worst] = way


def pack(codes, root_bits):
    """The bytes of codes, between clear and end."""
    clear, text, n = 1 << root_bits, "", 0
    for code in [clear, *codes, clear + 1]:
        # After n codes the reader knows n - 1 phrases beyond the labels, clear and end.
        width = min(12, max(root_bits + 1, (clear + 1 + n).bit_length()))
        text += f"{code:0{width}b}"[::-1]
        n = 0 if code == clear else n + 1
    return np.packbits(np.array(list(text), np.uint8), bitorder="little").tobytes()
