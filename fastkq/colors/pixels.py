"""Arrays of pixels: what an image may be, and its alpha."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastkq.types import Array, UInt8Array

ALLOWED_ARRAYS = "(H, W) gray, (H, W, 2) gray + alpha, (H, W, 3) RGB and (H, W, 4) RGBA of uint8"
OPAQUE = 255
TRANSPARENT = np.zeros((1, 4), np.uint8)  # the entry of fully transparent pixels
PART_PIXELS = 1 << 20  # that are given other channels at a time


def check_layout(shape: tuple[int, ...], dtype: object, name: str) -> None:
    """Raise ValueError or TypeError for a shape or dtype that no image may have."""
    if dtype != np.uint8:
        raise TypeError(f"{name} has dtype {dtype}; allowed are {ALLOWED_ARRAYS}")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (2, 3, 4)):
        raise ValueError(f"{name} has shape {shape}; allowed are {ALLOWED_ARRAYS}")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}: no pixels")


def check_array(array: Array) -> UInt8Array:
    """Return an array as the stages take it: opaque ones without alpha, C order, read-only."""
    check_layout(array.shape, array.dtype, "image")
    return as_rows(_drop_opaque_alpha(array))


def as_rows(array: Array) -> UInt8Array:
    """Return an array in C order and read-only: one type for the kernels, whatever the source."""
    array = np.ascontiguousarray(array).view()
    array.flags.writeable = False
    return array


def has_alpha(array: Array) -> bool:
    """Return whether an array has a channel of alpha."""
    return array.ndim == 3 and array.shape[2] in (2, 4)


def _drop_opaque_alpha(array: Array) -> Array:
    if not has_alpha(array):
        return array
    for rows in split_rows(array):  # most images that are not opaque are told by the first rows
        if np.any(array[rows, ..., -1] != OPAQUE):
            return array
    return array[..., 0] if array.shape[2] == 2 else array[..., :3]


def drop_alpha(array: UInt8Array) -> UInt8Array:
    """Return the colors (H, W) of (H, W, 2), or (H, W, 3) of (H, W, 4)."""
    if array.shape[2] == 2:
        return as_rows(array[..., 0])
    colors = np.empty((*array.shape[:2], 3), np.uint8)
    for channel in range(3):  # half the time of np.ascontiguousarray
        colors[..., channel] = array[..., channel]
    return as_rows(colors)


def with_alpha(array: UInt8Array) -> UInt8Array:
    """Return an array of any number of channels as (H, W, 4)."""
    if array.ndim == 2:
        array = array[..., None]
    n_channels = array.shape[2]
    if n_channels == 4:
        return as_rows(array)
    result = np.full((*array.shape[:2], 4), OPAQUE, np.uint8)
    result[..., :3] = array[..., :1] if n_channels < 3 else array
    if n_channels == 2:
        result[..., 3] = array[..., 1]
    return as_rows(result)


def split_rows(array: UInt8Array) -> Iterator[slice]:
    """Yield the rows of an array in parts of few pixels."""
    height, width = array.shape[:2]
    n_rows = max(1, PART_PIXELS // width)
    for start in range(0, height, n_rows):
        yield slice(start, min(start + n_rows, height))


def split_with_alpha(array: UInt8Array) -> Iterator[UInt8Array]:
    """Yield an array as (h, W, 4): one that is so at once, another one in parts of few pixels."""
    if array.ndim == 3 and array.shape[2] == 4:
        yield as_rows(array)
    else:
        for rows in split_rows(array):
            yield with_alpha(array[rows])


def flatten(array: UInt8Array, background: UInt8Array) -> UInt8Array:
    """Lay an image over a background.

    Parameters
    ----------
    array : (H, W, 2) or (H, W, 4) uint8
    background : (3,) uint8

    Returns
    -------
    (H, W, 3) uint8
        Mixed in encoded sRGB, as browsers and viewers do, and rounded; (H, W) where all is gray.
    """
    n_channels = 1 if array.shape[2] == 2 and len(set(background.tolist())) == 1 else 3
    result = np.empty((*array.shape[:2], n_channels), np.uint8)
    for rows in split_rows(array):
        colors = array[rows, :, :-1].astype(np.uint32)
        alphas = array[rows, :, -1:].astype(np.uint32)
        mixed = colors * alphas + background[:n_channels] * (OPAQUE - alphas)
        result[rows] = (mixed + OPAQUE // 2) // OPAQUE
    return as_rows(result[..., 0] if n_channels == 1 else result)
