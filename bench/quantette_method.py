"""The method of quantette's K-means and Floyd-Steinberg, rebuilt, to compare dithering with.

quantette (https://github.com/IanManske/quantette) is a Rust library without a Python package. This
is what its documentation says that it does: Wu's cut in Oklab; one pass of MacQueen's K-means over
at most 2^18 random pixels, whose learning rate is the inverse root of a center's samples (Thompson,
Celebi and Buck 2020, doi:10.1007/s11554-019-00914-6); and error diffusion in Oklab, every other row
from the right, with 7/8 of each error. The program itself, on two threads, scored 0.0 to 0.8 less
on the pictures of `bench/dithering.py`, so this is the stronger rival.
"""

from __future__ import annotations

import numpy as np
from numba import njit

import fastkq
from fastkq.colors.spaces import OKLAB_UNITS, to_colors, to_points

SAMPLES = 1 << 18
PASSED_ON = 7 / 8
FLOYD_STEINBERG = np.array([7, 3, 5, 1], np.float32) / 16


@njit(fastmath=True)
def nearest(color: np.ndarray, centers: np.ndarray, distances: np.ndarray) -> int:
    """Return the center (3, K) nearest to a color (3,)."""
    least = np.float32(np.inf)
    for k in range(centers.shape[1]):
        d0, d1 = centers[0, k] - color[0], centers[1, k] - color[1]
        d2 = centers[2, k] - color[2]
        distances[k] = d0 * d0 + d1 * d1 + d2 * d2
        least = min(least, distances[k])
    for k in range(centers.shape[1]):
        if distances[k] == least:
            return k
    return 0


@njit
def move_centers(points: np.ndarray, samples: np.ndarray, centers: np.ndarray) -> None:
    """Move the nearest center (3, K) to each sampled point, by less and less."""
    n_samples = np.zeros(centers.shape[1])
    distances = np.empty(centers.shape[1], np.float32)
    for i in samples:
        k = nearest(points[i], centers, distances)
        n_samples[k] += 1
        for channel in range(3):
            step = points[i, channel] - centers[channel, k]
            centers[channel, k] += np.float32(step / np.sqrt(n_samples[k]))


@njit
def diffuse(points: np.ndarray, centers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the labels of an image (H, W, 3), dithered."""
    height, width = points.shape[:2]
    labels = np.empty((height, width), np.uint8)
    distances = np.empty(centers.shape[1], np.float32)
    errors = np.zeros((height + 1, width + 2, 3), np.float32)
    color = np.empty(3, np.float32)
    for y in range(height):
        step = 1 if y % 2 == 0 else -1
        for i in range(width):
            x = i if step > 0 else width - 1 - i
            for channel in range(3):
                color[channel] = points[y, x, channel] + errors[y, x + 1, channel]
            labels[y, x] = k = nearest(color, centers, distances)
            for channel in range(3):
                error = color[channel] - centers[channel, k]
                errors[y, x + 1 + step, channel] += weights[0] * error
                errors[y + 1, x + 1 - step, channel] += weights[1] * error
                errors[y + 1, x + 1, channel] += weights[2] * error
                errors[y + 1, x + 1 + step, channel] += weights[3] * error
    return labels


def quantize(image: np.ndarray, n_colors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels (H, W) and the palette (K, 3) of an image (H, W, 3) uint8."""
    points = _to_oklab(image)
    seeds = fastkq.fit_palette(image, n_colors, color_space="oklab", max_iter=0)
    centers = np.ascontiguousarray(_to_oklab(seeds).T)
    n_pixels = image[..., 0].size
    samples = np.random.default_rng(0).integers(0, n_pixels, min(n_pixels, SAMPLES))
    move_centers(points.reshape(-1, 3), samples, centers)
    palette = to_colors(OKLAB_UNITS * centers.T, "oklab")
    entries = np.ascontiguousarray(_to_oklab(palette).T)
    return diffuse(points, entries, np.float32(PASSED_ON) * FLOYD_STEINBERG), palette


def _to_oklab(colors: np.ndarray) -> np.ndarray:
    points = to_points(colors.reshape(-1, 3), "oklab") / OKLAB_UNITS
    return points.astype(np.float32).reshape(colors.shape)
