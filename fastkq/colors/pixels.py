"""Arrays of pixels: what an image may be, and its alpha."""

from __future__ import annotations

import numpy as np

from fastkq.types import Array, UInt8Array

ALLOWED_ARRAYS = "(H, W) gray, (H, W, 2) gray + alpha, (H, W, 3) RGB and (H, W, 4) RGBA of uint8"


def has_alpha(array: Array) -> bool:
    """Return whether a checked array has transparent pixels."""
    return array.ndim == 3 and array.shape[2] in (2, 4)


def _drop_opaque_alpha(array: Array) -> Array:
    if not has_alpha(array) or np.any(array[..., -1] != 255):
        return array
    return array[..., 0] if array.shape[2] == 2 else array[..., :3]


def check_array(array: Array) -> UInt8Array:
    """Return an array as the stages take it: opaque ones without alpha, C order, read-only."""
    check_layout(array.shape, array.dtype, "image")
    array = np.ascontiguousarray(_drop_opaque_alpha(array)).view()
    array.flags.writeable = False  # one type for the kernels, whatever the source
    return array


def check_layout(shape: tuple[int, ...], dtype: object, name: str) -> None:
    """Raise ValueError or TypeError for a shape or dtype that no image may have."""
    if dtype != np.uint8:
        raise TypeError(f"{name} has dtype {dtype}; allowed are {ALLOWED_ARRAYS}")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (2, 3, 4)):
        raise ValueError(f"{name} has shape {shape}; allowed are {ALLOWED_ARRAYS}")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}: no pixels")


OPAQUE = 255


def drop_alpha(array: UInt8Array) -> UInt8Array:
    """Return the colors (H, W, 3) of (H, W, 4) as kernels take them: in C order, read-only."""
    colors = np.empty((*array.shape[:2], 3), np.uint8)
    for channel in range(3):  # half the time of np.ascontiguousarray
        colors[..., channel] = array[..., channel]
    colors.flags.writeable = False
    return colors


def with_alpha(array: UInt8Array) -> UInt8Array:
    """Return a checked array of any number of channels as (H, W, 4)."""
    if array.ndim == 2:
        array = array[..., None]
    n_channels = array.shape[2]
    if n_channels == 4:
        return array
    result = np.full((*array.shape[:2], 4), OPAQUE, np.uint8)
    result[..., :3] = array[..., :1] if n_channels < 3 else array
    if n_channels == 2:
        result[..., 3] = array[..., 1]
    return result
