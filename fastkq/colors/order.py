"""Palettes in an order that people look for: by share, by hue, by lightness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastkq.colors.spaces import OKLAB_UNITS, to_points
from fastkq.types import Array, UInt8Array

SHARE, HUE, LIGHTNESS = ORDERS = ("share", "hue", "lightness")
GRAY = 0.02  # Oklab's chroma of what has no hue that could be seen


def sort_palette(palette: UInt8Array, shares: Array, by: str) -> NDArray[np.intp]:
    """Return the rows of a palette in order; equal ones stay as they are.

    Parameters
    ----------
    palette : (K, 3) or (K, 4) uint8
    shares : (K,)
        Of the pixels, that each color has.
    by : {"share", "hue", "lightness"}
        The most frequent first; around Oklab's circle of hues from red on, with the grays before
        them from dark to light; from dark to light. By the last two, fully transparent colors
        come last.

    Returns
    -------
    (K,) intp

    Examples
    --------
    >>> palette = np.array([[0, 0, 255], [200, 200, 200], [255, 0, 0], [0, 0, 0]], np.uint8)
    >>> shares = np.array([0.1, 0.5, 0.2, 0.2])
    >>> [sort_palette(palette, shares, by).tolist() for by in ("share", "hue", "lightness")]
    [[1, 2, 3, 0], [3, 1, 2, 0], [3, 0, 2, 1]]
    """
    if by == SHARE:
        return np.argsort(-shares, kind="stable")
    lightness, a, b = (to_points(np.ascontiguousarray(palette[:, :3]), "oklab") / OKLAB_UNITS).T
    unseen = np.zeros(len(palette), bool) if palette.shape[1] == 3 else palette[:, 3] == 0
    if by == LIGHTNESS:
        return np.lexsort([lightness, unseen])
    hue = np.where(np.hypot(a, b) < GRAY, -1, np.arctan2(b, a) % (2 * np.pi))
    return np.lexsort([lightness, hue, unseen])
