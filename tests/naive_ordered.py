"""The slow, obvious NumPy twin of ordered dithering; `naive.py` has those of the rest."""

import naive
import numpy as np

SHARE, LEAST, MOST, CHROMA = 0.6, 0.3, 0.9, 0.85


def mix(points, alphas, entries, entry_alphas, is_exact, labels, ranks, strength):
    """Ordered dithering by squares of 2x2 pixels, in float32; labels (H, W).

    Points (H, W, 4) and entries (K, 4) are in Oklab. Opaque pixels take opaque entries, if there
    are any; those whose color is in the palette keep `labels`. Translucent pixels whose nearest
    entry, in `labels`, is translucent take no opaque one.
    """
    single = np.float32
    points, entries = points.astype(single), entries.astype(single)
    for colors in (points, entries):
        colors[..., 1:3] = 320 + single(CHROMA) * (colors[..., 1:3] - 320)
    every = np.arange(len(entries))
    own = every[entry_alphas == 255]
    low, high = single([0, 81, 2, -1e9]), single([1020, 602, 523, 1e9])
    last_shares = single(strength * (LEAST + (MOST - LEAST) * (ranks + 0.5) / ranks.size))
    shares = [single(0), single(strength * SHARE), single(strength * SHARE)]
    labels = labels.copy()
    height, width = labels.shape
    for top, left in np.ndindex(-(-height // 2), -(-width // 2)):
        error = np.zeros(4, single)
        share_of = [*shares, last_shares[top % 64, left % 64]]
        way = [(0, 0), (0, 1), (1, 1), (1, 0)]
        for (down, right), share in zip(way, share_of, strict=True):
            y, x = 2 * top + down, 2 * left + right
            if y >= height or x >= width:
                continue
            if is_exact[y, x] or alphas[y, x] == 0:
                labels[y, x] = labels[y, x] if is_exact[y, x] else np.argmin(entry_alphas)
                error[:] = 0
                continue
            value = points[y, x] + share * error
            is_opaque = alphas[y, x] == 255 and len(own) > 0
            value[3] *= not is_opaque
            near = np.clip(value, low, high) if is_opaque else value
            allowed = own if is_opaque else every
            label, _ = naive.pick_entry(near, entries, allowed, in_whole_steps=is_opaque)
            is_mixed = not is_opaque and entry_alphas[labels[y, x]] < 255
            if not is_mixed or entry_alphas[label] < 255:
                labels[y, x] = label
            error = value - entries[labels[y, x]]
    return labels
