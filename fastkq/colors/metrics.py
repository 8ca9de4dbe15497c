"""How far a quantized image is from its original."""

from __future__ import annotations

import math

import numpy as np

from fastkq.types import MAX_LEVEL, Array, UInt8Array

N_CHANNELS = 3


def inertia_from_sums(sums: Array, squared_norm: float, centers: Array) -> float:
    """Return the inertia of clusters from their sums, without visiting the points.

    Parameters
    ----------
    sums : (K, 1 + C) float64
        Of each cluster, the sum of the weights and of weight * point.
    squared_norm : float
        The sum of weight * squared norm over all points.
    centers : (K, C)

    Returns
    -------
    float
        sum of w |x - c|^2 = sum of w |x|^2 - sum over clusters of (2 c.S - W |c|^2). Exact for
        integer points and centers while each sum stays below 2^53; for others, subtracting large
        numbers leaves an error of about 1e-16 of `squared_norm`.
    """
    centers = np.asarray(centers, np.float64)
    explained = 2 * np.sum(centers * sums[:, 1:]) - np.sum(sums[:, 0] * np.sum(centers**2, axis=1))
    return max(0.0, float(squared_norm - explained))


def squared_error(one: UInt8Array, other: UInt8Array) -> float:
    """Return the squared error of two images (H, W, 4), summed over channels and pixels.

    Where a pixel is not opaque, it is the mean of those over black and over white.
    """
    alphas = np.stack([one[..., 3], other[..., 3]]).astype(np.int32)
    if (alphas == MAX_LEVEL).all():
        differences = one[..., :3].astype(np.int32) - other[..., :3]
        return float(np.sum(differences * differences, dtype=np.int64))
    black = [
        a[..., :3] * (alpha[..., None] / MAX_LEVEL)
        for a, alpha in ((one, alphas[0]), (other, alphas[1]))
    ]
    over_black = black[0] - black[1]
    over_white = over_black - (alphas[0] - alphas[1])[..., None]
    return float(np.sum(over_black**2) + np.sum(over_white**2)) / 2


def psnr_from_mse(mse: float) -> float:
    """Return the peak signal-to-noise ratio in dB of an MSE that is summed over R, G and B.

    PSNR = 10 log10(3 * 255^2 / MSE); infinite for identical images.
    """
    return math.inf if mse == 0 else 10 * math.log10(N_CHANNELS * MAX_LEVEL**2 / mse)


def mse_from_psnr(psnr: float) -> float:
    """Return the largest MSE, summed over R, G and B, whose PSNR is not below a finite one in dB.

    Examples
    --------
    >>> round(mse_from_psnr(30), 3)
    195.075
    """
    mse = N_CHANNELS * MAX_LEVEL**2 / 10 ** (psnr / 10)
    # The PSNR of a palette, asked for again, must be reached by it: rounding goes either way.
    while psnr_from_mse(mse) < psnr:
        mse = math.nextafter(mse, 0)
    while psnr_from_mse(math.nextafter(mse, math.inf)) >= psnr:
        mse = math.nextafter(mse, math.inf)
    return mse
