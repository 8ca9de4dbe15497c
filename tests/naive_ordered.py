"""Slow, obvious NumPy twins of ordered dithering; `naive.py` has those of the rest."""

import numpy as np

NOISE, SHARED_NOISE, CHROMA, N_NEAR, ROUNDS = 0.35, 0.08, 0.7, 32, 16


def find_shares(ways):
    """The shares of entries (N, 3), seen from a color, of little error and little noise.

    A round leaves two slopes equal, so sums are in the kernel's order: rounding decides.
    """
    d0, d1, d2 = ways.T
    lengths = d0 * d0 + d1 * d1 + d2 * d2
    shares = np.zeros(len(ways))
    shares[0], mean = 1, ways[0].copy()
    for _ in range(ROUNDS):
        along = mean[0] * d0 + mean[1] * d1 + mean[2] * d2
        slopes = 2 * (1 - NOISE) * along + NOISE * lengths
        best, worst = slopes.argmin(), np.where(shares > 0, slopes, -np.inf).argmax()
        gain, way = slopes[worst] - slopes[best], ways[best] - ways[worst]
        if gain < 0.01 or not way.any():
            break
        length = way[0] * way[0] + way[1] * way[1] + way[2] * way[2]
        part = min(gain / (2 * (1 - NOISE) * length), shares[worst])
        mean += part * way
        shares[worst] -= part
        shares[best] += part
    return shares


def find_second(ways):
    """The entry that a color near the first of these mixes best with; 0 if there is none."""
    costs = [0.0]
    for way in ways[1:] - ways[0]:
        along, length = -ways[0] @ way, way @ way
        part = np.clip(along / length, 0, 1) if length else 0
        costs.append(np.sum((ways[0] + part * way) ** 2) - np.sum(ways[0] ** 2))
        costs[-1] += NOISE * part * (1 - part) * length
    return int(np.argmin(costs))


def choose_mixed(ways, shares):
    """Up to four entries of the largest shares, none of them nearly in the span of others."""
    chosen, axes = [], []
    for entry in np.argsort(-shares, kind="stable")[:8]:
        if shares[entry] < 0.01 or len(chosen) == 4:
            break
        if chosen:
            way = ways[entry] - ways[chosen[0]]
            rest = way - sum(((way @ axis) * axis for axis in axes), np.zeros(3))
            if rest @ rest <= 0.01 * (way @ way):
                continue
            axes.append(rest / np.sqrt(rest @ rest))
        chosen.append(entry)
    return chosen


def find_mixture(middle, entries):
    """The entries (n,) that colors near to a middle are mixed of, dark ones first."""
    away = np.sum((entries - middle) ** 2, axis=1)
    first = int(away.argmin())
    apart = np.sum((entries - entries[first]) ** 2, axis=1)
    apart[first] = -1
    near = apart.argsort(kind="stable")[:N_NEAR]
    ways = entries[near] - middle
    shares = find_shares(ways)
    if shares[0] == 1:
        second = find_second(ways)
        shares[second] = 0.5 if second else 1
    return near[choose_mixed(ways, shares)]


def share_out(color, points):
    """The shares of a mixture's entries (n, 3) for a color: little error, and a little noise."""
    steps = points[1:] - points[0]
    gram = steps @ steps.T
    along = steps @ (color - points[0]) - SHARED_NOISE / 2 * np.diag(gram)
    others = np.linalg.solve(gram, along) / (1 - SHARED_NOISE)
    return np.concatenate([[1 - others.sum()], others])


def mix(image, points, middles, entries, labels, thresholds, strength):
    """Ordered dithering pixel by pixel, in float64; labels (H, W), instead of the nearest.

    `points` and `middles` (H, W, 3) are the colors of pixels and those in the middle of their
    cubes, and `entries` (K, 3) the palette, in steps.
    """
    axes = np.array([1, CHROMA, CHROMA])
    scaled, found = entries * axes, {}
    labels = labels.copy()
    for y, x in np.ndindex(labels.shape):
        entry = entries[labels[y, x]]
        if np.array_equal(points[y, x], entry):
            continue
        cube = tuple(image[y, x] // 4)
        if cube not in found:
            mixed = find_mixture(middles[y, x] * axes, scaled)
            found[cube] = mixed
        mixed = found[cube]
        color = (entry + strength * (points[y, x] - entry)) * axes
        shares = share_out(color, scaled[mixed])
        dark_first = np.argsort(scaled[mixed, 0], kind="stable")
        sums = np.cumsum(shares[dark_first])[:-1]
        place = np.sum(thresholds[y % 64, x % 64] >= sums)
        labels[y, x] = mixed[dark_first][place]
    return labels


def mix_pairs(points, entries, labels, thresholds, strength, neighbours):
    """Ordered dithering of translucent pixels, of two entries each, in float64; labels (H, W)."""
    labels = labels.copy()
    for y, x in np.ndindex(labels.shape):
        nearest = entries[labels[y, x]].astype(float)
        best, share = labels[y, x], 0.0
        for entry in neighbours[labels[y, x]]:
            way = entries[entry] - nearest
            part = (points[y, x] - nearest) @ way / (way @ way) if np.any(way) else 0.0
            if part > share:
                best, share = entry, part
        if thresholds[y % 64, x % 64] < strength * share:
            labels[y, x] = best
    return labels
