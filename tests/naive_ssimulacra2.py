"""A slow, obvious twin of SSIMULACRA 2 in float64, whole planes at a time."""

from __future__ import annotations

import numpy as np

from fastkq.colors.ssimulacra2 import WEIGHTS
from fastkq.kernels.ssimulacra2 import TAPS

OPSIN = np.array(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ]
)
BIAS = 0.0037930732552754493


def to_light(levels):
    """Encoded sRGB from 0 to 1 to light from 0 to 1."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def to_xyb(light):
    """Light (H, W, 3) to X, Y and B, (H, W, 3), moved into 0 to 1."""
    long, middle, short = np.moveaxis(np.cbrt(light @ OPSIN.T + BIAS) - np.cbrt(BIAS), 2, 0)
    x, y = (long - middle) / 2, (long + middle) / 2
    return np.stack([14 * x + 0.42, y + 0.01, short - y + 0.55], axis=2)


def blur(plane):
    """Nine taps in each direction; what lies outside is 0."""
    for axis in (0, 1):
        widths = [(4, 4) if each == axis else (0, 0) for each in (0, 1)]
        padded = np.pad(plane, widths)
        n = plane.shape[axis]
        plane = sum(tap * padded.take(range(i, i + n), axis) for i, tap in enumerate(TAPS))
    return plane


def halve(light):
    """Means of 2x2 pixels; the last row and column count twice where their number is odd."""
    height, width = light.shape[:2]
    light = np.pad(light, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return (light[::2, ::2] + light[1::2, ::2] + light[::2, 1::2] + light[1::2, 1::2]) / 4


def norms(errors):
    """The mean of a map, and the fourth root of the mean of its fourth powers."""
    return [np.mean(errors), np.mean(errors**4) ** 0.25]


def error_maps(first, second):
    """The three maps of a component: structure, artifacts and lost detail."""
    mean, other = blur(first), blur(second)
    covariance = 2 * (blur(first * second) - mean * other) + 0.0009
    variances = blur(first**2) - mean**2 + blur(second**2) - other**2 + 0.0009
    structure = np.maximum(0, 1 - (1 - (mean - other) ** 2) * covariance / variances)
    edges = (1 + np.abs(second - other)) / (1 + np.abs(first - mean)) - 1
    return structure, np.maximum(0, edges), np.maximum(0, -edges)


def ssimulacra2(first, second):
    """The score of two pictures (H, W, 3) of encoded values from 0 to 1."""
    first, second = to_light(first), to_light(second)
    scales = []
    for scale in range(6):
        if min(first.shape[:2]) < 8:
            break
        if scale:
            first, second = halve(first), halve(second)
        a, b = to_xyb(first), to_xyb(second)
        maps = [error_maps(a[..., c], b[..., c]) for c in range(3)]
        scales.append([np.transpose([norms(errors) for errors in three]) for three in maps])
    # By component, scale, norm and map: of fewer scales, the first weights count.
    terms = np.swapaxes(scales, 0, 1).ravel()
    error = 0.9562382616834844 * np.dot(WEIGHTS[: len(terms)], terms)
    error = (
        6.248496625763138e-05 * error**3
        - 0.020884521182843837 * error**2
        + (2.326765642916932 * error)
    )
    return 100 - 10 * error**0.6276336467831387 if error > 0 else 100.0
