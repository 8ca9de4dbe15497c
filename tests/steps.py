"""Colors in the coordinates that dithering compares, as its kernels convert them."""

import numpy as np

from fastkq import kernels
from fastkq.colors.spaces import linear_levels


def to_steps(colors):
    """Colors (..., 3) in the coordinates that dithering compares."""
    row = np.ascontiguousarray(colors, np.uint8).reshape(-1)
    row.flags.writeable = False
    values = np.empty((3, len(row) // 3), np.float32)
    kernels.steps.convert_row(row, linear_levels().astype(np.float32), values)
    return np.ascontiguousarray(values.T).reshape(np.shape(colors))


def to_light(levels):
    """The lightness of grays, in steps."""
    return to_steps(np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=-1))[..., 0]


def to_points(image, *, is_coarse):
    """Colors (H, W, 4) in the four coordinates that dithering with alpha compares, or in light."""
    rows = np.ascontiguousarray(image, np.uint8)
    rows.flags.writeable = False
    light = linear_levels().astype(np.float32)
    points = np.empty((len(rows), 4, rows.shape[1]), np.float32)
    for row, values in zip(rows, points, strict=True):
        alphas = row[:, 3].copy()
        kernels.steps.convert_any_row(row.reshape(-1), alphas, light, is_coarse, values)
    return np.ascontiguousarray(points.transpose(0, 2, 1))
