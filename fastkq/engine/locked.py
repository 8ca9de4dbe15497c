"""Colors that a palette must have exactly, such as those of a brand.

They are its first entries, and centers that no update moves; the others are fitted around them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.pixels import OPAQUE
from fastkq.engine.model import NONE_LOCKED
from fastkq.types import Array, UInt8Array


def check_locked(locked: ArrayLike | None, n_colors: int) -> UInt8Array:
    """Return locked colors (L, 3) or (L, 4) as an array (L, 4) uint8, if they are such.

    Raises
    ------
    ValueError, TypeError
        They are more than `n_colors`, twice the same, or no colors.
    """
    if locked is None:
        return NONE_LOCKED
    given = np.asarray(locked)
    if given.size == 0:
        return NONE_LOCKED
    if given.dtype.kind not in "iu":
        raise TypeError(f"locked has dtype {given.dtype}; integers from 0 to 255 are allowed")
    if given.ndim != 2 or given.shape[1] not in (3, 4):
        raise ValueError(f"locked has shape {given.shape}; (L, 3) and (L, 4) are allowed")
    if given.min() < 0 or given.max() > OPAQUE:
        raise ValueError(
            f"locked has values from {given.min()} to {given.max()}; 0 to 255 are allowed"
        )
    if len(given) > n_colors:
        raise ValueError(f"locked has {len(given)} colors; n_colors allows {n_colors}")
    colors, counts = np.unique(given, axis=0, return_counts=True)
    if counts.max() > 1:
        twice = tuple(colors[counts.argmax()].tolist())
        raise ValueError(f"locked has {twice} {counts.max()} times; each color is allowed once")
    rgba = np.full((len(given), 4), OPAQUE, np.uint8)
    rgba[:, : given.shape[1]] = given
    return rgba


def drop_nearest(centers: Array, locked: Array) -> Array:
    """Drop, for each locked point (L, 3) in order, the nearest of the remaining centers (K, 3)."""
    for point in locked:
        distances = np.sum((centers - point) ** 2, axis=1)
        centers = np.delete(centers, distances.argmin(), axis=0)
    return centers


def own_palette(
    histogram: ColorHistogram, n_colors: int, locked: UInt8Array
) -> tuple[UInt8Array, UInt8Array] | None:
    """Return locked colors (L, 3) and all other opaque ones of an image, and the labels of these.

    None where they are more than `n_colors`.
    """
    if len(histogram.codes) > n_colors:
        return None
    # Few: every color is compared with every locked one.
    same = (histogram.colors[:, None] == locked).all(axis=2)
    is_locked = same.any(axis=1)
    palette = np.concatenate([locked, histogram.colors[~is_locked]])
    if len(palette) > n_colors:
        return None
    labels = len(locked) + np.cumsum(~is_locked) - 1
    labels[is_locked] = np.flatnonzero(same) % max(1, len(locked))
    return palette, labels.astype(np.uint8)
