"""The paper of a scan: one color to the eye, thousands to a histogram.

K-means spends its entries where squared error is, and the grain of a page that covers most of a
scan has more of it than a few words in red ink. Made one color first, paper takes one entry,
dithering leaves it alone, and files shrink. The idea is that of M. Zucker's noteshrink
(https://mzucker.github.io/2016/09/20/noteshrink.html).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastkq.colors.histogram import CODE_BITS, ColorHistogram, encode_colors
from fastkq.colors.pixels import OPAQUE
from fastkq.colors.spaces import OKLAB_UNITS, to_points
from fastkq.types import UInt8Array

# All of the way from black to white in Oklab: about 15 of 255 levels around a light gray.
RADIUS = 0.06
BIN, N_BINS = 0.02, 128  # the side of a cube, and more than there are in a row
MIN_SHARE = 0.4  # of the pixels; what covers less is no paper
MIN_LIGHTNESS = 0.5
N_STEPS = 8
ALPHA_CHANNELS = (2, 4)


class Paper:
    """The colors of the paper of an image, and the one that they are made.

    Attributes
    ----------
    color : (3,) uint8, the mean
    is_paper : (2^24,) bool, by Morton code
    """

    def __init__(self, color: UInt8Array, codes: NDArray[np.uint32]) -> None:
        self.color = color
        self.is_paper = np.zeros(1 << CODE_BITS, np.bool_)
        self.is_paper[codes] = True

    def smooth(self, block: UInt8Array) -> UInt8Array:
        """Return rows (h, W) or (h, W, C) whose opaque pixels of paper have its one color."""
        is_gray = block.ndim == 2 or block.shape[2] in (1, 2)
        channels = block[..., None] if block.ndim == 2 else block
        n_colors = 1 if is_gray else 3
        pixels = np.broadcast_to(channels[..., :n_colors], (*block.shape[:2], 3))
        here = self.is_paper[encode_colors(pixels.reshape(-1, 3))].reshape(block.shape[:2])
        if block.ndim == 3 and block.shape[2] in ALPHA_CHANNELS:
            here &= block[..., -1] == OPAQUE
        smoothed = channels.copy()
        smoothed[..., :n_colors][here] = self.color[:n_colors]
        return smoothed.reshape(block.shape)


def find_paper(histogram: ColorHistogram) -> Paper | None:
    """Find the paper of an image in its opaque colors.

    It is a light color with `MIN_SHARE` of all pixels within `RADIUS` around it in Oklab: the mean
    of those, from the fullest cube of colors on, until it stands still.

    Returns
    -------
    Paper, or None where no color is like that
    """
    if len(histogram.codes) == 0:
        return None
    colors, counts = histogram.colors, histogram.counts
    points = to_points(colors, "oklab").astype(np.float64) / OKLAB_UNITS
    # Lightness is 0 to 1, the other two coordinates lie between -0.4 and 0.4.
    bins = np.floor(points / BIN).astype(np.intp) + N_BINS // 2
    numbers = (bins[:, 0] * N_BINS + bins[:, 1]) * N_BINS + bins[:, 2]
    near = numbers == np.bincount(numbers, counts).argmax()
    for _ in range(N_STEPS):
        center = np.average(points[near], axis=0, weights=counts[near])
        before, near = near, ((points - center) ** 2).sum(axis=1) <= RADIUS**2
        if np.array_equal(before, near):
            break
    if center[0] < MIN_LIGHTNESS:
        return None
    if counts[near].sum() < MIN_SHARE * histogram.n_pixels:
        return None
    color = np.rint(np.average(colors[near], axis=0, weights=counts[near])).astype(np.uint8)
    return Paper(color, histogram.codes[near])
