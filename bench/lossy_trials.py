"""What was tried with labels by cost, and left: entries fitted again, rare ones dropped, filters.

    python bench/lossy_trials.py [--json bench/results/lossy_trials.json]

It takes a minute. Needs ../shared/photos. With `lossy=20`, what a change of the palette does to the
bytes, as a ratio, and to the SSIMULACRA2, as a difference:

- fitted again: each entry becomes the mean, in light, of the pixels that labels by cost gave it;
- rare ones dropped: without the entries that fewer than 1 in 2000 pixels got.

And for the same labels the bytes of filtered rows, with the palette in the better of two orders, by
those of rows as they are: whether labels chosen for rows as they are should be chosen for filters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import report
from quality import read_group

import fastkq
from fastkq.files.palette_order import find_orders, relabel
from fastkq.files.png import bits_per_index, deflate_rows, encode_indexed_png

GROUPS, N_PICTURES, N_COLORS, LEVELS = ("kodak", "cq100"), 6, (64, 256), (10, 20, 30, 45)
LOSSY = 20
RARE = 2000


def fit_again(image: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return the means, in light, of the pixels of each entry."""
    levels = np.arange(256) / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    counts = np.bincount(labels.ravel(), minlength=len(palette))
    sums = [
        np.bincount(labels.ravel(), light[image[..., i]].ravel(), len(palette)) for i in range(3)
    ]
    means = np.stack(sums, axis=1)[counts > 0] / counts[counts > 0, None]
    return np.unique(np.searchsorted((light[1:] + light[:-1]) / 2, means).astype(np.uint8), axis=0)


def drop_rare(image: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return the entries that enough pixels have."""
    counts = np.bincount(labels.ravel(), minlength=len(palette))
    return palette[counts * RARE >= labels.size]


TRIALS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "fitted again": fit_again,
    "rare ones dropped": drop_rare,
}


def point(image: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> tuple[int, float]:
    """Return the bytes and the score of an image in a palette."""
    return len(encode_indexed_png(labels, palette)), fastkq.ssimulacra2(image, palette[labels])


def share_of_filters(labels: np.ndarray, n_colors: int) -> float:
    """Return the bytes of filtered rows by those of the same rows as they are."""
    bits = bits_per_index(n_colors)
    orders = find_orders(labels, n_colors, 0) or [np.arange(n_colors)]
    filtered = [deflate_rows(relabel(labels, order), bits, filtered=True) for order in orders]
    return min(map(len, filtered)) / len(deflate_rows(labels, bits, filtered=False))


def measure(image: np.ndarray, n_colors: int) -> list[report.Row]:
    """Return what each trial does to one picture."""
    palette = fastkq.fit_palette(image, n_colors, color_space="oklab", masking=True)

    def label(entries: np.ndarray, lossy: int) -> np.ndarray:
        return fastkq.remap(image, entries, dither="adaptive", lossy=lossy)

    rows: list[report.Row] = []
    before = label(palette, LOSSY)
    n_bytes, score = point(image, before, palette)
    for name, change in TRIALS.items():
        entries = change(image, before, palette)
        own_bytes, own_score = point(image, label(entries, LOSSY), entries)
        rows.append({"trial": name, "bytes": own_bytes / n_bytes, "gain": own_score - score})
    for lossy in LEVELS:
        ratio = share_of_filters(label(palette, lossy), len(palette))
        rows.append({"trial": f"filtered rows, lossy={lossy}", "bytes": ratio})
    return [{"K": n_colors, **row} for row in rows]


def table(rows: list[report.Row]) -> str:
    """Return the means by trial and number of colors as Markdown."""
    lines = []
    for trial in dict.fromkeys(row["trial"] for row in rows):
        cells = [str(trial)]
        for n_colors in N_COLORS:
            own = [row for row in rows if (row["trial"], row["K"]) == (trial, n_colors)]
            ratios, gains = ([r[key] for r in own if key in r] for key in ("bytes", "gain"))
            cells.append(f"{np.exp(np.mean(np.log(ratios))):.2f}")
            cells.append(f"{min(ratios):.2f} to {max(ratios):.2f}")
            cells.append(f"{np.mean(gains):+.1f}" if gains else "")
        lines.append(cells)
    heads = ("bytes", "range", "score")
    header = ["what was tried", *(f"K = {k}: {head}" for k in N_COLORS for head in heads)]
    return report.markdown(header, lines)


def main() -> None:
    """Measure, print and store."""
    options = report.arguments(__doc__).parse_args()
    rows: list[report.Row] = []
    for group in GROUPS:
        for picture, image in list(read_group(group).items())[:N_PICTURES]:
            print(f"{group}, {picture} ...", file=sys.stderr, flush=True)
            own = [row for n_colors in N_COLORS for row in measure(image, n_colors)]
            rows += [{"group": group, "picture": picture, **row} for row in own]
    report.publish(options, table(rows), rows)


if __name__ == "__main__":
    main()
